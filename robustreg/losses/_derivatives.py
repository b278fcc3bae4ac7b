"""Whether one formula is the derivative of another: by integrals over intervals that tile the line.

Finite differences at a few points miss what lies between them. The mean of the derivative over an
interval is compared with the difference quotient of the primitive instead, and an interval where
the two differ is halved until they agree or it is too short to excuse them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import EPS
from robustreg.losses._arrays import FloatArray, Formula
from robustreg.losses._evaluated import UNDERFLOW

# Eight nodes integrate powers of r over an octave to 1e-12. Shares add up to 1.
_GAUSS = np.polynomial.legendre.leggauss(8)
_NODES, _SHARES = 0.5 * (_GAUSS[0] + 1.0), 0.5 * _GAUSS[1]

_RELATIVE = 1e-6  # of the largest derivative in an interval and its neighbours
_ROUNDING = 32.0 * EPS
_OVERFLOW = 1e307
_HALVINGS = 20


@dataclass(frozen=True)
class Pair:
    """A formula and the one that is to be its derivative."""

    primitive: Formula
    derivative: Formula

    def mean_and_largest(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean of the derivative over each interval, and its largest size there."""
        values = self.derivative(low[:, None] + (high - low)[:, None] * _NODES)
        return values @ _SHARES, np.abs(values).max(axis=1)

    def excess(self, low: FloatArray, high: FloatArray, scale: FloatArray) -> FloatArray:
        """Return the error of the mean derivative over the error that is allowed.

        `scale` is the size of the derivative that errors are relative to. Rounding is excused to
        the last digits of the primitive, and to those that it has where a residual is 1: near 0
        the customary formulas cancel, which changes no sum over residuals that matters.
        """
        left, right = self.primitive(low), self.primitive(high)
        mean, _ = self.mean_and_largest(low, high)
        width = high - low
        error = np.abs((right - left) / width - mean)
        size = np.abs(left) + np.abs(right) + np.abs(self.primitive(np.array([-1.0, 1.0]))).max()
        allowed = _RELATIVE * scale + (_ROUNDING * size + UNDERFLOW) / width + UNDERFLOW
        excess = error / allowed
        # A primitive overflows rightly where its derivative takes it there, and has no digits then.
        infinite = np.isinf(left) | np.isinf(right)
        rightly = np.isinf(left) & np.isinf(right) | (np.abs(mean) >= _OVERFLOW / width)
        return np.where(infinite & rightly, 0.0, np.where(np.isnan(excess), np.inf, excess))


@dataclass(frozen=True)
class Fault:
    """Where a primitive and its derivative disagree, in an interval too short to excuse it.

    `kind` is "value" (with the derivative found at `at` and the one that the primitive has), or
    "primitive jumps" or "derivative jumps" (with the values at both ends of the interval).
    """

    kind: str
    at: float
    found: float
    expected: float


def find_fault(pair: Pair, kinks: tuple[float, ...]) -> Fault | None:
    """Return where a pair disagrees: at 1 if it does there, or else near 1; None if nowhere."""
    low, high = _octaves(kinks)
    _, largest = pair.mean_and_largest(low, high)
    scale = largest.copy()
    scale[1:] = np.maximum(scale[1:], largest[:-1])
    scale[:-1] = np.maximum(scale[:-1], largest[1:])
    wrong = pair.excess(low, high, scale) > 1.0
    low, high, scale = low[wrong], high[wrong], scale[wrong]
    for _ in range(_HALVINGS):
        if low.size:
            low, high, wrong = _worse_half(pair, low, high, scale)
            low, high, scale = low[wrong], high[wrong], scale[wrong]
    if not low.size:
        return None
    nearest = np.argmin(np.abs(np.log2(np.maximum(np.abs(low), np.abs(high)))) - 0.1 * (high > 0))
    short, at_one = 1e-6, np.array([1.0])
    if pair.excess(at_one - short, at_one + short, scale[[nearest]])[0] > 1.0:
        return _describe(pair, 1.0 - short, 1.0 + short)
    return _describe(pair, float(low[nearest]), float(high[nearest]))


def _octaves(kinks: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the ends of intervals from -1e300 to 1e300, cut at the kinks, shorter about 1.

    They are no round numbers, and 0 is inside of one: there an undeclared kink may be.
    """
    sizes = 1.0371 * 2.0 ** np.concatenate(
        [np.arange(-500.0, -10.0), np.arange(-10.0, 10.0, 0.25), np.arange(10.0, 997.0)]
    )
    edges = np.unique(np.concatenate([-sizes, sizes, kinks]))
    # A formula may round the place of a kink by some units in the last place.
    beside = np.where(np.isin(edges, kinks), 4.0 * np.spacing(np.abs(edges)), 0.0)
    return edges[:-1] + beside[:-1], edges[1:] - beside[1:]


def _worse_half(
    pair: Pair, low: FloatArray, high: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Return that half of each interval which disagrees more, and whether it does too much."""
    middle = low + 0.5 * (high - low)
    left, right = pair.excess(low, middle, scale), pair.excess(middle, high, scale)
    in_left = left >= right
    return (
        np.where(in_left, low, middle),
        np.where(in_left, middle, high),
        np.maximum(left, right) > 1.0,
    )


def _describe(pair: Pair, low: float, high: float) -> Fault:
    """Return what is wrong in an interval: a jump where there should be none, or a value."""
    ends = np.linspace(low, high, 65)
    values, slopes = pair.primitive(ends), pair.derivative(ends)
    if _is_jump(values):
        kind, found, expected = "primitive jumps", values[0], values[-1]
    elif _is_jump(slopes):
        kind, found, expected = "derivative jumps", slopes[0], slopes[-1]
    else:
        kind, found, expected = "value", slopes[32], (values[-1] - values[0]) / (high - low)
    return Fault(kind, float(ends[32]), float(found), float(expected))


def _is_jump(values: FloatArray) -> bool:
    """Return whether nearly all change along a short interval is in one place."""
    steps = np.abs(np.diff(values))
    return bool(steps.max() > 0.9 * steps.sum() > 0.0)

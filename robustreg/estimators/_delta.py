"""Huber's delta from the data: pure functions of residuals and their weights.

The joint scale of a small delta falls to 0, or nearly so, where a fraction of the rows is
fitted exactly that is far from half, as in counts and rounded targets. Most rows then look like
outliers. Such a delta is not chosen.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from robustreg._arrays import SQUARABLE, SUMMED, Array
from robustreg.evaluation.order_statistics import Value
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks
from robustreg.losses import Huber
from robustreg.scale import MAD_FACTOR

CANDIDATES = np.linspace(0.3, 3.0, 28)
# A candidate whose variance is 5 % above the least counts 1.05^-20 = 0.38 times as much.
SHARPNESS = 20
# A scale that is in order has half of the rows within this many of it: twice the Gaussian's.
REACH = 2.0 / MAD_FACTOR
HALF = 0.5 + SUMMED  # of the weight, but for rounding
SETTLED, MAX_STEPS = 1e-12, 30  # a step of thresholds that is none, and how many there are
DEFAULT_DELTA = 1.345  # 95 % efficient at the Gaussian


def choose_delta(
    residual: Array,
    sample_weight: Array | None = None,
    *,
    scale: float | None = None,
    zero: float = 0.0,
) -> float | None:
    """Huber's delta for which the residuals promise coefficients of small variance.

    With the threshold t of a candidate, the estimated asymptotic variance of coefficients is

        V = (1/W) sum w min(r^2, t^2) / P^2,    P = (1/W) sum of w where |r| <= t

    up to a factor that all candidates share (Wang, Lin, Zhu and Bai, 2007, take its least
    value). The result is the mean of the candidates 0.3, 0.4, ..., 3, weighted by V^-20.

    Parameters
    ----------
    residual : ndarray of shape (n,)
        Residuals of a robust fit, n >= 1.
    sample_weight : ndarray of shape (n,), default=None
        Positive weights.
    scale : float, default=None
        The scale that delta is going to multiply, in the units of the residuals. None is a
        joint scale: t is then delta sigma for the sigma that goes with this delta.
    zero : float, default=0.0
        Residuals of at most this size count as zeros, which say nothing about the noise.

    Returns
    -------
    float or None
        Between 0.3 and 3; None where every threshold is among the zeros, or every joint scale
        is so small that more than half of the rows lie beyond 1.35 of it.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.estimators._delta import choose_delta
    >>> rng = np.random.default_rng(0)
    >>> clean, wild = rng.normal(size=1000), rng.standard_t(1.5, size=1000)
    >>> round(choose_delta(clean), 1), round(choose_delta(wild), 1)
    (2.1, 0.5)
    """
    size, outside, squares = sorted_sums(residual, sample_weight, zero)
    if scale is None:
        threshold = joint_thresholds(size, outside, squares, _joint_levels())
    else:
        threshold = CANDIDATES * scale
    rows = np.searchsorted(size, threshold, side="right")
    near = None
    if scale is None:
        near = outside[np.searchsorted(size, REACH * threshold / CANDIDATES, side="right")]
    return _chosen(threshold, squares[rows], outside[rows], near, zero)


def choose_delta_in_passes(
    rows: RowBlocks, size: Size, *, scale: float | None = None, zero: float = 0.0
) -> float | None:
    """The same from passes over rows that nobody holds: one for a given scale, else some.

    A threshold t of a joint scale is the root of ``sum min(r^2, s) / W - level s`` in s = t^2,
    which is concave and piecewise linear: Newton's steps from where it is in a sample fall to
    it, and end there.
    """
    if scale is not None:
        fixed = CANDIDATES * scale
        return _chosen(fixed, *_sums_at(rows, size, fixed, zero), None, zero)
    level, block = _joint_levels(), rows.every(1)
    threshold = joint_thresholds(*sorted_sums(size(block), block.weight, zero), level)
    threshold[threshold == 0.0] = SQUARABLE
    for _ in range(MAX_STEPS):
        near = REACH * threshold / CANDIDATES
        both = np.append(threshold, near)
        squares, outside = (part.reshape(2, -1) for part in _sums_at(rows, size, both, zero))
        rest = level - outside[0]
        square = np.divide(squares[0], rest, out=np.full_like(rest, np.inf), where=rest > 0.0)
        moved = np.minimum(np.sqrt(square), SQUARABLE)
        if (np.abs(moved - threshold) <= SETTLED * threshold).all():
            break
        threshold = moved
    return _chosen(threshold, squares[0], outside[0], outside[1], zero)


def share_beyond(rows: RowBlocks, size: Size, limit: float) -> float:
    """The share of the weight whose residuals are larger than a limit, by a pass."""
    return float(_sums_at(rows, size, np.array([limit]), -1.0)[1][0])


def _chosen(
    threshold: Array, squares: Array, outside: Array, near: Array | None, zero: float
) -> float | None:
    """The mean of the candidates, given the sums at their thresholds; None where none will do."""
    inside = 1.0 - outside
    usable = (threshold > zero) & (squares > 0.0) & (inside > 0.0)
    if near is not None:
        usable &= near <= HALF
    if not usable.any():
        return None
    outside, threshold, inside = outside[usable], threshold[usable], inside[usable]
    variance = (squares[usable] + threshold**2 * outside) / inside**2
    share = (variance / variance.min()) ** -SHARPNESS
    return float(np.average(CANDIDATES[usable], weights=share))


def _sums_at(rows: RowBlocks, size: Size, limit: Array, zero: float) -> tuple[Array, Array]:
    """Mean of the squares of what is above zero and up to limits, and the share of what is not."""
    edges = np.unique(limit)
    at = np.searchsorted(edges, limit)
    sums: Array = rows.sum(_UpTo(size, edges, zero))
    weight, squares = np.cumsum(sums, axis=1) / rows.total
    return squares[at], np.maximum(weight[-1] - weight[at], 0.0)


@dataclass(frozen=True)
class Size:
    """The sizes of residuals in some unit, as far as they have squares."""

    value: Value
    unit: float

    @property
    def products_only(self) -> bool:
        """As of the residuals."""
        return getattr(self.value, "products_only", False)

    def __call__(self, block: Block) -> Array:
        return np.minimum(np.abs(self.value(block)) / self.unit, SQUARABLE)


@dataclass(frozen=True)
class _UpTo:
    """The job that sums weights, and weighted squares, between limits in ascending order."""

    size: Size
    edges: Array
    zero: float

    def __call__(self, block: Block) -> Array:
        size = self.size(block)
        weight = block.weighted((size > self.zero).astype(np.float64))
        between, count = np.searchsorted(self.edges, size), len(self.edges) + 1
        return np.stack([np.bincount(between, each, count) for each in (weight, weight * size**2)])


def has_collapsed(trust: Array, sample_weight: Array | None, *, delta: float, scale: float) -> bool:
    """Whether a joint scale is too small for a fit's residuals.

    Parameters
    ----------
    trust : ndarray of shape (n,)
        ``weights_`` of the fit, ``min(1, delta / |z|)``; for a scale of 0, 1 on the fitted
        plane and 0 off it.
    sample_weight : ndarray of shape (n,), default=None
        Positive weights.
    delta, scale : float
        Threshold and scale of the fit.

    Returns
    -------
    bool
        Whether more than half of the rows are beyond 1.35 scales; for a scale of 0 whether too
        many are off the plane for that to be the scale at 1.345, too.
    """
    out = trust < (min(1.0, delta / REACH) if scale > 0.0 else 1.0)
    return float(np.average(out, weights=sample_weight)) > most_beyond(scale)


def most_beyond(scale: float) -> float:
    """The most weight beyond 1.35 scales, or off the plane of a scale of 0, that is in order."""
    return HALF if scale > 0.0 else joint_level(DEFAULT_DELTA)


def sorted_sums(residual: Array, weight: Array | None, zero: float) -> tuple[Array, Array, Array]:
    """Sorted sizes of the m residuals that are not zeros, and sums for the smallest k of them.

    For k = 0, ..., m: the share of the weight beyond these, and their sum of squares over W.
    """
    size = np.minimum(np.abs(residual, dtype=np.float64), SQUARABLE)
    kept = size > zero
    size = size[kept]
    if weight is None:
        size.sort()
        share = np.full(len(size), 1.0 / len(residual))
    else:
        order = np.argsort(size)
        size, share = size[order], weight[kept][order] / weight.sum()
    outside = np.append(np.cumsum(share[::-1])[::-1], 0.0)
    squares = np.append(0.0, np.cumsum(share * size**2))
    return size, outside, squares


def joint_thresholds(size: Array, outside: Array, squares: Array, level: Array) -> Array:
    """Thresholds delta sigma(delta) of some deltas; 0 where the joint scale would be 0.

    The joint scale makes the mean of min(r^2, t^2) / t^2 equal to 2 kappa / delta^2, and
    the mean, whose `level` that is, falls in t: between two residuals it is squares / t^2 +
    outside.
    """
    square = size**2  # 0 of some that are nothing beside the others
    below = np.divide(squares[:-1], square, out=np.zeros_like(size), where=square > 0.0)
    rows = np.searchsorted(-(below + outside[:-1]), -level)
    rest = level - outside[rows]
    square = np.divide(squares[rows], rest, out=np.zeros_like(rest), where=rest > 0.0)
    return np.sqrt(square)


@functools.cache
def _joint_levels() -> Array:
    """Those of all candidates."""
    return np.array([joint_level(delta) for delta in CANDIDATES])


@functools.cache
def joint_level(delta: float) -> float:
    """2 kappa / delta^2, which falls in delta: rows that weigh less do not keep sigma from 0."""
    return float(2.0 * Huber(delta).kappa / delta**2)

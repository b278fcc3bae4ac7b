"""Huber's delta from the data: pure functions of residuals and their weights.

The joint scale of a small delta falls to 0, or nearly so, where a fraction of the rows is
fitted exactly that is far from half, as in counts and rounded targets. Most rows then look like
outliers. Such a delta is not chosen.
"""

from __future__ import annotations

import functools

import numpy as np

from robustreg._arrays import SQUARABLE, SUMMED, Array
from robustreg.losses import Huber
from robustreg.scale import MAD_FACTOR

CANDIDATES = np.linspace(0.3, 3.0, 28)
# A candidate whose variance is 5 % above the least counts 1.05^-20 = 0.38 times as much.
SHARPNESS = 20
# A scale that is in order has half of the rows within this many of it: twice the Gaussian's.
REACH = 2.0 / MAD_FACTOR
HALF = 0.5 + SUMMED  # of the weight, but for rounding
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
    inside = 1.0 - outside[rows]
    usable = (threshold > zero) & (squares[rows] > 0.0) & (inside > 0.0)
    if scale is None:
        near = np.searchsorted(size, REACH * threshold / CANDIDATES, side="right")
        usable &= outside[near] <= HALF
    if not usable.any():
        return None
    rows, threshold, inside = rows[usable], threshold[usable], inside[usable]
    variance = (squares[rows] + threshold**2 * outside[rows]) / inside**2
    share = (variance / variance.min()) ** -SHARPNESS
    return float(np.average(CANDIDATES[usable], weights=share))


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
    most = HALF if scale > 0.0 else joint_level(DEFAULT_DELTA)
    return float(np.average(out, weights=sample_weight)) > most


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

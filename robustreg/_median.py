"""The weighted median, and the median absolute deviation of samples and of residuals."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from robustreg._arrays import SUMMED, Array

#: Factor that makes the median absolute deviation estimate a Gaussian standard deviation,
#: 1 / Phi^{-1}(3/4) = 1.4826...
MAD_FACTOR = 1.0 / float(ndtri(0.75))


def weighted_median(x: Array, sample_weight: Array | None = None) -> float:
    """Median of ``x``; the midpoint where half of the weight lies on either side.

    Parameters
    ----------
    x : array-like of shape (n,)
        Sample, n >= 1, without NaN.
    sample_weight : array-like of shape (n,), default=None
        Non-negative weights with a positive sum.

    Returns
    -------
    float
        The smallest value with more than half of the weight at or below it. Where exactly
        half of the weight (to 1e-12 of the total) lies at or below a value, the midpoint
        between that value and the next one of positive weight; NaN between the two infinities.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.scale import weighted_median
    >>> weighted_median(np.array([3.0, 1.0, 2.0, 10.0]))
    2.5
    >>> weighted_median(np.array([3.0, 1.0, 2.0, 10.0]), np.array([1.0, 0.0, 2.0, 0.0]))
    2.0
    """
    if sample_weight is None:
        return _median_in_place(np.array(x))
    keep = sample_weight > 0
    x, weight = x[keep], sample_weight[keep]
    order = np.argsort(x, kind="stable")
    x, cumulated = x[order], np.cumsum(weight[order])
    total = cumulated[-1]
    # ties in floating point: sums of equal weights in another order still meet in the middle
    middle = int(np.searchsorted(cumulated, 0.5 * total - 0.5 * SUMMED * total))
    if abs(2.0 * cumulated[middle] - total) <= SUMMED * total and middle + 1 < len(x):
        return float(0.5 * x[middle] + 0.5 * x[middle + 1])
    return float(x[middle])


def _median_in_place(x: Array) -> float:
    """The median of values that may be reordered."""
    half = len(x) // 2
    x.partition(half)  # a third of the time of np.median
    upper = float(x[half])
    return upper if len(x) % 2 else 0.5 * float(x[:half].max()) + 0.5 * upper


def mad(
    x: Array,
    sample_weight: Array | None = None,
    *,
    center: float | None = None,
) -> float:
    """Median absolute deviation times 1.4826, consistent for a Gaussian's standard deviation.

    Parameters
    ----------
    x : array-like of shape (n,)
        Sample, n >= 1, without NaN.
    sample_weight : array-like of shape (n,), default=None
        Non-negative weights with a positive sum.
    center : float, default=None
        Point from which deviations are measured; None is the weighted median.

    Returns
    -------
    float
        ``1.4826 * med |x - center|``, in the units of ``x``. Efficiency 37 % at the
        Gaussian, breakdown point 50 % (Hampel, 1974). Infinite where half of the values
        or more are.

    Notes
    -----
    The mean in Gaussian samples of 10, 20, 50 and 100 values is 0.92, 0.96, 0.98 and 0.99 standard
    deviations.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.scale import mad
    >>> round(mad(np.array([1.0, 2.0, 3.0, 4.0, 100.0])), 4)
    1.4826
    """
    if center is None:
        center = weighted_median(x, sample_weight)
    if not math.isfinite(center):  # half of the values or more are infinite
        return math.inf
    off = x - center
    np.abs(off, out=off)
    middle = _median_in_place(off) if sample_weight is None else weighted_median(off, sample_weight)
    return MAD_FACTOR * middle


def residual_mad(
    residual: Array,
    sample_weight: Array | None = None,
    *,
    zero: float = 0.0,
    left_out: float = 0.0,
    center: float = 0.0,
) -> float:
    """MAD of regression residuals, leaving out zeros that the fit itself has made.

    A fit of rank k by least absolute deviations passes through k points exactly: these
    zeros say nothing about the noise, and would bias the MAD of few residuals to 0.

    Parameters
    ----------
    residual : array-like of shape (n,)
        Residuals, n >= 1, without NaN.
    sample_weight : array-like of shape (n,), default=None
        Non-negative weights with a positive sum.
    zero : float, default=0.0
        Residuals of at most this size count as zeros.
    left_out : float, default=0.0
        Share of the zeros' weight that is left out, between 0 and 1: the rank over the
        number of distinct points fitted exactly.
    center : float, default=0.0
        Point from which deviations are measured.

    Returns
    -------
    float
        The MAD about ``center`` in the units of the residuals; 0 where nothing is left.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.scale import mad, residual_mad
    >>> r = np.array([0.0, 0.0, -1.0, 2.0, 4.0])
    >>> residual_mad(r, left_out=1.0) == mad(r[2:], center=0.0)
    True
    """
    at_zero = np.abs(residual) <= zero
    if not left_out or not at_zero.any():
        return mad(residual, sample_weight, center=center)
    if left_out == 1.0 and sample_weight is None:  # the same without sorting
        rest = residual[~at_zero]
        return mad(rest, center=center) if len(rest) else 0.0
    weight = np.ones(len(residual)) if sample_weight is None else np.array(sample_weight, float)
    # the same share of each zero's weight, so that the order of the rows does not matter
    weight[at_zero] *= 1.0 - left_out
    return mad(residual, weight, center=center) if weight.any() else 0.0

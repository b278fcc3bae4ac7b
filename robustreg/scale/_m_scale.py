"""M-scales of one sample or of many: the scale at which the mean loss has its Gaussian value."""

from __future__ import annotations

import functools

import numpy as np

from robustreg._arrays import SUMMED, Array, Mask
from robustreg._median import MAD_FACTOR, weighted_median
from robustreg.losses import Bisquare, ResidualLoss, gaussian_breakdown_point, tuning_constant

# Newton's steps shrink quadratically: after L0 and L1 one of about L1 (L1 / L0)^2 would follow.
# Iterations end where this and L1^2 are below this share of 1 / scale^2.
_TOLERANCE = 1e-12
# One step changes 1 / scale^2 at most by these factors, lest it underflow or overflow.
_LEAST_LOG, _LARGEST = -100.0, 1e100
_TINY = 1e-300  # a slope of 0 becomes this, and the step as long as it may be
_HIGHEST = float(np.finfo(np.float64).max)  # a step too long for a huge scale ends here
# So many deviations are evaluated at once, with temporaries that stay in the cache, but at least so
# many of each row.
_BLOCK, _LEAST_WIDTH = 1 << 15, 64


def m_scale(
    x: Array,
    sample_weight: Array | None = None,
    *,
    loss: ResidualLoss | None = None,
    center: float | None = None,
    n_parameters: int = 0,
    start: float | None = None,
) -> float:
    """M-scale: the s at which a bounded loss of the standardised deviations has its Gaussian mean.

    It solves, with W the sum of the weights and p = `n_parameters`,

    ``sum w rho((x - center) / s) = b (W - p)`` where ``b = E rho(Z)``, Z standard normal.

    The breakdown point is b / sup rho, see `robustreg.losses.gaussian_breakdown_point`. The
    regression coefficients that minimise the M-scale of their residuals are an S-estimator
    (Rousseeuw and Yohai, 1984).

    Parameters
    ----------
    x : array-like of shape (n,)
        Sample, n >= 1, without NaN.
    sample_weight : array-like of shape (n,), default=None
        Non-negative weights with a positive sum.
    loss : ResidualLoss, default=None
        A bounded loss whose weights psi(r) / r fall with abs(r): Bisquare, Welsch, Hampel or
        Andrews. None is the bisquare with breakdown point 0.5 (c = 1.5476).
    center : float, default=None
        Point from which deviations are measured; None is the weighted median.
    n_parameters : int, default=0
        Number p of fitted coefficients if `x` are residuals, less than W.
    start : float, default=None
        A positive guess of the scale. A good one saves time; the result is the same.

    Returns
    -------
    float
        Scale in the units of `x`, an estimate of a Gaussian's standard deviation, to 1e-12. 0 where
        the deviations other than 0 have at most the weight b (W - p) / sup rho, infinite where the
        infinite ones have at least that weight. With the default loss efficiency 54 % at the
        Gaussian.

    Raises
    ------
    ValueError
        If the loss is unbounded, `n_parameters` is negative or not less than W, or `start` is not
        positive.

    Notes
    -----
    The mean in Gaussian samples of 10, 20, 50 and 100 values is 0.89, 0.95, 0.98 and 0.99 standard
    deviations (default loss).

    Where gross errors and good values lie many orders of magnitude apart, the equation may hold, to
    rounding, for all s of an interval. The result is then one of these.

    References
    ----------
    P. J. Huber (1964). Robust estimation of a location parameter. Annals of Mathematical
    Statistics 35, 73-101.

    P. J. Rousseeuw, V. J. Yohai (1984). Robust regression by means of S-estimators. In: Robust and
    Nonlinear Time Series Analysis, Lecture Notes in Statistics 26, 256-272. Springer.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.losses import Welsch, tuning_constant
    >>> from robustreg.scale import m_scale
    >>> x = np.random.default_rng(0).normal(scale=3.0, size=10_000)
    >>> x[:500] = 1e6
    >>> print(f"{m_scale(x):.2f} {x.std():.0f}")
    3.23 217945
    >>> welsch = Welsch(tuning_constant(Welsch, breakdown_point=0.25))
    >>> print(f"{m_scale(x, loss=welsch):.2f}")
    3.41
    """
    loss = _default_loss() if loss is None else loss
    if not isinstance(loss, ResidualLoss):
        raise TypeError(f"loss must be a ResidualLoss, such as Bisquare(1.5476), got {loss!r}.")
    if start is not None and not 0.0 < start < np.inf:
        raise ValueError(f"start must be a positive number, got {start!r}.")
    if sample_weight is not None and not sample_weight.all():
        kept = sample_weight > 0
        x, sample_weight = x[kept], sample_weight[kept]
    total = float(len(x) if sample_weight is None else sample_weight.sum())
    if not 0.0 <= n_parameters < total:
        raise ValueError(
            "n_parameters must be at least 0 and less than the sum of the weights, "
            f"got {n_parameters!r} and {total:g}."
        )
    if center is None:
        center = weighted_median(x, sample_weight)
        if not np.isfinite(center):  # half of the values or more are infinite
            return float("inf")
    with np.errstate(over="ignore", invalid="ignore"):
        absolute = np.abs(x - center)[np.newaxis]
    starts = None if start is None else np.array([start])
    target = expected_rho(loss) * (total - n_parameters)
    return float(m_scales(absolute, target, loss, starts, sample_weight)[0])


@functools.lru_cache(maxsize=1)
def _default_loss() -> ResidualLoss:
    constant = tuning_constant(Bisquare, breakdown_point=0.5)
    assert isinstance(constant, float)  # one constant, for the type checker
    return Bisquare(constant)


@functools.lru_cache(maxsize=256)
def expected_rho(loss: ResidualLoss) -> float:
    """Return b = E rho(Z) of a bounded loss, Z ~ N(0, 1)."""
    if not np.isfinite(loss.sup_rho):
        raise ValueError(f"An M-scale needs a bounded loss, such as Bisquare; got {loss!r}.")
    return gaussian_breakdown_point(loss) * loss.sup_rho


def m_scales(
    absolute: Array,
    target: float,
    loss: ResidualLoss,
    start: Array | None = None,
    weight: Array | None = None,
) -> Array:
    """M-scales of many samples at once: for each row a, the s of ``sum w rho(a / s) = target``.

    Let ``g(t) = sum w rho(a sqrt(t))`` with t = 1 / s^2. Where psi(r) / r falls with abs(r), rho is
    a concave function of r^2, and g a concave, increasing one of t. From the left of the root,
    Newton's method in t therefore never passes it: a step towards smaller t is rounding and becomes
    0. From the right it might leave t > 0, so that steps to the left are Newton's in log t. With

        L = (target - g) / (t g'),  t g' = sum w r psi(r) / 2  at r = a / s,

    t is multiplied by 1 + L if L > 0, and by exp(L) if L < 0. Both agree to first order, and
    converge quadratically. By concavity -L >= 1 - target / g, so that the right is left soon.

    Parameters
    ----------
    absolute : ndarray of shape (k, n)
        Absolute deviations, one sample a row.
    target : float
        b (W - p), between 0 and sup rho times W; see `m_scale`.
    loss : ResidualLoss
        Bounded, with weights that fall with abs(r).
    start : ndarray of shape (k,), default=None
        Positive guesses; None are the medians of the deviations other than 0.
    weight : ndarray of shape (n,), default=None
        Positive weights.

    Returns
    -------
    ndarray of shape (k,)
        NaN where a deviation is.
    """
    limit = target / loss.sup_rho
    scales = _scales_at_the_limits(absolute, limit, weight)
    rows = np.flatnonzero(scales < 0.0)  # those with a finite, positive scale
    if len(rows) < len(scales):
        absolute = absolute[rows]
    if start is None:
        scale = np.array([_median_scale(row, weight) for row in absolute])
    else:
        scale = start[rows]
    last, least = np.ones(len(rows)), np.full(len(rows), _LEAST_LOG)
    with np.errstate(all="ignore"):
        while len(rows):
            step = _step(*_sums(absolute, scale, loss, weight), target, least)
            moved, to_the_right = _moved(scale, step), step > 0.0
            square = step * step
            going = square * np.maximum(np.abs(step) / last, 1.0) > _TOLERANCE
            going &= moved != scale  # multiples of the smallest number may be no closer
            scale = np.minimum(moved, _HIGHEST)
            if not going.all():
                scales[rows] = scale
                rows, scale, square = rows[going], scale[going], square[going]
                absolute, to_the_right, least = absolute[going], to_the_right[going], least[going]
            last = square
            least[to_the_right] = 0.0
    return scales


def newton_step(loss_sum: Array, slope: Array, target: float, scale: Array) -> Array:
    """One step of `m_scales` from scales where ``sum w rho`` and ``sum w r psi / 2`` are these."""
    return _moved(scale, _step(loss_sum, slope, target, -1.0))


def _step(loss_sum: Array, slope: Array, target: float, least: Array | float) -> Array:
    """Return L of `m_scales`, at least `least`."""
    step = (target - loss_sum) / np.maximum(slope, _TINY)
    return np.minimum(np.maximum(step, least), _LARGEST)


def _moved(scale: Array, step: Array) -> Array:
    """Return the scales after a step L."""
    return scale / np.sqrt(np.where(step > 0.0, 1.0 + step, np.exp(step)))


def _scales_at_the_limits(absolute: Array, limit: float, weight: Array | None) -> Array:
    """Return 0 or infinity where no finite s solves the equation, NaN for NaN, and -1 elsewhere."""
    scales = np.full(len(absolute), -1.0)
    if not absolute.all():
        scales[_weight_of(absolute != 0.0, weight) <= limit * (1.0 + SUMMED)] = 0.0
    if not np.isfinite(absolute).all():
        scales[_weight_of(np.isinf(absolute), weight) >= limit * (1.0 - SUMMED)] = np.inf
        scales[np.isnan(absolute).any(axis=1)] = np.nan
    return scales


def _weight_of(chosen: Mask, weight: Array | None) -> Array:
    """Return the weight of the chosen deviations of each row."""
    return chosen.sum(axis=1) if weight is None else chosen @ weight


def _median_scale(absolute: Array, weight: Array | None) -> float:
    """Return a first guess: the MAD of the deviations that are neither 0 nor infinite."""
    kept = (absolute > 0.0) & (absolute < np.inf)
    return MAD_FACTOR * weighted_median(absolute[kept], None if weight is None else weight[kept])


def _sums(
    absolute: Array, scale: Array, loss: ResidualLoss, weight: Array | None
) -> tuple[Array, Array]:
    """Return ``sum w rho(r)`` and ``sum w r psi(r) / 2`` for each row, r = absolute / scale."""
    n = absolute.shape[1]
    width = max(_BLOCK // len(absolute), _LEAST_WIDTH)
    unit = scale[:, np.newaxis]
    loss_sum, lever_sum = np.zeros((2, len(absolute)))
    for first in range(0, n, width):
        block = slice(first, first + width)
        rho, lever = loss._rho_and_lever(absolute[:, block] / unit)
        if weight is None:
            loss_sum += rho.sum(axis=1)
            lever_sum += lever.sum(axis=1)
        else:
            loss_sum += rho @ weight[block]
            lever_sum += lever @ weight[block]
    return loss_sum, 0.5 * lever_sum

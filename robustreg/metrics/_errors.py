"""Measures of the errors themselves, which gross errors do not carry away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from robustreg._arrays import SUMMED, Array
from robustreg._numbers import as_number
from robustreg.metrics._outputs import check_outputs
from robustreg.scale._tau import tau_scale


def trimmed_mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
    trim: float = 0.1,
) -> Any:
    """Mean of the smallest squared errors, leaving out a share `trim` of the weight.

    With the errors sorted by size, ``sum v e^2 / sum v``, where v are the weights of the smallest
    errors up to ``1 - trim`` of the total. The row on the boundary counts in part, so that weight
    k equals k rows exactly.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    y_pred : array-like of the shape of `y_true`
        Predictions.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, not all zero; weight k counts as k rows.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_outputs,), \
            default="uniform_average"
        One value for each output, their mean, or their mean with these weights.
    trim : float, default=0.1
        Share of the weight that is left out, at least 0 and below 1. Take more than the share of
        rows that may be wrong.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Error in squared units of y, at least 0; the best is 0. With ``trim=0`` the mean squared
        error. No estimate of the noise's variance: of Gaussian noise, 0.62 times the variance
        is left at the default.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    tau_scale_error : Estimates the standard deviation of the noise.

    References
    ----------
    P. J. Rousseeuw (1984), "Least median of squares regression", Journal of the American
    Statistical Association 79, 871-880. (Trimmed squares as a criterion of fit.)

    Examples
    --------
    >>> from robustreg.metrics import trimmed_mean_squared_error
    >>> y_true = [1.0, 2.0, 3.0, 4.0, 500.0]
    >>> trimmed_mean_squared_error(y_true, [1.5, 1.5, 3.5, 3.5, 5.0], trim=0.2)
    0.25
    """
    cut = as_number(trim)
    if not 0.0 <= cut < 1.0:
        raise ValueError(f"trim must be a number of at least 0 and below 1, got {trim!r}.")

    def metric(target: Array, guess: Array, weight: Array | None) -> float:
        return _smallest_squares(_errors(target, guess), weight, 1.0 - cut)

    return check_outputs(y_true, y_pred, sample_weight, multioutput).evaluate(metric)


def tau_scale_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
) -> Any:
    """Tau-scale of the errors about 0: a root mean square error that withstands gross errors.

    ``robustreg.scale.tau_scale(y_true - y_pred, sample_weight, center=0.0)``: errors are cut off
    at three times the median absolute error. Deviations are measured from 0 and not from the
    errors' own centre, because a bias is an error, too.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    y_pred : array-like of the shape of `y_true`
        Predictions.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, not all zero; weight k counts as k rows.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape (n_outputs,), \
            default="uniform_average"
        One value for each output, their mean, or their mean with these weights.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Error in units of y, at least 0; the best is 0, which more than half of the weight
        predicted exactly suffices for. Of unbiased Gaussian errors it estimates the standard
        deviation.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    robustreg.scale.tau_scale : Formula, efficiency and breakdown point.

    References
    ----------
    V. J. Yohai and R. H. Zamar (1988), "High breakdown-point estimates of regression by means of
    the minimization of an efficient scale", Journal of the American Statistical Association 83,
    406-413.

    Examples
    --------
    >>> from robustreg.metrics import tau_scale_error
    >>> y_true = [1.0, 2.0, 3.0, 4.0, 500.0]
    >>> print(round(tau_scale_error(y_true, [1.5, 1.5, 3.5, 3.5, 5.0]), 3))
    0.838
    """

    def metric(target: Array, guess: Array, weight: Array | None) -> float:
        return tau_scale(_errors(target, guess), weight, center=0.0)

    return check_outputs(y_true, y_pred, sample_weight, multioutput).evaluate(metric)


def _errors(y_true: Array, y_pred: Array) -> Array:
    with np.errstate(over="ignore"):  # infinite is the right answer
        return y_true - y_pred


def _smallest_squares(error: Array, weight: Array | None, share: float) -> float:
    """Weighted mean of the smallest squares that make up this share of the weight."""
    size = np.abs(error)
    order = np.argsort(size, kind="stable")
    size = size[order]
    weight = np.ones(len(size)) if weight is None else weight[order]
    below = np.concatenate([[0.0], np.cumsum(weight)])
    room = share * below[-1] - below[:-1]
    # The error on the boundary may be a gross one, of which rounding must not let in a trace.
    room[room <= SUMMED * below[-1]] = 0.0
    kept = np.clip(room, 0.0, weight)
    kept = kept[: np.count_nonzero(kept)]
    with np.errstate(over="ignore"):
        return float(np.sum(kept * size[: len(kept)] ** 2) / np.sum(kept))

"""The share of Huber's loss that predictions explain."""

from __future__ import annotations

import warnings
from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import UndefinedMetricWarning

from robustreg._arrays import Array
from robustreg.losses import Huber
from robustreg.metrics._outputs import check_outputs


def d2_huber_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
    delta: float = 1.0,
) -> Any:
    """D squared of Huber's loss: one minus the loss relative to that of the best constant.

    ``1 - L(y_pred) / L(c)`` with L the `mean_huber_loss`, and c the constant that minimises it
    for these targets and weights. It is to Huber's loss what R squared is to the squared error.

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
    delta : float, default=1.0
        Where the loss turns straight, from 1e-150 to 1e150, in the units of y; see
        `mean_huber_loss`.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Score, at most 1. The best constant has 0, and worse predictions less. For constant
        targets 1 if the predictions are perfect, else 0. NaN, with an UndefinedMetricWarning,
        for fewer than two rows of positive weight.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    sklearn.metrics.r2_score : The limit for large `delta`.
    sklearn.metrics.d2_absolute_error_score : The limit for small `delta`.

    References
    ----------
    T. Hastie, R. Tibshirani, M. Wainwright (2015), Statistical Learning with Sparsity, CRC Press,
    equation (3.11). (The share of a deviance that is explained.)

    Examples
    --------
    >>> from sklearn.metrics import r2_score
    >>> from robustreg.metrics import d2_huber_score
    >>> y_true = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 20.0]  # the last ought to be 8
    >>> y_pred = [1.5, 1.5, 3.5, 3.5, 5.5, 5.5, 7.5, 7.5]
    >>> print(round(d2_huber_score(y_true, y_pred), 2), round(r2_score(y_true, y_pred), 2))
    0.47 0.37
    """
    Huber(delta)  # refuses a bad delta before anything else is looked at
    outputs = check_outputs(y_true, y_pred, sample_weight, multioutput)
    if len(outputs.y_true) < 2:
        warnings.warn(
            "D^2 is not defined for fewer than two rows of positive weight.",
            UndefinedMetricWarning,
            stacklevel=2,
        )
        return float("nan")

    def metric(target: Array, guess: Array, weight: Array | None) -> float:
        return _d2(target, guess, weight, delta)

    return outputs.evaluate(metric)


def _d2(y_true: Array, y_pred: Array, weight: Array | None, delta: float) -> float:
    # In a unit near the largest value, so that no square overflows or vanishes. A power of two
    # leaves the digits as they are, and the bounds leave delta in the range of the loss.
    largest = max(np.abs(y_true).max(), np.abs(y_pred).max())
    largest = np.clip(largest, 1e-149 * delta, 1e149 * delta)
    unit = np.ldexp(1.0, np.frexp(largest)[1] - 1)
    y_true, y_pred, loss = y_true / unit, y_pred / unit, Huber(delta / unit)
    constant = np.full_like(y_true, best_constant(y_true, weight, loss))
    unexplained = float(loss(y_true, y_pred, sample_weight=weight))
    total = float(loss(y_true, constant, sample_weight=weight))
    if unexplained == 0.0:
        return 1.0
    return 1.0 - unexplained / total if total > 0.0 else 0.0


def best_constant(y: Array, weight: Array | None, loss: Huber) -> float:
    """Return the c that minimises the sum of ``w rho(y - c)``, to rounding.

    The slope of that sum is minus the pull ``sum w psi(y - c)``, which falls with c and is
    linear between the corners ``y - delta`` and ``y + delta``. A binary search finds the two
    adjacent corners between which it changes sign, and one Newton step from their middle is
    exact there. Every sum is of bounded terms, so that gross errors cost no digits.
    """
    weight = np.ones(len(y)) if weight is None else weight

    def pull(c: float) -> float:
        return float(np.sum(weight * loss.psi(y - c)))

    corners = np.sort(np.concatenate([y - loss.delta, y + loss.delta]))
    upper = bisect_left(corners, True, key=lambda c: pull(c) <= 0.0)
    low, high = corners[max(upper - 1, 0)], corners[upper]
    middle = 0.5 * (low + high)
    rest, curvature = pull(middle), float(np.sum(weight * loss.psi_prime(y - middle)))
    if curvature:
        c = np.clip(middle + rest / curvature, low, high)
    else:  # flat: any c will do; otherwise delta is lost in the rounding of y, and c is a corner
        c = high if rest >= 0.0 else low
    return float(np.clip(c, y.min(), y.max()))  # exactly y, if that is constant

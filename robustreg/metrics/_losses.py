"""Mean losses of predictions, by the loss objects."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from robustreg._arrays import Array
from robustreg.losses import Huber, LogCosh, Loss, SmoothL1
from robustreg.metrics._outputs import check_outputs


def _mean_loss(
    loss: Loss,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    multioutput: str | ArrayLike,
) -> Any:
    def metric(target: Array, guess: Array, weight: Array | None) -> float:
        return float(loss(target, guess, sample_weight=weight))

    return check_outputs(y_true, y_pred, sample_weight, multioutput).evaluate(metric)


def mean_huber_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
    delta: float = 1.0,
) -> Any:
    """Mean Huber loss: squared errors up to `delta`, absolute errors beyond.

    ``sum w rho(y_true - y_pred) / sum w`` with ``rho(r) = r^2 / 2`` for abs(r) up to `delta`, and
    ``delta (abs(r) - delta / 2)`` beyond.

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
        Where the loss turns straight, from 1e-150 to 1e150, in the units of y: a metric knows no
        scale of the noise. 1 is right for none but standardised targets. Take the size from which
        an error is gross, or ``1.345 * model.scale_`` of one fit for all that are compared.
        (`robustreg.losses.Huber` has another default, 1.345, in units of a scale.)

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Loss in squared units of y, at least 0; the best is 0. Its limit for large `delta` is half
        the mean squared error; divided by a small `delta`, it is the mean absolute error.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    robustreg.losses.Huber : The loss itself, its derivatives, other reductions.
    d2_huber_score : The same loss relative to that of the best constant.

    References
    ----------
    P. J. Huber (1964), "Robust estimation of a location parameter", Annals of Mathematical
    Statistics 35, 73-101.

    Examples
    --------
    >>> from robustreg.metrics import mean_huber_loss
    >>> mean_huber_loss([1.0, 2.0, 3.0], [1.0, 1.0, 7.0])  # mean of 0, 0.5 and 3.5
    1.3333333333333333
    >>> mean_huber_loss([1.0, 2.0, 3.0], [1.0, 1.0, 7.0], delta=2.0)
    2.1666666666666665
    """
    return _mean_loss(Huber(delta), y_true, y_pred, sample_weight, multioutput)


def mean_smooth_l1_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
    beta: float = 1.0,
) -> Any:
    """Mean smooth L1 loss: absolute errors with a parabola in place of the kink.

    ``sum w rho(y_true - y_pred) / sum w`` with ``rho(r) = r^2 / (2 beta)`` for abs(r) below
    `beta`, and ``abs(r) - beta / 2`` beyond. It is the mean Huber loss at ``delta=beta`` divided
    by `beta`.

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
    beta : float, default=1.0
        Where the parabola ends, from 1e-150 to 1e150, in the units of y; 0 gives the mean
        absolute error.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        Loss in units of y, at least 0; the best is 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    robustreg.losses.SmoothL1 : The loss itself, its derivatives, other reductions.

    References
    ----------
    R. Girshick (2015), "Fast R-CNN", IEEE International Conference on Computer Vision, 1440-1448.

    Examples
    --------
    >>> from robustreg.metrics import mean_smooth_l1_loss
    >>> mean_smooth_l1_loss([1.0, 2.0, 3.0], [1.0, 1.0, 7.0], beta=0.5)  # of 0, 0.75 and 3.75
    1.5
    """
    return _mean_loss(SmoothL1(beta), y_true, y_pred, sample_weight, multioutput)


def mean_log_cosh_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    multioutput: str | ArrayLike = "uniform_average",
) -> Any:
    """Mean log-cosh loss: nearly half squared errors below 1, absolute errors minus log 2 beyond.

    ``sum w log cosh(y_true - y_pred) / sum w``, without overflow.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets, in a unit in which 1 is a moderate error. For any other unit c there is
        ``robustreg.losses.LogCosh(c)``.
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
        Loss, at least 0; the best is 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or an argument is not what it must be.

    See Also
    --------
    robustreg.losses.LogCosh : The loss itself, its derivatives, other reductions.

    References
    ----------
    P. W. Holland, R. E. Welsch (1977), "Robust regression using iteratively reweighted
    least-squares", Communications in Statistics - Theory and Methods 6, 813-827.

    Examples
    --------
    >>> from robustreg.metrics import mean_log_cosh_loss
    >>> print(round(mean_log_cosh_loss([0.0, 0.0], [1.0, 1000.0]), 4))
    499.8703
    """
    return _mean_loss(LogCosh(), y_true, y_pred, sample_weight, multioutput)

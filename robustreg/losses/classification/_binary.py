"""Losses of truth values: of a probability, of a logit, and of a score with a sign."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from robustreg._namespace import at_least, constant, namespace_of
from robustreg.losses._arrays import Shape, apply_weight, check_same_shape, check_signs, real_arrays
from robustreg.losses._base import Loss
from robustreg.losses._parameters import along_last_axis, keep_number, keep_weights
from robustreg.losses.classification._classes import check_probabilities

LEAST_LOG = -100.0  # what the logarithm of a probability is bounded by
# Of a truth value, by which slopes are divided: 1e-12 in single precision, as PyTorch has it.
LEAST_VARIANCE = float(np.float32(1e-12))


class _Truths(NamedTuple):
    """Targets and predictions of one shape, with what entries count for."""

    target: Any
    prediction: Any
    by_column: Any  # broadcast to that shape; None for 1
    positive: Any = 1.0


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of truth values, given their probabilities.

    With the target t, the probability p and the weight w of a column,

    ========  ================================================================
    value     ``- w (t max(log p, -100) + (1 - t) max(log(1 - p), -100))``
    by p      ``w (p - t) / max(p (1 - p), 1e-12)``
    ========  ================================================================

    "mean" divides by the sum of the sample weights over all entries; w has no part in it.

    Parameters
    ----------
    weight : array-like of shape (C,), default=None
        Weights of the columns, entries of the last axis, at least 0.

    Notes
    -----
    Targets and predictions have one shape, which is that of the losses, and are from 0 to 1. A
    probability of 0 for what is true costs 100 in place of infinity, and the slope there is 1e12,
    so that one such entry does not make NaN of a sum and of all that follows from it. Both bounds
    are PyTorch's. The slope is therefore not the derivative of the bounded value; a loss of the
    logit, which needs no bounds, is the better choice where there is one.

    See Also
    --------
    BinaryCrossEntropyWithLogits : The same of logits.

    References
    ----------
    I. J. Good (1952). Rational decisions. Journal of the Royal Statistical Society B 14, 107-114.

    Examples
    --------
    >>> from robustreg.losses import BinaryCrossEntropy
    >>> print(BinaryCrossEntropy()([1, 0, 1], [0.5, 0.75, 0.0], reduction="none").round(3))
    [  0.693   1.386 100.   ]
    >>> print(BinaryCrossEntropy().gradient([1, 0], [0.5, 0.75]))
    [-1.  2.]
    """

    weight: Any = None

    def __post_init__(self) -> None:
        if self.weight is not None:
            keep_weights(self, "weight")

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Truths, Shape]:
        target, p = real_arrays({"y_true": y_true, "y_pred": y_pred[0]})
        shape = check_same_shape({"y_true": target, "y_pred": p})
        check_probabilities(target, "y_true")
        check_probabilities(p, "y_pred")
        return _Truths(target, p, along_last_axis(self, "weight", p)), shape

    def _values(self, inputs: _Truths) -> Any:
        target, p = inputs.target, inputs.prediction
        xp, fixed = namespace_of(p), constant(p)
        # at the ends the value is bounded, and has a slope that is not its derivative
        at_end = fixed * (1 - fixed) < LEAST_VARIANCE
        bounded = -target * at_least(xp.log(fixed), LEAST_LOG)
        bounded = bounded - (1 - target) * at_least(xp.log1p(-fixed), LEAST_LOG)
        end = bounded + (fixed - target) / LEAST_VARIANCE * (p - fixed)
        inside = xp.where(at_end, 0.5, p)
        value = -target * xp.log(inside) - (1 - target) * xp.log1p(-inside)
        return _times(xp.where(at_end, end, value), inputs.by_column)

    def _derivatives(self, inputs: _Truths, weight: Any) -> tuple[Any, ...]:
        target, p = inputs.target, inputs.prediction
        slope = (p - target) / at_least(p * (1 - p), LEAST_VARIANCE)
        return (apply_weight(_times(slope, inputs.by_column), weight),)


@dataclass(frozen=True)
class BinaryCrossEntropyWithLogits(Loss):
    """Cross-entropy of truth values, given their logits.

    With the target t, the logit x, the sigmoid ``s(x) = 1 / (1 + exp(-x))``, the weight w of a
    column and the weight v of what is true,

    ========  ================================================================
    value     ``w (t v log(1 + exp(-x)) + (1 - t) log(1 + exp(x)))``
    by x      ``w ((1 - t) s(x) - t v s(-x))``
    ========  ================================================================

    "mean" divides by the sum of the sample weights over all entries; w and v have no part in it.

    Parameters
    ----------
    weight : array-like of shape (C,), default=None
        Weights of the columns, entries of the last axis, at least 0.
    pos_weight : float or array-like of shape (C,), default=None
        What the part of the true counts for, one number or one for each column. A column of a
        tenth of true entries is balanced by 9.

    Notes
    -----
    Targets, from 0 to 1, and predictions have one shape, which is that of the losses. No digit is
    lost at logits of any size.

    See Also
    --------
    BinaryCrossEntropy : The same of probabilities.
    SoftMargin : The same of signs in place of truth values.

    References
    ----------
    D. R. Cox (1958). The regression analysis of binary sequences. Journal of the Royal Statistical
    Society B 20, 215-242.

    Examples
    --------
    >>> from robustreg.losses import BinaryCrossEntropyWithLogits
    >>> loss = BinaryCrossEntropyWithLogits()
    >>> print(loss([1, 1, 0], [0.0, 1e5, 1e5], reduction="none").round(3))
    [6.93e-01 0.00e+00 1.00e+05]
    >>> print(loss.gradient([1, 1, 0], [0.0, 1e5, 1e5], reduction="sum"))
    [-0.5  0.   1. ]
    """

    weight: Any = None
    pos_weight: Any = None

    def __post_init__(self) -> None:
        if self.weight is not None:
            keep_weights(self, "weight")
        if isinstance(self.pos_weight, Real):
            keep_number(self, "pos_weight", 0.0)
        elif self.pos_weight is not None:
            keep_weights(self, "pos_weight")

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Truths, Shape]:
        target, x = real_arrays({"y_true": y_true, "y_pred": y_pred[0]})
        shape = check_same_shape({"y_true": target, "y_pred": x})
        check_probabilities(target, "y_true")
        by_column = along_last_axis(self, "weight", x)
        positive = along_last_axis(self, "pos_weight", x)
        return _Truths(target, x, by_column, 1.0 if positive is None else positive), shape

    def _values(self, inputs: _Truths) -> Any:
        target, x, by_column, positive = inputs
        side, size = _side_and_size(x)
        tail = namespace_of(x).log1p(namespace_of(x).exp(-size))
        # log(1 + exp(x)) is the positive part of x and a tail that is the same of -x
        below, above = 0.5 * (side - 1.0) * x + tail, 0.5 * (side + 1.0) * x + tail
        return _times(target * positive * below + (1 - target) * above, by_column)

    def _derivatives(self, inputs: _Truths, weight: Any) -> tuple[Any, ...]:
        target, x, by_column, positive = inputs
        side, size = _side_and_size(x)
        xp = namespace_of(x)
        small = xp.exp(-size)
        share, rest = 1.0 / (1.0 + small), small / (1.0 + small)
        above = xp.where(side > 0, share, rest)  # 1 / (1 + exp(-x))
        below = xp.where(side > 0, rest, share)
        slope = (1 - target) * above - target * positive * below
        return (apply_weight(_times(slope, by_column), weight),)


@dataclass(frozen=True)
class SoftMargin(Loss):
    """Logistic loss of a score whose sign is to be that of the target.

    ========  ===============================
    value     ``log(1 + exp(-y x))``
    by x      ``-y / (1 + exp(y x))``
    ========  ===============================

    "mean" divides by the sum of the sample weights over all entries.

    Notes
    -----
    Targets y, -1 or 1, and scores x have one shape, which is that of the losses.

    See Also
    --------
    BinaryCrossEntropyWithLogits : The same of truth values in place of signs.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009). The Elements of Statistical Learning. Springer,
    section 10.6.

    Examples
    --------
    >>> from robustreg.losses import SoftMargin
    >>> print(SoftMargin()([1, -1, -1], [0.0, -1e5, 1e5], reduction="none").round(3))
    [6.93e-01 0.00e+00 1.00e+05]
    """

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[tuple[Any, Any], Shape]:
        target, x = real_arrays({"y_true": y_true, "y_pred": y_pred[0]})
        shape = check_same_shape({"y_true": target, "y_pred": x})
        check_signs(target)
        return (target, x), shape

    def _values(self, inputs: tuple[Any, Any]) -> Any:
        target, x = inputs
        return softplus(-target * x)

    def _derivatives(self, inputs: tuple[Any, Any], weight: Any) -> tuple[Any, ...]:
        target, x = inputs
        return (apply_weight(-target * sigmoid(-target * x), weight),)


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``."""
    side, size = _side_and_size(x)
    xp = namespace_of(x)
    return 0.5 * (side + 1.0) * x + xp.log1p(xp.exp(-size))


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``, by an exponential that does not overflow."""
    side, size = _side_and_size(x)
    xp = namespace_of(x)
    small = xp.exp(-size)
    return xp.where(side > 0, 1.0, small) / (1.0 + small)


def _side_and_size(x: Any) -> tuple[Any, Any]:
    """1 or -1 by the sign of x, and ``|x|`` as their product: both derivatives are right at 0."""
    xp = namespace_of(x)
    side = xp.where(x >= 0, xp.ones_like(x), -xp.ones_like(x))
    return side, side * x


def _times(values: Any, by_column: Any) -> Any:
    return values if by_column is None else by_column * values

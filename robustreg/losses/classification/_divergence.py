"""The Kullback-Leibler divergence of two distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from robustreg._namespace import namespace_of
from robustreg.losses._arrays import (
    REDUCTIONS,
    Shape,
    apply_weight,
    as_float_array,
    check_same_shape,
    floating_dtype,
    of_one_kind,
)
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_flag
from robustreg.losses.classification._classes import (
    check_log_probabilities,
    check_probabilities,
)


class _Distributions(NamedTuple):
    probability: Any  # of the targets
    log_probability: Any  # of the targets; anything where that of 0 would be needed
    predicted: Any  # log-probabilities


@dataclass(frozen=True)
class KLDivergence(Loss):
    """Kullback-Leibler divergence of a prediction from the target, entry by entry.

    With the probability p of the target and the predicted log-probability l,

    ========  =================================================
    value     ``p (log p - l)``, which is 0 where p is 0
    by l      ``-p``
    ========  =================================================

    The divergence KL(p || q) of two distributions is the sum of this over their entries. The
    reduction "mean" divides by the sum of the sample weights over *all entries*, so that it is
    smaller than the mean divergence by the number of entries a distribution has; "batchmean"
    divides by that sum over the rows, and is the mean divergence. Both are PyTorch's.

    Parameters
    ----------
    log_target : bool, default=False
        Whether targets are log-probabilities, too.

    Notes
    -----
    Targets and predictions have one shape, which is that of the losses. Predictions are
    log-probabilities, at most 0; minus infinity, the logarithm of 0, costs infinity where p is
    positive.

    See Also
    --------
    CrossEntropy : More by the entropy of the targets.

    References
    ----------
    S. Kullback, R. A. Leibler (1951). On information and sufficiency. Annals of Mathematical
    Statistics 22, 79-86.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.losses import KLDivergence
    >>> p, q = [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]
    >>> print(KLDivergence()(p, np.log(q), reduction="none").sum(axis=1).round(3))
    [0.347 0.693]
    >>> print(KLDivergence()(p, np.log(q), reduction="batchmean").round(3))
    0.52
    >>> print(KLDivergence()(p, np.log(q)).round(3))  # a third of that
    0.173
    """

    log_target: bool = False

    reductions: ClassVar[tuple[str, ...]] = (*REDUCTIONS, "batchmean")

    def __post_init__(self) -> None:
        keep_flag(self, "log_target")

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Distributions, Shape]:
        given = of_one_kind({"y_true": y_true, "y_pred": y_pred[0]})
        dtype = floating_dtype(given.values())
        target, predicted = (as_float_array(v, name, dtype) for name, v in given.items())
        shape = check_same_shape({"y_true": target, "y_pred": predicted})
        hint = " A softmax has to be taken, and its logarithm."
        check_log_probabilities(predicted, "y_pred", hint)
        xp = namespace_of(predicted)
        if self.log_target:
            check_log_probabilities(target, "y_true")
            return _Distributions(xp.exp(target), target, predicted), shape
        check_probabilities(target, "y_true")
        logarithm = xp.log(xp.where(target > 0, target, 1.0))
        return _Distributions(target, logarithm, predicted), shape

    def _values(self, inputs: _Distributions) -> Any:
        p, own, predicted = inputs
        xp, some = namespace_of(p), p > 0
        return p * (xp.where(some, own, 0.0) - xp.where(some, predicted, 0.0))

    def _derivatives(self, inputs: _Distributions, weight: Any) -> tuple[Any, ...]:
        return (apply_weight(-inputs.probability, weight),)

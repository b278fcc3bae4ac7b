"""A margin between the scores of several labels and those of all other classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from robustreg._namespace import arange, cast, namespace_of
from robustreg.losses._arrays import Shape, apply_weight, real_arrays
from robustreg.losses._base import Loss
from robustreg.losses.classification._classes import check_classes, check_labels, labels_and_scores


class _Labelled(NamedTuple):
    scores: Any  # (n, C)
    labels: list[Any]  # of shape (n,), as many as the row with most of them has
    ends: Any  # (n,) how many labels a row has
    others: Any  # (n, C) 1 for classes that are no label of their row


@dataclass(frozen=True)
class MultiLabelMargin(Loss):
    """Hinge loss between each label of a row and each class that is none of its labels.

    With the scores x_1, ..., x_C of a row and its labels T, of which one that is there twice counts
    twice,

    ========  ===================================================================
    value     ``sum_(j in T) sum_(i not in T) max(0, 1 - x_j + x_i) / C``
    by x_i    for i not in T the number of j in T with x_i > x_j - 1, over C; for
              i in T minus the number of others with x_j > x_i - 1, over C
    ========  ===================================================================

    "mean" divides by the sum of the sample weights over the rows.

    Notes
    -----
    Targets and predictions have the shape (n, C). A row of the targets starts with its labels,
    integers from 0 to C - 1, and goes on with -1; what follows the first -1 has no meaning. There
    is one loss for each row. It takes O(n C) operations for each label of the row with most.

    References
    ----------
    K. Crammer, Y. Singer (2003). A family of additive online algorithms for category ranking.
    Journal of Machine Learning Research 3, 1025-1058.

    Examples
    --------
    >>> from robustreg.losses import MultiLabelMargin
    >>> labels, scores = [[3, 0, -1, 1]], [[0.1, 0.2, 0.4, 0.8]]  # classes 3 and 0
    >>> print(MultiLabelMargin()(labels, scores).round(3))
    0.85
    """

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Labelled, Shape]:
        target, scores = labels_and_scores(y_true, *y_pred)
        (scores,) = real_arrays({"y_pred": scores})
        n_classes, shape = check_classes(scores)
        if scores.ndim != 2:
            raise ValueError(f"y_pred must have the shape (n, C), got {tuple(scores.shape)}.")
        check_labels(target, tuple(scores.shape), n_classes, other=-1, what="y_pred")
        xp = namespace_of(scores)
        ended, place = cast(target == -1, scores), arange(n_classes, scores)
        ends = xp.where(xp.max(ended, axis=1) > 0, xp.argmax(ended, axis=1), n_classes)
        labels = [target[:, j] for j in range(int(xp.max(ends)))]
        others = xp.ones_like(scores)
        for j, label in enumerate(labels):
            own = (label[:, None] == place[None, :]) & (ends > j)[:, None]
            others = xp.where(own, 0.0, others)
        return _Labelled(scores, labels, ends, others), shape

    def _values(self, inputs: _Labelled) -> Any:
        scores, labels, *_ = inputs
        xp, total = namespace_of(scores), 0.0
        for j in range(len(labels)):
            _, short = _shortfall(inputs, j)
            counts = (short > 0) & (inputs.others > 0)
            total = total + xp.sum(xp.where(counts, short, 0), axis=1)
        if not labels:
            return 0.0 * scores[:, 0]
        return total / scores.shape[1]

    def _derivatives(self, inputs: _Labelled, weight: Any) -> tuple[Any, ...]:
        scores = inputs.scores
        xp = namespace_of(scores)
        slope = xp.zeros_like(scores)
        for j in range(len(inputs.labels)):
            own, short = _shortfall(inputs, j)
            active = cast(short > 0, scores) * inputs.others
            slope = slope + active - own * xp.sum(active, axis=1, keepdims=True)
        each = None if weight is None else weight[:, None]
        return (apply_weight(slope / scores.shape[1], each),)


def _shortfall(inputs: _Labelled, j: int) -> tuple[Any, Any]:
    """Where the j-th labels are, and ``1 - x_j + x_i``; below 0 of rows with fewer labels."""
    scores, labels, ends, _ = inputs
    xp = namespace_of(scores)
    own = cast(labels[j][:, None] == arange(scores.shape[1], scores)[None, :], scores)
    chosen = xp.sum(own * scores, axis=1, keepdims=True)
    return own, xp.where((ends > j)[:, None], 1.0 - chosen + scores, -1.0)

"""Cross-entropy of classes: of log-probabilities, and of logits."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

from robustreg._namespace import as_kind, cast, constant, is_foreign, namespace_of
from robustreg.losses._arrays import Shape, apply_weight, total_of
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_number, keep_weights
from robustreg.losses.classification._classes import (
    check_classes,
    check_labels,
    check_log_probabilities,
    check_logits,
    check_probabilities,
    is_class,
    labels_and_scores,
)


class _Elements(NamedTuple):
    """Elements with an axis of classes: what is predicted of each, and what was to be."""

    scores: Any  # (n, C, ...) log-probabilities or logits
    labels: Any  # (n, ...) a class of each, any where an element is ignored; None: probabilities
    target: Any  # (n, C, ...) these; None where there are labels
    counted: Any  # (n, ...) 0 where an element is ignored, else 1
    by_class: Any = None  # (1, C, ...) weights of the classes; None for 1
    share: Any = None  # (n, ...) what an element counts for in the mean


@dataclass(frozen=True)
class NLL(Loss):
    """Negative log-likelihood of classes, given their log-probabilities.

    With the log-probabilities l_c of an element, the probabilities t_c of its target and the
    weights w_c of the classes, its loss is

    ========  =====================================
    value     ``- sum_c w_c t_c l_c``
    by l_c    ``- w_c t_c``
    ========  =====================================

    A label k stands for t_k = 1, and the loss is ``- w_k l_k``. "mean" divides by the sum of
    ``w_k`` over the elements, each times its sample weight, if targets are labels, and by the sum
    of the sample weights if they are probabilities.

    Parameters
    ----------
    weight : array-like of shape (C,) or "balanced", default=None
        Weights of the classes, at least 0. "balanced" makes them inverse to how often classes are
        in the targets: ``w_c = N / (C n_c)``, where n_c counts the elements of class c and N all,
        by their sample weights.
    ignore_index : int, default=None
        A label, which need not be one of the classes, whose elements have no part: their loss and
        gradient are 0, "none" included, and they do not count in "mean". It applies to labels, not
        to probabilities.

    Notes
    -----
    Called with targets of shape (n,) or (n, d1, ...), integers from 0 to C - 1, or of the shape of
    the predictions, probabilities; and with predictions of shape (n, C) or (n, C, d1, ...). Minus
    infinity is the logarithm of 0: where nothing is expected of a class it costs nothing.

    See Also
    --------
    CrossEntropy : The same of logits, of which it makes the log-probabilities.

    References
    ----------
    I. J. Good (1952). Rational decisions. Journal of the Royal Statistical Society B 14, 107-114.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.losses import NLL
    >>> log_probability = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    >>> print(NLL()([0, 2], log_probability, reduction="none").round(3))
    [0.693 0.223]
    >>> print(NLL(weight=[1, 1, 3]).gradient([0, 2], log_probability))  # over 1 + 3
    [[-0.25 -0.   -0.  ]
     [-0.   -0.   -0.75]]
    """

    weight: Any = None
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weight, str):
            if self.weight != "balanced":
                raise ValueError(
                    f'{type(self).__name__}: weight must be a vector or "balanced", '
                    f"got {self.weight!r}."
                )
        elif self.weight is not None:
            keep_weights(self, "weight")
        index: Any = self.ignore_index
        if index is not None:
            if not isinstance(index, Integral) or abs(int(index)) >= 2**31:
                raise ValueError(
                    f"{type(self).__name__}: ignore_index must be an integer of 32 bits, "
                    f"got {index!r}."
                )
            object.__setattr__(self, "ignore_index", int(index))

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Elements, Shape]:
        target, scores = labels_and_scores(y_true, *y_pred)
        n_classes, shape = check_classes(scores)
        self._check_scores(scores)
        xp = namespace_of(scores)
        counted = xp.ones_like(scores[:, 0, ...])
        if tuple(target.shape) == tuple(scores.shape):
            check_probabilities(target, "y_true")
            return _Elements(scores, None, cast(target, scores), counted), shape
        what = f"y_pred without its axis of {n_classes} classes, or (probabilities) with it"
        check_labels(target, shape, n_classes, other=self.ignore_index, what=what)
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            counted, target = cast(kept, scores), xp.where(kept, target, 0)
        return _Elements(scores, target, None, counted), shape

    def _check_scores(self, scores: Any) -> None:
        check_log_probabilities(scores, "y_pred", " CrossEntropy takes logits.")

    def _weighted(self, inputs: _Elements, weight: Any) -> _Elements:
        scores, labels, _, counted, *_ = inputs
        if self.weight is None:
            return inputs._replace(share=counted)
        n_classes, values = scores.shape[1], self.weight
        if values == "balanced":
            values = _balanced(inputs, weight)
        if len(values) != n_classes:
            raise ValueError(
                f"{type(self).__name__}: weight must have one entry for each of the {n_classes} "
                f"classes of y_pred, but has {len(values)}."
            )
        xp, by_class = namespace_of(scores), as_kind(values, scores)
        if labels is not None:
            chosen = xp.take(by_class, xp.reshape(labels, (-1,)), axis=0)
            counted = counted * xp.reshape(chosen, tuple(labels.shape))
        by_class = xp.reshape(by_class, (1, n_classes) + (1,) * (scores.ndim - 2))
        return inputs._replace(by_class=by_class, share=counted)

    def _values(self, inputs: _Elements) -> Any:
        scores, labels, target, _, by_class, share = inputs
        if labels is None:
            return _sum_of_mass(_product(target, by_class), scores)
        cost = -at_labels(scores, labels)
        return share * namespace_of(share).where(share > 0, cost, 0)

    def _derivatives(self, inputs: _Elements, weight: Any) -> tuple[Any, ...]:
        scores, labels, target, _, by_class, share = inputs
        if labels is None:
            return (_by_element(-_product(target, by_class), weight),)
        return (_by_element(-_spread(share, labels, scores), weight),)

    def _divisor(self, inputs: _Elements, weight: Any, shape: Shape) -> float:
        return float(total_of(apply_weight(inputs.share, weight)))


@dataclass(frozen=True)
class CrossEntropy(NLL):
    """Cross-entropy of classes, given their logits: `NLL` of their log-softmax.

    With the logits x_c of an element, the probabilities ``p_c = exp(x_c) / sum_b exp(x_b)``, the
    probabilities t_c of its target, the weights w_c of the classes and the share e of smoothing,

    ========  ==========================================================
    mass      ``m_c = w_c ((1 - e) t_c + e / C)``
    value     ``- sum_c m_c log p_c``
    by x_c    ``p_c (sum_b m_b) - m_c``
    ========  ==========================================================

    A label k stands for t_k = 1. "mean" divides by the sum of ``w_k`` over the elements, each times
    its sample weight, if targets are labels, and by the sum of the sample weights if they are
    probabilities.

    Parameters
    ----------
    weight : array-like of shape (C,) or "balanced", default=None
        Weights of the classes, as of `NLL`.
    ignore_index : int, default=None
        A label whose elements have no part, as of `NLL`.
    label_smoothing : float, default=0.0
        The share e of every target that is spread over all classes, from 0 to 1.

    Notes
    -----
    Called with targets of shape (n,) or (n, d1, ...), integers from 0 to C - 1, or of the shape of
    the predictions, probabilities; and with predictions of shape (n, C) or (n, C, d1, ...). The
    largest logit is taken off the others, so that no exponential overflows. A logit of minus
    infinity rules a class out.

    See Also
    --------
    NLL : The same of log-probabilities.
    KLDivergence : Less by the entropy of the targets.

    References
    ----------
    C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna (2016). Rethinking the Inception
    architecture for computer vision. IEEE Conference on Computer Vision and Pattern Recognition,
    2818-2826. (Label smoothing.)

    Examples
    --------
    Three classes, one of them ruled out by its logits:

    >>> from robustreg.losses import CrossEntropy
    >>> logits = [[0.0, 0.0, -1e5], [-1e5, 0.0, 1e5]]
    >>> print(CrossEntropy()([0, 2], logits, reduction="none").round(3))
    [0.693 0.   ]
    >>> print(CrossEntropy().gradient([0, 2], logits, reduction="sum"))
    [[-0.5  0.5  0. ]
     [ 0.   0.   0. ]]

    The cross-entropy of two distributions is the entropy of the first and the divergence between
    them, H(p, q) = H(p) + KL(p || q):

    >>> import numpy as np
    >>> from robustreg.losses import KLDivergence
    >>> p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.2, 0.7, 0.1]])
    >>> entropy = -np.sum(p * np.log(p))
    >>> divergence = KLDivergence()(p, np.log(q), reduction="sum")
    >>> bool(np.isclose(CrossEntropy()(p, np.log(q)), entropy + divergence, rtol=1e-14))
    True
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "label_smoothing", 0.0, 1.0)

    def _check_scores(self, scores: Any) -> None:
        check_logits(scores)

    def _values(self, inputs: _Elements) -> Any:
        scores, labels, _, _, _, share = inputs
        if labels is None or self.label_smoothing:
            return _sum_of_mass(self._mass(inputs), log_softmax(scores))
        below, xp = _below_largest(scores), namespace_of(scores)
        cost = xp.log(xp.sum(xp.exp(below), axis=1)) - at_labels(below, labels)
        return share * xp.where(share > 0, cost, 0)

    def _derivatives(self, inputs: _Elements, weight: Any) -> tuple[Any, ...]:
        scores, labels, _, _, _, share = inputs
        xp, powers = namespace_of(scores), namespace_of(scores).exp(_below_largest(scores))
        total = xp.sum(powers, axis=1)
        if labels is None or self.label_smoothing:
            mass = self._mass(inputs)
            each = xp.sum(mass, axis=1) / total
        else:
            mass, each = _spread(share, labels, scores), share / total
        return (_by_element(powers * xp.expand_dims(each, axis=1) - mass, weight),)

    def _mass(self, inputs: _Elements) -> Any:
        """What minus each log-probability is multiplied by."""
        scores, labels, target, counted, by_class, _ = inputs
        if labels is not None:
            target = _spread(counted, labels, scores)
        if self.label_smoothing:
            even = self.label_smoothing / scores.shape[1] * counted
            spread = namespace_of(scores).expand_dims(even, axis=1)
            target = (1.0 - self.label_smoothing) * target + spread
        return _product(target, by_class)


def at_labels(scores: Any, labels: Any) -> Any:
    """The entry of each element along axis 1 at its label."""
    xp = namespace_of(scores)
    return xp.take_along_axis(scores, xp.expand_dims(labels, axis=1), axis=1)[:, 0, ...]


def log_softmax(scores: Any) -> Any:
    """``x_c - log(sum_b exp(x_b))`` along axis 1; the largest x is taken off before."""
    xp, below = namespace_of(scores), _below_largest(scores)
    return below - xp.log(xp.sum(xp.exp(below), axis=1, keepdims=True))


def _below_largest(scores: Any) -> Any:
    return scores - constant(namespace_of(scores).max(scores, axis=1, keepdims=True))


def _spread(values: Any, labels: Any, scores: Any) -> Any:
    """Values of elements at their labels along axis 1, and 0 at the other classes."""
    xp = namespace_of(scores)
    return xp.where(is_class(labels, scores), xp.expand_dims(values, axis=1), 0)


def _product(target: Any, by_class: Any) -> Any:
    return target if by_class is None else target * by_class


def _sum_of_mass(mass: Any, log_probability: Any) -> Any:
    """``- sum_c m_c l_c`` along axis 1, where no mass costs nothing even at minus infinity."""
    xp, counts = namespace_of(mass), mass != 0
    return xp.sum(mass * xp.where(counts, -log_probability, 0), axis=1)


def _by_element(slope: Any, weight: Any) -> Any:
    """Derivatives with an axis of classes, each element's times its weight."""
    if weight is None:
        return slope
    return apply_weight(slope, namespace_of(slope).expand_dims(weight, axis=1))


def _balanced(inputs: _Elements, weight: Any) -> list[float]:
    """``N / (C n_c)``, with the number n_c of elements of each class and N of all."""
    scores, labels, target, counted, *_ = inputs
    if labels is not None:
        target = _spread(counted, labels, scores)
    axes = tuple(axis for axis in range(scores.ndim) if axis != 1)
    counts = namespace_of(scores).sum(_by_element(target, weight), axis=axes)
    foreign = range(scores.shape[1]) if is_foreign(counts) else ()
    each = [float(counts[c]) for c in foreign] or counts.tolist()
    if min(each) == 0.0:
        raise ValueError(
            f'weight="balanced" needs elements of every class, but of class {each.index(0.0)} '
            f"there is none among the {len(each)} classes of y_pred."
        )
    return [sum(each) / (len(each) * count) for count in each]

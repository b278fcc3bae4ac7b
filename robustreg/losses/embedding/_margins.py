"""Margins of a distance, and of the order of two scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from robustreg._namespace import cast, namespace_of, positive_part
from robustreg.losses._arrays import Shape, apply_weight, check_same_shape, check_signs, real_arrays
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_number


@dataclass(frozen=True)
class HingeEmbedding(Loss):
    """A distance that is to be small for pairs that belong together, and large for others.

    ========  ==========  ======================
    ..        y = 1       y = -1
    ========  ==========  ======================
    value     x           ``max(0, margin - x)``
    by x      1           -1 up to the margin, 0 beyond
    ========  ==========  ======================

    "mean" divides by the sum of the sample weights over all entries.

    Parameters
    ----------
    margin : float, default=1.0
        The distance from which on pairs that do not belong together cost nothing.

    Notes
    -----
    Targets y, -1 or 1, and distances x have one shape, which is that of the losses.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun (2006). Dimensionality reduction by learning an invariant
    mapping. IEEE Conference on Computer Vision and Pattern Recognition, 1735-1742.

    Examples
    --------
    >>> from robustreg.losses import HingeEmbedding
    >>> print(HingeEmbedding()([1, -1, -1], [0.25, 0.25, 3.0], reduction="none"))
    [0.25 0.75 0.  ]
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        keep_number(self, "margin")

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[tuple[Any, Any], Shape]:
        target, x = real_arrays({"y_true": y_true, "y_pred": y_pred[0]})
        shape = check_same_shape({"y_true": target, "y_pred": x})
        check_signs(target)
        return (target, x), shape

    def _values(self, inputs: tuple[Any, Any]) -> Any:
        target, x = inputs
        return namespace_of(x).where(target > 0, x, positive_part(self.margin - x))

    def _derivatives(self, inputs: tuple[Any, Any], weight: Any) -> tuple[Any, ...]:
        target, x = inputs
        near = -cast(self.margin - x >= 0, x)
        return (apply_weight(namespace_of(x).where(target > 0, 1.0, near), weight),)


@dataclass(frozen=True)
class MarginRanking(Loss):
    """Hinge loss of two scores of which one is to be higher: the first where y = 1.

    With ``d = margin - y (x1 - x2)``,

    ========  =============================================
    value     ``max(0, d)``
    by x1     ``-y`` where d >= 0, else 0
    by x2     ``y`` where d >= 0, else 0
    ========  =============================================

    "mean" divides by the sum of the sample weights over all entries.

    Parameters
    ----------
    margin : float, default=0.0
        By how much the right order costs nothing.

    Notes
    -----
    Called as ``loss(y, x1, x2)``; targets y, -1 or 1, and scores have one shape, which is that of
    the losses.

    References
    ----------
    R. Herbrich, T. Graepel, K. Obermayer (2000). Large margin rank boundaries for ordinal
    regression. Advances in Large Margin Classifiers, MIT Press, 115-132.

    Examples
    --------
    >>> from robustreg.losses import MarginRanking
    >>> loss = MarginRanking(margin=0.5)
    >>> print(loss([1, 1, -1], [2.0, 2.0, 2.0], [0.0, 1.75, 1.0], reduction="none"))
    [0.   0.25 1.5 ]
    >>> by_first, by_second = loss.gradient([1, 1, -1], [2.0, 2.0, 2.0], [0.0, 1.75, 1.0])
    >>> print(by_first.round(3), by_second.round(3))
    [-0.    -0.333  0.333] [ 0.     0.333 -0.333]
    """

    margin: float = 0.0

    n_predictions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        keep_number(self, "margin")

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[tuple[Any, Any], Shape]:
        named = dict(zip(("y_true", "x1", "x2"), (y_true, *y_pred), strict=True))
        target, first, second = real_arrays(named)
        shape = check_same_shape({"y_true": target, "x1": first, "x2": second})
        check_signs(target)
        return (target, self.margin - target * (first - second)), shape

    def _values(self, inputs: tuple[Any, Any]) -> Any:
        return positive_part(inputs[1])

    def _derivatives(self, inputs: tuple[Any, Any], weight: Any) -> tuple[Any, ...]:
        target, short = inputs
        slope = apply_weight(target * cast(short >= 0, target), weight)
        return -slope, slope

"""The cosine between two vectors as a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from robustreg._namespace import at_least, cast, constant, namespace_of, positive_part
from robustreg.losses._arrays import Shape, apply_weight, check_same_shape, check_signs, real_arrays
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_number

# Is added to squared lengths, so that a vector of zeros has a cosine: 0. It is PyTorch's 1e-12, in
# single precision.
LEAST_SQUARE = float(np.float32(1e-12))


class _Pairs(NamedTuple):
    target: Any  # (n,)
    first: Any  # (n, d)
    second: Any


class _Scaled(NamedTuple):
    """Vectors in units of their largest entry, where that is above 1."""

    vector: Any  # (n, d)
    unit: Any  # (n, 1)
    square: Any  # (n, 1), with what is added


@dataclass(frozen=True)
class CosineEmbedding(Loss):
    """Cosine of vectors that are to point the same way where y = 1, and not to where y = -1.

    With ``c = a'b / sqrt((a'a + 1e-12) (b'b + 1e-12))``,

    ========  =============  =====================
    ..        y = 1          y = -1
    ========  =============  =====================
    value     ``1 - c``      ``max(0, c - margin)``
    by c      -1             1 from the margin on, else 0
    ========  =============  =====================

    and c has the derivative ``b / sqrt((a'a + 1e-12) (b'b + 1e-12)) - c a / (a'a + 1e-12)`` by a.
    "mean" divides by the sum of the sample weights over the rows.

    Parameters
    ----------
    margin : float, default=0.0
        The cosine, from -1 to 1, up to which vectors that do not belong together cost nothing.

    Notes
    -----
    Called as ``loss(y, a, b)`` with targets of shape (n,), -1 or 1, and vectors of shape (n, d).
    There is one loss for each row.

    References
    ----------
    R. Hadsell, S. Chopra, Y. LeCun (2006). Dimensionality reduction by learning an invariant
    mapping. IEEE Conference on Computer Vision and Pattern Recognition, 1735-1742. (Of distances.)

    Examples
    --------
    >>> from robustreg.losses import CosineEmbedding
    >>> a, b = [[1.0, 0.0], [1.0, 0.0]], [[3.0, 4.0], [3.0, 4.0]]
    >>> print(CosineEmbedding()([1, -1], a, b, reduction="none").round(3))
    [0.4 0.6]
    """

    margin: float = 0.0

    n_predictions: ClassVar[int] = 2

    def __post_init__(self) -> None:
        keep_number(self, "margin", -1.0, 1.0)

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Pairs, Shape]:
        named = dict(zip(("y_true", "x1", "x2"), (y_true, *y_pred), strict=True))
        target, first, second = real_arrays(named)
        shape = check_same_shape({"x1": first, "x2": second})
        if len(shape) != 2 or tuple(target.shape) != shape[:1]:
            raise ValueError(
                "x1 and x2 must have the shape (n, d) and y_true the shape (n,), got "
                f"{shape} and {tuple(target.shape)}."
            )
        check_signs(target)
        return _Pairs(target, first, second), shape[:1]

    def _values(self, inputs: _Pairs) -> Any:
        cosine = _cosine(_scaled(inputs.first), _scaled(inputs.second))
        apart = positive_part(cosine - self.margin)
        return namespace_of(cosine).where(inputs.target > 0, 1.0 - cosine, apart)

    def _derivatives(self, inputs: _Pairs, weight: Any) -> tuple[Any, ...]:
        first, second = _scaled(inputs.first), _scaled(inputs.second)
        cosine = _cosine(first, second)
        xp = namespace_of(cosine)
        beyond = cast(cosine - self.margin >= 0, cosine)
        slope = apply_weight(xp.where(inputs.target > 0, -1.0, beyond), weight)[:, None]
        length = xp.sqrt(first.square) * xp.sqrt(second.square)
        return tuple(
            slope * ((other.vector / length - cosine[:, None] * own.vector / own.square) / own.unit)
            for own, other in ((first, second), (second, first))
        )


def _scaled(vector: Any) -> _Scaled:
    xp = namespace_of(vector)
    unit = at_least(constant(xp.max(xp.abs(vector), axis=1, keepdims=True)), 1.0)
    scaled = vector / unit
    square = xp.sum(scaled * scaled, axis=1, keepdims=True) + LEAST_SQUARE / (unit * unit)
    return _Scaled(scaled, unit, square)


def _cosine(first: _Scaled, second: _Scaled) -> Any:
    xp = namespace_of(first.vector)
    product = xp.sum(first.vector * second.vector, axis=1)
    return product / (xp.sqrt(first.square) * xp.sqrt(second.square))[:, 0]

"""Two distances from one point, of which one is to be the smaller."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from robustreg._namespace import absolute, cast, constant, namespace_of, positive_part
from robustreg._numbers import as_number
from robustreg.losses._arrays import Shape, apply_weight, check_same_shape, real_arrays
from robustreg.losses._base import Loss
from robustreg.losses._parameters import keep_flag, keep_number


class _Triplets(NamedTuple):
    anchor: Any  # (n, d)
    positive: Any
    negative: Any


@dataclass(frozen=True)
class TripletMargin(Loss):
    """Hinge loss of the distances from an anchor: to what belongs to it, and to what does not.

    With the distance ``d(u, v) = ||u - v + eps||_p`` and ``D = d(a, p) - d(a, n) + margin``,

    ========  =================================================================
    value     ``max(0, D)``
    by a      where D >= 0 the derivative of d(a, p) by a, less that of d(a, n)
    by p, n   where D >= 0 minus the derivative of d(a, p), and that of d(a, n)
    ========  =================================================================

    A distance has the derivative ``sign(z_k) |z_k|^(p-1) / d^(p-1)`` by u_k, with z = u - v + eps,
    and none where it is 0. With `swap`, d(p, n) takes the place of d(a, n) where it is smaller.
    "mean" divides by the sum of the sample weights over the rows.

    Parameters
    ----------
    margin : float, default=1.0
        By how much the other distance has to be larger to cost nothing; at least 0.
    p : float, default=2.0
        The norm, at least 1; infinity is the largest entry.
    swap : bool, default=False
        Whether the nearer of anchor and positive is what the negative is compared with.
    eps : float, default=1e-6
        Is added to every difference, so that equal points have a distance with a derivative.

    Notes
    -----
    Called as ``loss(anchor, positive, negative)`` with vectors of shape (n, d); there are no
    targets, and `gradient` returns three arrays. There is one loss for each row.

    References
    ----------
    V. Balntas, E. Riba, D. Ponsa, K. Mikolajczyk (2016). Learning local feature descriptors with
    triplets and shallow convolutional neural networks. British Machine Vision Conference, 119.1-11.

    Examples
    --------
    >>> from robustreg.losses import TripletMargin
    >>> anchor, positive, negative = [[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]]
    >>> print(TripletMargin(eps=0.0)(anchor, positive, negative))
    0.5
    >>> print(TripletMargin(eps=0.0, swap=True)(anchor, positive, negative).round(3))
    2.646
    """

    margin: float = 1.0
    p: float = 2.0
    swap: bool = False
    eps: float = 1e-6

    n_targets: ClassVar[int] = 0
    n_predictions: ClassVar[int] = 3

    def __post_init__(self) -> None:
        keep_number(self, "margin", 0.0)
        keep_number(self, "eps", 0.0)
        keep_flag(self, "swap")
        p = as_number(self.p)
        if not p >= 1.0:
            raise ValueError(f"TripletMargin: p must be a number of at least 1, got {self.p!r}.")
        object.__setattr__(self, "p", p)

    def _check(self, y_true: Any, *y_pred: Any) -> tuple[_Triplets, Shape]:
        named = dict(zip(("anchor", "positive", "negative"), (y_true, *y_pred), strict=True))
        vectors = dict(zip(named, real_arrays(named), strict=True))
        shape = check_same_shape(vectors)
        if len(shape) != 2:
            raise ValueError(
                f"anchor, positive and negative must have the shape (n, d), got {shape}."
            )
        return _Triplets(**vectors), shape[:1]

    def _distance(self, u: Any, v: Any) -> Any:
        """``||u - v + eps||_p`` of each row, in units of the largest entry: no power overflows."""
        z, unit = self._scaled(u - v + self.eps)
        xp = namespace_of(z)
        if math.isinf(self.p):
            return unit[:, 0] * xp.max(absolute(z), axis=1)
        total = xp.sum(z * z if self.p == 2.0 else absolute(z) ** self.p, axis=1)
        some = total > 0
        root = xp.where(some, total, 1.0) ** (1.0 / self.p)
        return unit[:, 0] * xp.where(some, root, 0.0)

    def _direction(self, u: Any, v: Any) -> Any:
        """The derivative of the distance by u; at infinite p entries share that are alike."""
        z, _ = self._scaled(u - v + self.eps)
        xp = namespace_of(z)
        size = xp.abs(z)
        if math.isinf(self.p):
            largest = cast(size == xp.max(size, axis=1, keepdims=True), z)
            return xp.sign(z) * largest / xp.sum(largest, axis=1, keepdims=True)
        total = xp.sum(size**self.p, axis=1, keepdims=True)
        length = xp.where(total > 0, total, 1.0) ** ((self.p - 1.0) / self.p)
        return xp.sign(z) * size ** (self.p - 1.0) / length

    def _scaled(self, z: Any) -> tuple[Any, Any]:
        xp = namespace_of(z)
        unit = constant(xp.max(xp.abs(z), axis=1, keepdims=True))
        unit = xp.where(unit > 0, unit, 1.0)
        return z / unit, unit

    def _parts(self, inputs: _Triplets) -> tuple[Any, Any]:
        """D of each row, and whether the negative is compared with the positive."""
        anchor, positive, negative = inputs
        near, far = self._distance(anchor, positive), self._distance(anchor, negative)
        if not self.swap:
            return near - far + self.margin, None
        other = self._distance(positive, negative)
        swapped = other < far
        return near - namespace_of(far).where(swapped, other, far) + self.margin, swapped

    def _values(self, inputs: _Triplets) -> Any:
        return positive_part(self._parts(inputs)[0])

    def _derivatives(self, inputs: _Triplets, weight: Any) -> tuple[Any, ...]:
        anchor, positive, negative = inputs
        short, swapped = self._parts(inputs)
        active = apply_weight(cast(short >= 0, short), weight)[:, None]
        near = active * self._direction(anchor, positive)
        far = active * self._direction(anchor, negative)
        if swapped is None:
            return near - far, -near, far
        xp, chosen = namespace_of(far), swapped[:, None]
        other = xp.where(chosen, active * self._direction(positive, negative), 0.0)
        far = xp.where(chosen, 0.0, far)
        return near - far, -near - other, far + other

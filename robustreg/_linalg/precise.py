"""Arithmetic in twice the working precision, for small data."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustreg._arrays import TINY, Array, Index
from robustreg._cached import cached_property

SPLITTER = 2.0**27 + 1.0  # splits the 53 bits of a double into two halves of 26
DEPENDENT = 1e-20  # of a column: what rounding may leave of one that depends on others


class Precise:
    """Numbers that are unevaluated sums of two doubles, and so have about 32 digits.

    Sums, differences, products and quotients are right but for some units in the last of their
    106 bits (Dekker, 1971); those of numbers that nearly cancel, but for that share of the
    larger one. They broadcast as arrays do, and the other operand may be an array.

    Parameters
    ----------
    high : array-like
        The numbers, rounded to doubles.
    low : ndarray, default=None
        What rounding has left; None is 0.

    Examples
    --------
    >>> from robustreg._linalg.precise import Precise
    >>> large = Precise([1e16, 1.0, -1e16])
    >>> print(large.sum().rounded(), (large * large).sum(0).high)
    1.0 2e+32
    """

    __slots__ = ("high", "low")
    __array_ufunc__ = None  # arrays leave operations with these numbers to this class

    def __init__(self, high: Any, low: Any = None) -> None:
        self.high: Array = np.asarray(high, dtype=np.float64)
        self.low: Array = np.zeros_like(self.high) if low is None else low

    @property
    def shape(self) -> tuple[int, ...]:
        """As of the arrays."""
        return self.high.shape

    @property
    def T(self) -> Precise:  # noqa: N802
        """The transpose."""
        return Precise(self.high.T, self.low.T)

    def rounded(self) -> Array:
        """The nearest doubles."""
        return self.high + self.low

    def copy(self) -> Precise:
        """Numbers of their own."""
        return Precise(self.high.copy(), self.low.copy())

    def where(self, mask: Any, other: Any) -> Precise:
        """These numbers where ``mask`` is true, the other ones elsewhere."""
        other = precise(other)
        high = np.where(mask, self.high, other.high)
        return Precise(high, np.where(mask, self.low, other.low))

    def __getitem__(self, key: Any) -> Precise:
        return Precise(self.high[key], self.low[key])

    def __setitem__(self, key: Any, value: Precise) -> None:
        self.high[key], self.low[key] = value.high, value.low

    def __neg__(self) -> Precise:
        return Precise(-self.high, -self.low)

    def __add__(self, other: Any) -> Precise:
        other = precise(other)
        total, lost = _sum(self.high, other.high)
        return Precise(*_renewed(total, lost + (self.low + other.low)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Precise:
        return self + (-precise(other))

    def __rsub__(self, other: Any) -> Precise:
        return precise(other) + (-self)

    def __mul__(self, other: Any) -> Precise:
        other = precise(other)
        product, lost = _product(self.high, other.high)
        lost = lost + (self.high * other.low + self.low * other.high)
        return Precise(*_renewed(product, lost))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Precise:
        other = precise(other)
        first = self.high / other.high
        left = self - other * first
        second = left.high / other.high
        third = (left - other * second).high / other.high
        return Precise(*_renewed(first, second)) + third

    def sqrt(self) -> Precise:
        """Square roots, by one step of Newton's method from those of the doubles."""
        root = np.sqrt(self.high)
        left = (self - Precise(*_product(root, root))).high
        return Precise(*_renewed(root, 0.5 * left / np.maximum(root, TINY)))

    def sum(self, axis: int = 0) -> Precise:
        """Sums along an axis: one half is added to the other until one is left.

        What is lost of the larger parts is added to the smaller ones, of which it is a unit.
        """
        high, low = np.moveaxis(self.high, axis, 0), np.moveaxis(self.low, axis, 0)
        if not len(high):
            return Precise(np.zeros(high.shape[1:]))
        while len(high) > 1:
            half = (len(high) + 1) // 2  # of an odd number, the one in the middle is left
            moved = len(high) - half
            total, lost = _sum(high[:moved], high[half:])
            left = low[:moved] + low[half:] + lost
            if moved < half:
                total = np.concatenate([total, high[moved:half]])
                left = np.concatenate([left, low[moved:half]])
            high, low = total, left
        return Precise(*_renewed(high[0], low[0]))

    def __matmul__(self, vector: Any) -> Precise:
        """A matrix times a vector."""
        return (self * vector).sum(axis=-1)


def precise(values: Any) -> Precise:
    """Numbers in twice the working precision, from doubles or as they are."""
    return values if isinstance(values, Precise) else Precise(values)


def concatenated(parts: list[Precise], axis: int = 0) -> Precise:
    """Arrays joined along an axis."""
    high, low = ([getattr(part, name) for part in parts] for name in ("high", "low"))
    return Precise(np.concatenate(high, axis), np.concatenate(low, axis))


class Triangle:
    """The triangular factor R of a matrix B, ``R'R = B'B``, by the modified Gram-Schmidt method.

    Columns are taken in the order of what is left of them, the longest first. B itself is not
    squared, so that R serves condition numbers up to 1e20 or so (Bjoerck, 1967).

    Attributes
    ----------
    rank : int
        The number of columns that do not depend on others.
    """

    def __init__(self, matrix: Precise) -> None:
        left, k = matrix.copy(), matrix.shape[1]
        size = np.sqrt(np.square(left.high).sum(axis=0))
        self.order: Index = np.arange(k)
        self.factor, self.rank = Precise(np.zeros((k, k))), 0
        for j in range(k):
            longest = j + int(np.argmax(np.square(left.high[:, j:]).sum(axis=0)))
            for part in (left, self.factor):
                part[:, [j, longest]] = part[:, [longest, j]].copy()
            self.order[[j, longest]] = self.order[[longest, j]]
            length = (left[:, j] * left[:, j]).sum().sqrt()
            if not length.high > DEPENDENT * size[self.order[j]]:
                break
            unit = left[:, [j]] / length
            along = (left[:, j + 1 :] * unit).sum()
            left[:, j + 1 :] = left[:, j + 1 :] - unit * along
            self.factor[j, j], self.factor[j, j + 1 :] = length, along
            self.rank = j + 1

    @cached_property
    def inverse(self) -> Precise:
        """The inverse of R, by substitution for all of its columns at a time."""
        r, k = self.factor, self.rank
        inverse = Precise(np.eye(k))
        for i in reversed(range(k)):
            inverse[i] = inverse[i] / r[i, i]
            inverse[:i] = inverse[:i] - r[:i, [i]] * inverse[[i]]
        return inverse

    def whitened(self, side: Precise) -> Precise:
        """The x with ``R'x = side``: slopes by columns become slopes by orthonormal ones."""
        return self.inverse.T @ side[self.order[: self.rank]]

    def solve(self, side: Precise) -> Precise:
        """The x with ``B'B x = side``, and 0 for columns that depend on others."""
        found = Precise(np.zeros(len(self.order)))
        found[self.order[: self.rank]] = self.inverse @ self.whitened(side)
        return found


def precise_slopes(values: Array, block: Array, offset: Array) -> tuple[float, Array]:
    """``sum(values)`` and ``values @ (block - offset)``, as good as exact before they are rounded.

    Costs about as much as forty products ``values @ block``.

    Examples
    --------
    >>> import numpy as np
    >>> values, block = np.array([1e16, 1.0, -1e16]), np.array([[3.0], [2.0], [3.0]])
    >>> total, slopes = precise_slopes(values, block, np.array([1.0]))
    >>> print(total, slopes)
    1.0 [1.]
    """
    total = Precise(values).sum()
    slopes = (Precise(values[:, None]) * block).sum() - total * offset
    return float(total.rounded()), slopes.rounded()


def precise_residual(
    target: Array, block: Array, offset: Array, beta: Array, intercept: float
) -> Array:
    """``target - (block - offset) @ beta - intercept``, as good as exact before it is rounded.

    The terms of columns far from 0, or nearly collinear, are far larger than residuals are.

    Examples
    --------
    >>> import numpy as np
    >>> block, beta = np.array([[1e16, 1e16]]), np.array([1.0, -1.0])
    >>> print(precise_residual(np.array([2.0]), block + [[2.0, 0.0]], np.zeros(2), beta, 1.0))
    [-1.]
    """
    shift = (Precise(offset) * beta).sum() - intercept
    return (target - Precise(block) @ beta + shift).rounded()


def _sum(first: Array, second: Array) -> tuple[Array, Array]:
    """Sums and their rounding errors."""
    total = first + second
    part = total - first
    return total, (first - (total - part)) + (second - part)


def _renewed(high: Array, low: Array) -> tuple[Array, Array]:
    """The same sums, ``high`` rounded to all its digits; it is the larger part."""
    total = high + low
    return total, low - (total - high)


def _product(first: Array, second: Array) -> tuple[Array, Array]:
    """Products and their rounding errors."""
    product = first * second
    (a, b), (c, d) = _split(first), _split(second)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _split(values: Array) -> tuple[Array, Array]:
    scaled = SPLITTER * values
    high = scaled - (scaled - values)
    return high, values - high

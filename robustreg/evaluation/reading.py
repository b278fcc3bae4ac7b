"""Reading X in blocks of rows: how these are centred, scaled and held is decided here.

A fit never copies X. It walks over blocks of rows that stay in the processor's cache;
each block is either a view of X (``offset`` is then subtracted through the intercept) or,
where that would lose digits, a small standardised copy (``offset`` is then zero). Of a sparse
block only the columns that need it are standardised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._namespace import doubles, is_foreign, lifted, sum_of
from robustreg.sources._array import WIDE

LONG_ROW = 1024  # entries a vectorised loop over a row should have
COPIED = 2**19  # bytes of a block that are copied at a time, to stay in cache


class NotFiniteError(ArithmeticError):
    """A sum over X is not finite: X holds NaN or infinity, or its squares overflow."""


@dataclass(frozen=True)
class Reading:
    """How rows of X are read, as ``A = (X - base) / unit``: small, and independent of the rows.

    Attributes
    ----------
    fit_intercept : bool
        Without an intercept nothing is centred.
    sparse : bool
        Whether X is sparse.
    centre, unit : ndarray of shape (p,)
        Columns' location and scale. The centre is near the mean; it equals the value of a
        constant column exactly, so that such a column is exactly zero after centring.
    base : ndarray of shape (p,)
        What ``read`` subtracts from the columns: the centre, or 0 of those that blocks view.
    offset : ndarray of shape (p,)
        What is still to be subtracted from the columns of a block ``read`` returns; once
        moments are known, it is moved onto the columns' means.
    flat : ndarray of shape (p,), bool
        Columns known to be constant though rounding may leave something of them.
    explicit : bool
        Whether every dense block is read as a standardised copy.
    near, single : bool
        Whether Gram matrices of the (dense) blocks may be summed without centring, and
        whether single precision gives them six digits and pays.
    far : bool
        Whether the columns of a sparse X are so far from 0 that uncentred sums lose digits.
    """

    fit_intercept: bool
    sparse: bool
    centre: Array
    unit: Array
    base: Array
    offset: Array
    flat: Mask
    explicit: bool = False
    near: bool = False
    single: bool = False
    far: bool = False

    @property
    def p(self) -> int:
        """Columns."""
        return len(self.unit)

    @property
    def scaled(self) -> bool:
        """Whether any unit is not 1."""
        return self.explicit or (self.sparse and bool((self.unit != 1.0).any()))

    @property
    def as_read(self) -> bool:
        """Whether sums over columns lose no digits where these are not centred."""
        return self.near or (self.sparse and not self.far)

    @property
    def _converts(self) -> bool:
        return self.sparse and (self.scaled or bool(self.base.any()))

    @cached_property
    def _offsets(self) -> Array:
        """The offset, over and over, for as many rows as make a long one."""
        rows = np.empty((max(1, LONG_ROW // self.p), self.p))
        rows[:] = self.offset
        return rows.ravel()

    @property
    def origin(self) -> Array:
        """Minus the point where X = 0, seen from the columns' means, in units of the blocks."""
        return self.offset + self.base / self.unit

    def coefficients(self, beta: Array) -> Array:
        """The blocks' coefficients in the user's columns; some may be infinite."""
        if not self.scaled:
            return beta
        with np.errstate(over="ignore"):
            return beta / self.unit

    def centre_from(self, other: Reading) -> Array:
        """Where blocks are centred, seen from where those of ``other`` are, in units of X."""
        moved = self.unit * self.offset - other.unit * other.offset
        return (self.base - other.base) + moved

    def read(self, X: Any) -> Any:
        """Some rows of X as a block, a view where that is possible."""
        if self._converts:
            data = (X.data - self.base[X.indices]) / self.unit[X.indices]
            return type(X)((data, X.indices, X.indptr), shape=X.shape, copy=False)
        if is_foreign(X):
            X = doubles(X)
        if self.explicit:
            with np.errstate(over="ignore"):  # the sums over X find out
                return (X - lifted(self.centre, X)) / lifted(self.unit, X)
        return X

    def centred(self, block: Any, index: Index | None = None) -> Array:
        """Dense copy of some rows of a block, centred; meant for a block's worth of rows."""
        if is_foreign(block):
            return block - lifted(self.offset, block)
        if self.sparse:
            part = (block if index is None else block[index]).toarray()
        else:  # take is twice as fast as indexing
            part = block if index is None else np.take(block, index, axis=0)
        return self._minus_offset(part, np.empty_like(part) if part is block else part)

    def _minus_offset(self, block: Array, out: Array) -> Array:
        """``block - offset``, three times as fast as by broadcasting where rows are short.

        Several rows at a time are one long row, from which that many offsets are subtracted.
        """
        n, p = block.shape
        group = len(self._offsets) // p
        if group < 2 or n < group or not block.flags.c_contiguous:
            return np.subtract(block, self.offset, out=out)
        bulk, shape = n - n % group, (-1, group * p)
        np.subtract(block[:bulk].reshape(shape), self._offsets, out=out[:bulk].reshape(shape))
        np.subtract(block[bulk:], self.offset, out=out[bulk:])
        return out


def copied_rows(n: int, p: int, item: int) -> int:
    """How many of n rows are copied at a time, in so many bytes an entry.

    Of wide ones all: their products take longer than a copy that has left the cache.
    """
    return n if p >= WIDE else COPIED // (item * p)


class Block(NamedTuple):
    """Rows of a table as they are read: m of them, with p columns.

    X, target and weight may all be on a device, in double precision.
    """

    reading: Reading
    X: Any  # (m, p) dense or CSR, in the units of the reading
    target: Array  # (m,)
    weight: Array | None  # (m,), None for ones
    place: Any  # which rows of the table they are: a slice, of rows that are picked an array

    def weighted(self, values: Array) -> Array:
        """Values of the rows times their weights; the values themselves where these are ones."""
        return values if self.weight is None else self.weight * values

    def total(self, values: Array) -> float:
        """The sum of values of the rows times their weights."""
        return sum_of(values) if self.weight is None else float(self.weight @ values)

    def among(self, index: Index) -> Index:
        """Where some rows of the table, in ascending order, are in the block; none in a sample."""
        if not isinstance(self.place, slice) or self.place.start is None:
            return index[:0]
        first, last = np.searchsorted(index, (self.place.start, self.place.stop))
        return index[first:last] - self.place.start

"""Reading X in blocks of rows: how these are centred, scaled and held is decided here.

A fit never copies X. It walks over blocks of rows that stay in the processor's cache;
each block is either a view of X (``offset`` is then subtracted through the intercept) or,
where that would lose digits, a small standardised copy (``offset`` is then zero). Of a sparse
block only the columns that need it are standardised.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.sparsefuncs import mean_variance_axis

from robustreg._arrays import EPS, TINY, Array, Index, Mask
from robustreg._parallel import map_ordered

BLOCK_BYTES = 2**22  # measured: smaller blocks let threads fight for the interpreter
MAX_CHUNKS = 32
WIDE = 50  # columns from which products cost more than everything else
LONG_ROW = 1024  # entries a vectorised loop over a row should have
PILOT_ROWS = 1024  # rows that suggest the centre; any centre within a few sd will do
# Beyond this ratio of mean to spread, centring through the intercept loses more than six digits.
MAX_MEAN_TO_SPREAD = 1e6
# Beyond this one, Gram matrices of sparse rows are summed over dense centred blocks: what
# uncentred sums lose is its square.
FAR_SPARSE = 1e2
# Uncentred sums of squares lose no more than a digit up to this ratio of mean to spread, ...
MAX_MEAN_NEAR = 3.0
LEAST_SINGLE, MOST_SINGLE = 1e-12, 1e12  # ... and for these spreads suit single precision.
# Squares and products of entries outside of these bounds leave the floating-point range.
TINY_ENTRY, HUGE_ENTRY = 1e-70, 1e70


class NotFiniteError(ArithmeticError):
    """A sum over X is not finite: X holds NaN or infinity, or its squares overflow."""


class RowBlocks:
    """Rows of X, in blocks, as ``A = (X - base) / unit``.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, p)
        Regressors. Never copied as a whole, never written to.
    weight : ndarray of shape (n,) or None
        Positive weights; None is all ones.
    fit_intercept : bool
        Without an intercept nothing is centred.
    n_threads : int
        Threads that share the chunks.
    standardise : bool, default=False
        Read every dense block as a standardised copy, for ill-conditioned X.

    Attributes
    ----------
    chunks : list of list of slice
        Each chunk is the work of one thread: consecutive blocks of rows.
    centre, unit : ndarray of shape (p,)
        Columns' location and scale. The centre is near the mean; it equals the value of a
        constant column exactly, so that such a column is exactly zero after centring.
    scaled : bool
        Whether any unit is not 1.
    flat : ndarray of shape (p,), bool
        Columns known to be constant though rounding may leave something of them.
    near, single : bool
        Whether Gram matrices of the (dense) blocks may be summed without centring, and
        whether single precision gives them six digits and pays.
    far : bool
        Whether the columns of a sparse X are so far from 0 that uncentred sums lose digits.
    base : ndarray of shape (p,)
        What ``read`` subtracts from the columns: the centre, or 0 of those that blocks view.
    offset : ndarray of shape (p,)
        What is still to be subtracted from the columns of a block ``read`` returns;
        ``moments`` moves it onto the columns' means.
    """

    def __init__(
        self,
        X: Any,
        weight: Array | None,
        fit_intercept: bool,
        n_threads: int,
        standardise: bool = False,
    ) -> None:
        self.X, self.weight, self.fit_intercept = X, weight, fit_intercept
        self.n_threads, self.sparse = n_threads, sparse.issparse(X)
        self.n, self.p = X.shape
        self.total = float(self.n if weight is None else weight.sum())
        self.chunks = _chunks(self.n, self.p)
        self.flat = np.zeros(self.p, dtype=bool)
        self.far = self.near = self.single = False
        self.unit, self.base = np.ones(self.p), np.zeros(self.p)
        self.centre, spread, hard = self._survey()
        self.explicit = not self.sparse and (standardise or hard or X.dtype != np.float64)
        self.near, self.single = self.near and not self.explicit, self.single and not self.explicit
        if self.explicit:
            self.unit, self.base = spread, self.centre
        self.offset = np.zeros(self.p)
        self.move_offset((self.centre - self.base) / self.unit)
        if self.far:
            self._shift_full_columns(spread)
        self.scaled = self.explicit or (self.sparse and bool((self.unit != 1.0).any()))
        self._converts = self.sparse and (self.scaled or bool(self.base.any()))

    def _survey(self) -> tuple[Array, Array, bool]:
        """Centre and unit of the columns, and whether X needs explicit standardising."""
        if self.sparse:
            return self._survey_sparse()
        step = max(1, self.n // PILOT_ROWS)
        # one column a row: reductions along short rows take several times as long
        pilot = np.array(self.X[::step].T, dtype=np.float64, order="C")
        largest = np.abs(pilot).max(axis=1)
        if not np.isfinite(largest).all():
            raise NotFiniteError
        # A power of two keeps every digit, and the squares below in range.
        two = np.ldexp(1.0, np.frexp(np.where(largest > 0, largest, 1.0))[1] - 1)
        pilot /= two[:, None]
        share = np.full(pilot.shape[1], 1.0) if self.weight is None else self.weight[::step]
        share = share / share.sum()
        centre = np.zeros(self.p)
        if self.fit_intercept:
            first = pilot[:, 0]
            constant = (pilot == first[:, None]).all(axis=1)
            centre = np.where(constant, first, pilot @ share)
            pilot -= centre[:, None]
        spread = np.sqrt(np.square(pilot, out=pilot) @ share)
        varies = np.all(spread > 0)  # what is left of a constant must be exactly 0: centre it
        spread = np.where(spread > 0, spread, 1.0)
        hard = np.any(np.abs(centre) > MAX_MEAN_TO_SPREAD * spread)
        extreme = np.any((two < TINY_ENTRY) | (two > HUGE_ENTRY))
        tame = np.all((spread * two > LEAST_SINGLE) & (spread * two < MOST_SINGLE))
        self.near = bool(varies and np.all(np.abs(centre) <= MAX_MEAN_NEAR * spread))
        self.single = bool(self.near and tame and self.p >= WIDE)
        return centre * two, np.maximum(spread * two, TINY), bool(hard or extreme)

    def _survey_sparse(self) -> tuple[Array, Array, bool]:
        mean, variance = mean_variance_axis(self.X, axis=0, weights=self.weight)
        tame = (variance > TINY_ENTRY**2) & (variance < HUGE_ENTRY**2)
        if not tame.all():
            self.unit = self._extreme_units(~tame)
        if np.any(self.unit != 1.0):
            scaled = _scaled_columns(self.X, 1 - np.frexp(self.unit)[1])
            mean, variance = mean_variance_axis(scaled, axis=0, weights=self.weight)
        variance = np.maximum(variance, 0.0)  # rounding may leave less of a constant column
        self.far = bool(np.any(mean**2 > FAR_SPARSE**2 * variance)) and self.fit_intercept
        if self.fit_intercept:  # a dense constant column is exactly 0 after centring, here not
            self.flat = variance <= (8 * EPS * mean) ** 2
        centre = mean * self.unit if self.fit_intercept else np.zeros(self.p)
        return centre, np.sqrt(variance) * self.unit, False

    def _extreme_units(self, columns: Mask) -> Array:
        """Powers of two for those of some columns whose squares leave the floating-point range."""
        largest = np.zeros(self.p)
        stored = columns[self.X.indices]
        np.maximum.at(largest, self.X.indices[stored], np.abs(self.X.data[stored]))
        extreme = (largest > 0.0) & ((largest < TINY_ENTRY) | (largest > HUGE_ENTRY))
        two = np.maximum(np.ldexp(1.0, np.frexp(largest)[1] - 1), TINY)
        return np.where(extreme, two, 1.0)

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

    def centre_from(self, other: RowBlocks) -> Array:
        """Where blocks are centred, seen from where those of ``other`` are, in units of X."""
        moved = self.unit * self.offset - other.unit * other.offset
        return (self.base - other.base) + moved

    def _shift_full_columns(self, spread: Array) -> None:
        """Have columns of a sparse X that are far from 0, and hold no zeros, read as standardised.

        They hold as many numbers as before, and blocks remain sparse.
        """
        far = (np.abs(self.centre) > FAR_SPARSE * spread) & ~self.flat
        if not (far.any() and self.X.has_canonical_format):
            return
        shifted = far & (np.bincount(self.X.indices, minlength=self.p) == self.n)
        self.base = np.where(shifted, self.centre, 0.0)
        self.unit = np.where(shifted, spread, self.unit)
        self.move_offset(np.where(shifted, -self.offset, 0.0))
        self.far = bool(np.any(far & ~shifted))

    def read(self, rows: slice) -> Any:
        """Block ``A[rows]``, a view of X where that is possible."""
        if self.sparse:
            block = _csr_rows(self.X, rows)
            if self._converts:
                block.data = (block.data - self.base[block.indices]) / self.unit[block.indices]
            return block
        block = self.X[rows]
        if self.explicit:
            block = (block - self.centre) / self.unit
        return block

    def centred(self, block: Any, index: Index | None = None) -> Array:
        """Dense copy of some rows of a block, centred; meant for a block's worth of rows."""
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

    def move_offset(self, by: Array | float) -> None:
        """Move the point about which blocks are centred."""
        self.offset = self.offset + by
        rows = np.empty((max(1, LONG_ROW // self.p), self.p))
        rows[:] = self.offset
        self._offsets = rows.ravel()

    def weights(self, rows: slice) -> Array | None:
        """Sample weights of a block, None for ones."""
        return None if self.weight is None else self.weight[rows]

    def walk(self, function: Any) -> list[Any]:
        """``function(chunk)`` for every chunk, in threads; results in chunk order."""
        return map_ordered(function, self.chunks, self.n_threads)


def _chunks(n: int, p: int) -> list[list[slice]]:
    """Cut n rows into blocks of about 4 MB and deal them out to at most 32 chunks.

    Chunks keep a p x p partial sum each: there are few enough that all of them together
    stay below a sixteenth of X.
    """
    rows = max(64, BLOCK_BYTES // (8 * p))
    if p >= WIDE:  # products dominate, and gain from threads in smaller tables, too
        rows = min(rows, max(64, -(-n // 4), 2**19 // (8 * p)))
    blocks = [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
    n_chunks = max(1, min(MAX_CHUNKS, len(blocks), n // (16 * p)))
    edges = [len(blocks) * chunk // n_chunks for chunk in range(n_chunks + 1)]
    return [blocks[a:b] for a, b in pairwise(edges)]


def _scaled_columns(X: Any, exponent: Index) -> Any:
    """X with its columns times powers of two, exactly; only the values are copied."""
    data = np.ldexp(X.data, exponent[X.indices])
    return type(X)((data, X.indices, X.indptr), shape=X.shape, copy=False)


def _csr_rows(X: Any, rows: slice) -> Any:
    """Rows of a CSR matrix that share its data: scipy's own slicing copies them."""
    indptr = X.indptr[rows.start : rows.stop + 1]
    part = slice(indptr[0], indptr[-1])
    shape = (rows.stop - rows.start, X.shape[1])
    return sparse.csr_array(
        (X.data[part], X.indices[part], indptr - indptr[0]), shape=shape, copy=False
    )

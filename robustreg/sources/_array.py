"""Rows in the memory of this process, or mapped into it: arrays and CSR matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from robustreg._arrays import Array, Index
from robustreg._cached import cached_property
from robustreg._parallel import map_ordered
from robustreg.sources._base import Job, tree_sum

LONG_BYTES = 2**26  # of a sparse block that is only multiplied with, and need not stay in cache
BLOCK_BYTES = 2**22  # measured: smaller blocks let threads fight for the interpreter
MAX_PARTITIONS = 32
WIDE = 50  # columns from which products cost more than everything else


@dataclass(frozen=True)
class Picked:
    """Some rows of a dense table, in ascending order, which are copied when a block is read."""

    table: Array
    index: Index

    def read(self, part: slice) -> Array:
        """Consecutive ones of them; a view where none between them is left out."""
        index = self.index[part]
        first, after = index[0], index[-1] + 1
        if after - first == len(index):
            return self.table[first:after]
        return taken(self.table, index)


@dataclass(frozen=True)
class ArraySource:
    """Rows of arrays, which threads share.

    Attributes
    ----------
    table : ndarray or CSR matrix of shape (m, p)
        Regressors. Never copied as a whole, never written to.
    y : ndarray of shape (n,)
        Targets.
    weight : ndarray of shape (n,) or None
        Positive weights, None for ones.
    n_threads : int
        Threads that share the partitions.
    kept : ndarray of shape (n,), int, or None
        Which rows of a dense table these are, in ascending order; None: all.
    """

    table: Any
    y: Array
    weight: Array | None
    n_threads: int
    names: Sequence[str] | None = None
    kept: Index | None = None

    in_memory = True

    @cached_property
    def X(self) -> Any:  # noqa: N802
        """Regressors of all rows at once: a copy of the table where some of that are left out."""
        return self.table if self.kept is None else taken(self.table, self.kept)

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return int(self.table.shape[1])

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.y)

    @property
    def is_sparse(self) -> bool:
        """Whether X is sparse."""
        return bool(sparse.issparse(self.table))

    @property
    def ends(self) -> Array:
        """The least and the largest target."""
        return np.array([self.y.min(), self.y.max()])

    @property
    def total_weight(self) -> float:
        """The sum of the weights."""
        return float(self.n if self.weight is None else self.weight.sum())

    @property
    def least_weight(self) -> float:
        """The least weight, as a share of the largest, which is 1."""
        return 1.0 if self.weight is None else float(self.weight.min())

    def every(self, step: int) -> tuple[Any, Array, Array | None]:
        """One of so many rows."""
        weight = None if self.weight is None else self.weight[::step]
        X = self.pick(slice(None, None, step)) if step > 1 else rows_of(self.X, slice(None))
        return X, self.y[::step], weight

    def some(self, count: int) -> tuple[Any, Array, Array | None]:
        """About so many rows, drawn at random."""
        index = np.unique(np.random.default_rng(0).integers(0, self.n, count))
        weight = None if self.weight is None else self.weight[index]
        return self.pick(index), self.y[index], weight

    def pick(self, index: Any) -> Any:
        """Regressors of some rows."""
        own = index if self.kept is None else self.kept[index]
        as_it_is = self.is_sparse or isinstance(own, slice)
        return self.table[own] if as_it_is else taken(self.table, own)

    def columns(self, index: Any) -> Any:
        """A copy of some columns of X, in C order where X is dense."""
        if self.is_sparse:
            return self.table[:, index]
        found = np.take(self.table, index, axis=1)
        return found if self.kept is None else taken(found, self.kept)

    @property
    def block_rows(self) -> int:
        """Rows of a block that stays in the processor's cache."""
        return block_rows(self.n, self.n_columns)

    @property
    def long_rows(self) -> int:
        """The same where no block is made dense: of a sparse X by what it stores."""
        if not self.is_sparse:
            return self.block_rows
        bytes_a_row = self.table.data.itemsize + self.table.indices.itemsize
        stored = max(self.table.nnz * bytes_a_row // self.n, 1)
        return max(self.block_rows, LONG_BYTES // stored)

    @cached_property
    def partitions(self) -> list[slice]:
        """At most 32 parts of whole blocks, each the work of one thread at a time.

        Partitions keep a p x p partial sum each: there are few enough that all of them together
        stay below a sixteenth of X.
        """
        n, p = self.n, self.n_columns
        starts = [*range(0, n, self.block_rows), n]
        n_blocks = len(starts) - 1
        count = max(1, min(MAX_PARTITIONS, n_blocks, n // (16 * p)))
        edges = [starts[n_blocks * k // count] for k in range(count + 1)]
        return [slice(a, b) for a, b in pairwise(edges)]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first row of every partition."""
        return tuple(part.start for part in self.partitions)

    @cached_property
    def _parts(self) -> list[Any]:
        """Views of the partitions: of a sparse X they take as long as a product with them."""
        if self.kept is None:
            return [rows_of(self.table, part) for part in self.partitions]
        return [Picked(self.table, self.kept[part]) for part in self.partitions]

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`; a job reads its rows by ``rows_of``."""
        if len(self.partitions) == 1:
            return job(self._parts[0], self.y, self.weight, 0)

        def work(index: int) -> Any:
            part = self.partitions[index]
            weight = None if self.weight is None else self.weight[part]
            return job(self._parts[index], self.y[part], weight, index)

        return tree_sum(map_ordered(work, range(len(self.partitions)), self.n_threads))


def taken(X: Array, index: Index) -> Array:
    """A copy of some rows of a dense X."""
    if X.flags.c_contiguous:
        return np.take(X, index, axis=0)  # in half of the time
    return X[index]  # of another order np.take would copy all of it


def block_rows(n: int, p: int) -> int:
    """Rows of a block that stays in the processor's cache, about 4 MB."""
    rows = max(64, BLOCK_BYTES // (8 * p))
    if p >= WIDE:  # products dominate, and gain from threads in smaller tables, too
        rows = min(rows, max(64, -(-n // 4), 2**19 // (8 * p)))
    return rows


def rows_of(X: Any, part: slice) -> Any:
    """Consecutive rows of X, a view of what it stores unless some between them are left out.

    SciPy's constructors, and its own slicing, copy what is less than half of a CSR matrix.
    """
    if isinstance(X, Picked):
        return X.read(part)
    if not sparse.issparse(X):
        return X[part]
    start, stop, _ = part.indices(X.shape[0])
    indptr = X.indptr[start : stop + 1]
    own = slice(indptr[0], indptr[-1])
    rows = sparse.csr_array((stop - start, X.shape[1]), dtype=X.dtype)
    rows.data, rows.indices, rows.indptr = X.data[own], X.indices[own], indptr - indptr[0]
    return rows

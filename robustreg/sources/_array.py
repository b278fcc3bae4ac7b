"""Rows in the memory of this process, or mapped into it: arrays and CSR matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from robustreg._arrays import Array
from robustreg._cached import cached_property
from robustreg._parallel import map_ordered
from robustreg.sources._base import Job, tree_sum

LONG_BYTES = 2**26  # of a sparse block that is only multiplied with, and need not stay in cache
BLOCK_BYTES = 2**22  # measured: smaller blocks let threads fight for the interpreter
MAX_PARTITIONS = 32
WIDE = 50  # columns from which products cost more than everything else


@dataclass(frozen=True)
class ArraySource:
    """Rows of arrays, which threads share.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n, p)
        Regressors. Never copied as a whole, never written to.
    y : ndarray of shape (n,)
        Targets.
    weight : ndarray of shape (n,) or None
        Positive weights, None for ones.
    n_threads : int
        Threads that share the partitions.
    """

    X: Any
    y: Array
    weight: Array | None
    n_threads: int
    names: Sequence[str] | None = None

    in_memory = True

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return int(self.X.shape[1])

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.y)

    @property
    def is_sparse(self) -> bool:
        """Whether X is sparse."""
        return bool(sparse.issparse(self.X))

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
        X = self.X[::step] if step > 1 else rows_of(self.X, slice(None))
        return X, self.y[::step], weight

    def some(self, count: int) -> tuple[Any, Array, Array | None]:
        """About so many rows, drawn at random."""
        index = np.unique(np.random.default_rng(0).integers(0, self.n, count))
        # np.take would copy all of an X in Fortran's order
        return self.X[index], self.y[index], None if self.weight is None else self.weight[index]

    @property
    def block_rows(self) -> int:
        """Rows of a block that stays in the processor's cache."""
        return block_rows(*self.X.shape)

    @property
    def long_rows(self) -> int:
        """The same where no block is made dense: of a sparse X by what it stores."""
        if not self.is_sparse:
            return self.block_rows
        bytes_a_row = self.X.data.itemsize + self.X.indices.itemsize
        stored = max(self.X.nnz * bytes_a_row // self.n, 1)
        return max(self.block_rows, LONG_BYTES // stored)

    @cached_property
    def partitions(self) -> list[slice]:
        """At most 32 parts of whole blocks, each the work of one thread at a time.

        Partitions keep a p x p partial sum each: there are few enough that all of them together
        stay below a sixteenth of X.
        """
        n, p = self.X.shape
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
        return [rows_of(self.X, part) for part in self.partitions]

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        if len(self.partitions) == 1:
            return job(self._parts[0], self.y, self.weight, 0)

        def work(index: int) -> Any:
            part = self.partitions[index]
            weight = None if self.weight is None else self.weight[part]
            return job(self._parts[index], self.y[part], weight, index)

        return tree_sum(map_ordered(work, range(len(self.partitions)), self.n_threads))


def block_rows(n: int, p: int) -> int:
    """Rows of a block that stays in the processor's cache, about 4 MB."""
    rows = max(64, BLOCK_BYTES // (8 * p))
    if p >= WIDE:  # products dominate, and gain from threads in smaller tables, too
        rows = min(rows, max(64, -(-n // 4), 2**19 // (8 * p)))
    return rows


def rows_of(X: Any, part: slice) -> Any:
    """Consecutive rows of X, a view of what it stores.

    SciPy's constructors, and its own slicing, copy what is less than half of a CSR matrix.
    """
    if not sparse.issparse(X):
        return X[part]
    start, stop, _ = part.indices(X.shape[0])
    indptr = X.indptr[start : stop + 1]
    own = slice(indptr[0], indptr[-1])
    rows = sparse.csr_array((stop - start, X.shape[1]), dtype=X.dtype)
    rows.data, rows.indices, rows.indptr = X.data[own], X.indices[own], indptr - indptr[0]
    return rows

"""Independent rows of a programme, and a factorisation that grows as rows enter."""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr, solve_triangular

from robustreg._arrays import Array, Index

INDEPENDENT = 1e-9  # rows are taken for dependent below this share of their size


class Basis:
    """Independent rows B of D, as ``B' = Q R`` with orthonormal columns of Q and triangular R.

    Rows that enter are orthogonalised against those that are there already, twice, which makes
    Q orthonormal to rounding. A row costs O(size^2), and so does every solution.

    Parameters
    ----------
    size : int
        Number of columns of D.

    Attributes
    ----------
    index : ndarray of shape (n_basis,)
        Which rows, in the order in which they entered.
    rows : ndarray of shape (n_basis, size)
        B itself.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.index: Index = np.zeros(0, dtype=np.intp)
        self.rows: Array = np.zeros((0, size))
        self._q = np.zeros((size, size), order="F")
        self._r = np.zeros((size, size), order="F")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def complete(self) -> bool:
        """Whether no direction is left that leaves all rows where they are."""
        return len(self) == self.size

    def enter(self, index: Index, rows: Array, clear: Array, least: float = INDEPENDENT) -> None:
        """Take in rows so far as they are independent of each other and of those that are there.

        Those come first of which, times ``clear`` and relative to their length, most is new.
        What must be new of a row that enters is the share ``least``.
        """
        lengths = np.linalg.norm(rows, axis=1)
        left, _ = self._split(rows)
        new = np.flatnonzero(np.linalg.norm(left, axis=1) > least * lengths)
        if not len(new):
            return
        index, rows, clear, lengths = index[new], rows[new], clear[new], lengths[new]
        left, inner = self._split_twice(rows)
        weight = clear / lengths
        triangle, pivots = qr((weight[:, None] * left).T, mode="r", pivoting=True)
        size = np.abs(np.diag(triangle))
        pivots = pivots[: len(size)]
        chosen = np.sort(pivots[size > least * clear[pivots]])
        before, now = len(self), len(self) + len(chosen)
        q, r = qr(left[chosen].T, mode="economic")
        self._q[:, before:now] = q
        self._r[:before, before:now] = inner[chosen].T
        self._r[before:now, before:now] = r
        self.index = np.append(self.index, index[chosen])
        self.rows = np.concatenate([self.rows, rows[chosen]])

    def _split(self, vectors: Array) -> tuple[Array, Array]:
        """The part of some vectors outside of the span of the rows, and coordinates inside."""
        q = self._q[:, : len(self)]
        inner = vectors @ q
        return vectors - inner @ q.T, inner

    def _split_twice(self, vectors: Array) -> tuple[Array, Array]:
        left, inner = self._split(vectors)
        left, rest = self._split(left)
        return left, inner + rest

    def solve(self, side: Array) -> Array:
        """The shortest d with ``B d = side``."""
        n = len(self)
        return self._q[:, :n] @ solve_triangular(self._r[:n, :n], side, trans="T")

    def direction(self) -> Array:
        """A direction in which no row of the basis moves: most of one coordinate."""
        q = self._q[:, : len(self)]
        unit = np.zeros((1, self.size))
        unit[0, np.argmin((q * q).sum(axis=1))] = 1.0
        left = self._split_twice(unit)[0][0]
        return left / np.linalg.norm(left)

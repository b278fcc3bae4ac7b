"""Normal equations of sparse rows, solved by eliminating columns that no row has two of.

The levels of a category exclude each other: the block of ``D' diag(d) D`` that belongs to their
dummies is diagonal, whatever d is. With such columns E and the others R,

    D' diag(d) D = [ A   C ]       S = B - C' A^-1 C,
                   [ C'  B ]

A costs nothing to invert, and what is to be factorised is S, which has as many rows as R has
columns. Columns are put into E one by one, those first that share rows with the fewest others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from robustreg._arrays import Array, Index, Mask
from robustreg._cached import cached_property
from robustreg.evaluation.moments import scaled_rows

FULL = 0.5  # share of nonzero entries from which on a column is held as one of an array
LIFTED = 1e-14  # of the diagonal: what makes S definite where rounding has left it indefinite
DENSE = 2**22  # entries of C up to which it is held as an array

Solver = Callable[[Array], Array]


class Blocks(NamedTuple):
    """A matrix of normal equations in blocks."""

    diagonal: Array  # of A
    corner: Any  # C, an array or a CSR matrix
    other: Array  # B


class Columns(NamedTuple):
    """Which columns of D are eliminated, and how the others are held.

    Attributes
    ----------
    out, left : ndarray of int
        The columns E and R, in ascending order.
    full : ndarray of bool, shape (len(left),)
        Which of R have hardly any zeros.
    """

    out: Index
    left: Index
    full: Mask

    @classmethod
    def of(cls, design: Any) -> Columns:
        """Those of a CSR matrix."""
        n, size = design.shape
        full = np.bincount(design.indices, minlength=size) > FULL * n
        few = np.flatnonzero(~full)
        part = design[:, few]
        pattern = type(part)((np.ones(part.nnz), part.indices, part.indptr), shape=part.shape)
        out = few[_disjoint(sparse.csr_array(pattern.T @ pattern))]
        left = np.setdiff1d(np.arange(size), out, assume_unique=True)
        return cls(out, left, full[left])

    def keep(self, kept: Mask) -> Columns:
        """The same where some columns are left out."""
        place = np.cumsum(kept) - 1
        out, left = (each[kept[each]] for each in (self.out, self.left))
        return Columns(place[out], place[left], self.full[kept[self.left]])


class Design:
    """Rows of D, with what their normal equations are made of at hand.

    Parameters
    ----------
    matrix : CSR matrix of shape (n_rows, size)
        D, in which no entry is there twice.
    columns : Columns
        How it is taken apart.

    Attributes
    ----------
    member : ndarray of int, shape (n_rows,)
        Which of the columns E a row has, counted in E; as many as these for none.
    value : ndarray of shape (n_rows,)
        Its entry there.
    """

    def __init__(self, matrix: Any, columns: Columns) -> None:
        self.matrix, self.columns = matrix, columns
        n, size = matrix.shape
        place = np.full(size, -1)
        place[columns.out] = np.arange(len(columns.out))
        entry = place[matrix.indices]
        own = np.flatnonzero(entry >= 0)
        row = np.searchsorted(matrix.indptr, own, side="right") - 1
        self.member: Index = np.full(n, len(columns.out))
        self.value = np.zeros(n)
        self.member[row], self.value[row] = entry[own], matrix.data[own]
        self.full = matrix[:, columns.left[columns.full]].toarray()
        self.rest = matrix[:, columns.left[~columns.full]]

    def some(self, index: Index) -> Design:
        """Some of the rows."""
        part: Design = object.__new__(Design)
        part.columns = self.columns
        for name in ("matrix", "member", "value", "full", "rest"):
            setattr(part, name, getattr(self, name)[index])
        return part

    def left(self, index: Index) -> Any:
        """Some rows of the columns R, as a CSR matrix."""
        return self.matrix[index][:, self.columns.left]

    @cached_property
    def _halves(self) -> tuple[Any, Any]:
        """The columns of R that have zeros, in two parts that store as much."""
        count = np.bincount(self.rest.indices, minlength=self.rest.shape[1])
        half = int(np.searchsorted(np.cumsum(count), 0.5 * self.rest.nnz))
        return self.rest[:, :half], self.rest[:, half:]

    def _products(self, scaled: Any, scale: Array) -> Array:
        """Products of all pairs of these columns; those of a pair of halves are taken once."""
        first, second = self._halves
        half = first.shape[1]
        products = np.empty((scaled.shape[1], scaled.shape[1]))
        products[:half] = (first.T @ scaled).toarray()
        products[half:, :half] = products[:half, half:].T
        products[half:, half:] = (second.T @ scaled_rows(second, scale)).toarray()
        return products

    def blocks(self, scale: Array) -> Blocks:
        """``D' diag(scale) D``, scale > 0."""
        columns, count = self.columns, len(self.columns.out)
        full, few = np.flatnonzero(columns.full), np.flatnonzero(~columns.full)
        scaled = scaled_rows(self.rest, scale)
        other = np.empty((len(columns.left), len(columns.left)))
        other[np.ix_(few, few)] = self._products(scaled, scale)
        other[np.ix_(full, full)] = self.full.T @ (scale[:, None] * self.full)
        other[np.ix_(few, full)] = mixed = scaled.T @ self.full
        other[np.ix_(full, few)] = mixed.T
        own = scale * self.value
        diagonal = np.zeros(count + 1)
        diagonal += np.bincount(self.member, own * self.value, count + 1)
        entries = (self.value, self.member, np.arange(len(own) + 1))
        members = sparse.csr_array(entries, shape=(len(own), count + 1))
        corner = (members.T @ scaled)[:count]
        if count * len(columns.left) > DENSE:
            by_full = sparse.csr_array(members.T @ (scale[:, None] * self.full))[:count]
            corner = sparse.hstack([by_full, corner], format="csr")
            return Blocks(diagonal[:count], corner[:, np.argsort(np.append(full, few))], other)
        dense = np.empty((count, len(columns.left)))
        dense[:, few] = corner.toarray()
        dense[:, full] = (members.T @ (scale[:, None] * self.full))[:count]
        return Blocks(diagonal[:count], dense, other)


class Eliminated(NamedTuple):
    """Normal equations without the columns E."""

    inverse: Array  # the diagonal of A^-1
    scaled: Any  # A^-1 C
    complement: Array  # S


def eliminate(blocks: Blocks) -> Eliminated:
    """S, and what leads back from it."""
    diagonal, corner, other = blocks
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = 1.0 / diagonal
        if isinstance(corner, np.ndarray):
            scaled = inverse[:, None] * corner
            inner = corner.T @ scaled
        else:
            scaled = scaled_rows(corner, inverse)
            inner = (corner.T @ scaled).toarray()
        return Eliminated(inverse, scaled, other - inner)


def solver_of(blocks: Blocks, columns: Columns) -> Solver | None:
    """Solves positive definite normal equations; None where there is no solution in range.

    Where rounding has left no definite matrix, its diagonal counts for a little more.
    """
    inverse, scaled, complement = eliminate(blocks)
    if not (np.isfinite(complement).all() and np.isfinite(inverse).all()):
        return None
    factor = _factor(complement, np.diag(blocks.other)) if len(complement) else None
    if len(complement) and factor is None:
        return None

    def solve(side: Array) -> Array:
        found = np.empty_like(side)
        first, second = side[columns.out], side[columns.left]
        if factor is not None:
            second = cho_solve(factor, second - scaled.T @ first, check_finite=False)
        found[columns.left] = second
        found[columns.out] = (inverse * first.T).T - scaled @ second
        return found

    return solve


def _factor(matrix: Array, diagonal: Array) -> tuple[Array, bool] | None:
    """The Cholesky factor of S, with as little added to its diagonal as makes it definite."""
    lift, lifted = LIFTED, matrix
    while lift < 1.0:
        try:
            return cho_factor(lifted, check_finite=False)
        except LinAlgError:
            lifted = matrix + np.diag(lift * diagonal)
            lift *= 100.0
    return None


def _disjoint(pattern: Any) -> Index:
    """Columns that share no row with each other, found greedily."""
    start, neighbours = pattern.indptr, pattern.indices
    free = np.ones(pattern.shape[0], dtype=bool)
    taken = []
    for column in np.argsort(np.diff(start), kind="stable").tolist():
        if free[column]:
            taken.append(column)
            free[neighbours[start[column] : start[column + 1]]] = False
    return np.sort(np.array(taken, dtype=np.intp))

"""Elemental subsets: as many rows as coordinates, drawn such that they determine a fit."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Index, Mask
from robustreg._linalg.factors import svd
from robustreg.subsampling.table import Table

# A row counts as a new direction if this share of its length is outside those found.
INDEPENDENT = 1e-6
WHOLE_DRAWS = 3  # of all rows of a subset, before it grows row by row
DRAWS = 4  # rows drawn at random for every coordinate, before the missing directions are sought


def elemental_fits(table: Table, count: int, random: RandomState) -> Array:
    """Exact fits to random subsets of linearly independent rows.

    Rows are drawn with probabilities in proportion to their weights, and drawn anew where they
    are dependent. Subsets that a few draws have not made independent grow row by row; a row in
    the span of those before is passed over, so that dummy columns and repeated rows do not make a
    subset singular. They grow at once: each keeps an orthonormal basis of the rows it has
    (Gram and Schmidt, orthogonalised twice). A direction still missing after several draws for
    every coordinate is sought among all rows. One that no row has, as a rare dummy in a small
    sample, gets a coordinate of 0.

    Parameters
    ----------
    table : Table
        The sample, n rows of m coordinates.
    count : int
        Number of subsets.
    random : RandomState
        Source of the draws.

    Returns
    -------
    ndarray of shape (count, m)
        The coordinates of every fit.
    """
    matrix, target = _systems(table, count, random)
    return np.linalg.solve(matrix, target[:, :, None])[:, :, 0]


def edges(table: Table, count: int, random: RandomState) -> Array:
    """The directions that keep all rows but one of random subsets of independent rows.

    Returns
    -------
    ndarray of shape (count, m, m)
        In the columns of each matrix the directions, of unit length, that one subset has.
    """
    matrix, _ = _systems(table, count, random)
    inverse = np.linalg.inv(matrix)
    return inverse / np.linalg.norm(inverse, axis=1, keepdims=True)


def _systems(table: Table, count: int, random: RandomState) -> tuple[Array, Array]:
    """Equations of the exact fits; directions without a row are given the coordinate 0."""
    length = np.sqrt(np.einsum("ij,ij->i", table.q, table.q))
    unit = table.q / np.where(length > 0.0, length, 1.0)[:, None]
    share = None if table.weight is None else table.weight / table.weight.sum()
    rows, missing = np.empty((count, table.m), dtype=np.intp), np.arange(count)
    for _ in range(WHOLE_DRAWS):
        rows[missing] = random.choice(table.n, size=(len(missing), table.m), p=share)
        missing = missing[~_are_independent(unit[rows[missing]])]
        if not len(missing):
            break
    growing = _Subsets(unit, len(missing))
    if len(missing):
        growing.grow(random, share)
        rows[missing] = growing.rows
    # rows of equal length: far-out ones keep the digits of the others
    matrix, target = unit[rows], (table.y / np.where(length > 0.0, length, 1.0))[rows]
    for one in growing.incomplete():
        size = growing.size[one]
        _, _, directions = svd(growing.basis[one, :size], full_matrices=True)
        matrix[missing[one], size:], target[missing[one], size:] = directions[size:], 0.0
    return matrix, target


def _are_independent(subsets: Array) -> Mask:
    """Whether the rows of unit length of each matrix are, by what of each is outside the others."""
    # the determinant is the product of these shares, and no share is more than 1
    independent: Mask = np.abs(np.linalg.det(subsets)) > INDEPENDENT
    unclear = np.flatnonzero(~independent)
    if len(unclear):
        triangles = np.linalg.qr(subsets[unclear].transpose(0, 2, 1), mode="r")
        shares = np.abs(np.einsum("kii->ki", triangles))
        independent[unclear] = (shares > INDEPENDENT).all(axis=1)
    return independent


class _Subsets:
    """Subsets of rows that grow together."""

    def __init__(self, unit: Array, count: int) -> None:
        m = unit.shape[1]
        self.unit = unit
        self.rows: Index = np.zeros((count, m), dtype=np.intp)
        self.basis = np.zeros((count, m, m))  # orthonormal rows, zeros where one is missing
        self.size = np.zeros(count, dtype=np.intp)

    def incomplete(self) -> Index:
        """The subsets that still lack a row."""
        return np.flatnonzero(self.size < self.rows.shape[1])

    def grow(self, random: RandomState, share: Array | None) -> None:
        """Rows drawn by their share of the weight, as long as subsets lack some that there are."""
        for _ in range(DRAWS * self.rows.shape[1]):
            open_ones = self.incomplete()
            if not len(open_ones):
                break
            self.offer(open_ones, random.choice(len(self.unit), size=len(open_ones), p=share))
        for one in self.incomplete():
            self.complete(one, random, share)

    def offer(self, subsets: Index, rows: Index) -> None:
        """One row for each of some subsets, taken where it is a new direction."""
        new, basis = self.unit[rows], self.basis[subsets]
        for _ in range(2):
            inside = np.matmul(basis, new[:, :, None])
            new = new - np.matmul(basis.transpose(0, 2, 1), inside)[:, :, 0]
        outside = np.sqrt(np.einsum("ij,ij->i", new, new))
        taken = np.flatnonzero(outside > INDEPENDENT)
        target = subsets[taken]
        self.basis[target, self.size[target]] = new[taken] / outside[taken, None]
        self.rows[target, self.size[target]] = rows[taken]
        self.size[target] += 1

    def complete(self, subset: int, random: RandomState, share: Array | None) -> None:
        """Rows of the directions that a subset lacks, as long as there are any."""
        while self.size[subset] < self.rows.shape[1]:
            basis = self.basis[subset]
            outside = self.unit - (self.unit @ basis.T) @ basis
            new = np.flatnonzero(np.einsum("ij,ij->i", outside, outside) > INDEPENDENT**2)
            if not len(new):
                break
            odds = None if share is None else share[new] / share[new].max()
            odds = None if odds is None else odds / odds.sum()
            before = self.size[subset]
            self.offer(np.array([subset]), np.array([random.choice(new, p=odds)]))
            if self.size[subset] == before:  # on the edge of independence
                break

"""Coordinates of a sparse X, and its rows in them: columns over their spreads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.coordinates import Coordinates
from robustreg.evaluation.moments import column_moments
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import NotFiniteError
from robustreg.evaluation.survey import read_rows
from robustreg.solvers.programme.elimination import (
    Blocks,
    Columns,
    Design,
    Solver,
    eliminate,
    solver_of,
)
from robustreg.sources._array import rows_of

# Squared pivots of columns of length 1: those that are dependent, and such as may be.
DEPENDENT, DOUBTFUL = 1e-11, 1e-8
OWN_TERMS = 1e-11  # share of its own terms up to which a row does not differ along a direction


@dataclass(frozen=True, kw_only=True)
class ColumnCoordinates(Coordinates):
    """Columns over their spreads, with equations that are solved by elimination.

    Attributes
    ----------
    deviations : ndarray of shape (p,)
        Standard deviations of the columns.
    columns : ndarray of int
        Those that have a coordinate of their own; the others are 0, or depend on these.
    ones : bool
        Whether the intercept has one: it may depend on the columns, too.
    normal : callable
        Solves equations with the Gram matrix of these, about X = 0.
    null : ndarray of shape (p, n_null)
        Changes of coordinates that change no prediction but by a constant that the intercept makes
        up for: one for each column that depends on others.
    """

    deviations: Array
    columns: Index
    ones: bool
    normal: Solver
    null: Array

    @property
    def spread(self) -> Array:
        return self.deviations

    def solve_gram(self, slope: Array) -> Array:
        found = np.zeros(self.k)
        side = np.append(slope[self.columns], np.zeros(int(self.ones)))
        found[self.columns] = self.normal(side)[: len(self.columns)]
        return found

    def of_minimum_norm(self, u: Array) -> Array:
        """The shortest of all coordinates that predict the same but for a constant."""
        return u - self.null @ lstsq(self.null, u) if self.null.size else u


class SparseTable(NamedTuple):
    """A sparse X: its coordinates, and its rows in them, a column of ones last if there is one."""

    coordinates: ColumnCoordinates
    design: Design


def sparse_table(problem: Problem, kinked: bool) -> SparseTable | None:
    """A sparse X in coordinates that keep its zeros; None where these would lose digits.

    That is where columns are far from 0, or some may or may not depend on others. With ``kinked``
    penalties columns may depend on each other.
    """
    source = problem.observed.source
    if not (source.in_memory and source.is_sparse):
        return None
    rows = read_rows(problem.observed, problem.fit_intercept)
    if rows.far:
        return None
    whole = rows.read(rows_of(source.X, slice(0, rows.n)))
    matrix = sparse.csr_array(whole, dtype=np.float64, copy=True)  # what follows writes to it
    matrix.sum_duplicates()
    weight = np.ones(rows.n) if rows.weight is None else rows.weight
    try:
        rows, spread = column_moments(rows)
    except NotFiniteError:  # who is asked next says so
        return None
    if rows.fit_intercept:
        matrix = sparse.csr_array(sparse.hstack([matrix, np.ones((rows.n, 1))], format="csr"))
    basis = np.divide(1.0, spread, out=np.zeros(rows.p), where=spread > 0)
    scale = np.append(basis, np.ones(int(rows.fit_intercept)))
    live = np.flatnonzero(scale)
    if len(live) < len(scale):
        matrix, scale = matrix[:, live], scale[live]
    matrix.data *= scale[matrix.indices]
    design = Design(matrix, Columns.of(matrix))
    blocks = design.blocks(weight / rows.total)
    null = np.zeros((rows.p, 0))
    if not kinked:
        dropped = _dependent(blocks, design.columns)
        if dropped is None:
            return None
        if len(dropped):
            reduced = _without(design, dropped, weight / rows.total)
            if reduced is None:
                return None
            design, blocks, directions = reduced
            of_columns = np.flatnonzero(live < rows.p)
            null = np.zeros((rows.p, len(dropped)))
            null[live[of_columns]] = directions[of_columns]
            live = np.delete(live, dropped)
    solve = solver_of(blocks, design.columns)
    if solve is None:
        return None
    own = ColumnCoordinates(
        rows=rows,
        made=basis,
        moments=None,
        known_rank=min(len(live), rows.n),
        ridge=np.zeros(rows.p),
        deviations=spread,
        columns=live[live < rows.p],
        ones=rows.p in live[-1:],
        normal=solve,
        null=null,
    )
    return SparseTable(own, design)


def _without(design: Design, dropped: Index, weight: Array) -> tuple[Design, Blocks, Array] | None:
    """The design without columns that depend on the others, and how they do; None: they do not."""
    matrix, size = design.matrix, design.matrix.shape[1]
    kept = np.ones(size, dtype=bool)
    kept[dropped] = False
    remaining = Design(matrix[:, np.flatnonzero(kept)], design.columns.keep(kept))
    blocks = remaining.blocks(weight)
    solve = solver_of(blocks, remaining.columns)
    if solve is None:
        return None
    side = remaining.matrix.T @ (weight[:, None] * matrix[:, dropped].toarray())
    directions = np.zeros((size, len(dropped)))
    directions[dropped, np.arange(len(dropped))] = 1.0
    directions[kept] = -solve(side)
    left, own = np.abs(matrix @ directions), abs(matrix) @ np.abs(directions)
    return (remaining, blocks, directions) if np.all(left <= OWN_TERMS * own) else None


def _dependent(blocks: Blocks, columns: Columns) -> Index | None:
    """Columns that depend on the others; None where some may or may not."""
    complement = eliminate(blocks).complement
    if not len(complement):
        return np.zeros(0, dtype=np.intp)
    length = np.sqrt(np.diag(blocks.other))
    scaled = complement / np.outer(length, length)
    factor, pivots, rank, _ = lapack.dpstrf(scaled, tol=DEPENDENT, lower=1)
    if np.diag(factor)[:rank].min(initial=1.0) ** 2 < DOUBTFUL:
        return None
    return np.sort(columns.left[pivots[rank:] - 1])

"""Bases of sparse rows: as many independent ones as there are coordinates, and their equations.

Of every column that is eliminated a basis B has a row, its pivot; taken away from the other rows
as often as these have the column, it leaves of them rows V of the other columns R, few enough to be
factorised as a dense matrix. With values v of the eliminated columns, the pivots P,

    B x = s:    V x_R = s_V - (v / v_P) s_P,          x_E = (s_P - P_R x_R) / v_P
    B'z = g:    V'z_V = g_R - P_R'(g_E / v_P),        z_P = (g_E - sum v z_V) / v_P.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, lu_factor, lu_solve

from robustreg._arrays import Array, Index
from robustreg.solvers.programme.basis import Basis
from robustreg.solvers.programme.sparse_rows import SparseRows
from robustreg.solvers.programme.vertex import MIN_BLOCK, least_along

SINGULAR = 1e-12  # of the largest pivot of V
RENEWED = 50  # steps after which a basis is factorised anew
WITHIN = 1e-10  # of the distance of its bounds: how far a nu at one may be beyond it


class Vertex(NamedTuple):
    """An optimal vertex."""

    basis: Index  # the rows that it is made of
    theta: Array
    nu: Array  # of all rows
    residual: Array


class SparseBasis:
    """The equations of some rows of a programme.

    Parameters
    ----------
    rows : SparseRows
        The programme.
    index : ndarray of shape (size,)
        Which rows: one at least that has each of the columns that are eliminated.

    Raises
    ------
    LinAlgError
        If the rows depend on each other.
    """

    def __init__(self, rows: SparseRows, index: Index) -> None:
        self.updates: list[tuple[Array, Array, float]] = []
        own = rows.design.columns
        self.out, self.left = own.out, own.left
        member, value = rows.design.member[index], rows.design.value[index]
        columns, self.pivot = np.unique(member, return_index=True)
        if len(columns) and columns[-1] == len(self.out):
            self.pivot = self.pivot[:-1]
        others = np.ones(len(index), dtype=bool)
        others[self.pivot] = False
        self.other = np.flatnonzero(others)
        if len(self.pivot) < len(self.out) or len(self.other) != len(self.left):
            raise LinAlgError
        self.value, self.member = value, member[self.other]
        right = rows.design.left(index)
        self.above = right[self.pivot]
        self.ratio = _shares(self.member, value[self.other], value[self.pivot])
        matrix = (right[self.other] - self.ratio @ self.above).toarray()
        self.factor = None
        if len(matrix):
            with np.errstate(all="ignore"):
                self.factor = lu_factor(matrix, check_finite=False)
            size = np.abs(np.diag(self.factor[0]))
            if not size.min() > SINGULAR * size.max():
                raise LinAlgError

    def replace(self, change: Array, direction: Array) -> None:
        """Add ``change`` to the row that alone moves, by 1, along a direction d, ``B d = e``.

        As ``B + e c'`` is ``B (I + d c')`` for a change c, what solves with B serves further.
        """
        self.updates.append((direction, change, 1.0 + float(change @ direction)))

    def solve(self, side: Array) -> Array:
        """The x with ``B x = side``."""
        found = self._solve(side)
        for direction, change, pivot in self.updates:
            found -= direction * (float(change @ found) / pivot)
        return found

    def solve_transposed(self, side: Array) -> Array:
        """The z with ``B'z = side``."""
        side = side.copy()
        for direction, change, pivot in reversed(self.updates):
            side -= change * (float(direction @ side) / pivot)
        return self._solve_transposed(side)

    def _solve(self, side: Array) -> Array:
        found = np.empty_like(side)
        first, right = side[self.pivot], np.zeros(0)
        if self.factor is not None:
            right = lu_solve(self.factor, side[self.other] - self.ratio @ first)
        found[self.left] = right
        found[self.out] = (first - self.above @ right) / self.value[self.pivot]
        return found

    def _solve_transposed(self, side: Array) -> Array:
        found = np.empty_like(side)
        first, rest = side[self.out] / self.value[self.pivot], np.zeros(0)
        if self.factor is not None:
            rest = lu_solve(self.factor, side[self.left] - self.above.T @ first, trans=1)
        found[self.other] = rest
        found[self.pivot] = first - self.ratio.T @ rest
        return found


def _shares(member: Index, value: Array, pivot: Array) -> Any:
    """How often each row has the pivot of its column, as a matrix: once at most in a row."""
    own = np.flatnonzero(member < len(pivot))
    entries = (value[own] / pivot[member[own]], (own, member[own]))
    return sparse.csr_array(entries, shape=(len(member), len(pivot)))


def clearest(rows: SparseRows, doubt: Array) -> Index | None:
    """Independent rows, as many as there are coordinates, those of the least doubt first.

    The first row that has an eliminated column is independent of all before it; of the others the
    part that their pivots leave is looked at, by orthogonalisation. None where rows are too few.
    """
    own, order = rows.design.columns, np.argsort(doubt, kind="stable")
    member, value = rows.design.member, rows.design.value
    columns, first = np.unique(member[order], return_index=True)
    pivot = order[first[columns < len(own.out)]]
    if len(pivot) < len(own.out):
        return None
    others = np.ones(len(order), dtype=bool)
    others[pivot] = False
    order = order[others[order]]
    basis, above = Basis(len(own.left)), rows.design.left(pivot)
    step = max(len(own.left), MIN_BLOCK)
    for start in range(0, len(order), step):
        if basis.complete:
            break
        part = np.sort(order[start : start + step])
        ratio = _shares(member[part], value[part], value[pivot])
        left = (rows.design.left(part) - ratio @ above).toarray()
        basis.enter(part, left, 1.0 / (1.0 + doubt[part]))
    if not basis.complete:
        return None
    return np.sort(np.append(pivot, basis.index))


def optimum(rows: SparseRows, index: Index, most: int) -> Vertex | None:
    """The optimal vertex, from one near it by steps of the simplex method.

    The row whose nu is furthest beyond its bounds, times its weight, leaves the basis; in the
    direction in which it then goes, all other rows of the basis staying, the objective falls, and
    the row enters that is 0 at its least point. None if ``most`` steps do not get there.
    """
    index = index.copy()
    for step in range(most + 1):
        if step % RENEWED == 0:
            try:
                basis = SparseBasis(rows, index)
            except LinAlgError:
                return None
        theta = basis.solve(rows.target[index])
        theta += basis.solve(rows.residuals(theta)[index])
        residual = rows.residuals(theta)
        residual[index] = 0.0
        nu, own = rows.sign(residual), np.zeros(len(index))
        low, high, weight = rows.low[index], rows.high[index], rows.weight[index]
        for _ in range(2):  # the second time of what rounding has left
            nu[index] = own
            own = own - basis.solve_transposed(rows.slopes(nu) * rows.total) / weight
        if not np.isfinite(own).all():
            return None
        beyond = np.maximum(own - high, low - own)
        if (beyond <= WITHIN * (high - low)).all():
            nu[index] = np.clip(own, low, high)
            return Vertex(index, theta, nu, residual)
        leaving = int(np.argmax(beyond * weight))
        side = np.zeros(len(index))
        side[leaving] = -1.0 if own[leaving] > high[leaving] else 1.0
        direction = basis.solve(side)
        change = rows.fitted(direction)
        change[index] = side
        least = least_along(rows, residual, change, -float(rows.fixed @ direction))
        if least is None:
            return None
        leaves, enters = rows.design.matrix[[index[leaving], least[1][0]]].toarray()
        basis.replace(enters - leaves, direction * side[leaving])
        index[leaving] = least[1][0]
    return None

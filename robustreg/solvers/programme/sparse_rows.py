"""Rows of a programme that keep the zeros of a sparse X: D as a matrix of stored entries.

Coordinates are the columns of X over their spreads, and the intercept at X = 0: nothing is
centred, and of two columns none is mixed with the other. Steps solve by elimination.
"""

from __future__ import annotations

import numpy as np

from robustreg._arrays import Array, Index, Mask
from robustreg.evaluation.moments import scaled_rows
from robustreg.solvers.programme.central import Point
from robustreg.solvers.programme.elimination import Design, Solver, solver_of
from robustreg.solvers.programme.rows import Programme

TILT = 1e-3  # of weights: enough for faces to become vertices, too little for most nu to notice
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)  # multiples of it are spread evenly, modulo 1
PARTS = ("target", "weight", "low", "high")


class SparseRows(Programme):
    """A programme whose D is a matrix of stored entries in memory, without a ridge.

    Parameters
    ----------
    design : Design
        D.
    target, weight, low, high, total
        As of :class:`robustreg.solvers.programme.rows.Programme`.
    fixed : ndarray of shape (size,) or float, default=0.0
        ``D'(w nu) / W`` of rows that are not among these and whose nu stays.
    """

    filled = False

    def __init__(
        self,
        design: Design,
        target: Array,
        weight: Array,
        low: Array,
        high: Array,
        total: float,
        fixed: Array | float = 0.0,
    ) -> None:
        size = design.matrix.shape[1]
        super().__init__(target, weight, low, high, total, np.zeros(size))
        self.design = design
        self.fixed: Array = np.zeros(size) + fixed

    def fitted(self, theta: Array) -> Array:
        found: Array = self.design.matrix @ theta
        return found

    def slopes(self, nu: Array) -> Array:
        return self.design.matrix.T @ (self.weight * nu) / self.total + self.fixed

    def gram(self, barrier: Array) -> Array:
        matrix = self.design.matrix
        gram: Array = (matrix.T @ scaled_rows(matrix, self._scale(barrier))).toarray()
        return gram

    def solver(self, barrier: Array) -> Solver | None:
        return solver_of(self.design.blocks(self._scale(barrier)), self.design.columns)

    def _scale(self, barrier: Array) -> Array:
        return self.weight * barrier / self.total

    def take(self, mask: Mask) -> Array:
        found: Array = self.design.matrix[np.flatnonzero(mask)].toarray()
        return found

    def tilted(self) -> SparseRows:
        """The same with weights that differ a little, each in another way.

        Where the optimum is a face, that of the tilted programme is one of its vertices.
        """
        order = np.argsort(self.target, kind="stable")
        spread = np.empty(len(order))
        spread[order] = np.modf(np.arange(len(order)) * GOLDEN)[0] - 0.5
        weight = self.weight * (1.0 + TILT * spread)
        rest = (self.low, self.high, self.total, self.fixed)
        return SparseRows(self.design, self.target, weight, *rest)


class SparseReduction:
    """The open rows of a programme; the others are presumed above or below the fit."""

    def __init__(self, whole: SparseRows, above: Mask, is_open: Mask) -> None:
        self.whole, self.above, self.is_open = whole, above, is_open
        self.index: Index = np.flatnonzero(is_open)

    def programme(self) -> SparseRows:
        """The open rows, and the slopes of the others."""
        whole, index = self.whole, self.index
        nu = np.where(self.above, whole.high, whole.low)
        nu[index] = 0.0
        target, weight, low, high = (getattr(whole, name)[index] for name in PARTS)
        rest = (whole.total, whole.slopes(nu))
        return SparseRows(whole.design.some(index), target, weight, low, high, *rest)

    def point(self, point: Point) -> Point:
        """A point of the whole programme as one of the reduced one."""
        return point.rows(self.index)

    def wrong(self, residual: Array) -> Index:
        """Rows that are not open and whose residual has not the presumed sign."""
        against = np.where(self.above, residual < 0.0, residual > 0.0)
        against[self.index] = False
        return np.flatnonzero(against)

"""The sums of least squares, in one pass where other fits need two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.products import product
from robustreg.evaluation.reading import Block
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Fit, LeaveOut, Middle, Scored

TOGETHER = 4  # products of a multiple of so many columns are the fastest
# Squared distance of 0 from the means of the columns, in their spreads along it, up to which sums
# of squares about 0 lose no more than three digits.
MOST_DISTANT = 1e3


@dataclass(frozen=True)
class LeastSquares:
    """The job that sums what `Score` and `Leave` do of least squares, where A is known before.

    There psi(z) = z = r. One product gives the rows in coordinates, their predictions, and what h
    is besides their squares. Rows are ``t = [R'x, 1]`` with x as it is read: neither are they
    centred, nor do products have a row of ones. Slopes are summed along t, too.
    """

    leave_out: LeaveOut
    columns: Array  # (p, c) R, (p, d), the coefficients, -2 R m for the means m of R'x, zeros
    intercept: float  # of predictions, at x = 0
    at_zero: float  # h there
    centred: bool  # whether x has to be centred nevertheless

    @classmethod
    def of(cls, fitted: FittedRows, root: Array, own: float, power: float) -> LeastSquares:
        """With R for all coordinates but the intercept's, whose part of A^-1 is `own`."""
        reading, point, (k, d) = fitted.rows, fitted.point, root.shape
        columns, offset = fitted.coordinates.basis @ root, reading.offset
        mean = offset @ columns
        centred = not reading.as_read or float(mean @ mean) * reading.total > MOST_DISTANT
        if centred:
            offset, mean = np.zeros(reading.p), np.zeros(d)
        lift = np.zeros((k + 1, d + 1))
        lift[:k, :d], lift[:k, d], lift[k, d] = root, -root @ mean, own
        leave_out = LeaveOut(
            columns,
            mean,
            power,
            fitted.weight_unit,
            fitted.coordinates.gram_basis is None,
            lift[: fitted.size],
            own,
        )
        columns = np.column_stack([columns, point.beta, -2.0 * columns @ mean])
        return cls(
            leave_out,
            np.pad(columns, ((0, 0), (0, -columns.shape[1] % TOGETHER))),
            point.intercept - float(offset @ point.beta),
            float(mean @ mean) + own,
            centred,
        )

    def __call__(self, block: Block) -> Scored:
        w, y, d = block.weight, block.target, self.leave_out.root.shape[1]
        X = block.reading.centred(block.X) if self.centred else block.X
        rows = product(self.columns.T, X.T)
        r, h, rows = y - rows[d], rows[d + 1], rows[:d]
        r -= self.intercept
        weighted, v, total = r, y, float(len(r))
        if w is not None:
            weighted, v, total = w * r, w * y, float(w.sum())
        psi, square = np.append(product(rows, weighted), weighted.sum()), float(weighted @ r)
        h += np.einsum("ij,ij->j", rows, rows)
        h += self.at_zero
        _, middle, alone = self.leave_out.of_rows(block, rows, r, h)
        none = np.zeros(block.reading.p + 1)
        return Scored(
            bread=np.zeros((0, 0)),
            psi=psi,
            bend=total,
            bend_square=total,
            psi_square=square,
            curve_z=none,
            curve_zz=0.0,
            conjugate=0.0,
            fit=Fit(total, float(v.sum()), float(v @ y), square, float(len(r)), 0.0),
            left=Middle(middle, none, 0.0, alone),
        )

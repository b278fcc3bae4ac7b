"""What a fit of high breakdown minimises, for many candidates at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from robustreg._arrays import SUMMED, Array, Mask
from robustreg.losses import ResidualLoss
from robustreg.scale import MAD_FACTOR
from robustreg.scale._m_scale import expected_rho, m_scales
from robustreg.subsampling.table import Table

# What a row off a plane adds to the criterion of candidates that most rows lie on, in what counts
# as 0: less than any other candidate has.
ROW_OFF_PLANE = 1e-6


def off_plane(table: Table, absolute: Array) -> Array:
    """The weight of the rows that candidates leave off, by their absolute residuals.

    Candidates far away have rows whose residuals are no numbers.
    """
    return table.sum((~(absolute <= table.zero)).astype(np.float64))


class Criterion(Protocol):
    """A criterion of the absolute residuals, and the weights that lead downhill from there.

    ``rounds`` of search around the best candidate follow where optima are many.
    """

    rounds: ClassVar[int]

    def weigh(
        self, table: Table, absolute: Array, level: Array | None
    ) -> tuple[Array, Array | None]:
        """Weights of every candidate's rows, and a level that the next call may start from."""

    def values(self, table: Table, absolute: Array, level: Array | None) -> Array:
        """The criterion of every candidate."""


@dataclass(frozen=True)
class SmallScale:
    """The M-scale of the residuals: ``sum w rho(r / s) = b (W - m)``, ``b = E rho(Z)``.

    Weighted least squares with the weights ``psi(r/s) / (r/s)`` lowers it (Salibian-Barrera and
    Yohai, 2006). For candidates s need only be near the scale, as it is after one step of
    ``s^2 <- s^2 sum w rho(r/s) / (b (W - m))`` from the level of the candidate's last step.
    """

    loss: ResidualLoss
    rounds: ClassVar[int] = 0  # smooth: the same optimum is found again and again

    def target(self, table: Table) -> float:
        """What the sum of ``w rho`` is at the scale.

        A sample of rows whose weights are too small for m coefficients has as many degrees of
        freedom as rows.
        """
        enough = table.total >= 2 * table.m * (1.0 - SUMMED)
        free = 1.0 - table.m / (table.total if enough else table.n)
        return expected_rho(self.loss) * table.total * free

    def weigh(
        self, table: Table, absolute: Array, level: Array | None
    ) -> tuple[Array, Array | None]:
        """Weights at a level that one step has brought nearer to the scale."""
        if level is None:
            half = absolute.shape[1] // 2
            level = MAD_FACTOR * np.partition(absolute, half, axis=1)[:, half]
        level = np.maximum(level, table.zero)
        rho = self.loss.rho(absolute / level[:, None])
        ratio = table.sum(rho) / self.target(table)
        level = np.maximum(level * np.sqrt(ratio), table.zero)
        return table.weigh(self.loss.weights(absolute / level[:, None])), level

    def values(self, table: Table, absolute: Array, level: Array | None) -> Array:
        """The scales; next to 0, by the rows off, for candidates that most rows lie on.

        With noise of a tiny scale on a plane, the M-scale is a multiple of it that grows with the
        weight of the rows off the plane.
        """
        scales = m_scales(absolute, self.target(table), self.loss, level, table.weight)
        off = off_plane(table, absolute)
        small = ROW_OFF_PLANE * table.zero * off / table.total
        return np.where(self.is_exact(table, off), small, scales)

    def is_exact(self, table: Table, off: Array) -> Mask:
        """Whether rows of so much weight off a plane leave its scale to the rows on it."""
        return off * self.loss.sup_rho <= self.target(table) * (1.0 + SUMMED)


@dataclass(frozen=True)
class TrimmedSquares:
    """The sum of the smallest squared residuals, of a share of the rows' weight.

    Least squares on the rows that it holds lowers it (a C-step; Rousseeuw and Van Driessen,
    2006). Where rows tie for the last places, each has the same share of these; what counts as 0
    does.
    """

    share: float
    rounds: ClassVar[int] = 2

    def weigh(
        self, table: Table, absolute: Array, level: Array | None
    ) -> tuple[Array, Array | None]:
        """The share of every row in the sum."""
        covered = self.covered(table)
        if table.weight is None:
            last = int(np.ceil(covered)) - 1
            edge = np.partition(absolute, last, axis=1)[:, last, None]
        else:
            order = np.argsort(absolute, axis=1)
            cumulated = np.cumsum(table.weight[order], axis=1)
            # which, rounded, may end below what is covered
            enough = np.minimum(covered * (1.0 - SUMMED), cumulated[:, -1:])
            place = np.argmax(cumulated >= enough, axis=1)[:, None]
            edge = np.take_along_axis(absolute, np.take_along_axis(order, place, axis=1), axis=1)
        if edge.min() <= table.zero:  # what counts as 0 ties: on a plane no row is better
            absolute = np.where(absolute <= table.zero, 0.0, absolute)
            edge = np.where(edge <= table.zero, 0.0, edge)
        if table.weight is not None:  # rows at the edge seldom fit in as they are
            return _shares(table, absolute, edge, covered), None
        weights = (absolute <= edge).astype(np.float64)
        off = np.flatnonzero(weights.sum(axis=1) != covered)  # by rows that tie, for the most part
        if len(off):
            weights[off] = _shares(table, absolute[off], edge[off], covered)
        return weights, None

    def covered(self, table: Table) -> float:
        """The weight of the rows that count, a whole number where rounding explains the rest."""
        covered = self.share * table.total
        whole = round(covered)
        return float(whole) if abs(covered - whole) <= 1e-9 * covered else covered

    def values(self, table: Table, absolute: Array, level: Array | None) -> Array:
        """The sums; next to 0, by the rows off, for candidates that the rows that count lie on.

        With noise of a tiny scale on a plane, the sum falls as more rows are on it to choose from.
        """
        weights, _ = self.weigh(table, absolute, None)
        values = np.einsum("ij,ij,ij->i", weights, absolute, absolute)
        small = np.flatnonzero(values <= table.total * table.zero**2)
        if len(small):
            off = off_plane(table, absolute[small])
            exact = self.is_exact(table, off)
            values[small[exact]] = ROW_OFF_PLANE * table.zero**2 * off[exact] / table.total
        return values

    def is_exact(self, table: Table, off: Array) -> Mask:
        """Whether all rows that count are on a plane that rows of so much weight are off."""
        return off <= table.total * (1.0 + SUMMED) - self.covered(table)


def _shares(table: Table, absolute: Array, edge: Array, covered: float) -> Array:
    """The shares of rows in a sum of so much weight, those at the edge having the same."""
    within = table.weigh((absolute < edge).astype(np.float64))
    tied = table.weigh((absolute == edge).astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):  # where residuals are no numbers
        left = (covered - within.sum(axis=1)) / tied.sum(axis=1)
    return within + tied * np.clip(left, 0.0, 1.0)[:, None]

"""What a fit of high breakdown minimises, for many candidates at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from robustreg._arrays import SUMMED, Array, Index, Mask
from robustreg.losses import ResidualLoss
from robustreg.scale import MAD_FACTOR
from robustreg.scale._m_scale import expected_rho, m_scales, newton_step
from robustreg.subsampling.table import Table

# What a row off a plane adds to the criterion of candidates that most rows lie on, in what counts
# as 0: less than any other candidate has.
ROW_OFF_PLANE = 1e-6
SORTED = 256  # values of a row up to which sorting them takes less time than selecting one


def off_plane(table: Table, absolute: Array) -> Array:
    """The weight of the rows that candidates leave off, by their absolute residuals.

    Candidates far away have rows whose residuals are no numbers.
    """
    return table.sum((~(absolute <= table.zero)).astype(np.float64))


def placed(values: Array, place: int) -> Array:
    """The value of every row that so many are below; selecting it has a price for each row."""
    if values.shape[1] <= SORTED:
        return np.sort(values, axis=1)[:, place]
    return np.partition(values, place, axis=1)[:, place]


#: The weights of the rows of some of many candidates, from the absolute residuals of these.
Weigh = Callable[[Array, Index | slice], Array]


class Criterion(Protocol):
    """A criterion of the absolute residuals, and the weights that lead downhill from there.

    ``rounds`` of search around the best candidate follow where optima are many. Candidates whose
    coordinates differ by less than ``apart`` times the criterion are on their way to the same one.
    Where subsets without a bad row are plenty, the share ``passed`` of the exact fits takes a step,
    and of these, and of what is left of them, another share the two that follow.
    """

    rounds: ClassVar[int]
    apart: ClassVar[float]
    passed: ClassVar[tuple[float, float]]

    def first_look(self, table: Table, absolute: Array) -> tuple[Weigh, Array]:
        """What weighs the rows of candidates that have taken no step, and levels of some sort."""

    def look(self, table: Table, absolute: Array, level: Array | None) -> tuple[Weigh, Array]:
        """What weighs the rows of candidates, and about the criterion of each: its level.

        ``level`` is that of the candidates before the last step, if they are near.
        """

    def values(self, table: Table, absolute: Array, level: Array) -> Array:
        """The criterion of every candidate, from its level."""

    def least(self, table: Table) -> float:
        """The level up to which only the criterion tells candidates apart."""


@dataclass(frozen=True)
class SmallScale:
    """The M-scale of the residuals: ``sum w rho(r / s) = b (W - m)``, ``b = E rho(Z)``.

    Weighted least squares with the weights ``psi(r/s) / (r/s)`` lowers it (Salibian-Barrera and
    Yohai, 2006). For candidates s need only be near the scale, as it is at the level of the
    candidate before its last step. One of Newton's steps to the scale, see
    `robustreg.scale._m_scale.m_scales`, makes the next level.
    """

    loss: ResidualLoss
    rounds: ClassVar[int] = 0  # smooth: the same optimum is found again and again
    apart: ClassVar[float] = 0.05
    passed: ClassVar[tuple[float, float]] = 0.25, 0.5  # medians tell subsets without a bad row

    def target(self, table: Table) -> float:
        """What the sum of ``w rho`` is at the scale.

        A sample of rows whose weights are too small for m coefficients has as many degrees of
        freedom as rows.
        """
        enough = table.total >= 2 * table.m * (1.0 - SUMMED)
        free = 1.0 - table.m / (table.total if enough else table.n)
        return expected_rho(self.loss) * table.total * free

    def first_look(self, table: Table, absolute: Array) -> tuple[Weigh, Array]:
        """Weights at the median of the absolute residuals: a scale that is near enough."""
        level = self._middle(table, absolute)
        return self._weights_at(table, level), level

    def look(self, table: Table, absolute: Array, level: Array | None) -> tuple[Weigh, Array]:
        """Weights at the level before, and a level nearer to the scale.

        Where no level is known, the weights are those of the median, as for a first step.
        """
        if level is None:
            weigh, level = self.first_look(table, absolute)
            level = self._nearer(table, absolute, level)
        else:
            level = np.maximum(level, table.zero)
            weigh = self._weights_at(table, level)
        return weigh, self._nearer(table, absolute, level)

    def _weights_at(self, table: Table, level: Array) -> Weigh:
        def weigh(absolute: Array, some: Index | slice) -> Array:
            return table.weigh(self.loss._weights(absolute / level[some, None]))

        return weigh

    def _nearer(self, table: Table, absolute: Array, level: Array) -> Array:
        """A level that one of Newton's steps has brought nearer to the scale."""
        rho, lever = self.loss._rho_and_lever(absolute / level[:, None])
        moved = newton_step(table.sum(rho), 0.5 * table.sum(lever), self.target(table), level)
        return np.maximum(moved, table.zero)

    def _middle(self, table: Table, absolute: Array) -> Array:
        level = MAD_FACTOR * placed(absolute, absolute.shape[1] // 2)
        return np.maximum(level, table.zero)

    def least(self, table: Table) -> float:
        """What counts as 0."""
        return table.zero

    def values(self, table: Table, absolute: Array, level: Array) -> Array:
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
    rounds: ClassVar[int] = 6
    apart: ClassVar[float] = 0.0
    passed: ClassVar[tuple[float, float]] = 1.0, 0.25

    def first_look(self, table: Table, absolute: Array) -> tuple[Weigh, Array]:
        """The share of every row in the sum, and the sums."""
        return self.look(table, absolute, None)

    def look(self, table: Table, absolute: Array, level: Array | None) -> tuple[Weigh, Array]:
        """The share of every row in the sum, and the sums."""
        shares = self.shares(table, absolute)
        sums = np.einsum("ij,ij->i", shares * absolute, absolute)
        return lambda absolute, some: shares[some], sums

    def shares(self, table: Table, absolute: Array) -> Array:
        """The share of every row in the sum."""
        covered = self.covered(table)
        if table.weight is None:
            last = int(np.ceil(covered)) - 1
            edge = placed(absolute, last)[:, None]
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
            return _shares(table, absolute, edge, covered)
        weights = (absolute <= edge).astype(np.float64)
        off = np.flatnonzero(weights.sum(axis=1) != covered)  # by rows that tie, for the most part
        if len(off):
            weights[off] = _shares(table, absolute[off], edge[off], covered)
        return weights

    def covered(self, table: Table) -> float:
        """The weight of the rows that count, a whole number where rounding explains the rest."""
        covered = self.share * table.total
        whole = round(covered)
        return float(whole) if abs(covered - whole) <= 1e-9 * covered else covered

    def least(self, table: Table) -> float:
        """The sum of residuals that count as 0."""
        return table.total * table.zero**2

    def values(self, table: Table, absolute: Array, level: Array) -> Array:
        """The sums; next to 0, by the rows off, for candidates that the rows that count lie on.

        With noise of a tiny scale on a plane, the sum falls as more rows are on it to choose from.
        """
        values = level.copy()
        small = np.flatnonzero(values <= self.least(table))
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

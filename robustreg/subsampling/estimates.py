"""S, MM and least trimmed squares estimates of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import EPS, Array, Index
from robustreg._median import weighted_median
from robustreg.evaluation.problem import Problem
from robustreg.losses import ResidualLoss
from robustreg.subsampling.brackets import Trimming, aims_at, followed
from robustreg.subsampling.criteria import Criterion, SmallScale, TrimmedSquares, off_plane
from robustreg.subsampling.descent import (
    LAST_PLACES,
    XTOL,
    Base,
    Fit,
    descend_by_trimming,
    descend_to_small_scale,
    fit_on_plane,
    rows_on_plane,
    trim,
)
from robustreg.subsampling.exact import plane_of_most_rows
from robustreg.subsampling.search import SMALL, find, fits_in_one, fits_within
from robustreg.subsampling.starts import further_starts
from robustreg.subsampling.table import REJECTED, Coordinates, Table, make_table

REACH = 10.0  # scales: residuals of rows that may have a say in a fit
ROUNDS = 3
OPTIMA = 2  # found on a sample, and followed on all rows
# Optima of least trimmed squares are many. What a sample has shown is followed by fits to some rows
# of the best, on all rows: so many for as many rows as all candidates may see, and fewer above.
FITS_ON_ALL = 30
# Rows from which on C-steps go on from a fit to one of so many by looks at all of them: those of
# the optima that differ in a few rows of the bulk are no better than each other there.
LONG, ONE_OF = 2**15, 16


@dataclass(frozen=True)
class Sample:
    """A problem, its rows in robust coordinates, and how to look for fits of high breakdown."""

    problem: Problem
    table: Table
    coordinates: Coordinates
    n_subsamples: int
    max_iter: int
    random: RandomState

    def coefficients(self, fit: Fit) -> tuple[Array, float]:
        """Coefficients and intercept of a fit in the problem's units."""
        coef, intercept = self.coordinates.to_coef(fit.theta)
        if fit.base is None:
            return coef, intercept
        return fit.base.coef + coef, fit.base.intercept + intercept

    def table_of(self, fit: Fit) -> Table:
        """The table of which a fit's ``theta`` is one."""
        return self.table if fit.base is None else replace(self.table, y=fit.base.residual)

    def descend(self, start: Fit, way: Callable[[Table, Array], Fit]) -> Fit:
        """Where a way down from a start ends."""
        found = way(self.table_of(start), start.theta)
        return self.continued(replace(found, base=start.base), way)

    def on_plane(self, start: Fit) -> Fit:
        """The plane that a fit is near, by the rows on it."""
        return self._by_its_rows(self.table_of(start), start.theta, start.base)

    def on_plane_of_most(self, exact: list[Array]) -> Fit:
        """The plane of the most rows, from fits that enough rows lie on."""
        return self._by_its_rows(self.table, plane_of_most_rows(self.table, np.array(exact)), None)

    def _by_its_rows(self, table: Table, theta: Array, base: Base | None) -> Fit:
        """The plane of a table that a theta is, or is near."""
        fit = fit_on_plane(table, theta)
        # these rows make out the digits that follow, of which few may be left at first
        way = partial(fit_on_plane, on=rows_on_plane(table, fit))
        return self.continued(replace(fit, base=base), way)

    def continued(self, fit: Fit, way: Callable[[Table, Array], Fit]) -> Fit:
        """Where a way down has ended, with the digits that the rows near the fit need.

        Beside a huge coefficient, as that of a dummy whose only row is gross, or large ones that
        cancel each other in nearly collinear columns, residuals have few digits in coordinates
        that mix the columns, and so has the intercept at X = 0. The way then goes on for what the
        coefficients leave of the targets, which is small, from 0.
        """
        for _ in range(ROUNDS):
            base = self.base_for_digits(fit)
            if base is None:
                break
            rest = way(replace(self.table, y=base.residual), np.zeros(self.table.m))
            if not (rest.converged or fit.converged):
                break
            fit = replace(rest, steps=fit.steps + rest.steps, base=base)
        return fit

    def base_for_digits(self, fit: Fit) -> Base | None:
        """What a fit is to go on from, where the rows near it need more digits; else None."""
        base = self._base_of(fit)
        return None if self._has_digits(fit, base) else base

    def _base_of(self, fit: Fit) -> Base:
        coef, intercept = self.coefficients(fit)
        with np.errstate(over="ignore", invalid="ignore"):
            residual = self.problem.y - (self.problem.X @ coef + intercept)
        far = self.coordinates.brought_in
        residual[far] = fit.residual[far]
        return Base(coef, intercept, residual)

    def _has_digits(self, fit: Fit, base: Base) -> bool:
        """Whether the coefficients leave what the fit has, or the terms do not say."""
        size = np.abs(fit.residual)
        near = size <= max(REACH * fit.scale, weighted_median(size), self.table.zero)
        lost = np.abs(base.residual - fit.residual)[near]
        if not np.isfinite(base.residual).all() or lost.max() <= XTOL * size[near].max():
            return True
        X, y = self.problem.X[near], self.problem.y[near]
        with np.errstate(over="ignore"):  # beside terms out of range nothing has digits to lose
            terms = _sizes(y, X, base.coef) + abs(base.intercept)
        return bool(np.all(lost <= LAST_PLACES * EPS * terms))

    def followed(self, fits: tuple[Fit, ...]) -> float:
        """The largest ``|y|`` that was brought in although a fit follows it; 0 if there is none.

        Far rows are rejected wherever they lie, and what they were brought in to is of no
        consequence, unless they are many, or count by other reasons: leverage, a wide scale.
        """
        far, beyond = self.problem.far, self.problem.beyond
        size = np.abs(self.problem.y[far] + beyond)
        near = np.zeros(len(far), dtype=bool)
        for fit in fits:
            apart = fit.residual[far] * np.sign(beyond)
            near |= apart <= REJECTED * max(fit.scale, self.table.zero)
        return float(size[near].max(initial=0.0))

    def is_exact_beside_far_y_only(self, fit: Fit, own: Problem) -> bool:
        """Whether it is in units of y that were followed that a fit is exact, not in its own."""
        if fit.scale > 0.0 or own is self.problem:
            return False
        size = weighted_median(np.abs(fit.residual)) * (self.problem.y_unit / own.y_unit)
        return size > own.exact

    def is_led_astray(self, fit: Fit) -> bool:
        """Whether a fit follows rows where their regressors were brought in to, not where they are.

        As with targets that is of no consequence where it rejects them. Of others the equations
        hold products of psi with 1e15 scales: their residuals must be the same but for rounding.
        """
        rows = self.coordinates.brought_in
        reach = REJECTED * max(fit.scale, self.table.zero)
        rows = rows[np.abs(fit.residual[rows]) <= reach]
        if not len(rows):
            return False
        (coef, intercept), table = self.coefficients(fit), self.table_of(fit).take(rows)
        X, y = self.problem.X[rows], self.problem.y[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            lost = np.abs(y - X @ coef - intercept - fit.residual[rows])
            terms = _sizes(y, X, coef) + abs(intercept) + _sizes(table.y, table.q, fit.theta)
            exact = XTOL * fit.scale if fit.scale > 0.0 else self.table.zero
            same = np.isfinite(lost) & (lost <= np.maximum(exact, LAST_PLACES * EPS * terms))
        return not bool(same.all())

    def find(self, criterion: Criterion) -> tuple[Array, Array]:
        """The optima of a criterion on (a sample of) the rows, the best ones first; its values."""
        starts: Callable[[Index | None], Array]
        starts = partial(
            further_starts,
            self.problem,
            self.table,
            self.coordinates,
            criterion,
            self.n_subsamples,
            self.random,
        )
        return find(
            self.table,
            criterion,
            n_subsamples=self.n_subsamples,
            random=self.random,
            more=starts,
            kept=OPTIMA,
        )


def _sizes(y: Array, X: Array, coef: Array) -> Array:
    """The sums of the absolute values of the terms of ``y - X coef``."""
    return np.abs(y) + np.abs(X) @ np.abs(coef)


def make_sample(
    problem: Problem,
    weight: Array | None,
    *,
    n_subsamples: int,
    max_iter: int,
    random: RandomState,
) -> Sample:
    """A problem ready for estimates of high breakdown, with the user's weights."""
    table, coordinates = make_table(problem, weight)
    return Sample(problem, table, coordinates, n_subsamples, max_iter, random)


def s_estimate(sample: Sample, loss: ResidualLoss) -> Fit:
    """The fit of the smallest M-scale of the residuals found."""

    def way(table: Table, theta: Array, near: float | None = None) -> Fit:
        return descend_to_small_scale(table, loss, theta, sample.max_iter, near)

    optima = zip(*sample.find(SmallScale(loss)), strict=True)
    fits = [way(sample.table, theta, float(near)) for theta, near in optima]
    exact = [fit.theta for fit in fits if fit.scale == 0.0]
    if exact:
        return sample.on_plane_of_most(exact)
    return sample.continued(min(fits, key=lambda fit: fit.scale), way)


def lts_estimate(sample: Sample, share: float) -> tuple[Fit, Array, float]:
    """The fit of the smallest trimmed sum of squares found, its rows' shares, and the sum."""
    table, criterion, most = sample.table, TrimmedSquares(share), sample.max_iter
    found = lts_optima(sample, criterion)
    exact = [fit.theta for fit in found if _is_exact(table, criterion, fit)]
    if exact:
        fit = sample.on_plane_of_most(exact)
    else:
        fit = sample.continued(
            found[0], lambda rest, theta: descend_by_trimming(rest, criterion, theta, most)[0]
        )
    return fit, *trim(table, criterion, fit.residual)


def lts_optima(sample: Sample, criterion: TrimmedSquares) -> list[Fit]:
    """Local optima of a trimmed sum of squares, the best one first."""
    table, most = sample.table, sample.max_iter
    thetas = sample.find(criterion)[0]
    if table.n > LONG and not fits_in_one(table):
        count = min(max(LONG // 2, table.n // ONE_OF), LONG)
        some = table.take(np.sort(sample.random.permutation(table.n)[:count]))
        starts = [fit for fit, _, _ in _descend(some, criterion, thetas, most)]
        law = Trimming(criterion.covered(table), table.total, table.zero)
        ended = followed(law, aims_at(starts, some, criterion.share), table.add_up, most)
        return [one.fit(table) for one in ended]
    found = _descend(table, criterion, thetas, most)
    if not fits_in_one(table) and not _is_exact(table, criterion, found[0][0]):
        count = max(1, FITS_ON_ALL * SMALL // table.n)
        near = fits_within(table, criterion, found[0][0].theta, count, sample.random)
        found = sorted(found + _descend(table, criterion, near, most), key=lambda one: one[2])
    return [fit for fit, _, _ in found]


def _descend(
    table: Table, criterion: TrimmedSquares, thetas: Array, most: int
) -> list[tuple[Fit, Array, float]]:
    found = [descend_by_trimming(table, criterion, theta, most) for theta in thetas]
    return sorted(found, key=lambda one: one[2])


def _is_exact(table: Table, criterion: TrimmedSquares, fit: Fit) -> bool:
    return bool(criterion.is_exact(table, off_plane(table, np.abs(fit.residual)[None]))[0])


def mean_loss(sample: Sample, loss: ResidualLoss, fit: Fit) -> float:
    """``(1/W) sum w s rho(r / s)``; 0 at scale 0."""
    if fit.scale == 0.0:
        return 0.0
    table = sample.table
    residual = sample.problem.put_back(fit.residual)
    total = float(table.sum(loss.rho(residual / fit.scale)))
    return fit.scale * total / table.total

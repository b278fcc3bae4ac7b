"""Where penalties begin to leave some coefficient other than 0.

The coefficients 0 and the best intercept are optimal under ``alpha l1_ratio |beta|_1`` if and
only if some nu that is optimal for this null fit has slopes ``|X_j'(w nu)| <= W alpha l1_ratio``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog as highs
from scipy.optimize import lsq_linear

from robustreg._arrays import EPS, SUMMED, Array
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.choice import scaled
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.order_statistics import Target, order_statistics
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import slopes_of
from robustreg.solvers._report import LAST_PLACES, SLOPE_ROUNDING
from robustreg.solvers.programme.balance import MAX_BOUNDED
from robustreg.solvers.programme.jobs import Picked, no_more_than
from robustreg.sources._surveyed import not_here

# Where the steepest slope comes down to less than this share of what it was, tolerances of the
# linear programme were relative to too much: another one begins there.
LOWERED, MAX_PROGRAMMES = 1e-2, 4
FAINT = 1e-6  # the same of a slope that is perhaps 0 but for what the programmes leave
MAX_PIVOTS = 1000  # of HiGHS, which needs some tens
MOST_ON = 2**14  # rows on a null fit that a pass brings back


def least_slope_at_quantile(problem: Problem) -> float:
    """Least L1 slope ``alpha l1_ratio`` at which absolute deviations or a quantile fit is null.

    The null fit is a quantile of y, 0 without an intercept. Rows off it have nu at a bound;
    rows on it share what is left, so that ``sum w nu = 0`` with an intercept. Of all such nu
    this is the least ``max_j |X_j'(w nu)| / W``, a linear programme over the rows on the null
    fit; with coefficients that must not be negative, of ``max_j X_j'(w nu) / W``, at least 0.
    A ridge has no part in it, being flat at 0.

    Parameters
    ----------
    problem : Problem
        With a loss that is homogeneous of degree 1.

    Returns
    -------
    float
        The slope per unit of the user's columns; it has no unit of y. It is attained by a
        feasible nu, hence never too small but for rounding.
    """
    objective = make_objective(problem, scaled(problem))
    held = problem.observed.source.in_memory
    null = _InMemory(problem, objective) if held else _InPasses(objective)
    nu = null.even()
    least = null.steepest(nu)
    if len(nu) <= problem.fit_intercept or least == 0.0:
        return least  # nothing to choose, or nothing to gain
    own = objective.coordinates
    live = own.basis > 0
    unit = own.rows.unit[live] / own.basis[live]
    face = _Face(null.design()[:, live], null.weight, objective.rows.total, problem)

    def slope(nu: Array) -> Array:
        return own.reduce(null.slopes(nu)[0])[live]

    first = least
    for attempt in range(2 * MAX_PROGRAMMES):
        improved = face.flattest if attempt % 2 else face.balanced
        nu = improved(nu, slope(nu), unit)
        before, least = least, min(least, null.steepest(nu))
        if least == 0.0 or (improved == face.flattest and least > LOWERED * before):
            break
    if 0.0 < least < FAINT * first and len(nu) <= MAX_BOUNDED:
        nu = face.levelled(nu, slope(nu))
        left = abs(null.slopes(nu)[1]) if problem.fit_intercept else 0.0
        if left <= SLOPE_ROUNDING and null.steepest(nu) == 0.0:
            return 0.0
    return least


def steepest_slope(objective: Objective, nu: Array, up: bool = False) -> float:
    """The steepest slope of nu that a kink has to balance, per unit of the user's columns."""
    own = objective.coordinates
    return steepest_of(objective, own.slopes(nu)[0], float(np.sqrt(own.average(nu * nu))), up)


def steepest_of(objective: Objective, slope: Array, size: float, up: bool = False) -> float:
    """The same of the slopes of a nu whose root mean square is ``size``.

    Slopes that are 0 but for rounding count as 0: to a penalty they would give a strength of
    1e-17 or so, where there is none. ``up`` rounds the others up by as much. The objective's
    coordinates are columns in units of about their standard deviations, so that slopes are at
    most the root mean square of nu.
    """
    own = objective.coordinates
    rows, slope = own.rows, own.reduce(slope)
    # of a column far from 0 the units in the last place of its mean besides
    noise = size * (SLOPE_ROUNDING + LAST_PLACES * EPS * np.abs(own.reduce(rows.offset)))
    steep = objective.penalty.steepness(slope)
    clear = (own.basis > 0) & (steep > noise)
    unit = rows.unit[clear] / own.basis[clear]
    if up:
        steep = steep + noise
    return float((steep[clear] * unit).max(initial=0.0))


class _NullFit(ABC):
    """The null fit, on which some rows are: their nu may be chosen, the others' are at a bound."""

    weight: Array  # of the rows on it

    def __init__(self, objective: Objective, rest: float) -> None:
        self.objective = objective
        self.rest = rest  # sum w nu of the others

    def even(self) -> Array:
        """Nu that are equal, and balance the others' as far as that goes."""
        low, high = self.objective.loss.conjugate_domain
        nu = np.zeros(len(self.weight))
        if self.objective.rows.fit_intercept and len(nu):
            nu[:] = np.clip(-self.rest / self.weight.sum(), low, high)
        return nu

    @abstractmethod
    def design(self) -> Array:
        """Those rows in the coordinates, without the intercept's."""

    @abstractmethod
    def slopes(self, nu: Array) -> tuple[Array, float]:
        """``(A - offset)'(w nu) / W`` and ``sum w nu / W`` of all rows, these having such nu."""

    @abstractmethod
    def steepest(self, nu: Array) -> float:
        """The steepest of these slopes, as :func:`steepest_of` has it."""


class _InMemory(_NullFit):
    """Where all rows are at hand."""

    def __init__(self, problem: Problem, objective: Objective) -> None:
        low, high = problem.loss.conjugate_domain
        weight = np.ones(problem.n) if problem.weight is None else problem.weight
        y, centre = problem.y, 0.0
        if problem.fit_intercept:
            order = np.argsort(y, kind="stable")
            cumulated = np.cumsum(weight[order])
            centre = y[order[np.searchsorted(cumulated, _rank(objective, cumulated[-1]))]]
        self.free = y == centre
        self.nu = np.where(y > centre, high, low)
        self.nu[self.free] = 0.0
        self.weight = weight[self.free]
        super().__init__(objective, float(weight @ self.nu))

    def design(self) -> Array:
        own = self.objective.coordinates
        return own.take(self.free)[:, : own.k]

    def slopes(self, nu: Array) -> tuple[Array, float]:
        self.nu[self.free] = nu
        return self.objective.coordinates.slopes(self.nu)

    def steepest(self, nu: Array) -> float:
        self.nu[self.free] = nu
        return steepest_slope(self.objective, self.nu)


class _InPasses(_NullFit):
    """Where sums of the others come back, and the rows on the fit if they are few."""

    def __init__(self, objective: Objective) -> None:
        rows, centre = objective.rows, 0.0
        if rows.fit_intercept:
            rank = np.array([_rank(objective, rows.total)])
            centre = float(order_statistics(rows, Target(), rank)[0])
        self.sums: _OffNull = rows.sum(_LookAtNull(centre, objective.loss.conjugate_domain))
        if self.sums.on is None:
            raise not_here()
        self.weight = self.sums.on.weight
        super().__init__(objective, float(self.sums.slopes[-1]))

    def design(self) -> Array:
        own, on = self.objective.coordinates, self.sums.on
        assert on is not None
        return own.of_centred(on.a)[:, : own.k]

    def slopes(self, nu: Array) -> tuple[Array, float]:
        on, total = self.sums.on, self.objective.rows.total
        assert on is not None
        weighted = self.weight * nu
        sums = (self.sums.slopes + np.append(weighted @ on.a, weighted.sum())) / total
        return sums[:-1], float(sums[-1])

    def steepest(self, nu: Array) -> float:
        square = self.sums.square + float(self.weight @ np.square(nu))
        size = math.sqrt(square / self.objective.rows.total)
        return steepest_of(self.objective, self.slopes(nu)[0], size)


def _rank(objective: Objective, total: float) -> float:
    """The weight at or below the quantile that is the null fit."""
    low, high = objective.loss.conjugate_domain
    return high / (high - low) * total * (1.0 - SUMMED)


@dataclass(frozen=True)
class _OffNull:
    """Sums over the rows off a null fit, and the rows on it; None where these are too many."""

    slopes: Array  # (p + 1,) sum w nu [a, 1]
    square: float  # sum w nu^2
    on: Picked | None

    def __add__(self, other: _OffNull) -> _OffNull:
        on = None
        if self.on is not None and other.on is not None:
            on = no_more_than(MOST_ON, self.on + other.on)
        return _OffNull(self.slopes + other.slopes, self.square + other.square, on)


@dataclass(frozen=True)
class _LookAtNull:
    """The job that sums them."""

    centre: float
    bounds: tuple[float, float]  # of nu

    def __call__(self, block: Block) -> _OffNull:
        (low, high), y = self.bounds, block.target
        index = np.flatnonzero(y == self.centre)
        nu = np.where(y > self.centre, high, low)
        nu[index] = 0.0
        weighted = block.weighted(nu)
        on = Picked.of(block, index, y > 0.0) if len(index) <= MOST_ON else None
        return _OffNull(slopes_of(block, weighted), float(weighted @ nu), on)


@dataclass(frozen=True)
class _Face:
    """The rows on the null fit, whose nu may be anything that keeps its sum and its bounds."""

    design: Array
    weight: Array
    total: float
    problem: Problem

    def _sums(self) -> Array:
        """The columns of the rows and, with an intercept, its own."""
        if not self.problem.fit_intercept:
            return self.design
        return np.column_stack([self.design, np.ones(len(self.design))])

    def balanced(self, nu: Array, slope: Array, unit: Array) -> Array:
        """The nearest nu with all slopes 0, if there is one within the bounds; else this one."""
        sums = self._sums()
        gram = (sums.T * self.weight) @ sums / self.total
        side = np.zeros(len(gram))
        side[: len(slope)] = slope
        step = lstsq(gram, side, cond=1e-12)
        left, near = np.abs(gram @ step - side).max(), nu - sums @ step
        low, high = self.problem.loss.conjugate_domain
        inside = low <= near.min() and near.max() <= high
        return near if inside and left <= SLOPE_ROUNDING else nu

    def levelled(self, nu: Array, slope: Array) -> Array:
        """The nu within bounds for which the sum of squared slopes is least, its sum included."""
        share = (self.weight[:, None] * self._sums()).T / self.total
        side = np.zeros(len(share))
        side[: len(slope)] = -slope
        low, high = self.problem.loss.conjugate_domain
        step = lsq_linear(share, side, (low - nu, high - nu), method="bvls", tol=EPS).x
        return np.clip(nu + step, low, high)

    def flattest(self, nu: Array, slope: Array, unit: Array) -> Array:
        """The nu whose steepest slope is the least, by HiGHS."""
        (low, high), count = self.problem.loss.conjugate_domain, len(nu)
        scale = unit / np.abs(slope * unit).max()
        share = (self.weight[:, None] * self.design / self.total * scale).T
        rest, ones = slope * scale, np.ones((len(slope), 1))
        sides = [1.0] if self.problem.penalty.positive else [1.0, -1.0]
        kept = self.problem.fit_intercept
        fit = highs(  # in changes of nu, which keep their digits
            np.append(np.zeros(count), 1.0),
            A_ub=np.vstack([np.hstack([side * share, -ones]) for side in sides]),
            b_ub=np.concatenate([-side * rest for side in sides]),
            A_eq=np.append(self.weight, 0.0)[None, :] if kept else None,
            b_eq=[0.0] if kept else None,
            bounds=np.column_stack([np.append(low - nu, 0.0), np.append(high - nu, np.inf)]),
            method="highs-ipm",  # of thousands of rows a tenth of the simplex method's time
            options={"maxiter": MAX_PIVOTS},  # on some tables it goes round for ever
        )
        if fit.x is None:
            return nu
        found = np.clip(nu + fit.x[:-1], low, high)
        if kept:  # what rounding has changed of the sum goes to where there is room
            lost = float(self.weight @ (nu - found))
            room = high - found if lost > 0.0 else found - low
            found += lost * room / max(float(self.weight @ room), np.finfo(float).tiny)
        return found

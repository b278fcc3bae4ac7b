"""Where penalties begin to leave some coefficient other than 0.

The coefficients 0 and the best intercept are optimal under ``alpha l1_ratio |beta|_1`` if and
only if some nu that is optimal for this null fit has slopes ``|X_j'(w nu)| <= W alpha l1_ratio``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog as highs
from scipy.optimize import lsq_linear

from robustreg._arrays import EPS, SUMMED, Array, Mask
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.choice import scaled
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Problem
from robustreg.solvers._report import LAST_PLACES, SLOPE_ROUNDING
from robustreg.solvers.programme.balance import MAX_BOUNDED

# Where the steepest slope comes down to less than this share of what it was, tolerances of the
# linear programme were relative to too much: another one begins there.
LOWERED, MAX_PROGRAMMES = 1e-2, 4
FAINT = 1e-6  # the same of a slope that is perhaps 0 but for what the programmes leave
MAX_PIVOTS = 1000  # of HiGHS, which needs some tens


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
    own = objective.coordinates
    live = own.basis > 0
    unit = own.rows.unit[live] / own.basis[live]
    weight = np.ones(problem.n) if problem.weight is None else problem.weight
    nu, free = _at_quantile(problem, weight)
    least = steepest_slope(objective, nu)
    if free.sum() <= problem.fit_intercept or least == 0.0:
        return least  # nothing to choose, or nothing to gain
    design = own.take(free)[:, : own.k][:, live]
    face = _Face(design, weight[free], objective.rows.total, problem)
    first = least
    for attempt in range(2 * MAX_PROGRAMMES):
        improved = face.flattest if attempt % 2 else face.balanced
        slope = own.reduce(own.slopes(nu)[0])[live]
        nu[free] = improved(nu[free], slope, unit)
        before, least = least, min(least, steepest_slope(objective, nu))
        if least == 0.0 or (improved == face.flattest and least > LOWERED * before):
            break
    if 0.0 < least < FAINT * first and len(design) <= MAX_BOUNDED:
        nu[free] = face.levelled(nu[free], own.reduce(own.slopes(nu)[0])[live])
        left = abs(own.slopes(nu)[1]) if problem.fit_intercept else 0.0
        if left <= SLOPE_ROUNDING and steepest_slope(objective, nu) == 0.0:
            return 0.0
    return least


def steepest_slope(objective: Objective, nu: Array, up: bool = False) -> float:
    """The steepest slope of nu that a kink has to balance, per unit of the user's columns.

    Slopes that are 0 but for rounding count as 0: to a penalty they would give a strength of
    1e-17 or so, where there is none. ``up`` rounds the others up by as much. The objective's
    coordinates are columns in units of about their standard deviations, so that slopes are at
    most the root mean square of nu.
    """
    own = objective.coordinates
    rows, size = own.rows, np.sqrt(own.average(nu * nu))
    slope = own.reduce(own.slopes(nu)[0])
    # of a column far from 0 the units in the last place of its mean besides
    noise = size * (SLOPE_ROUNDING + LAST_PLACES * EPS * np.abs(own.reduce(rows.offset)))
    steep = objective.penalty.steepness(slope)
    clear = (own.basis > 0) & (steep > noise)
    unit = rows.unit[clear] / own.basis[clear]
    if up:
        steep = steep + noise
    return float((steep[clear] * unit).max(initial=0.0))


def _at_quantile(problem: Problem, weight: Array) -> tuple[Array, Mask]:
    """A nu that is optimal for the null fit, equal on the rows on it, and which rows these are."""
    low, high = problem.loss.conjugate_domain
    y, centre = problem.y, 0.0
    if problem.fit_intercept:
        order = np.argsort(y, kind="stable")
        cumulated = np.cumsum(weight[order])
        share = high / (high - low) * cumulated[-1] * (1.0 - SUMMED)
        centre = y[order[np.searchsorted(cumulated, share)]]
    free = y == centre
    nu = np.where(y > centre, high, low)
    nu[free] = 0.0
    if problem.fit_intercept:
        nu[free] = np.clip(-(weight @ nu) / weight[free].sum(), low, high)
    return nu, free


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

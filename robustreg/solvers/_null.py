"""Where penalties begin to leave some coefficient other than 0.

The coefficients 0 and the best intercept are optimal under ``alpha l1_ratio |beta|_1`` if and
only if some nu that is optimal for this null fit has slopes ``|X_j'(w nu)| <= W alpha l1_ratio``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import linprog as highs

from robustreg._arrays import Array, Mask
from robustreg._problem import Problem
from robustreg.solvers._frame import make_objective, make_scaled_frame

ROUNDING = 1e-12  # of the columns' standard deviations: of slopes that are 0
AT_QUANTILE = 1e-12  # of W: rounding of sums of weights


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
    frame = make_scaled_frame(problem)
    objective = make_objective(problem, frame, curvature=False)
    live = frame.basis > 0
    unit = frame.rows.unit[live] / frame.basis[live]

    def steepest(slope: Array) -> float:
        kept = np.where(np.abs(slope) <= ROUNDING, 0.0, slope * unit)
        return float(problem.penalty.steepness(kept).max(initial=0.0))

    def slopes(nu: Array) -> Array:
        return objective.reduce(objective.slopes(nu)[0])[live]

    weight = np.ones(problem.n) if problem.weight is None else problem.weight
    nu, free = _at_quantile(problem, weight)
    slope = slopes(nu)
    least = steepest(slope)
    if free.sum() <= problem.fit_intercept or least == 0.0:
        return least  # nothing to choose, or nothing to gain
    design = objective.coordinates(free)[:, : objective.k][:, live]
    face = _Face(design, weight[free], objective.rows.total, problem)
    for improved in (face.balanced, face.flattest):
        nu[free] = improved(nu[free], slope, unit)
        slope = slopes(nu)
        least = min(least, steepest(slope))
        if least == 0.0:
            break
    return least


def _at_quantile(problem: Problem, weight: Array) -> tuple[Array, Mask]:
    """A nu that is optimal for the null fit, equal on the rows on it, and which rows these are."""
    low, high = problem.loss.conjugate_domain
    y, centre = problem.y, 0.0
    if problem.fit_intercept:
        order = np.argsort(y, kind="stable")
        cumulated = np.cumsum(weight[order])
        share = high / (high - low) * cumulated[-1] * (1.0 - AT_QUANTILE)
        centre = y[order[np.searchsorted(cumulated, share)]]
    free = y == centre
    nu = np.where(y > centre, high, low)
    nu[free] = 0.0
    if problem.fit_intercept:
        nu[free] = np.clip(-(weight @ nu) / weight[free].sum(), low, high)
    return nu, free


@dataclass
class _Face:
    """The rows on the null fit, whose nu may be anything that keeps its sum and its bounds."""

    design: Array
    weight: Array
    total: float
    problem: Problem

    def balanced(self, nu: Array, slope: Array, unit: Array) -> Array:
        """The nearest nu with all slopes 0, if there is one within the bounds; else this one."""
        sums = np.column_stack([self.design, np.ones(len(nu))])
        sums = sums[:, : len(slope) + self.problem.fit_intercept]
        gram = (sums.T * self.weight) @ sums / self.total
        side = np.zeros(len(gram))
        side[: len(slope)] = slope
        step = lstsq(gram, side, cond=ROUNDING)[0]
        left, near = np.abs(gram @ step - side).max(), nu - sums @ step
        low, high = self.problem.loss.conjugate_domain
        inside = low <= near.min() and near.max() <= high
        return near if inside and left <= ROUNDING else nu

    def flattest(self, nu: Array, slope: Array, unit: Array) -> Array:
        """The nu whose steepest slope is the least, by HiGHS."""
        (low, high), count = self.problem.loss.conjugate_domain, len(nu)
        scale = unit / np.abs(slope * unit).max()
        share = (self.weight[:, None] * self.design / self.total * scale).T
        rest, ones = slope * scale - share @ nu, np.ones((len(slope), 1))
        sides = [1.0] if self.problem.penalty.positive else [1.0, -1.0]
        kept = self.problem.fit_intercept
        fit = highs(
            np.append(np.zeros(count), 1.0),
            A_ub=np.vstack([np.hstack([side * share, -ones]) for side in sides]),
            b_ub=np.concatenate([-side * rest for side in sides]),
            A_eq=np.append(self.weight, 0.0)[None, :] if kept else None,
            b_eq=[self.weight @ nu] if kept else None,
            bounds=[(low, high)] * count + [(0.0, None)],
            method="highs-ipm",  # of thousands of rows a tenth of the simplex method's time
        )
        if fit.x is None:
            return nu
        found = np.clip(fit.x[:-1], low, high)
        if kept:  # what rounding has changed of the sum goes to where there is room
            lost = float(self.weight @ (nu - found))
            room = high - found if lost > 0.0 else found - low
            found += lost * room / max(float(self.weight @ room), np.finfo(float).tiny)
        return found

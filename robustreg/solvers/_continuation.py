"""Continuation in the scale: fits of large scales lead to those of small ones.

The curvature that Newton's method sees is that of the rows in the centre of the loss. At a
scale at which all rows are there F is a parabola; at one so small that hardly any is, F is
piecewise linear but for narrow bends, and steps see only the few rows that they are at.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.optimize import brentq

from robustreg._arrays import EPS, Array
from robustreg._median import mad
from robustreg.evaluation.choice import is_small
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.units import SURVEY_ROWS
from robustreg.solvers._ended import Ended
from robustreg.solvers._minimise import XTOL, minimise_rooted, width
from robustreg.solvers._plane import Limit
from robustreg.solvers._tracked import Tracked

TINY_SCALE = 1e-3  # fixed scales below this share of the spread are all but the limit 0
STAGE = 0.1  # a fixed scale far below the residuals' is approached by this factor
STAGE_XTOL, STAGE_STEPS = 1e-2, 25  # last step of a stage, in scales, and its most steps
RATIO = 0.25  # of scales one after the other on the way from the largest
MAX_CUT_SHORT = 6  # scales in a row whose fits come to no end: those below will not either
SCALE_XTOL, MAX_SCALES = 1e-14, 20  # of the logarithm of a joint scale, and how many are tried
SMALL = 2**13  # entries of X
FAINT = 1e-12  # of F: beside what is left of gross errors a joint scale that has no more is any


def has_tiny_scale(problem: Problem) -> bool:
    """Whether a fixed scale is so small beside the spread of y that psi' is mostly 0."""
    if problem.scale is None:
        return False
    return min(1.0, width(problem.loss)) * problem.scale < TINY_SCALE * problem.spread


def approach(problem: Problem, tracked: Tracked, theta: Array, max_iter: int) -> tuple[Array, int]:
    """A start for a fixed scale far below the residuals', where psi' is mostly 0.

    By continuation in the scale; where that is slow, or the scale next to 0, from the limit 0.
    """
    objective = tracked.objective
    scale, narrow, used = objective.scale, min(1.0, width(problem.loss)), 0
    assert scale is not None
    target = narrow * scale
    if problem.loss.homogeneity == 2:
        return theta, used
    every = max(1, problem.n // SURVEY_ROWS)
    residual, weight = objective.residuals_of_some(theta, every)
    stage = mad(residual, weight, center=0.0)
    slow = has_tiny_scale(problem) or target < TINY_SCALE * stage
    while stage * STAGE > target and used < max_iter and not slow:
        tracked.go_on_with(objective.at_scale(stage / narrow))
        steps = min(STAGE_STEPS, max_iter - used)
        fit = minimise_rooted(tracked, theta, steps, STAGE_XTOL, floor=0.0)
        theta, used, stage = fit.x, used + fit.nit, stage * STAGE
        slow = fit.nit >= STAGE_STEPS and fit.status == Ended.MAX_ITER
    if tracked.objective is not objective:
        tracked.go_on_with(objective)
    if slow and objective.coordinates.moments is not None:
        theta = Limit(problem, objective).solve(theta)
    return theta, used


def careful(objective: Objective) -> Objective:
    """The objective with all digits of the gradient, where that does not take too long."""
    return replace(objective, precise=is_small(objective.rows, SMALL))


def from_above(problem: Problem, objective: Objective, max_iter: int) -> tuple[Array, int]:
    """A point next to the optimum, for problems whose fits get stuck, and the steps it took.

    Scales fall from one at which all rows are in the centre of the loss, each fit being the start
    of the next. A given scale is approached in that way. A joint one solves the equation
    ``mean(rho*(psi)) = kappa`` with the coefficients that are best for the scale: F, least over
    these, is convex in the scale, and the difference of the two sides is its slope. Where that
    does not vanish at any scale that is not next to 0, or nothing in F, the last one is returned.
    """
    fixed, cut_short = Tracked(objective.at_scale(problem.scale or 1.0)), 0
    size = fixed.objective.size
    theta, used, xtol, value = np.zeros(size), 0, STAGE_XTOL, 0.0

    def fit_at(scale: float) -> None:
        nonlocal theta, used, value, cut_short
        fixed.go_on_with(objective.at_scale(scale))
        if not size:  # neither columns nor an intercept
            return
        fit = minimise_rooted(fixed, theta, min(STAGE_STEPS, max_iter), xtol, 0.0)
        theta, used, value = fit.x, used + fit.nit, fit.fun
        cut_short = cut_short + 1 if fit.status == Ended.MAX_ITER else 0

    @cache  # which makes the ends of an interval what they were when it was found
    def slope(log_scale: float) -> float:
        fit_at(math.exp(log_scale))
        conjugate = fixed.at(theta).sums.conjugate / objective.rows.total
        return problem.loss.kappa - float(conjugate)

    highest = problem.farthest / min(1.0, width(problem.loss))
    if problem.scale is not None:
        if problem.loss.homogeneity != 2:  # else F is the same at all scales
            stages = math.log(problem.scale / highest) / math.log(RATIO)
            for power in range(math.ceil(stages)):
                fit_at(highest * RATIO**power)
                if cut_short == MAX_CUT_SHORT:
                    break
        return theta, used
    step, high = -math.log(RATIO), math.log(highest)
    while slope(high) < 0.0:
        high += step
    low = high - step
    while slope(low) > 0.0:
        if math.exp(low) < max(EPS * problem.spread, FAINT * value / problem.loss.kappa):
            break
        low, high = low - step, low
    if slope(low) < 0.0:
        xtol = XTOL
        low = float(brentq(slope, low, high, xtol=SCALE_XTOL, maxiter=MAX_SCALES, disp=False))
        fit_at(math.exp(low))
    return np.append(theta, math.exp(low)), used

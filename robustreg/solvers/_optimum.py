"""Optima of smooth losses in the coordinates of a frame, at joint scale 0 where they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array
from robustreg.evaluation.coordinates import Frame, least_squares, pack, penalised_least_squares
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.units import SURVEY_ROWS
from robustreg.scale._median import mad
from robustreg.solvers._continuation import approach, from_above
from robustreg.solvers._ended import Ended, Limits, finished
from robustreg.solvers._minimise import SMALL_SCALES, Minimise, minimise_newton, width
from robustreg.solvers._plane import AtZero, at_scale_zero
from robustreg.solvers.programme.candidates import is_exact

SLOW_SCALE = 1e-2
# Losses whose centre is narrower than this, in scales or in spreads of y, are all but absolute
# deviations: of a joint scale they may leave nothing, of a fixed one floating point does.
NARROW, NO_WIDTH = 1e-3, 1e-10
REFINEMENTS = 3  # of a fit through all rows


@dataclass
class Optimum:
    """Where an optimisation ended; the objective's residuals belong to ``theta``."""

    theta: Array
    fit: OptimizeResult
    at_zero: AtZero | None  # where the joint scale is 0


def optimise(
    problem: Problem,
    frame: Frame,
    objective: Objective,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Optimum:
    """The optimum from a start, or from where least squares lead."""
    theta = _first_theta(problem, objective, frame, start)
    if objective.joint and start is None:
        bound = problem.loss.conjugate_domain[1]
        value = objective.average(np.abs(objective.residual))
        value *= bound if np.isfinite(bound) else 1.0  # F at scale 0, or of its order
        beta = objective.unpack(theta)[0]
        value += objective.penalty.value(objective.rows.coefficients(beta))
        if is_exact(problem, objective, theta, value, objective.residual):
            fit = finished("The least-squares fit is exact.")
            return Optimum(theta, fit, (value, value, np.zeros(problem.n)))
    if objective.size == 0:  # only columns of zeros, no intercept, a given scale
        fit = finished("There is nothing to fit.")
        return Optimum(theta, fit, None)
    used = 0
    if _almost_absolute(problem):
        theta, at_zero = at_scale_zero(problem, frame, objective, theta, limits.tol)
        if at_zero is not None:
            fit = finished("The fit is one of absolute deviations.")
            return Optimum(theta, fit, at_zero)
    elif not objective.joint:
        theta, used = approach(problem, frame, objective, theta, limits.max_iter)
    return _descend(problem, frame, objective, theta, used, limits, minimise)


def _descend(
    problem: Problem,
    frame: Frame,
    objective: Objective,
    theta: Array,
    used: int,
    limits: Limits,
    minimise: Minimise,
) -> Optimum:
    """The optimum from a start, after so many iterations; at joint scale 0 where it is there."""
    fit = OptimizeResult(x=theta, nit=used, status=Ended.MAX_ITER, message="max_iter reached.")
    for small in SMALL_SCALES:
        if used >= limits.max_iter:
            break
        fit = minimise(
            objective, theta, limits.max_iter - used, limits.xtol, small * problem.spread
        )
        theta, used = fit.x, used + fit.nit
        fit.nit = used
        if not _may_be_zero(problem, fit):
            break
        theta, at_zero = at_scale_zero(problem, frame, objective, theta, limits.tol)
        if at_zero is not None:
            fit = finished("Most rows lie on a plane.", used)
            return Optimum(theta, fit, at_zero)
    return Optimum(theta, fit, None)


def optimise_from_above(
    problem: Problem, frame: Frame, objective: Objective, limits: Limits
) -> Optimum:
    """The same by continuation from scales at which F is a parabola, for fits that get stuck."""
    theta, used = from_above(problem, frame, limits.max_iter)
    minimise = partial(minimise_newton, rooted=True)
    optimum = _descend(problem, frame, objective, theta, 0, limits, minimise)
    optimum.fit.nit += used
    return optimum


def _almost_absolute(problem: Problem) -> bool:
    """Whether the centre of the loss is so narrow that hardly a residual is in it.

    Under a joint scale: fewer than there are coefficients. Of n Gaussian ones 0.8 n times the
    width are, and their equation asks for two thirds of that.
    """
    centre = width(problem.loss)
    if problem.scale is None:
        return centre <= NARROW and centre * problem.n <= 2 * (problem.p + 1)
    return centre * problem.scale <= NO_WIDTH * problem.spread


def _may_be_zero(problem: Problem, fit: OptimizeResult) -> bool:
    """Whether the joint scale has become small, or was on the way when iterations ran out."""
    slow = (
        fit.status == Ended.MAX_ITER and problem.joint and fit.x[-1] < SLOW_SCALE * problem.spread
    )
    return bool(fit.status == Ended.AT_BOUND or slow)


def _first_theta(
    problem: Problem, objective: Objective, frame: Frame, start: Coefficients | None
) -> Array:
    """The given start, else least squares with the MAD of (some) residuals as scale."""
    if start is not None:
        if problem.penalty.positive:  # of a fit without the constraint, or a guess
            start = replace(start, coef=np.maximum(start.coef, 0.0))
        return pack(objective, frame, start)
    if objective.kinks is None:
        found = least_squares(frame)
        if problem.penalty.is_none and len(found) >= problem.n:
            found = _through_all(objective, found)
    else:
        found = penalised_least_squares(objective, frame, problem.scale or problem.spread)
    theta = np.append(found, 1.0)
    residual = objective.locate(theta)
    every = slice(None, None, max(1, problem.n // SURVEY_ROWS))
    weight = None if problem.weight is None else problem.weight[every]
    sigma = mad(residual[every], weight, center=0.0)
    floor = min(1e-3 * objective.average(np.abs(residual)), problem.spread)
    theta[-1] = max(sigma, floor, 10 * SMALL_SCALES[0] * problem.spread)
    return theta if objective.joint else theta[:-1]


def _through_all(objective: Objective, place: Array) -> Array:
    """Least squares of the targets as they are where any are fitted exactly, gross ones, too."""
    for _ in range(REFINEMENTS):
        residual = objective.y - objective.fitted(*objective.unpack(np.append(place, 1.0))[:2])
        slope, mean = objective.slopes(residual)
        change = objective.reduce(slope)
        place = place + (np.append(change, mean) if objective.rows.fit_intercept else change)
    return place

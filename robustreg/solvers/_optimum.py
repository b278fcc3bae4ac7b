"""Optima of smooth losses in coordinates of their own, at joint scale 0 where they are there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array
from robustreg._median import mad
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.units import SURVEY_ROWS
from robustreg.solvers._continuation import approach, from_above
from robustreg.solvers._ended import Ended, Limits, finished
from robustreg.solvers._minimise import SMALL_SCALES, Minimise, minimise_rooted, width
from robustreg.solvers._plane import AtZero, at_scale_zero
from robustreg.solvers._report import LAST_PLACES
from robustreg.solvers._tracked import Tracked
from robustreg.solvers.programme.candidates import is_exact

SLOW_SCALE = 1e-2
# Losses whose centre is narrower than this, in scales or in spreads of y, are all but absolute
# deviations: of a joint scale they may leave nothing, of a fixed one floating point does.
NARROW, NO_WIDTH = 1e-3, 1e-10
FAR_FROM_EXACT = 1e3  # times what rounding may leave: so much in some rows says enough of all
REFINEMENTS = 3  # of a fit through all rows


@dataclass(frozen=True)
class Optimum:
    """Where an optimisation ended."""

    theta: Array
    fit: OptimizeResult
    at_zero: AtZero | None  # where the joint scale is 0


def optimise(
    problem: Problem,
    tracked: Tracked,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Optimum:
    """The optimum from a start, or from where least squares lead."""
    objective = tracked.objective
    if start is None:
        theta, exact = _from_least_squares(problem, objective)
        if exact is not None:
            return Optimum(theta, finished("The least-squares fit is exact."), exact)
    else:
        if problem.penalty.positive:  # of a fit without the constraint, or a guess
            start = replace(start, coef=np.maximum(start.coef, 0.0))
        theta = objective.pack(start)
    if objective.size == 0:  # only columns of zeros, no intercept, a given scale
        fit = finished("There is nothing to fit.")
        return Optimum(theta, fit, None)
    used = 0
    if _almost_absolute(problem):
        theta, at_zero = at_scale_zero(problem, tracked, theta, limits.tol)
        if at_zero is not None:
            fit = finished("The fit is one of absolute deviations.")
            return Optimum(theta, fit, at_zero)
    elif not objective.joint:
        theta, used = approach(problem, tracked, theta, limits.max_iter)
    return _descend(problem, tracked, theta, used, limits, minimise)


def _descend(
    problem: Problem,
    tracked: Tracked,
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
        fit = minimise(tracked, theta, limits.max_iter - used, limits.xtol, small * problem.spread)
        theta, used = fit.x, used + fit.nit
        fit.nit = used
        if not _may_be_zero(problem, fit):
            break
        theta, at_zero = at_scale_zero(problem, tracked, theta, limits.tol)
        if at_zero is not None:
            fit = finished("Most rows lie on a plane.", used)
            return Optimum(theta, fit, at_zero)
    return Optimum(theta, fit, None)


def optimise_from_above(problem: Problem, tracked: Tracked, limits: Limits) -> Optimum:
    """The same by continuation from scales at which F is a parabola, for fits that get stuck."""
    theta, used = from_above(problem, tracked.objective, limits.max_iter)
    optimum = _descend(problem, tracked, theta, 0, limits, minimise_rooted)
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


def _from_least_squares(problem: Problem, objective: Objective) -> tuple[Array, AtZero | None]:
    """Least squares with the MAD of (some) residuals as scale; the fit at scale 0 if it is one."""
    if objective.kinks is None:
        found = objective.least_squares()
        if problem.penalty.is_none and len(found) >= problem.n:
            found = _through_all(objective, found)
    else:
        found = objective.penalised_least_squares(problem.scale or problem.spread)
    if not objective.joint:
        return found, None
    theta, step = np.append(found, 1.0), max(1, problem.n // SURVEY_ROWS)
    some, weight = objective.residuals_of_some(theta, step)
    size = np.abs(some)
    deviation = float(size.mean() if weight is None else np.average(size, weights=weight))
    floor = min(1e-3 * deviation, problem.spread)
    sigma = max(mad(some, weight, center=0.0), floor)
    theta[-1] = max(sigma, 10 * SMALL_SCALES[0] * problem.spread)
    beta, bound = objective.unpack(theta)[0], problem.loss.conjugate_domain[1]
    bound = bound if np.isfinite(bound) else 1.0
    penalty = objective.penalty.value(objective.rows.coefficients(beta))
    value = bound * deviation + penalty  # F at scale 0, or of its order
    doubt = 1.0 if step == 1 else FAR_FROM_EXACT
    rounding = LAST_PLACES * EPS * problem.farthest
    if deviation > doubt * problem.exact and value > doubt * rounding:
        return theta, None  # most often, and known without a pass
    residual = objective.residuals(theta)
    value = bound * objective.coordinates.average(np.abs(residual)) + penalty
    if not is_exact(problem, objective, theta, value, residual):
        return theta, None
    return theta, AtZero(value, value, np.zeros(problem.n), residual)


def _through_all(objective: Objective, place: Array) -> Array:
    """Least squares of the targets as they are where any are fitted exactly, gross ones, too."""
    own = objective.coordinates
    with np.errstate(over="ignore", invalid="ignore"):  # a place out of range is none
        for _ in range(REFINEMENTS):
            residual = objective.residuals(np.append(place, 1.0))
            slope, mean = own.slopes(residual)
            change = own.reduce(slope)
            further = place + (np.append(change, mean) if own.rows.fit_intercept else change)
            if not np.isfinite(own.expand(further[: own.k])).all():
                break
            place = further
    return place

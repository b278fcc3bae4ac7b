"""Absolute deviations and quantiles by a primal-dual interior point method, ended exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array
from robustreg.evaluation.choice import FAR_OUT, Chosen
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Solution
from robustreg.solvers.programme.candidates import (
    Candidate,
    better_candidate,
    certified,
    opened,
    report,
)
from robustreg.solvers.programme.central import (
    Point,
    barrier_of,
    central_point,
    centred,
    majorised,
)
from robustreg.solvers.programme.dual import linprog_in
from robustreg.solvers.programme.early import MOST_COORDINATES, EarlyVertex
from robustreg.solvers.programme.rows import Programme, Stored, Streamed
from robustreg.solvers.programme.session import ProgrammeSession
from robustreg.solvers.programme.vertex import at_best_intercept, descents, typical_size, vertex

TO_BOUNDARY = 0.9995  # share of the way to the boundary that a step may go
TARGET = 1e-11  # relative complementarity gap that leaves the rest to the exact ending
CENTRAL = 10.0  # complementarity at the start, in the typical residual's: from near 0 steps jam
# The same of points of the central path that are stepped to before: then there is less to go.
NEARER = 0.2, 0.1, 0.05, 0.05
JAMMED = 0.9  # share of the complementarity that a step must not leave
RECENTRED = 2  # jammed steps after which the central path is looked for,
LOWERED = 0.1  # at this share of the complementarity
PROVEN = 1e-12  # relative gap of a vertex that was found on the way
MAX_STALLED = 5  # jammed steps that end the iteration


def interior_point(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Absolute deviations or a quantile, with or without penalties, exactly.

    With ``r = p - q`` (p, q >= 0) and dual variables ``low <= nu <= high``, Newton steps are
    taken for ``D'(w nu) = W ridge theta``, ``up p = mu``, ``down q = mu`` with the slacks
    ``up = high - nu``, ``down = nu - low`` while mu goes to 0 by Mehrotra's predictor and
    corrector; Portnoy and Koenker (1997) call the method without penalty Frisch-Newton. Where
    steps jam at the boundary, the central path is found again at a smaller mu. The rows
    that end at ``p = q = 0`` become equations, from which coefficients and nu are computed
    anew, exactly. Should that fail, the linear programme is handed to ``linprog`` as well.
    Cost: O(n p^2) a step, O(n) memory. ``start`` has no effect.
    """
    return ProgrammeSession(interior_in).fit(problem, start=start, max_iter=max_iter, tol=tol)


def interior_in(
    problem: Problem, chosen: Chosen, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """The same in given coordinates."""
    programme, ended = opened(problem, chosen)
    if ended is None:
        ended = _searched(problem, programme, max_iter)
    candidate, fit = ended
    outcome = report(problem, programme, candidate, fit, tol)
    if (
        not outcome.converged
        and fit.status != Ended.MAX_ITER
        and not problem.penalty.root_curvature
    ):
        other = linprog_in(problem, chosen, None, max_iter - fit.nit, tol)
        return min(outcome, other.after(fit.nit), key=lambda each: each.gap)
    return outcome


def _searched(
    problem: Problem, programme: Streamed, max_iter: int
) -> tuple[Candidate, OptimizeResult]:
    """The vertex that steps lead to: one that is proven on their way, or that at their end."""
    steps, negligible = _at_hand(problem, programme), EPS * problem.spread
    shifts = programme.objective.rows.fit_intercept
    plain = isinstance(steps, Stored) and not len(programme.kinked)
    early = EarlyVertex(steps, problem.exact)
    theta = first_theta(programme)
    point, fit = searched(steps, theta, max_iter, negligible, early, plain, shifts)
    if early.found is not None:
        found = early.confirmed(programme)
        candidate = None if found is None else certified(programme, *found)
        if candidate is not None and candidate.gap <= PROVEN * candidate.value:
            return candidate, fit
        used = fit.nit
        point, fit = stepped(steps, point, max_iter - used, negligible)
        fit.nit += used
    exactly = vertex(programme, point.theta, point.nu, problem.exact, descents(fit))
    approximate = point.theta, point.nu, np.zeros(len(point.nu), dtype=bool)
    return better_candidate(programme, approximate, exactly), fit


def _at_hand(problem: Problem, programme: Streamed) -> Programme:
    """The same in memory, where the rows are no more than a block: calls would be most of it.

    Not with targets so far out that products with white rows have fewer digits than with X.
    """
    few = programme.own.rows.one_block and programme.size <= MOST_COORDINATES
    if not few or problem.farthest > FAR_OUT * problem.spread:
        return programme
    return programme.at_hand()


def first_theta(programme: Streamed) -> Array:
    """Where steps begin: least squares, or coefficients of 0 under a penalty with kinks.

    With more columns than rows least squares leave no residuals, and coefficients that the
    penalty's rows find huge: so uneven a start makes steps jam. 0 is taken where F is less
    there, and where coefficients must not be negative, as they would be elsewhere.
    """
    theta = programme.objective.least_squares()
    if not len(programme.kinked):
        return theta
    null = np.zeros_like(theta)
    least, null_value = (programme.value(at, programme.residuals(at)) for at in (theta, null))
    positive = programme.objective.penalty.positive
    return null if positive or null_value < least else theta


def searched(
    programme: Programme,
    theta: Array,
    max_iter: int,
    negligible: float,
    early: EarlyVertex,
    plain: bool,
    shifts: bool,
) -> tuple[Point, OptimizeResult]:
    """Interior-point steps from ``theta`` until a vertex is proven to be the only optimum.

    ``plain`` says that there are no rows of a penalty, beside whose uneven residuals it would not
    be safe to begin nearer to the end; ``shifts`` that the last coordinate is the intercept.
    """
    if not (early.serves and plain):
        return iterate(programme, theta, max_iter, negligible, early)
    start = _nearer(programme, theta, shifts, negligible)
    return stepped(programme, start, max_iter, negligible, early)


def _nearer(programme: Programme, theta: Array, shifts: bool, negligible: float) -> Point:
    """A point near the central path, further along it than where steps could begin safely."""
    if shifts:
        theta = at_best_intercept(programme, theta)
    for share in NEARER:
        residual = programme.residuals(theta)
        mu = max(share * typical_size(np.abs(residual)), negligible)
        theta = majorised(programme, theta, residual, mu)
    return central_point(programme, theta, mu)


def iterate(
    programme: Programme,
    theta: Array,
    max_iter: int,
    negligible: float,
    enough: Callable[[Point, float], bool] = lambda point, mu: False,
) -> tuple[Point, OptimizeResult]:
    """Interior-point steps from ``theta``, where they end, and how; ``enough`` as below."""
    size = typical_size(np.abs(programme.residuals(theta)))
    start = central_point(programme, theta, max(0.5 * CENTRAL * size, negligible))
    return stepped(programme, start, max_iter, negligible, enough)


def stepped(
    programme: Programme,
    point: Point,
    max_iter: int,
    negligible: float,
    enough: Callable[[Point, float], bool] = lambda point, mu: False,
) -> tuple[Point, OptimizeResult]:
    """Interior-point steps from a point.

    Ends early where mu, or typically p + q, falls below ``negligible``: with most residuals
    at 0, going on would only ruin the digits of the others. Where they are ruined, the point
    of least mu is the answer, not the last one. Also ends where a point, with its mu, is
    ``enough`` for whoever asked.
    """
    best = point
    status, message = Ended.MAX_ITER, "max_iter reached."
    iterations, smallest, stalled = 0, np.inf, 0
    while iterations < max_iter:
        iterations += 1
        mu = _complementarity(programme, point)
        size = typical_size(point.parts.sum(axis=0))
        if mu <= max(TARGET * size, negligible) or size <= negligible:
            status, message = Ended.FINISHED, "The complementarity gap is closed."
            break
        if enough(point, mu):
            fit = OptimizeResult(status=Ended.FINISHED, message="Enough is known.", nit=iterations)
            return point, fit
        # Degenerate problems end a few digits early; the certificate has the last word.
        stalled = stalled + 1 if mu > JAMMED * smallest else 0
        smallest = min(smallest, mu)
        if mu <= smallest:
            best = point
        if stalled >= MAX_STALLED:
            status, message = Ended.NO_DECREASE, "No further decrease in floating point."
            break
        if stalled == RECENTRED and programme.filled:
            lower, steps = centred(programme, point.theta, LOWERED * mu, max_iter - iterations)
            iterations += steps
            point, mu = (lower, LOWERED * mu) if lower is not None else (point, mu)
        with np.errstate(over="ignore", invalid="ignore"):
            moved = _step(programme, point, mu)
        if moved is None:
            status, message = Ended.NO_DECREASE, "Numbers left the floating-point range."
            break
        point = moved
    if status:
        point = min(best, point, key=lambda each: _complementarity(programme, each))
    return point, OptimizeResult(status=status, message=message, nit=iterations)


def _complementarity(programme: Programme, point: Point) -> float:
    """The mean of ``up p`` and ``down q``."""
    return _mean(programme, point.slack * point.parts)


def _mean(programme: Programme, products: Array) -> float:
    """Weighted mean of what there is two of for each row."""
    weight = programme.weight
    return float(sum(products @ weight)) / (2.0 * programme.weights)  # of penalty rows, too


def _step(programme: Programme, point: Point, mu: float) -> Point | None:
    """One predictor and corrector step with the same factorisation.

    None where it leads out of the floating-point range.
    """
    ratio = point.parts / point.slack
    newton = _Newton(programme, point, ratio, barrier_of(ratio))
    if newton.solve is None:
        return None
    affine = newton.direction()
    if affine is None:
        return None
    # where p and q are headed for 0, their relative changes and those of the slacks are minus 1
    relative = affine.slack / point.slack
    primal, dual = _length(-1.0 - relative), _length(relative)
    bent = affine.slack * affine.parts
    after = (1.0 - primal) * mu + primal * dual * _mean(programme, bent)
    after += (dual - primal) * _mean(programme, point.parts * affine.slack)
    # the second-order term belongs to a full step: of a short one, only its share is true
    target = (after / mu) ** 3 * mu - min(primal, dual) * bent
    step = newton.direction(target)
    if step is None:
        return None
    with np.errstate(over="ignore"):  # a step next to nothing may be repeated without end
        primal, dual = _length(step.parts / point.parts), _length(step.slack / point.slack)
    moved = point.move(step, primal, dual)
    return moved if np.isfinite(moved.theta).all() else None


class _Newton:
    """Newton's directions at a point, whose equations have one matrix."""

    def __init__(self, programme: Programme, point: Point, ratio: Array, barrier: Array) -> None:
        self.programme, self.point, self.ratio, self.barrier = programme, point, ratio, barrier
        self.solve = programme.solver(barrier)
        self.residual = programme.residuals(point.theta)

    def direction(self, target: Array | None = None) -> Point | None:
        """The one towards ``up p`` and ``down q`` of a target, 0 by default, if it is finite."""
        programme, point, xi, parts = self.programme, self.point, self.residual, -self.point.parts
        if target is not None:
            pushed = target / point.slack
            xi = xi - pushed[0] + pushed[1]
            parts = parts + pushed
        xi = xi * self.barrier
        side = programme.imbalance(point.theta, point.nu + xi)
        if not np.isfinite(side).all():
            return None
        assert self.solve is not None
        dtheta = self.solve(side)
        dnu = xi - self.barrier * programme.fitted(dtheta)
        slack = np.array([-dnu, dnu])
        return Point(dtheta, dnu, slack, parts - self.ratio * slack)


def _length(relative: Array) -> float:
    """The length of a step that changes positive values by these shares, and keeps them so."""
    fastest = float(np.fmin.reduce(relative, axis=None, initial=0.0))
    return min(1.0, -TO_BOUNDARY / fastest) if fastest < 0.0 else 1.0

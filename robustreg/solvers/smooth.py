"""Solvers for smooth convex losses: semismooth Newton and whitened L-BFGS-B."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array
from robustreg._certificate import dual_gap, dual_gap_from, dual_point
from robustreg._objective import Objective
from robustreg._problem import SURVEY_ROWS, Problem
from robustreg.scale._median import mad
from robustreg.solvers._exact import is_exact
from robustreg.solvers._frame import (
    Frame,
    Start,
    least_squares,
    make_objective,
    make_quick_frame,
    make_scaled_frame,
    make_separable_frame,
    pack,
    penalised_least_squares,
    unpack,
)
from robustreg.solvers._lockstep import Limits, Lockstep
from robustreg.solvers._minimise import (
    SMALL_SCALES,
    XTOL,
    Minimise,
    minimise_lbfgs,
    minimise_newton,
    minimise_profile,
)
from robustreg.solvers._plane import AtZero, Limit, at_scale_zero
from robustreg.solvers._report import null_result, result

PILOT_XTOL = 0.3  # of the standard error of the pilot's fit, by which the full data move it
PILOT_SHARE = 50
MIN_PILOT = 1000
MIN_ENTRIES = 250_000  # below, a pilot costs more than the steps it saves
MAX_WHITENED = 2000  # columns for which a Gram matrix and its factor are affordable
SLOW_SCALE = 1e-2
TINY_SCALE = 1e-3  # fixed scales below this share of the spread are all but the limit 0
# Losses whose centre is narrower than this, in scales or in spreads of y, are all but absolute
# deviations: of a joint scale they may leave nothing, of a fixed one floating point does.
NARROW, NO_WIDTH = 1e-3, 1e-10
STAGE = 0.1  # a fixed scale far below the residuals' is approached by this factor
REFINEMENTS = 3  # of a fit through all rows
STAGE_STEPS = 25  # Newton steps that a stage may take


def newton(
    problem: Problem, *, start: Start | None = None, max_iter: int = 100, tol: float = 1e-7
) -> OptimizeResult:
    """Semismooth Newton with the psi'-weighted Gram matrix in whitened coordinates.

    Cost: one pass over X for all second moments, O(n p^2); then a pass of O(n p) per step
    plus O(m p^2) for the m rows whose psi' has changed since the last step.
    """
    return _solve(problem, start, max_iter, tol, minimise_newton)


def lbfgs(
    problem: Problem, *, start: Start | None = None, max_iter: int = 100, tol: float = 1e-7
) -> OptimizeResult:
    """L-BFGS-B in whitened coordinates, scaled ones beyond 2000 columns; ends in Newton steps.

    L-BFGS-B compares values of F, which stop changing when the coefficients are right to
    eight digits; the Newton steps at the end supply the others. Cost: O(n p) a step.
    """
    return _solve(problem, start, max_iter, tol, minimise_lbfgs)


def _solve(
    problem: Problem, start: Start | None, max_iter: int, tol: float, minimise: Minimise
) -> OptimizeResult:
    if problem.spread == 0.0:
        return null_result(problem)
    if start is None:
        start = _pilot(problem, max_iter)
    frame = _make_frame(problem, minimise)
    objective = make_objective(problem, frame)
    return _certified(problem, frame, objective, start, max_iter, tol, minimise)


class Series:
    """Newton fits of the same rows with other losses and penalties.

    Coordinates, moments and the psi'-weighted Gram matrix stay from fit to fit. Coordinates
    depend on whether the penalty has kinks and whether there is one: without, those of X with
    less than full rank have fewer directions. Only where the penalty decides which directions
    there are, with more columns than the rank of X, every fit has coordinates of its own.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[bool, bool], tuple[Frame, Objective] | None] = {}
        self.together = Lockstep(self._shared)

    def newton(
        self, problem: Problem, *, start: Start | None, max_iter: int, tol: float
    ) -> OptimizeResult:
        """As the function ``newton``, for problems that differ in loss and penalty only."""
        if problem.spread == 0.0:
            return null_result(problem)
        known, shared = _kind(problem) in self.kept, self._shared(problem)
        if shared is None:
            return newton(problem, start=start, max_iter=max_iter, tol=tol)
        if start is None and not known:
            start = _pilot(problem, max_iter)
        frame, objective = shared
        objective.adopt(problem.loss, problem.penalty)
        return _certified(problem, frame, objective, start, max_iter, tol, minimise_newton)

    def _shared(self, problem: Problem) -> tuple[Frame, Objective] | None:
        """Coordinates and objective of all problems of a kind; None: each has its own."""
        kind = _kind(problem)
        if kind not in self.kept:
            frame = _make_frame(problem, minimise_newton)
            keep = kind[0] or not (frame.by_rows or frame.basis.shape[-1] < problem.p)
            self.kept[kind] = (frame, make_objective(problem, frame)) if keep else None
        return self.kept[kind]

    def lockstep(
        self, problems: list[Problem], starts: list[Start | None], *, max_iter: int, tol: float
    ) -> list[OptimizeResult | None]:
        """Fits of problems that differ in the penalty's strength, as of ``Lockstep``."""
        limits = Limits(max_iter, tol, XTOL, SMALL_SCALES[0] * problems[0].spread, SMALL_SCALES[0])
        return self.together.fits(problems, starts, limits)


def _kind(problem: Problem) -> tuple[bool, bool]:
    return problem.penalty.kinked, problem.penalty.alpha > 0.0


def _certified(
    problem: Problem,
    frame: Frame,
    objective: Objective,
    start: Start | None,
    max_iter: int,
    tol: float,
    minimise: Minimise,
) -> OptimizeResult:
    """The optimum with its certificate."""
    optimum = _optimise(problem, frame, objective, start, max_iter, tol, XTOL, minimise)
    found = unpack(objective, frame, optimum.theta)
    if optimum.at_zero is None:
        value, gap = objective(optimum.theta)[0], dual_gap(objective, optimum.theta)
    else:
        found, (value, gap, _) = replace(found, sigma=0.0), optimum.at_zero
    return result(problem, found, objective.residual, value, gap, tol, optimum.fit, frame.rank)


@dataclass
class PrimalDual:
    """An optimum and its dual point, which balances the slopes of the problem's columns."""

    found: Start
    residual: Array
    value: float
    nu: Array
    fit: OptimizeResult


def newton_primal_dual(
    problem: Problem, start: Start | None, max_iter: int, tol: float, xtol: float
) -> PrimalDual:
    """As ``newton``, for those who go on from the dual point."""
    frame = _make_frame(problem, minimise_newton)
    objective = make_objective(problem, frame)
    optimum = _optimise(problem, frame, objective, start, max_iter, tol, xtol, minimise_newton)
    found = unpack(objective, frame, optimum.theta)
    if optimum.at_zero is not None:
        found, (value, _, nu) = replace(found, sigma=0.0), optimum.at_zero
    else:
        value, nu = objective(optimum.theta)[0], dual_point(objective, optimum.theta)
        dual_gap_from(objective, optimum.theta, value, nu)
    return PrimalDual(found, objective.residual, value, nu, optimum.fit)


@dataclass
class _Optimum:
    """Where an optimisation ended; the objective's residuals belong to ``theta``."""

    theta: Array
    fit: OptimizeResult
    at_zero: AtZero | None  # where the joint scale is 0


def _optimise(
    problem: Problem,
    frame: Frame,
    objective: Objective,
    start: Start | None,
    max_iter: int,
    tol: float,
    xtol: float,
    minimise: Minimise,
) -> _Optimum:
    theta = _first_theta(problem, objective, frame, start)
    if objective.joint and start is None:
        bound = problem.loss.conjugate_domain[1]
        value = objective.average(np.abs(objective.residual))
        value *= bound if np.isfinite(bound) else 1.0  # F at scale 0, or of its order
        beta = objective.unpack(theta)[0]
        value += objective.penalty.value(objective.rows.coefficients(beta))
        if is_exact(problem, objective, theta, value, objective.residual):
            fit = OptimizeResult(status=0, message="The least-squares fit is exact.", nit=0)
            return _Optimum(theta, fit, (value, value, np.zeros(problem.n)))
    if objective.size == 0:  # only columns of zeros, no intercept, a given scale
        fit = OptimizeResult(status=0, message="There is nothing to fit.", nit=0)
        return _Optimum(theta, fit, None)
    used, narrow = 0, _almost_absolute(problem)
    if narrow:
        theta, at_zero = at_scale_zero(problem, frame, objective, theta, tol)
        if at_zero is not None:
            fit = OptimizeResult(status=0, message="The fit is one of absolute deviations.", nit=0)
            return _Optimum(theta, fit, at_zero)
    elif not objective.joint:
        theta, used = _approach(problem, frame, objective, theta, max_iter)
    fit = OptimizeResult(x=theta, nit=used, status=1, message="max_iter reached.")
    for small in SMALL_SCALES:
        if used >= max_iter:
            break
        fit = minimise(objective, theta, max_iter - used, xtol, small * problem.spread)
        theta, used = fit.x, used + fit.nit
        fit.nit = used
        if not _may_be_zero(problem, fit):
            break
        theta, at_zero = at_scale_zero(problem, frame, objective, theta, tol)
        if at_zero is not None:
            fit = OptimizeResult(status=0, message="Most rows lie on a plane.", nit=used)
            return _Optimum(theta, fit, at_zero)
    if narrow and objective.joint:
        gap = dual_gap(objective, theta)
        if gap > tol * objective(theta)[0]:
            found = minimise_profile(problem, frame, max_iter)
            if found is not None and dual_gap(objective, found.x) < gap:
                theta, fit = found.x, found
            objective(theta)  # the residuals held are to be those of theta
    return _Optimum(theta, fit, None)


def _almost_absolute(problem: Problem) -> bool:
    """Whether the centre of the loss is so narrow that hardly a residual is in it.

    Under a joint scale: fewer than there are coefficients. Of n Gaussian ones 0.8 n times the
    width are, and their equation asks for two thirds of that.
    """
    width = _width(problem)
    if problem.scale is None:
        return width <= NARROW and width * problem.n <= 2 * (problem.p + 1)
    return width * problem.scale <= NO_WIDTH * problem.spread


def _width(problem: Problem) -> float:
    """Where psi, which has its largest slope at 0, would be at its bound, in scales."""
    return float(problem.loss.conjugate_domain[1] / problem.loss.curvature)


def _make_frame(problem: Problem, minimise: Minimise) -> Frame:
    if problem.penalty.kinked:
        return make_separable_frame(problem)
    wide = minimise is minimise_lbfgs and problem.p > MAX_WHITENED
    return make_scaled_frame(problem) if wide else make_quick_frame(problem)


def _may_be_zero(problem: Problem, fit: OptimizeResult) -> bool:
    """Whether the joint scale has become small, or was on the way when iterations ran out."""
    slow = fit.status == 1 and problem.joint and fit.x[-1] < SLOW_SCALE * problem.spread
    return bool(fit.status == 3 or slow)


def _pilot(problem: Problem, max_iter: int, rows_per_column: int = 50) -> Start | None:
    """A rough fit to a sample of the rows, where there are many; found in the same way."""
    size = max(problem.n // PILOT_SHARE, rows_per_column * problem.p, MIN_PILOT)
    if problem.n < 8 * size or problem.n * problem.p < MIN_ENTRIES:
        return None
    index = np.sort(np.random.default_rng(0).integers(0, problem.n, size))  # repeats do no harm
    sample = problem.subset(index)
    start = _pilot(sample, max_iter, rows_per_column // 4)
    xtol = PILOT_XTOL * float(np.sqrt(problem.p / size))
    frame = _make_frame(sample, minimise_newton)
    objective = make_objective(sample, frame)
    optimum = _optimise(sample, frame, objective, start, max_iter, 1e-3, xtol, minimise_newton)
    return unpack(objective, frame, optimum.theta) if optimum.at_zero is None else None


def _first_theta(
    problem: Problem, objective: Objective, frame: Frame, start: Start | None
) -> Array:
    """The given start, else least squares with the MAD of (some) residuals as scale."""
    if start is not None:
        if problem.penalty.positive:  # of a fit without the constraint, or a guess
            start = replace(start, coef=np.maximum(start.coef, 0.0))
        return pack(objective, frame, start)
    if objective.kinks is None:
        found = least_squares(frame)
        if not problem.penalty.alpha and len(found) >= problem.n:
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


def _approach(
    problem: Problem, frame: Frame, objective: Objective, theta: Array, max_iter: int
) -> tuple[Array, int]:
    """A start for a fixed scale far below the residuals', where psi' is mostly 0.

    By continuation in the scale; where that is slow, or the scale next to 0, from the limit 0.
    """
    scale, narrow, used = objective.scale, min(1.0, _width(problem)), 0
    target = narrow * scale
    if problem.loss.homogeneity == 2:
        return theta, used
    stage = mad(objective.locate(theta), problem.weight, center=0.0)
    slow = target < TINY_SCALE * max(stage, problem.spread)
    while stage * STAGE > target and used < max_iter and not slow:
        objective.set_scale(stage / narrow)
        steps = min(STAGE_STEPS, max_iter - used)
        fit = minimise_newton(objective, theta, steps, 1e-2, floor=0.0)
        theta, used, stage = fit.x, used + fit.nit, stage * STAGE
        slow = fit.nit >= STAGE_STEPS and fit.status == 1
    objective.set_scale(scale)
    if slow and frame.moments is not None:
        theta = Limit(problem, frame, objective).solve(theta)
    return theta, used

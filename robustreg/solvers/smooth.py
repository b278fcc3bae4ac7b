"""Solvers for smooth convex losses: semismooth Newton and whitened L-BFGS-B."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array
from robustreg.evaluation.certificate import dual_gap, dual_gap_from, dual_point
from robustreg.evaluation.choice import for_smooth
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._continuation import careful
from robustreg.solvers._ended import Limits
from robustreg.solvers._lockstep import Lockstep, StepLimits
from robustreg.solvers._minimise import (
    SMALL_SCALES,
    XTOL,
    Minimise,
    minimise_lbfgs,
    minimise_newton,
)
from robustreg.solvers._optimum import Optimum, optimise, optimise_from_above
from robustreg.solvers._report import ENOUGH, TOL, result
from robustreg.solvers._session import MAX_ITER, Session
from robustreg.solvers._solution import Reached, Solution, known, reached_at
from robustreg.solvers._tracked import Tracked

PILOT_XTOL = 0.3  # of the standard error of the pilot's fit, by which the full data move it
PILOT_SHARE = 50
MIN_PILOT = 1000
MIN_ENTRIES = 250_000  # below, a pilot costs more than the steps it saves
MAX_ENTRIES = 2_000_000  # of X, for which the hundreds of steps of a continuation are affordable


def newton(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Semismooth Newton with the psi'-weighted Gram matrix in whitened coordinates.

    Cost: one pass over X for all second moments, O(n p^2); then a pass of O(n p) per step
    plus O(m p^2) for the m rows whose psi' has changed since the last step.
    """
    return NewtonSession().fit(problem, start=start, max_iter=max_iter, tol=tol)


def lbfgs(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """L-BFGS-B in whitened coordinates, scaled ones beyond 2000 columns; ends in Newton steps.

    L-BFGS-B compares values of F, which stop changing when the coefficients are right to
    eight digits; the Newton steps at the end supply the others. Cost: O(n p) a step.
    """
    if start is None:
        start = _pilot(problem, max_iter)
    tracked = _opened(problem, minimise_lbfgs)
    return solved_in(problem, tracked, start, Limits(max_iter, tol, XTOL), minimise_lbfgs)


def _opened(problem: Problem, minimise: Minimise) -> Tracked:
    """The objective of a problem in coordinates of its own."""
    chosen = for_smooth(problem, wide=minimise is minimise_lbfgs)
    return Tracked(make_objective(problem, chosen))


def solved_in(
    problem: Problem,
    tracked: Tracked,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Solution:
    """The fit in coordinates of its own: found by another way if it gets stuck on the first."""
    fit = _certified(problem, tracked, start, limits, minimise)
    own = tracked.objective.coordinates
    stuck = is_stuck(fit, limits.max_iter, problem.n * problem.p)
    if not stuck or own.moments is None or not own.certain:
        return fit
    return better_of(fit, _from_above(problem, tracked.objective, limits))


class NewtonSession(Session):
    """Newton fits of the same rows with other losses and penalties.

    Coordinates, moments and the psi'-weighted Gram matrix stay from fit to fit. Coordinates
    depend on whether the penalty has kinks and whether there is one: without, those of X with
    less than full rank have fewer directions. Only where the penalty decides which directions
    there are, with more columns than the rank of X, every fit has coordinates of its own.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[bool, bool], Tracked | None] = {}
        self.together: Lockstep | None = None

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """The fit of a problem; the first of a kind, in coordinates of its own, is ``newton``'s."""
        limits, kind = Limits(max_iter, tol, XTOL), _kind(problem)
        first, tracked = kind not in self.kept, self.kept.get(kind)
        if tracked is not None:
            tracked.go_on_with(tracked.objective.of(problem.loss, problem.penalty))
        else:
            if start is None:
                start = _pilot(problem, max_iter)
            tracked = self._opened(problem)
        if first:
            return solved_in(problem, tracked, start, limits, minimise_newton)
        # what is stuck is made by itself once more, and goes other ways then
        return _certified(problem, tracked, start, limits, minimise_newton)

    def _opened(self, problem: Problem) -> Tracked:
        """The objective of a problem, kept where others of its kind have the same coordinates."""
        kind, opened = _kind(problem), _opened(problem, minimise_newton)
        own = opened.objective.coordinates
        keep = kind[0] or not (own.by_rows or own.k < problem.p)
        self.kept[kind] = opened if keep else None
        return opened

    def _shared(self, problem: Problem) -> Objective | None:
        """The objective of all problems of a kind; None: each has coordinates of its own."""
        if _kind(problem) not in self.kept:
            self._opened(problem)
        kept = self.kept[_kind(problem)]
        return None if kept is None else kept.objective

    def fit_together(
        self,
        problems: list[Problem],
        starts: list[Coefficients | None],
        *,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> list[Solution | None]:
        """Fits in lockstep: those of ``Lockstep``, which has Gram matrices from call to call."""
        if self.together is None:
            self.together = Lockstep(self._shared)
        unit = SMALL_SCALES[0]
        limits = StepLimits(max_iter, tol, XTOL, unit * problems[0].spread, unit)
        return self.together.fits(problems, starts, limits)


def _kind(problem: Problem) -> tuple[bool, bool]:
    return problem.penalty.kinked, not problem.penalty.is_none


def _certified(
    problem: Problem,
    tracked: Tracked,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Solution:
    """The optimum with its certificate."""
    optimum = optimise(problem, tracked, start, limits, minimise)
    return _result(problem, tracked, optimum, limits.tol)


def is_stuck(fit: Solution, max_iter: int, entries: int) -> bool:
    """Whether a fit has not converged although it was given time, and there is time for another."""
    return not (fit.converged or fit.followed) and max_iter >= ENOUGH and entries <= MAX_ENTRIES


def better_of(fit: Solution, again: Solution) -> Solution:
    """The second fit, unless it is neither certified nor lower."""
    return again if again.converged or not fit.objective <= again.objective else fit


def _from_above(problem: Problem, objective: Objective, limits: Limits) -> Solution:
    """As ``_certified``, by continuation from scales at which F is a parabola."""
    tracked = Tracked(careful(objective))
    return _result(problem, tracked, optimise_from_above(problem, tracked, limits), limits.tol)


def _result(problem: Problem, tracked: Tracked, optimum: Optimum, tol: float) -> Solution:
    objective, at_zero = tracked.objective, optimum.at_zero
    rank = objective.coordinates.rank
    if at_zero is None:
        here = tracked.at(optimum.theta)
        reached = reached_at(objective, here, dual_gap(objective, here))
        tracked.let_go()
        return result(problem, reached, tol, optimum.fit, rank)
    found = replace(objective.found(optimum.theta), sigma=0.0)
    reached = Reached(found, known(at_zero.residual), at_zero.value, at_zero.gap)
    return result(problem, reached, tol, optimum.fit, rank)


@dataclass(frozen=True)
class PrimalDual:
    """An optimum and its dual point, which balances the slopes of the problem's columns."""

    found: Coefficients
    residual: Array
    value: float
    nu: Array
    fit: OptimizeResult


def newton_primal_dual(problem: Problem, start: Coefficients | None, limits: Limits) -> PrimalDual:
    """As ``newton``, for those who go on from the dual point."""
    tracked = _opened(problem, minimise_newton)
    return _primal_dual(tracked, optimise(problem, tracked, start, limits, minimise_newton))


def from_above_primal_dual(problem: Problem, max_iter: int, tol: float) -> PrimalDual:
    """The same by continuation from large scales, for problems whose fits get stuck."""
    tracked = Tracked(careful(_opened(problem, minimise_newton).objective))
    limits = Limits(max_iter, tol, XTOL)
    return _primal_dual(tracked, optimise_from_above(problem, tracked, limits))


def _primal_dual(tracked: Tracked, optimum: Optimum) -> PrimalDual:
    objective, at_zero = tracked.objective, optimum.at_zero
    found = objective.found(optimum.theta)
    if at_zero is not None:
        found = replace(found, sigma=0.0)
        return PrimalDual(found, at_zero.residual, at_zero.value, at_zero.nu, optimum.fit)
    here = tracked.at(optimum.theta)
    nu, residual = dual_point(objective, here), objective.residuals(here.theta)
    dual_gap_from(objective, found.coef, residual, here.value, nu)
    return PrimalDual(found, residual, here.value, nu, optimum.fit)


def _pilot(problem: Problem, max_iter: int, rows_per_column: int = 50) -> Coefficients | None:
    """A rough fit to a sample of the rows, where there are many; found in the same way."""
    size = max(problem.n // PILOT_SHARE, rows_per_column * problem.p, MIN_PILOT)
    in_memory = problem.observed.source.in_memory
    if in_memory and (problem.n < 8 * size or problem.n * problem.p < MIN_ENTRIES):
        return None
    sample = problem.some(size)
    size = sample.n
    start = _pilot(sample, max_iter, rows_per_column // 4)
    xtol = PILOT_XTOL * float(np.sqrt(problem.p / size))
    tracked, limits = _opened(sample, minimise_newton), Limits(max_iter, 1e-3, xtol)
    optimum = optimise(sample, tracked, start, limits, minimise_newton)
    return tracked.objective.found(optimum.theta) if optimum.at_zero is None else None

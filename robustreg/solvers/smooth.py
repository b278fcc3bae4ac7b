"""Solvers for smooth convex losses: semismooth Newton and whitened L-BFGS-B."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from robustreg.solvers._pilot import NoGuideError, Pilot, pilot_of, start_by_pilot
from robustreg.solvers._report import ENOUGH, TOL, result
from robustreg.solvers._session import MAX_ITER, Session
from robustreg.solvers._solution import Reached, Solution, known, reached_at
from robustreg.solvers._tracked import Tracked

MOST_PILOTED = 8  # steps of a fit that goes on from a sample: most take half of them
MAX_ENTRIES = 2_000_000  # of X, for which the hundreds of steps of a continuation are affordable


def newton(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Semismooth Newton with the psi'-weighted Gram matrix in whitened coordinates.

    Cost: one pass over X for all second moments, O(n p^2); then a pass of O(n p) per step
    plus O(m p^2) for the m rows whose psi' has changed since the last step. In long tables a
    sample has second moments and takes the first step.
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
        start = start_by_pilot(problem, max_iter)
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
        self.begun = False

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
            # of rows elsewhere a sample saves the pass in which all have second moments
            wanted = not (self.begun or problem.observed.source.in_memory)
            pilot = pilot_of(problem, max_iter, start) if start is None or wanted else None
            if pilot is not None:
                fit = self._piloted(problem, pilot, limits)
                if fit is not None:
                    return fit
                start = pilot.start
            tracked = self._opened(problem)
        if first:
            return solved_in(problem, tracked, start, limits, minimise_newton)
        # what is stuck is made by itself once more, and goes other ways then
        return _certified(problem, tracked, start, limits, minimise_newton)

    def _piloted(self, problem: Problem, pilot: Pilot, limits: Limits) -> Solution | None:
        """The first fit, if a sample leads to a certified one; later ones share a Gram matrix."""
        first, self.begun, tracked = not self.begun, True, pilot.tracked
        if tracked is None or not first:
            return None
        steps, floor = min(limits.max_iter, MOST_PILOTED), SMALL_SCALES[0] * problem.spread
        try:
            end = minimise_newton(tracked, pilot.theta, steps, limits.xtol, floor)
        except NoGuideError:
            return None
        if not end.success:
            return None
        fit = _result(problem, tracked, Optimum(end.x, end, None), limits.tol)
        return fit if fit.converged else None

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
        """Fits in lockstep: those of ``Lockstep``, which has Gram matrices from call to call.

        Rows that are not in memory would be held by that.
        """
        if not problems[0].observed.source.in_memory:
            return super().fit_together(problems, starts, max_iter=max_iter, tol=tol)
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

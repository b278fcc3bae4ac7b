"""Solvers for smooth convex losses: semismooth Newton and whitened L-BFGS-B."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array
from robustreg.evaluation.certificate import dual_gap, dual_gap_from, dual_point
from robustreg.evaluation.coordinates import (
    MAX_WHITENED,
    Frame,
    make_objective,
    make_quick_frame,
    make_scaled_frame,
    make_separable_frame,
    unpack,
)
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._continuation import careful_objective
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
from robustreg.solvers._report import ENOUGH, TOL, null_result, result
from robustreg.solvers._session import MAX_ITER, Session
from robustreg.solvers._solution import Reached, Solution

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
    if problem.spread == 0.0:
        return null_result(problem)
    if start is None:
        start = _pilot(problem, max_iter)
    opened = _open(problem, minimise_lbfgs)
    return _solved(problem, *opened, start, Limits(max_iter, tol, XTOL), minimise_lbfgs)


def _open(problem: Problem, minimise: Minimise) -> tuple[Frame, Objective]:
    frame = _make_frame(problem, minimise)
    return frame, make_objective(problem, frame)


def _solved(
    problem: Problem,
    frame: Frame,
    objective: Objective,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Solution:
    """The fit in coordinates of its own: found by another way if it gets stuck on the first."""
    fit = _certified(problem, frame, objective, start, limits, minimise)
    stuck = is_stuck(fit, limits.max_iter, problem.n * problem.p)
    if not stuck or frame.moments is None or not frame.certain:
        return fit
    return better_of(fit, _from_above(problem, frame, limits))


class NewtonSession(Session):
    """Newton fits of the same rows with other losses and penalties.

    Coordinates, moments and the psi'-weighted Gram matrix stay from fit to fit. Coordinates
    depend on whether the penalty has kinks and whether there is one: without, those of X with
    less than full rank have fewer directions. Only where the penalty decides which directions
    there are, with more columns than the rank of X, every fit has coordinates of its own.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[bool, bool], tuple[Frame, Objective] | None] = {}
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
        if problem.spread == 0.0:
            return null_result(problem)
        limits, first = Limits(max_iter, tol, XTOL), _kind(problem) not in self.kept
        kept = None if first else self.kept[_kind(problem)]
        if kept is not None:
            frame, objective = kept
            objective.set_loss_and_penalty(problem.loss, problem.penalty)
            return _certified(problem, frame, objective, start, limits, minimise_newton)
        if start is None:
            start = _pilot(problem, max_iter)
        frame, objective = self._opened(problem)
        if not first:  # what is stuck is made by itself once more, and goes other ways then
            return _certified(problem, frame, objective, start, limits, minimise_newton)
        return _solved(problem, frame, objective, start, limits, minimise_newton)

    def _opened(self, problem: Problem) -> tuple[Frame, Objective]:
        """Coordinates and objective of a problem, kept where others of its kind have the same."""
        kind, opened = _kind(problem), _open(problem, minimise_newton)
        frame, _ = opened
        keep = kind[0] or not (frame.by_rows or frame.basis.shape[-1] < problem.p)
        self.kept[kind] = opened if keep else None
        return opened

    def _shared(self, problem: Problem) -> tuple[Frame, Objective] | None:
        """Coordinates and objective of all problems of a kind; None: each has its own."""
        if _kind(problem) not in self.kept:
            self._opened(problem)
        return self.kept[_kind(problem)]

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
    frame: Frame,
    objective: Objective,
    start: Coefficients | None,
    limits: Limits,
    minimise: Minimise,
) -> Solution:
    """The optimum with its certificate."""
    optimum = optimise(problem, frame, objective, start, limits, minimise)
    return _result(problem, frame, objective, optimum, limits.tol)


def is_stuck(fit: Solution, max_iter: int, entries: int) -> bool:
    """Whether a fit has not converged although it was given time, and there is time for another."""
    return not (fit.converged or fit.followed) and max_iter >= ENOUGH and entries <= MAX_ENTRIES


def better_of(fit: Solution, again: Solution) -> Solution:
    """The second fit, unless it is neither certified nor lower."""
    return again if again.converged or not fit.objective <= again.objective else fit


def _from_above(problem: Problem, frame: Frame, limits: Limits) -> Solution:
    """As ``_certified``, by continuation from scales at which F is a parabola."""
    objective = careful_objective(problem, frame)
    optimum = optimise_from_above(problem, frame, objective, limits)
    return _result(problem, frame, objective, optimum, limits.tol)


def _result(
    problem: Problem, frame: Frame, objective: Objective, optimum: Optimum, tol: float
) -> Solution:
    found = unpack(objective, frame, optimum.theta)
    if optimum.at_zero is None:
        value, gap = objective(optimum.theta)[0], dual_gap(objective, optimum.theta)
    else:
        found, (value, gap, _) = replace(found, sigma=0.0), optimum.at_zero
    return result(
        problem, Reached(found, objective.residual, value, gap), tol, optimum.fit, frame.rank
    )


@dataclass
class PrimalDual:
    """An optimum and its dual point, which balances the slopes of the problem's columns."""

    found: Coefficients
    residual: Array
    value: float
    nu: Array
    fit: OptimizeResult


def newton_primal_dual(problem: Problem, start: Coefficients | None, limits: Limits) -> PrimalDual:
    """As ``newton``, for those who go on from the dual point."""
    frame = _make_frame(problem, minimise_newton)
    objective = make_objective(problem, frame)
    optimum = optimise(problem, frame, objective, start, limits, minimise_newton)
    return _primal_dual(objective, frame, optimum)


def from_above_primal_dual(problem: Problem, max_iter: int, tol: float) -> PrimalDual:
    """The same by continuation from large scales, for problems whose fits get stuck."""
    frame = _make_frame(problem, minimise_newton)
    objective = careful_objective(problem, frame)
    optimum = optimise_from_above(problem, frame, objective, Limits(max_iter, tol, XTOL))
    return _primal_dual(objective, frame, optimum)


def _primal_dual(objective: Objective, frame: Frame, optimum: Optimum) -> PrimalDual:
    found = unpack(objective, frame, optimum.theta)
    if optimum.at_zero is not None:
        found, (value, _, nu) = replace(found, sigma=0.0), optimum.at_zero
    else:
        value, nu = objective(optimum.theta)[0], dual_point(objective, optimum.theta)
        dual_gap_from(objective, optimum.theta, value, nu)
    return PrimalDual(found, objective.residual, value, nu, optimum.fit)


def _make_frame(problem: Problem, minimise: Minimise) -> Frame:
    if problem.penalty.kinked:
        return make_separable_frame(problem)
    wide = minimise is minimise_lbfgs and problem.p > MAX_WHITENED
    return make_scaled_frame(problem) if wide else make_quick_frame(problem)


def _pilot(problem: Problem, max_iter: int, rows_per_column: int = 50) -> Coefficients | None:
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
    optimum = optimise(
        sample, frame, objective, start, Limits(max_iter, 1e-3, xtol), minimise_newton
    )
    return unpack(objective, frame, optimum.theta) if optimum.at_zero is None else None

"""Fits that were not certified, made anew in twice the working precision where they are small.

Nearly collinear columns, rows far out in X and weak penalties leave too few digits of the slopes
in double precision: now and then of the fit itself, more often of its certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from robustreg._arrays import TINY, Array, Index
from robustreg._linalg.precise import Precise, Triangle, concatenated
from robustreg.evaluation.choice import white
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.penalties import ElasticNet
from robustreg.solvers._ended import Ended, finished
from robustreg.solvers._minimise import width
from robustreg.solvers._report import ENOUGH, TOL, exactly_fitted, result
from robustreg.solvers._solution import Reached, Solution, known
from robustreg.solvers.refinement.central_path import CentralPath
from robustreg.solvers.refinement.columns import Columns
from robustreg.solvers.refinement.proximal import Proximal
from robustreg.solvers.refinement.steps import Place

REFINABLE = 2**21  # rows times squared columns of problems that are refined,
WORK, MAX_STEPS = 2**25, 200  # ... the same times steps, and the number of these, at most
COLUMNS = 4000  # times steps at most, each of which costs what it costs on few rows
PATIENCE, PROGRESS = 6, 0.5  # steps that end it unless the gap has come down to this share
NARROW = 1e-6  # of the spread of y: the centre of a loss at a fixed scale that is next to 0
CLOSE = 0.1  # of tol: a gap that is small enough


def refined(problem: Problem, fit: Solution, options: dict[str, Any]) -> Solution:
    """A fit made with these options; if it is not certified and the problem small, a better one."""
    small = problem.n * problem.p**2 <= REFINABLE and isinstance(problem.penalty, ElasticNet)
    ran_out = fit.ended == Ended.MAX_ITER and options.get("max_iter", ENOUGH) < ENOUGH
    small = small and problem.observed.source.in_memory
    if fit.converged or fit.followed or ran_out or not small:
        return fit
    with np.errstate(all="ignore"):  # numbers out of range end in no step, or in no bound
        better = _refine(problem, fit, options.get("tol", TOL))
    other = better.followed or better.converged or better.gap < fit.gap
    return better if other else fit


def _refine(problem: Problem, fit: Solution, tol: float) -> Solution:
    """The optimum near a fit, certified so far as coefficients in double precision allow."""
    table = _Table(problem)
    if not table.in_range:
        return fit
    best = _Best(fit.start, fit.residual, np.inf)
    best.left = min(MAX_STEPS, COLUMNS // problem.p, WORK // (problem.n * problem.p**2))
    place, scales = table.place(fit), _scales(problem, fit)
    for at_zero in scales:
        _descend(table, Proximal(problem, table.columns, place, at_zero), best, tol, PATIENCE)
    for at_zero in reversed(scales):
        path = CentralPath(problem, table.columns, place, at_zero)
        if path.has_path and not best.has_ended(tol):
            _follow(path, best, tol)
            steps = path.proximal()
            _descend(table, steps, best, tol, 2 * PATIENCE)
            if at_zero and problem.joint:  # which may have been next to the scale
                other = Proximal(problem, table.columns, steps.at_scale_of_residuals())
                _descend(table, other, best, tol, 2 * PATIENCE)
    message = "No further decrease in twice the working precision."
    if best.lacks_digits:
        message = "Double precision has too few digits for the coefficients."
    end = finished(message, fit.n_iter)
    reached = Reached(best.found, known(best.residual), best.value, best.gap)
    outcome = result(problem, reached, tol, end, fit.rank, fit.n_interpolated)
    if fit.on_fit is None:
        return outcome
    on_fit = exactly_fitted(problem, best.found, best.residual)
    residual = np.where(on_fit, 0.0, outcome.residual)
    return replace(outcome, on_fit=np.flatnonzero(on_fit), residuals=known(residual))


@dataclass
class _Best:
    """The best fit that has been met, and the best bound of F."""

    found: Coefficients
    residual: Array
    value: float
    bound: float = -np.inf
    left: int = 0  # steps that may be taken
    lacks_digits: bool = False  # the place is certified, but not where it is rounded to

    @property
    def gap(self) -> float:
        """What F may be above its minimum."""
        return max(self.value - self.bound, 0.0)

    def has_ended(self, tol: float) -> bool:
        """Whether it is certified, or cannot be."""
        return self.gap <= tol * self.value < np.inf or self.lacks_digits

    def take(self, found: Coefficients, residual: Array, value: float) -> None:
        """Take a fit that is better."""
        if value < self.value:
            self.found, self.residual, self.value = found, residual, value


def _scales(problem: Problem, fit: Solution) -> tuple[bool, ...]:
    """Whether to take the scale for 0 from the beginning: not, only, or after all."""
    loss = problem.loss
    if loss.homogeneity == 1 or not np.isfinite(loss.conjugate_domain[1]):
        return (False,)
    if problem.scale is not None:  # F is that of scale 0 but for a multiple of the scale
        return (False, True) if problem.scale * width(loss) < NARROW * problem.spread else (False,)
    return (False, True) if fit.sigma > 0.0 else (True,)


def _descend(table: _Table, steps: Proximal, best: _Best, tol: float, patience: int) -> None:
    """Go down until a fit is certified, or steps lead no further."""
    if best.has_ended(tol):
        return
    best.take(*table.found(steps))
    least, waited = np.inf, 0
    while best.left and waited < patience and steps.advance():
        best.left, waited = best.left - 1, waited + 1
        best.bound = max(best.bound, steps.bound)
        if best.gap <= CLOSE * tol * best.value:
            return
        best.take(*table.found(steps))
        if steps.value() - best.bound <= CLOSE * tol * best.value < best.gap:
            best.lacks_digits = best.gap > tol * best.value
            return
        if best.gap < PROGRESS * least:
            least, waited = best.gap, 0


def _follow(path: CentralPath, best: _Best, tol: float) -> None:
    """Go along a path until its place is certified, with some of the steps that are left."""
    for _ in range(3 * best.left // 4):
        if not path.advance():
            return
        best.left -= 1
        if path.value() - path.bound <= CLOSE * tol * path.value():
            return


class _Table:
    """A problem's rows in twice the working precision, and the way there and back."""

    def __init__(self, problem: Problem) -> None:
        X = problem.X.toarray() if issparse(problem.X) else problem.X
        self.problem, self.X = problem, np.asarray(X, dtype=np.float64)
        weight = np.ones(problem.n) if problem.weight is None else problem.weight
        self.share = weight / weight.sum()
        self.centre = np.zeros(problem.p)
        if problem.fit_intercept:
            constant = (self.X[0] == self.X).all(axis=0)
            self.centre = np.where(constant, self.X[0], self.share @ self.X)
        design = Precise(self.X) - self.centre
        largest = np.abs(design.high).max(axis=0)
        own = design.high / np.where(largest > 0.0, largest, 1.0)  # whose squares are in range
        spread = np.sqrt(self.share @ np.square(own))
        # not where the spread is 0: that of subnormal entries may be, and they count none the less
        self.live: Index = np.flatnonzero((largest > 0.0) & (spread > 0.0))
        first, second = np.frexp(largest[self.live]), np.frexp(spread[self.live])
        power = np.frexp(first[0] * second[0])[1] + first[1] + second[1]
        self.unit = np.ldexp(1.0, power)
        self.in_range = bool((self.unit >= TINY).all())
        design = design[:, self.live] * (1.0 / self.unit)
        basis, along = self._basis(), design
        if basis is not None:
            along = [(design @ column)[:, None] for column in basis.T]
            along = concatenated([Precise(np.zeros((problem.n, 0))), *along], axis=1)
        white = Triangle(along * np.sqrt(self.share)[:, None])
        self.columns = Columns(design, problem.y, self.share, basis, along, self.unit, white)

    def _basis(self) -> Array | None:
        """The directions that X has, where these are fewer than columns and nothing else is."""
        penalty = self.problem.penalty
        if not penalty.is_none:
            return None
        own, _ = white(self.problem)
        if not own.certain or own.k >= len(self.live):
            return None
        return own.basis[self.live] * (self.unit / own.rows.unit[self.live])[:, None]

    def place(self, fit: Solution) -> Place:
        """Where a fit is."""
        coef = fit.coef[self.live]
        intercept = Precise(fit.intercept)
        if self.problem.fit_intercept:
            intercept = intercept + (Precise(self.centre[self.live]) * coef).sum()
        sigma = self.problem.scale_or(fit.sigma)
        return Place(Precise(coef * self.unit), intercept, Precise(sigma))

    def found(self, steps: Proximal) -> tuple[Coefficients, Array, float]:
        """The fit of a place in double precision with its residuals, and F there."""
        problem, place = self.problem, steps.place
        u = np.where(steps.settled(), 0.0, place.u.rounded())
        if problem.penalty.positive:
            u = np.maximum(u, 0.0)
        coef = np.zeros(problem.p)
        coef[self.live] = u / self.unit
        intercept = float((place.intercept - (Precise(self.centre) * coef).sum()).rounded())
        sigma = problem.scale_or(float(place.sigma.high))
        residual = (problem.y - Precise(self.X) @ coef - intercept).rounded()
        value = steps.value_of(residual) + problem.penalty.value(coef)
        return Coefficients(coef, intercept, sigma), residual, value

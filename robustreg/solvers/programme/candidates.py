"""Solutions of a programme: their certificate, and what is reported of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg._median import weighted_median
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.coordinates import Coordinates, sizes_of_terms
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.units import SURVEY_ROWS
from robustreg.solvers._ended import finished
from robustreg.solvers._report import LAST_PLACES, SAME_VALUE, is_rounding, result
from robustreg.solvers._solution import Reached, Solution, known
from robustreg.solvers.programme.rows import Streamed, kinked_columns

NEAR = 1e-3  # spreads of y that rounding may leave of a residual of 0 while the fit has digits
ENOUGH_ROWS = 1000  # on a fit that say where its intercept is
DIGIT = 10.0  # of the least rounding: that of rows that say so


@dataclass(frozen=True)
class Candidate:
    """A solution with its residuals, zero rows, objective and certificate."""

    found: Coefficients
    residual: Array
    zero: Mask
    value: float
    gap: float


class Posed(Protocol):
    """The programme of all rows of a problem: those of the data, then those of the penalty."""

    objective: Objective
    n: int  # rows of the data
    kinked: Index  # columns that the rows of the penalty belong to, in their order

    @property
    def own(self) -> Coordinates:
        """The coordinates of the objective."""

    @property
    def size(self) -> int:
        """Coordinates."""

    def value(self, theta: Array, residual: Array) -> float:
        """The objective."""

    def losses(self, residual: Array) -> Array:
        """The loss of every row."""


class Opened(NamedTuple):
    """A programme, and the solution that needs no search."""

    programme: Streamed
    exact: tuple[Candidate, OptimizeResult] | None  # the least-squares fit, where it is exact


def opened(problem: Problem, chosen: Chosen) -> Opened:
    """The programme of a problem in white coordinates."""
    programme = Streamed(make_objective(problem, chosen))
    return Opened(programme, exact_fit(problem, programme))


def exact_fit(problem: Problem, programme: Streamed) -> tuple[Candidate, OptimizeResult] | None:
    """The least-squares fit, where it is exact or there is nothing to fit."""
    objective, own = programme.objective, programme.own
    if is_surely_inexact(problem, objective):
        return None
    theta = objective.least_squares()
    residual = programme.residuals(theta)
    zero = np.zeros(len(residual), dtype=bool)
    _, intercept, sigma = objective.unpack(theta)
    beta, moved = coefficients(objective, programme.kinked, theta, zero[problem.n :])
    if moved:
        residual[: problem.n] = problem.y - own.fitted(beta, intercept)
    found = own.in_columns(beta, intercept, sigma, objective.rounding)
    value = own.average(programme.losses(residual)[: problem.n])
    value += problem.penalty.value(found.coef)  # the programme may count less of a steep one
    if programme.size and not is_exact(problem, objective, theta, value, residual):
        return None
    gap = value if programme.size else 0.0
    fit = finished("The least-squares fit is exact.")
    return Candidate(found, residual, zero, value, gap), fit


def is_surely_inexact(problem: Problem, objective: Objective) -> bool:
    """Whether the losses of some rows alone are more than an exact fit leaves: no pass then.

    Of all rows, where they are no more than a block.
    """
    rows, step = objective.rows, max(1, problem.n // SURVEY_ROWS)
    some = step > 1 or rows.one_block or not rows.source.in_memory
    if not (objective.lead and some):
        return False
    kinked, theta = kinked_columns(objective), objective.least_squares()
    beta, _ = coefficients(objective, kinked, theta, np.zeros(len(kinked), dtype=bool))
    block = rows.every(step)
    losses = problem.loss.rho(replace(objective.residual_at(theta), beta=beta)(block))
    part = float(np.sum(block.weighted(losses))) / rows.total
    return part > most_if_exact(problem)


def most_if_exact(problem: Problem) -> float:
    """What an exact fit may leave of F."""
    return max(problem.negligible, LAST_PLACES * EPS * problem.farthest)


def is_exact(
    problem: Problem, objective: Objective, theta: Array, value: float, residual: Array
) -> bool:
    """Whether a fit leaves nothing but rounding in any row; ``value`` is of the order of F."""
    if value <= problem.negligible:
        return True
    if value > most_if_exact(problem):  # most often, and known without a pass
        return False
    beta, intercept, _ = objective.unpack(theta)
    own = residual[: problem.n]
    return bool(is_rounding(objective.rows, problem.y, own, beta, intercept).all())


def report(
    problem: Problem,
    programme: Posed,
    candidate: Candidate,
    fit: OptimizeResult,
    tol: float,
) -> Solution:
    """The result of a candidate."""
    n = problem.n
    residuals = known(candidate.residual[:n])
    reached = Reached(candidate.found, residuals, candidate.value, candidate.gap)
    held = candidate.zero[n:]
    on_fit = _on_fit(problem, programme.objective, candidate)
    return reported(problem, programme.objective, reached, held, on_fit, fit, tol)


def reported(
    problem: Problem,
    objective: Objective,
    reached: Reached,
    held: Mask,
    on_fit: Index,
    fit: OptimizeResult,
    tol: float,
) -> Solution:
    """The result of what has been reached, with rows that it passes through.

    ``held`` says of the rows of the penalty whether they are 0 there.
    """
    rank = objective.coordinates.rank
    # a vertex fits as many rows exactly as there are coordinates, rows of the penalty included
    own = objective.lead - int(held.sum()) if len(held) else rank
    return replace(result(problem, reached, tol, fit, rank, own), on_fit=on_fit)


def _on_fit(problem: Problem, objective: Objective, candidate: Candidate) -> Index:
    """The rows that a candidate passes through, but for the rounding of their own terms.

    Those of the vertex, unless a coefficient that became exactly 0 has moved them, and others that
    repeat them or happen to lie there.
    """
    residual = candidate.residual[: problem.n]
    close = np.abs(residual) <= NEAR * problem.spread
    on: Mask = candidate.zero[: problem.n] & close
    near = np.flatnonzero(close & ~on)
    if len(near):
        theta = objective.pack(candidate.found)
        on[near] = np.abs(residual[near]) <= _rounding(objective, theta, near)
    return np.flatnonzero(on)


def coefficients(
    objective: Objective, kinked: Index, theta: Array, held: Mask
) -> tuple[Array, bool]:
    """Coefficients of theta in the units of the blocks, and whether that has moved residuals.

    What is 0 at the vertex, as ``held`` says of the ``kinked`` columns, is exactly 0. Where
    coefficients must not be negative, those become 0 that iterations cut short, or rounding, have
    left below.
    """
    found = objective.unpack(theta)[0]
    if not objective.penalty.kinked:
        return found, False
    beta = found.copy()
    beta[kinked[held]] = 0.0
    if objective.penalty.positive:
        beta = np.maximum(beta, 0.0)
    spread = objective.coordinates.spread
    return beta, bool(np.any(np.abs(beta - found) * spread > objective.rounding))


def certified(programme: Posed, theta: Array, nu: Array, zero: Mask, residual: Array) -> Candidate:
    """Objective and certificate of theta with a nearly feasible nu.

    Coefficients of the ``zero`` rows are taken for 0, and residuals as far as the rounding of
    their own arithmetic explains what is left of them: no more, or the objective would be
    too small and the certificate wrong. ``nu`` and ``residual`` are overwritten.
    """
    objective, own, n = programme.objective, programme.own, programme.n
    _, intercept, sigma = objective.unpack(theta)
    beta, moved = coefficients(objective, programme.kinked, theta, zero[n:])
    if moved:
        residual[:n] = own.rows.y - own.fitted(beta, intercept)
        if objective.rows.fit_intercept and zero[:n].any():
            # what that has moved the rows of the vertex by may be more than their terms' rounding
            shift = weighted_median(residual[:n][zero[:n]])
            back = residual.copy()
            back[:n] -= shift
            if programme.value(theta, back) < programme.value(theta, residual):
                intercept, residual[:] = intercept + shift, back
    found = own.in_columns(beta, intercept, sigma, objective.rounding)
    drop_rounding(objective, theta, residual[:n], np.flatnonzero(zero[:n]))
    if objective.rows.fit_intercept:
        found = _put_right(objective, found, residual[:n], zero[:n])
    value = own.average(programme.losses(residual)[:n])
    value += objective.penalty.value(found.coef)
    nu = nu[:n]
    np.clip(nu, *objective.loss.conjugate_domain, out=nu)
    gap = dual_gap_from(objective, found.coef, residual[:n], value, nu)
    return Candidate(found, residual, zero, value, gap)


def _put_right(
    objective: Objective, found: Coefficients, residual: Array, zero: Mask
) -> Coefficients:
    """The coefficients with the intercept that rows on the fit have at X = 0."""
    shift = shift_at_zero(objective, found, np.flatnonzero(zero & (residual == 0.0)))
    if not shift:
        return found
    found = replace(found, intercept=found.intercept + shift)
    left, lost = _at_zero(objective, found, slice(None))
    residual[:] = np.where(zero & (np.abs(left) <= lost), 0.0, left)
    return found


def shift_at_zero(objective: Objective, found: Coefficients, on: Index) -> float:
    """By how much the intercept at X = 0 is another as rows on the fit say; 0 where it is none.

    Beside a row far out in X the means of the columns are far, and so is the point about which
    predictions are computed: residuals and the intercept have lost digits there that they have at
    X = 0. Where the rows on the fit say so, both are taken from there.
    """
    on = on[:: 1 + len(on) // ENOUGH_ROWS]
    if not len(on):
        return 0.0
    left, lost = _at_zero(objective, found, on)
    if not np.isfinite(left).all():
        return 0.0
    near = lost <= DIGIT * lost.min()
    shift = weighted_median(left[near])
    return shift if weighted_median(lost[near]) < abs(shift) < np.inf else 0.0


def _at_zero(
    objective: Objective, found: Coefficients, index: Index | slice
) -> tuple[Array, Array]:
    """Residuals of some rows by predictions from X = 0, and what rounding may leave of them."""
    rows, coef = objective.rows, found.coef
    X, y = rows.source.pick(index), rows.observed.targets(rows.source.y[index])
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(y) + abs(X) @ np.abs(coef) + abs(found.intercept)
        return y - X @ coef - found.intercept, LAST_PLACES * EPS * size


def drop_rounding(objective: Objective, theta: Array, residual: Array, index: Index) -> None:
    """Set those of some residuals to 0 that the rounding of their own terms explains."""
    lost = _rounding(objective, theta, index)
    residual[index[np.abs(residual[index]) <= lost]] = 0.0


def _rounding(objective: Objective, theta: Array, index: Index) -> Array:
    """What the rounding of their own terms may leave of some residuals."""
    beta, intercept, _ = objective.unpack(theta)
    size = np.abs(objective.rows.y[index]) + sizes_of_terms(objective.rows, beta, intercept, index)
    return LAST_PLACES * EPS * size


def better_candidate(
    programme: Streamed,
    approximate: tuple[Array, Array, Mask],
    ended: tuple[Array, Array, Mask],
) -> Candidate:
    """The vertex, unless its objective is higher; the better of two bounds serves for both.

    0 bounds F, too: beside what a useless bound allows, any two objectives are alike.
    """
    first, second = (
        certified(programme, *solution, programme.residuals(solution[0]))
        for solution in (approximate, ended)
    )
    bound = max(first.value - first.gap, second.value - second.gap, 0.0)
    first, second = (replace(found, gap=max(found.value - bound, 0.0)) for found in (first, second))
    return second if second.gap <= 2.0 * first.gap + SAME_VALUE * first.value else first

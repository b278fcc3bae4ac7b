"""Solutions of a programme: their certificate, and what is reported of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.coordinates import (
    Frame,
    in_columns,
    least_squares,
    make_objective,
    pack,
)
from robustreg.evaluation.design import sizes_of_terms
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import finished
from robustreg.solvers._report import LAST_PLACES, SAME_VALUE, is_rounding, result
from robustreg.solvers._solution import Reached, Solution
from robustreg.solvers.programme.rows import Streamed

NEAR = 1e-3  # spreads of y that rounding may leave of a residual of 0 while the fit has digits
ENOUGH_ROWS = 1000  # on a fit that say where its intercept is
DIGIT = 10.0  # of the least rounding: that of rows that say so


@dataclass
class Candidate:
    """A solution with its residuals, zero rows, objective and certificate."""

    found: Coefficients
    residual: Array
    zero: Mask
    value: float
    gap: float


class Opened(NamedTuple):
    """A programme, and the solution that needs no search."""

    programme: Streamed
    exact: tuple[Candidate, OptimizeResult] | None  # the least-squares fit, where it is exact


def opened(problem: Problem, frame: Frame) -> Opened:
    """The programme of a problem in white coordinates."""
    programme = Streamed(make_objective(problem, frame, curvature=False), frame)
    return Opened(programme, exact_fit(problem, frame, programme))


def exact_fit(
    problem: Problem, frame: Frame, programme: Streamed
) -> tuple[Candidate, OptimizeResult] | None:
    """The least-squares fit, where it is exact or there is nothing to fit."""
    theta, objective = least_squares(frame), programme.objective
    residual = programme.residuals(theta)
    zero = np.zeros(len(residual), dtype=bool)
    _, intercept, sigma = objective.unpack(theta)
    beta, moved = _coefficients(programme, frame, theta, zero)
    if moved:
        residual[: problem.n] = objective.y - objective.fitted(beta, intercept)
    found = in_columns(objective, frame, beta, intercept, sigma)
    value = objective.average(programme.losses(residual)[: problem.n])
    value += problem.penalty.value(found.coef)  # the programme may count less of a steep one
    if programme.size and not is_exact(problem, objective, theta, value, residual):
        return None
    gap = value if programme.size else 0.0
    fit = finished("The least-squares fit is exact.")
    return Candidate(found, residual, zero, value, gap), fit


def is_exact(
    problem: Problem, objective: Objective, theta: Array, value: float, residual: Array
) -> bool:
    """Whether a fit leaves nothing but rounding in any row; ``value`` is of the order of F."""
    if value <= problem.negligible:
        return True
    if value > LAST_PLACES * EPS * problem.farthest:  # most often, and known without a pass
        return False
    beta, intercept, _ = objective.unpack(theta)
    own = residual[: problem.n]
    return bool(is_rounding(objective.rows, problem.y, own, beta, intercept).all())


def report(
    problem: Problem,
    frame: Frame,
    programme: Streamed,
    candidate: Candidate,
    fit: OptimizeResult,
    tol: float,
) -> Solution:
    """The result of a candidate."""
    n = problem.n
    at_zero = candidate.zero[n:]
    # a vertex fits as many rows exactly as there are coordinates, rows of the penalty included
    own = programme.size - int(at_zero.sum()) if len(at_zero) else frame.rank
    reached = Reached(candidate.found, candidate.residual[:n], candidate.value, candidate.gap)
    outcome = result(problem, reached, tol, fit, frame.rank, own)
    return replace(outcome, on_fit=_on_fit(problem, frame, programme.objective, candidate))


def _on_fit(problem: Problem, frame: Frame, objective: Objective, candidate: Candidate) -> Mask:
    """The rows that a candidate passes through, but for the rounding of their own terms.

    Those of the vertex, unless a coefficient that became exactly 0 has moved them, and others that
    repeat them or happen to lie there.
    """
    residual = candidate.residual[: problem.n]
    close = np.abs(residual) <= NEAR * problem.spread
    on: Mask = candidate.zero[: problem.n] & close
    near = np.flatnonzero(close & ~on)
    if len(near):
        theta = pack(objective, frame, candidate.found)
        on[near] = np.abs(residual[near]) <= _rounding(objective, theta, near)
    return on


def _coefficients(
    programme: Streamed, frame: Frame, theta: Array, zero: Mask
) -> tuple[Array, bool]:
    """Coefficients of theta in the units of the blocks, and whether that has moved residuals.

    What is 0 at the vertex is exactly 0. Where coefficients must not be negative, those
    become 0 that iterations cut short, or rounding, have left below.
    """
    objective = programme.objective
    found = objective.unpack(theta)[0]
    beta = found.copy()
    beta[programme.kinked[zero[programme.n :]]] = 0.0
    if objective.penalty.positive:
        beta = np.maximum(beta, 0.0)
    return beta, bool(np.any(np.abs(beta - found) * frame.spread > objective.rounding))


def certified(
    programme: Streamed, frame: Frame, theta: Array, nu: Array, zero: Mask, residual: Array
) -> Candidate:
    """Objective and certificate of theta with a nearly feasible nu.

    Coefficients of the ``zero`` rows are taken for 0, and residuals as far as the rounding of
    their own arithmetic explains what is left of them: no more, or the objective would be
    too small and the certificate wrong. ``nu`` and ``residual`` are overwritten.
    """
    objective, n = programme.objective, programme.n
    _, intercept, sigma = objective.unpack(theta)
    beta, moved = _coefficients(programme, frame, theta, zero)
    if moved:
        residual[:n] = objective.y - objective.fitted(beta, intercept)
        if objective.rows.fit_intercept and zero[:n].any():
            # what that has moved the rows of the vertex by may be more than their terms' rounding
            shift = float(np.median(residual[:n][zero[:n]]))
            back = residual.copy()
            back[:n] -= shift
            if programme.value(theta, back) < programme.value(theta, residual):
                intercept, residual[:] = intercept + shift, back
    found = in_columns(objective, frame, beta, intercept, sigma)
    objective.take_residual(residual[:n])
    drop_rounding(objective, theta, np.flatnonzero(zero[:n]))
    if objective.rows.fit_intercept:
        found = _put_right(objective, found, residual[:n], zero[:n])
    value = objective.average(programme.losses(residual)[:n])
    value += objective.penalty.value(found.coef)
    nu = nu[:n]
    np.clip(nu, *objective.loss.conjugate_domain, out=nu)
    gap = dual_gap_from(objective, theta, value, nu, found.coef)
    return Candidate(found, residual, zero, value, gap)


def _put_right(
    objective: Objective, found: Coefficients, residual: Array, zero: Mask
) -> Coefficients:
    """The coefficients with the intercept that rows on the fit have at X = 0.

    Beside a row far out in X the means of the columns are far, and so is the point about which
    predictions are computed: residuals and the intercept have lost digits there that they have at
    X = 0. Where the rows on the fit say so, both are taken from there.
    """
    on = np.flatnonzero(zero & (residual == 0.0))
    on = on[:: 1 + len(on) // ENOUGH_ROWS]
    if not len(on):
        return found
    left, lost = _at_zero(objective, found, on)
    if not np.isfinite(left).all():
        return found
    near = lost <= DIGIT * lost.min()
    shift = float(np.median(left[near]))
    if not np.median(lost[near]) < abs(shift) < np.inf:
        return found
    found = replace(found, intercept=found.intercept + shift)
    left, lost = _at_zero(objective, found, slice(None))
    residual[:] = np.where(zero & (np.abs(left) <= lost), 0.0, left)
    objective.take_residual(residual)
    return found


def _at_zero(
    objective: Objective, found: Coefficients, index: Index | slice
) -> tuple[Array, Array]:
    """Residuals of some rows by predictions from X = 0, and what rounding may leave of them."""
    X, y, coef = objective.rows.X[index], objective.y[index], found.coef
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(y) + abs(X) @ np.abs(coef) + abs(found.intercept)
        return y - X @ coef - found.intercept, LAST_PLACES * EPS * size


def drop_rounding(objective: Objective, theta: Array, index: Index) -> None:
    """Set those of some residuals to 0 that the rounding of their own terms explains."""
    residual = objective.residual
    lost = _rounding(objective, theta, index)
    residual[index[np.abs(residual[index]) <= lost]] = 0.0


def _rounding(objective: Objective, theta: Array, index: Index) -> Array:
    """What the rounding of their own terms may leave of some residuals."""
    beta, intercept, _ = objective.unpack(theta)
    size = np.abs(objective.y[index]) + sizes_of_terms(objective.rows, beta, intercept, index)
    return LAST_PLACES * EPS * size


def better_candidate(
    programme: Streamed,
    frame: Frame,
    approximate: tuple[Array, Array, Mask],
    ended: tuple[Array, Array, Mask],
) -> Candidate:
    """The vertex, unless its objective is higher; the better of two bounds serves for both.

    0 bounds F, too: beside what a useless bound allows, any two objectives are alike.
    """
    first, second = (
        certified(programme, frame, *solution, programme.residuals(solution[0]))
        for solution in (approximate, ended)
    )
    bound = max(first.value - first.gap, second.value - second.gap, 0.0)
    first.gap, second.gap = (max(found.value - bound, 0.0) for found in (first, second))
    return second if second.gap <= 2.0 * first.gap + SAME_VALUE * first.value else first

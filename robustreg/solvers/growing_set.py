"""Working sets: fits under an L1 norm or a sign constraint on the few columns that matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robustreg._arrays import Array, Index
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import scaled
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import LEAST_SCALE, Coefficients, Problem
from robustreg.solvers._ended import Ended, Limits
from robustreg.solvers._minimise import XTOL
from robustreg.solvers._report import SLOPE_ROUNDING, result
from robustreg.solvers._solution import Reached, Solution, known
from robustreg.solvers.smooth import (
    PrimalDual,
    better_of,
    from_above_primal_dual,
    is_stuck,
    newton_primal_dual,
)

FIRST_COLUMNS = 20  # of the set, besides those of a start
ROUGH_XTOL = 1e-2  # length of the last Newton step, in scales, while columns still enter
ROUGH_STEPS = 25  # of a fit while columns enter: with those that are missing it may be easier


def working_set(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Newton's method on a growing set of columns; the coefficients of the others are 0.

    Columns enter while their slopes at the fit are steeper than the penalty balances at 0.
    Once there are none, the fit is that of all columns. Columns never leave, so that the
    method ends. Cost: for every set a pass over X, O(n p), and a fit of its m columns,
    O(n m^2); a set has at most twice the columns of the one before.
    """
    objective = make_objective(problem, scaled(problem))
    part, columns = _grown(problem, objective, start, max_iter, tol)
    fit = _in_all_columns(problem, objective, part, columns, tol)
    if not is_stuck(fit, max_iter, problem.n * len(columns)):
        return fit
    part, columns = _grown_from_above(problem, objective, columns, max_iter, tol)
    return better_of(fit, _in_all_columns(problem, objective, part, columns, tol))


def _grown(
    problem: Problem, objective: Objective, start: Coefficients | None, max_iter: int, tol: float
) -> tuple[PrimalDual, Index]:
    """The fit to a set of columns that no other ones enter, if iterations last, and the set."""
    columns, used, xtol = _first_set(problem, objective, start), 0, ROUGH_XTOL
    while True:
        within = None if start is None else replace(start, coef=start.coef[columns])
        most = min(max_iter - used, max_iter if xtol == XTOL else ROUGH_STEPS)
        part = newton_primal_dual(problem.columns(columns), within, Limits(most, tol, xtol))
        used += part.fit.nit
        found = in_all(part.found, columns, problem.p)
        start = replace(found, sigma=max(found.sigma, LEAST_SCALE * problem.spread))
        further = entering(objective, part.nu, columns)
        if used >= max_iter or not (len(further) or xtol > XTOL):
            break
        xtol = ROUGH_XTOL if len(further) else XTOL
        columns = np.union1d(columns, further)
    part.fit.nit = used
    if len(further) or xtol > XTOL:
        part.fit.update(status=Ended.MAX_ITER, message="max_iter reached.")
    return part, columns


def _grown_from_above(
    problem: Problem, objective: Objective, columns: Index, max_iter: int, tol: float
) -> tuple[PrimalDual, Index]:
    """The same by continuation from large scales, for problems whose fits get stuck."""
    used = 0
    while True:
        part = from_above_primal_dual(problem.columns(columns), max_iter, tol)
        used += part.fit.nit
        further = entering(objective, part.nu, columns)
        if not len(further):
            part.fit.nit = used
            return part, columns
        columns = np.union1d(columns, further)


def _in_all_columns(
    problem: Problem,
    objective: Objective,
    part: PrimalDual,
    columns: Index,
    tol: float,
) -> Solution:
    """The fit to some columns as one to all, with its certificate."""
    found = in_all(part.found, columns, problem.p)
    gap = dual_gap_from(objective, found.coef, part.residual, part.value, part.nu, cleaning=0)
    reached = Reached(found, known(part.residual), part.value, gap)
    return result(problem, reached, tol, part.fit, objective.coordinates.rank)


def _first_set(problem: Problem, objective: Objective, start: Coefficients | None) -> Index:
    """The columns of a start, and those that are steepest there, or else at the null fit.

    A start with more columns than rows is no guide: one that was not sparse.
    """
    kept, residual, sigma = np.zeros(0, dtype=np.intp), problem.y, problem.spread
    if start is not None and np.count_nonzero(start.coef) <= problem.n:
        kept, sigma = np.flatnonzero(start.coef), start.sigma
        residual = problem.y - problem.columns(kept).X @ start.coef[kept] - start.intercept
    nu = problem.loss.psi(residual / (problem.scale or sigma))
    return np.union1d(kept, steepest(surplus(objective, nu), FIRST_COLUMNS))


def entering(objective: Objective, nu: Array, columns: Index) -> Index:
    """The columns that belong into a set and are not: the steepest, as many as it has."""
    above = surplus(objective, nu)
    above[columns] = -np.inf
    candidates = steepest(above, len(columns))
    size = np.sqrt(objective.coordinates.average(nu * nu))
    return candidates[above[candidates] > SLOPE_ROUNDING * size]


def surplus(objective: Objective, nu: Array) -> Array:
    """By how much the slopes of nu exceed what the penalty balances at 0, at spreads of 1.

    Minus infinity for constant columns, which never have a coefficient.
    """
    unit, penalty, own = objective.rows.unit, objective.penalty, objective.coordinates
    slope, _ = own.slopes(nu)
    with np.errstate(over="ignore", invalid="ignore"):  # the penalty may outweigh everything
        above = own.reduce((penalty.steepness(slope * unit) - penalty.slope) / unit)
    return np.where(own.basis > 0, above, -np.inf)


def steepest(above: Array, most: int) -> Index:
    """The columns of largest surplus, the earlier ones of equals."""
    return np.argsort(-above, kind="stable")[:most]


def in_all(found: Coefficients, columns: Index, p: int) -> Coefficients:
    """A fit of some columns as one of all."""
    coef = np.zeros(p)
    coef[columns] = found.coef
    return replace(found, coef=coef)

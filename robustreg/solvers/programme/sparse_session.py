"""The solver of absolute deviations and quantiles of a sparse X, and sessions of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from robustreg._arrays import Array, Index
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import MAX_WHITENED, scaled
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended
from robustreg.solvers._report import TOL, result
from robustreg.solvers._session import MAX_ITER, Session
from robustreg.solvers._solution import Reached, Solution, known
from robustreg.solvers.growing_set import FIRST_COLUMNS, entering, in_all, steepest, surplus
from robustreg.solvers.programme.candidates import report
from robustreg.solvers.programme.interior import interior_in
from robustreg.solvers.programme.reduction import reduced_in
from robustreg.solvers.programme.session import ProgrammeSession, SolveIn
from robustreg.solvers.programme.sparse import Found, solve_sparse
from robustreg.solvers.programme.sparse_coordinates import SparseTable, sparse_table
from robustreg.solvers.programme.sparse_dual import simplex_in

GROWN = 300  # columns from which on a set of them grows under an L1 norm,
MANY = 0.25  # as long as it is less than so much of all, if these are not too many
LONG, ROWS_PER_COLUMN = 2000, 100  # rows, and per column, that the simplex method is too slow for


def sparse_interior(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Absolute deviations or a quantile of an X of mostly zeros, which are never filled.

    Interior point steps with normal equations that are solved by elimination, on all rows first and
    then on few of them, and the optimal vertex from there; of many columns under an L1 norm, those
    of a growing set. Where no vertex is found, as among many tied targets, another solver takes
    over, unless there are too many columns for it: then the last point of the steps is reported.
    ``start`` has no effect. Cost: a step sums the products of the entries of each row, and
    factorises a matrix of as many columns as do not exclude each other.
    """
    return SparseSession().fit(problem, start=start, max_iter=max_iter, tol=tol)


class SparseSession(Session):
    """Fits of the same sparse rows, whose coordinates stay."""

    def __init__(self) -> None:
        self.X: Any = None
        self.tables: dict[bool, SparseTable | None] = {}
        self.other: ProgrammeSession | None = None

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """The fit of a problem."""
        found = None
        if not _is_tied(problem):  # with most rows next to the fit no vertex is proven
            found = self._found(self._sparse(problem), max_iter, tol)
        if found is not None:
            fit, exact = found
            if (fit.converged and exact) or fit.ended == Ended.MAX_ITER:
                return fit
            if problem.p > MAX_WHITENED:
                return fit
        if self.other is None:
            self.other = ProgrammeSession(_other(problem))
        other = self.other.fit(problem, start=start, max_iter=max_iter, tol=tol)
        return other if found is None or other.gap <= fit.gap else fit

    def _sparse(self, problem: Problem) -> Problem:
        """The problem with X as a CSR matrix."""
        source = problem.observed.source
        if not source.in_memory or source.is_sparse:
            return problem
        if self.X is None:
            self.X = sparse.csr_matrix(problem.X, dtype=np.float64)  # as others are
        return problem.with_regressors(self.X)

    def _found(self, problem: Problem, max_iter: int, tol: float) -> tuple[Solution, bool] | None:
        """What sparse algebra leads to, and whether it is a vertex that is known to be optimal."""
        with np.errstate(all="ignore"):  # what is no number ends in no step, or in no bound
            found = None
            if problem.p >= GROWN and problem.penalty.slope:
                found = _grown(problem, max_iter, tol)
            if found is None and (problem.p <= MAX_WHITENED or not problem.penalty.slope):
                found = self._direct(problem, max_iter, tol)
            return found

    def _direct(self, problem: Problem, max_iter: int, tol: float) -> tuple[Solution, bool] | None:
        kinked = bool(problem.penalty.kinked)
        if kinked not in self.tables:
            self.tables[kinked] = sparse_table(problem, kinked)
        table = self.tables[kinked]
        found = None if table is None else solve_sparse(problem, table, max_iter)
        return None if found is None else (_reported(problem, found, tol), found.exact)


def _is_tied(problem: Problem) -> bool:
    """Whether most targets are those of other rows, too, where a solver is as quick for these."""
    short = problem.n <= ROWS_PER_COLUMN * problem.p and problem.p <= MAX_WHITENED
    return short and 2 * len(np.unique(problem.y)) < problem.n


def _other(problem: Problem) -> SolveIn:
    """The solver that takes over."""
    if problem.n <= ROWS_PER_COLUMN * problem.p:
        return simplex_in
    return reduced_in if problem.n >= LONG else interior_in


def _reported(problem: Problem, found: Found, tol: float) -> Solution:
    return report(problem, found.programme, found.candidate, found.fit, tol)


def _grown(problem: Problem, max_iter: int, tol: float) -> tuple[Solution, bool] | None:
    """The fit on a set of columns that no others enter, as one of all columns.

    As :func:`robustreg.solvers.growing_set.working_set`, for losses that are not smooth. Most rows
    keep their side as columns enter, so that later fits begin with those next to the one before.
    None where so many enter that all of them together take less time.
    """
    objective, used, near = make_objective(problem, scaled(problem)), 0, None
    columns = _first_columns(problem, objective)
    while True:
        if len(columns) > MANY * problem.p and problem.p <= MAX_WHITENED:
            return None
        part = problem.columns(columns)
        table = sparse_table(part, kinked=True)
        found = None if table is None else solve_sparse(part, table, max_iter - used, near)
        if found is None:
            return None
        used += found.fit.nit
        found.fit.nit = used
        further = entering(objective, found.nu, columns)
        if not len(further) or found.fit.status == Ended.MAX_ITER:
            break
        near = in_all(found.candidate.found, columns, problem.p)
        columns = np.union1d(columns, further)
        near = replace(near, coef=near.coef[columns])
    own = _reported(part, found, tol)
    coefficients = in_all(found.candidate.found, columns, problem.p)
    residual, value = found.candidate.residual[: problem.n], found.candidate.value
    gap = dual_gap_from(objective, coefficients.coef, residual, value, found.nu, cleaning=0)
    reached = Reached(coefficients, known(residual), value, gap)
    rank, count = objective.coordinates.rank, own.n_interpolated
    fit = result(problem, reached, tol, found.fit, rank, count)
    return replace(fit, on_fit=own.on_fit), found.exact


def _first_columns(problem: Problem, objective: Objective) -> Index:
    """The columns that are steepest where all coefficients are 0."""
    low, high = problem.loss.conjugate_domain
    level = high / (high - low) if problem.fit_intercept else None
    residual: Array = problem.y - (0.0 if level is None else np.quantile(problem.y, level))
    nu = np.where(residual > 0.0, high, low)
    above = surplus(objective, nu)
    most = max(FIRST_COLUMNS, int(np.sum(above > 0.0)))
    return np.sort(steepest(above, min(most, problem.n)))

"""Absolute deviations and quantiles of a sparse X, exactly, with sparse algebra throughout.

Interior point steps on all rows come to where most rows clearly have a side. These then matter by
the sum of their slopes only (Portnoy and Koenker, 1997, put the rows of a side into one); further
steps, on the others, lead to a vertex, and some of the simplex method to the optimal one. Rows
that this has on the side that was not presumed come back in. The vertex of few rows is that of all
of them where its nu balance the slopes of all.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Mask
from robustreg.evaluation.choice import GROSS
from robustreg.evaluation.moments import squared
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended, finished
from robustreg.solvers.programme.candidates import Candidate, certified, most_if_exact
from robustreg.solvers.programme.central import Point, central_point
from robustreg.solvers.programme.elimination import Design
from robustreg.solvers.programme.interior import CENTRAL, stepped
from robustreg.solvers.programme.rows import kinked_columns, penalty_rows
from robustreg.solvers.programme.sparse_basis import Vertex, clearest, optimum
from robustreg.solvers.programme.sparse_coordinates import SparseTable
from robustreg.solvers.programme.sparse_rows import SparseReduction, SparseRows
from robustreg.solvers.programme.vertex import rounding, typical_size

# Complementarities, in the typical residual's: from which on rows have a side, and rows of 0 are
# told from others, tilted as they are.
SIDES, SEPARATE = 0.02, 1e-9
# Residuals whose sign may change after that: in typical residuals, times the root of the leverage
# and SIDES, and times the leverage, as on an optimum that is a face.
BAND, FACE = 3.0, 10.0
WIDER = (1.0, 4.0)  # times that, the second time where steps jam with the first
MAX_ROUNDS = 8
MOST_STEPS = 100  # of the simplex method; and per column:
STEPS_PER_COLUMN = 0.2


class Found(NamedTuple):
    """What steps have led to."""

    programme: WholeRows
    candidate: Candidate
    fit: OptimizeResult  # how they ended
    nu: Array  # of the rows of data, as it was certified
    exact: bool  # whether it is a vertex, and known to be the optimum


class WholeRows(SparseRows):
    """The programme of all rows of a problem, in the coordinates of a sparse X.

    Penalty rows are at the end, as in :class:`robustreg.solvers.programme.rows.Streamed`.
    """

    def __init__(self, problem: Problem, table: SparseTable) -> None:
        own, design = table
        objective = make_objective(problem, (own, None))
        self.objective, self.own, self.n = objective, own, problem.n
        self.kinked = kinked_columns(objective)
        width, *extra = penalty_rows(objective, self.kinked, 1.0)
        if len(width):
            place = np.searchsorted(own.columns, self.kinked)
            entries = (width * own.basis[self.kinked], (np.arange(len(place)), place))
            rows = sparse.csr_array(entries, shape=(len(place), design.matrix.shape[1]))
            matrix = sparse.csr_array(sparse.vstack([design.matrix, rows], format="csr"))
            design = Design(matrix, design.columns)
        given, ones = objective.rows.weight, np.ones(self.n)
        least, most = objective.loss.conjugate_domain
        data = (ones if given is None else given, least * ones, most * ones)
        weight, low, high = (np.append(*pair) for pair in zip(data, extra, strict=True))
        target = np.append(objective.rows.y, np.zeros(len(width)))
        super().__init__(design, target, weight, low, high, objective.rows.total)

    def in_objective(self, theta: Array) -> Array:
        """The coordinates of the objective, of minimum norm, with the intercept at its centre."""
        own, columns = self.own, self.own.columns
        u = np.zeros(own.k)
        u[columns] = theta[: len(columns)]
        if not own.rows.fit_intercept:
            return own.of_minimum_norm(u)
        # of equal predictions, those at the means of the columns are equal, too
        intercept = theta[-1] if own.ones else 0.0
        centre = intercept + own.rows.offset @ own.expand(u)
        return np.append(own.of_minimum_norm(u), centre)

    def theta_of(self, found: Coefficients) -> Array:
        """The coordinates of a fit, the inverse of what ``in_objective`` leads to."""
        own = self.own
        u = own.of(found.coef)
        theta = u[own.columns]
        if not own.ones:
            return theta
        return np.append(theta, found.intercept + found.coef @ own.rows.base)

    def first_theta(self, problem: Problem) -> Array:
        """Least squares of targets that are cut off; 0 under kinks where F is less there."""
        most, ahead = GROSS * problem.spread, np.zeros(len(self.target))
        ahead[: self.n] = np.clip(problem.y, -most, most)
        theta = self.own.normal(self.slopes(ahead))
        null = np.zeros_like(theta)
        least, null_value = (self.value(at, self.residuals(at)) for at in (theta, null))
        positive = self.objective.penalty.positive
        return null if len(self.kinked) and (positive or null_value < least) else theta


def solve_sparse(
    problem: Problem, table: SparseTable, max_iter: int, near: Coefficients | None = None
) -> Found | None:
    """The optimum of a problem, or what comes next to it; None for fits that are nearly exact.

    ``near``: a fit on whose sides most rows are that they have at the optimum, if one is known.
    """
    programme, tried = WholeRows(problem, table), 0
    if near is not None:
        found, tried = _from_near(problem, programme, near, max_iter)
        if found is not None:
            return found
    theta = programme.first_theta(problem)
    residual = programme.residuals(theta)
    if programme.value(theta, residual) <= most_if_exact(problem):
        return None
    negligible, size = EPS * problem.spread, typical_size(np.abs(residual))
    start = central_point(programme, theta, max(0.5 * CENTRAL * size, negligible))
    most = max_iter - tried
    point, fit = stepped(programme, start, most, negligible, lambda _, mu: mu <= SIDES * size)
    fit.nit += tried
    for wider in WIDER:
        found, used = _reduced(problem, programme, point, wider, max_iter - fit.nit)
        fit.nit += used
        if found is not None:
            found.fit.nit = fit.nit
            return found
    used = fit.nit
    point, fit = stepped(programme, point, max_iter - used, negligible)
    fit.nit += used
    nowhere = np.zeros(len(point.nu), dtype=bool)
    return _found(programme, point.theta, point.nu, nowhere, fit)


def _from_near(
    problem: Problem, programme: WholeRows, near: Coefficients, max_iter: int
) -> tuple[Found | None, int]:
    """The optimal vertex by way of the rows next to a fit, if that leads there; and steps."""
    theta = programme.theta_of(near)
    residual = programme.residuals(theta)
    if programme.value(theta, residual) <= most_if_exact(problem):
        return None, 0
    start = central_point(programme, theta, SIDES * typical_size(np.abs(residual)))
    found, used = _reduced(problem, programme, start, WIDER[0], max_iter)
    if found is not None:
        found.fit.nit = used
    return found, used


def _reduced(
    problem: Problem, programme: WholeRows, point: Point, wider: float, max_iter: int
) -> tuple[Found | None, int]:
    """The optimal vertex by way of few of the rows, if that leads there; and steps on these."""
    residual = programme.residuals(point.theta)
    is_open = np.abs(residual) <= wider * _reach(programme, residual)
    is_open |= _nearest_of_groups(programme, residual)
    is_open[programme.n :] = True
    reduction = SparseReduction(programme, residual > 0, is_open)
    small = reduction.programme()
    size = typical_size(np.abs(residual))
    here, last = stepped(
        small.tilted(),
        reduction.point(point),
        max_iter,
        EPS * problem.spread,
        lambda _, mu: mu <= SEPARATE * size,
    )
    if last.status != Ended.FINISHED:  # with a wrong side, slopes may have no balance
        return None, last.nit
    doubt = here.doubt * (small.high - small.low) / size
    index = clearest(small, doubt)
    most = MOST_STEPS + int(STEPS_PER_COLUMN * programme.size)
    for _ in range(MAX_ROUNDS):
        vertex = None if index is None else optimum(small, index, most)
        if vertex is None:
            return None, last.nit
        index = reduction.index[vertex.basis]
        wrong = reduction.wrong(programme.residuals(vertex.theta))
        if not len(wrong):
            vertex = optimum(programme, index, MAX_ROUNDS)
            if vertex is None:
                return None, last.nit
            fit = finished("The vertex is optimal.")
            return _at_vertex(problem, programme, vertex, fit), last.nit
        is_open[wrong] = True
        reduction = SparseReduction(programme, reduction.above, is_open)
        small, index = reduction.programme(), np.searchsorted(reduction.index, index)
    return None, last.nit


def _reach(programme: WholeRows, residual: Array) -> Array:
    """How far from 0 residuals are that may still change their sign."""
    square = squared(programme.design.matrix)
    each = square.T @ programme.weight / programme.total
    leverage = square @ (1.0 / each) / programme.total
    size = typical_size(np.abs(residual[: programme.n]))
    reach: Array = size * (BAND * np.sqrt(SIDES * leverage) + FACE * leverage)
    return reach


def _nearest_of_groups(programme: WholeRows, residual: Array) -> Mask:
    """The rows nearest to the fit, on either side, that have a column which is eliminated."""
    group, size = 2 * programme.design.member + (residual > 0), np.abs(residual)
    least = np.full(group.max() + 1, np.inf)
    np.minimum.at(least, group, size)
    nearest: Mask = size <= least[group]
    return nearest


def _at_vertex(
    problem: Problem, programme: WholeRows, vertex: Vertex, fit: OptimizeResult
) -> Found:
    zero = np.abs(vertex.residual) <= min(rounding(vertex.residual, problem.exact), problem.exact)
    zero[vertex.basis] = True
    return _found(programme, vertex.theta, vertex.nu, zero, fit, exact=True)


def _found(
    programme: WholeRows,
    theta: Array,
    nu: Array,
    zero: Mask,
    fit: OptimizeResult,
    exact: bool = False,
) -> Found:
    residual = programme.residuals(theta)
    candidate = certified(programme, programme.in_objective(theta), nu, zero, residual)
    return Found(programme, candidate, fit, nu[: programme.n], exact)

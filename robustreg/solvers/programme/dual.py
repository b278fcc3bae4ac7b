"""Absolute deviations and quantiles, exactly, through HiGHS on the dual linear programme."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult
from scipy.optimize import linprog as highs

from robustreg._arrays import EPS, Array
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Solution
from robustreg.solvers.programme.candidates import certified, opened, report
from robustreg.solvers.programme.rows import Programme
from robustreg.solvers.programme.session import ProgrammeSession
from robustreg.solvers.programme.vertex import descents, theta_through, typical_size, vertex

AT_BOUND = 1e-7  # of the distance between the bounds: HiGHS' own feasibility tolerance
TILT = 1e-5  # of that distance: enough for HiGHS to see it, too little to choose a wrong vertex
STATUS = {0: Ended.FINISHED, 1: Ended.MAX_ITER}  # of HiGHS; everything else is trouble


def linprog(
    problem: Problem,
    *,
    start: Coefficients | None = None,
    max_iter: int = 100_000,
    tol: float = 1e-7,
) -> Solution:
    """Absolute deviations or a quantile: the dual, then the exact vertex of the primal.

    The dual programme is ``max sum w nu t`` over ``low <= nu <= high`` with ``D'(w nu) = 0``,
    D the rows of :class:`robustreg.solvers.programme.rows.Programme`. Rows with nu inside its
    bounds are fitted exactly; the vertex is computed anew from them, and nu anew from its
    stationarity equations, so that the certificate is at rounding level and not at HiGHS'
    tolerance. ``start`` has no effect. Cost: that of a linear programme with n bounded
    variables and p + 1 equations, which are stored.
    """
    return ProgrammeSession(linprog_in).fit(problem, start=start, max_iter=max_iter, tol=tol)


def linprog_in(
    problem: Problem, chosen: Chosen, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """The same in given coordinates."""
    programme, ended = opened(problem, chosen)
    if ended is None:
        rows = programme.at_hand()
        theta = programme.objective.least_squares()
        equations = sparse.csc_array((rows.weight[:, None] * rows.design).T)
        fit = dual_programme(rows, equations, theta, max_iter, EPS * problem.spread)
        if fit.x is not None:
            theta = theta + fit.x
        theta = theta_through(rows, theta, (rows.low < fit.nu) & (fit.nu < rows.high))
        theta, nu, zero = vertex(rows, theta, fit.nu, problem.exact, descents(fit))
        residual = programme.residuals(theta)
        ended = certified(programme, theta, nu, zero, residual), fit
    candidate, fit = ended
    return report(problem, programme, candidate, fit, tol)


def dual_programme(
    programme: Programme, equations: Any, theta: Array, max_iter: int, negligible: float
) -> OptimizeResult:
    """The dual for the residuals of a first fit: HiGHS' tolerances are then relative to them.

    The equations are ``D'(w nu) = D'(w tilt)``. In tied tables they would else hold with all nu
    at bounds, and the primal point be anywhere on an edge or a face; a tilted plane touches it
    at a vertex.

    ``equations`` is a sparse matrix ``D'w`` in any coordinates. The result has nu, and as ``x``
    the change of these coordinates from the first fit on, None without a solution.
    """
    residual, low, high = programme.residuals(theta), programme.low, programme.high
    unit = max(typical_size(np.abs(residual)), negligible)
    width = float(high[0] - low[0])  # of a row of data; bounds of a penalty's may be far apart
    tilt = np.random.default_rng(0).uniform(-TILT * width, TILT * width, len(residual))
    tilt = np.clip(tilt, low, high)  # feasible, whatever the equations
    solution = highs(
        -programme.weight * (residual / unit),
        A_eq=equations,
        b_eq=equations @ tilt,
        bounds=np.column_stack([low, high]),
        method="highs-ds",
        options={"maxiter": max_iter, "presolve": False},
    )
    change, nu = None, np.zeros(len(residual))
    if solution.x is not None:
        change, nu, margin = -unit * solution.eqlin.marginals, solution.x, AT_BOUND * width
        nu = np.where(nu < low + margin, low, np.where(nu > high - margin, high, nu))
    return OptimizeResult(
        x=change,
        nu=nu,
        status=STATUS.get(solution.status, Ended.FAILED),
        message=solution.message,
        nit=int(solution.nit),
    )

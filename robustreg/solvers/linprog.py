"""Least absolute deviations, exactly, through HiGHS on the dual linear programme."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult
from scipy.optimize import linprog as highs

from robustreg._arrays import EPS, Array
from robustreg._certificate import dual_gap_from
from robustreg._objective import Objective
from robustreg._problem import Problem
from robustreg.solvers._frame import Start, least_squares, make_frame, make_objective, unpack
from robustreg.solvers._report import null_result, result

AT_BOUND = 1e-7  # HiGHS' own feasibility tolerance
STATUS = {0: 0, 1: 1}  # HiGHS: 0 optimal, 1 iteration limit; everything else is trouble (4)


def linprog(
    problem: Problem, *, start: Start | None = None, max_iter: int = 100_000, tol: float = 1e-7
) -> OptimizeResult:
    """Least absolute deviations: the dual, then the exact vertex of the primal.

    The dual programme is ``max sum w nu y`` over ``-1 <= nu <= 1`` with ``Q'(w nu) = 0`` and
    ``sum w nu = 0``, Q the whitened regressors. Rows with ``|nu| < 1`` lie on the optimal
    plane; it is computed anew from them, and nu anew from its stationarity equations, so
    that the certificate is at rounding level and not at HiGHS' tolerance. ``start`` has no
    effect. Cost: that of a linear programme with n bounded variables and p + 1 equations.
    """
    if problem.spread == 0.0:
        return null_result(problem)
    frame = make_frame(problem)
    objective = make_objective(problem, frame, curvature=False)
    theta = least_squares(frame)
    value = objective(theta)[0]
    fit = OptimizeResult(status=0, message="The least-squares fit is exact.", nit=0)
    gap = value
    if value > 16 * EPS * problem.spread:
        design = objective.coordinates(np.ones(problem.n, dtype=bool))
        fit = _dual_programme(problem, objective.residual, theta, design, max_iter)
        theta, nu = _vertex(problem, objective, design, fit)
        value = objective(theta)[0]
        gap = dual_gap_from(objective, theta, value, nu)
    found = unpack(objective, frame, theta)
    return result(problem, found, objective.residual, value, gap, tol, fit, frame.rank)


def _dual_programme(
    problem: Problem, residual: Array, theta: Array, design: Array, max_iter: int
) -> OptimizeResult:
    """The dual for the residuals of a first fit: HiGHS' tolerances are then relative to them."""
    weight = np.ones(problem.n) if problem.weight is None else problem.weight
    equations: Any = sparse.csc_array((weight[:, None] * design).T)
    unit = float(np.median(np.abs(residual))) or float(np.mean(np.abs(residual)))
    solution = highs(
        -weight * (residual / unit),
        A_eq=equations,
        b_eq=np.zeros(design.shape[1]),
        bounds=(-1.0, 1.0),
        method="highs-ds",
        options={"maxiter": max_iter, "presolve": False},
    )
    nu = np.zeros(problem.n)
    if solution.x is not None:
        theta, nu = theta - unit * solution.eqlin.marginals, solution.x
    return OptimizeResult(
        x=theta,
        nu=nu,
        status=STATUS.get(solution.status, 4),
        message=solution.message,
        nit=int(solution.nit),
    )


def _vertex(
    problem: Problem, objective: Objective, design: Array, fit: OptimizeResult
) -> tuple[Array, Array]:
    """Theta through the rows that the dual says are fitted exactly, and nu to match."""
    weight = np.ones(problem.n) if problem.weight is None else problem.weight
    theta, nu = fit.x, np.clip(fit.nu, -1.0, 1.0)
    inside = np.abs(nu) < 1.0 - AT_BOUND
    for _ in range(2):  # the second time is iterative refinement
        residual = objective.residuals(theta)
        step = np.linalg.lstsq(design[inside], residual[inside], rcond=None)[0]
        if float(np.abs(step).max(initial=0.0)) > 1e-4 * problem.spread:
            break  # not a correction: the rows inside do not determine the plane
        theta = theta + step
    residual = objective.residuals(theta)
    on = inside | (np.abs(residual) <= problem.exact)
    nu = np.where(on, nu, np.sign(residual))
    excess = design.T @ (weight * nu)
    nu[on] -= np.linalg.lstsq((weight[on, None] * design[on]).T, excess, rcond=None)[0]
    return theta, nu

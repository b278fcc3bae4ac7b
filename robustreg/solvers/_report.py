"""One result object for every solver, and one judgement of convergence."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.sparse import issparse

from robustreg._arrays import EPS, Array
from robustreg._problem import Problem
from robustreg._rows import NotFiniteError
from robustreg.solvers._frame import Start


def result(
    problem: Problem,
    found: Start,
    residual: Array | None,
    value: float,
    gap: float,
    tol: float,
    fit: OptimizeResult,
    rank: int,
) -> OptimizeResult:
    """The fit in the problem's units, and whether it is certified.

    ``residual`` is None where nobody is going to look at them, for problems without ``far``.

    Success means ``gap <= tol F + 64 eps F_null`` and that the optimiser itself ended
    because its last step was negligible or nothing decreased any more.
    """
    certified = gap <= tol * value + 64 * EPS * problem.null_objective < math.inf
    message = fit.message
    if not certified:
        unit = problem.objective_unit
        reached = f"The duality gap is {unit * gap:.2g} at an objective of {unit * value:.2g}."
        message = f"{message} {reached}"
    if residual is not None and len(problem.far):
        value, residual, hidden = _put_back(problem, value, residual)
        if hidden:
            certified = False
            message = "The fit follows a y of more than 1e15 times the spread of the others."
    return OptimizeResult(
        coef=found.coef,
        intercept=found.intercept,
        sigma=found.sigma,
        residual=residual,
        fun=value,
        dual_gap=gap,
        nit=fit.nit,
        rank=rank,
        success=bool(certified and fit.status not in (1, 5)),
        message=message,
    )


def _put_back(problem: Problem, value: float, residual: Array) -> tuple[float, Array, bool]:
    """Objective and residuals for the y that had been brought in, and whether that mattered."""
    far, beyond = problem.far, problem.beyond
    hidden = bool(np.any(residual[far] * np.sign(beyond) < 0.5 * np.abs(problem.y[far])))
    weight = 1.0 if problem.weight is None else problem.weight[far]
    total = problem.n if problem.weight is None else problem.weight.sum()
    low, high = problem.loss.conjugate_domain
    value += float(np.sum(weight * np.maximum(high * beyond, low * beyond))) / total
    return value, problem.put_back(residual), hidden


def null_result(problem: Problem) -> OptimizeResult:
    """Y does not vary: the null model fits exactly.

    Nothing else looks at a dense X then, so that NaN and infinity are to be found here.
    """
    if not issparse(problem.X) and not np.isfinite(problem.X).all():
        raise NotFiniteError
    fit = OptimizeResult(status=0, message="y is constant.", nit=0)
    found = Start(np.zeros(problem.p), 0.0, 0.0)
    return result(problem, found, problem.y, 0.0, 0.0, 0.0, fit, int(problem.fit_intercept))

"""Fits with rows of hardly any weight: certified by the other rows, as their coefficients say.

Where the others leave a direction of X open, rows of 1e-16 of the largest weight and less decide
on it, and beside the squares of the others nothing is left of theirs: neither coordinates nor
slopes have digits there, and what rounding the coefficients moves the other rows by may be more
than all that the faint ones have in F. But F without its faint rows is nowhere more than F. Its
minimum, which is fitted to the other rows, is a bound that owes nothing to them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robustreg._arrays import EPS
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import UNFINISHED, limits_among
from robustreg.solvers._report import TOL, exactly_fitted
from robustreg.solvers._reported import residuals_of, sizes_of, still_zero, value_at
from robustreg.solvers._solution import Solution, Solve

FAINT = 1e-16  # of the largest weight
DECIDED = (
    "Rows of less than 1e-16 of the largest weight decide on this fit, which are nothing beside "
    "the others in double precision."
)


def bounded_without_faint(
    problem: Problem, fit: Solution, solve: Solve, options: dict[str, Any]
) -> Solution:
    """A fit with faint rows, with the bound of the fit to the others, which ``solve`` makes."""
    bound = _least_without(problem, fit, solve, limits_among(options))
    return _judged(problem, fit, bound, options.get("tol", TOL))


def has_faint(problem: Problem) -> bool:
    """Whether some rows have hardly any weight."""
    return problem.observed.source.least_weight < FAINT


def _least_without(problem: Problem, fit: Solution, solve: Solve, options: dict[str, Any]) -> float:
    """A bound of F from the rows that are not faint."""
    assert problem.weight is not None
    index = np.flatnonzero(problem.weight >= FAINT)
    start = fit.start if problem.can_start_from(fit.sigma) else None
    least = solve(problem.subset(index), start=start, **options)
    share = float(problem.weight[index].sum() / problem.weight.sum())
    return max(share * (least.objective - least.gap), 0.0)


def _judged(problem: Problem, fit: Solution, bound: float, tol: float) -> Solution:
    """The fit with the objective that its coefficients have, and that bound."""
    assert problem.weight is not None
    coef, intercept = problem.in_own_units(*problem.in_user_units(fit.coef, fit.intercept))
    found = Coefficients(coef, intercept, fit.sigma)
    residual = residuals_of(problem, found)
    residual[still_zero(problem, found, residual, fit)] = 0.0
    if problem.joint and not np.isfinite(problem.loss.conjugate_domain).all():
        # at smaller scales the rounding of one residual is more than all that F is made of
        size = float(np.average(sizes_of(problem, found), weights=problem.weight))
        size += abs(problem.y_offset) / problem.y_unit  # of y and the intercept as they are given
        found = replace(found, sigma=max(fit.sigma, EPS * size))
    value = value_at(problem, found, residual)
    gap = max(value - bound, 0.0)
    converged = fit.ended not in UNFINISHED and not fit.followed
    converged = converged and (gap <= tol * value < np.inf or gap <= problem.negligible)
    if not converged:
        converged = fit.converged and bool(exactly_fitted(problem, found, residual).all())
    message = DECIDED if fit.converged and not converged else fit.message
    return replace(
        fit,
        intercept=intercept,
        sigma=found.sigma,
        objective=value,
        gap=gap,
        converged=converged,
        message=message,
    )

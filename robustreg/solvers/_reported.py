"""Fits as their reported coefficients have them: residuals, what rounds in these, and F."""

from __future__ import annotations

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import EPS, Array, Mask
from robustreg.evaluation.limits import out_of_range
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._report import LAST_PLACES
from robustreg.solvers._solution import Solution


def residuals_of(problem: Problem, found: Coefficients) -> Array:
    """The residuals of y as it is, without what was brought in.

    Raises
    ------
    ValueError
        If predictions are beyond the range of float64.
    """
    return _residuals(problem, found, problem.put_back(problem.y))


def residuals_brought_in(problem: Problem, found: Coefficients) -> Array:
    """The residuals of y with what was brought in, as solvers see it."""
    return _residuals(problem, found, problem.y)


def _residuals(problem: Problem, found: Coefficients, y: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        fitted = safe_sparse_dot(problem.X, found.coef) + found.intercept
        residual: Array = y - fitted
    if not np.isfinite(residual).all():
        raise out_of_range("predictions", "rescale X or y")
    return residual


def sizes_of(problem: Problem, found: Coefficients) -> Array:
    """The sums of the absolute values of the terms that residuals are made of."""
    size: Array = np.abs(problem.put_back(problem.y)) + abs(found.intercept)
    size += safe_sparse_dot(abs(problem.X), np.abs(found.coef))
    return size


def still_zero(problem: Problem, found: Coefficients, residual: Array, fit: Solution) -> Mask:
    """Where residuals that a solver has made 0 are no more than the rounding of their terms."""
    return is_nearly_zero(problem, found, residual) & (fit.residual == 0.0)


def is_nearly_zero(problem: Problem, found: Coefficients, residual: Array) -> Mask:
    """Where residuals are no more than the rounding of their terms."""
    near: Mask = np.abs(residual) <= LAST_PLACES * EPS * sizes_of(problem, found)
    return near


def value_at(problem: Problem, found: Coefficients, residual: Array) -> float:
    """F of a fit with such residuals."""
    sigma = problem.scale_or(found.sigma)
    value = float(np.average(problem.losses(residual, sigma), weights=problem.weight))
    value += problem.loss.kappa * sigma * problem.joint
    return value + problem.penalty.value(found.coef)

"""Fits that follow a y which was brought in: made anew on y as it is.

Of a y that lies further out than a double has digits, psi knows the sign only, and so it is
brought in (:mod:`robustreg.evaluation.problem`). Beyond the breakdown point, with a large fixed
scale, or where its row has leverage, a fit may follow it all the same, and would then be another
one for another y. It is fitted again in units of what it follows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.units import FARTHEST
from robustreg.solvers._ended import limits_among
from robustreg.solvers._report import TOL
from robustreg.solvers._reported import is_nearly_zero, residuals_of, still_zero, value_at
from robustreg.solvers._solution import Solution, Solve, known

DOUBT = 8.0
ROUNDS = 4  # ever larger y are let in; in the last one all of them


def followed(problem: Problem, fit: Solution, solve: Solve, options: dict[str, Any]) -> Solution:
    """The fit to y as it is, made by ``solve``. Its iterations are counted anew."""
    kept = limits_among(options)
    reach = FARTHEST * problem.spread
    for number in range(ROUNDS):
        last, reach = reach, fit.followed if number < ROUNDS - 1 else problem.farthest_given()
        wider = problem.within(reach)
        unit = wider.y_unit / problem.y_unit
        growth = reach / last if fit.sigma <= last else 1.0  # a start may have been there before
        start = _in_proportion(wider, fit, growth / unit)
        fit = _in_units(solve(wider, start=start, **kept), unit)
        if not fit.followed:
            break
    return _as_reported(problem, fit, kept.get("tol", TOL))


def _in_proportion(problem: Problem, fit: Solution, factor: float) -> Coefficients | None:
    """What the fit would be if all that it follows were farther away by the same factor."""
    sigma = fit.sigma * factor
    if not problem.can_start_from(sigma):
        return None
    return Coefficients(fit.coef * factor, fit.intercept * factor, sigma)


def _as_reported(problem: Problem, fit: Solution, tol: float) -> Solution:
    """The fit judged by the residuals that its coefficients leave, in the units of the bulk.

    Beside a followed y the last digits of coefficients and intercept may be more than the
    other rows differ by.
    """
    found = fit.start
    residual = residuals_of(problem, found)
    value = value_at(problem, found, residual)
    # where rounding has changed F, it may have changed the bound by as much, and some more
    gap = min(fit.gap + DOUBT * abs(value - fit.objective), value)
    small = gap <= tol * value or gap <= problem.negligible
    message = fit.message
    if fit.converged and not small:
        message = "The fit follows a y beside which the others have too few digits."
    # fitted exactly, as far as numbers of this size can be; so are copies of the rows of a vertex
    if fit.on_fit is None:
        rounding = still_zero(problem, found, residual, fit)
    else:
        rounding = is_nearly_zero(problem, found, residual)
    residual[rounding] = 0.0
    return replace(
        fit,
        residuals=known(residual),
        objective=value,
        gap=gap,
        converged=fit.converged and small,
        message=message,
        on_fit=None if fit.on_fit is None else np.flatnonzero(rounding),
    )


def _in_units(fit: Solution, factor: float) -> Solution:
    """A fit in units of y that are smaller by that factor, a power of two."""
    names = ("coef", "intercept", "sigma", "objective", "gap", "followed")
    with np.errstate(over="ignore"):  # whoever reports them sees to it
        scaled = {name: getattr(fit, name) * factor for name in names}
        return replace(fit, residuals=known(fit.residual * factor), **scaled)

"""Fits that follow a y which was brought in: made anew on y as it is.

Of a y that lies further out than a double has digits, psi knows the sign only, and so it is
brought in (:mod:`robustreg._problem`). Beyond the breakdown point, with a large fixed scale, or
where its row has leverage, a fit may follow it all the same, and would then be another one for
another y. It is fitted again in units of what it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._problem import FARTHEST, Problem
from robustreg.solvers._frame import Start
from robustreg.solvers._report import TOL
from robustreg.solvers._reported import residuals_of, still_zero, value_at

DOUBT = 8.0
ROUNDS = 4  # ever larger y are let in; in the last one all of them

Solve = Callable[..., OptimizeResult]


def following(solve: Solve, again: Solve | None = None) -> Solve:
    """A solver that goes on with ``again``, itself by default, where fits follow far y."""

    @wraps(solve)
    def solved(problem: Problem, **options: Any) -> OptimizeResult:
        fit = solve(problem, **options)
        return _followed(problem, fit, again or solve, options) if fit.followed else fit

    return solved


def _followed(
    problem: Problem, fit: OptimizeResult, solve: Solve, options: dict[str, Any]
) -> OptimizeResult:
    """The fit to y as it is. Its iterations are counted anew."""
    kept = {name: options[name] for name in ("max_iter", "tol") if name in options}
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


def _in_proportion(problem: Problem, fit: OptimizeResult, factor: float) -> Start | None:
    """What the fit would be if all that it follows were farther away by the same factor."""
    sigma = fit.sigma * factor
    if not problem.can_start_from(sigma):
        return None
    return Start(fit.coef * factor, fit.intercept * factor, sigma)


def _as_reported(problem: Problem, fit: OptimizeResult, tol: float) -> OptimizeResult:
    """The fit judged by the residuals that its coefficients leave, in the units of the bulk.

    Beside a followed y the last digits of coefficients and intercept may be more than the
    other rows differ by.
    """
    found = Start(fit.coef, fit.intercept, fit.sigma)
    residual = residuals_of(problem, found)
    value = value_at(problem, found, residual)
    # where rounding has changed F, it may have changed the bound by as much, and some more
    gap = min(fit.dual_gap + DOUBT * abs(value - fit.fun), value)
    small = gap <= tol * value or gap <= problem.negligible
    if fit.success and not small:
        fit.message = "The fit follows a y beside which the others have too few digits."
    rounding = still_zero(problem, found, residual, fit.residual)
    residual[rounding] = 0.0  # fitted exactly, as far as numbers of this size can be
    if "on_fit" in fit:
        fit.on_fit = rounding
    fit.update(fun=value, dual_gap=gap, residual=residual, success=fit.success and small)
    return fit


def _in_units(fit: OptimizeResult, factor: float) -> OptimizeResult:
    """A fit in units of y that are smaller by that factor, a power of two."""
    with np.errstate(over="ignore"):  # whoever reports them sees to it
        for name in ("coef", "intercept", "sigma", "residual", "fun", "dual_gap", "followed"):
            fit[name] = fit[name] * factor
    return fit

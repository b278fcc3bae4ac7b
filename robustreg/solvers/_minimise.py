"""Minimising an objective in the coordinates of a frame: Newton's method, or L-BFGS-B before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, brentq, minimize

from robustreg._arrays import EPS, Array, length
from robustreg._objective import Objective
from robustreg._problem import Problem
from robustreg.solvers._frame import Frame, make_objective
from robustreg.solvers._newton import semismooth_newton

Minimise = Callable[[Objective, Array, int, float, float], OptimizeResult]

XTOL = 1e-10  # length of the last Newton step, in scales
# Joint scales below these shares of the spread of y suggest an exact plane. An attempt costs
# about as much as an L1 fit; the last one ends the search.
SMALL_SCALES = (1e-5, 1e-9, EPS)
PROFILE_RATIO, PROFILE_XTOL = 4.0, 1e-14  # of scales that are tried, and of the one that is found
NEWTON_SHARE = 20  # of the iterations of lbfgs are kept for the Newton steps at its end


def minimise_newton(
    objective: Objective, theta: Array, max_iter: int, xtol: float, floor: float
) -> OptimizeResult:
    """Semismooth Newton from ``theta``; it stops at joint scales below ``floor``."""
    # a scale of 1e-9 does not make coefficients more precise than floating point
    least = SMALL_SCALES[0] * XTOL / xtol

    # of a narrow loss, what matters beside its centre
    narrow = min(1.0, objective.loss.conjugate_domain[1] / objective.loss.curvature)

    def in_scales(theta: Array, step: Array) -> float:
        return length(step) / max(narrow * objective.scale_at(theta), least)

    with np.errstate(over="ignore", invalid="ignore"):  # trial steps may lead out of range
        return minimize(
            lambda theta: objective(theta)[0],  # which remembers: jac=True would do so once more
            theta,
            jac=lambda theta: objective(theta)[1],
            hess=objective.hessian,
            method=semismooth_newton,
            bounds=_bounds(objective, 0.0),
            options={
                "kinks": objective.kinks,
                "xtol": xtol,
                "max_iter": max_iter,
                "floor": floor,
                "rounding": objective.rounding,
                "slope_along": objective.slope_along,
                "typical_slope": objective.rms_psi,
                "step_size": in_scales,
                "perspective": objective.joint,
            },
        )


def minimise_lbfgs(
    objective: Objective, theta: Array, max_iter: int, xtol: float, floor: float
) -> OptimizeResult:
    """L-BFGS-B with Newton steps at its end."""
    budget = max_iter - NEWTON_SHARE if max_iter > 2 * NEWTON_SHARE else max_iter
    fit = minimize(
        objective.without_curvature(),
        theta,
        jac=True,
        method="L-BFGS-B",
        bounds=_bounds(objective, 0.5 * floor),
        options={"maxiter": budget, "maxcor": 20, "ftol": 0.0, "gtol": 1e-6, "maxls": 50},
    )
    polished = minimise_newton(objective, fit.x, max_iter - fit.nit, xtol, floor)
    polished.nit += fit.nit
    return polished


def minimise_profile(problem: Problem, frame: Frame, max_iter: int) -> OptimizeResult | None:
    """The optimum of a narrow loss, by one dimension in its joint scale.

    The scale's equation ``mean(rho*(psi)) = kappa`` is solved with the coefficients that are
    best for the scale: F, least over these, is convex in the scale, and the difference of the
    two sides is its slope. Where hardly a row is in the centre of the loss, F is flat but for
    that, in a narrow valley, and joint Newton steps see only the few rows they are at. From
    scales at which all rows are in the centre downwards the way is smooth.

    None if the slope does not vanish at any scale that is not next to 0.
    """
    fixed = make_objective(replace(problem, scale=1.0), frame)
    last, tried = np.zeros(fixed.size), 0

    # Next to rounding the slope depends on where Newton's method starts: no scale is judged
    # twice, or the ends of the bracket might change their signs.
    @cache
    def best(log_scale: float) -> tuple[Array, float]:
        nonlocal last, tried
        scale = float(np.exp(log_scale))
        fixed.set_scale(scale)
        if fixed.size:  # else the scale is all there is
            last = minimise_newton(fixed, last, max_iter, XTOL, 0.0).x
        tried += 1
        conjugate = problem.loss.conjugate_of_psi(fixed.locate(last) / scale)
        return last, problem.loss.kappa - fixed.average(conjugate)

    def slope(log_scale: float) -> float:
        return best(log_scale)[1]

    step = float(np.log(PROFILE_RATIO))
    width = problem.loss.conjugate_domain[1] / problem.loss.curvature
    least, most = (np.log(share * problem.spread) for share in (SMALL_SCALES[1], 1e15 / width))
    high = float(np.log(problem.spread / width))
    while slope(high) < 0.0 and high < most:
        high += step
    low = high - step
    while slope(low) > 0.0:
        low, high = low - step, low
        if low < least:
            return None
    if high >= most:
        return None
    found = float(brentq(slope, low, high, xtol=PROFILE_XTOL))
    theta = np.append(best(found)[0], np.exp(found))
    message = "The equation of the scale is solved."
    return OptimizeResult(x=theta, status=0, message=message, nit=tried)


def _bounds(objective: Objective, lowest: float) -> Bounds:
    """Only the joint scale is bounded."""
    lower = np.full(objective.size, -np.inf)
    lower[objective.k + objective.rows.fit_intercept :] = lowest
    return Bounds(lower, np.inf)

"""Minimising an objective in the coordinates of a frame: Newton's method, or L-BFGS-B before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from robustreg._arrays import EPS, Array, length
from robustreg._objective import Objective
from robustreg.solvers._newton import semismooth_newton

Minimise = Callable[[Objective, Array, int, float, float], OptimizeResult]

XTOL = 1e-10  # length of the last Newton step, in scales
# Joint scales below these shares of the spread of y suggest an exact plane. An attempt costs
# about as much as an L1 fit; the last one ends the search.
SMALL_SCALES = (1e-5, 1e-9, EPS)
NEWTON_SHARE = 20  # of the iterations of lbfgs are kept for the Newton steps at its end


def minimise_newton(
    objective: Objective, theta: Array, max_iter: int, xtol: float, floor: float
) -> OptimizeResult:
    """Semismooth Newton from ``theta``; it stops at joint scales below ``floor``."""
    # a scale of 1e-9 does not make coefficients more precise than floating point
    least = SMALL_SCALES[0] * XTOL / xtol

    def in_scales(theta: Array, step: Array) -> float:
        return length(step) / max(objective.scale_at(theta), least)

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


def _bounds(objective: Objective, lowest: float) -> Bounds:
    """Only the joint scale is bounded."""
    lower = np.full(objective.size, -np.inf)
    lower[objective.k + objective.rows.fit_intercept :] = lowest
    return Bounds(lower, np.inf)

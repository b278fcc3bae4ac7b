"""Minimising an objective in coordinates of its own: Newton's method, or L-BFGS-B before it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from robustreg._arrays import EPS, Array
from robustreg._linalg.factors import length
from robustreg.losses import ConvexLoss
from robustreg.penalties._kinks import Kinks, Root
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers._tracked import Tracked

Minimise = Callable[[Tracked, Array, int, float, float], OptimizeResult]

XTOL = 1e-10  # length of the last Newton step, in scales
# Joint scales below these shares of the spread of y suggest an exact plane. An attempt costs
# about as much as an L1 fit; the last one ends the search.
SMALL_SCALES = (1e-5, 1e-9, EPS)
MAX_ROOTED = 2**15  # entries of X for which orthogonal factors at every step are affordable
NEWTON_SHARE = 20  # of the iterations of lbfgs are kept for the Newton steps at its end


def width(loss: ConvexLoss) -> float:
    """Where psi, which has its largest slope at 0, would be at its bound, in scales."""
    return float(loss.conjugate_domain[1] / loss.curvature)


def minimise_newton(
    tracked: Tracked,
    theta: Array,
    max_iter: int,
    xtol: float,
    floor: float,
    hess: Callable[[Array], Any] | None = None,
) -> OptimizeResult:
    """Semismooth Newton from ``theta``; it stops at joint scales below ``floor``.

    ``hess``: what steps are made of in place of the Hessian.
    """
    # a scale of 1e-9 does not make coefficients more precise than floating point
    least, objective = SMALL_SCALES[0] * XTOL / xtol, tracked.objective

    # of a narrow loss, what matters beside its centre
    narrow = min(1.0, width(objective.loss))

    def in_scales(theta: Array, step: Array) -> float:
        return length(step) / max(narrow * objective.scale_at(theta), least)

    with np.errstate(over="ignore", invalid="ignore"):  # trial steps may lead out of range
        return minimize(
            tracked.value,
            theta,
            jac=tracked.gradient,
            hess=hess or tracked.hessian,
            method=semismooth_newton,
            bounds=_bounds(objective.size, objective.joint, 0.0),
            options={
                "kinks": objective.kinks,
                "xtol": xtol,
                "max_iter": max_iter,
                "floor": floor,
                "rounding": objective.rounding,
                "slope_along": tracked.slope_along,
                "typical_slope": tracked.rms_psi,
                "step_size": in_scales,
                "perspective": objective.joint,
            },
        )


def minimise_rooted(
    tracked: Tracked, theta: Array, max_iter: int, xtol: float, floor: float
) -> OptimizeResult:
    """The same with the roots of Hessians, where there are kinks, and rows few enough for that."""
    return minimise_newton(tracked, theta, max_iter, xtol, floor, _root_of_hessian(tracked))


def _root_of_hessian(tracked: Tracked) -> Callable[[Array], Any]:
    """The generalised Hessian by its root, that of the rows as they are.

    Kinks ask for single columns as coordinates. Where these are nearly collinear, the matrix of
    their products has lost the digits that steps along the valley need. In white coordinates, and
    of large tables, it is the Hessian itself.
    """
    objective = tracked.objective
    rows = objective.rows
    if not (isinstance(objective.kinks, Kinks) and rows.n * objective.k <= MAX_ROOTED):
        return tracked.hessian
    design = objective.coordinates.take(np.ones(rows.n, dtype=bool))
    ridge = np.zeros((objective.k, objective.size))
    ridge[:, : objective.k] = np.sqrt(objective.penalty_hessian)

    def root(theta: Array) -> Root:
        sigma = objective.scale_at(theta)
        z = objective.residuals(theta) / sigma
        share = objective.loss.psi_prime(z) / (rows.total * sigma)
        if rows.weight is not None:
            share = share * rows.weight
        whole = np.column_stack([design, z]) if objective.joint else design
        factor = np.vstack([np.sqrt(share)[:, None] * whole, ridge])
        return Root(
            factor, float(objective.rms_psi(tracked.at(theta).sums)) if objective.precise else None
        )

    return root


def minimise_lbfgs(
    tracked: Tracked, theta: Array, max_iter: int, xtol: float, floor: float
) -> OptimizeResult:
    """L-BFGS-B with Newton steps at its end."""
    objective = tracked.objective
    budget = max_iter - NEWTON_SHARE if max_iter > 2 * NEWTON_SHARE else max_iter
    fit = minimize(
        objective,  # without curvature, which takes half of the time
        theta,
        jac=True,
        method="L-BFGS-B",
        bounds=_bounds(objective.size, objective.joint, 0.5 * floor),
        options={"maxiter": budget, "maxcor": 20, "ftol": 0.0, "gtol": 1e-6, "maxls": 50},
    )
    polished = minimise_newton(tracked, fit.x, max_iter - fit.nit, xtol, floor)
    polished.nit += fit.nit
    return polished


@lru_cache
def _bounds(size: int, joint: bool, lowest: float) -> Bounds:
    """Only the joint scale is bounded. Made once: it takes as long as sums over a small table."""
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    if joint:
        lower[-1] = lowest
    return Bounds(lower, upper)

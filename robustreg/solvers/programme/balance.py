"""Dual variables whose slopes balance: where a point is the optimum, and how to prove it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve
from scipy.optimize import lsq_linear

from robustreg._arrays import EPS, Array, Mask
from robustreg._linalg.factors import cholesky_factor, lstsq
from robustreg.solvers._report import SLOPE_ROUNDING
from robustreg.solvers.programme.rows import Programme

REFINEMENTS = 3  # the last digit of one solution is the first of the next
MAX_BOUNDED = 2000  # rows that bounded least squares can afford
MIN_RCOND = 1e-10  # of a Gram matrix: its solutions are refined


def balanced(
    programme: Programme, theta: Array, nu: Array, residual: Array, zero: Mask
) -> tuple[Array, Array | None]:
    """Nu at its bounds off the zero rows, and on these such that all slopes balance.

    The least change of the given nu that balances them, at first of those alone that are inside
    their bounds; and where that leaves the bounds, bounded least squares. Returns also what
    imbalance is left, None if it is rounding.
    """
    nu = np.where(zero, np.clip(nu, programme.low, programme.high), programme.sign(residual))
    tiny = SLOPE_ROUNDING * np.sqrt(programme.average(nu * nu))
    inside = zero & (programme.low < nu) & (nu < programme.high)
    if inside.any() and not np.array_equal(inside, zero):
        out, _, excess = _shifted(programme, theta, nu, inside, tiny)
        if np.abs(excess).max(initial=0.0) <= tiny:
            return out, None
    out, columns, excess = _shifted(programme, theta, nu, zero, tiny)
    if np.abs(excess).max(initial=0.0) <= tiny:
        return out, None
    low, high, own = programme.low[zero], programme.high[zero], out[zero]
    changed = bounded(columns, columns @ own - excess, low, high, own)
    out[zero] = changed
    excess = programme.imbalance(theta, out)
    return out, excess if np.abs(excess).max(initial=0.0) > tiny else None


def _shifted(
    programme: Programme, theta: Array, nu: Array, free: Mask, tiny: float
) -> tuple[Array, Array, Array]:
    """Nu after the least change on some rows that balances all slopes, clipped to the bounds.

    Returns beside it these rows' share of the slopes, as columns, and the imbalance left.
    """
    out, low, high = nu.copy(), programme.low[free], programme.high[free]
    columns = (programme.weight[free, None] * programme.take(free)).T / programme.total
    excess = programme.imbalance(theta, out)
    if not columns.size or not excess.any():
        return out, columns, excess
    shortest = _shortest(columns)
    for _ in range(REFINEMENTS):
        own = out[free] - shortest(excess)
        out[free] = np.clip(own, low, high)
        excess = programme.imbalance(theta, out)
        if np.abs(own - out[free]).max() > tiny:
            break
    return out, columns, excess


def _shortest(columns: Array) -> Callable[[Array], Array]:
    """The shortest solution of ``columns x = side``, or of its least squares, for any side.

    From the smaller Gram matrix, where that has digits enough for refinement to do the rest.
    """
    wide = columns.shape[0] <= columns.shape[1]
    factor = cholesky_factor(columns @ columns.T if wide else columns.T @ columns, MIN_RCOND)
    if factor is None:
        return lambda side: lstsq(columns, side, cond=1e-12)
    if wide:
        return lambda side: columns.T @ cho_solve((factor, False), side)
    return lambda side: cho_solve((factor, False), columns.T @ side)


def bounded(columns: Array, side: Array, low: Array, high: Array, clipped: Array) -> Array:
    """Least squares within bounds; merely ``clipped`` where there are too many for that."""
    if not 0 < len(low) <= MAX_BOUNDED:
        return clipped
    # its sum of squares, which serves to stop it early, and its products may overflow
    with np.errstate(over="ignore", invalid="ignore"):
        found = lsq_linear(columns, side, (low, high), method="bvls", tol=EPS).x
    return np.clip(found, low, high) if np.isfinite(found).all() else clipped

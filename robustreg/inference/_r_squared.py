"""How much of the variance of y a fit explains, of rows by their robustness weights."""

from __future__ import annotations

import functools

import numpy as np

from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Fit
from robustreg.losses import ResidualLoss
from robustreg.losses._quadrature import gaussian_expectation


def r_squared(fitted: FittedRows, rank: int, found: Fit, ratio: float) -> tuple[float, float, int]:
    """R squared, adjusted R squared, and how many rows have next to no weight.

    The `ratio`, of `gaussian_ratio` for a loss, makes the shares those of Gaussian noise (Renaud
    and Victoria-Feser 2010).
    """
    mean = found.y / found.weight if fitted.has_intercept else 0.0
    yy = found.yy - found.weight * mean * mean
    r2 = (yy - found.rr) / (yy + found.rr * (ratio - 1.0))
    degrees = fitted.total - (1.0 if fitted.has_intercept else 0.0)
    return r2, 1.0 - (1.0 - r2) * degrees / (fitted.total - rank), int(found.few)


@functools.lru_cache(maxsize=256)
def gaussian_ratio(loss: ResidualLoss) -> float:
    """``E q(Z) / E[Z^2 q(Z)]`` of the robustness weights q of a loss."""
    breakpoints = loss._breakpoints()
    with np.errstate(all="ignore"):
        return gaussian_expectation(loss._weights, breakpoints) / gaussian_expectation(
            lambda z: z * loss._psi(z), breakpoints
        )

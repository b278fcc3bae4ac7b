"""A penalty as a function of the coordinates that an objective is one of."""

from __future__ import annotations

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.rows import RowBlocks
from robustreg.penalties import NonSmooth, Penalty


def kinks_of(penalty: Penalty, rows: RowBlocks, basis: Array, size: int) -> NonSmooth | None:
    """The kinks of a penalty in single coordinates, the first of ``size`` variables.

    None without kinks. Coordinates are the columns, each times its entry of the basis.
    """
    if not penalty.kinked:
        return None
    with np.errstate(over="ignore"):
        factor = basis / rows.unit
    return penalty.kinks(factor, size)


def slope_of(penalty: Penalty, rows: RowBlocks, beta: Array) -> Array:
    """Gradient of a penalty's quadratic part by coefficients in the units of the blocks."""
    if not penalty.root_curvature:
        return np.zeros(beta.shape)
    if not rows.scaled:  # coordinates, which the penalty is in, keep these in range
        return penalty.gradient(beta)
    with np.errstate(over="ignore"):  # as in F
        return penalty.gradient(rows.coefficients(beta)) / rows.unit


def half_norm_hessian(rows: RowBlocks, basis: Array, factor: float = 1.0) -> Array:
    """Second derivative of ``|factor coef|^2 / 2`` in the coordinates."""
    unit = rows.unit if basis.ndim == 1 else rows.unit[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = factor * basis / unit
        return np.diag(scaled**2) if scaled.ndim == 1 else scaled.T @ scaled

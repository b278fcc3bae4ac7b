"""The scale of residuals of which only the smaller ones are seen."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from robustreg._arrays import Array
from robustreg.subsampling.table import Table

# Rows within this many scales, 97.5 % of good Gaussian ones, enter the reweighted fit.
CUTOFF_SHARE = 0.975
CUTOFF = float(ndtri(0.5 * (1.0 + CUTOFF_SHARE)))


def trimmed_variance(share: float) -> float:
    """Mean square of the smaller share of a standard normal sample's absolute values.

    With q the ``(1 + share) / 2`` quantile, partial integration gives
    ``E[Z^2; |Z| <= q] / share = 1 - 2 q phi(q) / share`` (Croux and Rousseeuw, 1992).

    Examples
    --------
    >>> from robustreg.subsampling.trimming import trimmed_variance
    >>> print(round(trimmed_variance(0.5), 4), trimmed_variance(1.0))
    0.1426 1.0
    """
    if share >= 1.0:
        return 1.0
    q = float(ndtri(0.5 * (1.0 + share)))
    density = math.exp(-0.5 * q * q) / math.sqrt(2.0 * math.pi)
    return 1.0 - 2.0 * q * density / share


def trimmed_scale(table: Table, squares: float, covered: float, edge: float) -> float:
    """Scale of the noise from the sum of the smallest squared residuals.

    Parameters
    ----------
    table : Table
        The rows.
    squares : float
        The sum.
    covered : float
        How many rows it is taken over (their weight).
    edge : float
        The largest of their residuals.
    """
    if edge <= table.zero:
        return 0.0
    return math.sqrt(squares / covered / trimmed_variance(covered / table.total))


def reweighted_scale(table: Table, before: Array, after: Array, reach: float) -> float:
    """Scale of the noise from the rows within reach of one fit, by their residuals from another.

    Of good Gaussian rows these are 97.5 %, as long as the reach is ``CUTOFF`` scales.
    """
    within = table.weigh((np.abs(before) <= reach).astype(np.float64))
    if np.max(np.abs(after), where=within > 0.0, initial=0.0) <= table.zero:
        return 0.0
    freedom = max(float(within.sum()) - table.m, 1.0)
    return math.sqrt(float(within @ (after * after)) / freedom / trimmed_variance(CUTOFF_SHARE))

"""The scale of residuals of which only the smaller ones are seen."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import ndtri

# Rows within this many scales, 97.5 % of good Gaussian ones, enter the reweighted fit.
CUTOFF_SHARE = 0.975
CUTOFF = float(ndtri(0.5 * (1.0 + CUTOFF_SHARE)))
SELECTION = (5.5, 2.8)  # k and c of `share_of_squares`


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


def share_of_squares(
    n: float, covered: float, m: int, constants: tuple[float, float] = SELECTION
) -> float:
    """The mean square of a fit's smallest residuals, relative to that of the noise's.

    The h = ``covered`` smallest squares of n rows of noise have the mean ``v =
    trimmed_variance(h / n)``. Those of the residuals from a least trimmed squares fit of m
    coefficients have less, by a factor of about

        (1 - m/h)^g,    g = 1 + (1/v - 1) (1 + c (m/h)^3) s / (s + k),    s = sqrt(m h).

    If all rows count, v = 1, this is the ``1 - m/n`` of least squares. As h grows it
    approaches ``1 - m / (h v)``, which expanding the trimmed sum of squares about the true
    coefficients gives: in white coordinates of X, each of its m first derivatives has the
    variance ``4 h v`` there, and its second derivatives are ``2 n (P(|Z| <= q) - 2 q phi(q)) =
    2 h v``, so that the minimum lies ``m (4 h v) / (2 (2 h v)) = m`` lower. It is a slow approach
    (k); and a fit to hardly more rows than it has coefficients can choose them better (c).

    k and c are from simulated samples of 1 to 12 coefficients, n >= 2 m and n >= 8 rows, with
    Gaussian columns and noise and the default search (`benchmarks/simulations.py --only
    lts_factors`). There the root mean square of the corrected scale is off by 8 % at most, by
    13 % below 10 rows; dummies and columns of Student's t with 5 degrees of freedom are no
    different. A share e of gross errors leaves the fit fewer rows to choose from: the scale is
    then too large, by a factor of 2 for n = 16, m = 7 and e = 0.2.
    """
    k, c = constants
    left = 1.0 / trimmed_variance(covered / n) - 1.0
    u, size = m / covered, math.sqrt(m * covered)
    power = 1.0 + left * (1.0 + c * u**3) * size / (size + k)
    return (1.0 - u) ** power


class Size(NamedTuple):
    """The size of a table: its rows, by their weight as given, and its coordinates."""

    total: float
    m: int
    zero: float  # residuals up to here count as exact fits


def trimmed_scale(size: Size, squares: float, covered: float, edge: float) -> float:
    """Scale of the noise from the sum of the smallest squared residuals.

    Parameters
    ----------
    size : Size
        Of the table.
    squares : float
        The sum.
    covered : float
        How many rows it is taken over (their weight).
    edge : float
        The largest of their residuals.
    """
    if edge <= size.zero:
        return 0.0
    expected = trimmed_variance(covered / size.total)
    expected *= share_of_squares(size.total, covered, size.m)
    return math.sqrt(squares / covered / expected)


def share_of_reweighted_squares(n: float, covered: float, m: int) -> float:
    """The mean square of the reweighted rows' residuals, relative to what it should be.

    Few rows are kept that the raw fit, of h = ``covered`` rows, did not choose. Beyond their
    degrees of freedom this costs a factor of about ``(1 - m/n)^(2 sqrt(1 - h/n))``, found in the
    same simulations as `share_of_squares`; 1 where least squares on all rows came first. It
    leaves the root mean square of the scale within 4 % from 50 rows on, within 13 % before.
    """
    return (1.0 - m / n) ** (2.0 * math.sqrt(1.0 - covered / n))


def reweighted_scale(
    size: Size, within: float, squares: float, largest: float, covered: float
) -> float:
    """Scale of the noise from the rows within reach of one fit, by their residuals from another.

    Of good Gaussian rows these are 97.5 %, as long as the reach is ``CUTOFF`` scales. The first
    fit is that of the smallest sum of ``covered`` squared residuals.

    Parameters
    ----------
    size : Size
        Of the table.
    within, squares, largest : float
        How many rows are within reach (their weight), the sum of their squared residuals, and the
        largest of these residuals.
    covered : float
        How many rows the first fit is of.
    """
    if largest <= size.zero:
        return 0.0
    expected = trimmed_variance(CUTOFF_SHARE)
    expected *= share_of_reweighted_squares(size.total, covered, size.m)
    return math.sqrt(squares / max(within - size.m, 1.0) / expected)

"""Tests of several hypotheses at once: their result, and Wald's statistic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import qr

from robustreg._arrays import Array
from robustreg.inference._geometry import SAME, lengths_of


@dataclass(frozen=True)
class TestResult:
    """A test of hypotheses on coefficients.

    Attributes
    ----------
    statistic : float
        F.
    df : int
        How many hypotheses there are.
    df_denominator : float
        Degrees of freedom of the noise.
    p_value : float
        The probability of a statistic as large, if the hypotheses hold.
    """

    __test__: ClassVar[bool] = False  # for pytest, which collects classes of such a name

    statistic: float
    df: int
    df_denominator: float
    p_value: float


def f_statistic(off: Array, spread: Array) -> float:
    """``off' (S S')^-1 off / q``, by a factor of S; NaN if that is singular.

    Parameters
    ----------
    off : ndarray of shape (q,)
        By how much combinations miss what the hypotheses say.
    spread : ndarray of shape (q, d)
        S, a root of their covariance matrix.
    """
    size = lengths_of(spread)
    if spread.shape[0] > spread.shape[1] or not size.all():
        return math.nan
    scaled = spread / size[:, None]  # units of the combinations do not matter
    factor: Array = qr(scaled.T, mode="r", check_finite=False)[0][: len(off)]
    if np.abs(np.diag(factor)).min() <= SAME:
        return math.nan
    return float(np.mean(np.square(np.linalg.solve(factor.T, off / size))))

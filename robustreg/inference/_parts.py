"""What a result is asked for, and what it is made of, whatever the estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robustreg.inference._covariance import Covariance
from robustreg.inference._group_numbers import Groups
from robustreg.inference._result import Ranks
from robustreg.inference._rows import FittedRows


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes
    ----------
    kind : str
        The kind of covariance.
    groups : tuple of ndarray and int, or None
        Numbers from 0 of the groups of the rows that count, and how many groups there are.
    n_resamples : int
        Draws of a bootstrap.
    random : RandomState
        What draws them.
    """

    kind: str
    groups: Groups | None
    n_resamples: int
    random: np.random.RandomState


def name_of(asked: Asked, scale_error: float = math.nan) -> str:
    """What a covariance is called in the table; it is stacked where the scale's error is known."""
    if asked.kind == "bootstrap":
        return f"bootstrap, {asked.n_resamples} draws" + (" of groups" if asked.groups else "")
    return f"{asked.kind}, stacked with the scale" if scale_error > 0.0 else asked.kind


@dataclass(frozen=True)
class Parts:
    """A covariance matrix in coordinates, and what the head of the table says.

    Attributes
    ----------
    fitted : FittedRows
        The rows, in the coordinates of the matrix.
    covariance : Covariance
        The matrix.
    kind : str
        What it is called.
    r2, adjusted_r2 : float
        Shares of the variance of y that are explained.
    n_few : int
        Rows of next to no weight.
    noise : float
        Standard deviation of the noise of a good row; NaN where none is known.
    ranks : Ranks or None
        Intervals and p-values by rank tests.
    """

    fitted: FittedRows
    covariance: Covariance
    kind: str
    r2: float
    adjusted_r2: float
    n_few: int
    noise: float
    ranks: Ranks | None = None

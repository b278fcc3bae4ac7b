"""What a result is made of, whatever the estimator."""

from __future__ import annotations

from dataclasses import dataclass

from robustreg.inference._covariance import Covariance
from robustreg.inference._result import Ranks
from robustreg.inference._rows import FittedRows


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

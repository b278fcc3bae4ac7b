"""What is made of every row of a source, and R squared, which is made of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import Array


@dataclass(frozen=True)
class Line:
    """A fitted linear model of one target, or of several quantiles of it.

    Attributes
    ----------
    coef : ndarray of shape (p,) or (k, p)
        Coefficients.
    intercept : float or ndarray of shape (k,)
        Intercepts.
    ascending : ndarray of shape (k,) or None
        The quantiles in ascending order, if predictions of every row are to ascend with them.
    """

    coef: Array
    intercept: Any
    ascending: Any = None

    def __call__(self, X: Any) -> Array:
        """Predictions of shape (m,) or (m, k)."""
        predicted: Array = safe_sparse_dot(X, self.coef.T) + self.intercept
        if self.ascending is None:
            return predicted
        in_order = np.empty_like(predicted)
        in_order[:, self.ascending] = np.sort(predicted, axis=1)
        return in_order


@dataclass(frozen=True)
class Pieces:
    """Arrays with an entry for each row, by the partition that the rows are in."""

    found: dict[int, Array]

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(self.found | other.found)

    def joined(self) -> Array:
        """One array of all rows."""
        return np.concatenate([self.found[index] for index in sorted(self.found)])


@dataclass(frozen=True)
class Predict:
    """The job that predicts."""

    line: Line

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Pieces:
        return Pieces({index: self.line(np.asarray(X))})


@dataclass(frozen=True)
class Squares:
    """Sums of squares of residuals, and of targets about their mean."""

    total: float
    mean: float
    about_mean: float
    residual: Array  # (k,), of each quantile

    def __add__(self, other: Squares) -> Squares:
        if not self.total or not other.total:
            return self if self.total else other
        total, apart = self.total + other.total, other.mean - self.mean
        return Squares(
            total,
            self.mean + apart * (other.total / total),
            self.about_mean + other.about_mean + apart**2 * (self.total / total * other.total),
            self.residual + other.residual,
        )

    def r_squared(self) -> float:
        """The mean of ``1 - residual / about_mean``, which of two zeros is 1.

        As scikit-learn's r2_score, of targets that are all alike it is 0.
        """
        if self.about_mean == 0.0:
            return float(np.mean(self.residual == 0.0))
        return float(np.mean(1.0 - self.residual / self.about_mean))


@dataclass(frozen=True)
class SumSquares:
    """The job that sums them."""

    line: Line

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Squares:
        y = np.asarray(y, dtype=np.float64)
        w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        residual = y[:, None] - self.line(np.asarray(X)).reshape(len(y), -1)
        total = float(w.sum())
        mean = float(w @ y) / total if total else 0.0
        return Squares(total, mean, float(w @ (y - mean) ** 2), w @ residual**2)

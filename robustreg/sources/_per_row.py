"""What is made of every row of a source, and R squared, which is made of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import Array
from robustreg._namespace import concat, doubles, is_foreign, namespace_of
from robustreg.sources._spread import Spread
from robustreg.sources._surveyed import FindNotFinite, checked


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
        """Predictions of shape (m,) or (m, k); of rows on a device there, by one target's model."""
        if is_foreign(X):
            own = namespace_of(X).astype(X, self.coef.dtype, copy=False)
            return own @ self.coef + float(self.intercept)
        predicted: Array = safe_sparse_dot(X, self.coef.T) + self.intercept
        if self.ascending is None:
            return predicted
        in_order = np.empty_like(predicted)
        in_order[:, self.ascending] = np.sort(predicted, axis=1)
        return in_order


@dataclass(frozen=True)
class Pieces:
    """Arrays with an entry for each row, by the partition that the rows are in."""

    found: dict[int, Any]

    def __add__(self, other: Pieces) -> Pieces:
        return Pieces(self.found | other.found)

    def joined(self) -> Any:
        """One array of all rows."""
        return concat([self.found[index] for index in sorted(self.found)])


@dataclass(frozen=True)
class Predict:
    """The job that predicts."""

    line: Line
    on_device: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Pieces:
        return Pieces({index: self.line(X if is_foreign(X) else np.asarray(X))})


@dataclass(frozen=True)
class Judge:
    """The job that says something of every row and its target.

    Attributes
    ----------
    of_rows : callable
        Gives it of X and y, shape (m,) or (m, k).
    """

    of_rows: Callable[[Any, Array], Array]

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Pieces:
        return Pieces({index: self.of_rows(X, y)})


@dataclass(frozen=True)
class Counts:
    """The job that says which rows have a positive weight."""

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Pieces:
        return Pieces({index: np.ones(len(y), bool) if weight is None else np.asarray(weight) > 0})


@dataclass(frozen=True)
class JudgeUnseen:
    """The same of rows that nobody has looked at yet."""

    of_rows: Callable[[Any, Array], Array]
    n_columns: int
    names: Sequence[str] | None
    on_device: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Pieces:
        if not is_foreign(X):
            X, y, _ = checked(X, y, None, self.n_columns, index)
        found = FindNotFinite()(X, y, None, index)
        if found.where is not None:
            raise ValueError(found.told(self.names))
        return Pieces({index: self.of_rows(X, y)})


@dataclass(frozen=True)
class Squares:
    """Sums of squares of residuals, and of targets about their mean."""

    targets: Spread
    residual: Any  # a float, or of several quantiles (k,)

    def __add__(self, other: Squares) -> Squares:
        return Squares(self.targets + other.targets, self.residual + other.residual)

    def r_squared(self) -> float:
        """The mean of ``1 - residual / square``, which of two zeros is 1.

        As scikit-learn's r2_score, of targets that are all alike it is 0.
        """
        if self.targets.square == 0.0:
            return float(np.mean(self.residual == 0.0))
        return float(np.mean(1.0 - self.residual / self.targets.square))


@dataclass(frozen=True)
class SumSquares:
    """The job that sums them."""

    line: Line
    on_device: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Squares:
        if is_foreign(X):
            own = namespace_of(y).ones_like(y) if weight is None else weight
            off = y - doubles(self.line(X))
            return Squares(Spread.of(y, own), float(own @ (off * off)))
        y = np.asarray(y, dtype=np.float64)
        w = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
        residual = y - self.line(np.asarray(X)).T
        return Squares(Spread.of(y, w), residual**2 @ w)

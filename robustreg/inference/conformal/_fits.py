"""Fits without some rows, and how far these are from what the fits predict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from robustreg._arrays import SUMMED, Array, Index, Mask
from robustreg._compat import method_params
from robustreg._median import mad
from robustreg._validation import check_finite
from robustreg.estimators._judgement import OUTLIER_CUTOFF
from robustreg.inference.conformal._folds import Pair


@dataclass(frozen=True)
class Rows:
    """Rows, and what is fitted to some of them.

    Attributes
    ----------
    X : array-like or sparse matrix
        The user's, of any kind that can be indexed.
    y : ndarray of shape (n,)
        Targets, finite.
    weight : ndarray of shape (n,) or None
        How many rows each counts for; None: one.
    model : regressor
        Cloned for every fit.
    params : dict
        What its ``fit`` takes besides; entries for every row are cut as X is.
    """

    X: Any
    y: Array
    weight: Array | None
    model: Any
    params: dict[str, Any]

    def fit(self, rows: Index) -> Any:
        """A fit to some rows."""
        model = clone(self.model)
        if len(rows) == len(self.y):
            return model.fit(self.X, self.y, **self.params)
        params = method_params(self.X, self.params, rows)
        return model.fit(some_of(self.X, rows), self.y[rows], **params)


@dataclass(frozen=True)
class HeldOutFits:
    """Fits, and the scores of the rows that they have not seen.

    Attributes
    ----------
    models : list of regressors
        The fits.
    number : ndarray of int, shape (n,)
        Which of them has not seen a row.
    held_out : ndarray of bool, shape (n,)
        Whether there is one.
    scores : ndarray of shape (n,)
        How far targets are outside of what it predicts; NaN where there is none.
    quantiles : bool
        Whether fits predict several columns.
    """

    models: list[Any]
    number: Index
    held_out: Mask
    scores: Array
    quantiles: bool

    def beyond(self, y: Array, weight: Array | None) -> Mask:
        """Rows whose scores are beyond 2.5 scales, and not by rounding only.

        The scale is the MAD of all scores about 0. That of a fit itself tells nothing of what its
        coefficients are off by, and with few rows it is small: with 5 coefficients of 30 rows 7 %
        of Gaussian rows are beyond 2.5 of them, and 1.8 % beyond 2.5 of these.
        """
        scores = self.scores[self.held_out]
        scale = mad(scores, None if weight is None else weight[self.held_out], center=0.0)
        beyond = np.zeros(len(y), dtype=bool)
        exact = SUMMED * float(np.abs(y).max())
        beyond[self.held_out] = scores > max(OUTLIER_CUTOFF * scale, exact)
        return beyond


def held_out_fits(rows: Rows, folds: Iterable[Pair]) -> HeldOutFits:
    """Fit the training rows of every fold, and score the others."""
    n = len(rows.y)
    number, held_out = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=bool)
    scores, models, quantiles = np.full(n, np.nan), list[Any](), False
    for train, test in folds:
        model = rows.fit(train)
        lower, upper = ends_of(model, some_of(rows.X, test))
        scores[test] = np.maximum(lower - rows.y[test], rows.y[test] - upper)
        quantiles = quantiles or lower is not upper
        number[test], held_out[test] = len(models), True
        models.append(model)
    return HeldOutFits(models, number, held_out, scores, quantiles)


def some_of(X: Any, rows: Index | slice) -> Any:
    """Some rows of an array, a list, a frame or a sparse matrix."""
    return method_params(X, {"X": X}, rows)["X"]


def ends_of(model: Any, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least and the largest prediction for each row; the same array twice if there is one."""
    predicted = columns_of(model.predict(X))
    check_finite(predicted, "prediction", type(model).__name__)
    if predicted.shape[1] == 1:
        one = predicted[:, 0]
        return one, one
    return predicted.min(axis=1), predicted.max(axis=1)


def columns_of(prediction: Any) -> NDArray[np.float64]:
    """Predictions in one or several columns."""
    array = np.asarray(prediction, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(
            "estimator must predict one number for each row, or one column for each quantile; got "
            f"predictions of shape {np.shape(prediction)}."
        )
    return array

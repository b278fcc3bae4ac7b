"""The held-out rows of a fold, on which fits to the others are scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import Array, Index, in_precision
from robustreg._compat import metric_by_column
from robustreg.estimators._base import LinearRegressor


@dataclass(frozen=True)
class Table:
    """Validated data, with the threads a fold may use and what routing gives the scorer."""

    X: Any
    y: Array
    weight: Array | None
    dtype: np.dtype
    n_threads: int
    score: dict[str, Any]


class HeldOut:
    """The held-out rows of a fold, and their scores for fits to the others."""

    def __init__(
        self, kind: Any, scorer: Any, params: dict[str, Any], table: Table, test: Index
    ) -> None:
        self.scorer, self.params, self.dtype = scorer, params, table.dtype
        self.X, self.y, self.validated = table.X[test], table.y[test], False

        class Candidate(kind):
            """The model; predictions of the held-out rows have been computed already."""

            held_out: Any = None  # as of clones, which a scorer may fit anew
            judged: Any = None

            def predict(self, X: ArrayLike) -> NDArray[np.floating]:
                known = X is self.held_out and self.coef_ is self.judged
                return self.prediction if known else super().predict(X)

        self.Candidate = Candidate
        self.by_column = metric_by_column(scorer, params)

    def scores(self, models: Iterable[LinearRegressor], coefs: Array, intercepts: Array) -> Any:
        """Scores of several fits, predicted together and, where that is possible, judged so.

        Their coefficients and intercepts are in the user's units.
        """
        coefs, intercepts = in_precision(self.dtype, coefs, intercepts)
        # a column after the other: sums over one lose the least digits
        with np.errstate(over="ignore", invalid="ignore"):  # a score of infinity is no error
            predictions = np.asfortranarray(safe_sparse_dot(self.X, coefs.T) + intercepts)
            scores = self._scores_by_column(predictions)
        if scores is not None:
            return scores
        columns = zip(models, coefs, intercepts, predictions.T, strict=True)
        return [self._score(*column) for column in columns]

    def _scores_by_column(self, predictions: Array) -> Any:
        """Scores of all columns of predictions by one call; None where the metric has none."""
        if self.by_column is None:
            return None
        targets = np.broadcast_to(self.y, predictions.shape[::-1]).copy().T
        with config_context(skip_parameter_validation=self.validated or None):
            scores = self.by_column(targets, predictions)
        self.validated = True
        return scores if np.shape(scores) == predictions.shape[1:] else None

    def _score(
        self, model: LinearRegressor, coef: Array, intercept: Any, prediction: Array
    ) -> float:
        candidate = self.Candidate.__new__(self.Candidate)
        candidate.__dict__.update(vars(model), coef_=coef, intercept_=intercept)
        candidate.n_features_in_ = self.X.shape[1]
        candidate.held_out, candidate.judged, candidate.prediction = self.X, coef, prediction
        # the scorer's parameters have been checked with the first candidate
        with config_context(skip_parameter_validation=self.validated or None):
            score = float(self.scorer(candidate, self.X, self.y, **self.params))
        self.validated = True
        return score

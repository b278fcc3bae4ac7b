"""Searches and paths over rows that are not in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import Array
from robustreg._compat import MeanOfRows, is_r2, mean_of_rows
from robustreg._namespace import is_on_device
from robustreg.estimators._base import LinearRegressor
from robustreg.estimators._from_source import OF_ROWS, Passes, with_survey
from robustreg.model_selection._sequence import Sequence
from robustreg.sources import RowSource
from robustreg.sources._dispatch import source_of
from robustreg.sources._folds import SomeRows
from robustreg.sources._per_row import Judge
from robustreg.sources._spread import Spread
from robustreg.sources._surveyed import (
    NotInMemoryError,
    SurveyedSource,
    checked,
    not_here,
    survey,
)

#: Scores of fits on the held-out rows of a fold, from their coefficients and intercepts.
ScoresInPasses = Callable[["FoldOfSource", Array, Array], Array]


class FoldOfSource(NamedTuple):
    """One way to leave rows of a source out."""

    number: int
    train: SomeRows  # rows that are fitted
    test: SomeRows  # rows that scores are taken on

    def training_rows(self) -> SurveyedSource:
        """The rows that are fitted, with what a first pass finds out of them."""
        try:
            return survey(self.train, 1)
        except ValueError as error:
            error.add_note(f"These are the training rows of fold {self.number}.")
            raise


def source_elsewhere(X: Any, y: Any, sample_weight: Any) -> RowSource | None:
    """The source of rows that are not in memory; None of arrays, of which not all kinds are taken.

    (Those on a device are refused where arrays are read.)
    """
    return None if is_on_device(X) else source_of(X, y, sample_weight)


class SearchInPasses:
    """A search over rows that are not in memory: as that of arrays, fold after fold.

    Parameters
    ----------
    search : GridSearch
        The search, whose attributes are set.
    source : Passes
        The rows.
    params : dict
        What ``fit`` was given for splitter and scorer.
    """

    def __init__(self, search: Any, source: Passes, params: dict[str, Any]) -> None:
        self.search, self.source, self.params = search, source, params
        self.grid: list[dict[str, Any]] = search._rows()

    def run(self) -> None:
        """Search the grid, and fit all rows with the best cell."""
        search, source = self.search, self.source
        with_survey(source, self._over)
        for name in {*OF_ROWS, "feature_names_in_"}:  # of an earlier fit
            search.__dict__.pop(name, None)
        if source.names is not None:
            search.feature_names_in_ = np.asarray(source.names, dtype=object)
        search.n_features_in_, search.n_passes_ = source.n_columns, source.count

    def _over(self, rows: SurveyedSource) -> None:
        search = self.search
        least, largest = rows.found.weights[1:]
        weighted = least < largest or rows.n < rows.n_given
        split, score = search._route(np.ones(1) if weighted else None, self.params)
        scores_of = scores_in_passes(search.scoring, search._scorer(), score)
        alphas, guide, done = search._alphas(self.grid, lambda: rows), None, []
        for fold in self._folds(rows, split):
            done.append(self._fold(fold, alphas, guide, scores_of))
            guide = done[0][2] if search._takes_guide() else None
        scores, failed, _ = zip(*done, strict=True)

        def fit(model: LinearRegressor) -> bool:
            found, unfinished = model._from_rows(rows)
            model.__dict__.update(found)
            if not model.scale_ > 0.0:  # how many rows are on the fit is not looked at
                raise not_here()
            for one, of in unfinished:
                model._warn(one, model.solver_, of)
            return False

        search._choose(scores, sum(failed), self.grid, alphas, fit)
        search._n_given = rows.n_given

    def _folds(self, rows: SurveyedSource, split: dict[str, Any]) -> Iterator[FoldOfSource]:
        """The folds; splitters that are objects are shown all targets."""
        n, y, lengths = rows.n_given, None, rows.found.lengths
        if hasattr(self.search.cv, "split"):
            y = self.source.total(Judge(_targets)).joined()
        pairs = self.search._pairs(np.broadcast_to(0.0, (n, 1)), y, n, split)
        for number, (train, test) in enumerate(pairs):
            both = (SomeRows.of(self.source, lengths, index) for index in (train, test))
            yield FoldOfSource(number, *both)

    def _fold(
        self,
        fold: FoldOfSource,
        alphas: Array,
        guide: list[Array] | None,
        scores_of: ScoresInPasses,
    ) -> tuple[Array, int, list[Array]]:
        """Scores of all cells, how many fits did not converge, and where they are."""
        search, grid = self.search, self.grid
        model = search._model(grid[0], float(alphas[0]))
        problem, solver = model._prepare(fold.training_rows())
        sequence, failed = Sequence(solver, search.max_iter, search.tol, guide), 0
        for row in grid:
            fits = sequence.together(search._row_problem(problem, row), alphas)
            failed += sum(not fit.converged for fit in fits)
        cells = np.concatenate(sequence.trail)
        flat = scores_of(fold, cells[:, :-2], cells[:, -2])
        scores = flat.reshape(len(grid), len(alphas))
        for row, own in zip(grid, scores, strict=True):
            search._announce(fold.number, row, alphas, own)
        return scores, failed, sequence.trail


def _targets(X: Any, y: Array) -> Array:
    return np.asarray(y, dtype=np.float64)


def scores_in_passes(scoring: Any, scorer: Any, params: dict[str, Any]) -> ScoresInPasses:
    """What scores held-out rows by sums over them.

    Raises
    ------
    NotInMemoryError
        If the scorer needs predictions of all of them at once.
    """
    mean = mean_of_rows(scorer)
    if (mean is None and not is_r2(scorer)) or set(params) - {"sample_weight"}:
        raise NotInMemoryError(
            f"scoring={scoring!r} needs the predictions of all held-out rows at once. Of rows that "
            "are not in memory there are means over rows (absolute, squared, pinball and "
            "percentage errors, the losses of robustreg.metrics), their roots, and R squared."
        )
    weighted = "sample_weight" in params

    def scores(fold: FoldOfSource, coefs: Array, intercepts: Array) -> Array:
        found: _Means = fold.test.total(_Scores(coefs, intercepts, mean, weighted))
        if not found.spread.weight > 0.0:
            raise ValueError(f"sample_weight is zero on all held-out rows of fold {fold.number}.")
        return found.scores(mean)

    return scores


@dataclass(frozen=True)
class _Means:
    """Sums of errors of several fits over rows, and the spread of the targets."""

    sums: Array  # (k,)
    spread: Spread

    def __add__(self, other: _Means) -> _Means:
        return _Means(self.sums + other.sums, self.spread + other.spread)

    def scores(self, mean: MeanOfRows | None) -> Array:
        """Scores, R squared where they are of no mean."""
        if mean is not None:
            return mean.score(self.sums / self.spread.weight)
        if self.spread.square > 0.0:
            return 1.0 - self.sums / self.spread.square
        return (self.sums == 0.0).astype(np.float64)  # as scikit-learn has it


@dataclass(frozen=True)
class _Scores:
    """The job that sums them."""

    coefs: Array  # (k, p)
    intercepts: Array  # (k,)
    mean: MeanOfRows | None  # None: squares
    weighted: bool

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> _Means:
        given = weight if self.weighted else None
        X, y, w = checked(X, y, given, self.coefs.shape[1], index)
        w = np.ones(len(y)) if w is None else w
        spread = Spread.of(y, w)
        if not len(y):
            return _Means(np.zeros(len(self.coefs)), spread)
        predicted = X @ self.coefs.T + self.intercepts
        if self.mean is None:
            return _Means(w @ np.square(y[:, None] - predicted), spread)
        wanted = np.broadcast_to(y[:, None], predicted.shape)
        sums = spread.weight * self.mean.metric(wanted, predicted, sample_weight=w)
        return _Means(np.asarray(sums, dtype=np.float64), spread)

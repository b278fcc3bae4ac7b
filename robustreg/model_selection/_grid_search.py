"""Cross-validation over a grid of losses and penalties, shared by the CV estimators."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring, get_scorer, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from robustreg._arrays import Array, Index
from robustreg._compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    Tasks,
    fit_context,
    method_params,
    takes_sample_weight,
)
from robustreg._parallel import one_blas_thread
from robustreg._validation import check_finite
from robustreg.estimators._base import LinearRegressor, levels_to_the_user, rows_that_count
from robustreg.estimators._from_source import Passes
from robustreg.estimators._predictor import LinearPredictor
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem
from robustreg.model_selection._grid import alpha_grid, check_grid, check_length
from robustreg.model_selection._held_out import HeldOut, Table
from robustreg.model_selection._in_passes import SearchInPasses, source_elsewhere
from robustreg.model_selection._sequence import Sequence
from robustreg.solvers.strength import alpha_for_any_target, alpha_max
from robustreg.sources import RowSource
from robustreg.sources._surveyed import SurveyedSource


class Fold(NamedTuple):
    """One way to leave rows out."""

    number: int
    train: Index  # rows that are fitted
    test: Index  # rows that scores are taken on


class _NoPairError(Exception):
    """What a splitter gives is no pair of training and held-out rows."""


class GridSearch(CallbackSupportMixin, LinearPredictor):
    """Base of the CV estimators; concrete ones say which models there are.

    A row of the grid is a loss, along which alpha falls. Within a fold each fit starts from
    its neighbour and shares coordinates, moments and Gram matrices with all others.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **LinearPredictor._parameter_constraints,
        "alphas": ["array-like", Interval(Integral, 1, None, closed="left")],
        "eps": [Interval(Real, 0.0, 1.0, closed="neither")],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _model(self, row: dict[str, Any], alpha: float) -> LinearRegressor:
        """The estimator of a cell of the grid."""

    def _chosen_model(self) -> LinearRegressor:
        """The estimator of the best cell, not fitted."""
        return self._model({}, self.alpha_)

    def _shared(self) -> dict[str, Any]:
        """Parameters that all these estimators take."""
        names = ("l1_ratio", "positive", "fit_intercept", "solver", "max_iter", "tol")
        return {name: getattr(self, name) for name in names}

    def _rows(self) -> list[dict[str, Any]]:
        """The parameters that tell the rows of the grid apart."""
        return [{}]

    def _row_problem(self, problem: Problem, row: dict[str, Any]) -> Problem:
        """The problem of the first row, with the loss of another."""
        return problem

    def _takes_guide(self) -> bool:
        """Whether fits to the first fold help to fit the others, so that they wait for it."""
        return False

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> Self:
        """Search the grid by cross-validation, then fit all rows with the best cell.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, in memory or not: see :mod:`robustreg.sources`. Of rows that are not in
            memory folds are fitted one after the other, and scores are means over rows, their
            roots, or R squared.
        y : array-like of shape (n_samples,)
            Targets; None beside a RowSource, which has its own.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, for the fits and for the scores of the folds, except where
            the scorer takes none. With metadata routing, a scorer that is an object is given
            them if it requests them, one given by its name if the fit is.
        **params : dict
            ``groups`` for the splitter; with ``sklearn.set_config(
            enable_metadata_routing=True)`` what splitter and scorer ask for.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not what it must be. The estimator is
            then as it was.
        """
        with self._unchanged_on_error():
            self._check_parameters()
            source = source_elsewhere(X, y, sample_weight)
            for earlier in ("n_passes_", "_n_given"):  # of another fit
                self.__dict__.pop(earlier, None)
            if source is None:
                work = partial(self._search, self._rows(), params)
                self._with_data(X, y, sample_weight, work)
            else:
                tasks = Tasks(self, None, X, y)
                SearchInPasses(self, Passes(source, tasks, None), params).run()
                tasks.end()
        return self

    def _route(
        self, weight: Array | None, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What goes to the splitter and to the scorer."""
        weights = {} if weight is None else {"sample_weight": weight}
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", **weights, **params)
            return routed.splitter.split, routed.scorer.score
        unknown = sorted(set(params) - {"groups"})
        if unknown:
            raise ValueError(
                f"fit() takes no {unknown[0]!r}: without metadata routing only sample_weight "
                "and groups; see sklearn.set_config(enable_metadata_routing=True)."
            )
        return params, weights if takes_sample_weight(self._scorer()) else {}

    def get_metadata_routing(self) -> MetadataRouter:
        """Which metadata goes where, for scikit-learn's metadata routing.

        Returns
        -------
        MetadataRouter
            ``sample_weight`` of the fits, the splitter's and the scorer's requests.
        """
        to_split = MethodMapping().add(caller="fit", callee="split")
        to_score = MethodMapping().add(caller="fit", callee="score")
        router = MetadataRouter(owner=self).add_self_request(self)
        router.add(splitter=self.cv, method_mapping=to_split)
        return router.add(scorer=self._scorer(), method_mapping=to_score)

    def _scorer(self) -> Any:
        """What scores held-out rows; one that is only named takes the weights of the fits."""
        if callable(self.scoring):
            return check_scoring(self, scoring=self.scoring)
        scorer = self._named_scorer("r2" if self.scoring is None else self.scoring)
        if get_config()["enable_metadata_routing"] and takes_sample_weight(scorer):
            asked = super().get_metadata_routing().fit.requests.get("sample_weight")
            scorer.set_score_request(sample_weight=True if asked is None else asked)
        return scorer

    def _named_scorer(self, name: str) -> Any:
        return get_scorer(name)

    def _search(
        self,
        rows: list[dict[str, Any]],
        params: dict[str, Any],
        X: Any,
        y: Array,
        weight: Array | None,
        dtype: np.dtype,
        n_threads: int,
    ) -> None:
        # a fit finds out by itself, but a scorer might be the first to meet a missing value
        check_finite(X, "X", type(self).__name__)
        split, score = self._route(weight, params)
        folds = [Fold(k, *pair) for k, pair in enumerate(self._pairs(X, y, len(y), split))]
        alphas = self._alphas(rows, lambda: rows_that_count(X, y, weight, n_threads)[0])
        tasks = Tasks(self, len(folds) * len(rows), X, y)
        shared = n_threads if self.n_jobs in (None, 1) else 1  # folds at once have one each
        table = Table(X, y, weight, dtype, shared, score)
        # entered in every thread: some builds of BLAS keep their limits by thread
        one_by_one = one_blas_thread()(self._fold)
        fold = partial(one_by_one, table, rows, alphas, tasks)
        done, guide = [], None
        if self._takes_guide():
            done = [fold(None, folds[0])]
            guide = done[0][2]
        run, later = Parallel(n_jobs=self.n_jobs, require="sharedmem"), delayed(fold)
        done += run(later(guide, each) for each in folds[len(done) :])
        scores, failed, _ = zip(*done, strict=True)

        def fit(model: LinearRegressor) -> bool:
            model._fit(X, y, weight, dtype, n_threads)
            return model._has_collapsed(weight)

        self._choose(scores, sum(failed), rows, alphas, fit)
        tasks.end()

    def _choose(
        self,
        scores: Iterable[Array],
        failed: int,
        rows: list[dict[str, Any]],
        alphas: Array,
        fit: Callable[[LinearRegressor], bool],
    ) -> None:
        """Fit all rows with the best cell, and keep what was found."""
        path = np.stack([*scores], axis=-1)
        self._report(failed, path.size)
        means = path.mean(axis=-1)
        if not np.isfinite(means).any():
            raise ValueError(f"scoring={self.scoring!r} gave no finite score for any candidate.")
        best, model = self._best_fit(means, rows, alphas, fit)
        fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
        self.__dict__.update(fitted, alphas_=alphas, alpha_=float(alphas[best[1]]))
        self.best_score_ = float(means[best])
        self._store(path, rows, best[0])

    def _best_fit(
        self,
        means: Array,
        rows: list[dict[str, Any]],
        alphas: Array,
        fit: Callable[[LinearRegressor], bool],
    ) -> tuple[tuple[int, int], LinearRegressor]:
        """The cell with the best mean score, and its model fitted to all rows.

        Where that is out of order, the best one of the later rows of the grid that is not.
        """
        first, left = None, means.copy()
        while np.isfinite(left).any():
            best = divmod(_best(left), left.shape[1])
            model = self._model(rows[best[0]], float(alphas[best[1]]))
            if not fit(model):
                return best, model
            first = first or (best, model)
            left[: best[0] + 1] = np.nan
        assert first is not None  # means had a finite score
        return first

    def _pairs(
        self, X: Any, y: Array | None, n: int, split: dict[str, Any]
    ) -> Iterator[tuple[Index, Index]]:
        """The numbers of the training and of the held-out rows of each fold."""
        wrong = ValueError(
            "cv must give one or more folds, each with training and held-out rows, as indices or "
            f"masks of the {n} rows; got {self.cv!r}."
        )
        splits = self.cv is None or isinstance(self.cv, Integral) or hasattr(self.cv, "split")
        count = 0
        try:
            for train, test in check_cv(self.cv).split(X, y, **split):
                pair = row_numbers(train, n), row_numbers(test, n)
                if not (len(pair[0]) and len(pair[1])):
                    raise _NoPairError
                count += 1
                yield pair
        except _NoPairError:
            raise wrong from None
        except (TypeError, ValueError) as error:
            if splits:  # what a splitter says of itself comes first
                raise
            raise wrong from error  # no pairs
        if not count:
            raise wrong

    def _store(self, path: Array, rows: list[dict[str, Any]], best: Any) -> None:
        """Keep the scores, of shape (rows, alphas, folds), and which row is the best."""
        self.scores_path_ = path[0]

    def _alphas(
        self,
        rows: list[dict[str, Any]],
        data: Callable[[], Data | SurveyedSource],
    ) -> NDArray[np.float64]:
        """The grid of alpha, descending."""
        if not isinstance(self.alphas, Integral):
            return check_grid("alphas", self.alphas, zero=True)[::-1]
        largest = np.nan
        if self.l1_ratio:
            problem, _ = self._model(rows[0], 1.0)._prepare(data())
            problems = [self._row_problem(problem, row) for row in rows]
            largest = max(map(alpha_max, problems)) or max(map(alpha_for_any_target, problems))
        return alpha_grid(largest, check_length("alphas", self.alphas), self.eps)

    def _fold(
        self,
        table: Table,
        rows: list[dict[str, Any]],
        alphas: Array,
        tasks: Tasks,
        guide: list[Array] | None,
        fold: Fold,
    ) -> tuple[Array, int, list[Array]]:
        """Scores of all cells on one fold, how many fits did not converge, and where they are."""
        number, train, test = fold
        weight = None if table.weight is None else table.weight[train]
        params = method_params(table.X, table.score, test)
        for part, name in ((weight, "training"), (params.get("sample_weight"), "held-out")):
            if part is not None and not np.any(part):
                raise ValueError(f"sample_weight is zero on all {name} rows of fold {number}.")
        model = self._model(rows[0], float(alphas[0]))
        data, _ = rows_that_count(table.X[train], table.y[train], weight, table.n_threads)
        problem, solver = model._prepare(data)
        sequence = Sequence(solver, self.max_iter, self.tol, guide)
        scores, failed = np.empty((len(rows), len(alphas))), 0
        held_out = HeldOut(type(model), self._scorer(), params, table, test)
        for i, row in enumerate(rows):
            own = self._row_problem(problem, row)
            fits = sequence.together(own, alphas)
            failed += sum(not fit.converged for fit in fits)
            models = (self._model(row, float(alpha)) for alpha in alphas)  # for some scorers
            found = sequence.trail[-1]
            scores[i] = held_out.scores(models, found[:, :-2], found[:, -2])
            self._announce(number, row, alphas, scores[i])
            tasks.done(f"fold {number}, " + _describe(row))
        return scores, failed, sequence.trail

    def _announce(self, number: int, row: dict[str, Any], alphas: Array, scores: Array) -> None:
        if self.verbose:
            best = _best(scores)
            print(  # noqa: T201 - asked for
                f"[{type(self).__name__}] fold {number}, {_describe(row)}{len(alphas)} alphas: "
                f"best score {scores[best]:.4g} at alpha={alphas[best]:.4g}",
                flush=True,
            )

    def _report(self, failed: int, count: int) -> None:
        if failed:
            warnings.warn(
                f"{failed} of {count} fits of the search did not converge with "
                f"max_iter={self.max_iter}: their scores may be wrong.",
                ConvergenceWarning,
                stacklevel=levels_to_the_user(),
            )


def row_numbers(rows: Any, n: int) -> Index:
    """Some of n rows, given as indices or as a mask, as indices; none if they are neither."""
    try:
        array = np.asarray(rows)
    except ValueError:  # of different lengths
        return np.zeros(0, dtype=np.intp)
    if array.dtype == bool and array.shape == (n,):
        return np.flatnonzero(array)
    inside = array.ndim == 1 and array.dtype.kind in "iu" and np.all((array >= -n) & (array < n))
    return array.astype(np.intp) if inside else np.zeros(0, dtype=np.intp)


def _best(scores: Array) -> int:
    """Index of the first of the largest finite scores, of an array laid flat."""
    return int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))


def _describe(row: dict[str, Any]) -> str:
    return "".join(f"{name}={value:.4g}, " for name, value in row.items())

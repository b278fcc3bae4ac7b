"""The rows that a model was fitted to, in coordinates in which its columns are orthonormal.

Whatever inference sums over rows is summed in these: of nearly collinear columns, and of columns in
very different units, no inverse of ``X'X`` could tell enough.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg._cached import cached_property
from robustreg.estimators._base import rows_that_count
from robustreg.estimators._from_source import with_survey
from robustreg.estimators._predictor import LinearEstimator
from robustreg.evaluation.choice import MAX_WHITENED, white
from robustreg.evaluation.coordinates import Coordinates
from robustreg.evaluation.limits import out_of_range
from robustreg.evaluation.order_statistics import Held, Value
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Point, Residual
from robustreg.evaluation.survey import read_rows
from robustreg.inference._noise import Noise, SumNoise
from robustreg.losses import ConvexLoss, HalfSquared
from robustreg.penalties import ElasticNet
from robustreg.sources._dispatch import source_of
from robustreg.sources._per_row import Counts
from robustreg.sources._surveyed import SurveyedSource

ENTRIES = 2**19  # of a block of rows: as many numbers of rows, or of groups, are held at a time


@dataclass(frozen=True)
class FittedRows:
    """Rows in coordinates, and where in these a fit is.

    Attributes
    ----------
    coordinates : Coordinates
        Coordinates u of the coefficients; with the intercept at the columns' means they are K.
    point : Point
        The fit: coefficients in the units of the blocks, intercept at their centre, and the scale
        that the loss was given.
    loss : ConvexLoss
        What was minimised.
    joint : bool
        Whether the scale was estimated jointly.
    y_unit : float
        Residuals are in this unit of y.
    weight_unit : float
        Weights are in this unit: the largest sample weight.
    total : float
        Sum of the sample weights.
    exact : float
        Residuals up to this size, in units of `y_unit`, are those of an exact fit.
    kept : ndarray of int or None
        Which rows of the user's have a positive weight; None: all, or rows are not in memory, of
        which nobody knows.
    n_given : int
        How many rows the user gave.
    """

    coordinates: Coordinates
    point: Point
    loss: ConvexLoss
    joint: bool
    y_unit: float
    weight_unit: float
    total: float
    exact: float
    kept: NDArray[np.intp] | None
    n_given: int

    @property
    def rows(self) -> RowBlocks:
        """The rows, read in blocks."""
        return self.coordinates.rows

    @property
    def in_memory(self) -> bool:
        """Whether they are at hand all at once, or in passes alone."""
        return self.rows.source.in_memory

    @property
    def data(self) -> Data | SurveyedSource:
        """What a fit takes of them: of few that are elsewhere what the survey has brought, all."""
        source = self.rows.source
        if isinstance(source, SurveyedSource):
            if source.sample.n < source.n:
                return source
            source = source.sample
        return Data.of(source)

    @property
    def knows_all(self) -> bool:
        """Whether it is known which rows of the user's have no weight."""
        return self.kept is not None or self.n_given == self.rows.n

    def rows_that_count(self) -> NDArray[np.intp] | None:
        """Which rows of the user's have a positive weight, found by a pass if nobody knows."""
        if self.knows_all:
            return self.kept
        source = self.rows.source
        assert isinstance(source, SurveyedSource)
        return np.flatnonzero(source.source.total(Counts()).joined())

    @property
    def has_intercept(self) -> bool:
        """Whether there is an intercept, whose coordinate is the last."""
        return self.rows.fit_intercept

    @property
    def size(self) -> int:
        """K, coordinates with the intercept's; the rank of the regressors."""
        return self.coordinates.k + int(self.has_intercept)

    @property
    def center(self) -> Array:
        """Where the columns of X are in the centre of the coordinates, shape (p,)."""
        return self.rows.base + self.rows.unit * self.rows.offset

    @property
    def basis(self) -> Array:
        """``d coef / d u`` for the columns of X, shape (p, k)."""
        return self.coordinates.basis / self.rows.unit[:, None]

    @property
    def scale(self) -> float:
        """The scale in units of y: what turns steps of the estimating equations into these."""
        return self.point.sigma * self.y_unit

    @property
    def zero_size(self) -> float:
        """Up to what size residuals are 0, in units of `y_unit`: 1e-9 of the spread of y."""
        return self.rows.observed.targets.units.exact

    @cached_property
    def residual(self) -> Value:
        """The residuals of the fit in units of `y_unit`, of the rows of a block.

        They are computed once where all of them take no more room than a block of rows.
        """
        short = self.in_memory and self.rows.n <= ENTRIES
        return Held(self.residuals) if short else self._residual

    @property
    def _residual(self) -> Residual:
        return Residual(self.point.beta, self.point.intercept, False)

    @cached_property
    def noise(self) -> Noise:
        """What the residuals of the fit add up to: one pass over the rows."""
        found: Noise = self.rows.sum(SumNoise(self.loss, self.residual, self.zero_size))
        return found

    @cached_property
    def residuals(self) -> Array:
        """Those of all rows, shape (n,): for what is refitted or ranked."""
        found: Array = self.rows.collect(self._residual)
        found.flags.writeable = False
        return found

    @cached_property
    def counts(self) -> Array:
        """How many rows each row counts for, shape (n,)."""
        own = self.rows.weight
        found = np.ones(self.rows.n) if own is None else own * self.weight_unit
        found.flags.writeable = False
        return found

    @property
    def every(self) -> Array:
        """``sum w x x'`` of all rows in the K coordinates."""
        own = self.coordinates
        if own.by_rows or own.moments is None:
            return self.rows.total * np.eye(self.size)
        return self.lead(own.moments.gram)

    def lead(self, gram: Array) -> Array:
        """A Gram matrix as it is summed over rows, in the K coordinates."""
        return self.coordinates.of_gram(gram)[: self.size, : self.size]

    def lead_of(self, slope: Array) -> Array:
        """``sum v [a, 1]`` of the columns of blocks, in the K coordinates."""
        return np.append(self.coordinates.reduce(slope[:-1]), slope[-1])[: self.size]

    def design(self, X: Array) -> Array:
        """Rows of X, dense, as ``[q, 1]`` in the K coordinates."""
        q = (X - self.center) @ self.basis
        return np.hstack([q, np.ones((len(q), 1))]) if self.has_intercept else q


def with_rows_of(
    model: LinearEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    work: Callable[[FittedRows], Any],
    whitened: bool = True,
) -> Any:
    """What is done with the rows that a model was fitted to.

    They are in coordinates in which they are white, or else as they are read: fits that reject rows
    have coordinates of their own, of the good ones.

    Raises
    ------
    ValueError
        If X, y or sample_weight are not what `fit` takes, or X has other columns.
    """
    source = source_of(X, y, sample_weight)
    if source is not None:
        _check_columns(model, source.n_columns, source.names)
        return with_survey(
            source, lambda rows: work(_fitted_rows(model, rows, None, rows.n_given, whitened))
        )
    reader = copy.copy(model)  # which is told the columns of X, as in a fit

    def of_data(X: Any, y: Array, weight: Array | None, _: np.dtype, n_threads: int) -> Any:
        names = getattr(reader, "feature_names_in_", None)
        _check_columns(model, reader.n_features_in_, names)
        data, kept = rows_that_count(X, y, weight, n_threads)
        return work(_fitted_rows(model, data, kept, len(y), whitened))

    return reader._with_data(X, y, sample_weight, of_data)


def check_rows(model: Any, fitted: FittedRows) -> None:
    """Refuse other numbers of rows than the fit's, and fits that no variances can be told of."""
    n = len(model.weights_) if hasattr(model, "weights_") else model._n_given
    if fitted.n_given != n:
        raise ValueError(
            f"X, y and sample_weight are not the rows that {type(model).__name__} was fitted to: "
            f"these were {n}, not {fitted.n_given}."
        )
    scale = float(model.scale_)
    with np.errstate(over="ignore", under="ignore"):
        square = np.square(scale)
    if scale > 0.0 and not 0.0 < square < np.inf:
        raise out_of_range("The variance", "y must be rescaled")
    rank = int(model.rank_)
    if rank == 0:
        raise ValueError(
            f"{type(model).__name__} has no coefficient to infer: all columns of X are 0."
        )
    if fitted.total <= rank:
        hint = ""
        if fitted.weight_unit < 1.0:
            hint = " sample_weight counts rows: weights that sum to 1 are one row."
        raise ValueError(
            f"Inference needs more rows than coefficients, but the weights sum to "
            f"{fitted.total:g} and the rank is {rank}.{hint}"
        )


def _check_columns(model: LinearEstimator, count: int, now: Sequence[str] | None) -> None:
    name, before = type(model).__name__, getattr(model, "feature_names_in_", None)
    if count != model.n_features_in_:
        raise ValueError(f"X has {count} columns, but {name} was fitted to {model.n_features_in_}.")
    if before is not None and now is not None and list(before) != list(now):
        raise ValueError(
            f"X has the columns {', '.join(map(str, now))}, but {name} was fitted to "
            f"{', '.join(map(str, before))}."
        )


def _fitted_rows(
    model: LinearEstimator,
    data: Data | SurveyedSource,
    kept: NDArray[np.intp] | None,
    n_given: int,
    whitened: bool,
) -> FittedRows:
    loss, joint = model.loss_, getattr(model, "scale", 1.0) == "joint"
    if loss.homogeneity == 2:  # whose scale cancels
        loss, joint = HalfSquared(), False
    if data.n_columns > MAX_WHITENED:
        raise ValueError(
            f"X has {data.n_columns} columns; inference takes {MAX_WHITENED} at most, for which "
            "matrices of all pairs of columns are made."
        )
    problem = make_problem(
        data, loss=HalfSquared(), scale=1.0, penalty=ElasticNet(), fit_intercept=model.fit_intercept
    )
    if whitened:
        coordinates, _ = white(problem, far=None)
    else:
        rows = read_rows(problem.observed, problem.fit_intercept)
        coordinates = Coordinates(rows, np.eye(rows.p), None, np.zeros(rows.p))
    largest, total = _largest_and_sum(data)
    sigma = 1.0 if loss.homogeneity == 2 else model.loss_scale_ / problem.y_unit
    return FittedRows(
        coordinates=coordinates,
        point=_point(model, problem, coordinates.rows, sigma),
        loss=loss,
        joint=joint,
        y_unit=problem.y_unit,
        weight_unit=largest,
        total=total,
        exact=problem.exact,
        kept=kept,
        n_given=n_given,
    )


def _largest_and_sum(data: Data | SurveyedSource) -> tuple[float, float]:
    """Of the weights, as the user gave them."""
    if isinstance(data, SurveyedSource):
        return data.largest_weight, data.found.weights[0]
    if data.weight is None:
        return 1.0, float(data.n)
    return float(data.weight.max()), float(data.weight.sum())


def _point(model: LinearEstimator, problem: Problem, rows: RowBlocks, sigma: float) -> Point:
    coef, intercept = problem.in_own_units(
        np.asarray(model.coef_, dtype=np.float64), float(model.intercept_)
    )
    beta = coef * rows.unit
    if rows.fit_intercept:
        intercept = intercept + float(beta @ rows.origin)
    return Point(beta, intercept, sigma)

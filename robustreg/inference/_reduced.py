"""Fits without some of the coefficients, which are 0 under a hypothesis."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import RandomState
from sklearn.exceptions import ConvergenceWarning

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import lstsq
from robustreg.estimators._base import levels_to_the_user
from robustreg.evaluation.posed import Data
from robustreg.inference._good_rows import residuals
from robustreg.inference._pipeline import names_of
from robustreg.inference._rows import FittedRows
from robustreg.sources._surveyed import SurveyedSource
from robustreg.sources._views import with_columns
from robustreg.subsampling.descent import Fit, descend_at_scale
from robustreg.subsampling.estimates import make_sample
from robustreg.subsampling.table import Table, least_absolute_problem


class Kept(NamedTuple):
    """What is left of a model without the coefficients that are 0 under the hypothesis."""

    columns: Index  # of X
    intercept: bool
    dropped: tuple[str, ...]

    def data(self, fitted: FittedRows) -> Data | SurveyedSource:
        """The rows with these columns; with one of zeros where there are none."""
        data = fitted.data
        if isinstance(data, SurveyedSource):
            return with_columns(data, self.columns)
        if len(self.columns) == data.n_columns:
            return data
        X = data.source.columns(self.columns) if len(self.columns) else np.zeros((data.n, 1))
        return Data(X, data.y, data.weight, data.n_threads)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not (len(self.columns) or self.intercept)

    def lost(self, rank: int, left: int) -> int:
        """How many hypotheses there are: by how much the rank falls to what is left.

        Raises
        ------
        ValueError
            If by nothing.
        """
        if left >= rank:
            raise ValueError(
                f"drop must change the fit, but the other columns contain those of "
                f"{', '.join(self.dropped)} (collinear columns): without these the rank stays "
                f"{rank}."
            )
        return rank - left


class Reduced(NamedTuple):
    """A fit without some coefficients, in the user's units and columns."""

    coef: Array  # (p,), 0 where dropped
    intercept: float
    rank: int


def kept_of(model: Any, columns: list[str] | None, drop: Any) -> Kept:
    """What is left of a model without the coefficients of some names.

    `columns` are the names that a pipeline gives.
    """
    names = names_of(model, columns)
    if not isinstance(drop, Iterable):
        raise TypeError(f"drop must be a name or several, among {', '.join(names)}; got {drop!r}.")
    dropped = (drop,) if isinstance(drop, str) else tuple(drop)
    if not dropped or any(not isinstance(name, str) or name not in names for name in dropped):
        raise ValueError(f"drop must be names among {', '.join(names)}; got {drop!r}.")
    left = [name not in dropped for name in names]
    if model.fit_intercept:
        return Kept(np.flatnonzero(left[1:]), left[0], dropped)
    return Kept(np.flatnonzero(left), False, dropped)


def convex_fit(estimator: Any, fitted: FittedRows, kept: Kept) -> Reduced:
    """The fit of an estimator to the columns that are left."""
    if kept.is_empty:
        return Reduced(np.zeros(fitted.rows.p), 0.0, 0)
    problem, _, fit = estimator._solve(kept.data(fitted))
    if not fit.converged:
        _warn(kept, fit.message)
    coef, intercept = problem.in_user_units(fit.coef, fit.intercept)
    return _embedded(fitted, kept, coef, intercept, fit.rank)


def descended(model: Any, fitted: FittedRows, kept: Kept) -> Reduced:
    """The minimum next to the projection of a fit on the columns that are left.

    Rows count in it by their robustness weights: rejected ones have no say in where to begin.
    """
    if kept.is_empty:
        return Reduced(np.zeros(fitted.rows.p), 0.0, 0)
    data: Any = kept.data(fitted)
    loss = model.loss_
    problem = least_absolute_problem(data, kept.intercept)
    scale = float(model.loss_scale_) / problem.y_unit
    sample = make_sample(
        problem, data.weight, n_subsamples=1, max_iter=model.max_iter, random=RandomState(0)
    )
    table = sample.table

    def way(table: Table, theta: Array) -> Fit:
        return descend_at_scale(table, loss, theta, scale, model.max_iter)

    z = fitted.rows.collect(lambda block: residuals(block, fitted.point))
    root = np.sqrt(table.weigh(loss.weights(z) / float(loss.weights(0.0))))
    theta = lstsq(root[:, None] * table.q, root * (table.y - scale * z))
    start = Fit(theta, table.residuals(theta), scale, 0, converged=False)
    found = sample.descend(start, way)
    if not found.converged:
        _warn(kept, f"it has not come to an end after {found.steps} steps.")
    coef, intercept = problem.in_user_units(*sample.coefficients(found))
    return _embedded(fitted, kept, coef, intercept, table.m)


def _embedded(fitted: FittedRows, kept: Kept, coef: Array, intercept: float, rank: int) -> Reduced:
    """A fit to some columns as one to all of them."""
    every = np.zeros(fitted.rows.p)
    every[kept.columns] = coef[: len(kept.columns)]
    return Reduced(every, float(intercept), rank)


def _warn(kept: Kept, why: str) -> None:
    warnings.warn(
        f"The fit without {', '.join(kept.dropped)} did not converge: {why}",
        ConvergenceWarning,
        stacklevel=levels_to_the_user(),
    )

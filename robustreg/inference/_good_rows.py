"""Rows in coordinates that are white for the good ones, for estimates that reject the others.

In those of all rows, bad leverage points leave the good rows few digits, or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.choice import white
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block, Reading
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Point, standardised
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.units import Targets
from robustreg.inference._rows import FittedRows
from robustreg.sources._surveyed import SurveyedSource
from robustreg.sources._views import weighed
from robustreg.subsampling.table import least_absolute_problem

OFF, OFF_SINGLE = 1e-6, 1e-3  # by which estimating equations may miss 0, of coefficients in float32
ROUNDED, MOST_OFF = 4.0, 1e-2  # units in the last place of the terms of a prediction, and a limit
# What rejected rows weigh in the coordinates: of columns that only they tell apart these keep a
# direction, and of the others they are no measure, at 1e12 spreads or nearer.
LEAST_SHARE = 1e-16
FAR = 1e100  # scales: beyond, all losses that redescend are flat


def problem_of(fitted: FittedRows) -> Problem:
    """The rows with y in units that outliers have no say in."""
    return least_absolute_problem(fitted.data, fitted.has_intercept)


def point_of(problem: Problem, rows: RowBlocks, coef: Any, intercept: Any, sigma: float) -> Point:
    """A user's fit in the units of the blocks of rows, its intercept at their centre."""
    own, at_zero = problem.in_own_units(np.asarray(coef, dtype=np.float64), float(intercept))
    beta = own * rows.unit
    if rows.fit_intercept:
        at_zero = at_zero + float(beta @ rows.origin)
    return Point(beta, at_zero, sigma)


Weigh = Callable[[Array], Array]  # weights of rows from their standardised residuals


def in_good_coordinates(
    fitted: FittedRows,
    problem: Problem,
    point: Callable[[RowBlocks], Point],
    weigh: Weigh,
) -> FittedRows:
    """Rows in coordinates in which ``sum w v q q'`` is proportional to I.

    Here v are the weights that standardised residuals from a point are given.
    """
    rows = read_rows(problem.observed, problem.fit_intercept)
    coordinates, _ = white(_weighed(problem, rows, point(rows), weigh), far=None)
    rows = replace(coordinates.rows, observed=problem.observed, total=fitted.rows.total)
    return replace(
        fitted,
        coordinates=replace(coordinates, rows=rows),
        point=point(rows),
        y_unit=problem.y_unit,
        exact=problem.exact,
    )


def _weighed(problem: Problem, rows: RowBlocks, point: Point, weigh: Weigh) -> Problem:
    """A problem whose rows have their weights times what their residuals are given."""
    source = problem.observed.source
    if isinstance(source, SurveyedSource):
        targets = problem.observed.targets
        own = weighed(source, _Share(rows.alone, targets, point, weigh))
        return replace(problem, observed=replace(problem.observed, source=own))
    share = rows.collect(lambda block: _share_of(block, point, weigh))
    return problem.with_weight(share if problem.weight is None else share * problem.weight)


def _share_of(block: Block, point: Point, weigh: Weigh) -> Array:
    return np.maximum(weigh(residuals(block, point)), LEAST_SHARE)


@dataclass(frozen=True)
class _Share:
    """Weights of rows as a source hands them out."""

    reading: Reading
    targets: Targets
    point: Point
    weigh: Weigh

    def __call__(self, X: Array, y: Array) -> Array:
        whole = slice(0, len(y))
        block = Block(self.reading, self.reading.read(X), self.targets(y), None, whole)
        return _share_of(block, self.point, self.weigh)


def residuals(block: Block, point: Point) -> Array:
    """Standardised residuals, within bounds in which their products have numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = standardised(block, point)
        if np.abs(z).max() <= FAR:
            return z
        return np.nan_to_num(np.clip(z, -FAR, FAR), nan=FAR)


def share_of(slope: Array, square: float) -> float:
    """The largest entry of a slope, of what rows that do not balance would make it."""
    return float(np.abs(slope).max(initial=0.0)) / math.sqrt(square) if square > 0.0 else math.inf


def refuse_other_rows(model: Any, fitted: FittedRows, miss: float, psi_square: float) -> None:
    """Refuse rows at which the equations of a fit miss 0 by more than rounding.

    That is at least the rounding of the coefficients, times the terms of predictions in units of
    the scores, whose sum of squares is `psi_square`.
    """
    dtype, rows, point = np.asarray(model.coef_).dtype, fitted.rows, fitted.point
    allowed = OFF if dtype == np.float64 else OFF_SINGLE
    if psi_square > 0.0:
        size, at_zero = np.abs(point.beta), point.intercept - float(point.beta @ rows.origin)
        terms = abs(at_zero) + float(size @ (fitted.coordinates.spread + np.abs(rows.origin)))
        noise = point.sigma * math.sqrt(psi_square / rows.total)
        rounding = ROUNDED * float(np.finfo(dtype).eps) * terms / noise
        allowed = max(allowed, min(rounding, MOST_OFF))
    if not miss <= allowed and (model.converged_ or not np.isfinite(miss)):
        raise ValueError(
            f"X, y and sample_weight are not the rows that {type(model).__name__} was fitted to: "
            f"its estimating equations miss 0 by {miss:.2g} there."
        )


def check_noise(model: Any) -> None:
    """Refuse a fit whose scale is 0."""
    if not model.scale_ > 0.0:
        some = "half of the"
        if hasattr(model, "weights_"):
            on = int(np.sum(model.weights_ >= 1.0 - OFF))
            some = f"{on} of {len(model.weights_)}"
        raise ValueError(
            f"{type(model).__name__} passes through {some} rows exactly: there is no noise to "
            "judge the fit by."
        )

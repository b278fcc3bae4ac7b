"""How a problem is posed: the user's data, scale and penalty in units near 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from robustreg._arrays import Array, Index
from robustreg._cached import cached_property
from robustreg._median import MAD_FACTOR
from robustreg.evaluation.order_statistics import Deviation, Target, median
from robustreg.evaluation.problem import Problem, Source, observed_in
from robustreg.evaluation.rows import unread
from robustreg.evaluation.units import (
    SURVEY_ROWS,
    Targets,
    Units,
    converted,
    objective_unit,
    relative,
    units_of,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty
from robustreg.sources._array import ArraySource
from robustreg.sources._surveyed import NotInMemoryError, SurveyedSource


@dataclass(frozen=True)
class Data:
    """The rows of positive weight that a fit sees, and the threads it may use."""

    table: Any  # (m, p)
    y: Array  # (n,)
    weight: Array | None  # (n,), None for ones
    n_threads: int
    kept: Index | None = None  # (n,) which rows of a dense table these are; None: all

    @classmethod
    def of(cls, source: ArraySource) -> Data:
        """The rows of a source."""
        return cls(source.table, source.y, source.weight, source.n_threads, source.kept)

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.y)

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return int(self.table.shape[1])

    @property
    def X(self) -> Any:  # noqa: N802
        """Regressors of all rows at once, as of the source."""
        return self.source.X

    @cached_property
    def source(self) -> ArraySource:
        """The rows, with weights that are shares of the largest."""
        weight = relative(self.weight)
        return ArraySource(self.table, self.y, weight, self.n_threads, kept=self.kept)


def _units_of_some(
    source: SurveyedSource, squares: bool, fit_intercept: bool, penalty: Penalty
) -> Units:
    """The units of targets of which there is a sample."""
    sample, ends = source.sample, source.ends
    units = units_of(sample.y, sample.weight, 1, squares, fit_intercept, ends)
    if units.spread == 0.0 and ends[0] < ends[1]:
        raise NotInMemoryError(
            "The targets of the source that were drawn are all alike, and not all of them are. "
            "Load the rows into arrays and fit these."
        )
    strength = penalty.alpha if isinstance(penalty, ElasticNet) else 0.0
    if squares or strength == 0.0:
        return units
    return units._replace(width=_mad_of_all(source, units, fit_intercept))


def _mad_of_all(source: SurveyedSource, units: Units, fit_intercept: bool) -> float:
    """The MAD of all targets in some units, which is the unit of a penalty: by two passes."""
    rows = unread(source, Targets(units))
    centre = median(rows, Target()) if fit_intercept else -units.centre
    width = MAD_FACTOR * median(rows, Deviation(Target(), centre))
    if width == 0.0:
        raise NotInMemoryError(
            "Half of the targets of the source are alike, so that a penalty's unit is not their "
            "MAD, but asks for all of them at once. Load the rows into arrays and fit these."
        )
    return width


def make_problem(
    data: Data | SurveyedSource,
    *,
    loss: ConvexLoss,
    scale: float | None,
    penalty: Penalty,
    fit_intercept: bool,
) -> Problem:
    """Bring y near 1 by a shift and a power of two, and convert scale and penalty with it.

    The unit of ``penalty`` is set here.
    """
    squares = loss.homogeneity == 2
    # alpha needs the penalty's unit itself, which is a statistic of all rows
    if isinstance(data, Data):
        source: Source = data.source
        step = 1 if not penalty.is_none else max(1, len(data.y) // SURVEY_ROWS)
        units = units_of(data.y, data.weight, step, squares, fit_intercept)
    else:
        source = data
        units = _units_of_some(data, squares, fit_intercept, penalty)
    farthest = units.farthest(source.ends)
    # squares follow every y, however far
    observed = observed_in(source, units, 0.0 if squares else farthest, units.spread)
    fixed, penalty, alpha_unit = converted(loss, scale, penalty, units)
    return Problem(
        observed=observed,
        loss=loss,
        scale=fixed,
        given_scale=scale,
        penalty=penalty,
        alpha_unit=alpha_unit,
        fit_intercept=fit_intercept,
        objective_unit=objective_unit(loss, scale, units.y_unit),
        spread=units.spread,
        exact=units.exact,
        farthest=min(farthest, observed.targets.limit),
    )

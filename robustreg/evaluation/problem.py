"""A fit's data in units near 1, and the way back to the user's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robustreg._arrays import EPS, SMALLEST, TINY, Array, Index, Mask
from robustreg.evaluation.limits import (
    FURTHEST_SCALE,
    in_range,
    out_of_range,
    penalty_in_range,
)
from robustreg.evaluation.rows import Observed
from robustreg.evaluation.units import (
    EXACT,
    FARTHEST,
    Targets,
    Units,
    power_of_two,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty
from robustreg.sources._array import ArraySource
from robustreg.sources._surveyed import SurveyedSource, not_here

Source = ArraySource | SurveyedSource

LEAST_SCALE = 1e-3  # of the spread of y: a joint scale to start from


@dataclass(frozen=True)
class Coefficients:
    """Coefficients in the user's columns, intercept and scale in the problem's units of y.

    Of one fit or, with a leading axis, of several.
    """

    coef: Array
    intercept: Any
    sigma: Any
    certain: bool = True  # whether X has no more directions than the coordinates of the fit


@dataclass(frozen=True)
class Problem:
    """One regression problem, ready for a solver.

    Attributes
    ----------
    observed : Observed
        The rows: their weights over the largest of them, None for all ones; the targets as
        ``(y - y_offset) / y_unit``, ``y_unit`` a power of two.
    loss : ConvexLoss
        The convex loss.
    scale : float or None
        Fixed scale in units of ``y_unit``; None estimates it jointly.
    given_scale : float or None
        That scale as the user states it, in units of y.
    penalty : Penalty
        Penalty in the same units as ``scale``.
    alpha_unit : float
        What the user's alpha was multiplied by for that.
    fit_intercept : bool
        Whether the model has a free intercept.
    objective_unit : float
        What a value of the objective is to be multiplied by.
    spread : float
        Scale of y about its centre, in units of ``y_unit``; 0 if y is constant.
    exact : float
        Residuals up to this size count as exact fits: 1e-9 of the spread of y about its median,
        with or without an intercept.
    farthest : float
        The largest ``|y|``.
    rows_wanted : bool
        Whether the residuals of all rows will be asked for, which a solver may then keep.
    """

    observed: Observed
    loss: ConvexLoss
    scale: float | None
    given_scale: float | None
    penalty: Penalty
    alpha_unit: float
    fit_intercept: bool
    objective_unit: float
    spread: float
    exact: float
    farthest: float
    rows_wanted: bool = True

    @property
    def X(self) -> Any:  # noqa: N802
        """Regressors of shape (n, p), as given by the user."""
        return self.observed.source.X

    @property
    def y(self) -> Array:
        """Targets of shape (n,), in their units."""
        return self.observed.y

    @property
    def weight(self) -> Array | None:
        """Positive weights of shape (n,), the largest 1; None is all ones."""
        return self.observed.source.weight

    @property
    def n_threads(self) -> int:
        """Threads that may be used."""
        return self.observed.source.n_threads

    @property
    def far(self) -> Index:
        """Rows whose y was brought in."""
        return self.observed.far

    @property
    def beyond(self) -> Array:
        """By how much it was."""
        return self.observed.beyond

    @property
    def y_unit(self) -> float:
        """What targets were divided by."""
        return self.observed.targets.units.y_unit

    @property
    def y_offset(self) -> float:
        """What was subtracted from the targets, in the user's units."""
        return self.observed.targets.units.centre * self.y_unit

    @property
    def joint(self) -> bool:
        """Whether the scale is estimated jointly."""
        return self.scale is None

    def scale_or(self, sigma: float) -> float:
        """The given scale, or the one that was estimated jointly."""
        return sigma if self.scale is None else self.scale

    @property
    def negligible(self) -> float:
        """Values of F up to here are 0, or what is left of 0 by rounding.

        Where all residuals are as large as the spread of y, F is what its values are like. Errors
        of y have no say in that, however gross: what is small beside it is small for the bulk of
        the rows.
        """
        typical = 64 * EPS * self._objective_at(self.spread)
        if self.joint:  # F is proportional to the size, and 64 eps is less than 1e-9
            return typical
        return min(typical, self._objective_at(self.exact))

    def losses(self, residual: Array, sigma: float) -> Array:
        """The loss of residuals at a scale, and at 0 its limit.

        Where there is none, residuals count by their size, as they do for an exact fit.
        """
        if sigma > 0.0:
            return sigma * self.loss.rho(residual / sigma)
        high = self.loss.conjugate_domain[1]
        return np.abs(residual) * (high if math.isfinite(high) else 1.0)

    def farthest_given(self) -> float:
        """The largest ``|y|``, those included that were brought in, where they were."""
        return float(np.abs(self.put_back(self.y)).max())

    def _objective_at(self, size: float) -> float:
        if size == 0.0:
            return 0.0
        sigma = size if self.scale is None else self.scale
        both = self.loss.rho(np.array([-size, size]) / sigma)
        return sigma * (float(both.max()) + (self.loss.kappa if self.joint else 0.0))

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.observed.source.n

    @property
    def p(self) -> int:
        """Number of columns."""
        return self.observed.source.n_columns

    @property
    def elastic_net(self) -> ElasticNet:
        """The penalty, for those who serve no other."""
        assert isinstance(self.penalty, ElasticNet)
        return self.penalty

    def in_user_units(self, coef: Array, intercept: Any) -> tuple[Array, Any]:
        """Coefficients and intercept of one fit, or of several, in the user's units.

        Raises
        ------
        ValueError
            If they are beyond the range of float64.
        """
        offset = self.y_offset if self.fit_intercept else 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            scaled, shifted = coef * self.y_unit, intercept * self.y_unit + offset
        size = np.abs(scaled)
        several = isinstance(shifted, np.ndarray)
        known = np.isfinite(shifted).all() if several else math.isfinite(shifted)
        known = known and size.max(initial=0.0) < np.inf
        lost = size.min(initial=1.0) < TINY and self._matters((size < TINY) & (coef != 0.0))
        if lost or not known:
            raise out_of_range("coefficients", "rescale X or y")
        return scaled, shifted

    def _matters(self, faint: Mask) -> bool:
        """Whether the last digit that there is next to 0 matters in some of the coefficients."""
        if not faint.any():
            return False
        columns = np.flatnonzero(faint.reshape(-1, self.p).any(axis=0))
        largest = float(abs(self._rows.columns(columns)).max())
        return largest * (SMALLEST / self.y_unit) > self.exact

    def in_units_of_y(self, value: float) -> float:
        """A scale in the user's units."""
        return in_range("scale", value, self.y_unit)

    def in_squared_units_of_y(self, value: float) -> float:
        """A sum of squares in the user's units."""
        return in_range("objective", in_range("objective", value, self.y_unit), self.y_unit)

    def in_units_of_objective(self, value: float) -> float:
        """A value of F in the user's units."""
        return in_range("objective", value, self.objective_unit)

    def put_back(self, residual: Array) -> Array:
        """The residuals of the y that had been brought in."""
        if not len(self.far):
            return residual
        residual = residual.copy()
        residual[self.far] += self.beyond
        return residual

    def in_own_units(self, coef: Array, intercept: Any) -> tuple[Array, Any]:
        """The inverse of ``in_user_units``."""
        if not self.fit_intercept:
            return coef / self.y_unit, 0.0 * intercept
        return coef / self.y_unit, (intercept - self.y_offset) / self.y_unit

    def can_start_from(self, sigma: float) -> bool:
        """Whether a scale says where to start: one next to 0 is that of an exact fit."""
        return not self.joint or sigma > LEAST_SCALE * self.spread

    def with_alpha(self, alpha: float) -> Problem:
        """The same problem with another strength of the penalty, as the user states it."""
        penalty = replace(self.elastic_net, alpha=self.alpha_unit * alpha)
        return replace(self, penalty=penalty_in_range(penalty, alpha))

    def with_loss(self, loss: ConvexLoss) -> Problem:
        """The same problem with another loss of the same kind: joint or fixed scale, units."""
        return replace(self, loss=loss)

    def within(self, reach: float) -> Problem:
        """The same problem in such units that targets up to ``reach`` are not brought in.

        The spread then is what the farthest of them says it is.
        """
        unit = power_of_two(reach / (FARTHEST * self.spread))
        spread, own = 2.0 * reach / (FARTHEST * unit), self.observed.targets.units
        units = own._replace(two=own.two * unit, centre=own.centre / unit)
        scale = self.scale
        if scale is not None and self.loss.homogeneity != 1:  # of which squares are to have ratios
            scale = max(scale / unit, spread / FURTHEST_SCALE)
        source = self.observed.source
        farthest = units.farthest(source.ends)
        observed = observed_in(source, units, farthest, spread)
        return replace(
            self,
            observed=observed,
            scale=scale,
            penalty=self.penalty.in_units(unit, unit),
            objective_unit=self.objective_unit * unit,
            spread=spread,
            exact=EXACT * spread,
            farthest=min(farthest, observed.targets.limit),
        )

    def subset(self, index: Index) -> Problem:
        """The same problem on some of the rows, which may repeat, in the same units."""
        observed, source = self.observed, self._rows
        brought_in = np.isin(index, self.far)
        some = replace(
            observed,
            source=replace(
                source,
                table=source.pick(index),
                kept=None,
                y=source.y[index],
                weight=None if source.weight is None else source.weight[index],
            ),
            far=np.flatnonzero(brought_in),
            beyond=self.beyond[np.searchsorted(self.far, index[brought_in])],
        )
        return replace(self, observed=some)

    def some(self, size: int) -> Problem:
        """The same problem on so many rows at random, or on those that there are to choose from.

        Some may be there more than once.
        """
        source = self.observed.source
        if isinstance(source, ArraySource):
            index = np.sort(np.random.default_rng(0).integers(0, self.n, size))
            return self.subset(index)
        return replace(self, observed=replace(self.observed, source=source.sample))

    def columns(self, index: Any) -> Problem:
        """The same problem with some of the columns only."""
        return self.with_regressors(self._rows.columns(index))

    @property
    def _rows(self) -> ArraySource:
        """The rows, for those who need all of them at once."""
        source = self.observed.source
        if not isinstance(source, ArraySource):
            raise not_here()
        return source

    def with_regressors(self, X: Any) -> Problem:
        """The same problem with another X."""
        source = replace(self._rows, table=X, kept=None)
        return replace(self, observed=replace(self.observed, source=source))

    def without_regressors(self) -> Problem:
        """The same problem with a single column of zeros for X."""
        source = self.observed.source
        if isinstance(source, ArraySource):
            return self.with_regressors(np.zeros((self.n, 1)))
        observed = replace(self.observed, source=source.without_regressors())
        return replace(self, observed=observed)

    def with_weight(self, weight: Array | None) -> Problem:
        """The same problem with other weights."""
        source = replace(self._rows, weight=weight)
        return replace(self, observed=replace(self.observed, source=source))


def observed_in(source: Source, units: Units, farthest: float, spread: float) -> Observed:
    """Rows with their targets in units, those that are too many spreads away brought in."""
    targets = Targets(units)
    if farthest > FARTHEST * spread > 0.0:
        targets = Targets(units, FARTHEST * spread)
    if targets.limit == math.inf:
        return Observed(source, targets, np.zeros(0, dtype=np.intp), np.zeros(0))
    return Observed(source, targets, *targets.brought_in(source.y))

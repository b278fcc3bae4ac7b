"""A fit's data in units near 1, and the way back to the user's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from robustreg._arrays import EPS, TINY, Array, Index, Mask
from robustreg.evaluation.limits import (
    FURTHEST_SCALE,
    in_range,
    out_of_range,
    penalty_in_range,
)
from robustreg.evaluation.units import (
    EXACT,
    FARTHEST,
    SURVEY_ROWS,
    bring_in,
    converted,
    objective_unit,
    power_of_two,
    relative,
    units_of,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty

LEAST_SCALE = 1e-3  # of the spread of y: a joint scale to start from


@dataclass(frozen=True)
class Data:
    """The rows of positive weight that a fit sees, and the threads it may use."""

    X: Any  # (n, p)
    y: Array  # (n,)
    weight: Array | None  # (n,), None for ones
    n_threads: int


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
    X : ndarray or CSR matrix of shape (n, p)
        Regressors, as given by the user.
    y : ndarray of shape (n,)
        Targets as ``(y - y_offset) / y_unit``.
    weight : ndarray of shape (n,) or None
        Positive weights, the largest 1; None is all ones.
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
    n_threads : int
        Threads that may be used.
    y_offset, y_unit : float
        Units of y; ``y_unit`` is a power of two.
    objective_unit : float
        What a value of the objective is to be multiplied by.
    spread : float
        Scale of y about its centre, in units of ``y_unit``; 0 if y is constant.
    exact : float
        Residuals up to this size count as exact fits: 1e-9 of the spread of y about its median,
        with or without an intercept.
    farthest : float
        The largest ``|y|``.
    far, beyond : ndarray
        Rows whose y was brought in to ``FARTHEST`` spreads, and by how much.
    """

    X: Any
    y: Array
    weight: Array | None
    loss: ConvexLoss
    scale: float | None
    given_scale: float | None
    penalty: Penalty
    alpha_unit: float
    fit_intercept: bool
    n_threads: int
    y_offset: float
    y_unit: float
    objective_unit: float
    spread: float
    exact: float
    farthest: float
    far: Index
    beyond: Array

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
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

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
        largest = float(abs(self.X[:, columns]).max())
        last = float(np.finfo(np.float64).smallest_subnormal)
        return largest * (last / self.y_unit) > self.exact

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
        y: Array = self.put_back(self.y) / unit
        spread = 2.0 * reach / (FARTHEST * unit)
        far, beyond = bring_in(y, spread)
        scale = self.scale
        if scale is not None and self.loss.homogeneity != 1:  # of which squares are to have ratios
            scale = max(scale / unit, spread / FURTHEST_SCALE)
        return replace(
            self,
            y=y,
            scale=scale,
            penalty=self.penalty.in_units(unit, unit),
            y_unit=self.y_unit * unit,
            objective_unit=self.objective_unit * unit,
            spread=spread,
            exact=EXACT * spread,
            farthest=float(np.abs(y).max()),
            far=far,
            beyond=beyond,
        )

    def subset(self, index: Index) -> Problem:
        """The same problem on some of the rows, which may repeat, in the same units."""
        weight = None if self.weight is None else self.weight[index]
        brought_in = np.isin(index, self.far)
        beyond = self.beyond[np.searchsorted(self.far, index[brought_in])]
        return replace(
            self,
            X=self.X[index],
            y=self.y[index],
            weight=weight,
            far=np.flatnonzero(brought_in),
            beyond=beyond,
        )

    def columns(self, index: Any) -> Problem:
        """The same problem with some of the columns only."""
        sparse = issparse(self.X)
        return replace(self, X=self.X[:, index] if sparse else np.take(self.X, index, axis=1))


def make_problem(
    data: Data,
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
    step = 1 if not penalty.is_none else max(1, len(data.y) // SURVEY_ROWS)
    units = units_of(data.y, data.weight, step, squares, fit_intercept)
    (y, farthest), y_unit = units.apply(data.y), units.y_unit
    far: Index = np.zeros(0, dtype=np.intp)
    beyond: Array = np.zeros(0)
    if not squares and farthest > FARTHEST * units.spread > 0.0:
        far, beyond = bring_in(y, units.spread)
        farthest = FARTHEST * units.spread
    fixed, penalty, alpha_unit = converted(loss, scale, penalty, units)
    return Problem(
        X=data.X,
        y=y,
        weight=relative(data.weight),
        loss=loss,
        scale=fixed,
        given_scale=scale,
        penalty=penalty,
        alpha_unit=alpha_unit,
        fit_intercept=fit_intercept,
        n_threads=data.n_threads,
        y_offset=units.centre * y_unit,
        y_unit=y_unit,
        objective_unit=objective_unit(loss, scale, y_unit),
        spread=units.spread,
        exact=units.exact,
        farthest=farthest,
        far=far,
        beyond=beyond,
    )

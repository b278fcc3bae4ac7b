"""A fit's data in units near 1, and the way back to the user's units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from robustreg._arrays import Array
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet
from robustreg.scale._median import mad, weighted_median

# An error of more spreads than a double has digits is taken for one of so many: nothing but
# its sign matters to a loss with bounded psi, and no digits of the others are lost to it.
FARTHEST = 1e15
# Larger samples are surveyed on about this many rows: centre and spread of y only fix units.
SURVEY_ROWS = 2_500
LEAST_SCALE = 1e-3  # of the spread of y: a joint scale to start from


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
    penalty : ElasticNet
        Penalty in the same units.
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
    null_objective : float
        F of the null model (no regressors; location and scale robust estimates), F_null.
    spread : float
        Scale of y about its centre, in units of ``y_unit``; 0 if y is constant.
    far, beyond : ndarray
        Rows whose y was brought in to ``FARTHEST`` spreads, and by how much.
    """

    X: Any
    y: Array
    weight: Array | None
    loss: ConvexLoss
    scale: float | None
    penalty: ElasticNet
    alpha_unit: float
    fit_intercept: bool
    n_threads: int
    y_offset: float
    y_unit: float
    objective_unit: float
    null_objective: float
    spread: float
    far: NDArray[np.intp]
    beyond: Array

    @property
    def joint(self) -> bool:
        """Whether the scale is estimated jointly."""
        return self.scale is None

    @property
    def exact(self) -> float:
        """Residuals up to this size count as exact fits: 1e-9 of the spread of y."""
        return 1e-9 * self.spread

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    def in_user_units(self, coef: Array, intercept: Any) -> tuple[Array, Any]:
        """Coefficients and intercept of one fit, or of several, in the user's units."""
        if not self.fit_intercept:
            return coef * self.y_unit, 0.0 * intercept
        return coef * self.y_unit, intercept * self.y_unit + self.y_offset

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
        penalty = replace(self.penalty, alpha=self.alpha_unit * alpha)
        return replace(self, penalty=_in_range(penalty))

    def with_loss(self, loss: ConvexLoss) -> Problem:
        """The same problem with another loss of the same kind: joint or fixed scale, units."""
        step = max(1, self.n // SURVEY_ROWS)
        null = _null_objective(
            self.y, self.weight, step, loss, self.scale, self.spread, self.fit_intercept
        )
        return replace(self, loss=loss, null_objective=null)

    def subset(self, index: Any, **changes: Any) -> Problem:
        """The same problem on some of the rows, in the same units."""
        weight = None if self.weight is None else self.weight[index]
        return replace(self, X=self.X[index], y=self.y[index], weight=weight, **changes)

    def columns(self, index: Any) -> Problem:
        """The same problem with some of the columns only."""
        sparse = issparse(self.X)
        return replace(self, X=self.X[:, index] if sparse else np.take(self.X, index, axis=1))


def make_problem(
    X: Any,
    y: Array,
    weight: Array | None,
    *,
    loss: ConvexLoss,
    scale: float | None,
    penalty: ElasticNet,
    fit_intercept: bool,
    n_threads: int,
) -> Problem:
    """Bring y near 1 by a shift and a power of two, and convert scale and penalty with it.

    The unit of ``penalty`` is set here.
    """
    if weight is not None:
        weight = weight / weight.max()
    quadratic = loss.homogeneity == 2
    # alpha needs the penalty's unit itself, which is a statistic of all rows
    step = 1 if penalty.alpha else max(1, len(y) // SURVEY_ROWS)
    rough = _power_of_two(float(max(y.max(), -y.min())))
    centre, spread, width, step = _centre_and_spread(y, rough, weight, step, fit_intercept)
    # The largest |y| may be an outlier: the unit is the spread's, unless squares are taken.
    two = _power_of_two(spread) if not quadratic else 1.0
    y_unit, centre, spread, width = rough * two, centre / two, spread / two, width / two
    with np.errstate(over="ignore"):
        scaled = y / y_unit if 1e-300 < y_unit < 1e300 else y / rough / two
    scaled -= centre
    far = np.zeros(0, dtype=np.intp)
    if not quadratic and max(scaled.max(), -scaled.min()) > FARTHEST * spread > 0.0:
        far = np.flatnonzero(np.abs(scaled) > FARTHEST * spread)
    brought_in = np.clip(scaled[far], -FARTHEST * spread, FARTHEST * spread)
    beyond = scaled[far] - brought_in
    scaled[far] = brought_in
    fixed = scale
    if scale is not None:
        fixed = 1.0 if loss.homogeneity in (1, 2) else _in_units(scale, y_unit)
    unit, alpha_unit = width or 1.0, 1.0
    if fixed is not None and loss.homogeneity != 1:
        unit = fixed
    if scale is not None and quadratic and penalty.l1_ratio:
        # F goes with the square of y, an L1 norm with y
        unit = alpha_unit = _in_units(scale, y_unit)
    return Problem(
        X=X,
        y=scaled,
        weight=weight,
        loss=loss,
        scale=fixed,
        penalty=_in_range(replace(penalty, alpha=alpha_unit * penalty.alpha, unit=unit)),
        alpha_unit=alpha_unit,
        fit_intercept=fit_intercept,
        n_threads=n_threads,
        y_offset=centre * y_unit,
        y_unit=y_unit,
        objective_unit=y_unit * y_unit / scale if quadratic and scale is not None else y_unit,
        null_objective=_null_objective(scaled, weight, step, loss, fixed, spread, fit_intercept),
        spread=spread,
        far=far,
        beyond=beyond,
    )


def _power_of_two(value: float) -> float:
    return float(np.ldexp(1.0, int(np.frexp(value)[1]) - 1)) if value > 0 else 1.0


def _in_units(scale: float, y_unit: float) -> float:
    """A scale that the user gives, in units of y."""
    relative = scale / y_unit
    if not 0.0 < relative < math.inf:
        raise ValueError(
            f"scale={scale!r} is out of the range of float64 beside a y of order {y_unit:.0e}: "
            "rescale y or choose another scale."
        )
    return relative


def _in_range(penalty: ElasticNet) -> ElasticNet:
    """The penalty, if its derivatives in units of y are numbers."""
    if not penalty.slope + penalty.curvature < math.inf:
        raise ValueError(
            "alpha is too large for float64 in the units of this y: rescale y or choose a "
            "smaller alpha."
        )
    return penalty


def _centre_and_spread(
    y: Array, unit: float, weight: Array | None, step: int, fit_intercept: bool
) -> tuple[float, float, float, int]:
    """Weighted median (0 without an intercept), two scales about it, and a stride.

    Both scales are the MAD; where that is 0, the first is that of the deviations that are
    not 0, which gross errors cannot inflate, and the second the root mean square, which the
    penalty's unit is defined by. Of every ``step``-th ``y / unit``, or of all where these do
    not vary; the stride says which.
    """
    for stride in dict.fromkeys((step, 1)):
        sample = y[::stride] / unit
        part = None if weight is None else weight[::stride]
        centre = weighted_median(sample, part) if fit_intercept else 0.0
        spread = width = mad(sample, part, center=centre)
        if spread > 0.0:
            break
        moved = sample != centre
        if moved.any():
            spread = mad(sample[moved], None if part is None else part[moved], center=centre)
            width = float(np.sqrt(np.average((sample - centre) ** 2, weights=part)))
            break
    return centre, spread, width, stride


def _null_objective(
    y: Array,
    weight: Array | None,
    step: int,
    loss: ConvexLoss,
    scale: float | None,
    spread: float,
    fit_intercept: bool,
) -> float:
    if spread == 0.0:
        return 0.0
    sample = y[::step]
    part = None if weight is None else weight[::step]
    if loss.homogeneity == 2 and fit_intercept:
        sample = sample - np.average(sample, weights=part)
    sigma = spread if scale is None else scale
    value = sigma * float(np.average(loss.rho(sample / sigma), weights=part))
    return value + (loss.kappa * sigma if scale is None else 0.0)

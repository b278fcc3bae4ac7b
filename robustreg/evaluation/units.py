"""Units of y in which a fit's numbers are near 1, and what counts as far, or as 0, in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from robustreg._arrays import EPS, TINY, Array, Index, root_mean_square
from robustreg._median import mad, weighted_median
from robustreg._namespace import between
from robustreg.evaluation.limits import (
    out_of_range,
    penalty_in_range,
    scale_in_units,
    scale_of_squares,
    too_far_apart,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty

# An error of more spreads than a double has digits is taken for one of so many, and so is an entry
# of X where outliers are sought in it: nothing but its sign matters to a loss with bounded psi
# unless the fit follows it, and no digits of the others are lost to it.
FARTHEST = 1e15
EXACT = 1e-9  # of the spread of y: residuals up to here count as exact fits
ROUNDED = 64 * EPS  # of the size of y: so much of residuals may be rounding
# Larger samples are surveyed on about this many rows: centre and spread only fix units.
SURVEY_ROWS = 2_500


class Units(NamedTuple):
    """Units of y: ``y / (rough two) - centre`` is near 1.

    Attributes
    ----------
    rough, two : float
        Powers of two, of the largest ``|y|`` and of the spread in that unit; their product may
        have left the range of float64 where y has not.
    centre : float
        Weighted median of y, 0 without an intercept.
    width : float
        What a penalty is measured in: the MAD of y about the centre, where that is 0 the root
        mean square.
    spread : float
        The MAD, where that is 0 of the deviations that are not 0; 0 if y is constant.
    exact : float
        Residuals up to this size count as exact fits.
    """

    rough: float
    two: float
    centre: float
    width: float
    spread: float
    exact: float

    @property
    def y_unit(self) -> float:
        """The unit of y."""
        return self.rough * self.two

    def of(self, y: Array) -> Array:
        """Y in these units, for which they have room."""
        unit = self.y_unit
        if 1e-300 < unit < 1e300:  # the reciprocal is a power of two, too
            scaled: Array = y * (1.0 / unit)
        else:
            scaled = y / self.rough / self.two
        scaled -= self.centre
        return scaled

    def farthest(self, y: Array) -> float:
        """The largest size of y in these units; a ValueError where they have no room for it."""
        with np.errstate(over="ignore"):
            ends = self.of(np.array([y.min(), y.max()]))
        farthest = float(np.abs(ends).max())
        if not math.isfinite(farthest):
            raise too_far_apart(y)
        return farthest


def relative(weight: Array | None) -> Array | None:
    """Weights over the largest; what is next to nothing beside that must not become 0."""
    return None if weight is None else np.maximum(weight / weight.max(), TINY)


def units_of(
    y: Array,
    weight: Array | None,
    step: int,
    squares: bool,
    fit_intercept: bool,
    ends: Array | None = None,
) -> Units:
    """The units of y, from every ``step``-th row; those of its largest if ``squares`` are taken.

    ``ends`` are the least and the largest target, where y are not all of them.
    """
    low, high = (y.min(), y.max()) if ends is None else ends
    rough, own = power_of_two(float(max(high, -low))), relative(weight)
    centre, width, spread = _centre_and_spread(y, rough, own, step, fit_intercept)
    if spread > 0.0 and not width:  # of weights as given: a gross y may make up for them
        width = root_mean_square(y / rough - centre, weight)
    # The largest |y| may be an outlier: the unit is the spread's, unless squares are taken.
    two = 1.0 if squares else power_of_two(spread)
    exact = EXACT * spread
    if not fit_intercept and spread > 0.0:  # a column of ones may stand for the intercept
        about_median = _centre_and_spread(y, rough, own, step, True)[2] or spread
        exact = min(max(EXACT * about_median, ROUNDED * spread), exact)
    return Units(rough, two, centre / two, width / two, spread / two, exact / two)


@dataclass(frozen=True)
class Targets:
    """How targets are read: in units near 1, and brought in where they are far out.

    Attributes
    ----------
    units : Units
        The units.
    limit : float
        Sizes beyond are cut off to this one; infinity where none are.
    """

    units: Units
    limit: float = math.inf

    def __call__(self, y: Array) -> Array:
        """Some targets, as a fit sees them."""
        found = self.units.of(y)
        return between(found, -self.limit, self.limit) if self.limit < math.inf else found

    def brought_in(self, y: Array) -> tuple[Index, Array]:
        """The rows that are cut off, and by how much."""
        found = self.units.of(y)
        far = np.flatnonzero(np.abs(found) > self.limit)
        return far, found[far] - np.clip(found[far], -self.limit, self.limit)


def power_of_two(value: float) -> float:
    """The largest power of two up to a positive value; 1 for 0."""
    return float(np.ldexp(1.0, int(np.frexp(value)[1]) - 1)) if value > 0 else 1.0


def _centre_and_spread(
    y: Array, unit: float, weight: Array | None, step: int, fit_intercept: bool
) -> tuple[float, float, float]:
    """Weighted median (0 without an intercept), the MAD about it, and a spread.

    That is the MAD, and where it is 0, the MAD of the deviations that are not 0, which gross
    errors cannot inflate. (The penalty's unit is their root mean square then.) Of every
    ``step``-th ``y / unit``, or of all where these do not vary.
    """
    for stride in dict.fromkeys((step, 1)):
        sample = y[::stride] / unit
        part = None if weight is None else weight[::stride]
        centre = weighted_median(sample, part) if fit_intercept else 0.0
        width = spread = mad(sample, part, center=centre)
        if spread > 0.0:
            break
        moved = sample != centre
        if np.any((sample == 0.0) & (np.abs(y[::stride]) >= TINY)):
            raise too_far_apart(y)
        if moved.any():
            spread = mad(sample[moved], None if part is None else part[moved], center=centre)
            break
    return centre, width, spread


def objective_unit(loss: ConvexLoss, scale: float | None, y_unit: float) -> float:
    """The unit of F: that of y, or for squares at a given scale what these make of it."""
    if loss.homogeneity != 2 or scale is None:
        return y_unit
    return y_unit * (y_unit / scale)


def converted(
    loss: ConvexLoss, scale: float | None, penalty: Penalty, units: Units
) -> tuple[float | None, Penalty, float]:
    """The scale and the penalty in units of y, and what the user's alpha was multiplied by."""
    fixed, unit, alpha_unit = scale, units.width or 1.0, 1.0
    l1_ratio = penalty.l1_ratio if isinstance(penalty, ElasticNet) else 0.0
    if scale is not None:
        scaleless = loss.homogeneity in (1, 2)
        fixed = 1.0 if scaleless else scale_in_units(scale, units.y_unit, units.spread)
        if loss.homogeneity != 1:
            unit = fixed
        if loss.homogeneity == 2 and l1_ratio:
            # F goes with the square of y, as a ridge does, but an L1 norm with y
            unit = alpha_unit = scale_of_squares(scale, units.y_unit)
            if unit < 1.0:  # the same penalty, whose ridge does not become 0 with the L1 norm
                alpha_unit = unit * l1_ratio + (1.0 - l1_ratio)
                l1_ratio, unit = unit * l1_ratio / alpha_unit, 1.0
    if not isinstance(penalty, ElasticNet):
        value_unit = objective_unit(loss, scale, units.y_unit)
        if not 0.0 < value_unit < math.inf:
            raise out_of_range("objective", "y must be rescaled")
        return fixed, penalty.in_units(units.y_unit, value_unit), alpha_unit
    own = replace(penalty, alpha=alpha_unit * penalty.alpha, l1_ratio=l1_ratio, unit=unit)
    return fixed, penalty_in_range(own, penalty.alpha), alpha_unit

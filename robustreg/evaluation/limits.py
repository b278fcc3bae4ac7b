"""Errors where floating point cannot represent a result."""

from __future__ import annotations

import math

import numpy as np

from robustreg._arrays import TINY, Array
from robustreg.penalties import ElasticNet

FURTHEST_SCALE = 1e153  # from the spread of y, for a scale that is given


def scale_in_units(scale: float, y_unit: float, spread: float) -> float:
    """A scale as the user states it in units of y, near enough to the spread for squares."""
    own = scale / y_unit
    if spread > 0.0 and not spread / FURTHEST_SCALE <= own <= spread * FURTHEST_SCALE:
        raise ValueError(
            f"scale={scale!r} is too far from the spread of y, {spread * y_unit:.2g}, for their "
            f"ratio to have a square in float64; it must be within a factor of {FURTHEST_SCALE:g}."
        )
    return own


def scale_of_squares(scale: float, y_unit: float) -> float:
    """A given scale of squared errors, which is but a factor, in units of y."""
    relative = scale / y_unit
    if not 0.0 < relative < math.inf:
        raise ValueError(
            f"scale={scale!r} is out of the range of float64 beside a y of order {y_unit:.0e}: "
            "rescale y or choose another scale."
        )
    return relative


def penalty_in_range(penalty: ElasticNet, alpha: float) -> ElasticNet:
    """The penalty, if its derivatives in units of y are numbers; ``alpha`` is the user's."""
    if penalty.alpha < TINY <= alpha:
        raise ValueError(
            f"alpha={alpha!r} is too small for float64 in the units of this y: rescale y or "
            "choose a larger alpha."
        )
    if not penalty.slope + penalty.curvature < math.inf:
        raise ValueError(
            "alpha is too large for float64 in the units of this y: rescale y or choose a "
            "smaller alpha."
        )
    return penalty


def in_range(what: str, value: float, unit: float) -> float:
    """``value * unit``, or an error that says that it is beyond the range of float64."""
    scaled = float(value * unit) if value else 0.0
    if not math.isfinite(scaled) and math.isfinite(value):
        raise out_of_range(what, "y must be rescaled")
    return scaled


def out_of_range(what: str, advice: str) -> ValueError:
    """The error that says that a result is beyond the range of float64."""
    bounds = np.finfo(np.float64)
    return ValueError(
        f"The {what} of this fit cannot be represented in float64, whose range is from "
        f"{bounds.tiny:.2g} to {bounds.max:.2g}; {advice}."
    )


def too_far_apart(y: Array) -> ValueError:
    """The error that says that ratios of targets are beyond the range of float64."""
    size = np.abs(y)
    return ValueError(
        f"y holds values from {size[size > 0.0].min():.2g} to {size.max():.2g} in absolute value, "
        "too far apart for sums in float64; leave out or cut off the largest."
    )

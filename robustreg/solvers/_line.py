"""Points of a convex function with kinks, and the search along a step of Newton's method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg.penalties import NonSmooth

ARMIJO = 1e-4  # the share of the predicted decrease that a step must reach
FALLING = 0.5  # of the slope: a function that falls so steeply behind a step goes on falling


@dataclass(frozen=True)
class Point:
    """Where a function has been evaluated."""

    x: Array
    value: float
    gradient: Array  # of the smooth part
    kinks: NonSmooth | None

    @property
    def slope(self) -> float:
        """The largest component of the gradient, or of the subgradient closest to 0."""
        excess = self.gradient
        if self.kinks is not None:
            excess = self.kinks.excess(self.x, self.gradient)
        return float(np.abs(excess).max())

    def change(self, step: Array) -> float:
        """What a step changes, its smooth part to first order."""
        kinked = 0.0 if self.kinks is None else self.kinks.change(self.x, step)
        return float(self.gradient @ step) + kinked

    def slope_along(self, step: Array) -> float:
        """Derivative along a step; of its one-sided ones what is closest to 0 between them."""
        slope = float(self.gradient @ step)
        if self.kinks is None:
            return slope
        left, right = self.kinks.derivatives(self.x, step)
        return min(max(0.0, slope + left), slope + right)


def search(
    at: Callable[[Array], Point],
    slope_along: Any,
    point: Point,
    step: Array,
    change: float,
    negligible: bool,
    reach: float,
) -> tuple[Point | None, int, float]:
    """The full step if it decreases enough, else the least point along it.

    ``change`` is that of the step, to first order. Where the decrease is ``negligible``, lost in
    the rounding of the value, the slope along the step decides: for a convex function it says as
    much. A step that damping has left so short that the function falls on behind it is
    lengthened, up to ``reach`` times.

    Returns the point (None: no decrease), the evaluations spent and the share of the step.
    """
    share = 1.0
    for count in (1, 2, 3):
        trial = at(point.x + share * step)
        if (trial.x == point.x).all():
            break  # least here: the step was rounding over hardly any curvature
        if count == 1 and reach > 1.0 and trial.slope_along(step) < -FALLING * abs(change):
            slope = _total_slope(slope_along(point.x, step), point, step)
            share = _beyond(slope, reach)
            place = point.x + share * step
            further = at(place if point.kinks is None else point.kinks.allowed(place))
            if negligible or further.value < trial.value:
                return further, 2, share
            return trial, 2, 1.0
        if negligible:
            accepted = abs(trial.slope_along(step)) <= 0.5 * abs(change) or count == 2
        else:
            accepted = trial.value <= point.value + ARMIJO * share * change
        if accepted:
            return trial, count, share
        if count == 1:
            share = _least(_total_slope(slope_along(point.x, step), point, step), share)
        else:
            share *= 0.1
    return None, count, share


def _total_slope(smooth: Callable[[float], float], point: Point, step: Array) -> Any:
    """The slope along a step of the smooth part and of the kinks."""
    kinks, x = point.kinks, point.x
    if kinks is None:
        return smooth
    return lambda t: smooth(t) + kinks.derivatives(x + t * step, step)[1]


def _beyond(slope: Callable[[float], float], reach: float) -> float:
    """Zero of an increasing slope in (1, reach), to ten per cent, or reach."""
    high = 10.0
    while high < reach and slope(high) < 0:
        high *= 10.0
    high = min(high, reach)
    return high if slope(high) < 0 else _least(slope, high)


def _least(slope: Callable[[float], float], high: float) -> float:
    """Zero of an increasing slope in (0, high), to ten per cent, by bisection on its logarithm.

    Convexity makes the slope increasing; its pieces make interpolation unreliable.
    """
    low = 0.0
    for _ in range(60):
        middle = 0.5 * (low + high) if low > 0.05 * high else 0.2 * high
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
        if high - low <= 0.1 * high:
            break
    return low or high

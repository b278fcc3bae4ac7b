"""Check that a penalty is what it says: its methods against each other, at points of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np

from robustreg._arrays import Array
from robustreg.penalties._base import NonSmooth, Penalty

POINTS = 8  # of each kind: all coefficients, some, one, none
CLOSE = 1e-9  # relative: how far two ways to the same number may be apart
NEAR = 1e-7  # of a point: what derivatives are taken over
AGREE = 1e-5  # relative, of derivatives taken over differences
UNITS = (2.0**-30, 8.0)  # of coefficients and values


def check_penalty(penalty: Penalty, n_features: int) -> None:
    """Check a penalty of your own: its value, subgradients, conjugate and kinks, and its units.

    Asked are points with all, some, one and none of the coefficients at 0, and slopes at and
    around the subgradients there: that pen is at least 0, and 0 at 0; that its subgradients lie
    below it, which makes it convex; that the conjugate is no less than ``slope'beta - pen(beta)``
    anywhere, and as much at a subgradient; that ``share_within`` is 1 for subgradients; that the
    kinks change by as much as pen less its quadratic part, have its derivatives, know the
    subgradient closest to 0, and take the step that minimises a quadratic function plus them;
    that units change what they shall.

    :class:`robustreg.MRegressor` checks a penalty that is not this package's before a fit.

    Parameters
    ----------
    penalty : Penalty
        The penalty.
    n_features : int
        Number of coefficients.

    Raises
    ------
    ValueError
        If anything is wrong; the message names the method, the point, what was found and what is
        expected.
    TypeError
        If `penalty` is no `Penalty`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from robustreg.penalties import ElasticNet, check_penalty
    >>> check_penalty(ElasticNet(alpha=0.1, l1_ratio=0.5), n_features=3)
    >>> @dataclass(frozen=True)
    ... class Half(ElasticNet):
    ...     def conjugate(self, slope):
    ...         return 0.5 * super().conjugate(slope)
    >>> check_penalty(Half(alpha=1.0), n_features=1)
    Traceback (most recent call last):
    ...
    ValueError: Half.conjugate([5.4]) is 7.29, but slope'beta - pen(beta) is 8.8 at beta=[2].
    """
    if not isinstance(penalty, Penalty):
        raise TypeError(
            f"penalty must be a Penalty object such as ElasticNet(alpha=0.1), got {penalty!r}, "
            f"a {type(penalty).__name__}."
        )
    random = np.random.default_rng(0)
    points = [np.round(point, 1) for point in _points(n_features, random)]
    if penalty.positive:
        points = [np.abs(point) for point in points]
    _check_values(penalty, points)
    _check_slopes(penalty, points, random)
    _check_units(penalty, points)
    _check_kinks(penalty, points, random)


@lru_cache(maxsize=256)
def check_once(penalty: Penalty, n_features: int) -> None:
    """Check a penalty, unless it or one equal to it has passed before."""
    check_penalty(penalty, n_features)


def _points(count: int, random: np.random.Generator) -> list[Array]:
    found: list[Array] = [np.zeros(count)]
    for share in (1.0, 0.5, 0.0):
        for _ in range(POINTS):
            kept = random.random(count) < share
            kept[random.integers(count)] = True
            found.append(np.where(kept, random.normal(size=count), 0.0))
    return found


def _check_values(penalty: Penalty, points: list[Array]) -> None:
    for point in points:
        value = penalty.value(point)
        expected = "0" if not point.any() else "at least 0"
        if not (value == 0.0 if not point.any() else 0.0 <= value < np.inf):
            raise _wrong(penalty, "value", point, value, f"it must be {expected} there")


def _check_slopes(penalty: Penalty, points: list[Array], random: np.random.Generator) -> None:
    """Subgradients against values, and the conjugate against both."""
    for at in points:
        near = np.round(random.normal(size=len(at)), 1) * (penalty.slope + penalty.root_curvature)
        slope = penalty.subgradient(at, near)
        value = penalty.value(at)
        size = abs(value) + float(np.abs(slope) @ np.abs(at))
        for other in points:
            rise = penalty.value(other) - value
            least = float(slope @ (other - at))
            if rise < least - CLOSE * (size + abs(least)):
                raise ValueError(
                    f"{_name(penalty)}.subgradient({_show(at)}) is {_show(slope)}, but value rises "
                    f"by {rise:.6g} from there to {_show(other)}, less than that slope makes of "
                    f"it, {least:.6g}."
                )
        share = penalty.share_within(slope)
        if share < 1.0 - CLOSE:
            raise _wrong(penalty, "share_within", slope, share, "a subgradient must have 1")
        _check_conjugate(penalty, slope, [*points, at])
        outside = 3.0 * near + slope
        _check_conjugate(penalty, penalty.share_within(outside) * outside, points)
        if penalty.conjugate(slope) > slope @ at - value + CLOSE * size:
            expected = f"it must be slope'beta - pen(beta), {slope @ at - value:.6g}, at this "
            expected += f"subgradient of beta={_show(at)}"
            raise _wrong(penalty, "conjugate", slope, penalty.conjugate(slope), expected)


def _check_conjugate(penalty: Penalty, slope: Array, points: list[Array]) -> None:
    found = penalty.conjugate(slope)
    for point in points:
        for far in (1.0, 1e6):
            beta = far * point
            least = float(slope @ beta) - penalty.value(beta)
            size = float(np.abs(slope) @ np.abs(beta)) + penalty.value(beta)
            if found < least - CLOSE * size:
                expected = f"slope'beta - pen(beta) is {least:.6g} at beta={_show(beta)}"
                raise _wrong(penalty, "conjugate", slope, found, expected)


def _check_units(penalty: Penalty, points: list[Array]) -> None:
    coef_unit, value_unit = UNITS
    other = penalty.in_units(coef_unit, value_unit)
    for point in points:
        found, expected = other.value(point), penalty.value(coef_unit * point) / value_unit
        if abs(found - expected) > CLOSE * expected:
            name = f"in_units({coef_unit:.6g}, {value_unit:.6g}).value"
            raise _wrong(penalty, name, point, found, f"it must be {expected:.6g}")


def _check_kinks(penalty: Penalty, points: list[Array], random: np.random.Generator) -> None:
    """Kinks in variables of their own: one of them is no coefficient."""
    count = len(points[0])
    factor, size = random.uniform(0.5, 2.0, count), count + 1
    kinks = penalty.kinks(factor, size)
    if (kinks is None) == penalty.kinked:
        raise ValueError(
            f"{_name(penalty)}.kinks returns {kinks!r}, but kinked is {penalty.kinked}."
        )
    if kinks is None:
        return

    def value(x: Array) -> float:
        coef = factor * x[:count]
        return penalty.value(coef) - 0.5 * float(np.sum((penalty.root_curvature * coef) ** 2))

    places = [np.append(point / factor, 1.0) for point in points]
    steepest = penalty.slope or 1.0
    for x, to in pairwise(places):
        step = to - x
        change, expected = kinks.change(x, step), value(to) - value(x)
        if abs(change - expected) > CLOSE * (value(to) + value(x)):
            name = f"kinks(...).change({_show(x)}, step)"
            raise _found(penalty, name, change, f"h(x + step) - h(x) is {expected:.6g}")
        _check_derivatives(penalty, kinks, value, x, step)
        gradient = steepest * random.normal(size=size) * random.choice([0.1, 1.0, 3.0])
        root = random.normal(size=(size + 2, size))
        hessian = root.T @ root / size + np.eye(size)
        _check_step(penalty, kinks, hessian, gradient, x)


def _check_derivatives(
    penalty: Penalty,
    kinks: NonSmooth,
    value: Callable[[Array], float],
    x: Array,
    step: Array,
) -> None:
    t = NEAR
    numbers = kinks.derivatives(x, step)
    for side, found in zip((-t, t), numbers, strict=True):
        expected = (value(x + side * step) - value(x)) / side
        if not np.isfinite(expected):  # beyond a constraint
            continue
        if abs(found - expected) > AGREE * (abs(expected) + penalty.slope * np.abs(step).sum()):
            which = "left" if side < 0 else "right"
            name = f"kinks(...).derivatives({_show(x)}, {_show(step)}) from the {which}"
            raise _found(penalty, name, found, f"that of value is {expected:.6g}")


def _check_step(
    penalty: Penalty, kinks: NonSmooth, hessian: Array, gradient: Array, x: Array
) -> None:
    """Where a step ends nothing is left of the slopes, and the excess lets h fall elsewhere."""
    excess = kinks.excess(x, gradient)
    falls = -float(excess @ excess)
    slope = float(gradient @ -excess) + kinks.derivatives(x, -excess)[1]
    if slope > 0.5 * falls + CLOSE * abs(falls):
        name = f"kinks(...).excess({_show(x)}, {_show(gradient)})"
        expected = f"against it f + h changes by {slope:.6g}, not by minus its square"
        raise _found(penalty, name, _show(excess), expected)
    step = kinks.step(hessian, gradient, x)
    if step is None or not np.isfinite(step).all():
        raise _found(penalty, "kinks(...).step", step, "the matrix is regular")
    left = kinks.excess(x + step, gradient + hessian @ step)
    size = np.abs(gradient).max() + penalty.slope + np.abs(hessian @ step).max()
    if np.abs(left).max() > 1e-6 * size:
        name = f"kinks(...).step(hessian, {_show(gradient)}, {_show(x)})"
        expected = f"the slopes left at its end are {_show(left)}"
        raise _found(penalty, name, _show(step), expected)


def _name(penalty: Penalty) -> str:
    return type(penalty).__name__


def _show(values: Array) -> str:
    return "[" + ", ".join(f"{value:.6g}" for value in values) + "]"


def _wrong(penalty: Penalty, method: str, point: Array, found: float, expected: str) -> ValueError:
    return _found(penalty, f"{method}({_show(point)})", found, expected)


def _found(penalty: Penalty, call: str, found: object, expected: str) -> ValueError:
    number = f"{found:.6g}" if isinstance(found, float) else str(found)
    return ValueError(f"{_name(penalty)}.{call} is {number}, but {expected}.")

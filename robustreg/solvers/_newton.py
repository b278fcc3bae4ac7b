"""Semismooth Newton: a ``method=`` for :func:`scipy.optimize.minimize`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array
from robustreg._linalg.factors import length
from robustreg.penalties import NonSmooth
from robustreg.solvers._ended import Ended
from robustreg.solvers._line import Point, search
from robustreg.solvers._newton_steps import (
    MAX_DAMPING,
    Solve,
    model_step,
    perspective_step,
    propose,
    reach_of,
)

NOISE = 1e-9  # decreases below this share of the value may be rounding: sums can cancel
STUCK = 1e3 * EPS  # decreases below this share certainly are
# Steps within the rounding of the value that do not halve the gradient: where that is level but
# for rounding, and where it is not. Beside a gross error no step of the others shows in the value.
MAX_STALLED, MAX_STALLED_ON_SLOPE = 4, 40
LEVEL = 1e-6  # of the gradient's typical terms
NO_DAMPING = 1e-5  # relative to the largest curvature
STATUS = {
    Ended.FINISHED: "The Newton step is below xtol.",
    Ended.MAX_ITER: "max_iter reached.",
    Ended.NO_DECREASE: "No further decrease in floating point.",
    Ended.AT_BOUND: "A variable reached its stop value.",
    Ended.BELOW_LEAST: "The value fell below its least.",
    Ended.OUT_OF_RANGE: "Numbers left the floating-point range.",
}


class NewtonOptions(NamedTuple):
    """Options of :func:`semismooth_newton`.

    Attributes
    ----------
    kinks : NonSmooth, default=None
        The part h of the function; None is 0. ``x0`` must keep its constraints.
    slope_along : callable, default=None
        ``slope_along(x, d)`` returns the function ``t -> (d/dt) f(x + t d)``, where that is
        cheaper than a gradient; None uses the gradient.
    step_size : callable, default=None
        ``step_size(x, d)``: length of a step in the units of ``xtol``; None is its norm.
    xtol : float, default=1e-10
        Convergence when a full Newton step is shorter than this.
    max_iter : int, default=100
        Iterations, each with at least one evaluation.
    floor : float, default=0.0
        Stop, with status 3, once a bounded variable is less than this above its bound.
    least : float, default=-inf
        Stop, with status 4, once ``fun`` is below this: a minimum, if there is one, is not.
    rounding : float, default=0.0
        Differences of ``fun`` up to here are rounding, besides a share of its value.
    typical_slope : callable, default=None
        ``typical_slope()``: the size of the terms that sum up to the gradient at the point
        evaluated last. None: no gradient is large.
    unseen : bool, default=False
        Whether the last step is taken without an evaluation at its end: ``fun`` and ``jac`` of
        the result are those before it.
    perspective : bool, default=False
        The last variable is a scale s > 0, and f is ``s h(r / s)``, r affine in the others, plus
        something linear. Without kinks, steps then follow the quadratic model of h, not of f:
        where h is piecewise quadratic, the method again ends at the minimiser itself.
    """

    kinks: NonSmooth | None = None
    slope_along: Callable[[Array, Array], Callable[[float], float]] | None = None
    step_size: Callable[[Array, Array], float] | None = None
    xtol: float = 1e-10
    max_iter: int = 100
    floor: float = 0.0
    least: float = -np.inf
    rounding: float = 0.0
    typical_slope: Callable[[], float] | None = None
    unseen: bool = False
    perspective: bool = False

    @classmethod
    def among(cls, options: dict[str, Any]) -> NewtonOptions:
        """Those of the options that are ours; ``minimize`` hands over its own, too."""
        return cls(**{name: options[name] for name in cls._fields if name in options})


def semismooth_newton(
    fun: Callable[..., float],
    x0: Array,
    args: tuple[Any, ...] = (),
    *,
    jac: Callable[..., Array],
    hess: Callable[..., Array],
    bounds: Any = None,
    **options: Any,
) -> OptimizeResult:
    """Minimise a convex function with a Lipschitz gradient by damped Newton steps.

    Steps solve ``(H + damping diag) d = -g`` with an element H of the gradient's
    generalised Jacobian (Qi and Sun, 1993). A full step is tried first; a rejected one is
    shortened to about the least point along its direction, then damped
    as Levenberg and Marquardt do, which also covers a singular H. For piecewise quadratic
    functions the method ends at the exact minimiser after finitely many steps.

    With ``kinks`` the function is ``f + h``, f smooth and h as in
    :class:`robustreg.penalties.NonSmooth`; d then minimises the quadratic model of f plus h
    (a proximal Newton step; Lee, Sun and Saunders, 2014), and variables become exactly 0.

    Parameters
    ----------
    fun, x0, args, jac, hess, bounds
        As in :func:`scipy.optimize.minimize`; of the bounds only finite lower ones are
        used. The variables should be scaled such that H is near a multiple of I. Of a
        function with kinks, ``fun`` is ``f + h``, ``jac`` and ``hess`` are those of f.
    **options
        The attributes of :class:`NewtonOptions`; others are ignored.

    Returns
    -------
    OptimizeResult
        With ``x``, ``fun``, ``jac``, ``nit``, ``nfev``, ``status``, ``success``, ``message``
        and ``step``, the length of the last Newton step.
    """
    if args:
        fun, jac, hess = (_with_args(function, args) for function in (fun, jac, hess))
    own = NewtonOptions.among(options)
    descent = _Descent(_Function(fun, jac, hess, own.kinks), x0, _lower(bounds, len(x0)), own)
    status = Ended.MAX_ITER
    while descent.iterations < own.max_iter and status == Ended.MAX_ITER:
        status = descent.advance()
    return OptimizeResult(
        x=descent.point.x + descent.beyond,
        fun=descent.point.value,
        jac=descent.point.gradient,
        nit=descent.iterations,
        nfev=descent.evaluations,
        status=status,
        success=status in (Ended.FINISHED, Ended.NO_DECREASE),
        message=STATUS[status],
        step=descent.step_length,
    )


class _Function(NamedTuple):
    """The function and its derivatives."""

    fun: Callable[[Array], float]
    jac: Callable[[Array], Array]
    hess: Callable[[Array], Any]
    kinks: NonSmooth | None

    def at(self, x: Array) -> Point:
        return Point(x, self.fun(x), self.jac(x), self.kinks)


class _Descent:
    """Where Newton steps have led to, and what the next one depends on."""

    def __init__(self, function: _Function, x0: Array, lower: Array, own: NewtonOptions) -> None:
        self.function, self.own = function, own
        self.lower, self.bounded = lower, np.flatnonzero(np.isfinite(lower))
        self.floors = [(k, float(lower[k]) + own.floor) for k in self.bounded.tolist()]
        self.distance = own.step_size or (lambda _, step: length(step))
        self.typical = own.typical_slope or (lambda: np.inf)
        along_ray = own.perspective and own.kinks is None
        self.solve: Solve = perspective_step if along_ray else model_step
        self.point = function.at(x0.copy())
        self.iterations, self.evaluations, self.step_length = 0, 1, np.inf
        self.damping, self.stalls = 0.0, _Stalls()
        self.beyond: Array | float = 0.0  # the last step, where nothing is evaluated at its end

    def along(self, x: Array, step: Array) -> Callable[[float], float]:
        """The derivative along a step."""
        if self.own.slope_along is not None:
            return self.own.slope_along(x, step)
        return lambda t: float(self.function.jac(x + t * step) @ step)

    def advance(self) -> Ended:
        """Take a Newton step, or dampen the next one; MAX_ITER where it goes on."""
        own, point = self.own, self.point
        self.iterations += 1
        hessian = self.function.hess(point.x)
        step, self.damping, room = propose(
            hessian, point, self.damping, self.lower, self.bounded, self.solve
        )
        self.step_length = np.inf if step is None else self.distance(point.x, step)
        if step is None or not math.isfinite(self.step_length):
            return Ended.OUT_OF_RANGE
        change = point.change(step)
        negligible = -change <= NOISE * abs(point.value) + own.rounding
        if self.step_length <= own.xtol and (negligible or not self.damping):
            step *= min(1.0, room)
            if own.unseen:
                self.beyond = step
            elif self.step_length > 0.1 * own.xtol or self._lands(step):
                self._polish(step)
            return Ended.FINISHED
        lost = -change <= STUCK * abs(point.value) + own.rounding
        if room < 1.0:
            step *= room
            change = point.change(step)
        reach = reach_of(point, step, self.lower, self.bounded) if self.damping else 1.0
        trial, count, share = search(
            self.function.at, self.along, point, step, change, negligible, reach
        )
        self.evaluations += count
        if trial is None:
            ended = self.damping >= MAX_DAMPING
            self.damping = max(10.0 * self.damping, 1e-2)
            return Ended.NO_DECREASE if ended else Ended.MAX_ITER
        if share >= 0.5:
            self.damping = 0.1 * self.damping if self.damping > NO_DAMPING else 0.0
        self.point = trial
        stalled = negligible and self.stalls.end(trial.slope, self.typical, lost)
        return self._ended(Ended.NO_DECREASE if stalled else Ended.MAX_ITER)

    def _ended(self, so_far: Ended) -> Ended:
        """Whether a bound or the least value has been reached; else what is known so far."""
        if self.point.value < self.own.least:
            return Ended.BELOW_LEAST
        x = self.point.x
        return Ended.AT_BOUND if any(x[k] < floor for k, floor in self.floors) else so_far

    def _lands(self, step: Array) -> bool:
        """Whether a step ends at a kink with a variable that was next to it: it is exactly 0."""
        x = self.point.x
        return self.point.kinks is not None and bool(np.any((x != 0.0) & (x + step == 0.0)))

    def _polish(self, step: Array) -> None:
        """Go to the end of a last step, if the gradient is smaller there or it lands.

        One more step brings the gradient to rounding.
        """
        last = self.function.at(self.point.x + step)
        self.evaluations += 1
        if last.slope < self.point.slope or self._lands(step):
            self.point = last


@dataclass
class _Stalls:
    """Steps whose decrease may be rounding of the value: slopes tell how far they lead."""

    count: int = 0
    smallest: float = np.inf

    def end(self, slope: float, typical: Callable[[], float], lost: bool) -> bool:
        """Whether one more such step ends the iteration, at a slope, beside its typical terms.

        ``lost``: its decrease is rounding for certain.
        """
        self.count = 0 if slope <= 0.5 * self.smallest else self.count + 1
        self.smallest = min(self.smallest, slope)
        if self.count < MAX_STALLED:
            return False
        return self.count >= MAX_STALLED_ON_SLOPE or (lost and slope <= LEVEL * typical())


def _with_args(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Array], Any]:
    return lambda x: function(x, *args)


def _lower(bounds: Any, size: int) -> Array:
    """Lower bounds from a Bounds object or a sequence of pairs, -inf where there are none."""
    if bounds is None:
        return np.full(size, -np.inf)
    if not hasattr(bounds, "lb"):
        return np.array([-np.inf if low is None else low for low, _ in bounds], dtype=float)
    return np.broadcast_to(np.asarray(bounds.lb, dtype=float), size)

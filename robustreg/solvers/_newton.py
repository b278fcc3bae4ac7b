"""Semismooth Newton: a ``method=`` for :func:`scipy.optimize.minimize`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import EPS, Array, Index
from robustreg._compat import minres
from robustreg._linalg.factors import LEAST_PIVOT, cholesky_solve, length
from robustreg.penalties._kinks import Kinks, Root, quadratic_step, squared
from robustreg.solvers._ended import Ended
from robustreg.solvers._line import Point, search

KEEP_FROM_BOUND = 0.1  # a bounded variable keeps this share of its distance to the bound
NOISE = 1e-9  # decreases below this share of the value may be rounding: sums can cancel
STUCK = 1e3 * EPS  # decreases below this share certainly are
MIN_ROOM = 0.1
FEW_KINKS = 1e-3  # scales: shorter steps are taken to cross no kinks of psi
# Steps within the rounding of the value that do not halve the gradient: where that is level but
# for rounding, and where it is not. Beside a gross error no step of the others shows in the value.
MAX_STALLED, MAX_STALLED_ON_SLOPE = 4, 40
LEVEL = 1e-6  # of the gradient's typical terms
MAX_DAMPING = 1e8
LEAST_DAMPING = 1e-9  # relative to the largest curvature; of a root it goes squared
FARTHEST = 1e12  # a step that damping keeps short is lengthened at most so many times
NO_DAMPING = 1e-5  # relative to the largest curvature
STATUS = {
    Ended.FINISHED: "The Newton step is below xtol.",
    Ended.MAX_ITER: "max_iter reached.",
    Ended.NO_DECREASE: "No further decrease in floating point.",
    Ended.AT_BOUND: "A variable reached its stop value.",
    Ended.BELOW_LEAST: "The value fell below its least.",
    Ended.OUT_OF_RANGE: "Numbers left the floating-point range.",
}


def semismooth_newton(
    fun: Callable[..., float],
    x0: Array,
    args: tuple[Any, ...] = (),
    *,
    jac: Callable[..., Array],
    hess: Callable[..., Array],
    bounds: Any = None,
    kinks: Kinks | None = None,
    slope_along: Callable[[Array, Array], Callable[[float], float]] | None = None,
    step_size: Callable[[Array, Array], float] | None = None,
    xtol: float = 1e-10,
    max_iter: int = 100,
    floor: float = 0.0,
    least: float = -np.inf,
    rounding: float = 0.0,
    typical_slope: Callable[[], float] | None = None,
    perspective: bool = False,
    **unused: Any,
) -> OptimizeResult:
    """Minimise a convex function with a Lipschitz gradient by damped Newton steps.

    Steps solve ``(H + damping diag) d = -g`` with an element H of the gradient's
    generalised Jacobian (Qi and Sun, 1993). A full step is tried first; a rejected one is
    shortened to about the least point along its direction, then damped
    as Levenberg and Marquardt do, which also covers a singular H. For piecewise quadratic
    functions the method ends at the exact minimiser after finitely many steps.

    With ``kinks`` the function is ``f + h``, f smooth and h as in
    :class:`robustreg.penalties._kinks.Kinks`; d then minimises the quadratic model of f plus h
    (a proximal Newton step; Lee, Sun and Saunders, 2014), and variables become exactly 0.

    Parameters
    ----------
    fun, x0, args, jac, hess, bounds
        As in :func:`scipy.optimize.minimize`; of the bounds only finite lower ones are
        used. The variables should be scaled such that H is near a multiple of I. Of a
        function with kinks, ``fun`` is ``f + h``, ``jac`` and ``hess`` are those of f.
    kinks : Kinks, default=None
        The part h; None is 0. ``x0`` must keep its constraints.
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
    perspective : bool, default=False
        The last variable is a scale s > 0, and f is ``s h(r / s)``, r affine in the others, plus
        something linear. Without kinks, steps then follow the quadratic model of h, not of f:
        where h is piecewise quadratic, the method again ends at the minimiser itself.

    Returns
    -------
    OptimizeResult
        With ``x``, ``fun``, ``jac``, ``nit``, ``nfev``, ``status``, ``success``, ``message``
        and ``step``, the length of the last Newton step.
    """
    if args:
        fun, jac, hess = (_with_args(function, args) for function in (fun, jac, hess))
    lower = _lower(bounds, len(x0))
    bounded = np.flatnonzero(np.isfinite(lower))
    distance = step_size or (lambda _, step: length(step))
    along = slope_along or (lambda x, step: lambda t: float(jac(x + t * step) @ step))
    typical = typical_slope or (lambda: np.inf)
    solve = _perspective_step if perspective and kinks is None else _model_step

    def at(x: Array) -> Point:
        return Point(x, fun(x), jac(x), kinks)

    point = at(x0.copy())
    damping, status, step_length, evaluations = 0.0, Ended.MAX_ITER, np.inf, 1
    iterations, rejected, stalls = 0, False, _Stalls()
    while iterations < max_iter and status == Ended.MAX_ITER:
        iterations += 1
        if rejected:
            fun(point.x)  # the Hessian belongs to the point evaluated last
        step, damping, room = _propose(hess(point.x), point, damping, lower, bounded, solve)
        step_length = np.inf if step is None else distance(point.x, step)
        if step is None or not math.isfinite(step_length):
            status = Ended.OUT_OF_RANGE
            break
        change = point.change(step)
        negligible = -change <= NOISE * abs(point.value) + rounding
        if step_length <= xtol and (negligible or not damping):
            status = Ended.FINISHED
            if step_length > 0.1 * xtol:  # one more evaluation brings the gradient to rounding
                point, evaluations = _polish(at, point, min(1.0, room) * step), evaluations + 1
            break
        lost = -change <= STUCK * abs(point.value) + rounding
        if room < 1.0:
            step *= room
            change = point.change(step)
        reach = _reach(point, step, lower, bounded) if damping else 1.0
        trial, count, share = search(at, along, point, step, change, negligible, reach)
        evaluations += count
        rejected = trial is None
        if trial is None:
            status = Ended.NO_DECREASE if damping >= MAX_DAMPING else Ended.MAX_ITER
            damping = max(10.0 * damping, 1e-2)
            continue
        if negligible and stalls.end(trial.slope, typical, lost):
            status = Ended.NO_DECREASE
        point = trial
        if share >= 0.5:
            damping = 0.1 * damping if damping > NO_DAMPING else 0.0
        if np.any(point.x[bounded] - lower[bounded] < floor):
            status = Ended.AT_BOUND
        if point.value < least:
            status = Ended.BELOW_LEAST
    return OptimizeResult(
        x=point.x,
        fun=point.value,
        jac=point.gradient,
        nit=iterations,
        nfev=evaluations,
        status=status,
        success=status in (Ended.FINISHED, Ended.NO_DECREASE),
        message=STATUS[status],
        step=step_length,
    )


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


Solve = Callable[[Any, Point, float], Array | None]


def _with_args(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[Array], Any]:
    return lambda x: function(x, *args)


def _lower(bounds: Any, size: int) -> Array:
    """Lower bounds from a Bounds object or a sequence of pairs, -inf where there are none."""
    if bounds is None:
        return np.full(size, -np.inf)
    if not hasattr(bounds, "lb"):
        return np.array([-np.inf if low is None else low for low, _ in bounds], dtype=float)
    return np.broadcast_to(np.asarray(bounds.lb, dtype=float), size)


def _newton_step(
    hessian: Array | Root | LinearOperator, point: Point, damping: float, solve: Solve
) -> tuple[Array | None, float]:
    """Solve for the step, damping until the matrix is positive definite; None: it is not finite."""
    if isinstance(hessian, LinearOperator):
        return minres(hessian, -point.gradient, rtol=1e-12, shift=-damping, maxiter=500), damping
    while damping <= 10.0 * MAX_DAMPING:
        step = solve(_damped(hessian, damping), point, 0.0 if damping else LEAST_PIVOT)
        if step is not None:
            return step, damping
        damping = _more(damping, hessian)
    return None, damping


def _damped(hessian: Array | Root, damping: float) -> Array | Root:
    """The matrix plus a multiple of the identity, relative to the largest curvature."""
    if not damping:
        return hessian
    reference = float(np.max(np.diag(squared(hessian)), initial=0.0)) or 1.0
    if isinstance(hessian, Root):
        return hessian.plus(damping * reference)
    return hessian + damping * reference * np.eye(len(hessian))


def _more(damping: float, hessian: Array | Root) -> float:
    """Ten times the damping, or the least that makes a difference to a singular matrix."""
    return max(10.0 * damping, LEAST_DAMPING**2 if isinstance(hessian, Root) else LEAST_DAMPING)


def _model_step(hessian: Array | Root, point: Point, least: float) -> Array | None:
    """The minimiser of the quadratic model; None where its matrix is singular."""
    if point.kinks is not None:
        return quadratic_step(hessian, point.gradient, point.x, point.kinks)
    if isinstance(hessian, Root):
        return hessian.solve(-point.gradient)
    return cholesky_solve(hessian, -point.gradient, least)


def _perspective_step(hessian: Array, point: Point, least: float) -> Array | None:
    """The minimiser d of the model ``g'd + d'H d / (2 t)`` with the scale ``t s`` after the step.

    That is the perspective of the quadratic model of h, so that the scale follows the others to
    second order: d is the Newton step e of these for a given scale, times t, and ``(t - 1) s``
    times the way on which they and the scale rise together, the column v of the inverse of H
    that belongs to s, over v_s. Its slope in t vanishes where

        t^-2 = 1 + (2 s g'v + c v_s g'e) / s^2,    c = 1.

    A step across many kinks also changes psi', and c becomes the mean of psi' + z psi'' over
    that of psi', with z the arguments of h; for Gaussian z the former is the mean of z^2 psi' (by
    parts), and in white coordinates the ratio that of the scale's curvature to the others'.
    With any c in [0, 1], 0 being about Newton's step, d leads downhill.
    """
    gradient, scale = point.gradient, float(point.x[-1])
    sides = np.zeros((len(gradient), 2))
    sides[:, 0], sides[-1, 1] = -gradient, 1.0
    solved = cholesky_solve(hessian, sides, least)
    if solved is None:
        return None
    newton, column = solved.T
    ds, v_s = solved[-1].tolist()  # H is symmetric: g'v = -ds
    others = newton - (ds / v_s) * column  # e
    gain = -float(gradient @ others)  # e'H e
    *curvatures, own = hessian.diagonal().tolist()
    mean = sum(curvatures) / max(1, len(curvatures))
    across = gain / scale > mean * scale * FEW_KINKS**2
    share = own / mean if across and own < mean else 1.0
    square = 1.0 - (2.0 * ds + share * v_s * gain / scale) / scale
    factor = min(max(square, KEEP_FROM_BOUND**2), KEEP_FROM_BOUND**-2) ** -0.5
    return factor * others + ((factor - 1.0) * scale / v_s) * column


def _propose(
    hessian: Array | Root | LinearOperator,
    point: Point,
    damping: float,
    lower: Array,
    bounded: Index,
    solve: Solve,
) -> tuple[Array | None, float, float]:
    """Step (None: there is none), damping, and the share of it that the bounds leave room for."""
    step, damping = _newton_step(hessian, point, damping, solve)
    while step is not None:
        room = _room(point.x[bounded], step[bounded], lower[bounded])
        if not (room < MIN_ROOM and damping < MAX_DAMPING):
            return step, damping, room
        # a mix of directions, not a tiny step
        step, damping = _newton_step(hessian, point, _more(damping, hessian), solve)
    return None, damping, 0.0


def _polish(at: Callable[[Array], Point], point: Point, step: Array) -> Point:
    """The point after a last step, if its gradient is smaller."""
    last = at(point.x + step)
    return last if last.slope < point.slope else point


def _room(x: Array, step: Array, lower: Array) -> float:
    """The share of the step that leaves the bounded variables their share of the distance.

    The step is then shortened as a whole: near a bound that is the optimum the direction
    matters more than the length, F falls along a ray there and rises off it.
    """
    reach = 1.0 - KEEP_FROM_BOUND
    moves = zip(x.tolist(), step.tolist(), lower.tolist(), strict=True)
    return min((reach * (at - low) / -by for at, by, low in moves if by < 0), default=np.inf)


def _reach(point: Point, step: Array, lower: Array, bounded: Index) -> float:
    """How many steps one of damping may be lengthened to: as many as the constraints allow."""
    reach = _room(point.x[bounded], step[bounded], lower[bounded])
    if point.kinks is not None:
        held = point.kinks.positive & (step < 0)
        reach = min(reach, float(np.min(point.x[held] / -step[held], initial=np.inf)))
    return max(1.0, min(reach, FARTHEST))

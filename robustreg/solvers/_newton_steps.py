"""Steps of Newton's method: of a model, damped where that is singular, within bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import Array, Index
from robustreg._compat import minres
from robustreg._linalg.factors import LEAST_PIVOT, cholesky_solve
from robustreg.penalties._kinks import Root, squared
from robustreg.solvers._line import Point

KEEP_FROM_BOUND = 0.1  # a bounded variable keeps this share of its distance to the bound
MIN_ROOM = 0.1
FEW_KINKS = 1e-3  # scales: shorter steps are taken to cross no kinks of psi
MAX_DAMPING = 1e8
LEAST_DAMPING = 1e-9  # relative to the largest curvature; of a root it goes squared
MOST_STRETCHED = 1e12  # a step that damping keeps short is lengthened at most so many times

Solve = Callable[[Any, Point, float], Array | None]


class Inexact(ABC):
    """A matrix that finds Newton's steps by itself, as exactly as they deserve."""

    @abstractmethod
    def step(self, gradient: Array, damping: float) -> Array | None:
        """The step, damped by a multiple of the identity; None: there is none."""


def _newton_step(
    hessian: Array | Root | LinearOperator | Inexact, point: Point, damping: float, solve: Solve
) -> tuple[Array | None, float]:
    """Solve for the step, damping until the matrix is positive definite; None: it is not finite."""
    if isinstance(hessian, Inexact):
        return hessian.step(point.gradient, damping), damping
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


def _more(damping: float, hessian: Any) -> float:
    """Ten times the damping, or the least that makes a difference to a singular matrix."""
    return max(10.0 * damping, LEAST_DAMPING**2 if isinstance(hessian, Root) else LEAST_DAMPING)


def model_step(hessian: Array | Root, point: Point, least: float) -> Array | None:
    """The minimiser of the quadratic model; None where its matrix is singular."""
    if point.kinks is not None:
        return point.kinks.step(hessian, point.gradient, point.x)
    if isinstance(hessian, Root):
        return hessian.solve(-point.gradient)
    return cholesky_solve(hessian, -point.gradient, least)


def perspective_step(hessian: Array, point: Point, least: float) -> Array | None:
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


def propose(
    hessian: Array | Root | LinearOperator | Inexact,
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


def _room(x: Array, step: Array, lower: Array) -> float:
    """The share of the step that leaves the bounded variables their share of the distance.

    The step is then shortened as a whole: near a bound that is the optimum the direction
    matters more than the length, F falls along a ray there and rises off it.
    """
    reach = 1.0 - KEEP_FROM_BOUND
    moves = zip(x.tolist(), step.tolist(), lower.tolist(), strict=True)
    return min((reach * (at - low) / -by for at, by, low in moves if by < 0), default=np.inf)


def reach_of(point: Point, step: Array, lower: Array, bounded: Index) -> float:
    """How many steps one of damping may be lengthened to: as many as the constraints allow."""
    reach = _room(point.x[bounded], step[bounded], lower[bounded])
    if point.kinks is not None:
        held = point.kinks.positive & (step < 0)
        reach = min(reach, float(np.min(point.x[held] / -step[held], initial=np.inf)))
    return max(1.0, min(reach, MOST_STRETCHED))

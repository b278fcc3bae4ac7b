"""The central path of a programme: where every complementarity product is the same mu.

Adding ``mu [log(high - nu) + log(nu - low)]`` to every row of the dual rounds the loss off:

    phi(r) = max over nu of  nu r + mu [log(high - nu) + log(nu - low)],

attained where ``r = p - q`` with ``p = mu / (high - nu)`` and ``q = mu / (nu - low)``. The
point of the central path at mu is thus the minimiser of a smooth convex function, with
``phi' = nu`` and ``phi'' = 1 / (p / up + q / down)``, and damped Newton steps find it from
anywhere: this is what an interior point method can fall back on whose steps jam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from robustreg._arrays import Array, Index
from robustreg.solvers._ended import Ended
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers.programme.rows import Programme

MAX_NEWTON = 50
CLOSE = 0.1  # change of any slack of nu by the last step, as a share of it


class Point(NamedTuple):
    """Primal and dual variables, or a step of them.

    The slacks of nu are kept apart from it: a row with a huge residual needs one far below
    the rounding of 1.

    Attributes
    ----------
    theta : ndarray of shape (size,)
        Coordinates.
    nu : ndarray of shape (n_rows,)
        Dual variables.
    slack : ndarray of shape (2, n_rows)
        ``up = high - nu`` and ``down = nu - low``.
    parts : ndarray of shape (2, n_rows)
        p and q, the parts of the residuals above and below 0.
    """

    theta: Array
    nu: Array
    slack: Array
    parts: Array

    @property
    def doubt(self) -> Array:
        """What tends to 0 for rows that end at residual 0, and to infinity for others.

        Of p + q and the slack of nu, complementary as they are, one tends to 0.
        """
        return self.parts.sum(axis=0) / np.minimum(*self.slack)

    def rows(self, index: Index) -> Point:
        """The same of some of the rows."""
        return Point(self.theta, self.nu[index], self.slack[:, index], self.parts[:, index])

    def move(self, step: Point, primal: float, dual: float) -> Point:
        """The point after a step of different lengths in the primal and the dual variables."""
        return Point(
            self.theta + primal * step.theta,
            self.nu + dual * step.nu,
            self.slack + dual * step.slack,
            self.parts + primal * step.parts,
        )


def barrier_of(ratio: Array) -> Array:
    """How much nu changes with r, ``phi''``, from ``p / up`` and ``q / down``."""
    return 1.0 / (ratio[0] + ratio[1])


def central_point(programme: Programme, theta: Array, mu: float) -> Point:
    """The point over theta where every ``up p`` and ``down q`` is mu.

    With ``p - q = r`` and ``up + down = L`` the smaller slack of nu is the positive root s of
    ``|r| s^2 - (2 mu + |r| L) s + mu L = 0``, here without cancellation.
    """
    r = programme.residuals(theta)
    size, length = np.abs(r), programme.high - programme.low
    bent = 2.0 * mu + size * length
    with np.errstate(over="ignore", invalid="ignore"):
        root = np.sqrt(bent * bent - 4.0 * size * mu * length)
    if not np.isfinite(root).all():  # the same without squares
        share = 2.0 * mu / bent
        root = bent * np.sqrt(1.0 - 2.0 * share * (1.0 - share))
    smaller = 2.0 * mu * length / (bent + root)
    slack = np.where(r > 0, [smaller, length - smaller], [length - smaller, smaller])
    nu = np.where(r > 0, programme.high - smaller, programme.low + smaller)
    return Point(theta, nu, slack, mu / slack)


def majorised(programme: Programme, theta: Array, residual: Array, mu: float) -> Array:
    """A step down, without damping, towards the point of the central path at mu.

    To the minimum of parabolas that touch phi at the residuals and are nowhere below: with m the
    middle between the bounds and d half of their distance, the slope of phi is ``m + c r`` with
    ``c = d^2 / (mu + sqrt(mu^2 + r^2 d^2))``, which falls with the size of r.
    """
    middle = 0.5 * (programme.high + programme.low)
    square = np.square(0.5 * (programme.high - programme.low))
    curvature = square / (mu + np.sqrt(mu * mu + np.square(residual) * square))
    solve = programme.solver(curvature)
    if solve is None:
        return theta
    step = solve(programme.imbalance(theta, middle + curvature * residual))
    return theta + step if np.isfinite(step).all() else theta


def centred(
    programme: Programme, theta: Array, mu: float, max_iter: int
) -> tuple[Point | None, int]:
    """The point of the central path at mu, by Newton steps from theta, and their number.

    None where they do not arrive, as with a mu near rounding.
    """
    point = central_point(programme, theta, mu)

    def value(theta: Array) -> tuple[float, Array]:
        nonlocal point
        point = central_point(programme, theta, mu)
        (up, down), (p, q) = point.slack, point.parts
        phi = point.nu * (p - q) + mu * np.log(up * down)
        pull = programme.pull(theta)
        loss = programme.average(phi) + 0.5 * float(theta @ pull)
        return loss, pull - programme.slopes(point.nu)

    def curvature(_: Array) -> Array:
        return programme.gram(barrier()) + programme.ridge

    def barrier() -> Array:
        with np.errstate(over="ignore"):  # 0 is the right answer
            return barrier_of(point.parts / point.slack)

    def largest_change(_: Array, step: Array) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # a step out of range is not taken
            change = barrier() * programme.fitted(step) / np.minimum(*point.slack)
            return float(np.abs(change).max())

    fit = minimize(
        value,
        theta,
        jac=True,
        hess=curvature,
        method=semismooth_newton,
        options={"xtol": CLOSE, "max_iter": min(max_iter, MAX_NEWTON), "step_size": largest_change},
    )
    arrived = fit.status == Ended.FINISHED
    return central_point(programme, fit.x, mu) if arrived else None, int(fit.nit)

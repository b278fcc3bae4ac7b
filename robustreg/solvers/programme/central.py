"""The central path of a programme: where every complementarity product is the same mu.

Adding ``mu [log(high - nu) + log(nu - low)]`` to every row of the dual rounds the loss off:

    phi(r) = max over nu of  nu r + mu [log(high - nu) + log(nu - low)],

attained where ``r = p - q`` with ``p = mu / (high - nu)`` and ``q = mu / (nu - low)``. The
point of the central path at mu is thus the minimiser of a smooth convex function, with
``phi' = nu`` and ``phi'' = 1 / (p / up + q / down)``, and damped Newton steps find it from
anywhere: this is what an interior point method can fall back on whose steps jam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from robustreg._arrays import Array
from robustreg.solvers._ended import Ended
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers.programme.rows import Programme

MAX_NEWTON = 50
CLOSE = 0.1  # change of any slack of nu by the last step, as a share of it


@dataclass(frozen=True)
class Point:
    """Primal and dual variables.

    The slacks of nu are kept apart from it: a row with a huge residual needs one far below
    the rounding of 1.
    """

    theta: Array
    nu: Array
    up: Array
    down: Array
    p: Array
    q: Array

    @property
    def barrier(self) -> Array:
        """How much nu changes with r, ``phi''``."""
        with np.errstate(over="ignore"):  # 0 is the right answer
            return 1.0 / (self.p / self.up + self.q / self.down)

    def move(self, step: Point, primal: float, dual: float) -> Point:
        """The point after a step of different lengths in the primal and the dual variables."""
        return Point(
            self.theta + primal * step.theta,
            self.nu + dual * step.nu,
            self.up + dual * step.up,
            self.down + dual * step.down,
            self.p + primal * step.p,
            self.q + primal * step.q,
        )


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
    up = np.where(r > 0, smaller, length - smaller)
    down = np.where(r > 0, length - smaller, smaller)
    return Point(
        theta,
        np.where(r > 0, programme.high - up, programme.low + down),
        up,
        down,
        mu / up,
        mu / down,
    )


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
        phi = point.nu * (point.p - point.q) + mu * np.log(point.up * point.down)
        pull = programme.pull(theta)
        loss = programme.average(phi) + 0.5 * float(theta @ pull)
        return loss, pull - programme.slopes(point.nu)

    def curvature(_: Array) -> Array:
        return programme.gram(point.barrier) + programme.ridge

    def largest_change(_: Array, step: Array) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # a step out of range is not taken
            change = point.barrier * programme.fitted(step) / np.minimum(point.up, point.down)
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

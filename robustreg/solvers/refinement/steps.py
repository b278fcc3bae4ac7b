"""Newton steps of a problem in twice the working precision.

Whatever the place, its nu, corrected by the linearisation along a Newton step, balance the slopes
of all columns to nearly 32 digits. They bound F from below by Fenchel's inequality.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from robustreg._arrays import EPS, Array
from robustreg._linalg.precise import Precise, Triangle, concatenated
from robustreg.evaluation.problem import Problem
from robustreg.solvers.refinement.columns import Columns, lower_bound
from robustreg.solvers.refinement.envelope import Envelope

KEPT = 0.9  # share of the way to a scale of 0 that a step may go
DAMPED = 1e-10  # of the largest curvature: what makes a singular Hessian regular
JAMMED, FREE = 0.1, 0.5  # of a step: after shorter ones damping grows, after longer ones it shrinks
MORE = 1e3  # ... by this factor
CORRECTIONS = 2  # of a step, by what it leaves of its equations
NEARER = 0.1  # of its slope: where a search along a step ends
LONGER = 4.0  # a step at whose end F still falls is lengthened by this factor
FARTHEST_POINT, HALVINGS = 1e40, 60

E = TypeVar("E", bound=Envelope)


@dataclass(frozen=True)
class Place:
    """Coordinates, the intercept at the columns' centres, and the scale."""

    u: Precise
    intercept: Precise
    sigma: Precise


@dataclass(frozen=True)
class Slopes:
    """What F is like at a place: nu of the rows and of the penalty's kinks, and curvatures."""

    residual: Precise
    z: Precise
    nu: Precise
    curvature: Array  # of nu by the residual
    kinked: Precise
    kink_curvature: Array


@dataclass(frozen=True)
class Step:
    """A step of all unknowns, the gradient, and what it changes: u, predictions, the scale."""

    theta: Precise
    gradient: Precise
    u: Precise
    fitted: Precise
    sigma: Precise

    def decrement(self) -> float:
        """By how much F falls along it, to first order."""
        return -float((self.gradient * self.theta).sum().rounded())


class Steps(Generic[E]):
    """Newton steps from a place, and the best bound of F that they have met.

    Parameters
    ----------
    problem : Problem
        The problem; its targets may have been brought in.
    columns : Columns
        Its rows.
    place : Place
        Where steps begin.
    rows, kinks : Envelope or None
        What stands for a loss homogeneous of degree 1, and for the kinks of the penalty.
    at_zero : bool
        Whether a joint scale is taken for 0.

    Attributes
    ----------
    place : Place
        Where they have come to.
    bound : float
        What F is at least, anywhere.
    """

    def __init__(
        self,
        problem: Problem,
        columns: Columns,
        place: Place,
        rows: E | None,
        kinks: E | None,
        at_zero: bool,
    ) -> None:
        self.problem, self.columns, self.place = problem, columns, place
        self.rows, self.kinks, self.at_zero = rows, kinks, at_zero
        self.loss, self.penalty = problem.loss, problem.penalty
        self.ridge: Array = (self.penalty.root_curvature / columns.unit) ** 2
        self.bound, self.damping = -math.inf, 0.0

    @property
    def joint(self) -> bool:
        """Whether the scale is one of the unknowns."""
        return self.problem.joint and not self.at_zero

    @property
    def homogeneous(self) -> bool:
        """Whether the loss is of degree 1 as it is, or at a scale of 0."""
        return self.at_zero or self.loss.homogeneity == 1

    def row_bounds(self) -> tuple[Array, Array]:
        """Between which nu the loss of every row is the largest ``nu r``, if homogeneous."""
        low, high = self.loss.conjugate_domain
        return np.full(self.problem.n, low), np.full(self.problem.n, high)

    def kink_bounds(self) -> tuple[Array, Array]:
        """The same of the penalty's kinks, in the coordinates u."""
        high = self.penalty.slope / self.columns.unit
        return (np.full(len(high), -np.inf) if self.penalty.positive else -high), high

    def at_scale_of_residuals(self) -> Place:
        """The place with the mean absolute residual for its scale."""
        size = float(self.columns.share @ np.abs(self._residual(self.place).high))
        return replace(self.place, sigma=Precise(size))

    def value(self) -> float:
        """F at the place."""
        coef = self.place.u.rounded() / self.columns.unit
        return self.value_of(self._residual(self.place).rounded()) + self.penalty.value(coef)

    def value_of(self, residual: Array) -> float:
        """F without its penalty, of residuals."""
        sigma = self.problem.scale_or(float(self.place.sigma.high))
        losses = self.problem.losses(residual, sigma)
        own = self.loss.kappa * sigma if self.problem.joint else 0.0
        return float(Precise(self.columns.share * losses).sum().rounded()) + own

    def _residual(self, place: Place) -> Precise:
        return self.columns.y - self.columns.design @ place.u - place.intercept

    def _slopes(self, place: Place, residual: Precise, kept: bool = False) -> Slopes:
        if self.rows is not None:
            z, nu = Precise(np.zeros(residual.shape)), self.rows.slopes(residual, kept)
            curvature = self.rows.curvature
        else:
            z = residual / place.sigma
            prime = self.loss.psi_prime(z.high)
            nu = Precise(self.loss.psi(z.high)) + Precise(z.low) * prime
            curvature = prime / place.sigma.high
        kinked = Precise(np.zeros(len(self.ridge)))
        kink_curvature: Array = np.zeros(len(self.ridge))
        if self.kinks is not None:
            kinked = self.kinks.slopes(place.u, kept)
            kink_curvature = self.kinks.curvature
        return Slopes(residual, z, nu, curvature, kinked, kink_curvature)

    def _gradient(self, place: Place, here: Slopes) -> Precise:
        """Of F by the unknowns ``[along u, intercept, scale]``."""
        weighted = here.nu * self.columns.share
        slopes = -(self.columns.along.T @ weighted)
        if self.columns.basis is None:
            slopes = slopes + place.u * self.ridge + here.kinked
        parts = [slopes]
        if self.problem.fit_intercept:
            parts.append(-weighted.sum()[None])
        if self.joint:
            parts.append(self._scale_slope(here)[None])
        return concatenated(parts)

    def _scale_slope(self, here: Slopes) -> Precise:
        conjugate = Precise(self.columns.share * self.loss.conjugate_of_psi(here.z.high)).sum()
        return self.loss.kappa - conjugate

    def _equations(self, here: Slopes) -> Equations | None:
        """Those of Newton steps; a singular Hessian is damped. None where that does not help."""
        along = self.columns.along
        n, m = along.shape
        design = [along]
        if self.problem.fit_intercept:
            design.append(Precise(np.ones((n, 1))))
        if self.joint:
            design.append(here.z[:, None])
        rows = concatenated(design, axis=1)
        pull: Array = np.zeros(rows.shape[1])
        if self.columns.basis is None:
            pull[:m] = self.ridge + here.kink_curvature
        equations = self._damped(rows, here, pull)
        if equations.singular:
            self.damping = max(self.damping, DAMPED)
            equations = self._damped(rows, here, pull)
        if equations.singular:  # X leaves directions open itself
            steepest = float((self.columns.share @ along.high**2).max(initial=0.0))
            equations = self._damped(rows, here, pull + self.damping * steepest * self._stiffest())
        return None if equations.singular else equations

    def _damped(self, rows: Precise, here: Slopes, pull: Array) -> Equations:
        """With some more curvature of all rows: that asks for the same steps of collinear columns.

        Damped on their own, coefficients that collinear columns need would hardly move.
        """
        curvature = here.curvature + self.damping * self._stiffest()
        return Equations(rows, self.columns.share * curvature, pull)

    def _newton(self, here: Slopes) -> tuple[Equations, Step] | None:
        """The equations at the place and the Newton step; None where there is none."""
        equations = self._equations(here)
        if equations is None:
            return None
        step = self._step(equations, self._gradient(self.place, here))
        return (equations, step) if np.isfinite(step.theta.high).all() else None

    def _step(self, equations: Equations, gradient: Precise) -> Step:
        """The Newton step of a gradient."""
        along, theta = self.columns.along, equations.solve(-gradient)
        m = along.shape[1]
        u = theta[:m] if self.columns.basis is None else Precise(self.columns.basis) @ theta[:m]
        fitted = along @ theta[:m]
        if self.problem.fit_intercept:
            fitted = fitted + theta[m]
        return Step(theta, gradient, u, fitted, theta[-1] if self.joint else Precise(0.0))

    def _bound(self, here: Slopes, step: Step) -> Precise:
        """The nu that a step leads to, after their bound of F has been taken."""
        nu = here.nu - (step.fitted + here.z * step.sigma) * here.curvature
        sigma = self.problem.scale or 0.0
        bound = lower_bound(self.problem, self.columns, nu, here.residual, self.place.u, sigma)
        self.bound = max(self.bound, bound)
        return nu

    def _stiffest(self) -> float:
        """The largest curvature that a row may have."""
        if self.rows is not None:
            return self.rows.stiffest
        return float(self.loss.curvature / self.place.sigma.high)

    def _share(self, here: Slopes, step: Step) -> float:
        """The share of a step to about the least point along it; more than 1 is possible."""
        share = self.columns.share

        def slope(t: float) -> float:
            place = self._moved(step, t)
            there = self._slopes(place, here.residual - step.fitted * t)
            value = -(there.nu * share * step.fitted).sum()
            if self.columns.basis is None:
                value = value + ((place.u * self.ridge + there.kinked) * step.u).sum()
            if self.joint:
                value = value + self._scale_slope(there) * step.sigma
            return float(value.rounded())

        first = -step.decrement()
        noise = EPS * float(share @ np.abs(here.nu.high * step.fitted.high))
        return least_share(slope, first, noise, self._farthest(step))

    def _farthest(self, step: Step) -> float:
        """How many steps may be gone in its direction: a scale remains positive."""
        if self.joint and step.sigma.high < 0.0:
            return KEPT * float(self.place.sigma.high / -step.sigma.high)
        return FARTHEST_POINT

    def _moved(self, step: Step, t: float) -> Place:
        m, theta = self.columns.along.shape[1], step.theta
        u, intercept, sigma = self.place.u, self.place.intercept, self.place.sigma
        if self.problem.fit_intercept:
            intercept = intercept + theta[m] * t
        return Place(u + step.u * t, intercept, sigma + step.sigma * t)

    def _damp(self, share: float) -> None:
        """Damp the next step more after a short one, and less after a long one."""
        if share < JAMMED:
            self.damping = MORE * max(self.damping, DAMPED)
        elif share >= FREE:
            self.damping = self.damping / MORE if self.damping > DAMPED else 0.0


class Equations:
    """``H x = side`` with ``H = rows' weight rows + diag(pull)``."""

    def __init__(self, rows: Precise, weight: Array, pull: Array) -> None:
        self.rows, self.weight, self.pull = rows, weight, pull
        some, kinds = np.flatnonzero(weight > 0.0), np.flatnonzero(pull > 0.0)
        extra = np.zeros((len(kinds), len(pull)))
        extra[np.arange(len(kinds)), kinds] = np.sqrt(pull[kinds])
        root = np.sqrt(weight[some])[:, None]
        self.triangle = Triangle(concatenated([rows[some] * root, Precise(extra)]))

    @property
    def singular(self) -> bool:
        """Whether x is not determined."""
        return self.triangle.rank < len(self.pull)

    def solve(self, side: Precise) -> Precise:
        """The x, corrected by what it leaves of the equations."""
        x = self.triangle.solve(side)
        for _ in range(CORRECTIONS):
            product = self.rows.T @ ((self.rows @ x) * self.weight) + x * self.pull
            x = x + self.triangle.solve(side - product)
        return x


def least_share(slope: Callable[[float], float], first: float, noise: float, most: float) -> float:
    """Where the slope of a convex function, which is ``first`` < 0 at 0, is about 0.

    1 where it is small there already, or ``first`` is ``noise``; at most ``most``.
    """
    low, t = 0.0, min(1.0, most)
    here = slope(t)
    if abs(here) <= NEARER * abs(first) or abs(first) <= noise:
        return t
    while here < 0.0:
        low = t
        if t >= most:
            return t
        t = min(LONGER * t, most)
        here = slope(t)
    high = t
    for _ in range(HALVINGS):
        t = 0.5 * (low + high)
        here = slope(t)
        if abs(here) <= NEARER * abs(first):
            break
        low, high = (t, high) if here < 0.0 else (low, t)
    return t

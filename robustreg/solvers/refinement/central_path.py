"""The central path of a problem with kinks, followed in twice the working precision.

With a barrier, ``h(x) = max of nu x over low <= nu <= high`` becomes
``max of nu x + mu log(high - nu) + mu log(nu - low)``. The points that minimise F then lie on a
smooth path, which ends at the optimum of F as mu falls to 0. Newton steps follow it from
anywhere: a few at each mu, and one along the path to the next. A loss with bounded psi and a
fixed scale far below the residuals takes part by its scale, which falls like mu from where all
rows are in its centre.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.precise import Precise
from robustreg.evaluation.problem import Problem
from robustreg.solvers._minimise import width
from robustreg.solvers.refinement.columns import Columns
from robustreg.solvers.refinement.envelope import Barrier
from robustreg.solvers.refinement.proximal import Proximal
from robustreg.solvers.refinement.steps import Place, Slopes, Step, Steps

LOWERED = 0.1  # what is left of mu from one point to the next
CENTRED = 0.1  # of mu: the decrement of a Newton step at points that are near enough to the path
LAST = 1e-10  # of F: the mu at which the path ends
TO_BOUNDARY = 0.99  # share of the way that coefficients may go which must remain positive
LEAST = 1e-3  # of the spread of y: what these begin with


class CentralPath(Steps[Barrier]):
    """Steps along the path of a problem, for which it must have one: see ``has_path``."""

    def __init__(
        self, problem: Problem, columns: Columns, place: Place, at_zero: bool = False
    ) -> None:
        super().__init__(problem, columns, place, None, None, at_zero)
        if at_zero:
            self.place = replace(place, sigma=Precise(0.0))
        low, high = problem.loss.conjugate_domain
        residual = np.abs(self._residual(place).high)
        size = max(float(columns.share @ residual), problem.spread)
        self.mu = size * (0.5 * (high - low) if np.isfinite(high) else 1.0)
        self.narrows = self.settled = False
        if self.homogeneous:
            self.rows = Barrier(*self.row_bounds(), np.full(problem.n, self.mu))
        elif problem.scale is not None and np.isfinite(high):
            self.narrows = True
            scale = max(size / width(problem.loss), problem.scale)
            self.place = replace(self.place, sigma=Precise(scale))
        if problem.penalty.kinked:
            k = len(self.ridge)
            self.kinks = Barrier(*self.kink_bounds(), np.full(k, self.mu / max(k, 1)))
        if problem.penalty.positive:
            inner = np.maximum(self.place.u.high, self._least())
            self.place = replace(self.place, u=Precise(inner))

    def _least(self) -> Array:
        """Where coefficients begin that must be positive: what that costs is no more than mu."""
        assert self.kinks is not None
        share, never = self.kinks.mu, np.full(len(self.ridge), np.inf)
        linear = np.divide(share, self.kinks.high, out=never.copy(), where=self.kinks.high > 0.0)
        square = np.divide(share, self.ridge, out=never, where=self.ridge > 0.0)
        return np.minimum(LEAST * self.problem.spread, np.minimum(linear, np.sqrt(square)))

    @property
    def has_path(self) -> bool:
        """Whether there is anything that falls."""
        return self.narrows or self.rows is not None or self.kinks is not None

    def advance(self) -> bool:
        """Look at the place, and move one step on; False at the end, or where there is no step."""
        if self.settled:
            return False
        residual = self._residual(self.place)
        here = self._slopes(self.place, residual)
        newton = self._newton(here)
        if newton is None:
            return False
        equations, step = newton
        self._bound(here, step)
        centred = step.decrement() <= CENTRED * self.mu
        self.settled = centred and self._has_ended()
        if centred and not self.settled:
            drifted = self._drifted(here)
            ahead = self._step(equations, self._gradient(self.place, drifted))
            self._bound(drifted, ahead)
            here, step = self._lowered(residual, ahead) or (here, step)
        share = self._share(here, step)
        self.place = self._moved(step, share)
        self._damp(share)
        return True

    def proximal(self) -> Proximal:
        """Steps of the proximal point method from here, with the nu of the path for centres."""
        here = self._slopes(self.place, self._residual(self.place))
        place = self.place
        if self.narrows:
            place = replace(place, sigma=Precise(self.problem.scale))
        other = Proximal(
            self.problem, self.columns, place, self.at_zero, nu=here.nu, kinked=here.kinked
        )
        other.bound = self.bound
        return other

    def _has_ended(self) -> bool:
        if self.narrows and float(self.place.sigma.high) > self._next_scale():
            return False
        return self.mu <= LAST * self.value()

    def _next_scale(self) -> float:
        return max(LOWERED * float(self.place.sigma.high), self.problem.scale or 0.0)

    def _drifted(self, here: Slopes) -> Slopes:
        """The slopes at the next mu, to first order."""
        change = LOWERED - 1.0
        if self.rows is not None:
            here = replace(here, nu=here.nu + self.rows.drift * change)
        elif self.narrows:  # psi(r / s) falls by psi' z ds / s as s rises
            change_of_scale = self._next_scale() - float(self.place.sigma.high)
            here = replace(here, nu=here.nu - here.curvature * here.z.high * change_of_scale)
        if self.kinks is not None:
            here = replace(here, kinked=here.kinked + self.kinks.drift * change)
        return here

    def _lowered(self, residual: Precise, step: Step) -> tuple[Slopes, Step] | None:
        """The slopes at the next mu, and the step to it; None, and no change, if it leads up."""
        before = self.place, self.rows, self.kinks
        if self.rows is not None:
            self.rows = replace(self.rows, mu=LOWERED * self.rows.mu)
        elif self.narrows:
            self.place = replace(self.place, sigma=Precise(self._next_scale()))
        if self.kinks is not None:
            self.kinks = replace(self.kinks, mu=LOWERED * self.kinks.mu)
        there = self._slopes(self.place, residual)
        step = replace(step, gradient=self._gradient(self.place, there))
        if step.decrement() > 0.0:
            self.mu *= LOWERED
            return there, step
        self.place, self.rows, self.kinks = before
        return None

    def _farthest(self, step: Step) -> float:
        most = super()._farthest(step)
        if self.penalty.positive:
            u, by = self.place.u.high, step.u.high
            most = min(most, TO_BOUNDARY * float(np.min(u[by < 0] / -by[by < 0], initial=np.inf)))
        return most

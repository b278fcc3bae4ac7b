"""The proximal point method with semismooth Newton steps, in twice the working precision.

Absolute deviations, quantiles, the limit of a loss at scale 0, L1 norms and sign constraints are
sums of functions ``h(x) = max of nu x over low <= nu <= high``. Smoothed about a centre c with a
width t, ``max of nu x - t (nu - c)^2 / 2``, they have the slopes ``nu = clip(c + x / t)``, and F
has a gradient that Newton steps bring to 0. With these nu for new centres this is repeated: the
minimum is that of F itself after a few rounds (Rockafellar, 1976; with Newton steps: Li, Sun and
Toh, 2018). It is the method of choice near the optimum: from a good fit one step mostly suffices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from robustreg._arrays import EPS, Array, Mask
from robustreg._linalg.precise import Precise
from robustreg._median import weighted_median
from robustreg.evaluation.problem import Problem
from robustreg.solvers.refinement.columns import Columns
from robustreg.solvers.refinement.envelope import Smoothed
from robustreg.solvers.refinement.steps import JAMMED, Place, Steps

WIDTH = 1e-4  # of typical residuals, and a tenth of it of typical coefficients
LEAST_TYPICAL = 1e-3  # of the spread of y: coefficients that are typical at least
WIDER = 10.0  # short steps meet too many kinks: widths grow by this factor
ROUNDS = 2  # with new centres before it is seen anew which x are between the kinks
SETTLED = 1e-6  # of its slope: so little is nu off its centre where a coefficient is 0


class Proximal(Steps[Smoothed]):
    """Steps of the proximal point method.

    Parameters
    ----------
    problem, columns, place, at_zero
        As of :class:`robustreg.solvers.refinement.steps.Steps`.
    nu, kinked : Precise, default=None
        Centres; None is 0.
    """

    def __init__(
        self,
        problem: Problem,
        columns: Columns,
        place: Place,
        at_zero: bool = False,
        nu: Precise | None = None,
        kinked: Precise | None = None,
    ) -> None:
        super().__init__(problem, columns, place, None, None, at_zero)
        self.rounds = 0
        if self.homogeneous:
            self._smooth_rows()
        if problem.penalty.kinked:
            self.kinks = self._smoothed_kinks()
        if self.rows is not None and nu is not None:
            self.rows.recentre(nu)
        if self.kinks is not None and kinked is not None:
            self.kinks.recentre(kinked)

    def advance(self) -> bool:
        """Look at the place, and move one step on; False where no step is defined."""
        kept = self.rounds > 0
        here = self._slopes(self.place, self._residual(self.place), kept)
        newton = self._newton(here)
        if newton is None:
            return False
        _, step = newton
        nu, kinked = self._bound(here, step), here.kinked + step.u * here.kink_curvature
        before = self._inside()
        share = min(1.0, self._farthest(step)) if kept else self._share(here, step)
        self.place = self._moved(step, share)
        if kept:
            self.rounds -= 1
            self._recentre(nu, kinked)
        elif len(before):
            self._slopes(self.place, self._residual(self.place))
            if share == 1.0 and np.array_equal(before, self._inside()):
                self.rounds = ROUNDS if before.sum() <= len(step.theta.high) else 0
                self._recentre(nu, kinked)
                self._widen(1.0 / WIDER)
            elif share < JAMMED:
                self._widen(WIDER)
        self._damp(share)
        return True

    def settled(self) -> Mask:
        """Which coefficients are 0, but for rounding and what is left of the smoothing."""
        if self.kinks is None:
            return np.zeros(len(self.ridge), dtype=bool)
        size = np.abs(self.place.u.high) / self.kinks.width
        return self.kinks.inside & (size <= SETTLED * _positive(self.kinks.high))

    def _smooth_rows(self) -> None:
        """Put the smoothed rows in the place of the loss, which has no scale then."""
        if self.at_zero:
            self.place = replace(self.place, sigma=Precise(0.0))
        columns = self.columns
        residual = np.abs(self._residual(self.place).high)
        some = residual[residual > 0.0]
        typical = weighted_median(some) if len(some) else 0.0
        terms = np.abs(columns.design.high) @ np.abs(self.place.u.high) + np.abs(columns.y)
        width = np.maximum(WIDTH * typical, 10.0 * EPS * terms)
        low, high = self.row_bounds()
        self.rows = Smoothed(low, high, width, Precise(np.zeros(len(width))))

    def _smoothed_kinks(self) -> Smoothed:
        size = np.abs(self.place.u.high)
        some = size[size > 0.0]
        typical = float(np.median(some)) if len(some) else 0.0
        typical = max(typical, LEAST_TYPICAL * self.problem.spread)
        low, high = self.kink_bounds()
        width = 0.1 * WIDTH * typical / _positive(high)
        return Smoothed(low, high, width, Precise(np.zeros(len(width))))

    def _inside(self) -> Mask:
        """Which rows and coefficients are between the kinks of what has been smoothed."""
        masks = [each.inside for each in (self.rows, self.kinks) if each is not None]
        return np.concatenate([np.zeros(0, dtype=bool), *masks])

    def _widen(self, factor: float) -> None:
        for each in (self.rows, self.kinks):
            if each is not None:
                each.width = factor * each.width

    def _recentre(self, nu: Precise, kinked: Precise) -> None:
        if self.rows is not None:
            self.rows.recentre(nu)
        if self.kinks is not None:
            self.kinks.recentre(kinked)


def _positive(slopes: Array) -> Array:
    """The slopes of an L1 norm, 1 where there is none."""
    return np.where(slopes > 0.0, slopes, 1.0)

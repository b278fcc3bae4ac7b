"""A descent to an S or M-estimate, of which a pass over all rows brings the sums for a step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robustreg._arrays import SUMMED, Array
from robustreg._linalg.factors import length
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import newton_step
from robustreg.subsampling.descent import (
    CLOSE,
    LEFT,
    NEAR,
    NOISE,
    SOLVED,
    XTOL,
    newton_change,
    reweighted_change,
)
from robustreg.subsampling.equations import OnPlane, Place, Sums

UNCERTAIN = 4.0  # times the square of its last relative change is what a scale may be off
LONGEST = 0.5  # scales: a Newton step that may be taken
SHORT = 1e-4  # scales: one from which on steps are those of Newton's method at its best


@dataclass(frozen=True)
class Law:
    """What a descent goes by: the M-scale, or the loss at a given scale.

    Attributes
    ----------
    loss : ResidualLoss
        The loss whose equations coefficients solve.
    target : float or None
        What ``sum w rho`` is at the scale; None where that is given.
    total, zero : float
        The sum of the weights, and up to what size residuals are 0.
    chi : ResidualLoss or None
        The loss that the scale's rho is of, if that is another one. Then nothing falls on the way.
    """

    loss: ResidualLoss
    target: float | None
    total: float
    zero: float
    chi: ResidualLoss | None = None

    def level(self, sums: Sums, scale: float) -> float:
        """The scale, as near as one of Newton's steps leads to it; a given one is as it is."""
        if self.target is None:
            return scale
        rho, slope = np.array([sums.rho]), np.array([0.5 * sums.lever])
        with np.errstate(over="ignore"):
            return float(newton_step(rho, slope, self.target, np.array([scale]))[0])

    def value(self, sums: Sums, scale: float) -> tuple[float, float]:
        """What must fall on the way, and how uncertain it is, relatively.

        A scale that one step of Newton's has moved by a share of it is off by about the square.
        """
        if self.target is None:
            return sums.rho, NOISE
        if self.chi is not None:
            return 0.0, 0.0
        level = self.level(sums, scale)
        return level, NOISE + UNCERTAIN * float(np.log(level / scale)) ** 2

    def is_exact(self, sums: Sums | OnPlane) -> bool:
        """Whether so many rows are on a plane that its scale is 0."""
        if self.target is None:
            return False
        most = (self.chi or self.loss).sup_rho
        return sums.off * most <= self.target * (1.0 + SUMMED)

    def newton(self, sums: Sums) -> tuple[Array, float, bool]:
        """The step of coefficients and scale together, in scales; whether it is to a minimum."""
        change, minimum = newton_change(sums.gram, sums.pull, self.total)
        if self.target is None:
            return change, 0.0, minimum
        turned, _ = newton_change(sums.gram, sums.turn, self.total)
        slope = sums.lever - float(sums.fall @ turned)
        if not slope > 0.0:
            return change, np.inf, False
        widened = (sums.rho - self.target - float(sums.fall @ change)) / slope
        return change - widened * turned, widened, minimum

    def is_solved(self, sums: Sums) -> bool:
        """Whether the equations hold."""
        missed = 0.0 if self.target is None else abs(sums.rho - self.target)
        return max(length(sums.pull), missed) <= SOLVED * self.total


@dataclass(frozen=True)
class Walk:
    """A descent as far as it has come.

    Attributes
    ----------
    law : Law
        What it goes by.
    place : Place
        Where it asks for sums next.
    last : float
        The size of the step that led there, in scales.
    steps : int
        How many there were.
    before : Place or None
        Where it came from.
    value, slack : float
        What the criterion was there, and how uncertain that is.
    mean_rho : float
        The mean loss where sums were asked for last, at the end that of the place.
    ended, converged, exact : bool
        Whether it has come to an end, at a local minimum, at a plane that most rows are on.
    """

    law: Law
    place: Place
    last: float = 0.5 * NEAR
    steps: int = 0
    before: Place | None = None
    value: float = np.inf
    slack: float = 0.0
    mean_rho: float = np.nan
    ended: bool = False
    converged: bool = False
    exact: bool = False

    def after(self, sums: Sums) -> Walk:
        """Where it goes by the sums that it has asked for."""
        law, here = self.law, self.place
        if law.is_exact(sums):
            return replace(self, value=0.0, ended=True, exact=True, converged=True)
        value, slack = law.value(sums, here.scale)
        if not value <= self.value * (1.0 + max(slack, self.slack)):
            return self._back(sums)
        known = replace(self, value=value, slack=slack, mean_rho=sums.rho / law.total)
        if here.reweighted:
            return known._reweighted(sums)
        if law.is_solved(sums):
            return replace(known, ended=True, converged=True)
        return known._newton(sums)

    def _back(self, sums: Sums) -> Walk:
        """Where the criterion has risen: another step from the place before."""
        before = self.before
        if before is None or before.reweighted:  # no step goes down, but for rounding
            solved = before is not None and self.last < NEAR
            converged = solved and length(sums.pull) <= LEFT * self.law.total
            place = self.place if before is None else before
            return replace(self, place=place, ended=True, converged=converged)
        return replace(self, place=before._replace(reweighted=True), before=None, last=np.inf)

    def _newton(self, sums: Sums) -> Walk:
        law, here = self.law, self.place
        change, widened, minimum = law.newton(sums)
        size = max(length(change), abs(widened))
        if minimum and self.last < CLOSE and size > min(0.5 * self.last, NEAR):
            return replace(self, ended=True, converged=True)  # steps have become rounding
        shrinks = law.chi is None or not self._is_second or size <= 0.5 * self.last
        if not (size <= LONGEST and self.last < NEAR and (minimum or size > XTOL) and shrinks):
            return replace(self, place=here._replace(reweighted=True), before=None)
        theta = here.theta + here.scale * change
        place = Place(theta, here.scale * (1.0 + widened))
        # a step that moves nothing is below the rounding of its place, and so would all others be
        still = place.scale == here.scale and np.array_equal(theta, here.theta)
        done = self._leaves(size) <= XTOL or still
        fallen = 0.5 * float(sums.pull @ change) / law.total  # by Newton's parabola
        return replace(
            self,
            place=place,
            before=here,
            last=size,
            steps=self.steps + 1,
            mean_rho=self.mean_rho - (fallen if done else 0.0),
            ended=done,
            converged=done and minimum,
        )

    @property
    def _is_second(self) -> bool:
        """Whether a Newton step has led to the place."""
        return self.before is not None and not self.before.reweighted

    def _leaves(self, size: float) -> float:
        """The size of the step that a Newton step of some size will leave to be taken.

        It is about ``c size^2`` where this one is ``c last^2``, which ten times it is safe from.
        """
        if size > SHORT or not self._is_second:
            return size
        return min(size, 10.0 * size * (size / self.last) ** 2)

    def _reweighted(self, sums: Sums) -> Walk:
        law, here = self.law, self.place
        change = reweighted_change(sums.gram, sums.pull, law.total)
        size = length(change)
        scale = law.level(sums, here.scale)
        theta = here.theta + here.scale * change
        return replace(
            self,
            place=Place(theta, max(scale, law.zero), reweighted=size >= NEAR),
            before=here,
            last=size,
            steps=self.steps + 1,
        )

"""S and M estimates of high breakdown of a long table, in passes over all of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np

from robustreg._arrays import SUMMED, Array
from robustreg._linalg.factors import length
from robustreg.evaluation.reading import NotFiniteError
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import expected_rho, newton_step
from robustreg.sources._surveyed import not_here
from robustreg.subsampling.criteria import SmallScale
from robustreg.subsampling.descent import (
    CLOSE,
    LEFT,
    NEAR,
    NOISE,
    REFINEMENTS,
    SOLVED,
    XTOL,
    Base,
    Fit,
    descend_to_small_scale,
    newton_change,
    reweighted_change,
)
from robustreg.subsampling.equations import Equations, OnPlane, Place, Several, SumOnPlane, Sums
from robustreg.subsampling.estimates import ROUNDS, Sample
from robustreg.subsampling.whole import WholeTable

# Of the optima of a sample those are followed on all rows whose criterion there is no higher than
# this, relative to the best: four times what chance makes of it in a sample of 65 536 rows.
FOLLOWED = 0.05
HIGHER = 0.01  # relative: what is not followed any more once the best has ended
UNCERTAIN = 4.0  # times the square of its last relative change is what a scale may be off
LONGEST = 0.5  # scales: a Newton step that may be taken
SHORT = 1e-4  # scales: one from which on steps are those of Newton's method at its best
SAME = 1e-3  # scales: candidates this near are one
NEAR_ENOUGH, MOST_STEPS = 1e-3, 100  # relative: how near a scale is known before a descent begins


class FitOfAll(NamedTuple):
    """A fit to all rows, whose ``residual`` is that of the sample's rows, and its mean loss."""

    fit: Fit
    mean_rho: float


class HasFit(Protocol):
    """A fit to all rows, and what is known of it: a named tuple."""

    @property
    def fit(self) -> Fit:
        """The fit."""

    def _replace(self, *, fit: Fit = ...) -> Self:
        """The same with another fit."""


class Exactness(Protocol):
    """What says whether a plane that so many rows are off is all that a criterion sees."""

    def is_exact(self, sums: OnPlane, /) -> bool:
        """Whether it is."""


Found = TypeVar("Found", bound=HasFit)


@dataclass(frozen=True)
class Law:
    """What a descent goes by: the M-scale, or the loss at a given scale."""

    loss: ResidualLoss
    target: float | None  # of ``sum w rho``; None where the scale is given
    total: float
    zero: float

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
        level = self.level(sums, scale)
        return level, NOISE + UNCERTAIN * float(np.log(level / scale)) ** 2

    def is_exact(self, sums: Sums | OnPlane) -> bool:
        """Whether so many rows are on a plane that its scale is 0."""
        if self.target is None:
            return False
        return sums.off * self.loss.sup_rho <= self.target * (1.0 + SUMMED)

    def newton(self, sums: Sums) -> tuple[Array, float, bool]:
        """The step of coefficients and scale together, in scales; whether it is to a minimum."""
        change, minimum = newton_change(sums.gram, sums.pull, self.total)
        if self.target is None:
            return change, 0.0, minimum
        turned, _ = newton_change(sums.gram, sums.turn, self.total)
        slope = sums.lever - float(sums.pull @ turned)
        if not slope > 0.0:
            return change, np.inf, False
        widened = (sums.rho - self.target - float(sums.pull @ change)) / slope
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
        if not (size <= LONGEST and self.last < NEAR and (minimum or size > XTOL)):
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

    def _leaves(self, size: float) -> float:
        """The size of the step that a Newton step of some size will leave to be taken.

        It is about ``c size^2`` where this one is ``c last^2``, which ten times it is safe from.
        """
        if self.before is None or self.before.reweighted or size > SHORT:
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


#: The best fit of a table next to some places.
Way = Callable[[WholeTable, Sequence[Place]], FitOfAll]


def s_estimate_in_passes(whole: WholeTable, loss: ResidualLoss) -> FitOfAll:
    """The fit of the smallest M-scale of the residuals found: on a sample, then on all rows."""
    law = Law(loss, expected_rho(loss) * whole.free, whole.total, whole.zero)

    def way(table: WholeTable, starts: Sequence[Place]) -> FitOfAll:
        return _best(table, law, starts)

    starts = _starts(whole.sample, loss)
    exact = [fit.theta for fit in starts if fit.scale == 0.0]
    if not exact:
        places = [Place(start.theta, start.scale) for start in starts]
    else:
        start = whole.sample.on_plane_of_most(exact)
        plane = plane_in_passes(whole, law, start)
        if plane is not None:
            return with_digits(whole, plane, partial(same_plane, law, plane))
        places = [Place(exact[0], _scale_at(whole, law, exact[0]))]
    return with_digits(whole, way(whole, places), way)


def m_estimate_in_passes(whole: WholeTable, loss: ResidualLoss, start: Fit) -> FitOfAll:
    """The M-estimate at a scale next to a fit."""
    if start.scale == 0.0:
        return FitOfAll(start, 0.0)
    law = Law(loss, None, whole.total, whole.zero)

    def way(table: WholeTable, starts: Sequence[Place]) -> FitOfAll:
        return _best(table, law, starts)

    found = way(whole.beyond(start.base), [Place(start.theta, start.scale)])
    return with_digits(whole, _with_base(found, start.base), way)


def _with_base(ended: FitOfAll, base: Base | None) -> FitOfAll:
    return ended._replace(fit=replace(ended.fit, base=base))


def _starts(sample: Sample, loss: ResidualLoss) -> list[Fit]:
    """Optima of a sample, those that may be the best of all rows."""
    fits = [
        descend_to_small_scale(sample.table, loss, theta, sample.max_iter, float(near))
        for theta, near in zip(*sample.find(SmallScale(loss)), strict=True)
    ]
    if any(fit.scale == 0.0 for fit in fits):
        return fits
    best = min(fits, key=lambda fit: fit.scale)
    others = [
        fit
        for fit in fits
        if fit is not best
        and fit.scale <= best.scale * (1.0 + FOLLOWED)
        and length(fit.theta - best.theta) > SAME * best.scale
    ]
    return [best, *others]


def _best(whole: WholeTable, law: Law, starts: Sequence[Place]) -> FitOfAll:
    """The best optimum of all rows next to some places."""
    walks = _walked(whole, [Walk(law, start) for start in starts])
    for walk in walks:
        if walk.exact:
            plane = plane_in_passes(whole, law, _fit(whole, walk.place.theta, 0.0, walk.steps))
            if plane is not None:
                return plane
    best = min(walks, key=lambda walk: walk.value)
    fit = _fit(whole, best.place.theta, best.place.scale, best.steps)
    return FitOfAll(replace(fit, converged=best.converged), best.mean_rho)


def _walked(whole: WholeTable, walks: list[Walk]) -> list[Walk]:
    """Where descents end, each pass bringing the sums that all of them ask for."""
    most = whole.sample.max_iter

    def going(walk: Walk) -> bool:
        return not walk.ended and walk.steps < most

    while places := tuple(walk.place for walk in walks if going(walk)):
        found: Several = whole.sum(Equations(walks[0].law.loss, places, whole.zero))
        sums = iter(found.sums)
        walks = _distinct([_after(walk, next(sums)) if going(walk) else walk for walk in walks])
    return walks


def _after(walk: Walk, sums: Sums) -> Walk:
    if not np.isfinite(sums.gram.sum() + sums.pull.sum() + sums.rho):
        raise NotFiniteError
    if sums.followed:
        raise not_here()
    return walk.after(sums)


def _distinct(walks: Sequence[Walk]) -> list[Walk]:
    """Walks that may lead to the best optimum, without those that are one with a better one."""
    kept: list[Walk] = []
    for walk in sorted(walks, key=lambda walk: walk.value):
        same = any(
            length(walk.place.theta - other.place.theta) <= SAME * walk.place.scale
            for other in kept
        )
        beaten = any(other.ended and walk.value > other.value * (1.0 + HIGHER) for other in kept)
        if not (same or beaten):
            kept.append(walk)
    return kept


def _scale_at(whole: WholeTable, law: Law, theta: Array) -> float:
    """About the M-scale of the residuals of a plane that does not hold enough rows to be exact."""
    size = np.abs(whole.sample.table.residuals(theta))
    scale = float(np.median(size[size > whole.zero])) if (size > whole.zero).any() else whole.zero
    for _ in range(MOST_STEPS):
        place = Place(theta, scale)
        (sums,) = whole.sum(Equations(law.loss, (place,), whole.zero)).sums
        before, scale = scale, max(law.level(sums, scale), whole.zero)
        if abs(scale - before) <= NEAR_ENOUGH * before:
            break
    return scale


def plane_in_passes(whole: WholeTable, law: Exactness, start: Fit) -> FitOfAll | None:
    """Least squares on the rows of a plane; None where it does not hold enough of them."""
    found = _on_plane_at(whole.beyond(start.base), law, start.theta)
    return None if found is None else _with_base(found, start.base)


def same_plane(
    law: Exactness, plane: FitOfAll, whole: WholeTable, places: Sequence[Place]
) -> FitOfAll:
    """The plane once more, from coefficients that are near it."""
    return _on_plane_at(whole, law, places[0].theta) or plane


def _on_plane_at(whole: WholeTable, law: Exactness, theta: Array) -> FitOfAll | None:
    refined = theta
    for _ in range(REFINEMENTS):
        sums: OnPlane = whole.sum(SumOnPlane(theta, refined, whole.zero))
        if not np.isfinite(sums.gram.sum() + sums.pull.sum()):
            raise NotFiniteError
        if not law.is_exact(sums):
            return None
        if sums.followed:
            raise not_here()
        refined = refined + reweighted_change(sums.gram, sums.pull, whole.total)
    return FitOfAll(_fit(whole, refined, 0.0, 0), 0.0)


def _fit(whole: WholeTable, theta: Array, scale: float, steps: int) -> Fit:
    residual = whole.sample.table.residuals(theta)
    return Fit(theta, residual, scale, steps, converged=True)


def with_digits(
    whole: WholeTable, ended: Found, way: Callable[[WholeTable, Sequence[Place]], Found]
) -> Found:
    """A fit with the digits that the rows near it need, as the sample tells."""
    for _ in range(ROUNDS):
        base = whole.sample.base_for_digits(ended.fit)
        if base is None:
            break
        rest = way(whole.beyond(base), [Place(np.zeros(whole.m), ended.fit.scale)])
        if not (rest.fit.converged or ended.fit.converged):
            break
        steps = ended.fit.steps + rest.fit.steps
        ended = rest._replace(fit=replace(rest.fit, steps=steps, base=base))
    return ended

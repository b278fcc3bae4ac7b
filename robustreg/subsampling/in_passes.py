"""S and M estimates of high breakdown of a long table, in passes over all of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.factors import length
from robustreg.evaluation.reading import NotFiniteError
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import expected_rho
from robustreg.sources._surveyed import not_here
from robustreg.subsampling.criteria import SmallScale
from robustreg.subsampling.descent import (
    REFINEMENTS,
    Base,
    Fit,
    descend_to_small_scale,
    reweighted_change,
)
from robustreg.subsampling.equations import Equations, OnPlane, Place, Several, SumOnPlane, Sums
from robustreg.subsampling.estimates import ROUNDS, Sample
from robustreg.subsampling.walk import Law, Walk
from robustreg.subsampling.whole import WholeTable

# Of the optima of a sample those are followed on all rows whose criterion there is no higher than
# this, relative to the best: four times what chance makes of it in a sample of 65 536 rows.
FOLLOWED = 0.05
HIGHER = 0.01  # relative: what is not followed any more once the best has ended
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


def m_estimate_in_passes(
    whole: WholeTable, loss: ResidualLoss, start: Fit, scale: float | None = None
) -> FitOfAll:
    """The M-estimate next to a fit, at its scale or at another one."""
    given, scale = scale is not None, start.scale if scale is None else scale
    if scale == 0.0:
        return FitOfAll(start, 0.0)
    law = Law(loss, None, whole.total, whole.zero)

    def way(table: WholeTable, starts: Sequence[Place]) -> FitOfAll:
        return _best(table, law, starts)

    # of another scale the optimum may be as far as reweighting goes
    begin = Place(start.theta, scale, reweighted=given)
    found = way(whole.beyond(start.base), [begin])
    return with_digits(whole, _with_base(found, start.base), way)


def joint_estimate_in_passes(
    whole: WholeTable, loss: ResidualLoss, chi: ResidualLoss, start: Fit
) -> FitOfAll:
    """The M-estimate next to a fit at the scale that is the M-scale, with chi, of its residuals."""
    if start.scale == 0.0:
        return FitOfAll(start, 0.0)
    law = Law(loss, expected_rho(chi) * whole.free, whole.total, whole.zero, chi)

    def way(table: WholeTable, starts: Sequence[Place]) -> FitOfAll:
        found = _best(table, law, starts)
        if found.fit.scale == 0.0:
            return found
        end = Place(found.fit.theta, found.fit.scale)
        (sums,) = table.sum(Equations(loss, (end,), table.zero)).sums
        return found._replace(mean_rho=sums.rho / table.total)

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
        law = walks[0].law
        found: Several = whole.sum(Equations(law.loss, places, whole.zero, law.chi))
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

"""Least trimmed squares of a long table, in passes over all of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.reading import NotFiniteError
from robustreg.sources._surveyed import not_here
from robustreg.subsampling.brackets import Aim, Descent, Rows, Squares, Trimming, aims_at, followed
from robustreg.subsampling.criteria import TrimmedSquares
from robustreg.subsampling.descent import REFINEMENTS, Fit, reweighted_change
from robustreg.subsampling.equations import Place
from robustreg.subsampling.estimates import lts_optima
from robustreg.subsampling.in_passes import plane_in_passes, same_plane, with_digits
from robustreg.subsampling.table import REJECTED, Part
from robustreg.subsampling.whole import WholeTable

BESIDE = 0.01  # of the edge: where it is looked for from a fit near the one that it is known of


class TrimmedFit(NamedTuple):
    """A fit to all rows, whose ``residual`` is that of the sample's rows.

    With the trimmed sum of squares and the largest residual that counts.
    """

    fit: Fit
    square: float
    edge: float


def lts_in_passes(whole: WholeTable, covered: float) -> TrimmedFit:
    """The fit of the smallest sum of so many squares found: on a sample, then on all rows.

    That is their weight, as given.
    """
    law = Trimming(covered / whole.largest, whole.total, whole.zero)
    share = law.covered / law.total
    starts = aims_at(lts_optima(whole.sample, TrimmedSquares(share)), whole.sample.table, share)
    found = followed(law, starts, whole.sum, whole.sample.max_iter)
    exact = [one.aim.theta for one in found if one.exact]
    if exact:
        return _plane_of_most(whole, law, exact)
    best = _ended(whole, found[0])
    return with_digits(whole, best, partial(_from_edge, law, best.edge))


def _ended(whole: WholeTable, one: Descent) -> TrimmedFit:
    return TrimmedFit(one.fit(whole.sample.table), one.square, one.edge)


def _from_edge(
    law: Trimming, edge: float, whole: WholeTable, places: Sequence[Place]
) -> TrimmedFit:
    """Where a descent ends that begins next to its end."""
    aims = [Aim(place.theta, edge * (1.0 - BESIDE), edge * (1.0 + BESIDE)) for place in places]
    return _ended(whole, followed(law, aims, whole.sum, whole.sample.max_iter)[0])


def _plane_of_most(whole: WholeTable, law: Trimming, exact: list[Array]) -> TrimmedFit:
    """The plane of the most rows, as the sample tells, by all rows that lie on it."""
    plane = plane_in_passes(whole, law, whole.sample.on_plane_of_most(exact))
    if plane is None:  # it holds enough rows of the sample only
        plane = plane_in_passes(whole, law, Fit(exact[0], np.zeros(0), 0.0, 0, converged=True))
    assert plane is not None
    fit = with_digits(whole, plane, partial(same_plane, law, plane)).fit
    return TrimmedFit(fit, 0.0, 0.0)


@dataclass(frozen=True)
class Kept:
    """Sums over the rows within reach of one fit, by their residuals from another.

    Attributes
    ----------
    squares : Squares
        The sums.
    largest : float
        The largest absolute residual.
    followed : float
        The weight of rows that were brought in, and may be within reach.
    """

    squares: Squares
    largest: float
    followed: float

    def __add__(self, other: Kept) -> Kept:
        return Kept(
            self.squares + other.squares,
            max(self.largest, other.largest),
            self.followed + other.followed,
        )


@dataclass(frozen=True)
class SumWithin:
    """The job that sums them: rows within reach of ``theta``, what ``refined`` leaves of them."""

    theta: Array
    refined: Array
    reach: float

    def __call__(self, part: Part) -> Kept:
        """The sums of some rows."""
        size = np.abs(part.residuals(self.theta))
        kept = np.flatnonzero(size <= self.reach)
        rows = Rows(part.q, part.residuals(self.refined), part.weight).take(kept)
        followed = float(np.count_nonzero(size[part.cut] <= REJECTED * self.reach))
        return Kept(Squares.of(rows), float(np.abs(rows.residual).max(initial=0.0)), followed)


def reweighted_in_passes(whole: WholeTable, raw: Fit, reach: float) -> tuple[Fit, Kept]:
    """Least squares on the rows within reach of a fit, and their sums."""
    table, refined = whole.beyond(raw.base), raw.theta
    for _ in range(REFINEMENTS):
        kept: Kept = table.sum(SumWithin(raw.theta, refined, reach))
        if not np.isfinite(kept.squares.gram.sum() + kept.squares.square):
            raise NotFiniteError
        if kept.followed:
            raise not_here()
        step = reweighted_change(kept.squares.gram, kept.squares.slope, table.total)
        refined = refined + step
    residual = table.sample.table.residuals(refined)
    fit = Fit(refined, residual, 0.0, 0, converged=True, base=raw.base)
    return fit, replace(kept, squares=kept.squares.after(step))

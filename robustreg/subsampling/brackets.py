"""Least trimmed squares of very many rows: C-steps that only see the rows near the edge.

The edge is the largest absolute residual that counts. A *look* at all rows from a fit adds up the
squares of the rows below a bracket around it, and brings back the rows inside. With the rows below
taken in, and those above left out, C-steps go on among the rows inside until nothing changes: the
sum of squares of the rows taken in falls, and so does the trimmed sum, which is no more than any
sum over as many rows. The next look is from where they end. The last one changes nothing: where it
was from is a fixed point of C-steps on all rows.

Of very many rows there are too many inside for that at first. Some of them, each for several, tell
how many rows cross the edge as the fit moves, and so the Newton step to where the equations hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from robustreg._arrays import SUMMED, Array, Index
from robustreg._linalg.factors import eigh, length
from robustreg._linalg.products import product
from robustreg.evaluation.reading import NotFiniteError
from robustreg.sources._surveyed import not_here
from robustreg.subsampling.criteria import TrimmedSquares
from robustreg.subsampling.descent import VALUE_ROUNDING, Fit, reweighted_change, trim
from robustreg.subsampling.table import REJECTED, Part, Table

MOST, MOST_ENTRIES = 2**12, 2**20  # rows that are brought back, and entries of those of few columns
LEAST = 2**9  # rows that a bracket is to have to either side of the edge
WIDER = 8.0  # times as wide is the next bracket, where the edge is not in one
LONGER = 16.0  # times a C-step, at most, is a step to where the trimmed sum falls on
NEAR = 0.05  # edges: fits that come to the same, but for some rows of the bulk
SURE = 4.0  # times the root of a coordinate's share of a sample: as far as ranks may be off
RISEN = 0.01  # relative: a trimmed sum that has risen by more after such a step, ...
SHORTER = 4.0  # ... whereupon steps are at most so many times shorter
ROUNDED = 1e-13  # of a direction's own unit: what is less of the rows that count is rounding


class Rows(NamedTuple):
    """Some rows, by their residuals from a fit."""

    q: Array  # (k, m)
    residual: Array  # (k,)
    weight: Array | None  # (k,), None for ones

    def take(self, index: Index) -> Rows:
        """Some of them."""
        weight = None if self.weight is None else self.weight[index]
        return Rows(np.take(self.q, index, axis=0), self.residual[index], weight)

    @property
    def weights(self) -> Array:
        """The weights, written out."""
        return np.ones(len(self.residual)) if self.weight is None else self.weight

    def thinned(self, most: int) -> tuple[Rows, bool]:
        """No more than so many, which have the weight of all; whether all different ones are left.

        They are evenly spaced in the order of their sizes, by the weight between them.
        """
        mixed = product(self.q, np.cos(np.arange(self.q.shape[1])))  # hardly alike by chance
        size = np.abs(self.residual)
        order = np.lexsort((mixed, self.residual, size))
        q, residual, weight = self.q[order], self.residual[order], self.weights[order]
        new = (residual[1:] != residual[:-1]) | (q[1:] != q[:-1]).any(axis=1)
        first = np.flatnonzero(np.append(True, new))
        merged = np.add.reduceat(weight, first)
        if len(first) <= most:
            return Rows(q[first], residual[first], merged), True
        # as many times as it has room for, so that rows that stand for many count for as many
        total = float(merged.sum())
        marks = (np.arange(most) + 0.5) * (total / most)
        drawn = np.searchsorted(np.cumsum(merged), marks)
        kept, times = np.unique(np.minimum(drawn, len(first) - 1), return_counts=True)
        return Rows(q[first[kept]], residual[first[kept]], times * (total / most)), False


def _joined(pieces: tuple[Rows, ...]) -> Rows:
    q, residual, weight = zip(*pieces, strict=True)
    own = None
    if any(each is not None for each in weight):
        own = np.concatenate([piece.weights for piece in pieces])
    return Rows(np.concatenate(q), np.concatenate(residual), own)


@dataclass(frozen=True)
class Squares:
    """Sums over rows, by their residuals r from a fit.

    Of the weights, of ``w q q'``, ``w r q`` and ``w r^2``.
    """

    weight: float
    gram: Array
    slope: Array
    square: float

    @classmethod
    def of(cls, rows: Rows) -> Squares:
        """The sums over some rows."""
        q, residual, weight = rows
        pull = residual if weight is None else weight * residual
        own = q if weight is None else np.sqrt(weight)[:, None] * q
        total = float(len(q) if weight is None else weight.sum())
        return cls(total, product(own.T, own), product(pull, q), float(pull @ residual))

    def __add__(self, other: Squares) -> Squares:
        return Squares(
            self.weight + other.weight,
            self.gram + other.gram,
            self.slope + other.slope,
            self.square + other.square,
        )

    def after(self, step: Array) -> Squares:
        """The sums at a fit that is a step away."""
        slope = self.slope - self.gram @ step
        square = self.square - float(step @ (self.slope + slope))
        return Squares(self.weight, self.gram, slope, square)


class Aim(NamedTuple):
    """A fit, and where the edge is looked for: absolute residuals from ``low`` to ``high``."""

    theta: Array
    low: float
    high: float


@dataclass(frozen=True)
class Seen:
    """What a look finds.

    Attributes
    ----------
    below : Squares
        The sums over the rows below the bracket.
    off : float
        The weight of the rows that are off the fit by more than what counts as 0.
    followed : float
        The weight of rows that were brought in, and may have a say in the fit.
    pieces : tuple of Rows
        The rows inside.
    whole : bool
        Whether these are all of them; otherwise each stands for others, too, by its weight.
    """

    below: Squares
    off: float
    followed: float
    pieces: tuple[Rows, ...]
    whole: bool = True

    @classmethod
    def of(cls, part: Part, aim: Aim, zero: float) -> Seen:
        """What there is of some rows."""
        rows = Rows(part.q, part.residuals(aim.theta), part.weight)
        absolute = np.abs(rows.residual)
        lower = absolute < aim.low
        inside = np.flatnonzero(~lower & (absolute <= aim.high))
        near = (absolute[part.cut] <= REJECTED * aim.high).astype(np.float64)
        return cls(
            Squares.of(rows.take(np.flatnonzero(lower))),
            part.sum((~(absolute <= zero)).astype(np.float64)),
            float(near.sum()),
            (rows.take(inside),),
        ).in_bounds()

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.below + other.below,
            self.off + other.off,
            self.followed + other.followed,
            self.pieces + other.pieces,
            self.whole and other.whole,
        ).in_bounds()

    def in_bounds(self) -> Seen:
        """With no more rows than are worth their memory."""
        most = max(MOST, MOST_ENTRIES // max(1, len(self.below.slope)))
        if sum(len(piece.residual) for piece in self.pieces) <= 2 * most:
            return self
        rows, whole = _joined(self.pieces).thinned(most)
        return replace(self, pieces=(rows,), whole=self.whole and whole)

    @property
    def rows(self) -> Rows:
        """The rows inside."""
        return _joined(self.pieces)


@dataclass(frozen=True)
class Views:
    """What is seen from several fits."""

    seen: tuple[Seen, ...]

    def __add__(self, other: Views) -> Views:
        return Views(tuple(a + b for a, b in zip(self.seen, other.seen, strict=True)))


@dataclass(frozen=True)
class Look:
    """The job that looks at rows from some fits."""

    aims: tuple[Aim, ...]
    zero: float

    def __call__(self, part: Part) -> Views:
        """What there is of some rows."""
        return Views(tuple(Seen.of(part, aim, self.zero) for aim in self.aims))


class HasOff(Protocol):
    """What knows how many rows are off a plane."""

    @property
    def off(self) -> float:
        """Their weight."""


class Moved(NamedTuple):
    """Where steps lead from a fit."""

    step: Array
    square: float  # the trimmed sum there, or before, as far as the rows inside tell
    edge: float
    settled: bool  # whether the trimmed sum has fallen by no more than rounding


@dataclass(frozen=True)
class Trimming:
    """What descents go by: so much of the rows' weight counts.

    Attributes
    ----------
    covered, total : float
        The weight of the rows that count, and of all, in the weights that sums are taken with.
    zero : float
        What residuals count as exact fits.
    """

    covered: float
    total: float
    zero: float

    def is_exact(self, seen: HasOff) -> bool:
        """Whether all rows that count are on a plane."""
        return seen.off <= self.total * (1.0 + SUMMED) - self.covered

    def is_above(self, seen: Seen) -> bool:
        """Whether the edge is above the bracket."""
        return self.left(seen) > float(seen.rows.weights.sum()) * (1.0 + SUMMED)

    def left(self, seen: Seen) -> float:
        """How much of the rows inside counts."""
        return self.covered - seen.below.weight

    def inside(self, seen: Seen) -> tuple[Table, TrimmedSquares]:
        """The rows inside as a table, and the criterion of what counts of them."""
        table = Table(*seen.rows, zero=self.zero, n_threads=1)
        return table, TrimmedSquares(min(1.0, self.left(seen) / table.total))

    def c_steps(self, seen: Seen, most: int) -> Moved:
        """Where C-steps end among the rows inside.

        A step that goes down goes on as long as that leads further down: where the rows that come
        in weigh nearly as much as those that stay, C-steps are short.
        """
        (table, criterion), below = self.inside(seen), seen.below
        theta, residual = np.zeros(table.m), table.y
        shares, own = trim(table, criterion, residual)
        gram, best = below.gram + table.gram(shares), own + below.square
        start = best
        for _ in range(most):
            pull = below.slope + table.slope(shares * residual)
            step = reweighted_change(gram, pull, self.total)
            along, times, trial = product(table.q, step), 1.0, None
            while times <= LONGER:
                left = residual - times * along
                new_shares, own = trim(table, criterion, left)
                after = below.after(times * step)
                if trial is not None and not own + after.square < trial[0]:
                    break
                trial = own + after.square, times, left, new_shares, after
                times *= 2.0
            assert trial is not None
            reached, times, left, new_shares, after = trial
            changed = np.flatnonzero(new_shares != shares)
            settled = reached >= best * (1.0 - VALUE_ROUNDING) or not len(changed)
            if reached <= best:
                gram = gram + table.take(changed).gram(new_shares[changed] - shares[changed])
                theta, residual, shares = theta + times * step, left, new_shares
                below, best = after, reached
            if settled:
                break
        edge = float(np.abs(residual[shares > 0.0]).max())
        return Moved(theta, best, edge, settled=best >= start * (1.0 - VALUE_ROUNDING))

    def newton_step(self, seen: Seen, width: float, longer: float) -> Moved:
        """Where the equations hold, as far as some rows of a bracket of that width tell.

        With S the sum of ``w r q`` over the rows that count, and e the edge, a step changes S by
        ``-(G - e D C) step``: G is their Gram matrix, D the weight of rows near the edge for each
        unit of their residuals, and C the covariance of ``sign(r) q`` among these. Nowhere is the
        step more than ``longer`` times a C-step.
        """
        table, criterion = self.inside(seen)
        shares, own = trim(table, criterion, table.y)
        edge = float(np.abs(table.y[shares > 0.0]).max())
        gram = seen.below.gram + table.gram(shares)
        pull = seen.below.slope + table.slope(shares * table.y)
        signed, weight = np.sign(table.y)[:, None] * table.q, table.weigh(np.ones(table.n))
        signed = signed - product(weight, signed) / table.total
        crossing = (edge / width) * product((weight[:, None] * signed).T, signed)
        step = _stretched(gram, crossing, pull, longer)
        return Moved(step, own + seen.below.square, edge, settled=False)


def _stretched(gram: Array, crossing: Array, pull: Array, longer: float) -> Array:
    """What solves ``(gram - crossing) step = pull``, as far as that is ``longer`` than C-steps."""
    if not len(pull):
        return pull
    unit = np.sqrt(np.where(np.diag(gram) > 0.0, np.diag(gram), 1.0))
    values, vectors = eigh(gram / np.outer(unit, unit))
    root = vectors / np.sqrt(np.maximum(values, ROUNDED))  # white in the rows that count
    share, turn = eigh(root.T @ (crossing / np.outer(unit, unit)) @ root)
    directions = root @ turn
    along = (directions.T @ (pull / unit)) / np.maximum(1.0 - share, 1.0 / longer)
    step: Array = (directions @ along) / unit
    return step


@dataclass(frozen=True)
class Descent:
    """A way down, as far as it has come.

    Attributes
    ----------
    law : Trimming
        What it goes by.
    aim : Aim
        Where the next look is from.
    looks : int
        How many there were.
    square, edge : float
        The trimmed sum, and the largest residual that counts.
    longer : float
        Times a C-step that steps may be.
    ended, converged, exact : bool
        Whether it has come to an end, at a fixed point, at a plane that all that counts is on.
    """

    law: Trimming
    aim: Aim
    looks: int = 0
    square: float = np.inf
    edge: float = np.nan
    longer: float = LONGER
    ended: bool = False
    converged: bool = False
    exact: bool = False

    def goes_on(self, most: int) -> bool:
        """Whether there is to be another look, of so many at most."""
        return not self.ended and self.looks < most

    def fit(self, table: Table) -> Fit:
        """The fit where it is, with the residuals of a table."""
        theta = self.aim.theta
        residual = table.residuals(theta)
        return Fit(theta, residual, 0.0, self.looks, converged=self.converged)

    def after(self, seen: Seen, most: int) -> Descent:
        """Where it goes after a look."""
        law, (theta, low, high) = self.law, self.aim
        known = replace(self, looks=self.looks + 1)
        if not np.isfinite(seen.below.gram.sum() + seen.below.square):
            raise NotFiniteError
        if seen.followed:
            raise not_here()
        if law.is_exact(seen):
            return replace(known, square=0.0, edge=0.0, ended=True, converged=True, exact=True)
        width = max(high - low, law.zero)  # infinite where nearly all rows count
        if law.left(seen) <= SUMMED * law.covered:
            return replace(known, aim=Aim(theta, max(low - WIDER * width, 0.0), low))
        if law.is_above(seen):
            return replace(known, aim=Aim(theta, high, high + WIDER * width))
        if seen.whole:
            moved = law.c_steps(seen, most)
        else:
            moved = law.newton_step(seen, width, self.longer)
            if moved.square > self.square * (1.0 + RISEN):
                known = replace(known, longer=max(1.0, self.longer / SHORTER))
                moved = law.newton_step(seen, width, known.longer)
        return replace(
            known,
            aim=_next_aim(theta, moved, seen, width),
            square=moved.square,
            edge=moved.edge,
            ended=moved.settled,
            converged=moved.settled,
        )


def _next_aim(theta: Array, moved: Moved, seen: Seen, width: float) -> Aim:
    """The bracket about the edge: as wide as residuals have moved, and with rows enough."""
    rows = seen.rows
    along = product(rows.q, moved.step)
    reach = float(np.sqrt(np.mean(np.square(along))))
    span = min(width, float(np.ptp(np.abs(rows.residual))))
    reach = max(reach, LEAST * span / float(rows.weights.sum()))
    high = moved.edge + reach if width < np.inf else np.inf
    return Aim(theta + moved.step, max(moved.edge - reach, 0.0), high)


def aims_at(fits: Sequence[Fit], sample: Table, share: float) -> list[Aim]:
    """The brackets for all rows from fits to a sample of them, of which a share counts.

    The best one comes first; others that are next to a better one are left out.
    """
    kept: list[Aim] = []
    for fit in fits:
        size, weight = np.abs(fit.residual), sample.weigh(np.ones(sample.n))
        order = np.argsort(size)
        level = np.cumsum(weight[order]) / sample.total
        reach = SURE * math.sqrt(sample.m / sample.n)
        edge, low, high = np.searchsorted(level, [share, share - reach, share + reach])
        ordered = np.concatenate([[0.0], size[order], [np.inf]])
        aim = Aim(fit.theta, float(ordered[low]), float(ordered[high + 1]))
        if not any(_are_near(aim, other, float(ordered[edge])) for other in kept):
            kept.append(aim)
    return kept


def followed(
    law: Trimming, starts: Sequence[Aim], look: Callable[[Look], Views], most: int
) -> list[Descent]:
    """Where descents from some places end, the best one first; all of them look together."""
    descents = [Descent(law, start) for start in starts]
    while going := [one for one in descents if one.goes_on(most)]:
        seen = look(Look(tuple(one.aim for one in going), law.zero)).seen
        ended = [one for one in descents if not one.goes_on(most)]
        moved = [one.after(view, most) for one, view in zip(going, seen, strict=True)]
        descents = _apart([*ended, *moved])
    return descents


def _apart(descents: Sequence[Descent]) -> list[Descent]:
    """Those that do not come to the same as a better one, the best one first."""
    kept: list[Descent] = []
    for one in sorted(descents, key=lambda one: one.square):
        if not any(_are_near(one.aim, other.aim, other.edge) for other in kept):
            kept.append(one)
    return kept


def _are_near(one: Aim, other: Aim, edge: float) -> bool:
    return length(one.theta - other.theta) <= NEAR * edge

"""The path of a quantile fit as one coefficient moves: a parametric linear programme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from robustreg._arrays import Array, Index

SMALL = 1e-11  # of the largest rate: what does not move
SAME = 1e-9  # of the statistic, and of places in spreads: what is one jump
REFRESH = 32  # pivots after which the inverse of the basis is made anew
PATIENCE = 20  # pivots without progress, after which ties are broken at random


class Merged(NamedTuple):
    """Different rows, in coordinates in which the columns are orthonormal."""

    design: Array  # (n, K)
    y: Array  # (n,)
    weight: Array  # (n,)
    exact: float  # residuals up to here are 0


class Start(NamedTuple):
    """A fit: K rows that it passes through, and 1 for other rows above, 0 for those below it."""

    basis: Index
    side: Array


class Path(NamedTuple):
    """Where a statistic jumps along one side, and what it is after each jump.

    The last place is infinite where the statistic never gets as far as was asked for.
    """

    places: Array
    statistics: Array

    def limit(self, cut: float, sign: int) -> float:
        """Where it passes a cut-off, by interpolation between two jumps.

        The first place, which is the fit's, if it passes it there; infinite if it never does.
        """
        size = np.abs(self.statistics)
        if np.isnan(size[0]):
            return float("nan")
        beyond = np.flatnonzero(size > cut)
        if not len(beyond):
            return sign * np.inf
        at = int(beyond[0])
        if at == 0:
            return float(self.places[0])
        share = (cut - size[at - 1]) / (size[at] - size[at - 1])
        return float(self.places[at - 1] + share * (self.places[at] - self.places[at - 1]))


@dataclass
class _Vertex:
    """A fit through K rows, on its way along a direction."""

    rows: Merged
    basis: Index
    sign: Array  # 1 of rows above the fit, -1 below, 0 of those of the basis
    inverse: Array  # of the rows of the basis
    load: Array  # sum w d over the rows above
    residual: Array
    pivots: int = 0

    @classmethod
    def at(cls, rows: Merged, start: Start) -> _Vertex:
        """The fit that everything begins at."""
        sign = np.where(start.side > 0.5, 1.0, -1.0)
        sign[start.basis] = 0.0
        nothing: Array = np.zeros(0)
        here = cls(rows, start.basis.copy(), sign, nothing, nothing, nothing)
        here.refresh()
        return here

    def refresh(self) -> None:
        """Make anew what rounding has gathered in."""
        design, y, w = self.rows.design, self.rows.y, self.rows.weight
        self.inverse = np.linalg.inv(design[self.basis])
        self.load = (w * (self.sign > 0.0)) @ design
        self.residual = y - design @ (self.inverse @ y[self.basis])

    def swap(self, drop: int, side: float, enter: int) -> None:
        """Let a row into the basis in the place of another one, which goes to one side."""
        design, w = self.rows.design, self.rows.weight
        out = self.basis[drop]
        if side > 0.0:
            self.load += w[out] * design[out]
        if self.sign[enter] > 0.0:
            self.load -= w[enter] * design[enter]
        self.sign[out], self.sign[enter] = 2.0 * side - 1.0, 0.0
        self.basis[drop] = enter
        self.pivots += 1
        if self.pivots % REFRESH == 0:
            self.refresh()
            return
        change = design[enter] @ self.inverse
        column = self.inverse[:, drop] / change[drop]
        change[drop] -= 1.0
        self.inverse -= column[:, None] * change


def walk(rows: Merged, tau: float, start: Start, direction: Array, sign: int, most: float) -> Path:
    """The jumps of ``lambda``, where ``sum w d (a - (1 - tau)) = lambda direction``.

    From the fit on, upwards (``sign`` 1) or downwards, until its size exceeds ``most``. The fit
    passes through K rows at a jump. As lambda moves, so do their dual variables; the first one that
    comes to its end, 0 or 1, leaves, and the fit moves off that row until it meets another one.
    """
    y, w = rows.y, rows.weight
    target = (1.0 - tau) * (w @ rows.design)
    here = _Vertex.at(rows, start)
    lam, step, stalled, before = 0.0, 1.0, 0, np.nan
    chance = np.random.default_rng(0)
    places: list[float] = []
    values: list[float] = []
    for _ in range(100 * len(y) + 1000):
        own, along = w[here.basis], direction @ here.inverse
        place = float(along @ y[here.basis])
        moves = step > SMALL or not abs(place - before) <= SMALL * _size(rows, place)
        stalled = 0 if moves else stalled + 1
        draw = chance if stalled > PATIENCE else None
        # dual variables of the basis, from the signs of the others
        a = ((target - here.load + lam * direction) @ here.inverse) / own
        step, drop, end = _room(a, -sign * along / own, draw)
        lam -= sign * step
        if places and abs(place - places[-1]) <= SAME * _size(rows, place):
            values[-1] = lam
        elif places and abs(values[-1]) > most:  # the jumps of one place are all there
            break
        elif not places or abs(lam - values[-1]) > SAME * most:
            places.append(place)
            values.append(lam)
        before = place
        enter = _next(here, here.inverse[:, drop] * (sign / along[drop]), draw)
        if enter is None:
            break
        here.swap(drop, end, enter)
    else:
        raise ArithmeticError("The rank statistic's jumps do not come to an end.")
    return Path(np.array(places), np.array(values))


def _size(rows: Merged, place: float) -> float:
    return rows.exact * 1e9 + 1e-3 * abs(place)


def _room(a: Array, rate: Array, chance: np.random.Generator | None) -> tuple[float, int, float]:
    """How far dual variables may go, which one stops that, and at which of its ends."""
    speed = np.abs(rate)
    fastest = float(speed.max())
    room = np.full(len(a), np.inf)
    np.divide(np.where(rate > 0.0, 1.0 - a, a), speed, out=room, where=speed > SMALL * fastest)
    least = max(float(room.min()), 0.0)
    ties = (room <= least * (1.0 + 1e-12) + 1e-13 / fastest).nonzero()[0]
    if chance is not None:
        drop = int(chance.choice(ties))
    else:
        drop = int(ties[speed[ties].argmax()])
    return least, drop, float(rate[drop] > 0.0)


def _next(here: _Vertex, edge: Array, chance: np.random.Generator | None) -> int | None:
    """The first row that the fit meets along an edge, up to which residuals are moved."""
    slope = here.rows.design @ edge
    fall = here.sign * slope
    fastest = max(float(slope.max()), -float(slope.min()))
    time = np.full(len(fall), np.inf)
    away = here.sign * here.residual
    np.divide(away, fall, out=time, where=fall > SMALL * fastest)
    least = max(float(time.min()), 0.0)
    if np.isinf(least):
        return None
    ties = (time <= least + 1e-3 * here.rows.exact / fastest).nonzero()[0]
    here.residual -= least * slope
    if chance is not None:
        return int(chance.choice(ties))
    return int(ties[fall[ties].argmax()])

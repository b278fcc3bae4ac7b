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
    side: Array  # 1 or 0 for every row; those of the basis have 0
    inverse: Array  # of the rows of the basis
    load: Array  # sum w side d
    pivots: int = 0

    def swap(self, drop: int, side: float, enter: int) -> None:
        """Let a row into the basis in the place of another one, which goes to one side."""
        design, w = self.rows.design, self.rows.weight
        out = self.basis[drop]
        self.load += side * w[out] * design[out] - self.side[enter] * w[enter] * design[enter]
        self.side[out], self.side[enter] = side, 0.0
        self.basis[drop] = enter
        self.pivots += 1
        if self.pivots % REFRESH == 0:
            self.inverse = np.linalg.inv(design[self.basis])
            self.load = (w * self.side) @ design
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
    design, y, w = rows.design, rows.y, rows.weight
    target = (1.0 - tau) * (w @ design)
    here = _Vertex(
        rows,
        start.basis.copy(),
        start.side.copy(),
        np.linalg.inv(design[start.basis]),
        (w * start.side) @ design,
    )
    lam, stalled = 0.0, 0
    chance = np.random.default_rng(0)
    places: list[float] = []
    values: list[float] = []
    place = float(direction @ (here.inverse @ y[here.basis]))
    for _ in range(100 * len(y) + 1000):
        own = w[here.basis]
        # dual variables of the basis, from the signs of the others
        a = ((target - here.load + lam * direction) @ here.inverse) / own
        rate = -sign * (direction @ here.inverse) / own
        step, drop, end = _room(a, rate, chance if stalled > PATIENCE else None)
        lam -= sign * step
        if places and abs(place - places[-1]) <= SAME * _size(rows, place):
            values[-1] = lam
        elif places and abs(values[-1]) > most:  # the jumps of one place are all there
            break
        elif not places or abs(lam - values[-1]) > SAME * most:
            places.append(place)
            values.append(lam)
        edge = here.inverse[:, drop]
        edge = edge * (sign / float(direction @ edge))
        enter = _next(here, edge, chance if stalled > PATIENCE else None)
        if enter is None:
            break
        here.swap(drop, end, enter)
        before, place = place, float(direction @ (here.inverse @ y[here.basis]))
        moves = step > SMALL or abs(place - before) > SMALL * _size(rows, place)
        stalled = 0 if moves else stalled + 1
    else:
        raise ArithmeticError("The rank statistic's jumps do not come to an end.")
    return Path(np.array(places), np.array(values))


def _size(rows: Merged, place: float) -> float:
    return rows.exact * 1e9 + 1e-3 * abs(place)


def _room(a: Array, rate: Array, chance: np.random.Generator | None) -> tuple[float, int, float]:
    """How far dual variables may go, which one stops that, and at which of its ends."""
    moving = np.abs(rate) > SMALL * np.abs(rate).max()
    end = (rate > 0.0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(moving, np.maximum((end - a) / rate, 0.0), np.inf)
    least = float(room.min())
    ties = np.flatnonzero(room <= least * (1.0 + 1e-12) + 1e-13 / np.abs(rate).max())
    if chance is not None:
        drop = int(chance.choice(ties))
    else:
        drop = int(ties[np.argmax(np.abs(rate[ties]))])
    return least, drop, float(end[drop])


def _next(here: _Vertex, edge: Array, chance: np.random.Generator | None) -> int | None:
    """The first row that the fit meets along an edge."""
    design, y = here.rows.design, here.rows.y
    both = design @ np.column_stack([edge, here.inverse @ y[here.basis]])
    rate, residual = -both[:, 0], y - both[:, 1]
    away = np.where(here.side > 0.5, residual, -residual)
    fall = np.where(here.side > 0.5, -rate, rate)
    fall[here.basis] = 0.0
    coming = np.flatnonzero(fall > SMALL * np.abs(rate).max())
    if not len(coming):
        return None
    time = np.maximum(away[coming], 0.0) / fall[coming]
    least = float(time.min())
    ties = coming[time <= least + 1e-3 * here.rows.exact / np.abs(rate).max()]
    if chance is not None:
        return int(chance.choice(ties))
    return int(ties[np.argmax(fall[ties])])

"""Vertices that are proven on the way of an interior point method, long before its end.

The rows that the steps bring nearest 0, as many as there are coordinates, are made equations. If
the nu on them that balance the slopes of all others are within their bounds, theta is optimal; and
if they are inside, and no other row is at 0, it is the only optimum. Where one is beyond its
bounds, its row is let go, and another takes its place: a step of the simplex method.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.linalg import LinAlgError

from robustreg._arrays import Array, Index, Mask
from robustreg.solvers.programme.central import Point
from robustreg.solvers.programme.rows import Programme
from robustreg.solvers.programme.vertex import typical_size

NEAR_THE_END = 5e-3  # complementarity, in the residuals' size, at which vertices are looked for
STEPS = 2  # from vertex to vertex, for each coordinate: more would take as long as they save
INSIDE = 1e-6  # of the distance of its bounds: how far inside a nu is to be
MOST_COORDINATES = 100  # with more, vertices take as long as steps


class Optimum(NamedTuple):
    """The only optimum of a programme."""

    theta: Array
    nu: Array
    zero: Mask  # rows that are fitted exactly
    residual: Array


class EarlyVertex:
    """Looks for the vertex of a point; see ``enough`` of ``interior.stepped``.

    Parameters
    ----------
    programme : Programme
        The programme, without a ridge if any vertex is to be found.
    exact : float
        Residuals up to this size count as 0.

    Attributes
    ----------
    found : Optimum or None
        The optimum, once there is one.
    """

    def __init__(self, programme: Programme, exact: float) -> None:
        self.programme, self.exact, self.size = programme, exact, 0.0
        self.serves = 0 < programme.size <= min(MOST_COORDINATES, len(programme.target))
        self.serves = self.serves and not programme.curved
        self.found: Optimum | None = None

    def __call__(self, point: Point, mu: float) -> bool:
        """Whether a vertex next to a point is the only optimum."""
        if self.serves:
            self.size = self.size or typical_size(point.parts.sum(axis=0))
            if mu <= NEAR_THE_END * self.size:
                with np.errstate(all="ignore"):  # what is not finite proves nothing
                    self.found = self._next_to(point)
        return self.found is not None

    def _next_to(self, point: Point) -> Optimum | None:
        """The only optimum, if few steps from the vertex nearest to a point lead there."""
        programme, count = self.programme, self.programme.size
        index = np.sort(np.argpartition(point.doubt, count - 1)[:count])
        try:
            inverse = np.linalg.inv(_rows(programme, index))
        except LinAlgError:
            return None
        for _ in range(1 + STEPS * count):
            theta = inverse @ programme.target[index]
            residual = programme.residuals(theta)
            nu = np.where(residual > 0.0, programme.high, programme.low)
            nu[index] = 0.0
            own = _balancing(programme, nu, index, inverse)
            above = own - programme.high[index]
            steep = np.maximum(above, programme.low[index] - own) * programme.weight[index]
            # of all edges from here the steepest, coordinates being white
            leaving = int((steep / np.sqrt(np.square(inverse).sum(axis=0))).argmax())
            if not steep[leaving] > 0.0:
                return _proven(programme, theta, own, index, self.exact)
            change = programme.fitted(inverse[:, leaving])
            change[index] = 0.0
            if above[leaving] > 0.0:
                change *= -1.0
            entering = _where_it_ends(programme, residual, change, float(steep[leaving]))
            if entering is None:
                return None
            index[leaving] = entering
            shares = _rows(programme, index[leaving : leaving + 1])[0] @ inverse
            column = inverse[:, leaving] / shares[leaving]
            inverse -= column[:, None] * shares
            inverse[:, leaving] = column
        return None

    def confirmed(self, programme: Programme) -> Optimum | None:
        """The optimum that was found, with the digits of another programme of the same rows."""
        if self.found is None:
            return None
        theta, nu, zero, _ = self.found
        index = np.flatnonzero(zero)
        return _proven(programme, theta, nu[index], index, self.exact)


def _rows(programme: Programme, index: Index) -> Array:
    """Some rows, in ascending order."""
    mask = np.zeros(len(programme.target), dtype=bool)
    mask[index] = True
    return programme.take(mask)


def _balancing(programme: Programme, nu: Array, index: Index, inverse: Array) -> Array:
    """What nu of the rows of a vertex lack to balance all slopes."""
    return -programme.total / programme.weight[index] * (programme.slopes(nu) @ inverse)


def _where_it_ends(
    programme: Programme, residual: Array, change: Array, steep: float
) -> int | None:
    """The row that is 0 where losses no longer fall, as residuals r become ``r - t change``.

    At t = 0 they fall by ``steep`` for all rows together.
    """
    ratio = residual / change
    ahead = np.flatnonzero(ratio > 0.0)
    ahead = ahead[ratio[ahead].argsort()]
    width = programme.high[ahead] - programme.low[ahead]
    rises = np.cumsum(programme.weight[ahead] * np.abs(change[ahead]) * width)
    at = int(rises.searchsorted(steep))
    return int(ahead[at]) if at < len(ahead) else None


def _proven(
    programme: Programme, theta: Array, own: Array, index: Index, exact: float
) -> Optimum | None:
    """A vertex and its nu, with all their digits, if it is the only optimum."""
    order = np.argsort(index)
    index, own = index[order], own[order]
    try:
        inverse = np.linalg.inv(_rows(programme, index))
    except LinAlgError:
        return None
    theta = theta + inverse @ programme.residuals(theta)[index]
    residual = programme.residuals(theta)
    if np.count_nonzero(np.abs(residual) > exact) != len(residual) - programme.size:
        return None
    nu = np.where(residual > 0.0, programme.high, programme.low)
    nu[index] = own
    own = own + _balancing(programme, nu, index, inverse)
    nu[index] = own
    low, high = programme.low[index], programme.high[index]
    if not (np.minimum(own - low, high - own) > INSIDE * (high - low)).all():
        return None
    zero = np.zeros(len(nu), dtype=bool)
    zero[index] = True
    return Optimum(theta, nu, zero, residual)

"""Vertices that are proven on the way of an interior point method, long before its end.

The rows that the steps bring nearest 0, as many as there are coordinates, are made equations. If
the nu on them that balance the slopes of all others are within their bounds, theta is optimal; and
if they are inside, and no other row is at 0, it is the only optimum.
"""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from robustreg._arrays import Array, Mask
from robustreg.solvers.programme.central import Point
from robustreg.solvers.programme.rows import Programme

NEAR_THE_END = 1e-3  # complementarity, in that at first, from which on vertices are looked for
INSIDE = 1e-6  # of the distance of its bounds: how far inside a nu is to be
MOST_COORDINATES = 100  # with more, vertices take as long as steps


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
    found : tuple of ndarray or None
        Theta, nu, which rows are fitted exactly, and the residuals, once there is an optimum.
    """

    def __init__(self, programme: Programme, exact: float) -> None:
        self.programme, self.exact, self.first = programme, exact, 0.0
        self.serves = 0 < programme.size <= min(MOST_COORDINATES, len(programme.target))
        self.serves = self.serves and not programme.curved
        self.found: tuple[Array, Array, Mask, Array] | None = None

    def __call__(self, point: Point, mu: float) -> bool:
        """Whether the vertex nearest to a point is the only optimum."""
        self.first = self.first or mu
        if self.serves and mu <= NEAR_THE_END * self.first:
            with np.errstate(all="ignore"):  # what is not finite proves nothing
                self.found = self.at(point)
        return self.found is not None

    def at(self, point: Point) -> tuple[Array, Array, Mask, Array] | None:
        """The vertex nearest to a point, if it is the only optimum."""
        programme = self.programme
        # of p + q and the slack of nu, complementary as they are, one tends to 0
        doubt = (point.p + point.q) / np.minimum(point.up, point.down)
        zero = np.zeros(len(doubt), dtype=bool)
        zero[np.argpartition(doubt, programme.size - 1)[: programme.size]] = True
        rows = programme.take(zero)
        try:
            inverse = np.linalg.inv(rows)
        except LinAlgError:
            return None
        theta = inverse @ programme.target[zero]
        theta = theta + inverse @ programme.residuals(theta)[zero]
        residual = programme.residuals(theta)
        if np.count_nonzero(np.abs(residual) > self.exact) != len(zero) - programme.size:
            return None
        nu = programme.sign(residual)
        nu[zero] = 0.0
        low, high = programme.low[zero], programme.high[zero]
        share = programme.total / programme.weight[zero]
        own = -share * (programme.slopes(nu) @ inverse)
        nu[zero] = own
        own = own - share * (programme.slopes(nu) @ inverse)
        nu[zero] = own
        inside = np.minimum(own - low, high - own) > INSIDE * (high - low)
        return (theta, nu, zero, residual) if inside.all() else None

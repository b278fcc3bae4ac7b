"""What an evaluation of the objective has found."""

from __future__ import annotations

import math
from typing import NamedTuple

from robustreg._arrays import Array
from robustreg._linalg.factors import length
from robustreg.evaluation.sums import Bend, Sums

# A Hessian serves as well for points this close to its own (in scales, whitened coordinates):
# the steps from there on gain four digits or so each, and save a third of their cost.
SAME_HESSIAN = 1e-5
SAME_LONG = 2e-4  # where psi' is not at hand, and bringing the matrix along takes half of a pass


class Curvature(NamedTuple):
    """What the generalised Hessian at a point is made of, and others next to it.

    Attributes
    ----------
    gram : ndarray of shape (q + 1, q + 1)
        ``sum w psi' [a, 1][a, 1]'``, of the columns or of the coordinates u.
    bend : Bend
        The psi' that it has of every row.
    single : bool
        Whether it began as one in single precision.
    theta : ndarray of shape (size,) or None
        The point; None: the matrix is one to start from.
    sigma : float
        The scale there.
    curve_z, curve_zz : ndarray of shape (p + 1,), float
        ``sum w psi'(z) z [a, 1]`` and ``sum w psi'(z) z^2`` there.
    """

    gram: Array
    bend: Bend
    single: bool
    theta: Array | None = None
    sigma: float = math.nan
    curve_z: Array | None = None
    curve_zz: float = 0.0

    def is_near(self, theta: Array, sigma: float, scales: float = SAME_HESSIAN) -> bool:
        """Whether a point is so close, as by default that the Hessian is the same."""
        if self.theta is None:
            return False
        return length(theta - self.theta) < scales * sigma  # False for infinity

    def elsewhere(self) -> Curvature:
        """The same matrix as one to start from."""
        return self._replace(theta=None)


class Evaluation(NamedTuple):
    """F at a point, without the penalty's kinks.

    Attributes
    ----------
    theta : ndarray of shape (size,)
        The point.
    sums : Sums
        The sums over the rows.
    value : float
        F.
    gradient : ndarray of shape (size,)
        Its derivative.
    curvature : Curvature or None
        What the Hessian is made of, where it was asked for.
    residual : ndarray of shape (n,) or None
        The residuals, where they were to be kept.
    """

    theta: Array
    sums: Sums
    value: float
    gradient: Array
    curvature: Curvature | None
    residual: Array | None = None

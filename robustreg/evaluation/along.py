"""What a step changes, to first order: the jobs of the passes that follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Bend, Fitted, Point, residual_of, slopes_of, standardised
from robustreg.losses import ConvexLoss


@dataclass(frozen=True)
class SlopeAlong:
    """The job that sums what the derivative of F along a step needs.

    ``sum w psi(z) dr`` and ``sum w rho*(psi(z))`` at ``z = (r - t dr) / (sigma + t dsigma)``, r
    and dr the residuals and what the step changes predictions by.
    """

    loss: ConvexLoss
    point: Point
    change: Point
    t: float
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        dr = Fitted(self.change.beta, self.change.intercept)(block)
        z = residual_of(block, self.point.beta, self.point.intercept)
        # of a step so long that numbers overflow the slope is no number, and not below 0
        with np.errstate(over="ignore", invalid="ignore"):
            z -= self.t * dr
            z /= self.point.sigma + self.t * self.change.sigma
            along = float(block.weighted(self.loss.psi(z)) @ dr)
            return np.array([along, block.total(self.loss.conjugate_of_psi(z))])


@dataclass(frozen=True)
class Times:
    """The job that sums ``w psi'(z) (q'd) [a, 1, z] / sigma``: the Hessian times a vector."""

    bend: Bend
    point: Point
    change: Point
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        z = standardised(block, self.point)
        along = Fitted(self.change.beta, self.change.intercept)(block)
        along += self.change.sigma * z
        along *= self.bend.of(block)
        along /= self.point.sigma
        if block.weight is not None:
            along *= block.weight
        return np.append(slopes_of(block, along), float(along @ z))


@dataclass(frozen=True)
class AfterStep:
    """``psi(z) + psi'(z) dz`` of rows, dz what a step changes z by to first order."""

    loss: ConvexLoss
    bend: Bend
    point: Point
    change: Point
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        z = standardised(block, self.point)
        dz = Fitted(self.change.beta, self.change.intercept)(block)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite proves nothing
            dz += self.change.sigma * z
            dz *= self.bend.of(block)
            dz /= -self.point.sigma
            dz += self.loss.psi(z)
        return dz

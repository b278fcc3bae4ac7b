"""What the residuals of a fit add up to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustreg.evaluation.order_statistics import Value
from robustreg.evaluation.reading import Block
from robustreg.losses import ConvexLoss
from robustreg.sources._spread import Spread


@dataclass(frozen=True)
class Noise:
    """What the residuals of a fit add up to, with weights in units of the largest.

    Attributes
    ----------
    loss : float
        The sum of the loss.
    spread : Spread
        The sum of the weights, the mean of the residuals, and the squares of what they are off it.
    zero : float
        The weight of rows on the fit.
    n_zero : int
        Their number.
    """

    loss: float
    spread: Spread
    zero: float
    n_zero: int

    def __add__(self, other: Noise) -> Noise:
        return Noise(
            self.loss + other.loss,
            self.spread + other.spread,
            self.zero + other.zero,
            self.n_zero + other.n_zero,
        )


@dataclass(frozen=True)
class SumNoise:
    """The job that adds them up."""

    loss: ConvexLoss
    residual: Value
    exact: float  # up to which residuals are those of rows on the fit

    def __call__(self, block: Block) -> Noise:
        r = self.residual(block)
        on_fit = np.abs(r) <= self.exact
        w = np.ones(len(r)) if block.weight is None else block.weight
        loss = float(w @ self.loss.rho(r))
        with np.errstate(over="ignore", invalid="ignore"):  # of gross residuals
            spread = Spread.of(r, w)
        return Noise(loss, spread, float(w @ on_fit), int(on_fit.sum()))

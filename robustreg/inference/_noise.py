"""What the residuals of a fit add up to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustreg.evaluation.order_statistics import Value
from robustreg.evaluation.reading import Block
from robustreg.losses import ConvexLoss


@dataclass(frozen=True)
class Noise:
    """What the residuals of a fit add up to, with weights in units of the largest.

    Attributes
    ----------
    loss : float
        The sum of the loss.
    weight : float
        The sum of the weights.
    mean : float
        The mean of the residuals.
    square : float
        The sum of the squares of what they are off their mean.
    zero : float
        The weight of rows on the fit.
    n_zero : int
        Their number.
    """

    loss: float
    weight: float
    mean: float
    square: float
    zero: float
    n_zero: int

    def __add__(self, other: Noise) -> Noise:
        weight, apart = self.weight + other.weight, other.mean - self.mean
        share = other.weight / weight
        return Noise(
            self.loss + other.loss,
            weight,
            self.mean + share * apart,
            self.square + other.square + self.weight * share * apart * apart,
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
        total, loss = float(w.sum()), float(w @ self.loss.rho(r))
        with np.errstate(over="ignore", invalid="ignore"):  # of gross residuals
            mean = float(w @ r) / total
            square = float(w @ np.square(r - mean))
        return Noise(loss, total, mean, square, float(w @ on_fit), int(on_fit.sum()))

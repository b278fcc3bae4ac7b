"""The rows nearest to a fit, found in a pass that holds no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.order_statistics import Value
from robustreg.evaluation.reading import Block


@dataclass(frozen=True)
class Nearest:
    """Residuals of rows near a fit, and weights in units of the largest.

    Attributes
    ----------
    most : float
        How much weight of them is wanted: of rows as far off as the last of these only the first.
    residual, weight : ndarray of shape (m,)
        Of each.
    """

    most: float
    residual: Array
    weight: Array

    def __add__(self, other: Nearest) -> Nearest:
        both = Nearest(
            self.most,
            np.concatenate([self.residual, other.residual]),
            np.concatenate([self.weight, other.weight]),
        )
        return both.wanted() if both.weight.sum() > self.most else both

    def wanted(self) -> Nearest:
        """The nearest first, and no more than are wanted."""
        order = np.argsort(np.abs(self.residual), kind="stable")
        weight = self.weight[order]
        before = np.cumsum(weight) - weight
        count = int(np.searchsorted(before, self.most))
        return Nearest(self.most, self.residual[order[:count]], weight[:count])


@dataclass(frozen=True)
class FindNearest:
    """The job that finds those that are not on the fit, given how far off the last of them is."""

    residual: Value
    exact: float  # up to which residuals are those of rows on the fit
    farthest: float
    most: float

    def __call__(self, block: Block) -> Nearest:
        r = self.residual(block)
        size = np.abs(r)
        near = np.flatnonzero((size > self.exact) & (size <= self.farthest))
        weight = np.ones(len(near)) if block.weight is None else block.weight[near]
        return Nearest(self.most, r[near], weight)

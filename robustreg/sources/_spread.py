"""Weighted means and squares of what parts of a table have, which parts are added to."""

from __future__ import annotations

from dataclasses import dataclass

from robustreg._arrays import Array
from robustreg._namespace import sum_of


@dataclass(frozen=True)
class Spread:
    """The mean of some values, and the sum of the squares of what they are off it.

    Means of parts are those of the whole by their weights; squares about them lack that of the
    distance d of the means, ``d^2 w1 w2 / (w1 + w2)`` (Chan, Golub and LeVeque, 1983).
    """

    weight: float
    mean: float
    square: float

    @classmethod
    def of(cls, values: Array, weight: Array) -> Spread:
        """That of values with weights, of which all may be 0."""
        total = sum_of(weight)
        mean = float(weight @ values) / total if total else 0.0
        off = values - mean
        return cls(total, mean, float(weight @ (off * off)))

    def __add__(self, other: Spread) -> Spread:
        if not self.weight or not other.weight:
            return self if self.weight else other
        weight, apart = self.weight + other.weight, other.mean - self.mean
        share = other.weight / weight
        return Spread(
            weight,
            self.mean + share * apart,
            self.square + other.square + self.weight * share * apart * apart,
        )

"""Maxima of linear functions, ``h(x) = max of nu x over low <= nu <= high``, made smooth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from robustreg._arrays import Array, Mask
from robustreg._linalg.precise import Precise


class Envelope(Protocol):
    """Convex functions with a gradient in place of some h."""

    def slopes(self, x: Precise, kept: bool = False) -> Precise:
        """The nu at x."""

    @property
    def curvature(self) -> Array:
        """The derivatives of the nu that were computed last by x."""

    @property
    def stiffest(self) -> float:
        """The largest that one of them may be."""


@dataclass
class Smoothed:
    """``max of nu x - width (nu - centre)^2 / 2`` over nu between its bounds."""

    low: Array
    high: Array
    width: Array
    centre: Precise
    inside: Mask = field(init=False)  # where nu is between its bounds

    def __post_init__(self) -> None:
        self.inside = np.zeros(self.centre.shape, dtype=bool)

    def slopes(self, x: Precise, kept: bool = False) -> Precise:
        """The nu at x; with ``kept`` those between their bounds remain what they were."""
        nu = self.centre + x / self.width
        if not kept:
            self.inside = (self.low < nu.high) & (nu.high < self.high)
        return nu.where(self.inside, np.clip(nu.high, self.low, self.high))

    @property
    def curvature(self) -> Array:
        """The derivatives of the nu that were computed last by x."""
        return self.inside / self.width

    @property
    def stiffest(self) -> float:
        """The largest that one of them may be."""
        return float(1.0 / self.width.min())  # infinite where one has no width

    def recentre(self, nu: Precise) -> None:
        """Take other nu for centres, so far as they are within the bounds."""
        within = (self.low <= nu.high) & (nu.high <= self.high)
        self.centre = nu.where(within, np.clip(nu.high, self.low, self.high))


@dataclass
class Barrier:
    """``max of nu x + mu log(high - nu) + mu log(nu - low)`` over nu between its bounds.

    The slope nu solves ``x = mu / (high - nu) - mu / (nu - low)``. With c in the middle between
    the bounds, d half of their distance and ``R^2 = mu^2 + (x d)^2`` it is
    ``c + x d^2 / (mu + R)``. Without a lower bound x is positive, and nu is ``high - mu / x``.
    """

    low: Array
    high: Array
    mu: Array
    curvature: Array = field(init=False)  # the derivative of nu by x
    drift: Array = field(init=False)  # the derivative of nu by mu, times mu

    def slopes(self, x: Precise, kept: bool = False) -> Precise:
        """The nu at x."""
        open_ = np.isinf(self.low)
        low = Precise(np.where(open_, 0.0, self.low))
        centre, half = (low + self.high) * 0.5, (self.high - low) * 0.5
        root = (x * half * (x * half) + Precise(self.mu) * self.mu).sqrt()
        nu = centre + x * half / ((root + self.mu) / half)
        r, d = root.high, half.high
        self.curvature = d**2 * self.mu / (r * (self.mu + r))
        self.drift = -x.high * d**2 * self.mu / (r * (self.mu + r))
        if open_.any():
            own = Precise(self.mu) / x
            nu = (self.high - own).where(open_, nu)
            self.curvature = np.where(open_, self.mu / x.high**2, self.curvature)
            self.drift = np.where(open_, -self.mu / x.high, self.drift)
        return nu

    @property
    def stiffest(self) -> float:
        """The largest that one of them may be, of functions with two bounds."""
        return float(np.max((self.high - self.low) ** 2 / self.mu)) / 8.0

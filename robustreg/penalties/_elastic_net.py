"""Penalties on the coefficients: value, derivatives and conjugate.

The penalty of the objective (docs/design.md, section 2) is

    pen(beta) = alpha * [ l1_ratio * |beta|_1 + (1 - l1_ratio) / 2 * |beta|_2^2 / u ]

with ``u`` the penalty's unit, a scale of ``y``. The intercept is never penalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.blas import dasum, dnrm2

from robustreg._arrays import SMALLEST, TINY, Array
from robustreg._cached import cached_property
from robustreg.penalties._base import STEEPEST, NonSmooth, Penalty
from robustreg.penalties._kinks import Kinks


@dataclass(frozen=True)
class ElasticNet(Penalty):
    """The penalty ``alpha [l1_ratio |beta|_1 + (1 - l1_ratio) / (2 u) |beta|_2^2]``.

    With ``positive``, infinite where a coefficient is negative.

    Parameters
    ----------
    alpha : float, default=0.0
        Strength, at least 0; 0 is no penalty.
    l1_ratio : float, default=0.0
        Share of the L1 norm, from 0 (ridge) to 1 (lasso).
    unit : float, default=1.0
        The unit ``u`` > 0, in the units of ``y``.
    positive : bool, default=False
        Whether coefficients must not be negative.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.penalties import ElasticNet
    >>> ElasticNet(alpha=2.0, unit=4.0).value(np.array([1.0, -3.0]))
    2.5
    >>> ElasticNet(alpha=2.0, l1_ratio=1.0).value(np.array([1.0, -3.0]))
    8.0
    """

    alpha: float = 0.0
    l1_ratio: float = 0.0
    unit: float = 1.0
    positive: bool = False

    @property
    def is_none(self) -> bool:
        """Whether it is 0 everywhere."""
        return not (self.alpha or self.positive)

    @property
    def ridge(self) -> float:
        """``alpha (1 - l1_ratio)``."""
        return self.alpha * (1.0 - self.l1_ratio)

    @property
    def curvature(self) -> float:
        """Second derivative of the quadratic part by any coefficient."""
        return self.ridge / self.unit

    @cached_property  # solvers ask for it in every step
    def root_curvature(self) -> float:
        """Its square root, which is above 0 where there is a quadratic part, however weak."""
        if self.curvature >= TINY:
            return math.sqrt(self.curvature)
        return math.sqrt(self.ridge) / math.sqrt(self.unit)

    @property
    def slope(self) -> float:
        """``alpha l1_ratio``, the slope of the L1 norm's part on either side of 0."""
        return self.alpha * self.l1_ratio

    def value(self, coef: Array) -> float:
        """Penalty of ``coef``; infinite where one must not be negative and is."""
        if self.positive and (coef < 0.0).any():
            return np.inf
        value, slope, root = 0.0, self.slope, self.root_curvature
        if not coef.size:
            return value
        # BLAS sums without a warning where infinite is the right answer, and squares nothing
        if root:
            size = root * float(dnrm2(coef))
            value = 0.5 * size * size
        return value + slope * float(dasum(coef)) if slope else value

    def rounding(self, coef: Array) -> float:
        """What the value may be off by where strengths below 2.2e-308 have few digits."""
        lost = 0.0
        if 0.0 < self.slope < TINY:
            lost += SMALLEST * float(dasum(coef))
        if 0.0 < self.ridge < TINY:
            root = math.sqrt(SMALLEST) / math.sqrt(self.unit) * float(dnrm2(coef))
            lost += 0.5 * root * root
        return lost

    def gradient(self, coef: Array) -> Array:
        """Gradient of the quadratic part, ``curvature * coef``."""
        root = self.root_curvature
        if not root:
            return np.zeros_like(coef)
        with np.errstate(over="ignore", invalid="ignore"):  # as in F
            return self.curvature * coef if self.curvature >= TINY else root * (root * coef)

    def subgradient(self, coef: Array, near: Array, tiny: float = 0.0) -> Array:
        """The subgradient at ``coef`` closest to ``near``: where that is 0, there is a choice.

        To the kink, coefficients up to ``tiny`` in size count as 0.
        """
        smooth = self.gradient(coef)
        if not self.kinked:
            return smooth
        free = np.clip(near - smooth, -np.inf if self.positive else -self.slope, self.slope)
        return smooth + np.where(np.abs(coef) <= tiny, free, self.slope * np.sign(coef))

    def conjugate(self, slope: Array) -> float:
        """``sup_beta slope'beta - pen(beta)``.

        For each coefficient the supremum of ``v b - alpha l1_ratio |b| - curvature b^2 / 2``
        is ``(|v| - alpha l1_ratio)_+^2 / (2 curvature)``, with v in place of ``|v|`` where b
        must not be negative. Without a quadratic part it is 0 for slopes up to
        ``alpha l1_ratio`` and infinite beyond; the caller guarantees such slopes there, up to
        rounding.
        """
        root = self.root_curvature
        if not root:
            return 0.0
        excess = np.maximum(self.steepness(slope) - self.slope, 0.0) / root
        return 0.5 * float(excess @ excess)

    def share_within(self, slope: Array) -> float:
        """The largest c up to 1 for which the conjugate of ``c slope`` is finite."""
        if not self.slope or self.root_curvature:
            return 1.0
        steepest = float(self.steepness(slope).max(initial=0.0))
        return min(1.0, self.slope / steepest) if steepest > 0.0 else 1.0

    def fenchel(self, slope: Array, coef: Array) -> float:
        """``slope'coef - conjugate(slope)``, which is at most ``pen(coef)``.

        What rounding leaves of slopes that nothing balances but the L1 norm is no gain, but costs
        what it would if the optimum had coefficients twice as large.
        """
        if self.positive and not self.root_curvature:
            slope = slope - 2.0 * np.maximum(slope - self.slope, 0.0)
        return super().fenchel(slope, coef)

    def kinks(self, factor: Array, size: int) -> NonSmooth | None:
        """What is not smooth of it, for coefficients ``factor * x[: len(factor)]`` of x."""
        if not self.kinked:
            return None
        slopes, positive = np.zeros(size), np.zeros(size, dtype=bool)
        with np.errstate(over="ignore", invalid="ignore"):
            own = np.minimum(self.slope * factor, STEEPEST) if self.slope else np.zeros(len(factor))
        # a constant column has no slope: with any kink its coefficient stays 0
        slopes[: len(factor)] = np.where(factor > 0, own, 1.0)
        positive[: len(factor)] = self.positive
        return Kinks(slopes, positive)

    def in_units(self, coef_unit: float, value_unit: float) -> ElasticNet:
        """The same for coefficients and values in other units: ``pen(coef_unit b) / value_unit``.

        Where these are one unit, that of the penalty is all that changes.
        """
        ratio = coef_unit / value_unit
        return replace(self, alpha=self.alpha * ratio, unit=self.unit / coef_unit)

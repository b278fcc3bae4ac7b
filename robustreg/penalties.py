"""Penalties on the coefficients: value, gradient and conjugate.

The penalty of the objective (docs/design.md, section 1) is

    pen(beta) = alpha * [ l1_ratio * |beta|_1 + (1 - l1_ratio) / 2 * |beta|_2^2 / u ]

with ``u`` the penalty's unit, a scale of ``y``. The intercept is never penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

from robustreg._arrays import Array


@dataclass(frozen=True)
class Ridge:
    """The quadratic penalty ``alpha / (2 u) * |beta|_2^2``.

    Parameters
    ----------
    alpha : float, default=0.0
        Strength, at least 0; 0 is no penalty.
    unit : float, default=1.0
        The unit ``u`` > 0, in the units of ``y``.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.penalties import Ridge
    >>> Ridge(alpha=2.0, unit=4.0).value(np.array([1.0, -3.0]))
    2.5
    """

    alpha: float = 0.0
    unit: float = 1.0

    @property
    def curvature(self) -> float:
        """Second derivative along any coefficient, ``alpha / u``."""
        return self.alpha / self.unit

    def value(self, coef: Array) -> float:
        """Penalty of ``coef``."""
        return 0.5 * self.curvature * float(coef @ coef) if self.alpha else 0.0

    def gradient(self, coef: Array) -> Array:
        """Gradient ``alpha / u * coef``."""
        return self.curvature * coef

    def conjugate(self, slope: Array) -> float:
        """``sup_beta slope'beta - pen(beta) = u / (2 alpha) |slope|_2^2``.

        Without a penalty it is 0 at slope 0 and infinite elsewhere; the caller
        guarantees slope 0 there, up to rounding.
        """
        return 0.5 * float(slope @ slope) / self.curvature if self.alpha else 0.0

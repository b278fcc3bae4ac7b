"""What a penalty says of itself, and what it does where it has no gradient.

Solvers know no penalty by name. They ask one for its value, derivatives and conjugate, which is
all that an objective and its certificate are made of, and for what is not smooth of it as a
function of their own variables. Who needs more, a linear programme for an L1 norm, says so in
its traits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from robustreg._arrays import Array, Mask

STEEPEST = 1e100  # slopes of a kink that matters: those of the loss are 1e15 at most or so


class NonSmooth(ABC):
    """A convex function h of a solver's variables x, of shape (k,), that is not smooth.

    Minimisers of ``f + h``, f smooth, are sought by steps to the minimiser of h plus a quadratic
    model of f (proximal Newton steps; Lee, Sun and Saunders, 2014).

    Attributes
    ----------
    positive : ndarray of shape (k,), bool
        Variables that must not be negative.
    """

    positive: Mask

    @abstractmethod
    def change(self, x: Array, step: Array) -> float:
        """``h(x + step) - h(x)``."""

    @abstractmethod
    def derivatives(self, x: Array, step: Array) -> tuple[float, float]:
        """Derivatives of ``t -> h(x + t step)`` at 0 from the left and from the right."""

    @abstractmethod
    def excess(self, x: Array, gradient: Array) -> Array:
        """The subgradient of ``f + h`` at x that is closest to 0, given the gradient of f."""

    @abstractmethod
    def step(self, hessian: Any, gradient: Array, x: Array) -> Array | None:
        """The d that minimises ``gradient'd + d'hessian d / 2 + h(x + d)``.

        Where h has variables of ``x + d`` at a kink, exactly so: what is 0 must be 0. None where
        there is no such d, or it is not finite; the solver then damps the matrix.
        """

    @abstractmethod
    def lead(self, count: int) -> NonSmooth:
        """The same of the first variables; the others have no part in it."""

    def allowed(self, x: Array) -> Array:
        """The nearest point that keeps the constraints, for one that rounding has taken beyond."""
        return np.where(self.positive, np.maximum(x, 0.0), x)


class Penalty(ABC):
    """A convex penalty of the coefficients of X, pen(beta) >= 0 with pen(0) = 0.

    Concrete ones are immutable dataclasses, so that they can be parameters of estimators.

    Notes
    -----
    To add one, derive from this class as a ``@dataclass(frozen=True)`` and write the abstract
    methods. The quadratic part, if there is one, must be a multiple of the identity, told by
    `root_curvature`; everything else is what `kinks` returns. A conjugate that is too small makes
    certificates that claim too much: `check_penalty` looks for that.
    """

    @property
    def is_none(self) -> bool:
        """Whether it is 0 everywhere."""
        return False

    @property
    def root_curvature(self) -> float:
        """Square root of the second derivative of the quadratic part by any coefficient."""
        return 0.0

    @property
    def ridge(self) -> float:
        """That second derivative times the penalty's unit, if it has one."""
        return self.root_curvature**2

    @property
    def slope(self) -> float:
        """How steep the steepest kink is; 0 without one."""
        return 0.0

    @property
    def positive(self) -> bool:
        """Whether coefficients must not be negative."""
        return False

    @property
    def kinked(self) -> bool:
        """Whether it is not smooth everywhere."""
        return self.slope > 0.0 or self.positive

    @abstractmethod
    def value(self, coef: Array) -> float:
        """``pen(coef)``, for coefficients of shape (p,)."""

    @abstractmethod
    def subgradient(self, coef: Array, near: Array, tiny: float = 0.0) -> Array:
        """The subgradient at ``coef`` closest to ``near``: at a kink there is a choice.

        To the kink, coefficients up to ``tiny`` in size count as 0.
        """

    @abstractmethod
    def conjugate(self, slope: Array) -> float:
        """``sup_beta slope'beta - pen(beta)``, for slopes that it is finite for, up to rounding."""

    @abstractmethod
    def share_within(self, slope: Array) -> float:
        """The largest c up to 1 for which the conjugate of ``c slope`` is finite."""

    @abstractmethod
    def kinks(self, factor: Array, size: int) -> NonSmooth | None:
        """What is not smooth of it, for coefficients ``factor * x[: len(factor)]`` of x.

        ``size`` is the length of x. A factor of 0 is that of a constant column: its x must stay 0,
        which a kink of any slope sees to. None where there is nothing that is not smooth.
        """

    @abstractmethod
    def in_units(self, coef_unit: float, value_unit: float) -> Penalty:
        """The same in other units of coefficients and values: ``pen(coef_unit b) / value_unit``."""

    def gradient(self, coef: Array) -> Array:
        """Gradient of the quadratic part."""
        root = self.root_curvature
        return root * (root * coef) if root else np.zeros_like(coef)

    def steepness(self, slope: Array) -> Array:
        """What of slopes the kinks have to balance: not those that a sign constraint does."""
        return slope if self.positive else np.abs(slope)

    def rounding(self, coef: Array) -> float:
        """What the value may be off by, at least 0: where strengths have too few digits."""
        return 0.0

    def fenchel(self, slope: Array, coef: Array) -> float:
        """``slope'coef - conjugate(slope)``, which is at most ``pen(coef)``."""
        return float(slope @ coef) - self.conjugate(slope)

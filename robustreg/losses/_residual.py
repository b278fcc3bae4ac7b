"""Losses of a residual: elementwise primitives, traits, and what a convex loss has besides.

A concrete loss has its formulas in the underscored hooks ``_rho``, ``_psi``, ``_psi_prime`` and,
if convex, ``_conjugate``. These receive a float32 or float64 array of at least one dimension, and
run with floating-point warnings off. Conversion and scalars are dealt with here; weights and
reductions in the base class of all losses.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from robustreg._namespace import between, namespace_of
from robustreg._numbers import as_number
from robustreg.losses._arrays import (
    FloatArray,
    Shape,
    apply_elementwise,
    apply_weight,
    check_residual,
)
from robustreg.losses._base import Loss
from robustreg.losses._quadrature import gaussian_expectation

# Formulas square the tuning constants; between these bounds the squares are in float64's range.
# (With float32 residuals the constants should be within the range of float32, too.)
_SMALLEST_CONSTANT, _LARGEST_CONSTANT = 1e-150, 1e150


class ResidualLoss(Loss):
    """A loss of a standardised residual, r = (y_true - y_pred) / scale.

    Called as a metric, it is rho(y_true - y_pred): the scale is 1, the unit in which its constants
    are meant. Targets and predictions have the same shape, which is that of the losses, too.

    Attributes
    ----------
    convex : bool
        Whether rho is convex. Convex losses (`ConvexLoss`) also have a conjugate.
    smoothness : int
        Number of continuous derivatives of rho: 0 (psi jumps), 1 (psi' jumps), or 2 (two or more).
    sup_rho : float
        Supremum of rho; finite only for the losses that can define an S-estimator.
    curvature : float
        Supremum of psi', the curvature of the tightest parabola above rho; infinite if psi jumps.
    redescending : bool
        Whether psi returns to zero for large residuals, so that gross errors lose all influence.
    elicits : {"mean", "median", "quantile", "location"}
        Which functional of the distribution of Y minimises the expected loss E rho(Y - t).
        "location" stands for the loss's own M-functional, the root t of E psi(Y - t) = 0: the
        centre of a distribution that is symmetric (for a non-convex loss: and unimodal).
    homogeneity : int or None
        The k for which rho(t r) = t**k rho(r) for every t > 0, None if there is none.
    tunable : bool
        Whether `tuning_constant` can compute the loss's constant.

    Notes
    -----
    The gradient is by the chain rule. Since r falls by 1 where a prediction grows by 1, the loss
    of an element has the derivative -psi(r) by its own prediction, and 0 by all others; so the
    sum ``sum w_i rho(r_i)`` has ``-w_i psi(r_i)`` by the i-th, and the mean this over ``sum w``.
    Where psi jumps, this is a subgradient as psi is.

    To add a loss, subclass `ResidualLoss` or `ConvexLoss` as a ``@dataclass(frozen=True)``,
    implement the hooks ``_rho``, ``_psi`` and ``_psi_prime`` (convex: also ``_conjugate`` and
    ``conjugate_domain``), and state the traits that differ from the defaults below. The default
    ``_weights`` suits every loss whose psi is continuous at 0. `check_loss` names what is wrong.

    Examples
    --------
    >>> from robustreg.losses import Huber
    >>> loss, y_true, y_pred = Huber(delta=2.0), [1.0, 9.0], [2.0, 2.0]
    >>> print(loss.psi([-1.0, 7.0]))
    [-1.  2.]
    >>> print(loss(y_true, y_pred, sample_weight=[3, 1], reduction="none"))
    [ 1.5 12. ]
    >>> print(loss.gradient(y_true, y_pred, sample_weight=[3, 1], reduction="sum"))
    [ 3. -2.]
    >>> print(loss.gradient(y_true, y_pred, sample_weight=[3, 1]))  # of the mean: over 3 + 1
    [ 0.75 -0.5 ]
    """

    convex: ClassVar[bool] = False
    redescending: ClassVar[bool] = False
    tunable: ClassVar[bool] = False

    # The other traits may depend on a parameter; where they do not, a loss states a plain value.

    @property
    def smoothness(self) -> int:
        return 2

    @property
    def sup_rho(self) -> float:
        return math.inf

    @property
    def curvature(self) -> float:
        return 1.0

    @property
    def elicits(self) -> str:
        return "location"

    @property
    def homogeneity(self) -> int | None:
        return None

    def kinks(self) -> tuple[float, ...]:
        """Return the residuals, in increasing order, at which psi or psi' is discontinuous."""
        return ()

    def _breakpoints(self) -> tuple[float, ...]:
        """Return where rho is not analytic; a panel of a quadrature must not contain these."""
        return self.kinks()

    @classmethod
    def from_tuning_constant(cls, constant: float) -> ResidualLoss:
        """Return the member of a tunable family that has this tuning constant."""
        return cls(constant)  # type: ignore[call-arg]

    def rho(self, r: ArrayLike) -> FloatArray:
        """Return the loss of each standardised residual.

        As in all elementwise methods, float32 stays float32, everything else is computed in
        float64, and a scalar gives a NumPy scalar.
        """
        return apply_elementwise(self._rho, r)

    def psi(self, r: ArrayLike) -> FloatArray:
        """Return rho'(r); where rho has a kink, a subgradient."""
        return apply_elementwise(self._psi, r)

    def weights(self, r: ArrayLike) -> FloatArray:
        """Return psi(r) / r with its limit at 0, which is infinite for a loss with a kink there."""
        return apply_elementwise(self._weights, r)

    def psi_prime(self, r: ArrayLike) -> FloatArray:
        """Return psi'(r); where psi has a kink, one of the one-sided derivatives."""
        return apply_elementwise(self._psi_prime, r)

    @abstractmethod
    def _rho(self, r: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _psi(self, r: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _psi_prime(self, r: FloatArray) -> FloatArray: ...

    def _weights(self, r: FloatArray) -> FloatArray:
        xp, at_zero = namespace_of(r), r == 0
        return xp.where(at_zero, self._psi_prime(r), self._psi(r) / xp.where(at_zero, 1, r))

    def _rho_and_lever(self, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return rho(r) and r psi(r) of a bounded loss: what equations for a scale are made of."""
        r = between(r, -1e300, 1e300)  # far out psi is 0, and infinity times 0 is not
        return self._rho(r), r * self._psi(r)

    def _check(self, y_true: ArrayLike, *y_pred: ArrayLike) -> tuple[FloatArray, Shape]:
        r = check_residual(y_true, *y_pred)
        return r, tuple(r.shape)

    def _values(self, inputs: FloatArray) -> FloatArray:
        return self.rho(inputs)

    def _derivatives(self, inputs: FloatArray, weight: FloatArray | None) -> tuple[FloatArray, ...]:
        return (apply_weight(-self.psi(inputs), weight),)


class ConvexLoss(ResidualLoss):
    """A convex loss: adds the conjugate, and the constants of the joint estimation of a scale.

    Attributes
    ----------
    conjugate_domain : tuple of two floats
        Where the conjugate is finite: the closure of the range of psi.
    quadratic_conjugate : bool
        Whether rho*(v) = v**2 / (2 curvature) on this domain: rho is a parabola, continued by
        straight lines. It spares an evaluation in every sum; False is never wrong.
    kappa : float
        E[Z psi(Z) - rho(Z)] for Z ~ N(0, 1). Adding ``kappa * sigma`` to the mean of
        ``sigma * rho(r / sigma)`` makes the minimising sigma consistent for the standard deviation
        of Gaussian noise. It is 0 for losses of homogeneity 1, for which no joint scale exists.
    joint_breakdown : float
        The largest share of arbitrarily bad observations, all on the worse side, that the joint
        estimation of location and scale survives. It is 0 where psi is unbounded, and NaN for
        losses of homogeneity 1.

    Notes
    -----
    The breakdown point is the share e at which no dual point is feasible any more: the bad
    observations have the dual value v at an end of the conjugate domain, the good ones balance it
    with -v e / (1 - e), and the scale requires e rho*(v) + (1 - e) rho*(-v e / (1 - e)) <= kappa.
    With lam = kappa / rho*(v), a conjugate of v^2 / 2 (Huber) makes that e <= lam / (1 + lam). Bad
    observations in equal shares on both sides need no balance: there the limit is lam.
    """

    convex = True
    quadratic_conjugate: ClassVar[bool] = False

    @property
    def conjugate_domain(self) -> tuple[float, float]:
        return (-math.inf, math.inf)

    def conjugate(self, v: ArrayLike) -> FloatArray:
        """Return rho*(v) = sup over r of v r - rho(r); it is inf outside `conjugate_domain`."""
        low, high = self.conjugate_domain

        def formula(v: FloatArray) -> FloatArray:
            outside = (v < low) | (v > high)
            inside = self._conjugate(between(v, low, high))
            return namespace_of(v).where(outside, np.inf, inside)

        return apply_elementwise(formula, v)

    def conjugate_of_psi(self, r: ArrayLike) -> FloatArray:
        """Return rho*(psi(r)) = r psi(r) - rho(r), which for large r cancels if taken as such."""
        return apply_elementwise(self._conjugate_of_psi, r)

    @abstractmethod
    def _conjugate(self, v: FloatArray) -> FloatArray:
        """Return rho*(v) for v in the closed conjugate domain."""

    def _conjugate_of_psi(self, r: FloatArray) -> FloatArray:
        """Return r psi(r) - rho(r), written as rho*(psi(r)), which does not cancel."""
        return self._conjugate(self._psi(r))

    @property
    def kappa(self) -> float:
        return _kappa(self)

    @property
    def joint_breakdown(self) -> float:
        if self.homogeneity == 1:
            return math.nan
        low, high = self.conjugate_domain
        if math.isinf(high - low):
            return 0.0
        return min(_one_sided_breakdown(self, high, low), _one_sided_breakdown(self, low, high))


@functools.lru_cache(maxsize=256)
def _kappa(loss: ConvexLoss) -> float:
    with np.errstate(all="ignore"):
        return gaussian_expectation(loss._conjugate_of_psi, loss._breakpoints())


def _one_sided_breakdown(loss: ConvexLoss, bad: float, other: float) -> float:
    """Return the share of observations at one end of the dual domain that uses up kappa."""
    price = float(loss.conjugate(bad))
    low, high = sorted((bad, other))

    def excess(share: float) -> float:
        good = np.clip(-bad * share / (1.0 - share), low, high)
        used = share * price + (1.0 - share) * float(loss.conjugate(good))
        return (used - loss.kappa) / price

    # At this share the good observations have arrived at the other end of the domain.
    largest = abs(other) / (abs(other) + abs(bad))
    return largest if excess(largest) <= 0.0 else float(brentq(excess, 0.0, largest, xtol=1e-15))


def check_constant(loss: ResidualLoss, name: str, *, zero_allowed: bool = False) -> None:
    """Validate a parameter of a frozen loss that is measured in units of r; store it as a float."""
    number = as_number(getattr(loss, name))
    if not (_SMALLEST_CONSTANT <= number <= _LARGEST_CONSTANT or (zero_allowed and number == 0.0)):
        zero = "0 or " if zero_allowed else ""
        raise ValueError(
            f"{type(loss).__name__}: {name} must be {zero}a number from {_SMALLEST_CONSTANT:g} to "
            f"{_LARGEST_CONSTANT:g}, got {getattr(loss, name)!r}."
        )
    object.__setattr__(loss, name, number)

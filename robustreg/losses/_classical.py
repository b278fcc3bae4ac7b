"""Classical convex losses: least squares, and losses made of straight lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robustreg._namespace import absolute, at_least, cast, namespace_of
from robustreg._numbers import as_number
from robustreg.losses._arrays import FloatArray
from robustreg.losses._residual import ConvexLoss, check_constant


@dataclass(frozen=True)
class Squared(ConvexLoss):
    """Squared error, the textbooks' L2 loss; its mean is the mean squared error.

    =========  =========
    rho(r)     r^2
    psi(r)     2 r
    weights    2
    psi'(r)    2
    rho*(v)    v^2 / 4
    =========  =========

    See Also
    --------
    HalfSquared : Half of it, the limit of `Huber` for a large delta.

    References
    ----------
    T. Gneiting (2011). Making and evaluating point forecasts. Journal of the American Statistical
    Association 106, 746-762. (Which loss elicits which functional.)

    Examples
    --------
    >>> from robustreg.losses import Squared
    >>> float(Squared()([1.0, 2.0], [1.0, 4.0]))
    2.0
    """

    quadratic_conjugate = True

    curvature = 2.0
    elicits = "mean"
    homogeneity = 2

    def _rho(self, r: FloatArray) -> FloatArray:
        return r * r

    def _psi(self, r: FloatArray) -> FloatArray:
        return 2.0 * r

    def _weights(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).full_like(r, 2.0)

    _psi_prime = _weights

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return 0.25 * v * v


@dataclass(frozen=True)
class HalfSquared(ConvexLoss):
    """Half the squared error: what least squares minimises here, and Huber's limit.

    With this factor psi(r) is r itself, as it is for small r in every other smooth loss of this
    package, so that penalties and scales mean the same beside it.

    =========  =========
    rho(r)     r^2 / 2
    psi(r)     r
    weights    1
    psi'(r)    1
    rho*(v)    v^2 / 2
    =========  =========

    References
    ----------
    T. Gneiting (2011). Making and evaluating point forecasts. Journal of the American Statistical
    Association 106, 746-762.

    Examples
    --------
    >>> from robustreg.losses import HalfSquared, Huber
    >>> float(HalfSquared().rho(3.0)), float(Huber(delta=100.0).rho(3.0))
    (4.5, 4.5)
    """

    quadratic_conjugate = True

    elicits = "mean"
    homogeneity = 2

    def _rho(self, r: FloatArray) -> FloatArray:
        return 0.5 * r * r

    def _psi(self, r: FloatArray) -> FloatArray:
        return r.copy() if type(r) is np.ndarray else 1.0 * r

    def _weights(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).ones_like(r)

    _psi_prime = _weights

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return 0.5 * v * v


@dataclass(frozen=True)
class Absolute(ConvexLoss):
    """Absolute error, the L1 loss; its mean is the mean absolute error.

    =========  =================================
    rho(r)     abs(r)
    psi(r)     sign(r)
    weights    1 / abs(r), infinite at 0
    psi'(r)    0
    rho*(v)    0,  abs(v) <= 1
    =========  =================================

    References
    ----------
    P. Bloomfield, W. L. Steiger (1983). Least Absolute Deviations: Theory, Applications and
    Algorithms. Birkhaeuser.

    Examples
    --------
    >>> from robustreg.losses import Absolute
    >>> float(Absolute()([1.0, 2.0], [1.0, 4.0]))
    1.0
    """

    smoothness = 0
    curvature = math.inf
    elicits = "median"
    homogeneity = 1
    conjugate_domain = (-1.0, 1.0)

    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def _rho(self, r: FloatArray) -> FloatArray:
        return absolute(r)

    def _psi(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).sign(r)

    def _weights(self, r: FloatArray) -> FloatArray:
        return 1.0 / namespace_of(r).abs(r)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).zeros_like(r)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return 0.0 * v


@dataclass(frozen=True)
class Quantile(ConvexLoss):
    """Quantile loss, also known as pinball or check loss.

    =========  =================  =================  =================
    ..         r < 0              r = 0              r > 0
    =========  =================  =================  =================
    rho(r)     (q - 1) r          0                  q r
    psi(r)     q - 1              0                  q
    weights    (1 - q) / abs(r)   infinite           q / r
    psi'(r)    0                  0                  0
    =========  =================  =================  =================

    The conjugate is 0 for q - 1 <= v <= q. Since r is the target minus the prediction, a large q
    punishes predictions that are too low. ``Quantile(0.5)`` is half of `Absolute`.

    Parameters
    ----------
    q : float, default=0.5
        The level of the quantile, strictly between 0 and 1.

    References
    ----------
    R. Koenker, G. Bassett (1978). Regression quantiles. Econometrica 46, 33-50.

    Examples
    --------
    >>> from robustreg.losses import Quantile
    >>> Quantile(q=0.75).rho([-4.0, 4.0]).tolist()
    [1.0, 3.0]
    """

    q: float = 0.5

    smoothness = 0
    curvature = math.inf
    elicits = "quantile"
    homogeneity = 1

    def __post_init__(self) -> None:
        number = as_number(self.q)
        if not 0.0 < number < 1.0:
            raise ValueError(f"Quantile: q must lie strictly between 0 and 1, got {self.q!r}.")
        object.__setattr__(self, "q", number)

    @property
    def conjugate_domain(self) -> tuple[float, float]:
        return (self.q - 1.0, self.q)

    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def _rho(self, r: FloatArray) -> FloatArray:
        if type(r) is np.ndarray:
            return np.maximum(self.q * r, (self.q - 1.0) * r)
        return self._psi(r) * r  # where automatic differentiation finds psi at 0, too

    def _psi(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        return xp.where(r > 0, self.q, xp.where(r < 0, self.q - 1.0, 0.0 * r))

    def _weights(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).where(r == 0, np.inf, self._psi(r) / r)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).zeros_like(r)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return 0.0 * v


@dataclass(frozen=True)
class EpsilonInsensitive(ConvexLoss):
    """Absolute error beyond a tube of width epsilon: the loss of support vector regression.

    =========  ====================  =========================
    ..         abs(r) <= epsilon     abs(r) > epsilon
    =========  ====================  =========================
    rho(r)     0                     abs(r) - epsilon
    psi(r)     0                     sign(r)
    weights    0                     1 / abs(r)
    psi'(r)    0                     0
    =========  ====================  =========================

    The conjugate is epsilon abs(v) for abs(v) <= 1.

    Parameters
    ----------
    epsilon : float, default=0.1
        Half the width of the tube, in units of the scale; 0 gives `Absolute`.

    References
    ----------
    V. N. Vapnik (1995). The Nature of Statistical Learning Theory. Springer.

    Examples
    --------
    >>> from robustreg.losses import EpsilonInsensitive
    >>> EpsilonInsensitive(epsilon=0.5).rho([-2.0, 0.25, 1.0]).tolist()
    [1.5, 0.0, 0.5]
    """

    epsilon: float = 0.1

    smoothness = 0
    curvature = math.inf
    conjugate_domain = (-1.0, 1.0)

    def __post_init__(self) -> None:
        check_constant(self, "epsilon", zero_allowed=True)

    @property
    def elicits(self) -> str:
        return "location" if self.epsilon else "median"

    @property
    def homogeneity(self) -> int | None:
        return None if self.epsilon else 1

    def kinks(self) -> tuple[float, ...]:
        return (-self.epsilon, self.epsilon) if self.epsilon else (0.0,)

    def _rho(self, r: FloatArray) -> FloatArray:
        return at_least(namespace_of(r).abs(r) - self.epsilon, 0.0)

    def _psi(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        return xp.sign(r) * cast(xp.abs(r) > self.epsilon, r)

    def _weights(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        size = xp.abs(r)
        inside = 0.0 if self.epsilon else np.inf
        return xp.where(size > self.epsilon, 1.0 / size, inside)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        return namespace_of(r).zeros_like(r)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return self.epsilon * namespace_of(v).abs(v)

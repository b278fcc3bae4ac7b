"""Redescending losses: gross errors lose all influence, at the price of convexity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robustreg.losses._arrays import FloatArray
from robustreg.losses._base import Loss, check_constant


@dataclass(frozen=True)
class Bisquare(Loss):
    """Tukey's bisquare (biweight) loss.

    With u = r / c:

    =========  ==========================  ===============
    ..         abs(u) <= 1                 abs(u) > 1
    =========  ==========================  ===============
    rho(r)     c^2 / 6 [1 - (1 - u^2)^3]   c^2 / 6
    psi(r)     r (1 - u^2)^2               0
    weights    (1 - u^2)^2                 0
    psi'(r)    (1 - u^2) (1 - 5 u^2)       0
    =========  ==========================  ===============

    Parameters
    ----------
    c : float, default=4.685
        Residuals beyond c have no influence, in units of the scale. The default has 95 %
        efficiency at the Gaussian; 1.548 gives an S-estimator the breakdown point 50 %.

    References
    ----------
    A. E. Beaton, J. W. Tukey (1974). The fitting of power series, meaning polynomials, illustrated
    on band-spectroscopic data. Technometrics 16, 147-185.

    Examples
    --------
    >>> from robustreg.losses import Bisquare
    >>> Bisquare(c=2.0).weights([0.0, 1.0, 2.0, 100.0]).tolist()
    [1.0, 0.5625, 0.0, 0.0]
    """

    c: float = 4.685

    redescending = True
    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "c")

    @property
    def sup_rho(self) -> float:
        return self.c**2 / 6.0

    def _breakpoints(self) -> tuple[float, ...]:
        return (-self.c, self.c)

    def _ratio(self, r: FloatArray) -> FloatArray:
        return np.clip(r / self.c, -1.0, 1.0)

    def _rho(self, r: FloatArray) -> FloatArray:
        return self._rho_of_square(self._ratio(r) ** 2)

    def _rho_of_square(self, s: FloatArray) -> FloatArray:
        # 1 - (1 - s)^3 expanded, so that small residuals do not cancel.
        return self.sup_rho * (s * (3.0 - s * (3.0 - s)))

    def _psi(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        return self.c * u * (1.0 - u * u) ** 2

    def _rho_and_lever(self, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        # in terms of u^2, which takes 30 % less time
        u = self._ratio(r)
        s = u * u
        return self._rho_of_square(s), self.c**2 * s * (1.0 - s) ** 2

    def _weights(self, r: FloatArray) -> FloatArray:
        return (1.0 - self._ratio(r) ** 2) ** 2

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        s = self._ratio(r) ** 2
        return (1.0 - s) * (1.0 - 5.0 * s)


@dataclass(frozen=True)
class Welsch(Loss):
    """Welsch's loss, also known as Leclerc's; its weights are a Gaussian bell.

    With u = r / c:

    =========  ============================
    rho(r)     c^2 / 2 [1 - exp(-u^2)]
    psi(r)     r exp(-u^2)
    weights    exp(-u^2)
    psi'(r)    (1 - 2 u^2) exp(-u^2)
    =========  ============================

    Parameters
    ----------
    c : float, default=2.985
        Width of the bell, in units of the scale. The default has 95 % efficiency at the Gaussian.
        Software that writes exp(-u^2 / 2) means sqrt(2) times less by c: there it is 2.11.

    References
    ----------
    J. E. Dennis, R. E. Welsch (1978). Techniques for nonlinear least squares and robust regression.
    Communications in Statistics - Simulation and Computation 7, 345-359.

    Examples
    --------
    >>> from robustreg.losses import Welsch
    >>> Welsch(c=1.0).weights([0.0, 1.0, 100.0]).round(3).tolist()
    [1.0, 0.368, 0.0]
    """

    c: float = 2.985

    redescending = True
    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "c")

    @property
    def sup_rho(self) -> float:
        return self.c**2 / 2.0

    def _ratio(self, r: FloatArray) -> FloatArray:
        # At 40 the exponential is exactly 0, and clipping there keeps 0 * inf out of the products.
        return np.clip(r / self.c, -40.0, 40.0)

    def _rho(self, r: FloatArray) -> FloatArray:
        return -self.sup_rho * np.expm1(-(self._ratio(r) ** 2))

    def _psi(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        return self.c * u * np.exp(-u * u)

    def _weights(self, r: FloatArray) -> FloatArray:
        return np.exp(-(self._ratio(r) ** 2))

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        s = self._ratio(r) ** 2
        return (1.0 - 2.0 * s) * np.exp(-s)


@dataclass(frozen=True)
class Cauchy(Loss):
    """Cauchy's loss: rho is unbounded, but so slowly growing that psi still returns to 0.

    With u = r / c:

    =========  ==============================
    rho(r)     c^2 / 2 log(1 + u^2)
    psi(r)     r / (1 + u^2)
    weights    1 / (1 + u^2)
    psi'(r)    (1 - u^2) / (1 + u^2)^2
    =========  ==============================

    Parameters
    ----------
    c : float, default=2.385
        The residual of the largest influence, in units of the scale. The default has 95 %
        efficiency at the Gaussian.

    References
    ----------
    P. W. Holland, R. E. Welsch (1977). Robust regression using iteratively reweighted
    least-squares. Communications in Statistics - Theory and Methods 6, 813-827.

    Examples
    --------
    >>> from robustreg.losses import Cauchy
    >>> Cauchy(c=1.0).psi([-1.0, 0.0, 2.0]).tolist()
    [-0.5, 0.0, 0.4]
    """

    c: float = 2.385

    redescending = True
    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "c")

    def _rho(self, r: FloatArray) -> FloatArray:
        # Beyond 1e18, where u^2 might overflow, log(1 + u^2) is 2 log u to the last digit; r / c
        # itself may overflow, but its logarithm does not.
        far = 1e18
        inner = np.minimum(np.abs(r) / self.c, far)
        beyond = 2.0 * np.maximum(np.log(np.abs(r)) - math.log(far * self.c), 0.0)
        return 0.5 * self.c**2 * (np.log1p(inner * inner) + beyond)

    def _psi(self, r: FloatArray) -> FloatArray:
        # u / (1 + u^2) without the square, which might overflow; r = 0 gives 1 / inf.
        u = r / self.c
        return self.c / (1.0 / u + u)

    def _weights(self, r: FloatArray) -> FloatArray:
        u = r / self.c
        return 1.0 / (1.0 + u * u)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        # (1 - u^2) / (1 + u^2)^2 in terms of the weight, which is 0 where u^2 is infinite.
        w = self._weights(r)
        return w * (2.0 * w - 1.0)


@dataclass(frozen=True)
class Hampel(Loss):
    """Hampel's loss in three parts: psi rises to a, stays there up to b, and falls to 0 at c.

    With x = abs(r):

    =========  ==========  ================  ==============================  =================
    ..         x <= a      a < x <= b        b < x <= c                      x > c
    =========  ==========  ================  ==============================  =================
    rho(r)     r^2 / 2     a (x - a / 2)     a (b + c - a) / 2               a (b + c - a) / 2
                                             - a (c - x)^2 / (2 (c - b))
    psi(r)     r           a sign(r)         a sign(r) (c - x) / (c - b)     0
    weights    1           a / x             a (c / x - 1) / (c - b)         0
    psi'(r)    1           0                 -a / (c - b)                    0
    =========  ==========  ================  ==============================  =================

    Parameters
    ----------
    a, b, c : float, default=1.352, 3.155, 7.212
        The corners of psi, a <= b < c, in units of the scale. The defaults stand in the ratio
        1.5 : 3.5 : 8, which `tuning_constant` keeps, and have 95 % efficiency at the Gaussian.

    References
    ----------
    D. F. Andrews, P. J. Bickel, F. R. Hampel, P. J. Huber, W. H. Rogers, J. W. Tukey (1972). Robust
    Estimates of Location: Survey and Advances. Princeton University Press.

    Examples
    --------
    >>> from robustreg.losses import Hampel
    >>> Hampel(a=2.0, b=4.0, c=8.0).psi([1.0, 3.0, 6.0, 9.0]).tolist()
    [1.0, 2.0, 1.0, 0.0]
    """

    a: float = 1.352
    b: float = 3.155
    c: float = 7.212

    smoothness = 1
    redescending = True
    tunable = True

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            check_constant(self, name)
        if not self.a <= self.b < self.c:
            raise ValueError(
                f"Hampel: a <= b < c must hold, got a={self.a!r}, b={self.b!r}, c={self.c!r}."
            )

    @classmethod
    def from_tuning_constant(cls, constant: float) -> Hampel:
        """Return the member of the family with a = `constant` and a : b : c = 1.5 : 3.5 : 8."""
        return cls(constant, constant * 3.5 / 1.5, constant * 8.0 / 1.5)

    @property
    def sup_rho(self) -> float:
        return 0.5 * self.a * (self.b + self.c - self.a)

    def kinks(self) -> tuple[float, ...]:
        corners = {self.a, self.b, self.c}
        return tuple(sorted(corners | {-corner for corner in corners}))

    def _rho(self, r: FloatArray) -> FloatArray:
        # The area under psi, part by part.
        size = np.abs(r)
        rise = np.minimum(size, self.a)
        flat = np.clip(size - self.a, 0.0, self.b - self.a)
        fall = np.clip(size - self.b, 0.0, self.c - self.b)
        mean_height = 1.0 - 0.5 * fall / (self.c - self.b)
        return 0.5 * rise * rise + self.a * (flat + fall * mean_height)

    def _psi(self, r: FloatArray) -> FloatArray:
        size = np.abs(r)
        height = np.clip((self.c - size) / (self.c - self.b), 0.0, 1.0)
        return np.sign(r) * np.minimum(size, self.a * height)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        size = np.abs(r)
        slope = -self.a / (self.c - self.b)
        return 1.0 * (size <= self.a) + slope * ((size > self.b) & (size <= self.c))


@dataclass(frozen=True)
class Andrews(Loss):
    """Andrews' wave: psi is one period of a sine.

    With u = r / c:

    =========  ======================  ================
    ..         abs(u) <= pi            abs(u) > pi
    =========  ======================  ================
    rho(r)     c^2 (1 - cos u)         2 c^2
    psi(r)     c sin u                 0
    weights    sin(u) / u              0
    psi'(r)    cos u                   0
    =========  ======================  ================

    Parameters
    ----------
    c : float, default=1.339
        Residuals beyond pi times c have no influence, in units of the scale. The default has 95 %
        efficiency at the Gaussian.

    References
    ----------
    D. F. Andrews (1974). A robust method for multiple linear regression. Technometrics 16, 523-531.

    Examples
    --------
    >>> from robustreg.losses import Andrews
    >>> Andrews(c=2.0).rho([0.0, 100.0]).tolist()
    [0.0, 8.0]
    """

    c: float = 1.339

    smoothness = 1
    redescending = True
    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "c")

    @property
    def sup_rho(self) -> float:
        return 2.0 * self.c**2

    def kinks(self) -> tuple[float, ...]:
        return (-math.pi * self.c, math.pi * self.c)

    def _ratio(self, r: FloatArray) -> FloatArray:
        return np.clip(r / self.c, -math.pi, math.pi)

    def _rho(self, r: FloatArray) -> FloatArray:
        # 1 - cos u = 2 sin^2(u / 2), so that small residuals do not cancel.
        return self.sup_rho * np.sin(0.5 * self._ratio(r)) ** 2

    def _psi(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        # The sine of the rounded pi is 1e-16, but rejected residuals must have no influence at all.
        return np.where(np.abs(u) >= math.pi, 0.0, self.c * np.sin(u))

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        return np.where(np.abs(u) >= math.pi, 0.0, np.cos(u))

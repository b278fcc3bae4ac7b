"""Redescending losses that end: Hampel's three parts, and Andrews' sine wave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustreg._namespace import at_most, between, cast, namespace_of
from robustreg.losses._arrays import FloatArray
from robustreg.losses._residual import ResidualLoss, check_constant


@dataclass(frozen=True)
class Hampel(ResidualLoss):
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
        size = namespace_of(r).abs(r)
        rise = at_most(size, self.a)
        flat = between(size - self.a, 0.0, self.b - self.a)
        fall = between(size - self.b, 0.0, self.c - self.b)
        mean_height = 1.0 - 0.5 * fall / (self.c - self.b)
        return 0.5 * rise * rise + self.a * (flat + fall * mean_height)

    def _psi(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        size = xp.abs(r)
        height = between((self.c - size) / (self.c - self.b), 0.0, 1.0)
        return xp.sign(r) * xp.minimum(size, self.a * height)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        size = namespace_of(r).abs(r)
        slope = -self.a / (self.c - self.b)
        return cast(size <= self.a, r) + slope * cast((size > self.b) & (size <= self.c), r)


@dataclass(frozen=True)
class Andrews(ResidualLoss):
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
        return between(r / self.c, -math.pi, math.pi)

    def _rho(self, r: FloatArray) -> FloatArray:
        # 1 - cos u = 2 sin^2(u / 2), so that small residuals do not cancel.
        return self.sup_rho * namespace_of(r).sin(0.5 * self._ratio(r)) ** 2

    def _psi(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        # The sine of the rounded pi is 1e-16, but rejected residuals must have no influence at all.
        xp = namespace_of(r)
        return xp.where(xp.abs(u) >= math.pi, 0.0, self.c * xp.sin(u))

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        u = self._ratio(r)
        xp = namespace_of(r)
        return xp.where(xp.abs(u) >= math.pi, 0.0, xp.cos(u))

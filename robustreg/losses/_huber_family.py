"""Huber's loss and its relatives: quadratic in the centre, linear in the tails, convex."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustreg._namespace import at_least, at_most, between, cast, namespace_of
from robustreg.losses._arrays import FloatArray
from robustreg.losses._classical import Absolute
from robustreg.losses._residual import ConvexLoss, check_constant

# Where r / delta exceeds this, sqrt(1 + (r / delta)^2) equals r / delta in float64, while the
# square is still finite in float32.
_FAR = 1e18
# Beyond this u exp(-2 u) is nothing beside 1, in any precision.
_GONE = 40.0


@dataclass(frozen=True)
class Huber(ConvexLoss):
    """Huber's loss: a parabola in the centre, continued by its tangents.

    =========  =====================  ============================
    ..         abs(r) <= delta        abs(r) > delta
    =========  =====================  ============================
    rho(r)     r^2 / 2                delta (abs(r) - delta / 2)
    psi(r)     r                      delta sign(r)
    weights    1                      delta / abs(r)
    psi'(r)    1                      0
    =========  =====================  ============================

    The conjugate is v^2 / 2 for abs(v) <= delta.

    Parameters
    ----------
    delta : float, default=1.345
        The largest influence of an observation, and where the parabola ends, in units of the scale.
        The default has 95 % efficiency at the Gaussian. `robustreg.metrics.mean_huber_loss`,
        PyTorch's HuberLoss and Keras' Huber have 1.0, in units of y.

    See Also
    --------
    SmoothL1 : The same loss divided by delta.

    References
    ----------
    P. J. Huber (1964). Robust estimation of a location parameter. Annals of Mathematical Statistics
    35, 73-101.

    Examples
    --------
    >>> from robustreg.losses import Huber
    >>> loss = Huber(delta=2.0)
    >>> loss.rho([0.0, 1.0, 3.0]).tolist(), loss.psi([0.0, 1.0, 3.0]).tolist()
    ([0.0, 0.5, 4.0], [0.0, 1.0, 2.0])
    """

    quadratic_conjugate = True

    delta: float = 1.345

    smoothness = 1
    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "delta")

    @property
    def conjugate_domain(self) -> tuple[float, float]:
        return (-self.delta, self.delta)

    def kinks(self) -> tuple[float, ...]:
        return (-self.delta, self.delta)

    def _rho(self, r: FloatArray) -> FloatArray:
        # Both branches at once: q (r - q / 2) with q the part of r between -delta and delta.
        inner = between(r, -self.delta, self.delta)
        return inner * (r - 0.5 * inner)

    def _psi(self, r: FloatArray) -> FloatArray:
        return between(r, -self.delta, self.delta)

    def _weights(self, r: FloatArray) -> FloatArray:
        return self.delta / at_least(namespace_of(r).abs(r), self.delta)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        return cast(namespace_of(r).abs(r) <= self.delta, r)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        return 0.5 * v * v


@dataclass(frozen=True)
class SmoothL1(ConvexLoss):
    """Smooth L1 loss: the absolute error with a parabola in place of its kink.

    =========  =====================  ============================
    ..         abs(r) < beta          abs(r) >= beta
    =========  =====================  ============================
    rho(r)     r^2 / (2 beta)         abs(r) - beta / 2
    psi(r)     r / beta               sign(r)
    weights    1 / beta               1 / abs(r)
    psi'(r)    1 / beta               0
    =========  =====================  ============================

    The conjugate is beta v^2 / 2 for abs(v) <= 1. ``Huber(delta)`` is ``delta * SmoothL1(delta)``:
    the same minimiser without a penalty, but with one, alpha has to be divided by delta.

    Parameters
    ----------
    beta : float, default=1.0
        Where the parabola ends, in units of the scale; 0 gives the absolute error.

    References
    ----------
    R. Girshick (2015). Fast R-CNN. IEEE International Conference on Computer Vision, 1440-1448.

    Examples
    --------
    >>> from robustreg.losses import SmoothL1
    >>> float(SmoothL1(beta=1.0)([1, 2, 3], [0.5, 1.5, 2.5]))
    0.125
    """

    quadratic_conjugate = True

    beta: float = 1.0

    tunable = True
    conjugate_domain = (-1.0, 1.0)

    def __post_init__(self) -> None:
        check_constant(self, "beta", zero_allowed=True)

    @property
    def _factor_and_loss(self) -> tuple[float, ConvexLoss]:
        """Return k and L with this loss = k L: where all its formulas and traits come from."""
        return (1.0 / self.beta, Huber(self.beta)) if self.beta else (1.0, Absolute())

    @property
    def smoothness(self) -> int:
        return self._factor_and_loss[1].smoothness

    @property
    def curvature(self) -> float:
        factor, loss = self._factor_and_loss
        return factor * loss.curvature

    @property
    def elicits(self) -> str:
        return self._factor_and_loss[1].elicits

    @property
    def homogeneity(self) -> int | None:
        return self._factor_and_loss[1].homogeneity

    def kinks(self) -> tuple[float, ...]:
        return self._factor_and_loss[1].kinks()

    def _rho(self, r: FloatArray) -> FloatArray:
        factor, loss = self._factor_and_loss
        if self.beta == 0.0:
            return loss._rho(r)
        # Huber's formula with the factor inside, since it overflows before it where beta is large.
        inner = between(r, -self.beta, self.beta)
        return factor * inner * (r - 0.5 * inner)

    def _psi(self, r: FloatArray) -> FloatArray:
        factor, loss = self._factor_and_loss
        return factor * loss._psi(r)

    def _weights(self, r: FloatArray) -> FloatArray:
        factor, loss = self._factor_and_loss
        return factor * loss._weights(r)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        factor, loss = self._factor_and_loss
        return factor * loss._psi_prime(r)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        factor, loss = self._factor_and_loss
        return factor * loss._conjugate(v / factor)


@dataclass(frozen=True)
class PseudoHuber(ConvexLoss):
    """Pseudo-Huber loss: Huber's with the corners rounded off, also known as Charbonnier's.

    With u = r / delta and h = sqrt(1 + u^2):

    =========  =====================================================
    rho(r)     delta^2 (h - 1)
    psi(r)     r / h
    weights    1 / h
    psi'(r)    1 / h^3
    rho*(v)    delta^2 (1 - sqrt(1 - (v/delta)^2)), abs(v) <= delta
    =========  =====================================================

    Parameters
    ----------
    delta : float, default=1.287
        Where the quadratic centre goes over into linear tails, and their slope, in units of the
        scale. The default has 95 % efficiency at the Gaussian.

    References
    ----------
    P. Charbonnier, L. Blanc-Feraud, G. Aubert, M. Barlaud (1997). Deterministic edge-preserving
    regularization in computed imaging. IEEE Transactions on Image Processing 6, 298-311.

    Examples
    --------
    >>> from robustreg.losses import PseudoHuber
    >>> float(PseudoHuber(delta=3.0).rho(4.0))
    6.0
    """

    delta: float = 1.287

    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "delta")

    @property
    def conjugate_domain(self) -> tuple[float, float]:
        return (-self.delta, self.delta)

    def _rho(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        size = xp.abs(r)
        u = at_most(size / self.delta, _FAR)
        # h - 1 = u (u / (1 + h)): no cancellation for small u, no overflow for large r.
        return self.delta * size * (u / (1.0 + xp.sqrt(1.0 + u * u)))

    def _psi(self, r: FloatArray) -> FloatArray:
        u = between(r / self.delta, -_FAR, _FAR)
        return self.delta * (u / namespace_of(r).sqrt(1.0 + u * u))

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        u = r / self.delta
        h = namespace_of(r).sqrt(1.0 + u * u)
        return 1.0 / (h * h * h)

    def _conjugate(self, v: FloatArray) -> FloatArray:
        t = v / self.delta
        return v * v / (1.0 + namespace_of(v).sqrt((1.0 - t) * (1.0 + t)))

    def _conjugate_of_psi(self, r: FloatArray) -> FloatArray:
        # delta^2 (1 - 1 / h); from psi itself, which rounds to delta, most digits would be lost.
        u = between(r / self.delta, -_FAR, _FAR)
        h = namespace_of(r).sqrt(1.0 + u * u)
        return self.delta**2 * (u / h) * (u / (1.0 + h))


@dataclass(frozen=True)
class LogCosh(ConvexLoss):
    """Log-cosh loss, called "logistic" in the robustness literature.

    With u = r / c and t = v / c:

    =========  ==========================================================================
    rho(r)     c^2 log cosh u
    psi(r)     c tanh u
    weights    tanh(u) / u
    psi'(r)    1 / cosh^2 u
    rho*(v)    c^2 / 2 [(1 + t) log(1 + t) + (1 - t) log(1 - t)],  abs(v) <= c
    =========  ==========================================================================

    Parameters
    ----------
    c : float, default=1.0
        Slope of the linear tails, and the width of the quadratic centre, in units of the scale. The
        default is the customary log(cosh(r)); 1.205 has 95 % efficiency at the Gaussian.

    References
    ----------
    P. W. Holland, R. E. Welsch (1977). Robust regression using iteratively reweighted
    least-squares. Communications in Statistics - Theory and Methods 6, 813-827.

    Examples
    --------
    >>> from robustreg.losses import LogCosh
    >>> float(LogCosh().rho(1e300))
    1e+300
    """

    c: float = 1.0

    tunable = True

    def __post_init__(self) -> None:
        check_constant(self, "c")

    @property
    def conjugate_domain(self) -> tuple[float, float]:
        return (-self.c, self.c)

    def _rho(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        size = xp.abs(r)
        # log cosh u = log(1 + sinh^2 u) / 2 keeps its digits near 0; from u = 19 on the slope is 1.
        inner = at_most(size / self.c, 19.0)
        tail = self.c * at_least(size - 19.0 * self.c, 0.0)
        return 0.5 * self.c**2 * xp.log1p(xp.sinh(inner) ** 2) + tail

    def _psi(self, r: FloatArray) -> FloatArray:
        return self.c * namespace_of(r).tanh(r / self.c)

    def _psi_prime(self, r: FloatArray) -> FloatArray:
        xp = namespace_of(r)
        decay = xp.exp(xp.abs(r) * (-2.0 / self.c))
        return 4.0 * decay / (1.0 + decay) ** 2

    def _conjugate(self, v: FloatArray) -> FloatArray:
        xp = namespace_of(v)
        t = xp.abs(v) / self.c
        up, down = xp.log1p(t), xp.log1p(-t)
        # One form keeps its digits as t goes to 0, the other as t goes to 1, where it has a limit.
        near_zero = t * (up - down) + xp.log1p(-t * t)
        near_one = (1.0 + t) * up + xp.where(t < 1.0, (1.0 - t) * down, 0.0)
        return 0.5 * self.c**2 * xp.where(t < 0.5, near_zero, near_one)

    def _conjugate_of_psi(self, r: FloatArray) -> FloatArray:
        # c^2 (u tanh u - log cosh u), with one exponential and one logarithm. Near 0 that is a
        # half of 2 u t + log(1 - t^2), t = tanh u; far off, with q = exp(-2 u), it is
        # log 2 - log(1 + q) - 2 u q / (1 + q).
        xp = namespace_of(r)
        u = at_most(xp.abs(r) / self.c, _GONE)
        less = xp.expm1(-2.0 * u)  # q - 1
        q, t, near = 1.0 + less, -less / (2.0 + less), u < 1.0
        log = xp.log1p(xp.where(near, -t * t, q))
        far = math.log(2.0) - log - 2.0 * u * q / (1.0 + q)
        return self.c**2 * xp.where(near, u * t + 0.5 * log, far)

"""Tuning constants, computed from the efficiency or breakdown point that they are wanted for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from scipy.optimize import brentq

from robustreg._numbers import as_number
from robustreg.losses._arrays import FloatArray
from robustreg.losses._quadrature import gaussian_expectation
from robustreg.losses._residual import ResidualLoss

# Every constant of practical use at unit scale lies far inside.
_SEARCH_RANGE = (1e-4, 1e4)


def gaussian_efficiency(loss: ResidualLoss) -> float:
    """Return the asymptotic efficiency of the location estimate, relative to the mean.

    It is (E psi')^2 / E psi^2 for Gaussian observations whose standard deviation is the loss's unit
    and known.

    Examples
    --------
    >>> from robustreg.losses import Absolute, gaussian_efficiency
    >>> round(gaussian_efficiency(Absolute()), 3)  # the median's: 2 / pi
    0.637
    """

    def slope(z: FloatArray) -> FloatArray:
        # E psi'(Z) = E Z psi(Z), which is also right where psi jumps.
        return z * loss.psi(z)

    def variance(z: FloatArray) -> FloatArray:
        return loss.psi(z) ** 2

    points = loss._breakpoints()
    return gaussian_expectation(slope, points) ** 2 / gaussian_expectation(variance, points)


def gaussian_breakdown_point(loss: ResidualLoss) -> float:
    """Return E rho(Z) / sup rho, the breakdown point of the S-estimator consistent at the Gaussian.

    It applies up to 0.5, and is 0 for an unbounded loss.

    Examples
    --------
    >>> from robustreg.losses import Bisquare, gaussian_breakdown_point
    >>> round(gaussian_breakdown_point(Bisquare(c=1.54764)), 4)
    0.5
    """
    return gaussian_expectation(loss.rho, loss._breakpoints()) / loss.sup_rho


def tuning_constant(
    loss_class: type[ResidualLoss],
    *,
    efficiency: float | None = None,
    breakdown_point: float | None = None,
) -> float | tuple[float, ...]:
    """Return the tuning constant with which a loss has a given efficiency or breakdown point.

    Parameters
    ----------
    loss_class : subclass of ResidualLoss
        A tunable family of losses, for example `Huber` (the class, not an instance).
    efficiency : float, default=None
        Asymptotic efficiency at the Gaussian, between 0 and 1; see `gaussian_efficiency`. A convex
        loss reaches more than 0.637 only, the efficiency of the median.
    breakdown_point : float, default=None
        Breakdown point of the S-estimator with this loss, above 0 and at most 0.5; see
        `gaussian_breakdown_point`. Bounded losses only. Exactly one of the two must be given.

    Returns
    -------
    float or tuple of floats
        What constructs the loss: ``loss_class(constant)``. For `Hampel`, ``Hampel(*constants)``, in
        the ratio a : b : c = 1.5 : 3.5 : 8.

    References
    ----------
    R. A. Maronna, R. D. Martin, V. J. Yohai, M. Salibian-Barrera (2019). Robust Statistics: Theory
    and Methods (with R), second edition, chapters 2, 3 and 5. Wiley.

    Examples
    --------
    >>> from robustreg.losses import Bisquare, Huber, tuning_constant
    >>> round(tuning_constant(Huber, efficiency=0.95), 3)
    1.345
    >>> round(tuning_constant(Bisquare, breakdown_point=0.5), 5)
    1.54764
    """
    _check_tunable(loss_class)
    if efficiency is not None and breakdown_point is None:
        if not 0.0 < as_number(efficiency) < 1.0:
            raise ValueError(f"efficiency must lie strictly between 0 and 1, got {efficiency!r}.")
        loss = _solve(loss_class, gaussian_efficiency, efficiency, "efficiency")
    elif breakdown_point is not None and efficiency is None:
        if not 0.0 < as_number(breakdown_point) <= 0.5:
            raise ValueError(
                f"breakdown_point must be above 0 and at most 0.5, got {breakdown_point!r}."
            )
        if math.isinf(loss_class.from_tuning_constant(1.0).sup_rho):
            raise ValueError(
                f"breakdown_point needs a bounded loss, such as Bisquare; {loss_class.__name__} is "
                "unbounded."
            )
        loss = _solve(loss_class, gaussian_breakdown_point, breakdown_point, "breakdown_point")
    else:
        raise ValueError(
            "Give exactly one of efficiency and breakdown_point, "
            f"got {efficiency!r} and {breakdown_point!r}."
        )
    constants = dataclasses.astuple(loss)  # type: ignore[call-overload]
    return constants[0] if len(constants) == 1 else constants


def _check_tunable(loss_class: object) -> None:
    if not (isinstance(loss_class, type) and issubclass(loss_class, ResidualLoss)):
        raise TypeError(
            f"loss_class must be a subclass of ResidualLoss such as Huber, got {loss_class!r}."
        )
    if not loss_class.tunable:
        raise ValueError(f"{loss_class.__name__} has no tuning constant to compute.")


def _solve(
    loss_class: type[ResidualLoss],
    quantity: Callable[[ResidualLoss], float],
    target: float,
    name: str,
) -> ResidualLoss:
    """Return the member of a family whose `quantity` is `target`; both are monotone in log c."""

    def excess(log_constant: float) -> float:
        return quantity(loss_class.from_tuning_constant(math.exp(log_constant))) - target

    low, high = (math.log(end) for end in _SEARCH_RANGE)
    ends = sorted((excess(low), excess(high)))
    if not ends[0] <= 0.0 <= ends[1]:
        reachable = " to ".join(f"{end + target:.4g}" for end in ends)
        raise ValueError(f"{loss_class.__name__} reaches {name} {reachable}, got {target!r}.")
    return loss_class.from_tuning_constant(math.exp(brentq(excess, low, high, xtol=1e-14)))

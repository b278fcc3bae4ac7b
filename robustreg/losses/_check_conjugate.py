"""Check the conjugate of a convex loss, which the certificate of every fit is made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robustreg._numbers import as_number
from robustreg.losses._arrays import FloatArray
from robustreg.losses._evaluated import (
    AGREE,
    JUMP,
    TERMS_ROUNDING,
    UNDERFLOW,
    Evaluated,
    call,
    compare,
    fail,
)
from robustreg.losses._quadrature import gaussian_expectation
from robustreg.losses._residual import ConvexLoss


def check_domain(loss: ConvexLoss, at: Evaluated) -> None:
    """Check that `conjugate_domain` is the closure of the range of psi."""
    domain: Any = loss.conjugate_domain
    numbers = tuple(map(as_number, domain)) if isinstance(domain, tuple) else ()
    if len(numbers) != 2 or not numbers[0] <= 0.0 <= numbers[1]:
        fail(loss, f"conjugate_domain must be two numbers with 0 between them, but is {domain!r}.")
    nearest = np.clip(at.psi, *domain)
    compare(
        loss, "_psi", at.r, at.psi, nearest, AGREE * np.abs(nearest), "the end of conjugate_domain"
    )
    for end, far, nearer in zip(
        domain, at.psi[[0, -1]], at.psi[np.searchsorted(at.r, [-1e150, 1e150])], strict=True
    ):
        grows = abs(far) > (1.0 + JUMP) * abs(nearer)
        if not (grows if math.isinf(end) else abs(far - end) <= JUMP * max(map(abs, domain))):
            fail(
                loss,
                f"conjugate_domain is {domain!r}, but _psi goes from {at.psi[0]:.9g} at "
                f"{at.r[0]:g} to {at.psi[-1]:.9g} at {at.r[-1]:g}.",
            )


def check_conjugate(loss: ConvexLoss, at: Evaluated) -> None:
    """Check Fenchel and Young's equality, rho*(psi(r)) = r psi(r) - rho(r).

    Psi takes all values of the conjugate's domain but those that it jumps over. These are
    subgradients at the kink, where the equality holds with all of them.
    """
    r, v, rho = _points_of_equality(loss, at)
    low, high = loss.conjugate_domain
    v = np.clip(v, low, high)
    with np.errstate(all="ignore"):
        terms = np.abs(r * v) + rho
        expected = r * v - rho
    finite = np.isfinite(terms)
    r, v, expected, terms = r[finite], v[finite], expected[finite], terms[finite]
    found = call(loss, "_conjugate", v)
    # An end of the domain that psi only rounds to may have an infinite conjugate.
    rounded_to_end = np.isinf(found) & ((v == low) | (v == high))
    around_one = terms[np.abs(r) <= 1.0].max(initial=0.0)
    compare(
        loss,
        "_conjugate",
        v,
        np.where(rounded_to_end, expected, found),
        expected,
        AGREE * np.abs(expected) + TERMS_ROUNDING * (terms + around_one) + UNDERFLOW,
        "sup v r - rho(r)",
    )


def _points_of_equality(
    loss: ConvexLoss, at: Evaluated
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return residuals, a subgradient and rho at each: psi, and the values jumped over at kinks."""
    kinks = np.asarray(loss.kinks(), dtype=float)
    step = np.where(kinks == 0.0, UNDERFLOW, 16.0 * np.spacing(np.abs(kinks)))
    left, right = loss.psi(kinks - step), loss.psi(kinks + step)
    shares = np.array([0.25, 0.5, 0.75])[:, None]
    between = (left + shares * (right - left)).ravel()
    return (
        np.concatenate([at.r, np.tile(kinks, 3)]),
        np.concatenate([at.psi, between]),
        np.concatenate([at.rho, np.tile(loss.rho(kinks), 3)]),
    )


def check_conjugate_of_psi(loss: ConvexLoss, at: Evaluated) -> None:
    """Check rho*(psi(r)) against r psi(r) - rho(r), as far as that does not cancel."""
    with np.errstate(all="ignore"):
        lever = at.r * at.psi
    finite = np.isfinite(lever + at.rho)
    r, lever, rho = at.r[finite], lever[finite], at.rho[finite]
    expected, terms = lever - rho, lever + rho
    around_one = terms[np.abs(r) <= 1.0].max(initial=0.0)
    compare(
        loss,
        "_conjugate_of_psi",
        r,
        call(loss, "_conjugate_of_psi", r),
        expected,
        AGREE * np.abs(expected) + TERMS_ROUNDING * (terms + around_one) + UNDERFLOW,
        "r psi(r) - rho(r)",
    )


def check_quadratic_conjugate(loss: ConvexLoss, at: Evaluated) -> None:
    """Check that rho*(v) is v^2 / (2 curvature) where that is stated; sums then need psi alone."""
    if not loss.quadratic_conjugate:
        return
    v = np.unique(at.psi[np.abs(at.psi) < 1e100])
    parabola = v * v / (2.0 * loss.curvature)
    found = call(loss, "_conjugate", v)
    compare(
        loss,
        "_conjugate",
        v,
        found,
        parabola,
        AGREE * parabola + UNDERFLOW,
        "v^2 / (2 curvature), by the trait quadratic_conjugate,",
    )


def check_kappa(loss: ConvexLoss) -> None:
    """Check the constant of the joint scale, which is 0 for losses that have none."""

    def excess(z: FloatArray) -> FloatArray:
        return z * loss.psi(z) - loss.rho(z)

    def terms(z: FloatArray) -> FloatArray:
        return np.abs(z * loss.psi(z)) + loss.rho(z)

    points = loss._breakpoints()
    expected = gaussian_expectation(excess, points) if loss.homogeneity != 1 else 0.0
    if not abs(loss.kappa - expected) <= AGREE * gaussian_expectation(terms, points):
        fail(loss, f"kappa is {loss.kappa!r}, but E[Z psi(Z) - rho(Z)] is {expected:.9g}.")

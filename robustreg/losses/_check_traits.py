"""Check the traits of a loss, which solvers and estimators go by, against its formulas."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from robustreg._numbers import as_number
from robustreg.losses._arrays import FloatArray
from robustreg.losses._evaluated import (
    AGREE,
    JUMP,
    LARGEST,
    TERMS_ROUNDING,
    UNDERFLOW,
    Evaluated,
    call,
    fail,
)
from robustreg.losses._residual import ConvexLoss, ResidualLoss


def check_kinks(loss: ResidualLoss) -> int:
    """Check `kinks`, and return the smoothness that a loss has which has no others.

    Others show in the derivatives, but not one at 0, beside which a smooth psi is lost in rounding.
    """
    method: Any = loss.kinks
    kinks: Any = method() if callable(method) else None
    if not isinstance(kinks, tuple) or not all(math.isfinite(as_number(kink)) for kink in kinks):
        fail(loss, f"kinks must be a method that returns a tuple of residuals, got {method!r}.")
    if any(low >= high for low, high in itertools.pairwise(kinks)):
        fail(loss, f"kinks() must be in increasing order, but is {kinks!r}.")
    if loss.smoothness not in (0, 1, 2):
        fail(loss, f"smoothness must be 0, 1 or 2, but is {loss.smoothness!r}.")
    jumps = {point: _jumps_at(loss, point) for point in sorted({0.0, *kinks})}
    for point, name in jumps.items():
        if name and point not in kinks:
            fail(loss, f"kinks() is {kinks!r}, but {name} jumps at {point!r}.")
        if not name and point in kinks:
            fail(loss, f"kinks() has {point!r}, but neither _psi nor _psi_prime jumps there.")
    found = set(jumps.values())
    return 0 if "_psi" in found else 1 if "_psi_prime" in found else 2


def check_smoothness(loss: ResidualLoss, expected: int) -> None:
    """Check `smoothness` against that of a loss with these kinks."""
    if loss.smoothness != expected:
        reason = ("_psi jumps", "_psi_prime jumps", "neither _psi nor _psi_prime jumps")[expected]
        fail(
            loss,
            f"smoothness is {loss.smoothness!r}, but {reason} at kinks(), {loss.kinks()!r}: "
            f"{expected} is expected.",
        )


def _jumps_at(loss: ResidualLoss, point: float) -> str:
    """Return which of _psi and _psi_prime jumps at a residual; check what they and _rho are there.

    The sides are looked at a few units in the last place away, since a formula may round the place.
    """
    step = 16.0 * np.spacing(abs(point)) if point else UNDERFLOW
    r = np.array([point - step, point, point + step])
    rho, psi, prime = (call(loss, hook, r) for hook in ("_rho", "_psi", "_psi_prime"))
    with np.errstate(all="ignore"):
        slope, bend = np.abs(psi).max(), np.abs(prime).max()
        if np.ptp(rho) > 4.0 * step * slope + TERMS_ROUNDING * rho.max() + UNDERFLOW:
            fail(loss, f"_rho jumps from {rho[0]:.9g} to {rho[2]:.9g} at {point!r}.")
        for name, values, slack in (
            ("_psi", psi, 4.0 * step * bend + AGREE * slope),
            ("_psi_prime", prime, AGREE * bend),
        ):
            low, high = sorted(values[[0, 2]])
            if not low - slack <= values[1] <= high + slack:
                fail(
                    loss,
                    f"{name}({point!r}) is {values[1]:.9g}, but must lie between its limits from "
                    f"both sides, {values[0]:.9g} and {values[2]:.9g}.",
                )
        if abs(psi[2] - psi[0]) > JUMP * slope + 4.0 * step * bend:
            return "_psi"
        return "_psi_prime" if abs(prime[2] - prime[0]) > JUMP * bend else ""


def check_convex(at: Evaluated) -> None:
    """Check that psi of a convex loss never falls, and that of another one does."""
    loss, psi = at.loss, at.psi
    if loss.convex != isinstance(loss, ConvexLoss):
        fail(
            loss,
            f"convex is {loss.convex!r}, but the class "
            f"{'derives' if isinstance(loss, ConvexLoss) else 'does not derive'} from ConvexLoss.",
        )
    with np.errstate(invalid="ignore"):
        fall = psi[:-1] - psi[1:]
    falls = fall > TERMS_ROUNDING * np.maximum(np.abs(psi[:-1]), np.abs(psi[1:]))
    if loss.convex and falls.any():
        i = int(np.argmax(np.where(falls, fall, -np.inf)))
        fail(
            loss,
            f"_psi({at.r[i + 1]:.6g}) is {psi[i + 1]:.9g}, but psi of a convex loss never falls: "
            f"at least {psi[i]:.9g} is expected, as at {at.r[i]:.6g}.",
        )
    if not loss.convex and not falls.any():
        fail(loss, "convex is False, but _psi nowhere falls: derive the class from ConvexLoss.")


def check_curvature(at: Evaluated) -> None:
    """Check that `curvature` is the supremum of psi', and infinite just where psi jumps."""
    loss = at.loss
    stated = as_number(loss.curvature)
    if loss.smoothness == 0:
        if stated != math.inf:
            fail(loss, f"curvature is {loss.curvature!r}, but inf is expected where psi jumps.")
        return
    largest = _largest(loss, "_psi_prime", at.r, at.psi_prime)
    if not abs(stated - largest) <= JUMP * largest:
        fail(
            loss,
            f"curvature is {loss.curvature!r}, but the supremum of _psi_prime is {largest:.9g}.",
        )


def _largest(loss: ResidualLoss, hook: str, r: FloatArray, values: FloatArray) -> float:
    """Return the largest value of a hook, sought on finer and finer grids about where it is."""
    for _ in range(4):
        i = int(np.argmax(values))
        low, high = r[max(i - 1, 0)], r[min(i + 1, r.size - 1)]
        r = np.append(np.linspace(low, high, 65), r[i])
        r.sort()
        values = call(loss, hook, r)
    return float(values.max())


def check_sup_rho(at: Evaluated) -> None:
    """Check that `sup_rho` is the supremum of rho, which is where |r| is largest."""
    loss = at.loss
    nearer, far = (call(loss, "_rho", np.array([-size, size])) for size in (1e150, LARGEST))
    unbounded = np.any(np.isinf(far) | (far > (1.0 + JUMP) * nearer))
    expected = math.inf if unbounded else float(at.rho.max())
    stated = as_number(loss.sup_rho)
    if not (stated == expected or abs(stated - expected) <= AGREE * expected < math.inf):
        fail(
            loss,
            f"sup_rho is {loss.sup_rho!r}, but the supremum of _rho is {expected:.9g}: it is "
            f"{nearer.max():.9g} at 1e150 and {far.max():.9g} at {LARGEST:g}.",
        )


def check_redescending(at: Evaluated) -> None:
    """Check `redescending`: whether psi is next to 0 at the largest residuals of both signs."""
    loss = at.loss
    descends = bool(np.abs(at.psi[[0, -1]]).max() < JUMP * np.abs(at.psi).max())
    if bool(loss.redescending) != descends:
        fail(
            loss,
            f"redescending is {loss.redescending!r}, but {descends} is expected: _psi("
            f"{at.r[-1]:g}) is {at.psi[-1]:.9g}, and the largest {np.abs(at.psi).max():.9g}.",
        )


def check_homogeneity_and_elicits(at: Evaluated) -> None:
    """Check `homogeneity`, and which functional a loss of that homogeneity and symmetry elicits."""
    loss = at.loss
    stated = loss.homogeneity
    degrees = [k for k in (1, 2) if _is_homogeneous(at, k)]
    expected = degrees[0] if degrees else None
    if stated != expected and not (stated not in (None, 1, 2) and _is_homogeneous(at, stated)):
        fail(loss, f"homogeneity is {stated!r}, but for its _rho {expected!r} is expected.")
    mirrored = -at.psi[::-1]  # the grid is symmetric but beside the kinks
    same = np.array_equal(at.r, -at.r[::-1]) and np.allclose(at.psi, mirrored, rtol=AGREE, atol=0)
    allowed = {
        (1, True): ("median", "quantile"),
        (1, False): ("quantile",),
        (2, True): ("mean",),
    }.get((expected or 0, bool(same)), ("location",))
    if loss.elicits not in allowed:
        fail(
            loss,
            f"elicits is {loss.elicits!r}, but {' or '.join(map(repr, allowed))} is expected of a "
            f"{'symmetric' if same else 'lopsided'} loss of homogeneity {expected!r}.",
        )


def _is_homogeneous(at: Evaluated, degree: float) -> bool:
    inside = (at.rho > UNDERFLOW) & (at.rho < 1.0 / UNDERFLOW)
    r, rho = at.r[inside], at.rho[inside]
    return all(
        np.allclose(call(at.loss, "_rho", t * r), t**degree * rho, rtol=AGREE, atol=0.0)
        for t in (0.01, 7.0)
    )


def check_tunable(loss: ResidualLoss) -> None:
    """Check that a tunable loss is one of a family with one member for each constant."""
    if not loss.tunable:
        return
    if not dataclasses.is_dataclass(type(loss)):
        fail(loss, "tunable is True, but the class is no dataclass.")
    one, two = (type(loss).from_tuning_constant(constant) for constant in (1.0, 2.0))
    if {type(one), type(two)} != {type(loss)} or one == two:
        fail(
            loss,
            "tunable is True, but from_tuning_constant(1.0) and (2.0) are "
            f"{one!r} and {two!r}, not two members of the family.",
        )

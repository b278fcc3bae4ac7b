"""The formulas of a loss evaluated on a grid of residuals, and how a fault in them is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import EPS
from robustreg.losses._arrays import FloatArray
from robustreg.losses._residual import ResidualLoss

TERMS_ROUNDING = 64.0 * EPS  # of the larger terms of a formula
AGREE = 1e-9  # relative: what two ways to one number may differ by
UNDERFLOW = 1e-200  # a formula that squares a residual is not held to digits below
JUMP = 1e-6  # relative: what is a jump from one side of a residual to the other
LARGEST = 1e300  # residual at which formulas are looked at


@dataclass(frozen=True)
class Evaluated:
    """A loss at residuals `r`, in increasing order: all sizes, both signs, 0, beside the kinks."""

    loss: ResidualLoss
    r: FloatArray
    rho: FloatArray
    psi: FloatArray
    weights: FloatArray
    psi_prime: FloatArray


def evaluate(loss: ResidualLoss) -> Evaluated:
    """Evaluate a loss on the grid of the checks; a formula that gives no number is named."""
    r = _grid(loss.kinks())
    names = ("_rho", "_psi", "_weights", "_psi_prime")
    return Evaluated(loss, r, *(call(loss, name, r) for name in names))


def _grid(kinks: tuple[float, ...]) -> FloatArray:
    octaves = 1.0371 * 2.0 ** np.arange(-660.0, 997.0)
    middle = np.logspace(-3.0, 3.0, 241)
    sizes = np.concatenate([[0.0, 1e-300, 1e-150, 1e150, LARGEST], octaves, middle])
    at = np.asarray(kinks, dtype=float)
    beside = [np.nextafter(at, -np.inf), np.nextafter(at, np.inf), at * (1 - 1e-6), at * (1 + 1e-6)]
    # plus 0.0: which of the two zeros is kept is another one in another version of NumPy
    return np.unique(np.concatenate([-sizes, sizes, at, *beside]) + 0.0)


def call(loss: ResidualLoss, hook: str, r: FloatArray) -> FloatArray:
    """Return what a hook makes of residuals, once that is an array of numbers like them."""
    given = r.copy()
    try:
        values = getattr(loss, hook)(given)
    except Exception as error:
        raise ValueError(
            f"{type(loss).__name__}.{hook} raised {error!r} for an array of {r.size} numbers from "
            f"{r.min():g} to {r.max():g}."
        ) from error
    if not isinstance(values, np.ndarray) or values.shape != r.shape or values.dtype != r.dtype:
        fail(
            loss,
            f"{hook} must return an array of the shape and dtype of its argument, {r.shape} and "
            f"{r.dtype}, but returned {_kind(values)}.",
        )
    if not np.array_equal(given, r):
        fail(loss, f"{hook} changed the array that it was given; it must return another.")
    if np.shares_memory(values, given):
        fail(loss, f"{hook} returned the array that it was given; it must return a copy.")
    i = worst_of(np.isnan(values), r)
    if i is not None:
        fail(loss, f"{hook}({r[i]:.6g}) is nan, but must be a number.")
    return values


def _kind(values: object) -> str:
    if isinstance(values, np.ndarray):
        return f"one of {values.shape} and {values.dtype}"
    return repr(values)


def worst_of(wrong: NDArray[np.bool_], r: FloatArray) -> int | None:
    """Return the index of a wrong residual, if any: 0, or the one whose size is nearest to 1."""
    if not wrong.any():
        return None
    distance = np.abs(np.log2(np.maximum(np.abs(r), 1e-320))) - 0.1 * (r > 0)
    return int(np.argmin(np.where(wrong, np.where(r == 0.0, -1.0, distance), np.inf)))


def compare(
    loss: ResidualLoss,
    hook: str,
    r: FloatArray,
    found: FloatArray,
    expected: FloatArray,
    allowed: FloatArray | float,
    what: str,
) -> None:
    """Name the hook at a residual where it is not what it must be; `what` says what that is."""
    wrong = ~((found == expected) | (np.abs(found - expected) <= allowed))
    i = worst_of(wrong, r)
    if i is not None:
        fail(loss, f"{hook}({r[i]:.6g}) is {found[i]:.9g}, but {what} is {expected[i]:.9g}.")


def fail(loss: ResidualLoss, text: str) -> NoReturn:
    """Raise the ValueError that names the loss's method or trait which `text` begins with."""
    raise ValueError(f"{type(loss).__name__}.{text}")

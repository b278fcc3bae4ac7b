"""Check that a loss is what it says: its formulas against each other, its traits against them."""

from __future__ import annotations

import copy
import functools

import numpy as np

from robustreg.losses._check_conjugate import (
    check_conjugate,
    check_conjugate_of_psi,
    check_domain,
    check_kappa,
    check_quadratic_conjugate,
)
from robustreg.losses._check_traits import (
    check_convex,
    check_curvature,
    check_homogeneity_and_elicits,
    check_kinks,
    check_redescending,
    check_smoothness,
    check_sup_rho,
    check_tunable,
)
from robustreg.losses._derivatives import Pair, find_fault
from robustreg.losses._evaluated import (
    AGREE,
    JUMP,
    TERMS_ROUNDING,
    UNDERFLOW,
    Evaluated,
    call,
    compare,
    evaluate,
    fail,
    worst_of,
)
from robustreg.losses._residual import ConvexLoss, ResidualLoss

_PUBLIC = ("rho", "psi", "weights", "psi_prime")
_PUBLIC_CONVEX = ("conjugate", "conjugate_of_psi")


def check_loss(loss: ResidualLoss) -> None:
    """Check a loss of your own: its formulas against each other, and its traits against them.

    Residuals of both signs and of all sizes from 1e-300 to 1e300 are looked at, with 0, the kinks
    and what is beside them: that rho is at least 0, and 0 at 0; that psi is its derivative, psi'
    that of psi, the weights psi(r) / r with its limit at 0; that nothing is NaN or overflows before
    its time; that a convex loss has the conjugate sup v r - rho(r); and every trait but
    ``joint_breakdown``, which the base class computes. It takes some milliseconds.

    :class:`robustreg.MRegressor` checks a loss that is not this package's before its first fit.

    Parameters
    ----------
    loss : ResidualLoss
        The loss, an instance of a subclass of `ResidualLoss` or `ConvexLoss`.

    Raises
    ------
    ValueError
        If anything is wrong; the message names the method or trait, the residual, what was found
        and what is expected.
    TypeError
        If `loss` is no `ResidualLoss`.

    Notes
    -----
    Derivatives are held to six digits, or to the last one that the larger terms of a formula have:
    ``sqrt(1 + r * r) - 1`` passes, although it is 0 at 1e-9. Below 1e-200 no digits are expected.
    What is narrower than a fiftieth of the residual that it is at, or than an eighth where that is
    below 1e-3 or above 1e3, may go unnoticed.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from robustreg.losses import ConvexLoss, check_loss
    >>> @dataclass(frozen=True)
    ... class Half(ConvexLoss):
    ...     elicits = "mean"
    ...     homogeneity = 2
    ...
    ...     def _rho(self, r):
    ...         return 0.5 * r * r
    ...
    ...     def _psi(self, r):
    ...         return 2.0 * r
    ...
    ...     def _psi_prime(self, r):
    ...         return np.ones_like(r)
    ...
    ...     def _conjugate(self, v):
    ...         return 0.5 * v * v
    >>> check_loss(Half())
    Traceback (most recent call last):
    ...
    ValueError: Half._psi(1) is 2, but the derivative of _rho there is 1.
    """
    if not isinstance(loss, ResidualLoss):
        raise TypeError(
            "loss must be a ResidualLoss such as Huber(delta=2.0), a function of the "
            f"residual; got {loss!r}, a {type(loss).__name__}."
        )
    with np.errstate(all="ignore"):  # as formulas run everywhere
        _check_value(loss)
        _check_hooks(loss)
        smoothness = check_kinks(loss)
        at = evaluate(loss)
        _check_rho(at)
        _check_derivatives(loss)
        check_smoothness(loss, smoothness)
        _check_weights(at)
        _check_rho_and_lever(at)
        check_convex(at)
        check_curvature(at)
        check_sup_rho(at)
        check_redescending(at)
        check_homogeneity_and_elicits(at)
        check_tunable(loss)
        if isinstance(loss, ConvexLoss):
            check_domain(loss, at)
            check_conjugate(loss, at)
            check_conjugate_of_psi(loss, at)
            check_quadratic_conjugate(loss, at)
            check_kappa(loss)


def check_once(loss: ResidualLoss) -> None:
    """Check a loss, unless it or one equal to it has passed before."""
    try:
        _has_passed(loss)
    except TypeError:  # not hashable, which is a fault that the check names
        check_loss(loss)


@functools.lru_cache(maxsize=256)
def _has_passed(loss: ResidualLoss) -> bool:
    check_loss(loss)
    return True


def _check_value(loss: ResidualLoss) -> None:
    """Check that a loss can be the parameter of an estimator and the key of a cache."""
    try:
        hash(loss)
        is_value = copy.deepcopy(loss) == loss
    except TypeError:
        is_value = False
    if not is_value:
        raise ValueError(
            f"{type(loss).__name__} must be hashable, and equal to a copy of itself: declare it "
            "@dataclass(frozen=True)."
        )


def _check_hooks(loss: ResidualLoss) -> None:
    """Check that the formulas are in the hooks, and that these work elementwise."""
    hooks = _PUBLIC + _PUBLIC_CONVEX * isinstance(loss, ConvexLoss)
    base = ConvexLoss if isinstance(loss, ConvexLoss) else ResidualLoss
    for name in hooks:
        if getattr(type(loss), name) is not getattr(base, name):
            fail(loss, f"{name} is overridden; formulas belong into the hook _{name}.")
    r = np.linspace(-3.0, 3.0, 12)
    for name in [name for name in hooks if name != "conjugate"]:  # which that of psi calls
        values = call(loss, f"_{name}", r)
        table = call(loss, f"_{name}", r[::-1].reshape(3, 4))
        compare(
            loss,
            f"_{name}",
            r,
            table.ravel()[::-1],
            values,
            AGREE * np.abs(values),
            "as an entry of another array it",
        )


def _check_rho(at: Evaluated) -> None:
    loss, zero = at.loss, np.array([0.0, -0.0])
    for hook in ("_rho", "_psi"):
        compare(loss, hook, zero, call(loss, hook, zero), np.zeros(2), 0.0, "the value there")
    compare(loss, "_rho", at.r, np.minimum(at.rho, 0.0), np.zeros_like(at.r), 0.0, "its minimum")
    unbounded = np.isinf(at.psi_prime) & (loss.smoothness > 0)
    i = worst_of(unbounded, at.r)
    if i is not None:
        fail(loss, f"_psi_prime({at.r[i]:.6g}) is inf, but must be bounded unless psi jumps.")


def _check_derivatives(loss: ResidualLoss) -> None:
    _check_pair(loss, "_rho", "_psi", Pair(loss._rho, loss._psi))
    _check_pair(loss, "_psi", "_psi_prime", Pair(loss._psi, loss._psi_prime))


def _check_pair(loss: ResidualLoss, primitive: str, derivative: str, pair: Pair) -> None:
    fault = find_fault(pair, loss.kinks())
    if fault is None:
        return
    if np.isinf(fault.expected) and np.isfinite(fault.found):
        fail(
            loss,
            f"{primitive} becomes infinite at about {fault.at:.6g}, but {derivative} there is "
            f"{fault.found:.6g}.",
        )
    if fault.kind == "value":
        fail(
            loss,
            f"{derivative}({fault.at:.6g}) is {fault.found:.6g}, but the derivative of "
            f"{primitive} there is {fault.expected:.6g}.",
        )
    name = primitive if fault.kind == "primitive jumps" else derivative
    jump = f"{name} jumps from {fault.found:.6g} to {fault.expected:.6g} at about {fault.at:.6g}"
    if name == "_rho":
        fail(loss, f"{jump}, but must be continuous.")
    fail(loss, f"{jump}, which is not among kinks(), {loss.kinks()!r}.")


def _check_weights(at: Evaluated) -> None:
    loss = at.loss
    compare(
        loss,
        "_weights",
        at.r,
        np.minimum(at.weights, 0.0),
        np.zeros_like(at.r),
        0.0,
        "the least value allowed, psi having the sign of r,",
    )
    known = np.abs(at.r) >= UNDERFLOW
    ratio = at.psi[known] / at.r[known]
    allowed = AGREE * np.abs(ratio) + UNDERFLOW
    compare(loss, "_weights", at.r[known], at.weights[known], ratio, allowed, "_psi(r) / r there")
    zero = np.array([0.0, -0.0])
    sides = np.array([-UNDERFLOW, UNDERFLOW])
    limits = np.sort(call(loss, "_psi", sides) / sides)
    limits[limits > 1.0 / np.sqrt(UNDERFLOW)] = np.inf
    found = call(loss, "_weights", zero)
    expected = np.clip(found, *limits)
    compare(
        loss,
        "_weights",
        zero,
        found,
        expected,
        JUMP * np.minimum(found, expected),
        "the limit of _psi(r) / r",
    )


def _check_rho_and_lever(at: Evaluated) -> None:
    """Check the pair that equations for a scale are made of, which a bounded loss may override."""
    loss = at.loss
    if not np.isfinite(loss.sup_rho):
        return
    rho, lever = loss._rho_and_lever(at.r)
    for name, found, expected in (("rho", rho, at.rho), ("r psi", lever, at.r * at.psi)):
        allowed = AGREE * np.abs(expected) + TERMS_ROUNDING * at.rho.max() + UNDERFLOW
        compare(loss, f"_rho_and_lever for {name}", at.r, found, expected, allowed, name)

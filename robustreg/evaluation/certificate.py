"""The certificate: an upper bound on F(fit) - min F from a feasible point of the dual.

For any dual point ``nu`` with ``sum w nu = 0`` (with an intercept), ``nu`` in the domain of
the conjugate ``rho*`` and, for a joint scale, ``sum w rho*(nu) <= kappa W``,

    min F >= (1/W) sum w nu y - pen*(v) [- (s/W) sum w rho*(nu) for a fixed scale s],

with ``v = X'(w nu) / W`` (Fenchel duality; docs/design.md, section 3). Without a penalty
``v`` must vanish; under an L1 norm alone no component may exceed ``alpha`` (of
coefficients that must not be negative: from above). The sum is taken
as ``(1/W) sum w nu r + v'beta``, where nothing cancels.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import Array
from robustreg._compat import minres
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.coordinates import MAX_PRODUCTS
from robustreg.evaluation.evaluated import Evaluation
from robustreg.evaluation.hessian import after_step, hessian_at
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.sums import FirstSums
from robustreg.penalties._base import STEEPEST

# A gradient below this, relative to the rms of psi and in whitened coordinates, is rounding.
SMALL_GRADIENT = 2e-11
SMALL_GAP = 1e-10  # of F: what that costs at most, else rounding is taken away
ROUNDING = 1e-13  # the same of slopes that were made 0
UNBALANCED = 1e-10  # the same of slopes that a sign does not balance: more proves nothing
MAX_CLEANING = 4  # once for white coordinates, more often for nearly white ones
NO_SHARE = 1e3  # units in the last place of the spread of y


class DualRows(Protocol):
    """Rows that have a nu each: all of a table, or some and means of the others."""

    def average(self, values: Array) -> float:
        """``sum w values / W``."""

    def slopes(self, nu: Array) -> tuple[Array, float]:
        """``(A - offset)'(w nu) / W`` and ``sum w nu / W``."""

    def with_slopes(self, excess: Array, mean: float) -> Array:
        """Values of the rows that have these slopes in the coordinates, and the least squares."""


def dual_gap(objective: Objective, here: Evaluation) -> float:
    """Duality gap for a smooth loss at a point where F was evaluated.

    ``nu = psi(z)`` is feasible at an exact solution. Elsewhere it is corrected by the
    linearisation of psi along one Newton step, which makes the bound second order in the
    distance to the optimum, and shrunk until it satisfies every constraint.
    """
    theta, excess = here.theta, here.gradient
    if objective.kinks is not None:
        excess = objective.kinks.excess(theta, excess)
    if is_balanced(objective, here.sums, excess):
        beta, _, sigma = objective.unpack(theta)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite proves nothing
            gap = gap_of_psi(objective, here.sums, beta, sigma, here.value)
        if gap <= SMALL_GAP * here.value:  # more where columns of large spread magnify rounding
            return gap
    coef = objective.rows.coefficients(objective.unpack(theta)[0])
    residual, nu = objective.residuals(theta), dual_point(objective, here)
    return dual_gap_from(objective, coef, residual, here.value, nu)


def is_balanced(objective: Objective, sums: FirstSums, excess: Array) -> Any:
    """Whether slopes are balanced up to rounding, at one point or at each of several."""
    lead = excess[..., : objective.k + objective.rows.fit_intercept]
    size = np.sqrt(sums.psi_psi / objective.rows.total)
    return np.abs(lead).max(axis=-1, initial=0.0) <= SMALL_GRADIENT * size


def gap_of_psi(
    objective: Objective, sums: FirstSums, beta: Array, sigma: float, value: float
) -> float:
    """Duality gap from ``nu = psi(z)``, where that balances the slopes.

    There ``rho*(psi(z)) = z psi(z) - rho(z)``, and shrinking keeps v = grad pen's multiple.
    """
    total = objective.rows.total
    conjugate, slope = sums.conjugate / total, sums.psi_a / total
    linear = sigma * sums.psi_z / total
    shrink = _into_l1(objective, slope)
    if objective.joint and conjugate > 0:
        shrink = min(shrink, objective.kappa / conjugate)
    coef = objective.rows.coefficients(beta)
    return _gap(objective, coef, value, shrink, linear, slope, conjugate)


def dual_gap_from(
    objective: Objective,
    coef: Array,
    residual: Array,
    value: float,
    nu: Array,
    cleaning: int = MAX_CLEANING,
    rows: DualRows | None = None,
) -> float:
    """Duality gap of a value of F from a nearly feasible ``nu``.

    ``coef`` are the coefficients and ``residual`` the residuals there. ``nu`` is overwritten by one
    that balances the slopes, within the domain of the conjugate. Imbalances are projected away at
    most ``cleaning`` times; 0 is for a ``nu`` that has been through it. ``rows`` are those that
    ``nu`` and ``residual`` belong to, all of them by default: others may share one nu, and be in
    one row, their mean.
    """
    rows = objective.coordinates if rows is None else rows
    average = rows.average
    slope, balanced = _balance(objective, rows, nu, coef, cleaning)
    low, high = objective.loss.conjugate_domain
    shrink = _into_domain(nu, low, high)
    # An L1 norm alone demands |v| <= alpha, a weak ridge punishes what a penalty does not
    # balance: that is what is left, as every v is without a penalty.
    if not balanced:
        shrink = min(shrink, _into_l1(objective, slope))
        beyond = _beyond_signs(objective, slope)
        if beyond > 0.0 and beyond > UNBALANCED * np.sqrt(average(nu * nu)):
            return np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite proves nothing
        linear = average(nu * residual)
        nu *= shrink
        conjugate_mean = average(objective.loss.conjugate(np.clip(nu, low, high, out=nu)))
        if objective.joint and conjugate_mean > objective.kappa:
            shrink *= objective.kappa / conjugate_mean  # rho*(c nu) <= c rho*(nu) by convexity
        return _gap(objective, coef, value, shrink, linear, slope, conjugate_mean)


def _balance(
    objective: Objective, rows: DualRows, nu: Array, coef: Array, cleaning: int
) -> tuple[Array, bool]:
    """Slopes of nu, in which what the penalty does not balance has been projected away.

    ``nu`` is overwritten. Whether nothing but rounding is left of that comes second; the slopes
    are then those that the penalty has, where it says so of all of them.
    """
    penalty, unit = objective.penalty, objective.rows.unit
    # of a coefficient whose share of F is nothing the L1 norm may have any slope
    tiny = NO_SHARE * objective.rounding / penalty.slope if penalty.slope else 0.0
    with np.errstate(over="ignore"):
        square = rows.average(nu * nu)
    # beside slopes whose squares overflow nothing is known to be rounding
    allowed = ROUNDING * np.sqrt(square) if np.isfinite(square) else 0.0
    for attempt in range(cleaning + 1):
        slope, mean = rows.slopes(nu)
        with np.errstate(over="ignore"):
            wanted = penalty.subgradient(coef, slope * unit, tiny) / unit
        wanted = np.clip(wanted, -STEEPEST, STEEPEST)  # whose excess has a projection
        excess = objective.coordinates.reduce(slope - wanted)
        if not objective.rows.fit_intercept:
            mean = 0.0
        if max(float(np.abs(excess).max(initial=0.0)), abs(mean)) <= allowed:
            return _without_rounding(objective, slope, wanted), True
        if attempt < cleaning:
            _project(rows, nu, excess, mean)
    return slope, False


def _into_domain(nu: Array, low: float, high: float) -> float:
    """The factor, at most 1, that brings nu into the domain of the conjugate."""
    shrink, largest, smallest = 1.0, float(nu.max()), float(nu.min())
    if largest > high:
        shrink = high / largest
    if smallest < low:
        shrink = min(shrink, low / smallest)
    return shrink


def _without_rounding(objective: Objective, slope: Array, balanced: Array) -> Array:
    """Slopes that are balanced up to rounding, where no coordinate was dropped without it.

    The excess in the coordinates is all of it then, but for columns that have none: those have a
    slope of exactly 0 where all of their entries are the same, and else are left as they are.
    """
    if objective.k == objective.rows.p:
        return balanced
    rows = objective.rows
    live = objective.coordinates.basis.any(axis=1)
    if rows.sparse or not rows.fit_intercept or objective.k != np.count_nonzero(live):
        return slope
    if not rows.source.in_memory:
        return slope  # which columns are constant is not known
    none = np.flatnonzero(~live)
    X = rows.source.columns(none)
    constant = (X[0] == X).all(axis=0)
    slope = np.where(live, balanced, slope)
    slope[none[constant]] = 0.0
    return slope


def _beyond_signs(objective: Objective, slope: Array) -> float:
    """How far slopes are on the side on which nothing but a sign balances them, in coordinates.

    A coefficient that must not be negative would grow without end there. Where columns are nearly
    collinear even a small slope is no rounding: the optimum may be millions of its units away.
    """
    penalty, own = objective.penalty, objective.coordinates
    if not penalty.positive or penalty.slope or penalty.root_curvature:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.max(own.reach_of_columns() * np.maximum(slope, 0.0), initial=0.0))


def _into_l1(objective: Objective, slope: Array) -> float:
    """The factor, at most 1, with which slopes are within what an L1 norm alone can balance."""
    with np.errstate(over="ignore"):  # nothing is left of nu then, and the bound is 0
        return objective.penalty.share_within(slope * objective.rows.unit)


def _gap(
    objective: Objective,
    coef: Array,
    value: float,
    shrink: float,
    linear: float,
    slope: Array,
    conjugate: float,
) -> float:
    """F minus the dual objective at ``shrink * nu``; infinite where that is no number."""
    dual = shrink * linear
    if not objective.penalty.is_none:
        dual += objective.penalty.fenchel(shrink * slope * objective.rows.unit, coef)
    if objective.scale is not None:
        dual -= objective.scale * conjugate
    return max(value - dual, 0.0) if np.isfinite(dual) else np.inf


def dual_point(objective: Objective, here: Evaluation) -> Array:
    """``psi(z) + psi'(z) dz`` for the Newton step ``d``; ``psi(z)`` if that is not defined."""
    theta, gradient = here.theta, here.gradient
    with np.errstate(over="ignore"):
        hessian, _ = hessian_at(objective, here)
    step: Array | None = None
    if isinstance(hessian, LinearOperator):
        step = minres(hessian, -gradient, rtol=1e-12, maxiter=MAX_PRODUCTS)
    elif not np.isfinite(hessian).all():
        pass
    elif objective.kinks is not None:  # psi + psi' dz then balances the penalty's subgradient
        step = objective.kinks.step(hessian, gradient, theta)
    else:
        step = lstsq(hessian, -gradient, cond=1e-12)
    if step is not None and np.isfinite(step).all():
        return after_step(objective, here, step)
    return np.asarray(objective.loss.psi(objective.residuals(theta) / objective.scale_at(theta)))


def _project(rows: DualRows, nu: Array, excess: Array, mean: float) -> None:
    """Remove ``excess`` and ``mean`` from the slopes of nu, in the metric of the weights."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite proves nothing
        nu -= rows.with_slopes(excess, mean)

"""Joint scale zero: part of the rows lie exactly on a plane, and F is least there.

As sigma falls to 0, ``sigma rho(r / sigma)`` becomes ``c |r|`` with ``c = sup |psi|``: F is
that of least absolute deviations. Its optimum is the optimum of F if, with
``nu = c sign(r)`` where r is not 0, some nu on the other rows balances the slopes and keeps
``sum w rho*(nu) <= kappa W``. The nu that makes this sum least is ``psi(Q a)`` with the a
that minimises ``sum w rho(Q a) - slopes'a`` over these rows Q (Lagrange duality).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from robustreg._arrays import EPS, Array, Mask
from robustreg._linalg.factors import length, lstsq
from robustreg._median import mad
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import white
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Problem
from robustreg.losses import Absolute
from robustreg.penalties import ElasticNet
from robustreg.penalties._kinks import Kinks
from robustreg.solvers._minimise import width
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers._report import LAST_PLACES, is_certified, is_rounding
from robustreg.solvers._solution import Reached, known
from robustreg.solvers._tracked import Tracked
from robustreg.solvers.programme.candidates import drop_rounding
from robustreg.solvers.programme.interior import first_theta, iterate
from robustreg.solvers.programme.rows import Streamed
from robustreg.solvers.programme.vertex import theta_through, vertex


class AtZero(NamedTuple):
    """A fit at scale 0."""

    value: float  # F
    gap: float
    nu: Array  # (n,) the dual point
    residual: Array  # (n,)


# Of the largest nu: smaller ones that exact fits with as many columns as rows may do with.
SMALLER_NU = (1e-6, 1e-4, 1e-2)


def at_scale_zero(
    problem: Problem, tracked: Tracked, theta: Array, tol: float
) -> tuple[Array, AtZero | None]:
    """The optimum at scale 0 near ``theta``, and its value, gap, dual point and residuals.

    None if the optimum is not at scale 0; then comes a point to go on from: the fit by least
    absolute deviations with the MAD of its residuals, where F is smaller there, else
    ``theta``. A given scale is taken for 0; the certificate, which is one of F at that scale, says
    whether it may be.
    """
    none = tracked.objective.coordinates.moments is None
    if none or not isinstance(problem.penalty, ElasticNet):
        return theta, None  # too many columns for the equations below, or kinks of another kind
    with np.errstate(over="ignore", invalid="ignore"):  # candidates out of range are none
        return _first_certified(problem, tracked, theta, tol)


def _first_certified(
    problem: Problem, tracked: Tracked, theta: Array, tol: float
) -> tuple[Array, AtZero | None]:
    """As above, of the candidates."""
    objective = tracked.objective
    limit = Limit(problem, objective)
    for candidate in (_through_near_rows, _least_absolute_deviations):
        found = candidate(problem, objective, limit, theta)
        if found is None:
            continue
        here = certificate_at_zero(objective, found, problem.exact)
        # That residuals are no more than rounding is no reason to take a joint scale for 0.
        residuals = None if objective.joint else known(here.residual)
        reached = Reached(objective.found(found), residuals, here.value, here.gap)
        if is_certified(problem, reached, tol):
            return found, here
        if candidate is _least_absolute_deviations:
            if objective.joint:
                found[-1] = _scale_of_residuals(problem, objective, here.residual, theta[-1])
            if tracked.value(found) < tracked.value(theta):
                return found, None
    return theta, None


def _scale_of_residuals(
    problem: Problem, objective: Objective, residual: Array, least: float
) -> float:
    """A scale to go on from at these residuals: their MAD, or what lets any curvature in.

    Where less than a residual is expected in the centre of a narrow loss, that may be the
    scale at which the equation of the scale holds; below there F has no curvature at all.
    """
    size = np.abs(residual)
    scale = max(mad(size, problem.weight, center=0.0), least)
    if scale * width(objective.loss) >= size.min():
        return scale

    def is_low(scale: float) -> bool:
        conjugate = objective.loss.conjugate_of_psi(size / scale)
        return objective.coordinates.average(conjugate) > objective.kappa

    high = scale
    while is_low(high):
        high *= 2.0
    return high


class Limit:
    """F over ``c = sup |psi|`` as the scale falls to 0: least absolute deviations.

    Where psi is unbounded only exact fits remain, among which the penalty decides; c is then
    what the joint scale's constraint leaves any |nu|: deviations that cost so much are none
    where an exact fit is the optimum. Points are
    taken and returned in the coordinates of F; a programme under a penalty with kinks has
    coordinates of its own, white ones. ``share`` is that of c to which |nu| is held.
    """

    def __init__(self, problem: Problem, objective: Objective, share: float = 1.0) -> None:
        penalty = problem.elastic_net
        penalty = replace(penalty, alpha=penalty.alpha / (share * _largest_nu(problem)))
        absolute = replace(problem, loss=Absolute(), scale=1.0, penalty=penalty)
        self.problem, self.objective, self.is_own = problem, objective, objective.kinks is None
        chosen = (objective.coordinates, objective.cross) if self.is_own else white(absolute)
        self.programme = Streamed(make_objective(absolute, chosen))

    def optimum_through(self, theta: Array, near: Mask) -> Array:
        """The optimum if some rows have residual 0, and no other coefficients than at theta."""
        zero = np.zeros(len(self.programme.target) - len(near), dtype=bool)
        if len(zero):
            columns = self.programme.kinked
            zero = self.objective.unpack(theta)[0][columns] == 0
        mask = np.append(near, zero)
        return self._leave(theta_through(self.programme, self._enter(theta), mask), zero)

    def solve(self, theta: Array) -> Array:
        """The optimum, by interior point, without a certificate."""
        start = theta[: self.objective.lead]
        if not self.is_own:  # near the optimum is no good start under kinks
            start = first_theta(self.programme)
        point, _ = iterate(self.programme, start, 100, EPS * self.problem.spread)
        found, _, zero = vertex(self.programme, point.theta, point.nu, self.problem.exact)
        return self._leave(found, zero[self.problem.n :])

    def at_zero(self, place: Array) -> Array:
        """A point, with the scale 0 where that is a variable."""
        return np.append(place, 0.0) if self.objective.joint else place

    def _enter(self, theta: Array) -> Array:
        if self.is_own:
            return theta[: self.objective.lead]
        beta, intercept, _ = self.objective.unpack(theta)
        rows = self.objective.rows
        return self.programme.objective.carry(rows.coefficients(beta), intercept, rows)

    def _leave(self, theta: Array, zero: Mask) -> Array:
        if self.is_own:
            return theta
        beta, intercept, _ = self.programme.objective.unpack(theta)
        rows, columns = self.programme.objective.rows, self.programme.kinked
        coef = rows.coefficients(beta)
        size = np.abs(self.programme.fitted(theta)[self.problem.n :])
        zero = zero | (size <= LAST_PLACES * EPS * max(self.problem.spread, size.max(initial=0.0)))
        coef[columns[zero]] = 0.0
        if self.problem.penalty.positive:
            np.maximum(coef, 0.0, out=coef)
        return self.objective.carry(coef, intercept, rows)


def _largest_nu(problem: Problem) -> float:
    """``sup |psi|``; where that is infinite, the nu with ``w rho*(nu) = kappa W`` in a row."""
    loss, weight = problem.loss, problem.weight
    bound = loss.conjugate_domain[1]
    if np.isfinite(bound):
        return bound
    smallest = 1.0 / problem.n if weight is None else float(weight.min() / weight.sum())
    # such losses are quadratic, so that rho*(psi(z)) = rho(z)
    return float(loss.psi(np.sqrt(loss.kappa / smallest / loss.rho(1.0))))


def _through_near_rows(
    problem: Problem, objective: Objective, limit: Limit, theta: Array
) -> Array | None:
    """The optimum of the limit if exactly the rows near the present fit have residual 0."""
    _, bound = objective.loss.conjugate_domain
    reach = 10.0 * objective.scale_at(theta) * (bound if np.isfinite(bound) else 1.0)
    near = np.abs(objective.residuals(theta)) <= max(reach, problem.exact)
    if near.all() or np.isfinite(bound):
        return limit.at_zero(limit.optimum_through(theta, near))
    return None


def _least_absolute_deviations(
    problem: Problem, objective: Objective, limit: Limit, theta: Array
) -> Array | None:
    """The optimum of the limit, by interior point.

    An exact fit that is the optimum for a smaller c is so for c itself. The less the slopes
    of the penalty are below those of the data, the more digits it has.
    """
    if objective.kinks is None and not np.isfinite(objective.loss.conjugate_domain[1]):
        return None
    if objective.kinks is not None and problem.p >= problem.n:
        for share in SMALLER_NU:
            easier = Limit(problem, objective, share)
            found = limit.at_zero(easier.solve(theta))
            if np.abs(objective.residuals(found)).max() <= problem.exact:
                return found
    return limit.at_zero(limit.solve(theta))


def certificate_at_zero(objective: Objective, theta: Array, exact: float) -> AtZero:
    """F at ``theta`` with scale 0, with its certificate."""
    rows, bound = objective.rows, objective.loss.conjugate_domain[1]
    average = objective.coordinates.average
    residual = objective.residuals(theta)
    on = np.abs(residual) <= exact
    drop_rounding(objective, theta, residual, np.flatnonzero(on))
    beta, intercept, _ = objective.unpack(theta)
    if np.isfinite(bound):  # beside gross errors that are followed, others may lie anywhere near
        on |= is_rounding(rows, rows.y, residual, beta, intercept)
    if not (on.all() or np.isfinite(bound)):
        # without a bound on psi, nothing but an exact fit has a limit
        return AtZero(np.inf, np.inf, np.zeros_like(residual), residual)
    value = objective.penalty.value(rows.coefficients(beta))
    signs = np.where(on, 0.0, np.sign(residual))
    if np.isfinite(bound):
        value += bound * average(np.abs(residual))
        signs *= bound
    else:  # what counts as 0 beside y costs what it does at the best scale
        squares = objective.loss.curvature * average(residual**2)
        value += np.sqrt(objective.kappa * squares)
    wanted = -objective.imbalance(theta, signs)
    lead, kinks = len(wanted), objective.kinks
    if kinks is not None:
        assert isinstance(kinks, Kinks)
        wanted += (kinks.slopes * np.sign(theta))[:lead]
        there = (theta == 0)[:lead]
        kinks = Kinks(np.where(there, kinks.slopes[:lead], 0.0), kinks.positive[:lead] & there)
    nu = signs
    if on.any():
        weight = np.ones(int(on.sum())) if rows.weight is None else rows.weight[on]
        nu[on] = least_conjugate(objective, on, weight / rows.total, wanted, kinks)
    if not objective.joint:  # at the given scale, next to 0 as it is
        with np.errstate(over="ignore", invalid="ignore"):
            at_scale = objective(theta)[0]
        value = at_scale if np.isfinite(at_scale) else value  # no residual has a number of scales
    gap = dual_gap_from(objective, rows.coefficients(beta), residual, value, nu)
    return AtZero(value, gap, nu, residual)


def least_conjugate(
    objective: Objective, on: Mask, share: Array, slopes: Array, kinks: Kinks | None
) -> Array:
    """``nu`` on some rows Q with the least ``sum share rho*(nu)``.

    Its slopes ``Q'(share nu)`` are the given ones, or differ from them by what ``kinks``
    balance at 0. Their dual function ``sum share rho(-Q a) + slopes'a + h(a)`` is minimised.
    """
    design, loss = -objective.coordinates.take(on), objective.loss
    if not len(slopes):  # only columns of zeros, no intercept
        return np.zeros(len(design))

    def dual(a: Array) -> tuple[float, Array]:
        z = design @ a
        value = share @ loss.rho(z) + slopes @ a
        if kinks is not None:
            value += kinks.slopes @ np.abs(a)
        return float(value), design.T @ (share * loss.psi(z)) + slopes

    def hessian(a: Array) -> Array:
        return design.T @ ((share * loss.psi_prime(design @ a))[:, None] * design)

    start: Array = np.zeros(len(slopes))
    if kinks is None:
        gram = design.T @ (share[:, None] * design)
        # exact where psi is a multiple of the identity
        start = lstsq(gram, -slopes / loss.curvature, cond=1e-12)
    # no nu has a larger sum than that with all of them at the bound; without any that has
    # the slopes, the dual function has no minimum
    bound = loss.conjugate_domain[1]
    most = float(share.sum() * loss.conjugate(bound))
    unit = width(loss) if np.isfinite(bound) else 1.0  # of z, where psi bends
    options = {
        "max_iter": 50,
        "kinks": kinks,
        "least": -2.0 * most,
        "step_size": lambda _, step: length(step) / unit,
    }
    with np.errstate(over="ignore", invalid="ignore"):
        fit = minimize(
            dual, start, jac=True, hess=hessian, method=semismooth_newton, options=options
        )
    return loss.psi(design @ fit.x)

"""Joint scale zero: part of the rows lie exactly on a plane, and F is least there.

As sigma falls to 0, ``sigma rho(r / sigma)`` becomes ``c |r|`` with ``c = sup |psi|``: F is
that of least absolute deviations. Its optimum is the optimum of F if, with
``nu = c sign(r)`` where r is not 0, some nu on the other rows balances the slopes and keeps
``sum w rho*(nu) <= kappa W``. The nu that makes this sum least is ``psi(Q a)`` with the a
that minimises ``sum w rho(Q a) - slopes'a`` over these rows Q (Lagrange duality).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import lstsq
from scipy.optimize import minimize

from robustreg._arrays import EPS, Array, Mask
from robustreg._certificate import dual_gap_from
from robustreg._objective import Objective
from robustreg._problem import Problem
from robustreg.losses import Absolute
from robustreg.scale import mad
from robustreg.solvers._exact import drop_rounding
from robustreg.solvers._frame import Frame, make_objective
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers._programme import Streamed
from robustreg.solvers._vertex import through, vertex
from robustreg.solvers.interior import iterate


def at_scale_zero(
    problem: Problem, frame: Frame, objective: Objective, theta: Array, tol: float
) -> tuple[Array, tuple[float, float] | None]:
    """The optimum at scale 0 near ``theta``, and its value and gap.

    None if the optimum is not at scale 0; then comes a point to go on from: the fit by least
    absolute deviations with the MAD of its residuals, where F is smaller there, else
    ``theta``. ``objective.residual`` belongs to the optimum.
    """
    if frame.moments is None:
        return theta, None  # too many columns for the equations below
    limit = limit_objective(problem, frame)
    for candidate in (_through_near_rows, _least_absolute_deviations):
        found = candidate(problem, objective, Streamed(limit, frame), theta)
        if found is None:
            continue
        value, gap = _certify(objective, found, problem.exact)
        if np.isfinite(value) and gap <= tol * value + 64 * EPS * problem.null_objective:
            return found, (value, gap)
        if candidate is _least_absolute_deviations:
            size = mad(objective.residual, problem.weight, center=0.0)
            found[-1] = max(size, theta[-1])
            if objective(found)[0] < objective(theta)[0]:
                return found, None
    return theta, None


def limit_objective(problem: Problem, frame: Frame) -> Objective:
    """F over ``c = sup |psi|`` as the scale falls to 0: least absolute deviations.

    Where psi is unbounded only exact fits remain, among which the penalty decides.
    """
    bound = problem.loss.conjugate_domain[1]
    penalty = problem.penalty
    if np.isfinite(bound):
        penalty = replace(penalty, alpha=penalty.alpha / bound)
    absolute = replace(problem, loss=Absolute(), scale=1.0, penalty=penalty)
    return make_objective(absolute, frame, curvature=False)


def _through_near_rows(
    problem: Problem, objective: Objective, limit: Streamed, theta: Array
) -> Array | None:
    """The optimum of the limit if exactly the rows near the present fit have residual 0."""
    objective.evaluate(theta)
    _, bound = objective.loss.conjugate_domain
    reach = 10.0 * theta[-1] * (bound if np.isfinite(bound) else 1.0)
    near = np.abs(objective.residual) <= max(reach, problem.exact)
    if near.all() or np.isfinite(bound):
        return np.append(through(limit, theta[:-1], near), 0.0)
    return None


def _least_absolute_deviations(
    problem: Problem, objective: Objective, limit: Streamed, theta: Array
) -> Array | None:
    """The optimum of the limit, by interior point."""
    if not np.isfinite(objective.loss.conjugate_domain[1]):
        return None
    return np.append(solve_limit(problem, limit, theta[:-1]), 0.0)


def solve_limit(problem: Problem, limit: Streamed, theta: Array) -> Array:
    """Least absolute deviations from a start, without a certificate."""
    found, nu, _ = iterate(limit, theta, 100, EPS * problem.spread)
    return vertex(limit, found, nu, problem.exact)[0]


def _certify(objective: Objective, theta: Array, exact: float) -> tuple[float, float]:
    """Value and duality gap of F at ``theta`` with scale 0."""
    rows, bound = objective.rows, objective.loss.conjugate_domain[1]
    residual = objective.residuals(theta)
    objective.take_residual(residual)
    on = np.abs(residual) <= exact
    drop_rounding(objective, theta, np.flatnonzero(on))
    if not (on.all() or np.isfinite(bound)):
        return np.inf, np.inf  # without a bound on psi, nothing but an exact fit has a limit
    beta = objective.unpack(theta)[0]
    value = objective.penalty.value(beta / rows.unit)
    signs = np.where(on, 0.0, np.sign(residual))
    if np.isfinite(bound):
        value += bound * objective.average(np.abs(residual))
        signs *= bound
    wanted = -objective.imbalance(theta, signs)
    nu = signs
    if on.any():
        weight = np.ones(int(on.sum())) if rows.weight is None else rows.weight[on]
        nu[on] = _least_conjugate(objective, on, weight / rows.total, wanted)
    return value, dual_gap_from(objective, theta, value, nu)


def _least_conjugate(objective: Objective, on: Mask, share: Array, slopes: Array) -> Array:
    """``nu`` on some rows with given slopes and the least ``sum share rho*(nu)``."""
    design, loss = objective.coordinates(on), objective.loss

    def dual(a: Array) -> tuple[float, Array]:
        z = design @ a
        value = share @ loss.rho(z) - slopes @ a
        return float(value), design.T @ (share * loss.psi(z)) - slopes

    def hessian(a: Array) -> Array:
        return design.T @ ((share * loss.psi_prime(design @ a))[:, None] * design)

    gram = design.T @ (share[:, None] * design)
    start = lstsq(gram, slopes, cond=1e-12)[0]  # exact where psi is the identity
    with np.errstate(over="ignore", invalid="ignore"):  # without a minimum a runs off; see gap
        fit = minimize(
            dual, start, jac=True, hess=hessian, method=semismooth_newton, options={"max_iter": 50}
        )
    return loss.psi(design @ fit.x)

"""Least absolute deviations by a primal-dual interior point method, ended exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lstsq
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Mask
from robustreg._certificate import dual_gap_from
from robustreg._objective import Objective
from robustreg._problem import Problem
from robustreg.solvers._frame import Start, least_squares, make_frame, make_objective, unpack
from robustreg.solvers._report import null_result, result
from robustreg.solvers.linprog import linprog

TO_BOUNDARY = 0.9995  # share of the way to the boundary that a step may go
TARGET = 1e-11  # relative complementarity gap that leaves the rest to the exact ending
MAX_STALLED = 5  # steps that hardly lower the complementarity
MAX_ACTIVE = 3000  # rows at zero that a ridge fit can afford to treat as equations


def interior_point(
    problem: Problem, *, start: Start | None = None, max_iter: int = 100, tol: float = 1e-7
) -> OptimizeResult:
    """Least absolute deviations, with or without a ridge, exactly.

    With ``r = p - q`` (p, q >= 0) and dual variables ``-1 <= nu <= 1``, Newton steps are
    taken for ``Q'(w nu) = W grad pen``, ``up p = mu``, ``down q = mu`` with the slacks
    ``up = 1 - nu``, ``down = 1 + nu`` while mu goes to 0 by Mehrotra's predictor and
    corrector; Portnoy and Koenker (1997) call the method without penalty Frisch-Newton. The
    rows that end at ``p = q = 0`` become equations, from which coefficients and nu are
    computed anew, exactly. Should that fail, the linear programme is handed to ``linprog``.
    Cost: O(n p^2) a step, O(n) memory. ``start`` has no effect.
    """
    if problem.spread == 0.0:
        return null_result(problem)
    frame = make_frame(problem)
    objective = make_objective(problem, frame, curvature=False)
    theta = least_squares(frame)
    value = objective(theta)[0]
    fit = OptimizeResult(status=0, message="The least-squares fit is exact.", nit=0)
    gap = value
    if objective.size == 0:  # a column of zeros and no intercept
        gap = 0.0
    elif value > 16 * EPS * problem.spread:
        theta, nu, fit = iterate(objective, theta, max_iter, EPS * problem.spread)
        active = active_rows(objective, theta, nu, problem.exact)
        ended = end_exactly(objective, theta, nu, active)
        theta, value, gap, exactly = _better(objective, (theta, nu), ended)
        if exactly:
            make_zero(objective.residual, active)
    found = unpack(objective, frame, theta)
    outcome = result(problem, found, objective.residual, value, gap, tol, fit, frame.rank)
    if not outcome.success and fit.status != 1 and not problem.penalty.alpha:
        return linprog(problem, tol=tol)  # slower, and never at a loss
    return outcome


@dataclass
class _Point:
    """Primal and dual variables.

    The slacks of nu are kept apart from it: a row with a huge residual needs one far below
    the rounding of 1.
    """

    theta: Array
    nu: Array
    up: Array
    down: Array
    p: Array
    q: Array

    def move(self, step: _Point, primal: float, dual: float) -> _Point:
        return _Point(
            self.theta + primal * step.theta,
            self.nu + dual * step.nu,
            self.up + dual * step.up,
            self.down + dual * step.down,
            self.p + primal * step.p,
            self.q + primal * step.q,
        )


def iterate(
    objective: Objective, theta: Array, max_iter: int, negligible: float
) -> tuple[Array, Array, OptimizeResult]:
    """Interior-point steps from ``theta``; its residuals must be ``objective.residual``.

    Ends early where mu, or typically p + q, falls below ``negligible``: with most residuals
    at 0, going on would only ruin the digits of the others.
    """
    r, one = objective.residual, np.ones(objective.rows.n)
    shift = 0.5 * _typical(np.abs(r))
    point = _Point(
        theta, 0.0 * one, one, one, np.maximum(r, 0.0) + shift, np.maximum(-r, 0.0) + shift
    )
    status, message = 1, "max_iter reached."
    iterations, smallest, stalled = 0, np.inf, 0
    while iterations < max_iter:
        iterations += 1
        mu = _complementarity(objective, point)
        size = _typical(point.p + point.q)
        if mu <= max(TARGET * size, negligible) or size <= negligible:
            status, message = 0, "The complementarity gap is closed."
            break
        # Degenerate problems end a few digits early; the certificate has the last word.
        stalled = stalled + 1 if mu > 0.99 * smallest else 0
        smallest = min(smallest, mu)
        if stalled >= MAX_STALLED:
            status, message = 2, "No further decrease in floating point."
            break
        point = _step(objective, point, mu)
    fit = OptimizeResult(status=status, message=message, nit=iterations)
    return point.theta, point.nu, fit


def _typical(size: Array) -> float:
    """A size of residuals that a few gross errors do not determine."""
    return float(np.median(size)) or float(np.mean(size))


def _complementarity(objective: Objective, point: _Point) -> float:
    return 0.5 * objective.average(point.up * point.p + point.down * point.q)


def _step(objective: Objective, point: _Point, mu: float) -> _Point:
    """One predictor and corrector step with the same factorisation."""
    barrier = 1.0 / (point.p / point.up + point.q / point.down)
    matrix = objective.gram(barrier)
    matrix[: objective.k, : objective.k] += objective.penalty_hessian()
    excess = objective.residuals(point.theta) - point.p + point.q
    affine = _direction(objective, point, barrier, matrix, excess, 0.0, 0.0)
    primal, dual = _lengths(point, affine)
    centring = (_complementarity(objective, point.move(affine, primal, dual)) / mu) ** 3
    # the second-order term belongs to a full step: of a short one, only its share is true
    share = primal * dual
    bent = (
        centring * mu + share * affine.nu * affine.p,
        centring * mu - share * affine.nu * affine.q,
    )
    step = _direction(objective, point, barrier, matrix, excess, *bent)
    return point.move(step, *_lengths(point, step))


def _direction(
    objective: Objective,
    point: _Point,
    barrier: Array,
    matrix: Array,
    excess: Array,
    target_p: Array | float,
    target_q: Array | float,
) -> _Point:
    """Newton direction towards ``up p = target_p`` and ``down q = target_q``."""
    gap_p, gap_q = target_p - point.up * point.p, target_q - point.down * point.q
    xi = (excess - gap_p / point.up + gap_q / point.down) * barrier
    side = objective.imbalance(point.theta, point.nu + xi)
    try:
        dtheta = cho_solve(cho_factor(matrix), side)
    except LinAlgError:
        dtheta = lstsq(matrix, side, cond=1e-14)[0]
    change, intercept, _ = objective.unpack(dtheta)
    dnu = xi - barrier * objective.fitted(change, intercept)
    dp = (gap_p + point.p * dnu) / point.up
    dq = (gap_q - point.q * dnu) / point.down
    return _Point(dtheta, dnu, -dnu, dnu, dp, dq)


def _lengths(point: _Point, step: _Point) -> tuple[float, float]:
    """Primal and dual step lengths that keep p, q and the slacks positive."""
    primal = min(_to_zero(point.p, step.p), _to_zero(point.q, step.q))
    dual = min(_to_zero(point.up, step.up), _to_zero(point.down, step.down))
    return min(1.0, TO_BOUNDARY * primal), min(1.0, TO_BOUNDARY * dual)


def _to_zero(values: Array, step: Array) -> float:
    falling = step < 0
    return float(np.min(-values[falling] / step[falling], initial=np.inf))


def active_rows(objective: Objective, theta: Array, nu: Array, exact: float) -> Mask:
    """Rows that an approximate solution says have residual 0 at the optimum."""
    size = np.abs(objective.residuals(theta))
    typical = _typical(size)
    slack = 1 - np.abs(nu)
    active = (size <= slack * typical) | (size <= exact)
    if not objective.penalty.alpha and active.sum() < objective.size <= len(size):
        # a vertex needs that many: take those that are nearest to active
        nearest = np.argsort(size / typical - slack)[: objective.size]
        active[nearest] = True
    return active


def end_exactly(
    objective: Objective, theta: Array, nu: Array, active: Mask
) -> tuple[Array, Array] | None:
    """Solve the optimality equations, given the rows with residual 0 and |nu| < 1.

    The certificate of what comes out says whether these were the right rows. Returns None
    where they are too many to solve for.
    """
    rows = objective.rows
    residual = objective.residuals(theta)
    if objective.penalty.alpha and active.sum() > max(MAX_ACTIVE, objective.size):
        return None
    design = objective.coordinates(active)
    weight = np.ones(len(design)) if rows.weight is None else rows.weight[active]
    theta = theta.copy()
    for _ in range(2):  # the second time is iterative refinement
        step = _active_step(objective, theta, design, weight, residual, active)
        theta += step
        residual = objective.residuals(theta)
    nu = np.where(active, nu, np.sign(residual))
    # least change of nu on the active rows that balances the slopes
    excess = objective.imbalance(theta, nu)
    change = lstsq((weight[:, None] * design).T, rows.total * excess, cond=1e-12)[0]
    nu[active] -= change
    return theta, nu


def _active_step(
    objective: Objective,
    theta: Array,
    design: Array,
    weight: Array,
    residual: Array,
    active: Mask,
) -> Array:
    """Newton step of ``residual[active] = 0`` and, under a penalty, of the stationarity."""
    if not objective.penalty.alpha:
        return lstsq(design, residual[active], cond=1e-10)[0]
    size, extra = objective.size, len(design)
    system = np.zeros((size + extra, size + extra))
    system[: objective.k, : objective.k] = objective.penalty_hessian()
    system[:size, size:] = -(weight[:, None] * design).T / objective.rows.total
    system[size:, :size] = design
    side = objective.imbalance(theta, np.where(active, 0.0, np.sign(residual)))
    return lstsq(system, np.concatenate([side, residual[active]]), cond=1e-13)[0][:size]


def make_zero(residual: Array, active: Mask) -> None:
    """Set residuals of active rows to 0: what their equations leave of them is rounding.

    For rows that other rows contradict it is more, and stays.
    """
    rounding = 1e-6 * _typical(np.abs(residual))
    residual[active & (np.abs(residual) <= rounding)] = 0.0


def _better(
    objective: Objective, approximate: tuple[Array, Array], ended: tuple[Array, Array] | None
) -> tuple[Array, float, float, bool]:
    """The candidate with the smaller objective plus gap, evaluated last; whether it is ``ended``.

    Between equals, up to the rounding of F, that is the better one.
    """
    first = _judge(objective, *approximate)
    second = first if ended is None else _judge(objective, *ended)
    exactly = ended is not None and sum(second) <= sum(first) + 64 * EPS * first[0]
    theta = ended[0] if ended is not None and exactly else approximate[0]
    objective(theta)
    return theta, *(second if exactly else first), exactly


def _judge(objective: Objective, theta: Array, nu: Array) -> tuple[float, float]:
    value = objective(theta)[0]
    return value, dual_gap_from(objective, theta, value, np.clip(nu, -1.0, 1.0))

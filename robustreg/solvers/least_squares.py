"""Least squares, directly."""

from __future__ import annotations

import numpy as np

from robustreg._linalg.precise import precise_residual
from robustreg.evaluation.certificate import dual_gap
from robustreg.evaluation.choice import is_small, white
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import finished
from robustreg.solvers._report import result
from robustreg.solvers._reported import value_at
from robustreg.solvers._solution import Reached, Solution, known, reached_at

MAX_REFINEMENTS = 4
SMALL = 2**17  # entries of X
COLLINEAR = 1e4  # variance inflation factor
REFINED = 1e-14  # gradient, relative to the rms of the residuals: rounding


def direct(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Least squares, with or without a ridge, through whitened coordinates.

    The coordinates come from a Cholesky factor of the centred Gram matrix where that is
    accurate, else from an orthogonal factorisation of the standardised rows. Either way
    the solution is refined with residuals of the data themselves until its gradient is
    rounding, so that the digits lost in the coordinates come back. Cost: one pass of
    O(n p^2) and at least one of O(n p). ``start`` and ``max_iter`` have no effect.
    """
    chosen = white(problem)
    own = chosen[0]
    # Nearly collinear columns magnify the rounding of the gradient; on little data it is spared.
    precise = is_small(own.rows, SMALL) and own.inflation > COLLINEAR
    objective = make_objective(problem, chosen, precise=precise)
    here = objective.evaluate(objective.least_squares(), keep=True)
    steps = 1
    for _ in range(MAX_REFINEMENTS):
        size = float(np.abs(here.gradient).max(initial=0.0))
        if not precise and size <= REFINED * objective.rms_psi(here.sums):
            break
        theta = here.theta - here.gradient / problem.loss.curvature
        trial = objective.evaluate(theta, keep=True)
        steps += 1
        if float(np.abs(trial.gradient).max(initial=0.0)) >= 0.5 * size:
            break
        here = trial
    reached = reached_at(objective, here, dual_gap(objective, here))
    if precise:
        reached = _as_reported(problem, reached)
    return result(problem, reached, tol, finished("Solved directly.", steps), own.rank)


def _as_reported(problem: Problem, reached: Reached) -> Reached:
    """F at the coefficients of the columns, which may have fewer digits than coordinates have.

    Nearly collinear columns far out ask for coefficients whose terms are so large that the
    rounding of these moves the rows.
    """
    found = reached.found
    if not np.isfinite(found.coef).all():  # out of range: whoever reports them refuses them
        return reached
    residual = precise_residual(
        problem.y, problem.X, np.zeros(problem.p), found.coef, found.intercept
    )
    value = value_at(problem, found, residual)
    square = float(np.average(residual**2, weights=problem.weight))
    gap = reached.gap + (value - reached.value)
    return Reached(found, known(residual), value, max(gap, 0.0), square)

"""Least squares, directly."""

from __future__ import annotations

import numpy as np

from robustreg.evaluation.certificate import dual_gap
from robustreg.evaluation.coordinates import (
    is_small,
    least_squares,
    make_frame,
    make_objective,
    unpack,
)
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import finished
from robustreg.solvers._report import null_result, result
from robustreg.solvers._solution import Reached, Solution

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
    if problem.spread == 0.0:
        return null_result(problem)
    frame = make_frame(problem)
    # Nearly collinear columns magnify the rounding of the gradient; on little data it is spared.
    precise = is_small(frame.rows, SMALL) and frame.inflation > COLLINEAR
    objective = make_objective(problem, frame, curvature=False, precise=precise)
    theta = least_squares(frame)
    value, gradient = objective(theta)
    steps, curvature = 1, problem.loss.curvature
    for _ in range(MAX_REFINEMENTS):
        size = float(np.abs(gradient).max(initial=0.0))
        if not precise and size <= REFINED * np.sqrt(objective.sums.psi_psi / frame.rows.total):
            break
        trial = theta - gradient / curvature
        trial_value, trial_gradient = objective(trial)
        steps += 1
        if float(np.abs(trial_gradient).max(initial=0.0)) >= 0.5 * size:
            objective(theta)
            break
        theta, value, gradient = trial, trial_value, trial_gradient
    gap = dual_gap(objective, theta)
    fit = finished("Solved directly.", steps)
    found = unpack(objective, frame, theta)
    return result(problem, Reached(found, objective.residual, value, gap), tol, fit, frame.rank)

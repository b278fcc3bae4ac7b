"""One result object for every solver, and one judgement of convergence."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, SUMMED, Array, Mask
from robustreg.evaluation.choice import MAX_WHITENED, scaled, white
from robustreg.evaluation.coordinates import sizes_at_zero, sizes_of_terms
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.reading import NotFiniteError
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.survey import read_rows
from robustreg.solvers._ended import UNFINISHED, Ended, finished
from robustreg.solvers._solution import NO_RESIDUAL, Reached, Solution, known

TOL = 1e-7  # the tolerance of solvers that are not told one
ENOUGH = 50  # iterations: who allows fewer wants a fit to end there, whatever it lacks
LAST_PLACES = 64.0  # units in the last place of its terms that a residual of 0 may amount to
SAME_VALUE = 64 * EPS  # of a value: what rounding may make of one
SLOPE_ROUNDING = 1e-12  # of the root mean square of nu: what rounding makes of a slope of 0
FAINT = 1e-6  # of a y that was brought in: residuals below are none


def result(
    problem: Problem,
    reached: Reached,
    tol: float,
    fit: OptimizeResult,
    rank: int,
    n_interpolated: int | None = None,
) -> Solution:
    """The fit that has been reached, and whether it is certified; ``fit`` is how that ended.

    ``n_interpolated`` is the rank by default.

    It has converged if the gap is small, see :func:`is_certified`, no y is followed that was
    brought in, and the optimiser itself ended because its last step was negligible or nothing
    decreased any more.
    """
    found, residuals, value, gap, _ = reached
    gap = gap + problem.penalty.rounding(found.coef)
    if not (found.certain and gap <= value):  # F is nowhere negative
        gap = value
    if gap != reached.gap:
        reached = reached._replace(gap=gap)
    certified = is_certified(problem, reached, tol)
    followed = 0.0
    if residuals is not None and len(problem.far):
        residual = residuals()
        value, gap, followed = _put_back(problem, found, residual, value, gap)
        certified = certified and gap <= tol * value
        residuals = known(problem.put_back(residual))
    message = fit.message
    if followed:
        message = "The fit follows a y of more than 1e15 times the spread of the others."
    elif not (certified or found.certain):
        message = "Beside rows so far out in X the others do not differ in double precision."
    elif not certified:
        unit = problem.objective_unit
        gaps = f"The duality gap is {unit * gap:.2g} at an objective of {unit * value:.2g}."
        message = f"{message} {gaps}"
    ended = Ended(fit.status)
    return Solution(
        loss=problem.loss,
        sigma=found.sigma,
        coef=found.coef,
        intercept=found.intercept,
        residuals=known(NO_RESIDUAL) if residuals is None else residuals,
        objective=value,
        gap=min(gap, value),
        converged=bool(certified and not followed and ended not in UNFINISHED),
        rank=rank,
        n_interpolated=rank if n_interpolated is None else n_interpolated,
        n_iter=int(fit.nit),
        ended=ended,
        message=message,
        followed=followed,
        psi_square=reached.psi_square,
    )


def is_certified(problem: Problem, reached: Reached, tol: float) -> bool:
    """Whether ``gap <= tol F``, up to what is nothing beside the spread of y, or rounding.

    Residuals of the size of their own terms' rounding count as 0, in F and in the gap: those
    of an exact fit are all of either. Only a fit that would fail otherwise is looked at in
    that way.
    """
    found, residuals, value, gap, _ = reached
    finite = math.isfinite(value) and math.isfinite(gap)
    if not (finite and np.isfinite(found.coef).all()):
        return False
    if gap <= tol * value or gap <= problem.negligible:
        return True
    if residuals is None:
        return False
    rounding = _rounding(problem, found, residuals(), value)
    # of an exact fit the gap is the same sum, added up elsewhere
    left = gap - (1.0 + SUMMED) * rounding
    return left <= max(tol * (value - rounding), problem.negligible)


def _rounding(problem: Problem, found: Coefficients, residual: Array, value: float) -> float:
    """The part of F that residuals have which are nothing but the rounding of their terms.

    Where all are, that is F but for its penalty: a joint scale is one of rounding, too.
    """
    zero = exactly_fitted(problem, found, residual)
    if not zero.all():
        losses = problem.losses(residual[zero], problem.scale_or(found.sigma))
        weight = 1.0 if problem.weight is None else problem.weight[zero]
        total = problem.n if problem.weight is None else problem.weight.sum()
        return float(np.sum(weight * losses)) / total
    return value - problem.penalty.value(found.coef)


def exactly_fitted(problem: Problem, found: Coefficients, residual: Array) -> Mask:
    """The rows of a fit whose residuals are no larger than the rounding of their own terms.

    The terms are those of predictions from X, not from its means: beside a row far out in X these
    are far from all others, and what they make of rounding is a loss of digits, no exact fit.
    """
    rows = read_rows(problem.observed, problem.fit_intercept)
    beta = found.coef * rows.unit
    intercept = found.intercept + float(beta @ (rows.origin - rows.offset))
    size = np.abs(problem.y) + sizes_at_zero(rows, beta, intercept)
    return np.abs(residual) <= LAST_PLACES * EPS * size


def is_rounding(rows: RowBlocks, y: Array, residual: Array, beta: Array, intercept: float) -> Mask:
    """Where residuals are no larger than the rounding of the terms they are made of."""
    size = np.abs(y) + sizes_of_terms(rows, beta, intercept)
    return np.abs(residual) <= LAST_PLACES * EPS * size


def _put_back(
    problem: Problem, found: Coefficients, residual: Array, value: float, gap: float
) -> tuple[float, float, float]:
    """Objective and gap for the y that had been brought in, and the largest that is followed.

    With ``y' = y + b``, b of the sign of y and c the bound of psi on that side, F rises by at
    most ``w c |b| / W`` and its dual bound by ``w nu b / W``, the gap by ``w (c - |nu|) |b| / W``.
    Of a row that lies far off the fit this is nearly 0: if psi is c from half of its residual r
    on, the row has a share of at least ``w (c - |nu|) |r| / 2W`` in the gap, by Fenchel's
    inequality at r and at r / 2. The gap therefore rises to at most ``1 + 2 |b| / |r|`` times
    itself. If psi is not, the fit follows the row.
    """
    far, beyond = problem.far, problem.beyond
    r, (low, high) = residual[far], problem.loss.conjugate_domain
    total = problem.n if problem.weight is None else problem.weight.sum()
    share = (1.0 if problem.weight is None else problem.weight[far]) / total
    sigma = problem.scale_or(found.sigma)
    bound, rise = np.where(beyond > 0, high, low), np.maximum(high * beyond, low * beyond)
    apart = r * np.sign(beyond) > FAINT * np.abs(problem.y[far])
    if sigma > 0.0:
        rho, psi = problem.loss.rho, problem.loss.psi
        with np.errstate(over="ignore", invalid="ignore"):
            apart &= np.abs(psi(0.5 * r / sigma) - bound) <= 4 * EPS * np.abs(bound)
            own = sigma * (rho((r + beyond) / sigma) - rho(r / sigma))
            rise = np.where(apart, rise, np.fmin(rise, own))
    most = float(np.sum(share * (high - low) * np.abs(beyond)))
    if apart.all():
        most = min(most, 2.0 * gap * float(np.max(beyond / r)))
    size = np.abs(problem.y[far] + beyond)[~apart]
    return value + float(np.sum(share * rise)), gap + most, float(size.max(initial=0.0))


def null_result(problem: Problem) -> Solution:
    """Y does not vary: the null model fits exactly.

    Nothing else looks at a dense X then, so that NaN and infinity are to be found here.
    """
    source = problem.observed.source
    # the sums below look at rows that are not in memory
    if source.in_memory and not (source.is_sparse or np.isfinite(source.table).all()):
        raise NotFiniteError
    fit = finished("y is constant.")
    none = Coefficients(np.zeros(problem.p), 0.0, 0.0)
    reached = Reached(none, lambda: problem.y, 0.0, 0.0)
    # a rank is not worth a matrix that would not be affordable; its bound is
    wide = problem.p > MAX_WHITENED or not problem.penalty.is_none
    rank = (scaled if wide else white)(problem)[0].rank
    return result(problem, reached, 0.0, fit, rank, int(problem.fit_intercept))

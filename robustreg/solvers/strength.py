"""The strength of an L1 penalty from which on all coefficients are 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from robustreg._arrays import Array
from robustreg.evaluation.choice import scaled
from robustreg.evaluation.moments import column_moments
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, slopes_of, standardised
from robustreg.evaluation.survey import read_rows
from robustreg.losses import Absolute, ResidualLoss
from robustreg.penalties import ElasticNet
from robustreg.penalties._kinks import Kinks
from robustreg.solvers._plane import least_conjugate
from robustreg.solvers.null_fit import least_slope_at_quantile, steepest_of, steepest_slope
from robustreg.solvers.smooth import newton
from robustreg.sources._surveyed import not_here

HUGE = 1e9  # a slope that nothing exceeds: those of the loss are of order 1 in units of X's spread
UNSOLVED = 1e-9  # of the largest slope: what equations leave
ALPHA_ROUNDING = 1e-11  # relative: from alpha_max on coefficients are 0 in floating point, too


def alpha_max(problem: Problem) -> float:
    """The least alpha, as the user states it, at which all coefficients are 0.

    At the null fit (intercept and scale alone) the slopes ``v = X'(w nu) / W`` of its dual
    variables nu are what the penalty has to balance: ``alpha l1_ratio >= max |v_j|``, or
    ``max v_j`` where coefficients must not be negative. With nu = psi at a smooth null fit
    that is one pass over X. Where nu is not unique, at a scale of 0 or for absolute
    deviations and quantiles, the nu with the least slopes decides. 0 means that the null
    model is the fit at every alpha.
    """
    if problem.spread == 0.0:
        return 0.0
    kinked = problem.loss.homogeneity == 1
    steepest = least_slope_at_quantile(problem) if kinked else _smooth(problem)
    return (1.0 + ALPHA_ROUNDING) * steepest / (problem.elastic_net.l1_ratio * problem.alpha_unit)


def alpha_for_any_target(problem: Problem) -> float:
    """An alpha, as the user states it, at which all coefficients are 0 whatever y is.

    No slope ``X_j'(w nu) / W`` is steeper than ``sup |psi|`` (1 where that is infinite) times
    the standard deviation of the column, without an intercept its root mean square.
    """
    rows, spread = column_moments(read_rows(problem.observed, problem.fit_intercept))
    low, high = problem.loss.conjugate_domain
    bound = max(-low, high) if np.isfinite(high) else 1.0
    steepest = bound * float((spread * rows.unit).max())
    return (steepest or 1.0) / (problem.elastic_net.l1_ratio * problem.alpha_unit)


def _smooth(problem: Problem) -> float:
    """Largest slope of the null fit of a smooth loss, in units of the problem."""
    null = newton(replace(problem.without_regressors(), penalty=ElasticNet()))
    if null.followed:  # which y are far enough to be brought in is for the null fit to say
        return _smooth(problem.within(null.followed))
    objective = make_objective(problem, scaled(problem))
    theta = objective.pack(Coefficients(np.zeros(problem.p), null.intercept, null.sigma))
    if not problem.joint or null.sigma > 0.0:
        at = objective.unpack(theta)
        sigma = at[2] if problem.scale is None else problem.scale
        sums: _Sums = objective.rows.sum(_SumSlopes(problem.loss, Point(at[0], at[1], sigma)))
        slopes, total = sums.slopes / objective.rows.total, objective.rows.total
        # the null fit is rounded, too
        return steepest_of(objective, slopes[:-1], math.sqrt(sums.square / total), up=True)
    if not problem.observed.source.in_memory:
        raise not_here()
    return _at_scale_zero(problem, objective, theta)


@dataclass(frozen=True)
class _Sums:
    """Sums of psi over the rows."""

    slopes: Array  # (p + 1,) sum w psi [a, 1]
    square: float  # sum w psi^2

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.slopes + other.slopes, self.square + other.square)


@dataclass(frozen=True)
class _SumSlopes:
    """The job that sums them at a point."""

    loss: ResidualLoss
    point: Point

    def __call__(self, block: Block) -> _Sums:
        psi = self.loss.psi(standardised(block, self.point))
        weighted = block.weighted(psi)
        return _Sums(slopes_of(block, weighted), float(weighted @ psi))


def _at_scale_zero(problem: Problem, objective: Objective, theta: Array) -> float:
    """The same where the null fit passes through most rows, whose nu are free.

    The least ``sum w rho*(nu)`` over those nu whose slopes are at most t falls as t grows;
    what is sought is the t at which it comes down to ``kappa W``. There are such nu from the
    t on at which absolute deviations, the limit of the loss at scale 0, have the null fit.
    """
    residual, loss, rows = objective.residuals(theta), problem.loss, objective.rows
    bound, on = loss.conjugate_domain[1], np.abs(residual) <= problem.exact
    if not np.isfinite(bound):
        return 0.0  # the null fit is exact
    nu = np.where(on, 0.0, bound * np.sign(residual))
    room = loss.kappa - objective.coordinates.average(loss.conjugate(nu))
    wanted = -objective.imbalance(theta, nu)
    share = (np.ones(problem.n) if rows.weight is None else rows.weight)[on] / rows.total
    unit = np.append(objective.coordinates.basis / rows.unit, np.zeros(len(wanted) - objective.k))
    positive = np.append(np.full(objective.k, problem.penalty.positive), False)[: len(wanted)]

    def overrun(t: float) -> float:
        nu[on] = least_conjugate(objective, on, share, wanted, Kinks(t * unit, positive))
        return float(share @ loss.conjugate(nu[on])) - room

    overrun(HUGE)
    most = steepest_slope(objective, nu)
    least = bound * least_slope_at_quantile(problem.with_loss(Absolute()))
    above = least * (1.0 + UNSOLVED)  # at ``least`` rounding decides whether there are nu
    if most <= above or overrun(above) <= 0.0:
        return least
    if overrun(most) > 0.0:
        return most
    return float(brentq(overrun, above, most, xtol=ALPHA_ROUNDING * most))

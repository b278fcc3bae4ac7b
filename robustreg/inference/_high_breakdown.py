"""Covariance matrices of S-, MM- and redescending M-estimates: by influence functions.

Such an estimate solves ``sum w psi(z) x = 0``, with z = r / s. The scale s solves an equation of
its own, ``sum w [chi(z0) - b (1 - k / W)] = 0``, whose residuals r0 are those of the S-estimate
that an MM-estimate began at, and the estimate's own where both are estimated together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from robustreg._arrays import Array
from robustreg.estimators import MMRegressor, MRegressor, SRegressor
from robustreg.estimators._subsampling import tuned
from robustreg.evaluation.coordinates import Coordinates
from robustreg.evaluation.moments import Moments, bordered
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Point
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.whitening import whiten_gram
from robustreg.inference._clusters import Terms, by_groups
from robustreg.inference._covariance import POWERS, Bread, Covariance, huber_correction
from robustreg.inference._good_rows import (
    in_good_coordinates,
    point_of,
    problem_of,
    refuse_other_rows,
    share_of,
)
from robustreg.inference._group_numbers import Groups
from robustreg.inference._parts import Asked
from robustreg.inference._r_squared import gaussian_ratio, r_squared
from robustreg.inference._rows import FittedRows
from robustreg.inference._signed_sums import (
    Good,
    Leave,
    Score,
    Solved,
    Start,
    good,
    gram_of_good,
    left_out,
)
from robustreg.inference._sums import LeaveOut
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import expected_rho

# By how much more the negative psi' may take from A than is left of it, and what the moves of
# columns onto their means may leave of their squares: beyond, digits get lost.
MOST_AGAINST, LEAST_LEFT = 10.0, 1e-4


def posed(model: Any, fitted: FittedRows) -> tuple[FittedRows, Start, Solved]:
    """The rows in coordinates for the good ones, what determines the scale, and their sums.

    In the coordinates A is I where that is well conditioned, which takes one pass. They are else
    white for the good rows, and take another: the sums are made anew.
    """
    problem = problem_of(fitted)
    return _by_curvature(model, fitted, problem) or _by_good_rows(model, fitted, problem)


def _by_curvature(
    model: Any, fitted: FittedRows, problem: Problem
) -> tuple[FittedRows, Start, Solved] | None:
    rows = read_rows(problem.observed, problem.fit_intercept)
    solved = rows.sum(Score(_start(model, problem, rows), _own_point(model, problem, rows), None))
    if not (solved.bend > 0.0 and np.isfinite(solved.bread.sum())):
        return None
    before = np.diag(solved.bread)[:-1]
    if rows.fit_intercept:
        mean = solved.bread[-1, :-1] / solved.bend
        solved, rows = solved.about(mean), rows.about(mean)
    if not np.all(np.diag(solved.bread)[:-1] > LEAST_LEFT * before):
        return None
    second, none = Moments(solved.bread), np.zeros(rows.p)
    basis = whiten_gram(second, rows.total, none)
    if basis is None:
        return None
    coordinates = Coordinates(rows, basis, second, none)
    against = coordinates.reduce(coordinates.reduce(solved.against[:-1, :-1]).T)
    if np.linalg.norm(against) > MOST_AGAINST * rows.total:
        return None
    own = replace(
        fitted,
        coordinates=coordinates,
        point=_own_point(model, problem, rows),
        y_unit=problem.y_unit,
        exact=problem.exact,
    )
    return own, _start(model, problem, rows), solved


def _by_good_rows(
    model: Any, fitted: FittedRows, problem: Problem
) -> tuple[FittedRows, Start, Solved]:
    own = in_good_coordinates(
        fitted,
        problem,
        lambda rows: _own_point(model, problem, rows),
        Good(model.loss_),
    )
    start = _start(model, problem, own.rows)
    return own, start, own.rows.sum(Score(start, own.point, own.coordinates.gram_basis))


def _own_point(model: Any, problem: Problem, rows: RowBlocks) -> Point:
    """Where the fit is."""
    return point_of(problem, rows, model.coef_, model.intercept_, _sigma(model, problem))


def _start(model: Any, problem: Problem, rows: RowBlocks) -> Start:
    """What determines the scale of a model."""
    chi, separate = _scale_loss(model)
    point = None
    if separate:
        coef, intercept = model.initial_coef_, model.initial_intercept_
        point = point_of(problem, rows, coef, intercept, _sigma(model, problem))
    return Start(model.loss_, chi, point, int(model.rank_))


def _sigma(model: Any, problem: Problem) -> float:
    return float(model.loss_scale_ / problem.y_unit)


def _scale_loss(model: Any) -> tuple[ResidualLoss | None, bool]:
    """The loss that determines a model's scale, and whether of other residuals than its own."""
    if isinstance(model, SRegressor):
        return model.loss_, False
    if isinstance(model, MMRegressor):
        return tuned(model.loss, breakdown_point=model.breakdown_point), True
    assert isinstance(model, MRegressor)
    if model.scale in ("joint", "s"):
        # that of the S-estimates that MRegressor begins at, whatever its own loss
        return tuned("bisquare", breakdown_point=0.5), model.scale == "s"
    return None, False


def check_equations(model: Any, fitted: FittedRows, start: Start, solved: Solved) -> None:
    """Refuse rows at which the equations of the estimate, and of its scale, do not hold."""
    total = fitted.rows.total
    misses = [share_of(fitted.lead_of(solved.psi), total * solved.psi_square)]
    if start.chi is not None:
        target = expected_rho(start.chi) * (1.0 - start.rank / fitted.total)
        misses.append(abs(solved.chi / total / target - 1.0))
    if start.point is not None:
        misses.append(share_of(fitted.lead_of(solved.chi_slope), total * solved.chi_slope_square))
    refuse_other_rows(model, fitted, max(misses), solved.psi_square)


def covariance_of(
    model: Any, fitted: FittedRows, start: Start, solved: Solved, asked: Asked
) -> Covariance:
    """A covariance matrix of the kind "classical", "HC0" to "HC3", or with groups "CR1", "CR3"."""
    if asked.kind == "classical":
        return by_weights(fitted, start, solved)
    if asked.groups is not None:
        return clustered(fitted, start, solved, asked.kind, asked.groups)
    return stacked(fitted, start, solved, asked.kind)


def by_weights(fitted: FittedRows, start: Start, solved: Solved) -> Covariance:
    """Errors that do not depend on x (Koller and Stahel 2011; robustbase's ``.vcov.w``).

    ``s^2 mean(q) W / (W - k) [mean psi^2 / m^2] K^2 (sum w q x x')^-1`` with robustness weights
    ``q = weights(z) / weights(0)``, ``m = mean psi'`` and ``K = 1 + (k / W) var(psi') / m^2``. The
    regressors count by these weights: rejected ones add nothing to what is known.
    """
    total = fitted.rows.total
    ratio = huber_correction(fitted, start.rank, solved) / (solved.bend / total)
    noise = solved.psi_square / total * ratio**2
    noise *= solved.fit.weight / total * fitted.total / (fitted.total - start.rank)
    bread = Bread.of(gram_of_good(fitted, start.psi), total)
    return Covariance(fitted.scale**2 * noise / fitted.weight_unit * bread.inverse, bread.unknown)


def stacked(fitted: FittedRows, start: Start, solved: Solved, kind: str) -> Covariance:
    """Independent rows, whatever the noise: outer products of influence functions.

    With ``A = sum w psi' x x'``, ``p = sum w psi' z x``, ``c = sum w chi'(z0) x`` (0 unless the
    residuals of the scale are the estimate's own), ``d = sum w chi'(z0) z0``, a row moves estimate
    and scale by s times ``J^-1 [psi x, chi - mean chi]``, where ``J = [[A, p], [c', d]]`` (Croux,
    Dhaene and Hoorelbeke 2003, who expand the products). "HC0" sums their squares; "HC1" to "HC3"
    make up for few rows as in `sandwich`, where the leverage ``h = psi' x' A^-1 x`` is negative for
    rows on their way to rejection.
    """
    derivative = fitted.lead(solved.bread)
    bread = Bread.of(derivative, fitted.rows.total)
    leave_out = LeaveOut.of(fitted, bread.root, POWERS[kind])
    mean = solved.chi / fitted.rows.total
    job = Leave(start, fitted.point, leave_out, mean, fitted.coordinates.basis)
    sums = left_out(fitted, job, bread)
    factor = fitted.scale**2 / fitted.weight_unit
    if kind == "HC1":
        factor *= fitted.total / (fitted.total - start.rank)
    matrix, error = factor * sums.middle, math.nan
    if start.chi is not None:
        inner: Array = derivative @ sums.middle @ derivative
        middle = bordered(inner, sums.crossed, sums.conjugate_square)
        inverse = inverse_derivative(fitted, start, bread, solved)
        matrix = factor * inverse @ middle @ inverse.T
        matrix, error = matrix[:-1, :-1], math.sqrt(matrix[-1, -1])
    return Covariance(matrix, bread.unknown, scale_error=error).resting_on(sums.alone)


def clustered(
    fitted: FittedRows, start: Start, solved: Solved, kind: str, groups: Groups
) -> Covariance:
    """Independent groups of rows: outer products of the sums of their influence functions.

    Of the scores of a group, as they are stacked in `stacked`, those of the coefficients are
    ``A (A - A_g)^-1 s_g`` for "CR3": groups of one row have HC3, and HC1 as "CR1".
    """
    derivative = fitted.lead(solved.bread)
    bread, mean = Bread.of(derivative, fitted.rows.total), solved.chi / fitted.rows.total
    through = None
    if start.chi is not None:
        through = inverse_derivative(fitted, start, bread, solved) @ block_diag(derivative, 1.0)

    terms = _TermsOf(start, fitted.point, mean)
    return by_groups(fitted, bread, terms, kind, groups, start.rank, through, solved.fit.weight)


@dataclass(frozen=True)
class _TermsOf:
    """The terms of rows, where rho of the scale's equation has this mean."""

    start: Start
    point: Point
    mean: float

    def __call__(self, block: Block) -> Terms:
        loss, chi = self.start.psi, self.start.chi
        z, z0 = self.start.residuals(block, self.point)
        beside = None if chi is None else chi.rho(z0)[:, None] - self.mean
        return Terms.of(block, loss.psi(z), loss.psi_prime(z), beside, good(loss, z))


def inverse_derivative(fitted: FittedRows, start: Start, bread: Bread, solved: Solved) -> Array:
    """J^-1."""
    size = fitted.size
    across = bread.inverse @ fitted.lead_of(solved.curve_z)
    back = np.zeros(size)
    if start.point is None:
        back = bread.inverse @ fitted.lead_of(solved.chi_slope)
    corner = solved.lever - float(fitted.lead_of(solved.curve_z) @ back)
    found = np.empty((size + 1, size + 1))
    found[:size, :size] = bread.inverse + np.outer(across, back) / corner
    found[:size, size], found[size, :size] = -across / corner, -back / corner
    found[size, size] = 1.0 / corner
    return found


def explained_by(fitted: FittedRows, start: Start, solved: Solved) -> tuple[float, float, int]:
    """R squared, adjusted R squared, and how many rows have next to no weight.

    Rows count by their robustness weights; the factor ``a = E q(Z) / E[Z^2 q(Z)]`` makes the
    shares those of Gaussian noise (Renaud and Victoria-Feser 2010).
    """
    return r_squared(fitted, start.rank, solved.fit, gaussian_ratio(start.psi))

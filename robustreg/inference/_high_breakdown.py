"""Covariance matrices of S-, MM- and redescending M-estimates: by influence functions.

Such an estimate solves ``sum w psi(z) x = 0``, with z = r / s. The scale s solves an equation of
its own, ``sum w [chi(z0) - b (1 - k / W)] = 0``, whose residuals r0 are those of the S-estimate
that an MM-estimate began at, and the estimate's own where both are estimated together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from robustreg._arrays import Array, Index
from robustreg.estimators import MMRegressor, MRegressor, SRegressor
from robustreg.estimators._subsampling import tuned
from robustreg.evaluation.moments import bordered, weighted_gram
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, slopes_of
from robustreg.inference._clusters import Terms, by_groups
from robustreg.inference._covariance import POWERS, Bread, Covariance, huber_correction
from robustreg.inference._good_rows import (
    in_good_coordinates,
    point_of,
    problem_of,
    refuse_other_rows,
    residuals,
    share_of,
    signed_gram,
)
from robustreg.inference._parts import Asked, Groups
from robustreg.inference._r_squared import gaussian_ratio, r_squared
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Added, Fit, LeaveOut, Middle, explained
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import expected_rho


@dataclass(frozen=True)
class Start:
    """What determines the scale of an estimate.

    Attributes
    ----------
    psi : ResidualLoss
        The loss of the estimate.
    chi : ResidualLoss or None
        The loss whose mean the scale is determined by; None: the scale was given.
    point : Point or None
        Where the residuals of `chi` are those of; None: the estimate's own.
    rank : int
        k, the rank of the regressors.
    """

    psi: ResidualLoss
    chi: ResidualLoss | None
    point: Point | None
    rank: int


@dataclass(frozen=True)
class Solved(Added):
    """The sums that the equations and their derivatives are made of, at z and z0.

    Gram matrices have the shape (q + 1, q + 1) of ``coordinates.of_gram``, slopes (p + 1,).
    """

    bread: Array  # sum w psi' [a, 1][a, 1]'
    psi: Array  # sum w psi [a, 1]
    psi_square: float  # sum w psi^2
    bend: float  # sum w psi'
    bend_square: float  # sum w psi'^2
    fit: Fit
    curve_z: Array  # sum w psi' z [a, 1]
    chi: float  # sum w chi(z0)
    lever: float  # sum w chi'(z0) z0
    chi_slope: Array  # sum w chi'(z0) [a, 1]
    chi_slope_square: float  # sum w chi'(z0)^2


def posed(model: Any, fitted: FittedRows) -> tuple[FittedRows, Start]:
    """The rows in coordinates that are white for the good ones, and what determines the scale."""
    problem = problem_of(fitted)
    sigma, loss = model.loss_scale_ / problem.y_unit, model.loss_
    own = in_good_coordinates(
        fitted,
        problem,
        lambda rows: point_of(problem, rows, model.coef_, model.intercept_, sigma),
        lambda z: _good(loss, z),
    )
    chi, separate = _scale_loss(model)
    point = None
    if separate:
        coef, intercept = model.initial_coef_, model.initial_intercept_
        point = point_of(problem, own.rows, coef, intercept, sigma)
    return own, Start(loss, chi, point, int(model.rank_))


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


def score(fitted: FittedRows, start: Start) -> Solved:
    """The sums of the scores and of their derivatives: one pass over the rows."""
    return fitted.rows.sum(_Score(start, fitted.point, fitted.coordinates.gram_basis))


@dataclass(frozen=True)
class _Score:
    """The job that sums them."""

    start: Start
    point: Point
    basis: Array | None

    def __call__(self, block: Block) -> Solved:
        loss, z = self.start.psi, residuals(block, self.point)
        psi, bend = loss.psi(z), loss.psi_prime(z)
        own, curve = block.weighted(psi), block.weighted(bend)
        z0 = _of_scale(self.start, block, z)
        slope = np.zeros(len(z)) if self.start.chi is None else self.start.chi.psi(z0)
        steep = block.weighted(slope)
        return Solved(
            bread=signed_gram(block, curve, self.basis),
            psi=slopes_of(block, own),
            psi_square=float(own @ psi),
            bend=float(curve.sum()),
            bend_square=float(curve @ bend),
            fit=explained(block, _good(loss, z), self.point.sigma * z),
            curve_z=slopes_of(block, curve * z),
            chi=float(block.weighted(_chi(self.start, z0)).sum()),
            lever=float(steep @ z0),
            chi_slope=slopes_of(block, steep),
            chi_slope_square=float(steep @ slope),
        )


def _of_scale(start: Start, block: Block, z: Array) -> Array:
    """The residuals z0 of the scale of a block."""
    return z if start.point is None else residuals(block, start.point)


def _chi(start: Start, z0: Array) -> Array:
    """``chi(z0)``; 0 where the scale was given."""
    return np.zeros(len(z0)) if start.chi is None else start.chi.rho(z0)


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
    total, loss, basis = fitted.rows.total, start.psi, fitted.coordinates.gram_basis

    def gram_of(block: Block) -> Array:
        q = _good(loss, residuals(block, fitted.point))
        return weighted_gram(block.reading, block.X, block.weighted(q), basis)

    ratio = huber_correction(fitted, start.rank, solved) / (solved.bend / total)
    noise = solved.psi_square / total * ratio**2
    noise *= solved.fit.weight / total * fitted.total / (fitted.total - start.rank)
    bread = Bread.of(fitted.lead(fitted.rows.sum(gram_of)), total)
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
    sums = fitted.rows.sum(_Leave.of(fitted, start, solved, leave_out)).lifted(leave_out.lift)
    factor = fitted.scale**2 / fitted.weight_unit
    if kind == "HC1":
        factor *= fitted.total / (fitted.total - start.rank)
    matrix, error = factor * sums.middle, math.nan
    if start.chi is not None:
        inner: Array = derivative @ sums.middle @ derivative
        middle = bordered(inner, fitted.lead_of(sums.crossed), sums.conjugate_square)
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
    derivative, loss = fitted.lead(solved.bread), start.psi
    bread = Bread.of(derivative, fitted.rows.total)
    z = fitted.rows.collect(lambda block: residuals(block, fitted.point))
    through = beside = None
    if start.chi is not None:
        chi = fitted.rows.collect(
            lambda block: _chi(start, _of_scale(start, block, residuals(block, fitted.point)))
        )
        beside = chi[:, None] - solved.chi / fitted.rows.total
        through = inverse_derivative(fitted, start, bread, solved) @ block_diag(derivative, 1.0)
    good = _good(loss, z)
    terms = Terms.of(fitted, loss.psi(z), loss.psi_prime(z), beside, good)
    return by_groups(fitted, bread, terms, kind, groups, start.rank, through)


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


@dataclass(frozen=True)
class _Leave:
    """The job that sums squares of scores, of which psi is divided by a power of 1 - h."""

    start: Start
    point: Point
    leave_out: LeaveOut
    mean: float  # of chi
    basis: Array  # (p, k) of the rows that count
    good: float  # sum of the robustness weights

    @classmethod
    def of(cls, fitted: FittedRows, start: Start, solved: Solved, leave_out: LeaveOut) -> _Leave:
        mean, good = solved.chi / fitted.rows.total, solved.fit.weight * fitted.weight_unit
        return cls(start, fitted.point, leave_out, mean, fitted.coordinates.basis, good)

    def __call__(self, block: Block) -> Middle:
        z, loss = residuals(block, self.point), self.start.psi
        psi = loss.psi(z)

        def own(index: Index) -> Array:
            """Leverages among the rows that count, in whose coordinates these are white."""
            q = block.reading.centred(block.X, index) @ self.basis
            counts = _good(loss, z[index])
            one = float(block.reading.fit_intercept)
            return counts * (one + np.einsum("ij,ij->i", q, q)) / self.good

        share, middle, alone = self.leave_out(block, psi, loss.psi_prime(z), own)
        if self.start.chi is None:
            return Middle(middle, np.zeros(block.reading.p + 1), 0.0, alone)
        chi = _chi(self.start, _of_scale(self.start, block, z)) - self.mean
        weighted = block.weighted(chi)
        square = float(weighted @ chi)
        share *= psi
        share *= weighted
        return Middle(middle, slopes_of(block, share), square, alone)


def explained_by(fitted: FittedRows, start: Start, solved: Solved) -> tuple[float, float, int]:
    """R squared, adjusted R squared, and how many rows have next to no weight.

    Rows count by their robustness weights; the factor ``a = E q(Z) / E[Z^2 q(Z)]`` makes the
    shares those of Gaussian noise (Renaud and Victoria-Feser 2010).
    """
    return r_squared(fitted, start.rank, solved.fit, gaussian_ratio(start.psi))


def _good(loss: ResidualLoss, z: Array) -> Array:
    """Robustness weights, 1 at most."""
    weights = loss.weights(z)
    weights /= float(loss.weights(0.0))
    return weights

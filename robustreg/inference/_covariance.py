"""Covariance matrices of the coefficients of smooth convex fits: algebra of a few sums.

Scores are ``psi(z) x`` with z = r / s, A = sum w psi' x x', Q = sum w x x', k the rank, W the sum
of the weights, which count rows. Everything is in coordinates in which the regressors are
orthonormal, in units of y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.factors import eigh, inverse_root, least_pivot
from robustreg.evaluation.moments import bordered
from robustreg.inference._least_squares import LeastSquares
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Leave, LeaveOut, Score, Scored

# Share of the curvature of all rows below which a direction has none, the rows in the centre of the
# loss being too few.
NO_CURVATURE = 1e-10

# Reciprocal condition number from which on no direction is near that, and eigenvalues, which take
# four times as long as a Cholesky factor, need not be looked at.
WELL = 1e-4

MOST_MISSED = 0.9  # of the curvature of all rows: more would lose more than a digit of the rest

POWERS = {"HC0": 0.0, "HC1": 0.0, "HC2": 0.5, "HC3": 1.0}


@dataclass(frozen=True)
class Covariance:
    """A covariance matrix of K coordinates, and where it says nothing.

    Attributes
    ----------
    matrix : ndarray of shape (K, K)
        The matrix, in squared units of y.
    unknown : ndarray of shape (K, d)
        Directions along which the estimate moves by an amount that is not known.
    alone : tuple of int
        Rows that the fit cannot do without, which is why.
    scale_error : float
        Standard error of a joint scale; NaN where there is none.
    df : float or None
        Degrees of freedom of t; None: as many as rows less coefficients.
    """

    matrix: Array
    unknown: Array
    alone: tuple[int, ...] = ()
    scale_error: float = math.nan
    df: float | None = None

    def resting_on(self, alone: Sequence[tuple[int, Array]]) -> Covariance:
        """The same, unknown along what rows move that the fit cannot do without."""
        moved = [row for _, row in alone]
        rows = tuple(index for index, _ in alone)
        return replace(self, unknown=np.column_stack([self.unknown, *moved]), alone=rows)


@dataclass(frozen=True)
class Bread:
    """The derivative A of the estimating equations, inverted where it can be."""

    inverse: Array  # (K, K)
    root: Array  # (K, d) R with R R' the inverse
    unknown: Array  # (K, K - d) directions without curvature

    @classmethod
    def of(cls, matrix: Array, total: float) -> Bread:
        """Invert a matrix whose eigenvalues are shares of `total`, or 0."""
        root = inverse_root(matrix, WELL) if len(matrix) else None
        if root is not None:
            return cls(root @ root.T, root, np.zeros((len(matrix), 0)))
        values, vectors = eigh(matrix / total, graded=False)
        kept = values > NO_CURVATURE * max(float(values.max(initial=0.0)), 1e-300)
        root = vectors[:, kept] / np.sqrt(values[kept] * total)
        return cls(root @ root.T, root, vectors[:, ~kept])


def score(fitted: FittedRows, kind: str = "") -> Scored:
    """The sums of the scores and of their derivatives: one pass over the rows.

    It brings what `sandwich` sums for a kind, too, where A is known before, as of least squares.
    """
    if kind in POWERS and fitted.loss.homogeneity == 2:
        every, k = fitted.every, fitted.coordinates.k
        root = Bread.of(every[:k, :k], fitted.rows.total).root
        own = 1.0 / float(every[k, k]) if fitted.has_intercept else 0.0  # at the means: apart
        job = LeastSquares.of(fitted, root, own, POWERS[kind])
        sums = fitted.rows.sum(job)
        lift = job.leave_out.lift
        return replace(sums, psi=every @ lift @ sums.psi, left=sums.left.lifted(lift))
    basis, kappa = fitted.coordinates.gram_basis, fitted.loss.kappa if fitted.joint else 0.0
    scores = Score(fitted.loss, fitted.point, basis, kappa, None)
    sums = _from_every(fitted, scores) or fitted.rows.sum(scores)
    return replace(sums, psi=fitted.lead_of(sums.psi))


def _from_every(fitted: FittedRows, scores: Score) -> Scored | None:
    """The sums of scores where psi' is constant between kinks, from those of all rows.

    Most rows are in the centre of the loss, and A is the Gram matrix of all rows less what the
    others miss. None where that does not apply, or would lose digits.
    """
    own, loss = fitted.coordinates, fitted.loss
    if loss.smoothness >= 2 or loss.homogeneity == 2 or own.by_rows or own.moments is None:
        return None
    sums = fitted.rows.sum(replace(scores, most=loss.curvature))
    most = MOST_MISSED * loss.curvature * fitted.rows.total  # where all rows have I
    if not least_pivot(most * np.eye(fitted.size) - fitted.lead(sums.bread)) > 0.0:
        return None
    return replace(sums, bread=loss.curvature * own.moments.gram - sums.bread)


def slope_of_equations(fitted: FittedRows, scored: Scored) -> Array:
    """``A = sum w psi' x x'`` in the K coordinates."""
    if scored.bread.size:
        return fitted.lead(scored.bread)
    return scored.bend / fitted.rows.total * fitted.every


class Bends(Protocol):
    """Sums of psi' over rows."""

    @property
    def bend(self) -> float:
        """``sum w psi'``."""

    @property
    def bend_square(self) -> float:
        """``sum w psi'^2``."""


def huber_correction(fitted: FittedRows, rank: int, sums: Bends) -> float:
    """``K = 1 + (k / W) var(psi') / m^2`` with ``m = mean psi'`` (Huber 1973)."""
    bend = sums.bend / fitted.rows.total
    variance = max(sums.bend_square / fitted.rows.total - bend * bend, 0.0)
    return 1.0 + rank / fitted.total * variance / bend**2


def classical(fitted: FittedRows, scored: Scored) -> Covariance:
    """Errors that do not depend on x (Huber 1973; 1981, section 7.6).

    ``s^2 K^2 [sum w psi^2 / (W - k)] / m^2 Q^-1`` with ``m = sum w psi' / W`` and the K of
    `huber_correction`; of least squares K and m are 1.
    """
    total, rank = fitted.rows.total, fitted.size
    ratio = huber_correction(fitted, rank, scored) / (scored.bend / total)
    noise = scored.psi_square / (fitted.total - rank) * ratio**2
    bread = Bread.of(fitted.every, total)
    return Covariance(fitted.scale**2 * noise * bread.inverse, bread.unknown)


def sandwich(fitted: FittedRows, scored: Scored, kind: str) -> Covariance:
    """Independent rows, whatever the noise (White 1980; MacKinnon and White 1985).

    ``s^2 A^-1 [sum w f^2 psi^2 x x'] A^-1``, with f = 1 (HC0), f^2 = W / (W - k) (HC1), and of the
    leverage ``h = psi' x' A^-1 x`` of one Newton step ``1 / sqrt(1 - h)`` (HC2) and ``1 / (1 - h)``
    (HC3), which is the jackknife to second order. Of a joint scale the equations are stacked with
    the scale's, ``sum w [rho*(psi) - kappa] = 0`` (Stefanski and Boos 2002).
    """
    derivative = slope_of_equations(fitted, scored)
    bread = Bread.of(derivative, fitted.rows.total)
    sums = scored.left
    if not sums.middle.size:
        kappa = fitted.loss.kappa if fitted.joint else 0.0
        leave_out = LeaveOut.of(fitted, bread.root, POWERS[kind])
        sums = fitted.rows.sum(Leave(fitted.loss, fitted.point, kappa, leave_out))
        sums = sums.lifted(leave_out.lift)
    factor = fitted.scale**2 / fitted.weight_unit
    if kind == "HC1":
        factor *= fitted.total / (fitted.total - fitted.size)
    if fitted.joint:
        curve, crossed = fitted.lead_of(scored.curve_z), fitted.lead_of(sums.crossed)
        own = Bread.of(bordered(derivative, curve, scored.curve_zz), fitted.rows.total)
        inner: Array = derivative @ sums.middle @ derivative
        middle = bordered(inner, crossed, sums.conjugate_square)
        matrix = factor * own.inverse @ middle @ own.inverse
        error = math.sqrt(max(matrix[-1, -1], 0.0))
        found = Covariance(matrix[:-1, :-1], own.unknown[:-1], scale_error=error)
    else:
        found = Covariance(factor * sums.middle, bread.unknown)
    return found.resting_on(sums.alone)

"""Covariance matrices of quantile fits, those of the median among them.

With the quantile tau, residuals r of the fit, weights w that count rows, their sum W, and
``Q = sum w x x'``. Everything is in coordinates in which the regressors are orthonormal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import qr

from robustreg._arrays import SUMMED, Array
from robustreg._linalg.factors import eigh
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.order_statistics import Target, order_statistics
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, residual_of
from robustreg.inference._clusters import Grouped, Terms
from robustreg.inference._covariance import Bread, Covariance
from robustreg.inference._group_numbers import Groups
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Added
from robustreg.inference.quantiles._density import (
    BOFINGER,
    Density,
    kernel_density,
    nid_densities,
    sparsity,
)
from robustreg.losses import ConvexLoss

QUANTILE_KINDS = ("iid", "nid", "kernel", "cluster")
OFF_OBJECTIVE, OFF_SINGLE = 1e-8, 1e-3  # by which the objective may be off, in float32
ROUNDING = 1e-13  # of the largest eigenvalue: what rounding leaves of 0


@dataclass(frozen=True)
class Dense(Added):
    """Sums over the rows by their densities f."""

    gram: Array  # sum w f [a, 1][a, 1]'
    count: int  # rows with a density


@dataclass(frozen=True)
class SumDense:
    """The job that makes them."""

    density: Density
    basis: Array | None  # of the coordinates that Gram matrices are summed in; None: the columns

    def __call__(self, block: Block) -> Dense:
        f = self.density(block)
        gram = weighted_gram(block.reading, block.X, block.weighted(f), self.basis)
        return Dense(gram, int(np.count_nonzero(f)))


@dataclass(frozen=True)
class LossOf:
    """The job that sums the loss of a constant, in units of the largest weight."""

    loss: ConvexLoss
    constant: float
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> float:
        return float(block.weighted(self.loss.rho(block.target - self.constant)).sum())


@dataclass(frozen=True)
class Joint:
    """Covariances of the K coordinates of several fits: ``share[s, t] root[s] root[t]'``.

    Attributes
    ----------
    share : ndarray of shape (m, m)
        What scores of two fits have in common.
    root : ndarray of shape (m, K, d)
        In units of y.
    """

    share: Array
    root: Array

    @classmethod
    def of(cls, matrix: Array) -> Joint:
        """From the matrices themselves, shape (m, m, K, K)."""
        m, _, size, _ = matrix.shape
        values, vectors = eigh(matrix.swapaxes(1, 2).reshape(m * size, m * size))
        kept = values > ROUNDING * max(float(values.max(initial=0.0)), 0.0)
        root = vectors[:, kept] * np.sqrt(values[kept])
        return cls(np.ones((m, m)), root.reshape(m, size, -1))

    def matrix(self, s: int, t: int) -> Array:
        """The covariances of two fits, shape (K, K)."""
        return self.share[s, t] * (self.root[s] @ self.root[t].T)

    def spread(self, combinations: Array) -> Array:
        """A root of the covariances of combinations (q, m, K) of all coordinates, shape (q, d)."""
        values, vectors = eigh(self.share)
        kept = values > ROUNDING * values[-1]
        half = vectors[:, kept] * np.sqrt(values[kept])
        each = [combinations[:, index] @ own for index, own in enumerate(self.root)]
        both: Array = np.einsum("su,sqd->qud", half, np.stack(each))
        return both.reshape(len(combinations), -1)


def check_objective(fitted: FittedRows, objective: float, name: str, single: bool = False) -> None:
    """Refuse rows at which the objective is not that of the fit.

    ``single`` says that the coefficients are in single precision.

    Raises
    ------
    ValueError
        If they are not the rows of the fit.
    """
    found = fitted.weight_unit * fitted.noise.loss / fitted.total * fitted.y_unit
    allowed = (OFF_SINGLE if single else OFF_OBJECTIVE) * objective
    if not abs(found - objective) <= allowed + fitted.zero_size * fitted.y_unit:
        raise ValueError(
            f"X, y and sample_weight are not the rows that {name} was fitted to: its objective is "
            f"{found:.10g} there, and was {objective:.10g}."
        )


def check_noise(fitted: FittedRows, scale: float) -> None:
    """Refuse fits without noise: ``scale_`` is 0 if most rows are on the fit.

    Raises
    ------
    ValueError
        If it is.
    """
    if scale > 0.0:
        return
    raise ValueError(
        f"The fit passes through {fitted.noise.n_zero} of {fitted.rows.n} rows exactly; there is "
        "no noise to judge it by."
    )


def quantile_covariance(
    fitted: FittedRows,
    tau: float,
    kind: str,
    *,
    groups: Groups | None = None,
    rule: str = BOFINGER,
    density: Density | None = None,
) -> Covariance:
    """The covariance matrix of a quantile fit, by `joint_covariance`."""
    densities = None if density is None else [density]
    joint = joint_covariance([fitted], [tau], kind, groups=groups, rule=rule, densities=densities)
    return covariance_of(joint, 0, groups, np.zeros((fitted.size, 0)))


def covariance_of(
    joint: Joint,
    index: int,
    groups: Groups | None,
    unknown: Array,
    alone: tuple[int, ...] = (),
) -> Covariance:
    """That of one fit among several; of groups, t has as many degrees of freedom less one."""
    df = None if groups is None else groups[1] - 1.0
    return Covariance(joint.matrix(index, index), unknown, alone, df=df)


def joint_covariance(
    fits: Sequence[FittedRows],
    taus: Sequence[float],
    kind: str,
    *,
    groups: Groups | None = None,
    rule: str = BOFINGER,
    densities: Sequence[Density] | None = None,
) -> Joint:
    """Covariances of the coefficients of several quantiles with each other.

    Of two quantiles s and t they are ``(min(s, t) - s t) B_s Q B_t'`` with ``Q = sum w x x'`` and
    ``B = (sum w f x x')^-1`` (Koenker and Bassett 1982), of one ``t (1 - t) B Q B``.

    Parameters
    ----------
    fits : sequence of FittedRows
        The same rows, in the same coordinates, at the fit of each quantile.
    taus : sequence of float
        The quantiles.
    kind : {"iid", "nid", "kernel", "cluster"}
        "iid": noise that does not depend on x, one over whose density f is `sparsity` (Koenker and
        Bassett 1978). "nid": densities f by `nid_densities`; "kernel": by `kernel_density`.
        "cluster": ``B_s [sum_g s_g t_g'] B_t'`` with the B of "nid" and the scores
        ``sum w x (tau - 1(r < 0))`` of groups (Parente and Santos Silva 2016).
    groups : tuple of ndarray and int, default=None
        Numbers from 0 of the groups of the rows, and how many there are, for "cluster".
    rule : {"bofinger", "hall-sheather"}, default="bofinger"
        The bandwidth.
    densities : sequence of callable, default=None
        The densities of each quantile, where they are known, of the rows of a block.

    Returns
    -------
    Joint
        In the K coordinates.

    Raises
    ------
    ValueError
        If there is no noise next to a fit, or too few rows with a density.
    """
    first, levels = fits[0], np.asarray(taus, dtype=np.float64)
    every = first.every
    breads = _breads(fits, taus, kind, rule, densities, every)
    if groups is not None:
        pairs = zip(fits, taus, breads, strict=True)
        steps = np.stack([b @ _scores_of_groups(fit, tau, groups).T for fit, tau, b in pairs])
        return Joint(np.ones((len(fits), len(fits))), first.y_unit * _narrow(steps))
    unit = first.y_unit / math.sqrt(first.weight_unit)
    half = np.linalg.cholesky(every)
    share = np.minimum.outer(levels, levels) - np.outer(levels, levels)
    return Joint(share, unit * np.stack([bread @ half for bread in breads]))


def r_one(fitted: FittedRows, tau: float) -> float:
    """Koenker and Machado's (1999) share of what is explained, ``R1 = 1 - V / V_0``.

    V is the sum of the check loss, ``V_0`` that of the best constant, or of 0 without an intercept.
    """
    constant = 0.0
    if fitted.has_intercept:
        ranks = np.array([(tau - SUMMED) * fitted.rows.total])
        constant = float(order_statistics(fitted.rows, Target(), ranks)[0])
    before = fitted.rows.sum(LossOf(fitted.loss, constant))
    return 1.0 - fitted.noise.loss / before if before > 0.0 else math.nan


def _breads(
    fits: Sequence[FittedRows],
    taus: Sequence[float],
    kind: str,
    rule: str,
    densities: Sequence[Density] | None,
    every: Array,
) -> list[Array]:
    """The B of each fit, in units of the blocks and of the largest weight."""
    total, pairs = fits[0].rows.total, list(zip(fits, taus, strict=True))
    if kind == "iid":
        inverse = Bread.of(every, total).inverse
        return [inverse * sparsity(fit, tau, rule) for fit, tau in pairs]
    if densities is None and kind == "kernel":
        densities = [kernel_density(fit, tau, rule) for fit, tau in pairs]
    elif densities is None:
        densities = nid_densities(fits[0], taus, rule)
    breads = []
    for density in densities:
        dense = fits[0].rows.sum(SumDense(density, fits[0].coordinates.gram_basis))
        bread = Bread.of(fits[0].lead(dense.gram), total)
        if bread.unknown.shape[1]:
            raise _too_few(kind, dense.count, fits[0].rows.n)
        breads.append(bread.inverse)
    return breads


def _narrow(steps: Array) -> Array:
    """Roots (m, K, d) of the same products, with d no larger than it must be."""
    m, size, d = steps.shape
    if d <= m * size:
        return steps
    factor: Array = qr(steps.reshape(m * size, d).T, mode="r", check_finite=False)[0]
    return factor[: m * size].T.reshape(m, size, m * size)


def _scores_of_groups(fitted: FittedRows, tau: float, groups: Groups) -> Array:
    """``sum w x (tau - 1(r < 0))`` of the rows of every group, in the K coordinates.

    Rows that the fit passes through are half above it and half below: of ``-y`` the quantile
    ``1 - tau`` has the same errors. Weights w are in units of the largest.
    """
    terms = _Signs(tau, fitted.zero_size, fitted.point)
    rows = Grouped.of(fitted, terms, np.eye(fitted.size), groups, with_shares=False)
    return np.vstack([sums.scores for sums in rows.sums()])


@dataclass(frozen=True)
class _Signs:
    """The terms ``tau - 1(r < 0)`` of rows, in which sizes up to `exact` are 0."""

    tau: float
    exact: float
    point: Point

    def __call__(self, block: Block) -> Terms:
        r = residual_of(block, self.point.beta, self.point.intercept)
        return Terms.of(block, self.tau - 0.5 * (r < -self.exact) - 0.5 * (r <= self.exact))


def _too_few(kind: str, count: int, n: int) -> ValueError:
    other = {"kernel": "'iid', 'nid'", "cluster": ""}.get(kind, "'iid', 'kernel'")
    return ValueError(
        f"covariance={kind!r} does not exist here: {count} of {n} rows have a density next to the "
        f"fit, which do not determine all coefficients. Take covariance={other}"
        f"{' or ' if other else ''}'bootstrap'."
    )

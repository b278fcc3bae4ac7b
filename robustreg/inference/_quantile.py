"""Covariance matrices of quantile fits, those of the median among them.

With the quantile tau, residuals r of the fit, weights w that count rows, their sum W, and
``Q = sum w x x'``. Everything is in coordinates in which the regressors are orthonormal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from robustreg._arrays import SUMMED, Array
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.reading import Block
from robustreg.inference._covariance import Bread, Covariance
from robustreg.inference._density import (
    BOFINGER,
    exact_size,
    kernel_density,
    nid_density,
    residuals_of,
    sparsity,
    weights_of,
)
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Added
from robustreg.losses import Quantile

QUANTILE_KINDS = ("iid", "nid", "kernel", "cluster")
OFF_OBJECTIVE, OFF_SINGLE = 1e-8, 1e-3  # by which the objective may be off, in float32

Groups = tuple[NDArray[np.intp], int]


@dataclass(frozen=True)
class Grams(Added):
    """Gram matrices of the regressors, as they are summed over rows."""

    dense: Array  # sum w f [a, 1][a, 1]'
    every: Array  # sum w [a, 1][a, 1]'


@dataclass(frozen=True)
class Weigh:
    """The job that sums Gram matrices, with and without the densities f of the rows."""

    density: Array  # (n,)
    basis: Array | None

    def __call__(self, block: Block) -> Grams:
        own = self.density[block.place]
        weight = own if block.weight is None else block.weight * own
        return Grams(
            weighted_gram(block.reading, block.X, weight, self.basis),
            weighted_gram(block.reading, block.X, block.weight, self.basis),
        )


@dataclass(frozen=True)
class ByGroup:
    """The job that sums ``v [a, 1]`` over the rows of every group, shape (groups, p + 1)."""

    values: Array  # (n,) v
    groups: Groups

    def __call__(self, block: Block) -> Array:
        own, (numbers, count) = self.values[block.place], self.groups
        place = (numbers[block.place], np.arange(len(own)))
        pick = sparse.csr_matrix((own, place), shape=(count, len(own)))
        total = np.bincount(place[0], own, minlength=count)
        sums = pick @ block.X
        inner = sums.toarray() if sparse.issparse(sums) else sums
        return np.column_stack([inner - np.outer(total, block.reading.offset), total])


def check_objective(fitted: FittedRows, objective: float, name: str, single: bool = False) -> None:
    """Refuse rows at which the objective is not that of the fit.

    ``single`` says that the coefficients are in single precision.

    Raises
    ------
    ValueError
        If they are not the rows of the fit.
    """
    values, w = fitted.loss.rho(residuals_of(fitted)), weights_of(fitted)
    found = float(w @ values) / fitted.total * fitted.y_unit
    allowed = (OFF_SINGLE if single else OFF_OBJECTIVE) * objective
    if not abs(found - objective) <= allowed + exact_size(fitted) * fitted.y_unit:
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
    on_fit = np.abs(residuals_of(fitted)) <= exact_size(fitted)
    raise ValueError(
        f"The fit passes through {int(on_fit.sum())} of {fitted.rows.n} rows exactly; there is no "
        "noise to judge it by."
    )


def quantile_covariance(
    fitted: FittedRows,
    tau: float,
    kind: str,
    *,
    groups: Groups | None = None,
    rule: str = BOFINGER,
    density: Array | None = None,
) -> Covariance:
    """The covariance matrix of a quantile fit.

    Parameters
    ----------
    fitted : FittedRows
        The rows and the fit.
    tau : float
        Its quantile.
    kind : {"iid", "nid", "kernel", "cluster"}
        "iid": noise that does not depend on x, ``tau (1 - tau) s^2 Q^-1`` with ``Q = sum w x x'``
        and the sparsity s (Koenker and Bassett 1978). "nid": ``tau (1 - tau) B Q B`` with
        ``B = (sum w f x x')^-1`` and densities f by `nid_density`; "kernel": the same by
        `kernel_density`. "cluster": ``B [sum_g s_g s_g'] B`` with the B of "nid" and the scores
        ``s_g = sum w x (tau - 1(r < 0))`` of groups (Parente and Santos Silva 2016).
    groups : tuple of ndarray and int, default=None
        Numbers from 0 of the groups of the rows, and how many there are, for "cluster".
    rule : {"bofinger", "hall-sheather"}, default="bofinger"
        The bandwidth.
    density : ndarray of shape (n,), default=None
        The densities, where they are known.

    Returns
    -------
    Covariance
        In the K coordinates.

    Raises
    ------
    ValueError
        If there is no noise next to the fit, or too few rows with a density.
    """
    bread, every = _bread(fitted, tau, kind, rule, density)
    if groups is None:
        middle = tau * (1.0 - tau) * fitted.y_unit**2 / fitted.weight_unit * every
    else:
        scores = _scores_of_groups(fitted, tau, groups)
        middle = (fitted.y_unit / fitted.weight_unit) ** 2 * (scores.T @ scores)
    return Covariance(bread.inverse @ middle @ bread.inverse, bread.unknown)


def joint_covariance(
    fits: Sequence[FittedRows], taus: Sequence[float], kind: str, *, rule: str = BOFINGER
) -> Array:
    """Covariances of the coefficients of several quantiles with each other.

    ``(min(t, t') - t t') B_t Q B_t'`` of two quantiles t and t' (Koenker and Bassett 1982).

    Parameters
    ----------
    fits : sequence of FittedRows
        The same rows, in the same coordinates, at the fit of each quantile.
    taus : sequence of float
        The quantiles.
    kind : {"iid", "nid", "kernel"}
        As for `quantile_covariance`.
    rule : {"bofinger", "hall-sheather"}, default="bofinger"
        The bandwidth.

    Returns
    -------
    ndarray of shape (n_quantiles, n_quantiles, K, K)
        In squared units of y.
    """
    found = [_bread(fit, tau, kind, rule, None) for fit, tau in zip(fits, taus, strict=True)]
    breads = np.stack([bread.inverse for bread, _ in found])
    levels = np.asarray(taus, dtype=np.float64)
    both = np.minimum.outer(levels, levels) - np.outer(levels, levels)
    unit = fits[0].y_unit ** 2 / fits[0].weight_unit
    every: Array = found[0][1]
    return unit * np.einsum("st,sij,jk,tkl->stil", both, breads, every, breads, optimize=True)


def r_one(fitted: FittedRows, tau: float) -> float:
    """Koenker and Machado's (1999) share of what is explained, ``R1 = 1 - V / V_0``.

    V is the sum of the check loss, ``V_0`` that of the best constant, or of 0 without an intercept.
    """
    loss, w = Quantile(tau), weights_of(fitted)
    y, constant = fitted.rows.y, 0.0
    if fitted.has_intercept:
        order = np.argsort(y, kind="stable")
        cumulated = np.cumsum(w[order])
        at = np.searchsorted(cumulated, tau * fitted.total - SUMMED * fitted.total)
        constant = float(y[order[min(int(at), len(y) - 1)]])
    before = float(w @ loss.rho(y - constant))
    return 1.0 - float(w @ loss.rho(residuals_of(fitted))) / before if before > 0.0 else math.nan


def _bread(
    fitted: FittedRows, tau: float, kind: str, rule: str, density: Array | None
) -> tuple[Bread, Array]:
    """B and Q, in units of the blocks and of the largest weight."""
    own, total = fitted.coordinates, fitted.rows.total
    if kind == "iid":
        density = np.full(fitted.rows.n, 1.0 / sparsity(fitted, tau, rule))
    elif density is None:
        find = kernel_density if kind == "kernel" else nid_density
        density = find(fitted, tau, rule)
    sums = fitted.rows.sum(Weigh(density, own.gram_basis))
    bread = Bread.of(fitted.lead(sums.dense), total)
    if bread.unknown.shape[1]:
        raise _too_few(kind, density)
    return bread, fitted.lead(sums.every)


def _scores_of_groups(fitted: FittedRows, tau: float, groups: Groups) -> Array:
    """``sum w x (tau - 1(r < 0))`` of the rows of every group, in the K coordinates."""
    below = residuals_of(fitted) < -exact_size(fitted)
    sums = fitted.rows.sum(ByGroup(weights_of(fitted) * (tau - below), groups))
    inner = fitted.coordinates.reduce(sums[:, :-1])
    return np.column_stack([inner, sums[:, -1]])[:, : fitted.size]


def _too_few(kind: str, density: Array) -> ValueError:
    other = "nid" if kind == "kernel" else "kernel"
    return ValueError(
        f"covariance={kind!r} does not exist here: {int(np.sum(density > 0.0))} of {len(density)} "
        "rows have a density, which do not determine all coefficients. Take "
        f"covariance={other!r} or 'bootstrap'."
    )

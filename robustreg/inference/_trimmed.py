"""Covariance matrices of reweighted least trimmed squares.

Least squares on the rows within reach of a raw fit move with these rows, and with the raw fit that
has chosen them, which a fit to h of them is. With ``Q = sum w 1(kept) x x'`` a row moves the
estimate by (Welsh and Ronchetti 2002; Johansen and Nielsen 2016)

    Q^-1 [r 1(kept) + B r0 1(one of the h)] x,    B = 2 c phi(c) / (a v)

where c is the reach in scales of Gaussian noise, a = h / W, and a v its squares up to their
a-quantile, ``a v = E[Z^2; |Z| <= q]``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robustreg._arrays import SUMMED, Array, Mask
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.order_statistics import Deviation, order_statistics
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Point, slopes_of
from robustreg.evaluation.units import EXACT
from robustreg.inference._clusters import Terms, by_groups
from robustreg.inference._covariance import POWERS, Bread, Covariance
from robustreg.inference._good_rows import (
    in_good_coordinates,
    point_of,
    problem_of,
    refuse_other_rows,
    residuals,
    share_of,
)
from robustreg.inference._group_numbers import Groups
from robustreg.inference._parts import Asked
from robustreg.inference._r_squared import r_squared
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Added, Fit, LeaveOut, Middle, explained
from robustreg.subsampling.trimming import CUTOFF, CUTOFF_SHARE, trimmed_variance

# Of the normal density at the reach: 2 c phi(c), what the kept share of the squares lacks.
EDGE = 2.0 * CUTOFF * math.exp(-0.5 * CUTOFF * CUTOFF) / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Within:
    """What gives 1 to rows within a reach, and 0 to others."""

    reach: float

    def __call__(self, raw: Array) -> Array:
        return (np.abs(raw) <= self.reach).astype(np.float64)


@dataclass(frozen=True)
class Edge:
    """The largest of the h smallest residuals, up to rounding, and the share of those that tie."""

    size: float
    rounding: float
    tied: float = 1.0

    def of(self, raw: Array) -> tuple[Mask, Mask]:
        """Which rows are below it, and which tie for the last places."""
        size = np.abs(raw)
        below = size < self.size - self.rounding
        return below, ~below & (size <= self.size + self.rounding)

    def __call__(self, raw: Array) -> Array:
        """Shares of rows in the raw fit: 1 for those chosen, and less for those that tie."""
        below, tied = self.of(raw)
        return below + tied * self.tied


@dataclass(frozen=True)
class Trimmed:
    """The rows that a least trimmed squares fit and its raw fit are made of.

    Attributes
    ----------
    raw : Point
        The raw fit.
    reach : float
        How far from it rows are kept.
    edge : Edge
        Which are the h of the smallest residuals.
    squares : float
        The sum of their squared residuals from it, in squared units of y.
    covered : float
        a = h / W.
    rank : int
        k, the rank of the regressors.
    """

    raw: Point
    reach: float
    edge: Edge
    squares: float
    covered: float
    rank: int

    def kept(self, raw: Array) -> Array:
        """1 for rows within reach of the raw fit, else 0, from their residuals there."""
        return Within(self.reach)(raw)

    @property
    def pull(self) -> float:
        """B: how the estimate follows the raw fit, relative to how this follows its rows."""
        return EDGE / self.trimmed

    @property
    def trimmed(self) -> float:
        """``a v``: the mean of squares of Gaussian noise up to their a-quantile, others as 0."""
        return self.covered * trimmed_variance(self.covered)


def check_reweighted(model: Any) -> None:
    """Refuse a raw fit, whose errors are not known well enough."""
    if not model.reweight:
        raise ValueError(
            "There are no standard errors for LTSRegressor(reweight=False): they converge too "
            "slowly to be of use. Fit with reweight=True, or take MMRegressor."
        )


def posed(model: Any, fitted: FittedRows) -> tuple[FittedRows, Trimmed, Kept]:
    """The rows in coordinates that are white for those kept, which these are, and their sums."""
    problem = problem_of(fitted)
    exact = problem.exact or EXACT
    reach = max(CUTOFF * model.raw_scale_ / problem.y_unit, exact)
    own = in_good_coordinates(
        fitted,
        problem,
        lambda rows: point_of(problem, rows, model.raw_coef_, model.raw_intercept_, 1.0),
        Within(reach),
    )
    raw, rows = own.point, own.rows
    covered = min(model.n_support_, fitted.total) / fitted.total
    edge, squares = _smallest(rows, raw, covered * rows.total, exact)
    squares *= fitted.weight_unit * problem.y_unit**2
    point = point_of(problem, rows, model.coef_, model.intercept_, 1.0)
    found = Trimmed(raw, reach, edge, squares, covered, int(model.rank_))
    own = replace(own, point=point)
    return own, found, rows.sum(_Score(found, point, own.coordinates.gram_basis))


def _smallest(rows: RowBlocks, raw: Point, covered: float, rounding: float) -> tuple[Edge, float]:
    """Which rows are in a sum of so much weight of the smallest residuals, and of their squares.

    Those that tie for the last places have shares alike.
    """
    value = _Raw(raw)
    (size,) = order_statistics(rows, Deviation(value), np.array([covered * (1.0 - SUMMED)]))
    edge = Edge(float(size), rounding)
    below, tied, squares, tied_squares = rows.sum(_SumSmallest(edge, value))
    share = min(max((covered - below) / tied, 0.0), 1.0)
    return replace(edge, tied=share), float(squares + share * tied_squares)


@dataclass(frozen=True)
class _Raw:
    """The residuals of the raw fit."""

    point: Point

    def __call__(self, block: Block) -> Array:
        return residuals(block, self.point)


@dataclass(frozen=True)
class _SumSmallest:
    """The job that sums the weight below an edge and of those that tie, and their squares."""

    edge: Edge
    value: _Raw

    def __call__(self, block: Block) -> Array:
        raw = self.value(block)
        masks = self.edge.of(raw)
        weights = [block.weighted(mask.astype(np.float64)) for mask in masks]
        size = np.where(masks[0] | masks[1], raw, 0.0)
        return np.array([own.sum() for own in weights] + [own @ (size * size) for own in weights])


@dataclass(frozen=True)
class Kept(Added):
    """Sums over the rows that are kept, and over those of the raw fit."""

    bread: Array  # sum w 1(kept) [a, 1][a, 1]'
    psi: Array  # sum w 1(kept) r [a, 1]
    psi_square: float
    raw: Array  # sum w 1(chosen) r0 [a, 1]
    raw_square: float
    fit: Fit


@dataclass(frozen=True)
class _Score:
    """The job that sums them."""

    trimmed: Trimmed
    point: Point
    basis: Array | None

    def __call__(self, block: Block) -> Kept:
        w = 1.0 if block.weight is None else block.weight
        r, raw = residuals(block, self.point), residuals(block, self.trimmed.raw)
        own, chosen = self.trimmed.kept(raw), self.trimmed.edge(raw)
        r, raw = np.where(own > 0.0, r, 0.0), np.where(chosen > 0.0, raw, 0.0)
        return Kept(
            bread=weighted_gram(block.reading, block.X, w * own, self.basis),
            psi=slopes_of(block, w * own * r),
            psi_square=float(np.sum(w * own * r * r)),
            raw=slopes_of(block, w * chosen * raw),
            raw_square=float(np.sum(w * chosen * raw * raw)),
            fit=explained(block, own, self.point.sigma * r),
        )


def check_equations(model: Any, fitted: FittedRows, trimmed: Trimmed, kept: Kept) -> None:
    """Refuse rows at which the two fits are no least squares, or trim another sum of squares."""
    total = fitted.rows.total
    misses = [
        share_of(fitted.lead_of(kept.psi), total * kept.psi_square),
        share_of(fitted.lead_of(kept.raw), total * kept.raw_square),
        abs(trimmed.squares / model.objective_ - 1.0),
    ]
    refuse_other_rows(model, fitted, max(misses), kept.psi_square)


def covariance_of(
    model: Any, fitted: FittedRows, trimmed: Trimmed, kept: Kept, asked: Asked
) -> Covariance:
    """A covariance matrix of the kind "classical", "HC0" to "HC3", or with groups "CR1", "CR3"."""
    if asked.kind == "classical":
        return by_share(model, fitted, trimmed, kept)
    if asked.groups is not None:
        return clustered(fitted, trimmed, kept, asked.kind, asked.groups)
    return by_influence(fitted, trimmed, kept, asked.kind)


def by_share(model: Any, fitted: FittedRows, trimmed: Trimmed, kept: Kept) -> Covariance:
    """Gaussian errors that do not depend on x, with the raw fit's share.

    ``scale_^2 Q^-1 [t - 2 c phi(c) + (2 B + B^2) a v] / t`` with t = .975, the variance of the
    estimate's influence: 1.45 ``scale_^2 Q^-1`` for h = n / 2.
    """
    pull = trimmed.pull
    noise = CUTOFF_SHARE - EDGE + (2.0 * pull + pull * pull) * trimmed.trimmed
    bread = Bread.of(fitted.lead(kept.bread), fitted.rows.total)
    factor = float(model.scale_) ** 2 * noise / CUTOFF_SHARE / fitted.weight_unit
    return Covariance(factor * bread.inverse, bread.unknown)


def by_influence(fitted: FittedRows, trimmed: Trimmed, kept: Kept, kind: str) -> Covariance:
    """Independent rows: squares of their influence, over a power of 1 - h of least squares."""
    bread = Bread.of(fitted.lead(kept.bread), fitted.rows.total)
    leave_out = LeaveOut.of(fitted, bread.root, POWERS[kind])
    sums = fitted.rows.sum(_Leave(trimmed, fitted.point, leave_out)).lifted(leave_out.lift)
    factor = fitted.scale**2 / fitted.weight_unit
    if kind == "HC1":
        factor *= fitted.total / (fitted.total - trimmed.rank)
    return Covariance(factor * sums.middle, bread.unknown).resting_on(sums.alone)


@dataclass(frozen=True)
class _Leave:
    """The job that sums them."""

    trimmed: Trimmed
    point: Point
    leave_out: LeaveOut

    def __call__(self, block: Block) -> Middle:
        return self.leave_out.middle(block, *_moves(block, self.trimmed, self.point))


def clustered(
    fitted: FittedRows, trimmed: Trimmed, kept: Kept, kind: str, groups: Groups
) -> Covariance:
    """Independent groups: sums of influence, "CR3" without the group's kept rows in Q."""
    bread = Bread.of(fitted.lead(kept.bread), fitted.rows.total)
    terms = _TermsOf(trimmed, fitted.point)
    return by_groups(fitted, bread, terms, kind, groups, trimmed.rank)


@dataclass(frozen=True)
class _TermsOf:
    """The terms of rows."""

    trimmed: Trimmed
    point: Point

    def __call__(self, block: Block) -> Terms:
        return Terms.of(block, *_moves(block, self.trimmed, self.point))


def moves_of(fitted: FittedRows, trimmed: Trimmed) -> tuple[Array, Array]:
    """``r 1(kept) + B r0 1(chosen)`` of all rows, and ``1(kept)``, shape (n,)."""
    pieces = fitted.rows.sum(lambda block: [np.array(_moves(block, trimmed, fitted.point))])
    moves, kept = np.hstack(pieces)
    return moves, kept


def _moves(block: Block, trimmed: Trimmed, point: Point) -> tuple[Array, Array]:
    """``r 1(kept) + B r0 1(chosen)`` of rows, and ``1(kept)``."""
    r, raw = residuals(block, point), residuals(block, trimmed.raw)
    own, chosen = trimmed.kept(raw), trimmed.edge(raw)
    moves = np.where(own > 0.0, r, 0.0)
    return moves + trimmed.pull * chosen * np.where(chosen > 0.0, raw, 0.0), own


def explained_by(fitted: FittedRows, trimmed: Trimmed, kept: Kept) -> tuple[float, float, int]:
    """R squared of the rows that are kept, adjusted R squared, and how many are not.

    The factor of consistency is ``t / (t - 2 c phi(c))`` = 1.175 (Renaud and Victoria-Feser 2010).
    """
    return r_squared(fitted, trimmed.rank, kept.fit, 1.0 / trimmed_variance(CUTOFF_SHARE))

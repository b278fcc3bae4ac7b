"""Whitened coordinates of a problem, and the way into them and back."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import EPS, TINY, Array
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.moments import Moments, column_moments, moments
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.reading import NotFiniteError, RowBlocks
from robustreg.evaluation.whitening import (
    MIN_RCOND_SINGLE,
    whiten_deficient,
    whiten_gram,
    whiten_rows,
)

# Where targets are cut off for a start, in spreads of y: where digits would be lost, and where
# an error, or a signal, is gross.
FAR_OUT, GROSS = 1e4, 6.0
OVERWHELMING = 1e140  # spreads of a column: the root of a ridge's curvature in these units
LOST = 1e6  # units in the last place of the spread of y that coefficients next to 0 may lose
MAX_WHITENED = 2000  # columns for which a Gram matrix and its factor are affordable
LEAST_PULL = 1e-6  # of a column's variance: what keeps coordinates regular under an L1 penalty


@dataclass
class Frame:
    """X read in blocks, its moments, and the coordinates that whiten it."""

    rows: RowBlocks
    moments: Moments | None  # None: too many columns, the coordinates are only scaled
    basis: Array
    by_rows: bool  # whitened from the rows themselves: ill-conditioned or more columns than rows
    ridge: Array  # (p,) what was added to the diagonal of the Gram matrix of the blocks
    single: bool = False  # the moments are in single precision: for Newton steps only
    certain: bool = True  # whether X has no more directions than the coordinates have

    @property
    def spread(self) -> Array:
        """Standard deviations of the columns of the blocks (moments needed)."""
        assert self.moments is not None
        return _spread(self.moments, self.rows)

    @property
    def inflation(self) -> float:
        """Largest variance inflation factor of the columns (moments needed)."""
        assert self.moments is not None
        variance = np.diag(self.moments.gram)[:-1] / self.rows.total
        return float(np.max((self.basis**2).sum(axis=1) * variance, initial=0.0))

    @property
    def rank(self) -> int:
        """Rank of the regressors with the intercept's column (where not known, its bound)."""
        regressors = min(self.basis.shape[-1], self.rows.n - 1)
        return regressors + int(self.rows.fit_intercept)


def make_scaled_frame(problem: Problem) -> Frame:
    """Coordinates in units of the columns' standard deviations, for very many columns."""
    rows = _read(problem)
    spread = column_moments(rows)
    ridge = _ridge(problem, rows, spread)
    width = np.sqrt(spread**2 + ridge)
    basis = np.divide(1.0, width, out=np.zeros(rows.p), where=spread > 0)
    return Frame(rows, None, basis, by_rows=False, ridge=ridge)


def make_separable_frame(problem: Problem) -> Frame:
    """The columns in units of the curvature that they and a ridge give F, with their moments.

    Penalties with kinks are sums over coefficients, and need coordinates that are, too.
    """
    rows = _read(problem)
    single = rows.single and problem.n > problem.p
    second = moments(rows, _tamed(problem, GROSS), single=single)
    spread = _spread(second, rows)
    width = np.sqrt(spread**2 + _pull(problem, rows))
    basis = np.divide(1.0, width, out=np.zeros(rows.p), where=spread > 0)
    return Frame(rows, second, basis, by_rows=False, ridge=np.zeros(rows.p), single=single)


def make_quick_frame(problem: Problem) -> Frame:
    """Coordinates for a smooth loss: nearly white in half of the time, where that suffices."""
    rows = _read(problem)
    if rows.single and problem.n > problem.p and problem.loss.homogeneity != 2:
        with suppress(NotFiniteError):  # of single precision perhaps: double precision tells
            second = moments(rows, _tamed(problem, GROSS), single=True)
            ridge = _ridge(problem, rows, _spread(second, rows))
            basis = whiten_gram(second, rows.total, ridge, MIN_RCOND_SINGLE)
            if basis is not None:
                return Frame(rows, second, basis, by_rows=False, ridge=ridge, single=True)
    return make_frame(problem, rows, GROSS)


def make_frame(problem: Problem, rows: RowBlocks | None = None, far: float = FAR_OUT) -> Frame:
    """Whitened coordinates of a problem, by Cholesky where that is accurate, else by QR."""
    if rows is None:
        rows = _read(problem)
    second = moments(rows, _tamed(problem, far))
    ridge = _ridge(problem, rows, _spread(second, rows))
    basis = None
    penalised = not problem.penalty.is_none
    if problem.n > problem.p or penalised:
        basis = whiten_gram(second, rows.total, ridge)
    if basis is not None:
        return Frame(rows, second, basis, by_rows=False, ridge=ridge)
    if problem.n > problem.p and not penalised:
        basis = whiten_deficient(rows, second)
    if basis is not None:
        return Frame(rows, second, basis, by_rows=False, ridge=ridge)
    rows = _read(problem, standardise=True)
    second = moments(rows, _tamed(problem, far))
    ridge = _ridge(problem, rows, _spread(second, rows))
    basis, certain = whiten_rows(rows, ridge)
    return Frame(rows, second, basis, by_rows=True, ridge=ridge, certain=certain)


def _read(problem: Problem, standardise: bool = False) -> RowBlocks:
    """The blocks of a problem; columns that a ridge outweighs beyond all digits get 0."""
    rows = RowBlocks(
        problem.X, problem.weight, problem.fit_intercept, problem.n_threads, standardise
    )
    if problem.penalty.root_curvature:
        rows.flat |= _root_pull(problem, rows) > OVERWHELMING
    return rows


def _spread(second: Moments, rows: RowBlocks) -> Array:
    return np.sqrt(np.maximum(np.diag(second.gram)[:-1], 0.0) / rows.total)


def _tamed(problem: Problem, far: float) -> Array:
    """The targets, cut off beyond ``far`` spreads unless the loss is quadratic: for a start."""
    if problem.loss.homogeneity == 2:
        return problem.y
    limit = far * problem.spread
    if problem.y.max() <= limit and problem.y.min() >= -limit:
        return problem.y
    return np.clip(problem.y, -limit, limit)


def _ridge(problem: Problem, rows: RowBlocks, spread: Array) -> Array:
    """The penalty's curvature relative to the loss's: with it F has curvature near c I.

    Exactly so for quadratic losses, which makes least squares direct. An L1 penalty or a sign
    constraint has its curvature at 0; something of it has to be there for directions that the
    data leave open, since its optimum is not the one of minimum norm.
    """
    ridge, penalty = _pull(problem, rows), problem.penalty
    if penalty.kinked:
        with np.errstate(over="ignore"):
            relative = penalty.slope / np.where(spread > 0, spread, np.inf) / rows.unit
        ridge += np.clip(relative, LEAST_PULL, 1.0) * spread**2
    return ridge


def _pull(problem: Problem, rows: RowBlocks) -> Array:
    """The curvature of the penalty's quadratic part relative to the loss's, for every column."""
    if not problem.penalty.root_curvature:
        return np.zeros(rows.p)
    return np.minimum(_root_pull(problem, rows), OVERWHELMING) ** 2


def _root_pull(problem: Problem, rows: RowBlocks) -> Array:
    bound, penalty = problem.loss.curvature, problem.penalty
    pull = penalty.ridge / (bound if np.isfinite(bound) else 1.0)
    root = math.sqrt(pull)
    if not rows.scaled:
        return np.full(rows.p, root)
    with np.errstate(over="ignore"):
        return root / rows.unit


def make_objective(
    problem: Problem, frame: Frame, curvature: bool = True, precise: bool = False
) -> Objective:
    """The problem's objective in a frame's coordinates."""
    return Objective(
        frame.rows,
        problem.y,
        problem.loss,
        problem.scale,
        problem.penalty,
        frame.basis,
        frame.moments if curvature else None,
        whitened_gram=frame.by_rows,
        single=frame.single,
        rounding=EPS * problem.spread,
        precise=precise,
    )


def is_small(rows: RowBlocks, entries: int) -> bool:
    """Whether rows are dense and few enough for sums in twice the working precision."""
    return rows.n * rows.p <= entries and not rows.sparse


def pack(objective: Objective, frame: Frame, start: Coefficients) -> Array:
    """``theta`` of a start; coefficients outside of the coordinates' range are dropped."""
    rows, total = frame.rows, frame.rows.total
    beta = np.where(np.isfinite(start.coef), start.coef, 0.0) * rows.unit
    if frame.moments is None or frame.basis.ndim == 1:
        u = np.divide(beta, frame.basis, out=np.zeros(rows.p), where=frame.basis > 0)
    elif frame.by_rows:
        u = lstsq(frame.basis, beta)
    else:
        gram = frame.moments.gram[:-1, :-1] / total
        u = (beta @ gram + frame.ridge * beta) @ frame.basis
    theta = np.empty((*u.shape[:-1], objective.size))
    theta[..., : objective.k] = u
    if rows.fit_intercept:
        theta[..., objective.k] = start.intercept + objective.expand(u) @ rows.origin
    if objective.joint:
        theta[..., -1] = start.sigma
    return theta


def carry(
    coef: Array, intercept: float, rows: RowBlocks, objective: Objective, frame: Frame
) -> Array:
    """``[u, b]`` of coefficients with the intercept at the centre of other blocks of the same X.

    By way of the intercept at X = 0 digits would be lost of columns far from there. Coefficients
    out of range are dropped.
    """
    coef = np.where(np.isfinite(coef), coef, 0.0)
    theta = pack(objective, frame, Coefficients(coef, 0.0, 1.0))[
        : objective.k + frame.rows.fit_intercept
    ]
    if frame.rows.fit_intercept:
        theta[-1] = intercept + coef @ frame.rows.centre_from(rows)
    return theta


def unpack(objective: Objective, frame: Frame, theta: Array) -> Coefficients:
    """The inverse of :func:`pack`."""
    return in_columns(objective, frame, *objective.unpack(theta))


def in_columns(
    objective: Objective, frame: Frame, beta: Array, intercept: Any, sigma: Any
) -> Coefficients:
    """Coefficients of the blocks and the intercept at their centre in the user's columns.

    Those out of range are infinite, or NaN if too small although they matter to the fit.
    """
    rows = frame.rows
    origin = beta @ rows.origin
    coef = rows.coefficients(beta)  # whoever reports them sees to it
    if rows.scaled and np.abs(coef).min() < TINY:  # blocks with units have spreads near 1
        lost = np.abs(beta - coef * rows.unit) > LOST * objective.rounding
        coef = np.where(lost & (np.abs(coef) < TINY), np.nan, coef)
    moved = intercept - origin if rows.fit_intercept else 0.0
    return Coefficients(coef, moved, sigma, frame.certain)


def least_squares(frame: Frame) -> Array:
    """``[u, b]`` of the least-squares fit from the moments, ridge included; 0 without them."""
    u, intercept = np.zeros(frame.basis.shape[-1]), 0.0
    if frame.moments is not None:
        u = frame.basis.T @ frame.moments.cross / frame.rows.total
        intercept = frame.moments.mean_y
    return np.append(u, intercept) if frame.rows.fit_intercept else u


def penalised_least_squares(objective: Objective, frame: Frame, sigma: float) -> Array:
    """``[u, b]`` of the same in separable coordinates: the loss at scale sigma is its parabola."""
    assert frame.moments is not None
    assert objective.kinks is not None
    k, bound = objective.k, objective.loss.curvature / (sigma * frame.rows.total)
    scaled = frame.basis[:, None] * frame.moments.gram[:k, :k] * frame.basis
    hessian = bound * (scaled + LEAST_PULL * frame.rows.total * np.eye(k))
    hessian += objective.penalty_hessian()
    slope = -bound * frame.basis * frame.moments.cross
    u = objective.kinks.lead(k).step(hessian, slope, np.zeros(k))
    u = np.zeros(k) if u is None else u
    return np.append(u, frame.moments.mean_y) if frame.rows.fit_intercept else u

"""Which coordinates a problem gets: how they are made so that digits last, and time."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.coordinates import LEAST_PULL, Coordinates
from robustreg.evaluation.moments import Moments, TargetMoments, column_moments, moments
from robustreg.evaluation.orthogonality import SomeRows, condition_of_independent
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block, NotFiniteError, copied_rows
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.whitening import (
    MIN_RCOND_SINGLE,
    whiten_deficient,
    whiten_gram,
    whiten_rows,
)

# Where targets are cut off for a start, in spreads of y: where digits would be lost, and where
# an error, or a signal, is gross.
FAR_OUT, GROSS = 1e4, 6.0
ROWS_A_COLUMN = 2  # that tell whether columns are independent
LOOKED_AT = 2**20  # entries of X that tell whether they are orthogonal
MOST_CONDITION = 8.0  # of Gram matrices whose systems are solved by products
OVERWHELMING = 1e140  # spreads of a column: the root of a ridge's curvature in these units
MOST_LEVERAGE = 0.1  # of a row in a sample whose coordinates are to be those of all rows
MAX_WHITENED = 2000  # columns for which a Gram matrix and its factor are affordable

#: Coordinates, and the moments of the targets that the same pass over X has brought, if any.
Chosen = tuple[Coordinates, TargetMoments | None]


def scaled(problem: Problem) -> Chosen:
    """Coordinates in units of the columns' standard deviations, for very many columns."""
    rows, spread = column_moments(_read(problem))
    ridge = _ridge(problem, rows, spread)
    width = np.sqrt(spread**2 + ridge)
    basis = np.divide(1.0, width, out=np.zeros(rows.p), where=spread > 0)
    return Coordinates(rows, basis, None, ridge), None


def nearly_orthonormal(problem: Problem) -> Chosen | None:
    """The same for a dense X whose columns are nearly orthonormal in these; None of others.

    Systems of the Gram matrix take few products with X then, as some rows suggest. Without a
    penalty the columns must be independent beyond doubt: rank and minimum norm ask for white
    coordinates else.
    """
    rows, n, p = _read(problem), problem.n, problem.p
    if not (rows.source.in_memory and rows.single):
        return None
    X = rows.source.table
    if X.strides[1] != X.itemsize:  # products with blocks of columns take four times as long
        return None
    if problem.penalty.is_none:
        if condition_of_independent(n, p, 0.0) > MOST_CONDITION:
            return None
        some = SomeRows.of(rows, ROWS_A_COLUMN * p)
        return scaled(problem) if some.are_orthogonal() and some.are_independent() else None
    some = SomeRows.of(rows, max(1, LOOKED_AT // p))
    if not some.are_orthogonal():
        return None
    pull = float(np.min(_ridge(problem, rows, some.spread) / np.square(some.spread)))
    return scaled(problem) if condition_of_independent(n, p, pull) <= MOST_CONDITION else None


def separable(problem: Problem) -> Chosen:
    """The columns in units of the curvature that they and a ridge give F, with their moments.

    Penalties with kinks are sums over coefficients, and need coordinates that are, too.
    """
    rows, limit = _read(problem), _limit(problem, GROSS)
    if rows.single and problem.n > problem.p:
        with suppress(NotFiniteError):  # of single precision perhaps: double precision tells
            return _separable(problem, *moments(rows, limit, single=True), single=True)
    return _separable(problem, *moments(rows, limit), single=False)


def _separable(
    problem: Problem,
    rows: RowBlocks,
    second: Moments,
    cross: TargetMoments | None,
    *,
    single: bool,
) -> Chosen:
    spread = second.spread(rows.total)
    width = np.sqrt(spread**2 + _pull(problem, rows))
    basis = np.divide(1.0, width, out=np.zeros(rows.p), where=spread > 0)
    return Coordinates(rows, basis, second, np.zeros(rows.p), single=single), cross


def for_smooth(problem: Problem, wide: bool) -> Chosen:
    """Coordinates for a smooth loss; with ``wide`` very many columns are only scaled."""
    if problem.penalty.kinked:
        return separable(problem)
    return scaled(problem) if wide and problem.p > MAX_WHITENED else quick(problem)


def quick(problem: Problem, least: float = MIN_RCOND_SINGLE) -> Chosen:
    """White coordinates, or nearly so in half of the time, where that suffices.

    ``least`` is the reciprocal condition number from which on single precision does.
    """
    rows = _read(problem)
    if rows.single and problem.n > problem.p and problem.loss.homogeneity != 2:
        with suppress(NotFiniteError):  # of single precision perhaps: double precision tells
            own, second, cross = moments(rows, _limit(problem, GROSS), single=True)
            ridge = _ridge(problem, own, second.spread(rows.total))
            basis = whiten_gram(second, rows.total, ridge, least)
            if basis is not None:
                return Coordinates(own, basis, second, ridge, single=True), cross
    return white(problem, rows, GROSS)


def white(problem: Problem, rows: RowBlocks | None = None, far: float | None = FAR_OUT) -> Chosen:
    """Whitened coordinates of a problem, by Cholesky where that is accurate, else by QR.

    In their moments targets are cut off at `far` spreads; None: nobody asks for these.
    """
    limit = None if far is None else _limit(problem, far)
    rows, second, cross = moments(_read(problem) if rows is None else rows, limit)
    ridge = _ridge(problem, rows, second.spread(rows.total))
    basis = None
    penalised = not problem.penalty.is_none
    if problem.n > problem.p or penalised:
        basis = whiten_gram(second, rows.total, ridge)
    if basis is None and problem.n > problem.p and not penalised:
        basis = whiten_deficient(rows, second)
    if basis is not None:
        return Coordinates(rows, basis, second, ridge), cross
    rows, second, cross = moments(_read(problem, standardise=True), limit)
    ridge = _ridge(problem, rows, second.spread(rows.total))
    basis, certain = whiten_rows(rows, ridge)
    return Coordinates(rows, basis, second, ridge, by_rows=True, certain=certain), cross


def of_sample(problem: Problem, own: Coordinates) -> Coordinates | None:
    """Those of a sample of the rows, for all of them; None where it does not speak for these.

    Where the sample has all directions, so have all rows. No row of it may count for much in any
    direction, or the columns might vary less than the sample says, and by how much a gradient is
    rounding in these coordinates would be another matter than in white ones.
    """
    rows, second = own.rows, own.moments
    if second is None or rows.sparse or own.by_rows or not own.mixed or own.k < rows.p:
        return None
    if _largest_leverage(own) > MOST_LEVERAGE:
        return None
    source, single = problem.observed.source, _read(problem).single
    if single and not own.single:
        single = whiten_gram(second, rows.total, own.ridge, MIN_RCOND_SINGLE) is not None
    total = source.total_weight
    everything = replace(rows, observed=problem.observed, n=source.n, total=total, single=single)
    scaled_up = Moments(second.gram * (total / rows.total))
    return replace(own, rows=everything, moments=scaled_up, single=single, sampled=True)


def _largest_leverage(own: Coordinates) -> float:
    """The largest share that a row has of the sum of squares along some direction."""

    def of_block(block: Block) -> list[float]:
        n, square = len(block.target), np.empty(len(block.target))
        step = copied_rows(n, block.reading.p, 8)
        for first in range(0, n, step):
            part = slice(first, first + step)
            q = own.reduce(block.reading.centred(block.X[part]))
            square[part] = np.einsum("ij,ij->i", q, q)
        return [float(block.weighted(square).max())]

    return max(own.rows.sum(of_block)) / own.rows.total


def is_small(rows: RowBlocks, entries: int) -> bool:
    """Whether rows are dense, in memory, and few enough for sums in twice the precision."""
    return rows.n * rows.p <= entries and not rows.sparse and rows.source.in_memory


def _read(problem: Problem, standardise: bool = False) -> RowBlocks:
    """The blocks of a problem; columns that a ridge outweighs beyond all digits get 0."""
    rows = read_rows(problem.observed, problem.fit_intercept, standardise)
    if not problem.penalty.root_curvature:
        return rows
    overwhelmed = _root_pull(problem, rows) > OVERWHELMING
    return rows.without(overwhelmed) if overwhelmed.any() else rows


def _limit(problem: Problem, far: float) -> float:
    """Where targets are cut off for a start; nowhere where the loss is quadratic, or none is."""
    limit = far * problem.spread
    if problem.loss.homogeneity == 2 or problem.farthest <= limit:
        return math.inf
    return limit


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

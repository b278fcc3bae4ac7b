"""The rows of a table in coordinates that outliers in X have no say in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import RandomState
from scipy.linalg import qr

from robustreg._arrays import TINY, Array, Index
from robustreg._cached import cached_property
from robustreg._linalg.factors import lstsq
from robustreg._linalg.precise import Precise
from robustreg._linalg.products import product
from robustreg._median import mad, weighted_median
from robustreg._parallel import map_ordered, slices
from robustreg.evaluation.choice import white
from robustreg.evaluation.limits import out_of_range
from robustreg.evaluation.moments import bordered
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.units import EXACT, FARTHEST, SURVEY_ROWS
from robustreg.losses import Absolute
from robustreg.penalties import ElasticNet
from robustreg.sources._surveyed import SurveyedSource

# Entries up to this many scales of their column count in full for the coordinates; a row with a
# larger one is shrunk to it.
FULL_REACH = 10.0
OVERWHELMING = 1e4  # scales: the square of what is farther out leaves few digits of the others'
REJECTED = 1e9  # scales: residuals of rows that have no say in a fit, wherever they are
RIDGE, ROUNDED = 1e-12, 1e-13
THREADED_ENTRIES = 2**19  # up to which threads cost more than they save
BLOCK_ENTRIES = 2**17  # of a block of rows: it stays in the processor's cache


@dataclass(frozen=True)
class Part:
    """Some rows of a table, as :class:`Table` has all of them.

    Attributes
    ----------
    columns : ndarray of shape (k, m) or (k, p)
        Regressors q, the last column 1 where there is an intercept, or X.
    y : ndarray of shape (k,)
        Targets.
    weight : ndarray of shape (k,) or None
        Weights in shares of the largest, None for ones.
    cut : ndarray of int
        Rows that were brought in, in X or in y.
    turn : ndarray of shape (p, m) or (p + 1, m), or None
        ``q = [X, 1] turn``, where the columns are X: sums are turned, which is half of the work.
    """

    columns: Array
    y: Array
    weight: Array | None
    cut: Index
    turn: Array | None = None

    @cached_property
    def q(self) -> Array:
        """Regressors in robust coordinates."""
        if self.turn is None:
            return self.columns
        p = self.columns.shape[1]
        q: Array = product(self.columns, self.turn[:p]) + self.turn[p:].sum(axis=0)
        return q

    def weighted(self, values: Array) -> Array:
        """Values of the rows times their weights."""
        return values if self.weight is None else self.weight * values

    def sum(self, values: Array) -> float:
        """The sum of values of the rows times their weights."""
        return float(values.sum() if self.weight is None else self.weight @ values)

    def residuals(self, theta: Array) -> Array:
        """``y - q theta``."""
        p, line = self.columns.shape[1], theta if self.turn is None else self.turn @ theta
        found: Array = self.y - product(self.columns, line[:p])
        if len(line) > p:
            found -= line[p]
        return found

    def products(self, weight: Array, pulls: Array) -> tuple[Array, Array]:
        """``sum weight q q'``, and ``sum pull q`` of several pulls."""
        columns, p = self.columns, self.columns.shape[1]
        gram: Array = product((weight[:, None] * columns).T, columns)
        if self.turn is None:
            return gram, product(pulls, columns)
        rows = np.vstack([pulls, weight])  # a product with one more takes next to no time
        slopes: Array = product(rows, columns)
        if len(self.turn) > p:
            total = rows.sum(axis=1)
            gram = bordered(gram, slopes[-1], float(total[-1]))
            slopes = np.column_stack([slopes, total])
        return self.turn.T @ gram @ self.turn, slopes[:-1] @ self.turn


@dataclass(frozen=True)
class Table:
    """Rows ``[q, 1]`` of nearly white regressors, targets and weights.

    Attributes
    ----------
    q : ndarray of shape (n, m)
        Regressors; the last column is 1 where there is an intercept. Of full column rank.
    y : ndarray of shape (n,)
        Targets.
    weight : ndarray of shape (n,) or None
        Positive weights with frequency meaning; None is all ones.
    zero : float
        Residuals up to this size count as exact fits.
    n_threads : int
        Threads that may be used.
    """

    q: Array
    y: Array
    weight: Array | None
    zero: float
    n_threads: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def m(self) -> int:
        """Number of coordinates, the intercept's included: the rank of the regressors."""
        return int(self.q.shape[1])

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.n) if self.weight is None else float(self.weight.sum())

    def weigh(self, values: Array) -> Array:
        """Values of every row, times the row's weight."""
        return values if self.weight is None else self.weight * values

    def sum(self, values: Array) -> Array:
        """``sum w values`` over the rows, the last axis."""
        return values.sum(axis=-1) if self.weight is None else values @ self.weight

    def residuals(self, theta: Array) -> Array:
        """``y - q theta``."""
        parts = self._parts()
        if len(parts) <= 1:
            return self.y - product(self.q, theta)
        out = np.empty(self.n)

        def work(part: slice) -> None:
            np.subtract(self.y[part], product(self.q[part], theta), out=out[part])

        map_ordered(work, parts, self._threads)
        return out

    def gram(self, weight: Array) -> Array:
        """``sum weight q q'`` over the rows."""

        def work(part: slice) -> Array:
            q = self.q[part]
            return product((weight[part, None] * q).T, q)

        found: Array = self._sum(work)
        return found

    def slope(self, pull: Array) -> Array:
        """``sum pull q`` over the rows."""
        found: Array = self._sum(lambda part: product(pull[part], self.q[part]))
        return found

    def add_up(self, job: Callable[[Part], Any]) -> Any:
        """The sum over all rows of what a job returns of some."""
        none = np.zeros(0, dtype=np.intp)

        def work(part: slice) -> Any:
            weight = None if self.weight is None else self.weight[part]
            return job(Part(self.q[part], self.y[part], weight, none))

        return self._sum(work)

    def _sum(self, work: Callable[[slice], Any]) -> Any:
        parts = self._parts()
        if len(parts) <= 1:
            return work(slice(None))
        total, *others = map_ordered(work, parts, self._threads)
        for part in others:
            total += part
        return total

    def take(self, index: Index) -> Table:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[index]
        return replace(self, q=self.q[index], y=self.y[index], weight=weight, n_threads=1)

    @property
    def _threads(self) -> int:
        return self.n_threads if self.q.size > THREADED_ENTRIES else 1

    def _parts(self) -> list[slice]:
        return _blocks(self.n, self.m)


@dataclass(frozen=True)
class Coordinates:
    """The way between ``theta`` and coefficients with their intercept.

    Attributes
    ----------
    basis : ndarray of shape (p, k)
        ``coef = basis u``; constant columns and null directions of X have no part in it.
    origin : ndarray of shape (p,)
        The point of X where q = 0.
    fit_intercept : bool
        Whether ``theta`` ends with the intercept at the origin.
    brought_in : ndarray
        Rows whose regressors were brought in to ``FARTHEST`` scales.
    bounds : ndarray of shape (2, p)
        Where they were brought in to, at the low and at the high end.
    """

    basis: Array
    origin: Array
    fit_intercept: bool
    brought_in: Index
    bounds: Array

    def to_coef(self, theta: Array) -> tuple[Array, float]:
        """Coefficients and intercept."""
        coef = self.basis @ theta[: self.basis.shape[1]]
        intercept = float(theta[-1] - self.origin @ coef) if self.fit_intercept else 0.0
        return coef, intercept

    def to_theta(self, coef: Array, intercept: float) -> Array:
        """The coordinates of given coefficients, as far as they are in the basis' span."""
        u = lstsq(self.basis, coef)
        return np.append(u, intercept + self.origin @ coef) if self.fit_intercept else u


def ridge(size: Array, total: float) -> Array:
    """What is added to the diagonal of Gram matrices of a size, of rows of a total weight.

    It leaves coordinates alone that no row determines, is nothing beside the bulk of the rows,
    whose Gram matrix is about ``total`` times the identity, and keeps that of far rows regular.
    The size is the trace for all coordinates, which holds candidates fast that a far row has a
    weight in, or the diagonal for each its own.
    """
    return np.maximum(RIDGE * total, ROUNDED * size)


def least_absolute_problem(data: Data | SurveyedSource, fit_intercept: bool) -> Problem:
    """Least absolute deviations without a penalty: y in units that outliers have no say in."""
    loss, penalty = Absolute(), ElasticNet()
    return make_problem(data, loss=loss, scale=1.0, penalty=penalty, fit_intercept=fit_intercept)


def make_table(problem: Problem, weight: Array | None) -> tuple[Table, Coordinates]:
    """The table of a problem, its weights as the user gave them, and its coordinates.

    The columns are whitened with each row shrunk to at most ``FULL_REACH`` scales of the columns:
    rows far out, whose squares would be all that a Gram matrix holds, say no more than others. The
    rank is that of all rows, since shrinking moves no row out of its line through the centre.
    """
    reach, centre, scale = _reach(problem, weight)
    far = np.flatnonzero(reach > FARTHEST)
    with np.errstate(over="ignore"):  # such columns are near enough
        width = FARTHEST * _widths(scale)
    bounds = np.array([centre - width, centre + width])
    if len(far):
        X = problem.X.copy()
        X[far] = np.clip(X[far], *bounds)
        problem = problem.with_regressors(X)
    own = np.square(FULL_REACH / np.clip(reach, FULL_REACH, FARTHEST))
    if weight is not None:
        own = np.maximum(own * (weight / weight.max()), TINY)
    white_columns, _ = white(problem.with_weight(own))
    rows, basis = white_columns.rows, white_columns.basis
    q = np.empty((problem.n, basis.shape[1] + problem.fit_intercept))
    q[:, basis.shape[1] :] = 1.0

    def fill(block: Block) -> int:
        q[block.place, : basis.shape[1]] = product(block.reading.centred(block.X), basis)
        return 0

    rows.sum(fill)
    overwhelming = np.flatnonzero(reach > OVERWHELMING)
    basis = _turned(q, basis, overwhelming)
    origin = rows.centre + rows.offset * rows.unit if rows.explicit else rows.offset
    with np.errstate(over="ignore"):
        basis = basis / rows.unit[:, None]
    if not np.isfinite(basis).all():
        raise out_of_range("coefficients", "rescale X or y")
    fill_far(q, problem.X, overwhelming, origin, basis)
    zero = problem.exact or EXACT  # where y does not vary, its spread counts as 1
    table = Table(q, problem.y, weight, zero, problem.n_threads)
    return table, Coordinates(basis, origin, problem.fit_intercept, far, bounds)


def _turned(q: Array, basis: Array, far: Index) -> Array:
    """The basis turned, and q with it, so that rows far out are long in few coordinates.

    A coordinate that holds one may have a unit of its own; where all of them hold it, what the
    other rows say of its complement is rounding beside its squares.
    """
    k = basis.shape[1]
    if not len(far) or k < 2:
        return basis
    turn = qr(q[far, :k].T, pivoting=True, check_finite=False)[0]
    q[:, :k] = product(q[:, :k].copy(), turn)
    turned: Array = basis @ turn
    return turned


def fill_far(q: Array, X: Array, far: Index, origin: Array, basis: Array) -> None:
    """The coordinates of rows far out, rounded once.

    Those that are short are small differences of large numbers: at 1e14 scales rounding these
    moves the row by a hundredth of the bulk's spread, and a fit that follows it goes astray.
    """
    for part in _blocks(len(far), X.shape[1]):
        block = X[far[part]].astype(np.float64)
        # powers of two, beside which products and their rounding stay in range
        power = np.frexp(np.abs(block).max(axis=0))[1]
        with np.errstate(over="ignore", invalid="ignore"):  # out of range they stay as they are
            block, centre = np.ldexp(block, -power), np.ldexp(origin, -power)
            off, turned = Precise(block) - centre, np.ldexp(basis, power[:, None])
            for j in range(basis.shape[1]):
                own = (off @ turned[:, j]).rounded()
                known = np.isfinite(own)
                q[far[part][known], j] = own[known]


def _reach(problem: Problem, weight: Array | None) -> tuple[Array, Array, Array]:
    """How far out every row is, and the columns' centres and scales.

    That is its largest distance from a column's centre, in the column's scales. Rows are read in
    blocks: one column after the other would read a memory map once for each of them.
    """
    X = problem.X
    n, p = X.shape
    survey: Index | slice = slice(None)
    if n > SURVEY_ROWS:
        # drawn, by a seed of their own: every k-th row may be a bad one
        survey = np.sort(RandomState(0).randint(n, size=SURVEY_ROWS))
    some, part = X[survey].astype(np.float64), None if weight is None else weight[survey]
    centre, scale = np.zeros((2, p))
    for j, column in enumerate(some.T):
        centre[j] = weighted_median(column, part) if problem.fit_intercept else 0.0
        scale[j] = mad(column, part, center=float(centre[j]))
    alike = np.flatnonzero(scale == 0.0)
    if len(alike):
        scale[alike] = _scales_of_what_differs(X, weight, alike, centre[alike])
    reach, width = np.empty(n), _widths(scale)

    def fill(part: slice) -> None:
        off = X[part].T.astype(np.float64, order="C")  # of a column all values side by side
        with np.errstate(over="ignore"):
            off -= centre[:, None]
            np.abs(off, out=off)
            off /= width[:, None]
        reach[part] = off.max(axis=0)

    map_ordered(fill, _blocks(*X.shape), problem.n_threads if X.size > THREADED_ENTRIES else 1)
    return reach, centre, scale


def _scales_of_what_differs(
    X: Array, weight: Array | None, columns: Index, centre: Array
) -> list[float]:
    """The MADs of what is not at the centre of columns; 0 where nothing is."""
    values: list[list[Array]] = [[] for _ in columns]
    weights: list[list[Array]] = [[] for _ in columns]
    for part in _blocks(*X.shape):
        for k, column in enumerate(X[part][:, columns].T.astype(np.float64, order="C")):
            differs = column != centre[k]
            values[k].append(column[differs])
            weights[k].append(np.empty(0) if weight is None else weight[part][differs])
    found = []
    for middle, *pieces in zip(centre.tolist(), values, weights, strict=True):
        column, own = map(np.concatenate, pieces)
        counts = None if weight is None else own
        found.append(mad(column, counts, center=middle) if len(column) else 0.0)
    return found


def _widths(scale: Array) -> Array:
    """The scales of columns, 1 of those that do not vary."""
    return np.where(scale > 0.0, scale, 1.0)


def _blocks(n: int, columns: int) -> list[slice]:
    """Rows that are worked on at a time."""
    return slices(n, max(64, BLOCK_ENTRIES // max(1, columns)))

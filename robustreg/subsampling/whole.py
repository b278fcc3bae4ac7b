"""All rows of a long table in the coordinates of a sample of them: read in passes, never held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import lstsq
from robustreg._linalg.products import product
from robustreg._parallel import slices
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Source
from robustreg.evaluation.reading import NotFiniteError
from robustreg.evaluation.units import FARTHEST, Targets
from robustreg.sources._array import rows_of
from robustreg.sources._surveyed import SAMPLE_ENTRIES, SAMPLE_ROWS
from robustreg.subsampling.descent import Base
from robustreg.subsampling.estimates import Sample
from robustreg.subsampling.table import BLOCK_ENTRIES, OVERWHELMING, Coordinates, fill_far

STRAYS = 2**9  # rows outside of the span of a sample that a pass brings, at most
# Of the size of a column: what is off the span of a sample by more is outside; and of the terms
# that a row is the sum of there, for the rounding of its coordinates.
OUTSIDE, ROUNDED = 1e-8, 1e-10


class Part(NamedTuple):
    """Some rows of a table, as :class:`robustreg.subsampling.table.Table` has all of them."""

    q: Array  # (k, m)
    y: Array  # (k,)
    weight: Array | None  # (k,), shares of the largest; None for ones
    cut: Index  # rows that were brought in, in X or in y

    def weighted(self, values: Array) -> Array:
        """Values of the rows times their weights."""
        return values if self.weight is None else self.weight * values

    def sum(self, values: Array) -> float:
        """The sum of values of the rows times their weights."""
        return float(values.sum() if self.weight is None else self.weight @ values)

    def residuals(self, theta: Array) -> Array:
        """``y - q theta``."""
        found: Array = self.y - product(self.q, theta)
        return found


@dataclass(frozen=True)
class Reader:
    """How rows become those of a table in robust coordinates: small, and fit to be sent anywhere.

    Attributes
    ----------
    coordinates : Coordinates
        Those of the sample.
    targets : Targets
        The units of y, and where targets are brought in to.
    base : tuple of ndarray of shape (p,) and float, or None
        Coefficients and intercept; the targets of the table are what these leave.
    """

    coordinates: Coordinates
    targets: Targets
    base: tuple[Array, float] | None = None

    @property
    def m(self) -> int:
        """Number of coordinates."""
        return self.coordinates.basis.shape[1] + self.coordinates.fit_intercept

    def part(self, X: Array, y: Array, weight: Array | None) -> Part:
        """Some rows."""
        k, target = self.coordinates.basis.shape[1], self.targets(y)
        q = np.ones((len(y), self.m))
        with np.errstate(over="ignore", invalid="ignore"):
            q[:, :k] = product(X - self.coordinates.origin, self.coordinates.basis)
        cut = self._cut_targets(y)
        if not np.abs(q).max(initial=0.0) <= OVERWHELMING:
            X, far = self._bring_in(q, X)
            cut = np.union1d(cut, far)
        if self.base is not None:
            coef, intercept = self.base
            with np.errstate(over="ignore", invalid="ignore"):
                target = target - (X @ coef + intercept)
        return Part(q, target, weight, cut)

    def _cut_targets(self, y: Array) -> Index:
        """The rows whose targets are brought in."""
        if self.targets.limit == np.inf:
            return np.zeros(0, dtype=np.intp)
        return np.flatnonzero(np.abs(self.targets.units.of(y)) > self.targets.limit)

    def _bring_in(self, q: Array, X: Array) -> tuple[Array, Index]:
        """The coordinates of rows far out, as a table has them, and which were brought in."""
        own = self.coordinates
        far = np.flatnonzero(~(np.abs(q).max(axis=1) <= OVERWHELMING))
        given = X[far].astype(np.float64)
        if not np.isfinite(given).all():
            raise NotFiniteError
        bounded, some = np.clip(given, *own.bounds), q[far]
        some[:, : own.basis.shape[1]] = product(bounded - own.origin, own.basis)
        fill_far(some, bounded, np.arange(len(far)), own.origin, own.basis)
        q[far] = some
        moved = np.flatnonzero((bounded != given).any(axis=1))
        if len(moved):
            X = X.astype(np.float64)
            X[far[moved]] = bounded[moved]
        return X, far[moved]


@dataclass(frozen=True)
class _Parts:
    """The job that reads a partition in blocks, and does another one with each of them."""

    reader: Reader
    job: Callable[[Part], Any]

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> Any:
        sums: Any = None
        for part in slices(len(y), max(64, BLOCK_ENTRIES // max(1, self.reader.m))):
            own = None if weight is None else weight[part]
            found = self.job(self.reader.part(rows_of(X, part), y[part], own))
            sums = found if sums is None else sums + found
        return sums


@dataclass(frozen=True)
class WholeTable:
    """All rows in the coordinates of a sample of them, which is what candidates are found on.

    Attributes
    ----------
    source : ArraySource or SurveyedSource
        Where they are; weights are shares of the largest.
    sample : Sample
        Some of the rows, with weights that add up to those of all.
    reader : Reader
        How rows are read.
    largest : float
        The largest weight, in which sums are taken.
    """

    source: Source
    sample: Sample
    reader: Reader
    largest: float

    @property
    def m(self) -> int:
        """Number of coordinates, the intercept's included: the rank of the regressors."""
        return self.reader.m

    @property
    def total(self) -> float:
        """Sum of the weights, in shares of the largest."""
        return self.source.total_weight

    @property
    def free(self) -> float:
        """The same less one, of weight 1 as given, for each coefficient."""
        return self.total - self.m / self.largest

    @property
    def zero(self) -> float:
        """Residuals up to this size count as exact fits."""
        return self.sample.table.zero

    def sum(self, job: Callable[[Part], Any]) -> Any:
        """The sum over all rows of what a job returns of some: one pass.

        What is summed is in the weights of :class:`Part`. The job is to be fit to be pickled, and
        ``+`` to leave both sums as they are.
        """
        return self.source.total(_Parts(self.reader, job))

    def beyond(self, base: Base | None) -> WholeTable:
        """The table of what coefficients leave of the targets."""
        if base is None:
            return self
        own = self.sample
        return replace(
            self,
            sample=replace(own, table=replace(own.table, y=base.residual)),
            reader=replace(self.reader, base=(base.coef, base.intercept)),
        )


def sample_of(source: Source, largest: float) -> Data:
    """Rows that stand for all of a source, with weights that add up to those of all."""
    most = max(1, min(SAMPLE_ROWS, SAMPLE_ENTRIES // max(1, source.n_columns)))
    X, y, weight = source.some(most)
    if weight is None and largest == 1.0:
        return Data(X, y, None, source.n_threads)
    weight = np.ones(len(y)) if weight is None else weight
    weight = weight * (largest * source.total_weight / weight.sum())
    return Data(X, y, weight, source.n_threads)


def with_rows(data: Data, X: Array, y: Array) -> Data:
    """A sample with some rows more, each of a mean weight."""
    weight = data.weight
    if weight is not None:
        weight = np.append(weight, np.full(len(y), weight.mean()))
    return replace(data, X=np.vstack([data.X, X]), y=np.append(data.y, y), weight=weight)


def whole_table(source: Source, sample: Sample, largest: float) -> WholeTable:
    """All rows of a source in the coordinates of a sample."""
    problem = sample.problem
    units, limit = problem.observed.targets.units, FARTHEST * problem.spread
    targets = Targets(units)
    if 0.0 < limit < units.farthest(source.ends):
        targets = Targets(units, limit)
    return WholeTable(source, sample, Reader(sample.coordinates, targets), largest)


@dataclass(frozen=True)
class _Strays:
    """Rows outside of the span of a sample."""

    X: Array
    y: Array

    def __add__(self, other: _Strays) -> _Strays:
        X, y = np.vstack([self.X, other.X]), np.append(self.y, other.y)
        return _Strays(X[:STRAYS], y[:STRAYS])


@dataclass(frozen=True)
class _FindStrays:
    """The job that looks for them: what the coordinates of a row say is not what it is."""

    coordinates: Coordinates
    back: Array  # (k, p): from coordinates to what rows are off the origin
    size: Array  # (p,): of what rows of the sample are off it

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> _Strays:
        found = _Strays(X[:0], y[:0])
        for part in slices(len(y), max(64, BLOCK_ENTRIES // X.shape[1])):
            with np.errstate(over="ignore", invalid="ignore"):
                off = X[part] - self.coordinates.origin
                q = product(off, self.coordinates.basis)
                lost = np.abs(off - product(q, self.back))
                terms = ROUNDED * product(np.abs(q), np.abs(self.back))
            outside = np.flatnonzero((lost > OUTSIDE * self.size + terms).any(axis=1))[:STRAYS]
            found = found + _Strays(X[part][outside], y[part][outside])
        return found


def strays(source: Source, sample: Sample) -> tuple[Array, Array] | None:
    """Some rows that have directions that no row of a sample has: X and y; None if there are none.

    Where columns of the sample are independent there are none, and no pass is made.
    """
    own, problem = sample.coordinates, sample.problem
    k = own.basis.shape[1]
    if k == problem.p:
        return None
    near = np.flatnonzero(np.abs(sample.table.q).max(axis=1) <= OVERWHELMING)
    off = problem.X[near] - own.origin  # rows beyond have few digits of the others
    back = lstsq(sample.table.q[near, :k], off) if k else np.zeros((0, problem.p))
    size = np.abs(off).max(axis=0)
    found: _Strays = source.total(_FindStrays(own, back, size))
    return (found.X, found.y) if len(found.y) else None

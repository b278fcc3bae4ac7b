"""All rows of a long table in the coordinates of a sample of them: read in passes, never held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._cached import cached_property
from robustreg._linalg.factors import lstsq
from robustreg._linalg.products import product
from robustreg._parallel import slices
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Source
from robustreg.evaluation.reading import LONG_ROW, NotFiniteError, Reading
from robustreg.evaluation.units import FARTHEST, Targets
from robustreg.sources._array import rows_of
from robustreg.sources._surveyed import sampled_rows
from robustreg.subsampling.descent import Base, Fit
from robustreg.subsampling.estimates import Sample
from robustreg.subsampling.table import BLOCK_ENTRIES, OVERWHELMING, Coordinates, Part, fill_far

# Sums of columns are turned to the coordinates if they lose no more than two digits by that: the
# condition of the columns in units of their spread, and how many of these they are off 0.
MOST_CONDITION, MOST_OFF = 30.0, 5.0
STRAYS = 2**9  # rows outside of the span of a sample that a pass brings, at most
# Of the size of a column: what is off the span of a sample by more is outside; and of the terms
# that a row is the sum of there, for the rounding of its coordinates.
OUTSIDE, ROUNDED = 1e-8, 1e-10


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
    ordinary : ndarray of shape (2, p), or None
        Between which values columns need no change of coordinates row by row; None: they do.
    looked : bool
        Whether it is known that all rows are between these.
    """

    coordinates: Coordinates
    targets: Targets
    base: tuple[Array, float] | None = None
    ordinary: Array | None = None
    looked: bool = False

    @property
    def m(self) -> int:
        """Number of coordinates."""
        return self.coordinates.basis.shape[1] + self.coordinates.fit_intercept

    def blocks(self, n: int) -> list[slice]:
        """Blocks of so many rows that stay in the processor's cache."""
        return slices(n, max(64, BLOCK_ENTRIES // max(1, self.m)))

    def part(self, X: Array, y: Array, weight: Array | None) -> Part:
        """Some rows."""
        target, cut = self.targets(y), self._cut_targets(y)
        if self._is_ordinary(X):
            return Part(X.astype(np.float64, copy=False), target, weight, cut, self._turn)
        with np.errstate(over="ignore", invalid="ignore"):
            q = product(self._reading.centred(X.astype(np.float64, copy=False)), self._basis)
        if self.coordinates.fit_intercept:
            q[:, -1] = 1.0
        largest = max(q.max(initial=0.0), -q.min(initial=0.0))
        if not largest <= OVERWHELMING:
            X, far = self._bring_in(q, X)
            cut = np.union1d(cut, far)
        if self.base is not None:
            coef, intercept = self.base
            with np.errstate(over="ignore", invalid="ignore"):
                target = target - (X @ coef + intercept)
        return Part(q, target, weight, cut)

    @cached_property
    def _basis(self) -> Array:
        """That of the coordinates, with room for a column of ones."""
        own = self.coordinates
        return np.column_stack([own.basis, np.zeros((len(own.basis), int(own.fit_intercept)))])

    def _is_ordinary(self, X: Array) -> bool:
        if self.ordinary is None or self.base is not None:
            return False
        if self.looked:
            return True
        low, high = self.ordinary
        extremes = _extremes(X)
        return bool((extremes >= low).all() and (extremes <= high).all())

    @cached_property
    def _turn(self) -> Array:
        """What makes coordinates of ``[X, 1]``."""
        own = self.coordinates
        if not own.fit_intercept:
            return own.basis
        turn = np.zeros((len(own.basis) + 1, self.m))
        turn[:-1, :-1], turn[-1, :-1], turn[-1, -1] = own.basis, -own.origin @ own.basis, 1.0
        return turn

    @cached_property
    def _reading(self) -> Reading:
        """What subtracts the origin from rows."""
        origin = self.coordinates.origin
        none = np.zeros_like(origin)
        flat, unit = none.astype(bool), np.ones_like(origin)
        return Reading(True, False, none, unit, none, origin, flat)

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

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> _Found:
        sums: Any = None
        ordinary = True
        for block in self.reader.blocks(len(y)):
            own = None if weight is None else weight[block]
            part = self.reader.part(rows_of(X, block), y[block], own)
            found, ordinary = self.job(part), ordinary and part.turn is not None
            sums = found if sums is None else sums + found
        return _Found(sums, ordinary)


@dataclass(frozen=True)
class _Found:
    """Sums over partitions, and whether all of their rows are between the ordinary values."""

    sums: Any
    ordinary: bool

    def __add__(self, other: _Found) -> _Found:
        return _Found(self.sums + other.sums, self.ordinary and other.ordinary)


@dataclass
class _Seen:
    """What passes have found out of all rows, for those that follow."""

    ordinary: bool = False


@dataclass(frozen=True)
class _FillResiduals:
    """The job that puts residuals where they belong; those that are no numbers are infinite."""

    line: tuple[Array, float]
    targets: Targets
    starts: Mapping[int, int] | Sequence[int]  # the first row of every partition
    out: Array

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> int:
        (coef, intercept), start = self.line, self.starts[index]
        for part in slices(len(y)):
            with np.errstate(over="ignore", invalid="ignore"):
                found = self.targets(y[part]) - (product(rows_of(X, part), coef) + intercept)
            found[np.isnan(found)] = np.inf
            self.out[start + part.start : start + part.stop] = found
        return 0


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
    seen: _Seen = field(default_factory=_Seen)

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
        reader = self._reader_of_all if self.seen.ordinary else self.reader
        found: _Found = self.source.total(_Parts(reader, job))
        self.seen.ordinary |= found.ordinary
        return found.sums

    @cached_property
    def _reader_of_all(self) -> Reader:
        """That of rows that have been looked at."""
        return replace(self.reader, looked=True)

    def residuals(self, fit: Fit) -> Array:
        """What a fit leaves of the targets of all rows of a table in memory: one pass.

        Of those that were brought in, as they are.
        """
        line, out = self.sample.coefficients(fit), np.empty(self.source.n)
        targets = Targets(self.reader.targets.units)
        self.source.total(_FillResiduals(line, targets, self.source.starts, out))
        return out

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
    X, y, weight = source.some(sampled_rows(source.n_columns))
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
    return Data(np.vstack([data.X, X]), np.append(data.y, y), weight, data.n_threads)


def whole_table(source: Source, sample: Sample, largest: float) -> WholeTable:
    """All rows of a source in the coordinates of a sample."""
    problem = sample.problem
    units, limit = problem.observed.targets.units, FARTHEST * problem.spread
    targets = Targets(units)
    if 0.0 < limit < units.farthest(source.ends):
        targets = Targets(units, limit)
    reader = Reader(sample.coordinates, targets, ordinary=_ordinary(sample.coordinates))
    return WholeTable(source, sample, reader, largest)


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
        found = _Strays(np.zeros((0, len(self.size))), y[:0])
        for part in slices(len(y), max(64, BLOCK_ENTRIES // len(self.size))):
            rows = rows_of(X, part)
            with np.errstate(over="ignore", invalid="ignore"):
                off = rows - self.coordinates.origin
                q = product(off, self.coordinates.basis)
                lost = np.abs(off - product(q, self.back))
                terms = ROUNDED * product(np.abs(q), np.abs(self.back))
            outside = np.flatnonzero((lost > OUTSIDE * self.size + terms).any(axis=1))[:STRAYS]
            found = found + _Strays(rows[outside], y[part][outside])
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


def _ordinary(coordinates: Coordinates) -> Array | None:
    """Between which values columns lie whose sums may be turned to the coordinates.

    None where that would take digits: of columns that are far from 0, or nearly collinear.
    """
    basis, origin = coordinates.basis, coordinates.origin
    if basis.shape[0] != basis.shape[1]:
        return None
    spread = np.linalg.norm(np.linalg.inv(basis), axis=0)
    values = np.linalg.svd(basis * spread[:, None], compute_uv=False)
    if values.max() > MOST_CONDITION * values.min() or (np.abs(origin) > MOST_OFF * spread).any():
        return None
    return np.array([origin - OVERWHELMING * spread, origin + OVERWHELMING * spread])


def _extremes(X: Array) -> Array:
    """Rows in which every column has its least and its largest entry.

    Of many short rows at a time, side by side, they are found in a tenth of the time.
    """
    n, p = X.shape
    times = min(n, max(1, LONG_ROW // p)) if X.flags.c_contiguous else 1
    bulk = n - n % times
    long = X[:bulk].reshape(-1, times * p)
    ends = (long.min(axis=0).reshape(-1, p), long.max(axis=0).reshape(-1, p))
    return np.vstack([*ends, X[bulk:]])

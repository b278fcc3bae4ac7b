"""Rows anywhere: what a first pass finds out of a source, and how others read its partitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn

import numpy as np

from robustreg._arrays import TINY, Array, Index
from robustreg._cached import cached_property
from robustreg._namespace import at_least, is_foreign, namespace_of
from robustreg._numbers import NUMERIC
from robustreg.sources._array import ArraySource, block_rows, taken
from robustreg.sources._base import RowSource

SAMPLE_ROWS, SAMPLE_ENTRIES = 2**16, 2**21  # of the sample that a survey brings back
SEED = 0  # of the sample
SURE = 6.0  # standard errors of how many rows are drawn from


class NotInMemoryError(ValueError):
    """Something asks for all rows at once, which a source does not hand out."""


def sampled_rows(n_columns: int) -> int:
    """How many rows a sample has at most."""
    return max(1, min(SAMPLE_ROWS, SAMPLE_ENTRIES // max(1, n_columns)))


@dataclass(frozen=True)
class Surveyed:
    """What a pass finds out of a table.

    Attributes
    ----------
    counts, marks : dict of int to int
        Rows of positive weight in each partition, by its index, and a sum of the digits of their
        targets, by which partitions that change are known.
    weights : tuple of float
        Sum, least and largest of the weights.
    ends : tuple of float
        Least and largest target.
    lengths : dict of int to int
        Rows of each partition, those of weight 0 included.
    keys : ndarray of shape (m,)
        Random numbers, which decide what rows are in the sample: the smallest.
    X, y, weight : ndarray of shape (m, p), (m,), (m,)
        The sample, float64 but for X, which may be float32.
    """

    counts: dict[int, int]
    marks: dict[int, int]
    weights: tuple[float, float, float]
    ends: tuple[float, float]
    lengths: dict[int, int]
    keys: Array
    X: Array
    y: Array
    weight: Array
    most: int

    def __add__(self, other: Surveyed) -> Surveyed:
        total, least, largest = zip(self.weights, other.weights, strict=True)
        (low, high), (lower, higher) = self.ends, other.ends
        own, more = _kept(self.most, self.keys, other.keys)
        return Surveyed(
            {**self.counts, **other.counts},
            {**self.marks, **other.marks},
            (sum(total), min(least), max(largest)),
            (min(low, lower), max(high, higher)),
            {**self.lengths, **other.lengths},
            _joined(self.keys, own, other.keys, more),
            _joined(self.X, own, other.X, more),
            _joined(self.y, own, other.y, more),
            _joined(self.weight, own, other.weight, more),
            self.most,
        )


def _kept(most: int, *keys: Array) -> list[Index]:
    """Which entries of some arrays of random numbers are among so many of the least of all."""
    ends = np.cumsum([0, *map(len, keys)])
    if ends[-1] <= most:
        return [np.arange(len(own)) for own in keys]
    kept = np.sort(np.argpartition(np.concatenate(keys), most)[:most])
    cuts = np.searchsorted(kept, ends)
    parts = zip(cuts, cuts[1:], ends, strict=False)
    return [kept[first:last] - start for first, last, start in parts]


def _joined(own: Array, kept: Index, other: Array, more: Index) -> Array:
    """Some rows of two arrays, without a copy of all of them."""
    found = np.empty((len(kept) + len(more), *own.shape[1:]), np.result_type(own, other))
    found[: len(kept)], found[len(kept) :] = own.take(kept, axis=0), other.take(more, axis=0)
    return found


@dataclass(frozen=True)
class Survey:
    """The job that counts rows, and draws some of them: every one is as likely as another.

    ``share`` of the rows is drawn from: what is not among it can be in no sample of all rows.
    """

    n_columns: int
    share: float = 1.0
    brings_rows: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Surveyed:
        own_X, own_y, own_weight = checked(X, y, weight, self.n_columns, index)
        n = len(own_y)
        own_weight = np.ones(n) if own_weight is None else own_weight
        keys = np.random.default_rng([SEED, index]).random(n)
        most = sampled_rows(self.n_columns)
        drawn = np.arange(n) if self.share >= 1.0 else np.flatnonzero(keys < self.share)
        drawn = drawn[_kept(most, keys[drawn])[0]]
        return Surveyed(
            {index: n},
            {index: _mark(own_y)},
            (
                float(own_weight.sum()),
                float(own_weight.min(initial=np.inf)),
                float(own_weight.max(initial=0.0)),
            ),
            (float(own_y.min(initial=np.inf)), float(own_y.max(initial=-np.inf))),
            {index: len(y)},
            keys[drawn],
            taken(own_X, drawn),
            own_y[drawn],
            own_weight[drawn],
            most,
        )


@dataclass(frozen=True)
class NotFinite:
    """Where X has NaN or infinity: partition, row and column of the first."""

    where: tuple[int, int, int] | None

    def __add__(self, other: NotFinite) -> NotFinite:
        return other if self.where is None else self

    def told(self, names: Sequence[str] | None) -> str:
        """What to say of it."""
        assert self.where is not None
        index, row, column = self.where
        name = "" if names is None else f" ({names[column]!r})"
        return (
            f"X holds NaN or infinity, the first one in partition {index} of the source: row {row} "
            f"of it, column {column}{name}."
        )


@dataclass(frozen=True)
class FindNotFinite:
    """The job that looks for the first NaN or infinity in X."""

    on_device: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> NotFinite:
        if is_foreign(X):
            xp = namespace_of(X)
            row, column = xp.nonzero(~xp.isfinite(X))
            return NotFinite((index, int(row[0]), int(column[0])) if row.shape[0] else None)
        found = np.argwhere(~np.isfinite(X))
        return NotFinite((index, *found[0].tolist()) if len(found) else None)


@dataclass(frozen=True)
class _Part:
    """The sums over a partition; None of one that has no rows."""

    sums: Any

    def __add__(self, other: _Part) -> _Part:
        if self.sums is None:
            return other
        return self if other.sums is None else _Part(self.sums + other.sums)


@dataclass(frozen=True)
class _Checked:
    """A job, done with the rows of positive weight, whose weights are shares of the largest."""

    job: Callable[..., Any]
    n_columns: int
    counts: dict[int, int]
    marks: dict[int, int]
    largest: float | None  # None: all weights are alike
    on_device: ClassVar[bool] = True

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> _Part:
        if is_foreign(X):
            return self._of_device(X, y, weight, index)
        own_X, own_y, own_weight = checked(X, y, weight, self.n_columns, index)
        if len(own_y) != self.counts.get(index):
            raise ValueError(
                f"Partition {index} of the source has {len(own_y)} rows of positive weight, and "
                f"had {self.counts.get(index)} before: a source must hand out the same rows in "
                f"every pass."
            )
        if _mark(own_y) != self.marks[index]:
            raise ValueError(
                f"Partition {index} of the source has other targets than before: a source must "
                "hand out the same rows in every pass."
            )
        if not len(own_y):
            return _Part(None)
        if self.largest is None:
            own_weight = None
        elif own_weight is not None:
            own_weight = np.maximum(own_weight / self.largest, TINY)
        return _Part(self.job(own_X, own_y, own_weight, index))

    def _of_device(self, X: Any, y: Any, weight: Any, index: int) -> _Part:
        """The same with rows on a device, which have been checked, and cannot be others."""
        if not self.counts[index]:
            return _Part(None)
        if self.counts[index] < X.shape[0]:
            xp = namespace_of(X)
            kept = xp.nonzero(weight)[0]
            X, y, weight = (xp.take(one, kept, axis=0) for one in (X, y, weight))
        own_weight = None
        if weight is not None and self.largest is not None:
            own_weight = at_least(weight / self.largest, TINY)
        return _Part(self.job(X, y, own_weight, index))


@dataclass(frozen=True)
class SurveyedSource:
    """The rows of a source that were surveyed, to the evaluation what :class:`ArraySource` is.

    Attributes
    ----------
    source : RowSource
        Where they are.
    found : Surveyed
        What the survey found.
    n_threads : int
        Threads that may be used for anything else.
    """

    source: RowSource
    found: Surveyed
    n_threads: int

    in_memory = False
    is_sparse = False

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return self.source.n_columns

    @property
    def names(self) -> Sequence[str] | None:
        """Their names, if they have any."""
        return self.source.names

    @cached_property
    def n(self) -> int:
        """Rows of positive weight."""
        return sum(self.found.counts.values())

    @property
    def n_given(self) -> int:
        """Rows, those of weight 0 included."""
        return sum(self.found.lengths.values())

    @cached_property
    def starts(self) -> dict[int, int]:
        """The first row of every partition."""
        counts = self.found.counts
        order = sorted(counts)
        first = np.cumsum([0, *(counts[index] for index in order)])
        return dict(zip(order, first.tolist(), strict=False))

    @property
    def ends(self) -> Array:
        """The least and the largest target."""
        return np.array(self.found.ends)

    @property
    def _largest(self) -> float | None:
        _, least, largest = self.found.weights
        return None if least == largest else largest

    @property
    def largest_weight(self) -> float:
        """The largest weight."""
        return self.found.weights[2]

    @property
    def total_weight(self) -> float:
        """The sum of the weights, in shares of the largest."""
        return float(self.n) if self._largest is None else self.found.weights[0] / self._largest

    @property
    def least_weight(self) -> float:
        """The least weight, as a share of the largest."""
        return 1.0 if self._largest is None else self.found.weights[1] / self._largest

    @property
    def long_rows(self) -> int:
        """The same: what a partition stores is not known."""
        return self.block_rows

    @property
    def block_rows(self) -> int:
        """Rows of a block that stays in the processor's cache."""
        return block_rows(self.n, self.n_columns)

    @cached_property
    def sample(self) -> ArraySource:
        """Some of the rows."""
        found, largest = self.found, self._largest
        weight = None if largest is None else np.maximum(found.weight / largest, TINY)
        return ArraySource(found.X, found.y, weight, self.n_threads)

    def every(self, step: int) -> tuple[Any, Array, Array | None]:
        """One of so many rows, or of the sample where that has fewer."""
        return self.sample.every(max(1, step * self.sample.n // self.n))

    def some(self, count: int) -> tuple[Any, Array, Array | None]:
        """The sample, or so many of its rows: at random, as what is there may have a period."""
        sample = self.sample
        if count >= sample.n:
            return sample.every(1)
        kept = np.sort(np.argpartition(self.found.keys, count)[:count])
        weight = None if sample.weight is None else sample.weight[kept]
        return sample.X[kept], sample.y[kept], weight

    def without_regressors(self) -> SurveyedSource:
        """The same rows with a single column of zeros for X."""
        zeros = np.zeros((len(self.found.y), 1))
        return replace(self, source=_NoRegressors(self.source), found=replace(self.found, X=zeros))

    def total(self, job: Callable[..., Any]) -> Any:
        """The sum of a job over all partitions."""
        counts, marks = self.found.counts, self.found.marks
        checked = _Checked(job, self.n_columns, counts, marks, self._largest)
        found: _Part = self.source.total(checked)
        return found.sums

    @property
    def X(self) -> NoReturn:  # noqa: N802
        """No X: it may be larger than memory."""
        raise not_here()

    @property
    def table(self) -> NoReturn:
        """No table."""
        raise not_here()

    def pick(self, index: Any) -> NoReturn:
        """Regressors of no rows."""
        raise not_here()

    def columns(self, index: Any) -> NoReturn:
        """No columns."""
        raise not_here()

    @property
    def y(self) -> NoReturn:
        """No y."""
        raise not_here()

    @property
    def weight(self) -> NoReturn:
        """No weights."""
        raise not_here()


@dataclass(frozen=True)
class _NoRegressors:
    """The rows of a source with a single column of zeros for X."""

    source: RowSource
    n_columns: ClassVar[int] = 1
    names: ClassVar[None] = None

    def total(self, job: Callable[..., Any]) -> Any:
        """As of the source."""
        return self.source.total(_WithoutRegressors(job))


@dataclass(frozen=True)
class _WithoutRegressors:
    """A job, done with such rows."""

    job: Callable[..., Any]

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Any:
        return self.job(np.zeros((len(y), 1)), y, weight, index)


def survey(source: RowSource, n_threads: int) -> SurveyedSource:
    """A source with what a first pass finds out of it.

    Raises
    ------
    ValueError
        If it has no rows of positive weight, or rows that no fit can take.
    """
    if source.n_columns < 1:
        raise ValueError("X must have one column at least, got none.")
    found = source.total(Survey(source.n_columns, _share_drawn_from(source)))
    rows = SurveyedSource(source, found, n_threads)
    if not rows.n:
        raise ValueError("The source has no rows of positive weight.")
    return rows


def _share_drawn_from(source: RowSource) -> float:
    """The share of the rows that the sample is drawn from, which is what partitions bring.

    Where it is known how many rows there are, and that all have a weight, a share that has as many
    as are wanted but in one of a thousand million tables; else all.
    """
    known = getattr(source, "known_rows", None)
    if not known:
        return 1.0
    most = sampled_rows(source.n_columns)
    return min(1.0, (most + SURE * most**0.5) / known)


def not_here() -> NotInMemoryError:
    return NotInMemoryError(
        "This fit needs all rows at once, which a RowSource does not hand out: most of them lie on "
        "a plane, nearly collinear columns or targets more than 1e15 spreads away ask for them, or "
        "the loss, scale, penalty or solver does. Load them into arrays and fit these."
    )


def _mark(y: Array) -> int:
    """A sum of the digits of some numbers, in which their order does not matter."""
    return int(np.ascontiguousarray(y).view(np.uint64).sum())


def checked(
    X: Any, y: Any, weight: Any, n_columns: int, index: int
) -> tuple[Array, Array, Array | None]:
    """The rows of positive weight of a partition, as arrays of floating-point numbers."""
    what = f"Partition {index} of the source has"
    X, y = np.asarray(X), np.asarray(y)
    for name, values in (("X", X), ("y", y)):
        if values.dtype.kind not in NUMERIC:
            raise ValueError(f"{what} {values.dtype} in {name}, which must hold real numbers.")
    y = y.astype(np.float64, copy=False)
    if X.ndim != 2 or X.shape[1] != n_columns or y.shape != X.shape[:1]:
        raise ValueError(
            f"{what} X of shape {X.shape} and y of shape {y.shape}; they must be (m, {n_columns}) "
            f"and (m,)."
        )
    if X.dtype not in (np.float64, np.float32):
        X = X.astype(np.float64)
    if not np.isfinite(y).all():
        raise ValueError(f"{what} NaN or infinity in y.")
    if weight is None:
        return X, y, None
    weight = np.asarray(weight, dtype=np.float64)
    if weight.shape != y.shape or not np.isfinite(weight).all() or weight.min(initial=0.0) < 0.0:
        raise ValueError(
            f"{what} weights that are not one finite, non-negative number for each of its rows."
        )
    if weight.all():
        return X, y, weight
    kept = np.flatnonzero(weight)
    return X[kept], y[kept], weight[kept]

"""The rows of a problem, read in blocks: the passes over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from robustreg._arrays import Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._namespace import is_foreign, on_host
from robustreg.evaluation.reading import Block, Reading
from robustreg.evaluation.units import Targets, Units
from robustreg.sources._array import ArraySource, Picked, rows_of
from robustreg.sources._surveyed import SurveyedSource, not_here

ROOM = 8  # numbers of a row
ROWS_PER_COLUMN = 2  # of blocks that sums of p x p numbers are made of


@dataclass(frozen=True)
class Observed:
    """Rows, and how their targets are read. Problems that differ in other things share them.

    Attributes
    ----------
    source : ArraySource or SurveyedSource
        The rows as the user gave them, of positive weight.
    targets : Targets
        The units of y.
    far : ndarray of int
        Rows whose y was brought in to ``FARTHEST`` spreads.
    beyond : ndarray
        By how much.
    """

    source: ArraySource | SurveyedSource
    targets: Targets
    far: Index
    beyond: Array

    @cached_property
    def y(self) -> Array:
        """The targets of all rows, in their units."""
        return self.targets(self.source.y)

    @cached_property
    def _converted(self) -> ArraySource:
        """The source with targets in their units."""
        assert isinstance(self.source, ArraySource)
        return replace(self.source, y=self.y)

    def for_a_pass(self) -> tuple[ArraySource | SurveyedSource, Targets | None]:
        """The source that a pass reads, and how its targets are read; None: as they are.

        Once somebody has asked for ``y`` it is kept, and targets are not converted any more.
        """
        if "y" in vars(self):  # where a cached property is once it is known
            return self._converted, None
        return self.source, self.targets


@dataclass(frozen=True)
class _Blocks:
    """The job that reads a partition in blocks, and does another one with each of them."""

    reading: Reading
    targets: Targets | None  # None: in their units already
    starts: Mapping[int, int] | Sequence[int]  # the first row of every partition
    size: int  # rows of a block at most
    job: Callable[[Block], Any]

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> Any:
        start, n, size = self.starts[index], y.shape[0], self.size
        if is_foreign(X):
            if not getattr(self.job, "on_device", False):
                raise not_here()
            size = n  # of rows that are on a device a partition is a block
        whole = size >= n and not isinstance(X, Picked)
        sums: Any = None
        for first in range(0, n, size):
            part = slice(first, min(first + size, n))
            target = y[part] if self.targets is None else self.targets(y[part])
            own = self.job(
                Block(
                    self.reading,
                    self.reading.read(X if whole else rows_of(X, part)),
                    target,
                    None if weight is None else weight[part],
                    slice(start + part.start, start + part.stop),
                )
            )
            if sums is None:
                sums = own
            else:  # in place, where sums can: those of partitions may be somebody else's
                sums += own
        return sums


@dataclass(frozen=True, kw_only=True)
class RowBlocks(Reading):
    """A reading, with the rows that are read.

    Attributes
    ----------
    observed : Observed
        Where they are, and how their targets are read.
    n : int
        Rows.
    total : float
        Sum of their weights, which are positive.
    """

    observed: Observed
    n: int
    total: float

    @property
    def y(self) -> Array:
        """The targets, in their units."""
        return self.observed.y

    @property
    def source(self) -> ArraySource | SurveyedSource:
        """Where the rows are."""
        return self.observed.source

    @property
    def weight(self) -> Array | None:
        """Sample weights, None for ones."""
        return self.source.weight

    def about(self, mean: Array) -> RowBlocks:
        """The same rows, centred that far from where they were."""
        return replace(self, offset=self.offset + mean)

    def without(self, flat: Mask) -> RowBlocks:
        """The same rows, with more columns that count as constant."""
        return replace(self, flat=self.flat | flat)

    def every(self, step: int) -> Block:
        """One of so many rows, as they are read: a survey, and no pass."""
        if step == 1 and self._whole is not None:
            return self._whole
        X, y, weight = self.source.every(step)
        return Block(self, self.read(X), self.observed.targets(y), weight, slice(None, None, step))

    def some(self, count: int) -> Block:
        """About so many rows at random, or those that there are to choose from, as they are read.

        They have no places in the table.
        """
        X, y, weight = self.source.some(count)
        return Block(self, self.read(X), self.observed.targets(y), weight, None)

    def take(self, index: Index) -> Block:
        """Some rows of a table in memory, as they are read."""
        source = self.observed.source
        X = source.pick(index)
        weight = None if source.weight is None else source.weight[index]
        return Block(self, self.read(X), self.observed.targets(source.y[index]), weight, index)

    @cached_property
    def alone(self) -> Reading:
        """How the rows are read, without them."""
        return Reading(**{each.name: getattr(self, each.name) for each in fields(Reading)})

    @property
    def one_block(self) -> bool:
        """Whether the rows are no more than a block: what is held of each is next to nothing."""
        return self._whole is not None

    @cached_property
    def _whole(self) -> Block | None:
        """All rows, where they are no more than a block: they are read once, for all passes."""
        source = self.observed.source
        if not source.in_memory or self.n > source.block_rows:
            return None
        X = self.read(rows_of(source.X, slice(None)))
        # read by a copy: the block and these rows would keep each other in memory otherwise;
        # made in a fifth of the time of ``alone``, which small tables notice
        reading = object.__new__(RowBlocks)
        reading.__dict__.update(self.__dict__)
        return Block(reading, X, self.observed.y, source.weight, slice(0, self.n))

    def sum(self, job: Callable[[Block], Any]) -> Any:
        """The sum over all blocks of what a job returns of each: one pass over X.

        A job may have attributes that say what blocks it likes: ``products_only`` where nothing is
        made of sparse rows but products, ``square`` where what it returns is p x p, ``on_device``
        where rows may be on a device.
        """
        whole = self._whole
        if whole is not None:
            return job(whole)
        source, targets = self.observed.for_a_pass()
        # what is sent to another process must not hold rows
        reading = self if source.in_memory else self.alone
        return source.total(_Blocks(reading, targets, source.starts, self._block_rows(job), job))

    def _block_rows(self, job: Callable[[Block], Any]) -> int:
        """Rows of the blocks that a job gets."""
        long = not self.far and getattr(job, "products_only", False)
        size = self.source.long_rows if long else self.source.block_rows
        if getattr(job, "square", False) and self.as_read:  # to sum p x p numbers takes time, too
            return max(size, ROWS_PER_COLUMN * self.p)
        return size

    def collect(self, function: Callable[[Block], Array]) -> Array:
        """What a function gives for every row, all together: one pass over X."""
        if not self.source.in_memory:
            pieces: list[Array] = self.sum(_Piece(function))
            return np.concatenate(pieces)
        out = np.empty(self.n)
        self.sum(_Fill(function, out))
        return out


def unread(source: ArraySource | SurveyedSource, targets: Targets) -> RowBlocks:
    """Rows of which only the targets are looked at."""
    p, none = source.n_columns, np.zeros(0, dtype=np.intp)
    return RowBlocks(
        fit_intercept=False,
        sparse=source.is_sparse,
        centre=np.zeros(p),
        unit=np.ones(p),
        base=np.zeros(p),
        offset=np.zeros(p),
        flat=np.zeros(p, dtype=bool),
        observed=Observed(source, targets, none, np.zeros(0)),
        n=source.n,
        total=source.total_weight,
    )


def of_column(values: Array, weight: Array | None, n_threads: int) -> RowBlocks:
    """A number of every row in memory as a table, for passes over it: the same in all columns.

    There are so many of them that blocks have room for that many numbers of each of their rows.
    """
    X = np.broadcast_to(values[:, None], (len(values), ROOM))
    source = ArraySource(X, values, weight, n_threads)
    return unread(source, Targets(Units(1.0, 1.0, 0.0, 1.0, 1.0, 0.0)))


def only_column(block: Block) -> Array:
    """The number that a row of such a table has in all of its columns."""
    found: Array = block.X[:, 0]
    return found


@dataclass(frozen=True)
class _Piece:
    """The job that hands back what a function gives for the rows of a block."""

    function: Callable[[Block], Array]

    @property
    def on_device(self) -> bool:
        """As of the function."""
        return getattr(self.function, "on_device", False)

    def __call__(self, block: Block) -> list[Array]:
        return [on_host(self.function(block))]


@dataclass(frozen=True)
class _Fill:
    """The job that puts them where they belong."""

    function: Callable[[Block], Array]
    out: Array

    @property
    def products_only(self) -> bool:
        """As of the function."""
        return getattr(self.function, "products_only", False)

    def __call__(self, block: Block) -> int:
        self.out[block.place] = self.function(block)
        return 0

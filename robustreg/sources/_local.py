"""Sources whose partitions are read, and worked on, by threads of this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from robustreg._parallel import map_ordered, one_blas_thread
from robustreg.sources._base import FAN_IN, Job, tree_sum

PARTITION_BYTES = 2**23  # of X in a partition whose size is ours to choose
OPEN_BYTES = 2**28  # of all partitions that are read at a time

Block = tuple[Any, Any, Any]  # X, y and weights of some rows


class LocalSource(ABC):
    """Rows whose partitions can be read in any order."""

    @property
    @abstractmethod
    def n_partitions(self) -> int:
        """How many partitions there are."""

    @property
    @abstractmethod
    def partition_bytes(self) -> int:
        """What X of the largest partition takes."""

    @abstractmethod
    def read(self, index: int) -> Block:
        """X, y and the weights of a partition."""

    @abstractmethod
    def place(self, index: int) -> str:
        """Where a partition is, for messages."""

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        with one_blas_thread() as n_threads:
            at_a_time = max(1, min(n_threads, OPEN_BYTES // max(1, self.partition_bytes)))
            return _sum(self._results(job, at_a_time))

    def _results(self, job: Job, n_threads: int) -> Iterator[Any]:
        """What the job returns of the partitions, of which few results are held at a time."""

        def work(index: int) -> Any:
            try:
                return job(*self.read(index), index)
            except Exception as error:
                error.add_note(f"Partition {index} of the source is {self.place(index)}.")
                raise

        # what brings rows back is added at once, lest many of its results be held
        at_a_time = n_threads if getattr(job, "brings_rows", False) else FAN_IN * n_threads
        for first in range(0, self.n_partitions, at_a_time):
            indices = range(first, min(first + at_a_time, self.n_partitions))
            yield from map_ordered(work, indices, n_threads)


class StreamSource(ABC):
    """Rows that come one after the other, from the first one on in every pass."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """X, y and the weights of consecutive rows, the same in every pass."""

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        with one_blas_thread() as n_threads:
            return _sum(self._results(job, n_threads))

    def _results(self, job: Job, n_threads: int) -> Iterator[Any]:
        """What the job returns of the blocks, of which each thread holds one."""

        def work(item: tuple[int, Block]) -> Any:
            index, block = item
            return job(*block, index)

        blocks = enumerate(self.blocks())
        while some := list(islice(blocks, n_threads)):
            yield from map_ordered(work, some, n_threads)


def _sum(results: Iterator[Any]) -> Any:
    first = next(results, None)
    if first is None:
        raise ValueError("There are no rows.")
    return tree_sum(chain([first], results))


def rows_of_partition(n_columns: int, itemsize: int) -> int:
    """Rows of a partition whose size is ours to choose."""
    return max(1, PARTITION_BYTES // (itemsize * max(1, n_columns)))

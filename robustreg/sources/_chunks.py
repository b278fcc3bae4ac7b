"""Rows of stores that hand out slices: Zarr arrays, HDF5 data sets, and what is like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._cached import cached_property
from robustreg._numbers import NUMERIC, real_values
from robustreg.sources._local import Block, LocalSource, rows_of_partition


@dataclass(frozen=True)
class ChunkSource(LocalSource):
    """Rows of a store that has ``shape``, ``dtype`` and slices by rows.

    Partitions are whole chunks, so that none is decoded twice in a pass, of 8 MiB or of one
    chunk.

    Attributes
    ----------
    X : object of shape (n, p)
        Regressors.
    y : object of shape (n,) or None
        Targets, None for rows that are only predicted.
    weight : object of shape (n,) or None
        Weights, None for ones.
    """

    X: Any
    y: Any
    weight: Any
    n_columns: int
    names: Sequence[str] | None = None

    @classmethod
    def of(cls, X: Any, y: Any, weight: Any) -> ChunkSource:
        """The rows of X, with targets and weights in stores or arrays.

        Raises
        ------
        ValueError
            If a shape or a dtype is not what it must be.
        """
        n, p = _shape("X", X, 2)
        y, weight = _listed(y, "y"), _listed(weight, "sample_weight")
        for name, values in (("y", y), ("sample_weight", weight)):
            if values is not None and _shape(name, values, 1) != (n,):
                raise ValueError(
                    f"{name} must have an entry for each of the {n} rows of X, got shape "
                    f"{tuple(values.shape)}."
                )
        return cls(X, y, weight, p)

    @property
    def known_rows(self) -> int | None:
        """How many rows there are, if all of them have a weight."""
        return int(self.X.shape[0]) if self.weight is None else None

    @cached_property
    def _step(self) -> int:
        """Rows of a partition."""
        ours = rows_of_partition(self.n_columns, self.X.dtype.itemsize)
        chunks = getattr(self.X, "chunks", None)
        if not chunks:
            return ours
        rows = max(1, int(chunks[0]))
        return max(1, ours // rows) * rows

    @property
    def n_partitions(self) -> int:
        """How many partitions there are."""
        return -(-int(self.X.shape[0]) // self._step)

    @property
    def partition_bytes(self) -> int:
        """What X of a partition takes."""
        return min(self._step, int(self.X.shape[0])) * self.n_columns * self.X.dtype.itemsize

    def read(self, index: int) -> Block:
        """X, y and the weights of a partition."""
        part = self._part(index)
        X, y, weight = (
            None if values is None else np.asarray(values[part])
            for values in (self.X, self.y, self.weight)
        )
        return X, y, weight

    def place(self, index: int) -> str:
        """Which rows of the store they are."""
        part = self._part(index)
        return f"rows {part.start} to {part.stop - 1} of {self.X!r}"

    def _part(self, index: int) -> slice:
        start = index * self._step
        return slice(start, min(start + self._step, int(self.X.shape[0])))


def _listed(values: Any, name: str) -> Any:
    """Numbers of rows, an array where they are a list."""
    return np.asarray(real_values(values, name)) if isinstance(values, list | tuple) else values


def _shape(name: str, values: Any, ndim: int) -> tuple[int, ...]:
    """The shape of an array of real numbers, of one or two dimensions."""
    shape = tuple(int(size) for size in getattr(values, "shape", ()))
    kind = np.dtype(values.dtype).kind if shape else ""
    if len(shape) != ndim or kind not in NUMERIC:
        raise ValueError(
            f"{name} must be an array of real numbers of {ndim} dimension{'s'[: ndim - 1]}, got "
            f"{type(values).__name__} of shape {shape}, dtype {getattr(values, 'dtype', None)}."
        )
    return shape

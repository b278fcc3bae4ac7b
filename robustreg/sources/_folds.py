"""Some rows of a source, as cross-validation leaves the others out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array, Index
from robustreg.sources._array import taken
from robustreg.sources._base import RowSource


@dataclass(frozen=True)
class SomeRows:
    """Rows of a source, of which a bit for each tells whether it is one of them.

    Attributes
    ----------
    source : RowSource
        Where they are.
    starts : dict of int to int
        The number of the first row of each partition of the source.
    bits : ndarray of uint8
        A bit for each row of the source, packed by ``numpy.packbits``.
    """

    source: RowSource
    starts: Mapping[int, int]
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, source: RowSource, lengths: Mapping[int, int], index: Index) -> SomeRows:
        """The rows with some numbers, of partitions of some lengths.

        Raises
        ------
        ValueError
            If a row is named more than once.
        """
        order = sorted(lengths)
        ends = np.cumsum([0, *(lengths[each] for each in order)]).tolist()
        mask = np.zeros(ends[-1], dtype=bool)
        mask[index] = True
        if np.count_nonzero(mask) < len(index):
            raise ValueError(
                "cv names a row more than once in a fold, which rows that are not in memory cannot "
                "have: give such rows weights."
            )
        return cls(source, dict(zip(order, ends, strict=False)), np.packbits(mask))

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return self.source.n_columns

    @property
    def names(self) -> Sequence[str] | None:
        """Their names, if they have any."""
        return self.source.names

    @property
    def known_rows(self) -> int | None:
        """How many rows there are, if all of them have a weight."""
        known = getattr(self.source, "known_rows", None)
        return None if known is None else int(np.unpackbits(self.bits).sum())

    def total(self, job: Callable[..., Any]) -> Any:
        """As of the source."""
        return self.source.total(_OfSome(job, self.starts, self.bits))


@dataclass(frozen=True)
class _OfSome:
    """A job, done with some of the rows of each partition."""

    job: Callable[..., Any]
    starts: Mapping[int, int]
    bits: NDArray[np.uint8]

    @property
    def brings_rows(self) -> bool:
        """As of the job."""
        return getattr(self.job, "brings_rows", False)

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> Any:
        start, n = self.starts[index], len(y)
        first, ahead = divmod(start, 8)
        bits = np.unpackbits(self.bits[first : -(-(start + n) // 8)])
        kept = np.flatnonzero(bits[ahead : ahead + n])
        if len(kept) < n:
            X, y = taken(np.asarray(X), kept), np.asarray(y)[kept]
            weight = None if weight is None else np.asarray(weight)[kept]
        return self.job(X, y, weight, index)

"""Rows that were surveyed, with some of their columns, or with other weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._cached import cached_property
from robustreg.sources._array import ArraySource
from robustreg.sources._base import Job, RowSource
from robustreg.sources._surveyed import SurveyedSource


@dataclass(frozen=True)
class SomeColumns:
    """A source of the same rows with some of its columns; with one of zeros where there are none.

    Attributes
    ----------
    source : RowSource
        Where the rows are.
    index : ndarray of int
        Which columns there are.
    """

    source: RowSource
    index: Index

    names = None

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return max(1, len(self.index))

    def total(self, job: Job) -> Any:
        """As of the source."""
        return self.source.total(_OfColumns(job, self.index))


@dataclass(frozen=True)
class _OfColumns:
    """A job that is done with some of the columns."""

    job: Callable[..., Any]
    index: Index

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Any:
        return self.job(_taken(X, self.index), y, weight, index)


def with_columns(rows: SurveyedSource, index: Index) -> SurveyedSource:
    """Rows that were surveyed, with some of their columns."""
    found = replace(rows.found, X=_taken(rows.found.X, index))
    return replace(rows, source=SomeColumns(rows.source, index), found=found)


def _taken(X: Any, index: Index) -> Any:
    return np.take(X, index, axis=1) if len(index) else np.zeros((len(X), 1))


Share = Callable[[Any, Array], Array]  # of its weight that a row keeps, by X and y of some rows


@dataclass(frozen=True)
class Weighed(SurveyedSource):
    """Rows whose weights are multiplied.

    Attributes
    ----------
    share : callable
        By what, fit to be pickled.
    total_share : float
        The sum of the weights.
    """

    share: Share
    total_share: float

    @property
    def total_weight(self) -> float:
        """The sum of the weights."""
        return self.total_share

    @cached_property
    def sample(self) -> ArraySource:
        """Some of the rows."""
        own = super().sample
        share = self.share(own.X, own.y)
        return replace(own, weight=share if own.weight is None else share * own.weight)

    def total(self, job: Callable[..., Any]) -> Any:
        """The sum of a job over all partitions."""
        return super().total(_OfWeighed(job, self.share))


@dataclass(frozen=True)
class _OfWeighed:
    """A job that is done with rows whose weights are multiplied."""

    job: Callable[..., Any]
    share: Share

    def __call__(self, X: Any, y: Any, weight: Any, index: int) -> Any:
        share = self.share(X, y)
        return self.job(X, y, share if weight is None else share * weight, index)


def weighed(rows: SurveyedSource, share: Share) -> Weighed:
    """Rows with their weights times a share; one pass adds these up."""
    total = float(rows.total(_OfWeighed(_sum_of_weights, share)))
    return Weighed(rows.source, rows.found, rows.n_threads, share, total)


def _sum_of_weights(X: Any, y: Array, weight: Array, index: int) -> float:
    return float(weight.sum())

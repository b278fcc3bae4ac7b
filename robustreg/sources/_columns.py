"""Rows anywhere with some of their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from robustreg._arrays import Index
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

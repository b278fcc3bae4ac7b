"""Fits to rows that are not in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from robustreg._linalg.factors import OutOfRangeError
from robustreg._parallel import one_blas_thread
from robustreg.evaluation.reading import NotFiniteError
from robustreg.sources import Job, RowSource
from robustreg.sources._surveyed import FindNotFinite, SurveyedSource, survey

#: Attributes with an entry for each row: those that any rows can be judged by, and all.
JUDGED = ("weights_", "outliers_")
OF_ROWS = (*JUDGED, "support_")
T = TypeVar("T")


class FitsInPasses(Protocol):
    """A model that fits rows of a source."""

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        """The fitted attributes, and what has not converged."""


class Counted:
    """A source that counts how often it is read."""

    def __init__(self, source: RowSource) -> None:
        self.source, self.passes = source, 0
        self.n_columns, self.names = source.n_columns, source.names

    def total(self, job: Job) -> Any:
        """As of the source."""
        self.passes += 1
        return self.source.total(job)


def with_survey(source: RowSource, work: Callable[[SurveyedSource], T]) -> T:
    """What is made of the rows of a source in passes over it, the first of which surveys them."""
    with one_blas_thread() as n_threads, np.errstate(under="ignore"):
        try:
            return work(survey(source, n_threads))
        except NotFiniteError:
            raise ValueError(_what_is_not_finite(source)) from None
        except OutOfRangeError:
            raise ValueError(
                "Numbers in this fit leave the range of float64: rescale X, y or weights."
            ) from None


def fit_source(model: FitsInPasses, source: RowSource) -> list[Any]:
    """Fit a model in passes over a source; what it would say of each row is left out.

    Returns what has not converged.
    """

    def fitted(rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        found, unfinished = model._from_rows(rows)
        return found | {"_n_given": rows.n_given}, unfinished

    counted = Counted(source)
    found, unfinished = with_survey(counted, fitted)
    for name in (*OF_ROWS, "feature_names_in_"):  # of an earlier fit
        model.__dict__.pop(name, None)
    found["n_passes_"] = counted.passes
    if source.names is not None:
        found["feature_names_in_"] = np.asarray(source.names, dtype=object)
    model.__dict__.update(found, n_features_in_=source.n_columns)
    return unfinished


def _what_is_not_finite(source: RowSource) -> str:
    """What is wrong with X where sums over it are not finite, and where."""
    found = source.total(FindNotFinite())
    if found.where is None:
        return "X holds values so large that their squares overflow (beyond about 1e150)."
    return str(found.told(source.names))

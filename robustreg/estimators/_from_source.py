"""Fits to rows that are not in memory."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np

from robustreg._compat import Tasks
from robustreg._linalg.factors import OutOfRangeError
from robustreg._parallel import one_blas_thread
from robustreg.evaluation.reading import NotFiniteError
from robustreg.sources import Job, RowSource
from robustreg.sources._device import DeviceSource
from robustreg.sources._surveyed import FindNotFinite, SurveyedSource, survey

#: Attributes with an entry for each row: those that any rows can be judged by, and all.
JUDGED = ("weights_", "outliers_")
OF_ROWS = (*JUDGED, "support_")
T = TypeVar("T")


class FitsInPasses(Protocol):
    """A model that fits rows of a source."""

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        """The fitted attributes, and what has not converged."""

    def _from_device(
        self, rows: SurveyedSource, source: DeviceSource
    ) -> tuple[dict[str, Any], list[Any]]:
        """The same of rows on a device."""


class Passes:
    """A source that counts how often it is read, and says so to whoever wants to know.

    ``name`` is that of the model in lines that are printed; None: none are.
    """

    def __init__(self, source: RowSource, tasks: Tasks, name: str | None) -> None:
        self.source, self.tasks, self.name, self.count = source, tasks, name, 0
        self.n_columns, self.names = source.n_columns, source.names
        self.known_rows = getattr(source, "known_rows", None)

    @property
    def kind(self) -> str:
        """What sort of source it is."""
        return type(self.source).__name__

    def total(self, job: Job) -> Any:
        """As of the source."""
        self.count += 1
        began = perf_counter()
        with self.tasks.part(f"pass {self.count}"):
            found = self.source.total(job)
        self.say(f"pass {self.count}: {perf_counter() - began:.2f} s")
        return found

    def say(self, what: str) -> None:
        """Print a line about the fit, if that is wanted."""
        if self.name is not None:
            print(f"[{self.name}] {what}", flush=True)  # noqa: T201 - asked for


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


def fit_source(model: FitsInPasses, source: Passes) -> list[Any]:
    """Fit a model in passes over a source.

    What it would say of each row is left out, but of rows on a device, where it stays.

    Returns what has not converged.
    """

    def fitted(rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        if isinstance(source.source, DeviceSource):
            found, unfinished = model._from_device(rows, source.source)
        else:
            found, unfinished = model._from_rows(rows)
        return found | {"_n_given": rows.n_given}, unfinished

    found, unfinished = with_survey(source, fitted)
    for name in {*OF_ROWS, "feature_names_in_"} - found.keys():  # of an earlier fit
        model.__dict__.pop(name, None)
    found["n_passes_"] = source.count
    if source.names is not None:
        found["feature_names_in_"] = np.asarray(source.names, dtype=object)
    model.__dict__.update(found, n_features_in_=source.n_columns)
    source.say(_how_it_ended(found))
    return unfinished


def _how_it_ended(found: dict[str, Any]) -> str:
    """Whether a fit, or all fits of several quantiles, converged, and what bounds say of that."""
    how = "converged" if np.all(found["converged_"]) else "not converged"
    value = float(np.max(found["objective_"]))
    gap = f", dual gap {float(np.max(found['dual_gap_'])):.1e}" if "dual_gap_" in found else ""
    return f"{how} in {found['n_passes_']} passes: objective {value:.6g}{gap}"


def _what_is_not_finite(source: RowSource) -> str:
    """What is wrong with X where sums over it are not finite, and where."""
    found = source.total(FindNotFinite())
    if found.where is None:
        return "X holds values so large that their squares overflow (beyond about 1e150)."
    return str(found.told(source.names))

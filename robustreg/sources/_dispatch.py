"""Which source serves what a user passes to ``fit``."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from robustreg._namespace import is_on_device
from robustreg._numbers import is_dask, is_elsewhere, is_lazy_frame
from robustreg.sources._base import RowSource
from robustreg.sources._per_row import JudgeUnseen, Line, Predict
from robustreg.sources._surveyed import NotInMemoryError


def is_source(X: Any) -> bool:
    """Whether X is a source of rows, or something that one can be made of."""
    if isinstance(X, np.ndarray) or sparse.issparse(X):
        return False
    return _is_known(X) or isinstance(X, RowSource)


def _is_known(X: Any) -> bool:
    """Whether X is something that a source can be made of."""
    return is_on_device(X) or is_elsewhere(X)


def source_of(X: Any, y: Any, sample_weight: Any) -> RowSource | None:
    """The source of rows that are not in memory; None of those that are.

    Raises
    ------
    ValueError
        If y or the weights do not belong to such an X.
    """
    if not is_source(X):
        return None
    if not _is_known(X):
        if y is not None or sample_weight is not None:
            raise ValueError(
                "y and sample_weight must be None beside a RowSource, which has its own; got "
                f"y={type(y).__name__} and sample_weight={type(sample_weight).__name__}."
            )
        _check_described(X)
        return X
    if y is None:
        raise ValueError(f"y must be given beside X, a {type(X).__name__}; got None.")
    return _made_of(X, y, sample_weight)


def _check_described(source: Any) -> None:
    """Check what a source of the user's says of its columns.

    Raises
    ------
    ValueError
        If that is not what a RowSource says.
    """
    count, names = source.n_columns, source.names
    if not isinstance(count, Integral):
        raise ValueError(f"n_columns of a RowSource must be an integer, got {count!r}.")
    if names is None:
        return
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names of a RowSource must be strings, or None for none; got {names!r}.")
    if len(names) != count:
        raise ValueError(
            f"names of a RowSource must be as many as its {count} columns, got {len(names)}."
        )


def refuse_source(what: str, X: Any, instead: str = "") -> None:
    """Refuse rows that are not in memory.

    Raises
    ------
    NotInMemoryError
        If X is such.
    """
    if is_source(X):
        raise NotInMemoryError(
            f"{what} needs all rows in memory, and was given a {type(X).__name__}: load them into "
            f"arrays{instead}."
        )


def columns_of(X: Any) -> tuple[int, Sequence[str] | None]:
    """How many columns rows have that are not in memory, and their names if they have any."""
    if is_dask(X):
        names = getattr(X, "columns", None)
        return int(X.shape[1]), None if names is None else [*names]
    source = _made_of(X, None, None) if _is_known(X) else X
    return source.n_columns, source.names


def judged(of_rows: Any, X: Any, source: Any) -> Any:
    """What is said of rows that are not in memory, X and its source: of Dask to be computed.

    Arrays have rows along their last axis, data frames along their first.
    """
    job = JudgeUnseen(of_rows, source.n_columns, source.names)
    if is_dask(X):
        return source.of_rows(job, of_rows.count, of_rows.dtype)
    found = source.total(job).joined()
    return found.T if found.ndim > 1 else found


def predicted(line: Line, X: Any) -> Any:
    """Predictions of rows that are not in memory: of Dask to be computed, else an array.

    That of rows on a device is there, too.
    """
    if is_dask(X):
        from robustreg.sources._dask import predicted_lazily

        return predicted_lazily(line, X)
    source = _made_of(X, None, None) if _is_known(X) else X
    return source.total(Predict(line)).joined()


def _made_of(X: Any, y: Any, sample_weight: Any) -> RowSource:
    """The rows of X, with targets and weights or without."""
    if is_on_device(X):
        from robustreg.sources._device import DeviceSource

        return DeviceSource.of(X, y, sample_weight)
    if is_dask(X):
        from robustreg.sources._dask import dask_source

        return dask_source(X, y, sample_weight)
    if is_lazy_frame(X):
        from robustreg.sources._polars import LazyFrameSource

        return LazyFrameSource.of(X, y, sample_weight)
    from robustreg.sources._chunks import ChunkSource

    return ChunkSource.of(X, y, sample_weight)

"""Rows of Dask arrays and data frames, wherever the caller's scheduler has them."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg._cached import cached_property
from robustreg._compat import of_one_dask_frame
from robustreg._numbers import NUMERIC, is_elsewhere, real_values
from robustreg.sources._base import FAN_IN, Job, in_order
from robustreg.sources._per_row import Line

INDEX = "index"  # a column that holds the index of a frame


@dataclass(frozen=True)
class DaskSource(ABC):
    """Partitions of Dask collections.

    A pass is one graph. What makes a partition is fused with the job, so that rows stay where they
    are read, and sums are added in the tree of :func:`robustreg.sources.tree_sum`, which gives the
    same digits on every scheduler. Nothing is persisted, and no cluster is started.

    Attributes
    ----------
    X, y, weight : Dask collections
        Regressors, targets and weights (None for ones), in partitions of the same rows.
    n_columns : int
        Columns of X.
    names : sequence of str or None
        Their names, if X is a data frame.
    """

    X: Any
    y: Any
    weight: Any
    n_columns: int
    names: Sequence[str] | None = None

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        from dask.base import compute
        from dask.delayed import delayed

        level = self._results(job)
        add = delayed(in_order, pure=False)
        while len(level) > 1:
            level = [add(level[k : k + FAN_IN]) for k in range(0, len(level), FAN_IN)]
        (found,) = compute(*level)
        return found

    @abstractmethod
    def _results(self, job: Job) -> list[Any]:
        """What the job returns of each partition, to be computed."""

    @abstractmethod
    def of_rows(self, job: Job, count: int | None, dtype: np.dtype) -> Any:
        """What a job finds of every row, to be computed, in the partitions of X.

        Of an array an array with rows along its last axis, of a frame a series, or a frame of
        ``count`` columns, with its index.
        """


class DaskArrays(DaskSource):
    """Blocks of rows of arrays."""

    @classmethod
    def of(cls, X: Any, y: Any, weight: Any) -> DaskArrays:
        """The rows of X, with targets and weights in Dask arrays, or in arrays in memory.

        Raises
        ------
        ValueError
            If shapes or blocks do not fit together.
        """
        if X.ndim != 2 or math.isnan(X.shape[1]):
            raise ValueError(
                f"X must be a Dask array of shape (n, p) with p known, got shape {X.shape}."
            )
        y, weight = (
            None if values is None else _beside(X, values, name)
            for name, values in (("y", y), ("sample_weight", weight))
        )
        return cls(_in_whole_rows(X), y, weight, int(X.shape[1]))

    @property
    def known_rows(self) -> int | None:
        """How many rows there are, if that is known and all of them have a weight."""
        unknown = self.weight is not None or math.isnan(self.X.shape[0])
        return None if unknown else int(self.X.shape[0])

    def _results(self, job: Job) -> list[Any]:
        import dask.array as da
        from dask.delayed import delayed

        columns = [part[:, None] for part in (self.y, self.weight) if part is not None]
        count = self.X.numblocks[0]
        # by blocks, which are fused with what makes X and y, as delayed functions of them are not
        found = da.map_blocks(
            _of_blocks,
            self.X,
            *columns,
            job=job,
            dtype=object,
            meta=np.empty((0, 0), dtype=object),
            chunks=((1,) * count, (1,)),
        )
        take = delayed(_only_entry, pure=False)
        return [take(part) for part in found.to_delayed().ravel()]

    def of_rows(self, job: Job, count: int | None, dtype: np.dtype) -> Any:
        """As of the base class."""
        import dask.array as da

        rows = self.X.chunks[0]
        found = da.map_blocks(
            _rows_of_blocks,
            self.X,
            self.y[:, None],
            job=job,
            dtype=dtype,
            meta=np.empty((0, 0), dtype=dtype),
            chunks=(rows, (count or 1,)),
        )
        return found[:, 0] if count is None else found.T


class DaskFrames(DaskSource):
    """Partitions of data frames, in which rows belong together by their order, not their index.

    X and y are made one frame before anything is read: read apart, Dask may cut what it reads from
    Parquet for X and for y into partitions of other rows.
    """

    @classmethod
    def of(cls, X: Any, y: Any, weight: Any) -> DaskFrames:
        """The rows of X, with targets and weights in series of as many partitions.

        Raises
        ------
        ValueError
            If a column does not hold real numbers, or partitions do not fit together.
        """
        y, weight = (
            None if values is None else _series(X, values, name)
            for name, values in (("y", y), ("sample_weight", weight))
        )
        names = [*X.columns]
        _check_dtypes("X", names, X.dtypes)
        strings = all(isinstance(name, str) for name in names)
        return cls(X, y, weight, len(names), names if strings else None)

    def _results(self, job: Job) -> list[Any]:
        import pandas as pd
        from dask.delayed import delayed

        found = self._table.map_partitions(
            _of_frame,
            job=job,
            meta=pd.DataFrame({"sums": pd.Series([], dtype=object)}),
            enforce_metadata=False,
        )
        take = delayed(_only_entry, pure=False)
        return [take(part) for part in found.to_delayed()]

    def of_rows(self, job: Job, count: int | None, dtype: np.dtype) -> Any:
        """As of the base class."""
        import pandas as pd

        index = self.X._meta.index
        meta = pd.DataFrame(np.empty((0, count or 1), dtype)).assign(**{INDEX: index})
        found = self._parts.map_partitions(_rows_of_frame, job=job, meta=meta)
        if self.X.known_divisions:
            found = found.set_index(INDEX, sorted=True, divisions=self.X.divisions)
        else:
            found = found.map_partitions(pd.DataFrame.set_index, INDEX)
        found = found.rename_axis(index=index.name)
        return found[0].rename(None) if count is None else found

    @cached_property
    def _table(self) -> Any:
        """The same, read in the partitions that its columns ask for."""
        return self._parts.optimize()

    @property
    def _parts(self) -> Any:
        """X, y and weights as one frame."""
        parts = [part for part in (self.X, self.y, self.weight) if part is not None]
        table, *others = (_numbered(part, f"{k}.") for k, part in enumerate(parts))
        others = [other[[name for name in other.columns if name != INDEX]] for other in others]
        if others and not of_one_dask_frame(parts):  # which Dask would shuffle to align them
            meta = _side_by_side(table._meta, *(other._meta for other in others))
            return table.map_partitions(
                _side_by_side, *others, meta=meta, align_dataframes=False, enforce_metadata=False
            )
        for other in others:  # read together
            table = table.assign(**{name: other[name] for name in other.columns})
        return table


def dask_source(X: Any, y: Any, weight: Any) -> DaskSource:
    """The rows of Dask collections.

    Raises
    ------
    ValueError
        If they are of a kind that has no rows, or do not fit together.
    """
    import dask

    if dask.config.get("scheduler", None) in ("processes", "multiprocessing"):
        warnings.warn(
            "scheduler='processes' starts processes in every pass over the rows, which takes "
            "longer than most fits; a dask.distributed.LocalCluster starts them once.",
            UserWarning,
            stacklevel=2,
        )
    # what its class has: a Delayed has whatever it is asked for
    if hasattr(type(X), "map_blocks"):
        return DaskArrays.of(X, y, weight)
    if hasattr(type(X), "map_partitions") and X.ndim == 2:
        return DaskFrames.of(X, y, weight)
    raise ValueError(
        f"X must be a Dask array or data frame, got {type(X).__name__}; of an xarray.DataArray "
        "take .data."
    )


def predicted_lazily(line: Line, X: Any) -> Any:
    """Predictions of the rows of X: of an array an array, of a frame a series with its index."""
    import dask.array as da

    count = len(line.intercept) if np.ndim(line.intercept) else None
    if isinstance(X, da.Array):
        X = _in_whole_rows(X)
        if count is not None:
            return X.map_blocks(line, chunks=(X.chunks[0], (count,)), dtype=np.float64)
        return X.map_blocks(line, drop_axis=1, dtype=np.float64)
    meta = _beside_index(X._meta, np.empty((0, count or 1)), count)
    return X.map_partitions(_predicted, line, count, meta=meta)


def _predicted(frame: Any, line: Line, count: int | None) -> Any:
    """Predictions of the rows of a frame, with its index."""
    return _beside_index(frame, line(frame.to_numpy(dtype=np.float64, na_value=np.nan)), count)


def _beside_index(frame: Any, found: Array, count: int | None) -> Any:
    """What was found of the rows of a frame, with its index: a series, or a frame of columns."""
    import pandas as pd

    if count is None:
        return pd.Series(found.ravel(), index=frame.index)
    return pd.DataFrame(found, index=frame.index)


def _in_whole_rows(X: Any) -> Any:
    """A Dask array in blocks of all columns."""
    return X.rechunk({1: -1}) if X.numblocks[1] > 1 else X


def _beside(X: Any, values: Any, name: str) -> Any:
    """Numbers of rows as a Dask array in the blocks of X."""
    import dask.array as da

    if not is_elsewhere(values):
        values = da.from_array(np.asarray(real_values(values, name)), chunks=-1)
    if not hasattr(values, "numblocks"):
        raise ValueError(
            f"{name} must be an array beside an X that is a Dask array, got "
            f"{type(values).__name__}; of a Dask series take .to_dask_array()."
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"{name} must be of shape (n,), got shape {values.shape}.")
    known = not (math.isnan(X.shape[0]) or math.isnan(values.shape[0]))
    if known and values.shape[0] != X.shape[0]:
        raise ValueError(
            f"{name} must have an entry for each of the {X.shape[0]} rows of X, got "
            f"{values.shape[0]}."
        )
    if known:
        return values.rechunk((X.chunks[0],))
    if values.numblocks[0] != X.numblocks[0]:
        raise ValueError(
            f"X has {X.numblocks[0]} blocks of rows and {name} has {values.numblocks[0]}, of "
            "unknown lengths: call compute_chunk_sizes() on both."
        )
    return values


def _series(X: Any, values: Any, name: str) -> Any:
    """Numbers of rows as a Dask series in the partitions of X."""
    if getattr(values, "ndim", 0) == 2 and len(getattr(values, "columns", ())) == 1:
        values = values[values.columns[0]]
    if not hasattr(values, "npartitions") or hasattr(values, "numblocks") or values.ndim != 1:
        raise ValueError(
            f"{name} must be a Dask series beside an X that is a Dask data frame, got "
            f"{type(values).__name__}; take a column of the same frame."
        )
    if values.npartitions != X.npartitions:
        raise ValueError(
            f"X has {X.npartitions} partitions and {name} has {values.npartitions}: take both from "
            "the same frame."
        )
    _check_dtypes(name, [values.name], [values.dtype])
    return values


def _check_dtypes(name: str, labels: Sequence[Any], dtypes: Sequence[Any]) -> None:
    for label, dtype in zip(labels, dtypes, strict=True):
        if getattr(dtype, "kind", "") not in NUMERIC:
            raise ValueError(f"Column {label!r} of {name} must hold real numbers, holds {dtype}.")


def _numbered(part: Any, prefix: str) -> Any:
    """A frame, or a series as one, whose columns and rows have numbers, and which counts these.

    Its index is a column.
    """
    import pandas as pd

    frame = part.to_frame() if part.ndim == 1 else part
    dtypes = {f"{prefix}{j}": dtype for j, dtype in enumerate(frame.dtypes)} | {prefix: np.intp}
    meta = pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in dtypes.items()})
    meta[INDEX] = frame._meta.index
    numbered = frame.map_partitions(_with_numbers, prefix=prefix, meta=meta, enforce_metadata=False)
    return numbered.clear_divisions()


def _side_by_side(*frames: Any) -> Any:
    """The columns of several frames, whose rows have numbers; missing where one has fewer rows."""
    import pandas as pd

    return pd.concat(frames, axis=1)


def _with_numbers(frame: Any, prefix: str) -> Any:
    columns = [f"{prefix}{j}" for j in range(frame.shape[1])]
    beside = {prefix: len(frame), INDEX: frame.index}
    return frame.set_axis(columns, axis=1).reset_index(drop=True).assign(**beside)


def _of_blocks(X: Any, y: Any, *weight: Any, job: Job, block_id: tuple[int, ...]) -> Any:
    """A job on a block, in an array that Dask can hand on."""
    found = np.empty((1, 1), dtype=object)
    own = [values[:, 0] for values in (y, *weight)]
    found[0, 0] = _done(job, X, own, block_id[0])
    return found


def _rows_of_blocks(X: Any, y: Any, job: Job, block_id: tuple[int, ...]) -> Any:
    """What a job finds of every row of a block, in columns."""
    found = _done(job, X, [y[:, 0]], block_id[0]).joined()
    return found.reshape(len(found), -1)


def _rows_of_frame(table: Any, job: Job, partition_info: dict[str, Any]) -> Any:
    """What a job finds of every row of a partition, beside a column that holds the index."""
    import pandas as pd

    found = _on_frame(table, job, partition_info["number"]).joined()
    return pd.DataFrame(found).assign(**{INDEX: table[INDEX]})


def _of_frame(table: Any, job: Job, partition_info: dict[str, Any]) -> Any:
    """A job on a partition, in a frame that Dask can hand on."""
    import pandas as pd

    return pd.DataFrame({"sums": [_on_frame(table, job, partition_info["number"])]})


def _on_frame(table: Any, job: Job, index: int) -> Any:
    """A job on a partition of X, y and weights side by side."""
    counts = [table[name] for name in table.columns if name.endswith(".")]
    if any((count != len(table)).any() for count in counts):
        raise ValueError(
            f"Partition {index} of X has other rows than that of y or sample_weight: take all of "
            "them from the same frame."
        )
    columns = [name for name in table.columns if name.startswith("0.") and name != "0."]
    single = all(dtype == np.float32 for dtype in table.dtypes[columns])
    X = table[columns].to_numpy(dtype=np.float32 if single else np.float64, na_value=np.nan)
    beside = [name for name in ("1.0", "2.0") if name in table.columns]
    own = [table[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in beside]
    return _done(job, X, own, index)


def _done(job: Job, X: Any, of_rows: list[Array], index: int) -> Any:
    """A job on some rows, laid out alike wherever they have come from.

    Arrays that travelled are not aligned; NumPy adds these in another order.
    """
    y, *weight = (np.require(values, requirements=("C", "A")) for values in of_rows)
    X = np.require(X, requirements=("C", "A"))
    try:
        return job(X, y, weight[0] if weight else None, index)
    except Exception as error:
        error.add_note(f"In partition {index} of the Dask collection.")
        raise


def _only_entry(part: Any) -> Any:
    return part.iloc[0, 0] if hasattr(part, "iloc") else part[0, 0]

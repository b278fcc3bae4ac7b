"""Rows of tables on disk by pyarrow: Parquet by its row groups, all else as it comes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robustreg._arrays import Array
from robustreg._cached import cached_property
from robustreg.sources._base import Job, RowSource
from robustreg.sources._local import Block, LocalSource, StreamSource, rows_of_partition

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset


@dataclass(frozen=True)
class Roles:
    """Which columns of a table are regressors, which one is the target, and which the weights."""

    columns: tuple[str, ...]
    target: str
    weight: str | None
    dtype: str

    @classmethod
    def of(cls, schema: Any, columns: Any, target: str, weight: str | None) -> Roles:
        """The roles, checked against an Arrow schema.

        Raises
        ------
        ValueError
            If there is no such column, or one that does not hold real numbers.
        """
        for what, name in (("target", target), ("sample_weight", weight)):
            if not isinstance(name, str) and (what, name) != ("sample_weight", None):
                raise ValueError(f"{what} must be the name of a column, got {name!r}.")
        own = {target, weight}
        names = [name for name in schema.names if name not in own]
        if columns is not None:
            names = _chosen(columns, own)
        found = cls(tuple(names), target, weight, "float64")
        for name in found.names:
            if schema.names.count(name) != 1:
                raise ValueError(
                    f"The table must have one column {name!r}, has {schema.names.count(name)}; "
                    f"its columns are {schema.names}."
                )
            if not _is_numeric(schema.field(name).type):
                raise ValueError(
                    f"Column {name!r} must hold real numbers, holds {schema.field(name).type}. "
                    f"Name the columns to take in columns=."
                )
        if not found.columns:
            raise ValueError("columns must name one column at least, got none.")
        single = all(str(schema.field(name).type) == "float" for name in found.columns)
        return cls(found.columns, target, weight, "float32" if single else "float64")

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        own = [self.target] if self.weight is None else [self.target, self.weight]
        return [*dict.fromkeys([*self.columns, *own])]

    def rows(self, table: Any) -> Block:
        """X, y and weights out of a table or a batch; X column by column, as they lie there."""
        X = np.empty((table.num_rows, len(self.columns)), self.dtype, order="F")
        for j, name in enumerate(self.columns):
            X[:, j] = _numbers(table, name)
        weight = None if self.weight is None else _numbers(table, self.weight)
        return X, _numbers(table, self.target), weight


def _chosen(columns: Any, own: set[str | None]) -> list[str]:
    """The regressors that were asked for."""
    if isinstance(columns, str) or not all(isinstance(name, str) for name in columns):
        raise ValueError(f"columns must be a list of names of columns, got {columns!r}.")
    names = [*columns]
    for name in names:
        if name in own:
            raise ValueError(f"columns must not name the target or the weights, got {name!r}.")
        if names.count(name) > 1:
            raise ValueError(f"columns must name each column once, got {name!r} twice.")
    return names


@dataclass(frozen=True)
class _OfTable:
    """Rows of a table whose columns have roles."""

    roles: Roles

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return len(self.roles.columns)

    @property
    def names(self) -> Sequence[str]:
        """Their names."""
        return self.roles.columns


@dataclass(frozen=True)
class ParquetSource(_OfTable, LocalSource):
    """Row groups of Parquet files, each a partition.

    Attributes
    ----------
    fragments : tuple of pyarrow.dataset.ParquetFileFragment
        One for each row group.
    schema : pyarrow.Schema
        Of all of them together.
    stamps : dict of str to (int, int)
        Size of each local file, and when it was changed: so one that changes is known.
    """

    fragments: tuple[Any, ...]
    schema: Any
    stamps: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, files: Sequence[Any], schema: Any, roles: Roles) -> ParquetSource:
        """The row groups of all files of a data set."""
        groups = tuple(group for file in files for group in file.split_by_row_group())
        stamps = {file.path: _stamp(file.path) for file in files if os.path.isfile(file.path)}
        return cls(roles, groups, schema, stamps)

    @property
    def n_partitions(self) -> int:
        """How many row groups there are."""
        return len(self.fragments)

    @cached_property
    def _lengths(self) -> list[int]:
        """The rows of each row group."""
        return [fragment.row_groups[0].num_rows for fragment in self.fragments]

    @property
    def known_rows(self) -> int | None:
        """How many rows there are, if all of them have a weight."""
        return sum(self._lengths) if self.roles.weight is None else None

    @property
    def partition_bytes(self) -> int:
        """What X of the largest row group takes."""
        return 8 * self.n_columns * max(self._lengths, default=0)

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        found = super().total(job)
        for path, stamp in self.stamps.items():
            if _stamp(path) != stamp:
                raise ValueError(f"{path} was changed since the source was made.")
        return found

    def read(self, index: int) -> Block:
        """X, y and the weights of a row group."""
        table = self.fragments[index].to_table(
            schema=self.schema, columns=self.roles.names, use_threads=False
        )
        return self.roles.rows(table)

    def place(self, index: int) -> str:
        """File and number of a row group."""
        fragment = self.fragments[index]
        return f"row group {fragment.row_groups[0].id} of {fragment.path}"


@dataclass(frozen=True)
class ArrowStream(_OfTable, StreamSource):
    """Batches of a data set that has no row groups, or whose rows are filtered."""

    dataset: Any

    def blocks(self) -> Iterator[Block]:
        """Batches in their order."""
        rows = rows_of_partition(self.n_columns, 8)
        for batch in self.dataset.to_batches(columns=self.roles.names, batch_size=rows):
            if batch.num_rows:
                yield self.roles.rows(batch)


def scan_dataset(
    dataset: Dataset,
    *,
    target: str,
    columns: Sequence[str] | None = None,
    sample_weight: str | None = None,
) -> RowSource:
    """Rows of an Arrow data set, for fits that never hold more than some of them.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        What ``pyarrow.dataset.dataset`` makes of files of any format it knows, filtered or not.
    target : str
        The column of targets.
    columns : sequence of str, default=None
        The regressors; by default all other columns.
    sample_weight : str, default=None
        A column of non-negative weights.

    Returns
    -------
    RowSource
        For ``fit`` to take in place of X, y and weights. Parquet that is not filtered is read by
        row groups, in threads; everything else in batches, one after the other.

    Raises
    ------
    ValueError
        If there is no such column, or one does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import pyarrow.dataset
    >>> from robustreg import HuberRegressor
    >>> from robustreg.sources import scan_dataset
    >>> day = np.arange(60.0)
    >>> price = 2 * day + np.cos(day)
    >>> price[7] = 900
    >>> table = pa.table({"day": day, "price": price})
    >>> source = scan_dataset(pa.dataset.dataset(table), target="price")
    >>> model = HuberRegressor().fit(source)
    >>> print(model.feature_names_in_, model.coef_.round(2))
    ['day'] [2.]
    """
    roles = Roles.of(dataset.schema, columns, target, sample_weight)
    files = _parquet_files(dataset)
    return ParquetSource.of(files, dataset.schema, roles) if files else ArrowStream(roles, dataset)


def scan_parquet(
    path: str | os.PathLike[str] | Sequence[str],
    *,
    target: str,
    columns: Sequence[str] | None = None,
    sample_weight: str | None = None,
) -> RowSource:
    """Rows of Parquet files, for fits that never hold more than a few row groups of them.

    Parameters
    ----------
    path : str, path, or sequence of them
        A file, several files, or a folder, whose subfolders may be named ``column=value``.
    target, columns, sample_weight
        As of :func:`scan_dataset`.

    Returns
    -------
    RowSource
        For ``fit`` to take in place of X, y and weights.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no such column, or one does not hold real numbers.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pyarrow as pa
    >>> import pyarrow.parquet
    >>> from robustreg import HuberRegressor
    >>> from robustreg.sources import scan_parquet
    >>> day = np.arange(60.0)
    >>> price = 2 * day + np.cos(day)
    >>> price[7] = 900
    >>> table = pa.table({"day": day, "price": price})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pa.parquet.write_table(table, folder + "/prices.parquet", row_group_size=16)
    ...     source = scan_parquet(folder + "/prices.parquet", target="price")
    ...     model = HuberRegressor().fit(source)
    >>> print(model.coef_.round(2))
    [2.]
    """
    from pyarrow.dataset import dataset

    data = dataset(path, format="parquet", partitioning="hive")
    return scan_dataset(data, target=target, columns=columns, sample_weight=sample_weight)


def _parquet_files(dataset: Any) -> list[Any]:
    """The files of a data set of Parquet; none if it is another one, or its rows are filtered."""
    from pyarrow.dataset import ParquetFileFormat

    if not isinstance(getattr(dataset, "format", None), ParquetFileFormat):
        return []
    try:
        return [*dataset.get_fragments()]
    except ValueError:  # which is how a filter shows
        return []


def _is_numeric(kind: Any) -> bool:
    """Whether an Arrow type is that of real numbers that NumPy has, or of truth values."""
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _numbers(table: Any, name: str) -> Array:
    """A column of a table or a batch; NaN where a value is missing."""
    column = table.column(name)
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    return values.astype(np.float64) if values.dtype == object else values  # truth values, missing


def _stamp(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns

"""Rows of polars' lazy frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from robustreg.sources._local import Block, StreamSource, rows_of_partition

TARGET, WEIGHT = "_target_of_the_fit", "_weight_in_the_fit"


@dataclass(frozen=True)
class LazyFrameSource(StreamSource):
    """What a lazy frame yields, which is asked for anew in every pass.

    Attributes
    ----------
    frame : polars.LazyFrame
        Regressors, targets and weights side by side.
    names : tuple of str
        Columns of the regressors.
    weighted : bool
        Whether there are weights.
    """

    frame: Any
    names: Sequence[str]
    weighted: bool

    @classmethod
    def of(cls, X: Any, y: Any, weight: Any) -> LazyFrameSource:
        """The rows of X, with targets and weights, if any, in lazy frames of one column each.

        Raises
        ------
        ValueError
            If y or the weights are not that, or a column does not hold real numbers.
        """
        import polars as pl

        parts, names = [X], tuple(_numeric_columns("X", X))
        for argument, frame, name in (("y", y, TARGET), ("sample_weight", weight, WEIGHT)):
            if frame is None:
                continue
            if not isinstance(frame, pl.LazyFrame):
                raise ValueError(
                    f"{argument} must be a LazyFrame beside an X that is one, got "
                    f"{type(frame).__name__}. Select it from the same table, or collect() X."
                )
            columns = _numeric_columns(argument, frame)
            if len(columns) != 1:
                raise ValueError(f"{argument} must have one column, got {columns}.")
            parts.append(frame.select(pl.col(columns[0]).alias(name)))
        return cls(pl.concat(parts, how="horizontal"), names, weight is not None)

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return len(self.names)

    def blocks(self) -> Iterator[Block]:
        """Rows in their order."""
        import polars as pl

        once = pl.QueryOptFlags(comm_subplan_elim=False)  # it would keep all rows in memory
        rows = rows_of_partition(self.n_columns, 8)
        for part in self.frame.collect_batches(chunk_size=rows, optimizations=once):
            X = part.select(self.names).to_numpy()
            y, weight = (
                part[name].to_numpy() if name in part.columns else None for name in (TARGET, WEIGHT)
            )
            yield X, y, weight


def _numeric_columns(argument: str, frame: Any) -> list[str]:
    """The columns of a lazy frame, all of which hold real numbers."""
    schema = frame.collect_schema()
    for name, dtype in schema.items():
        if not (dtype.is_numeric() or str(dtype) == "Boolean"):
            raise ValueError(
                f"Column {name!r} of {argument} must hold real numbers, holds {dtype}."
            )
    return [*schema]

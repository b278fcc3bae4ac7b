"""A long table in files of several formats, and what is passed to ``fit`` of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PIECE = 250_000  # rows that are made, and that a row group has
TARGET = "y"


def pieces(n: int, p: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Normal columns, noise of Student's t with 3 degrees of freedom, 10 % gross errors in y."""
    beta = np.random.default_rng(0).standard_normal(p)
    for k, start in enumerate(range(0, n, PIECE)):
        rng = np.random.default_rng([0, k])
        m = min(PIECE, n - start)
        X = rng.standard_normal((m, p))
        y = X @ beta + 1.0 + rng.standard_t(3, m)
        wrong = rng.random(m) < 0.1
        y[wrong] += 100.0 * rng.standard_normal(int(wrong.sum()))
        yield slice(start, start + m), X, y


def write(folder: Path, n: int, p: int) -> None:
    """All files of the table: .npy, Parquet and Zarr."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zarr

    X_out = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (n, p))
    y_out = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float64, (n,))
    rows = min(n, PIECE // 5)
    chunked = {
        name: zarr.create_array(folder / f"{name}.zarr", shape=shape, chunks=chunks, dtype="f8")
        for name, shape, chunks in (("X", (n, p), (rows, p)), ("y", (n,), (rows,)))
    }
    writer = None
    for part, X, y in pieces(n, p):
        X_out[part], y_out[part] = X, y
        chunked["X"][part], chunked["y"][part] = X, y
        columns = pa.table({**{f"x{j}": X[:, j] for j in range(p)}, TARGET: y})
        writer = writer or pq.ParquetWriter(folder / "t.parquet", columns.schema)
        writer.write_table(columns, row_group_size=PIECE)
    if writer is not None:
        writer.close()


def in_memory(folder: Path) -> list[Any]:
    return [np.load(folder / f"{name}.npy") for name in ("X", "y")]


def memory_map(folder: Path) -> list[Any]:
    return [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("X", "y")]


def chunks(folder: Path) -> list[Any]:
    import zarr

    return [zarr.open_array(folder / f"{name}.zarr", mode="r") for name in ("X", "y")]


def row_groups(folder: Path) -> list[Any]:
    from robustreg.sources import scan_parquet

    return [scan_parquet(folder / "t.parquet", target=TARGET)]


def lazy_frame(folder: Path) -> list[Any]:
    import polars as pl

    frame = pl.scan_parquet(folder / "t.parquet")
    return [frame.select(pl.exclude(TARGET)), frame.select(TARGET)]


def dask_array(folder: Path) -> list[Any]:
    """Blocks that are loaded where they are needed; from_array would copy the file."""
    import dask.array as da

    def load(name: str, block_info: Any = None) -> np.ndarray:
        place = tuple(slice(*edges) for edges in block_info[None]["array-location"])
        return np.array(np.load(folder / f"{name}.npy", mmap_mode="r")[place])

    n, p = np.load(folder / "X.npy", mmap_mode="r").shape
    lengths = tuple(min(PIECE, n - start) for start in range(0, n, PIECE))
    return [
        da.map_blocks(load, name, chunks=(lengths, *rest), dtype=float, meta=np.empty(dims))
        for name, rest, dims in (("X", ((p,),), (0, 0)), ("y", (), (0,)))
    ]


def dask_frame(folder: Path) -> list[Any]:
    import dask.dataframe as dd

    frame = dd.read_parquet(folder / "t.parquet", split_row_groups=True)
    return [frame[[name for name in frame.columns if name != TARGET]], frame[TARGET]]


OPEN = {
    "in memory": in_memory,
    "memory map": memory_map,
    "Zarr": chunks,
    "Parquet": row_groups,
    "polars, lazily": lazy_frame,
    "Dask array": dask_array,
    "Dask frame of Parquet": dask_frame,
}

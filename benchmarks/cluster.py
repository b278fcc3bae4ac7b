"""Fits on a Dask cluster of two worker processes: processor time, time, and bytes that move.

    python benchmarks/cluster.py [--rows 1000000] [--columns 20] [--folder FOLDER] [--repeats 3]

The table is written once, as .npy files and as Parquet, and read by the workers where it lies. On
the cluster each worker has one thread; beside it the same collections are fitted by the scheduler
that has neither threads nor processes ("synchronous"), and the arrays in memory with all threads.
All of it in turns, medians of these. "CPU s" is the processor time of the workers and of this
process; "moved" is what workers have sent to each other in all fits, of X; "digits" says whether
coefficients have the same bits as those of the synchronous scheduler.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import dask
import numpy as np
from _common import about_machine, table
from _on_disk import OPEN, write
from distributed import Client, LocalCluster

from robustreg import HuberRegressor, L1Regressor, L2Regressor, MMRegressor

FITS: dict[str, Callable[[], Any]] = {
    "L2": L2Regressor,
    "Huber": HuberRegressor,
    "L1": L1Regressor,
    "MM": lambda: MMRegressor(random_state=0),
}
LAZY = ("Dask array", "Dask frame of Parquet")


def sent(dask_worker: Any = None) -> int:
    """What a worker has sent to others."""
    return int(dask_worker.transfer_outgoing_bytes_total)


class Turns:
    """Fits in turns, and what they have taken."""

    def __init__(self, client: Client, name: str, source: str, folder: Path) -> None:
        self.client, self.fit = client, FITS[name]
        self.lazy, self.arrays = OPEN[source](folder), OPEN["in memory"](folder)
        self.ways = {
            "two workers": self.on_workers,
            "synchronous": self.synchronous,
            "in memory": lambda: self.fit().fit(*self.arrays),
        }
        self.wall: dict[str, list[float]] = {way: [] for way in self.ways}
        self.cpu: dict[str, list[float]] = {way: [] for way in self.ways}
        self.coef: dict[str, np.ndarray] = {}

    def on_workers(self) -> Any:
        """A fit by the cluster."""
        return self.fit().fit(*self.lazy)

    def synchronous(self) -> Any:
        """A fit in this thread."""
        with dask.config.set(scheduler="synchronous"):
            return self.fit().fit(*self.lazy)

    def clock(self) -> float:
        """Processor seconds of the workers and of this process."""
        return process_time() + sum(self.client.run(process_time).values())

    def once(self) -> None:
        """One fit each."""
        for way, fit in self.ways.items():
            wall, cpu = perf_counter(), self.clock()
            model = fit()
            self.wall[way].append(perf_counter() - wall)
            self.cpu[way].append(self.clock() - cpu)
            self.coef[way] = model.coef_


def line_of(turns: Turns, words: tuple[str, str], moved: float) -> tuple[str, ...]:
    """A line of the table."""
    wall = {way: median(found) for way, found in turns.wall.items()}
    cpu = {way: median(found) for way, found in turns.cpu.items()}
    same = np.array_equal(turns.coef["two workers"], turns.coef["synchronous"])
    return (
        *words,
        f"{cpu['two workers']:.3g}",
        f"{cpu['two workers'] / cpu['synchronous']:.2f}",
        f"{wall['two workers']:.3g}",
        f"{wall['two workers'] / wall['in memory']:.2f}",
        f"{moved:.2%}",
        "the same" if same else "other",
    )


def main() -> None:
    """Print a table of all fits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the files are written")
    parser.add_argument("--fits", nargs="+", choices=FITS, default=[*FITS])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    n, p = int(args.rows), args.columns
    lines = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        write(folder, n, p)
        print(f"{about_machine()}; dask {dask.__version__}.\n\n{n:,} x {p}.\n")
        workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with workers as cluster, Client(cluster) as client:
            for fit in args.fits:
                for source in LAZY:
                    turns = Turns(client, fit, source, folder)
                    turns.once()  # imports, files in the system's cache
                    turns = Turns(client, fit, source, folder)
                    before = sum(client.run(sent).values())
                    for _ in range(args.repeats):
                        turns.once()
                    moved = sum(client.run(sent).values()) - before
                    share = moved / (args.repeats * 8 * n * p)
                    lines.append(line_of(turns, (fit, source), share))
    header = ("fit", "rows", "CPU s", "of synchronous", "s", "of in memory", "moved", "digits")
    print(table(header, lines))


if __name__ == "__main__":
    main()

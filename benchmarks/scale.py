"""Fits of rows that are not in memory: time, passes, memory, and how equal they are.

    python benchmarks/scale.py [--rows 1000000] [--columns 20] [--folder FOLDER]

The table is written to a temporary folder, once, as .npy files, Parquet and Zarr. Each fit runs in
a process of its own that has fitted a small one of the same kind before. Memory is what the
process holds by itself (its anonymous pages, looked at every 5 ms) beyond what it held before the
fit: pages of files in the system's cache, which it can take back at any time, are not in it.
Differences are from the fit to arrays in memory, coefficients in units of scale_. On Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
from _common import about_machine, table
from _on_disk import OPEN, write

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    QuantileRegressor,
)

FITS = {
    "L2": L2Regressor,
    "Huber": HuberRegressor,
    "L1": L1Regressor,
    "quantile 0.9": lambda: QuantileRegressor(0.9),
    "MM": lambda: MMRegressor(random_state=0),
    "LTS": lambda: LTSRegressor(random_state=0),
}


def anonymous() -> int:
    """Bytes that the process holds by itself."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(lines["RssAnon"].split()[0])


class Peak:
    """The most that the process has held while it was watched."""

    def __enter__(self) -> Peak:
        self.before = self.most = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.is_set():
            self.most = max(self.most, anonymous())
            sleep(0.005)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def measured(fit: str, small: list[Any], given: list[Any]) -> dict[str, Any]:
    """What a fit takes in this process, after a small one, and finds."""
    FITS[fit]().fit(*small)
    model = FITS[fit]()
    with Peak() as peak:
        wall, cpu = perf_counter(), process_time()
        model.fit(*given)
        wall, cpu = perf_counter() - wall, process_time() - cpu
    return {
        "wall": wall,
        "cpu": cpu,
        "bytes": peak.most - peak.before,
        "passes": getattr(model, "n_passes_", None),
        "theta": [*model.coef_, model.intercept_],
        "scale": model.scale_,
        "objective": model.objective_,
        "certified": bool(model.converged_),
    }


def ask(*words: object) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--measure", *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a table of all fits and sources."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the files are written")
    parser.add_argument("--fits", nargs="+", choices=FITS, default=[*FITS])
    parser.add_argument("--sources", nargs="+", choices=OPEN, default=[*OPEN])
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        fit, source, small, folder = args.measure
        given = (OPEN[source](Path(path)) for path in (small, folder))
        print(json.dumps(measured(fit, *given)))
        return
    n, p = int(args.rows), args.columns
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        small, folder = Path(name) / "small", Path(name) / "large"
        for path, rows in ((small, 2_000), (folder, n)):
            path.mkdir()
            write(path, rows, p)
        print(f"{about_machine()}.\n\n{n:,} x {p}: X takes {8 * n * p / 2**20:,.0f} MiB.\n")
        lines = [line for fit in args.fits for line in lines_of(fit, args.sources, small, folder)]
    header = ("fit", "rows", "passes", "s", "CPU s", "MiB", "objective", "coefficients")
    print(table(header, lines))


def lines_of(fit: str, sources: list[str], small: Path, folder: Path) -> list[tuple[str, ...]]:
    """A line of the table for each source of one fit."""
    expected = ask(fit, "in memory", small, folder)
    lines = []
    for source in sources:
        found = expected if source == "in memory" else ask(fit, source, small, folder)
        apart = np.abs(np.subtract(found["theta"], expected["theta"])).max() / expected["scale"]
        more = found["objective"] / expected["objective"] - 1.0
        lines.append(
            (
                fit,
                source if found["certified"] else f"{source}, not certified",
                str(found["passes"] or ""),
                f"{found['wall']:.3g}",
                f"{found['cpu']:.3g}",
                f"{found['bytes'] / 2**20:.0f}",
                f"{more:.0e}",
                f"{apart:.0e}",
            )
        )
    return lines


if __name__ == "__main__":
    main()

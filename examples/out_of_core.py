"""Fit a table that is larger than the memory the process may take.

Run it with ``python examples/out_of_core.py [--megabytes 20000]``. A table with gross errors is
written to a temporary file, part by part. Then the process is forbidden to take more memory than
half of the table has (on Linux, which can), and least squares, Huber's loss and absolute deviations
are fitted to the file: a memory map is an array, which is read in blocks and never copied.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from robustreg import HuberRegressor, L1Regressor, L2Regressor

SLOPES = np.resize([1.0, -2.0, 3.0, 0.5], 20)
PART = 20_000  # rows that are written at a time


def write(X: Path, y: Path, n_rows: int) -> None:
    """Write rows of which one in twenty has a gross error, all where the first column is large."""
    rng = np.random.default_rng(0)
    regressors = np.lib.format.open_memmap(X, "w+", shape=(n_rows, len(SLOPES)))
    targets = np.lib.format.open_memmap(y, "w+", shape=(n_rows,))
    for first in range(0, n_rows, PART):
        rows = rng.normal(size=(min(PART, n_rows - first), len(SLOPES)))
        target = rows @ SLOPES + 10.0 + rng.normal(size=len(rows))
        target[(rows[:, 0] > 1.0) & (rng.random(len(rows)) < 0.3)] -= 50.0
        regressors[first : first + PART], targets[first : first + PART] = rows, target


def limit_memory(n_bytes: int) -> bool:
    """Forbid this process to take more memory than so much beyond what it has; Linux alone can."""
    if sys.platform != "linux":
        return False
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    taken = 1024 * int(status.partition("VmData:")[2].split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (taken + n_bytes, most))
    return True


def main() -> None:
    """Write, forbid, fit, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=200, help="size of the table")
    megabytes = parser.parse_args().megabytes
    n_rows = megabytes * 10**6 // (8 * len(SLOPES))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        X, y = Path(folder, "X.npy"), Path(folder, "y.npy")
        write(X, y, n_rows)
        limited = limit_memory(megabytes * 10**6 // 2)
        print(f"{n_rows} rows in a file of {megabytes} MB", end="")
        print(f", within {megabytes // 2} MB of memory" if limited else "")
        table, targets = (np.load(path, mmap_mode="r") for path in (X, y))
        print(f"{'truth':>16}: {SLOPES[:4].round(2)}")
        for model in (L2Regressor(), HuberRegressor(), L1Regressor()):
            model.fit(table, targets)
            name = type(model).__name__
            print(f"{name:>16}: {model.coef_[:4].round(2)} in {model.n_iter_} iterations")
        del table, targets, model  # before the files are


if __name__ == "__main__":
    main()

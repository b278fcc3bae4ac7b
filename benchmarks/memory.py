"""How much memory a fit needs beyond X.

    python benchmarks/memory.py [--rows 1000000]

Every fit runs in a process of its own that has X and y in memory and has fitted a small problem
before, so that libraries and threads are there. Reported is by how much the fit raises the
process's largest resident size, as a share of the size of X.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings

import numpy as np
from _common import about_machine, largest_resident_size, table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import LinearRegression

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    QuantileRegressor,
)

FITS = {
    "robustreg Huber": (lambda: HuberRegressor(), 50, "15 %"),
    "robustreg L2": (lambda: L2Regressor(), 50, "15 %"),
    "LinearRegression": (lambda: LinearRegression(), 50, ""),
    # memory does not grow with the iterations; a few suffice
    "scikit-learn Huber": (lambda: SklearnHuber(alpha=0.0, max_iter=5), 50, ""),
    "robustreg L1": (lambda: L1Regressor(), 20, "60 %"),
    "robustreg quantile 0.9": (lambda: QuantileRegressor(0.9), 20, "60 %"),
    "robustreg MM": (lambda: MMRegressor(random_state=0), 20, ""),
    "robustreg LTS": (lambda: LTSRegressor(random_state=0), 20, ""),
}


def fill(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Data made in place, so that the largest resident size so far is the present one."""
    rng = np.random.default_rng(0)
    X, y = np.empty((n, p)), np.empty(n)
    rng.standard_normal(out=X)
    rng.standard_normal(out=y)
    y += X[:, 0]
    y[::10] *= 100.0
    return X, y


def measure(name: str, n: int) -> float:
    """The share of X by which a fit raises the largest resident size."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    create, p, _ = FITS[name]
    model = create()
    model.fit(*fill(1000, 5))
    X, y = fill(n, p)
    before = largest_resident_size()
    model.fit(X, y)
    return (largest_resident_size() - before) / X.nbytes


def main() -> None:
    """Print a table of all fits, or the share of the one that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", choices=FITS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(measure(args.measure, args.rows))
        return
    if sys.platform == "win32":
        sys.exit("Windows does not report the largest resident size that this script needs.")
    rows = []
    for name, (_, columns, target) in FITS.items():
        command = [sys.executable, __file__, "--rows", str(args.rows), "--measure", name]
        share = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        megabytes = share * 8 * args.rows * columns / 2**20
        size = f"{args.rows:,} x {columns}"
        rows.append((name, size, f"{100 * share:.1f} %", f"{megabytes:.0f}", target))
    print(f"{about_machine()}.\n")
    header = ("fit", "X", "memory beyond X", "MiB", "below")
    print(table(header, rows))


if __name__ == "__main__":
    main()

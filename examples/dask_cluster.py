"""A robust fit of a folder of Parquet files by the workers of a Dask cluster.

Each file is a day of taxi rides that are made up: a fare of 3 dollars, 2.50 a mile and 0.50 a
minute, with noise of Student's t. One fare in twenty was typed in cents. Each worker reads files
and sends back sums, so that neither it nor this process ever holds the table, and the digits do
not depend on how many workers there are. On a cluster that is there already, pass its address to
``Client``, and put the files where all workers can read them.

Run it with ``python examples/dask_cluster.py [--days 10] [--rides 50000]``. It needs dask,
distributed and pyarrow: ``pip install robustreg[scale]``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

from robustreg import HuberRegressor, L1Regressor, L2Regressor

COLUMNS = ["miles", "minutes"]
TRUE = {"intercept": 3.0, "miles": 2.5, "minutes": 0.5}
IN_CENTS = 0.05  # share of the fares


def write_day(path: Path, day: int, rides: int) -> None:
    """The rides of a day as a file."""
    rng = np.random.default_rng([0, day])
    miles = rng.gamma(2.0, 1.5, rides)
    minutes = 4.0 * miles + rng.gamma(4.0, 2.0, rides)
    fare = TRUE["intercept"] + TRUE["miles"] * miles + TRUE["minutes"] * minutes
    fare += 0.5 * rng.standard_t(3, rides)
    fare[rng.random(rides) < IN_CENTS] *= 100.0
    pd.DataFrame({"miles": miles, "minutes": minutes, "fare": fare}).to_parquet(path)


def line(name: str, intercept: float, coef: np.ndarray, rest: str) -> str:
    """A line of the table that is printed."""
    numbers = "".join(f"{value:10.3f}" for value in (intercept, *coef))
    return f"{name:16}{numbers}{rest}"


def fit(model: L2Regressor | L1Regressor | HuberRegressor, rides: dd.DataFrame) -> str:
    """Fit a model on the cluster, and say what it has found."""
    start = perf_counter()
    model.fit(rides[COLUMNS], rides["fare"])
    rest = f"{model.n_passes_:8}{perf_counter() - start:9.1f}"
    return line(type(model).__name__, model.intercept_, model.coef_, rest)


def main() -> None:
    """Write the files, start two workers, and print three fits."""
    parser = argparse.ArgumentParser(description="Robust fits on a Dask cluster.")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rides", type=int, default=50_000, help="of each day")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for day in range(args.days):
            write_day(Path(name) / f"{day:03}.parquet", day, args.rides)
        workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with workers as cluster, Client(cluster):
            rides = dd.read_parquet(name)
            print(f"{args.days * args.rides:,} rides in {rides.npartitions} files, two workers\n")
            print(
                f"{'':16}{'intercept':>10}{'miles':>10}{'minutes':>10}{'passes':>8}{'seconds':>9}"
            )
            for model in (L2Regressor(), L1Regressor(), HuberRegressor()):
                print(fit(model, rides))
            print(line("true", TRUE["intercept"], np.array([TRUE[name] for name in COLUMNS]), ""))
            fares = rides.assign(expected=model.predict(rides[COLUMNS]))
            odd = fares[fares["fare"] > 10.0 * fares["expected"]].compute()
    print(f"\n{len(odd):,} fares are more than ten times what they should be:")
    print(odd.head(3).round(1).to_string(index=False))


if __name__ == "__main__":
    main()

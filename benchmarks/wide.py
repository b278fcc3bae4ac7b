"""How long fits of wide and of sparse tables take, next to scikit-learn's and R quantreg's.

    python benchmarks/wide.py [--repeats 3] [--quick] [--only sparse_l2 ...] [--limit 60]

Every contest is one objective of one table. Peers minimise the same (scikit-learn's alpha and
epsilon are converted), at their defaults and then at ever smaller tolerances, until their
objective is at most 1e-8 of ours above it: the column "excess" says how far. "At least", how many
times faster ours is to be, stands at the fastest of those that are as accurate; scikit-learn's
HuberRegressor may end before that at any tolerance. Python's fits run in a process beside this
one, R's in another; what takes longer than the limit is stopped ("> 60"), ours after twice as
long. After a round that is not timed, what takes less than ten seconds runs in turns, and the
tables show medians. Sparse tables are of _one_hot.py, X in CSR; dense ones have normal columns,
of which one in ten matters. Noise of Student's t with 3 degrees of freedom, 10 % of the rows with
a gross error in y.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from _common import about_machine, table
from _growth import grow
from _objectives import Objective
from _one_hot import one_hot
from _wide import HEADER, Limits, contests
from _worker import Make, Worker

SPARSE = (20_000, 250, 6), (100_000, 1250, 22), (100_000, 25_000, 40)  # rows, levels, categories
SMALL_SPARSE = ((2000, 100, 6),)
DENSE = (20_000, 500), (20_000, 1000), (5000, 2000), (3000, 5000)
SMALL_DENSE = (1000, 100), (200, 300)
RIDGE, LASSO = 1e-4, 1e-3  # of sparse tables
DENSE_RIDGE, SHORT_RIDGE = 0.1, 10.0  # a smaller one fits gross errors where columns outnumber rows
DENSE_LASSO = {"L2": 1.0, "Huber": 0.05, "L1": 0.05}


def dense(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal columns, of which one in ten matters; noise and gross errors as in sparse tables."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X[:, ::10] @ rng.standard_normal(len(range(0, p, 10))) + rng.standard_t(3, n)
    wrong = rng.choice(n, n // 10, replace=False)
    y[wrong] += 100.0 * rng.standard_normal(len(wrong))
    return X, y


def limits_of(args: argparse.Namespace) -> Limits:
    """Rounds and seconds."""
    return Limits(1, min(args.limit, 5.0)) if args.quick else Limits(args.repeats, args.limit)


def sparse_sizes(args: argparse.Namespace) -> tuple[tuple[int, int, int], ...]:
    """Rows, levels and categories."""
    return SMALL_SPARSE if args.quick else SPARSE


def compare_sparse_l2(args: argparse.Namespace) -> str:
    """Least squares with a ridge, sparse, against scikit-learn's Ridge."""
    tables: dict[Make, Mapping[Objective, object]] = {
        partial(one_hot, *size): {Objective("L2", "ridge", RIDGE): 1 if size[0] > 20_000 else ""}
        for size in sparse_sizes(args)
    }
    return table(HEADER, contests(tables, limits_of(args)))


def compare_sparse_huber(args: argparse.Namespace) -> str:
    """Huber, sparse, against scikit-learn's HuberRegressor, which has no lasso."""
    tables: dict[Make, Mapping[Objective, object]] = {}
    for size in sparse_sizes(args):
        target = 10 if size[0] > 20_000 else ""
        tables[partial(one_hot, *size)] = {
            Objective("Huber", "none"): target,
            Objective("Huber", "ridge", RIDGE): target,
            Objective("Huber", "lasso", LASSO): "",
        }
    return table(HEADER, contests(tables, limits_of(args)))


def compare_sparse_l1(args: argparse.Namespace) -> str:
    """Absolute deviations, sparse, against R's rq.fit.sfn and scikit-learn; full rank or lasso."""
    tables: dict[Make, Mapping[Objective, object]] = {}
    for size in sparse_sizes(args):
        is_widest = size == SPARSE[-1]
        full_rank = partial(one_hot, *size, leave_out=True)
        tables[full_rank] = {Objective("L1", "none"): "" if is_widest else 2}
        lasso_target = "in 15 s" if is_widest else ""
        tables[partial(one_hot, *size)] = {Objective("L1", "lasso", LASSO): lasso_target}
    return table(HEADER, contests(tables, limits_of(args)))


def compare_dense(args: argparse.Namespace, loss: str, targets: Mapping[str, object]) -> str:
    """One loss; without a penalty where there are more rows than columns."""
    tables: dict[Make, Mapping[Objective, object]] = {}
    for n, p in SMALL_DENSE if args.quick else DENSE:
        objectives = [Objective(loss, "none")] if n > p else []
        objectives.append(Objective(loss, "ridge", DENSE_RIDGE if n > p else SHORT_RIDGE))
        objectives.append(Objective(loss, "lasso", DENSE_LASSO[loss]))
        tables[partial(dense, n, p)] = {o: targets.get(o.penalty, "") for o in objectives}
    return table(HEADER, contests(tables, limits_of(args)))


def compare_dense_l2(args: argparse.Namespace) -> str:
    """Least squares, dense, against scikit-learn's Ridge by Cholesky, and its Lasso."""
    return compare_dense(args, "L2", {"none": 1, "ridge": 1})


def compare_dense_huber(args: argparse.Namespace) -> str:
    """Huber, dense, against scikit-learn's HuberRegressor."""
    return compare_dense(args, "Huber", {"none": 5, "ridge": 5})


def compare_dense_l1(args: argparse.Namespace) -> str:
    """Absolute deviations, dense, against R's rq.fit.fnb and scikit-learn."""
    return compare_dense(args, "L1", {})


def compare_memory(args: argparse.Namespace) -> str:
    """Peak memory beyond X, in multiples of the memory that X, CSR, takes itself."""
    if sys.platform != "linux":
        return "Only Linux tells the largest resident size of a part of a process: left out."
    objectives = {
        Objective("L2", "ridge", RIDGE): "5",
        Objective("Huber", "none"): "5",
        Objective("Huber", "ridge", RIDGE): "5",
        Objective("Huber", "lasso", LASSO): "5",
        Objective("L1", "lasso", LASSO): "",
    }
    rows = []
    for size in sparse_sizes(args):
        make = partial(one_hot, *size)
        X, _ = make()
        stored = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
        for objective, target in list(objectives.items())[: 2 if args.quick else None]:
            found = [peak(make, objective, way, 2 * args.limit) for way in ("numpy", "resident")]
            cells = [f"{bytes_ / 2**20:.1f}" if bytes_ else "" for bytes_ in found]
            times = f"{max(found) / stored:.1f}" if all(found) else f"over {2 * args.limit:g} s"
            data = "{:,} x {:,}".format(*X.shape)
            rows.append((data, str(objective), f"{stored / 2**20:.1f}", *cells, times, target))
    header = ("data", "fit", "X, MiB", "NumPy, MiB", "resident, MiB", "times X", "below")
    return table(header, rows)


def peak(make: Make, objective: Objective, way: str, limit: float) -> int:
    """Bytes that a fit needs, at most, in a process of its own; 0 where it takes too long."""
    worker = Worker(make)
    try:
        return worker.fit(objective.ours, limit, memory=way).memory
    except TimeoutError:
        return 0
    finally:
        worker.close()


def compare_growth(args: argparse.Namespace) -> str:
    """Growth with rows (dense, ten columns), columns and entries (sparse, 100 000 rows)."""
    return grow(args.quick, limits_of(args), args.plot)


SECTIONS = {
    "sparse_l2": compare_sparse_l2,
    "sparse_huber": compare_sparse_huber,
    "sparse_l1": compare_sparse_l1,
    "dense_l2": compare_dense_l2,
    "dense_huber": compare_dense_huber,
    "dense_l1": compare_dense_l1,
    "memory": compare_memory,
    "growth": compare_growth,
}


def main() -> None:
    """Print one section after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="timed rounds (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one round of small tables")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--limit", type=float, default=60.0, help="seconds (default: 60)")
    parser.add_argument("--plot", type=Path, help="where to draw the growth")
    args = parser.parse_args()
    print(f"{about_machine()}; medians of {limits_of(args).repeats}.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args)}", flush=True)


if __name__ == "__main__":
    main()

"""How long fits take, next to scikit-learn's and statsmodels'.

    python benchmarks/huber.py [--repeats 7] [--quick] [--only million ...]

Everything that is compared runs in turns in one process; the tables show medians and their
ratios. `fit` includes validation. Data: standard normal columns, noise of Student's t with 3
degrees of freedom, 10 % of the rows with a gross error in y, unless a table is named.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from _common import (
    about_machine,
    interleave,
    milliseconds,
    sklearn_epsilon,
    synthetic,
    table,
    timing_parser,
)
from scipy.optimize import brentq
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_limits

from robustreg import HuberRegressor, L2Regressor
from robustreg.datasets import load_california_housing
from robustreg.losses import Huber

OURS, OURS_L2 = "robustreg Huber", "robustreg L2"
SKLEARN, SKLEARN_ONE = "scikit-learn Huber", "scikit-learn Huber, 1 thread"
LEAST_SQUARES, STATSMODELS, PRODUCT = "LinearRegression", "statsmodels RLM", "X @ w"
HEADER = ("data", "ours", "ms", "peer", "ms", "times faster", "at least")


def sklearn_tasks(
    X: np.ndarray, y: np.ndarray, max_iter: int = 1000
) -> dict[str, Callable[[], object]]:
    """scikit-learn's HuberRegressor at its default BLAS threads and at one."""
    model = SklearnHuber(alpha=0.0, max_iter=max_iter)

    def one_thread() -> None:
        with threadpool_limits(1):
            model.fit(X, y)

    return {SKLEARN: lambda: model.fit(X, y), SKLEARN_ONE: one_thread}


def row(data: str, times: dict[str, float], ours: str, peer: str, target: float) -> list[object]:
    """One comparison for the table."""
    ratio = f"{times[peer] / times[ours]:.1f}"
    return [data, ours, milliseconds(times[ours]), peer, milliseconds(times[peer]), ratio, target]


def compare_synthetic(args: argparse.Namespace) -> str:
    """Against scikit-learn's HuberRegressor at 100 000 rows."""
    rows = []
    for n, p in ((100_000, 20), (100_000, 100)):
        X, y = synthetic(n, p)
        tasks = {OURS: lambda X=X, y=y: HuberRegressor().fit(X, y), **sklearn_tasks(X, y)}
        times, name = interleave(tasks, args.repeats), f"{n:,} x {p}"
        rows.append(row(name, times, OURS, SKLEARN, 10))
        rows.append(row(name, times, OURS, SKLEARN_ONE, 4))
    return table(HEADER, rows)


def compare_million(args: argparse.Namespace) -> str:
    """Against everything at 1 000 000 x 20, and in passes over X."""
    n, p = 1_000_000, 20
    X, y = synthetic(n, p)
    w = np.ones(p)
    tasks = {
        OURS: lambda: HuberRegressor().fit(X, y),
        OURS_L2: lambda: L2Regressor().fit(X, y),
        LEAST_SQUARES: lambda: LinearRegression().fit(X, y),
        PRODUCT: lambda: X @ w,
        **sklearn_tasks(X, y),
    }
    times, name = interleave(tasks, args.repeats), f"{n:,} x {p}"
    rows = [
        row(name, times, OURS, SKLEARN, 12),
        row(name, times, OURS, SKLEARN_ONE, 6),
        row(name, times, OURS, LEAST_SQUARES, 2),
        row(name, times, OURS_L2, LEAST_SQUARES, 3),
    ]
    passes = [
        (key, milliseconds(times[key]), f"{times[key] / times[PRODUCT]:.1f}", aim)
        for key, aim in ((OURS, "12"), (OURS_L2, ""), (LEAST_SQUARES, ""), (SKLEARN, ""))
    ]
    pass_header = (
        f"{name}: passes over X",
        "ms",
        f"`X @ w` of {1e3 * times[PRODUCT]:.1f} ms",
        "aim",
    )
    return f"{table(HEADER, rows)}\n\n{table(pass_header, passes)}"


def compare_statsmodels(args: argparse.Namespace) -> str:
    """Against statsmodels' RLM at 20 000 x 10."""
    try:
        from statsmodels.api import RLM, add_constant
    except ImportError:
        return "statsmodels is not installed: left out."
    n, p = 20_000, 10
    X, y = synthetic(n, p)
    extended = add_constant(X)
    tasks = {
        OURS: lambda: HuberRegressor().fit(X, y),
        STATSMODELS: lambda: RLM(y, extended).fit(),
    }
    times = interleave(tasks, 3 * args.repeats)
    return table(HEADER, [row(f"{n:,} x {p}", times, OURS, STATSMODELS, 20)])


def compare_diabetes(args: argparse.Namespace) -> str:
    """Against scikit-learn's HuberRegressor on a small real table."""
    X, y = load_diabetes(return_X_y=True)
    tasks = {OURS: lambda: HuberRegressor().fit(X, y), **sklearn_tasks(X, y)}
    times, name = interleave(tasks, 10 * args.repeats), "load_diabetes, 442 x 10"
    rows = [row(name, times, OURS, peer, 6) for peer in (SKLEARN, SKLEARN_ONE)]
    return table(HEADER, rows)


def compare_california(args: argparse.Namespace) -> str:
    """Against scikit-learn's HuberRegressor on a real table with raw columns."""
    X, y = california()
    name = f"California housing, {len(X):,} x {X.shape[1]}"
    iterations = 10_000
    tasks = {OURS: lambda: HuberRegressor().fit(X, y), **sklearn_tasks(X, y, iterations)}
    times = interleave(tasks, args.repeats)
    rows = [row(name, times, OURS, peer, 20) for peer in (SKLEARN, SKLEARN_ONE)]
    return f"{table(HEADER, rows)}\n\n{california_fits(X, y, iterations)}"


def california_fits(X: np.ndarray, y: np.ndarray, iterations: int) -> str:
    """What the fits are worth: scikit-learn's and ours, at our threshold and at theirs."""
    theirs = SklearnHuber(alpha=0.0, max_iter=iterations).fit(X, y)
    epsilon = theirs.epsilon
    delta = brentq(lambda delta: sklearn_epsilon(delta) - epsilon, 0.1, 10.0)
    converted = HuberRegressor(delta=delta).fit(X, y)
    unit = delta / epsilon
    least = converted.objective_
    rho = Huber(delta).rho((y - theirs.predict(X)) * unit / theirs.scale_)
    reached = theirs.scale_ / unit * (rho.mean() + Huber(delta).kappa)
    ours = HuberRegressor().fit(X, y)
    fits = [
        (f"{OURS}, delta=1.345", ours, 1.0, f"{ours.dual_gap_ / ours.objective_:.0e}, certified"),
        (
            f"{OURS}, delta={delta:.4f}",
            converted,
            unit,
            f"{converted.dual_gap_ / least:.0e}, certified",
        ),
        (f"{SKLEARN}, epsilon={epsilon}", theirs, 1.0, f"{reached / least - 1.0:.0e}"),
    ]
    cells = [
        (
            name,
            f"{np.median(np.abs(y - model.predict(X))):,.0f}",
            f"{model.scale_ * factor:,.0f}",
            model.n_iter_,
            gap,
        )
        for name, model, factor, gap in fits
    ]
    header = ("fit", "median of abs error", "scale_", "iterations", "objective above its minimum")
    note = "The last two minimise the same objective; their scales are in scikit-learn's units."
    return f"{table(header, cells)}\n\n{note}"


def california() -> tuple[np.ndarray, np.ndarray]:
    """California housing, complete rows: the raw columns, and dummies for the category."""
    bunch = load_california_housing()
    complete = ~np.isnan(bunch.data).any(axis=1)
    X, y = bunch.data[complete], bunch.target[complete]
    kinds = len(bunch.categories["ocean_proximity"])
    return np.hstack([X[:, :-1], X[:, -1:] == np.arange(kinds)]), y


def compare_scaled(args: argparse.Namespace) -> str:
    """What columns in wild units cost."""
    rows = []
    for n, p in ((100_000, 20), (1_000_000, 20)):
        X, y = synthetic(n, p)
        unit = np.logspace(-6.0, 6.0, p)
        Z = X * unit
        tasks = {
            "like": lambda X=X, y=y: HuberRegressor().fit(X, y),
            "wild": lambda Z=Z, y=y: HuberRegressor().fit(Z, y),
        }
        times = interleave(tasks, 2 * args.repeats)
        like, wild = HuberRegressor().fit(X, y).coef_, HuberRegressor().fit(Z, y).coef_ * unit
        rows.append(
            (
                f"{n:,} x {p}",
                milliseconds(times["like"]),
                milliseconds(times["wild"]),
                f"{times['wild'] / times['like']:.2f}",
                "1.3",
                f"{np.abs(wild - like).max() / np.abs(like).max():.0e}",
            )
        )
    header = (
        "data",
        "ms",
        "columns times 1e-6 ... 1e6, ms",
        "ratio",
        "at most",
        "coefficients move",
    )
    return table(header, rows)


SECTIONS = {
    "synthetic": compare_synthetic,
    "million": compare_million,
    "statsmodels": compare_statsmodels,
    "diabetes": compare_diabetes,
    "california": compare_california,
    "scaled": compare_scaled,
}


def main() -> None:
    """Print one section after the other."""
    parser = timing_parser(__doc__, SECTIONS, repeats=7)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{about_machine()}; medians of {args.repeats} or more.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args)}", flush=True)


if __name__ == "__main__":
    main()

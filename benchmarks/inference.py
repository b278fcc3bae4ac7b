"""How long inference takes, next to R's sandwich, robustbase and quantreg, and to statsmodels.

    python benchmarks/inference.py [--repeats 5] [--quick] [--only smooth ...]

Everything that is compared runs in turns, in each of them for a twentieth of a second at least, and
starts from a fit that is there: ours is `infer` with its check of the rows, R's a covariance
function, timed by R, statsmodels' `get_robustcov_results`. The tables show medians, their ratio,
and, where both compute the same or nearly so, between which bounds our standard errors over the
peer's are ("rank": widths of intervals). "our fit" is the fit itself: at least 0.5 means that
inference takes twice its time at most. R's `rq.fit.br` fits, too. Where R, a package of it or
statsmodels is missing, its rows are left out. Data as in quantile.py, of MM as in
high_breakdown.py.
"""

from __future__ import annotations

import argparse
import pickle
import tracemalloc
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
from _common import (
    interleave,
    leverage,
    milliseconds,
    synthetic,
    table,
    timing_parser,
)
from _r import R, print_beside
from sklearn.base import clone

from robustreg import HuberRegressor, L2Regressor, MMRegressor, QuantileRegressor
from robustreg.inference import Inference, infer
from robustreg.inference._rows import with_rows_of
from robustreg.inference.quantiles._rank import rank_intervals

SIZES = 10_000, 100_000
IN_A_ROW = 0.05  # seconds that a task takes its turn for, at least
FIT = "our fit"
GROUPS = 100
PACKAGES = ("sandwich", "robustbase", "quantreg")
HEADER = ("data", "robustreg", "ms", "peer", "ms", "times faster", "at least", "ours / theirs")

Rs = Mapping[str, R | None]
Read = Callable[[Inference], np.ndarray]


def errors_of(result: Inference) -> np.ndarray:
    """What two programs are compared by, unless a table says otherwise."""
    return result.standard_errors


class Turns:
    """What is timed in turns on one table, and the numbers that each task has found.

    Attributes
    ----------
    X, y : ndarray
        The table.
    tasks : dict of str to callable
        What is timed; a task of R returns the seconds.
    found : dict of str to ndarray
        Standard errors, the intercept's first.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = X, y
        self.tasks: dict[str, Callable[[], object]] = {}
        self.found: dict[str, np.ndarray] = {}
        self.compared: list[tuple[str, str, object, bool]] = []

    def ours(self, name: str, model: Any, read: Read = errors_of, **options: Any) -> None:
        """Enter inference on a model, which is fitted here, and timed as "our fit of" it."""
        fitted = clone(model).fit(self.X, self.y)

        def work() -> None:
            self.found[name] = read(infer(fitted, self.X, self.y, **options))

        self.tasks[name] = work
        self.tasks[f"{FIT} {type(model).__name__}"] = lambda: clone(model).fit(self.X, self.y)

    def theirs(self, name: str, r: R, method: str, *arguments: float) -> None:
        """Enter a method of R, which has loaded the table."""

        def work() -> float:
            seconds, self.found[name] = r.fit(method, *arguments)
            return seconds

        self.tasks[name] = work

    def compare(self, ours: str, peer: str, target: object = "", same: bool = True) -> None:
        """Show two of them in one row, with how many times faster ours should be."""
        self.compared.append((ours, peer, target, same))

    def rows(self, repeats: int, untimed: int = 1) -> list[list[object]]:
        """Run everything in turns; one row for each comparison that has a peer."""
        times = interleave(self.tasks, repeats, untimed, IN_A_ROW)
        return [self._row(times, *entry) for entry in self.compared if {*entry[:2]} <= times.keys()]

    def _row(
        self, times: Mapping[str, float], ours: str, peer: str, aim: object, same: bool
    ) -> list[object]:
        data = "{:,} x {}".format(*self.X.shape)
        row = [data, ours, milliseconds(times[ours]), peer, milliseconds(times[peer])]
        bounds = ""
        if same and peer in self.found:
            ratio = self.found[ours] / self.found[peer]
            bounds = f"{ratio.min():.4f} to {ratio.max():.4f}"
        return [*row, f"{times[peer] / times[ours]:.2f}", aim, bounds]


def add_statsmodels(turns: Turns, groups: np.ndarray) -> None:
    """Enter statsmodels' HC3 and its clusters of least squares, where it is installed."""
    try:
        from statsmodels.api import OLS, add_constant
    except ImportError:
        return
    extended = add_constant(turns.X)

    def enter(name: str, kind: str, **options: Any) -> None:
        def work() -> float:
            fitted = OLS(turns.y, extended).fit()  # anew, for it keeps its matrices
            start = perf_counter()
            turns.found[name] = fitted.get_robustcov_results(kind, **options).bse
            return perf_counter() - start

        turns.tasks[name] = work

    enter("statsmodels HC3", "HC3")
    enter("statsmodels cluster", "cluster", groups=groups)


def compare_smooth(args: argparse.Namespace, rs: Rs) -> str:
    """Least squares and Huber, against vcovHC and vcovCL of lm, statsmodels, and the fits."""
    rows = []
    for n, faster in zip(SIZES, (8, 12), strict=True):
        turns = Turns(*synthetic(n, 20))
        groups = np.arange(n) * GROUPS // n
        l2, huber = L2Regressor(), HuberRegressor()
        turns.ours("Huber HC3", huber)
        turns.ours("L2 HC3", l2)
        turns.ours("L2 CR1", l2, covariance="CR1", groups=groups)
        turns.ours("L2 CR3", l2, groups=groups)
        turns.ours("Huber CR3", huber, groups=groups)
        add_statsmodels(turns, groups)
        if r := rs["sandwich"]:
            r.load(turns.X, turns.y)
            r.fit("lm")
            turns.theirs("vcovHC HC3", r, "HC3")
            turns.theirs("vcovCL HC1", r, "CR1", GROUPS)
            if n == min(SIZES):  # takes minutes with more rows
                turns.theirs("vcovCL HC3", r, "CR3", GROUPS)
        turns.compare("Huber HC3", "vcovHC HC3", faster, same=False)
        turns.compare("Huber HC3", f"{FIT} HuberRegressor", 0.5 if n == max(SIZES) else "")
        turns.compare("L2 HC3", "vcovHC HC3")
        turns.compare("L2 HC3", "statsmodels HC3")
        turns.compare("L2 HC3", f"{FIT} L2Regressor")
        turns.compare("L2 CR1", "vcovCL HC1")
        turns.compare("L2 CR1", "statsmodels cluster")
        turns.compare("L2 CR3", "vcovCL HC3")
        turns.compare("Huber CR3", "vcovCL HC3", same=False)
        rows += turns.rows(args.repeats)
    return table(HEADER, rows)


def compare_mm(args: argparse.Namespace, rs: Rs) -> str:
    """MM, against robustbase's two covariances and the fit."""
    rows = []
    for n, faster in zip(SIZES, (1.5, 3), strict=True):
        turns = Turns(*leverage(n, 20))
        mm = MMRegressor(random_state=0)
        turns.ours("MM HC3", mm)
        turns.ours("MM HC0", mm, covariance="HC0")
        turns.ours("MM classical", mm, covariance="classical")
        if r := rs["robustbase"]:
            r.load(turns.X, turns.y)
            r.fit("lmrob", 1)
            turns.theirs(".vcov.avar1", r, "avar1")
            turns.theirs(".vcov.w", r, "w")
        turns.compare("MM HC3", ".vcov.avar1", faster)
        turns.compare("MM HC0", ".vcov.avar1")
        turns.compare("MM classical", ".vcov.w")
        turns.compare("MM HC3", f"{FIT} MMRegressor")
        rows += turns.rows(args.repeats)
    return table(HEADER, rows)


def compare_quantile(args: argparse.Namespace, rs: Rs) -> str:
    """The median, against quantreg's summary(se=, hs=FALSE) and the fit."""
    rows = []
    for n, targets in zip(SIZES, ((5, 1, 2), (12, 3, 5)), strict=True):
        turns = Turns(*synthetic(n, 20))
        r = rs["quantreg"]
        if r:
            r.load(turns.X, turns.y)
            r.fit("rq", 0.5)
        methods = {"nid": "nid", "iid": "iid", "kernel": "ker"}
        for (kind, method), target in zip(methods.items(), targets, strict=True):
            turns.ours(kind, QuantileRegressor(0.5), covariance=kind)
            if r:
                turns.theirs(f"summary.rq {method}", r, method)
            turns.compare(kind, f"summary.rq {method}", target)
        turns.compare("nid", f"{FIT} QuantileRegressor", 0.33 if n == max(SIZES) else "")
        rows += turns.rows(args.repeats)
    return table(HEADER, rows)


def compare_rank(args: argparse.Namespace, rs: Rs) -> str:
    """Intervals of all coefficients of the median by rank tests; those of "rank" and p-values."""

    def widths(result: Inference) -> np.ndarray:
        return np.diff(result.conf_int())[:, 0]

    turns = Turns(*synthetic(1000, 20))
    turns.ours("rank", QuantileRegressor(0.5), widths, covariance="rank")
    model = QuantileRegressor(0.5).fit(turns.X, turns.y)

    def one_level() -> None:
        """What R has, too: noise that does not depend on x, and one level."""
        limits = with_rows_of(
            model, turns.X, turns.y, None, lambda fitted: rank_intervals(fitted, 0.5, 0.95)
        )
        turns.found["its limits, 95 %"] = np.diff(limits)[:, 0]

    turns.tasks["its limits, 95 %"] = one_level
    if r := rs["quantreg"]:
        r.load(turns.X, turns.y)
        turns.theirs("rq.fit.br(ci = TRUE)", r, "rank", 0.5)
    turns.compare("its limits, 95 %", "rq.fit.br(ci = TRUE)", 1)
    turns.compare("rank", "rq.fit.br(ci = TRUE)", same=False)
    turns.compare("rank", f"{FIT} QuantileRegressor")
    return table(HEADER, turns.rows(args.repeats))


def compare_bootstrap(args: argparse.Namespace, rs: Rs) -> str:
    """The bootstrap, without a round that is not timed: 200 draws of a median, 999 of M and MM."""
    rows = []
    for n, faster, most in zip(SIZES, (1, 1.5), ("1000 ms", "10 000 ms"), strict=True):
        turns = Turns(*synthetic(n, 20))
        drawn = {"covariance": "bootstrap", "random_state": 0}
        turns.ours("median, 200 draws", QuantileRegressor(0.5), n_resamples=200, **drawn)
        if r := rs["quantreg"]:
            r.load(turns.X, turns.y)
            r.fit("rq", 0.5)
            turns.theirs("boot.rq.pwxy", r, "pwxy", 0.5, 200)
        turns.compare("median, 200 draws", "boot.rq.pwxy", faster)
        for model in (HuberRegressor(), MMRegressor(random_state=0)):
            name = f"{type(model).__name__}, 999 draws"
            turns.ours(name, model, **drawn)
            turns.compare(name, f"{FIT} {type(model).__name__}", f"at most {most}")
        rows += turns.rows(min(args.repeats, 3), untimed=0)
    return table(HEADER, rows)


def compare_million(args: argparse.Namespace, rs: Rs) -> str:
    """covariance="auto" at 1 000 000 x 20, against the fits."""
    turns = Turns(*synthetic(1_000_000, 20))
    for model in (L2Regressor(), HuberRegressor()):
        name = type(model).__name__
        turns.ours(name, model)
        turns.compare(name, f"{FIT} {name}", 0.5)
    return table(HEADER, turns.rows(args.repeats))


def compare_memory(args: argparse.Namespace, rs: Rs) -> str:
    """The most that NumPy holds during `infer` beyond what was there before; X: 1 000 000 x 20."""
    X, y = synthetic(1_000_000, 20)
    groups = np.arange(len(y)) * GROUPS // len(y)
    rows = []
    for model, options in (
        (L2Regressor(), {}),
        (HuberRegressor(), {}),
        (HuberRegressor(), {"groups": groups}),
        (MMRegressor(random_state=0), {}),
        (QuantileRegressor(0.5), {}),
        (QuantileRegressor(0.5), {"covariance": "kernel"}),
    ):
        model.fit(X, y)
        tracemalloc.start()
        kind = infer(model, X, y, **options).covariance_type
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        shares = f"{peak / y.nbytes:.1f}", f"{100 * peak / X.nbytes:.0f} %"
        rows.append((type(model).__name__, kind, f"{peak / 2**20:.0f}", *shares))
    return table(("fit", "covariance", "MiB", "times y", "of X"), rows)


def compare_result(args: argparse.Namespace, rs: Rs) -> str:
    """Printing a result of 500 columns, and the size of a pickled one of 20."""
    X, y = synthetic(2000, 500)
    wide = infer(L2Regressor().fit(X, y), X, y)
    times = interleave({"text": lambda: str(wide)}, args.repeats)
    rows = [("str(result), 500 columns", f"{milliseconds(times['text'])} ms", "50 ms")]
    X, y = synthetic(1000, 20)
    for model in (
        L2Regressor(),
        HuberRegressor(),
        MMRegressor(random_state=0),
        QuantileRegressor(),
    ):
        size = len(pickle.dumps(infer(model.fit(X, y), X, y)))
        rows.append(
            (f"pickle, 20 columns, {type(model).__name__}", f"{size / 1e3:.1f} kB", "20 kB")
        )
    return table(("what", "found", "at most"), rows)


SECTIONS = {
    "smooth": compare_smooth,
    "mm": compare_mm,
    "quantile": compare_quantile,
    "rank": compare_rank,
    "bootstrap": compare_bootstrap,
    "million": compare_million,
    "memory": compare_memory,
    "result": compare_result,
}


def main() -> None:
    """Print one section after the other."""
    args = timing_parser(__doc__, SECTIONS, repeats=5).parse_args()
    print_beside(args, SECTIONS, PACKAGES)


if __name__ == "__main__":
    main()

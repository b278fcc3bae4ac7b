"""How long quantile fits take, next to scikit-learn's, R quantreg's and statsmodels'.

    python benchmarks/quantile.py [--repeats 5] [--quick] [--only quantreg ...] [--picture FILE]

Everything that is compared runs in turns; the tables show medians, their ratios, and by how much
the peer's objective is above ours. R runs beside Python with the same table in its memory, and
times its fits itself: rq.fit.pfn without formula and data frame, where our `fit` includes
validation and the certificate. conquer minimises a smoothed loss, hence is approximate. Where R
or quantreg is missing, it is left out. Data: standard normal columns, noise of Student's t with 3
degrees of freedom, 10 % of the rows with a gross error in y, unless a table says otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from _common import about_machine, interleave, milliseconds, synthetic, table, timing_parser
from _r import R, start_r
from sklearn.linear_model import QuantileRegressor as SklearnQuantile

from robustreg import QuantileRegressor
from robustreg.losses import Quantile

OURS, SKLEARN, STATSMODELS = "robustreg", "scikit-learn", "statsmodels"
PFN, CONQUER = "quantreg pfn", "conquer, approximate"
R_METHODS = {PFN: "pfn", CONQUER: "conquer"}
HEADER = ("data", "quantile", "robustreg, ms", "peer", "ms", "times faster", "at least", "excess")
NO_R = "R with the package quantreg is not installed: left out."
LONGEST = 2.0  # seconds; scikit-learn is not asked for more rows after a fit that took longer
STYLES = {
    OURS: {"color": "#0b3c8c", "lw": 2.4, "marker": "o"},
    PFN: {"color": "#cc3311", "lw": 1.6, "marker": "s"},
    CONQUER: {"color": "0.62", "lw": 1.6, "marker": "^", "ls": "--"},
    SKLEARN: {"color": "#e58606", "lw": 1.6, "marker": "D"},
}


class Contest:
    """Fits of the same quantile to the same table by several programs, in turns.

    Attributes
    ----------
    seconds : dict of str to float
        The median time of each, after `run`.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, quantile: float, l1: float = 0.0) -> None:
        self.X, self.y, self.quantile, self.l1 = X, y, quantile, l1
        self.tasks: dict[str, Callable[[], object]] = {}
        self.found: dict[str, np.ndarray] = {}  # intercept and coefficients
        self.add_model(OURS, QuantileRegressor(quantile, alpha=l1, l1_ratio=1.0 if l1 else 0.0))

    def add_model(self, name: str, model: object) -> None:
        """Enter an estimator in scikit-learn's manner."""

        def fit() -> None:
            model.fit(self.X, self.y)
            self.found[name] = np.append(model.intercept_, model.coef_)

        self.tasks[name] = fit

    def add_r(self, r: R, names: Sequence[str]) -> None:
        """Enter fits of R, which has loaded the same table."""
        for name in names:

            def fit(name: str = name) -> float:
                seconds, self.found[name] = r.fit(R_METHODS[name], self.quantile)
                return seconds

            self.tasks[name] = fit

    def run(self, repeats: int) -> Contest:
        """Fit in turns."""
        self.seconds = interleave(self.tasks, repeats)
        return self

    def objective(self, name: str) -> float:
        """Mean pinball loss and L1 penalty of what a program has found."""
        intercept, *coef = self.found[name]
        loss = Quantile(self.quantile)(self.y, self.X @ coef + intercept)
        return loss + self.l1 * np.abs(coef).sum()

    def excess(self, peer: str) -> float:
        """By which share a peer's objective is above ours, which must not be the worse one."""
        excess = self.objective(peer) / self.objective(OURS) - 1.0
        if excess < -1e-9:
            raise RuntimeError(f"{peer} has a lower objective than robustreg, by {-excess:.1e}.")
        return excess

    def row(self, peer: str, target: object = "") -> list[object]:
        """One comparison for the table."""
        data = "{:,} x {}".format(*self.X.shape) + (f", L1 {self.l1:g}" if self.l1 else "")
        ratio = f"{self.seconds[peer] / self.seconds[OURS]:.1f}"
        times = milliseconds(self.seconds[OURS]), peer, milliseconds(self.seconds[peer])
        return [data, f"{self.quantile:g}", *times, ratio, target, f"{self.excess(peer):.0e}"]


def r_names(r: R) -> list[str]:
    """The methods that this R has."""
    return [PFN] if "no conquer" in r.versions else [PFN, CONQUER]


def compare_sklearn(args: argparse.Namespace, r: R | None) -> str:
    """Against scikit-learn's QuantileRegressor(solver="highs")."""
    rows = []
    for n, l1, target in ((10_000, 0.0, 200), (10_000, 0.1, ""), (1000, 0.0, "")):
        contest = Contest(*synthetic(n, 20), 0.5, l1)
        contest.add_model(SKLEARN, SklearnQuantile(quantile=0.5, alpha=l1, solver="highs"))
        rows.append(contest.run(args.repeats).row(SKLEARN, target))
    return table(HEADER, rows)


def compare_quantreg(args: argparse.Namespace, r: R | None) -> str:
    """Against R's quantreg and conquer."""
    if r is None:
        return NO_R
    rows = []
    for n, target in ((100_000, 2), (1_000_000, 2.5)):
        X, y = synthetic(n, 20)
        r.load(X, y)
        for quantile in (0.5, 0.9):
            contest = Contest(X, y, quantile)
            contest.add_r(r, r_names(r))
            contest.run(args.repeats)
            aims = {PFN: target if quantile == 0.5 else ""}
            rows += [contest.row(name, aims.get(name, "")) for name in r_names(r)]
    return table(HEADER, rows)


def compare_uneven(args: argparse.Namespace, r: R | None) -> str:
    """Against R where one row in ten is noisier by a factor of 100."""
    if r is None:
        return NO_R
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 20))
    y = X[:, 0] + rng.standard_normal(len(X))
    y[::10] *= 100.0
    r.load(X, y)
    rows = []
    for quantile in (0.5, 0.9, 0.97):
        contest = Contest(X, y, quantile)
        contest.add_r(r, [PFN])
        rows.append(contest.run(args.repeats).row(PFN))
    return table(HEADER, rows)


def compare_statsmodels(args: argparse.Namespace, r: R | None) -> str:
    """Against statsmodels' QuantReg at 20 000 x 10; it computes standard errors, too."""
    try:
        from statsmodels.api import QuantReg, add_constant
    except ImportError:
        return "statsmodels is not installed: left out."
    X, y = synthetic(20_000, 10)
    extended = add_constant(X)
    contest = Contest(X, y, 0.5)

    def fit() -> None:
        contest.found[STATSMODELS] = QuantReg(y, extended).fit(q=0.5).params

    contest.tasks[STATSMODELS] = fit
    return table(HEADER, [contest.run(args.repeats).row(STATSMODELS)])


def compare_several(args: argparse.Namespace, r: R | None) -> str:
    """Nine quantiles, 0.1 to 0.9, in one fit."""
    n, p, quantiles = 100_000, 20, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    X, y = synthetic(n, p)
    tasks: dict[str, Callable[[], object]] = {
        "robustreg, one fit": lambda: QuantileRegressor(quantiles).fit(X, y),
        "robustreg, nine fits": lambda: [QuantileRegressor(q).fit(X, y) for q in quantiles],
    }
    if r is not None:
        r.load(X, y)
        tasks[f"{PFN}, nine fits"] = lambda: sum(r.fit("pfn", q)[0] for q in quantiles)
    times = interleave(tasks, args.repeats)
    first = next(iter(times.values()))
    rows = [(name, milliseconds(time), f"{time / first:.1f}") for name, time in times.items()]
    return table((f"{n:,} x {p}", "ms", "times the first"), rows)


def compare_growth(args: argparse.Namespace, r: R | None) -> str:
    """Growth with the number of rows, 20 columns, the median."""
    seconds: dict[str, dict[int, float]] = {name: {} for name in STYLES}
    for n in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000):
        contest = Contest(*synthetic(n, 20), 0.5)
        if r is not None:
            r.load(contest.X, contest.y)
            contest.add_r(r, r_names(r))
        if max(seconds[SKLEARN].values(), default=0.0) < LONGEST:
            contest.add_model(SKLEARN, SklearnQuantile(quantile=0.5, alpha=0.0, solver="highs"))
        for name, time in contest.run(args.repeats).seconds.items():
            contest.excess(name)
            seconds[name][n] = time
    seconds = {name: times for name, times in seconds.items() if times}
    if args.picture:
        draw_growth(seconds, args.picture)
    rows = [
        [f"{n:,}", *(milliseconds(times[n]) if n in times else "" for times in seconds.values())]
        for n in seconds[OURS]
    ]
    return table(("rows", *(f"{name}, ms" for name in seconds)), rows)


def draw_growth(seconds: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Times against rows, both on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, times in seconds.items():
        panel.loglog(list(times), list(times.values()), label=name, ms=5, **STYLES[name])
    panel.set(xlabel="rows (20 columns)", ylabel="seconds")
    panel.set(title="Median regression: growth with the number of rows")
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


SECTIONS = {
    "sklearn": compare_sklearn,
    "quantreg": compare_quantreg,
    "uneven": compare_uneven,
    "statsmodels": compare_statsmodels,
    "several": compare_several,
    "growth": compare_growth,
}


def main() -> None:
    """Print one section after the other."""
    parser = timing_parser(__doc__, SECTIONS, repeats=5)
    parser.add_argument("--picture", type=Path, help="where to draw the growth")
    args = parser.parse_args()
    r = start_r("quantreg")
    print(f"{about_machine()}; {r.versions if r else 'no R'}; medians of {args.repeats}.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args, r)}", flush=True)
    if r is not None:
        r.close()


if __name__ == "__main__":
    main()

"""How long fits of small tables take, next to scikit-learn's and R's.

    python benchmarks/small.py [--repeats 7] [--quick] [--only smooth ...]

Everything that is compared runs in turns, in each of them for a twentieth of a second at least;
the tables show medians and their ratio. R runs beside Python with the same table in its memory
and times its fits itself, without formula and data frame, where our `fit` includes validation,
scale, weights, outliers and certificate. "Excess" is by which share what the peer has found is
above ours: the objective, of MM and S the S scale, of LTS the sum of the h smallest squared
residuals. Random searches have another seed in every fit, and the column has the bounds. It is
empty where the peer minimises something else. Data: the diabetes table of scikit-learn at 442 x
10; else as in huber.py and, for MM, S and LTS, as in high_breakdown.py. What is not installed is
left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from _common import (
    interleave,
    leverage,
    milliseconds,
    sklearn_epsilon,
    synthetic,
    table,
    timing_parser,
    trimmed_squares,
)
from _objectives import DELTA, Objective
from _r import R, print_beside
from sklearn.datasets import load_diabetes
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import LinearRegression
from sklearn.linear_model import QuantileRegressor as SklearnQuantile

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.losses import Quantile

IN_A_ROW = 0.05  # seconds that a task takes its turn for, at least
PACKAGES = ("quantreg", "MASS", "robustbase")
HEADER = ("data", "robustreg", "ms", "peer", "ms", "times faster", "at least", "excess")
DIABETES = (442, 10)
FIXED = (50, 3), DIABETES, (1000, 5)
SEARCHED = (50, 3), (100, 3), DIABETES, (1000, 5), (1000, 20)
TARGETS = {
    (DIABETES, "Huber", "scikit-learn Huber"): 12,
    (DIABETES, "Huber", "scikit-learn Huber, its epsilon"): 12,
    ((1000, 5), "median", "rq.fit.br"): 1,
    ((1000, 5), "median", "scikit-learn highs"): 20,
    ((100, 3), "MM", "lmrob"): 2,
    ((1000, 5), "MM", "lmrob"): 3,
    ((1000, 5), "LTS", "ltsReg"): 3,
}

Rs = Mapping[str, R | None]
Read = Callable[[Any], float]


class Turns:
    """What is timed in turns on one table, and the numbers that each task has found.

    Attributes
    ----------
    X, y : ndarray
        The table.
    tasks : dict of str to callable
        What is timed; a task of R returns the seconds.
    found : dict of str to list of float
        What is to be small, of every fit; nothing where it is another thing than ours.
    compared : list of (str, str)
        Ours and a peer, for the rows.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = X, y
        self.tasks: dict[str, Callable[[], object]] = {}
        self.found: dict[str, list[float]] = {}
        self.compared: list[tuple[str, str]] = []

    def model(self, name: str, model: Any, read: Read | None = None) -> None:
        """Enter an estimator in scikit-learn's manner; a random search has a seed for each fit."""
        found: list[float] = []
        is_random = hasattr(model, "random_state")

        def work() -> None:
            if is_random:
                model.random_state = len(found)
            model.fit(self.X, self.y)
            if read is not None:
                found.append(read(model))

        self.tasks[name], self.found[name] = work, found

    def r(
        self,
        name: str,
        r: R | None,
        method: str,
        *arguments: float,
        read: Read | None = None,
        seeded: bool = False,
    ) -> None:
        """Enter a method of R, if it is there; a random search is `seeded`, anew for each fit."""
        if r is None:
            return
        found: list[float] = []

        def work() -> float:
            seconds, numbers = r.fit(method, *arguments, *([len(found)] if seeded else []))
            if read is not None:
                found.append(read(numbers))
            return seconds

        self.tasks[name], self.found[name] = work, found

    def compare(self, ours: str, *peers: str) -> None:
        """Show one of ours in a row with each of the peers that are there."""
        self.compared += [(ours, peer) for peer in peers if peer in self.tasks]

    def rows(self, repeats: int) -> list[list[object]]:
        """Run everything in turns; one row for each comparison."""
        times = interleave(self.tasks, repeats, in_a_row=IN_A_ROW)
        rows = []
        for ours, peer in self.compared:
            row = ["{:,} x {}".format(*self.X.shape), ours, milliseconds(times[ours])]
            row += [peer, milliseconds(times[peer]), f"{times[peer] / times[ours]:.2f}"]
            target = TARGETS.get((self.X.shape, ours, peer), "")
            rows.append([*row, target, self._excess(ours, peer)])
        return rows

    def _excess(self, ours: str, peer: str) -> str:
        """The bounds of what the peer has found over ours, less 1."""
        mine, theirs = self.found[ours], self.found[peer]
        if not mine or not theirs:
            return ""
        bounds = min(theirs) / max(mine) - 1.0, max(theirs) / min(mine) - 1.0
        return " to ".join(dict.fromkeys(f"{bound:.0e}" for bound in bounds))


def enter_smooth(turns: Turns, rs: Rs) -> None:
    """Least squares, Huber and Tukey's biweight."""
    X, y = turns.X, turns.y
    squares, huber = Objective("L2", "none"), Objective("Huber", "none")

    def coefficients(model: Any) -> np.ndarray:
        return np.append(model.intercept_, model.coef_)

    def value_of_squares(model: Any) -> float:
        return squares.value(X, y, coefficients(model), np.nan)

    epsilon = sklearn_epsilon(DELTA)

    def value_of_theirs(model: Any) -> float:
        return huber.value(X, y, coefficients(model), model.scale_ * epsilon / DELTA)

    turns.model("L2", L2Regressor(), value_of_squares)
    turns.model("LinearRegression", LinearRegression(), value_of_squares)
    turns.r("lm.fit", rs["MASS"], "lm", read=lambda coef: squares.value(X, y, coef, np.nan))
    turns.compare("L2", "LinearRegression", "lm.fit")
    turns.model("Huber", HuberRegressor(), lambda model: model.objective_)
    theirs = SklearnHuber(epsilon=epsilon, alpha=0.0, max_iter=1000)
    turns.model("scikit-learn Huber", theirs, value_of_theirs)
    theirs = SklearnHuber(alpha=0.0, max_iter=1000)  # as in huber.py
    turns.model("scikit-learn Huber, its epsilon", theirs)
    turns.r("rlm, proposal 2", rs["MASS"], "rlm-proposal-2")
    peers = "scikit-learn Huber", "scikit-learn Huber, its epsilon", "rlm, proposal 2"
    turns.compare("Huber", *peers)
    turns.model('Huber, "mad"', HuberRegressor(scale="mad"))
    turns.r("rlm", rs["MASS"], "rlm-mad")
    turns.compare('Huber, "mad"', "rlm")
    turns.model("M, bisquare", MRegressor("bisquare"))
    turns.r("rlm, bisquare", rs["MASS"], "rlm-bisquare")
    turns.compare("M, bisquare", "rlm, bisquare")


def enter_quantiles(turns: Turns, rs: Rs) -> None:
    """L1, the median as a quantile, and the quantile 0.9."""
    X, y = turns.X, turns.y
    for level, names in ((0.5, ("median", "L1")), (0.9, ("quantile 0.9",))):

        def value(coef: np.ndarray, level: float = level) -> float:
            return Quantile(level)(y, X @ coef[1:] + coef[0])

        def value_of_model(model: Any, value: Read = value) -> float:
            return value(np.append(model.intercept_, model.coef_))

        label = "" if level == 0.5 else f", {level:g}"
        peers = f"rq.fit.br{label}", f"scikit-learn highs{label}"
        for name in names:
            model = L1Regressor() if name == "L1" else QuantileRegressor(level)
            turns.model(name, model, value_of_model)
        turns.r(peers[0], rs["quantreg"], "br", level, read=value)
        theirs = SklearnQuantile(quantile=level, alpha=0.0, solver="highs")
        turns.model(peers[1], theirs, value_of_model)
        for name in names:
            turns.compare(name, *peers)


def enter_searches(turns: Turns, rs: Rs) -> None:
    """MM, S and LTS."""
    r = rs["robustbase"]

    def trimmed(numbers: np.ndarray) -> float:
        return trimmed_squares(turns.X, turns.y, numbers)

    turns.model("MM", MMRegressor(), lambda model: model.scale_)
    turns.model("S", SRegressor(), lambda model: model.scale_)
    turns.model("LTS", LTSRegressor(), lambda model: model.objective_)
    for method in ("lmrob", "lmrob.S"):
        turns.r(method, r, method, read=lambda numbers: numbers[0], seeded=True)
    for method in ("ltsReg", "ltsReg-no-mcd"):
        turns.r(method, r, method, read=trimmed, seeded=True)
    turns.compare("MM", "lmrob")
    turns.compare("S", "lmrob.S")
    turns.compare("LTS", "ltsReg", "ltsReg-no-mcd")


Enter = Callable[[Turns, Rs], None]


def compare(
    args: argparse.Namespace, rs: Rs, sizes: tuple[tuple[int, int], ...], make: Any, enter: Enter
) -> str:
    """A table of the contests of some sizes."""
    rows = []
    for n, p in sizes:
        X, y = load_diabetes(return_X_y=True) if (n, p) == DIABETES else make(n, p)
        for r in rs.values():
            if r is not None:
                r.load(X, y)
        turns = Turns(X, y)
        enter(turns, rs)
        rows += turns.rows(args.repeats)
    return table(HEADER, rows)


def compare_smooth(args: argparse.Namespace, rs: Rs) -> str:
    """Least squares, Huber and Tukey's biweight, against scikit-learn and R's lm.fit and rlm."""
    return compare(args, rs, FIXED, synthetic, enter_smooth)


def compare_quantiles(args: argparse.Namespace, rs: Rs) -> str:
    """Absolute deviations and quantiles, against R's rq.fit.br and scikit-learn."""
    return compare(args, rs, FIXED, synthetic, enter_quantiles)


def compare_searches(args: argparse.Namespace, rs: Rs) -> str:
    """MM, S and LTS, against robustbase's lmrob, lmrob.S and ltsReg."""
    return compare(args, rs, SEARCHED, leverage, enter_searches)


SECTIONS = {
    "smooth": compare_smooth,
    "quantiles": compare_quantiles,
    "searches": compare_searches,
}


def main() -> None:
    """Print one section after the other."""
    args = timing_parser(__doc__, SECTIONS, repeats=7).parse_args()
    print_beside(args, SECTIONS, PACKAGES)


if __name__ == "__main__":
    main()

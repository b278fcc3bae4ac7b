"""How long searches and paths take, next to scikit-learn's GridSearchCV and skglm.

    python benchmarks/tuning.py [--repeats 3] [--quick] [--only path ...]

Everything that is compared runs in turns in one process; the tables show medians and their
ratios. Searches fit the same candidates to the same folds, judge them by the same score, and end
with a fit to all rows. The path is compared with skglm's, where that is installed: it has
compiled beforehand, and is handed X in the order that it needs. A fit of ours without a
certificate ends the program. Synthetic data: standard normal columns, noise of Student's t with 3
degrees of freedom, 10 % of the rows with a gross error in y.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from functools import partial

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
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import QuantileRegressor as SklearnQuantile
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from threadpoolctl import threadpool_limits

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1RegressorCV,
    QuantileRegressorCV,
    huber_path,
)
from robustreg.datasets import load_california_housing
from robustreg.losses import Huber
from robustreg.model_selection import AlphaPath
from robustreg.scale import mad

FOLDS, SCORE = 5, "neg_mean_absolute_error"
DELTAS, ALPHAS = np.geomspace(0.2, 4.0, 10), np.logspace(-4.0, 0.0, 10)
OURS, SKLEARN = "robustreg", "GridSearchCV, scikit-learn's"
THRESHOLD = 2.0  # of the path's loss, in units of y
SKGLM_TOLS = (1e-4, 1e-6)  # its default, and one at which its gap is ours
SHOWN = (0, 10, 25, 50, 99)  # points of the path


class Searches:
    """Searches of the same grid in the same table by several programs, in turns.

    Attributes
    ----------
    found : dict of str to estimator
        The latest search of each.
    exhausted : dict of str to int
        How many of its fits to folds took all the iterations they were granted.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        self.X, self.y = X, y
        self.tasks: dict[str, Callable[[], object]] = {}
        self.found: dict[str, object] = {}
        self.exhausted: dict[str, int] = {}

    def add(self, name: str, search: object) -> None:
        """Enter one of our searches."""

        def run() -> None:
            self.found[name], self.exhausted[name] = search.fit(self.X, self.y), 0

        self.tasks[name] = run

    def add_grid(self, name: str, model: object, grid: object, n_threads: int | None) -> None:
        """Enter scikit-learn's search, with that many threads or as many as by default."""

        def score(fitted: object, X: np.ndarray, y: np.ndarray) -> float:
            self.exhausted[name] += fitted.n_iter_ >= getattr(fitted, "max_iter", np.inf)
            return get_scorer(SCORE)(fitted, X, y)

        def run() -> None:
            self.exhausted[name] = 0
            search = GridSearchCV(model, grid, scoring=score, cv=FOLDS, error_score="raise")
            with threadpool_limits(n_threads), warnings.catch_warnings():
                if SKLEARN in name:
                    warnings.simplefilter("ignore", ConvergenceWarning)
                self.found[name] = search.fit(self.X, self.y)

        self.tasks[name] = run

    def table(self, data: str, repeats: int) -> str:
        """Times, and what was found."""
        seconds = interleave(self.tasks, repeats)
        ours = next(iter(seconds.values()))
        rows = [
            (
                name,
                milliseconds(time),
                f"{time / ours:.1f}",
                f"{self.found[name].best_score_:.6g}",
                self.exhausted[name],
            )
            for name, time in seconds.items()
        ]
        header = (
            data,
            "ms",
            "times the first",
            "best mean score",
            "fits out of iterations",
        )
        return table(header, rows)


def compare_huber(X: np.ndarray, y: np.ndarray, data: str, repeats: int) -> str:
    """Ten deltas times ten ridge penalties; scikit-learn's are converted."""
    searches = Searches(X, y)
    searches.add("HuberRegressorCV", HuberRegressorCV(DELTAS, alphas=ALPHAS, cv=FOLDS))
    own = [{"delta": [delta], "alpha": ALPHAS} for delta in DELTAS]
    searches.add_grid("GridSearchCV, ours", HuberRegressor(), own, None)
    weight = len(y) * (1.0 - 1.0 / FOLDS) / mad(y)
    theirs = [
        {"epsilon": [epsilon], "alpha": ALPHAS * weight * epsilon / delta}
        for delta, epsilon in ((delta, sklearn_epsilon(delta)) for delta in DELTAS)
    ]
    for name, model, n_threads in (
        (SKLEARN, SklearnHuber(), None),
        (f"{SKLEARN}, 1 thread", SklearnHuber(), 1),
        (f"{SKLEARN}, 1 thread, max_iter=1000", SklearnHuber(max_iter=1000), 1),
    ):
        searches.add_grid(name, model, theirs, n_threads)
    return searches.table(f"{data}, {len(DELTAS)} x {len(ALPHAS)} x {FOLDS} fits", repeats)


def search_synthetic(args: argparse.Namespace) -> str:
    """HuberRegressorCV against GridSearchCV, synthetic data."""
    return compare_huber(*synthetic(5000, 20), "5,000 x 20", args.repeats)


def search_california(args: argparse.Namespace) -> str:
    """HuberRegressorCV against GridSearchCV, California housing."""
    return compare_huber(*california(), "California, 5,000 x 20", args.repeats)


def california() -> tuple[np.ndarray, np.ndarray]:
    """5000 blocks of California housing: 20 standardised columns, and 1000 dollars.

    Longitude, latitude and their squares and product; age and income with their squares; the
    logarithms of four counts and four ratios of them; dummies of the categories but one.
    """
    bunch = load_california_housing()
    rows = np.random.default_rng(0).choice(len(bunch.target), 5000, replace=False)
    square = PolynomialFeatures(2, include_bias=False)
    whole = SimpleImputer(strategy="median")
    columns = ColumnTransformer(
        [
            ("place", make_pipeline(StandardScaler(), square), [0, 1]),
            ("age", make_pipeline(StandardScaler(), square), [2]),
            ("income", make_pipeline(StandardScaler(), square), [7]),
            ("counts", make_pipeline(whole, FunctionTransformer(np.log1p)), [3, 4, 5, 6]),
            ("ratios", make_pipeline(whole, FunctionTransformer(ratios)), [3, 4, 5, 6]),
            ("sea", OneHotEncoder(drop="first", sparse_output=False), [8]),
        ]
    )
    X = make_pipeline(columns, StandardScaler()).fit_transform(bunch.data[rows])
    return X, bunch.target[rows] / 1000.0


def ratios(counts: np.ndarray) -> np.ndarray:
    """Rooms, bedrooms and people to the household, and bedrooms to the room."""
    rooms, bedrooms, _, households = counts.T
    return np.column_stack([counts[:, :3] / households[:, None], bedrooms / rooms])


def search_quantile(args: argparse.Namespace) -> str:
    """QuantileRegressorCV and L1RegressorCV against GridSearchCV, the median with an L1 penalty."""
    searches = Searches(*synthetic(1000, 10))
    alphas = np.logspace(-3.0, 0.0, 10)
    ours = QuantileRegressorCV(0.5, alphas=alphas, cv=FOLDS, scoring=SCORE)
    searches.add("QuantileRegressorCV", ours)
    searches.add("L1RegressorCV", L1RegressorCV(alphas=2.0 * alphas, cv=FOLDS))
    for name, n_threads in ((SKLEARN, None), (f"{SKLEARN}, 1 thread", 1)):
        searches.add_grid(name, SklearnQuantile(), {"alpha": alphas}, n_threads)
    return searches.table(f"1,000 x 10, {len(alphas)} x {FOLDS} fits", args.repeats)


def compare_paths(args: argparse.Namespace) -> str:
    """A path of 100 L1 penalties of Huber's loss against skglm, 100 000 x 100."""
    X, y = synthetic(100_000, 100)
    found: dict[str, np.ndarray] = {}  # coefficients and intercept, one column a penalty

    def ours() -> AlphaPath:
        path = huber_path(X, y, delta=THRESHOLD, scale=1.0, l1_ratio=1.0, n_alphas=100)
        found[OURS] = np.vstack([path.coefs, path.intercepts])
        return path

    path = ours()
    tasks = {OURS: ours, **skglm_tasks(X, y, path.alphas, found)}
    seconds = interleave(tasks, args.repeats, untimed=0)
    values = {name: path_objectives(X, y, path.alphas, fits) for name, fits in found.items()}
    tables = f"{path_table(seconds, values, path)}\n\n{points_table(values, path)}"
    return tables if len(tasks) > 1 else f"{tables}\n\nskglm is not installed: left out."


def skglm_tasks(
    X: np.ndarray, y: np.ndarray, alphas: np.ndarray, found: dict[str, np.ndarray]
) -> dict[str, Callable[[], object]]:
    """skglm's path at two tolerances, compiled; nothing where it is not installed."""
    try:
        from skglm.datafits import Huber as SkglmHuber
        from skglm.penalties import L1
        from skglm.solvers import AndersonCD
    except ImportError:
        return {}

    def fit(tol: float, X: np.ndarray, y: np.ndarray) -> None:
        solver = AndersonCD(tol=tol)
        _, coefs, _ = solver.path(X, y, SkglmHuber(THRESHOLD), L1(1.0), alphas=alphas)
        found[f"skglm, tol={tol:g}"] = coefs

    fit(SKGLM_TOLS[0], np.asfortranarray(X[:1000]), y[:1000])
    columnwise = np.asfortranarray(X)
    return {f"skglm, tol={tol:g}": partial(fit, tol, columnwise, y) for tol in SKGLM_TOLS}


def path_objectives(
    X: np.ndarray, y: np.ndarray, alphas: np.ndarray, fits: np.ndarray
) -> np.ndarray:
    """Mean Huber loss plus alpha times the L1 norm, for each column of coefficients."""
    loss = Huber(THRESHOLD)
    return np.array(
        [
            loss(y, X @ coef + intercept) + alpha * np.abs(coef).sum()
            for alpha, (*coef, intercept) in zip(alphas, fits.T, strict=True)
        ]
    )


def path_table(seconds: dict[str, float], values: dict[str, np.ndarray], path: AlphaPath) -> str:
    """Times, and how far above our lower bounds the objectives are."""
    ours, bound = values[OURS], values[OURS] - path.dual_gaps
    rows = [
        (
            name,
            milliseconds(time),
            f"{time / seconds[OURS]:.1f}",
            f"{np.max(values[name] / bound - 1.0):.2e}",
            f"{np.max(values[name] / ours - 1.0):.0e}",
        )
        for name, time in seconds.items()
    ]
    header = ("path", "ms", "times ours", "largest gap", "largest excess over ours")
    return table(header, rows)


def points_table(values: dict[str, np.ndarray], path: AlphaPath) -> str:
    """Objectives at some penalties."""
    ours = values[OURS]
    peers = [name for name in values if name != OURS]
    rows = [
        (
            f"{path.alphas[i]:.3g}",
            np.count_nonzero(path.coefs[:, i]),
            f"{ours[i]:.10f}",
            f"{path.dual_gaps[i] / ours[i]:.0e}",
            *(f"{values[name][i] / ours[i] - 1.0:.0e}" for name in peers),
        )
        for i in SHOWN
    ]
    excess = (f"excess of {name}" for name in peers)
    return table(("alpha", "coefficients", "our objective", "our gap", *excess), rows)


SECTIONS = {
    "synthetic": search_synthetic,
    "california": search_california,
    "quantile": search_quantile,
    "path": compare_paths,
}


def main() -> None:
    """Print one section after the other."""
    args = timing_parser(__doc__, SECTIONS, repeats=3).parse_args()
    warnings.simplefilter("error", ConvergenceWarning)
    print(f"{about_machine()}; medians of {args.repeats}.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args)}", flush=True)


if __name__ == "__main__":
    main()

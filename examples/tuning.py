"""Which delta? House values in California, by a grid search and by HuberRegressorCV.

The table of the census of 1990 has counts over three orders of magnitude, missing values, a
category, and a capped target: what is worth more than 500 000 dollars stands at 500 001. The
columns are prepared in a pipeline. `GridSearchCV` prepares them anew for every fit;
`HuberRegressorCV`, as the last step of the pipeline, gets them prepared once.

Run it with ``python examples/tuning.py [--output picture.png]``.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import mean_absolute_error, median_absolute_error, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from robustreg import HuberRegressor, HuberRegressorCV, L2Regressor
from robustreg.datasets import load_california_housing
from robustreg.metrics import get_scorer, mean_huber_loss, tau_scale_error

CAP = 500.0  # values above stand just above; all values in 1000 dollars
GROSS = 50.0  # 1000 dollars: errors beyond count linearly in the Huber loss that judges
DELTAS = (0.2, 0.3, 0.5, 0.75, 1.0, 1.345, 2.0, 3.0, 5.0)
SCORE = "neg_mean_absolute_error"
SCORES = {
    "median absolute error": "neg_median_absolute_error",
    "tau-scale": get_scorer("neg_tau_scale_error"),
    "mean absolute error": SCORE,
    f"Huber's loss at {GROSS:g}": get_scorer("neg_mean_huber_loss", delta=GROSS),
    "root mean square error": "neg_root_mean_squared_error",
}
COLORS = ("#117733", "#33bbee", "#0b3c8c", "#e58606", "#cc3311")


def prepare(model: Any, names: list[str]) -> Pipeline:
    """A model behind what the raw columns need; it is the step "model"."""

    def at(*wanted: str) -> list[int]:
        return [names.index(name) for name in wanted]

    place = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False))
    counts = make_pipeline(SimpleImputer(strategy="median"), FunctionTransformer(np.log))
    columns = ColumnTransformer(
        [
            ("place", place, at("longitude", "latitude")),
            ("as it is", "passthrough", at("housing_median_age", "median_income")),
            (
                "counts",
                counts,
                at("total_rooms", "total_bedrooms", "population", "households"),
            ),
            ("sea", OneHotEncoder(handle_unknown="ignore"), at("ocean_proximity")),
        ]
    )
    return Pipeline([("columns", columns), ("scale", StandardScaler()), ("model", model)])


def timed_fit(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Seconds."""
    start = perf_counter()
    model.fit(X, y)
    return perf_counter() - start


def print_searches(searches: dict[str, np.ndarray], seconds: list[float]) -> None:
    print("Mean absolute error of five folds, in 1000 dollars, by delta:\n")
    print(f"{'delta':8}" + "".join(f"{name:>20}" for name in searches))
    for cells in zip(DELTAS, *searches.values(), strict=True):
        print(f"{cells[0]:<8g}" + "".join(f"{cell:20.3f}" for cell in cells[1:]))
    chosen = [DELTAS[int(np.argmin(errors))] for errors in searches.values()]
    print(f"{'chosen':8}" + "".join(f"{delta:20g}" for delta in chosen))
    print(f"{'seconds':8}" + "".join(f"{time:20.2f}" for time in seconds))


def print_held_out(models: dict[str, Pipeline], X: np.ndarray, y: np.ndarray) -> None:
    """Errors on blocks that were not fitted; the last column is about those at the cap."""
    header = ("delta", "median", "tau-scale", "mean", "Huber's loss", "root mean sq.", "at the cap")
    print(f"{'':18}" + "".join(f"{name:>14}" for name in header))
    for name, model in models.items():
        predicted = model.predict(X)
        cells = (
            getattr(model["model"], "delta_", np.inf),
            median_absolute_error(y, predicted),
            tau_scale_error(y, predicted),
            mean_absolute_error(y, predicted),
            mean_huber_loss(y, predicted, delta=GROSS),
            root_mean_squared_error(y, predicted),
            np.mean((y - predicted)[y > CAP]),
        )
        print(f"{name:18}" + "".join(f"{cell:14.2f}" for cell in cells))


def curves(X: np.ndarray, y: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Cross-validated errors along delta, by each of the scores."""
    found = {}
    for name, scoring in SCORES.items():
        model = prepare(HuberRegressorCV(DELTAS, scoring=scoring), names).fit(X, y)["model"]
        found[name] = -model.scores_path_[:, 0].mean(axis=-1)
    return found


def draw(errors: dict[str, np.ndarray], path: Path) -> None:
    """Errors in per cent above the smallest, by score."""
    plt = import_pyplot()
    figure, panel = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
    for (name, error), color in zip(errors.items(), COLORS, strict=True):
        excess, best = 100.0 * (error / error.min() - 1.0), int(np.argmin(error))
        panel.plot(DELTAS, excess, "o-", color=color, ms=4, label=name)
        panel.plot(DELTAS[best], 0.0, "o", color=color, ms=11, mfc="none", mew=2)
    panel.set(xscale="log", xlabel="delta, in standard deviations of the noise")
    panel.set(ylabel="cross-validated error, % above its least")
    panel.set(title="House values: what judges decides which delta is best")
    panel.set_xticks(DELTAS, [f"{delta:g}" for delta in DELTAS])
    panel.minorticks_off()
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    save(figure, path)


def main() -> None:
    output = parse_output("Tune Huber's delta for house values.", "tuning.png")

    table = load_california_housing()
    X, y, names = table.data, table.target / 1000.0, list(table.feature_names)
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=0)
    print(
        f"Median house value of {len(y)} blocks, in 1000 dollars. {np.sum(y > CAP)} of them stand"
    )
    print(
        "just above 500: they are worth more, nobody wrote down how much. Their residuals are too"
    )
    print("small, in every fit, and the lines too flat. They stay in the table, because to leave")
    print("rows out by their y would flatten the lines still more.")
    print(f"Fitted to {len(train)} blocks, tried on the other {len(test)}.\n")

    grid = GridSearchCV(
        prepare(HuberRegressor(), names), {"model__delta": DELTAS}, scoring=SCORE, cv=5
    )
    search = prepare(HuberRegressorCV(DELTAS, scoring=SCORE, cv=5), names)
    seconds = [timed_fit(model, X[train], y[train]) for model in (grid, search)]
    found = {
        "GridSearchCV": -grid.cv_results_["mean_test_score"],
        "HuberRegressorCV": -search["model"].scores_path_[:, 0].mean(axis=-1),
    }
    print_searches(found, seconds)

    models = {
        "GridSearchCV": grid.best_estimator_,
        "HuberRegressorCV": search,
        "delta=1.345": prepare(HuberRegressor(), names),
        'delta="auto"': prepare(HuberRegressor("auto"), names),
        "least squares": prepare(L2Regressor(), names),
    }
    for name in ("delta=1.345", 'delta="auto"', "least squares"):
        models[name].fit(X[train], y[train])
    print(
        "\nErrors on the other blocks, in 1000 dollars; at the cap: how far predictions are below"
    )
    print("it, on average, for blocks that stand there.\n")
    print_held_out(models, X[test], y[test])

    errors = curves(X[train], y[train], names)
    print("\nDelta that cross-validation chooses, by score:\n")
    for name, error in errors.items():
        print(f"{name:24}{DELTAS[int(np.argmin(error))]:6g}")
    draw(errors, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

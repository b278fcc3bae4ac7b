"""Many columns for few rows: how a penalty chooses among them, and how strong it should be.

The table of house values in California has eight numbers and a category of five places, with all
products of two of them 91 columns. 300 block groups do not determine as many coefficients. An L1
penalty sets most of them to 0: `CoefficientPathDisplay` shows in which order they come in as it
falls.
`HuberRegressorCV` chooses its strength and the delta of the loss, and `CVCurveDisplay` shows what
it chose from. The other 20 000 block groups say what that is worth.

Run it with ``python examples/penalty.py [--output picture.png]``.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.metrics import mean_absolute_error, median_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from robustreg import HuberRegressor, HuberRegressorCV, L2Regressor
from robustreg.datasets import load_california_housing
from robustreg.plotting import CoefficientPathDisplay, CVCurveDisplay

ROWS = 300


def load() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Complete rows with dummies for the category, values in 1000 dollars, and names."""
    california = load_california_housing()
    complete = ~np.isnan(california.data).any(axis=1)
    X, y = california.data[complete], california.target[complete] / 1000.0
    places = california.categories["ocean_proximity"]
    dummies = X[:, -1:] == np.arange(len(places))
    return np.hstack([X[:, :-1], dummies]), y, [*california.feature_names[:-1], *places]


def print_errors(models: dict[str, Any], X: np.ndarray, y: np.ndarray) -> None:
    print(f"\n{'errors of the others, in 1000 dollars':40}{'mean':>8}{'median':>8}   columns used")
    for name, model in models.items():
        predicted = model.predict(X)
        mean, median = mean_absolute_error(y, predicted), median_absolute_error(y, predicted)
        used = np.count_nonzero(model.coef_)
        print(f"{name:40}{mean:8.1f}{median:8.1f}{used:15d}")


def draw(search: HuberRegressorCV, X: np.ndarray, y: np.ndarray, names: Any, path: Path) -> None:
    """The path at the delta that was chosen, and the scores of all deltas and alphas."""
    plt = import_pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 4.6), layout="constrained")
    CoefficientPathDisplay.from_estimator(search, X, y, feature_names=names, ax=left)
    CVCurveDisplay.from_estimator(search, ax=right)
    save(figure, path)


def main() -> None:
    output = parse_output("A path of coefficients and the scores of a search.", "penalty.png")
    X, y, names = load()
    train, test, train_y, test_y = train_test_split(X, y, train_size=ROWS, random_state=0)
    products = PolynomialFeatures(degree=2, interaction_only=True, include_bias=False)
    preparation = make_pipeline(StandardScaler(), products, StandardScaler()).fit(train)
    names = preparation.get_feature_names_out(names)
    train, test = preparation.transform(train), preparation.transform(test)
    print(f"{ROWS} of {len(X)} block groups, {train.shape[1]} columns.")

    start = perf_counter()
    search = HuberRegressorCV(alphas=20, l1_ratio=1.0).fit(train, train_y)
    seconds = perf_counter() - start
    print(f"{search.scores_path_.size} fits in {seconds:.1f} s:", end=" ")
    print(f"delta = {search.delta_:g}, alpha = {search.alpha_:.4g}")
    models = {
        "Huber, L1 penalty, both chosen": search,
        "Huber, no penalty": HuberRegressor().fit(train, train_y),
        "least squares, no penalty": L2Regressor().fit(train, train_y),
    }
    print_errors(models, test, test_y)
    draw(search, train, train_y, names, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

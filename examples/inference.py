"""How sure is a fit: standard errors of house values in California, and of food expenditure.

The values of 20 640 block groups are fitted by what there is in them. What a standard error says
depends on what one assumes of the noise: that it is the same everywhere, that it may differ from
block to block, or that neighbours share some of it. And it says how far a fit would move from
sample to sample, not whether it follows the right rows. A few blocks have hundreds of people a
household, as prisons and barracks have; least squares follow these, and are quite sure of it.

The second table is what 235 Belgian households spent on food. The slopes of its quantiles differ
by more than chance: the noise grows with income.

Run it with ``python examples/inference.py [--output picture.png]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from robustreg import HuberRegressor, L2Regressor, MMRegressor, QuantileRegressor
from robustreg.datasets import load_california_housing, load_engel
from robustreg.inference import infer
from robustreg.plotting import CoefficientDisplay, QuantileProcessDisplay

NAMES = ("income", "age", "rooms", "people", "inland")
CELL = 0.5  # degrees of longitude and latitude; blocks of a cell are neighbours
QUANTILES = np.arange(1, 20) / 20
SHOWN = (0.1, 0.25, 0.5, 0.75, 0.9)


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The raw columns, values in 1000 dollars, and for each block a number of its cell."""
    california = load_california_housing()
    cells = np.floor(california.data[:, :2] / CELL)
    return (
        california.data,
        california.target / 1000.0,
        np.unique(cells, axis=0, return_inverse=True)[1],
    )


def columns(data: np.ndarray) -> np.ndarray:
    """Income in 10 000 dollars, age of the houses, rooms and people a household, and inland."""
    _, _, age, rooms, _, people, households, income, place = data.T
    return np.stack([income, age, rooms / households, people / households, place == 1.0], axis=1)


def fit(model: Any, data: np.ndarray, y: np.ndarray) -> Pipeline:
    named = FunctionTransformer(columns, feature_names_out=lambda *_: NAMES)
    return make_pipeline(named, model).fit(data, y)


def print_errors(results: dict[str, Any]) -> None:
    """How many standard errors the slopes are, by kinds of covariance."""
    print(f"\n{'Huber: coefficient / standard error':38}" + "".join(f"{n:>10}" for n in NAMES))
    for name, result in results.items():
        pairs = zip(result.coef[1:], result.standard_errors[1:], strict=True)
        print(f"{name:38}" + "".join(f"{coef / error:10.1f}" for coef, error in pairs))


def print_fits(results: dict[str, Any]) -> None:
    print(f"\n{'value of one person more a household':38}{'coef':>10}{'low':>10}{'high':>10}")
    for name, result in results.items():
        number = result.names.index("people")
        low, high = result.conf_int()[number]
        print(f"{name:38}{result.coef[number]:10.2f}{low:10.2f}{high:10.2f}")


def print_slopes(process: Any) -> None:
    print(f"\n{'quantile of expenditure on food':38}{'slope':>10}{'low':>10}{'high':>10}")
    for tau, coef, ends in zip(process.quantiles, process.coef, process.conf_int(), strict=True):
        if tau in SHOWN:
            print(f"{tau:<38g}{coef[1]:10.3f}" + "".join(f"{end:10.3f}" for end in ends[1]))


def draw(path: Path, fits: dict[str, Any], process: Any, squares: Any) -> None:
    plt = import_pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.8), layout="constrained")
    CoefficientDisplay.from_results(fits, units={"age": 10.0}, ax=left)
    left.legend(loc="upper left")  # where there is room
    left.set(
        title="California: values of houses", xlabel="1000 dollars for one more, 95 % interval"
    )
    slopes = QuantileProcessDisplay(process, reference=squares, terms=["x0"]).plot([right])
    slopes.axes_[0].set(title="Engel: food of one franc more of income", ylabel="francs")
    save(figure, path)


def main() -> None:
    output = parse_output("Standard errors, and what they say.", "inference.png")

    data, y, cells = load()
    huber = fit(HuberRegressor(), data, y)
    squares = fit(L2Regressor(), data, y)
    mm = fit(MMRegressor(random_state=0), data, y)
    print(infer(huber, data, y))
    print_errors(
        {
            "classical: the same noise everywhere": infer(huber, data, y, covariance="classical"),
            "HC3: it differs from block to block": infer(huber, data, y),
            f"clusters: {cells.max() + 1} cells share it": infer(huber, data, y, groups=cells),
        }
    )
    models = {"least squares": squares, "Huber": huber, "MM": mm}
    fits = {name: infer(model, data, y) for name, model in models.items()}
    print_fits(fits)

    income, food = load_engel(return_X_y=True)
    process = infer(QuantileRegressor(QUANTILES).fit(income, food), income, food)
    print_slopes(process)
    few = infer(QuantileRegressor(SHOWN).fit(income, food), income, food, covariance="nid")
    test = few.equal_slopes_test()
    print(f"Are the slopes the same? F = {test.statistic:.1f} on {test.df} and", end=" ")
    print(f"{test.df_denominator:g}, p = {test.p_value:.1g}")

    draw(output, fits, process, infer(L2Regressor().fit(income, food), income, food))
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

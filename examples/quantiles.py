"""Quantile regression: how food expenditure fans out with income, and a band around a price.

First the table on which quantile regression is usually shown: what 235 Belgian households spent on
food. One fit gives several quantiles, and their slopes differ: rich households differ more from
each other than poor ones, so that no single line and noise of one width describe them.

Then a prediction band. The quantiles 5 % and 95 % of the price of a diamond are fitted to three
quarters of 53 940 stones, and the other quarter says how many prices the band really holds. The
logarithm of the price is fitted: a quantile of the logarithm is the logarithm of the quantile,
which is not so for a mean.

Quantiles of few rows promise too much: at the edges they follow the rows that they were fitted to.
Of 100 stones, `ConformalRegressor` makes the band wider by what rows say that were held out.

Run it with ``python examples/quantiles.py [--output picture.png]``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from scipy.stats import norm
from sklearn.compose import make_column_transformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer

from robustreg import L2Regressor, QuantileRegressor
from robustreg.datasets import load_diamonds, load_engel
from robustreg.inference import ConformalRegressor

FAN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
BAND = (0.05, 0.5, 0.95)
GRADES = ("cut", "color", "clarity")
EXACT = 1e-6  # francs; a household this near is on the line
FEW = 100  # stones, of which a band is made wider by held-out ones
GROUPS = 5  # of equal size, by weight, in which the coverage is looked at
GREY, ORANGE, BLUE, RED = "0.62", "#e58606", "#0b3c8c", "#cc3311"


@dataclass
class Band:
    """Lower end, middle and upper end of held-out stones' log10 price, and which are inside."""

    name: str
    ends: np.ndarray
    inside: np.ndarray
    seconds: float

    @property
    def width(self) -> float:
        """Upper end over lower end in dollars, the median over the stones."""
        return float(np.median(10.0 ** (self.ends[:, 2] - self.ends[:, 0])))


def fan(income: np.ndarray, food: np.ndarray) -> QuantileRegressor:
    """Fit all quantiles of the fan at once, and print them."""
    model = QuantileRegressor(FAN).fit(income, food)
    residual = food[:, None] - model.predict(income)
    on = np.abs(residual) <= EXACT
    below = (residual < 0.0) & ~on
    print(f"Food expenditure of {len(food)} Belgian households, in francs a year.\n")
    print("quantile   intercept   francs for food of 100 more   households below   on the line")
    for cells in zip(
        FAN, model.intercept_, 100.0 * model.coef_[:, 0], below.sum(0), on.sum(0), strict=True
    ):
        print("{:8g}{:12.1f}{:30.1f}{:19d}{:14d}".format(*cells))
    return model


def curve(*grades: int) -> Pipeline:
    """A broken line in the logarithm of the weight (column 0); grades enter as numbers."""
    weight = make_pipeline(
        FunctionTransformer(np.log10),
        SplineTransformer(n_knots=8, degree=1, include_bias=False),
    )
    return make_column_transformer((weight, [0]), ("passthrough", list(grades)))


def quantile_band(name: str, columns: Any, train: Any, test: Any) -> tuple[Band, Pipeline]:
    """The 90 % band of quantile regression, and how long its fit took."""
    model = make_pipeline(columns, QuantileRegressor(BAND, crossing="rearrange"))
    start = time.perf_counter()
    model.fit(*train)
    seconds = time.perf_counter() - start
    X, y = test
    ends = model.predict(X)
    return Band(name, ends, (ends[:, 0] <= y) & (y <= ends[:, 2]), seconds), model


def normal_band(name: str, columns: Any, train: Any, test: Any) -> Band:
    """The band of least squares and Gaussian noise of one width: 1.645 scales to both sides."""
    start = time.perf_counter()
    model = make_pipeline(columns, L2Regressor()).fit(*train)
    seconds = time.perf_counter() - start
    X, y = test
    half = norm.ppf(BAND[-1]) * model[-1].scale_
    ends = model.predict(X)[:, None] + np.array([-half, 0.0, half])
    return Band(name, ends, np.abs(y - ends[:, 1]) <= half, seconds)


def conformal_band(name: str, columns: Any, train: Any, test: Any) -> tuple[Band, Any]:
    """The same, with ends that stones which were held out of the fits have shifted."""
    ends_only = QuantileRegressor((BAND[0], BAND[-1]), crossing="rearrange")
    model = ConformalRegressor(make_pipeline(columns, ends_only), random_state=0)
    start = time.perf_counter()
    model.fit(*train)
    seconds = time.perf_counter() - start
    X, y = test
    low, high = model.predict_interval(X, level=BAND[-1] - BAND[0]).T
    ends = np.stack([low, model.predict(X), high], axis=1)
    return Band(name, ends, (low <= y) & (y <= high), seconds), model


def print_bands(bands: list[Band], carat: np.ndarray) -> None:
    """Coverage of all held-out stones, and in groups from the lightest to the heaviest."""
    order = np.argsort(carat, kind="stable")
    groups = np.array_split(order, GROUPS)
    print(f"{'share of prices inside, in percent':40}{'all':>6}", end="")
    print("".join(f"{carat[rows].max():>6.2f}" for rows in groups), " upper/lower  fit, ms")
    for band in bands:
        shares = [band.inside.mean(), *(band.inside[rows].mean() for rows in groups)]
        cells = "".join(f"{100 * share:6.1f}" for share in shares)
        print(f"{band.name:40}{cells}{band.width:13.2f}{1e3 * band.seconds:9.0f}")
    print("(By groups of equal size, up to the weight in carat above them. Promised: 90.)")


def draw(path: Path, engel: Any, model: Any, stones: Any, few: Any) -> None:
    plt = import_pyplot()
    figure, panels = plt.subplots(1, 3, figsize=(13.5, 4.6), layout="constrained")
    draw_fan(panels[0], *engel, model)
    draw_band(panels[1], *stones)
    draw_few(panels[2], *few)
    save(figure, path)


def draw_fan(panel: Any, income: np.ndarray, food: np.ndarray, model: Any) -> None:
    """The households, the median and nested bands of quantiles."""
    line = np.linspace(income.min(), income.max(), 2)[:, None]
    ends = model.predict(line).T
    for k, shade in enumerate(("#dfe7f5", "#c2d1ec", "#9db5e0")):
        label = f"{FAN[k]:.0%} to {FAN[-1 - k]:.0%}"
        panel.fill_between(line[:, 0], ends[k], ends[-1 - k], color=shade, lw=0, label=label)
    panel.plot(line[:, 0], ends[len(FAN) // 2], color=BLUE, lw=2.0, label="median")
    panel.plot(income[:, 0], food, ".", color="0.35", ms=4, label="household")
    panel.set(xlabel="yearly income in francs", ylabel="yearly expenditure on food in francs")
    panel.set(title="Engel: expenditure on food fans out")
    panel.legend(frameon=False, loc="upper left")


def draw_band(panel: Any, carat: np.ndarray, price: np.ndarray, inside: Any, model: Any) -> None:
    """Held-out stones and the band around the price, on logarithmic axes."""
    for rows, color, name in ((inside, GREY, "inside"), (~inside, ORANGE, "outside")):
        label = f"held-out stones {name}: {rows.mean():.1%}"
        panel.plot(carat[rows], price[rows], ".", color=color, ms=2, alpha=0.6, label=label)
    line = weights(carat)
    ends = 10.0 ** model.predict(line).T
    for end, quantile in zip(ends, BAND, strict=True):
        style = {"lw": 2.0} if quantile == 0.5 else {"lw": 1.6, "ls": "--"}
        panel.plot(line[:, 0], end, color=BLUE, label=f"{quantile:.0%} quantile", **style)
    panel.set(ylabel="price in dollars", title="Diamonds: a 90 % band, from the weight alone")
    panel.set(yscale="log")
    scale_axes(panel)
    panel.set_yticks([500, 1000, 2000, 5000, 10_000], ["500", "1000", "2000", "5000", "10 000"])
    panel.legend(frameon=False, loc="lower right", markerscale=3, fontsize="small")


def scale_axes(panel: Any) -> None:
    panel.set(xscale="log", xlabel="weight in carat")
    panel.minorticks_off()
    panel.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])


def draw_few(panel: Any, carat: np.ndarray, price: np.ndarray, *models: Any) -> None:
    """A few stones and two bands of theirs, over the median price of all stones of the weight."""
    median, quantiles, conformal = models
    line = weights(carat)
    middle = 10.0 ** median.predict(line)[:, 1]
    band = 10.0 ** conformal.predict_interval(line, level=BAND[-1] - BAND[0]).T / middle
    panel.fill_between(line[:, 0], *band, color="#c2d1ec", lw=0, label="conformal band")
    ends = 10.0 ** quantiles.predict(line).T[::2] / middle
    panel.plot(line[:, 0], ends[0], color=BLUE, lw=1.6, ls="--", label="5% and 95% quantile")
    panel.plot(line[:, 0], ends[1], color=BLUE, lw=1.6, ls="--")
    ratio = price / np.interp(carat, line[:, 0], middle)
    panel.plot(carat, ratio, ".", color="0.35", ms=5, label="stones of the fit")
    scale_axes(panel)
    panel.set(
        title=f"Close up: bands of {len(carat)} stones", ylabel="price / median of the weight"
    )
    panel.legend(frameon=False, fontsize="small")


def weights(carat: np.ndarray) -> np.ndarray:
    """Rows of a line through all weights; the grades do not matter."""
    line = np.zeros((200, 1 + len(GRADES)))
    line[:, 0] = np.geomspace(carat.min(), carat.max(), len(line))
    return line


def main() -> None:
    output = parse_output("A fan chart and a prediction band.", "quantiles.png")

    income, food = load_engel(return_X_y=True)
    engel_model = fan(income, food)

    diamonds = load_diamonds()
    names = diamonds.feature_names
    X = diamonds.data[:, [names.index(name) for name in ("carat", *GRADES)]]
    price = diamonds.target
    pieces = train_test_split(X, np.log10(price), test_size=0.25, random_state=0)
    train, test = (pieces[0], pieces[2]), (pieces[1], pieces[3])
    print(f"\nPrice of diamonds: bands fitted to {len(train[1])} stones", end=" ")
    print(f"and tried on the other {len(test[1])}.\n")
    by_weight, weight_model = quantile_band("quantiles, from the weight", curve(), train, test)
    by_grade, _ = quantile_band("quantiles, weight and grades", curve(1, 2, 3), train, test)
    gauss = normal_band("least squares, weight and grades", curve(1, 2, 3), train, test)
    few = train[0][:FEW], train[1][:FEW]
    of_few, few_model = quantile_band(f"{FEW} stones, quantiles of the weight", curve(), few, test)
    wider, conformal = conformal_band(f"{FEW} stones, the same, conformal", curve(), few, test)
    print_bands([by_weight, by_grade, gauss, of_few, wider], test[0][:, 0])

    stones = test[0][:, 0], 10.0 ** test[1], by_weight.inside, weight_model
    few_stones = few[0][:, 0], 10.0 ** few[1], weight_model, few_model, conformal
    draw(output, (income, food), engel_model, stones, few_stones)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

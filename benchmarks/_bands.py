"""Section of the simulations about inference: bands for new rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from _common import table
from _samples import INTERCEPT, NOISES, SHIFT, SLOPES, design, quiet

from robustreg import HuberRegressor, L2Regressor, MMRegressor, QuantileRegressor
from robustreg.inference import ConformalRegressor, infer

LEVEL, NEW = 0.95, 1000  # new rows of a sample
SETTINGS = (("normal", 0.0), ("normal", 0.1), ("t3", 0.0), ("uneven", 0.0))  # noise, wrong rows
Band = Callable[[Any, np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
BANDS_NOTE = """\
Of 1000 new rows: how many of the good ones are in their bands, in per cent, and the width, the
median of rows and samples. The last column is the share of all rows, wrong ones included, that
CV+, "keep" covers: of L2, Huber and MM promised to be 94.5 to 95.7. With 10 % of wrong rows "drop"
and "new" are promised to hold 94.5 to 98 of the good ones for Huber and MM, in bands of at most
5.0. Ideal bands for normal noise have 3.9. Wrong rows are off by 10, with as many among the new
ones; *quantiles* are those at 2.5 and 97.5 %."""


def conformal(**settings: Any) -> Band:
    """Bands by held-out rows."""

    def band(model: Any, X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> np.ndarray:
        around = ConformalRegressor(model, random_state=seed, **settings)
        return around.fit(X, y).predict_interval(new, LEVEL)

    return band


def by_theory(model: Any, X: np.ndarray, y: np.ndarray, new: np.ndarray, seed: int) -> np.ndarray:
    """Intervals for a new row with Gaussian noise."""
    return infer(model.fit(X, y), X, y).predict_interval(new, LEVEL, kind="new")


BANDS: dict[str, Band] = {
    "CV+, keep": conformal(),
    "CV+, drop": conformal(outliers="drop"),
    "new": by_theory,
    "split": conformal(method="split"),
    "jackknife+": conformal(method="jackknife+"),
}


class Model(NamedTuple):
    """An estimator, its bands, and by the number of rows how many samples there are."""

    name: str
    make: Callable[[int], object]
    bands: Mapping[int, tuple[str, ...]]
    repeats: Mapping[int, int]


FAST = {100: tuple(BANDS), 1000: ("CV+, keep", "CV+, drop", "new", "split")}
MODELS = (
    Model("L2", lambda seed: L2Regressor(), FAST, {100: 250, 1000: 100}),
    Model("Huber", lambda seed: HuberRegressor(), FAST, {100: 250, 1000: 100}),
    Model(
        "MM",
        lambda seed: MMRegressor(n_subsamples=50, random_state=seed),
        dict.fromkeys(FAST, FAST[1000]),
        {100: 100, 1000: 40},
    ),
    Model(
        "quantiles",
        lambda seed: QuantileRegressor([0.025, 0.975]),
        dict.fromkeys(FAST, ("CV+, keep", "split")),
        {100: 200, 1000: 60},
    ),
)


def data(
    rng: np.random.Generator, n: int, noise: str, share: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y, and which rows are wrong."""
    X = design(rng, n)
    y = INTERCEPT + X @ SLOPES + NOISES[noise](rng, X)
    wrong = rng.random(n) < share
    return X, y + np.where(wrong, SHIFT + rng.standard_normal(n), 0.0), wrong


def measured(model: Model, n: int, setting: tuple[str, float], repeats: int) -> np.ndarray:
    """Shares of good and of all new rows, and widths, (bands, 3, repeats)."""
    found = np.empty((len(model.bands[n]), 3, repeats))
    seed = [n, SETTINGS.index(setting)]
    for i, rng in enumerate(np.random.default_rng(seed).spawn(repeats)):
        X, y, _ = data(rng, n, *setting)
        new, target, wrong = data(rng, NEW, *setting)
        for j, name in enumerate(model.bands[n]):
            low, high = BANDS[name](model.make(i), X, y, new, i).T
            inside = (low <= target) & (target <= high)
            found[j, :, i] = inside[~wrong].mean(), inside.mean(), np.median(high - low)
    return found


def check_bands(quick: bool) -> str:
    """Bands for new rows at 95 %."""
    rows, error = [], 0.0
    for n in FAST:
        for setting in SETTINGS:
            for model in MODELS:
                repeats = 2 if quick else model.repeats[n]
                with quiet():
                    found = measured(model, n, setting, repeats)
                share, widths = 100.0 * found[:, :2].mean(axis=2), np.median(found[:, 2], axis=1)
                error = max(error, 100.0 * found[:, :2].std(axis=2).max() / np.sqrt(repeats))
                cells = dict.fromkeys(BANDS, "")
                for name, (good, _), width in zip(model.bands[n], share, widths, strict=True):
                    cells[name] = f"{good:.1f}, {width:.1f}"
                noise, wrong = setting
                label = f"{n:,}, {noise}{f', {wrong:.0%} wrong' if wrong else ''}"
                every = f"{share[0, 1]:.1f}"  # of the first one, which is CV+, keep
                rows.append((label, model.name, f"{repeats}", *cells.values(), every))
    header = ("rows, noise", "estimator", "samples", *BANDS, "all rows")
    return f"{table(header, rows)}\n\n{BANDS_NOTE}\nStandard errors are at most {error:.1f}."

"""Boosted trees for house values that somebody has typed with one digit too many.

One in ten of the median house values in California is multiplied by ten before the trees see it.
These are LightGBM's, 300 of them, and minimise different losses: the squared error; LightGBM's own
Huber loss, whose threshold alpha is a number in the unit of the targets; and losses of robustreg,
whose constants count scales of the noise, estimated anew before every tree. The blocks on which
they are tried have the right values.

Custom objectives start at a prediction of 0. So the targets are centred at their median and divided
by the distance of their quartiles; predictions come back in 1000 dollars.

Run it with ``python examples/boosting.py [--output picture.png]``. It needs LightGBM, which is an
optional extra.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import RobustScaler

from robustreg.datasets import load_california_housing
from robustreg.losses import Bisquare, Huber, booster_objective
from robustreg.scale import mad

SLIPPED, FACTOR = 0.1, 10.0  # share of the targets, and what they are multiplied by
TREES = 300
HINDSIGHT = 0.15  # the alpha, in distances of quartiles, that suits the blocks not fitted best
NAMES = ("squared", "LightGBM's huber", "the same, alpha=0.15", "Huber", "Bisquare")
COLORS = ("#cc3311", "#e58606", "#ddaa33", "#0b3c8c", "#117733")


@dataclass(frozen=True)
class Blocks:
    """Features and values in 1000 dollars; the blocks that are fitted, and which are wrong."""

    X: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    wrong: np.ndarray

    @property
    def typed(self) -> np.ndarray:
        """The targets that the trees see."""
        return np.where(self.wrong, FACTOR, 1.0) * self.y[self.train]


def load() -> Blocks:
    """Trees take missing values and the category's number as they are."""
    X, y = load_california_housing(return_X_y=True)
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=0)
    wrong = np.random.default_rng(0).random(len(train)) < SLIPPED
    return Blocks(X, y / 1000.0, train, test, wrong)


def boosters() -> dict[str, Any]:
    """Unfitted models by name; without LightGBM the program ends with advice."""
    try:
        from lightgbm import LGBMRegressor
    except ImportError:
        print('No trees: LightGBM is missing. Install it with pip install "robustreg[boosting]".')
        sys.exit(0)

    def model(**parameters: Any) -> TransformedTargetRegressor:
        trees = LGBMRegressor(
            n_estimators=TREES, random_state=0, n_jobs=1, verbose=-1, **parameters
        )
        return TransformedTargetRegressor(trees, transformer=RobustScaler())

    models = (
        model(objective="regression"),
        model(objective="huber"),
        model(objective="huber", alpha=HINDSIGHT),
        model(objective=booster_objective(Huber(), scale="mad")),
        model(objective=booster_objective(Bisquare(), scale="mad")),
    )
    return dict(zip(NAMES, models, strict=True))


def absolute_errors(model: Any, blocks: Blocks, n_trees: int) -> np.ndarray:
    """Those of the first trees of a fitted model, on the other blocks."""
    scores = model.regressor_.predict(blocks.X[blocks.test], num_iteration=n_trees)
    predicted = model.transformer_.inverse_transform(scores[:, np.newaxis])[:, 0]
    return np.abs(predicted - blocks.y[blocks.test])


def print_comparison(models: dict[str, Any], blocks: Blocks) -> None:
    print(f"{'errors on the others, in 1000 dollars':38}{'median':>10}{'mean':>10}{'seconds':>10}")
    for name, model in models.items():
        start = perf_counter()
        model.fit(blocks.X[blocks.train], blocks.typed)
        seconds = perf_counter() - start
        error = absolute_errors(model, blocks, TREES)
        print(f"{name:38}{np.median(error):10.2f}{np.mean(error):10.2f}{seconds:10.2f}")


def print_trust(model: Any, blocks: Blocks) -> None:
    """What the trees of a redescending loss think of their own rows."""
    r = blocks.typed - model.predict(blocks.X[blocks.train])
    scale = mad(r, center=0.0)
    ignored = Bisquare().weights(r / scale) == 0.0
    print(
        f"\nThe scale that Bisquare has come to is {scale:.1f} thousand dollars. It gives no weight"
    )
    print(f"to {ignored[blocks.wrong].mean():.1%} of the wrong targets, nor to", end=" ")
    print(f"{ignored[~blocks.wrong].mean():.1%} of the right ones.")


def draw(models: dict[str, Any], blocks: Blocks, path: Path) -> None:
    """The median error along the number of trees."""
    plt = import_pyplot()
    figure, panel = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    numbers = [*range(2, 20, 2), *range(20, TREES + 1, 20)]
    for (name, model), color in zip(models.items(), COLORS, strict=True):
        medians = [np.median(absolute_errors(model, blocks, n)) for n in numbers]
        panel.plot(numbers, medians, color=color, lw=2.0, label=name)
    panel.set(yscale="log", xlabel="trees", ylabel="median error on other blocks, 1000 dollars")
    panel.set(title="House values, one in ten of them ten times too large for the trees")
    panel.set_yticks([20, 30, 50, 100, 150], ["20", "30", "50", "100", "150"])
    panel.minorticks_off()
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    save(figure, path)


def main() -> None:
    output = parse_output("Boost trees on house values with slips.", "boosting.png")

    models, blocks = boosters(), load()
    print(
        f"{len(blocks.train)} blocks for the trees, {blocks.wrong.sum()} of them with a value",
        end=" ",
    )
    print(f"{FACTOR:g} times too large;")
    print(f"{len(blocks.test)} others to try them on.\n")
    print_comparison(models, blocks)
    print_trust(models["Bisquare"], blocks)
    draw(models, blocks, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

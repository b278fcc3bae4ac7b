"""The weight of diamonds from their dimensions, some of which are impossible.

The table gives length x, width y and depth z of 53 940 stones in mm, and their weight in carat.
Weight is volume times density, so that a straight line through x * y * z should fit well. But
some stones have a side of 0 mm, and others one of 32 or 59 mm. They stay in the table: this is
what robust regression is for.

Run it with ``make demo`` or ``python examples/quickstart.py [--output picture.png]``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save
from sklearn.model_selection import train_test_split

from robustreg import HuberRegressor, L1Regressor, L2Regressor
from robustreg.datasets import load_diamonds

REPEATS = 5  # fits of which the median time is shown
LONGEST_SIDE = 20.0  # mm; the heaviest stone of the table, 5 carat, measures 11 mm
LISTED = 10
OUTLYING = 2.5  # residuals beyond so many scales are flagged, as by outliers_
GREY, ORANGE = "0.62", "#e58606"
STYLES = {
    "L2": {"color": "#cc3311", "lw": 2.4},
    "Huber": {"color": "#0b3c8c", "lw": 2.4},
    "L1": {"color": "#33bbee", "lw": 1.6, "ls": "--"},
}


@dataclass
class Stones:
    """The table: dimensions in mm, their product in cubic mm, and the weight in carat."""

    sides: np.ndarray
    volume: np.ndarray
    carat: np.ndarray

    @property
    def zero(self) -> np.ndarray:
        """Stones with a side of 0 mm."""
        return (self.sides == 0).any(axis=1)

    @property
    def giant(self) -> np.ndarray:
        """Stones with a side that no diamond of this table can have."""
        return (self.sides > LONGEST_SIDE).any(axis=1)


@dataclass
class Fit:
    """A fitted model, its fit time and its errors on stones it has not seen."""

    name: str
    model: Any
    seconds: float
    error: np.ndarray


def load() -> Stones:
    diamonds = load_diamonds()
    column = dict(zip(diamonds.feature_names, diamonds.data.T, strict=True))
    sides = np.stack([column["x"], column["y"], column["z"]], axis=1)
    return Stones(sides, sides.prod(axis=1, keepdims=True), column["carat"])


def fit(name: str, model: Any, stones: Stones, train: np.ndarray, test: np.ndarray) -> Fit:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        model.fit(stones.volume[train], stones.carat[train])
        times.append(time.perf_counter() - start)
    error = np.abs(stones.carat[test] - model.predict(stones.volume[test]))
    return Fit(name, model, float(np.median(times)), error)


def print_comparison(fits: list[Fit]) -> None:
    rows = {
        "coefficient (carat per cubic mm)": [f"{f.model.coef_[0]:.6f}" for f in fits],
        "intercept (carat)": [f"{f.model.intercept_:.6f}" for f in fits],
        "scale of the noise (carat)": [f"{f.model.scale_:.6f}" for f in fits],
        "certificate, dual_gap_ / objective_": [
            f"{f.model.dual_gap_ / f.model.objective_:.1e}" for f in fits
        ],
        "time of the fit (ms)": [f"{1e3 * f.seconds:.1f}" for f in fits],
        "held-out median |error| (carat)": [f"{np.median(f.error):.6f}" for f in fits],
        "held-out mean |error| (carat)": [f"{np.mean(f.error):.6f}" for f in fits],
        "held-out mean squared error": [f"{np.mean(f.error**2):.6f}" for f in fits],
    }
    print(f"{'':36}" + "".join(f"{f.name:>12}" for f in fits))
    for label, cells in rows.items():
        print(f"{label:36}" + "".join(f"{cell:>12}" for cell in cells))


def print_flagged(stones: Stones, huber: Any, z: np.ndarray) -> None:
    worst = np.argsort(-np.abs(z), kind="stable")[:LISTED]
    predicted = huber.predict(stones.volume)
    print("   row   carat    x mm    y mm    z mm   carat by Huber   residual / scale")
    for row in worst:
        x, y, depth = stones.sides[row]
        print(
            f"{row:6d}{stones.carat[row]:8.2f}{x:8.2f}{y:8.2f}{depth:8.2f}"
            f"{predicted[row]:17.2f}{z[row]:19.0f}"
        )


def draw(stones: Stones, fits: list[Fit], z: np.ndarray, path: Path) -> None:
    plt = import_pyplot()
    figure, (whole, near) = plt.subplots(1, 2, figsize=(11.0, 4.8), layout="constrained")
    flagged = np.abs(z) > OUTLYING
    draw_all(whole, stones, fits, flagged)
    draw_close(near, stones, fits, flagged)
    handles, labels = whole.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, markerscale=3
    )
    save(figure, path)


def draw_stones(panel: Any, x: np.ndarray, y: np.ndarray, flagged: np.ndarray) -> None:
    for rows, label, color in ((~flagged, "stones", GREY), (flagged, "flagged by Huber", ORANGE)):
        panel.plot(x[rows], y[rows], ".", color=color, ms=2, alpha=0.6, label=label)


def draw_all(panel: Any, stones: Stones, fits: list[Fit], flagged: np.ndarray) -> None:
    """Every stone, the three lines, and rings around the impossible dimensions."""
    volume, carat = stones.volume[:, 0], stones.carat
    draw_stones(panel, volume, carat, flagged)
    line = np.array([[0.0], [1.05 * volume.max()]])
    for f in fits:
        panel.plot(line[:, 0], f.model.predict(line), label=f.name, **STYLES[f.name])
    rows = np.flatnonzero(stones.zero | stones.giant)
    panel.plot(volume[rows], carat[rows], "o", mfc="none", mec="k", ms=8)

    def note(text: str, row: int, where: tuple[float, float]) -> None:
        panel.annotate(
            text,
            (volume[row], carat[row]),
            where,
            textcoords="axes fraction",
            ha="center",
            arrowprops={"arrowstyle": "-", "color": "0.4", "shrinkB": 5},
        )

    heaviest = np.where(stones.zero, carat, 0.0).argmax()
    note(f"{stones.zero.sum()} stones with\na side of 0 mm", heaviest, (0.14, 0.4))
    largest = volume.argmax()
    x, y, depth = stones.sides[largest]
    note(f"{carat[largest]:g} carat, but\n{x:g} x {y:g} x {depth:g} mm", largest, (0.78, 0.28))
    others = np.flatnonzero(stones.giant & (volume < volume[largest]))
    note(f"{len(others)} stones {stones.sides[others].max():g} mm long", others[0], (0.46, 0.13))
    panel.set(title="All stones: impossible dimensions pull least squares down")
    panel.set(xlabel="x * y * z in cubic mm", ylabel="weight in carat")


def draw_close(panel: Any, stones: Stones, fits: list[Fit], flagged: np.ndarray) -> None:
    """Weights minus Huber's line, where almost all stones are."""
    volume, huber = stones.volume[:, 0], fits[1].model
    draw_stones(panel, volume, stones.carat - huber.predict(stones.volume), flagged)
    right = float(np.quantile(volume, 0.999))
    line = np.array([[0.0], [right]])
    for f in fits:
        panel.plot(line[:, 0], f.model.predict(line) - huber.predict(line), **STYLES[f.name])
    panel.set(xlim=(20.0, right), ylim=(-0.12, 0.12), xlabel="x * y * z in cubic mm")
    panel.set(title="Close up: least squares misses the ordinary stones")
    panel.set(ylabel="weight minus Huber's prediction in carat")


def main() -> None:
    output = parse_output("Weigh diamonds with three regressions.", "quickstart.png")

    stones = load()
    train, test = train_test_split(np.arange(len(stones.carat)), test_size=0.25, random_state=0)
    print(f"Weight of {len(stones.carat)} diamonds from their volume x * y * z.")
    print(f"None is left out, not even {stones.zero.sum()} stones with a side of 0 mm", end=" ")
    print(f"and {stones.giant.sum()} with one above {LONGEST_SIDE:g} mm.")
    print(f"Fitted to {len(train)} stones, tried on the other {len(test)}.\n")
    models = {"L2": L2Regressor(), "Huber": HuberRegressor(), "L1": L1Regressor()}
    fits = [fit(name, model, stones, train, test) for name, model in models.items()]
    print_comparison(fits)
    l2, huber, _ = fits
    ratio = np.median(l2.error) / np.median(huber.error)
    print(f"\nThe median error of least squares is {ratio:.1f} times Huber's.\n")

    z = (stones.carat - huber.model.predict(stones.volume)) / huber.model.scale_
    print(f"The {LISTED} stones that Huber finds most absurd:\n")
    print_flagged(stones, huber.model, z)
    draw(stones, fits, z, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

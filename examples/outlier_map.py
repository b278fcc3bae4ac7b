"""Rows that are unusual in X: which of them a fit follows, and which of them are wrong.

Four of 47 stars are giants, cool and bright. They lie so far from the others that least squares
and Huber's regression follow them, and their residuals look ordinary. An MM-estimator follows the
43 others. The outlier map, standardised residuals over robust distances, tells what kind of row
each one is, provided that the fit is robust.

The second table has 53 940 diamonds with the length of their sides. Weight is volume times
density, so that the cube root of the weight is nearly linear in the sides. Stones with a side of
0 mm, or one above 20 mm, are bad leverage points.

Run it with ``python examples/outlier_map.py [--output picture.png]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _picture import import_pyplot, parse_output, save

from robustreg import HuberRegressor, L2Regressor, MMRegressor
from robustreg.datasets import load_diamonds, load_stars_cyg
from robustreg.diagnostics import robust_distances
from robustreg.plotting import OutlierMapDisplay

LONGEST_SIDE = 20.0  # mm; the heaviest stone of the table, 5 carat, measures 11 mm
GIANT = 3.6  # decimal logarithm of the temperature: giants are cooler
LISTED = 10
STYLES = {
    "least squares": {"color": "#cc3311", "lw": 2.4},
    "Huber": {"color": "#33bbee", "lw": 1.6, "ls": "--"},
    "MM": {"color": "#0b3c8c", "lw": 2.4},
}


def fit_all(X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    models = (L2Regressor(), HuberRegressor(), MMRegressor(random_state=0))
    return {name: model.fit(X, y) for name, model in zip(STYLES, models, strict=True)}


def map_of(model: Any, X: np.ndarray, y: np.ndarray, distances: np.ndarray) -> OutlierMapDisplay:
    """The map of a fit; the distances do not depend on it."""
    return OutlierMapDisplay((y - model.predict(X)) / model.scale_, distances, X.shape[1])


def print_stars(models: dict[str, Any], maps: dict[str, Any], giants: np.ndarray) -> None:
    print(f"{'47 stars':16}{'slope':>8}{'scale':>8}   giants: residuals / scale, and what they are")
    for name, model in models.items():
        residuals = " ".join(f"{residual:.1f}" for residual in maps[name].residuals[giants])
        kinds = ", ".join(sorted(set(maps[name].regions[giants])))
        print(f"{name:16}{model.coef_[0]:8.2f}{model.scale_:8.2f}   {residuals}   {kinds}")


def print_stones(maps: dict[str, Any], X: np.ndarray, carat: np.ndarray, rows: np.ndarray) -> None:
    regions = list(maps["MM"].points_)
    print(f"\n{'53 940 stones':16}" + "".join(f"{region:>21}" for region in regions))
    for name, display in maps.items():
        counts = [np.count_nonzero(display.regions == region) for region in regions]
        print(f"{name:16}" + "".join(f"{count:21d}" for count in counts))
    display = maps["MM"]
    bad = display.regions == "bad leverage point"
    print(f"\n{rows.sum()} stones have impossible sides. For MM {bad[rows].sum()} of them are bad")
    print(f"leverage points. The {LISTED} bad leverage points with the largest distances:\n")
    print("   row   carat    x mm    y mm    z mm   distance   residual / scale")
    for row in np.argsort(-np.where(bad, display.distances, 0.0), kind="stable")[:LISTED]:
        sides = "".join(f"{side:8.2f}" for side in X[row])
        values = f"{display.distances[row]:11.0f}{display.residuals[row]:19.0f}"
        print(f"{row:6d}{carat[row]:8.2f}{sides}{values}")


def draw_stars(panel: Any, models: dict[str, Any], X: np.ndarray, y: np.ndarray) -> None:
    panel.plot(X[:, 0], y, "o", color="0.62", ms=4)
    line = np.array([[X.min()], [X.max()]])
    for name, model in models.items():
        panel.plot(line[:, 0], model.predict(line), label=name, **STYLES[name])
    panel.set(xlabel="log temperature", ylabel="log light intensity", ylim=(3.5, 6.5))
    panel.set(title="47 stars")
    panel.legend(loc="upper center")


def draw_stones(panel: Any, X: np.ndarray, y: np.ndarray, rows: np.ndarray) -> None:
    mean = X.mean(axis=1)
    for part, label, style in (
        (~rows, "possible sides", {"marker": ".", "ms": 2, "color": "0.62"}),
        (rows, "impossible sides", {"marker": "X", "ms": 7, "color": "#cc3311"}),
    ):
        panel.plot(mean[part], y[part], ls="", label=label, **style)
    panel.set(xlabel="mean of the three sides in mm", ylabel="cube root of the weight in carat")
    panel.set(title="53 940 diamonds")
    panel.legend()


def main() -> None:
    output = parse_output("Outlier maps of stars and of diamonds.", "outlier_map.png")

    X, y = load_stars_cyg(return_X_y=True)
    stars = fit_all(X, y)
    distances = robust_distances(X)
    star_maps = {name: map_of(model, X, y, distances) for name, model in stars.items()}
    print_stars(stars, star_maps, X[:, 0] < GIANT)

    diamonds = load_diamonds()
    sides, carat = diamonds.data[:, -3:], diamonds.data[:, 0]
    impossible = (sides == 0).any(axis=1) | (sides > LONGEST_SIDE).any(axis=1)
    stones = fit_all(sides, np.cbrt(carat))
    distances = robust_distances(sides, random_state=0)
    maps = {name: map_of(model, sides, np.cbrt(carat), distances) for name, model in stones.items()}
    plt = import_pyplot()
    figure, axes = plt.subplots(2, 3, figsize=(13.0, 7.6), layout="constrained")
    draw_stars(axes[0, 0], stars, X, y)
    draw_stones(axes[1, 0], sides, np.cbrt(carat), impossible)
    for row, displays, options in (
        (axes[0], star_maps, {}),
        (axes[1], maps, {"markersize": 4.0}),
    ):
        for panel, name in zip(row[1:], ("least squares", "MM"), strict=True):
            displays[name].plot(panel, **options)
            panel.set_title(f"outlier map of {name}", y=1.15)  # above the legend
    print_stones(maps, sides, carat, impossible)
    save(figure, output)
    print(f"\nPicture: {output}")


if __name__ == "__main__":
    main()

"""How the times of fits grow with rows, columns and stored entries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from _common import synthetic, table
from _objectives import Objective
from _one_hot import NUMERIC, one_hot
from _wide import LONG, Limits
from _worker import Make, Worker

ROWS = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
ENTRIES_PER_ROW = (10, 20, 40, 80, 160)
LEVELS = 1000  # where entries grow
SPARSE_ROWS = 100_000
PLAIN = Objective("L2", "none"), Objective("Huber", "none"), Objective("L1", "none")
PENALISED = (
    Objective("L2", "ridge", 1e-4),
    Objective("Huber", "ridge", 1e-4),
    Objective("Huber", "lasso", 1e-3),
    Objective("L1", "lasso", 1e-3),
)
UPPER = 100.0  # exponents are fitted to sizes down to this part of the largest
COLOURS = {"L2": "#e58606", "Huber": "#0b3c8c", "L1": "#cc3311"}

Times = Mapping[int, float]


def grow(quick: bool, limits: Limits, path: Path | None) -> str:
    """Tables of the three kinds of growth, and their picture where a path is given."""
    n, levels = (2000, 200) if quick else (SPARSE_ROWS, LEVELS)
    tables: dict[str, dict[int, Make]] = {
        "rows": {rows: partial(synthetic, rows, 10) for rows in ROWS},
        "columns": {
            columns: partial(one_hot, n, columns - NUMERIC, min(6, (columns - NUMERIC) // 2))
            for columns in COLUMNS
        },
        "entries": {
            n * entries: partial(one_hot, n, levels, entries - NUMERIC)
            for entries in ENTRIES_PER_ROW
        },
    }
    if quick:
        tables = {name: dict(list(makes.items())[:3]) for name, makes in tables.items()}
    found = {
        name: measured(makes, PLAIN if name == "rows" else PENALISED, limits)
        for name, makes in tables.items()
    }
    if path is not None:
        draw(found, path)
    return "\n\n".join(shown(name, list(tables[name]), found[name]) for name in tables)


def measured(
    makes: Mapping[int, Make], objectives: tuple[Objective, ...], limits: Limits
) -> dict[Objective, dict[int, float]]:
    """Seconds of every objective at every size; none above a size that takes over the limit."""
    seconds: dict[Objective, dict[int, float]] = {objective: {} for objective in objectives}
    left = list(objectives)
    worker = Worker(next(iter(makes.values())))
    for size, make in makes.items():
        worker.load(make)
        for objective in list(left):
            try:
                taken = [worker.fit(objective.ours, limits.seconds).seconds]
            except TimeoutError:
                left.remove(objective)
                continue
            if taken[0] <= LONG:
                again = range(limits.repeats)
                taken = [worker.fit(objective.ours, limits.seconds).seconds for _ in again]
            seconds[objective][size] = median(taken)
    worker.close()
    return seconds


def exponent(times: Times) -> float:
    """The slope of log time against log size, by least squares over the larger sizes."""
    sizes = [size for size in times if size >= max(times) / UPPER]
    if len(sizes) < 2:
        return np.nan
    slope, _ = np.polyfit(np.log(sizes), np.log([times[size] for size in sizes]), 1)
    return float(slope)


def shown(name: str, sizes: list[int], found: Mapping[Objective, Times]) -> str:
    """Seconds of every size, and the exponents."""
    rows = [
        [f"{size:,}", *(f"{times[size]:.3g}" if size in times else "" for times in found.values())]
        for size in sizes
    ]
    rows.append(["exponent", *(f"{exponent(times):.2f}" for times in found.values() if times)])
    return table((name, *(f"{objective}, s" for objective in found)), rows)


def draw(found: Mapping[str, Mapping[Objective, Times]], path: Path) -> None:
    """Times against sizes, both on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(13.0, 5.2), layout="constrained")
    for panel, (name, series) in zip(panels, found.items(), strict=True):
        for objective, times in series.items():
            style = "--" if objective.penalty == "lasso" else "-"
            label = f"{objective}: exponent {exponent(times):.2f}"
            colour = COLOURS[objective.loss]
            panel.loglog(
                list(times),
                list(times.values()),
                style,
                marker="o",
                ms=4,
                color=colour,
                label=label,
            )
        panel.set(xlabel=name, ylabel="seconds", title=f"Growth with {name}")
        panel.grid(color="0.9")
        panel.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)

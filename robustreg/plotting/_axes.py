"""What displays share: matplotlib, imported when something is drawn, and axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from robustreg._arrays import Array

NAME_WIDTH = 28  # characters of a coefficient's name
UNDETERMINED = "not determined by the data"  # in place of a coefficient


def import_pyplot() -> Any:
    """matplotlib.pyplot; without matplotlib the error says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plotting needs matplotlib: pip install robustreg[plot]") from error
    return plt


def one_axes(ax: Any, height: float = 4.5) -> Any:
    """The Axes to draw into: those given, or the ones of a new figure so many inches high."""
    plt = import_pyplot()
    return plt.subplots(figsize=(7.5, height), layout="constrained")[1] if ax is None else ax


def new_grid(count: int, columns: int, size: tuple[float, float], same_heights: bool) -> Any:
    """Axes for so many panels of a size, in rows of nearly equal length, from a new figure."""
    n_rows = -(-count // columns)
    n_columns = -(-count // n_rows)
    cells = import_pyplot().subplots(
        n_rows,
        n_columns,
        figsize=(size[0] * n_columns, size[1] * n_rows + 0.8),
        layout="constrained",
        sharex=True,
        sharey=same_heights,
        squeeze=False,
    )[1]
    axes = cells.ravel()
    for unused in axes[count:]:
        unused.remove()
    for panel in axes[max(count - n_columns, 0) : count]:
        panel.tick_params(labelbottom=True)  # nothing below it, not even an empty cell's labels
    return axes[:count]


def given_axes(ax: Any, count: int, word: str) -> Any:
    """The Axes that a user gives for so many panels, one after the other."""
    axes = np.asarray(ax, dtype=object).ravel()
    if axes.size != count:
        raise ValueError(f"ax must hold {word} matplotlib Axes, got {axes.size}.")
    return axes


def scale_grid_axis(ax: Any, name: str, grid: Array) -> None:
    """Set up the horizontal axis for a grid of "alpha" or "delta", of which alpha may hold 0.

    Logarithmic; a 0 is shown one decade from the least other value. alpha falls to the right,
    so that both grids lead from the simplest fit to the one that follows the rows most.
    """
    positive = grid[grid > 0.0]
    if len(positive) == len(grid):
        ax.set_xscale("log")
    elif len(positive):
        ax.set_xscale("symlog", linthresh=positive.min())
    if name == "delta":  # rarely a decade: 0.5, 1, 2 instead of powers of ten
        from matplotlib.ticker import LogLocator

        ax.minorticks_off()
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_inverted(name == "alpha")
    ax.set_xlabel(name)


def show_literally(texts: Iterable[Any]) -> None:
    """Draw names from the user's data as they are: they may hold dollar signs and backslashes."""
    for text in texts:
        text.set_parse_math(False)
        text.set_usetex(False)


def chosen_terms(terms: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """The names of coefficients to show: all, or those asked for, in their order."""
    if terms is None:
        return list(names)
    chosen = [terms] if isinstance(terms, str) else list(terms)
    if not chosen or not set(chosen) <= set(names):
        raise ValueError(f"terms must be names among {', '.join(names)}; got {terms!r}.")
    return chosen


def point_marker(grid: Array) -> str:
    """A line through one point shows only as a marker."""
    return "o" if np.size(grid) == 1 else ""


def merge_style(style: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A line's properties, those given coming first under any of their names, such as "lw"."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return style | normalize_kwargs(given, Line2D)

"""The table of a result, as text and as HTML."""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from robustreg._arrays import Array

if TYPE_CHECKING:
    from robustreg.inference._result import Inference

WIDTH = 79
COLUMNS = ("coef", "std error", "t", "p", "low", "high")
CELL = 10


def as_text(result: Inference, interval: Array, level: float) -> str:
    """The table as lines of at most 79 characters."""
    room = WIDTH - CELL * len(COLUMNS)
    name_width = min(max([*map(len, result.names), 9]), room)
    lines = [*wrap(result.title, WIDTH), *_head(result, level), ""]
    lines.append(" " * name_width + "".join(f"{name:>{CELL}}" for name in COLUMNS))
    for name, cells in zip(result.names, cells_of(result, interval), strict=True):
        lines.append(
            f"{cut(name, name_width):{name_width}}" + "".join(f"{c:>{CELL}}" for c in cells)
        )
    return "\n".join([*lines, *foot_of(result)])


def as_html(result: Inference, interval: Array, level: float) -> str:
    """The same as a table for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *COLUMNS))
    rows = [
        f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>"
        for name, cells in zip(result.names, cells_of(result, interval), strict=True)
    ]
    about = [escape(line) for line in (result.title, *_head(result, level))]
    return (
        f"<div><p>{'<br>'.join(about)}</p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        f"<p>{'<br>'.join(map(escape, foot_of(result)))}</p></div>"
    )


def _head(result: Inference, level: float) -> list[str]:
    few = f", {result.n_few} of next to no weight" if result.n_few else ""
    error = "" if np.isnan(result.scale_error) else f" (std. error {result.scale_error:.3g})"
    explained = f"R squared {result.r2:.4f}, adjusted {result.adjusted_r2:.4f}"
    if np.isnan(result.adjusted_r2):
        explained = f"R1 {result.r2:.4f}"
    return [
        f"{result.n_rows:g} rows{few}; rank {result.rank}",
        f"scale {result.scale:.5g}{error}; {explained}",
        f"covariance {result.covariance_type}",
        f"{100 * level:g} % intervals, t with {result.df:g} degrees of freedom",
    ]


def foot_of(result: Inference) -> list[str]:
    notes = []
    lost = [name for name, known in zip(result.names, result.identified, strict=True) if not known]
    if lost:
        notes += ["", "Not determined by the data (collinear columns):"]
        notes += [f"  {cut(name, WIDTH - 2)}" for name in lost]
    if result.warning:
        notes += ["", *wrap(result.warning, WIDTH)]
    return notes


def cells_of(result: Inference, interval: Array) -> list[list[str]]:
    numbers = (result.coef, result.standard_errors, *interval.T)
    coef, error, low, high = ([_number(v) for v in column] for column in numbers)
    p = [p_cell(v) for v in result.p_values]
    statistic = [_statistic(v) for v in result.statistics]
    return [list(cells) for cells in zip(coef, error, statistic, p, low, high, strict=True)]


def p_cell(value: float) -> str:
    """A p-value in the table."""
    if np.isnan(value):
        return ""
    return "<0.0001" if value < 5e-5 else f"{value:.4f}"


def _statistic(value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.2g}"


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    texts = (f"{value:.{digits}g}" for digits in (4, 3, 2))
    return next(text for text in texts if len(text) < CELL)  # a blank is left between cells


def cut(name: str, width: int) -> str:
    """A name in so many characters of one line; of a long one the middle is left out."""
    name = " ".join(name.split("\n"))
    if len(name) <= width:
        return name
    left = (width - 1) // 2
    return f"{name[:left]}…{name[len(name) - (width - 1 - left) :]}"

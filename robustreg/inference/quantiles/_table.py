"""The table of a result of several quantiles, as text and as HTML."""

from __future__ import annotations

from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from robustreg._arrays import Array
from robustreg.inference._table import CELL, COLUMNS, WIDTH, cells_of, cut, foot_of, p_cell

if TYPE_CHECKING:
    from robustreg.inference._wald import TestResult
    from robustreg.inference.quantiles._result import QuantileInference

ROOM = WIDTH - CELL * len(COLUMNS)  # for the quantiles


def several_as_text(
    result: QuantileInference, intervals: Array, level: float, test: TestResult | None
) -> str:
    """The table as lines of at most 79 characters: a coefficient, and below it its quantiles."""
    lines = [*_head(result, level, test), ""]
    lines.append(f"{'quantile':{ROOM}}" + "".join(f"{name:>{CELL}}" for name in COLUMNS))
    for name, rows in zip(result.names, _cells(result, intervals), strict=True):
        lines.append(cut(name, WIDTH))
        for quantile, cells in zip(result.quantiles, rows, strict=True):
            lines.append(f"{f'  {quantile:g}':{ROOM}}" + "".join(f"{c:>{CELL}}" for c in cells))
    return "\n".join([*lines, *foot_of(result.results[0])])


def several_as_html(
    result: QuantileInference, intervals: Array, level: float, test: TestResult | None
) -> str:
    """The same as a table for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", "quantile", *COLUMNS))
    body, m = "", len(result.quantiles)
    for name, rows in zip(result.names, _cells(result, intervals), strict=True):
        first = f'<th rowspan="{m}">{escape(name)}</th>'
        for quantile, cells in zip(result.quantiles, rows, strict=True):
            numbers = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            body += f"<tr>{first}<th>{quantile:g}</th>{numbers}</tr>"
            first = ""
    about = map(escape, _head(result, level, test))
    return (
        f"<div><p>{'<br>'.join(about)}</p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
        f"<p>{'<br>'.join(map(escape, foot_of(result.results[0])))}</p></div>"
    )


def _head(result: QuantileInference, level: float, test: TestResult | None) -> list[str]:
    first = result.results[0]
    explained = ", ".join(f"{each.r2:.4f}" for each in result.results)
    lines = [
        *wrap(result.title, WIDTH),
        f"{first.n_rows:g} rows; rank {first.rank}",
        *wrap(f"R1 {explained}", WIDTH),
        f"covariance {result.covariance_type}",
        f"{100 * level:g} % intervals, t with {result.df:g} degrees of freedom",
    ]
    if test is not None:
        p = p_cell(test.p_value)
        lines.append(
            f"equal slopes: F = {test.statistic:.4g} on {test.df} and {test.df_denominator:g}, "
            f"p {p if p.startswith('<') else f'= {p}'}"
        )
    return lines


def _cells(result: QuantileInference, intervals: Array) -> list[tuple[list[str], ...]]:
    """What each coefficient has at each quantile."""
    pairs = zip(result.results, intervals, strict=True)
    return list(zip(*(cells_of(each, interval) for each, interval in pairs), strict=True))

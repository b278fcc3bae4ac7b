"""How a bundled table is read and handed out: what all loaders have in common."""

import gzip
import io
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.utils import Bunch

Categories = Mapping[str, tuple[str, ...]]


def load_table(
    name: str,
    *,
    target: str,
    categories: Categories | None = None,
    ordered: bool = False,
    return_X_y: bool,
    as_frame: bool,
) -> Any:
    """Load the file `name` of the folder ``data``; a Markdown file of the same stem describes it.

    Its first line names the columns; all but `target` are features. `categories` has the values
    of every column of text, `ordered` says whether their order means something. The other
    arguments and the result are what the loaders document.
    """
    path = files(__package__) / "data" / name
    columns = _read(path, categories or {})
    features = [column for column in columns if column != target]
    frame = None
    data = np.stack([columns[feature] for feature in features], axis=1)
    y = columns[target]
    if as_frame:
        frame = _frame(columns, [*features, target], categories or {}, ordered)
        data, y = frame[features], frame[target]
    if return_X_y:
        return data, y
    description = files(__package__) / "data" / f"{name.partition('.')[0]}.md"
    bunch = Bunch(
        data=data,
        target=y,
        frame=frame,
        feature_names=features,
        target_names=[target],
        DESCR=description.read_text(encoding="utf-8"),
        filename=str(path),
    )
    if categories:
        bunch["categories"] = dict(categories)
    return bunch


def _read(path: Any, categories: Categories) -> dict[str, Any]:
    """Columns of floats by name, in the order of the file; a category as its position."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    text = io.StringIO(content.decode("ascii"))
    names = text.readline().replace('"', "").split(",")
    names[-1] = names[-1].rstrip()
    widths = {name: f"U{max(map(len, values))}" for name, values in categories.items()}
    row = np.dtype([(name, widths.get(name, "f8")) for name in names])
    numbers: dict[int | str, Any] = {
        i: _number for i, name in enumerate(names) if name not in categories
    }
    table = np.loadtxt(text, delimiter=",", quotechar='"', dtype=row, converters=numbers)
    return {
        name: _codes(table[name], categories[name]) if name in categories else table[name].copy()
        for name in names
    }


def _number(field: str) -> float:
    """An empty field is a missing number."""
    return float(field or "nan")


def _codes(labels: Any, values: tuple[str, ...]) -> Any:
    """Position of every label in `values`, as floats."""
    ranks = np.argsort(values)
    return ranks[np.searchsorted(values, labels, sorter=ranks)].astype(np.float64)


def _frame(columns: dict[str, Any], order: list[str], categories: Categories, ordered: bool) -> Any:
    """The whole table as a DataFrame, the target in the last column."""
    import pandas as pd

    for name, values in categories.items():
        columns[name] = pd.Categorical.from_codes(
            columns[name].astype(np.intp), categories=values, ordered=ordered
        )
    return pd.DataFrame({name: columns[name] for name in order})

"""Labels of groups of rows as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 2**16  # labels that are worked on at a time
SPARSE = 2  # times as many integers as rows from the least label to the largest: more are sorted

#: Numbers from 0 of the groups of the rows that count, shape (n,), and how many groups there are.
Groups = tuple[NDArray[np.integer], int]


def group_numbers(groups: Any, n: int, kept: NDArray[np.intp] | None) -> Groups:
    """Numbers from 0 of the groups of the rows that count, and how many groups there are.

    Raises
    ------
    ValueError
        If there is not one label for each of the n rows, some are missing, or all are the same.
    """
    if isinstance(groups, np.ma.MaskedArray):
        hidden, groups = np.ma.getmaskarray(groups), groups.data.astype(object)
        groups[hidden] = None
    own = getattr(groups, "dtype", None)
    # of a list NumPy makes strings of missing labels beside strings, and frames have their own NA
    labels = np.asarray(groups, dtype=None if isinstance(own, np.dtype) else object)
    if labels.shape != (n,):
        raise ValueError(
            f"groups must have one label for each of the {n} rows, got {labels.shape}."
        )
    if labels.dtype.kind == "O":
        missing = np.array([_is_missing(label) for label in labels])
    else:  # NaN and NaT, which integers do not have
        missing = np.array(labels.dtype.kind not in "iu" and labels != labels)
    if bool(np.any(missing)):
        raise ValueError("groups must not hold missing labels (NaN or None).")
    labels = labels if kept is None else labels[kept]
    numbers, count = _numbered(labels)
    if count < 2:
        raise ValueError("groups must hold two different labels at least, got one.")
    return numbers, count


def _numbered(labels: NDArray[Any]) -> Groups:
    if labels.dtype.kind in "iu":
        low, high = int(labels.min()), int(labels.max())
        if high - low <= SPARSE * len(labels):
            return _of_integers(labels, low, high)
    if labels.dtype.kind == "O":  # which may be of kinds that have no order
        first = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
        numbers = np.array([first[label] for label in labels.tolist()], dtype=np.intp)
    else:
        _, numbers = np.unique(labels, return_inverse=True)
    count = int(numbers.max()) + 1
    return numbers.astype(np.min_scalar_type(count)), count


def _of_integers(labels: NDArray[Any], low: int, high: int) -> Groups:
    """Of labels from the least to the largest, without sorting them."""
    taken = np.zeros(high - low + 1, dtype=bool)
    pieces = [slice(first, first + PIECE) for first in range(0, len(labels), PIECE)]
    for piece in pieces:
        taken[_above(labels[piece], low)] = True
    count = int(np.count_nonzero(taken))
    new = (np.cumsum(taken) - 1).astype(np.min_scalar_type(count))
    numbers = np.empty(len(labels), dtype=new.dtype)
    for piece in pieces:
        numbers[piece] = new[_above(labels[piece], low)]
    return numbers, count


def _above(labels: NDArray[Any], low: int) -> NDArray[np.intp]:
    """By how much labels are above the least, whatever integers they are."""
    if labels.dtype.kind == "u":  # of which the longest are beyond signed ones
        return (labels - labels.dtype.type(low)).astype(np.intp)
    return labels.astype(np.intp) - low


def _is_missing(label: object) -> bool:
    """Whether a label is None, NaN, NaT or pandas' NA, which is not even unequal to itself."""
    same: Any = label == label
    return label is None or (same is not True and not (isinstance(same, np.bool_) and same))

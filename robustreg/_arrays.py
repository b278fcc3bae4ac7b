"""Names for the arrays that are passed around, and the precision they have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

EPS = float(np.finfo(np.float64).eps)
TINY = float(np.finfo(np.float64).tiny)  # smaller numbers lose digits, and have no reciprocal
SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
SUMMED = 1e-12  # of a sum of positive numbers: what adding them up in another order may change
SQUARABLE = 1e100  # what is larger is cut off where squares, and sums of them, must not overflow


def root_mean_square(values: Array, weight: Array | None = None) -> float:
    """Weighted root mean square, whatever the size of the weights and of the squares is."""
    root = np.ones(len(values)) if weight is None else np.sqrt(weight) / np.sqrt(weight.max())
    largest = float(np.abs(values).max()) or 1.0
    terms = root * (values / largest)
    unit = float(np.abs(terms).max()) or 1.0
    terms /= unit
    return largest * (unit * math.sqrt(float(terms @ terms) / float(root @ root)))


def two_valued(X: Array) -> Mask:
    """Columns with two different values, such as dummies."""
    low, high = X.min(axis=0), X.max(axis=0)
    return ((low == X) | (high == X)).all(axis=0) & (low < high)


def one_entry_each(X: Any) -> Any:
    """A CSR matrix without several entries in one place, which stand for their sum.

    Products add them up, but a column's squares, and which rows have an entry, would be wrong.
    """
    if X.has_canonical_format:
        return X
    X = X.copy()  # it may be the user's
    X.sum_duplicates()
    return X


def in_precision(dtype: np.dtype, coef: Array, intercept: Any) -> tuple[NDArray[np.floating], Any]:
    """Coefficients and intercepts in the precision of X, or in float64 where that has no room.

    Single precision ends at 3e38, and loses digits below 1e-38: X in float32 may well be in units
    that ask for coefficients beyond.
    """
    if dtype != np.float64:
        size = np.abs(np.append(coef, intercept))
        size, limits = size[size > 0.0], np.finfo(dtype)
        if np.any((size < limits.tiny) | (size > limits.max)):
            dtype = np.dtype(np.float64)
    return coef.astype(dtype), np.asarray(intercept).astype(dtype)[()]

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


def length(step: Array) -> float:
    """Euclidean norm, without an overflow where the squares have one."""
    return math.hypot(*step)


def two_valued(X: Array) -> Mask:
    """Columns with two different values, such as dummies."""
    low, high = X.min(axis=0), X.max(axis=0)
    return ((low == X) | (high == X)).all(axis=0) & (low < high)

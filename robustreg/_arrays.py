"""Names for the arrays that are passed around, and the precision they have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

EPS = float(np.finfo(np.float64).eps)

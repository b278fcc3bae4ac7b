"""Products of dense or sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustreg._namespace import lifted


def product(left: Any, right: Any) -> Any:
    """``left @ right``, through ``np.dot`` where both are dense, on a device where one is there.

    Of the two, only ``np.dot`` lets other threads run while it multiplies a vector or a few
    columns (NumPy 2.4): with ``@``, two threads take as long as one.
    """
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.dot(left, right)
    if isinstance(left, np.ndarray):
        left = lifted(left, right)
    elif isinstance(right, np.ndarray):
        right = lifted(right, left)
    return left @ right

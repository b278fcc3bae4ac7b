"""Checks of input that estimators and metrics share."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from robustreg._arrays import Array
from robustreg._compat import check_sample_weight


def check_weights(sample_weight: ArrayLike, X: Any) -> Array:
    """Sample weights as float64, one for each row of X, non-negative and not all zero."""
    weight = check_sample_weight(sample_weight, X)
    if weight.min() < 0.0:
        raise ValueError(
            f"sample_weight must not be negative, got a smallest weight of {weight.min():g}."
        )
    if not weight.any():
        raise ValueError("sample_weight must have a positive entry: all weights are zero.")
    return weight

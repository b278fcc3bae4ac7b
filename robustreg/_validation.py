"""Checks of input that estimators and metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.utils import assert_all_finite

from robustreg._arrays import TINY, Array
from robustreg._compat import check_sample_weight
from robustreg._numbers import real_values

LARGEST_WEIGHT = 1e100


def check_finite(values: Any, name: str, estimator: str) -> None:
    """Refuse NaN and infinity, even where scikit-learn is told to assume that there are none.

    A fit to these might not end.
    """
    with config_context(assume_finite=False):
        assert_all_finite(values, estimator_name=estimator, input_name=name)


def check_weights(sample_weight: ArrayLike, X: Any) -> Array:
    """Sample weights as float64, one for each row of X, non-negative and not all zero."""
    weight = check_sample_weight(real_values(sample_weight, "sample_weight"), X)
    least, largest = weight.min(), weight.max()
    if not (least > -np.inf and largest < np.inf):  # to be assumed finite, but not so
        raise ValueError("sample_weight must be finite, but contains NaN or infinity.")
    if least < 0.0:
        raise ValueError(f"sample_weight must not be negative, got a smallest weight of {least:g}.")
    if largest == 0.0:
        raise ValueError("sample_weight must have a positive entry: all weights are zero.")
    return weight if largest <= LARGEST_WEIGHT else _with_finite_sums(weight, largest)


def _with_finite_sums(weight: Array, largest: float) -> Array:
    """Weights times a power of two, with which sums of squares do not overflow.

    Even where weights count repetitions, such ones say no more than their ratios do. None that
    is positive becomes 0.
    """
    scaled = np.ldexp(weight, int(np.log2(LARGEST_WEIGHT) - np.log2(largest)))
    return np.where(weight > 0.0, np.maximum(scaled, TINY), 0.0)

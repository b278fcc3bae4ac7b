"""What surrounds a formula: conversion, silence, and the validation of what a metric is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustreg._numbers import real_array

FloatArray = NDArray[np.floating[Any]]
Formula = Callable[[FloatArray], FloatArray]

REDUCTIONS = ("mean", "sum", "none")


def as_float_array(values: ArrayLike, name: str) -> FloatArray:
    """Return a float32 or float64 array, without a copy where `values` is one."""
    if type(values) is np.ndarray and values.dtype in (np.float64, np.float32):
        return values
    return real_array(values, name)


def apply_elementwise(formula: Formula, values: ArrayLike) -> FloatArray:
    """Apply a formula for arrays to an array or a scalar, silently, keeping the dtype.

    Overflow to infinity is the right answer of an unbounded loss, so it is no reason for a warning.
    """
    array = as_float_array(values, "the argument of a loss")
    with np.errstate(all="ignore"):
        if array.ndim and array.dtype == np.float64:  # nothing to convert
            return formula(array)
        # At least one dimension: NumPy 1 promotes zero-dimensional float32 to float64.
        result = formula(np.atleast_1d(array)).astype(array.dtype, copy=False)
    return result if array.ndim else result[0]


def check_reduction(reduction: str) -> None:
    """Refuse what is no reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}.")


def check_weight(sample_weight: ArrayLike | None, shape: tuple[int, ...]) -> FloatArray | None:
    """Return the weights of elements, broadcast to their shape (None if not given)."""
    if sample_weight is None:
        return None
    weight = _finite(sample_weight, "sample_weight")
    if weight.shape not in (shape, shape[:1]):
        raise ValueError(
            f"sample_weight must have the shape of the losses, {shape}, or one entry for each of "
            f"their rows; got shape {weight.shape}."
        )
    if np.any(weight < 0) or not np.any(weight > 0):
        raise ValueError("sample_weight must be non-negative and not all zero.")
    per_row = weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
    return np.broadcast_to(per_row, shape)


def check_residual(y_true: ArrayLike, y_pred: ArrayLike) -> FloatArray:
    """Return the residuals of predictions, target minus prediction."""
    target, prediction = _finite(y_true, "y_true"), _finite(y_pred, "y_pred")
    if target.shape != prediction.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {target.shape} and "
            f"{prediction.shape}."
        )
    if target.size == 0:
        raise ValueError("y_true and y_pred must not be empty.")
    with np.errstate(over="ignore"):
        return np.asarray(target - prediction)


def _finite(values: ArrayLike, name: str) -> FloatArray:
    array = as_float_array(values, name)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, but contains NaN or infinity.")
    return array


def apply_weight(values: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Return ``weight * values``, where a weight of 0 gives 0 even for an infinite value."""
    if weight is None:
        return values
    return np.where(weight > 0, weight * values, 0)


def total_weight(weight: FloatArray | None, shape: tuple[int, ...]) -> float:
    """Return the sum of the weights, which is the number of elements where there are none."""
    return float(math.prod(shape) if weight is None else np.sum(weight, dtype=np.float64))


def divided(total: Any, divisor: float | None) -> Any:
    """Return a sum over the elements, or its derivative, over what the reduction divides by."""
    return total if divisor is None else total / divisor

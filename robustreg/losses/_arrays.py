"""What surrounds a formula: conversion, silence, and the validation of a metric's input."""

from __future__ import annotations

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


def check_metric_input(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None, reduction: str
) -> tuple[FloatArray, FloatArray | None]:
    """Return the residuals, and the weights broadcast to their shape (None if not given)."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}.")
    target, prediction = _finite(y_true, "y_true"), _finite(y_pred, "y_pred")
    if target.shape != prediction.shape:
        raise ValueError(
            f"y_true and y_pred must have the same shape, got {target.shape} and "
            f"{prediction.shape}."
        )
    if target.size == 0:
        raise ValueError("y_true and y_pred must not be empty.")
    with np.errstate(over="ignore"):
        residual = np.asarray(target - prediction)
    return residual, None if sample_weight is None else _check_weight(sample_weight, residual.shape)


def _check_weight(sample_weight: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    weight = _finite(sample_weight, "sample_weight")
    if weight.shape not in (shape, shape[:1]):
        raise ValueError(
            f"sample_weight must have the shape of y_true, {shape}, or one entry for each of its "
            f"rows; got shape {weight.shape}."
        )
    if np.any(weight < 0) or not np.any(weight > 0):
        raise ValueError("sample_weight must be non-negative and not all zero.")
    per_row = weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
    return np.broadcast_to(per_row, shape)


def _finite(values: ArrayLike, name: str) -> FloatArray:
    array = as_float_array(values, name)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite, but contains NaN or infinity.")
    return array


def apply_weight(values: FloatArray, weight: FloatArray | None) -> FloatArray:
    """Return ``weight * values``, where a weight of 0 gives 0 even for an infinite value."""
    if weight is None:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(weight > 0, weight * values, 0)


def total_weight(residual: FloatArray, weight: FloatArray | None) -> float:
    """Return the sum of the weights, which is the number of residuals where there are none."""
    return float(residual.size if weight is None else np.sum(weight, dtype=np.float64))

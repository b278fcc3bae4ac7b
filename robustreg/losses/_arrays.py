"""What surrounds a formula: conversion, silence, and the validation of what a metric is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustreg._namespace import (
    as_type,
    constant,
    describe,
    device_of,
    is_foreign,
    is_half,
    namespace_of,
)
from robustreg._numbers import real_array, real_values

#: NumPy's, in the annotations of formulas that compute with arrays of every kind.
FloatArray = NDArray[np.floating[Any]]
Formula = Callable[[FloatArray], FloatArray]
Shape = tuple[int, ...]

REDUCTIONS = ("mean", "sum", "none")


def as_float_array(values: Any, name: str, dtype: Any = None) -> Any:
    """Return a floating array of the kind of `values`, without a copy where it is one.

    Of NumPy's kind float32 and float64 stay what they are, and everything else becomes float64. Of
    other kinds integers become `dtype`, by default float64, and floats of 16 bits float32, in
    which losses of them are computed; other floating types stay.
    """
    if type(values) is np.ndarray and values.dtype in (np.float64, np.float32):
        return values
    if not is_foreign(values):
        return real_array(values, name)
    xp = namespace_of(values)
    if xp.isdtype(values.dtype, "real floating"):
        return xp.astype(values, xp.float32) if is_half(values) else values
    if not xp.isdtype(values.dtype, ("bool", "integral")):
        raise ValueError(f"{name} must hold real numbers, got the dtype {values.dtype}.")
    # JAX has no float64 unless that is switched on
    return xp.astype(values, xp.result_type(xp.float64) if dtype is None else dtype)


def of_one_kind(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arrays of one kind, on one device, from arguments by name.

    Lists and numbers become what the arrays beside them are; without any, NumPy's. Integers stay
    integers, for they may be labels.

    Raises
    ------
    TypeError
        If the arrays are of several kinds.
    ValueError
        If they are on several devices.
    """
    foreign = {name: values for name, values in arguments.items() if is_foreign(values)}
    if not foreign:
        return arguments
    first, like = next(iter(foreign.items()))
    xp, device = namespace_of(like), device_of(like)
    found = {}
    for name, values in arguments.items():
        if name in foreign:
            if namespace_of(values) is not xp:
                raise TypeError(_several_kinds(first, like, name, values))
            if None not in (device, device_of(values)) and device_of(values) != device:
                raise ValueError(
                    f"{first} is on the device {device} and {name} on {device_of(values)}: all "
                    "arrays must be on one."
                )
            found[name] = values
        elif isinstance(values, (list, tuple, int, float, np.generic)):
            found[name] = _from_list(values, name, xp, device, foreign.values())
        else:
            raise TypeError(_several_kinds(first, like, name, values))
    return found


def _from_list(values: Any, name: str, xp: Any, device: Any, beside: Iterable[Any]) -> Any:
    """Return a list or a number as an array, floats in the precision of those beside it."""
    array = np.asarray(real_values(values, name))
    if array.dtype.kind != "f":
        return xp.asarray(array.tolist(), device=device)
    dtype = floating_dtype(beside)
    dtype = xp.result_type(xp.float64) if dtype is None else dtype
    return xp.asarray(array.tolist(), dtype=dtype, device=device)


def _several_kinds(first: str, like: Any, name: str, values: Any) -> str:
    return (
        f"All arrays must be of one kind, but {first} is a {describe(like)} and {name} a "
        f"{describe(values)}."
    )


def real_arrays(arguments: dict[str, Any]) -> list[Any]:
    """Return finite floating arrays of one kind from arguments by name."""
    if not any(map(is_foreign, arguments.values())):
        return [_finite(values, name) for name, values in arguments.items()]
    given = of_one_kind(arguments)
    dtype = floating_dtype(given.values())
    return [_finite(values, name, dtype) for name, values in given.items()]


def floating_dtype(arrays: Iterable[Any]) -> Any:
    """Return the first floating type among foreign arrays, which integers beside it become."""
    for values in arrays:
        if is_foreign(values) and namespace_of(values).isdtype(values.dtype, "real floating"):
            return namespace_of(values).float32 if is_half(values) else values.dtype
    return None


def half_type(arrays: Iterable[Any]) -> Any:
    """Return the type of floats of 16 bits that results are to have, None if another."""
    floats = [
        values
        for values in arrays
        if is_foreign(values) and namespace_of(values).isdtype(values.dtype, "real floating")
    ]
    halves = [values.dtype for values in floats if is_half(values)]
    return halves[0] if halves and len(halves) == len(floats) else None


def apply_elementwise(formula: Formula, values: ArrayLike) -> FloatArray:
    """Apply a formula for arrays to an array or a scalar, silently, keeping the dtype.

    Overflow to infinity is the right answer of an unbounded loss, so it is no reason for a warning.
    """
    array = as_float_array(values, "the argument of a loss")
    with np.errstate(all="ignore"):
        if type(array) is not np.ndarray and is_foreign(array):
            return as_type(formula(array), half_type([values]))
        if array.ndim and array.dtype == np.float64:  # nothing to convert
            return formula(array)
        # At least one dimension: NumPy 1 promotes zero-dimensional float32 to float64.
        result = formula(np.atleast_1d(array)).astype(array.dtype, copy=False)
    return result if array.ndim else result[0]


def check_reduction(reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Refuse what is no reduction."""
    given: Any = reduction
    if not (isinstance(given, str) and given in allowed):
        raise ValueError(f"reduction must be one of {', '.join(allowed)}; got {reduction!r}.")


def check_weight(sample_weight: Any, shape: Shape, arguments: tuple[Any, ...]) -> Any:
    """Return the weights of elements, broadcast to their shape (None if not given).

    They must be of the kind of the arguments that the losses are computed from.
    """
    if sample_weight is None:
        return None
    like = next((values for values in arguments if is_foreign(values)), np.empty(0))
    given = of_one_kind({"predictions": like, "sample_weight": sample_weight})["sample_weight"]
    weight = constant(_finite(given, "sample_weight", floating_dtype(arguments)))
    if tuple(weight.shape) not in (shape, shape[:1]):
        raise ValueError(
            f"sample_weight must have the shape of the losses, {shape}, or one entry for each of "
            f"their rows; got shape {tuple(weight.shape)}."
        )
    xp = namespace_of(weight)
    if bool(xp.any(weight < 0)):
        least = float(xp.min(weight))
        raise ValueError(f"sample_weight must be non-negative and not all zero, got {least:g}.")
    if not bool(xp.any(weight > 0)):
        raise ValueError("sample_weight must be non-negative and not all zero.")
    per_row = xp.reshape(weight, tuple(weight.shape) + (1,) * (len(shape) - weight.ndim))
    return xp.broadcast_to(per_row, shape)


def check_residual(y_true: Any, y_pred: Any) -> Any:
    """Return the residuals of predictions, target minus prediction."""
    target, prediction = real_arrays({"y_true": y_true, "y_pred": y_pred})
    check_same_shape({"y_true": target, "y_pred": prediction})
    return target - prediction


def check_same_shape(arrays: dict[str, Any]) -> Shape:
    """Return the shape that arrays have in common; they must have entries."""
    shapes = [tuple(array.shape) for array in arrays.values()]
    common = shapes[0]
    if common and 0 not in common and shapes.count(common) == len(shapes):
        return common
    *names, last = arrays
    if any(shape != common for shape in shapes):
        *found, end = map(str, shapes)
        raise ValueError(
            f"{', '.join(names)} and {last} must have the same shape, got {', '.join(found)} and "
            f"{end}."
        )
    if 0 in common:
        raise ValueError(f"{', '.join(names)} and {last} must not be empty.")
    return common


def check_signs(target: Any) -> None:
    """Refuse targets other than -1 and 1."""
    xp = namespace_of(target)
    wrong = (target != 1) & (target != -1)
    if bool(xp.any(wrong)):
        raise ValueError(
            f"y_true must hold -1 or 1, got {float(target[wrong][0]):g}; of truth values make "
            "2 y - 1."
        )


def _finite(values: Any, name: str, dtype: Any = None) -> Any:
    array = as_float_array(values, name, dtype)
    xp = namespace_of(array)
    # NumPy's own method takes a fifth of the time of its function
    if not (np.isfinite(array).all() if xp is np else xp.all(xp.isfinite(array))):
        raise ValueError(f"{name} must be finite, but contains NaN or infinity.")
    return array


def apply_weight(values: Any, weight: Any) -> Any:
    """Return ``weight * values``, where a weight of 0 gives 0 even for an infinite value."""
    if weight is None:
        return values
    return namespace_of(values).where(weight > 0, weight * values, 0)


def total_weight(weight: Any, shape: Shape) -> float:
    """Return the sum of the weights, which is the number of elements where there are none."""
    return float(math.prod(shape) if weight is None else total_of(weight))


def total_of(values: Any) -> Any:
    """Return the sum of an array, of NumPy's kind in float64."""
    xp = namespace_of(values)
    return np.sum(values, dtype=np.float64) if xp is np else xp.sum(values)


def divided(total: Any, divisor: float | None) -> Any:
    """Return a sum over the elements, or its derivative, over what the reduction divides by."""
    return total if divisor is None else total / divisor

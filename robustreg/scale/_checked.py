"""The check of a sample that comes before the public functions of this package."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from robustreg._arrays import Array
from robustreg._numbers import real_array


class SampleFunction(Protocol):
    """What a checked function is: one of a sample, of its weights, and of options by name."""

    def __call__(
        self, x: ArrayLike, sample_weight: ArrayLike | None = None, **options: Any
    ) -> float: ...


def checked(function: Callable[..., float]) -> SampleFunction:
    """Return a function of a sample that takes anything array-like, and checks it.

    Fits call the function itself, with arrays that have been checked.
    """
    signature = inspect.signature(function)
    sample = next(iter(signature.parameters))

    @functools.wraps(function)
    def on_anything(*args: Any, **kwargs: Any) -> float:
        given = signature.bind(*args, **kwargs).arguments
        x = _check_shape(given[sample], sample)
        if given.get("sample_weight") is not None:
            weight = _check_weight(given["sample_weight"], len(x))
            x, given["sample_weight"] = x[weight > 0.0], weight[weight > 0.0]
        if np.isnan(x).any():
            raise ValueError(f"{sample} must not contain NaN.")
        given[sample] = x
        for name, value in given.items():
            if isinstance(value, Real) and not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}.")
        with np.errstate(over="ignore", invalid="ignore"):  # of infinite values, and of huge ones
            return function(**given)

    return on_anything


def _check_shape(values: Any, name: str) -> Array:
    array = real_array(values, name).astype(np.float64, copy=False)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"{name} must be one-dimensional and hold at least one number, got shape {array.shape}."
        )
    return array


def _check_weight(values: Any, n: int) -> Array:
    weight = real_array(values, "sample_weight").astype(np.float64, copy=False)
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must have one entry for each of the {n} values, got shape "
            f"{weight.shape}."
        )
    if not np.isfinite(weight).all() or weight.min() < 0.0 or not weight.any():
        raise ValueError("sample_weight must be finite, non-negative and not all zero.")
    return weight

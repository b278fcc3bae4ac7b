"""Parameters of frozen losses: their validation, and the form in which they are kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robustreg._namespace import as_kind, constant, is_foreign
from robustreg._numbers import as_number, real_array


def keep_number(loss: Any, name: str, low: float = -math.inf, high: float = math.inf) -> None:
    """Keep a parameter as a finite float from `low` to `high`."""
    number = as_number(getattr(loss, name))
    if not (low <= number <= high and math.isfinite(number)):
        least = "" if low == -math.inf else f" of at least {low:g}"
        most = "" if high == math.inf else f"{' and' if least else ' of'} at most {high:g}"
        raise ValueError(
            f"{type(loss).__name__}: {name} must be a finite number{least}{most}, "
            f"got {getattr(loss, name)!r}."
        )
    object.__setattr__(loss, name, number)


def keep_flag(loss: Any, name: str) -> None:
    """Keep a parameter as True or False."""
    value = getattr(loss, name)
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{type(loss).__name__}: {name} must be True or False, got {value!r}.")
    object.__setattr__(loss, name, bool(value))


def keep_weights(loss: Any, name: str) -> None:
    """Keep a vector of weights as a tuple, which is hashable and equal to another one."""
    given = getattr(loss, name)
    entries = given
    if is_foreign(given) and given.ndim == 1:
        fixed = constant(given)
        entries = [float(fixed[i]) for i in range(fixed.shape[0])]
    values = real_array(entries, f"{name} of {type(loss).__name__}")
    finite = bool(np.isfinite(values).all())
    if values.ndim != 1 or not finite or (values < 0.0).any() or not values.any():
        raise ValueError(
            f"{type(loss).__name__}: {name} must be a vector of finite numbers of at least 0, not "
            f"all of them 0, got {given!r}."
        )
    object.__setattr__(loss, name, tuple(float(value) for value in values))


def along_last_axis(loss: Any, name: str, like: Any) -> Any:
    """A vector parameter as an array, one entry for each of the last axis of another array."""
    values = getattr(loss, name)
    if values is None or isinstance(values, float):
        return values
    if not like.ndim:
        raise ValueError(
            f"{type(loss).__name__}: {name} is for columns of y_pred, which is one number."
        )
    if len(values) != like.shape[-1]:
        raise ValueError(
            f"{type(loss).__name__}: {name} must have one entry for each column of y_pred, "
            f"{like.shape[-1]}, but has {len(values)}."
        )
    return as_kind(values, like)

"""Grids of penalties and thresholds: checked where they are given, else made."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustreg._numbers import real_array

LONGEST = 1_000_000  # points of a grid
LARGEST = np.finfo(np.float64).max


def check_grid(name: str, values: Any, zero: bool) -> NDArray[np.float64]:
    """A grid as a sorted array of finite numbers above 0, or at least 0 where ``zero``."""
    allowed = "at least 0" if zero else "above 0"
    try:
        text = np.asarray(values).dtype.kind in "US"
        grid = np.zeros(0) if text else real_array(values, name).astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        grid = np.zeros(0)
    inside = np.isfinite(grid) & ((grid >= 0.0) if zero else (grid > 0.0))
    if grid.ndim != 1 or not len(grid) or not inside.all():
        raise ValueError(
            f"{name} must be a sequence of one or more finite numbers {allowed}, got {values!r}."
        )
    return np.sort(grid)


def check_length(name: str, value: Any) -> int:
    """The length of a grid, an integer from 1 on that is no mistake."""
    if not (isinstance(value, Integral) and 1 <= int(value) <= LONGEST):
        raise ValueError(f"{name} must be an integer from 1 to {LONGEST}, got {value!r}.")
    return int(value)


def check_number(name: str, value: Any) -> None:
    """What a path holds fixed, where the estimator takes names or several values, too."""
    if isinstance(value, str) or np.ndim(value):
        raise ValueError(f"{name} must be one number for a path, got {value!r}.")


def check_eps(value: Any) -> None:
    """The smallest value of a grid over its largest, above 0 and below 1."""
    if not (isinstance(value, Real) and 0.0 < float(value) < 1.0):
        raise ValueError(f"eps must be a number between 0 and 1, got {value!r}.")


def alpha_grid(largest: float, n_alphas: int, eps: float) -> NDArray[np.float64]:
    """From an alpha at which all coefficients vanish down, in equal ratios; NaN: there is none."""
    if np.isnan(largest):
        raise ValueError(
            "alphas must be given for l1_ratio=0: a ridge penalty has no alpha at which the "
            "coefficients vanish, from which a grid could start."
        )
    if not largest <= LARGEST:
        raise ValueError(
            "alphas must be given: the alpha at which the coefficients vanish is beyond what a "
            "float64 can hold. Is l1_ratio next to 0?"
        )
    return np.geomspace(1.0, eps, n_alphas) * largest

"""Targets and predictions of one or several outputs: their validation, and their average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_consistent_length

from robustreg._arrays import Array
from robustreg._numbers import real_array
from robustreg._validation import check_weights

AVERAGES = ("raw_values", "uniform_average")

#: What a metric is for one output: a function of targets, predictions and weights (or None).
Metric = Callable[[Array, Array, Array | None], float]


@dataclass(frozen=True)
class Outputs:
    """Rows of positive weight, in columns of float64, and how to average over the columns."""

    y_true: Array  # (n_samples, n_outputs)
    y_pred: Array  # (n_samples, n_outputs)
    weight: Array | None  # (n_samples,)
    average: str | Array

    def evaluate(self, metric: Metric) -> Any:
        """Return the metric of every output, or their average, as a float."""
        columns = zip(self.y_true.T, self.y_pred.T, strict=True)
        values = np.array([metric(target, guess, self.weight) for target, guess in columns])
        if isinstance(self.average, str):
            return values if self.average == "raw_values" else float(np.average(values))
        return float(np.average(values, weights=self.average))


def check_outputs(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    multioutput: str | ArrayLike,
) -> Outputs:
    """Validate what every metric takes.

    The precision is float64 throughout: a metric is one number of many, whose rounding is not
    worth what float32 would save.
    """
    target, guess = _columns(y_true, "y_true"), _columns(y_pred, "y_pred")
    if sample_weight is not None:
        sample_weight = real_array(sample_weight, "sample_weight")
    check_consistent_length(target, guess, sample_weight)
    if target.shape != guess.shape:
        raise ValueError(
            "y_true and y_pred must have the same number of outputs, got "
            f"{target.shape[1]} and {guess.shape[1]}."
        )
    average = _check_average(multioutput, target.shape[1])
    if sample_weight is None:
        return Outputs(target, guess, None, average)
    weight = check_weights(sample_weight, target)
    keep = weight > 0.0
    # By a power of two to about 1: no sum of weighted losses overflows because of their unit.
    weight = np.ldexp(weight[keep], -np.frexp(weight.max())[1])
    return Outputs(target[keep], guess[keep], weight, average)


def _columns(values: ArrayLike, name: str) -> Array:
    array = real_array(values, name)
    if array.ndim == 0:
        raise ValueError(f"{name} must be an array of one or two dimensions, got {values!r}.")
    array = check_array(array, ensure_2d=False, dtype=np.float64, input_name=name)
    return array.reshape(len(array), -1)


def _check_average(multioutput: str | ArrayLike, n_outputs: int) -> str | Array:
    if isinstance(multioutput, str):
        if multioutput not in AVERAGES:
            allowed = " or ".join(repr(name) for name in AVERAGES)
            raise ValueError(
                f"multioutput must be {allowed}, or one weight per output; got {multioutput!r}."
            )
        return multioutput
    shares = real_array(multioutput, "multioutput")
    shares = check_array(shares, ensure_2d=False, dtype=np.float64, input_name="multioutput")
    if shares.shape != (n_outputs,):
        raise ValueError(
            f"multioutput must have one weight for each of the {n_outputs} outputs, got shape "
            f"{shares.shape}."
        )
    if shares.min() < 0.0 or not shares.any():
        raise ValueError(
            f"multioutput must have non-negative weights, not all zero; got {multioutput!r}."
        )
    return shares

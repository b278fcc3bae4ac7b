"""Targets of classification: labels, probabilities, and what they count for."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustreg._namespace import arange, is_foreign, namespace_of
from robustreg._numbers import real_values
from robustreg.losses._arrays import Shape, as_float_array, floating_dtype, of_one_kind

# What log-probabilities may be above 0 by for rounding, of half precision for example.
ABOVE_ZERO = 1e-3


def labels_and_scores(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets as they are and floating predictions, as arrays of one kind."""
    given = of_one_kind({"y_true": y_true, "y_pred": y_pred})
    target, scores = given["y_true"], given["y_pred"]
    if not is_foreign(target):
        target = np.asarray(real_values(target, "y_true"))
    if is_integral(target):  # short and unsigned ones cannot be compared with all labels
        target = as_indices(target)
    scores = as_float_array(scores, "y_pred", floating_dtype([scores, target]))
    return target, scores


def as_indices(labels: Any) -> Any:
    """Labels in the type that arrays are indexed by; unsigned ones beyond it are refused."""
    xp = namespace_of(labels)
    if xp is np:
        if labels.size and labels.dtype == np.uint64 and labels.max() > np.iinfo(np.int64).max:
            raise ValueError(f"y_true must hold labels below 2^63, got {labels.max()}.")
        return labels.astype(np.int64, copy=False)
    return xp.astype(labels, xp.arange(1).dtype)


def is_integral(array: Any) -> bool:
    """Whether an array has an integer type."""
    if is_foreign(array):
        return bool(namespace_of(array).isdtype(array.dtype, "integral"))
    return array.dtype.kind in "iu"


def check_labels(
    labels: Any, shape: Shape, n_classes: int, *, other: int | None = None, what: str
) -> None:
    """Refuse labels that are no integers, of another shape, or out of range.

    `other` is the one value outside of the classes that is allowed, and `what` says in a message
    where the shape comes from.
    """
    if tuple(labels.shape) != shape:
        raise ValueError(
            f"y_true must have the shape {shape} of {what}, got shape {tuple(labels.shape)}."
        )
    if not is_integral(labels):
        raise ValueError(f"y_true must hold integers, got the dtype {labels.dtype}.")
    wrong = (labels < 0) | (labels >= n_classes)
    if other is not None:
        wrong = wrong & (labels != other)
    if bool(namespace_of(labels).any(wrong)):
        allowed = f"0 to {n_classes - 1}" + ("" if other is None else f", or {other}")
        raise ValueError(f"y_true must hold labels from {allowed}, got {int(labels[wrong][0])}.")


def check_probabilities(values: Any, name: str) -> None:
    """Refuse what is not between 0 and 1, NaN included."""
    xp = namespace_of(values)
    outside = ~((values >= 0) & (values <= 1))
    if bool(xp.any(outside)):
        raise ValueError(
            f"{name} must hold probabilities from 0 to 1, got {float(values[outside][0]):g}."
        )


def check_log_probabilities(values: Any, name: str, hint: str = "") -> None:
    """Refuse what is above 0, but for rounding, and NaN; minus infinity is the logarithm of 0."""
    xp = namespace_of(values)
    wrong = ~(values <= ABOVE_ZERO)
    if bool(xp.any(wrong)):
        raise ValueError(
            f"{name} must hold log-probabilities, at most 0, got {float(values[wrong][0]):g}.{hint}"
        )


def check_logits(scores: Any) -> None:
    """Refuse NaN, infinity, and elements all of whose classes are ruled out by minus infinity."""
    xp = namespace_of(scores)
    largest = xp.max(scores, axis=1)
    if bool(xp.any(xp.isnan(scores))) or not bool(xp.all(xp.isfinite(largest))):
        raise ValueError(
            "y_pred must hold finite numbers, or minus infinity for classes that are ruled out, "
            "and one finite number at least for each element."
        )


def check_classes(scores: Any) -> tuple[int, Shape]:
    """How many classes there are along axis 1, and the shape of the losses."""
    shape = tuple(scores.shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            "y_pred must have a row for each element and a column for each class, shape (n, C) or "
            f"(n, C, d1, ...), none of them 0, got shape {shape}."
        )
    return shape[1], shape[:1] + shape[2:]


def is_class(labels: Any, scores: Any) -> Any:
    """Where along axis 1 the label of each element is."""
    xp, n_classes = namespace_of(scores), scores.shape[1]
    classes = xp.reshape(arange(n_classes, scores), (1, n_classes) + (1,) * (scores.ndim - 2))
    return xp.expand_dims(labels, axis=1) == classes

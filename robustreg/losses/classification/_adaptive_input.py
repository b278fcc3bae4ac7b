"""What the adaptive softmax is made of and given: cutoffs, layers, labels and arrays, checked."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from robustreg._namespace import cast, is_foreign, namespace_of
from robustreg._numbers import real_values
from robustreg.losses._arrays import Shape, as_float_array, floating_dtype, real_arrays
from robustreg.losses.classification._classes import check_labels, is_integral


def keep_count(loss: Any, name: str, least: int) -> None:
    """Keep a parameter as an int of at least that."""
    given = getattr(loss, name)
    try:
        number = operator.index(given)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(
            f"{type(loss).__name__}: {name} must be an integer of at least {least}, got {given!r}."
        )
    object.__setattr__(loss, name, number)


def keep_cutoffs(loss: Any) -> None:
    """Keep the first class of each tail as a tuple of ints, which increase."""
    given = loss.cutoffs
    try:
        cutoffs = tuple(operator.index(cutoff) for cutoff in given)
    except TypeError:
        cutoffs = ()
    steps = zip((0, *cutoffs), (*cutoffs, loss.n_classes), strict=True)
    if not cutoffs or any(low >= high for low, high in steps):
        raise ValueError(
            f"{type(loss).__name__}: cutoffs must be one or more integers that increase, above 0 "
            f"and below n_classes={loss.n_classes}, got {given!r}."
        )
    object.__setattr__(loss, "cutoffs", cutoffs)


def tail_names(tail: int) -> tuple[str, str]:
    """The names of the parameters of a tail, in the order in which they are applied."""
    return f"tail.{tail}.0.weight", f"tail.{tail}.1.weight"


def shapes_of(loss: Any) -> dict[str, Shape]:
    """The shapes of the parameters by their names, in order."""
    outputs = loss.cutoffs[0] + len(loss.cutoffs)
    shapes: dict[str, Shape] = {"head.weight": (outputs, loss.in_features)}
    if loss.head_bias:
        shapes["head.bias"] = (outputs,)
    ends = (*loss.cutoffs[1:], loss.n_classes)
    for tail, (low, high) in enumerate(zip(loss.cutoffs, ends, strict=True)):
        width = int(loss.in_features // loss.div_value ** (tail + 1))
        if width < 1:
            raise ValueError(
                f"{type(loss).__name__}: div_value={loss.div_value:g} leaves no features to tail "
                f"{tail}: in_features={loss.in_features} over div_value**{tail + 1} must be at "
                "least 1. Take a smaller div_value or fewer cutoffs."
            )
        first, second = tail_names(tail)
        shapes[first], shapes[second] = (width, loss.in_features), (high - low, width)
    return shapes


def drawn(
    shapes: dict[str, Shape], rng: np.random.Generator, dtype: DTypeLike
) -> tuple[NDArray[np.floating[Any]], ...]:
    """Parameters to start from, uniform within one over the root of the number of inputs."""
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r}.")
    n_features = shapes["head.weight"][1]
    bounds = {  # a bias has no inputs, and starts like the weight beside it
        name: 1.0 / math.sqrt(shape[1] if len(shape) == 2 else n_features)
        for name, shape in shapes.items()
    }
    return tuple(
        rng.uniform(-bounds[name], bounds[name], shape).astype(kind, copy=False)
        for name, shape in shapes.items()
    )


def labels_of_rows(values: Any, n_rows: int, n_classes: int) -> Any:
    """Labels as integers of the type that their namespace counts in."""
    labels = values if is_foreign(values) else np.asarray(real_values(values, "y_true"))
    if is_integral(labels):  # a short type cannot be compared with all numbers of classes
        labels = cast(labels, namespace_of(labels).arange(1))
    check_labels(labels, (n_rows,), n_classes, what="one label for each row of x")
    return labels


def arrays_of_shapes(given: dict[str, Any], shapes: dict[str, Shape]) -> dict[str, Any]:
    """Return x and the parameters in one precision, the widest.

    `shapes` are those of the parameters, by name. Whether entries are finite is not looked at.
    """
    dtype = floating_dtype(given.values())
    arrays = {name: as_float_array(values, name, dtype) for name, values in given.items()}
    n_features, found = shapes["head.weight"][1], tuple(arrays["x"].shape)
    if len(found) != 2 or found[0] == 0 or found[1] != n_features:
        raise ValueError(
            f"x must have the shape (n, {n_features}), with one row at least, got {found}."
        )
    for name, expected in shapes.items():
        found = tuple(arrays[name].shape)
        if found != expected:
            raise ValueError(f"{name} must have the shape {expected}, got {found}.")
    xp = namespace_of(arrays["x"])
    widest = xp.result_type(*(array.dtype for array in arrays.values()))
    for name, array in arrays.items():
        if array.dtype != widest:
            arrays[name] = array.astype(widest) if xp is np else xp.astype(array, widest)
    return arrays


def check_finite(arrays: dict[str, Any]) -> None:
    """Refuse NaN and infinity."""
    for name, array in arrays.items():
        real_arrays({name: array})

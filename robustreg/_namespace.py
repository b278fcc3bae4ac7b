"""Arrays of any kind: whose functions they need, and what these do not agree on.

NumPy's arrays, and all that becomes one, go by NumPy's own functions. Tensors of PyTorch, arrays of
CuPy and JAX and whatever else follows the array API standard go by the namespace that
array-api-compat finds for them, on their device and in their precision.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

# Kinds without ``__array_namespace__``, or without it in all of their versions.
_WITHOUT_NAMESPACE = (("torch", "Tensor"), ("cupy", "ndarray"))


def is_foreign(values: Any) -> bool:
    """Whether something is an array, and not one that NumPy makes its own."""
    if type(values) is np.ndarray or isinstance(values, (np.ndarray, np.generic)):
        return False
    if hasattr(values, "__array_namespace__"):
        return True
    for module, name in _WITHOUT_NAMESPACE:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(values, kind):
            return True
    return False


def namespace_of(array: Any) -> Any:
    """The functions for an array: NumPy, or a namespace of the array API standard."""
    if type(array) is np.ndarray or not is_foreign(array):
        return np
    return _compat().array_namespace(array)


def device_of(array: Any) -> Any:
    """Where a foreign array is; None where that is not known, as of JAX while it traces."""
    return _compat().device(array)


def is_on_device(values: Any) -> bool:
    """Whether something is a foreign array that is to stay what it is: scikit-learn is told so.

    Without its ``array_api_dispatch`` such arrays become NumPy's, where they can.
    """
    if type(values) is np.ndarray or not is_foreign(values):
        return False
    from sklearn import get_config

    return bool(get_config()["array_api_dispatch"])


def describe(array: Any) -> str:
    """What an array is called in a message, "torch.Tensor" for example."""
    kind = type(array)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def _compat() -> Any:
    try:
        import array_api_compat
    except ImportError as error:
        raise ImportError(
            "Losses and fits of arrays other than NumPy's need array-api-compat: "
            "pip install robustreg[array-api]."
        ) from error
    return array_api_compat


# --- between a device and the host


def on_host(array: Any) -> Any:
    """A foreign array as one of NumPy's: for sums and samples, never for a table."""
    xp = namespace_of(array)
    if xp is np:
        return array
    if xp.__name__ == "array_api_strict":  # whose devices have no strings
        return np.asarray(array.to_device(xp.Device("CPU_DEVICE")))
    return np.asarray(_compat().to_device(array, "cpu"))


def lifted(values: Any, like: Any) -> Any:
    """NumPy's numbers where another array is, in their own precision; beside NumPy's they stay."""
    xp = namespace_of(like)
    if xp is np:
        return values
    # PyTorch takes neither what is read-only nor what runs backwards
    return xp.asarray(np.require(values, requirements=("C", "W")), device=device_of(like))


def sum_of(values: Any) -> float:
    """The sum of an array, on the host."""
    if type(values) is np.ndarray:
        return float(values.sum())
    return float(namespace_of(values).sum(values))


def doubles(array: Any) -> Any:
    """A foreign array in double precision, without a copy where it is."""
    xp = namespace_of(array)
    return array if array.dtype == xp.float64 else xp.astype(array, xp.float64)


# --- what namespaces do not agree on


def constant(array: Any) -> Any:
    """The same numbers, through which no derivative is taken."""
    if hasattr(array, "detach"):
        return array.detach()
    if namespace_of(array).__name__.startswith("jax"):
        from jax.lax import stop_gradient

        return stop_gradient(array)
    return array


def cast(array: Any, like: Any) -> Any:
    """An array, of truth values for example, in the precision of another."""
    xp = namespace_of(array)
    return np.asarray(array).astype(like.dtype) if xp is np else xp.astype(array, like.dtype)


def is_half(array: Any) -> bool:
    """Whether a foreign array holds floats of 16 bits, whose sums and squares soon overflow."""
    return bool(namespace_of(array).finfo(array.dtype).bits == 16)


def as_type(array: Any, dtype: Any) -> Any:
    """A foreign array in another type; None is its own."""
    return array if dtype is None else namespace_of(array).astype(array, dtype)


# What has a corner. Automatic differentiation takes the slope of the part below at a bound itself,
# where the namespaces' own functions take either slope, or one in between.


def absolute(x: Any) -> Any:
    """``|x|``, with the slope 0 at 0."""
    xp = namespace_of(x)
    return np.abs(x) if xp is np else xp.sign(x) * x


def at_least(x: Any, low: float) -> Any:
    """``max(x, low)``, which is constant up to and at the bound."""
    if type(x) is np.ndarray:
        return np.maximum(x, low)
    return namespace_of(x).where(x <= low, low, x)


def positive_part(x: Any) -> Any:
    """``max(x, 0)``, with the slope 1 at 0: what hinge losses are made of."""
    if type(x) is np.ndarray:
        return np.maximum(x, 0.0)
    return namespace_of(x).where(x >= 0, x, 0)


def at_most(x: Any, high: float) -> Any:
    """``min(x, high)``, which is x up to and at the bound."""
    if type(x) is np.ndarray:
        return np.minimum(x, high)
    return namespace_of(x).where(x > high, high, x)


def between(x: Any, low: float, high: float) -> Any:
    """``min(max(x, low), high)``."""
    if type(x) is np.ndarray:
        return np.minimum(np.maximum(x, low), high)  # less work than np.clip before it begins
    return at_most(at_least(x, low), high)


def concat(arrays: list[Any], axis: int = 0) -> Any:
    """Arrays one after the other."""
    xp = namespace_of(arrays[0])
    return np.concatenate(arrays, axis=axis) if xp is np else xp.concat(arrays, axis=axis)


def arange(stop: int, like: Any) -> Any:
    """``0, ..., stop - 1``, where another array is."""
    xp = namespace_of(like)
    return np.arange(stop) if xp is np else xp.arange(stop, device=device_of(like))


def as_kind(values: Any, like: Any) -> Any:
    """A NumPy array as one of the kind of another, where that is and in its precision."""
    xp = namespace_of(like)
    if xp is np:
        return np.asarray(values, dtype=like.dtype)
    return xp.asarray(np.asarray(values).tolist(), dtype=like.dtype, device=device_of(like))

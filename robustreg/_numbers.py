"""Real numbers out of whatever users pass, and refusals of what NumPy only takes for numbers.

NumPy counts dates and durations in their unit, whichever that is, makes -9.2e18 of NaT, and reads
what a mask hides. All input goes through here before it is converted, so that no fit, no
prediction and no metric is made of such numbers.
"""

from __future__ import annotations

import datetime
import math
import sys
from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from robustreg._namespace import is_on_device

NUMERIC = frozenset("fiub")  # kinds of dtypes
DATES = (np.datetime64, datetime.date, datetime.time)
DURATIONS = (np.timedelta64, datetime.timedelta)


class NoNumberError(ValueError, TypeError):
    """An entry is not a number: a wrong value to users, a wrong type to scikit-learn's checks."""


def real_values(values: Any, name: str) -> Any:
    """The values of an argument, if they are real numbers, in a form that NumPy converts rightly.

    Arrays, frames and sparse matrices of numbers are returned as they are, all else as an array;
    objects and strings that stand for numbers become float64. Whether the numbers are finite, and
    the shape is right, is for others to say.

    Parameters
    ----------
    values : object
        What the user has passed.
    name : str
        What the argument is called.

    Returns
    -------
    object
        An array, frame or sparse matrix of numbers, or the scalar or None that was passed.

    Raises
    ------
    ValueError
        If the values are dates, durations, masked, complex, too large for float64, not numbers,
        not in memory, or an array of another kind while scikit-learn's ``array_api_dispatch`` says
        that these stay what they are.
    """
    if type(values) is np.ndarray and values.dtype.kind in NUMERIC:
        return values
    if values is None or isinstance(values, Real):
        return values
    if is_elsewhere(values):
        raise ValueError(
            f"{name} must be in memory here, got {_kind(values)}: numpy.asarray({name}), "
            f"{name}.compute() or {name}.collect() loads it."
        )
    if is_on_device(values):
        raise ValueError(
            f"{name} must be an array of NumPy here, got {_kind(values)}: numpy.asarray({name}) or "
            f"numpy.asarray({name}.cpu()) makes one."
        )
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(
                f"{name} has masked entries, which stand for missing values: fill them, or leave "
                "out their rows."
            )
        return real_values(values.data, name)
    if not hasattr(values, "dtype") and hasattr(values, "dtypes"):
        for label, column in _other_columns(values):
            real_values(column, f"column {label!r} of {name}")
        return _in_one_sparse_dtype(values)
    dtype = getattr(values, "dtype", None)
    if _is_temporal(dtype):
        raise _not_in_time(name, dtype)
    if getattr(dtype, "kind", "") in NUMERIC:
        return values
    if sparse.issparse(values):
        raise _not_numeric(name, values.dtype)
    return _from_anything(values, name)


def real_array(values: Any, name: str) -> NDArray[np.floating[Any]]:
    """The values of an argument as an array of float32, if they are that, or else of float64."""
    array = np.asarray(real_values(values, name))
    if array.dtype.kind not in NUMERIC:  # of a sparse matrix, which is one object
        raise _not_numeric(name, array.dtype)
    if array.dtype in (np.float64, np.float32):
        return array
    with np.errstate(over="ignore"):  # of long doubles
        return array.astype(np.float64)


def is_elsewhere(values: Any) -> bool:
    """Whether values are not in memory: of Dask, a lazy frame of polars, or a store in chunks.

    No package is imported to find out: whoever has such a thing has imported it.
    """
    return is_dask(values) or is_lazy_frame(values) or is_store(values)


def is_dask(values: Any) -> bool:
    """Whether Dask would compute the values."""
    return "dask" in sys.modules and bool(sys.modules["dask"].is_dask_collection(values))


def is_lazy_frame(values: Any) -> bool:
    """Whether the values are a query of polars."""
    return "polars" in sys.modules and isinstance(values, sys.modules["polars"].LazyFrame)


def is_store(values: Any) -> bool:
    """Whether slices are read from somewhere, as of arrays of Zarr and data sets of HDF5."""
    return all(hasattr(values, name) for name in ("chunks", "shape", "dtype", "__getitem__"))


def as_number(value: object) -> float:
    """Return a real number as a float and everything else as NaN, which no range contains."""
    try:
        return float(value) if isinstance(value, Real) else math.nan
    except OverflowError:  # of an integer
        return math.inf


def _other_columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    """Labels and values of the columns of a frame, pandas' or polars', that need a closer look."""
    dtypes = list(frame.dtypes)
    if all(getattr(dtype, "kind", "") in NUMERIC for dtype in set(dtypes)):
        return
    for j, (label, dtype) in enumerate(zip(frame.columns, dtypes, strict=True)):
        if getattr(dtype, "kind", "") not in NUMERIC:
            yield label, frame.iloc[:, j] if hasattr(frame, "iloc") else frame[:, j]


def _in_one_sparse_dtype(frame: Any) -> Any:
    """A sparse frame of pandas with columns of one dtype; SciPy has no matrix of several.

    Dummies are of truth values, and stand beside floats. Other frames are returned as they are,
    and so are sparse ones whose entries are not 0 where nothing is stored.
    """
    dtypes = set(frame.dtypes)
    mixed = len(dtypes) > 1 and all(getattr(dtype, "fill_value", None) == 0 for dtype in dtypes)
    if not mixed:
        return frame
    from pandas import SparseDtype

    return frame.astype(SparseDtype(np.float64, 0.0))


def _is_temporal(dtype: Any) -> bool:
    """Whether a dtype, NumPy's or pandas' or polars', is that of dates or durations."""
    if getattr(dtype, "kind", "") in ("M", "m"):
        return True
    return bool(hasattr(dtype, "is_temporal") and dtype.is_temporal())


def _from_anything(values: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # uneven rows; tensors
        raise ValueError(f"{name} must be an array of real numbers: {error}") from error
    kind = array.dtype.kind
    if kind in NUMERIC:
        return array
    if kind in "Mm":
        raise _not_in_time(name, array.dtype)
    if kind in "cV":
        raise _not_numeric(name, array.dtype)
    if kind == "O":
        for one in set(map(type, array.flat)):
            if issubclass(one, DATES + DURATIONS):
                raise _not_in_time(name, one.__name__)
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        refusal = NoNumberError if isinstance(error, TypeError) else ValueError
        raise refusal(f"{name} must hold real numbers: {error}") from error


def _kind(values: Any) -> str:
    """The package that values are of, and what they are there."""
    return f"{type(values).__module__.partition('.')[0]}'s {type(values).__name__}"


def _not_in_time(name: str, kind: Any) -> ValueError:
    return ValueError(
        f"{name} must hold real numbers, got dates or durations ({kind}), whose numbers depend on "
        "their unit. Choose one, for example days: (dates - date) / numpy.timedelta64(1, 'D') and "
        "durations / numpy.timedelta64(1, 'D')."
    )


def _not_numeric(name: str, dtype: Any) -> ValueError:
    if dtype.kind == "c":
        return ValueError(f"{name} must hold real numbers: Complex data not supported.")
    return NoNumberError(f"{name} must hold real numbers, got the dtype {dtype}.")

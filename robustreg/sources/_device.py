"""Rows of arrays that are not NumPy's, which stay on their device: sums leave it, and a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustreg._cached import cached_property
from robustreg._namespace import (
    constant,
    describe,
    device_of,
    doubles,
    is_foreign,
    lifted,
    namespace_of,
    on_host,
    sum_of,
)
from robustreg._numbers import real_array
from robustreg.sources._base import Job, tree_sum
from robustreg.sources._surveyed import SEED, Survey, Surveyed, not_here, sampled_rows

ENTRIES = 2**23  # of X in a partition, of which a job makes a few copies in double precision


@dataclass(frozen=True)
class DeviceSource:
    """Rows on a device, for the jobs that work there: those that say so.

    Attributes
    ----------
    X : array of shape (n, p)
        Regressors. Never copied as a whole.
    y : array of shape (n,) or None
        Targets, in double precision; None for rows that are only predicted.
    weight : array of shape (n,) or None
        Weights of which some may be 0, in double precision; None for ones.
    """

    X: Any
    y: Any
    weight: Any
    names: ClassVar[None] = None

    @classmethod
    def of(cls, X: Any, y: Any, sample_weight: Any) -> DeviceSource:
        """The rows of X; targets and weights follow it to its device, as scikit-learn has it.

        Raises
        ------
        ValueError
            If an array is not what it must be, or the device has no double precision.
        """
        _check_real("X", X)
        if X.ndim != 2 or not all(X.shape):
            raise ValueError(
                "X must be of two dimensions, and have a row and a column at least; got shape "
                f"{tuple(X.shape)}."
            )
        _check_doubles(X)
        own_y = None if y is None else _beside(X, "y", y)
        weight = None
        if sample_weight is not None:
            weight = _beside(X, "sample_weight", sample_weight)
            xp = namespace_of(weight)
            if float(xp.min(weight)) < 0.0 or float(xp.max(weight)) == 0.0:
                raise ValueError("sample_weight must be non-negative and not all zero.")
        return cls(constant(X), own_y, weight)

    @property
    def n_columns(self) -> int:
        """Columns of X."""
        return int(self.X.shape[1])

    @property
    def is_single(self) -> bool:
        """Whether X is in single precision."""
        return bool(self.X.dtype == namespace_of(self.X).float32)

    @cached_property
    def _partitions(self) -> list[slice]:
        n, p = self.X.shape
        rows = max(1, ENTRIES // p)
        return [slice(first, min(first + rows, n)) for first in range(0, n, rows)]

    def total(self, job: Job) -> Any:
        """As of :class:`robustreg.sources.RowSource`."""
        if isinstance(job, Survey):
            return self._surveyed()
        if not getattr(job, "on_device", False):
            raise not_here()
        return tree_sum(self._results(job))

    def _results(self, job: Job) -> Iterator[Any]:
        for index, part in enumerate(self._partitions):
            y: Any = None if self.y is None else self.y[part]
            weight = None if self.weight is None else self.weight[part]
            yield job(self.X[part, :], y, weight, index)

    def _surveyed(self) -> Surveyed:
        """What the survey of a source finds: rows are drawn here, that few of them leave."""
        xp, y, counts, kept = namespace_of(self.X), self.y, self._counts(), None
        n, weights = sum(counts.values()), (float(self.X.shape[0]), 1.0, 1.0)
        if self.weight is not None:
            weight = self.weight
            if n < self.X.shape[0]:
                kept = xp.nonzero(weight)[0]
                weight, y = xp.take(weight, kept, axis=0), xp.take(y, kept, axis=0)
            weights = (sum_of(weight), float(xp.min(weight)), float(xp.max(weight)))
        rng, most = np.random.default_rng(SEED), sampled_rows(self.n_columns)
        drawn = np.arange(n) if n <= most else np.unique(rng.integers(0, n, most))
        index = lifted(drawn, self.X)
        if kept is not None:
            index = xp.take(kept, index, axis=0)
        X, own_y = (on_host(xp.take(one, index, axis=0)) for one in (self.X, self.y))
        own_weight = np.ones(len(drawn))
        if self.weight is not None:
            own_weight = on_host(xp.take(self.weight, index, axis=0))
        return Surveyed(
            counts,
            dict.fromkeys(counts, 0),
            weights,
            (float(xp.min(y)), float(xp.max(y))),
            {0: int(self.X.shape[0])},
            rng.random(len(drawn)),
            X if self.is_single else X.astype(np.float64, copy=False),
            own_y,
            own_weight,
            most,
        )

    def _counts(self) -> dict[int, int]:
        """Rows of positive weight in each partition."""
        if self.weight is None:
            return {index: part.stop - part.start for index, part in enumerate(self._partitions)}
        xp = namespace_of(self.weight)
        counted = xp.astype(self.weight > 0.0, xp.int64)
        return {index: int(xp.sum(counted[part])) for index, part in enumerate(self._partitions)}


def _beside(X: Any, name: str, values: Any) -> Any:
    """A column of finite numbers where X is, in double precision."""
    xp, device = namespace_of(X), device_of(X)
    if is_foreign(values):
        _check_real(name, values)
        values = constant(values)
        if namespace_of(values) is not xp or device_of(values) != device:
            values = lifted(on_host(values), X)
    else:
        values = lifted(real_array(values, name), X)
    if tuple(values.shape) != tuple(X.shape[:1]):
        raise ValueError(
            f"{name} must have an entry for each of the {X.shape[0]} rows of X, got shape "
            f"{tuple(values.shape)}."
        )
    values = doubles(values)
    if not bool(xp.all(xp.isfinite(values))):
        raise ValueError(f"{name} must be finite, but contains NaN or infinity.")
    return values


def _check_real(name: str, values: Any) -> None:
    """Refuse what does not hold real numbers."""
    if not namespace_of(values).isdtype(values.dtype, ("bool", "integral", "real floating")):
        raise ValueError(
            f"{name} must hold real numbers, got the dtype {values.dtype}: Complex data not "
            "supported."
        )


def _check_doubles(X: Any) -> None:
    """Refuse devices that have no double precision."""
    xp = namespace_of(X)
    try:
        known = xp.zeros(1, dtype=xp.float64, device=device_of(X)).dtype == xp.float64
    except (TypeError, ValueError, RuntimeError):
        known = False
    if not known:
        raise ValueError(
            f"Fits are made in double precision, which {describe(X)} does not have on the device "
            f"{device_of(X)}: pass NumPy's arrays."
        )

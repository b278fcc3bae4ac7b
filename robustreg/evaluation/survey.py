"""How the rows of a source are to be read, from some of them; of a sparse X, from all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.sparsefuncs import mean_variance_axis

from robustreg._arrays import EPS, TINY, Array, Index, Mask
from robustreg.evaluation.reading import NotFiniteError
from robustreg.evaluation.rows import Observed, RowBlocks
from robustreg.sources._array import WIDE

PILOT_ROWS = 1024  # rows that suggest the centre; any centre within a few sd will do
LEAST_PILOT_ROWS, PILOT_ENTRIES = 256, 2**21  # fewer of very many columns
CACHED_ENTRIES = 2**16  # of them that are looked at together
# Beyond this ratio of mean to spread, centring through the intercept loses more than six digits.
MAX_MEAN_TO_SPREAD = 1e6
# Beyond this one, Gram matrices of sparse rows are summed over dense centred blocks: what
# uncentred sums lose is its square.
FAR_SPARSE = 1e2
# Uncentred sums of squares lose no more than a digit up to this ratio of mean to spread, ...
MAX_MEAN_NEAR = 3.0
LEAST_SINGLE, MOST_SINGLE = 1e-12, 1e12  # ... and for these spreads suit single precision.
LARGE = 2**18  # entries of X from which that pays for fewer columns, too:
WIDE_IF_LARGE = 20
# Squares and products of entries outside of these bounds leave the floating-point range.
TINY_ENTRY, HUGE_ENTRY = 1e-70, 1e70


class _Surveyed(NamedTuple):
    """What some of the rows say of the columns."""

    centre: Array
    spread: Array
    hard: bool  # whether blocks are to be standardised
    near: bool
    single: bool


def read_rows(observed: Observed, fit_intercept: bool, standardise: bool = False) -> RowBlocks:
    """The rows of a source, and how they are read.

    Parameters
    ----------
    observed : Observed
        Where they are.
    fit_intercept : bool
        Without an intercept nothing is centred.
    standardise : bool, default=False
        Read every dense block as a standardised copy, for ill-conditioned X.
    """
    source = observed.source
    n, p, total = source.n, source.n_columns, source.total_weight
    if source.is_sparse:
        return _sparse_rows(observed, fit_intercept, n, total)
    count = min(PILOT_ROWS, max(LEAST_PILOT_ROWS, PILOT_ENTRIES // p))
    X, _, weight = source.every(max(1, n // count))
    found = _survey(X, weight, fit_intercept)
    zeros, ones = np.zeros(p), np.ones(p)
    explicit = standardise or found.hard or X.dtype != np.float64
    return RowBlocks(
        fit_intercept=fit_intercept,
        sparse=False,
        centre=found.centre,
        unit=found.spread if explicit else ones,
        base=found.centre if explicit else zeros,
        offset=zeros if explicit else found.centre,
        flat=np.zeros(p, dtype=bool),
        explicit=explicit,
        near=found.near and not explicit,
        single=found.single and not explicit and _single_pays(n, p),
        observed=observed,
        n=n,
        total=total,
    )


def _survey(X: Array, weight: Array | None, fit_intercept: bool) -> _Surveyed:
    """Centre and spread of the columns of some rows, and whether X needs standardising."""
    n, p = X.shape
    share = np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
    step = max(1, CACHED_ENTRIES // n)
    parts = [
        _of_columns(X[:, first : first + step], share, fit_intercept) for first in range(0, p, step)
    ]
    two, centre, spread = (
        parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    )
    varies = spread.min() > 0.0  # what is left of a constant must be exactly 0: centre it
    if not varies:
        spread = np.where(spread > 0.0, spread, 1.0)
    off, width = float((np.abs(centre) / spread).max()), spread * two
    extreme = two.min() < TINY_ENTRY or two.max() > HUGE_ENTRY
    near = bool(varies and off <= MAX_MEAN_NEAR)
    return _Surveyed(
        centre=centre * two,
        spread=np.maximum(width, TINY),
        hard=bool(extreme or off > MAX_MEAN_TO_SPREAD),
        near=near,
        single=bool(near and width.min() > LEAST_SINGLE and width.max() < MOST_SINGLE),
    )


def _of_columns(X: Array, share: Array, fit_intercept: bool) -> tuple[Array, Array, Array]:
    """Powers of two near the largest entries, and in these units centre and spread; 0 of none."""
    # one column a row: reductions along short rows take several times as long
    pilot = np.array(X.T, dtype=np.float64, order="C")
    low, high = pilot.min(axis=1), pilot.max(axis=1)
    largest = np.maximum(high, -low)
    if not np.isfinite(largest).all():
        raise NotFiniteError
    # A power of two keeps every digit, and the squares below in range.
    two = np.ldexp(1.0, np.frexp(np.where(largest > 0, largest, 1.0))[1] - 1)
    pilot /= two[:, None]
    centre = np.zeros(len(pilot))
    if fit_intercept:
        centre = pilot @ share
        constant = low == high
        if constant.any():
            centre[constant] = pilot[constant, 0]
        pilot -= centre[:, None]
    return two, centre, np.sqrt(np.square(pilot, out=pilot) @ share)


def _single_pays(n: int, p: int) -> bool:
    """Whether a product in single precision saves more than the conversion takes."""
    return p >= WIDE or (p >= WIDE_IF_LARGE and n * p >= LARGE)


def _sparse_rows(observed: Observed, fit_intercept: bool, n: int, total: float) -> RowBlocks:
    """As ``read_rows``, of a CSR matrix, all of which is looked at."""
    source = observed.source
    X, weight, p = source.X, source.weight, source.n_columns
    mean, variance = mean_variance_axis(X, axis=0, weights=weight)
    tame = (variance > TINY_ENTRY**2) & (variance < HUGE_ENTRY**2)
    unit = np.ones(p) if tame.all() else _extreme_units(X, ~tame)
    if np.any(unit != 1.0):
        scaled = _scaled_columns(X, 1 - np.frexp(unit)[1])
        mean, variance = mean_variance_axis(scaled, axis=0, weights=weight)
    variance = np.maximum(variance, 0.0)  # rounding may leave less of a constant column
    far = bool(np.any(mean**2 > FAR_SPARSE**2 * variance)) and fit_intercept
    flat = np.zeros(p, dtype=bool)
    if fit_intercept:  # a dense constant column is exactly 0 after centring, here not
        flat = variance <= (8 * EPS * mean) ** 2
    centre = mean * unit if fit_intercept else np.zeros(p)
    rows = RowBlocks(
        fit_intercept=fit_intercept,
        sparse=True,
        centre=centre,
        unit=unit,
        base=np.zeros(p),
        offset=centre / unit,
        flat=flat,
        far=far,
        observed=observed,
        n=n,
        total=total,
    )
    return _shifted(rows, np.sqrt(variance) * unit) if far else rows


def _shifted(rows: RowBlocks, spread: Array) -> RowBlocks:
    """Columns of a sparse X that are far from 0, and hold no zeros, are read as standardised.

    They hold as many numbers as before, and blocks remain sparse.
    """
    X = rows.source.X
    far = (np.abs(rows.centre) > FAR_SPARSE * spread) & ~rows.flat
    if not (far.any() and X.has_canonical_format):
        return rows
    shifted = far & (np.bincount(X.indices, minlength=rows.p) == rows.n)
    return replace(
        rows,
        base=np.where(shifted, rows.centre, 0.0),
        unit=np.where(shifted, spread, rows.unit),
        offset=np.where(shifted, 0.0, rows.offset),
        far=bool(np.any(far & ~shifted)),
    )


def _extreme_units(X: Any, columns: Mask) -> Array:
    """Powers of two for those of some columns whose squares leave the floating-point range."""
    largest = np.zeros(X.shape[1])
    stored = columns[X.indices]
    np.maximum.at(largest, X.indices[stored], np.abs(X.data[stored]))
    extreme = (largest > 0.0) & ((largest < TINY_ENTRY) | (largest > HUGE_ENTRY))
    two = np.maximum(np.ldexp(1.0, np.frexp(largest)[1] - 1), TINY)
    return np.where(extreme, two, 1.0)


def _scaled_columns(X: Any, exponent: Index) -> Any:
    """X with its columns times powers of two, exactly; only the values are copied."""
    data = np.ldexp(X.data, exponent[X.indices])
    return type(X)((data, X.indices, X.indptr), shape=X.shape, copy=False)

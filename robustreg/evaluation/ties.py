"""Rows that a fit passes through: how far it has made these zeros itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from robustreg._arrays import Array, Mask, one_entry_each

Codes = NDArray[np.uint64]

SLACK = 1.0 + 1e-9  # sums of equal weights in another order, for which no row is looked up


def interpolated_share(
    X: Any, y: Array, weight: Array | None, zero: Mask, rank: int, vertex: bool
) -> float:
    """Share of the zero residuals' weight that a fit of some rank has made itself.

    At a ``vertex`` that are no more rows than its rank, which are independent; under a ridge they
    may be the same.

    In general position a fit by least absolute deviations passes through as many rows as its
    rank, whatever the noise. Of m different rows that it passes through these are the share
    rank / m, all of them if m is less. But where rows of the same x are in part fitted exactly
    and in part missed, ties of y have made zeros, too: then none of these m counts for more
    than the heaviest of the different rows that are missed. Repeated rows count as weights.
    """
    own, missed = np.ones(int(zero.sum())) if weight is None else weight[zero], ~zero
    heaviest = 1.0 if weight is None else float(weight[missed].max(initial=0.0))
    known = share_of_rank(own, lambda: row_codes(X[zero]), heaviest, rank, vertex)
    if isinstance(known, float):
        return known
    most = _heaviest_missed(X, y, weight, zero, missed) if missed.any() else np.inf
    return known.if_none_is_heavier_than(most)


class Tied(NamedTuple):
    """The share of rows on a fit, if none of these counts for more than it weighs."""

    share: float
    size: Array  # weights of those that differ

    def if_none_is_heavier_than(self, most: float) -> float:
        """The share where none of them counts for more than that."""
        return self.share * float(np.minimum(self.size, most).sum() / self.size.sum())


def share_of_rank(
    own: Array, codes: Callable[[], Codes], heaviest: float, rank: int, vertex: bool
) -> float | Tied:
    """The share from the rows on the fit alone, unless these are heavier than any off it.

    ``own`` are their weights, ``codes`` gives their :func:`row_codes`, and ``heaviest`` is the
    largest weight of any other row.
    """
    if vertex and len(own) <= rank and own.max() <= SLACK * heaviest:
        return 1.0
    size = np.bincount(np.unique(codes(), return_inverse=True)[1], own).astype(np.float64)
    share = min(1.0, rank / len(size))
    return share if size.max() <= SLACK * heaviest else Tied(share, size)


def _heaviest_missed(X: Any, y: Array, weight: Array | None, zero: Mask, missed: Mask) -> float:
    """Weight of the heaviest different row off the fit; inf if none shares its x with one on it."""
    codes = row_codes(X)
    if not np.isin(codes[missed], np.unique(codes[zero])).any():
        return np.inf
    both = codes[missed] + row_codes(y[missed, None]) * np.uint64(3)
    label = np.unique(both, return_inverse=True)[1]
    return float(np.bincount(label, None if weight is None else weight[missed]).max())


def row_codes(X: Any) -> Codes:
    """A number for every row: the same for equal rows, for others with a chance of 2^-64.

    The sum of scrambled entries, 0 for an entry of 0, modulo 2^64: exact, hence the same
    wherever the row is, unlike a floating-point sum.
    """
    key = np.random.default_rng(0).integers(0, 2**64, X.shape[1], dtype=np.uint64)
    if issparse(X):
        X = one_entry_each(X)
        ends = np.append(np.uint64(0), np.cumsum(_scrambled(X.data, key[X.indices])))
        return ends[X.indptr[1:]] - ends[X.indptr[:-1]]
    codes = np.zeros(len(X), dtype=np.uint64)
    for column, own in zip(X.T, key, strict=True):
        codes += _scrambled(column, own)
    return codes


def _scrambled(values: Array, key: Any) -> Codes:
    """64 bits without a pattern for every value and key (the finaliser of SplitMix64)."""
    bits = np.array(values, dtype=np.float64).view(np.uint64) ^ key
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return np.where(values == 0, np.uint64(0), bits)

"""Sums over all rows that coordinates are made of: means, spreads and second moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustreg._arrays import EPS, Array, Mask
from robustreg._linalg.products import product
from robustreg._namespace import between, is_foreign, namespace_of, on_host, sum_of
from robustreg.evaluation.reading import Block, NotFiniteError, Reading, copied_rows
from robustreg.evaluation.rows import RowBlocks

ROWS_AT_ONCE = 64  # of matrices that are changed where they are
CONSTANT = 16 * EPS  # of the square of a mean: variances that are rounding


@dataclass(frozen=True)
class Moments:
    """Weighted second moments of all rows, about the columns' means (0 without intercept)."""

    gram: Array  # (p + 1, p + 1) sums of w [a, 1][a, 1]' with a = A - offset

    def spread(self, total: float) -> Array:
        """Standard deviations of the columns, ``total`` being the sum of the weights."""
        return np.sqrt(np.maximum(np.diag(self.gram)[:-1], 0.0) / total)


@dataclass(frozen=True)
class TargetMoments:
    """Weighted moments of the targets with the columns, about the means of both."""

    cross: Array  # (p,) sums of w a (y - mean)
    mean: float  # 0 without an intercept


@dataclass(frozen=True)
class _SecondMoments:
    """The job that sums ``w [a, 1][a, 1, y]'``, y cut off beyond a limit; None: 0 in its place.

    Of columns that are summed as they are read, a = A: the sum has to be moved, once for all.
    """

    single: bool
    limit: float | None
    products_only: ClassVar[bool] = True
    square: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> _SecondSums:
        reading, weight, target = block.reading, block.weight, block.target
        cross = np.zeros(reading.p + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            if reading.as_read:
                gram = _gram_as_read(block.X, weight, self.single)
            else:
                gram = weighted_gram(reading, block.X, weight, single=self.single)
            if self.limit is None:
                return _SecondSums(gram, cross)
            if self.limit < np.inf:
                target = between(target, -self.limit, self.limit)
            weighted = block.weighted(target)
            cross[-1] = sum_of(weighted)
            cross[:-1] = on_host(product(weighted, block.X)) - cross[-1] * reading.offset
        return _SecondSums(gram, cross)


@dataclass(frozen=True)
class _SecondSums:
    """Sums over blocks."""

    gram: Array  # (p + 1, p + 1)
    cross: Array  # (p + 1,)

    def __add__(self, other: _SecondSums) -> _SecondSums:
        with np.errstate(over="ignore", invalid="ignore"):
            return _SecondSums(self.gram + other.gram, self.cross + other.cross)

    def __iadd__(self, other: _SecondSums) -> _SecondSums:
        """Of blocks of a partition, where the sum is nobody else's: p x p numbers take time."""
        with np.errstate(over="ignore", invalid="ignore"):
            gram = np.add(self.gram, other.gram, out=self.gram)
            return _SecondSums(gram, self.cross + other.cross)


def moments(
    rows: RowBlocks, limit: float | None = np.inf, single: bool = False
) -> tuple[RowBlocks, Moments, TargetMoments | None]:
    """The rows about the means of X, and the moments of X and y: one pass over X.

    The rows are about points near their means as they come, so nothing cancels here. Targets are
    cut off beyond ``limit``; where that is None, nothing is summed of them. With ``single``, for
    ``rows.single`` only, the Gram matrix has six digits, at half of the cost.
    """
    with np.errstate(invalid="ignore"):
        sums = rows.sum(_SecondMoments(single, limit))
        gram, cross = sums.gram, sums.cross
        if not np.isfinite(gram.sum()):
            raise NotFiniteError
    if rows.as_read:
        gram = about(gram, rows.offset)
    if not rows.fit_intercept:
        _without(gram, rows.flat)
        return rows, Moments(gram), None if limit is None else TargetMoments(cross[:-1], 0.0)
    mean, mean_y = gram[:-1, -1] / rows.total, float(cross[-1]) / rows.total
    _minus_outer(gram[:-1, :-1], rows.total * mean, mean)
    gram[:-1, -1] = gram[-1, :-1] = 0.0
    _without(gram, rows.flat)
    own = TargetMoments(cross[:-1] - rows.total * mean * mean_y, mean_y)
    return rows.about(mean), Moments(gram), None if limit is None else own


def _without(gram: Array, flat: Mask) -> None:
    """Make rows and columns 0 of what varies by rounding only."""
    if flat.any():
        index = np.flatnonzero(flat)
        gram[index] = 0.0
        gram[:, index] = 0.0


@dataclass(frozen=True)
class _ColumnSums:
    """The job that sums w a and ``w a^2``, shape (2, p)."""

    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        xp = namespace_of(block.target)
        weight = xp.ones_like(block.target) if block.weight is None else block.weight
        with np.errstate(over="ignore", invalid="ignore"):
            return np.array(first_and_second(block, weight))


def first_and_second(block: Block, weight: Array) -> tuple[Array, Array]:
    """``sum w a`` and ``sum w a^2`` of the columns of a block, a = A - offset."""
    offset, total = block.reading.offset, sum_of(weight)
    sums = on_host(product(weight, block.X))
    squares = on_host(product(weight, squared(block.X)))
    return sums - total * offset, squares - 2 * offset * sums + total * offset**2


def column_moments(rows: RowBlocks) -> tuple[RowBlocks, Array]:
    """The columns' standard deviations, in one pass, and the rows about the means.

    Without an intercept, root mean squares. As ``moments``, where p x p numbers are too many.
    """
    mean, variance = rows.sum(_ColumnSums()) / rows.total
    if not np.isfinite(mean.sum() + variance.sum()):
        raise NotFiniteError
    if rows.fit_intercept:
        rows = rows.about(mean)
        variance = variance - mean**2
    # what the centre of a constant column has left of it is the rounding of its squares
    constant = rows.flat | (variance <= CONSTANT * np.square(rows.offset))
    return rows, np.sqrt(np.where(constant, 0.0, variance))


def weighted_gram(
    rows: Reading,
    block: Any,
    weight: Array | None,
    basis: Array | None = None,
    single: bool = False,
) -> Array:
    """``sum w [a, 1][a, 1]'`` over a block, a = A - offset or ``basis'(A - offset)``.

    w must not be negative, unless rows are sparse and near enough to 0 to be summed as they are, or
    on a device.
    """
    if is_foreign(block):
        part = rows.centred(block)
        return gram_on_device(part if basis is None else product(part, basis), weight)
    if basis is None and rows.as_read:
        return about(_gram_as_read(block, weight, single), rows.offset)
    part = rows.centred(block)
    if basis is not None:
        part = product(part, basis)
    if weight is None:
        # a product with ones is faster than a sum over axis 0
        total, linear = len(part), product(np.ones(len(part)), part)
    else:
        total, linear = weight.sum(), product(weight, part)
        part *= np.sqrt(weight)[:, None]
    return bordered(product(part.T, part), linear, total)


def about(gram: Array, offset: Array) -> Array:
    """``sum w [a, 1][a, 1]'`` with ``a = A - offset``, of that with a = A, which is overwritten."""
    linear, total = gram[-1, :-1], gram[-1, -1]
    half = linear - (0.5 * total) * offset
    inner = gram[:-1, :-1]
    _minus_outer(inner, half, offset)
    _minus_outer(inner, offset, half)
    gram[-1, :-1] -= total * offset
    gram[:-1, -1] = gram[-1, :-1]
    return gram


def _minus_outer(matrix: Array, left: Array, right: Array) -> None:
    """Subtract ``left right'`` from a matrix, where that is."""
    for first in range(0, len(left), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        matrix[part] -= left[part, None] * right


def _gram_as_read(block: Any, weight: Array | None, single: bool) -> Array:
    """``sum w [A, 1][A, 1]'`` over a block."""
    if is_foreign(block):
        return gram_on_device(block, weight)
    if isinstance(block, np.ndarray) and not single:
        return _dense_gram(block, weight)
    ones = np.ones(block.shape[0]) if weight is None else weight
    gram = _single_gram(block, weight) if single else _sparse_gram(block, weight)
    return bordered(gram, product(ones, block), ones.sum())


def _dense_gram(block: Array, weight: Array | None) -> Array:
    """The same of a dense block, a piece at a time, which stays in the cache for its sums."""
    n, p = block.shape
    step = max(1, min(n, copied_rows(n, p, block.itemsize)))
    gram, side = np.zeros((p, p)), np.zeros(p)
    ones = np.ones(step) if weight is None else np.sqrt(weight)
    scaled = np.empty((0 if weight is None else step, p))
    for first in range(0, n, step):
        part = block[first : first + step]
        own = ones[: len(part)]
        if weight is not None:
            own = ones[first : first + step]
            part = np.multiply(part, own[:, None], out=scaled[: len(part)])
        gram += product(part.T, part)
        side += product(own, part)
    return bordered(gram, side, float(n) if weight is None else weight.sum())


def gram_on_device(part: Any, weight: Any) -> Array:
    """``sum w [a, 1][a, 1]'`` of rows a on a device, where it is summed, in double precision."""
    xp = namespace_of(part)
    other = part if weight is None else weight[:, None] * part
    total = float(part.shape[0]) if weight is None else sum_of(weight)
    linear = on_host(xp.sum(other, axis=0))
    return bordered(on_host(xp.matrix_transpose(part) @ other), linear, total)


def bordered(matrix: Array, side: Array, corner: float) -> Array:
    """A symmetric matrix with one more row and column."""
    k = len(side)
    found = np.empty((k + 1, k + 1))
    found[:k, :k], found[k, :k], found[:k, k], found[k, k] = matrix, side, side, corner
    return found


def _sparse_gram(block: Any, weight: Array | None) -> Array:
    """``sum w x x'`` of a sparse block."""
    other = block if weight is None else scaled_rows(block, weight)
    found: Array = (block.T @ other).toarray()
    return found


def scaled_rows(block: Any, weight: Array) -> Any:
    """Rows of a CSR matrix times their weights; the indices are shared."""
    data = block.data * np.repeat(weight, np.diff(block.indptr))
    return type(block)((data, block.indices, block.indptr), shape=block.shape, copy=False)


def squared(block: Any) -> Any:
    """The squares of all entries; of a CSR matrix the indices are shared."""
    if isinstance(block, np.ndarray):
        return np.square(block)
    if is_foreign(block):
        return block * block
    data = np.square(block.data)
    return type(block)((data, block.indices, block.indptr), shape=block.shape, copy=False)


def _single_gram(block: Array, weight: Array | None) -> Array:
    """``sum w x x'`` in single precision, converted a piece at a time, which stays in cache."""
    n, p = block.shape
    step, gram = copied_rows(n, p, 4), np.zeros((p, p))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        part = block[rows].astype(np.float32)
        if weight is None:
            gram += product(part.T, part)
        else:
            gram += _single_weighted(part, weight[rows])
    return gram


def _single_weighted(part: Array, weight: Array) -> Array:
    """``sum w x x'`` of rows in single precision, which may be overwritten."""
    index = np.flatnonzero(weight)
    if len(index) < len(weight):  # as where psi' is 0 or 1: to select rows takes less time
        part, weight = np.take(part, index, axis=0), weight[index]
    same = float(weight[0]) if len(weight) else 0.0
    if (weight == same).all():
        return same * product(part.T, part)
    part *= np.sqrt(weight).astype(np.float32)[:, None]
    return product(part.T, part)

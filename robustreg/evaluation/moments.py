"""Sums over all rows that coordinates are made of: means, spreads and second moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import EPS, Array
from robustreg._linalg.products import product
from robustreg.evaluation.reading import NotFiniteError, RowBlocks


@dataclass
class Moments:
    """Weighted second moments of all rows, about the columns' means (0 without intercept)."""

    gram: Array  # (p + 1, p + 1) sums of w [a, 1][a, 1]' with a = A - offset
    cross: Array  # (p,) sums of w a (y - mean_y)
    mean_y: float  # 0 without an intercept


def moments(rows: RowBlocks, y: Array, single: bool = False) -> Moments:
    """One pass over X for the moments of X and y.

    Moves ``rows.offset`` onto the means. It was near them, so nothing cancels here. With
    ``single``, for ``rows.single`` only, the Gram matrix has six digits, at half of the cost.
    """

    def work(chunk: list[slice]) -> tuple[Array, Array]:
        gram, cross = np.zeros((rows.p + 1, rows.p + 1)), np.zeros(rows.p + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in chunk:
                block, weight, target = rows.read(part), rows.weights(part), y[part]
                gram += weighted_gram(rows, block, weight, single=single)
                weighted = target if weight is None else weight * target
                total = weighted.sum()
                cross[:-1] += product(weighted, block) - total * rows.offset
                cross[-1] += total
        return gram, cross

    partial = rows.walk(work)
    with np.errstate(invalid="ignore"):
        gram, cross = sum(part[0] for part in partial), sum(part[1] for part in partial)
        if not np.isfinite(gram.sum()):
            raise NotFiniteError
    flat = np.flatnonzero(rows.flat)
    if not rows.fit_intercept:
        gram[flat] = 0.0
        gram[:, flat] = 0.0
        return Moments(gram, cross[:-1], 0.0)
    mean, mean_y = gram[:-1, -1] / rows.total, float(cross[-1]) / rows.total
    rows.move_offset(mean)
    gram[:-1, :-1] -= rows.total * np.outer(mean, mean)
    gram[:-1, -1] = gram[-1, :-1] = 0.0
    gram[flat] = 0.0
    gram[:, flat] = 0.0
    return Moments(gram, cross[:-1] - rows.total * mean * mean_y, mean_y)


def column_moments(rows: RowBlocks) -> Array:
    """The columns' standard deviations (root mean squares without an intercept), in one pass.

    Moves ``rows.offset`` onto the means, as ``moments`` does where p x p numbers are too many.
    """

    def work(chunk: list[slice]) -> tuple[Array, Array]:
        linear, square = np.zeros(rows.p), np.zeros(rows.p)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in chunk:
                block, weight = rows.read(part), rows.weights(part)
                weight = np.ones(block.shape[0]) if weight is None else weight
                total, sums = weight.sum(), product(weight, block)
                linear += sums - total * rows.offset
                squares = weight @ (block * block)
                square += squares - 2 * rows.offset * sums + total * rows.offset**2
        return linear, square

    partial = rows.walk(work)
    mean = sum(part[0] for part in partial) / rows.total
    variance = sum(part[1] for part in partial) / rows.total
    if not np.isfinite(mean.sum() + variance.sum()):
        raise NotFiniteError
    if rows.fit_intercept:
        rows.move_offset(mean)
        variance = variance - mean**2
    noise = (8 * EPS * rows.offset) ** 2
    return np.sqrt(np.where(rows.flat | (variance <= noise), 0.0, variance))


def weighted_gram(
    rows: RowBlocks,
    block: Any,
    weight: Array | None,
    basis: Array | None = None,
    single: bool = False,
) -> Array:
    """``sum w [a, 1][a, 1]'`` over a block, w >= 0, a = A - offset or ``basis'(A - offset)``."""
    size = (rows.p if basis is None else basis.shape[1]) + 1
    gram = np.empty((size, size))
    if basis is None and (rows.near or (rows.sparse and not rows.far)):
        ones = np.ones(block.shape[0]) if weight is None else weight
        total, linear = ones.sum(), product(ones, block)
        inner = _uncentred_gram(block, weight, single)
        crossed = np.outer(linear, rows.offset)
        inner += total * np.outer(rows.offset, rows.offset) - crossed - crossed.T
        linear = linear - total * rows.offset
    else:
        part = rows.centred(block)
        if basis is not None:
            part = product(part, basis)
        if weight is None:
            # a product with ones is faster than a sum over axis 0
            total, linear = len(part), product(np.ones(len(part)), part)
        else:
            total, linear = weight.sum(), product(weight, part)
            part *= np.sqrt(weight)[:, None]
        inner = product(part.T, part)
    gram[:-1, :-1], gram[-1, :-1], gram[:-1, -1], gram[-1, -1] = inner, linear, linear, total
    return gram


def _uncentred_gram(block: Any, weight: Array | None, single: bool) -> Array:
    """``sum w x x'`` of a block, in single precision if that is asked for."""
    if not isinstance(block, np.ndarray):
        other = block if weight is None else block.multiply(weight[:, None])
        return (block.T @ other).toarray()
    part = block.astype(np.float32) if single else block
    if weight is not None:
        part = part * np.sqrt(weight).astype(part.dtype)[:, None]
    return product(part.T, part).astype(np.float64, copy=False)

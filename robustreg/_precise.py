"""Sums of products as if computed in twice the working precision, for small data."""

from __future__ import annotations

import numpy as np

from robustreg._arrays import Array

SPLITTER = 2.0**27 + 1.0  # splits the 53 bits of a double into two halves of 26


def precise_slopes(values: Array, block: Array, offset: Array) -> tuple[float, Array]:
    """``sum(values)`` and ``values @ (block - offset)``, as good as exact before they are rounded.

    Every product and every sum is accompanied by its own rounding error (algorithm Dot2 of
    Ogita, Rump and Oishi, 2005). Costs about as much as forty products ``values @ block``.

    Examples
    --------
    >>> import numpy as np
    >>> values, block = np.array([1e16, 1.0, -1e16]), np.array([[3.0], [2.0], [3.0]])
    >>> total, slopes = precise_slopes(values, block, np.array([1.0]))
    >>> print(total, slopes)
    1.0 [1.]
    """
    column = values[:, None]
    total, lost = _add_up(column, np.zeros_like(column))
    factors = np.concatenate([values, -total, -lost])[:, None]
    high, low = _add_up(*_product(factors, np.vstack([block, offset, offset])))
    return float(total[0] + lost[0]), high + low


def precise_residual(
    target: Array, block: Array, offset: Array, beta: Array, intercept: float
) -> Array:
    """``target - (block - offset) @ beta - intercept``, as good as exact before it is rounded.

    The terms of columns far from 0, or nearly collinear, are far larger than residuals are.

    Examples
    --------
    >>> import numpy as np
    >>> block, beta = np.array([[1e16, 1e16]]), np.array([1.0, -1.0])
    >>> print(precise_residual(np.array([2.0]), block + [[2.0, 0.0]], np.zeros(2), beta, 1.0))
    [-1.]
    """
    moved, lost = _add_up(*(part[:, None] for part in _product(offset, beta)))
    products, errors = _product(block.T, -beta[:, None])
    constants = np.array([-intercept, moved[0], lost[0]])
    terms = np.vstack([target, *(np.full(len(target), each) for each in constants), products])
    high, low = _add_up(terms, np.vstack([np.zeros((4, len(target))), errors]))
    return high + low


def _add_up(values: Array, errors: Array) -> tuple[Array, Array]:
    """Sums of columns and of all rounding errors: one half is added to the other until one row."""
    lost = errors.sum(axis=0)
    while len(values) > 1:
        if len(values) % 2:
            values = np.vstack([values, np.zeros(values.shape[1])])
        half = len(values) // 2
        first, second = values[:half], values[half:]
        values = first + second
        part = values - first
        lost = lost + ((first - (values - part)) + (second - part)).sum(axis=0)
    return values[0], lost


def _product(first: Array, second: Array) -> tuple[Array, Array]:
    """Products and their rounding errors (Dekker, 1971)."""
    product = first * second
    (a, b), (c, d) = _split(first), _split(second)
    return product, ((a * c - product) + a * d + b * c) + b * d


def _split(values: Array) -> tuple[Array, Array]:
    scaled = SPLITTER * values
    high = scaled - (scaled - values)
    return high, values - high

"""How much less is known of a fit because its delta was chosen by the rows: by passes over them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robustreg._arrays import SQUARABLE, Array
from robustreg.estimators._delta import (
    DEFAULT_DELTA,
    joint_level,
    joint_thresholds,
    sorted_sums,
)
from robustreg.evaluation.order_statistics import Value
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks

SAMPLE = 2**14  # rows that tell where a threshold is looked for
CLOSE, MOST_LOOKS = 1e-12, 200


def doubt_of_choice(
    rows: RowBlocks, residual: Value, *, threshold: float, unit: float = 1.0, zero: float = 0.0
) -> float:
    """By what to multiply the variance of coefficients whose threshold was chosen.

    Of many thresholds, the one with the least estimate of V (:func:`choose_delta`) promises more
    than it keeps. With t1 of 1.345 at the joint scale of the residuals, the promised gain is
    ``g = log V(t1) / V(t)``. Rows contribute to it, and to its variance ``e^2 = sum w d^2 / W^2``,

        d = v(t1) - v(t),    v(t) = min(r^2, t^2) / mean min(r^2, t^2) - 2 [|r| <= t] / P(t)

    (the delta method). What exceeds e is believed: the result is ``exp(min(max(g, 0), e))``.

    Parameters
    ----------
    rows : RowBlocks
        The rows.
    residual : callable
        Gives the residuals of the fit, of the rows of a block.
    threshold : float
        The threshold of the fit, in the units of the residuals.
    unit : float, default=1.0
        What weights of the rows, which count these, are in units of.
    zero : float, default=0.0
        Residuals of at most this size count as zeros.

    Returns
    -------
    float
        At least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.estimators._doubt import doubt_of_choice
    >>> from robustreg.evaluation.rows import of_column, only_column
    >>> rows = of_column(np.random.default_rng(0).normal(size=100), None, 1)
    >>> doubts = [doubt_of_choice(rows, only_column, threshold=t) for t in (0.4, 1.345, 2.5)]
    >>> print([round(doubt, 2) for doubt in doubts])
    [1.0, 1.0, 1.07]
    """
    size = _Size(residual, zero)
    limits = np.array([_usual_threshold(rows, size), threshold])
    means = rows.sum(_SumTerms(size, limits)) / rows.total
    if not (means > 0.0).all():
        return 1.0
    gain = math.log(means[0, 0] / means[1, 0] ** 2) - math.log(means[0, 1] / means[1, 1] ** 2)
    error = math.sqrt(rows.sum(_SumShares(size, limits, means)) / unit) / rows.total
    return math.exp(min(max(gain, 0.0), error))


@dataclass(frozen=True)
class _Size:
    """The sizes of residuals that have squares."""

    residual: Value
    zero: float

    def __call__(self, block: Block) -> Array:
        found: Array = np.minimum(np.abs(self.residual(block)), SQUARABLE)
        return found

    def terms(self, size: Array, limits: Array) -> tuple[Array, Array]:
        """``min(r^2, t^2)``, and whether rows are within t and no zeros, at each t: (2, m)."""
        t = limits[:, None]
        inside = (size > self.zero) & (size <= t)
        return np.minimum(size, t) ** 2, inside.astype(np.float64)


@dataclass(frozen=True)
class _SumTerms:
    """The job that sums them: ``[squares, inside]``, shape (2, 2)."""

    size: _Size
    limits: Array

    def __call__(self, block: Block) -> Array:
        terms = self.size.terms(self.size(block), self.limits)
        return np.array([[block.weighted(own).sum() for own in each] for each in terms])


@dataclass(frozen=True)
class _SumShares:
    """The job that sums the squares of what rows contribute to the gain."""

    size: _Size
    limits: Array
    means: Array

    def __call__(self, block: Block) -> float:
        squares, inside = self.size.terms(self.size(block), self.limits)
        own = squares / self.means[0][:, None] - 2.0 * inside / self.means[1][:, None]
        return float(block.weighted((own[0] - own[1]) ** 2).sum())


def _usual_threshold(rows: RowBlocks, size: _Size) -> float:
    """That of `DEFAULT_DELTA` at its joint scale; 0 where this would be 0.

    In the square s of the threshold, ``mean min(r^2, s) - level s`` is concave and has pieces that
    are straight: Newton's method ends at its root as soon as it looks at the right one. A sample
    tells about where that is.
    """
    level = joint_level(DEFAULT_DELTA)
    block = rows.every(max(1, rows.n // SAMPLE))
    some = size(block)
    sums = sorted_sums(some, block.weight, size.zero)
    limit = float(joint_thresholds(*sums, np.array([level]))[0])
    if len(some) == rows.n:
        return limit
    limit = limit or float(some.max()) or 1.0
    for _ in range(MOST_LOOKS):
        squares, outside, left = rows.sum(_SumBelow(size, limit)) / rows.total
        if left <= level:
            return 0.0
        after = math.sqrt(squares / (level - outside)) if level > outside else 2.0 * limit
        if abs(after - limit) <= CLOSE * limit:
            break
        limit = after
    return limit


@dataclass(frozen=True)
class _SumBelow:
    """The job that sums squares up to a limit, the weight beyond it, and that of no zeros."""

    size: _Size
    limit: float

    def __call__(self, block: Block) -> Array:
        size = self.size(block)
        counts = size > self.size.zero
        beyond = counts & (size > self.limit)
        terms = np.where(counts & ~beyond, size, 0.0) ** 2, 1.0 * beyond, 1.0 * counts
        return np.array([block.weighted(own).sum() for own in terms])

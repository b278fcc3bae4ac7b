"""Rousseeuw and Croux's Qn: a scale made of the distances between all pairs."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from robustreg._arrays import Array, Index

# Makes Qn estimate a Gaussian standard deviation: a quarter of its pairs are closer than
# sqrt(2) Phi^{-1}(5/8).
_QN_FACTOR = 1.0 / (math.sqrt(2.0) * float(ndtri(0.625)))
# So many distances for each value are sorted in the end.
_SORTED_PER_VALUE = 4


def qn_scale(x: Array, sample_weight: Array | None = None) -> float:
    """Qn: about the lower quartile of the distances between all pairs of the sample.

    ``2.2191 {|x_i - x_j|; i < j}_(k)``, the k-th smallest of the n (n - 1) / 2 distances, with
    k = h (h - 1) / 2 and h = floor(n / 2) + 1: the number of pairs within a bare majority. The
    factor is ``1 / (sqrt(2) Phi^{-1}(5/8))``. Unlike the MAD it measures no deviations from a
    centre, and suits skewed samples as well.

    Parameters
    ----------
    x : array-like of shape (n,)
        Sample, n >= 1, without NaN.
    sample_weight : array-like of shape (n,), default=None
        Non-negative weights, the number of times that each value has been observed. Those of
        distinct values must sum to 2 or more.

    Returns
    -------
    float
        Scale in the units of `x`, an estimate of a Gaussian's standard deviation; 0 where more
        than half of the values are equal, infinite where half or more are infinite. Efficiency
        82 % at the Gaussian, breakdown point 50 %.

    Raises
    ------
    ValueError
        If there are distinct values, and the weights sum to less than 2.

    Notes
    -----
    The mean in Gaussian samples of 10, 20, 50 and 100 values is 1.39, 1.19, 1.07 and 1.04 standard
    deviations. No factor corrects this.

    With weights, values of weights v and w have v w distances from each other, and one of weight w
    has w (w - 1) / 2 distances of 0 from its own repetitions. Of a sum of weights that is no
    integer, h is interpolated between its neighbours. Integer weights thus give exactly the result
    for the repeated sample, and equal values may be merged.

    Time is O(n log n) for each halving of the distances that come into question, of which about
    log2(n) are needed, memory O(n). Distances count as equal if they differ by rounding.

    References
    ----------
    P. J. Rousseeuw, C. Croux (1993). Alternatives to the median absolute deviation. Journal of the
    American Statistical Association 88, 1273-1283.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.scale import qn_scale
    >>> x = np.random.default_rng(0).normal(scale=3.0, size=10_000)
    >>> x[:500] = 1e6
    >>> print(f"{qn_scale(x):.2f} {x.std():.0f}")
    3.30 217945
    """
    if sample_weight is None:
        value, count = np.unique(x, return_counts=True)
        weight = count.astype(float)
    else:
        kept = sample_weight > 0
        value, place = np.unique(x[kept], return_inverse=True)
        weight = np.bincount(place.ravel(), sample_weight[kept])
    total = float(weight.sum())
    if 2.0 * float(weight[np.isinf(value)].sum()) >= total:
        return math.inf
    if len(value) == 1:
        return 0.0
    if total < 2.0:
        raise ValueError(
            "sample_weight of qn_scale counts observations; of distinct values it must sum to 2 or "
            f"more, got {total:g}."
        )
    half = np.interp(total, *_majorities(total))
    return _QN_FACTOR * _Pairs(value, weight).order_statistic(0.5 * half * (half - 1.0))


def _majorities(total: float) -> tuple[Array, Array]:
    """Return the two integers about a sum of weights, and floor(n / 2) + 1 for each."""
    n = math.floor(total) + np.arange(2.0)
    return n, n // 2 + 1


class _Pairs:
    """The distances between all pairs of distinct values with weights, never written out.

    Row i of the pairs holds the distances from value i to larger ones, in increasing order.
    """

    def __init__(self, value: Array, weight: Array) -> None:
        self.value, self.weight = value, weight
        self.below = np.concatenate(([0.0], np.cumsum(weight)))
        self.equal = 0.5 * float(weight @ (weight - 1.0))  # pairs at distance 0

    def ends(self, distance: float) -> Index:
        """Return where each row's distances of at most `distance` end, as an index of values."""
        return np.searchsorted(self.value, self.value + distance, side="right")

    def count(self, ends: Index) -> float:
        """Return the weight of the pairs before these ends, and of those at distance 0."""
        return self.equal + float(self.weight @ (self.below[ends] - self.below[1:]))

    def order_statistic(self, rank: float) -> float:
        """Return the smallest distance with at least `rank` pairs up to it."""
        if self.equal >= rank:
            return 0.0
        n = len(self.value)
        low, first = 0.0, np.arange(1, n + 1)  # too few pairs up to here
        high, last = math.inf, np.full(n, n)  # enough pairs
        spread = self._spread()
        guesses = [spread, 0.25 * spread]  # 0.45 spreads is right for Gaussian data
        with np.errstate(over="ignore"):
            while (last - first).sum() > _SORTED_PER_VALUE * n:
                guessed = guesses and low < guesses[-1] < high
                trial = guesses.pop() if guessed else _between(low, high)
                if trial == low:
                    return high
                ends = self.ends(trial)
                if self.count(ends) >= rank:
                    high, last = trial, ends
                else:
                    low, first = trial, ends
            return self._select(first, last, rank)

    def _spread(self) -> float:
        """Return about half of the interquartile range."""
        quartiles = np.searchsorted(self.below[1:], self.below[-1] * np.array([0.25, 0.75]))
        lower, upper = self.value[quartiles].tolist()
        return 0.5 * (upper - lower)

    def _select(self, first: Index, last: Index, rank: float) -> float:
        """Return the order statistic that lies between these ends, of few pairs in all."""
        sizes = last - first
        rows = np.repeat(np.arange(len(sizes)), sizes)
        columns = np.arange(len(rows)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
        distance = self.value[columns] - self.value[rows]
        order = np.argsort(distance)
        pairs = (self.weight[rows] * self.weight[columns])[order]
        place = int(np.searchsorted(self.count(first) + np.cumsum(pairs), rank))
        return float(distance[order[min(place, len(order) - 1)]])  # the sum of all pairs rounds


def _between(low: float, high: float) -> float:
    """Return the number halfway between two non-negative ones in the list of all numbers.

    Their bits are integers in the same order, so that 64 halvings lead from any two to neighbours,
    of which the lower one is returned.
    """
    first, last = np.array([low, high]).view(np.int64).tolist()
    return float(np.array([first + (last - first) // 2]).view(np.float64)[0])

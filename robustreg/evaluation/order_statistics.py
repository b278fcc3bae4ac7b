"""Order statistics of numbers that rows have: exact, from passes over rows that nobody holds.

A sample tells between which values an order statistic lies. A pass adds up the weight of the rows
below these and brings back what is between them, among which it is found. Where it lies elsewhere,
which is improbable, the next pass looks there; and where too many values lie between, the pass
brings back some of them, by which the next one has less to look through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from robustreg._arrays import SUMMED, Array
from robustreg._namespace import is_foreign, namespace_of, on_host
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks

Value = Callable[[Block], Array]  # the number of each row of a block; none of them is NaN
Bracket = tuple[float, float]  # values from the first to the second, both included

SAMPLE, SAMPLE_ENTRIES = 2**14, 2**19  # rows of the sample, and entries of wide ones
FEW = 2**10  # rows that it has at least
AT_HAND = 2**18  # values without weights that are held rather than sampled
UNSORTED = 2**14  # values from a bracket that are held before they are sorted
SURE = 4.0  # standard errors of shares of a sample that brackets reach to either side
MOST = 2**18  # different values of a bracket that are brought back
NARROWED = 32  # of values that are not all, the next bracket has one in so many to either side
EVERYWHERE: Bracket = (-math.inf, math.inf)


@dataclass(frozen=True)
class Held:
    """Values of all rows that somebody has computed, and holds."""

    values: Array  # (n,)
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        return self.values[block.place]


@dataclass(frozen=True)
class Target:
    """The targets of rows, as values of these."""

    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        return block.target


@dataclass(frozen=True)
class Deviation:
    """How far values are from a centre, as values themselves."""

    value: Value
    center: float = 0.0

    @property
    def products_only(self) -> bool:
        """As of the values."""
        return getattr(self.value, "products_only", False)

    @property
    def on_device(self) -> bool:
        """As of the values."""
        return getattr(self.value, "on_device", False)

    def __call__(self, block: Block) -> Array:
        off = self.value(block) - self.center
        return abs(off) if is_foreign(off) else np.abs(off, out=off)


def order_statistics(rows: RowBlocks, value: Value, ranks: Array) -> Array:
    """The smallest values of rows with so much weight at or below them; as a rule by one pass.

    They are those that sorting the values of all rows would give, whatever the partitions and the
    sample are.

    Parameters
    ----------
    rows : RowBlocks
        The rows.
    value : callable
        Gives the value of every row of a block. Of rows elsewhere it must be fit to be pickled.
    ranks : ndarray of shape (m,)
        Sums of weights in the units of the rows', of which the largest is 1: without weights the
        k-th value is the one at rank k. Up to the weight of the least value it is that, beyond all
        weight the largest.

    Returns
    -------
    ndarray of shape (m,)
        A value for each rank.
    """
    if _are_few(rows):
        return at_ranks(rows.collect(value), rows.weight, ranks)
    return _found(rows, value, _searches(rows, value, ranks), None)


def order_statistics_after(
    rows: RowBlocks, value: Value, job: Any, ranks: Callable[[Any], Array], about: Array
) -> Array:
    """The same at ranks that the sums of a job tell; as a rule by one pass for both.

    Parameters
    ----------
    rows, value
        As of `order_statistics`.
    job : callable
        What is summed.
    ranks : callable
        Gives the ranks from its sums.
    about : ndarray of shape (m,)
        Ranks that these are near, where the first pass looks.

    Returns
    -------
    ndarray of shape (m,)
        A value for each rank.
    """
    if _are_few(rows):
        return at_ranks(rows.collect(value), rows.weight, ranks(rows.sum(job)))
    searches = _searches(rows, value, about)
    brackets = _joined([search.bracket for search in searches])
    both: _Both = rows.sum(_DoBoth(job, _Look(value, brackets)))
    known = ranks(both.sums)
    searches = [replace(each, rank=rank) for each, rank in zip(searches, known, strict=True)]
    return _found(rows, value, searches, both.looked)


def _are_few(rows: RowBlocks) -> bool:
    return rows.source.in_memory and (rows.one_block or rows.n <= _few(rows))


def _found(
    rows: RowBlocks, value: Value, searches: Sequence[_Search], looked: _Looked | None
) -> Array:
    """What searches find, by passes; the first look may have been taken already."""
    found = np.empty(len(searches))
    pending = dict(enumerate(searches))
    while pending:
        brackets = _joined([search.bracket for search in pending.values()])
        if looked is None:
            looked = rows.sum(_Look(value, brackets))
        inside = [each.in_order() for each in looked.brackets]
        ends, looked = [high for _, high in brackets], None
        for index, search in list(pending.items()):
            which = int(np.searchsorted(ends, search.bracket[1]))
            after = search.after(brackets[which], inside[which])
            if isinstance(after, _Search):
                pending[index] = after
            else:
                found[index] = after
                del pending[index]
    return found


def median(rows: RowBlocks, value: Value) -> float:
    """The weighted median, of two that it lies between the mean."""
    return middle(*order_statistics(rows, value, about_half(rows.total)))


def about_half(total: float) -> Array:
    """Ranks of the values that the median of so much weight is the mean of."""
    return 0.5 * total * np.array([1.0 - SUMMED, 1.0 + SUMMED])


def middle(low: float, high: float) -> float:
    """The mean of two values, which of equal ones has all their digits."""
    return float(low if low == high else 0.5 * low + 0.5 * high)


def at_ranks(x: Array, weight: Array | None, ranks: Array) -> Array:
    """The smallest values of a sample with so much weight at or below them, where it is at hand."""
    if weight is None:
        index = np.clip(np.ceil(ranks).astype(np.intp) - 1, 0, len(x) - 1)
        found, x = np.empty(len(index)), x.copy()
        for k in np.unique(index)[::-1]:  # one by one is faster, and what is below becomes less
            x.partition(k)
            found[index == k] = x[k]
            x = x[:k]
        return found
    order = np.argsort(x, kind="stable")
    index = np.searchsorted(np.cumsum(weight[order]), ranks)
    return x[order[np.minimum(index, len(x) - 1)]]


@dataclass(frozen=True)
class _Search:
    """Where the value at a rank is looked for next."""

    rank: float
    bracket: Bracket
    known: Bracket = EVERYWHERE  # where it is for certain

    def after(self, looked_at: Bracket, found: _Inside) -> float | _Search:
        """The value, or where to look for it, after a look at a bracket that contains its own."""
        low, high = looked_at
        least, most = self.known
        cumulated = found.below + np.cumsum(found.weight)
        if low > least and self.rank <= found.below:
            return _Search(self.rank, (least, low), (least, low))
        if high < most and (not len(cumulated) or self.rank > cumulated[-1]):
            return _Search(self.rank, (high, most), (high, most))
        index = min(int(np.searchsorted(cumulated, self.rank)), len(cumulated) - 1)
        if found.whole:
            return float(found.values[index])
        # far fewer than all values, so that every look has less to look through
        inner = _around(found.values, index, index, len(cumulated) // NARROWED, looked_at)
        return _Search(self.rank, inner, looked_at)


def _searches(rows: RowBlocks, value: Value, ranks: Array) -> list[_Search]:
    """Between which values of a sample those at ranks are, as far as a random one can tell."""
    # of rows elsewhere all that were drawn: passes over them are dearer than a larger sample
    block = rows.every(-(-rows.n // _sampled(rows)) if rows.source.in_memory else 1)
    x = value(block)
    order = np.argsort(x)
    weight = np.ones(len(x)) if block.weight is None else block.weight[order]
    x, cumulated = x[order], np.cumsum(weight)
    shares = np.clip(ranks / rows.total, 0.0, 1.0)
    reach = SURE * np.sqrt(shares * (1.0 - shares) * float(weight @ weight))
    middle = shares * cumulated[-1]
    first = np.searchsorted(cumulated, middle - reach).tolist()
    last = np.searchsorted(cumulated, middle + reach).tolist()
    ends = zip(ranks.tolist(), first, last, strict=True)
    return [_Search(rank, _around(x, low, high, 2, EVERYWHERE)) for rank, low, high in ends]


def _few(rows: RowBlocks) -> int:
    """Rows up to which all values are held: with weights they are sorted, which takes longer."""
    return AT_HAND if rows.weight is None else _sampled(rows)


def _sampled(rows: RowBlocks) -> int:
    """Rows of a sample: as many as are about as many as lie in the brackets that it leads to."""
    most = min(SAMPLE, max(FEW, SAMPLE_ENTRIES // rows.p))  # no more than a block, or hardly so
    return min(most, max(FEW, round(2.0 * rows.n ** (2.0 / 3.0))))


def _around(values: Array, first: int, last: int, reach: int, outer: Bracket) -> Bracket:
    """From so many of the sorted values before the first to so many after the last."""
    low, high = first - reach, last + reach
    return (
        float(values[low]) if low >= 0 else outer[0],
        float(values[high]) if high < len(values) else outer[1],
    )


def _joined(brackets: Sequence[Bracket]) -> tuple[Bracket, ...]:
    """The same values in brackets that have none in common, in increasing order."""
    joined: list[Bracket] = []
    for low, high in sorted(brackets):
        if joined and low <= joined[-1][1]:
            low, high = joined[-1][0], max(high, joined.pop()[1])
        joined.append((low, high))
    return tuple(joined)


@dataclass(frozen=True)
class _Inside:
    """What there is in a bracket, and the weight of what is below it.

    Attributes
    ----------
    below : float
        That weight.
    values : ndarray of shape (m,)
        Values in any order.
    weight : ndarray of shape (m,)
        That of the rows with such a value.
    whole : bool
        Whether these are all values; otherwise each stands for those after the one before it, too.
    sorted : int
        How many there were when they were last sorted.
    """

    below: float
    values: Array
    weight: Array
    whole: bool = True
    sorted: int = 0

    def __add__(self, other: _Inside) -> _Inside:
        both = _Inside(
            self.below + other.below,
            np.concatenate([self.values, other.values]),
            np.concatenate([self.weight, other.weight]),
            self.whole and other.whole,
            max(self.sorted, other.sorted),
        )
        # not at every sum, or most of the time would go into it
        return both.in_order() if len(both.values) > UNSORTED + 2 * both.sorted else both

    def in_order(self) -> _Inside:
        """With different values in increasing order, `MOST` of them at most."""
        order = np.argsort(self.values)
        values, weight, whole = self.values[order], self.weight[order], self.whole
        if len(values):
            first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
            values, weight = values[first], np.add.reduceat(weight, first)
        while len(values) > MOST:
            whole = False
            weight = np.add.reduceat(weight, np.arange(0, len(weight), 2))
            values = np.append(values[1:-1:2], values[-1])
        return _Inside(self.below, values, weight, whole, len(values))


@dataclass(frozen=True)
class _Looked:
    """What there is in several brackets."""

    brackets: tuple[_Inside, ...]

    def __add__(self, other: _Looked) -> _Looked:
        pairs = zip(self.brackets, other.brackets, strict=True)
        return _Looked(tuple(own + more for own, more in pairs))


@dataclass(frozen=True)
class _Look:
    """The job that looks into brackets."""

    value: Value
    brackets: tuple[Bracket, ...]

    @property
    def products_only(self) -> bool:
        """As of the values."""
        return getattr(self.value, "products_only", False)

    @property
    def on_device(self) -> bool:
        """As of the values."""
        return getattr(self.value, "on_device", False)

    def __call__(self, block: Block) -> _Looked:
        x = self.value(block)
        return _Looked(tuple(_look(x, block.weight, *bracket) for bracket in self.brackets))


@dataclass(frozen=True)
class _Both:
    """The sums of a job, and what there is in several brackets."""

    sums: Any
    looked: _Looked

    def __add__(self, other: _Both) -> _Both:
        return _Both(self.sums + other.sums, self.looked + other.looked)


@dataclass(frozen=True)
class _DoBoth:
    """A job that does another one, and looks into brackets."""

    job: Any
    look: _Look

    @property
    def products_only(self) -> bool:
        """Where both do no more."""
        return self.look.products_only and getattr(self.job, "products_only", False)

    @property
    def on_device(self) -> bool:
        """Where both can be done."""
        return self.look.on_device and getattr(self.job, "on_device", False)

    def __call__(self, block: Block) -> _Both:
        return _Both(self.job(block), self.look(block))


def _look(x: Array, weight: Array | None, low: float, high: float) -> _Inside:
    lower = x < low
    if is_foreign(x):
        return _look_on_device(x, weight, lower, ~lower & (x <= high))
    inside = np.flatnonzero(~lower & (x <= high))
    if weight is None:
        return _Inside(float(np.count_nonzero(lower)), x[inside], np.ones(len(inside)))
    return _Inside(float(weight[lower].sum()), x[inside], weight[inside])


def _look_on_device(x: Any, weight: Any, lower: Any, inside: Any) -> _Inside:
    """The same of values on a device, of which those inside come back."""
    xp = namespace_of(x)
    weight = xp.ones_like(x) if weight is None else weight
    index = xp.nonzero(inside)[0]
    values, own = xp.take(x, index, axis=0), xp.take(weight, index, axis=0)
    below = float(weight @ xp.astype(lower, x.dtype))
    return _Inside(below, on_host(values), on_host(own))

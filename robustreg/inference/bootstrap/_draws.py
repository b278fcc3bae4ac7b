"""How often rows, or groups of rows, are drawn by a bootstrap.

Draws are numbered from 0. What a number stands for depends on the random state and on the rows
alone, not on how many draws are made at a time, or on how the rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg._cached import cached_property
from robustreg.inference._group_numbers import Groups
from robustreg.inference._parts import Asked
from robustreg.inference._rows import FittedRows

FAMILY = 16  # draws that come from the same streams of random numbers
ROWS = 512  # rows whose counts come from the same stream
SPARSE = 4  # draws for each row up to which they are made one by one, which then is faster
MOST_DRAWN = 2**53  # rows that a draw may have; beyond, counts would not be exact


@dataclass(frozen=True)
class Draws:
    """Rows drawn anew with probabilities w / W, W of them; or as many groups as there are.

    A row of weight 2 is drawn as two rows are of which both are the same. Where W is no whole
    number, so many rows as are nearest to it are drawn, and count for W.

    Attributes
    ----------
    entropy : tuple of int
        Where the random numbers come from.
    weight : ndarray of shape (n,) or None
        Weights of the rows, None for ones.
    n : int
        Rows.
    times : int
        Rows, or groups, of a draw.
    worth : float
        What a row that is drawn once weighs, in the unit of the weights.
    groups : tuple of ndarray and int, or None
        Numbers of the groups of the rows, and how many there are; None: rows are drawn.
    """

    entropy: tuple[int, ...]
    weight: Array | None
    n: int
    times: int
    worth: float
    groups: Groups | None

    @classmethod
    def of(cls, fitted: FittedRows, asked: Asked) -> Draws:
        """The draws that are asked for."""
        rows, entropy, weight = fitted.rows, entropy_of(asked), fitted.rows.weight
        if asked.groups is not None:
            return cls(entropy, weight, rows.n, asked.groups[1], 1.0, asked.groups)
        times = min(max(round(fitted.total), 1), MOST_DRAWN)
        if weight is not None and weight.min() == 1.0 and times <= SPARSE * rows.n:
            weight = None  # all are 1, as the largest is
        return cls(entropy, weight, rows.n, times, rows.total / times, None)

    @property
    def held(self) -> int:
        """Numbers that are held of each draw."""
        return -(-self.n // ROWS) if self.groups is None else self.groups[1]

    def counts(self, first: int, count: int) -> Counts:
        """Counts of so many families of draws, beginning with a family."""
        families = range(first, first + count)
        known = [self._rows(f) if self.groups is None else self._groups(f) for f in families]
        return Counts(self, first, np.concatenate(known))

    def stream(self, *key: int) -> np.random.Generator:
        """The stream of random numbers of a key."""
        return np.random.default_rng(np.random.SeedSequence(self.entropy, spawn_key=key))

    def _rows(self, family: int) -> NDArray[np.int64]:
        """How many rows of each stretch are drawn, (FAMILY, stretches)."""
        starts = np.arange(0, self.n, ROWS)
        if self.weight is None:
            share = np.diff(starts, append=self.n) / self.n
        else:
            share = np.add.reduceat(self.weight, starts)
            share = share / share.sum()
        return self.stream(family).multinomial(self.times, share, size=FAMILY)

    def _groups(self, family: int) -> NDArray[np.int64]:
        """How often each group is drawn, (FAMILY, groups)."""
        return _uniform(self.stream(family), np.full(FAMILY, self.times), self.times)


@dataclass(frozen=True)
class Exponential:
    """Weights of rows in the draws of a family: sums of w exponential variables each.

    A row of weight w has a Gamma(w) weight, as w rows of which all are the same have together; rows
    of a group share one exponential variable, which multiplies theirs.

    Attributes
    ----------
    scheme : Draws
        Where random numbers come from.
    family : int
        Which family of draws.
    weight : ndarray of shape (n,)
        How many rows each row counts for.
    """

    scheme: Draws
    family: int
    weight: Array

    @cached_property
    def _plain(self) -> bool:
        """Whether each row is one."""
        return bool(np.all(self.weight == 1.0))

    @cached_property
    def _shared(self) -> Array:
        """Of each group, (FAMILY, groups)."""
        assert self.scheme.groups is not None
        return self.scheme.stream(self.family).standard_exponential((FAMILY, self.scheme.times))

    def of(self, start: int, stop: int) -> Array:
        """Of rows of one stretch in every draw, shape (FAMILY, rows)."""
        scheme, weight, place = self.scheme, self.weight, start // ROWS
        if scheme.groups is not None:
            return self._shared[:, scheme.groups[0][start:stop]] * weight[start:stop]
        own = slice(place * ROWS, min((place + 1) * ROWS, scheme.n))
        rng, size = scheme.stream(self.family, place), (FAMILY, own.stop - own.start)
        if self._plain:
            found = rng.standard_exponential(size)
        else:
            found = rng.standard_gamma(weight[own], size)
        return found[:, start - own.start : stop - own.start]


def stretches(start: int, stop: int) -> Iterator[slice]:
    """Rows from one to another, in parts of which each lies in one stretch."""
    while start < stop:
        end = min((start // ROWS + 1) * ROWS, stop)
        yield slice(start, end)
        start = end


@dataclass(frozen=True)
class Counts:
    """What rows weigh in some draws.

    Attributes
    ----------
    draws : Draws
        The scheme.
    first : int
        The first family.
    known : ndarray of int
        How often groups are drawn, (draws, groups); or, where rows are, how many of each stretch.
    """

    draws: Draws
    first: int
    known: NDArray[np.int64]

    def of(self, start: int, stop: int) -> Array:
        """Weights of rows of one stretch in every draw, shape (draws, rows)."""
        scheme = self.draws
        weight = None if scheme.weight is None else scheme.weight[start:stop]
        if scheme.groups is not None:
            found = self.known[:, scheme.groups[0][start:stop]].astype(np.float64)
            return found if weight is None else np.multiply(found, weight, out=found)
        place = start // ROWS
        own = slice(place * ROWS, min((place + 1) * ROWS, scheme.n))
        part = slice(start - own.start, stop - own.start)
        out = np.empty((len(self.known), stop - start))
        for i in range(0, len(out), FAMILY):
            rng, times = scheme.stream(self.first + i // FAMILY, place), self.known[:, place]
            out[i : i + FAMILY] = self._stretch(rng, times[i : i + FAMILY], own)[:, part]
        out *= scheme.worth
        return out

    def _stretch(
        self, rng: np.random.Generator, times: NDArray[np.int64], own: slice
    ) -> NDArray[np.int64]:
        weight = self.draws.weight
        if weight is None:
            return _uniform(rng, times, own.stop - own.start)
        if self.draws.times > SPARSE * self.draws.n:
            return rng.multinomial(times, weight[own] / weight[own].sum())
        return _weighted(rng, times, weight[own])


def _uniform(rng: np.random.Generator, times: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """How often each of n things is drawn, in rows of so many draws each."""
    return _tallied(rng.integers(0, n, size=int(times.sum())), times, n)


def _weighted(
    rng: np.random.Generator, times: NDArray[np.int64], weight: Array
) -> NDArray[np.int64]:
    """The same of things that are drawn with probabilities proportional to weights."""
    ends, cells = np.cumsum(weight), 2 ** (4 * len(weight)).bit_length()
    first = np.searchsorted(ends, np.arange(cells) * (ends[-1] / cells), side="right")
    at = rng.random(int(times.sum())) * cells
    places = first[at.astype(np.intp)]  # where most are; a search takes ten times as long
    at *= ends[-1] / cells
    later = np.flatnonzero(at >= ends[places])
    places[later] = np.searchsorted(ends, at[later], side="right")
    return _tallied(places, times, len(weight))


def _tallied(places: NDArray[np.int64], times: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """How often each of n places was drawn, in rows of so many draws each."""
    places += np.repeat(np.arange(0, n * len(times), n), times)
    return np.bincount(places, minlength=n * len(times)).reshape(len(times), n)


def entropy_of(asked: Asked) -> tuple[int, ...]:
    """What the streams of random numbers of a bootstrap come from."""
    return tuple(asked.random.randint(0, 2**32, size=4, dtype=np.uint32).tolist())

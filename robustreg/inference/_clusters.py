"""Covariance matrices where rows of a group depend on each other.

With the scores ``s_g = sum w psi x`` of groups, and their shares ``A_g = sum w psi' x x'`` of A,
"CR1" sums the squares of ``A^-1 s_g`` (Liang and Zeger 1986), times G / (G - 1) (W - 1) / (W - k).
"CR3" sums those of ``(A - A_g)^-1 s_g``: how leaving out the group moves the estimate, to first
order (Bell and McCaffrey 2002). Degrees of freedom are G - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, standardised
from robustreg.inference._covariance import Bread, Covariance, slope_of_equations
from robustreg.inference._group_numbers import Groups
from robustreg.inference._rows import ENTRIES, FittedRows
from robustreg.inference._sums import ALL_LEVERAGE, STEEP, Added, Scored, along, in_columns
from robustreg.losses import ResidualLoss

ENTRIES_ELSEWHERE = 4 * ENTRIES  # of sums that a pass over rows elsewhere brings: few passes


def clustered(fitted: FittedRows, scored: Scored, kind: str, groups: Groups) -> Covariance:
    """That of a smooth fit."""
    bread = Bread.of(slope_of_equations(fitted, scored), fitted.rows.total)
    terms = _TermsAt(fitted.loss, fitted.point)
    return by_groups(fitted, bread, terms, kind, groups, fitted.size)


@dataclass(frozen=True)
class _TermsAt:
    """The terms of rows at a point."""

    loss: ResidualLoss
    point: Point

    def __call__(self, block: Block) -> Terms:
        z = standardised(block, self.point)
        return Terms.of(block, self.loss.psi(z), self.loss.psi_prime(z))


@dataclass(frozen=True)
class Terms:
    """What is summed over the rows of a group: numbers of each row of a block, times its weight.

    Attributes
    ----------
    psi : ndarray of shape (m,)
        Times x, the score of the row.
    bend : ndarray of shape (m,)
        Times x x', the row's share of A.
    beside : ndarray of shape (m, e)
        Scores of equations beside those of the coefficients.
    good : ndarray of shape (m,) or None
        Robustness weights; None: no psi' is negative.
    """

    psi: Array
    bend: Array
    beside: Array
    good: Array | None

    @classmethod
    def of(
        cls,
        block: Block,
        psi: Array,
        bend: Array | None = None,
        beside: Array | None = None,
        good: Array | None = None,
    ) -> Terms:
        """Those of numbers without the weights; None: zeros."""
        bend = np.zeros(len(psi)) if bend is None else bend
        beside = np.zeros((len(psi), 0)) if beside is None else beside
        if (w := block.weight) is None:
            return cls(psi, bend, beside, good)
        return cls(w * psi, w * bend, w[:, None] * beside, None if good is None else w * good)

    def take(self, index: NDArray[np.intp]) -> Terms:
        """Those of some of the rows."""
        good = None if self.good is None else self.good[index]
        return Terms(self.psi[index], self.bend[index], self.beside[index], good)


TermsOf = Callable[[Block], Terms]  # of rows elsewhere it must be fit to be pickled


class Sums(NamedTuple):
    """Sums over the rows ``t = R'x`` of some groups, with R R' = A^-1."""

    groups: NDArray[np.intp]  # the numbers of these, which increase
    scores: Array  # (groups, d) sum w psi t
    shares: Array  # (groups, d, d) sum w psi' t t', A's in coordinates in which it is 1
    beside: Array  # (groups, e)

    def part(self, groups: slice) -> Sums:
        """Those of some of the groups."""
        own = self.groups[groups], self.scores[groups], self.shares[groups], self.beside[groups]
        return Sums(*own)

    def add_to_first(self, other: Sums) -> None:
        """Add what other rows of the first group come to."""
        for own, more in zip(self[1:], other[1:], strict=True):
            own[:1] += more


@dataclass(frozen=True)
class _OfAll(Added):
    """The same of all groups, in the order of their numbers."""

    scores: Array
    shares: Array
    beside: Array

    @classmethod
    def of(cls, found: Sums, count: int) -> _OfAll:
        """From those of some groups."""
        every = [np.zeros((count, *values.shape[1:])) for values in found[1:]]
        for values, own in zip(every, found[1:], strict=True):
            values[found.groups] = own
        return cls(*every)


@dataclass(frozen=True)
class SumGroups:
    """The job that sums over the rows of some groups.

    Attributes
    ----------
    terms : callable
        Gives the terms of the rows of a block.
    columns : tuple of ndarray
        R for the columns of blocks, and for the intercept's.
    numbers : ndarray of int
        The group of each row.
    with_shares : bool
        Whether shares are summed, too; else they are of shape (0, 0).
    first, last : int
        The groups that are summed, from the first to the one before the last.
    """

    terms: TermsOf
    columns: tuple[Array, Array]
    numbers: NDArray[np.integer]
    with_shares: bool
    first: int = 0
    last: int = 0

    def __call__(self, block: Block) -> _OfAll:
        own = self.numbers[block.place]
        order = np.argsort(own, kind="stable")
        ends = own[order].searchsorted([self.first, self.last])
        found = self.in_order(block, order[slice(*ends)])
        return _OfAll.of(found._replace(groups=found.groups - self.first), self.last - self.first)

    def in_order(self, block: Block, order: NDArray[np.intp]) -> Sums:
        """The sums of the groups of some rows of a block in this order, that of the groups."""
        own = self.numbers[block.place][order].astype(np.intp)
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        rows, terms = self.rows_of(block)
        if len(order) < rows.shape[1] or (np.diff(order) != 1).any():
            rows, terms = np.take(rows, order, axis=1), terms.take(order)
        d = len(rows) if self.with_shares else 0
        shares = np.empty((len(starts), d, d))
        if not len(starts):
            return Sums(own, np.empty((0, len(rows))), shares, terms.beside[:0])
        if self.with_shares:
            bent = rows * terms.bend
            for share, first, last in zip(shares, starts, [*starts[1:], len(own)], strict=True):
                np.dot(bent[:, first:last], rows[:, first:last].T, out=share)
        rows *= terms.psi
        scores = np.add.reduceat(rows, starts, axis=1).T
        return Sums(own[starts], scores, shares, np.add.reduceat(terms.beside, starts))

    def rows_of(self, block: Block) -> tuple[Array, Terms]:
        """The t of the rows of a block, shape (d, m), and their terms."""
        terms = self.terms(block)
        with np.errstate(over="ignore", invalid="ignore"):  # of far rows, which are rejected
            rows = along(block.reading, block.X, *self.columns)
        rows[:, np.flatnonzero((terms.psi == 0.0) & (terms.bend == 0.0))] = 0.0
        return rows, terms


@dataclass(frozen=True)
class _SquareOf:
    """The job that sums ``w q (v't)^2`` over the rows of a group, q being robustness weights."""

    job: SumGroups
    group: int
    direction: Array

    def __call__(self, block: Block) -> float:
        index = np.flatnonzero(self.job.numbers[block.place] == self.group)
        if not len(index):
            return 0.0
        rows, terms = self.job.rows_of(block)
        assert terms.good is not None
        return float(terms.good[index] @ (self.direction @ rows[:, index]) ** 2)


@dataclass(frozen=True)
class Grouped:
    """The rows by groups: of what is summed, a block's worth of numbers is held at a time.

    Sums of few groups are added up from block to block. Those of many are made one group after the
    other; of a group with more rows than a block they go from piece to piece. Rows that are not in
    memory are read as often as there are blocks' worths of groups.
    """

    fitted: FittedRows
    root: Array  # (K, d) R
    job: SumGroups
    count: int  # groups

    @classmethod
    def of(
        cls, fitted: FittedRows, terms: TermsOf, root: Array, groups: Groups, with_shares: bool
    ) -> Grouped:
        """The rows of numbered groups."""
        numbers, count = groups
        job = SumGroups(terms, in_columns(fitted, root), numbers, with_shares)
        return cls(fitted, root, job, count)

    def sums(self) -> Iterator[Sums]:
        """The sums of all groups, some at a time."""
        size, held = self.fitted.size, self.fitted.in_memory
        each = size + size * size * self.job.with_shares
        step = max(1, (ENTRIES if held else ENTRIES_ELSEWHERE) // each)
        if held and self.count > step:
            yield from self._by_groups()
            return
        for first in range(0, self.count, step):
            last = min(first + step, self.count)
            found = self.fitted.rows.sum(replace(self.job, first=first, last=last))
            yield Sums(np.arange(first, last), found.scores, found.shares, found.beside)

    def square(self, group: int, direction: Array) -> float:
        """``sum w q (v't)^2`` over the rows of a group, q being the robustness weights."""
        job, fitted = _SquareOf(self.job, group, direction), self.fitted
        if not fitted.in_memory:
            return float(fitted.rows.sum(job))
        total, step = 0.0, max(1, ENTRIES // fitted.size)
        index = np.flatnonzero(self.job.numbers == group)
        for first in range(0, len(index), step):
            total += job(fitted.rows.take(index[first : first + step]))
        return total

    def _by_groups(self) -> Iterator[Sums]:
        """The sums of all groups, one after the other."""
        before, order = None, np.argsort(self.job.numbers, kind="stable")
        ends = np.cumsum(np.bincount(self.job.numbers, minlength=self.count))
        for first, last in pairwise(self._edges(ends)):
            block = self.fitted.rows.take(order[first:last])
            own = self.job.in_order(block, np.arange(last - first))
            if before is not None:
                own.add_to_first(before)
            whole = len(own.groups) - int(last < ends[own.groups[-1]])
            before = own.part(slice(whole, None)) if whole < len(own.groups) else None
            yield own.part(slice(whole))

    def _edges(self, ends: NDArray[np.intp]) -> list[int]:
        """Where pieces of rows, with the matrices of their groups, have `ENTRIES` entries.

        From the ends of the groups in the order of rows.
        """
        size, counts = self.fitted.size, np.diff(ends, prepend=0)
        each = size * size if self.job.with_shares else size
        entries = size * ends + each * np.arange(1, len(counts) + 1)  # at ends of groups
        full = np.arange(ENTRIES, entries[-1], ENTRIES)
        group = np.searchsorted(entries, full)
        later = np.minimum((entries[group] - full) // size, counts[group])  # rows of the group
        return np.unique([0, *(ends[group] - later), ends[-1]]).tolist()


def by_groups(
    fitted: FittedRows,
    bread: Bread,
    terms: TermsOf,
    kind: str,
    groups: Groups,
    rank: int,
    through: Array | None = None,
    good: float | None = None,
) -> Covariance:
    """Covariance of the kind "CR1" or "CR3" from the terms of rows.

    Where there is an equation beside, that of the scale, `through` of shape (K + 1, K + 1) takes
    the steps of the coefficients alone and the scores beside to those of all. The scores beside are
    no others without the group. `good` is the sum of the robustness weights times the weights;
    None: no psi' is negative.
    """
    size, unknown = fitted.size, [bread.unknown]
    squares = np.zeros((size + int(through is not None),) * 2)
    rows = Grouped.of(fitted, terms, bread.root, groups, with_shares=kind == "CR3")
    for sums in rows.sums():
        inner = sums.scores
        if kind == "CR3":
            inner, moved = _without_groups(rows, sums, good)
            unknown.append(moved)
        steps = np.hstack([inner @ bread.root.T, sums.beside])
        squares += steps.T @ steps
    if through is not None:
        squares = through @ squares @ through.T
    # A is in units of weights, by which steps are not to be divided: scores are so, too
    matrix, count = fitted.scale**2 * squares, groups[1]
    if kind == "CR1":
        matrix *= count / (count - 1) * (fitted.total - 1.0) / (fitted.total - rank)
    error = math.nan if through is None else math.sqrt(matrix[-1, -1])
    unknown_of_all = np.hstack(unknown)
    return Covariance(matrix[:size, :size], unknown_of_all, scale_error=error, df=count - 1.0)


def _without_groups(rows: Grouped, sums: Sums, good: float | None) -> tuple[Array, Array]:
    """``(A - A_g)^-1 s_g`` of each group, and directions in which that has no inverse.

    In coordinates in which A is 1 the inverse is that of 1 less the group's leverages. Where psi'
    of either sign make up A, leverages may be large, or beyond 1, though there are other good rows:
    these are `STEEP`, as those of single rows are, unless the direction's weight is the group's.
    """
    root = rows.root
    h, vectors = np.linalg.eigh(sums.shares)  # (groups, d), (groups, d, d)
    lost = h >= ALL_LEVERAGE
    if good is not None:
        for g, j in np.argwhere(h > STEEP):
            own = vectors[g, :, j]
            least = ALL_LEVERAGE * good * float(np.sum((root @ own) ** 2))
            lost[g, j] = rows.square(int(sums.groups[g]), own) >= least
        h = np.minimum(h, STEEP)
    inner = np.einsum("gij,gi->gj", vectors, sums.scores)
    inner = np.where(lost, 0.0, inner / np.where(lost, 1.0, 1.0 - h))
    moved = vectors.transpose(0, 2, 1)[lost] @ root.T  # (directions, K)
    return np.einsum("gij,gj->gi", vectors, inner), moved.T

"""Covariance matrices where rows of a group depend on each other.

With the scores ``s_g = sum w psi x`` of groups, and their shares ``A_g = sum w psi' x x'`` of A,
"CR1" sums the squares of ``A^-1 s_g`` (Liang and Zeger 1986), times G / (G - 1) (W - 1) / (W - k).
"CR3" sums those of ``(A - A_g)^-1 s_g``: how leaving out the group moves the estimate, to first
order (Bell and McCaffrey 2002). Degrees of freedom are G - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import standardised
from robustreg.inference._covariance import Bread, Covariance, slope_of_equations
from robustreg.inference._group_numbers import Groups
from robustreg.inference._rows import ENTRIES, FittedRows
from robustreg.inference._sums import ALL_LEVERAGE, STEEP, Added, Scored, along, in_columns


def clustered(fitted: FittedRows, scored: Scored, kind: str, groups: Groups) -> Covariance:
    """That of a smooth fit."""
    bread = Bread.of(slope_of_equations(fitted, scored), fitted.rows.total)
    loss = fitted.loss

    def terms(block: Block) -> Terms:
        z = standardised(block, fitted.point)
        return Terms.of(block, loss.psi(z), loss.psi_prime(z))

    return by_groups(fitted, bread, terms, kind, groups, fitted.size)


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


TermsOf = Callable[[Block], Terms]


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
class Grouped:
    """The rows by groups: of what is summed, a block's worth of numbers is held at a time.

    Sums of few groups are added up from block to block. Those of many are made one group after the
    other; of a group with more rows than a block they go from piece to piece.
    """

    fitted: FittedRows
    terms: TermsOf
    root: Array  # (K, d) R
    columns: tuple[Array, Array]  # the same for the columns of blocks, and for the intercept's
    numbers: NDArray[np.integer]  # (n,) the group of each row
    count: int  # groups

    @classmethod
    def of(cls, fitted: FittedRows, terms: TermsOf, root: Array, groups: Groups) -> Grouped:
        """The rows of numbered groups."""
        return cls(fitted, terms, root, in_columns(fitted, root), *groups)

    def sums(self, with_shares: bool) -> Iterator[Sums]:
        """The sums of all groups, some at a time; without shares, these are of shape (0, 0)."""
        size = self.fitted.size
        if self.count * (size + size * size * with_shares) > ENTRIES:
            yield from self._by_groups(with_shares)
            return

        def job(block: Block) -> _OfAll:
            order = np.argsort(self.numbers[block.place], kind="stable")
            return _OfAll.of(self._sums(block, order, with_shares), self.count)

        found = self.fitted.rows.sum(job)
        yield Sums(np.arange(self.count), found.scores, found.shares, found.beside)

    def square(self, group: int, direction: Array) -> float:
        """``sum w q (v't)^2`` over the rows of a group, q being the robustness weights."""
        total, step = 0.0, max(1, ENTRIES // self.fitted.size)
        index = np.flatnonzero(self.numbers == group)
        for first in range(0, len(index), step):
            rows, terms = self._rows(self.fitted.rows.take(index[first : first + step]))
            assert terms.good is not None
            total += float(terms.good @ (direction @ rows) ** 2)
        return total

    def _by_groups(self, with_shares: bool) -> Iterator[Sums]:
        """The sums of all groups, one after the other."""
        before, order = None, np.argsort(self.numbers, kind="stable")
        ends = np.cumsum(np.bincount(self.numbers, minlength=self.count))
        for first, last in pairwise(self._edges(ends, with_shares)):
            block = self.fitted.rows.take(order[first:last])
            own = self._sums(block, np.arange(last - first), with_shares)
            if before is not None:
                own.add_to_first(before)
            whole = len(own.groups) - int(last < ends[own.groups[-1]])
            before = own.part(slice(whole, None)) if whole < len(own.groups) else None
            yield own.part(slice(whole))

    def _edges(self, ends: NDArray[np.intp], with_shares: bool) -> list[int]:
        """Where pieces of rows, with the matrices of their groups, have `ENTRIES` entries.

        From the ends of the groups in the order of rows.
        """
        size, counts = self.fitted.size, np.diff(ends, prepend=0)
        each = size * size if with_shares else size
        entries = size * ends + each * np.arange(1, len(counts) + 1)  # at ends of groups
        full = np.arange(ENTRIES, entries[-1], ENTRIES)
        group = np.searchsorted(entries, full)
        later = np.minimum((entries[group] - full) // size, counts[group])  # rows of the group
        return np.unique([0, *(ends[group] - later), ends[-1]]).tolist()

    def _sums(self, block: Block, order: NDArray[np.intp], with_shares: bool) -> Sums:
        """The sums of the groups in a block, of which the rows have this order."""
        own = self.numbers[block.place][order].astype(np.intp)
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        rows, terms = self._rows(block)
        if (np.diff(order) != 1).any():
            rows, terms = np.take(rows, order, axis=1), terms.take(order)
        d = len(rows) if with_shares else 0
        shares = np.empty((len(starts), d, d))
        if with_shares:
            bent = rows * terms.bend
            for share, first, last in zip(shares, starts, [*starts[1:], len(own)], strict=True):
                np.dot(bent[:, first:last], rows[:, first:last].T, out=share)
        rows *= terms.psi
        scores = np.add.reduceat(rows, starts, axis=1).T
        return Sums(own[starts], scores, shares, np.add.reduceat(terms.beside, starts))

    def _rows(self, block: Block) -> tuple[Array, Terms]:
        """The t of the rows of a block, shape (d, m), and their terms."""
        terms = self.terms(block)
        with np.errstate(over="ignore", invalid="ignore"):  # of far rows, which are rejected
            rows = along(block.reading, block.X, *self.columns)
        rows[:, np.flatnonzero((terms.psi == 0.0) & (terms.bend == 0.0))] = 0.0
        return rows, terms


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
    rows = Grouped.of(fitted, terms, bread.root, groups)
    for sums in rows.sums(with_shares=kind == "CR3"):
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

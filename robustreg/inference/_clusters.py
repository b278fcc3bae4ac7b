"""Covariance matrices where rows of a group depend on each other.

With the scores ``s_g = sum w psi x`` of groups, and their shares ``A_g = sum w psi' x x'`` of A,
"CR1" sums the squares of ``A^-1 s_g`` (Liang and Zeger 1986), times G / (G - 1) (W - 1) / (W - k).
"CR3" sums those of ``(A - A_g)^-1 s_g``: how leaving out the group moves the estimate, to first
order (Bell and McCaffrey 2002). Degrees of freedom are G - 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg.evaluation.sums import standardised
from robustreg.inference._covariance import Bread, Covariance, slope_of_equations
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import ALL_LEVERAGE, STEEP, Scored, along, in_columns

ENTRIES = 2**19  # of rows, and of matrices of groups, that are held at a time: those of a block


def group_numbers(groups: Any, n: int, kept: NDArray[np.intp] | None) -> tuple[Any, int]:
    """Numbers from 0 of the groups of the rows that count, and how many groups there are.

    Raises
    ------
    ValueError
        If there is not one label for each of the n rows, some are missing, or all are the same.
    """
    if isinstance(groups, np.ma.MaskedArray):
        hidden, groups = np.ma.getmaskarray(groups), groups.data.astype(object)
        groups[hidden] = None
    own = getattr(groups, "dtype", None)
    # of a list NumPy makes strings of missing labels beside strings, and frames have their own NA
    labels = np.asarray(groups, dtype=None if isinstance(own, np.dtype) else object)
    if labels.shape != (n,):
        raise ValueError(
            f"groups must have one label for each of the {n} rows, got {labels.shape}."
        )
    if labels.dtype.kind == "O":
        missing = np.array([_is_missing(label) for label in labels])
    else:
        missing = labels != labels  # NaN and NaT
    if bool(np.any(missing)):
        raise ValueError("groups must not hold missing labels (NaN or None).")
    labels = labels if kept is None else labels[kept]
    if labels.dtype.kind == "O":  # which may be of kinds that have no order
        first = {label: number for number, label in enumerate(dict.fromkeys(labels.tolist()))}
        numbers = np.array([first[label] for label in labels.tolist()], dtype=np.intp)
    else:
        _, numbers = np.unique(labels, return_inverse=True)
    count = int(numbers.max()) + 1
    if count < 2:
        raise ValueError("groups must hold two different labels at least, got one.")
    return numbers, count


def _is_missing(label: object) -> bool:
    """Whether a label is None, NaN, NaT or pandas' NA, which is not even unequal to itself."""
    same: Any = label == label
    return label is None or (same is not True and not (isinstance(same, np.bool_) and same))


def clustered(
    fitted: FittedRows, scored: Scored, kind: str, numbers: NDArray[np.intp], count: int
) -> Covariance:
    """That of a smooth fit."""
    bread = Bread.of(slope_of_equations(fitted, scored), fitted.rows.total)
    return by_groups(fitted, bread, _terms(fitted), kind, (numbers, count), fitted.size)


def _terms(fitted: FittedRows) -> Terms:
    """The terms of the rows, whose residuals are let go."""
    z = fitted.rows.collect(lambda block: standardised(block, fitted.point))
    return Terms.of(fitted, fitted.loss.psi(z), fitted.loss.psi_prime(z))


@dataclass(frozen=True)
class Terms:
    """What is summed over the rows of a group: numbers of each row, times its weight.

    Attributes
    ----------
    psi : ndarray of shape (n,)
        Times x, the score of the row.
    bend : ndarray of shape (n,)
        Times x x', the row's share of A.
    beside : ndarray of shape (n, m)
        Scores of equations beside those of the coefficients.
    good : ndarray of shape (n,) or None
        Robustness weights, in whose coordinates the rows are; None: no psi' is negative.
    """

    psi: Array
    bend: Array
    beside: Array
    good: Array | None

    @classmethod
    def of(
        cls,
        fitted: FittedRows,
        psi: Array,
        bend: Array | None = None,
        beside: Array | None = None,
        good: Array | None = None,
    ) -> Terms:
        """Those of numbers without the weights; None: zeros."""
        bend, w = np.zeros(len(psi)) if bend is None else bend, fitted.rows.weight
        beside = np.zeros((len(psi), 0)) if beside is None else beside
        if w is None:
            return cls(psi, bend, beside, good)
        return cls(w * psi, w * bend, w[:, None] * beside, None if good is None else w * good)

    def take(self, index: NDArray[np.intp]) -> Terms:
        """Those of some rows."""
        good = None if self.good is None else self.good[index]
        return Terms(self.psi[index], self.bend[index], self.beside[index], good)


class _Sums(NamedTuple):
    """Sums over the rows ``t = R'x`` of some groups, with R R' = A^-1."""

    first: int  # the number of the first of them
    scores: Array  # (groups, d) sum w psi t
    shares: Array  # (groups, d, d) sum w psi' t t', A's in coordinates in which it is 1
    beside: Array  # (groups, m)

    def part(self, groups: slice) -> _Sums:
        """Those of some of the groups."""
        first = self.first + groups.indices(len(self.scores))[0]
        return _Sums(first, self.scores[groups], self.shares[groups], self.beside[groups])

    def add_to_first(self, other: _Sums) -> None:
        """Add what other rows of the first group come to."""
        self.scores[:1] += other.scores
        self.shares[:1] += other.shares
        self.beside[:1] += other.beside


@dataclass(frozen=True)
class Grouped:
    """The rows, one group after the other; a block's worth of numbers is held of them at a time.

    Of a group with more rows than that the sums go from piece to piece.
    """

    fitted: FittedRows
    terms: Terms
    root: Array  # (K, d) R
    columns: tuple[Array, Array]  # the same for the columns of blocks, and for the intercept's
    numbers: NDArray[np.intp]  # (n,) the group of each row
    ends: NDArray[np.intp]  # (groups,) where the rows of each end
    order: NDArray[np.intp]  # (n,) which rows these are

    @classmethod
    def of(
        cls, fitted: FittedRows, terms: Terms, root: Array, groups: tuple[NDArray[np.intp], int]
    ) -> Grouped:
        """The rows of numbered groups."""
        numbers, count = groups
        short = numbers.astype(np.uint16) if count <= 2**16 else numbers  # which is sorted faster
        ends = np.cumsum(np.bincount(numbers, minlength=count))
        order, columns = np.argsort(short, kind="stable"), in_columns(fitted, root)
        return cls(fitted, terms, root, columns, numbers, ends, order)

    def sums(self, with_shares: bool) -> Iterator[_Sums]:
        """The sums of all groups, some at a time; without shares, these are of shape (0, 0)."""
        before = None
        for first, last in pairwise(self._edges(with_shares)):
            own = self._sums(self.order[first:last], with_shares)
            if before is not None:
                own.add_to_first(before)
            whole = len(own.scores) - int(last < self.ends[own.first + len(own.scores) - 1])
            before = own.part(slice(whole, None)) if whole < len(own.scores) else None
            yield own.part(slice(whole))

    def square(self, group: int, direction: Array) -> float:
        """``sum w q (v't)^2`` over the rows of a group, q being the robustness weights."""
        total, step = 0.0, max(1, ENTRIES // self.fitted.size)
        last = int(self.ends[group])
        for first in range(int(self.ends[group - 1]) if group else 0, last, step):
            rows, terms = self._rows(self.order[first : min(first + step, last)])
            assert terms.good is not None
            total += float(terms.good @ (direction @ rows) ** 2)
        return total

    def _edges(self, with_shares: bool) -> list[int]:
        """Where pieces of rows, with the matrices of their groups, have `ENTRIES` entries."""
        size, counts = self.fitted.size, np.diff(self.ends, prepend=0)
        each = size * size if with_shares else size
        entries = size * self.ends + each * np.arange(1, len(counts) + 1)  # at ends of groups
        full = np.arange(ENTRIES, entries[-1], ENTRIES)
        group = np.searchsorted(entries, full)
        later = np.minimum((entries[group] - full) // size, counts[group])  # rows of the group
        return np.unique([0, *(self.ends[group] - later), self.ends[-1]]).tolist()

    def _sums(self, index: NDArray[np.intp], with_shares: bool) -> _Sums:
        """The sums over some of the rows."""
        own = self.numbers[index]
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        rows, terms = self._rows(index)
        d = len(rows) if with_shares else 0
        shares = np.empty((len(starts), d, d))
        if with_shares:
            bent = rows * terms.bend
            for share, first, last in zip(shares, starts, [*starts[1:], len(own)], strict=True):
                np.dot(bent[:, first:last], rows[:, first:last].T, out=share)
        rows *= terms.psi
        scores = np.add.reduceat(rows, starts, axis=1).T
        return _Sums(int(own[0]), scores, shares, np.add.reduceat(terms.beside, starts))

    def _rows(self, index: NDArray[np.intp]) -> tuple[Array, Terms]:
        """The t of some rows, shape (d, m), and their terms."""
        blocks, terms = self.fitted.rows, self.terms.take(index)
        X = blocks.source.X
        some = X[index] if blocks.sparse else np.take(X, index, axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # of far rows, which are rejected
            rows = along(blocks, blocks.read(some), *self.columns)
        rows[:, np.flatnonzero((terms.psi == 0.0) & (terms.bend == 0.0))] = 0.0
        return rows, terms


def by_groups(
    fitted: FittedRows,
    bread: Bread,
    terms: Terms,
    kind: str,
    groups: tuple[NDArray[np.intp], int],
    rank: int,
    through: Array | None = None,
) -> Covariance:
    """Covariance of the kind "CR1" or "CR3" from the terms of rows.

    Where there are m equations beside, `through` of shape (K + m, K + m) takes the steps of the
    coefficients alone and the scores beside to those of all; the last is the scale's. The scores
    beside are no others without the group.
    """
    size, unknown = fitted.size, [bread.unknown]
    squares = np.zeros((size + terms.beside.shape[1],) * 2)
    rows = Grouped.of(fitted, terms, bread.root, groups)
    for sums in rows.sums(with_shares=kind == "CR3"):
        inner = sums.scores
        if kind == "CR3":
            inner, moved = _without_groups(rows, sums)
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


def _without_groups(rows: Grouped, sums: _Sums) -> tuple[Array, Array]:
    """``(A - A_g)^-1 s_g`` of each group, and directions in which that has no inverse.

    In coordinates in which A is 1 the inverse is that of 1 less the group's leverages. Where psi'
    of either sign make up A, leverages may be large, or beyond 1, though there are other good rows:
    these are `STEEP`, as those of single rows are, unless the direction's weight is the group's.
    """
    root, good = rows.root, rows.terms.good
    h, vectors = np.linalg.eigh(sums.shares)  # (groups, d), (groups, d, d)
    lost = h >= ALL_LEVERAGE
    if good is not None:
        total = float(good.sum())
        for g, j in np.argwhere(h > STEEP):
            own = vectors[g, :, j]
            least = ALL_LEVERAGE * total * float(np.sum((root @ own) ** 2))
            lost[g, j] = rows.square(sums.first + int(g), own) >= least
        h = np.minimum(h, STEEP)
    inner = np.einsum("gij,gi->gj", vectors, sums.scores)
    inner = np.where(lost, 0.0, inner / np.where(lost, 1.0, 1.0 - h))
    moved = vectors.transpose(0, 2, 1)[lost] @ root.T  # (directions, K)
    return np.einsum("gij,gj->gi", vectors, inner), moved.T

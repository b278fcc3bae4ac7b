"""What passes over the rows of a programme do: sums, and the few rows that are looked at closely.

Pure functions of a block and a few numbers, as those of :mod:`robustreg.evaluation.sums`. A row is
known by its number in the table, and comes as ``a = A - offset``, its columns as blocks are read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import numpy as np

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg._linalg.products import product
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import residual_of, slopes_of
from robustreg.solvers._report import LAST_PLACES
from robustreg.solvers.programme.rows import round_off

AMBIGUOUS = 1e-6  # of the band: rows so near its edge may be seen on either side of it


class Place(NamedTuple):
    """A theta as blocks see it."""

    beta: Array  # (p,) coefficients in the units of the blocks
    intercept: float  # at the blocks' offset

    def residual(self, block: Block) -> Array:
        """The residuals of a block."""
        return residual_of(block, *self)

    def rounding(self, block: Block, index: Index) -> Array:
        """What the rounding of their own terms may leave of residuals that are 0."""
        size = np.abs(self.beta)
        about_offset = abs(self.intercept) + float(np.abs(block.reading.offset) @ size)
        terms = abs(block.X[index]) @ size + about_offset
        return LAST_PLACES * EPS * (np.abs(block.target[index]) + terms)


@dataclass(frozen=True)
class RoundedSums:
    """What the objective with its kinks rounded off needs of rows."""

    sums: Array  # (p + 2,) sum w nu [a, 1], and that of the losses
    near: int  # rows within the width
    gram: Array  # sum w [a, 1][a, 1]' of these, or of their coordinates

    def __add__(self, other: RoundedSums) -> RoundedSums:
        near, gram = self.near + other.near, self.gram + other.gram
        return RoundedSums(self.sums + other.sums, near, gram)


@dataclass(frozen=True)
class Round:
    """The job that sums losses with rounded kinks, and what curves them: the rows within a width.

    These are few, and so their Gram matrix takes less time than the residuals.
    """

    place: Place
    bounds: tuple[float, float]  # of nu
    width: float
    basis: Array | None  # of the coordinates that the Gram matrix is one of; None: of the columns

    def __call__(self, block: Block) -> RoundedSums:
        residual = self.place.residual(block)
        near = np.flatnonzero(np.abs(residual) <= self.width)
        weight = np.ones(len(near)) if block.weight is None else block.weight[near]
        gram = weighted_gram(block.reading, block.X[near], weight, self.basis)
        loss, nu = round_off(residual, *self.bounds, self.width)
        if block.weight is not None:
            loss *= block.weight
            nu *= block.weight
        return RoundedSums(np.append(slopes_of(block, nu), loss.sum()), len(near), gram)


@dataclass(frozen=True)
class Picked:
    """Some rows, with their numbers, and whether their residuals were positive."""

    index: Index
    a: Array  # (m, p)
    target: Array
    weight: Array
    above: Mask

    @classmethod
    def of(cls, block: Block, index: Index, above: Mask) -> Picked:
        """Some rows of a block."""
        weight = np.ones(len(index)) if block.weight is None else block.weight[index]
        # with all digits of a single precision X, too
        a = block.reading.centred(block.X[index].astype(np.float64))
        return cls(index + block.place.start, a, block.target[index], weight, above[index])

    def __add__(self, other: Picked) -> Picked:
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(Picked))
        return Picked(*(np.concatenate(pair) for pair in pairs))

    def some(self, which: Mask) -> Picked:
        """Those of a mask."""
        return Picked(*(getattr(self, each.name)[which] for each in fields(Picked)))

    def sums(self) -> Array:
        """Sums ``w [a, 1, target]`` of the rows above and of the others, shape (2, p + 2)."""
        weight = np.array([self.weight * self.above, self.weight * ~self.above])
        return np.column_stack([weight @ self.a, weight.sum(axis=1), weight @ self.target])


@dataclass(frozen=True)
class Gathered:
    """The open rows, and the sums of the others; no rows where they are too many."""

    open: Picked | None
    sums: Array  # as of ``Picked.sums``
    most: int

    def __add__(self, other: Gathered) -> Gathered:
        both = None
        if self.open is not None and other.open is not None:
            both = no_more_than(self.most, self.open + other.open)
        return Gathered(both, self.sums + other.sums, self.most)


def no_more_than(most: int, rows: Picked) -> Picked | None:
    """Some rows, if they are so few."""
    return rows if len(rows.index) <= most else None


@dataclass(frozen=True)
class Gather:
    """The job that gathers the rows whose residuals are no larger than a band."""

    place: Place
    band: float
    most: int  # such rows that are of any use

    def __call__(self, block: Block) -> Gathered:
        residual, p = self.place.residual(block), block.reading.p
        above, is_open = residual > 0, np.abs(residual) <= self.band
        index = np.flatnonzero(is_open)
        sides = np.array([above & ~is_open, ~above & ~is_open], dtype=np.float64)
        if block.weight is not None:
            sides *= block.weight
        sums = np.empty((2, p + 2))
        sums[:, p] = sides.sum(axis=1)
        sums[:, p + 1] = sides @ block.target
        sums[:, :p] = product(sides, block.X) - sums[:, p, None] * block.reading.offset
        picked = Picked.of(block, index, above) if len(index) <= self.most else None
        return Gathered(picked, sums, self.most)


@dataclass(frozen=True)
class Confirmed:
    """What all rows say of a place.

    Attributes
    ----------
    loss : float
        The weighted sum of their losses.
    n_wrong : int
        How many have not the presumed sign, though they were not open.
    wrong : Picked or None
        These; None where they are too many.
    exact : ndarray of int
        The rows of the vertex whose residuals are 0 but for rounding.
    on_fit : ndarray of int
        These and all others of which that is true.
    """

    loss: float
    n_wrong: int
    wrong: Picked | None
    exact: Index
    on_fit: Index
    most: int

    def __add__(self, other: Confirmed) -> Confirmed:
        both = None
        if self.wrong is not None and other.wrong is not None:
            both = no_more_than(self.most, self.wrong + other.wrong)
        return Confirmed(
            self.loss + other.loss,
            self.n_wrong + other.n_wrong,
            both,
            np.append(self.exact, other.exact),
            np.append(self.on_fit, other.on_fit),
            self.most,
        )


@dataclass(frozen=True)
class AtVertex:
    """The residuals at a place, where those of some rows are 0 but for rounding.

    Of these they are taken for 0 as far as the rounding of their own arithmetic explains what is
    left of them: no more, or the objective would be too small and the certificate wrong.
    """

    place: Place
    zero: Index  # these rows, in ascending order
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        return self.seen(block)[0]

    def seen(self, block: Block) -> tuple[Array, Index, Index]:
        """The residuals; and which rows of the block should be 0, and which are."""
        residual, named = self.place.residual(block), block.among(self.zero)
        dropped = named
        if len(named):
            small = np.abs(residual[named]) <= self.place.rounding(block, named)
            dropped = named[small]
            residual[dropped] = 0.0
        return residual, named, dropped


@dataclass(frozen=True)
class Confirm:
    """The job that asks all rows about a place: their losses, signs, and whether they are on it."""

    before: Place  # where signs were presumed
    band: float  # beyond which they were
    now: AtVertex
    bounds: tuple[float, float]
    close: float  # residuals that rounding may leave of 0
    most: int  # rows with another sign that are of any use
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Confirmed:
        return self.kept(block)[0]

    def kept(self, block: Block) -> tuple[Confirmed, Array]:
        """The same, and the residuals."""
        residual, named, dropped = self.now.seen(block)
        low, high = self.bounds
        loss = np.maximum(high * residual, low * residual)
        first = self.before.residual(block)
        index = np.flatnonzero((first > 0) == (residual < 0))
        index = index[residual[index] != 0.0]  # which is any sign
        index = index[np.abs(first[index]) > (1.0 - AMBIGUOUS) * self.band]
        wrong = Picked.of(block, index, first > 0) if len(index) <= self.most else None
        start = block.place.start
        return Confirmed(
            float(loss.sum() if block.weight is None else block.weight @ loss),
            len(index),
            wrong,
            dropped + start,
            self._on_fit(block, residual, named) + start,
            self.most,
        ), residual

    def _on_fit(self, block: Block, residual: Array, named: Index) -> Index:
        """The rows that the vertex passes through, but for the rounding of their own terms."""
        near = np.flatnonzero(np.abs(residual) <= self.close)
        on = np.isin(near, named)
        others = near[~on]
        if len(others):
            on[~on] = np.abs(residual[others]) <= self.now.place.rounding(block, others)
        return near[on]


@dataclass(frozen=True)
class Keeping:
    """The job of a confirmation that keeps the residuals, shape (n,), of rows in memory."""

    job: Confirm
    residual: Array
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Confirmed:
        confirmed, self.residual[block.place] = self.job.kept(block)
        return confirmed

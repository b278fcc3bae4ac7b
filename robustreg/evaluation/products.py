"""The generalised Hessian of the objective by its products, for rows in memory.

What a row counts by is kept, a few numbers each, so that a product takes two with X and no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.products import product
from robustreg.evaluation.evaluated import Evaluation
from robustreg.evaluation.hessian import image_of
from robustreg.evaluation.moments import first_and_second
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.reading import Block

CACHED = 2**20  # bytes of dense rows that stay in cache from one product to the next

FLAT = 1e-2  # of what a column would curve by if rows weighed alike: the least it counts for


@dataclass(frozen=True)
class Products:
    """Products with ``sum w [v x; psi' z][x; z]' / (W sigma) + penalty`` in the coordinates.

    v is psi', or more of some rows: then it is more than the Hessian in the coefficients alone.

    Attributes
    ----------
    objective : Objective
        What it is the Hessian of.
    share : ndarray of shape (n,)
        ``w v / (W sigma)``.
    bent : ndarray of shape (n,) or None
        ``w psi' z / (W sigma)``; None where the scale is given.
    z : ndarray of shape (n,)
        Standardised residuals.
    """

    objective: Objective
    share: Array
    bent: Array | None
    z: Array

    @classmethod
    def at(cls, objective: Objective, here: Evaluation, bounded: bool) -> Products:
        """That of a point; ``bounded``: v is ``psi(z) / z``, which is not less than psi'."""
        sigma, loss, rows = objective.scale_at(here.theta), objective.loss, objective.rows
        z = objective.residuals(here.theta) if here.residual is None else here.residual
        z = z / sigma
        unit = 1.0 / (rows.total * sigma)
        weight = unit if rows.weight is None else unit * rows.weight
        bend = weight * loss.psi_prime(z)
        share = weight * loss.weights(z) if bounded else bend
        return cls(objective, share, bend * z if objective.joint else None, z)

    def nearly_inverse(self, groups: Index | None, exact: bool = False) -> NearlyInverse:
        """The inverse of something near it: of its diagonal, which takes a pass if ``exact``.

        Besides, of the directions in which nothing curves but the penalty: ``groups`` of columns
        (:func:`robustreg.evaluation.categories.complete_groups`).
        """
        diagonal = self.diagonal(exact)
        if groups is None:
            return NearlyInverse(diagonal, None, np.zeros(0), np.zeros(0))
        own = self.objective.coordinates
        index = np.flatnonzero((groups >= 0) & (own.basis > 0.0))
        curvature = self.objective.penalty_slope(np.ones(len(groups)))[index]
        each = np.bincount(groups[index], curvature).astype(np.float64)
        return NearlyInverse(diagonal, (index, groups[index]), 1.0 / own.basis[index], each)

    def diagonal(self, exact: bool = False) -> Array:
        """What its diagonal would be if rows of all columns weighed alike; if ``exact``, as it is.

        Of coordinates that are single columns only. A column whose rows have no curvature gets a
        share of the other.
        """
        objective, own = self.objective, self.objective.coordinates
        total = float(self.share.sum())
        out = np.full(objective.size, total)
        if not own.mixed:
            spread = 1.0 - own.ridge * own.basis**2  # the square, in the coordinates
            slope = objective.penalty_slope(own.basis) * own.basis
            curved = total * spread
            if exact:
                own_rows = objective.rows.sum(_SquaresOf(self.share)) * own.basis**2
                curved = np.maximum(own_rows, FLAT * curved)
            out[: objective.k] = np.where(own.basis > 0.0, curved + slope, 1.0)
        if self.bent is not None:
            out[-1] = float(self.bent @ self.z)
        return np.where(out > 0.0, out, 1.0)

    def __matmul__(self, step: Array) -> Array:
        change, rows = self.objective.change_by(step), self.objective.rows
        shift = change.intercept - float(rows.offset @ change.beta)
        more = shift * self.share
        if self.bent is not None:
            more += change.sigma * self.bent
        fitted = np.empty(rows.n)
        slope = rows.sum(_Times(change.beta, self.share, more, fitted))
        total, by_z = float(self.share @ fitted) + float(more.sum()), 0.0
        if self.bent is not None:
            by_z = float(self.bent @ fitted) + float(self.bent @ (shift + change.sigma * self.z))
        sums = np.concatenate([slope - total * rows.offset, [total, by_z]])
        return image_of(self.objective, change, sums)


@dataclass(frozen=True)
class NearlyInverse:
    """``D^-1 + N (N'R N)^-1 N'`` with a diagonal D, the sums N of groups, and the penalty's R."""

    diagonal: Array
    members: tuple[Index, Index] | None  # coordinates in a group, and which
    size: Array  # of their coordinates, where coefficients are 1
    curvature: Array  # of each group

    def __call__(self, vector: Array) -> Array:
        out: Array = vector / self.diagonal
        if self.members is not None:
            index, group = self.members
            sums = np.bincount(group, self.size * vector[index], len(self.curvature))
            out[index] += self.size * (sums / self.curvature)[group]
        return out


@dataclass(frozen=True)
class _SquaresOf:
    """The job that sums ``share a^2``, a = A - offset, for a share of every row."""

    share: Array
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        return first_and_second(block, self.share[block.place])[1]


@dataclass(frozen=True)
class _Times:
    """The job that sums ``(share X beta + more)' X``, and keeps ``X beta``.

    Rows are in memory: what is summed of them besides is summed at once, afterwards.
    """

    beta: Array
    share: Array  # (n,)
    more: Array  # (n,)
    fitted: Array  # (n,) X beta
    products_only: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        slope: Array = np.zeros(block.reading.p)
        for X, place in _pieces(block):
            fitted = product(X, self.beta)
            self.fitted[place] = fitted
            fitted *= self.share[place]
            fitted += self.more[place]
            slope += product(fitted, X)
        return slope


def _pieces(block: Block) -> Iterator[tuple[Any, slice]]:
    """Some rows of a block after the other, and their places: what is read twice stays in cache."""
    if block.reading.sparse:
        yield block.X, block.place
        return
    n, first = len(block.target), block.place.start
    step = max(1, CACHED // (8 * block.reading.p))
    for start in range(0, n, step):
        stop = min(start + step, n)
        yield block.X[start:stop], slice(first + start, first + stop)

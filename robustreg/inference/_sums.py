"""The sums over rows that covariances are made of: jobs for blocks of rows.

With z = r / s, psi and psi' at z, w the weights and a the columns of a block from their centre.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Point, standardised
from robustreg.losses import ConvexLoss

FEW = 0.1  # of the weight of a good row: below, a row hardly counts


@dataclass(frozen=True)
class Added:
    """Sums, of which those of two blocks are added field by field."""

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]
        return type(self)(**{n: getattr(self, n) + getattr(other, n) for n in names})


@dataclass(frozen=True)
class Fit(Added):
    """How much of y the fit explains, by robustness weights v = w weights(z) / weights(0)."""

    weight: float  # sum v
    y: float  # sum v y
    yy: float  # sum v y^2
    rr: float  # sum v r^2
    n: float  # rows
    few: float  # rows of next to no weight


@dataclass(frozen=True)
class Scored(Added):
    """What the estimating equations, their derivative and their variance need.

    Gram matrices have the shape (q + 1, q + 1) of ``coordinates.of_gram``, slopes (p + 1,).
    """

    bread: Array  # sum w psi' [a, 1][a, 1]'; empty where psi' is the same of all rows
    psi: Array  # sum w psi [a, 1]
    bend: float  # sum w psi'
    bend_square: float  # sum w psi'^2
    psi_square: float  # sum w psi^2
    curve_z: Array  # sum w psi' z [a, 1]
    curve_zz: float  # sum w psi' z^2
    conjugate: float  # sum w c, with c = rho*(psi) - kappa
    fit: Fit  # what R squared is made of


@dataclass(frozen=True)
class Middle(Added):
    """The variance of scores that are divided by what leaving a row out makes of them."""

    middle: Array  # sum w f^2 psi^2 [a, 1][a, 1]'
    crossed: Array  # sum w f^2 psi c [a, 1]
    conjugate_square: float  # sum w f^2 c^2
    alone: list[tuple[int, Array]]  # rows that the fit cannot do without, with their coordinates


@dataclass(frozen=True)
class Score:
    """The job that sums scores and their derivatives."""

    loss: ConvexLoss
    point: Point
    basis: Array | None  # of the coordinates that Gram matrices are summed in; None: the columns
    kappa: float

    def __call__(self, block: Block) -> Scored:
        z = standardised(block, self.point)
        w = 1.0 if block.weight is None else block.weight
        psi, bend = self.loss.psi(z), self.loss.psi_prime(z)
        gram: Array = np.zeros((0, 0))
        if self.loss.homogeneity != 2:
            gram = weighted_gram(block.reading, block.X, w * bend, self.basis)
        share = self.loss.weights(z) / float(self.loss.weights(0.0))
        conjugate = self.loss.conjugate_of_psi(z) - self.kappa
        return Scored(
            bread=gram,
            psi=slopes(block, w * psi),
            bend=float(np.sum(w * bend)),
            bend_square=float(np.sum(w * bend * bend)),
            psi_square=float(np.sum(w * psi * psi)),
            curve_z=slopes(block, w * bend * z),
            curve_zz=float(np.sum(w * bend * z * z)),
            conjugate=float(np.sum(w * conjugate)),
            fit=explained(block, share, self.point.sigma * z),
        )


@dataclass(frozen=True)
class Leave:
    """The job that sums squares of scores, divided by a power of 1 - h.

    h is the leverage of one Newton step, ``psi' x' A^-1 x``: leaving a row out once moves the
    estimate by its score over 1 - h, to second order.
    """

    loss: ConvexLoss
    point: Point
    basis: Array | None
    kappa: float
    root: Array  # (p, K) R with R R' = A^-1, for the columns of blocks from their centre
    root_one: Array  # (K,) the same for the intercept's column
    power: float  # of 1 - h: 0 leaves scores as they are, HC2 has 1/2, HC3 1
    most: float  # of h, from which on the fit cannot do without the row

    def __call__(self, block: Block) -> Middle:
        z = standardised(block, self.point)
        w = 1.0 if block.weight is None else block.weight
        psi, conjugate = self.loss.psi(z), self.loss.conjugate_of_psi(z) - self.kappa
        share, alone = self._shares(block, self.loss.psi_prime(z))
        return Middle(
            middle=weighted_gram(block.reading, block.X, w * (share * psi) ** 2, self.basis),
            crossed=slopes(block, w * share * share * psi * conjugate),
            conjugate_square=float(np.sum(w * (share * conjugate) ** 2)),
            alone=alone,
        )

    def _shares(self, block: Block, bend: Array) -> tuple[Any, list[tuple[int, Array]]]:
        if self.power == 0.0:
            return np.ones(len(bend)), []
        rows = block.X @ self.root + (self.root_one - block.reading.offset @ self.root)
        h = bend * np.einsum("ij,ij->i", rows, rows)
        alone = h >= self.most
        found = [(block.place.start + int(i), rows[i]) for i in np.flatnonzero(alone)]
        return np.where(alone, 0.0, 1.0 / np.where(alone, 1.0, 1.0 - h) ** self.power), found


def explained(block: Block, share: Array, r: Array) -> Fit:
    """What R squared is made of, from robustness weights of 1 at most and residuals."""
    v = share if block.weight is None else block.weight * share
    counts = v > 0.0  # squares of rejected rows may overflow
    y, r, v = block.target[counts], r[counts], v[counts]
    return Fit(
        weight=float(v.sum()),
        y=float(v @ y),
        yy=float(v @ (y * y)),
        rr=float(v @ (r * r)),
        n=float(len(share)),
        few=float(np.sum(share < FEW)),
    )


def slopes(block: Block, v: Array) -> Array:
    """``sum v [a, 1]`` over the rows of a block."""
    total = float(v.sum())
    return np.append(block.X.T @ v - block.reading.offset * total, total)

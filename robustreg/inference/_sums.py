"""The sums over rows that covariances are made of: jobs for blocks of rows.

With z = r / s, psi and psi' at z, w the weights and a the columns of a block from their centre.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.products import product
from robustreg.evaluation.moments import bordered, weighted_gram
from robustreg.evaluation.reading import Block, Reading
from robustreg.evaluation.sums import Point, slopes_of, standardised
from robustreg.inference._rows import FittedRows
from robustreg.losses import ConvexLoss

FEW = 0.1  # of the weight of a good row: below, a row hardly counts
ALL_LEVERAGE = 1.0 - 1e-8  # from which on the fit cannot do without a row
STEEP = 0.95  # leverage of a Newton step that is too long to say what leaving a row out does


@dataclass(frozen=True)
class Added:
    """Sums, of which those of two blocks are added field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: own + getattr(other, name) for name, own in vars(self).items()})


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
class Middle(Added):
    """The variance of scores that are divided by what leaving a row out makes of them."""

    middle: Array  # sum w f^2 psi^2 t t', where t = R'[a, 1]
    crossed: Array  # sum w f^2 psi c [a, 1]
    conjugate_square: float  # sum w f^2 c^2
    alone: list[tuple[int, Array]]  # rows that the fit cannot do without, with their t

    def lifted(self, root: Array) -> Middle:
        """The same of R t, in the K coordinates."""
        alone: list[tuple[int, Array]] = [(index, root @ row) for index, row in self.alone]
        return replace(self, middle=root @ self.middle @ root.T, alone=alone)


NOTHING = Middle(np.zeros((0, 0)), np.zeros(0), 0.0, [])


@dataclass(frozen=True)
class Scored(Added):
    """What the estimating equations, their derivative and their variance need.

    Gram matrices have the shape (q + 1, q + 1) of ``coordinates.of_gram``, slopes (p + 1,).
    """

    bread: Array  # sum w psi' [a, 1][a, 1]', or of most - psi'; empty where psi' is always the same
    psi: Array  # sum w psi [a, 1]; in the end in the K coordinates
    bend: float  # sum w psi'
    bend_square: float  # sum w psi'^2
    psi_square: float  # sum w psi^2
    curve_z: Array  # sum w psi' z [a, 1]; this and the next two are 0 unless the scale is joint
    curve_zz: float  # sum w psi' z^2
    conjugate: float  # sum w c, with c = rho*(psi) - kappa
    fit: Fit  # what R squared is made of
    left: Middle  # where A was known before, else empty; in the end in the K coordinates


class Left(NamedTuple):
    """What leaving rows of a block out makes of their scores."""

    share: Array  # f = (1 - h)^-power of each
    middle: Array  # sum w f^2 psi^2 t t'
    alone: list[tuple[int, Array]]  # rows that the fit cannot do without, with their t


@dataclass(frozen=True)
class LeaveOut:
    """Scores of the rows of a block, divided by a power of 1 - h, and the sum of their squares.

    h is the leverage of one Newton step, ``psi' x' A^-1 x``: leaving a row out once moves the
    estimate by its score over 1 - h, to second order. Rows are ``t = R'[a, 1]`` with R R' = A^-1;
    where R is square, it can be turned so that the last of t is the same for all rows, which need
    it no more.
    """

    root: Array  # (p, d) R for the columns of blocks from their centre
    root_one: Array  # (d,) R for the intercept's column
    power: float  # of 1 - h: 0 leaves scores as they are, HC2 has 1/2, HC3 1
    unit: float  # of the weights, one of which is left out
    by_columns: bool  # whether Gram matrices are summed in the columns of blocks
    lift: Array  # turns t into A^-1 [a, 1] in the K coordinates, (K, d), or (K, d + 1) with the ...
    last: float | None  # ... square of the last of t, for which t has 1; None: it is none of these

    @classmethod
    def of(cls, fitted: FittedRows, root: Array, power: float) -> LeaveOut:
        """That of an R in the K coordinates."""
        lift, last = root, None
        if fitted.has_intercept and root.shape[1] == len(root):
            lift, last = _turned(root) if root[:-1, -1].any() else _lower(root)
            root = lift[:, :-1]
        by_columns = fitted.coordinates.gram_basis is None
        return cls(*in_columns(fitted, root), power, fitted.weight_unit, by_columns, lift, last)

    def __call__(self, block: Block, psi: Array, bend: Array, limit: float = ALL_LEVERAGE) -> Left:
        """Of the rows' psi and psi'.

        f is 0 for rows with leverages from the limit on: by default those that the fit cannot do
        without.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # of far rows, which are rejected
            rows = along(block.reading, block.X, self.root, self.root_one)
            square = np.einsum("ij,ij->j", rows, rows)
            square += self.last or 0.0
            if not np.isfinite(square.sum()):
                rows[:, psi == 0.0] = square[psi == 0.0] = 0.0
        return self.of_rows(block, rows, psi, np.multiply(bend, square, out=square), limit)

    def of_rows(
        self,
        block: Block,
        rows: Array,
        psi: Array,
        h: Array,
        limit: float = ALL_LEVERAGE,
    ) -> Left:
        """The same from the t of the rows and ``psi' t't``, which are overwritten."""
        alone: list[tuple[int, Array]] = []
        if self.power == 0.0:
            share = np.ones(len(psi))
        else:
            if self.unit != 1.0:
                h *= 1.0 / self.unit
            lost = np.flatnonzero(h >= limit)
            h[lost] = 0.0
            share = np.subtract(1.0, h, out=h)
            if self.power != 1.0:  # a quotient takes a fraction of the time of a power
                share **= self.power
            np.divide(1.0, share, out=share)
            share[lost] = 0.0
            last = [] if self.last is None else [1.0]
            alone = [(block.place.start + int(i), np.append(rows[:, i], last)) for i in lost]
        v = share * psi
        if block.weight is not None:
            v *= np.sqrt(block.weight)
        return Left(share, self._sum_of_squares(block, rows, v), alone)

    def middle(self, block: Block, psi: Array, bend: Array) -> Middle:
        """The sums where there are no other equations than those of the coefficients."""
        _, middle, alone = self(block, psi, bend)
        return Middle(middle, np.zeros(block.reading.p + 1), 0.0, alone)

    def _sum_of_squares(self, block: Block, rows: Array, v: Array) -> Array:
        """``sum v^2 t t'``; rows are overwritten."""
        if block.reading.sparse and self.by_columns:
            root = np.vstack([self.root, self.root_one])
            if self.last is not None:
                root = np.column_stack([root, np.eye(len(root))[-1]])
            return root.T @ weighted_gram(block.reading, block.X, v * v) @ root
        rows *= v
        gram: Array = product(rows, rows.T)
        if self.last is None:
            return gram
        side = product(rows, v)
        return bordered(gram, side, float(v @ v))


def _turned(root: Array) -> tuple[Array, float]:
    """R turned so that t ends in the same c for all rows, its last column for 1 instead, and c^2.

    With ``R q = c e`` for the intercept's unit vector e and a q of length 1, a reflection that has
    q or -q for its last column does so. That of R is ``c e`` then, and for 1 ``c^2 e``.
    """
    turn = np.linalg.solve(root, np.eye(len(root))[-1])
    square = 1.0 / float(turn @ turn)
    turn *= math.sqrt(square)
    turn[-1] += math.copysign(1.0, turn[-1])  # of q and -q the one that loses no digits
    lift = root - np.outer(root @ turn, turn) * (2.0 / float(turn @ turn))
    lift[:, -1] = 0.0
    lift[-1, -1] = square
    return lift, square


def _lower(root: Array) -> tuple[Array, float]:
    """The same of an R whose last column is c e already: that of a triangular one."""
    lift = root.copy()
    lift[-1, -1] *= root[-1, -1]
    return lift, float(lift[-1, -1])


def in_columns(fitted: FittedRows, root: Array) -> tuple[Array, Array]:
    """An R of the K coordinates for the columns of blocks from their centre, and for 1."""
    own = fitted.coordinates
    one = root[own.k] if fitted.has_intercept else np.zeros(root.shape[1])
    return own.basis @ root[: own.k], one


def along(reading: Reading, X: Any, root: Array, root_one: Array) -> Array:
    """``R'[a, 1]`` of rows, shape (d, m): long rows are added to faster than short ones."""
    if reading.as_read:
        root_one = root_one - reading.offset @ root
    else:
        X = reading.centred(X)
    rows: Array = product(root.T, X.T)
    rows += root_one[:, None]
    return rows


@dataclass(frozen=True)
class Score:
    """The job that sums scores and their derivatives."""

    loss: ConvexLoss
    point: Point
    basis: Array | None  # of the coordinates that Gram matrices are summed in; None: the columns
    kappa: float
    most: float | None  # of psi', where bread is to be what rows with less have less; None: it is A

    def __call__(self, block: Block) -> Scored:
        z = standardised(block, self.point)
        w = 1.0 if block.weight is None else block.weight
        psi, bend = self.loss.psi(z), self.loss.psi_prime(z)
        gram: Array = np.zeros((0, 0))
        if self.most is not None:
            gram = _missing(block, self.most - bend)
        elif self.loss.homogeneity != 2:
            gram = weighted_gram(block.reading, block.X, w * bend, self.basis)
        curve_z: Array = np.zeros(block.reading.p + 1)
        curve_zz = conjugate = 0.0
        if self.kappa > 0.0:
            curve = w * bend * z
            curve_z, curve_zz = slopes_of(block, curve), float(curve @ z)
            conjugate = float(np.sum(w * (self.loss.conjugate_of_psi(z) - self.kappa)))
        share = self.loss.weights(z) / float(self.loss.weights(0.0))
        return Scored(
            bread=gram,
            psi=slopes_of(block, w * psi),
            bend=float(np.sum(w * bend)),
            bend_square=float(np.sum(w * bend * bend)),
            psi_square=float(np.sum(w * psi * psi)),
            curve_z=curve_z,
            curve_zz=curve_zz,
            conjugate=conjugate,
            fit=explained(block, share, self.point.sigma * z),
            left=NOTHING,
        )


def _missing(block: Block, less: Array) -> Array:
    """``sum w v [a, 1][a, 1]'`` of the rows whose v is not 0, from the columns."""
    index = np.flatnonzero(less)
    v = less[index] if block.weight is None else block.weight[index] * less[index]
    return weighted_gram(block.reading, block.X[index], v)


@dataclass(frozen=True)
class Leave:
    """The job that sums squares of scores, divided by a power of 1 - h."""

    loss: ConvexLoss
    point: Point
    kappa: float
    leave_out: LeaveOut

    def __call__(self, block: Block) -> Middle:
        z = standardised(block, self.point)
        psi = self.loss.psi(z)
        share, middle, alone = self.leave_out(block, psi, self.loss.psi_prime(z))
        crossed: Array = np.zeros(block.reading.p + 1)
        square = 0.0
        if self.kappa > 0.0:
            w = 1.0 if block.weight is None else block.weight
            conjugate = share * (self.loss.conjugate_of_psi(z) - self.kappa)
            crossed = slopes_of(block, w * share * psi * conjugate)
            square = float(np.sum(w * conjugate**2))
        return Middle(middle, crossed, square, alone)


def explained(block: Block, share: Array, r: Array) -> Fit:
    """What R squared is made of, from robustness weights of 1 at most and residuals."""
    v, y = block.weighted(share), block.target
    with np.errstate(over="ignore", invalid="ignore"):  # of rejected rows
        yy, rr = float(v @ (y * y)), float(v @ (r * r))
    if not math.isfinite(yy + rr):
        counts = v > 0.0
        y, r, v = y[counts], r[counts], v[counts]
        yy, rr = float(v @ (y * y)), float(v @ (r * r))
    return Fit(
        weight=float(v.sum()),
        y=float(v @ y),
        yy=yy,
        rr=rr,
        n=float(len(share)),
        few=float(np.sum(share < FEW)),
    )

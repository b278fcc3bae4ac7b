"""One block of rows, read once: all the sums that the objective and its derivatives need.

Functions of a block and a point. What an objective holds of every row, the residuals and the psi'
that its Gram matrix has, is brought up to date on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import Array, Mask
from robustreg._linalg.precise import precise_residual, precise_slopes
from robustreg._linalg.products import product
from robustreg.evaluation.reading import RowBlocks
from robustreg.losses import ConvexLoss

# Rows enter the stored Gram matrix anew once psi' has moved by this share of itself: never
# between kinks for piecewise quadratic losses, and a contraction of 1 % a step else. (Of
# itself, not of its bound: at a small scale all of the curvature may lie in the tails.)
CURVATURE_STEP = 0.01


class Block(NamedTuple):
    """Rows of a table as they are read: m of them, with p columns."""

    rows: RowBlocks  # the table that they are from
    X: Any  # (m, p) dense or CSR, in the units of the table's blocks
    target: Array  # (m,)
    weight: Array | None  # (m,), None for ones


class Point(NamedTuple):
    """Where sums are taken."""

    beta: Array  # (p,) coefficients in the units of the blocks
    intercept: float  # at the table's offset
    sigma: float


class Held(NamedTuple):
    """What is held of every row of a block between points."""

    residual: Array  # (m,) is written, unless it is known
    known: bool
    curvature: Array | None  # (m,) psi' of the Gram matrix, brought up to date, if there is one


class Kind(NamedTuple):
    """What is the same for all blocks and points of an objective."""

    loss: ConvexLoss
    basis: Array | None  # (p, q) of the coordinates that the Gram matrix is one of; None: columns
    joint: bool  # whether the scale is a variable
    precise: bool  # whether residuals and slopes have twice the working precision


@dataclass
class FirstSums:
    """What F and its gradient need; ``z = r / sigma``, all weighted, a = A - offset.

    At one theta or, with a leading axis, at several.
    """

    conjugate: Any  # sum w rho*(psi(z)) = sum w [z psi(z) - rho(z)], which would cancel
    psi: Any  # sum w psi(z)
    psi_psi: Any  # sum w psi(z)^2
    psi_z: Any  # sum w psi(z) z
    psi_a: Array  # (p,) sum w psi(z) a


@dataclass
class Sums(FirstSums):
    """Sums over rows at one theta, with those that its Hessian needs."""

    curve_z: Array  # (p + 1,) sum w psi'(z) z [a, 1]
    curve_zz: float  # sum w psi'(z) z^2
    gram: Array | None = None  # (q + 1, q + 1) change of sum w psi'(z) [a, 1][a, 1]'; None: 0

    def __add__(self, other: Sums) -> Sums:
        gram = other.gram if self.gram is None else self.gram
        if self.gram is not None and other.gram is not None:
            gram = self.gram + other.gram
        return Sums(
            self.conjugate + other.conjugate,
            self.psi + other.psi,
            self.psi_psi + other.psi_psi,
            self.psi_z + other.psi_z,
            self.psi_a + other.psi_a,
            self.curve_z + other.curve_z,
            self.curve_zz + other.curve_zz,
            gram,
        )


def block_sums(kind: Kind, block: Block, point: Point, held: Held) -> Sums:
    """Sums over one block of rows, read from memory once."""
    rows, weight, loss = block.rows, block.weight, kind.loss
    if not held.known:
        write_residual(block, point.beta, point.intercept, held.residual, kind.precise)
    z = held.residual / point.sigma
    psi = loss.psi(z)
    weighted = psi if weight is None else weight * psi
    psi_psi = float(weighted @ psi)
    if loss.quadratic_conjugate:
        conjugate = psi_psi / (2.0 * loss.curvature)
    else:
        values = loss.conjugate_of_psi(z)
        conjugate = float(values.sum() if weight is None else weight @ values)
    if kind.precise:
        total, psi_a = precise_slopes(weighted, block.X, rows.offset)
    else:
        total = float(weighted.sum())
        psi_a = product(weighted, block.X) - total * rows.offset
    gram, curve_z, curve_zz = None, np.zeros(rows.p + 1), 0.0
    if held.curvature is not None:
        gram = _refresh(kind, block, z, held.curvature)
        if kind.joint:
            curve = held.curvature * z
            if weight is not None:
                curve *= weight
            curve_z[-1] = curve.sum()
            curve_z[:-1] = product(curve, block.X) - curve_z[-1] * rows.offset
            curve_zz = float(curve @ z)
    return Sums(
        conjugate,
        total,
        psi_psi,
        float(weighted @ z),
        psi_a,
        curve_z,
        curve_zz,
        gram,
    )


def write_residual(
    block: Block, beta: Array, intercept: float, out: Array, precise: bool = False
) -> None:
    """``target`` minus ``(X - offset) @ beta + intercept``."""
    offset = block.rows.offset
    if precise:
        out[:] = precise_residual(block.target, block.X, offset, beta, intercept)
        return
    np.subtract(block.target, product(block.X, beta), out=out)
    out -= intercept - float(offset @ beta)


def has_moved(loss: ConvexLoss, fresh: Array, curvature: Array) -> Mask:
    """Where psi' is no longer what a Gram matrix holds."""
    if loss.smoothness > 1:
        return np.abs(fresh - curvature) > CURVATURE_STEP * fresh
    return fresh != curvature  # psi' is constant between kinks


def _refresh(kind: Kind, block: Block, z: Array, curvature: Array) -> Array | None:
    """Change of the psi'-weighted Gram matrix of [a, 1] by the rows whose psi' moved, if any."""
    fresh = kind.loss.psi_prime(z)
    index = np.flatnonzero(has_moved(kind.loss, fresh, curvature))
    if not len(index):
        return None
    change = fresh[index] - curvature[index]
    curvature[index] = fresh[index]
    if block.weight is not None:
        change *= block.weight[index]
    part = block.rows.centred(block.X, index)
    if kind.basis is not None:
        part = product(part, kind.basis)
    linear = product(change, part)
    if change.min() == change.max():  # a symmetric product costs half of a general one
        inner = change[0] * product(part.T, part)
    else:
        inner = product(part.T, change[:, None] * part)
    gram = np.empty((len(linear) + 1, len(linear) + 1))
    gram[:-1, :-1], gram[-1, :-1], gram[:-1, -1], gram[-1, -1] = inner, linear, linear, change.sum()
    return gram

"""One block of rows, read once: all the sums that the objective and its derivatives need.

Pure functions of a block; the same sums over the blocks of a memory-mapped or distributed
table would serve the same objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def block_sums(
    rows: RowBlocks,
    part: slice,
    target: Array,
    beta: Array,
    intercept: float,
    sigma: float,
    loss: ConvexLoss,
    residual: Array,
    known: bool,
    curvature: Array | None,
    basis: Array | None,
    joint: bool,
    precise: bool = False,
) -> Sums:
    """Sums over one block of rows, read from memory once.

    Writes the block's residuals to ``residual``, unless they are ``known``, and, where
    given, brings ``curvature`` (the psi' that the stored Gram matrix holds) up to date.
    """
    block, weight = rows.read(part), rows.weights(part)
    if not known:
        write_residual(rows, block, target, beta, intercept, residual, precise)
    z = residual / sigma
    psi = loss.psi(z)
    weighted = psi if weight is None else weight * psi
    psi_psi = float(weighted @ psi)
    if loss.quadratic_conjugate:
        conjugate = psi_psi / (2.0 * loss.curvature)
    else:
        values = loss.conjugate_of_psi(z)
        conjugate = float(values.sum() if weight is None else weight @ values)
    if precise:
        total, psi_a = precise_slopes(weighted, block, rows.offset)
    else:
        total = float(weighted.sum())
        psi_a = product(weighted, block) - total * rows.offset
    gram, curve_z, curve_zz = None, np.zeros(rows.p + 1), 0.0
    if curvature is not None:
        gram = _refresh(rows, block, weight, z, loss, curvature, basis)
        if joint:
            curve = curvature * z
            if weight is not None:
                curve *= weight
            curve_z[-1] = curve.sum()
            curve_z[:-1] = product(curve, block) - curve_z[-1] * rows.offset
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
    rows: RowBlocks,
    block: Any,
    target: Array,
    beta: Array,
    intercept: float,
    out: Array,
    precise: bool = False,
) -> None:
    """``target`` minus ``(block - offset) @ beta + intercept``."""
    if precise:
        out[:] = precise_residual(target, block, rows.offset, beta, intercept)
        return
    np.subtract(target, product(block, beta), out=out)
    out -= intercept - float(rows.offset @ beta)


def has_moved(loss: ConvexLoss, fresh: Array, curvature: Array) -> Mask:
    """Where psi' is no longer what a Gram matrix holds."""
    if loss.smoothness > 1:
        return np.abs(fresh - curvature) > CURVATURE_STEP * fresh
    return fresh != curvature  # psi' is constant between kinks


def _refresh(
    rows: RowBlocks,
    block: Any,
    weight: Array | None,
    z: Array,
    loss: ConvexLoss,
    curvature: Array,
    basis: Array | None,
) -> Array | None:
    """Change of the psi'-weighted Gram matrix of [a, 1] by the rows whose psi' moved, if any."""
    fresh = loss.psi_prime(z)
    index = np.flatnonzero(has_moved(loss, fresh, curvature))
    if not len(index):
        return None
    change = fresh[index] - curvature[index]
    curvature[index] = fresh[index]
    if weight is not None:
        change *= weight[index]
    part = rows.centred(block, index)
    if basis is not None:
        part = product(part, basis)
    linear = product(change, part)
    if change.min() == change.max():  # a symmetric product costs half of a general one
        inner = change[0] * product(part.T, part)
    else:
        inner = product(part.T, change[:, None] * part)
    gram = np.empty((len(linear) + 1, len(linear) + 1))
    gram[:-1, :-1], gram[-1, :-1], gram[:-1, -1], gram[-1, -1] = inner, linear, linear, change.sum()
    return gram

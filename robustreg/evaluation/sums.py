"""One block of rows, read once: all the sums that the objective and its derivatives need.

Pure functions of a block and of a few numbers, and the jobs that passes are made of. Nothing is
held of a row from one pass to the next: the psi' that a Gram matrix has of it is computed anew,
at the point where that matrix was summed, while the block is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.precise import precise_residual, precise_slopes
from robustreg._linalg.products import product
from robustreg._namespace import is_foreign, lifted, namespace_of, on_host, sum_of
from robustreg.evaluation.moments import weighted_gram
from robustreg.evaluation.reading import Block, copied_rows
from robustreg.losses import ConvexLoss

# Binary digits of psi' that a Gram matrix has where psi' varies between kinks. A row enters it
# anew once its psi' has left such a step, by 0.8 % at most: a contraction of that much a Newton
# step. (Steps are shares of psi' itself, not of its bound: at a small scale all of the curvature
# may lie in the tails.)
DIGITS = 7
_DROPPED = np.int64(52 - DIGITS)  # of the 52 of a double's mantissa
_HALF = np.int64(1) << (_DROPPED - np.int64(1))
_KEPT = ~((np.int64(1) << _DROPPED) - np.int64(1))


class Point(NamedTuple):
    """Where sums are taken."""

    beta: Array  # (p,) coefficients in the units of the blocks
    intercept: float  # at the blocks' offset
    sigma: float


class Bend(NamedTuple):
    """The psi' of every row that a Gram matrix has: that of a loss at a point, or one number."""

    loss: ConvexLoss
    point: Point | None = None
    level: float = 0.0  # where there is no point
    known: Array | None = None  # (n,) of tables of one block, where it is at hand

    def of(self, block: Block, precise: bool = False) -> Array | float:
        """The psi' of the rows of a block."""
        if self.known is not None:
            return self.known
        if self.point is None:
            return self.level
        return held(self.loss, standardised(block, self.point, precise))


@dataclass(frozen=True)
class FirstSums:
    """What F and its gradient need; ``z = r / sigma``, all weighted, a = A - offset.

    At one theta or, with a leading axis, at several.
    """

    conjugate: Any  # sum w rho*(psi(z)) = sum w [z psi(z) - rho(z)], which would cancel
    psi: Any  # sum w psi(z)
    psi_psi: Any  # sum w psi(z)^2
    psi_z: Any  # sum w psi(z) z
    psi_a: Array  # (p,) sum w psi(z) a

    def _plus(self, other: FirstSums) -> tuple[Any, Any, Any, Any, Array]:
        return (
            self.conjugate + other.conjugate,
            self.psi + other.psi,
            self.psi_psi + other.psi_psi,
            self.psi_z + other.psi_z,
            self.psi_a + other.psi_a,
        )


@dataclass(frozen=True)
class Curved:
    """What the generalised Hessian needs besides."""

    curve_z: Array  # (p + 1,) sum w psi'(z) z [a, 1]; 0 where the scale is given
    curve_zz: float  # sum w psi'(z) z^2; 0 where the scale is given
    gram: Array | None  # (q + 1, q + 1) change of sum w psi'(z) [a, 1][a, 1]'; None: 0
    bend: Array | None = None  # (n,) psi' of the rows, if they are one block

    def __add__(self, other: Curved) -> Curved:
        gram = other.gram if self.gram is None else self.gram
        if self.gram is not None and other.gram is not None:
            gram = self.gram + other.gram
        return Curved(self.curve_z + other.curve_z, self.curve_zz + other.curve_zz, gram)


@dataclass(frozen=True)
class Sums(FirstSums):
    """Sums over rows at one theta; those of curvature where they were asked for."""

    curved: Curved | None = None

    def __add__(self, other: Sums) -> Sums:
        both = None
        if self.curved is not None and other.curved is not None:
            both = self.curved + other.curved
        return Sums(*self._plus(other), both)


class Brought(NamedTuple):
    """What is known of a Gram matrix that is brought from one point to the next."""

    bend: Bend  # the psi' that it has of every row
    basis: Array | None  # (p, q) of the coordinates that it is one of; None: of the columns
    single: bool  # whether it is in single precision: its change is then, in half of the time
    one_block: bool  # whether all rows are one block: their psi' is then handed back


@dataclass(frozen=True)
class Evaluate:
    """The job that sums what F and its derivatives at a point need.

    Attributes
    ----------
    loss : ConvexLoss
        The loss.
    point : Point
        Where.
    joint : bool
        Whether the scale is a variable.
    precise : bool
        Whether residuals and slopes have twice the working precision.
    brought : Brought or None
        The Gram matrix that is to be that of this point; None: no curvature.
    """

    loss: ConvexLoss
    point: Point
    joint: bool
    precise: bool
    brought: Brought | None = None

    @property
    def products_only(self) -> bool:
        """Whether nothing is made of sparse rows but products with them."""
        return self.brought is None or self.brought.basis is None

    @property
    def on_device(self) -> bool:
        """Whether rows may be on a device, which has no more than double precision."""
        return not self.precise

    def __call__(self, block: Block) -> Sums:
        beta, intercept, _ = self.point
        return self.from_residual(block, residual_of(block, beta, intercept, self.precise))

    def from_residual(self, block: Block, residual: Array) -> Sums:
        """The same, from the residuals of the block, which are overwritten."""
        loss, offset = self.loss, block.reading.offset
        z = residual
        z /= self.point.sigma
        psi = loss.psi(z)
        weighted = block.weighted(psi)
        psi_psi = float(weighted @ psi)
        if loss.quadratic_conjugate:
            conjugate = psi_psi / (2.0 * loss.curvature)
        else:
            conjugate = block.total(loss.conjugate_of_psi(z))
        if self.precise:
            total, psi_a = precise_slopes(weighted, block.X, offset)
        else:
            total = sum_of(weighted)
            psi_a = on_host(product(weighted, block.X)) - total * offset
        psi_z = float(weighted @ z)
        curved = None if self.brought is None else self._curved(block, z, self.brought)
        return Sums(conjugate, total, psi_psi, psi_z, psi_a, curved)

    def _curved(self, block: Block, z: Array, brought: Brought) -> Curved:
        """Sums of psi', and the change of a Gram matrix by the rows whose psi' is another."""
        bend = held(self.loss, z)
        gram = _change(block, bend, brought.bend.of(block, self.precise), brought)
        curve_z: Array = np.zeros(block.reading.p + 1)
        curve_zz = 0.0
        if self.joint:
            curve = block.weighted(bend * z)
            curve_z, curve_zz = slopes_of(block, curve), float(curve @ z)
        return Curved(curve_z, curve_zz, gram, bend if brought.one_block else None)


@dataclass(frozen=True)
class Keeping:
    """The job of an evaluation that keeps the residuals, shape (n,), of rows in memory."""

    job: Evaluate
    residual: Array

    @property
    def products_only(self) -> bool:
        """As of the evaluation."""
        return self.job.products_only

    def __call__(self, block: Block) -> Sums:
        job = self.job
        own = residual_of(block, job.point.beta, job.point.intercept, job.precise)
        self.residual[block.place] = own  # a copy: the job overwrites its own
        return job.from_residual(block, own)


def _change(block: Block, bend: Array, before: Array | float, brought: Brought) -> Array | None:
    """Change of the psi'-weighted Gram matrix of [a, 1]; None where no psi' is another."""
    if is_foreign(bend):  # on a device, picking rows costs more than it saves
        change = block.weighted(bend - before)
        return weighted_gram(block.reading, block.X, change, brought.basis)
    if brought.basis is None and isinstance(before, float) and before == 0.0:  # all of it
        return weighted_gram(block.reading, block.X, block.weighted(bend), single=brought.single)
    index = np.flatnonzero(bend != before)
    if not len(index):
        return None
    change = bend[index] - (before if isinstance(before, float) else before[index])
    if block.weight is not None:
        change *= block.weight[index]
    reading = block.reading
    if reading.sparse and not reading.far and brought.basis is None:
        return weighted_gram(reading, block.X[index], change)
    step, gram = copied_rows(len(index), reading.p, 8), None
    for first in range(0, len(index), step):
        rows = slice(first, first + step)
        part = _change_by(block, index[rows], change[rows], brought)
        gram = part if gram is None else gram + part
    return gram


def _change_by(block: Block, index: Index, change: Array, brought: Brought) -> Array:
    """The change by some rows, given that of their psi'."""
    part = block.reading.centred(block.X, index)
    if brought.basis is not None:
        part = product(part, brought.basis)
    size = part.shape[1] + 1
    gram = np.empty((size, size))
    gram[-1, :-1] = gram[:-1, -1] = product(change, part)
    gram[-1, -1] = change.sum()
    if brought.single:
        part, change = part.astype(np.float32), change.astype(np.float32)
    if change.min() == change.max():  # a symmetric product costs half of a general one
        gram[:-1, :-1] = change[0] * product(part.T, part)
    else:
        gram[:-1, :-1] = product(part.T, change[:, None] * part)
    return gram


def held(loss: ConvexLoss, z: Array) -> Array:
    """The psi' of rows that a Gram matrix has of them: a function of z, up to 0.4 % exact.

    Exact where psi' is constant between kinks, else of so many digits that most rows keep it as
    a fit settles. (On a device, where all rows are summed anew, it has all digits.)
    """
    if is_foreign(z):
        return loss.psi_prime(z)
    bend = np.asarray(loss.psi_prime(z), dtype=np.float64)
    if loss.smoothness < 2:
        return bend
    return ((bend.view(np.int64) + _HALF) & _KEPT).view(np.float64)


def residual_of(block: Block, beta: Array, intercept: float, precise: bool = False) -> Array:
    """``target`` minus ``(X - offset) @ beta + intercept``."""
    offset = block.reading.offset
    if precise:
        return precise_residual(block.target, block.X, offset, beta, intercept)
    fitted = product(block.X, beta)
    if is_foreign(fitted):
        found: Any = block.target - fitted
    else:
        found = np.subtract(block.target, fitted, out=fitted)
    found -= intercept - float(offset @ beta)
    return found


def standardised(block: Block, point: Point, precise: bool = False) -> Array:
    """The residuals over the scale, ``z = r / sigma``."""
    z = residual_of(block, point.beta, point.intercept, precise)
    z /= point.sigma
    return z


@dataclass(frozen=True)
class Residual:
    """The residuals of rows."""

    beta: Array
    intercept: float
    precise: bool
    products_only: ClassVar[bool] = True

    @property
    def on_device(self) -> bool:
        """As of an evaluation."""
        return not self.precise

    def __call__(self, block: Block) -> Array:
        return residual_of(block, self.beta, self.intercept, self.precise)


@dataclass(frozen=True)
class Fitted:
    """``(A - offset) beta + intercept`` of rows."""

    beta: Array
    intercept: float
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        found: Array = product(block.X, self.beta)
        found += self.intercept - float(block.reading.offset @ self.beta)
        return found


@dataclass(frozen=True)
class SlopesOf:
    """The job that sums ``w nu [a, 1]`` for a nu of every row."""

    nu: Array
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        nu = lifted(self.nu[block.place], block.X)
        return slopes_of(block, block.weighted(nu))


@dataclass(frozen=True)
class TotalOf:
    """The job that sums ``w values`` for a value of every row."""

    values: Array
    products_only: ClassVar[bool] = True
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> float:
        return block.total(lifted(self.values[block.place], block.X))


def slopes_of(block: Block, weighted: Array) -> Array:
    """``sum weighted [a, 1]`` over a block."""
    sums = np.empty(block.reading.p + 1)
    sums[-1] = sum_of(weighted)
    sums[:-1] = on_host(product(weighted, block.X)) - sums[-1] * block.reading.offset
    return sums


@dataclass(frozen=True)
class GramOf:
    """The job that sums ``w psi' [a, 1][a, 1]'`` anew, in double precision."""

    bend: Bend
    basis: Array | None
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        ones = namespace_of(block.target).ones_like(block.target)
        weight = block.weighted(self.bend.of(block) * ones)
        return weighted_gram(block.reading, block.X, weight, self.basis)

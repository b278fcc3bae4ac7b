"""The objective at several points at once, and the passes over X that the points share.

The points differ in theta and in the strength of a ridge penalty. One product of a block with
the coefficients of all serves them together, where a pass for each would spend its time on
reading the block and on the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._linalg.products import product
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import FirstSums
from robustreg.losses import ConvexLoss

# Entries of an array of points and rows. A few of them stay in cache, and below the size from
# which memory is handed back to the system every time, which costs more than the arithmetic.
CACHED = 3 * 2**14
# Rows enter a Gram matrix anew once psi' has moved by this share of itself.
CURVATURE_STEP = 0.01
FEW_ROWS = 100  # whose products cost less than finding out whether fewer would do

Change = tuple[Index, Array]  # which entries of a vector change, and by how much


class Places(NamedTuple):
    """Where sums are taken, at m points."""

    beta: Array  # (m, p) coefficients in the units of the blocks
    intercept: Array  # (m,) at the columns' centre
    sigma: Array  # (m,)

    def some(self, which: Mask) -> Places:
        """Some of the points."""
        return Places(self.beta[which], self.intercept[which], self.sigma[which])


class Stack:
    """Sums over rows, gradients and Hessians at several points.

    Every point keeps a Gram matrix ``M = sum w psi' [a, 1, y][a, 1, y]'`` of its own from one
    evaluation to the next, a = A - offset, and the psi' that it holds. Since
    ``[q, 1, z] = L'[a, 1, y]`` with ``q = T'a``, ``z = (y - a'beta - b) / sigma`` and

        L = [ T  0  -beta / sigma ]
            [ 0  1  -b / sigma    ]
            [ 0  0   1 / sigma    ],

    the generalised Hessian without its penalty is ``L'ML / (W sigma)``.

    Parameters
    ----------
    objective : Objective
        What is evaluated, with a dense X and without kinks; its loss may change meanwhile.
    count : int
        Points at most.
    """

    def __init__(self, objective: Objective, count: int) -> None:
        self.objective = objective
        size = objective.rows.p + 2
        self.curvature = np.zeros((count, objective.rows.n))
        self.grams = np.zeros((count, size, size))

    @cached_property
    def half_norm(self) -> Array:
        """The Hessian of half the squared norm of the coefficients, the same of all penalties."""
        return self.objective.hessian_of_half_norm()

    def forget(self, point: int) -> None:
        """Start a Gram matrix anew: where a point has strayed, digits may be lost."""
        self.curvature[point] = 0.0
        self.grams[point] = 0.0

    def places(self, theta: Array) -> Places:
        """``unpack`` of ``Objective``, for the rows of theta."""
        own, count = self.objective, len(theta)
        intercept = theta[:, own.k] if own.rows.fit_intercept else np.zeros(count)
        sigma = theta[:, -1] if own.joint else np.full(count, own.scale)
        return Places(own.coordinates.expand(theta[:, : own.k]), intercept, sigma)

    def evaluate(self, points: Index, places: Places, refresh: bool) -> StackSums:
        """One pass over X for some of the points.

        With ``refresh`` their Gram matrices are brought up to date.
        """
        own = self.objective
        rows, loss = own.rows, own.loss
        beta, intercept, sigma = places
        shift = intercept - beta @ rows.offset
        size = max(1, CACHED // len(points))

        def job(whole: Block) -> _Both:
            both = None
            for block in _pieces(whole, size):
                z = _standardised(block, beta, shift, sigma)
                change = None
                if refresh:
                    stored = [self.curvature[point, block.place] for point in points]
                    change = _refresh(block, loss, loss.psi_prime(z), stored)
                here = _Both(_sums(block, z, loss), change)
                both = here if both is None else both + here
            assert both is not None
            return both

        found: _Both = rows.sum(job)
        if found.change is not None:
            self.grams[points] += found.change
        return found.sums

    def gradients(self, sums: FirstSums, places: Places, strength: Array) -> Array:
        """Gradients for penalties with the second derivatives ``strength``."""
        own, unit = self.objective, self.objective.rows.unit
        return own.gradient_from(sums, strength[:, None] * places.beta / unit / unit)

    def hessians(self, points: Index, places: Places) -> Array:
        """Generalised Hessians without penalties, at the points evaluated last."""
        own = self.objective
        k, p, intercept = own.k, own.rows.p, own.rows.fit_intercept
        beta, centre, sigma = places
        lift = np.zeros((len(sigma), p + 2, own.size))
        basis = own.coordinates.basis
        lift[:, :p, :k] = basis if basis.ndim == 2 else np.diag(basis)
        if intercept:
            lift[:, p, k] = 1.0
        if own.joint:
            lift[:, :p, -1], lift[:, p, -1], lift[:, -1, -1] = -beta, -centre, 1.0
            lift[:, :, -1] /= sigma[:, None]
        hessians = lift.transpose(0, 2, 1) @ self.grams[points] @ lift
        return hessians / (own.rows.total * sigma)[:, None, None]


@dataclass(frozen=True)
class StackSums(FirstSums):
    """Sums at several points."""

    def __add__(self, other: StackSums) -> StackSums:
        return StackSums(*self._plus(other))

    def at(self, points: Any) -> StackSums:
        """The sums at one point, or at some."""
        return StackSums(
            self.conjugate[points],
            self.psi[points],
            self.psi_psi[points],
            self.psi_z[points],
            self.psi_a[points],
        )


@dataclass(frozen=True)
class _Both:
    """Sums at several points, and by how much their Gram matrices change, if they do."""

    sums: StackSums
    change: Array | None

    def __add__(self, other: _Both) -> _Both:
        change = None
        if self.change is not None and other.change is not None:
            change = self.change + other.change
        return _Both(self.sums + other.sums, change)


def _pieces(block: Block, size: int) -> Iterator[Block]:
    """A block cut into ones of so many rows at most."""
    n, first = len(block.target), block.place.start
    if n <= size:
        yield block
        return
    for start in range(0, n, size):
        part = slice(start, min(start + size, n))
        weight = None if block.weight is None else block.weight[part]
        place = slice(first + part.start, first + part.stop)
        yield Block(block.reading, block.X[part], block.target[part], weight, place)


def _standardised(block: Block, beta: Array, shift: Array, sigma: Array) -> Array:
    """``(target - X beta - shift) / sigma``, a row a point."""
    z: Array = product(beta, block.X.T)
    np.subtract(block.target, z, out=z)
    z -= shift[:, None]
    z *= (1.0 / sigma)[:, None]
    return z


def _sums(block: Block, z: Array, loss: ConvexLoss) -> StackSums:
    """What F and its gradient need of a block, as ``Evaluate`` sums it, at several points."""
    weight, psi = block.weight, loss.psi(z)
    weighted = psi if weight is None else weight * psi
    psi_psi = _dots(weighted, psi)
    if loss.quadratic_conjugate:
        conjugate = psi_psi / (2.0 * loss.curvature)
    else:
        values = loss.conjugate_of_psi(z)
        conjugate = values.sum(axis=1) if weight is None else values @ weight
    total = weighted.sum(axis=1)
    psi_a = product(weighted, block.X) - total[:, None] * block.reading.offset
    return StackSums(conjugate, total, psi_psi, _dots(weighted, z), psi_a)


def _refresh(block: Block, loss: ConvexLoss, fresh: Array, stored: Sequence[Array]) -> Array:
    """Changes of the Gram matrices by the rows whose psi' moved; ``stored`` is brought up to date.

    Neighbours change alike: where fewer rows tell a point's change from its neighbour's than
    have moved, these are added to the neighbour's.
    """
    size = block.reading.p + 2
    grams = np.zeros((len(fresh), size, size))
    last: Change = np.zeros(0, dtype=np.intp), np.zeros(0)
    for k, (now, own) in enumerate(zip(fresh, stored, strict=True)):
        index = _has_moved(loss, now, own).nonzero()[0]
        change = now[index] - own[index]
        own[index] = now[index]
        here: Change = index, change
        if min(len(index), len(last[0])) > FEW_ROWS:
            apart = _difference(here, last, len(own))
            if len(apart[0]) < len(index):
                grams[k], index, change = grams[k - 1], *apart
        if len(index):
            if block.weight is not None:
                change = change * block.weight[index]
            extended = np.empty((len(index), size))  # [a, 1, y]
            extended[:, :-2] = block.reading.centred(block.X, index)
            extended[:, -2], extended[:, -1] = 1.0, block.target[index]
            grams[k] += product(extended.T, change[:, None] * extended)
        last = here
    return grams


def _has_moved(loss: ConvexLoss, fresh: Array, stored: Array) -> Mask:
    """Where psi' is no longer what a Gram matrix has."""
    if loss.smoothness > 1:
        return np.abs(fresh - stored) > CURVATURE_STEP * fresh
    return fresh != stored  # psi' is constant between kinks


def _difference(one: Change, other: Change, size: int) -> Change:
    """One change of a vector of that size less another."""
    apart = np.zeros(size)
    apart[one[0]] = one[1]
    apart[other[0]] -= other[1]
    index = apart.nonzero()[0]
    return index, apart[index]


def _dots(left: Array, right: Array) -> Array:
    """Sums over each row of products; as products of matrices they take half of the time."""
    return np.matmul(left[:, None, :], right[:, :, None])[:, 0, 0]

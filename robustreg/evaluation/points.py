"""The objective at several points at once, and the passes over X that the points share.

The points differ in theta and in the strength of a ridge penalty. One product of a block with
the coefficients of all serves them together, where a pass for each would spend its time on
reading the block and on the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.products import product
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.sums import Block, FirstSums, has_moved
from robustreg.losses import ConvexLoss

# Entries of an array of points and rows. A few of them stay in cache, and below the size from
# which memory is handed back to the system every time, which costs more than the arithmetic.
CACHED = 3 * 2**14
FEW_ROWS = 100  # whose products cost less than finding out whether fewer would do

Change = tuple[Index, Array]  # which entries of a vector change, and by how much


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

    def forget(self, point: int) -> None:
        """Start a Gram matrix anew: where a point has strayed, digits may be lost."""
        self.curvature[point] = 0.0
        self.grams[point] = 0.0

    def unpack(self, theta: Array) -> tuple[Array, Array, Array]:
        """As of ``Objective``, for the rows of theta."""
        own, count = self.objective, len(theta)
        intercept = theta[:, own.k] if own.rows.fit_intercept else np.zeros(count)
        sigma = theta[:, -1] if own.joint else np.full(count, own.scale)
        return own.expand(theta[:, : own.k]), intercept, sigma

    def evaluate(self, points: Index, theta: Array, refresh: bool) -> StackSums:
        """One pass over X at the rows of ``theta``, for some of the points.

        With ``refresh`` their Gram matrices are brought up to date.
        """
        own = self.objective
        rows, loss = own.rows, own.loss
        beta, intercept, sigma = self.unpack(theta)
        shift = intercept - beta @ rows.offset
        size = max(1, CACHED // len(points))

        def work(chunk: list[slice]) -> tuple[StackSums, Array | None]:
            sums, change = [], None
            for part in _pieces(chunk, size):
                block = own.block(part)
                z = _standardised(block, beta, shift, sigma)
                sums.append(_sums(block, z, loss))
                if refresh:
                    stored = [self.curvature[point, part] for point in points]
                    fresh = loss.psi_prime(z)
                    new = _refresh(block, loss, fresh, stored)
                    change = new if change is None else change + new
            return sum(sums[1:], start=sums[0]), change

        parts = rows.walk(work)
        if refresh:
            self.grams[points] += sum(change for _, change in parts)
        return sum((sums for sums, _ in parts[1:]), start=parts[0][0])

    def gradients(self, sums: FirstSums, theta: Array, strength: Array) -> Array:
        """Gradients for penalties with the second derivatives ``strength``."""
        own = self.objective
        beta = own.expand(theta[:, : own.k])
        return own.gradient_from(sums, strength[:, None] * beta / own.rows.unit / own.rows.unit)

    def hessians(self, points: Index, theta: Array) -> Array:
        """Generalised Hessians without penalties, at the points evaluated last."""
        own = self.objective
        k, p, intercept = own.k, own.rows.p, own.rows.fit_intercept
        beta, centre, sigma = self.unpack(theta)
        lift = np.zeros((len(theta), p + 2, own.size))
        lift[:, :p, :k] = own.basis if own.basis.ndim == 2 else np.diag(own.basis)
        if intercept:
            lift[:, p, k] = 1.0
        if own.joint:
            lift[:, :p, -1], lift[:, p, -1], lift[:, -1, -1] = -beta, -centre, 1.0
            lift[:, :, -1] /= sigma[:, None]
        hessians = lift.transpose(0, 2, 1) @ self.grams[points] @ lift
        return hessians / (own.rows.total * sigma)[:, None, None]


@dataclass
class StackSums(FirstSums):
    """Sums at several points."""

    def __add__(self, other: StackSums) -> StackSums:
        return StackSums(
            self.conjugate + other.conjugate,
            self.psi + other.psi,
            self.psi_psi + other.psi_psi,
            self.psi_z + other.psi_z,
            self.psi_a + other.psi_a,
        )

    def at(self, points: Any) -> StackSums:
        """The sums at one point, or at some."""
        return StackSums(
            self.conjugate[points],
            self.psi[points],
            self.psi_psi[points],
            self.psi_z[points],
            self.psi_a[points],
        )


def _pieces(chunk: list[slice], size: int) -> Iterator[slice]:
    """Slices cut into ones of so many rows at most."""
    for part in chunk:
        for start in range(part.start, part.stop, size):
            yield slice(start, min(start + size, part.stop))


def _standardised(block: Block, beta: Array, shift: Array, sigma: Array) -> Array:
    """``(target - X beta - shift) / sigma``, a row a point."""
    z: Array = product(beta, block.X.T)
    np.subtract(block.target, z, out=z)
    z -= shift[:, None]
    z *= (1.0 / sigma)[:, None]
    return z


def _sums(block: Block, z: Array, loss: ConvexLoss) -> StackSums:
    """As ``block_sums``, at several points."""
    weight, psi = block.weight, loss.psi(z)
    weighted = psi if weight is None else weight * psi
    psi_psi = _dots(weighted, psi)
    if loss.quadratic_conjugate:
        conjugate = psi_psi / (2.0 * loss.curvature)
    else:
        values = loss.conjugate_of_psi(z)
        conjugate = values.sum(axis=1) if weight is None else values @ weight
    total = weighted.sum(axis=1)
    psi_a = product(weighted, block.X) - total[:, None] * block.rows.offset
    return StackSums(conjugate, total, psi_psi, _dots(weighted, z), psi_a)


def _refresh(block: Block, loss: ConvexLoss, fresh: Array, stored: list[Array]) -> Array:
    """Changes of the Gram matrices by the rows whose psi' moved; ``stored`` is brought up to date.

    Neighbours change alike: where fewer rows tell a point's change from its neighbour's than
    have moved, these are added to the neighbour's.
    """
    size = block.rows.p + 2
    grams = np.zeros((len(fresh), size, size))
    last: Change = np.zeros(0, dtype=np.intp), np.zeros(0)
    for k, (now, own) in enumerate(zip(fresh, stored, strict=True)):
        index = has_moved(loss, now, own).nonzero()[0]
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
            extended[:, :-2] = block.rows.centred(block.X, index)
            extended[:, -2], extended[:, -1] = 1.0, block.target[index]
            grams[k] += product(extended.T, change[:, None] * extended)
        last = here
    return grams


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

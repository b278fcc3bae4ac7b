"""Functions with a kink at 0 of some variables: L1 norms and sign constraints.

Minimisers of ``f(x) + sum slopes |x|``, with f smooth, are sought by steps to the minimiser
of the same sum with a quadratic model in place of f, as proximal Newton methods do; that
minimiser is found exactly, by an active-set method in the manner of the feature-sign search
of Lee, Battle, Raina and Ng (2007).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack, qr

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._linalg.factors import cholesky_solve
from robustreg.penalties._base import NonSmooth

BALANCED = 64 * EPS  # of the terms of a slope: rounding
BALANCED_BY_ROOT = EPS  # the same where a matrix has the digits for steps along narrow valleys
FEW = 10  # variables that may become free at once, besides as many as are free already


@dataclass(frozen=True)
class Root:
    """A matrix ``R'R`` known by its root R, which has the root of its condition number, too.

    Attributes
    ----------
    factor : ndarray of shape (m, k)
        R.
    terms : float or None
        Where gradients that go with it have the digits of their terms: how large these are.
    """

    factor: Array
    terms: float | None = None

    @cached_property
    def square(self) -> Array:
        """The matrix itself, with the digits that are left of it."""
        return self.factor.T @ self.factor

    def __matmul__(self, vector: Array) -> Array:
        return self.factor.T @ (self.factor @ vector)

    def part(self, index: Index) -> Root:
        """The rows and columns of some variables."""
        return replace(self, factor=self.factor[:, index])

    def plus(self, diagonal: float) -> Root:
        """The matrix plus a multiple of the identity."""
        size = self.factor.shape[1]
        factor = np.vstack([self.factor, np.sqrt(diagonal) * np.eye(size)])
        return replace(self, factor=factor)

    def solve(self, side: Array) -> Array | None:
        """The solution for a side; None where a pivot is below ``EPS`` of the largest."""
        triangle = qr(self.factor, mode="r", check_finite=False)[0][: self.factor.shape[1]]
        pivots = np.abs(triangle.diagonal())
        singular = len(triangle) < len(side) or not pivots.min() >= EPS * pivots.max()
        return None if singular else lapack.dpotrs(triangle, side)[0]


def squared(matrix: Array | Root) -> Array:
    """The entries of a matrix that is given, or given by its root."""
    return matrix.square if isinstance(matrix, Root) else matrix


@dataclass(frozen=True)
class Kinks(NonSmooth):
    """``h(x) = sum slopes |x|``, infinite where a variable with ``positive`` is below 0.

    Attributes
    ----------
    slopes : ndarray of shape (k,)
        At least 0; 0 for variables without a kink.
    positive : ndarray of shape (k,), bool
        Variables that must not be negative.
    """

    slopes: Array
    positive: Mask

    @cached_property
    def bent(self) -> Mask:
        """Variables with a kink at 0."""
        return (self.slopes > 0) | self.positive

    def change(self, x: Array, step: Array) -> float:
        """``h(x + step) - h(x)`` for steps that keep the constraints."""
        return float(self.slopes @ (np.abs(x + step) - np.abs(x)))

    def derivatives(self, x: Array, step: Array) -> tuple[float, float]:
        """Derivatives of ``t -> h(x + t step)`` at 0 from the left and from the right."""
        inner = float(self.slopes @ (np.sign(x) * step))
        at_zero = x == 0
        outer = float(self.slopes[at_zero] @ np.abs(step[at_zero]))
        return inner - outer, inner + outer

    def excess(self, x: Array, gradient: Array) -> Array:
        """The subgradient of ``f + h`` that is closest to 0, given the gradient of f."""
        sides = gradient + self.slopes * np.sign(x)
        low, high = gradient - self.slopes, gradient + self.slopes
        low = np.where(self.positive, -np.inf, low)
        at_zero = np.where(low > 0, low, np.where(high < 0, high, 0.0))
        return np.where((x == 0) & self.bent, at_zero, sides)

    def step(self, hessian: Array | Root, gradient: Array, x: Array) -> Array | None:
        """The d that minimises ``gradient'd + d'hessian d / 2 + h(x + d)``; zeros are exact."""
        return quadratic_step(hessian, gradient, x, self)

    def lead(self, count: int) -> Kinks:
        """The same of the first variables; the others have no part in it."""
        return Kinks(self.slopes[:count], self.positive[:count])


def quadratic_step(hessian: Array | Root, gradient: Array, x: Array, kinks: Kinks) -> Array | None:
    """The d that minimises ``gradient'd + d'hessian d / 2 + h(x + d)``; zeros are exact.

    Some variables are free, the bent ones among them with a given sign; the others are 0.
    The minimiser over the free ones solves linear equations. Where some of them would change
    their signs on the way there, they are stopped at 0; once the minimiser is reached,
    variables at 0 whose slope exceeds the kink's become free. The sum falls with every move, so
    that no set of free variables comes back and the method ends.

    Returns None where the matrix of the free variables is singular or infinite.
    """
    # d itself is summed up, for as the difference of points it would have their rounding
    d, y, bent = np.zeros(len(x)), x.copy(), kinks.bent
    with np.errstate(invalid="ignore"):
        noise = _noise(hessian, gradient, x)
    if not noise.max(initial=0.0) < np.inf:
        return None
    free = (y != 0) | ~bent
    signs: Array = np.where(bent, np.sign(y), 0.0)
    entered, excess, slope = np.zeros(len(x), dtype=bool), x, gradient
    for _ in range(20 * len(x) + 50):
        move = _newton_step(hessian, slope + kinks.slopes * signs, free)
        if move is None:
            return None
        target = y + move
        turned = free & bent & (target * signs <= 0)
        back = turned & (y == 0)
        if back.any():  # of several that entered together: alone, one goes the right way
            remaining = entered & ~back
            if not remaining.any():
                remaining[np.argmax(np.where(entered, np.abs(excess), -1.0))] = True
                if entered.sum() == 1:
                    break  # its slope was rounding
            free, entered = free & (~entered | remaining), remaining
            continue
        if turned.any():
            y, share, stopped = _stop(hessian, y, move, free, turned)
            d = d + share * move
            d[stopped] = -x[stopped]
            free[stopped] = False
            slope = gradient + hessian @ d
            continue
        d, y = d + move, target
        slope = gradient + hessian @ d
        excess = kinks.excess(y, slope)
        if isinstance(hessian, Root) and hessian.terms is not None:
            noise = BALANCED * (hessian.terms + np.abs(hessian.square) @ np.abs(d))
        entered = _steepest(~free & (np.abs(excess) > noise), excess, int(free.sum()) + FEW)
        if not entered.any():
            break
        free, signs = free | entered, np.where(entered, -np.sign(excess), signs)
    return d


def _noise(hessian: Array | Root, gradient: Array, x: Array) -> Array:
    """What rounding may change of slopes: of the gradient at x, and of the model's."""
    noise = np.abs(gradient) + np.abs(squared(hessian)) @ np.abs(x)
    return (BALANCED_BY_ROOT if isinstance(hessian, Root) else BALANCED) * noise


def _stop(
    hessian: Array | Root, y: Array, move: Array, free: Mask, turned: Mask
) -> tuple[Array, float, Index]:
    """The way along a move with variables stopped at 0, as far as the sum falls.

    Where it ends, the share of the move, and the variables that were stopped.

    The sum over the free variables rises with the distance from the end of the move, in the
    metric of their matrix. Up to the first stop it surely falls; all stops are tried, then
    the first half of them, and so on.
    """
    index, inner = np.flatnonzero(turned), np.flatnonzero(free)
    share = y[index] / -move[index]
    order = np.argsort(share, kind="stable")
    index, share, count = index[order], share[order], len(index)
    metric = _part(hessian, inner)
    height = move[inner] @ (metric @ move[inner])
    while True:
        last = share[count - 1] if count < len(index) else 1.0
        stopped = index[share <= last]
        trial = y + last * move
        trial[stopped] = 0.0
        left = (trial - y - move)[inner]
        if count == 1 or left @ (metric @ left) < height:
            return trial, float(last), stopped
        count //= 2


def _steepest(mask: Mask, excess: Array, most: int) -> Mask:
    """Those of some variables, at most so many, that have the largest excess."""
    index = np.flatnonzero(mask)
    if len(index) <= most:
        return mask
    chosen = np.zeros_like(mask)
    chosen[index[np.argsort(-np.abs(excess[index]), kind="stable")[:most]]] = True
    return chosen


def _part(matrix: Array | Root, index: Index) -> Array | Root:
    """The rows and columns of some variables."""
    return matrix.part(index) if isinstance(matrix, Root) else matrix[np.ix_(index, index)]


def _newton_step(hessian: Array | Root, slope: Array, free: Mask) -> Array | None:
    """The step of the free variables to where their slopes are 0; 0 for the others."""
    index = np.flatnonzero(free)
    out = np.zeros(len(slope))
    if not len(index):
        return out
    part = _part(hessian, index)
    side = -slope[index]
    step = part.solve(side) if isinstance(part, Root) else cholesky_solve(part, side)
    if step is None or not np.isfinite(step).all():
        return None
    out[index] = step
    return out

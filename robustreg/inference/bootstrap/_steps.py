"""The fast and robust bootstrap: rows drawn anew, and one least-squares solve for each draw.

An estimate that solves ``sum w psi(z) x = 0``, z = r / s, is a weighted least-squares fit with
robustness weights ``q = psi(z) / z`` of its own. Where rows count v times in place of w, one step
of reweighting from there leads to

    M_v^-1 sum v psi x,    M_v = sum v q x x',

off the estimate, in units of s, and one step for the scale, whose equation is
``sum w (chi - mean chi) = 0``, to ``mean_v (chi - mean chi)``. Steps with weights that stay are
too short. By the derivative of the equations they are drawn out to

    J^-1 [M M_v^-1 sum v psi x,  W mean_v (chi - mean chi)],    M = sum w q x x',

where J is the derivative that the sandwich has: of the coefficients and the scale together
(Salibian-Barrera and Zamar 2002). As ``M M_v^-1`` tends to I, the first order is that of HC0. No
draw breaks down, however many of the wrong rows are in it, for these keep the weights that they
have in the fit of all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.products import product
from robustreg.evaluation.reading import Block
from robustreg.inference._covariance import NO_CURVATURE, Bread, Covariance
from robustreg.inference._parts import Asked
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import ALL_LEVERAGE
from robustreg.inference.bootstrap._draws import FAMILY, Counts, Draws, stretches

ENTRIES = 2**22  # of the sums of draws that are held at a time
MOST_AT_ONCE = 64  # families of draws in a pass
PRODUCTS = 512  # of columns that are held at a time
TRIED = 64  # draws after which it is known whether most are of no use


@dataclass(frozen=True)
class Equations:
    """The equations of a fit, row by row, and their derivative.

    Attributes
    ----------
    weights : ndarray of shape (n,)
        The robustness weights q of the rows.
    scores : ndarray of shape (n,)
        Psi.
    scale_scores : ndarray of shape (n,) or None
        ``chi - mean chi``; None where the scale is given.
    inverse : ndarray of shape (K, K) or (K + 1, K + 1)
        J^-1, in units of the weights; with the scale's last.
    unknown : ndarray of shape (K, d)
        Directions along which J has none.
    """

    weights: Array
    scores: Array
    scale_scores: Array | None
    inverse: Array
    unknown: Array


def bootstrap(fitted: FittedRows, equations: Equations, asked: Asked) -> Covariance:
    """The covariance matrix of the estimates of all draws about their mean.

    Draws whose rows do not determine all coefficients (none of a dummy's, say) are drawn anew.
    Coefficients that rest on a single row, or group, have no standard error.

    Raises
    ------
    ValueError
        If most draws are such.
    """
    scheme, total = Draws.of(fitted, asked), fitted.rows.total
    gram = fitted.coordinates.gram(equations.weights) * total
    bread = Bread.of(gram, total)
    lone, alone = lone_directions(fitted, equations.weights, bread.root, asked)
    root = bread.root @ _complement(lone)
    steps = _enough(fitted, equations, root, scheme, asked.n_resamples)
    size = fitted.size
    moves = np.hstack([steps[:, :-1] @ (gram @ root).T, total * steps[:, -1:]])
    found = moves[:, : len(equations.inverse)] @ equations.inverse.T
    matrix = np.cov(found, rowvar=False).reshape(found.shape[1], -1)
    groups = asked.groups
    # so many rows were drawn for W: their number is what the spread of draws goes with
    matrix *= fitted.scale**2 * (1.0 if groups else scheme.times / fitted.total)
    return Covariance(
        matrix[:size, :size],
        np.hstack([equations.unknown, bread.unknown, bread.root @ lone]),
        alone,
        math.sqrt(matrix[size, size]) if len(matrix) > size else math.nan,
        None if groups is None else groups[1] - 1.0,
    )


def _complement(lone: Array) -> Array:
    """An orthonormal basis of what is orthogonal to some orthonormal directions."""
    if not lone.shape[1]:
        return np.eye(len(lone))
    return np.linalg.qr(lone, mode="complete")[0][:, lone.shape[1] :]


def lone_directions(
    fitted: FittedRows, q: Array, root: Array, asked: Asked
) -> tuple[Array, tuple[int, ...]]:
    """Directions that rest on a single row or group, orthonormal by columns, and these rows.

    They are directions of ``root' x``, in which ``sum w q x x'`` is I; what the row or group alone
    contributes has an eigenvalue of 1.
    """
    own = fitted.coordinates
    with np.errstate(over="ignore", invalid="ignore"):  # of far rows, which are rejected
        h = np.where(q > 0.0, q * squared_lengths(fitted, root), 0.0)
    if asked.groups is None:
        mask = h >= ALL_LEVERAGE * fitted.weight_unit
        x = own.take(mask) @ root
        return (x / np.linalg.norm(x, axis=1)[:, None]).T, tuple(np.flatnonzero(mask).tolist())
    numbers, weight = asked.groups[0], fitted.rows.weight
    shares = np.bincount(numbers, h if weight is None else weight * h)
    found = [np.zeros((root.shape[1], 0))]
    for group in np.flatnonzero(shares >= ALL_LEVERAGE):  # they add up to K: these are few
        gram = own.gram(q * (numbers == group)) * fitted.rows.total
        values, vectors = np.linalg.eigh(root.T @ gram @ root)
        found.append(vectors[:, values >= ALL_LEVERAGE])
    return np.hstack(found), ()


def _enough(
    fitted: FittedRows, equations: Equations, root: Array, scheme: Draws, wanted: int
) -> Array:
    """The steps of the first draws, as many as are wanted, that determine all coefficients."""
    d, tried, known, found = root.shape[1], 0, 0, []
    sums = d * (d + 3) // 2 + 2
    most = min(max(ENTRIES // (max(sums, scheme.held) * FAMILY), 1), MOST_AT_ONCE)
    while known < wanted:
        count = min(-(-(wanted - known) // FAMILY), most)
        counts = scheme.counts(tried // FAMILY, count)
        steps = _steps(fitted.rows.sum(_Sum(fitted, equations, root, counts)), d)
        found.append(steps[: wanted - known])
        known, tried = known + len(steps), tried + count * FAMILY
        if tried >= TRIED and 2 * known < tried:
            what = "rows" if scheme.groups is None else "groups"
            raise ValueError(
                f"covariance='bootstrap' draws {what} anew, but {tried - known} of {tried} draws "
                f"leave some coefficients undetermined: there are too few {what}. Take "
                f"covariance={'HC3' if scheme.groups is None else 'cluster'!r}."
            )
    return np.concatenate(found)


@dataclass(frozen=True)
class _Sum:
    """The job that sums over rows what the steps of draws are made of, (sums, draws).

    These are the upper triangle of M_v and ``sum v psi x``, both of ``x = root' [q, 1]``, then
    ``sum v (chi - mean chi)`` and ``sum v``.
    """

    fitted: FittedRows
    equations: Equations
    root: Array
    counts: Counts

    def __call__(self, block: Block) -> Array:
        sums: Any = 0.0
        for part in stretches(block.place.start, block.place.stop):
            sums = (
                self._of_rows(product(self.root.T, rows_in(self.fitted, block, part)), part) + sums
            )
        return sums

    def _of_rows(self, x: Array, place: slice) -> Array:
        """Of rows of one stretch, x in columns."""
        v, own = self.counts.of(place.start, place.stop).T, self.equations
        x[:, (own.weights[place] == 0.0) & (own.scores[place] == 0.0)] = 0.0  # they may be far off
        weighted, (i, j) = own.weights[place] * x, np.triu_indices(len(x))
        sums = np.empty((len(i) + len(x) + 2, v.shape[1]))
        for k in range(0, len(i), PRODUCTS):
            part = slice(k, min(k + PRODUCTS, len(i)))
            np.dot(x[i[part]] * weighted[j[part]], v, out=sums[part])
        scale = own.scale_scores
        np.dot(own.scores[place] * x, v, out=sums[len(i) : -2])
        sums[-2] = 0.0 if scale is None else scale[place] @ v
        sums[-1] = v.sum(axis=0)
        return sums


def rows_in(fitted: FittedRows, block: Block, part: slice) -> Array:
    """Rows of the table that are in a block in the K coordinates, shape (K, rows)."""
    index = np.arange(part.start, part.stop) - block.place.start
    q = fitted.coordinates.reduce(block.reading.centred(block.X, index)).T
    return np.vstack([q, np.ones((1, len(index)))]) if fitted.has_intercept else q


def squared_lengths(fitted: FittedRows, root: Array) -> Array:
    """``|root' x|^2`` of all rows, shape (n,)."""

    def of_block(block: Block) -> Array:
        parts = stretches(block.place.start, block.place.stop)
        rows = (product(root.T, rows_in(fitted, block, part)) for part in parts)
        return np.concatenate([np.square(x).sum(axis=0) for x in rows])

    return fitted.rows.collect(of_block)


def _steps(sums: Array, d: int) -> Array:
    """``M_v^-1 sum v psi x`` of the draws that determine it, and ``mean_v (chi - mean chi)``."""
    i, j = np.triu_indices(d)
    step, found = max(ENTRIES // max(d * d, 1), 1), []
    for first in range(0, sums.shape[1], step):
        own = sums[:, first : first + step].T
        matrix = np.zeros((len(own), d, d))
        matrix[:, j, i] = matrix[:, i, j] = own[:, : len(i)]
        values, vectors = np.linalg.eigh(matrix)
        # in these coordinates M is I
        fine = np.min(values, axis=1, initial=math.inf) > NO_CURVATURE
        inner = np.einsum("vij,vi->vj", vectors[fine], own[fine, len(i) : -2]) / values[fine]
        moved = np.einsum("vij,vj->vi", vectors[fine], inner)
        found.append(np.column_stack([moved, own[fine, -2] / own[fine, -1]]))
    return np.concatenate(found)

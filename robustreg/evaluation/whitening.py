"""Coordinates in which the columns of X are orthonormal under the sample's weights.

Rank is decided here and only here, on all rows and without any robustness weights: a
dummy variable with three ones in 100 000 rows is a direction like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import lapack, qr

from robustreg._arrays import EPS, Array, Index
from robustreg._linalg.factors import OutOfRangeError, cholesky_factor, eigh, svd
from robustreg._linalg.products import product
from robustreg._namespace import concat, is_foreign, lifted, namespace_of, on_host
from robustreg.evaluation.moments import Moments, gram_on_device
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks

# Below this reciprocal condition number a Gram matrix has too few digits left; take QR.
MIN_RCOND = 1e-9
# Rows differ along a direction if they do so by more than this share of their own terms.
OWN_TERMS = 1e-9
WITNESSES = 256  # rows that are asked whether they differ along a direction
DIRECTION = 1e-13  # rounding of null directions, in units of the columns' spreads
MIN_RCOND_SINGLE = 1e-3  # the same of one in single precision
MIN_UNFORMED = 200  # coordinates from which a product takes longer than it takes to call LAPACK


@dataclass(frozen=True)
class Unformed:
    """``T = D R^-1`` by the triangular factor R: products with it are solved for.

    To form it takes as long as R did; who needs only some products saves that.

    Attributes
    ----------
    factor : ndarray of shape (k, k)
        R, upper triangular.
    scale : ndarray of shape (k,)
        The diagonal of D.
    live : ndarray of int
        The columns that D leads to, of ``n_columns``; the others have coefficients of 0.
    n_columns : int
        How many there are.
    """

    factor: Array
    scale: Array
    live: Index
    n_columns: int

    ndim: ClassVar[int] = 2

    @property
    def shape(self) -> tuple[int, int]:
        """As of the matrix."""
        return self.n_columns, len(self.live)

    def formed(self) -> Array:
        """The matrix."""
        basis = np.zeros(self.shape)
        inverse, _ = lapack.dtrtri(self.factor)
        basis[self.live] = inverse * self.scale[:, None]
        return basis

    def times(self, u: Array) -> Array:
        """``T u``, of one u or of several."""
        out = np.zeros((*u.shape[:-1], self.n_columns))
        solved, _ = lapack.dtrtrs(self.factor, u.T)
        out[..., self.live] = solved.T * self.scale
        return out

    def transposed_times(self, slope: Array) -> Array:
        """``T' slope``, of one slope or of several."""
        solved, _ = lapack.dtrtrs(self.factor, (slope[..., self.live] * self.scale).T, trans=1)
        transposed: Array = solved.T
        return transposed


def whiten_gram(
    moments: Moments, total: float, ridge: Array, min_rcond: float = MIN_RCOND
) -> Array | Unformed | None:
    """``T`` with ``T'(gram / total + diag(ridge))T = I`` by Cholesky.

    None where that would lose digits: then ``whiten_rows`` is the way. Constant columns get
    rows of zeros, and hence coefficients of zero.
    """
    gram = moments.gram[:-1, :-1]
    spread = np.sqrt(np.maximum(np.diag(gram), 0.0) / total)
    live = np.flatnonzero(spread)
    if not len(live):
        return np.zeros((len(gram), 0))
    width = np.sqrt(spread[live] ** 2 + ridge[live])
    scaled = gram / total if len(live) == len(gram) else gram[np.ix_(live, live)] / total
    scaled /= width
    scaled /= width[:, None]
    scaled.flat[:: len(live) + 1] += ridge[live] / width**2
    factor = cholesky_factor(scaled, min_rcond)
    if factor is None:
        return None
    found = Unformed(factor, 1.0 / width, live, len(gram))
    return found.formed() if len(live) < MIN_UNFORMED else found


def whiten_deficient(rows: RowBlocks, moments: Moments) -> Array | None:
    """The same T without null directions, where the Gram matrix shows them beyond doubt.

    Dummies of all categories beside an intercept, repeated columns: the other directions are
    well conditioned, and the data themselves confirm that these are null. None elsewhere.
    """
    gram = moments.gram[:-1, :-1] / rows.total
    spread = np.sqrt(np.maximum(np.diag(gram), 0.0))
    live = np.flatnonzero(spread)
    if not len(live):
        return None
    values, vectors = eigh(gram[np.ix_(live, live)] / np.outer(spread[live], spread[live]))
    kept = values > MIN_RCOND * values[-1]
    if kept.all():
        return None  # ill-conditioned, but of full rank
    null = np.zeros((rows.p, int(np.sum(~kept))))
    null[live] = vectors[:, ~kept] / spread[live, None]

    # The Gram matrix of X mixes directions that are null with some that are nearly so, the rows
    # tell them apart. What far columns leave of one is their rounding; beside another it may be
    # what tells near columns apart, which only an orthogonal factorisation sees to.
    square, turn = eigh(rows.sum(_SquaresAlong(null)) / rows.total)
    left = np.sqrt(np.maximum(square, 0.0))
    far = np.abs(rows.origin[live]) / spread[live]
    own = np.abs(vectors[:, ~kept] @ turn)
    noise = EPS * 10 * np.sqrt(rows.p * values[-1])
    if len(left) == 1:
        noise = noise + EPS * own.T @ far
    if np.any(left > noise) or not _are_null(rows, null, spread):
        return None
    basis = np.zeros((rows.p, int(kept.sum())))
    basis[live] = vectors[:, kept] / np.sqrt(values[kept]) / spread[live, None]
    return basis


def _are_null(rows: RowBlocks, null: Array, spread: Array) -> bool:
    """Whether rows do not differ along directions beyond the rounding of their own terms.

    Next to a row of 1e16 all others look alike, to moments and to orthogonal factors. They are
    nearly all there is, and some of them tell. Directions are of length 1 in the columns'
    spreads, and themselves right to rounding only.
    """
    some, _, _ = rows.source.every(max(1, rows.n // WITNESSES))
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float64 nothing is certain
        null = null / rows.unit[:, None]
        width = spread * rows.unit
        own = np.divide(DIRECTION / OWN_TERMS, width, where=width > 0, out=0.0 * spread)
        value, size = some @ null, abs(some) @ (np.abs(null) + own[:, None])
        middle = middle_size = np.zeros(null.shape[1])
        if rows.fit_intercept:  # a row of zeros has no terms but those of what it is compared with
            middle, middle_size = np.median(value, axis=0), np.median(size, axis=0)
        left = np.abs(value - middle)
        return bool(np.all((left <= OWN_TERMS * (size + middle_size)) & (left < np.inf)))


def whiten_rows(rows: RowBlocks, ridge: Array) -> tuple[Array, bool]:
    """The same T from an orthogonal factorisation of the rows, dropping null directions.

    Also, whether these are null for all rows: beside rows so far out that the others are
    rounding to them, T has too few directions, and no fit in it is certain.

    Blocks are reduced to triangular factors one after the other (TSQR), so that the
    memory is that of a block; the condition number enters once, not squared. Without a
    ridge, T spans the orthogonal complement of the null space in units of the columns'
    standard deviations, so that coefficients ``T u`` have minimum norm in those units.
    """
    lead = 1 if rows.fit_intercept else 0
    factor = rows.sum(_Factorise()).factor[lead:, lead:] / np.sqrt(rows.total)
    factor[:, rows.flat] = 0.0
    spread = np.sqrt((factor**2).sum(axis=0))
    live = np.flatnonzero(spread)
    if not len(live):
        return np.zeros((rows.p, 0)), True
    width = np.sqrt(spread[live] ** 2 + ridge[live])
    scaled = factor[:, live] / width
    if ridge.any():
        scaled = np.vstack([scaled, np.diag(np.sqrt(ridge[live]) / width)])
    _, singular, directions = svd(scaled, full_matrices=len(scaled) < len(live))
    singular = np.append(singular, np.zeros(len(directions) - len(singular)))
    # What centring and scaling leave of a null direction is rounding: that of the columns,
    # plus, for columns far from 0, that of their entries.
    far = np.abs(rows.origin[live]) / width
    least = 10 * EPS * np.sqrt(rows.p) * singular[0]
    kept = singular > least + EPS * np.abs(directions) @ far
    found = _nearer(scaled, directions[~kept], far, least)
    if len(found):
        _, more, turn = svd(scaled @ found.T)
        directions = np.vstack([directions[kept], turn @ found, directions[~kept]])
        singular = np.concatenate([singular[kept], more, singular[~kept]])
        kept = np.arange(len(singular)) < kept.sum() + len(more)
    basis = np.zeros((rows.p, int(kept.sum())))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        basis[live] = (directions[kept].T / singular[kept]) / width[:, None]
    if not np.isfinite(basis).all():
        raise OutOfRangeError
    if kept.all() or kept.sum() + lead >= rows.n:
        return basis, True
    null = np.zeros((rows.p, int(np.sum(~kept))))
    null[live] = directions[~kept].T / width[:, None]
    return basis, _are_null(rows, null, spread)


def _nearer(scaled: Array, null: Array, far: Array, least: float) -> Array:
    """Of directions that count as null those, turned, that do not without columns far from 0.

    Where there are several, one that far columns make may be made of nearer ones, too.
    """
    if len(null) < 2:
        return null[:0]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite has no factors
        turned: Array = eigh((null * far) @ (null * far).T)[1].T @ null
        left = np.sqrt(np.square(scaled @ turned.T).sum(axis=0))
    return turned[left > least + EPS * np.abs(turned) @ far]


@dataclass(frozen=True)
class _SquaresAlong:
    """The job that sums the second moments of rows along some directions."""

    directions: Array  # (p, k)
    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> Array:
        centre = lifted(block.reading.offset @ self.directions, block.X)
        along = product(block.X, self.directions) - centre
        if is_foreign(along):
            return gram_on_device(along, block.weight)[:-1, :-1]
        return along.T @ (along if block.weight is None else block.weight[:, None] * along)


@dataclass(frozen=True)
class _Factorise:
    """The job that makes the triangular factor of rows ``[1, a]``, or of a without an intercept."""

    on_device: ClassVar[bool] = True

    def __call__(self, block: Block) -> _Triangle:
        rows, xp = block.reading.centred(block.X), namespace_of(block.target)
        if block.reading.fit_intercept:
            rows = concat([xp.ones_like(block.target)[:, None], rows], axis=1)
        if block.weight is not None:
            rows *= xp.sqrt(block.weight)[:, None]
        if is_foreign(rows):
            return _Triangle(on_host(xp.linalg.qr(rows)[1]))
        return _Triangle.of(rows)


@dataclass(frozen=True)
class _Triangle:
    """The triangular factor of some rows; that of more rows is made of two of them."""

    factor: Array  # (p, p), or with fewer rows where there are fewer

    @classmethod
    def of(cls, matrix: Array) -> _Triangle:
        """The factor of rows, which are overwritten."""
        factor = qr(matrix, mode="r", overwrite_a=True, check_finite=False)[0]
        return cls(factor[: matrix.shape[1]])

    def __add__(self, other: _Triangle) -> _Triangle:
        return _Triangle.of(np.vstack([self.factor, other.factor]))

"""Coordinates of the coefficients in which the columns of X are nearly orthonormal.

They depend on X, its weights and the penalty's curvature, and not on y: several targets could share
them. Which ones a problem gets is decided in :mod:`robustreg.evaluation.choice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import TINY, Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._compat import minres
from robustreg._linalg.factors import cholesky_factor, lstsq
from robustreg.evaluation.moments import Moments, weighted_gram
from robustreg.evaluation.problem import Coefficients
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Fitted, SlopesOf, TotalOf
from robustreg.evaluation.whitening import MIN_RCOND, Unformed

MAX_PRODUCTS = 500  # products with a Gram matrix that is too large to form
LEAST_PULL = 1e-6  # of a column's variance: what keeps coordinates regular under an L1 penalty
LOST = 1e6  # units in the last place of the spread of y that coefficients next to 0 may lose


@dataclass(frozen=True)
class Coordinates:
    """Rows ``q = T'(a - offset)`` of the coordinates u of the coefficients, ``beta = T u``.

    Attributes
    ----------
    rows : RowBlocks
        The regressors, read in blocks.
    made : ndarray of shape (p, k) or (p,), or Unformed
        T, in the units of the blocks; a vector is a diagonal.
    moments : Moments or None
        Second moments of the rows; None: there are too many columns, which are only scaled.
    ridge : ndarray of shape (p,)
        What was added to the diagonal of the Gram matrix of the blocks.
    by_rows : bool
        Whether T was made from the rows themselves: X is ill-conditioned or has more columns than
        rows. Gram matrices are then summed in the coordinates u.
    single : bool
        Whether the moments are in single precision: they serve for Newton steps only.
    certain : bool
        Whether X has no more directions than the coordinates have.
    known_rank : int or None
        The rank of the regressors, where the coordinates do not show it.
    sampled : bool
        Whether the moments are those of a sample of the rows, times as many as there are of it.
    """

    rows: RowBlocks
    made: Array | Unformed
    moments: Moments | None
    ridge: Array
    by_rows: bool = False
    single: bool = False
    certain: bool = True
    known_rank: int | None = None
    sampled: bool = False

    @cached_property
    def k(self) -> int:
        """Coordinates."""
        return int(self.made.shape[-1])

    @cached_property
    def basis(self) -> Array:
        """T as an array, formed where it is not one."""
        return self.made.formed() if isinstance(self.made, Unformed) else self.made

    @property
    def mixed(self) -> bool:
        """Whether coordinates mix the columns; else these are only scaled."""
        return self.made.ndim == 2

    @property
    def spread(self) -> Array:
        """Standard deviations of the columns of the blocks (moments needed)."""
        assert self.moments is not None
        return self.moments.spread(self.rows.total)

    @property
    def inflation(self) -> float:
        """Largest variance inflation factor of the columns (moments needed)."""
        assert self.moments is not None
        variance = np.diag(self.moments.gram)[:-1] / self.rows.total
        return float(np.max((self.basis**2).sum(axis=1) * variance, initial=0.0))

    @property
    def rank(self) -> int:
        """Rank of the regressors with the intercept's column (where not known, its bound)."""
        if self.known_rank is not None:
            return self.known_rank
        own = self.k if self.mixed else int(np.count_nonzero(self.basis))
        return min(own + int(self.rows.fit_intercept), self.rows.n)

    @property
    def gram_basis(self) -> Array | None:
        """The coordinates that Gram matrices are summed in; None: those of the columns."""
        return self.basis if self.by_rows else None

    def reach_of_columns(self) -> Array:
        """How much of each coefficient the others can make up for, in the columns' units.

        The lengths of the rows of a white basis: the reciprocals of what the columns vary by where
        the others stay. Of coordinates that are only scaled, those of the white ones.
        """
        if self.mixed:
            return np.sqrt(np.square(self.basis).sum(axis=1))
        if self.moments is None:
            return self.basis
        scaled = self.basis[:, None] * self.moments.gram[:-1, :-1] * self.basis / self.rows.total
        scaled.flat[:: len(scaled) + 1] += LEAST_PULL
        return self.basis * np.sqrt(np.maximum(np.diag(np.linalg.inv(scaled)), 0.0))

    def expand(self, u: Array) -> Array:
        """``beta = T u``, of one u or of several."""
        if isinstance(self.made, Unformed):
            return self.made.times(u)
        return u @ self.made.T if self.made.ndim == 2 else self.made * u

    def reduce(self, slope: Array) -> Array:
        """``T' slope``, of one slope or of several."""
        if isinstance(self.made, Unformed):
            return self.made.transposed_times(slope)
        return slope @ self.made if self.made.ndim == 2 else self.made * slope

    def of(self, coef: Array) -> Array:
        """The coordinates of coefficients of the user's columns, of one fit or of several.

        What is out of their range is dropped, and so are coefficients that are not finite.
        """
        beta = np.where(np.isfinite(coef), coef, 0.0) * self.rows.unit
        if self.moments is None or not self.mixed:
            return np.divide(beta, self.basis, out=np.zeros(self.rows.p), where=self.basis > 0)
        if self.by_rows:
            return lstsq(self.basis, beta)
        gram = self.moments.gram[:-1, :-1] / self.rows.total
        return self.reduce(beta @ gram + self.ridge * beta)

    def in_columns(self, beta: Array, intercept: Any, sigma: Any, rounding: float) -> Coefficients:
        """Coefficients of the blocks and the intercept at their centre in the user's columns.

        Those out of range are infinite, or NaN if too small although they matter to the fit:
        more than LOST times ``rounding``, that of the targets.
        """
        rows = self.rows
        origin = beta @ rows.origin
        coef = rows.coefficients(beta)  # whoever reports them sees to it
        if rows.scaled and np.abs(coef).min() < TINY:  # blocks with units have spreads near 1
            lost = np.abs(beta - coef * rows.unit) > LOST * rounding
            coef = np.where(lost & (np.abs(coef) < TINY), np.nan, coef)
        moved = intercept - origin if rows.fit_intercept else 0.0
        return Coefficients(coef, moved, sigma, self.certain)

    def fitted(self, beta: Array, intercept: float) -> Array:
        """``(A - offset) beta + intercept`` for every row."""
        return self.rows.collect(Fitted(beta, intercept))

    def slopes(self, nu: Array) -> tuple[Array, float]:
        """``(A - offset)'(w nu) / W`` and ``sum w nu / W``."""
        sums = self.rows.sum(SlopesOf(nu)) / self.rows.total
        return sums[:-1], float(sums[-1])

    def reduced(self, slope: Array, mean: float) -> Array:
        """Slopes of ``[a, 1]`` as those of ``[q, 1]``, without the 1 if there is no intercept."""
        out = self.reduce(slope)
        return np.append(out, mean) if self.rows.fit_intercept else out

    def average(self, values: Array) -> float:
        """Weighted mean over the rows."""
        if not self.rows.source.in_memory:
            return float(self.rows.sum(TotalOf(values))) / self.rows.total
        weight = self.rows.weight
        return float(values.sum() if weight is None else weight @ values) / self.rows.total

    def with_slopes(self, excess: Array, mean: float) -> Array:
        """The combination of the columns ``[q, 1]``, for every row, that has these slopes."""
        return self.fitted(self.expand(self.solve_gram(excess)), mean)

    def of_centred(self, a: Array) -> Array:
        """Rows ``[q, 1]`` of some ``a = A - offset``, column after column."""
        out = np.ones((len(a), self.k + self.rows.fit_intercept), order="F")
        out[:, : self.k] = self.reduce(a)
        return out

    def solve_gram(self, slope: Array) -> Array:
        """Solve ``(Q'W Q / W) a = slope`` for the regressors in the coordinates u."""
        if self.mixed:
            return slope  # white by construction
        if self.moments is not None:
            index, out = np.flatnonzero(slope), np.zeros(self.k)
            if not len(index):
                return out
            gram = self.of_gram(self.moments.gram)[np.ix_(index, index)] / self.rows.total
            factor = cholesky_factor(gram, MIN_RCOND)
            if factor is None:
                out[index] = lstsq(gram, slope[index], cond=1e-14)
            else:
                out[index] = lapack.dpotrs(factor, slope[index])[0]
            return out

        def times(vector: Array) -> Array:
            change = self.fitted(self.expand(vector.ravel()), 0.0)
            return self.reduce(self.slopes(change)[0])

        operator = LinearOperator((self.k, self.k), matvec=times, dtype=np.float64)
        return minres(operator, slope, rtol=1e-13, maxiter=MAX_PRODUCTS)

    def gram(self, weight: Array) -> Array:
        """``sum w weight [q, 1][q, 1]' / W`` (without the 1 if there is no intercept)."""

        def of_block(block: Block) -> Array:
            each = block.weighted(weight[block.place])
            return weighted_gram(block.reading, block.X, each, self.gram_basis)

        gram = self.of_gram(self.rows.sum(of_block) / self.rows.total)
        lead = self.k + self.rows.fit_intercept
        return gram[:lead, :lead]

    def whole(self) -> Array:
        """All rows ``[q, 1]``, column after column."""
        out = np.ones((self.rows.n, self.k + self.rows.fit_intercept), order="F")

        def of_block(block: Block) -> int:
            out[block.place, : self.k] = self.reduce(block.reading.centred(block.X))
            return 0

        self.rows.sum(of_block)
        return out

    def take(self, mask: Mask) -> Array:
        """Rows ``[q, 1]`` where ``mask`` is true."""
        rows = self.rows

        def of_block(block: Block) -> list[Array]:
            index = np.flatnonzero(mask[block.place])
            if not len(index):
                return []
            return [self.reduce(block.reading.centred(block.X, index))]

        q = np.vstack([np.zeros((0, self.k)), *rows.sum(of_block)])
        return np.hstack([q, np.ones((len(q), 1))]) if rows.fit_intercept else q

    def of_gram(self, gram: Array) -> Array:
        """A Gram matrix as it is summed, of ``[q, 1]`` in the coordinates u."""
        if self.by_rows:
            return gram
        if not self.mixed:
            scale = np.append(self.basis, 1.0)
            return scale[:, None] * gram * scale
        return self._lifted.T @ gram @ self._lifted

    @cached_property
    def _lifted(self) -> Array:
        """The basis, with the intercept's coordinate."""
        lifted = np.zeros((self.rows.p + 1, self.k + 1))
        lifted[:-1, :-1], lifted[-1, -1] = self.basis, 1.0
        return lifted


def sizes_of_terms(
    rows: RowBlocks, beta: Array, intercept: float, index: Index | None = None
) -> Array:
    """``|a|'|beta| + |offset|'|beta| + |intercept|`` of some rows, or of all.

    These are the terms of a prediction, of which the largest determines its rounding.
    """
    about_offset = abs(intercept) + float(np.abs(rows.offset) @ np.abs(beta))
    return sizes_at_zero(rows, beta, about_offset, index)


def sizes_at_zero(
    rows: RowBlocks, beta: Array, intercept: float, index: Index | None = None
) -> Array:
    """The same with the intercept where the blocks' columns are 0, ``|a|'|beta| + |intercept|``."""
    size = np.abs(beta)

    def of_block(block: Block) -> list[Array]:
        X, place = block.X, block.place
        if index is not None:
            first, last = np.searchsorted(index, (place.start, place.stop))
            if first == last:
                return []
            X = X[index[first:last] - place.start]
        return [abs(X) @ size + abs(intercept)]

    found: Array = np.concatenate([np.zeros(0), *rows.sum(of_block)])
    return found

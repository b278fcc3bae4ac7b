"""The regressors in coordinates of their own, and what is linear in them."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import Array, Index, Mask
from robustreg._compat import minres
from robustreg._linalg.factors import lstsq
from robustreg._linalg.products import product
from robustreg.evaluation.moments import Moments, weighted_gram
from robustreg.evaluation.reading import RowBlocks

MAX_PRODUCTS = 500  # products with a Gram matrix that is too large to form


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
    index = np.arange(rows.n) if index is None else index
    size = np.full(len(index), abs(intercept))
    for chunk in rows.chunks:
        for part in chunk:
            own = slice(*np.searchsorted(index, (part.start, part.stop)))
            if own.start < own.stop:
                block = rows.read(part)[index[own] - part.start]
                size[own] += abs(block) @ np.abs(beta)
    return size


class Design:
    """Rows ``q = T'(a - offset)`` of the coordinates u of the coefficients, ``beta = T u``.

    Parameters
    ----------
    rows : RowBlocks
        The regressors.
    basis : ndarray of shape (p, k) or (p,)
        T, in the units of the blocks; a vector is a diagonal.
    moments : Moments or None
        Second moments of the rows, where there are few enough columns.
    whitened_gram : bool
        Accumulate Gram matrices in the coordinates u, for ill-conditioned X.
    """

    def __init__(
        self, rows: RowBlocks, basis: Array, moments: Moments | None, whitened_gram: bool
    ) -> None:
        self.rows, self.basis, self.k = rows, basis, basis.shape[-1]
        self._moments = moments
        self._gram_basis = basis if whitened_gram else None
        self._lifted: Array | None = None  # the basis, with the intercept's coordinate

    def expand(self, u: Array) -> Array:
        """``beta = T u``, of one u or of several."""
        return u @ self.basis.T if self.basis.ndim == 2 else self.basis * u

    def reduce(self, slope: Array) -> Array:
        """``T' slope``, of one slope or of several."""
        return slope @ self.basis if self.basis.ndim == 2 else self.basis * slope

    def fitted(self, beta: Array, intercept: float) -> Array:
        """``(A - offset) beta + intercept`` for every row."""
        out = np.empty(self.rows.n)
        shift = intercept - float(self.rows.offset @ beta)

        def work(chunk: list[slice]) -> None:
            for part in chunk:
                out[part] = product(self.rows.read(part), beta)
                out[part] += shift

        self.rows.walk(work)
        return out

    def slopes(self, nu: Array) -> tuple[Array, float]:
        """``(A - offset)'(w nu) / W`` and ``sum w nu / W``."""

        def work(chunk: list[slice]) -> tuple[Array, float]:
            slope, total = np.zeros(self.rows.p), 0.0
            for part in chunk:
                weight = self.rows.weights(part)
                weighted = nu[part] if weight is None else weight * nu[part]
                mean = float(weighted.sum())
                slope += product(weighted, self.rows.read(part)) - mean * self.rows.offset
                total += mean
            return slope, total

        parts = self.rows.walk(work)
        total = self.rows.total
        return sum(part[0] for part in parts) / total, sum(part[1] for part in parts) / total

    def average(self, values: Array) -> float:
        """Weighted mean over the rows."""
        weight = self.rows.weight
        return float(values.sum() if weight is None else weight @ values) / self.rows.total

    def solve_gram(self, slope: Array) -> Array:
        """Solve ``(Q'W Q / W) a = slope`` for the regressors in the coordinates u."""
        if self.basis.ndim == 2:
            return slope  # white by construction
        if self._moments is not None:
            index, out = np.flatnonzero(slope), np.zeros(self.k)
            gram = self._in_coordinates(self._moments.gram)[np.ix_(index, index)]
            out[index] = lstsq(gram / self.rows.total, slope[index], cond=1e-14)
            return out

        def times(vector: Array) -> Array:
            change = self.fitted(self.expand(vector.ravel()), 0.0)
            return self.reduce(self.slopes(change)[0])

        operator = LinearOperator((self.k, self.k), matvec=times, dtype=np.float64)
        return minres(operator, slope, rtol=1e-13, maxiter=MAX_PRODUCTS)

    def gram(self, weight: Array) -> Array:
        """``sum w weight [q, 1][q, 1]' / W`` (without the 1 if there is no intercept)."""
        gram = self._in_coordinates(self._sum_gram(weight) / self.rows.total)
        lead = self.k + self.rows.fit_intercept
        return gram[:lead, :lead]

    def _sum_gram(self, weight: Array) -> Array:
        """``sum w weight [a, 1][a, 1]'``, in the coordinates that Gram matrices are stored in."""
        rows, basis = self.rows, self._gram_basis
        size = (rows.p if basis is None else self.k) + 1

        def work(chunk: list[slice]) -> Array:
            total = np.zeros((size, size))
            for part in chunk:
                own = rows.weights(part)
                each = weight[part] if own is None else own * weight[part]
                total += weighted_gram(rows, rows.read(part), each, basis)
            return total

        return sum(rows.walk(work))

    def coordinates(self, mask: Mask) -> Array:
        """Rows ``[q, 1]`` of the whitened regressors where ``mask`` is true."""
        rows, parts = self.rows, []
        for chunk in rows.chunks:
            for part in chunk:
                index = np.flatnonzero(mask[part])
                if len(index):
                    block = rows.centred(rows.read(part), index)
                    parts.append(self.reduce(block))
        q = np.vstack(parts) if parts else np.zeros((0, self.k))
        return np.hstack([q, np.ones((len(q), 1))]) if rows.fit_intercept else q

    def _in_coordinates(self, gram: Array) -> Array:
        """A Gram matrix as accumulated, of ``[q, 1]`` in the coordinates u."""
        if self._gram_basis is not None:
            return gram
        if self.basis.ndim == 1:
            scale = np.append(self.basis, 1.0)
            return scale[:, None] * gram * scale
        if self._lifted is None:
            self._lifted = np.zeros((self.rows.p + 1, self.k + 1))
            self._lifted[:-1, :-1], self._lifted[-1, -1] = self.basis, 1.0
        return self._lifted.T @ gram @ self._lifted

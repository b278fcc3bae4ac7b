"""How nearly orthonormal the columns of a dense X are, in units of their spreads, by some rows.

Where they are, systems of their Gram matrix take few products with X, and the matrix itself would
take longer than these. Nothing but time depends on what the rows say of that. What they say of
ranks is certain: directions that some rows tell apart, all of them do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from robustreg._arrays import Array
from robustreg.evaluation.rows import RowBlocks

MIN_RCOND = 1e-4  # of a Gram matrix in single precision, whose rounding is a tenth of that at most
ROUNDED = 1e-2  # of the mean square: variances below have lost digits of single precision
ALIKE = 1.25  # times the mean square of correlations that those of independent columns have


@dataclass(frozen=True)
class SomeRows:
    """Some rows, about their means and over their spreads.

    Attributes
    ----------
    X : ndarray of shape (m, p), float32
        The rows, times the roots of their shares of the weight.
    root : ndarray of shape (m,), float32
        These roots.
    mean, spread : ndarray of shape (p,), float32
        Of the columns; without an intercept 0, and root mean squares. Spreads are 0 of columns
        that hardly vary in these rows.
    """

    X: Array
    root: Array
    mean: Array
    spread: Array

    @classmethod
    def of(cls, rows: RowBlocks, count: int) -> SomeRows:
        """About so many of the rows, whose columns suit single precision."""
        X, _, weight = rows.source.every(max(1, rows.n // count))
        root = np.ones(len(X)) if weight is None else np.sqrt(weight)
        root = (root / np.sqrt(root @ root)).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # such columns are not orthogonal
            scaled = X.astype(np.float32)
            scaled *= root[:, None]
            mean = root @ scaled if rows.fit_intercept else np.zeros(rows.p, dtype=np.float32)
            square = np.einsum("ij,ij->j", scaled, scaled)
            variance = square - mean**2
        spread = np.sqrt(np.where(variance > ROUNDED * square, variance, 0.0))
        return cls(scaled, root, mean, spread)

    def are_orthogonal(self) -> bool:
        """Whether correlations are about as small as so many rows of independent columns have.

        Their squares sum up to the square of the correlation matrix' product with random signs.
        """
        m, p = self.X.shape
        if not (self.spread.all() and np.isfinite(self.spread).all()):
            return False
        signs = np.where(np.random.default_rng(0).uniform(size=p) < 0.5, -1.0, 1.0)
        change = (signs / self.spread).astype(np.float32)
        along = self.X @ change - self.root * (self.mean @ change)
        image = (along @ self.X - (self.root @ along) * self.mean) / self.spread
        return float(image @ image) <= ALIKE * p * (1.0 + p / m)

    def are_independent(self) -> bool:
        """Whether no columns make up for others: the Gram matrix of these rows is regular."""
        gram = self.X.T @ self.X - np.outer(self.mean, self.mean)
        gram /= self.spread
        gram /= self.spread[:, None]
        factor, failed = lapack.spotrf(gram)
        if failed:
            return False
        rcond, _ = lapack.spocon(factor, lapack.slange("1", gram))
        return bool(rcond >= MIN_RCOND)


def condition_of_independent(n: int, p: int, pull: float) -> float:
    """The condition number of a Gram matrix of p independent columns of n rows, and a ridge.

    Eigenvalues of columns of length 1 are between ``(1 -+ sqrt(p / n))^2`` (Marchenko and Pastur
    1967); the ridge adds ``pull`` to them.
    """
    root = math.sqrt(p / n)
    least = pull + max(0.0, 1.0 - root) ** 2
    return (pull + (1.0 + root) ** 2) / least if least > 0.0 else math.inf

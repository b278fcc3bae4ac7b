"""Factorisations that do not fail: where LAPACK's iteration gives up, another routine is asked.

Divide-and-conquer SVDs and the eigenvalues of relatively robust representations now and then do
not converge, on matrices with many equal values above all: those of dummy columns.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
from scipy import linalg
from scipy.linalg import LinAlgError, lapack

from robustreg._arrays import EPS, Array

LEAST_PIVOT = 1e-13  # squared pivots below this share of the largest say that a matrix is singular


class OutOfRangeError(ArithmeticError):
    """A matrix is not finite: numbers on the way to it have left the range of float64."""


def _check_finite(matrix: Array) -> None:
    """Refuse infinities and NaN, with which LAPACK might not end; its wrappers need not look."""
    if not np.logical_and.reduce(np.isfinite(matrix), axis=None):  # all() takes twice the time
        raise OutOfRangeError


def lstsq(matrix: Array, side: Array, cond: float | None = None) -> Array:
    """The least-squares solution of minimum norm of ``matrix x = side``.

    ``cond`` is the share of the largest singular value below which others count as 0; None is
    that of rounding. The fallback, an orthogonal factorisation, has no iteration to fail.
    """
    if cond is None:
        cond = EPS * max(matrix.shape)
    _check_finite(matrix)
    _check_finite(side)
    try:  # the same routine of LAPACK as SciPy's, with less around it
        return np.linalg.lstsq(matrix, side, rcond=cond)[0]
    except LinAlgError:
        found = linalg.lstsq(matrix, side, cond, lapack_driver="gelsy", check_finite=False)
        solution: Array = found[0]
        return solution


def svd(matrix: Array, full_matrices: bool = False) -> tuple[Array, Array, Array]:
    """Left singular vectors, singular values and right singular vectors."""
    _check_finite(matrix)
    try:
        parts: Any = linalg.svd(matrix, full_matrices, check_finite=False)
    except LinAlgError:
        parts = linalg.svd(matrix, full_matrices, check_finite=False, lapack_driver="gesvd")
    return parts


def eigh(matrix: Array, graded: bool = True) -> tuple[Array, Array]:
    """Eigenvalues of a symmetric matrix, in ascending order, and its eigenvectors.

    Where it is not ``graded``, so that small eigenvalues need no digits of their own, divide and
    conquer takes two thirds of the time.
    """
    _check_finite(matrix)
    if graded and len(matrix):  # by the routine that SciPy's own takes, with less around it
        values, vectors, _, _, failed = lapack.dsyevr(matrix, lower=1)
        if not failed:
            return values, vectors
    elif not graded:
        with suppress(LinAlgError):
            return np.linalg.eigh(matrix)
    parts: Any = linalg.eigh(matrix, driver="ev", check_finite=False)
    return parts


def cholesky_factor(matrix: Array, least: float) -> Array | None:
    """The upper Cholesky factor; None where the reciprocal condition number is below ``least``."""
    by_columns = matrix.T  # the same numbers, in the order in which LAPACK reads them
    factor, failed = lapack.dpotrf(by_columns, clean=1)
    if failed:
        return None
    rcond, _ = lapack.dpocon(factor, lapack.dlange("1", by_columns))
    return factor if rcond >= least else None


def inverse_root(matrix: Array, least: float) -> Array | None:
    """A lower triangular R with R R' the inverse of a positive definite matrix.

    None where the reciprocal condition number is below ``least``. With the order of rows and
    columns reversed, R is the inverse of the upper Cholesky factor.
    """
    factor = cholesky_factor(matrix[::-1, ::-1], least)
    if factor is None:
        return None
    root: Array = lapack.dtrtri(factor)[0][::-1, ::-1]
    return root


def root_of(matrix: Array) -> Array:
    """An R with R R' a positive semidefinite matrix, which rounding may have made indefinite."""
    factor = cholesky_factor(matrix, LEAST_PIVOT) if len(matrix) else None
    if factor is not None:
        return factor.T
    values, vectors = np.linalg.eigh(matrix)
    root: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def cholesky_solve(matrix: Array, side: Array, least: float = LEAST_PIVOT) -> Array | None:
    """Solve a positive definite system; None where a pivot is below ``least`` of the largest."""
    factor, failed = lapack.dpotrf(matrix)
    pivots = factor.diagonal()
    largest = pivots.max()
    if failed or not pivots.min() ** 2 >= least * largest**2 or largest == np.inf:
        return None
    return lapack.dpotrs(factor, side)[0]


def least_pivot(matrix: Array) -> float:
    """The least squared pivot of a Cholesky factorisation; negative where there is none."""
    factor, failed = lapack.dpotrf(matrix)
    return -1.0 if failed else float(np.diag(factor).min()) ** 2


def length(step: Array) -> float:
    """Euclidean norm, without an overflow where the squares have one."""
    return math.hypot(*step)

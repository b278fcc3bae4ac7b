"""Square roots of matrices, of those that are nearly singular, too."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from robustreg._linalg.factors import inverse_root, root_of


def matrix_of(condition: float, k: int = 6) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(k, k)))
    return turn * np.geomspace(1.0, 1.0 / condition, k) @ turn.T


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_the_inverse_root_is_lower_triangular(condition: float) -> None:
    matrix = matrix_of(condition)
    root = inverse_root(matrix, 1e-9)
    assert root is not None
    assert not np.triu(root, 1).any()
    assert_allclose(root @ root.T @ matrix, np.eye(6), atol=1e-15 * 10.0 * condition)


@pytest.mark.parametrize("matrix", [matrix_of(1e6), np.diag([1.0, 0.0]), -np.eye(2)])
def test_there_is_no_inverse_root_where_the_matrix_is_nearly_singular(matrix: np.ndarray) -> None:
    assert inverse_root(matrix, 1e-4) is None


@pytest.mark.parametrize(
    "matrix",
    [
        matrix_of(10.0),
        matrix_of(1e16),
        np.diag([1.0, 0.0, 4.0]),
        np.diag([4.0, -1e-20]),
        np.zeros((0, 0)),
    ],
)
def test_roots_of_semidefinite_matrices(matrix: np.ndarray) -> None:
    root = root_of(matrix)
    assert_allclose(root @ root.T, matrix, atol=1e-15)

"""Symmetric positive semidefinite systems by conjugate gradients (Hestenes and Stiefel 1952)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robustreg._arrays import EPS, Array


def conjugate_gradients(
    matrix: Any, side: Array, nearly: Callable[[Array], Array], least: float, most: int
) -> tuple[Array, int]:
    """Solve ``matrix x = side`` until the residual is as short as ``least``.

    Parameters
    ----------
    matrix : object
        With products ``matrix @ vector``.
    side : ndarray of shape (k,)
        The right side.
    nearly : callable
        Multiplies with a positive definite matrix near the inverse.
    least : float
        Length of the residual that will do.
    most : int
        Products at most.

    Returns
    -------
    x : ndarray of shape (k,)
        The solution; of least length where the matrix is singular and the system has solutions.
        Where a direction without curvature is met, what was found before it, or that direction
        itself.
    products : int
        How many were taken.
    """
    x, left = np.zeros(len(side)), side.copy()
    scaled = nearly(left)
    way, square, length, largest = scaled, float(left @ scaled), 0.0, 0.0
    for count in range(1, most + 1):
        if not float(left @ left) > least * least:
            return x, count - 1
        image = matrix @ way
        curvature, length = float(way @ image), length + square  # in the metric of what is near
        if not curvature > EPS * largest * length:
            return (x if count > 1 else way), count
        largest = max(largest, curvature / length)
        share = square / curvature
        x += share * way
        left -= share * image
        scaled = nearly(left)
        before, square = square, float(left @ scaled)
        turn = square / before
        way, length = scaled + turn * way, turn * turn * length
    return x, most

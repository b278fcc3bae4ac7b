"""Fits along a grid, as they are handed to the user."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Columns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


class AlphaPath(NamedTuple):
    """Fits along a grid of alpha, from the largest to the smallest.

    Attributes
    ----------
    alphas : ndarray of shape (n_alphas,)
        The grid, descending.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients, in the dtype of X (float64 where float32 has no room for them).
    dual_gaps : ndarray of shape (n_alphas,)
        Certificates: bounds on how far the objective is from its minimum.
    intercepts, scales : ndarray of shape (n_alphas,)
        As ``intercept_`` and ``scale_`` of the estimators.
    n_iters : ndarray of shape (n_alphas,), int
        Iterations.
    alpha_max : float
        The least alpha at which coefficients of 0 are optimal; 0.0 where they are at every
        alpha, NaN for a ridge penalty, which has no such alpha. At the very alpha_max others
        may be as good, for absolute deviations, quantiles and a scale of 0.
    """

    alphas: NDArray[np.float64]
    coefs: NDArray[np.floating]
    dual_gaps: NDArray[np.float64]
    intercepts: NDArray[np.floating]
    scales: NDArray[np.float64]
    n_iters: NDArray[np.int_]
    alpha_max: float


class DeltaPath(NamedTuple):
    """Fits along a grid of delta, from the smallest to the largest.

    Attributes
    ----------
    deltas : ndarray of shape (n_deltas,)
        The grid, ascending.
    coefs, dual_gaps, intercepts, scales, n_iters
        As of :class:`AlphaPath`, with n_deltas in place of n_alphas.
    """

    deltas: NDArray[np.float64]
    coefs: NDArray[np.floating]
    dual_gaps: NDArray[np.float64]
    intercepts: NDArray[np.floating]
    scales: NDArray[np.float64]
    n_iters: NDArray[np.int_]

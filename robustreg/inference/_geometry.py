"""Where a covariance matrix is known, and which combinations of coefficients the data determine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robustreg._arrays import Array, Mask

SAME = 1e-8  # of the terms of a product: what rounding may leave of 0


def lengths_of(rows: Array) -> Array:
    """Euclidean lengths of rows, whose squares may be out of range."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    unit = np.where(largest > 0.0, largest, 1.0)[:, None]
    return unit[:, 0] * np.sqrt(np.square(rows / unit).sum(axis=1))


@dataclass(frozen=True)
class Geometry:
    """Where the covariance is known: in coordinates of the columns of X about their centre.

    A combination ``c0 intercept + c'coef`` is ``[(c - c0 center) basis, c0]`` in these.
    """

    center: Array  # (p,)
    basis: Array  # (p, k)
    root: Array  # (K, d) R with R R' the covariance of the K coordinates
    null: Array  # (p, m): combinations with (c - c0 center) null other than 0 have no estimate
    size: Array  # (p,): the largest that entries of null may be
    unknown: Array  # (K, u): those with coordinates along these have no standard error
    has_intercept: bool

    def coordinates(self, constant: Array, columns: Array) -> Array:
        """Combinations in the K coordinates, shape (m, K)."""
        inner = (columns - constant[:, None] * self.center) @ self.basis
        return np.hstack([inner, constant[:, None]]) if self.has_intercept else inner

    def is_estimable(self, constant: Array, columns: Array) -> Mask:
        """Whether the data determine combinations."""
        if not self.null.shape[1]:
            return np.ones(len(columns), dtype=bool)
        centred = columns - constant[:, None] * self.center
        size = np.abs(columns) + np.abs(constant[:, None] * self.center)
        known: Mask = np.abs(centred @ self.null) <= SAME * (size @ self.size)[:, None]
        return np.logical_and.reduce(known, axis=1)

    def standard_errors(self, constant: Array, columns: Array) -> Array:
        """Those of combinations; NaN where there is no estimate, or none of its error."""
        rows = self.coordinates(constant, columns)
        errors = lengths_of(rows @ self.root)
        lengths = [lengths_of(rows), lengths_of(self.unknown.T)]
        moved = np.abs(rows @ self.unknown) > SAME * np.outer(*lengths)
        errors[~self.is_estimable(constant, columns) | moved.any(axis=1)] = np.nan
        return errors

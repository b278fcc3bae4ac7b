"""Robust distances of the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike
from scipy.stats import chi2
from sklearn.utils import check_array, check_random_state, check_scalar

from robustreg._arrays import EPS, SQUARABLE, Array, Index, two_valued
from robustreg._linalg.factors import eigh, lstsq
from robustreg._median import mad, residual_mad, weighted_median
from robustreg._numbers import real_values
from robustreg._parallel import map_ordered, one_blas_thread, slices
from robustreg.diagnostics._mcd import (
    FLAT,
    RIDGE,
    consistency_factor,
    minimum_covariance_determinant,
)

TRUSTED = 0.975  # share of Gaussian rows that the final location and scatter are made of
MAX_SAMPLES = 10_000
BLOCK_ENTRIES = 2**18
# A row is in a plane up to so many standard deviations that rows across it may have.
ACROSS = 10.0
LEAST_VARIANCE = 1e-9  # of scores, whose variance is 1: with less, half of the digits are lost


@dataclass(frozen=True)
class Distances:
    """Distances of rows, and the number of dimensions in which they were measured."""

    values: Array
    n_dimensions: int

    @property
    def cutoff(self) -> float:
        """What 97.5 % of Gaussian rows are within."""
        return float(np.sqrt(chi2.ppf(TRUSTED, self.n_dimensions)))


def robust_distances(
    X: ArrayLike,
    *,
    support_fraction: float | None = None,
    max_samples: int | None = MAX_SAMPLES,
    random_state: int | RandomState | None = None,
) -> Array:
    """Mahalanobis distances of rows from a location that outliers cannot move.

    Location and scatter are the minimum covariance determinant estimate: mean and covariance of
    those rows, about half of all, that lie most densely together; then, to be more efficient, of
    all rows that these do not make outliers of. For Gaussian rows the distances are those to the
    true mean by the true covariance, in large samples: their squares have a chi-squared
    distribution with as many degrees of freedom as there are columns, and 97.5 % of the rows lie
    within ``sqrt(chi2.ppf(0.975, n_features))``. Affine maps of the columns change little.

    Two kinds of columns have no place in this estimate, since half of the rows or more would have
    an infinite distance with them. Those with only two values, such as dummies, are left out: what
    is unusual in these has to be looked for in these. The degrees of freedom are fewer then. Those
    of which more than half of the rows share one value, such as an amount that mostly is 0, are
    measured apart: the deviation from that value, over the MAD about it of the rows that deviate,
    is a coordinate of its own, whose square is added.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Rows, without missing values. More than twice as many as columns in the estimate.
    support_fraction : float, default=None
        Share of the rows that lie most densely together, at least 0.5 and at most 1. None is the
        least share, ``(n_samples + n_features + 1) // 2`` rows, with which almost half of the
        rows may be outliers. A larger share is more efficient, and bears fewer.
    max_samples : int or None, default=10000
        The half that lies densely is searched among at most so many rows, drawn at random.
        None is all of them.
    random_state : int, RandomState instance or None, default=None
        How these are drawn. Nothing else is random.

    Returns
    -------
    ndarray of shape (n_samples,)
        Distances, not squared. Where more than half of the rows satisfy a linear equation in the
        columns, such as a total and its parts, or a column and its double, it is the distance
        among these rows, in fewer degrees of freedom; rows that violate the equation are at
        infinity.

    Raises
    ------
    ValueError
        If X has missing or infinite entries, too few rows, or only columns that are left out; or
        a parameter is not what it must be.
    TypeError
        If X is sparse.

    See Also
    --------
    robustreg.plotting.OutlierMapDisplay : Residuals over robust distances.

    Notes
    -----
    The search is the deterministic one of Hubert et al. With a share h of the rows in it, the
    consistency factor of Croux and Haesbroeck is applied, then that for the 97.5 % of
    Gaussian rows that make up the final estimate. There is no correction for small samples, in
    which the distances are too large: of 50 Gaussian rows in 3 columns 8 % lie beyond the limit,
    of 200 rows 3.4 %, of 1000 rows 2.6 %. A `support_fraction` of 0.75 makes it 5.5, 3.0 and 2.5 %.

    References
    ----------
    P. J. Rousseeuw and B. C. van Zomeren (1990), "Unmasking multivariate outliers and leverage
    points", Journal of the American Statistical Association 85, 633-639.

    M. Hubert, P. J. Rousseeuw and T. Verdonck (2012), "A deterministic algorithm for robust
    location and scatter", Journal of Computational and Graphical Statistics 21, 618-637.

    C. Croux and G. Haesbroeck (1999), "Influence function and efficiency of the minimum
    covariance determinant scatter matrix estimator", Journal of Multivariate Analysis 71,
    161-190.

    Examples
    --------
    Fifteen of fifty rows lie far away, and hide in the classical distances:

    >>> import numpy as np
    >>> from sklearn.covariance import EmpiricalCovariance
    >>> from robustreg.diagnostics import robust_distances
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> X[:15] += [8.0, -8.0]
    >>> robust = robust_distances(X)
    >>> classical = np.sqrt(EmpiricalCovariance().fit(X).mahalanobis(X))
    >>> for distances in robust, classical:
    ...     print(f"{distances[:15].min():.1f} to {distances[:15].max():.1f}")
    9.7 to 12.0
    1.4 to 2.4
    """
    return measure(X, support_fraction, max_samples, random_state).values


def measure(
    X: ArrayLike,
    support_fraction: float | None = None,
    max_samples: int | None = MAX_SAMPLES,
    random_state: int | RandomState | None = None,
) -> Distances:
    """What `robust_distances` documents, and the degrees of freedom."""
    if support_fraction is not None:
        check_scalar(support_fraction, "support_fraction", Real, min_val=0.5, max_val=1.0)
        if np.isnan(support_fraction):
            raise ValueError("support_fraction must be a number from 0.5 to 1, got nan.")
    if max_samples is not None:
        check_scalar(max_samples, "max_samples", Integral, min_val=2)
    table: Array = check_array(
        real_values(X, "X"), dtype=[np.float64, np.float32], ensure_min_samples=2, input_name="X"
    )
    n = len(table)
    sample = table
    if max_samples is not None and n > max_samples:
        drawn = check_random_state(random_state).choice(n, max_samples, replace=False)
        sample = table[np.sort(drawn)]
    with one_blas_thread() as n_threads:
        frame, apart = _frames(sample)
        blocks = slices(n, max(1, BLOCK_ENTRIES // table.shape[1]))
        place = _Place(np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)))

        def near(rows: slice) -> tuple[int, Array, Array]:
            scores = place.scores(frame.read(table[rows]))
            kept = scores[_square(scores) <= chi2.ppf(TRUSTED, scores.shape[1])]
            return len(kept), kept.sum(axis=0), kept.T @ kept

        if len(frame.columns):
            place = _bulk(frame.read(sample), support_fraction)
            counts, sums, products = zip(*map_ordered(near, blocks, n_threads), strict=True)
            place = place.moved(sum(counts), np.sum(sums, axis=0), np.sum(products, axis=0))

        def far(rows: slice) -> Array:
            part = table[rows]
            return np.sqrt(_square(place.scores(frame.read(part))) + _square(apart.read(part)))

        values = np.concatenate(map_ordered(far, blocks, n_threads))
    return Distances(values, place.sphere.shape[1] + len(apart.columns))


@dataclass(frozen=True)
class _Frame:
    """Some of the columns, with centres and units."""

    columns: Index
    centre: Array
    unit: Array

    def read(self, rows: Array) -> Array:
        """These columns of some rows, in these units."""
        with np.errstate(over="ignore"):  # cut off
            z = (rows[:, self.columns].astype(np.float64) - self.centre) / self.unit
        return np.clip(z, -SQUARABLE, SQUARABLE)


def _frames(sample: Array) -> tuple[_Frame, _Frame]:
    """The columns of the estimate by their medians and MADs, and those that are measured apart.

    These have a value that more than half of the rows share, and with it a MAD of 0. They are
    read by that value and the MAD of the others about it.
    """
    found: dict[bool, list[tuple[int, float, float]]] = {True: [], False: []}
    dummies = two_valued(sample)
    for j, column in enumerate(sample.T.astype(np.float64)):
        middle = weighted_median(column)
        spread, rounding = mad(column, center=middle), 8.0 * EPS * abs(middle)
        varies = spread > rounding
        if not varies:
            spread = residual_mad(column - middle, zero=rounding, left_out=1.0)
        if spread > rounding and not dummies[j]:
            found[varies].append((j, middle, spread))
    if not found[True] and not found[False]:
        raise ValueError(
            "X has no column to measure distances by: in each there are at most two values."
        )
    if len(sample) <= 2 * len(found[True]):
        raise ValueError(
            f"Robust distances in {len(found[True])} columns need more than "
            f"{2 * len(found[True])} rows, got {len(sample)}. Choose fewer columns, or more rows."
        )
    return _frame(found[True]), _frame(found[False])


def _frame(found: list[tuple[int, float, float]]) -> _Frame:
    columns, centre, unit = np.array(found).reshape(-1, 3).T
    return _Frame(columns.astype(np.intp), centre, unit)


@dataclass(frozen=True)
class _Place:
    """Where the bulk of the rows lies: a point, a linear map that makes it a sphere, normals."""

    centre: Array
    sphere: Array
    normals: Array

    def scores(self, rows: Array) -> Array:
        """Coordinates in which the bulk is a unit sphere; infinite off the plane of the bulk."""
        deviation = rows - self.centre
        scores = deviation @ self.sphere
        if self.normals.shape[1]:
            limit = ACROSS * np.sqrt(FLAT) * (1.0 + np.abs(rows).max(axis=1))
            scores[(np.abs(deviation @ self.normals) > limit[:, None]).any(axis=1)] = np.inf
        return scores

    def moved(self, count: int, total: Array, products: Array) -> _Place:
        """The place of the rows whose scores have this sum and these sums of products.

        The same place where there are none, or where they have hardly a variance in some
        direction though the rows that it was made of have: too many, with far outliers among them.
        """
        if not count:
            return self
        mean = total / count
        variances, axes = eigh(products / count - np.outer(mean, mean))
        if variances[0] <= LEAST_VARIANCE:
            return self
        variances *= consistency_factor(len(mean), TRUSTED)
        back = lstsq(self.sphere.T, mean)
        sphere = self.sphere @ (axes / np.sqrt(variances))
        return replace(self, centre=self.centre + back, sphere=sphere)


def _bulk(rows: Array, support_fraction: float | None) -> _Place:
    """Where those rows are that lie most densely together."""
    n, p = rows.shape
    h = (n + p + 1) // 2
    if support_fraction is not None:
        h = max(h, int(np.ceil(support_fraction * n)))
    scatter = minimum_covariance_determinant(rows, h)
    flat = scatter.variances <= FLAT
    sphere = scatter.axes[:, ~flat] / np.sqrt(scatter.variances[~flat] - RIDGE)
    place = _Place(scatter.centre, sphere, scatter.axes[:, flat])
    # of the rows in the plane, which may be hardly more, the h rows are a larger share
    in_plane = int(np.isfinite(place.scores(rows)).all(axis=1).sum())
    factor = consistency_factor(sphere.shape[1], min(1.0, h / in_plane))
    return replace(place, sphere=sphere / np.sqrt(factor))


def _square(scores: Array) -> Array:
    return np.einsum("ij,ij->i", scores, scores)

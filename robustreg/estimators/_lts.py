"""Least trimmed squares."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import SUMMED
from robustreg._compat import Interval
from robustreg.estimators._base import Rows, fit_attributes
from robustreg.estimators._judgement import Plane, Within
from robustreg.estimators._subsampling import (
    SubsamplingRegressor,
    in_user_units,
    judged,
    solution_of,
)
from robustreg.losses import Squared
from robustreg.solvers._solution import Solution
from robustreg.subsampling.descent import Fit, least_squares_on
from robustreg.subsampling.estimates import Sample, lts_estimate
from robustreg.subsampling.trimmed import TrimmedFit, lts_in_passes, reweighted_in_passes
from robustreg.subsampling.trimming import CUTOFF, Size, reweighted_scale, trimmed_scale
from robustreg.subsampling.whole import WholeTable


class LTSRegressor(SubsamplingRegressor):
    """Least trimmed squares: least squares on the rows that agree best.

    Minimises the sum of the h smallest squared residuals. Rows with larger ones, outliers in
    y or in X, have no part in it. One step of reweighting then takes in all rows within
    2.24 scales and fits them by least squares, which makes the fit more efficient.

    Parameters
    ----------
    support_fraction : float, default=None
        h as a share of the rows (rounded down), from 0.5 to 1: more is more efficient, and
        withstands outliers in a share of about ``1 - support_fraction`` only. None, and all
        that would give less, is ``h = (n + p + 1) // 2`` with p coefficients, the intercept
        counted: the best breakdown point, almost 50 %.
    reweight : bool, default=True
        Whether to take the step of reweighting.
    n_subsamples : int, default=500
        Random subsets of p rows, whose exact fits are the candidates that the search starts from.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    max_iter : int, default=200
        Iterations on all rows at most.
    random_state : int, RandomState instance or None, default=None
        Determines the subsets. Pass an int for reproducible fits.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients, reweighted if asked for.
    intercept_ : float
        Intercept; 0 without one.
    scale_ : float
        Estimate of the noise's standard deviation. 0 where h rows lie on a plane; the fit is
        then that plane, and of several such planes the one that the most rows lie on, as far as it
        is found.
    loss_ : Squared
        The loss of the rows that count.
    loss_scale_ : float
        1: the sum is in squared units of y.
    rank_ : int
        Rank of X with the intercept's column.
    weights_ : ndarray of shape (n_samples,)
        1 for rows that the coefficients were fitted to by least squares, 0 for others.
    outliers_ : ndarray of shape (n_samples,), bool
        Residuals beyond 2.5 ``scale_``.
    objective_ : float
        The sum of the h smallest squared residuals of the raw fit.
    raw_coef_, raw_intercept_, raw_scale_
        The fit before reweighting.
    support_ : ndarray of shape (n_samples,), bool
        The rows with the h smallest squared residuals of the raw fit, and those that tie with
        them: all rows on a plane.
    n_support_ : int
        h; with weights, the weight of the rows that it covers.
    n_iter_ : int
        Iterations on all rows.
    converged_ : bool
        Whether the last step changed nothing.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The algorithm is FAST-LTS (Rousseeuw and Van Driessen, 2006): the candidates are improved by
    C-steps, least squares on the h rows of the smallest residuals; the best go on until nothing
    changes. It is a local minimum; nothing certifies that no other one is lower.

    With q the ``(1 + a) / 2`` quantile of the standard normal, squared residuals up to their
    a-quantile have the mean ``1 - 2 q phi(q) / a`` in units of the variance (Croux and
    Rousseeuw, 1992). ``raw_scale_`` is the root mean square of the h residuals, divided by the
    root of that at ``a = h / n``; ``scale_`` is that of the reweighted rows, with their degrees
    of freedom, at a = 0.975. Both are corrected for few rows, of which fits that choose them
    leave less than the noise's: see ``robustreg/subsampling/trimming.py``.

    References
    ----------
    P. J. Rousseeuw and K. Van Driessen (2006), Computing LTS regression for large data sets,
    Data Mining and Knowledge Discovery 12, 29-45.
    C. Croux and P. J. Rousseeuw (1992), A class of high-breakdown scale estimators based on
    subranges, Communications in Statistics - Theory and Methods 21, 1935-1951.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import LTSRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=200)
    >>> X[:80], y[:80] = 10 + X[:80], -50.0
    >>> model = LTSRegressor(random_state=0).fit(X, y)
    >>> print(model.coef_.round(1), model.n_support_, model.outliers_[:80].all())
    [2.] 101 True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SubsamplingRegressor._parameter_constraints,
        "support_fraction": [Interval(Real, 0.5, 1.0, closed="both"), None],
        "reweight": ["boolean"],
    }

    def __init__(
        self,
        support_fraction: float | None = None,
        *,
        reweight: bool = True,
        n_subsamples: int = 500,
        fit_intercept: bool = True,
        max_iter: int = 200,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.support_fraction = support_fraction
        self.reweight = reweight
        self.n_subsamples = n_subsamples
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def _estimate(self, sample: Sample, rows: Rows) -> tuple[dict[str, Any], tuple[Fit, ...]]:
        table = sample.table
        size = Size(table.total, table.m, table.zero)
        covered = _covered(size, self.support_fraction)
        raw, shares, objective = lts_estimate(sample, covered / size.total)
        edge = float(np.abs(raw.residual[shares > 0.0]).max())
        raw_scale = trimmed_scale(size, objective, covered, edge)
        fit, scale, reach = raw, raw_scale, edge + size.zero
        if self.reweight:
            reach = max(CUTOFF * raw_scale, size.zero)
            kept = np.abs(raw.residual) <= reach
            fit = sample.descend(raw, lambda rest, theta: least_squares_on(rest, kept, theta))
            within = table.weigh(kept.astype(np.float64))
            largest = float(np.max(np.abs(fit.residual), where=within > 0.0, initial=0.0))
            squares = float(within @ np.square(fit.residual))
            scale = reweighted_scale(size, float(within.sum()), squares, largest, covered)
        reweighted = solution_of(sample, Squared(), fit, objective)
        found = _reported(sample, raw, raw_scale, reweighted, scale, reach, covered, rows.dtype)
        judgement = found["_judgement_"]
        distance = np.abs(rows.residuals(judgement.weighed, raw.residual))
        found |= rows.attributes(judgement, reweighted.residuals(), weighed=distance)
        found |= {
            "support_": distance <= edge,
        }
        return found, (replace(raw, scale=max(edge, reach)),)  # of the rows that count

    def _estimate_in_passes(
        self, whole: WholeTable, rows: Rows | None
    ) -> tuple[dict[str, Any], tuple[TrimmedFit, ...]]:
        size = Size(whole.largest * whole.total, whole.m, whole.zero)
        covered = _covered(size, self.support_fraction)
        raw = lts_in_passes(whole, covered)
        objective = whole.largest * raw.square
        raw_scale = trimmed_scale(size, objective, covered, raw.edge)
        fit, scale, reach = raw.fit, raw_scale, raw.edge + size.zero
        if self.reweight and raw_scale > 0.0:  # or else these rows are the plane's
            reach = max(CUTOFF * raw_scale, size.zero)
            fit, kept = reweighted_in_passes(whole, raw.fit, reach)
            within, squares = whole.largest * kept.squares.weight, kept.squares.square
            scale = reweighted_scale(size, within, whole.largest * squares, kept.largest, covered)
        reweighted = solution_of(whole.sample, Squared(), fit, objective)
        dtype = np.dtype(np.float64)
        sample, start = whole.sample, raw.fit
        found = _reported(sample, start, raw_scale, reweighted, scale, reach, covered, dtype)
        return found, (raw,)


def _reported(
    sample: Sample,
    raw: Fit,
    raw_scale: float,
    reweighted: Solution,
    scale: float,
    reach: float,
    covered: float,
    dtype: np.dtype,
) -> dict[str, Any]:
    """What a fit reports but for the rows, in the user's units and dtype.

    Rows count up to a reach from the raw fit: as far as the last one that counts, and whatever
    differs from it by no more than 0, or as far as reweighting goes.
    """
    problem = sample.problem
    coef, intercept = in_user_units(sample, raw, dtype)
    plane = Plane.of(problem, *sample.coefficients(raw))
    return fit_attributes(problem, reweighted, scale, dtype) | {
        "_judgement_": judged(problem, reweighted, Within(reach), scale, dtype, weighed=plane),
        "objective_": problem.in_squared_units_of_y(reweighted.objective),
        "raw_coef_": coef,
        "raw_intercept_": intercept,
        "raw_scale_": problem.in_units_of_y(raw_scale),
        "n_support_": round(covered),
        "n_iter_": raw.steps,
    }


def _covered(size: Size, support_fraction: float | None) -> float:
    """h, the number of rows that count (their weight)."""
    covered = _rounded_down((size.total + size.m + 1) / 2)
    if support_fraction is not None:
        covered = max(covered, _rounded_down(size.total * support_fraction))
    return min(covered, size.total)


def _rounded_down(value: float) -> float:
    """The whole number below; 0.58 times 50, a little less than 29 when multiplied, is 29."""
    return float(math.floor(value * (1.0 + SUMMED)))

"""Tests of several coefficients by how much the loss grows without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from robustreg._arrays import Array
from robustreg.estimators import (
    L2Regressor,
    LTSRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Fitted, Point
from robustreg.inference import _high_breakdown
from robustreg.inference._covariance import huber_correction
from robustreg.inference._good_rows import FAR, check_noise, residuals
from robustreg.inference._pipeline import last_step
from robustreg.inference._reduced import Kept, Reduced, convex_fit, descended, kept_of
from robustreg.inference._registry import QUANTILE, REJECTING, family_of
from robustreg.inference._rows import FittedRows, check_rows, with_rows_of
from robustreg.inference._smooth import checked_scores
from robustreg.inference._wald import TestResult
from robustreg.inference.quantiles._density import sparsity
from robustreg.inference.quantiles._parts import checked_fit
from robustreg.losses import Quantile, ResidualLoss
from robustreg.sources import RowSource
from robustreg.sources._dispatch import refuse_source

TOL = 1e-10  # of fits without the coefficients, of whose loss a small difference is taken
LOWER = 1e-7  # of the loss, by which a fit without them may be below one to the default tol
# Where residuals are so many scales, and change by so small a share, losses change by psi times
# that: their difference would have no digits.
GROSS, SHARE = 1e6, 1e-3


def deviance_test(
    model: Any,
    X: ArrayLike | RowSource,
    y: ArrayLike | None,
    drop: str | Sequence[str],
    sample_weight: ArrayLike | None = None,
) -> TestResult:
    """Test whether coefficients are all 0, by how much the loss grows without them.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted regressor of this package as `infer` takes it, but SRegressor and LTSRegressor.
    X : {array-like, sparse matrix} of shape (n, p), or RowSource
        The rows that `model` was fitted to, in memory or not.
    y : array-like of shape (n,)
        Their targets; None beside a RowSource, which has its own.
    drop : str or sequence of str
        Names of the coefficients that are 0 under the hypothesis, as in ``infer(...).names``:
        the columns' (x0, x1, ... where they have none), or "intercept".
    sample_weight : array-like of shape (n,), default=None
        Their weights, as in `fit`: weight k counts a row k times.

    Returns
    -------
    TestResult
        F and its degrees of freedom: q hypotheses, which are fewer than coefficients where columns
        are collinear, and W - k, with the sum W of the weights and the rank k.

    Raises
    ------
    ValueError
        If `infer` would refuse the rows or the model; if there is no such coefficient; if the
        other columns contain those that are dropped; if the fit without them is better than the
        model, which then is not the lowest minimum of its loss.
    TypeError
        If there is no such test for the estimator.

    See Also
    --------
    rank_test : Another test of quantile fits, which needs no density of the noise.
    Inference.wald_test : Of all estimators, and of noise that depends on x.

    Notes
    -----
    It is valid where errors do not depend on x, as standard errors of the kind "classical" are.
    With the residuals r of the fit, r0 of the fit without the coefficients, and the scale s, which
    both are made at,

        T = 2 [sum w psi' / sum w psi^2] [sum w rho(r0 / s) - sum w rho(r / s)],
        F = T (W - k) / (W q K),    K = 1 + (k / W) var(psi') / m^2,    m = sum w psi' / W,

    the tau-test of Hampel et al. (1986, section 7.2). For least squares this is the classical F
    test. For losses that redescend the fit without the coefficients is the minimum that is
    reached from the projection of the fit on the other columns. Of quantiles tau, with the check
    losses V and V0 and the sparsity S of the noise, by Bofinger's bandwidth as everywhere here,
    ``F = 2 (V0 - V) / (tau (1 - tau) S q)`` (Koenker and Machado 1999).

    Far from the median S is too small where there are few rows, and the test rejects too often: at
    the quantile 0.9 of 30 rows one in five true hypotheses for one in twenty. `rank_test` does not.

    References
    ----------
    F. R. Hampel, E. M. Ronchetti, P. J. Rousseeuw, W. A. Stahel (1986). Robust Statistics: the
    Approach Based on Influence Functions. Wiley.

    R. Koenker, J. A. F. Machado (1999). Goodness of fit and related inference processes for
    quantile regression. Journal of the American Statistical Association 94, 1296-1310.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import MMRegressor
    >>> from robustreg.inference import deviance_test
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = 1.0 + X @ [2.0, 0.0, 0.0] + rng.standard_t(3, size=200)
    >>> model = MMRegressor(random_state=0).fit(X, y)
    >>> test = deviance_test(model, X, y, ["x1", "x2"])
    >>> print(f"F = {test.statistic:.2f} on {test.df} and {test.df_denominator:g}")
    F = 0.26 on 2 and 196
    >>> print(f"p = {test.p_value:.2f}")
    p = 0.77
    >>> print(f"p = {deviance_test(model, X, y, 'x0').p_value:.0e}")
    p = 7e-49
    """
    model, X, columns = last_step(model, X)
    family = family_of(model)
    if isinstance(model, SRegressor | LTSRegressor):
        raise TypeError(
            f"deviance_test compares losses at one scale, which {type(model).__name__} does not "
            "have; infer(model, X, y).wald_test(drop) tests its coefficients."
        )
    if family is REJECTING:
        refuse_source(f"deviance_test of {type(model).__name__}", X)
    kept = kept_of(model, columns, drop)

    def work(fitted: FittedRows) -> TestResult:
        check_rows(model, fitted)
        if family is QUANTILE:
            return _of_quantile(model, fitted, kept)
        return (_of_rejecting if family is REJECTING else _of_smooth)(model, fitted, kept)

    return with_rows_of(model, X, y, sample_weight, work, family.whitened)


def as_f(statistic: float, q: int, df: float) -> TestResult:
    """An F statistic with its p-value."""
    return TestResult(statistic, q, df, float(stats.f.sf(statistic, q, df)))


def _of_smooth(model: Any, fitted: FittedRows, kept: Kept) -> TestResult:
    scored = checked_scores(model, fitted)
    estimator: Any = L2Regressor(fit_intercept=kept.intercept, tol=TOL)
    if fitted.loss.homogeneity != 2:
        scale = float(model.loss_scale_)
        estimator = MRegressor(
            fitted.loss, scale=scale, fit_intercept=kept.intercept, max_iter=1000, tol=TOL
        )
    return _by_sums(model, fitted, scored, kept, convex_fit(estimator, fitted, kept))


def _of_rejecting(model: Any, fitted: FittedRows, kept: Kept) -> TestResult:
    check_noise(model)
    own, start, solved = _high_breakdown.posed(model, fitted)
    _high_breakdown.check_equations(model, own, start, solved)
    return _by_sums(model, own, solved, kept, descended(model, own, kept))


def _of_quantile(model: Any, fitted: FittedRows, kept: Kept) -> TestResult:
    tau = float(getattr(model, "quantile", 0.5))
    fitted = checked_fit(model, fitted, tau)
    unit = float(model.scale_) / fitted.y_unit  # in which residuals are, and the loss with them
    point = fitted.point._replace(sigma=unit)
    estimator = QuantileRegressor(tau, fit_intercept=kept.intercept, tol=TOL)
    reduced = convex_fit(estimator, fitted, kept)
    q = kept.lost(int(model.rank_), reduced.rank)
    grown = unit * _growth(model, fitted, Quantile(tau), point, kept, reduced)
    statistic = 2.0 * grown * fitted.weight_unit / (tau * (1.0 - tau) * sparsity(fitted, tau))
    return as_f(statistic / q, q, fitted.total - int(model.rank_))


def _by_sums(model: Any, fitted: FittedRows, sums: Any, kept: Kept, reduced: Reduced) -> TestResult:
    """F from the sums that covariances are made of."""
    rank = int(model.rank_)
    q, df = kept.lost(rank, reduced.rank), fitted.total - rank
    grown = _growth(model, fitted, model.loss_, fitted.point, kept, reduced) * fitted.weight_unit
    statistic = 2.0 * sums.bend / sums.psi_square * grown
    correction = huber_correction(fitted, rank, sums)
    return as_f(statistic * df / (fitted.total * q * correction), q, df)


def _growth(
    model: Any,
    fitted: FittedRows,
    loss: ResidualLoss,
    point: Point,
    kept: Kept,
    reduced: Reduced,
) -> float:
    """By how much the sum of the loss is larger in the fit without the coefficients.

    Raises
    ------
    ValueError
        If it is smaller.
    """
    rows = fitted.rows
    beta = (reduced.coef - np.asarray(model.coef_, dtype=np.float64)) * rows.unit / fitted.y_unit
    intercept = (reduced.intercept - float(model.intercept_)) / fitted.y_unit
    if rows.fit_intercept:
        intercept += float(beta @ rows.origin)
    grown, before = rows.sum(_Grow(loss, point, beta, intercept))
    if grown < -LOWER * before:
        raise ValueError(
            f"The fit of {type(model).__name__} is not the lowest minimum of its loss, which is "
            f"lower by {-grown / before:.2g} of it without {', '.join(kept.dropped)}. A fit with "
            "more iterations or subsamples may be; infer(model, X, y).wald_test(drop) needs none."
        )
    return max(float(grown), 0.0)


@dataclass(frozen=True)
class _Grow:
    """The job that sums by how much a loss grows as coefficients change, and the loss itself."""

    loss: ResidualLoss
    point: Point
    beta: Array  # (p,) by how much those of the columns of blocks change
    intercept: float  # and the intercept at their centre

    def __call__(self, block: Block) -> Array:
        z = residuals(block, self.point)
        with np.errstate(over="ignore", invalid="ignore"):
            change = Fitted(self.beta, self.intercept)(block) / self.point.sigma
        change = np.nan_to_num(np.clip(change, -FAR, FAR), nan=FAR)
        before = self.loss.rho(z)
        grown = self.loss.rho(z - change) - before
        size = np.abs(z)
        gross = (size > GROSS) & (np.abs(change) <= SHARE * size)
        grown[gross] = -change[gross] * self.loss.psi(z[gross] - 0.5 * change[gross])
        w = np.ones(len(z)) if block.weight is None else block.weight
        return np.array([w @ grown, w @ before])

"""MM-regression: the breakdown point of an S-estimate, the efficiency of an M-estimate."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array
from robustreg._compat import Interval, StrOptions
from robustreg.estimators._base import Rows
from robustreg.estimators._s import BREAKDOWN_POINT
from robustreg.estimators._subsampling import (
    BOUNDED,
    SubsamplingRegressor,
    attributes_in_passes,
    attributes_of,
    in_user_units,
    tuned,
)
from robustreg.subsampling.descent import Fit, descend_at_scale
from robustreg.subsampling.estimates import Sample, s_estimate
from robustreg.subsampling.in_passes import FitOfAll, m_estimate_in_passes, s_estimate_in_passes
from robustreg.subsampling.table import Table
from robustreg.subsampling.whole import WholeTable


class MMRegressor(SubsamplingRegressor):
    """MM-regression: withstands half of the rows being wrong, and is efficient if none is.

    An S-estimate (:class:`SRegressor`) finds the bulk of the rows and the scale s of its
    residuals. From there the descent goes to the next local minimum, with the scale held fixed, of

        F(beta, b) = (1/W) sum w s rho(r / s),    r = y - X beta - b,  W = sum w,

    where rho is of the same family, but with the constant that is ``efficiency`` efficient for
    Gaussian noise. Residuals beyond that constant (4.685 scales for the default) have no
    influence whatsoever, in whichever direction of X they lie.

    Parameters
    ----------
    loss : {"bisquare", "welsch", "hampel", "andrews"}, default="bisquare"
        Family of both losses.
    efficiency : float, default=0.95
        Asymptotic efficiency for Gaussian noise, relative to least squares, between 0 and 1.
        More of it costs bias under contamination.
    breakdown_point : float, default=0.5
        Share of arbitrarily bad rows that the fit withstands, above 0 and at most 0.5.
    n_subsamples : int, default=500
        Random subsets of rows that the search for the S-estimate starts from.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    max_iter : int, default=200
        Iterations on all rows at most, of the S-estimate and of the M-estimate each.
    random_state : int, RandomState instance or None, default=None
        Determines the subsets. Pass an int for reproducible fits.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients.
    intercept_ : float
        Intercept; 0 without one.
    scale_ : float
        Scale of the S-estimate, consistent for the standard deviation of Gaussian noise. 0 where
        it has found a plane that more than half of the rows lie on (see there); the fit is then
        that plane.
    loss_ : ResidualLoss
        The loss of the M-estimate, whose constant belongs to ``efficiency``.
    loss_scale_ : float
        The scale of its residuals: ``scale_``.
    rank_ : int
        Rank of X with the intercept's column.
    weights_ : ndarray of shape (n_samples,)
        ``psi(z) / z`` of the residuals in scales, between 0 and 1; 0 is rejected.
    outliers_ : ndarray of shape (n_samples,), bool
        Residuals beyond 2.5 ``scale_``.
    objective_ : float
        The minimum of F, in the units of y.
    initial_coef_, initial_intercept_
        The S-estimate, from which the fit started.
    n_iter_ : int
        Iterations of the M-estimate.
    converged_ : bool
        Whether the last steps of both estimates were negligible.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    SRegressor : The start.
    HuberRegressor : Convex, certified and faster; enough where only y is contaminated.
    robustreg.plotting.OutlierMapDisplay : Shows which rows are outliers in y, in X, in both.

    Notes
    -----
    With defaults, the estimate of R's ``robustbase::lmrob``. For n of about 20 p the
    efficiency is less than asymptotically; docs/choosing.md has figures.

    References
    ----------
    V. J. Yohai (1987), High breakdown-point and high efficiency robust estimates for
    regression, Annals of Statistics 15, 642-656.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import MMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=200)
    >>> X[:80], y[:80] = 10 + X[:80], -50.0
    >>> model = MMRegressor(random_state=0).fit(X, y)
    >>> print(model.coef_.round(1), model.weights_[:80].max())
    [2.] 0.0
    """

    _LONG: ClassVar[float] = 2**18  # from there on passes take less time, too

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SubsamplingRegressor._parameter_constraints,
        "loss": [StrOptions(set(BOUNDED))],
        "efficiency": [Interval(Real, 0.0, 1.0, closed="neither")],
        "breakdown_point": BREAKDOWN_POINT,
    }

    def __init__(
        self,
        loss: str = "bisquare",
        *,
        efficiency: float = 0.95,
        breakdown_point: float = 0.5,
        n_subsamples: int = 500,
        fit_intercept: bool = True,
        max_iter: int = 200,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.efficiency = efficiency
        self.breakdown_point = breakdown_point
        self.n_subsamples = n_subsamples
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def _estimate(self, sample: Sample, rows: Rows) -> tuple[dict[str, Any], tuple[Fit, ...]]:
        loss = tuned(self.loss, efficiency=self.efficiency)
        start = s_estimate(sample, tuned(self.loss, breakdown_point=self.breakdown_point))

        def way(table: Table, theta: Array) -> Fit:
            return descend_at_scale(table, loss, theta, start.scale, self.max_iter)

        fit = sample.descend(start, way)
        found = attributes_of(sample, rows, loss, fit, fit.scale)
        coef, intercept = in_user_units(sample, start, rows.dtype)
        found |= {
            "initial_coef_": coef,
            "initial_intercept_": intercept,
        }
        return found, (start, fit)

    def _estimate_in_passes(
        self, whole: WholeTable, rows: Rows | None
    ) -> tuple[dict[str, Any], tuple[FitOfAll, ...]]:
        loss = tuned(self.loss, efficiency=self.efficiency)
        own = tuned(self.loss, breakdown_point=self.breakdown_point)
        dtype = np.dtype(np.float64) if rows is None else rows.dtype
        start = s_estimate_in_passes(whole, own)
        ended = m_estimate_in_passes(whole, loss, start.fit)
        coef, intercept = in_user_units(whole.sample, start.fit, dtype)
        found = attributes_in_passes(whole, rows, loss, ended)
        return found | {"initial_coef_": coef, "initial_intercept_": intercept}, (start, ended)

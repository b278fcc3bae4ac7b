"""S-regression: the smallest robust scale of the residuals."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from numpy.random import RandomState

from robustreg._compat import Interval, StrOptions
from robustreg.estimators._base import Rows
from robustreg.estimators._subsampling import (
    BOUNDED,
    SubsamplingRegressor,
    attributes_in_passes,
    attributes_of,
    tuned,
)
from robustreg.subsampling.descent import Fit
from robustreg.subsampling.estimates import Sample, s_estimate
from robustreg.subsampling.in_passes import FitOfAll, s_estimate_in_passes
from robustreg.subsampling.whole import WholeTable

BREAKDOWN_POINT = [Interval(Real, 0.0, 0.5, closed="right")]


class SRegressor(SubsamplingRegressor):
    """S-regression: the fit whose residuals have the smallest M-scale.

    Minimises over beta and b the scale s that solves, with ``r = y - X beta - b``, weights w,
    ``W = sum w``, a bounded loss rho and p coefficients, the intercept counted,

        sum w rho(r / s) = E[rho(Z)] (W - p),    Z standard normal.

    No residual adds more than ``sup rho`` to the sum, so that outliers in y and in X, up to
    the share ``breakdown_point`` of the rows, cannot carry the fit away. It is inefficient,
    though, for good data: 28.7 % at the Gaussian for the default; :class:`MMRegressor` starts
    from it and mends that.

    Parameters
    ----------
    loss : {"bisquare", "welsch", "hampel", "andrews"}, default="bisquare"
        Family of rho; its constant is that of the breakdown point.
    breakdown_point : float, default=0.5
        Share of arbitrarily bad rows that the fit withstands, above 0 and at most 0.5.
    n_subsamples : int, default=500
        Random subsets of p rows, whose exact fits are the candidates that the search starts
        from. With a share e of bad rows, ``1 - (1 - (1 - e)^p)^n_subsamples`` is the
        probability that one of them has good rows only.
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
        Coefficients.
    intercept_ : float
        Intercept; 0 without one.
    scale_ : float
        The minimised scale, consistent for the standard deviation of Gaussian noise. 0 where
        all but ``breakdown_point`` (W - p) of the rows lie on a plane; the fit is then that
        plane, and of several such planes the one that the most rows lie on, as far as it is found.
    loss_ : ResidualLoss
        The bounded loss whose constant belongs to ``breakdown_point``.
    loss_scale_ : float
        The scale of its residuals: ``scale_``.
    rank_ : int
        Rank of X with the intercept's column.
    weights_ : ndarray of shape (n_samples,)
        ``psi(z) / z`` of the residuals in scales, between 0 and 1; 0 is rejected.
    outliers_ : ndarray of shape (n_samples,), bool
        Residuals beyond 2.5 ``scale_``.
    objective_ : float
        What was minimised: ``scale_``.
    n_iter_ : int
        Iterations on all rows.
    converged_ : bool
        Whether the last step was negligible.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The algorithm is fast-S (Salibian-Barrera and Yohai, 2006): exact fits to elemental subsets,
    linearly independent by construction (dummy columns and repeated rows do no harm), and a
    least absolute deviations fit, are improved by reweighting, all at once; the best go on
    until they settle, the best two on all rows. Beyond 4 000 rows, or 100 p, candidates come
    from five random groups of rows. The end is Newton's: the M-estimating equations hold to
    rounding. It is a local minimum; nothing certifies that no other one is lower.

    ``sample_weight`` counts repetitions, and W - p takes that literally: multiplying all
    weights by a constant changes the fit slightly.

    References
    ----------
    P. J. Rousseeuw and V. J. Yohai (1984), Robust regression by means of S-estimators, in
    Robust and Nonlinear Time Series Analysis, 256-272, Springer.
    M. Salibian-Barrera and V. J. Yohai (2006), A fast algorithm for S-regression estimates,
    Journal of Computational and Graphical Statistics 15, 414-427.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import SRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=200)
    >>> X[:80], y[:80] = 10 + X[:80], -50.0
    >>> model = SRegressor(random_state=0).fit(X, y)
    >>> print(model.coef_.round(1), model.outliers_[:80].all())
    [2.] True
    """

    _LONG: ClassVar[float] = 2**18  # from there on passes take less time, too

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SubsamplingRegressor._parameter_constraints,
        "loss": [StrOptions(set(BOUNDED))],
        "breakdown_point": BREAKDOWN_POINT,
    }

    def __init__(
        self,
        loss: str = "bisquare",
        *,
        breakdown_point: float = 0.5,
        n_subsamples: int = 500,
        fit_intercept: bool = True,
        max_iter: int = 200,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.breakdown_point = breakdown_point
        self.n_subsamples = n_subsamples
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def _estimate(self, sample: Sample, rows: Rows) -> tuple[dict[str, Any], tuple[Fit, ...]]:
        loss = tuned(self.loss, breakdown_point=self.breakdown_point)
        fit = s_estimate(sample, loss)
        found = attributes_of(sample, rows, loss, fit, fit.scale)
        return found | {"objective_": found["scale_"]}, (fit,)

    def _estimate_in_passes(
        self, whole: WholeTable, rows: Rows | None
    ) -> tuple[dict[str, Any], tuple[FitOfAll, ...]]:
        loss = tuned(self.loss, breakdown_point=self.breakdown_point)
        ended = s_estimate_in_passes(whole, loss)
        found = attributes_in_passes(whole, rows, loss, ended)
        return found | {"objective_": found["scale_"]}, (ended,)

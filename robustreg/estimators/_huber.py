"""Huber regression."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from robustreg._compat import Interval
from robustreg.estimators._m import ScaledRegressor
from robustreg.losses import ConvexLoss, Huber


class HuberRegressor(ScaledRegressor):
    """Huber regression: least squares for the bulk of the data, bounded influence beyond.

    Minimises, with ``r = y - X beta - b``, weights w, ``W = sum w`` and Huber's loss
    ``rho(z) = z^2/2`` for ``|z| <= delta``, ``delta |z| - delta^2/2`` beyond,

        F(beta, b, sigma) = (1/W) sum w sigma rho(r / sigma) + kappa sigma + alpha/(2 u) |beta|_2^2

    jointly over the scale sigma (``scale="joint"``: Huber's Proposal 2), or for a given
    scale without the term in kappa. ``kappa = E min(Z^2, delta^2) / 2`` under a standard
    normal Z makes ``scale_`` consistent for the standard deviation of Gaussian noise, so
    that ``delta`` counts standard deviations and 1.345 is 95 % efficient.

    Parameters
    ----------
    delta : float, default=1.345
        Threshold in scales, above 0: residuals beyond it count linearly. With
        ``scale=1.0`` it is in the units of y.
    alpha : float, default=0.0
        Strength of the ridge penalty, at least 0. Its unit u is the scale where that is
        fixed, the MAD of y for a joint scale; the fit then moves with the units of y.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    positive : bool, default=False
        Whether coefficients must not be negative.
    scale : "joint", "mad" or float, default="joint"
        "joint" estimates the scale with the coefficients. "mad" holds the MAD of the
        residuals of an L1 fit fixed. A number is a fixed scale in the units of y.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    solver : {"auto", "newton", "lbfgs"}, default="auto"
        See :func:`robustreg.solvers.select_solver`.
    max_iter : int, default=100
        Iterations at most.
    tol : float, default=1e-7
        A fit has converged when ``dual_gap_ <= tol * objective_`` (and rounding), and no
        step of noticeable length is left.
    warm_start : bool, default=False
        Start from the previous solution.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients. Where X has less than full rank, those of minimum norm in units of
        the columns' standard deviations.
    intercept_ : float
        Intercept, 0.0 without one.
    scale_ : float
        Estimate of the noise's standard deviation: sigma for a joint scale, else 1.4826
        times the weighted median of ``|r|``. A joint scale divides by W, so that it is low
        by about ``(1 - p/n)^0.75``. 0 where the optimum passes through most rows exactly.
    weights_ : ndarray of shape (n_samples,)
        ``psi(z) / z = min(1, delta / |z|)`` at ``z = r / sigma``: how far each row was
        trusted. Where ``scale_`` is 0, 1 on the fitted plane and 0 off it.
    outliers_ : ndarray of shape (n_samples,), bool
        ``|r| > 2.5 scale_``, which marks 1.2 % of clean Gaussian rows.
    objective_ : float
        F at the solution.
    dual_gap_ : float
        Certificate: ``objective_`` is at most this much above the minimum of F.
    n_iter_ : int
        Iterations of the solver on all rows.
    converged_ : bool
        Whether the fit is certified.
    solver_ : str
        Name of the solver used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Notes
    -----
    scikit-learn's ``HuberRegressor`` gives the same fit at ``epsilon = delta / sqrt(2 kappa)``
    and ``alpha_sk = alpha epsilon W / (u delta)``, with ``scale_sk = scale_ sqrt(2 kappa)``;
    its default epsilon of 1.35 is a delta of 0.92. ``MASS::rlm`` with a given scale s is
    ``scale=s``. See docs/coming-from.md.

    References
    ----------
    P. J. Huber and E. M. Ronchetti (2009), Robust Statistics, 2nd ed., sections 7.7-7.8.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 1))
    >>> y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=100)
    >>> y[:5] += 50
    >>> model = HuberRegressor().fit(X, y)
    >>> model.coef_.round(1), model.outliers_[:5].all()
    (array([2.]), np.True_)
    >>> model.dual_gap_ <= 1e-7 * model.objective_
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ScaledRegressor._parameter_constraints,
        "delta": [Interval(Real, 0.0, None, closed="neither")],
    }

    def __init__(
        self,
        delta: float = 1.345,
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        scale: str | float = "joint",
        fit_intercept: bool = True,
        solver: str = "auto",
        max_iter: int = 100,
        tol: float = 1e-7,
        warm_start: bool = False,
    ) -> None:
        self.delta = delta
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    def _get_loss(self) -> ConvexLoss:
        return Huber(float(self.delta))

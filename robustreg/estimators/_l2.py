"""Least squares."""

from __future__ import annotations

import math

from robustreg._arrays import root_mean_square
from robustreg.estimators._base import LinearRegressor
from robustreg.evaluation.problem import Problem
from robustreg.losses import ConvexLoss, HalfSquared
from robustreg.solvers._solution import Residuals, Solution


class L2Regressor(LinearRegressor):
    """Least squares, exact and certified: the baseline that is not robust.

    Minimises, with ``r = y - X beta - b``, weights w and ``W = sum w``,

        F(beta, b) = 1/(2 W) sum w r^2 + alpha/2 |beta|_2^2.

    Parameters
    ----------
    alpha : float, default=0.0
        Strength of the ridge penalty, at least 0. scikit-learn's ``Ridge`` gives the same
        fit at ``alpha_ridge = W alpha``.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    positive : bool, default=False
        Whether coefficients must not be negative.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    solver : {"auto", "newton_cg", "direct", "working_set", "newton", "lbfgs"}, default="auto"
        See :func:`robustreg.solvers.select_solver`.
    max_iter : int, default=100
        Iterations of the iterative solvers.
    tol : float, default=1e-7
        A fit has converged when ``dual_gap_ <= tol * objective_`` (and rounding).
    warm_start : bool, default=False
        Start an iterative solver from the previous solution.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients. Where X has less than full rank, those of minimum norm in units of
        the columns' standard deviations.
    intercept_ : float
        Intercept, 0.0 without one.
    scale_ : float
        ``sqrt(sum w r^2 / W)``.
    loss_ : HalfSquared
        The loss that was minimised.
    loss_scale_ : float
        1: F is in squared units of y.
    rank_ : int
        Rank of X with the intercept's column; under a penalty an upper bound of it.
    weights_ : ndarray of shape (n_samples,)
        All ones: least squares trusts every row alike.
    outliers_ : ndarray of shape (n_samples,), bool
        ``|r| > 2.5 scale_``. (Outliers inflate this scale, and hide in it.)
    objective_ : float
        F at the solution.
    dual_gap_ : float
        Certificate: ``objective_`` is at most this much above the minimum of F.
    n_iter_ : int
        Evaluations or iterations of the solver.
    converged_ : bool
        Whether the fit is certified.
    solver_ : str
        Name of the solver used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import L2Regressor
    >>> X = np.arange(6.0)[:, None]
    >>> model = L2Regressor().fit(X, 2 * X[:, 0] + 1)
    >>> model.coef_.round(6), model.intercept_.round(6)
    (array([2.]), np.float64(1.0))
    """

    def __init__(
        self,
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        fit_intercept: bool = True,
        solver: str = "auto",
        max_iter: int = 100,
        tol: float = 1e-7,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _get_loss(self) -> ConvexLoss:
        return HalfSquared()

    def _takes_source(self) -> bool:
        return True

    def _takes_device(self) -> bool:
        return self._has_ridge_at_most()

    def _noise_scale(
        self, problem: Problem, fit: Solution, residuals: Residuals, centre: float
    ) -> float:
        scale = math.sqrt(fit.psi_square)  # psi is the residual
        if math.isnan(scale):
            scale = root_mean_square(residuals(), problem.weight)
        return scale if scale > problem.exact else 0.0

"""Least absolute deviations."""

from __future__ import annotations

from robustreg.estimators._base import KinkedRegressor
from robustreg.losses import Absolute, ConvexLoss


class L1Regressor(KinkedRegressor):
    """Least absolute deviations (median regression), exact and certified.

    Minimises, with ``r = y - X beta - b``, weights w and ``W = sum w``,

        F(beta, b) = (1/W) sum w |r|
                     + alpha [l1_ratio |beta|_1 + (1 - l1_ratio)/(2 u) |beta|_2^2],

    whose optimum, without a penalty, passes through at least as many rows as there are
    coefficients. Gross errors in y have bounded influence, whatever their size; there is no
    threshold to choose, and 64 % of the efficiency of least squares on clean Gaussian data.

    Parameters
    ----------
    alpha : float, default=0.0
        Strength of the penalty, at least 0.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso). The unit u of the
        quadratic part is the MAD of y about its median (about 0 without an intercept), so
        that the fit moves with the units of y.
    positive : bool, default=False
        Whether coefficients must not be negative.
    fit_intercept : bool, default=True
        Whether to fit an intercept.
    solver : {"auto", "sparse", "simplex", "reduced", "interior", "linprog"}, default="auto"
        See :func:`robustreg.solvers.select_solver`. "sparse", "simplex" and "linprog" take no
        ridge.
    max_iter : int, default=100000
        Iterations at most: the interior point methods need about twenty, the simplex method
        of "simplex" and "linprog" about as many as a small multiple of the coefficients.
    tol : float, default=1e-7
        A fit has converged when ``dual_gap_ <= tol * objective_`` (and rounding).
    warm_start : bool, default=False
        Start from the previous solution, where the solver can use one.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of an optimal vertex (optima need not be unique). Where X has less than
        full rank and there is no L1 norm in the penalty, those of minimum norm in units of
        the columns' standard deviations.
    intercept_ : float
        Intercept, 0.0 without one.
    scale_ : float
        1.4826 times the weighted median of ``|r|``, leaving out as many zeros as the fit
        has coefficients: consistent for the standard deviation of Gaussian noise.
    loss_ : Absolute
        The loss that was minimised.
    loss_scale_ : float
        1: absolute deviations have no scale.
    rank_ : int
        Rank of X with the intercept's column; under a penalty an upper bound of it.
    weights_ : ndarray of shape (n_samples,)
        ``min(1, scale_ / |r|)``; where ``scale_`` is 0, 1 on the fitted plane and 0 off it.
    outliers_ : ndarray of shape (n_samples,), bool
        ``|r| > 2.5 scale_``.
    objective_ : float
        F at the solution.
    dual_gap_ : float
        Certificate: ``objective_`` is at most this much above the minimum of F.
    n_iter_ : int
        Iterations of the solver.
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
    With ``alpha=a`` and ``l1_ratio=1`` F is twice the objective of scikit-learn's
    ``QuantileRegressor(quantile=0.5, alpha=a / 2)``; quantreg's ``rq(tau=0.5)`` minimises
    W F / 2.

    References
    ----------
    S. Portnoy and R. Koenker (1997), "The Gaussian hare and the Laplacian tortoise",
    Statistical Science 12, 279-300.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import L1Regressor
    >>> X = np.arange(6.0)[:, None]
    >>> y = 2 * X[:, 0] + 1
    >>> y[5] = 1000.0
    >>> model = L1Regressor().fit(X, y)
    >>> model.coef_.round(6), model.outliers_
    (array([2.]), array([False, False, False, False, False,  True]))
    """

    def __init__(
        self,
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        fit_intercept: bool = True,
        solver: str = "auto",
        max_iter: int = 100_000,
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
        return Absolute()

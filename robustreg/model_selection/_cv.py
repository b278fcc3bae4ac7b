"""Estimators that choose delta and alpha by cross-validation."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import make_scorer, mean_pinball_loss

from robustreg._arrays import Array
from robustreg._compat import Interval, StrOptions
from robustreg.estimators import HuberRegressor, L1Regressor, QuantileRegressor
from robustreg.estimators._scaled import ScaledRegressor
from robustreg.evaluation.problem import Problem
from robustreg.losses import Huber
from robustreg.model_selection._grid import check_grid
from robustreg.model_selection._grid_search import GridSearch

DELTAS = (0.5, 0.75, 1.0, 1.345, 2.0, 3.0)


class HuberRegressorCV(GridSearch):
    """Huber regression with delta and alpha chosen by cross-validation.

    Every cell of the grid (deltas x alphas) is fitted to every fold's training rows and
    scored on its held-out rows, as ``GridSearchCV`` over :class:`robustreg.HuberRegressor`
    does. But neighbours in the grid start from each other, share coordinates and moments and,
    under a ridge penalty, take their steps together, so that the whole grid costs little more
    than a few fits.

    Parameters
    ----------
    deltas : array-like, default=(0.5, 0.75, 1.0, 1.345, 2.0, 3.0)
        Thresholds in scales, above 0, in any order.
    alphas : array-like or int, default=(0.0,)
        Strengths of the penalty, at least 0, in any order; the default is no penalty. A
        number is the length of a grid in equal ratios, from the least alpha at which all
        coefficients vanish for every delta down to ``eps`` times it, for ``l1_ratio > 0``;
        where that is 0, as in :func:`robustreg.huber_path`.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    eps : float, default=1e-3
        Smallest alpha over the largest, where ``alphas`` is a number.
    positive : bool, default=False
        Whether coefficients must not be negative.
    scale : "joint", "mad" or float, default="joint"
        As of :class:`robustreg.HuberRegressor`.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    cv : int, splitter or iterable, default=None
        As of scikit-learn's ``GridSearchCV``; None is 5 folds, an int the number of folds.
    scoring : str, callable or None, default="neg_mean_absolute_error"
        What judges predictions on held-out rows; higher is better. Mean squared errors and
        R squared (None) reward a fit that follows outliers.
        See :func:`robustreg.metrics.get_scorer` for robust ones. A callable is given the
        estimator of the cell with ``coef_`` and ``intercept_``, and the rows as arrays.
    n_jobs : int, default=None
        Folds at the same time, in threads; None is one after the other. With a ridge penalty,
        or none, the others wait for the first, whose fits tell where theirs are.
    verbose : int, default=0
        1 prints a line for every delta of every fold. With scikit-learn 1.9 and later
        ``set_callbacks(sklearn.callback.ProgressBar())`` shows a bar.
    solver : str, default="auto"
        See :func:`robustreg.solvers.select_solver`.
    max_iter : int, default=100
        Iterations at most, of every fit.
    tol : float, default=1e-7
        As of :class:`robustreg.HuberRegressor`.

    Attributes
    ----------
    delta_, alpha_ : float
        The cell with the best mean score over the folds, unweighted; of equal ones the first,
        in the order of ``deltas_`` and then of ``alphas_``. Where its scale is 0 though 39 % of
        the rows or more are off the fit (small deltas, tied y), the best one of larger deltas.
    deltas_ : ndarray of shape (n_deltas,)
        The grid, ascending.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, descending.
    scores_path_ : ndarray of shape (n_deltas, n_alphas, n_folds)
        Scores of all cells on the held-out rows of all folds.
    best_score_ : float
        Mean score of that cell.
    coef_, intercept_, scale_, weights_, outliers_
        As of :class:`robustreg.HuberRegressor` with ``delta_`` and ``alpha_``, fitted to all
        rows.
    loss_, loss_scale_, rank_, objective_, dual_gap_, n_iter_, converged_, solver_
        Of the same fit.
    n_passes_ : int
        How often rows that are not in memory were read; such fits have no ``weights_`` and
        ``outliers_``.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5))
    >>> y = X @ [3, 0, 0, -1, 0] + rng.standard_t(1.5, size=200)
    >>> model = HuberRegressorCV(alphas=10, l1_ratio=1.0).fit(X, y)
    >>> model.delta_, model.scores_path_.shape
    (0.75, (6, 10, 5))
    >>> model.coef_.round(2)
    array([ 3.01, -0.08, -0.08, -0.87, -0.08])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GridSearch._parameter_constraints,
        "deltas": ["array-like"],
        "scale": ScaledRegressor._parameter_constraints["scale"],
    }

    def __init__(
        self,
        deltas: ArrayLike = DELTAS,
        *,
        alphas: ArrayLike | int = (0.0,),
        l1_ratio: float = 0.0,
        eps: float = 1e-3,
        positive: bool = False,
        scale: str | float = "joint",
        fit_intercept: bool = True,
        cv: int | Iterable[Any] | None = None,
        scoring: Any = "neg_mean_absolute_error",
        n_jobs: int | None = None,
        verbose: int = 0,
        solver: str = "auto",
        max_iter: int = 100,
        tol: float = 1e-7,
    ) -> None:
        self.deltas = deltas
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.positive = positive
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol

    def _rows(self) -> list[dict[str, Any]]:
        return [{"delta": float(delta)} for delta in check_grid("deltas", self.deltas, zero=False)]

    def _model(self, row: dict[str, Any], alpha: float) -> HuberRegressor:
        return HuberRegressor(**row, alpha=alpha, scale=self.scale, **self._shared())

    def _chosen_model(self) -> HuberRegressor:
        return self._model({"delta": self.delta_}, self.alpha_)

    def _takes_guide(self) -> bool:
        return not (self.l1_ratio or self.positive)

    def _row_problem(self, problem: Problem, row: dict[str, Any]) -> Problem:
        return problem.with_loss(Huber(row["delta"]))

    def _store(self, path: Array, rows: list[dict[str, Any]], best: Any) -> None:
        self.scores_path_ = path
        self.deltas_ = np.array([row["delta"] for row in rows])
        self.delta_ = float(self.deltas_[best])


class L1RegressorCV(GridSearch):
    """Least absolute deviations with alpha chosen by cross-validation.

    Every alpha is fitted to every fold's training rows and scored on its held-out rows, as
    ``GridSearchCV`` over :class:`robustreg.L1Regressor` does.

    Parameters
    ----------
    alphas : array-like or int, default=30
        Strengths of the penalty, at least 0, in any order. A number is the length of a grid
        in equal ratios, from the least alpha at which all coefficients vanish down to ``eps``
        times it, for ``l1_ratio > 0``; where that is 0, as in :func:`robustreg.huber_path`.
    l1_ratio : float, default=1.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    eps, positive, fit_intercept, cv, n_jobs, verbose, solver, max_iter, tol
        As of :class:`HuberRegressorCV`; max_iter is 100000 by default, since the simplex
        method of solver="linprog" takes many cheap iterations.
    scoring : str, callable or None, default="neg_mean_absolute_error"
        What judges predictions on held-out rows; higher is better.

    Attributes
    ----------
    alpha_ : float
        The alpha with the best mean score over the folds; of equal ones the largest.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, descending.
    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Scores on the held-out rows of all folds.
    best_score_ : float
        Mean score of ``alpha_``.
    coef_, intercept_, scale_, weights_, outliers_
        As of :class:`robustreg.L1Regressor` with ``alpha_``, fitted to all rows.
    loss_, loss_scale_, rank_, objective_, dual_gap_, n_iter_, converged_, solver_
        Of the same fit.
    n_passes_ : int
        How often rows that are not in memory were read; such fits have no ``weights_`` and
        ``outliers_``.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import L1RegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5))
    >>> y = X @ [3, 0, 0, -1, 0] + rng.standard_t(1.5, size=200)
    >>> model = L1RegressorCV(cv=3).fit(X, y)
    >>> print(model.scores_path_.shape, (model.coef_ != 0).sum())
    (30, 3) 3
    """

    def __init__(
        self,
        *,
        alphas: ArrayLike | int = 30,
        l1_ratio: float = 1.0,
        eps: float = 1e-3,
        positive: bool = False,
        fit_intercept: bool = True,
        cv: int | Iterable[Any] | None = None,
        scoring: Any = "neg_mean_absolute_error",
        n_jobs: int | None = None,
        verbose: int = 0,
        solver: str = "auto",
        max_iter: int = 100_000,
        tol: float = 1e-7,
    ) -> None:
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol

    def _model(self, row: dict[str, Any], alpha: float) -> L1Regressor:
        return L1Regressor(alpha=alpha, **self._shared())


class QuantileRegressorCV(GridSearch):
    """Quantile regression with alpha chosen by cross-validation.

    Every alpha is fitted to every fold's training rows and scored on its held-out rows, as
    ``GridSearchCV`` over :class:`robustreg.QuantileRegressor` does.

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile, one number between 0 and 1.
    alphas : array-like or int, default=30
        As of :class:`L1RegressorCV`.
    l1_ratio : float, default=1.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    eps, positive, fit_intercept, cv, n_jobs, verbose, solver, max_iter, tol
        As of :class:`HuberRegressorCV`; max_iter is 100000 by default, since the simplex
        method of solver="linprog" takes many cheap iterations.
    scoring : str, callable or None, default="pinball"
        What judges predictions on held-out rows; higher is better. "pinball" is minus the
        mean quantile loss of the same quantile.

    Attributes
    ----------
    alpha_ : float
        The alpha with the best mean score over the folds; of equal ones the largest.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, descending.
    scores_path_ : ndarray of shape (n_alphas, n_folds)
        Scores on the held-out rows of all folds.
    best_score_ : float
        Mean score of ``alpha_``.
    coef_, intercept_, scale_, weights_, outliers_
        As of :class:`robustreg.QuantileRegressor` with ``alpha_``, fitted to all rows.
    loss_, loss_scale_, rank_, objective_, dual_gap_, n_iter_, converged_, solver_
        Of the same fit.
    n_passes_ : int
        How often rows that are not in memory were read; such fits have no ``weights_`` and
        ``outliers_``.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import QuantileRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 5))
    >>> y = X @ [3, 0, 0, -1, 0] + rng.standard_t(1.5, size=200)
    >>> model = QuantileRegressorCV(0.8, cv=3).fit(X, y)
    >>> print(round(np.mean(y <= model.predict(X)), 2))
    0.8
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GridSearch._parameter_constraints,
        "quantile": [Interval(Real, 0.0, 1.0, closed="neither")],
        "scoring": [*GridSearch._parameter_constraints["scoring"], StrOptions({"pinball"})],
    }

    def __init__(
        self,
        quantile: float = 0.5,
        *,
        alphas: ArrayLike | int = 30,
        l1_ratio: float = 1.0,
        eps: float = 1e-3,
        positive: bool = False,
        fit_intercept: bool = True,
        cv: int | Iterable[Any] | None = None,
        scoring: Any = "pinball",
        n_jobs: int | None = None,
        verbose: int = 0,
        solver: str = "auto",
        max_iter: int = 100_000,
        tol: float = 1e-7,
    ) -> None:
        self.quantile = quantile
        self.alphas = alphas
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol

    def _model(self, row: dict[str, Any], alpha: float) -> QuantileRegressor:
        return QuantileRegressor(self.quantile, alpha=alpha, **self._shared())

    def _named_scorer(self, name: str) -> Any:
        if name == "pinball":
            return make_scorer(mean_pinball_loss, alpha=self.quantile, greater_is_better=False)
        return super()._named_scorer(name)

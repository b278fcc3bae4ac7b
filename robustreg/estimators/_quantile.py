"""Quantile regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score

from robustreg._arrays import Array
from robustreg._compat import StrOptions
from robustreg._numbers import real_array, real_values
from robustreg.estimators._base import KinkedRegressor, Unfinished, rows_that_count, start_from
from robustreg.estimators._judgement import Judgement
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.losses import ConvexLoss, Quantile
from robustreg.solvers import SOLVERS
from robustreg.solvers._solution import Solution
from robustreg.sources import RowSource
from robustreg.sources._dispatch import is_source
from robustreg.sources._per_row import Line
from robustreg.sources._surveyed import SurveyedSource


class QuantileRegressor(KinkedRegressor):
    """Quantile regression, exact and certified, for one quantile or several.

    Minimises, with ``r = y - X beta - b``, weights w, ``W = sum w`` and the check loss
    ``rho(r) = max(quantile r, (quantile - 1) r)``,

        F(beta, b) = (1/W) sum w rho(r)
                     + alpha [l1_ratio |beta|_1 + (1 - l1_ratio)/(2 u) |beta|_2^2].

    Of the weight, at most the share ``quantile`` then lies below the fitted plane and at most
    ``1 - quantile`` above it.

    Parameters
    ----------
    quantile : float or sequence of float, default=0.5
        The quantile, strictly between 0 and 1, or several different ones. A sequence, even of
        length one, adds a leading axis to the fitted attributes and a last one to predictions.
    alpha : float, default=0.0
        Strength of the penalty, at least 0.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso). The unit u of the
        quadratic part is the MAD of y about its median (about 0 without an intercept), so
        that the fit moves with the units of y.
    positive : bool, default=False
        Whether coefficients must not be negative.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    crossing : {"allow", "rearrange"}, default="allow"
        Planes of different quantiles may cross. "rearrange" sorts the predictions of every
        row, so that a higher quantile never predicts less; the fit itself is the same.
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
    coef_ : ndarray of shape (n_features,) or (n_quantiles, n_features)
        Coefficients of an optimal vertex (optima need not be unique). Where X has less than
        full rank and there is no L1 norm in the penalty, those of minimum norm in units of
        the columns' standard deviations.
    intercept_ : float or ndarray of shape (n_quantiles,)
        Intercepts, 0.0 without one.
    scale_ : float or ndarray of shape (n_quantiles,)
        1.4826 times the weighted median of ``|r - median(r)|`` (of ``|r|`` for the median),
        leaving out as many zeros of r as the fit has coefficients: consistent for the
        standard deviation of Gaussian noise.
    loss_ : Quantile or tuple of n_quantiles of them
        The losses that were minimised.
    loss_scale_ : float or ndarray of shape (n_quantiles,)
        1: the loss has no scale.
    rank_ : int or ndarray of shape (n_quantiles,)
        Rank of X with the intercept's column; under a penalty an upper bound of it.
    weights_ : ndarray of shape (n_samples,) or (n_quantiles, n_samples)
        Influence over residual, relative to a residual of ``scale_`` on the heavier side:
        ``min(1, c scale_ / |r|)`` with ``c = |psi| / max(quantile, 1 - quantile)`` and psi
        the slope of rho. Where ``scale_`` is 0, 1 on the fitted plane and 0 off it.
    outliers_ : ndarray of shape (n_samples,) or (n_quantiles, n_samples), bool
        ``|r - median(r)| > 2.5 scale_`` (``|r|`` for the median).
    objective_, dual_gap_ : float or ndarray of shape (n_quantiles,)
        F at the solution, and by how much it may at most be above the minimum of F.
    n_iter_ : int or ndarray of shape (n_quantiles,)
        Iterations of the solver.
    converged_ : bool
        Whether all fits are certified.
    quantiles_ : ndarray of shape (n_quantiles,)
        The quantiles, in the order given.
    solver_ : str
        Name of the solver used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Notes
    -----
    For ``l1_ratio=1`` F is the objective of scikit-learn's ``QuantileRegressor`` at the same
    ``alpha``. For ``alpha=0`` quantreg's ``rq(tau=quantile)`` minimises W F.

    References
    ----------
    R. Koenker and G. Bassett (1978), "Regression quantiles", Econometrica 46, 33-50.

    V. Chernozhukov, I. Fernandez-Val and A. Galichon (2010), "Quantile and probability curves
    without crossing", Econometrica 78, 1093-1125.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import QuantileRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(1, 5, size=(1000, 1))
    >>> y = 2 * X[:, 0] + X[:, 0] * rng.normal(size=1000)
    >>> model = QuantileRegressor([0.1, 0.5, 0.9]).fit(X, y)
    >>> model.coef_.shape, model.predict(X).shape
    ((3, 1), (1000, 3))
    >>> print(np.mean(y[:, None] < model.predict(X), axis=0).round(2))
    [0.1 0.5 0.9]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **KinkedRegressor._parameter_constraints,
        "crossing": [StrOptions({"allow", "rearrange"})],
    }

    def __init__(
        self,
        quantile: float | Sequence[float] = 0.5,
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        fit_intercept: bool = True,
        crossing: str = "allow",
        solver: str = "auto",
        max_iter: int = 100_000,
        tol: float = 1e-7,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.quantile = quantile
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.fit_intercept = fit_intercept
        self.crossing = crossing
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_quantile(self.quantile)

    def _get_loss(self) -> ConvexLoss:
        return Quantile(float(self.quantile))  # type: ignore[arg-type]

    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        if np.ndim(self.quantile) == 0:
            super()._fit(X, y, weight, dtype, n_threads)
            self.quantiles_ = check_quantile(self.quantile)
            return
        data, kept = rows_that_count(X, y, weight, n_threads)

        def attributes(problem: Problem, fit: Solution) -> dict[str, Any]:
            return self._attributes(X, y, kept, problem, fit, dtype)

        found, unfinished = self._several(data, attributes)
        self.__dict__.update(found)
        for fit, of in unfinished:
            self._warn(fit, found["solver_"], of)

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], Unfinished]:
        if np.ndim(self.quantile) == 0:
            found, unfinished = super()._from_rows(rows)
            return found | {"quantiles_": check_quantile(self.quantile)}, unfinished

        def attributes(problem: Problem, fit: Solution) -> dict[str, Any]:
            noise = self._noise(problem, fit, fit.residuals)
            return self._of_fit(problem, fit, noise, np.dtype(np.float64))

        return self._several(rows, attributes)

    def _several(
        self, data: Data | SurveyedSource, of_fit: Callable[[Problem, Solution], dict[str, Any]]
    ) -> tuple[dict[str, Any], Unfinished]:
        """The attributes of fits of several quantiles, each of which has those of ``of_fit``."""
        levels = check_quantile(self.quantile)
        losses = tuple(Quantile(level) for level in levels)
        solver = self._select(data, losses[0], 1.0)
        attributes: dict[str, Array] = {}
        judgements: dict[int, Judgement] = {}
        unfinished: Unfinished = []
        session, start = None, None
        for index in np.argsort(levels):  # neighbours start from each other
            problem = self._problem(data, losses[index], 1.0, self._penalty())
            start = self._own_start(problem, int(index), levels) or start
            session = session or SOLVERS[solver].prepare(problem)
            fit = session.fit(problem, start=start, max_iter=self.max_iter, tol=self.tol)
            start = fit.start
            found = of_fit(problem, fit)
            del found["loss_"]  # there is a tuple of them
            judgements[int(index)] = found.pop("_judgement_")
            for name, value in found.items():
                one = np.asarray(value)
                if name not in attributes:
                    attributes[name] = np.empty((len(levels), *one.shape), one.dtype)
                kind = np.result_type(attributes[name], one)  # some coefficients may need float64
                attributes[name] = attributes[name].astype(kind, copy=False)
                attributes[name][index] = one
            if not fit.converged:
                unfinished.append((fit.without_residuals(), f" at quantile {levels[index]:g}"))
        converged = bool(attributes.pop("converged_").all())
        of_all = {
            "loss_": losses,
            "converged_": converged,
            "solver_": solver,
            "quantiles_": levels,
            "_judgement_": tuple(judgements[index] for index in range(len(levels))),
        }
        return attributes | of_all, unfinished

    def _own_start(self, problem: Problem, index: int, levels: Array) -> Coefficients | None:
        """The previous solution for this quantile, for a warm start."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        if self.coef_.ndim == 1 or not np.array_equal(self.quantiles_, levels):
            return None
        return start_from(problem, self.coef_[index], self.intercept_[index], self.scale_[index])

    def predict(self, X: ArrayLike | RowSource) -> Any:
        """Predict with the linear model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, in memory or not: see :mod:`robustreg.sources`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_quantiles)
            ``X @ coef_.T + intercept_``, for ``crossing="rearrange"`` sorted in every row in
            the order of the quantiles.
        """
        return super().predict(X)

    def _line(self) -> Line:
        several = self.coef_.ndim == 2 and self.crossing != "allow"
        return Line(self.coef_, self.intercept_, np.argsort(self.quantiles_) if several else None)

    def score(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """R squared of the predictions, its mean over several quantiles.

        It judges predictions of the mean; ``sklearn.metrics.mean_pinball_loss`` and
        ``d2_pinball_score`` judge those of a quantile.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        float
            At most 1.
        """
        if is_source(X):
            return super().score(X, y, sample_weight)
        target, weight = real_array(y, "y"), real_values(sample_weight, "sample_weight")
        predictions = self.predict(X).reshape(len(target), -1)
        scores = [r2_score(target, each, sample_weight=weight) for each in predictions.T]
        return float(np.mean(scores))


def check_quantile(quantile: Any) -> NDArray[np.float64]:
    """The quantiles as an array; a single one is an array of length one."""
    message = (
        "quantile must be a number strictly between 0 and 1, or a one-dimensional sequence of "
        f"different such numbers, at least one; got {quantile!r}."
    )
    if isinstance(quantile, (str, bytes)) or np.ma.is_masked(quantile):
        raise ValueError(message)
    try:
        levels = np.atleast_1d(np.asarray(quantile))
    except ValueError as error:  # a ragged sequence
        raise ValueError(message) from error
    if levels.ndim != 1 or not len(levels) or levels.dtype.kind not in "fiu":
        raise ValueError(message)
    levels = levels.astype(np.float64)
    if not np.all((levels > 0.0) & (levels < 1.0)) or len(np.unique(levels)) < len(levels):
        raise ValueError(message)
    return levels

"""Coefficients along a grid of penalties or of Huber's delta."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from robustreg._arrays import Array, in_precision
from robustreg.estimators import HuberRegressor, L1Regressor, QuantileRegressor
from robustreg.estimators._base import LinearRegressor, levels_to_the_user, rows_that_count
from robustreg.estimators._from_source import with_survey
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem
from robustreg.losses import Huber
from robustreg.model_selection import _grid
from robustreg.model_selection._in_passes import source_elsewhere
from robustreg.model_selection._points import AlphaPath, Columns, DeltaPath
from robustreg.model_selection._sequence import Sequence
from robustreg.solvers._solution import Solution
from robustreg.solvers.strength import alpha_for_any_target, alpha_max
from robustreg.sources import RowSource
from robustreg.sources._surveyed import SurveyedSource

T = TypeVar("T")


def huber_path(
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    *,
    delta: float = 1.345,
    l1_ratio: float = 1.0,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
    sample_weight: ArrayLike | None = None,
    **parameters: Any,
) -> AlphaPath:
    """Huber regression along a grid of penalties.

    Every point is a certified fit of ``HuberRegressor(delta, alpha=alpha, l1_ratio=l1_ratio)``
    with the further parameters; of equally good ones, perhaps another than the estimator's.
    Each starts from its neighbour and keeps what the rows have in common.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
        Regressors, in memory or not: see :mod:`robustreg.sources`.
    y : array-like of shape (n_samples,)
        Targets; None beside a RowSource, which has its own.
    delta : float, default=1.345
        Threshold in scales, above 0; one number, not "auto".
    l1_ratio : float, default=1.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    alphas : array-like, default=None
        Strengths of the penalty, at least 0, in any order. None is ``n_alphas`` values from
        ``alpha_max``, at which all coefficients vanish, down to ``eps`` times it, in equal
        ratios; where that is 0, from where they would vanish for any y: the loss's steepest
        slope times the largest standard deviation of a column, over ``l1_ratio``. A ridge
        penalty has no such alpha, so that they must be given for ``l1_ratio=0``.
    n_alphas : int, default=100
        Length of the grid where ``alphas`` is None.
    eps : float, default=1e-3
        Smallest alpha of that grid over its largest.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    **parameters
        Further parameters of :class:`robustreg.HuberRegressor`: scale, positive,
        fit_intercept, solver, max_iter, tol.

    Returns
    -------
    AlphaPath
        A named tuple ``(alphas, coefs, dual_gaps, intercepts, scales, n_iters, alpha_max)``.

    Raises
    ------
    ValueError
        If a parameter, X, y or sample_weight is not what it must be.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import huber_path
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 5))
    >>> y = X @ [3, 0, 0, -1, 0] + rng.standard_t(2, size=100)
    >>> alphas, coefs, dual_gaps, *_ = huber_path(X, y, n_alphas=4)
    >>> (coefs != 0).sum(axis=0)
    array([0, 3, 5, 5])
    """
    _grid.check_number("delta", delta)
    model = HuberRegressor(delta, alpha=1.0, l1_ratio=l1_ratio, warm_start=False, **parameters)
    return alpha_path(model, X, y, sample_weight, alphas, n_alphas, eps)


def l1_path(
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    *,
    l1_ratio: float = 1.0,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
    sample_weight: ArrayLike | None = None,
    **parameters: Any,
) -> AlphaPath:
    """Least absolute deviations along a grid of penalties.

    As :func:`huber_path`, for :class:`robustreg.L1Regressor`. With ``l1_ratio=1`` the
    coefficients are a step function of alpha, and often 0 throughout where many y are equal.

    Parameters
    ----------
    X, y, l1_ratio, alphas, n_alphas, eps, sample_weight
        As of :func:`huber_path`.
    **parameters
        Further parameters of :class:`robustreg.L1Regressor`.

    Returns
    -------
    AlphaPath
        A named tuple, see :func:`huber_path`.

    Examples
    --------
    >>> from robustreg import l1_path
    >>> from robustreg.datasets import load_engel
    >>> engel = load_engel()
    >>> path = l1_path(engel.data, engel.target, alphas=[1, 100, 1000])
    >>> path.coefs.round(3)
    array([[0.   , 0.453, 0.559]])
    """
    model = L1Regressor(alpha=1.0, l1_ratio=l1_ratio, warm_start=False, **parameters)
    return alpha_path(model, X, y, sample_weight, alphas, n_alphas, eps)


def quantile_path(
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    *,
    quantile: float = 0.5,
    l1_ratio: float = 1.0,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
    sample_weight: ArrayLike | None = None,
    **parameters: Any,
) -> AlphaPath:
    """Quantile regression along a grid of penalties.

    As :func:`huber_path`, for :class:`robustreg.QuantileRegressor` and one quantile. With
    ``l1_ratio=1`` the coefficients are a step function of alpha.

    Parameters
    ----------
    X, y, l1_ratio, alphas, n_alphas, eps, sample_weight
        As of :func:`huber_path`.
    quantile : float, default=0.5
        The quantile, between 0 and 1.
    **parameters
        Further parameters of :class:`robustreg.QuantileRegressor`.

    Returns
    -------
    AlphaPath
        A named tuple, see :func:`huber_path`.

    Examples
    --------
    >>> from robustreg import quantile_path
    >>> from robustreg.datasets import load_engel
    >>> engel = load_engel()
    >>> path = quantile_path(engel.data, engel.target, quantile=0.9, alphas=[1, 100])
    >>> path.coefs.round(3)
    array([[0.124, 0.686]])
    """
    _grid.check_number("quantile", quantile)
    model = QuantileRegressor(
        quantile, alpha=1.0, l1_ratio=l1_ratio, warm_start=False, **parameters
    )
    return alpha_path(model, X, y, sample_weight, alphas, n_alphas, eps)


def huber_delta_path(
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    *,
    deltas: ArrayLike | None = None,
    n_deltas: int = 30,
    sample_weight: ArrayLike | None = None,
    **parameters: Any,
) -> DeltaPath:
    """Huber regression along a grid of delta, from nearly absolute to nearly squared errors.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
        Regressors, in memory or not: see :mod:`robustreg.sources`.
    y : array-like of shape (n_samples,)
        Targets; None beside a RowSource, which has its own.
    deltas : array-like, default=None
        Thresholds in scales, above 0, in any order. None is ``n_deltas`` values from 0.1 to
        5 in equal ratios.
    n_deltas : int, default=30
        Length of the grid where ``deltas`` is None.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights.
    **parameters
        Further parameters of :class:`robustreg.HuberRegressor`: alpha, l1_ratio, scale,
        positive, fit_intercept, solver, max_iter, tol.

    Returns
    -------
    DeltaPath
        A named tuple ``(deltas, coefs, dual_gaps, intercepts, scales, n_iters)``.

    Raises
    ------
    ValueError
        If a parameter, X, y or sample_weight is not what it must be.

    Examples
    --------
    >>> from robustreg import huber_delta_path
    >>> from robustreg.datasets import load_engel
    >>> engel = load_engel()
    >>> path = huber_delta_path(engel.data, engel.target, deltas=[0.5, 1.345, 4])
    >>> path.coefs.round(3)
    array([[0.553, 0.537, 0.517]])
    """
    length = _grid.check_length("n_deltas", n_deltas)
    chosen = np.geomspace(0.1, 5.0, length) if deltas is None else deltas
    grid = _grid.check_grid("deltas", chosen, zero=False)
    model = HuberRegressor(1.0, warm_start=False, **parameters)
    model._check()

    def made(data: Data | SurveyedSource, dtype: np.dtype) -> Columns:
        problem, solver = model._prepare(data)
        sequence = Sequence(solver, model.max_iter, model.tol)
        alphas = np.array([model.alpha], dtype=np.float64)
        rows = (problem.with_loss(Huber(float(delta))) for delta in grid)
        fits = (fit for row in rows for fit in sequence.row(row, alphas))
        return _columns(model, problem, fits, solver, dtype)

    return DeltaPath(grid, *_of_rows(model, X, y, sample_weight, made))


def alpha_path(
    model: LinearRegressor,
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    alphas: ArrayLike | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
) -> AlphaPath:
    """Fits of a model along a grid of alpha; see :func:`huber_path`."""
    given = None if alphas is None else _grid.check_grid("alphas", alphas, zero=True)[::-1]
    length = _grid.check_length("n_alphas", n_alphas)
    _grid.check_eps(eps)
    model.set_params(alpha=1.0)
    model._check()

    def made(data: Data | SurveyedSource, dtype: np.dtype) -> AlphaPath:
        problem, solver = model._prepare(data)
        largest = alpha_max(problem) if model.l1_ratio else np.nan
        grid = given
        if grid is None:
            grid = _grid.alpha_grid(largest or alpha_for_any_target(problem), length, eps)
        fits = Sequence(solver, model.max_iter, model.tol).row(problem, grid)
        return AlphaPath(grid, *_columns(model, problem, fits, solver, dtype), largest)

    return _of_rows(model, X, y, sample_weight, made)


def _of_rows(
    model: LinearRegressor,
    X: Any,
    y: Any,
    sample_weight: Any,
    made: Callable[[Data | SurveyedSource, np.dtype], T],
) -> T:
    """What is made of the rows that a model is fitted to, in memory or in passes over a source."""
    source = source_elsewhere(X, y, sample_weight)
    if source is not None:
        return with_survey(source, lambda rows: made(rows, np.dtype(np.float64)))

    def work(X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> T:
        return made(rows_that_count(X, y, weight, n_threads)[0], dtype)

    return model._with_data(X, y, sample_weight, work)


def _columns(
    model: LinearRegressor,
    problem: Problem,
    fits: Iterable[Solution],
    solver: str,
    dtype: np.dtype,
) -> Columns:
    """Coefficients, gaps, intercepts, scales and iterations of fits in the same units."""
    rows, failed = [], 0
    for fit in fits:
        failed += not fit.converged
        coef, intercept = problem.in_user_units(fit.coef, fit.intercept)
        scale = problem.in_units_of_y(model._noise(problem, fit, fit.residuals).scale)
        gap = problem.in_units_of_objective(fit.gap)
        rows.append((coef, gap, intercept, scale, fit.n_iter))
    if failed:
        warnings.warn(
            f"{failed} of {len(rows)} points of the path did not converge with solver "
            f"{solver!r} and max_iter={model.max_iter}; dual_gaps says how far they are.",
            ConvergenceWarning,
            stacklevel=levels_to_the_user(),
        )
    coefs, gaps, intercepts, scales, n_iters = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    coefs, intercepts = in_precision(dtype, coefs, intercepts)
    return coefs.T, gaps, intercepts, scales, n_iters

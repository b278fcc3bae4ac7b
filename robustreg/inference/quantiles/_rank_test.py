"""Tests of several coefficients of quantile fits by the dual of the fit without them.

Its dual variables a are 1 for rows above it, 0 for those below and between for those on it. With
the rows d of the regressors in coordinates, ``sum w d (a - (1 - tau))`` is 0 along the regressors
that are left; along the others it would be about 0 if they had no say, and is the statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from robustreg._arrays import Array
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.choice import white
from robustreg.evaluation.posed import make_problem
from robustreg.inference._deviance import as_f
from robustreg.inference._pipeline import last_step
from robustreg.inference._reduced import Kept, kept_of
from robustreg.inference._registry import QUANTILE, family_of
from robustreg.inference._rows import FittedRows, check_rows, with_rows_of
from robustreg.inference._wald import TestResult
from robustreg.inference.quantiles._parts import checked_fit
from robustreg.inference.quantiles._rank import (
    left_to_basis,
    merged,
    quantile_coefficients,
    rows_on_fit,
    vertex_of,
)
from robustreg.losses import HalfSquared
from robustreg.penalties import ElasticNet
from robustreg.sources._dispatch import refuse_source

NEAREST = 1e-10  # of the statistic, or absolutely where it is below 1: up to which it is the least
NOTHING = 1e-12  # share of a vertex in a point, up to which it has none


def rank_test(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    drop: str | Sequence[str],
    sample_weight: ArrayLike | None = None,
) -> TestResult:
    """Test whether coefficients of a quantile fit are all 0, by ranks of the fit without them.

    Parameters
    ----------
    model : L1Regressor, QuantileRegressor or Pipeline
        A fitted model of one quantile, the median among them, as `infer` takes it.
    X : {array-like, sparse matrix} of shape (n, p)
        The rows that `model` was fitted to.
    y : array-like of shape (n,)
        Their targets.
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
        other columns contain those that are dropped.
    TypeError
        If the model is not one of quantiles.

    See Also
    --------
    deviance_test : By how much the loss grows, of nearly all estimators.
    infer : With ``covariance="rank"``, intervals by tests of single coefficients.

    Notes
    -----
    With the dual variables a of the fit without the coefficients, 1 for rows above it, 0 for those
    below and between on it, what the other columns leave of those that are dropped, X1, and

        S = sum w x1 (a - (1 - tau)),    T = S' [sum w x1 x1']^-1 S / (tau (1 - tau)),

    F is T / q (Gutenbrunner, Jureckova, Koenker and Portnoy 1993; ``anova(test = "rank")`` of R's
    quantreg). It needs no density of the noise, but it is valid only where that does not depend on
    x. `infer` allows for densities that differ from row to row: its X1 is what the other columns
    leave where rows count by these, and its p-values are mostly a little larger.

    Where several a are optimal, because more rows lie on the fit than it has coefficients, T is
    the smallest of all: ties do not reject.

    References
    ----------
    C. Gutenbrunner, J. Jureckova, R. Koenker, S. Portnoy (1993). Tests of linear hypotheses based
    on regression rank scores. Journal of Nonparametric Statistics 2, 307-331.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import L1Regressor
    >>> from robustreg.inference import rank_test
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = 1.0 + X @ [2.0, 0.0, 0.0] + rng.standard_t(3, size=200)
    >>> test = rank_test(L1Regressor().fit(X, y), X, y, ["x1", "x2"])
    >>> print(f"F = {test.statistic:.2f} on {test.df} and {test.df_denominator:g}")
    F = 0.98 on 2 and 196
    """
    model, X, columns = last_step(model, X)
    if family_of(model) is not QUANTILE:
        raise TypeError(
            f"rank_test is for L1Regressor and QuantileRegressor, not {type(model).__name__}; "
            "deviance_test is for others."
        )
    refuse_source("rank_test", X, ", or take deviance_test")
    kept = kept_of(model, columns, drop)

    def work(fitted: FittedRows) -> TestResult:
        check_rows(model, fitted)
        tau = float(getattr(model, "quantile", 0.5))
        statistic, q = _statistic(checked_fit(model, fitted, tau), tau, kept)
        return as_f(statistic / q, q, fitted.total - int(model.rank_))

    return with_rows_of(model, X, y, sample_weight, work)


def _statistic(fitted: FittedRows, tau: float, kept: Kept) -> tuple[float, int]:
    """T, and how many hypotheses there are."""
    design, w = fitted.coordinates.take(np.ones(fitted.rows.n, dtype=bool)), fitted.counts
    every = design.T @ (w[:, None] * design)
    left, others = _split(fitted, kept, design, w, every)
    rows = merged(fitted, design, w)
    centre = 0.0
    if fitted.has_intercept and not kept.intercept:
        centre = fitted.rows.observed.targets.units.centre
        # ones are a column of the coordinates; what is left has its own share of them
    residual: Array = rows.y + centre * (rows.design @ (others @ others[-1]))
    if left.shape[1]:
        own = rows.design @ left
        residual = residual - own @ quantile_coefficients(own, residual, rows.weight, tau)
    cross = left.T @ every @ others
    squares = others.T @ every @ others - cross.T @ np.linalg.solve(left.T @ every @ left, cross)
    root = np.linalg.cholesky(tau * (1.0 - tau) * squares)
    zero = rows_on_fit(rows, residual, left.shape[1])
    missing = left_to_basis(rows, tau, np.where(zero, 0.0, residual > 0.0))
    held = (rows.weight[zero, None] * rows.design[zero]).T
    scores = solve_triangular(root, others.T @ np.column_stack([held, missing]), lower=True)
    equal, to = left.T @ held, left.T @ missing
    if equal.shape[0] == equal.shape[1]:
        dual = np.linalg.solve(equal, to)
        nearest = scores[:, :-1] @ dual - scores[:, -1]
    else:
        nearest = nearest_to_zero(_vertices(scores, equal, to), len(scores))
    return float(nearest @ nearest), len(scores)


def _split(
    fitted: FittedRows, kept: Kept, design: Array, w: Array, every: Array
) -> tuple[Array, Array]:
    """Orthonormal bases of the coordinates that are left, and of the others."""
    size = fitted.size
    found: Array = np.zeros((size, 0))
    if not kept.is_empty:
        problem = make_problem(
            kept.data(fitted),
            loss=HalfSquared(),
            scale=1.0,
            penalty=ElasticNet(),
            fit_intercept=kept.intercept,
        )
        own = white(problem)[0].take(np.ones(fitted.rows.n, dtype=bool))
        found = lstsq(every, design.T @ (w[:, None] * own))
    q = kept.lost(size, found.shape[1])
    basis = np.linalg.qr(np.column_stack([found, np.eye(size)]))[0]
    return basis[:, : size - q], basis[:, size - q :]


def _vertices(scores: Array, equal: Array, to: Array) -> Callable[[Array], Array]:
    """What finds the score that is the farthest against a direction, of all optimal a."""

    def vertex(direction: Array) -> Array:
        cost = direction @ scores[:, :-1]
        cost = cost / (np.abs(cost).max(initial=0.0) or 1.0)
        a = vertex_of(cost, equal, to, np.ones(len(cost)))
        return scores[:, :-1] @ a - scores[:, -1]

    return vertex


def nearest_to_zero(vertex: Callable[[Array], Array], size: int) -> Array:
    """The point nearest to 0 of a polytope, by what finds its vertices (Wolfe 1976).

    It lies in the simplex of a few vertices. As long as there is a vertex nearer to 0 in its
    direction, that one joins them, and those that the nearest point has no share of any more leave.

    Parameters
    ----------
    vertex : callable
        The vertex v of the least ``direction @ v``.
    size : int
        Dimension.
    """
    corners: Array = vertex(np.zeros(size))[None]
    share: Array = np.ones(1)
    for _ in range(100 * (size + 1)):
        point = share @ corners
        new = vertex(point)
        square = float(point @ point)
        if square - float(point @ new) <= NEAREST * max(square, 1.0):
            return point
        corners, share = np.vstack([corners, new]), np.append(share, 0.0)
        while True:
            best = _of_plane(corners)
            if best.min() >= 0.0:
                share = best
                break
            falls = best < 0.0
            step = float(np.min(share[falls] / (share[falls] - best[falls])))
            share = share + step * (best - share)
            kept = share > NOTHING
            corners, share = corners[kept], share[kept] / share[kept].sum()
    raise ArithmeticError("The rank statistic's least value was not found.")


def _of_plane(corners: Array) -> Array:
    """Shares of the corners in the point nearest to 0 of the plane through them; they sum to 1."""
    last = corners[-1]
    others = lstsq((corners[:-1] - last).T, -last)
    return np.append(others, 1.0 - others.sum())

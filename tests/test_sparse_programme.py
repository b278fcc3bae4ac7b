"""Absolute deviations and quantiles of sparse tables: the fit of dense algebra, from columns."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone

from robustreg import L1Regressor, QuantileRegressor, l1_path
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Absolute
from robustreg.penalties import ElasticNet
from robustreg.solvers.programme.elimination import Columns, Design, solver_of
from robustreg.solvers.programme.sparse import solve_sparse
from robustreg.solvers.programme.sparse_coordinates import sparse_table

LEVELS = (60, 20, 5)


def dummies(rng, n, levels):
    """Levels of categories, rare ones among them."""
    parts = []
    for count in levels:
        share = 1.0 / np.arange(1, count + 1)
        level = rng.choice(count, n, p=share / share.sum())
        level[:count] = np.arange(count)
        parts.append(sparse.csr_array((np.ones(n), level, np.arange(n + 1)), shape=(n, count)))
    return parts


def table(n=2500, left_out=False):
    rng = np.random.default_rng(n)
    parts = [part[:, 1:] if left_out else part for part in dummies(rng, n, LEVELS)]
    numbers = rng.normal([0.0, 1.0, -20.0], size=(n, 3))
    X = sparse.csr_array(sparse.hstack([sparse.csr_array(numbers), *parts]))
    y = X @ rng.normal(size=X.shape[1]) + rng.standard_t(3, n)
    y[::11] += 100.0 * rng.normal(size=len(y[::11]))
    return X, y


def value(model, X, y, quantile, weight=None):
    """The loss of a fit, from its predictions alone."""
    r = y - model.predict(X)
    return np.average(np.maximum(quantile * r, (quantile - 1.0) * r), weights=weight)


@pytest.mark.parametrize("left_out", [False, True], ids=["all levels", "one left out"])
@pytest.mark.parametrize(
    ("quantile", "options"),
    [
        (0.5, {}),
        (0.1, {}),
        (0.5, {"fit_intercept": False}),
        (0.8, {"alpha": 2e-3, "l1_ratio": 1.0}),
        (0.5, {"alpha": 1e-3, "l1_ratio": 1.0, "positive": True}),
    ],
    ids=str,
)
def test_the_optimum_of_dense_algebra(left_out, quantile, options):
    X, y = table(left_out=left_out)
    before = X.copy()
    weight = np.random.default_rng(3).integers(1, 5, len(y)).astype(float)
    model = QuantileRegressor(quantile, **options).fit(X, y, weight)
    dense = QuantileRegressor(quantile, solver="reduced", **options).fit(X.toarray(), y, weight)
    assert_array_equal(X.data, before.data)
    assert model.solver_ == "sparse"
    assert model.n_iter_ < 100  # nobody has taken over
    assert model.converged_
    assert model.dual_gap_ <= 1e-12 * model.objective_
    assert model.rank_ == dense.rank_
    assert_allclose(model.objective_, dense.objective_, rtol=1e-12)
    penalty = options.get("alpha", 0.0) * np.abs(model.coef_).sum()
    assert_allclose(value(model, X, y, quantile, weight) + penalty, model.objective_, rtol=1e-11)


def test_dependent_levels_have_coefficients_of_minimum_norm():
    X, y = table()
    model = L1Regressor().fit(X, y)
    square = X.toarray().var(axis=0)
    for factor in np.split(np.arange(3, X.shape[1]), np.cumsum(LEVELS))[:-1]:
        assert abs((square * model.coef_)[factor].sum()) < 1e-12


def test_a_set_of_columns_grows_under_an_l1_norm():
    rng = np.random.default_rng(8)
    X = sparse.hstack([table()[0], *dummies(rng, 2500, (300,))], format="csr")
    y = X @ np.where(rng.random(X.shape[1]) < 0.3, rng.normal(size=X.shape[1]), 0.0)
    y += rng.standard_t(3, len(y))
    model = L1Regressor(alpha=2e-3, l1_ratio=1.0).fit(X, y)
    dense = L1Regressor(alpha=2e-3, l1_ratio=1.0, solver="reduced").fit(X.toarray(), y)
    assert model.solver_ == "sparse"
    assert model.dual_gap_ <= 1e-12 * model.objective_
    assert_allclose(model.objective_, dense.objective_, rtol=1e-12)
    assert 0 < np.count_nonzero(model.coef_) < X.shape[1] // 2


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_fits_begin_with_the_rows_next_to_another_one(fit_intercept):
    X, y = table()
    X = sparse.hstack([X, 1e3 + np.random.default_rng(5).random((len(y), 1))], format="csr")
    weight = np.random.default_rng(3).integers(1, 5, len(y)) / 4.0
    problem = make_problem(
        Data(X, y, weight, 1),
        loss=Absolute(),
        scale=1.0,
        penalty=ElasticNet(2e-3, 1.0),
        fit_intercept=fit_intercept,
    )
    columns = sparse_table(problem, kinked=True)
    alone = solve_sparse(problem, columns, 100)
    optimum = alone.candidate.found
    moved = replace(optimum, coef=optimum.coef + 0.01, intercept=optimum.intercept + 0.01)
    far = replace(optimum, coef=0.0 * optimum.coef, intercept=1e3 * fit_intercept)
    for near, is_it in [(optimum, True), (moved, False), (far, False)]:
        fit = solve_sparse(problem, columns, 100, near)
        theta = fit.programme.theta_of(fit.candidate.found)
        assert_allclose(fit.programme.residuals(theta), fit.candidate.residual, atol=1e-8)
        assert fit.exact
        assert_allclose(fit.candidate.value, alone.candidate.value, rtol=1e-12)
        if is_it:
            assert fit.fit.nit < alone.fit.nit


def test_units_shifts_and_the_order_of_rows_have_no_say():
    X, y = table(left_out=True)
    fit = QuantileRegressor(0.3).fit(X, y)
    unit = 10.0 ** np.random.default_rng(1).integers(-6, 7, X.shape[1])
    order = np.random.default_rng(2).permutation(len(y))
    scaled = sparse.csr_array(X @ sparse.diags(unit))[order]
    moved = QuantileRegressor(0.3).fit(scaled, (1e-3 * y + 7.0)[order])
    assert moved.solver_ == "sparse"
    assert_allclose(moved.objective_, 1e-3 * fit.objective_, rtol=1e-11)


def test_ties_and_collinear_columns_still_end_certified():
    X, y = table()
    nearly = sparse.hstack([X, X[:, [0]] + 1e-7 * X[:, [1]]], format="csr")
    for columns, target in [(X, np.round(y)), (X, np.abs(np.round(y / 40))), (nearly, y)]:
        model = L1Regressor().fit(columns, target)
        assert model.converged_
        assert model.dual_gap_ <= 1e-8 * model.objective_


def test_paths_share_coordinates():
    X, y = table()
    path = l1_path(X, y, alphas=[0.02, 0.005], solver="sparse")
    model = L1Regressor(l1_ratio=1.0, solver="sparse")
    fits = [clone(model).set_params(alpha=alpha).fit(X, y) for alpha in path.alphas]
    assert_array_equal(path.coefs, np.transpose([fit.coef_ for fit in fits]))


@pytest.mark.parametrize("most", [0, 2**22], ids=["as a matrix", "as an array"])
def test_elimination_solves_normal_equations(monkeypatch, most):
    monkeypatch.setattr("robustreg.solvers.programme.elimination.DENSE", most)
    matrix, y = table(left_out=True)
    design = Design(matrix, Columns.of(matrix))
    assert len(design.columns.out) > max(LEVELS) - 2  # a whole category at least
    scale = np.exp(np.random.default_rng(4).normal(size=len(y)))
    gram = matrix.toarray().T @ (scale[:, None] * matrix.toarray())
    side = np.arange(1.0, len(gram) + 1.0)
    solve = solver_of(design.blocks(scale), design.columns)
    assert_allclose(gram @ solve(side), side, rtol=1e-9)

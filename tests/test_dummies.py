"""Medians and quantiles on many dummy columns, with whole-number targets: ties by the thousand."""

import importlib
import time
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, sparse
from scipy.linalg import LinAlgError
from scipy.optimize import OptimizeResult, linprog

from robustreg import (
    HuberRegressor,
    L1Regressor,
    MRegressor,
    QuantileRegressor,
    l1_path,
    select_solver,
)
from robustreg._linalg.factors import eigh, lstsq, svd
from robustreg.solvers import share_of_zeros
from robustreg.solvers.programme.basis import Basis


@dataclass(frozen=True)
class Dummies:
    """Levels of one or two factors as dummies, numeric columns beside them, tied targets."""

    n: int
    levels: tuple[int, ...]
    numeric: int = 0
    rounded: bool = False

    def make(self) -> tuple[sparse.csr_array, np.ndarray]:
        rng = np.random.default_rng(self.n + sum(self.levels))
        parts = []
        for count in self.levels:
            level = rng.permutation(np.arange(self.n) % count)
            parts.append(sparse.csr_array(np.eye(count)[level]))
        y = np.round(2 * rng.normal(size=self.n)) if self.rounded else rng.poisson(3, self.n)
        if self.numeric:
            other = rng.normal(size=(self.n, self.numeric))
            parts.append(sparse.csr_array(other))
            y = y + np.round(other.sum(axis=1))
        return sparse.csr_array(sparse.hstack(parts)), y.astype(float)


TABLES = {
    "one factor": Dummies(800, (60,)),
    "rounded, numeric columns": Dummies(500, (70,), numeric=2, rounded=True),
    "two factors": Dummies(700, (40, 30), numeric=1),
}


def least(X, y, weight, quantile, alpha):
    """The minimum of F with an intercept, from the dual programme without any coordinates."""
    n, p = X.shape
    share = weight / weight.sum()
    dual = sparse.vstack([(X * share[:, None]).T, share[None, :]])
    slack = sparse.vstack([sparse.csr_array(np.eye(p)), sparse.csr_array((1, p))])
    nu = np.column_stack([np.full(n, quantile - 1.0), np.full(n, quantile)])
    found = linprog(
        np.append(-share * y, np.zeros(p)),
        A_eq=sparse.csc_array(sparse.hstack([dual, slack])),
        b_eq=np.zeros(p + 1),
        bounds=np.vstack([nu, np.full((p, 2), alpha) * [-1.0, 1.0]]),
    )
    return -found.fun


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize(("quantile", "alpha"), [(0.1, 0.0), (0.5, 0.0), (0.3, 0.002)])
@pytest.mark.parametrize("table", TABLES)
def test_the_optimum_of_an_independent_programme(table, quantile, alpha, dense):
    X, y = TABLES[table].make()
    weight = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    model = QuantileRegressor(quantile, alpha=alpha, l1_ratio=1.0)
    model.fit(X.toarray() if dense else X, y, weight)
    assert model.solver_ == "simplex"
    assert model.converged_
    assert model.dual_gap_ <= 1e-13 * model.objective_
    assert_allclose(model.objective_, least(X, y, weight, quantile, alpha), rtol=1e-9)


@pytest.mark.parametrize("solver", ["simplex", "interior", "reduced", "linprog"])
@pytest.mark.parametrize("table", TABLES)
def test_every_solver_ends_at_a_vertex_of_minimum_norm(table, solver):
    X, y = TABLES[table].make()
    model = L1Regressor(solver=solver).fit(X, y)
    assert model.converged_
    assert_allclose(model.objective_, 2 * least(X, y, np.ones(len(y)), 0.5, 0.0), rtol=1e-9)
    rows = np.column_stack([X.toarray(), np.ones(len(y))])
    zero = np.abs(y - model.predict(X)) < 1e-9
    assert np.linalg.matrix_rank(rows[zero]) == np.linalg.matrix_rank(rows)
    # all dummies of a factor by 1 and the intercept by -1 change no prediction
    spread = X.toarray().std(axis=0)
    for factor in np.split(np.arange(X.shape[1]), np.cumsum(TABLES[table].levels))[:-1]:
        along = (spread**2 * model.coef_)[factor].sum()
        assert abs(along) < 1e-12


# Before factors were updated these took 50 and 10 seconds.
@pytest.mark.parametrize(
    ("solver", "table"),
    [
        ("auto", Dummies(2000, (300,), numeric=3)),
        ("reduced", Dummies(1500, (180,), numeric=3)),
    ],
)
def test_many_levels_take_no_time(solver, table):
    X, y = table.make()
    start = time.process_time()
    model = L1Regressor(solver=solver).fit(X, y)
    assert time.process_time() - start < 5.0
    assert model.converged_
    assert model.dual_gap_ <= 1e-13 * model.objective_


MODELS = {
    "quantiles": QuantileRegressor([0.3, 0.5]),
    "positive": L1Regressor(positive=True),
    "ridge": L1Regressor(alpha=0.1),
    "elastic net": QuantileRegressor(0.3, alpha=0.01, l1_ratio=0.5),
    "huber, scale 0": HuberRegressor(0.1),
    "huber, mad": HuberRegressor(scale="mad"),
    "huber, auto": HuberRegressor(delta="auto", scale=1.0),
    "m, mad": MRegressor(scale="mad"),
}


@pytest.mark.parametrize("name", MODELS)
def test_relatives(name):
    X, y = Dummies(800, (100,), numeric=1, rounded=True).make()
    start = time.process_time()
    model = MODELS[name].fit(X, y)
    assert time.process_time() - start < 4.0
    assert model.converged_
    assert np.all(np.asarray(model.dual_gap_) <= 1e-7 * np.asarray(model.objective_))


def test_path_meets_single_fits():
    X, y = TABLES["one factor"].make()
    path = l1_path(X, y, alphas=[0.004, 0.001])
    fits = [L1Regressor(alpha=alpha, l1_ratio=1.0).fit(X, y) for alpha in path.alphas]
    assert_array_equal(path.coefs, np.transpose([fit.coef_ for fit in fits]))
    assert np.all(path.dual_gaps <= 1e-13)


def test_repeated_fits_are_the_same_to_the_last_digit():
    X, y = TABLES["two factors"].make()
    fits = [L1Regressor().fit(X, y) for _ in range(2)]
    assert_array_equal(fits[0].coef_, fits[1].coef_)


def test_numeric_columns_far_from_0_and_of_any_unit():
    X, y = Dummies(1000, (80,), numeric=2).make()
    moved = X.toarray()
    moved[:, -2:] = moved[:, -2:] * [1e-9, 1e6] + [1.0, 1e9]
    plain, fit = (L1Regressor().fit(table, y) for table in (X, moved))
    assert fit.solver_ == "simplex"
    assert fit.converged_
    assert_allclose(fit.objective_, plain.objective_, rtol=1e-9)


def test_interior_takes_over_where_highs_fails(monkeypatch):
    def fails(programme, *rest):
        nu = np.zeros(len(programme.target))
        return OptimizeResult(x=None, nu=nu, status=4, message="trouble", nit=3)

    X, y = TABLES["one factor"].make()
    expected = L1Regressor().fit(X, y).objective_
    module = importlib.import_module("robustreg.solvers.programme.sparse_dual")
    monkeypatch.setattr(module, "dual_programme", fails)
    monkeypatch.setattr(module, "vertex", lambda _, theta, nu, *rest: (theta, nu, nu > 1.0))
    fit = L1Regressor().fit(X, y)
    assert fit.converged_
    assert_allclose(fit.objective_, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("n_features", "n_samples", "zeros", "alpha", "expected"),
    [
        (300, 5000, 0.99, 0.0, "sparse"),
        (300, 1000, 0.99, 0.0, "simplex"),
        (300, 5000, 0.5, 0.0, "reduced"),
        (300, 1000, 0.0, 0.0, "interior"),
        (300, 100_000, 0.99, 0.0, "sparse"),
        (20, 1000, 0.9, 0.0, "interior"),
        (300, 5000, 0.99, 0.1, "reduced"),
    ],
)
def test_who_solves_tables_of_zeros(n_features, n_samples, zeros, alpha, expected):
    sizes = {"n_features": n_features, "n_samples": n_samples, "zeros": zeros}
    assert select_solver("absolute", scale=1.0, alpha=alpha, **sizes) == expected


def test_share_of_zeros_of_sparse_and_dense():
    X, _ = TABLES["two factors"].make()
    exact = 1.0 - (TABLES["two factors"].numeric + 2) / X.shape[1]
    assert_allclose([share_of_zeros(X), share_of_zeros(X.toarray())], exact)


# --- linear algebra


def refuse(function, wanted):
    """A function of LAPACK that fails, except by the routine that is wanted."""

    def call(*args, **options):
        if wanted not in (options.get("lapack_driver"), options.get("driver")):
            raise LinAlgError("did not converge")
        return function(*args, **options)

    return call


@pytest.fixture
def failing(monkeypatch):
    for name, wanted in [("lstsq", "gelsy"), ("svd", "gesvd"), ("eigh", "ev")]:
        monkeypatch.setattr(linalg, name, refuse(getattr(linalg, name), wanted))
    monkeypatch.setattr(np.linalg, "lstsq", refuse(np.linalg.lstsq, "none"))
    # which says so instead of raising
    monkeypatch.setattr(linalg.lapack, "dsyevr", lambda *args, **options: (*[None] * 4, 1))


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.usefixtures("failing")
def test_another_routine_answers_where_lapack_fails(shape):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], 3)) @ rng.normal(size=(3, shape[1]))  # of rank 3
    side = rng.normal(size=shape[0])
    assert_allclose(lstsq(matrix, side), np.linalg.pinv(matrix) @ side, atol=1e-12)
    assert_allclose(lstsq(matrix, side, cond=1e-9), np.linalg.pinv(matrix) @ side, atol=1e-12)
    left, values, right = svd(matrix)
    assert_allclose((left * values) @ right, matrix, atol=1e-12)
    values, vectors = eigh(matrix.T @ matrix)
    assert_allclose((vectors * values) @ vectors.T, matrix.T @ matrix, atol=1e-12)


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    "model",
    [L1Regressor(), L1Regressor(solver="interior"), L1Regressor(alpha=0.1), HuberRegressor(0.1)],
)
def test_no_failure_of_lapack_reaches_the_user(model):
    X, y = Dummies(300, (60,)).make()
    assert model.fit(X, y).converged_


@pytest.mark.parametrize("size", [5, 40])
def test_a_basis_that_grows_is_one_made_at_once(size):
    rng = np.random.default_rng(size)
    rows = rng.normal(size=(size - 1, size)) * np.geomspace(1e-8, 1e8, size - 1)[:, None]
    rows = np.vstack([rows, rows[:2], rows[2] * (1.0 + 1e-13)])  # three add nothing
    index, even = np.arange(len(rows)), np.ones(len(rows))
    grown = Basis(size)
    for k in index:
        grown.enter(index[k : k + 1], rows[k : k + 1], even[k : k + 1])
    at_once = Basis(size)
    at_once.enter(index, rows, even)
    for basis in grown, at_once:
        assert len(basis) == size - 1
        assert not basis.complete
        assert np.linalg.matrix_rank(basis.rows / np.linalg.norm(basis.rows, axis=1)[:, None]) == (
            size - 1
        )
        unit = 1.0 / np.linalg.norm(basis.rows, axis=1)
        side = rng.normal(size=size - 1)
        expected = np.linalg.pinv(unit[:, None] * basis.rows) @ (unit * side)
        assert_allclose(basis.solve(side), expected, rtol=1e-9, atol=1e-9 * abs(expected).max())
        direction = basis.direction()
        assert_allclose(np.linalg.norm(direction), 1.0)
        assert_allclose(unit * (basis.rows @ direction), 0.0, atol=1e-14)
        basis.enter(np.array([99]), direction[None, :], np.ones(1))
        assert basis.complete


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_zeros_are_not_apart_along_null_directions(seed):
    """Their own terms are exactly 0, while those of the others leave rounding."""
    g = np.random.default_rng(10 + seed)
    X = (g.random((47, 6)) < 0.5).astype(float)
    X[:3] = 0.0
    y, weight = X[:, 0] + g.normal(size=47), 10.0 ** g.uniform(-3, 0, size=47)
    model = HuberRegressor().fit(np.c_[X, X[:, :2]], y, weight)
    once = HuberRegressor().fit(X, y, weight)
    assert model.objective_ == pytest.approx(once.objective_, rel=1e-9)
    np.testing.assert_allclose(model.predict(np.c_[X, X[:, :2]]), once.predict(X), rtol=1e-7)

"""Columns far from 0 for their spread, such as timestamps: no digits are lost."""

import numpy as np
import pytest
from scipy import sparse

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)

EPOCH = 1.7e12  # milliseconds since 1970
MODELS = {
    "huber-ridge": HuberRegressor(alpha=0.01),
    "huber-lasso": HuberRegressor(alpha=0.01, l1_ratio=1.0),
    "huber-net": HuberRegressor(alpha=0.001, l1_ratio=0.8),
    "huber-fixed": HuberRegressor(alpha=0.01, scale=1.0),
    "huber-set": HuberRegressor(alpha=0.01, l1_ratio=1.0, solver="working_set"),
    "huber-positive": HuberRegressor(positive=True),
    "squares": MRegressor("half_squared", alpha=0.01),
    "l1-ridge": L1Regressor(alpha=0.01),
    "l1-lasso": L1Regressor(alpha=0.01, l1_ratio=1.0),
}


def timestamps(seed):
    g = np.random.default_rng(seed)
    n = int(g.integers(20, 150))
    time = 1000.0 * np.arange(n)
    X = np.c_[g.normal(size=n), time, (g.random(n) < 0.2)]
    return X, X[:, 0] + g.normal(size=n), 10.0 ** g.uniform(-3, 3, size=n)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", MODELS)
def test_sparse_is_dense_and_the_origin_of_time_has_no_say(name, weighted):
    model = MODELS[name]
    for seed in range(3):
        X, y, weight = timestamps(seed)
        weight = weight if weighted else None
        wanted = model.fit(X, y, sample_weight=weight)
        coef, objective, scale = wanted.coef_, wanted.objective_, wanted.scale_
        X[:, 1] += EPOCH
        for form in (np.asarray, sparse.csr_matrix, sparse.csc_matrix):
            found = model.fit(form(X), y, sample_weight=weight)
            np.testing.assert_allclose(found.coef_, coef, rtol=1e-7, atol=1e-12)
            assert found.objective_ == pytest.approx(objective, rel=1e-9)
            assert found.scale_ == pytest.approx(scale, rel=1e-7)
            assert found.dual_gap_ <= 1e-9 * found.objective_


@pytest.mark.parametrize("seed", range(8))
def test_an_exact_fit_of_the_heavy_rows_is_certified(seed):
    """Weights over six decades leave about as many rows as columns: the joint scale is 0."""
    g = np.random.default_rng(seed)
    n = int(g.integers(8, 30))
    X = np.c_[g.normal(size=(n, 4)), 1000.0 * np.arange(n)]
    y = X[:, 0] + g.normal(size=n)
    weight = 10.0 ** g.uniform(-3, 3, size=n)
    model = HuberRegressor(alpha=0.001, l1_ratio=0.8)
    objective = model.fit(X, y, sample_weight=weight).objective_
    X[:, -1] += EPOCH
    model.fit(X, y, sample_weight=weight)
    assert model.objective_ == pytest.approx(objective, rel=1e-7)
    assert model.dual_gap_ <= 1e-8 * model.objective_


def test_a_far_column_with_zeros_in_light_rows_stays_as_it_is():
    """It has no centre that would keep its zeros: to be standardised all entries must be there."""
    X, y, weight = timestamps(1)
    X[:, 1] += EPOCH
    X[0, 1], weight[0] = 0.0, 1e-10
    dense = HuberRegressor().fit(X, y, sample_weight=weight)
    found = HuberRegressor().fit(sparse.csr_matrix(X), y, sample_weight=weight)
    np.testing.assert_allclose(found.coef_[[0, 2]], dense.coef_[[0, 2]], rtol=1e-3)


@pytest.mark.parametrize(
    "model",
    [
        L2Regressor(),
        HuberRegressor(),
        L1Regressor(),
        QuantileRegressor(0.3),
        MRegressor("log_cosh", scale=1.0),
        SRegressor(random_state=0),
        MMRegressor(random_state=0),
        LTSRegressor(random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("seed", range(3))
def test_a_far_column_twice_does_not_hide_that_two_others_differ(model, seed):
    """Beside time in milliseconds and in seconds, what tells two columns apart counted as noise."""
    g = np.random.default_rng(seed)
    apart, base, time = g.normal(size=60), 9 * g.normal(size=60), g.permutation(60)
    rest = g.normal(size=(60, 4))
    X = np.c_[base, base + 1e-8 * apart, EPOCH + 1000.0 * time, time, rest]
    y = apart + g.normal(size=60) + 0.1 * time
    # the same column space, in columns that nobody can take for each other
    model.fit(np.c_[base, (X[:, 1] - base) * 1e8, time, rest], y)
    wanted = model.rank_, model.objective_, model.scale_
    model.fit(X, y)
    assert model.rank_ == wanted[0]
    assert model.objective_ == pytest.approx(wanted[1], rel=1e-6)
    assert model.scale_ == pytest.approx(wanted[2], rel=1e-5)

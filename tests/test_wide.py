"""Working sets: penalties with kinks on more columns than can be solved for at once."""

import warnings

import numpy as np
import pytest
from _cases import weights_for
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import ElasticNet

from robustreg.estimators import HuberRegressor, L2Regressor, MRegressor

MODELS = {
    "huber": HuberRegressor(),
    "huber-fixed": HuberRegressor(scale=1.0),
    "log-cosh": MRegressor("log_cosh"),
    "l2": L2Regressor(),
}
PENALTIES = {
    "lasso": {"alpha": 0.1, "l1_ratio": 1.0},
    "elastic-net": {"alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"positive": True},
    "positive-lasso": {"alpha": 0.1, "l1_ratio": 1.0, "positive": True},
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())


def table(n=200, p=150, seed=0):
    """Six of the columns matter, half of them downwards; they have units and means of their own."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X[:, :6] @ [3, -2, 1, -1, 2, -0.5] + 3 + rng.standard_t(3, size=n)
    return X * np.resize([1.0, 0.1, 10.0, 1.0], p) + np.resize([0.0, 5.0, 1.0], p), y


def thin(n, p, density=0.05):
    """A sparse table."""
    rng = np.random.default_rng(0)
    X = sparse.random(n, p, density, "csr", random_state=0, data_rvs=rng.standard_normal)
    return X, X[:, :8] @ np.full(8, 4.0) + 2 + 0.3 * rng.normal(size=n)


def fit(model, *data, **parameters):
    return clone(model).set_params(**{"solver": "working_set"} | parameters).fit(*data)


def certified(model):
    assert model.converged_
    return model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("data", [table(50, 300), thin(100, 3000)], ids=["dense", "sparse"])
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("positive", [False, True])
def test_least_squares_is_scikit_learns_elastic_net(data, l1_ratio, share, positive):
    X, y = data
    slopes = np.abs(X.T @ (y - y.mean())) / len(y)
    common = {"alpha": share * slopes.max(), "l1_ratio": l1_ratio, "positive": positive}
    theirs = ElasticNet(**common, tol=1e-12, max_iter=1_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tolerance below what it can reach
        theirs.fit(X, y)
    ours = L2Regressor(**common, tol=1e-12).fit(X, y)
    assert ours.solver_ == "working_set"
    assert ours.converged_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.coef_ == 0, np.abs(theirs.coef_) < 1e-9)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)


@every_model
@every_penalty
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_fit_is_newtons(model, penalty, weighted, fit_intercept):
    X, y = table()
    weight = weights_for(len(y)) if weighted else None
    common = penalty | {"fit_intercept": fit_intercept}
    ours, newton = (fit(model, X, y, weight, solver=s, **common) for s in ("working_set", "newton"))
    spread = X.std(axis=0)
    assert certified(ours)
    np.testing.assert_allclose(ours.coef_ * spread, newton.coef_ * spread, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(ours.coef_ == 0, newton.coef_ == 0)
    assert ours.objective_ == pytest.approx(newton.objective_, rel=1e-11)
    assert ours.scale_ == pytest.approx(newton.scale_, rel=1e-7)
    assert 0 < (ours.coef_ == 0).sum() < X.shape[1]


@every_model
def test_a_weight_of_k_is_k_copies(model):
    X, y = table(60, 300)
    weight = np.resize([0, 1, 2, 3, 1], len(y))
    weighted = fit(model, X, y, weight, alpha=0.3, l1_ratio=0.7)
    copied = fit(model, np.repeat(X, weight, 0), np.repeat(y, weight), alpha=0.3, l1_ratio=0.7)
    np.testing.assert_allclose(weighted.coef_, copied.coef_, rtol=1e-7, atol=1e-9)
    assert weighted.objective_ == pytest.approx(copied.objective_, rel=1e-12)
    assert certified(weighted)


@every_model
@every_penalty
def test_sparse_is_dense(model, penalty):
    X, y = thin(400, 300)
    thick, model = fit(model, X.toarray(), y, **penalty), fit(model, X, y, **penalty)
    assert certified(model)
    assert model.objective_ == pytest.approx(thick.objective_, rel=1e-11)
    np.testing.assert_allclose(model.coef_, thick.coef_, rtol=0, atol=1e-7)


@every_model
def test_single_precision(model):
    X, y = (part.astype(np.float32) for part in table(60, 300))
    single = fit(model, X, y, alpha=0.2, l1_ratio=1.0)
    double = fit(model, X.astype(np.float64), y, alpha=0.2, l1_ratio=1.0)
    assert single.coef_.dtype == np.float32
    assert certified(single)
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-4, atol=1e-6)


@every_model
def test_repeated_and_constant_columns(model):
    """The optimum is then not unique; its value is."""
    X, y = table(80, 100)
    once = fit(model, X, y, alpha=0.1, l1_ratio=1.0)
    constant = np.full((len(y), 3), [0.0, 7.0, -1e6])
    twice = fit(model, np.hstack([constant, X, X]), y, alpha=0.1, l1_ratio=1.0)
    assert certified(twice)
    assert twice.objective_ == pytest.approx(once.objective_, rel=1e-11)
    np.testing.assert_array_equal(twice.coef_[:3], 0)
    np.testing.assert_allclose(
        twice.coef_[3:103] + twice.coef_[103:], once.coef_, rtol=0, atol=1e-7
    )


@every_model
@pytest.mark.parametrize("X", [table()[0], np.full((200, 5), 3.0)], ids=["table", "constant"])
def test_nothing_is_left_of_a_large_penalty(model, X):
    y = table()[1]
    null = fit(model, X, y, alpha=1e6, l1_ratio=1.0)
    np.testing.assert_array_equal(null.coef_, 0)
    assert null.converged_
    alone = fit(model, np.zeros((len(y), 1)), y, alpha=0.0, solver="auto")
    assert null.intercept_ == pytest.approx(alone.intercept_, rel=1e-9)
    assert null.scale_ == pytest.approx(alone.scale_, rel=1e-9)


@every_model
def test_the_set_may_grow_to_all_columns(model):
    """A penalty that is next to nothing, on more columns than the first set has."""
    X, y = table(400, 100)
    weak = fit(model, X, y, alpha=1e-9, l1_ratio=1.0)
    plain = fit(model, X, y, solver="auto")
    assert (weak.coef_ != 0).all()
    spread = X.std(axis=0)
    np.testing.assert_allclose(weak.coef_ * spread, plain.coef_ * spread, rtol=0, atol=1e-5)
    assert certified(weak)


@pytest.mark.parametrize("loss", ["huber", "log_cosh"])
def test_a_scale_of_0(loss):
    """Most rows lie on a plane of three out of 200 columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 200))
    y = X[:, :3] @ [3.0, -2.0, 4.0] + 1
    y[:10] += rng.normal(size=10) * 20
    for solver in ("working_set", "newton"):
        model = fit(MRegressor(loss), X, y, alpha=0.1, l1_ratio=1.0, solver=solver)
        assert model.scale_ == 0
        assert certified(model)
        np.testing.assert_array_equal(np.flatnonzero(model.coef_), [0, 1, 2])
        np.testing.assert_allclose(model.coef_[:3], [3.0, -2.0, 4.0], rtol=1e-9)


def test_a_joint_scale_that_falls_to_0_as_columns_enter():
    """More columns than rows and a weak penalty: no noise is left."""
    X, y = table(40, 100)
    model = fit(HuberRegressor(), X, y, alpha=0.01, l1_ratio=1.0)
    assert model.scale_ == 0
    assert certified(model)
    other = fit(HuberRegressor(), X, y, alpha=0.01, l1_ratio=1.0, solver="newton")
    assert model.objective_ == pytest.approx(other.objective_, rel=1e-9)


@every_model
@pytest.mark.parametrize("before", [{"alpha": 0.5}, {"alpha": 0.2}, {"l1_ratio": 0.0}])
def test_warm_starts_end_where_cold_ones_do(model, before):
    """From a sparser fit, a denser one, and one that is not sparse at all."""
    X, y = table(100, 300)
    penalty = {"alpha": 0.3, "l1_ratio": 1.0}
    cold = fit(model, X, y, **penalty)
    warm = clone(model).set_params(warm_start=True, **penalty | before).fit(X, y)
    warm = warm.set_params(**penalty).fit(X, y)
    assert certified(warm)
    spread = X.std(axis=0)
    np.testing.assert_allclose(warm.coef_ * spread, cold.coef_ * spread, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(warm.coef_ == 0, cold.coef_ == 0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [1, 3, 5])
def test_the_gap_of_an_unfinished_fit_bounds_its_distance(max_iter):
    X, y = table(100, 300)
    best = fit(HuberRegressor(), X, y, alpha=0.2, l1_ratio=1.0)
    early = fit(HuberRegressor(), X, y, alpha=0.2, l1_ratio=1.0, max_iter=max_iter)
    assert not early.converged_
    assert early.n_iter_ <= max_iter
    assert early.objective_ - best.objective_ <= early.dual_gap_ + 1e-12
    assert early.dual_gap_ < early.objective_


@every_model
@pytest.mark.parametrize("y", [[0.0], [5.0], [2.0, 2.0, 2.0]])
def test_constant_targets(model, y):
    X = np.arange(7.0 * len(y)).reshape(-1, 7)
    model = fit(model, X, np.array(y), alpha=0.1, l1_ratio=1.0)
    np.testing.assert_array_equal(model.coef_, 0)
    assert model.intercept_ == y[0]
    assert model.objective_ == model.dual_gap_ == 0


@pytest.mark.parametrize("shape", [(1, 400), (2, 400), (5, 30)])
@pytest.mark.parametrize("scale", ["joint", 1e-3, 1.0])
def test_few_rows(shape, scale):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    model = fit(HuberRegressor(scale=scale), X, y, alpha=0.1, l1_ratio=1.0)
    assert model.converged_
    assert model.dual_gap_ <= 1e-7 * model.objective_ + 1e-12

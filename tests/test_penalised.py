"""Smooth losses under L1 norms and sign constraints: known cases, and what must not matter."""

import warnings

import numpy as np
import pytest
from _cases import TABLES, clean, contaminated, leverage, weights_for
from _reference import Reference
from sklearn.base import clone
from sklearn.linear_model import ElasticNet, Ridge

from robustreg.estimators import HuberRegressor, L2Regressor, MRegressor
from robustreg.losses import HalfSquared, Huber, Squared

PENALTIES = {
    "lasso": {"alpha": 0.1, "l1_ratio": 1.0},
    "elastic-net": {"alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"positive": True},
    "positive-lasso": {"alpha": 0.1, "l1_ratio": 1.0, "positive": True},
    "positive-ridge": {"alpha": 0.1, "positive": True},
}
MODELS = {
    "huber": HuberRegressor(),
    "huber-fixed": HuberRegressor(scale=1.0),
    "log-cosh": MRegressor("log_cosh"),
    "l2": L2Regressor(),
}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def fit(model, *data, **parameters):
    return clone(model).set_params(**parameters).fit(*data)


def sparse_truth(n=80, p=12, seed=0):
    """Four of the columns matter, one of them downwards; columns in different units."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.logspace(-2, 2, p) + rng.normal(size=p)
    beta = np.array([3.0, 0, 0, 1.0, 0, -2.0, 0, 0, 0, 0.5] + [0] * (p - 10))
    return X, X @ (beta / np.logspace(-2, 2, p)) + 3 + 0.5 * rng.normal(size=n)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 0.3, 3.0, 1e3])
@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_is_scikit_learns_elastic_net(alpha, l1_ratio, positive, weighted):
    """The same objective, its alpha included."""
    X, y = clean(n=60, p=8)
    weight = weights_for(len(y)) if weighted else None
    theirs = ElasticNet(alpha, l1_ratio=l1_ratio, positive=positive, tol=1e-14, max_iter=100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tolerance below what it can reach
        theirs.fit(X, y, sample_weight=weight)
    ours = L2Regressor(alpha=alpha, l1_ratio=l1_ratio, positive=positive).fit(X, y, weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)
    clear = np.abs(theirs.coef_) > 1e-9
    np.testing.assert_array_equal(ours.coef_[clear] != 0, True)
    assert (ours.coef_ != 0).sum() <= clear.sum()  # ours are exact


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_a_constraint_that_does_not_bind_leaves_ridge(alpha):
    """By the kinks' solver, which has other coordinates than the direct one."""
    X, y = clean(p=4)
    X = X * np.sign(np.linalg.lstsq(X - X.mean(axis=0), y, rcond=None)[0])
    theirs = Ridge(len(y) * alpha).fit(X, y)
    ours = L2Regressor(alpha=alpha, positive=True).fit(X, y)
    assert ours.solver_ == "newton"
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("alpha", [1e-5, 1e-2, 0.1, 1.0, 1e4])
def test_huber_with_a_far_threshold_is_least_squares(alpha, l1_ratio, positive):
    X, y = sparse_truth()
    common = {"alpha": alpha, "l1_ratio": l1_ratio, "positive": positive}
    huber = HuberRegressor(delta=1e6, scale=1.0, **common).fit(X, y)
    square = L2Regressor(**common).fit(X, y)
    spread = X.std(axis=0)
    np.testing.assert_allclose(huber.coef_ * spread, square.coef_ * spread, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(huber.coef_ == 0, square.coef_ == 0)
    assert huber.objective_ == pytest.approx(square.objective_, rel=1e-12)


@every_model
@every_penalty
def test_zeros_are_exact_and_signs_kept(model, penalty):
    X, y = sparse_truth()
    model = fit(model, X, y, **penalty)
    assert model.converged_
    if penalty.get("positive"):
        assert (model.coef_ >= 0).all()
        assert model.coef_[5] == 0  # the one that is negative without the constraint
    if penalty.get("alpha"):
        assert (model.coef_ != 0).sum() > 0
    if penalty.get("l1_ratio", 0) == 1:
        assert (model.coef_ == 0).sum() >= 2
    assert not np.any((model.coef_ != 0) & (np.abs(model.coef_ * X.std(axis=0)) < 1e-12))


@every_model
def test_from_some_alpha_on_nothing_is_left(model):
    """The null model: the intercept, and a scale, alone."""
    X, y = sparse_truth()
    model = fit(model, X, y, alpha=1e6, l1_ratio=1.0)
    np.testing.assert_array_equal(model.coef_, 0)
    alone = fit(model, np.zeros((len(y), 1)), y, alpha=0.0)
    assert model.intercept_ == pytest.approx(alone.intercept_, rel=1e-9)
    assert model.scale_ == pytest.approx(alone.scale_, rel=1e-9)


@every_model
@pytest.mark.parametrize(("table", "positive"), [(clean, True), (contaminated, False)])
def test_paths_are_continuous_and_objectives_rise(model, table, positive):
    """F's minimum is concave and increasing in alpha; coefficients do not jump."""
    X, y = table(p=6)
    alphas = np.logspace(-4, 1, 51)
    path = [
        fit(model, X, y, alpha=alpha, l1_ratio=0.9, positive=positive, warm_start=False)
        for alpha in alphas
    ]
    objectives = np.array([model.objective_ for model in path])
    rises = np.diff(objectives) / np.diff(alphas)
    rounding = 1e-9 * objectives[-1] / np.diff(alphas)
    assert np.all(rises >= -rounding)
    assert np.all(np.diff(rises) <= rounding[:-1])
    coef = np.array([model.coef_ for model in path])
    jumps = np.abs(np.diff(coef, axis=0)).max()
    assert jumps <= 0.35 * max(np.ptp(coef, axis=0).max(), 1.0)


@pytest.mark.parametrize("model", [HuberRegressor(), MRegressor("log_cosh"), MRegressor(Squared())])
@every_penalty
@pytest.mark.parametrize(("factor", "shift"), [(3.0, 0.0), (1e-6, 7.0), (1e9, -1e9)])
def test_a_joint_scale_moves_with_y(model, penalty, factor, shift):
    X, y = contaminated(p=5)
    plain = fit(model, X, y, **penalty)
    moved = fit(model, X, factor * y + shift, **penalty)
    atol = 1e-8 * plain.scale_
    np.testing.assert_allclose(moved.coef_ / factor, plain.coef_, rtol=1e-8, atol=atol)
    assert (moved.intercept_ - shift) / factor == pytest.approx(plain.intercept_, rel=1e-7)
    assert moved.scale_ / factor == pytest.approx(plain.scale_, rel=1e-8)


@every_model
@every_penalty
def test_a_weight_of_k_is_k_copies(model, penalty):
    X, y = leverage(p=4)
    weight = np.resize([0, 1, 2, 3, 1], len(y))
    weighted = fit(model, X, y, weight, **penalty)
    copied = fit(model, np.repeat(X, weight, axis=0), np.repeat(y, weight), **penalty)
    atol = 1e-8 * copied.scale_
    np.testing.assert_allclose(weighted.coef_, copied.coef_, rtol=1e-8, atol=atol)
    assert weighted.scale_ == pytest.approx(copied.scale_, rel=1e-8)
    assert weighted.objective_ == pytest.approx(copied.objective_, rel=1e-12)


@every_penalty
@pytest.mark.parametrize("alpha", [0.1, 2.0])
def test_columns_from_1e_minus_12_to_1e12(penalty, alpha):
    """A ridge that is nothing to one column and everything to another; certified all the same."""
    X, y = clean(n=60, p=9)
    X = X * np.logspace(-12, 12, 9)
    parameters = penalty | ({"alpha": alpha} if "alpha" in penalty else {})
    for model in (HuberRegressor(), MRegressor("log_cosh", scale=0.5), L2Regressor()):
        model = fit(model, X, y, **parameters)
        assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("model", [HuberRegressor(), MRegressor(), L2Regressor()])
def test_a_ridge_on_columns_of_any_size_is_certified(model):
    """... without a kink, too: rounding in columns of large spread is not punished."""
    X, y = clean(n=60, p=9)
    model = fit(model, X * np.logspace(-12, 12, 9), y, alpha=1.5)
    assert model.dual_gap_ <= 1e-9 * model.objective_


def test_copies_in_other_units_under_a_lasso_are_certified():
    """The cheaper one is taken; y is large against alpha, so that slopes cancel."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    y = 1e4 * rng.standard_cauchy(20)
    model = fit(L2Regressor(), np.c_[X, 1e3 * X[:, 1]], y, alpha=0.5, l1_ratio=1.0)
    assert model.coef_[1] == 0 != model.coef_[2]
    assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1.0])
@pytest.mark.parametrize("loss", [HalfSquared(), Huber(1e12)])
def test_a_strong_ridge_beside_a_weak_l1_norm(loss, scale):
    """The unit of a ridge is the scale: one that small leaves nothing of the L1 norm's share."""
    X, y = clean(n=6, p=10)
    model = MRegressor(loss, scale=scale, alpha=1e-5, l1_ratio=0.7).fit(X, y)
    assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("loss", [HalfSquared(), Squared()])
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_exact_fits_of_least_penalty(loss, l1_ratio, weighted):
    """Joint scale 0 and psi unbounded: of all exact fits the one of least penalty."""
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(6, 20)), rng.normal(size=6)
    weight = np.linspace(0.5, 3, 6) if weighted else None
    model = MRegressor(loss, alpha=0.02, l1_ratio=l1_ratio).fit(X, y, weight)
    assert model.converged_
    assert model.scale_ == 0
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-9)
    assert model.dual_gap_ <= 1e-9 * model.objective_
    reference = Reference(X, y, loss, weight, alpha=0.02, l1_ratio=l1_ratio)
    assert reference.value_of(model) == pytest.approx(model.objective_, rel=1e-9)
    other = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    intercept = float(y.mean() - X.mean(axis=0) @ other)
    assert reference.value(other, intercept, 0.0) > model.objective_


@pytest.mark.parametrize("scale", [0.003, 1.0])
@pytest.mark.parametrize("size", [(2, 5), (5, 12)])
def test_exact_fits_without_a_penalty_end(size, scale):
    """positive=True alone, more columns than rows: the optimum is not unique, and F is 0."""
    X, _ = clean(n=size[0], p=size[1])
    y = np.abs(X) @ np.ones(size[1])
    model = HuberRegressor(scale=scale, positive=True, fit_intercept=False)
    model.fit(np.abs(X) * np.logspace(-3, 3, size[1]), y)
    assert model.objective_ <= 1e-12
    assert model.n_iter_ < 40


@pytest.mark.parametrize("table", ["clean", "heavy_tails", "leverage", "rank_deficient"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_precision(table, dtype):
    X, y = TABLES[table]()
    X32, y32 = X.astype(np.float32), y.astype(np.float32)
    model = HuberRegressor(alpha=0.1, l1_ratio=0.5).fit(X32.astype(dtype), y32)
    expected = HuberRegressor(alpha=0.1, l1_ratio=0.5).fit(X32.astype(float), y32)
    assert model.coef_.dtype == dtype
    assert model.converged_
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-4, atol=1e-6)


@every_model
@every_penalty
@pytest.mark.parametrize("y", [[0.0], [5.0], [2.0, 2.0, 2.0]])
def test_constant_targets(model, penalty, y):
    X = np.arange(2.0 * len(y)).reshape(-1, 2)
    model = fit(model, X, np.array(y), **penalty)
    np.testing.assert_array_equal(model.coef_, 0)
    assert model.intercept_ == y[0]
    assert model.objective_ == model.dual_gap_ == 0


def test_weak_lassos_approach_the_fit_without():
    X, y = contaminated()
    plain = HuberRegressor().fit(X, y)
    weak = HuberRegressor(alpha=1e-9, l1_ratio=1.0).fit(X, y)
    np.testing.assert_allclose(weak.coef_, plain.coef_, rtol=1e-6)
    assert Reference(X, y, Huber()).value_of(weak) == pytest.approx(plain.objective_, rel=1e-12)

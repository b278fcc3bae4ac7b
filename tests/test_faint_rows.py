"""Weights over hundreds of decades: certified by the rows that count, or a warning."""

import warnings

import numpy as np
import pytest
from _fuzz_judge import objective_of
from sklearn.exceptions import ConvergenceWarning

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

MODELS = [
    HuberRegressor(),
    HuberRegressor(scale=1.0),
    HuberRegressor(scale="mad"),
    HuberRegressor(alpha=0.01, l1_ratio=1.0),
    MRegressor("half_squared"),
    MRegressor("log_cosh", alpha=0.1, solver="lbfgs"),
    L1Regressor(),
    L2Regressor(alpha=0.1),
    QuantileRegressor(0.8),
]


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_the_weights_of_a_kernel(model, seed):
    """A local fit has weights down to nothing, and is that of the rows near by."""
    g = np.random.default_rng(seed)
    X = 50.0 + g.normal(size=(200, 2))
    y = X.sum(axis=1) + 0.1 * g.standard_t(3, 200)
    y[:20] += 100.0
    weight = np.exp(-(((X - X.mean(axis=0)) ** 2).sum(axis=1)) / 0.05)
    near = weight > 1e-12 * weight.max()
    assert weight.min() < 1e-40
    model.fit(X[near], y[near], weight[near])
    expected = np.append(model.coef_, model.intercept_)
    model.fit(X, y, weight)
    assert model.converged_
    np.testing.assert_allclose([*model.coef_, model.intercept_], expected, rtol=1e-5, atol=1e-5)


def test_several_quantiles():
    g = np.random.default_rng(0)
    X, y = g.normal(size=(60, 2)), g.normal(size=60)
    weight = np.append(np.ones(40), np.full(20, 1e-100))
    quantiles = [0.2, 0.5, 0.8]
    expected = QuantileRegressor(quantiles).fit(X[:40], y[:40]).coef_
    model = QuantileRegressor(quantiles).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-9)


@pytest.mark.parametrize("power", [20, 100, 300])
@pytest.mark.parametrize("model", [m for m in MODELS if "mad" not in repr(m)][:-1], ids=repr)
def test_weights_of_all_sizes(model, power):
    """Few rows make the fit exact for the others; its objective is still that of its coefficients.

    The bound is 0 then, which is right, and the fit is not certified unless that is nothing.
    """
    for seed in range(2):
        g = np.random.default_rng(seed)
        X, y = g.normal(size=(30, 4)), g.normal(size=30) + 3.0
        weight = 10.0 ** g.uniform(-power, power, 30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(X, y, weight)
        joint = getattr(model, "scale", 1.0) == "joint"
        objective = objective_of(model, X, y, weight, None if joint else 1.0)
        value = objective.value(model.coef_, model.intercept_, model.scale_ if joint else None)
        allowed = 16 * objective.rounding(model.coef_, model.intercept_, model.scale_)
        assert abs(value - model.objective_) <= 1e-9 * value + allowed
        assert 0.0 <= model.dual_gap_ <= model.objective_
        heavy = np.argsort(weight)[-4:]
        if weight[heavy].min() < 1e-16 * weight.max() and not model.alpha:  # fitted by the others
            assert model.dual_gap_ == model.objective_


@pytest.mark.parametrize(
    "model",
    [
        SRegressor(random_state=0),
        SRegressor("hampel", random_state=0),
        MMRegressor(random_state=0),
        LTSRegressor(random_state=0),
        MRegressor("bisquare", random_state=0),
        MRegressor("welsch", scale="mad", random_state=0),
    ],
    ids=repr,
)
@pytest.mark.parametrize("gross", [1e9, 1e14])
def test_a_dummy_whose_only_row_is_gross(model, gross):
    """Its coefficient is gross, too, and takes no digits from the others."""
    g = np.random.default_rng(1)
    X = g.normal(size=(40, 3)) * [1.0, 30.0, 1.0] + [0.0, 50.0, 0.0]
    X[:, 2] = 0.0
    X[7, 2] = 1.0
    y = X[:, 0] - 0.1 * X[:, 1] + 0.5 * g.normal(size=40)
    y[7] = gross
    model.fit(X, y)
    assert model.converged_
    residual = y - model.predict(X)
    others = np.arange(40) != 7
    assert abs(residual[7]) <= 1e-15 * gross
    coef, intercept = model.coef_, model.intercept_
    y[7] = 20.0
    model.fit(X, y)
    np.testing.assert_allclose(coef[:2], model.coef_[:2], rtol=0, atol=1e-8)
    assert intercept == pytest.approx(model.intercept_, abs=1e-7)
    np.testing.assert_allclose(residual[others], (y - model.predict(X))[others], atol=1e-7)

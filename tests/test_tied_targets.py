"""Paths and searches on counts, ratings and rounded numbers, where alpha_max is often 0.

A median or quantile that many rows share leaves their dual variables so much room that all
slopes can be 0: the null model is then the fit at every alpha.
"""

import numpy as np
import pytest
from _cases import weights_for
from _reference_quantile import quantile_programme
from sklearn.base import clone

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
    QuantileRegressorCV,
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
)
from robustreg.model_selection._path import alpha_path

N, P = 60, 3


def gaussian():
    return np.random.default_rng(0).normal(size=(N, P))


def counts(mean):
    rng = np.random.default_rng(1)
    return rng.poisson(mean * np.exp(0.3 * gaussian()[:, 0]), N).astype(float)


TARGETS = {
    "tiled": np.tile([1.0, 2.0, 3.0], N // 3),
    "counts": counts(1.0),
    "rare counts": counts(0.1),
    "rounded": np.round(gaussian() @ [1.0, -2.0, 0.0]),
    "ratings": np.clip(np.round(3 + gaussian() @ [0.5, 0.0, 0.0]), 1, 5),
    "zero or one": (gaussian()[:, 0] > 0.8).astype(float),
    "one row": np.eye(N)[5],
}
SETTINGS = {
    "lasso": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "positive": {"l1_ratio": 1.0, "positive": True},
    "no intercept": {"l1_ratio": 1.0, "fit_intercept": False},
}
every_target = pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
every_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


def least_objective(model, X, y, weight):
    """By HiGHS, for a median or quantile under an L1 norm."""
    scale, tau = (2.0, 0.5) if isinstance(model, L1Regressor) else (1.0, model.quantile)
    return scale * quantile_programme(
        X, y, tau, weight, model.alpha / scale, model.fit_intercept, model.positive
    )


@every_target
@every_setting
@pytest.mark.parametrize(
    "model", [HuberRegressor(), L1Regressor(), QuantileRegressor(0.8)], ids=["huber", "l1", "0.8"]
)
def test_every_point_of_the_default_grid_is_a_certified_fit(y, setting, model):
    X, weight = gaussian(), weights_for(N) if setting["l1_ratio"] < 1 else None
    model = clone(model).set_params(**setting)
    path = alpha_path(clone(model), X, y, weight, n_alphas=2, eps=0.05)
    assert (path.alphas[1:] < path.alphas[:-1]).all()
    for at, alpha in enumerate(path.alphas):
        fit = model.set_params(alpha=alpha).fit(X, y, weight)
        assert fit.converged_
        assert path.dual_gaps[at] <= 1e-7 * fit.objective_ + 1e-13
        coef, intercept = path.coefs[:, at], path.intercepts[at]
        if isinstance(model, HuberRegressor):
            np.testing.assert_allclose(coef, fit.coef_, rtol=1e-6, atol=1e-8)
            continue
        if setting["l1_ratio"] < 1:  # the ridge makes it unique
            np.testing.assert_allclose(coef, fit.coef_, rtol=1e-8, atol=1e-10)
            continue
        low, high = model._get_loss().conjugate_domain
        residual = y - X @ coef - intercept
        value = np.mean(np.maximum(high * residual, low * residual)) + alpha * np.abs(coef).sum()
        least = least_objective(model, X, y, weight)
        assert value == pytest.approx(least, rel=1e-9, abs=1e-13)
        assert fit.objective_ == pytest.approx(least, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("name", ["tiled", "one row"])
@pytest.mark.parametrize(
    "search",
    [
        L1RegressorCV(alphas=4, cv=3),
        L1RegressorCV(alphas=4, cv=3, positive=True, l1_ratio=0.5),
        QuantileRegressorCV(0.8, alphas=4, cv=3, fit_intercept=False),
        HuberRegressorCV([0.5, 3.0], alphas=4, l1_ratio=1.0, cv=3),
        HuberRegressorCV([0.5, 3.0], cv=3),
    ],
    ids=["l1", "l1-positive", "quantile", "huber-lasso", "huber"],
)
def test_searches(name, search):
    search = clone(search).fit(gaussian(), TARGETS[name])
    assert search.converged_
    assert np.isfinite(search.scores_path_).all()


@every_target
def test_paths_along_delta(y):
    path = huber_delta_path(gaussian(), y, n_deltas=3, alpha=0.1, l1_ratio=1.0)
    for at, delta in enumerate(path.deltas):
        fit = HuberRegressor(delta, alpha=0.1, l1_ratio=1.0).fit(gaussian(), y)
        np.testing.assert_allclose(path.coefs[:, at], fit.coef_, rtol=1e-6, atol=1e-8)
        assert path.dual_gaps[at] <= 1e-7 * fit.objective_ + 1e-13


# --- where alpha_max is 0


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_grid_from_no_alpha_max_starts_where_no_target_has_coefficients(l1_ratio, fit_intercept):
    """The steepest slope of any nu within its bounds, per standard deviation."""
    X, y = gaussian() * [1.0, 100.0, 1e-3] + 2.0, np.eye(N)[5]
    shared = {"l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
    size = X.std(axis=0) if fit_intercept else np.sqrt((X**2).mean(axis=0))
    for path, bound in (
        (l1_path(X, y, **shared, n_alphas=4), 1.0),
        (quantile_path(X, y, quantile=0.3, **shared, n_alphas=4), 0.7),
        (huber_path(X, y, delta=1.5, **shared, n_alphas=4), 1.5),
    ):
        assert path.alpha_max == 0.0
        expected = bound * size.max() / l1_ratio
        np.testing.assert_allclose(path.alphas, expected * np.geomspace(1, 1e-3, 4), rtol=1e-12)
        assert not path.coefs.any()
    rng = np.random.default_rng(0)
    for target in (rng.normal(size=N), np.sign(X[:, 1] - 2.0), rng.poisson(3.0, N).astype(float)):
        assert l1_path(X, target, **shared, n_alphas=1).alpha_max <= size.max() / l1_ratio
        assert (
            huber_path(X, target, **shared, n_alphas=1).alpha_max <= 1.345 * size.max() / l1_ratio
        )


def test_a_search_without_an_alpha_max_has_a_grid_for_the_largest_delta():
    X, y = gaussian(), np.eye(N)[5]
    search = HuberRegressorCV([1.0, 2.0], alphas=3, l1_ratio=1.0, cv=2).fit(X, y)
    np.testing.assert_allclose(
        search.alphas_[[0, -1]], 2.0 * X.std(axis=0).max() * np.array([1, 1e-3])
    )


@pytest.mark.parametrize(
    "model",
    [HuberRegressor(), HuberRegressor(scale=1.0), MRegressor(), L2Regressor(), L1Regressor()],
    ids=["huber", "fixed", "log-cosh", "l2", "l1"],
)
@pytest.mark.parametrize("mean", [0.0, 1e5])
def test_slopes_that_are_rounding_make_no_alpha_max(model, mean):
    """y is the same at both levels of every column, in tenths, whose sums are rounded."""
    levels = np.array([[0.1, 0.3], [0.1, 0.7], [0.6, 0.3], [0.6, 0.7]])
    X = np.repeat(levels, 7, axis=0) + mean
    y = np.tile([0.1, 0.2, 0.7, 1.3, 2.9, 3.1, 0.3], 4)
    path = alpha_path(clone(model).set_params(l1_ratio=1.0), X, y, n_alphas=3)
    assert path.alpha_max == 0.0
    assert path.alphas[0] > 0.1
    assert not path.coefs.any()


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_targets_have_an_ordinary_grid(value):
    for path in (huber_path, l1_path, quantile_path):
        found = path(gaussian(), np.full(N, value), n_alphas=3)
        assert found.alpha_max == 0.0
        assert 1e-4 < found.alphas.min() < found.alphas.max() < 10.0
        assert not found.coefs.any()
    nothing = l1_path(np.ones((N, 2)), counts(1.0), n_alphas=3)
    np.testing.assert_allclose(nothing.alphas, np.geomspace(1.0, 1e-3, 3))


def test_an_alpha_max_out_of_range_asks_for_alphas():
    with pytest.raises(ValueError, match=r"alphas must be given.*l1_ratio next to 0"):
        l1_path(gaussian(), gaussian()[:, 0], l1_ratio=1e-310)


# --- alphas that are next to nothing


@pytest.mark.parametrize("alpha", [1e-200, 1e-310, 5e-324])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(scale=1.0),
        MRegressor(),
        L2Regressor(),
        L1Regressor(),
        L1Regressor(positive=True),
        QuantileRegressor(0.8),
        QuantileRegressor(0.8, solver="reduced"),
    ],
    ids=repr,
)
def test_next_to_no_penalty_is_none(model, l1_ratio, alpha):
    X = gaussian()
    y = X @ [1.0, 0.5, 0.0] + np.random.default_rng(3).normal(size=N)
    free = clone(model).fit(X, y)
    fit = clone(model).set_params(alpha=alpha, l1_ratio=l1_ratio).fit(X, y)
    assert fit.converged_
    assert fit.objective_ == pytest.approx(free.objective_, rel=1e-12)
    assert fit.dual_gap_ <= 1e-10 * fit.objective_
    np.testing.assert_allclose(fit.coef_, free.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("alpha", [1e-200, 1e-310, 5e-324])
def test_next_to_no_penalty_where_the_scale_is_zero(alpha):
    """The null fit is exact in all rows but one; so is every other one with these zeros."""
    y = np.eye(N)[5]
    for l1_ratio in (0.5, 1.0):
        fit = HuberRegressor(alpha=alpha, l1_ratio=l1_ratio).fit(gaussian(), y)
        assert fit.converged_
        assert fit.scale_ == 0.0
        assert fit.objective_ == pytest.approx(1.345 / N, rel=1e-9)
        np.testing.assert_allclose(fit.predict(gaussian()), 0.0, atol=1e-9)


# --- a guess that misleads


def test_a_point_that_its_neighbours_mislead_is_fitted_as_the_estimator_does(monkeypatch):
    X, y = gaussian(), counts(1.0)
    expected = huber_path(X, y, n_alphas=5)
    monkeypatch.setattr(
        "robustreg.model_selection._sequence.Sequence._guess",
        lambda self, here, alphas: np.array([*np.full(P, 1e30), 0.0, 1.0]),
    )
    found = huber_path(X, y, n_alphas=5)
    np.testing.assert_allclose(found.coefs, expected.coefs, rtol=1e-6, atol=1e-9)

"""Targets beyond 1e15 spreads: brought in where only their sign matters, and only there."""

import warnings

import numpy as np
import pytest
from _reference import Reference
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
    huber_delta_path,
    huber_path,
)
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Absolute, HalfSquared, Huber, LogCosh, Quantile
from robustreg.penalties import ElasticNet

NEAR = 1e10  # of this size nothing is brought in, and the bulk hardly matters any more


def alternating(far, n=6):
    y = np.resize([0.0, 1.0, 2.0, 1.0, 0.0], n)
    y[-1] = far
    return np.arange(float(n))[:, None] % 2, y


def gaussian(far, count=1, n=50):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    y[:count] = far * rng.uniform(1.0, 2.0, size=count)
    return X, y


BEYOND_BREAKDOWN = {
    "huber": (HuberRegressor(3.0), alternating, {}),
    "huber-lbfgs": (HuberRegressor(3.0, solver="lbfgs"), alternating, {}),
    "huber-large-delta": (HuberRegressor(10.0), gaussian, {}),
    "huber-many": (HuberRegressor(), gaussian, {"count": 22}),
    "huber-auto": (HuberRegressor("auto"), gaussian, {"count": 22}),
    "huber-lasso": (HuberRegressor(alpha=0.1, l1_ratio=1.0), gaussian, {"count": 22}),
    "huber-working-set": (
        HuberRegressor(alpha=0.1, l1_ratio=1.0, solver="working_set"),
        gaussian,
        {"count": 22},
    ),
    "huber-mad": (HuberRegressor(scale="mad"), gaussian, {"count": 27}),
    "pseudo-huber": (MRegressor("pseudo_huber"), alternating, {"n": 5}),
    "log-cosh": (MRegressor(LogCosh(10.0)), gaussian, {}),
    "huber-wide-scale": (HuberRegressor(scale=10.0), gaussian, {}),
    "pseudo-huber-wide-scale": (MRegressor("pseudo_huber", scale=1.0), gaussian, {}),
    "quantile": (QuantileRegressor(0.9), gaussian, {"count": 22}),
    "s": (SRegressor(breakdown_point=0.1, random_state=0), gaussian, {"count": 10}),
    "lts": (LTSRegressor(1.0, reweight=False, random_state=0), gaussian, {}),
    "bisquare-wide-scale": (MRegressor("bisquare", scale=10.0, random_state=0), gaussian, {}),
}


def in_units(model, far):
    """A scale that is a number counts in units of the far targets."""
    scale = getattr(model, "scale", None)
    return clone(model).set_params(scale=scale * far) if isinstance(scale, float) else clone(model)


@pytest.mark.parametrize("far", [1e17, 1e250])
@pytest.mark.parametrize(
    ("model", "table", "shape"), BEYOND_BREAKDOWN.values(), ids=BEYOND_BREAKDOWN.keys()
)
def test_a_fit_that_follows_them_moves_in_proportion(model, table, shape, far):
    if isinstance(model, LTSRegressor) or isinstance(getattr(model, "scale", None), float):
        far = min(far, 1e140)  # the unit of an objective of squares; the reach of a given scale
    near = in_units(model, NEAR).fit(*table(NEAR, **shape))
    model = in_units(model, far).fit(*table(far, **shape))
    size = np.abs(near.coef_).max() + abs(near.intercept_)
    assert size > 1e-3 * NEAR
    ratio = far / NEAR
    np.testing.assert_allclose(model.coef_ / ratio, near.coef_, rtol=0, atol=1e-7 * size)
    np.testing.assert_allclose(model.intercept_ / ratio, near.intercept_, rtol=0, atol=1e-7 * size)
    np.testing.assert_allclose(model.scale_ / ratio, near.scale_, rtol=1e-7)
    if isinstance(model, LTSRegressor):
        ratio *= ratio
    np.testing.assert_allclose(model.objective_ / ratio, near.objective_, rtol=1e-7)
    assert model.converged_
    assert getattr(model, "dual_gap_", 0.0) <= 1e-7 * model.objective_ or model.solver_ == "irls"


AT_A_LEVER = {
    "l1": L1Regressor(),
    "quantile": QuantileRegressor(0.3),
    "huber": HuberRegressor(),
    "pseudo-huber": MRegressor("pseudo_huber"),
}


@pytest.mark.parametrize("far", [1e16, 1e17, 1e20])
@pytest.mark.parametrize("model", AT_A_LEVER.values(), ids=AT_A_LEVER.keys())
def test_a_far_target_that_alone_has_a_regressor_is_fitted(model, far):
    """The others keep their digits: (far - 1) + 1 is far in floating point, too."""
    X = np.array([[0.0], [0.0], [0.0], [0.0], [1.0]])
    near = clone(model).fit(X, [0.0, 1.0, 2.0, 1.0, 100.0])
    model = clone(model).fit(X, [0.0, 1.0, 2.0, 1.0, far])
    assert model.converged_
    np.testing.assert_allclose(model.coef_, far, rtol=1e-15)
    np.testing.assert_allclose(model.intercept_, near.intercept_, rtol=1e-9)
    np.testing.assert_allclose(model.scale_, near.scale_, rtol=1e-9)
    np.testing.assert_allclose(model.objective_, near.objective_, rtol=1e-9)


@pytest.mark.parametrize("max_iter", [1, 100])
@pytest.mark.parametrize("far", [1e17, 1e30])
@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (L1Regressor(), Absolute()),
        (L1Regressor(solver="linprog"), Absolute()),
        (QuantileRegressor(0.3), Quantile(0.3)),
        (HuberRegressor(), Huber()),
        (HuberRegressor(scale=0.1), Huber()),
    ],
)
def test_no_certificate_is_too_small(model, loss, far, max_iter):
    """Warned or not: F at the fit is above its minimum by the gap at most."""
    X = np.array([[0.0], [0.0], [0.0], [0.0], [1.0]])
    y = np.array([0.0, 1.0, 2.0, 1.0, far])
    model = clone(model).set_params(max_iter=max_iter)
    # at the minimum the last row is fitted, and F that of the others, which is of order 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert {entry.category for entry in caught} <= {ConvergenceWarning}
    assert model.converged_ == (not caught)
    best = clone(model).set_params(max_iter=100).fit(X, [0.0, 1.0, 2.0, 1.0, 10.0]).objective_
    residual = y - (X @ model.coef_ + model.intercept_)
    if isinstance(loss, Absolute | Quantile):
        value = np.mean(loss.rho(residual))
    else:
        scale = model.scale_ if model.scale == "joint" else model.scale
        value = scale * (np.mean(loss.rho(residual / scale)) + loss.kappa * (scale != 0.1))
    assert model.objective_ == pytest.approx(value, rel=1e-9)
    assert value - best <= model.dual_gap_ * (1 + 1e-9) + 1e-9
    assert not model.converged_ or value - best <= 1e-7 * value
    assert model.dual_gap_ <= model.objective_


@pytest.mark.parametrize("loss", ["half_squared", "squared"])
@pytest.mark.parametrize("far", [1e12, 1e15, 1e17, 1e100])
def test_squares_with_a_joint_scale(loss, far):
    """What they minimise is the root mean square, whatever the bulk is like."""
    X, y = gaussian(far)
    model = MRegressor(loss).fit(X, y)
    design = np.c_[X, np.ones(len(y))]
    theta = np.linalg.lstsq(design, y / far, rcond=None)[0]
    rms = np.sqrt(np.mean((y / far - design @ theta) ** 2))
    np.testing.assert_allclose(model.coef_ / far, theta[:-1], rtol=1e-9)
    assert model.scale_ / far == pytest.approx(rms, rel=1e-9)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("loss", [Absolute(), Huber(), HalfSquared(), LogCosh()])
@pytest.mark.parametrize("scale", [None, 1.0])
def test_gross_errors_make_nothing_negligible(loss, scale):
    """The absolute part of the criterion is nothing beside the bulk, whatever the others are."""
    if loss.homogeneity == 1 and scale is None:
        return
    X, y = gaussian(0.0)
    common = {
        "loss": loss,
        "scale": scale,
        "penalty": ElasticNet(),
        "fit_intercept": True,
    }
    clean = make_problem(Data(X, y, None, 1), **common)
    y[:10] = np.logspace(3, 14, 10)
    gross = make_problem(Data(X, y, None, 1), **common)
    negligible = gross.in_units_of_objective(gross.negligible)
    assert negligible <= 4.0 * clean.in_units_of_objective(clean.negligible)
    assert 0.0 < negligible <= 1e-13


@pytest.mark.parametrize("far", [1e17, 1e100])
def test_paths_and_searches_follow_them_too(far):
    X, y = gaussian(far, count=22)
    near = gaussian(NEAR, count=22)
    lasso, expected = huber_path(X, y, n_alphas=4), huber_path(*near, n_alphas=4)
    assert lasso.alpha_max == pytest.approx(expected.alpha_max, rel=1e-7)
    np.testing.assert_allclose(lasso.scales / far, expected.scales / NEAR, rtol=1e-7)
    size = np.abs(expected.coefs).max() / NEAR
    np.testing.assert_allclose(lasso.coefs / far, expected.coefs / NEAR, rtol=0, atol=1e-7 * size)
    deltas = [1.0, 1.345, 3.0]
    found, expected = huber_delta_path(X, y, deltas=deltas), huber_delta_path(*near, deltas=deltas)
    np.testing.assert_allclose(found.scales / far, expected.scales / NEAR, rtol=1e-7)
    search = HuberRegressorCV(deltas, cv=3).fit(X, y)
    expected = HuberRegressorCV(deltas, cv=3).fit(*near)
    np.testing.assert_allclose(search.scores_path_ / far, expected.scores_path_ / NEAR, rtol=1e-6)


def test_the_fit_of_the_bulk_keeps_its_digits():
    """Below the breakdown point: y of 1e15 and of 1e300 are the same to the others."""
    X, y = gaussian(0.0)
    y[:3] = 1e12
    near = HuberRegressor().fit(X, y)
    for far in (1e16, 1e100, 1e300):
        y[:3] = far
        model = HuberRegressor().fit(X, y)
        np.testing.assert_allclose(model.coef_, near.coef_, rtol=1e-12)
        assert model.scale_ == pytest.approx(near.scale_, rel=1e-12)
        with np.errstate(over="ignore"):
            value = Reference(X, y, Huber()).value_of(model)
        assert model.objective_ == pytest.approx(value, rel=1e-12)
        assert model.dual_gap_ <= 1e-7 * model.objective_


def test_gross_errors_that_hide_every_step_of_the_others():
    # beside 1e16 no step of the rows near the fit shows in the objective: their slopes decide
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 2))
    y = X @ [1.0, 2.0] + rng.normal(size=50)
    y[:20] = X[:20] @ [1.0, 2.0]
    y[-12:] += 1e16 * (rng.random(12) - 0.3)
    fit = HuberRegressor(delta=0.3).fit(X, y)
    assert fit.converged_
    assert fit.scale_ == 0.0
    np.testing.assert_allclose(fit.coef_, [1.0, 2.0], rtol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        MRegressor(loss=LogCosh(c=4.6)),
        HuberRegressor(delta=1e-6, scale=1e-9),
        L2Regressor(),
    ],
    ids=str,
)
def test_exact_fits_of_a_gross_target_are_certified(model):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 30)), rng.normal(size=12)
    y[3] = 1e12
    fit = model.fit(X, y)
    assert fit.converged_
    np.testing.assert_allclose(fit.predict(X), y, rtol=0, atol=1e-14 * 1e12)
    if fit.get_params().get("scale") == "joint":
        assert fit.scale_ == 0.0


@pytest.mark.parametrize(
    "model",
    [
        MMRegressor(random_state=0),
        LTSRegressor(random_state=0),
        SRegressor(random_state=0),
        HuberRegressor(),
    ],
    ids=repr,
)
def test_long_tables_are_looked_at_in_samples(model):
    """Rows of a sample are not those of the table by number."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 3))
    y = X.sum(axis=1) + rng.normal(size=len(X))
    y[-2000::100] = 1e20
    model.fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, 1.0, atol=0.05)
    assert model.outliers_[-2000::100].all()

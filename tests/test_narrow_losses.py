"""Losses whose centre is next to nothing beside the residuals: all but absolute deviations."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from robustreg import HuberRegressor, L1Regressor, MRegressor, huber_path
from robustreg.evaluation.choice import separable
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Huber, LogCosh, PseudoHuber, SmoothL1
from robustreg.penalties import ElasticNet
from robustreg.solvers._continuation import from_above

ELASTIC = [{}, {"alpha": 0.05, "l1_ratio": 1.0}, {"alpha": 0.05, "l1_ratio": 0.5}, {"alpha": 0.1}]
NARROW = [
    *(Huber(delta) for delta in (1e-12, 1e-9, 1e-7, 1e-5, 1e-3)),
    *(loss(width) for loss in (PseudoHuber, LogCosh, SmoothL1) for width in (1e-11, 1e-6)),
]


def gaussian(seed, n=60):
    g = np.random.default_rng(seed)
    X = g.normal(size=(n, 3))
    return X, X @ [1.0, 2.0, 3.0] + g.normal(size=n)


@pytest.mark.parametrize("loss", NARROW, ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_on_few_rows_the_joint_fit_is_that_of_absolute_deviations(loss, seed):
    """The scale's equation would put less of the rows into the centre than the vertex holds."""
    X, y = gaussian(seed)
    model, limit = MRegressor(loss).fit(X, y), L1Regressor().fit(X, y)
    np.testing.assert_allclose(model.coef_, limit.coef_, rtol=1e-10)
    assert model.scale_ == 0.0
    steepest = loss.conjugate_domain[1]
    assert model.objective_ == pytest.approx(steepest * limit.objective_, rel=1e-12)


@pytest.mark.parametrize("loss", [Huber(1e-9), SmoothL1(1e-9), LogCosh(1e-6)], ids=repr)
@pytest.mark.parametrize("penalty", ELASTIC, ids=str)
def test_the_same_under_penalties(loss, penalty):
    X, y = gaussian(4)
    steepest = loss.conjugate_domain[1]
    limit = L1Regressor(**penalty).fit(X, y)
    alpha = steepest * penalty.get("alpha", 0.0)
    model = MRegressor(loss, **penalty).set_params(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(model.coef_, limit.coef_, atol=1e-9)
    assert model.objective_ == pytest.approx(steepest * limit.objective_, rel=1e-11)


@pytest.mark.parametrize("scale", [1e-12, 1e-15, 1e-16, 1e-20, 1e-100, 1e-150])
@pytest.mark.parametrize("penalty", ELASTIC[:2], ids=str)
@pytest.mark.parametrize("loss", [Huber(1.345), PseudoHuber(1.0), SmoothL1(1.0)], ids=repr)
def test_a_scale_below_rounding_is_the_limit(scale, penalty, loss):
    X, y = gaussian(5)
    steepest = loss.conjugate_domain[1]
    limit = L1Regressor(**penalty).fit(X, y)
    alpha = steepest * penalty.get("alpha", 0.0)
    model = MRegressor(loss, scale=scale, **penalty).set_params(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(model.coef_, limit.coef_, atol=1e-10)
    assert model.objective_ == pytest.approx(steepest * limit.objective_, rel=1e-10)


@pytest.mark.parametrize("delta", [1e-2, 1e-3])
def test_on_many_rows_the_scale_satisfies_its_equation(delta):
    """It puts about 0.8 delta n rows into the centre: here more than there are coefficients."""
    X, y = gaussian(6, n=20_000)
    model = HuberRegressor(delta).fit(X, y)
    z = (y - model.predict(X)) / model.scale_
    psi = np.clip(z, -delta, delta)
    assert np.mean(psi**2) == pytest.approx(2 * Huber(delta).kappa, rel=1e-9)
    np.testing.assert_allclose(np.mean(psi[:, None] * X, axis=0) / delta, 0.0, atol=1e-9)
    assert model.scale_ == pytest.approx(1.0, rel=0.5)


def test_a_fixed_scale_that_is_wide_may_have_a_narrow_centre():
    """Beside this loss residuals are far out, though the scale is a third of their size."""
    X, y = gaussian(7, n=300)
    model = HuberRegressor(1e-6, scale=0.3, alpha=1e-7, l1_ratio=1.0).fit(X, y)
    limit = L1Regressor(alpha=0.1, l1_ratio=1.0).fit(X, y)
    assert model.objective_ == pytest.approx(1e-6 * limit.objective_, rel=1e-6)
    assert model.objective_ <= 1e-6 * limit.objective_


@pytest.mark.parametrize("delta", [3e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("solver", ["newton", "working_set"])
def test_where_no_row_is_on_the_fit_the_scale_is_large(delta, solver):
    """Of an even number of rows none need be at the median: two of them then share the centre.

    Their psi alone may differ from delta, and has to bring the mean square to 2 kappa.
    """
    g = np.random.default_rng(8)
    X, y = g.normal(size=(10, 3)), np.array([-9.0, -6, -5, -3, -1, 2, 3, 6, 7, 9])
    model = HuberRegressor(delta, alpha=1.0, l1_ratio=1.0, solver=solver).fit(X, y)
    assert not model.coef_.any()
    psi = np.sqrt(10 * Huber(delta).kappa - 4 * delta**2)
    scale, loss = 1.5 / psi, Huber(delta)
    least = scale * (np.mean(loss.rho((y - 0.5) / scale)) + loss.kappa)
    assert model.objective_ == pytest.approx(least, rel=1e-11)
    # F is so flat that these are less than 1e-11 of it
    assert model.intercept_ == pytest.approx(0.5, abs=1e-5)
    assert model.scale_ == pytest.approx(scale, rel=1e-5)


def test_rounding_of_residuals_is_no_gap():
    """Beside a timestamp residuals of the vertex are rounding, and more than F may be wrong by."""
    g = np.random.default_rng(15)
    X = np.c_[g.normal(size=(8, 4)), 1.7e12 + 2e8 * g.normal(size=8)]
    y = X @ [-7.0, 2, 3, 20, 3e-9] + 1e-6 * g.normal(size=8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # which rounding may leave as well
        model = HuberRegressor(0.5, scale=3e-14).fit(X, y)
    limit = L1Regressor().fit(X, y)
    assert model.objective_ == pytest.approx(0.5 * limit.objective_, rel=1e-5)


def test_the_equation_of_the_scale_is_solved():
    """Next to rounding the slope is another one each time, and brackets lost their signs."""
    g = np.random.default_rng(8)
    X, y = g.normal(size=(10, 3)), np.array([-9.0, -6, -5, -3, -1, 2, 3, 6, 7, 9])
    penalty = ElasticNet(1.0, 1.0)
    how = {"loss": Huber(1e-5), "scale": None, "penalty": penalty, "fit_intercept": True}
    problem = make_problem(Data(X, y, None, 1), **how)
    theta, _ = from_above(problem, make_objective(problem, separable(problem)), 100)
    psi = np.sqrt(10 * Huber(1e-5).kappa - 4 * 1e-10)
    assert theta[-1] * problem.y_unit == pytest.approx(1.5 / psi, rel=1e-6)


def test_nothing_but_a_scale_to_fit():
    """Along a path without an intercept, the null model of a narrow loss has no coefficients."""
    g = np.random.default_rng(3)
    X, y = g.normal(size=(9, 4)), g.normal(size=9)
    options = {"delta": 1e-6, "fit_intercept": False}
    largest = huber_path(X, y, n_alphas=1, **options).alpha_max
    path = huber_path(X, y, alphas=[1.01 * largest, 0.9 * largest], **options)
    np.testing.assert_array_equal(path.coefs[:, 0], 0.0)
    assert path.coefs[:, 1].any()

"""A column of ones in place of the intercept, and y far from 0: what is small beside y is not 0."""

import numpy as np
import pytest
from _cases import clean

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


@pytest.mark.parametrize("far", [1e6, 1.7e9, 1.7e12])
@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(scale="mad"),
        MRegressor("half_squared"),
        MRegressor("squared"),
        L1Regressor(),
        L2Regressor(),
        QuantileRegressor(0.7),
        SRegressor(random_state=0),
        MMRegressor(random_state=0),
        LTSRegressor(random_state=0),
        MRegressor("bisquare", random_state=0),
        MRegressor("cauchy", scale="mad", random_state=0),
    ],
    ids=repr,
)
def test_y_far_from_0_without_an_intercept(model, far):
    X, y = clean()
    y[:5] += 50.0
    expected = model.set_params(fit_intercept=True).fit(X, y + far)
    scale, coef, flags = expected.scale_, expected.coef_, expected.outliers_
    size = np.abs(y + far - expected.predict(X)) / scale
    clear = np.abs(size - 2.5) > 0.1 if not isinstance(model, QuantileRegressor) else size > 10
    model.set_params(fit_intercept=False).fit(np.c_[X, np.ones(len(y))], y + far)
    assert model.converged_
    rounding = 1e-15 * far
    assert model.scale_ == pytest.approx(scale, rel=1e-6, abs=100 * rounding)
    np.testing.assert_allclose(model.coef_[:-1], coef, rtol=0, atol=1e-6 * scale + 100 * rounding)
    np.testing.assert_array_equal(model.outliers_[clear], flags[clear])


@pytest.mark.parametrize("seed", [0, 6, 10, 11])
@pytest.mark.parametrize(
    "model",
    [
        SRegressor(random_state=0),
        MMRegressor(random_state=0),
        MRegressor("bisquare", random_state=0),
    ],
    ids=repr,
)
def test_descents_end_where_steps_are_lost_in_rounding(model, seed):
    """Residuals have four digits: none moves by a step that is still above 1e-10 scales."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=60)
    y[:5] += 50.0
    model.set_params(fit_intercept=False).fit(np.c_[X, np.ones(60)], y + 1.7e11)
    assert model.converged_
    assert model.n_iter_ < 30


@pytest.mark.parametrize(
    "model", [HuberRegressor(), L1Regressor(), MMRegressor(random_state=0)], ids=repr
)
def test_an_exact_fit_far_from_0(model):
    """Residuals are the rounding of y then, and count as 0."""
    X, _ = clean()
    y = X.sum(axis=1) + 1.7e9
    y[:5] += 50.0
    model.set_params(fit_intercept=False).fit(np.c_[X, np.ones(len(y))], y)
    assert model.scale_ == 0.0
    assert model.outliers_.sum() == 5

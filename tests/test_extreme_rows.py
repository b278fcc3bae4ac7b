"""Rows of hardly any weight, rows far out, penalties beside exact fits: nothing silently wrong."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from _cases import clean
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
    huber_path,
    l1_path,
)
from robustreg._median import residual_mad
from robustreg._parallel import map_ordered, one_blas_thread
from robustreg.model_selection import L1RegressorCV
from robustreg.subsampling.criteria import off_plane
from robustreg.subsampling.descent import Fit, fit_on_plane
from robustreg.subsampling.exact import plane_of_most_rows
from robustreg.subsampling.table import Table

CONVEX = [
    HuberRegressor(),
    HuberRegressor(scale="mad"),
    HuberRegressor(0.15, scale=1.0, solver="lbfgs"),
    MRegressor("log_cosh", alpha=0.1),
    L1Regressor(),
    L1Regressor(alpha=0.1, l1_ratio=0.5),
    L2Regressor(alpha=0.1),
    QuantileRegressor(0.3, solver="interior"),
]
SEARCHED = [
    MRegressor("bisquare", random_state=0),
    SRegressor(n_subsamples=50, random_state=0),
    MMRegressor(n_subsamples=50, random_state=0),
    LTSRegressor(n_subsamples=50, random_state=0),
]


@pytest.mark.parametrize(
    "model", [HuberRegressor(2.0), HuberRegressor(2.0, solver="lbfgs"), L1Regressor()], ids=repr
)
def test_a_gross_y_without_weight_is_no_part_of_the_unit_of_a_penalty(model):
    """Most y are 0, and the unit is a root mean square: of weights that have no square beside y."""
    g = np.random.default_rng(0)
    X, y, weight = g.normal(size=(40, 2)), np.zeros(40), np.full(40, 1e100)
    y[:12] = g.normal(size=12) + X[:12, 0]
    y[39], weight[39] = 1e195, 1e-308
    model.set_params(alpha=0.01).fit(X[:39], y[:39])
    expected = model.coef_, model.objective_
    model.fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, expected[0], rtol=1e-6, atol=1e-9)
    assert model.objective_ == pytest.approx(expected[1], rel=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        *(L1Regressor(solver=name) for name in ("interior", "reduced", "simplex", "linprog")),
        QuantileRegressor(0.4),
        HuberRegressor(),
        MRegressor("log_cosh", solver="working_set"),
    ],
    ids=repr,
)
def test_an_exact_fit_has_to_be_worth_its_penalty(model):
    """All rows but one are next to nothing: least squares are exact, and cost 0.3 in F."""
    X, y = np.eye(8)[:, :1], np.array([3.0, 0, 1, 2, 3, 4, 5, 7])
    weight = np.array([1.0] + [1e-40] * 7)
    model.set_params(alpha=0.1, l1_ratio=1.0).fit(X, y, weight)
    assert model.converged_
    np.testing.assert_array_equal(model.coef_, 0.0)
    assert model.intercept_ == 3.0
    assert model.objective_ <= 1e-38


def test_an_exact_fit_on_a_path_has_to_be_worth_its_penalty():
    X, y = np.eye(8)[:, :1], np.array([3.0, 0, 1, 2, 3, 4, 5, 7])
    weight = np.array([1.0] + [1e-40] * 7)
    for path in (l1_path, huber_path):
        found = path(X, y, alphas=[1.0, 0.01], sample_weight=weight)
        np.testing.assert_array_equal(found.coefs, 0.0)


def test_the_vertex_of_dummies_in_all_units_leaves_no_more_than_rounding():
    """A coefficient that is made 0 moves the rows of the vertex, and the intercept along."""
    unit = [2.55697573e-11, 2.14095005e9, 6.77930425e6, 1.05315235e9]
    group = np.array([0, 2, 2, 1, 2, 1, 0, 3])
    X = np.eye(4)[group] * unit
    y = np.array([1.0, 1.0, 1.0, -4.35035906, 1.0, -4.35035906, 1.0, -6.0160985])
    weight = np.array([5.0, 2, 1, 1, 2, 1, 1, 2])
    for solver in ("interior", "reduced"):
        model = QuantileRegressor(0.617, alpha=0.454, l1_ratio=0.599, solver=solver)
        model.fit(X, y, weight)
        assert np.abs(y - model.predict(X)).max() <= 8 * np.finfo(float).eps


def test_the_vertex_under_a_ridge_of_other_units_leaves_no_more_than_rounding():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 2)) * [1e11, 1e-12]
    y = 1e-11 * X[:, 0] + rng.standard_normal(40)
    model = QuantileRegressor(alpha=1e10, l1_ratio=0.58, fit_intercept=False).fit(X, y)
    assert model.coef_[0] > 0.0 == model.coef_[1]
    assert np.abs(y - model.predict(X)).min() <= 8 * np.finfo(float).eps


@pytest.mark.parametrize("solver", ["interior", "linprog"])
def test_beside_a_far_row_and_gross_targets_the_scale_is_that_of_the_coefficients(solver):
    """The column's mean is far from all rows: predictions there are 1e10 times the noise."""
    rng = np.random.default_rng(3)
    x = 1e11 + 1e3 * rng.standard_normal(40)
    y = np.where(rng.random(40) < 0.6, 0.0, rng.standard_normal(40))
    x[0], y[:2] = 1e25, [1e12, 1e13]
    model = L1Regressor(alpha=10.0, l1_ratio=1.0, solver=solver).fit(x[:, None], y)
    residual = y - model.predict(x[:, None])
    on = np.abs(residual) <= 1e-7
    assert on[y == 0.0].all()  # two of these different rows the vertex has made
    expected = residual_mad(residual, zero=1e-7, left_out=2 / on.sum())
    assert model.scale_ == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("model", CONVEX + SEARCHED, ids=lambda model: " ".join(str(model).split()))
def test_a_row_of_weight_0_whose_prediction_is_no_number(model):
    """Infinity minus infinity: it is as far off as can be, and the others are not concerned."""
    X, y = clean()
    X, y, weight = 1e-10 * X[:60], y[:60], np.ones(60)
    weight[0] = 0.0
    if hasattr(model, "alpha"):  # in these units no coefficient would be worth it
        model.set_params(alpha=0.0)
    model.fit(X, y, weight)
    coef, weights = model.coef_, model.weights_
    X[0] = [1e300, -1e300, 0.0] * np.sign(coef)
    model.fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9)
    np.testing.assert_allclose(model.weights_[1:], weights[1:], rtol=1e-6)
    assert model.outliers_[0]
    if not isinstance(model, L2Regressor):
        assert model.weights_[0] == 0.0


@pytest.mark.parametrize("model", [HuberRegressor(3.0), MRegressor("pseudo_huber"), L1Regressor()])
def test_coefficients_that_follow_a_far_y_out_of_range_are_refused(model):
    X, y = np.arange(6.0)[:, None] % 2 * 1e-200, np.array([0.0, 1, 2, 1, 0, 1e150])
    X[[1, 3]] = 0.0
    with pytest.raises(ValueError, match="cannot be represented in float64"):
        model.fit(X, y)


def test_held_out_rows_that_are_predicted_out_of_range():
    X, y = clean()
    X[0, 0] = 1e120
    with pytest.raises(ValueError, match="infinity"):
        L1RegressorCV(alphas=[0.01], cv=3).fit(X, 1e200 * y)


def test_threads_treat_floating_point_errors_as_their_caller():
    with one_blas_thread(), np.errstate(over="ignore"), warnings.catch_warnings():
        squares = map_ordered(lambda x: np.square(np.array([x])), [1e200] * 4, 2)
    np.testing.assert_array_equal(np.concatenate(squares), np.inf)


# ---- searches


def table(q, y, weight=None):
    return Table(np.array(q, float), np.array(y, float), weight, 1e-9, 1)


def test_rows_whose_residuals_are_no_numbers_are_off_a_plane():
    rows = table(np.ones((3, 1)), np.zeros(3))
    np.testing.assert_array_equal(off_plane(rows, np.array([[np.nan, np.inf, 0.0]])), [2.0])


def test_the_plane_of_most_rows_with_a_row_at_the_end_of_the_range():
    """Residuals of one of the planes overflow, and the other one is chosen all the same."""
    q = np.c_[np.r_[np.arange(9.0), 1e15], np.ones(10)]
    rows = table(q, np.r_[2.0 * np.arange(9), 0.0])
    found = plane_of_most_rows(rows, np.array([[1e300, 0.0], [2.0, 0.0]]))
    np.testing.assert_array_equal(found, [2.0, 0.0])


def test_a_plane_that_rounding_takes_from_its_rows_stays_where_it_is():
    rows = table(np.ones((4, 1)), [1.0, 2.0, 3.0, 4.0])
    fit = Fit(np.array([0.5]), rows.residuals(np.array([0.5])), 0.0, 1, True)
    assert fit_on_plane(rows, fit.theta).theta[0] == 0.5


@pytest.mark.parametrize("model", SEARCHED, ids=repr)
def test_candidates_far_beyond_the_table_are_no_trouble(model):
    """An elemental fit through a row at the end of the range has residuals without squares."""
    X, y = clean()
    X, y = X[:40], y[:40]
    y[0], weight = 1e6, np.full(40, 1.7e308)
    expected = model.fit(X, y, weight).coef_
    X[0, 1] = y[0] = 1e285
    model.fit(X, y, weight)
    assert model.weights_[0] == 0.0
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-6)


@pytest.mark.parametrize("y_unit", [1e160, 1e300])
def test_a_sum_of_squares_out_of_range_is_refused(y_unit):
    X, y = clean()
    with pytest.raises(ValueError, match="objective of this fit cannot be represented"):
        LTSRegressor(random_state=0).fit(X, y_unit * y)


@pytest.mark.parametrize("model", [HuberRegressor(), L1Regressor()], ids=repr)
@pytest.mark.parametrize("gross", [1e12, 1e14])
def test_coefficients_of_0_beside_huge_ones(model, gross):
    """A constant column has none, which is no sign of coefficients that float64 cannot hold."""
    g = np.random.default_rng(0)
    X, y = g.normal(size=(6, 9)), g.normal(size=6)
    X[:, 0] += 1e9
    X[:, 1] = 7.3
    X[:, 3] = X[:, 2] * (1 + 1e-9 * g.normal(size=6))
    y[0] = gross
    model.fit(X, y)
    assert model.coef_[1] == 0.0
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-6 * gross)


@pytest.mark.parametrize("model", [HuberRegressor(), HuberRegressor(scale=1.0), L1Regressor()])
def test_a_faint_row_that_is_all_of_a_column(model):
    """To F the last row is nothing, and the others have an exact fit, found or not."""
    X = np.array([[-0.1, 0.0], [0.1, 1.0], [-0.2, 2.0], [0.1, 2.5e203]])
    y, weight = np.array([2.0, 0.3, 1.9, 0.0]), np.array([1.0, 1.0, 1.0, 1e-300])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = model.fit(X, y, weight)
    assert model.objective_ - model.dual_gap_ <= 1e-9
    assert not model.converged_ or model.objective_ <= 1e-9


@pytest.mark.parametrize("seed", [3, 4, 13])
def test_the_objective_of_least_squares_is_that_of_the_coefficients_reported(seed):
    """Of columns alike but for 1e-8, two rows far out ask for terms of 1e27, whose last digits
    are 1e-5 of the rows' residuals."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(8, 2))
    X[:, 1] = X[:, 0] + 1e-8 * X[:, 1]
    X[0] *= 7e15
    X[1] *= 1e13
    y = 11e3 + 150.0 * g.normal(size=8)
    model = L2Regressor().fit(X, y)
    exact = np.array([Fraction(value) for value in y])
    for column, coef in zip(X.T, model.coef_, strict=True):
        exact = exact - np.array([Fraction(value) * Fraction(coef) for value in column])
    exact = exact - Fraction(float(model.intercept_))
    objective = float(sum(exact**2) / 16)
    assert model.objective_ == pytest.approx(objective, rel=1e-10)
    assert model.dual_gap_ <= 1e-7 * model.objective_
    assert model.converged_

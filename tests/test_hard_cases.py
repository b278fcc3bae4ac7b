"""The hard cases of the design's section 7, row by row, over the estimators."""

import os
import tempfile
import tracemalloc
import warnings

import numpy as np
import pytest
from _cases import (
    DEFAULTS,
    EQUIVARIANT,
    HIGH,
    TABLES,
    UNPENALISED,
    VARIANTS,
    WITH_INTERCEPT,
    clean,
    contaminated,
    in_turns,
    is_l1,
    linear,
    on_plane,
    weights_for,
)
from _reference import EPS, Reference
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from robustreg.estimators import HuberRegressor, L1Regressor, L2Regressor, MRegressor
from robustreg.losses import Huber

every_default = pytest.mark.parametrize("model", DEFAULTS.values(), ids=DEFAULTS.keys())
every_variant = pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())
unpenalised = pytest.mark.parametrize("model", UNPENALISED.values(), ids=UNPENALISED.keys())
equivariant = pytest.mark.parametrize("model", EQUIVARIANT.values(), ids=EQUIVARIANT.keys())
ROBUST = {name: model for name, model in VARIANTS.items() if not isinstance(model, L2Regressor)}
robust = pytest.mark.parametrize("model", ROBUST.values(), ids=ROBUST.keys())
LEAST_SQUARES = {name: model for name, model in EQUIVARIANT.items() if name not in ROBUST}
least_squares = pytest.mark.parametrize("model", LEAST_SQUARES.values(), ids=LEAST_SQUARES.keys())
with_intercept = pytest.mark.parametrize(
    "model", WITH_INTERCEPT.values(), ids=WITH_INTERCEPT.keys()
)


def fit(model, X, y, weight=None, **parameters):
    """A fitted copy; warnings are errors here, so that it has converged."""
    return clone(model).set_params(**parameters).fit(X, y, weight)


def assert_same_fit(a, b, rtol=1e-9):
    """Coefficients, intercept, scale and objective; for L1, whose optima need not be unique, F."""
    if is_l1(a):
        np.testing.assert_allclose(b.objective_, a.objective_, rtol=rtol)
        return
    size = max(np.abs(a.coef_).max(), abs(a.intercept_), a.scale_)
    np.testing.assert_allclose(b.coef_, a.coef_, rtol=0, atol=rtol * size)
    np.testing.assert_allclose(b.intercept_, a.intercept_, rtol=0, atol=rtol * size)
    np.testing.assert_allclose(b.scale_, a.scale_, rtol=rtol)
    np.testing.assert_allclose(b.objective_, a.objective_, rtol=rtol)


# --- NaN, inf, wrong shapes, strings, negative or all-zero weights (parameters: test_estimators)


def with_value(array, value):
    array = np.array(array, dtype=object if isinstance(value, str) else float)
    array.flat[3] = value
    return array


X0, Y0 = clean(n=20, p=2)
ONES = np.ones(20)
MALFORMED = {
    "X nan": ((with_value(X0, np.nan), Y0), "X contains NaN"),
    "X inf": ((with_value(X0, -np.inf), Y0), "X contains infinity"),
    "X string": ((with_value(X0, "a"), Y0), "could not convert string to float: 'a'"),
    "X one-dimensional": ((X0[:, 0], Y0), "Expected 2D array"),
    "X three-dimensional": ((X0[:, :, None], Y0), "dim 3"),
    "X without rows": ((X0[:0], Y0[:0]), "0 sample"),
    "X without columns": ((X0[:, :0], Y0), "0 feature"),
    "X complex": ((X0 + 1j, Y0), "Complex data not supported"),
    "X sparse nan": ((sparse.csr_array(with_value(X0, np.nan)), Y0), "X contains NaN"),
    "y nan": ((X0, with_value(Y0, np.nan)), "y contains NaN"),
    "y inf": ((X0, with_value(Y0, np.inf)), "y contains infinity"),
    "y string": ((X0, with_value(Y0, "a")), "could not convert string to float: 'a'"),
    "y short": ((X0, Y0[:-1]), "inconsistent numbers of samples"),
    "y two columns": ((X0, np.c_[Y0, Y0]), "y should be a 1d array"),
    "y missing": ((X0, None), "requires y to be passed"),
    "weight nan": ((X0, Y0, with_value(ONES, np.nan)), "sample_weight contains NaN"),
    "weight inf": ((X0, Y0, with_value(ONES, np.inf)), "sample_weight contains infinity"),
    "weight negative": ((X0, Y0, with_value(ONES, -0.5)), "sample_weight must not be negative"),
    "weight all zero": ((X0, Y0, 0 * ONES), "sample_weight must have a positive"),
    "weight short": ((X0, Y0, ONES[:-1]), "sample_weight.shape"),
    "weight two columns": ((X0, Y0, np.c_[ONES, ONES]), "[Ss]ample.weight.* must be 1D"),
    "weight string": ((X0, Y0, with_value(ONES, "a")), "could not convert string to float: 'a'"),
}


# All estimators validate in one place, and those of high breakdown fit what that returns in
# another way: one of each kind meets every input, the others one of X, y and the weights.
ONE_OF_A_KIND = {"huber", "s"}
ONE_OF_A_PLACE = {"X nan", "y short", "weight negative"}
every_malformed = pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        pytest.param(model, *case, id=f"{name}-{key}")
        for name, model in (DEFAULTS | HIGH).items()
        for key, case in MALFORMED.items()
        if name in ONE_OF_A_KIND or key in ONE_OF_A_PLACE
        if name in DEFAULTS or "sparse" not in key
    ],
)


@every_malformed
def test_malformed_input_is_named_and_nothing_half_fitted(model, arguments, message):
    model = clone(model)
    with pytest.raises(ValueError, match=message):
        model.fit(*arguments)
    assert not [name for name in vars(model) if name.endswith("_") and name[0] != "_"]


@every_malformed
def test_malformed_input_leaves_an_earlier_fit_as_it_was(model, arguments, message):
    X, y = clean(n=30, p=4)
    model = fit(model, X, y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(*arguments)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


@every_default
def test_a_column_whose_squares_overflow_is_fitted_as_in_other_units(model):
    X, y = clean()
    expected = fit(model, X, y)
    X[:, 1] *= 1e307
    found = fit(model, X, y)
    np.testing.assert_allclose(found.coef_ * [1.0, 1e307, 1.0], expected.coef_, rtol=1e-9)
    assert found.intercept_ == pytest.approx(expected.intercept_, rel=1e-9)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)


# --- constant y; y exactly linear in X


@pytest.mark.parametrize(
    ("model", "value"),
    in_turns(VARIANTS, [(0.0,), (0.1,), (12345678.9,)], [(1.0,), (-1e-300,), (1e300,)]),
)
def test_constant_y(model, value):
    X, _ = clean()
    if not model.fit_intercept and value:
        X[:, 0] = 1.0  # then a column must do it
    model = fit(model, X, np.full(len(X), value))
    if model.alpha == 0 or model.fit_intercept:
        assert model.scale_ == 0
        np.testing.assert_allclose(model.predict(X), value, rtol=1e-13)
        np.testing.assert_array_equal(model.weights_, 1)
        assert not model.outliers_.any()
    if model.fit_intercept:
        np.testing.assert_array_equal(model.coef_, 0)
        assert model.intercept_ == value


@unpenalised
@pytest.mark.parametrize(("n", "unit"), [(5, 1.0), (60, 1e-150), (500, 1e150)])
def test_exactly_linear_y(model, n, unit):
    X, plane, _ = linear(n)
    y = (plane - (0 if model.fit_intercept else 3)) * unit
    model = fit(model, X, y)
    assert model.scale_ == 0
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-12 * np.abs(y).max())
    np.testing.assert_array_equal(model.weights_, 1)
    assert not model.outliers_.any()
    assert model.objective_ <= 1e-12 * np.abs(y).max() * max(1.0, np.abs(y).max())


@every_default
@pytest.mark.parametrize("n", [1, 2])
def test_one_and_two_rows(model, n):
    X, y = np.array([[1.0, 2.0], [3.0, 4.0]])[:n], np.array([5.0, 7.0])[:n]
    model = fit(model, X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-13)
    assert model.scale_ == 0


# --- part of the rows exactly on a plane

TO_THE_PLANE = {
    "huber balanced": (HuberRegressor(), 0.36, False),
    "huber one-sided": (HuberRegressor(), 0.25, True),
    "l1 balanced": (L1Regressor(), 0.45, False),
    "l1 one-sided": (L1Regressor(), 0.4, True),
    "m log-cosh": (MRegressor(), 0.2, False),
    "m pseudo-Huber": (MRegressor("pseudo_huber"), 0.15, False),
    "huber lbfgs": (HuberRegressor(solver="lbfgs"), 0.3, False),
    "huber newton_cg": (HuberRegressor(solver="newton_cg"), 0.3, False),
    "huber-mad": (HuberRegressor(scale="mad"), 0.3, False),
}


@pytest.mark.parametrize(("model", "share", "sided"), TO_THE_PLANE.values(), ids=TO_THE_PLANE)
@pytest.mark.parametrize("weighted", [False, True])
def test_most_rows_on_a_plane(model, share, sided, weighted):
    X, y, on = on_plane(share, sided, n=300)
    weight = np.where(on, 1.0, 0.9) if weighted else None
    model = fit(model, X, y, weight)
    # what counts as exact, and hence the scale that "mad" holds, is 1e-9 of the null model's
    np.testing.assert_allclose(model.predict(X)[on], y[on], rtol=0, atol=2e-9 * y.std())
    assert model.scale_ == 0
    np.testing.assert_array_equal(model.weights_, on)
    np.testing.assert_array_equal(model.outliers_, ~on)
    bound = model.delta if isinstance(model, HuberRegressor) else 1.0
    if isinstance(model, MRegressor):
        bound = vars(model._get_loss()).popitem()[1]
    mean = np.average(np.abs(y - model.predict(X)), weights=weight)
    assert model.objective_ == pytest.approx(bound * mean, rel=1e-9)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize(("share", "sided"), [(0.42, False), (0.31, True)])
@pytest.mark.parametrize("seed", range(3))
def test_fewer_rows_on_a_plane_than_huber_needs(share, sided, seed):
    X, y, _ = on_plane(share, sided, n=300, seed=seed)
    model = fit(HuberRegressor(), X, y)
    reference = Reference(X, y, Huber())
    assert model.scale_ > 0.01
    assert reference.value_of(model) <= reference.minimum()[-1] * (1 + 1e-9)


@pytest.mark.parametrize("delta", [0.3, 1.345])
@pytest.mark.parametrize("seed", range(8))
def test_a_rare_dummy_all_of_whose_rows_are_gross_errors_over_little_noise(delta, seed):
    """The way to the optimum leads through scales far below it, with psi' = 0 on these rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 4))
    X[:, -1] = np.arange(200) < 4
    y = X @ np.ones(4) + 1e-6 * rng.standard_normal(200)
    y[:60] += 10.0 ** rng.integers(0, 8) * rng.standard_normal(60)
    y[:4] += 1e3
    model = fit(HuberRegressor(delta=delta), X, y)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_a_fixed_scale_on_a_plane_keeps_its_optimum(scale):
    """``scale_`` may be 0 then, the loss's own scale is not: the optimum of F counts."""
    X, y, _ = on_plane(0.3, sided=True, n=200)
    model = fit(HuberRegressor(scale=scale), X, y)
    reference = Reference(X, y, Huber(), scale=scale)
    assert reference.value_of(model) <= reference.minimum()[-1] * (1 + 1e-9)


@pytest.mark.parametrize("model", [HuberRegressor(), L1Regressor(), MRegressor()])
def test_all_rows_but_one_constant(model):
    X, y = TABLES["one_differs"]()
    model = fit(model, X, y)
    np.testing.assert_allclose(model.coef_, 0, atol=1e-9)
    assert model.intercept_ == pytest.approx(1, abs=1e-9)
    np.testing.assert_array_equal(model.outliers_, y != 1)
    np.testing.assert_array_equal(model.weights_, y == 1)


# --- p >= n, duplicated or constant columns: least norm in units of the columns' spread


def least_norm(X, y, fit_intercept, weight=None):
    """LinearRegression after StandardScaler, as coefficients of X."""
    scaler = StandardScaler(with_mean=fit_intercept).fit(X, sample_weight=weight)
    if not fit_intercept:  # deviations from 0, not from the mean
        scaler.scale_ = np.sqrt(np.average(X**2, axis=0, weights=weight))
        scaler.scale_[scaler.scale_ == 0] = 1.0
    regression = LinearRegression(fit_intercept=fit_intercept)
    return regression.fit(scaler.transform(X), y, weight).coef_ / scaler.scale_


@unpenalised
@pytest.mark.parametrize(("n", "p"), [(15, 30), (15, 15), (3, 40)])
def test_more_columns_than_rows(model, n, p):
    X, y = clean(n=n, p=p)
    X = X * np.logspace(-3, 3, p)
    expected = least_norm(X, y, model.fit_intercept)
    model = fit(model, X, y)
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-7)
    np.testing.assert_array_equal(fit(model, X, y).coef_, model.coef_)  # reproducible


@unpenalised
def test_weights_enter_the_least_norm(model):
    """... of the weighted standard deviations."""
    X, y = clean(n=15, p=30)
    weight = np.linspace(0.1, 3, 15)
    expected = least_norm(X, y, model.fit_intercept, weight)
    np.testing.assert_allclose(fit(model, X, y, weight).coef_, expected, rtol=1e-7)


@unpenalised
def test_duplicated_columns_share_the_coefficient(model):
    X, y = contaminated()
    alone = fit(model, X, y)
    shared = fit(model, np.c_[X, 1000 * X[:, 0], X[:, 1]], y)
    np.testing.assert_allclose(shared.predict(np.c_[X, 1000 * X[:, 0], X[:, 1]]), alone.predict(X))
    a, b, _ = alone.coef_
    np.testing.assert_allclose(shared.coef_[[0, 3]], [a / 2, a / 2000])
    np.testing.assert_allclose(shared.coef_[[1, 4]], [b / 2, b / 2])


@pytest.mark.parametrize(
    ("model", "value", "container"),
    in_turns(
        WITH_INTERCEPT,
        [(value, np.asarray) for value in (7.0, 0.1, 1e10, 0.0)],
        [(value, sparse.csr_array) for value in (0.1, 0.0)],
    ),
)
def test_constant_columns_get_zero(model, value, container):
    X, y = contaminated()
    alone = fit(model, X, y)
    wider = fit(model, container(np.c_[np.full(len(y), value), X]), y)
    assert wider.coef_[0] == 0
    np.testing.assert_allclose(wider.coef_[1:], alone.coef_, rtol=1e-8)
    np.testing.assert_allclose(wider.intercept_, alone.intercept_, rtol=1e-8)


@pytest.mark.parametrize(
    ("model", "container"), in_turns(WITH_INTERCEPT, [(np.asarray,), (sparse.csr_array,)])
)
def test_nothing_but_constant_columns(model, container):
    y = contaminated()[1]
    model = fit(model, container(np.full((len(y), 2), 0.3)), y)
    np.testing.assert_array_equal(model.coef_, 0)
    location = fit(model, np.arange(len(y))[:, None] * 0.0, y).intercept_
    np.testing.assert_allclose(model.intercept_, location, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "container"), in_turns(WITH_INTERCEPT, [(np.asarray,), (sparse.csr_array,)])
)
def test_all_dummies_of_a_factor(model, container):
    """One too many beside an intercept, some of them rare; beta has least norm in their sds."""
    X, y = contaminated(n=2000)
    level = np.random.default_rng(0).zipf(1.5, 2000) % 12
    dummies = 1.0 * (level[:, None] == np.arange(12))
    y = y + level
    model = fit(model, container(np.c_[X, dummies]), y)
    if model.alpha == 0:
        fewer = fit(model, np.c_[X, dummies[:, 1:]], y)
        if getattr(model, "scale", "") != "mad":  # that of an L1 fit, here not a unique one
            np.testing.assert_allclose(model.objective_, fewer.objective_, rtol=1e-9)
        # sum of dummies = 1: that direction is not in the span of coefficients
        assert abs(dummies.var(axis=0) @ model.coef_[3:]) <= 1e-9 * np.abs(model.coef_).max()


@pytest.mark.parametrize("model", [type(model)(alpha=0.01) for model in DEFAULTS.values()])
@pytest.mark.parametrize("unit", [1e-12, 1e-20, 1e-30])
def test_a_ridge_that_all_but_removes_a_column(model, unit):
    X, y = contaminated(n=200)
    without = fit(model, X[:, 1:], y)
    X[:, 0] *= unit
    np.testing.assert_allclose(fit(model, X, y).coef_[1:], without.coef_, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "apart"), in_turns(UNPENALISED, [(1e-4,), (1e-7,), (1e-8,)], [(2e-9,)])
)
def test_nearly_equal_columns(model, apart):
    """Full rank, though barely: predictions are those of well-conditioned columns."""
    X, y = contaminated(n=200)
    near = X.copy()
    near[:, 1] = X[:, 0] + apart * X[:, 1]
    expected = fit(model, X, y).predict(X)
    found = fit(model, near, y).predict(near)
    # near itself rounds X[:, 1] to eps / apart
    tolerance = max(1e-9, 10 * EPS / apart)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * y.std())


# --- badly scaled columns, timestamps, extreme units of y


def predictions_after_standardising(model, X, y):
    scaler = StandardScaler().fit(X)
    return fit(model, scaler.transform(X), y).predict(scaler.transform(X))


@every_default
@pytest.mark.parametrize("table", [clean, contaminated])
def test_columns_from_1e_minus_12_to_1e12(model, table):
    X, y = table(n=200, p=9)
    X = X * np.logspace(-12, 12, 9)
    found = fit(model, X, y).predict(X)
    expected = predictions_after_standardising(model, X, y)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * y.std())


@every_default
@pytest.mark.parametrize("mean_to_sd", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("n", [200, 9000])
def test_columns_far_from_zero(model, mean_to_sd, n):
    X, y = contaminated(n=n, p=3)
    X[:, 0] += mean_to_sd
    found = fit(model, X, y).predict(X)
    expected = predictions_after_standardising(model, X, y)
    tolerance = max(1e-9, 10 * EPS * mean_to_sd) * y.std()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@every_default
def test_an_exact_line_over_timestamps_in_milliseconds(model):
    """scikit-learn's HuberRegressor finds a slope of 1.5e-11 here, in silence (#27777)."""
    start = 1_700_000_000_000.0
    X = start + 60_000.0 * np.arange(500)[:, None]
    y = 0.002 * (X[:, 0] - start)
    model = fit(model, X, y)
    assert model.coef_[0] == pytest.approx(0.002, rel=1e-9)
    tolerance = max(1e-9, 10 * EPS * X.mean() / X.std()) * y.std()
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=tolerance)


@equivariant
@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_extreme_units_of_y(model, unit):
    X, y = contaminated()
    expected = fit(model, X, y)
    scale = getattr(model, "scale", None)
    units = {"scale": unit} if isinstance(scale, float) else {}
    model = fit(model, X, y * unit, **units)
    np.testing.assert_allclose(
        model.predict(X) / unit, expected.predict(X), rtol=0, atol=1e-9 * y.std()
    )
    np.testing.assert_allclose(model.scale_ / unit, expected.scale_, rtol=1e-9)
    np.testing.assert_array_equal(model.outliers_, expected.outliers_)
    np.testing.assert_allclose(model.weights_, expected.weights_, rtol=1e-7)


@pytest.mark.parametrize(
    ("model", "huge"), in_turns(ROBUST, [(1e6,), (1e15,), (1e20,), (1e150,)], [(1e300,)])
)
def test_one_gross_error_of_any_size(model, huge):
    """Its size is of no consequence: beyond the threshold psi is constant."""
    X, y = clean()
    y[0] = 1e5
    expected = fit(model, X, y)
    y[0] = huge
    model = fit(model, X, y)
    # log-cosh and pseudo-Huber have their bend in the fifth digit at 1e5
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.scale_, expected.scale_, rtol=1e-8)
    assert model.outliers_[0]


@pytest.mark.parametrize(
    ("model", "far"),
    [
        pytest.param(model, far, id=f"{name}-{far:g}")
        for name, model in UNPENALISED.items()
        for far in (1e6, 1e8, 1e10)
        if far < 1e10 or model.solver == "auto"  # L-BFGS-B gives up there, and says so
    ],
)
def test_a_row_far_out_in_X_and_y_that_is_no_error(model, far):
    """What looks like a gross error of y on its own lies on the plane, and fixes it."""
    X, y = clean(n=200)
    X[0], y[0] = [far, 0.0, 0.0], 1.5 * far
    model = fit(model, X, y)
    assert model.coef_[0] == pytest.approx(1.5, abs=100 / far)
    assert not model.outliers_[0]


@least_squares
def test_least_squares_follow_one_absurd_value_while_its_square_is_a_number(model):
    X, y = clean()
    y[0] = 1e150
    expected = fit(model, X, y / 1e150)
    found = fit(model, X, y)
    np.testing.assert_allclose(found.coef_ / 1e150, expected.coef_, rtol=1e-9)
    assert found.intercept_ / 1e150 == pytest.approx(expected.intercept_, rel=1e-9)
    assert found.scale_ / 1e150 == pytest.approx(expected.scale_, rel=1e-9)
    y[0] = 1e300
    with pytest.raises(ValueError, match=r"objective .* y must be rescaled"):
        fit(model, X, y)


# --- equivariance


@every_default
@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("factor", [-3.0, 1e-8, 1e6])
def test_equivariance_in_y(model, alpha, factor):
    """y -> c y (+ d with an intercept), also under a ridge."""
    X, y = contaminated()
    base = fit(model, X, y, alpha=alpha)
    moved = fit(model, X, factor * y + 5 * abs(factor), alpha=alpha)
    np.testing.assert_allclose(moved.coef_, factor * base.coef_, rtol=1e-8)
    np.testing.assert_allclose(
        moved.intercept_, factor * base.intercept_ + 5 * abs(factor), rtol=1e-8
    )
    np.testing.assert_allclose(moved.scale_, abs(factor) * base.scale_, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("factor", [1e-8, 1e6])
def test_equivariance_in_y_of_a_fixed_scale(alpha, factor):
    """... holds when the scale is scaled along."""
    X, y = contaminated()
    base = HuberRegressor(scale=2.0, alpha=alpha).fit(X, y)
    moved = HuberRegressor(scale=2.0 * factor, alpha=alpha).fit(X, factor * y)
    np.testing.assert_allclose(moved.coef_, factor * base.coef_, rtol=1e-9)
    np.testing.assert_allclose(moved.objective_, factor * base.objective_, rtol=1e-9)


@unpenalised
def test_regression_equivariance(model):
    """y -> y + X g + d."""
    X, y = contaminated()
    g, d = np.array([1.0, -20.0, 3.0]), 11.0 if model.fit_intercept else 0.0
    base, moved = fit(model, X, y), fit(model, X, y + X @ g + d)
    np.testing.assert_allclose(moved.coef_, base.coef_ + g, rtol=1e-8)
    np.testing.assert_allclose(moved.intercept_, base.intercept_ + d, rtol=1e-8)
    np.testing.assert_allclose(moved.scale_, base.scale_, rtol=1e-9)


@unpenalised
def test_affine_equivariance(model):
    """X -> X A."""
    X, y = contaminated()
    A = np.array([[1.0, 2.0, 0.0], [0.0, 50.0, 1.0], [1.0, 0.0, 0.01]])
    base, moved = fit(model, X, y), fit(model, X @ A, y)
    np.testing.assert_allclose(A @ moved.coef_, base.coef_, rtol=1e-8)
    np.testing.assert_allclose(moved.scale_, base.scale_, rtol=1e-9)


# --- weights


@pytest.mark.parametrize(
    ("model", "table"),
    in_turns(VARIANTS, [("contaminated",), ("ties",)], [("few_rows",), ("exact_but_some",)]),
)
def test_integer_weights_are_repeated_rows(model, table):
    X, y = TABLES[table]()
    weight = np.resize([1, 3, 2, 1, 0, 2], len(y))
    repeated = fit(model, np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_same_fit(repeated, fit(model, X, y, weight))


@pytest.mark.parametrize(
    ("model", "table", "value", "where"),
    in_turns(
        VARIANTS,
        [("contaminated", 1e300, "y"), ("few_rows", -1e150, "y")],
        [("contaminated", 1e300, "X"), ("contaminated", 1e20, "X"), ("few_rows", -1e150, "X")],
    ),
)
def test_weight_zero_is_a_dropped_row(model, table, value, where):
    """Whatever the row holds: not even its size may enter anything."""
    X, y = TABLES[table]()
    dropped = fit(model, X, y, np.linspace(0.5, 2, len(y)))
    weight = np.append(np.linspace(0.5, 2, len(y)), [0.0, 0.0])
    X = np.vstack([X, X[:2]])
    y = np.append(y, y[:2])
    if where == "y":
        y[-1] = value
    else:
        X[-1, 0] = value
    with np.errstate(over="ignore"):
        assert_same_fit(dropped, fit(model, X, y, weight), rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "factor"), in_turns(VARIANTS, [(1e-300,), (1e-8,)], [(1e300,), (1e8,)])
)
def test_weights_times_a_constant(model, factor):
    X, y = contaminated()
    weight = weights_for(len(y))
    assert_same_fit(fit(model, X, y, weight), fit(model, X, y, weight * factor))


@every_variant
def test_equal_weights_are_no_weights(model):
    X, y = contaminated()
    assert_same_fit(fit(model, X, y), fit(model, X, y, np.full(len(y), 0.3)))


@every_variant
def test_one_row_has_nearly_all_the_weight(model):
    X, y = contaminated()
    weight = np.ones(len(y))
    weight[5] = 1e12
    model = fit(model, X, y, weight)
    if model.alpha == 0:
        assert model.predict(X[5:6])[0] == pytest.approx(y[5], rel=1e-6)


# --- warm start


@pytest.mark.parametrize(
    ("model", "n", "fit_intercept"),
    in_turns(VARIANTS, [(60, True), (60, False)]) + in_turns(DEFAULTS, [(9000, True)]),
)
def test_warm_start_equals_cold_start(model, fit_intercept, n):
    """scikit-learn's HuberRegressor takes the old intercept along and ends elsewhere."""
    X, y = contaminated(n=n)
    X2, y2 = clean(n=n, seed=5)
    cold = fit(model, X2, y2, fit_intercept=fit_intercept)
    warm = fit(model, X, y, fit_intercept=fit_intercept, warm_start=True).fit(X2, y2)
    assert_same_fit(cold, warm)
    other = fit(model, X, y, fit_intercept=not fit_intercept, warm_start=True)
    assert_same_fit(cold, other.set_params(fit_intercept=fit_intercept).fit(X2, y2))


@every_variant
def test_warm_start_after_an_exact_fit_or_other_columns(model):
    X, y = contaminated()
    cold = fit(model, X, y)
    for earlier in [(X, X[:, 0]), (X, 0 * y), (X[:, :2], y)]:
        warm = fit(model, *earlier, warm_start=True).fit(X, y)
        assert_same_fit(cold, warm)


# --- sparse X


def sparse_table(far, n=300):
    """A mostly empty matrix with an empty column, and one far from 0."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 6)) * (rng.uniform(size=(n, 6)) < 0.3)
    X[:, 4] = 0.0
    X[:, 5] = far + rng.normal(size=n)
    y = X[:, :4].sum(axis=1) + (X[:, 5] - far) + 0.1 * rng.standard_t(3, size=n)
    y[:30] += 100 * np.resize([-1, 1], 30)
    return X, y


@pytest.mark.parametrize(
    ("model", "container", "far", "weighted"),
    in_turns(
        VARIANTS,
        [(sparse.csr_array, 0.0, True), (sparse.csc_matrix, 0.0, False)],
        [(sparse.csr_array, 1e6, False), (sparse.csc_matrix, 1e5, True)],
    ),
)
def test_sparse_equals_dense(model, container, far, weighted):
    X, y = sparse_table(far)
    weight = weights_for(len(y)) if weighted else None
    if not model.fit_intercept:
        y = y + X[:, 5]
    dense, thin = fit(model, X, y, weight), fit(model, container(X), y, weight)
    # Two roads to the same optimum agree as those of differently scaled columns do, to 1e-9.
    tolerance = max(1e-9, 10 * EPS * far)
    np.testing.assert_allclose(
        thin.predict(container(X)), dense.predict(X), rtol=0, atol=tolerance * y.std()
    )
    assert thin.coef_[4] == 0
    # residuals carry the rounding of the predictions, and so does their scale
    np.testing.assert_allclose(thin.scale_, dense.scale_, rtol=0, atol=tolerance * y.std())
    if getattr(model, "delta", None) == "auto" and not isinstance(model.scale, str):
        tolerance *= y.std() / dense.scale_  # the threshold is a multiple of one
    np.testing.assert_allclose(thin.objective_, dense.objective_, rtol=tolerance)


@every_default
def test_sparse_with_index_types_and_explicit_zeros(model):
    X, y = sparse_table(0.0)
    expected = fit(model, X, y)
    odd = sparse.csr_array(X)
    odd.data[:5], y[:5] = 0.0, y[:5]  # entries that are stored although they are 0
    expected = fit(model, odd.toarray(), y)
    odd.indices, odd.indptr = odd.indices.astype(np.int64), odd.indptr.astype(np.int64)
    np.testing.assert_allclose(fit(model, odd, y).coef_, expected.coef_, rtol=1e-7, atol=1e-10)


# --- memory layouts


def memmap(X):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(np.ascontiguousarray(X).tobytes())
    return np.memmap(file.name, dtype=X.dtype, mode="r", shape=X.shape)


def frozen(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def strided(X):
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]))
    wide[::2, ::3] = X
    return wide[::2, ::3]


LAYOUTS = {
    "read-only": frozen,
    "memmap": memmap,
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
}


@every_default
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_memory_layout_does_not_matter_and_input_is_untouched(model, layout):
    X, y = contaminated()
    weight = weights_for(len(y))
    expected = fit(model, X, y, weight)
    X2, y2, weight2 = layout(X), frozen(y), frozen(weight)
    found = fit(model, X2, y2, weight2)
    np.testing.assert_array_equal(X2, X)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=1e-9)
    if layout is memmap:
        os.unlink(X2.filename)


@every_default
def test_writable_input_is_untouched(model):
    X, y = contaminated(n=9000)
    weight = weights_for(9000)
    copies = X.copy(), y.copy(), weight.copy()
    fit(model, X, y, weight)
    for now, before in zip((X, y, weight), copies, strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize(
    ("name", "share", "layout"),
    [
        ("huber", 0.3, np.asfortranarray),
        ("m", 0.4, np.ascontiguousarray),
        ("l2", 0.3, np.asfortranarray),
        ("l1", 0.7, np.ascontiguousarray),
    ],
)
def test_no_copy_of_X(name, share, layout):
    """Memory beyond X: blocks of 2 MB, and some vectors of n numbers, each 2 % of X here."""
    X, y = clean(n=200_000, p=50)
    X = layout(X)
    tracemalloc.start()
    try:
        DEFAULTS[name].fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < share * X.nbytes


def test_no_warning_goes_unnoticed_in_these_tests():
    with pytest.raises(RuntimeWarning):
        warnings.warn("an error, by pyproject's filterwarnings", RuntimeWarning, stacklevel=1)

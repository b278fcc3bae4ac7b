"""Data at the ends of float64's range: the fit of ordinary units, or an error that says why not."""

import numpy as np
import pytest
from _cases import DEFAULTS, HIGH, VARIANTS, clean, contaminated
from scipy import sparse, stats
from scipy.optimize import OptimizeResult
from sklearn.base import clone

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L2Regressor,
    LTSRegressor,
    MRegressor,
    huber_path,
    l1_path,
)
from robustreg._arrays import EPS
from robustreg._linalg.factors import OutOfRangeError, eigh, lstsq, svd
from robustreg.evaluation.units import FARTHEST, Targets, Units, units_of

EVERY = DEFAULTS | HIGH
every_default = pytest.mark.parametrize("model", DEFAULTS.values(), ids=DEFAULTS.keys())
every_model = pytest.mark.parametrize("model", EVERY.values(), ids=EVERY.keys())
SPARSE = {
    name: VARIANTS[name]
    for name in (
        "huber",
        "l1",
        "l2",
        "m",
        "quantile",
        "huber-lbfgs",
        "huber-no-intercept",
        "huber-positive",
        "huber-ridge",
        "huber-lasso",
        "l1-lasso",
        "l1-ridge",
    )
}


def thin(n=80):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 3)) * (rng.uniform(size=(n, 3)) < 0.5)
    return X, X @ [1.0, -2.0, 3.0] + 0.1 * rng.standard_t(3, size=n)


# --- columns whose squares leave the range


@pytest.mark.parametrize("model", SPARSE.values(), ids=SPARSE.keys())
@pytest.mark.parametrize("unit", [1e-300, 1e-165, 1e160, 1e300])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_column_in_extreme_units(model, unit, container):
    """Without a penalty the unit changes nothing; under one, sparse is dense."""
    X, y = thin()
    scaled = X * [1.0, unit, 1.0]
    expected = clone(model).fit(X if model.alpha == 0 else scaled, y)
    if model.alpha == 0:
        expected.coef_ = expected.coef_ / [1.0, unit, 1.0]
    found = clone(model).fit(container(scaled), y)
    at = np.array([1.0, unit, 1.0])
    np.testing.assert_allclose(found.coef_ * at, expected.coef_ * at, rtol=0, atol=1e-8)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-9)
    assert found.dual_gap_ <= 1e-7 * found.objective_


@every_default
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_a_sparse_column_in_extreme_units_far_from_0(model, unit):
    X, y = thin()
    X[:, 1] = 1e4 + X[:, 1]
    expected = clone(model).fit(X, y).predict(X)
    X[:, 1] *= unit
    found = clone(model).fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(found.predict(X), expected, rtol=0, atol=1e-8)


@every_default
@pytest.mark.parametrize("unit", [1e-150, 1e-155, 1e-300])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_a_ridge_leaves_nothing_of_a_tiny_column(model, unit, container):
    X, y = thin()
    without = clone(model).set_params(alpha=0.1).fit(X[:, [0, 2]], y)
    scaled = container(X * [1.0, unit, 1.0])
    found = clone(model).set_params(alpha=0.1).fit(scaled, y)
    np.testing.assert_allclose(found.coef_[[0, 2]], without.coef_, rtol=1e-8)
    assert abs(found.coef_[1]) <= 100 * unit
    assert found.objective_ == pytest.approx(without.objective_, rel=1e-9)


@every_default
def test_a_ridge_in_the_units_of_a_tiny_column(model):
    """Its strength times the square of the unit: the same fit, though neither has a square."""
    X, y = thin()
    expected = clone(model).set_params(alpha=0.1).fit(X, y)
    found = clone(model).set_params(alpha=0.1 * 1e-155**2).fit(X * 1e-155, y)
    np.testing.assert_allclose(found.coef_ * 1e-155, expected.coef_, rtol=1e-6)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-9)


# --- weights


@every_model
def test_weights_whose_sum_overflows(model):
    X, y = contaminated()
    expected = clone(model).fit(X, y, np.full(len(y), 1e20))
    found = clone(model).fit(X, y, np.full(len(y), 1e308))
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.scale_, expected.scale_, rtol=1e-9)


@every_default
@pytest.mark.parametrize("others", [1e-100, 1e-300, 5e-324])
def test_weights_further_apart_than_any_ratio(model, others):
    weight = np.append(np.full(5, 1e300), others)
    model = clone(model).fit(np.arange(6.0)[:, None], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], weight)
    np.testing.assert_allclose(model.predict(np.arange(5.0)[:, None]), 0.0, atol=1e-300)
    assert model.objective_ <= 1e-300


# --- what float64 cannot represent


@every_model
@pytest.mark.parametrize(
    ("x_unit", "y_unit"), [(1e-308, 1e3), (1e-120, 1e200), (1e149, 1e-200), (1e140, 1e-180)]
)
def test_coefficients_out_of_range_are_refused(model, x_unit, y_unit):
    X, y = clean()
    model = clone(model)
    with pytest.raises(ValueError, match=r"cannot be represented in float64.*rescale X or y"):
        model.fit(X * x_unit, y * y_unit)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_coefficients_lost_in_the_units_of_a_gross_target_are_refused(container):
    # The gross y, of next to no weight, sets the unit of squares; in it they are 1e-340.
    X, y = clean()
    weight = np.ones(len(y))
    y[3], weight[3] = 1e126, 1e-290
    with pytest.raises(ValueError, match=r"cannot be represented in float64.*rescale X or y"):
        L2Regressor().fit(container(X * 1e217), y, weight)


@pytest.mark.parametrize("unit", [1e-200, 1e-250])
def test_squares_below_the_range_over_a_scale_within_it(unit):
    X, y = clean()
    model = MRegressor("half_squared", scale=2.0 * unit).fit(X, unit * y)
    expected = MRegressor("half_squared", scale=2.0).fit(X, y).objective_
    assert model.objective_ == pytest.approx(unit * expected, rel=1e-9)


def test_tiny_coefficients_that_do_not_matter_are_no_error():
    X, y = clean()
    X[:, 1] = 1e-12 * X[:, 1]
    model = HuberRegressor(alpha=1e-10).fit(X.astype(np.float32), y)
    assert model.converged_
    y = np.where(np.arange(len(y)) < 40, 1.0, 1.0 + 1e-300)
    assert HuberRegressor().fit(X, y).intercept_ == 1.0


@pytest.mark.parametrize(
    "model",
    [L2Regressor(), L2Regressor(alpha=0.1), MRegressor("squared", scale=1.0), LTSRegressor()],
)
def test_squares_of_y_out_of_range_are_refused(model):
    X, y = clean()
    with pytest.raises(ValueError, match="objective of this fit cannot be represented"):
        clone(model).fit(X, y * 1e155)


@pytest.mark.parametrize("fit", [huber_path, l1_path])
def test_paths_and_searches_refuse_coefficients_out_of_range(fit):
    X, y = clean()
    with pytest.raises(ValueError, match="cannot be represented"):
        fit(X * 1e-308, y * 1e3, alphas=[1e-320, 0.0])
    with pytest.raises(ValueError, match="cannot be represented"):
        HuberRegressorCV([1.345], cv=2).fit(X * 1e-308, y * 1e3)


@every_default
def test_targets_too_far_apart_are_refused(model):
    """A spread of 1e-200 beside 1e300: their ratio is infinite."""
    X, y = clean()
    y *= 1e-200
    y[0] = 1e300
    with pytest.raises(ValueError, match=r"y holds values from .* too far apart"):
        clone(model).fit(X, y)


@pytest.mark.parametrize("loss", ["huber", "log_cosh", "bisquare"])
@pytest.mark.parametrize(("scale", "y_unit"), [(1e200, 1e-200), (1e-200, 1e200), (1e160, 1.0)])
def test_a_scale_too_far_from_the_spread_of_y_is_refused(loss, scale, y_unit):
    X, y = clean()
    with pytest.raises(ValueError, match=r"scale=.* is too far from the spread of y"):
        MRegressor(loss, scale=scale, random_state=0).fit(X, y * y_unit)


def test_infinite_and_missing_gaps_certify_nothing():
    from robustreg.evaluation.posed import Data, make_problem
    from robustreg.evaluation.problem import Coefficients
    from robustreg.losses import Absolute
    from robustreg.penalties import ElasticNet
    from robustreg.solvers._report import result
    from robustreg.solvers._solution import Reached, known

    X, y = clean()
    problem = make_problem(
        Data(X, y, None, 1),
        loss=Absolute(),
        scale=1.0,
        penalty=ElasticNet(),
        fit_intercept=True,
    )
    end = OptimizeResult(status=0, message="", nit=1)
    start = Coefficients(np.zeros(3), 0.0, 1.0)
    for value, gap in [(np.inf, np.inf), (1.0, np.nan), (np.nan, 0.0), (np.nan, np.nan)]:
        reached = Reached(start, known(problem.y), value, gap)
        assert not result(problem, reached, 1e-7, end, 1).converged


# --- numbers below 2.2e-308, which have no reciprocal


@pytest.mark.parametrize("model", SPARSE.values(), ids=SPARSE.keys())
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("unit", [1e-310, 1e-315])
def test_a_subnormal_column(model, container, unit):
    """Its coefficient is out of range, unless a penalty or a sign leaves nothing of it."""
    X, y = thin()
    X[:, 1] *= unit
    if model.alpha == 0 and not model.positive:
        with pytest.raises(ValueError, match="rescale X"):
            clone(model).fit(container(X), y)
        return
    fit, rest = clone(model).fit(container(X), y), clone(model).fit(container(X[:, [0, 2]]), y)
    assert fit.converged_
    np.testing.assert_allclose(fit.coef_, np.insert(rest.coef_, 1, 0.0), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("model", HIGH.values(), ids=HIGH.keys())
def test_a_subnormal_column_of_a_resampled_fit(model):
    X, y = thin()
    with pytest.raises(ValueError, match="rescale X"):
        clone(model).fit(X * [1.0, 1e-315, 1.0], y)


@pytest.mark.parametrize("routine", [svd, eigh, lambda matrix: lstsq(matrix, np.ones(2))])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_factorisations_of_what_is_not_finite(routine, bad):
    with pytest.raises(OutOfRangeError):
        routine(np.array([[1.0, bad], [bad, 1.0]]))


def test_an_overflow_on_the_way_is_an_error_for_people():
    class Model(HuberRegressor):
        def _fit(self, *_arguments):
            raise OutOfRangeError

    X, y = clean()
    model = Model()
    with pytest.raises(ValueError, match="range of float64: rescale X, y or sample_weight"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


MAD = 1.0 / stats.norm.ppf(0.75)  # of a Gaussian, per standard deviation
TARGETS = {
    "spread": np.append(np.random.default_rng(0).normal(300.0, 2.0, 60), -1e6),
    "mostly_one_value": np.append(np.full(40, 7.0), [7.5, 6.25, 9.0, 4e4, 3.0]),
    "constant": np.full(5, -7.0),
    "zero": np.zeros(5),
}


@pytest.mark.parametrize("table", TARGETS)
@pytest.mark.parametrize("factor", [1.0, 2.0**40, 1e-300, 1e302])
@pytest.mark.parametrize("squares", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("copies", [None, 1.0, 3.0])
def test_units_of_targets_by_their_definition(table, factor, squares, fit_intercept, copies):
    y = TARGETS[table] * factor
    weight = None if copies is None else np.full(len(y), copies)
    units = units_of(y, weight, 1, squares, fit_intercept)
    largest = np.abs(y).max()
    assert units.rough == (2.0 ** np.floor(np.log2(largest)) if largest else 1.0)
    rough = y / units.rough
    centre = np.median(rough) if fit_intercept else 0.0
    away, about_median = np.abs(rough - centre), np.abs(rough - np.median(rough))
    width = spread = MAD * np.median(away)
    if not spread and away.any():
        width, spread = np.sqrt(np.mean(away**2)), MAD * np.median(away[away > 0])
    two = 2.0 ** np.floor(np.log2(spread)) if spread and not squares else 1.0
    assert units.two == two
    found = [units.centre, units.width, units.spread]
    np.testing.assert_allclose(found, np.array([centre, width, spread]) / two, rtol=1e-12)
    exact = 1e-9 * spread
    if not fit_intercept and spread:
        moved = about_median[about_median > 0]
        own = MAD * (np.median(about_median) or np.median(moved)) if len(moved) else spread
        exact = min(max(1e-9 * own, 64 * EPS * spread), exact)
    assert units.exact == pytest.approx(exact / two, rel=1e-12)
    scaled, farthest = units.of(y), units.farthest(y)
    np.testing.assert_allclose(scaled, (rough - centre) / two, rtol=1e-9, atol=1e-15 / two)
    assert farthest == np.abs(scaled).max()


def test_units_of_a_part_of_the_targets_and_of_all_where_that_is_constant():
    y = np.random.default_rng(0).normal(30.0, 2.0, 101)
    y[0] = np.abs(y).max()
    assert units_of(y, None, 4, False, True) == units_of(y[::4], None, 1, False, True)
    y[::4] = 30.0
    assert units_of(y, None, 4, False, True) == units_of(y, None, 1, False, True)
    assert units_of(y, None, 4, False, True).spread > 0.0


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e300])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_units_of_weighted_targets_are_those_of_copies(factor, fit_intercept):
    rng = np.random.default_rng(0)
    y, weight = rng.exponential(size=31), rng.integers(1, 5, 31)
    weight[np.argsort(y)[-8:]] = 9  # of the largest values there are more than half
    copies = units_of(np.repeat(y, weight), None, 1, False, fit_intercept)
    assert copies != units_of(y, None, 1, False, fit_intercept)
    weighted = units_of(y, factor * weight, 1, False, fit_intercept)
    np.testing.assert_allclose(weighted, copies, rtol=1e-14)


def test_targets_beyond_so_many_spreads_are_brought_in():
    edge = 4.0 * FARTHEST
    given = np.array([1.0, 1.5 * edge, -edge, -1e9 * edge, edge])
    units = Units(8.0, 0.5, 2.0, 1.0, 4.0, 1e-9)  # y / 4 - 2
    targets, y = Targets(units, edge), 4.0 * (given + 2.0)
    far, beyond = targets.brought_in(y)
    np.testing.assert_array_equal(far, [1, 3])
    np.testing.assert_array_equal(targets(y), [1.0, edge, -edge, -edge, edge])
    np.testing.assert_array_equal(beyond, given[far] - targets(y)[far])
    assert not len(Targets(units).brought_in(y)[0])

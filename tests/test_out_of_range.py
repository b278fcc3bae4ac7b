"""Where numbers leave the floating-point range: an end, and an honest one."""

import numpy as np
import pytest
from _cases import HIGH, clean
from scipy.optimize import Bounds, minimize
from sklearn.exceptions import ConvergenceWarning

from robustreg import HuberRegressor, L1Regressor, MRegressor, QuantileRegressor
from robustreg.estimators import L2Regressor
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import white
from robustreg.evaluation.limits import (
    FURTHEST_SCALE,
    in_range,
    penalty_in_range,
    scale_in_units,
    scale_of_squares,
    too_far_apart,
)
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import HalfSquared
from robustreg.model_selection._path import alpha_path
from robustreg.penalties import ElasticNet
from robustreg.penalties._kinks import Kinks
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers.programme.interior import iterate
from robustreg.solvers.programme.rows import Stored
from robustreg.subsampling.descent import Base, Fit
from robustreg.subsampling.estimates import make_sample
from robustreg.subsampling.table import least_absolute_problem

KINKS = Kinks(np.array([1.0, 0.0]), np.array([False, True]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["gradient", "diagonal", "corner"])
@pytest.mark.parametrize(
    "options",
    [{}, {"kinks": KINKS}, {"perspective": True}],
    ids=["plain", "kinks", "perspective"],
)
@pytest.mark.parametrize("bounds", [None, Bounds([-np.inf, 0.0], np.inf)], ids=["free", "bounds"])
def test_newton_ends_where_it_was(bad, where, options, bounds):
    gradient, hessian = np.array([3.0, 5.0]), 2.0 * np.eye(2)
    if where == "gradient":
        gradient[0] = bad
    elif where == "diagonal":
        hessian[0, 0] = bad
    else:
        hessian[0, 1] = hessian[1, 0] = bad
    with np.errstate(invalid="ignore"):
        fit = minimize(
            lambda x: x @ x,
            np.array([1.0, 2.0]),
            jac=lambda x: gradient,
            hess=lambda x: hessian,
            method=semismooth_newton,
            bounds=bounds,
            options=options,
        )
    assert fit.status == 5
    assert not fit.success
    assert "floating-point range" in fit.message
    np.testing.assert_array_equal(fit.x, [1.0, 2.0])


def test_a_dual_value_out_of_range_bounds_nothing():
    problem = make_problem(
        Data(np.arange(4.0)[:, None], np.arange(4.0) ** 2, None, 1),
        loss=HalfSquared(),
        scale=1.0,
        penalty=ElasticNet(1.0),
        fit_intercept=False,
    )
    objective = make_objective(problem, white(problem))
    coef, nu = np.zeros(1), np.array([1e200, 0.0, 0.0, 0.0])
    gap = dual_gap_from(objective, coef, nu.copy(), 1.0, nu, cleaning=0)
    assert gap == np.inf  # as nu r is, not 0


# Beside five rows the others count for nothing, and are 1e150 scales away: no product is in range.
OVERWHELMED = (
    np.column_stack(
        [
            np.arange(10) == 5,
            [5.2, 5, 5, 5, 4.9, 4.8, 5, 5, 4.9, 5],
            [45, 64, 51, 49, 53, 52, 48, 49, 43, 36],
        ]
    ),
    np.array([238, 275, 251, 244, 2.75e42, 240, 243, 245, 232, 219]),
    np.array([1e244, 1e244, 1e244, 1e244, 1e244, 1e-258, 1e-230, 1e-239, 1e-164, 1e-219]),
)


@pytest.mark.parametrize("name", HIGH)
def test_sums_of_a_search_that_are_no_numbers_are_refused(name):
    with pytest.raises(ValueError, match="leave the range of float64"):
        HIGH[name].fit(*OVERWHELMED)


def test_terms_out_of_range_have_no_digits_to_lose():
    X, y = np.array([1e300, 1.0, 2.0, 3.0])[:, None], np.arange(4.0)
    problem = least_absolute_problem(Data(X, y, None, 1), fit_intercept=False)
    random = np.random.RandomState(0)
    sample = make_sample(problem, None, n_subsamples=10, max_iter=10, random=random)
    fit = Fit(np.zeros(1), np.ones(4), 1.0, 0, converged=True)
    moved = Base(np.array([1e100]), 0.0, np.array([1.1, 1.0, 1.0, 1.0]))
    assert sample._has_digits(fit, moved)
    assert not sample._has_digits(fit, Base(np.array([1e-300]), 0.0, moved.residual))


def test_programmes_out_of_range_end_without_a_word_of_numpy():
    X = np.array([[1.6e-124], [1.8e280], [-3e-124], [1.5e-124], [3.6e-124], [-3.2e-124]])
    y = np.array([1.0002, 1e200, 1.0, 1.0, 1.0001, 1e200]) * 1e-139
    for solver in ("interior", "reduced"):
        model = L1Regressor(alpha=8e275, l1_ratio=0.558, positive=True, solver=solver)
        with pytest.raises(ValueError, match="leave the range of float64"):
            model.fit(X, y)


def test_interior_point_steps_stop_in_range():
    """Squares of the rows overflow: theta stays what it was before they mattered."""
    rng = np.random.default_rng(0)
    ones = np.ones(20)
    programme = Stored(
        1e200 * rng.normal(size=(20, 2)),
        rng.normal(size=20),
        ones,
        -ones,
        ones,
        20.0,
        np.zeros((2, 2)),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        point, fit = iterate(programme, np.zeros(2), 100, 1e-16)
    assert fit.status == 2
    assert "floating-point range" in fit.message
    assert np.isfinite(point.theta).all()
    assert np.isfinite(point.nu).all()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("factor", [1e-156, 1e-170, 1e-300])
@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(solver="working_set"),
        HuberRegressor(scale=0.5),
        MRegressor(),
        L2Regressor(),
        L1Regressor(),
        QuantileRegressor(0.8, solver="reduced"),
    ],
    ids=repr,
)
def test_a_lasso_of_columns_whose_squares_are_none(model, factor, positive):
    """Newton's method used not to end: the squares of their reciprocals are infinite."""
    X, y = clean()
    model.set_params(alpha=0.1, l1_ratio=1.0, positive=positive)
    expected = model.fit(X, y).coef_
    found = model.set_params(alpha=0.1 * factor).fit(factor * X, y)
    assert found.converged_
    np.testing.assert_allclose(factor * found.coef_, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [HuberRegressor(), HuberRegressor(scale=1.0), L1Regressor(), L2Regressor(), MRegressor()],
    ids=repr,
)
@pytest.mark.parametrize("others", [1e-12, 1.0])
def test_a_column_of_subnormals_is_no_column_of_zeros(model, others):
    """Its spread, with rows of hardly any weight, is 0, but what it would have to do is not."""
    X = np.zeros((8, 1))
    X[3:6] = 2e-322
    y = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 0.75, 2.0, 3.0])
    weight = np.array([1.0, 1.0, 1.0, 1e-10, 1e-10, 1e-10, others, others])
    with pytest.raises(ValueError, match="coefficients of this fit cannot be represented"):
        model.fit(X, y, weight)


@pytest.mark.parametrize(
    "model", [HuberRegressor(), HuberRegressor(scale=1.0), L1Regressor(), L2Regressor()], ids=repr
)
def test_nearly_equal_columns_beside_subnormals(model):
    """Least squares solves such a table in twice the working precision, in which 0 times infinity
    was warned about."""
    a, b, c, y = np.random.default_rng(0).normal(size=(4, 20))
    with pytest.raises(ValueError, match="coefficients of this fit cannot be represented"):
        model.fit(np.column_stack([a, a + 1e-9 * b, 1e-310 * c]), y)


def test_a_column_that_is_hardly_there_has_no_coefficient():
    """Beside an ordinary alpha, whose slope in its units is infinite."""
    X, y = clean()
    for model in (HuberRegressor(), HuberRegressor(scale=1.0), L1Regressor(), L2Regressor()):
        model.set_params(alpha=0.05, l1_ratio=1.0)
        expected = model.fit(X[:, 1:], y).coef_
        found = model.fit(X * [1e-312, 1.0, 1.0], y)
        assert found.converged_
        np.testing.assert_allclose(found.coef_, np.append(0.0, expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("scale", "unit"), [(1e294, 1e-40), (1e-300, 1e40)])
@pytest.mark.parametrize("model", [HuberRegressor(), MRegressor(), HuberRegressor(l1_ratio=1.0)])
def test_a_scale_out_of_the_range_of_y_is_named(scale, unit, model):
    X, y = clean()
    with pytest.raises(ValueError, match="scale=1e"):
        model.set_params(scale=scale, alpha=0.1).fit(X, unit * y)


def test_the_scale_of_y_is_no_limit_where_no_loss_needs_one():
    X, y = clean()
    for model in (L1Regressor(), QuantileRegressor(0.8), HuberRegressor(), L2Regressor()):
        assert model.fit(X, 1e-305 * y).converged_


def test_a_penalty_out_of_the_range_of_y_is_named():
    X, y = clean()
    for call in (
        lambda: HuberRegressor(alpha=1e250, scale=1e-100).fit(X, y),
        lambda: L2Regressor(alpha=1e300, l1_ratio=1.0).fit(X, 1e-100 * y),
        lambda: alpha_path(HuberRegressor(scale=1e-100), X, y, alphas=[1e250, 1.0]),
    ):
        with pytest.raises(ValueError, match=r"alpha is too large for float64.* rescale y"):
            call()


def test_an_l1_norm_that_would_be_nothing_in_the_units_of_y_is_named():
    X, y = clean()
    with pytest.raises(ValueError, match=r"alpha=1e-300 is too small for float64 .* rescale y"):
        L2Regressor(alpha=1e-300, l1_ratio=1.0).fit(X, 1e20 * y)


@pytest.mark.parametrize("l1_ratio", [0.0, 1e-6, 0.7])
@pytest.mark.parametrize("power", [70, -20, 0])
def test_a_ridge_beside_an_l1_norm_keeps_its_digits_in_any_units_of_y(l1_ratio, power):
    """Of columns as small as that, alpha is not next to nothing, whatever becomes of the norm."""
    X, y = clean()
    X, y = np.ldexp(X, -500), np.ldexp(y, power)
    alpha = 0.3 * 2.0**-1000
    X, y = X - X.mean(axis=0), y - y.mean()
    gram = X.T @ X / len(y) + alpha * (1.0 - l1_ratio) * np.eye(X.shape[1])
    wanted = np.linalg.solve(np.ldexp(gram, 1000), np.ldexp(X.T @ y / len(y), 1000))
    model = L2Regressor(alpha=alpha, l1_ratio=l1_ratio).fit(X, y)
    # beside the squares of coefficients of 1e150 their L1 norm is nothing
    np.testing.assert_allclose(model.coef_, wanted, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_useless_bound_does_not_choose_the_fit(seed):
    """Columns alike but for rounding, in all units: F is not above that of no coefficients."""
    rng = np.random.default_rng(seed)
    X = (1 + 1e-8 * rng.normal(size=(10, 17))) * 10.0 ** rng.integers(-11, 17, size=17)
    y = rng.poisson(5.0, size=10).astype(float)
    for solver in ("interior", "reduced"):
        model = L1Regressor(alpha=1e-4, fit_intercept=False, solver=solver).fit(X, y)
        assert model.objective_ <= np.abs(y).mean()


@pytest.mark.parametrize("value", [3e13, 1.5e17, 2e20])
def test_a_large_constant_column_under_a_weak_ridge(value):
    """Its slope is 0, not the rounding that is left of it and that the ridge hardly punishes."""
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(8, 2)), rng.normal(size=8)
    model = QuantileRegressor(quantile=0.8, alpha=0.05)
    without = np.append(model.fit(X, y).coef_, 0.0)
    model.fit(np.column_stack([X, np.full(8, value)]), y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, without, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"alpha": 0.2, "fit_intercept": False}])
@pytest.mark.parametrize(("far", "weight"), [(1e160, 1e-300), (1e200, 1e-200)])
def test_squares_of_a_far_target_of_next_to_no_weight(far, weight, options):
    """They overflow beside the others, in the certificate and in the curvature."""
    X, y = np.arange(6.0)[:, None], np.array([0.0, 1.0, 2.5, 2.0, 4.0, far])
    model = MRegressor("half_squared", **options)
    with pytest.warns(ConvergenceWarning, match="nothing beside the others"):
        model.fit(X, y, sample_weight=[1.0, 1.0, 1.0, 1.0, 1.0, weight])
    assert not model.converged_


@pytest.mark.parametrize("spread", [0.25, 1.0, 1.5])
@pytest.mark.parametrize(("end", "beyond"), [(1.0 / FURTHEST_SCALE, 0.0), (FURTHEST_SCALE, np.inf)])
def test_a_scale_may_be_so_far_from_the_spread(spread, end, beyond):
    last = spread / FURTHEST_SCALE if end < 1.0 else spread * FURTHEST_SCALE
    assert scale_in_units(8.0 * last, 8.0, spread) == last
    too_far = 8.0 * float(np.nextafter(last, beyond))
    with pytest.raises(ValueError, match=r"^scale=.* too far from the spread of y, (2|8|12)"):
        scale_in_units(too_far, 8.0, spread)
    assert scale_in_units(too_far, 8.0, 0.0) == too_far / 8.0  # nothing to be far from


def test_the_ends_of_what_is_in_range():
    assert scale_of_squares(3.0, 0.5) == 6.0
    for scale, unit in ((1e-200, 1e200), (1e200, 1e-200)):
        with pytest.raises(ValueError, match="out of the range of float64 beside a y of order"):
            scale_of_squares(scale, unit)
    least = np.finfo(float).tiny
    for alpha, own in ((least, 1.0), (1e-310, 1e-310), (0.0, 0.0)):
        assert penalty_in_range(ElasticNet(alpha), own) == ElasticNet(alpha)
    with pytest.raises(ValueError, match=r"alpha=.* is too small for float64"):
        penalty_in_range(ElasticNet(1e-310), least)
    for penalty in (ElasticNet(1e200, unit=1e-200), ElasticNet(np.inf, 1.0)):
        with pytest.raises(ValueError, match="alpha is too large for float64"):
            penalty_in_range(penalty, 1.0)
    assert in_range("scale", 2.0, 1e300) == 2e300
    assert in_range("scale", 0.0, np.inf) == 0.0
    assert in_range("scale", np.inf, 1.0) == np.inf
    with pytest.raises(ValueError, match="The scale of this fit cannot be represented"):
        in_range("scale", 1e10, 1e300)
    message = str(too_far_apart(np.array([0.0, -1e-300, 2e300])))
    assert message.startswith("y holds values from 1e-300 to 2e+300 in absolute value")

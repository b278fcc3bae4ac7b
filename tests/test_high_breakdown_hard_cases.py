"""The hard cases of the design's section 7 for the estimators of high breakdown."""

import numpy as np
import pytest
from _cases import (
    HIGH,
    HIGH_VARIANTS,
    clean,
    contaminated,
    in_turns,
    linear,
    on_plane,
    weights_for,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from robustreg import HuberRegressor, LTSRegressor, MMRegressor, MRegressor, SRegressor

every_estimator = pytest.mark.parametrize("model", HIGH.values(), ids=HIGH.keys())
every_variant = pytest.mark.parametrize("model", HIGH_VARIANTS.values(), ids=HIGH_VARIANTS.keys())


def fit(model, X, y, weight=None, **parameters):
    """A fitted copy; warnings are errors here, so that it has converged."""
    return clone(model).set_params(**parameters).fit(X, y, weight)


def assert_same_fit(a, b, rtol=1e-8, unit=1.0):
    """Coefficients and intercept to ``rtol`` scales; ``b`` in units of y ``unit`` times larger."""
    size = rtol * max(a.scale_, np.abs(a.coef_).max())
    np.testing.assert_allclose(b.coef_ / unit, a.coef_, rtol=0, atol=size)
    np.testing.assert_allclose(b.intercept_ / unit, a.intercept_, rtol=0, atol=size)
    np.testing.assert_allclose(b.scale_ / unit, a.scale_, rtol=rtol)
    np.testing.assert_allclose(b.weights_, a.weights_, rtol=0, atol=10 * rtol)


# --- refusals


@every_estimator
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_X_is_refused(model, container):
    X, y = clean()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        clone(model).fit(container(X), y)


@every_estimator
@pytest.mark.parametrize(("fit_intercept", "least"), [(True, 8), (False, 6)])
def test_fewer_than_two_rows_for_every_coefficient(model, fit_intercept, least):
    X, y = clean(n=20)
    model = clone(model).set_params(fit_intercept=fit_intercept)
    message = f"two rows for every coefficient, {least} for the .* got n_samples={least - 1}"
    with pytest.raises(ValueError, match=message):
        model.fit(X[: least - 1], y[: least - 1])
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert not [name for name in vars(model) if name.endswith("_")]
    fit(model, X[:least], y[:least])
    with pytest.raises(ValueError, match=f"{least} for the .* a sum of weights of 4"):
        model.fit(X, y, np.full(20, 0.2))
    with pytest.raises(ValueError, match=f"{least} for the .* a sum of weights of 5"):
        model.fit(X, y, np.arange(20) < 5)


@every_estimator
def test_too_few_rows_leave_an_earlier_fit_as_it_was(model):
    X, y = clean()
    model = fit(model, X, y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="rows"):
        model.fit(X[:5], y[:5])
    assert all(vars(model)[name] is before[name] for name in before)
    assert vars(model).keys() == before.keys()


def test_the_convergence_warning_says_what_to_do():
    X, y = contaminated(n=9000)
    for model in HIGH.values():
        with pytest.warns(
            ConvergenceWarning, match=r"did not converge: increase max_iter \(now 1\)"
        ):
            assert not clone(model).set_params(max_iter=1, n_subsamples=1).fit(X, y).converged_


# --- exact fits


@pytest.mark.parametrize(
    ("model", "value"),
    in_turns(HIGH_VARIANTS, [(0.0,), (0.1,), (12345678.9,)], [(-1e-300,), (1e300,)]),
)
def test_constant_y(model, value):
    X, _ = clean()
    if not model.fit_intercept:
        X[:, 0] = 1.0  # then a column must do it
    model = fit(model, X, np.full(60, value))
    np.testing.assert_allclose(model.predict(X), value, rtol=1e-13)
    assert model.scale_ == model.objective_ == 0
    np.testing.assert_array_equal(model.weights_, 1)
    assert not model.outliers_.any()
    if model.fit_intercept:
        np.testing.assert_array_equal(model.coef_, 0)


@pytest.mark.parametrize(
    ("model", "n", "unit"),
    in_turns(
        HIGH_VARIANTS,
        [(10, 1.0), (10, 1e150)],
        [(500, 1e-150), (500, 1.0)],
        [(5000, 1e150), (5000, 1e-150)],
    ),
)
def test_exactly_linear_y(model, n, unit):
    X, plane, _ = linear(n)
    y = (plane - (0 if model.fit_intercept else 3)) * unit
    model = fit(model, X, y, n_subsamples=20)
    assert model.scale_ == 0
    np.testing.assert_allclose(model.predict(X), y, rtol=0, atol=1e-13 * np.abs(y).max())
    np.testing.assert_array_equal(model.weights_, 1)
    assert not model.outliers_.any()


@pytest.mark.parametrize("model", [*HIGH.values(), LTSRegressor(reweight=False, random_state=0)])
@pytest.mark.parametrize(
    ("n", "sided", "weighted"),
    [(30, False, False), (30, True, True), (300, True, False), (6000, False, True)],
)
def test_most_rows_on_a_plane(model, sided, n, weighted):
    X, y, on = on_plane(0.4, sided, n=n)
    weight = np.where(on, 1.0, 0.9) if weighted else None
    model = fit(model, X, y, weight)
    np.testing.assert_allclose(model.predict(X)[on], y[on], rtol=0, atol=1e-9)
    assert model.scale_ == 0
    np.testing.assert_array_equal(model.weights_, on)
    np.testing.assert_array_equal(model.outliers_, ~on)


@every_estimator
def test_just_too_few_rows_on_a_plane(model):
    X, y, on = on_plane(0.55, n=400)
    model = fit(model, X, y)
    assert model.scale_ > 0.01
    assert model.weights_[on].mean() > 0.5


@pytest.mark.parametrize("model", [HIGH["s"], HIGH["mm"]])
@pytest.mark.parametrize(("off", "exact"), [(18, True), (19, False)])
def test_rows_on_a_plane_count_by_their_weights(model, off, exact):
    """Exact fits leave out at most half of W - p; here that is (40 - 4) / 2."""
    X, plane, noise = linear(n=40)
    noise[off:] = 0.0
    halves = np.repeat(X, 2, axis=0), np.repeat(plane + noise, 2), np.full(80, 0.5)
    for rows in ((X, plane + noise), halves):
        assert (fit(model, *rows).scale_ == 0.0) == exact


@every_estimator
def test_mostly_zero_y(model):
    X, y = clean(n=200)
    y[:130] = 0.0
    model = fit(model, X, y)
    np.testing.assert_array_equal(np.append(model.coef_, model.intercept_), 0)
    np.testing.assert_array_equal(model.outliers_, np.arange(200) >= 130)


# --- columns


@every_variant
def test_constant_columns(model):
    X, y = contaminated()
    expected = fit(model, X, y)
    if model.fit_intercept:
        found = fit(model, np.c_[X, np.full(60, 7.0), np.zeros(60)], y)
        np.testing.assert_array_equal(found.coef_[3:], 0)
    else:
        found = fit(model, np.c_[X, np.zeros(60)], y)
        assert found.coef_[3] == 0
    np.testing.assert_allclose(found.coef_[:3], expected.coef_, rtol=1e-8)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-10)


@every_variant
def test_duplicated_columns_share_the_coefficient_by_their_scales(model):
    X, y = contaminated()
    expected = fit(model, X, y)
    found = fit(model, np.c_[X, 1e3 * X[:, 0], X[:, 1]], y)
    halves = np.r_[expected.coef_[:2] / 2, expected.coef_[2], expected.coef_[:2] / [2e3, 2]]
    np.testing.assert_allclose(found.coef_, halves, rtol=1e-8)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-10)


@every_estimator
@pytest.mark.parametrize("levels", [3, 12])
def test_dummy_columns(model, levels):
    """All levels have a column: with the intercept they are of deficient rank."""
    rng = np.random.default_rng(0)
    group = np.arange(400) % levels
    X = np.c_[rng.standard_normal(400), group[:, None] == np.arange(levels)]
    plane = X[:, 0] + group
    y = plane + 0.1 * rng.standard_normal(400)
    y[:100] += 50
    model = fit(model, X, y)
    assert np.abs(model.predict(X) - plane).max() < 0.1
    assert model.outliers_[:100].all()
    # minimum norm, in units of the columns' scales: what all levels share is the intercept's
    assert model.coef_[1:] @ X[:, 1:].var(axis=0) == pytest.approx(0, abs=1e-8)


@every_estimator
@pytest.mark.parametrize("n", [1000, 6000])
def test_a_rare_dummy(model, n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3))
    X[:, 2] = 0
    X[[10, 500, 900], 2] = 1
    y = X.sum(axis=1) + 0.1 * rng.standard_normal(n)
    y[20:300] += 30
    model = fit(model, X, y)
    np.testing.assert_allclose(model.coef_, 1, atol=0.3)
    assert model.outliers_[20:300].all()


@every_estimator
def test_repeated_rows(model):
    """A subset that holds a row twice leaves its plane open; the fit is that of weights of 8."""
    X, y = contaminated(n=30)
    expected = fit(model, X, y, np.full(30, 8.0))
    found = fit(model, np.repeat(X, 8, axis=0), np.repeat(y, 8))
    np.testing.assert_array_equal(found.outliers_[:72], True)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)


# --- units and huge values


@every_variant
def test_columns_of_all_units(model):
    X, y = contaminated()
    units = np.array([1e-12, 1.0, 1e12])
    expected, found = fit(model, X, y), fit(model, X * units, y)
    np.testing.assert_allclose(found.coef_ * units, expected.coef_, rtol=0, atol=1e-8)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)


@every_estimator
def test_columns_far_from_zero(model):
    """mean / sd = 1e8: half of the digits are gone in X itself, no more in the fit."""
    X, y = contaminated()
    X = X + 1e8
    near = X - 1e8
    expected, found = fit(model, near, y), fit(model, X, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-7)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-7)


@every_variant
@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_units_of_y(model, unit):
    X, y = contaminated()
    assert_same_fit(fit(model, X, y), fit(model, X, y * unit), unit=unit)


@pytest.mark.parametrize(
    ("model", "where", "huge"),
    in_turns(HIGH, *([(where, huge) for huge in (1e12, 1e150, -1e300)] for where in "yX")),
)
def test_one_absurd_value(model, where, huge):
    """Its row is out, whatever its size; the others keep their digits."""
    X, y = contaminated(n=100)
    expected = fit(model, X, y)
    row = 0  # an outlier of y already, so that nothing but its size changes
    (y if where == "y" else X[:, 1])[row] = huge
    found = fit(model, X, y)
    assert_same_fit(expected, found, rtol=1e-7)


@every_estimator
def test_rows_far_out_in_X(model):
    """20 % of the rows: a Gram matrix that counted them would leave the others no digit."""
    X, y = contaminated(n=100)
    expected = fit(model, X, y)
    X[:20] = 1e12 * np.random.default_rng(0).standard_normal((20, 3))
    assert_same_fit(expected, fit(model, X, y), rtol=1e-7)


@every_estimator
def test_bad_rows_at_regular_intervals(model):
    """Columns' scales are taken from a sample of the rows, which must not be these."""
    X, y = clean(n=10_000)
    X[::4, 0] += 1e6
    y[::4] = -5e6
    order = np.random.default_rng(0).permutation(10_000)
    expected, found = fit(model, X[order], y[order]), fit(model, X, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=0.01 * expected.scale_)
    assert found.scale_ == pytest.approx(expected.scale_, rel=0.01)
    assert found.outliers_[::4].all()


# --- equivariance, and the order of the rows


@pytest.mark.parametrize(("model", "factor"), in_turns(HIGH_VARIANTS, [(-3.0,), (1e-8,), (1e6,)]))
def test_regression_equivariance(model, factor):
    """y -> c y + X g + d, with the same subsets."""
    X, y = contaminated()
    g, d = np.array([1.0, -20.0, 3.0]), 11.0 if model.fit_intercept else 0.0
    base, moved = fit(model, X, y), fit(model, X, factor * (y + X @ g + d))
    np.testing.assert_allclose(moved.coef_, factor * (base.coef_ + g), rtol=1e-8)
    np.testing.assert_allclose(moved.intercept_, factor * (base.intercept_ + d), rtol=1e-8)
    np.testing.assert_allclose(moved.scale_, abs(factor) * base.scale_, rtol=1e-8)
    np.testing.assert_array_equal(moved.outliers_, base.outliers_)


@every_variant
def test_affine_equivariance(model):
    """X -> X A + a, with the same subsets."""
    X, y = contaminated()
    A = np.array([[1.0, 2.0, 0.0], [0.0, 50.0, 1.0], [1.0, 0.0, 0.01]])
    shift = np.array([5.0, -3.0, 100.0]) if model.fit_intercept else 0.0
    base, moved = fit(model, X, y), fit(model, X @ A + shift, y)
    np.testing.assert_allclose(A @ moved.coef_, base.coef_, rtol=1e-8)
    np.testing.assert_allclose(moved.scale_, base.scale_, rtol=1e-8)


@pytest.mark.parametrize(("n", "share"), [(300, 0.0), (300, 0.3), (3000, 0.2)])
def test_the_order_of_the_rows(n, share):
    """Other rows are drawn: the optimum found is nevertheless the same, nearly."""
    X, y = clean(n=n, p=4)
    X[: round(n * share)] += 5
    y[: round(n * share)] -= 100
    first = {name: fit(model, X, y) for name, model in HIGH.items()}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        again = {name: fit(model, X[order], y[order]) for name, model in HIGH.items()}
        assert again["s"].scale_ == pytest.approx(first["s"].scale_, rel=1e-5)
        shift = np.abs(again["mm"].coef_ - first["mm"].coef_).max()
        assert shift < 1e-3 * first["mm"].scale_
        assert again["lts"].objective_ == pytest.approx(first["lts"].objective_, rel=5e-3)


# --- weights


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "model",
    [SRegressor(), MMRegressor(), LTSRegressor(), SRegressor("hampel"), LTSRegressor(0.75)],
)
def test_integer_weights_are_repeated_rows(model, seed):
    X, y = contaminated(seed=seed)
    weight = np.resize([1, 3, 2, 1, 0, 2], 60)
    weighted = fit(model, X, y, weight, random_state=0, n_subsamples=2000)
    repeated = fit(
        model,
        np.repeat(X, weight, axis=0),
        np.repeat(y, weight),
        random_state=0,
        n_subsamples=2000,
    )
    assert weighted.weights_.shape == weighted.outliers_.shape == (60,)
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-6)
    assert weighted.scale_ == pytest.approx(repeated.scale_, rel=1e-6)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.repeat(weighted.weights_, weight), repeated.weights_, atol=1e-5)


@every_estimator
def test_eight_rows_in_tenths(model):
    """Their weights add up to a little less than two for every coefficient."""
    X, y = clean(n=8)
    assert np.full(80, 0.1).sum() < 8
    fit(model, np.repeat(X, 10, axis=0), np.repeat(y, 10), np.full(80, 0.1))


@pytest.mark.parametrize(("fraction", "n", "h"), [(0.58, 50, 29), (0.57, 100, 57), (0.7, 51, 35)])
def test_a_share_of_the_rows_is_rounded_down_but_not_by_rounding(fraction, n, h):
    X, y = clean(n=n)
    assert fit(LTSRegressor(fraction, random_state=0), X, y).n_support_ == h
    tenths = fit(
        LTSRegressor(fraction, random_state=0),
        np.repeat(X, 10, axis=0),
        np.repeat(y, 10),
        np.full(10 * n, 0.1),
    )
    assert tenths.n_support_ == h


def test_weights_whose_sum_is_rounded():
    """Added one by one, these come to less than their sum."""
    X, y = clean(n=100_000)
    weight = np.full(100_000, 0.7)
    assert np.cumsum(weight)[-1] < weight.sum() * (1 - 1e-12)
    model = LTSRegressor(1.0, reweight=False, n_subsamples=5, random_state=0)
    weighted, plain = fit(model, X, y, weight), fit(model, X, y)
    assert weighted.objective_ == pytest.approx(0.7 * plain.objective_, rel=1e-9)
    np.testing.assert_allclose(weighted.coef_, plain.coef_, rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "n"), in_turns(HIGH_VARIANTS, [(60,)]) + in_turns(HIGH, [(6000,)])
)
def test_weight_zero_is_an_absent_row(model, n):
    """It is judged all the same, by its residual."""
    X, y = contaminated(n=n)
    weight = weights_for(n)
    there = weight > 0
    wrong = X.copy(), y.copy()
    wrong[0][~there] *= 1e6
    kept = fit(model, X[there], y[there], weight[there], n_subsamples=50)
    model = fit(model, *wrong, weight, n_subsamples=50)
    np.testing.assert_array_equal(model.coef_, kept.coef_)
    np.testing.assert_array_equal(model.weights_[there], kept.weights_)
    assert model.scale_ == kept.scale_
    assert model.objective_ == kept.objective_
    assert model.weights_.shape == model.outliers_.shape == (n,)
    np.testing.assert_array_equal(model.outliers_[there], kept.outliers_)
    residual = np.abs(wrong[1] - model.predict(wrong[0]))
    np.testing.assert_array_equal(model.outliers_, residual > 2.5 * model.scale_)
    np.testing.assert_array_equal(model.weights_[~there & (residual > 100 * model.scale_)], 0)


@every_variant
def test_equal_weights_of_one_are_no_weights(model):
    X, y = contaminated()
    assert_same_fit(fit(model, X, y), fit(model, X, y, np.ones(60)), rtol=1e-9)


# --- memory layouts


def frozen(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mirrored(X):
    return X[:, ::-1].copy()[:, ::-1]


@pytest.mark.parametrize(
    ("model", "layout"), in_turns(HIGH_VARIANTS, [(frozen,), (np.asfortranarray,), (mirrored,)])
)
def test_memory_layout_does_not_matter_and_input_is_untouched(model, layout):
    X, y = contaminated()
    weight = weights_for(60)
    expected = fit(model, X, y, weight)
    X2, y2, weight2 = layout(X), frozen(y), frozen(weight)
    found = fit(model, X2, y2, weight2)
    np.testing.assert_array_equal(X2, X)
    assert_same_fit(expected, found, rtol=1e-9)


@every_estimator
@pytest.mark.parametrize("order", ["C", "F"])
def test_float32_is_kept(model, order):
    X, y = contaminated()
    X, y = np.asarray(X, np.float32, order=order), y.astype(np.float32)
    model = fit(model, X, y)
    assert model.coef_.dtype == model.intercept_.dtype == model.weights_.dtype == np.float32
    assert model.predict(X).dtype == np.float32
    # the sums are in float64: only the result is rounded
    wide = fit(model, X.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(model.coef_, wide.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.scale_, wide.scale_, rtol=1e-6)


@pytest.mark.parametrize("model", HIGH.values(), ids=HIGH.keys())
def test_only_columns_of_zeros_and_no_intercept(model):
    y = np.random.default_rng(0).standard_normal(50)
    fitted = clone(model).set_params(fit_intercept=False).fit(np.zeros((50, 2)), y)
    assert not fitted.coef_.any()
    assert fitted.intercept_ == 0.0
    assert 0.6 < fitted.scale_ < 1.4


def mostly_constant(size):
    """60 % of a column are constant but for noise of a size: the others are far, by its scale."""
    rng = np.random.default_rng(0)
    x = np.r_[size * rng.standard_normal(300), rng.standard_normal(200)]
    X = np.c_[x, rng.standard_normal(500)]
    return X, X.sum(axis=1) + 0.1 * rng.standard_normal(500)


@pytest.mark.parametrize("size", [1e-9, 1e-12])
def test_equations_beside_far_rows_are_solved(size):
    X, y = mostly_constant(size)
    model = MMRegressor(random_state=0).fit(X, y)
    assert model.converged_
    design = np.c_[X, np.ones(500)]
    psi = model.loss_.psi((y - model.predict(X)) / model.scale_)
    assert np.all(np.abs(design.T @ psi) <= 1e-8 * (np.abs(design.T) @ np.abs(psi)))


def test_equations_that_a_far_row_hides_are_not_called_solved():
    X, y = mostly_constant(1e-16)
    with pytest.warns(ConvergenceWarning, match="equations do not hold"):
        model = MMRegressor(random_state=0).fit(X, y)
    assert not model.converged_


FOLLOWING = {
    "s": SRegressor(random_state=0),
    "mm": MMRegressor(random_state=0),
    "m": MRegressor("bisquare", random_state=0),
    "m-fixed": MRegressor("bisquare", scale="s", random_state=0),
    "lts": LTSRegressor(random_state=0),
}


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12, 1e14])
@pytest.mark.parametrize("name", FOLLOWING)
def test_far_rows_that_are_followed_do_not_hide_the_others(name, far):
    """Three rows far out agree on one slope; the others have the say in all that is left."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((150, 4))
    y = 2 * X[:, 0] + rng.standard_t(1.5, size=150)
    X[:3, 1], y[:5] = far, 1e6
    model = clone(FOLLOWING[name]).fit(X, y)
    assert model.converged_
    assert model.n_iter_ < 100
    design = np.c_[X[:, 0], X[:, 1] / far, X[:, 2:], np.ones(150)]  # in which all columns are tame
    if name == "lts":
        residual = y - X @ model.raw_coef_ - model.raw_intercept_
        kept = np.argsort(np.abs(residual))[: model.n_support_]
        slopes, sizes = design[kept].T, np.abs(residual[kept])
        assert np.all(np.abs(slopes @ residual[kept]) <= 1e-5 * (np.abs(slopes) @ sizes))
        return
    psi = model.loss_.psi((y - model.predict(X)) / model.scale_)
    sizes = np.abs(design.T) @ np.abs(psi)
    assert np.all(np.abs(design.T @ psi) <= 1e-9 * sizes)


@every_estimator
def test_a_row_without_digits_that_must_be_followed_is_no_silent_fit(model):
    # A row 1e30 scales out is all that tells the two groups and the constant apart.
    group = np.arange(40.0) % 2
    X = np.c_[group, 1 - group]
    y = np.random.default_rng(0).standard_normal(40)
    assert clone(model).fit(X, y).converged_
    X[1, 0] = 1e30
    with pytest.warns(ConvergenceWarning, match="equations do not hold"):
        assert not clone(model).fit(X, y).converged_


def test_a_row_followed_a_part_of_a_scale_from_where_it_is_is_no_silent_fit():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 1)), rng.standard_normal(30)
    X[0] = 1e15  # a little more than it is brought in to
    with pytest.warns(ConvergenceWarning, match="equations do not hold"):
        model = MRegressor("cauchy", scale="s", random_state=0).fit(X, y)
    assert not model.converged_


@pytest.mark.parametrize("model", [HuberRegressor(), *HIGH.values()], ids=repr)
@pytest.mark.parametrize("unit", [1e-200, 1e-150])
def test_columns_whose_squares_are_no_numbers(model, unit):
    X, y = clean()
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_allclose(clone(model).fit(unit * X, y).predict(unit * X), expected, rtol=1e-7)

"""What holds of the inference of every estimator, and tables that leave things open."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    QuantileRegressorCV,
    SRegressor,
    estimators,
    model_selection,
)
from robustreg.estimators._doubt import doubt_of_choice
from robustreg.evaluation.rows import of_column, only_column
from robustreg.inference import infer
from robustreg.inference._group_numbers import group_numbers
from robustreg.inference._registry import FAMILIES, GROUPED, family_of
from robustreg.losses import LogCosh

SEARCH = {"n_subsamples": 50, "random_state": 0}
MODELS = {
    "L2": L2Regressor(),
    "Huber": HuberRegressor(),
    "Huber, mad": HuberRegressor(scale="mad"),
    "Huber, search": HuberRegressorCV(deltas=(1.0, 1.5), cv=3),
    "M": MRegressor(LogCosh()),
    "M, redescending": MRegressor("bisquare", **SEARCH),
    "S": SRegressor(**SEARCH),
    "MM": MMRegressor(**SEARCH),
    "LTS": LTSRegressor(**SEARCH),
    "L1": L1Regressor(),
    "L1, search": L1RegressorCV(alphas=[0.0], cv=3),
    "quantile": QuantileRegressor(0.3),
    "quantile, search": QuantileRegressorCV(0.3, alphas=[0.0], cv=3),
}
SEARCHING = ("M, redescending", "S", "MM", "LTS")  # for starts, among dense rows
most_models = pytest.mark.parametrize("name", [name for name in MODELS if name not in SEARCHING])


def sample(n=60, p=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, 2.0 + X @ np.arange(1.0, p + 1.0) + rng.standard_t(3, size=n)


def kinds_of(model, X, y):
    """Every covariance that a fitted model has, with groups where it needs them."""
    for kind in family_of(model).kinds:
        options = {"covariance": kind}
        if kind in GROUPED:
            options["groups"] = np.arange(len(y)) % 12
        if kind == "bootstrap":
            options |= {"n_resamples": 20, "random_state": 0}
        yield kind, options


def test_every_estimator_has_a_row():
    there = {
        getattr(module, name)
        for module in (estimators, model_selection)
        for name in module.__all__
        if hasattr(getattr(module, name), "fit")
    }
    assert there == set(FAMILIES)
    assert {type(model) for model in MODELS.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", [name for name in MODELS if "search" not in name])
def test_rows_of_weight_0_are_as_if_left_out(name):
    """Whole groups of them do not count either."""
    X, y = sample()
    weight = np.where(np.arange(len(y)) % 12 == 5, 0.0, 1.0)
    kept = weight > 0.0
    model = MODELS[name].fit(X, y, sample_weight=weight)
    every = {kind: infer(model, X, y, weight, **own) for kind, own in kinds_of(model, X, y)}
    model.fit(X[kept], y[kept])
    for kind, own in kinds_of(model, X, y):
        if "groups" in own:
            own["groups"] = own["groups"][kept]
        found = infer(model, X[kept], y[kept], **own)
        if kind != "bootstrap" or "quantile" not in name:
            assert_allclose(every[kind].standard_errors, found.standard_errors, rtol=1e-7)
        assert every[kind].df == found.df


@most_models
def test_sparse_columns_are_like_dense_ones(name):
    X, y = sample()
    X[np.abs(X) < 0.3] = 0.0
    model = MODELS[name].fit(X, y)
    dense = {kind: infer(model, X, y, **own) for kind, own in kinds_of(model, X, y)}
    thin = sparse.csr_array(X)
    model.fit(thin, y)
    for kind, own in kinds_of(model, X, y):
        found = infer(model, thin, y, **own)
        assert_allclose(found.standard_errors, dense[kind].standard_errors, rtol=1e-6)
        assert_allclose(found.predict_interval(thin), dense[kind].predict_interval(X), rtol=1e-6)


@most_models
def test_penalties_are_refused(name):
    X, y = sample()
    model = type(MODELS[name])(**MODELS[name].get_params())
    strength = {"alphas": [0.1]} if "search" in name else {"alpha": 0.1}
    for parameters, shown in ((strength, r"alpha=0\.1"), ({"positive": True}, "positive=True")):
        model.set_params(**(MODELS[name].get_params() | parameters)).fit(X, y)
        with pytest.raises(ValueError, match=f"no standard errors for a penalised .*{shown}: the"):
            infer(model, X, y)


@most_models
def test_as_many_coefficients_as_rows_are_refused(name):
    X, y = sample()
    weight = np.full(60, 4.0 / 60.0)
    model = MODELS[name].fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"sum to 4 and the rank is 4\. sample_weight counts rows"):
        infer(model, X, y, weight)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("L2", "LTS")])
def test_what_was_warned_of_is_in_the_table(name):
    X, y = sample()
    model = MODELS[name]
    assert "converged" not in str(infer(model.fit(X, y), X, y))
    short = type(model)(**(model.get_params() | {"max_iter": 1}))
    with pytest.warns(ConvergenceWarning):
        short.fit(X, y)
    assert "The fit has not converged" in str(infer(short, X, y))


def test_a_lost_coefficient_is_named():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(only=np.arange(60) == 17)
    with pytest.warns(UserWarning, match=r"L2Regressor has no .* for only: .* \(number 17\)"):
        found = infer(L2Regressor().fit(frame, y), frame, y)
    assert_array_equal(np.isnan(found.standard_errors), [False, False, False, False, True])


def test_new_rows_are_told_by_their_columns():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    found = infer(HuberRegressor().fit(frame, y), frame, y)
    assert_allclose(found.predict_interval(frame), found.predict_interval(X))
    with pytest.raises(ValueError, match="the columns of the fit, a, b, c; got c, b, a"):
        found.predict_interval(frame[["c", "b", "a"]])
    pipeline = make_pipeline(StandardScaler(), HuberRegressor()).fit(frame, y)
    before = pipeline[:-1].set_output(transform="pandas").transform(frame)
    through = infer(pipeline, frame, y)
    assert_allclose(through.predict_interval(before), found.predict_interval(frame), rtol=1e-9)
    plain = infer(HuberRegressor().fit(X, y), X, y)
    assert_allclose(plain.predict_interval(frame), plain.predict_interval(X))


def test_many_new_rows_are_taken_in_blocks(monkeypatch):
    X, y = sample()
    found = infer(HuberRegressor().fit(X, y), X, y)
    expected = found.predict_interval(X)
    monkeypatch.setattr("robustreg.inference._result.ENTRIES", 21)
    assert_allclose(found.predict_interval(X), expected, rtol=1e-12)
    assert_allclose(found.predict_interval(sparse.csc_array(X)), expected, rtol=1e-12)
    assert found.predict_interval(X[:0]).shape == (0, 2)


def test_a_chosen_delta_is_paid_for():
    """A fit with the threshold that was chosen believes in all that the choice has promised."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 2))
    y = X @ [1.0, -1.0] + rng.standard_t(2, size=60)
    model = HuberRegressor(delta="auto").fit(X, y)
    found = infer(model, X, y)
    fixed = infer(HuberRegressor(delta=model.delta_).fit(X, y), X, y)
    rows, threshold = of_column(y - model.predict(X), None, 1), model.delta_ * model.loss_scale_
    doubt = doubt_of_choice(rows, only_column, threshold=threshold)
    assert 1.01 < doubt < 1.5
    assert_allclose(found.standard_errors**2, doubt * fixed.standard_errors**2, rtol=1e-6)
    assert found.covariance_type == f"{fixed.covariance_type}, delta chosen"


def test_warnings_point_at_the_line_that_asked():
    X, y = sample()
    X = np.column_stack([X, np.arange(60) == 17])
    model = make_pipeline(StandardScaler(), L2Regressor()).fit(X, y)
    with pytest.warns(UserWarning, match="has no standard error for intercept, x3") as caught:
        infer(model, X, y)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["L2", "Huber", "Huber, mad", "M"])
def test_all_rows_twice_halve_the_variance(name):
    X, y = sample()
    once = infer(MODELS[name].fit(X, y), X, y, covariance="HC0")
    twice = np.full(60, 2.0)
    found = infer(MODELS[name].fit(X, y, sample_weight=twice), X, y, twice, covariance="HC0")
    assert_allclose(2.0 * found.covariance, once.covariance, rtol=1e-6)


def test_results_share_nothing_with_the_model_and_stay_frozen():
    X, y = sample()
    for model in (HuberRegressor(fit_intercept=False), QuantileRegressor([0.3, 0.6])):
        found = infer(model.fit(X, y), X, y)
        model.coef_[...] = 99.0
        assert not (found.coef == 99.0).any()
        for copy in (pickle.loads(pickle.dumps(found)), deepcopy(found)):
            with pytest.raises(ValueError, match="read-only"):
                copy.coef[...] = 0.0
            assert copy != found
            assert hash(found) == hash(found)


@pytest.mark.parametrize(
    "labels",
    [
        ["a", np.nan, "b"] * 20,
        np.ma.masked_array(np.arange(60) % 3, np.arange(60) == 7),
        np.array(["2020-01-01", "NaT"] * 30, dtype="datetime64[D]"),
    ],
)
def test_labels_of_groups_are_there(labels):
    X, y = sample()
    with pytest.raises(ValueError, match="groups must not hold missing labels"):
        infer(L2Regressor().fit(X, y), X, y, groups=labels)


def test_labels_of_groups_are_of_any_kind():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    model, numbers = L2Regressor().fit(X, y), np.arange(60) % 12
    expected = infer(model, X, y, groups=numbers).covariance
    days = np.datetime64("2020-01-01") + numbers
    words = pd.Series(numbers).map(lambda number: f"g{number}")
    for labels in (days, words, words.astype("category"), words.astype("string"), list(numbers)):
        assert_allclose(infer(model, X, y, groups=labels).covariance, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="groups must not hold missing labels"):
        infer(model, X, y, groups=words.astype("string").mask(words == "g3"))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "bool"])
def test_labels_of_groups_are_any_integers(dtype):
    """The ends of their range among them, whether they are close to each other or far apart."""
    ends = (False, True)
    if dtype != "bool":
        limits = np.iinfo(dtype)
        ends = (limits.min, limits.max)
    far, near = np.array([*ends] * 5, dtype=dtype), np.repeat(np.array([ends[1]] * 2, dtype), 5)
    near[:5] = ends[0] if dtype == "bool" else ends[1] - near.dtype.type(3)
    for labels in (far, near):
        numbers, count = group_numbers(labels, 10, None)
        _, expected = np.unique(labels, return_inverse=True)
        assert_array_equal(numbers, expected)
        assert count == 2


def test_a_column_is_not_taken_for_the_intercept():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    frame = pd.DataFrame(X, columns=["a", "intercept", "c"])
    with pytest.raises(ValueError, match="X has a column named 'intercept'"):
        infer(HuberRegressor().fit(frame, y), frame, y)
    model = HuberRegressor(fit_intercept=False).fit(frame, y)
    assert infer(model, frame, y).names == ("a", "intercept", "c")


def test_frames_are_combinations():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    found = infer(HuberRegressor().fit(X, y), X, y)
    rows = np.array([[0.0, 1.0, -1.0, 0.0]])
    test = found.wald_test(pd.DataFrame(rows, columns=found.names))
    assert test == found.wald_test(rows)
    assert found.wald_test(pd.Index(["x0", "x1"])) == found.wald_test(("x0", "x1"))
    for wrong in (None, 3, iter(["x0"])):
        with pytest.raises(TypeError, match="terms must be names of coefficients or an array"):
            found.wald_test(wrong)


def test_numbers_of_rows_are_the_users():
    X, y = sample()
    X = np.column_stack([X, np.arange(60) == 17])
    weight = np.append(np.zeros(10), np.ones(50))
    with pytest.warns(UserWarning, match=r"for x3: .* \(number 17\)"):
        infer(L2Regressor().fit(X, y, weight), X, y, weight)


def test_tables_are_79_wide_whatever_is_in_them():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    names = ["two\nlines", "long " * 20, "c"]
    for unit in (1e-140, 1.0, 1e140):
        frame = pd.DataFrame(X, columns=names)
        model = HuberRegressorCV(deltas=(1.0, 1.5), cv=3, scale="joint", max_iter=123, tol=1e-8)
        lines = str(infer(model.fit(frame, unit * y), frame, unit * y)).splitlines()
        assert max(map(len, lines)) <= 79
        cells = [line[-60:].split() for line in lines[-4:]]
        assert [len(row) for row in cells] == [6] * 4


def test_names_that_a_step_cannot_tell():
    X, y = sample()
    inner = ColumnTransformer([("log", FunctionTransformer(np.abs), [0])], remainder="passthrough")
    pipeline = make_pipeline(inner, L2Regressor()).fit(X, y)
    assert infer(pipeline, X, y).names == ("intercept", "x0", "x1", "x2")


def test_nothing_to_infer():
    y = np.arange(20.0) % 7.0
    with pytest.raises(ValueError, match="has no coefficient to infer: all columns of X are 0"):
        infer(L1Regressor(fit_intercept=False).fit(np.zeros((20, 2)), y), np.zeros((20, 2)), y)
    found = infer(L1Regressor().fit(np.zeros((20, 2)), y), np.zeros((20, 2)), y)
    assert_array_equal(found.identified, [True, False, False])


def test_searches_of_scikit_learn_tell_where_the_model_is():
    X, y = sample()
    search = GridSearchCV(HuberRegressor(), {"delta": [1.0, 2.0]}, cv=3).fit(X, y)
    with pytest.raises(TypeError, match=r"got GridSearchCV\. Take its best_estimator_"):
        infer(search, X, y)
    with pytest.raises(TypeError, match="got HuberRegressor"):
        infer(HuberRegressor, X, y)


def test_noise_beyond_the_corner_is_no_exact_fit():
    X, y = sample()
    with pytest.warns(UserWarning, match="it rests on single rows"):  # the few in the centre
        infer(HuberRegressor(scale=1.0).fit(X, 1e9 * y), X, 1e9 * y)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
@pytest.mark.parametrize("name", [name for name in MODELS if "search" not in name])
def test_units_without_squares_are_refused(name, unit):
    X, y = sample()
    with pytest.raises(ValueError, match=r"cannot be represented in float64.* y must be rescaled"):
        infer(MODELS[name].fit(X, unit * y), X, unit * y)


@pytest.mark.parametrize("unit", [1e-160, 1e160])
def test_columns_without_squares_have_errors(unit):
    X, y = sample()
    plain = infer(HuberRegressor().fit(X, y), X, y)
    found = infer(HuberRegressor().fit(unit * X, y), unit * X, y)
    assert_allclose(found.standard_errors[1:] * unit, plain.standard_errors[1:], rtol=1e-9)


@pytest.mark.parametrize("name", ["L2", "Huber", "MM", "L1"])
def test_threads_do_not_change_a_bit(name, monkeypatch):
    monkeypatch.setattr("robustreg.sources._array.BLOCK_BYTES", 2**12)  # of rows: many blocks
    X, y = sample(2000)
    model, found = MODELS[name].fit(X, y), []
    for limit in (1, 2):
        with threadpool_limits(limit):
            found.append(infer(model, X, y, groups=np.arange(2000) // 7))
    assert_array_equal(found[0].covariance, found[1].covariance)

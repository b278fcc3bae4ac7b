"""The estimators as scikit-learn users meet them: checks, validation, attributes, routing."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sklearn
from _cases import (
    DEFAULTS,
    HIGH,
    HIGH_VARIANTS,
    SMOOTH_LOSSES,
    VARIANTS,
    clean,
    contaminated,
    in_turns,
    is_l1,
    linear,
    loss_of,
    weights_for,
)
from _reference import kappa, mad, median, spread_of_y
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import HuberRegressor as ScikitHuber
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import make_scorer, median_absolute_error
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

import robustreg
from robustreg.estimators import (
    ESTIMATORS,
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
)
from robustreg.losses import Huber, LogCosh, Quantile, SmoothL1

every_default = pytest.mark.parametrize("model", DEFAULTS.values(), ids=DEFAULTS.keys())
every_variant = pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS.keys())
ALL = DEFAULTS | HIGH
ALL_VARIANTS = VARIANTS | HIGH_VARIANTS
every_estimator = pytest.mark.parametrize("model", ALL.values(), ids=ALL.keys())
every_variant_of_all = pytest.mark.parametrize(
    "model", ALL_VARIANTS.values(), ids=ALL_VARIANTS.keys()
)


# Every estimator by default (those that draw at random do so anew every time), and those
# parameters for which it fits in several steps, or tags itself in another way.
CHECKED = [
    *(estimator() for estimator in ESTIMATORS.values()),
    HuberRegressor("auto"),
    MRegressor("bisquare"),
]


def what_no_redescending_loss_can_pass(estimator):
    if not (isinstance(estimator, MRegressor) and estimator.loss == "bisquare"):
        return {}
    return {"check_regressors_train": "it sets alpha=0.01, which redescending losses refuse"}


@parametrize_with_checks(CHECKED, expected_failed_checks=what_no_redescending_loss_can_pass)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# Predictions of several quantiles have one column each.
ONE_PREDICTION_A_ROW = dict.fromkeys(
    ["check_regressors_train", "check_estimator_sparse_array", "check_estimator_sparse_matrix"],
    "they expect predictions of shape (n_samples,)",
)


@parametrize_with_checks(
    [QuantileRegressor([0.1, 0.5, 0.9])],
    expected_failed_checks=lambda estimator: ONE_PREDICTION_A_ROW,
)
def test_scikit_learn_checks_of_several_quantiles(estimator, check):
    check(estimator)


def test_the_registry_is_what_the_package_exports():
    for estimator in ESTIMATORS.values():
        assert getattr(robustreg, estimator.__name__) is estimator
        assert estimator.__name__ in robustreg.__all__


# --- parameters

NUMBERS_ABOVE_0 = [0, -1.0, np.nan, np.inf, "one", None, [1.0]]
BAD_PARAMETERS = {
    "delta": NUMBERS_ABOVE_0,
    "alpha": [-1e-9, np.nan, np.inf, "one", None],
    "l1_ratio": [-0.1, 1.1, np.nan, "one", None],
    "scale": [0.0, -1.0, np.nan, np.inf, "jont", None],
    "positive": ["yes", None, 2],
    "fit_intercept": ["yes", None, 2],
    "solver": ["ellipsoid", None, 3],
    "max_iter": [0, -1, 1.5, np.inf, "one", None],
    "tol": NUMBERS_ABOVE_0,
    "warm_start": ["no", None, 2],
    "verbose": [-1, 1.5, "one", None],
    "penalty": ["lasso", 0.5],
    "quantile": [0, 1, -0.1, 2, np.nan, True, "a", None, [], [0.5, 0.5], [0.1, 1], [[0.5]]],
    "crossing": ["sort", None, True],
    "loss": ["hubert", "quantile", Quantile(0.3), SmoothL1(0), None, 3],
    "efficiency": [0, 1, -0.1, 1.1, np.nan, "one", None],
    "breakdown_point": [0, 0.51, -0.1, np.nan, "half", None],
    "support_fraction": [0.49, 1.01, np.nan, "half"],
    "reweight": ["yes", None, 2],
    "n_subsamples": [0, -1, 1.5, np.inf, "one", None],
    "random_state": [-1, 1.5, "one"],
}
BAD = [
    pytest.param(model, name, id=f"{key}-{name}")
    for key, model in ALL.items()
    for name in model.get_params()
]


@pytest.mark.parametrize(("model", "name"), BAD)
def test_a_bad_parameter_is_named_and_nothing_half_fitted(model, name):
    X, y = clean()
    for value in BAD_PARAMETERS[name]:
        bad = clone(model).set_params(**{name: value})
        before = vars(bad).copy()
        try:
            bad.fit(X, y)
        except ValueError as error:
            assert name in str(error), value  # noqa: PT017
        else:
            pytest.fail(f"{name}={value!r} is accepted")
        assert vars(bad).keys() == before.keys(), value


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(np.float32(1.5), alpha=np.float64(0.1), max_iter=np.int64(50)),
        HuberRegressor(2, alpha=1, scale=3, fit_intercept=np.True_),
        MRegressor(LogCosh(c=2.0), scale=np.float32(2)),
    ],
)
def test_numbers_of_other_types_are_welcome(model):
    X, y = clean()
    before = model.get_params()
    model.fit(X, y)
    assert model.get_params() == before


@pytest.mark.parametrize("delta", [1e-160, 1e160])
def test_delta_out_of_range_is_named(delta):
    X, y = clean()
    with pytest.raises(ValueError, match="delta"):
        HuberRegressor(delta).fit(X, y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (HuberRegressor(solver="direct"), "solver='direct' does not support the loss Huber"),
        (L1Regressor(solver="newton"), "solver='newton' does not support the loss Absolute"),
        (L1Regressor(solver="linprog", alpha=1.0), "does not support a ridge penalty"),
        (HuberRegressor(alpha=0.1, l1_ratio=0.5, solver="lbfgs"), "does not support an L1 penalty"),
        (L2Regressor(positive=True, solver="direct"), "does not support positive=True"),
        (L2Regressor(solver="interior"), "solver='interior' does not support the loss HalfSquared"),
        (MRegressor("squared", solver="direct"), "does not support scale='joint'"),
        (MRegressor("absolute"), "L1Regressor"),
    ],
)
def test_combinations_that_do_not_exist_say_why(model, message):
    X, y = clean()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coef_")
    assert not hasattr(model, "n_features_in_")


class Other(np.ndarray):
    """An array, but not a plain one."""


def outcome(X, y):
    """The coefficients of a fit, or what it complains of."""
    try:
        return HuberRegressor().fit(X, y).coef_.tolist()
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (X, y),
        lambda X, y: (X, y[:-1]),
        lambda X, y: (X[:0], y[:0]),
        lambda X, y: (X[:, :0], y),
        lambda X, y: (X, np.where(y == y[3], np.nan, y)),
        lambda X, y: (X, np.where(y == y[3], np.inf, y)),
        lambda X, y: (X, np.stack([y, y], axis=1)),
        lambda X, y: (X[:, 0], y),
    ],
    ids=["good", "length", "rows", "columns", "nan", "inf", "targets", "vector"],
)
def test_plain_arrays_fare_as_what_scikit_learn_has_to_convert(change):
    X, y = change(*clean())
    assert outcome(X, y) == outcome(X.view(Other), y.view(Other))


def test_a_refit_on_plain_arrays_forgets_names():
    pandas = pytest.importorskip("pandas")
    X, y = clean()
    model = HuberRegressor().fit(pandas.DataFrame(X).rename(columns="c{}".format), y)
    assert hasattr(model, "feature_names_in_")
    assert not hasattr(model.fit(X, y), "feature_names_in_")


# --- attributes


@pytest.mark.parametrize(("model", "weighted"), in_turns(VARIANTS, [(False,), (True,)]))
def test_fitted_attributes(model, weighted):
    X, y = contaminated()
    weight = weights_for(len(y)) if weighted else None
    model = clone(model).fit(X, y, weight)
    assert model.coef_.shape == (3,)
    assert isinstance(model.intercept_, np.floating)
    assert isinstance(model.scale_, float)
    assert isinstance(model.objective_, float)
    assert isinstance(model.dual_gap_, float)
    assert isinstance(model.n_iter_, int)
    assert isinstance(model.solver_, str)
    assert model.converged_ is True
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    # one value for every row given, those of weight 0 included
    r = y - model.predict(X)
    assert model.weights_.shape == model.outliers_.shape == (len(y),)
    assert model.outliers_.dtype == bool
    np.testing.assert_array_equal(model.outliers_, np.abs(r) > 2.5 * model.scale_)
    assert ((model.weights_ >= 0) & (model.weights_ <= 1)).all()


def documented_scale(model, X, y, weight):
    """For fits that pass through no row by construction, or through p + 1 of them (L1)."""
    r = y - model.predict(X)
    if isinstance(model, L2Regressor):
        return np.sqrt(np.average(r**2, weights=weight))
    kept = np.abs(r) > 1e-9 if is_l1(model) else np.full(len(y), True)
    return mad(r[kept], None if weight is None else weight[kept], 0.0)


@every_variant
def test_scale_is_as_documented(model):
    X, y = contaminated()
    model = clone(model).fit(X, y)
    if getattr(model, "scale", "") == "joint":
        z = (y - model.predict(X)) / model.scale_
        loss = loss_of(model)
        excess = np.mean(z * loss.psi(z) - loss.rho(z)) - kappa(loss)
        assert abs(excess) < 1e-8 * kappa(loss)
    else:
        assert model.scale_ == pytest.approx(documented_scale(model, X, y, None), rel=1e-10)


@every_variant
def test_weights_are_as_documented(model):
    X, y = contaminated()
    model = clone(model).fit(X, y)
    r = y - model.predict(X)
    if isinstance(model, L2Regressor):
        expected = np.ones(len(y))
    elif is_l1(model):
        expected = np.minimum(1, model.scale_ / np.maximum(np.abs(r), 1e-300))
    else:
        sigma = {"joint": model.scale_}.get(model.scale, model.scale)
        if sigma == "mad":
            sigma = L1Regressor(fit_intercept=model.fit_intercept).fit(X, y).scale_
        loss = loss_of(model)
        expected = loss.psi(r / sigma) / (r / sigma) / loss.psi_prime(0.0)
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-9)


def test_the_scale_mad_is_that_of_an_l1_fit():
    X, y = contaminated()
    weight = weights_for(len(y))
    absolute = L1Regressor().fit(X, y, weight)
    by_mad = HuberRegressor(scale="mad").fit(X, y, weight)
    fixed = HuberRegressor(scale=absolute.scale_).fit(X, y, weight)
    np.testing.assert_allclose(by_mad.coef_, fixed.coef_, rtol=1e-10)
    assert by_mad.objective_ == pytest.approx(fixed.objective_, rel=1e-10)


@pytest.mark.parametrize(
    "model",
    [
        *DEFAULTS.values(),
        *(MRegressor(SMOOTH_LOSSES[name]) for name in ("huber-high", "pseudo_huber", "squared")),
        HuberRegressor(scale=1.0),
        HuberRegressor(scale="mad"),
    ],
)
def test_scale_and_flags_are_consistent_at_the_gaussian(model):
    """scale_ within 1.5 % of the noise's sd; 1.24 % of clean rows flagged."""
    X, plane, noise = linear(n=50_000, p=4)
    model = clone(model).fit(X, plane + 3.0 * noise)
    assert model.scale_ == pytest.approx(3.0, rel=0.015)
    assert model.outliers_.mean() == pytest.approx(0.0124, abs=0.002)


def test_outliers_are_flagged_where_they_are():
    X, y = contaminated(n=1000)
    for name, model in DEFAULTS.items():
        if name != "l2":
            model = clone(model).fit(X, y)
            assert model.outliers_[:300].all()
            assert model.outliers_[300:].mean() < 0.03


# --- relations between estimators, and to scikit-learn's


@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.1}, {"scale": 0.7}, {"scale": "mad"}])
def test_huber_is_a_special_m_regressor(parameters):
    X, y = contaminated()
    one = HuberRegressor(2.0, **parameters).fit(X, y)
    other = MRegressor(Huber(2.0), **parameters).fit(X, y)
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert one.objective_ == other.objective_


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_huber_becomes_least_squares(alpha):
    """With scale=1.0 and a large delta, at the same alpha, even the objectives agree."""
    X, y = clean()
    huber = HuberRegressor(1e3, scale=1.0, alpha=alpha).fit(X, y)
    squares = L2Regressor(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(huber.coef_, squares.coef_, rtol=1e-10)
    assert huber.objective_ == pytest.approx(squares.objective_, rel=1e-10)


def test_huber_becomes_least_absolute_deviations():
    X, y = contaminated()
    huber = HuberRegressor(1.0, scale=1e-6).fit(X, y)
    absolute = L1Regressor().fit(X, y)
    assert huber.objective_ == pytest.approx(absolute.objective_, rel=1e-6)


def test_huber_is_delta_times_smooth_l1():
    X, y = contaminated()
    huber = HuberRegressor(2.0, scale=1.0, alpha=0.3).fit(X, y)
    smooth = MRegressor(SmoothL1(beta=2.0), scale=1.0, alpha=0.15).fit(X, y)
    np.testing.assert_allclose(huber.coef_, smooth.coef_, rtol=1e-9)
    assert huber.objective_ == pytest.approx(2 * smooth.objective_, rel=1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
def test_l2_is_scikit_learns_ridge(fit_intercept, weighted):
    """At alpha_ridge = W alpha; LinearRegression without a penalty."""
    X, y = clean()
    weight = weights_for(len(y)) if weighted else None
    total = len(y) if weight is None else weight.sum()
    plain = LinearRegression(fit_intercept=fit_intercept).fit(X, y, weight)
    ridge = Ridge(alpha=0.3 * total, fit_intercept=fit_intercept, tol=1e-12).fit(X, y, weight)
    for alpha, expected in ((0.0, plain), (0.3, ridge)):
        found = L2Regressor(alpha=alpha, fit_intercept=fit_intercept).fit(X, y, weight)
        np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-10)
        assert found.intercept_ == pytest.approx(expected.intercept_, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 5.0])
def test_conversion_from_scikit_learns_huber(alpha):
    """epsilon = delta / sqrt(2 kappa), scale = scale_ sqrt(2 kappa), alpha as in the design."""
    X, y = contaminated(n=200)
    delta = 1.345
    factor = np.sqrt(2 * kappa(Huber(delta)))
    theirs = ScikitHuber(epsilon=delta / factor, alpha=alpha, tol=1e-9, max_iter=10_000).fit(X, y)
    ours = alpha * spread_of_y(y) * delta / (theirs.epsilon * len(y))
    found = HuberRegressor(delta, alpha=ours).fit(X, y)
    np.testing.assert_allclose(found.coef_, theirs.coef_, rtol=2e-4)
    assert found.scale_ * factor == pytest.approx(theirs.scale_, rel=2e-4)


def test_an_intercept_alone_is_the_location():
    y = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    X = np.zeros((5, 1))
    assert L2Regressor().fit(X, y).intercept_ == pytest.approx(22.0, rel=1e-13)
    assert L1Regressor().fit(X, y).intercept_ == pytest.approx(3.0, rel=1e-13)
    assert L1Regressor().fit(X, y, [0, 0, 0, 1, 3.0]).intercept_ == pytest.approx(100.0)
    assert 2 < HuberRegressor().fit(X, y).intercept_ < 4
    assert median(y) == 3


# --- dtypes


@pytest.mark.parametrize(
    ("model", "container"),
    in_turns(VARIANTS, [(np.asarray,), (np.asfortranarray,), (sparse.csr_array,)]),
)
def test_float32_is_kept(model, container):
    X, y = contaminated()
    X, y = X.astype(np.float32), y.astype(np.float32)
    model = clone(model).fit(container(X), y)
    assert model.coef_.dtype == model.intercept_.dtype == model.weights_.dtype == np.float32
    assert model.predict(container(X)).dtype == np.float32
    # the sums are in float64: only the result is rounded
    wide = clone(model).fit(X.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(model.coef_, wide.coef_, rtol=1e-6)
    np.testing.assert_allclose(model.scale_, wide.scale_, rtol=1e-6)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@every_default
def test_float32_far_from_zero(model):
    """Centred in float64: in float32 the spread of 1 would drown beside a mean of 1e5."""
    X, y = contaminated(n=500)
    X = (X + np.array([1e5, 0, -3e4])).astype(np.float32)
    model = clone(model).fit(X, y.astype(np.float32))
    wide = clone(model).fit(X.astype(np.float64), y.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(model.coef_, wide.coef_, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "dtype"),
    in_turns(ALL, [(np.int64,), (np.int8,), (np.uint8,)], [(np.float16,), (object,), (bool,)]),
)
def test_other_dtypes_become_float64(model, dtype):
    X, y = contaminated()
    X = np.abs(np.round(2 * X)).astype(dtype)
    found = clone(model).fit(X, y)
    expected = clone(model).fit(X.astype(np.float64), y)
    assert found.coef_.dtype == np.float64
    np.testing.assert_array_equal(found.coef_, expected.coef_)


@every_estimator
def test_integer_y_and_lists(model):
    X, y = contaminated()
    y = np.round(y).astype(int)
    expected = clone(model).fit(X, y.astype(float)).coef_
    np.testing.assert_array_equal(clone(model).fit(X, y).coef_, expected)
    found = clone(model).fit(X.tolist(), y.tolist(), sample_weight=[1] * len(y))
    np.testing.assert_allclose(found.coef_, expected, rtol=1e-9)


# --- data frames


@every_estimator
def test_pandas_names(model):
    pandas = pytest.importorskip("pandas")
    X, y = contaminated()
    weight = weights_for(len(y))
    frame = pandas.DataFrame(X, columns=["a", "b", "c"], index=np.arange(len(y)) + 100)
    series = pandas.Series(y, index=frame.index)
    model = clone(model).fit(frame, series, pandas.Series(weight, index=frame.index))
    expected = clone(model).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-12)
    np.testing.assert_array_equal(model.feature_names_in_, ["a", "b", "c"])
    model.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="older ones read polars' column names by a protocol that polars has given up",
)
@every_estimator
def test_polars_names(model):
    polars = pytest.importorskip("polars")
    X, y = contaminated()
    frame = polars.DataFrame(X, schema=["a", "b", "c"])
    model = clone(model).fit(frame, polars.Series(y))
    np.testing.assert_allclose(model.coef_, clone(model).fit(X, y).coef_, rtol=1e-12)
    np.testing.assert_array_equal(model.feature_names_in_, ["a", "b", "c"])


# --- predict


@every_estimator
def test_predict(model):
    X, y = contaminated()
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    model = clone(model).fit(X, y)
    expected = X @ model.coef_ + model.intercept_
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-13)
    np.testing.assert_allclose(model.predict(sparse.csc_matrix(X)), expected, rtol=1e-13)
    np.testing.assert_allclose(model.predict(X[:1]), expected[:1], rtol=1e-13)
    for wrong in (X[:, :2], X[0], X * np.nan):
        with pytest.raises(ValueError, match=r"features|2D|NaN"):
            model.predict(wrong)


@every_estimator
def test_not_fitted_after_a_failed_fit(model):
    X, y = contaminated()
    model = clone(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_score_is_r_squared():
    X, plane, noise = linear()
    model = HuberRegressor().fit(X, plane + 1e-6 * noise)
    assert model.score(X, plane) > 0.999999


# --- clone, pickle, set_params, repeated fits


def test_subclasses_have_the_parameters_that_they_say():
    class More(robustreg.HuberRegressor):
        more = 1

        @classmethod
        def _get_param_names(cls):
            names = super()._get_param_names()
            names.append("more")
            return names

    class Less(robustreg.HuberRegressor):
        pass

    def take_alpha_only(self, alpha=2.0):
        robustreg.HuberRegressor.__init__(self, alpha=alpha)

    own = robustreg.HuberRegressor._get_param_names()
    assert [More._get_param_names() for _ in range(2)] == [[*own, "more"]] * 2
    assert More().set_params(more=2).get_params()["more"] == 2
    assert Less._get_param_names() == own
    Less.__init__ = take_alpha_only
    assert Less().get_params() == {"alpha": 2.0}
    assert robustreg.HuberRegressor._get_param_names() == own


@every_variant_of_all
def test_clone_and_pickle(model):
    X, y = contaminated()
    assert clone(model).get_params() == model.get_params()
    fitted = clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.get_params() == model.get_params()
    assert not hasattr(clone(fitted), "coef_")


@pytest.mark.parametrize(
    "model",
    [robustreg.HuberRegressor(), robustreg.LTSRegressor(), robustreg.L1RegressorCV(alphas=[0.1])],
    ids=lambda model: type(model).__name__,
)
def test_a_pickle_of_another_version_is_refused(model):
    """Its attributes are others: better an error than one that is missing somewhere later."""
    fitted = clone(model).fit(*contaminated())
    state = fitted.__getstate__()
    del state["_robustreg_state"]
    name = type(model).__name__
    with pytest.raises(ValueError, match=f"This {name} was pickled by another version .* Fit it"):
        type(model)().__setstate__(state)


@every_variant_of_all
def test_a_second_fit_forgets_the_first(model):
    X, y = contaminated()
    once = clone(model).fit(X, y)
    twice = clone(model).fit(X[:30, :2], y[:30] * 1e5).fit(X, y)
    np.testing.assert_array_equal(once.coef_, twice.coef_)
    assert vars(once).keys() == vars(twice).keys()


# --- warnings


def test_the_convergence_warning_says_what_to_do_and_points_at_the_caller():
    X, y = contaminated()
    with pytest.warns(ConvergenceWarning, match="Increase max_iter") as caught:
        HuberRegressor(max_iter=1, delta=0.5).fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "HuberRegressor" in str(caught[0].message)


def test_the_convergence_warning_reaches_code_without_a_module():
    X, y = contaminated()
    names = {"model": HuberRegressor(max_iter=1, delta=0.5), "X": X, "y": y}
    with pytest.warns(ConvergenceWarning):
        exec("model.fit(X, y)", names)


@every_variant_of_all
def test_a_converged_fit_is_silent(model):
    X, y = contaminated()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clone(model).fit(X, y, weights_for(len(y)))
    assert [str(entry.message) for entry in caught] == []


@every_variant_of_all
def test_the_floating_point_settings_of_the_user_do_not_matter(model):
    """np.seterr(all="raise") is popular with people who hunt a NaN."""
    X, y = contaminated()
    expected = clone(model).fit(X, y)
    with np.errstate(all="raise"):
        found = clone(model).fit(X, y)
    np.testing.assert_array_equal(found.coef_, expected.coef_)


# --- in scikit-learn's company


@every_estimator
def test_sample_weight_reaches_the_model_through_pipeline_and_grid_search(model):
    X, y = contaminated()
    weight = weights_for(len(y))
    with config_context(enable_metadata_routing=True):
        inner = clone(model).set_fit_request(sample_weight=True)
        steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), inner)
        name = f"{type(model).__name__.lower()}__fit_intercept"
        scorer = make_scorer(median_absolute_error, greater_is_better=False)
        scorer.set_score_request(sample_weight=True)
        search = GridSearchCV(steps, {name: [True, False]}, cv=3, scoring=scorer)
        search.fit(X, y, sample_weight=weight)
    expected = clone(steps).set_params(**search.best_params_)
    Z = StandardScaler().fit_transform(X)
    last = clone(expected[-1]).fit(Z, y, weight)
    np.testing.assert_allclose(search.best_estimator_[-1].coef_, last.coef_, rtol=1e-12)


@every_estimator
def test_weights_that_were_not_requested_are_refused(model):
    X, y = contaminated()
    with config_context(enable_metadata_routing=True), pytest.raises(ValueError, match="request"):
        GridSearchCV(clone(model), {"fit_intercept": [True]}, cv=3).fit(
            X, y, sample_weight=np.ones(len(y))
        )


@every_estimator
def test_fits_in_threads_do_not_disturb_each_other(model):
    """A grid search with the threading backend fits the same data at the same time."""
    X, y = contaminated(n=5000)
    expected = clone(model).fit(X, y).coef_
    with ThreadPoolExecutor(4) as pool:
        fits = list(pool.map(lambda _: clone(model).fit(X, y).coef_, range(4)))
    for found in fits:
        np.testing.assert_array_equal(found, expected)


def test_cross_validation_in_processes():
    """Forked or spawned, a child has none of its parent's threads."""
    X, y = contaminated(n=5000)
    HuberRegressor().fit(X, y)
    here = cross_val_score(HuberRegressor(), X, y, cv=2)
    there = cross_val_score(HuberRegressor(), X, y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(here, there)


@every_estimator
def test_set_output_of_a_pipeline_and_repr(model):
    assert repr(type(model)()) == f"{type(model).__name__}()"
    pandas = pytest.importorskip("pandas")
    X, y = contaminated()
    steps = make_pipeline(StandardScaler(), clone(model)).set_output(transform="pandas")
    steps.fit(pandas.DataFrame(X, columns=list("abc")), y)
    assert len(steps[-1].feature_names_in_) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("model", [*DEFAULTS.values(), *HIGH.values()], ids=repr)
def test_a_missing_target_among_objects_is_named(model, value):
    X, y = clean()
    y = y.astype(object)
    y[3] = value
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        clone(model).fit(X, y)


def test_parameters_that_were_valid_once_are_checked_again_when_they_change():
    X, y = np.arange(12.0)[:, None], np.arange(12.0) ** 2
    model = HuberRegressor(positive=True, max_iter=100).fit(X, y)
    model.set_params(positive=True).fit(X, y)
    with pytest.raises(ValueError, match="max_iter"):
        model.set_params(max_iter=100.0).fit(X, y)  # equal to what was valid, and not valid
    with pytest.raises(ValueError, match="tol"):
        model.set_params(max_iter=100, tol=-1.0).fit(X, y)
    model.set_params(tol=1e-7).fit(X, y)

"""Bands by conformal prediction, against plain formulas and in scikit-learn's company."""

import pickle
import warnings
from math import ceil

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from robustreg.estimators import HuberRegressor, L1Regressor, L2Regressor, QuantileRegressor
from robustreg.inference import ConformalRegressor
from robustreg.inference.conformal import _regressor, _scores

WITHIN = 0.9875806693484477  # of a Gaussian, 2.5 standard deviations to both sides


@pytest.fixture(autouse=True)
def same_folds():
    """Where no random_state is given, folds are drawn from NumPy's global generator."""
    np.random.seed(0)  # noqa: NPY002


def table(n=60, seed=0, wrong=0.0):
    """Rows about a plane, with noise of size 1, and of some the target is 50 too large."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    y = 1.0 + X @ [2.0, -1.0] + rng.normal(size=n)
    return X, y + 50.0 * (np.arange(n) < wrong * n)


def uneven(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.2, 3.0, size=(n, 1))
    return X, X[:, 0] * rng.normal(size=n)


def folds_of(number):
    """Fold by fold the rows that are not in it, and those that are."""
    return [(np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in np.unique(number)]


def of_rank(values, level):
    """The ceil((n + 1) level)-th smallest."""
    k = ceil(round((len(values) + 1) * level, 9))
    return np.sort(values)[k - 1] if k <= len(values) else np.inf


def plain_bands(model, X, y, folds, new, level):
    """CV+ and the jackknife+ as they are defined, from all sums of predictions and scores."""
    below, above = [], []
    for train, test in folds:
        fit = clone(model).fit(X[train], y[train])
        predicted, known = fit.predict(new), fit.predict(X[test])
        if predicted.ndim == 1:
            predicted, known = predicted[:, None], known[:, None]
        for row, at in zip(test, known, strict=True):
            score = max(at.min() - y[row], y[row] - at.max())
            below.append(predicted.min(axis=1) - score)
            above.append(predicted.max(axis=1) + score)
    lower = [-of_rank(-column, level) for column in np.transpose(below)]
    upper = [of_rank(column, level) for column in np.transpose(above)]
    return np.stack([lower, upper], axis=1)


PAIR = QuantileRegressor([0.9, 0.1])
LEVELS = [0.3, 0.5, 0.8, 0.9, 0.95]


# --- formulas


@pytest.mark.parametrize("level", LEVELS)
def test_split_is_the_order_statistic_of_held_out_distances(level):
    X, y = table()
    train, test = np.arange(20), np.arange(20, 59)  # of 39 scores, 40 level is a whole number
    bands = ConformalRegressor(L2Regressor(), method="split", cv=[(train, test)]).fit(X, y)
    fit = L2Regressor().fit(X[train], y[train])
    width = np.sort(np.abs(y[test] - fit.predict(X[test])))[round(40 * level) - 1]
    found = bands.predict_interval(X, level)
    expected = np.stack([fit.predict(X) - width, fit.predict(X) + width], axis=1)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(bands.predict(X), fit.predict(X))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("model", "data"),
    [(HuberRegressor(), table), (KNeighborsRegressor(1), table), (PAIR, uneven)],
    ids=["huber", "neighbour", "quantiles"],
)
def test_cv_plus_is_what_all_sums_say(model, data, level):
    X, y = data(61)
    number = np.resize([0, 1, 1, 2, 3], 61)
    new = np.vstack([data(40, seed=1)[0], 100.0 * X[:3]])  # far out fits differ most
    bands = ConformalRegressor(model, cv=PredefinedSplit(number)).fit(X, y)
    expected = plain_bands(model, X, y, folds_of(number), new, level)
    crossed = expected[:, 0] > expected[:, 1]
    expected[crossed] = expected[crossed].mean(axis=1, keepdims=True)
    np.testing.assert_array_equal(bands.predict_interval(new, level), expected)


def test_rounding_of_the_level_does_not_cost_a_rank():
    """100 times 0.55 is 55.00000000000001."""
    X, y = table(149)
    cv = [(np.arange(50), np.arange(50, 149))]
    bands = ConformalRegressor(L2Regressor(), method="split", cv=cv).fit(X, y)
    width = np.sort(bands.scores_[50:])[54]
    np.testing.assert_array_equal(bands.predict_interval(X, 0.55)[:, 1], bands.predict(X) + width)


def test_sums_that_differ_by_rounding():
    """Scores that are not looked at, as they could only be equal, are none that are lower."""
    rng = np.random.default_rng(0)
    eps = np.finfo(float).eps
    for _ in range(300):
        values, fit = 1.0 + eps * rng.integers(0, 40, size=30), rng.integers(0, 3, size=30)
        shift = 0.3 + eps * rng.integers(0, 10, size=(4, 3)) / 4.0
        scores = _scores.HeldOutScores.of(values, fit, None)
        expected = [of_rank(row[fit] + values, 0.8) for row in shift]
        np.testing.assert_array_equal(scores.bands(-shift, shift, 0.8)[:, 1], expected)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_jackknife_plus_leaves_out_one_row_at_a_time(level):
    X, y = table(25)
    new = table(30, seed=1)[0]
    bands = ConformalRegressor(L2Regressor(), method="jackknife+").fit(X, y)
    expected = plain_bands(L2Regressor(), X, y, folds_of(np.arange(25)), new, level)
    np.testing.assert_array_equal(bands.predict_interval(new, level), expected)
    left_out = ConformalRegressor(L2Regressor(), cv=100).fit(X, y)  # no more folds than rows
    np.testing.assert_array_equal(left_out.predict_interval(new, level), expected)


def test_quantiles_are_widened_by_signed_distances():
    """Romano, Patterson and Candes, with the order of quantiles and their median as prediction."""
    X, y = uneven(120)
    half = [(np.arange(60), np.arange(60, 120))]
    model = QuantileRegressor([0.5, 0.95, 0.05])
    bands = ConformalRegressor(model, method="split", cv=half).fit(X, y)
    fit = clone(model).fit(X[:60], y[:60])
    middle, high, low = fit.predict(X).T
    score = np.sort(np.maximum(low - y, y - high)[60:])[ceil(61 * 0.9) - 1]
    expected = np.stack([low - score, high + score], axis=1)
    np.testing.assert_array_equal(bands.predict_interval(X, 0.9), expected)
    np.testing.assert_array_equal(bands.predict(X), middle)
    np.testing.assert_array_equal(
        clone(bands).set_params(estimator=PAIR).fit(X, y).predict(X),
        PAIR.fit(X[:60], y[:60]).predict(X).mean(axis=1),
    )
    # wider where the noise is
    width = np.diff(bands.predict_interval([[0.3], [2.9]], 0.9))[:, 0]
    assert width[1] > 2.0 * width[0]


def test_bands_that_would_cross_are_their_middle():
    X, y = table(200)
    wide = QuantileRegressor([0.001, 0.999])
    found = ConformalRegressor(wide, random_state=0).fit(X, y).predict_interval(X, 0.005)
    assert (found[:, 0] <= found[:, 1]).all()
    assert np.mean(found[:, 0] == found[:, 1]) > 0.5


def test_a_single_quantile_in_a_list_is_one_prediction():
    X, y = table()
    one = ConformalRegressor(QuantileRegressor([0.5]), random_state=0).fit(X, y)
    number = ConformalRegressor(QuantileRegressor(0.5), random_state=0).fit(X, y)
    np.testing.assert_array_equal(one.predict_interval(X), number.predict_interval(X))
    np.testing.assert_array_equal(one.predict(X), number.predict(X))


def test_a_fitted_model_is_calibrated_on_all_rows_whatever_the_folds():
    X, y = table(99)
    fit = HuberRegressor().fit(*table(50, seed=1))
    width = np.sort(np.abs(y - fit.predict(X)))[90 - 1]
    for cv in (2, 10):
        bands = ConformalRegressor(FrozenEstimator(fit), cv=cv).fit(X, y)
        found = bands.predict_interval(X, 0.9)
        np.testing.assert_array_equal(found[:, 1], fit.predict(X) + width)
        np.testing.assert_array_equal(bands.predict(X), fit.predict(X))


def test_scores_are_those_of_the_rows():
    X, y = table()
    bands = ConformalRegressor(L2Regressor(), cv=TimeSeriesSplit(4)).fit(X, y)
    assert len(bands.estimators_) == 4
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(bands.scores_)), np.arange(12))
    fit = L2Regressor().fit(X[:12], y[:12])
    np.testing.assert_array_equal(bands.scores_[12:24], np.abs(y[12:24] - fit.predict(X[12:24])))
    np.testing.assert_array_equal(bands.predict(X), L2Regressor().fit(X, y).predict(X))
    assert not bands.outliers_[:12].any()


def test_halves_and_folds_are_drawn():
    X, y = table(61)
    seeds = [np.random.RandomState(3), 3, 4]
    for method, held_out in (("split", 31), ("cv+", 61)):
        one, same, other = (
            ConformalRegressor(method=method, random_state=seed).fit(X, y).scores_ for seed in seeds
        )
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()
        assert np.isfinite(one).sum() == held_out
        seeds[0] = np.random.RandomState(3)
    assert len(ConformalRegressor(cv=None).fit(X, y).estimators_) == 5


# --- coverage


def coverage(model, noise, n, level, samples=100):
    """How many of 20 new rows are in their bands, over tables, and its standard error."""
    rng = np.random.default_rng(1)
    inside = np.empty(samples)
    for number in range(samples):
        X = rng.normal(size=(n + 20, 1))
        y = X[:, 0] + noise(rng, X[:, 0])
        with warnings.catch_warnings():  # of outliers, which uneven noise has
            warnings.simplefilter("ignore", UserWarning)
            low, high = model.fit(X[:n], y[:n]).predict_interval(X[n:], level).T
        inside[number] = np.mean((low <= y[n:]) & (y[n:] <= high))
    return inside.mean(), inside.std() / np.sqrt(samples)


NOISES = {
    "normal": lambda rng, x: rng.normal(size=len(x)),
    "uneven": lambda rng, x: (0.2 + x**2) * rng.standard_t(3, size=len(x)),
}


LEAST_SQUARES = LinearRegression()


@pytest.mark.parametrize(
    ("model", "n", "noise"),
    [
        (ConformalRegressor(LEAST_SQUARES, method="split"), 38, "normal"),
        (ConformalRegressor(LEAST_SQUARES, method="split"), 38, "uneven"),
        (ConformalRegressor(PAIR, method="split"), 38, "uneven"),
        (ConformalRegressor(LEAST_SQUARES, method="cv+", cv=4), 29, "normal"),
        (ConformalRegressor(LEAST_SQUARES, method="jackknife+"), 9, "uneven"),
    ],
    ids=["split", "split-uneven", "quantiles", "cv+", "jackknife+"],
)
def test_bands_cover_new_rows_as_often_as_they_say(model, n, noise):
    """Split exactly so, as 20 times the level is a whole number; the others nearly here."""
    model = clone(model).set_params(random_state=np.random.RandomState(0))
    found, error = coverage(model, NOISES[noise], n, 0.8)
    most = 0.0 if model.method == "split" else 0.03
    assert 0.8 - 4.0 * error < found < 0.8 + most + 4.0 * error
    assert error < 0.015


# --- weights


@pytest.mark.parametrize("outliers", ["keep", "drop"])
@pytest.mark.parametrize("method", ["split", "cv+"])
def test_weights_count_rows_that_stay_together(method, outliers):
    X, y = table(wrong=0.05)
    weight = np.resize([1, 2, 0, 3, 1], 60)
    number = np.resize([0, 1, 2, 3, 2, 1, 0], 60)
    again = np.repeat(np.arange(60), weight)

    def folds(number):
        return folds_of(number)[:1] if method == "split" else folds_of(number)

    model = ConformalRegressor(L1Regressor(alpha=1e-3), method=method, outliers=outliers)
    weighted = clone(model).set_params(cv=folds(number)).fit(X, y, weight)
    repeated = clone(model).set_params(cv=folds(number[again])).fit(X[again], y[again])
    for level in (0.5, 0.8, 0.9):
        found, expected = (each.predict_interval(X, level) for each in (weighted, repeated))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(weighted.scores_[again], repeated.scores_, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(weighted.outliers_[again], repeated.outliers_)


@pytest.mark.parametrize("method", ["split", "cv+", "jackknife+"])
def test_rows_of_weight_0_are_left_out(method):
    X, y = table()
    weight = np.where(np.arange(60) % 4 == 1, 0.0, 1.0)
    X_given, y_given = X.copy(), y + 1e6 * (weight == 0.0)
    model = ConformalRegressor(L2Regressor(), method=method, random_state=0)
    found = clone(model).fit(X_given, y_given, weight)
    expected = clone(model).fit(X[weight > 0], y[weight > 0])
    np.testing.assert_allclose(
        found.predict_interval(X, 0.8), expected.predict_interval(X, 0.8), rtol=1e-9
    )
    np.testing.assert_array_equal(np.isnan(found.scores_[weight == 0.0]), True)


def test_equal_and_fractional_weights():
    X, y = table(39)
    cv = [(np.arange(20), np.arange(20, 39))]
    model = ConformalRegressor(L2Regressor(), method="split", cv=cv)
    plain = clone(model).fit(X, y).predict_interval(X, 0.9)
    for one in (np.ones(39), 1.0, [1] * 39):
        np.testing.assert_allclose(clone(model).fit(X, y, one).predict_interval(X, 0.9), plain)
    # 19 rows of weight 0.7: the first cumulative weight of 14.3 * 0.9 or more is that of the 19th
    light = clone(model).fit(X, y, np.full(39, 0.7))
    np.testing.assert_allclose(
        np.diff(light.predict_interval(X, 0.9))[0] / 2, light.scores_[20:].max()
    )


# --- levels that cannot be, infinite bands


@pytest.mark.parametrize("method", ["split", "cv+"])
def test_too_few_rows_for_a_level_give_infinite_bands_and_say_so(method):
    X, y = table(36 if method == "split" else 18)
    bands = ConformalRegressor(method=method).fit(X, y)
    with pytest.warns(UserWarning, match=r"level=0.95 need 19 held-out rows, but there are 18: th"):
        found = bands.predict_interval(X)
    np.testing.assert_array_equal(found, np.tile([-np.inf, np.inf], (len(X), 1)))
    assert np.isfinite(bands.predict_interval(X, 0.94)).all()
    X, y = table(38 if method == "split" else 19, seed=2)
    assert np.isfinite(ConformalRegressor(method=method).fit(X, y).predict_interval(X)).all()


def test_weights_that_sum_to_one_are_one_row():
    X, y = table()
    bands = ConformalRegressor().fit(X, y, np.full(60, 1.0 / 60.0))
    with pytest.warns(UserWarning, match=r"there are 1: .* sample_weight counts rows"):
        bands.predict_interval(X)


@pytest.mark.parametrize("level", [0, 1, 1.0, -0.1, 95, np.nan, None, "0.9", [0.9]])
def test_levels_out_of_range_are_named(level):
    X, y = table()
    bands = ConformalRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"level must be above 0 and below 1; got"):
        bands.predict_interval(X, level)


def test_no_level_beyond_the_share_of_good_rows_that_are_kept():
    X, y = table(400)
    bands = ConformalRegressor(outliers="drop").fit(X, y)
    assert np.isfinite(bands.predict_interval(X, 0.98)).all()
    with pytest.raises(ValueError, match=r"level must be above 0 and below 0.98758, .* got 0.99"):
        bands.predict_interval(X, 0.99)
    few = ConformalRegressor(outliers="drop", random_state=0).fit(*table(25))
    with pytest.warns(UserWarning, match=r"need 26 held-out rows"):  # of 0.95 / 0.98758
        few.predict_interval(X)


# --- outliers


@pytest.mark.parametrize("model", [HuberRegressor(), KNeighborsRegressor(15), L2Regressor()])
def test_dropped_scores_are_those_beyond_their_robust_scale(model):
    X, y = table(100, wrong=0.1)
    folds = folds_of(np.arange(100) % 5)
    bands = ConformalRegressor(model, cv=folds, outliers="drop").fit(X, y)
    scores = np.empty(100)
    for train, test in folds:
        scores[test] = np.abs(y[test] - clone(model).fit(X[train], y[train]).predict(X[test]))
    beyond = scores > 2.5 * 1.482602218505602 * np.median(scores)
    assert beyond[:10].all()
    np.testing.assert_array_equal(bands.outliers_, beyond)
    np.testing.assert_array_equal(bands.scores_, scores)
    inner = [(train, test[~beyond[test]]) for train, test in folds]
    expected = plain_bands(model, X, y, inner, X, 0.9 / WITHIN)
    np.testing.assert_array_equal(bands.predict_interval(X, 0.9), expected)


def test_wrong_rows_are_reached_out_to_or_dropped():
    X, y = table(1000, wrong=0.1)
    new = table(500, seed=1)[0]
    bands = ConformalRegressor(random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match=r"1\d\.\d % of the held-out rows .*outliers='drop'"):
        found = bands.predict_interval(new)
    assert np.median(np.diff(found)) > 90.0
    bands.predict_interval(new, 0.85)  # leaves them out
    dropped = clone(bands).set_params(outliers="drop").fit(X, y)
    assert 3.7 < np.median(np.diff(dropped.predict_interval(new))) < 4.5


@pytest.mark.parametrize("n", [200, 1000])
def test_clean_rows_are_not_warned_of(n):
    X, y = table(n)
    bands = ConformalRegressor(random_state=0).fit(X, y)
    assert bands.outliers_.any()  # 1.24 % of Gaussian rows are beyond 2.5 scales
    for level in (0.9, 0.95, 0.99, 0.995):
        bands.predict_interval(X, level)


@pytest.mark.parametrize(
    ("n", "wrong", "warns"), [(24, 2, False), (24, 3, True), (400, 24, False), (400, 25, True)]
)
def test_bands_that_reach_out_to_outliers_are_warned_of(n, wrong, warns):
    """From 6.24 % at a level of 95 % on: of 1.24 % of Gaussian rows one need not be warned.

    Of 24 such rows 2 or more are beyond 2.5 scales 36 times in 1000, 3 or more 3 times.
    """
    X = np.zeros((n, 1))
    zero = FrozenEstimator(L2Regressor().fit(X, X[:, 0]))
    bands = ConformalRegressor(zero).fit(X, np.where(np.arange(n) < wrong, 9.0, 1.0))
    assert bands.outliers_.sum() == wrong
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        bands.predict_interval(X)
    assert len(found) == warns


def test_dropping_leaves_bands_for_good_rows_of_small_tables():
    """As often as they say, or more, also where a fit's own scale would be too small."""
    rng = np.random.default_rng(0)
    inside = []
    for number in range(60):
        X = rng.normal(size=(530, 4))
        y = rng.normal(size=530) + 10.0 * (rng.random(530) < 0.1) * (np.arange(530) < 30)
        bands = ConformalRegressor(L2Regressor(), outliers="drop", random_state=number)
        low, high = bands.fit(X[:30], y[:30]).predict_interval(X[30:], 0.9).T
        inside.append(np.mean((low <= y[30:]) & (y[30:] <= high)))
    assert 0.9 - 4.0 * np.std(inside) / np.sqrt(60) < np.mean(inside) < 0.99


def test_rounding_does_not_make_outliers():
    X = table(50)[0]
    exact = 1e6 + X @ [2.0, -1.0]
    bands = ConformalRegressor(outliers="drop").fit(X, exact)
    assert not bands.outliers_.any()
    np.testing.assert_allclose(bands.predict_interval(X), np.stack([exact] * 2, 1), rtol=1e-9)


def test_distances_from_quantiles_tell_no_outliers():
    X, y = uneven()
    bands = ConformalRegressor(outliers="drop", random_state=0).fit(X, y)
    assert hasattr(bands, "outliers_")
    with pytest.raises(ValueError, match="outliers='drop' needs an estimator that predicts one"):
        bands.set_params(estimator=PAIR).fit(X, y)
    assert hasattr(bands, "outliers_")
    assert not hasattr(bands.set_params(outliers="keep").fit(X, y), "outliers_")
    bands.predict_interval(X)


# --- blocks


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["split", "cv+", "jackknife+"])
def test_blocks_of_new_rows_are_one_block(method, weighted, monkeypatch):
    X, y = table(30)
    weight = np.resize([0.5, 1.0, 2.5], 30) if weighted else None
    bands = ConformalRegressor(KNeighborsRegressor(2), method=method, random_state=0)
    if weighted:
        bands.set_params(estimator=L2Regressor())
    bands.fit(X, y, weight)
    new = table(60, seed=5)[0] * np.linspace(0.0, 30.0, 60)[:, None]
    whole = bands.predict_interval(new, 0.9)
    monkeypatch.setattr(_scores, "SUMS_AT_ONCE", 64)
    np.testing.assert_array_equal(bands.predict_interval(new, 0.9), whole)
    monkeypatch.setattr(_regressor, "PREDICTIONS_AT_ONCE", 200)
    np.testing.assert_allclose(bands.predict_interval(new, 0.9), whole, rtol=1e-12)
    monkeypatch.setattr(_regressor, "PREDICTIONS_AT_ONCE", 1)
    np.testing.assert_allclose(bands.predict_interval(new[:9], 0.9), whole[:9], rtol=1e-12)


def test_blocks_of_frames_lists_and_sparse_tables(monkeypatch):
    pandas = pytest.importorskip("pandas")
    X, y = table(70)
    frame = pandas.DataFrame(X, columns=["a", "b"], index=range(100, 170))
    bands = ConformalRegressor(random_state=0).fit(frame, y)
    assert bands.feature_names_in_.tolist() == ["a", "b"]
    expected = bands.predict_interval(frame)
    plain = ConformalRegressor(random_state=0).fit(X.tolist(), y.tolist())
    monkeypatch.setattr(_regressor, "PREDICTIONS_AT_ONCE", 200)
    np.testing.assert_allclose(bands.predict_interval(frame), expected, rtol=1e-12)
    for kind in (list, sparse.coo_matrix, sparse.csr_array):
        new = X.tolist() if kind is list else kind(X)
        np.testing.assert_allclose(plain.predict_interval(new), expected, rtol=1e-12)


def test_ties_of_scores():
    """Sums that are equal but for rounding do not lose a score."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(90, 1)).astype(float)
    y = 0.1 * rng.integers(0, 4, size=90)
    number = np.arange(90) % 6
    model = KNeighborsRegressor(20)
    bands = ConformalRegressor(model, cv=PredefinedSplit(number)).fit(X, y)
    new = np.array([[0.0], [1.0], [2.0]])
    for level in np.arange(0.5, 0.99, 0.02):
        expected = plain_bands(model, X, y, folds_of(number), new, level)
        np.testing.assert_array_equal(bands.predict_interval(new, level), expected)


# --- in scikit-learn's company


def what_does_not_hold_by_definition(estimator):
    if estimator.method != "split":
        return {}
    return dict.fromkeys(
        [
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weight_equivalence_on_sparse_data",
        ],
        "they set a cv of three splits, and there can be one",
    )


@parametrize_with_checks(
    [
        ConformalRegressor(cv=2),
        ConformalRegressor(method="split"),
    ],
    expected_failed_checks=what_does_not_hold_by_definition,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_parameters_of_the_estimator_are_parameters():
    bands = ConformalRegressor(HuberRegressor(delta=2.0), method="split")
    assert bands.get_params()["estimator__delta"] == 2.0
    again = clone(bands).set_params(estimator__delta=1.0)
    assert again.estimator.delta == 1.0
    assert bands.estimator.delta == 2.0
    X, y = table()
    bands.fit(X, y)
    assert not hasattr(bands.estimator, "coef_")
    assert bands.estimator_.delta == 2.0


def test_a_grid_search_over_and_under_the_bands():
    X, y = table(80)
    grid = {"estimator__alpha": [0.0, 100.0], "cv": [5, 8]}
    search = GridSearchCV(ConformalRegressor(HuberRegressor(), random_state=0), grid, cv=3)
    search.fit(X, y)
    assert search.best_params_["estimator__alpha"] == 0.0
    assert search.best_estimator_.predict_interval(X).shape == (80, 2)
    inner = GridSearchCV(HuberRegressor(), {"alpha": [0.0, 100.0]}, cv=3)
    bands = ConformalRegressor(inner, cv=4, random_state=0).fit(X, y, np.ones(80))
    expected = ConformalRegressor(HuberRegressor(), cv=4, random_state=0).fit(X, y)
    np.testing.assert_allclose(bands.predict_interval(X), expected.predict_interval(X), rtol=1e-9)


def test_pickles():
    X, y = table()
    bands = ConformalRegressor(random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(bands))
    np.testing.assert_array_equal(again.predict_interval(X), bands.predict_interval(X))


def test_frames_with_columns_that_are_no_numbers():
    pandas = pytest.importorskip("pandas")
    from sklearn.preprocessing import OneHotEncoder

    X, y = table(80)
    frame = pandas.DataFrame({"x": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")})
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough")
    bands = ConformalRegressor(make_pipeline(encode, HuberRegressor())).fit(frame, y)
    assert bands.predict_interval(frame).shape == (80, 2)


def test_boosted_trees():
    lightgbm = pytest.importorskip("lightgbm")
    X, y = table(300)
    trees = lightgbm.LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1, random_state=0)
    bands = ConformalRegressor(trees, cv=5, outliers="drop", random_state=0)
    bands.fit(X, y, np.ones(300))
    new, y_new = table(300, seed=1)
    low, high = bands.predict_interval(new, 0.9).T
    assert 0.85 < np.mean((low <= y_new) & (y_new <= high)) < 0.96


def test_mapie_has_the_same_bands():
    regression = pytest.importorskip("mapie.regression")
    X, y = table(90)
    peer = regression.CrossConformalRegressor(
        LinearRegression(), method="plus", cv=KFold(5), confidence_level=0.9
    )
    _, expected = peer.fit_conformalize(X, y).predict_interval(X)
    found = ConformalRegressor(LinearRegression(), cv=KFold(5)).fit(X, y).predict_interval(X, 0.9)
    np.testing.assert_allclose(found, expected[:, :, 0], rtol=1e-9)


def test_not_fitted():
    with pytest.raises(NotFittedError):
        ConformalRegressor().predict_interval([[1.0]])


# --- metadata routing


def routing():
    return config_context(enable_metadata_routing=True)


def test_weights_reach_fits_and_scores_by_routing():
    X, y = table()
    weight = np.resize([1.0, 2.0, 3.0], 60)
    expected = ConformalRegressor(random_state=0).fit(X, y, weight).predict_interval(X, 0.9)
    with routing():
        default = ConformalRegressor(random_state=0).fit(X, y, sample_weight=weight)
        asking = HuberRegressor().set_fit_request(sample_weight=True)
        direct = ConformalRegressor(asking, random_state=0).fit(X, y, sample_weight=weight)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            ConformalRegressor(HuberRegressor()).fit(X, y, sample_weight=weight)
        steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), asking)
        inside = ConformalRegressor(steps, random_state=0).fit(X, y, sample_weight=weight)
        outside = make_pipeline(
            ConformalRegressor(asking, random_state=0).set_fit_request(sample_weight="w")
        ).fit(X, y, w=weight)
        scores_only = ConformalRegressor(
            HuberRegressor().set_fit_request(sample_weight=False), random_state=0
        ).fit(X, y, sample_weight=weight)
        plain = ConformalRegressor(random_state=0).fit(X, y)
    for bands in (default, direct, inside, outside[-1]):
        np.testing.assert_allclose(bands.predict_interval(X, 0.9), expected, rtol=1e-6)
    np.testing.assert_array_equal(scores_only.scores_, plain.scores_)
    assert (scores_only.predict_interval(X, 0.9) != plain.predict_interval(X, 0.9)).any()


def test_groups_reach_the_splitter_with_and_without_routing():
    X, y = table()
    groups = np.arange(60) % 11
    bands = ConformalRegressor(cv=GroupKFold(4)).fit(X, y, groups=groups)
    for model, (train, _) in zip(bands.estimators_, GroupKFold(4).split(X, y, groups), strict=True):
        np.testing.assert_array_equal(model.coef_, HuberRegressor().fit(X[train], y[train]).coef_)
    with routing():
        routed = ConformalRegressor(cv=GroupKFold(4)).fit(X, y, groups=groups)
        outer = cross_validate(
            routed,
            X,
            y,
            cv=GroupKFold(2),
            params={"groups": groups},
            error_score="raise",
        )
    np.testing.assert_array_equal(routed.scores_, bands.scores_)
    assert np.isfinite(outer["test_score"]).all()


def test_metadata_that_nobody_takes_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match=r"fit\(\) takes no 'price'.*enable_metadata_routing"):
        ConformalRegressor().fit(X, y, price=y)
    with routing(), pytest.raises(TypeError, match="price"):
        ConformalRegressor().fit(X, y, price=y)
    for bands in (ConformalRegressor(), ConformalRegressor(cv=GroupKFold(3), method="jackknife+")):
        with pytest.raises(ValueError, match="groups are for a splitter"):
            bands.fit(X, y, groups=np.arange(60))
    with pytest.raises(ValueError, match=r"KNeighborsRegressor.fit does not take any"):
        ConformalRegressor(KNeighborsRegressor()).fit(X, y, np.ones(60))
    steps = make_pipeline(StandardScaler(), HuberRegressor())
    with pytest.raises(ValueError, match=r"Pipeline.fit does not take any.*enable_metadata_routin"):
        ConformalRegressor(steps).fit(X, y, np.ones(60))


# --- bad input


class Odd(RegressorMixin, BaseEstimator):
    """Predicts what it is told to."""

    def __init__(self, shape=(), value=0.0):
        self.shape = shape
        self.value = value

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full((len(X), *self.shape), self.value)


ALL = np.arange(60)
BAD = {
    "method": ({"method": "cv"}, "method"),
    "outliers": ({"outliers": "mad"}, "outliers"),
    "cv-1": ({"cv": 1}, "cv"),
    "cv-text": ({"cv": "ten"}, "cv"),
    "random_state": ({"random_state": -1}, "random_state"),
    "estimator-name": ({"estimator": "huber"}, "estimator must be a regressor, .* got 'huber'"),
    "estimator-class": ({"estimator": HuberRegressor}, "estimator must be a regressor"),
    "classifier": ({"estimator": LogisticRegression()}, "estimator must be a regressor"),
    "transformer": ({"estimator": StandardScaler()}, "estimator must be a regressor"),
    "no-fold": ({"cv": []}, "cv must give one or more folds"),
    "no-pairs": ({"cv": [1, 2, 3]}, "cv must be a number, a splitter or an iterable of pairs"),
    "outside": ({"cv": [(ALL[:30], ALL[30:] + 1)]}, "masks of the 60 rows"),
    "empty": ({"cv": [(ALL, [])]}, "masks of the 60 rows"),
    "seen": ({"cv": [(ALL[:31], ALL[30:])]}, "has 1 rows in both parts, the first is row 30"),
    "twice": ({"cv": RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)}, "row 0 2 times"),
    "halves": ({"cv": KFold(3), "method": "split"}, "method='split' takes a cv with one split"),
    "splitter": ({"cv": KFold(100)}, "n_splits=100"),
    "cube": ({"estimator": Odd((2, 2))}, "predictions of shape"),
    "nan": ({"estimator": Odd(value=np.nan)}, "prediction contains NaN|NaN"),
}


@pytest.mark.parametrize(("parameters", "message"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("fitted", [False, True])
def test_bad_parameters_are_named_and_change_nothing(parameters, message, fitted):
    X, y = table()
    bands = ConformalRegressor(random_state=0)
    if fitted:
        bands.fit(X, y)
    bands.set_params(**parameters)
    before = vars(bands).copy()
    with pytest.raises(ValueError, match=message):
        bands.fit(X, y)
    assert vars(bands).keys() == before.keys()
    assert all(vars(bands)[name] is value for name, value in before.items())


BAD_DATA = {
    "nan": lambda X, y: (np.where(X[3, 0] == X, np.nan, X), y),
    "y-nan": lambda X, y: (X, np.where(y[3] == y, np.nan, y)),
    "y-none": lambda X, y: (X, None),
    "y-text": lambda X, y: (X, ["a"] * 60),
    "y-dates": lambda X, y: (X, y.astype("datetime64[s]")),
    "y-matrix": lambda X, y: (X, np.stack([y, y], axis=1)),
    "length": lambda X, y: (X, y[:-1]),
    "one": lambda X, y: (X[:1], y[:1]),
    "vector": lambda X, y: (X[:, 0], y),
    "negative": lambda X, y: (X, y, -np.ones(60)),
    "zero": lambda X, y: (X, y, np.zeros(60)),
    "one-counts": lambda X, y: (X, y, np.arange(60) == 3),
    "weights": lambda X, y: (X, y, np.ones(59)),
}


@pytest.mark.parametrize("change", BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_change_nothing(change):
    X, y = table()
    bands = ConformalRegressor(random_state=0).fit(X, y)
    before = vars(bands).copy()
    with pytest.raises(ValueError, match=r"X|y|sample_weight|n_samples|samples|Expected 2D"):
        bands.fit(*change(X, y))
    assert vars(bands).keys() == before.keys()
    assert all(vars(bands)[name] is value for name, value in before.items())


def test_weights_of_0_on_a_whole_part():
    X, y = table()
    early = np.arange(60) < 30
    cv = [(np.flatnonzero(early), np.flatnonzero(~early))]
    with pytest.raises(ValueError, match="zero on all training rows of fold 0"):
        ConformalRegressor(cv=cv).fit(X, y, ~early)
    with pytest.raises(ValueError, match="zero on all held-out rows"):
        ConformalRegressor(cv=cv).fit(X, y, early)
    cv += [(np.flatnonzero(~early), np.flatnonzero(early))]
    third = np.where(np.arange(60) < 15, 1.0, 0.0) + ~early
    bands = ConformalRegressor(cv=cv).fit(X, y, third)
    assert np.isfinite(bands.scores_).sum() == 45


def test_rows_of_other_columns():
    X, y = table()
    bands = ConformalRegressor().fit(X, y)
    assert bands.n_features_in_ == 2
    with pytest.raises(ValueError, match="X has 1 features"):
        bands.predict_interval(X[:, :1])
    with pytest.raises(ValueError, match="Expected 2D array"):
        bands.predict_interval(X[:, 0])
    assert bands.predict_interval(X[:1]).shape == (1, 2)


def test_a_score_of_a_fit_elsewhere():
    X, y = table()
    scores = cross_val_score(ConformalRegressor(random_state=0), X, y, cv=3)
    np.testing.assert_allclose(scores, cross_val_score(HuberRegressor(), X, y, cv=3), rtol=1e-9)


def test_a_split_of_ones_own():
    X, y = table()
    cv = ShuffleSplit(1, test_size=0.25, random_state=0)
    bands = ConformalRegressor(method="split", cv=cv).fit(X, y)
    assert np.isfinite(bands.scores_).sum() == 15

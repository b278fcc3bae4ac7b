"""Robust metrics and scorers: against their formulas, scikit-learn's limits, repeated rows."""

import pickle
from itertools import cycle

import numpy as np
import pytest
from _reference_formulas import FORMULAS
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.stats import norm
from sklearn import config_context
from sklearn import metrics as sklearn_metrics
from sklearn.base import clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate

from robustreg import HuberRegressor, L2Regressor
from robustreg.losses import Huber
from robustreg.metrics import (
    d2_huber_score,
    get_scorer,
    mean_huber_loss,
    mean_log_cosh_loss,
    mean_smooth_l1_loss,
    tau_scale_error,
    trimmed_mean_squared_error,
)
from robustreg.metrics._d2 import best_constant
from robustreg.scale import tau_scale

# every metric, with parameters that differ from the defaults where there are any
METRICS = {
    "mean_huber_loss": (mean_huber_loss, {"delta": 0.7}),
    "mean_smooth_l1_loss": (mean_smooth_l1_loss, {"beta": 0.4}),
    "mean_log_cosh_loss": (mean_log_cosh_loss, {}),
    "d2_huber_score": (d2_huber_score, {"delta": 0.7}),
    "trimmed_mean_squared_error": (trimmed_mean_squared_error, {"trim": 0.23}),
    "tau_scale_error": (tau_scale_error, {}),
}
every_metric = pytest.mark.parametrize(("metric", "parameters"), METRICS.values(), ids=METRICS)
LOSSES = {
    "Huber": (mean_huber_loss, {"delta": 0.7}),
    "SmoothL1": (mean_smooth_l1_loss, {"beta": 0.4}),
    "LogCosh": (mean_log_cosh_loss, {}),
}
seeds = pytest.mark.parametrize("seed", range(5))


def sample(n=40, seed=0, outputs=None):
    """Heavy-tailed targets, predictions that follow them, and weights, some of them 0."""
    rng = np.random.default_rng(seed)
    shape = n if outputs is None else (n, outputs)
    y_true = rng.standard_t(2, shape)
    y_pred = 0.6 * y_true + rng.normal(scale=0.5, size=shape)
    return y_true, y_pred, rng.integers(0, 4, n) + (np.arange(n) == 0)


# ------------------------------------------------------------------ all of them


@seeds
@every_metric
def test_integer_weights_are_repetitions(metric, parameters, seed):
    y_true, y_pred, weight = sample(seed=seed)
    found = metric(y_true, y_pred, sample_weight=weight, **parameters)
    expected = metric(np.repeat(y_true, weight), np.repeat(y_pred, weight), **parameters)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("factor", [1e-300, 1 / 3, 1e300])
@every_metric
def test_weights_times_a_constant(metric, parameters, factor):
    y_true, y_pred, weight = sample()
    found = metric(y_true, y_pred, sample_weight=factor * weight, **parameters)
    expected = metric(y_true, y_pred, sample_weight=weight, **parameters)
    assert found == pytest.approx(expected, rel=1e-12)
    equal = metric(y_true, y_pred, sample_weight=np.full(40, factor), **parameters)
    assert equal == pytest.approx(metric(y_true, y_pred, **parameters), rel=1e-12)


@every_metric
def test_rows_of_weight_zero_and_order_do_not_matter(metric, parameters):
    y_true, y_pred, weight = sample()
    keep = weight > 0
    expected = metric(y_true[keep], y_pred[keep], sample_weight=weight[keep], **parameters)
    y_true, y_pred = np.where(keep, y_true, 1e300), np.where(keep, y_pred, -1e300)
    order = np.random.default_rng(1).permutation(len(y_true))
    for rows in (np.arange(len(y_true)), order):
        found = metric(y_true[rows], y_pred[rows], sample_weight=weight[rows], **parameters)
        assert found == pytest.approx(expected, rel=1e-13)


@every_metric
def test_several_outputs(metric, parameters):
    y_true, y_pred, weight = sample(outputs=3)
    raw = metric(y_true, y_pred, sample_weight=weight, multioutput="raw_values", **parameters)
    single = [
        metric(y_true[:, j], y_pred[:, j], sample_weight=weight, **parameters) for j in range(3)
    ]
    assert_array_equal(raw, single)
    found = metric(y_true, y_pred, sample_weight=weight, **parameters)
    assert found == pytest.approx(np.mean(raw), rel=1e-14)
    assert isinstance(found, float)
    shares = [0.5, 0.0, 2.0]
    found = metric(y_true, y_pred, sample_weight=weight, multioutput=shares, **parameters)
    assert found == pytest.approx(np.average(raw, weights=shares), rel=1e-14)
    column = metric(y_true[:, :1], y_pred[:, 0], multioutput="raw_values", **parameters)
    assert column.shape == (1,)


@every_metric
def test_kinds_of_input(metric, parameters):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    y_true, y_pred, _ = sample()
    expected = metric(y_true, y_pred, **parameters)
    for kind in (list, pd.Series, pl.Series, np.asfortranarray):
        assert metric(kind(y_true), kind(y_pred), **parameters) == expected
    single = y_true.astype(np.float32), y_pred.astype(np.float32)
    found = metric(*single, **parameters)
    assert found == metric(*(y.astype(np.float64) for y in single), **parameters)
    assert metric([0, 1, 5], [0, 2, 3], **parameters) == metric(
        [0.0, 1.0, 5.0], [0.0, 2.0, 3.0], **parameters
    )


@every_metric
def test_input_is_not_changed(metric, parameters):
    arrays = sample()
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    metric(*arrays[:2], sample_weight=arrays[2], **parameters)
    for array, copy in zip(arrays, copies, strict=True):
        assert_array_equal(array, copy)


@every_metric
def test_perfect_predictions(metric, parameters):
    best = 1.0 if metric is d2_huber_score else 0.0
    for y in (np.zeros(3), np.full(3, 0.1), np.array([1e300, -1.0, 0.0]), sample()[0]):
        assert metric(y, y, **parameters) == best


@pytest.mark.parametrize(("metric", "parameters"), [METRICS[n] for n in METRICS if n[0] != "d"])
def test_a_single_row(metric, parameters):
    one = metric([3.0], [1.0], **parameters)
    assert one == pytest.approx(metric([3.0] * 4, [1.0] * 4, **parameters), rel=1e-14)
    assert one > 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"y_true": [1.0, np.nan]}, "y_true contains NaN"),
        ({"y_pred": [1.0, np.inf]}, "y_pred contains infinity"),
        ({"y_pred": [1.0]}, "inconsistent numbers of samples"),
        ({"y_true": [[1.0, 2.0], [3.0, 4.0]]}, "same number of outputs, got 2 and 1"),
        ({"y_true": np.zeros((2, 2, 2))}, "dim 3"),
        ({"y_true": [], "y_pred": []}, "0 sample"),
        ({"y_true": ["a", "b"]}, "could not convert"),
        ({"sample_weight": [1.0, -1.0]}, "sample_weight must not be negative, .* -1"),
        ({"sample_weight": [0.0, 0.0]}, "sample_weight must have a positive entry"),
        ({"sample_weight": [1.0]}, "inconsistent numbers of samples"),
        ({"sample_weight": [1.0, np.nan]}, "sample_weight contains NaN"),
        ({"multioutput": "variance_weighted"}, "got 'variance_weighted'"),
        ({"multioutput": [1.0, 2.0]}, "each of the 1 outputs, got shape"),
        ({"multioutput": [-1.0]}, "non-negative weights"),
        ({"multioutput": [0.0]}, "not all zero"),
    ],
)
@every_metric
def test_bad_input(metric, parameters, arguments, match):
    arguments = {"y_true": [1.0, 2.0], "y_pred": [1.0, 3.0], **arguments}
    with pytest.raises(ValueError, match=match):
        metric(**arguments, **parameters)


@pytest.mark.parametrize(
    ("metric", "name", "bad"),
    [
        *[(mean_huber_loss, "delta", bad) for bad in (0.0, -1.0, np.inf, np.nan, "1", None)],
        *[(d2_huber_score, "delta", bad) for bad in (0.0, -1.0, "1")],
        *[(mean_smooth_l1_loss, "beta", bad) for bad in (-1.0, np.inf, "1")],
        *[(trimmed_mean_squared_error, "trim", bad) for bad in (-0.1, 1.0, np.nan, "0.1", None)],
    ],
)
def test_bad_parameters(metric, name, bad):
    with pytest.raises(ValueError, match=f"{name} must be .*{bad!r}"):
        metric([1.0, 2.0], [1.0, 3.0], **{name: bad})


# ------------------------------------------------------------------ mean losses


@pytest.mark.parametrize("name", LOSSES)
def test_mean_losses_are_their_formulas(name):
    y_true, y_pred, weight = sample()
    metric, parameters = LOSSES[name]
    rho = FORMULAS[name][0]
    values = rho(y_true - y_pred, *(parameters.values() or [1.0]))
    found = metric(y_true, y_pred, sample_weight=weight, **parameters)
    assert found == pytest.approx(np.average(values, weights=weight), rel=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
def test_limits_are_scikit_learns(weighted):
    y_true, y_pred, weight = sample(outputs=2)
    arguments = {"sample_weight": weight if weighted else None, "multioutput": "raw_values"}
    squared = sklearn_metrics.mean_squared_error(y_true, y_pred, **arguments)
    absolute = sklearn_metrics.mean_absolute_error(y_true, y_pred, **arguments)
    for found, expected in [
        (mean_huber_loss(y_true, y_pred, delta=1e100, **arguments), squared / 2),
        (mean_huber_loss(y_true, y_pred, delta=1e-100, **arguments), 1e-100 * absolute),
        (mean_smooth_l1_loss(y_true, y_pred, beta=0.0, **arguments), absolute),
        (mean_smooth_l1_loss(y_true, y_pred, beta=1e-100, **arguments), absolute),
        (trimmed_mean_squared_error(y_true, y_pred, trim=0.0, **arguments), squared),
        (trimmed_mean_squared_error(y_true, y_pred, trim=0, **arguments), squared),
        (
            d2_huber_score(y_true, y_pred, delta=1e100, **arguments),
            sklearn_metrics.r2_score(y_true, y_pred, **arguments),
        ),
        (
            d2_huber_score(y_true, y_pred, delta=1e-100, **arguments),
            sklearn_metrics.d2_absolute_error_score(y_true, y_pred, **arguments),
        ),
    ]:
        assert_allclose(found, expected, rtol=1e-12)


@every_metric
def test_extreme_values_are_silent(metric, parameters):
    for size in (1e300, 1.7e308, 1e-300, 1e-320):
        y_true = size * np.array([1.0, -1.0, 0.5, 0.0, 0.25])
        value = metric(y_true, -y_true, **parameters)
        assert not np.isnan(value)
        assert not np.isnan(metric(y_true, -y_true, sample_weight=[1, 1, 0, 1, 2], **parameters))


# ------------------------------------------------------------------ D squared


def hard_samples():
    rng = np.random.default_rng(0)
    x = rng.standard_cauchy(31)
    return {
        "heavy tails": x,
        "two far groups": np.concatenate([x[:15], x[15:] + 1e6]),
        "two far groups of equal size": np.array([0.0, 0.5, 100.0, 100.5]),
        "ties": np.round(x),
        "gross error": np.append(x, 1e12),
        "far from 0": x + 1e8,
        "constant": np.full(5, 0.1),
        "one": np.array([3.0]),
        "two": np.array([3.0, 4.0]),
    }


@pytest.mark.parametrize("name", hard_samples())
@pytest.mark.parametrize(
    ("delta", "weights"),
    zip(
        [1e-100, 1e-20, 1e-8, 1e-3, 0.3, 1.0, 10.0, 1e4, 1e100],
        cycle([None, "integer", "real"]),
        strict=False,
    ),
)
def test_best_constant_is_the_minimum(name, delta, weights):
    y, loss = hard_samples()[name], Huber(delta)
    rng = np.random.default_rng(1)
    weight = {
        None: None,
        "integer": rng.integers(1, 4, len(y)).astype(float),
        "real": rng.uniform(0.1, 2.0, len(y)),
    }[weights]

    def mean_loss(c):
        return float(loss(y, np.full_like(y, c), sample_weight=weight))

    found = best_constant(y, weight, loss)
    assert y.min() <= found <= y.max()
    # convex: the minimum lies between the neighbours of the best of the observations
    points = np.sort(y)
    best = int(np.argmin([mean_loss(c) for c in points]))
    low, high = points[max(best - 1, 0)], points[min(best + 1, len(y) - 1)]
    values = [mean_loss(points[best])]
    if low < high:
        values.append(minimize_scalar(mean_loss, bounds=(low, high), method="bounded").fun)
    assert mean_loss(found) <= min(values) * (1 + 1e-14)


@seeds
def test_d2_is_one_minus_a_ratio_of_losses(seed):
    y_true, y_pred, weight = sample(seed=seed)
    delta = 0.7

    def mean_loss(c):
        return mean_huber_loss(y_true, np.full(40, c), sample_weight=weight, delta=delta)

    least = minimize_scalar(mean_loss, bracket=(-1, 1), tol=1e-12)
    loss = mean_huber_loss(y_true, y_pred, sample_weight=weight, delta=delta)
    found = d2_huber_score(y_true, y_pred, sample_weight=weight, delta=delta)
    assert found == pytest.approx(1 - loss / least.fun, rel=1e-12)
    constant = np.full(40, least.x)
    assert d2_huber_score(y_true, constant, sample_weight=weight, delta=delta) == pytest.approx(
        0.0, abs=1e-12
    )


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.0]])
def test_d2_of_constant_targets(weight):
    y_true = [0.1, 0.1, 0.1 if weight is None else 5.0]
    assert d2_huber_score(y_true, [0.1, 0.1, 0.1], sample_weight=weight) == 1.0
    assert d2_huber_score(y_true, [0.1, 0.2, 0.1], sample_weight=weight) == 0.0
    # as in scikit-learn
    other = sklearn_metrics.d2_absolute_error_score
    assert other(y_true, [0.1, 0.2, 0.1], sample_weight=weight) == 0.0


@pytest.mark.parametrize("arguments", [([1.0], [1.0], None), ([1.0, 2.0], [1.0, 3.0], [0.0, 2.0])])
def test_d2_is_undefined_for_less_than_two_rows(arguments):
    y_true, y_pred, weight = arguments
    with pytest.warns(UndefinedMetricWarning, match="fewer than two rows"):
        assert np.isnan(d2_huber_score(y_true, y_pred, sample_weight=weight))


@pytest.mark.parametrize("unit", [-1.0, 1e-149, 3e-20, 1e20, 1e149])
def test_d2_does_not_depend_on_the_unit(unit):
    y_true, y_pred, weight = sample()
    expected = d2_huber_score(y_true, y_pred, sample_weight=weight, delta=0.7)
    found = d2_huber_score(
        unit * y_true, unit * y_pred, sample_weight=weight, delta=0.7 * abs(unit)
    )
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_d2_of_values_that_are_extreme_beside_delta(size):
    """All errors far below delta: R squared; all far above: that of absolute errors."""
    y_true, y_pred, _ = sample()
    limit = sklearn_metrics.r2_score if size < 1 else sklearn_metrics.d2_absolute_error_score
    found = d2_huber_score(size * y_true, size * y_pred)
    assert found == pytest.approx(limit(y_true, y_pred), rel=1e-12)


def test_d2_shift():
    y_true, y_pred, _ = sample()
    assert d2_huber_score(y_true + 1e6, y_pred + 1e6) == pytest.approx(
        d2_huber_score(y_true, y_pred), rel=1e-8
    )


# ------------------------------------------------------------------ trimmed squares


@pytest.mark.parametrize("n", [1, 2, 10, 37])
@pytest.mark.parametrize("trim", [0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 0.95])
def test_trimmed_squares_are_the_mean_of_the_smallest(n, trim):
    """With every row 100 times, a whole number of rows is left out."""
    y_true, y_pred, _ = sample(n)
    squares = np.sort(np.repeat((y_true - y_pred) ** 2, 100))
    kept = squares[: round(100 * n * (1 - trim))]
    found = trimmed_mean_squared_error(y_true, y_pred, trim=trim)
    assert found == pytest.approx(kept.mean(), rel=1e-12)


@pytest.mark.parametrize("n", [10, 20, 50, 100])
@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("weight", [0.1, 1.0, 1 / 3])
def test_rounding_lets_in_no_gross_error(n, tenths, weight):
    error = np.ones(n)
    error[: n * tenths // 10] = 1e200
    weights = np.full(n, weight)
    found = trimmed_mean_squared_error(error, np.zeros(n), sample_weight=weights, trim=tenths / 10)
    assert found == 1.0


def test_trimming_of_gaussian_errors():
    q = norm.ppf(0.95)
    expected = 1 - 2 * q * norm.pdf(q) / 0.9
    assert round(expected, 2) == 0.62  # what the docstring says
    x = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    assert trimmed_mean_squared_error(x, 0 * x) == pytest.approx(expected, rel=1e-4)


# ------------------------------------------------------------------ tau-scale


def reference_tau(x, location=True):
    """Formula in raw medians of absolute deviations, with a closed form of the expectation."""
    raw = norm.ppf(0.75)
    b = 3 * raw
    expected = 2 * ((1 - b * b) * norm.cdf(b) - b * norm.pdf(b) + b * b) - 1
    center = np.median(x) if location else 0.0
    s = np.median(abs(x - center))
    if location:
        w = np.maximum(0, 1 - ((x - center) / (4.5 * s)) ** 2) ** 2
        center = np.sum(w * x) / np.sum(w)
    return s * np.sqrt(np.mean(np.minimum(((x - center) / s) ** 2, 9.0)) / expected)


@pytest.mark.parametrize("n", [1, 2, 5, 40, 101])
@seeds
def test_tau_scale_is_its_formula(n, seed):
    y_true, y_pred, weight = sample(n, seed)
    x = y_true - y_pred
    assert tau_scale_error(y_true, y_pred) == pytest.approx(reference_tau(x, False), rel=1e-12)
    assert tau_scale(x, center=0.0) == pytest.approx(reference_tau(x, False), rel=1e-12)
    if n > 1:
        assert tau_scale(x) == pytest.approx(reference_tau(x), rel=1e-12)
    repeated = np.repeat(x, weight)
    assert tau_scale(x, weight * 0.1) == pytest.approx(tau_scale(repeated), rel=1e-12)


@pytest.mark.parametrize("factor", [-3.0, 1e-200, 1e-12, 1e12, 1e200])
def test_tau_scale_equivariance(factor):
    y_true, y_pred, weight = sample()
    x = y_true - y_pred
    expected = abs(factor) * tau_scale_error(y_true, y_pred, sample_weight=weight)
    found = tau_scale_error(factor * y_true, factor * y_pred, sample_weight=weight)
    assert found == pytest.approx(expected, rel=1e-12)
    assert tau_scale(factor * x) == pytest.approx(abs(factor) * tau_scale(x), rel=1e-12)
    assert tau_scale(x + 1e3) == pytest.approx(tau_scale(x), rel=1e-9)


def test_tau_scale_is_consistent_and_efficient_at_the_gaussian():
    x = np.random.default_rng(0).normal(scale=3.0, size=(2000, 200))
    tau = np.array([tau_scale(row, center=0.0) for row in x])
    assert tau.mean() == pytest.approx(3.0, rel=0.01)
    best = np.sqrt(np.mean(x * x, axis=1))
    assert best.var() / tau.var() == pytest.approx(0.83, abs=0.05)


def test_a_bias_is_an_error():
    x = np.random.default_rng(0).normal(size=1000)
    assert tau_scale_error(x + 5.0, np.zeros(1000)) > 4.0
    assert tau_scale(x + 5.0) == pytest.approx(tau_scale(x), rel=1e-12)


def test_tau_scale_withstands_gross_errors():
    x = np.random.default_rng(0).normal(size=1001)
    bad = x.copy()
    bad[:100] = 1e300
    assert tau_scale(bad) < 1.4
    assert tau_scale_error(bad, np.zeros(1001)) < 1.4
    bad[:499] = 1e300
    assert tau_scale_error(bad, np.zeros(1001)) < 20.0


def test_tau_scale_of_exact_predictions():
    assert tau_scale_error([1.0, 2.0, 3.0], [1.0, 2.0, 50.0]) == 0.0
    assert tau_scale(np.full(4, 7.0)) == 0.0
    assert tau_scale(np.array([7.0])) == 0.0


# ------------------------------------------------------------------ scorers

NAMES = {
    ("" if name.startswith("d2") else "neg_") + name: metric for name, metric in METRICS.items()
}


def table(n=120, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    y = X @ [1.0, 2.0] + 0.1 * rng.normal(size=n)
    y[::10] += 50.0
    return X, y


@pytest.mark.parametrize("name", NAMES)
def test_scorers_are_signed_metrics(name):
    (metric, parameters), (X, y) = NAMES[name], table()
    model, scorer = HuberRegressor().fit(X, y), get_scorer(name, **parameters)
    sign = -1 if name.startswith("neg_") else 1
    assert scorer(model, X, y) == sign * metric(y, model.predict(X), **parameters)
    weight = np.resize([1.0, 0.0, 2.0], len(y))
    assert scorer(model, X, y, sample_weight=weight) == sign * metric(
        y, model.predict(X), sample_weight=weight, **parameters
    )


@pytest.mark.parametrize("name", NAMES)
def test_scorers_select_models(name):
    X, y = table()
    scorer = get_scorer(name)
    search = GridSearchCV(HuberRegressor(), {"delta": [0.5, 1.345]}, scoring=scorer, cv=3)
    search = clone(search).fit(X, y)
    scores = cross_val_score(search.best_estimator_, X, y, scoring=scorer, cv=3)
    assert search.best_score_ == pytest.approx(scores.mean(), rel=1e-12)
    again = pickle.loads(pickle.dumps(scorer))
    assert again(search, X, y) == scorer(search, X, y)


def test_scorers_take_routed_weights():
    X, y = table()
    weight = np.where(y > 25.0, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        scorer = get_scorer("neg_mean_huber_loss").set_score_request(sample_weight=True)
        model = L2Regressor().set_fit_request(sample_weight=True)
        result = cross_validate(
            model, X, y, scoring=scorer, cv=3, params={"sample_weight": weight}, error_score="raise"
        )
    assert np.all(-result["test_score"] < 0.1)  # which the gross errors would prevent


def test_robust_scores_prefer_the_robust_fit_where_squares_do_not():
    """Judged by rows that are partly wrong, the worse line has the smaller squared error."""
    X, y = table()
    robust, squares = HuberRegressor().fit(X, y), L2Regressor().fit(X, y)
    assert get_scorer("d2_huber_score", delta=0.3)(robust, X, y) > get_scorer(
        "d2_huber_score", delta=0.3
    )(squares, X, y)
    for name in ("neg_tau_scale_error", "neg_trimmed_mean_squared_error"):
        assert get_scorer(name)(robust, X, y) > get_scorer(name)(squares, X, y)
    assert squares.score(X, y) > robust.score(X, y)


def test_bad_scorers_fail_at_once():
    with pytest.raises(ValueError, match=r"name must be one of 'd2_huber_score'.*; got 'r2'"):
        get_scorer("r2")
    with pytest.raises(ValueError, match="delta must be"):
        get_scorer("neg_mean_huber_loss", delta=-1.0)
    with pytest.raises(TypeError, match="delta"):
        get_scorer("neg_tau_scale_error", delta=1.0)

"""Huber's delta from the data: the choice by itself, and HuberRegressor(delta="auto")."""

from functools import cache
from statistics import NormalDist

import numpy as np
import pytest
from _cases import TABLES, clean, contaminated, heavy_tails, on_plane, ties, weights_for
from _reference import kappa, mad
from scipy import sparse
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from robustreg import HuberRegressor, L1Regressor, huber_path
from robustreg.estimators import _doubt
from robustreg.estimators._delta import choose_delta
from robustreg.estimators._doubt import doubt_of_choice
from robustreg.evaluation.rows import of_column, only_column
from robustreg.losses import Huber

DELTAS = np.linspace(0.3, 3.0, 28)


# --- the choice: residuals and weights to delta


@cache
def level_of(delta):
    return 2 * kappa(Huber(delta)) / delta**2


def threshold_of(delta, residual, weight, scale):
    if scale is not None:
        return delta * scale
    level = level_of(delta)

    def excess(log_t):
        return np.average(np.minimum(residual**2 / np.exp(2 * log_t), 1), weights=weight) - level

    low, high = np.log(np.abs(residual[residual != 0]).min()) - 30, np.log(np.abs(residual).max())
    return np.exp(brentq(excess, low, high + 10, xtol=1e-14)) if excess(low) > 0 else 0.0


def documented_delta(residual, weight, scale):
    """Straight from the docstring."""
    deltas, variances = [], []
    for delta in DELTAS:
        t = threshold_of(delta, residual, weight, scale)
        inside = np.average(np.abs(residual) <= t, weights=weight)
        square = np.average(np.minimum(residual**2, t**2), weights=weight)
        # 1.35 scales hold half of the rows, twice as far as they do for Gaussian noise
        near = np.average(
            np.abs(residual) <= 2 * NormalDist().inv_cdf(0.75) * t / delta, weights=weight
        )
        in_order = scale is not None or near >= 0.5 - 1e-12
        if t > 0 and inside > 0 and square > 0 and in_order:
            deltas.append(delta)
            variances.append(square / inside**2)
    return np.average(deltas, weights=(np.array(variances) / min(variances)) ** -20.0)


def mixture(rng):
    return np.where(rng.random(203) < 0.1, 1e6, 1.0) * rng.normal(size=203)


SAMPLES = {
    "gaussian": lambda rng: rng.normal(size=200),
    "t1.5": lambda rng: 1e-3 * rng.standard_t(1.5, 201),
    "mixture": mixture,
    "skewed": lambda rng: rng.exponential(size=150) - 0.7,
    "uniform": lambda rng: 1e5 * rng.uniform(-1, 1, 90),
    "ties": lambda rng: np.round(2 * rng.standard_t(3, 120)) + 0.25,
    "zeros": lambda rng: np.where(rng.random(100) < 0.4, 0.0, rng.normal(size=100)),
    "few": lambda rng: rng.normal(size=4),
}
every_sample = pytest.mark.parametrize("draw", SAMPLES.values(), ids=SAMPLES.keys())


@every_sample
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_the_choice_is_as_documented(draw, weighted, fixed):
    rng = np.random.default_rng(0)
    residual = draw(rng)
    weight = rng.exponential(size=len(residual)) if weighted else None
    scale = mad(residual, weight, 0.0) if fixed else None
    found = choose_delta(residual, weight, scale=scale)
    assert found == pytest.approx(documented_delta(residual, weight, scale), rel=1e-9)
    assert 0.3 <= found <= 3.0


@every_sample
@pytest.mark.parametrize("scale", [None, 1.0])
def test_what_leaves_the_choice_alone(draw, scale):
    rng = np.random.default_rng(1)
    residual = draw(rng)
    residual /= mad(residual, None, 0.0)
    count = rng.integers(1, 4, len(residual))
    expected = choose_delta(residual, count.astype(float), scale=scale)
    order = rng.permutation(len(residual))
    same = {
        "copies": choose_delta(np.repeat(residual, count), scale=scale),
        "order": choose_delta(residual[order], count[order].astype(float), scale=scale),
        "weights": choose_delta(residual, 1e-6 * count, scale=scale),
        "sign": choose_delta(-residual, count.astype(float), scale=scale),
        "large": choose_delta(1e50 * residual, count.astype(float), scale=scale and 1e50),
        "small": choose_delta(1e-50 * residual, count.astype(float), scale=scale and 1e-50),
    }
    assert same == pytest.approx(dict.fromkeys(same, expected), rel=1e-10)


@pytest.mark.parametrize(
    ("residual", "scale"),
    [([0.0], None), ([0.0] * 5, 1.0), ([1.0, -2.0], 0.0), ([1e-10, 1e-12, 0.0], None)],
)
def test_zeros_leave_no_choice(residual, scale):
    assert choose_delta(np.array(residual), scale=scale, zero=1e-9) is None


def test_no_threshold_is_among_the_zeros():
    """40 % zeros: a joint scale for a delta below 1.3 would be 0."""
    rng = np.random.default_rng(0)
    residual = np.where(np.arange(100) < 40, 1e-12, 5.0) * rng.uniform(1, 2, 100)
    assert choose_delta(residual, zero=1e-9) > 1.3
    assert choose_delta(residual, np.ones(100), zero=1e-9) > 1.3


def documented_doubt(residual, weight, threshold):
    """Straight from the docstring."""
    usual, gain, rows = threshold_of(1.345, residual, weight, None), 0.0, np.zeros(len(residual))
    for sign, t in ((1, usual), (-1, threshold)):
        square, inside = np.minimum(residual**2, t**2), (np.abs(residual) <= t).astype(float)
        mean, part = np.average([square, inside], axis=1, weights=weight)
        gain += sign * np.log(mean / part**2)
        rows += sign * (square / mean - 2 * inside / part)
    error = np.sqrt(np.sum(weight * rows**2)) / weight.sum()
    return np.exp(np.clip(gain, 0, error))


def doubt_of(residual, weight, threshold):
    unit = 1.0 if weight is None else weight.max()
    rows = of_column(residual, None if weight is None else weight / unit, 1)
    return doubt_of_choice(rows, only_column, threshold=threshold, unit=unit)


@pytest.mark.parametrize("n", [40_000, 100_000])
@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.6])
def test_a_choice_from_rows_of_which_a_sample_tells_where_to_look(n, zeros, monkeypatch):
    rng = np.random.default_rng(4)
    residual, weight = rng.standard_t(1, size=n), rng.integers(1, 4, size=n).astype(float)
    residual[rng.random(n) < zeros] = 0.0
    residual[:: n // 2**14] *= 9.0  # of which the sample has more than others have
    found = doubt_of(residual, weight, 0.4)
    monkeypatch.setattr(_doubt, "SAMPLE", n)
    assert found == pytest.approx(doubt_of(residual, weight, 0.4), rel=1e-9)
    if not zeros:
        assert found == pytest.approx(documented_doubt(residual, weight, 0.4), rel=1e-9)


@pytest.mark.parametrize("threshold", [0.3, 0.8, 1.5, 3.0])
def test_a_choice_is_doubted_as_documented(threshold):
    rng = np.random.default_rng(0)
    for residual in (rng.normal(size=80), rng.standard_t(2, size=80), rng.laplace(size=80)):
        weight = rng.integers(1, 4, size=80).astype(float)
        found = doubt_of(residual, weight, threshold)
        assert found == pytest.approx(documented_doubt(residual, weight, threshold), rel=1e-9)
        repeated = np.repeat(residual, weight.astype(int))
        assert doubt_of(repeated, None, threshold) == pytest.approx(found, rel=1e-12)
        assert doubt_of(1e200 * residual, weight, 1e200 * threshold) >= 1.0


def test_residuals_may_be_of_any_size():
    residual = np.append(np.random.default_rng(0).normal(size=50), [1e300, -1e200])
    assert choose_delta(residual) == pytest.approx(choose_delta(np.clip(residual, -1e9, 1e9)))


def test_the_choice_is_continuous():
    """A tiny change of the residuals must not throw delta from one candidate to another."""
    rng = np.random.default_rng(2)
    residual = rng.normal(size=300)
    moved = residual * (1 + 1e-9 * rng.normal(size=300))
    assert choose_delta(moved) == pytest.approx(choose_delta(residual), rel=1e-7)


# --- the estimator

PARAMETERS = {
    "joint": {},
    "mad": {"scale": "mad"},
    "fixed": {"scale": 0.5},
    "fixed-far": {"scale": 1e5},
    "ridge": {"alpha": 0.1},
    "fixed-ridge": {"scale": 2.0, "alpha": 0.1},
    "lasso": {"alpha": 0.1, "l1_ratio": 1.0},
    "fixed-elastic-net": {"scale": 2.0, "alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"positive": True},
    "lbfgs": {"solver": "lbfgs"},
    "no-intercept": {"fit_intercept": False},
}
every_setting = pytest.mark.parametrize("setting", PARAMETERS.values(), ids=PARAMETERS.keys())


def auto(**setting):
    return HuberRegressor("auto", **setting)


@pytest.mark.parametrize(("tails", "share_above"), [(None, 1.0), (1.5, 0.0)])
@pytest.mark.parametrize("scale", ["joint", "mad"])
def test_clean_noise_gets_a_large_delta_and_wild_noise_a_small_one(tails, share_above, scale):
    above = []
    for rng in np.random.default_rng(0).spawn(20):
        X = rng.normal(size=(1000, 5))
        y = rng.normal(size=1000) if tails is None else rng.standard_t(tails, 1000)
        above.append(auto(scale=scale).fit(X, y).delta_ > 1.5)
    assert abs(np.mean(above) - share_above) <= 0.1


# A number for delta times a scale so far from the noise is not solved as precisely.
@pytest.mark.parametrize(
    "setting", [PARAMETERS[name] for name in PARAMETERS if name != "fixed-far"]
)
@pytest.mark.parametrize(
    ("table", "weighted"),
    [
        ("clean", False),
        ("contaminated", True),
        ("heavy_tails", False),
        ("ties", True),
        ("one_sided", False),
    ],
)
def test_it_is_the_fit_with_that_delta(setting, table, weighted):
    X, y = TABLES[table](n=100)
    weight = weights_for(len(y)) if weighted else None
    model = auto(**setting).fit(X, y, weight)
    same = HuberRegressor(model.delta_, **setting).fit(X, y, weight)
    np.testing.assert_allclose(model.coef_, same.coef_, rtol=1e-6, atol=1e-9)
    assert model.scale_ == pytest.approx(same.scale_, rel=1e-6)
    assert model.objective_ == pytest.approx(same.objective_, rel=1e-9)
    np.testing.assert_allclose(model.weights_, same.weights_, rtol=1e-5)
    assert model.dual_gap_ <= 1e-7 * model.objective_
    assert model.n_iter_ >= 1


def test_delta_comes_from_the_residuals_of_the_default_fit():
    X, y = heavy_tails(n=100)
    weight = np.resize([1.0, 2.0, 0.5], len(y))
    for scale in ("joint", "mad"):
        first = HuberRegressor(scale=scale).fit(X, y, weight)
        held = None if scale == "joint" else L1Regressor().fit(X, y, weight).scale_
        expected = choose_delta(y - first.predict(X), weight, scale=held)
        found = auto(scale=scale).fit(X, y, weight).delta_
        assert found == pytest.approx(expected, rel=1e-9)


def test_with_a_given_scale_delta_counts_that_scale():
    """The threshold in y's units is that of scale="mad", whatever the scale."""
    X, y = heavy_tails()
    by_mad = auto(scale="mad").fit(X, y)
    noise = L1Regressor().fit(X, y).scale_
    for scale in (1e-5, 1.0, 1e5):
        model = auto(scale=scale).fit(X, y)
        assert model.delta_ * scale == pytest.approx(by_mad.delta_ * noise, rel=1e-12)
        np.testing.assert_allclose(model.coef_, by_mad.coef_, rtol=1e-12)
        assert model.objective_ * scale == pytest.approx(by_mad.objective_ * noise, rel=1e-12)


@pytest.mark.parametrize("delta", [1, 0.7, np.float32(1.5)])
def test_a_number_is_reported_as_it_is(delta):
    model = HuberRegressor(delta).fit(*clean())
    assert model.delta_ == delta
    assert isinstance(model.delta_, float)


def nothing_but_zeros(n=60):
    return np.zeros((n, 2)), np.zeros(n)


EXACT = {
    "constant": (clean()[0], np.full(60, 7.0)),
    "zeros": nothing_but_zeros(),
    "linear": (clean()[0], clean()[0] @ [1.0, 2.0, 3.0]),
    "one row": (np.ones((1, 2)), np.array([3.0])),
    "two rows": (np.eye(2), np.array([3.0, 4.0])),
    "wide": TABLES["wide"](),
    "plane": on_plane(0.2)[:2],
    "extreme": (1e-150 * clean()[0], 1e150 * (clean()[0] @ [1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize(("X", "y"), EXACT.values(), ids=EXACT.keys())
@pytest.mark.parametrize(("scale", "weighted"), [("joint", True), ("mad", False), (2.0, True)])
def test_exact_fits_keep_the_default(X, y, scale, weighted):
    weight = np.resize([1.0, 2.0], len(y)) if weighted else None
    model = auto(scale=scale).fit(X, y, weight)
    same = HuberRegressor(scale=scale).fit(X, y, weight)
    assert model.delta_ == 1.345
    np.testing.assert_allclose(model.coef_, same.coef_, rtol=1e-9, atol=1e-12)
    assert np.isfinite([*model.coef_, model.intercept_, model.scale_, *model.weights_]).all()


@every_setting
@pytest.mark.parametrize("table", [clean, heavy_tails, ties])
def test_the_fit_moves_with_the_data(setting, table):
    X, y = table(n=80)
    model = auto(**setting).fit(X, y)
    factor = 1e3 if model.positive else -1e3
    if isinstance(setting.get("scale"), float):
        setting = setting | {"scale": setting["scale"] * abs(factor)}
    moved = factor * y + (20.0 if model.fit_intercept else 0.0)
    shift = np.zeros(3) if model.alpha or model.positive else np.array([5.0, -3.0, 0.5])
    found = auto(**setting).fit(X, moved + X @ shift)
    assert found.delta_ == pytest.approx(model.delta_, rel=1e-6)
    np.testing.assert_allclose(found.coef_, factor * model.coef_ + shift, rtol=1e-6, atol=1e-6)
    if not model.alpha:
        columns = np.array([1e-6, 1.0, 1e6])
        found = auto(**setting | {"scale": model.scale}).fit(X * columns, y)
        assert found.delta_ == pytest.approx(model.delta_, rel=1e-6)
        np.testing.assert_allclose(found.coef_ * columns, model.coef_, rtol=1e-6)


@every_setting
def test_weights_count_rows(setting):
    X, y = heavy_tails(n=80)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, len(y)).astype(float)
    model = auto(**setting).fit(X, y, weight)
    order = rng.permutation(np.repeat(np.arange(len(y)), weight.astype(int)))
    wild = np.where(weight > 0, y, 1e9)
    for same in (
        clone(model).fit(X[order], y[order]),
        clone(model).fit(X, y, 0.01 * weight),
        clone(model).fit(X, wild, weight),
    ):
        assert same.delta_ == pytest.approx(model.delta_, rel=1e-6)
        np.testing.assert_allclose(same.coef_, model.coef_, rtol=1e-6)


@every_setting
def test_storage_and_starts_do_not_matter(setting):
    X, y = contaminated(n=100)
    model = auto(**setting).fit(X, y)
    again = auto(**setting, warm_start=True).fit(X, y + 1.0).fit(X, y)
    same = [auto(**setting).fit(sparse.csr_array(X), y), again]
    for found in same:
        assert found.delta_ == pytest.approx(model.delta_, rel=1e-6)
        np.testing.assert_allclose(found.coef_, model.coef_, rtol=1e-6)
    single = auto(**setting).fit(X.astype(np.float32), y.astype(np.float32))
    assert single.coef_.dtype == np.float32
    assert single.delta_ == pytest.approx(model.delta_, rel=1e-3)


def test_a_grid_search_takes_auto_beside_numbers():
    X, y = heavy_tails(n=90)
    grid = {"delta": ["auto", 1.0, 2.0]}
    search = GridSearchCV(HuberRegressor(), grid, scoring="neg_median_absolute_error", cv=3)
    assert search.fit(X, y).best_params_["delta"] in grid["delta"]


def test_a_path_needs_a_number():
    X, y = clean()
    with pytest.raises(ValueError, match="delta must be one number for a path, got 'auto'"):
        huber_path(X, y, delta="auto")


def test_other_words_are_refused():
    X, y = clean()
    with pytest.raises(ValueError, match=r"'delta'.*range \(0.0, inf\).*'auto'.*Got 'foo'"):
        HuberRegressor("foo").fit(X, y)


def test_a_first_fit_that_stops_early_is_named():
    X, y = contaminated()
    with pytest.warns(ConvergenceWarning) as caught:
        auto(max_iter=1).fit(X, y)
    assert "at the delta to start from" in str(caught[0].message)
    assert {entry.filename for entry in caught} == {__file__}

"""Estimators of high breakdown: what they solve, how well, and what they withstand."""

import numpy as np
import pytest
from _cases import HIGH, clean, contaminated, weights_for
from _reference_high_breakdown import (
    BOUNDED,
    breakdown_point,
    constant,
    efficiency,
    equations,
    m_scale,
    mm_objective,
    smallest_scale,
    smallest_trimmed_sum,
    trimmed_sum,
)
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from robustreg import HuberRegressor, LTSRegressor, MMRegressor, SRegressor
from robustreg._median import mad, weighted_median
from robustreg.estimators._subsampling import BOUNDED as NAMES
from robustreg.evaluation.posed import Data
from robustreg.subsampling import table
from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.refinery import have_met

every_estimator = pytest.mark.parametrize("model", HIGH.values(), ids=HIGH.keys())
every_loss = pytest.mark.parametrize("loss", BOUNDED)
fit_intercept = pytest.mark.parametrize("fit_intercept", [True, False])


def fit(model, X, y, weight=None, **parameters):
    """A fitted copy; warnings are errors here, so that it has converged."""
    return clone(model).set_params(**parameters).fit(X, y, weight)


def test_every_bounded_loss_is_tried_here():
    assert set(NAMES) == set(BOUNDED)


# --- what the fits solve


@every_loss
@pytest.mark.parametrize(
    ("weighted", "fit_intercept", "breakdown"),
    [(False, True, 0.5), (False, False, 0.2), (True, True, 0.2), (True, False, 0.5)],
)
def test_s_estimates_solve_their_equations(loss, weighted, fit_intercept, breakdown):
    X, y = contaminated(n=90)
    weight = weights_for(90) if weighted else None
    model = SRegressor(
        loss,
        breakdown_point=breakdown,
        fit_intercept=fit_intercept,
        n_subsamples=50,
        random_state=0,
    ).fit(X, y, weight)
    r, p = y - X @ model.coef_ - model.intercept_, 3 + fit_intercept
    assert model.scale_ == pytest.approx(m_scale(r, p, loss, weight, breakdown), rel=1e-10)
    assert model.objective_ == model.scale_
    c = constant(loss, breakdown_point, breakdown)
    assert np.abs(equations(X, r, model.scale_, loss, c, weight, fit_intercept)).max() <= 1e-8
    psi = BOUNDED[loss][1]
    np.testing.assert_allclose(
        model.weights_, psi(r / model.scale_, c) / (r / model.scale_), rtol=1e-9, atol=1e-12
    )


@every_loss
@pytest.mark.parametrize(
    ("weighted", "fit_intercept", "target"),
    [(False, True, 0.95), (False, False, 0.7), (True, True, 0.7), (True, False, 0.95)],
)
def test_mm_estimates_solve_their_equations(loss, weighted, fit_intercept, target):
    X, y = contaminated(n=90)
    weight = weights_for(90) if weighted else None
    settings = {"fit_intercept": fit_intercept, "n_subsamples": 50, "random_state": 0}
    start = SRegressor(loss, **settings).fit(X, y, weight)
    model = MMRegressor(loss, efficiency=target, **settings).fit(X, y, weight)
    assert model.scale_ == start.scale_
    np.testing.assert_array_equal(model.initial_coef_, start.coef_)
    assert model.initial_intercept_ == start.intercept_
    r, c = y - X @ model.coef_ - model.intercept_, constant(loss, efficiency, target)
    assert np.abs(equations(X, r, model.scale_, loss, c, weight, fit_intercept)).max() <= 1e-8
    expected = mm_objective(r, model.scale_, loss, c, weight)
    assert model.objective_ == pytest.approx(expected, rel=1e-10)
    before = y - X @ start.coef_ - start.intercept_
    assert model.objective_ <= mm_objective(before, model.scale_, loss, c, weight)


@fit_intercept
@pytest.mark.parametrize(("fraction", "h"), [(None, 47), (0.75, 67), (0.5, 47), (1.0, 90)])
def test_least_trimmed_squares_are_least_squares_on_their_support(fraction, h, fit_intercept):
    X, y = contaminated(n=90)
    model = LTSRegressor(fraction, fit_intercept=fit_intercept, random_state=0).fit(X, y)
    assert model.n_support_ == h == model.support_.sum()
    r = y - X @ model.raw_coef_ - model.raw_intercept_
    assert model.objective_ == pytest.approx(trimmed_sum(r, h), rel=1e-12)
    assert np.abs(r[model.support_]).max() <= np.abs(r[~model.support_]).min(initial=np.inf)
    Z = np.c_[X, np.ones(90)] if fit_intercept else X
    found = np.append(model.raw_coef_, model.raw_intercept_) if fit_intercept else model.raw_coef_
    again = np.linalg.lstsq(Z[model.support_], y[model.support_], rcond=None)[0]
    np.testing.assert_allclose(found, again, rtol=1e-10)
    # weights_ are the rows of the reweighted fit, of least squares again
    found = np.append(model.coef_, model.intercept_) if fit_intercept else model.coef_
    rows = model.weights_ == 1
    assert set(model.weights_) <= {0.0, 1.0}
    np.testing.assert_allclose(found, np.linalg.lstsq(Z[rows], y[rows], rcond=None)[0], rtol=1e-10)


def test_the_raw_fit_of_least_trimmed_squares():
    X, y = contaminated(n=90)
    raw = LTSRegressor(reweight=False, random_state=0).fit(X, y)
    model = LTSRegressor(random_state=0).fit(X, y)
    np.testing.assert_array_equal(raw.coef_, raw.raw_coef_)
    np.testing.assert_array_equal(raw.coef_, model.raw_coef_)
    assert raw.scale_ == raw.raw_scale_ == model.raw_scale_
    np.testing.assert_array_equal(raw.weights_, raw.support_)


# --- how good the optima are


@every_loss
@pytest.mark.parametrize("seed", range(3))
def test_nothing_lower_is_near(loss, seed):
    X, y = contaminated(n=60, seed=seed)
    start = SRegressor(loss, random_state=0).fit(X, y)
    model = MMRegressor(loss, random_state=0).fit(X, y)
    c, rng = constant(loss, efficiency, 0.95), np.random.default_rng(seed)
    for size in (1e-6, 1e-3, 0.1):
        for step in size * start.scale_ * rng.standard_normal((10, 4)):
            shift = X @ step[:3] + step[3]
            r = y - start.predict(X) - shift
            assert m_scale(r, 4, loss) >= start.scale_ * (1 - 1e-12)
            r = y - model.predict(X) - shift
            assert mm_objective(r, model.scale_, loss, c) >= model.objective_ * (1 - 1e-12)


@pytest.mark.parametrize(("seed", "bad"), [(0, 0), (1, 3), (2, 0), (3, 3)])
def test_the_smallest_scale_of_few_rows(seed, bad):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((13, 1))
    y = X[:, 0] + rng.standard_normal(13)
    y[:bad] += 20
    model = SRegressor(random_state=0).fit(X, y)
    assert model.scale_ <= smallest_scale(X, y) * (1 + 1e-6)


@pytest.mark.parametrize(("seed", "fraction"), [(0, None), (1, 0.75), (2, None), (3, 0.75)])
def test_the_smallest_trimmed_sum_of_few_rows(seed, fraction):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 1))
    y = X[:, 0] + rng.standard_t(2, 12)
    model = LTSRegressor(fraction, random_state=0).fit(X, y)
    h = {None: 7, 0.75: 9}[fraction]
    assert model.n_support_ == h
    assert model.objective_ <= smallest_trimmed_sum(X, y, h) * (1 + 1e-6)


def test_the_smallest_scale_beside_nearly_as_many_wrong_rows():
    """The median of abs(r) is far below the scale there, and another optimum is next to it."""
    rng = np.random.default_rng([30, 2, 45, 1])
    X = rng.standard_normal((30, 2))
    y = X.sum(axis=1) + rng.standard_normal(30)
    X[:14] = 20 * rng.standard_normal((14, 2))
    y[:14] = 100 - X[:14].sum(axis=1)
    for random_state in range(5):
        model = SRegressor(random_state=random_state).fit(X, y)
        # what smallest_scale finds, in two seconds
        assert model.scale_ == pytest.approx(4.481803745177, rel=1e-9)


def test_candidates_on_their_way_are_not_taken_for_one():
    """They may be next to each other on either side of a saddle, and part."""
    thetas, values = np.array([[0.0, 0.0], [0.01, 0.0], [1.0, 0.0]]), np.array([1.0, 1.001, 1.002])
    slow = np.full(3, 1e-5)
    np.testing.assert_array_equal(have_met(thetas, values, slow, 0.05), [False, True, False])
    for fast in (0, 1):
        fall = slow.copy()
        fall[fast] = 0.1
        assert not have_met(thetas, values, fall, 0.05).any()


@every_estimator
@pytest.mark.parametrize("n", [4001, 9000])
def test_samples_of_many_rows_lead_to_the_same_optimum(model, n, monkeypatch):
    X, y = contaminated(n=n)
    found = fit(model, X, y, n_subsamples=100)
    monkeypatch.setattr("robustreg.subsampling.search.SMALL", n)
    expected = fit(model, X, y, n_subsamples=100)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-4)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-4)


# --- what they withstand


def vertical(X, y, bad, rng):
    y[:bad] += 1000


def bad_leverage(X, y, bad, rng):
    X[:bad] = 20 * rng.standard_normal((bad, 5))
    y[:bad] = 100 - X[:bad] @ np.arange(1.0, 6.0)


def clustered(X, y, bad, rng):
    X[:bad] = 10 + 0.1 * rng.standard_normal((bad, 5))
    y[:bad] = -200 + 0.1 * rng.standard_normal(bad)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.4])
@pytest.mark.parametrize("contaminate", [vertical, bad_leverage, clustered])
def test_breakdown(contaminate, share):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 5))
    y = X @ np.arange(1.0, 6.0) + rng.standard_normal(500)
    bad = round(500 * share)
    contaminate(X, y, bad, rng)
    # a row of bad leverage may lie near the plane by chance
    off = np.abs(y - X @ np.arange(1.0, 6.0)) > 20
    assert off.sum() > 0.7 * bad
    for model in HIGH.values():
        model = fit(model, X, y)
        error = np.append(model.coef_ - np.arange(1, 6), model.intercept_)
        assert np.abs(error).max() < 0.7
        assert model.outliers_[off].all()
        np.testing.assert_array_equal(model.weights_[off], 0)
    if contaminate is not vertical:
        coef = HuberRegressor().fit(X, y).coef_
        assert np.abs(coef - np.arange(1, 6)).max() > 1


def test_efficiency_costs_what_it_says_on_good_rows():
    """Of 95 % efficiency the coefficients are near those of least squares, of 30 % farther off."""
    X, y = clean(n=2000)
    squares = np.linalg.lstsq(np.c_[X, np.ones(2000)], y, rcond=None)[0][:-1]
    near = MMRegressor(random_state=0).fit(X, y).coef_ - squares
    far = SRegressor(random_state=0).fit(X, y).coef_ - squares
    assert np.linalg.norm(near) < 0.5 * np.linalg.norm(far)


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_the_breakdown_point_is_the_share_that_is_withstood(share):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 2))
    y = X.sum(axis=1) + 0.1 * rng.standard_normal(400)
    for bad in (share - 0.05, share + 0.05):
        count = round(400 * bad)
        wrong = X.copy(), y.copy()
        wrong[0][:count], wrong[1][:count] = 100.0, -1e4 + 0.01 * rng.standard_normal(count)
        for name in ("s", "mm"):
            coef = fit(HIGH[name], *wrong, breakdown_point=share).coef_
            assert (np.abs(coef - 1).max() < 0.5) == (bad < share)
        coef = fit(HIGH["lts"], *wrong, support_fraction=1 - share).coef_
        assert (np.abs(coef - 1).max() < 0.5) == (bad < share)


# --- determined by random_state, by nothing else


def bits(model):
    return [model.coef_, model.intercept_, model.scale_, model.objective_, model.weights_]


def assert_identical(a, b):
    for one, other in zip(bits(a), bits(b), strict=True):
        np.testing.assert_array_equal(one, other)


@every_estimator
@pytest.mark.parametrize("n", [200, 5000, 30_000])
def test_the_number_of_threads_does_not_matter(model, n):
    X, y = contaminated(n=n)
    found = fit(model, X, y, n_subsamples=100)
    with threadpool_limits(1):
        expected = fit(model, X, y, n_subsamples=100)
    assert_identical(found, expected)


@every_estimator
@pytest.mark.parametrize("n", [100, 5000])
def test_random_state_and_n_subsamples_determine_the_subsets(model, n, monkeypatch):
    drawn = []

    def record(*arguments):
        drawn.append(elemental_fits(*arguments))
        return drawn[-1]

    monkeypatch.setattr("robustreg.subsampling.search.elemental_fits", record)
    X, y = contaminated(n=n)

    def subsets(random_state):
        drawn.clear()
        fit(model, X, y, random_state=random_state, n_subsamples=25)
        return np.vstack(drawn)

    expected = subsets(7)
    assert expected.shape == (25, 4)
    np.testing.assert_array_equal(subsets(7), expected)
    np.testing.assert_array_equal(subsets(np.random.RandomState(7)), expected)
    assert not np.array_equal(subsets(8), expected)
    assert not np.array_equal(subsets(None), subsets(None))


@every_estimator
@pytest.mark.parametrize("n", [100, 5000])
def test_a_single_subset(model, n):
    """Least absolute deviations are among the starts, which is enough here."""
    X, y = contaminated(n=n)
    assert fit(model, X, y, n_subsamples=1).outliers_[: 3 * n // 10].all()


@every_estimator
def test_a_random_state_instance_goes_on_from_fit_to_fit(model):
    """As in scikit-learn; nothing else changes, given good optima."""
    X, y = contaminated()
    model = clone(model).set_params(random_state=np.random.RandomState(0))
    first = model.fit(X, y).objective_
    assert model.fit(X, y).objective_ == pytest.approx(first, rel=1e-9)


# --- tuning


def test_grid_search_over_the_efficiency():
    X, y = contaminated(n=120)
    steps = make_pipeline(StandardScaler(), MMRegressor(n_subsamples=50, random_state=0))
    grid = {"mmregressor__efficiency": [0.7, 0.95], "mmregressor__loss": ["bisquare", "hampel"]}
    search = GridSearchCV(steps, grid, cv=3, scoring="neg_median_absolute_error").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_.keys() == grid.keys()
    assert search.best_estimator_[-1].outliers_[:36].all()


@pytest.mark.parametrize("kind", ["one side", "cluster", "another plane"])
def test_candidates_left_behind_without_a_step_are_not_missed(kind):
    """Of the exact fits a quarter takes a step; with six times as many no lower scale is found."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X, bad = rng.normal(size=(90, 4)), np.arange(36)
        y = X @ [1.0, -1.0, 2.0, 0.0] + rng.normal(size=90)
        if kind == "one side":
            y[bad] += 6.0
        elif kind == "cluster":
            X[bad] = 3.0 + 0.3 * X[bad]
            y[bad] = rng.normal(size=36) - 5.0
        else:
            y[bad] = X[bad] @ [-3.0, 3.0, 0.0, 1.0] + rng.normal(size=36)
        usual, most = (SRegressor(n_subsamples=count, random_state=seed) for count in (500, 3000))
        assert usual.fit(X, y).scale_ == pytest.approx(most.fit(X, y).scale_, rel=1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_how_far_out_rows_are_is_found_in_blocks(weighted, fit_intercept, monkeypatch):
    """Columns with scales of their own, of what differs from the centre, and with none."""
    monkeypatch.setattr(table, "BLOCK_ENTRIES", 4 * 100)
    rng = np.random.default_rng(0)
    X = rng.normal(3.0, 2.0, size=(730, 4)).astype(np.float32)
    X[:, 1], X[:, 2] = np.where(rng.random(730) < 0.1, 5.0 + X[:, 1], 0.0), 7.0
    weight = rng.integers(1, 4, 730).astype(np.float64) if weighted else None
    problem = table.least_absolute_problem(Data(X, X[:, 0] + X[:, 3], None, 1), fit_intercept)
    reach, centre, scale = table._reach(problem, weight)
    expected = np.zeros(730)
    for j, column in enumerate(X.T.astype(np.float64)):
        assert centre[j] == (weighted_median(column, weight) if fit_intercept else 0.0)
        off = column - centre[j]
        counts = off != 0.0 if j == 1 else np.ones(730, dtype=bool)
        own = None if weight is None else weight[counts]
        assert scale[j] == (mad(off[counts], own, center=0.0) if off.any() else 0.0)
        expected = np.maximum(expected, np.abs(off) / (scale[j] or 1.0))
    np.testing.assert_array_equal(reach, expected)

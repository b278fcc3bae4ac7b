"""Exact tables with gross errors: of the planes that most rows lie on, the one of the most rows."""

from itertools import product

import numpy as np
import pytest
from _cases import HIGH, in_turns
from sklearn.base import clone

from robustreg import L1Regressor, LTSRegressor, MRegressor, SRegressor
from robustreg.subsampling.exact import plane_of_most_rows
from robustreg.subsampling.table import Table

MODELS = HIGH | {"m-mad": MRegressor("welsch", scale="mad", random_state=0)}
every_model = pytest.mark.parametrize("model", HIGH.values(), ids=HIGH.keys())


def fees(kind, share, *, wrong="random", n=100, levels=5, seed=0):
    """Fees by category and kilometre to the cent, a share of them wrong; the rows that are not."""
    rng = np.random.default_rng(seed)
    category = rng.integers(levels, size=n)
    dummies = (category[:, None] == np.arange(1, levels)).astype(float)
    km, fee = rng.uniform(1, 50, n).round(1), rng.uniform(1, 20, levels).round(2)
    rates = rng.uniform(1, 3, levels).round(2)
    X, y = {
        "categories": (dummies, fee[category]),
        "kilometres": (np.c_[dummies, km], fee[category] + 2 * km),
        "rates": (np.c_[dummies, km, km[:, None] * dummies], fee[category] + rates[category] * km),
    }[kind]
    bad = rng.permutation(n)
    if wrong == "clustered":
        bad = np.argsort(category + rng.uniform(size=n))
    bad = bad[: round(share * n)]
    if wrong == "surcharge":
        y[bad] += 7.5
    else:
        error = rng.normal(scale=20, size=len(bad)).round(1) + 0.05
        y[bad] += np.abs(error) if wrong == "upwards" else error
    return X, y, ~np.isin(np.arange(n), bad)


def rows_on(model, X, y):
    return np.abs(y - model.predict(X)) <= 1e-9 * np.ptp(y)


SHARES = [(0.1, "random", 100), (0.35, "surcharge", 60), (0.4, "upwards", 100)]


# Every model meets every kind of table and every kind of error, and so do these each other.
@pytest.mark.parametrize(
    ("model", "kind", "share", "wrong", "n"),
    in_turns(
        MODELS,
        *(
            [(kind, *SHARES[(i + j) % 3]) for j in range(3)]
            for i, kind in enumerate(["categories", "kilometres", "rates"])
        ),
    ),
)
def test_the_plane_of_the_most_rows(model, kind, share, wrong, n):
    X, y, right = fees(kind, share, wrong=wrong, n=n)
    least = max(right.sum(), rows_on(L1Regressor().fit(X, y), X, y).sum())
    found = clone(model).set_params(random_state=1).fit(X, y)
    on = rows_on(found, X, y)
    assert on.sum() >= least
    assert found.scale_ == found.objective_ * 0 == 0
    np.testing.assert_array_equal(found.weights_, on)
    np.testing.assert_array_equal(found.outliers_, ~on)
    # neither the draws nor the order of the rows decide
    order = np.random.default_rng(0).permutation(n)
    again = clone(model).set_params(random_state=2, n_subsamples=200).fit(X[order], y[order])
    np.testing.assert_allclose(again.predict(X), found.predict(X), rtol=0, atol=1e-10 * np.ptp(y))


@pytest.mark.parametrize(("kind", "model"), product(["categories", "rates"], HIGH.values()))
def test_a_category_of_wrong_rows_is_theirs(kind, model):
    """All but three rows of one are wrong, each by itself: these three are on the plane."""
    X, y, right = fees(kind, 0.15, wrong="clustered")
    on = rows_on(clone(model).fit(X, y), X, y)
    assert on[right].all()


@every_model
def test_the_plane_of_the_most_rows_among_many(model):
    X, y, right = fees("kilometres", 0.3, n=6000)
    found = clone(model).set_params(n_subsamples=50).fit(X, y)
    np.testing.assert_array_equal(rows_on(found, X, y), right)


@every_model
def test_rows_on_a_plane_count_by_their_weights(model):
    """In the last category four rows say 1, and three say 9, which weigh more."""
    category = np.r_[np.repeat([0, 1, 2], 8), [3] * 7]
    X = (category[:, None] == np.arange(1, 4)).astype(float)
    y = np.r_[np.repeat([5.0, 7.0, 2.0], 8), [1.0] * 4, [9.0] * 3]
    weight = np.r_[np.ones(28), np.full(3, 2.0)]
    assert clone(model).fit(X, y).predict(X[-1:]) == pytest.approx(1)
    repeated = np.repeat(X, weight.astype(int), axis=0), np.repeat(y, weight.astype(int))
    for rows in ((X, y, weight), repeated):
        assert clone(model).fit(*rows).predict(X[-1:]) == pytest.approx(9)


@every_model
@pytest.mark.parametrize(("pair", "kept"), [([7.0, -1e12], 7), ([4.0, 6.0], 4), ([2.0, 9.0], 2)])
def test_two_planes_of_as_many_rows(model, pair, kept):
    """The value near the middle of y, 5, is kept, or the lower of two as near, in any order."""
    category = np.r_[np.repeat([0, 1, 2, 3], 10), 4, 4]
    X = (category[:, None] == np.arange(1, 5)).astype(float)
    y = np.r_[np.repeat([5.0, 8.0, 2.0, 5.0], 10), pair]
    for seed, order in product(range(2), ([40, 41], [41, 40])):
        rows = np.r_[np.arange(40), order]
        found = clone(model).set_params(random_state=seed, n_subsamples=50).fit(X[rows], y[rows])
        assert found.predict(X[-1:]) == pytest.approx(kept)


def test_the_search_leads_from_any_plane_of_a_majority_to_the_best():
    X, y, right = fees("rates", 0.2, n=120)
    table = Table(np.c_[X, np.ones(120)], y, None, 1e-9, 1)
    best = np.linalg.lstsq(table.q[right], y[right], rcond=None)[0]
    far = best.copy()
    far[[1, 6]] += [3.0, 0.7]  # intercept and rate of one category
    assert 60 < (np.abs(table.residuals(far)) <= 1e-9).sum() < right.sum()
    np.testing.assert_allclose(plane_of_most_rows(table, far[None]), best, atol=1e-9)
    np.testing.assert_allclose(plane_of_most_rows(table, np.array([far, best])), best, atol=1e-9)


@every_model
@pytest.mark.parametrize("unit", [1.0, 1e300])
def test_weights_of_all_sizes_beside_an_exact_fit(model, unit):
    X, y, right = fees("categories", 0.2)
    weight = np.full(100, 1.0)
    weight[X[:, 0] == 1] = 1e-200  # no share of the sum
    found = clone(model).fit(X, y, weight * unit)
    assert found.scale_ == 0
    counted = right & (weight == 1)
    np.testing.assert_array_equal(rows_on(found, X, y)[weight == 1], counted[weight == 1])


# --- what counts as an exact fit, and scales that do not


def test_the_zeros_that_a_fit_has_made_are_no_exact_fit():
    """Cells of equal values and of noise: half of the rows are zeros, but not of the free ones."""
    cell = np.repeat(np.arange(8), [2, 2, 2, 2, 2, 1, 5, 5])
    X, y = (cell[:, None] == np.arange(8)).astype(float), 2.0 * cell
    y[11:] += np.random.default_rng(0).normal(size=10)
    start = SRegressor(fit_intercept=False, random_state=0).fit(X, y)
    found = MRegressor("bisquare", scale="mad", fit_intercept=False, random_state=0).fit(X, y)
    assert np.median(np.abs(y - start.predict(X))) < 1e-9
    assert start.scale_ > 0.1
    assert found.scale_ > 0.1
    assert (found.weights_ > 0.1).mean() > 0.8


@pytest.mark.parametrize("loss", ["bisquare", "welsch", "hampel", "andrews", "cauchy"])
@pytest.mark.parametrize("scale", [1e9, 1e14, 1e150])
def test_a_redescending_loss_of_a_huge_scale_is_least_squares(loss, scale):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X.sum(axis=1) + rng.normal(size=60)
    y[:10] += 20
    found = MRegressor(loss, scale=scale, random_state=0).fit(X, y)
    squares = np.linalg.lstsq(np.c_[X, np.ones(60)], y, rcond=None)[0]
    np.testing.assert_allclose(np.append(found.coef_, found.intercept_), squares, rtol=1e-9)
    assert np.isfinite(found.objective_)


@pytest.mark.parametrize("loss", ["bisquare", "hampel", "andrews"])
@pytest.mark.parametrize("scale", [1e-12, 1e-120])
def test_a_redescending_loss_of_a_tiny_scale_keeps_an_exact_fit(loss, scale):
    X, y, right = fees("kilometres", 0.3)
    found = MRegressor(loss, scale=scale, random_state=0).fit(X, 1e20 * y)
    np.testing.assert_array_equal(rows_on(found, X, 1e20 * y), right)


def test_least_trimmed_squares_take_all_rows_of_a_plane():
    X, y, right = fees("kilometres", 0.3)
    for reweight in (False, True):
        found = LTSRegressor(reweight=reweight, random_state=0).fit(X, y)
        np.testing.assert_array_equal(found.support_, right)
        assert found.raw_scale_ == found.scale_ == 0


@every_model
def test_a_column_next_to_the_largest_number(model):
    X, y, _ = fees("kilometres", 0.0)
    X[:, -1] *= 1e300
    X[0, -1] = -1e308
    y[0] = 1e3
    found = clone(model).fit(X, y)
    assert found.scale_ == 0
    np.testing.assert_array_equal(found.outliers_, np.arange(100) == 0)


@pytest.mark.parametrize("size", [0.0, 1e-13, 1e-8])
def test_a_direction_that_moves_no_row_leads_nowhere(size):
    """In one that columns hardly have, no row is off the plane, and there are none to draw from."""
    g = np.random.default_rng(0)
    q = np.column_stack([g.normal(size=12), size * g.normal(size=12), np.ones(12)])
    y = q[:, 0] + np.where(np.arange(12) < 3, 5.0, 0.0)
    plane = np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(
        plane_of_most_rows(Table(q, y, None, 1e-9, 1), plane[None]), plane
    )


@every_model
@pytest.mark.parametrize("seed", [0, 8, 11])
def test_nearly_collinear_columns_leave_the_rows_of_a_plane_on_it(model, seed):
    """Where coefficients cost digits, it is the rows known to be on it that make these out."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(40, 6))
    X[:, 1] = X[:, 0] + 1e-8 * g.normal(size=40)
    X[-2:] *= 1e6
    y = X @ [1.0, 0.0, 2.0, -1.0, 0.5, 0.0] - 3.5
    y[-5:] += 50 * g.normal(size=5)
    found = clone(model).set_params(random_state=0).fit(X, y)
    assert found.scale_ == 0.0
    assert np.abs(y - found.predict(X))[:-5].max() <= 1e-13
    np.testing.assert_array_equal(found.outliers_, np.arange(40) >= 35)

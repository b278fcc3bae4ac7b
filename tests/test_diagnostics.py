"""Robust distances: the estimate behind them, and tables on which it is easily lost."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import chi2
from sklearn.covariance import EmpiricalCovariance

from robustreg.datasets import load_california_housing, load_diamonds, load_stars_cyg
from robustreg.diagnostics import robust_distances
from robustreg.diagnostics._distances import measure
from robustreg.diagnostics._mcd import consistency_factor, minimum_covariance_determinant

GOLDEN = Path(__file__).parent / "golden" / "data"

# log det of the covariance, divisor h, of the h = (n + p + 1) // 2 rows that covMcd of robustbase
# 0.95-0 finds with nsamp="deterministic"
DETERMINISTIC_MCD = {"coleman": 1.748970096, "delivery": 10.68476343, "stackloss": 6.316252342}


def gaussian(n, p, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)) @ rng.normal(size=(p, p))


def with_cluster(n, p, share, size, seed=0):
    """Rows of which the first ones are moved together; which ones."""
    rng = np.random.default_rng(seed)
    X, moved = rng.normal(size=(n, p)), np.arange(n) < share * n
    X[moved] += size
    return X @ rng.normal(size=(p, p)), moved


def standardised(X):
    centred = X - np.median(X, axis=0)
    return centred / np.median(np.abs(centred), axis=0)


def table(name):
    return np.loadtxt(GOLDEN / f"{name}.csv", delimiter=",", skiprows=1)[:, :-1]


# ---- the estimate


@pytest.mark.parametrize("name", ["stackloss", "delivery"])
def test_determinant_is_near_the_least_of_all_halves(name):
    X = standardised(table(name)[:16])
    h = (X.shape[0] + X.shape[1] + 1) // 2
    halves = np.array(list(combinations(range(len(X)), h)))
    rows = X[halves]
    deviation = rows - rows.mean(axis=1, keepdims=True)
    least = np.linalg.slogdet(deviation.swapaxes(1, 2) @ deviation / h)[1].min()
    found = minimum_covariance_determinant(X, h).log_determinant
    assert found >= least - 1e-9
    assert found <= least + 0.3


@pytest.mark.parametrize("p", [1, 3, 10])
def test_no_step_leads_on(p):
    X = standardised(with_cluster(101, p, 0.3, 5)[0])
    found = minimum_covariance_determinant(X, 60)
    nearest = X[np.argsort(found.square_distances(X))[:60]]
    assert_allclose(found.centre, nearest.mean(axis=0), atol=1e-9)
    covariance = (found.axes * found.variances) @ found.axes.T
    assert_allclose(covariance, np.cov(nearest.T, ddof=0).reshape(p, p), atol=1e-9)


@pytest.mark.parametrize("name", DETERMINISTIC_MCD)
def test_determinant_is_no_larger_than_that_of_robustbase(name):
    X = table(name)
    unit = np.median(np.abs(X - np.median(X, axis=0)), axis=0)
    h = (X.shape[0] + X.shape[1] + 1) // 2
    found = minimum_covariance_determinant(standardised(X), h).log_determinant
    assert found + 2 * np.log(unit).sum() <= DETERMINISTIC_MCD[name] + 1e-6


@pytest.mark.parametrize("p", [1, 2, 5])
@pytest.mark.parametrize("share", [0.5, 0.8, 1.0])
def test_consistency_factor_is_that_of_simulated_rows(p, share):
    X = np.random.default_rng(1).normal(size=(200_000, p))
    near = X[(X**2).sum(axis=1) <= chi2.ppf(share, p)]
    assert consistency_factor(p, share) * near.var() == pytest.approx(1.0, abs=0.01)


# ---- Gaussian rows


@pytest.mark.parametrize("p", [1, 2, 6])
@pytest.mark.parametrize("support_fraction", [None, 0.75, 1.0])
def test_squares_are_chi_squared(p, support_fraction):
    X = gaussian(20_000, p)
    distances = robust_distances(X, support_fraction=support_fraction, random_state=0)
    for share in (0.25, 0.5, 0.9, 0.975):
        assert np.quantile(distances**2, share) == pytest.approx(chi2.ppf(share, p), rel=0.05)


def test_near_the_classical_distances_of_clean_rows():
    X = gaussian(4000, 4)
    deviation = X - X.mean(axis=0)
    classical = np.sqrt(np.sum(deviation @ np.linalg.inv(np.cov(X.T)) * deviation, axis=1))
    assert_allclose(robust_distances(X), classical, atol=0.2)


@pytest.mark.parametrize(
    ("n", "p", "share", "size"),
    [
        (50, 1, 0.4, 20),
        (50, 2, 0.4, 20),
        (300, 5, 0.4, 10),
        (300, 10, 0.4, 100),
        (1000, 20, 0.45, 20),
    ],
)
def test_far_cluster_is_found(n, p, share, size):
    X, moved = with_cluster(n, p, share, size)
    measured = measure(X)
    assert measured.values[moved].min() > 3 * measured.cutoff
    assert (measured.values[~moved] > measured.cutoff).mean() < 0.1


def test_larger_support_bears_fewer_outliers():
    X, moved = with_cluster(400, 3, 0.4, 20)
    assert robust_distances(X)[moved].min() > 20
    assert robust_distances(X, support_fraction=0.9)[moved].max() < 5


def test_giants_among_the_stars():
    X, _ = load_stars_cyg(return_X_y=True)
    far = np.flatnonzero(robust_distances(X) > np.sqrt(chi2.ppf(0.975, 1)))
    assert {10, 19, 29, 33} <= set(far)
    assert len(far) == 6


def test_impossible_diamonds_are_far():
    sides = load_diamonds().data[:, 6:]
    impossible = (sides == 0).any(axis=1) | (sides > 20).any(axis=1)
    distances = robust_distances(sides, random_state=0)
    assert distances[impossible].min() > np.sqrt(chi2.ppf(0.975, 3))
    assert impossible[np.argsort(-distances)[:3]].all()


# ---- what must not matter


def test_units_do_not_matter():
    X, _ = with_cluster(200, 4, 0.2, 8)
    expected = robust_distances(X)
    units, shifts = [1e-9, 1e12, 3.0, 1e-3], [5.0, -1e13, 1e3, 0.0]
    assert_allclose(robust_distances(X * units + shifts), expected, rtol=1e-4)


def test_rotation_hardly_matters():
    X, _ = with_cluster(500, 3, 0.3, 15)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turned = robust_distances(X @ rotation)
    assert_allclose(turned, robust_distances(X), rtol=0.05)


@pytest.mark.parametrize("convert", [pd.DataFrame, np.asfortranarray, list])
def test_containers(convert):
    X = gaussian(60, 3)
    assert_allclose(robust_distances(convert(X)), robust_distances(X), rtol=1e-12)


def test_polars():
    polars, X = pytest.importorskip("polars"), gaussian(60, 3)
    assert_allclose(robust_distances(polars.DataFrame(X)), robust_distances(X), rtol=1e-12)


def test_single_precision():
    X = gaussian(500, 3).astype(np.float32)
    distances = robust_distances(X)
    assert distances.dtype == np.float64
    assert_array_equal(distances, robust_distances(X.astype(np.float64)))


def test_order_of_the_rows():
    X, _ = with_cluster(301, 3, 0.2, 6)
    assert_allclose(robust_distances(X[::-1])[::-1], robust_distances(X), rtol=1e-9)


def test_X_is_left_alone():
    X = gaussian(50, 2)
    before = X.copy()
    robust_distances(X)
    assert_array_equal(X, before)


def test_blocks_do_not_matter(monkeypatch):
    X = gaussian(3000, 3)
    expected = robust_distances(X)
    monkeypatch.setattr("robustreg.diagnostics._distances.BLOCK_ENTRIES", 300)
    assert_allclose(robust_distances(X), expected, rtol=1e-12)


def test_sample_of_the_rows():
    X, moved = with_cluster(5000, 3, 0.3, 20)
    first = robust_distances(X, max_samples=500, random_state=3)
    assert_array_equal(first, robust_distances(X, max_samples=500, random_state=3))
    assert not np.array_equal(first, robust_distances(X, max_samples=500, random_state=4))
    # the final location and scatter are made of all rows
    assert_allclose(first[~moved], robust_distances(X, max_samples=None)[~moved], atol=0.03)
    assert_array_equal(robust_distances(X, max_samples=5000), robust_distances(X))


# ---- columns that determine each other, or hardly vary


@pytest.mark.parametrize(
    "extend",
    [
        lambda X: np.column_stack([X, X[:, 0]]),
        lambda X: np.column_stack([X, 2.54 * X[:, 1] - 7.0]),
        lambda X: np.column_stack([X, X.sum(axis=1)]),
        lambda X: np.column_stack([X, X @ [[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]]]),
    ],
)
def test_dependent_columns_add_nothing(extend):
    X, _ = with_cluster(300, 3, 0.1, 1e6)
    measured = measure(extend(X))
    assert measured.n_dimensions == 3
    assert_allclose(measured.values, robust_distances(X), rtol=0.05)


def test_rows_off_an_equation_that_the_others_satisfy():
    X = gaussian(400, 3, seed=5)
    total = X.sum(axis=1)
    wrong = np.arange(400) % 4 == 0
    total[wrong] += 0.01
    measured = measure(np.column_stack([X, total]))
    assert_array_equal(np.isinf(measured.values), wrong)
    assert measured.n_dimensions == 3
    assert_allclose(measured.values[~wrong], robust_distances(X)[~wrong], atol=0.25)


def test_nearly_dependent_columns_are_a_dimension():
    X = gaussian(300, 2)
    rounded = np.round(X.sum(axis=1), 2)
    measured = measure(np.column_stack([X, rounded]))
    assert measured.n_dimensions == 3
    assert np.isfinite(measured.values).all()


def test_labels_and_columns_that_hardly_vary_are_left_out():
    X, rng = gaussian(300, 2), np.random.default_rng(0)
    others = np.column_stack(
        [
            np.full(300, 7.1),
            rng.random(300) < 0.5,
            rng.random(300) < 0.1,
            rng.integers(5, size=300)[:, None] == np.arange(5),
            1e9 + np.spacing(1e9) * (np.arange(300) % 3),
        ]
    )
    measured = measure(np.column_stack([others, X]))
    assert measured.n_dimensions == 2
    assert_array_equal(measured.values, robust_distances(X))


def test_columns_with_a_majority_value_are_coordinates_of_their_own():
    X, rng = gaussian(300, 2), np.random.default_rng(0)
    amount = np.where(rng.random(300) < 0.7, 0.0, rng.exponential(size=300))
    amount[5] = 1e3
    measured = measure(np.column_stack([amount, X]))
    assert measured.n_dimensions == 3
    own = amount / (1.4826022185 * np.median(amount[amount > 0.0]))
    assert_allclose(measured.values, np.hypot(robust_distances(X), own), rtol=1e-9)
    assert np.argmax(measured.values) == 5
    assert (measured.values > measured.cutoff).mean() < 0.1
    alone = measure(amount[:, None] - 7.0)
    assert alone.n_dimensions == 1
    assert_allclose(alone.values, own, rtol=1e-9)


def test_counts_with_many_ties():
    X = np.random.default_rng(0).poisson(2.0, size=(500, 3))
    X[0] = 40
    distances = robust_distances(X)
    assert np.argmax(distances) == 0
    assert np.isfinite(distances).all()


def test_repeated_rows():
    X = np.repeat(gaussian(30, 2), 4, axis=0)
    distances = robust_distances(X).reshape(30, 4)
    assert_allclose(distances, distances[:, :1].repeat(4, axis=1), rtol=1e-9)


def test_entries_whose_squares_overflow():
    X = gaussian(100, 3)
    X[:2, 0] = 1e300, -1e308
    distances = robust_distances(X)
    assert not np.isnan(distances).any()
    assert distances[:2].min() > 1e50
    assert distances[2:].max() < 100


def test_a_row_that_holds_the_scatter_up_alone():
    """Asked to count all rows, the estimate has a dimension that is only the outlier's."""
    z = gaussian(30, 1)
    X = np.hstack([z, z])
    X[0, 1] += 5.0
    classical = np.sqrt(EmpiricalCovariance().fit(X).mahalanobis(X))
    assert_allclose(robust_distances(X, support_fraction=1.0), classical, rtol=1e-6)


def test_all_rows_counted_beside_a_giant():
    X = gaussian(30, 2)
    X[0] *= 1e120
    assert not np.isnan(robust_distances(X, support_fraction=1.0)).any()


def test_tables_with_categories():
    california = load_california_housing()
    X = california.data[~np.isnan(california.data).any(axis=1)]
    dummies = X[:, -1:] == np.arange(5)
    measured = measure(np.hstack([X[:, :-1], dummies]), random_state=0)
    assert measured.n_dimensions == 8
    assert np.isfinite(measured.values).all()


# ---- bad input


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        ([[1.0], [np.nan], [3.0]], {}, "NaN"),
        ([[1.0], [np.inf], [3.0]], {}, "infinity"),
        ([1.0, 2.0, 3.0], {}, "1D array"),
        (gaussian(10, 5), {}, "5 columns need more than 10 rows, got 10"),
        (gaussian(50, 5), {"max_samples": 8}, "5 columns need more than 10 rows, got 8"),
        (np.ones((20, 2)), {}, "no column to measure distances by"),
        (np.arange(20)[:, None] % 2, {}, "no column to measure distances by"),
        (gaussian(20, 2), {"support_fraction": 0.4}, "support_fraction"),
        (gaussian(20, 2), {"support_fraction": 1.1}, "support_fraction"),
        (gaussian(20, 2), {"support_fraction": np.nan}, "support_fraction"),
        (np.ma.masked_greater(gaussian(20, 2), 1.0), {}, "X has masked entries"),
        (np.array([["2020-01-01"], ["NaT"]], dtype="M8[D]"), {}, "X .* dates or durations"),
        (gaussian(20, 2), {"max_samples": 0}, "max_samples"),
        (gaussian(20, 2), {"random_state": "seed", "max_samples": 10}, "seed"),
    ],
)
def test_bad_input(X, options, message):
    with pytest.raises(ValueError, match=message):
        robust_distances(X, **options)


def test_sparse_input():
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        robust_distances(sparse.csr_array(gaussian(20, 2)))

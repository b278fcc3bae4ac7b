"""Least trimmed squares of rows that are seen in passes alone."""

import numpy as np
import pytest
from _sources import Guarded

from robustreg import LTSRegressor
from robustreg.sources import _surveyed
from robustreg.sources._surveyed import NotInMemoryError

N, P = 6_000, 3


@pytest.fixture
def small_samples(monkeypatch):
    """A source of which a sample is not all rows, in a short time."""
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 1_500)


def table(share=0.3, n=N):
    """Rows of which a share is wrong, in y and in X."""
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 5.0, -100.0], [1.0, 3.0, 20.0], size=(n, P))
    y = X @ [1.0, -2.0, 0.1] + 4.0 + rng.normal(size=n)
    bad = rng.random(n) < share
    y[bad] += 40.0 + 5.0 * rng.normal(size=bad.sum())
    X[bad, 0] += 10.0 * (rng.random(bad.sum()) < 0.5)
    return X, y


def weights(n=N):
    return np.resize([1.0, 0.0, 2.5, 0.5], n)


def assert_fixed(found, X, y, weight=None):
    """The raw fit is least squares on the rows with the smallest residuals, whose sum is right."""
    weight = np.ones(len(y)) if weight is None else weight
    size = np.abs(y - X @ found.raw_coef_ - found.raw_intercept_)
    order = np.argsort(size, kind="stable")
    room = np.maximum(found.n_support_ - (np.cumsum(weight[order]) - weight[order]), 0.0)
    share = np.zeros(len(y))
    share[order] = np.minimum(weight[order], room)
    assert share @ size**2 == pytest.approx(found.objective_, rel=1e-10)
    rows = np.column_stack([X, np.ones(len(y))]) * np.sqrt(share)[:, None]
    expected = np.linalg.lstsq(rows, y * np.sqrt(share), rcond=None)[0]
    np.testing.assert_allclose(
        np.append(found.raw_coef_, found.raw_intercept_), expected, rtol=0, atol=1e-8
    )
    assert found.converged_


@pytest.mark.parametrize("fraction", [None, 0.65])
@pytest.mark.parametrize(
    ("change", "edges"),
    [
        (lambda X, y: (X, y, None), ()),
        (lambda X, y: (X, y, None), (1, 1, 900, 901, N - 1)),
        (lambda X, y: (X, y, weights()), (700, 4000)),
        (lambda X, y: (X.astype(np.float32), y, None), (700,)),
        (lambda X, y: (np.asfortranarray(X), np.rint(4.0 * y).astype(int), None), (700,)),
    ],
    ids=["whole", "ragged", "weights", "float32", "integers"],
)
@pytest.mark.usefixtures("small_samples")
def test_fits_are_fixed_points_as_good_as_those_of_the_arrays(change, edges, fraction):
    X, y, weight = change(*table())
    source = Guarded(X, y, weight, edges)
    found = LTSRegressor(fraction, random_state=0).fit(source)
    expected = LTSRegressor(fraction, random_state=0).fit(X.astype(np.float64), y, weight)
    assert_fixed(found, X.astype(np.float64), y, weight)
    assert found.objective_ == pytest.approx(expected.objective_, rel=2e-3)
    assert found.n_support_ == expected.n_support_
    for name in ("scale_", "raw_scale_"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-2)
    near = {"rtol": 0, "atol": 0.2 * expected.scale_}
    np.testing.assert_allclose(found.predict(X), expected.predict(X), **near)
    assert not hasattr(found, "weights_")
    assert not hasattr(found, "support_")
    assert found.n_passes_ == source.passes <= 16
    assert max(source.jobs) < 20_000


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda X: X * [1.0, 1e-100, 1e80], {}),
        (lambda X: X + np.array([0.0, 1e9, 0.0]), {}),
        (lambda X: np.column_stack([X, X[:, 0], np.full(N, 3.0)]), {}),
        (lambda X: np.column_stack([X, np.arange(N) % 1999 == 5]), {}),
        (lambda X: np.column_stack([X, np.ones(N)]), {"fit_intercept": False}),
        (lambda X: X, {"reweight": False}),
    ],
    ids=["units", "far", "deficient", "rare", "no-intercept", "raw"],
)
@pytest.mark.usefixtures("small_samples")
def test_tables_that_need_care(change, options):
    X, y = table()
    X, model = change(X), LTSRegressor(random_state=0, **options)
    found = model.fit(Guarded(X, y, edges=(700, 2500)))
    objective, scale, rank = found.objective_, found.scale_, found.rank_
    predicted = found.predict(X)
    expected = model.fit(X, y)
    # of three rows of a dummy, two of them wrong, either side may count
    assert np.quantile(np.abs(predicted - expected.predict(X)), 0.999) <= 0.3 * scale
    assert objective == pytest.approx(expected.objective_, rel=2e-3)
    assert scale == pytest.approx(expected.scale_, rel=2e-2)
    assert (rank, found.converged_) == (expected.rank_, True)


@pytest.mark.parametrize("share", [0.2, 0.4, 0.45])
@pytest.mark.usefixtures("small_samples")
def test_wrong_rows_are_withstood(share):
    X, y = table(share)
    X[:2], y[2:4] = 1e12, -1e14  # and some of them far out
    found = LTSRegressor(random_state=0).fit(Guarded(X, y, edges=(700, 2500)))
    np.testing.assert_allclose(found.coef_ * [1.0, 3.0, 20.0], [1.0, -6.0, 2.0], atol=0.2)
    assert found.scale_ == pytest.approx(1.0, rel=0.1)


def on_a_plane(share, n=N):
    rng = np.random.default_rng(1)
    X = rng.integers(0, 6, size=(n, P)).astype(np.float64)
    y = X @ [1.0, -2.0, 3.0] + 4.0
    bad = rng.permutation(n)[: round(share * n)]
    y[bad] += rng.normal(size=len(bad))
    return X, y


@pytest.mark.parametrize("share", [0.1, 0.49])
@pytest.mark.usefixtures("small_samples")
def test_a_plane_that_most_rows_are_on(share):
    """Though in the sample there may be fewer."""
    X, y = on_a_plane(share)
    found = LTSRegressor(random_state=0).fit(Guarded(X, y, edges=(700, 2500)))
    np.testing.assert_allclose(found.coef_, [1.0, -2.0, 3.0], rtol=0, atol=1e-13)
    assert found.intercept_ == pytest.approx(4.0, abs=1e-12)
    assert (found.scale_, found.raw_scale_, found.objective_) == (0.0, 0.0, 0.0)
    assert found.converged_


@pytest.mark.usefixtures("small_samples")
def test_a_plane_of_fewer_rows_than_count():
    X, y = on_a_plane(0.52)
    found = LTSRegressor(random_state=0).fit(Guarded(X, y, edges=(700, 2500)))
    expected = LTSRegressor(random_state=0).fit(X, y)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-2)
    assert found.scale_ > 0.0


@pytest.mark.usefixtures("small_samples")
def test_repeated_rows_are_weights():
    X, y = table()
    weight = np.resize([1.0, 2.0, 3.0], N)
    rows = np.repeat(np.arange(N), weight.astype(int))
    found = LTSRegressor(random_state=0).fit(Guarded(X, y, weight, edges=(700,)))
    expected = LTSRegressor(random_state=0).fit(Guarded(X[rows], y[rows], edges=(700,)))
    assert found.n_support_ == expected.n_support_
    assert found.objective_ == pytest.approx(expected.objective_, rel=2e-3)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-2)


def test_few_rows_are_fitted_as_an_array_is():
    X, y = table(n=500)
    source = Guarded(X, y, edges=(100,))
    found, expected = (
        LTSRegressor(random_state=0).fit(source),
        LTSRegressor(random_state=0).fit(X, y),
    )
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    assert (found.n_passes_, found.objective_) == (1, expected.objective_)


@pytest.mark.usefixtures("small_samples")
def test_rows_too_far_out_to_be_told_apart():
    X, y = table()
    y[:1000] = 1e30
    with pytest.raises(NotInMemoryError):
        LTSRegressor(0.9, random_state=0).fit(Guarded(X, y, edges=(700,)))


def test_a_long_table_in_few_passes():
    X, y = table(share=0.4, n=150_000)
    source = Guarded(X, y, edges=range(20_000, 150_000, 20_000))
    found = LTSRegressor(random_state=0, n_subsamples=100).fit(source)
    assert_fixed(found, X, y)
    assert source.passes <= 8

"""Elemental subsets: independent rows, exact fits, draws in proportion to the weights."""

import numpy as np
import pytest

from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.table import Table


def table(q, y, weight=None):
    return Table(np.ascontiguousarray(q, float), np.asarray(y, float), weight, 1e-9, 1)


def gaussian(n=40, m=4, seed=0):
    rng = np.random.default_rng(seed)
    return np.c_[rng.standard_normal((n, m - 1)), np.ones(n)], rng.standard_normal(n)


def fits(q, y, weight=None, count=50, seed=0):
    return elemental_fits(table(q, y, weight), count, np.random.RandomState(seed))


def exact_rows(q, y, theta, rtol=1e-9):
    """The rows that a fit goes through."""
    return np.flatnonzero(np.abs(y - q @ theta) <= rtol * (1 + np.abs(q) @ np.abs(theta)))


@pytest.mark.parametrize("m", [1, 2, 4, 12])
def test_every_fit_goes_through_m_independent_rows(m):
    q, y = gaussian(m=m)
    found = fits(q, y)
    assert found.shape == (50, m)
    for theta in found:
        rows = exact_rows(q, y, theta, rtol=1e-7)
        assert len(rows) == m
        assert np.linalg.matrix_rank(q[rows]) == m


def test_subsets_differ_and_are_those_of_the_seed():
    q, y = gaussian()
    np.testing.assert_array_equal(fits(q, y), fits(q, y))
    assert not np.array_equal(fits(q, y), fits(q, y, seed=1))
    assert len(np.unique(fits(q, y).round(9), axis=0)) > 45


def test_an_exact_plane_is_found_by_every_subset():
    q, _ = gaussian()
    beta = np.array([1.0, -2.0, 3.0, 4.0])
    np.testing.assert_allclose(fits(q, q @ beta), np.tile(beta, (50, 1)), rtol=1e-9)


def test_dummies():
    """Every level has a row in every subset, however rare it is."""
    n = 200
    q = np.zeros((n, 5))
    q[np.arange(n), np.arange(n) % 4] = 1.0
    q[0] = [0, 0, 0, 0, 1.0]  # the only row of the last level
    y = np.arange(n) + 0.5
    for theta in fits(q, y):
        assert len(np.unique(np.argmax(q[exact_rows(q, y, theta)], axis=1))) == 5
        assert theta[4] == pytest.approx(y[0])


def test_repeated_rows_count_once_in_a_subset():
    q, y = gaussian(n=6)
    q, y = np.repeat(q, 50, axis=0), np.repeat(y, 50)
    for theta in fits(q, y):
        rows = exact_rows(q, y, theta, rtol=1e-7)
        assert np.linalg.matrix_rank(q[rows]) == 4


def test_a_direction_that_no_row_has_gets_the_coordinate_0():
    q, y = gaussian()
    q[:, 1] = 0.0
    found = fits(q, y)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)
    for theta in found:
        assert len(exact_rows(q, y, theta, rtol=1e-7)) == 3
    # also if it is no axis
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    for theta in fits(q @ turn, y):
        assert (turn @ theta)[1] == pytest.approx(0, abs=1e-9)


def test_a_row_of_zeros_is_no_direction():
    q, y = gaussian()
    q[:20] = 0.0
    y[:20] = 1e6
    assert np.abs(fits(q, y)).max() < 1e5


def test_rows_far_out_keep_the_digits_of_the_others():
    q, _ = gaussian()
    q[:2, :3] *= 1e12
    beta = np.array([1.0, -2.0, 3.0, 4.0])
    found = fits(q, q @ beta, count=200)
    np.testing.assert_allclose(found, np.tile(beta, (200, 1)), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_drawn_in_proportion_to_their_weights(weighted):
    """With one coordinate a fit is y of the row that was drawn: counts within 5 sd."""
    weight = np.array([1.0, 2.0, 3.0, 4.0]) if weighted else None
    found = fits(np.ones((4, 1)), np.arange(4), weight, count=4000)[:, 0]
    counts = np.bincount(found.astype(int), minlength=4)
    share = weight / 10 if weighted else np.full(4, 0.25)
    sd = np.sqrt(4000 * share * (1 - share))
    assert (np.abs(counts - 4000 * share) < 5 * sd).all()


def test_missing_directions_are_drawn_by_weight_too():
    """The rare level has two rows, one of them 9 times as heavy."""
    n = 2000
    q = np.c_[np.ones(n), np.zeros(n)]
    q[:2, 1] = 1.0
    weight = np.ones(n)
    weight[0] = 9.0
    y = np.zeros(n)
    y[:2] = [1.0, 2.0]
    found = fits(q, y, weight, count=400)
    heavy = np.isclose(found.sum(axis=1), 1.0)
    assert heavy.mean() == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / 400))


def test_rows_that_are_nearly_parallel_are_drawn_like_others():
    """Bulk rows between far ones, in coordinates of the latter: determinants of 1e-9, not of 0."""
    q, y = gaussian(n=200, m=6)
    q[:100, :5] *= 0.01
    y[:100], y[100:] = 0.0, 1.0 + q[100:, 0] ** 2
    inside = (np.abs(fits(q, y, count=4000)).max(axis=1) == 0.0).sum()
    share = 0.5**6
    assert abs(inside - 4000 * share) < 5 * np.sqrt(4000 * share * (1 - share))

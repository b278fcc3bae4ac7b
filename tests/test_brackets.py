"""C-steps of least trimmed squares by looks at all rows: they end where C-steps on all rows do."""

import numpy as np
import pytest

from robustreg import LTSRegressor
from robustreg.subsampling import brackets, estimates
from robustreg.subsampling.brackets import Aim, Trimming, followed
from robustreg.subsampling.criteria import TrimmedSquares
from robustreg.subsampling.descent import descend_by_trimming
from robustreg.subsampling.table import Table

N, M = 6_000, 4


def rows(kind="plain", n=N, share=0.4):
    """A table in robust coordinates, gross errors among its rows."""
    rng = np.random.default_rng(0)
    q = np.column_stack([rng.normal(size=(n, M - 1)), np.ones(n)])
    y = q @ np.array([1.0, -2.0, 0.0, 3.0]) + rng.normal(size=n)
    y[: int(share * n)] += 50.0 + 10.0 * rng.normal(size=int(share * n))
    weight = None
    if kind == "ties":
        q, y = np.rint(q), np.rint(y)
    if kind == "weights":
        weight = rng.choice([1.0, 2.0, 3.5], n)
    return Table(q, y, weight, 1e-9, 1)


def near(table):
    """A fit near the best one, as a sample leads to it."""
    return np.array([1.0, -2.0, 0.0, 3.0]) + 0.05 * np.array([1.0, -1.0, 1.0, 1.0])


def assert_fixed(table, criterion, found):
    """A C-step on all rows from there, on which the sum is what was said, leads nowhere."""
    fit, _, square = descend_by_trimming(table, criterion, found.aim.theta, 200)
    assert fit.steps <= 1
    assert square == pytest.approx(found.square, rel=1e-12)
    np.testing.assert_allclose(fit.theta, found.aim.theta, rtol=0, atol=1e-10)
    assert found.converged


def law_of(table, share=0.51):
    criterion = TrimmedSquares(share)
    return criterion, Trimming(criterion.covered(table), table.total, table.zero)


@pytest.mark.parametrize("kind", ["plain", "ties", "weights"])
@pytest.mark.parametrize("most", [2**12, 2**8], ids=["all", "some"])
def test_looks_end_at_a_fixed_point(kind, most, monkeypatch):
    """Where all rows of a bracket are brought back, and where some are, each for several."""
    monkeypatch.setattr(brackets, "MOST_ENTRIES", 0)
    monkeypatch.setattr(brackets, "MOST", most)
    monkeypatch.setattr(brackets, "LEAST", most // 16)
    table = rows(kind)
    criterion, law = law_of(table)
    (found,) = followed(law, [Aim(near(table), 0.2, 1.5)], table.add_up, 100)
    assert_fixed(table, criterion, found)
    expected = descend_by_trimming(table, criterion, near(table), 200)[2]
    assert found.square <= expected * (1.0 + 1e-3)
    assert found.looks <= 12


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e-9), (1e-3, 2e-3), (40.0, 41.0), (0.0, np.inf)])
def test_an_edge_that_is_not_where_it_is_looked_for(low, high):
    table = rows()
    criterion, law = law_of(table)
    (found,) = followed(law, [Aim(near(table), low, high)], table.add_up, 100)
    assert_fixed(table, criterion, found)


def test_several_descents_look_together_and_the_best_comes_first():
    table, looks = rows(share=0.45), []
    criterion, law = law_of(table)

    def look(job):
        looks.append(len(job.aims))
        return table.add_up(job)

    wrong = np.array([0.0, 0.0, 0.0, 50.0])  # among the errors
    found = followed(law, [Aim(wrong, 5.0, 50.0), Aim(near(table), 0.2, 1.5)], look, 100)
    assert looks[0] == 2
    np.testing.assert_allclose(found[0].aim.theta, near(table), atol=0.2)
    assert_fixed(table, criterion, found[0])


def test_rows_that_are_all_alike_are_one():
    q, residual = np.repeat(np.eye(3), 1000, axis=0), np.repeat([1.0, -1.0, 1.0], 1000)
    found, whole = brackets.Rows(q, residual, None).thinned(10)
    assert whole
    np.testing.assert_array_equal(found.weight, [1000.0] * 3)
    some, whole = brackets.Rows(np.arange(3000.0)[:, None], residual, None).thinned(10)
    assert not whole
    assert len(some.residual) == 10
    assert some.weight.sum() == pytest.approx(3000.0)


@pytest.mark.parametrize("fraction", [None, 0.8, 1.0])
def test_long_tables_have_a_fit_as_good_as_by_steps_on_all_rows(fraction, monkeypatch):
    table = rows(share=0.15)
    X, y = table.q[:, :-1], table.y
    model = LTSRegressor(fraction, random_state=0)
    expected = model.fit(X, y)
    given = expected.objective_, expected.coef_, expected.scale_
    monkeypatch.setattr(estimates, "LONG", 2_000)
    found = model.fit(X, y)
    assert found.objective_ == pytest.approx(given[0], rel=1e-3)
    np.testing.assert_allclose(found.coef_, given[1], rtol=0, atol=0.03)
    assert found.scale_ == pytest.approx(given[2], rel=1e-2)
    assert found.converged_


def test_a_plane_that_most_rows_of_a_long_table_are_on(monkeypatch):
    monkeypatch.setattr(estimates, "LONG", 2_000)
    table = rows(share=0.4)
    X, y = table.q[:, :-1], np.where(np.arange(N) < 0.4 * N, table.y, table.q @ np.arange(4.0))
    found = LTSRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(found.coef_, [0.0, 1.0, 2.0], rtol=0, atol=1e-12)
    assert found.scale_ == 0.0

"""Tied targets: counts, ratings and rounded measurements, and the zeros among their residuals."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    MRegressor,
    QuantileRegressor,
    l1_path,
)
from robustreg.estimators._delta import choose_delta, has_collapsed
from robustreg.evaluation.ties import interpolated_share
from robustreg.solvers import SOLVERS

# --- zeros that the fit has made, and zeros that ties have made


def groups(wild=(100, 100), count=2, size=10):
    """Groups of tied targets 3, 5, ..., the first few of each group wrong."""
    x = np.repeat(np.arange(count), size)
    y = 3.0 + 2.0 * x
    bad = np.tile(np.arange(size) < len(wild), count)
    y[bad] = np.tile(wild, count)
    X = (x[:, None] == np.arange(1, count)).astype(float)
    return X, y, bad


GROUPS = {
    "as reported": groups(),
    "different errors": groups(wild=(100, 70, -40, 1e6)),
    "three of ten": groups(wild=(100, 100, 100)),
    "five groups": groups(count=5),
    "groups of five": groups(wild=(50,), size=5),
}
BY_MAD = {
    "l1": L1Regressor(),
    "quantile": QuantileRegressor(0.5),
    "huber": HuberRegressor(scale="mad"),
    "auto": HuberRegressor("auto", scale="mad"),
    "log_cosh": MRegressor(scale="mad"),
}


def as_weights(X, y):
    rows, counts = np.unique(np.column_stack([X, y]), axis=0, return_counts=True)
    return rows[:, :-1], rows[:, -1], counts.astype(float)


@pytest.mark.parametrize("table", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize("model", BY_MAD.values(), ids=BY_MAD)
def test_groups_with_tied_targets_are_fitted_exactly(model, table):
    X, y, bad = table
    steps = 2.0 * np.arange(1, X.shape[1] + 1)
    forms = {"rows": (X, y), "twice": (np.r_[X, X], np.r_[y, y]), "weights": as_weights(X, y)}
    for data in forms.values():
        found = clone(model).fit(*data)
        np.testing.assert_allclose(found.coef_, steps, atol=1e-6)
        assert found.intercept_ == pytest.approx(3.0, abs=1e-6)
        assert found.scale_ == 0.0
        plane = found.predict(data[0])
        np.testing.assert_array_equal(found.outliers_, np.abs(data[1] - plane) > 1e-3)
        np.testing.assert_allclose(found.weights_, ~found.outliers_, atol=1e-6)
    assert clone(model).fit(X, y).outliers_.sum() == bad.sum()


def test_paths_report_the_same_scale():
    X, y, _ = groups()
    assert l1_path(X, y, alphas=[1e-3], l1_ratio=0.0).scales == [0.0]


def sample(name):
    """A table, weights, and which rows a fit passes through, with its rank."""
    g = np.random.default_rng(0)
    X, y, bad = groups()
    count = np.where(bad, 1.0, 2.0)
    zero = np.arange(20) < 3
    general = g.normal(size=(20, 2)), g.normal(size=20)
    cells = np.repeat(np.eye(4), 5, axis=0), g.normal(size=20)
    return {
        "groups": (X, y, None, ~bad, 2),
        "weighted groups": (X, y, count, ~bad, 2),
        "general position": (*general, None, zero, 3),
        "unequal weights": (*general, g.exponential(size=20) ** 3, zero, 3),
        "more zeros than the rank": (*general, None, zero, 2),
        "cells": (*cells, None, np.arange(20) % 5 == 0, 4),
    }[name]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("groups", 4 / 16),
        ("weighted groups", 4 / 32),
        ("general position", 1.0),
        ("unequal weights", 1.0),
        ("more zeros than the rank", 2 / 3),
        ("cells", 1.0),
    ],
)
def test_as_many_zeros_are_left_out_as_there_are_coefficients(name, share):
    X, y, weight, zero, rank = sample(name)
    given = np.ones(len(y)) if weight is None else weight
    order = np.random.default_rng(1).permutation(len(y))
    fortran = np.asfortranarray(X.astype(np.float32))
    found = {
        "itself": interpolated_share(X, y, weight, zero, rank, True),
        "units": interpolated_share(X, y, 1e-3 * given, zero, rank, True),
        "order": interpolated_share(X[order], y[order], given[order], zero[order], rank, True),
        "twice": interpolated_share(*(np.r_[a, a] for a in (X, y, given, zero)), rank, True),
        "sparse": interpolated_share(sparse.csr_array(X), y, weight, zero, rank, True),
        "other storage": interpolated_share(fortran, y, weight, zero, rank, True),
    }
    if name == "groups":
        repeat = np.arange(20) % 3 + 1  # whole-numbered weights against repeated rows
        weighted = interpolated_share(X, y, repeat.astype(float), zero, rank, True)
        rows = (np.repeat(a, repeat, axis=0) for a in (X, y))
        again = interpolated_share(*rows, None, np.repeat(zero, repeat), rank, True)
        assert again == pytest.approx(weighted)
    assert found == pytest.approx(dict.fromkeys(found, share))


def test_equal_sparse_rows_may_be_stored_differently():
    X, y, _, zero, rank = sample("groups")
    stored = sparse.csr_array(np.ones((20, 1)))
    stored.data[:] = X[:, 0]  # zeros are entries
    halves = sparse.csr_array(
        (np.repeat(0.5 * X[:, 0], 2), np.zeros(40, int), np.arange(0, 41, 2)), shape=(20, 1)
    )
    for table in (stored, halves):
        assert interpolated_share(table, y, None, zero, rank, True) == pytest.approx(4 / 16)
    assert len(halves.data) == 40


def mixed_storage(X, rng):
    """The same rows with some zeros as entries, some entries as two halves, in any order."""
    data, indices, indptr = [], [], [0]
    for row in X:
        entries = []
        for j in rng.permutation(len(row)):
            halves = 1 + rng.integers(2)
            if row[j] or rng.integers(2):
                entries += [(row[j] / halves, j)] * halves
        data += [value for value, _ in entries]
        indices += [j for _, j in entries]
        indptr.append(len(data))
    return sparse.csr_array((np.array(data), np.array(indices, int), indptr), shape=X.shape)


def share_by_counting(X, y, weight, zero, rank):
    """What ``interpolated_share`` states, with rows as keys."""
    on, missed = Counter(), Counter()
    for x, target, own, is_zero in zip(X.tolist(), y, weight, zero, strict=True):
        (on if is_zero else missed)[(*x, *([] if is_zero else [target]))] += own
    shared = any(row[:-1] in on for row in missed)
    most = max(missed.values()) if shared else np.inf
    counted = sum(min(own, most) for own in on.values()) / sum(on.values())
    return min(1.0, rank / len(on)) * counted


@pytest.mark.parametrize("weights", ["none", "whole", "tenths", "one heavy"])
@pytest.mark.parametrize("levels", [2, 3, 30])
def test_the_share_is_the_one_by_counting(levels, weights):
    """As under a ridge, where rows with residuals of 0 may be any."""
    rng = np.random.default_rng(levels)
    for rank in range(1, 8):
        n = int(rng.integers(4, 30))
        X = rng.integers(0, levels, (n, int(rng.integers(1, 4)))) - 1.0
        y = rng.integers(0, 3, n).astype(float)
        zero = rng.permutation(n) < rng.integers(1, n + 1)
        weight = {
            "none": np.ones(n),
            "whole": rng.integers(1, 4, n).astype(float),
            "tenths": rng.integers(1, 4, n) / 10.0,
            "one heavy": np.where(np.arange(n) == n // 2, 1.5, 1.0),
        }[weights]
        given = None if weights == "none" else weight
        signs = rng.choice([-0.0, 0.0], X.shape)
        tables = [X, np.where(X == 0.0, signs, X), sparse.csr_array(X), mixed_storage(X, rng)]
        found = [interpolated_share(table, y, given, zero, rank, False) for table in tables]
        assert found == pytest.approx([share_by_counting(X, y, weight, zero, rank)] * 4)


@pytest.mark.parametrize("seed", [29, 93, 228])
@pytest.mark.parametrize("model", [L1Regressor(), QuantileRegressor(0.3)])
def test_repeating_a_table_with_rows_far_out_leaves_the_scale(model, seed):
    """Rows whose x is 1e8 to 1e12 leave more than 1e-9 spreads of a residual of 0."""
    g = np.random.default_rng(seed)
    n, p = int(g.integers(20, 60)), int(g.integers(1, 5))
    X, far = g.normal(size=(n, p)), 10.0 ** g.integers(8, 13)
    y = X @ g.normal(size=p) + g.normal(size=n)
    rows = g.choice(n, n // 5, replace=False)
    X[rows] *= far
    if seed % 2:
        y[rows] += far * g.normal(size=len(rows))
    scale = clone(model).fit(X, y).scale_
    twice = clone(model).fit(np.r_[X, X], np.r_[y, y]).scale_
    assert twice == pytest.approx(scale, rel=1e-5)
    assert clone(model).fit(X, y, np.full(n, 3.0)).scale_ == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_repeating_a_table_whose_far_target_is_followed_leaves_the_scale(seed):
    """Beside a y of 5e17, what rounding leaves of residuals of 0 is more than the others' y."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(12, 2)) + np.array([0.0, 100.0])
    y, weight = np.ones(12), np.full(12, 1e-5)
    y[3], weight[[3, 5]] = 5e17, [0.1, 1.0]
    model = L1Regressor(fit_intercept=False)
    scale = model.fit(X, y, weight).scale_
    assert scale > 1e17
    twice = model.fit(np.r_[X, X], np.r_[y, y], np.r_[weight, weight]).scale_
    assert twice == pytest.approx(scale, rel=1e-9)


@pytest.mark.parametrize("model", [HuberRegressor(scale="mad"), HuberRegressor("auto", scale=1.0)])
def test_the_scale_of_an_l1_fit_is_found_on_few_rows_of_long_tables(model, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the interior point method ran on all rows")

    slow = replace(SOLVERS["interior"], solve=refuse)
    monkeypatch.setitem(SOLVERS, "interior", slow)
    g = np.random.default_rng(0)
    X = g.normal(size=(3000, 2))
    y = X @ [1.0, 2.0] + g.normal(size=3000)
    assert clone(model).fit(X, y).scale_ == pytest.approx(1.0, abs=0.1)


# --- no delta whose joint scale collapses


def dummies(labels):
    return (labels[:, None] == np.arange(1, labels.max() + 1)).astype(float)


DESIGNS = {
    "whole numbers": lambda g, n: g.integers(0, 3, (n, 2)).astype(float),
    "dummies": lambda g, n: dummies(g.integers(0, 3, n)),
    "gaussian": lambda g, n: g.normal(size=(n, 2)),
}
TARGETS = {
    "rounded": lambda g, f: np.round(f + 1.2 * g.normal(size=len(f))),
    "heights": lambda g, f: 5 * np.round((170 + 5 * f + 8 * g.normal(size=len(f))) / 5),
    "counts": lambda g, f: g.poisson(2.0, len(f)).astype(float),
    "ratings": lambda g, f: g.choice(np.arange(1.0, 6.0), len(f), p=[0.05, 0.1, 0.2, 0.4, 0.25]),
}
SEARCH = HuberRegressorCV()


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("search", [False, True])
def test_tied_targets_are_ordinary_data(design, target, search):
    for seed in range(1 if search else 4):
        g = np.random.default_rng(seed)
        X = design(g, 100 if seed % 2 else 60)
        y = target(g, X @ [1.0, 2.0])
        model = clone(SEARCH) if search else HuberRegressor("auto")
        model.fit(X, y)
        assert np.mean(np.abs(y - model.predict(X)) < 1e-9) <= 0.6
        assert model.scale_ > 0.3 * HuberRegressor().fit(X, y).scale_
        assert model.outliers_.mean() <= 0.3
        if search:
            again = HuberRegressor(model.delta_).fit(X, y)
            np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-6, atol=1e-9)
            row = list(model.deltas_).index(model.delta_)
            assert model.best_score_ == model.scores_path_[row].mean(axis=-1)[0]


@pytest.mark.parametrize("X", [np.arange(5.0)[:, None], np.zeros((5, 1)), np.ones((5, 2))])
def test_five_rows(X):
    model = HuberRegressor("auto").fit(X, np.array([150.4, 28.8, 46.6, 40.2, 46.5]))
    assert model.scale_ > 5.0
    assert model.outliers_.sum() <= 1


def test_weights_count_tied_rows():
    g = np.random.default_rng(2)
    X, count = DESIGNS["dummies"](g, 60), g.integers(1, 4, 60)
    y = TARGETS["rounded"](g, X @ [1.0, 2.0])
    for model in (HuberRegressor("auto"), HuberRegressor("auto", alpha=0.1)):
        found = clone(model).fit(X, y, count.astype(float))
        again = clone(model).fit(np.repeat(X, count, axis=0), np.repeat(y, count))
        assert found.delta_ == pytest.approx(again.delta_, rel=1e-6)
        assert found.scale_ == pytest.approx(again.scale_, rel=1e-6)


@pytest.mark.parametrize("model", [HuberRegressor("auto"), HuberRegressorCV()])
def test_a_plane_through_most_rows_is_still_the_fit(model):
    g = np.random.default_rng(0)
    X = g.normal(size=(100, 2))
    y = X @ [1.0, 2.0] + np.where(np.arange(100) < 25, 50 * g.normal(size=100), 0.0)
    model.fit(X, y)
    assert model.scale_ == 0.0
    np.testing.assert_allclose(model.coef_, [1.0, 2.0], rtol=1e-9)


def test_a_search_keeps_the_best_cell_where_all_collapse():
    X, y, _ = groups(wild=(100, 100, 100, 100))
    model = HuberRegressorCV([0.3, 0.4]).fit(X, y)
    assert model.scale_ == 0.0
    assert model.best_score_ == model.scores_path_.mean(axis=-1).max()


def test_a_candidate_has_half_of_the_rows_in_reach():
    residual = np.r_[np.full(45, 1e-3), 1.0 + np.arange(55) / 55]
    residual *= np.resize([1.0, -1.0], 100)
    assert choose_delta(residual) > 0.9  # below that sigma would be some 1e-3
    assert choose_delta(residual, np.full(100, 0.2)) == pytest.approx(choose_delta(residual))


@pytest.mark.parametrize(
    ("trust", "weight", "delta", "scale", "collapsed"),
    [
        ([1.0, 0.3, 0.2], None, 0.5, 1.0, True),
        ([1.0, 0.4, 0.2], None, 0.5, 1.0, False),  # 0.5 / 0.4 is within 1.35
        ([1.0, 0.3, 0.2], [3.0, 1.0, 1.0], 0.5, 1.0, False),
        ([1.0, 0.9, 0.8], None, 3.0, 1.0, True),  # two of three beyond 3
        ([1.0, 1.0, 1.0, 0.0, 0.0], None, 0.5, 0.0, True),  # 40 % off
        ([1.0, 1.0, 1.0, 0.0], None, 0.5, 0.0, False),
    ],
)
def test_when_a_scale_has_collapsed(trust, weight, delta, scale, collapsed):
    weight = None if weight is None else np.array(weight)
    assert has_collapsed(np.array(trust), weight, delta=delta, scale=scale) == collapsed


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_rows_twice_under_a_ridge(l1_ratio):
    """The rank is that of the coordinates then, and repeated rows are no vertex."""
    X, y = np.array([[3.0, 1, -6], [1, 0, -2], [3, 1, -6], [1, 0, -2]]), np.array([0, -0.5, 0, 0])
    model = L1Regressor(alpha=0.3, l1_ratio=l1_ratio)
    once, twice = (model.fit(*table).scale_ for table in ((X, y), (np.r_[X, X], np.r_[y, y])))
    assert once == pytest.approx(twice, rel=1e-9)

"""Order statistics from passes over rows, against sorting what all rows have."""

from dataclasses import dataclass

import numpy as np
import pytest
from _sources import Guarded
from numpy.testing import assert_array_equal

from robustreg._arrays import SUMMED
from robustreg._median import weighted_median
from robustreg.evaluation import order_statistics as module
from robustreg.evaluation.order_statistics import (
    Deviation,
    at_ranks,
    order_statistics,
    order_statistics_after,
)
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.survey import read_rows
from robustreg.losses import HalfSquared
from robustreg.penalties import ElasticNet
from robustreg.sources._surveyed import survey

N, WIDE = 5000, 60  # rows of so many columns are several blocks


@dataclass(frozen=True)
class First:
    """The first column as it was given, as a value of each row; and how often it was asked for."""

    asked = 0

    def __call__(self, block):
        First.asked += 1
        reading = block.reading
        return block.X[:, 0] * reading.unit[0] + reading.base[0]


def rows_with(x, weight=None, wide=WIDE):
    """Rows, read in blocks, whose first column is x."""
    X = np.zeros((len(x), wide))
    X[:, 0], X[:, 1:] = x, np.arange(wide - 1)
    return rows_of(Data(X, np.zeros(len(x)), weight, 2))


def rows_of(data):
    settings = {"scale": 1.0, "penalty": ElasticNet(), "fit_intercept": False}
    problem = make_problem(data, loss=HalfSquared(), **settings)
    return read_rows(problem.observed, False)


def passes(rows):
    """How many passes over the rows the last search has taken, beside the sample."""
    blocks = -(-rows.n // rows.source.block_rows)
    return (First.asked - 1) / blocks


def by_sorting(x, weight, ranks):
    order = np.argsort(x, kind="stable")
    index = np.searchsorted(np.cumsum(weight[order]), ranks)
    return x[order[np.minimum(index, len(x) - 1)]]


SAMPLES = {
    "normal": lambda rng: rng.normal(size=N),
    "counts": lambda rng: rng.poisson(3.0, size=N).astype(float),
    "alike": lambda rng: np.full(N, 2.5),
    "half alike": lambda rng: np.where(np.arange(N) % 2, 0.0, rng.normal(size=N)),
    "heavy tails": lambda rng: rng.standard_cauchy(size=N) ** 3,
    "infinite": lambda rng: np.where(rng.random(N) < 0.1, -np.inf, rng.normal(size=N)),
    "increasing": lambda rng: np.sort(rng.normal(size=N)),
}
RANKS = np.array([-1.0, 0.0, 1.0, 2.0, 0.4 * N, 0.5 * N, 0.5 * N + 1.0, N - 1.0, N, 2.0 * N])


@pytest.fixture
def in_passes(monkeypatch):
    """As if rows were too many to hold a value of each."""
    monkeypatch.setattr(module, "AT_HAND", 0)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(("sample", "held"), [(64, 0), (2**14, 0), (2**14, 2**18)])
def test_values_are_those_of_sorting(name, sample, held, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", sample)
    monkeypatch.setattr(module, "AT_HAND", held)
    x = SAMPLES[name](np.random.default_rng(0))
    rows = rows_with(np.where(np.isinf(x), 0.0, x))
    found = order_statistics(rows, lambda block: x[block.place], RANKS)
    assert_array_equal(found, by_sorting(x, np.ones(N), RANKS))


@pytest.mark.parametrize("name", ["normal", "counts"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_row_of_weight_w_counts_w_times(name, whole, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 256)
    rng = np.random.default_rng(1)
    x, weight = SAMPLES[name](rng), rng.integers(1, 9, size=N).astype(float)
    if not whole:
        weight *= rng.random(N)
    rows = rows_with(x, weight)
    ranks = np.array([1.0, *(np.arange(1, 20) / 20.0 * weight.sum())]) - 1e-9
    found = order_statistics(rows, First(), ranks / weight.max())
    assert_array_equal(found, by_sorting(x, weight, ranks))
    if whole:
        repeated, place = np.repeat(x, weight.astype(int)), np.ceil(ranks).astype(int) - 1
        assert_array_equal(found, np.sort(repeated)[place])


@pytest.mark.usefixtures("in_passes")
def test_several_ranks_take_one_pass(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 512)
    monkeypatch.setattr(First, "asked", 0)
    rows = rows_with(np.random.default_rng(2).normal(size=N))
    order_statistics(rows, First(), np.array([0.1, 0.5, 0.5001, 0.75, 1.0]) * N)
    assert passes(rows) == 1


@dataclass(frozen=True)
class Below:
    """The job that counts values below 0."""

    def __call__(self, block):
        return int(np.count_nonzero(First()(block) < 0.0))


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("moved", [0, 10, -1000])
def test_ranks_may_depend_on_a_sum_of_the_same_pass(held, moved, monkeypatch):
    monkeypatch.setattr(module, "AT_HAND", N if held else 0)
    x = np.random.default_rng(4).normal(size=N)
    rows = rows_with(x)
    found = order_statistics_after(
        rows,
        First(),
        Below(),
        lambda below: np.array([below, 0.5 * N]) + moved,
        np.full(2, 0.5 * N),
    )
    ranks = np.array([np.count_nonzero(x < 0.0), 0.5 * N]) + moved
    assert_array_equal(found, by_sorting(x, np.ones(N), ranks))


@pytest.mark.usefixtures("in_passes")
def test_a_bracket_that_misses_is_widened(monkeypatch):
    """Every 80th row, of which the sample is, is far from all others."""
    monkeypatch.setattr(module, "SAMPLE", -(-N // 80))
    rng = np.random.default_rng(3)
    for far in (1e3, -1e3):
        x = rng.normal(size=N)
        x[::80] += far
        rows = rows_with(x)
        monkeypatch.setattr(First, "asked", 0)
        found = order_statistics(rows, First(), RANKS)
        assert_array_equal(found, by_sorting(x, np.ones(N), RANKS))
        assert passes(rows) > 1


@pytest.mark.usefixtures("in_passes")
@pytest.mark.parametrize("sample", [64, -(-N // 80)])
def test_no_more_than_so_many_values_are_held(sample, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", sample)
    monkeypatch.setattr(module, "MOST", 100)
    monkeypatch.setattr(module, "UNSORTED", 10)
    most, add = [0], module._Inside.__add__

    def noted(self, other):
        found = add(self, other)
        most[0] = max(most[0], len(found.values))
        return found

    monkeypatch.setattr(module._Inside, "__add__", noted)
    rng = np.random.default_rng(4)
    x, weight = rng.normal(size=N), rng.random(N)
    x[::80] += 10.0  # the other sample is one of these alone
    rows = rows_with(x, weight)
    ranks = np.array([0.0, 0.2, 0.5, 0.9, 1.0]) * weight.sum()
    found = order_statistics(rows, First(), ranks / weight.max())
    assert_array_equal(found, by_sorting(x, weight, ranks * (1.0 - SUMMED)))
    assert 100 < most[0] <= 210


def test_one_row():
    rows = rows_with(np.array([3.0]), wide=1)
    assert_array_equal(order_statistics(rows, First(), np.array([0.0, 1.0, 5.0])), [3.0] * 3)


def test_a_median_absolute_deviation(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 512)
    x = np.random.default_rng(5).normal(size=N)
    rows, middle = rows_with(x), np.array([0.5 - SUMMED, 0.5 + SUMMED]) * N
    median = order_statistics(rows, First(), middle).mean()
    assert median == weighted_median(x)
    found = order_statistics(rows, Deviation(First(), median), middle).mean()
    assert found == weighted_median(np.abs(x - median))


@pytest.mark.parametrize("edges", [(), (1, 7, 4000), (0, 0, 2500, 2500, N)])
def test_rows_of_a_source_that_has_them_elsewhere(edges, monkeypatch):
    """Partitions without rows among them."""
    monkeypatch.setattr(module, "SAMPLE", 512)
    rng = np.random.default_rng(6)
    X, weight = rng.normal(size=(N, 3)), rng.integers(1, 4, size=N).astype(float)
    source = Guarded(X, np.zeros(N), weight, edges)
    rows = rows_of(survey(source, 1))
    ranks = np.array([1.0, 0.3 * weight.sum(), weight.sum()])
    before = source.passes
    found = order_statistics(rows, First(), ranks / weight.max())
    assert source.passes == before + 1
    assert_array_equal(found, by_sorting(X[:, 0], weight, ranks))


def test_values_at_hand():
    x = np.array([3.0, 1.0, 2.0, 2.0])
    assert_array_equal(at_ranks(x, None, np.array([0.0, 1.0, 1.5, 3.0, 9.0])), [1, 1, 2, 2, 3])
    weight = np.array([1.0, 0.5, 0.25, 1.0])
    assert_array_equal(at_ranks(x, weight, np.array([0.5, 0.6, 1.75, 1.8])), [1, 2, 2, 3])

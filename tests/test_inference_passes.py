"""Inference for quantiles holds nothing of rows that take more room than a block."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from robustreg import QuantileRegressor
from robustreg.inference import _rows, infer
from robustreg.inference._noise import SumNoise
from robustreg.inference._rows import FittedRows, with_rows_of
from robustreg.inference.quantiles._density import bandwidth, sparsity
from robustreg.inference.quantiles._nearest import Nearest
from robustreg.losses import HalfSquared


def table(seed, n=3000, p=60, ties=False):
    """Several blocks of rows."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X[:, 0] + rng.standard_t(3, size=n) * (1.0 + np.abs(X[:, 1]))
    return X, np.round(2.0 * y) if ties else y, rng.integers(0, 4, size=n).astype(float)


@pytest.mark.parametrize("kind", ["iid", "kernel", "nid"])
@pytest.mark.parametrize("weighted", [False, True])
def test_residuals_need_not_be_held(kind, weighted, monkeypatch):
    X, y, weight = table(0)
    weight = weight if weighted else None
    model = QuantileRegressor(0.3).fit(X, y, weight)
    held = infer(model, X, y, weight, covariance=kind)

    def refuse(self):
        raise AssertionError("something holds a number of every row")

    monkeypatch.setattr(_rows, "ENTRIES", 0)
    monkeypatch.setattr(FittedRows, "residuals", property(refuse))
    found = infer(model, X, y, weight, covariance=kind)
    assert_allclose(found.standard_errors, held.standard_errors, rtol=1e-12)
    assert_allclose(found.r2, held.r2, rtol=1e-12)


def most_memory(work):
    """Bytes that it holds at a time."""
    tracemalloc.start()
    try:
        with threadpool_limits(1):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["iid", "kernel", "nid"])
def test_more_rows_take_no_more_memory(kind, monkeypatch):
    """Those of nid's fits that a sample has, one of 50, but no number for each row."""
    monkeypatch.setattr(_rows, "ENTRIES", 0)
    X, y, _ = table(0, n=400_000, p=4)
    used = []
    for n in (200_000, 400_000):
        model = QuantileRegressor(0.3).fit(X[:n], y[:n])
        used.append(most_memory(partial(infer, model, X[:n], y[:n], covariance=kind)))
    assert used[1] - used[0] < 4.0 * 200_000


@pytest.mark.parametrize("ties", [False, True])
def test_rows_nearest_to_the_fit_are_those_of_sorting(ties, monkeypatch):
    """The slope of a median fit of the ordered residuals nearest 0 on their ranks."""
    monkeypatch.setattr(_rows, "ENTRIES", 0)
    X, y, weight = table(1, ties=ties)
    tau, size = 0.4, X.shape[1] + 1
    model = QuantileRegressor(tau).fit(X, y, weight)

    def work(fitted):
        return sparsity(fitted, tau), fitted.residuals, fitted.counts, fitted.zero_size

    found, r, w, exact = with_rows_of(model, X, y, weight, work)
    total, zero = w.sum(), w[np.abs(r) <= exact].sum()
    order = np.argsort(np.abs(r), kind="stable")
    before = np.cumsum(w[order]) - w[order]
    count = np.ceil(total * bandwidth(tau, total)) + 1
    near = order[(before >= zero - 1e-6) & (before < zero + count - 1e-6)]
    near = near[np.argsort(r[near], kind="stable")]
    rank = zero + np.cumsum(w[near]) - 0.5 * (w[near] - 1.0)
    place = (rank / (total - size))[:, None]
    expected = QuantileRegressor(0.5).fit(place, r[near], w[near]).coef_[0]
    assert_allclose(found, expected, rtol=1e-10)


def test_no_more_rows_as_near_as_the_last_are_held_than_are_wanted():
    residual = np.array([3.0, -1.0, 1.0, 2.0, -1.0, 1.0, -1.0, 0.5])
    parts = [Nearest(3.5, part, np.ones(len(part))) for part in np.array_split(residual, 4)]
    found = sum(parts[1:], parts[0])
    assert_array_equal(found.wanted().residual, [0.5, -1.0, 1.0, -1.0])
    assert len((found + parts[1]).residual) == 4


def test_noise_of_residuals_far_from_0_keeps_its_digits(monkeypatch):
    """The squares of what they are off their mean, which sums of squares would lose."""
    X, _, weight = table(2)
    y = 1e6 + np.sin(np.arange(len(X)))
    model = QuantileRegressor(0.5, fit_intercept=False).fit(X, y, weight)

    def work(fitted):
        job = SumNoise(HalfSquared(), lambda block: y[fitted.kept][block.place], 0.0)
        return fitted.rows.sum(job), fitted.weight_unit

    noise, unit = with_rows_of(model, X, y, weight, work)
    mean = np.average(y, weights=weight)
    assert_allclose(noise.spread.mean, mean, rtol=1e-14)
    assert_allclose(unit * noise.spread.square, weight @ (y - mean) ** 2, rtol=1e-9)

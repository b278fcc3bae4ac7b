"""Rows of weight 0 in tables of several blocks: picked as a block is read, and never copied."""

import tracemalloc

import numpy as np
import pytest
from _cases import DEFAULTS, VARIANTS, clean, contaminated, in_turns
from sklearn.base import clone

from robustreg import HuberRegressor, L1Regressor, QuantileRegressor, SRegressor
from robustreg.evaluation.posed import Data
from robustreg.inference import infer
from robustreg.sources._array import ArraySource, Picked, taken

FITS = {
    **VARIANTS,
    "quantiles": QuantileRegressor([0.2, 0.7]),
    "s": SRegressor(n_subsamples=10, random_state=0),
}
N, P = 1_500, 50  # four blocks


def single(X):
    return X.astype(np.float32)


LAYOUTS = [np.ascontiguousarray, np.asfortranarray, single]


def some_weights(n, whole_blocks):
    """Zeros here and there; whole blocks without."""
    weight = np.resize([1.0, 0.5, 2.0, 7.0, 3.0], n)
    zeros = slice(10, 400, 3) if whole_blocks else slice(None, None, 3)
    weight[zeros] = 0.0
    return weight


@pytest.mark.parametrize(
    ("model", "layout", "whole_blocks"),
    in_turns(FITS, [(layout, part) for part in (False, True) for layout in LAYOUTS]),
)
def test_fits_have_the_digits_of_the_table_without_these_rows(model, layout, whole_blocks):
    X, y = contaminated(n=N, p=P)
    X, weight = layout(X), some_weights(N, whole_blocks)
    kept = weight > 0.0
    found = clone(model).fit(X, y, weight)
    expected = clone(model).fit(X[kept], y[kept], weight[kept])
    for what in ("coef_", "intercept_", "objective_"):
        np.testing.assert_allclose(getattr(found, what), getattr(expected, what), rtol=1e-11)
    np.testing.assert_allclose(found.weights_[..., kept], expected.weights_, rtol=1e-9)
    assert found.weights_.shape[-1] == len(y)


def test_residuals_of_rows_that_are_left_out():
    X, y = clean(n=N, p=P)
    y[::3] += np.resize([0.0, 50.0], len(y[::3]))
    model = HuberRegressor().fit(X, y, some_weights(N, False))
    z = (y - model.predict(X)) / model.scale_
    np.testing.assert_allclose(model.weights_, np.minimum(1.0, 1.345 / np.abs(z)), rtol=1e-9)
    np.testing.assert_array_equal(model.outliers_, np.abs(z) > 2.5)


@pytest.mark.parametrize("model", [HuberRegressor(), L1Regressor(), SRegressor(n_subsamples=10)])
def test_inference(model):
    X, y = contaminated(n=N, p=P)
    weight = some_weights(N, False)
    kept = weight > 0.0
    if isinstance(model, SRegressor):
        model.set_params(random_state=0)
    found = infer(model.fit(X, y, weight), X, y, weight)
    rows = X[kept], y[kept], weight[kept]
    expected = infer(clone(model).fit(*rows), *rows)
    np.testing.assert_allclose(found.standard_errors, expected.standard_errors, rtol=1e-9)


@pytest.mark.parametrize("name", ["l2", "huber", "m", "l1"])
def test_nothing_of_the_size_of_X_is_made(name):
    """Vectors of n numbers are 2 % of X each, and there are more of them than without weights."""
    X, y = clean(n=200_000, p=50)
    weight = np.ones(len(y))
    weight[::1000] = 0.0
    tracemalloc.start()
    try:
        DEFAULTS[name].fit(X, y, weight)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.7 * X.nbytes


def test_a_memory_map_is_read_by_blocks(tmp_path):
    table = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", shape=(N, P))
    table[:], y = contaminated(n=N, p=P)
    weight = some_weights(N, False)
    found = HuberRegressor().fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y, weight)
    np.testing.assert_array_equal(found.coef_, HuberRegressor().fit(table, y, weight).coef_)


def test_picked_rows():
    table, index = np.arange(40.0).reshape(20, 2), np.array([1, 2, 3, 7, 9, 10])
    picked = Picked(table, index)
    assert np.shares_memory(picked.read(slice(0, 3)), table)
    for part in (slice(0, 3), slice(2, 6), slice(3, 4)):
        np.testing.assert_array_equal(picked.read(part), table[index[part]])


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_a_source_hands_out_without_some_rows(order):
    table, kept = np.asarray(np.arange(60.0).reshape(20, 3), order=order), np.arange(0, 20, 2)
    y = np.arange(10.0)
    own, plain = ArraySource(table, y, None, 1, kept=kept), ArraySource(table[kept], y, None, 1)
    assert own.n == plain.n == 10
    np.testing.assert_array_equal(own.X, plain.X)
    np.testing.assert_array_equal(taken(table, kept), plain.X)
    for step in (1, 3):
        np.testing.assert_array_equal(own.every(step)[0], plain.every(step)[0])
    np.testing.assert_array_equal(own.some(5)[0], plain.some(5)[0])
    np.testing.assert_array_equal(own.columns([0, 2]), plain.columns([0, 2]))
    np.testing.assert_array_equal(Data.of(own).X, plain.X)

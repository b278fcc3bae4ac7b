"""Paths and searches over rows that are not in memory, against those over the same arrays."""

import numpy as np
import pytest
from _sources import Guarded
from numpy.testing import assert_allclose

from robustreg import huber_delta_path, huber_path, l1_path, quantile_path
from robustreg.sources import _surveyed

N = 3_000


def table(kind="plain"):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    y = X @ [1.0, 0.0, 2.0, 0.0] + rng.standard_t(3, size=N)
    weight = None
    if kind == "weights":
        weight = np.resize([1.0, 0.0, 2.5, 0.5], N)
    if kind == "ties":
        y[rng.random(N) < 0.4] = 0.0
        y = y.round(1)
    if kind == "far":
        X = X * [1.0, 100.0, 1e-3, 1.0] + 1e4
    return X, y, weight


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 500)


PATHS = {
    "huber": (huber_path, {"n_alphas": 5, "eps": 0.1}),
    "huber-ridge": (huber_path, {"alphas": [0.0, 0.1, 1.0], "l1_ratio": 0.0, "scale": "mad"}),
    "huber-positive": (huber_path, {"n_alphas": 4, "eps": 0.1, "positive": True}),
    "l1": (l1_path, {"n_alphas": 4, "eps": 0.1, "l1_ratio": 0.5}),
    "quantile": (quantile_path, {"n_alphas": 4, "eps": 0.1, "quantile": 0.8}),
    "huber-delta": (huber_delta_path, {"deltas": [0.5, 1.345, 3.0]}),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("huber", "plain"),
        ("huber", "weights"),
        ("huber-ridge", "far"),
        ("huber-positive", "ties"),
        ("l1", "ties"),
        ("quantile", "weights"),
        ("quantile", "far"),
        ("huber-delta", "plain"),
    ],
)
def test_paths_are_those_of_the_arrays(name, kind):
    path, options = PATHS[name]
    X, y, weight = table(kind)
    source = Guarded(X, y, weight, edges=(1, 1_000))
    found = path(source, **options)
    expected = path(X, y, sample_weight=weight, **options)
    assert source.passes > 1
    assert_allclose(found[0], expected[0], rtol=1e-12)
    spread = np.std(X, axis=0)[:, None]
    near = {"rtol": 0, "atol": 1e-9 * expected.scales.max()}
    assert_allclose(found.coefs[:, 1:] * spread, expected.coefs[:, 1:] * spread, **near)
    assert_allclose(found.scales[1:], expected.scales[1:], rtol=1e-8)


def test_half_of_the_targets_alike_have_no_grid(monkeypatch):
    """The rows on the null fit, which are to be looked at, are too many to come back."""
    monkeypatch.setattr("robustreg.solvers.null_fit.MOST_ON", 100)
    X, y, _ = table("ties")
    with pytest.raises(ValueError, match="needs all rows at once"):
        l1_path(Guarded(X, y, edges=(1_000,)))

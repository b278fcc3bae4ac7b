"""Paths and searches over rows that are not in memory, against those over the same arrays."""

import numpy as np
import pandas as pd
import pytest
from _sources import Guarded
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, ShuffleSplit

from robustreg import (
    HuberRegressorCV,
    L1RegressorCV,
    QuantileRegressorCV,
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
)
from robustreg.metrics import get_scorer
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


SEARCHES = {
    "huber": HuberRegressorCV(deltas=[1.0, 2.0], cv=3),
    "huber-lasso": HuberRegressorCV(deltas=[1.345], alphas=4, eps=0.1, l1_ratio=1.0, cv=2),
    "l1": L1RegressorCV(alphas=3, eps=0.1, l1_ratio=0.5, cv=ShuffleSplit(2, random_state=0)),
    "quantile": QuantileRegressorCV(0.8, alphas=[0.0, 0.1], l1_ratio=0.5, cv=2),
}


@pytest.mark.parametrize(
    ("name", "kind", "scoring"),
    [
        ("huber", "plain", "neg_mean_absolute_error"),
        ("huber", "weights", None),
        ("huber-lasso", "weights", "neg_root_mean_squared_error"),
        ("l1", "far", get_scorer("neg_mean_huber_loss", delta=2.0)),
        ("quantile", "weights", "pinball"),
        ("quantile", "ties", "r2"),
    ],
)
def test_searches_are_those_of_the_arrays(name, kind, scoring):
    X, y, weight = table(kind)
    model = clone(SEARCHES[name]).set_params(scoring=scoring)
    expected = clone(model).fit(X, y, weight)
    model.fit(X[:50], y[:50])  # what it has of each row is forgotten
    source = Guarded(X, y, weight, edges=(1, 1, 1_001), names=list("abcd"))
    found = model.fit(source)
    assert found.n_passes_ == source.passes
    # at its largest alpha a fold of least absolute deviations may have several optima
    first = 1 if name == "l1" else 0
    assert_allclose(found.scores_path_[first:], expected.scores_path_[first:], rtol=1e-8)
    assert_allclose(found.alphas_, expected.alphas_, rtol=1e-12)
    assert found.alpha_ == pytest.approx(expected.alpha_, rel=1e-12)
    assert getattr(found, "delta_", 1.0) == getattr(expected, "delta_", 1.0)
    near = {"rtol": 0, "atol": 1e-9 * expected.scale_}
    assert_allclose(found.coef_ * X.std(axis=0), expected.coef_ * X.std(axis=0), **near)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-8)
    assert list(found.feature_names_in_) == list("abcd")
    assert not {"weights_", "outliers_"} & vars(found).keys()
    predicted = found.predict(pd.DataFrame(X, columns=list("abcd")))
    assert_allclose(predicted, expected.predict(X), rtol=1e-8, atol=1e-8)
    assert not hasattr(found.fit(X[:50], y[:50]), "n_passes_")


def test_folds_are_those_of_a_splitter():
    X, y, _ = table()
    groups = np.arange(N) % 7
    source = Guarded(X, y, edges=(5, 77, 1_000))
    for cv, params in (
        (GroupKFold(3), {"groups": groups}),
        ([(np.arange(0, N, 2), np.arange(1, N, 2)), (np.arange(N) > 2_000, [1, 5, 9])], {}),
    ):
        model = HuberRegressorCV(deltas=[1.345], cv=cv)
        expected = clone(model).fit(X, y, **params).scores_path_
        assert_allclose(model.fit(source, **params).scores_path_, expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("parameters", "weight", "message"),
    [
        ({"scoring": "neg_median_absolute_error"}, None, "needs the predictions of all held-out"),
        ({"scoring": lambda *_: 1.0}, None, "needs the predictions of all held-out"),
        ({"cv": [([0, 0, 1], [2])]}, None, "names a row more than once"),
        ({"cv": [([0, 1], [])]}, None, "cv must give one or more folds"),
        ({"cv": 2}, np.arange(N) < N // 2, "no rows of positive weight(?s:.*)rows of fold 0"),
        (
            {"cv": [(np.arange(1_500), np.arange(1_500, N))]},
            np.arange(N) < N // 2,
            "zero on all held-out rows of fold 0",
        ),
    ],
)
def test_what_a_search_over_a_source_refuses(parameters, weight, message):
    X, y, _ = table()
    weight = None if weight is None else weight.astype(float)
    model = HuberRegressorCV(deltas=[1.345], **parameters)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(Guarded(X, y, weight, edges=(1_000,)))
    assert vars(model) == before

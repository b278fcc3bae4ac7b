"""CVCurveDisplay: what is drawn are the scores."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, median_absolute_error
from sklearn.model_selection import KFold, ShuffleSplit

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1RegressorCV,
    QuantileRegressorCV,
)
from robustreg.plotting import CVCurveDisplay

plt = pytest.importorskip("matplotlib.pyplot")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 4)) * [1.0, 10.0, 0.1, 1.0]
Y = X @ [2.0, -0.3, 5.0, 0.0] + RNG.standard_t(2, size=60)
ALPHAS = [0.3, 0.1, 0.03]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search():
    return HuberRegressorCV([0.5, 1.0, 2.0], alphas=ALPHAS, l1_ratio=1.0, cv=4).fit(X, Y)


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_curve_of_one_penalty():
    model = L1RegressorCV(alphas=ALPHAS, cv=4).fit(X, Y)
    display = CVCurveDisplay.from_estimator(model)
    scores = model.scores_path_
    (line,) = display.lines_
    assert_array_equal(line.get_xdata(), model.alphas_)
    assert_allclose(line.get_ydata(), scores.mean(axis=1), rtol=1e-12)
    assert_array_equal(display.best_.get_xdata(), model.alpha_)
    assert_allclose(display.best_.get_ydata(), model.best_score_, rtol=1e-12)
    error = scores.std(axis=1, ddof=1) / 2.0
    ends = scores.mean(axis=1) + [[-1.0], [1.0]] * error
    points = display.band_.get_paths()[0].vertices
    for alpha, low, high in zip(model.alphas_, *ends, strict=True):
        heights = points[points[:, 0] == alpha, 1]
        assert (heights.min(), heights.max()) == pytest.approx((low, high))
    assert display.image_ is None
    assert display.ax_.get_legend() is None
    assert display.ax_.get_title() == f"best: alpha = {model.alpha_:.4g}"
    assert display.ax_.get_ylabel() == "negative mean absolute error, mean of 4 folds"
    left, right = display.ax_.get_xlim()
    assert left > right
    display.figure_.canvas.draw()


def test_curve_over_delta_where_there_is_one_alpha():
    model = HuberRegressorCV([0.5, 1.0, 2.0], cv=3, scoring=None).fit(X, Y)
    display = CVCurveDisplay.from_estimator(model)
    (line,) = display.lines_
    assert_array_equal(line.get_xdata(), model.deltas_)
    assert_allclose(line.get_ydata(), model.scores_path_[:, 0].mean(axis=1), rtol=1e-12)
    assert_array_equal(display.best_.get_xdata(), model.delta_)
    assert display.ax_.get_xlabel() == "delta"
    assert display.ax_.get_ylabel() == "R squared, mean of 3 folds"
    display.figure_.canvas.draw()


def test_a_curve_for_each_delta(search):
    display = CVCurveDisplay.from_estimator(search, kind="curve")
    assert len(display.lines_) == 3
    for line, scores in zip(display.lines_, search.scores_path_, strict=True):
        assert_allclose(line.get_ydata(), scores.mean(axis=1), rtol=1e-12)
    assert legend_of(display) == ["delta = 0.5", "delta = 1", "delta = 2"]
    assert_allclose(display.best_.get_xydata()[0], [search.alpha_, search.best_score_])
    best = list(search.deltas_).index(search.delta_)
    color = display.lines_[best].get_color()
    assert_array_equal(display.band_.get_facecolor()[0, :3], color[:3])


def test_heat_map(search):
    display = CVCurveDisplay.from_estimator(search)
    assert (display.lines_, display.band_) == ([], None)
    means = search.scores_path_.mean(axis=-1)
    assert_array_equal(display.image_.get_array(), means)
    column, row = display.best_.get_xydata()[0].astype(int)
    assert (search.deltas_[row], search.alphas_[column]) == (search.delta_, search.alpha_)
    assert means[row, column] == search.best_score_
    shown = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert shown == ["0.5", "1", "2"]
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0.3", "0.1", "0.03"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("alpha", "delta")
    bar = display.image_.colorbar.ax
    assert bar.get_ylabel() == "negative mean absolute error, mean of 4 folds"
    display.figure_.canvas.draw()


def test_long_grids_have_few_ticks():
    alphas = np.geomspace(1.0, 0.01, 50)
    scores = RNG.normal(size=(2, 50, 3))
    display = CVCurveDisplay(scores, alphas, deltas=[1.0, 2.0], alpha=alphas[7], delta=2.0).plot()
    ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert (len(ticks), ticks[0], ticks[-1]) == (6, "1", "0.01")
    assert_array_equal(display.best_.get_xydata(), [[7.0, 1.0]])


@pytest.mark.parametrize("kind", ["curve", "heatmap"])
def test_scores_that_are_not_finite(kind):
    scores = np.array([[[1.0, 2.0], [-np.inf, 1.0]], [[np.nan, 1.0], [0.0, 1.0]]])
    display = CVCurveDisplay(scores, [1.0, 0.0], deltas=[1.0, 2.0], alpha=1.0, delta=1.0)
    display.plot(kind=kind).figure_.canvas.draw()


def test_one_fold_has_no_band():
    model = QuantileRegressorCV(0.7, alphas=ALPHAS, cv=ShuffleSplit(1, random_state=0)).fit(X, Y)
    display = CVCurveDisplay.from_estimator(model)
    assert display.band_ is None
    assert display.ax_.get_ylabel() == "pinball, mean of 1 folds"


@pytest.mark.parametrize(
    ("scoring", "name"),
    [
        ("r2", "r2"),
        (make_scorer(median_absolute_error, greater_is_better=False), "make_scorer(median_abs"),
        (lambda model, X, y: model.coef_[0], "<lambda>"),
    ],
)
def test_score_name(scoring, name):
    model = HuberRegressorCV([1.0], alphas=ALPHAS, cv=KFold(2), scoring=scoring).fit(X, Y)
    figure, axes = plt.subplots()
    display = CVCurveDisplay.from_estimator(model, ax=axes)
    assert display.ax_ is axes
    assert display.figure_ is figure
    assert axes.get_ylabel().startswith(name)


def test_curve_of_bad_arguments(search):
    with pytest.raises(NotFittedError):
        CVCurveDisplay.from_estimator(HuberRegressorCV())
    with pytest.raises(TypeError, match=r"must be a HuberRegressorCV.* got HuberRegressor"):
        CVCurveDisplay.from_estimator(HuberRegressor())
    with pytest.raises(ValueError, match=r"kind must be .* got 'map'"):
        CVCurveDisplay.from_estimator(search, kind="map")
    model = L1RegressorCV(alphas=ALPHAS, cv=2).fit(X, Y)
    with pytest.raises(ValueError, match="needs deltas besides alphas"):
        CVCurveDisplay.from_estimator(model, kind="heatmap")
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 3.0}, "alpha must be one of alphas, got 3.0"),
        ({"alpha": 1.0, "deltas": [1.0]}, r"scores must be of shape \(1, 2\) and the .* \(2, 3\)"),
        ({"alpha": 1.0, "scores": np.zeros((1, 2, 3)), "deltas": [1.0]}, "one of deltas, got None"),
    ],
)
def test_bad_scores(options, message):
    with pytest.raises(ValueError, match=message):
        CVCurveDisplay(**{"scores": np.zeros((2, 3)), "alphas": [1.0, 2.0], **options})


def test_without_matplotlib_the_message_says_what_to_install(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install robustreg\[plot\]"):
        CVCurveDisplay.from_estimator(search)

"""CoefficientPathDisplay: what is drawn are the fits."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
    QuantileRegressorCV,
    huber_delta_path,
    huber_path,
    l1_path,
)
from robustreg.plotting import CoefficientPathDisplay

plt = pytest.importorskip("matplotlib.pyplot")

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 4)) * [1.0, 10.0, 0.1, 1.0]
Y = X @ [2.0, -0.3, 5.0, 0.0] + RNG.standard_t(2, size=60)
WEIGHT = np.arange(60) % 4.0
ALPHAS = [0.3, 0.1, 0.03]
PENALISED = [
    HuberRegressor(0.8, l1_ratio=1.0),
    HuberRegressor(l1_ratio=0.5, scale="mad", fit_intercept=False),
    L1Regressor(l1_ratio=1.0),
    L2Regressor(l1_ratio=1.0, positive=True),
    MRegressor("log_cosh", l1_ratio=0.7),
    QuantileRegressor(0.8, l1_ratio=1.0),
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def search():
    return HuberRegressorCV([0.5, 1.0, 2.0], alphas=ALPHAS, l1_ratio=1.0, cv=4).fit(X, Y)


def assert_drawn(display, grid, coefs):
    """The curves are these, and the figure can be rendered."""
    assert len(display.lines_) == len(coefs)
    for line, coef in zip(display.lines_, coefs, strict=True):
        assert_array_equal(line.get_xdata(), grid)
        assert_array_equal(line.get_ydata(), coef)
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


@pytest.mark.parametrize("estimator", PENALISED, ids=repr)
def test_path_over_alpha_shows_the_estimators_own_fits(estimator):
    before = vars(estimator).copy()
    display = CoefficientPathDisplay.from_estimator(
        estimator, X, Y, alphas=ALPHAS, sample_weight=WEIGHT
    )
    assert vars(estimator) == before
    fits = [type(estimator)(**{**before, "alpha": alpha}).fit(X, Y, WEIGHT) for alpha in ALPHAS]
    assert_drawn(display, display.grid, display.coefs)
    assert_array_equal(display.grid, ALPHAS)
    assert_allclose(display.coefs, np.array([fit.coef_ for fit in fits]).T, atol=1e-5)
    assert display.ax_.get_xscale() == "log"
    left, right = display.ax_.get_xlim()
    assert left > right
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("alpha", "coefficient")
    assert display.chosen_ is None


@pytest.mark.parametrize(
    ("kind", "compute"), [(HuberRegressor, huber_path), (L1Regressor, l1_path)]
)
def test_default_grid_and_its_parameters(kind, compute):
    model = kind(l1_ratio=1.0)
    display = CoefficientPathDisplay.from_estimator(model, X, Y, n_alphas=7, eps=0.1)
    path = compute(X, Y, n_alphas=7, eps=0.1)
    assert_drawn(display, path.alphas, path.coefs)
    assert len(CoefficientPathDisplay.from_estimator(model, X, Y).grid) == 100


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_path_over_delta(ridge):
    model = HuberRegressor(2.0, alpha=ridge)
    display = CoefficientPathDisplay.from_estimator(
        model, X, Y, over="delta", deltas=[3.0, 0.5], sample_weight=WEIGHT
    )
    path = huber_delta_path(X, Y, deltas=[0.5, 3.0], alpha=ridge, sample_weight=WEIGHT)
    assert_drawn(display, path.deltas, path.coefs)
    assert display.ax_.get_xlabel() == "delta"
    left, right = display.ax_.get_xlim()
    assert left < right
    assert_array_equal(display.chosen_.get_xdata(), 2.0)
    default = CoefficientPathDisplay.from_estimator(model, X, Y, over="delta")
    assert default.grid[[0, -1]] == pytest.approx([0.1, 5.0])


def test_own_alpha_is_marked():
    model = L1Regressor(alpha=0.123456, l1_ratio=1.0)
    display = CoefficientPathDisplay.from_estimator(model, X, Y, alphas=ALPHAS)
    assert_array_equal(display.chosen_.get_xdata(), 0.123456)
    assert legend_of(display)[-1] == "alpha = 0.1235"


def test_delta_from_the_data():
    model = HuberRegressor("auto", l1_ratio=1.0, alpha=0.1).fit(X, Y)
    display = CoefficientPathDisplay.from_estimator(model, X, Y, alphas=[0.1])
    assert_allclose(display.coefs[:, 0], model.coef_, atol=1e-5)
    over_delta = CoefficientPathDisplay.from_estimator(model, X, Y, over="delta", deltas=[1.0])
    assert over_delta.chosen == model.delta_
    unfitted = HuberRegressor("auto")
    assert CoefficientPathDisplay.from_estimator(unfitted, X, Y, over="delta").chosen is None
    with pytest.raises(NotFittedError, match="delta='auto' has a path only after fit"):
        CoefficientPathDisplay.from_estimator(unfitted, X, Y, alphas=ALPHAS)


@pytest.mark.parametrize("over", ["alpha", "delta"])
def test_path_of_a_search_spans_its_range_and_marks_its_choice(search, over):
    before = vars(search).copy()
    display = CoefficientPathDisplay.from_estimator(search, X, Y, over=over)
    assert vars(search) == before
    low, high = {"alpha": (0.03, 0.3), "delta": (0.5, 2.0)}[over]
    assert (display.grid.min(), display.grid.max()) == (low, high)
    assert display.chosen == getattr(search, f"{over}_")
    chosen = CoefficientPathDisplay.from_estimator(
        search, X, Y, over=over, **{f"{over}s": [display.chosen]}
    )
    assert_allclose(chosen.coefs[:, 0], search.coef_, atol=1e-5)


@pytest.mark.parametrize("kind", [L1RegressorCV, QuantileRegressorCV])
def test_path_of_other_searches(kind):
    model = kind(alphas=ALPHAS, cv=3).fit(X, Y)
    display = CoefficientPathDisplay.from_estimator(model, X, Y, alphas=[model.alpha_])
    assert_allclose(display.coefs[:, 0], model.coef_, atol=1e-5)
    assert display.chosen == model.alpha_


def test_search_of_one_alpha_has_no_range():
    model = HuberRegressorCV([1.0, 2.0], cv=3).fit(X, Y)
    with pytest.raises(ValueError, match="alphas must be given for l1_ratio=0"):
        CoefficientPathDisplay.from_estimator(model, X, Y)
    display = CoefficientPathDisplay.from_estimator(model, X, Y, over="delta")
    assert (display.grid.min(), display.grid.max()) == (1.0, 2.0)


def test_names_and_their_order():
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    display = CoefficientPathDisplay.from_estimator(PENALISED[0], table, Y, alphas=ALPHAS)
    ends = display.coefs[:, -1]
    assert legend_of(display) == ["abcd"[j] for j in np.argsort(-ends, kind="stable")]
    assert display.feature_names == ["a", "b", "c", "d"]
    renamed = CoefficientPathDisplay.from_estimator(
        PENALISED[0], table, Y, alphas=ALPHAS, feature_names=["p", "q", "r", "s"]
    )
    assert renamed.feature_names == ["p", "q", "r", "s"]
    nameless = CoefficientPathDisplay.from_estimator(PENALISED[0], X, Y, alphas=ALPHAS)
    assert nameless.feature_names == ["x0", "x1", "x2", "x3"]


def test_ten_largest_coefficients_have_names():
    coefs = np.arange(1.0, 16.0)[:, None] * [-1.0, -0.5]
    display = CoefficientPathDisplay([1.0, 2.0], coefs, over="delta").plot()
    assert legend_of(display) == [f"x{j}" for j in range(5, 15)]
    assert len({line.get_color() for line in display.lines_[5:]}) == 10
    assert {line.get_color() for line in display.lines_[:5]} == {"0.75"}


def test_names_are_drawn_as_they_are():
    names = [r"$x_$", r"\frac{"]
    display = CoefficientPathDisplay([1.0, 2.0], np.eye(2), over="delta", feature_names=names)
    display.plot().figure_.canvas.draw()
    assert set(legend_of(display)) == set(names)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.coo_matrix])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_standardized_coefficients(container, weight):
    options = {"over": "delta", "deltas": [1.0], "sample_weight": weight}
    raw = CoefficientPathDisplay.from_estimator(HuberRegressor(), container(X), Y, **options)
    display = CoefficientPathDisplay.from_estimator(
        HuberRegressor(), container(X), Y, standardize=True, **options
    )
    centred = X - np.average(X, axis=0, weights=weight)
    spread = np.sqrt(np.average(centred**2, axis=0, weights=weight))
    assert_allclose(display.coefs[:, 0], raw.coefs[:, 0] * spread, rtol=1e-9)
    assert display.ax_.get_ylabel() == "coefficient x standard deviation"


@pytest.mark.parametrize(
    ("alphas", "scale"), [([1.0, 0.1, 0.0], "symlog"), ([0.0], "linear"), ([0.1], "log")]
)
def test_zero_has_a_place_on_the_axis(alphas, scale):
    display = CoefficientPathDisplay.from_estimator(HuberRegressor(), X, Y, alphas=alphas)
    assert display.ax_.get_xscale() == scale
    assert_drawn(display, alphas, display.coefs)
    pixels = display.ax_.transData.transform(np.column_stack([alphas, np.zeros(len(alphas))]))
    inside = display.ax_.get_window_extent()
    assert (pixels[:, 0] > inside.x0).all()
    assert (pixels[:, 0] < inside.x1).all()
    assert (np.diff(pixels[:, 0]) > 10).all()
    # a single point would be invisible as a line
    assert {line.get_marker() for line in display.lines_} == {"o" if len(alphas) == 1 else ""}


@pytest.mark.parametrize(
    ("table", "target"),
    [
        (X, np.full(60, 3.0)),
        (X, np.zeros(60)),
        (np.zeros((60, 2)), Y),
        (X[:1], Y[:1]),
        (X.astype(np.float32), Y),
        (X * [1e-12, 1e12, 1.0, 1e-6], Y * 1e-9),
    ],
    ids=["constant", "zero", "no-columns", "one-row", "float32", "scales"],
)
@pytest.mark.parametrize("over", ["alpha", "delta"])
def test_awkward_tables(table, target, over):
    model = HuberRegressor(l1_ratio=1.0)
    display = CoefficientPathDisplay.from_estimator(
        model, table, target, over=over, n_alphas=5, standardize=True
    )
    assert_drawn(display, display.grid, display.coefs)


@pytest.mark.parametrize("over", ["alpha", "delta"])
def test_path_that_has_been_computed(over):
    path = huber_path(X, Y, n_alphas=5) if over == "alpha" else huber_delta_path(X, Y, n_deltas=5)
    display = CoefficientPathDisplay.from_path(path, feature_names=list("abcd"), lw=3.0)
    assert display.over == display.ax_.get_xlabel() == over
    assert_drawn(display, path[0], path.coefs)
    assert {line.get_linewidth() for line in display.lines_} == {3.0}
    assert set(legend_of(display)) == set("abcd")


def test_own_axes():
    figure, axes = plt.subplots()
    display = CoefficientPathDisplay.from_path(huber_path(X, Y, n_alphas=5), ax=axes)
    again = display.plot(axes)
    assert again is display
    assert display.ax_ is axes
    assert display.figure_ is figure
    assert len(legend_of(display)) == 4
    left, right = axes.get_xlim()
    assert left > right


def test_properties_by_their_short_names_reach_grey_lines_too():
    display = CoefficientPathDisplay([1.0, 2.0], np.eye(12, 2)).plot(lw=3.0, c="k")
    assert {line.get_linewidth() for line in display.lines_} == {3.0}
    assert {line.get_color() for line in display.lines_} == {"k"}


@pytest.mark.parametrize(
    ("estimator", "options", "error", "message"),
    [
        (HuberRegressor(), {"over": "lambda"}, ValueError, "over must be .* got 'lambda'"),
        (L1Regressor(), {"over": "delta"}, ValueError, "needs a HuberRegressor .* L1Regressor"),
        (L1RegressorCV(), {}, NotFittedError, "not fitted"),
        (StandardScaler(), {}, TypeError, "estimator must be .* got StandardScaler"),
        (make_pipeline(HuberRegressor()), {}, TypeError, "estimator must be .* got Pipeline"),
        (QuantileRegressor([0.1, 0.9]), {}, ValueError, r"quantile must be one .*\[0.1, 0.9\]"),
        (HuberRegressor(-1.0), {}, ValueError, "'delta' parameter"),
        (HuberRegressor(alpha="a"), {}, ValueError, "'alpha' parameter"),
        (HuberRegressor(), {}, ValueError, "alphas must be given for l1_ratio=0"),
        (HuberRegressor(), {"alphas": [-1.0]}, ValueError, "alphas must be a sequence"),
        (
            HuberRegressorCV(alphas=ALPHAS, cv=2).fit(X, Y),
            {"n_alphas": 0},
            ValueError,
            "n_alphas must be",
        ),
        (HuberRegressor(), {"deltas": [1.0]}, ValueError, "deltas must be None for over='alpha'"),
        (
            HuberRegressor(),
            {"alphas": [1.0], "over": "delta"},
            ValueError,
            "alphas must be None for over='delta'",
        ),
    ],
)
def test_path_of_bad_arguments(estimator, options, error, message):
    with pytest.raises(error, match=message):
        CoefficientPathDisplay.from_estimator(estimator, X, Y, **options)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0], [[1.0, 2.0]]), {}, r"coefs must be of shape .* got \(1, 2\) and \(1,\)"),
        (([1.0], [1.0]), {}, "coefs must be of shape"),
        (([[1.0]], [[1.0]]), {}, "coefs must be of shape"),
        (([1.0], [[1.0]]), {"over": "x"}, "over must be"),
        (([1.0], [[1.0]]), {"feature_names": ["a", "b"]}, "must hold 1 names, got 2"),
    ],
)
def test_bad_paths(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        CoefficientPathDisplay(*arguments, **options)


def test_path_of_another_type():
    with pytest.raises(TypeError, match="path must be an AlphaPath or a DeltaPath, got tuple"):
        CoefficientPathDisplay.from_path(([1.0], [[1.0]]))


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install robustreg\[plot\]"):
        CoefficientPathDisplay.from_path(huber_path(X, Y, n_alphas=3))

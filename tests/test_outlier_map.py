"""OutlierMapDisplay: which region each row is in, and that this is what is drawn."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import chi2
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import HuberRegressor, L1Regressor, L2Regressor, QuantileRegressor
from robustreg.datasets import load_stars_cyg
from robustreg.diagnostics import robust_distances
from robustreg.plotting import OutlierMapDisplay

plt = pytest.importorskip("matplotlib.pyplot")

REGIONS = ("regular observation", "vertical outlier", "good leverage point", "bad leverage point")
RNG = np.random.default_rng(7)
X = RNG.normal(size=(80, 2))
X[:4] = [[9.0, 0.0], [0.0, 9.0], [9.0, 9.0], [-8.0, 8.0]]
Y = X @ [1.0, -1.0] + RNG.normal(scale=0.2, size=80)
Y[10:13] += [2.0, -3.0, 4.0]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def drawn(display, region):
    return display.points_[region].get_xydata()


# ---- regions


def test_four_regions():
    cutoff = np.sqrt(chi2.ppf(0.975, 3))
    residuals = np.array([0.0, 2.5, 2.6, -2.6, 2.4, -9.0, np.inf, -np.inf, 0.0])
    distances = np.array([0.0, cutoff, 1.0, 0.0, 9.0, 9.0, 0.0, np.inf, np.inf])
    display = OutlierMapDisplay(residuals, distances, 3)
    assert display.distance_cutoff == pytest.approx(cutoff)
    assert display.residual_cutoff == 2.5
    expected = [REGIONS[k] for k in (0, 0, 1, 1, 2, 3, 1, 3, 2)]
    assert_array_equal(display.regions, expected)


def test_residuals_and_distances_of_an_estimator():
    model = HuberRegressor().fit(X, Y)
    display = OutlierMapDisplay.from_estimator(model, X, Y)
    assert_allclose(display.residuals, (Y - model.predict(X)) / model.scale_)
    assert_array_equal(display.distances, robust_distances(X))
    assert_array_equal(np.abs(display.residuals) > 2.5, model.outliers_)
    assert display.n_dimensions == 2
    assert_array_equal(display.regions[:4], REGIONS[2])
    assert_array_equal(display.regions[10:13], REGIONS[1])


def test_options_of_the_distances():
    rows, target = np.tile(X, (5, 1)) + RNG.normal(scale=0.1, size=(400, 2)), np.tile(Y, 5)
    options = {"support_fraction": 0.8, "max_samples": 100, "random_state": 2}
    model = L1Regressor().fit(rows, target)
    display = OutlierMapDisplay.from_estimator(model, rows, target, **options)
    assert_array_equal(display.distances, robust_distances(rows, **options))


def test_columns_left_out_reduce_the_degrees_of_freedom():
    wide = np.column_stack([X, X[:, 0], np.ones(80), np.arange(80) % 2])
    display = OutlierMapDisplay.from_estimator(HuberRegressor().fit(wide, Y), wide, Y)
    assert display.n_dimensions == 2
    assert display.distance_cutoff == pytest.approx(np.sqrt(chi2.ppf(0.975, 2)))


def test_the_giants_fool_least_squares():
    stars = load_stars_cyg(as_frame=True)
    fooled = L2Regressor().fit(stars.data, stars.target)
    display = OutlierMapDisplay.from_estimator(fooled, stars.data, stars.target)
    giants = [10, 19, 29, 33]
    assert_array_equal(display.regions[giants], REGIONS[2])
    others = ~np.isin(np.arange(47), giants)
    robust = HuberRegressor().fit(stars.data[others], stars.target[others])
    display = OutlierMapDisplay.from_estimator(robust, stars.data, stars.target)
    assert_array_equal(display.regions[giants], REGIONS[3])


def test_estimator_of_scikit_learn():
    model = SklearnHuber().fit(X, Y)
    display = OutlierMapDisplay.from_estimator(model, X, Y)
    assert_allclose(display.residuals, (Y - model.predict(X)) / model.scale_)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_exact_fit(offset):
    target = offset + X @ [1.0, 2.0]
    target[[5, 6]] += [0.01, -3.0]
    model = L1Regressor().fit(X, target)
    assert model.scale_ == 0.0
    display = OutlierMapDisplay.from_estimator(model, X, target)
    assert_array_equal(display.residuals[[5, 6]], [np.inf, -np.inf])
    assert np.count_nonzero(display.residuals) == 2
    assert_array_equal(np.isinf(display.residuals), model.outliers_)
    assert "infinite" in display.ax_.get_ylabel()
    assert "infinite" not in display.ax_.get_xlabel()
    display.figure_.canvas.draw()


# ---- what is drawn


def test_points_and_cutoffs():
    display = OutlierMapDisplay.from_estimator(HuberRegressor().fit(X, Y), X, Y)
    assert list(display.points_) == list(REGIONS)
    for region in REGIONS:
        rows = display.regions == region
        expected = np.column_stack([display.distances[rows], display.residuals[rows]])
        assert_allclose(drawn(display, region), expected)
    heights = [line.get_ydata()[0] for line in display.cutoffs_[:2]]
    assert heights == [-2.5, 2.5]
    assert display.cutoffs_[2].get_xdata()[0] == display.distance_cutoff
    assert display.ax_.get_xlabel() == "robust distance"
    assert display.ax_.get_ylabel() == "residual / scale"
    assert display.ax_.get_xlim()[0] == 0.0
    assert display.figure_ is display.ax_.figure
    display.figure_.canvas.draw()


def test_regions_are_named_and_told_apart_without_colour():
    display = OutlierMapDisplay([0.0, 1.0, 5.0], [1.0, 0.5, 9.0], 2).plot()
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    counts = [2, 0, 0, 1]
    assert texts == [f"{name}s: {count}" for name, count in zip(REGIONS, counts, strict=True)]
    markers = [points.get_marker() for points in display.points_.values()]
    assert len(set(markers)) == 4


def test_infinite_values_are_at_the_edge():
    display = OutlierMapDisplay(
        [0.0, 5.0, -np.inf, np.inf], [np.inf, 1.0, 8.0, np.inf], 2, names="abcd"
    ).plot()
    for region in REGIONS:
        assert np.isfinite(drawn(display, region)).all()
    assert drawn(display, REGIONS[2])[0, 0] > 8.0
    bad = drawn(display, REGIONS[3])
    assert bad[0, 1] < -5.0
    assert bad[1, 1] > 5.0
    assert "infinite" in display.ax_.get_xlabel()
    assert "infinite" in display.ax_.get_ylabel()
    display.figure_.canvas.draw()


def test_nothing_is_finite():
    OutlierMapDisplay([np.inf, -np.inf], [np.inf, np.inf], 1).plot().figure_.canvas.draw()


@pytest.mark.parametrize(
    ("residual", "distance", "scales"),
    [
        (3.0, 9.0, ("linear", "linear")),
        (3.0, 900.0, ("symlog", "linear")),
        (-1e4, 9.0, ("linear", "symlog")),
        (1e29, 1e29, ("symlog", "symlog")),
        (1e300, 1e100, ("linear", "linear")),
        (np.inf, np.inf, ("linear", "linear")),
    ],
)
def test_far_points_make_an_axis_logarithmic(residual, distance, scales):
    display = OutlierMapDisplay([0.0, residual], [0.0, distance], 2).plot()
    assert (display.ax_.get_xscale(), display.ax_.get_yscale()) == scales
    display.figure_.canvas.draw()


def test_style_and_axes():
    figure, axes = plt.subplots()
    display = OutlierMapDisplay([0.0, 9.0], [0.0, 0.0], 2).plot(axes, ms=11.0, alpha=0.5)
    assert display.ax_ is axes
    assert display.figure_ is figure
    for points in display.points_.values():
        assert (points.get_markersize(), points.get_alpha()) == (11.0, 0.5)


# ---- names


def test_the_most_extreme_rows_are_labelled():
    residuals = [0.0, 100.0, -200.0, 5.0, 1.0, 2.4]
    distances = [0.0, 1.0, 2.0, 1.0, 50.0, 0.0]
    display = OutlierMapDisplay(residuals, distances, 2)
    assert list(display.plot(n_labels=3).labels_) == [2, 1, 4]
    labels = display.plot(n_labels=10).labels_
    assert list(labels) == [2, 1, 4, 3]
    assert [label.get_text() for label in labels.values()] == ["2", "1", "4", "3"]
    assert labels[2].xy == (2.0, -200.0)
    assert display.plot(n_labels=0).labels_ == {}


def test_between_two_infinite_residuals_the_distance_decides():
    display = OutlierMapDisplay([np.inf, -np.inf, 0.0], [1.0, 5.0, 0.0], 2).plot(n_labels=2)
    assert list(display.labels_) == [1, 0]


def test_index_of_a_frame_names_the_rows():
    names = [f"row {i}" for i in range(80)]
    frame = pd.DataFrame(X, index=names, columns=["a", "b"])
    display = OutlierMapDisplay.from_estimator(
        HuberRegressor().fit(frame, Y), frame, pd.Series(Y, index=names), n_labels=2
    )
    assert display.names == names
    for row, label in display.labels_.items():
        assert label.get_text() == f"row {row}"


def test_list_has_no_names():
    model = HuberRegressor().fit(X, Y)
    display = OutlierMapDisplay.from_estimator(model, X.tolist(), Y.tolist())
    assert display.names == list(range(80))


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, np.nan], [1.0, 1.0], 2), "residuals must hold at least one number, and no NaN"),
        (([0.0, 1.0], [1.0, np.nan], 2), "distances must hold at least one number, and no NaN"),
        (([], [], 2), "at least one number"),
        (([0.0, 1.0], [1.0, -1.0], 2), "distances must not be negative"),
        (([0.0, 1.0], [1.0], 2), "inconsistent numbers of samples"),
        (([[0.0, 1.0]], [1.0], 2), "1d array"),
        (([0.0, 1.0], [1.0, 1.0], 0), "n_dimensions must be at least 1, got 0"),
    ],
)
def test_bad_arrays(arguments, message):
    with pytest.raises(ValueError, match=message):
        OutlierMapDisplay(*arguments)


def test_wrong_number_of_names():
    with pytest.raises(ValueError, match="names must hold 2 names, got 3"):
        OutlierMapDisplay([0.0, 1.0], [1.0, 1.0], 2, names="abc")


def test_bad_estimators():
    with pytest.raises(NotFittedError):
        OutlierMapDisplay.from_estimator(HuberRegressor(), X, Y)
    with pytest.raises(TypeError, match=r"must have a scale_ .* LinearRegression has not"):
        OutlierMapDisplay.from_estimator(LinearRegression().fit(X, Y), X, Y)
    pipeline = make_pipeline(StandardScaler(), HuberRegressor()).fit(X, Y)
    with pytest.raises(TypeError, match="pass the last one"):
        OutlierMapDisplay.from_estimator(pipeline, X, Y)
    several = QuantileRegressor([0.2, 0.8]).fit(X, Y)
    with pytest.raises(ValueError, match="1d array"):
        OutlierMapDisplay.from_estimator(several, X, Y)
    assert not plt.get_fignums()


def test_bad_data():
    model = HuberRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        OutlierMapDisplay.from_estimator(model, X, Y[:-1])
    with pytest.raises(ValueError, match="NaN"):
        OutlierMapDisplay.from_estimator(model, X, np.where(np.arange(80) == 3, np.nan, Y))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        OutlierMapDisplay.from_estimator(model, sparse.csr_array(X), Y)
    assert not plt.get_fignums()


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install robustreg\[plot\]"):
        OutlierMapDisplay([0.0], [1.0], 1).plot()


def test_names_are_drawn_as_they_are():
    names = [r"$x_$", r"\frac{", "50 % & more"]
    display = OutlierMapDisplay([9.0, 8.0, 7.0], [9.0, 8.0, 7.0], 2, names=names)
    display.plot().figure_.canvas.draw()
    assert [label.get_text() for label in display.labels_.values()] == names
    with plt.rc_context({"text.usetex": True}):
        labels = display.plot().labels_.values()
    assert not any(label.get_usetex() or label.get_parse_math() for label in labels)

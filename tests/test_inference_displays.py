"""CoefficientDisplay and QuantileProcessDisplay: what is drawn are the results of infer."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import HuberRegressor, L2Regressor, QuantileRegressor
from robustreg.inference import infer
from robustreg.plotting import CoefficientDisplay, QuantileProcessDisplay

plt = pytest.importorskip("matplotlib.pyplot")

RNG = np.random.default_rng(3)
LONG = "$x_1$, a name of a column of many characters"
X = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["age", "size", LONG])
Y = X @ [2.0, -1.0, 0.0] + RNG.standard_t(3, size=60)
TAUS = [0.8, 0.2, 0.5]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def models():
    return {"squares": L2Regressor().fit(X, Y), "Huber": HuberRegressor().fit(X, Y)}


@pytest.fixture(scope="module")
def results(models):
    return {label: infer(model, X, Y) for label, model in models.items()}


@pytest.fixture(scope="module")
def process():
    return infer(QuantileRegressor(TAUS).fit(X, Y), X, Y, covariance="nid")


def drawn(line):
    """Lower ends, coefficients and upper ends of the bars, and their heights."""
    x, y = (np.asarray(values).reshape(-1, 4) for values in line.get_data())
    assert np.isnan(x[:, 3]).all()
    return *x[:, :3].T, y[:, 0]


def names_of(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


def texts_of(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


# ------------------------------------------------------------------ coefficients


def test_bars_are_the_intervals(results):
    display = CoefficientDisplay.from_results(results, level=0.9)
    display.figure_.canvas.draw()
    assert display.terms == ["age", "size", LONG]
    assert names_of(display)[:2] == ["age", "size"]
    assert len(names_of(display)[2]) == 28  # as it is, dollars too, but for its middle
    assert names_of(display)[2].startswith("$x_1$, a name")
    heights = []
    for line, (label, result) in zip(display.lines_, results.items(), strict=True):
        low, coef, high, height = drawn(line)
        assert_array_equal(coef, result.coef[1:])
        assert_array_equal(np.column_stack([low, high]), result.conf_int(0.9)[1:])
        assert line.get_label() == label
        heights.append(height)
    assert (heights[0] < heights[1]).all()  # in the order of the legend, which is from above
    assert display.ax_.yaxis_inverted()
    assert_allclose(np.mean(heights, axis=0), [0.0, 1.0, 2.0])
    assert len({line.get_marker() for line in display.lines_}) == 2  # for grey
    assert "90 % interval" in display.ax_.get_xlabel()
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["squares", "Huber"]


def test_one_result_has_no_legend(results):
    display = CoefficientDisplay.from_results(results["Huber"], terms=["intercept", "age"], lw=5.0)
    assert display.ax_.get_legend() is None
    assert_array_equal(drawn(display.lines_[0])[1], results["Huber"].coef[:2])
    assert display.lines_[0].get_linewidth() == 5.0
    assert display.labels == [""]


def test_estimators_are_inferred(models):
    weight, groups = np.arange(60) % 3 + 1.0, np.arange(60) // 6
    fits = {label: type(model)().fit(X, Y, weight) for label, model in models.items()}
    fits["steps"] = make_pipeline(StandardScaler(), HuberRegressor()).fit(
        X, Y, huberregressor__sample_weight=weight
    )
    display = CoefficientDisplay.from_estimators(
        fits, X, Y, sample_weight=weight, covariance="CR1", groups=groups
    )
    assert display.labels == ["squares", "Huber", "steps"]
    for number, model in enumerate(fits.values()):
        result = infer(model, X, Y, weight, covariance="CR1", groups=groups)
        assert result.names[1:] == tuple(display.terms)
        assert_array_equal(display.intervals[number], result.conf_int()[1:])
    alone = CoefficientDisplay.from_estimators(models["Huber"], X, Y)
    assert_array_equal(alone.coefs, [models["Huber"].coef_])


def test_units_multiply(results):
    units = X.std() * [1.0, 0.0, 1.0]  # 0: of a constant column
    display = CoefficientDisplay.from_results(results, units=units)
    assert_allclose(display.coefs[1], results["Huber"].coef[1:] * units)
    assert_allclose(
        display.intervals[1], results["Huber"].conf_int()[1:] * units.to_numpy()[:, None]
    )
    few = CoefficientDisplay.from_results(results, units={"age": 10.0, "size": 1.0})
    assert names_of(few)[:2] == ["age, per 10", "size"]
    assert few.ax_.get_xlabel().startswith("coefficient x unit")


def test_fits_of_other_columns(results):
    small = infer(L2Regressor().fit(X[["size"]], Y), X[["size"]], Y)
    display = CoefficientDisplay.from_results({"small": small, **results})
    assert display.terms == ["size", "age", LONG]
    assert_array_equal(np.isnan(display.coefs[0]), [False, True, True])
    assert not display.undetermined.any()
    assert texts_of(display.ax_) == []


def test_columns_that_the_data_do_not_determine(results):
    twice = X.assign(again=X["age"])
    lost = infer(L2Regressor().fit(twice, Y), twice, Y)
    display = CoefficientDisplay.from_results({"lost": lost, **results})
    display.figure_.canvas.draw()
    assert_array_equal(display.undetermined[0], [True, False, False, True])
    assert_array_equal(np.isnan(drawn(display.lines_[0])[1]), [True, False, False, True])
    assert texts_of(display.ax_) == ["not determined by the data"] * 2
    alone = CoefficientDisplay.from_results({"a": lost, "b": lost}, terms=["again"])
    assert texts_of(alone.ax_) == ["not determined by the data"]  # once for both
    alone.figure_.canvas.draw()


def test_a_coefficient_without_an_interval_is_hollow():
    table = np.column_stack([X["age"], np.arange(60) == 7])
    model = L2Regressor().fit(table, Y)
    with pytest.warns(UserWarning, match="rests on single rows"):
        jackknife = infer(model, table, Y)
    display = CoefficientDisplay.from_results(jackknife)
    assert_array_equal(np.isnan(drawn(display.lines_[0])[1]), [False, True])
    (hollow,) = [line for line in display.ax_.get_lines() if line.get_markerfacecolor() == "white"]
    assert_array_equal(hollow.get_xdata(), [model.coef_[1]])


def test_infinite_ends_are_arrows():
    table, target = RNG.normal(size=(14, 3)), RNG.normal(size=14)
    model = QuantileRegressor(0.7).fit(table, target)
    result = infer(model, table, target, covariance="rank")
    limits = result.conf_int()[1:]
    assert np.isinf(limits).any()
    display = CoefficientDisplay.from_results(result)
    low, coef, high, _ = drawn(display.lines_[0])
    assert_array_equal(np.column_stack([low, high]), np.where(np.isinf(limits), np.nan, limits))
    ends = sorted((arrow.xy[0], arrow.xyann[0]) for arrow in display.ax_.texts)
    expected = [(float(k), coef[row]) for row, k in np.argwhere(np.isinf(limits))]
    assert ends == sorted(expected)
    display.figure_.canvas.draw()
    left, right = display.ax_.get_xlim()
    assert left < np.nanmin(low) < np.nanmax(high) < right


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (({},), {}, ValueError, "results must hold one result"),
        (({"a": 1},), {}, TypeError, "results must be what infer returns .* got int"),
        (("one",), {"terms": ["agee"]}, ValueError, r"terms must be .*age, .*\['agee'\]"),
        (("one",), {"terms": []}, ValueError, r"terms must be .*got \[\]"),
        (("one",), {"units": {"agee": 1.0}}, ValueError, "units must be of names .* got agee"),
        (("one",), {"units": {"age": -1.0}}, ValueError, "units must be .*age is -1"),
        (("one",), {"units": {"age": "1"}}, ValueError, "units must be .*age is nan"),
        (("one",), {"level": 2.0}, ValueError, "level must"),
    ],
)
def test_bad_arguments(results, arguments, options, error, message):
    given = results["Huber"] if arguments == ("one",) else arguments[0]
    with pytest.raises(error, match=message):
        CoefficientDisplay.from_results(given, **options)
    assert not plt.get_fignums()


def test_several_quantiles_have_a_display_of_their_own(process):
    with pytest.raises(TypeError, match="results must be what infer returns for one fit"):
        CoefficientDisplay(process)


# ------------------------------------------------------------------ quantiles


def test_curves_are_the_coefficients(process, results):
    reference = results["squares"]
    display = QuantileProcessDisplay(process, reference=reference, level=0.8).plot(lw=3.0)
    display.figure_.canvas.draw()
    assert display.terms == list(process.names) == ["intercept", "age", "size", LONG]
    assert_array_equal(display.quantiles, [0.2, 0.5, 0.8])
    order = [1, 2, 0]
    for j, (panel, line, band) in enumerate(
        zip(display.axes_, display.lines_, display.bands_, strict=True)
    ):
        assert_array_equal(line.get_xdata(), [0.2, 0.5, 0.8])
        assert_array_equal(line.get_ydata(), process.coef[order, j])
        assert line.get_linewidth() == 3.0
        assert line.get_marker() == "o"
        corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
        assert corners == {
            (tau, end)
            for tau, ends in zip([0.2, 0.5, 0.8], process.conf_int(0.8)[order, j], strict=True)
            for end in ends
        }
        level_lines = {
            other.get_ydata()[0]: other.get_linestyle()
            for other in panel.get_lines()
            if other is not line and other.get_linestyle() != ":"
        }
        assert level_lines == {
            reference.coef[j]: "-",
            **dict.fromkeys(reference.conf_int(0.8)[j], "--"),
        }
    assert display.axes_[1].get_title() == "age"
    (legend,) = display.figure_.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["quantile", "80 % interval", "L2Regressor", "its 80 % interval"]


def test_zero_is_marked_where_it_is_in_sight(process):
    display = QuantileProcessDisplay(process).plot()
    for j, panel in enumerate(display.axes_):
        dotted = [line for line in panel.get_lines() if line.get_linestyle() == ":"]
        low, high = process.conf_int()[:, j].min(), process.conf_int()[:, j].max()
        if low < 0.0 < high:
            assert len(dotted) == 1
        if low > 0.3 or high < -0.3:
            assert not dotted
    assert len(display.figure_.legends[0].get_texts()) == 2


def test_quantiles_of_an_estimator_are_beside_least_squares():
    weight = np.arange(60) % 2 + 1.0
    model = make_pipeline(StandardScaler(), QuantileRegressor(TAUS))
    model.fit(X, Y, quantileregressor__sample_weight=weight)
    display = QuantileProcessDisplay.from_estimator(
        model, X, Y, sample_weight=weight, covariance="iid", terms=["size", "age"]
    )
    own = infer(model, X, Y, weight, covariance="iid")
    assert_array_equal(display.intervals, own.conf_int()[[1, 2, 0]][:, [2, 1]].swapaxes(0, 1))
    squares = make_pipeline(StandardScaler(), L2Regressor())
    squares.fit(X, Y, l2regressor__sample_weight=weight)
    reference = infer(squares, X, Y, weight)
    assert_allclose(display.reference.coef, reference.coef)
    assert_allclose(display.reference.conf_int(), reference.conf_int())
    assert display.reference.names == ("intercept", "age", "size", LONG)


def test_groups_of_rows():
    groups = np.arange(60) // 5
    table = X.to_numpy()
    model = QuantileRegressor(TAUS, fit_intercept=False).fit(table, Y)
    figure, axes = plt.subplots(1, 3)
    display = QuantileProcessDisplay.from_estimator(model, table, Y, groups=groups, ax=axes)
    assert display.reference.covariance_type == "CR3"
    assert display.terms == ["x0", "x1", "x2"]
    assert display.figure_ is figure
    assert [panel.get_xlabel() for panel in axes] == ["quantile"] * 3
    assert len(axes[0].get_legend().get_texts()) == 4
    figure.canvas.draw()


def test_infinite_bands_reach_the_edge():
    table, target = RNG.normal(size=(14, 2)), RNG.normal(size=14)
    result = infer(QuantileRegressor([0.4, 0.7]).fit(table, target), table, target)
    limits = result.conf_int()
    assert np.isinf(limits).any()
    display = QuantileProcessDisplay(result).plot()
    display.figure_.canvas.draw()
    for j, (panel, band) in enumerate(zip(display.axes_, display.bands_, strict=True)):
        corners = band.get_paths()[0].vertices[:, 1]
        if np.isposinf(limits[:, j]).any():
            assert corners.max() == panel.get_ylim()[1]
        if np.isneginf(limits[:, j]).any():
            assert corners.min() == panel.get_ylim()[0]


def test_a_panel_that_the_data_do_not_determine():
    twice = X.assign(again=X["age"])
    display = QuantileProcessDisplay.from_estimator(
        QuantileRegressor(TAUS).fit(twice, Y), twice, Y, covariance="iid"
    )
    display.figure_.canvas.draw()
    lost = [bool(texts_of(panel)) for panel in display.axes_]
    assert lost == [False, True, False, False, True]
    assert_array_equal(np.isnan(display.coefs).all(axis=1), lost)


def test_a_single_quantile_is_a_point_with_a_bar():
    result = infer(QuantileRegressor([0.5]).fit(X, Y), X, Y, covariance="iid")
    display = QuantileProcessDisplay(result, terms="age").plot()
    display.figure_.canvas.draw()
    assert display.bands_[0].get_linewidth() == [4.0]
    assert len(display.axes_) == 1


def test_bad_quantile_arguments(process, results):
    with pytest.raises(TypeError, match=r"process must be .* several quantiles, got Inference"):
        QuantileProcessDisplay(results["Huber"])
    with pytest.raises(TypeError, match=r"reference must be .* one fit, got QuantileInference"):
        QuantileProcessDisplay(process, reference=process)
    other = infer(L2Regressor().fit(X[["size"]], Y), X[["size"]], Y)
    with pytest.raises(ValueError, match=r"reference must have one .* of the coefficients age"):
        QuantileProcessDisplay(process, reference=other, terms=["age"])
    with pytest.raises(ValueError, match="terms must be names among intercept, age"):
        QuantileProcessDisplay(process, terms=["weight"])
    with pytest.raises(ValueError, match="ax must hold 4 matplotlib Axes, got 1"):
        QuantileProcessDisplay(process).plot(plt.subplots()[1])


@pytest.mark.parametrize("draw", [CoefficientDisplay, QuantileProcessDisplay])
def test_without_matplotlib_the_message_says_what_to_install(monkeypatch, draw, results, process):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = draw(results if draw is CoefficientDisplay else process)
    with pytest.raises(ImportError, match=r"pip install robustreg\[plot\]"):
        display.plot()

"""LossDisplay: what is drawn are the losses' own values."""

import itertools
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from robustreg.losses import LOSSES, CrossEntropy, EpsilonInsensitive, Huber, ResidualLoss
from robustreg.plotting import LossDisplay

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_drawn(name):
    display = LossDisplay.from_loss(name)
    loss = LOSSES[name]()
    assert display.losses == (loss,)
    assert display.lines_.shape == (1, 3)
    for line, curve in zip(display.lines_[0], (loss.rho, loss.psi, loss.weights), strict=True):
        r, values = line.get_data()
        assert_array_equal(values, curve(r))
        assert np.isin(display.r, r).all()
    bottom, top = display.axes_[2].get_ylim()
    assert bottom < 0.0 < top < 4.0


def test_all_losses_are_drawn_together():
    display = LossDisplay.from_loss(*LOSSES)
    assert display.lines_.shape == (len(LOSSES), 3)
    display.figure_.canvas.draw()


def test_labels_and_legend():
    display = LossDisplay.from_loss("absolute", Huber(4 / 3))
    assert [panel.get_xlabel() for panel in display.axes_] == ["residual / scale"] * 3
    assert [panel.get_ylabel().split()[0] for panel in display.axes_] == [
        "loss",
        "influence",
        "weight",
    ]
    (legend,) = display.figure_.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["Absolute()", "Huber(delta=1.333)"]


def test_kinks_are_drawn_exactly_on_any_grid():
    display = LossDisplay.from_loss("absolute", r=[3.0, -2.0, -1.0])
    assert_array_equal(display.r, [-2.0, -1.0, 3.0])
    psi = display.lines_[0, 1].get_ydata()
    assert_array_equal(psi, [-1.0, -1.0, -1.0, 1.0, 1.0])


def test_own_axes_and_line_properties():
    figure, axes = plt.subplots(3, 1)
    display = LossDisplay("huber", "bisquare").plot(axes, ls=":", linewidth=3.0)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    assert {line.get_linewidth() for line in display.lines_.ravel()} == {3.0}
    assert {line.get_linestyle() for line in display.lines_.ravel()} == {":"}
    assert axes[0].get_legend() is not None
    assert LossDisplay.from_loss("huber", ax=axes).axes_[0] is axes[0]


# ------------------------------------------------------------------ side by side


def test_a_grid_has_a_panel_for_each_loss():
    display = LossDisplay.from_loss(*LOSSES, kind="grid")
    assert display.axes_.shape == (14,)
    assert display.lines_.shape == (14, 3)
    assert set(display.figure_.axes) == set(display.axes_)  # no empty cells
    windows = {(*panel.get_xlim(), *panel.get_ylim()) for panel in display.axes_}
    assert len(windows) == 1
    for panel, lines, loss in zip(display.axes_, display.lines_, display.losses, strict=True):
        assert panel.get_title().startswith(f"{type(loss).__name__}(")
        assert list(lines) == panel.get_lines()
        for line, curve in zip(lines, (loss.rho, loss.psi, loss.weights), strict=True):
            r, values = line.get_data()
            assert_array_equal(values, curve(r))
    # in grey the curves still differ
    assert len({line.get_linestyle() for line in display.lines_[0]}) == 3
    (legend,) = display.figure_.legends
    assert [text.get_text().split()[0] for text in legend.get_texts()] == [
        "loss",
        "influence",
        "weight",
    ]
    display.figure_.canvas.draw()
    renderer = display.figure_.canvas.get_renderer()
    titles = [panel.title.get_window_extent(renderer) for panel in display.axes_]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(titles, 2))


@pytest.mark.parametrize(("count", "rows"), [(1, [1]), (4, [4]), (5, [3, 2]), (14, [4, 4, 4, 2])])
def test_rows_of_a_grid(count, rows):
    display = LossDisplay.from_loss(*list(LOSSES)[:count], kind="grid")
    display.figure_.canvas.draw()
    tops = [round(panel.get_position().y0, 3) for panel in display.axes_]
    assert [len(list(group)) for _, group in itertools.groupby(tops)] == rows
    # residuals can be read off below every column
    for column in range(rows[0]):
        lowest = display.axes_[column :: rows[0]][-1]
        assert any(label.get_visible() for label in lowest.get_xticklabels())


def test_own_axes_of_a_grid():
    figure, axes = plt.subplots(1, 2)
    display = LossDisplay("huber", "tukey", r=[-3.0, 0.0, 1.0]).plot(axes, kind="grid", lw=3.0)
    assert display.figure_ is figure
    assert list(display.axes_) == list(axes)
    assert {line.get_linewidth() for line in display.lines_.ravel()} == {3.0}
    assert [panel.get_xlabel() for panel in axes] == ["residual / scale"] * 2
    assert axes[0].get_legend() is not None
    bottom, top = axes[1].get_ylim()
    assert bottom < -1.0
    assert top >= 3.0
    with pytest.raises(ValueError, match="ax must hold 3 matplotlib Axes, got 2"):
        LossDisplay.from_loss("huber", "tukey", "cauchy", ax=axes, kind="grid")


def test_a_grid_of_the_residual_0_alone():
    LossDisplay.from_loss("huber", r=[0.0, 0.0], kind="grid").figure_.canvas.draw()


def test_a_loss_that_is_zero_everywhere_in_sight():
    display = LossDisplay.from_loss(EpsilonInsensitive(50.0))
    assert display.axes_[2].get_ylim()[1] == pytest.approx(1.1)


def test_a_loss_that_is_no_dataclass():
    class Plain(ResidualLoss):
        def _rho(self, r):
            return r**4

        def _psi(self, r):
            return 4.0 * r**3

        def _psi_prime(self, r):
            return 12.0 * r**2

        def __repr__(self):
            return "fourth power"

    assert LossDisplay.from_loss(Plain()).lines_[0, 0].get_label() == "fourth power"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "at least one loss"),
        (("hubert",), {}, "got 'hubert'"),
        (("cross_entropy",), {}, "must be a function of the residual, .* got 'cross_entropy'"),
        (("huber",), {"r": [1.0]}, "r must be a one-dimensional array"),
        (("huber",), {"r": [[1.0, 2.0]]}, "r must be a one-dimensional array"),
        (("huber",), {"r": [1.0, np.nan]}, "finite numbers"),
    ],
)
def test_bad_arguments(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LossDisplay(*arguments, **options)


def test_only_losses_of_the_residual_are_drawn():
    with pytest.raises(TypeError, match=r"ResidualLoss .* got CrossEntropy\("):
        LossDisplay("huber", CrossEntropy())


def test_bad_kind():
    with pytest.raises(ValueError, match="kind must be 'overlay' or 'grid', got 'list'"):
        LossDisplay.from_loss("huber", kind="list")


def test_bad_axes():
    with pytest.raises(ValueError, match="ax must hold three matplotlib Axes, got 1"):
        LossDisplay.from_loss("huber", ax=plt.subplots()[1])


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install robustreg\[plot\]"):
        LossDisplay.from_loss("huber")

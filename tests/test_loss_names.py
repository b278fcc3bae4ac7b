"""Losses by name: every name and alias gives the function that is meant, and others are advised."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special
from sklearn import metrics

import robustreg.losses
from robustreg.losses import LOSSES, CrossEntropy, Huber, Loss, Quantile, ResidualLoss
from robustreg.losses._names import ALIASES, OTHER_LOSSES, get_loss, get_residual_loss

PAGE = Path(__file__).parents[1] / "docs" / "coming-from-pytorch.md"

NAMES = [*LOSSES, *OTHER_LOSSES]

R = np.array([-40.0, -4.0, -1.5, -0.3, 0.0, 0.2, 1.0, 2.0, 7.0])
T = np.array([0.0, 0.25, 1.0, 1.0, 0.5])
P = np.array([0.5, 0.1, 0.9, 0.2, 0.5])

# What each alias means, on another route: functions of the residual, up to our constants.
RESIDUAL_ALIASES = {
    "l2": lambda r: r**2,
    "mse": lambda r: r**2,
    "squared_error": lambda r: r**2,
    "mean_squared_error": lambda r: r**2,
    "l1": np.abs,
    "mae": np.abs,
    "absolute_error": np.abs,
    "mean_absolute_error": np.abs,
    "lad": np.abs,
    "pinball": lambda r: np.abs(r) / 2.0,
    "logcosh": lambda r: np.logaddexp(r, -r) - np.log(2.0),
    "soft_l1": lambda r: special.pseudo_huber(1.287, r),
    "charbonnier": lambda r: 1.287 * (np.sqrt(r**2 + 1.287**2) - 1.287),
    "leclerc": lambda r: 2.985**2 / 2.0 * (1.0 - np.exp(-((r / 2.985) ** 2))),
    "lorentzian": lambda r: 2.385**2 / 2.0 * np.log1p((r / 2.385) ** 2),
    "tukey": lambda r: 4.685**2 / 6.0 * (1.0 - np.clip(1.0 - (r / 4.685) ** 2, 0.0, 1.0) ** 3),
}
RESIDUAL_ALIASES["biweight"] = RESIDUAL_ALIASES["tukey_biweight"] = RESIDUAL_ALIASES["tukey"]

OTHER_ALIASES = {
    "bce": (P, special.xlogy(-T, P) - special.xlogy(1.0 - T, 1.0 - P)),
    "binary_crossentropy": (P, special.xlogy(-T, P) - special.xlogy(1.0 - T, 1.0 - P)),
    "bce_with_logits": (R[:5], np.logaddexp(0.0, R[:5]) - T * R[:5]),
    "kl_div": (np.log(P), special.rel_entr(T, P)),
}


@pytest.mark.parametrize("alias", RESIDUAL_ALIASES)
def test_alias_of_a_loss_of_the_residual(alias):
    loss = get_loss(alias)
    assert_allclose(loss.rho(R), RESIDUAL_ALIASES[alias](R), rtol=1e-12, atol=1e-15)
    assert get_residual_loss(alias) == loss == LOSSES[ALIASES[alias]]()


@pytest.mark.parametrize("alias", OTHER_ALIASES)
def test_alias_of_another_loss(alias):
    prediction, expected = OTHER_ALIASES[alias]
    loss = get_loss(alias)
    assert_allclose(loss(T, prediction, reduction="none"), expected, rtol=1e-12, atol=1e-15)


def test_every_alias_has_been_tried():
    assert {*RESIDUAL_ALIASES, *OTHER_ALIASES} == set(ALIASES)
    assert not set(ALIASES) & set(NAMES)


@pytest.mark.parametrize(
    "name",
    ["mean_squared_error", "mean_absolute_error", "mean_pinball_loss"],
)
def test_names_of_metrics_mean_the_metrics(name):
    metric = getattr(metrics, name)
    loss = get_loss("pinball" if name == "mean_pinball_loss" else name)
    assert_allclose(loss(R, 0.3 * R[::-1]), metric(R, 0.3 * R[::-1]), rtol=1e-14)


def test_every_concrete_loss_that_needs_no_arguments_has_a_name():
    public = vars(robustreg.losses).values()
    classes = {
        kind
        for kind in public
        if inspect.isclass(kind) and issubclass(kind, Loss) and not inspect.isabstract(kind)
    }
    named = {type(get_loss(name)) for name in NAMES}
    assert {kind.__name__ for kind in classes - named} <= {"AdaptiveLogSoftmax"}
    assert all(get_loss(name) == {**LOSSES, **OTHER_LOSSES}[name]() for name in NAMES)
    assert len(named) == len(NAMES)


def test_huber_has_our_constant():
    assert get_loss("huber") == get_residual_loss("huber") == Huber(delta=1.345)


def test_a_loss_is_returned_as_it_is():
    for loss in Huber(3.0), CrossEntropy(label_smoothing=0.1):
        assert get_loss(loss) is loss
    loss = Quantile(0.2)
    assert get_residual_loss(loss) is loss


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("hubert", "huber"),
        ("MSE", "mse"),
        ("HuberLoss", "huber"),
        ("SmoothL1Loss", "smooth_l1"),
        ("smooth-l1", "smooth_l1"),
        ("cross entropy", "cross_entropy"),
        ("BCEWithLogitsLoss", "bce_with_logits"),
        ("nll_loss", "nll"),
        ("KLDivLoss", "kl_div"),
    ],
)
def test_unknown_names_are_answered_with_all_and_the_nearest(name, advice):
    listed = ", ".join(repr(known) for known in NAMES)
    with pytest.raises(ValueError, match=r"^loss must be one of ") as caught:
        get_loss(name)
    assert str(caught.value).endswith(f"{listed}; got {name!r}. Did you mean {advice!r}?")


def test_advice_where_a_residual_is_needed_is_of_a_residual():
    with pytest.raises(ValueError, match=r"'andrews'; got 'Pinball'\. Did you mean 'pinball'\?$"):
        get_residual_loss("Pinball")
    with pytest.raises(ValueError, match=r"'andrews'; got 'CrossEntropy'\.$"):
        get_residual_loss("CrossEntropy")


@pytest.mark.parametrize("name", ["", "ctc", "log_loss"])
def test_no_advice_where_nothing_is_near(name):
    # "log_loss" is nearly "log_cosh"
    with pytest.raises(ValueError, match=f"; got {name!r}\\.$"):
        get_loss(name)


@pytest.mark.parametrize("wrong", [Huber, None, 3])
def test_neither_a_name_nor_a_loss(wrong):
    with pytest.raises(TypeError, match=r"loss must be a name or a Loss such as Huber.*; got "):
        get_loss(wrong)
    with pytest.raises(TypeError, match="loss must be a name or a ResidualLoss such as"):
        get_residual_loss(wrong)


@pytest.mark.parametrize("name", [*OTHER_LOSSES, "bce"])
def test_losses_of_other_kinds_where_a_residual_is_needed(name):
    loss = get_loss(name)
    assert isinstance(loss, Loss)
    assert not isinstance(loss, ResidualLoss)
    with pytest.raises(ValueError, match=f"one of 'squared', .*'andrews'; got '{name}', which is"):
        get_residual_loss(name)
    with pytest.raises(TypeError, match=r"ResidualLoss.*got .*" + type(loss).__name__):
        get_residual_loss(loss)


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not here")
def test_the_documentation_lists_every_name():
    text = PAGE.read_text(encoding="utf-8")
    for name in (*NAMES, *ALIASES):
        assert f'`"{name}"`' in text

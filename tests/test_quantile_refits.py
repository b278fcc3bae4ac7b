"""Many weighted quantile fits at once: each against a fit by itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from robustreg import QuantileRegressor
from robustreg.inference.quantiles import _together
from robustreg.inference.quantiles._together import fit_together

DRAWS = 40


def tables():
    """Rows with their targets, by name."""
    rng = np.random.default_rng(0)
    n = 120
    normal = np.column_stack([rng.normal(size=(n, 3)), np.ones(n)])
    groups = np.eye(4)[rng.integers(0, 4, n)]
    skewed = np.column_stack([np.exp(2.0 * rng.normal(size=(n, 2))), np.ones(n)])
    return {
        "normal": (normal, rng.normal(size=n)),
        "heavy tails": (skewed, rng.standard_cauchy(n)),
        "groups": (groups, rng.normal(size=n)),
        "whole numbers": (np.column_stack([groups, np.arange(n) % 7]), rng.integers(-3, 4, n)),
        "one column": (np.ones((n, 1)), rng.normal(size=n)),
        "other units": (normal * [1e6, 1.0, 1e-6, 1.0], 1e-3 * rng.normal(size=n)),
    }


def losses(design, target, weight, theta, tau):
    """The objective of each draw."""
    r = target - theta @ design.T
    return (weight * np.maximum(tau * r, (tau - 1.0) * r)).sum(axis=1)


@pytest.mark.parametrize("tau", [0.5, 0.2, 0.95])
@pytest.mark.parametrize("name", tables())
def test_known_fits_are_optimal(name, tau):
    design, target = tables()[name]
    target = target.astype(float)
    weight = np.random.default_rng(1).standard_exponential((DRAWS, len(target)))
    weight[:, :5] = 0.0  # as rows of groups that are not drawn
    pull = np.zeros((DRAWS, design.shape[1]))
    start = QuantileRegressor(tau, fit_intercept=False).fit(design, target).coef_
    theta, known = fit_together(design, target - design @ start, weight, pull, tau)
    assert known.all()
    alone = [QuantileRegressor(tau, fit_intercept=False).fit(design, target, v) for v in weight]
    least = losses(design, target, weight, np.array([fit.coef_ for fit in alone]), tau)
    found = losses(design, target, weight, theta + start, tau)
    assert_allclose(found, least, rtol=1e-10)  # 1e-15 at most vertices


@pytest.mark.parametrize("at_a_time", [1, 3, DRAWS])
def test_fits_do_not_depend_on_how_many_are_made_at_a_time(at_a_time, monkeypatch):
    design, target = tables()["normal"]
    weight = np.random.default_rng(1).standard_exponential((DRAWS, len(target)))
    pull = np.zeros((DRAWS, design.shape[1]))
    expected = fit_together(design, target, weight, pull, 0.3)
    monkeypatch.setattr(_together, "ENTRIES", at_a_time * len(target))
    theta, known = fit_together(design, target, weight, pull, 0.3)
    assert known.all()
    assert expected[1].all()
    assert_allclose(theta, expected[0], rtol=1e-12, atol=1e-12)


def test_rows_that_keep_their_sides_are_what_they_pull():
    """Rows far above and below a fit, as rows and as the slopes that they have."""
    design, target = tables()["normal"]
    weight = np.random.default_rng(2).standard_exponential((DRAWS, len(target)))
    far = np.abs(target) > 1.5
    pull = (weight[:, far] * np.where(target[far] > 0.0, 0.5, -0.5)) @ design[far]
    whole, _ = fit_together(design, target, weight, np.zeros_like(pull), 0.5)
    theta, known = fit_together(design[~far], target[~far], weight[:, ~far], pull, 0.5)
    assert known.all()
    assert_allclose(theta, whole, atol=1e-12)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda design, target, weight, pull: (design, target, weight, pull + 1e3),
        lambda design, target, weight, pull: (design[:3], target[:3], weight[:, :3], pull),
        lambda design, target, weight, pull: (0.0 * design, target, weight, pull),
        lambda design, target, weight, pull: (design, 0.0 * target, weight, pull),
        lambda design, target, weight, pull: (design, target, 0.0 * weight, pull),
        lambda design, target, weight, pull: (np.inf * design, target, weight, pull),
    ],
    ids=["no bound", "few rows", "no columns", "on the fit", "no weights", "not finite"],
)
def test_what_has_no_vertex_is_left_to_others(spoil):
    design, target = tables()["normal"]
    weight = np.random.default_rng(3).standard_exponential((DRAWS, len(target)))
    given = spoil(design, target, weight, np.zeros((DRAWS, design.shape[1])))
    theta, known = fit_together(*given, 0.5)
    assert not known.any()
    assert not theta.any()


def test_one_draw_without_a_vertex_does_not_keep_others_from_theirs():
    design, target = tables()["normal"]
    weight = np.random.default_rng(4).standard_exponential((DRAWS, len(target)))
    pull = np.zeros((DRAWS, design.shape[1]))
    pull[3] = 1e3
    expected, _ = fit_together(design, target, weight, 0.0 * pull, 0.5)
    theta, known = fit_together(design, target, weight, pull, 0.5)
    assert known.sum() == DRAWS - 1
    assert_allclose(theta[known], expected[known], atol=1e-12)

"""The ridge penalty: value, gradient, curvature and conjugate are those of one function."""

import dataclasses
import pickle

import numpy as np
import pytest
from scipy.optimize import minimize

from robustreg.penalties import Ridge

PENALTIES = [Ridge(), Ridge(0.3), Ridge(2.0, unit=4.0), Ridge(1e-8, 1e5), Ridge(1e8, 1e-5)]
COEF = np.array([1.0, -3.0, 0.0, 2.5])

every_penalty = pytest.mark.parametrize("penalty", PENALTIES)


@every_penalty
def test_value_is_the_documented_one(penalty):
    expected = penalty.alpha / 2 * (COEF**2).sum() / penalty.unit
    assert penalty.value(COEF) == pytest.approx(expected, rel=1e-14)
    assert penalty.value(0 * COEF) == 0


@every_penalty
def test_gradient_and_curvature_are_derivatives(penalty):
    steps = np.eye(4)  # central differences of a quadratic are exact, whatever the step
    numeric = [(penalty.value(COEF + step) - penalty.value(COEF - step)) / 2 for step in steps]
    np.testing.assert_allclose(penalty.gradient(COEF), numeric, rtol=1e-12, atol=0)
    moved = penalty.gradient(COEF + 1.0) - penalty.gradient(COEF)
    np.testing.assert_allclose(moved, penalty.curvature, rtol=1e-9)


@pytest.mark.parametrize("penalty", [penalty for penalty in PENALTIES if penalty.alpha])
def test_conjugate_is_the_supremum(penalty):
    """sup over beta of slope'beta - pen(beta), found numerically in units of its solution."""
    slope = np.array([0.5, -2.0, 0.0, 1.0])
    unit = 1.0 / penalty.curvature
    found = minimize(lambda b: (penalty.value(b * unit) - slope @ b * unit) / unit, np.zeros(4))
    assert penalty.conjugate(slope) == pytest.approx(-found.fun * unit, rel=1e-8)


@pytest.mark.parametrize("penalty", [penalty for penalty in PENALTIES if penalty.alpha])
def test_fenchel_young(penalty):
    """slope'beta <= pen(beta) + pen*(slope), with equality at the gradient."""
    slope = penalty.gradient(COEF)
    total = penalty.value(COEF) + penalty.conjugate(slope)
    assert total == pytest.approx(slope @ COEF, rel=1e-14)
    assert penalty.value(COEF) + penalty.conjugate(1.1 * slope) > 1.1 * slope @ COEF


def test_without_a_penalty_all_is_zero():
    """The conjugate, too: its argument is 0 up to rounding, as the caller guarantees."""
    assert Ridge().value(COEF) == Ridge().curvature == 0
    np.testing.assert_array_equal(Ridge().gradient(COEF), 0)
    assert Ridge().conjugate(1e-16 * COEF) == 0


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units(factor):
    """With its unit scaled along, the penalty moves with y as a loss does."""
    penalty, scaled = Ridge(0.3, 2.0), Ridge(0.3, 2.0 * factor)
    assert scaled.value(factor * COEF) == pytest.approx(factor * penalty.value(COEF), rel=1e-13)
    np.testing.assert_allclose(scaled.gradient(factor * COEF), penalty.gradient(COEF), rtol=1e-13)


def test_it_is_a_value():
    penalty = Ridge(0.3, 2.0)
    assert penalty == Ridge(0.3, 2.0)
    assert hash(penalty) == hash(Ridge(0.3, 2.0))
    assert pickle.loads(pickle.dumps(penalty)) == penalty
    with pytest.raises(dataclasses.FrozenInstanceError):
        penalty.alpha = 1.0

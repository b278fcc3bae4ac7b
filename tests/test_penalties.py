"""The penalties: value, derivatives and conjugate are those of one function."""

import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import minimize

from robustreg.penalties import ElasticNet

PENALTIES = [
    ElasticNet(),
    ElasticNet(0.3),
    ElasticNet(2.0, unit=4.0),
    ElasticNet(1e-8, unit=1e5),
    ElasticNet(1e8, unit=1e-5),
]
WITH_L1 = [ElasticNet(0.3, 1.0), ElasticNet(2.0, 0.25, 4.0), ElasticNet(1e4, 0.9, 1e-3)]
ALL = PENALTIES + WITH_L1
COEF = np.array([1.0, -3.0, 0.0, 2.5])

every_penalty = pytest.mark.parametrize("penalty", PENALTIES)


@pytest.mark.parametrize("penalty", ALL)
def test_value_is_the_documented_one(penalty):
    quadratic = (1 - penalty.l1_ratio) / 2 * (COEF**2).sum() / penalty.unit
    expected = penalty.alpha * (penalty.l1_ratio * np.abs(COEF).sum() + quadratic)
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
    assert ElasticNet().value(COEF) == ElasticNet().curvature == 0
    np.testing.assert_array_equal(ElasticNet().gradient(COEF), 0)
    assert ElasticNet().conjugate(1e-16 * COEF) == 0


@pytest.mark.parametrize("penalty", [*ALL, ElasticNet(positive=True)])
def test_only_nothing_is_no_penalty(penalty):
    assert penalty.is_none is (penalty == ElasticNet())


def test_a_ridge_whose_curvature_is_below_the_range_keeps_its_digits():
    """Its root is in range, and so is what it makes of large coefficients."""
    penalty, root, coef = ElasticNet(1e-300, unit=3e15), 1e-150 / 3e15**0.5, 1e160 * COEF
    assert penalty.root_curvature == pytest.approx(root, rel=1e-15)
    np.testing.assert_allclose(penalty.gradient(coef), root * (root * coef), rtol=1e-14)
    squares = np.sum((root * coef) ** 2)
    assert penalty.value(coef) == pytest.approx(0.5 * squares, rel=1e-14)
    slope = penalty.gradient(coef)
    assert penalty.conjugate(slope) == pytest.approx(0.5 * squares, rel=1e-14)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units(factor):
    """With its unit scaled along, the penalty moves with y as a loss does."""
    penalty, scaled = ElasticNet(0.3, unit=2.0), ElasticNet(0.3, unit=2.0 * factor)
    assert scaled.value(factor * COEF) == pytest.approx(factor * penalty.value(COEF), rel=1e-13)
    np.testing.assert_allclose(scaled.gradient(factor * COEF), penalty.gradient(COEF), rtol=1e-13)


def test_it_is_a_value():
    penalty = ElasticNet(0.3, unit=2.0)
    assert penalty == ElasticNet(0.3, unit=2.0)
    assert hash(penalty) == hash(ElasticNet(0.3, unit=2.0))
    assert pickle.loads(pickle.dumps(penalty)) == penalty
    with pytest.raises(dataclasses.FrozenInstanceError):
        penalty.alpha = 1.0


@pytest.mark.parametrize("penalty", WITH_L1)
def test_the_conjugate_of_an_l1_norm_is_the_supremum(penalty):
    """Coefficient by coefficient, on a fine grid about the solution."""
    for slope in np.array([-3.0, -1.0, -0.2, 0.0, 0.999, 1.0]) * penalty.slope:
        if not penalty.curvature and abs(slope) > penalty.slope:
            continue
        reach = 4 * penalty.slope / (penalty.curvature or 1.0)
        grid = np.linspace(-reach, reach, 200_001)
        values = [slope * b - penalty.value(np.array([b])) for b in grid[::100]]
        assert max(values) <= penalty.conjugate(np.array([slope])) * (1 + 1e-9) + 1e-12
        best = grid[::100][int(np.argmax(values))]
        fine = best + np.linspace(-1, 1, 2001) * reach / 1000
        values = [slope * b - penalty.value(np.array([b])) for b in fine]
        scale = penalty.slope * reach
        assert max(values) == pytest.approx(penalty.conjugate(np.array([slope])), abs=1e-6 * scale)


@pytest.mark.parametrize("penalty", WITH_L1)
def test_subgradients(penalty):
    """pen(b) >= pen(coef) + g'(b - coef), and the nearest one where there is a choice."""
    near = np.array([-5.0, 5.0, 0.3, 0.0]) * penalty.slope
    slope = penalty.subgradient(COEF, near)
    for other in np.random.default_rng(0).normal(size=(50, 4)) * 3:
        below = penalty.value(COEF) + slope @ (other - COEF)
        assert penalty.value(other) >= below - 1e-9 * abs(below)
    assert slope[2] == near[2]
    smooth = penalty.curvature * COEF
    expected = smooth + penalty.slope * np.sign(COEF)
    np.testing.assert_allclose(slope[[0, 1, 3]], expected[[0, 1, 3]], rtol=1e-14)


@pytest.mark.parametrize("positive", [False, True])
def test_what_is_tiny_counts_as_at_the_kink(positive):
    """The quadratic part has its own slope there, too: what is left of ``near`` is the kink's."""
    penalty = ElasticNet(2.0, 0.25, 4.0, positive)
    coef, near = np.array([0.1, 0.2, 0.2, 0.3]), np.array([0.3, 9.0, -9.0, 0.1])
    found = penalty.subgradient(coef, near, tiny=0.2)
    steepest = penalty.curvature * coef + penalty.slope
    lowest = -9.0 if positive else steepest[2] - 2.0 * penalty.slope
    np.testing.assert_allclose(found, [0.3, steepest[1], lowest, steepest[3]], rtol=1e-14)


@pytest.mark.parametrize(
    ("penalty", "slope", "share"),
    [
        (ElasticNet(0.3, 1.0), [0.3, -0.1], 1.0),
        (ElasticNet(0.3, 1.0), [0.3, -1.2], 0.25),
        (ElasticNet(0.3, 1.0), [0.0, 0.0], 1.0),
        (ElasticNet(0.3, 1.0), [], 1.0),
        (ElasticNet(0.3, 1.0, positive=True), [0.1, -1.2], 1.0),
        (ElasticNet(0.3, 1.0, positive=True), [0.6, -1.2], 0.5),
        (ElasticNet(0.3, 0.9), [0.3, -1.2], 1.0),
        (ElasticNet(0.3), [0.3, -1.2], 1.0),
    ],
    ids=str,
)
def test_the_share_of_slopes_that_the_conjugate_is_finite_for(penalty, slope, share):
    assert penalty.share_within(np.array(slope)) == pytest.approx(share, rel=1e-15)


def test_slopes_beyond_an_l1_norm_are_a_loss_under_a_sign_constraint():
    """The excess of the first coefficient's, 0.2, counts against it, as if it were twice there."""
    slope, coef = np.array([0.5, -1.0, 0.1]), np.array([1.0, 2.0, 3.0])
    bound = ElasticNet(0.3, 1.0, positive=True).fenchel(slope, coef)
    assert bound == pytest.approx((0.3 - 0.2) * 1.0 - 1.0 * 2.0 + 0.1 * 3.0, rel=1e-14)


@pytest.mark.parametrize("penalty", [*ALL, ElasticNet(2.0, 0.25, 4.0, positive=True)])
def test_else_the_bound_by_a_slope_is_what_the_conjugate_leaves(penalty):
    slope = 1.1 * penalty.subgradient(np.abs(COEF), COEF)
    bound = slope @ np.abs(COEF) - penalty.conjugate(slope)
    assert penalty.fenchel(slope, np.abs(COEF)) == pytest.approx(bound, rel=1e-14)


@pytest.mark.parametrize("penalty", [ElasticNet(), *WITH_L1], ids=repr)
def test_negative_coefficients_cost_infinitely_much_where_they_must_not_be(penalty):
    bound = dataclasses.replace(penalty, positive=True)
    assert bound.value(np.abs(COEF)) == penalty.value(np.abs(COEF))
    for coef in (COEF, np.array([-5e-324, 1.0]), np.array([-1.0])):
        assert bound.value(coef) == np.inf
    assert bound.value(np.array([-0.0])) == bound.value(np.zeros(0)) == 0.0


def test_the_gradient_without_a_quadratic_part_is_zero_wherever_it_is_taken():
    np.testing.assert_array_equal(ElasticNet(0.3, 1.0).gradient(np.array([np.inf, 1.0])), 0.0)


@pytest.mark.parametrize("alpha", [2e-322, 3e-320, 1e-310, 1e-300])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 0.853, 1.0])
def test_what_strengths_of_few_digits_may_be_off_by(alpha, l1_ratio):
    """Below 2.2e-308 the product of a strength and a ratio is rounded to a part in a few."""
    penalty = ElasticNet(alpha, l1_ratio, unit=1.5)
    coef = np.array([3e153, -1e150, 0.0])
    exact = Fraction(l1_ratio) * sum(Fraction(abs(value)) for value in coef)
    squares = sum(Fraction(value) ** 2 for value in coef)
    exact = Fraction(alpha) * (exact + (1 - Fraction(l1_ratio)) * squares / 3)
    off = abs(float(Fraction(penalty.value(coef)) - exact))
    assert off <= penalty.rounding(coef) + 1e-14 * float(exact)
    assert (penalty.rounding(coef) == 0.0) == (alpha > 1e-308)

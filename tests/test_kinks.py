"""Functions with a kink at 0: their slopes, and the exact minimiser of a quadratic with them."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import Lasso

from robustreg.penalties import ElasticNet
from robustreg.penalties._kinks import Kinks, Root, _stop, quadratic_step


def random_kinks(rng, p, positive=0.5):
    """Slopes of which some are 0, and constraints on some variables, with and without a slope."""
    slopes = rng.exponential(size=p) * (rng.uniform(size=p) < 0.7)
    return Kinks(slopes, rng.uniform(size=p) < positive)


def random_quadratic(rng, p, rows=None):
    root = rng.normal(size=(rows or p + 3, p))
    return root.T @ root, rng.normal(size=p) * 3


def feasible(rng, kinks):
    x = rng.normal(size=len(kinks.slopes)) * (rng.uniform(size=len(kinks.slopes)) < 0.6)
    return np.where(kinks.positive, np.abs(x), x)


def by_brute_force(hessian, gradient, x, kinks):
    """The least value over all patterns of signs, each minimised by one linear system."""
    linear, best, where = gradient - hessian @ x, np.inf, None
    options = [(0, 1) if kinks.positive[j] else (-1, 0, 1) for j in range(len(x))]
    for j in np.flatnonzero(~kinks.bent):
        options[j] = (1,)
    for pattern in product(*options):
        signs = np.array(pattern)
        free, y = signs != 0, np.zeros(len(x))
        slopes = linear + kinks.slopes * signs
        y[free] = np.linalg.solve(hessian[np.ix_(free, free)], -slopes[free])
        if np.any((y * signs < 0) & kinks.bent):
            continue
        value = linear @ y + y @ hessian @ y / 2 + kinks.slopes @ np.abs(y)
        if value < best:
            best, where = value, y
    return where


@pytest.mark.parametrize("seed", range(60))
def test_quadratic_step_is_the_best_of_all_sign_patterns(seed):
    rng = np.random.default_rng(seed)
    p = rng.integers(1, 7)
    hessian, gradient = random_quadratic(rng, p)
    kinks = random_kinks(rng, p)
    x = feasible(rng, kinks)
    expected = by_brute_force(hessian, gradient, x, kinks)
    found = x + quadratic_step(hessian, gradient, x, kinks)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found == 0, expected == 0)
    assert (found[kinks.positive] >= 0).all()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 0.03, 0.3, 10.0])
@pytest.mark.parametrize("p", [3, 40])
def test_quadratic_step_is_the_lasso(p, alpha, positive):
    """With a Cholesky factor of the matrix as the table; more variables than enter at once."""
    rng = np.random.default_rng(p)
    hessian, gradient = random_quadratic(rng, p, 2 * p)
    factor = np.linalg.cholesky(hessian).T
    target = np.linalg.solve(factor.T, -gradient)
    lasso = Lasso(alpha, fit_intercept=False, positive=positive, tol=1e-14, max_iter=100_000)
    expected = lasso.fit(factor, target).coef_
    kinks = Kinks(np.full(p, alpha * p), np.full(p, positive))
    found = quadratic_step(hessian, gradient, np.zeros(p), kinks)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * (1 + np.abs(expected).max()))
    assert np.abs(kinks.excess(found, gradient + hessian @ found)).max() <= 1e-10


def test_from_its_minimiser_the_step_is_0():
    """... whatever the condition: a step from 0 would return with the rounding of its products."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    hessian = directions * np.logspace(0, -11, 5) @ directions.T
    kinks = Kinks(np.zeros(5), np.ones(5, dtype=bool))
    x = np.array([1e4, 3e4, 0.0, 2e4, 1e4])
    gradient = np.where(x > 0, 0.0, 1.0)
    np.testing.assert_array_equal(quadratic_step(hessian, gradient, x, kinks), 0)


def test_steps_below_the_rounding_of_the_variables_have_their_digits():
    kinks = Kinks(np.array([0.0, 1e-3]), np.array([False, False]))
    gradient = np.array([3e-12, -1e-3 - 2e-12])
    step = quadratic_step(np.diag([1e8, 2e8]), gradient, np.array([0.6, 0.7]), kinks)
    np.testing.assert_allclose(step, [-3e-20, 1e-20], rtol=1e-4)


@pytest.mark.parametrize("condition", [1e1, 1e6])
@pytest.mark.parametrize("seed", range(20))
def test_signs_and_slopes_where_the_step_ends(seed, condition):
    """Of many variables, from anywhere: nothing is left of the slopes, and no sign is wrong."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    hessian = directions * np.geomspace(1.0, 1.0 / condition, 30) @ directions.T
    kinks, x, gradient = random_kinks(rng, 30), 3.0 * rng.normal(size=30), rng.normal(size=30)
    x = kinks.allowed(x)
    found = x + quadratic_step(hessian, gradient, x, kinks)
    excess = kinks.excess(found, gradient + hessian @ (found - x))
    assert np.abs(excess).max() <= 1e-12 * (1.0 + np.abs(found).max())
    assert (found[kinks.positive] >= 0).all()


@pytest.mark.parametrize("seed", range(40))
def test_a_move_is_stopped_where_signs_change(seed):
    """At all the changes if the sum falls by that, else at the first of them."""
    rng = np.random.default_rng(seed)
    # every other matrix has next to no curvature along the move, and much where that is bent
    hessian, y = np.diag(rng.exponential(size=6)) + 1e3 * (seed % 2), rng.normal(size=6)
    move = -2.0 * y * rng.uniform(size=6)
    move[:2] = [-1.5, -1.2] * y[:2]
    move[5] -= move.sum()
    turned = y * (y + move) <= 0
    share = -y / move

    def above(x):
        """What is left of the sum above its minimum at the end of the move, doubled."""
        return (x - y - move) @ hessian @ (x - y - move)

    at, reached, stopped = _stop(hessian, y, move, np.ones(6, dtype=bool), turned)
    here = np.isin(np.arange(6), stopped)
    assert here[turned & (share <= share[turned].min())].all()
    assert (turned[here] & (share[here] <= reached) & (at[here] == 0.0)).all()
    np.testing.assert_allclose(at[~here], (y + reached * move)[~here], rtol=1e-14)
    assert (at * y >= 0)[turned].all()
    assert above(at) < above(y)
    everywhere = np.where(turned, 0.0, y + move)
    if above(everywhere) < above(y):
        np.testing.assert_array_equal(at, everywhere)
        assert reached == 1.0
    else:
        assert reached == share[here].max() < 1.0


COUPLED = np.array([[1.0, 0.5], [0.5, 1.0]])
BY_ROOT = np.linalg.cholesky(COUPLED).T


@pytest.mark.parametrize(
    ("hessian", "gradient", "x", "rounding"),
    [
        (COUPLED, [-1.0, 0.0], [0.0, 2e8], 1e-6),
        (Root(BY_ROOT), [-1.0, 0.0], [0.0, 2e8], 1e-8),
        (Root(BY_ROOT, terms=1e8), [-1.0, 0.0], [0.0, 0.0], 1e-6),
        (Root(BY_ROOT, terms=1.0), [-1e8 - 1.0, -2e8], [0.0, 0.0], 1e-6),
    ],
)
def test_what_exceeds_a_kink_by_rounding_alone_frees_nothing(hessian, gradient, x, rounding):
    """Slopes are sums: of terms at x, of those that they are said to have, and along the step."""
    kinks = Kinks(np.array([1.0, 0.0]), np.zeros(2, dtype=bool))
    for excess, moves in ((0.1 * rounding, False), (1e2 * rounding, True)):
        step = quadratic_step(hessian, np.array(gradient) - [excess, 0.0], np.array(x), kinks)
        assert (step[0] > 0.0) == moves


@pytest.mark.parametrize("where", ["gradient", "hessian"])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_finite_has_no_step(where, bad):
    hessian, gradient = np.eye(2), np.zeros(2)
    (gradient if where == "gradient" else hessian)[0] = bad
    kinks = Kinks(np.ones(2), np.zeros(2, dtype=bool))
    assert quadratic_step(hessian, gradient, np.array([0.0, 1.0]), kinks) is None


def test_a_singular_matrix_of_the_free_variables_has_no_step():
    hessian, kinks = np.ones((2, 2)), Kinks(np.ones(2), np.zeros(2, dtype=bool))
    assert quadratic_step(hessian, np.array([-3.0, -3.0]), np.ones(2), kinks) is None
    free = Kinks(np.zeros(2), np.zeros(2, dtype=bool))
    assert quadratic_step(hessian, np.array([-3.0, -3.0]), np.zeros(2), free) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_root_is_the_matrix_that_it_is_the_root_of(seed):
    rng = np.random.default_rng(seed)
    factor, some = rng.normal(size=(9, 6)), np.array([4, 0, 3])
    root, matrix, vector = Root(factor), factor.T @ factor, rng.normal(size=6)
    np.testing.assert_allclose(root.square, matrix, rtol=1e-14)
    np.testing.assert_allclose(root @ vector, matrix @ vector, rtol=1e-12)
    np.testing.assert_array_equal(root.part(some).factor, factor[:, some])
    np.testing.assert_allclose(root.plus(0.3).square, matrix + 0.3 * np.eye(6), atol=1e-13)
    np.testing.assert_allclose(matrix @ root.solve(vector), vector, rtol=1e-10)
    gradient, kinks = 3.0 * rng.normal(size=6), random_kinks(rng, 6)
    x = feasible(rng, kinks)
    expected = quadratic_step(matrix, gradient, x, kinks)
    np.testing.assert_allclose(quadratic_step(root, gradient, x, kinks), expected, atol=1e-10)


@pytest.mark.parametrize("size", [1e-10, 1.0, 1e10])
def test_a_root_is_singular_where_no_digits_of_a_pivot_are_left(size):
    side = np.array([1.0, 1.0])
    found = Root(size * np.diag([1.0, 1e-15])).solve(side)
    np.testing.assert_allclose(found * size**2, [1.0, 1e30], rtol=1e-12)
    assert Root(size * np.diag([1.0, 1e-17])).solve(side) is None
    assert Root(size * np.ones((1, 2))).solve(side) is None


def test_variables_that_stay_0_may_have_a_singular_matrix():
    """A constant column has no curvature, and no slope that exceeds the kink's."""
    hessian = np.diag([2.0, 0.0])
    kinks = Kinks(np.array([1.0, 1.0]), np.zeros(2, dtype=bool))
    step = quadratic_step(hessian, np.array([-3.0, 0.5]), np.zeros(2), kinks)
    np.testing.assert_allclose(step, [1.0, 0.0], rtol=1e-15)


def test_no_variables_no_step():
    none = Kinks(np.zeros(0), np.zeros(0, dtype=bool))
    assert quadratic_step(np.zeros((0, 0)), np.zeros(0), np.zeros(0), none).shape == (0,)


def test_the_kinks_of_the_first_variables_and_their_own_step():
    rng = np.random.default_rng(3)
    kinks, (hessian, gradient) = random_kinks(rng, 5), random_quadratic(rng, 3)
    lead = kinks.lead(3)
    np.testing.assert_array_equal(lead.slopes, kinks.slopes[:3])
    np.testing.assert_array_equal(lead.positive, kinks.positive[:3])
    expected = by_brute_force(hessian, gradient, np.zeros(3), lead)
    np.testing.assert_allclose(lead.step(hessian, gradient, np.zeros(3)), expected, rtol=1e-9)


def test_the_nearest_point_that_is_allowed():
    kinks = Kinks(np.zeros(4), np.array([True, False, True, True]))
    np.testing.assert_array_equal(
        kinks.allowed(np.array([-1e-20, -3.0, 0.5, 0.0])), [0, -3, 0.5, 0]
    )


@pytest.mark.parametrize("seed", range(10))
def test_change_and_derivatives_are_those_of_the_norm(seed):
    rng = np.random.default_rng(seed)
    kinks = Kinks(rng.exponential(size=6), np.zeros(6, dtype=bool))
    x, step = feasible(rng, kinks), rng.normal(size=6)

    def norm(x):
        return kinks.slopes @ np.abs(x)

    assert kinks.change(x, step) == pytest.approx(norm(x + step) - norm(x), abs=1e-12)
    t = 1e-7  # no kink is that near, but those at 0: one-sided differences are exact
    left, right = kinks.derivatives(x, step)
    assert left == pytest.approx((norm(x) - norm(x - t * step)) / t, abs=1e-6)
    assert right == pytest.approx((norm(x + t * step) - norm(x)) / t, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_excess_is_the_steepest_descent_that_is_left(seed):
    """Its size is the slope along any one coordinate in its better direction; 0 if both rise."""
    rng = np.random.default_rng(seed)
    kinks = random_kinks(rng, 8)
    x, gradient = feasible(rng, kinks), rng.normal(size=8)
    excess = kinks.excess(x, gradient)
    for j, step in enumerate(np.eye(8)):
        up = gradient[j] + kinks.derivatives(x, step)[1]
        down = -gradient[j] + kinks.derivatives(x, -step)[1]
        if kinks.positive[j] and x[j] == 0:
            down = np.inf
        assert abs(excess[j]) == pytest.approx(max(0.0, -up, -down), abs=1e-14)
        assert excess[j] == 0 or np.sign(excess[j]) == (-1 if up < down else 1)


POSITIVE = [
    ElasticNet(0.3, 0.0, 2.0, True),
    ElasticNet(2.0, 0.25, 4.0, True),
    ElasticNet(1e4, 0.9, 1e-3, True),
]


@pytest.mark.parametrize("penalty", POSITIVE)
@pytest.mark.parametrize("slope", [-3.0, -0.5, 0.0, 0.9, 1.5, 20.0])
def test_the_conjugate_under_a_sign_constraint_is_the_supremum(penalty, slope):
    slope = slope * (penalty.slope or 1.0)
    reach = 4 * (abs(slope) + penalty.slope) / penalty.curvature

    def negative(b):
        return penalty.value(np.array([b])) - slope * b

    found = minimize_scalar(negative, bounds=(0, reach), method="bounded")
    best = max(0.0, -found.fun)
    expected = pytest.approx(best, rel=1e-5, abs=1e-5 * (abs(slope) * reach + 1e-300))
    assert penalty.conjugate(np.array([slope])) == expected


@pytest.mark.parametrize("penalty", [*POSITIVE, ElasticNet(positive=True)])
def test_subgradients_under_a_sign_constraint(penalty):
    """pen(b) >= pen(coef) + g'(b - coef) for all b >= 0, and the nearest one that is below."""
    coef = np.array([1.0, 0.0, 0.0, 2.5])
    near = np.array([-5.0, -1e3, 0.3, 0.0]) * (penalty.slope or 1.0)
    slope = penalty.subgradient(coef, near)
    for other in np.abs(np.random.default_rng(0).normal(size=(50, 4))) * 3:
        below = penalty.value(coef) + slope @ (other - coef)
        assert penalty.value(other) >= below - 1e-9 * abs(below)
    assert slope[1] == near[1]
    assert slope[2] == min(near[2], penalty.slope)

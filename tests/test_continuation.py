"""Fits on which Newton's method alone gets stuck: by continuation, with all digits of gradients."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from robustreg import HuberRegressor, MRegressor, huber_path
from robustreg._linalg.precise import precise_residual
from robustreg.penalties._kinks import Kinks, Root, quadratic_step
from robustreg.solvers._continuation import MAX_CUT_SHORT, from_above
from robustreg.solvers._line import Point, search
from robustreg.solvers._newton import semismooth_newton


def followed(seed):
    """One row so far out in X, with so gross a y, that fits follow it: others are nothing in F."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(12, 3))
    X[0] *= 1e3
    y = X.sum(axis=1) + g.normal(size=12)
    y[0] = 1e13
    return X, y


def far_columns(seed):
    """Columns whose means are up to 1e9 spreads from 0: without an intercept all but collinear."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(9, 6)) + 10 ** g.uniform(4, 9, 6)
    return X, g.normal(size=9).round(2)


def leverage(seed):
    """Two columns that differ by 1e-6 of their spreads, and by 1e-16 of their largest entries."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(30, 3))
    X[0] *= 1e10
    X = np.column_stack([X, X[:, 0] + 1e-6 * g.normal(size=30)])
    y = np.round(X[:, 1]) + 5 * g.integers(0, 2, 30)
    y[0] = 1e10 * g.normal()
    return X, y


def certified(model):
    return model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize(
    ("seed", "solver"), [(2, "newton"), (10, "newton"), (2, "working_set"), (2, "lbfgs")]
)
def test_a_fixed_scale_next_to_nothing_beside_what_is_followed(seed, solver):
    X, y = followed(seed)
    penalty = {"alpha": 1e-6, "l1_ratio": 0.0 if solver == "lbfgs" else 0.5}
    assert certified(HuberRegressor(20.0, scale=5.0, solver=solver, **penalty).fit(X, y))


def test_scales_whose_fits_come_to_no_end_are_not_gone_through_to_the_last(monkeypatch):
    """A wide table, a gross y, and next to no scale: another way ends where this one gives up."""
    g = np.random.default_rng(12)
    X, y = g.normal(size=(9, 14)) * 10.0 ** g.uniform(-8, 8, 14), g.standard_cauchy(9)
    y[0] = 1e14
    steps = []

    def recorded(problem, frame, max_iter):
        found = from_above(problem, frame, max_iter)
        steps.append(found[1])
        return found

    monkeypatch.setattr("robustreg.solvers._optimum.from_above", recorded)
    assert certified(HuberRegressor(2.0, scale=1e-16, alpha=0.04).fit(X, y))
    assert len(steps) == 1
    assert steps[0] < 50 + 25 * MAX_CUT_SHORT  # it would be 480


# Least values that were found in 80-bit precision. Residuals have no digits at the joint scale,
# so that a warning may be due.
@pytest.mark.parametrize(
    ("seed", "solver", "least"),
    [(0, "working_set", 568983330.2277235), (11, "newton", 203675912.6683649)],
)
def test_a_joint_scale_next_to_nothing_beside_what_is_followed(seed, solver, least):
    X, y = followed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = HuberRegressor(0.1, positive=True, solver=solver).fit(X, y)
    assert model.objective_ == pytest.approx(least, rel=1e-9)
    assert model.objective_ - model.dual_gap_ <= least


@pytest.mark.parametrize(
    ("seed", "delta", "scale"),
    [(4, 20.0, "joint"), (8, 20.0, "joint"), (4, 1.345, "joint"), (2, 1.345, 1.0)],
)
def test_kinks_in_columns_far_from_0_without_an_intercept(seed, delta, scale):
    """Slopes of the penalty are far below the rounding of terms in gradients and residuals."""
    X, y = far_columns(seed)
    options = {"alpha": 0.1, "l1_ratio": 1.0, "fit_intercept": False}
    assert certified(HuberRegressor(delta, scale=scale, **options).fit(X, y))


@pytest.mark.parametrize(("seed", "positive"), [(0, False), (14, False), (0, True), (3, True)])
def test_kinks_in_columns_that_are_nearly_collinear(seed, positive):
    """Their matrix of products is singular in floating point, and its root is not."""
    X, y = leverage(seed)
    model = MRegressor("half_squared", scale=1.0, alpha=1e-3, l1_ratio=1.0, positive=positive)
    assert certified(model.set_params(solver="newton").fit(X, y))


def test_a_short_fit_stays_short():
    """Whoever allows few iterations does not get the many of a continuation."""
    X, y = followed(2)
    model = HuberRegressor(20.0, scale=5.0, alpha=1e-6, l1_ratio=0.5, max_iter=10)
    with pytest.warns(ConvergenceWarning, match="Increase max_iter"):
        assert model.fit(X, y).n_iter_ <= 10


def test_a_narrow_loss_with_nothing_but_a_scale():
    """The null model of a path without an intercept has no coordinates at a given scale."""
    g = np.random.default_rng(0)
    path = huber_path(g.normal(size=(9, 3)), g.normal(size=9), delta=1e-6, l1_ratio=0.5,
                      n_alphas=3, fit_intercept=False)  # fmt: skip
    assert path.scales[0] > 0.0
    assert not path.coefs[:, 0].any()


def test_a_root_solves_what_its_square_cannot():
    """With a condition number of 1e20 the square is rounding in one direction."""
    g = np.random.default_rng(0)
    factor = np.column_stack([first := g.normal(size=30), first + 1e-10 * g.normal(size=30)])
    wanted = np.array([3.0, -2.0])
    step = quadratic_step(
        Root(factor, terms=1e-30),
        -factor.T @ (factor @ wanted),
        np.zeros(2),
        Kinks(np.full(2, 1e-25), np.zeros(2, dtype=bool)),
    )
    np.testing.assert_allclose(factor @ step, factor @ wanted, rtol=1e-6)
    np.testing.assert_allclose(step.sum(), wanted.sum(), rtol=1e-6)


def test_residuals_with_all_digits():
    g = np.random.default_rng(0)
    block, beta = g.normal(size=(7, 3)) + 1e9, g.normal(size=3)
    offset, target = block.mean(axis=0), g.normal(size=7)
    wide = [np.asarray(each, np.longdouble) for each in (target, block, offset, beta)]
    exact = wide[0] - (wide[1] - wide[2]) @ wide[3] - np.longdouble(0.3)
    found = precise_residual(target, block, offset, beta, 0.3)
    np.testing.assert_allclose(found, exact.astype(float), rtol=1e-9)
    # a double has 7 of these digits
    assert np.finfo(np.longdouble).eps < 1e-18 or found == pytest.approx(exact)


def test_a_last_step_keeps_its_bound():
    """A step that is short enough to be the last may still lead out of the domain."""
    found = semismooth_newton(
        lambda x: float((x[0] + 4e-12) ** 2 / 2),
        np.array([1e-12]),
        jac=lambda x: x + 4e-12,
        hess=lambda x: np.ones((1, 1)),
        bounds=[(0.0, None)],
        xtol=1e-11,
    )
    assert 0.0 <= found.x[0] < 1e-12


def test_a_lengthened_step_keeps_signs():
    """At the end of its reach a variable is 0, not next to it on the wrong side."""
    kinks = Kinks(np.zeros(1), np.ones(1, dtype=bool))

    def at(x):
        return Point(x, float(x[0]) if x[0] >= 0 else np.inf, np.ones(1), kinks)

    g = np.random.default_rng(0)
    for start, size in g.random((200, 2)):
        point, step = at(np.array([start])), np.array([-1e-3 * size])
        reach = start / -step[0]
        further, _, _ = search(
            at, lambda x, d: lambda t: float(d[0]), point, step, float(step[0]), True, reach
        )
        assert further.x[0] >= 0.0

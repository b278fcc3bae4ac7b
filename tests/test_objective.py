"""The objective's derivatives against differences of F as it is written out in _reference."""

import numpy as np
import pytest
from _cases import contaminated
from _reference import Reference
from scipy import sparse

from robustreg.evaluation.choice import quick, scaled, separable, white
from robustreg.evaluation.evaluated import SAME_HESSIAN, SAME_LONG, Curvature
from robustreg.evaluation.hessian import after_step, curvature_to_start_from, hessian_at
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.sums import Bend, Fitted, held
from robustreg.losses import HalfSquared, Huber, LogCosh, PseudoHuber
from robustreg.penalties import ElasticNet
from robustreg.solvers._tracked import Tracked
from robustreg.sources._array import ArraySource

# psi' is kept with seven bits where it is smooth
PSI_PRIME = 2.0**-7

CASES = {
    "log_cosh": (LogCosh(0.8), {}),
    "huber": (Huber(), {}),
    "fixed": (PseudoHuber(0.5), {"scale": 3.0}),
    "ridge": (LogCosh(2.0), {"alpha": 0.3}),
    "weighted": (LogCosh(), {"weight": True, "alpha": 0.1}),
    "no intercept": (Huber(2.0), {"fit_intercept": False}),
    "sparse": (LogCosh(), {"form": sparse.csr_matrix, "weight": True}),
}


def posed(loss, form=np.asarray, weight=False, scale=None, alpha=0.0, fit_intercept=True):
    """A problem, F of its units by the reference, and where neither is at its least."""
    X, y = contaminated()
    weight = 1 + np.arange(len(y)) % 5 if weight else None
    problem = make_problem(
        Data(form(X), y, None if weight is None else weight / 5.0, 1),
        loss=loss,
        scale=scale,
        penalty=ElasticNet(alpha),
        fit_intercept=fit_intercept,
    )
    reference = Reference(
        X, y, loss, weight, scale or "joint", alpha=alpha, fit_intercept=fit_intercept
    )
    return problem, reference


def value_by(reference, objective, problem):
    """F at theta, from coefficients in the user's units alone."""

    def value(theta):
        found = objective.found(theta)
        coef, intercept = problem.in_user_units(found.coef, found.intercept)
        sigma = problem.in_units_of_y(found.sigma)
        return reference.value(coef, intercept, sigma) / problem.in_units_of_objective(1.0)

    return value


def difference(function, theta, step, size=1e-5):
    """The derivative of a function along a step."""
    return (function(theta + size * step) - function(theta - size * step)) / (2 * size)


@pytest.mark.parametrize("coordinates", [separable, white])
@pytest.mark.parametrize("rows", [16, 1000])
@pytest.mark.parametrize("case", CASES)
def test_derivatives(case, rows, coordinates, monkeypatch):
    monkeypatch.setattr(ArraySource, "block_rows", rows)  # of many blocks, and of one
    loss, how = CASES[case]
    problem, reference = posed(loss, **how)
    objective = make_objective(problem, coordinates(problem))
    value, rng = value_by(reference, objective, problem), np.random.default_rng(5)
    theta = rng.normal(size=objective.size)
    theta[-1] = 1.3
    steps = [*np.eye(objective.size), rng.normal(size=objective.size) / 3]

    here = objective.evaluate(theta)
    assert here.value == pytest.approx(value(theta), rel=1e-13)
    for step in steps:
        expected = difference(value, theta, step)
        assert here.gradient @ step == pytest.approx(expected, rel=1e-7, abs=1e-8)
        slope = objective.slope_along(theta, step)
        for t in (0.0, 0.4):
            there = difference(value, theta + t * step, step)
            assert slope(t) == pytest.approx(there, rel=1e-7, abs=1e-8)

    expected = np.column_stack([difference(lambda x: objective(x)[1], theta, e) for e in steps])
    size = np.abs(expected).max()
    tracked = Tracked(objective)
    products, _ = hessian_at(objective, here)  # without a curvature: from passes over X
    tracked.at(theta + 0.1)  # from where the Gram matrix comes back
    for hessian in (tracked.hessian(theta), products):
        for step, derivative in zip(steps, expected.T, strict=True):
            np.testing.assert_allclose(hessian @ step, derivative, atol=PSI_PRIME * size)


@pytest.mark.parametrize("case", CASES)
def test_psi_after_a_step(case):
    loss, how = CASES[case]
    problem, _ = posed(loss, **how)
    objective = make_objective(problem, white(problem))
    rng = np.random.default_rng(6)
    theta, step = rng.normal(size=(2, objective.size))
    theta[-1], step = 1.3, 1e-4 * step

    def psi(theta):
        return loss.psi(objective.residuals(theta) / objective.scale_at(theta))

    here = objective.evaluate(theta)
    change, expected = (
        after_step(objective, here, step) - psi(theta),
        psi(theta + step) - psi(theta),
    )
    np.testing.assert_allclose(change, expected, atol=2 * PSI_PRIME * np.abs(expected).max())


@pytest.mark.parametrize("coordinates", [quick, white])
@pytest.mark.parametrize("left", [2, 40])
def test_a_gram_matrix_of_single_precision_keeps_its_digits(left, coordinates):
    """Outliers take nearly all rows of a rare column: what is left of it is summed anew."""
    rng = np.random.default_rng(0)
    X, rare = rng.normal(size=(2000, 60)), np.arange(2000) < 200 + left
    X[:, 0] = np.where(rare, X[:, 0], 0.0)
    y = rng.normal(size=2000)
    y[:200] += 1e3
    data = Data(X, y, None, 1)
    problem = make_problem(data, loss=Huber(), scale=None, penalty=ElasticNet(), fit_intercept=True)
    objective = make_objective(problem, coordinates(problem))
    theta = np.zeros(objective.size)
    theta[-1] = 2.0 * problem.spread
    start = curvature_to_start_from(objective)
    assert start.single == (coordinates is quick)
    here = objective.evaluate(theta, start)
    found, curvature = hessian_at(objective, here)
    anew = start.single and left == 2
    assert curvature.single == (start.single and not anew)
    assert (curvature is not here.curvature) == anew
    products, _ = hessian_at(objective, here._replace(curvature=None))
    expected = products @ np.eye(objective.size)
    digits = 1e-5 if curvature.single else 1e-12
    np.testing.assert_allclose(found, expected, rtol=0, atol=digits * np.abs(expected).max())


def test_a_gram_matrix_in_the_coordinates_of_the_rows():
    """Of more columns than rows, where it is summed anew from nothing."""
    X, y = contaminated(n=10, p=12)
    data = Data(X, y, None, 1)
    problem = make_problem(data, loss=Huber(), scale=None, penalty=ElasticNet(), fit_intercept=True)
    objective = make_objective(problem, white(problem))
    assert objective.coordinates.by_rows
    theta = np.random.default_rng(7).normal(size=objective.size)
    theta[-1] = 1.3
    here = objective.evaluate(theta, curvature_to_start_from(objective))
    expected = hessian_at(objective, here._replace(curvature=None))[0] @ np.eye(objective.size)
    size = np.abs(expected).max()
    np.testing.assert_allclose(hessian_at(objective, here)[0], expected, atol=1e-12 * size)


@pytest.mark.parametrize("loss", [Huber(0.7), LogCosh(1.5), PseudoHuber(0.5)])
def test_psi_prime_is_held_in_steps_of_less_than_a_hundredth(loss):
    z = np.random.default_rng(8).normal(scale=3.0, size=2000)
    exact = loss.psi_prime(z)
    rounding = 0.004 if loss.smoothness > 1 else 0.0
    np.testing.assert_allclose(held(loss, z), exact, rtol=rounding, atol=0)
    # most rows keep it as a fit settles
    assert np.mean(held(loss, z) == held(loss, z * (1 + 1e-6))) > 0.99


@pytest.mark.parametrize("rows", [16, 1000])
def test_a_point_next_to_another_has_its_curvature(rows, monkeypatch):
    monkeypatch.setattr(ArraySource, "block_rows", rows)
    problem, _ = posed(LogCosh())
    objective = make_objective(problem, white(problem))
    theta = np.append(np.zeros(objective.lead), 1.3)
    first = objective.evaluate(theta, curvature_to_start_from(objective)).curvature
    near = SAME_HESSIAN if rows == 1000 else SAME_LONG
    assert objective.evaluate(theta + 0.1 * near, first).curvature is first
    assert objective.evaluate(theta + 10 * near, first).curvature is not first


@pytest.mark.parametrize("rows", [16, 1000])
@pytest.mark.parametrize("case", CASES)
def test_what_a_point_is_judged_by(case, rows, monkeypatch):
    """Residuals, the size of psi, and what psi as a dual point leaves unbalanced: the gradient."""
    monkeypatch.setattr(ArraySource, "block_rows", rows)
    loss, how = CASES[case]
    problem, _ = posed(loss, **how)
    objective = make_objective(problem, white(problem))
    theta = np.random.default_rng(9).normal(size=objective.size)
    if objective.joint:
        theta[-1] = 1.3
    here = objective.evaluate(theta, keep=True)
    found = objective.found(theta)
    residual = problem.y - problem.X @ found.coef - found.intercept
    np.testing.assert_allclose(here.residual, residual, rtol=1e-12, atol=1e-12)
    assert objective.evaluate(theta).residual is None
    psi = loss.psi(residual / objective.scale_at(theta))
    expected = np.sqrt(np.average(psi**2, weights=problem.weight))
    assert objective.rms_psi(here.sums) == pytest.approx(expected)
    left = objective.imbalance(theta, psi)
    np.testing.assert_allclose(left, -here.gradient[: objective.lead], atol=1e-12)
    np.testing.assert_allclose(objective.pack(found), theta, rtol=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares_need_moments(fit_intercept):
    problem, _ = posed(HalfSquared(), scale=2.0, alpha=0.3, fit_intercept=fit_intercept)
    objective = make_objective(problem, white(problem))
    theta = objective.least_squares()
    np.testing.assert_allclose(objective(theta)[1], 0.0, atol=1e-12 * np.abs(problem.y).max())
    without = make_objective(problem, scaled(problem))
    np.testing.assert_array_equal(without.least_squares(), np.zeros(3 + fit_intercept))


def test_kinks_are_in_single_columns():
    """Coordinates that mix the columns have none, nor has a ridge."""
    problem, _ = posed(Huber(), alpha=0.3)
    lasso = ElasticNet(0.3, 1.0)
    single, mixed = (make_objective(problem, choice(problem)) for choice in (separable, white))
    assert single.kinks is None
    assert single.of(problem.loss, lasso).kinks is not None
    assert mixed.of(problem.loss, lasso).kinks is None


@pytest.mark.parametrize("scales", [SAME_HESSIAN, 0.1])
def test_how_close_a_point_is_whose_hessian_is_the_same(scales):
    at, away = np.array([3.0, -4.0, 2.0]), np.array([0.6, 0.0, -0.8])
    here = Curvature(np.eye(3), Bend(Huber(), None, 1.0), False, at, sigma=2.0)
    assert here.is_near(at, 2.0, scales)
    assert here.is_near(at + 1.9 * scales * away, 2.0, scales)
    assert not here.is_near(at + 2.1 * scales * away, 2.0, scales)
    assert not here.is_near(at + np.array([np.inf, 0.0, 0.0]), 2.0, scales)
    assert not here.elsewhere().is_near(at, 2.0, scales)


@pytest.mark.parametrize("coordinates", [separable, white])
@pytest.mark.parametrize("case", CASES)
def test_coefficients_keep_their_predictions_about_another_centre(case, coordinates):
    loss, how = CASES[case]
    problem, _ = posed(loss, **how)
    objective = make_objective(problem, coordinates(problem))
    other = objective.rows.about(np.array([3.0, -1.0, 0.5]))
    coef, intercept = np.array([1.0, -2.0, 3.0]), 4.0 * problem.fit_intercept
    fitted = other.collect(Fitted(coef * other.unit, intercept))
    if not problem.fit_intercept:  # nothing is centred then
        fitted += other.offset @ coef
    theta = np.append(objective.carry(coef, intercept, other), 1.0)
    np.testing.assert_allclose(objective.residuals(theta), problem.y - fitted, rtol=1e-10)
    coef[1] = np.inf  # out of range: dropped
    infinite = objective.carry(coef, intercept, other)
    coef[1] = 0.0
    np.testing.assert_array_equal(infinite, objective.carry(coef, intercept, other))


@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_penalised_least_squares_are_least_where_the_loss_is_its_parabola(l1_ratio, weighted):
    X, y = contaminated()
    weight = 1.0 + np.arange(len(y)) % 5 if weighted else None
    problem = make_problem(
        Data(X, y, weight, 1),
        loss=HalfSquared(),
        scale=2.0,
        penalty=ElasticNet(0.3, l1_ratio),
        fit_intercept=True,
    )
    objective = make_objective(problem, separable(problem))
    theta = objective.penalised_least_squares(problem.scale)
    assert theta.all()
    slope = objective.kinks.excess(theta, objective(theta)[1])
    size = objective.rms_psi(objective.evaluate(theta).sums)
    np.testing.assert_allclose(slope, 0.0, atol=1e-5 * size)


def test_penalised_least_squares_share_a_slope_among_columns_that_are_alike():
    X, y = contaminated(n=2000, p=2)
    problem = make_problem(
        Data(np.column_stack([X, X[:, 0]]), y, None, 1),
        loss=HalfSquared(),
        scale=2.0,
        penalty=ElasticNet(0.3, 1.0),
        fit_intercept=True,
    )
    objective = make_objective(problem, separable(problem))
    theta = objective.penalised_least_squares(problem.scale)
    assert theta.all()
    assert theta[0] == pytest.approx(theta[2], rel=1e-7)  # of all equal sums the least squares
    slope = objective.kinks.excess(theta, objective(theta)[1])
    size = objective.rms_psi(objective.evaluate(theta).sums)
    np.testing.assert_allclose(slope, 0.0, atol=1e-5 * size)


@pytest.mark.parametrize("coordinates", [separable, white])
def test_reach_of_columns(coordinates):
    """What a column varies by where the others stay: the inverse of the covariances says it."""
    X, y = contaminated()
    X = X @ np.array([[1.0, 0.9, 0.0], [0.0, 0.3, 0.0], [0.5, 0.0, 20.0]])
    problem = make_problem(
        Data(X, y, None, 1), loss=Huber(), scale=None, penalty=ElasticNet(), fit_intercept=True
    )
    own, _ = coordinates(problem)
    expected = np.sqrt(np.diag(np.linalg.inv(np.cov(X.T, bias=True))))
    np.testing.assert_allclose(own.reach_of_columns(), expected, rtol=1e-4)


@pytest.mark.parametrize("coordinates", [separable, white, scaled])
@pytest.mark.parametrize("weighted", [False, True])
def test_changes_that_remove_a_slope(weighted, coordinates):
    X, y = contaminated()
    X[:, 1] += 2.0 * X[:, 0]
    weight = 1.0 + np.arange(len(y)) % 5 if weighted else None
    problem = make_problem(
        Data(X, y, weight, 1), loss=Huber(), scale=None, penalty=ElasticNet(), fit_intercept=True
    )
    own, _ = coordinates(problem)
    slope = np.array([0.3, -2.0, 1.0])
    nu = own.fitted(own.expand(own.solve_gram(slope)), 0.0)
    np.testing.assert_allclose(own.reduce(own.slopes(nu)[0]), slope, rtol=1e-9)

"""Sums, gradients and Hessians at several points against dense rows, a point at a time."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from _cases import clean
from _reference_formulas import formulas, kappa
from numpy.testing import assert_allclose

from robustreg.evaluation import points as module
from robustreg.evaluation.choice import separable, white
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.points import CURVATURE_STEP, Stack
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Huber, LogCosh, PseudoHuber, SmoothL1, Squared
from robustreg.penalties import ElasticNet
from robustreg.sources._array import ArraySource

CASES = {
    "huber": (Huber(), {}),
    "log_cosh": (LogCosh(0.8), {}),
    "weighted huber": (Huber(0.5), {"weighted": True}),
    "weighted pseudo_huber": (PseudoHuber(2.0), {"weighted": True}),
    "fixed scale": (Squared(), {"scale": 2.0}),
    "no intercept": (SmoothL1(0.2), {"fit_intercept": False}),
    "copied rows": (LogCosh(), {"dtype": np.float32, "weighted": True}),
}


def posed(
    loss, y=None, weighted=False, scale=None, fit_intercept=True, dtype=float, coordinates=white
):
    """An objective, and the rows, targets and weights that it has of a table."""
    X, noisy = clean()
    y = noisy if y is None else y
    X = (X * [1e-2, 1.0, 50.0] + [1.0, 2.0, -70.0]).astype(dtype)
    weight = 1.0 + np.arange(len(y)) % 5 if weighted else None
    problem = make_problem(
        Data(X, y, weight, 1),
        loss=loss,
        scale=scale,
        penalty=ElasticNet(),
        fit_intercept=fit_intercept,
    )
    objective = make_objective(problem, coordinates(problem))
    rows = objective.rows
    read = (X - rows.base) / rows.unit - rows.offset
    own = np.ones(len(y)) if weight is None else problem.weight
    return objective, (read, problem.y, own)


class Dense:
    """F at one point, its sums and its Hessian by their definitions."""

    def __init__(self, objective, data):
        self.own, (self.read, self.y, self.weight) = objective, data
        self.kappa = kappa(objective.loss) if objective.joint else 0.0
        self.rho, self.psi, self.psi_prime = formulas(objective.loss)
        basis = objective.coordinates.basis
        self.basis = basis if basis.ndim == 2 else np.diag(basis)

    def residual(self, theta):
        k, fit_intercept = self.own.k, self.own.rows.fit_intercept
        fitted = self.read @ self.basis @ theta[:k] + (theta[k] if fit_intercept else 0.0)
        sigma = theta[-1] if self.own.joint else self.own.scale
        return (self.y - fitted) / sigma, sigma

    def value(self, theta, strength):
        z, sigma = self.residual(theta)
        coef = self.basis @ theta[: self.own.k] / self.own.rows.unit
        loss = sigma * np.average(self.rho(z), weights=self.weight)
        return loss + self.kappa * sigma + strength * coef @ coef / 2

    def gradient(self, theta, strength, step=1e-5):
        steps = step * np.eye(len(theta))
        ends = [[self.value(theta + s * one, strength) for one in steps] for s in (1, -1)]
        return np.subtract(*ends) / (2 * step)

    def sums(self, theta):
        z, psi = self.residual(theta)[0], self.psi(self.residual(theta)[0])
        each = [z * psi - self.rho(z), psi, psi**2, psi * z, psi[:, None] * self.read]
        return [self.weight @ one for one in each]

    def hessian(self, theta):
        z, sigma = self.residual(theta)
        rows = [self.read @ self.basis]
        rows += [np.ones((len(z), 1))] * self.own.rows.fit_intercept
        rows += [z[:, None]] * self.own.joint
        rows = np.column_stack(rows)
        bend = self.weight * self.psi_prime(z)
        return rows.T @ (bend[:, None] * rows) / (self.weight.sum() * sigma)


def some_points(objective, count, seed=0):
    theta = np.random.default_rng(seed).normal(size=(count, objective.size))
    if objective.joint:
        theta[:, -1] = np.linspace(0.7, 2.0, count)
    return theta


def hessians_at(stack, points, theta):
    """Once their Gram matrices are brought up to date."""
    places = stack.places(theta)
    stack.evaluate(points, places, refresh=True)
    return stack.hessians(points, places)


def assert_hessians(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=0, atol=1e-11 * np.abs(other).max())


@pytest.mark.parametrize("coordinates", [separable, white])
@pytest.mark.parametrize("entries", [20, 10**6])
@pytest.mark.parametrize("block_rows", [16, 1000])
@pytest.mark.parametrize("case", CASES)
def test_every_point_has_its_own(case, block_rows, entries, coordinates, monkeypatch):
    monkeypatch.setattr(ArraySource, "block_rows", block_rows)
    monkeypatch.setattr(module, "CACHED", entries)
    loss, how = CASES[case]
    objective, data = posed(loss, coordinates=coordinates, **how)
    assert (objective.rows.unit != 1.0).any() == (case == "copied rows")
    dense, stack = Dense(objective, data), Stack(objective, 4)
    theta, strength = some_points(objective, 4), np.array([0.0, 0.1, 1.0, 10.0])

    places, points = stack.places(theta), np.arange(4)
    sums = stack.evaluate(points, places, refresh=True)
    gradients = stack.gradients(sums, places, strength)
    for k, own in enumerate(theta):
        there, expected = sums.at(k), dense.sums(own)
        found = [there.conjugate, there.psi, there.psi_psi, there.psi_z]
        assert_allclose(found, expected[:-1], rtol=1e-9, atol=1e-11 * expected[2])
        assert_allclose(there.psi_a, expected[-1], atol=1e-11 * np.abs(data[0]).sum())
        expected = dense.gradient(own, strength[k])
        assert_allclose(gradients[k], expected, atol=1e-7 * np.abs(expected).max())
    assert_hessians(stack.hessians(points, places), map(dense.hessian, theta))

    # some go on, in another order; psi' of a smooth loss may be off by a share of itself
    points = np.array([3, 0])
    moved = theta[points] * 1.1 + 0.02
    rng = np.random.default_rng(1)
    for found, own in zip(hessians_at(stack, points, moved), moved, strict=True):
        off = found - dense.hessian(own)
        if loss.smoothness < 2:
            assert_hessians([off + dense.hessian(own)], [dense.hessian(own)])
        for along in rng.normal(size=(20, len(own))):
            assert abs(along @ off @ along) <= CURVATURE_STEP * (along @ dense.hessian(own) @ along)
    kept = np.array([1, 2])
    assert_hessians(
        stack.hessians(kept, stack.places(theta[kept])), map(dense.hessian, theta[kept])
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_point_has_in_common_with_its_neighbour_is_told_by_sign(weighted, monkeypatch):
    """Rows that leave one Gram matrix enter the next: the changes are opposite, and not alike."""
    monkeypatch.setattr(module, "FEW_ROWS", 0)
    objective, data = posed(Huber(), weighted=weighted)
    dense, stack = Dense(objective, data), Stack(objective, 4)
    theta, points = some_points(objective, 4), np.arange(4)
    theta[:, :-1] *= 0.01
    for sigma in ([10.0, 0.02, 10.0, 8.0], [0.02, 10.0, 9.0, 0.3], [1.0, 1.0, 1.1, 1.0]):
        theta[:, -1] = sigma
        assert_hessians(hessians_at(stack, points, theta), map(dense.hessian, theta))


def test_gram_matrices_stay_where_they_are_not_refreshed():
    objective, data = posed(Huber())
    dense, stack = Dense(objective, data), Stack(objective, 2)
    theta, points = some_points(objective, 2), np.arange(2)
    before = hessians_at(stack, points, theta)
    away = 3.0 * theta
    sums = stack.evaluate(points, stack.places(away), refresh=False)
    assert_allclose(sums.psi_psi, [dense.sums(own)[2] for own in away], rtol=1e-9)
    np.testing.assert_array_equal(stack.hessians(points, stack.places(theta)), before)


def test_a_point_that_has_strayed_starts_anew():
    _, y = clean()
    y[:20] = 1e9
    objective, data = posed(Huber(), y)
    dense, stack = Dense(objective, data), Stack(objective, 3)
    theta, points = some_points(objective, 3), np.arange(3)
    stray = theta.copy()
    stray[1:, -1] = 1e9  # gross errors are none there, and their squares take all digits
    hessians_at(stack, points, stray)
    stack.forget(1)
    found, expected = hessians_at(stack, points, theta), [dense.hessian(own) for own in theta]
    assert_hessians(found[:2], expected[:2])
    assert np.abs(found[2] - expected[2]).max() > 1e-6 * np.abs(expected[2]).max()


@pytest.mark.parametrize("share", [0.5, 1.5, -0.5, -1.5])
def test_how_far_psi_prime_may_be_off(share):
    """All rows have one psi', which moves by a share of what it may be off."""
    objective, data = posed(PseudoHuber(1.0), np.resize([1.0, -1.0], 60))
    size = np.abs(data[1])
    assert np.ptp(size) == 0.0
    dense, stack = Dense(objective, data), Stack(objective, 1)
    theta, points = np.zeros((2, 1, objective.size)), np.arange(1)
    there = 1.0 + share * CURVATURE_STEP
    z = np.array([1.0, np.sqrt(2.0 * there ** (-2 / 3) - 1.0)])
    theta[:, 0, -1] = size[0] / z
    assert_allclose(dense.psi_prime(z[1]), dense.psi_prime(z[0]) * there)
    hessians_at(stack, points, theta[0])
    found, expected = hessians_at(stack, points, theta[1])[0], dense.hessian(theta[1, 0])
    off = np.abs(found - expected).max() / np.abs(expected).max()
    assert (off < 1e-11) if abs(share) > 1 else (off < CURVATURE_STEP)


def test_psi_prime_between_kinks_is_exact_though_the_loss_changes():
    """It is a constant there; two losses may differ by less than what a smooth one is off."""
    objective, data = posed(SmoothL1(0.2))
    stack, theta, points = Stack(objective, 2), some_points(objective, 2), np.arange(2)
    theta[:, :-1] *= 0.1
    for loss in (SmoothL1(0.2), SmoothL1(0.2005)):
        stack.objective = objective.of(loss, objective.penalty)
        dense = Dense(stack.objective, data)
        assert_hessians(hessians_at(stack, points, theta), map(dense.hessian, theta))


@dataclass(frozen=True)
class Watched(Huber):
    """Notes the shapes of arrays that it is applied to."""

    shapes: list = field(default_factory=list, hash=False, compare=False)

    def _psi(self, z):
        self.shapes.append(np.shape(z))
        return super()._psi(z)


def test_arrays_of_points_and_rows_stay_small(monkeypatch):
    monkeypatch.setattr(module, "CACHED", 50)
    loss = Watched()
    objective, _ = posed(loss)
    loss.shapes.clear()
    stack = Stack(objective, 4)
    stack.evaluate(np.arange(4), stack.places(some_points(objective, 4)), refresh=True)
    assert max(map(np.prod, loss.shapes)) <= 50
    assert sum(rows for _, rows in loss.shapes) == 60

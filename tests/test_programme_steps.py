"""Steps of the programmes of absolute deviations: to the central path, and between vertices."""

import numpy as np
import pytest

from robustreg.solvers.programme.central import Point, central_point, majorised
from robustreg.solvers.programme.early import EarlyVertex
from robustreg.solvers.programme.rows import Stored


def programme(low=-1.0, high=1.0, seed=0):
    rng = np.random.default_rng(seed)
    design = np.column_stack([rng.normal(size=(60, 2)), np.ones(60)])
    target = design @ [1.0, 2.0, 3.0] + rng.standard_t(2, size=60)
    weight = rng.uniform(0.5, 1.0, size=60)
    bounds = low * np.ones(60), high * np.ones(60)
    return Stored(design, target, weight, *bounds, weight.sum(), np.zeros((3, 3)))


def smooth_value(rows, theta, mu):
    """The function whose minimum is the point of the central path."""
    point = central_point(rows, theta, mu)
    (up, down), (p, q) = point.slack, point.parts
    return rows.average(point.nu * (p - q) + mu * np.log(up * down))


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-0.1, 0.9)])
@pytest.mark.parametrize("mu", [1.0, 0.01])
def test_steps_on_parabolas_from_above_go_down_to_the_central_path(bounds, mu):
    rows = programme(*bounds)
    theta, values = np.zeros(3), []
    for _ in range(200):
        values.append(smooth_value(rows, theta, mu))
        theta = majorised(rows, theta, rows.residuals(theta), mu)
    assert (np.diff(values) <= 1e-12).all()
    assert values[-1] < values[0]
    nu = central_point(rows, theta, mu).nu
    np.testing.assert_allclose(rows.slopes(nu), 0.0, atol=1e-6)


def far_from(rows, theta):
    """A point over theta whose complementarity says that its vertex is to be looked at."""
    residual = rows.residuals(theta)
    slack = np.where(residual > 0, [[1e-9], [2.0]], [[2.0], [1e-9]])
    parts = np.maximum([residual, -residual], 1e-12)
    return Point(theta, np.sign(residual), slack, parts)


def test_the_walk_ends_at_the_only_optimum_or_nowhere():
    rows = programme()
    rng, found = np.random.default_rng(1), []
    for _ in range(30):
        early = EarlyVertex(rows, 1e-9)
        if early(far_from(rows, rng.normal(size=3)), 1e-12):
            found.append(early.found)
    assert found
    for optimum in found:
        np.testing.assert_allclose(optimum.theta, found[0].theta, rtol=1e-12)
        np.testing.assert_allclose(rows.slopes(optimum.nu), 0.0, atol=1e-14)
        assert (np.abs(optimum.nu) <= 1.0).all()
        assert (rows.residuals(optimum.theta)[optimum.zero] < 1e-12).all()
        assert optimum.zero.sum() == 3


def test_tied_rows_at_the_optimum_prove_nothing():
    rows = programme()
    early = EarlyVertex(rows, 1e-9)
    theta = next(
        early.found.theta
        for seed in range(50)
        if early(far_from(rows, np.random.default_rng(seed).normal(size=3)), 1e-12)
    )
    early.found, rows.target = None, rows.target.copy()
    other = int(np.argsort(np.abs(rows.residuals(theta)))[3])
    rows.target[other] -= rows.residuals(theta)[other]  # one more row at 0
    assert not early(far_from(rows, theta), 1e-12)

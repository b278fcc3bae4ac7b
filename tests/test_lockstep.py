"""Fits in lockstep are those of Newton one by one."""

import numpy as np
import pytest
from _cases import SMOOTH_LOSSES, clean, contaminated, rank_deficient, weights_for
from scipy import sparse

from robustreg.evaluation import points as _stack
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.problem import Coefficients
from robustreg.losses import Huber
from robustreg.model_selection._sequence import Sequence
from robustreg.penalties import ElasticNet
from robustreg.solvers import _lockstep
from robustreg.solvers.smooth import NewtonSession, newton

ALPHAS = np.array([3.0, 1.0, 0.3, 0.1, 0.01, 0.0])
LIMITS = {"max_iter": 100, "tol": 1e-7}


def problem_of(X, y, weight=None, loss=None, scale=None, fit_intercept=True, **penalty):
    return make_problem(
        Data(X, y, weight, 1),
        loss=loss or Huber(),
        scale=scale,
        penalty=ElasticNet(1.0, **penalty),
        fit_intercept=fit_intercept,
    )


def cells_of(problem, alphas=ALPHAS):
    return [problem.with_alpha(alpha) for alpha in alphas]


def near(fits, off=0.02):
    """Starts that are off by some hundredths of a scale."""
    rng = np.random.default_rng(0)
    return [
        Coefficients(
            fit.coef + off * fit.sigma * rng.normal(size=len(fit.coef)),
            fit.intercept,
            (1.0 + off) * fit.sigma,
        )
        for fit in fits
    ]


def assert_same_fits(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.converged == other.converged
        np.testing.assert_allclose(one.coef, other.coef, rtol=1e-8, atol=1e-9 * other.sigma)
        assert one.intercept == pytest.approx(other.intercept, rel=1e-8, abs=1e-9 * other.sigma)
        assert one.sigma == pytest.approx(other.sigma, rel=1e-8)
        assert one.objective == pytest.approx(other.objective, rel=1e-12)
        assert one.rank == other.rank
        assert 0.0 <= one.gap <= 1e-10 * one.objective


@pytest.mark.parametrize(
    ("scale", "fit_intercept", "weighted"),
    [(None, True, False), (None, False, True), (0.8, True, True), (0.8, False, False)],
)
@pytest.mark.parametrize("loss", SMOOTH_LOSSES.values(), ids=SMOOTH_LOSSES)
def test_fits_are_those_one_by_one(loss, scale, fit_intercept, weighted):
    X, y = contaminated(n=300, p=4)
    weight = weights_for(300) if weighted else None
    if weight is not None:
        X, y, weight = (part[weight > 0] for part in (X, y, weight))
    problem = problem_of(X, y, weight, loss, scale, fit_intercept)
    cells = cells_of(problem)
    expected = [newton(cell, **LIMITS) for cell in cells]
    found = NewtonSession().fit_together(cells, near(expected, 0.005), **LIMITS)
    assert all(fit is not None for fit in found)
    assert_same_fits(found, expected)


@pytest.mark.parametrize("entries", [1, 40, 10**6])
def test_pieces_of_the_rows_make_no_difference(entries, monkeypatch):
    monkeypatch.setattr(_stack, "CACHED", entries)
    cells = cells_of(problem_of(*contaminated(n=200, p=3)))
    expected = [newton(cell, **LIMITS) for cell in cells]
    assert_same_fits(NewtonSession().fit_together(cells, near(expected), **LIMITS), expected)


def test_neighbours_share_changes(monkeypatch):
    monkeypatch.setattr(_stack, "FEW_ROWS", 0)
    cells = cells_of(problem_of(*contaminated(n=200, p=3), weights_for(200) + 0.5))
    expected = [newton(cell, **LIMITS) for cell in cells]
    assert_same_fits(NewtonSession().fit_together(cells, near(expected), **LIMITS), expected)


def test_as_many_points_at_once_as_there_is_room_for(monkeypatch):
    monkeypatch.setattr(_lockstep, "LITTLE", 0)
    cells = cells_of(problem_of(*contaminated(n=200, p=3)))
    assert _lockstep._room(cells[0]) == 2
    expected = [newton(cell, **LIMITS) for cell in cells]
    assert_same_fits(NewtonSession().fit_together(cells, near(expected), **LIMITS), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_far_from_zero_and_in_any_unit(dtype):
    X, y = contaminated(n=200, p=3)
    X = (X * [1e-3, 1.0, 1e5] + [1.0, 1e4, 0.0]).astype(dtype)
    cells = cells_of(problem_of(X, y), ALPHAS[1:-1])
    expected = [newton(cell, **LIMITS) for cell in cells]
    starts = [Coefficients(fit.coef, fit.intercept, 1.1 * fit.sigma) for fit in expected]
    found = NewtonSession().fit_together(cells, starts, **LIMITS)
    assert all(fit is not None for fit in found)
    assert_same_fits(found, expected)


def test_gross_errors_cost_no_digits():
    X, y = clean(n=200, p=3)
    y[:20] = 1e12
    cells = cells_of(problem_of(X, y))
    expected = [newton(cell, **LIMITS) for cell in cells]
    session = NewtonSession()
    far = [Coefficients(np.full(3, 1e11), 1e12, 1e12) for _ in cells]
    session.fit_together(cells, far, **LIMITS)  # in which the gross errors are none
    found = session.fit_together(cells, near(expected), **LIMITS)
    assert all(fit is not None for fit in found)
    assert_same_fits(found, expected)


def test_directions_that_only_the_penalty_decides():
    """Copies and sums of columns: with a penalty in lockstep, and without one each by itself."""
    X, y = rank_deficient(n=200)
    X = np.delete(X, 4, axis=1)  # a constant column has no coordinate
    cells = cells_of(problem_of(X, y))
    expected = [newton(cell, **LIMITS) for cell in cells]
    # so near that the steps in these directions, which a weak penalty makes long, stay within
    found = NewtonSession().fit_together(cells, near(expected, 1e-5), **LIMITS)
    assert found[-1] is None
    assert all(fit is not None for fit in found[:-1])
    assert_same_fits(found[:-1], expected[:-1])


def none_of(problem, start):
    return NewtonSession().fit_together([problem] * 2, [start] * 2, **LIMITS) == [None, None]


def test_what_is_left_to_others():
    X, y = clean()
    start = Coefficients(np.zeros(3), 0.0, 1.0)
    assert none_of(problem_of(X, y), None)
    assert none_of(problem_of(sparse.csr_array(X), y), start)
    assert none_of(problem_of(X, y, l1_ratio=0.5), start)
    assert none_of(problem_of(X, y, positive=True), start)
    assert none_of(problem_of(X, np.ones(len(y))), start)
    assert none_of(problem_of(np.column_stack([X, np.ones(len(y))]), y).with_alpha(0.0), start)
    hidden = y.copy()
    hidden[0] = 1e20
    assert none_of(problem_of(X, hidden), start)
    assert none_of(problem_of(X[:6], y[:6]).with_alpha(0.0), Coefficients(np.ones(3), 3.0, 1e-3))


def test_a_scale_on_its_way_to_zero_is_left_to_others():
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X @ [1.0, 2.0, 3.0]
    y[:10] += 5.0
    assert none_of(
        problem_of(X, y).with_alpha(0.0), Coefficients(np.array([1.0, 2.0, 3.0]), 0.1, 0.1)
    )


def test_iterations_count():
    cells = cells_of(problem_of(*contaminated(n=200, p=3)))
    expected = [newton(cell, **LIMITS) for cell in cells]
    found = NewtonSession().fit_together(cells, near(expected), max_iter=1, tol=1e-7)
    assert found == [None] * len(cells)
    found = NewtonSession().fit_together(cells, near(expected, 0.0), max_iter=2, tol=1e-7)
    assert all(fit.n_iter <= 2 for fit in found)


# --- rows of a grid


@pytest.mark.parametrize("guide", ["none", "good", "scattered", "exact fits"])
def test_rows_are_those_one_by_one_wherever_a_guide_leads(guide):
    problem = problem_of(*contaminated(n=200, p=3))
    rows = [problem.with_loss(Huber(delta)) for delta in (0.5, 1.0, 1.345, 2.0, 5.0)]
    trail = None
    if guide != "none":
        first = Sequence("newton", 100, 1e-7)
        for row in rows:
            first.together(row, ALPHAS)
        rng, trail = np.random.default_rng(0), first.trail
        if guide == "scattered":
            trail = [where + rng.normal(size=where.shape) for where in trail]
        if guide == "exact fits":
            trail = [where * 0.0 for where in trail]
    guided, plain = (Sequence("newton", 100, 1e-7, way) for way in (trail, None))
    for row in rows:
        found, expected = guided.together(row, ALPHAS), list(plain.row(row, ALPHAS))
        for one, other in zip(found, expected, strict=True):
            assert one.converged
            np.testing.assert_allclose(one.coef, other.coef, rtol=1e-8)
            assert one.sigma == pytest.approx(other.sigma, rel=1e-8)

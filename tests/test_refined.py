"""Arithmetic in twice the working precision, and the fits that are refined in it."""

import operator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from _cases import SMOOTH_LOSSES, contaminated
from sklearn.exceptions import ConvergenceWarning

from robustreg import HuberRegressor, L1Regressor, L2Regressor, MRegressor, QuantileRegressor
from robustreg._linalg.precise import Precise, Triangle
from robustreg.evaluation.posed import Data, make_problem
from robustreg.losses import Absolute, HalfSquared, Huber, LogCosh, Quantile
from robustreg.penalties import ElasticNet
from robustreg.solvers.programme.interior import interior_point
from robustreg.solvers.refinement.central_path import LAST, CentralPath
from robustreg.solvers.refinement.envelope import Barrier
from robustreg.solvers.refinement.refined import _Table, refined
from robustreg.solvers.smooth import newton

UNIT = 2.0**-104  # a few units in the last place


def exactly(values):
    """Rational numbers that are equal to doubles, or to sums of two."""
    pairs = np.broadcast_arrays(values.high, values.low) if isinstance(values, Precise) else None
    flat = np.ravel(values) if pairs is None else zip(*map(np.ravel, pairs), strict=True)
    return [
        Fraction(float(v)) if pairs is None else sum(map(Fraction, map(float, v))) for v in flat
    ]


def numbers(seed, size):
    g = np.random.default_rng(seed)
    high = g.normal(size=size) * 10.0 ** g.uniform(-8, 8, size)
    return Precise(high, high * 1e-17 * g.normal(size=size))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv"])
def test_arithmetic(name):
    first, second = numbers(0, 60), numbers(1, 60)
    first[:5], second[:5] = second[:5], -second[:5]  # which cancel, or nearly
    operation = getattr(operator, name)
    found = exactly(operation(first, second))
    for got, a, b in zip(found, exactly(first), exactly(second), strict=True):
        right = operation(a, b)
        scale = abs(a) + abs(b) if name in ("add", "sub") else abs(right)
        assert abs(got - right) <= UNIT * scale


def test_arithmetic_with_arrays_on_either_side():
    values, array = numbers(2, 4), np.array([1.0, -2.0, 3.0, 0.5])
    for found, right in (
        (array + values, values + array),
        (array * values, values * array),
        (array - values, -(values - array)),
    ):
        assert isinstance(found, Precise)
        assert exactly(found) == exactly(right)


def test_square_root():
    values = numbers(3, 40)
    values = values * values
    for got, right in zip(exactly(values.sqrt()), exactly(values), strict=True):
        assert abs(got * got - right) <= 8 * UNIT * right
    assert Precise([0.0]).sqrt().high == 0.0


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
def test_sum(n):
    values = numbers(4, (n, 2))
    for column, got in enumerate(exactly(values.sum())):
        terms = exactly(values[:, column])
        assert abs(got - sum(terms)) <= max(1, n) * UNIT * sum(map(abs, terms))


def test_normal_equations():
    """Of columns 1, t, ..., t^7 on [1, 2]: condition number 1e9, of the equations 1e18."""
    t = np.linspace(1, 2, 20)
    matrix, right = Precise(t[:, None] ** np.arange(8)), np.arange(8.0) - 3
    side = matrix.T @ (matrix @ right)
    triangle = Triangle(matrix)
    assert triangle.rank == 8
    np.testing.assert_allclose(triangle.solve(side).high, right, rtol=1e-11, atol=1e-11)


def test_columns_that_depend_on_others_get_0():
    g = np.random.default_rng(5)
    X = g.normal(size=(9, 3))
    triangle = Triangle(Precise(np.column_stack([X, X[:, 0] * 2])))
    assert triangle.rank == 3
    assert np.count_nonzero(triangle.solve(Precise(np.ones(4))).high) == 3


def hard_table(seed, n, p):
    """Columns of all sizes, two nearly equal, and a row far out."""
    g = np.random.default_rng(seed)
    X = g.normal(size=(n, p)) * 10.0 ** g.uniform(-6, 6, p)
    X[:, -1] = X[:, 0] * (1 + 1e-9 * g.normal(size=n))
    X[0, 1] *= 1e13
    return X, g.normal(size=n)


MODELS = [
    L2Regressor(),
    L2Regressor(solver="lbfgs"),
    HuberRegressor(),
    HuberRegressor(scale="mad", l1_ratio=0.5),
    HuberRegressor(l1_ratio=1.0),
    MRegressor("log_cosh", positive=True),
    L1Regressor(),
    QuantileRegressor(0.3, l1_ratio=0.5),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: " ".join(repr(model).split()))
@pytest.mark.parametrize("alpha", [1e-8, 1e-4, 0.1])
@pytest.mark.parametrize(("n", "p"), [(12, 4), (8, 12)])
def test_hard_tables_are_certified(model, alpha, n, p):
    for seed in (0, 1, 5):
        fit = model.set_params(alpha=alpha).fit(*hard_table(seed, n, p))
        assert fit.converged_
        assert fit.dual_gap_ <= fit.tol * fit.objective_


def as_rational(X, y):
    rows = [[*map(Fraction, map(float, row)), Fraction(1)] for row in X]
    return rows, list(map(Fraction, map(float, y)))


def ridge_objective(rows, target, theta, alpha):
    """``mean r^2 / 2 + alpha |beta|^2 / 2`` in rational arithmetic."""
    total = Fraction(0)
    for row, t in zip(rows, target, strict=True):
        total += (t - sum(a * b for a, b in zip(row, theta, strict=True))) ** 2
    return total / (2 * len(target)) + Fraction(alpha) / 2 * sum(b * b for b in theta[:-1])


def ridge_minimum(rows, target, alpha):
    """Its minimum, by Gauss-Jordan elimination."""
    n, size = len(rows), len(rows[0])
    system = [
        [sum(row[i] * row[j] for row in rows) / n for j in range(size)]
        + [sum(row[i] * t for row, t in zip(rows, target, strict=True)) / n]
        for i in range(size)
    ]
    for i in range(size - 1):
        system[i][i] += Fraction(alpha)
    for i in range(size):
        system[i] = [value / system[i][i] for value in system[i]]
        for k in range(size):
            if k != i:
                factor = system[k][i]
                system[k] = [a - factor * b for a, b in zip(system[k], system[i], strict=True)]
    return ridge_objective(rows, target, [row[-1] for row in system], alpha)


@pytest.mark.parametrize("solver", ["direct", "newton", "lbfgs"])
@pytest.mark.parametrize(("n", "p"), [(12, 4), (8, 12)])
def test_refined_certificates_are_true(solver, n, p):
    for seed in (0, 1):
        rows, target = as_rational(*hard_table(seed, n, p))
        for alpha in (1e-8, 0.1):
            fit = L2Regressor(alpha=alpha, solver=solver).fit(*hard_table(seed, n, p))
            theta = [*map(Fraction, fit.coef_), Fraction(fit.intercept_)]
            value = ridge_objective(rows, target, theta, alpha)
            excess = float(value - ridge_minimum(rows, target, alpha))
            assert fit.objective_ == pytest.approx(float(value), rel=1e-12)
            assert excess <= fit.dual_gap_ + 1e-14 * fit.objective_


def test_few_iterations_end_where_they_end():
    """Refinement is no way around ``max_iter``."""
    X, y = hard_table(1, 12, 4)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        HuberRegressor(alpha=0.1, max_iter=2).fit(X, y)


def problem_of(X, y, loss, scale, penalty, weight=None):
    how = {"loss": loss, "scale": scale, "penalty": penalty, "fit_intercept": True}
    return make_problem(Data(X, y, weight, 1), **how)


def uncertified(problem, off=1e-5, **options):
    """A fit that is said not to have converged, by default a little off the optimum."""
    fit = newton(problem, **options) if problem.loss.smoothness else interior_point(problem)
    worse = {"coef": (1 + off) * fit.coef, "gap": 4.0 * fit.objective}
    return replace(fit, converged=False, **worse)


def test_a_path_ends_where_it_ends():
    """At the last mu a step from next to the path is the last: no bound may come of others."""
    X, y = contaminated(n=20, p=3)
    problem = problem_of(X, y, Absolute(), 1.0, ElasticNet(0.1, 1.0))
    table, fit = _Table(problem), interior_point(problem)
    path = CentralPath(problem, table.columns, table.place(fit))
    steps = 0
    while path.advance():
        steps += 1
        assert steps < 60
    assert path.mu <= LAST * path.value()
    assert path.value() - path.bound <= 100 * LAST * path.value()


PENALTIES = {
    "none": ElasticNet(),
    "ridge": ElasticNet(0.1),
    "lasso": ElasticNet(0.1, 1.0),
    "net": ElasticNet(0.1, 0.5),
    "positive": ElasticNet(positive=True),
}


LOSSES = [
    *((loss, scale) for loss in SMOOTH_LOSSES.values() for scale in (None, 0.7)),
    (Huber(), 1e-14),
    (Absolute(), 1.0),
    (Quantile(0.3), 1.0),
]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(("loss", "scale"), LOSSES, ids=str)
def test_refined_fits_are_the_other_solvers(loss, scale, penalty):
    X, y = contaminated(n=40, p=4)
    problem = problem_of(X, y, loss, scale, PENALTIES[penalty], np.arange(1.0, 41))
    other = (newton if loss.smoothness else interior_point)(problem)
    fit = refined(problem, uncertified(problem), {})
    assert fit.converged
    assert other.objective - other.gap <= fit.objective * (1 + 1e-12)
    assert fit.objective - fit.gap <= other.objective * (1 + 1e-12)
    np.testing.assert_allclose(fit.coef, other.coef, rtol=1e-3, atol=1e-3)


FAR = [
    (Absolute(), 1.0),
    (Quantile(0.3), 1.0),
    (Huber(), 1e-9),
    (HalfSquared(), 1.0),
    (LogCosh(), 0.7),
    (Huber(), None),
]


@pytest.mark.parametrize(
    ("loss", "scale", "penalty"),
    [
        (*problem, penalty)
        for i, problem in enumerate(FAR)
        for j, penalty in enumerate(["lasso", "net", "positive"])
        if (i - j) % 3  # two of three, in turn
    ],
    ids=str,
)
def test_from_far_away(loss, scale, penalty):
    X, y = contaminated(n=40, p=4)
    problem = problem_of(X, y, loss, scale, PENALTIES[penalty])
    other = (newton if loss.smoothness else interior_point)(problem)
    fit = refined(problem, uncertified(problem, off=1e6), {})
    assert fit.converged
    assert fit.objective - fit.gap <= other.objective * (1 + 1e-12)
    assert fit.objective == pytest.approx(other.objective, rel=2e-7)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_columns_whose_squares_are_out_of_range(unit):
    X, y = contaminated(n=40, p=4)
    tables = (X, X * unit)
    problems = [problem_of(X, y, Huber(), None, ElasticNet()) for X in tables]
    fits = [refined(problem, uncertified(problem), {}) for problem in problems]
    assert all(fit.converged for fit in fits)
    np.testing.assert_allclose(fits[1].coef * unit, fits[0].coef, rtol=1e-6)


@pytest.mark.parametrize("low", [-0.3, -np.inf])
def test_barrier(low):
    """Its slope balances the barriers, and has the derivatives that it says."""
    x = np.array([1e-12, 1e-3, 0.5, 7.0, 1e9])
    x = x if np.isinf(low) else np.concatenate([-x, [0.0], x])
    size = len(x)

    def barrier(mu):
        return Barrier(np.full(size, low), np.full(size, 0.7), np.full(size, mu))

    here = barrier(0.02)
    nu = here.slopes(Precise(x))
    up, down = 0.7 - nu, nu - low if np.isfinite(low) else Precise(np.full(size, np.inf))
    balance = (0.02 / up.rounded()) - 0.02 / down.rounded()
    np.testing.assert_allclose(balance, x, rtol=1e-12, atol=1e-14)
    step = 1e-6
    rise = (barrier(0.02).slopes(Precise(x) * (1 + step)) - nu).rounded() / step
    np.testing.assert_allclose(rise, here.curvature * x, rtol=1e-4, atol=1e-12)
    drift = (barrier(0.02 * (1 + step)).slopes(Precise(x)) - nu).rounded() / step
    np.testing.assert_allclose(drift, here.drift, rtol=1e-4, atol=1e-12)


def test_coefficients_that_doubles_cannot_hold():
    """Of dates in milliseconds the last digit of the intercept is more than y is off the line."""
    t = 1.7e12 + 1e3 * np.arange(30.0)
    y = 1e6 * t + 1e3 * np.cos(np.arange(30.0) ** 2)
    problem = problem_of(t[:, None], y, Huber(), None, ElasticNet())
    fit = refined(problem, uncertified(problem, off=0.0), {})
    assert not fit.converged
    assert fit.gap > 1e-7 * fit.objective
    assert "too few digits" in fit.message


@pytest.mark.parametrize("seed", [11, 15, 19, 20])
def test_a_scale_next_to_0_stays_positive(seed):
    """Beside 1e13 the step that is left of it in a round of full ones may be longer than itself."""
    g = np.random.default_rng(seed)
    x = 1e16 * (1 + 1e-9 * g.normal(size=12))
    X = np.column_stack([x, x * (1 + 1e-9 * g.normal(size=12))])
    y = np.round(g.normal(size=12)).clip(0, 1)
    y[:2] = -(10 ** g.uniform(6, 14, 2))
    model = HuberRegressor(alpha=1e-3, l1_ratio=0.9, fit_intercept=False).fit(X, y)
    assert model.scale_ >= 0.0
    assert 0.0 <= model.dual_gap_ <= 1e-7 * model.objective_

"""The table of solvers, the semismooth Newton method by itself, and the traps of the design."""

import numpy as np
import pytest
from _cases import (
    SMOOTH_LOSSES,
    TABLES,
    UNPENALISED,
    VARIANTS,
    clean,
    contaminated,
    in_turns,
    is_l1,
    linear,
    ties,
)
from _reference import Reference
from scipy import sparse
from scipy.optimize import Bounds, OptimizeResult, minimize, rosen, rosen_der, rosen_hess
from sklearn.base import clone

from robustreg import select_solver
from robustreg.estimators import HuberRegressor, L1Regressor, L2Regressor, MRegressor
from robustreg.evaluation import choice
from robustreg.losses import Absolute, Bisquare, HalfSquared, Huber, LogCosh, Quantile, Squared
from robustreg.solvers import SOLVERS, SolverSpec, _pilot, solver_names
from robustreg.solvers._line import Point
from robustreg.solvers._newton import semismooth_newton
from robustreg.solvers._newton_steps import perspective_step

# --- the table

SMOOTH = {"newton", "lbfgs", "newton_cg"}
KINKED = {"newton", "working_set"}  # of smooth losses, under penalties with kinks
QUADRATIC = {"direct", "newton", "lbfgs", "newton_cg"}
HOMOGENEOUS = {"sparse", "simplex", "reduced", "interior", "linprog"}
# which solvers serve (loss, scale, alpha, l1_ratio)
CELLS = {
    ("huber", "joint", 0.0, 0.0): SMOOTH,
    ("huber", "joint", 0.1, 0.0): SMOOTH,
    ("huber", "mad", 0.1, 0.0): SMOOTH,
    ("huber", 1.0, 0.0, 0.0): SMOOTH,
    ("log_cosh", "joint", 0.1, 0.0): SMOOTH,
    ("half_squared", "joint", 0.0, 0.0): SMOOTH,
    ("half_squared", 1.0, 0.0, 0.0): QUADRATIC,
    ("half_squared", 1.0, 0.1, 0.0): QUADRATIC,
    ("squared", 2.0, 0.1, 0.0): QUADRATIC,
    ("huber", "joint", 0.0, 0.5): SMOOTH,
    ("huber", "joint", 0.1, 0.5): KINKED,
    ("huber", 1.0, 0.1, 1.0): KINKED,
    ("half_squared", 1.0, 0.1, 1.0): KINKED,
    ("absolute", 1.0, 0.0, 0.0): HOMOGENEOUS,
    ("absolute", 1.0, 0.1, 1.0): HOMOGENEOUS,
    ("absolute", 1.0, 0.1, 0.5): HOMOGENEOUS - {"sparse", "simplex", "linprog"},
    ("absolute", 1.0, 0.1, 0.0): HOMOGENEOUS - {"sparse", "simplex", "linprog"},
    ("absolute", "joint", 0.0, 0.0): set(),
    ("quantile", 1.0, 0.0, 0.0): HOMOGENEOUS,
    ("quantile", "joint", 0.0, 0.0): set(),
    ("bisquare", 1.0, 0.0, 0.0): set(),
    ("epsilon_insensitive", 1.0, 0.0, 0.0): set(),
}


@pytest.mark.parametrize(("cell", "expected"), CELLS.items())
def test_which_solvers_serve_a_cell(cell, expected):
    loss, scale, alpha, l1_ratio = cell
    options = {"n_features": 5, "scale": scale, "alpha": alpha, "l1_ratio": l1_ratio}
    served = set()
    for solver in SOLVERS:
        try:
            chosen = select_solver(loss, solver=solver, **options)
        except ValueError as error:
            assert f"solver='{solver}' does not support" in str(error)  # noqa: PT017
        else:
            assert chosen == solver
            served.add(solver)
    assert served == expected


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_takes_single_precision(solver, weighted):
    X, y = clean(n=300)
    rng = np.random.default_rng(0)
    X = (X * (rng.random(X.shape) < 0.3)).astype(np.float32)
    weight = rng.uniform(0.1, 1.0, size=len(y)) if weighted else None
    model = HuberRegressor()
    if solver in HOMOGENEOUS:
        model = L1Regressor()
    elif solver == "direct":
        model = L2Regressor()
    elif solver == "working_set":
        model = HuberRegressor(alpha=0.01, l1_ratio=1.0)
    expected = clone(model).fit(X.astype(np.float64), y, weight)
    found = model.set_params(solver=solver).fit(X, y, weight)
    assert found.converged_
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "scale", "n_features", "expected"),
    [
        ("huber", "joint", 20, "newton"),
        ("huber", "joint", 5000, "lbfgs"),
        (Huber(2.0), 1.0, 20, "newton"),
        (HalfSquared(), 1.0, 20, "direct"),
        (HalfSquared(), 1.0, 5000, "lbfgs"),
        (Squared(), "joint", 20, "newton"),
        (Absolute(), 1.0, 20, "interior"),
    ],
)
def test_auto_takes_the_first_that_applies(loss, scale, n_features, expected):
    assert select_solver(loss, n_features=n_features, scale=scale) == expected


@pytest.mark.parametrize(
    ("n_features", "expected"), [(20, "newton"), (299, "newton"), (300, "working_set")]
)
@pytest.mark.parametrize("penalty", [{"alpha": 0.1, "l1_ratio": 0.5}, {"positive": True}])
def test_auto_takes_working_sets_for_wide_tables_under_kinks(n_features, expected, penalty):
    assert select_solver("huber", n_features=n_features, **penalty) == expected
    assert select_solver("half_squared", n_features=n_features, scale=1.0, **penalty) == expected


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("absolute", {"scale": "joint"}, "does not support scale='joint'"),
        ("absolute", {"scale": 1.0, "alpha": 0.1, "solver": "linprog"}, "a ridge penalty"),
        ("huber", {"solver": "direct"}, "'direct' does not support the loss Huber"),
        ("half_squared", {"solver": "direct"}, "scale='joint'"),
        (Quantile(0.3), {}, "No solver serves this problem"),
        ("huber", {"alpha": 0.1, "l1_ratio": 0.5, "solver": "lbfgs"}, "an L1 penalty"),
        ("huber", {"positive": True, "solver": "lbfgs"}, "positive=True"),
        ("huber", {"solver": "working_set"}, "a fit without an L1 penalty"),
        (
            "huber",
            {"alpha": 0.1, "solver": "working_set"},
            "'working_set' does not support a fit w",
        ),
        (Bisquare(), {}, "No solver serves this problem"),
        ("huber", {"solver": "barrier"}, "solver must be one of .*'auto', 'newton_cg'"),
        ("hubert", {}, "loss must be"),
    ],
)
def test_an_unsupported_cell_says_what_is_missing(loss, options, message):
    with pytest.raises(ValueError, match=message):
        select_solver(loss, n_features=5, **options)


def test_the_table_is_data():
    assert solver_names() == ["auto", *SOLVERS]
    assert all(isinstance(spec, SolverSpec) and callable(spec.solve) for spec in SOLVERS.values())
    assert {spec.losses for spec in SOLVERS.values()} <= {"quadratic", "smooth", "homogeneous"}


PROBLEMS = {
    "huber": HuberRegressor(),
    "huber-ridge": HuberRegressor(alpha=0.1),
    "huber-fixed": HuberRegressor(scale=0.5),
    "huber-mad": HuberRegressor(scale="mad"),
    "l1": L1Regressor(),
    "l1-ridge": L1Regressor(alpha=0.1),
    "l2": L2Regressor(),
    "l2-ridge": L2Regressor(alpha=0.1),
    "squared-fixed-ridge": MRegressor("squared", scale=2.0, alpha=0.1),
    "huber-tiny": HuberRegressor(0.02),
} | {f"m-{name}": MRegressor(loss) for name, loss in SMOOTH_LOSSES.items()}


def solvers_of(model):
    found = []
    for solver in SOLVERS:
        try:
            select_solver(
                model._get_loss(),
                n_features=3,
                scale=getattr(model, "scale", 1.0),
                alpha=model.alpha,
                solver=solver,
            )
        except ValueError:
            continue
        found.append(solver)
    return found


@pytest.mark.parametrize(
    ("model", "table"),
    in_turns(
        PROBLEMS,
        [("clean",), ("few_rows",), ("heavy_tails",)],
        [("contaminated",), ("one_sided",), ("leverage",)],
        [("ties",), ("rank_deficient",)],
        [("exact_but_some",), ("mostly_zero",), ("one_differs",)],
    ),
)
def test_all_solvers_of_a_problem_agree(model, table):
    X, y = TABLES[table]()
    fits = [clone(model).set_params(solver=name).fit(X, y) for name in solvers_of(model)]
    first = fits[0]
    assert {fit.solver_ for fit in fits} == set(solvers_of(model))
    for fit in fits:
        assert fit.converged_
        assert fit.objective_ == pytest.approx(first.objective_, rel=1e-9, abs=1e-14)
        assert fit.dual_gap_ <= 1e-7 * fit.objective_ + 1e-13
        if not is_l1(model):
            np.testing.assert_allclose(fit.predict(X), first.predict(X), rtol=1e-7, atol=1e-7)
            assert fit.scale_ == pytest.approx(first.scale_, rel=1e-7, abs=1e-9)


EVERY_SOLVER = {
    f"{key}-{solver}": clone(model).set_params(solver=solver)
    for key, model in PROBLEMS.items()
    for solver in solvers_of(model)
}


def small_table(shape, fit_intercept):
    rng = np.random.default_rng(sum(shape))
    X = rng.normal(size=shape)
    y = X @ rng.normal(size=shape[1]) + (5.0 if fit_intercept else 0.0)
    return X, y, rng.standard_t(1, size=shape[0])


SMALL = (
    [((1, 1), True), ((2, 1), True), ((3, 2), True)],
    [((1, 5), False), ((2, 2), False), ((2, 1), False)],
    [((8, 40), False), ((40, 8), True), ((40, 8), False)],
)


@pytest.mark.parametrize(
    ("model", "shape", "fit_intercept"),
    in_turns({name: m for name, m in EVERY_SOLVER.items() if m.alpha == 0}, *SMALL),
)
def test_every_solver_on_exact_tables(model, shape, fit_intercept):
    X, y, _ = small_table(shape, fit_intercept)
    model = clone(model).set_params(fit_intercept=fit_intercept).fit(X, y)
    assert model.converged_
    assert model.scale_ == 0
    np.testing.assert_allclose(model.predict(X), y, rtol=1e-12, atol=1e-12)
    assert model.objective_ <= 1e-12


@pytest.mark.parametrize(("model", "shape", "fit_intercept"), in_turns(PROBLEMS, *SMALL))
def test_all_solvers_of_a_problem_agree_on_small_tables(model, shape, fit_intercept):
    X, y, noise = small_table(shape, fit_intercept)
    model = clone(model).set_params(fit_intercept=fit_intercept)
    fits = [clone(model).set_params(solver=name).fit(X, y + noise) for name in solvers_of(model)]
    for fit in fits:
        assert fit.converged_
        assert fit.objective_ == pytest.approx(fits[0].objective_, rel=1e-9, abs=1e-13)
        if not is_l1(model):
            np.testing.assert_allclose(fit.predict(X), fits[0].predict(X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("model", "column", "fit_intercept"),
    in_turns(
        EVERY_SOLVER,
        [(0.0, True), (7.3, False), (1e6, True)],
        [(0.0, False), (7.3, True), (1e6, False)],
    ),
)
def test_every_solver_on_a_constant_column_alone(model, column, fit_intercept):
    _, y = contaminated()
    X = np.full((len(y), 1), column)
    model = clone(model).set_params(fit_intercept=fit_intercept).fit(X, y)
    assert model.converged_
    if fit_intercept or column == 0:
        assert model.coef_[0] == 0


# Their optimum moves with the signal neither by a penalty nor through a scale given in advance.
EQUIVARIANT = {
    name: model
    for name, model in EVERY_SOLVER.items()
    if not model.alpha and not isinstance(getattr(model, "scale", ""), float)
}


@pytest.mark.parametrize(("model", "fit_intercept"), in_turns(EQUIVARIANT, [(True,), (False,)]))
def test_every_solver_where_the_signal_is_1e7_times_the_noise(model, fit_intercept):
    """HiGHS stops at 1e-7 of y, values of F at 1e-16 of F: neither may cost the noise's digits."""
    X, plane, noise = linear(n=100)
    X = np.c_[X, np.ones(100)]
    y, signal = 1e-4 * noise, plane + 1000
    model = clone(model).set_params(fit_intercept=fit_intercept)
    small, both = clone(model).fit(X, y), clone(model).fit(X, y + signal)
    assert both.converged_
    assert both.objective_ == pytest.approx(small.objective_, rel=1e-7)
    assert both.scale_ == pytest.approx(small.scale_, rel=1e-7)


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(solver="lbfgs"),
        HuberRegressor(solver="lbfgs", alpha=0.1),
        HuberRegressor(solver="lbfgs", scale=1.0),
        HuberRegressor(solver="lbfgs", fit_intercept=False),
        L2Regressor(solver="lbfgs", alpha=0.1),
        MRegressor(solver="lbfgs"),
    ],
)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_coordinates_that_are_only_scaled(monkeypatch, model, container):
    """Beyond 2000 columns nothing is whitened; here from 2 on, so that the test is quick."""
    X, y = contaminated(n=300, p=8)
    X[:, 0] = 100 * X[:, 0] + X[:, 1]
    expected = clone(model).fit(X, y)
    monkeypatch.setattr("robustreg.evaluation.choice.MAX_WHITENED", 2)
    found = clone(model).fit(container(X), y)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-7)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-8)
    assert found.dual_gap_ <= 1e-7 * found.objective_


def test_more_than_2000_columns():
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.normal(size=(300, 2100)) * (rng.uniform(size=(300, 2100)) < 0.01))
    y = X @ rng.normal(size=2100) + rng.standard_t(3, size=300)
    model = HuberRegressor(alpha=1.0).fit(X, y)
    assert model.solver_ == "newton_cg"
    assert model.dual_gap_ <= 1e-7 * model.objective_


# --- semismooth Newton as a method of scipy.optimize.minimize

A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]])
B = np.array([1.0, -2.0, 3.0])


def newton(fun, x0, jac, hess, **options):
    bounds = options.pop("bounds", None)
    args = options.pop("args", ())
    return minimize(
        fun,
        x0,
        args=args,
        jac=jac,
        hess=hess,
        bounds=bounds,
        method=semismooth_newton,
        options=options,
    )


def quadratic(x):
    return 0.5 * x @ A @ x - B @ x


def quadratic_slope(x):
    return A @ x - B


def test_newton_on_a_quadratic():
    found = newton(quadratic, np.zeros(3), quadratic_slope, lambda x: A)
    assert isinstance(found, OptimizeResult)
    assert found.success
    assert found.nit <= 3
    np.testing.assert_allclose(found.x, np.linalg.solve(A, B), rtol=1e-12)
    assert found.fun == pytest.approx(quadratic(found.x))
    np.testing.assert_allclose(found.jac, 0, atol=1e-14)


def test_newton_passes_args_on():
    found = newton(
        lambda x, c: quadratic(x - c),
        np.zeros(3),
        lambda x, c: quadratic_slope(x - c),
        lambda x, c: A,
        args=(5.0,),
    )
    np.testing.assert_allclose(found.x, np.linalg.solve(A, B) + 5, rtol=1e-12)


def test_newton_on_a_piecewise_quadratic_ends_exactly():
    """sum of Huber functions: psi' is 0 or 1, no other method's convergence theory applies."""
    X, y = contaminated()
    design = np.c_[X, np.ones(len(y))]

    def slope(b):
        return -design.T @ np.clip(y - design @ b, -1, 1)

    def value(b):
        r = np.abs(y - design @ b)
        return np.where(r <= 1, r * r / 2, r - 0.5).sum()

    def curvature(b):
        inner = np.abs(y - design @ b) <= 1
        return design[inner].T @ design[inner]

    found = newton(value, np.zeros(4), slope, curvature)
    assert found.success
    assert np.abs(slope(found.x)).max() <= 1e-12
    reference = Reference(X, y, Huber(1.0), scale=1.0)
    assert found.fun == pytest.approx(reference.minimum()[-1] * len(y), rel=1e-14)


def scaled_huber(delta):
    """``s`` times mean rho((y - X b) / s) + kappa for Huber's loss: value, slope, curvature."""
    X, y = contaminated()
    design, loss = np.c_[X, np.ones(len(y))], Huber(delta)

    def value(v):
        return v[-1] * (loss.rho((y - design @ v[:-1]) / v[-1]).mean() + loss.kappa)

    def slope(v):
        z = (y - design @ v[:-1]) / v[-1]
        return np.append(
            -design.T @ loss.psi(z) / len(y), loss.kappa - loss.conjugate_of_psi(z).mean()
        )

    def curvature(v):
        z = (y - design @ v[:-1]) / v[-1]
        rows = np.c_[design, z][np.abs(z) <= delta]
        return rows.T @ rows / (len(y) * v[-1])

    start = np.append(np.linalg.lstsq(design, y, rcond=None)[0], y.std())
    return value, start, slope, curvature


def test_newton_takes_a_last_step_unseen():
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(np.log(np.cosh(x)).sum())

    def jac(x):
        return np.tanh(x)

    def hess(x):
        return np.diag(np.cosh(x) ** -2.0)

    fit = minimize(
        fun, [0.5], jac=jac, hess=hess, method=semismooth_newton,
        options={"xtol": 0.1, "unseen": True},
    )  # fmt: skip
    assert fit.success
    assert len(seen) == fit.nfev == 2
    # Newton: x - sinh x cosh x, from 0.5 to -0.088 and on to 0.00045
    np.testing.assert_allclose(seen[-1], -0.0876, atol=1e-4)
    np.testing.assert_allclose(fit.x, 4.5e-4, atol=1e-5)


def test_newton_on_a_perspective_ends_exactly():
    """A huge delta: the model is the function. A usual one: the last piece is met exactly."""
    bounds = Bounds([-np.inf] * 4 + [0.0], np.inf)
    for delta, steps in ((1e6, 2), (1.345, 10)):
        value, start, slope, curvature = scaled_huber(delta)
        start[-1] *= 3.0
        found = newton(value, start, slope, curvature, bounds=bounds, perspective=True)
        assert found.success
        assert found.nit <= steps
        assert np.abs(slope(found.x)).max() <= 1e-14
        plain = newton(value, start, slope, curvature, bounds=bounds)
        assert plain.nit > found.nit
        np.testing.assert_allclose(found.x, plain.x, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 0.01, 100.0, 1e6])
def test_steps_on_a_perspective_lead_downhill(scale):
    """From wherever: far above the optimal scale, far below it, off in the coefficients."""
    for delta in (0.3, 1.345, 3.0):
        value, start, slope, curvature = scaled_huber(delta)
        for off in (0.0, 1.0, 1e3):
            x = start + off
            x[-1] = scale * start[-1]
            point = Point(x, value(x), slope(x), None)
            hessian = curvature(x) + 1e-6 * np.eye(5) / x[-1]
            step = perspective_step(hessian, point, 0.0)
            assert slope(x) @ step < 0
            assert x[-1] + step[-1] > 0.09 * x[-1]


def test_newton_with_a_singular_hessian():
    """A flat direction, and a start where the Hessian is 0 altogether."""
    u = np.array([1.0, 2.0])

    def value(x):
        return max(abs(u @ x - 3) - 1, 0.0) ** 2 / 2

    def slope(x):
        excess = u @ x - 3
        return u * np.sign(excess) * max(abs(excess) - 1, 0.0)

    def curvature(x):
        return np.outer(u, u) * (abs(u @ x - 3) > 1)

    for start in ([50.0, 50.0], [-100.0, 3.0], [1.0, 1.0]):
        found = newton(value, np.array(start), slope, curvature)
        assert found.success
        assert value(found.x) <= 1e-20


def test_newton_far_from_the_solution():
    """sqrt(1 + x^2): the full step overshoots from |x| > 1 on, and grows as x^3."""
    for start in (1.5, 100.0, -1e6):
        found = newton(
            lambda x: np.sqrt(1 + x[0] ** 2),
            np.array([start]),
            lambda x: x / np.sqrt(1 + x**2),
            lambda x: np.array([[(1 + x[0] ** 2) ** -1.5]]),
        )
        assert found.success
        assert abs(found.x[0]) <= 1e-9


@pytest.mark.parametrize(
    "bounds", [Bounds([0.0, -np.inf], np.inf), [(0.0, None), (None, None)]], ids=["Bounds", "pairs"]
)
def test_newton_with_a_bounded_variable_inside(bounds):
    """1 / t + t + (x - t)^2 has its minimum at t = x = 1, and a pole at the bound."""

    def value(v):
        t, x = v
        return 1 / t + t + (x - t) ** 2

    def slope(v):
        t, x = v
        return np.array([1 - 1 / t**2 - 2 * (x - t), 2 * (x - t)])

    def curvature(v):
        return np.array([[2 / v[0] ** 3 + 2, -2.0], [-2.0, 2.0]])

    for start in ([5.0, -30.0], [1e-3, 0.0], [1e3, 1e3]):
        found = newton(value, np.array(start), slope, curvature, bounds=bounds)
        assert found.success
        np.testing.assert_allclose(found.x, 1, rtol=1e-9)


def test_newton_stops_near_a_bound():
    """The minimum lies beyond the bound 0 of the first variable: status 3 at the floor."""
    shift = np.array([-1.0, 2.0])
    H = np.array([[2.0, 1.0], [1.0, 3.0]])
    found = newton(
        lambda x: 0.5 * (x - shift) @ H @ (x - shift),
        np.array([4.0, 0.0]),
        lambda x: H @ (x - shift),
        lambda x: H,
        bounds=Bounds([0.0, -np.inf], np.inf),
        floor=1e-6,
    )
    assert found.status == 3
    assert 0 < found.x[0] < 1e-6


def test_newton_leaves_off_what_falls_below_any_minimum():
    """exp(x) - 0.1 y falls without end along y; the damped steps along it do not get there."""
    found = newton(
        lambda x: np.exp(x[0]) - 0.1 * x[1],
        np.zeros(2),
        lambda x: np.array([np.exp(x[0]), -0.1]),
        lambda x: np.diag([np.exp(x[0]), 0.0]),
        least=-10.0,
        max_iter=500,
    )
    assert found.status == 4
    assert not found.success
    assert found.fun < -10
    assert found.nit < 50


def test_newton_with_steps_whose_squares_overflow():
    """Far out a smooth loss has next to no curvature: a step of 1e165 is shortened."""
    start = np.array([1e55, -1e55])
    found = newton(
        lambda x: float(np.hypot(1, x).sum()),
        start,
        lambda x: x / np.hypot(1, x),
        lambda x: np.diag(np.hypot(1, x) ** -3.0),
    )
    assert found.step > 1e154
    assert found.fun <= np.hypot(1, start).sum()


def test_newton_ends_where_neither_slope_nor_curvature_are_but_rounding():
    """All residuals of a Huber fit are beyond the threshold: steps are 0/0."""
    found = newton(
        lambda x: 1.0 + 1e-17 * abs(x[0] - 2.0),
        np.array([2.0]),
        lambda x: np.array([-1e-17 if x[0] <= 2.0 else 1e-17]),
        lambda x: np.array([[1e-30]]),
        max_iter=40,
    )
    assert found.success
    assert found.x == 2.0


def test_newton_reports_that_iterations_ran_out():
    found = newton(
        lambda x: np.sqrt(1 + x[0] ** 2),
        np.array([1e6]),
        lambda x: x / np.sqrt(1 + x**2),
        lambda x: np.array([[(1 + x[0] ** 2) ** -1.5]]),
        max_iter=1,
    )
    assert not found.success
    assert found.status == 1
    assert found.nit == 1
    assert "max_iter" in found.message


def test_newton_does_not_change_its_start():
    start = np.full(3, 7.0)
    newton(quadratic, start, quadratic_slope, lambda x: A)
    np.testing.assert_array_equal(start, 7.0)


def test_newton_survives_a_function_that_is_not_convex():
    """It is made for convex functions; elsewhere it must at least end, not above its start."""
    found = newton(rosen, np.array([-1.2, 1.0]), rosen_der, rosen_hess, max_iter=200)
    assert found.fun <= rosen(np.array([-1.2, 1.0]))


# --- traps


def big(n=100_000):
    """Many rows, so that fits start from a sample of them."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, 3))
    y = X @ np.array([1.0, -1.0, 0.5]) + 2 + rng.standard_t(3, size=n)
    y[: n // 10] += rng.choice([-30.0, 30.0], n // 10)
    return X, y


@pytest.mark.parametrize("name", ["huber", "m", "huber-lbfgs", "huber-fixed", "l2", "huber-mad"])
def test_a_dummy_with_three_ones_in_100_000_rows_survives(name):
    X, y = big()
    dummy = np.zeros(len(y))
    dummy[[50_000, 60_001, 99_999]] = 1.0
    y[dummy == 1] += 100.0
    model = clone(VARIANTS[name]).fit(np.c_[X, dummy], y)
    assert model.coef_[3] == pytest.approx(100, abs=8)
    assert np.abs(model.predict(np.c_[X, dummy])[dummy == 1] - y[dummy == 1]).max() < 12


@pytest.mark.parametrize("name", UNPENALISED)
@pytest.mark.parametrize("n", [200, 10_000])
def test_a_dummy_that_is_nonzero_only_on_outliers_survives(name, n):
    """psi' is 0 on all of its rows at first: rank must not be decided with psi'."""
    X, y = contaminated(n=n)
    dummy = np.zeros(n)
    dummy[:5] = 1.0
    y[:5] = [500.0, 501.0, 502.0, 499.0, 498.0]
    X = np.c_[X, dummy]
    model = clone(VARIANTS[name]).fit(X, y)
    assert model.coef_[3] == pytest.approx(497, abs=100 if isinstance(model, L2Regressor) else 5)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("name", ["huber", "m", "huber-lbfgs", "huber-fixed", "l1", "l2"])
@pytest.mark.parametrize("n", [200, 100_000])
def test_two_leverage_rows_of_1e6(name, n):
    X, y = big(n)
    X[n // 2, 0], X[n // 2 + 1, 1] = 1e6, -1e6
    y[n // 2 : n // 2 + 2] = X[n // 2 : n // 2 + 2] @ [1.0, -1.0, 0.5] + 2
    model = clone(VARIANTS[name]).fit(X, y)
    np.testing.assert_allclose(model.coef_[:2], [1.0, -1.0], atol=1e-4)
    assert model.dual_gap_ <= 1e-7 * model.objective_
    assert model.n_iter_ <= (60 if name == "huber-lbfgs" else 30)


@pytest.mark.parametrize("name", UNPENALISED)
def test_columns_scaled_from_1e_minus_6_to_1e6(name):
    X, y = contaminated(n=10_000, p=7)
    units = np.logspace(-6, 6, 7)
    plain = clone(VARIANTS[name]).fit(X, y)
    scaled = clone(VARIANTS[name]).fit(X * units, y)
    np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-8)
    assert scaled.scale_ == pytest.approx(plain.scale_, rel=1e-9)
    assert scaled.n_iter_ <= 2 * plain.n_iter_ + 2


@pytest.mark.parametrize("loss", [Huber(), LogCosh()])
@pytest.mark.parametrize("scale", [1e-4, 1e-8])
@pytest.mark.parametrize("n", [60, 10_000])
def test_a_fixed_scale_far_below_the_noise(loss, scale, n):
    """Nearly absolute deviations; psi' is 0 nearly everywhere."""
    X, y = contaminated(n=n)
    model = MRegressor(loss, scale=scale).fit(X, y)
    absolute = L1Regressor().fit(X, y)
    slope = loss.psi(1e9)
    assert slope * absolute.objective_ - model.objective_ <= scale * slope**2
    assert model.objective_ <= slope * absolute.objective_
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("name", UNPENALISED)
@pytest.mark.parametrize("n", [60, 10_000])
def test_integer_y_with_massive_ties(name, n):
    X, y = ties(n=n)
    X[:, 0] = np.round(X[:, 0])
    model = clone(VARIANTS[name]).fit(X[:, :1], y)
    assert model.converged_
    reference = clone(VARIANTS[name]).fit(X[:, :1], y + 1e-9 * np.arange(n) / n)
    assert model.objective_ == pytest.approx(reference.objective_, rel=1e-7)


# --- Gram matrices in single precision


def wide_table(kind):
    """More than 50 columns, and what would need more than six digits."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1500, 55)) + rng.uniform(-2, 2, 55)
    if kind == "correlated":
        X[:, 1] = X[:, 0] + 1e-5 * rng.standard_normal(1500)
    elif kind == "far from zero":
        X[:, 1] += 100.0
    elif kind == "tiny units":
        X[:, 1] *= 1e-30
    elif kind == "repeated":
        X[:, 1] = X[:, 0]
    elif kind == "rare":
        X[:, 1] = np.arange(1500) < 3
    elif kind == "constant":
        X[:, 1] = 0.7
    y = X[:, 2:] @ rng.standard_normal(53) + rng.standard_t(2, 1500)
    y[:150] += 1e4
    return X, y


def recorded_coordinates(monkeypatch):
    """A list of the coordinates that fits are going to choose."""
    chosen, own = [], choice.quick

    def recorded(problem):
        found = own(problem)
        chosen.append(found[0])
        return found

    def recorded_of_sample(problem, sampled):
        found = of_sample(problem, sampled)
        if found is not None:
            chosen.append(found)
        return found

    of_sample = _pilot.of_sample
    monkeypatch.setattr(choice, "quick", recorded)
    monkeypatch.setattr(_pilot, "of_sample", recorded_of_sample)
    return chosen


@pytest.mark.parametrize(
    ("kind", "single"),
    [("plain", True), ("rare", True)]
    + [
        (kind, False)
        for kind in ("correlated", "far from zero", "tiny units", "repeated", "constant")
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [HuberRegressor(), MRegressor("pseudo_huber", alpha=0.01)])
def test_single_precision_speeds_a_fit_up_and_changes_nothing(
    monkeypatch, model, weighted, kind, single
):
    X, y = wide_table(kind)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    chosen = recorded_coordinates(monkeypatch)
    quick = clone(model).fit(X, y, sample_weight=weight)
    if not model.alpha:  # a ridge makes repeated columns harmless
        assert chosen[-1].single == single
    monkeypatch.setattr(choice, "quick", choice.white)
    full = clone(model).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(quick.predict(X), full.predict(X), rtol=0, atol=1e-9 * y.std())
    assert quick.scale_ == pytest.approx(full.scale_, rel=1e-9)
    assert quick.dual_gap_ <= 1e-11 * quick.objective_


@pytest.mark.parametrize(("n", "p", "single"), [(13_000, 20, False), (14_000, 20, True)])
def test_single_precision_pays_for_few_columns_in_large_tables(monkeypatch, n, p, single):
    X, y = contaminated(n=n, p=p)
    chosen = recorded_coordinates(monkeypatch)
    model = MRegressor("log_cosh").fit(X, y)
    assert chosen[-1].single == single
    assert model.dual_gap_ <= 1e-11 * model.objective_


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(alpha=0.02, l1_ratio=1.0),
        HuberRegressor(alpha=0.02, l1_ratio=1.0, solver="working_set"),
        HuberRegressor(positive=True),
        L2Regressor(alpha=0.02, l1_ratio=1.0),
    ],
    ids=["huber", "lasso", "working set", "positive", "L2 lasso"],
)
@pytest.mark.parametrize(
    ("n", "p", "huge"),
    [(1500, 55, 1e20), (1500, 55, 1e39), (14_000, 20, 1e39), (14_000, 20, 1e100)],
)
def test_an_entry_beyond_single_precision_is_no_error(n, p, model, huge):
    X, y = contaminated(n=n, p=p)
    X[1, 3] = huge
    model = clone(model).fit(X, y)
    assert model.converged_
    X[1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        HuberRegressor().fit(X, y)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("n", [60, 10_000])
def test_fits_are_reproducible_and_ignore_the_global_random_state(name, n):
    X, y = contaminated(n=n)
    first = clone(VARIANTS[name]).fit(X, y)
    np.random.seed(5)  # noqa: NPY002 - on purpose: nobody should read it
    second = clone(VARIANTS[name]).fit(X, y)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert first.objective_ == second.objective_


@pytest.mark.parametrize("name", VARIANTS)
def test_the_order_of_rows_does_not_matter(name):
    """... up to rounding, also where a sample of them starts the fit."""
    X, y = contaminated(n=10_000)
    order = np.random.default_rng(0).permutation(len(y))
    first, second = clone(VARIANTS[name]).fit(X, y), clone(VARIANTS[name]).fit(X[order], y[order])
    np.testing.assert_allclose(first.coef_, second.coef_, rtol=1e-8)
    assert first.scale_ == pytest.approx(second.scale_, rel=1e-9)
    # sorted by y: a sample that took every k-th or the first rows would be misled
    order = np.argsort(y)
    third = clone(VARIANTS[name]).fit(X[order], y[order])
    np.testing.assert_allclose(first.coef_, third.coef_, rtol=1e-8)


def test_damped_steps_are_lengthened_where_the_function_falls_on():
    # a valley so flat that a Cholesky factor without damping has no digits for it
    matrix = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-14]])
    side = np.array([1.0, 1.0 + 3e-14])  # least at [-2, 3]
    fit = minimize(
        lambda x: 0.5 * float(x @ matrix @ x - 2.0 * side @ x),
        np.array([40.0, -39.0]),
        jac=lambda x: matrix @ x - side,
        hess=lambda x: matrix,
        method=semismooth_newton,
        options={"max_iter": 20},
    )
    np.testing.assert_allclose(fit.x.sum(), 1.0, rtol=1e-9)
    np.testing.assert_allclose(fit.x, [-2.0, 3.0], atol=0.1)

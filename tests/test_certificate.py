"""The certificate: ``dual_gap_`` bounds how far ``objective_`` is from its minimum.

F is evaluated anew from the fitted attributes, and minimised anew, by ``_reference``.
"""

import warnings

import numpy as np
import pytest
from _cases import SMOOTH_LOSSES, TABLES, clean, contaminated, weights_for
from _reference import EPS, Reference
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from robustreg.datasets import load_diamonds
from robustreg.estimators import HuberRegressor, L1Regressor, L2Regressor, MRegressor
from robustreg.evaluation.certificate import (
    _gap,
    _without_rounding,
    dual_gap,
    dual_gap_from,
    dual_point,
    gap_of_psi,
    is_balanced,
)
from robustreg.evaluation.choice import separable, white
from robustreg.evaluation.hessian import curvature_to_start_from
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Coefficients
from robustreg.evaluation.reading import Block, Reading
from robustreg.evaluation.sums import Bend, Brought, Evaluate, Point, held, residual_of
from robustreg.losses import Absolute, HalfSquared, Huber, LogCosh, PseudoHuber

COMMON = ("alpha", "l1_ratio", "positive", "fit_intercept")
TOL = 1e-7  # of F, see the design's section 1

# Rows on a plane leave no MAD: what a scale of 0 means is tested with the hard cases.
NO_MAD = {"wide", "exact_but_some", "mostly_zero", "one_differs"}

# Fixed scales, about the noise and far below, take turns: so do the losses that get a MAD.
SCALES = {
    name: ["joint", (1.0, 1e-3)[i % 2], *["mad"] * (i % 4 == 0)]
    for i, name in enumerate(SMOOTH_LOSSES)
}
MODELS = {
    f"{name}-{scale}": MRegressor(loss, scale=scale)
    for name, loss in SMOOTH_LOSSES.items()
    for scale in SCALES[name]
} | {"l1": L1Regressor(), "l2": L2Regressor()}
SETTINGS = {
    "plain": {},
    "ridge": {"alpha": 0.1},
    "weights": {"weighted": True},
    "weights-ridge": {"weighted": True, "alpha": 0.1},
    "no-intercept-ridge": {"fit_intercept": False, "alpha": 0.1},
}
BENT = {
    "lasso": {"alpha": 0.1, "l1_ratio": 1.0},
    "elastic-net": {"alpha": 0.1, "l1_ratio": 0.5},
    "positive": {"positive": True},
    "weights-lasso": {"weighted": True, "alpha": 0.1, "l1_ratio": 1.0},
    "no-intercept-lasso": {"fit_intercept": False, "alpha": 0.1, "l1_ratio": 1.0},
}


def setting_of(i, j):
    """How the i-th model is fitted to the j-th table: every model meets every setting."""
    settings = [*SETTINGS, *BENT]
    return settings[(i + j) % len(settings)]


EVERYTHING = {
    f"{name}-{table}-{setting}": (MODELS[name], table, (SETTINGS | BENT)[setting])
    for i, name in enumerate(MODELS)
    for j, table in enumerate(TABLES)
    for setting in [setting_of(i, j)]
    if not (name.endswith("mad") and table in NO_MAD)
}
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def reference_for(model, X, y, weight):
    """The same problem, in the formulas of the design."""
    if isinstance(model, MRegressor | HuberRegressor):
        loss, scale = model._get_loss(), model.scale
    else:
        loss, scale = (Absolute() if isinstance(model, L1Regressor) else HalfSquared()), 1.0
    if scale == "mad":
        scale = L1Regressor(fit_intercept=model.fit_intercept).fit(X, y, weight).scale_
    parameters = model.get_params()
    common = {name: parameters[name] for name in COMMON}
    return Reference(X, y, loss, weight, scale, **common)


def case(model, table, weighted=False, **parameters):
    X, y = TABLES[table]()
    weight = weights_for(len(y)) if weighted else None
    model = clone(model).set_params(**parameters)
    return model, X, y, weight, reference_for(model, X, y, weight)


@pytest.mark.parametrize(("model", "table", "setting"), EVERYTHING.values(), ids=EVERYTHING.keys())
def test_fits_are_certified_and_the_certificate_is_true(model, table, setting):
    model, X, y, weight, reference = case(model, table, **setting)
    assert_certified(model.fit(X, y, weight), reference)


def assert_certified(model, reference):
    """F is what the design says, as small as the gap says, and that is as small as promised."""
    value, rounding = reference.value_of(model), 64 * EPS * reference.null_value()
    assert model.converged_
    assert 0 <= model.dual_gap_ <= TOL * value + rounding
    rounding += 64 * EPS * np.abs(reference.y).max()  # of the reference's own residuals
    assert model.objective_ == pytest.approx(value, rel=1e-12, abs=rounding)
    assert value - reference.minimum()[-1] <= model.dual_gap_ + rounding + 4 * EPS * value
    if not isinstance(model, L1Regressor) and model.scale_ > 0:
        assert_stationary(model, reference)


def assert_stationary(model, reference):
    """|sum w psi x_j| / (W sd_j) <= 1e-8 mean |psi|: a small gap alone leaves coefficients off.

    With a penalty, the subgradient that is closest to 0 in place of the sum.
    """
    sigma = model.scale_ if reference.joint else reference.scale
    z = reference.residual(model.coef_, model.intercept_) / sigma
    psi, share = reference.psi(z), reference.share
    bound = 1e-8 * (share @ np.abs(psi))
    excess = reference.excess(model.coef_, model.intercept_, sigma)
    assert np.abs(excess).max(initial=0.0) <= bound
    if model.fit_intercept:
        assert abs(share @ psi) <= bound
    if reference.joint:
        excess = share @ (z * psi - reference.rho(z)) - reference.kappa
        assert abs(excess) <= 1e-8 * reference.kappa


def random_problem(seed):
    """Shape, kind of X, errors, weights, loss, scale, penalty and intercept, all by lot."""
    rng = np.random.default_rng(seed)
    n, p = rng.choice([5, 8, 20, 60, 200]), rng.choice([1, 2, 3, 8])
    X = {
        "gauss": rng.normal(size=(n, p)),
        "integers": rng.integers(-3, 4, size=(n, p)).astype(float),
        "dummies": 1.0 * (rng.integers(0, p, n)[:, None] == np.arange(p)),
        "cauchy": rng.standard_cauchy(size=(n, p)),
        "low rank": np.outer(rng.normal(size=n), rng.normal(size=p)),
    }[rng.choice(["gauss", "integers", "dummies", "cauchy", "low rank"])]
    y = X @ rng.normal(size=p) + rng.choice([0.0, 5.0]) + rng.normal(size=n)
    bad = rng.uniform(size=n) < rng.choice([0.0, 0.1, 0.3, 0.45])
    y[bad] += rng.choice([-1, 1], bad.sum()) ** rng.choice([1, 2]) * 10 ** rng.uniform(0, 5)
    y = np.round(y) if rng.uniform() < 0.2 else y
    weight = [None, rng.integers(0, 4, n), rng.exponential(size=n)][rng.integers(3)]
    losses = [*SMOOTH_LOSSES.values(), Huber(10 ** rng.uniform(-1.5, 1.5)), Absolute()]
    loss = losses[rng.integers(len(losses))]
    common = {
        "alpha": rng.choice([0.0, 10 ** rng.uniform(-5, 2)]),
        "fit_intercept": rng.uniform() < 0.7,
    }
    if rng.uniform() < 0.5:
        common["l1_ratio"] = rng.choice([0.3, 0.7, 1.0])
    common["positive"] = rng.uniform() < 0.3
    if isinstance(loss, Absolute):
        return L1Regressor(**common), X, y, weight
    scale = "joint" if rng.uniform() < 0.6 else 10 ** rng.uniform(-3, 3)
    return MRegressor(loss, scale=scale, **common), X, y, weight


@pytest.mark.parametrize("seed", range(40))
def test_random_problems(seed):
    model, X, y, weight = random_problem(seed)
    assert_certified(model.fit(X, y, weight), reference_for(model, X, y, weight))


UNCONVERGED = {
    "newton": MRegressor(LogCosh()),
    "newton-huber": HuberRegressor(delta=0.5),
    "newton-fixed": HuberRegressor(scale=0.1),
    "newton-mad": HuberRegressor(delta=0.5, scale="mad"),
    "lbfgs": HuberRegressor(solver="lbfgs"),
    "lbfgs-fixed": MRegressor("pseudo_huber", scale=1.0, solver="lbfgs"),
    "lbfgs-l2": L2Regressor(solver="lbfgs"),
    "interior": L1Regressor(),
    "linprog": L1Regressor(solver="linprog"),
}


@pytest.mark.parametrize(
    ("model", "setting"),
    [
        pytest.param(model, setting, id=f"{name}-{setting}")
        for name, model in UNCONVERGED.items()
        for setting in SETTINGS
        if model.solver != "linprog" or "ridge" not in setting
    ],
)
@pytest.mark.parametrize(("max_iter", "table"), [(1, "leverage"), (3, "one_sided")])
def test_unconverged_fits_say_so_and_have_a_large_gap(model, setting, max_iter, table):
    model, X, y, weight, reference = case(model, table, max_iter=max_iter, **SETTINGS[setting])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, weight)
    value, best = reference.value_of(model), reference.minimum()[-1]
    assert model.objective_ == pytest.approx(value, rel=1e-12)
    assert value - best <= model.dual_gap_ + 1e-13 * value
    assert {entry.category for entry in caught} <= {ConvergenceWarning}
    assert model.converged_ == (not caught)
    assert model.n_iter_ <= max_iter
    if value - best > 1e-6 * value:
        assert not model.converged_


@pytest.mark.parametrize("name", sorted(UNCONVERGED.keys() - {"lbfgs-l2"}))
def test_these_fits_are_indeed_not_converged(name):
    """... else the test above would test nothing. (The first step is exact for least squares.)"""
    model, X, y, _, reference = case(UNCONVERGED[name], "contaminated", max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        model.fit(X, y)
    assert model.dual_gap_ >= reference.value_of(model) - reference.minimum()[-1] > 1e-6


@pytest.mark.parametrize("max_iter", [1, 3])
@pytest.mark.parametrize("model", [MRegressor(), HuberRegressor(scale=0.1)])
def test_a_pilot_fit_does_not_hide_that_iterations_ran_out(model, max_iter):
    """From 9000 rows on a fit starts from one to a sample of them."""
    X, y = contaminated(n=9000)
    best = clone(model).fit(X, y).objective_
    model = clone(model).set_params(max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    assert model.converged_ == (not caught)
    assert model.dual_gap_ >= model.objective_ - best - 1e-13 * best
    if model.objective_ - best > 1e-6 * best:
        assert caught


@every_model
@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_objective_and_gap_are_in_the_units_of_y(model, unit):
    """F has the unit of y (L2: its square), and the gap stays as small."""
    X, y = contaminated()
    if isinstance(getattr(model, "scale", None), float):
        scaled = clone(model).set_params(scale=model.scale * unit)
    else:
        scaled = clone(model)
    power = 2 if isinstance(model, L2Regressor) else 1
    expected = clone(model).fit(X, y).objective_ * unit**power
    scaled.fit(X, y * unit)
    assert scaled.objective_ == pytest.approx(expected, rel=1e-9)
    assert scaled.dual_gap_ <= TOL * scaled.objective_


FAR_ROWS = pytest.mark.parametrize(("n", "far"), [(8, 1e16), (60, 1e17), (500, 1e18)])
BESIDE_FAR_ROWS = pytest.mark.parametrize(
    "model", [HuberRegressor(), L1Regressor(), L2Regressor(), HuberRegressor(scale=1.0)]
)


def beside_a_far_row(model, n, far):
    """A table whose first row is far out, and the least F of the model there."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    y += X @ [1.0, -1.0]
    X[0] *= far
    # the first row fixes a direction, and the others have a fit of their own in the other one
    across = np.array([X[0, 1], -X[0, 0]]) / np.hypot(*X[0])
    best = clone(model).fit(X[1:] @ across[:, None], y[1:]).objective_ * (n - 1) / n
    return X, y, best


@BESIDE_FAR_ROWS
@FAR_ROWS
def test_a_row_beside_which_the_others_are_rounding(model, n, far, monkeypatch):
    """Of X of two columns one direction is left to the coordinates: no fit there is certain."""
    X, y, best = beside_a_far_row(model, n, far)
    monkeypatch.setattr("robustreg.solvers.refinement.refined.REFINABLE", 0)  # as of a large table
    with pytest.warns(ConvergenceWarning, match="far out in X"):
        model = clone(model).fit(X, y)
    assert model.objective_ > best + 1e-4
    assert not model.converged_
    assert model.dual_gap_ == model.objective_


@pytest.mark.parametrize("model", [L1Regressor(), L2Regressor(), HuberRegressor(scale=1.0)])
@FAR_ROWS
def test_small_tables_with_such_rows_are_refined(model, n, far):
    """But for the residual of the row far out, whose last digit is more than those of others."""
    X, y, best = beside_a_far_row(model, n, far)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where doubles lack the digits
        model = clone(model).fit(X, y)
    assert model.objective_ - model.dual_gap_ <= best * (1 + 1e-9)
    assert not model.converged_ or model.objective_ <= best * (1 + 1e-2)


def test_collinear_columns_are_no_such_rows():
    """... nor are heavy tails: what is dropped is null in every row."""
    rng = np.random.default_rng(0)
    X = rng.standard_cauchy(size=(500, 3)) ** 3
    X = np.c_[
        X, X[:, 0] - X[:, 1], 7.0 + X[:, 2], 1.0 * (rng.integers(0, 3, 500)[:, None] == range(3))
    ]
    for model in (HuberRegressor(), L1Regressor(), L2Regressor()):
        assert clone(model).fit(X, X[:, 0] + rng.normal(size=500)).converged_


@pytest.mark.parametrize("tol", [1e-3, 1e-7, 1e-12])
def test_tol_decides_what_counts_as_converged(tol):
    X, y = contaminated()
    model = HuberRegressor(tol=tol).fit(X, y)
    assert model.dual_gap_ <= tol * model.objective_


@pytest.mark.parametrize("model", [HuberRegressor(), L1Regressor(), L2Regressor(), MRegressor()])
def test_diamonds(model):
    """The main job: 54 000 real stones, some with impossible dimensions."""
    bunch = load_diamonds()
    X, y = np.asarray(bunch.data, float), np.asarray(bunch.target, float)
    model = clone(model).fit(X, y)
    reference = reference_for(model, X, y, None)
    assert model.objective_ == pytest.approx(reference.value_of(model), rel=1e-12)
    assert model.dual_gap_ <= TOL * model.objective_


@pytest.mark.parametrize("setting", BENT.values(), ids=BENT.keys())
@pytest.mark.parametrize(
    ("model", "table"),
    [
        (HuberRegressor(), "rank_deficient"),
        (MRegressor(scale=0.1), "leverage"),
        (L2Regressor(), "ties"),
    ],
)
def test_the_reference_is_a_minimum_under_kinks(model, table, setting):
    """... else the tests above would test little: its F is not above that of the fit either."""
    model, X, y, weight, reference = case(model, table, **setting)
    best = reference.minimum()[-1]
    assert best <= reference.value_of(model.fit(X, y, weight)) * (1 + 1e-11)


def test_a_certificate_for_a_fit_off_its_optimum_would_be_caught():
    """The reference itself: a fit moved by 1e-4 sd has a higher F, by far more than the gap."""
    X, y = clean()
    model = HuberRegressor().fit(X, y)
    reference = Reference(X, y, Huber())
    best = reference.minimum()[-1]
    assert abs(reference.value_of(model) - best) <= 1e-13
    model.coef_ = model.coef_ + 1e-4
    assert reference.value_of(model) - best > 1e-9 > model.dual_gap_


def test_slopes_that_nothing_balances_are_no_gain():
    # What cannot be projected away, of columns far from 0, multiplies coefficients as large as y.
    X = np.column_stack([np.full(7, 400.0), np.arange(7.0)])
    X[0, 0] += 1e-7
    model = HuberRegressor(positive=True, fit_intercept=False)
    problem = model._problem(Data(X, np.full(7, 7.3), None, 1), Huber(5.0), None, model._penalty())
    objective = make_objective(problem, separable(problem))
    coef, slope = np.array([2e-3, 0.0]), np.array([2e-5, -3.0])
    unit = objective.rows.unit
    gap = _gap(objective, coef, 4e-9, 0.5, 2e-9, slope / unit, 0.0)
    assert gap == pytest.approx(4e-9 - 0.5 * 2e-9 + 0.5 * 2e-5 * 2e-3, rel=1e-12)


A, B = np.random.default_rng(0).normal(size=(2, 20))
CONSTANT, FAINT = np.full(20, 3.0), 1e-200 * B  # which a ridge leaves nothing of


@pytest.mark.parametrize(
    ("columns", "form", "kept"),
    [
        ([A, B, A * B], np.asarray, []),
        ([A, B, CONSTANT], np.asarray, []),
        ([A, CONSTANT, FAINT], np.asarray, [2]),
        ([A, A, CONSTANT], np.asarray, [0, 1, 2]),
        ([A, B, CONSTANT], sparse.csr_matrix, [0, 1, 2]),
    ],
    ids=["full", "constant", "faint", "collinear", "sparse"],
)
def test_slopes_that_are_not_all_rounding_are_kept(columns, form, kept):
    """Of columns without a coordinate of their own, only constant ones have slopes of exactly 0."""
    model = HuberRegressor(alpha=1.0 if columns[2] is FAINT else 0.0)
    data = Data(form(np.column_stack(columns)), A + B, None, 1)
    problem = model._problem(data, Huber(), None, model._penalty())
    objective = make_objective(problem, white(problem))
    slope, balanced = np.array([1e-14, 2e-14, 3e-14]), np.zeros(3)
    expected = [slope[j] if j in kept else 0.0 for j in range(3)]
    np.testing.assert_array_equal(_without_rounding(objective, slope, balanced), expected)


def reading_about(offset):
    """Dense rows as they are, about a point."""
    p = len(offset)
    zeros, flat = np.zeros(p), np.zeros(p, dtype=bool)
    return Reading(True, False, offset, np.ones(p), zeros, offset, flat)


def objective_of(model, X, y):
    """F in the units of a fit, where it has its minimum, and what it is there."""
    model.fit(X, y)
    loss, scale = model._get_loss(), None if model.scale == "joint" else model.scale
    problem = model._problem(Data(X, y, None, 1), loss, scale, model._penalty())
    objective = make_objective(problem, separable(problem))

    def theta_of(fit, sigma):
        intercept = (fit.intercept_ - problem.y_offset) / problem.y_unit
        start = Coefficients(fit.coef_ / problem.y_unit, intercept, sigma / problem.y_unit)
        return objective.pack(start)

    best = model.objective_ / problem.objective_unit
    theta = theta_of(model, model.scale_)
    assert objective(theta)[0] == pytest.approx(best, rel=1e-9)
    return objective, theta, best, theta_of


def evaluated(objective, theta):
    """An evaluation with what a Hessian is made of."""
    return objective.evaluate(theta, curvature_to_start_from(objective))


def gap_from(objective, here, nu, **options):
    """The gap at a point from some nu."""
    coef = objective.found(here.theta).coef
    residual = objective.residuals(here.theta)
    return dual_gap_from(objective, coef, residual, here.value, nu, **options)


@pytest.mark.parametrize("far", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("scale", ["joint", 1.0])
@pytest.mark.parametrize(
    "penalty",
    [{}, {"alpha": 0.1}, {"alpha": 0.1, "l1_ratio": 1.0}, {"alpha": 0.1, "l1_ratio": 0.5}],
    ids=str,
)
@pytest.mark.parametrize(("loss", "unit"), [(Huber(), 1.0), (LogCosh(), 1.0), (Huber(), 1e160)])
def test_gaps_off_the_optimum_are_true(loss, unit, penalty, scale, far):
    """Of psi and of the Newton step's dual point; cleaned, and as they are where all is balanced.

    Away from the optimum the slopes of nu exceed an L1 norm, and rho* what a joint scale allows.
    """
    X, y = contaminated(n=60, p=3)
    X[:, 0] *= unit
    objective, best_theta, best, _ = objective_of(MRegressor(loss, scale=scale, **penalty), X, y)
    rng, null = np.random.default_rng(0), best_theta.copy()
    null[: objective.k] = 0.0
    for theta in [null, *(best_theta + far * rng.normal(size=(4, len(best_theta))))]:
        if objective.joint:
            theta[-1] = best_theta[-1] * np.exp(far * rng.normal())
        here = evaluated(objective, theta)
        psi = loss.psi(objective.residuals(theta) / objective.scale_at(theta))
        gaps = [dual_gap(objective, here)]
        for nu in (psi, dual_point(objective, here)):
            gaps.append(gap_from(objective, here, nu.copy()))
            if penalty:  # balances all slopes but that of the intercept
                nu -= nu.mean()
                left = nu.copy()
                gaps.append(gap_from(objective, here, left, cleaning=0))
                share = np.abs(left).max() / np.abs(nu).max()
                assert share <= 1.0 + 1e-12
                np.testing.assert_allclose(left, share * nu, rtol=1e-9, atol=1e-12)
        assert not np.isnan(gaps).any()
        assert min(gaps) >= (here.value - best) * (1 - 1e-9) - 1e-9 * best


@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.1, "l1_ratio": 1.0}], ids=str)
def test_the_bound_of_a_newton_step_is_the_minimum_but_for_third_orders(penalty):
    X, y = contaminated(n=60, p=3)
    model = MRegressor(LogCosh(), scale=1.0, **penalty)
    objective, best_theta, best, _ = objective_of(model, X, y)
    step = np.random.default_rng(0).normal(size=len(best_theta))
    for far in (1e-2, 1e-3):
        theta = best_theta + far * step
        here = evaluated(objective, theta)
        gap = gap_from(objective, here, dual_point(objective, here))
        assert gap == pytest.approx(here.value - best, rel=0.1 * far, abs=1e-12 * best)


@pytest.mark.parametrize("cleaning", [0, 4])
@pytest.mark.parametrize("loss", [Huber(), LogCosh()], ids=repr)
def test_psi_of_the_null_fit_to_a_weak_lasso_is_no_proof(loss, cleaning):
    """Its slopes exceed the L1 norm: as it is, its dual objective would be F itself."""
    X, y = contaminated(n=60, p=3)
    model = MRegressor(loss, scale=1.0, alpha=0.1, l1_ratio=1.0)
    objective, _, best, theta_of = objective_of(model, X, y)
    theta = theta_of(clone(model).set_params(alpha=1e3).fit(X, y), 1.0)
    here = objective.evaluate(theta)
    assert here.value > best * (1 + 1e-6)
    nu = loss.psi(objective.residuals(theta) / objective.scale)
    assert gap_from(objective, here, nu, cleaning=cleaning) >= here.value - best


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.1, 2.0])
@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.1, "l1_ratio": 1.0}], ids=str)
@pytest.mark.parametrize("loss", [Huber(), LogCosh()], ids=repr)
def test_a_scale_that_is_off_opens_the_gap(loss, penalty, factor):
    """Where the slopes of the coefficients are balanced, and that of the scale alone is not."""
    X, y = contaminated(n=60, p=3)
    model = MRegressor(loss, **penalty)
    objective, _, best, theta_of = objective_of(model, X, y)
    scale = factor * model.scale_
    theta = theta_of(clone(model).set_params(scale=scale).fit(X, y), scale)
    here = objective.evaluate(theta)
    excess = objective.kinks.excess(theta, here.gradient) if objective.kinks else here.gradient
    assert is_balanced(objective, here.sums, excess)
    beta, _, sigma = objective.unpack(theta)
    gap = gap_of_psi(objective, here.sums, beta, sigma, here.value)
    assert gap >= here.value - best - 1e-9 * best
    residual = objective.residuals(theta)
    nu = loss.psi(residual / sigma)
    assert gap == pytest.approx(gap_from(objective, here, nu), rel=1e-6, abs=1e-9 * best)
    conjugate = loss.conjugate(loss.psi(residual / sigma)).mean()
    if factor < 1.0 and not penalty:  # as much of nu as the scale allows
        share = loss.kappa / conjugate
        linear = np.mean(loss.psi(residual / sigma) * residual)
        assert gap == pytest.approx(here.value - share * linear, rel=1e-6)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("loss", [Huber(), LogCosh()], ids=repr)
def test_sums_of_parts_by_their_definition(loss, turned, precise, weighted, joint):
    """Of a Gram matrix that has the psi' of another point, or of none, the change is added."""
    X, y = contaminated(n=60, p=3)
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 1.0, 60) if weighted else None
    basis = rng.normal(size=(3, 2)) if turned else None
    reading = reading_about(X.mean(axis=0))
    share, a = np.ones(60) if weight is None else weight, X - X.mean(axis=0)
    points = [Point(rng.normal(size=3), 0.3, scale) for scale in (1.7, 2.3)]
    blocks = [
        Block(reading, X[part], y[part], None if weight is None else weight[part], part)
        for part in (slice(0, 20), slice(20, 40), slice(40, 60))
    ]
    design = np.column_stack([a if basis is None else a @ basis, np.ones(60)])
    before, gram = Bend(loss), 0.0
    for point in points:
        z = (y - a @ point.beta - point.intercept) / point.sigma
        psi, bend = share * loss.psi(z), share * held(loss, z)
        np.testing.assert_allclose(bend, share * loss.psi_prime(z), rtol=2.0**-8)
        curve = joint * bend * z
        job = Evaluate(loss, point, joint, precise, Brought(before, basis, False, False))
        sums = [job(block) for block in blocks]
        for total in (sums[0] + sums[1] + sums[2], sums[2] + sums[1] + sums[0]):
            expected = design.T @ (bend[:, None] * design)
            np.testing.assert_allclose(gram + total.curved.gram, expected, rtol=1e-11, atol=1e-11)
            assert total.conjugate == pytest.approx(share @ loss.conjugate_of_psi(z), rel=1e-12)
            found = [total.psi, total.psi_psi, total.psi_z, *total.psi_a]
            expected = [psi.sum(), psi @ loss.psi(z), psi @ z, *(psi @ a)]
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
            np.testing.assert_allclose(total.curved.curve_z[:3], curve @ a, rtol=1e-11, atol=1e-11)
            assert total.curved.curve_z[3] == pytest.approx(curve.sum(), rel=1e-11, abs=1e-11)
            assert total.curved.curve_zz == pytest.approx(curve @ z, rel=1e-12)
        before, gram = Bend(loss, point), gram + total.curved.gram
    again = Evaluate(loss, point, joint, precise, Brought(before, basis, False, False))
    assert [again(block).curved.gram for block in blocks] == [None, None, None]
    both = sums[0] + again(blocks[0])
    np.testing.assert_array_equal(both.curved.gram, sums[0].curved.gram)
    assert (sums[0] + Evaluate(loss, point, joint, precise)(blocks[1])).curved is None


@pytest.mark.parametrize(("precise", "expected"), [(False, [0.0, 0.5]), (True, [-1.0, 0.5])])
def test_residuals_have_the_digits_that_are_asked_for(precise, expected):
    X, y = np.array([[1.0, 1e16], [1.0, 2.0]]), np.array([1e16, 3.5])
    block = Block(reading_about(np.zeros(2)), X, y, None, slice(0, 2))
    found = residual_of(block, np.ones(2), 0.0, precise)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("loss", [LogCosh(), PseudoHuber()], ids=repr)
def test_digits_of_psi_prime_that_are_held(loss):
    """Of any size, up to half of the last one; what is representable in them is kept."""
    z = np.concatenate([[0.0], np.geomspace(1e-9, 300.0, 1001)])
    bend, exact = held(loss, z), loss.psi_prime(z)
    assert np.all(np.abs(bend - exact) <= 2.0**-8 * exact)
    assert np.array_equal(held(loss, -z), bend)
    assert len(np.unique(bend)) < len(np.unique(exact))
    mantissa = np.ldexp(np.frexp(bend)[0], 8)
    assert np.array_equal(mantissa, np.round(mantissa))

"""Absolute deviations and quantiles whose coefficients must not be negative; and null fits."""

import numpy as np
import pytest
from _cases import TABLES, clean, contaminated, linear, ties, weights_for
from _reference_formulas import spread_of_y
from _reference_quantile import quantile_programme
from scipy import sparse
from scipy.optimize import lsq_linear
from sklearn.base import clone

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
    select_solver,
)
from robustreg.evaluation.posed import Data
from robustreg.losses import Quantile
from robustreg.solvers.null_fit import least_slope_at_quantile

SOLVERS = ["reduced", "interior", "linprog"]
PENALTIES = {
    "none": {},
    "ridge": {"alpha": 0.1},
    "lasso": {"alpha": 0.02, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.1, "l1_ratio": 0.5},
}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())


def solvers_for(model):
    ridge = model.alpha and model.l1_ratio < 1
    return [solver for solver in SOLVERS if not (ridge and solver == "linprog")]


def parts(model, X, y, weight, tau):
    """Shares of the weight, residuals, slope of the L1 norm, curvature of the ridge, and F."""
    share = (np.ones(len(y)) if weight is None else weight) / (
        len(y) if weight is None else weight.sum()
    )
    residual = y - X @ model.coef_ - model.intercept_
    slope = model.alpha * model.l1_ratio
    unit = spread_of_y(y, share, model.fit_intercept) or 1.0
    ridge = model.alpha * (1 - model.l1_ratio) / unit
    value = share @ np.maximum(tau * residual, (tau - 1) * residual)
    value += slope * model.coef_.sum() + 0.5 * ridge * model.coef_ @ model.coef_
    return share, residual, slope, ridge, value


def dual_bound(model, X, y, weight, tau):
    """F from the attributes, and a lower bound of its minimum.

    On the rows fitted exactly nu, and at coefficients of 0 the multiplier of the constraint,
    are what balances the slopes, by bounded least squares.
    """
    share, residual, slope, ridge, value = parts(model, X, y, weight, tau)
    on = np.abs(residual) <= 1e-9
    nu = np.where(on, 0.0, np.where(residual > 0, tau, tau - 1.0))
    zero = model.coef_ == 0
    columns = np.hstack([(share[on, None] * X[on]).T, np.eye(X.shape[1])[:, zero]])
    side = ridge * model.coef_ + slope - X.T @ (share * nu)
    if model.fit_intercept:
        columns = np.vstack([columns, np.r_[share[on], np.zeros(zero.sum())]])
        side = np.r_[side, -share @ nu]
    low = np.r_[np.full(on.sum(), tau - 1), np.zeros(zero.sum())]
    high = np.r_[np.full(on.sum(), tau), np.full(zero.sum(), np.inf)]
    solution = lsq_linear(columns, side, (low, high), method="bvls", tol=1e-16)
    assert np.abs(columns @ solution.x - side).max() <= 1e-9 * max(1.0, np.abs(X).max())
    nu[on] = solution.x[: on.sum()]
    excess = np.maximum(X.T @ (share * nu) - slope, 0.0)
    return value, share @ (nu * y) - (excess @ excess / (2 * ridge) if ridge else 0.0)


def assert_optimal(model, X, y, weight=None, tau=0.5):
    """Feasible, certified at rounding, and as good as HiGHS or a bound computed here."""
    size = np.abs(y).max() + np.abs(X).max() * np.abs(model.coef_).max()
    assert model.converged_
    assert (model.coef_ >= 0).all()
    assert not ((model.coef_ > 0) & (model.coef_ * np.abs(X).max(axis=0) < 1e-12 * size)).any()
    value = parts(model, X, y, weight, tau)[-1]
    assert model.objective_ == pytest.approx(value, rel=1e-11, abs=1e-14 * size)
    assert 0 <= model.dual_gap_ <= 1e-10 * model.objective_ + 1e-14 * size
    if model.alpha and model.l1_ratio < 1:
        least = dual_bound(model, X, y, weight, tau)[1]
    else:
        least = quantile_programme(X, y, tau, weight, model.alpha, model.fit_intercept, True)
    assert model.objective_ == pytest.approx(least, rel=1e-8, abs=1e-13 * size)


@every_penalty
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tau", [0.05, 0.5, 0.8])
def test_all_solvers_find_the_optimum(penalty, fit_intercept, weighted, tau):
    """Some of the coefficients would be negative, and duplicated columns share one."""
    X, y = contaminated(n=80, p=5, seed=1)
    X = np.column_stack([X, X[:, 0], -X[:, 1], np.full(80, 3.0)])
    weight = weights_for(80) if weighted else None
    free = QuantileRegressor(tau, fit_intercept=fit_intercept, **penalty).fit(X, y, weight)
    assert penalty or (free.coef_ < 0).any()
    model = clone(free).set_params(positive=True)
    for solver in solvers_for(model):
        fitted = clone(model).set_params(solver=solver).fit(X, y, weight)
        assert fitted.solver_ == solver
        assert fitted.objective_ >= free.objective_
        assert_optimal(fitted, X, y, weight, tau)


@pytest.mark.parametrize("table", TABLES)
@every_penalty
def test_every_table(table, penalty):
    X, y = TABLES[table]()
    weight = weights_for(len(y))
    model = QuantileRegressor(0.3, positive=True, **penalty)
    objectives = [
        clone(model).set_params(solver=solver).fit(X, y, weight).objective_
        for solver in solvers_for(model)
    ]
    np.testing.assert_allclose(objectives, objectives[0], rtol=1e-9, atol=1e-13 * np.abs(y).max())
    if "ridge" not in penalty and penalty.get("l1_ratio", 1.0) == 1.0:
        kept = weight > 0
        assert_optimal(
            model.fit(X[kept], y[kept], weight[kept]), X[kept], y[kept], weight[kept], 0.3
        )


@pytest.mark.parametrize("seed", range(60))
def test_small_random_problems(seed):
    """Ties, dummies, repeated rows, more columns than rows, weights of 0, sizes of columns."""
    rng = np.random.default_rng(seed)
    n, p = rng.choice([1, 2, 5, 10, 40]), rng.choice([1, 3, 8, 20])
    X = rng.normal(size=(n, p))
    kind = rng.choice(["normal", "integer", "repeated", "dummies", "sizes"])
    if kind == "integer":
        X = np.round(X)
    elif kind == "repeated":
        X = X[rng.integers(0, n, n)]
        X[:, -1] = X[:, 0]
    elif kind == "dummies":
        X = (rng.uniform(size=(n, p)) < 0.3) * 1.0
    elif kind == "sizes":
        X = X * 10.0 ** rng.uniform(-3, 3, p)
    y = X @ (rng.choice([0, 1, -1], p) / np.maximum(np.abs(X).max(axis=0), 1e-9))
    y += rng.standard_t(1, size=n)
    y = np.round(y) if rng.uniform() < 0.5 else y
    weight = rng.integers(0, 5, n) * 1.0
    weight[0] = 1.0
    tau, alpha = rng.choice([0.001, 0.1, 0.5, 0.9]), rng.choice([0, 1e-3, 0.1, 1])
    model = QuantileRegressor(
        tau, alpha=alpha, l1_ratio=1.0, positive=True, fit_intercept=seed % 3 > 0
    )
    least = quantile_programme(X, y, tau, weight, alpha, model.fit_intercept, True)
    for solver in SOLVERS:
        fitted = clone(model).set_params(solver=solver).fit(X, y, weight)
        assert (fitted.coef_ >= 0).all()
        size = np.abs(y).max() + (np.abs(X) @ fitted.coef_).max()
        assert fitted.objective_ == pytest.approx(least, rel=1e-8, abs=1e-13 * size)
        assert fitted.dual_gap_ <= 1e-10 * fitted.objective_ + 1e-14 * size


@every_penalty
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_the_reduction_of_long_tables(penalty, container):
    X, plane, noise = linear(n=6000, p=6)
    y = plane - 2 * X[:, 0] - X[:, 3] + noise
    levels = [0.2, 0.5, 0.9]
    model = QuantileRegressor(levels, positive=True, **penalty).fit(container(X), y)
    assert model.solver_ == "reduced"
    assert (model.coef_ == 0).any()
    for index, level in enumerate(levels):
        whole = QuantileRegressor(level, positive=True, solver="interior", **penalty).fit(X, y)
        assert model.objective_[index] == pytest.approx(whole.objective_, rel=1e-11)
        np.testing.assert_array_equal(model.coef_[index] == 0, whole.coef_ == 0)


@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.1, "l1_ratio": 0.5}])
def test_the_reduction_is_not_handed_on(penalty, monkeypatch):
    """Where coefficients end at 0, few rows stay open: kinks must not be rounded off widely."""
    import sys

    def refuse(*args, **options):
        raise AssertionError("all rows went to the interior point method")

    monkeypatch.setattr(sys.modules["robustreg.solvers.programme.reduction"], "interior_in", refuse)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 12))
    y = X @ np.resize([1.0, -0.5, 0.5], 12) + rng.standard_t(3, size=20_000)
    model = QuantileRegressor(0.3, positive=True, **penalty).fit(X, y)
    assert (model.coef_ == 0).sum() == 4
    assert model.dual_gap_ <= 1e-12 * model.objective_


@pytest.mark.parametrize("max_iter", [1, 2])
@pytest.mark.parametrize("solver", ["reduced", "interior"])
@every_penalty
def test_fits_cut_short_are_feasible_and_their_bound_is_true(max_iter, solver, penalty):
    X, y = contaminated(n=150, p=4)
    model = QuantileRegressor(0.3, positive=True, solver=solver, **penalty)
    least = clone(model).fit(X, y).objective_
    model.set_params(max_iter=max_iter)
    with pytest.warns(UserWarning, match="did not converge"):
        model.fit(X, y)
    assert (model.coef_ >= 0).all()
    value = parts(model, X, y, None, 0.3)[-1]
    assert model.objective_ == pytest.approx(value, rel=1e-11)
    assert model.objective_ - model.dual_gap_ <= least * (1 + 1e-12)
    assert least <= model.objective_ * (1 + 1e-12)


def test_an_inactive_constraint_changes_nothing():
    X, _, noise = linear(n=300, p=4)
    y = X @ np.array([1.0, 2.0, 0.5, 3.0]) + 0.3 * noise
    free, bound = L1Regressor().fit(X, y), L1Regressor(positive=True).fit(X, y)
    np.testing.assert_allclose(bound.coef_, free.coef_, rtol=1e-10)
    assert bound.objective_ == pytest.approx(free.objective_, rel=1e-13)


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_awkward_data(value):
    X = np.arange(6.0)[:, None]
    constant = L1Regressor(positive=True).fit(X, np.full(6, value))
    assert constant.coef_ == 0
    assert constant.intercept_ == value
    falling = L1Regressor(positive=True).fit(X.astype(np.float32), value - X[:, 0])
    assert falling.coef_.dtype == np.float32
    assert falling.coef_ == 0
    assert L1Regressor(positive=True).fit([[1.0, -2.0]], [value]).objective_ == 0
    unit = 1e150
    far = L1Regressor(positive=True).fit(np.c_[X, -X], unit * X[:, 0])
    np.testing.assert_allclose(far.coef_, [unit, 0], atol=1e-9 * unit)


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_the_table_of_solvers_knows(solver):
    chosen = select_solver(Quantile(0.3), n_features=3, scale=1.0, positive=True, solver=solver)
    assert chosen == ("interior" if solver == "auto" else solver)


# --- where all coefficients become 0


def least_slope(model, X, y, weight=None):
    data = Data(X, y, weight, 1)
    return least_slope_at_quantile(model._problem(data, model._get_loss(), 1.0, model._penalty()))


def many_ties(kind, n=90, seed=0):
    """A null fit on one row, on many, on rows with weights, and on rows that are dummies."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    weight = None
    if kind == "dummies":
        X = 1.0 * (rng.integers(0, 6, n)[:, None] == np.arange(4))
    y = X @ np.array([1.0, -1.0, 0.3, 0.0]) + rng.normal(size=n)
    if kind in ("ties", "dummies", "weights", "far"):
        y = np.round(y)
    if kind == "weights":
        weight = 1.0 + np.arange(n) % 4
    if kind == "far":
        X = X * [1.0, 10.0, 1e-3, 1.0] + 1e5
    if kind == "constant":
        X[:, 1] = 7.0
    return X, y, weight


KINDS = ["continuous", "ties", "dummies", "weights", "far", "constant"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("l1_ratio", "fit_intercept"), [(1.0, True), (0.5, True), (1.0, False)])
def test_where_all_coefficients_become_zero(kind, tau, positive, l1_ratio, fit_intercept):
    X, y, weight = many_ties(kind)
    model = QuantileRegressor(
        tau, alpha=1.0, l1_ratio=l1_ratio, positive=positive, fit_intercept=fit_intercept
    )
    alpha = least_slope(model, X, y, weight) / l1_ratio
    if alpha == 0:
        model.set_params(alpha=1e-9).fit(X, y, weight)
        np.testing.assert_array_equal(model.coef_, 0)
        return
    model.set_params(alpha=alpha * (1 + 1e-9)).fit(X, y, weight)
    np.testing.assert_array_equal(model.coef_, 0)
    model.set_params(alpha=0.99 * alpha).fit(X, y, weight)
    assert model.coef_.any()


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_the_slope_of_an_l1_fit_in_closed_form(n):
    """An even n: nu is the sign of y minus any median. An odd one: 0 in the middle row."""
    X, y = clean(n=n, p=3)
    expected = np.abs((X - X.mean(axis=0)).T @ np.sign(y - np.median(y))).max() / n
    model = L1Regressor(alpha=1.0, l1_ratio=1.0)
    assert least_slope(model, X, y) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    thin = least_slope(model, sparse.csr_array(X), 1e100 * y)
    assert thin == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_nothing_to_fit_has_no_slope():
    X, y = ties(n=60)
    model = L1Regressor(alpha=1.0, l1_ratio=1.0)
    assert least_slope(model, X, np.full(60, 4.0)) == 0
    assert least_slope(model, np.full((60, 2), 1e8), y) == 0
    falling = L1Regressor(alpha=1.0, l1_ratio=1.0, positive=True)
    assert least_slope(falling, np.arange(60.0)[:, None], -np.arange(60.0)) == 0
    mostly = np.where(np.arange(60) % 4, 0.0, y)  # any small slope is balanced by the zeros
    assert least_slope(model, X, mostly) == 0


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(scale=1.0),
        HuberRegressor(alpha=0.01, l1_ratio=1.0, solver="working_set"),
        MRegressor(),
        L2Regressor(solver="newton"),
        L1Regressor(),
        QuantileRegressor(0.3),
    ],
    ids=repr,
)
def test_a_warm_start_from_negative_coefficients(model):
    """They used to remain, and the fit was called converged."""
    X, y, noise = linear()
    X[:, 1] *= -np.sign(X[:, 1] @ y)
    model = clone(model).set_params(warm_start=True).fit(X, y + noise)
    assert (model.coef_ < 0).any()
    model.set_params(positive=True)
    expected = clone(model).fit(X, y + noise)
    model.fit(X, y + noise)
    assert model.converged_
    assert model.objective_ == pytest.approx(expected.objective_, rel=1e-9)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)


def test_a_small_slope_that_only_a_sign_balances_is_no_rounding():
    """The last column is the intercept but for a row far out, whose two large coefficients cancel.

    At coefficients of 0 its slope is 5e-12 of the residuals' slopes, and 0 after 6e9 steps.
    """
    x = np.array([2.6510847565930766, 2.0023398761285276, 14.104508238144538])
    x = np.append(x, [0.64757249958106122, 1.7961873686166481])
    twin = np.array([2.6510847564121454, 2.0023398759265265, 14.104508231884267])
    far = [7.8989523915506639e9, 0.74993346362347379, -0.65608270487346820]
    X = np.column_stack(
        [
            x,
            np.append(twin, [0.64757249953714657, 1.7961873685301171]),
            [*far, 1.1069136196273270, -0.28613550509799046],
            [0.0, 1.0, 1.0, 1.0, 0.0],
            [0.0, 1.0, 1.0, 1.0, 1.0],
        ]
    )
    y = np.array([2.0, 1.0, 1.0, 2.0, 1.0])
    without = X[:, [0, 2, 3]][1:]  # the row far out is fitted by the last column
    rest = L1Regressor(positive=True, solver="interior").fit(without, y[1:])
    for solver in ("interior", "reduced", "linprog", "simplex"):
        model = L1Regressor(positive=True, solver=solver).fit(X, y)
        assert model.objective_ == pytest.approx(0.8 * rest.objective_, rel=1e-5)
        assert model.converged_
    narrow = HuberRegressor(0.3, positive=True).fit(X, y)  # whose scale is 0
    assert narrow.objective_ == pytest.approx(0.3 * model.objective_, rel=1e-5)

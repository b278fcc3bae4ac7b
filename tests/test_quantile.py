"""Quantile and L1 regression: exact optima against R, scikit-learn and HiGHS, and hard cases."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from _cases import TABLES, clean, contaminated, linear, ties, weights_for
from _reference_quantile import quantile_programme
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import QuantileRegressor as ScikitQuantile

from robustreg import L1Regressor, QuantileRegressor, select_solver
from robustreg.losses import Quantile

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())
LEVELS = [0.1, 0.25, 0.5, 0.75, 0.9]
SOLVERS = ["reduced", "interior", "linprog"]
every_solver = pytest.mark.parametrize("solver", SOLVERS)
LONG = 6000  # rows, from which "auto" reduces them


def golden(name):
    columns = np.loadtxt(FOLDER / "data" / f"{name}.csv", delimiter=",", skiprows=1)
    return columns[:, :-1], columns[:, -1]


def pinball(residual, tau, weight=None):
    return np.average(np.maximum(tau * residual, (tau - 1) * residual), weights=weight)


def objective(model, X, y, tau, weight=None):
    """F from the fitted coefficients alone, for an L1 penalty or none."""
    X = X.toarray() if sparse.issparse(X) else X
    residual = y - X @ model.coef_ - model.intercept_
    return pinball(residual, tau, weight) + model.alpha * np.abs(model.coef_).sum()


def assert_exact(model, X, y, tau, weight=None, rel=1e-9):
    """The optimum by HiGHS, a certificate at rounding, and F as documented."""
    least = quantile_programme(X, y, tau, weight, model.alpha, model.fit_intercept)
    size = max(np.abs(y).max(), 1e-300)
    assert model.objective_ == pytest.approx(least, rel=rel, abs=1e-14 * size)
    assert objective(model, X, y, tau, weight) == pytest.approx(
        model.objective_, rel=1e-12, abs=1e-14 * size
    )
    assert 0 <= model.dual_gap_ <= 1e-11 * model.objective_ + 1e-14 * size


# --- against R, scikit-learn and HiGHS


@pytest.mark.parametrize("table", REFERENCE)
@pytest.mark.parametrize("tau", LEVELS)
@every_solver
def test_the_objective_of_quantreg(table, tau, solver):
    X, y = golden(table)
    if solver == "linprog" and len(y) > LONG:
        pytest.skip("HiGHS needs minutes there")
    model = QuantileRegressor(tau, solver=solver).fit(X, y)
    expected = REFERENCE[table][f"rq{tau:g}"]["obj"]
    assert len(y) * model.objective_ == pytest.approx(expected, rel=1e-9)
    assert len(y) * pinball(y - model.predict(X), tau) == pytest.approx(expected, rel=1e-9)
    assert model.dual_gap_ <= 1e-11 * model.objective_  # Longley: collinear to 1e-5


@pytest.mark.parametrize("alpha", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
@every_solver
def test_the_objective_of_scikit_learn(alpha, tau, solver):
    X, y = contaminated(n=150, p=4)
    theirs = ScikitQuantile(quantile=tau, alpha=alpha, solver="highs").fit(X, y)
    model = QuantileRegressor(tau, alpha=alpha, l1_ratio=1.0, solver=solver).fit(X, y)
    theirs.alpha = alpha
    assert model.objective_ == pytest.approx(objective(theirs, X, y, tau), rel=1e-9)
    assert_exact(model, X, y, tau)
    assert ((model.coef_ == 0) == (np.abs(theirs.coef_) < 1e-9)).all()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("tau", "alpha", "weighted"),
    [
        (0.05, 0.0, False),
        (0.05, 0.02, True),
        (0.5, 0.0, True),
        (0.5, 0.02, False),
        (0.75, 0.0, True),
        (0.75, 0.02, False),
    ],
)
def test_all_solvers_find_the_optimum_of_every_table(table, tau, alpha, weighted):
    X, y = TABLES[table]()
    weight = weights_for(len(y)) if weighted else None
    for solver in SOLVERS:
        model = QuantileRegressor(tau, alpha=alpha, l1_ratio=1.0, solver=solver)
        assert_exact(model.fit(X, y, weight), X, y, tau, weight)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("tau", [0.2, 0.5])
def test_ridge_and_elastic_net_are_certified_by_formula(l1_ratio, alpha, tau):
    """A dual bound computed here, from the nu that the residuals and the optimality imply."""
    X, y = contaminated(n=80)
    model = QuantileRegressor(tau, alpha=alpha, l1_ratio=l1_ratio).fit(X, y)
    residual = y - model.predict(X)
    unit = 1.4826022185056018 * np.median(np.abs(y - np.median(y)))
    ridge = alpha * (1 - l1_ratio) / unit
    value = pinball(residual, tau) + 0.5 * ridge * model.coef_ @ model.coef_
    value += alpha * l1_ratio * np.abs(model.coef_).sum()
    assert model.objective_ == pytest.approx(value, rel=1e-12)
    # nu off the plane is given; on it, least squares for the stationarity
    on = np.abs(residual) <= 1e-9
    nu = np.where(on, 0.0, np.where(residual > 0, tau, tau - 1.0))
    live = model.coef_ != 0
    wanted = ridge * model.coef_[live] + alpha * l1_ratio * np.sign(model.coef_[live])
    design = np.c_[X[:, live], np.ones(len(y))]
    side = len(y) * np.append(wanted, 0.0) - design.T @ nu
    nu[on] = np.linalg.lstsq(design[on].T, side, rcond=None)[0]
    assert nu.min() >= tau - 1 - 1e-9
    assert nu.max() <= tau + 1e-9
    slope = X.T @ nu / len(y)
    excess = np.maximum(np.abs(slope) - alpha * l1_ratio, 0.0)
    bound = nu @ y / len(y) - excess @ excess / (2 * ridge)
    assert value - bound <= 1e-9 * value
    assert model.dual_gap_ <= 1e-12 * value


def difficult(kind, seed=0):
    """Tables on which interior point steps jam, or many faces are near the optimum."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1000, 3))
    y = X.sum(axis=1) + rng.normal(size=1000)
    y[::7] *= 100.0
    if kind == "gross, leverage":
        X[:2] *= 1e4
        y = X.sum(axis=1) + rng.standard_t(2, size=1000)
        y[::7] *= 100.0
    elif kind == "heavy, repeated":
        X = rng.normal(size=(1000, 30))[rng.integers(0, 1000, 1000)]
        X[:, -1] = X[:, 0]
        y = X.sum(axis=1) + rng.standard_t(1, size=1000)
    elif kind == "wide, leverage":
        X = rng.normal(size=(77, 38))
        X[:2] *= 1e4
        y = X.sum(axis=1) + rng.standard_t(1, size=77)
    elif kind == "more columns than rows":
        X = rng.normal(size=(26, 39))
        X[:2] *= 1e4
        y = np.round(X @ rng.normal(size=39) + rng.normal(size=26))
    elif kind == "sizes of columns":
        X = rng.normal(size=(300, 5))
        y = X.sum(axis=1) + rng.normal(size=300)
        y[::7] *= 100.0
        X *= 10.0 ** np.array([-6, -2, 0, 3, 6])
    return X, y


DIFFICULT = [
    "gross",
    "gross, leverage",
    "heavy, repeated",
    "wide, leverage",
    "more columns than rows",
    "sizes of columns",
]


# Any two of quantile, alpha and l1_ratio meet on every table: a Latin square of the third.
LEVELS_OF_PENALTIES = [
    (tau, alpha, [0.0, 0.1, 0.9, 1.0][(i + j) % 4])
    for i, tau in enumerate([0.001, 0.01, 0.3, 0.99])
    for j, alpha in enumerate([1e-6, 1e-3, 1.0, 50.0])
]


@pytest.mark.parametrize("kind", DIFFICULT)
@pytest.mark.parametrize(("tau", "alpha", "l1_ratio"), LEVELS_OF_PENALTIES)
def test_penalised_fits_always_converge(kind, tau, alpha, l1_ratio):
    """A certified fit, no worse than no regressors at all; a warning would fail the test."""
    X, y = difficult(kind)
    model = QuantileRegressor(tau, alpha=alpha, l1_ratio=l1_ratio, solver="interior").fit(X, y)
    assert model.dual_gap_ <= 1e-7 * model.objective_
    null = pinball(y - np.quantile(y, tau, method="inverted_cdf"), tau)
    assert model.objective_ <= null * (1 + 1e-12)
    if l1_ratio == 1.0:
        assert objective(model, X, y, tau) == pytest.approx(
            model.objective_, rel=1e-9, abs=1e-14 * np.abs(y).max()
        )


@pytest.mark.parametrize("alpha", [1e-12, 1e-10])
@pytest.mark.parametrize("tau", [0.01, 0.3, 0.5])
def test_a_tiny_lasso_is_certified(alpha, tau):
    """The slopes must not exceed alpha: the rounding of their sums does, by a large share."""
    X, y = contaminated(n=150, p=6)
    model = QuantileRegressor(tau, alpha=alpha, l1_ratio=1.0).fit(X, y)
    assert model.dual_gap_ <= 1e-12 * model.objective_
    assert model.n_iter_ < 50  # HiGHS has not been asked


@pytest.mark.parametrize("seed", range(40))
def test_small_random_problems(seed):
    """Ties, repeated rows and columns, weights, sparse and deficient X, extreme quantiles."""
    rng = np.random.default_rng(seed)
    n, p = rng.choice([1, 2, 3, 5, 10, 20, 40]), rng.choice([1, 2, 3, 5, 8])
    X = rng.normal(size=(n, p))
    kind = rng.choice(["normal", "integer", "repeated", "dummies", "sparse"])
    if kind == "integer":
        X = np.round(X)
    elif kind == "repeated":
        X = X[rng.integers(0, n, n)]
        X[:, -1] = X[:, 0]
    elif kind == "dummies":
        X = (rng.uniform(size=(n, p)) < 0.3) * 1.0
    elif kind == "sparse":
        X = sparse.csr_array(X * (rng.uniform(size=(n, p)) < 0.2))
    y = X @ np.ones(p) + rng.standard_t(1, size=n)
    y = np.round(y) if rng.uniform() < 0.5 else y
    weight = rng.integers(0, 5, n) if rng.uniform() < 0.5 else np.ones(n)
    weight[0] = 1
    tau = rng.choice([0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
    model = QuantileRegressor(
        tau, alpha=rng.choice([0, 0, 1e-3, 0.1, 1]), l1_ratio=1.0, fit_intercept=seed % 3 > 0
    )
    for solver in SOLVERS:
        fitted = clone(model).set_params(solver=solver).fit(X, y, weight)
        assert_exact(fitted, X, y, tau, weight, rel=1e-8)


# --- long tables: the reduction


def long(kind, n=LONG, p=5, seed=0):
    """Tables on which signs are hard to predict, or ties abound."""
    rng = np.random.default_rng(seed)
    X, plane, noise = linear(n, p, seed)
    y = plane + noise
    if kind == "heavy":
        y = plane + rng.standard_t(1, size=n)
    elif kind == "heteroscedastic":
        y = plane + noise * np.exp(1.5 * X[:, 0])
    elif kind == "uneven":
        y = plane + noise * np.where(np.arange(n) % 10, 1.0, 100.0)
    elif kind == "leverage":
        X[:5] *= 1e4
        y = X.sum(axis=1) + noise
    elif kind == "heavy columns":
        X = rng.standard_t(2, size=(n, p))
        y = X.sum(axis=1) + noise
    elif kind == "integers":
        X, y = np.round(X), np.round(y)
    elif kind == "identical":
        y[rng.uniform(size=n) < 0.4] = 1.0
    elif kind == "dummies":
        X[:, 1:] = rng.zipf(1.5, size=n)[:, None] == np.arange(1, p)
    elif kind == "rare dummy":
        X[:, -1] = 0.0
        X[:3, -1], y[:3] = 1.0, 50.0
    elif kind == "repeated":
        X, y = np.tile(X[: n // 6], (6, 1)), np.tile(y[: n // 6], 6)
        X[:, -1] = X[:, 0]
    elif kind == "far":
        X = X + 1e7
    return X, y


KINDS = [
    "clean",
    "heavy",
    "heteroscedastic",
    "uneven",
    "leverage",
    "heavy columns",
    "integers",
    "identical",
    "dummies",
    "rare dummy",
    "repeated",
    "far",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tau", "weighted"), [(0.02, False), (0.5, True), (0.9, False)])
def test_the_reduction_is_exact(kind, tau, weighted):
    """Equal to the interior point method on all rows, with weights and without."""
    X, y = long(kind)
    weight = weights_for(len(y)) if weighted else None
    model = QuantileRegressor(tau).fit(X, y, weight)
    assert model.solver_ == "reduced"
    whole = QuantileRegressor(tau, solver="interior").fit(X, y, weight)
    assert model.objective_ == pytest.approx(whole.objective_, rel=1e-9)
    assert objective(model, X, y, tau, weight) == pytest.approx(model.objective_, rel=1e-9)
    assert model.dual_gap_ <= 1e-10 * model.objective_


@pytest.mark.parametrize("kind", ["clean", "integers", "dummies", "heteroscedastic"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_the_reduction_under_penalties(kind, l1_ratio, container):
    X, y = long(kind)
    model = QuantileRegressor(0.3, alpha=0.05, l1_ratio=l1_ratio).fit(container(X), y)
    whole = clone(model).set_params(solver="interior").fit(X, y)
    assert model.objective_ == pytest.approx(whole.objective_, rel=1e-9)
    assert model.dual_gap_ <= 1e-10 * model.objective_


@pytest.mark.parametrize("tau", [0.5, 0.9, 0.97])
def test_uneven_noise_is_reduced_and_not_handed_on(tau, monkeypatch):
    """A tenth of the rows is noisier by 100: outer quantiles lie where rows are few."""

    def refuse(*args, **options):
        raise AssertionError("all rows went to the interior point method")

    # the module: the package has the function of that name
    monkeypatch.setattr(sys.modules["robustreg.solvers.programme.reduction"], "interior_in", refuse)
    X, y = long("uneven", n=50_000)
    model = QuantileRegressor(tau).fit(X, y)
    assert model.dual_gap_ <= 1e-12 * model.objective_


@pytest.mark.parametrize("tau", [0.5, 0.9, 0.98])
def test_the_bias_of_a_wide_smoothing_does_not_open_most_rows(tau, monkeypatch):
    """With a sample far too small for so many rows, as 65 536 are for a hundred million."""
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(300_000, 5)), rng.standard_t(3, size=300_000)
    noise[::10] *= 30.0
    module, rounds = sys.modules["robustreg.solvers.programme.reduction"], []
    monkeypatch.setattr(module, "SAMPLE_ENTRIES", 1000 * (X.shape[1] + 1))

    class Counted(module.Reduction):
        def __init__(self, whole, rows, sums):
            rounds.append(len(rows.index))
            super().__init__(whole, rows, sums)

    monkeypatch.setattr(module, "Reduction", Counted)
    model = QuantileRegressor(tau).fit(X, X.sum(axis=1) + noise)
    assert len(rounds) <= 2
    assert max(rounds) < 2000
    assert model.dual_gap_ <= 1e-12 * model.objective_


def test_the_reduction_against_highs():
    X, y = long("heavy", n=3000)
    assert_exact(QuantileRegressor(0.8, solver="reduced").fit(X, y), X, y, 0.8)


def test_which_solver_auto_takes():
    options = {"n_features": 5, "scale": 1.0}
    assert select_solver(Quantile(0.3), n_samples=LONG, **options) == "reduced"
    assert select_solver(Quantile(0.3), n_samples=100, **options) == "interior"


def test_the_reduction_needs_little_memory():
    import tracemalloc

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 20))
    y = X.sum(axis=1) + rng.normal(size=len(X))
    model = QuantileRegressor(0.5).fit(X[:5000], y[:5000])
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 0.6 * X.nbytes


# --- what holds at a vertex


@pytest.mark.parametrize("n", [60, LONG])
@pytest.mark.parametrize("tau", [0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("weighted", [False, True])
def test_shares_below_and_zeros(n, tau, weighted):
    X, y = clean(n=n, p=4)
    weight = weights_for(n) if weighted else np.ones(n)
    model = QuantileRegressor(tau).fit(X, y, weight)
    residual = y - model.predict(X)
    zero = np.abs(residual) <= 1e-9
    below = weight[(residual < 0) & ~zero].sum() / weight.sum()
    at_most = weight[(residual < 0) | zero].sum() / weight.sum()
    assert below <= tau + 1e-12
    assert at_most >= tau - 1e-12
    assert zero[weight > 0].sum() >= X.shape[1] + 1
    if not weighted:
        assert abs(below - tau) <= (X.shape[1] + 1) / n


@pytest.mark.parametrize("n", [60, LONG])
@every_solver
def test_a_vertex_among_massive_ties(n, solver):
    """The optimum is a face there; what is reported is one of its corners."""
    X, y = ties(n=n if solver != "linprog" else 60)
    X = np.round(X)
    model = QuantileRegressor(0.5, solver=solver).fit(X, y)
    on = np.abs(y - model.predict(X)) <= 1e-9
    assert np.linalg.matrix_rank(np.c_[X, np.ones(len(y))][on]) == X.shape[1] + 1


@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_zeros_of_a_lasso_are_exact(alpha):
    X, y = clean(n=100, p=20)
    X[:, 10:] = np.random.default_rng(1).normal(size=(100, 10))
    model = QuantileRegressor(0.5, alpha=alpha, l1_ratio=1.0).fit(X, y)
    on = np.abs(y - model.predict(X)) <= 1e-9
    assert (model.coef_ == 0).sum() + on.sum() >= 21
    assert not ((model.coef_ != 0) & (np.abs(model.coef_) < 1e-9)).any()


# --- hard cases; those of every estimator are in test_hard_cases


@pytest.mark.parametrize("n", [60, LONG])
@pytest.mark.parametrize("unit", [1e-150, 1e150])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_units_of_y(n, unit, alpha):
    X, y = contaminated(n=n)
    model = QuantileRegressor(0.3, alpha=alpha, l1_ratio=1.0)
    plain = clone(model).fit(X, y)
    scaled = clone(model).fit(X, y * unit)
    assert scaled.objective_ / unit == pytest.approx(plain.objective_, rel=1e-9)
    np.testing.assert_allclose(scaled.coef_ / unit, plain.coef_, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("n", [70, LONG])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_weights_are_repetitions(n, alpha):
    X, y = contaminated(n=n)
    weight = np.arange(n) % 5
    model = QuantileRegressor(0.7, alpha=alpha, l1_ratio=1.0)
    weighted = clone(model).fit(X, y, weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-10)


@pytest.mark.parametrize("tau", [0.1, 0.5])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@every_solver
def test_one_row(tau, alpha, solver):
    model = QuantileRegressor(tau, alpha=alpha, l1_ratio=1.0, solver=solver)
    model.fit([[1.0, 2.0]], [3.0])
    assert model.predict([[1.0, 2.0]]) == pytest.approx(3.0)
    assert model.objective_ == 0


@pytest.mark.parametrize("n", [60, LONG])
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_sparse_with_empty_columns(n, alpha):
    X, y = contaminated(n=n, p=6)
    X[:, [1, 4]] = 0.0
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.7] = 0.0
    model = QuantileRegressor(0.4, alpha=alpha, l1_ratio=1.0)
    dense, thin = clone(model).fit(X, y), clone(model).fit(sparse.csr_array(X), y)
    assert thin.objective_ == pytest.approx(dense.objective_, rel=1e-10)
    np.testing.assert_array_equal(thin.coef_[[1, 4]], 0)
    assert thin.dual_gap_ <= 1e-12 * thin.objective_


@pytest.mark.parametrize("n", [60, LONG])
@every_solver
def test_a_perfect_fit(n, solver):
    X, plane, _ = linear(n)
    model = QuantileRegressor(0.2, solver=solver).fit(X, plane)
    np.testing.assert_allclose(model.predict(X), plane, rtol=0, atol=1e-12)
    assert model.scale_ == 0


@pytest.mark.parametrize("max_iter", [1, 3])
@pytest.mark.parametrize("solver", ["reduced", "interior"])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
@pytest.mark.parametrize("n", [80, 3000])
def test_the_certificate_of_a_fit_that_was_cut_short(max_iter, solver, alpha, n):
    X, y = contaminated(n=n)
    model = QuantileRegressor(0.3, alpha=alpha, l1_ratio=1.0, solver=solver)
    least = clone(model).fit(X, y).objective_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(max_iter=max_iter).fit(X, y)
    assert model.objective_ - model.dual_gap_ <= least * (1 + 1e-12)
    assert model.objective_ >= least * (1 - 1e-12)


# --- several quantiles


def test_shapes_of_several_quantiles():
    X, y = contaminated(n=200)
    levels = [0.9, 0.1, 0.5]
    model = QuantileRegressor(levels).fit(X, y)
    assert model.coef_.shape == (3, 3)
    assert model.predict(X).shape == (200, 3)
    assert model.converged_ is True
    for name in ("intercept_", "scale_", "objective_", "dual_gap_", "n_iter_"):
        assert getattr(model, name).shape == (3,)
    for name in ("weights_", "outliers_"):
        assert getattr(model, name).shape == (3, 200)
    for index, level in enumerate(levels):
        alone = QuantileRegressor(level).fit(X, y)
        assert model.objective_[index] == pytest.approx(alone.objective_, rel=1e-10)
        np.testing.assert_allclose(model.coef_[index], alone.coef_, rtol=1e-8)
        assert model.scale_[index] == pytest.approx(alone.scale_, rel=1e-8)


@pytest.mark.parametrize("n", [200, LONG])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_each_of_several_quantiles_is_the_optimum(n, alpha):
    X, y = contaminated(n=n)
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    model = QuantileRegressor(levels, alpha=alpha, l1_ratio=0.5).fit(X, y)
    for index, level in enumerate(levels):
        alone = QuantileRegressor(level, alpha=alpha, l1_ratio=0.5).fit(X, y)
        assert model.objective_[index] == pytest.approx(alone.objective_, rel=1e-10)


def test_a_sequence_of_one_and_a_constant_y():
    X, y = contaminated()
    assert QuantileRegressor([0.5]).fit(X, y).predict(X).shape == (60, 1)
    model = QuantileRegressor((0.1, 0.9)).fit(X, np.full(60, 3.0))
    np.testing.assert_array_equal(model.predict(X), 3.0)


def test_rearranged_quantiles_do_not_cross():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    levels = [0.6, 0.2, 0.4, 0.8, 0.5]
    crossing = QuantileRegressor(levels).fit(X, y)
    sorted_ = QuantileRegressor(levels, crossing="rearrange").fit(X, y)
    far = 3 * X
    plain, ordered = crossing.predict(far), sorted_.predict(far)
    order = np.argsort(levels)
    assert (np.diff(plain[:, order], axis=1) < 0).any()
    assert (np.diff(ordered[:, order], axis=1) >= 0).all()
    np.testing.assert_array_equal(np.sort(plain, axis=1), np.sort(ordered, axis=1))
    np.testing.assert_array_equal(crossing.coef_, sorted_.coef_)


def test_score():
    X, plane, noise = linear()
    y = plane + 0.01 * noise
    assert QuantileRegressor().fit(X, y).score(X, y) > 0.99
    alone = [QuantileRegressor(level).fit(X, y).score(X, y) for level in (0.1, 0.9)]
    both = QuantileRegressor([0.1, 0.9]).fit(X, y)
    assert both.score(X, y) == pytest.approx(np.mean(alone), rel=1e-12)
    assert both.score(X.tolist(), y.tolist()) == both.score(X, y)


def test_predictions_belong_to_the_fit_and_not_to_later_parameters():
    X, y = contaminated()
    model = QuantileRegressor([0.9, 0.1, 0.5], crossing="rearrange").fit(X, y)
    before = model.predict(X)
    model.set_params(quantile=0.5)
    np.testing.assert_array_equal(model.predict(X), before)
    model.set_params(quantile=[0.1, 0.5, 0.9])
    np.testing.assert_array_equal(model.predict(X), before)


def test_warm_start_of_several_quantiles():
    X, y = contaminated(n=LONG)
    model = QuantileRegressor([0.9, 0.1], warm_start=True).fit(X, y)
    cold = QuantileRegressor([0.9, 0.1]).fit(X, y)
    for _ in range(2):
        np.testing.assert_allclose(model.coef_, cold.coef_, rtol=1e-9)
        model.fit(X, y)
    model.set_params(quantile=[0.5, 0.1]).fit(X, y)  # not the quantiles fitted before
    assert model.objective_[1] == pytest.approx(cold.objective_[1], rel=1e-10)


def test_the_warning_names_the_quantile():
    X, y = contaminated()
    model = QuantileRegressor([0.1, 0.9], solver="interior", max_iter=2)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    assert ["at quantile 0.1 " in str(each.message) for each in caught] == [True, False]
    assert "at quantile 0.9 " in str(caught[1].message)
    assert not model.converged_


@pytest.mark.parametrize("quantile", [0.3, [0.3, 0.7]])
def test_the_warning_points_at_the_caller(quantile):
    X, y = contaminated()
    model = QuantileRegressor(quantile, solver="interior", max_iter=2)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    assert {Path(each.filename).name for each in caught} == {Path(__file__).name}


@pytest.mark.parametrize("quantile", [[0.1, "b"], [0.1, [0.2]], 0.5 + 0j, b"0.5", {}, [np.nan]])
def test_what_a_quantile_may_be(quantile):
    X, y = contaminated()
    with pytest.raises(ValueError, match="quantile must be a number strictly between 0 and 1"):
        QuantileRegressor(quantile).fit(X, y)


def test_the_median_is_l1_regression():
    X, y = contaminated()
    median, absolute = QuantileRegressor().fit(X, y), L1Regressor().fit(X, y)
    np.testing.assert_allclose(median.coef_, absolute.coef_, rtol=1e-12)
    assert 2 * median.objective_ == pytest.approx(absolute.objective_, rel=1e-13)
    np.testing.assert_allclose(median.weights_, absolute.weights_, rtol=1e-9)
    assert median.scale_ == pytest.approx(absolute.scale_)


@pytest.mark.parametrize("tau", [0.1, 0.9])
def test_scale_flags_and_weights_off_the_median(tau):
    """Flags are deviations from the noise's centre, not from the quantile."""
    X, plane, noise = linear(n=20_000)
    y = plane + 3 * noise
    model = QuantileRegressor(tau).fit(X, y)
    residual = y - model.predict(X)
    assert model.scale_ == pytest.approx(3, rel=0.02)
    far = np.abs(residual - np.median(residual)) > 2.5 * model.scale_
    np.testing.assert_array_equal(model.outliers_, far)
    assert model.outliers_.mean() == pytest.approx(0.0124, abs=0.003)
    side = np.where(residual > 0, tau, 1 - tau) / max(tau, 1 - tau)
    expected = np.minimum(1, side * model.scale_ / np.maximum(np.abs(residual), 1e-300))
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-9)


@pytest.mark.parametrize("quantile", [0.3, np.float32(0.3), np.float64(0.3), np.array(0.3)])
def test_a_number_of_any_kind_is_a_single_quantile(quantile):
    X, y = contaminated()
    model = QuantileRegressor(quantile).fit(X, y)
    assert model.coef_.shape == (X.shape[1],)
    assert model.predict(X).shape == y.shape
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_warning_speaks_in_the_units_of_y(unit):
    X, y = contaminated()
    with pytest.warns(ConvergenceWarning) as caught:
        model = QuantileRegressor(0.3, solver="interior", max_iter=2).fit(X, y * unit)
    assert f"{model.dual_gap_:.2g} at an objective of {model.objective_:.2g}" in str(
        caught[0].message
    )


@every_solver
@pytest.mark.parametrize("size", [1e3, 1e9, 1e11, 1e12])
def test_a_signal_far_above_the_noise_leaves_the_noise_its_size(solver, size):
    """Residuals are only taken for 0 as far as the rounding of their terms explains them."""
    rng = np.random.default_rng(0)
    X, noise = rng.standard_normal((3000, 2)), rng.standard_normal(3000)
    model = QuantileRegressor(0.3, solver=solver).fit(X, noise + size * X[:, 0])
    least = QuantileRegressor(0.3).fit(X, noise).objective_
    assert model.objective_ == pytest.approx(least, rel=1e-9, abs=4 * np.finfo(float).eps * size)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("tau", [0.05, 0.5, 0.9])
def test_a_small_table_is_solved_in_few_steps(tau, fit_intercept, weighted):
    """The vertex next to the first points of the interior leads to the optimum."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(800, 5))
    y = X @ [1.0, -2.0, 0.5, 0.0, 3.0] + rng.standard_t(3, size=800)
    y[rng.random(800) < 0.1] += 20.0
    weight = rng.uniform(0.1, 2.0, size=800) if weighted else None
    model = QuantileRegressor(tau, fit_intercept=fit_intercept).fit(X, y, weight)
    assert_exact(model, X, y, tau, weight)
    assert (np.abs(y - model.predict(X)) < 1e-12).sum() == 5 + fit_intercept
    assert model.n_iter_ <= 9  # 13 to 20 without steps between vertices

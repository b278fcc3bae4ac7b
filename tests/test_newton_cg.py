"""Newton's method by products with X: its parts, and sparse wide tables beside dense ones."""

import tracemalloc

import numpy as np
import pytest
from _cases import contaminated
from numpy.testing import assert_allclose
from scipy import sparse

from robustreg import HuberRegressor, L2Regressor, MRegressor
from robustreg._linalg.conjugate import conjugate_gradients
from robustreg.evaluation import choice, ranks
from robustreg.evaluation.categories import complete_groups
from robustreg.evaluation.choice import nearly_orthonormal, scaled, separable
from robustreg.evaluation.hessian import hessian_at
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.orthogonality import SomeRows
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.products import Products
from robustreg.evaluation.ranks import rank_of_sparse
from robustreg.evaluation.survey import read_rows
from robustreg.losses import Huber, LogCosh
from robustreg.penalties import ElasticNet
from robustreg.solvers import inexact, select_solver
from robustreg.solvers._tracked import Tracked


def dummies(n=2000, levels=(350, 40, 5), seed=0):
    """Numbers and dummies of categories with rare levels; heavy tails and gross errors."""
    rng = np.random.default_rng(seed)
    blocks, y = [sparse.csr_array(rng.normal(size=(n, 3)))], rng.standard_t(3, n)
    for count in levels:
        share = 1.0 / np.arange(1, count + 1)
        level = rng.choice(count, n, p=share / share.sum())
        y += rng.normal(size=count)[level]
        ones = (np.ones(n), level, np.arange(n + 1))
        blocks.append(sparse.csr_array(ones, shape=(n, count)))
    y[: n // 10] += 100.0 * rng.normal(size=n // 10)
    return sparse.hstack(blocks, format="csr"), y


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("loss", [Huber(1.345), LogCosh()])
def test_products_are_those_of_the_hessian(loss, alpha, joint):
    X, y = contaminated()
    weight = np.linspace(0.5, 2.0, len(y))
    problem = make_problem(
        Data(X, y, weight, 1),
        loss=loss,
        scale=None if joint else 1.0,
        penalty=ElasticNet(alpha),
        fit_intercept=True,
    )
    objective = make_objective(problem, separable(problem))
    theta = np.linspace(-0.5, 0.5, objective.size)
    if joint:
        theta[-1] = 0.3
    here = Tracked(objective).at(theta)
    expected = hessian_at(objective, here)[0]
    matrix, more = (Products.at(objective, here, bounded) for bounded in (False, True))
    found = np.column_stack([matrix @ row for row in np.eye(objective.size)])
    off = 1e-12 if loss.smoothness < 2 else 0.01  # psi' of smooth losses is held to 0.4 %
    assert_allclose(found, expected, rtol=off, atol=off * np.abs(expected).max())
    larger = np.column_stack([more @ row for row in np.eye(objective.size)])
    assert np.linalg.eigvalsh(larger - found).min() > -1e-12
    assert_allclose(matrix.diagonal()[:-1], np.diag(found)[:-1], rtol=2.0)


def test_conjugate_gradients_solve():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 8))
    matrix, side = root.T @ root, rng.normal(size=8)
    x, count = conjugate_gradients(matrix, side, lambda r: r / np.diag(matrix), 1e-12, 50)
    assert_allclose(matrix @ x, side, atol=1e-11)
    assert count <= 12
    rough, fewer = conjugate_gradients(matrix, side, lambda r: r / np.diag(matrix), 1.0, 50)
    assert np.linalg.norm(matrix @ rough - side) <= 1.0
    assert fewer < count
    assert conjugate_gradients(matrix, side, lambda r: r / np.diag(matrix), 0.0, 3)[1] == 3
    assert conjugate_gradients(matrix, 0.0 * side, lambda r: r, 0.0, 3)[1] == 0


def test_conjugate_gradients_of_a_singular_matrix_have_least_length():
    root = np.random.default_rng(0).normal(size=(3, 8))
    matrix = root.T @ root
    side = matrix @ np.arange(8.0)
    x, _ = conjugate_gradients(matrix, side, lambda r: r, 1e-12, 50)
    assert_allclose(x, np.linalg.pinv(matrix) @ side, atol=1e-10)


def test_conjugate_gradients_leave_where_nothing_curves():
    matrix = np.diag([1.0, 2.0, 0.0])
    x, _ = conjugate_gradients(matrix, np.array([0.0, 0.0, 1.0]), lambda r: r, 0.0, 9)
    assert_allclose(x, [0.0, 0.0, 1.0])  # the way down itself
    x, _ = conjugate_gradients(matrix, np.array([1.0, 1.0, 1.0]), lambda r: r, 0.0, 9)
    assert np.isfinite(x).all()


@pytest.mark.parametrize(("alpha", "weighted"), [(0.0, True), (1e-4, False), (0.1, True)])
@pytest.mark.parametrize(
    "model",
    [L2Regressor(), HuberRegressor(), HuberRegressor(scale="mad"), MRegressor("log_cosh")],
    ids=repr,
)
def test_sparse_dummies_are_fitted_as_dense_ones(model, weighted, alpha):
    X, y = dummies(1000)
    weight = 1.0 + np.arange(len(y)) % 3 if weighted else None
    model = type(model)(**{**model.get_params(), "alpha": alpha})
    own = type(model)(**model.get_params()).fit(X, y, weight)
    assert own.solver_ == "newton_cg"
    dense = model.set_params(solver="newton").fit(X.toarray(), y, weight)
    assert own.dual_gap_ <= 1e-10 * own.objective_
    assert own.objective_ == pytest.approx(dense.objective_, rel=1e-10)
    assert own.rank_ == dense.rank_
    assert own.scale_ == pytest.approx(dense.scale_, rel=1e-8)
    if alpha or isinstance(model, L2Regressor):  # else rare levels have more than one optimum
        assert_allclose(own.predict(X), dense.predict(X), atol=1e-6 * np.ptp(dense.predict(X)))


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_units_and_shifts_of_columns_make_no_difference(fit_intercept):
    X, y = dummies()
    model = HuberRegressor(fit_intercept=fit_intercept)
    plain = model.fit(X, y).predict(X)
    unit = 2.0 ** np.arange(-20, X.shape[1] - 20) if X.shape[1] < 60 else np.ones(X.shape[1])
    unit[:5] = [1e-8, 1e8, 1e3, 1e-150, 1e150]
    scaled = sparse.csr_array(X @ sparse.diags(unit))
    again = HuberRegressor(fit_intercept=fit_intercept).fit(scaled, 1e3 * y)
    assert again.solver_ == "newton_cg"
    assert_allclose(again.predict(scaled), 1e3 * plain, rtol=1e-6, atol=1e-4)


def test_levels_of_gross_errors_alone_come_to_rest():
    """No row of theirs is in the centre of the loss at first, and nothing curves F there."""
    X, y = dummies()
    counts = np.asarray(X.sum(axis=0)).ravel()
    rare = np.flatnonzero((counts <= 2) & (counts > 0))
    rows = np.flatnonzero(np.asarray(X[:, rare].sum(axis=1)).ravel() > 0)
    y[rows] = 1e6 * (-1.0) ** np.arange(len(rows))
    for alpha in (0.0, 1e-6):
        model = HuberRegressor(alpha=alpha).fit(X, y)
        assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("exponent", [4, 8, 12])
def test_gross_errors_far_out(exponent):
    X, y = dummies()
    y[:50] = 10.0**exponent
    model = HuberRegressor(alpha=1e-3).fit(X, y)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("name", ["clean", "collinear"])
def test_dense_rows_have_white_coordinates(name, alpha):
    """However collinear the columns are, and where the rank is not full."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 30))
    if name == "collinear":
        X = X @ np.diag(10.0 ** -np.linspace(0.0, 6.0, 30)) @ rng.normal(size=(30, 40))
    y = X @ np.ones(X.shape[1]) + rng.standard_t(3, 200)
    expected = HuberRegressor(alpha=alpha, solver="newton").fit(X, y)
    found = HuberRegressor(alpha=alpha, solver="newton_cg").fit(X, y)
    assert found.dual_gap_ <= 1e-9 * found.objective_
    assert found.rank_ == expected.rank_
    assert_allclose(found.predict(X), expected.predict(X), atol=1e-6)


@pytest.mark.parametrize("model", [L2Regressor(alpha=1e-4), HuberRegressor(alpha=1e-4)], ids=repr)
def test_wide_sparse_tables_stay_sparse(model):
    X, y = dummies(20_000, (3000, 100))
    stored = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    model.fit(X, y)
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.solver_ == "newton_cg"
    assert peak < 5 * stored


def normal_columns(n=900, p=60):
    """Columns that are nearly orthonormal in units of their spreads, and gross errors."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) * np.logspace(-2, 2, p) + np.logspace(-2, 2, p)
    y = X[:, ::7] @ np.logspace(2, -2, p)[::7] + rng.standard_t(3, n)
    y[: n // 10] += 100.0 * rng.normal(size=n // 10)
    return X, y


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(alpha=0.1),
        HuberRegressor(scale="mad"),
        MRegressor("log_cosh"),
    ],
    ids=repr,
)
def test_nearly_orthonormal_columns_need_no_gram_matrix(
    model, fit_intercept, weighted, monkeypatch
):
    X, y = normal_columns()
    if not fit_intercept:  # columns with the same mean are nearly collinear about 0
        X = X - np.logspace(-2, 2, X.shape[1])
    weight = 1.0 + np.arange(len(y)) % 3 if weighted else None
    model.set_params(fit_intercept=fit_intercept, solver="newton")
    expected = type(model)(**model.get_params()).fit(X, y, weight)
    monkeypatch.setattr(inexact, "quick", None)  # white coordinates
    found = model.set_params(solver="newton_cg").fit(X, y, weight)
    assert found.dual_gap_ <= 1e-10 * found.objective_
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.rank_ == expected.rank_
    assert_allclose(found.predict(X), expected.predict(X), atol=1e-8 * np.ptp(expected.predict(X)))


@pytest.mark.parametrize("rows", [300, 60])
def test_wide_columns_under_a_ridge_need_no_gram_matrix(rows, monkeypatch):
    """Columns may outnumber rows, and be more than white coordinates are made for."""
    X, y = normal_columns(rows, 80)
    alpha = 10.0 * np.square(X.std(axis=0)).max()
    expected = HuberRegressor(alpha=alpha, solver="newton").fit(X, y)
    monkeypatch.setattr(inexact, "MAX_WHITENED", 50)
    monkeypatch.setattr(inexact, "lbfgs", None)
    found = HuberRegressor(alpha=alpha, solver="newton_cg").fit(X, y)
    assert found.converged_
    assert_allclose(found.coef_, expected.coef_, atol=1e-8 * np.abs(expected.coef_).max())


def test_white_coordinates_take_over_where_products_do_not_suffice(monkeypatch):
    X, y = normal_columns()
    expected = HuberRegressor(solver="newton").fit(X, y)
    monkeypatch.setattr(inexact, "FEW_PRODUCTS", 9)
    found = HuberRegressor(solver="newton_cg").fit(X, y)
    assert found.converged_
    assert found.n_iter_ > expected.n_iter_  # those that led nowhere count
    assert_allclose(found.coef_, expected.coef_, rtol=1e-8)


def posed(X):
    """A problem without a penalty."""
    return make_problem(
        Data(X, np.cos(np.arange(len(X))), None, 1),
        loss=Huber(1.345),
        scale=None,
        penalty=ElasticNet(0.0),
        fit_intercept=True,
    )


def spread_over(X):
    """What 8 factors add to the columns of X, about half of their spreads each."""
    return 0.5 * np.random.default_rng(2).normal(size=(8, X.shape[1])) * X.std(axis=0)


SPOILT = {
    "normal": lambda X: X,
    "factors": lambda X: X + X[:, :8] / X[:, :8].std(axis=0) @ spread_over(X),
    "pairs": lambda X: np.hstack([X, X[:, :20] + 0.1 * X[::-1, :20]]),
    "a sum": lambda X: np.column_stack([X, (X / X.std(axis=0)).sum(axis=1)]),
    "constant": lambda X: np.column_stack([X, np.full(len(X), 3.0)]),
    "few ones": lambda X: np.column_stack([X, np.arange(len(X)) == 5]),
    "far": lambda X: X + 10.0 * X.std(axis=0),
    "huge": lambda X: np.where(np.arange(X.size).reshape(X.shape) == 2 * X.shape[1], 1e200, X),
    "short": lambda X: X[:200],
    "by columns": np.asfortranarray,
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_which_columns_are_nearly_orthonormal(spoil):
    X = SPOILT[spoil](normal_columns()[0])
    own = nearly_orthonormal(posed(X))
    assert (own is not None) == (spoil == "normal")


def test_some_rows_prove_independence():
    """Also of columns that are far from orthogonal, and never where there is none."""
    X = normal_columns()[0]
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(60, 60)))[0]
    mixed = X / X.std(axis=0) @ (turn * np.linspace(1.0, 5.0, 60)) @ turn.T
    for columns, independent in ((mixed, True), (np.hstack([mixed, mixed[:, :3]]), False)):
        rows = read_rows(posed(columns).observed, True)
        assert SomeRows.of(rows, 300).are_independent() == independent


def test_who_is_chosen():
    wide = {"n_features": 1000, "n_samples": 10_000, "zeros": 0.99}
    assert select_solver("huber", **wide) == "newton_cg"
    assert select_solver("huber", **{**wide, "zeros": 0.4}) == "newton_cg"
    assert select_solver("huber", **{**wide, "zeros": 0.4, "n_features": 999}) == "newton"
    assert select_solver("huber", **{**wide, "zeros": 0.4, "n_features": 2001}) == "lbfgs"
    wider = {**wide, "zeros": 0.4, "n_features": 5000}
    assert select_solver("huber", alpha=0.1, **wider) == "newton_cg"
    assert select_solver("huber", **{**wide, "n_features": 100}) == "newton"
    assert select_solver("huber", alpha=0.1, l1_ratio=0.5, **wide) == "working_set"
    assert select_solver("half_squared", scale=1.0, **wide) == "newton_cg"
    assert select_solver("half_squared", scale=1.0, **{**wide, "zeros": 0.6}) == "newton_cg"
    assert select_solver("half_squared", scale=1.0, **{**wide, "zeros": 0.4}) == "direct"


def dense_groups(X):
    """The same by looking at all runs of columns: the first that sum up to 1 in every row."""
    X, found, number, first = X.toarray(), np.full(X.shape[1], -1), 0, 0
    while first < X.shape[1]:
        for last in range(first + 1, X.shape[1] + 1):
            part = X[:, first:last]
            if (part.sum(axis=1) == 1.0).all() and np.isin(part, (0.0, 1.0)).all():
                found[first:last], number, first = number, number + 1, last - 1
                break
        first += 1
    return found


def one_hot(rng, n, count):
    return np.eye(count)[np.append(np.arange(count), rng.integers(0, count, n - count))]


def test_groups_of_dummies_are_found():
    """Every group that is named is one, and few are hidden by runs that overlap with them."""
    rng, n, named, all_of_them = np.random.default_rng(0), 30, 0, 0
    makers = [
        lambda: one_hot(rng, n, 4),
        lambda: one_hot(rng, n, 3)[:, 1:],
        lambda: rng.normal(size=(n, 2)),
        lambda: 2.0 * one_hot(rng, n, 3),
        lambda: (rng.uniform(size=(n, 3)) < 0.3).astype(float),
        lambda: one_hot(rng, n, 5),
    ]
    for _ in range(30):
        X = sparse.csr_array(np.hstack([makers[k]() for k in rng.permutation(len(makers))]))
        found = complete_groups(X)
        for number in np.unique(found[found >= 0]):
            assert (X[:, found == number].sum(axis=1) == 1.0).all()
        named, all_of_them = named + (found >= 0).sum(), all_of_them + (dense_groups(X) >= 0).sum()
    assert named >= 0.8 * all_of_them
    assert (complete_groups(sparse.csr_array(np.eye(3)[:, :2])) == -1).all()


def test_repeated_entries_make_no_group():
    X = sparse.csr_array((np.ones(4), [0, 0, 1, 0], [0, 2, 3, 4]), shape=(3, 2))
    assert (complete_groups(X) == -1).all()


def counted_products(monkeypatch):
    """How many products each system takes from now on."""
    counts, solve = [], inexact.conjugate_gradients

    def counted(*arguments):
        x, count = solve(*arguments)
        counts.append(count)
        return x, count

    monkeypatch.setattr(inexact, "conjugate_gradients", counted)
    return counts


def test_groups_take_few_products_under_a_weak_ridge(monkeypatch):
    """A ridge alone curves F along their sums: without them it takes more than twice as many."""
    X, y = dummies(levels=(350, 40, 30, 20, 10, 10, 5))
    counts = counted_products(monkeypatch)
    fits = [L2Regressor(alpha=1e-6).fit(X, y)]
    with_groups = sum(counts)
    monkeypatch.setattr(inexact, "complete_groups", lambda X: np.full(X.shape[1], -1))
    fits.append(L2Regressor(alpha=1e-6).fit(X, y))
    assert 2 * with_groups <= sum(counts) - with_groups
    assert fits[0].objective_ == pytest.approx(fits[1].objective_, rel=1e-12)
    assert_allclose(fits[0].coef_, fits[1].coef_, atol=1e-6)


@pytest.mark.parametrize("spoil", ["nothing", "constant", "nested"])
def test_ranks_of_dummies_are_those_of_dense_ones(spoil):
    X, y = dummies()
    if spoil == "constant":
        X = sparse.hstack([X, np.full((len(y), 1), 3.0)], format="csr")
    if spoil == "nested":
        X = sparse.hstack([X, np.reshape(X[:, 3:5].sum(axis=1), (-1, 1))], format="csr")
    found = HuberRegressor().fit(X, y)
    assert found.solver_ == "newton_cg"
    assert found.rank_ == np.linalg.matrix_rank(np.column_stack([X.toarray(), np.ones(len(y))]))


def test_single_precision_is_enough_for_nearly_white_coordinates(monkeypatch):
    """Of columns for which the steps of ``newton`` ask for a Gram matrix in double precision."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 60)) * np.sqrt(np.where(np.arange(60) < 50, 1.0, 5e-3))
    X = X @ np.linalg.qr(rng.normal(size=(60, 60)))[0]
    y = X[:, 0] + rng.standard_t(3, 1000)
    expected = HuberRegressor(solver="newton").fit(X, y)
    gram = np.corrcoef(X.T)
    assert 1e3 < np.linalg.cond(gram, 1) < 1e4
    monkeypatch.setattr(choice, "white", None)
    found = HuberRegressor(solver="newton_cg").fit(X, y)
    assert found.dual_gap_ <= 1e-10 * found.objective_
    assert_allclose(found.coef_, expected.coef_, atol=1e-9 * np.abs(expected.coef_).max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spoil", ["nothing", "single", "zero", "twins"])
def test_few_rows_prove_the_rank_of_long_tables(spoil, weighted, monkeypatch):
    X, y = dummies(n=6000, levels=(290, 10), seed=1)
    place, extra = np.arange(len(y)), []
    if spoil == "single":  # a level of one row
        extra = [place == 4321]
    if spoil == "zero":
        extra = [place < 0]
    if spoil == "twins":  # two rare levels that always come together
        extra = 2 * [np.isin(place, [5, 77])]
    columns = [sparse.csr_array(each[:, np.newaxis].astype(float)) for each in extra]
    X = sparse.hstack([X, *columns], format="csr")
    weight = np.random.default_rng(2).integers(1, 4, len(y)).astype(float) if weighted else None
    problem = make_problem(
        Data(X, y, weight, 1), loss=Huber(), scale=None, penalty=ElasticNet(), fit_intercept=True
    )
    looked_at, moments = [], ranks.moments

    def counted(rows, limit):
        looked_at.append(rows.n)
        return moments(rows, limit)

    monkeypatch.setattr(ranks, "moments", counted)
    found = rank_of_sparse(problem, scaled(problem)[0])
    assert found == np.linalg.matrix_rank(np.column_stack([X.toarray(), np.ones(len(y))]))
    assert looked_at[0] < len(y) / 2
    assert len(looked_at) == (2 if spoil == "twins" else 1)


def test_diagonals_of_a_sparse_hessian_are_exact_if_wanted():
    X, y = dummies(n=500, levels=(200, 4))
    weight = np.linspace(0.5, 2.0, len(y))
    problem = make_problem(
        Data(X, y, weight, 1),
        loss=Huber(),
        scale=None,
        penalty=ElasticNet(1e-6),
        fit_intercept=True,
    )
    objective = make_objective(problem, scaled(problem))
    theta = np.append(np.zeros(objective.size - 1), 0.5)
    matrix = Products.at(objective, Tracked(objective).at(theta), bounded=False)
    live = np.append(objective.coordinates.basis, [1.0, 1.0]) > 0
    found, least = matrix.diagonal(exact=True)[live], 0.01 * matrix.diagonal()[live]
    expected = np.array([row @ (matrix @ row) for row in np.eye(objective.size)[live]])
    assert 0 < np.sum(expected < least) < len(least) / 2  # no row in the centre of the loss
    assert_allclose(found[expected > 2.0 * least], expected[expected > 2.0 * least], rtol=1e-12)
    assert (found >= least).all()


def test_rare_levels_are_scaled_by_their_own_rows(monkeypatch):
    X, y = dummies(n=4000, levels=(1500, 20), seed=3)
    weight = np.random.default_rng(4).exponential(size=len(y)) ** 3
    counts = counted_products(monkeypatch)
    fit = HuberRegressor(alpha=1e-6).fit(X, y, sample_weight=weight)
    exactly = sum(counts)
    monkeypatch.setattr(inexact, "_has_rare", lambda problem, objective: False)
    other = HuberRegressor(alpha=1e-6).fit(X, y, sample_weight=weight)
    assert fit.converged_
    assert 1.2 * exactly <= sum(counts) - exactly
    assert fit.objective_ == pytest.approx(other.objective_, rel=1e-10)
    assert_allclose(fit.coef_, other.coef_, atol=1e-5)

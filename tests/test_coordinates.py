"""Coordinates of the coefficients, and the choice among them, against dense algebra in NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from robustreg.evaluation import whitening
from robustreg.evaluation.choice import is_small, quick, scaled, separable, white
from robustreg.evaluation.moments import moments
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.whitening import whiten_deficient, whiten_gram, whiten_rows
from robustreg.losses import HalfSquared, Huber, Squared
from robustreg.penalties import ElasticNet
from robustreg.sources._array import ArraySource

CURVATURE = {Huber: 1.0, HalfSquared: 1.0, Squared: 2.0}
UNITS = np.array([1.0, 20.0, 0.1])


def posed(X, weighted=False, loss=None, alpha=0.0, l1_ratio=0.0, fit_intercept=True):
    """A problem with Gaussian targets."""
    n, loss = X.shape[0], loss or Huber()
    return make_problem(
        Data(X, np.random.default_rng(3).normal(size=n), weights(n) if weighted else None, 1),
        loss=loss,
        scale=1.0 if loss.homogeneity == 2 else None,
        penalty=ElasticNet(alpha, l1_ratio),
        fit_intercept=fit_intercept,
    )


def weights(n):
    return 1.0 + np.arange(n) % 5


def centred(X, weighted, fit_intercept=True):
    """X about its means, and the shares of its rows."""
    share = weights(len(X)) if weighted else np.ones(len(X))
    share = share / share.sum()
    if fit_intercept:
        X = X - X.mean(axis=0)  # twice: what rounding leaves of a far mean
        X = X - share @ X
    return X, share


def pull(problem):
    """The ridge's curvature over the loss's."""
    return problem.penalty.ridge / CURVATURE[type(problem.loss)]


def in_own_columns(own):
    """T for the coefficients of the user's columns."""
    basis = own.basis if own.basis.ndim == 2 else np.diag(own.basis)
    return basis / own.rows.unit[:, None]


def plain(n=40):
    return np.random.default_rng(0).normal(size=(n, 3)) * UNITS + 0.5 * UNITS


def correlated(n=40):
    X = plain(n)
    X[:, 2] += 0.3 * X[:, 0]
    return X


def dummies(n=40):
    return np.column_stack([np.eye(3)[np.arange(n) ** 2 % 7 % 3], plain(n)])


def hard(n=40):
    """Two columns alike to five digits, all of them far from 0."""
    X = plain(n)
    X[:, 1] = X[:, 0] + 1e-5 * X[:, 1] / UNITS[1]
    return X + 2e4 * UNITS


def far_twice(n=40):
    """A column a hundred thousand spreads from 0, and again in other units."""
    X = plain(n)
    far = 100.0 + 1e-3 * np.cos(np.arange(n) ** 2)
    return np.column_stack([X, far, 3.7 * far])


def zeros(n=40):
    """A column twice that is 0 in half of the rows, one of which is 0 altogether."""
    X = np.random.default_rng(5).normal(size=(n, 5)) * [3.0, 3.0, 0.1, 0.2, 0.3]
    X[n // 2 :, 0] = X[-1] = 0.0
    X[:, 1] = 0.7 * X[:, 0]
    return X


def square(repeated=False):
    X = np.random.default_rng(1).normal(size=(4, 4)) + 3.0 * np.eye(4)
    if repeated:
        X[:, 3] = X[:, 2]
    return X


# X, how the problem is posed, coordinates, and whether they are made from the rows themselves
CASES = {
    "plain": (plain(), {}, 3, False),
    "weighted": (correlated(), {"weighted": True}, 3, False),
    "no intercept": (plain(), {"fit_intercept": False}, 3, False),
    "constant": (np.column_stack([plain(), np.full(40, 7.0)]), {}, 3, False),
    "only constant": (np.full((40, 2), 7.0), {}, 0, False),
    "ridge": (correlated(), {"alpha": 0.3, "weighted": True}, 3, False),
    "ridge, squares": (correlated(), {"alpha": 0.3, "loss": Squared()}, 3, False),
    "dummies": (dummies(), {}, 5, False),
    "weighted dummies": (dummies(), {"weighted": True}, 5, False),
    "many dummies": (dummies(4000), {}, 5, False),
    "a far column twice": (far_twice(), {}, 4, False),
    "zeros": (zeros(), {"fit_intercept": False}, 4, False),
    "faint ridge": (dummies(), {"alpha": 1e-13}, 6, True),
    "hard": (hard(), {}, 3, True),
    "weighted hard": (hard(), {"weighted": True}, 3, True),
    "wide": (plain(36).reshape(6, 18) @ np.diag(np.geomspace(1, 50, 18)), {}, 5, True),
    "wide, constant": (np.column_stack([plain(36).reshape(6, 18), np.full(6, 0.1)]), {}, 5, True),
    "wide, ridge": (plain(36).reshape(6, 18), {"alpha": 0.3}, 18, False),
    "square": (square(), {"fit_intercept": False}, 4, True),
    "square, a column twice": (square(True), {"fit_intercept": False}, 3, True),
}


@pytest.mark.parametrize("rows", [7, 5000])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_columns_are_orthonormal_in_white_coordinates(form, case, rows, monkeypatch):
    rows = max(rows, len(CASES[case][0]) // 10)
    monkeypatch.setattr(ArraySource, "block_rows", rows)  # of many blocks, and of one
    X, how, k, by_rows = CASES[case]
    problem = posed(form(X), **how)
    own, _ = white(problem)
    assert own.k == k
    assert own.by_rows == by_rows
    assert own.certain
    assert not own.single
    about, share = centred(X, how.get("weighted", False), problem.fit_intercept)
    basis = in_own_columns(own)
    along = about @ basis
    found = along.T @ (share[:, None] * along) + pull(problem) * basis.T @ basis
    assert_allclose(found, np.eye(k), atol=1e-8)
    for column, u in zip(along.T, np.eye(k), strict=True):
        assert_allclose(own.fitted(own.expand(u), 0.0), column, atol=1e-8)
        assert_allclose(own.of(own.rows.coefficients(own.expand(u))), u, atol=1e-7)
    lead = np.ones((len(X), int(problem.fit_intercept)))
    bend = np.linspace(0.0, 1.0, len(X))
    whole = np.hstack([along, lead])
    assert_allclose(own.gram(bend), whole.T @ ((share * bend)[:, None] * whole), atol=1e-8)
    assert_allclose(own.take(bend > 0.6), whole[bend > 0.6], atol=1e-8)
    if not pull(problem):  # with a ridge the slopes are not those of the columns alone
        slope = np.linspace(1.0, 2.0, k)
        nu = own.fitted(own.expand(own.solve_gram(slope)), 0.0)
        assert_allclose(own.reduce(own.slopes(nu)[0]), slope, atol=1e-7)


@pytest.mark.parametrize("case", ["plain", "weighted", "constant", "ridge"])
def test_products_are_the_same_where_the_basis_is_not_formed(case, monkeypatch):
    X, how, k, _ = CASES[case]
    formed, _ = white(posed(X, **how))
    monkeypatch.setattr(whitening, "MIN_UNFORMED", k)
    own, _ = white(posed(X, **how))
    assert isinstance(own.made, whitening.Unformed)
    assert not isinstance(formed.made, whitening.Unformed)
    several, slopes = np.sin(np.arange(2.0 * k)).reshape(2, k), np.vander(np.arange(2.0), len(X.T))
    for u, slope in ((several, slopes), (several[0], slopes[1])):
        assert_allclose(own.expand(u), formed.expand(u), rtol=1e-12, atol=1e-300)
        assert_allclose(own.reduce(slope), formed.reduce(slope), rtol=1e-11)
    assert_array_equal(own.basis, formed.basis)
    assert own.rank == formed.rank


@pytest.mark.parametrize("case", ["dummies", "weighted dummies", "wide", "square, a column twice"])
def test_coefficients_have_minimum_norm_in_spreads_of_the_columns(case):
    X, how, _, _ = CASES[case]
    own, _ = white(posed(X, **how))
    about, share = centred(X, how.get("weighted", False), how.get("fit_intercept", True))
    spread = np.sqrt(share @ about**2)
    target = np.sin(np.arange(len(X)))
    root = np.sqrt(share)
    rows = root[:, None] * about / spread
    expected = np.linalg.lstsq(rows, root * target, rcond=1e-10)[0] / spread
    basis = in_own_columns(own)
    found = basis @ ((about @ basis).T @ (share * target))
    assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
@pytest.mark.parametrize("rows", [7, 1000])
def test_three_ways_lead_to_the_same_coordinates_up_to_a_turn(rows, ridge, weighted, monkeypatch):
    """From the Gram matrix, from its eigenvectors and from the rows: T T' is one matrix."""
    monkeypatch.setattr(ArraySource, "block_rows", rows)
    for X in (np.column_stack([correlated(), np.full(40, 7.0)]), dummies(), far_twice()):
        about, share = centred(X, weighted)
        live = np.ptp(X, axis=0) > 0
        inner = about.T @ (share[:, None] * about)
        strength = ridge * np.arange(1.0, len(live) + 1.0)
        read, second, _ = moments(read_rows(posed(X, weighted).observed, True))
        spread = np.sqrt(np.diag(inner)[live])
        scaled = (inner + np.diag(strength))[np.ix_(live, live)] / np.outer(spread, spread)
        expected = np.zeros(inner.shape)
        expected[np.ix_(live, live)] = np.linalg.pinv(
            scaled, rcond=1e-10, hermitian=True
        ) / np.outer(spread, spread)
        full = np.linalg.matrix_rank(scaled) == len(scaled)
        by_gram, by_values = whiten_gram(second, read.total, strength), None
        if not ridge:
            by_values = whiten_deficient(read, second)
        by_rows, certain = whiten_rows(read, strength)
        assert certain
        assert (by_gram is not None) == full
        assert (by_values is not None) == (not full)
        for basis in (by_gram, by_values, by_rows):
            if basis is not None:
                assert_allclose(basis @ basis.T, expected, atol=1e-9 * np.abs(expected).max())


def test_columns_without_any_spread_have_no_coordinates():
    read, second, _ = moments(read_rows(posed(np.full((40, 2), 7.0)).observed, True))
    assert whiten_gram(second, read.total, np.ones(2)).shape == (2, 0)
    assert whiten_deficient(read, second) is None
    basis, certain = whiten_rows(read, np.ones(2))
    assert basis.shape == (2, 0)
    assert certain


@pytest.mark.parametrize("apart", [0.1, 1e-7, 1e-11])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_column_that_is_nearly_another_is_a_direction_like_any_other(weighted, apart):
    """Beside a column that is another one twice: the rows tell which of them is null."""
    X = plain(60)
    X = np.column_stack([X, X[:, 0] + apart * np.cos(np.arange(60) ** 2), 2.0 * X[:, 2]])
    own, _ = white(posed(X, weighted))
    assert own.k == 4
    assert own.certain
    assert own.by_rows == (apart < 1e-5)
    about, share = centred(X, weighted)
    along = about @ in_own_columns(own)
    assert_allclose(along.T @ (share[:, None] * along), np.eye(4), atol=1e-14 / apart + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_far_columns_do_not_hide_that_near_ones_differ(seed):
    """Time in milliseconds and in other units, beside two columns that are alike to eight digits.

    What is left of the far columns is rounding, of which the near ones have nothing.
    """
    g = np.random.default_rng(seed)
    base, time = 9.0 * g.normal(size=60), g.permutation(60).astype(float)
    far = 1.7e12 + 1000.0 * time
    X = np.column_stack([base, base + 1e-8 * g.normal(size=60), far, time, far / 60.0, time])
    for some in ([0, 1, 2, 3], [0, 1, 2, 4], range(5), range(6)):
        problem = posed(X[:, some])
        rows, _, _ = moments(read_rows(problem.observed, True, standardise=True))
        basis, certain = whiten_rows(rows, np.zeros(len(some)))
        assert basis.shape[1] == 3
        assert certain
        assert white(problem)[0].k == 3


def test_nothing_is_certain_where_a_row_differs_along_a_direction_that_was_dropped():
    """Beside a row of 1e16 the only one that tells two columns apart looks like the others."""
    for place in (4, 5, 38):
        X = plain()[:, :2]
        X[:, 1] = X[:, 0]
        X[0] = 1e16
        assert white(posed(X))[0].certain
        X[place, 1] += 1.0
        own, _ = white(posed(X))
        assert own.k == 1
        assert not own.certain


@pytest.mark.parametrize(
    ("coordinates", "loss", "single"),
    [
        (quick, Huber(), True),
        (quick, HalfSquared(), False),  # which is solved in these coordinates at once
        (separable, Huber(), True),
        (white, Huber(), False),
    ],
)
def test_moments_have_all_digits_unless_they_say_otherwise(coordinates, loss, single):
    X = np.random.default_rng(2).normal(size=(200, 50))
    own, _ = coordinates(posed(X, loss=loss))
    about, share = centred(X, False)
    error = np.abs(own.moments.gram[:-1, :-1] / own.rows.total - about.T @ (share[:, None] * about))
    assert own.single == single
    assert (error.max() > 1e-11) == single
    assert error.max() < 1e-5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [{}, {"alpha": 0.3}, {"alpha": 1e-3, "loss": Squared()}])
@pytest.mark.parametrize("coordinates", [separable, scaled])
def test_every_column_alone_has_the_curvature_of_the_loss(coordinates, penalty, weighted):
    X = np.column_stack([plain(), np.full(40, 7.0)])
    problem = posed(X, weighted, **penalty)
    own, _ = coordinates(problem)
    about, share = centred(X, weighted)
    curvature = own.basis**2 * (share @ about**2 + pull(problem))
    assert_allclose(curvature, [1.0, 1.0, 1.0, 0.0], rtol=1e-9)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_coordinates_do_not_depend_on_the_units_in_which_blocks_are_read(l1_ratio):
    """Single precision is read as standardised copies, double precision as it is."""
    X = correlated().astype(np.float32)
    found = []
    for form in (np.float32, np.float64):
        own, _ = white(posed(X.astype(form), alpha=0.3, l1_ratio=l1_ratio))
        basis = in_own_columns(own)
        found.append((basis @ basis.T, own.rows.scaled))
    assert [each for _, each in found] == [True, False]
    assert_allclose(found[0][0], found[1][0], rtol=1e-8)


def test_small_tables_are_dense_ones_of_few_entries():
    for X, entries, small in [
        (plain(), 120, True),
        (plain(), 119, False),
        (sparse.csr_matrix(plain()), 120, False),
    ]:
        assert is_small(read_rows(posed(X).observed, True), entries) == small


@pytest.mark.parametrize("alpha", [0.0, 30.0])
def test_inflation_of_variances(alpha):
    problem = posed(correlated(), alpha=alpha)
    about, share = centred(correlated(), False)
    inner = about.T @ (share[:, None] * about)
    inverse = np.linalg.inv(inner + pull(problem) * np.eye(3))
    expected = (np.diag(inverse) * np.diag(inner)).max()
    assert (expected > 1.0) == (alpha == 0.0)
    assert white(problem)[0].inflation == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_columns_that_make_up_for_each_other_reach_far(order):
    X = plain()
    X[:, 1] = X[:, 0]
    own, _ = separable(posed(X[:, order]))
    near = 1.0 / X.std(axis=0)
    one = np.linalg.inv(np.corrcoef(X[:, [0, 2]].T))[1, 1] ** 0.5
    reach = own.reach_of_columns()[np.argsort(order)]
    assert reach[2] == pytest.approx(one * near[2], rel=1e-5)
    assert reach[0] > 100.0 * near[0]
    assert reach[1] == pytest.approx(reach[0], rel=1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("coordinates", [separable, scaled])
def test_solving_for_a_slope_where_columns_are_not_white(coordinates, weighted, fit_intercept):
    own, _ = coordinates(posed(correlated(), weighted, fit_intercept=fit_intercept))
    slope = np.array([0.3, -2.0, 1.0])
    nu = own.fitted(own.expand(own.solve_gram(slope)), 0.0)
    assert_allclose(own.reduce(own.slopes(nu)[0]), slope, rtol=1e-8)


@pytest.mark.parametrize("coordinates", [separable, white])
def test_coefficients_that_are_not_finite_are_dropped(coordinates):
    own, _ = coordinates(posed(correlated()))
    assert_array_equal(own.of(np.array([2.0, np.inf, np.nan])), own.of(np.array([2.0, 0.0, 0.0])))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (6, 5), (6, 6), (6, 9), (1, 1), (1, 3)])
def test_the_rank_is_that_of_rows_with_an_intercept(shape, fit_intercept):
    X = np.random.default_rng(4).normal(size=shape)
    with_ones = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    own, _ = white(posed(X, fit_intercept=fit_intercept))
    assert own.rank == np.linalg.matrix_rank(with_ones)


def test_the_rank_of_columns_that_are_only_scaled_is_at_most_that_of_the_rows():
    assert scaled(posed(plain(36).reshape(6, 18)))[0].rank == 6
    assert scaled(posed(plain()))[0].rank == 4


def test_coefficients_next_to_0_are_lost_where_their_digits_matter():
    """Beside an X of 1e308 they lie below 2.2e-308, on a grid of 5e-324."""
    X = 1.7e308 * np.random.default_rng(4).uniform(-1.0, 1.0, size=(40, 2))
    own, _ = separable(posed(X))
    assert own.rows.scaled
    beta = np.array([0.01, 0.0])
    coef = beta / own.rows.unit
    assert 0.0 < coef[0] < 2.2e-308
    assert_array_equal(own.in_columns(beta, 0.0, 1.0, 1e-16).coef, coef)
    assert_array_equal(own.in_columns(beta, 0.0, 1.0, 0.0).coef, [np.nan, 0.0])

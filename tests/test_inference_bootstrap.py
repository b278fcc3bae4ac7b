"""The bootstrap: against loops over its draws in plain NumPy, against HC0, and its refusals."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.estimators._subsampling import tuned
from robustreg.inference import infer
from robustreg.inference._group_numbers import group_numbers
from robustreg.inference._parts import Asked
from robustreg.inference._rejecting import curvature_bias
from robustreg.inference._rows import with_rows_of
from robustreg.inference.bootstrap import _steps
from robustreg.inference.bootstrap._draws import FAMILY, ROWS, Draws, Exponential, entropy_of
from robustreg.inference.quantiles import _bootstrap, _together
from robustreg.sources import _array
from robustreg.subsampling.trimming import CUTOFF, trimmed_variance

MODELS = {
    "L2": L2Regressor(),
    "Huber": HuberRegressor(),
    "Huber, mad": HuberRegressor(scale="mad"),
    "M, joint": MRegressor("welsch", random_state=0),
    "M, given": MRegressor("bisquare", scale=1.3, random_state=0),
    "S": SRegressor(random_state=0),
    "MM": MMRegressor(random_state=0),
    "LTS": LTSRegressor(random_state=0),
}
every_model = pytest.mark.parametrize("name", MODELS)


def clone_of(name):
    return type(MODELS[name])(**MODELS[name].get_params())


def sample(n=60, seed=0, wrong=0.1):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=n), rng.exponential(size=n)])
    y = 2.0 + X @ [1.0, -1.0] + rng.standard_t(4, size=n) * (0.5 + 0.5 * X[:, 1])
    y[: int(wrong * n)] += 15.0 + rng.normal(size=int(wrong * n))
    return X, y


def bootstrap(model, X, y, weight=None, n=99, seed=0, groups=None):
    return infer(
        model, X, y, weight, covariance="bootstrap", groups=groups, n_resamples=n, random_state=seed
    )


def asked_for(n, seed, groups, size):
    numbers = None if groups is None else group_numbers(groups, size, None)
    return Asked("bootstrap", numbers, n, np.random.RandomState(seed))


def counts_of(model, X, y, weight, groups, n, seed):
    """What rows weigh in many draws, (draws, rows), in units in which they count rows."""

    def work(fitted):
        scheme = Draws.of(fitted, asked_for(n, seed, groups, len(y)))
        found = scheme.counts(0, -(-2 * n // FAMILY))
        ends = [*range(0, len(y), ROWS), len(y)]
        parts = [found.of(a, b) for a, b in pairwise(ends)]
        return np.hstack(parts) * fitted.weight_unit

    return with_rows_of(model, X, y, weight, work)


# ------------------------------------------------------------------ fast and robust


def equations_of(model, X, y, w):
    """Of rows: q, scores (in units of y), and what the scale's equation adds; and J / s."""
    D, s = np.column_stack([np.ones(len(y)), X]), model.loss_scale_
    theta, loss = np.append(model.intercept_, model.coef_), model.loss_
    r = y - D @ theta
    if isinstance(model, LTSRegressor):
        raw = y - model.raw_intercept_ - X @ model.raw_coef_
        kept = 1.0 * (np.abs(raw) <= CUTOFF * model.raw_scale_)
        order = np.argsort(np.abs(raw))
        chosen = np.zeros(len(y))
        left = model.n_support_
        for i in order:
            chosen[i] = min(1.0, left / w[i])
            left -= chosen[i] * w[i]
        share = model.n_support_ / w.sum()
        pull = 2.0 * CUTOFF * np.exp(-0.5 * CUTOFF**2) / np.sqrt(2.0 * np.pi)
        pull /= share * trimmed_variance(share)
        gram = D.T @ ((w * kept)[:, None] * D)
        return D, kept, kept * r + pull * chosen * raw, None, gram
    if isinstance(model, L2Regressor):
        s = 1.0
    z = r / s
    gram = D.T @ ((w * loss.psi_prime(z))[:, None] * D)
    chi, z0 = None, z
    if isinstance(model, SRegressor):
        chi = loss
    elif isinstance(model, MMRegressor):
        chi = tuned("bisquare", breakdown_point=0.5)
        z0 = (y - model.initial_intercept_ - X @ model.initial_coef_) / s
    elif getattr(model, "scale", None) == "joint":
        chi = tuned("bisquare", breakdown_point=0.5)
    if isinstance(model, HuberRegressor) and model.scale == "joint":
        value, slope = loss.conjugate_of_psi(z), z * loss.psi_prime(z)
    elif chi is None:
        return D, loss.weights(z), s * loss.psi(z), None, gram
    else:
        value, slope = chi.rho(z0), chi.psi(z0)
    value = s * (value - np.average(value, weights=w))
    across = D.T @ (w * loss.psi_prime(z) * z)
    back = np.zeros(3) if isinstance(model, MMRegressor) else D.T @ (w * slope)
    corner = np.array([[w @ (slope * z0)]])
    return (
        D,
        loss.weights(z),
        s * loss.psi(z),
        value,
        np.block([[gram, across[:, None]], [back[None], corner]]),
    )


def by_hand(model, X, y, w, counts, n):
    """The covariance matrix by the formula, draw by draw, in the user's coefficients."""
    D, q, scores, scale, J = equations_of(model, X, y, w)
    M, found = D.T @ ((w * q)[:, None] * D), []
    for v in counts:
        own = D.T @ ((v * q)[:, None] * D)
        if np.linalg.matrix_rank(own) < 3:
            continue
        side = M @ np.linalg.solve(own, D.T @ (v * scores))
        if scale is not None:
            side = np.append(side, w.sum() * np.average(scale, weights=v))
        found.append(np.linalg.solve(J, side))
    matrix = np.cov(np.array(found[:n]), rowvar=False)
    if isinstance(model, SRegressor):
        matrix[:3, :3] *= 1.0 + 2.0 * curvature_bias(model.loss_) * 3 / w.sum()
    return matrix


@every_model
@pytest.mark.parametrize("grouped", [False, True])
def test_draws_are_those_of_the_formula(name, grouped):
    X, y = sample()
    w, groups = 1.0 + np.arange(60) % 3, np.arange(60) // 4 if grouped else None
    model = clone_of(name).fit(X, y, w)
    result = bootstrap(model, X, y, w, groups=groups)
    counts = counts_of(model, X, y, w, groups, 99, 0)
    if not grouped:
        assert_allclose(counts.sum(axis=1), w.sum())
    expected = by_hand(model, X, y, w, counts, 99)
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))[:3, :3]
    assert_allclose(result.covariance / size, expected[:3, :3] / size, atol=1e-8, rtol=0.0)
    if len(expected) > 3:
        assert result.scale_error == pytest.approx(np.sqrt(expected[3, 3]), rel=1e-8)
    assert result.df == (14 if grouped else w.sum() - 3)
    text = "bootstrap, 99 draws of groups" if grouped else "bootstrap, 99 draws"
    assert result.covariance_type.startswith(text)


@every_model
def test_the_first_order_is_that_of_hc0(name):
    X, y = sample(1000)
    w = np.random.default_rng(1).uniform(0.2, 3.0, size=1000) if name in ("L2", "S") else None
    model = clone_of(name).fit(X, y, w)
    found, plain = bootstrap(model, X, y, w, n=2000), infer(model, X, y, w, covariance="HC0")
    assert_allclose(found.standard_errors, plain.standard_errors, rtol=0.06)  # one error is 1.6 %
    assert_allclose(found.scale_error, plain.scale_error, rtol=0.06)


def test_groups_are_as_in_clusters():
    X, y = sample(2000)
    groups = np.random.default_rng(2).permutation(np.arange(2000) // 5)
    model = HuberRegressor().fit(X, y)
    found = bootstrap(model, X, y, n=2000, groups=groups)
    clusters = infer(model, X, y, groups=groups, covariance="CR1")
    assert_allclose(found.standard_errors, clusters.standard_errors, rtol=0.06)


# ------------------------------------------------------------------ draws


@pytest.mark.parametrize("most", [1.0, 3.0, 40.0])
def test_counts_are_multinomial(most):
    """Rows one by one, by weights, and many at a time; 600 rows are two stretches."""
    X, y = sample(600)
    w = np.ones(600)
    w[::2] = most
    counts = counts_of(L2Regressor().fit(X, y, w), X, y, w, None, 1000, 3)
    assert_allclose(counts, np.rint(counts), atol=1e-9)
    assert_allclose(counts.sum(axis=1), w.sum(), rtol=1e-12)
    counts = np.rint(counts)
    p, n = w / w.sum(), w.sum()
    spread = np.sqrt(n * p * (1.0 - p))
    assert np.abs((counts.mean(axis=0) - w) / spread).max() < 4.5 / np.sqrt(len(counts))
    for kind in (slice(0, None, 2), slice(1, None, 2)):
        square = np.mean((counts[:, kind] - w[kind]) ** 2)
        assert square == pytest.approx(float(np.mean(spread[kind] ** 2)), rel=0.02)
        never = np.mean(counts[:, kind] == 0.0)
        assert never == pytest.approx(float(np.mean((1.0 - p[kind]) ** n)), rel=0.02, abs=1e-6)
    both = np.mean((counts[:, 0] - w[0]) * (counts[:, 1] - w[1]))
    assert abs(both + n * p[0] * p[1]) < 4.5 * spread[0] * spread[1] / np.sqrt(len(counts))


def test_draws_do_not_depend_on_how_rows_are_read(monkeypatch):
    X, y = sample(700)
    w = 1.0 + np.arange(700) % 2
    models = [HuberRegressor().fit(X, y, w), QuantileRegressor(0.3).fit(X, y, w)]
    before = [bootstrap(model, X, y, w, n=20) for model in models]
    monkeypatch.setattr(_array, "BLOCK_BYTES", 8 * 2 * 190)
    monkeypatch.setattr(_steps, "ENTRIES", 1)
    monkeypatch.setattr(_steps, "PRODUCTS", 2)
    monkeypatch.setattr(_bootstrap, "WIDTH", 0.1)
    for model, first in zip(models, before, strict=True):
        for table in (X, sparse.csr_matrix(X)):
            again = bootstrap(model, table, y, w, n=20)
            assert_allclose(again.covariance, first.covariance, rtol=1e-9)
        other = bootstrap(model, X, y, w, n=20, seed=1)
        assert not np.allclose(other.covariance, first.covariance)


def test_rows_of_weight_zero_are_left_out():
    X, y = sample()
    w = np.ones(60)
    w[[3, 17, 40]] = 0.0
    for model in (HuberRegressor(), MMRegressor(random_state=0), L1Regressor()):
        found = bootstrap(model.fit(X, y, w), X, y, w, n=20)
        some = w > 0.0
        other = bootstrap(model.fit(X[some], y[some]), X[some], y[some], n=20)
        assert_allclose(found.covariance, other.covariance, rtol=1e-6)


def test_units_and_collinear_columns_change_nothing():
    X, y = sample(100)
    for model in (HuberRegressor(), LTSRegressor(random_state=0), L1Regressor()):
        first = bootstrap(model.fit(X, y), X, y, n=30).standard_errors
        other = np.column_stack([1e4 * X[:, 0] + 1e6, 1e-3 * X[:, 1], X[:, 1]])
        result = bootstrap(model.fit(other, 1e5 * y), other, 1e5 * y, n=30)
        assert_array_equal(result.identified, [True, True, False, False])
        assert result.standard_errors[1] == pytest.approx(10.0 * first[1], rel=1e-6)
        assert np.isnan(result.standard_errors[2:]).all()
        single = X.astype(np.float32)
        found = bootstrap(model.fit(single, y), single, y, n=30)
        assert_allclose(found.standard_errors, first, rtol=1e-3)


# ------------------------------------------------------------------ rows that decide alone


def test_draws_without_a_dummys_rows_are_drawn_anew():
    X, y = sample(30)
    X[:, 1] = 0.0
    X[[2, 20], 1] = 1.0
    model = L2Regressor().fit(X, y)
    counts = counts_of(model, X, y, None, None, 99, 0)
    assert np.any(counts[:99, [2, 20]].sum(axis=1) == 0.0)
    expected = by_hand(model, X, y, np.ones(30), counts, 99)
    assert_allclose(bootstrap(model, X, y).covariance, expected, rtol=1e-8)


@pytest.mark.parametrize(
    "model", [L2Regressor(), HuberRegressor(), MMRegressor(random_state=0), L1Regressor()]
)
def test_what_rests_on_a_single_row_or_group_has_no_standard_error(model):
    X, y = sample(80, wrong=0.0)
    alone = np.zeros(80)
    alone[5] = 1.0
    table = np.column_stack([X, alone])
    model.fit(table, y)
    with pytest.warns(UserWarning, match=r"rests on single rows \(number 5\)"):
        result = bootstrap(model, table, y)
    assert_array_equal(np.isnan(result.standard_errors), [False, False, False, True])
    others = np.arange(80) != 5
    without = bootstrap(model.fit(X[others], y[others]), X[others], y[others])
    assert_allclose(result.standard_errors[:3], without.standard_errors, rtol=0.3)

    alone[5:9] = 1.0
    table, groups = np.column_stack([X, alone]), np.r_[np.arange(5), np.full(4, 5), 6:77]
    model.fit(table, y)
    with pytest.warns(UserWarning, match="no standard error"):
        result = bootstrap(model, table, y, groups=groups)
    assert_array_equal(np.isnan(result.standard_errors), [False, False, False, True])


def test_too_few_rows_are_refused():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 9)), rng.normal(size=12)
    with pytest.raises(ValueError, match=r"of \d+ draws leave some coefficients undetermined.*HC3"):
        bootstrap(L2Regressor().fit(X, y), X, y)
    groups, X, y = np.arange(40) % 4, rng.normal(size=(40, 1)), rng.normal(size=40)
    X = np.column_stack([X, np.eye(4)[groups][:, 1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the groups that decide alone
        result = bootstrap(L2Regressor().fit(X, y), X, y, groups=groups)
    assert np.isnan(result.standard_errors[2:]).all()
    few = bootstrap(L2Regressor().fit(X[:5, :1], y[:5]), X[:5, :1], y[:5], n=2)  # of k + 3 rows
    assert np.all(few.standard_errors > 0.0)


# ------------------------------------------------------------------ quantiles


@pytest.mark.parametrize(
    ("n", "grouped", "together"),
    [(60, False, True), (60, True, False), (700, False, False), (700, True, True)],
)
def test_quantiles_are_refitted_with_the_weights(n, grouped, together, monkeypatch):
    """Few rows all at once; of many those next to the fit, at first too few of them."""
    X, y = sample(n)
    if not together:  # draws that are not known to be optimal are fitted by themselves
        monkeypatch.setattr(_together, "MOST_STEPS", 0)
    w, groups = 1.0 + np.arange(n) % 3, np.arange(n) // 4 if grouped else None
    monkeypatch.setattr(_bootstrap, "WIDTH", 1.0)
    model, taus = QuantileRegressor(0.3).fit(X, y, w), (0.3, 0.6)

    def work(fitted):
        asked = asked_for(18, 0, groups, n)
        scheme, weight = Draws.of(fitted, asked), fitted.counts
        ends, parts = [*range(0, n, ROWS), n], []
        for family in (0, 1):
            drawn = Exponential(scheme, family, weight)
            parts.append(np.hstack([drawn.of(a, b) for a, b in pairwise(ends)]))
        own = asked_for(18, 0, groups, n)
        joint = _bootstrap.bootstrapped_quantiles(fitted, taus, own)
        turn = np.zeros((3, 3))
        turn[1:, :2], turn[0, :2], turn[0, 2] = fitted.basis, -fitted.center @ fitted.basis, 1.0
        return np.vstack(parts)[:18], turn @ joint @ turn.T

    weights, joint = with_rows_of(model, X, y, w, work)
    fits = [[QuantileRegressor(tau).fit(X, y, v) for tau in taus] for v in weights]
    coef = np.array([[[f.intercept_, *f.coef_] for f in each] for each in fits]).reshape(18, 6)
    expected = np.cov(coef, rowvar=False).reshape(2, 3, 2, 3).swapaxes(1, 2)
    assert_allclose(joint, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())
    result = bootstrap(model, X, y, w, n=18, groups=groups)
    assert_allclose(result.covariance, expected[0, 0], rtol=1e-6)
    assert result.covariance_type == "bootstrap, 18 draws" + " of groups" * grouped
    assert result.df == (n // 4 - 1 if grouped else w.sum() - 3)


def test_weights_of_quantile_draws_are_sums_of_exponential_variables():
    X, y = sample(600)
    w = 1.0 + np.arange(600) % 3

    def work(fitted):
        scheme = Draws.of(fitted, asked_for(2, 0, None, 600))
        drawn = [Exponential(scheme, f, fitted.counts) for f in range(30)]
        return np.vstack([each.of(0, ROWS) for each in drawn])

    found = with_rows_of(QuantileRegressor().fit(X, y, w), X, y, w, work)
    for kind in range(3):
        own = found[:, kind:ROWS:3]
        assert own.mean() == pytest.approx(1.0 + kind, rel=0.02)
        assert own.var() == pytest.approx(1.0 + kind, rel=0.03)


def test_random_states_draw():
    asked = asked_for(2, 5, None, 3)
    first = entropy_of(asked)
    assert first != entropy_of(asked)
    assert first == entropy_of(asked_for(2, 5, None, 3))

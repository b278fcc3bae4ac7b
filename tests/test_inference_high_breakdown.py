"""Covariances of S-, MM-, redescending M- and least trimmed squares estimates.

Against R, against derivatives of their equations, and in what they refuse. tests/golden/README.md
says where R's values come from.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from robustreg import L2Regressor, LTSRegressor, MMRegressor, MRegressor, SRegressor
from robustreg.estimators._subsampling import tuned
from robustreg.evaluation.sums import Point
from robustreg.inference import _clusters, _high_breakdown, _trimmed
from robustreg.inference._covariance import Bread
from robustreg.inference._good_rows import check_noise
from robustreg.inference._group_numbers import group_numbers
from robustreg.inference._parts import Asked
from robustreg.inference._rows import with_rows_of
from robustreg.inference._signed_sums import Leave, Start, left_out
from robustreg.inference._sums import STEEP, LeaveOut
from robustreg.inference._trimmed import check_reweighted
from robustreg.losses import Cauchy, Hampel
from robustreg.sources import _array

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "inference_high_breakdown.json").read_text())
# longley's columns have a condition number of 5e9, of which R's normal equations keep less
TOLERANCE = {name: 1e-6 if name == "longley" else 1e-8 for name in REFERENCE}

MODELS = {
    "S": SRegressor(random_state=0),
    "S, 0.3": SRegressor("welsch", breakdown_point=0.3, random_state=0),
    "MM": MMRegressor(random_state=0),
    "MM, welsch": MMRegressor("welsch", efficiency=0.85, random_state=0),
    "M, S-scale": MRegressor("bisquare", scale="s", random_state=0),
    "M, joint": MRegressor("welsch", random_state=0),
    "M, joint cauchy": MRegressor(Cauchy(1.5), random_state=0),
    "M, mad": MRegressor(Hampel(), scale="mad", random_state=0),
    "M, given": MRegressor("bisquare", scale=1.3, random_state=0),
}
LTS = {
    "LTS": LTSRegressor(random_state=0),
    "LTS, 0.75": LTSRegressor(0.75, random_state=0),
    "LTS, 1": LTSRegressor(1.0, random_state=0),
}
every_model = pytest.mark.parametrize("name", MODELS)
everyone = pytest.mark.parametrize("name", [*MODELS, *LTS])
KINDS = ("classical", "HC3", "CR3")


@dataclass(frozen=True)
class Found:
    """A covariance in the user's coefficients, the intercept first, and what comes with it."""

    covariance: np.ndarray
    unknown: np.ndarray  # (k, d) directions in these
    alone: tuple
    scale_error: float
    explained: tuple

    @property
    def errors(self):
        return np.sqrt(np.diag(self.covariance))


def infer(model, X, y, weight=None, kind="HC3", groups=None):
    """As robustreg.inference.infer does, without its table; of groups of eight rows, or others."""
    module = _trimmed if isinstance(model, LTSRegressor) else _high_breakdown
    if kind in ("CR1", "CR3") and groups is None:
        groups = np.arange(len(y)) // 8

    def work(fitted):
        check_noise(model)
        if module is _trimmed:
            check_reweighted(model)
        own, start, sums = module.posed(model, fitted)
        module.check_equations(model, own, start, sums)
        numbers = None
        if groups is not None:
            numbers = group_numbers(groups, len(y), fitted.kept)
        found = module.covariance_of(model, own, start, sums, Asked(kind, numbers, 2, None))
        k, one = own.coordinates.k, int(own.has_intercept)
        to_user = np.zeros((one + own.rows.p, own.size))
        to_user[one:, :k] = own.basis
        if one:
            to_user[0, :k], to_user[0, k] = -own.center @ own.basis, 1.0
        return Found(
            covariance=to_user @ found.matrix @ to_user.T,
            unknown=to_user @ found.unknown,
            alone=found.alone,
            scale_error=found.scale_error,
            explained=module.explained_by(own, start, sums),
        )

    return with_rows_of(model, X, y, weight, work)


def table(name):
    columns = np.loadtxt(FOLDER / "data" / f"{name}.csv", delimiter=",", skiprows=1)
    return columns[:, :-1], columns[:, -1], REFERENCE[name]


def sample(n=60, p=2, seed=0, wrong=0.15):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + np.arange(p)
    y = 2.0 + X @ np.arange(1.0, p + 1.0) + rng.standard_t(4, size=n)
    y[: int(wrong * n)] += 15.0 + rng.normal(size=int(wrong * n))
    return X, y


def clone_of(name):
    return (MODELS | LTS)[name].__class__(**(MODELS | LTS)[name].get_params())


def design(X):
    return np.column_stack([np.ones(len(X)), X])


def assert_same(found, expected, rtol):
    """Matrices agree, relative to the standard errors of row and column."""
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert_allclose(found / size, expected / size, atol=rtol, rtol=0.0)


# ------------------------------------------------------------------ R


@pytest.mark.parametrize("name", REFERENCE)
def test_mm_and_s_are_as_in_r(name):
    (X, y, r), rtol = table(name), TOLERANCE[name]
    mm = MMRegressor(n_subsamples=2000, random_state=0).fit(X, y)
    assert mm.scale_ == pytest.approx(r["mm"]["scale"], rel=1e-9)
    plain, left_out = infer(mm, X, y, kind="HC0"), infer(mm, X, y)
    assert_same(plain.covariance, np.array(r["mm"]["stacked_HC0"]), rtol)
    assert_same(left_out.covariance, np.array(r["mm"]["stacked_HC3"]), rtol)
    expanded = plain.covariance - np.array(r["mm"]["avar1_minus"])
    assert_same(expanded, np.array(r["mm"]["cov_avar1"]), rtol)
    wald = mm.coef_[-1] ** 2 / expanded[-1, -1]
    assert wald == pytest.approx(r["mm"]["wald_last"][1], rel=rtol)
    weights = infer(mm, X, y, kind="classical")
    assert_same(weights.covariance, np.array(r["mm"]["cov_w"]), rtol)

    rounded = r["rounded"]  # lmrob's constants have six digits
    assert_allclose(np.sqrt(np.diag(expanded)), rounded["se_avar1"], rtol=2e-5)
    assert_allclose(weights.errors, rounded["se_w"], rtol=2e-5)
    assert_allclose(plain.explained[:2], [rounded["r2"], rounded["adj_r2"]], rtol=3e-6)

    s = SRegressor(n_subsamples=2000, random_state=0).fit(X, y)
    assert_same(infer(s, X, y, kind="classical").covariance, np.array(r["s"]["cov_w"]), rtol)


# ------------------------------------------------------------------ formulas


def equations_of(model, X, y, w):
    """The stacked equations of a fit, row by row, and where they are 0.

    Parameters are the S-estimate (of MM), the coefficients, and the scale (where estimated).
    """
    D, k, psi = design(X), X.shape[1] + 1, model.loss_
    theta = np.append(model.intercept_, model.coef_)
    chi = tuned("bisquare", breakdown_point=0.5)
    if isinstance(model, SRegressor):
        chi = psi
    elif isinstance(model, MMRegressor):
        chi = tuned(model.loss, breakdown_point=0.5)
    elif model.scale not in ("joint", "s"):  # the scale is given
        return theta, lambda t: D * psi.psi((y - D @ t) / model.loss_scale_)[:, None]
    if isinstance(model, SRegressor) or getattr(model, "scale", None) == "joint":

        def own(t):
            z = (y - D @ t[:k]) / t[k]
            return np.column_stack([D * psi.psi(z)[:, None], chi.rho(z) - mean])

        mean = np.average(chi.rho((y - D @ theta) / model.scale_), weights=w)
        return np.append(theta, model.scale_), own

    def stacked(t):
        z, z0 = (y - D @ t[:k]) / t[k], (y - D @ t[k + 1 :]) / t[k]
        return np.column_stack(
            [D * psi.psi(z)[:, None], chi.rho(z0) - mean, D * chi.psi(z0)[:, None]]
        )

    start = np.append(model.initial_intercept_, model.initial_coef_)
    mean = np.average(chi.rho((y - D @ start) / model.scale_), weights=w)
    return np.concatenate([theta, [model.scale_], start]), stacked


@every_model
@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_matrices_are_the_derivatives_of_the_equations(name, kind):
    """All equations, the S-estimate's of an MM-estimate included, differentiated numerically."""
    (X, y), w = sample(), 1.0 + np.arange(60) % 3
    model = clone_of(name).fit(X, y, w)
    theta, equations = equations_of(model, X, y, w)
    step = 1e-6 * np.eye(len(theta))
    slope = np.stack(
        [w @ (equations(theta + h) - equations(theta - h)) / 2e-6 for h in step], axis=1
    )
    D, k = design(X), 3
    z = (y - D @ theta[:k]) / model.loss_scale_
    bend = model.loss_.psi_prime(z)
    h = bend * np.einsum("ij,ij->i", D @ np.linalg.inv(D.T @ ((w * bend)[:, None] * D)), D)
    power = {"HC0": 0.0, "HC1": 0.0, "HC2": 0.5, "HC3": 1.0}[kind]
    scores = equations(theta)
    scores[:, :k] /= (1.0 - h)[:, None] ** power
    moves = np.linalg.solve(slope, scores.T)
    expected = (w * moves) @ moves.T
    if kind == "HC1":
        expected *= w.sum() / (w.sum() - k)
    found = infer(model, X, y, w, kind)
    assert (h < 0.0).any()
    assert_same(found.covariance, expected[:k, :k], 1e-6)
    if len(theta) > k:
        assert found.scale_error == pytest.approx(np.sqrt(expected[k, k]), rel=1e-6)
    else:
        assert np.isnan(found.scale_error)


def test_influence_of_least_trimmed_squares():
    """Formulas for rows with weights, written out; ties and shares."""
    (X, y), w = sample(), 1.0 + np.arange(60) % 3
    model, D, k = LTSRegressor(random_state=0).fit(X, y, w), design(X), 3
    c, total = stats.norm.ppf(0.9875), w.sum()
    share = model.n_support_ / total
    q = stats.norm.ppf(0.5 + 0.5 * share)
    trimmed = share - 2.0 * q * stats.norm.pdf(q)
    edge = 2.0 * c * stats.norm.pdf(c)
    pull = edge / trimmed
    kept = model.weights_
    raw = y - D @ np.append(model.raw_intercept_, model.raw_coef_)
    order = np.argsort(np.abs(raw))
    before = np.cumsum(w[order]) - w[order]
    chosen = np.zeros(60)
    chosen[order] = np.clip((model.n_support_ - before) / w[order], 0.0, 1.0)
    inverse = np.linalg.inv(D.T @ ((w * kept)[:, None] * D))
    r = y - D @ np.append(model.intercept_, model.coef_)
    moves = D @ inverse * (kept * r + pull * chosen * raw)[:, None]
    h = kept * np.einsum("ij,ij->i", D @ inverse, D)
    for kind, power in {"HC0": 0.0, "HC3": 1.0}.items():
        each = moves / (1.0 - h)[:, None] ** power
        found = infer(model, X, y, w, kind)
        assert_same(found.covariance, each.T @ (w[:, None] * each), 1e-9)
        assert np.isnan(found.scale_error)
    t = 0.975
    noise = t - edge + (2.0 * pull + pull**2) * trimmed
    expected = model.scale_**2 * noise / t * inverse
    assert_same(infer(model, X, y, w, "classical").covariance, expected, 1e-9)
    v, a = w * kept, t / (t - edge)
    yy, rr = v @ (y - v @ y / v.sum()) ** 2, v @ r**2
    r2, adjusted, few = infer(model, X, y, w).explained
    assert r2 == pytest.approx((yy - rr) / (yy + (a - 1.0) * rr))
    assert 1.0 - adjusted == pytest.approx((1.0 - r2) * (total - 1.0) / (total - k))
    assert few == np.sum(kept == 0.0)


def test_least_trimmed_squares_of_half_of_the_rows():
    half = _trimmed.Trimmed(None, 0.0, None, 0.0, 0.5, 1)
    assert half.pull == pytest.approx(2.034, abs=0.001)
    noise = 0.975 - _trimmed.EDGE + (2.0 * half.pull + half.pull**2) * half.trimmed
    assert noise / 0.975 == pytest.approx(1.45, abs=0.01)
    all_rows = _trimmed.Trimmed(None, 0.0, None, 0.0, 1.0, 1)
    assert all_rows.trimmed == 1.0


@pytest.mark.parametrize("name", ["S", "MM", "M, joint", "M, mad"])
def test_groups_are_left_out_of_the_derivatives(name):
    """Scores of coefficients by the derivative without the group, those of other equations not."""
    (X, y), w, groups = sample(), 1.0 + np.arange(60) % 3, np.arange(60) % 9
    model = clone_of(name).fit(X, y, w)
    theta, equations = equations_of(model, X, y, w)
    step = 1e-6 * np.eye(len(theta))
    slope = np.stack(
        [w @ (equations(theta + h) - equations(theta - h)) / 2e-6 for h in step], axis=1
    )
    D, k = design(X), 3
    bend = w * model.loss_.psi_prime((y - D @ theta[:k]) / model.loss_scale_)
    scores = np.array([(w[:, None] * equations(theta))[groups == g].sum(axis=0) for g in range(9)])
    steps = np.linalg.solve(slope, scores.T)
    factor = 9.0 / 8.0 * (w.sum() - 1.0) / (w.sum() - k)
    first = infer(model, X, y, w, "CR1", groups)
    assert_same(first.covariance, factor * (steps @ steps.T)[:k, :k], 1e-6)
    shares = [D[groups == g].T @ (bend[groups == g, None] * D[groups == g]) for g in range(9)]
    every = np.sum(shares, axis=0)
    for g, share in enumerate(shares):
        scores[g, :k] = every @ np.linalg.solve(every - share, scores[g, :k])
    steps = np.linalg.solve(slope, scores.T)
    found = infer(model, X, y, w, "CR3", groups)
    assert_same(found.covariance, (steps @ steps.T)[:k, :k], 1e-6)
    if len(theta) > k:
        assert found.scale_error == pytest.approx(np.linalg.norm(steps[k]), rel=1e-6)


def test_groups_that_curve_against_the_others_are_cut_off():
    """Leaving out what makes up for negative curvature says nothing: leverage `STEEP` at most."""
    X, y, groups = (np.arange(30) < 10.0)[:, None], np.cos(np.arange(30)), np.arange(30) // 5
    psi, bend = np.sin(np.arange(30)), np.ones(30)
    bend[5:10] = -0.8  # leverages of the first two groups are 5 and -4, and 1/4 of the others

    def work(fitted):
        q = fitted.design(X)
        bread = Bread.of(q.T @ (bend[:, None] * q), 30.0)

        def terms(block):
            own = block.place
            return _clusters.Terms.of(block, psi[own], bend[own], None, np.ones(30)[own])

        found = _clusters.by_groups(fitted, bread, terms, "CR3", (groups, 6), 2, None, 30.0)
        assert not found.unknown.size
        return q @ found.matrix @ q.T

    found = with_rows_of(L2Regressor().fit(X, y), X, y, None, work)
    scores = psi.reshape(6, 5).sum(axis=1)
    assert found[0, 0] == pytest.approx((scores[0] / (1.0 - STEEP)) ** 2 + (scores[1] / 5.0) ** 2)
    assert found[20, 20] == pytest.approx(np.sum((scores[2:] / 15.0) ** 2))
    assert found[0, 20] == pytest.approx(0.0, abs=1e-12)


@dataclass(frozen=True)
class Tabled:
    """A loss with given numbers at z = 0, 1, ...: the second row curves against the first."""

    second_is_good: bool

    def psi(self, z):
        return np.sin(z)

    def psi_prime(self, z):
        return np.where(
            np.rint(z) == 1.0, -0.8, 1.0
        )  # leverages of the first two rows are 5 and -4

    def weights(self, z):
        return np.where(np.rint(z) == 1.0, float(self.second_is_good), 1.0)

    def rho(self, z):
        return np.cos(z)


@pytest.mark.parametrize("others_are_good", [True, False])
def test_rows_that_curve_against_the_others_are_cut_off(others_are_good):
    """As groups are, unless no other row is a good one there."""
    X, y, loss = (np.arange(20) < 2.0)[:, None], np.arange(20.0), Tabled(others_are_good)

    def work(fitted):
        q, t, each = fitted.design(X), fitted.rows.y, np.arange(20.0)
        bread = Bread.of(q.T @ (loss.psi_prime(each)[:, None] * q), 20.0)
        leave_out = LeaveOut.of(fitted, bread.root, 1.0)
        point = Point(np.zeros(1), t[0], t[1] - t[0])
        fitted = replace(fitted, point=point)
        job = Leave(Start(loss, loss, None, 2), point, leave_out, 0.5, fitted.coordinates.basis)
        found = left_out(fitted, job, bread)
        first = 1.0 / (1.0 - STEEP) if others_are_good else 0.0
        share = np.array([first, 0.2, *[18.0 / 17.0] * 18])
        assert [index for index, _ in found.alone] == ([] if others_are_good else [0])
        for _, moved in found.alone:
            assert_allclose(moved, bread.inverse @ q[0])
        scores = (share * loss.psi(each))[:, None] * q
        assert_allclose(found.middle, bread.inverse @ (scores.T @ scores) @ bread.inverse)
        assert_allclose(found.crossed, (np.cos(each) - 0.5) @ scores)

    with_rows_of(L2Regressor().fit(X, y), X, y, None, work)


# ------------------------------------------------------------------ identities


@every_model
@pytest.mark.parametrize("kind", KINDS)
def test_both_coordinates_tell_the_same(name, kind, monkeypatch):
    """Those in which A is I, and those in which good rows are white, with bad leverage points."""
    X, y = sample(p=3)
    X[:3] += 50.0
    weight = 0.5 + np.arange(60) % 3
    model = clone_of(name).fit(X, y, weight)
    taken = []
    own = _high_breakdown._by_curvature
    with monkeypatch.context() as patch:
        patch.setattr(_high_breakdown, "_by_curvature", lambda *a: taken.append(own(*a)))
        expected = infer(model, X, y, weight, kind)
    found = infer(model, X, y, weight, kind)
    assert taken[0] is not None
    assert_allclose(found.covariance, expected.covariance, rtol=1e-9)
    assert_allclose(found.explained, expected.explained, rtol=1e-11)
    if model.scale_ > 0.0 and kind != "classical":
        assert_allclose(found.scale_error, expected.scale_error, rtol=1e-9)


@pytest.mark.parametrize("case", ["collinear", "far away"])
def test_hard_rows_get_coordinates_of_the_good_ones(case):
    X, y = sample(p=3)
    if case == "collinear":
        X[:, 2] = X[:, 0] - X[:, 1]
    else:
        X[0] = 1e9
    model = MMRegressor(random_state=0).fit(X, y)

    def work(fitted):
        problem = _high_breakdown.problem_of(fitted)
        assert _high_breakdown._by_curvature(model, fitted, problem) is None
        own, _, _ = _high_breakdown.posed(model, fitted)
        assert own.size == model.rank_

    with_rows_of(model, X, y, None, work, whitened=False)


@everyone
def test_groups_of_one_row_are_rows(name):
    X, y = sample()
    X = np.column_stack([X, np.arange(60) == 50])
    model, groups = clone_of(name).fit(X, y), np.arange(60)[::-1]
    for kind, of_rows in {"CR3": "HC3", "CR1": "HC1"}.items():
        one, other = infer(model, X, y, None, kind, groups), infer(model, X, y, kind=of_rows)
        assert_same(one.covariance[:3, :3], other.covariance[:3, :3], 1e-9)
        assert_allclose(one.scale_error, other.scale_error, rtol=1e-9)
        assert one.unknown.shape == other.unknown.shape


@everyone
def test_weights_count_rows(name):
    X, y = sample(80, wrong=0.1)
    w, groups = 1.0 + np.arange(80) % 3, np.arange(85) // 8
    index = np.repeat(np.arange(80), w.astype(int))
    weighted = clone_of(name).fit(X, y, w)
    repeated = clone_of(name).fit(X[index], y[index])
    assert weighted.scale_ == pytest.approx(repeated.scale_, rel=1e-8)
    wide, long, some = np.vstack([X, X[:5]]), np.append(y, y[:5]), np.append(w, np.zeros(5))
    more = clone_of(name).fit(wide, long, some)
    for kind in (*KINDS, "CR1"):
        own = groups if kind[:2] == "CR" else None
        of_copies = None if own is None else own[index]
        one = infer(weighted, X, y, w, kind)
        other = infer(repeated, X[index], y[index], None, kind, of_copies)
        assert_same(one.covariance, other.covariance, 1e-7)
        assert_allclose(one.explained[:2], other.explained[:2], rtol=1e-8)
        left_out = infer(more, wide, long, some, kind, own)
        assert_same(left_out.covariance, one.covariance, 1e-7)


@everyone
def test_errors_follow_units_and_columns(name):
    """y to c y + X g + d, and X to X A, of condition 1e6; the scale that is given with y."""
    X, y = sample(80)
    c, g, A = 4.0, np.array([5.0, -3.0]), np.array([[1.0, 1.0], [1.0, 1.0 + 1e-6]])
    model, other = clone_of(name).fit(X, y), clone_of(name)
    if name == "M, given":
        other.set_params(scale=c * model.scale)
    moved = X @ A, c * y + X @ g + 7.0
    other.fit(*moved)
    way = np.eye(3)
    way[1:, 1:] = A
    back = np.linalg.inv(way)
    for kind in KINDS:
        one, two = infer(model, X, y, kind=kind), infer(other, *moved, kind=kind)
        assert_same(two.covariance, c**2 * back @ one.covariance @ back.T, 1e-7)
        assert_allclose(two.scale_error, c * one.scale_error, rtol=1e-8)


@pytest.mark.parametrize("name", ["MM", "M, joint", "LTS"])
def test_rounded_coefficients_are_no_other_rows(name):
    """Of nearly collinear columns and little noise they leave six digits of residuals."""
    X, y = sample(80)
    X, y = X @ np.array([[1.0, 1.0], [1.0, 1.0 + 1e-6]]), 1e-3 * y + X @ [5.0, -3.0]
    assert np.isfinite(infer(clone_of(name).fit(X, y), X, y).errors).all()


@everyone
def test_order_and_blocks_do_not_matter(name, monkeypatch):
    X, y = sample(600)
    model, order = clone_of(name).fit(X, y), np.random.default_rng(1).permutation(600)
    groups = np.array([f"group {i % 40}" for i in range(600)])
    one, together = infer(model, X, y), infer(model, X, y, None, "CR3", groups)
    assert_same(infer(model, X[order], y[order]).covariance, one.covariance, 1e-10)
    other = infer(model, X[order], y[order], None, "CR3", groups[order])
    assert_same(other.covariance, together.covariance, 1e-10)
    monkeypatch.setattr(_array, "BLOCK_BYTES", 64 * 16)  # ten blocks
    many = infer(model, X, y)
    assert_same(many.covariance, one.covariance, 1e-10)
    assert_allclose(many.explained, one.explained, rtol=1e-10)
    # of all groups from block to block, of three groups at a time, and of six rows of one
    for entries in (2**19, 150, 20):
        monkeypatch.setattr(_clusters, "ENTRIES", entries)
        other = infer(model, X, y, None, "CR3", groups)
        assert_same(other.covariance, together.covariance, 1e-10)


@everyone
def test_without_intercept_and_collinear(name):
    """A column of ones is the intercept's; a column that repeats others changes no prediction."""
    X, y = sample(80)
    model = clone_of(name).fit(X, y)
    ones = clone_of(name).set_params(fit_intercept=False).fit(design(X), y)
    wide = np.column_stack([X, X[:, 0] - X[:, 1], np.full(80, 3.0)])
    more = clone_of(name).fit(wide, y)
    for kind in KINDS:
        one = infer(model, X, y, kind=kind)
        assert_same(infer(ones, design(X), y, kind=kind).covariance, one.covariance, 1e-7)
        both = infer(more, wide, y, kind=kind).covariance
        fitted = design(X) @ one.covariance @ design(X).T
        assert_allclose(design(wide) @ both @ design(wide).T, fitted, atol=1e-7 * fitted.max())


@pytest.mark.parametrize(
    "name", [name for name in MODELS | LTS if name not in ("M, joint cauchy", "M, mad", "LTS, 1")]
)
def test_rejected_rows_take_no_digits_however_far(name):
    """Leverage points and errors of 1e9 spreads leave what those of 1e4 do.

    But for losses that follow such rows, or reject them slowly.
    """
    X, y = sample(80, wrong=0.0)
    found = []
    for far in (1e4, 1e9):
        X[:8], y[:8] = far * np.array([1.0, -2.0]) + X[8:16], -100.0 * far
        model = clone_of(name).fit(X, y)
        assert not model.weights_[:8].any()
        found.append([infer(model, X, y, kind=kind) for kind in KINDS])
    for near, far in zip(*found, strict=True):
        assert_same(far.covariance, near.covariance, 1e-6)
        assert_allclose(far.explained, near.explained, rtol=1e-6)
        assert not far.unknown.size


def test_single_precision():
    X, y = sample(200)
    X, y = X.astype(np.float32), y.astype(np.float32)
    for name in ("S", "MM", "M, joint", "LTS"):
        model = clone_of(name).fit(X, y)
        assert model.coef_.dtype == np.float32
        exact = clone_of(name).fit(X.astype(np.float64), y)
        found = infer(model, X, y).covariance
        assert_same(found, infer(exact, X.astype(np.float64), y).covariance, 1e-4)


# ------------------------------------------------------------------ what is not known


@everyone
def test_a_row_that_the_fit_cannot_do_without(name):
    """Its coefficient has no HC3 error, the others have theirs."""
    X, y = sample(80)
    X = np.column_stack([X, np.arange(80) == 70])
    model = clone_of(name).fit(X, y)
    found = infer(model, X, y)
    assert found.alone == (70,)
    moved = np.abs(found.unknown[:, 0])
    assert moved[3] > 1e6 * moved[:3].max()
    assert np.isfinite(found.errors).all()
    others = found.covariance[:3, :3]
    assert np.linalg.eigvalsh(others).min() > 0.0
    moved = np.abs(infer(model, X, y, kind="CR3").unknown[:, 0])  # its group, then
    assert moved[3] > 1e6 * moved[:3].max()
    plain = infer(model, X, y, kind="classical")
    assert not plain.alone
    assert not plain.unknown.size
    assert (plain.errors > 0.0).all()


@pytest.mark.parametrize("kind", ["classical", "HC3"])
def test_columns_of_rejected_rows_only_have_no_errors(kind):
    X, y = sample(80, wrong=0.0)
    y[:8] += np.array([300.0, -300.0] * 4) * np.arange(1, 9)
    X = np.column_stack([X, np.arange(80) < 8])
    model = MRegressor("bisquare", scale=1.3, random_state=0).fit(X, y)
    model.coef_[2] += 30.0  # where the equations hold, too, and all rows of the column are rejected
    found = infer(model, X, y, kind=kind)
    assert found.unknown.shape[1] == 1
    moved = np.abs(found.unknown[:, 0])
    assert moved[3] > 1e6 * moved[:3].max()
    others = infer(model, X[8:], y[8:], kind="HC0").covariance
    assert_same(infer(model, X, y, kind="HC0").covariance[:3, :3], others[:3, :3], 1e-6)


# ------------------------------------------------------------------ refusals


@everyone
def test_other_rows_are_refused(name):
    X, y = sample(80)
    model = clone_of(name).fit(X, y)
    others = sample(80, seed=1)
    shifted = y.copy()
    shifted[40] += 1.0
    twice = np.vstack([X, X]), np.append(y, y)
    wrong = [others, (X, shifted), (X[:-1], y[:-1]), (X, y + 1e9), (others[0], y)]
    if name not in ("M, mad", "M, given"):  # for which twice as many rows have the same fit
        wrong.append(twice)
    for rows in wrong:
        with pytest.raises(ValueError, match=f"are not the rows that {type(model).__name__} was"):
            infer(model, *rows)
    with pytest.raises(ValueError, match="sample_weight are not the rows"):
        infer(model, X, y, 1.0 + np.arange(80) % 2)


def test_fits_without_noise_are_refused():
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = X @ [1.0, 2.0]
    y[:5] += 10.0
    for name in ("S", "MM", "M, joint", "LTS"):
        model = clone_of(name).fit(X, y)
        with pytest.raises(ValueError, match=r"passes through 35 of 40 rows exactly"):
            infer(model, X, y)


def test_raw_least_trimmed_squares_are_refused():
    X, y = sample()
    model = LTSRegressor(reweight=False, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"reweight=True, or take MMRegressor"):
        infer(model, X, y)


def test_models_are_left_as_they_were():
    X, y = sample()
    for name in ("MM", "LTS"):
        model = clone_of(name).fit(X, y)
        before = {key: np.copy(value) for key, value in vars(model).items()}
        infer(model, X, y)
        for key, value in before.items():
            assert_array_equal(vars(model)[key], value)

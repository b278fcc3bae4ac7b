"""Inference for smooth convex fits: against R, against refits, and what it refuses.

tests/golden/README.md says where R's values come from.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats
from scipy.integrate import quad
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
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
from robustreg.inference._covariance import _from_every
from robustreg.inference._rejecting import curvature_bias
from robustreg.inference._rows import with_rows_of
from robustreg.inference._sums import Score
from robustreg.losses import Huber, LogCosh
from robustreg.sources import _array

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "inference_m.json").read_text())
# longley's columns have a condition number of 5e9, of which R's normal equations keep less
TOLERANCE = {name: 1e-6 if name == "longley" else 1e-9 for name in REFERENCE}
SMALL = [name for name in REFERENCE if name != "longley"]

KINDS = ("classical", "HC0", "HC1", "HC2", "HC3")
MODELS = {
    "least squares": L2Regressor(),
    "joint": HuberRegressor(),
    "fixed": HuberRegressor(scale=1.0),
    "mad": HuberRegressor(scale="mad"),
    "auto": HuberRegressor(delta="auto"),
    "log-cosh": MRegressor(LogCosh()),
    "search": HuberRegressorCV(deltas=(1.0, 1.5), cv=3),
    "no intercept": HuberRegressor(fit_intercept=False),
}
REJECTING = {
    "S": SRegressor(random_state=0),
    "MM": MMRegressor(random_state=0),
    "LTS": LTSRegressor(random_state=0),
    "bisquare": MRegressor("bisquare", random_state=0),
}
every_model = pytest.mark.parametrize("name", MODELS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def table(name):
    columns = np.loadtxt(FOLDER / "data" / f"{name}.csv", delimiter=",", skiprows=1)
    return columns[:, :-1], columns[:, -1], REFERENCE[name]


def sample(n=60, p=3, seed=0, noise="t"):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    errors = rng.standard_t(3, size=n) if noise == "t" else rng.normal(size=n)
    return X, 2.0 + X @ np.arange(1.0, p + 1.0) + errors


# ------------------------------------------------------------------ R


@pytest.mark.parametrize("name", REFERENCE)
def test_least_squares_is_as_in_r(name):
    (X, y, r), rtol = table(name), TOLERANCE[name]
    r, model = r["l2"], L2Regressor().fit(X, y)
    plain = infer(model, X, y, covariance="classical")
    assert_allclose(plain.coef, r["coef"], rtol=rtol)
    assert_allclose(plain.standard_errors, r["se"], rtol=rtol)
    assert_allclose(plain.p_values, r["p_values"], rtol=100 * rtol, atol=1e-15)
    assert_allclose(plain.conf_int(), r["conf_int"], rtol=100 * rtol)
    assert plain.r2 == pytest.approx(r["r2"], rel=rtol)
    assert plain.adjusted_r2 == pytest.approx(r["adj_r2"], rel=rtol)
    test = plain.wald_test(plain.names[1:])
    assert_allclose([test.statistic, test.df, test.df_denominator], r["f"], rtol=rtol)
    for kind in ("HC0", "HC1", "HC2", "HC3"):
        found = infer(model, X, y, covariance=kind)
        assert_allclose(found.standard_errors, r["hc"][kind], rtol=rtol)
    for kind, theirs in (("CR1", "CR1"), ("cluster", "CR3")):
        found = infer(model, X, y, covariance=kind, groups=REFERENCE[name]["groups"])
        assert_allclose(found.standard_errors, r["cluster"][theirs], rtol=rtol)
    last = plain.wald_test(plain.names[-1])
    assert_allclose([last.statistic, last.p_value], r["f_last"], rtol=100 * rtol)
    robust = infer(model, X, y, covariance="HC3").wald_test(plain.names[-1])
    assert_allclose([robust.statistic, robust.p_value], r["wald_last_HC3"], rtol=100 * rtol)


@pytest.mark.parametrize("name", REFERENCE)
def test_huber_is_as_in_r(name):
    """A joint scale, weights, and a fixed scale, for which rlm's formulas hold."""
    (X, y, r), rtol = table(name), TOLERANCE[name]
    model = HuberRegressor().fit(X, y)
    joint = r["huber_joint"]
    for kind in ("HC0", "HC3"):
        found = infer(model, X, y, covariance=kind)
        expected = np.array(joint[f"stacked_{kind}"])
        assert_allclose(found.covariance, expected[:-1, :-1], rtol=rtol, atol=rtol * 1e-3)
        assert found.scale_error**2 == pytest.approx(expected[-1, -1], rel=rtol)
    groups = r["groups"]
    for kind, theirs in (("classical", "H1"), ("CR1", "CR1"), ("cluster", "CR3")):
        labels = None if kind == "classical" else groups
        found = infer(model, X, y, covariance=kind, groups=labels)
        assert_allclose(np.diag(found.covariance), np.diag(joint[theirs]), rtol=10 * rtol)
    weight = np.array(r["weights"], dtype=float)
    weighted = HuberRegressor().fit(X, y, sample_weight=weight)
    for kind in ("HC0", "HC3"):
        found = infer(weighted, X, y, weight, covariance=kind)
        expected = np.diag(r["huber_joint_weighted"][f"stacked_{kind}"])[:-1]
        assert_allclose(np.diag(found.covariance), expected, rtol=10 * rtol)
    fixed = r["rlm_proposal2"]
    model = HuberRegressor(scale=fixed["scale"]).fit(X, y)
    for kind in ("HC0", "HC1", "HC2", "HC3"):
        found = infer(model, X, y, covariance=kind)
        assert_allclose(np.diag(found.covariance), np.diag(fixed[kind]), rtol=10 * rtol)


@pytest.mark.parametrize("name", SMALL)
def test_predictions_are_as_in_r(name):
    X, y, r = table(name)
    found = infer(L2Regressor().fit(X, y), X, y, covariance="classical")
    new = X[:3]
    for kind, theirs in (("mean", "confidence"), ("new", "prediction")):
        expected = np.array(r["l2"]["predict"][theirs])
        assert_allclose(found.predict_interval(new, kind=kind), expected[:, 1:], rtol=1e-9)


# ------------------------------------------------------------------ identities


def jackknife(model, X, y):
    """``sum (b_(i) - b)(b_(i) - b)'``, from fits without each row."""
    full = np.append(model.intercept_, model.coef_)
    steps = []
    for i in range(len(y)):
        left = np.arange(len(y)) != i
        part = type(model)(**model.get_params()).fit(X[left], y[left])
        steps.append(np.append(part.intercept_, part.coef_) - full)
    return np.array(steps).T @ np.array(steps)


def test_hc3_of_least_squares_is_the_jackknife():
    X, y = sample(25)
    model = L2Regressor().fit(X, y)
    assert_allclose(infer(model, X, y).covariance, jackknife(model, X, y), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("near", [1.0, 0.01])  # of nearly equal columns 0 is far from the means
def test_blocks_of_rows_do_not_matter(near, fit_intercept, weighted, monkeypatch):
    rng, (X, y) = np.random.default_rng(7), sample(n=600, p=3, seed=1)
    X = np.column_stack([X + 2.0, X[:, 0] + near * rng.normal(size=600) - 2.0])
    weight = rng.uniform(0.2, 3.0, 600) if weighted else None
    model = L2Regressor(fit_intercept=fit_intercept).fit(X, y, weight)
    expected = infer(model, X, y, weight, covariance="HC3").covariance
    monkeypatch.setattr(_array, "BLOCK_BYTES", 1)  # ten blocks
    found = infer(model, X, y, weight, covariance="HC3").covariance
    w, A = (np.ones(600) if weight is None else weight), X
    if fit_intercept:
        A = np.column_stack([np.ones(600), X])
    inverse = np.linalg.inv((A.T * w) @ A)
    r = y - model.predict(X)
    r /= 1.0 - np.einsum("ij,jk,ik->i", A, inverse, A)
    direct = inverse @ (A.T * (w * r**2)) @ A @ inverse
    size = np.sqrt(np.diag(direct))
    for each in (expected, found):
        assert_allclose(each / size / size[:, None], direct / size / size[:, None], atol=1e-9)


def test_hc3_of_huber_is_the_jackknife_where_no_row_crosses_the_corner():
    X, y = sample(25, noise="normal")
    y[:4] += [20.0, -30.0, 25.0, 40.0]
    model = HuberRegressor(scale=4.0).fit(X, y)
    z = np.abs(y - model.predict(X)) / 4.0
    assert np.sum(z > 1.345) == 4
    assert np.abs(z - 1.345).min() > 0.3  # by which no row that is left out moves another
    assert_allclose(infer(model, X, y).covariance, jackknife(model, X, y), rtol=1e-8)


@every_model
def test_groups_of_one_row_are_rows(name):
    X, y = sample()
    model = MODELS[name].fit(X, y)
    groups = [f"row {i}" for i in range(len(y))]
    alone = infer(model, X, y, groups=groups)
    if getattr(model, "scale", 1.0) == "joint":  # whose rows are stacked with the scale
        assert_allclose(alone.standard_errors, infer(model, X, y).standard_errors, rtol=0.3)
        return
    assert_allclose(alone.covariance, infer(model, X, y).covariance, rtol=1e-9)
    first = infer(model, X, y, covariance="CR1", groups=groups)
    factor = 1.0 if len(y) == first.n_rows else np.nan
    assert_allclose(first.covariance, factor * infer(model, X, y, covariance="HC1").covariance)
    assert alone.df == first.df == len(y) - 1


@every_kind
@every_model
def test_weights_are_repetitions(name, kind):
    X, y = sample()
    weight = np.resize([1.0, 2.0, 0.0, 3.0], len(y))
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    model = MODELS[name]
    if name in ("auto", "search"):
        model = HuberRegressor(delta=1.2)
    one = infer(model.fit(X, y, sample_weight=weight), X, y, weight, covariance=kind)
    other = infer(model.fit(X[again], y[again]), X[again], y[again], covariance=kind)
    assert one.n_rows == len(again)
    assert_allclose(one.covariance, other.covariance, rtol=1e-7)
    assert one.df == other.df
    assert_allclose([one.r2, one.adjusted_r2], [other.r2, other.adjusted_r2], rtol=1e-9)
    new = X[:3]
    assert_allclose(one.predict_interval(new, kind="new"), other.predict_interval(new, kind="new"))


def test_weighted_groups_are_repeated_rows():
    X, y = sample()
    weight, groups = np.resize([1.0, 2.0, 0.0], len(y)), np.arange(len(y)) // 6
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    for kind in ("cluster", "CR1"):
        model = HuberRegressor().fit(X, y, sample_weight=weight)
        one = infer(model, X, y, weight, covariance=kind, groups=groups)
        model = HuberRegressor().fit(X[again], y[again])
        two = infer(model, X[again], y[again], covariance=kind, groups=groups[again])
        assert_allclose(one.covariance, two.covariance, rtol=1e-7)


@every_kind
@pytest.mark.parametrize("name", ["least squares", "joint", "mad", "log-cosh"])
def test_equivariance(name, kind):
    X, y = sample()
    model = MODELS[name]
    plain = infer(model.fit(X, y), X, y, covariance=kind)
    unit, mixed = 1e-7, X @ np.array([[1e5, 3.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 1e-4]])
    moved = 1e3 + unit * y + X @ [1e-7, 0.0, 3e-7]
    turned = infer(model.fit(mixed, moved), mixed, moved, covariance=kind)
    # the same statement about any row
    expected = plain.predict_interval(X[:5]) - plain.predict_interval(X[:5]).mean(axis=1)[:, None]
    found = turned.predict_interval(mixed[:5])
    found = found - found.mean(axis=1)[:, None]
    assert_allclose(found, unit * expected, rtol=1e-6, atol=1e-12)


def test_order_and_representation_do_not_matter():
    X, y = sample(200)
    X[np.abs(X) < 0.5] = 0.0
    model = HuberRegressor()
    plain = infer(model.fit(X, y), X, y)
    order = np.random.default_rng(1).permutation(len(y))
    other = infer(model.fit(X[order], y[order]), X[order], y[order])
    assert_allclose(other.covariance, plain.covariance, rtol=1e-9)
    thin = sparse.csr_matrix(X)
    assert_allclose(infer(model.fit(thin, y), thin, y).covariance, plain.covariance, rtol=1e-8)
    single = X.astype(np.float32)
    found = infer(model.fit(single, y), single, y)
    assert_allclose(found.standard_errors, plain.standard_errors, rtol=1e-4)


def test_least_squares_is_huber_with_a_large_delta():
    X, y = sample()
    squares = infer(L2Regressor().fit(X, y), X, y)
    model = HuberRegressor(delta=1e6, scale=1.0).fit(X, y)
    assert_allclose(infer(model, X, y).covariance, squares.covariance, rtol=1e-7)


def test_the_scale_moves_with_skewed_noise():
    """The intercept's error depends on the scale's there, by the derivative of the equations."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 1)), rng.exponential(size=500)
    model = HuberRegressor().fit(X, y)
    stacked = infer(model, X, y, covariance="HC0")
    alone = infer(HuberRegressor(scale=model.scale_).fit(X, y), X, y, covariance="HC0")
    assert stacked.standard_errors[0] > 1.1 * alone.standard_errors[0]
    design, s = np.column_stack([np.ones(500), X]), model.scale_
    loss = Huber()

    def equations(theta):
        z = (y - design @ theta[:2]) / theta[2]
        terms = loss.conjugate_of_psi(z) - loss.kappa
        return np.append(design.T @ loss.psi(z), terms.sum()), np.column_stack(
            [design * loss.psi(z)[:, None], terms]
        )

    theta = np.array([model.intercept_, model.coef_[0], s])
    slope = np.column_stack(
        [
            (equations(theta + step)[0] - equations(theta - step)[0]) / 2e-7
            for step in 1e-7 * np.eye(3)
        ]
    )
    scores = equations(theta)[1]
    inverse = np.linalg.inv(slope)
    expected = inverse @ scores.T @ scores @ inverse.T
    assert_allclose(stacked.covariance, expected[:2, :2], rtol=1e-4)
    assert stacked.scale_error**2 == pytest.approx(expected[2, 2], rel=1e-4)


# ------------------------------------------------------------------ the result


def test_tests_and_intervals_agree():
    X, y = sample()
    found = infer(HuberRegressor().fit(X, y), X, y)
    low, high = found.conf_int(0.9).T
    cut = stats.t.ppf(0.95, found.df)
    assert_allclose(high - low, 2.0 * cut * found.standard_errors)
    test = found.wald_test("x1")
    assert test.statistic == pytest.approx(found.statistics[2] ** 2)
    assert test.p_value == pytest.approx(found.p_values[2])
    assert found.wald_test(np.eye(4)[2], found.coef[2]).p_value == pytest.approx(1.0)
    both = found.wald_test(["x0", "x1"])
    turned = found.wald_test([[0.0, 1.0, 1.0, 0.0], [0.0, 2.0, -1.0, 0.0]])
    assert turned.statistic == pytest.approx(both.statistic, rel=1e-9)


def test_intervals_of_a_row_are_those_of_the_intercept_there():
    X, y = sample()
    row = np.array([[0.3, -1.0, 5.0]])
    found = infer(HuberRegressor().fit(X, y), X, y)
    there = infer(HuberRegressor().fit(X - row, y), X - row, y)
    assert_allclose(found.predict_interval(row, 0.8)[0], there.conf_int(0.8)[0], rtol=1e-8)


def test_a_result_is_small_frozen_and_text():
    X, y = sample(5000, 20)
    found = infer(HuberRegressor().fit(X, y), X, y)
    assert len(pickle.dumps(found)) < 20_000
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(again.covariance, found.covariance)
    with pytest.raises(ValueError, match="read-only"):
        found.coef[0] = 1.0
    with pytest.raises(AttributeError):
        found.coef = 1.0
    lines = str(found).splitlines()
    assert max(map(len, lines)) <= 79
    assert sum(line.startswith("x") for line in lines) == 20
    assert "covariance HC3, stacked with the scale\n95 % intervals, t with 4979" in str(found)


def test_titles_are_those_of_the_parameters_now():
    model = HuberRegressor(delta=2).fit(X := np.arange(12.0)[:, None], y := np.arange(12.0) % 5)
    assert infer(model, X, y).title == "HuberRegressor(delta=2)"  # 2 and 2.0 are the same number
    assert infer(model.set_params(delta=2.0), X, y).title == "HuberRegressor(delta=2.0)"
    with config_context(print_changed_only=False):
        assert infer(model, X, y).title == " ".join(repr(model).split())


def test_names_come_from_columns_and_long_ones_are_cut():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    names = ["age", "income of the household before taxes in 2019", "<b>"]
    frame = pd.DataFrame(X, columns=names)
    found = infer(HuberRegressor().fit(frame, y), frame, y)
    assert found.names == ("intercept", *names)
    assert max(map(len, str(found).splitlines())) <= 79
    assert "&lt;b&gt;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert list(found.to_frame(0.9).index) == list(found.names)
    assert_allclose(found.to_frame(0.9)[["low", "high"]], found.conf_int(0.9))
    assert found.wald_test(["age", "<b>"]).df == 2


def test_a_pipeline_passes_its_rows_on():
    X, y = sample()
    pipe = make_pipeline(StandardScaler(), HuberRegressor()).fit(X, y)
    scaled = pipe[0].transform(X)
    direct = infer(pipe[-1], scaled, y)
    assert_array_equal(infer(pipe, X, y).covariance, direct.covariance)
    assert infer(pipe, X, y).names == ("intercept", "x0", "x1", "x2")
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["age", "size", "price"])
    assert infer(pipe.fit(frame, y), frame, y).names == ("intercept", "age", "size", "price")
    alone = make_pipeline(HuberRegressor()).fit(X, y)
    assert_array_equal(infer(alone, X, y).covariance, infer(alone[-1], X, y).covariance)


@pytest.mark.parametrize("name", REJECTING)
def test_estimates_that_reject_rows_have_results_too(name):
    """Their matrices are tested in test_inference_high_breakdown.py."""
    X, y = sample(120)
    y[:12] = 50.0
    model = REJECTING[name].fit(X, y)
    found = infer(model, X, y)
    assert found.covariance_type.startswith("classical" if name == "LTS" else "HC3")
    assert found.n_few >= 12
    assert 0.85 < found.r2 < 1.0
    assert np.all(np.abs(found.coef - [2.0, 1.0, 2.0, 3.0]) < 4.0 * found.standard_errors)
    assert found.df == 116
    half = np.diff(found.predict_interval(X[-1:], kind="new"))[0, 0] / 2.0
    assert half > stats.t.ppf(0.975, 116) * model.scale_
    grouped = infer(model, X, y, groups=np.arange(120) // 4)
    assert grouped.covariance_type.startswith("CR3")
    assert grouped.df == 29
    with pytest.raises(ValueError, match=r"the rows that .* fitted to: these were 120, not 100"):
        infer(model, X[20:], y[20:])


@pytest.mark.parametrize("model", [L1Regressor(), QuantileRegressor(0.7)])
def test_quantiles_have_results_too(model):
    """Their matrices and limits are tested in test_inference_quantile.py."""
    X, y = sample(90)
    model.fit(X, y)
    found = infer(model, X, y)
    assert found.covariance_type == "nid; intervals and p by rank tests"
    nid = infer(model, X, y, covariance="nid")
    assert_array_equal(found.standard_errors, nid.standard_errors)
    assert not np.allclose(found.conf_int(), nid.conf_int())
    low, high = found.conf_int(0.9).T
    assert np.all((low < found.coef) & (found.coef < high))
    assert np.all(high - low <= np.diff(found.conf_int(0.99))[:, 0])
    levels = "0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99"
    with pytest.raises(ValueError, match=rf"must be one of {levels}, got 0.75; .*'nid'"):
        found.conf_int(0.75)
    assert np.isfinite(nid.conf_int(0.75)).all()
    assert "R1 0." in str(found)
    assert_allclose(nid.predict_interval(X[:2]), found.predict_interval(X[:2]))
    with pytest.raises(ValueError, match="kind='new' is not there for quantiles"):
        found.predict_interval(X, kind="new")
    grouped = infer(model, X, y, groups=np.arange(90) // 3)
    assert grouped.covariance_type == "cluster"
    with pytest.raises(ValueError, match="its objective is"):
        infer(model, X[::-1], y)
    assert len(pickle.dumps(found)) < 20_000


def test_long_tables_have_no_rank_tests_unless_they_are_asked_for():
    X, y = sample(1200, 1)
    model = L1Regressor().fit(X, y)
    assert infer(model, X, y).covariance_type == "nid"
    ranked = infer(model, X, y, covariance="rank")
    assert_allclose(ranked.conf_int(), infer(model, X, y).conf_int(), atol=0.05)


def test_an_s_estimate_of_few_rows_is_not_too_sure():
    """Its rows in the centre are chosen: with few rows HC3 alone covers 84 % for 95."""
    rng, true = np.random.default_rng(0), np.array([0.0, 1.0, -1.0, 0.5])
    covered, curved, loss = [], [], tuned("bisquare", breakdown_point=0.5)
    for _ in range(60):
        X = rng.normal(size=(80, 3))
        y = X @ true[1:] + rng.normal(size=80)
        model = SRegressor(n_subsamples=100, random_state=0).fit(X, y)
        low, high = infer(model, X, y).conf_int().T
        covered.append((low <= true) & (high >= true))
        curved.append(loss.psi_prime((y - model.predict(X)) / model.loss_scale_).mean())
    share = np.mean(covered)  # with a standard error of about 0.02
    assert 0.91 < share < 0.99
    # 1.64 to the first order; the standard error is about 0.05
    expected = 1.0 + curvature_bias(loss) * 4 / 80
    slope = integrate(loss, lambda u: loss.psi_prime(u))
    assert np.mean(curved) / slope == pytest.approx(expected, rel=0.12)


def integrate(loss, function):
    return quad(lambda u: float(function(u)) * stats.norm.pdf(u), -loss.c, loss.c)[0]


def test_the_curvature_that_an_s_estimate_adds():
    """The formula with derivatives written out; the second one jumps at the ends, by 8 / c."""
    loss = tuned("bisquare", breakdown_point=0.5)
    c = loss.c
    slope = integrate(loss, loss.psi_prime)
    second = integrate(loss, lambda u: loss.psi(u) * (20.0 * u**3 / c**4 - 12.0 * u / c**2))
    third = integrate(loss, lambda u: 60.0 * u**2 / c**4 - 12.0 / c**2)
    third -= 2.0 * 8.0 / c * stats.norm.pdf(c)
    square = integrate(loss, lambda u: loss.psi(u) ** 2)
    expected = (-second / slope + square * third / (2.0 * slope**2)) / slope
    assert curvature_bias(loss) == pytest.approx(expected, rel=1e-9)


# ------------------------------------------------------------------ what the data do not say


def test_collinear_columns_are_named():
    X, y = sample()
    wide = np.column_stack([X, X[:, 0] - X[:, 1], np.full(len(y), 7.0)])
    found = infer(HuberRegressor().fit(wide, y), wide, y)
    plain = infer(HuberRegressor().fit(X, y), X, y)
    assert_array_equal(found.identified, [False, False, False, True, False, False])
    assert_allclose(found.standard_errors[3], plain.standard_errors[3], rtol=1e-8)
    assert np.isnan(found.standard_errors[~found.identified]).all()
    assert found.rank == 4
    assert found.df == plain.df
    inside = np.column_stack([X[:4], X[:4, 0] - X[:4, 1], np.full(4, 7.0)])
    assert_allclose(found.predict_interval(inside), plain.predict_interval(X[:4]), rtol=1e-8)
    outside = inside.copy()
    outside[0, 3] += 1.0
    assert np.isnan(found.predict_interval(outside)[0]).all()
    assert "collinear" in str(found)
    together = found.wald_test([[0.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    expected = plain.wald_test([[0.0, 1.0, 1.0, 0.0]])
    assert together.statistic == pytest.approx(expected.statistic, rel=1e-7)
    with pytest.raises(ValueError, match="terms must be combinations that the data determine"):
        found.wald_test("x0")


def test_dummies_of_all_levels_leave_the_intercept_open():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 3, 90)
    X = np.column_stack([np.eye(3)[level], rng.normal(size=90)])
    y = level + X[:, 3] + rng.normal(size=90)
    found = infer(L2Regressor().fit(X, y), X, y)
    assert_array_equal(found.identified, [False, False, False, False, True])
    difference = found.wald_test([[0.0, 1.0, -1.0, 0.0, 0.0]])
    assert np.isfinite(difference.statistic)
    no_intercept = infer(L2Regressor(fit_intercept=False).fit(X, y), X, y)
    assert no_intercept.identified.all()
    assert_allclose(found.predict_interval(X), no_intercept.predict_interval(X), rtol=1e-7)


@pytest.mark.parametrize("kind", ["HC2", "HC3", "cluster"])
@pytest.mark.parametrize("name", ["least squares", "joint"])
def test_a_row_that_the_fit_cannot_do_without_is_named(name, kind):
    X, y = sample()
    X = np.column_stack([X, np.arange(len(y)) == 17])
    groups = np.arange(len(y)) if kind == "cluster" else None
    model = MODELS[name].fit(X, y)
    with pytest.warns(UserWarning, match="has no standard error for x3: "):
        found = infer(model, X, y, covariance=kind, groups=groups)
    assert_array_equal(np.isnan(found.standard_errors), [False, False, False, False, True])
    assert found.identified.all()
    assert np.isfinite(infer(model, X, y, covariance="classical").standard_errors).all()
    if kind != "cluster":
        with pytest.warns(UserWarning, match=r"single rows \(number 17\)"):
            infer(model, X, y, covariance=kind)


def test_a_dummy_whose_rows_are_all_gross_errors_has_no_standard_error():
    X, y = sample(60)
    dummy = np.zeros(60)
    dummy[:2] = 1.0
    y[:2] = [1e3, -1e3]
    X = np.column_stack([X, dummy])
    model = HuberRegressor().fit(X, y)
    with pytest.warns(UserWarning, match="x3: the rows in the centre of the loss say"):
        found = infer(model, X, y)
    assert_array_equal(np.isnan(found.standard_errors), [False, False, False, False, True])


# ------------------------------------------------------------------ what is refused


def test_other_rows_are_refused():
    X, y = sample()
    weight = np.resize([1.0, 2.0], len(y))
    for model in (HuberRegressor(), L2Regressor(), HuberRegressor(scale=2.0)):
        model.fit(X[:40], y[:40])
        name = type(model).__name__
        with pytest.raises(ValueError, match=f"not the rows that {name} was fitted to"):
            infer(model, X, y)
        with pytest.raises(ValueError, match="its estimating equations miss 0 by"):
            infer(model, X[20:], y[20:])
        with pytest.raises(ValueError, match="not the rows"):
            infer(model, X[:40], y[:40], weight[:40])
        with pytest.raises(ValueError, match="these were 40, not 39"):
            infer(model, X[:39], y[:39])
        with pytest.raises(ValueError, match=r"X has 2 columns, but .* was fitted to 3"):
            infer(model, X[:40, :2], y[:40])
        assert np.isfinite(infer(model, X[:40], y[:40]).standard_errors).all()


def test_rounding_of_coefficients_is_no_sign_of_other_rows():
    """Columns far from 0 and little noise: predictions from X = 0 have lost digits."""
    rng = np.random.default_rng(0)
    X = rng.normal(loc=[1e9, 0.0], size=(100, 2))
    y = X @ [1.0, 1.0] - 1e9 + 1e-3 * rng.normal(size=100)
    for model in (L2Regressor(), HuberRegressor()):
        found = infer(model.fit(X, y), X, y)
        assert_allclose(found.standard_errors[1:], 1e-4, rtol=0.4)
        with pytest.raises(ValueError, match="not the rows"):
            infer(model, X, y[::-1])


def test_other_names_are_refused():
    pd = pytest.importorskip("pandas")
    X, y = sample()
    model = L2Regressor().fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    with pytest.raises(ValueError, match=r"X has the columns a, c, b, but .* fitted to a, b, c"):
        infer(model, pd.DataFrame(X, columns=["a", "c", "b"]), y)
    assert list(model.feature_names_in_) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (HuberRegressor(alpha=0.1), ValueError, "penalised fit, but HuberRegressor has alpha=0.1"),
        (L2Regressor(positive=True), ValueError, "has positive=True: the penalty biases"),
        (HuberRegressorCV(alphas=[0.1], cv=3), ValueError, "HuberRegressorCV has alpha=0.1"),
        (LTSRegressor(reweight=False), ValueError, "Fit with reweight=True, or take MMRegressor"),
        (StandardScaler(), TypeError, "got StandardScaler"),
    ],
)
def test_models_without_inference_say_why(model, error, message):
    X, y = sample()
    with pytest.raises(error, match=message):
        infer(model.fit(X, y), X, y)


def test_an_unfitted_model_is_refused():
    with pytest.raises(NotFittedError):
        infer(HuberRegressor(), *sample())


def test_too_few_rows_are_refused():
    X, y = sample(4)
    with pytest.raises(ValueError, match=r"more rows than coefficients, .* sum to 4 and .* is 4"):
        infer(L2Regressor().fit(X, y), X, y)
    X, y = sample()
    weight = np.full(len(y), 1.0 / len(y))
    model = L2Regressor().fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"sum to 1 .* sample_weight counts rows"):
        infer(model, X, y, weight)


def test_exact_fits_are_refused():
    X, _ = sample()
    y = X @ [1.0, 2.0, 3.0]
    for model in (L2Regressor(), HuberRegressor(), HuberRegressor(scale=1.0)):
        with pytest.raises(ValueError, match="The fit is exact"):
            infer(model.fit(X, y), X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariance": "HC4"}, "of HuberRegressor must be one of auto, classical.* got 'HC4'"),
        ({"covariance": "cluster"}, "covariance='cluster' and groups go together"),
        ({"covariance": "HC3", "groups": [0, 1] * 30}, "covariance='HC3' and groups go together"),
        ({"groups": [0, 1]}, r"groups must have one label for each of the 60 rows, .* \(2,\)"),
        ({"groups": [1.0] * 59 + [np.nan]}, "groups must not hold missing labels"),
        ({"groups": [None, "a"] * 30}, "groups must not hold missing labels"),
        ({"groups": ["a"] * 60}, "groups must hold two different labels at least"),
    ],
)
def test_bad_options_are_named(options, message):
    X, y = sample()
    with pytest.raises(ValueError, match=message):
        infer(HuberRegressor().fit(X, y), X, y, **options)


def test_bad_questions_are_named():
    X, y = sample()
    found = infer(HuberRegressor().fit(X, y), X, y)
    for level in (0.0, 1.0, 95, "95%"):
        with pytest.raises(ValueError, match="level must lie strictly between 0 and 1"):
            found.conf_int(level)
    with pytest.raises(ValueError, match=r"terms must be names among intercept, x0.* got 'x9'"):
        found.wald_test("x9")
    with pytest.raises(ValueError, match=r"combinations of shape \(q, 4\), got shape \(1, 2\)"):
        found.wald_test([[1.0, 2.0]])
    with pytest.raises(ValueError, match="of these 2 hypotheses is singular: some follow"):
        found.wald_test(["x0", "x0"])
    with pytest.raises(ValueError, match="value must have a finite entry for each of the 2"):
        found.wald_test(["x0", "x1"], [1.0])
    with pytest.raises(ValueError, match="kind must be 'mean' or 'new', got 'row'"):
        found.predict_interval(X, kind="row")
    with pytest.raises(ValueError, match=r"X must have the shape \(n, 3\), got \(60, 2\)"):
        found.predict_interval(X[:, :2])


@pytest.mark.parametrize("weighted", [False, True])
def test_curvature_is_that_of_all_rows_less_what_some_miss(weighted):
    """The Gram matrix of rows in the centre of the loss, without a pass over most of them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(3.0, 2.0, size=(400, 3)), rng.standard_cauchy(400)
    weight = rng.integers(1, 4, 400).astype(float) if weighted else None
    model = HuberRegressor().fit(X, y, weight)

    def work(fitted):
        scores = Score(fitted.loss, fitted.point, None, fitted.loss.kappa, None)
        found, direct = _from_every(fitted, scores), fitted.rows.sum(scores)
        assert 0.1 < 1.0 - direct.bend / fitted.rows.total < 0.5
        assert_allclose(found.bread, direct.bread, rtol=1e-12, atol=1e-11)
        assert_allclose(found.psi, direct.psi, rtol=1e-12)

    with_rows_of(model, X, y, weight, work)


def test_curvature_of_few_rows_is_summed_over_them():
    """Of a dummy that nearly all rows of the centre are without, a difference has few digits."""
    rng = np.random.default_rng(0)
    dummy = (np.arange(400) < 40).astype(float)
    y = rng.normal(size=400) + dummy * 100.0 * rng.standard_cauchy(400)
    X = np.column_stack([rng.normal(size=400), dummy])
    model = HuberRegressor(scale=1.0).fit(X, y)

    def work(fitted):
        scores = Score(fitted.loss, fitted.point, None, 0.0, None)
        assert _from_every(fitted, scores) is None

    with_rows_of(model, X, y, None, work)

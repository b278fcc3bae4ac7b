"""Inference for several quantiles at once: against R, and against one quantile at a time."""

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustreg import QuantileRegressor
from robustreg.inference import QuantileInference, infer
from robustreg.inference._rows import with_rows_of
from robustreg.inference.quantiles._covariance import Joint, joint_covariance
from robustreg.inference.quantiles._density import HALL_SHEATHER, at_fit, nid_densities

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "inference_several_quantiles.json").read_text())
EPS = np.finfo(float).eps
LEVELS = [0.25, 0.5, 0.8]
KINDS = ("iid", "nid", "kernel", "rank", "cluster", "bootstrap")


def sample(n=80, p=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    noise = (1.0 + 0.5 * np.abs(X[:, 0])) * rng.standard_t(3, size=n)
    return X, 1.0 + X @ np.arange(p) + noise


def options_of(kind, n=80):
    groups = np.arange(n) // 4 if kind == "cluster" else None
    return {"covariance": kind, "groups": groups, "n_resamples": 20, "random_state": 0}


def flat(result):
    """The covariance of all coefficients as one matrix."""
    m, k = result.coef.shape
    return result.covariance.swapaxes(1, 2).reshape(m * k, m * k)


@pytest.mark.parametrize("name", REFERENCE)
def test_equal_slopes_are_tested_as_in_r(name):
    """At its bandwidth, and with its 1.5e-8 in units of y; its F has other degrees of freedom."""
    r, table = (
        REFERENCE[name],
        np.loadtxt(FOLDER / "data" / f"{name}.csv", delimiter=",", skiprows=1),
    )
    X, y, taus = table[:, :-1], table[:, -1], r["taus"]
    result = infer(QuantileRegressor(taus).fit(X, y), X, y, covariance="kernel")
    assert_allclose(result.coef, r["coef"], rtol=1e-8, atol=1e-9)

    def work(fitted):
        unit, centre = fitted.y_unit, fitted.rows.observed.targets.units.centre
        fits = [at_fit(fitted, b[1:] / unit, b[0] / unit - centre, 1.0) for b in result.coef]
        densities = nid_densities(fitted, taus, HALL_SHEATHER, np.sqrt(EPS) / unit)
        return (
            joint_covariance(fits, taus, "nid", densities=densities),
            joint_covariance(fits, taus, "kernel", rule=HALL_SHEATHER),
        )

    first = QuantileRegressor(taus[0]).fit(X, y)
    nid, kernel = (replace(result, joint=own) for own in with_rows_of(first, X, y, None, work))
    test = nid.equal_slopes_test()
    assert (test.df, test.df_denominator) == (r["ndf"], len(y) - X.shape[1] - 1)
    assert test.statistic == pytest.approx(r["nid"], rel=1e-8)
    assert test.p_value == stats.f.sf(test.statistic, test.df, test.df_denominator)
    assert kernel.equal_slopes_test().statistic == pytest.approx(r["kernel"], rel=1e-8)
    found = [nid.equal_slopes_test(name).statistic for name in nid.names[1:]]
    assert_allclose(found, r["each_nid"], rtol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_several_quantiles_are_one_by_one(kind):
    X, y = sample()
    weight, options = np.resize([1.0, 2.0, 1.0, 0.0], len(y)), options_of(kind)
    levels = [0.5, 0.25, 0.8]  # in the order of the fit
    result = infer(QuantileRegressor(levels).fit(X, y, weight), X, y, weight, **options)
    assert isinstance(result, QuantileInference)
    assert_array_equal(result.quantiles, levels)
    for index, (tau, own) in enumerate(zip(levels, result.results, strict=True)):
        alone = infer(QuantileRegressor(tau).fit(X, y, weight), X, y, weight, **options)
        for name in ("coef", "standard_errors", "statistics", "p_values"):
            assert_allclose(getattr(own, name), getattr(alone, name), rtol=1e-8, err_msg=name)
            assert_array_equal(getattr(result, name)[index], getattr(own, name))
        assert_allclose(own.covariance, alone.covariance, rtol=1e-8, atol=1e-12)
        assert_array_equal(result.covariance[index, index], own.covariance)
        assert_allclose(own.conf_int(), alone.conf_int(), rtol=1e-8)
        assert_array_equal(result.conf_int(0.9)[index], own.conf_int(0.9))
        for name in ("df", "n_rows", "rank", "covariance_type", "title", "names"):
            assert getattr(own, name) == getattr(alone, name)
        assert [own.r2, own.scale] == pytest.approx([alone.r2, alone.scale], rel=1e-9)
        assert str(own) == str(alone)


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_know_of_each_other(kind):
    X, y = sample()
    result = infer(QuantileRegressor(LEVELS).fit(X, y), X, y, **options_of(kind))
    matrix = flat(result)
    assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-15)
    assert np.linalg.eigvalsh(matrix).min() > 0.0
    R = np.random.default_rng(1).normal(size=(2, 3, 4))
    test = result.wald_test(R, [0.5, -1.0])
    off = np.einsum("hmk,mk->h", R, result.coef) - [0.5, -1.0]
    own = R.reshape(2, 12)
    assert test.statistic == pytest.approx(off @ np.linalg.solve(own @ matrix @ own.T, off) / 2)
    assert result.wald_test(own, [0.5, -1.0]) == test
    alone = np.zeros((1, 3, 4))
    alone[0, 1, 2] = 1.0
    expected = result.results[1].wald_test("x1")
    assert result.wald_test(alone).statistic == pytest.approx(expected.statistic)
    # any differences of quantiles are the same hypothesis
    R = np.array([[[1, 0], [-1, 0], [0, 0]], [[1, 0], [0, 0], [-1, 0]]], dtype=float)
    both = result.wald_test(np.pad(R, [(0, 0), (0, 0), (1, 1)]))
    assert both.statistic == pytest.approx(result.equal_slopes_test("x0").statistic)


def test_cluster_scores_of_singletons_are_about_those_of_independent_rows():
    X, y = sample(4000)
    model = QuantileRegressor([0.3, 0.6]).fit(X, y)
    grouped = flat(infer(model, X, y, groups=np.arange(4000)))
    assert_allclose(grouped, flat(infer(model, X, y, covariance="nid")), rtol=0.1, atol=1e-4)


def test_noise_that_does_not_depend_on_x_leaves_slopes_alike():
    """The test holds its level, and sees slopes that differ."""
    rng = np.random.default_rng(0)
    rejected = []
    for _ in range(40):
        X = rng.normal(size=(100, 2))
        y = X @ [1.0, -1.0] + rng.normal(size=100)
        result = infer(QuantileRegressor([0.25, 0.75]).fit(X, y), X, y, covariance="nid")
        rejected.append(result.equal_slopes_test().p_value < 0.1)
    assert 1 <= sum(rejected) <= 9
    X, y = sample(400)
    y = y + 3.0 * np.exp(X[:, 1]) * rng.normal(size=400)
    result = infer(QuantileRegressor([0.1, 0.9]).fit(X, y), X, y)
    assert result.equal_slopes_test("x1").p_value < 1e-4
    assert result.equal_slopes_test("x2").p_value > 0.01


def test_collinear_columns_take_nothing_from_the_test():
    X, y = sample()
    plain = infer(QuantileRegressor(LEVELS).fit(X, y), X, y)
    more = np.column_stack([X, 100.0 * X[:, 0] - X[:, 1]])
    result = infer(QuantileRegressor(LEVELS).fit(more, y), more, y)
    found, expected = result.equal_slopes_test(), plain.equal_slopes_test()
    assert found.df == expected.df == 6
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-6)
    assert_array_equal(np.isnan(result.standard_errors[0]), [False, True, True, False, True])
    lost = np.isnan(result.covariance)
    assert not lost[0, 1][np.ix_([0, 3], [0, 3])].any()
    assert lost[0, 1][1].all()
    assert lost[0, 1][:, 1].all()
    assert "Not determined by the data" in str(result)
    with pytest.raises(ValueError, match=r"what the data determine.* collinear"):
        result.equal_slopes_test("x0")
    R = np.zeros((1, 3, 5))
    R[0, :2, 1:3] = [[1.0, 100.0], [-1.0, -100.0]]  # what the columns do determine
    assert np.isfinite(result.wald_test(R).statistic)


def test_units_do_not_matter():
    X, y = sample()
    unit = np.array([1e-12, 1.0, 1e12])
    plain = infer(QuantileRegressor(LEVELS).fit(X, y), X, y)
    other = infer(QuantileRegressor(LEVELS).fit(X * unit, 1e6 * y), X * unit, 1e6 * y)
    found, expected = other.equal_slopes_test(), plain.equal_slopes_test()
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-6)


def test_the_result_is_frozen_small_and_has_names():
    pd = pytest.importorskip("pandas")
    X, y = sample(300, 20)
    frame = pd.DataFrame(X, columns=[f"a rather long name of column {j}" for j in range(20)])
    pipeline = make_pipeline(StandardScaler(), QuantileRegressor(LEVELS)).fit(frame, y)
    result = infer(pipeline, frame, y, covariance="nid")
    assert result.names == ("intercept", *frame.columns)
    with pytest.raises(FrozenInstanceError):
        result.df = 3.0
    for name in ("coef", "covariance", "quantiles", "p_values"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(result, name)[0] = 0.0
    assert len(pickle.dumps(result)) < 60_000
    copy = pickle.loads(pickle.dumps(result))
    assert_array_equal(copy.covariance, result.covariance)
    table = result.to_frame(0.9)
    assert table.index.names == ["quantile", "name"]
    assert_array_equal(table.loc[0.8, "low"], result.conf_int(0.9)[2, :, 0])
    assert max(map(len, str(result).splitlines())) <= 79
    assert result._repr_html_().count("<tr>") == 1 + 21 * 3


def test_the_table_says_what_belongs_together():
    X, y = sample(1200, 1)
    result = infer(QuantileRegressor([0.2, 0.8]).fit(X, y), X, y)
    assert str(result).splitlines()[:5] == [
        "QuantileRegressor(quantile=[0.2, 0.8])",
        "1200 rows; rank 2",
        f"R1 {result.results[0].r2:.4f}, {result.results[1].r2:.4f}",
        "covariance nid",
        "95 % intervals, t with 1198 degrees of freedom",
    ]
    assert "equal slopes: F = " in str(result)
    for index, line in enumerate(str(result).splitlines()[-2:]):
        cells = line.split()
        assert cells[0] == f"{result.quantiles[index]:g}"
        assert cells[1] == f"{result.coef[index, 1]:.4g}"
        assert cells[-1] == f"{result.conf_int()[index, 1, 1]:.4g}"


def test_one_quantile_in_a_list_and_no_slopes():
    X, y = sample()
    result = infer(QuantileRegressor([0.4]).fit(X, y), X, y)
    alone = infer(QuantileRegressor(0.4).fit(X, y), X, y)
    assert result.covariance.shape == (1, 1, 4, 4)
    assert_allclose(result.covariance[0, 0], alone.covariance, rtol=1e-9)
    assert "equal slopes" not in str(result)
    with pytest.raises(ValueError, match="has one only"):
        result.equal_slopes_test()
    constant = np.zeros((len(y), 1))
    result = infer(QuantileRegressor(LEVELS).fit(constant, y), constant, y, covariance="nid")
    assert "equal slopes" not in str(result)
    with pytest.raises(ValueError, match="the fit has none"):
        result.equal_slopes_test()
    assert result.equal_slopes_test("intercept").p_value < 0.05
    result = infer(QuantileRegressor(LEVELS, fit_intercept=False).fit(X, y), X, y)
    assert result.equal_slopes_test().df == 6


def test_single_precision_and_rows_of_others():
    X, y = sample()
    single = X.astype(np.float32)
    model = QuantileRegressor(LEVELS).fit(single, y)
    wide = QuantileRegressor(LEVELS).fit(single.astype(float), y)
    expected = infer(wide, single.astype(float), y).covariance
    assert_allclose(infer(model, single, y).covariance, expected, rtol=1e-7, atol=1e-9)
    with pytest.raises(ValueError, match="not the rows that QuantileRegressor was fitted to"):
        infer(model, single, y[::-1].copy())
    with pytest.raises(ValueError, match="these were 80, not 79"):
        infer(model, single[1:], y[1:])


def test_too_many_hypotheses_for_the_groups():
    X, y = sample()
    result = infer(QuantileRegressor(LEVELS).fit(X, y), X, y, groups=np.arange(80) // 20)
    assert result.df == 3
    assert "equal slopes" not in str(result)
    with pytest.raises(ValueError, match=r"of these 6 hypotheses is singular.* too few groups"):
        result.equal_slopes_test()
    assert result.equal_slopes_test("x0").df == 2


def test_bad_questions_are_named():
    X, y = sample()
    result = infer(QuantileRegressor(LEVELS).fit(X, y), X, y)
    with pytest.raises(ValueError, match=r"shape \(q, 3, 4\) or \(q, 12\), got shape \(2, 4\)"):
        result.wald_test(np.ones((2, 4)))
    with pytest.raises(ValueError, match="value must have a finite entry for each of the 1"):
        result.wald_test(np.ones((1, 12)), [1.0, 2.0])
    with pytest.raises(ValueError, match="some follow from the others"):
        result.wald_test(np.ones((2, 12)))
    with pytest.raises(ValueError, match=r"terms must be names among intercept, x0.* got 'x9'"):
        result.equal_slopes_test("x9")


def test_a_root_of_any_matrix():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 4))  # of rank 4
    matrix = (A @ A.T).reshape(2, 3, 2, 3).swapaxes(1, 2)
    joint = Joint.of(matrix)
    assert joint.root.shape == (2, 3, 4)
    for s in range(2):
        for t in range(2):
            assert_allclose(joint.matrix(s, t), matrix[s, t], atol=1e-13)

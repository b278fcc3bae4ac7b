"""Every figure of docs/coming-from-inference.md, against R at its defaults and statsmodels.

tests/golden/README.md says where R's values come from.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats
from statsmodels.regression.quantile_regression import bofinger

from robustreg import (
    HuberRegressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    QuantileRegressor,
)
from robustreg.inference import deviance_test, infer, rank_test

GOLDEN = Path(__file__).parent / "golden"
R = json.loads((GOLDEN / "inference_coming_from.json").read_text(encoding="utf-8"))
GROUPS = np.repeat(range(7), 3)
ALL_DIGITS = 1e-9
PREDICTIONS = {"mean": "confidence", "new": "prediction"}


def table(name):
    columns = np.loadtxt(GOLDEN / "data" / f"{name}.csv", delimiter=",", skiprows=1)
    return columns[:, :-1], columns[:, -1]


X, Y = table("stackloss")
INCOME, FOOD = table("engel")


def off_by(found, expected):
    """The largest relative difference."""
    return np.abs(np.divide(found, expected) - 1.0).max()


# ------------------------------------------------------------------ R: lm, rlm


def test_lm():
    r, result = R["lm"], infer(L2Regressor().fit(X, Y), X, Y, covariance="classical")
    assert_allclose(result.coef, r["coef"], rtol=ALL_DIGITS)
    assert_allclose(result.standard_errors, r["se"], rtol=ALL_DIGITS)
    assert_allclose(result.p_values, r["p"], rtol=ALL_DIGITS)
    assert_allclose([result.r2, result.adjusted_r2], r["r2"], rtol=ALL_DIGITS)
    assert_allclose(result.conf_int(0.9), r["confint_90"], rtol=ALL_DIGITS)
    test = result.wald_test("x2")
    assert_allclose([test.statistic, test.p_value], r["anova"], rtol=ALL_DIGITS)
    for kind, name in PREDICTIONS.items():
        found = result.predict_interval(X[:3], kind=kind)
        assert_allclose(found, r["predict"][name], rtol=ALL_DIGITS)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("HC0", {"covariance": "HC0"}),
        ("HC3", {}),
        ("CL", {"groups": GROUPS, "covariance": "CR1"}),
        ("CL_HC3", {"groups": GROUPS}),
    ],
)
def test_sandwich_of_lm(name, options):
    result = infer(L2Regressor().fit(X, Y), X, Y, **options)
    assert_allclose(result.standard_errors, R["lm"][name], rtol=ALL_DIGITS)


def test_rlm():
    r = R["rlm"]
    model = HuberRegressor(1.345, scale=r["s"]).fit(X, Y)
    classical = infer(model, X, Y, covariance="classical")
    assert_allclose(classical.coef, r["coef"], rtol=ALL_DIGITS)
    for covariance, name in (("HC0", "vcovHC_HC0"), ("CR1", "CL_HC1")):
        groups = GROUPS if covariance == "CR1" else None
        result = infer(model, X, Y, covariance=covariance, groups=groups)
        assert_allclose(result.standard_errors, r[name], rtol=ALL_DIGITS)
    # K has the sum of squares of psi' over n - 1 there, here over n; psi' is 0 or 1
    n, k, inside = len(Y), 4, np.mean(np.abs(model.predict(X) - Y) <= 1.345 * r["s"])
    excess = k / n * (1.0 - inside) / inside
    ratio = (1.0 + excess * n / (n - 1.0)) / (1.0 + excess)
    assert_allclose(classical.standard_errors * ratio, r["se"], rtol=ALL_DIGITS)
    assert 0.001 < off_by(classical.standard_errors, r["se"]) < 0.0016
    assert 0.04 < off_by(classical.standard_errors, r["XtWX"]) < 0.06
    assert 0.05 < off_by(infer(model, X, Y).standard_errors, r["vcovHC"]) < 0.06
    widths = np.diff(r["predict"]) / np.diff(classical.predict_interval(X[:3]))
    assert_allclose(widths, 0.85, atol=0.01)


# ------------------------------------------------------------------ R: lmrob, ltsReg


def test_lmrob():
    r, model = R["lmrob"], MMRegressor(random_state=0).fit(X, Y)
    raw = infer(model, X, Y, covariance="HC0")
    assert_allclose(raw.coef, r["coef"], rtol=1e-5)
    assert_allclose([raw.r2, raw.adjusted_r2], r["r2"], rtol=1e-6)
    assert r["se"] == r["avar1"]
    assert 0.05 < off_by(raw.standard_errors, r["se"]) < 0.07
    result = infer(model, X, Y, covariance="classical")
    assert_allclose(result.standard_errors, r["w"], rtol=1e-6)
    for kind, name in PREDICTIONS.items():
        there, here = np.diff(r["predict"][name]), np.diff(raw.predict_interval(X[:3], kind=kind))
        assert_allclose(here, there, rtol=0.02)


def test_tests_of_lmrob():
    r, model = R["lmrob"], MMRegressor(random_state=0).fit(X, Y)
    test = infer(model, X, Y, covariance="HC0").wald_test("x2")
    assert_allclose(test.statistic, r["Wald"][0], rtol=2e-4)
    assert_allclose(stats.chi2.sf(test.statistic, 1), r["Wald"][2], rtol=2e-4)
    # F is T (n - k) / (n K), and its K that of the whole model
    test, n, k = deviance_test(model, X, Y, "x2"), len(Y), 4
    correction = r["Deviance"][0] * (n - k) / n / test.statistic
    assert 1.07 < correction < 1.09


def test_deviance_of_wood_is_negative_in_r_only():
    rows, y = table("wood")
    model = MMRegressor(random_state=0).fit(rows, y)
    assert R["wood"]["Deviance"] < 0.0
    test = infer(model, rows, y, covariance="HC0").wald_test("x4")
    assert_allclose(test.statistic, R["wood"]["Wald"], rtol=1e-3)
    assert deviance_test(model, rows, y, "x4").p_value < 1e-4


def test_lts_reg():
    r, model = R["ltsReg"], LTSRegressor(random_state=0).fit(X, Y)
    result = infer(model, X, Y)
    assert_allclose(result.coef, r["coef"], rtol=ALL_DIGITS)
    assert_allclose(result.standard_errors / r["se"], 1.41, atol=0.005)


# ------------------------------------------------------------------ R: quantreg


def test_rq():
    r, model = R["rq"], QuantileRegressor(0.5).fit(INCOME, FOOD)
    for covariance, name, rtol in (
        ("iid", "iid_bofinger", ALL_DIGITS),
        ("nid", "nid_bofinger", 1e-8),
        ("kernel", "ker_bofinger", ALL_DIGITS),
    ):
        result = infer(model, INCOME, FOOD, covariance=covariance)
        assert_allclose(result.coef, r["coef"], rtol=ALL_DIGITS)
        assert_allclose(result.standard_errors, r[name], rtol=rtol)
        hall_sheather = r[name.removesuffix("_bofinger")] if covariance != "iid" else None
        assert hall_sheather is None or off_by(result.standard_errors, hall_sheather) > 0.01
    widths = np.diff(infer(model, INCOME, FOOD).conf_int())
    assert 0.04 < off_by(widths, np.diff(r["rank_95_nid"])) < 0.07
    assert (np.diff(r["default"]) < 0.8 * np.diff(r["rank_95"])).any()


def test_tests_of_rq():
    r, model = R["rq"], QuantileRegressor(0.5).fit(INCOME, FOOD)
    test = rank_test(model, INCOME, FOOD, "x0")
    found = [test.df, test.df_denominator, test.statistic]
    assert_allclose(found, r["rank_test"][:3], rtol=ALL_DIGITS)
    three = QuantileRegressor([0.25, 0.5, 0.75]).fit(INCOME, FOOD)
    test = infer(three, INCOME, FOOD).equal_slopes_test()
    assert (test.df, test.df_denominator) == (2, 233)
    assert r["equal_slopes"][:2] == [2, 703]
    assert 0.9 < test.statistic / r["equal_slopes"][2] < 0.95


# ------------------------------------------------------------------ statsmodels


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {"covariance": "classical"}),
        ({"cov_type": "HC2", "use_t": True}, {"covariance": "HC2"}),
        ({"cov_type": "HC3", "use_t": True}, {}),
        (
            {"cov_type": "cluster", "cov_kwds": {"groups": GROUPS}, "use_t": True},
            {"covariance": "CR1", "groups": GROUPS},
        ),
    ],
)
def test_ols(theirs, ours):
    extended = sm.add_constant(X)
    peer, result = sm.OLS(Y, extended).fit(**theirs), infer(L2Regressor().fit(X, Y), X, Y, **ours)
    assert_allclose(result.standard_errors, peer.bse, rtol=ALL_DIGITS)
    assert_allclose(result.p_values, peer.pvalues, rtol=ALL_DIGITS)
    assert_allclose(result.conf_int(0.9), peer.conf_int(0.1), rtol=ALL_DIGITS)
    both = np.eye(4)[2:]
    test, other = result.wald_test(both), peer.wald_test(both, scalar=True)
    assert_allclose(test.statistic, other.statistic, rtol=ALL_DIGITS)
    assert_allclose(test.p_value, other.pvalue, rtol=ALL_DIGITS)
    predicted = peer.get_prediction(extended)
    # of clusters, its predictions have the degrees of freedom of rows, unlike its coefficients
    wider = stats.t.ppf(0.975, result.df) / stats.t.ppf(0.975, 17)
    for kind, obs in (("mean", False), ("new", True)):
        expected = wider * np.diff(predicted.conf_int(obs=obs))
        assert_allclose(np.diff(result.predict_interval(X, kind=kind)), expected, rtol=ALL_DIGITS)


def test_rlm_of_statsmodels():
    model = sm.RLM(Y, sm.add_constant(X))
    fits = [model.fit(cov=kind, maxiter=500, tol=1e-12, conv="coefs") for kind in ("H1", "H2")]
    ours = HuberRegressor(1.345, scale=fits[0].scale).fit(X, Y)
    errors = infer(ours, X, Y, covariance="classical").standard_errors
    assert_allclose(errors, fits[0].bse, rtol=ALL_DIGITS)
    assert off_by(errors, fits[1].bse) > 0.05
    assert not hasattr(fits[0], "get_prediction")


def test_bofinger_of_statsmodels_is_right_at_the_median_only():
    density = stats.norm.pdf(0.0)
    right = (4.5 * density**4) ** 0.2
    assert_allclose(bofinger(1.0, 0.5), right, rtol=ALL_DIGITS)
    q = stats.norm.ppf(0.9)
    right = (4.5 * stats.norm.pdf(q) ** 4 / (2.0 * q**2 + 1.0) ** 2) ** 0.2
    assert bofinger(1.0, 0.9) < 0.5 * right

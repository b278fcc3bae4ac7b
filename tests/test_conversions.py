"""Every formula of docs/coming-from.md, against the other package or its stated objective."""

import csv
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import brentq, least_squares, minimize
from scipy.special import huber, pseudo_huber
from scipy.stats import median_abs_deviation, norm
from sklearn import linear_model
from sklearn.metrics import mean_pinball_loss

from robustreg import HuberRegressor, L1Regressor, L2Regressor, MRegressor, QuantileRegressor
from robustreg.losses import (
    Andrews,
    Bisquare,
    Cauchy,
    HalfSquared,
    Hampel,
    Huber,
    LogCosh,
    PseudoHuber,
    Quantile,
    SmoothL1,
    Welsch,
    gaussian_efficiency,
)
from robustreg.scale import mad

GOLDEN = Path(__file__).parent / "golden"
REFERENCE = json.loads((GOLDEN / "reference.json").read_text(encoding="utf-8"))
TABLES = sorted(REFERENCE)


@pytest.fixture(scope="module")
def data():
    """A linear model with heavy tails, a fifth of it gross errors, weights, and y far from 0."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(300, 4)) * [1.0, 2.0, 0.5, 3.0] + [0.0, 5.0, -1.0, 2.0]
    y = 40.0 + X @ [3.0, -1.0, 0.0, 2.0] + 2.0 * rng.standard_t(3, size=300)
    y[:60] += 25.0 * rng.exponential(size=60)
    weight = rng.integers(0, 4, size=300) * 0.7
    return X, y, weight


def read_table(name):
    with (GOLDEN / "data" / f"{name}.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    table = np.array(rows, dtype=float)
    return table[:, :-1], table[:, -1]


def assert_same_fit(model, coef, intercept, rtol):
    """Equal to `rtol` of the coefficients' size."""
    ours, theirs = np.append(model.coef_, model.intercept_), np.append(coef, intercept)
    assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


# ---- scikit-learn


@pytest.mark.parametrize("weighted", [False, True])
def test_linear_regression(data, weighted):
    X, y, weight = data
    weight = weight if weighted else None
    peer = linear_model.LinearRegression().fit(X, y, weight)
    assert_same_fit(L2Regressor().fit(X, y, weight), peer.coef_, peer.intercept_, 1e-10)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge(data, weighted, fit_intercept):
    X, y, weight = data
    weight = weight if weighted else np.ones(len(y))
    alpha = 0.3
    ours = L2Regressor(alpha=alpha, fit_intercept=fit_intercept).fit(X, y, weight)
    peer = linear_model.Ridge(alpha=weight.sum() * alpha, fit_intercept=fit_intercept)
    peer.fit(X, y, weight)
    assert_same_fit(ours, peer.coef_, peer.intercept_, 1e-9)


def test_elastic_net_at_l1_ratio_zero(data):
    X, y, _ = data
    alpha = 0.3
    model = L2Regressor(alpha=alpha).fit(X, y)
    stated = np.mean((y - model.predict(X)) ** 2) / 2 + alpha / 2 * model.coef_ @ model.coef_
    assert_allclose(model.objective_, stated, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn advises against l1_ratio=0
        peer = linear_model.ElasticNet(alpha=alpha, l1_ratio=0.0, tol=1e-12, max_iter=100_000)
        peer.fit(X, y)
    assert_same_fit(model, peer.coef_, peer.intercept_, 1e-6)


def epsilon_of(delta):
    """scikit-learn's epsilon for a delta."""
    return delta / np.sqrt(2 * Huber(delta).kappa)


def delta_of(epsilon):
    """The delta for scikit-learn's epsilon > 1."""
    return brentq(lambda delta: epsilon_of(delta) - epsilon, 1e-3, 50.0, xtol=1e-14)


@pytest.mark.parametrize(
    ("delta", "epsilon"),
    [(0.5, 1.1621), (0.9197, 1.35), (1.345, 1.596), (1.8973, 2.0), (2.5, 2.5285)],
)
def test_epsilon_of_the_table(delta, epsilon):
    assert epsilon_of(delta) == pytest.approx(epsilon, abs=1e-4)
    assert delta_of(epsilon_of(delta)) == pytest.approx(delta)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha_sk", [0.0, 0.01, 30.0])
@pytest.mark.parametrize("delta", [0.8, 1.345, 2.5])
def test_sklearn_huber(data, delta, alpha_sk, weighted, fit_intercept):
    X, y, weight = data
    weight = weight if weighted else np.ones(len(y))
    epsilon, total = epsilon_of(delta), weight.sum()
    unit = mad(y, weight, center=None if fit_intercept else 0.0)
    alpha = alpha_sk * unit * delta / (epsilon * total)
    ours = HuberRegressor(delta, alpha=alpha, fit_intercept=fit_intercept).fit(X, y, weight)
    scale = ours.scale_ * np.sqrt(2 * Huber(delta).kappa)

    def stated(coef, intercept, sigma):
        """scikit-learn's documented objective."""
        r = np.abs(y - X @ coef - intercept) / sigma
        loss = np.where(r <= epsilon, r**2, 2 * epsilon * r - epsilon**2)
        return weight @ (sigma + loss * sigma) + alpha_sk * coef @ coef

    best = stated(ours.coef_, ours.intercept_, scale)
    peer = linear_model.HuberRegressor(
        epsilon=epsilon, alpha=alpha_sk, max_iter=10_000, tol=1e-9, fit_intercept=fit_intercept
    ).fit(X, y, weight)
    theirs = stated(peer.coef_, peer.intercept_, peer.scale_)
    assert best <= theirs * (1 + 1e-12)
    assert_allclose(best, theirs, rtol=1e-6)
    assert_allclose(scale, peer.scale_, rtol=1e-2)
    assert_same_fit(ours, peer.coef_, peer.intercept_, 1e-2)
    # the two objectives differ by a factor only, at any point
    factor = 2 * epsilon / delta * total
    assert_allclose(factor * ours.objective_, best, rtol=1e-9)
    shifted = stated(ours.coef_ + 0.1, ours.intercept_, 1.1 * scale)
    z = (y - X @ (ours.coef_ + 0.1) - ours.intercept_) / (1.1 * ours.scale_)
    value = 1.1 * ours.scale_ * (np.average(Huber(delta).rho(z), weights=weight))
    value += 1.1 * ours.scale_ * Huber(delta).kappa
    value += alpha / (2 * unit) * np.sum((ours.coef_ + 0.1) ** 2)
    assert_allclose(factor * value, shifted, rtol=1e-9)


def pinball(q, y, X, theta, weight=None):
    """Mean check loss of an intercept and coefficients."""
    return Quantile(q)(y, X @ theta[1:] + theta[0], sample_weight=weight)


def theta_of(model):
    return np.append(model.intercept_, model.coef_)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.75])
def test_sklearn_quantile_regressor(data, q, alpha, weighted, fit_intercept):
    """The same alpha and the same objective for l1_ratio=1."""
    X, y, weight = data
    weight = weight if weighted else np.ones(len(y))
    ours = QuantileRegressor(q, alpha=alpha, l1_ratio=1.0, fit_intercept=fit_intercept)
    ours.fit(X, y, weight)
    peer = linear_model.QuantileRegressor(quantile=q, alpha=alpha, fit_intercept=fit_intercept)
    peer.fit(X, y, weight)

    def stated(model):
        theta = theta_of(model)
        return pinball(q, y, X, theta, weight) + alpha * np.abs(theta[1:]).sum()

    assert_allclose(ours.objective_, stated(ours), rtol=1e-12)
    assert_allclose(ours.objective_, stated(peer), rtol=1e-9)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_l1_is_twice_the_median(data, alpha, l1_ratio):
    """L1Regressor(alpha=2 a) minimises twice the objective of QuantileRegressor(0.5, alpha=a)."""
    X, y, weight = data
    median = QuantileRegressor(0.5, alpha=alpha, l1_ratio=l1_ratio).fit(X, y, weight)
    absolute = L1Regressor(alpha=2 * alpha, l1_ratio=l1_ratio).fit(X, y, weight)
    assert_allclose(absolute.objective_, 2 * median.objective_, rtol=1e-9)


def test_sklearn_sgd_huber(data):
    X, y, _ = data
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), y - np.median(y)
    delta, alpha = 2.0, 0.05
    ours = HuberRegressor(delta, scale=1.0, alpha=alpha).fit(X, y)
    peer = linear_model.SGDRegressor(
        "huber", epsilon=delta, alpha=alpha, tol=None, max_iter=500, average=True, random_state=0
    ).fit(X, y)
    loss = Huber(delta)(y, peer.predict(X)) + alpha / 2 * peer.coef_ @ peer.coef_
    assert ours.objective_ <= loss + 1e-12
    assert_allclose(ours.objective_, loss, rtol=1e-3)


# ---- statsmodels


@pytest.mark.parametrize("scale_rule", ["mad", "HuberScale"])
@pytest.mark.parametrize("delta", [1.0, 1.345, 2.0])
def test_statsmodels_rlm(data, delta, scale_rule):
    sm = pytest.importorskip("statsmodels.api")
    X, y, _ = data
    rule = "mad" if scale_rule == "mad" else sm.robust.scale.HuberScale()
    peer = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(t=delta)).fit(
        scale_est=rule, maxiter=1000, tol=1e-12, conv="coefs"
    )
    ours = HuberRegressor(delta, scale=peer.scale).fit(X, y)
    assert_same_fit(ours, peer.params[1:], peer.params[0], 1e-8)
    assert_allclose(ours.weights_, peer.weights, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "loss"),
    [
        ("LeastSquares", (), HalfSquared()),
        ("HuberT", (1.345,), Huber(1.345)),
        ("TukeyBiweight", (4.685,), Bisquare(4.685)),
        ("AndrewWave", (1.339,), Andrews(1.339)),
        ("Hampel", (2.0, 4.0, 8.0), Hampel(2.0, 4.0, 8.0)),
    ],
)
def test_statsmodels_norms(name, arguments, loss):
    norms = pytest.importorskip("statsmodels.robust.norms")
    norm = getattr(norms, name)(*arguments)
    z = np.array([-9.0, -5.0, -3.1, -1.2, -0.3, 0.2, 1.0, 1.7, 4.1, 4.5, 7.0])
    shift = norm.rho(np.zeros(1)) - loss.rho(0.0)  # statsmodels' bisquare is -c^2/6 at 0
    assert_allclose(norm.rho(z) - shift, loss.rho(z), rtol=1e-12, atol=1e-14)
    assert_allclose(norm.psi(z), loss.psi(z), rtol=1e-12, atol=1e-14)
    assert_allclose(norm.weights(z), loss.weights(z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.75])
def test_statsmodels_quantreg(data, q):
    sm = pytest.importorskip("statsmodels.api")
    X, y, _ = data
    ours = QuantileRegressor(q).fit(X, y)
    peer = sm.QuantReg(y, sm.add_constant(X)).fit(q=q)
    loss = pinball(q, y, X, peer.params)
    assert ours.objective_ <= loss * (1 + 1e-12)
    assert_allclose(ours.objective_, loss, rtol=1e-4)


# ---- R


@pytest.mark.parametrize("name", TABLES)
def test_r_lm(name):
    X, y = read_table(name)
    expected = np.array(REFERENCE[name]["ols"]["coef"])
    assert_same_fit(L2Regressor().fit(X, y), expected[1:], expected[0], 1e-8)


@pytest.mark.parametrize("scale_rule", ["MAD", "proposal2"])
@pytest.mark.parametrize("name", TABLES)
def test_r_rlm_at_its_own_scale(name, scale_rule):
    """rlm(psi = psi.huber, k = 1.345): the same coefficients at rlm's final scale."""
    X, y = read_table(name)
    rlm = REFERENCE[name][f"rlm.psi.huber.{scale_rule}"]
    model = HuberRegressor(1.345, scale=rlm["scale"]).fit(X, y)
    assert_same_fit(model, rlm["coef"][1:], rlm["coef"][0], 1e-7)
    if "weights" in rlm:  # not stored for the longest table
        assert_allclose(model.weights_, rlm["weights"], rtol=1e-5)


def delta_of_proposal2(k, n, p):
    """The delta and the factor c of the scale with which joint Huber is rlm's proposal 2."""
    share = (n - p - 1) / n

    def excess(c):
        return c**2 * Huber(k / c).kappa - share * Huber(k).kappa

    c = brentq(excess, 0.01, 1.0, xtol=1e-15)
    return k / c, c


@pytest.mark.parametrize("name", TABLES)
def test_r_rlm_proposal2(name):
    """The same fit without rlm's help: n - p - 1 in place of n is another delta."""
    X, y = read_table(name)
    rlm = REFERENCE[name]["rlm.psi.huber.proposal2"]
    delta, c = delta_of_proposal2(1.345, *X.shape)
    model = HuberRegressor(delta).fit(X, y)
    assert_allclose(model.scale_, c * rlm["scale"], rtol=1e-6)
    assert_same_fit(model, rlm["coef"][1:], rlm["coef"][0], 1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("name", TABLES)
def test_r_rq(name, tau):
    X, y = read_table(name)
    model = QuantileRegressor(tau).fit(X, y)
    assert_allclose(len(y) * model.objective_, REFERENCE[name][f"rq{tau:g}"]["obj"], rtol=1e-9)


def test_r_rq_weights():
    """rq(stack.loss ~ ., 0.3, stackloss, weights = rep(1:7, 3)), quantreg 5.94."""
    X, y = read_table("stackloss")
    weight = np.tile(np.arange(1.0, 8.0), 3)
    theirs = np.array([-36.0, 0.5, 1.0, 0.0])
    assert_allclose(weight.sum() * pinball(0.3, y, X, theirs, weight), 66.45, rtol=1e-12)
    ours = QuantileRegressor(0.3).fit(X, y, weight)
    assert_allclose(weight.sum() * ours.objective_, 66.45, rtol=1e-9)


# coef(rq(stack.loss ~ ., tau, stackloss, method = "lasso", lambda = lambda)), quantreg 5.94
LASSO = {
    (0.25, 5.0): [-36.0, 0.5, 1.0, 0.0],
    (0.25, 20.0): [-33.75, 17 / 24, 1 / 3, 0.0],
    (0.5, 5.0): [-40.1917807704, 0.835616438124, 0.561643836127, -0.0547945210788],
    (0.5, 20.0): [-41.609708738, 0.863106796075, 0.442718446561, -0.0271844659804],
}


@pytest.mark.parametrize(("tau", "penalty"), LASSO)
def test_r_rq_lasso(tau, penalty):
    """Its penalty rows enter with the check loss of 1/2: alpha = lambda / (2 W)."""
    X, y = read_table("stackloss")
    alpha, theirs = penalty / (2 * len(y)), np.array(LASSO[tau, penalty])
    ours = QuantileRegressor(tau, alpha=alpha, l1_ratio=1.0).fit(X, y)
    stated = pinball(tau, y, X, theirs) + alpha * np.abs(theirs[1:]).sum()
    assert_allclose(ours.objective_, stated, rtol=1e-9)
    assert_same_fit(ours, theirs[1:], theirs[0], 1e-7)


# ---- packages that are not installed here: their stated objective is written out


def minimum_of(objective, start):
    return minimize(objective, start, method="BFGS", options={"gtol": 1e-10}).fun


def test_hqreg(data):
    """(1/n) sum SmoothL1 + lambda/2 |beta|^2, delta in y's units; and SmoothL1 against Huber."""
    X, y, _ = data
    gamma, penalty = 1.5, 0.2

    def stated(theta):
        r = np.abs(y - X @ theta[1:] - theta[0])
        loss = np.where(r <= gamma, r**2 / (2 * gamma), r - gamma / 2)
        return loss.mean() + penalty / 2 * theta[1:] @ theta[1:]

    ours = MRegressor(SmoothL1(gamma), scale=1.0, alpha=penalty).fit(X, y)
    theta = np.append(ours.intercept_, ours.coef_)
    assert_allclose(ours.objective_, stated(theta), rtol=1e-12)
    assert stated(theta) <= minimum_of(stated, theta + 0.1) + 1e-9
    same = HuberRegressor(gamma, scale=1.0, alpha=gamma * penalty).fit(X, y)
    assert_same_fit(same, ours.coef_, ours.intercept_, 1e-8)


def test_skglm(data):
    """(1/n) sum Huber + alpha/2 |beta|^2, delta in y's units."""
    X, y, _ = data
    delta, penalty = 1.5, 0.2

    def stated(theta):
        r = y - X @ theta[1:] - theta[0]
        return huber(delta, r).mean() + penalty / 2 * theta[1:] @ theta[1:]

    ours = HuberRegressor(delta, scale=1.0, alpha=penalty).fit(X, y)
    theta = np.append(ours.intercept_, ours.coef_)
    assert_allclose(ours.objective_, stated(theta), rtol=1e-12)
    assert stated(theta) <= minimum_of(stated, theta + 0.1) + 1e-9


def test_spark(data):
    """(1/2n) sum [sigma + H(r/sigma) sigma] + regParam/2 |w|^2, H as in scikit-learn."""
    X, y, _ = data
    delta, reg_param = 1.345, 0.05
    epsilon, unit = epsilon_of(delta), mad(y)

    def stated(theta):
        intercept, coef, sigma = theta[0], theta[1:-1], theta[-1]
        r = np.abs(y - X @ coef - intercept) / sigma
        loss = np.where(r <= epsilon, r**2, 2 * epsilon * r - epsilon**2)
        return np.mean(sigma + loss * sigma) / 2 + reg_param / 2 * coef @ coef

    ours = HuberRegressor(delta, alpha=reg_param * unit * delta / epsilon).fit(X, y)
    scale = ours.scale_ * np.sqrt(2 * Huber(delta).kappa)
    theta = np.concatenate([[ours.intercept_], ours.coef_, [scale]])
    assert stated(theta) <= minimum_of(stated, theta * 1.05) + 1e-9


R = np.array([-30.0, -2.0, -1.0, -0.4, 0.0, 0.3, 1.5, 4.0])


def test_loss_functions_elsewhere():
    """XGBoost, LightGBM, CatBoost, PyTorch and Keras state these formulas for one residual."""
    delta = 1.2
    assert_allclose(PseudoHuber(delta).rho(R), delta**2 * (np.sqrt(1 + (R / delta) ** 2) - 1))
    assert_allclose(PseudoHuber(delta).rho(R), pseudo_huber(delta, R))
    assert_allclose(Huber(delta).rho(R), huber(delta, R))
    assert_allclose(Huber(delta).psi(R), np.where(np.abs(R) <= delta, R, delta * np.sign(R)))
    assert_allclose(LogCosh().rho(R), np.log(np.cosh(R)), atol=1e-15)
    assert_allclose(Huber(delta).rho(R), delta * SmoothL1(delta).rho(R))
    assert_allclose(Quantile(0.3).rho(R), np.maximum(0.3 * R, -0.7 * R))


@pytest.mark.parametrize(
    ("name", "loss"), [("huber", Huber), ("soft_l1", PseudoHuber), ("cauchy", Cauchy)]
)
def test_scipy_least_squares(data, name, loss):
    """cost is the sum of the loss with f_scale as its constant, in y's units."""
    X, y, _ = data
    f_scale = 2.5

    def residual(theta):
        return y - X @ theta[1:] - theta[0]

    start = np.append(np.median(y), np.zeros(4))
    peer = least_squares(residual, start, loss=name, f_scale=f_scale, gtol=1e-12, xtol=1e-12)
    assert_allclose(peer.cost, loss(f_scale)(residual(peer.x), np.zeros(300), reduction="sum"))
    if loss(f_scale).convex:
        ours = MRegressor(loss(f_scale), scale=1.0).fit(X, y)
        assert_allclose(300 * ours.objective_, peer.cost, rtol=1e-8)


def test_what_sklearn_calls_scale_and_outliers():
    """The figures that the page states for scikit-learn's default epsilon."""
    delta = delta_of(1.35)
    assert gaussian_efficiency(Huber(delta)) == pytest.approx(0.889, abs=5e-4)
    assert np.sqrt(2 * Huber(delta).kappa) == pytest.approx(0.68, abs=5e-3)
    assert 2 * norm.sf(delta) == pytest.approx(0.36, abs=5e-3)
    clean = np.random.default_rng(0).normal(size=(20_000, 2))
    peer = linear_model.HuberRegressor(alpha=0.0, max_iter=1000).fit(clean[:, :1], clean[:, 1])
    assert peer.scale_ == pytest.approx(0.68, abs=0.02)
    assert peer.outliers_.mean() == pytest.approx(0.36, abs=0.01)


def test_welsch_and_logistic_elsewhere():
    z = np.linspace(-5.0, 5.0, 21)
    assert_allclose(Welsch(2.985).weights(z), np.exp(-((z / 2.985) ** 2)))
    assert_allclose(Welsch(2.11 * np.sqrt(2)).weights(z), np.exp(-((z / 2.11) ** 2) / 2))
    assert_allclose(LogCosh(1.205).weights(1.0), np.tanh(1 / 1.205) * 1.205)


def test_sklearn_pinball_loss():
    y, prediction = R, np.linspace(-3.0, 3.0, len(R))
    peer = mean_pinball_loss(y, prediction, alpha=0.3)
    assert_allclose(Quantile(0.3)(y, prediction), peer)


@pytest.mark.parametrize("q", [0.2, 0.5])
def test_pinball_loss_is_the_objective(data, q):
    X, y, weight = data
    model = QuantileRegressor(q).fit(X, y, weight)
    peer = mean_pinball_loss(y, model.predict(X), sample_weight=weight, alpha=q)
    assert_allclose(model.objective_, peer, rtol=1e-12)


def test_mad_elsewhere():
    assert_allclose(mad(R), median_abs_deviation(R, scale="normal"))

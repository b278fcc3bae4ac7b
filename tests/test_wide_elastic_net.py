"""Elastic nets on tables with more columns than rows: certified, whichever solver runs."""

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from robustreg import HuberRegressor, L1Regressor, MRegressor, QuantileRegressor


def table(seed):
    """A table and a penalty; the columns differ in size, and may be correlated."""
    g = np.random.default_rng(seed)
    n = int(g.integers(10, 61))
    p = int(g.integers(n + 1, 2 * n + 21))
    X = g.normal(size=(n, p)) * 10 ** g.uniform(-1, 1, size=p)
    if g.random() < 0.3:
        X = X @ g.normal(size=(p, p)) / np.sqrt(p)
    coef = np.where(g.random(p) < 0.2, g.normal(size=p), 0)
    y = X @ coef + g.normal(size=n) * 10 ** g.uniform(-2, 1)
    if g.random() < 0.3:
        y[: n // 10] += 100
    alpha = 10 ** g.uniform(-6, 1)
    l1_ratio = 1.0 if g.random() < 0.25 else 10 ** g.uniform(-2, 0)
    return X, y, {"alpha": alpha, "l1_ratio": l1_ratio, "positive": bool(g.random() < 0.2)}


@pytest.mark.parametrize(("seed", "loss"), [(3, "huber"), (36, "smooth_l1"), (20, "half_squared")])
def test_both_solvers_find_the_same_fit(seed, loss):
    X, y, penalty = table(seed)
    fits = [
        MRegressor(loss, solver=solver, **penalty).fit(X, y) for solver in ("newton", "working_set")
    ]
    assert fits[0].objective_ == pytest.approx(fits[1].objective_, rel=1e-8)


@pytest.mark.parametrize("seed", [129, 136, 232, 246])
@pytest.mark.parametrize("model", [L1Regressor(), QuantileRegressor(0.3)], ids=["l1", "quantile"])
def test_deviations_with_coefficients_that_must_not_be_negative(seed, model):
    """Least squares, with coefficients of either sign, are a start from which steps jam."""
    X, y, penalty = table(seed)
    model.set_params(**penalty).fit(X, y)
    assert model.dual_gap_ <= 1e-10 * model.objective_
    assert model.coef_.min() >= 0.0


@pytest.mark.parametrize("loss", ["squared", "half_squared", "pseudo_huber"])
def test_an_exact_fit_under_a_weak_penalty(loss):
    """Multipliers are a ten thousandth of what the scale's constraint allows."""
    X, y, penalty = table(100)
    model = MRegressor(loss, **penalty).fit(X, y)
    assert model.scale_ == 0.0
    # coefficients alone cost anything: those of the least norm under the same constraints
    assert model.objective_ == pytest.approx(8.3142067192e-4, rel=1e-9)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-8 * np.ptp(y))


@pytest.mark.parametrize("seed", [12, 31, 38, 52])
def test_squares_that_are_next_to_nothing_beside_a_weak_penalty(seed):
    """All but exact fits, which a singular matrix of products does not tell from each other."""
    X, y, penalty = table(seed)
    model = MRegressor("half_squared", scale="mad", **penalty).fit(X, y)
    assert model.dual_gap_ <= 1e-7 * model.objective_


@pytest.mark.parametrize("seed", range(40, 46))
def test_squares_agree_with_scikit_learn(seed):
    X, y, penalty = table(seed)
    penalty["alpha"] = max(penalty["alpha"], 1e-2)
    ours = MRegressor("half_squared", scale=1.0, **penalty).fit(X, y)
    theirs = ElasticNet(**penalty, tol=1e-8, max_iter=100_000).fit(X, y)
    r = y - theirs.predict(X)
    norms = penalty["l1_ratio"] * np.abs(theirs.coef_).sum()
    norms += (1 - penalty["l1_ratio"]) / 2 * theirs.coef_ @ theirs.coef_
    value = r @ r / (2 * len(y)) + penalty["alpha"] * norms
    assert ours.objective_ <= value * (1 + 1e-9)
    assert ours.objective_ == pytest.approx(value, rel=1e-5)


def test_given_scales():
    X, y, penalty = table(3)
    for scale in ("mad", 0.5):
        model = HuberRegressor(scale=scale, **penalty).fit(X, y)
        assert model.dual_gap_ <= 1e-7 * model.objective_

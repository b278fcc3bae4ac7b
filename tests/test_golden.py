"""Fits against R's on real tables; tests/golden/README.md says where these come from."""

import json
from pathlib import Path

import numpy as np
import pytest

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    SRegressor,
)
from robustreg.losses import Huber

FOLDER = Path(__file__).parent / "golden"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())

DELTA = 1.345  # MASS::rlm's default k, and k2 of its "proposal 2"
BISQUARE = 4.685061  # tuning.psi of robustbase::lmrob
R_MAD = 0.6745  # by which MASS::rlm divides the median of |r|


@pytest.fixture(scope="module", params=REFERENCE)
def table(request):
    """X, y and R's results on them."""
    columns = np.loadtxt(FOLDER / "data" / f"{request.param}.csv", delimiter=",", skiprows=1)
    reference = REFERENCE[request.param]
    assert columns.shape == (reference["n"], reference["p"] + 1)
    return columns[:, :-1], columns[:, -1], reference


def coefficients(model):
    return np.append(model.intercept_, model.coef_)


def residuals_in_scales(X, y, fit, scale):
    """Those of R's fit."""
    return (y - fit["coef"][0] - X @ fit["coef"][1:]) / scale


def huber_weights(X, y, fit):
    """R's: as reported, or, for the long table whose are not kept, those of its coefficients."""
    z = np.abs(residuals_in_scales(X, y, fit, fit["scale"]))
    weights = np.minimum(1.0, DELTA / np.maximum(z, DELTA))
    return fit.get("weights", weights)


def bisquare_weights(X, y, fit):
    z = residuals_in_scales(X, y, fit, fit["S_scale"])
    weights = np.maximum(1.0 - (z / BISQUARE) ** 2, 0.0) ** 2
    return fit.get("rweights", weights)


def stationarity(X, psi, sample_weight):
    """The equations ``sum w psi (x_j - mean_j) = 0`` of the slopes and ``sum w psi = 0``.

    Each over W sd_j mean |psi|: the share of the rows' pull that is not balanced.
    """
    average = np.average(psi, weights=sample_weight)
    centre = np.average(X, axis=0, weights=sample_weight)
    spread = np.sqrt(np.average((X - centre) ** 2, axis=0, weights=sample_weight))
    slopes = np.average(psi[:, None] * (X - centre), axis=0, weights=sample_weight) / spread
    return np.append(slopes, average) / np.average(np.abs(psi), weights=sample_weight)


def test_least_squares(table):
    X, y, reference = table
    model = L2Regressor().fit(X, y)
    np.testing.assert_allclose(coefficients(model), reference["ols"]["coef"], rtol=1e-8)


def test_least_absolute_deviations(table):
    # quantreg::rq with tau = 0.5; its objective is half of the sum of |r|
    X, y, reference = table
    model = L1Regressor().fit(X, y)
    pinball = 0.5 * np.abs(y - model.predict(X)).sum()
    np.testing.assert_allclose(pinball, reference["rq0.5"]["obj"], rtol=1e-9)
    np.testing.assert_allclose(0.5 * len(y) * model.objective_, pinball, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_huber_joint_scale_satisfies_its_equations(table, weighted):
    X, y, _ = table
    weight = 1.0 + np.arange(len(y)) % 3 if weighted else np.ones(len(y))
    model = HuberRegressor(delta=DELTA).fit(X, y, sample_weight=weight)
    z = (y - X @ model.coef_ - model.intercept_) / model.scale_
    rho = np.where(np.abs(z) <= DELTA, 0.5 * z**2, DELTA * np.abs(z) - 0.5 * DELTA**2)
    psi = np.clip(z, -DELTA, DELTA)
    assert np.abs(stationarity(X, psi, weight)).max() <= 1e-8
    excess = np.average(z * psi - rho, weights=weight)
    np.testing.assert_allclose(excess, Huber(DELTA).kappa, rtol=1e-8)
    assert model.converged_


def test_huber_at_the_scale_of_rlm(table):
    # rlm's fixed point: Huber's coefficients at s, and s = median |r| / 0.6745 of their residuals
    X, y, reference = table
    expected = reference["rlm.psi.huber.MAD"]
    model = HuberRegressor(delta=DELTA, scale=expected["scale"]).fit(X, y)
    np.testing.assert_allclose(coefficients(model), expected["coef"], rtol=1e-6)
    np.testing.assert_allclose(model.weights_, huber_weights(X, y, expected), rtol=1e-6)
    residual = y - model.predict(X)
    np.testing.assert_allclose(np.median(np.abs(residual)) / R_MAD, expected["scale"], rtol=1e-6)


def test_huber_at_the_scale_of_proposal_2(table):
    # rlm's proposal 2 is the joint scale's equation with n - p in the place of n
    X, y, reference = table
    expected = reference["rlm.psi.huber.proposal2"]
    model = HuberRegressor(delta=DELTA, scale=expected["scale"]).fit(X, y)
    np.testing.assert_allclose(coefficients(model), expected["coef"], rtol=1e-6)
    np.testing.assert_allclose(model.weights_, huber_weights(X, y, expected), rtol=1e-6)
    z = (y - model.predict(X)) / expected["scale"]
    freedom = len(y) - reference["p"] - 1
    total = np.minimum(z**2, DELTA**2).sum()
    np.testing.assert_allclose(total / freedom, 2.0 * Huber(DELTA).kappa, rtol=1e-6)


def test_huber_with_the_mad_of_an_l1_fit(table):
    X, y, _ = table
    scale = L1Regressor().fit(X, y).scale_
    model = HuberRegressor(delta=DELTA, scale="mad").fit(X, y)
    z = (y - X @ model.coef_ - model.intercept_) / scale
    psi = np.clip(z, -DELTA, DELTA)
    assert np.abs(stationarity(X, psi, np.ones(len(y)))).max() <= 1e-8
    given = HuberRegressor(delta=DELTA, scale=scale).fit(X, y)
    np.testing.assert_allclose(coefficients(model), coefficients(given), rtol=1e-9)


@pytest.mark.parametrize("random_state", range(3))
def test_mm_against_lmrob(table, random_state):
    # Both search at random: a smaller scale of ours is as good, other coefficients come with it.
    X, y, reference = table
    expected = reference["lmrob"]
    assert expected["converged"]
    start = SRegressor(random_state=random_state).fit(X, y)
    assert start.scale_ <= expected["S_scale"] * (1 + 1e-4)
    model = MMRegressor(random_state=random_state).fit(X, y)
    np.testing.assert_array_equal(model.initial_coef_, start.coef_)
    assert model.scale_ == start.scale_
    if start.scale_ >= expected["S_scale"] * (1 - 1e-4):
        close = np.maximum(1e-4 * np.abs(expected["coef"]), 1e-3 * np.array(expected["se"]))
        np.testing.assert_array_less(np.abs(coefficients(model) - expected["coef"]), close)
        np.testing.assert_allclose(
            model.weights_, bisquare_weights(X, y, expected), rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("random_state", range(3))
def test_least_trimmed_squares_against_ltsreg(table, random_state):
    X, y, reference = table
    expected = reference["lts"]
    model = LTSRegressor(random_state=random_state).fit(X, y)
    assert model.n_support_ == expected["quan"] == model.support_.sum()
    residual = y - expected["raw_coef"][0] - X @ expected["raw_coef"][1:]
    theirs = np.sort(residual**2)[: expected["quan"]].sum()
    assert model.objective_ <= theirs * (1 + 1e-6)

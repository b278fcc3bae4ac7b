"""Least squares against the certified values of the NIST Statistical Reference Datasets."""

import json
from pathlib import Path

import numpy as np
import pytest

from robustreg import L2Regressor

FOLDER = Path(__file__).parent / "nist"
CERTIFIED = json.loads((FOLDER / "certified.json").read_text())

# Correct digits asked of every coefficient. With the powers of x rounded to float64, the exact
# least-squares solution of Filip agrees with the certified one to 7.6 digits, that of every other
# set to 13 or more.
DIGITS = dict.fromkeys(CERTIFIED, 8) | {"Filip": 6, "NoInt1": 13, "NoInt2": 13, "Norris": 11}


@pytest.fixture(params=CERTIFIED)
def name(request):
    return request.param


def load(name):
    table = np.loadtxt(FOLDER / f"{name}.csv", delimiter=",", skiprows=1)
    X, y = table[:, 1:], table[:, 0]
    degree = CERTIFIED[name]["degree"]
    if degree > 1:
        # by libm, one by one: the powers of some NumPy versions are off by some last places
        X = np.array([[float(x) ** k for k in range(1, degree + 1)] for x in X.ravel()])
    return X, y


def correct_digits(found, certified):
    """The log relative error -log10(|found - certified| / |certified|)."""
    with np.errstate(divide="ignore"):
        return -np.log10(np.abs(np.asarray(found) - certified) / np.abs(certified))


def fit(name, X, y, **fit_params):
    model = L2Regressor(fit_intercept=CERTIFIED[name]["intercept"]).fit(X, y, **fit_params)
    lead = [model.intercept_] if CERTIFIED[name]["intercept"] else []
    return model, np.append(lead, model.coef_)


def test_coefficients(name):
    X, y = load(name)
    model, coef = fit(name, X, y)
    certified = np.array(CERTIFIED[name]["coef"])
    assert correct_digits(coef, certified).min() >= DIGITS[name]
    assert model.converged_
    assert model.solver_ == "direct"


def test_residual_standard_deviation(name):
    X, y = load(name)
    model, coef = fit(name, X, y)
    found = model.scale_ * np.sqrt(len(y) / (len(y) - len(coef)))  # scale_ divides by n
    certified = CERTIFIED[name]["residual_sd"]
    if certified == 0.0:
        assert model.scale_ == 0.0
        assert model.objective_ <= (1e-14 * np.std(y)) ** 2
    else:
        assert correct_digits(found, certified) >= min(DIGITS[name], 10)


@pytest.mark.parametrize("name", ["Longley", "Wampler2", "Wampler5"])
def test_shuffled_rows_with_weights(name):
    # each row twice with half of the weight, in another order: the same problem
    X, y = load(name)
    order = np.random.default_rng(0).permutation(2 * len(y)) % len(y)
    _, coef = fit(name, X[order], y[order], sample_weight=np.full(len(order), 0.5))
    assert correct_digits(coef, np.array(CERTIFIED[name]["coef"])).min() >= DIGITS[name]

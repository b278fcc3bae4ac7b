"""Qn against all pairs written out, and against R."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from robustreg.scale import qn_scale
from robustreg.scale._qn import _between

FOLDER = Path(__file__).parent / "golden" / "data"
FACTOR = 1.0 / (np.sqrt(2.0) * norm.ppf(0.625))


def all_pairs(x):
    n = len(x)
    h = n // 2 + 1
    i, j = np.triu_indices(n, 1)
    return FACTOR * np.sort(np.abs(x[i] - x[j]))[h * (h - 1) // 2 - 1]


def test_the_constant():
    assert pytest.approx(2.21914, abs=5e-6) == FACTOR


DISTRIBUTIONS = {
    "gaussian": lambda rng, n: rng.normal(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "integers": lambda rng, n: np.round(rng.standard_cauchy(n)),
    "tenths": lambda rng, n: 0.1 * np.round(10.0 * rng.normal(size=n)),
    "wide": lambda rng, n: 10.0 ** rng.uniform(-200.0, 200.0, n),
    "far": lambda rng, n: 1e10 + rng.normal(size=n),
    "two clusters": lambda rng, n: rng.normal(size=n) + 1e10 * (rng.random(n) < 0.5),
    "skewed": lambda rng, n: rng.exponential(size=n),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 11, 40, 100, 301])
def test_against_all_pairs(name, n):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = DISTRIBUTIONS[name](rng, n)
        assert qn_scale(x) == pytest.approx(all_pairs(x), rel=1e-15)
        weight = rng.integers(0, 4, n)
        weight[:2] += 1
        expected = all_pairs(np.repeat(x, weight))
        assert qn_scale(x, weight.astype(float)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("table", "distance"),
    [("stackloss", 4.0), ("starsCYG", 0.28), ("phones", 8.8), ("coleman", 3.2)],
)
def test_against_robustbase(table, distance):
    """R: Qn(target, constant = 1, finite.corr = FALSE)."""
    x = np.loadtxt(FOLDER / f"{table}.csv", delimiter=",", skiprows=1)[:, -1]
    assert qn_scale(x) == pytest.approx(FACTOR * distance, rel=1e-12)


def test_values_that_are_no_usual_numbers():
    x = np.random.default_rng(0).normal(size=100)
    x[:20], x[20:40] = np.inf, -np.inf
    gross = np.clip(x, -1e300, 1e300)
    assert qn_scale(x) == qn_scale(gross)
    assert qn_scale(np.array([-1.7e308, 0.0, 1.7e308])) == np.inf
    x[40:60] = np.inf
    assert qn_scale(x) == np.inf
    x[50] = np.nan
    with pytest.raises(ValueError, match="x must not contain NaN"):
        qn_scale(x)


def test_weights_that_are_no_integers():
    x = np.random.default_rng(0).normal(size=50)
    weight = np.random.default_rng(1).uniform(0.2, 3.0, 50)
    found = qn_scale(x, weight)
    # near the sample in which each value is repeated as often as its weight is rounded to
    assert found == pytest.approx(qn_scale(x, np.round(weight)), rel=0.15)
    # equal values may be merged, and parted
    parts = np.repeat(x, 2), np.column_stack([0.3 * weight, 0.7 * weight]).ravel()
    assert qn_scale(*parts) == pytest.approx(found, rel=1e-12)
    # two values: all distances are one
    assert qn_scale(np.array([0.0, 3.0]), np.array([1.3, 1.1])) == pytest.approx(3.0 * FACTOR)


def test_weights_must_count():
    with pytest.raises(ValueError, match="counts observations"):
        qn_scale(np.arange(10.0), np.full(10, 0.1))
    assert qn_scale(np.full(10, 3.0), np.full(10, 0.1)) == 0.0


def test_halving_the_list_of_numbers():
    low, high, steps = 0.0, np.inf, 0
    while (middle := _between(low, high)) != low:
        low, high, steps = (middle, high, steps + 1) if middle < 1.1 else (low, middle, steps + 1)
    assert high == 1.1
    assert low == np.nextafter(1.1, 0.0)
    assert steps <= 64

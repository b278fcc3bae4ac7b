"""What the functions of robustreg.scale take for a sample, and what they refuse."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from robustreg.scale import m_scale, mad, qn_scale, residual_mad, tau_scale, weighted_median

FUNCTIONS = [mad, weighted_median, residual_mad, tau_scale, m_scale, qn_scale]
SCALES = [mad, residual_mad, tau_scale, m_scale, qn_scale]
X = [1.0, 2.0, 4.0, 8.0, 16.0, 3.0, 5.0, 9.0, 7.0, 11.0]
INF = np.inf

all_functions = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
all_scales = pytest.mark.parametrize("scale", SCALES, ids=lambda one: one.__name__)


@all_functions
@pytest.mark.parametrize(
    "convert",
    [
        tuple,
        pd.Series,
        lambda x: pd.array(x, dtype="Float64"),
        lambda x: np.array(x, dtype=np.int8),
        lambda x: np.array(x, dtype=np.float32),
        lambda x: np.array(x, dtype=object),
        lambda x: np.ma.masked_greater(x, 100.0),
    ],
)
def test_containers(function, convert):
    expected = function(np.array(X))
    assert function(convert(X)) == expected
    assert function(X, convert(np.ones(10))) == pytest.approx(expected, rel=1e-12)
    first = "residual" if function is residual_mad else "x"
    assert function(**{first: X}) == expected


@all_functions
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "hold at least one number"),
        (3.0, "one-dimensional"),
        (np.ones((3, 2)), "one-dimensional"),
        (None, "real numbers"),
        ([*X, np.nan], "must not contain NaN"),
        (pd.array([1.0, None], dtype="Float64"), "must not contain NaN"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "dates or durations"),
        (np.ma.masked_greater(X, 10.0), "masked"),
        ([1.0, 10**400], "too large"),
        ([1.0, 1j], "Complex"),
        ((x for x in X), "real number"),
        ({1.0: 2.0}, "real number"),
        (["a", "b"], "could not convert"),
    ],
)
def test_samples_that_are_none(function, x, message):
    first = "residual" if function is residual_mad else "x"
    with pytest.raises(ValueError, match=f"(^|: ){first} .*{message}"):
        function(x)


@all_functions
@pytest.mark.parametrize(
    "weight",
    [[1.0], np.ones((10, 1)), -np.ones(10), np.zeros(10), np.full(10, np.nan), np.full(10, INF)],
)
def test_weights_that_are_none(function, weight):
    with pytest.raises(ValueError, match="sample_weight must"):
        function(X, weight)


@all_functions
def test_what_has_no_weight_may_be_anything(function):
    weight = np.append(np.ones(10), np.zeros(2))
    assert function([*X, np.nan, INF], weight) == function(X, np.ones(10))


@pytest.mark.parametrize("center", [np.nan, INF, -INF])
@pytest.mark.parametrize("scale", [mad, residual_mad, tau_scale, m_scale])
def test_centers_that_are_none(scale, center):
    with pytest.raises(ValueError, match="center must be a finite number"):
        scale(X, center=center)


def test_a_loss_by_its_name():
    with pytest.raises(TypeError, match="loss must be a ResidualLoss, such as Bisquare"):
        m_scale(X, loss="bisquare")


@all_functions
@pytest.mark.parametrize("infinite", [[INF], [-INF], [INF, -INF], [INF] * 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_infinite_values_are_the_limit_of_huge_ones(function, infinite, weighted):
    x = np.append(X[len(infinite) :], infinite)
    weight = np.ones(10) if weighted else None
    found = function(x, weight)
    assert np.isfinite(found)
    assert found == pytest.approx(function(np.clip(x, -1e290, 1e290), weight), rel=1e-12)


@all_scales
@pytest.mark.parametrize("x", [[INF], [INF] * 3, X[:5] + [INF] * 5, X[:4] + [INF] * 6, [-INF, INF]])
def test_half_of_the_values_infinite(scale, x):
    assert scale(x) == INF


def test_medians_at_infinity():
    assert_array_equal([weighted_median([1.0, INF, INF]), weighted_median([1.0, INF])], INF)
    assert np.isnan(weighted_median([-INF, INF]))


@all_functions
def test_values_whose_differences_overflow(function):
    assert not np.isnan(function([1.7e308, -1.7e308, 0.0, 1.0, 1e308]))

"""Robust location and scale of a sample: medians, MAD, and the MAD of residuals."""

import numpy as np
import pytest
from _reference import mad as reference_mad
from _reference import median as reference_median
from scipy.stats import median_abs_deviation, norm

from robustreg.scale import MAD_FACTOR, mad, residual_mad, weighted_median


def sample(n, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_cauchy(n)
    return np.round(x) if ties else x


SIZES = [1, 2, 3, 4, 5, 10, 11, 100, 101]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ties", [False, True])
def test_without_weights_it_is_the_median(n, ties):
    x = sample(n, ties=ties)
    assert weighted_median(x) == np.median(x)
    assert weighted_median(x, np.ones(n)) == np.median(x)
    assert weighted_median(x, np.full(n, 0.1)) == np.median(x)  # sums of 0.1 round


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_integer_weights_are_repetitions(n, ties, seed):
    x = sample(n, seed, ties)
    weight = np.random.default_rng(seed).integers(0, 4, n)
    weight[0] += 1
    repeated = np.repeat(x, weight)
    assert weighted_median(x, weight.astype(float)) == np.median(repeated)
    assert mad(x, weight.astype(float)) == pytest.approx(mad(repeated), rel=1e-14)


@pytest.mark.parametrize("factor", [1e-300, 0.1, 1 / 3, 1e8, 1e300])
@pytest.mark.parametrize("n", SIZES)
def test_weights_times_a_constant(n, factor):
    """Also where half of the weight lies on either side, which rounding must not hide."""
    x, weight = sample(n), np.resize([1.0, 2.0, 3.0, 2.0], n)
    assert weighted_median(x, weight * factor) == weighted_median(x, weight)


@pytest.mark.parametrize("seed", range(10))
def test_against_the_definition_with_arbitrary_weights(seed):
    rng = np.random.default_rng(seed)
    x, weight = rng.normal(size=30), rng.exponential(size=30) * (rng.uniform(size=30) < 0.7)
    found = weighted_median(x, weight)
    assert found == reference_median(x, weight)
    assert weight[x < found].sum() <= weight.sum() / 2 * (1 + 1e-12)
    assert weight[x > found].sum() <= weight.sum() / 2 * (1 + 1e-12)
    assert mad(x, weight) == pytest.approx(reference_mad(x, weight), rel=1e-14)


def test_the_midpoint_lies_between_values_of_positive_weight():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    assert weighted_median(x, np.array([1.0, 0.0, 0.0, 1.0])) == 1.5
    assert weighted_median(x, np.array([1.0, 0.0, 0.0, 1.0 + 1e-9])) == 3.0
    assert weighted_median(x, np.array([0.0, 0.0, 0.0, 2.0])) == 3.0


def test_midpoints_do_not_overflow():
    assert weighted_median(np.array([1.5e308, 1.7e308]), np.ones(2)) == pytest.approx(1.6e308)


@pytest.mark.parametrize("n", [10, 11, 1000])
def test_order_does_not_matter(n):
    x, weight = sample(n, ties=True), np.resize([1.0, 0.3, 0.0, 2.0], n)
    order = np.random.default_rng(0).permutation(n)
    assert weighted_median(x[order], weight[order]) == weighted_median(x, weight)
    assert mad(x[order], weight[order]) == mad(x, weight)


def test_input_is_not_changed():
    x, weight = sample(50), np.resize([1.0, 0.0, 2.0], 50)
    copies = x.copy(), weight.copy()
    weighted_median(x, weight)
    mad(x, weight)
    residual_mad(x, weight, zero=0.5, left_out=0.5)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(weight, copies[1])


@pytest.mark.parametrize("n", SIZES)
def test_mad_is_scipys(n):
    x = sample(n)
    assert mad(x) == pytest.approx(median_abs_deviation(x, scale="normal"), rel=1e-14)
    assert mad(x, center=2.0) == pytest.approx(MAD_FACTOR * np.median(np.abs(x - 2)), rel=1e-14)


def test_mad_is_consistent_at_the_gaussian():
    np.testing.assert_allclose(MAD_FACTOR, 1 / norm.ppf(0.75), rtol=1e-15)
    x = np.random.default_rng(0).normal(5.0, 3.0, 200_000)
    assert mad(x) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize(("factor", "shift"), [(-2.0, 0.0), (1e-200, 0.0), (1e200, 0.0), (3, 1e3)])
def test_equivariance(factor, shift):
    x, weight = sample(41), np.resize([1.0, 2.0, 0.5], 41)
    assert weighted_median(factor * x + shift, weight) == pytest.approx(
        factor * weighted_median(x, weight) + shift, rel=1e-12
    )
    assert mad(factor * x + shift, weight) == pytest.approx(abs(factor) * mad(x, weight), rel=1e-10)


def test_mad_survives_half_of_the_sample():
    x = np.random.default_rng(0).normal(size=101)
    x[:49] = 1e100
    assert mad(x) < 20
    assert mad(np.zeros(5)) == 0


def test_residual_mad_leaves_out_a_share_of_the_zeros():
    r = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0])
    assert residual_mad(r) == 0  # most are zeros
    assert residual_mad(r, left_out=1.0) == pytest.approx(2 * MAD_FACTOR)
    assert residual_mad(r, left_out=0.5) == pytest.approx(1 * MAD_FACTOR)
    assert residual_mad(np.zeros(4), left_out=1.0) == 0
    # what counts as a zero
    assert residual_mad(r + 1e-12, left_out=1.0) == 1e-12 * MAD_FACTOR
    assert residual_mad(r + 1e-12, left_out=1.0, zero=1e-11) == pytest.approx(2 * MAD_FACTOR)


@pytest.mark.parametrize("left_out", [0.0, 0.25, 0.5, 1.0])
def test_residual_mad_and_weights(left_out):
    """Repetition and units of the weights change nothing."""
    r = np.array([0.0, -1.0, 0.0, 2.5, 0.0, 4.0, 0.0, -7.0])
    weight = np.array([1, 2, 3, 1, 0, 2, 1, 2])
    expected = residual_mad(np.repeat(r, weight), left_out=left_out)
    for factor in (1.0, 1e-8, 7.0):
        found = residual_mad(r, factor * weight, left_out=left_out)
        assert found == pytest.approx(expected, rel=1e-14)

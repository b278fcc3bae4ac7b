"""Robust location and scale of a sample: medians, MAD, and the MAD of residuals.

What all scales have in common is tested here; test_m_scale.py and test_qn_scale.py go into two.
"""

import functools

import numpy as np
import pytest
from _reference import mad as reference_mad
from _reference import median as reference_median
from scipy.stats import median_abs_deviation, norm

from robustreg.losses import Welsch, tuning_constant
from robustreg.scale import (
    MAD_FACTOR,
    m_scale,
    mad,
    qn_scale,
    residual_mad,
    tau_scale,
    weighted_median,
)

WELSCH = Welsch(tuning_constant(Welsch, breakdown_point=0.5))
SCALES = {
    "mad": mad,
    "tau_scale": tau_scale,
    "m_scale": m_scale,
    "m_scale, Welsch": functools.partial(m_scale, loss=WELSCH),
    "m_scale, center": functools.partial(m_scale, center=0.0),
    "qn_scale": qn_scale,
}
all_scales = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)


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


@all_scales
@pytest.mark.parametrize("factor", [-2.0, 1e-150, 1e-100, 3.0, 1e150])
def test_scales_are_equivariant(scale, factor):
    x, weight = sample(41), np.resize([1.0, 2.0, 0.5], 41)
    assert scale(factor * x) == pytest.approx(abs(factor) * scale(x), rel=1e-12)
    assert scale(factor * x, weight) == pytest.approx(abs(factor) * scale(x, weight), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in SCALES if "center" not in name])
def test_scales_do_not_depend_on_the_location(name):
    x = sample(41)
    assert SCALES[name](x + 1e3) == pytest.approx(SCALES[name](x), rel=1e-10)


@all_scales
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 11, 100])
def test_scales_take_integer_weights_for_repetitions(scale, n, ties):
    x = sample(n, n, ties)
    weight = np.random.default_rng(n).integers(0, 4, n)
    weight[:2] += 1
    expected = scale(np.repeat(x, weight))
    assert scale(x, weight.astype(float)) == pytest.approx(expected, rel=1e-12)
    order = np.random.default_rng(0).permutation(n)
    assert scale(x[order], weight[order].astype(float)) == pytest.approx(expected, rel=1e-12)
    assert scale(x, np.ones(n)) == pytest.approx(scale(x), rel=1e-12)


@all_scales
def test_values_of_weight_zero_are_absent(scale):
    x = sample(30)
    weight = np.resize([1.0, 2.0, 0.5], 30)
    with_more = np.append(x, [1e300, -7.0, 0.0]), np.append(weight, np.zeros(3))
    assert scale(*with_more) == pytest.approx(scale(x, weight), rel=1e-13)


@all_scales
@pytest.mark.parametrize("one_sided", [True, False])
@pytest.mark.parametrize("size", [1e3, 1e100, 1e300])
def test_scales_survive_49_percent(scale, one_sided, size):
    x = np.random.default_rng(0).normal(size=100)
    x[:49] = size * np.linspace(1.0, 1.5, 49)
    x[:49:2] *= 1.0 if one_sided else -1.0
    assert 0.1 < scale(x) < 20.0


@all_scales
@pytest.mark.parametrize("share", [0.52, 0.6, 1.0])
def test_scales_of_mostly_equal_values_are_zero(scale, share):
    x = np.random.default_rng(0).normal(size=100)
    x[: round(100 * share)] = 0.0
    assert scale(x) == 0.0
    assert scale(x, np.full(100, 3.0)) == 0.0


@all_scales
def test_scales_of_49_percent_equal_values_are_positive(scale):
    x = np.random.default_rng(0).normal(size=100)
    x[:49] = 0.0
    assert scale(x) > 1e-3


@all_scales
def test_scales_of_one_value_are_zero(scale):
    assert scale(np.array([0.0])) == 0.0
    assert scale(np.zeros(3), np.array([0.5, 0.0, 2.0])) == 0.0


@pytest.mark.parametrize("name", [name for name in SCALES if "center" not in name])
def test_scales_of_one_value_that_is_not_zero(name):
    assert SCALES[name](np.array([7.0])) == 0.0
    assert SCALES[name](np.full(4, 0.1)) == 0.0


@all_scales
def test_scales_are_consistent_at_the_gaussian(scale):
    assert scale(np.random.default_rng(0).normal(0.0, 3.0, 200_000)) == pytest.approx(3.0, rel=0.01)


@all_scales
def test_scales_do_not_change_their_input(scale):
    x, weight = sample(50), np.resize([1.0, 0.0, 2.0], 50)
    copies = x.copy(), weight.copy()
    scale(x, weight)
    np.testing.assert_array_equal(x, copies[0])
    np.testing.assert_array_equal(weight, copies[1])


# means of scales of Gaussian samples, as the docstrings and docs/choosing.md give them
MEANS = {
    mad: (0.92, 0.96, 0.98, 0.99),
    tau_scale: (0.89, 0.94, 0.98, 0.99),
    m_scale: (0.89, 0.95, 0.98, 0.99),
    qn_scale: (1.39, 1.19, 1.07, 1.04),
}


@pytest.mark.parametrize("scale", MEANS, ids=lambda scale: scale.__name__)
def test_means_of_small_samples(scale):
    for n, expected in zip((10, 20, 50, 100), MEANS[scale], strict=True):
        samples = np.random.default_rng(n).normal(size=(1000, n))
        found = np.array([scale(x) for x in samples])
        assert found.mean() == pytest.approx(expected, abs=0.005 + 4 * found.std() / 1000**0.5)

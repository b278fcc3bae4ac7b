"""Tuning constants are computed; these are the published values they must reproduce."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from robustreg.losses import (
    LOSSES,
    Absolute,
    Andrews,
    Bisquare,
    Cauchy,
    EpsilonInsensitive,
    HalfSquared,
    Hampel,
    Huber,
    LogCosh,
    PseudoHuber,
    Quantile,
    SmoothL1,
    Squared,
    Welsch,
    gaussian_breakdown_point,
    gaussian_efficiency,
    tuning_constant,
)
from robustreg.losses._quadrature import gaussian_expectation

EFFICIENCIES = (0.85, 0.90, 0.95, 0.99)
PUBLISHED = {
    Huber: (0.7317, 0.9818, 1.3450, 2.0102),
    SmoothL1: (0.7317, 0.9818, 1.3450, 2.0102),
    Bisquare: (3.4437, 3.8827, 4.6851, 7.0414),
    Cauchy: (1.3737, 1.7249, 2.3849, 4.2902),
    LogCosh: (0.5459, 0.7825, 1.2047, 2.3639),
    PseudoHuber: (0.5090, 0.7792, 1.2871, 2.7306),
    Andrews: (0.9884, 1.1117, 1.3387, 2.0170),
    Welsch: (2.0595, 2.3831, 2.9846, 4.7407),
}
TUNABLE = [loss_class for loss_class in LOSSES.values() if loss_class.tunable]


@pytest.mark.parametrize(
    ("loss_class", "efficiency", "constant"),
    [
        (loss_class, efficiency, constant)
        for loss_class, constants in PUBLISHED.items()
        for efficiency, constant in zip(EFFICIENCIES, constants, strict=True)
    ],
)
def test_published_constants(loss_class, efficiency, constant):
    assert tuning_constant(loss_class, efficiency=efficiency) == pytest.approx(constant, abs=5.1e-5)


def test_every_tunable_loss_has_been_compared():
    assert set(TUNABLE) == {*PUBLISHED, Hampel}


def test_hampel():
    a, b, c = tuning_constant(Hampel, efficiency=0.95)
    # robustbase ships 1.352413, 3.155630, 7.212868, in the same ratio, with efficiency 0.95003.
    assert (b / a, c / a) == pytest.approx((3.5 / 1.5, 8.0 / 1.5), rel=1e-14)
    assert (a, b, c) == pytest.approx((1.352413, 3.155630, 7.212868), rel=2e-4)
    assert gaussian_efficiency(Hampel(1.352413, 3.155630, 7.212868)) == pytest.approx(
        0.95003, abs=5e-6
    )
    assert gaussian_efficiency(Hampel(a, b, c)) == pytest.approx(0.95, rel=1e-13)


@pytest.mark.parametrize("loss_class", [Huber, PseudoHuber, Bisquare, Welsch, Cauchy, Andrews])
def test_default_constants_have_95_percent_efficiency(loss_class):
    (default,) = vars(loss_class()).values()
    assert default == round(tuning_constant(loss_class, efficiency=0.95), 3)


def test_default_corners_of_hampel_have_95_percent_efficiency():
    default = tuple(vars(Hampel()).values())
    assert default == tuple(round(x, 3) for x in tuning_constant(Hampel, efficiency=0.95))


@pytest.mark.parametrize("loss_class", TUNABLE)
@pytest.mark.parametrize("efficiency", [0.65, 0.8, 0.95, 0.999])
def test_round_trip_through_the_efficiency(loss_class, efficiency):
    loss = loss_class(*np.atleast_1d(tuning_constant(loss_class, efficiency=efficiency)))
    assert gaussian_efficiency(loss) == pytest.approx(efficiency, rel=1e-12)


@pytest.mark.parametrize("loss_class", TUNABLE)
def test_efficiency_is_that_of_the_definition(loss_class):
    loss = loss_class()
    points = [-12.0, *(p for p in loss._breakpoints() if abs(p) < 12), 12.0]

    def expectation(function):
        def integrand(z):
            return function(z) * stats.norm.pdf(z)

        pieces = itertools.pairwise(points)
        return math.fsum(quad(integrand, a, b, epsabs=1e-12)[0] for a, b in pieces)

    expected = expectation(loss.psi_prime) ** 2 / expectation(lambda z: loss.psi(z) ** 2)
    assert gaussian_efficiency(loss) == pytest.approx(expected, rel=1e-9)


def test_efficiency_of_losses_without_a_constant():
    assert gaussian_efficiency(HalfSquared()) == pytest.approx(1.0, rel=1e-13)
    assert gaussian_efficiency(Squared()) == pytest.approx(1.0, rel=1e-13)
    assert gaussian_efficiency(Absolute()) == pytest.approx(2.0 / math.pi, rel=1e-13)


def test_breakdown_point():
    c = tuning_constant(Bisquare, breakdown_point=0.5)
    assert c == pytest.approx(1.547645, abs=5e-7)
    assert tuning_constant(Bisquare, breakdown_point=0.25) == pytest.approx(2.9370, abs=5e-5)
    # The price of the highest breakdown point, as published.
    assert gaussian_efficiency(Bisquare(c)) == pytest.approx(0.287, abs=5e-4)
    assert gaussian_breakdown_point(Huber()) == 0.0


@pytest.mark.parametrize("loss_class", [Bisquare, Welsch, Hampel, Andrews])
@pytest.mark.parametrize("breakdown_point", [0.05, 0.25, 0.5])
def test_round_trip_through_the_breakdown_point(loss_class, breakdown_point):
    constant = tuning_constant(loss_class, breakdown_point=breakdown_point)
    loss = loss_class(*np.atleast_1d(constant))
    assert gaussian_breakdown_point(loss) == pytest.approx(breakdown_point, rel=1e-12)


@pytest.mark.parametrize(
    ("loss_class", "target", "message"),
    [
        (Huber, {}, "exactly one of efficiency and breakdown_point"),
        (Bisquare, {"efficiency": 0.9, "breakdown_point": 0.5}, "exactly one of"),
        (Huber, {"efficiency": 1.0}, "efficiency must lie strictly between 0 and 1, got 1.0"),
        (Huber, {"efficiency": 95}, "efficiency must lie strictly between 0 and 1, got 95"),
        (Huber, {"efficiency": np.nan}, "efficiency must lie"),
        (Huber, {"efficiency": "95%"}, "efficiency must lie"),
        (Huber, {"efficiency": 0.5}, "Huber reaches efficiency 0.636.* to 1, got 0.5"),
        (Bisquare, {"breakdown_point": 0.6}, "above 0 and at most 0.5, got 0.6"),
        (Bisquare, {"breakdown_point": 0.0}, "above 0 and at most 0.5"),
        (Huber, {"breakdown_point": 0.5}, "needs a bounded loss, such as Bisquare; Huber"),
        (Cauchy, {"breakdown_point": 0.5}, "needs a bounded loss"),
    ],
)
def test_impossible_targets_are_explained(loss_class, target, message):
    with pytest.raises(ValueError, match=message):
        tuning_constant(loss_class, **target)


def test_the_end_of_what_is_searched_is_reached():
    end = math.exp(math.log(1e-4))
    least = gaussian_efficiency(Huber(end))
    assert tuning_constant(Huber, efficiency=least) == pytest.approx(end, rel=1e-12)
    with pytest.raises(ValueError, match="Huber reaches efficiency"):
        tuning_constant(Huber, efficiency=np.nextafter(least, 0.0))


@pytest.mark.parametrize(
    "loss_class", [Squared, HalfSquared, Absolute, Quantile, EpsilonInsensitive]
)
def test_losses_without_a_tuning_constant(loss_class):
    with pytest.raises(ValueError, match=f"{loss_class.__name__} has no tuning constant"):
        tuning_constant(loss_class, efficiency=0.95)


@pytest.mark.parametrize("wrong", [Huber(), "huber", float, None], ids=repr)
def test_the_family_must_be_a_class(wrong):
    with pytest.raises(TypeError, match="loss_class must be a subclass of ResidualLoss"):
        tuning_constant(wrong, efficiency=0.95)


@pytest.mark.parametrize(
    ("power", "moment"), [(0, 1), (1, 0), (2, 1), (4, 3), (6, 15), (12, 10395)]
)
def test_gaussian_moments(power, moment):
    assert gaussian_expectation(lambda z: z**power) == pytest.approx(moment, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("threshold", [1e-9, 0.3, 1.0, 5.0, 20.0])
def test_gaussian_tail_probabilities(threshold):
    tail = gaussian_expectation(lambda z: (z > threshold) * 1.0, [threshold])
    assert tail == pytest.approx(stats.norm.sf(threshold), rel=1e-12)

"""Formulas and traits of every loss are verified numerically, on other routes than check_loss.

What `check_loss` says of the registry is in test_check_loss.py: domains, kinks and smoothness,
homogeneity, suprema. Here are tighter tolerances, definitions, and identities.
"""

import copy
import itertools
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.integrate import quad
from sklearn.base import BaseEstimator, clone

from robustreg.losses import (
    LOSSES,
    Absolute,
    Andrews,
    Bisquare,
    Cauchy,
    ConvexLoss,
    EpsilonInsensitive,
    HalfSquared,
    Hampel,
    Huber,
    LogCosh,
    PseudoHuber,
    Quantile,
    ResidualLoss,
    SmoothL1,
    Squared,
    Welsch,
    check_loss,
    get_loss,
)

# The defaults of the whole registry, and other members of each family.
CASES = [loss_class() for loss_class in LOSSES.values()] + [
    Huber(0.3),
    Huber(4.0),
    SmoothL1(0.0),
    SmoothL1(0.1),
    SmoothL1(3.0),
    PseudoHuber(0.5),
    PseudoHuber(7.0),
    LogCosh(0.5),
    LogCosh(1.2047),
    Quantile(0.05),
    Quantile(0.8),
    EpsilonInsensitive(0.0),
    EpsilonInsensitive(1.5),
    Bisquare(1.54764),
    Welsch(1.0),
    Cauchy(1.0),
    Hampel(2.0, 4.0, 8.0),
    Hampel(1.0, 1.0, 2.5),
    Andrews(2.1),
]
CONVEX = [loss for loss in CASES if loss.convex]
BOUNDED_PSI = [loss for loss in CONVEX if math.isfinite(loss.conjugate_domain[1])]

every_loss = pytest.mark.parametrize("loss", CASES, ids=repr)
every_convex_loss = pytest.mark.parametrize("loss", CONVEX, ids=repr)

GRID = np.linspace(-12.0, 12.0, 4801)
EXTREME = np.array([1e-320, 1e-300, 1e-160, 1e160, 1e300, np.finfo(float).max, np.inf])


def joint_grid(loss):
    """Residuals of both signs and all sizes, with 0 and the kinks."""
    sizes = np.concatenate([[0.0], np.logspace(-9, 9, 73), np.linspace(0.1, 12, 40)])
    return np.unique(np.concatenate([sizes, -sizes, loss.kinks()]))


# ------------------------------------------------------------------ the formulas


def integrals(function, edges):
    """Return the integrals of a function over adjacent intervals in which it is analytic."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2.0
    return np.sum(half * weights * function(edges[:-1, None] + half * (nodes + 1.0)), axis=1)


@every_loss
@pytest.mark.parametrize("pair", [("rho", "psi"), ("psi", "psi_prime")], ids=str)
def test_derivatives_integrate_back_at_every_size_of_residual(loss, pair):
    primitive, derivative = (getattr(loss, name) for name in pair)
    sizes = 2.0 ** np.arange(-480.0, 480.0, 0.25)
    edges = np.unique(np.concatenate([-sizes, [0.0], sizes, loss._breakpoints()]))
    left = primitive(np.nextafter(edges[:-1], np.inf))
    right = primitive(np.nextafter(edges[1:], -np.inf))
    errors = np.abs(integrals(derivative, edges) - (right - left))
    # An exponential tail is known to fewer digits than it is small.
    negligible = np.where(np.abs(edges[1:]) > 1.0, 1e-60, 0.0)
    assert np.all(errors <= 2e-11 * np.maximum(np.abs(left), np.abs(right)) + negligible)


@every_loss
def test_weights_are_psi_over_r_with_the_limit_at_zero(loss):
    r = joint_grid(loss)
    weights = loss.weights(r)
    assert np.all(weights >= 0.0)
    nonzero = r != 0.0
    assert_allclose(weights[nonzero] * r[nonzero], loss.psi(r)[nonzero], rtol=1e-13, atol=1e-300)
    limit = np.inf if 0.0 in loss.kinks() else loss.weights(1e-12)
    assert_allclose(loss.weights([0.0, -0.0]), limit, rtol=1e-12)


@every_loss
def test_psi_prime_at_a_kink_is_that_of_one_side(loss):
    for kink in loss.kinks():
        sides = [loss.psi_prime(np.nextafter(kink, end)) for end in (-np.inf, np.inf)]
        assert np.abs(loss.psi_prime(kink) - sides).min() <= 1e-12


@every_loss
def test_weights_decrease_so_that_reweighting_descends(loss):
    if isinstance(loss, EpsilonInsensitive) and loss.epsilon > 0.0:
        pytest.skip("its weights jump up at the edge of the tube")
    for side in (1.0, -1.0):
        assert np.all(np.diff(loss.weights(side * np.logspace(-9, 9, 500))) <= 1e-15)


@every_loss
def test_extreme_residuals_are_silent_and_right(loss):
    r = np.concatenate([EXTREME, -EXTREME])
    with np.errstate(all="raise"):
        rho, psi, weights, psi_prime = (
            getattr(loss, name)(r) for name in ("rho", "psi", "weights", "psi_prime")
        )
    assert not np.any(np.isnan([rho, psi, weights, psi_prime]))
    big = np.abs(r) >= 1e160
    if math.isfinite(loss.sup_rho):
        assert_allclose(rho[big], loss.sup_rho, rtol=1e-15)
    if loss.redescending:
        assert np.all(np.abs(psi[big]) < 1e-150)
    elif loss in BOUNDED_PSI:
        low, high = loss.conjugate_domain
        assert_allclose(psi[big], np.where(r[big] > 0, high, low), rtol=1e-15)
        finite = big & (np.abs(r) <= 1e300)
        assert_allclose(rho[finite] / r[finite], psi[finite], rtol=1e-14)


@every_loss
def test_symmetry(loss):
    r = np.concatenate([joint_grid(loss), EXTREME])
    if loss.elicits == "quantile":
        mirrored = Quantile(1.0 - loss.q)
        assert_allclose(loss.rho(-r), mirrored.rho(r), rtol=1e-14)
        return
    assert_array_equal(loss.rho(-r), loss.rho(r))
    assert_array_equal(loss.psi(-r), -loss.psi(r))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (SmoothL1(1e50), 1e300),  # where Huber(1e50).rho is infinite
        (Cauchy(1e-50), 1e-100 * 350.0 * math.log(10.0)),  # where r / c is
    ],
    ids=repr,
)
def test_rho_is_finite_where_its_parts_are_not(loss, expected):
    assert loss.rho(1e300) == pytest.approx(expected, rel=1e-14)


def test_cauchy_grows_like_a_logarithm_without_end():
    assert Cauchy(2.0).rho(1e300) == pytest.approx(4.0 * math.log(5e299), rel=1e-15)


@every_loss
def test_tiny_residuals_keep_their_digits(loss):
    r = np.logspace(-140, -9, 50)
    slope = loss.psi_prime(0.0)
    if 0.0 not in loss.kinks():
        assert_allclose(loss.rho(r), 0.5 * slope * r * r, rtol=1e-13)
        assert_allclose(loss.psi(r), slope * r, rtol=1e-13)


@pytest.mark.parametrize("loss", [case for case in CASES if case.tunable], ids=repr)
@pytest.mark.parametrize("constant", [1e-150, 1e149])
def test_extreme_constants(loss, constant):
    extreme = type(loss).from_tuning_constant(constant)
    r = np.array([-1e300, -1.0, 0.0, 1e-100, 1.0, 1e300])
    for name in ("rho", "psi", "weights", "psi_prime"):
        assert not np.any(np.isnan(getattr(extreme, name)(r))), name
    assert_allclose(extreme.psi(r[1:5]), r[1:5] * extreme.weights(r[1:5]), rtol=1e-12)


# ------------------------------------------------------------------ the traits


@every_loss
def test_convexity(loss):
    a, b = np.meshgrid(GRID[::40], GRID[::40])
    excess = loss.rho((a + b) / 2) - (loss.rho(a) + loss.rho(b)) / 2
    assert loss.convex == bool(np.all(excess <= 1e-12))
    assert loss.convex == isinstance(loss, ConvexLoss) == hasattr(loss, "conjugate")


@every_loss
def test_curvature(loss):
    assert math.isinf(loss.curvature) == (loss.smoothness == 0)
    if loss.smoothness > 0:
        assert loss.psi_prime(GRID).max() == pytest.approx(loss.curvature, rel=1e-12)
        r, at = np.meshgrid(GRID[::40], GRID[7::40])
        parabola = loss.rho(at) + loss.psi(at) * (r - at) + loss.curvature / 2 * (r - at) ** 2
        assert np.all(loss.rho(r) <= parabola + 1e-12)


SKEWED = stats.expon.ppf((np.arange(201) + 0.5) / 201)
SYMMETRIC = 3.0 + stats.norm.ppf((np.arange(201) + 0.5) / 201)
CANDIDATES = np.linspace(-1.0, 7.0, 4001)


def excess_over_minimum(loss, sample, functional):
    """Return by how much the mean loss at a constant exceeds the smallest found."""
    means = np.mean(loss.rho(sample[:, None] - np.append(CANDIDATES, functional)), axis=0)
    return means[-1] - means.min()


@every_loss
def test_elicits(loss):
    functionals = {"mean": SKEWED.mean(), "median": np.median(SKEWED)}
    if loss.elicits == "location":
        assert excess_over_minimum(loss, SYMMETRIC, 3.0) < 1e-13
        for functional in functionals.values():
            assert excess_over_minimum(loss, SKEWED, functional) > 1e-6
    else:
        if loss.elicits == "quantile":
            functionals["quantile"] = np.quantile(SKEWED, loss.q, method="inverted_cdf")
        assert excess_over_minimum(loss, SKEWED, functionals[loss.elicits]) < 1e-13


# ------------------------------------------------------------------ conjugate and joint scale


@every_convex_loss
def test_quadratic_conjugate(loss):
    """Claimed for parabolas with straight tails, and true of none of the others."""
    low, high = np.clip(loss.conjugate_domain, -1.0, 1.0)
    v = np.linspace(low, high, 21)[1:-1]
    parabola = v * v / (2 * loss.curvature)
    matches = np.allclose(loss.conjugate(v), parabola, rtol=1e-14, atol=0)
    assert loss.quadratic_conjugate == matches or loss.homogeneity == 1


@every_convex_loss
def test_fenchel_young(loss):
    r = joint_grid(loss)
    low, high = np.clip(loss.conjugate_domain, -20.0, 20.0)
    v = np.linspace(low, high, 201)[:, None]
    slack = loss.rho(r) + loss.conjugate(v) - r * v
    assert np.all(slack >= -1e-12 * (1.0 + np.abs(r * v)))
    psi = loss.psi(r)
    # Where psi rounds to the end of its range, r times that rounding is the best possible.
    assert_allclose(loss.rho(r) + loss.conjugate(psi), r * psi, rtol=1e-12, atol=1e-12)


@every_convex_loss
def test_conjugate_is_the_supremum(loss):
    low, high = np.clip(loss.conjugate_domain, -5.0, 5.0)
    v = (low + high) / 2 + (high - low) / 2 * np.linspace(-0.99, 0.99, 41)
    r = np.linspace(-60.0, 60.0, 120_001)
    supremum = np.array([np.max(slope * r - loss.rho(r)) for slope in v])
    assert_allclose(loss.conjugate(v), supremum, atol=2e-6)


@every_convex_loss
def test_conjugate_is_finite_in_its_domain_and_nowhere_else(loss):
    for end, way in zip(loss.conjugate_domain, (-np.inf, np.inf), strict=True):
        if math.isinf(end):
            assert math.isfinite(loss.conjugate(np.copysign(1e150, way)))
        else:
            assert math.isfinite(loss.conjugate(end))
            assert loss.conjugate(np.nextafter(end, way)) == np.inf


@every_convex_loss
def test_conjugate_of_psi_does_not_cancel(loss):
    with np.errstate(all="ignore"):
        difference = GRID * loss.psi(GRID) - loss.rho(GRID)
        assert_allclose(loss._conjugate_of_psi(GRID), difference, atol=1e-12)
    # Close to 0 it is rho itself, r^2 / 2 times psi'(0).
    tiny = np.logspace(-9, -6, 10)
    if 0.0 not in loss.kinks():
        assert_allclose(loss._conjugate_of_psi(tiny), loss.rho(tiny), rtol=1e-10)


def huber_kappa(delta):
    """Half of E min(Z^2, delta^2), in closed form, by its series for small delta."""
    if delta < 1e-2:
        phi = stats.norm.pdf(0.0)
        return delta**2 / 2 - phi * (2 * delta**3 / 3 - delta**5 / 15 + delta**7 / 140)
    inside = stats.norm.cdf(delta) - 0.5 - delta * stats.norm.pdf(delta)
    return inside + delta**2 * stats.norm.sf(delta)


@pytest.mark.parametrize("delta", [1e-8, 1e-5, 1e-3, 0.05, 0.5, 1.345, 3.0, 10.0, 1e3, 1e8])
def test_kappa_of_huber_in_closed_form(delta):
    assert Huber(delta).kappa == pytest.approx(huber_kappa(delta), rel=1e-12)
    assert SmoothL1(delta).kappa == pytest.approx(huber_kappa(delta) / delta, rel=1e-12)


@every_convex_loss
def test_kappa_by_adaptive_quadrature(loss):
    def integrand(z):
        return (z * loss.psi(z) - loss.rho(z)) * stats.norm.pdf(z)

    points = [-40.0, -8.0, *loss.kinks(), 8.0, 40.0]
    pieces = [quad(integrand, a, b, epsabs=1e-12)[0] for a, b in itertools.pairwise(points)]
    assert loss.kappa == pytest.approx(math.fsum(pieces), abs=1e-10)
    assert (loss.kappa == 0.0) == (loss.homogeneity == 1)
    assert (loss.joint_breakdown == 0.0) == (loss not in BOUNDED_PSI)


@pytest.mark.parametrize("family", [PseudoHuber, LogCosh])
def test_kappa_of_smooth_losses_approaches_its_limits(family):
    # c^2 times the limit of the conjugate at the end of its domain; half of E Z^2.
    end = {PseudoHuber: 1.0, LogCosh: math.log(2.0)}[family]
    assert family(1e-9).kappa == pytest.approx(end * 1e-18, rel=2e-9)
    assert family(1e7).kappa == pytest.approx(0.5, rel=1e-13)


def test_kappa_makes_the_scale_consistent():
    # d/dsigma of E sigma rho(Z / sigma) + kappa sigma vanishes at sigma = 1.
    z = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for loss in (Huber(), LogCosh(), PseudoHuber()):

        def objective(sigma, loss=loss):
            return np.mean(sigma * loss.rho(z / sigma)) + loss.kappa * sigma

        assert (objective(1.001) - objective(0.999)) / 0.002 == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Huber(1.345), 0.2819),
        # For these two lam / (1 + lam), 0.213 and 0.136, would be a lower bound only.
        (LogCosh(1.2047), 0.2236),
        (PseudoHuber(1.2871), 0.1452),
        (Squared(), 0.0),
        (HalfSquared(), 0.0),
    ],
    ids=repr,
)
def test_joint_breakdown_values(loss, expected):
    assert loss.joint_breakdown == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("delta", [1e-150, 1e-6, 0.1, 1.345, 5.0, 1e3])
def test_joint_breakdown_of_huber_in_closed_form(delta):
    lam = 2.0 * huber_kappa(delta) / delta**2
    assert Huber(delta).joint_breakdown == pytest.approx(lam / (1.0 + lam), rel=1e-11)


@dataclass(frozen=True)
class LopsidedHuber(ConvexLoss):
    """Huber's loss with a different bound on each side: nothing may rely on symmetry."""

    low: float = -0.5
    high: float = 1.5

    smoothness = 1

    @property
    def conjugate_domain(self):
        return (self.low, self.high)

    def kinks(self):
        return self.conjugate_domain

    def _rho(self, r):
        inner = np.clip(r, self.low, self.high)
        return inner * (r - 0.5 * inner)

    def _psi(self, r):
        return np.clip(r, self.low, self.high)

    def _psi_prime(self, r):
        return 1.0 * ((self.low <= r) & (r <= self.high))

    def _conjugate(self, v):
        return 0.5 * v * v


def breaks(loss, share, side):
    """Whether a share of bad observations on one side drags the joint fit along.

    With the good observations at 0 and the bad ones at 1 or -1, unbroken means location 0 and
    scale 0, where the objective is the share times the slope of rho.
    """
    b, sigma = np.meshgrid(np.linspace(-0.5, 1.0, 151), np.logspace(-3, 3, 301))
    good, bad = loss.rho(-side * b / sigma), loss.rho(side * (1.0 - b) / sigma)
    objective = sigma * ((1.0 - share) * good + share * bad + loss.kappa)
    slope = max(side * end for end in loss.conjugate_domain)
    return bool(objective.min() < share * slope * (1.0 - 1e-9))


@pytest.mark.parametrize(
    "loss",
    [
        *(loss for loss in BOUNDED_PSI if loss.homogeneity is None),
        LopsidedHuber(),
        LopsidedHuber(-1.0, 0.02),
    ],
    ids=repr,
)
def test_joint_breakdown_is_where_the_joint_fit_breaks(loss):
    below, above = loss.joint_breakdown - 0.005, loss.joint_breakdown + 0.005
    assert not breaks(loss, below, 1.0)
    assert not breaks(loss, below, -1.0)
    assert breaks(loss, above, 1.0) or breaks(loss, above, -1.0)


def test_no_joint_breakdown_without_a_joint_scale():
    for loss in (Absolute(), Quantile(0.3), SmoothL1(0.0)):
        assert math.isnan(loss.joint_breakdown)


def test_constants_of_joint_scale_are_for_convex_losses_only():
    for name in ("kappa", "joint_breakdown", "conjugate", "conjugate_domain"):
        assert not hasattr(Bisquare(), name)


# ------------------------------------------------------------------ identities


def assert_same_loss(one, other, factor=1.0):
    r = joint_grid(one)
    for name in ("rho", "psi", "weights", "psi_prime"):
        assert_allclose(getattr(one, name)(r), factor * getattr(other, name)(r), rtol=1e-14)
    v = np.linspace(-1.2, 1.2, 25)
    assert_allclose(one.conjugate(v), factor * other.conjugate(v / factor), rtol=1e-13)


@pytest.mark.parametrize("delta", [0.1, 1.0, 1.345, 30.0])
def test_huber_is_delta_times_smooth_l1(delta):
    assert_same_loss(Huber(delta), SmoothL1(delta), delta)


def test_losses_that_coincide():
    assert_same_loss(SmoothL1(0.0), Absolute())
    assert_same_loss(EpsilonInsensitive(0.0), Absolute())
    assert_same_loss(Quantile(0.5), Absolute(), 0.5)
    assert_same_loss(Squared(), HalfSquared(), 2.0)
    assert_same_loss(Huber(1e100), HalfSquared())


def test_published_example_of_smooth_l1():
    # The formula gives 0.125; an article in circulation prints 0.8750.
    assert SmoothL1(1.0)([1, 2, 3], [0.5, 1.5, 2.5]) == 0.125


def test_formulas_in_their_textbook_form():
    r = np.linspace(-3.0, 3.0, 13)
    assert_allclose(LogCosh(2.0).rho(r), 4.0 * np.log(np.cosh(r / 2.0)), rtol=1e-13, atol=1e-15)
    assert_allclose(PseudoHuber(2.0).rho(r), 4.0 * (np.sqrt(1 + r**2 / 4) - 1), atol=1e-14)
    assert_allclose(Welsch(2.0).rho(r), 2.0 * (1.0 - np.exp(-(r**2) / 4.0)), atol=1e-15)
    assert_allclose(Cauchy(2.0).rho(r), 2.0 * np.log(1.0 + r**2 / 4.0), atol=1e-15)
    assert_allclose(Bisquare(4.0).rho(r), 16 / 6 * (1 - (1 - r**2 / 16) ** 3), atol=1e-14)
    assert_allclose(Andrews(1.0).rho(r), 1.0 - np.cos(r), atol=1e-15)
    assert_allclose(Hampel(1.0, 2.0, 4.0).rho([0.5, 1.5, 3.0, 9.0]), [0.125, 1.0, 2.25, 2.5])


# ------------------------------------------------------------------ the metric face

Y_TRUE = np.array([[1.0, -2.0], [0.3, 8.0], [0.0, 0.5]])
Y_PRED = np.array([[0.2, -2.05], [3.0, -1.0], [0.7, 0.1]])
WEIGHT = np.array([[1.0, 0.0], [2.5, 0.25], [3.0, 1.0]])


@every_loss
@pytest.mark.parametrize("kind", ["none", "all", "rows"])
def test_reductions(loss, kind):
    full = {"none": np.ones((3, 2)), "all": WEIGHT, "rows": np.outer(WEIGHT[:, 0], [1.0, 1.0])}[
        kind
    ]
    weight = {"none": None, "all": WEIGHT, "rows": WEIGHT[:, 0]}[kind]
    elements = loss(Y_TRUE, Y_PRED, sample_weight=weight, reduction="none")
    assert_allclose(elements, full * loss.rho(Y_TRUE - Y_PRED))
    assert_allclose(loss(Y_TRUE, Y_PRED, sample_weight=weight, reduction="sum"), elements.sum())
    mean = loss(Y_TRUE, Y_PRED, sample_weight=weight)
    assert_allclose(mean, elements.sum() / full.sum())
    assert isinstance(mean, float)


@every_loss
@pytest.mark.parametrize(
    ("reduction", "weight"),
    [("mean", WEIGHT), ("sum", None), ("none", WEIGHT)],
    ids=["mean, weighted", "sum", "none, weighted"],
)
def test_gradient_is_the_derivative_of_the_reduced_value(loss, weight, reduction):
    options = {"sample_weight": weight, "reduction": reduction}
    gradient = loss.gradient(Y_TRUE, Y_PRED, **options)
    assert gradient.shape == Y_PRED.shape
    for index in np.ndindex(*Y_PRED.shape):
        step = np.zeros(Y_PRED.shape)
        step[index] = 1e-6
        difference = np.sum(
            loss(Y_TRUE, Y_PRED + step, **options) - loss(Y_TRUE, Y_PRED - step, **options)
        )
        assert gradient[index] == pytest.approx(difference / 2e-6, abs=1e-7)


@every_loss
@pytest.mark.parametrize(
    ("reduction", "dtype"), [("mean", np.float64), ("sum", np.float32), ("none", np.float32)]
)
def test_gradient_lies_between_one_sided_differences_everywhere(loss, reduction, dtype):
    """Residuals of both signs, 0, kinks and extremes; what differences lose by rounding is allowed.

    Beside a kink the differences differ, and any value between them is a subgradient. They begin a
    unit in the last place away, for a kink is no number of single precision.
    """
    largest = 1e30 if dtype == np.float32 else 1e300 if np.isfinite(loss.rho(1e300)) else 1e150
    sizes = np.array([0.0, 1.0 / largest, 1e-9, 0.3, 1.0, 2.5, 40.0, 1e9, largest])
    y_pred = np.unique(np.concatenate([sizes, -sizes, loss.kinks()])).astype(dtype)
    y_true, weight = np.zeros_like(y_pred), np.linspace(0.5, 3.0, len(y_pred)).astype(dtype)
    gradient = loss.gradient(y_true, y_pred, sample_weight=weight, reduction=reduction)
    assert gradient.dtype == dtype
    divisor = weight.sum(dtype=float) if reduction == "mean" else 1.0
    slope = gradient.astype(float) * divisor / weight

    at, unit = y_pred.astype(float), np.spacing(np.abs(y_pred)).astype(float)
    step = np.where(at == 0.0, 1e-9, 1e-6 * np.abs(at))
    above, below = loss.rho(-(at + unit + step)), loss.rho(-(at - unit - step))
    differences = [above - loss.rho(-(at + unit)), loss.rho(-(at - unit)) - below]
    low, high = np.sort(np.array(differences) / step, axis=0)
    double, smallest = np.finfo(float), np.finfo(dtype).smallest_subnormal
    lost = (4 * double.eps * np.maximum(above, below) + 4 * double.smallest_subnormal) / step
    # A difference is psi somewhere in its interval, so nearly that at its end.
    bend = np.abs([loss.psi_prime(-(at + unit + step)), loss.psi_prime(-(at - unit - step))])
    lost += (unit + step) * bend.max(axis=0)
    lost += 8 * np.finfo(dtype).eps * np.abs(slope) + 4 * smallest * divisor / weight
    assert np.all(low - lost <= slope)
    assert np.all(slope <= high + lost)

    # Where the losses underflow, differences say nothing; psi(r) = psi'(0) r does.
    tiny = np.abs(at) == dtype(1.0 / largest)
    if math.isfinite(loss.curvature) and 0.0 not in loss.kinks():
        assert_allclose(slope[tiny], loss.psi_prime(0.0) * at[tiny], rtol=1e-6)


def test_weights_count_as_repetitions():
    loss = Huber()
    y_true, y_pred = Y_TRUE.ravel(), Y_PRED.ravel()
    times = np.array([1, 0, 3, 2, 1, 5])
    repeated = loss(np.repeat(y_true, times), np.repeat(y_pred, times))
    assert loss(y_true, y_pred, sample_weight=times) == pytest.approx(repeated, rel=1e-15)


def test_a_row_of_weight_zero_is_absent_even_if_its_loss_overflows():
    assert Squared()([1e300, 1.0], [0.0, 0.0], sample_weight=[0.0, 2.0]) == 1.0
    assert Squared()([1e300, 1.0], [0.0, 0.0]) == np.inf
    assert Absolute()([1.7e308], [-1.7e308]) == np.inf
    assert Huber()([1e308] * 3, [-1e307] * 3, reduction="sum") == np.inf


def test_the_gradient_is_finite_where_the_loss_is_not():
    assert_array_equal(Squared().gradient([0.0, 0.0], [1e300, -1e-300]), [1e300, -1e-300])
    assert Squared()([0.0, 0.0], [1e300, -1e-300]) == np.inf


def test_metric_input_of_many_kinds():
    assert Absolute()(3, 1) == 2.0
    assert Absolute()([3, 4], (1.0, 1.0)) == 2.5
    assert Absolute()(np.array([3, 4], dtype=object), [True, False]) == 3.0
    single = Huber()(Y_TRUE.astype(np.float32), Y_PRED.astype(np.float32), reduction="none")
    assert single.dtype == np.float32
    gradient = Huber().gradient(
        Y_TRUE.astype(np.float32), Y_PRED.astype(np.float32), sample_weight=np.float32([1, 2, 3])
    )
    assert gradient.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_true": [1.0, 2.0], "y_pred": [[1.0, 2.0]]}, r"\(2,\) and \(1, 2\)"),
        ({"y_true": [], "y_pred": []}, "not be empty"),
        ({"y_true": [1.0, np.nan]}, "y_true must be finite"),
        ({"y_pred": [1.0, np.inf]}, "y_pred must be finite"),
        ({"y_true": ["a", "b"]}, "y_true must hold real numbers"),
        ({"y_pred": [1.0 + 2.0j, 0.0]}, "y_pred must hold real numbers"),
        ({"sample_weight": [1.0, -1.0]}, "sample_weight must be non-negative"),
        ({"sample_weight": [0.0, 0.0]}, "not all zero"),
        ({"sample_weight": [1.0, np.nan]}, "sample_weight must be finite"),
        ({"sample_weight": [1.0, 2.0, 3.0]}, r"sample_weight must have the shape .* \(3,\)"),
        ({"sample_weight": 2.0}, "sample_weight must have the shape"),
        ({"reduction": "average"}, "reduction must be one of mean, sum, none; got 'average'"),
        ({"reduction": None}, "reduction must be one of"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "gradient"])
def test_bad_metric_input_is_named(arguments, message, method):
    arguments = {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.5]} | arguments
    with pytest.raises(ValueError, match=message):
        getattr(Huber(), method)(**arguments)


# ------------------------------------------------------------------ arrays


@every_loss
def test_dtypes_shapes_and_scalars(loss):
    names = ["rho", "psi", "weights", "psi_prime"] + ["conjugate"] * loss.convex
    r = np.linspace(-4.0, 4.0, 24).reshape(2, 3, 4)
    for name in names:
        method = getattr(loss, name)
        double, single = method(r), method(r.astype(np.float32))
        assert double.shape == single.shape == r.shape
        assert (double.dtype, single.dtype) == (np.float64, np.float32)
        if name != "conjugate":  # whose domain ends between two float32 numbers
            assert_allclose(single, double, rtol=2e-4, atol=1e-5)
        assert not np.shares_memory(double, r)
        assert isinstance(method(1), np.float64)
        assert isinstance(method(np.float32(1.0)), np.float32)
        assert isinstance(method(np.array(1.0, dtype=np.float32)), np.float32)
        assert method(np.float16([1.0])).dtype == np.float64
        assert method([]).shape == (0,)
        assert_array_equal(method(r[:, ::2, ::-1]), double[:, ::2, ::-1])
        if name in ("rho", "psi", "conjugate"):
            assert np.isnan(method(np.nan))


@every_loss
def test_float32_has_no_trouble_at_its_own_extremes(loss):
    r = np.array([-3e38, -1e30, -1e-40, 0.0, 1e-40, 1e30, 3e38], dtype=np.float32)
    for name in ("rho", "psi", "weights", "psi_prime"):
        assert not np.any(np.isnan(getattr(loss, name)(r))), name


def test_read_only_input():
    r = np.array([-3.0, 0.5])
    r.flags.writeable = False
    assert_array_equal(Huber(1.0).psi(r), [-1.0, 0.5])
    with pytest.raises(ValueError, match="must hold real numbers"):
        Huber().rho("abc")


# ------------------------------------------------------------------ objects


class Estimator(BaseEstimator):
    def __init__(self, loss=None):
        self.loss = loss


@every_loss
def test_losses_are_values(loss):
    twins = [copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), eval(repr(loss))]
    twins += [clone(Estimator(loss)).loss, clone(Estimator()).set_params(loss=loss).loss]
    for twin in twins:
        assert twin == loss
        assert hash(twin) == hash(loss)
        assert type(twin) is type(loss)
    assert {loss: "found"}[twins[0]] == "found"
    with pytest.raises(FrozenInstanceError):
        loss.c = 1.0


def test_different_losses_differ():
    assert len(set(CASES)) == len(CASES)
    assert Huber(1.0) != SmoothL1(1.0)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), np.float64(2)])
def test_parameters_become_floats(value):
    for loss in (Huber(value), SmoothL1(value), EpsilonInsensitive(value), Bisquare(value)):
        assert loss == type(loss)(2.0)
        assert type(loss.__dict__[next(iter(loss.__dict__))]) is float


BAD_CONSTANTS = [0.0, -1.0, np.nan, np.inf, 1e200, "1", None, [1.0], 1j]


@pytest.mark.parametrize(
    ("loss_class", "name"),
    [
        (Huber, "delta"),
        (PseudoHuber, "delta"),
        (SmoothL1, "beta"),
        (LogCosh, "c"),
        (EpsilonInsensitive, "epsilon"),
        (Bisquare, "c"),
        (Welsch, "c"),
        (Cauchy, "c"),
        (Hampel, "a"),
        (Hampel, "c"),
        (Andrews, "c"),
    ],
)
def test_bad_constants_are_named(loss_class, name):
    may_be_zero = loss_class in (SmoothL1, EpsilonInsensitive)
    allowed = r"0 or " * may_be_zero + r"a number from 1e-150 to 1e\+150"
    message = f"{loss_class.__name__}: {name} must be {allowed}, got "
    if may_be_zero:
        assert getattr(loss_class(0.0), name) == 0.0
    for value in BAD_CONSTANTS[may_be_zero:]:
        with pytest.raises(ValueError, match=message):
            loss_class(**{name: value})


@pytest.mark.parametrize("loss_class", [Huber, SmoothL1, Bisquare])
def test_the_ends_of_the_range_of_constants_are_allowed(loss_class):
    for end, beyond in ((1e-150, 0.0), (1e150, np.inf)):
        assert loss_class(end) == loss_class.from_tuning_constant(end)
        with pytest.raises(ValueError, match=r"must be .*a number from 1e-150"):
            loss_class(np.nextafter(end, beyond))


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, 1.1, np.nan, "0.5", None], ids=repr)
def test_bad_quantile_levels_are_named(q):
    with pytest.raises(ValueError, match="Quantile: q must lie strictly between 0 and 1, got"):
        Quantile(q)


@pytest.mark.parametrize("corners", [(3.0, 2.0, 8.0), (1.0, 4.0, 4.0), (1.0, 4.0, 2.0)])
def test_hampel_corners_must_be_in_order(corners):
    with pytest.raises(ValueError, match="a <= b < c must hold"):
        Hampel(*corners)


# ------------------------------------------------------------------ the registry, and new losses


def test_registry():
    assert list(LOSSES) == [
        "squared",
        "half_squared",
        "absolute",
        "huber",
        "smooth_l1",
        "pseudo_huber",
        "log_cosh",
        "quantile",
        "epsilon_insensitive",
        "bisquare",
        "welsch",
        "cauchy",
        "hampel",
        "andrews",
    ]
    for name, loss_class in LOSSES.items():
        assert get_loss(name) == loss_class()


def test_defaults_that_are_conventions():
    # Those with 95 % efficiency are compared with the computed constants in test_tuning.py.
    defaults = [SmoothL1(1.0), LogCosh(1.0), Quantile(0.5), EpsilonInsensitive(0.1)]
    assert [type(loss)() for loss in defaults] == defaults


@dataclass(frozen=True)
class Fair(ConvexLoss):
    """A loss as a user would add it: three formulas, a conjugate and its domain."""

    c: float = 1.3998

    tunable = True

    @property
    def conjugate_domain(self):
        return (-self.c, self.c)

    def _rho(self, r):
        u = np.abs(r) / self.c
        return self.c**2 * (u - np.log1p(u))

    def _psi(self, r):
        return r / (1.0 + np.abs(r) / self.c)

    def _psi_prime(self, r):
        return 1.0 / (1.0 + np.abs(r) / self.c) ** 2

    def _conjugate(self, v):
        t = np.abs(v) / self.c
        return -(self.c**2) * (t + np.log1p(-t))

    def _conjugate_of_psi(self, r):
        u = np.abs(r) / self.c
        return self.c**2 * (np.log1p(u) - u / (1.0 + u))


def test_a_loss_can_be_added_from_outside():
    loss = get_loss(Fair(2.0))
    assert isinstance(loss, ResidualLoss)
    assert loss.weights(0.0) == 1.0
    assert loss.weights(2.0) == 0.5
    r = np.linspace(-3.0, 3.0, 31)
    assert_allclose(loss.rho(r) + loss.conjugate(loss.psi(r)), r * loss.psi(r), atol=1e-14)
    assert 0.0 < loss.kappa < 0.5
    assert loss([1.0], [1.0]) == 0.0
    check_loss(loss)
    check_loss(LopsidedHuber())
    with pytest.raises(TypeError, match="abstract"):
        ConvexLoss()

"""check_loss passes every right loss and names what is wrong with every other one."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from robustreg import MRegressor
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
)

FAMILIES = [Huber, SmoothL1, PseudoHuber, LogCosh, EpsilonInsensitive]
FAMILIES += [Bisquare, Welsch, Cauchy, Andrews]
RIGHT = [Squared(), HalfSquared(), Absolute(), SmoothL1(0.0), EpsilonInsensitive(0.0)]
RIGHT += [Quantile(q) for q in (1e-9, 0.05, 0.5, 0.8, 1.0 - 1e-9)]
RIGHT += [family() for family in FAMILIES]
RIGHT += [family(c) for family in FAMILIES for c in (1e-50, 1e-9, 0.3, 1.0, 4.0, 1e9, 1e50)]
RIGHT += [Hampel.from_tuning_constant(c) for c in (1e-50, 0.3, 1.352, 1e50)]
RIGHT += [Hampel(1.0, 1.0, 2.5), Hampel(2.0, 4.0, 8.0)]


@pytest.mark.parametrize("loss", RIGHT, ids=repr)
def test_right_losses_pass(loss):
    assert check_loss(loss) is None


def test_every_loss_of_the_registry_is_among_these():
    assert {type(loss) for loss in RIGHT} == set(LOSSES.values())


@pytest.mark.parametrize("loss", ["huber", Huber, None])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(TypeError, match="loss must be a ResidualLoss such as"):
        check_loss(loss)


def changed(loss, /, **members):
    """A loss of a subclass with members replaced, as a user's mistake would have them."""
    return type("Mine", (type(loss),), members)(*vars(loss).values())


@dataclass(frozen=True)
class TwoSlopes(ConvexLoss):
    """Squares with another factor on each side: psi' jumps at 0."""

    smoothness = 1
    curvature = 3.0
    homogeneity = 2

    def kinks(self):
        return (0.0,)

    def _factor(self, r):
        return np.where(r > 0, 3.0, 1.0)

    def _rho(self, r):
        return 0.5 * self._factor(r) * r * r

    def _psi(self, r):
        return self._factor(r) * r

    def _psi_prime(self, r):
        return self._factor(r)

    def _conjugate(self, v):
        return 0.5 * v * v / self._factor(v)


@dataclass(frozen=True)
class Naive(ConvexLoss):
    """Pseudo-Huber in the customary form, which cancels near 0; nothing overflows."""

    conjugate_domain = (-1.0, 1.0)

    def _rho(self, r):
        return np.hypot(1.0, r) - 1.0

    def _psi(self, r):
        return r / np.hypot(1.0, r)

    def _psi_prime(self, r):
        return np.hypot(1.0, r) ** -3.0

    def _conjugate(self, v):
        return 1.0 - np.sqrt((1.0 - v) * (1.0 + v))


@dataclass(frozen=True)
class Logarithmic(ConvexLoss):
    """Psi grows without end, but slowly; the conjugate is finite everywhere."""

    def _rho(self, r):
        x = np.abs(r)
        return np.where(
            x > 1e-3, (1.0 + x) * np.log1p(x) - x, 0.5 * x * x * (1.0 - x / 3 + x * x / 6)
        )

    def _psi(self, r):
        return np.sign(r) * np.log1p(np.abs(r))

    def _psi_prime(self, r):
        return 1.0 / (1.0 + np.abs(r))

    def _conjugate(self, v):
        x = np.abs(v)
        return np.expm1(x) - x


@dataclass(frozen=True)
class Sharp(ResidualLoss):
    """Geman and McClure's loss in units of a hundredth; it has no kinks, and no constant."""

    sup_rho = 5e-5
    redescending = True

    def _share(self, r):
        return 1.0 / (1.0 + np.square(100.0 * r))

    def _rho(self, r):
        u = np.abs(100.0 * r)
        return 5e-5 * np.where(u < 1.0, np.square(u) * self._share(r), 1.0 - self._share(r))

    def _psi(self, r):
        return np.clip(r, -1e100, 1e100) * self._share(r) ** 2

    def _psi_prime(self, r):
        return self._share(r) ** 2 * (4.0 * self._share(r) - 3.0)


@pytest.mark.parametrize("loss", [TwoSlopes(), Naive(), Logarithmic(), Sharp()], ids=repr)
def test_right_losses_of_other_shapes_pass(loss):
    check_loss(loss)


def log_cosh_that_overflows(self, r):
    return np.log(np.cosh(r))


ABOUT_PSI = r"^Mine\._psi\(\S+\) is \S+, but the derivative of _rho there is \S+\.$"
ABOUT_PSI_PRIME = r"^Mine\._psi_prime\(\S+\) is \S+, but the derivative of _psi there is \S+\.$"
HUBER, COSH, SQUARES = Huber(1.5), LogCosh(1.0), HalfSquared()
HAMPEL = Hampel(1.0, 2.0, 3.0)

WRONG = {
    "psi doubled": (HUBER, {"_psi": lambda self, r: 2.0 * Huber._psi(self, r)}, ABOUT_PSI),
    "psi of the wrong sign": (COSH, {"_psi": lambda self, r: -LogCosh._psi(self, r)}, ABOUT_PSI),
    "psi off by 1e-4": (COSH, {"_psi": lambda self, r: (1 + 1e-4) * np.tanh(r)}, ABOUT_PSI),
    "psi off in places": (
        COSH,
        {"_psi": lambda self, r: np.tanh(r) + 0.01 * (np.abs(r + 7.0) < 0.1)},
        ABOUT_PSI,
    ),
    "psi jumps": (
        COSH,
        {
            "_rho": lambda self, r: LogCosh._rho(self, r) + np.maximum(r - 2.0, 0.0),
            "_psi": lambda self, r: np.tanh(r) + (r > 2.0),
        },
        r"^Mine\._psi jumps from 0\.96\d+ to 1\.96\d+ at about 2, which is not among kinks\(\), ",
    ),
    "psi off far out": (
        COSH,
        {"_psi": lambda self, r: np.tanh(r) * (1.0 + 1e-3 * np.tanh(np.abs(r) * 1e-100))},
        ABOUT_PSI,
    ),
    "rho off": (COSH, {"_rho": lambda self, r: 1.01 * LogCosh._rho(self, r)}, ABOUT_PSI),
    "rho without its limit far out": (
        COSH,
        {"_rho": log_cosh_that_overflows},
        r"^Mine\._rho becomes infinite at about 710\.\d+, but _psi there is 1\.$",
    ),
    "rho jumps": (
        HUBER,
        {"_rho": lambda self, r: Huber._rho(self, r) + (np.abs(r) > 1.0)},
        r"^Mine\._rho jumps from \S+ to \S+ at about -?1, but must be continuous",
    ),
    "rho jumps at a kink": (
        HUBER,
        {"_rho": lambda self, r: Huber._rho(self, r) + (np.abs(r) > 1.5)},
        r"^Mine\._rho jumps from \S+ to \S+ at -1\.5\.$",
    ),
    "rho not 0 at 0": (
        COSH,
        {"_rho": lambda self, r: LogCosh._rho(self, r) + 0.5},
        r"^Mine\._rho\(0\) is 0\.5, but the value there is 0\.$",
    ),
    "rho negative": (
        COSH,
        {
            name: lambda self, r, name=name: -getattr(LogCosh, name)(self, r)
            for name in ("_rho", "_psi", "_psi_prime")
        },
        r"^Mine\._rho\(1\) is -0\.43\d+, but its minimum is 0\.$",
    ),
    "psi not 0 at 0": (
        Absolute(),
        {"_psi": lambda self, r: np.where(r >= 0, 1.0, -1.0)},
        r"^Mine\._psi\(0\) is 1, but the value there is 0\.$",
    ),
    "psi NaN at 0": (
        Absolute(),
        {"_psi": lambda self, r: r / np.abs(r)},
        r"^Mine\._psi\(0\) is nan, but must be a number\.$",
    ),
    "psi overflows": (
        PseudoHuber(1.0),
        {"_psi": lambda self, r: r / np.sqrt(1.0 + r * r)},
        ABOUT_PSI,
    ),
    "psi NaN far out": (
        PseudoHuber(1.0),
        {"_psi": lambda self, r: r * np.sqrt(1.0 + r * r) / (1.0 + r * r)},
        r"^Mine\._psi\(\S+\) is nan",
    ),
    "psi infinite far out": (
        COSH,
        {"_psi": lambda self, r: np.where(np.abs(r) > 1e200, r * np.inf, np.tanh(r))},
        ABOUT_PSI,
    ),
    "psi' doubled": (COSH, {"_psi_prime": lambda self, r: 2.0 / np.cosh(r) ** 2}, ABOUT_PSI_PRIME),
    "psi' of the wrong sign": (
        Cauchy(1.0),
        {"_psi_prime": lambda self, r: -Cauchy._psi_prime(self, r)},
        ABOUT_PSI_PRIME,
    ),
    "psi' NaN far out": (
        COSH,
        {"_psi_prime": lambda self, r: 1.0 - (np.sinh(r) / np.cosh(r)) ** 2},
        r"^Mine\._psi_prime\(\S+\) is nan",
    ),
    "psi' not one-sided at a kink": (
        HUBER,
        {"_psi_prime": lambda self, r: Huber._psi_prime(self, r) + 4.0 * (r == 1.5)},
        r"^Mine\._psi_prime\(1\.5\) is 5, but must lie between its limits from both sides, 1 and 0",
    ),
    "psi no subgradient at a kink": (
        EpsilonInsensitive(1.5),
        {"_psi": lambda self, r: np.sign(r) * (np.abs(r) > 1.5) - 2.0 * (r == 1.5)},
        r"^Mine\._psi\(1\.5\) is -2, but must lie between its limits from both sides, 0 and 1",
    ),
    "psi' infinite beside a jump of it": (
        Huber(1.0),
        {"_psi_prime": lambda self, r: np.where(r == 0, np.inf, Huber._psi_prime(self, r))},
        r"^Mine\._psi_prime\(0\) is inf, but must be bounded unless psi jumps\.$",
    ),
    "psi' infinite": (
        COSH,
        {"_psi_prime": lambda self, r: np.where(r == 0, np.inf, LogCosh._psi_prime(self, r))},
        r"^Mine\._psi_prime\(0\) is inf, but must be bounded unless psi jumps\.$",
    ),
    "weights without their limit": (
        COSH,
        {"_weights": lambda self, r: np.tanh(r) / r},
        r"^Mine\._weights\(0\) is nan",
    ),
    "weights of another limit": (
        COSH,
        {"_weights": lambda self, r: np.where(r == 0, 2.0, ResidualLoss._weights(self, r))},
        r"^Mine\._weights\(0\) is 2, but the limit of _psi\(r\) / r is 1\.$",
    ),
    "weights finite at a kink": (
        Absolute(),
        {"_weights": lambda self, r: 1.0 / np.maximum(np.abs(r), 1e-300)},
        r"^Mine\._weights\(0\) is 1e\+300, but the limit of _psi\(r\) / r is inf\.$",
    ),
    "weights wrong": (
        COSH,
        {"_weights": lambda self, r: 1.0 / np.cosh(r)},
        r"^Mine\._weights\(1\) is 0\.648\d+, but _psi\(r\) / r there is 0\.761\d+\.$",
    ),
    "weights negative": (
        COSH,
        {"_weights": lambda self, r: -ResidualLoss._weights(self, r)},
        r"^Mine\._weights\(0\) is -1, but the least value allowed",
    ),
    "rho and lever": (
        Bisquare(2.0),
        {"_rho_and_lever": lambda self, r: (self._rho(r), self._psi(r))},
        r"^Mine\._rho_and_lever for r psi",
    ),
    "kinks not stated": (
        HUBER,
        {"kinks": lambda self: ()},
        r"^Mine\._psi_prime jumps from \S+ to \S+ at about -?1\.5, which is not among kinks\(\), ",
    ),
    "kink at 0 not stated": (
        Absolute(),
        {"kinks": lambda self: ()},
        r"^Mine\.kinks\(\) is \(\), but _psi jumps at 0\.0\.$",
    ),
    "bend at 0 not stated": (
        TwoSlopes(),
        {"kinks": lambda self: (), "smoothness": 2},
        r"^Mine\.kinks\(\) is \(\), but _psi_prime jumps at 0\.0\.$",
    ),
    "kinks too many": (
        HUBER,
        {"kinks": lambda self: (-1.5, 1.5, 3.0)},
        r"^Mine\.kinks\(\) has 3\.0, but neither _psi nor _psi_prime jumps there",
    ),
    "kinks unsorted": (HUBER, {"kinks": lambda self: (1.5, -1.5)}, r"in increasing order"),
    "kinks a list": (
        HUBER,
        {"kinks": lambda self: [-1.5, 1.5]},
        r"must be a method that returns a",
    ),
    "kinks no method": (HUBER, {"kinks": (-1.5, 1.5)}, r"must be a method .* got \(-1\.5, 1\.5\)"),
    "kinks no numbers": (HUBER, {"kinks": lambda self: ("a",)}, r"must be a method that returns a"),
    "smoothness too large": (HUBER, {"smoothness": 2}, r"^Mine\.smoothness is 2, but .*1 is expec"),
    "smoothness too small": (HUBER, {"smoothness": 0}, r"^Mine\.smoothness is 0, but .*1 is expec"),
    "smoothness 1 of a jump": (
        Absolute(),
        {"smoothness": 1},
        r"^Mine\.smoothness is 1, .*0 is exp",
    ),
    "smoothness no number": (COSH, {"smoothness": "high"}, r"^Mine\.smoothness must be 0, 1 or 2"),
    "convex but falling": (
        None,
        {},
        r"^Mine\._psi\(\S+\) is \S+, but psi of a convex loss never falls: at least \S+ is expec",
    ),
    "convex not stated": (
        COSH,
        {"convex": False},
        r"^Mine\.convex is False, but the class derives",
    ),
    "convex but derived from ResidualLoss": (
        None,
        {},
        r"^Monotone\.convex is False, but _psi nowhere falls: derive the class from ConvexLoss\.$",
    ),
    "convex without a conjugate": (
        Bisquare(2.0),
        {"convex": True},
        r"^Mine\.convex is True, but the class does not derive from ConvexLoss",
    ),
    "curvature too small": (
        SQUARES,
        {"curvature": 0.5},
        r"^Mine\.curvature is 0\.5, but .* is 1\.$",
    ),
    "curvature too large": (COSH, {"curvature": 1.1}, r"^Mine\.curvature is 1\.1, but .* is 1\.$"),
    "curvature finite at a jump": (
        Absolute(),
        {"curvature": 1.0},
        r"^Mine\.curvature .* but inf is",
    ),
    "curvature infinite": (
        COSH,
        {"curvature": math.inf},
        r"^Mine\.curvature is inf, but .* is 1\.$",
    ),
    "curvature no number": (COSH, {"curvature": None}, r"^Mine\.curvature is None, but .* is 1\.$"),
    "sup_rho too large": (
        HAMPEL,
        {"sup_rho": 3.0},
        r"^Mine\.sup_rho is 3\.0, .* is 2: it is 2 at 1",
    ),
    "sup_rho too small": (
        HAMPEL,
        {"sup_rho": 0.1},
        r"^Mine\.sup_rho is 0\.1, .* is 2: it is 2 at 1",
    ),
    "sup_rho not stated": (
        HAMPEL,
        {"sup_rho": math.inf},
        r"^Mine\.sup_rho is inf, .* is 2: it is",
    ),
    "sup_rho of an unbounded loss": (Cauchy(1.0), {"sup_rho": 345.0}, r"^Mine\.sup_rho .* is inf:"),
    "redescending not stated": (
        Welsch(1.0),
        {"redescending": False},
        r"^Mine\.redescending is False, but True is expected",
    ),
    "redescending of a monotone psi": (
        COSH,
        {"redescending": True},
        r"^Mine\.redescending is True, but False is expected: _psi\(1e\+300\) is 1, and the larg",
    ),
    "homogeneity not stated": (
        Squared(),
        {"homogeneity": None},
        r"^Mine\.homogeneity is None, but for its _rho 2 is expected",
    ),
    "homogeneity of none": (
        HUBER,
        {"homogeneity": 1},
        r"^Mine\.homogeneity is 1, .* None is expec",
    ),
    "homogeneity of another degree": (SQUARES, {"homogeneity": 1}, r"is 1, but .* 2 is expected"),
    "homogeneity far from all": (HUBER, {"homogeneity": 3}, r"is 3, but .* None is expected"),
    "elicits the mean": (
        HUBER,
        {"elicits": "mean"},
        r"^Mine\.elicits is 'mean', but 'location' is",
    ),
    "elicits a location": (
        SQUARES,
        {"elicits": "location"},
        r"but 'mean' is expected of a symmetric",
    ),
    "elicits the median": (
        Quantile(0.3),
        {"elicits": "median"},
        r"but 'quantile' is expected of a lopsided loss of homogeneity 1",
    ),
    "tunable with one member": (
        COSH,
        {"from_tuning_constant": classmethod(lambda cls, constant: cls())},
        r"^Mine\.tunable is True, but from_tuning_constant",
    ),
    "tunable without a constant": (
        None,
        {},
        r"^Plain\.tunable is True, but the class is no dataclass\.$",
    ),
    "conjugate wrong": (
        SQUARES,
        {"_conjugate": lambda self, v: v * v},
        r"^Mine\._conjugate\(\S+\) is \S+, but sup v r - rho\(r\) is \S+\.$",
    ),
    "conjugate negative": (
        COSH,
        {"_conjugate": lambda self, v: -LogCosh._conjugate(self, v)},
        r"^Mine\._conjugate\(\S+\) is \S+, but sup v r - rho\(r\) is \S+\.$",
    ),
    "conjugate wrong between the values of psi": (
        EpsilonInsensitive(1.0),
        {"_conjugate": lambda self, v: v * v},
        r"^Mine\._conjugate\(0\.75\) is 0\.5625, but sup v r - rho\(r\) is 0\.75\.$",
    ),
    "conjugate without its limit at the end": (
        PseudoHuber(1.0),
        {
            "_conjugate": lambda self, v: np.where(
                np.abs(v) < 1.0, PseudoHuber._conjugate(self, v), 0.0
            )
        },
        r"^Mine\._conjugate\(1\) is 0, but sup v r - rho\(r\) is 0\.9999999\d+\.$",
    ),
    "conjugate NaN at the end": (
        COSH,
        {
            "_conjugate": lambda self, v: (
                0.5 * ((1.0 + v) * np.log1p(v) + (1.0 - v) * np.log1p(-v))
            ),
            "_conjugate_of_psi": LogCosh._conjugate_of_psi,
        },
        r"^Mine\._conjugate\w*\(\S+\) is nan",
    ),
    "conjugate finite beyond": (
        HUBER,
        {"conjugate": lambda self, v: 0.5 * np.square(v)},
        r"^Mine\.conjugate is overridden; formulas belong into the hook _conjugate",
    ),
    "domain too large": (
        COSH,
        {"conjugate_domain": (-2.0, 2.0)},
        r"^Mine\.conjugate_domain is .* but",
    ),
    "domain of all": (
        COSH,
        {"conjugate_domain": (-math.inf, math.inf)},
        r"^Mine\.conjugate_domain is \(-inf, inf\), but _psi goes from -1 at -1e\+300 to 1 at 1e",
    ),
    "domain too small": (
        COSH,
        {"conjugate_domain": (-0.5, 0.5)},
        r"^Mine\._psi\(\S+\) is \S+, but the end of conjugate_domain is -?0\.5\.$",
    ),
    "domain of a parabola": (
        SQUARES,
        {"conjugate_domain": (-9.0, 9.0)},
        r"conjugate_domain is -?9",
    ),
    "domain no pair": (SQUARES, {"conjugate_domain": None}, r"^Mine\.conjugate_domain must be two"),
    "domain without 0": (
        COSH,
        {"conjugate_domain": (1.0, 2.0)},
        r"must be two numbers with 0 betw",
    ),
    "conjugate of psi wrong": (
        COSH,
        {"_conjugate_of_psi": lambda self, r: self._rho(r)},
        r"^Mine\._conjugate_of_psi\(\S+\) is \S+, but r psi\(r\) - rho\(r\) is \S+\.$",
    ),
    "conjugate of psi wrong where it cancels": (
        PseudoHuber(1.0),
        {
            "_conjugate_of_psi": lambda self, r: (
                PseudoHuber._conjugate_of_psi(self, r) + 1e-7 * r * r
            )
        },
        r"^Mine\._conjugate_of_psi",
    ),
    "conjugate of psi infinite far out": (
        None,
        {},
        r"^Fair\._conjugate_of_psi\(\S+\) is inf, but r psi\(r\) - rho\(r\) is \S+\.$",
    ),
    "conjugate no parabola": (
        COSH,
        {"quadratic_conjugate": True},
        r"^Mine\._conjugate\(\S+\) is \S+, but v\^2 / \(2 curvature\), by the trait quadratic_conj",
    ),
    "kappa wrong": (
        HUBER,
        {"kappa": 0.5},
        r"^Mine\.kappa is 0\.5, but E\[Z psi\(Z\) - rho\(Z\)\] is 0",
    ),
    "formula in the public method": (
        COSH,
        {"psi": lambda self, r: np.tanh(r)},
        r"^Mine\.psi is overridden; formulas belong into the hook _psi\.$",
    ),
    "hook returns a scalar": (
        SQUARES,
        {"_psi_prime": lambda self, r: 1.0},
        r"^Mine\._psi_prime must return an array of the shape and dtype .* but returned 1\.0\.$",
    ),
    "hook returns booleans": (
        HUBER,
        {"_psi_prime": lambda self, r: np.abs(r) <= 1.5},
        r"^Mine\._psi_prime must return an array .* but returned one of \(12,\) and bool\.$",
    ),
    "hook returns its argument": (
        SQUARES,
        {"_psi": lambda self, r: r},
        r"^Mine\._psi returned the",
    ),
    "hook changes its argument": (
        SQUARES,
        {"_rho": lambda self, r: np.multiply(0.5 * r, r, out=r) + 0.0},
        r"^Mine\._rho changed the array",
    ),
    "hook raises": (
        COSH,
        {"_rho": lambda self, r: np.array([math.log(math.cosh(x)) for x in r])},
        r"^Mine\._rho raised (OverflowError|TypeError)\(.* for an array of \d+ numbers from ",
    ),
    "hook not elementwise": (
        COSH,
        {"_psi": lambda self, r: np.tanh(r) + 0.01 * np.tanh(r - r.ravel()[0])},
        r"^Mine\._psi\(\S+\) is \S+, but as an entry of another array it is \S+\.$",
    ),
}


class Mine(ConvexLoss):
    """A redescending loss that says it is convex."""

    conjugate_domain = (-1.0, 1.0)

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 0

    def _rho(self, r):
        return Bisquare(2.0).rho(r)

    def _psi(self, r):
        return Bisquare(2.0).psi(r)

    def _psi_prime(self, r):
        return Bisquare(2.0).psi_prime(r)

    def _conjugate(self, v):
        return 0.5 * v * v


@dataclass(frozen=True)
class Fair(ConvexLoss):
    """Right but for the conjugate at psi, which rounds to the end of its domain far out."""

    conjugate_domain = (-1.0, 1.0)

    def _rho(self, r):
        x = np.abs(r)
        return np.maximum(x - np.log1p(x), 0.0)

    def _psi(self, r):
        return r / (1.0 + np.abs(r))

    def _psi_prime(self, r):
        return 1.0 / (1.0 + np.abs(r)) ** 2

    def _conjugate(self, v):
        t = np.abs(v)
        return -t - np.log1p(-t)


@dataclass(frozen=True)
class Monotone(ResidualLoss):
    """Convex, but without a conjugate."""

    _rho, _psi, _psi_prime = Naive._rho, Naive._psi, Naive._psi_prime


class Plain(ResidualLoss):
    """A value, but no dataclass."""

    redescending = True
    tunable = True
    c = 1.0

    _rho, _psi, _psi_prime = Cauchy._rho, Cauchy._psi, Cauchy._psi_prime
    _weights = Cauchy._weights

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 0


WHOLE = {
    "convex but falling": Mine,
    "convex but derived from ResidualLoss": Monotone,
    "tunable without a constant": Plain,
    "conjugate of psi infinite far out": Fair,
}


def wrong_loss(name):
    loss, members, _ = WRONG[name]
    return changed(loss, **members) if loss else WHOLE[name]()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_losses_are_named(name):
    with pytest.raises(ValueError, match=WRONG[name][2]):
        check_loss(wrong_loss(name))


# ------------------------------------------------------------------ MRegressor


RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
Y = X[:, 0] + RNG.standard_t(3, size=60)


@pytest.mark.parametrize("scale", ["joint", "mad", 1.0])
@pytest.mark.parametrize(
    "name",
    [
        "psi doubled",
        "psi overflows",
        "psi NaN at 0",
        "psi' of the wrong sign",
        "curvature too small",
        "conjugate wrong",
        "conjugate of psi infinite far out",
        "sup_rho too large",
    ],
)
def test_a_fit_names_what_is_wrong_with_a_loss(name, scale):
    model = MRegressor(wrong_loss(name), scale=scale)
    for _ in range(2):  # a failure is not remembered as a success
        with pytest.raises(ValueError, match=WRONG[name][2]):
            model.fit(X, Y)
    assert not hasattr(model, "coef_")


@dataclass(frozen=True)
class Named(Naive):
    """A loss with a parameter: two of the same name are equal."""

    name: str


def test_a_loss_is_checked_once(monkeypatch):
    checked = []
    monkeypatch.setattr(
        "robustreg.losses._check.check_loss", lambda loss: checked.append(loss) or check_loss(loss)
    )
    for name in ("one", "two", "one"):  # equal to the first, but another object
        MRegressor(Named(name)).fit(X, Y)
    assert checked == [Named("one"), Named("two")]


def test_losses_of_the_package_are_not_checked(monkeypatch):
    def refuse(loss):
        raise AssertionError(loss)

    monkeypatch.setattr("robustreg.losses._check.check_loss", refuse)
    for loss in ("log_cosh", Huber(1.2345), Bisquare(4.0)):
        MRegressor(loss, random_state=0).fit(X, Y)
    with pytest.raises(AssertionError, match="Named"):
        MRegressor(Named("three")).fit(X, Y)


class Unhashable(Naive):
    __hash__ = None


class Unequal(Naive):
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


@pytest.mark.parametrize("kind", [Unhashable, Unequal])
def test_a_loss_that_is_no_value_is_refused(kind):
    message = rf"{kind.__name__} must be hashable, and equal to a copy of itself: declare it @datac"
    for refused in (check_loss, lambda loss: MRegressor(loss).fit(X, Y)):
        with pytest.raises(ValueError, match=message):
            refused(kind())


@pytest.mark.parametrize("loss", [TwoSlopes(), Naive(), Logarithmic(), Sharp()], ids=repr)
@pytest.mark.parametrize("scale", ["joint", "mad", 1.0])
def test_right_losses_are_fitted(loss, scale):
    fit = MRegressor(loss, scale=scale, random_state=0).fit(X, Y)
    assert fit.converged_
    assert np.isnan(fit.dual_gap_) == (not loss.convex)
    at = 1.0 if scale == 1.0 else fit.scale_
    if scale == 1.0 or (scale == "joint" and loss.convex):  # else the scale is not published
        slopes = np.column_stack([X, np.ones(60)]).T @ loss.psi((Y - fit.predict(X)) / at)
        assert np.abs(slopes).max() < 1e-6


def test_squares_of_two_slopes_are_no_least_squares():
    fit = MRegressor(TwoSlopes(), scale=1.0).fit(X, Y)
    assert fit.solver_ == "newton"
    with pytest.raises(ValueError, match="solver='direct' does not support the loss TwoSlopes"):
        MRegressor(TwoSlopes(), scale=1.0, solver="direct").fit(X, Y)


@dataclass(frozen=True)
class Tube(ConvexLoss):
    """Huber's loss beyond a tube of residuals that cost nothing."""

    smoothness = 1
    conjugate_domain = (-1.0, 1.0)

    def kinks(self):
        return (-1.5, -0.5, 0.5, 1.5)

    def _rho(self, r):
        return Huber(1.0).rho(np.maximum(np.abs(r) - 0.5, 0.0))

    def _psi(self, r):
        return np.sign(r) * np.clip(np.abs(r) - 0.5, 0.0, 1.0)

    def _psi_prime(self, r):
        return 1.0 * ((np.abs(r) > 0.5) & (np.abs(r) <= 1.5))

    def _conjugate(self, v):
        return 0.5 * v * v + 0.5 * np.abs(v)


def test_a_loss_without_weight_at_zero_is_right_but_not_fitted():
    check_loss(Tube())
    with pytest.raises(
        ValueError, match=r"positive weight at residual 0.*Tube\(\).weights\(0.0\) is"
    ):
        MRegressor(Tube()).fit(X, Y)

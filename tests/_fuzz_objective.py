"""The objective of the design in extended precision, for the judge of the fuzz.

Written from docs/design.md, sections 1 and 2, and apart from the package: losses, kappa and units
are derived anew, and everything is computed in ``np.longdouble`` (64 bits of mantissa and an
exponent up to 1e4932 on x86), in which no table of doubles overflows.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np

LONG = np.longdouble
EPS = float(np.finfo(np.float64).eps)
SMALLEST = LONG(5e-324)
MAD_FACTOR = LONG("1.48260221850560186054")


def huber(z, delta):
    inner = np.minimum(np.abs(z), delta)
    return inner * (np.abs(z) - inner / 2)


def log_cosh(z, c):
    u = np.abs(z) / c
    near = np.log1p(np.sinh(np.minimum(u, 1)) ** 2) / 2
    return c * c * np.where(u < 1, near, u + np.log1p(np.exp(-2 * u)) - np.log(LONG(2)))


def log_cosh_star(z, c):
    u = np.abs(z) / c
    near = c * c * u * np.tanh(u) - log_cosh(z, c)
    tail = np.log1p(np.exp(-2 * u)) + 2 * u / (np.exp(np.minimum(2 * u, 10000)) + 1)
    return np.where(u < 1, near, c * c * (np.log(LONG(2)) - tail))


def root(z, delta):
    return np.sqrt(1 + (z / delta) ** 2)


# rho, psi, psi' and rho*(psi(z)) = z psi(z) - rho(z) of every smooth loss, then sup |psi|
FORMULAS = {
    "Huber": (
        huber,
        lambda z, d: np.clip(z, -d, d),
        lambda z, d: (np.abs(z) <= d) * LONG(1),
        lambda z, d: np.minimum(np.abs(z), d) ** 2 / 2,
        lambda d: d,
    ),
    "SmoothL1": (
        lambda z, b: huber(z, b) / b,
        lambda z, b: np.clip(z, -b, b) / b,
        lambda z, b: (np.abs(z) <= b) / b,
        lambda z, b: np.minimum(np.abs(z), b) ** 2 / (2 * b),
        lambda b: LONG(1),
    ),
    "PseudoHuber": (
        lambda z, d: z * z / (1 + root(z, d)),
        lambda z, d: z / root(z, d),
        lambda z, d: root(z, d) ** -3,
        lambda z, d: z * z / (root(z, d) * (1 + root(z, d))),
        lambda d: d,
    ),
    "LogCosh": (
        log_cosh,
        lambda z, c: c * np.tanh(z / c),
        lambda z, c: np.cosh(np.minimum(np.abs(z) / c, 5000)) ** -2,
        log_cosh_star,
        lambda c: c,
    ),
    "Squared": (
        lambda z: z * z,
        lambda z: 2 * z,
        lambda z: 2 + 0 * z,
        lambda z: z * z,
        lambda: LONG(np.inf),
    ),
    "HalfSquared": (
        lambda z: z * z / 2,
        lambda z: z,
        lambda z: 1 + 0 * z,
        lambda z: z * z / 2,
        lambda: LONG(np.inf),
    ),
}


@dataclass(frozen=True)
class Formula:
    """A loss: its name in the package and its constants; "Quantile" has slopes q - 1 and q."""

    name: str
    constants: tuple

    @property
    def homogeneous(self):
        return self.name in ("Absolute", "Quantile")

    @property
    def slopes(self):
        """The ends of psi's range."""
        if self.name == "Absolute":
            return LONG(-1), LONG(1)
        if self.name == "Quantile":
            return LONG(self.constants[0]) - 1, LONG(self.constants[0])
        steepest = FORMULAS[self.name][4](*map(LONG, self.constants))
        return -steepest, steepest

    def _call(self, which, z):
        return FORMULAS[self.name][which](z, *map(LONG, self.constants))

    def rho(self, z):
        if self.homogeneous:
            low, high = self.slopes
            return np.maximum(high * z, low * z)
        return self._call(0, z)

    def psi(self, z):
        return self._call(1, z)

    def psi_prime(self, z):
        return self._call(2, z)

    def star(self, z):
        return self._call(3, z)


@lru_cache(maxsize=4096)
def kappa(loss):
    """E rho*(psi(Z)) by Gauss-Legendre quadrature, in panels that crowd at the loss's constant."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    nodes, weights = nodes.astype(LONG), weights.astype(LONG)
    ends = np.concatenate([[0.0], np.geomspace(1e-12, 1e3, 61), loss.constants])
    ends = np.unique(np.append(ends[ends < 30], 30.0)).astype(LONG)
    total = LONG(0)
    for left, right in pairwise(ends):
        z = (left + right) / 2 + (right - left) / 2 * nodes
        density = np.exp(-z * z / 2) / np.sqrt(2 * LONG("3.14159265358979323846"))
        total += (right - left) * np.sum(weights * loss.star(z) * density)
    return total


def median(x, share):
    """Weighted median: the midpoint where half of the weight lies on either side."""
    order = np.argsort(x, kind="stable")
    x, below = x[order], np.cumsum(share[order])
    x, below = x[share[order] > 0], below[share[order] > 0]
    low = int(np.searchsorted(below, below[-1] * (0.5 - LONG(0.5e-12))))
    if abs(2 * below[low] - below[-1]) <= 1e-12 * below[-1] and low + 1 < len(x):
        return x[low] / 2 + x[low + 1] / 2
    return x[low]


def mad(x, share, center=None):
    center = median(x, share) if center is None else center
    return MAD_FACTOR * median(np.abs(x - center), share)


@dataclass
class Objective:
    """F of one problem; ``scale`` is a fixed one, or None for a joint scale.

    ``l2`` is for least squares, where F is a mean square without units.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    loss: Formula
    scale: float | None
    alpha: float = 0.0
    l1_ratio: float = 0.0
    positive: bool = False
    fit_intercept: bool = True
    eps: float = EPS
    unit: np.longdouble = field(init=False)

    def __post_init__(self):
        weight = np.ones(len(self.y)) if self.weight is None else np.asarray(self.weight)
        kept = weight > 0
        self.kept = kept
        self.X, self.y = (
            np.asarray(self.X)[kept].astype(LONG),
            np.asarray(self.y)[kept].astype(LONG),
        )
        self.share = weight[kept].astype(LONG)
        # as documented, smaller weights count as what is the least normal number of the largest
        self.share = np.maximum(self.share, np.finfo(float).tiny * self.share.max())
        self.share = self.share / self.share.sum()
        self.size_of_X = np.abs(self.X)
        self.joint = self.scale is None
        self.kappa = kappa(self.loss) if self.joint else LONG(0)
        self.l1 = LONG(self.alpha) * LONG(self.l1_ratio)
        self.unit = LONG(1.0 if self.joint else self.scale)
        if self.joint or self.loss.homogeneous:
            self.unit = self._spread()[1] or LONG(1)
        self.ridge = LONG(self.alpha) * (1 - LONG(self.l1_ratio)) / self.unit
        self.kinked = bool(self.l1 > 0 or self.positive)

    def _spread(self, centred=False):
        """The spread of y that says what counts as 0, and the penalty's unit."""
        centred = centred or self.fit_intercept
        center = median(self.y, self.share) if centred else LONG(0)
        off = np.abs(self.y - center)
        spread = unit = mad(self.y, self.share, center)
        if spread == 0 and off.any():
            spread = mad(self.y[off > 0], self.share[off > 0], center)
            unit = np.sqrt(self.share @ off**2)
        return spread, unit

    @property
    def spread(self):
        return self._spread()[0]

    @property
    def exact(self):
        """Residuals up to here count as 0: 1e-9 of the spread of y about its median.

        But what is rounding beside y is 0 as well, without an intercept to take its centre away.
        """
        own = self._spread(centred=True)[0] or self.spread
        return LONG(min(max(1e-9 * own, 64 * EPS * self.spread), 1e-9 * self.spread))

    def residual(self, coef, intercept):
        return self.y - self.X @ np.asarray(coef, LONG) - LONG(intercept)

    def penalty(self, coef):
        coef = np.asarray(coef, LONG)
        if self.positive and coef.min(initial=0) < 0:
            return LONG(np.inf)
        value = LONG(0)
        if self.ridge:
            value += self.ridge / 2 * (coef @ coef)
        if self.l1:
            value += self.l1 * np.abs(coef).sum()
        return value

    def loss_at(self, residual, sigma=None):
        """The first part of F, for one vector of residuals or for several columns of them."""
        if self.loss.homogeneous:
            return self.share @ self.loss.rho(residual)
        if not self.joint:
            sigma = LONG(self.scale)
        elif sigma is None:
            return min(self._limit(residual), self.loss_at(residual, self.best_sigma(residual)))
        if np.ndim(sigma) == 0 and sigma == 0:
            return self._limit(residual)
        return sigma * (self.share @ self.loss.rho(residual / sigma)) + self.kappa * sigma

    def _limit(self, residual):
        """F at sigma = 0."""
        if not residual.any():
            return LONG(0)
        return self.loss.slopes[1] * (self.share @ np.abs(residual))

    def best_sigma(self, residual, start=None):
        """Where mean rho*(psi(r / sigma)) is kappa; 0 where it is less for every sigma."""
        size = np.abs(residual)
        largest = size.max()
        if largest == 0 or not np.isfinite(largest):
            return LONG(0)
        sup = self.loss.slopes[1]
        if np.isfinite(sup):
            # psi is at its end on all rows off the plane, for a sigma far below every residual
            least = size[size > 0].min() * LONG(1e-40)
            if self.share @ self.loss.star(residual / least) <= self.kappa:
                return LONG(0)
        low, high = LONG(-11000), LONG(11000)
        log = np.log(LONG(start) if start and start > 0 else largest)
        for _ in range(80):
            z = residual / np.exp(log)
            value = np.log(self.share @ self.loss.star(z)) - np.log(self.kappa)
            low, high = (log, high) if value > 0 else (low, log)
            slope = -(self.share @ (z * z * self.loss.psi_prime(z)))
            slope = slope / (self.share @ self.loss.star(z))
            step = -value / slope if slope < 0 else LONG(np.inf)
            new = log + np.clip(step, -20, 20)
            if not low < new < high:
                new = (low + high) / 2 if high - low < 200 else log + np.sign(value) * 20
            if abs(new - log) < 1e-14:
                break
            log = new
        return np.exp(log)

    def value(self, coef, intercept, sigma=None):
        """F; without ``sigma``, at the best one."""
        return self.loss_at(self.residual(coef, intercept), sigma) + self.penalty(coef)

    def errors(self, coef, intercept):
        """What rounding the terms of each residual to doubles may change in it."""
        coef = np.abs(np.asarray(coef, LONG))
        error = self.size_of_X @ (self.eps * coef + SMALLEST)
        return error + self.eps * (np.abs(self.y) + abs(LONG(intercept))) + SMALLEST

    def rounding(self, coef, intercept, sigma=None):
        """What these errors may change in F, at most.

        F without its penalty is convex in the residuals. At the best joint scale, or for a loss
        homogeneous of degree 1, it is a norm, so that F(r + e) - F(r) is at most F(e). At a
        given scale, slopes say what errors change.
        """
        coef, error = np.asarray(coef, LONG), self.errors(coef, intercept)
        size = np.abs(coef)
        change = (self.ridge * size + self.l1) @ (self.eps * size + SMALLEST)
        if self.joint or self.loss.homogeneous:  # the unit has the digits that y has left of itself
            lost = EPS * np.abs(self.y).max() / self.unit
            change += self.ridge / 2 * (coef @ coef) * lost
        if self.joint or self.loss.homogeneous:
            change += self.loss_at(error)
        given = sigma is not None
        sigma = LONG(sigma or 0) if self.joint else LONG(self.scale)
        if not self.loss.homogeneous and sigma > 0:
            largest = np.abs(self.residual(coef, intercept)) + error
            change += self.share @ (self.loss.psi(largest / sigma) * error)
        elif self.joint and given and np.isfinite(self.loss.slopes[1]):
            change += self.loss.slopes[1] * (self.share @ error)
        return change

    def negligible(self, coef, intercept, sigma):
        """The absolute parts of the criterion of convergence, as documented, the larger of them.

        F where all residuals are one spread of y times 64 eps, or are 1e-9 spreads, whichever is
        less; and what F has from residuals within 64 last places of their own terms.
        """
        least = min(self.typical(), self._all_at(self.exact))
        return max(least, self.of_rounding(coef, intercept, sigma))

    def typical(self):
        """64 eps of F where all residuals are one spread of y: less has no digits."""
        return 64 * EPS * self._all_at(self.spread)

    def of_rounding(self, coef, intercept, sigma):
        """What F has from residuals within 64 last places of their own terms.

        An exact fit may count them as 0, as documented.
        """
        residual = self.residual(coef, intercept)
        zero = np.abs(residual) <= 64 * self.errors(coef, intercept)
        rounded = np.where(zero, residual, LONG(0))
        if self.joint and not sigma and not np.isfinite(self.loss.slopes[1]):
            return self.share @ np.abs(rounded)
        if self.joint:  # a sum over some rows, without what the scale itself costs
            sigma = LONG(sigma or 0)
            return self.loss_at(rounded, sigma) - self.kappa * sigma
        return self.loss_at(rounded)

    def _all_at(self, size):
        """F without a penalty, if all residuals are of a size."""
        if size == 0:
            return LONG(0)
        every = np.full(len(self.y), size)
        sigma = size if self.joint else None
        return max(self.loss_at(sign * every, sigma) for sign in (-1, 1))

    def null_value(self):
        """F without regressors: median or mean as location, the best scale."""
        center = median(self.y, self.share) if self.fit_intercept else LONG(0)
        if not np.isfinite(self.loss.slopes[1]) and self.fit_intercept:
            center = self.share @ self.y
        return self.loss_at(self.y - center)

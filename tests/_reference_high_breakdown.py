"""Estimates of high breakdown, checked and found by other means than the package's.

Losses, their constants, the M-scale and the trimmed sum are written out again, in plain NumPy;
minima come from all subsets of few rows. Nothing here imports the package.
"""

from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq, minimize
from scipy.stats import norm


def _hampel_rho(z, a):
    b, c, x = a * 7 / 3, a * 16 / 3, np.abs(z)
    falling = a * (b + c - a) / 2 - a * np.maximum(c - x, 0) ** 2 / (2 * (c - b))
    return np.where(x <= a, x * x / 2, np.where(x <= b, a * (x - a / 2), falling))


def _hampel_psi(z, a):
    b, c, x = a * 7 / 3, a * 16 / 3, np.abs(z)
    return np.sign(z) * np.where(x <= b, np.minimum(x, a), a * np.maximum(c - x, 0) / (c - b))


# rho, psi, sup rho and the points where their formulas change, at a tuning constant
BOUNDED = {
    "bisquare": (
        lambda z, c: c * c / 6 * (1 - np.maximum(1 - (z / c) ** 2, 0) ** 3),
        lambda z, c: z * np.maximum(1 - (z / c) ** 2, 0) ** 2,
        lambda c: c * c / 6,
        lambda c: [c],
    ),
    "welsch": (
        lambda z, c: c * c / 2 * (1 - np.exp(-((z / c) ** 2))),
        lambda z, c: z * np.exp(-((z / c) ** 2)),
        lambda c: c * c / 2,
        lambda c: [],
    ),
    "hampel": (
        _hampel_rho,
        _hampel_psi,
        lambda a: a * a * 10 / 3,
        lambda a: [a, a * 7 / 3, a * 16 / 3],
    ),
    "andrews": (
        lambda z, c: c * c * (1 - np.cos(np.minimum(np.abs(z) / c, np.pi))),
        lambda z, c: np.where(np.abs(z) < np.pi * c, c * np.sin(z / c), 0.0),
        lambda c: 2 * c * c,
        lambda c: [np.pi * c],
    ),
}


def gaussian_mean(f, breaks):
    """E f(Z) of an even f under a standard normal Z."""
    ends = [0.0, *(x for x in breaks if x < 38), 38.0]
    parts = [
        quad(lambda z: 2 * f(z) * norm.pdf(z), a, b, epsabs=1e-15, epsrel=1e-13)[0]
        for a, b in pairwise(ends)
    ]
    return sum(parts)


def breakdown_point(name, c):
    """``E rho(Z) / sup rho``."""
    rho, _, top, breaks = BOUNDED[name]
    return gaussian_mean(lambda z: rho(z, c), breaks(c)) / top(c)


def efficiency(name, c):
    """``(E psi')^2 / E psi^2``, with ``E psi' = E Z psi(Z)``."""
    _, psi, _, breaks = BOUNDED[name]
    slope = gaussian_mean(lambda z: z * psi(z, c), breaks(c))
    return slope**2 / gaussian_mean(lambda z: psi(z, c) ** 2, breaks(c))


@lru_cache
def constant(name, of, value):
    """The tuning constant of a breakdown point or an efficiency."""
    return brentq(lambda c: of(name, c) - value, 0.1, 20, xtol=1e-13, rtol=1e-14)


def m_scale(r, p, name="bisquare", weight=None, breakdown=0.5):
    """The root of ``sum w rho(r / s) = b (W - p)``, ``b = breakdown sup rho``."""
    rho, _, top, _ = BOUNDED[name]
    c = constant(name, breakdown_point, breakdown)
    weight = np.ones(len(r)) if weight is None else np.asarray(weight, float)
    target = breakdown * top(c) * (weight.sum() - p)

    def excess(log_s):
        return weight @ rho(r / np.exp(log_s), c) - target

    middle = np.log(np.sqrt(np.average(r * r, weights=weight)))
    return np.exp(brentq(excess, middle - 30, middle + 30, xtol=1e-14, rtol=1e-15))


def equations(X, r, s, name, c, weight=None, fit_intercept=True):
    """``sum w psi(r/s) x = 0``, columns standardised, over ``sum w |psi(r/s)|``."""
    weight = np.ones(len(r)) if weight is None else np.asarray(weight, float)
    Z = (X - X.mean(axis=0)) / X.std(axis=0) if fit_intercept else X / np.sqrt(np.mean(X**2, 0))
    Z = np.c_[Z, np.ones(len(r))] if fit_intercept else Z
    pull = weight * BOUNDED[name][1](r / s, c)
    return pull @ Z / np.abs(pull).sum()


def mm_objective(r, s, name, c, weight=None):
    """``(1/W) sum w s rho(r / s)``."""
    return s * np.average(BOUNDED[name][0](r / s, c), weights=weight)


def trimmed_sum(r, h):
    """The sum of the h smallest squared residuals."""
    return np.sort(r * r)[:h].sum()


def smallest_scale(X, y):
    """The S-estimate's scale: a descent from the exact fit to every subset of p rows."""
    Z = np.c_[np.ones(len(y)), X]
    p = Z.shape[1]

    def scale(beta):
        return m_scale(y - Z @ beta, p)

    starts = []
    for rows in combinations(range(len(y)), p):
        beta = np.linalg.lstsq(Z[list(rows)], y[list(rows)], rcond=None)[0]
        starts.append((scale(beta), beta))
    starts.sort(key=lambda start: start[0])
    ends = [
        minimize(scale, beta, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
        for _, beta in starts[:20]
    ]
    return min(end.fun for end in ends)


def smallest_trimmed_sum(X, y, h):
    """The minimum of least trimmed squares: least squares on every subset of h rows."""
    Z = np.c_[np.ones(len(y)), X]
    return min(
        np.linalg.lstsq(Z[list(rows)], y[list(rows)], rcond=None)[1][0]
        for rows in combinations(range(len(y)), h)
    )

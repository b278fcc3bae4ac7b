"""Losses, their constants and robust scales, written out again for the reference."""

from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

EPS = np.finfo(float).eps


def _huber(z, d):
    return np.where(abs(z) <= d, z * z / 2, d * abs(z) - d * d / 2)


def _huber_psi(z, d):
    return np.where(abs(z) <= d, z, d * np.sign(z))


def _log_cosh(u):
    near = np.log1p(np.sinh(np.minimum(u, 1)) ** 2) / 2  # keeps its digits as u goes to 0
    return np.where(u < 1, near, u + np.log1p(np.exp(-2 * u)) - np.log(2))


# rho, psi and psi' of every loss that can be estimated here, from the loss's parameters
FORMULAS = {
    "Huber": (_huber, _huber_psi, lambda z, d: 1.0 * (abs(z) <= d)),
    "SmoothL1": (
        lambda z, b: _huber(z, b) / b,
        lambda z, b: _huber_psi(z, b) / b,
        lambda z, b: (abs(z) <= b) / b,
    ),
    "PseudoHuber": (
        lambda z, d: z * z / (np.sqrt(1 + (z / d) ** 2) + 1),
        lambda z, d: z / np.sqrt(1 + (z / d) ** 2),
        lambda z, d: (1 + (z / d) ** 2) ** -1.5,
    ),
    "LogCosh": (
        lambda z, c: c * c * _log_cosh(abs(z) / c),
        lambda z, c: c * np.tanh(z / c),
        lambda z, c: 1 - np.tanh(z / c) ** 2,
    ),
    "Squared": (lambda z: z * z, lambda z: 2 * z, lambda z: 2 + 0 * z),
    "HalfSquared": (lambda z: z * z / 2, lambda z: z, lambda z: 1 + 0 * z),
    "Absolute": (np.abs, np.sign, lambda z: 0 * z),
}


def steepest(loss):
    """sup |psi|: the slope of the tails."""
    parameters = [1.0, *vars(loss).values()]
    return {"Huber": parameters[-1], "PseudoHuber": parameters[-1], "LogCosh": parameters[-1]}.get(
        type(loss).__name__, np.inf if "Squared" in type(loss).__name__ else 1.0
    )


def kappa(loss):
    """E[Z psi(Z) - rho(Z)] under a standard normal Z; psi is odd, so twice the upper half."""
    rho, psi, _ = formulas(loss)
    ends = [0.0, *vars(loss).values(), 40.0]
    pieces = [
        quad(lambda z: 2 * (z * psi(z) - rho(z)) * norm.pdf(z), a, b, epsabs=0, epsrel=1e-13)[0]
        for a, b in pairwise(ends)
    ]
    return sum(pieces)


def formulas(loss):
    """rho, psi and psi' of a loss object, as functions of z alone."""
    parameters = tuple(vars(loss).values())
    return [lambda z, f=f: f(z, *parameters) for f in FORMULAS[type(loss).__name__]]


def median(x, weight=None):
    """Weighted median: the value, or midpoint of the two, that halves the weight."""
    order = np.argsort(x, kind="stable")
    x, w = np.asarray(x, float)[order], (np.ones(len(x)) if weight is None else weight)[order]
    x, below = x[w > 0], np.cumsum(w[w > 0])
    low, high = np.searchsorted(below, below[-1] / 2 * np.array([1 - 1e-12, 1 + 1e-12]))
    return (x[low] + x[min(high, len(x) - 1)]) / 2


def mad(x, weight=None, center=None):
    """1.4826 times the weighted median of the absolute deviations."""
    center = median(x, weight) if center is None else center
    return median(np.abs(x - center), weight) / norm.ppf(0.75)


def spread_of_y(y, weight=None, fit_intercept=True):
    """The penalty's unit for joint scales and absolute deviations."""
    center = median(y, weight) if fit_intercept else 0.0
    return mad(y, weight, center) or float(np.sqrt(np.average((y - center) ** 2, weights=weight)))

"""The objective of the design, and its minimum, by other means than the package's.

Nothing here imports the numerical core: losses are written out again, everything is dense, and
the minimisation is a damped Newton method of its own, or HiGHS for absolute deviations. A test
that compares with this module therefore compares two derivations of the same formulas.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.optimize import linprog
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


def minimise(fun, jac, hess, x):
    """Newton's method, damped as Levenberg and Marquardt do, until the value is at rounding."""
    value, damping, moved = fun(x), 1e-3, True
    for _ in range(300):
        if damping > 1e15:
            break
        if moved:
            slope, matrix = jac(x), hess(x)
            unit = (matrix.diagonal().max() or 1.0) * np.eye(len(x))
        trial = x - np.linalg.solve(matrix + damping * unit, slope)
        trial_value = fun(trial)
        moved = trial_value < value
        if moved:
            x, value, damping = trial, trial_value, max(damping / 10, 1e-13)
        else:
            damping *= 10
    return x


@dataclass
class Reference:
    """F of the design's section 1 for one problem, and its minimum.

    ``scale`` is the fixed scale or "joint". Columns must not be too badly scaled: the
    minimisation works on standardised columns, but in plain floating point.
    """

    X: np.ndarray
    y: np.ndarray
    loss: object
    weight: np.ndarray = None
    scale: object = "joint"
    alpha: float = 0.0
    fit_intercept: bool = True
    unit: float = field(init=False)

    def __post_init__(self):
        weight = np.ones(len(self.y)) if self.weight is None else np.asarray(self.weight, float)
        kept = weight > 0
        X = self.X.toarray() if hasattr(self.X, "toarray") else np.asarray(self.X, float)
        self.X, self.y, self.weight = X[kept], np.asarray(self.y, float)[kept], weight[kept]
        self.share = self.weight / self.weight.sum()
        self.joint = self.scale == "joint"
        self.rho, self.psi, self.psi_prime = formulas(self.loss)
        self.kappa = kappa(self.loss) if self.joint else 0.0
        name = type(self.loss).__name__
        if self.joint or name == "Absolute":
            self.unit = spread_of_y(self.y, self.weight, self.fit_intercept) or 1.0
        else:
            self.unit = self.scale

    def residual(self, coef, intercept=0.0):
        return self.y - self.X @ np.asarray(coef, float) - intercept

    def value(self, coef, intercept, sigma):
        """F; ``sigma`` = 0 is the limit, ``sup |psi| mean |r|``."""
        r = self.residual(coef, intercept)
        penalty = self.alpha / 2 * float(np.dot(coef, coef)) / self.unit
        if type(self.loss).__name__ == "Absolute":
            return float(self.share @ np.abs(r)) + penalty
        if sigma == 0 and np.isinf(steepest(self.loss)):
            return penalty if np.abs(r).max() <= 1e-12 * np.abs(self.y).max() else np.inf
        if sigma == 0:
            return steepest(self.loss) * float(self.share @ np.abs(r)) + penalty
        return float(sigma * (self.share @ self.rho(r / sigma)) + self.kappa * sigma) + penalty

    def value_of(self, model):
        """F at a fitted estimator, from its public attributes alone."""
        sigma = model.scale_ if self.joint else self.scale
        return self.value(model.coef_, model.intercept_, sigma)

    def null_value(self):
        """F without regressors, at robust location and scale."""
        center = median(self.y, self.weight) if self.fit_intercept else 0.0
        if type(self.loss).__name__ in ("Squared", "HalfSquared") and self.fit_intercept:
            center = float(self.share @ self.y)
        sigma = self.scale
        if self.joint:
            sigma = spread_of_y(self.y, self.weight, self.fit_intercept)
        return self.value(np.zeros(self.X.shape[1]), center, sigma)

    def minimum(self):
        """The least F known: coefficients, intercept, sigma, F."""
        candidates = [self.absolute_deviations()] if self.kinked else []
        if type(self.loss).__name__ != "Absolute":
            candidates.append(self.smooth())
        return min(candidates, key=lambda found: found[-1])

    @property
    def kinked(self):
        """Whether the optimum may be one of absolute deviations (at scale 0)."""
        bounded = np.isfinite(steepest(self.loss))
        return (self.joint and bool(bounded)) or type(self.loss).__name__ == "Absolute"

    def standardised(self):
        """Columns in units of their spread, and the matrix that brings coefficients back."""
        center = self.share @ self.X if self.fit_intercept else np.zeros(self.X.shape[1])
        spread = np.sqrt(self.share @ (self.X - center) ** 2)
        spread[np.ptp(self.X, axis=0) == 0 if self.fit_intercept else spread == 0] = 0.0
        back = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        return (self.X - center) * back, center, back

    def smooth(self):
        """Minimum over smooth losses, polished by plain Newton steps."""
        Z, center, back = self.standardised()
        pull = self.alpha / self.unit
        stacked = np.vstack([Z * np.sqrt(self.share)[:, None], np.diag(np.sqrt(pull) * back)])
        _, singular, directions = np.linalg.svd(stacked, full_matrices=False)
        kept = singular > 1e-11 * max(singular.max(initial=0.0), 1e-300)
        T = directions[kept].T / singular[kept]
        design = Z @ T
        if self.fit_intercept:
            design = np.hstack([design, np.ones((len(design), 1))])
        curve = pull * (T.T * back**2) @ T
        k, unit = T.shape[1], spread_of_y(self.y, self.weight, self.fit_intercept) or 1.0

        def pieces(theta):
            sigma = theta[-1] * unit if self.joint else self.scale
            r = self.y - design @ theta[: design.shape[1]] * unit
            return r, sigma, theta[:k] * unit

        def fun(theta):
            r, sigma, u = pieces(theta)
            if sigma <= 0:
                return np.inf
            mean = sigma * (self.share @ self.rho(r / sigma)) + self.kappa * sigma
            return (mean + u @ curve @ u / 2) / unit

        def jac(theta):
            r, sigma, u = pieces(theta)
            z = r / sigma
            out = -design.T @ (self.share * self.psi(z))
            out[:k] += curve @ u
            if not self.joint:
                return out
            return np.append(out, self.kappa - self.share @ (z * self.psi(z) - self.rho(z)))

        def hess(theta):
            r, sigma, _ = pieces(theta)
            z = r / sigma
            full = np.hstack([design, z[:, None]]) if self.joint else design
            out = (full.T * (self.share * self.psi_prime(z))) @ full * (unit / sigma)
            out[:k, :k] += curve * unit
            return out

        u = np.linalg.lstsq(
            design * np.sqrt(self.share)[:, None], self.y / unit * np.sqrt(self.share), rcond=None
        )[0]
        stages = [None]
        if self.joint:
            rest = self.y / unit - design @ u
            start = max(mad(rest, self.weight, 0.0), 0.1 * np.sqrt(self.share @ rest**2), 1e-8)
            u = np.append(u, start)
        elif self.kinked is False and type(self.loss).__name__ not in ("Squared", "HalfSquared"):
            # continuation: far below the residuals' size psi' is 0 nearly everywhere
            top = np.sqrt(self.share @ (self.y - design @ u * unit) ** 2)
            count = max(0, int(np.ceil(np.log10(max(top / self.scale, 1.0)))))
            stages = [self.scale * 10.0**power for power in range(count, 0, -1)] + [None]
        target = self.scale
        for stage in stages:
            self.scale = target if stage is None else stage
            u = minimise(fun, jac, hess, u)
        best, size = u, np.abs(jac(u)).max()
        for _ in range(5):  # values no longer tell, gradients do
            trial = best - np.linalg.lstsq(hess(best), jac(best), rcond=1e-12)[0]
            if (self.joint and trial[-1] <= 0) or np.abs(jac(trial)).max() >= size:
                break
            best, size = trial, np.abs(jac(trial)).max()
        self.gradient = size
        _, sigma, scaled = pieces(best)
        coef = back * (T @ scaled)
        intercept = best[k] * unit - center @ coef if self.fit_intercept else 0.0
        return coef, intercept, sigma, self.value(coef, intercept, sigma)

    def absolute_deviations(self):
        """Least absolute deviations; with a ridge, as the limit of Huber losses."""
        bound = steepest(self.loss)
        if self.alpha:
            coef, intercept = self._ridge_deviations(bound)
        else:
            coef, intercept = self._linear_programme()
        return coef, intercept, 0.0, self.value(coef, intercept, 0.0)

    def _linear_programme(self):
        Z, center, back = self.standardised()
        lead = int(self.fit_intercept)
        design = np.hstack([Z, np.ones((len(Z), lead))])
        n, k = design.shape
        unit = float(np.max(np.abs(self.y))) or 1.0
        solution = linprog(
            np.concatenate([np.zeros(k), self.share, self.share]),
            A_eq=np.hstack([design, np.eye(n), -np.eye(n)]),
            b_eq=self.y / unit,
            bounds=[(None, None)] * k + [(0, None)] * (2 * n),
            method="highs-ds",
        )
        theta = solution.x[:k] * unit
        # HiGHS stops at 1e-7: pass through the basic rows exactly
        near = np.argsort(np.abs(self.y - design @ theta))[: np.linalg.matrix_rank(design)]
        step = np.linalg.lstsq(design[near], (self.y - design @ theta)[near], rcond=1e-10)[0]
        choices = [theta, theta + step]
        theta = min(choices, key=lambda t: self.share @ np.abs(self.y - design @ t))
        coef = back * theta[: Z.shape[1]]
        return coef, float(theta[-1] - center @ coef) if lead else 0.0

    def _ridge_deviations(self, bound):
        """Huber's loss with a tiny fixed scale is bound |r| up to half that scale."""
        from robustreg.losses import Huber  # a container of delta here, nothing else

        scale = 1e-11 * max(
            float(self.share @ np.abs(self.y - median(self.y, self.weight))), 1e-300
        )
        limit = Reference(
            self.X, self.y, Huber(bound), self.weight, scale, self.alpha, self.fit_intercept
        )
        limit.unit = self.unit
        coef, intercept, _, _ = limit.smooth()
        return coef, intercept

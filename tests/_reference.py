"""The objective of the design, and its minimum, by other means than the package's.

Nothing here imports the numerical core: losses are written out again, everything is dense, and
the minimisation is a damped Newton method of its own, or HiGHS for absolute deviations. A test
that compares with this module therefore compares two derivations of the same formulas.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy import sparse
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
        white = _Whitened(self)
        theta = white.least_squares()
        for scale in white.scales(theta):
            white.scale = scale
            theta = minimise(white.value, white.slope, white.curvature, theta)
        size = np.abs(white.slope(theta)).max()
        for _ in range(5):  # values no longer tell, gradients do
            step = np.linalg.lstsq(white.curvature(theta), white.slope(theta), rcond=1e-12)[0]
            trial = theta - step
            if (self.joint and trial[-1] <= 0) or np.abs(white.slope(trial)).max() >= size:
                break
            theta, size = trial, np.abs(white.slope(trial)).max()
        coef, intercept, sigma = white.unpack(theta)
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


class _Whitened:
    """F, its gradient and Hessian in theta = [u, b, sigma], all in units of y's spread.

    The coordinates u make the loss's and the penalty's curvature together a unit matrix.
    """

    def __init__(self, problem):
        self.problem, self.scale = problem, problem.scale
        Z, self.center, self.back = problem.standardised()
        share, pull = problem.share, problem.alpha / problem.unit
        stacked = np.vstack([Z * np.sqrt(share)[:, None], np.diag(np.sqrt(pull) * self.back)])
        _, singular, directions = np.linalg.svd(stacked, full_matrices=False)
        kept = singular > 1e-11 * max(singular.max(initial=0.0), 1e-300)
        self.T = directions[kept].T / singular[kept]
        self.k = self.T.shape[1]
        self.design = np.hstack([Z @ self.T, np.ones((len(Z), int(problem.fit_intercept)))])
        self.pull = pull * (self.T.T * self.back**2) @ self.T
        self.unit = spread_of_y(problem.y, problem.weight, problem.fit_intercept) or 1.0

    def parts(self, theta):
        """Residuals, scale, and u in the units of y."""
        sigma = theta[-1] * self.unit if self.problem.joint else self.scale
        r = self.problem.y - self.design @ theta[: self.design.shape[1]] * self.unit
        return r, sigma, theta[: self.k] * self.unit

    def value(self, theta):
        r, sigma, u = self.parts(theta)
        if sigma <= 0:
            return np.inf
        mean = sigma * (self.problem.share @ self.problem.rho(r / sigma))
        return (mean + self.problem.kappa * sigma + u @ self.pull @ u / 2) / self.unit

    def slope(self, theta):
        r, sigma, u = self.parts(theta)
        z, share = r / sigma, self.problem.share
        psi = self.problem.psi(z)
        out = -self.design.T @ (share * psi)
        out[: self.k] += self.pull @ u
        if not self.problem.joint:
            return out
        return np.append(out, self.problem.kappa - share @ (z * psi - self.problem.rho(z)))

    def curvature(self, theta):
        r, sigma, _ = self.parts(theta)
        z = r / sigma
        full = np.c_[self.design, z] if self.problem.joint else self.design
        out = (full.T * (self.problem.share * self.problem.psi_prime(z))) @ full / sigma
        out[: self.k, : self.k] += self.pull
        return out * self.unit

    def least_squares(self):
        """A start: least squares, and a scale of its residuals that is not too small."""
        root, y = np.sqrt(self.problem.share), self.problem.y / self.unit
        theta = np.linalg.lstsq(self.design * root[:, None], y * root, rcond=None)[0]
        if not self.problem.joint:
            return theta
        rest = y - self.design @ theta
        size = np.sqrt(self.problem.share @ rest**2)
        return np.append(theta, max(mad(rest, self.problem.weight, 0.0), 0.1 * size, 1e-8))

    def scales(self, theta):
        """Far below the residuals' size psi' is 0 nearly everywhere: come down in steps."""
        if self.problem.joint or np.isinf(steepest(self.problem.loss)):
            return [self.scale]
        size = np.sqrt(self.problem.share @ self.parts(theta)[0] ** 2)
        count = max(0, int(np.ceil(np.log10(max(size / self.scale, 1.0)))))
        return [self.scale * 10.0**power for power in range(count, -1, -1)]

    def unpack(self, theta):
        """Coefficients of X, intercept and scale."""
        _, sigma, u = self.parts(theta)
        coef = self.back * (self.T @ u)
        if not self.problem.fit_intercept:
            return coef, 0.0, sigma
        return coef, theta[self.k] * self.unit - self.center @ coef, sigma


def quantile_programme(X, y, tau, weight=None, alpha=0.0, fit_intercept=True, positive=False):
    """The least objective by HiGHS on the primal, with beta, b and r in two parts each."""
    X = X.toarray() if sparse.issparse(X) else np.asarray(X, float)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    unit, share = np.abs(y).max() or 1.0, weight / weight.sum()
    n, p = X.shape
    ones, eye = np.full((n, 1), float(fit_intercept)), sparse.eye(n)
    columns = [sparse.csc_array(part) for part in (X, -X, ones, -ones)]
    cost = np.concatenate([np.full(2 * p, alpha), np.zeros(2), tau * share, (1 - tau) * share])
    equations = sparse.hstack([*columns, eye, -eye], format="csc")
    bounds = [(0, None)] * p + [(0, 0 if positive else None)] * p + [(0, None)] * (2 + 2 * n)
    return unit * linprog(cost, bounds=bounds, A_eq=equations, b_eq=y / unit, method="highs").fun

"""Newton's method for the reference: smooth losses, ridge, and an L1 norm with given signs."""

import numpy as np
from _reference_formulas import mad, spread_of_y, steepest


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


@np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore")
def smooth_minimum(problem, signs=None):
    """Coefficients, intercept and scale; polished by plain Newton steps.

    With ``signs`` the L1 norm is ``signs'coef``, and coefficients of sign 0 are left out.
    """
    white = Whitened(problem, signs)
    theta = white.least_squares()
    if not len(theta):
        return white.unpack(theta)
    for scale in white.scales(theta):
        white.scale = scale
        theta = minimise(white.value, white.slope, white.curvature, theta)
    size = np.abs(white.slope(theta)).max()
    for _ in range(5):  # values no longer tell, gradients do
        matrix = white.curvature(theta)
        if not np.isfinite(matrix).all():
            break
        step = np.linalg.lstsq(matrix, white.slope(theta), rcond=1e-12)[0]
        trial = theta - step
        trial_size = np.abs(white.slope(trial)).max()
        if (problem.joint and trial[-1] <= 0) or not trial_size < size:
            break
        theta, size = trial, trial_size
    return white.unpack(theta)


class Whitened:
    """F, its gradient and Hessian in theta = [u, b, sigma], all in units of y's spread.

    The coordinates u make the loss's and the ridge's curvature together a unit matrix.
    """

    def __init__(self, problem, signs=None):
        self.problem, self.scale = problem, problem.scale
        Z, self.center, self.back = problem.standardised()
        if signs is not None:
            Z, self.back = Z * (signs != 0), self.back * (signs != 0)
        share, pull = problem.share, problem.ridge / problem.unit
        stacked = np.vstack([Z * np.sqrt(share)[:, None], np.diag(np.sqrt(pull) * self.back)])
        _, singular, directions = np.linalg.svd(stacked, full_matrices=False)
        kept = singular > 1e-11 * max(singular.max(initial=0.0), 1e-300)
        self.T = directions[kept].T / singular[kept]
        self.k = self.T.shape[1]
        self.design = np.hstack([Z @ self.T, np.ones((len(Z), int(problem.fit_intercept)))])
        self.pull = pull * (self.T.T * self.back**2) @ self.T
        self.lean = np.zeros(self.k)
        if signs is not None:
            self.lean = problem.l1 * (self.back * signs) @ self.T
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
        penalty = u @ self.pull @ u / 2 + self.lean @ u
        return (mean + self.problem.kappa * sigma + penalty) / self.unit

    def slope(self, theta):
        r, sigma, u = self.parts(theta)
        z, share = r / sigma, self.problem.share
        psi = self.problem.psi(z)
        out = -self.design.T @ (share * psi)
        out[: self.k] += self.pull @ u + self.lean
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

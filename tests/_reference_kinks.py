"""Minima under an L1 norm or a sign constraint, for the reference.

Signs are guessed by L-BFGS-B, whose variables are the positive and negative parts of the
coefficients of standardised columns. With the signs held, F is smooth on the coefficients that
are not 0, and Newton's method finds its minimum there. That is the minimum of F where no sign
has changed and no other coefficient wants to move; else signs are dropped or added.
"""

import numpy as np
from _reference_formulas import spread_of_y, steepest
from _reference_newton import smooth_minimum
from scipy.optimize import linprog, minimize

ROUNDS = 40


@np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore")
def kinked_minimum(problem):
    """The best of all points met: coefficients, intercept and scale."""
    guess = _split_minimum(problem)
    signs = np.sign(guess[0])
    points = [guess]
    for _ in range(ROUNDS):
        coef, intercept, sigma = smooth_minimum(problem, signs)
        wrong = coef * signs < 0
        if wrong.any():
            signs = np.where(wrong, 0.0, signs)
            points.append((np.where(wrong, 0.0, coef), intercept, sigma))
            continue
        points.append((coef, intercept, sigma))
        excess = problem.excess(coef, intercept, sigma)
        worst = np.argmax(np.where(excess * signs < 0, 0.0, np.abs(excess)))
        if abs(excess[worst]) <= 1e-12 * steepness(problem, intercept, coef, sigma):
            break
        # of copies Newton's method keeps both: the dearer one wants to shrink
        signs[worst] = 0.0 if coef[worst] else -np.sign(excess[worst])
    return min(points, key=lambda point: problem.value(*point))


def steepness(problem, intercept, coef, sigma):
    """The mean of |psi|: what slopes are small against."""
    return problem.share @ np.abs(problem.psi(problem.residual(coef, intercept) / sigma))


def _split_minimum(problem):
    """L-BFGS-B in the positive and negative parts of the standardised coefficients."""
    split = _Split(problem)
    theta = split.start()
    for scale in split.scales():
        split.scale = scale
        theta = minimize(
            split,
            theta,
            jac=True,
            method="L-BFGS-B",
            bounds=split.bounds,
            options={"maxiter": 1000, "maxfun": 3000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20},
        ).x
    return split.unpack(theta)


class _Split:
    """F and its gradient in theta = [v+, v-, b, sigma], v the coefficients of standardised X."""

    def __init__(self, problem):
        self.problem, self.scale = problem, problem.scale
        self.Z, self.center, self.back = problem.standardised()
        self.p = len(self.back)
        self.unit = spread_of_y(problem.y, problem.weight, problem.fit_intercept) or 1.0
        upper = np.where(self.back > 0, np.inf, 0.0)
        self.bounds = [(0, high) for high in upper]
        self.bounds += [(0, 0.0 if problem.positive else high) for high in upper]
        self.bounds += [(None, None)] * int(problem.fit_intercept)
        self.bounds += [(1e-10, None)] * int(problem.joint)

    def start(self):
        middle = np.median(self.problem.y) / self.unit
        theta = np.append(np.zeros(2 * self.p), [middle] * int(self.problem.fit_intercept))
        return np.append(theta, 1.0) if self.problem.joint else theta

    def scales(self):
        if self.problem.joint or np.isinf(steepest(self.problem.loss)):
            return [self.scale]
        count = int(np.clip(np.ceil(np.log10(self.unit / self.scale)), 0, 20))
        return [self.scale * 10.0**power for power in range(count, -1, -1)]

    def parts(self, theta):
        v = (theta[: self.p] - theta[self.p : 2 * self.p]) * self.unit
        middle = theta[2 * self.p] * self.unit if self.problem.fit_intercept else 0.0
        return v, middle, theta[-1] * self.unit if self.problem.joint else self.scale

    def __call__(self, theta):
        problem, (v, middle, sigma) = self.problem, self.parts(theta)
        z = (problem.y - self.Z @ v - middle) / sigma
        psi, rho = problem.psi(z), problem.rho(z)
        pull = problem.ridge / problem.unit * self.back**2
        lean = problem.l1 * self.back
        total = (theta[: self.p] + theta[self.p : 2 * self.p]) * self.unit
        value = sigma * (problem.share @ rho) + problem.kappa * sigma
        value += v @ (pull * v) / 2 + lean @ total
        slope = pull * v - self.Z.T @ (problem.share * psi)
        out = np.concatenate([slope + lean, lean - slope])
        if problem.fit_intercept:
            out = np.append(out, -problem.share @ psi)
        if problem.joint:
            out = np.append(out, problem.kappa - problem.share @ (z * psi - rho))
        return value / self.unit, out

    def unpack(self, theta):
        v, middle, sigma = self.parts(theta)
        v = np.where(np.abs(v) > 1e-6 * np.abs(v).max(initial=0.0), v, 0.0)
        coef = self.back * v
        return coef, middle - self.center @ coef if self.problem.fit_intercept else 0.0, sigma


def kinked_deviations(problem):
    """Least absolute deviations under an L1 norm or a sign constraint, by HiGHS."""
    Z, center, back = problem.standardised()
    (n, p), lead = Z.shape, int(problem.fit_intercept)
    unit = float(np.max(np.abs(problem.y))) or 1.0
    lean = problem.l1 / steepest(problem.loss) * back
    solution = linprog(
        np.concatenate([lean, lean, np.zeros(lead), problem.share, problem.share]),
        A_eq=np.hstack([Z, -Z, np.ones((n, lead)), np.eye(n), -np.eye(n)]),
        b_eq=problem.y / unit,
        bounds=[(0, None)] * p
        + [(0, 0 if problem.positive else None)] * p
        + [(None, None)] * lead
        + [(0, None)] * (2 * n),
        method="highs-ds",
    )
    v = (solution.x[:p] - solution.x[p : 2 * p]) * unit
    v[np.abs(v) <= 1e-9 * np.abs(v).max(initial=0.0)] = 0.0
    theta = np.append(v, solution.x[2 * p : 2 * p + lead] * unit)
    # HiGHS stops at 1e-7: pass through the basic rows exactly
    design = np.hstack([Z * (v != 0), np.ones((n, lead))])
    rest = problem.y - design @ theta
    near = np.argsort(np.abs(rest))[: np.linalg.matrix_rank(design)]
    moved = theta + np.linalg.lstsq(design[near], rest[near], rcond=1e-10)[0]
    moved[:p][moved[:p] * v < 0] = 0.0

    def unpack(theta):
        coef = back * theta[:p]
        return coef, float(theta[-1] - center @ coef) if lead else 0.0

    return min((unpack(theta), unpack(moved)), key=lambda found: problem.value(*found, 0.0))

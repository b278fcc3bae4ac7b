"""Lower points of an objective with a hundred digits, for tables that leave 64 bits too few.

Iteratively reweighted least squares: every round minimises a parabola above F (Hunter and Lange,
2004), so that weights may be rounded, but not the equations.
"""

from decimal import Decimal, localcontext

import numpy as np
from _fuzz_descent import Point
from _fuzz_objective import LONG

DIGITS = 100
ROUNDS, WORK = 100, 2e7  # rounds, and these times rows times squared columns, at most
FLOOR = LONG(1e-15)  # of the largest: smaller residuals and coefficients count as that


def lowest(objective, coef, intercept):
    """The lowest point that has been reached from coefficients; None where there is no such way."""
    n, p = objective.X.shape
    rounds = int(min(ROUNDS, WORK / max(n * p**2, 1)))
    numbers = np.concatenate([objective.X.ravel(), objective.y, objective.share, coef])
    if objective.positive or rounds < 2 or not n or not np.isfinite(numbers).all():
        return None
    with localcontext() as context:
        context.prec = DIGITS
        A, y, theta = _table(objective, coef, intercept)
        best = None
        for _ in range(rounds):
            here = _point(objective, A, y, theta)
            if best is None or here.value < best.value:
                best = here
            equations = _equations(objective, A, y, theta, here.sigma)
            if not np.isfinite(here.value) or equations is None:
                break
            theta = _solved(*equations)
    return best


def at(objective, coef, intercept):
    """The point with these coefficients, its residuals right to a hundred digits."""
    with localcontext() as context:
        context.prec = DIGITS
        return _point(objective, *_table(objective, coef, intercept))


def _table(objective, coef, intercept):
    """X with the intercept's column, y and both kinds of coefficients."""
    X = objective.X
    A = np.hstack([X, np.ones((len(X), 1))]) if objective.fit_intercept else X
    theta = np.append(coef, intercept) if objective.fit_intercept else coef
    return _decimals(A), _decimals(objective.y), _decimals(theta)


def _point(objective, A, y, theta):
    residual, sigma = _rounded(y - A @ theta), None
    numbers = _rounded(theta)
    coef = numbers[: objective.X.shape[1]]
    if not np.isfinite(residual).all():
        return Point(coef, LONG(0), sigma, LONG(np.inf))
    if objective.joint:
        sigma = objective.best_sigma(residual)
    value = objective.loss_at(residual, sigma) + objective.penalty(coef)
    return Point(coef, numbers[-1] if objective.fit_intercept else LONG(0), sigma, value)


def _equations(objective, A, y, theta, sigma):
    """Those of the least point of the parabola that touches F at theta; None if out of range."""
    residual, coef = _rounded(y - A @ theta), _rounded(theta)[: objective.X.shape[1]]
    size = np.maximum(np.abs(residual), FLOOR * np.abs(residual).max())
    linear = LONG(0)
    if objective.loss.homogeneous or sigma == 0:
        low, high = objective.loss.slopes
        curvature, linear = (high - low) / (2 * size), (high + low) / 2
    else:
        sigma = LONG(objective.scale) if sigma is None else sigma
        curvature = objective.loss.psi(size / sigma) / size
    pull = np.full(len(coef), objective.ridge)
    if objective.l1 and coef.any():
        pull += objective.l1 / np.maximum(np.abs(coef), FLOOR * np.abs(coef).max())
    if not np.isfinite(np.concatenate([curvature, pull])).all():
        return None
    weight = _decimals(objective.share * curvature)
    H = A.T @ (weight[:, None] * A)
    H[np.arange(len(coef)), np.arange(len(coef))] += _decimals(pull)
    return H, A.T @ (weight * y + _decimals(objective.share * linear))


def _solved(H, side):
    """The solution of equations; unknowns that they leave open are 0."""
    H, side = H.copy(), side.copy()
    order, least = [], Decimal(10) ** (10 - DIGITS)
    diagonal = np.diag(H).copy()
    for _ in range(len(side)):
        left = [k for k in range(len(side)) if k not in order and diagonal[k] > 0]
        if not left:
            break
        k = max(left, key=lambda j: H[j, j] / diagonal[j])
        if H[k, k] <= least * diagonal[k]:
            break
        order.append(k)
        others = [j for j in range(len(side)) if j != k]
        factor = H[others, k] / H[k, k]
        H[others] -= factor[:, None] * H[k]
        side[others] -= factor * side[k]
    found = _decimals(np.zeros(len(side)))
    for k in order:
        found[k] = side[k] / H[k, k]
    return found


def _decimals(numbers):
    texts = np.vectorize(lambda x: Decimal(np.format_float_scientific(x, 30)), otypes=[object])
    return texts(np.asarray(numbers, LONG))


def _rounded(numbers):
    return np.array([LONG(str(x)) for x in numbers], LONG)

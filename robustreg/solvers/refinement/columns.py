"""A table in twice the working precision, and the bound of F that dual points of it give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robustreg._arrays import Array
from robustreg._linalg.precise import Precise, Triangle
from robustreg.evaluation.problem import Problem
from robustreg.penalties import ElasticNet

# Slopes that nothing balances are 0 up to these shares of the root mean square of nu: by
# orthonormal columns, and by those whose coefficients must not be negative.
BALANCED, BELOW = 1e-13, 1e-25
OWN_TERMS = 1e-20  # what is left of the terms of a slope that is 0


@dataclass(frozen=True)
class Columns:
    """A table in coordinates u, in twice the working precision.

    Attributes
    ----------
    design : Precise of shape (n, k)
        Columns about their centres, in units of about their spread.
    y, share : ndarray of shape (n,)
        Targets, and weights that sum to 1.
    basis : ndarray of shape (k, m) or None
        The directions in which u may move; None is all.
    along : Precise of shape (n, m)
        The design times the basis.
    unit : ndarray of shape (k,)
        Units of the columns.
    white : Triangle
        The triangular factor of the rows ``along``, under their shares.
    """

    design: Precise
    y: Array
    share: Array
    basis: Array | None
    along: Precise
    unit: Array
    white: Triangle


def lower_bound(
    problem: Problem, columns: Columns, nu: Precise, residual: Precise, u: Precise, sigma: float
) -> float:
    """What F is at least, by Fenchel's inequality from nu that balance the slopes.

    ``(1/W) sum w nu y - pen*(v) [- (s/W) sum w rho*(nu)]`` with ``v = X'(w nu) / W``, as in
    :mod:`robustreg.evaluation.certificate`; minus infinity where nu do not balance what nothing
    else does.
    The sum is taken as ``(1/W) sum w nu r + v'u`` from a place u with its residuals, where what
    is left of balanced slopes meets no huge coefficient.
    """
    penalty, l1 = problem.elastic_net, problem.penalty.slope / columns.unit
    low, high = problem.loss.conjugate_domain
    weighted = nu * columns.share
    size = math.sqrt(float(columns.share @ nu.high**2))
    exact = columns.design.T @ weighted
    slopes = exact.rounded()
    steep, shrink = penalty.steepness(slopes), 1.0
    unbalanced = abs(float(weighted.sum().high)) if problem.fit_intercept else 0.0
    if not penalty.alpha and not penalty.positive:
        left = columns.white.whitened(columns.along.T @ weighted).high
        unbalanced = max(unbalanced, float(np.abs(left).max(initial=0.0)))
    elif not penalty.alpha:
        unbalanced = max(unbalanced, BALANCED / BELOW * float(steep.max(initial=0.0)))
    elif not penalty.root_curvature:
        beyond = steep > l1
        shrink = float(np.min(l1[beyond] / steep[beyond], initial=1.0))
    if unbalanced > BALANCED * size or not _is_exact(columns, weighted, penalty):
        return -math.inf
    largest, smallest = float(nu.high.max()), float(nu.high.min())
    if largest > high:
        shrink = min(shrink, high / largest)
    if smallest < low:
        shrink = min(shrink, low / smallest)
    within = np.clip(shrink * nu.high, low, high)
    conjugate = float(columns.share @ problem.loss.conjugate(within))
    if problem.joint and conjugate > problem.loss.kappa:
        shrink, conjugate = shrink * problem.loss.kappa / conjugate, 0.0
    total = (weighted * residual).sum()
    if penalty.alpha:
        total = total + (exact * u).sum()
    elif penalty.positive:
        total = total - (Precise(np.abs(slopes)) * u).sum()
    bound = shrink * float(total.rounded())
    bound -= penalty.conjugate(shrink * slopes * columns.unit)
    if not problem.joint:
        bound -= sigma * conjugate
    return bound if math.isfinite(bound) else -math.inf


def _is_exact(columns: Columns, weighted: Precise, penalty: ElasticNet) -> bool:
    """Whether slopes without a penalty are 0 beside their own terms, too.

    In columns that consist of a far row with hardly any weight they are next to nothing anyway.
    """
    if penalty.alpha or penalty.positive:
        return True
    slopes = np.abs((columns.along.T @ weighted).high)
    terms = np.abs(columns.along.high).T @ np.abs(weighted.high)
    return bool(np.all(slopes <= OWN_TERMS * terms))

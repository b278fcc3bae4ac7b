"""Smooth convex losses by Newton steps that conjugate gradients find, for wide and sparse X.

In units of their spreads columns of dummies are nearly orthonormal, and a system of their Gram
matrix takes some tens of products with X: no matrix of p x p is made. Steps are as exact as they
deserve: what is left of a system is a share of the gradient that falls as the gradient does, with
which Newton's method stays faster than linear (Dembo, Eisenstat and Steihaug 1982).

A column of few rows, all of them off the centre of the loss, has no curvature: psi' is 0 there.
As long as the gradient is large, rows count by ``psi(z) / z`` in the matrix of the coefficients,
which is no less than psi'. These are the steps of iteratively reweighted least squares: they lead
downhill from everywhere, and bring single rows to where they belong at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array, Index
from robustreg._linalg.conjugate import conjugate_gradients
from robustreg._linalg.factors import cholesky_factor, length
from robustreg.evaluation.categories import complete_groups
from robustreg.evaluation.choice import MAX_WHITENED, Chosen, for_smooth, scaled, white
from robustreg.evaluation.moments import moments
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.products import Products
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.whitening import MIN_RCOND
from robustreg.solvers._ended import Limits
from robustreg.solvers._minimise import XTOL, minimise_newton
from robustreg.solvers._newton_steps import Inexact
from robustreg.solvers._solution import Solution
from robustreg.solvers._tracked import Tracked
from robustreg.solvers.smooth import better_of, lbfgs, solved_in

MOST_PRODUCTS = 500  # for a step
MOST_STEPS = 100  # ten or twenty are what it takes
LOOSE = 0.1  # of the gradient: what a step may leave of it at most
ROUNDING = 1e-13  # the same at least, of the rms of psi
ALMOST_EXACT = 1e-5  # of the spread of y: F of fits that may pass through most rows
STEEP = 1e-2  # gradients, in the rms of psi, from which on rows count by psi(z) / z


def newton_cg(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Newton's method by products with X alone.

    Coordinates are the columns in units of their spreads where X is sparse, else white ones.
    Cost: O(nnz) a product, some tens of them for least squares, a few times as many for others.
    Where columns are so collinear that this does not arrive, or most rows lie on a plane, for
    which there are ways in white coordinates, ``lbfgs`` takes over.
    """
    objective = make_objective(problem, _coordinates(problem))
    tracked = Tracked(objective, curved=False, kept=True)
    minimise = partial(minimise_newton_cg, groups=_groups(problem, objective))
    if problem.penalty.is_none and not objective.coordinates.mixed:
        start = None  # from 0 steps lead to the optimum of least norm, where there are several
    limits = Limits(min(max_iter, MOST_STEPS), tol, XTOL)
    fit = solved_in(problem, tracked, start, limits, minimise)
    exact = fit.objective <= ALMOST_EXACT * problem.spread and problem.p <= MAX_WHITENED
    if (fit.converged and not exact) or fit.n_iter >= max_iter:
        return fit
    again = lbfgs(problem, start=start, max_iter=max_iter - fit.n_iter, tol=tol)
    return better_of(fit, again.after(fit.n_iter))


def _coordinates(problem: Problem) -> Chosen:
    """White ones where X is dense, else the columns in units of their spreads."""
    if not problem.observed.source.is_sparse:
        return for_smooth(problem, wide=True)
    own, cross = scaled(problem)
    if problem.penalty.is_none and problem.p <= MAX_WHITENED:  # as dense rows have it, too
        own = replace(own, known_rank=_rank(problem, own.rows))
    return own, cross


def _rank(problem: Problem, rows: RowBlocks) -> int:
    """The rank of the regressors: most often groups of dummies are all that is collinear."""
    rows, second, _ = moments(rows, None)
    spread = second.spread(rows.total)
    live = np.flatnonzero(spread)
    groups = complete_groups(problem.X) if rows.fit_intercept else np.full(rows.p, -1)
    count = int(groups.max(initial=-1)) + 1
    sums = spread[live, None] * (groups[live, None] == np.arange(count))
    gram = second.gram[np.ix_(live, live)] / (rows.total * np.outer(spread[live], spread[live]))
    if cholesky_factor(gram + sums @ sums.T, MIN_RCOND) is None:
        return white(problem)[0].rank
    return min(len(live) - count + int(rows.fit_intercept), rows.n)


def _groups(problem: Problem, objective: Objective) -> Index | None:
    """Groups of dummies along whose sums a ridge alone curves F; None where it is not so."""
    rows = objective.rows
    if not (rows.sparse and rows.fit_intercept and problem.penalty.root_curvature) or rows.scaled:
        return None
    groups = complete_groups(problem.X)
    return groups if groups.max(initial=-1) >= 0 else None


def minimise_newton_cg(
    tracked: Tracked,
    theta: Array,
    max_iter: int,
    xtol: float,
    floor: float,
    groups: Index | None = None,
) -> OptimizeResult:
    """Inexact Newton steps from ``theta``; it stops at joint scales below ``floor``."""
    hess = partial(_inexact, tracked, groups)
    return minimise_newton(tracked, theta, max_iter, xtol, floor, hess=hess)


@dataclass(frozen=True)
class _Inexact(Inexact):
    """A matrix whose systems are solved until so much is left."""

    matrix: Products
    groups: Index | None
    least: float

    def step(self, gradient: Array, damping: float) -> Array:
        """Newton's step, damped by a multiple of the identity."""
        matrix = _Damped(self.matrix, damping) if damping else self.matrix
        nearly = self.matrix.nearly_inverse(self.groups)
        return conjugate_gradients(matrix, -gradient, nearly, self.least, MOST_PRODUCTS)[0]


@dataclass(frozen=True)
class _Damped:
    matrix: Products
    damping: float

    def __matmul__(self, step: Array) -> Array:
        out: Array = self.matrix @ step
        out += self.damping * step
        return out


def _inexact(tracked: Tracked, groups: Index | None, theta: Array) -> _Inexact:
    """The Hessian at a point, to be solved as exactly as its gradient deserves."""
    here, objective = tracked.left(theta), tracked.objective
    size, typical = length(here.gradient), float(objective.rms_psi(here.sums))
    share = size / typical if typical > 0.0 else 1.0
    quadratic = objective.loss.homogeneity == 2
    least = max(0.0 if quadratic else min(LOOSE, share) * size, ROUNDING * typical)
    return _Inexact(Products.at(objective, here, share > STEEP), groups, least)

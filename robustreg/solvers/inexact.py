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

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.conjugate import conjugate_gradients
from robustreg._linalg.factors import length
from robustreg.evaluation.categories import complete_groups
from robustreg.evaluation.choice import (
    MAX_WHITENED,
    Chosen,
    nearly_orthonormal,
    quick,
    scaled,
)
from robustreg.evaluation.evaluated import Evaluation
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.products import Products
from robustreg.evaluation.ranks import rank_of_sparse
from robustreg.solvers._ended import Limits
from robustreg.solvers._minimise import XTOL, minimise_newton
from robustreg.solvers._newton_steps import Inexact
from robustreg.solvers._solution import Solution
from robustreg.solvers._tracked import Tracked
from robustreg.solvers.smooth import better_of, lbfgs, solved_in

MOST_PRODUCTS = 500  # for a step
# Reciprocal condition number from which single precision is enough for white coordinates: no
# matrix of Newton's method is made of theirs, and columns of normal numbers, 2000 of 5000 rows,
# have 6e-4 in the norm that is known.
MIN_RCOND_SINGLE = 1e-4
FEW_PRODUCTS = 120  # for a fit whose columns promise that some tens will do
MOST_STEPS = 100  # ten or twenty are what it takes
LOOSE = 0.1  # of the gradient: what a step may leave of it at most
ROUNDING = 1e-13  # the same at least, of the rms of psi
ALMOST_EXACT = 1e-5  # of the spread of y: F of fits that may pass through most rows
# Columns of fewer rows are rare, if a ridge has not this share of their curvature: from how large
# a share of all columns on the diagonal is worth half of a pass over X for every step.
RARE_ROWS, OUTWEIGHED, MANY_RARE = 20, 0.5, 0.2
STEEP = 1e-2  # gradients, in the rms of psi, from which on rows count by psi(z) / z


def newton_cg(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Newton's method by products with X alone.

    Coordinates are the columns in units of their spreads where X is sparse, or dense with columns
    that are nearly orthonormal; else white ones. Cost: O(nnz) a product, some tens of them for
    least squares, a few times as many for others. Where columns are so collinear that this does
    not arrive, or most rows lie on a plane, for which there are ways in white coordinates, these
    or ``lbfgs`` take over.
    """
    fit: Solution | None = None
    for way in _ways(problem):
        used = 0 if fit is None else fit.n_iter
        found = way(problem, start=start, max_iter=max_iter - used, tol=tol)
        if found is not None:
            fit = found if fit is None else better_of(fit, found.after(used))
            if (fit.converged and not _is_exact(problem, fit)) or fit.n_iter >= max_iter:
                break
    assert fit is not None
    return fit


def _ways(problem: Problem) -> list[Callable[..., Solution | None]]:
    """What is tried one after the other, until a fit is certified."""
    if problem.observed.source.is_sparse:
        return [_in_columns, lbfgs]
    if problem.p > MAX_WHITENED:
        return [_in_orthonormal_columns, lbfgs]
    return [_in_orthonormal_columns, _in_white_coordinates, lbfgs]


def _in_columns(
    problem: Problem, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """A fit to a sparse X, its columns in units of their spreads."""
    if problem.penalty.is_none:
        start = None  # from 0 steps lead to the optimum of least norm, where there are several
    return _fit_in(problem, _of_sparse(problem), start, max_iter, tol)


def _in_orthonormal_columns(
    problem: Problem, start: Coefficients | None, max_iter: int, tol: float
) -> Solution | None:
    """The same of a dense X; None where columns are not nearly orthonormal."""
    chosen = nearly_orthonormal(problem)
    if chosen is None:
        return None
    return _fit_in(problem, chosen, start, max_iter, tol, FEW_PRODUCTS)


def _in_white_coordinates(
    problem: Problem, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """A fit to a dense X whose columns may be anything."""
    return _fit_in(problem, quick(problem, MIN_RCOND_SINGLE), start, max_iter, tol)


def _fit_in(
    problem: Problem,
    chosen: Chosen,
    start: Coefficients | None,
    max_iter: int,
    tol: float,
    most: float = np.inf,
) -> Solution:
    """A fit in coordinates that were chosen, by so many products at most."""
    objective = make_objective(problem, chosen)
    tracked = Tracked(objective, curved=False, kept=True)
    scaling = Scaling(_groups(problem, objective), _has_rare(problem, objective))
    system = _System(tracked, scaling, most)
    limits = Limits(min(max_iter, MOST_STEPS), tol, XTOL)
    return solved_in(problem, tracked, start, limits, partial(minimise_newton, hess=system))


def _is_exact(problem: Problem, fit: Solution) -> bool:
    """Whether a fit may pass through most rows, for which there are ways in white coordinates."""
    return fit.objective <= ALMOST_EXACT * problem.spread and problem.p <= MAX_WHITENED


def _of_sparse(problem: Problem) -> Chosen:
    """The columns in units of their spreads, and their rank where white coordinates have it."""
    own, cross = scaled(problem)
    if problem.penalty.is_none and problem.p <= MAX_WHITENED:  # as dense rows have it, too
        own = replace(own, known_rank=rank_of_sparse(problem, own))
    return own, cross


def _groups(problem: Problem, objective: Objective) -> Index | None:
    """Groups of dummies along whose sums a ridge alone curves F; None where it is not so."""
    rows = objective.rows
    if not (rows.sparse and rows.fit_intercept and problem.penalty.root_curvature) or rows.scaled:
        return None
    groups = complete_groups(problem.X)
    return groups if groups.max(initial=-1) >= 0 else None


def _has_rare(problem: Problem, objective: Objective) -> bool:
    """Whether many columns have few rows: they curve by whether these are in the centre.

    Not without a ridge: steps that are scaled would not lead to the optimum of least norm.
    """
    own, penalty = objective.coordinates, problem.penalty
    plain = problem.loss.homogeneity == 2 or not penalty.root_curvature
    if plain or not problem.observed.source.is_sparse:
        return False
    count = np.bincount(problem.X.indices, minlength=problem.p)
    rare = (count < RARE_ROWS) & (own.ridge * own.basis**2 < OUTWEIGHED)
    return bool(np.mean(rare) > MANY_RARE)


@dataclass(frozen=True)
class Scaling:
    """What the steps of conjugate gradients are scaled by.

    Attributes
    ----------
    groups : ndarray of int or None
        Groups of dummies along whose sums a ridge alone curves F; None where it is not so.
    exact : bool
        Whether by the diagonal of the Hessian, or by what it is like.
    """

    groups: Index | None = None
    exact: bool = False


class _System:
    """The Hessians at points, to be solved as exactly as their gradients deserve.

    Parameters
    ----------
    tracked : Tracked
        The objective.
    scaling : Scaling
        What steps are scaled by.
    most : float, default=inf
        Products that all of them may take together; then there is no further step.
    """

    def __init__(self, tracked: Tracked, scaling: Scaling, most: float = np.inf) -> None:
        self.tracked, self.scaling, self.left = tracked, scaling, most

    def __call__(self, theta: Array) -> _Inexact:
        here, objective = self.tracked.left(theta), self.tracked.objective
        size, typical = length(here.gradient), float(objective.rms_psi(here.sums))
        share = size / typical if typical > 0.0 else 1.0
        quadratic = objective.loss.homogeneity == 2
        least = max(0.0 if quadratic else min(LOOSE, share) * size, ROUNDING * typical)
        return _Inexact(objective, here, share > STEEP, least, self)


@dataclass(frozen=True)
class _Inexact(Inexact):
    """The Hessian at a point, whose systems are solved until so much is left.

    ``bounded``: rows count by ``psi(z) / z``. They do so, too, where a step is damped: it is for
    columns whose rows are all off the centre, mostly, along which nothing curves otherwise.
    """

    objective: Objective
    here: Evaluation
    bounded: bool
    least: float
    system: _System

    def step(self, gradient: Array, damping: float) -> Array | None:
        """Newton's step, damped by a multiple of the identity."""
        own = Products.at(self.objective, self.here, self.bounded or damping > 0.0)
        matrix = _Damped(own, damping) if damping else own
        scaling = self.system.scaling
        nearly = own.nearly_inverse(scaling.groups, scaling.exact)
        most = int(min(MOST_PRODUCTS, self.system.left))
        step, count = conjugate_gradients(matrix, -gradient, nearly, self.least, most)
        self.system.left -= count
        return step if self.system.left > 0 else None


@dataclass(frozen=True)
class _Damped:
    matrix: Products
    damping: float

    def __matmul__(self, step: Array) -> Array:
        out: Array = self.matrix @ step
        out += self.damping * step
        return out

"""Starts that no drawing of rows gives: least absolute deviations, and many dummy columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Index, Mask, two_valued
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem
from robustreg.solvers import SOLVERS, absolute_solver
from robustreg.solvers._solution import Solution
from robustreg.subsampling.criteria import Criterion
from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.refinery import Refinery, best_of
from robustreg.subsampling.search import plenty
from robustreg.subsampling.table import Coordinates, Table, least_absolute_problem, make_table

MANY_DUMMIES = 5  # columns of two values, from which subsets of the other columns are drawn
MS_KEPT = 5


def further_starts(
    problem: Problem,
    table: Table,
    coordinates: Coordinates,
    criterion: Criterion,
    n_subsamples: int,
    random: RandomState,
    index: Index | None,
) -> Array:
    """Coordinates of starts from a sample of the rows (None: all).

    A fit of least absolute deviations withstands outliers in y however many columns there are,
    where hardly an elemental subset is without one, and is the middle of the few rows of a rare
    dummy, where a subset has one of them. With many dummies come those of `ms_starts`.
    """
    sample, weight = problem, table.weight
    if index is not None:
        sample = problem.subset(index)
        weight = None if weight is None else weight[index]
    found, dummies = [], two_valued(sample.X)
    if dummies.any() or not plenty(n_subsamples, table.m):
        fit = _least_absolute(sample)
        found.append(coordinates.to_theta(fit.coef, fit.intercept))
    if MANY_DUMMIES <= dummies.sum() < problem.p:
        starts = ms_starts(sample, weight, dummies, criterion, n_subsamples, random)
        for coef, intercept in starts:
            found.append(coordinates.to_theta(coef, intercept))
    return np.array(found).reshape(len(found), table.m)


def ms_starts(
    problem: Problem,
    weight: Array | None,
    dummies: Mask,
    criterion: Criterion,
    n_subsamples: int,
    random: RandomState,
) -> Iterator[tuple[Array, float]]:
    """Coefficients and intercepts of fits to many dummy columns and some others.

    Dummies cannot be outlying; what they say is well estimated by least absolute deviations.
    It takes them out of the targets and of the other columns, and only for what is left of
    these are subsets drawn, which are then as small as there are other columns. The dummies'
    coefficients follow from the best of these fits, again by least absolute deviations
    (Maronna and Yohai, 2000, whose M-S estimate alternates between the two; here the descent
    in all coordinates comes after).

    References
    ----------
    R. A. Maronna and V. J. Yohai (2000), Robust regression with both continuous and categorical
    predictors, Journal of Statistical Planning and Inference 89, 197-214.
    """
    ones, others = problem.X[:, dummies], problem.X[:, ~dummies].astype(np.float64)

    def explain(target: Array) -> tuple[Array, float, Array]:
        return _least_absolute_in_units(problem, ones, target)

    left = np.column_stack([explain(column)[2] for column in others.T])
    target = explain(problem.y)[2]
    rest = least_absolute_problem(
        Data(left, target, problem.weight, problem.n_threads), fit_intercept=False
    )
    table, coordinates = make_table(rest, weight)
    fits = elemental_fits(table, n_subsamples, random)
    refinery = Refinery(table, criterion, table.n_threads)
    sieved = refinery.sieve(fits, early=plenty(n_subsamples, table.m))
    for theta in best_of(*sieved, MS_KEPT):
        slope = coordinates.to_coef(theta)[0] * rest.y_unit
        coef = np.empty(problem.p)
        coef[~dummies] = slope
        coef[dummies], intercept, _ = explain(problem.y - others @ slope)
        yield coef, intercept


def _least_absolute(problem: Problem) -> Solution:
    return SOLVERS[absolute_solver(problem)].solve(problem)


def _least_absolute_in_units(problem: Problem, X: Array, y: Array) -> tuple[Array, float, Array]:
    """Coefficients, intercept and residuals of an L1 fit to other columns of the same rows."""
    own = least_absolute_problem(
        Data(X, y, problem.weight, problem.n_threads), problem.fit_intercept
    )
    fit = _least_absolute(own)
    coef, intercept = own.in_user_units(fit.coef, fit.intercept)
    return coef, float(intercept), own.put_back(fit.residual) * own.y_unit

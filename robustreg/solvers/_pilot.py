"""Where Newton's method starts in long tables: a fit to a sample of the rows.

The sample decides nothing but the way. Where it speaks for all rows, it lends them more than its
fit: its coordinates, which are nearly white for all of them, and the Hessian of the first step.
The Gram matrix of all rows is then summed for the first time where the second step begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from robustreg._arrays import Array
from robustreg._linalg.factors import length
from robustreg.evaluation.choice import for_smooth, of_sample
from robustreg.evaluation.hessian import curvature_to_start_from
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._continuation import has_tiny_scale
from robustreg.solvers._ended import Limits
from robustreg.solvers._minimise import minimise_newton
from robustreg.solvers._optimum import optimise
from robustreg.solvers._tracked import Tracked

PILOT_XTOL = 0.3  # of the standard error of the pilot's fit, by which the full data move it
PILOT_SHARE = 25  # one of so many rows,
MIN_PILOT, ROWS_PER_COLUMN = 1000, 50  # but so many at least
MIN_ENTRIES = 250_000  # below, a pilot costs more than the steps it saves


class NoGuideError(ArithmeticError):
    """A sample does not lead to the fit to all rows: its first step goes too far."""


@dataclass(frozen=True)
class Pilot:
    """What a rough fit to a sample says of the fit to all rows; nothing of the sample itself."""

    start: Coefficients
    theta: Array  # the same point in the coordinates of ``tracked``
    tracked: Piloted | None  # None where the sample does not speak for all rows


def pilot_of(problem: Problem, max_iter: int, start: Coefficients | None = None) -> Pilot | None:
    """The pilot of a problem, where there are many rows.

    A start that was given, of a fit to other rows perhaps, is taken for the sample's fit where it
    is as near to that as the fit to all rows is: it may be much nearer to the latter.
    """
    found = _sampled(problem, max_iter, ROWS_PER_COLUMN)
    if found is None:
        return None
    sample, theta = found
    if start is not None:
        given = sample.objective.pack(start)
        if length(given - theta) <= _error(sample, theta, problem.n):
            theta = given
    tracked, own = None, None
    if not has_tiny_scale(problem):
        own = of_sample(problem, sample.objective.coordinates)
    if own is not None:
        tracked = Piloted(make_objective(problem, (own, None)), theta, sample.hessian(theta))
    return Pilot(sample.objective.found(theta), theta, tracked)


def _error(sample: Tracked, theta: Array, n: int) -> float:
    """How far the fit to a sample of n rows may be from that to all of them: twice what it is."""
    own = sample.objective
    m = own.rows.n
    drawn = 2.0 * math.sqrt(len(theta) * (1.0 / m - 1.0 / max(n, m)))
    return own.scale_at(theta) * (drawn + PILOT_XTOL * math.sqrt(len(theta) / m))


def start_by_pilot(problem: Problem, max_iter: int) -> Coefficients | None:
    """Where a fit may start that makes its own steps and coordinates."""
    found = _sampled(problem, max_iter, ROWS_PER_COLUMN)
    return None if found is None else found[0].objective.found(found[1])


def _sampled(problem: Problem, max_iter: int, rows_per_column: int) -> tuple[Tracked, Array] | None:
    """A rough fit to a sample of the rows, where there are many; found in the same way."""
    size = max(problem.n // PILOT_SHARE, rows_per_column * problem.p, MIN_PILOT)
    in_memory = problem.observed.source.in_memory
    if in_memory and (problem.n < 8 * size or problem.n * problem.p < MIN_ENTRIES):
        return None
    sample = problem.some(size)
    size, start = sample.n, None
    smaller = _sampled(sample, max_iter, rows_per_column // 4)
    if smaller is not None:
        start = smaller[0].objective.found(smaller[1])
    xtol = PILOT_XTOL * math.sqrt(problem.p / size)
    tracked = Tracked(make_objective(sample, for_smooth(sample, wide=False)))
    optimum = optimise(sample, tracked, start, Limits(max_iter, 1e-3, xtol), minimise_newton)
    return (tracked, optimum.theta) if optimum.at_zero is None else None


class Piloted(Tracked):
    """The objective of all rows in the coordinates of a sample, whose Hessian the first step has.

    No Gram matrix of all rows is there yet; where the second step begins it is.
    """

    def __init__(self, objective: Objective, theta: Array, hessian: Array) -> None:
        super().__init__(objective, curved=False)
        self._start, self._first = theta.tobytes(), hessian

    def hessian(self, theta: Array) -> Any:
        """The Hessian of the sample at the start, of all rows elsewhere."""
        if theta.tobytes() != self._start:
            return super().hessian(theta)
        if self._curvature is None:
            self.left(theta)
            self._curvature = curvature_to_start_from(self.objective)
        return self._first

    def slope_along(self, theta: Array, step: Array) -> Callable[[float], float]:
        """The slope of F along a step, for which none asks that has led down as it is."""
        if theta.tobytes() == self._start:
            raise NoGuideError
        return super().slope_along(theta, step)

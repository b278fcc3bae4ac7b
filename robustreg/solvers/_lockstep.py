"""Newton fits of the same rows for several strengths of a penalty, a step of all at a time.

A fit whose start is good takes three or four steps, each of which is two products of X with
a vector and little arithmetic: less than what surrounds them. Fits in lockstep share the
products, of X with a vector for each, and all that surrounds them; see
:class:`robustreg.evaluation.points.Stack`. A step d from ``theta = [u, b, sigma]`` (the scale where
it is estimated jointly) is the one of ``semismooth_newton``:

    H d = -g,    H = sum w psi'(z) [q, 1, z][q, 1, z]' / (W sigma) + pen'',

the semismooth Newton equations of ``F(theta) = (1/W) sum w sigma rho(z) + kappa sigma + pen``:
with ``z = (y - q'u - b) / sigma`` the derivatives of ``sigma rho(z)`` are ``-psi(z) [q, 1]`` by
``[u, b]`` and ``rho(z) - z psi(z)`` by sigma, and since ``dz = -[q, 1, z]'d / sigma`` another
one gives ``psi'(z) [q, 1, z][q, 1, z]' / sigma``. Steps are always full ones, and nothing
guards them: a fit that does not get to where they vanish, or is not certified there, is left
to the guarded method.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import issparse

from robustreg._arrays import Array, Index
from robustreg.evaluation.certificate import gap_of_psi, is_balanced
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.points import Places, Stack, StackSums
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended, Limits, finished
from robustreg.solvers._faint import has_faint
from robustreg.solvers._newton import STATUS
from robustreg.solvers._newton_steps import KEEP_FROM_BOUND
from robustreg.solvers._report import result
from robustreg.solvers._solution import Reached, Solution

MAX_STEPS = 12  # from a good start three to five are enough, ...
PROGRESS = 0.5  # ... and each is shorter than this share of the last but one
LONGEST = 1e8  # scales: what is farther off than that is not what a step can tell
# Hessians serve as well for points this close to theirs (in scales, whitened coordinates).
SAME_HESSIANS = 1e-4
GRAMS = 3  # matrices of its own that a point has at a time
LITTLE = 2**22  # numbers


@dataclass(frozen=True)
class StepLimits(Limits):
    """When fits end, and where scales are next to 0.

    ``least_scale`` is where a joint scale is taken for one on its way to 0, and ``unit`` what
    lengths of steps are in units of where the scale is less.
    """

    least_scale: float
    unit: float


@dataclass(frozen=True)
class _Arrived:
    """Points from which no step leads on, and all that was found there."""

    points: Index
    steps: int
    places: Places
    sums: StackSums
    gradient: Array


class Lockstep:
    """Newton fits of the same rows, together for several strengths of a ridge penalty.

    Gram matrices stay from call to call.

    Parameters
    ----------
    shared : callable
        The objective of a problem and others like it; None where each problem has coordinates of
        its own.
    """

    def __init__(self, shared: Callable[[Problem], Objective | None]) -> None:
        self.shared = shared
        self.stacks: dict[bool, Stack] = {}  # with a penalty and without

    def fits(
        self, problems: list[Problem], starts: list[Coefficients | None], limits: StepLimits
    ) -> list[Solution | None]:
        """Certified fits, without residuals, of problems that differ in the penalty's strength.

        None for those that have no start, or that steps from there do not lead to, and for
        all where X is sparse, the penalty has kinks, targets have been brought in or rows have
        hardly any weight.
        """
        first = problems[0]
        found: list[Solution | None] = [None] * len(problems)
        special = issparse(first.X) or first.penalty.kinked or has_faint(first)
        if special or len(first.far):
            return found
        cells = [
            (k, problem, start)
            for k, (problem, start) in enumerate(zip(problems, starts, strict=True))
            if start is not None
        ]
        room = _room(first)
        for penalised in (True, False):
            own = [cell for cell in cells if (not cell[1].penalty.is_none) == penalised]
            objective = self.shared(own[0][1]) if own else None
            if objective is None:
                continue
            if penalised not in self.stacks:
                self.stacks[penalised] = Stack(objective, min(room, len(problems)))
            stack = self.stacks[penalised]
            stack.objective = objective.of(first.loss, first.penalty)
            for at in range(0, len(own), room):
                index, some, begin = zip(*own[at : at + room], strict=True)
                with np.errstate(over="ignore", invalid="ignore"):  # steps out of range are none
                    fits = _lockstep(stack, some, begin, limits)
                for k, fit in zip(index, fits, strict=True):
                    found[k] = fit
        return found


def _room(problem: Problem) -> int:
    """Points whose Gram matrices and psi' take no more room than X, or 32 MB."""
    own = problem.n + GRAMS * (problem.p + 2) ** 2
    return max(1, max(problem.n * problem.p, LITTLE) // own)


def _lockstep(
    stack: Stack,
    problems: Sequence[Problem],
    starts: Sequence[Coefficients],
    limits: StepLimits,
) -> list[Solution | None]:
    """Certified fits; None for the others."""
    fits: list[Solution | None] = [None] * len(problems)
    start = Coefficients(
        np.array([start.coef for start in starts]),
        np.array([start.intercept for start in starts]),
        np.array([start.sigma for start in starts]),
    )
    theta = stack.objective.pack(start)
    strength = np.array([problem.elastic_net.curvature for problem in problems])
    for arrived in _descend(stack, theta, strength, limits):
        own = [problems[point] for point in arrived.points]
        certified = _certified(stack, own, arrived, limits.tol)
        for point, fit in zip(arrived.points, certified, strict=True):
            fits[point] = fit if fit.converged else None
    for point, found in enumerate(fits):
        if found is None:
            stack.forget(point)
    return fits


def _descend(stack: Stack, theta: Array, strength: Array, limits: StepLimits) -> Iterator[_Arrived]:
    """Steps of all points together; those that have arrived are handed out and go no further.

    A point has arrived once its step is shorter than ``xtol``, and, unless it is a tenth of
    that, after one more evaluation, which brings the gradient to rounding.
    """
    own = stack.objective
    points = np.arange(len(theta))
    if strength.any() and not np.isfinite(stack.half_norm).all():
        return  # columns below 1e-150 under a ridge
    size = last = np.full(len(theta), np.inf)
    hessians: Array = np.empty((len(theta), own.size, own.size))
    for number in range(min(limits.max_iter, MAX_STEPS)):
        fresh = bool(np.max(size) > SAME_HESSIANS)
        places = stack.places(theta)
        sums, sigma = stack.evaluate(points, places, fresh), places.sigma
        gradient = stack.gradients(sums, places, strength)
        if fresh:
            hessians = stack.hessians(points, places)
            if strength.any():
                hessians[:, : own.k, : own.k] += strength[:, None, None] * stack.half_norm
        try:
            step = np.linalg.solve(hessians, -gradient[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:
            return  # of one point at least the curvature is 0 in some direction
        before, last = last, size
        size = np.linalg.norm(step, axis=1) / np.maximum(sigma, limits.unit)
        done = (size <= 0.1 * limits.xtol) | (np.maximum(size, last) <= limits.xtol)
        if done.any():
            there = places.some(done)
            yield _Arrived(points[done], number + 1, there, sums.at(done), gradient[done])
        theta = theta + step
        going = ~done & (size <= np.minimum(PROGRESS * before, LONGEST))
        if own.joint:
            going &= theta[:, -1] > np.maximum(KEEP_FROM_BOUND * sigma, limits.least_scale)
        if not going.any():
            return
        if not going.all():
            points, theta, strength = points[going], theta[going], strength[going]
            hessians, size, last = hessians[going], size[going], last[going]


def _certified(
    stack: Stack, problems: list[Problem], arrived: _Arrived, tol: float
) -> Iterator[Solution]:
    """The fits at points that have arrived, with their certificates."""
    own, sums = stack.objective, arrived.sums
    beta, intercept, sigma = arrived.places
    found = own.coordinates.in_columns(beta, intercept, sigma, own.rounding)
    intercepts = np.broadcast_to(found.intercept, sigma.shape)
    value = own.loss_value(sums, sigma)
    end = finished(STATUS[Ended.FINISHED], arrived.steps)
    balanced = is_balanced(own, sums, arrived.gradient)
    for k, problem in enumerate(problems):
        whole = float(value[k]) + problem.penalty.value(own.rows.coefficients(beta[k]))
        gap = np.inf
        if balanced[k]:
            this = own.of(problem.loss, problem.penalty)
            gap = gap_of_psi(this, sums.at(k), beta[k], sigma[k], whole)
        here = Coefficients(found.coef[k], float(intercepts[k]), float(sigma[k]))
        yield result(problem, Reached(here, None, whole, gap), tol, end, own.coordinates.rank)

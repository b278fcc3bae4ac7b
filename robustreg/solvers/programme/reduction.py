"""Absolute deviations and quantiles in long tables, exactly, by reducing the rows.

Rows whose residual surely has a sign matter by their sum only: the convex sum of their losses
is at least the loss of their weighted mean, with equality where all signs are as presumed.
With the rows surely above in one row, those surely below in another and the rest as it is
(Portnoy and Koenker, 1997), the optimum of this small programme is a lower bound of the whole
one, and its solution once one pass has confirmed all signs.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Solution
from robustreg.solvers.programme.candidates import Candidate, certified, opened, report
from robustreg.solvers.programme.interior import interior_in, iterate
from robustreg.solvers.programme.rows import Stored, Streamed
from robustreg.solvers.programme.session import ProgrammeSession
from robustreg.solvers.programme.smoothed import Smoothed, narrowed
from robustreg.solvers.programme.vertex import descents, vertex

SAMPLE_SHARE = 50
ROWS_PER_COORDINATE = 50  # of the sample
MIN_SAMPLE = 1000
NEWTON_STEPS = 20
# Widths of the smoothing, in standard errors of what is fitted: wide enough for a Newton step
# to arrive, narrow enough to leave few rows undecided.
STANDARD_ERRORS = 2.0
BAND = 3.0
SHARPNESS = 30.0  # of penalties' kinks: rounded off, they move all residuals by their width
ALL_STEPS = 8  # on all rows, with the curvature of a sample
ALL_XTOL = 0.03  # length of the last of them, in widths
WIDER = 4.0  # the band, after a round with more wrong signs than open rows
MAX_ROUNDS = 8
LEAST_SUM = 1e-9  # of the whole weight: that of rows whose sum takes part
MAX_KEPT = 0.25  # share of the rows beyond which a reduction does not pay


def reduced(
    problem: Problem, *, start: Coefficients | None = None, max_iter: int = 100, tol: float = 1e-7
) -> Solution:
    """Absolute deviations or a quantile on few of the rows, confirmed on all of them.

    A smoothed fit, to a sample first and then to all rows, leaves few residuals whose sign
    is open. Rows whose sign turns out wrong come back in. Where too many rows stay open, as
    with massive ties, ``interior`` takes over. Cost: O(n p^2) once for the coordinates, then
    some passes of O(n p). ``start`` is where the smoothed fit starts.
    """
    return ProgrammeSession(reduced_in).fit(problem, start=start, max_iter=max_iter, tol=tol)


def reduced_in(
    problem: Problem, chosen: Chosen, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """The same in given coordinates."""
    programme, ended = opened(problem, chosen)
    if ended is None:
        objective = programme.objective
        theta = objective.least_squares() if start is None else objective.pack(start)
        ended = _rounds(problem, programme, theta, max_iter)
    if ended is not None:
        outcome = report(problem, programme, *ended, tol)
        if outcome.converged or ended[1].status == Ended.MAX_ITER:
            return outcome
    return interior_in(problem, chosen, None, max_iter, tol)


def _rounds(
    problem: Problem, programme: Streamed, theta: Array, max_iter: int
) -> tuple[Candidate, OptimizeResult] | None:
    """Solve for the open rows until all signs are confirmed; None where that does not pay."""
    negligible = EPS * problem.spread
    sharp = Streamed(programme.objective, SHARPNESS)
    theta, width = _smoothed_fit(sharp, theta, negligible)
    first = programme.residuals(theta)
    n_open = int(np.sum(np.abs(first) <= width))
    band = width * min(1.0, BAND * np.sqrt(programme.size / max(n_open, 1)))
    rows, begin = _Reduction(programme, first, band), theta
    del first  # of as many rows as y; seldom wanted again
    iterations = 0
    for _ in range(MAX_ROUNDS):
        if len(rows.index) > MAX_KEPT * programme.n + 2 * programme.size:
            return None
        small = rows.programme()
        # not from the last theta: a vertex has no interior to step through
        point, fit = iterate(small, begin, max_iter - iterations, negligible)
        theta, nu = point.theta, point.nu
        iterations += fit.nit
        wrong = rows.wrong(programme.residuals(theta))
        if not len(wrong) or fit.status == Ended.MAX_ITER:  # only now is a vertex worth its price
            found, own, zero = vertex(small, theta, nu, problem.exact, descents(fit))
            residual = programme.residuals(found)
            fit.nit = iterations
            if not len(rows.wrong(residual)) or fit.status == Ended.MAX_ITER:
                return certified(programme, found, *rows.expand(own, zero), residual), fit
            # the optimum is a face, with vertices beyond the presumed signs: all rows find one
            nu, zero = rows.expand(nu, np.zeros(len(nu), dtype=bool))
            found, own, zero = vertex(programme, theta, nu, problem.exact, descents(fit))
            return certified(programme, found, own, zero, programme.residuals(found)), fit
        if len(wrong) <= len(rows.index):
            rows.reopen(wrong)
        else:  # the open rows have not held theta in place: these are not the rows to add
            band *= WIDER
            rows = _Reduction(programme, programme.residuals(begin), band)
    return None


class _Reduction:
    """The open rows of a programme, and the sums of those above and below."""

    def __init__(self, programme: Streamed, residual: Array, band: float) -> None:
        above, is_open = residual > 0, np.abs(residual) <= band
        is_open[programme.n :] = True
        self.whole, self.above = programme, above
        self.index: Index = np.flatnonzero(is_open)
        self.open = programme.kept(is_open)
        self.design = np.empty((2, programme.size))
        self.weight, self.target = np.empty(2), np.empty(2)
        for which, side in enumerate((above & ~is_open, ~above & ~is_open)):
            self.design[which] = programme.total * programme.slopes(1.0 * side)
            weight = side * programme.weight
            self.weight[which], self.target[which] = weight.sum(), weight @ programme.target

    def programme(self) -> Stored:
        """The open rows, then the weighted mean of those above and of those below."""
        used = self.weight > LEAST_SUM * self.whole.total
        low, high = self.whole.low[:1], self.whole.high[:1]
        count, weight = int(used.sum()), self.weight[used]
        sums = Stored(
            self.design[used] / weight[:, None],
            self.target[used] / weight,
            weight,
            np.repeat(low, count),
            np.repeat(high, count),
            self.open.total,
            self.open.ridge,
        )
        return self.open.join(sums)

    def wrong(self, residual: Array) -> Index:
        """Rows that are not open and whose residual has not the presumed sign."""
        against = np.where(self.above, residual < 0.0, residual > 0.0)
        against[self.index] = False
        return np.flatnonzero(against)

    def reopen(self, index: Index) -> None:
        """Take rows out of the sums again."""
        mask = np.zeros(len(self.above), dtype=bool)
        mask[index] = True
        rows, side = self.whole.kept(mask), np.where(self.above[index], 0, 1)
        for which in (0, 1):
            weight = rows.weight * (side == which)
            self.design[which] -= weight @ rows.design
            self.target[which] -= weight @ rows.target
            self.weight[which] -= weight.sum()
        self.index, self.open = np.append(self.index, index), self.open.join(rows)

    def expand(self, nu: Array, zero: Mask) -> tuple[Array, Mask]:
        """Nu and fitted rows of the whole programme: the rows of a sum share its nu."""
        count = len(self.index)
        own = np.array([self.whole.high[0], self.whole.low[0]])
        own[self.weight > LEAST_SUM * self.whole.total] = nu[count:]
        whole = np.where(self.above, *own)
        whole[self.index] = nu[:count]
        fitted = np.zeros(len(whole), dtype=bool)
        fitted[self.index] = zero[:count]
        return whole, fitted


def _smoothed_fit(programme: Streamed, theta: Array, negligible: float) -> tuple[Array, float]:
    """A smoothed fit to all rows, with the curvature of a sample; and its width."""
    sample = _sample(programme)
    error = float(np.sqrt(programme.size / len(sample.target)))
    share = min(1.0, STANDARD_ERRORS * error)
    theta, width = narrowed(sample, theta, NEWTON_STEPS, share, negligible)
    if len(sample.target) < len(programme.target):
        curvature = Smoothed(sample, width)
        curvature(theta)
        hessian = curvature.hessian(theta)
        theta = Smoothed(programme, width).minimise(theta, ALL_STEPS, ALL_XTOL * width, hessian)
    return theta, width


def _sample(programme: Streamed) -> Stored:
    """Some of the rows for the sum of all; all of them where they are few."""
    n, size = programme.n, programme.size
    count = max(n // SAMPLE_SHARE, ROWS_PER_COORDINATE * size, MIN_SAMPLE)
    mask = np.ones(len(programme.target), dtype=bool)
    if n >= 4 * count:
        mask[:n] = False
        mask[np.random.default_rng(0).integers(0, n, count)] = True
    sample = programme.kept(mask)
    chosen = int(mask[:n].sum())
    sample.weight[:chosen] *= programme.total / sample.weight[:chosen].sum()
    return sample

"""Absolute deviations and quantiles in long tables, exactly, by reducing the rows.

Rows whose residual surely has a sign matter by their sum only: the convex sum of their losses
is at least the loss of their weighted mean, with equality where all signs are as presumed.
With the rows surely above in one row, those surely below in another and the rest as it is
(Portnoy and Koenker, 1997), the optimum of this small programme is a lower bound of the whole
one, and its solution once one pass has confirmed all signs.

All of it is passes, in which sums and few rows come back: nothing is held of the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg._median import weighted_median
from robustreg.evaluation.certificate import dual_gap_from
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.objective import Objective, make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Made, Reached, Solution
from robustreg.solvers.programme.candidates import (
    NEAR,
    certified,
    coefficients,
    is_surely_inexact,
    opened,
    report,
    reported,
    shift_at_zero,
)
from robustreg.solvers.programme.early import EarlyVertex
from robustreg.solvers.programme.interior import interior_in, searched
from robustreg.solvers.programme.jobs import (
    AtVertex,
    Confirm,
    Confirmed,
    Gather,
    Gathered,
    Keeping,
    Picked,
    Place,
    Round,
)
from robustreg.solvers.programme.rows import (
    Rounded,
    Stored,
    Streamed,
    kinked_columns,
    rows_of_penalty,
)
from robustreg.solvers.programme.session import ProgrammeSession
from robustreg.solvers.programme.smoothed import Smoothed, narrowed
from robustreg.solvers.programme.vertex import at_best_intercept, descents, typical_size, vertex

SAMPLE_SHARE = 50
ROWS_PER_COORDINATE = 50  # of the sample
MIN_SAMPLE = 1000
SAMPLE_ENTRIES = 2**19  # no more than a block of rows has: a fit holds two copies of a sample
NEWTON_STEPS = 20
# Widths of the smoothing, in standard errors of what is fitted: wide enough for a Newton step
# to arrive, narrow enough to leave few rows undecided.
STANDARD_ERRORS = 2.0
BAND = 3.0
BIAS = 1.0  # in squares of the width: six times h^2 f' / 6 f, with f the density of residuals
NARROWER = 0.25  # a width whose bias is more than the band, or ...
BIASES = 4.0  # ... so many biases: a step at one width leaves its bias, which the next one covers
NEAR_ROWS = 100  # for each coordinate, within the width
SHARPNESS = 30.0  # of penalties' kinks: rounded off, they move all residuals by their width
# Length of the last step on all rows, in widths: none is seen to arrive. Where a narrower width
# follows, a step that is no longer than the width will do.
ALL_XTOL = 0.1
ROUGH_XTOL = 1.0
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
    objective = make_objective(problem, chosen)
    if not is_surely_inexact(problem, objective):
        programme, ended = opened(problem, chosen)
        if ended is not None:
            return report(problem, programme, *ended, tol)
    theta = objective.least_squares() if start is None else objective.pack(start)
    whole = Passes(objective, problem.rows_wanted)
    outcome = _rounds(problem, whole, theta, start is not None, max_iter, tol)
    if outcome is not None and (outcome.converged or outcome.ended == Ended.MAX_ITER):
        return outcome
    return interior_in(problem, chosen, None, max_iter, tol)


def _rounds(
    problem: Problem, whole: Passes, theta: Array, robust: bool, max_iter: int, tol: float
) -> Solution | None:
    """Solve for the open rows until all signs are confirmed; None where that does not pay."""
    negligible = EPS * problem.spread
    begin = _smoothed_fit(whole, theta, robust, negligible)
    found = whole.gathered(begin)
    iterations = 0
    for _ in range(MAX_ROUNDS):
        if found.open is None:
            return None
        rows = Reduction(whole, found.open, found.sums)
        end, fit = _ended(problem, rows, begin.theta, max_iter - iterations, negligible)
        iterations += fit.nit
        confirmed, residual = whole.confirmed(begin, end, NEAR * problem.spread)
        wrong = None if confirmed.wrong is None else rows.new(confirmed.wrong)
        if fit.status == Ended.MAX_ITER or (wrong is not None and not len(wrong.index)):
            fit.nit = iterations
            return _reported(problem, end, confirmed, residual, fit, tol)
        del residual  # before there are those of the next round
        if wrong is not None and len(wrong.index) <= len(found.open.index):
            found = Gathered(found.open + wrong, found.sums - wrong.sums(), found.most)
            continue
        # the open rows have not held theta in place: these are not the rows to add
        begin = begin._replace(band=WIDER * begin.band)
        found = whole.gathered(begin)
    return None


def _ended(
    problem: Problem, rows: Reduction, theta: Array, max_iter: int, negligible: float
) -> tuple[_End, OptimizeResult]:
    """The vertex of a reduction, and how the steps to it ended.

    They begin at a smoothed fit, not at the vertex before, which has no interior to step through.
    """
    whole, small, early = rows.whole, rows.small, EarlyVertex(rows.small, problem.exact)
    plain, shifts = not len(whole.kinked), whole.objective.rows.fit_intercept
    point, fit = searched(small, theta, max_iter, negligible, early, plain, shifts)
    if early.found is not None:
        at, nu, zero, _ = early.found
    else:
        at, nu, zero = vertex(small, point.theta, point.nu, problem.exact, descents(fit))
    return _End(rows, at, nu, zero), fit


class _Begin(NamedTuple):
    """Where signs are presumed, of rows beyond the band."""

    theta: Array
    place: Place
    width: float  # of the smoothing there
    band: float
    near: float  # rows within the width

    def is_biased(self, typical: float) -> bool:
        """Whether the smoothing moves the fit by more than the band."""
        return self.band < BIAS * self.width**2 / typical


class Passes:
    """The programme of all rows of a problem, of which passes bring sums.

    Parameters
    ----------
    objective : Objective
        The objective of absolute deviations or a quantile in white coordinates.
    keeps_rows : bool
        Whether residuals of rows in memory are kept for who asks for them.
    """

    def __init__(self, objective: Objective, keeps_rows: bool) -> None:
        self.objective, self.own = objective, objective.coordinates
        self.keeps_rows = keeps_rows
        self.kinked = kinked_columns(objective)
        self.kinks = rows_of_penalty(objective, self.kinked)
        self.sharp = rows_of_penalty(objective, self.kinked, SHARPNESS)
        self.bounds = objective.loss.conjugate_domain
        self.n, self.total, self.size = objective.rows.n, objective.rows.total, objective.lead
        self.most = int(MAX_KEPT * self.n) + 2 * self.size  # open rows with which it pays

    def place(self, theta: Array) -> Place:
        """A theta as blocks see it."""
        return Place(*self.objective.unpack(theta)[:2])

    def sample(self) -> Stored:
        """Some of the rows for the sum of all, all of them where they are few; sharp kinks.

        Of rows elsewhere all that were drawn: passes over them are dearer than a larger sample.
        """
        rows = self.objective.rows
        share = self.n // SAMPLE_SHARE if rows.source.in_memory else self.n
        share = min(share, SAMPLE_ENTRIES // self.size)
        count = max(share, ROWS_PER_COORDINATE * self.size, MIN_SAMPLE)
        block = rows.some(count) if self.n >= 4 * count else rows.every(1)
        target = block.target
        weight = np.ones(len(target)) if block.weight is None else block.weight.copy()
        weight *= self.total / weight.sum()
        a = block.reading.centred(block.X.astype(np.float64, copy=False))
        del block
        return self.stored(a, target, weight).join(self.sharp)

    def stored(self, a: Array, target: Array, weight: Array) -> Stored:
        """Rows as a programme of their own."""
        low, high = (np.full(len(target), bound) for bound in self.bounds)
        design = self.own.of_centred(a)
        return Stored(design, target, weight, low, high, self.total, self.kinks.ridge)

    def smoothed(self, begin: _Begin, xtol: float) -> _Begin:
        """The smoothed fit of all rows, from a theta near by; steps of so many widths are left."""
        rounding, width = _Rounding(self), begin.width
        theta = Smoothed(rounding, width).minimise(begin.theta, NEWTON_STEPS, xtol * width)
        return self.begin(theta, width, rounding.near)

    def narrower(self, begin: _Begin, typical: float) -> _Begin:
        """The same theta with the next width, within which there are rows enough for a Hessian."""
        biases = BIASES * BIAS * begin.width**2 / typical
        enough = begin.width * NEAR_ROWS * self.size / max(begin.near, 1.0)
        width = min(NARROWER * begin.width, max(biases, enough))
        return self.begin(begin.theta, width, begin.near * width / begin.width)

    def begin(self, theta: Array, width: float, near: float) -> _Begin:
        """The smoothed fit for a width, within which so many rows are."""
        share = min(1.0, BAND * float(np.sqrt(self.size / max(near, 1.0))))
        return _Begin(theta, self.place(theta), width, share * width, near)

    def gathered(self, begin: _Begin) -> Gathered:
        """The rows with residuals within a band, and the sums of the others."""
        found: Gathered = self.objective.rows.sum(Gather(begin.place, begin.band, self.most))
        return found

    def confirmed(self, begin: _Begin, end: _End, close: float) -> tuple[Confirmed, Array | None]:
        """What all rows say of a vertex, and the residuals of those in memory, if wanted."""
        most = 2 * len(end.rows.open.index)
        now = AtVertex(end.place, end.on)
        job = Confirm(begin.place, begin.band, now, self.bounds, close, most)
        rows = self.objective.rows
        if not (self.keeps_rows and rows.source.in_memory):
            return rows.sum(job), None
        residual = np.empty(self.n)
        return rows.sum(Keeping(job, residual)), residual


class _Rounding:
    """The programme with its kinks rounded off, a pass for each theta."""

    def __init__(self, whole: Passes) -> None:
        self.whole, self.ridge = whole, whole.sharp.ridge
        self.near = 0  # rows within the width where it was evaluated last

    def pull(self, theta: Array) -> Array:
        """The ridge's slopes at theta."""
        return self.whole.sharp.pull(theta)

    def rounded(self, theta: Array, width: float) -> Rounded:
        """The loss with its kinks rounded off, and its slopes."""
        whole, own = self.whole, self.whole.own
        job = Round(whole.place(theta), whole.bounds, width, own.gram_basis)
        found = whole.objective.rows.sum(job)
        self.near = found.near
        kinks = whole.sharp.rounded(theta, width)
        sums = found.sums / whole.total
        slopes = own.reduced(sums[:-2], float(sums[-2])) + kinks.slopes

        def hessian() -> Array:
            low, high = whole.bounds
            bend = own.of_gram(found.gram)[: whole.size, : whole.size]
            return 0.5 * (high - low) / (width * whole.total) * bend + kinks.hessian()

        return Rounded(float(sums[-1]) + kinks.loss, slopes, hessian)


def _smoothed_fit(whole: Passes, theta: Array, robust: bool, negligible: float) -> _Begin:
    """A smoothed fit to all rows, by way of one to a sample; ``robust``: from another such fit.

    What rounding the kinks off moves the fit by is of the order of the square of the width, which
    does not shrink any more once the sample has its largest size, while the band of open rows does:
    where that would be the smaller one, the width is made smaller, too.
    """
    sample = whole.sample()
    m = len(sample.target) - len(whole.kinked)
    share = min(1.0, STANDARD_ERRORS * float(np.sqrt(whole.size / m)))
    if robust and whole.objective.rows.fit_intercept:  # of another quantile, it may be
        theta = at_best_intercept(sample, theta)
    theta, width = narrowed(sample, theta, NEWTON_STEPS, share, negligible, robust)
    size = np.abs(sample.residuals(theta)[:m])
    typical = max(typical_size(size), negligible)
    near = int(np.count_nonzero(size <= width)) * (whole.n / m)
    begin = whole.begin(theta, width, near)
    biased, fitted = begin.is_biased(typical), m == whole.n  # to all rows
    while biased or not fitted:
        if fitted:
            begin = whole.narrower(begin, typical)
            biased = begin.is_biased(typical)
        begin = whole.smoothed(begin, ROUGH_XTOL if biased else ALL_XTOL)
        biased, fitted = biased or begin.is_biased(typical), True
    return begin


class Reduction:
    """The open rows of a programme, and the means of those above and below.

    Parameters
    ----------
    whole : Passes
        The programme.
    open : Picked
        The open rows.
    sums : ndarray of shape (2, p + 2)
        Sums ``w [a, 1, target]`` of the others above and below.
    """

    def __init__(self, whole: Passes, open: Picked, sums: Array) -> None:
        self.whole, self.open = whole, open
        p = sums.shape[1] - 2
        used = sums[sums[:, p] > LEAST_SUM * whole.total]
        mean = used / used[:, p, None]
        self.a = np.concatenate([open.a, mean[:, :p]])
        self.target = np.concatenate([open.target, mean[:, p + 1]])
        self.weight = np.concatenate([open.weight, used[:, p]])
        self.data = whole.stored(self.a, self.target, self.weight)
        self.small = self.data.join(whole.kinks)

    def new(self, wrong: Picked) -> Picked:
        """Those of some rows that are not open."""
        return wrong.some(~np.isin(wrong.index, self.open.index))

    # --- what the certificate asks

    def average(self, values: Array) -> float:
        """``sum w values / W``."""
        return self.data.average(values)

    def slopes(self, nu: Array) -> tuple[Array, float]:
        """``a'(w nu) / W`` and ``sum w nu / W``."""
        weighted = self.weight * nu / self.whole.total
        return weighted @ self.a, float(weighted.sum())

    def with_slopes(self, excess: Array, mean: float) -> Array:
        """The combination of the columns that has these slopes."""
        side = np.append(excess, mean) if self.whole.objective.rows.fit_intercept else excess
        solve = self.data.solver(np.ones(len(self.target)))
        assert solve is not None
        return self.data.fitted(solve(side))


class _End:
    """A vertex of a reduction, where coefficients that should be 0 are."""

    def __init__(self, rows: Reduction, theta: Array, nu: Array, zero: Mask) -> None:
        whole, n_open, n_data = rows.whole, len(rows.open.index), len(rows.target)
        self.rows, self.theta, self.nu, self.held = rows, theta, nu[:n_data], zero[n_data:]
        self.on: Index = np.sort(rows.open.index[zero[:n_open]])
        beta, moved = coefficients(whole.objective, whole.kinked, theta, self.held)
        intercept = whole.place(theta).intercept
        self.residual = rows.target - rows.a @ beta - intercept
        if moved and whole.objective.rows.fit_intercept and zero[:n_open].any():
            # what that has moved the rows of the vertex by may be more than their terms' rounding
            shift = weighted_median(self.residual[:n_open][zero[:n_open]])
            back = self.residual - shift
            loss, less = (rows.average(rows.data.losses(r)) for r in (self.residual, back))
            if less < loss:
                intercept, self.residual = intercept + shift, back
        self.place = Place(beta, intercept)


def _reported(
    problem: Problem,
    end: _End,
    confirmed: Confirmed,
    residual: Array | None,
    fit: OptimizeResult,
    tol: float,
) -> Solution:
    """The result of a vertex that all rows were asked about.

    Rows of a sum share its nu: what these bound the objective of the open rows and the means by,
    they bound that of all rows by, whatever the signs.
    """
    objective, own = end.rows.whole.objective, end.rows.whole.own
    sigma = objective.scale_at(end.theta)
    found = own.in_columns(*end.place, sigma, objective.rounding)
    if _is_elsewhere(objective, found, confirmed.exact):
        return _put_right(problem, end, fit, tol)
    value = confirmed.loss / objective.rows.total + objective.penalty.value(found.coef)
    nu = np.clip(end.nu, *end.rows.whole.bounds)
    gap = dual_gap_from(objective, found.coef, end.residual, value, nu, rows=end.rows)
    residuals = Made(objective.rows, AtVertex(end.place, end.on), residual)
    reached = Reached(found, residuals, value, gap)
    return reported(problem, objective, reached, end.held, confirmed.on_fit, fit, tol)


def _is_elsewhere(objective: Objective, found: Coefficients, on: Index) -> bool:
    """Whether rows in memory that are on the fit say that their intercept is another at X = 0."""
    rows = objective.rows
    if not (rows.source.in_memory and rows.fit_intercept):
        return False
    return shift_at_zero(objective, found, on) != 0.0


def _put_right(problem: Problem, end: _End, fit: OptimizeResult, tol: float) -> Solution:
    """The same with the residuals and the intercept that there are at X = 0."""
    programme = Streamed(end.rows.whole.objective)
    residual = programme.residuals(end.theta)
    zero = np.zeros(len(residual), dtype=bool)
    zero[end.on], zero[programme.n :] = True, end.held
    nu = programme.sign(residual)
    index = end.rows.open.index
    nu[index] = end.nu[: len(index)]
    candidate = certified(programme, end.theta, nu, zero, residual)
    return report(problem, programme, candidate, fit, tol)

"""From a candidate to the optimum near it, on all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from robustreg._arrays import EPS, Array, Mask
from robustreg._linalg.factors import OutOfRangeError, cholesky_solve, eigh, length
from robustreg.losses import ResidualLoss
from robustreg.scale._m_scale import expected_rho, m_scales
from robustreg.subsampling.criteria import SmallScale, TrimmedSquares, off_plane
from robustreg.subsampling.table import Table, ridge

NEAR = 0.1  # scales: Newton steps from the point where reweighting moves less than that
XTOL = 1e-10  # scales: length of the last step
# Equations of which so much of the weight is left hold; where an optimum is flat, as long as a row
# is at the edge of rejection, no step is short.
SOLVED = 1e-12
LEFT = 1e-7  # what the last step may leave of the equations, for the rounding of far rows' products
LEAST_CURVATURE = 1e-6  # for each row: what a direction must have for a minimum
VALUE_ROUNDING = 16 * EPS
# Values of the criterion differ by the square of a step, and drown in the rounding of residuals
# long before the steps do. Near the optimum steps that shrink need not lower it within NOISE;
# where Newton steps are as short as CLOSE, and shrink no more, they have become rounding, too.
NOISE, CLOSE = 1e-9, 1e-6
LAST_PLACES = 4.0  # units in the last place of the terms of a residual: it has no more digits
REFINEMENTS = 2  # solutions of a least-squares problem: the second mends the rounding of the first


@dataclass(frozen=True)
class Base:
    """Coefficients and intercept in the problem's units, and what they leave of the targets."""

    coef: Array
    intercept: float
    residual: Array


@dataclass(frozen=True)
class Fit:
    """Where a descent ended; ``theta`` comes on top of ``base``, where there is one."""

    theta: Array
    residual: Array
    scale: float
    steps: int
    converged: bool
    base: Base | None = None


def descend_to_small_scale(
    table: Table, loss: ResidualLoss, theta: Array, max_iter: int, near: float | None = None
) -> Fit:
    """A local minimum of the M-scale of the residuals: an S-estimate.

    With ``s(theta)`` defined by ``sum w rho(r/s) = b (W - m)``,

        grad s = -sum w psi(z) q / sum w psi(z) z,    z = r / s,

    which is 0 where the M-estimating equations of scale s hold. Steps are therefore those of
    an M-estimate at the current s; near the optimum, where the terms of the Hessian of s in
    grad s vanish, its Newton steps are Newton steps of s. ``near`` is about the scale, where
    reweighting has gone before; then Newton steps come first.
    """

    def value(residual: Array, scale: float) -> float:
        return scale

    descent = _Descent(table, loss, partial(m_scale_of, table, loss), value)
    known = near is not None and table.zero < near < np.inf
    return _descend(descent, theta, max_iter, near if known else None)


def m_scale_of(table: Table, loss: ResidualLoss, residual: Array, start: float | None) -> float:
    """The M-scale of residuals; 0 where so many count as exact fits that it is their scale.

    (The others keep their size, however small: the scale must not jump on the way down.)
    """
    absolute = np.abs(residual)[np.newaxis]
    if SmallScale(loss).is_exact(table, off_plane(table, absolute))[0]:
        return 0.0
    target = expected_rho(loss) * (table.total - table.m)
    starts = None if start is None else np.array([start])
    return float(m_scales(absolute, target, loss, starts, table.weight)[0])


def descend_jointly(
    table: Table, loss: ResidualLoss, chi: ResidualLoss, theta: Array, scale: float, max_iter: int
) -> Fit:
    """An M-estimate at the scale that is the M-scale, with the loss ``chi``, of its residuals.

    Both equations hold at the end; one is solved for the other's solution, in turns.
    """
    fit, steps = Fit(theta, table.residuals(theta), scale, 0, converged=False), 0
    while scale > 0.0 and steps < max_iter:
        inner = descend_at_scale(table, loss, fit.theta, scale, max_iter - steps)
        before, steps = scale, steps + inner.steps
        scale = m_scale_of(table, chi, inner.residual, scale)
        fit = replace(inner, scale=scale, steps=steps, converged=False)
        if abs(scale - before) <= XTOL * before:
            return replace(fit, converged=inner.converged)
    return fit_on_plane(table, fit.theta, steps) if scale == 0.0 else fit


def descend_at_scale(
    table: Table, loss: ResidualLoss, theta: Array, scale: float, max_iter: int
) -> Fit:
    """A local minimum of ``sum w rho(r / scale)``: an M-estimate of fixed scale.

    Reweighted least squares lower it in every step (the parabola with the curvature
    ``psi(z)/z`` touches rho at z and lies above it; Huber and Ronchetti, 2009, section 7.8);
    near the optimum Newton steps do so faster.
    """

    def value(residual: Array, scale: float) -> float:
        return float(table.sum(loss.rho(residual / scale)))

    descent = _Descent(table, loss, lambda residual, before: scale, value)
    return _descend(descent, theta, max_iter)


class _Point(NamedTuple):
    """Where a descent is."""

    theta: Array
    residual: Array
    scale: float
    lowest: float  # what the criterion has been at least, here and on the way

    def fit(self, steps: int, *, converged: bool) -> Fit:
        """The fit that a descent ends with here."""
        return Fit(self.theta, self.residual, self.scale, steps, converged)


class _Step(NamedTuple):
    """A step in units of the scale: what solves ``matrix @ change = pull``, but for rounding."""

    change: Array
    matrix: Array
    pull: Array
    newton: bool
    minimum: bool  # whether the matrix is the Hessian of a minimum

    @property
    def size(self) -> float:
        return length(self.change)

    def shrinks(self, last: float) -> bool:
        """Whether it is as short, after one of the size ``last``, as near an optimum."""
        return self.size <= min((0.5 if self.newton else 1.0) * last, NEAR)

    def is_rounding(self, last: float) -> bool:
        """Whether Newton's method has arrived at a minimum, and its steps shrink no more."""
        return self.minimum and last < CLOSE and not self.shrinks(last)

    def solves_all(self, total: float) -> bool:
        """Whether all equations are solved: a row too far out may leave none but its own."""
        return length(self.pull - self.matrix @ self.change) <= LEFT * total


@dataclass(frozen=True)
class _Descent:
    """What a descent goes by: the scale of residuals, and the criterion that steps must lower."""

    table: Table
    loss: ResidualLoss
    scale_of: Callable[[Array, float | None], float]  # from the scale before, if there is one
    value: Callable[[Array, float], float]

    def start(self, theta: Array, near: float | None) -> _Point:
        """Where a descent begins, with a scale near by if that is known."""
        residual = self.table.residuals(theta)
        scale = self.scale_of(residual, near)
        return _Point(theta, residual, scale, self.value(residual, scale) if scale > 0.0 else 0.0)

    def pull(self, z: Array) -> Array:
        """What is left of the equations, ``sum w psi(z) q = 0``."""
        return self.table.slope(self.table.weigh(self.loss.psi(z)))

    def newton_step(self, z: Array, pull: Array) -> _Step:
        """The Newton step of an M-estimate at this scale."""
        hessian = self.table.gram(self.table.weigh(self.loss.psi_prime(z)))
        change, minimum = newton_change(hessian, pull, self.table.total)
        return _Step(change, hessian, pull, newton=True, minimum=minimum)

    def reweighted_step(self, z: Array, pull: Array) -> _Step:
        """The step of reweighted least squares."""
        gram = self.table.gram(self.table.weigh(self.loss.weights(z)))
        change = reweighted_change(gram, pull, self.table.total)
        return _Step(change, gram, pull, newton=False, minimum=False)

    def step(self, here: _Point, z: Array, pull: Array, last: float) -> tuple[_Step, _Point | None]:
        """The next step after one of the size ``last``, and where it leads, if it goes down.

        A Newton step near the optimum, and where that does not go down, a reweighted one, which
        does but for rounding.
        """
        if last < NEAR:
            step = self.newton_step(z, pull)
            if step.is_rounding(last):
                return step, None
            if reached := self.accepted(here, step, last):
                return step, reached
        step = self.reweighted_step(z, pull)
        return step, self.accepted(here, step, last)

    def accepted(self, here: _Point, step: _Step, last: float) -> _Point | None:
        """Where a step leads; None where the criterion does not fall there."""
        theta = here.theta + here.scale * step.change
        residual = self.table.residuals(theta)
        scale = self.scale_of(residual, here.scale)
        reached = self.value(residual, scale)
        slack = NOISE if step.shrinks(last) else VALUE_ROUNDING
        if not reached <= here.lowest * (1.0 + slack):
            return None
        return _Point(theta, residual, scale, min(here.lowest, reached))


def _descend(descent: _Descent, theta: Array, max_iter: int, near: float | None = None) -> Fit:
    total = descent.table.total
    # and the size of the last step: unknown, or one after which Newton's method is tried
    here, last = descent.start(theta, near), np.inf if near is None else 0.5 * NEAR
    for steps in range(max_iter):
        if here.scale == 0.0:
            return fit_on_plane(descent.table, here.theta, steps)
        z = here.residual / here.scale
        pull = descent.pull(z)
        # where the scale is far above all residuals, psi is as small as they are
        if length(pull) <= SOLVED * total * min(1.0, float(np.abs(z).max())):
            return here.fit(steps, converged=True)
        step, reached = descent.step(here, z, pull, last)
        if reached is None:  # no step goes down any more: at the optimum, or rounding
            solved = min(last, step.size) < NEAR and step.solves_all(total)
            return here.fit(steps, converged=step.is_rounding(last) or solved)
        # a step that moves no residual is below the rounding of these, and so would all others be
        lost = step.size < NEAR and np.array_equal(reached.residual, here.residual)
        here, last = reached, step.size
        if last <= XTOL or lost:
            return here.fit(steps + 1, converged=step.solves_all(total))
    return here.fit(max_iter, converged=False)


def rows_on_plane(table: Table, fit: Fit) -> Mask:
    """Rows that lie on a plane, or are off one that is far away by no more than its rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.abs(table.y) + np.abs(table.q) @ np.abs(fit.theta)
        found: Mask = np.abs(fit.residual) <= np.maximum(table.zero, LAST_PLACES * EPS * terms)
    return found


def fit_on_plane(table: Table, theta: Array, steps: int = 0, on: Mask | None = None) -> Fit:
    """Least squares on the rows that lie on a plane, most of all: its digits are theirs.

    From the rows alone, where they determine it: whatever way led to them leaves no trace. Which
    ones these are may be known beforehand (``on``).
    """
    fit = Fit(theta, table.residuals(theta), 0.0, steps, converged=True)
    on = rows_on_plane(table, fit) if on is None else on
    if not on.any():
        return fit
    starts = np.zeros_like(theta), theta
    fits = (*(least_squares_on(table, on, start) for start in starts), fit)
    far = [np.abs(one.residual[on]).sum() for one in fits]
    return replace(fits[int(np.argmin(far))], steps=steps)


def least_squares_on(table: Table, mask: Mask, theta: Array) -> Fit:
    """Least squares on some of the rows, from a fit near by."""
    weight, residual = table.weigh(mask.astype(np.float64)), table.residuals(theta)
    for _ in range(REFINEMENTS):
        gram, pull = table.gram(weight), table.slope(weight * residual)
        theta = theta + reweighted_change(gram, pull, table.total)
        residual = table.residuals(theta)
    return Fit(theta, residual, 0.0, 0, converged=True)


def newton_change(hessian: Array, pull: Array, total: float) -> tuple[Array, bool]:
    """The Newton step, and whether the Hessian is that of a minimum.

    Where it is not, in the valleys that few rows make, curvatures count by their size: the step
    still goes downhill, and away from saddles, by which reweighting only creeps.
    """
    # the bulk of the rows has about the curvature 1 for each of them, a row far out much more:
    # in units of its own, lest its rounding be more than the curvature of all others
    unit = np.sqrt(np.maximum(np.abs(np.diag(hessian)), total) / total)
    values, vectors = eigh(hessian / np.outer(unit, unit))
    size = np.abs(values)
    least = max(LEAST_CURVATURE * total, 16 * EPS * size.max())
    step = vectors @ ((vectors.T @ (pull / unit)) / np.maximum(size, least))
    return step / unit, bool(values[0] >= least)


def reweighted_change(gram: Array, pull: Array, total: float) -> Array:
    """The least-squares step; 0 in directions in which no row has a weight."""
    if not len(pull):  # only columns of zeros, and no intercept
        return pull
    step = cholesky_solve(gram + np.diag(ridge(np.diag(gram), total)), pull, 0.0)
    if step is None:  # its ridge makes it regular, if it is finite
        raise OutOfRangeError
    return step


def descend_by_trimming(
    table: Table, criterion: TrimmedSquares, theta: Array, max_iter: int
) -> tuple[Fit, Array, float]:
    """A local minimum of a trimmed sum of squares, by C-steps; the rows' shares, and the sum.

    From step to step few shares change, and only these rows enter the Gram matrix anew. What
    rounding does to it is no matter: it has a say in the way, but none in where it ends.
    """
    residual = table.residuals(theta)
    shares, best = trim(table, criterion, residual)
    gram = table.gram(shares)
    for steps in range(max_iter):
        pull = table.slope(shares * residual)
        trial = theta + reweighted_change(gram, pull, table.total)
        new = table.residuals(trial)
        new_shares, reached = trim(table, criterion, new)
        changed = np.flatnonzero(new_shares != shares)
        settled = reached >= best * (1.0 - VALUE_ROUNDING) or not len(changed)
        if reached <= best:
            gram += table.take(changed).gram(new_shares[changed] - shares[changed])
            theta, residual, shares, best = trial, new, new_shares, reached
        if settled:
            return Fit(theta, residual, 0.0, steps + 1, converged=True), shares, best
    return Fit(theta, residual, 0.0, max_iter, converged=False), shares, best


def trim(table: Table, criterion: TrimmedSquares, residual: Array) -> tuple[Array, float]:
    """The rows' shares in the trimmed sum of squares, and the sum."""
    shares = criterion.shares(table, np.abs(residual)[None])[0]
    if not shares.any():  # no residual is a number
        raise OutOfRangeError
    return shares, float(shares @ (residual * residual))

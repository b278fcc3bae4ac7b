"""The linear programme of a loss that is positively homogeneous, with or without penalties.

With ``low <= nu <= high`` the domain of the conjugate, ``rho(r) = max(high r, low r)``:
absolute deviations have -1 and 1, the tau-quantile tau - 1 and tau. An L1 penalty is more of
the same: ``alpha l1_ratio |coef_j|`` is a row with target 0, bounds of opposite sign, and
``-coef_j`` as residual. So is the constraint that ``coef_j`` must not be negative: psi is
bounded, hence so is what the data gain by a negative one, and a slope above that gain keeps
coefficients out of there exactly. The programme is therefore one list of rows

    min  (1/W) sum_i w_i max(high_i r_i, low_i r_i) + theta' ridge theta / 2,   r = t - D theta

in the whitened coordinates ``theta = [u, b]`` of :class:`robustreg.evaluation.objective.Objective`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import lapack

from robustreg._arrays import EPS, TINY, Array, Index, Mask
from robustreg._cached import cached_property
from robustreg._linalg.factors import lstsq
from robustreg.evaluation.objective import Objective

Solver = Callable[[Array], Array]

# Slope that no coefficient can overcome, in the steepest of the data; any factor above 1 will do.
REPULSION = 1.25
# Slopes that rounding of the data's hides anyway, in the same: smaller ones would only underflow.
HIDDEN = EPS**2


@dataclass(frozen=True)
class Rounded:
    """Sums over the rows at one theta, with the kinks of the losses rounded off."""

    loss: float  # weighted mean
    slopes: Array  # of the nu that attains it
    hessian: Callable[[], Array]  # second derivative of the loss


def round_off(residual: Array, low: Any, high: Any, width: float) -> tuple[Array, Array]:
    """Losses that are a parabola for ``|r| <= width``, and their derivatives nu.

    ``max over nu in [low, high] of nu r - width (nu - m)^2 / (2 d)``, with m the middle and d
    half the length of the interval: ``nu = m + d clip(r / width, -1, 1)``. For absolute
    deviations that is Huber's loss.
    """
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    share = np.clip(residual * (1.0 / width), -1.0, 1.0)
    bend = half * share
    nu = middle + bend
    share *= bend
    share *= -0.5 * width
    share += nu * residual
    return share, nu


def _solver(matrix: Array) -> Solver:
    """Solves equations with a (finite) matrix, in the sense of least squares if it is singular."""
    if not len(matrix):  # which SciPy 1.11 has no solution for
        return lambda side: side
    factor, failed = lapack.dpotrf(matrix)
    if failed:
        return lambda side: lstsq(matrix, side, cond=1e-14)
    return lambda side: lapack.dpotrs(factor, side)[0]


class Programme(ABC):
    """Rows ``D theta = t`` with weights and bounds of nu; where D is kept, subclasses know.

    Parameters
    ----------
    target, weight, low, high : ndarray of shape (n_rows,)
        Targets, positive weights, and the bounds ``low <= 0 < high`` of nu.
    total : float
        W, the sum of the weights of the data.
    ridge : ndarray of shape (size, size) or (size,)
        Second derivative of the quadratic penalty by theta; a vector is a diagonal.

    Attributes
    ----------
    filled : bool
        Whether normal equations are matrices without zeros, small enough to be held as such.
    """

    filled = True

    def __init__(
        self, target: Array, weight: Array, low: Array, high: Array, total: float, ridge: Array
    ) -> None:
        self.target, self.weight, self.low, self.high = target, weight, low, high
        self.total, self.ridge = total, ridge
        # a ridge without normal numbers has no factors, and curves nothing
        self.curved = bool(np.abs(ridge).max(initial=0.0) >= TINY)

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.ridge)

    @cached_property
    def weights(self) -> float:
        """The sum of all weights, those of the penalty's rows included."""
        return float(self.weight.sum())

    @abstractmethod
    def fitted(self, theta: Array) -> Array:
        """``D theta``."""

    @abstractmethod
    def slopes(self, nu: Array) -> Array:
        """``D'(w nu) / W``."""

    @abstractmethod
    def gram(self, barrier: Array) -> Array:
        """``D' diag(w barrier) D / W``."""

    @abstractmethod
    def take(self, mask: Mask) -> Array:
        """The rows of D where ``mask`` is true."""

    def solver(self, barrier: Array) -> Solver | None:
        """Solves equations with ``D' diag(w barrier) D / W`` and the ridge.

        In the sense of least squares if they are singular. None where numbers are out of range.
        """
        matrix = self.gram(barrier) + self.ridge
        return _solver(matrix) if np.isfinite(matrix).all() else None

    def pull(self, theta: Array) -> Array:
        """The ridge's slopes at theta."""
        return self.ridge @ theta if self.ridge.ndim == 2 else self.ridge * theta

    def residuals(self, theta: Array) -> Array:
        """``t - D theta``."""
        return self.target - self.fitted(theta)

    def rounded(self, theta: Array, width: float) -> Rounded:
        """The loss with its kinks rounded off, and its slopes."""
        residual = self.residuals(theta)
        loss, nu = round_off(residual, self.low, self.high, width)
        return Rounded(self.average(loss), self.slopes(nu), partial(self._bend, residual, width))

    def _bend(self, residual: Array, width: float) -> Array:
        """What curves the rounded loss: the rows within the width."""
        near = np.abs(residual) <= width
        design = self.take(near)
        half = 0.5 * (self.high[near] - self.low[near])
        weight = self.weight[near] * half / (width * self.total)
        return design.T @ (weight[:, None] * design)

    def imbalance(self, theta: Array, nu: Array) -> Array:
        """What is 0 at the optimum: slopes of nu less those of the ridge."""
        return self.slopes(nu) - self.pull(theta) if self.curved else self.slopes(nu)

    def average(self, values: Array) -> float:
        """``sum w values / W``."""
        return float(self.weight @ values) / self.total

    def sign(self, residual: Array) -> Array:
        """The nu of rows that are not fitted exactly: a bound; 0 at a residual of 0."""
        return np.where(residual > 0, self.high, np.where(residual < 0, self.low, 0.0))

    def losses(self, residual: Array) -> Array:
        """The loss of every row, ``max(high r, low r)``."""
        out = self.high * residual
        return np.maximum(out, self.low * residual, out=out)

    def value(self, theta: Array, residual: Array) -> float:
        """The objective, given the residuals at theta."""
        return self.average(self.losses(residual)) + 0.5 * float(theta @ self.pull(theta))

    def kept(self, mask: Mask) -> Stored:
        """Some of the rows, in memory. W remains."""
        parts = (self.target, self.weight, self.low, self.high)
        return Stored(self.take(mask), *(part[mask] for part in parts), self.total, self.ridge)


class Stored(Programme):
    """A programme whose D is an array in memory, column after column.

    Rows are short: what is done to each entry, and products with D, take half of the time so.
    """

    def __init__(self, design: Array, *rest: Any) -> None:
        super().__init__(*rest)
        self.design = np.asfortranarray(design)

    def fitted(self, theta: Array) -> Array:
        return self.design @ theta

    def slopes(self, nu: Array) -> Array:
        return (self.weight * nu) @ self.design / self.total

    def gram(self, barrier: Array) -> Array:
        scaled = np.sqrt(self.weight * barrier / self.total)[:, None] * self.design
        return scaled.T @ scaled

    def take(self, mask: Mask) -> Array:
        return self.design[mask]

    def join(self, other: Stored) -> Stored:
        """The rows of both."""
        if not len(other.target):
            return self
        pairs = [
            (getattr(self, name), getattr(other, name))
            for name in ("design", "target", "weight", "low", "high")
        ]
        return Stored(*(np.concatenate(pair) for pair in pairs), self.total, self.ridge)


class Streamed(Programme):
    """The programme of all rows of a problem, reading X in blocks; penalty rows at the end."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.n = objective, objective.rows.n
        self.own = objective.coordinates
        self.kinked = kinked_columns(objective)
        kinks = rows_of_penalty(objective, self.kinked)
        self.extra = kinks.design
        weight = objective.rows.weight
        low, high = objective.loss.conjugate_domain
        super().__init__(
            self._extend(objective.rows.y, kinks.target),
            self._extend(np.broadcast_to(1.0, self.n) if weight is None else weight, kinks.weight),
            self._extend(np.broadcast_to(low, self.n), kinks.low),
            self._extend(np.broadcast_to(high, self.n), kinks.high),
            kinks.total,
            kinks.ridge,
        )

    def at_hand(self) -> Stored:
        """All rows, in memory."""
        design = self._extend(self.own.whole(), self.extra)
        parts = self.target, self.weight, self.low, self.high
        return Stored(design, *parts, self.total, self.ridge)

    def _extend(self, data: Array, extra: Array) -> Array:
        return np.concatenate([data, extra]) if len(extra) else data

    def fitted(self, theta: Array) -> Array:
        beta, intercept, _ = self.objective.unpack(theta)
        return self._extend(self.own.fitted(beta, intercept), self.extra @ theta)

    def slopes(self, nu: Array) -> Array:
        slopes = self.own.reduced(*self.own.slopes(nu[: self.n]))
        return slopes + (self.weight[self.n :] * nu[self.n :]) @ self.extra / self.total

    def gram(self, barrier: Array) -> Array:
        own = self.weight[self.n :] * barrier[self.n :] / self.total
        return self.own.gram(barrier[: self.n]) + self.extra.T @ (own[:, None] * self.extra)

    def take(self, mask: Mask) -> Array:
        data = self.own.take(mask[: self.n])
        return np.concatenate([data, self.extra[mask[self.n :]]])


def kinked_columns(objective: Objective) -> Index:
    """The columns whose coefficient has a kink at 0, and a row of the programme for it."""
    own = objective.coordinates
    if not objective.penalty.kinked:
        return np.zeros(0, dtype=np.intp)
    used = own.basis.any(axis=1) if own.basis.ndim == 2 else own.basis > 0
    live = (own.spread > 0) & used
    return np.flatnonzero(live & objective.penalty.kinked)


def rows_of_penalty(objective: Objective, kinked: Index, sharpness: float = 1.0) -> Stored:
    """The rows of the penalty's kinks, with the ridge of its quadratic part.

    ``sharpness`` is the unit of their residuals: it changes the programme only where its kinks
    are rounded off, by as much less for these rows.
    """
    k, lead = objective.k, objective.lead
    width, *rest = penalty_rows(objective, kinked, sharpness)
    design = np.zeros((len(kinked), objective.size))
    design[:, :k] = width[:, None] * objective.coordinates.basis[kinked]
    ridge = np.zeros((lead, lead))
    if objective.penalty.root_curvature:
        ridge[:k, :k] = objective.penalty_hessian
    return Stored(design, np.zeros(len(kinked)), *rest, objective.rows.total, ridge)


def penalty_rows(
    objective: Objective, columns: Index, sharpness: float
) -> tuple[Array, Array, Array, Array]:
    """Widths, weights and bounds of nu of the rows of the penalty's kinks.

    The residual of row j is ``-sharpness width_j coef_j``, with ``y / width_j`` the order of
    coefficients, the ridge included. The bounds are the slopes of the penalty, in that unit,
    over the row's share of the weight: that of one row of mean weight, or less if the upper
    bound would be below 1. A slope is ``alpha l1_ratio`` or, beyond a sign constraint,
    ``REPULSION sup |psi| s_j``: the slopes of the data are smaller, ``|sum w nu (x - c)| / W
    <= sup |psi| s_j`` with s_j the standard deviation about c, the mean (0 without an
    intercept). No slope need be larger than that for a coefficient to be 0, and none smaller
    than ``HIDDEN`` of it to be next to none.
    """
    penalty, own, unit = objective.penalty, objective.coordinates, objective.rows.unit[columns]
    if not len(columns):
        none = np.zeros(0)
        return none, none, none, none
    spread = own.spread[columns]
    with np.errstate(over="ignore"):
        width = sharpness * (spread + (penalty.root_curvature / unit) ** 2 / spread)
    width = np.minimum(width, np.finfo(np.float64).max)
    low, high = objective.loss.conjugate_domain
    prohibitive = REPULSION * max(-low, high) * spread
    with np.errstate(over="ignore"):
        slope = np.minimum(penalty.slope / unit, prohibitive)
    if penalty.slope:
        slope = np.maximum(slope, HIDDEN * prohibitive)
    steepest = prohibitive if penalty.positive else slope
    total = objective.rows.total
    weight = total * np.minimum(1.0 / objective.rows.n, steepest / width)
    with np.errstate(divide="ignore"):  # beside a ridge that outweighs it, a kink is nothing
        to_bound = total / (weight * width)
    return width, weight, -slope * to_bound, steepest * to_bound

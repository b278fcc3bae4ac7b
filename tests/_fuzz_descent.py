"""Lower points of an objective, by a descent in extended precision.

Directions may come from double precision, since only the points that they lead to count: every
point is judged by the objective itself. None of this is meant to be fast or to converge from
afar. It starts from a fit and asks whether something nearby is lower.
"""

from dataclasses import dataclass

import numpy as np
from _fuzz_objective import LONG
from scipy.linalg import qr

GRID = LONG(2) ** np.array(
    [6, 3, 2, 1, 0.5, 0, -0.5, -1, -2, -3, -5, -7, -10, -14, -20, -30, -40, -55]
)
BOTH = np.concatenate([-GRID, [LONG(0)], GRID[::-1]])
CANDIDATES = 32  # kinks that a turn of a line search looks at
MOST = 20  # columns, about, that a round of the descent moves alone
SHARP = 1e-3  # of the mean residual: a scale below makes a loss next to absolute deviations


@dataclass
class Point:
    """Coefficients, intercept, scale and what F is there."""

    coef: np.ndarray
    intercept: np.longdouble
    sigma: np.longdouble | None
    value: np.longdouble


def point(objective, coef, intercept, start=None):
    """The point with these coefficients at the best scale."""
    coef, intercept = np.asarray(coef).astype(LONG), LONG(intercept)
    residual, sigma = objective.residual(coef, intercept), None
    value = objective.penalty(coef)
    if objective.joint:
        sigma = objective.best_sigma(residual, start)
        limit, found = objective.loss_at(residual, LONG(0)), objective.loss_at(residual, sigma)
        sigma = sigma if found <= limit else LONG(0)
        value += min(limit, found)
    else:
        value += objective.loss_at(residual)
    return Point(coef, intercept, sigma, value)


class Descent:
    """Steps to lower points."""

    def __init__(self, objective):
        self.objective = objective
        X = objective.X
        center = np.zeros(X.shape[1], LONG)
        if objective.fit_intercept:
            center = np.median(X, axis=0)
        off = np.abs(X - center)
        scale = np.median(off, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = off.sum(axis=0) / (off > 0).sum(axis=0)
        self.live = off.any(axis=0)
        self.scale = np.where(scale > 0, scale, np.where(self.live, mean, 1))
        self.center = center
        self.Z = (X - center) / self.scale
        self.k = X.shape[1] + objective.fit_intercept
        self.stride, self.turn = 1 + self.k // MOST, 0  # of many columns, some in every round
        self.A = np.hstack([self.Z, np.ones((len(X), self.k - X.shape[1]), LONG)])

    def to_coef(self, direction):
        """A direction in standardised coordinates as one of coefficients and intercept."""
        p = self.Z.shape[1]
        coef = np.where(self.live, direction[:p] / self.scale, 0)
        return coef, direction[p] - self.center @ coef if self.k > p else LONG(0)

    def line(self, at, direction, growth=0):
        """The lowest point on a line both ways, F being convex along it."""
        obj = self.objective
        coef, intercept = self.to_coef(np.asarray(direction, LONG))
        change = obj.X @ coef + intercept
        largest = np.abs(change).max()
        terms = (np.abs(self.A) @ np.abs(direction)).max()
        if not np.isfinite(largest) or largest <= 1e-12 * terms:
            return at  # nowhere, or where only the rounding of X leads
        residual = obj.residual(at.coef, at.intercept)
        kinks = np.zeros(0, LONG)
        with np.errstate(divide="ignore", invalid="ignore"):
            if obj.kinked:
                kinks = -at.coef / coef
            if self._is_sharp(at):
                kinks = np.append(kinks, residual / change)
        kinks = np.sort(kinks[np.isfinite(kinks)])
        low, high, best = -np.inf, np.inf, LONG(0)
        for turn in range(4):
            inside = kinks[(kinks > low) & (kinks < high)]
            if len(inside) > CANDIDATES:
                inside = inside[np.linspace(0, len(inside) - 1, CANDIDATES).astype(int)]
            steps = BOTH if turn == 0 else np.linspace(low, high, 9)
            steps = np.unique(np.concatenate([steps, inside, [best]]))
            values = self._values(at, residual, change, coef, growth, steps)
            index = int(np.argmin(values))
            best = steps[index]
            if turn == 0 and best == 0:
                return at
            low, high = steps[max(index - 1, 0)], steps[min(index + 1, len(steps) - 1)]
        new = at.coef + best * coef
        if obj.kinked:
            with np.errstate(divide="ignore", invalid="ignore"):
                new[(coef != 0) & (best == -at.coef / coef)] = 0
        found = point(obj, new, at.intercept + best * intercept, at.sigma)
        return found if found.value < at.value else at

    def _values(self, at, residual, change, coef, growth, steps):
        obj = self.objective
        sigma = None
        if obj.joint:
            sigma = at.sigma + growth * steps
        moved = residual[:, None] - change[:, None] * steps
        values = np.empty(len(steps), LONG)
        if obj.joint and at.sigma == 0:
            values[:] = obj.loss_at(moved, LONG(0))
        elif obj.joint:
            positive = sigma > 0
            values[:] = np.inf
            values[positive] = obj.loss_at(moved[:, positive], sigma[positive])
        else:
            values[:] = obj.loss_at(moved)
        if obj.alpha or obj.positive:
            coefs = at.coef[:, None] + coef[:, None] * steps
            if obj.kinked:  # the crossing itself is 0, not what rounding leaves of it
                with np.errstate(divide="ignore", invalid="ignore"):
                    coefs[(-at.coef / coef)[:, None] == steps] = 0
            if obj.positive:
                values[(coefs < 0).any(axis=0)] = np.inf
            values += obj.l1 * np.abs(coefs).sum(axis=0) + obj.ridge / 2 * (coefs**2).sum(axis=0)
        return values

    def directions(self, at):
        """Directions in which F may fall, most promising first, and growths of sigma."""
        obj = self.objective
        sharp = self._is_sharp(at)
        if sharp:
            for edge in self._edges(at):
                yield edge, LONG(0)
        yield from self._newton(at, obj.loss.homogeneous or (obj.joint and at.sigma == 0))
        if obj.kinked or sharp:
            unit = self._unit(at) if sharp else at.sigma if obj.joint else LONG(obj.scale)
            self.turn += 1
            for j in range(self.turn % self.stride, self.k, self.stride):
                if j >= self.Z.shape[1] or self.live[j]:
                    direction = np.zeros(self.k, LONG)
                    direction[j] = unit
                    yield direction, LONG(0)

    def _is_sharp(self, at):
        """Whether the loss is next to one with a kink at 0."""
        obj = self.objective
        if obj.loss.homogeneous or (obj.joint and at.sigma == 0):
            return True
        sigma = at.sigma if obj.joint else LONG(obj.scale)
        return bool(np.isfinite(obj.loss.slopes[1])) and sigma < SHARP * self._unit(at)

    def _unit(self, at):
        return self.objective.share @ np.abs(self.objective.residual(at.coef, at.intercept))

    def _edges(self, at):
        """Directions that leave all but one of the rows of residual 0 where they are."""
        obj, p = self.objective, self.Z.shape[1]
        residual = np.abs(obj.residual(at.coef, at.intercept))
        error = obj.errors(at.coef, at.intercept)
        near = np.flatnonzero(residual <= np.maximum(32 * error, obj.exact))
        rows = self.A[near]
        if obj.kinked:
            units = np.eye(self.k, dtype=LONG)[:p][at.coef == 0]
            rows = np.vstack([rows, units])
        length = np.abs(rows).max(axis=1)
        rows = (rows[length > 0] / length[length > 0, None]).astype(float)
        if not len(rows):
            return
        _, R, pivots = qr(rows.T, pivoting=True, mode="economic")
        diagonal = np.abs(np.diag(R))
        rank = int((diagonal > 1e-11 * diagonal[0]).sum())
        chosen = rows[pivots[:rank]]
        _, _, right = np.linalg.svd(chosen)
        unit = self._unit(at) or LONG(1)
        for column in [*np.linalg.pinv(chosen, rcond=1e-13).T, *right[rank:]]:
            yield unit * column.astype(LONG)

    def _newton(self, at, flat):
        """Newton directions with several floors under the curvature; they carry sigma along."""
        obj, p = self.objective, self.Z.shape[1]
        residual = obj.residual(at.coef, at.intercept)
        sigma = at.sigma if obj.joint else LONG(obj.scale)
        size = np.abs(residual)
        if flat:
            sigma = np.median(size) * LONG(1e-3) or size.max() * LONG(1e-3)
        if not sigma > 0:
            return
        z = residual / sigma
        if flat:
            low, high = obj.loss.slopes
            psi = np.clip(z, low, high)
            curvature = high / np.maximum(np.abs(z), 1)
        else:
            psi, curvature = obj.loss.psi(z), obj.loss.psi_prime(z)
        gradient = self.A.T @ (obj.share * psi)
        back = np.append(1 / self.scale, np.ones(self.k - p, LONG))
        coef = np.append(at.coef, np.zeros(self.k - p, LONG))
        gradient -= obj.ridge * coef * back
        free = np.append(self.live, np.ones(self.k - p, bool))
        if obj.kinked:
            free = free & self._kinked_gradient(gradient, at.coef, obj.l1 / self.scale)
        A = self.A[:, free]
        gradient = gradient[free]
        with_sigma = obj.joint and not flat
        if with_sigma:
            A, gradient = np.hstack([A, z[:, None]]), np.append(gradient, LONG(0))
        if A.shape[1] == 0:
            return
        weighted = np.sqrt(obj.share * curvature)[:, None] * A
        norm = np.sqrt((weighted**2).sum(axis=0))
        plain = np.sqrt((obj.share[:, None] * A**2).sum(axis=0))
        norm = np.where(norm > 1e-12 * plain, norm, np.where(plain > 0, plain, 1))
        weighted = (weighted / norm).astype(float)
        ridge = np.zeros(A.shape[1])
        lead = int(free.sum())
        ridge[:lead] = (obj.ridge * sigma * back[free] ** 2 / norm[:lead] ** 2).astype(float)
        ridge = np.minimum(ridge, 1e250)
        spectrum, basis = np.linalg.eigh(weighted.T @ weighted + np.diag(ridge))
        along = basis.T @ (gradient / norm).astype(float)
        for floor in (1e-13, 1e-6, 1e-2):
            step = basis @ (along / np.maximum(spectrum, floor * max(1.0, spectrum[-1])))
            step = step.astype(LONG) / norm * sigma
            full = np.zeros(self.k, LONG)
            full[free] = step[:lead]
            yield full, (step[-1] if with_sigma else LONG(0))

    def _kinked_gradient(self, gradient, coef, l1):
        """Take the penalty's slope off the descent direction; which coefficients may move."""
        p = len(coef)
        slope = gradient[:p]
        positive = self.objective.positive
        at_zero = np.sign(slope) * np.maximum(np.abs(slope) - l1, 0)
        if positive:
            at_zero = np.maximum(at_zero, 0)
        slope[:] = np.where(coef != 0, slope - l1 * np.sign(coef), at_zero)
        return np.append(slope != 0, np.ones(len(gradient) - p, bool))

    def improve(self, at, rounds, enough, least):
        """Go down from a point, until it is ``enough`` lower or a round gains only ``least``."""
        start = at.value
        for _ in range(rounds):
            before = at.value
            for direction, growth in self.directions(at):
                at = self.line(at, direction, growth)
                if start - at.value > enough:
                    return at
            if before - at.value <= least:
                break
        return at

"""Intervals and p-values of quantile fits from rank tests, turned round into intervals.

Whether a coefficient is b is tested by the fit whose coefficient is b, whose dual variables a are
1 for rows above it, 0 below and between on it:

    T(b) = sum w x (a - (1 - tau)) / sqrt(tau (1 - tau) q),

with x what the other columns leave of the coefficient's column, and q the sum of its squares
(Gutenbrunner and Jureckova 1992; Koenker 1994). T falls in jumps as b grows. In orthonormal
coordinates u of the coefficients a coefficient is ``c'u``, and ``sum w d (a - (1 - tau))`` over the
rows d is a multiple of c, from which T is read off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse, stats
from scipy.linalg import qr
from scipy.optimize import linprog

from robustreg._arrays import Array, Index, Mask
from robustreg.estimators import QuantileRegressor
from robustreg.evaluation.posed import Data
from robustreg.inference._rows import FittedRows
from robustreg.inference.quantiles._density import Density
from robustreg.inference.quantiles._rank_path import Merged, Path, Start, walk

INSIDE = 1e-9  # of a dual variable: what is nearer to 0 or 1 is at its end
OUTSIDE = 1e-6  # by which rounding may bring a dual variable beyond them


@dataclass(frozen=True)
class RankTests:
    """Rank tests of coefficients, for all of which rows and the fit are made ready once.

    Attributes
    ----------
    rows : Merged
        The different rows.
    tau : float
        The quantile.
    combinations : ndarray of shape (m, K)
        The coefficients that are tested, in the K coordinates.
    moved : ndarray of shape (m,)
        What is to be added to these coefficients, in the user's units.
    unit : float
        The unit of y that the rows have.
    spread : ndarray of shape (m,)
        ``sqrt(tau (1 - tau) q)`` for every one, of combinations of length 1.
    df : float
        Degrees of freedom of t.
    start : Start
        The fit.
    """

    rows: Merged
    tau: float
    combinations: Array
    moved: Array
    unit: float
    spread: Array
    df: float
    start: Start

    @classmethod
    def of(cls, fitted: FittedRows, tau: float, density: Density | None = None) -> RankTests:
        """Make tests of the user's coefficients ready, the intercept's first where there is one.

        Parameters
        ----------
        fitted : FittedRows
            The rows; what is tested are they, wherever the fit is.
        tau : float
            The quantile.
        density : callable, default=None
            Densities of the noise at the rows of a block, by which the other columns are weighted
            where they are taken out of a column. None: the noise does not depend on x.
        """
        design = fitted.coordinates.take(np.ones(fitted.rows.n, dtype=bool))
        combinations, moved = _of_the_user(fitted)
        length = np.sqrt(np.square(combinations).sum(axis=1))
        units = combinations / np.where(length > 0.0, length, 1.0)[:, None]
        w = fitted.counts
        every = design.T @ (w[:, None] * design)
        left: Array = units.T
        if density is not None:
            each = w * fitted.rows.collect(density)
            left = np.linalg.solve(design.T @ (each[:, None] * design), units.T)
            scale = np.einsum("mi,im->m", units, left)
            left = left / np.where(scale > 0.0, scale, 1.0)
        squares = np.einsum("im,ij,jm->m", left, every, left)
        rows = merged(fitted, design, w)
        return cls(
            rows=rows,
            tau=tau,
            combinations=combinations,
            moved=moved,
            unit=fitted.y_unit,
            spread=np.sqrt(tau * (1.0 - tau) * squares),
            df=fitted.total - fitted.size,
            start=_fit(rows, tau),
        )

    def paths(self, level: float) -> list[tuple[Path, Path]]:
        """T on both sides of the fit, as far as intervals at a level need it.

        Returns
        -------
        list of pairs of Path
            Downwards and upwards for every coefficient: where T jumps, and what it is then.
        """
        indices = range(len(self.combinations))
        return [(self._path(i, -1, level), self._path(i, 1, level)) for i in indices]

    def statistics(self) -> Array:
        """T(0) of every coefficient; where it jumps at 0, the value nearest to 0."""
        return np.array([self._statistic(index) for index in range(len(self.combinations))])

    def p_values(self) -> Array:
        """Two-sided p-values of every coefficient being 0."""
        return 2.0 * stats.t.sf(np.abs(self.statistics()), self.df)

    def _path(self, index: int, sign: int, level: float) -> Path:
        direction, length = _unit_of(self.combinations[index])
        if length == 0.0:
            return Path(np.full(1, np.nan), np.full(1, np.nan))
        most = cut_off(level, self.df) * self.spread[index]
        jumps = walk(self.rows, self.tau, self.start, direction, sign, most)
        return Path(
            length * jumps.places * self.unit + self.moved[index],
            jumps.statistics / self.spread[index],
        )

    def _statistic(self, index: int) -> float:
        direction, length = _unit_of(self.combinations[index])
        if length == 0.0:
            return np.nan
        place = -self.moved[index] / (length * self.unit)
        rows, others = self.rows, _complement(direction)
        design, y = rows.design @ others, rows.y - place * (rows.design @ direction)
        residual = y
        if others.shape[1]:
            residual = y - design @ quantile_coefficients(design, y, rows.weight, self.tau)
        return _least_multiple(rows, self.tau, residual, direction) / self.spread[index]


def rank_intervals(
    fitted: FittedRows, tau: float, level: float, density: Density | None = None
) -> Array:
    """Intervals for the user's coefficients, shape (k, 2), whose ends may be infinite.

    Where T passes the cut-off between two of its jumps, the end is as far from the first to the
    second as the cut-off is from the one value to the other (as R's quantreg has it).
    """
    tests = RankTests.of(fitted, tau, density)
    return limits_of(tests.paths(level), level, tests.df)


def rank_p_values(fitted: FittedRows, tau: float, density: Density | None = None) -> Array:
    """P-values of the user's coefficients being 0, shape (k,)."""
    return RankTests.of(fitted, tau, density).p_values()


def limits_of(paths: Sequence[tuple[Path, Path]], level: float, df: float) -> Array:
    """Intervals at a level that is no larger than that of the paths, shape (m, 2)."""
    cut = cut_off(level, df)
    return np.array(
        [
            [path.limit(cut, sign) for path, sign in zip(pair, (-1, 1), strict=True)]
            for pair in paths
        ]
    )


def cut_off(level: float, df: float) -> float:
    """The quantile of t that intervals at a level take."""
    return float(stats.t.ppf(0.5 + 0.5 * level, df))


def _of_the_user(fitted: FittedRows) -> tuple[Array, Array]:
    """The user's coefficients as combinations of coordinates, and what is to be added to them."""
    basis = fitted.basis
    if not fitted.has_intercept:
        return basis, np.zeros(len(basis))
    lifted = np.column_stack([basis, np.zeros(len(basis))])
    constant = np.append(-fitted.center @ basis, 1.0)
    moved = np.zeros(len(basis) + 1)
    moved[0] = fitted.rows.observed.targets.units.centre * fitted.y_unit
    return np.vstack([constant, lifted]), moved


def merged(fitted: FittedRows, design: Array, w: Array) -> Merged:
    """The different rows: equal ones share a dual variable, and are one of their weights' sum."""
    X = fitted.rows.source.X
    table = np.column_stack([X.toarray() if sparse.issparse(X) else X, fitted.rows.y])
    _, first, label = np.unique(table, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(label.reshape(-1), w).astype(np.float64)
    own = np.ascontiguousarray(design[first])
    return Merged(own, fitted.rows.y[first], total, fitted.zero_size)


def quantile_coefficients(design: Array, y: Array, weight: Array, tau: float) -> Array:
    data = Data(design, y, weight, 1)
    problem, _, fit = QuantileRegressor(tau, fit_intercept=False)._solve(data)
    coef, _ = problem.in_user_units(fit.coef, 0.0)
    return coef


def _fit(rows: Merged, tau: float) -> Start:
    """The fit as a basis of K rows that it passes through, and dual variables of the others."""
    residual = rows.y - rows.design @ quantile_coefficients(rows.design, rows.y, rows.weight, tau)
    size = rows.design.shape[1]
    zero = rows_on_fit(rows, residual, size)
    side = np.where(zero, 0.0, residual > 0.0)
    left, held = left_to_basis(rows, tau, side), (rows.weight[zero, None] * rows.design[zero]).T
    basis = np.flatnonzero(zero)
    if len(basis) > size:
        dual = vertex_of(np.zeros(len(basis)), held, left, np.ones(len(basis)))
        chosen = _independent(rows.design[basis], np.minimum(dual, 1.0 - dual))
        side[basis] = np.round(dual)
        basis = basis[chosen]
        side[basis] = 0.0
        left, held = (
            left_to_basis(rows, tau, side),
            (rows.weight[basis, None] * rows.design[basis]).T,
        )
    dual = np.linalg.solve(held, left)
    if dual.min() < -OUTSIDE or dual.max() > 1.0 + OUTSIDE:
        raise _no_fit()
    return Start(basis, side)


def rows_on_fit(rows: Merged, residual: Array, least: int) -> Mask:
    """Rows that a fit passes through, so many at least."""
    size = np.abs(residual)
    zero = size <= rows.exact
    if int(zero.sum()) < least:  # rounding has left more of them than of 0
        zero = np.zeros(len(size), dtype=bool)
        zero[np.argsort(size, kind="stable")[:least]] = True
    return zero


def left_to_basis(rows: Merged, tau: float, side: Array) -> Array:
    """What the dual variables of rows on the fit have to add up to, given those of the others."""
    left: Array = (rows.weight * ((1.0 - tau) - side)) @ rows.design
    return left


def vertex_of(cost: Array, equal: Array, to: Array, most: Array) -> Array:
    """A vertex of the least ``cost'v`` with ``equal v = to`` and v between 0 and ``most``."""
    found = linprog(
        cost,
        A_eq=equal,
        b_eq=to,
        bounds=np.column_stack([np.zeros(len(most)), most]),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.x is None:
        raise _no_fit()
    return np.clip(found.x, 0.0, most)


def _no_fit() -> ValueError:
    return ValueError(
        "Rank tests need a fit that is optimal to the last digits, and rounding leaves none here: "
        "rescale y, or take covariance='nid'."
    )


def _independent(rows: Array, inside: Array) -> Index:
    """As many independent rows as there are columns: those inside first, then any others."""
    first, then = np.flatnonzero(inside > INSIDE), np.flatnonzero(inside <= INSIDE)
    size = rows.shape[1]
    chosen = first[:size]
    missing = size - len(chosen)
    if missing:
        rest = rows[then]
        if len(first):
            q = np.linalg.qr(rows[first].T)[0]
            rest = rest - (rest @ q) @ q.T
        order = qr(rest.T, mode="economic", pivoting=True)[2]
        chosen = np.append(chosen, then[order[:missing]])
    return chosen


def _unit_of(combination: Array) -> tuple[Array, float]:
    length = float(np.linalg.norm(combination))
    return combination / (length or 1.0), length


def _complement(direction: Array) -> Array:
    """An orthonormal basis of what is orthogonal to a direction of length 1, shape (K, K - 1)."""
    full = np.linalg.qr(np.column_stack([direction, np.eye(len(direction))]))[0]
    return full[:, 1:]


def _least_multiple(rows: Merged, tau: float, residual: Array, direction: Array) -> float:
    """The multiple of the direction that ``sum w d (a - (1 - tau))`` is, the nearest to 0."""
    size = len(direction)
    zero = rows_on_fit(rows, residual, size - 1)
    left = left_to_basis(rows, tau, np.where(zero, 0.0, residual > 0.0))
    held = (rows.weight[zero, None] * rows.design[zero]).T
    if held.shape[1] == size - 1:
        return float(np.linalg.solve(np.column_stack([held, -direction]), left)[-1])
    scale = float(np.abs(left).max(initial=0.0)) or 1.0
    both = vertex_of(
        np.append(np.zeros(held.shape[1]), [1.0, 1.0]),
        np.column_stack([held, -scale * direction, scale * direction]),
        left,
        np.append(np.ones(held.shape[1]), [np.inf, np.inf]),
    )
    return scale * float(both[-2] - both[-1])

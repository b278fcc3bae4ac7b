"""The bootstrap of quantile fits: exponential weights of the rows, and a refit for each draw.

Estimates that minimise ``sum v rho(r)``, with random weights v whose means are w, spread about the
fit as it spreads about the truth (Bose and Chatterjee 2003). Rows whose residuals keep their sign
count by their weighted mean only: of a long table those next to the fit are refitted beside two
such means, one of the rows above and one of those below, and all signs are confirmed afterwards
(Portnoy and Koenker 1997; Chernozhukov, Fernandez-Val and Melly 2022). Most draws are fitted many
at a time, for which far rows are the slopes that they have, and which comes to the same.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from robustreg._arrays import Array, Mask
from robustreg._linalg.products import product
from robustreg.estimators import QuantileRegressor
from robustreg.estimators._base import levels_to_the_user
from robustreg.evaluation.posed import Data
from robustreg.evaluation.reading import Block
from robustreg.inference._covariance import Bread
from robustreg.inference._parts import Asked
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Added
from robustreg.inference.bootstrap._draws import FAMILY, Draws, Exponential, stretches
from robustreg.inference.bootstrap._steps import lone_directions, rows_in, squared_lengths
from robustreg.inference.quantiles._density import at_fit, fits_at
from robustreg.inference.quantiles._together import fit_together

WIDTH = 4.0  # standard deviations of predictions, within which rows are next to a fit
SHORT = 500  # rows up to which all are


def directions_on_single_rows(fitted: FittedRows, asked: Asked) -> tuple[Array, tuple[int, ...]]:
    """Directions (K, d) along which a single row, or group, decides, and which rows these are.

    No draw leaves such a row out, and the spread of the draws tells nothing there.
    """
    bread = Bread.of(fitted.every, fitted.rows.total)
    lone, alone = lone_directions(fitted, np.ones(fitted.rows.n), bread.root, asked)
    return np.hstack([bread.unknown, bread.root @ lone]), alone


def bootstrapped_quantiles(fitted: FittedRows, taus: Sequence[float], asked: Asked) -> Array:
    """Covariances of the coefficients of several quantiles, which have the weights in common.

    Parameters
    ----------
    fitted : FittedRows
        The rows; the fits at the quantiles are made anew.
    taus : sequence of float
        The m quantiles.
    asked : Asked
        Draws, their random state, and groups of rows, which get a weight each.

    Returns
    -------
    ndarray of shape (m, m, K, K)
        In squared units of y.
    """
    scheme, weight = Draws.of(fitted, asked), fitted.counts
    fits, unit = fits_at(fitted, taus)
    refits = [
        _Refits(at_fit(fitted, fit[:-1], fit[-1], unit), tau)
        for tau, fit in zip(taus, fits, strict=True)
    ]
    found = []
    for family in range(-(-asked.n_resamples // FAMILY)):
        count = min(FAMILY, asked.n_resamples - family * FAMILY)
        drawn = Exponential(scheme, family, weight)
        found.append(np.hstack([each.moves(drawn, count) for each in refits]))
    lost = sum(each.lost for each in refits)
    if lost:
        warnings.warn(
            f"{lost} of {asked.n_resamples * len(taus)} fits of covariance='bootstrap' did not "
            "converge.",
            ConvergenceWarning,
            stacklevel=levels_to_the_user(),
        )
    m, size = len(taus), fitted.size
    matrix = np.cov(np.concatenate(found), rowvar=False).reshape(m, size, m, size)
    return fitted.y_unit**2 * matrix.swapaxes(1, 2)


@dataclass(frozen=True)
class _Far(Added):
    """Sums over the rows far from a fit in each draw, and the weights of those near it."""

    above: Array  # (K + 2, draws): sum v [x, r, 1] of the far rows above
    below: Array
    near: list[Array]  # (draws, rows)


@dataclass(frozen=True)
class _Weigh:
    """The job that finds them."""

    fitted: FittedRows
    residual: Array
    near: Mask
    drawn: Exponential

    def __call__(self, block: Block) -> _Far:
        found: Any = None
        for part in stretches(block.place.start, block.place.stop):
            v, r, near = self.drawn.of(part.start, part.stop), self.residual[part], self.near[part]
            rows = np.vstack([rows_in(self.fitted, block, part), r, np.ones(len(r))])
            above, below = (
                product(rows[:, side], v[:, side].T) for side in (~near & (r > 0), ~near & (r <= 0))
            )
            own = _Far(above, below, [v[:, near]])
            found = own if found is None else found + own
        return found


@dataclass(frozen=True)
class _CountWrong:
    """The job that counts far rows whose residuals change their sign in fits, shape (draws,)."""

    fitted: FittedRows
    residual: Array
    near: Mask
    moves: Array  # (draws, K) of the fits from where the residuals are those of
    exact: float

    def __call__(self, block: Block) -> NDArray[np.intp]:
        found = np.zeros(len(self.moves), dtype=np.intp)
        for part in stretches(block.place.start, block.place.stop):
            r, far = self.residual[part], ~self.near[part]
            now = r - product(self.moves, rows_in(self.fitted, block, part))
            found += np.sum(far & np.where(r > 0, now < -self.exact, now > self.exact), axis=1)
        return found


class _Refits:
    """Fits of one quantile with other weights, as they move from that with the rows' own."""

    def __init__(self, fitted: FittedRows, tau: float) -> None:
        self.fitted, self.tau, self.residual = fitted, tau, fitted.residuals
        self.model = QuantileRegressor(tau, fit_intercept=False, solver="interior")
        self.lost, self.level = 0, 0
        n, spread = fitted.rows.n, fitted.size * tau * (1.0 - tau)
        # so many rows of Gaussian noise are within WIDTH standard deviations of their predictions
        self.least = n if n <= SHORT else math.ceil(2.0 * WIDTH * math.sqrt(n * spread))
        with np.errstate(divide="ignore", invalid="ignore"):  # of rows that are 0
            lengths = np.sqrt(squared_lengths(fitted, np.eye(fitted.size)))
            self.order = np.argsort(np.abs(self.residual) / lengths, kind="stable")

    def moves(self, drawn: Exponential, count: int) -> Array:
        """How far fits of the first draws of a family are from that of all rows, (count, K)."""
        found, level = np.empty((count, self.fitted.size)), self.level
        pending = np.arange(count)
        while len(pending):
            near = self._near(level)
            found[pending] = self._fits(near, drawn, pending)
            if near.all():
                break
            job = _CountWrong(
                self.fitted, self.residual, near, found[pending], self.fitted.zero_size
            )
            wrong = self.fitted.rows.sum(job) > 0
            if 2 * wrong.sum() > count:
                self.level = level + 1
            pending, level = pending[wrong], level + 1
        return found

    def _near(self, level: int) -> Mask:
        """The rows that are refitted: twice as many as on the level before."""
        near = np.zeros(len(self.order), dtype=bool)
        near[self.order[: self.least * 2**level]] = True
        return near

    def _fits(self, near: Mask, drawn: Exponential, which: NDArray[np.intp]) -> Array:
        """The moves of some draws of a family, given the rows that are refitted."""
        far = self.fitted.rows.sum(_Weigh(self.fitted, self.residual, near, drawn))
        weight = np.hstack(far.near)[which]
        above, below = far.above[:, which].T, far.below[:, which].T
        X, y = self.fitted.coordinates.take(near), self.residual[near]
        pull = self.tau * above[:, :-2] + (self.tau - 1.0) * below[:, :-2]
        found, known = fit_together(X, y, weight, pull, self.tau)
        for draw in np.flatnonzero(~known):
            sums = np.stack([above[draw], below[draw]])
            found[draw] = self._alone(X, y, weight[draw], sums[sums[:, -1] > 0.0])
        return found

    def _alone(self, X: Array, y: Array, weight: Array, sums: Array) -> Array:
        """The move of a draw from rows near the fit and sums of those far from it."""
        means, own = sums[:, :-1] / sums[:, -1:], np.append(weight, sums[:, -1])
        rows = np.flatnonzero(own > 0.0)  # the least may be 0 by rounding
        data = Data(
            np.vstack([X, means[:, :-1]])[rows], np.append(y, means[:, -1])[rows], own[rows], 1
        )
        problem, _, fit = self.model._solve(data)
        self.lost += not fit.converged
        move: Array = fit.coef * problem.y_unit
        return move

"""What a fit has found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._cached import cached_property
from robustreg.evaluation.evaluated import Evaluation
from robustreg.evaluation.objective import Objective
from robustreg.evaluation.problem import Coefficients
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks
from robustreg.losses import ResidualLoss
from robustreg.solvers._ended import Ended

NO_RESIDUAL: Array = np.zeros(0)

#: The residuals of a fit, shape (n,), made when somebody asks or known; they are not to be changed.
Residuals = Callable[[], Array]


def known(residual: Array) -> Residuals:
    """Residuals that are there already."""
    return lambda: residual


class Reached(NamedTuple):
    """Where an optimiser has come to."""

    found: Coefficients
    residuals: Residuals | None  # None where nobody is going to look, in problems without far y
    value: float  # F
    gap: float  # bound of how far F is above its minimum; it may be more than F, or no number
    psi_square: float = math.nan  # weighted mean of psi(z)^2, where it was summed


def reached_at(objective: Objective, here: Evaluation, gap: float) -> Reached:
    """What an optimiser has come to at a point where F was evaluated."""
    residuals = Made(objective.rows, objective.residual_at(here.theta), here.residual)
    square = float(here.sums.psi_psi) / objective.rows.total
    return Reached(objective.found(here.theta), residuals, here.value, gap, square)


class Made:
    """Residuals at a point, which belong to who asks.

    To the first those that were kept, to others those of a pass.

    Parameters
    ----------
    rows : RowBlocks
        The rows.
    of_block : callable
        Gives the residuals of a block.
    kept : ndarray of shape (n,) or None
        Those of all rows, if they are there already.
    """

    def __init__(
        self, rows: RowBlocks, of_block: Callable[[Block], Array], kept: Array | None
    ) -> None:
        self.rows, self.of_block, self.kept = rows, of_block, kept

    def __call__(self) -> Array:
        kept, self.kept = self.kept, None
        return self.rows.collect(self.of_block) if kept is None else kept


@dataclass(frozen=True)
class Solution:
    """What a solver has found, in the units of its problem.

    Attributes
    ----------
    loss : ResidualLoss
        The loss that was minimised, its constant included.
    sigma : float
        The scale that the loss was given, or the one that was estimated jointly; 0 where that
        is the scale of an exact fit.
    coef : ndarray of shape (p,)
        Coefficients of the columns of X.
    intercept : float
        Intercept at X = 0; 0 without one.
    residuals : callable
        What returns the residuals, shape (n,); of length 0 where nobody is going to look at them.
    objective : float
        F at these coefficients.
    gap : float
        Upper bound of how far F is above its minimum, at most ``objective``.
    converged : bool
        Whether the gap is small and the optimiser came to its end.
    rank : int
        Rank of the regressors with the intercept's column; where it is not known, its bound.
    n_interpolated : int
        As many different rows as this a fit passes through by itself: at a vertex as many as it
        has coordinates that a penalty does not hold at 0.
    n_iter : int
        Iterations.
    ended : Ended
        How the optimiser ended.
    message : str
        That in words.
    on_fit : ndarray of int or None
        Rows that the fit passes through, where the solver knows better than residuals tell.
    followed : float
        The largest ``|y|`` that was brought in although the fit follows it; 0 if there is none.
    psi_square : float
        Weighted mean of ``psi(z)^2``; NaN where the solver has not summed it.
    """

    loss: ResidualLoss
    sigma: float
    coef: Array
    intercept: float
    residuals: Residuals
    objective: float
    gap: float
    converged: bool
    rank: int
    n_interpolated: int
    n_iter: int
    ended: Ended
    message: str
    on_fit: Index | None = None
    followed: float = 0.0
    psi_square: float = math.nan

    @cached_property
    def residual(self) -> Array:
        """The residuals, shape (n,)."""
        return self.residuals()

    @property
    def start(self) -> Coefficients:
        """Its coefficients, where another fit may start from."""
        return Coefficients(self.coef, self.intercept, self.sigma)

    def without_residuals(self) -> Solution:
        """The same for those who are not going to look at its rows."""
        return replace(self, residuals=known(NO_RESIDUAL), on_fit=None)

    def after(self, n_iter: int) -> Solution:
        """The same with iterations that came before."""
        return replace(self, n_iter=self.n_iter + n_iter)


#: A way to solve a problem: ``solve(problem, *, start, max_iter, tol)``.
Solve = Callable[..., Solution]

"""Fits of the same rows for a grid of losses and penalties, each from its neighbour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from robustreg._arrays import Array
from robustreg._problem import Problem
from robustreg.solvers import SOLVERS
from robustreg.solvers._frame import Start
from robustreg.solvers.smooth import Series


class Sequence:
    """Fits with one solver along rows of a grid, each from where its neighbours point to.

    Parameters
    ----------
    solver : str
        A key of ``SOLVERS``.
    max_iter, tol
        As of the estimators.
    """

    def __init__(self, solver: str, max_iter: int, tol: float) -> None:
        self.options: dict[str, Any] = {"max_iter": max_iter, "tol": tol}
        self.solve = Series().newton if solver == "newton" else SOLVERS[solver].solve
        self.above: list[Array] = []

    def row(self, problem: Problem, alphas: Array) -> Iterator[OptimizeResult]:
        """Fits of a problem for falling strengths of the penalty.

        The residuals of a fit are good until the next one only.
        """
        here: list[Array] = []
        for alpha in alphas:
            cell = problem.with_alpha(float(alpha))
            start = _to_start(cell, self._guess(here, alphas))
            fit = self.solve(cell, start=start, **self.options)
            here.append(np.array([*fit.coef, fit.intercept, fit.sigma]))
            yield fit
        self.above = here

    def _guess(self, here: list[Array], alphas: Array) -> Array | None:
        """Where the next fit of a row will be: a bilinear or linear continuation.

        A fit hardly changes with alpha in another way than it did in the row above. Along
        the first row it goes on in a straight line, as lasso paths do between two kinks.
        """
        j, above = len(here), self.above
        if above:
            return above[0] if j == 0 else here[-1] + (above[j] - above[j - 1])
        if j < 2 or alphas[j - 1] == alphas[j - 2]:
            return here[-1] if here else None
        share = (alphas[j] - alphas[j - 1]) / (alphas[j - 1] - alphas[j - 2])
        return here[-1] + share * (here[-1] - here[-2])


def _to_start(problem: Problem, guess: Array | None) -> Start | None:
    if guess is None or not problem.can_start_from(guess[-1]):
        return None
    coef = guess[:-2]
    if problem.penalty.positive:
        coef = np.maximum(coef, 0.0)
    return Start(coef, float(guess[-2]), float(guess[-1]))

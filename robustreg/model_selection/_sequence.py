"""Fits of the same rows for a grid of losses and penalties, each from its neighbour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers import SOLVERS, Session
from robustreg.solvers._solution import Solution


class Sequence:
    """Fits with one solver along rows of a grid, each from where its neighbours point to.

    Parameters
    ----------
    solver : str
        A key of ``SOLVERS``.
    max_iter, tol
        As of the estimators.
    guide : list of ndarray of shape (n_alphas, n_features + 2), default=None
        The ``trail`` of the same grid over other rows of the same table.

    Attributes
    ----------
    trail : list of ndarray of shape (n_alphas, n_features + 2)
        Coefficients, intercept and scale of all fits of ``together``, in the user's units.
    """

    def __init__(
        self, solver: str, max_iter: int, tol: float, guide: list[Array] | None = None
    ) -> None:
        self.options: dict[str, Any] = {"max_iter": max_iter, "tol": tol}
        self.solver = SOLVERS[solver]
        self.begun: Session | None = None
        self.above: list[Array] = []
        self.guide, self.trail = guide, list[Array]()
        self.led: Any = None  # which fits of the last row its guesses led to

    def row(self, problem: Problem, alphas: Array) -> Iterator[Solution]:
        """Fits of a problem for falling strengths of the penalty, one at a time."""
        cells = [problem.with_alpha(float(alpha)) for alpha in alphas]
        yield from self._completed(cells, alphas, [None] * len(cells))

    def together(self, problem: Problem, alphas: Array) -> list[Solution]:
        """The same without residuals, in lockstep where that is possible."""
        cells = [problem.with_alpha(float(alpha)) for alpha in alphas]
        fits: list[Solution | None] = [None] * len(cells)
        if (guesses := self._guess_row(problem)) is not None:
            starts = [_to_start(problem, guess) for guess in guesses]
            fits = self._session(problem).fit_together(cells, starts, **self.options)
            self.led = np.array([fit is not None for fit in fits])
        # residuals that a fit has kept would be as many as y, each time
        found = [
            fit if known is not None else fit.without_residuals()
            for known, fit in zip(fits, self._completed(cells, alphas, fits), strict=True)
        ]
        here = np.array(self.above)
        coefs, intercepts = problem.in_user_units(here[:, :-2], here[:, -2])
        self.trail.append(np.column_stack([coefs, intercepts, here[:, -1] * problem.y_unit]))
        return found

    def _session(self, problem: Problem) -> Session:
        """The one session of all fits."""
        if self.begun is None:
            self.begun = self.solver.prepare(problem)
        return self.begun

    def _completed(
        self, cells: list[Problem], alphas: Array, fits: list[Solution | None]
    ) -> Iterator[Solution]:
        """Fits of a row, of which some are known: the others one by one."""
        here: list[Array] = []
        for cell, known in zip(cells, fits, strict=True):
            fit = known
            if fit is None:
                start = _to_start(cell, self._guess(here, alphas))
                fit = self._session(cell).fit(cell, start=start, **self.options)
            here.append(np.array([*fit.coef, fit.intercept, fit.sigma]))
            yield fit
        self.above = here

    def _guess_row(self, problem: Problem) -> Array | None:
        """Where the next row will be: where the last one is, or as far from there as in the guide.

        A fit that the guide did not lead to in the last row does without it.
        """
        done = len(self.trail)
        if self.guide is None:
            return np.array(self.above) if done else None
        ahead = self.guide[done]
        if done:
            move = (ahead - self.guide[done - 1]) * self.led[:, None]
            ahead = self.trail[-1] + move
        coefs, intercepts = problem.in_own_units(ahead[:, :-2], ahead[:, -2])
        return np.column_stack([coefs, intercepts, ahead[:, -1] / problem.y_unit])

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


def _to_start(problem: Problem, guess: Array | None) -> Coefficients | None:
    if guess is None or not problem.can_start_from(guess[-1]):
        return None
    return Coefficients(guess[:-2], float(guess[-2]), float(guess[-1]))

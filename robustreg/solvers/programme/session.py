"""Sessions of the solvers of a programme: the coordinates of X stay from fit to fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robustreg.evaluation.choice import Chosen, white
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.penalties import Penalty
from robustreg.solvers._report import TOL
from robustreg.solvers._session import MAX_ITER, Session
from robustreg.solvers._solution import Solution

# A solver in given coordinates: of a problem, these, a start, max_iter and tol.
SolveIn = Callable[[Problem, Chosen, Coefficients | None, int, float], Solution]


class ProgrammeSession(Session):
    """Fits in white coordinates, which depend on the penalty and not on the level of a quantile."""

    def __init__(self, solve: SolveIn) -> None:
        self.solve = solve
        self.kept: tuple[tuple[float, ...], Chosen] | None = None

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """The fit of a problem, in the coordinates of the last one if these are its own."""
        kind = _kind(problem.penalty)
        if self.kept is None or self.kept[0] != kind:
            self.kept = None  # two are not to be held at a time
            self.kept = kind, white(problem)
        with np.errstate(all="ignore"):  # what is no number ends in no step, or in no bound
            return self.solve(problem, self.kept[1], start, max_iter, tol)


def _kind(penalty: Penalty) -> tuple[float, ...]:
    """What coordinates depend on of a penalty."""
    ridge = penalty.root_curvature, penalty.ridge
    return *ridge, penalty.slope, penalty.positive, penalty.is_none

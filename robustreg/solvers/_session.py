"""Sessions: fits of the same rows, one after the other or several together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._report import TOL
from robustreg.solvers._solution import Solution, Solve

MAX_ITER = 100_000  # more iterations than a solver needs that comes to an end


class Session(ABC):
    """Fits of the same rows: ``X``, ``y``, the weights and the intercept stay.

    The loss and the penalty may change from problem to problem, and with them the level of a
    quantile; a joint scale stays one, and so does a fixed one. ``SOLVERS[name].prepare(problem)``
    makes one, in which nothing is shared that two sessions, or two threads, could both change.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg.evaluation.posed import Data, make_problem
    >>> from robustreg.losses import Quantile
    >>> from robustreg.penalties import ElasticNet
    >>> from robustreg.solvers import SOLVERS
    >>> X, y = np.arange(12.0)[:, None], np.arange(12.0) ** 2
    >>> problem = make_problem(
    ...     Data(X, y, None, 1), loss=Quantile(0.5), scale=1.0, penalty=ElasticNet(),
    ...     fit_intercept=True,
    ... )
    >>> session = SOLVERS["interior"].prepare(problem)
    >>> low = session.fit(problem.with_loss(Quantile(0.1)))
    >>> high = session.fit(problem.with_loss(Quantile(0.9)), start=low.start)
    >>> low.converged, high.converged
    (True, True)
    """

    @abstractmethod
    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """The fit of a problem.

        Parameters
        ----------
        problem : Problem
            One with the rows of the session and a y that varies: none is asked for others.
        start : Coefficients or None, default=None
            Where to start, for solvers that can.
        max_iter : int, default=100_000
            Iterations at most.
        tol : float, default=1e-7
            A fit has converged when its gap is at most ``tol`` times its objective.

        Returns
        -------
        Solution
            What was found, with its certificate.
        """

    def fit_together(
        self,
        problems: list[Problem],
        starts: list[Coefficients | None],
        *,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> list[Solution | None]:
        """Certified fits of problems that differ in the penalty's strength, made at once.

        Parameters
        ----------
        problems : list of Problem
            Problems with the rows of the session.
        starts : list of Coefficients or None
            A start for each, near its fit.
        max_iter, tol
            As of ``fit``.

        Returns
        -------
        list of Solution or None
            The fits, without residuals. None for one that is to be fitted by itself: for all of
            them where a solver has no such way, as by default.
        """
        return [None] * len(problems)


@dataclass(frozen=True)
class Sharing:
    """A solver whose fits of the same rows share work: a function, and what makes a session."""

    solve: Solve
    session: Callable[[], Session]

    def __call__(self, problem: Problem, **options: Any) -> Solution:
        """A single fit."""
        return self.solve(problem, **options)

    def prepare(self, problem: Problem) -> Session:
        """A session for problems with the rows of this one."""
        return self.session()


class Separate(Session):
    """Fits of a solver that share nothing."""

    def __init__(self, solve: Solve) -> None:
        self.solve = solve

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """A fit by itself."""
        return self.solve(problem, start=start, max_iter=max_iter, tol=tol)


def session_of(solve: Solve, problem: Problem) -> Session:
    """The session that a solver has, or one whose fits share nothing."""
    prepare = getattr(solve, "prepare", None)
    return Separate(solve) if prepare is None else prepare(problem)

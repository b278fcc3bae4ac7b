"""What surrounds every fit, whichever solver made it, and whether by itself or in a session.

No solver is asked where y does not vary. A fit of a small problem that is not certified is refined,
one that follows a y which was brought in is made anew on y as it is, and one with rows of hardly
any weight gets the bound of the others.
"""

from __future__ import annotations

from typing import Any

from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._faint import bounded_without_faint, has_faint
from robustreg.solvers._followed import followed
from robustreg.solvers._report import TOL, null_result
from robustreg.solvers._session import MAX_ITER, Session, session_of
from robustreg.solvers._solution import Solution, Solve
from robustreg.solvers.refinement.refined import refined


class Guarded:
    """A solver with all that goes before a fit and follows it.

    Parameters
    ----------
    solver : callable
        A function of a problem and the options ``start``, ``max_iter`` and ``tol``. It may have a
        method ``prepare(problem)`` that returns a :class:`Session`.
    refines : bool, default=True
        Whether fits that are not certified are refined.
    """

    def __init__(self, solver: Solve, refines: bool = True) -> None:
        self.solver, self.refines = solver, refines

    def __call__(self, problem: Problem, **options: Any) -> Solution:
        """A fit by itself."""
        if problem.spread == 0.0:
            return null_result(problem)
        return self.completed(problem, self.solver(problem, **options), options)

    def prepare(self, problem: Problem) -> Session:
        """A session for problems with the rows of this one."""
        return GuardedSession(self, session_of(self.solver, problem))

    def completed(self, problem: Problem, fit: Solution, options: dict[str, Any]) -> Solution:
        """A fit of the solver, and what follows it."""
        fit = self._refined(problem, fit, options)
        if fit.followed:
            fit = followed(problem, fit, self._solve_refined, options)
        if has_faint(problem):
            fit = bounded_without_faint(problem, fit, self, options)
        return fit

    def _refined(self, problem: Problem, fit: Solution, options: dict[str, Any]) -> Solution:
        return refined(problem, fit, options) if self.refines else fit

    def _solve_refined(self, problem: Problem, **options: Any) -> Solution:
        return self._refined(problem, self.solver(problem, **options), options)


class GuardedSession(Session):
    """A session of a solver, in which quick ways are taken where they lead to certified fits.

    The first fit is that of the solver by itself. Of the later ones, what they share with others,
    and their starts, may mislead: one that is not certified, or follows a y that was brought in, is
    made once more by itself, without a start. Those with faint rows share nothing, being certified
    by the other rows, which have coordinates of their own.
    """

    def __init__(self, alone: Guarded, own: Session) -> None:
        self.alone, self.own, self.begun = alone, own, False

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """The fit of a problem; see :class:`Session`."""
        if problem.spread == 0.0:
            return null_result(problem)
        options: dict[str, Any] = {"max_iter": max_iter, "tol": tol}
        first, self.begun = not self.begun, True
        if has_faint(problem):
            fit = self.alone(problem, start=start, **options)
        else:
            fit = self.own.fit(problem, start=start, **options)
            if first:
                fit = self.alone.completed(problem, fit, options)
        return fit if first or fit.converged else self.alone(problem, **options)

    def fit_together(
        self,
        problems: list[Problem],
        starts: list[Coefficients | None],
        *,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> list[Solution | None]:
        """Certified fits, None for the others; see :class:`Session`."""
        if problems[0].spread == 0.0:
            return [None] * len(problems)
        self.begun = True
        return self.own.fit_together(problems, starts, max_iter=max_iter, tol=tol)

"""Solvers of the user's own: what they find is judged here, and nothing they say of it believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult
from scipy.sparse import issparse

from robustreg._arrays import Array
from robustreg.evaluation.certificate import dual_gap_from, dual_point
from robustreg.evaluation.choice import MAX_WHITENED, Chosen, scaled, separable, white
from robustreg.evaluation.hessian import curvature_to_start_from
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.reading import NotFiniteError
from robustreg.penalties import ElasticNet
from robustreg.solvers._ended import UNFINISHED, Ended
from robustreg.solvers._plane import certificate_at_zero
from robustreg.solvers._report import TOL, result
from robustreg.solvers._reported import residuals_brought_in, value_at
from robustreg.solvers._session import MAX_ITER, Session, session_of
from robustreg.solvers._solution import Reached, Solution, known
from robustreg.solvers.programme.candidates import certified, opened, report
from robustreg.solvers.programme.vertex import vertex

CLEAR = 1e-4  # typical residuals of a fit: the closer one is to 0, the likelier it is to be 0


@dataclass(frozen=True)
class Estimate:
    """What a solver of your own has found, in the units of its problem.

    Parameters
    ----------
    coef : array-like of shape (p,)
        Coefficients of the columns of ``problem.X``.
    intercept : float, default=0.0
        Intercept at X = 0; 0 without one.
    sigma : float or None, default=None
        The scale, at least 0, where ``problem.joint``; elsewhere it is not looked at.
    n_iter : int, default=0
        Iterations.
    finished : bool, default=True
        Whether the solver has come to its end; False where iterations ran out.

    Examples
    --------
    >>> from robustreg.solvers import Estimate
    >>> Estimate([1.0, -2.0], intercept=0.5, n_iter=3)
    Estimate(coef=[1.0, -2.0], intercept=0.5, sigma=None, n_iter=3, finished=True)
    """

    coef: Any
    intercept: float = 0.0
    sigma: float | None = None
    n_iter: int = 0
    finished: bool = True


class Judged:
    """A solver of the user's own whose answers are made fits with a certificate of ours."""

    def __init__(self, solver: Callable[..., Any]) -> None:
        self.solver = solver
        self.name = getattr(solver, "__name__", None) or type(solver).__name__

    def __call__(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """A fit by itself."""
        return self.fit_by(self.solver, problem, start, max_iter, tol)

    def prepare(self, problem: Problem) -> Session:
        """A session for problems with the rows of this one."""
        return _JudgedSession(self, session_of(self.solver, problem))

    def fit_by(
        self,
        solve: Callable[..., Any],
        problem: Problem,
        start: Coefficients | None,
        max_iter: int,
        tol: float,
    ) -> Solution:
        """What ``solve`` finds, judged."""
        if not issparse(problem.X) and not np.isfinite(problem.X).all():
            raise NotFiniteError
        answer = solve(problem, start=start, max_iter=max_iter, tol=tol)
        return judge(problem, answer, tol, self.name)


class _JudgedSession(Session):
    """A session of such a solver."""

    def __init__(self, judged: Judged, own: Session) -> None:
        self.judged, self.own = judged, own

    def fit(
        self,
        problem: Problem,
        *,
        start: Coefficients | None = None,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> Solution:
        """What the session finds, judged."""
        return self.judged.fit_by(self.own.fit, problem, start, max_iter, tol)

    def fit_together(
        self,
        problems: list[Problem],
        starts: list[Coefficients | None],
        *,
        max_iter: int = MAX_ITER,
        tol: float = TOL,
    ) -> list[Solution | None]:
        """The same of several; those that are not certified are left to be fitted one by one."""
        answers = self.own.fit_together(problems, starts, max_iter=max_iter, tol=tol)
        fits: list[Solution | None] = [None] * len(problems)
        for k, (problem, answer) in enumerate(zip(problems, answers, strict=True)):
            fit = None if answer is None else judge(problem, answer, tol, self.judged.name)
            fits[k] = fit if fit is not None and fit.converged else None
        return fits


def judge(problem: Problem, answer: Any, tol: float, name: str) -> Solution:
    """A fit from the coefficients, intercept and scale of an answer, with its certificate.

    Parameters
    ----------
    problem : Problem
        What was to be solved, with a y that varies.
    answer : Estimate or Solution
        What a solver has found.
    tol : float
        The fit has converged when its gap is at most ``tol`` times its objective.
    name : str
        The solver's name, for errors.

    Returns
    -------
    Solution
        The same point, with the objective that it has, and how far that may be above the minimum.

    Raises
    ------
    ValueError
        If coefficients are not as many as columns, a number is not finite, or one is negative
        that must not be.
    TypeError
        If the answer is none.
    """
    estimate, found = _checked(problem, answer, name)
    status = Ended.FINISHED if estimate.finished else Ended.MAX_ITER
    message = "The solver has finished." if estimate.finished else "max_iter reached."
    end = OptimizeResult(status=status, message=message, nit=int(estimate.n_iter))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # out of range: no bound
        judged = _kinked if problem.loss.homogeneity == 1 else _smooth
        return judged(problem, found, tol, end)


def _checked(problem: Problem, answer: Any, name: str) -> tuple[Estimate, Coefficients]:
    """An answer, and where it is; errors name what is wrong with it."""
    if isinstance(answer, Solution):
        ended = answer.ended not in UNFINISHED
        answer = Estimate(answer.coef, answer.intercept, answer.sigma, answer.n_iter, ended)
    if not isinstance(answer, Estimate):
        raise TypeError(f"Solver {name} must return an Estimate, got {type(answer).__name__}.")
    try:
        coef = np.array(answer.coef, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Solver {name} returned coef={answer.coef!r}, no numbers.") from error
    if coef.shape != (problem.p,):
        raise ValueError(
            f"Solver {name} returned coef of shape {coef.shape}; X has {problem.p} columns, so "
            f"that it must be {(problem.p,)}."
        )
    sigma = answer.sigma if problem.joint else problem.scale
    if sigma is None:
        raise ValueError(f"Solver {name} returned sigma=None where the scale is to be estimated.")
    numbers: dict[str, Any] = {"coef": coef, "intercept": answer.intercept, "sigma": sigma}
    for which, value in numbers.items():
        if not np.isfinite(value).all():
            raise ValueError(f"Solver {name} returned {which}={value}, which must be finite.")
    if sigma < 0.0:
        raise ValueError(f"Solver {name} returned sigma={sigma}, which must not be negative.")
    if problem.penalty.positive and (coef < 0.0).any():
        raise ValueError(f"Solver {name} returned coef={coef}, which must not be negative.")
    if answer.intercept and not problem.fit_intercept:
        raise ValueError(
            f"Solver {name} returned intercept={answer.intercept}; without one it must be 0."
        )
    return answer, Coefficients(coef, float(answer.intercept), float(sigma))


def _smooth(problem: Problem, found: Coefficients, tol: float, end: OptimizeResult) -> Solution:
    """The fit of a smooth loss: nu is psi where it is, corrected by a Newton step."""
    chosen, curved = _chosen(problem)
    objective = make_objective(problem, chosen)
    own = objective.coordinates
    theta, found = objective.pack(found), replace(found, certain=own.certain)
    residual = residuals_brought_in(problem, found)
    value, residuals = value_at(problem, found, residual), known(residual)
    if problem.joint and found.sigma == 0.0:
        gap = value  # of penalties other than an elastic net nothing is known there
        if isinstance(problem.penalty, ElasticNet):
            value, gap, _, _ = certificate_at_zero(objective, theta, problem.exact)
        return result(problem, Reached(found, residuals, value, gap), tol, end, own.rank)
    nu = problem.loss.psi(residual / found.sigma)
    if curved or not problem.penalty.kinked:
        start = curvature_to_start_from(objective) if curved else None
        nu = dual_point(objective, objective.evaluate(theta, start))
    gap = dual_gap_from(objective, found.coef, residual, value, nu)
    return result(problem, Reached(found, residuals, value, gap), tol, end, own.rank)


def _chosen(problem: Problem) -> tuple[Chosen, bool]:
    """Coordinates, and whether curvature is affordable in them."""
    if problem.p > MAX_WHITENED:
        return scaled(problem), False
    return (separable if problem.penalty.kinked else white)(problem), True


def _kinked(problem: Problem, found: Coefficients, tol: float, end: OptimizeResult) -> Solution:
    """The fit of absolute deviations or a quantile: nu is that of a vertex near by.

    Rows off the fit have nu at a bound. Those that the fit should pass through are the nearest,
    as many as there are coordinates, and the slopes of the others say what nu they must have.
    Where there is no such nu, the vertex is not the optimum, and one is sought from there.
    """
    programme, _ = opened(problem, white(problem))
    theta = programme.objective.pack(found)
    if not np.isfinite(theta).all():
        theta = programme.objective.least_squares()
    residual = programme.residuals(theta)
    nu = _likely_nu(residual, programme.low, programme.high)
    _, nu, _ = vertex(programme, theta, nu, problem.exact)
    zero = np.abs(residual) <= problem.exact
    zero[problem.n :] = found.coef[programme.kinked] == 0.0
    candidate = certified(programme, theta, nu, zero, residual)
    return report(problem, programme, candidate, end, tol)


def _likely_nu(residual: Array, low: Array, high: Array) -> Array:
    """Nu between its bounds, nearer to the middle the closer a residual is to 0."""
    size = np.abs(residual)
    unit = CLEAR * float(np.median(size)) or 1.0
    nu: Array = 0.5 * (low + high) + 0.5 * (high - low) * residual / (size + unit)
    return nu

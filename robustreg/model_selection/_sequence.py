"""Fits of the same rows for a grid of losses and penalties, each from its neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from robustreg._problem import Problem
from robustreg.solvers import SOLVERS
from robustreg.solvers._frame import Start
from robustreg.solvers.smooth import Series

LEAST_SCALE = 1e-3  # of the spread of y: a joint scale below is no start for another fit


class Sequence:
    """Fits with one solver; the next may start where another of them ended.

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

    def fit(self, problem: Problem, neighbour: OptimizeResult | None = None) -> OptimizeResult:
        """The fit of a problem. Its residuals are good until the next fit."""
        start = None
        if neighbour is not None:
            scale_is_small = neighbour.sigma <= LEAST_SCALE * problem.spread
            if not (problem.joint and scale_is_small):
                start = Start(neighbour.coef, neighbour.intercept, neighbour.sigma)
        return self.solve(problem, start=start, **self.options)


def check_grid(name: str, values: Any, zero: bool) -> NDArray[np.float64]:
    """A grid as a sorted array of finite numbers above 0, or at least 0 where ``zero``."""
    allowed = "at least 0" if zero else "above 0"
    try:
        grid = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError):
        grid = np.zeros(0)
    inside = np.isfinite(grid) & ((grid >= 0.0) if zero else (grid > 0.0))
    if grid.ndim != 1 or not len(grid) or not inside.all():
        raise ValueError(
            f"{name} must be a sequence of one or more finite numbers {allowed}, got {values!r}."
        )
    return np.sort(grid)

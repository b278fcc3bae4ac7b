"""Estimators whose loss acts on residuals in units of a scale: which scale that is."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

from robustreg._compat import Interval, StrOptions
from robustreg.estimators._base import LinearRegressor
from robustreg.estimators._noise import noise_mad
from robustreg.evaluation.posed import Data
from robustreg.losses import Absolute
from robustreg.solvers import SOLVERS, absolute_solver
from robustreg.solvers._solution import known
from robustreg.sources._surveyed import SurveyedSource

L1_ITERATIONS = 100_000  # as of L1Regressor, whose residuals scale="mad" is about


class ScaledRegressor(LinearRegressor):
    """Base of the estimators whose loss acts on residuals in units of a scale."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **LinearRegressor._parameter_constraints,
        "scale": [Interval(Real, 0.0, None, closed="neither"), StrOptions({"joint", "mad"})],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not isinstance(self.scale, str) and not math.isfinite(self.scale):
            raise ValueError(f"scale must be finite, got {self.scale!r}.")

    def _takes_device(self) -> bool:
        return self._has_ridge_at_most() and self.scale not in ("mad", "s")

    def _get_scale(self, data: Data | SurveyedSource) -> float | None:
        if self.scale == "joint":
            return None
        if self.scale != "mad":
            return float(self.scale)
        return self._l1_scale(data)

    def _l1_scale(self, data: Data | SurveyedSource) -> float:
        """The MAD of the residuals of an L1 fit, in the units of y."""
        problem = self._problem(data, Absolute(), scale=1.0)
        solver = absolute_solver(problem)
        fit = SOLVERS[solver].solve(problem, max_iter=L1_ITERATIONS)
        if not fit.converged:
            self._warn(fit, solver)
        residuals = fit.residuals
        if problem.observed.source.in_memory:  # which belong to who asks first
            residuals = known(residuals())
        scale = noise_mad(problem, fit, residuals)
        # Half of the rows lie on a plane: the limit of the scale to 0 is the L1 fit.
        return (scale or problem.exact or 1.0) * problem.y_unit

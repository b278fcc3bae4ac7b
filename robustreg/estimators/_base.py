"""What all linear regressors share: validation, the call of a solver, fitted attributes."""

from __future__ import annotations

import inspect
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from robustreg._arrays import Array, in_precision
from robustreg._compat import Interval
from robustreg._namespace import lifted, on_host
from robustreg._parallel import map_ordered, slices
from robustreg.estimators._from_source import Passes, fit_source
from robustreg.estimators._judgement import (
    ByInfluence,
    ByLoss,
    Judgement,
    OfRows,
    Plane,
    Weigh,
    Within,
)
from robustreg.estimators._noise import Noise, noise_mad, residual_centre
from robustreg.estimators._predictor import LinearEstimator, LinearPredictor, fits_in
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty
from robustreg.solvers import KINKED_IN_PASSES, SOLVERS, select_solver
from robustreg.solvers._solution import Made, Residuals, Solution
from robustreg.solvers.programme.sparse_dual import zeros_of
from robustreg.sources._array import block_rows
from robustreg.sources._device import DeviceSource
from robustreg.sources._dispatch import judged
from robustreg.sources._surveyed import SurveyedSource

NO_PENALTY = ElasticNet()
#: Fits that have not converged, and what they are of.
Unfinished = list[tuple[Solution, str]]


class LinearRegressor(LinearEstimator):
    """Base of the linear regressors; concrete ones say which loss and which scale."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **LinearPredictor._parameter_constraints,
        "alpha": [Interval(Real, 0.0, None, closed="left")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _get_loss(self) -> ConvexLoss:
        """The loss that a fit minimises."""

    def _get_scale(self, data: Data | SurveyedSource) -> float | None:
        """The fixed scale of a fit; None where the scale is estimated jointly."""
        return 1.0

    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        data, kept = rows_that_count(X, y, weight, n_threads)
        problem, solver, fit = self._solve(data)
        self.__dict__.update(self._attributes(X, y, kept, problem, fit, dtype), solver_=solver)
        if not fit.converged:
            self._warn(fit, solver)

    def _takes_source(self) -> bool:
        """Whether sums over the rows are all that a fit needs, whatever its solver."""
        return False

    def _fit_source(self, source: Passes) -> None:
        if not self._takes_source():
            super()._fit_source(source)
        for fit, of in fit_source(self, source):
            self._warn(fit, self.solver_, of)

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], Unfinished]:
        """The fitted attributes, in passes over rows that are not in memory."""
        problem, solver, fit = self._solve(rows)
        noise = self._noise(problem, fit, fit.residuals)
        found = self._of_fit(problem, fit, noise, np.dtype(np.float64)) | {"solver_": solver}
        return found, [] if fit.converged else [(fit, "")]

    def _has_ridge_at_most(self) -> bool:
        """Whether no penalty but a ridge is there."""
        return not (self.positive or (self.alpha and self.l1_ratio))

    def _from_device(
        self, rows: SurveyedSource, source: DeviceSource
    ) -> tuple[dict[str, Any], Unfinished]:
        """The same of rows on a device, where coefficients and what rows have stay."""
        problem, solver, fit = self._solve(rows)
        noise = self._noise(problem, fit, fit.residuals)
        dtype: np.dtype = np.dtype(np.float64)
        if source.is_single and fits_in(rows.ends, np.dtype(np.float32)):
            dtype = np.dtype(np.float32)
        found = self._of_fit(problem, fit, noise, dtype) | {"solver_": solver}
        found["coef_"] = lifted(found["coef_"], source.X)
        for name in ("weights", "outliers"):
            of_rows = OfRows(found["_judgement_"], name)
            found[f"{name}_"] = judged(of_rows, source.X, rows.source)
        return found, [] if fit.converged else [(fit, "")]

    def _solve(self, data: Data | SurveyedSource) -> tuple[Problem, str, Solution]:
        """The problem that a fit solves, the name of its solver, and what that found."""
        problem, solver = self._prepare(data)
        return problem, solver, self._minimise(problem, solver, self._start(problem))

    def _prepare(self, data: Data | SurveyedSource) -> tuple[Problem, str]:
        """The problem that a fit solves, and the name of its solver."""
        loss, scale = self._get_loss(), self._get_scale(data)
        solver = self._select(data, loss, scale)
        return self._problem(data, loss, scale, self._penalty()), solver

    def _minimise(self, problem: Problem, solver: str, start: Coefficients | None) -> Solution:
        return SOLVERS[solver].solve(problem, start=start, max_iter=self.max_iter, tol=self.tol)

    def _select(self, data: Data | SurveyedSource, loss: ConvexLoss, scale: float | None) -> str:
        """The name of the solver for a fit."""
        return select_solver(
            loss,
            n_features=data.n_columns,
            n_samples=data.n,
            zeros=self._zeros(data, loss),
            scale="joint" if scale is None else scale,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio,
            positive=self.positive,
            penalty=self._own_penalty(),
            solver=self.solver,
        )

    @staticmethod
    def _zeros(data: Data | SurveyedSource, loss: ConvexLoss) -> float:
        """The share of zeros in X, where solvers ask for it: of smooth losses, if it is sparse."""
        if isinstance(data, Data) and (loss.homogeneity == 1 or data.source.is_sparse):
            return zeros_of(data.source)
        return 0.0

    def _own_penalty(self) -> Penalty | None:
        """A penalty of the user's own."""
        return None

    def _penalty(self) -> Penalty:
        own = self._own_penalty()
        if own is not None:
            return own
        return ElasticNet(float(self.alpha), float(self.l1_ratio), positive=bool(self.positive))

    def _problem(
        self,
        data: Data | SurveyedSource,
        loss: ConvexLoss,
        scale: float | None,
        penalty: Penalty = NO_PENALTY,
    ) -> Problem:
        intercept = self.fit_intercept
        return make_problem(data, loss=loss, scale=scale, penalty=penalty, fit_intercept=intercept)

    def _warn(self, fit: Solution, solver: str, of: str = "") -> None:
        advice = "Another solver or a larger tol may do."
        if fit.n_iter >= self.max_iter:
            advice = f"Increase max_iter (now {self.max_iter})."
        warnings.warn(
            f"{type(self).__name__} did not converge{of} with solver {solver!r}: {fit.message} "
            f"{advice} dual_gap_ bounds how far objective_ is from its minimum.",
            ConvergenceWarning,
            stacklevel=levels_to_the_user(),
        )

    def _start(self, problem: Problem) -> Coefficients | None:
        """The previous solution in the problem's units, for a warm start."""
        if not self.warm_start or not hasattr(self, "coef_"):
            return None
        return start_from(problem, on_host(self.coef_), self.intercept_, self.scale_)

    def _attributes(
        self,
        X: Any,
        y: Array,
        kept: NDArray[np.intp] | None,
        problem: Problem,
        fit: Solution,
        dtype: np.dtype,
    ) -> dict[str, Any]:
        """The fitted attributes, in the user's units and dtype."""
        residual = fit.residuals()
        noise = self._noise(problem, fit, lambda: residual)
        found = self._of_fit(problem, fit, noise, dtype)
        own = isinstance(fit.residuals, Made)
        rows = Rows(X, y, kept, problem.n_threads, dtype)
        return found | rows.attributes(found["_judgement_"], residual, own=own)

    def _of_fit(
        self, problem: Problem, fit: Solution, noise: Noise, dtype: np.dtype
    ) -> dict[str, Any]:
        """What a fit reports of itself, in the user's units and dtype."""
        plane = Plane.of(problem, fit.coef, fit.intercept)
        weigh = self._weigh(problem, fit, noise.scale)
        return fit_attributes(problem, fit, noise.scale, dtype) | {
            "_judgement_": Judgement.of(problem, plane, weigh, noise, dtype),
            "objective_": problem.in_units_of_objective(fit.objective),
            "dual_gap_": problem.in_units_of_objective(fit.gap),
            "n_iter_": fit.n_iter,
            "converged_": fit.converged,
        }

    def _has_collapsed(self, weight: Array | None) -> bool:
        """Whether the scale that was estimated is 0 though too few rows are on the fit."""
        return False

    def _noise(self, problem: Problem, fit: Solution, residuals: Residuals) -> Noise:
        """The noise of a fit, in the problem's units."""
        centre = residual_centre(problem, residuals)
        return Noise(centre, self._noise_scale(problem, fit, residuals, centre))

    def _noise_scale(
        self, problem: Problem, fit: Solution, residuals: Residuals, centre: float
    ) -> float:
        """Estimate of the noise's standard deviation, in the problem's units."""
        if problem.joint:
            return float(fit.sigma)
        return noise_mad(problem, fit, residuals, centre)

    def _weigh(self, problem: Problem, fit: Solution, scale: float) -> Weigh:
        """What gives ``weights_`` of residuals, of noise of a scale."""
        sigma = problem.scale_or(fit.sigma)
        if sigma <= 2.0 * problem.exact:
            return Within(problem.exact)
        return ByLoss(problem.loss, sigma)


class KinkedRegressor(LinearRegressor):
    """Linear models whose loss has its kink at 0: absolute deviations and quantiles."""

    def _takes_source(self) -> bool:
        return True

    def _select(self, data: Data | SurveyedSource, loss: ConvexLoss, scale: float | None) -> str:
        if self.solver == "auto" and isinstance(data, SurveyedSource):
            return KINKED_IN_PASSES
        return super()._select(data, loss, scale)

    def _weigh(self, problem: Problem, fit: Solution, scale: float) -> Weigh:
        if scale == 0.0:
            return Within(problem.exact)
        return ByInfluence(*problem.loss.conjugate_domain, scale)


@dataclass(frozen=True)
class Rows:
    """The user's rows, for what a fit says of each of them.

    ``kept`` are the rows of positive weight; None means all of them.
    """

    X: Any
    y: Array
    kept: NDArray[np.intp] | None
    n_threads: int
    dtype: np.dtype

    def attributes(
        self,
        judgement: Judgement,
        residual: Array,
        *,
        weighed: Array | None = None,
        own: bool = False,
    ) -> dict[str, Any]:
        """What every fit reports of the rows.

        ``residual`` are those that the fit has seen. If they are nobody else's (``own``) the
        weights are written in their place, so that a long table takes no more room than these.
        ``weighed`` are those of all rows from the plane whose residuals are weighed, if that is
        another one than the fit.
        """
        residual = self.residuals(judgement.plane, residual)
        if weighed is None:
            weighed = residual
        in_place = own and residual.dtype == self.dtype
        weights = residual if in_place else np.empty(len(residual), self.dtype)
        outliers = np.empty(len(residual), bool)

        def fill(part: slice) -> None:
            outliers[part] = judgement.flagged(residual[part])
            weights[part] = judgement.weigh(weighed[part])

        map_ordered(fill, slices(len(residual)), self.n_threads)
        return {"weights_": weights, "outliers_": outliers}

    def residuals(self, plane: Plane, residual: Array) -> Array:
        """The residuals of all rows, those of weight 0 included, in the problem's units.

        Rows that the fit has seen keep the residuals that it has seen, to the last digit.
        """
        if self.kept is None:
            return residual
        found = np.empty(len(self.y))
        found[self.kept] = residual
        left_out = np.ones(len(self.y), dtype=bool)
        left_out[self.kept] = False
        index = np.flatnonzero(left_out)
        for part in slices(len(index)):
            some = index[part]
            found[some] = plane.residuals(self.X[some], self.y[some])
        return found


def fit_attributes(
    problem: Problem, fit: Solution, scale: float, dtype: np.dtype
) -> dict[str, Any]:
    """What every fit reports of itself in the user's units, ``scale`` being in the problem's."""
    coef_, intercept_ = in_precision(dtype, *problem.in_user_units(fit.coef, fit.intercept))
    return {
        "coef_": coef_,
        "intercept_": intercept_,
        "scale_": problem.in_units_of_y(scale),
        "loss_": fit.loss,
        "loss_scale_": problem.given_scale or problem.in_units_of_y(fit.sigma),
        "rank_": fit.rank,
    }


def rows_that_count(
    X: Any, y: Array, weight: Array | None, n_threads: int
) -> tuple[Data, NDArray[np.intp] | None]:
    """The rows of positive weight, and which these are (None: all).

    Those of a long dense table are picked from it in blocks, as they are read.
    """
    if weight is None or weight.all():
        return Data(X, y, weight, n_threads), None
    kept = np.flatnonzero(weight)
    y, weight = y[kept], weight[kept]
    if sparse.issparse(X) or len(kept) <= block_rows(len(kept), X.shape[1]):
        return Data(X[kept], y, weight, n_threads), kept
    return Data(X, y, weight, n_threads, kept), kept


def start_from(
    problem: Problem, coef: Array, intercept: float, scale: float
) -> Coefficients | None:
    """A start at an earlier solution, in the user's units; None where it is of no use."""
    if coef.shape != (problem.p,):
        return None
    sigma = scale / problem.y_unit
    if not problem.can_start_from(sigma):
        return None
    own = problem.in_own_units(coef.astype(np.float64), float(intercept))
    return Coefficients(*own, float(sigma))


def levels_to_the_user() -> int:
    """How many calls above ``_warn`` the code is that called ``fit``."""
    frame, level = inspect.currentframe(), 0
    ours = {"robustreg", "sklearn"}
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ours:
        frame, level = frame.f_back, level + 1
    return level

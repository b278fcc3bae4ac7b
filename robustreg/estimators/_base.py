"""What all linear regressors share: validation, the call of a solver, fitted attributes."""

from __future__ import annotations

import inspect
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import Array, in_precision
from robustreg._compat import Interval
from robustreg._parallel import map_ordered, slices
from robustreg.estimators._from_source import fit_source
from robustreg.estimators._noise import noise_mad, residual_centre
from robustreg.estimators._predictor import LinearEstimator, LinearPredictor
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.losses import ConvexLoss
from robustreg.penalties import ElasticNet, Penalty
from robustreg.solvers import KINKED_IN_PASSES, SOLVERS, select_solver, share_of_zeros
from robustreg.solvers._solution import Made, Residuals, Solution
from robustreg.sources import RowSource
from robustreg.sources._surveyed import SurveyedSource

NO_PENALTY = ElasticNet()
#: Fits that have not converged, and what they are of.
Unfinished = list[tuple[Solution, str]]

OUTLIER_CUTOFF = 2.5  # standard deviations: 1.24 % of clean Gaussian rows


class LinearRegressor(LinearEstimator):
    """Base of the linear regressors; concrete ones say which loss and which scale."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **LinearPredictor._parameter_constraints,
        "alpha": [Interval(Real, 0.0, None, closed="left")],
        "warm_start": ["boolean"],
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

    def _fit_source(self, source: RowSource) -> None:
        if not self._takes_source():
            super()._fit_source(source)
        for fit, of in fit_source(self, source):
            self._warn(fit, self.solver_, of)

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], Unfinished]:
        """The fitted attributes, in passes over rows that are not in memory."""
        problem, solver, fit = self._solve(rows)
        scale = self._noise_scale(problem, fit, fit.residuals)
        found = self._of_fit(problem, fit, scale, np.dtype(np.float64)) | {"solver_": solver}
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
        if isinstance(data, Data) and (loss.homogeneity == 1 or sparse.issparse(data.X)):
            return share_of_zeros(data.X)
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
        return start_from(problem, self.coef_, self.intercept_, self.scale_)

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
        scale = self._noise_scale(problem, fit, lambda: residual)
        centre = residual_centre(problem, lambda: residual)
        of_rows = Rows(X, y, kept, problem, dtype).attributes(
            fit,
            residual,
            scale,
            lambda part: self._robustness_weights(problem, fit, part, scale),
            centre=centre,
            own=isinstance(fit.residuals, Made),
        )
        return self._of_fit(problem, fit, scale, dtype) | of_rows

    def _of_fit(
        self, problem: Problem, fit: Solution, scale: float, dtype: np.dtype
    ) -> dict[str, Any]:
        """What a fit reports of itself, in the user's units and dtype."""
        return fit_attributes(problem, fit, scale, dtype) | {
            "objective_": problem.in_units_of_objective(fit.objective),
            "dual_gap_": problem.in_units_of_objective(fit.gap),
            "n_iter_": fit.n_iter,
            "converged_": fit.converged,
        }

    def _has_collapsed(self, weight: Array | None) -> bool:
        """Whether the scale that was estimated is 0 though too few rows are on the fit."""
        return False

    def _noise_scale(self, problem: Problem, fit: Solution, residuals: Residuals) -> float:
        """Estimate of the noise's standard deviation, in the problem's units."""
        if problem.joint:
            return float(fit.sigma)
        return noise_mad(problem, fit, residuals)

    def _robustness_weights(
        self, problem: Problem, fit: Solution, residual: Array, scale: float
    ) -> Array:
        """``psi(z) / z`` relative to its value at 0, at the scale the loss was given."""
        sigma = problem.scale_or(fit.sigma)
        if sigma <= 2.0 * problem.exact:
            return (np.abs(residual) <= problem.exact).astype(np.float64)
        weights = problem.loss.weights(residual / sigma)
        return weights / problem.loss.weights(0.0)


class KinkedRegressor(LinearRegressor):
    """Linear models whose loss has its kink at 0: absolute deviations and quantiles."""

    def _takes_source(self) -> bool:
        return True

    def _select(self, data: Data | SurveyedSource, loss: ConvexLoss, scale: float | None) -> str:
        if self.solver == "auto" and isinstance(data, SurveyedSource):
            return KINKED_IN_PASSES
        return super()._select(data, loss, scale)

    def _robustness_weights(
        self, problem: Problem, fit: Solution, residual: Array, scale: float
    ) -> Array:
        """Influence over residual, relative to a residual of ``scale`` on the heavier side."""
        size = np.abs(residual)
        if scale == 0.0:
            return (size <= problem.exact).astype(np.float64)
        low, high = problem.loss.conjugate_domain
        reach = np.where(residual < 0, -low, high) * (scale / max(-low, high))
        return np.minimum(1.0, reach / np.maximum(size, reach))


@dataclass(frozen=True)
class Rows:
    """The user's rows and the problem made of them, for what a fit says of each row.

    ``kept`` are the rows of positive weight; None means all of them.
    """

    X: Any
    y: Array
    kept: NDArray[np.intp] | None
    problem: Problem
    dtype: np.dtype

    def attributes(
        self,
        fit: Solution,
        residual: Array,
        scale: float,
        weigh: Callable[[Array], Array],
        centre: float = 0.0,
        own: bool = False,
    ) -> dict[str, Any]:
        """What every fit reports of the rows, the arguments being in the problem's units.

        ``residual`` are those that the fit has seen. If they are nobody else's (``own``) the
        weights are written in their place, so that a long table takes no more room than these.
        """
        problem, dtype = self.problem, self.dtype
        residual = self.residuals(fit.coef, fit.intercept, residual)
        in_place = own and residual.dtype == dtype
        weights = residual if in_place else np.empty(len(residual), dtype)
        outliers = np.empty(len(residual), bool)
        cutoff = max(OUTLIER_CUTOFF * scale, problem.exact)

        def fill(part: slice) -> None:
            outliers[part] = np.abs(residual[part] - centre) > cutoff
            weights[part] = weigh(residual[part])

        map_ordered(fill, slices(len(residual)), problem.n_threads)
        return {"weights_": weights, "outliers_": outliers}

    def residuals(self, coef: Array, intercept: float, residual: Array) -> Array:
        """The residuals of all rows, those of weight 0 included, in the problem's units.

        Rows that the fit has seen keep the residuals that it has seen, to the last digit. One that
        it has not seen may be so far off that float64 has no number for it.
        """
        if self.kept is None:
            return residual
        with np.errstate(over="ignore", invalid="ignore"):
            offset = intercept + self.problem.y_offset / self.problem.y_unit
            found = self.y / self.problem.y_unit - (safe_sparse_dot(self.X, coef) + offset)
        found[np.isnan(found)] = np.inf
        found[self.kept] = residual
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
    """The rows of positive weight, and which these are (None: all)."""
    if weight is None or weight.all():
        return Data(X, y, weight, n_threads), None
    kept = np.flatnonzero(weight)
    return Data(X[kept], y[kept], weight[kept], n_threads), kept


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

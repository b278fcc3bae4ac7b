"""What the estimators of high breakdown share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from numbers import Integral
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from robustreg._arrays import SUMMED, Array, in_precision
from robustreg._compat import Interval
from robustreg._validation import check_finite
from robustreg.estimators._base import Rows, fit_attributes, levels_to_the_user, rows_that_count
from robustreg.estimators._predictor import LinearEstimator
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem
from robustreg.losses import LOSSES, ResidualLoss, tuning_constant
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Solution, known
from robustreg.subsampling.descent import Fit
from robustreg.subsampling.estimates import Sample, make_sample, mean_loss
from robustreg.subsampling.table import least_absolute_problem

T = TypeVar("T")

#: Names of the losses with a finite supremum, which S-estimates can be made of.
BOUNDED = tuple(
    name for name, kind in LOSSES.items() if kind.redescending and np.isfinite(kind().sup_rho)
)

# Subsets of m rows take m^2 entries each, all at once. So many entries are allowed, and so many
# subsets at most; and this number of subsets always.
MOST_ENTRIES, MOST_SUBSAMPLES, ALWAYS = 2**28, 1_000_000, 1000


class SubsamplingRegressor(LinearEstimator):
    """Base of the estimators that begin with exact fits to random subsets of the rows."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_subsamples": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def _takes_sparse(self) -> bool:
        return False

    @abstractmethod
    def _estimate(self, sample: Sample, rows: Rows) -> tuple[dict[str, Any], tuple[Fit, ...]]:
        """The fitted attributes, and the descents that led to them."""

    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        data, kept = rows_that_count(X, y, weight, n_threads)

        def estimate(sample: Sample) -> tuple[dict[str, Any], tuple[Fit, ...]]:
            return self._estimate(sample, Rows(X, y, kept, sample.problem, dtype))

        found, fits = estimated(self, data, estimate)
        self.__dict__.update(found, converged_=have_converged(self, *fits))


def estimated(
    model: Any, data: Data, estimate: Callable[[Sample], tuple[T, tuple[Fit, ...]]]
) -> tuple[T, tuple[Fit, ...]]:
    """An estimate and the descents that led to it, made anew where it follows far y.

    These had been brought in, see :mod:`robustreg.evaluation.problem`, and now determine the units.
    """
    sample = first = draw(model, data)
    found, fits = estimate(sample)
    for last in (False, True):
        problem = sample.problem
        reach = sample.followed(fits)
        if not reach:
            break
        if last:
            reach = problem.farthest_given()
        sample = draw(model, data, problem.within(reach))
        found, fits = estimate(sample)
    # of rows too far out in X, or nothing beside far y, there are no digits to go on with
    lost = [sample.is_led_astray(fit) for fit in fits]
    lost[-1] |= sample.is_exact_beside_far_y_only(fits[-1], first.problem)
    return found, tuple(
        replace(fit, converged=fit.converged and not astray)
        for fit, astray in zip(fits, lost, strict=True)
    )


def draw(model: Any, data: Data, problem: Problem | None = None) -> Sample:
    """The rows in robust coordinates, ready for the search of a model of high breakdown."""
    name = type(model).__name__
    check_finite(data.X, "X", name)
    m = data.X.shape[1] + bool(model.fit_intercept)
    most = max(ALWAYS, min(MOST_SUBSAMPLES, MOST_ENTRIES // m**2))
    if model.n_subsamples > most:
        raise ValueError(
            f"n_subsamples must be at most {most} for {m} coefficients, since all subsets are in "
            f"memory at once; got {model.n_subsamples!r}."
        )
    if problem is None:
        problem = least_absolute_problem(data, model.fit_intercept)
    sample = make_sample(
        problem,
        data.weight,
        n_subsamples=model.n_subsamples,
        max_iter=model.max_iter,
        random=check_random_state(model.random_state),
    )
    table = sample.table
    if table.total < 2 * table.m * (1.0 - SUMMED):
        rows = f"n_samples={table.n}"
        if data.weight is not None:
            rows = f"a sum of weights of {table.total:g} (weight k counts a row k times)"
        raise ValueError(
            f"{name} needs at least two rows for every coefficient, {2 * table.m} for the "
            f"{table.m} of this X, got {rows}. HuberRegressor and L1Regressor fit fewer rows."
        )
    return sample


def solution_of(sample: Sample, loss: ResidualLoss, fit: Fit, objective: float) -> Solution:
    """Where a descent has ended: without a certificate, and as if all of its y were as given."""
    coef, intercept = sample.coefficients(fit)
    return Solution(
        loss=loss,
        sigma=fit.scale,
        coef=coef,
        intercept=intercept,
        residuals=known(sample.problem.put_back(fit.residual)),
        objective=objective,
        gap=np.nan,
        converged=fit.converged,
        rank=sample.table.m,
        n_interpolated=sample.table.m,
        n_iter=fit.steps,
        ended=Ended.FINISHED if fit.converged else Ended.MAX_ITER,
        message="",
    )


def attributes_of(
    sample: Sample, rows: Rows, loss: ResidualLoss, fit: Fit, scale: float
) -> dict[str, Any]:
    """What an M-estimate reports, in the user's units and dtype."""
    found = solution_of(sample, loss, fit, mean_loss(sample, loss, fit))
    weigh = loss_weights(sample, loss, fit.scale)
    problem = rows.problem
    of_rows = rows.attributes(found, found.residuals(), scale, weigh)
    return (
        fit_attributes(problem, found, scale, rows.dtype)
        | of_rows
        | {
            "loss_scale_": problem.in_units_of_y(fit.scale),
            "objective_": problem.in_units_of_y(found.objective),
            "n_iter_": fit.steps,
        }
    )


def in_user_units(sample: Sample, fit: Fit, dtype: np.dtype) -> tuple[NDArray[np.floating], Any]:
    """Coefficients and intercept of a fit that another one started from."""
    own = sample.problem.in_user_units(*sample.coefficients(fit))
    return in_precision(dtype, *own)


def loss_weights(sample: Sample, loss: ResidualLoss, scale: float) -> Callable[[Array], Array]:
    """``psi(z) / z`` relative to its value at 0; at scale 0 what is on the plane counts."""
    if scale == 0.0:
        return lambda residual: (np.abs(residual) <= sample.table.zero).astype(np.float64)
    top = loss.weights(0.0)
    return lambda residual: loss.weights(residual / scale) / top


@lru_cache(maxsize=64)
def tuned(name: str, **target: float) -> ResidualLoss:
    """The member of a family of losses with a given efficiency or breakdown point."""
    constants = np.atleast_1d(tuning_constant(LOSSES[name], **target))
    return LOSSES[name](*map(float, constants))


def have_converged(model: Any, *fits: Fit) -> bool:
    """Whether all descents of a model ended at a local minimum; a warning says if not."""
    stopped = [fit for fit in fits if not fit.converged]
    if not stopped:
        return True
    reason = "no step goes further down, but the estimating equations do not hold to rounding"
    if any(fit.steps >= model.max_iter for fit in stopped):
        reason = f"increase max_iter (now {model.max_iter})"
    warnings.warn(
        f"{type(model).__name__} did not converge: {reason}.",
        ConvergenceWarning,
        stacklevel=levels_to_the_user(),
    )
    return False

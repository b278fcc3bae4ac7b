"""What the estimators of high breakdown share."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
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
from robustreg.estimators._from_source import OF_ROWS, Passes, fit_source
from robustreg.estimators._judgement import ByLoss, Judgement, Plane, Weigh, Within
from robustreg.estimators._noise import Noise
from robustreg.estimators._predictor import LinearEstimator
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem, Source
from robustreg.evaluation.reading import NotFiniteError
from robustreg.losses import LOSSES, ResidualLoss, tuning_constant
from robustreg.solvers._ended import Ended
from robustreg.solvers._solution import Solution, known
from robustreg.sources._surveyed import NotInMemoryError, SurveyedSource, not_here
from robustreg.subsampling.descent import Fit
from robustreg.subsampling.estimates import Sample, make_sample, mean_loss
from robustreg.subsampling.in_passes import FitOfAll, HasFit
from robustreg.subsampling.table import least_absolute_problem
from robustreg.subsampling.whole import WholeTable, sample_of, strays, whole_table, with_rows

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

    _LONG: ClassVar[float] = np.inf  # rows of arrays beyond which these are fitted in passes

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_subsamples": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _takes_sparse(self) -> bool:
        return False

    @abstractmethod
    def _estimate(self, sample: Sample, rows: Rows) -> tuple[dict[str, Any], tuple[Fit, ...]]:
        """The fitted attributes, and the descents that led to them."""

    def _estimate_in_passes(
        self, whole: WholeTable, rows: Rows | None
    ) -> tuple[dict[str, Any], tuple[HasFit, ...]]:
        """The same in passes; nothing is said of each row unless these are at hand."""
        raise not_here()

    def _fit_source(self, source: Passes) -> None:
        fit_source(self, source)

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        """The fitted attributes, by passes over a source; few rows are all in its sample."""
        if rows.sample.n == rows.n:
            found = self._of_few(rows)
        else:
            found = self._of_many(rows, rows.largest_weight, None)
        return found, []

    def _of_few(self, rows: SurveyedSource) -> dict[str, Any]:
        """The fitted attributes of a source whose sample is all of its rows."""
        data, float64 = data_of(rows), np.dtype(np.float64)

        def estimate(sample: Sample) -> tuple[dict[str, Any], tuple[Fit, ...]]:
            return self._estimate(sample, Rows(data.X, data.y, None, rows.n_threads, float64))

        found, fits = estimated(self, data, estimate)
        own = {name: value for name, value in found.items() if name not in OF_ROWS}
        return own | {"converged_": have_converged(self, *fits)}

    def _of_many(self, source: Source, largest: float, rows: Rows | None) -> dict[str, Any]:
        """The fitted attributes of a long table, in passes."""
        whole = in_passes(self, source, largest)
        found, fits = self._estimate_in_passes(whole, rows)
        return found | {"converged_": have_converged(self, *(ended.fit for ended in fits))}

    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        data, kept = rows_that_count(X, y, weight, n_threads)
        rows = Rows(X, y, kept, n_threads, dtype)

        def estimate(sample: Sample) -> tuple[dict[str, Any], tuple[Fit, ...]]:
            return self._estimate(sample, rows)

        if data.n > self._LONG:
            largest = 1.0 if data.weight is None else float(data.weight.max())
            with suppress(NotInMemoryError):
                self.__dict__.update(self._of_many(data.source, largest, rows))
                return
        found, fits = estimated(self, data, estimate)
        self.__dict__.update(found, converged_=have_converged(self, *fits))


def data_of(rows: SurveyedSource) -> Data:
    """The rows of a source whose sample is all of them."""
    of = rows.found
    if not np.isfinite(of.X).all():
        raise NotFiniteError
    return Data(of.X, of.y, None if (of.weight == 1.0).all() else of.weight, rows.n_threads)


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
    check_finite(data.X, "X", type(model).__name__)
    sample = _draw(model, data, problem)
    check_enough(model, sample.table.m, sample.table.n, sample.table.total, data.weight is not None)
    return sample


def in_passes(model: Any, source: Source, largest: float) -> WholeTable:
    """All rows of a source in the coordinates of a sample of them, which has all directions."""
    data = sample_of(source, largest)
    if not np.isfinite(data.X).all():
        raise NotFiniteError
    sample = _draw(model, data)
    while (found := strays(source, sample)) is not None:
        data, before = with_rows(data, *found), sample.table.m
        sample = _draw(model, data)
        if sample.table.m <= before:
            break
    whole = whole_table(source, sample, largest)
    given = largest * whole.total
    check_enough(model, whole.m, source.n, given, given != source.n)
    return whole


def _draw(model: Any, data: Data, problem: Problem | None = None) -> Sample:
    m = data.X.shape[1] + bool(model.fit_intercept)
    most = max(ALWAYS, min(MOST_SUBSAMPLES, MOST_ENTRIES // m**2))
    if model.n_subsamples > most:
        raise ValueError(
            f"n_subsamples must be at most {most} for {m} coefficients, since all subsets are in "
            f"memory at once; got {model.n_subsamples!r}."
        )
    if problem is None:
        problem = least_absolute_problem(data, model.fit_intercept)
    return make_sample(
        problem,
        data.weight,
        n_subsamples=model.n_subsamples,
        max_iter=model.max_iter,
        random=check_random_state(model.random_state),
    )


def check_enough(model: Any, m: int, n: int, total: float, weighted: bool) -> None:
    """Two rows for each coefficient at least, by their weights."""
    if total >= 2 * m * (1.0 - SUMMED):
        return
    rows = f"n_samples={n}"
    if weighted:
        rows = f"a sum of weights of {total:g} (weight k counts a row k times)"
    raise ValueError(
        f"{type(model).__name__} needs at least two rows for every coefficient, {2 * m} for the "
        f"{m} of this X, got {rows}. HuberRegressor and L1Regressor fit fewer rows."
    )


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
    own = _of_fit(sample, loss, found, fit, scale, rows.dtype)
    return own | rows.attributes(own["_judgement_"], found.residuals())


def attributes_in_passes(
    whole: WholeTable,
    rows: Rows | None,
    loss: ResidualLoss,
    ended: FitOfAll,
    scale: float | None = None,
) -> dict[str, Any]:
    """The same of a long table; what it says of each row takes another pass.

    Without another ``scale`` that of the fit is the noise's.
    """
    sample, fit = whole.sample, ended.fit
    scale = fit.scale if scale is None else scale
    found = solution_of(sample, loss, fit, fit.scale * ended.mean_rho)
    dtype = np.dtype(np.float64) if rows is None else rows.dtype
    own = _of_fit(sample, loss, found, fit, scale, dtype)
    if rows is None:
        return own
    return own | rows.attributes(own["_judgement_"], whole.residuals(fit), own=True)


def _of_fit(
    sample: Sample, loss: ResidualLoss, found: Solution, fit: Fit, scale: float, dtype: np.dtype
) -> dict[str, Any]:
    problem, weigh = sample.problem, loss_weights(sample, loss, fit.scale)
    return fit_attributes(problem, found, scale, dtype) | {
        "_judgement_": judged(problem, found, weigh, scale, dtype),
        "loss_scale_": problem.in_units_of_y(fit.scale),
        "objective_": problem.in_units_of_y(found.objective),
        "n_iter_": fit.steps,
    }


def in_user_units(sample: Sample, fit: Fit, dtype: np.dtype) -> tuple[NDArray[np.floating], Any]:
    """Coefficients and intercept of a fit that another one started from."""
    own = sample.problem.in_user_units(*sample.coefficients(fit))
    return in_precision(dtype, *own)


def judged(
    problem: Problem,
    found: Solution,
    weigh: Weigh,
    scale: float,
    dtype: np.dtype,
    weighed: Plane | None = None,
) -> Judgement:
    """How an estimate judges rows, ``weighed`` being the plane whose residuals are weighed."""
    plane = Plane.of(problem, found.coef, found.intercept)
    return Judgement.of(problem, plane, weigh, Noise(0.0, scale), dtype, weighed)


def loss_weights(sample: Sample, loss: ResidualLoss, scale: float) -> Weigh:
    """``psi(z) / z`` relative to its value at 0; at scale 0 what is on the plane counts."""
    return Within(sample.table.zero) if scale == 0.0 else ByLoss(loss, scale)


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

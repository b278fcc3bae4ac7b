"""M-regression with any smooth loss, convex or redescending."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array
from robustreg._compat import Interval, StrOptions
from robustreg._median import residual_mad
from robustreg.estimators._base import Rows, rows_that_count
from robustreg.estimators._from_source import OF_ROWS
from robustreg.estimators._noise import noise_mad
from robustreg.estimators._scaled import ScaledRegressor
from robustreg.estimators._subsampling import (
    SubsamplingRegressor,
    attributes_in_passes,
    attributes_of,
    data_of,
    estimated,
    have_converged,
    in_passes,
    in_user_units,
    solution_of,
    tuned,
)
from robustreg.evaluation.limits import scale_in_units
from robustreg.evaluation.posed import Data
from robustreg.evaluation.sums import Residual
from robustreg.evaluation.survey import read_rows
from robustreg.losses import LOSSES, ConvexLoss, ResidualLoss
from robustreg.losses._check import check_once
from robustreg.losses._names import get_residual_loss
from robustreg.penalties import Penalty
from robustreg.penalties._check import check_once as check_penalty_once
from robustreg.solvers._solution import Made
from robustreg.sources._surveyed import SurveyedSource, not_here
from robustreg.subsampling.descent import Fit, descend_at_scale, descend_jointly
from robustreg.subsampling.estimates import Sample, s_estimate
from robustreg.subsampling.in_passes import (
    FitOfAll,
    joint_estimate_in_passes,
    m_estimate_in_passes,
    s_estimate_in_passes,
)
from robustreg.subsampling.table import least_absolute_problem
from robustreg.subsampling.whole import WholeTable

_OURS = frozenset(LOSSES.values())  # whose tests have checked them


def _start_loss() -> ResidualLoss:
    """The loss of the S-estimates that other estimates begin at."""
    return tuned("bisquare", breakdown_point=0.5)


class MRegressor(ScaledRegressor):
    """M-regression with a smooth loss of your choice, convex or redescending.

    For a convex loss rho, with ``r = y - X beta - b``, weights w and ``W = sum w``, minimises

        F(beta, b, sigma) = (1/W) sum w sigma rho(r / sigma) + kappa sigma + alpha/(2 u) |beta|_2^2

    jointly over the scale sigma (``scale="joint"``), or for a given scale without the term
    in kappa. ``kappa = E[Z psi(Z) - rho(Z)]`` under a standard normal Z makes ``scale_``
    consistent for the standard deviation of Gaussian noise.

    For a redescending loss F is not convex. The descent, at a scale, begins at an S-estimate
    of breakdown point 50 % (:class:`SRegressor`), never at least squares, whose next minimum
    may be one that follows the outliers.

    Parameters
    ----------
    loss : str or ResidualLoss, default="log_cosh"
        A smooth convex loss: "huber", "pseudo_huber", "log_cosh", "smooth_l1", "squared",
        "half_squared"; a redescending one: "bisquare", "welsch", "cauchy", "hampel",
        "andrews"; or an object of :mod:`robustreg.losses` with constants of its own. A loss
        of your own is checked (:func:`robustreg.losses.check_loss`) before its first fit.
    alpha : float, default=0.0
        Strength of the ridge penalty, at least 0. Its unit u is the scale where that is
        fixed, the MAD of y for a joint scale; the fit then moves with the units of y. 0 for
        a redescending loss.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    positive : bool, default=False
        Whether coefficients must not be negative; False for a redescending loss.
    penalty : Penalty, default=None
        A convex penalty of your own (:class:`robustreg.penalties.Penalty`) in place of the one that
        alpha, l1_ratio and positive make. It is checked
        (:func:`robustreg.penalties.check_penalty`) before a fit; None for a redescending loss.
    scale : "joint", "mad", "s" or float, default="joint"
        "joint" estimates the scale with the coefficients; beside a redescending loss it is
        the M-scale of the residuals (:func:`robustreg.scale.m_scale`). "mad" holds the MAD
        of the residuals of an L1 fit fixed, beside a redescending loss that of the S-estimate's
        residuals, without the zeros that are the fit's own. "s" holds the scale of the
        S-estimate fixed. A number is a fixed scale in the units of y; ``scale=1.0`` makes the
        loss's constant a threshold in these units.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    solver : {"auto", "newton_cg", "working_set", "newton", "lbfgs"}, default="auto"
        See :func:`robustreg.solvers.select_solver`; "auto" for a redescending loss.
    max_iter : int, default=100
        Iterations at most.
    tol : float, default=1e-7
        A fit of a convex loss has converged when ``dual_gap_ <= tol * objective_`` (and
        rounding), and no step of noticeable length is left.
    warm_start : bool, default=False
        Start from the previous solution; False for a redescending loss.
    n_subsamples : int, default=500
        Random subsets of rows that the search for an S-estimate starts from.
    random_state : int, RandomState instance or None, default=None
        Determines these subsets. Convex losses use neither, except for ``scale="s"``.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_, intercept_, scale_, weights_, outliers_, objective_, n_iter_
        As in :class:`HuberRegressor`. ``scale_`` is the scale that was estimated jointly, or,
        for "s" beside a redescending loss, the S-estimate's; else it is the MAD of the residuals.
        A joint scale for a loss with a small threshold can be 0 long before most rows are
        fitted exactly.
    dual_gap_ : float
        As in :class:`HuberRegressor`; NaN for a redescending loss, which has no certificate.
    converged_, n_features_in_, feature_names_in_
        As in :class:`HuberRegressor`.
    loss_ : ResidualLoss
        The loss that was minimised.
    loss_scale_ : float
        The scale sigma of its residuals: the one given, found by ``scale="mad"`` or ``"s"``, or
        estimated jointly.
    rank_ : int
        Rank of X with the intercept's column; under a penalty an upper bound of it.
    solver_ : str
        The solver; "irls" for a redescending loss: reweighted least squares, and Newton steps
        at the end.
    initial_coef_, initial_intercept_, initial_scale_
        The S-estimate that the descent began at (redescending losses only).

    References
    ----------
    P. J. Huber and E. M. Ronchetti (2009), Robust Statistics, 2nd ed., chapter 7.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import MRegressor
    >>> from robustreg.losses import PseudoHuber
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1))
    >>> y = 3 * X[:, 0] + rng.standard_t(2, size=200)
    >>> MRegressor("log_cosh").fit(X, y).coef_.round(1)
    array([3.])
    >>> MRegressor(PseudoHuber(delta=2.0)).fit(X, y).converged_
    True
    >>> X[:60], y[:60] = 10.0, -100.0
    >>> MRegressor("welsch", random_state=0).fit(X, y).coef_.round(1)
    array([3.])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ScaledRegressor._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), ResidualLoss],
        "penalty": [Penalty, None],
        "scale": [Interval(Real, 0.0, None, closed="neither"), StrOptions({"joint", "mad", "s"})],
        "n_subsamples": SubsamplingRegressor._parameter_constraints["n_subsamples"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        loss: str | ResidualLoss = "log_cosh",
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        penalty: Penalty | None = None,
        scale: str | float = "joint",
        fit_intercept: bool = True,
        solver: str = "auto",
        max_iter: int = 100,
        tol: float = 1e-7,
        warm_start: bool = False,
        n_subsamples: int = 500,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.penalty = penalty
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.n_subsamples = n_subsamples
        self.random_state = random_state
        self.verbose = verbose

    def _takes_sparse(self) -> bool:
        return self.scale != "s" and not self._redescends()

    def _takes_source(self) -> bool:
        return self.penalty is None

    def _takes_device(self) -> bool:
        # a loss of the user's own may be written for NumPy's arrays alone
        ours = isinstance(self.loss, str) or type(self.loss) in _OURS
        served = self.penalty is None and not self._redescends()
        return super()._takes_device() and served and ours

    def _redescends(self) -> bool:
        kind: type = type(self.loss)
        if isinstance(self.loss, str) and self.loss in LOSSES:
            kind = LOSSES[self.loss]
        return issubclass(kind, ResidualLoss) and not issubclass(kind, ConvexLoss)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_own_loss()
        if not self._redescends():
            return
        for name in ("alpha", "positive", "penalty", "warm_start"):
            if getattr(self, name):
                raise ValueError(
                    f"{name} must be {type(self)().get_params()[name]!r} for the redescending "
                    f"loss {self.loss!r}, got {getattr(self, name)!r}."
                )
        if self.solver != "auto":
            raise ValueError(
                f"solver must be 'auto' for the redescending loss {self.loss!r}, "
                f"got {self.solver!r}."
            )

    def _own_penalty(self) -> Penalty | None:
        return self.penalty

    def _check_own_penalty(self, n_features: int) -> None:
        """Check a penalty of the user's own, before anything is computed with it."""
        if self.penalty is None:
            return
        for name in ("alpha", "positive"):
            if getattr(self, name):
                raise ValueError(
                    f"{name} must be {type(self)().get_params()[name]!r} beside a penalty, "
                    f"got {getattr(self, name)!r} and penalty={self.penalty!r}."
                )
        check_penalty_once(self.penalty, n_features)

    def _check_own_loss(self) -> None:
        """Check a loss of the user's own, before anything is computed with it."""
        if not isinstance(self.loss, ResidualLoss) or type(self.loss) in _OURS:
            return
        check_once(self.loss)
        if self.loss.weights(0.0) == 0.0:
            raise ValueError(
                f"MRegressor needs a loss with a positive weight at residual 0, which weights_ are "
                f"relative to; {self.loss!r}.weights(0.0) is 0."
            )

    def _get_loss(self) -> ConvexLoss:
        loss = get_residual_loss(self.loss)
        if not isinstance(loss, ConvexLoss) or loss.smoothness < 1:
            raise ValueError(
                f"MRegressor needs a smooth loss; {loss!r} is not smooth. "
                "For absolute deviations use L1Regressor."
            )
        return loss

    def _get_scale(self, data: Data | SurveyedSource) -> float | None:
        if self.scale != "s":
            return super()._get_scale(data)

        def scale_of(sample: Sample, fit: Fit) -> float:
            return (fit.scale or sample.problem.exact or 1.0) * sample.problem.y_unit

        def estimate(sample: Sample) -> tuple[float, tuple[Fit, ...]]:
            fit = s_estimate(sample, _start_loss())
            return scale_of(sample, fit), (fit,)

        if isinstance(data, SurveyedSource):
            if data.sample.n < data.n:
                whole = in_passes(self, data, data.largest_weight)
                start = s_estimate_in_passes(whole, _start_loss()).fit
                have_converged(self, start)
                return scale_of(whole.sample, start)
            data = data_of(data)
        scale, fits = estimated(self, data, estimate)
        have_converged(self, *fits)
        return scale

    def _from_rows(self, rows: SurveyedSource) -> tuple[dict[str, Any], list[Any]]:
        if not self._redescends():
            return super()._from_rows(rows)
        if rows.sample.n == rows.n:
            data, float64 = data_of(rows), np.dtype(np.float64)
            found = self._descended(data, Rows(data.X, data.y, None, rows.n_threads, float64))
            return {name: value for name, value in found.items() if name not in OF_ROWS}, []
        whole, loss = in_passes(self, rows, rows.largest_weight), get_residual_loss(self.loss)
        start = s_estimate_in_passes(whole, _start_loss()).fit
        ended = self._descend_in_passes(whole, rows, loss, start)
        scale = ended.fit.scale
        if self.scale not in ("joint", "s"):
            scale = self._mad_in_passes(whole.sample, rows, loss, ended.fit)
        found = attributes_in_passes(whole, None, loss, ended, scale)
        return found | self._started(whole.sample, start, ended.fit, np.dtype(np.float64)), []

    def _descend_in_passes(
        self, whole: WholeTable, rows: SurveyedSource, loss: ResidualLoss, start: Fit
    ) -> FitOfAll:
        """As `_descend`, in passes over a source."""
        if self.scale == "joint":
            return joint_estimate_in_passes(whole, loss, _start_loss(), start)
        if self.scale == "s" or (self.scale == "mad" and start.scale == 0.0):
            return m_estimate_in_passes(whole, loss, start)
        sample = whole.sample
        if self.scale == "mad":
            scale = self._mad_in_passes(sample, rows, loss, start)
        else:
            problem = sample.problem
            scale = scale_in_units(float(self.scale), problem.y_unit, problem.spread)
        if 0.0 in (scale, start.scale):
            raise not_here()  # most rows lie on a plane, but not for the other scale
        return m_estimate_in_passes(whole, loss, start, scale)

    def _mad_in_passes(
        self, sample: Sample, rows: SurveyedSource, loss: ResidualLoss, fit: Fit
    ) -> float:
        """As `_mad_of`, of all rows of a source, in the units of the sample's problem."""
        if fit.scale == 0.0:
            return 0.0
        own, there = sample.problem, least_absolute_problem(rows, bool(self.fit_intercept))
        plane = there.in_own_units(*own.in_user_units(*sample.coefficients(fit)))
        blocks = read_rows(there.observed, there.fit_intercept)
        beta = plane[0] * blocks.unit
        at = Residual(beta, float(plane[1] + beta @ blocks.origin), False)
        found = solution_of(sample, loss, fit, 0.0)
        return noise_mad(there, found, Made(blocks, at, None)) * there.y_unit / own.y_unit

    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        if not self._redescends():
            self._check_own_penalty(X.shape[1])
            super()._fit(X, y, weight, dtype, n_threads)
            return
        data, kept = rows_that_count(X, y, weight, n_threads)
        self.__dict__.update(self._descended(data, Rows(X, y, kept, n_threads, dtype)))

    def _descended(self, data: Data, rows: Rows) -> dict[str, Any]:
        """The fitted attributes of a redescending loss."""
        loss = get_residual_loss(self.loss)

        def estimate(sample: Sample) -> tuple[Sample, tuple[Fit, ...]]:
            start = s_estimate(sample, _start_loss())
            return sample, (start, self._descend(sample, loss, start))

        sample, (start, fit) = estimated(self, data, estimate)
        scale = fit.scale if self.scale in ("joint", "s") else _mad_of(sample, fit)
        found = attributes_of(sample, rows, loss, fit, scale)
        return found | self._started(sample, start, fit, rows.dtype)

    def _started(self, sample: Sample, start: Fit, fit: Fit, dtype: np.dtype) -> dict[str, Any]:
        """What a fit reports of its start, and whether it has come to an end."""
        coef, intercept = in_user_units(sample, start, dtype)
        return {
            "dual_gap_": np.nan,
            "converged_": have_converged(self, start, fit),
            "solver_": "irls",
            "initial_coef_": coef,
            "initial_intercept_": intercept,
            "initial_scale_": sample.problem.in_units_of_y(start.scale),
        }

    def _descend(self, sample: Sample, loss: ResidualLoss, start: Fit) -> Fit:
        """The M-estimate next to the S-estimate."""
        if self.scale == "joint":
            return sample.descend(
                start,
                lambda table, theta: descend_jointly(
                    table, loss, _start_loss(), theta, start.scale, self.max_iter
                ),
            )
        if self.scale == "s":
            scale = start.scale
        elif self.scale == "mad":
            scale = _mad_of(sample, start)
        else:
            problem = sample.problem
            scale = scale_in_units(float(self.scale), problem.y_unit, problem.spread)
        if scale == 0.0:
            return sample.on_plane(start)  # most rows lie on one
        return sample.descend(
            start,
            lambda table, theta: descend_at_scale(table, loss, theta, scale, self.max_iter),
        )


def _mad_of(sample: Sample, fit: Fit) -> float:
    """MAD of a fit's residuals about 0; 0 where most are exactly fitted.

    As many zeros as there are coefficients are the fit's own and say nothing of the noise.
    """
    table = sample.table
    zeros = float(table.sum((np.abs(fit.residual) <= table.zero).astype(np.float64)))
    own = min(1.0, table.m / zeros) if zeros else 0.0
    scale = residual_mad(fit.residual, table.weight, zero=table.zero, left_out=own)
    return scale if scale > table.zero else 0.0

"""Huber regression."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from robustreg._arrays import Array
from robustreg._compat import Interval, StrOptions
from robustreg.estimators._delta import (
    DEFAULT_DELTA,
    REACH,
    Size,
    choose_delta,
    choose_delta_in_passes,
    has_collapsed,
    most_beyond,
    share_beyond,
)
from robustreg.estimators._noise import Noise, readable
from robustreg.estimators._scaled import ScaledRegressor
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Problem
from robustreg.losses import ConvexLoss, Huber
from robustreg.solvers._solution import Solution
from robustreg.sources._surveyed import SurveyedSource

CHOICES = 4  # of delta at most, each from the residuals of the last one's fit


class HuberRegressor(ScaledRegressor):
    """Huber regression: least squares for the bulk of the data, bounded influence beyond.

    Minimises, with ``r = y - X beta - b``, weights w, ``W = sum w`` and Huber's loss
    ``rho(z) = z^2/2`` for ``|z| <= delta``, ``delta |z| - delta^2/2`` beyond,

        F(beta, b, sigma) = (1/W) sum w sigma rho(r / sigma) + kappa sigma + alpha/(2 u) |beta|_2^2

    jointly over the scale sigma (``scale="joint"``: Huber's Proposal 2), or for a given
    scale without the term in kappa. ``kappa = E min(Z^2, delta^2) / 2`` under a standard
    normal Z makes ``scale_`` consistent for the standard deviation of Gaussian noise, so
    that ``delta`` counts standard deviations and 1.345 is 95 % efficient.

    Parameters
    ----------
    delta : float or "auto", default=1.345
        Threshold in scales, above 0: residuals beyond it count linearly. With
        ``scale=1.0`` it is in the units of y. "auto" chooses it from the data: large for
        Gaussian noise, small for heavy tails; see Notes and ``delta_``.
    alpha : float, default=0.0
        Strength of the ridge penalty, at least 0. Its unit u is the scale where that is
        fixed, the MAD of y for a joint scale; the fit then moves with the units of y.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    positive : bool, default=False
        Whether coefficients must not be negative.
    scale : "joint", "mad" or float, default="joint"
        "joint" estimates the scale with the coefficients. "mad" holds the MAD of the
        residuals of an L1 fit fixed. A number is a fixed scale in the units of y.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    solver : {"auto", "newton_cg", "working_set", "newton", "lbfgs"}, default="auto"
        See :func:`robustreg.solvers.select_solver`.
    max_iter : int, default=100
        Iterations at most.
    tol : float, default=1e-7
        A fit has converged when ``dual_gap_ <= tol * objective_`` (and rounding), and no
        step of noticeable length is left.
    warm_start : bool, default=False
        Start from the previous solution.
    verbose : int, default=0
        Above 0, a fit to rows that are not in memory prints a line for every pass over them.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients. Where X has less than full rank, those of minimum norm in units of
        the columns' standard deviations.
    intercept_ : float
        Intercept, 0.0 without one.
    scale_ : float
        Estimate of the noise's standard deviation: sigma for a joint scale, else 1.4826
        times the weighted median of ``|r|``. A joint scale divides by W, so that it is low
        by about ``(1 - p/n)^0.75``. 0 where the optimum passes through most rows exactly;
        a joint scale for a small delta where rows that weigh less than 2 kappa / delta^2 are
        off it: 39 % at 1.345, but 74 % at 0.5 and 84 % at 0.3, so that ties in counts or
        rounded targets can make it 0, and outliers of most rows.
    delta_ : float
        Threshold of the fit in the unit of the parameter ``delta``: that parameter, or what
        "auto" has chosen.
    loss_ : Huber
        The loss that was minimised: ``Huber(delta_)``.
    loss_scale_ : float
        The scale sigma of its residuals: the one given, found by ``scale="mad"`` or estimated
        jointly. ``scale_`` differs from it where sigma is no estimate of this fit's own.
    rank_ : int
        Rank of X with the intercept's column; under a penalty an upper bound of it.
    weights_ : ndarray of shape (n_samples,)
        ``psi(z) / z = min(1, delta_ / |z|)`` at ``z = r / sigma``: how far each row was
        trusted. Where ``scale_`` is 0, 1 on the fitted plane and 0 off it.
    outliers_ : ndarray of shape (n_samples,), bool
        ``|r| > 2.5 scale_``, which marks 1.2 % of clean Gaussian rows.
    objective_ : float
        F at the solution.
    dual_gap_ : float
        Certificate: ``objective_`` is at most this much above the minimum of F.
    n_iter_ : int
        Iterations of the solver on all rows.
    converged_ : bool
        Whether the fit is certified.
    solver_ : str
        Name of the solver used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X has string names.

    Notes
    -----
    ``delta="auto"`` mostly fits twice. The residuals r of the first fit, at 1.345 and with the same
    penalty, give for each threshold t an estimate of the coefficients' asymptotic variance,
    ``V = mean w min(r^2, t^2) / (share of |r| <= t)^2``. ``delta_`` is the mean of 0.3, 0.4,
    ..., 3, weighted by ``V^-20``, and the second fit, which starts from the first, uses it.
    For a joint scale t is ``delta sigma``, with the sigma that the residuals have at that
    delta; otherwise ``delta`` times the MAD of the residuals of an L1 fit. With a number s
    as scale, ``delta_`` is what was chosen times this MAD over s. Where the joint scale of
    the second fit turns out too small for its residuals, as small deltas make it with counts
    and rounded targets, these are chosen from next. ``delta_`` is 1.345 where the first fit
    or the L1 fit passes through most rows exactly: a constant y, fewer rows than
    coefficients. See docs/design.md.

    scikit-learn's ``HuberRegressor`` gives the same fit at ``epsilon = delta / sqrt(2 kappa)``
    and ``alpha_sk = alpha epsilon W / (u delta)``, with ``scale_sk = scale_ sqrt(2 kappa)``;
    its default epsilon of 1.35 is a delta of 0.92. ``MASS::rlm`` with a given scale s is
    ``scale=s``. See docs/coming-from.md.

    References
    ----------
    P. J. Huber and E. M. Ronchetti (2009), Robust Statistics, 2nd ed., sections 7.7-7.8.
    Y.-G. Wang, X. Lin, M. Zhu and Z. Bai (2007), Robust estimation using the Huber function
    with a data-dependent tuning constant, Journal of Computational and Graphical Statistics
    16, 468-481.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 1))
    >>> y = 2 * X[:, 0] + 1 + 0.1 * rng.normal(size=100)
    >>> y[:5] += 50
    >>> model = HuberRegressor().fit(X, y)
    >>> model.coef_.round(1), model.outliers_[:5].all()
    (array([2.]), np.True_)
    >>> model.dual_gap_ <= 1e-7 * model.objective_
    True
    >>> wild = 2 * X[:, 0] + 1 + rng.standard_t(1.5, size=100)
    >>> print(round(HuberRegressor("auto").fit(X, wild).delta_, 1))
    0.9
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ScaledRegressor._parameter_constraints,
        "delta": [Interval(Real, 0.0, None, closed="neither"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        delta: float | str = DEFAULT_DELTA,
        *,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        positive: bool = False,
        scale: str | float = "joint",
        fit_intercept: bool = True,
        solver: str = "auto",
        max_iter: int = 100,
        tol: float = 1e-7,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.delta = delta
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose

    def _get_loss(self) -> ConvexLoss:
        return Huber(DEFAULT_DELTA if self.delta == "auto" else float(self.delta))

    def _solve(self, data: Data | SurveyedSource) -> tuple[Problem, str, Solution]:
        if self.delta != "auto":
            return super()._solve(data)
        problem, solver = self._prepare(data)
        if not isinstance(self.scale, str):
            problem = _in_scale(problem, self._l1_scale(data) / problem.y_unit)
        fit = self._minimise(problem, solver, self._start(problem))
        if not fit.converged:
            self._warn(fit, solver, of=" at the delta to start from")
        start = fit.start
        for _ in range(CHOICES if _has_scale(problem, fit) else 0):
            delta = _delta_of_residuals(problem, fit)
            if delta is None:
                break
            chosen = problem.with_loss(Huber(delta))
            fit = self._minimise(chosen, solver, start)
            if not (chosen.joint and self._collapses(chosen, fit, delta)):
                return chosen, solver, fit
        return super()._solve(data)

    def _collapses(self, problem: Problem, fit: Solution, delta: float) -> bool:
        """Whether a joint scale is too small for the residuals of its fit."""
        scale = fit.sigma if _has_scale(problem, fit) else 0.0
        if not problem.observed.source.in_memory:
            rows, value = readable(problem, fit.residuals)
            limit = max(delta, REACH) * scale if scale else problem.exact
            beyond = share_beyond(rows, Size(value, 1.0), limit)
            return beyond > most_beyond(scale)
        trust = self._weigh(problem, fit, scale)(fit.residual)
        return has_collapsed(trust, problem.weight, delta=delta, scale=scale)

    def _has_collapsed(self, weight: Array | None) -> bool:
        if self.scale != "joint" or self.scale_ > 0.0:
            return False
        return has_collapsed(self.weights_, weight, delta=self.delta_, scale=self.scale_)

    def _takes_source(self) -> bool:
        return True

    def _takes_device(self) -> bool:
        return super()._takes_device() and bool(self.delta != "auto")

    def _of_fit(
        self, problem: Problem, fit: Solution, noise: Noise, dtype: np.dtype
    ) -> dict[str, Any]:
        found = super()._of_fit(problem, fit, noise, dtype)
        delta = problem.loss.delta  # type: ignore[attr-defined]
        if problem.scale is not None and not isinstance(self.scale, str):
            delta *= problem.scale * problem.y_unit / self.scale  # 1 unless chosen
        return found | {"delta_": delta, "loss_": Huber(delta)}


def _has_scale(problem: Problem, fit: Solution) -> bool:
    """Whether the scale of a fit, or of the L1 fit, is not that of an exact one."""
    return bool(problem.scale_or(fit.sigma) > 2.0 * problem.exact)


def _delta_of_residuals(problem: Problem, fit: Solution) -> float | None:
    """The delta that a fit's residuals ask for, if there is one."""
    # in which residuals have squares: those of rows brought in may be far beyond the spread of y
    unit = max(fit.sigma, problem.spread) if problem.scale is None else problem.scale
    scale, zero = None if problem.joint else 1.0, problem.exact / unit
    if not problem.observed.source.in_memory:
        rows, value = readable(problem, fit.residuals)
        return choose_delta_in_passes(rows, Size(value, unit), scale=scale, zero=zero)
    return choose_delta(fit.residual / unit, problem.weight, scale=scale, zero=zero)


def _in_scale(problem: Problem, scale: float) -> Problem:
    """The problem in another fixed scale, its penalty such that only the threshold changes.

    ``s rho(r / s)`` is 1/s times Huber's loss in units of y: F, and the penalty with it, is
    multiplied by the old scale over the new one.
    """
    assert problem.scale is not None
    factor = problem.scale / scale
    penalty = replace(problem.elastic_net, alpha=factor * problem.elastic_net.alpha)
    unit = problem.objective_unit / factor
    moved = replace(problem, scale=scale, penalty=penalty, objective_unit=unit)
    return moved.with_loss(problem.loss)

"""M-regression with any smooth convex loss."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, ClassVar

from robustreg._compat import Interval, StrOptions
from robustreg.estimators._base import Data, LinearRegressor, noise_mad
from robustreg.losses import LOSSES, Absolute, ConvexLoss, Loss, get_loss
from robustreg.solvers import SOLVERS, select_solver


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

    def _get_scale(self, data: Data) -> float | None:
        if self.scale == "joint":
            return None
        if self.scale != "mad":
            return float(self.scale)
        return self._l1_scale(data)

    def _l1_scale(self, data: Data) -> float:
        """The MAD of the residuals of an L1 fit, in the units of y."""
        problem = self._problem(data, Absolute(), scale=1.0)
        solver = select_solver("absolute", n_features=problem.p, scale=1.0)
        fit = SOLVERS[solver].solve(problem)
        if not fit.success:
            self._warn(fit, solver)
        scale = noise_mad(problem, fit)
        # Half of the rows lie on a plane: the limit of the scale to 0 is the L1 fit.
        return (scale or problem.exact or 1.0) * problem.y_unit


class MRegressor(ScaledRegressor):
    """M-regression with a smooth convex loss of your choice.

    Minimises, with ``r = y - X beta - b``, weights w, ``W = sum w`` and the loss rho,

        F(beta, b, sigma) = (1/W) sum w sigma rho(r / sigma) + kappa sigma + alpha/(2 u) |beta|_2^2

    jointly over the scale sigma (``scale="joint"``), or for a given scale without the term
    in kappa. ``kappa = E[Z psi(Z) - rho(Z)]`` under a standard normal Z makes ``scale_``
    consistent for the standard deviation of Gaussian noise.

    Parameters
    ----------
    loss : str or Loss, default="log_cosh"
        A smooth convex loss: "huber", "pseudo_huber", "log_cosh", "smooth_l1", "squared",
        "half_squared", or an object of :mod:`robustreg.losses` with constants of its own.
    alpha : float, default=0.0
        Strength of the ridge penalty, at least 0. Its unit u is the scale where that is
        fixed, the MAD of y for a joint scale; the fit then moves with the units of y.
    l1_ratio : float, default=0.0
        Share of the L1 norm in the penalty, from 0 (ridge) to 1 (lasso).
    positive : bool, default=False
        Whether coefficients must not be negative.
    scale : "joint", "mad" or float, default="joint"
        "joint" estimates the scale with the coefficients. "mad" holds the MAD of the
        residuals of an L1 fit fixed. A number is a fixed scale in the units of y;
        ``scale=1.0`` makes the loss's constant a threshold in these units.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    solver : {"auto", "working_set", "newton", "lbfgs"}, default="auto"
        See :func:`robustreg.solvers.select_solver`.
    max_iter : int, default=100
        Iterations at most.
    tol : float, default=1e-7
        A fit has converged when ``dual_gap_ <= tol * objective_`` (and rounding), and no
        step of noticeable length is left.
    warm_start : bool, default=False
        Start from the previous solution.

    Attributes
    ----------
    coef_, intercept_, scale_, weights_, outliers_, objective_, dual_gap_, n_iter_
        As in :class:`HuberRegressor`.
    converged_, solver_, n_features_in_, feature_names_in_
        As in :class:`HuberRegressor`.

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
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ScaledRegressor._parameter_constraints,
        "loss": [StrOptions(set(LOSSES)), Loss],
    }

    def __init__(
        self,
        loss: str | Loss = "log_cosh",
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
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.positive = positive
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    def _get_loss(self) -> ConvexLoss:
        loss = get_loss(self.loss)
        if not isinstance(loss, ConvexLoss) or loss.smoothness < 1:
            kind = "not smooth" if isinstance(loss, ConvexLoss) else "not convex"
            raise ValueError(
                f"MRegressor needs a smooth convex loss; {loss!r} is {kind}. "
                "For absolute deviations use L1Regressor."
            )
        return loss

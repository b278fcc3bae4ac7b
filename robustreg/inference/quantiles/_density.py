"""How dense the noise of a quantile fit is at the fit, which its standard errors rest on.

With the quantile tau, residuals r of the fit, weights w that count rows, their sum W, the rank k
and a bandwidth h. Residuals are in the units of the blocks of rows, densities in one over these.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri
from sklearn.exceptions import ConvergenceWarning

from robustreg._arrays import SUMMED, Array
from robustreg.estimators import QuantileRegressor
from robustreg.estimators._base import levels_to_the_user
from robustreg.evaluation.order_statistics import Deviation, Value, order_statistics
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.sums import Fitted, Point
from robustreg.inference._rows import FittedRows
from robustreg.inference.quantiles._nearest import FindNearest
from robustreg.losses import Quantile
from robustreg.solvers import SOLVERS
from robustreg.sources._surveyed import NotInMemoryError

Density = Callable[[Block], Array]  # of the noise at the rows of a block

BOFINGER, HALL_SHEATHER = "bofinger", "hall-sheather"
INNER = 1.34  # quartiles of a standard Gaussian are this far from each other
ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


def bandwidth(tau: float, total: float, rule: str = BOFINGER) -> float:
    """How far to go from a quantile to see how dense the noise is there.

    Bofinger (1975): ``W^(-1/5) [4.5 phi(q)^4 / (2 q^2 + 1)^2]^(1/5)`` with ``q = Phi^-1(tau)``,
    best for the density. Hall and Sheather (1988): ``W^(-1/3) z^(2/3)
    [1.5 phi(q)^2 / (2 q^2 + 1)]^(1/3)``, z the 97.5 % quantile of a Gaussian, best for intervals of
    a sample's quantile.
    """
    q = float(ndtri(tau))
    phi, bend = math.exp(-0.5 * q * q) / ROOT_TWO_PI, 2.0 * q * q + 1.0
    if rule == BOFINGER:
        return float(total**-0.2 * (4.5 * phi**4 / bend**2) ** 0.2)
    z = float(ndtri(0.975))
    return float(total ** (-1.0 / 3.0) * z ** (2.0 / 3.0) * (1.5 * phi**2 / bend) ** (1.0 / 3.0))


def bandwidth_within(tau: float, total: float, rule: str = BOFINGER) -> float:
    """The bandwidth, halved until ``tau - h`` and ``tau + h`` are quantiles."""
    h = bandwidth(tau, total, rule)
    while tau - h <= 0.0 or tau + h >= 1.0:
        h *= 0.5
    return h


def at_fit(fitted: FittedRows, coef: Array, intercept: float, unit: float) -> FittedRows:
    """The rows at another fit, whose coefficients are in the columns of X and a unit of y.

    The intercept is that of y about the centre that the rows have, and the unit is over theirs.
    """
    rows, own = fitted.rows, 0.0
    beta = coef * unit * rows.unit
    if fitted.has_intercept:
        own = float(intercept * unit + beta @ rows.origin)
    return replace(fitted, point=Point(beta, own, fitted.point.sigma))


def in_double_precision(fitted: FittedRows, tau: float) -> FittedRows:
    """The rows at a fit in double precision, for coefficients that were rounded to single.

    Rows that a rounded fit has passed through would not be told from others next to it.
    """
    (fit,), unit = fits_at(fitted, (tau,))
    return at_fit(fitted, fit[:-1], fit[-1], unit)


def sparsity(fitted: FittedRows, tau: float, rule: str = BOFINGER) -> float:
    """One over the density of noise that does not depend on x, at the fit.

    The slope of a median fit of the ordered residuals nearest 0 on their ranks over W - k:
    ``max(k + 1, ceil(W h)) + 1`` of them, those left out that are 0. A row of weight w stands in
    the middle of its w ranks.

    Raises
    ------
    ValueError
        If these residuals are all alike.
    """
    unit, zero = fitted.weight_unit, fitted.weight_unit * fitted.noise.zero
    wanted = math.ceil(fitted.total * bandwidth(tau, fitted.total, rule))
    count = max(fitted.size + 1, wanted) + 1 - SUMMED * fitted.total
    ranks = np.array([(zero + count) / unit])
    (farthest,) = order_statistics(fitted.rows, Deviation(fitted.residual), ranks)
    job = FindNearest(fitted.residual, fitted.zero_size, farthest, count / unit)
    near = fitted.rows.sum(job).wanted()
    order = np.argsort(near.residual, kind="stable")
    r, own = near.residual[order], unit * near.weight[order]
    rank = zero + np.cumsum(own) - 0.5 * (own - 1.0)
    place = (rank / (fitted.total - fitted.size))[:, None]
    slope = 0.0
    if len(r) > 1 and r[-1] - r[0] > fitted.zero_size:
        problem, _, fit = QuantileRegressor(0.5)._solve(Data(place, r, own, 1))
        slope = float(fit.coef[0]) * problem.y_unit
    if not slope * float(np.ptp(place) if len(place) else 0.0) > fitted.zero_size:
        raise ValueError(
            "covariance='iid' and deviance_test need the density of the noise at the fit, but the "
            "residuals nearest to 0 are all alike. Take covariance='kernel' or 'bootstrap', or "
            "rank_test."
        )
    return slope


@dataclass(frozen=True)
class BetweenFits:
    """Densities by how far apart two fits of quantiles are."""

    apart: Fitted
    least: float  # which is taken off
    levels: float  # between the two

    def __call__(self, block: Block) -> Array:
        apart = self.apart(block)
        apart -= self.least
        return np.divide(self.levels, apart, out=np.zeros(len(apart)), where=apart > 0.0)


@dataclass(frozen=True)
class GaussianKernel:
    """Densities by a Gaussian kernel at residuals."""

    residual: Value
    width: float

    def __call__(self, block: Block) -> Array:
        z = self.residual(block) / self.width
        np.square(z, out=z)
        z *= -0.5
        with np.errstate(under="ignore"):
            return np.exp(z, out=z) / (ROOT_TWO_PI * self.width)


def nid_density(
    fitted: FittedRows, tau: float, rule: str = BOFINGER, least: float | None = None
) -> BetweenFits:
    """Densities of the noise at every row, by how far apart the fits next to this one are.

    ``f = max(0, 2 h / (x'[beta(tau + h) - beta(tau - h)] - least))`` (Hendricks and Koenker 1992);
    by default ``least`` is `FittedRows.zero_size`. The fits are to X as it is: they do not copy
    it, keep it sparse, and see to collinear columns themselves.
    """
    return nid_densities(fitted, (tau,), rule, least)[0]


def nid_densities(
    fitted: FittedRows, taus: Sequence[float], rule: str = BOFINGER, least: float | None = None
) -> list[BetweenFits]:
    """The same at several quantiles, whose fits start from each other."""
    widths = [bandwidth_within(tau, fitted.total, rule) for tau in taus]
    levels = [tau + side * h for tau, h in zip(taus, widths, strict=True) for side in (-1, 1)]
    try:
        fits, unit = fits_at(fitted, levels)
    except NotInMemoryError:
        raise NotInMemoryError(
            "covariance='nid' compares two fits next to the quantile, of which one needs all rows "
            "in memory: load them into arrays, or take covariance='iid' or 'kernel'."
        ) from None
    rows, densities = fitted.rows, []
    for low, high, h in zip(fits[::2], fits[1::2], widths, strict=True):
        beta = (high[:-1] - low[:-1]) * unit * rows.unit
        intercept = (high[-1] - low[-1]) * unit + float(beta @ rows.origin)
        apart = Fitted(beta, intercept if rows.fit_intercept else 0.0)
        densities.append(BetweenFits(apart, fitted.zero_size if least is None else least, 2.0 * h))
    return densities


def kernel_density(fitted: FittedRows, tau: float, rule: str = BOFINGER) -> GaussianKernel:
    """Densities of the noise at every row by a Gaussian kernel at its residual (Powell 1991).

    ``f = phi(r / c) / c``, ``c = [Phi^-1(tau + h) - Phi^-1(tau - h)] min(sd r, IQR r / 1.34)``.

    Raises
    ------
    ValueError
        If half of the residuals are alike.
    """
    h = bandwidth_within(tau, fitted.total, rule)
    variance = fitted.weight_unit * fitted.noise.spread.square / (fitted.total - 1.0)
    deviation = math.sqrt(variance) if math.isfinite(variance) else math.inf
    low, high = _quantiles(fitted, (0.25, 0.75))
    spread = min(deviation, (high - low) / INNER)
    if not spread > fitted.zero_size:
        raise ValueError(
            "covariance='kernel' needs residuals that vary, but half of them are alike. Take "
            "covariance='bootstrap'."
        )
    return GaussianKernel(fitted.residual, float(ndtri(tau + h) - ndtri(tau - h)) * spread)


def fits_at(fitted: FittedRows, levels: Sequence[float]) -> tuple[list[Array], float]:
    """Coefficients and intercept at some quantiles, and their unit of y in that of the blocks."""
    model = QuantileRegressor(levels[0], fit_intercept=fitted.has_intercept)
    problem, solver = model._prepare(fitted.data)
    problem = replace(problem, rows_wanted=False)
    session, start = SOLVERS[solver].prepare(problem), _start_of(fitted, problem)
    found: dict[float, Array] = {}
    for level in sorted(set(levels)):  # neighbours start from each other
        own = problem.with_loss(Quantile(level))
        fit = session.fit(own, start=start, max_iter=model.max_iter, tol=model.tol)
        if not fit.converged:
            warnings.warn(
                f"The fit at the quantile {level:g}, which covariance='nid' compares with another "
                f"one, did not converge: {fit.message}",
                ConvergenceWarning,
                stacklevel=levels_to_the_user(),
            )
        start = fit.start
        found[level] = np.append(fit.coef, fit.intercept)
        del fit  # before there is the next
    return [found[level] for level in levels], problem.y_unit / fitted.y_unit


def _start_of(fitted: FittedRows, problem: Problem) -> Coefficients:
    """The fit that is there, in a problem's units."""
    rows, point, unit = fitted.rows, fitted.point, fitted.y_unit / problem.y_unit
    own = point.intercept - float(point.beta @ rows.origin) if rows.fit_intercept else 0.0
    return Coefficients(point.beta / rows.unit * unit, own * unit, point.sigma * unit)


def _quantiles(fitted: FittedRows, levels: Sequence[float]) -> list[float]:
    """Quantiles of the residuals, between the two next to ``(W - 1) level``."""
    total = fitted.total
    at = np.maximum((total - 1.0) * np.asarray(levels), 0.0)
    slack = SUMMED * total
    below = np.floor(at + slack)
    ranks = (np.concatenate([below, below + 1.0]) + slack) / fitted.weight_unit
    low, high = order_statistics(fitted.rows, fitted.residual, ranks).reshape(2, -1)
    return list(low + (at - below) * (high - low))

"""Losses of a residual as objectives of boosted trees: gradients, and Hessians that are positive.

A boosting library adds a tree at a time. It takes a gradient g and a Hessian h of every row, and
moves the predictions of a leaf by -sum g / sum h, times the learning rate: where the sum of the
parabolas with these derivatives is least.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from robustreg._arrays import TINY, Array
from robustreg._median import mad
from robustreg._numbers import as_number, real_array
from robustreg.losses._arrays import apply_weight, check_residual, check_weight
from robustreg.losses._names import get_residual_loss
from robustreg.losses._residual import ConvexLoss, ResidualLoss

FLOOR = 0.2  # of the Hessian of a gross error, in Hessians of a good row
FARTHEST = 1e300  # what is larger is cut off, so that ratios and products stay finite
LEAST_LOG = -700.0  # of a joint scale in units of the largest residual: e^-700 is a normal number


def booster_objective(loss: str | ResidualLoss, scale: float | str = "mad") -> BoosterObjective:
    """Return a loss as the ``objective`` of LightGBM's and XGBoost's scikit-learn classes.

    What the trees minimise is the sum over the rows of ``w sigma^2 rho(r / sigma)``, with r the
    residual, target minus prediction. The factor sigma^2 keeps the unit of a squared error: where
    rho is a parabola, the scale sigma does not matter.

    Parameters
    ----------
    loss : str or ResidualLoss
        A loss of a residual or its name, as `get_loss` takes it; convex or redescending.
    scale : "mad", "joint" or float, default="mad"
        The scale sigma, in which the constants of the loss are measured. A positive number, in
        y's units, stays as it is. "mad" and "joint" are estimated from the residuals of each
        round, by

        - "mad": 1.4826 times the weighted median of their sizes. More than half of the weight has
          to be good rows;
        - "joint": the root of ``sum w rho*(psi(r / sigma)) = kappa sum w``, as by
          :class:`robustreg.MRegressor`. The loss must be convex and not of homogeneity 1.

        Both estimate the standard deviation of Gaussian noise.

    Returns
    -------
    BoosterObjective
        A function ``(y_true, y_pred, sample_weight=None)`` that returns gradient and Hessian. It
        keeps nothing from one call to the next, and can be pickled, copied and cloned.

    Raises
    ------
    ValueError
        If there is no such loss, the scale is not positive, or the loss has no joint scale.
    TypeError
        If `loss` or `scale` is of another type.

    See Also
    --------
    robustreg.MRegressor : Linear models that minimise the same losses.

    Notes
    -----
    **Hessian.** With z = r / sigma, the gradient by a prediction is ``-w sigma psi(z)``, exactly.
    The Hessian is

    - ``w psi(z) / z`` for a loss without kinks. For every loss of this package it is that of a
      parabola which touches the loss at z and lies above it elsewhere, so that no leaf raises the
      sum while the scale is fixed, not even where psi' is 0 or negative;
    - ``w`` times the sum of ``J / (2 max(|z - k|, 1))`` over the kinks k of `Absolute`, `Quantile`
      and `EpsilonInsensitive`, with J the jump of psi. Their second derivative is 0, with a spike
      at k; this is the parabola above the loss from one sigma off the kink on, and that of the
      loss with rounded corners within. Within, the loss may be higher than the parabola by up to
      ``w sigma^2 J``. For a loss of the user's own max(psi', 0) is added.

    It is at least ``0.2 w`` times the Hessian at z = 0, which is 1 but for `Squared` (2),
    `SmoothL1` (1 / beta) and `Quantile` (1/2). A larger Hessian is a shorter step, and the
    parabola still lies above. Without that bound a leaf of gross errors follows them wherever they
    are, and separating them seems the best split there is. It also keeps XGBoost's
    ``min_child_weight=1`` what it is for squared errors, a leaf with one good row at least, or
    five gross errors; LightGBM's ``min_sum_hessian_in_leaf=1e-3`` is met by any row.

    With 15 480 rows of the house values in California, clean or with 10 or 20 % gross errors, and
    400 trees of LightGBM, the bound lowers the mean absolute error of `Huber` on other rows from
    44.0 (a bound of 0.01) to 34.3 thousand dollars; for `Bisquare` it is 30.0 and 30.2. Second
    derivatives where these are positive, instead of ``psi(z) / z``, get as far with a few trees
    less (`Bisquare`, 100 trees: median absolute error 19.8 in place of 20.1; 400 trees: 17.9 and
    18.0; XGBoost 18.0 and 18.3), but overstep: with 3000 rows and a learning rate of 0.3 the mean
    error of `PseudoHuber` is 84 in place of 79.

    **Start.** Custom objectives start at a prediction of 0 in LightGBM, and of 0.5 in XGBoost.
    Where the targets are far from there, the first trees do nothing but go to them, and with a
    redescending loss and a fixed scale not even that. Centre the targets: with scikit-learn's
    ``TransformedTargetRegressor(booster, transformer=RobustScaler())``, which predicts in y's units
    (a scale that is a number then counts distances of quartiles), or in XGBoost with
    ``base_score=numpy.median(y)``. What LightGBM takes as ``init_score`` is not in its predictions.

    **Scale.** With "joint" the trees and the scale descend on one function of both,
    ``sum w (sigma rho(r / sigma) + kappa sigma)``. If the scale is 0, because most of the weight
    is on rows whose residual is exactly 0, these are left out: the others say how far off they are.
    If there are no others, it does not matter and is 1. Rows that are fitted nearly exactly,
    such as a majority of equal targets, drag the MAD along and make all others gross errors: take
    a number. Take one also where several machines train together, each of which sees its own rows.

    **Weights** count as repetitions: 2 is the row twice, 0 its absence. Both libraries hand them
    to the objective and leave the multiplication to it, LightGBM from 4.0 on, XGBoost from 2.1 on.

    Early stopping should look at a metric that gross errors do not decide: ``eval_metric="mae"``.

    References
    ----------
    J. H. Friedman (2001). Greedy function approximation: a gradient boosting machine. Annals of
    Statistics 29, 1189-1232.

    D. R. Hunter, K. Lange (2000). Quantile regression via an MM algorithm. Journal of Computational
    and Graphical Statistics 9, 60-77. (Parabolas above losses with a kink.)

    Examples
    --------
    >>> from robustreg.losses import Huber, booster_objective
    >>> objective = booster_objective(Huber(2.0), scale=1.0)
    >>> gradient, hessian = objective([1.0, 4.0, 100.0], [0.0, 0.0, 0.0])
    >>> print(gradient, hessian)
    [-1. -2. -2.] [1.  0.5 0.2]

    Boosted trees that gross errors in y do not reach:

    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.preprocessing import RobustScaler
    >>> from lightgbm import LGBMRegressor  # doctest: +SKIP
    >>> model = TransformedTargetRegressor(
    ...     LGBMRegressor(objective=booster_objective("bisquare")), transformer=RobustScaler()
    ... )  # doctest: +SKIP
    """
    return BoosterObjective(get_residual_loss(loss), scale)


@dataclass(frozen=True)
class BoosterObjective:
    """A loss as an objective of boosted trees; `booster_objective` makes one and says all.

    Parameters
    ----------
    loss : ResidualLoss
        The loss.
    scale : "mad", "joint" or float, default="mad"
        Its scale.
    """

    loss: ResidualLoss
    scale: float | str = "mad"

    def __post_init__(self) -> None:
        if not isinstance(self.loss, ResidualLoss):
            raise TypeError(
                f"loss must be a ResidualLoss such as Huber(delta=2.0), got {self.loss!r}."
            )
        if self.scale == "joint":
            _check_joint(self.loss)
        elif self.scale != "mad":
            object.__setattr__(self, "scale", _positive(self.scale))

    # The libraries look at the names and the number of these parameters.
    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[Array, Array]:
        """Return gradient and Hessian of ``sum w sigma^2 rho(r / sigma)`` by the predictions.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Targets.
        y_pred : array-like of shape (n,)
            Predictions.
        sample_weight : array-like of shape (n,), default=None
            Non-negative weights with a positive sum.

        Returns
        -------
        gradient, hessian : ndarray of shape (n,), float64

        Raises
        ------
        ValueError
            If shapes differ, an array is not one-dimensional, or numbers are not finite.
        """
        r = _residuals(y_true, y_pred)
        weight = check_weight(sample_weight, r.shape, (r,))
        weight = None if weight is None else weight.astype(np.float64)
        sigma = self._scale_of(r, weight)
        with np.errstate(all="ignore"):
            z = np.clip(r / sigma, -FARTHEST, FARTHEST)
            gradient = -sigma * self.loss.psi(z)
            return apply_weight(gradient, weight), apply_weight(_hessian(self.loss, z), weight)

    def _scale_of(self, r: Array, weight: Array | None) -> float:
        if not isinstance(self.scale, str):
            return self.scale
        scale = self._estimate(r, weight)
        if scale == 0.0:
            off = r != 0.0 if weight is None else (r != 0.0) & (weight > 0.0)
            if not off.any():
                return 1.0
            scale = self._estimate(r[off], None if weight is None else weight[off])
        return max(scale, TINY)

    def _estimate(self, r: Array, weight: Array | None) -> float:
        if self.scale == "mad":
            return mad(r, weight, center=0.0)
        assert isinstance(self.loss, ConvexLoss)  # see _check_joint; for the type checker
        return _joint_scale(self.loss, r, weight)


def _check_joint(loss: ResidualLoss) -> None:
    if not isinstance(loss, ConvexLoss):
        reason = "which is not convex"
    elif loss.homogeneity == 1:
        reason = "of which no scale is better than another: sigma rho(r / sigma) is the same at all"
    else:
        return
    raise ValueError(
        f"scale='joint' is not possible with {loss!r}, {reason}. Take 'mad' or a positive number."
    )


def _positive(scale: object) -> float:
    """Return a scale that the user has given as a number."""
    number = as_number(scale)
    if 0.0 < number < math.inf:
        return number
    error = ValueError if isinstance(scale, str) or not math.isnan(number) else TypeError
    raise error(f"scale must be 'mad', 'joint' or a positive finite number, got {scale!r}.")


def _residuals(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """Return residuals in float64; the libraries hold targets in single precision."""
    target = real_array(y_true, "y_true").astype(np.float64, copy=False)
    prediction = real_array(y_pred, "y_pred").astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        r = check_residual(target, prediction)
    if r.ndim != 1:
        raise ValueError(
            f"y_true and y_pred must be one-dimensional, got shape {r.shape}: an objective has one "
            "output."
        )
    return np.clip(r, -FARTHEST, FARTHEST)


def _hessian(loss: ResidualLoss, z: Array) -> Array:
    """Return the curvatures of parabolas above rho, see `booster_objective`."""
    centre = max(float(loss.psi_prime(0.0)), 0.0)
    if loss.smoothness > 0:
        return np.maximum(loss.weights(z), FLOOR * centre)
    curvature = np.maximum(loss.psi_prime(z), 0.0)
    for kink in loss.kinks():
        below, above = loss.psi(np.nextafter(kink, [-np.inf, np.inf]))
        half = 0.5 * max(float(above - below), 0.0)  # below a downward corner is a straight line
        curvature = curvature + half / np.maximum(np.abs(z - kink), 1.0)
        centre += half
    return np.maximum(curvature, FLOOR * centre)


def _joint_scale(loss: ConvexLoss, r: Array, weight: Array | None) -> float:
    """Return the root sigma of the equation for a joint scale, whose left side falls in sigma.

    It is 0 where the rows other than 0 are too few for any.
    """
    largest = float(np.abs(r).max())
    if largest == 0.0:
        return 0.0
    z = r / largest

    def excess(log_scale: float) -> float:
        """From -1 to 1, and linear in the logarithm of the left side near the root."""
        with np.errstate(all="ignore"):
            terms = loss.conjugate_of_psi(z * math.exp(-log_scale))
            left = min(float(np.average(terms, weights=weight)), FARTHEST)
        return (left - loss.kappa) / (left + loss.kappa)

    low = high = 0.0
    step = 1.0
    while excess(high) > 0.0:
        low, high, step = high, high + step, 2.0 * step
    step = 1.0
    while excess(low) <= 0.0:
        if low == LEAST_LOG:
            return 0.0
        high, low, step = low, max(low - step, LEAST_LOG), 2.0 * step
    return largest * math.exp(brentq(excess, low, high, xtol=1e-12))

"""The objective of docs/design.md section 1, and the one pass over X that evaluates it.

This is the only place that knows the intercept, the weights, the averaging and the scale.
Parameters are packed as ``theta = [u, b, sigma]``: coordinates ``u`` of the coefficients
(``beta = T u``), the intercept ``b`` at the columns' centre where one is fitted, and the
scale where it is estimated jointly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from robustreg._arrays import EPS, Array
from robustreg._cached import cached_property
from robustreg.evaluation.along import SlopeAlong
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.coordinates import LEAST_PULL, Coordinates
from robustreg.evaluation.evaluated import SAME_HESSIAN, SAME_LONG, Curvature, Evaluation
from robustreg.evaluation.moments import TargetMoments
from robustreg.evaluation.penalised import half_norm_hessian, kinks_of, slope_of
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import (
    Bend,
    Brought,
    Evaluate,
    FirstSums,
    Keeping,
    Point,
    Residual,
    Sums,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import NonSmooth, Penalty


@dataclass(frozen=True)
class Objective:
    """F, its gradient and its generalised Hessian as functions of ``theta``.

    Attributes
    ----------
    coordinates : Coordinates
        Those of the coefficients, which hold the rows.
    cross : TargetMoments or None
        The moments of the targets, of which least squares are made.
    loss : ConvexLoss
        A convex loss; its gradient is one where it is smooth, its residuals and slopes serve all.
    scale : float or None
        The fixed scale, or None to estimate it jointly.
    penalty : Penalty
        Penalty of the coefficients of X, which are those of the blocks over ``rows.unit``.
    rounding : float
        Differences of F up to here are rounding: a unit in the last place of the spread of y.
    precise : bool
        Take residuals and the gradient's sums over (dense) rows in twice the working precision.
    """

    coordinates: Coordinates
    cross: TargetMoments | None
    loss: ConvexLoss
    scale: float | None
    penalty: Penalty
    rounding: float
    precise: bool
    #: Whether the scale is a variable.
    joint: bool = field(init=False)
    #: The rows, read in blocks.
    rows: RowBlocks = field(init=False)
    #: Coordinates of the coefficients, variables before the scale, and all variables.
    k: int = field(init=False)
    lead: int = field(init=False)
    size: int = field(init=False)
    #: What F has of the scale itself, per unit.
    kappa: float = field(init=False)

    def __post_init__(self) -> None:
        own, joint = self.coordinates, self.scale is None
        lead = own.k + int(own.rows.fit_intercept)
        # once, since small tables take no longer than a few hundred such looks
        derived = {
            "joint": joint,
            "rows": own.rows,
            "k": own.k,
            "lead": lead,
            "size": lead + int(joint),
            "kappa": self.loss.kappa if joint else 0.0,
        }
        self.__dict__.update(derived)

    @cached_property
    def kinks(self) -> NonSmooth | None:
        """Where coordinates are single columns, the part of F that has no gradient."""
        own = self.coordinates
        return None if own.mixed else kinks_of(self.penalty, self.rows, own.basis, self.size)

    def at_scale(self, scale: float) -> Objective:
        """The same at another fixed scale."""
        return replace(self, scale=scale)

    def of(self, loss: ConvexLoss, penalty: Penalty) -> Objective:
        """The same rows in the same coordinates, with another loss and penalty."""
        scale, rounding, precise = self.scale, self.rounding, self.precise
        return Objective(self.coordinates, self.cross, loss, scale, penalty, rounding, precise)

    # --- points

    def unpack(self, theta: Array) -> tuple[Array, float, float]:
        """Coefficients in the blocks' units, intercept at the centre, and scale."""
        beta = self.coordinates.expand(theta[: self.k])
        intercept = float(theta[self.k]) if self.rows.fit_intercept else 0.0
        return beta, intercept, self.scale_at(theta)

    def scale_at(self, theta: Array) -> float:
        """The scale alone."""
        return float(theta[-1]) if self.scale is None else self.scale

    def pack(self, start: Coefficients) -> Array:
        """``theta`` of coefficients; those out of range of the coordinates are dropped."""
        u = self.coordinates.of(start.coef)
        theta = np.empty((*u.shape[:-1], self.size))
        theta[..., : self.k] = u
        if self.rows.fit_intercept:
            theta[..., self.k] = start.intercept + self.coordinates.expand(u) @ self.rows.origin
        if self.joint:
            theta[..., -1] = start.sigma
        return theta

    def carry(self, coef: Array, intercept: float, rows: RowBlocks) -> Array:
        """``[u, b]`` of coefficients, the intercept at the centre of other blocks of the same X.

        By way of the intercept at X = 0 digits would be lost of columns far from there.
        Coefficients out of range are dropped.
        """
        coef = np.where(np.isfinite(coef), coef, 0.0)
        theta = self.pack(Coefficients(coef, 0.0, 1.0))[: self.lead]
        if self.rows.fit_intercept:
            theta[-1] = intercept + coef @ self.rows.centre_from(rows)
        return theta

    def found(self, theta: Array) -> Coefficients:
        """The inverse of ``pack``."""
        return self.coordinates.in_columns(*self.unpack(theta), self.rounding)

    def least_squares(self) -> Array:
        """``[u, b]`` of the least-squares fit, ridge included; 0 without moments."""
        u: Array = np.zeros(self.k)
        intercept = 0.0
        if self.cross is not None:
            u = self.coordinates.reduce(self.cross.cross) / self.rows.total
            intercept = self.cross.mean
        return np.append(u, intercept) if self.rows.fit_intercept else u

    def penalised_least_squares(self, sigma: float) -> Array:
        """``[u, b]`` of the same in separable coordinates: the loss at sigma is its parabola."""
        own, total = self.coordinates, self.rows.total
        assert own.moments is not None
        assert self.cross is not None
        assert self.kinks is not None
        k, bound = self.k, self.loss.curvature / (sigma * total)
        scaled = own.basis[:, None] * own.moments.gram[:k, :k] * own.basis
        hessian = bound * (scaled + LEAST_PULL * total * np.eye(k)) + self.penalty_hessian
        slope = -bound * own.basis * self.cross.cross
        u = self.kinks.lead(k).step(hessian, slope, np.zeros(k))
        u = np.zeros(k) if u is None else u
        return np.append(u, self.cross.mean) if self.rows.fit_intercept else u

    # --- values and derivatives

    def evaluate(
        self, theta: Array, before: Curvature | None = None, keep: bool = False
    ) -> Evaluation:
        """F and its gradient at ``theta``: one pass over X.

        With the curvature of another point, if it is not so close that it serves here, too, the
        Gram matrix is brought to this one in the same pass. Residuals of rows in memory may be
        kept: whoever takes this for the last evaluation saves a pass.
        """
        theta = theta.copy()
        beta, intercept, sigma = self.unpack(theta)
        near = SAME_HESSIAN if self.rows.one_block else SAME_LONG
        moves = before is not None and not before.is_near(theta, sigma, near)
        point = Point(beta, intercept, sigma)
        brought = None
        if before is not None and moves:
            basis, one_block = self.coordinates.gram_basis, self.rows.one_block
            brought = Brought(before.bend, basis, before.single, one_block)
        job = Evaluate(self.loss, point, self.joint, self.precise, brought)
        keep = keep and self.rows.source.in_memory
        residual, sums = self._kept(job) if keep else (None, self.rows.sum(job))
        curvature = before
        if before is not None and sums.curved is not None:
            new = sums.curved
            curvature = Curvature(
                gram=before.gram if new.gram is None else before.gram + new.gram,
                bend=Bend(self.loss, point, known=new.bend),
                single=before.single,
                theta=theta,
                sigma=sigma,
                curve_z=new.curve_z,
                curve_zz=new.curve_zz,
            )
        value = self.loss_value(sums, sigma)
        if not self.penalty.is_none:
            value += self.penalty.value(self.rows.coefficients(beta))
        gradient = self.gradient_from(sums, self.penalty_slope(beta))
        return Evaluation(theta, sums, value, gradient, curvature, residual)

    def _kept(self, job: Evaluate) -> tuple[Array, Sums]:
        """The sums of a job, and the residuals that it makes on the way."""
        residual = np.empty(self.rows.n)
        sums: Sums = self.rows.sum(Keeping(job, residual))
        return residual, sums

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """F and its gradient, without the penalty's kinks."""
        here = self.evaluate(theta)
        return here.value, here.gradient

    def rms_psi(self, sums: FirstSums) -> Any:
        """Root mean square of psi."""
        return np.sqrt(sums.psi_psi / self.rows.total)

    def loss_value(self, sums: FirstSums, sigma: Any) -> Any:
        """F without its penalty, from the sums at one point or at several."""
        return sigma * ((sums.psi_z - sums.conjugate) / self.rows.total + self.kappa)

    def gradient_from(self, sums: FirstSums, penalty_slope: Array) -> Array:
        """The gradient, from the sums and the penalty's slopes at one point or at several."""
        total = self.rows.total
        gradient = np.empty((*penalty_slope.shape[:-1], self.size))
        gradient[..., : self.k] = self.coordinates.reduce(penalty_slope - sums.psi_a / total)
        if self.rows.fit_intercept:
            gradient[..., self.k] = -sums.psi / total
        if self.joint:
            gradient[..., -1] = self.kappa - sums.conjugate / total
        return gradient

    def residual_at(self, theta: Array) -> Residual:
        """What gives ``y`` minus the prediction at ``theta`` for the rows of a block."""
        beta, intercept, _ = self.unpack(theta)
        return Residual(beta, intercept, self.precise)

    def residuals(self, theta: Array) -> Array:
        """The same for every row."""
        return self.rows.collect(self.residual_at(theta))

    def residuals_of_some(self, theta: Array, step: int) -> tuple[Array, Array | None]:
        """The residuals of every ``step``-th row, and their weights."""
        block = self.rows.every(step)
        return self.residual_at(theta)(block), block.weight

    def imbalance(self, theta: Array, nu: Array) -> Array:
        """Slopes of nu less those of the penalty, in the coordinates ``[u, b]`` of theta."""
        slope, mean = self.coordinates.slopes(nu)
        excess = self.coordinates.reduce(slope - self.penalty_slope(self.unpack(theta)[0]))
        return np.append(excess, mean) if self.rows.fit_intercept else excess

    def change_by(self, step: Array) -> Point:
        """What a step adds to coefficients, intercept and scale."""
        beta, intercept, dsigma = self.unpack(step)
        return Point(beta, intercept, dsigma if self.joint else 0.0)

    def slope_along(self, theta: Array, step: Array) -> Callable[[float], float]:
        """The slope of ``t -> F(theta + t step)``: a pass over X for every t."""
        point, change = Point(*self.unpack(theta)), self.change_by(step)

        def slope(t: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):  # as in the sums
                along, conjugate = self.rows.sum(SlopeAlong(self.loss, point, change, t))
                value = -float(along) / self.rows.total
                value += float(self.penalty_slope(point.beta + t * change.beta) @ change.beta)
                if change.sigma:
                    value += change.sigma * (self.kappa - float(conjugate) / self.rows.total)
            return value

        return slope

    def penalty_slope(self, beta: Array) -> Array:
        """Gradient of the penalty's quadratic part by the blocks' coefficients."""
        return slope_of(self.penalty, self.rows, beta)

    @cached_property
    def penalty_hessian(self) -> Array:
        """Second derivative of the penalty in the coordinates u."""
        return half_norm_hessian(self.rows, self.coordinates.basis, self.penalty.root_curvature)

    def hessian_of_half_norm(self) -> Array:
        """The same of half the squared norm of the coefficients."""
        return half_norm_hessian(self.rows, self.coordinates.basis)


def make_objective(problem: Problem, chosen: Chosen, precise: bool = False) -> Objective:
    """The problem's objective in coordinates that were chosen for it."""
    coordinates, cross = chosen
    return Objective(
        coordinates,
        cross,
        problem.loss,
        problem.scale,
        problem.penalty,
        rounding=EPS * problem.spread,
        precise=precise,
    )

"""The objective of docs/design.md section 1, and the one pass over X that evaluates it.

This is the only place that knows the intercept, the weights, the averaging and the scale.
Parameters are packed as ``theta = [u, b, sigma]``: coordinates ``u`` of the coefficients
(``beta = T u``), the intercept ``b`` at the columns' centre where one is fitted, and the
scale where it is estimated jointly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from robustreg._arrays import Array
from robustreg._linalg.factors import least_pivot, length
from robustreg.evaluation.design import Design
from robustreg.evaluation.moments import Moments
from robustreg.evaluation.penalised import half_norm_hessian, kinks_of, slope_of
from robustreg.evaluation.reading import RowBlocks
from robustreg.evaluation.sums import (
    Block,
    FirstSums,
    Held,
    Kind,
    Point,
    Sums,
    block_sums,
    write_residual,
)
from robustreg.losses import ConvexLoss
from robustreg.penalties import NonSmooth, Penalty

# A Hessian serves as well for points this close to its own (in scales, whitened coordinates):
# the steps from there on gain four digits or so each, and save a third of their cost.
SAME_HESSIAN = 1e-5
# A Gram matrix in single precision will do while this share of it is left in all directions.
LEAST_LEFT = 1e-2


class Objective(Design):
    """F, its gradient and its generalised Hessian as functions of ``theta``.

    Parameters
    ----------
    rows : RowBlocks
        The regressors.
    y : ndarray of shape (n,)
        Targets.
    loss : ConvexLoss
        A convex loss; its gradient is one where it is smooth, its residuals and slopes serve all.
    scale : float or None
        The fixed scale, or None to estimate it jointly.
    penalty : Penalty
        Penalty of the coefficients of X, which are those of the blocks over ``rows.unit``.
    basis : ndarray of shape (p, k) or (p,)
        Coordinates ``beta = basis u``, in the units of the blocks; a vector is a diagonal.
    moments : Moments or None
        With them curvature is available: they are the Gram matrix at psi' = 1.
    whitened_gram : bool
        Accumulate Gram matrices in the coordinates u, for ill-conditioned X.
    single : bool
        The moments are in single precision. Once rows with psi' = 0 have taken most of the
        curvature in some direction, the Gram matrix is summed anew in double precision.
    rounding : float
        Differences of F up to here are rounding: a unit in the last place of the spread of y.
    precise : bool
        Take residuals and the gradient's sums over (dense) rows in twice the working precision.

    Attributes
    ----------
    residual : ndarray of shape (n,)
        Residuals at the theta evaluated last.
    kinks : NonSmooth or None
        Where coordinates are single columns, the part of F that has no gradient.
    """

    def __init__(
        self,
        rows: RowBlocks,
        y: Array,
        loss: ConvexLoss,
        scale: float | None,
        penalty: Penalty,
        basis: Array,
        moments: Moments | None = None,
        whitened_gram: bool = False,
        single: bool = False,
        rounding: float = 0.0,
        precise: bool = False,
    ) -> None:
        super().__init__(rows, basis, moments, whitened_gram)
        self.y, self.loss, self.penalty = y, loss, penalty
        self.joint = scale is None
        self.scale = math.nan if scale is None else scale
        self.kappa = loss.kappa if self.joint else 0.0
        self.size = self.k + rows.fit_intercept + self.joint
        self.residual = np.empty(rows.n)
        self.rounding, self.precise = rounding, precise
        self.kinks: NonSmooth | None = kinks_of(self.penalty, self.rows, self.basis, self.size)
        self._pull: Array | None = None  # the penalty's Hessian
        self.sums: Sums
        self._theta: bytes | None = None  # of the last evaluation; bytes are compared fastest
        self._answer: tuple[float, Array] | None = None
        self._place: Array | None = None  # [u, b] that self.residual belongs to, if any
        self._hessian_theta: Array = np.full(self.size, np.inf)
        self._curvature: Array | None = None
        self._single = single
        if moments is not None:
            self._start_gram(moments)

    def _start_gram(self, moments: Moments) -> None:
        """The Gram matrix of all rows at psi' = 1, from which refreshing starts."""
        self._curvature = np.ones(self.rows.n)
        self._gram = moments.gram.copy()
        if self._gram_basis is not None:
            # that matrix has lost its digits where this basis is needed: start from nothing.
            self._curvature[:] = 0.0
            self._gram = np.zeros((self.k + 1, self.k + 1))

    def unpack(self, theta: Array) -> tuple[Array, float, float]:
        """Coefficients in the blocks' units, intercept at the centre, and scale."""
        beta = self.expand(theta[: self.k])
        intercept = float(theta[self.k]) if self.rows.fit_intercept else 0.0
        return beta, intercept, self.scale_at(theta)

    def scale_at(self, theta: Array) -> float:
        """The scale alone."""
        return float(theta[-1]) if self.joint else self.scale

    def without_curvature(self) -> Objective:
        """The same function for solvers that need no Hessian, at half the cost."""
        return Objective(
            self.rows,
            self.y,
            self.loss,
            None if self.joint else self.scale,
            self.penalty,
            self.basis,
            rounding=self.rounding,
        )

    def take_residual(self, residual: Array) -> None:
        """Hold the residuals of a theta that was not evaluated, and remember no other."""
        self.residual, self._theta, self._place = residual, None, None

    def locate(self, theta: Array) -> Array:
        """The residuals at ``theta``, held for an evaluation there at any scale."""
        self.take_residual(self.residuals(theta))
        self._place = self._location(theta)
        return self.residual

    def _location(self, theta: Array) -> Array:
        return theta[: self.k + self.rows.fit_intercept].copy()

    def _near_hessian(self, theta: Array, sigma: float) -> bool:
        return length(theta - self._hessian_theta) < SAME_HESSIAN * sigma  # False for infinity

    def set_scale(self, scale: float) -> None:
        """Change the fixed scale (for continuation); the stored curvature stays valid."""
        self.scale = scale
        self._forget()

    def set_loss_and_penalty(self, loss: ConvexLoss, penalty: Penalty) -> None:
        """Change loss and penalty; the stored curvature stays valid."""
        self.loss, self.penalty = loss, penalty
        self.kappa = loss.kappa if self.joint else 0.0
        self.kinks, self._pull = kinks_of(self.penalty, self.rows, self.basis, self.size), None
        self._forget()

    def _forget(self) -> None:
        self._theta = None
        self._hessian_theta = np.full(self.size, np.inf)

    def evaluate(self, theta: Array) -> Sums:
        """One pass over X at ``theta``; remembered until ``theta`` changes."""
        if theta.tobytes() == self._theta:
            return self.sums
        beta, intercept, sigma = self.unpack(theta)
        place = self._location(theta)
        known = self._place is not None and bool((place == self._place).all())
        self._place = None  # until the residuals of all blocks are there
        curvature = None if self._near_hessian(theta, sigma) else self._curvature
        point = Point(beta, intercept, sigma)
        kind = Kind(self.loss, self._gram_basis, self.joint, self.precise)

        def sums_of(part: slice) -> Sums:
            curve = None if curvature is None else curvature[part]
            held = Held(self.residual[part], known, curve)
            return block_sums(kind, self.block(part), point, held)

        def work(chunk: list[slice]) -> Sums:
            return sum((sums_of(part) for part in chunk[1:]), start=sums_of(chunk[0]))

        parts: list[Sums] = self.rows.walk(work)
        self.sums = sum(parts[1:], start=parts[0])
        if curvature is not None:
            if self.sums.gram is not None:
                self._gram += self.sums.gram
            self._hessian_sums, self._hessian_theta = self.sums, theta.copy()
        self._theta, self._place, self._answer = theta.tobytes(), place, None
        return self.sums

    def block(self, part: slice) -> Block:
        """Some of the rows, as they are read."""
        rows = self.rows
        return Block(rows, rows.read(part), self.y[part], rows.weights(part))

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """F and its gradient, without the penalty's kinks."""
        sums = self.evaluate(theta)
        if self._answer is not None:
            return self._answer
        beta, _, sigma = self.unpack(theta)
        value = self.loss_value(sums, sigma)
        if not self.penalty.is_none:
            value += self.penalty.value(self.rows.coefficients(beta))
        self._answer = value, self.gradient_from(sums, self.penalty_slope(beta))
        return self._answer

    def rms_psi(self) -> float:
        """Root mean square of psi at the theta evaluated last."""
        return math.sqrt(self.sums.psi_psi / self.rows.total)

    def loss_value(self, sums: FirstSums, sigma: Any) -> Any:
        """F without its penalty, from the sums at one point or at several."""
        return sigma * ((sums.psi_z - sums.conjugate) / self.rows.total + self.kappa)

    def gradient_from(self, sums: FirstSums, penalty_slope: Array) -> Array:
        """The gradient, from the sums and the penalty's slopes at one point or at several."""
        total = self.rows.total
        gradient = np.empty((*penalty_slope.shape[:-1], self.size))
        gradient[..., : self.k] = self.reduce(penalty_slope - sums.psi_a / total)
        if self.rows.fit_intercept:
            gradient[..., self.k] = -sums.psi / total
        if self.joint:
            gradient[..., -1] = self.kappa - sums.conjugate / total
        return gradient

    def hessian(self, theta: Array) -> Array | LinearOperator:
        """Generalised Hessian, ``sum w psi' [x, 1, z][x, 1, z]' / (W sigma) + penalty``.

        A LinearOperator, with two passes over X for a product, where there are no moments.
        """
        if self._curvature is None:
            return self._hessian_operator(theta)
        self.evaluate(theta)
        sums, sigma = self._hessian_sums, self.scale_at(self._hessian_theta)
        gram = self._in_coordinates(self._gram)
        if self._single and least_pivot(gram) < LEAST_LEFT * self.rows.total:
            self._single, self._gram = False, self._sum_gram(self._curvature)
            gram = self._in_coordinates(self._gram)
        lead = self.k + self.rows.fit_intercept
        hessian = np.empty((self.size, self.size))
        hessian[:lead, :lead] = gram[:lead, :lead]
        if self.joint:
            hessian[: self.k, -1] = self.reduce(sums.curve_z[:-1])
            hessian[self.k : lead, -1] = sums.curve_z[-1]
            hessian[-1, :-1] = hessian[:-1, -1]
            hessian[-1, -1] = sums.curve_zz
        with np.errstate(over="ignore"):  # solvers refuse to factor what is not finite
            hessian /= self.rows.total * sigma
        if self.penalty.root_curvature:
            if self._pull is None:
                self._pull = self.penalty_hessian()
            hessian[: self.k, : self.k] += self._pull
        return hessian

    def residuals(self, theta: Array) -> Array:
        """``y`` minus the prediction at ``theta``."""
        beta, intercept, _ = self.unpack(theta)
        out = np.empty(self.rows.n)

        def work(chunk: list[slice]) -> None:
            for part in chunk:
                write_residual(self.block(part), beta, intercept, out[part], self.precise)

        self.rows.walk(work)
        return out

    def imbalance(self, theta: Array, nu: Array) -> Array:
        """Slopes of nu less those of the penalty, in the coordinates ``[u, b]`` of theta."""
        slope, mean = self.slopes(nu)
        excess = self.reduce(slope - self.penalty_slope(self.unpack(theta)[0]))
        return np.append(excess, mean) if self.rows.fit_intercept else excess

    def _hessian_operator(self, theta: Array) -> LinearOperator:
        self.evaluate(theta)
        sigma = self.unpack(theta)[2]
        z, curvature = self.residual / sigma, self.curvature_weights(theta)

        def times(vector: Array) -> Array:
            beta, intercept, dsigma = self.unpack(vector.ravel())
            change = self.fitted(beta, intercept)
            if self.joint:
                change += dsigma * z
            change *= curvature / sigma
            slope, mean = self.slopes(change)
            out = np.empty(self.size)
            out[: self.k] = self.reduce(slope + self.penalty_slope(beta))
            if self.rows.fit_intercept:
                out[self.k] = mean
            if self.joint:
                out[-1] = self.average(change * z)
            return out

        return LinearOperator((self.size, self.size), matvec=times, dtype=np.float64)

    def curvature_weights(self, theta: Array) -> Array:
        """The psi' of every row that ``hessian(theta)`` holds."""
        self.evaluate(theta)
        if self._curvature is not None:
            return self._curvature
        return self.loss.psi_prime(self.residual / self.unpack(theta)[2])

    def slope_along(self, theta: Array, step: Array) -> Callable[[float], float]:
        """The slope of ``t -> F(theta + t step)``: two passes over X, then none."""
        beta, _, sigma = self.unpack(theta)
        change, intercept, dsigma = self.unpack(step)
        dsigma = dsigma if self.joint else 0.0
        residual, dresidual = self.residuals(theta), self.fitted(change, intercept)

        def slope(t: float) -> float:
            scale = sigma + t * dsigma
            # of a step so long that numbers overflow the slope is no number, and not below 0
            with np.errstate(over="ignore", invalid="ignore"):
                z = (residual - t * dresidual) / scale
                psi = self.loss.psi(z)
                value = -self.average(psi * dresidual)
                value += float(self.penalty_slope(beta + t * change) @ change)
                if dsigma:
                    value += dsigma * (self.kappa - self.average(self.loss.conjugate_of_psi(z)))
            return value

        return slope

    def penalty_slope(self, beta: Array) -> Array:
        """Gradient of the penalty's quadratic part by the blocks' coefficients."""
        return slope_of(self.penalty, self.rows, beta)

    def penalty_hessian(self) -> Array:
        """Second derivative of the penalty in the coordinates u."""
        return half_norm_hessian(self.rows, self.basis, self.penalty.root_curvature)

    def hessian_of_half_norm(self) -> Array:
        """The same of half the squared norm of the coefficients."""
        return half_norm_hessian(self.rows, self.basis)

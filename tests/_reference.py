"""The objective of the design, and its minimum, by other means than the package's.

Nothing here imports the numerical core: losses are written out again, everything is dense, and
the minimisation is a damped Newton method of its own, or HiGHS for absolute deviations; under an
L1 norm L-BFGS-B guesses the signs. A test that compares with this module therefore compares two
derivations of the same formulas.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from _reference_formulas import (
    EPS,
    formulas,
    kappa,
    mad,
    median,
    spread_of_y,
    steepest,
)
from _reference_kinks import kinked_deviations, kinked_minimum
from _reference_newton import smooth_minimum
from scipy.optimize import linprog

__all__ = ["EPS", "Reference", "kappa", "mad", "median", "spread_of_y"]


@dataclass
class Reference:
    """F of the design's section 1 for one problem, and its minimum.

    ``scale`` is the fixed scale or "joint". Columns must not be too badly scaled: the
    minimisation works on standardised columns, but in plain floating point.
    """

    X: np.ndarray
    y: np.ndarray
    loss: object
    weight: np.ndarray = None
    scale: object = "joint"
    alpha: float = 0.0
    fit_intercept: bool = True
    l1_ratio: float = 0.0
    positive: bool = False
    unit: float = field(init=False)

    def __post_init__(self):
        weight = np.ones(len(self.y)) if self.weight is None else np.asarray(self.weight, float)
        kept = weight > 0
        X = self.X.toarray() if hasattr(self.X, "toarray") else np.asarray(self.X, float)
        self.X, self.y, self.weight = X[kept], np.asarray(self.y, float)[kept], weight[kept]
        self.share = self.weight / self.weight.sum()
        self.joint = self.scale == "joint"
        self.l1, self.ridge = self.alpha * self.l1_ratio, self.alpha * (1 - self.l1_ratio)
        self.bent = self.positive or self.l1 > 0
        self.rho, self.psi, self.psi_prime = formulas(self.loss)
        self.kappa = kappa(self.loss) if self.joint else 0.0
        name = type(self.loss).__name__
        if self.joint or name == "Absolute":
            self.unit = spread_of_y(self.y, self.weight, self.fit_intercept) or 1.0
        else:
            self.unit = self.scale

    def residual(self, coef, intercept=0.0):
        return self.y - self.X @ np.asarray(coef, float) - intercept

    def value(self, coef, intercept, sigma):
        """F; ``sigma`` = 0 is the limit, ``sup |psi| mean |r|``."""
        r = self.residual(coef, intercept)
        penalty = self.ridge / 2 * float(np.dot(coef, coef)) / self.unit
        penalty += self.l1 * float(np.abs(coef).sum())
        if self.positive and np.min(coef) < 0:
            return np.inf
        if type(self.loss).__name__ == "Absolute":
            return float(self.share @ np.abs(r)) + penalty
        if sigma == 0 and np.isinf(steepest(self.loss)):
            return penalty if np.abs(r).max() <= 1e-12 * np.abs(self.y).max() else np.inf
        if sigma == 0:
            return steepest(self.loss) * float(self.share @ np.abs(r)) + penalty
        return float(sigma * (self.share @ self.rho(r / sigma)) + self.kappa * sigma) + penalty

    def value_of(self, model):
        """F at a fitted estimator, from its public attributes alone."""
        sigma = model.scale_ if self.joint else self.scale
        return self.value(model.coef_, model.intercept_, sigma)

    def excess(self, coef, intercept, sigma):
        """The subgradient by the coefficients that is closest to 0, in the columns' spreads."""
        psi = self.psi(self.residual(coef, intercept) / sigma)
        X = self.X - (self.share @ self.X if self.fit_intercept else 0.0)
        slope = self.ridge * coef / self.unit - (self.share * psi) @ X
        at_zero = np.sign(slope) * np.maximum(np.abs(slope) - self.l1, 0.0)
        if self.positive:
            at_zero = np.minimum(slope + self.l1, 0.0)
        slope = slope + self.l1 * np.sign(coef)
        return np.where((coef == 0) & self.bent, at_zero, slope) * self.standardised()[2]

    def null_value(self):
        """F without regressors, at robust location and scale."""
        center = median(self.y, self.weight) if self.fit_intercept else 0.0
        if type(self.loss).__name__ in ("Squared", "HalfSquared") and self.fit_intercept:
            center = float(self.share @ self.y)
        sigma = self.scale
        if self.joint:
            sigma = spread_of_y(self.y, self.weight, self.fit_intercept)
        return self.value(np.zeros(self.X.shape[1]), center, sigma)

    def minimum(self):
        """The least F known: coefficients, intercept, sigma, F.

        F is convex: with a minimum at a scale well above 0 there is nothing lower at 0.
        """
        if type(self.loss).__name__ == "Absolute":
            return self.absolute_deviations()
        found = self.smooth()
        if not self.kinked or found[2] > 0.01 * self.unit:
            return found
        return min(found, self.absolute_deviations(), key=lambda found: found[-1])

    @property
    def kinked(self):
        """Whether the optimum may be one of absolute deviations (at scale 0)."""
        bounded = np.isfinite(steepest(self.loss))
        return (self.joint and bool(bounded)) or type(self.loss).__name__ == "Absolute"

    def standardised(self):
        """Columns in units of their spread, and the matrix that brings coefficients back."""
        center = self.share @ self.X if self.fit_intercept else np.zeros(self.X.shape[1])
        spread = np.sqrt(self.share @ (self.X - center) ** 2)
        spread[np.ptp(self.X, axis=0) == 0 if self.fit_intercept else spread == 0] = 0.0
        back = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        return (self.X - center) * back, center, back

    def smooth(self):
        """Minimum over smooth losses."""
        found = (kinked_minimum if self.bent else smooth_minimum)(self)
        return *found, self.value(*found)

    def absolute_deviations(self):
        """Least absolute deviations; with a ridge, as the limit of Huber losses."""
        bound = steepest(self.loss)
        if self.ridge:
            coef, intercept = self._ridge_deviations(bound)
        elif self.bent:
            coef, intercept = kinked_deviations(self)
        else:
            coef, intercept = self._linear_programme()
        return coef, intercept, 0.0, self.value(coef, intercept, 0.0)

    def _linear_programme(self):
        Z, center, back = self.standardised()
        lead = int(self.fit_intercept)
        design = np.hstack([Z, np.ones((len(Z), lead))])
        n, k = design.shape
        unit = float(np.max(np.abs(self.y))) or 1.0
        solution = linprog(
            np.concatenate([np.zeros(k), self.share, self.share]),
            A_eq=np.hstack([design, np.eye(n), -np.eye(n)]),
            b_eq=self.y / unit,
            bounds=[(None, None)] * k + [(0, None)] * (2 * n),
            method="highs-ds",
        )
        theta = solution.x[:k] * unit
        # HiGHS stops at 1e-7: pass through the basic rows exactly
        near = np.argsort(np.abs(self.y - design @ theta))[: np.linalg.matrix_rank(design)]
        step = np.linalg.lstsq(design[near], (self.y - design @ theta)[near], rcond=1e-10)[0]
        choices = [theta, theta + step]
        theta = min(choices, key=lambda t: self.share @ np.abs(self.y - design @ t))
        coef = back * theta[: Z.shape[1]]
        return coef, float(theta[-1] - center @ coef) if lead else 0.0

    def _ridge_deviations(self, bound):
        """Huber's loss with a tiny fixed scale is bound |r| up to half that scale."""
        from robustreg.losses import Huber  # a container of delta here, nothing else

        scale = 1e-11 * max(
            float(self.share @ np.abs(self.y - median(self.y, self.weight))), 1e-300
        )
        limit = replace(self, loss=Huber(bound), scale=scale)
        limit.unit = self.unit
        coef, intercept, _, _ = limit.smooth()
        return coef, intercept

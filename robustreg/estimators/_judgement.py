"""How a fit judges rows, those that it was fitted to and new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.extmath import safe_sparse_dot

from robustreg._arrays import Array, Mask
from robustreg._linalg.products import product
from robustreg._namespace import cast, doubles, is_foreign, namespace_of
from robustreg.estimators._noise import Noise
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.units import Units
from robustreg.losses import ResidualLoss

OUTLIER_CUTOFF = 2.5  # standard deviations: 1.24 % of clean Gaussian rows

#: What says of residuals how far they are trusted, from 0 to 1.
Weigh = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Plane:
    """Coefficients in the units that a fit was made in, where no digits are lost to the user's."""

    coef: Array
    intercept: float
    units: Units

    @classmethod
    def of(cls, problem: Problem, coef: Array, intercept: float) -> Plane:
        """The plane of some coefficients of a problem."""
        return cls(coef, float(intercept), problem.observed.targets.units)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plane):
            return NotImplemented
        same = (self.intercept, self.units) == (other.intercept, other.units)
        return same and np.array_equal(self.coef, other.coef)

    def residuals(self, X: Any, y: Array) -> Array:
        """Residuals of rows, which may be so far off that float64 has no number for them."""
        if is_foreign(X):
            return self.units.of(y) - (product(doubles(X), self.coef) + self.intercept)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.units.of(y) - (safe_sparse_dot(X, self.coef) + self.intercept)
        found[np.isnan(found)] = np.inf
        return found


@dataclass(frozen=True)
class Within:
    """Trusts residuals up to a size, and no others."""

    reach: float

    def __call__(self, residual: Array) -> Array:
        within: Array = cast(abs(residual) <= self.reach, residual)
        return within


@dataclass(frozen=True)
class ByLoss:
    """``psi(z) / z`` relative to its value at 0, at the scale that the loss was given."""

    loss: ResidualLoss
    scale: float

    def __call__(self, residual: Array) -> Array:
        found: Array = self.loss.weights(residual / self.scale)
        return found / float(self.loss.weights(0.0))


@dataclass(frozen=True)
class ByInfluence:
    """Influence over residual, relative to a residual of a scale on the side of the steeper slope.

    Attributes
    ----------
    low, high : float
        The slopes of the loss on either side of its kink.
    scale : float
        The scale.
    """

    low: float
    high: float
    scale: float

    def __call__(self, residual: Array) -> Array:
        size = np.abs(residual)
        steepest = max(-self.low, self.high)
        reach = np.where(residual < 0, -self.low, self.high) * (self.scale / steepest)
        return np.minimum(1.0, reach / np.maximum(size, reach))


@dataclass(frozen=True)
class Judgement:
    """What a fit says of any row, in the units that it was made in.

    Attributes
    ----------
    plane : Plane
        The fit.
    weigh : callable
        Gives weights of residuals.
    centre : float
        Where the noise is centred.
    cutoff : float
        Residuals further from the centre are outliers.
    dtype : dtype
        Of the weights.
    weighed : Plane or None
        What the residuals that are weighed are about, if that is another plane than the fit.
    """

    plane: Plane
    weigh: Weigh
    centre: float
    cutoff: float
    dtype: np.dtype
    weighed: Plane | None = None

    @classmethod
    def of(
        cls,
        problem: Problem,
        plane: Plane,
        weigh: Weigh,
        noise: Noise,
        dtype: np.dtype,
        weighed: Plane | None = None,
    ) -> Judgement:
        """The judgement of a fit whose residuals have such noise."""
        cutoff = max(OUTLIER_CUTOFF * noise.scale, problem.exact)
        return cls(plane, weigh, noise.centre, cutoff, dtype, weighed)

    def flagged(self, residual: Array) -> Mask:
        """Which residuals are outliers'."""
        return abs(residual - self.centre) > self.cutoff

    def weights(self, X: Any, y: Array) -> NDArray[np.floating[Any]]:
        """How far rows are trusted, shape (m,)."""
        residual = (self.weighed or self.plane).residuals(X, y)
        found = self.weigh(residual)
        if is_foreign(found):
            xp = namespace_of(found)
            return xp.astype(found, getattr(xp, self.dtype.name), copy=False)
        return found.astype(self.dtype, copy=False)

    def outliers(self, X: Any, y: Array) -> Mask:
        """Which rows are outliers, shape (m,)."""
        return self.flagged(self.plane.residuals(X, y))


@dataclass(frozen=True)
class OfRows:
    """One of the two things that a fit, or fits of several quantiles, say of rows.

    Attributes
    ----------
    judgement : Judgement or tuple of Judgement
        Of the fit, or of each.
    name : {"weights", "outliers"}
        Which one.
    """

    judgement: Judgement | tuple[Judgement, ...]
    name: str

    @property
    def dtype(self) -> np.dtype:
        """What a row has."""
        if self.name == "outliers":
            return np.dtype(bool)
        return self._each[0].dtype

    @property
    def count(self) -> int | None:
        """How many entries a row has; None: one, and no axis for it."""
        return len(self.judgement) if isinstance(self.judgement, tuple) else None

    @property
    def _each(self) -> tuple[Judgement, ...]:
        return self.judgement if isinstance(self.judgement, tuple) else (self.judgement,)

    def __call__(self, X: Any, y: Array) -> NDArray[Any]:
        """What is said of some rows, shape (m,) or (m, k)."""
        found = [getattr(each, self.name)(X, y) for each in self._each]
        return found[0] if self.count is None else np.column_stack(found)

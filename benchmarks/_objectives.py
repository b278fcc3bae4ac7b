"""The objectives that ours and their peers share, and who minimises them at which tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import sklearn_epsilon
from sklearn.base import clone
from sklearn.linear_model import HuberRegressor as SklearnHuber
from sklearn.linear_model import Lasso, Ridge
from sklearn.linear_model import QuantileRegressor as SklearnQuantile

from robustreg import HuberRegressor, L1Regressor, L2Regressor
from robustreg.losses import Huber
from robustreg.scale import mad

ESTIMATORS = {"L2": L2Regressor, "Huber": HuberRegressor, "L1": L1Regressor}
DELTA = 1.345
MANY = 100_000  # iterations
TOLERANCES = (1e-6, 1e-8, 1e-10, 1e-12)  # of peers, beyond their default, until they are close


@dataclass(frozen=True)
class Objective:
    """A loss and a penalty.

    Attributes
    ----------
    loss : {"L2", "Huber", "L1"}
        Huber's with a joint scale.
    penalty : {"none", "ridge", "lasso"}
        Its kind.
    alpha : float, default=0.0
        Its strength.
    """

    loss: str
    penalty: str
    alpha: float = 0.0

    def __str__(self) -> str:
        return f"{self.loss}, {self.penalty}" + (f" {self.alpha:g}" if self.alpha else "")

    @property
    def ours(self) -> Any:
        """Our estimator."""
        return ESTIMATORS[self.loss](alpha=self.alpha, l1_ratio=float(self.penalty == "lasso"))

    def unit(self, y: np.ndarray) -> float:
        """What a ridge is divided by."""
        return 1.0 if self.loss == "L2" else float(mad(y))

    def value(self, X: Any, y: np.ndarray, coef: np.ndarray, scale: float) -> float:
        """Of an intercept with coefficients, and of a scale in the case of Huber's loss."""
        residual = y - X @ coef[1:] - coef[0]
        if self.loss == "L2":
            loss = 0.5 * np.mean(residual**2)
        elif self.loss == "L1":
            loss = np.mean(np.abs(residual))
        elif scale == 0.0:
            loss = DELTA * np.mean(np.abs(residual))
        else:
            huber = Huber(DELTA)
            loss = scale * (np.mean(huber.rho(residual / scale)) + huber.kappa)
        if self.penalty == "lasso":
            return float(loss + self.alpha * np.abs(coef[1:]).sum())
        return float(loss + 0.5 * self.alpha / self.unit(y) * np.sum(coef[1:] ** 2))


@dataclass(frozen=True)
class Attempt:
    """A peer at one tolerance.

    Attributes
    ----------
    label : str
        For the table.
    model : estimator
        In scikit-learn's manner.
    scale_unit : float, default=1.0
        What its ``scale_`` is divided by, to be ours.
    """

    label: str
    model: Any
    scale_unit: float = 1.0


def sklearn_peers(objective: Objective, y: np.ndarray, is_sparse: bool) -> Iterator[list[Attempt]]:
    """Of each of scikit-learn's estimators for an objective, attempts that are ever tighter."""
    alpha = objective.alpha
    if objective.loss == "L2" and objective.penalty != "lasso":
        # with an intercept and sparse X, "sag" turns into "sparse_cg"; the others refuse
        for solver in ("sparse_cg", "lsqr") if is_sparse else ("cholesky",):
            ridge = Ridge(alpha=len(y) * alpha, solver=solver, random_state=0)
            yield _ladder(f"Ridge {solver}", ridge, () if solver == "cholesky" else TOLERANCES)
    elif objective.loss == "L2":
        yield _ladder("Lasso", Lasso(alpha=alpha), TOLERANCES)
    elif objective.loss == "Huber" and objective.penalty != "lasso":
        epsilon = sklearn_epsilon(DELTA)
        theirs = alpha * epsilon * len(y) / (objective.unit(y) * DELTA)
        model = SklearnHuber(epsilon=epsilon, alpha=theirs)
        # ends after a step that lowers the objective by less than a share of 2e-9, whatever tol
        yield _ladder("scikit-learn Huber", model, TOLERANCES[-1:], DELTA / epsilon)
    elif objective.loss == "L1" and objective.penalty != "ridge":
        model = SklearnQuantile(quantile=0.5, alpha=0.5 * alpha, solver="highs")
        yield [Attempt("scikit-learn highs", model)]


def _ladder(
    name: str, model: Any, tolerances: tuple[float, ...], scale_unit: float = 1.0
) -> list[Attempt]:
    attempts = [Attempt(f"{name}, its defaults" if tolerances else name, model, scale_unit)]
    for tol in tolerances:
        tight = clone(model).set_params(tol=tol, max_iter=MANY)
        attempts.append(Attempt(f"{name}, tol={tol:.0e}", tight, scale_unit))
    return attempts

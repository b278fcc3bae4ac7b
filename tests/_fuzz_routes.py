"""Routes to low points of an objective, besides the fit that is judged.

The null model, least absolute deviations, the plane that y was made of, the other solvers, a
rescaled table, linear programming, and a descent in extended precision from the best of them.
"""

import warnings

import numpy as np
from _fuzz_descent import Descent, point
from _fuzz_objective import LONG
from scipy.optimize import linprog
from sklearn.base import clone

from robustreg import L1Regressor, L2Regressor, QuantileRegressor
from robustreg.solvers import SOLVERS, select_solver

LOSSES = {L1Regressor: "absolute", QuantileRegressor: "quantile", L2Regressor: "half_squared"}
ROUNDS = 3


def quietly(model, X, y, weight):
    """A clone, fitted without a word."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return clone(model).fit(X, y, weight)


def select(model, loss, n_features, solver):
    """The solver that a model would use, asked for this one; ValueError if it cannot."""
    return select_solver(
        loss,
        n_features=n_features,
        scale=getattr(model, "scale", 1.0),
        alpha=model.alpha,
        l1_ratio=model.l1_ratio,
        positive=model.positive,
        solver=solver,
    )


class Routes:
    """Ways to low points of an objective that a model minimises.

    All of them are taken where a fit is ``suspicious``; else some, at random.
    """

    def __init__(self, objective, model, X, weight, plane, rng, suspicious):
        self.objective, self.model, self.X, self.weight = objective, model, X, weight
        self.plane, self.rng, self.suspicious = plane, rng, suspicious
        self.descent = Descent(objective)

    def lowest(self, fit, value, enough, least):
        """The lowest point that is found, and how.

        An end where it is ``enough`` below the fit's value, or a round gains only ``least``.
        """
        objective = self.objective
        at = point(objective, fit.coef, fit.intercept, fit.scale)
        route = "the fit at the best scale"
        for name, (coef, intercept) in self._others():
            if not (np.all(np.isfinite(coef)) and np.isfinite(intercept)):
                continue
            if not objective.fit_intercept:
                intercept = LONG(0)
            if objective.positive:
                coef = np.maximum(coef, 0)
            there = point(objective, coef, intercept)
            if there.value < at.value:
                at, route = there, name
            if value - at.value > enough:
                return at, route
        improved = self.descent.improve(at, ROUNDS, enough - (value - at.value), least)
        if improved.value < at.value:
            at, route = improved, f"descent from {route}"
        return at, route

    def _take(self, share):
        return self.suspicious or self.rng.random() < share

    def _others(self):
        """Other points, cheap ones first."""
        objective = self.objective
        yield "null model", (np.zeros(objective.X.shape[1]), null_intercept(objective))
        yield "plane", self.plane
        models = []
        if not objective.loss.homogeneous and self._take(0.3):
            models.append(L1Regressor(fit_intercept=objective.fit_intercept))
        if self._take(0.3):
            models += self._alternatives()
        for model in models:
            try:
                found = quietly(model, self.X, self.y, self.weight)
            except Exception:  # it is judged where it is the case itself
                continue
            yield " ".join(repr(model).split()), (found.coef_, found.intercept_)
        if not (objective.ridge or objective.l1) and self._take(0.2):
            yield from self._rescaled()
        small = len(objective.y) <= 300 and not objective.ridge
        if objective.loss.homogeneous and small and self._take(0.25):
            yield from self._programme()

    @property
    def y(self):
        y = np.zeros(len(self.objective.kept))
        y[self.objective.kept] = self.objective.y
        return y

    def _alternatives(self):
        """The same model with two of the other solvers."""
        used = getattr(self.model, "solver_", self.model.solver)
        names = [name for name in SOLVERS if name != used and self._serves(name)]
        for name in self.rng.permutation(names)[:2]:
            yield clone(self.model).set_params(solver=str(name))

    def _serves(self, solver):
        loss = getattr(self.model, "loss", LOSSES.get(type(self.model), "huber"))
        try:
            select(self.model, loss, self.X.shape[1], solver)
        except ValueError:
            return False
        return True

    def _shift_and_unit(self):
        objective = self.objective
        unit = LONG(2) ** np.floor(np.log2(objective.spread or LONG(1)))
        return (np.median(objective.y) if objective.fit_intercept else LONG(0)), unit

    def _rescaled(self):
        """The fit of the table with columns and y of spread 1, a fixed scale brought along."""
        objective = self.objective
        shift, unit = self._shift_and_unit()
        other = clone(self.model)
        if objective.scale is not None and hasattr(other, "scale"):
            scale = float(LONG(objective.scale) / unit)
            if not 0 < scale < np.inf:
                return
            other.set_params(scale=scale)
        weight = np.asarray(objective.share / objective.share.max(), float)
        y = ((objective.y - shift) / unit).astype(float)
        try:
            found = quietly(other, self.descent.Z.astype(float), y, weight)
        except Exception:
            return
        yield "rescaled table", self._in_user_units(found.coef_, found.intercept_, shift, unit)

    def _in_user_units(self, coef, intercept, shift, unit):
        direction = np.append(coef, intercept).astype(LONG) * unit
        coef, intercept = self.descent.to_coef(direction[: self.descent.k])
        return coef, intercept + shift

    def _programme(self):
        """HiGHS on standardised columns, primal."""
        objective, descent = self.objective, self.descent
        A = descent.A.astype(float)
        n, k = A.shape
        p = objective.X.shape[1]
        shift, unit = self._shift_and_unit()
        target = np.clip(((objective.y - shift) / unit).astype(float), -1e15, 1e15)
        low, high = objective.loss.slopes
        slope = np.append(objective.l1 / descent.scale, np.zeros(k - p))
        cost = np.concatenate([slope, slope, high * objective.share, -low * objective.share])
        cost = cost.astype(float)  # slopes beside the smallest columns may be beyond
        if not (np.isfinite(A).all() and np.isfinite(cost).all()):
            return
        fixed = np.append(~descent.live, np.zeros(k - p, bool))
        below = fixed | np.append(np.full(p, objective.positive), np.zeros(k - p, bool))
        bounds = [(0, 0) if stop else (0, None) for stop in [*fixed, *below]]
        found = linprog(
            cost,
            A_eq=np.hstack([A, -A, np.eye(n), -np.eye(n)]),
            b_eq=target,
            bounds=bounds + [(0, None)] * (2 * n),
            method="highs-ds",
            options={"time_limit": 5.0},
        )
        if found.x is not None:
            theta = found.x[:k] - found.x[k : 2 * k]
            parts = theta[:p], theta[p:].sum()
            yield "linear programme", self._in_user_units(*parts, shift, unit)


def null_intercept(objective):
    """The intercept of the model without regressors, or near it."""
    if not objective.fit_intercept:
        return LONG(0)
    if np.isfinite(objective.loss.slopes[1]):
        return np.median(objective.y)
    return objective.share @ objective.y

"""The judge of the fuzz: whether a fit is what it says it is.

A fit is taken at its public attributes. F there comes from ``_fuzz_objective``; lower points come
from a descent in extended precision, from the null model, least squares, the plane that y was made
of, the other solvers, a rescaled table and linear programming.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from _fuzz_descent import Descent, point
from _fuzz_objective import EPS, LONG, Formula, Objective, mad
from scipy.optimize import linprog
from sklearn.base import clone

from robustreg import HuberRegressor, L1Regressor, L2Regressor, QuantileRegressor
from robustreg.solvers import SOLVERS, select_solver

LOSSES = {L1Regressor: "absolute", QuantileRegressor: "quantile", L2Regressor: "half_squared"}

#: What may be wrong, gravest first. "alarm" is a warning at the optimum, "stuck" one elsewhere.
KINDS = (
    "wrong",  # converged, but F is lower elsewhere
    "certificate",  # F is lower somewhere than objective_ - dual_gap_
    "objective",  # objective_ is not F at the fit
    "attributes",  # not finite, negative where it must not be, a senseless scale
    "crash",  # an exception but a ValueError of ours
    "leak",  # a warning but ConvergenceWarning
    "hang",
    "alarm",
    "stuck",
    "refused",
    "slow",
)
PRECISE = 1e-9  # of F: what objective_ and certificates may be off
ALLOWED = 16  # times what rounding the terms of the residuals may change


@dataclass
class Fit:
    """What a fit says of itself."""

    coef: np.ndarray
    intercept: float
    scale: float
    objective: float | None  # None: it does not say
    gap: float
    converged: bool
    tol: float


@dataclass
class Verdict:
    """What is wrong with a fit, in a word and in words; ``size`` is relative to F."""

    kind: str
    words: str

    def __str__(self):
        return f"{self.kind}: {self.words}"


def formula_of(model):
    """The loss of an estimator, for the judge."""
    if isinstance(model, HuberRegressor):
        delta = getattr(model, "delta_", model.delta)
        return Formula("Huber", (float(delta),))
    if isinstance(model, L1Regressor):
        return Formula("Absolute", ())
    if isinstance(model, L2Regressor):
        return Formula("HalfSquared", ())
    if isinstance(model, QuantileRegressor):
        return Formula("Quantile", (float(model.quantile),))
    loss = model.loss
    return Formula(type(loss).__name__, tuple(float(c) for c in vars(loss).values()))


def objective_of(model, X, y, weight, scale):
    """F of an estimator; ``scale`` is the fixed one, None for a joint scale."""
    return Objective(
        X,
        y,
        weight,
        formula_of(model),
        scale,
        alpha=model.alpha,
        l1_ratio=model.l1_ratio,
        positive=model.positive,
        fit_intercept=model.fit_intercept,
        eps=float(np.finfo(X.dtype).eps),
    )


def scales_of(model, X, dense, y, weight):
    """The scales that a model may have used: None for a joint one, else numbers."""
    scale = getattr(model, "scale", 1.0)
    if scale == "joint":
        return [None]
    if scale != "mad":
        return [float(scale)]
    found = []
    for solver in ("auto", "interior"):
        helper = L1Regressor(fit_intercept=model.fit_intercept, solver=solver)
        found.append(float(quietly(helper, X, y, weight).scale_))
    if 0.0 in found:
        center = {} if model.fit_intercept else {"fit_intercept": False}
        found.append(float(1e-9 * Objective(dense, y, weight, Formula("Absolute", ()), 1.0, **center).spread))
    return [scale for scale in dict.fromkeys(found) if scale > 0] or [1.0]


def quietly(model, X, y, weight):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            return clone(model).fit(X, y, weight)


class Judge:
    """Judges the fits of one problem."""

    def __init__(self, model, X, dense, y, weight, plane, rng):
        self.model, self.X, self.dense, self.y, self.weight = model, X, dense, y, weight
        self.plane, self.rng = plane, rng

    def verdicts(self, fit, warned):
        """What is wrong with a fit."""
        broken = self._broken(fit)
        if broken:
            return [Verdict("stuck" if warned else "attributes", broken)]
        objectives = [
            objective_of(self.model, self.dense, self.y, self.weight, scale)
            for scale in scales_of(self.model, self.X, self.dense, self.y, self.weight)
        ]
        values = [self._value(objective, fit) for objective in objectives]
        stated = values[0] if fit.objective is None else LONG(fit.objective)
        off = [abs(value - stated) for value in values]
        best = int(np.argmin(off))
        self.objective, value = objectives[best], values[best]
        allowed = ALLOWED * self.objective.rounding(fit.coef, fit.intercept, fit.scale)
        found = []
        if not off[best] <= PRECISE * abs(stated) + allowed + LONG(1e-320):
            words = f"objective_ is {stated:.6g}, F at the fit {value:.6g} (+-{allowed:.1g})"
            found.append(Verdict("objective", words))
        found += self._lower(fit, value, stated, allowed, warned)
        found += self._scale(fit, found)
        return found

    def _value(self, objective, fit):
        """F at the attributes of a fit."""
        sigma = LONG(fit.scale) if objective.joint else None
        if sigma == 0 and not np.isfinite(objective.loss.slopes[1]):
            sigma = None  # an exact fit, up to rounding
        return objective.value(fit.coef, fit.intercept, sigma)

    def _broken(self, fit):
        """What in a fit's attributes is no number, or has the wrong sign."""
        numbers = {
            "coef_": fit.coef,
            "intercept_": fit.intercept,
            "scale_": fit.scale,
            "objective_": 0.0 if fit.objective is None else fit.objective,
            "dual_gap_": fit.gap,
        }
        for name, value in numbers.items():
            if not np.all(np.isfinite(value)):
                return f"{name} is {value}"
        if fit.scale < 0 or fit.gap < 0:
            return f"scale_ {fit.scale}, dual_gap_ {fit.gap}"
        if self.model.positive and np.min(fit.coef) < 0:
            return f"coef_ {fit.coef} under positive=True"
        return ""

    def _lower(self, fit, value, stated, allowed, warned):
        """Look for lower points and compare what the fit says with them."""
        objective = self.objective
        slack = 64 * EPS * objective.null_value()
        limit = LONG(fit.tol) * abs(value) + slack + allowed
        bound = stated - LONG(fit.gap)
        there, route = self._lowest(fit, value, 1.01 * limit, warned)
        lowest = there.value
        # a point that doubles can hardly tell from others proves nothing
        vague = ALLOWED * objective.rounding(there.coef, there.intercept)
        limit += vague
        precise = PRECISE if fit.objective is not None else 1e-6  # a path states no objective
        bound_allowed = precise * abs(stated) + allowed + vague
        found = []
        if bound > lowest + bound_allowed:
            words = (
                f"objective_ {stated:.9g} - dual_gap_ {fit.gap:.3g} is above F {lowest:.9g} ({route}) "
                f"by {(bound - lowest) / (abs(lowest) or 1):.2g} of it, converged_ {fit.converged}"
            )
            found.append(Verdict("certificate", words))
        excess = value - lowest
        words = f"F {value:.9g}, {lowest:.9g} at {route}: {excess / (abs(lowest) or 1):.2g} of it"
        if fit.converged and excess > 1.001 * limit:
            found.append(Verdict("wrong", words))
        elif warned:
            found.append(Verdict("stuck" if excess > 1.001 * limit else "alarm", words))
        if fit.converged and fit.gap > LONG(fit.tol) * abs(stated) * 1.01 + self._null_slack():
            words = f"dual_gap_ {fit.gap:.3g} at objective_ {stated:.3g}, though converged_"
            found.append(Verdict("attributes", words))
        return found

    def _null_slack(self):
        """The absolute part of the criterion as documented, at the MAD of y; twice."""
        objective = self.objective
        spread = objective.spread
        center = objective.y * 0
        if objective.fit_intercept:
            center = objective.share @ objective.y
            if np.isfinite(objective.loss.slopes[1]):
                center = np.median(objective.y)
        sigma = spread if objective.joint else None
        if objective.joint and spread == 0:
            return LONG(0)
        return 128 * EPS * objective.loss_at(objective.y - center, sigma)

    def _lowest(self, fit, value, enough, warned):
        """The lowest F that is found, and by which route."""
        objective = self.objective
        descent = Descent(objective)
        at = point(objective, fit.coef, fit.intercept, fit.scale)
        route = "the fit at the best scale"
        for name, (coef, intercept) in self._others(fit, warned):
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
        improved = descent.improve(at, 3, enough, float(enough) * 1e-3)
        if improved.value < at.value:
            at, route = improved, f"descent from {route}"
        if objective.loss.homogeneous and self._programme_pays(fit, warned):
            there = point(objective, *self._programme(descent))
            if there.value < at.value:
                at, route = there, "linear programme"
        return at, route

    def _others(self, fit, warned):
        """Other points, cheap ones first."""
        objective, X, y = self.objective, self.dense, self.y
        yield "null model", (np.zeros(X.shape[1]), _null_intercept(objective))
        yield "plane", self.plane
        suspicious = warned or fit.gap > fit.tol * abs(fit.objective or 0.0)
        models = []
        if not objective.loss.homogeneous and (suspicious or self.rng.random() < 0.3):
            models.append(L1Regressor(fit_intercept=objective.fit_intercept))
        if suspicious or self.rng.random() < 0.3:
            models += self._alternatives()
        for other in models:
            try:
                found = quietly(other, self.X, y, self.weight)
            except Exception:  # noqa: S112  (judged where it is the fit itself)
                continue
            yield repr(other), (found.coef_, found.intercept_)
        if suspicious or self.rng.random() < 0.2:
            yield from self._rescaled()

    def _alternatives(self):
        """The same model with the other solvers."""
        used = getattr(self.model, "solver_", self.model.solver)
        names = [name for name in SOLVERS if name != used and self._serves(name)]
        for name in self.rng.permutation(names)[:2]:
            yield clone(self.model).set_params(solver=str(name))

    def _serves(self, name):
        model = self.model
        try:
            select_solver(
                LOSSES.get(type(model), "huber") if not hasattr(model, "loss") else model.loss,
                n_features=self.dense.shape[1],
                scale=getattr(model, "scale", 1.0),
                alpha=model.alpha,
                l1_ratio=model.l1_ratio,
                positive=model.positive,
                solver=name,
            )
        except ValueError:
            return False
        return True

    def _rescaled(self):
        """The fit of the table with columns and y of spread 1, scale and alpha brought along."""
        objective = self.objective
        if objective.ridge or objective.l1:
            return
        Z = Descent(objective)
        unit = objective.spread or LONG(1)
        unit = LONG(2) ** np.floor(np.log2(unit))
        shift = np.median(objective.y) if objective.fit_intercept else LONG(0)
        other = clone(self.model)
        if objective.scale is not None and hasattr(other, "scale"):
            scale = float(LONG(objective.scale) / unit)
            if not 0 < scale < np.inf:
                return
            other.set_params(scale=scale)
        weight = np.asarray(objective.share / objective.share.max(), float)
        table = Z.Z.astype(float), ((objective.y - shift) / unit).astype(float)
        try:
            found = quietly(other, *table, weight)
        except Exception:  # noqa: S112
            return
        direction = np.append(found.coef_, found.intercept_).astype(LONG) * unit
        coef, intercept = Z.to_coef(direction[: Z.k])
        yield "rescaled table", (coef, intercept + shift)

    def _programme_pays(self, fit, warned):
        n, p = self.dense.shape
        small = n <= 300 and not self.objective.ridge
        suspicious = warned or fit.gap > fit.tol * abs(fit.objective or 0.0)
        return small and (suspicious or self.rng.random() < 0.25)

    def _programme(self, descent):
        """HiGHS on standardised columns, primal."""
        objective, A = self.objective, descent.A.astype(float)
        n, k = A.shape
        if not np.isfinite(A).all():
            return np.zeros(k - objective.fit_intercept), LONG(0)
        p = self.dense.shape[1]
        unit = objective.spread or LONG(1)
        shift = np.median(objective.y) if objective.fit_intercept else LONG(0)
        target = np.clip(((objective.y - shift) / unit).astype(float), -1e15, 1e15)
        low, high = objective.loss.slopes
        share = objective.share
        slope = np.append((objective.l1 / descent.scale).astype(float), np.zeros(k - p))
        cost = np.concatenate([slope, slope, (high * share).astype(float), (-low * share).astype(float)])
        fixed = np.append(~descent.live, np.zeros(k - p, bool))
        upper = [(0, 0) if stop else (0, None) for stop in fixed]
        lower = [
            (0, 0) if stop or (objective.positive and j < p) else (0, None)
            for j, stop in enumerate(fixed)
        ]
        eye = np.eye(n)
        found = linprog(
            cost,
            A_eq=np.hstack([A, -A, eye, -eye]),
            b_eq=target,
            bounds=upper + lower + [(0, None)] * (2 * n),
            method="highs-ds",
            options={"time_limit": 5.0},
        )
        if found.x is None:
            return np.zeros(p), LONG(0)
        theta = (found.x[:k] - found.x[k : 2 * k]).astype(LONG) * unit
        coef, intercept = descent.to_coef(theta)
        return coef, intercept + shift

    def _scale(self, fit, found):
        """Whether the MAD of the residuals can be the scale, whatever zeros are left out."""
        objective, model = self.objective, self.model
        if objective.joint or isinstance(model, L2Regressor) or found:
            return []
        residual = objective.residual(fit.coef, fit.intercept)
        if isinstance(model, QuantileRegressor) and model.quantile != 0.5:
            return []
        size = np.abs(residual)
        error = 8 * objective.errors(fit.coef, fit.intercept) + 2e-9 * objective.spread
        off = size > error
        low = mad(np.maximum(size - error, 0), objective.share, LONG(0))
        high = mad(size[off], objective.share[off], LONG(0)) if off.any() else LONG(0)
        high = max(high, mad(size, objective.share, LONG(0))) + 1.5 * error.max()
        if low * (1 - 1e-6) <= fit.scale <= high * (1 + 1e-6):
            return []
        if fit.scale == 0 and low <= 2e-9 * objective.spread:
            return []
        return [Verdict("attributes", f"scale_ {fit.scale:.6g} is no MAD, from {low:.6g} to {high:.6g}")]


def _null_intercept(objective):
    if not objective.fit_intercept:
        return LONG(0)
    if np.isfinite(objective.loss.slopes[1]):
        return np.median(objective.y)
    return objective.share @ objective.y

"""The judge of the fuzz: whether a fit is what it says it is.

A fit is taken at its public attributes. F there comes from ``_fuzz_objective``, lower points from
``_fuzz_routes``.
"""

from dataclasses import dataclass, replace

import numpy as np
from _fuzz_decimal import at, lowest
from _fuzz_descent import point
from _fuzz_objective import LONG, Formula, Objective, mad
from _fuzz_routes import Routes, quietly
from scipy import sparse

from robustreg import HuberRegressor, L1Regressor, L2Regressor, QuantileRegressor
from robustreg.losses import get_loss

#: What may be wrong, gravest first. "alarm" is a warning at the optimum, "stuck" one elsewhere, and
#: "digits" one where doubles cannot hold the optimum, which is not wrong.
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
    "digits",
    "worse",  # a search has missed the plane that y was made of
    "refused",
    "slow",
)
# Of F: what objective_ and certificates may be off, a tenth of the tolerance of a certified fit.
# Beside a row far out in X the mean of a column is far from all others, and so is the point about
# which their predictions are computed: of 1e8 spreads, eight digits are left.
PRECISE = 1e-8
ALLOWED = 16  # times what rounding the terms of the residuals may change
NEIGHBOURS = 15  # of a point, that it might be rounded to
ROUNDING = 1e-12  # of the largest y: a scale below is one of rounding


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
    """What is wrong with a fit: one of KINDS, and in words."""

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
    loss = get_loss(model.loss)
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
        eps=float(np.finfo(np.result_type(X, np.float32)).eps),
    )


def scales_of(model, X, dense, y, weight):
    """The scales that a model may have used: None for a joint one, else numbers."""
    scale = getattr(model, "scale", 1.0)
    if scale == "joint":
        return [None]
    if scale != "mad":
        return [float(scale)]
    found = []
    for solver in ("auto", "interior") if len(y) >= 2000 else ("auto",):
        helper = L1Regressor(fit_intercept=model.fit_intercept, solver=solver)
        try:
            found.append(float(quietly(helper, X, y, weight).scale_))
        except ValueError:  # its coefficients may be out of range where those of a penalty are not
            power = np.frexp(np.append(np.abs(dense).max(axis=0), np.abs(y).max()))[1]
            table = np.ldexp(dense, -power[:-1]), np.ldexp(y, -power[-1])
            found.append(float(np.ldexp(quietly(helper, *table, weight).scale_, power[-1])))
            found.append(0.0)  # what is exact in one table is nearly so in the other
            reported = getattr(model, "loss_scale_", np.inf)  # which fits of a path do not have
            if max(found[0], reported) <= ROUNDING * np.abs(y).max():
                found.append(float(reported))
    if 0.0 in found:
        found.append(float(objective_of(helper, dense, y, weight, 1.0).exact))
    return [scale for scale in dict.fromkeys(found) if scale > 0] or [1.0]


class Judge:
    """Judges the fits of one problem."""

    def __init__(self, model, X, dense, y, weight, plane, rng):
        self.model, self.X, self.dense, self.y, self.weight = model, X, dense, y, weight
        self.plane, self.rng = plane, rng

    def verdicts(self, fit, warned):
        """What is wrong with a fit; ``warned`` that it may not have converged."""
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
        if fit.objective is None and fit.gap <= fit.tol * value:
            fit, warned = replace(fit, converged=True), False  # others on its path have warned
        allowed = ALLOWED * self.objective.rounding(fit.coef, fit.intercept, fit.scale)
        found = []
        where = fit.coef, fit.intercept, fit.scale
        relative = PRECISE * max(abs(stated), self.objective.typical())
        vague = relative + allowed + LONG(1e-320)
        counted_as_0 = self.objective.of_rounding(*where)
        if not value - counted_as_0 - vague <= stated <= value + vague:
            words = f"objective_ is {stated:.6g}, F at the fit {value:.6g} (+-{allowed:.1g})"
            found.append(Verdict("objective", words))
        found += self._lower(fit, value, stated, allowed, warned)
        found += self._scale(fit, found)
        if fit.converged and not found and self.rng.random() < 0.05:
            found += self._twice(fit)
        return found

    def _twice(self, fit):
        """Whether a table with all rows twice has the same scale, if it has the same fit."""
        stack = sparse.vstack if sparse.issparse(self.X) else np.vstack
        weight = None if self.weight is None else np.tile(self.weight, 2)
        twice = quietly(self.model, stack([self.X, self.X]), np.tile(self.y, 2), weight)
        same = np.allclose(twice.coef_, fit.coef, rtol=1e-9, atol=0)
        same = same and np.isclose(twice.intercept_, fit.intercept, rtol=1e-9, atol=0)
        objective = self.objective
        here = objective.residual(fit.coef, fit.intercept)
        there = objective.residual(twice.coef_, twice.intercept_)
        vague = np.abs(here - there) + objective.errors(fit.coef, fit.intercept)
        allowed = 1e-6 * fit.scale + 2 * objective.exact + 1.5 * vague.max()
        if not same or abs(twice.scale_ - fit.scale) <= allowed:
            return []
        words = f"scale_ {fit.scale:.6g}, {twice.scale_:.6g} for all rows twice"
        return [Verdict("attributes", words)]

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
            if np.asarray(value).dtype.kind != "f":
                return f"{name} is of type {np.asarray(value).dtype}"
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
        slack = 2 * objective.negligible(fit.coef, fit.intercept, fit.scale)  # of a sample of y
        limit = LONG(fit.tol) * abs(value) + slack + allowed
        bound = stated - LONG(fit.gap)
        precise = PRECISE if fit.objective is not None else 1e-6  # a path states no objective
        bound_allowed = precise * max(abs(stated), objective.typical()) + allowed + LONG(1e-320)
        suspicious = warned or fit.gap > fit.tol * abs(stated)
        routes = Routes(
            objective, self.model, self.X, self.weight, self.plane, self.rng, suspicious
        )
        enough = 1.01 * max(limit, value - bound + bound_allowed)
        there, route = routes.lowest(fit, value, enough, 1e-3 * limit)
        lowest = there.value
        # a point that doubles can hardly tell from others proves nothing
        vague = ALLOWED * objective.rounding(there.coef, there.intercept)
        limit, bound_allowed = limit + vague, bound_allowed + vague
        found = []
        if bound > lowest + bound_allowed:
            words = (
                f"objective_ {stated:.9g} - dual_gap_ {fit.gap:.3g} is above F {lowest:.9g} at "
                f"{route} by {(bound - lowest) / (abs(lowest) or 1):.2g} of it, converged_ "
                f"{fit.converged}"
            )
            found.append(Verdict("certificate", words))
        excess = value - lowest
        words = f"F {value:.9g}, {lowest:.9g} at {route}: {excess / (abs(lowest) or 1):.2g} of it"
        if fit.converged and excess > 1.001 * limit:
            found.append(Verdict("wrong", words))
        elif warned:
            kind = "stuck" if excess > 1.001 * limit else "alarm"
            if self._lacks_digits(there, fit.tol):
                kind = "digits"
            elif kind == "alarm" and (deeper := self._deeper(fit, value - fit.tol * abs(value))):
                kind, words = deeper
            found.append(Verdict(kind, words))
        if fit.converged and fit.gap > LONG(fit.tol) * abs(stated) * 1.01 + slack + allowed:
            words = f"dual_gap_ {fit.gap:.3g} at objective_ {stated:.3g}, though converged_"
            found.append(Verdict("attributes", words))
        return found

    def _deeper(self, fit, limit):
        """What it is if F falls below a limit beyond the digits of this judge; None if it does not.

        The warning is right then. Whether doubles can follow is tried at what they are next to.
        """
        deep = lowest(self.objective, fit.coef, fit.intercept)
        if deep is None or not deep.value < limit:
            return None
        there = min(
            at(self.objective, each.coef.astype(float), float(each.intercept)).value
            for each in self._neighbours(deep)
        )
        kind = "stuck" if there < limit else "digits"
        return kind, f"F is {deep.value:.9g} with a hundred digits, {there:.9g} where rounded to"

    def _neighbours(self, at):
        """Doubles next to a point.

        The intercept makes up for what rounding the coefficients changes at the mean row.
        """
        objective = self.objective
        coef, intercept = np.asarray(at.coef, LONG), LONG(at.intercept)
        centre = objective.share @ objective.X if objective.fit_intercept else 0 * coef
        for _ in range(NEIGHBOURS):
            off, last = (
                np.spacing(np.abs(np.asarray(number, float))) * self.rng.uniform(-0.5, 0.5, shape)
                for number, shape in ((coef, len(coef)), (intercept, None))
            )
            off = np.where(coef == 0, 0, off)
            moved = intercept - centre @ off + last * objective.fit_intercept
            yield point(objective, coef + off, moved)

    def _lacks_digits(self, at, tol):
        """Whether rounding a point to doubles mostly changes F by more than the tolerance."""
        changes = [abs(each.value - at.value) for each in self._neighbours(at)]
        return np.median(changes) > LONG(tol) * abs(at.value)

    def _scale(self, fit, found):
        """Whether the MAD of the residuals can be the scale, whatever zeros are left out."""
        objective, model = self.objective, self.model
        if objective.joint or isinstance(model, L2Regressor) or found:
            return []
        residual = objective.residual(fit.coef, fit.intercept)
        if isinstance(model, QuantileRegressor) and model.quantile != 0.5:
            return []
        size = np.abs(residual)
        error = 8 * objective.errors(fit.coef, fit.intercept) + 2 * objective.exact
        off = size > error
        # A fit's own zeros, as many as it has coefficients, are as near to 0 as equations of all
        # of their rows together can be solved: next to a row far out that is what its terms allow.
        own = np.argsort(size)[: objective.X.shape[1] + objective.fit_intercept]
        solved = len(own) * error.max()
        off[own[size[own] <= min(solved, 1e-3 * fit.scale)]] = False
        low = mad(np.maximum(size - error, 0), objective.share, LONG(0))
        high = mad(size[off], objective.share[off], LONG(0)) if off.any() else LONG(0)
        high = max(high, mad(size, objective.share, LONG(0))) + 1.5 * error.max()
        if low * (1 - 1e-6) <= fit.scale <= high * (1 + 1e-6):
            return []
        if fit.scale == 0 and low <= 2 * objective.exact:
            return []
        return [
            Verdict("attributes", f"scale_ {fit.scale:.6g} is no MAD, from {low:.6g} to {high:.6g}")
        ]

"""The judge of the estimators without a certificate: S, MM, LTS and redescending M.

Their objectives have many minima, and which one is found is a matter of luck and of the number of
subsets. What must hold: finite attributes, the estimating equations, objectives that are what they
are said to be, and none far above that of the plane that y was made of ("worse").
"""

import numpy as np
from _fuzz_descent import Descent
from _fuzz_judge import ALLOWED, Verdict
from _fuzz_objective import EPS, LONG, Formula, Objective, mad

from robustreg import LTSRegressor, MMRegressor, SRegressor
from robustreg.losses import LOSSES, tuning_constant

PI = LONG("3.14159265358979323846")


def _hampel(z, a, b, c):
    size = np.abs(z)
    rise, flat, fall = np.minimum(size, a), np.clip(size - a, 0, b - a), np.clip(size - b, 0, c - b)
    return rise**2 / 2 + a * (flat + fall * (1 - fall / (2 * (c - b))))


# rho, psi and sup rho
REDESCENDING = {
    "bisquare": (
        lambda z, c: c * c / 6 * (1 - np.maximum(1 - (z / c) ** 2, 0) ** 3),
        lambda z, c: z * np.maximum(1 - (z / c) ** 2, 0) ** 2,
        lambda c: c * c / 6,
    ),
    "welsch": (
        lambda z, c: -c * c / 2 * np.expm1(-((z / c) ** 2)),
        lambda z, c: z * np.exp(-((z / c) ** 2)),
        lambda c: c * c / 2,
    ),
    "andrews": (
        lambda z, c: c * c * (1 - np.cos(np.minimum(np.abs(z / c), PI))),
        lambda z, c: c * np.sin(np.clip(z / c, -PI, PI)),
        lambda c: 2 * c * c,
    ),
    "hampel": (
        _hampel,
        lambda z, a, b, c: np.sign(z)
        * np.minimum(np.abs(z), a * np.clip((c - np.abs(z)) / (c - b), 0, 1)),
        lambda a, b, c: a * (b + c - a) / 2,
    ),
    "cauchy": (
        lambda z, c: c * c / 2 * np.log1p((z / c) ** 2),
        lambda z, c: z / (1 + (z / c) ** 2),
        lambda c: np.inf,
    ),
}  # fmt: skip


class Redescending:
    """A loss of this family: of a breakdown point, of an efficiency, or as the package names it."""

    def __init__(self, name, **target):
        self.name = name
        found = (
            tuning_constant(LOSSES[name], **target)
            if target
            else list(vars(LOSSES[name]()).values())
        )
        self.constants = [LONG(float(c)) for c in np.atleast_1d(found)]

    def rho(self, z):
        return REDESCENDING[self.name][0](z, *self.constants)

    def psi(self, z):
        return REDESCENDING[self.name][1](z, *self.constants)

    @property
    def supremum(self):
        return REDESCENDING[self.name][2](*self.constants)


def judge_high_breakdown(case, model):
    """What is wrong with a fit."""
    for name in ("coef_", "intercept_", "scale_", "objective_", "weights_"):
        if not np.all(np.isfinite(getattr(model, name))):
            return [Verdict("attributes", f"{name} is {getattr(model, name)}")]
    if model.scale_ < 0:
        return [Verdict("attributes", f"scale_ is {model.scale_}")]
    frame = Objective(
        case.dense, case.y, case.weight, Formula("Absolute", ()), 1.0,
        fit_intercept=model.fit_intercept, eps=float(np.finfo(case.dense.dtype).eps),
    )  # fmt: skip
    weight = np.ones(len(case.y)) if case.weight is None else case.weight
    judge = _High(case, model, frame, weight[weight > 0].astype(LONG))
    if isinstance(model, LTSRegressor):
        return judge.trimmed()
    if model.scale_ == 0:
        return judge.exact()
    if isinstance(model, SRegressor):
        return judge.s_estimate()
    return judge.m_estimate()


class _High:
    def __init__(self, case, model, frame, weight):
        self.case, self.model, self.frame, self.weight = case, model, frame, weight
        self.at = model.coef_, model.intercept_
        self.residual = frame.residual(*self.at)
        self.error = ALLOWED * frame.errors(*self.at)

    def of_plane(self):
        """Residuals of the plane that y was made of."""
        coef, intercept = self.case.plane
        if not self.model.fit_intercept:
            intercept = 0.0
        return self.frame.residual(coef, intercept)

    def exact(self):
        """Scale 0: enough rows are on the plane, up to 1e-9 spreads."""
        if not self.model.converged_:
            return []
        off = np.abs(self.residual) > self.error + 2 * self.frame.exact
        share = self.frame.share[off].sum()
        if share <= 1 - min(0.5, 1 - getattr(self.model, "breakdown_point", 0.5)) + 1e-9:
            return []
        return [
            Verdict("wrong", f"scale_ is 0 with {float(share):.2f} of the weight off the plane")
        ]

    def equations(self, loss, scale):
        """Whether sum w psi(r / s) x = 0 up to rounding."""
        if not self.model.converged_:
            return []
        z = self.residual / scale
        A = Descent(self.frame).A
        psi = self.weight * loss.psi(z)
        sums, sizes = np.abs(A.T @ psi), np.abs(A.T) @ np.abs(psi)
        steepest = np.abs(loss.psi(np.geomspace(1e-3, 1e3, 1000))).max()  # psi' is at most 1
        vague = np.abs(A.T) @ (self.weight * np.minimum(self.error / scale, steepest))
        least = 1e-9 * np.abs(A.T) @ self.weight
        off = sums - 1e-6 * sizes - vague - least
        worst = int(np.argmax(off))
        if off[worst] <= 0:
            return []
        words = f"sum w psi(z) x is {sums[worst]:.3g} of {sizes[worst]:.3g} (+-{vague[worst]:.1g})"
        return [Verdict("wrong", words)]

    def s_estimate(self):
        """The scale's own equation, and those of the coefficients."""
        model = self.model
        loss = Redescending(model.loss, breakdown_point=model.breakdown_point)
        found = []
        if model.objective_ != model.scale_:
            found.append(Verdict("objective", f"{model.objective_}, scale_ {model.scale_}"))
        total, rank = self.weight.sum(), self.rank()
        target = model.breakdown_point * loss.supremum * (total - rank)
        scale = LONG(model.scale_)
        reach = [
            self.weight @ loss.rho(np.maximum(np.abs(self.residual) + sign * self.error, 0) / scale)
            for sign in (-1, 1)
        ]
        right = reach[0] * (1 - 1e-6) <= target <= reach[1] * (1 + 1e-6)
        if not right and self.full_rank() and model.converged_:
            words = f"sum w rho(z) is {reach[0]:.9g} to {reach[1]:.9g}, not {target:.9g}"
            found.append(Verdict("attributes", words))
        there = self.weight @ loss.rho(self.of_plane() / (scale * LONG(1 - 1e-6)))
        if there < target:
            found.append(Verdict("worse", "the plane that y was made of has a smaller scale"))
        return found + self.equations(loss, scale)

    def m_estimate(self):
        """The equations at the scale that the estimator holds fixed."""
        model, scale = self.model, LONG(self.model.scale_)
        if isinstance(model, MMRegressor):
            loss = Redescending(model.loss, efficiency=model.efficiency)
        else:
            loss = Redescending(model.loss)
            if model.scale == "mad":
                return self.at_some_scale(loss, self.start_scales())
        if scale == 0:
            return []
        return self.equations(loss, scale)

    def at_some_scale(self, loss, scales):
        """What is wrong at every one of several scales."""
        found = []
        for scale in scales:
            if scale == 0 or not (found := self.equations(loss, scale)):
                return []
        return found

    def start_scales(self):
        """MADs that the residuals of the S-estimate may have.

        As many of its zeros as it has coefficients are its own and left out. Which residuals are
        zeros, up to 1e-9 spreads of y, rounding decides, and which spread the package has seen.
        """
        size = np.abs(self.frame.residual(self.model.initial_coef_, self.model.initial_intercept_))
        error = self.frame.errors(self.model.initial_coef_, self.model.initial_intercept_)
        scales = [mad(size, self.frame.share, LONG(0))]
        for zero in (error, self.frame.exact, ALLOWED * error + 2 * self.frame.exact):
            at_zero = size <= zero
            weight = self.weight.copy()
            if at_zero.any():
                weight[at_zero] *= 1 - min(1, self.rank() / weight[at_zero].sum())
            left = weight > 0
            if left.any():
                scales.append(mad(size[left], weight[left] / weight.sum(), LONG(0)))
        return scales

    def trimmed(self):
        """The sum of the h smallest squares, and least squares on the rows that count."""
        model, found = self.model, []
        covered = np.floor((self.weight.sum() + self.rank() + 1) / 2 * LONG(1 + 1e-12))
        raw = np.abs(self.frame.residual(model.raw_coef_, model.raw_intercept_))
        error = ALLOWED * self.frame.errors(model.raw_coef_, model.raw_intercept_)
        low, high = (self._sum(np.maximum(raw + sign * error, 0), covered) for sign in (-1, 1))
        zero = self.weight.sum() * (2 * self.frame.exact) ** 2
        exact = model.objective_ == 0 and low <= zero
        low_end = low * (1 - 1e-6) - LONG(1e-320)  # a square may be too small for a double
        right = low_end <= model.objective_ <= high * (1 + 1e-6) + zero
        if self.full_rank() and not right and not exact and model.converged_:
            words = f"objective_ {model.objective_:.9g} is not {low:.9g} to {high:.9g}"
            found.append(Verdict("objective", words))
        if self._sum(np.abs(self.of_plane()), covered) < 0.999 * low:
            found.append(Verdict("worse", "the plane that y was made of has a smaller sum"))
        return found

    def _sum(self, size, covered):
        order = np.argsort(size)
        within = np.minimum(np.cumsum(self.weight[order]), covered)
        return np.diff(within, prepend=LONG(0)) @ size[order] ** 2

    def rank(self):
        descent = Descent(self.frame)
        A = np.sqrt(self.frame.share)[:, None] * descent.A
        # columns that differ by the rounding of their entries are the same, those of ordinary rows:
        # beside rows far out these would be all rounding
        typical = np.median(np.abs(self.frame.X), axis=0) / descent.scale
        tol = max(1e-9, 4 * EPS * float(typical.max()))
        A = A / np.maximum(np.abs(A).max(axis=1), 1)[:, None]
        A = (A / np.maximum(np.sqrt((A**2).sum(axis=0)), LONG("1e-4900"))).astype(float)
        return int(np.linalg.matrix_rank(A, tol=tol)) if np.isfinite(A).all() else 0

    def full_rank(self):
        return self.rank() == Descent(self.frame).k

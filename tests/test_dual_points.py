"""The bound of a dual point is what the dual objective says, at a point that it is allowed to have.

Written out densely, with y itself where the package has residuals and slopes.
"""

import numpy as np
import pytest
from _cases import contaminated

from robustreg.estimators import MRegressor
from robustreg.evaluation import certificate
from robustreg.evaluation.certificate import (
    SMALL_GRADIENT,
    dual_gap_from,
    dual_point,
    gap_of_psi,
    is_balanced,
)
from robustreg.evaluation.choice import scaled, separable, white
from robustreg.evaluation.hessian import curvature_to_start_from
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data
from robustreg.evaluation.problem import Coefficients
from robustreg.losses import Huber, LogCosh, Quantile

PENALTIES = {
    "none": {},
    "ridge": {"alpha": 0.2},
    "lasso": {"alpha": 0.2, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.2, "l1_ratio": 0.5},
    "signs": {"positive": True},
    "lasso and signs": {"alpha": 0.2, "l1_ratio": 1.0, "positive": True},
}
SCALES = {"joint": None, "fixed": 3.0}


class Case:
    """An objective off its optimum, with the dense table that it is of."""

    def __init__(
        self, loss, scale, penalty, coordinates=separable, unit=1.0, fit_intercept=True, copies=1
    ):
        X, y = (np.repeat(part, copies, axis=0) for part in contaminated(n=40, p=3))
        X = (X + np.array([0.5, -2.0, 3.0])) * [unit, 3.0, 1.0]
        weight = (1.0 + np.arange(len(y)) // copies % 5) / 5.0
        model = MRegressor(loss, fit_intercept=fit_intercept, **penalty)
        problem = model._problem(Data(X, y, weight, 1), loss, scale, model._penalty())
        self.X, self.loss, self.share = X, loss, weight / weight.sum()
        self.objective = make_objective(problem, coordinates(problem))
        coef = np.array([0.6 / unit, 0.2, 1.0])  # none is at a kink
        start = Coefficients(coef, 0.3 if fit_intercept else 0.0, 1.1)
        self.theta = self.objective.pack(start)
        self.coef = self.objective.found(self.theta).coef
        self.residual = self.objective.residuals(self.theta)
        self.value = self.objective(self.theta)[0]
        intercept = self.objective.found(self.theta).intercept
        self.y = self.residual + X @ self.coef + (intercept if fit_intercept else 0.0)
        self.psi = loss.psi(self.residual / self.objective.scale_at(self.theta))

    def slopes(self, nu):
        return self.X.T @ (self.share * nu)

    def dual(self, nu):
        """The dual objective."""
        lost = 0.0 if self.objective.joint else self.objective.scale * self.conjugate(nu)
        penalty = self.objective.penalty
        pen = 0.0 if penalty.is_none else penalty.conjugate(self.slopes(nu))
        return self.share @ (nu * self.y) - pen - lost

    def conjugate(self, nu):
        """The mean of rho*, for a nu within its domain up to rounding."""
        low, high = self.loss.conjugate_domain
        assert low - 1e-12 <= nu.min() <= nu.max() <= high + 1e-12
        return self.share @ self.loss.conjugate(np.clip(nu, low, high))

    def projected(self, nu):
        """The nearest nu, under the weights, whose slopes are the penalty's."""
        wanted = self.objective.penalty.subgradient(self.coef, np.zeros(3))
        A = self.X
        if self.objective.rows.fit_intercept:
            A, wanted = np.column_stack([A, np.ones(len(A))]), np.append(wanted, 0.0)
        # in units in which the normal equations are well conditioned
        size = np.abs(A).max(axis=0)
        A, wanted = A / size, wanted / size
        gram = (A * self.share[:, None]).T @ A
        return nu - A @ np.linalg.solve(gram, A.T @ (self.share * nu) - wanted)

    def share_allowed(self, nu):
        """The largest multiple of nu within the domain of the conjugate and the joint scale's."""
        low, high = self.loss.conjugate_domain
        share = min([1.0, *(high / nu[nu > high]), *(low / nu[nu < low])])
        if self.objective.joint:
            # as rho*(c nu) <= c rho*(nu), and no further
            share *= min(1.0, self.objective.kappa / self.conjugate(share * nu))
        return share

    def gap(self, nu, **options):
        return dual_gap_from(self.objective, self.coef, self.residual, self.value, nu, **options)


@pytest.mark.parametrize(
    ("name", "coordinates"),
    [("none", separable), ("none", white), ("lasso", separable), ("signs", separable)],
)
@pytest.mark.parametrize("size", [0.4, 4.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("unit", [1.0, 1e160])
@pytest.mark.parametrize(
    ("loss", "scale"), [(Huber(), None), (Huber(), 3.0), (LogCosh(), 3.0), (Quantile(0.1), 3.0)]
)
def test_the_dual_point_is_projected_and_shrunk_no_more_than_it_must(
    loss, scale, unit, fit_intercept, size, name, coordinates
):
    case = Case(loss, scale, PENALTIES[name], coordinates, unit, fit_intercept)
    nu = size * case.psi
    expected = case.projected(nu)
    share = case.share_allowed(expected)
    gap = case.gap(nu)
    slopes = case.slopes(share * expected) * [1 / unit, 1.0, 1.0]
    assert np.abs(slopes).max() <= case.objective.penalty.slope + 1e-12
    assert gap == pytest.approx(case.value - case.dual(share * expected), rel=1e-9)
    # a joint scale's share comes after
    np.testing.assert_allclose(nu / np.abs(nu).max(), expected / np.abs(expected).max(), atol=1e-9)


@pytest.mark.parametrize("loss", [Huber(), LogCosh()], ids=repr)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("name", "unit"), [*((name, 1.0) for name in PENALTIES if name != "none"), ("lasso", 1e145)]
)
def test_a_nu_that_is_not_cleaned_is_shrunk_until_it_is_allowed(loss, scale, name, unit):
    """Slopes are left as they are, and what nothing balances proves nothing."""
    case = Case(loss, SCALES[scale], PENALTIES[name], unit=unit)
    nu = 1.3 * case.psi
    nu -= case.share @ nu
    for sign in (1.0, -1.0):
        own = sign * nu
        penalty, slopes = case.objective.penalty, case.slopes(own)
        share, steepness = case.share_allowed(own), penalty.steepness(slopes).max()
        if penalty.slope and not penalty.root_curvature and steepness > 0.0:
            first = min(1.0, penalty.slope / steepness)
            share = min(share, first * case.share_allowed(first * own))
        left = own.copy()
        gap = case.gap(left, cleaning=0)
        if name == "signs" and slopes.max() > 0.0:
            assert gap == np.inf
            continue
        np.testing.assert_allclose(left / np.abs(left).max(), own / np.abs(own).max(), atol=1e-12)
        assert gap == pytest.approx(max(case.value - case.dual(share * own), 0.0), rel=1e-9)


@pytest.mark.parametrize("size", [1.0, 1e-3])
@pytest.mark.parametrize("scale", SCALES)
def test_slopes_on_the_side_of_the_sign_are_balanced(scale, size):
    """Of a coefficient at 0 that must not be negative; beyond it not even ones that are faint."""
    case = Case(Huber(), SCALES[scale], PENALTIES["signs"])
    rest = case.projected(0.5 * size * case.psi)  # without any slope, of the intercept neither
    columns = np.column_stack([case.X, np.ones(len(case.X))])
    along = columns @ np.linalg.solve((columns * case.share[:, None]).T @ columns, np.eye(4)[0])
    for slope, allowed in [(-1e-3, True), (1e-3, False), (1e-8, False), (1e-13, True)]:
        slope *= size
        nu = rest + slope * along
        np.testing.assert_allclose(case.slopes(nu), [slope, 0.0, 0.0], atol=1e-14)
        gap = case.gap(nu, cleaning=0)
        expected = case.share_allowed(nu) * nu
        if allowed:
            bound = case.value - case.dual(expected)
            assert gap == pytest.approx(bound, rel=1e-9)
        else:
            assert gap == np.inf


@pytest.mark.parametrize("name", ["none", "ridge", "lasso"])
def test_the_newton_step_of_the_dual_point_is_that_of_any_coordinates(name):
    """For very many columns it comes from products with the Hessian."""
    points = []
    for coordinates in (white, scaled):
        if name == "lasso" and coordinates is white:
            coordinates = separable
        case = Case(LogCosh(), None, PENALTIES[name], coordinates)
        if name == "lasso" and coordinates is scaled:
            continue  # coordinates that a kinked penalty never gets
        here = case.objective.evaluate(case.theta, curvature_to_start_from(case.objective))
        points.append(dual_point(case.objective, here))
    for other in points[1:]:
        np.testing.assert_allclose(other, points[0], rtol=1e-7, atol=1e-9)


def test_without_a_newton_step_the_dual_point_is_psi(monkeypatch):
    case = Case(LogCosh(), 3.0, {})
    here = case.objective.evaluate(case.theta)
    infinite = np.full((case.objective.size, case.objective.size), np.inf)
    monkeypatch.setattr(certificate, "hessian_at", lambda *_: (infinite, None))
    np.testing.assert_allclose(dual_point(case.objective, here), case.psi, rtol=1e-12)


@pytest.mark.parametrize("copies", [1, 7])
def test_slopes_count_as_balanced_beside_the_size_of_psi(copies):
    """Whose mean square does not depend on how often the rows are there."""
    case = Case(Huber(), None, {}, white, copies=copies)
    here = case.objective.evaluate(case.theta)
    size = np.sqrt(case.share @ case.psi**2)
    for j in range(4):
        for factor in (0.99, 1.01):
            excess = np.zeros(case.objective.size)
            excess[j] = -factor * SMALL_GRADIENT * size
            assert is_balanced(case.objective, here.sums, excess) == (factor < 1)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("loss", [Huber(), Huber(0.05), LogCosh()], ids=repr)
def test_the_bound_of_psi_from_sums_is_that_of_psi(loss, name, scale):
    """Shrunk into the L1 norm and the joint scale's constraint; psi itself is in the domain."""
    # without an intercept, whose slope psi would have to balance
    case = Case(loss, SCALES[scale], PENALTIES[name], fit_intercept=False)
    objective, psi = case.objective, case.psi
    here = objective.evaluate(case.theta)
    beta, _, sigma = objective.unpack(case.theta)
    share, steepness = 1.0, objective.penalty.steepness(case.slopes(psi)).max()
    if objective.penalty.slope and not objective.penalty.root_curvature and steepness > 0:
        share = min(share, objective.penalty.slope / steepness)
    mean = case.conjugate(psi)
    if objective.joint:
        share = min(share, objective.kappa / mean)
    dual = share * (case.share @ (psi * case.residual))
    if not objective.penalty.is_none:  # without one the slopes are balanced
        dual += objective.penalty.fenchel(share * case.slopes(psi), case.coef)
    if not objective.joint:
        dual -= objective.scale * mean
    gap = gap_of_psi(objective, here.sums, beta, sigma, here.value)
    assert gap == pytest.approx(max(case.value - dual, 0.0), rel=1e-9)

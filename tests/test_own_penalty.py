"""Penalties of one's own: the group lasso of the documentation, and what check_penalty finds."""

from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pytest
from _cases import contaminated
from _documented import names_of
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from robustreg import MRegressor
from robustreg.losses import Huber, PseudoHuber
from robustreg.penalties import ElasticNet, Penalty, check_penalty
from robustreg.penalties._kinks import Kinks
from robustreg.solvers import SOLVERS, Estimate, SolverSpec, select_solver

NAMES = names_of("extending.md", "Lengths")
GroupLasso, Lengths = NAMES["GroupLasso"], NAMES["Lengths"]
RIGHT = [
    ElasticNet(),
    ElasticNet(0.3),
    ElasticNet(0.3, 1.0),
    ElasticNet(0.3, 0.4, unit=2.0),
    ElasticNet(positive=True),
    ElasticNet(0.3, 0.4, positive=True),
    ElasticNet(0.3, 1.0, positive=True),
    GroupLasso(((0, 2), (1, 3, 4)), 0.7),
    GroupLasso(((0,), (1,), (2,), (3, 4)), 2.0),
]


@pytest.mark.parametrize("penalty", RIGHT, ids=repr)
def test_right_penalties_pass(penalty):
    assert check_penalty(penalty, 5) is None


@pytest.mark.parametrize("penalty", ["lasso", ElasticNet, None])
def test_what_is_no_penalty_is_refused(penalty):
    with pytest.raises(TypeError, match="penalty must be a Penalty object such as"):
        check_penalty(penalty, 3)


class Shifted(ElasticNet):
    def value(self, coef):
        return super().value(coef) + 0.1


class Negative(ElasticNet):
    def value(self, coef):
        return -super().value(coef)


class Flat(ElasticNet):
    def subgradient(self, coef, near, tiny=0.0):
        return 0.5 * super().subgradient(coef, near, tiny)


class Steep(ElasticNet):
    def subgradient(self, coef, near, tiny=0.0):
        return super().subgradient(coef, near, tiny) + 2.0 * self.slope * (coef == 0.0)


class Low(ElasticNet):
    def conjugate(self, slope):
        return 0.9 * super().conjugate(slope)


class High(ElasticNet):
    def conjugate(self, slope):
        return 1.1 * super().conjugate(slope)


class Wide(ElasticNet):
    def share_within(self, slope):
        return 1.0


class Narrow(ElasticNet):
    def share_within(self, slope):
        return 0.5 * super().share_within(slope)


class Unit(ElasticNet):
    def in_units(self, coef_unit, value_unit):
        return self


class Smooth(ElasticNet):
    def kinks(self, factor, size):
        return None


def with_kinks(**members):
    """An elastic net whose kinks have some methods replaced."""
    own = type("Own", (Kinks,), members)

    class Mine(ElasticNet):
        def kinks(self, factor, size):
            right = super().kinks(factor, size)
            return own(right.slopes, right.positive)

    return Mine


WRONG = {
    "value at 0": (Shifted(0.3, 0.5), r"Shifted.value\(\[0, 0, 0, 0\]\) is 0.1, but it must be 0"),
    "value below 0": (
        Negative(0.3, 0.5),
        r"Negative.value\(.*\) is -.*, but it must be at least 0",
    ),
    "subgradient": (Flat(0.3), r"Flat\.(subgradient\(.*value rises|conjugate)"),
    "subgradient at 0": (Steep(0.3, 1.0), r"Steep.subgradient\(.*\) is .*, but value rises by"),
    "low conjugate": (Low(0.3), r"Low.conjugate\(.*\) is .*, but slope'beta - pen\(beta\) is"),
    "high conjugate": (High(0.3), r"High.conjugate\(.*\) is .*, but it must be slope'beta - pen"),
    "wide": (Wide(0.3, 1.0), r"Wide.conjugate\(.*\) is 0, but slope'beta - pen\(beta\) is .*e"),
    "narrow": (
        Narrow(0.3, 1.0),
        r"Narrow.share_within\(.*\) is 0.5, but a subgradient must have 1",
    ),
    "units": (Unit(0.3), r"Unit.in_units\(.*\).value\(.*\) is .*, but it must be"),
    "no kinks": (Smooth(0.3, 1.0), "Smooth.kinks returns None, but kinked is True"),
    "change": (
        with_kinks(change=lambda self, x, step: 0.0)(0.3, 1.0),
        r"Mine.kinks\(...\).change\(.*\) is 0, but h\(x \+ step\) - h\(x\) is",
    ),
    "derivatives": (
        with_kinks(derivatives=lambda self, x, step: (0.0, 0.0))(0.3, 1.0),
        r"Mine.kinks\(...\).derivatives\(.*\) from the (left|right) is 0, but that of value is",
    ),
    "excess": (
        with_kinks(excess=lambda self, x, gradient: gradient)(0.3, 1.0),
        r"Mine.kinks\(...\).excess\(.*\) is .*, but against it f \+ h changes by",
    ),
    "step": (
        with_kinks(step=lambda self, hessian, gradient, x: np.zeros_like(x))(0.3, 1.0),
        r"Mine.kinks\(...\).step\(.*\) is .*, but the slopes left at its end are",
    ),
    "no step": (
        with_kinks(step=lambda self, hessian, gradient, x: None)(0.3, 1.0),
        r"Mine.kinks\(...\).step is None, but the matrix is regular",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name):
    penalty, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        check_penalty(penalty, 4)
    X, y = contaminated(p=4)
    model = MRegressor(penalty=penalty)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


MODELS = {
    "joint": MRegressor(Huber(1.345)),
    "fixed": MRegressor(PseudoHuber(1.0), scale=2.0),
    "mad": MRegressor("log_cosh", scale="mad"),
    "squares": MRegressor("half_squared", scale=1.0),
    "origin": MRegressor("huber", fit_intercept=False),
}


@pytest.mark.parametrize(("name", "weighted"), zip(MODELS, cycle([False, True]), strict=False))
def test_groups_of_one_are_the_lasso(name, weighted):
    X, y = contaminated(n=80, p=4)
    weight = np.resize([1.0, 0.0, 2.5], 80) if weighted else None
    alone = GroupLasso(((0,), (1,), (2,), (3,)), 0.4)
    for form in (np.asarray, sparse.csr_matrix):
        model = clone(MODELS[name]).set_params(penalty=alone).fit(form(X), y, weight)
        lasso = clone(MODELS[name]).set_params(alpha=0.4, l1_ratio=1.0).fit(form(X), y, weight)
        assert model.objective_ == pytest.approx(lasso.objective_, rel=1e-12)
        np.testing.assert_allclose(model.coef_, lasso.coef_, rtol=1e-7, atol=1e-10)
        assert model.scale_ == pytest.approx(lasso.scale_, rel=1e-7)
        assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("alpha", [0.05, 0.5, 2.0])
def test_nothing_is_lower_than_the_group_lasso(alpha):
    """BFGS on lengths that are rounded off at 1e-9 finds the same minimum."""
    X, y = contaminated(n=80, p=5)
    groups = ((0, 1), (2, 3, 4))
    model = MRegressor(Huber(1.345), scale=1.0, penalty=GroupLasso(groups, alpha)).fit(X, y)

    def value(theta, least):
        residual = np.abs(y - X @ theta[:5] - theta[5])
        inner = np.minimum(residual, 1.345)
        lengths = [np.sqrt(np.sum(theta[list(g)] ** 2) + least**2) for g in groups]
        return np.mean(inner * (residual - inner / 2)) + alpha * sum(lengths)

    at = np.append(model.coef_, model.intercept_)
    assert value(at, 0.0) == pytest.approx(model.objective_, rel=1e-12)
    other = minimize(value, np.zeros(6), args=(1e-9,), method="Powell", options={"maxiter": 5000})
    assert model.objective_ <= other.fun * (1 + 1e-9)
    assert model.objective_ == pytest.approx(other.fun, rel=1e-3)
    assert model.dual_gap_ <= 1e-9 * model.objective_


@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_the_fit_moves_with_the_units_of_y(unit):
    X, y = contaminated(n=80, p=4)
    model = MRegressor(penalty=GroupLasso(((0, 1), (2, 3)), 0.4)).fit(X, y)
    wanted = model.coef_ * unit, model.objective_ * unit
    model.fit(X, unit * y)
    np.testing.assert_allclose(model.coef_, wanted[0], rtol=1e-9)
    assert model.objective_ == pytest.approx(wanted[1], rel=1e-12)


@pytest.mark.parametrize("gross", [1e12, 1e20])
def test_gross_errors_have_no_say(gross):
    X, y = contaminated(n=80, p=4)
    model = MRegressor("huber", penalty=GroupLasso(((0, 1), (2, 3)), 0.4))
    y[3] = 1e9
    wanted = model.fit(X, y).coef_
    y[3] = gross
    np.testing.assert_allclose(model.fit(X, y).coef_, wanted, rtol=1e-4)
    assert model.converged_


@dataclass(frozen=True)
class Lasso(Penalty):
    """An L1 norm that nobody knows to be one."""

    own: ElasticNet

    @property
    def slope(self):
        return self.own.slope

    def value(self, coef):
        return self.own.value(coef)

    def subgradient(self, coef, near, tiny=0.0):
        return self.own.subgradient(coef, near, tiny)

    def conjugate(self, slope):
        return self.own.conjugate(slope)

    def share_within(self, slope):
        return self.own.share_within(slope)

    def kinks(self, factor, size):
        return self.own.kinks(factor, size)

    def in_units(self, coef_unit, value_unit):
        return Lasso(self.own.in_units(coef_unit, value_unit))


@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_more_columns_than_rows(alpha):
    g = np.random.default_rng(0)
    X = g.normal(size=(30, 60))
    y = X[:, 0] - X[:, 1] + 0.1 * g.standard_t(2, size=30)
    model = MRegressor("huber", scale=0.5, penalty=Lasso(ElasticNet(alpha, 1.0))).fit(X, y)
    lasso = MRegressor("huber", scale=0.5, alpha=alpha, l1_ratio=1.0, solver="newton").fit(X, y)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, lasso.coef_, rtol=1e-7, atol=1e-12)


@dataclass(frozen=True)
class Ridge(Penalty):
    """A quadratic penalty without kinks, which leaves everything else to the base class."""

    root: float

    @property
    def root_curvature(self):
        return self.root

    def value(self, coef):
        return 0.5 * float(np.sum((self.root * coef) ** 2))

    def subgradient(self, coef, near, tiny=0.0):
        return self.gradient(coef)

    def conjugate(self, slope):
        return 0.5 * float(np.sum((slope / self.root) ** 2))

    def share_within(self, slope):
        return 1.0

    def kinks(self, factor, size):
        return None

    def in_units(self, coef_unit, value_unit):
        return Ridge(self.root * coef_unit / value_unit**0.5)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 5.0])
def test_a_penalty_without_kinks_is_a_ridge(alpha):
    X, y = contaminated(n=80, p=4)
    penalty = Ridge(alpha**0.5)
    assert check_penalty(penalty, 4) is None
    assert (penalty.slope, penalty.positive, penalty.kinked, penalty.is_none) == (0, 0, 0, 0)
    assert penalty.ridge == pytest.approx(alpha, rel=1e-15)
    own = MRegressor(Huber(1.345), scale=1.0, penalty=penalty).fit(X, y)
    ridge = MRegressor(Huber(1.345), scale=1.0, alpha=alpha).fit(X, y)
    assert own.objective_ == pytest.approx(ridge.objective_, rel=1e-12)
    np.testing.assert_allclose(own.coef_, ridge.coef_, rtol=1e-9)
    assert own.dual_gap_ <= 1e-9 * own.objective_


@pytest.mark.parametrize("penalty", [Ridge(0.3), GroupLasso(((0, 2), (1,)), 0.1)], ids=repr)
@pytest.mark.parametrize(("unit", "scale"), [(1e-170, 1.0), (1e-170, 1e170), (1e160, 1.0)])
def test_squares_beyond_the_range_of_float64_are_an_error(penalty, unit, scale):
    X, y = contaminated(n=80, p=3)
    with pytest.raises(ValueError, match="The objective of this fit cannot be represented"):
        MRegressor("half_squared", scale=scale, penalty=penalty).fit(X, unit * y)


def test_an_exact_plane_is_left_with_its_gap():
    """A certificate at scale 0 would take a linear programme of the penalty."""
    g = np.random.default_rng(0)
    X = g.normal(size=(60, 4))
    y = X[:, 0] + np.where(np.arange(60) < 5, 10.0, 0.0)
    model = MRegressor(Huber(3.0), alpha=1e-3, l1_ratio=1.0).fit(X, y)
    wanted = model.coef_
    assert model.scale_ == 0.0
    model.set_params(alpha=0.0, penalty=Lasso(ElasticNet(1e-3, 1.0)))
    with pytest.warns(ConvergenceWarning, match="duality gap"):
        model.fit(X, y)
    np.testing.assert_allclose(model.coef_, wanted, atol=1e-3)
    assert model.dual_gap_ <= model.objective_


def test_beside_a_penalty_there_is_no_other():
    X, y = contaminated(n=40, p=4)
    penalty = GroupLasso(((0, 1), (2, 3)), 0.4)
    for other in ({"alpha": 0.1}, {"positive": True}):
        name = next(iter(other))
        with pytest.raises(ValueError, match=rf"{name} must be .* beside a penalty"):
            MRegressor(penalty=penalty, **other).fit(X, y)


@pytest.mark.parametrize("solver", ["lbfgs", "working_set"])
def test_solvers_that_do_not_take_it_say_so(solver):
    penalty = GroupLasso(((0, 1), (2, 3)), 0.4)
    with pytest.raises(ValueError, match="does not support"):
        select_solver("huber", n_features=4, penalty=penalty, solver=solver)
    assert select_solver("huber", n_features=4, penalty=penalty) == "newton"


def test_columns_in_other_units_are_the_same_columns():
    X, y = contaminated(n=80, p=4)
    penalty = GroupLasso(((0, 1), (2, 3)), 0.4)
    coef = MRegressor(penalty=penalty).fit(X, y).coef_
    wide = MRegressor(penalty=replace(penalty, alpha=0.4 * 2.0**20)).fit(X * 2.0**20, y)
    np.testing.assert_allclose(wide.coef_ * 2.0**20, coef, rtol=1e-10)


def test_a_solver_of_ones_own_may_take_it(monkeypatch):
    """Its fits are judged as others are; of scale 0 nothing is known under such a penalty."""
    X, y = contaminated(n=80, p=4)
    wanted = MRegressor(penalty=Lasso(ElasticNet(0.3, 1.0))).fit(X, y)
    for sigma in (wanted.scale_, 0.0):

        def there(problem, *, start, max_iter, tol, sigma=sigma):
            coef, intercept = problem.in_own_units(wanted.coef_, wanted.intercept_)
            return Estimate(coef, intercept, sigma / problem.y_unit)

        spec = SolverSpec(there, "smooth", joint_scale=True, ridge=True, any_penalty=True)
        monkeypatch.setitem(SOLVERS, "there", spec)
        model = clone(wanted).set_params(solver="there")
        if sigma:
            assert model.fit(X, y).dual_gap_ <= 1e-9 * wanted.objective_
            continue
        with pytest.warns(ConvergenceWarning, match="duality gap"):
            model.fit(X, y)
        assert model.dual_gap_ == model.objective_

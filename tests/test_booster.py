"""Objectives of boosted trees: derivatives of a stated sum, parabolas above it, and boosters."""

import copy
import itertools
import pickle
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from robustreg import MRegressor
from robustreg.losses import (
    LOSSES,
    Absolute,
    Bisquare,
    BoosterObjective,
    Cauchy,
    ConvexLoss,
    EpsilonInsensitive,
    Hampel,
    Huber,
    LogCosh,
    PseudoHuber,
    Quantile,
    ResidualLoss,
    SmoothL1,
    booster_objective,
)
from robustreg.scale import mad

CASES = [
    *(loss_class() for loss_class in LOSSES.values()),
    SmoothL1(0.0),
    SmoothL1(30.0),
    Quantile(0.9),
    EpsilonInsensitive(0.0),
    EpsilonInsensitive(3.0),
]
SMOOTH = [loss for loss in CASES if loss.smoothness > 0]
KINKED = [loss for loss in CASES if loss.smoothness == 0]
JOINT = [loss for loss in CASES if loss.convex and loss.homogeneity != 1]


def by_name(cases):
    return pytest.mark.parametrize("loss", cases, ids=repr)


def sample(n=60, seed=0):
    """Targets, predictions and weights; residuals of all sizes up to some hundred scales."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    prediction = target - 2.0 * rng.standard_t(1.5, size=n)
    weight = rng.integers(0, 4, n).astype(float)
    weight[:2] = 0.5, 0.0
    return target, prediction, weight


def scale_of(loss, scale, r, weight):
    """The scale that the documentation promises."""
    if scale == "mad":
        return mad(r, weight, center=0.0)
    if scale == "joint":
        return joint_by_bisection(loss, r, weight)
    return scale


def joint_by_bisection(loss, r, weight):
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = np.sqrt(low * high)
        left = np.average(loss.conjugate_of_psi(r / middle), weights=weight)
        low, high = (middle, high) if left > loss.kappa else (low, middle)
    return low


def total(loss, sigma, r, weight=1.0):
    return np.sum(weight * sigma**2 * loss.rho(r / sigma))


# ---- derivatives


@pytest.mark.parametrize(
    ("loss", "scale"),
    [(loss, scale) for loss in CASES for scale in (0.7, "mad")]
    + [(loss, "joint") for loss in JOINT],
    ids=repr,
)
def test_gradient_is_the_derivative_of_the_documented_sum(loss, scale):
    target, prediction, weight = sample()
    gradient, hessian = booster_objective(loss, scale)(target, prediction, weight)
    assert gradient.dtype == hessian.dtype == np.float64
    sigma = scale_of(loss, scale, target - prediction, weight)
    step = 1e-5 * sigma

    def losses(shift):
        return weight * sigma**2 * loss.rho((target - prediction - shift) / sigma)

    numeric = (losses(step) - losses(-step)) / (2.0 * step)
    z = (target - prediction) / sigma
    # The joint scale of the epsilon-insensitive loss puts a row on the edge of the tube.
    smooth = np.abs(np.subtract.outer(z, [*loss.kinks(), np.inf])).min(axis=1) > 1e-4
    assert np.sum(smooth) >= len(z) - 1
    assert_allclose(gradient[smooth], numeric[smooth], rtol=1e-5, atol=2e-5 * sigma)


def expected_hessian(loss, z):
    """Written out from the documentation."""
    if isinstance(loss, (Absolute, Quantile, EpsilonInsensitive)) or loss == SmoothL1(0.0):
        kinks = loss.kinks()
        jump = 1.0 if len(kinks) == 2 or isinstance(loss, Quantile) else 2.0
        hessian = sum(jump / 2 / max(abs(z - kink), 1.0) for kink in kinks)
        return max(hessian, 0.2 * len(kinks) * jump / 2)
    at_zero = float(loss.psi_prime(0.0))
    return max(float(loss.psi(z)) / z if z else at_zero, 0.2 * at_zero)


@by_name(CASES)
def test_hessian_is_the_documented_one(loss):
    r = np.concatenate([[0.0], np.geomspace(1e-8, 1e8, 60), -np.geomspace(1e-8, 1e8, 60)])
    r = np.concatenate([r, loss.kinks()])
    sigma = 3.0
    _, hessian = booster_objective(loss, scale=sigma)(sigma * r, np.zeros_like(r))
    expected = [expected_hessian(loss, z) for z in sigma * r / sigma]
    assert_allclose(hessian, expected, rtol=1e-12)
    assert (hessian > 0.0).all()


@by_name(SMOOTH)
def test_hessian_is_the_second_derivative_in_the_centre(loss):
    r = np.array([-1e-4, 1e-4])
    _, hessian = booster_objective(loss, scale=1.0)(r, [0.0, 0.0])
    second = (loss.psi(r + 1e-5) - loss.psi(r - 1e-5)) / 2e-5
    assert_allclose(hessian, second, rtol=1e-6)


@by_name(CASES)
def test_parabola_lies_above_the_loss(loss):
    """Within one scale of a kink it may lie below by what the documentation says, and does."""
    z = np.concatenate([np.linspace(-12.0, 12.0, 241), [0.01, -0.01, 40.0, -300.0, 1e4]])
    gradient, hessian = booster_objective(loss, scale=1.0)(z, np.zeros_like(z))
    to = np.concatenate([np.linspace(-30.0, 30.0, 601), [-1e4, 400.0]])[:, np.newaxis]
    step = z - to  # of the prediction
    parabola = loss.rho(z) + gradient * step + 0.5 * hessian * step**2
    rounding = 1e-12 * (1.0 + loss.rho(z) + np.abs(gradient * step) + hessian * step**2)
    missing = np.max(loss.rho(to) - parabola - rounding, axis=0)
    if loss.smoothness > 0:
        assert missing.max() <= 0.0
        return
    kinks = np.array(loss.kinks())
    jump = 1.0 if len(kinks) == 2 or isinstance(loss, Quantile) else 2.0
    allowed = sum(jump * np.maximum(1.0 - np.abs(z - kink), 0.0) for kink in kinks)
    assert (missing <= allowed + 1e-9).all()
    assert missing.max() > 0.5 * jump  # so that the documentation has to mention it


@dataclass(frozen=True)
class Both(ConvexLoss):
    """A kink and a parabola: psi jumps, and psi' is not 0 elsewhere."""

    smoothness = 0
    curvature = np.inf
    elicits = "location"

    def kinks(self):
        return (0.0,)

    def _rho(self, r):
        return np.abs(r) + 0.5 * r * r

    def _psi(self, r):
        return np.sign(r) + r

    def _psi_prime(self, r):
        return np.ones_like(r)

    def _weights(self, r):
        return 1.0 / np.abs(r) + 1.0

    def _conjugate(self, v):
        return 0.5 * np.maximum(np.abs(v) - 1.0, 0.0) ** 2


@dataclass(frozen=True)
class Cut(ResidualLoss):
    """A parabola that ends in a plateau: psi jumps back to 0."""

    smoothness = 0
    redescending = True

    def kinks(self):
        return (-1.0, 1.0)

    def _rho(self, r):
        return np.minimum(0.5 * r * r, 0.5)

    def _psi(self, r):
        return np.where(np.abs(r) <= 1.0, r, 0.0)

    def _psi_prime(self, r):
        return np.where(np.abs(r) <= 1.0, 1.0, 0.0)


def test_losses_of_ones_own_may_have_corners_and_curves():
    r = np.array([0.0, 0.5, -4.0, 100.0])
    _, hessian = booster_objective(Both(), scale=1.0)(r, np.zeros(4))
    assert_allclose(hessian, [2.0, 2.0, 1.25, 1.01])
    gradient, hessian = booster_objective(Cut(), scale=1.0)(r, np.zeros(4))
    assert_allclose(gradient, [0.0, -0.5, 0.0, 0.0])
    assert_allclose(hessian, [1.0, 1.0, 0.2, 0.2])


# ---- descent


def leaf_steps(gradient, hessian, rng, n_leaves=7):
    """What a tree adds to predictions, its leaves being a partition at random."""
    leaf = rng.integers(0, n_leaves, len(gradient))
    sums = np.bincount(leaf, gradient, n_leaves), np.bincount(leaf, hessian, n_leaves)
    return (-sums[0] / sums[1])[leaf]


@by_name(SMOOTH)
@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_no_tree_raises_the_sum_at_a_fixed_scale(loss, rate):
    target, prediction, weight = sample(200, seed=1)
    objective, rng = booster_objective(loss, scale=0.5), np.random.default_rng(2)
    before = start = total(loss, 0.5, target - prediction, weight)
    for _ in range(30):
        gradient, hessian = objective(target, prediction, weight)
        prediction = prediction + rate * leaf_steps(gradient, hessian, rng)
        after = total(loss, 0.5, target - prediction, weight)
        assert after <= before * (1.0 + 1e-12)
        before = after
    assert before < start


@by_name(KINKED)
def test_trees_lower_the_sum_of_losses_with_kinks_as_well(loss):
    target, prediction, weight = sample(200, seed=1)
    objective, rng = booster_objective(loss, scale=0.5), np.random.default_rng(2)
    start = total(loss, 0.5, target - prediction, weight)
    for _ in range(30):
        gradient, hessian = objective(target, prediction, weight)
        prediction = prediction + 0.3 * leaf_steps(gradient, hessian, rng)
    assert total(loss, 0.5, target - prediction, weight) < 0.97 * start


@by_name([Huber(), PseudoHuber(), LogCosh()])
def test_trees_and_joint_scale_descend_on_one_function(loss):
    target, prediction, weight = sample(200, seed=1)
    objective, rng = booster_objective(loss, scale="joint"), np.random.default_rng(2)
    before, values = np.inf, []
    for _ in range(12):
        sigma = scale_of(loss, "joint", target - prediction, weight)
        rho = loss.rho((target - prediction) / sigma)
        after = np.sum(weight * sigma * (rho + loss.kappa))
        assert after <= before * (1.0 + 1e-12)
        before = after
        values.append(after)
        gradient, hessian = objective(target, prediction, weight)
        prediction = prediction + leaf_steps(gradient, hessian, rng)
    assert values[-1] < values[0]


# ---- the scale


def test_mad_is_that_of_the_scale_unit():
    """Weights in single precision, as the libraries hold them, still meet in the middle."""
    target, prediction, weight = sample()
    equal = np.full(60, 0.1, dtype=np.float32)
    for weights, used in ((None, None), (weight, weight), (equal, None)):
        gradient, _ = booster_objective("absolute")(target, prediction, weights)
        unit = gradient if weights is None else gradient[weights > 0] / weights[weights > 0]
        expected = mad(target - prediction, used, center=0.0)
        assert_allclose(np.abs(unit), expected, rtol=1e-7 if weights is equal else 1e-14)


@by_name([loss for loss in JOINT if loss.homogeneity is None and loss.smoothness > 0])
def test_joint_scale_is_that_of_a_linear_fit(loss):
    rng = np.random.default_rng(3)
    y, weight = 7.0 + rng.standard_t(2, size=301), rng.integers(1, 4, 301).astype(float)
    fit = MRegressor(loss, tol=1e-12).fit(np.zeros((301, 1)), y, sample_weight=weight)
    gradient, _ = booster_objective(loss, "joint")(y, np.full(301, fit.intercept_), weight)
    r = y - fit.intercept_
    assert_allclose(gradient, -weight * fit.scale_ * loss.psi(r / fit.scale_), rtol=1e-5, atol=1e-9)


def test_joint_scale_is_found_wherever_it_is():
    r, loss = np.array([1.0, -1.0, 1.0]), PseudoHuber(0.1)  # sigma is larger than any residual
    sigma = joint_by_bisection(loss, r, None)
    assert sigma > 2.0
    gradient, _ = booster_objective(loss, "joint")(r, np.zeros(3))
    assert_allclose(gradient, -sigma * loss.psi(r / sigma), rtol=1e-9)
    objective, loss = booster_objective("huber", "joint"), Huber()
    r = np.random.default_rng(5).normal(size=200)
    r[:20] = 1e200  # 460 powers of e above the scale
    far, _ = objective(r, np.zeros(200))
    r[:20] = 1e8
    near, _ = objective(r, np.zeros(200))
    assert_allclose(far, near, rtol=1e-9)
    assert_allclose(far[:20], -loss.delta * joint_by_bisection(loss, r, None), rtol=1e-9)
    least, _ = booster_objective("half_squared", "joint")([0.0, 1.0], np.zeros(2), [1.0, 1e-300])
    assert_allclose(least, [0.0, -1e-300])


@pytest.mark.parametrize("scale", ["mad", "joint"])
@pytest.mark.parametrize("unit", [1e-280, 1e-3, 1e12, 1e280])
def test_scale_goes_with_the_unit_of_y(scale, unit):
    target, prediction, weight = sample()
    objective = booster_objective("huber", scale)
    gradient, hessian = objective(target, prediction, weight)
    scaled = objective(unit * target, unit * prediction, weight)
    assert_allclose(scaled[0], unit * gradient, rtol=1e-9)
    assert_allclose(scaled[1], hessian, rtol=1e-9)


@pytest.mark.parametrize("scale", ["mad", "joint"])
@pytest.mark.parametrize("weight", [None, np.array([1.0] * 9 + [0.5, 0.0])])
def test_residuals_of_zero_that_are_the_majority_are_left_out(scale, weight):
    r = np.zeros(11)
    r[:2], r[-2:] = (3.0, -1.0), (2.0, 100.0)
    objective = booster_objective("huber", scale)
    gradient, hessian = objective(r, np.zeros(11), weight)
    off = r != 0.0
    only = objective(r[off], np.zeros(4), None if weight is None else weight[off])
    assert_array_equal(gradient[off], only[0])
    assert_array_equal(hessian[off], only[1])
    assert_array_equal(gradient[~off], 0.0)


@pytest.mark.parametrize("scale", ["mad", "joint", 2.0])
def test_a_perfect_fit_stays_what_it_is(scale):
    objective = booster_objective("huber", scale)
    gradient, hessian = objective([1.0, 2.0], [1.0, 2.0])
    assert_array_equal(gradient, [0.0, 0.0])
    assert_array_equal(hessian, [1.0, 1.0])
    gradient, hessian = objective([1.0, 2.0, 9.0], [1.0, 2.0, 3.0], [1.0, 2.0, 0.0])
    assert_array_equal(gradient, [0.0, 0.0, 0.0])
    assert_array_equal(hessian, [1.0, 2.0, 0.0])


@by_name(CASES)
def test_extreme_residuals_give_numbers(loss):
    r = np.array([1e300, -1e300, 1e308, -1e308, 1e-300, 5e-324, 0.0, 1.0, *loss.kinks()])
    scales = ["mad", 1e-3, 1e-300, 1.0, 1e300] + ["joint"] * (loss in JOINT)
    for scale, sign in itertools.product(scales, (1.0, -1.0)):
        gradient, hessian = booster_objective(loss, scale)(sign * r, np.zeros_like(r))
        assert not np.isnan(gradient).any()
        assert np.isfinite(hessian).all()
        assert (hessian > 0.0).all()
        if np.isfinite(loss.psi(1e300)) and abs(loss.psi(1e300)) < 1e3:
            assert np.isfinite(gradient).all()


@dataclass(frozen=True)
class Far(ResidualLoss):
    """A loss whose psi is a number at 1e300, and none at infinity."""

    redescending = True

    def _rho(self, r):
        size = np.abs(r)
        return -np.expm1(-size) - size * np.exp(-size)

    def _psi(self, r):
        return r * np.exp(-np.abs(r))

    def _psi_prime(self, r):
        return (1.0 - np.abs(r)) * np.exp(-np.abs(r))


@pytest.mark.parametrize("scale", ["mad", "joint", 1e-10])
def test_what_is_out_of_range_is_far(scale):
    target, prediction = np.array([1e308, 1.0, -1.0, 1.0, -1.0, 1.0]), np.zeros(6)
    far = booster_objective("huber", scale)(target, prediction)
    prediction[0] = -1e308  # a difference that is too large for a number
    farther = booster_objective("huber", scale)(target, prediction)
    assert_allclose(farther, far, rtol=1e-9)
    if scale != "joint":
        gradient, hessian = booster_objective(Far(), scale)(target, prediction)
        assert (gradient[0], hessian[0]) == (0.0, 0.2)


# ---- weights


@pytest.mark.parametrize(
    ("loss", "scale"),
    [("huber", "mad"), ("huber", "joint"), ("bisquare", "mad"), ("absolute", 2.0)],
)
def test_weights_are_repetitions(loss, scale):
    target, prediction, _ = sample()
    weight = np.arange(60) % 4
    objective = booster_objective(loss, scale)
    weighted = objective(target, prediction, weight)
    repeated = objective(np.repeat(target, weight), np.repeat(prediction, weight))
    for one, several in zip(weighted, repeated, strict=True):
        assert_allclose(np.repeat(one, weight), np.repeat(weight, weight) * several, rtol=1e-10)
        assert_array_equal(one[weight == 0], 0.0)


# ---- refusals


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, "MAD", "s"])
def test_wrong_scales_are_refused(scale):
    with pytest.raises(ValueError, match="scale must be 'mad', 'joint' or a positive finite"):
        booster_objective("huber", scale)


@pytest.mark.parametrize("scale", [None, [1.0], 1j])
def test_scales_of_wrong_types_are_refused(scale):
    with pytest.raises(TypeError, match="scale must be 'mad', 'joint' or a positive finite"):
        booster_objective("huber", scale)


@by_name([loss for loss in CASES if loss not in JOINT])
def test_joint_scale_needs_a_loss_that_has_one(loss):
    reason = "no scale is better than another" if loss.convex else "is not convex"
    with pytest.raises(ValueError, match=reason):
        booster_objective(loss, "joint")


def test_wrong_losses_are_refused():
    with pytest.raises(ValueError, match="loss must be one of"):
        booster_objective("hubber")
    with pytest.raises(TypeError, match="loss must be"):
        booster_objective(Huber)
    with pytest.raises(TypeError, match="loss must be a ResidualLoss"):
        BoosterObjective("huber")


def test_wrong_arrays_are_refused():
    objective = booster_objective("huber")
    with pytest.raises(ValueError, match="y_true and y_pred must have the same shape"):
        objective([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match=r"one-dimensional, got shape \(1, 2\)"):
        objective([[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="y_pred must be finite"):
        objective([1.0, 2.0], [1.0, np.nan])
    with pytest.raises(ValueError, match="sample_weight must be non-negative"):
        objective([1.0, 2.0], [1.0, 2.0], [-1.0, 1.0])


# ---- an object


def test_objective_is_a_value():
    objective = booster_objective("huber", scale=2)
    assert repr(objective) == "BoosterObjective(loss=Huber(delta=1.345), scale=2.0)"
    assert objective == eval(repr(objective))
    for other in (
        copy.deepcopy(objective),
        pickle.loads(pickle.dumps(objective)),
        clone(objective, safe=False),
    ):
        assert other == objective
        assert hash(other) == hash(objective)
    with pytest.raises(FrozenInstanceError):
        objective.scale = 1.0


# ---- boosters


def lightgbm_regressor(**parameters):
    lightgbm = pytest.importorskip("lightgbm", reason="needs LightGBM")
    return lightgbm.LGBMRegressor(verbose=-1, n_jobs=1, random_state=0, **parameters)


def xgboost_regressor(**parameters):
    xgboost = pytest.importorskip("xgboost", reason="needs XGBoost")
    return xgboost.XGBRegressor(n_jobs=1, random_state=0, base_score=0.0, **parameters)


BOOSTERS = pytest.mark.parametrize("regressor", [lightgbm_regressor, xgboost_regressor])


def table(n=1500, seed=4):
    """A smooth surface with noise of 0.3, and one in eight targets that is far too large."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.0, 1.0, size=(n, 3))
    surface = np.sin(3.0 * X[:, 0]) + X[:, 1] * X[:, 2]
    y = surface + 0.3 * rng.normal(size=n)
    wrong = y + 50.0 * (rng.random(n) < 0.125)
    return X, y, wrong


@BOOSTERS
@pytest.mark.parametrize(
    ("loss", "scale"),
    [
        ("huber", "mad"),
        ("huber", "joint"),
        ("huber", 0.3),
        ("absolute", "mad"),
        ("bisquare", "mad"),
    ],
)
def test_boosters_ignore_gross_errors(regressor, loss, scale):
    X, y, wrong = table()
    train, test = slice(0, 1000), slice(1000, None)

    def error(**parameters):
        model = regressor(n_estimators=60, learning_rate=0.1, **parameters)
        return np.median(np.abs(y - model.fit(X[train], wrong[train]).predict(X))[test])

    robust = error(objective=booster_objective(loss, scale))
    assert robust < 0.3  # of which the noise alone is 0.2
    assert robust < 0.1 * error()


@BOOSTERS
def test_boosters_count_a_weight_of_two_as_two_rows(regressor):
    X, _, wrong = table(300)
    X = X.round(1)  # few values, all of which are thresholds, so that bins do not depend on rows
    weight = 1 + np.arange(300) % 2
    model = regressor(n_estimators=8, objective=booster_objective(Cauchy()))
    limits = (
        {"min_child_samples": 1, "min_child_weight": 5.0, "min_data_in_bin": 1}
        if regressor is lightgbm_regressor
        else {"min_child_weight": 5.0, "tree_method": "exact"}
    )
    model.set_params(**limits)
    weighted = model.fit(X, wrong, sample_weight=weight).predict(X)
    repeated = model.fit(np.repeat(X, weight, axis=0), np.repeat(wrong, weight)).predict(X)
    assert_allclose(weighted, repeated, rtol=1e-3, atol=1e-5)
    plain = model.fit(X, wrong).predict(X)
    assert np.abs(plain - repeated).max() > 0.01


@BOOSTERS
def test_boosters_are_searched_over_objectives(regressor):
    X, _, wrong = table(200)
    objectives = [booster_objective(loss, 0.3) for loss in (Huber(), Bisquare(), Hampel())]
    search = GridSearchCV(regressor(n_estimators=4), {"objective": objectives}, cv=2)
    search.fit(X, wrong)
    assert search.best_estimator_.get_params()["objective"] in objectives
    again = pickle.loads(pickle.dumps(search))
    assert_array_equal(again.predict(X), search.predict(X))

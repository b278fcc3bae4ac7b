"""The base class of losses assumes no residual: three losses of other kinds, written on it here.

One of a probability; one of several predictions; one whose predictions have an axis of classes that
the losses do not have, that leaves elements out, and that has a mean of its own.
"""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from robustreg import MRegressor
from robustreg.losses import (
    LOSSES,
    ConvexLoss,
    Huber,
    Loss,
    ResidualLoss,
    check_loss,
    tuning_constant,
)
from robustreg.plotting import LossDisplay
from robustreg.scale import m_scale
from robustreg.solvers import select_solver


def times(weight, slope):
    return slope if weight is None else weight * slope


@dataclass(frozen=True)
class Bernoulli(Loss):
    """Minus the log-likelihood of a truth value, given its probability."""

    def _check(self, y_true, *y_pred):
        truth, (probability,) = np.asarray(y_true), map(np.asarray, y_pred)
        if truth.shape != probability.shape:
            raise ValueError(f"shapes {truth.shape} and {probability.shape} differ")
        return (truth == 1, probability), truth.shape

    def _values(self, inputs):
        truth, probability = inputs
        return -np.log(np.where(truth, probability, 1.0 - probability))

    def _derivatives(self, inputs, weight):
        truth, probability = inputs
        return (times(weight, 1.0 / np.where(truth, -probability, 1.0 - probability)),)


@dataclass(frozen=True)
class Gaussian(Loss):
    """Minus the log-likelihood of a number, given its mean and its variance."""

    n_predictions = 2

    def _check(self, y_true, *y_pred):
        target, mean, variance = np.broadcast_arrays(y_true, *y_pred)
        return (target - mean, variance), target.shape

    def _values(self, inputs):
        r, variance = inputs
        return 0.5 * (np.log(variance) + r * r / variance)

    def _derivatives(self, inputs, weight):
        r, variance = inputs
        by_variance = 0.5 * (1.0 - r * r / variance) / variance
        return times(weight, -r / variance), times(weight, by_variance)


@dataclass(frozen=True)
class Classes(Loss):
    """Minus the log-probability of a class among those of axis 1; one class may be left out."""

    class_weight: tuple[float, ...]
    ignored: int = -1

    def _check(self, y_true, *y_pred):
        label, (log_probability,) = np.asarray(y_true), map(np.asarray, y_pred)
        counted = label != self.ignored
        share = np.where(counted, np.array(self.class_weight)[label * counted], 0.0)
        return (label * counted, share, log_probability), label.shape

    def _values(self, inputs):
        label, share, log_probability = inputs
        taken = np.take_along_axis(log_probability, label[:, None], axis=1)[:, 0]
        return -share * taken

    def _derivatives(self, inputs, weight):
        label, share, log_probability = inputs
        slope = np.zeros(log_probability.shape)
        np.put_along_axis(slope, label[:, None], -times(weight, share)[:, None], axis=1)
        return (slope,)

    def _divisor(self, inputs, weight, shape):
        return float(times(weight, inputs[1]).sum())


RNG = np.random.default_rng(5)
CASES = {
    "probability": (Bernoulli(), RNG.integers(0, 2, (4, 3)), [RNG.uniform(0.1, 0.9, (4, 3))]),
    "several": (
        Gaussian(),
        RNG.normal(size=(4, 3)),
        [RNG.normal(size=(4, 3)), RNG.uniform(0.5, 2.0, (4, 3))],
    ),
    "classes": (
        Classes((1.0, 2.0, 0.5, 3.0, 1.5)),
        np.array([[0, 3, -1], [1, 1, 4], [-1, 2, 0], [2, 4, 3]]),
        [RNG.normal(size=(4, 5, 3))],
    ),
}
WEIGHTS = {
    "none": None,
    "elements": RNG.uniform(0.5, 2.0, (4, 3)),
    "rows": np.array([2.0, 0.0, 1.0, 0.25]),
}

every_case = pytest.mark.parametrize("case", CASES)
every_weight = pytest.mark.parametrize("kind", WEIGHTS)


def full(weight):
    """Weights of every element."""
    if weight is None:
        return np.ones((4, 3))
    return weight if weight.ndim == 2 else np.repeat(weight[:, None], 3, axis=1)


def plain_value(case, i, j):
    """One loss by its definition, and the weight that the loss itself gives to it."""
    loss, truth, predictions = CASES[case]
    if case == "probability":
        p = predictions[0][i, j]
        return -np.log(p if truth[i, j] else 1.0 - p), 1.0
    if case == "several":
        mean, variance = predictions[0][i, j], predictions[1][i, j]
        return 0.5 * np.log(variance) + (truth[i, j] - mean) ** 2 / (2.0 * variance), 1.0
    label = truth[i, j]
    if label == -1:
        return 0.0, 0.0
    return -loss.class_weight[label] * predictions[0][i, label, j], loss.class_weight[label]


@every_case
@every_weight
def test_reductions(case, kind):
    loss, truth, predictions = CASES[case]
    weight = WEIGHTS[kind]
    plain = [[plain_value(case, i, j) for j in range(3)] for i in range(4)]
    values, own = np.moveaxis(np.array(plain), 2, 0)
    expected = full(weight) * values
    options = {"sample_weight": weight}
    assert_allclose(loss(truth, *predictions, **options, reduction="none"), expected, rtol=1e-14)
    total = loss(truth, *predictions, **options, reduction="sum")
    assert_allclose(total, expected.sum(), rtol=1e-14)
    mean = loss(truth, *predictions, **options)
    assert_allclose(mean, expected.sum() / (full(weight) * own).sum(), rtol=1e-14)
    assert isinstance(mean, float)


@every_case
@every_weight
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_gradient_by_every_prediction(case, kind, reduction):
    loss, truth, predictions = CASES[case]
    options = {"sample_weight": WEIGHTS[kind], "reduction": reduction}
    gradients = loss.gradient(truth, *predictions, **options)
    if len(predictions) == 1:
        assert isinstance(gradients, np.ndarray)
        gradients = (gradients,)
    assert len(gradients) == len(predictions)
    for k, (gradient, prediction) in enumerate(zip(gradients, predictions, strict=True)):
        assert gradient.shape == prediction.shape
        for index in np.ndindex(*prediction.shape):
            step = np.zeros(prediction.shape)
            step[index] = 1e-6
            up, down = (
                np.sum(loss(truth, *predictions[:k], moved, *predictions[k + 1 :], **options))
                for moved in (prediction + step, prediction - step)
            )
            assert gradient[index] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_a_weight_of_zero_leaves_an_infinite_loss_out():
    assert Bernoulli()([1, 0], [0.0, 0.5]) == np.inf
    assert Bernoulli()([1, 0], [0.0, 0.5], sample_weight=[0.0, 1.0]) == np.log(2.0)


@pytest.mark.parametrize(
    ("loss", "n_predictions", "message"),
    [
        (Huber(), 2, r"^Huber takes y_true and 1 array\(s\) of predictions, got 2; sample_weight"),
        (Bernoulli(), 3, r"^Bernoulli takes y_true and 1 array\(s\) of predictions, got 3"),
        (Gaussian(), 1, r"^Gaussian takes y_true and 2 array\(s\) of predictions, got 1"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "gradient"])
def test_a_wrong_number_of_predictions_is_named(loss, n_predictions, message, method):
    with pytest.raises(TypeError, match=message):
        getattr(loss, method)([1.0], *[[1.0]] * n_predictions)


@pytest.mark.parametrize("case", ["probability", "classes"])
@pytest.mark.parametrize("method", ["__call__", "gradient"])
def test_bad_arguments_are_named(case, method):
    loss, truth, predictions = CASES[case]
    for options, message in (
        ({"reduction": "average"}, "reduction must be one of mean, sum, none; got 'average'"),
        (
            {"sample_weight": np.ones((3, 4))},
            r"the shape of the losses, \(4, 3\), .* got .*\(3, 4\)",
        ),
        ({"sample_weight": np.zeros(4)}, "non-negative and not all zero"),
    ):
        with pytest.raises(ValueError, match=message):
            getattr(loss, method)(truth, *predictions, **options)


@every_case
def test_other_losses_are_values_too(case):
    loss = CASES[case][0]
    twins = [copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), eval(repr(loss))]
    assert {loss} == set(twins)


def test_no_hook_is_optional_but_the_divisor():
    assert Loss.__abstractmethods__ == {"_check", "_values", "_derivatives"}
    assert ResidualLoss.__abstractmethods__ == {"_rho", "_psi", "_psi_prime"}
    assert ConvexLoss.__abstractmethods__ == {"_rho", "_psi", "_psi_prime", "_conjugate"}
    assert all(issubclass(loss, ResidualLoss) for loss in LOSSES.values())


# ------------------------------------------------------------------ where a residual is needed


@pytest.mark.parametrize("scale", ["joint", "s", 1.0])
def test_an_estimator_says_that_it_needs_a_loss_of_a_residual(scale):
    model = MRegressor(Bernoulli(), scale=scale)
    message = r"'loss' parameter of MRegressor must be .*ResidualLoss'\. Got Bernoulli\(\) instead"
    with pytest.raises(ValueError, match=message):
        model.fit(np.arange(6.0)[:, None], np.arange(6.0))


@pytest.mark.parametrize(
    "needs_residual",
    [
        check_loss,
        LossDisplay,
        lambda loss: select_solver(loss, n_features=2),
        lambda loss: m_scale(np.arange(5.0), loss=loss),
        lambda loss: tuning_constant(type(loss), efficiency=0.9),
    ],
    ids=["check_loss", "LossDisplay", "select_solver", "m_scale", "tuning_constant"],
)
def test_what_needs_a_residual_names_it(needs_residual):
    with pytest.raises(TypeError, match=r"must be .*ResidualLoss.*got .*Bernoulli"):
        needs_residual(Bernoulli())


class Former(Loss):
    """Formulas of a residual, but not derived from the class that knows what to do with them."""

    _rho, _psi, _psi_prime = Huber._rho, Huber._psi, Huber._psi_prime


def test_formulas_of_a_residual_alone_make_no_loss():
    with pytest.raises(TypeError, match="abstract class Former"):
        Former()


def test_residual_losses_give_what_their_formulas_do():
    y_true, y_pred = np.array([1.0, 9.0]), np.array([2.0, 2.0])
    assert_array_equal(Huber(2.0)(y_true, y_pred=y_pred, reduction="none"), [0.5, 12.0])
    assert_array_equal(Huber(2.0).gradient(y_true=y_true, y_pred=y_pred, reduction="sum"), [1, -2])

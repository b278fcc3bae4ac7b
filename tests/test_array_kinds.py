"""Losses of arrays that are not NumPy's: array_api_strict's, PyTorch's and JAX's, if installed.

They compute in the array's own functions, keep its type and precision, give what they give for
NumPy's arrays, and let automatic differentiation through, which finds what `gradient` returns.
"""

import importlib
import importlib.util
import re
import sys
from itertools import cycle

import numpy as np
import pytest
from _loss_cases import CASES
from numpy.testing import assert_allclose, assert_array_equal

from robustreg.losses import (
    NLL,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CrossEntropy,
    Huber,
    KLDivergence,
    LogCosh,
    MultiLabelMargin,
    ResidualLoss,
    SoftMargin,
    Squared,
)

HOOKS = ("rho", "psi", "weights", "psi_prime", "conjugate", "conjugate_of_psi")


class Strict:
    """array_api_strict, which has nothing but what the standard has."""

    package = "array_api_strict"
    differentiates = False

    def __init__(self):
        self.module = importlib.import_module(self.package)

    def make(self, values):
        return self.module.asarray(values)

    def read(self, array):
        return np.asarray(array)


class Torch(Strict):
    package = "torch"
    differentiates = True

    def read(self, array):
        return array.detach().numpy()

    def curvatures(self, total, x):
        x = x.clone().requires_grad_()
        (slope,) = self.module.autograd.grad(total(x), x, create_graph=True)
        return self.module.autograd.grad(slope.sum(), x)[0]

    def slopes(self, total, arguments, k):
        tensors = [a.clone().requires_grad_(i >= k) for i, a in enumerate(arguments)]
        total(*tensors).backward()
        return [tensor.grad for tensor in tensors[k:]]


class Jax(Strict):
    package = "jax"
    differentiates = True

    def __init__(self):
        jax = importlib.import_module(self.package)
        jax.config.update("jax_enable_x64", True)
        self.module, self.grad = jax.numpy, jax.grad

    def read(self, array):
        return np.asarray(array)

    def curvatures(self, total, x):
        return self.grad(lambda x: self.grad(total)(x).sum())(x)

    def slopes(self, total, arguments, k):
        return self.grad(total, argnums=tuple(range(k, len(arguments))))(*arguments)


ALL = [Strict, Torch, Jax]
KINDS = [kind for kind in ALL if importlib.util.find_spec(kind.package)]


@pytest.mark.parametrize("package", ["array_api_compat", *(kind.package for kind in ALL)])
def test_packages_are_there(package):
    """Says once what is not tested, where a package is missing."""
    pytest.importorskip(package)


if not importlib.util.find_spec("array_api_compat"):
    KINDS = []


@pytest.fixture(params=KINDS, ids=lambda kind: kind.package)
def kind(request):
    return request.param()


@pytest.fixture(params=[kind for kind in KINDS if kind.differentiates], ids=lambda k: k.package)
def differentiating(request):
    return request.param()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


every_case = pytest.mark.parametrize("name", CASES)
TOLERANCE = {
    "float64": {"rtol": 1e-12, "atol": 1e-15},
    "float32": {"rtol": 3e-5, "atol": 3e-6},
}


def in_precision(values, dtype):
    return values.astype(dtype) if values.dtype == np.float64 else values


def tuple_of(found):
    return found if isinstance(found, tuple) else (found,)


@every_case
def test_values_and_gradients_are_those_of_numpy(name, kind, dtype):
    case = CASES[name]
    plain = [in_precision(values, dtype) for values in case.arguments]
    arrays = [kind.make(values) for values in plain]
    n = len(plain[0])
    weight = np.resize([1.0, 2.0, 0.5], n).astype(dtype)
    weights = cycle([(weight, kind.make(weight)), (None, None)])
    for reduction, (own, theirs) in zip(case.loss.reductions, weights, strict=False):
        expected = case.loss(*plain, sample_weight=own, reduction=reduction)
        found = case.loss(*arrays, sample_weight=theirs, reduction=reduction)
        gradients = tuple_of(case.loss.gradient(*arrays, sample_weight=theirs, reduction=reduction))
        for array in (found, *gradients):
            assert type(array) is type(arrays[-1])
            assert array.dtype == arrays[-1].dtype
        scale = max(1.0, float(np.abs(expected).max()))
        limits = {**TOLERANCE[dtype], "atol": TOLERANCE[dtype]["atol"] * scale}
        assert_allclose(kind.read(found), expected, **limits)
        slopes = tuple_of(case.loss.gradient(*plain, sample_weight=own, reduction=reduction))
        for gradient, slope in zip(gradients, slopes, strict=True):
            assert_allclose(kind.read(gradient), slope, **TOLERANCE[dtype])


@every_case
@pytest.mark.parametrize("weighted", [False, True])
def test_automatic_differentiation_finds_the_gradient(name, differentiating, dtype, weighted):
    case, kind = CASES[name], differentiating
    arrays = [kind.make(in_precision(values, dtype)) for values in case.arguments]
    weight = None
    if weighted:
        weight = kind.make(np.resize([1.0, 0.0, 0.5], len(arrays[0])).astype(dtype))
        if getattr(case.loss, "weight", None) == "balanced":  # of each class something is left
            weight = kind.make(np.resize([1.0, 2.0, 0.5], len(arrays[0])).astype(dtype))

    def total(*arguments):
        return case.loss(*arguments, sample_weight=weight)

    found = kind.slopes(total, arrays, len(case.targets))
    expected = tuple_of(case.loss.gradient(*arrays, sample_weight=weight))
    for slope, gradient in zip(found, expected, strict=True):
        assert_allclose(kind.read(slope), kind.read(gradient), **TOLERANCE[dtype])


RESIDUAL = {
    repr(case.loss): case.loss for case in CASES.values() if isinstance(case.loss, ResidualLoss)
}


@pytest.mark.parametrize("name", RESIDUAL)
def test_elementwise_functions_take_any_array(name, kind, dtype):
    loss = RESIDUAL[name]
    r = np.concatenate([np.linspace(-9.0, 9.0, 37), [1e-8, -1e-20, 1e10]]).astype(dtype)
    for hook in HOOKS:
        if not hasattr(loss, hook):
            continue
        array = kind.make(r)
        found = getattr(loss, hook)(array)
        assert type(found) is type(array)
        assert found.dtype == array.dtype
        limits = {"rtol": 1e-12} if dtype == "float64" else {"rtol": 3e-5, "atol": 1e-6}
        assert_allclose(kind.read(found), getattr(loss, hook)(r), **limits)


# ------------------------------------------------------------------ what goes together


def test_integers_become_what_is_beside_them(kind):
    y, prediction = kind.make(np.array([1, 2])), kind.make(np.float32([0.5, 4.0]))
    assert Huber()(y, prediction).dtype == prediction.dtype
    assert Huber()(y, y).dtype == kind.make(np.zeros(1)).dtype
    with pytest.raises(ValueError, match="argument of a loss must hold real numbers"):
        Huber().rho(kind.make(np.array([1j])))


def test_lists_become_what_is_beside_them(kind):
    logits = kind.make(np.array([[0.0, 1.0], [2.0, 0.0]]))
    found = CrossEntropy(weight=[1.0, 3.0])([0, 1], logits, sample_weight=[1.0, 0.5])
    assert type(found) is type(logits)
    weights = {"sample_weight": np.array([1.0, 0.5])}
    expected = CrossEntropy(weight=[1.0, 3.0])([0, 1], kind.read(logits), **weights)
    assert_allclose(kind.read(found), expected, rtol=1e-14)


def test_lists_keep_their_digits(kind):
    target = kind.make(np.zeros(1))
    assert kind.read(Squared()([0.1], target)) == 0.1 * 0.1
    found = Squared()([1.0], target, sample_weight=[0.1], reduction="none")
    assert kind.read(found)[0] == 0.1
    for wrong in (["a"], [None], [[1.0], [1.0, 2.0]]):
        with pytest.raises(ValueError, match="y_true must"):
            Squared()(wrong, target)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_labels_may_be_of_any_integer_type(kind, dtype):
    scores = np.random.default_rng(0).normal(size=(3, 300))
    labels, end = np.array([0, 99, 5]), np.array([[0, 99, -1]] * 3)
    for loss, target in (
        (CrossEntropy(weight=np.linspace(1.0, 2.0, 300), ignore_index=-1), labels),
        (NLL(), labels),
        (MultiLabelMargin(), np.pad(end, ((0, 0), (0, 297)))),
    ):
        if dtype == "uint8" and isinstance(loss, MultiLabelMargin):
            continue  # which has no -1
        log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        given = kind.make(target.astype(dtype)), kind.make(log_p)
        assert_allclose(kind.read(loss(*given)), loss(target, log_p), rtol=1e-12)
        assert_allclose(kind.read(loss.gradient(*given)), loss.gradient(target, log_p), rtol=1e-12)


def test_unsigned_labels_have_no_minus_one(kind):
    labels = kind.make(np.full((1, 300), 255, dtype="uint8"))
    found = MultiLabelMargin()(labels, kind.make(np.zeros((1, 300))))
    assert kind.read(found) > 0.0


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(name):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    zero, ten = torch.zeros(1000, dtype=dtype), torch.full((1000,), 10.0, dtype=dtype)
    for loss, expected in ((Squared(), 100.0), (LogCosh(), 10.0 - np.log(2.0))):
        found = loss(zero, ten)
        assert found.dtype == dtype
        assert float(found) == pytest.approx(expected, rel=1e-2)
        assert loss.rho(ten).dtype == dtype
        slope = loss.gradient(zero, ten, reduction="sum")
        assert slope.dtype == dtype
        assert float(slope[0]) == pytest.approx(float(loss.psi(10.0)), rel=1e-2)
    at_end = torch.tensor([0.0, 1.0], dtype=dtype)
    assert float(BinaryCrossEntropy()(1 - at_end, at_end)) == 100.0


def test_second_derivatives_of_logits_are_those_of_the_sigmoid(differentiating):
    """Newton's method for the logistic loss starts at 0, and goes where exponentials overflow."""
    kind = differentiating
    x = np.array([0.0, 1.0, -1.0, 100.0, -100.0, 800.0, -800.0])
    share = 1.0 / (1.0 + np.exp(-np.minimum(np.abs(x), 700.0)))
    for loss in (BinaryCrossEntropyWithLogits(), SoftMargin()):
        found = kind.curvatures(
            lambda t, loss=loss: loss(kind.make(np.ones(7)), t, reduction="sum"), kind.make(x)
        )
        assert_allclose(kind.read(found), share * (1.0 - share), rtol=1e-9, atol=1e-15)


def test_no_labels_leave_the_graph_whole(differentiating):
    kind = differentiating
    given = [kind.make(np.array([[-1, 0]])), kind.make(np.array([[0.1, 0.2]]))]
    (slope,) = kind.slopes(MultiLabelMargin(), given, 1)
    assert_array_equal(kind.read(slope), [[0.0, 0.0]])


def test_weights_of_classes_may_be_arrays_of_any_kind(kind):
    assert CrossEntropy(weight=kind.make(np.array([1.0, 3.0]))) == CrossEntropy(weight=[1, 3])


def test_kinds_do_not_mix(kind):
    array, numpy_array = kind.make(np.ones(2)), np.ones(2)
    name = type(array).__qualname__
    with pytest.raises(TypeError, match=rf"y_pred is a .*{name} and y_true a numpy\.ndarray"):
        Huber()(numpy_array, array)
    with pytest.raises(TypeError, match=r"predictions is a .* and sample_weight a numpy\.nd"):
        Huber()(array, array, sample_weight=numpy_array)
    with pytest.raises(TypeError, match=r"but sample_weight is a .* and predictions a numpy"):
        Huber()(numpy_array, numpy_array, sample_weight=array)


def test_refusals_of_other_arrays_name_the_argument(kind):
    good, bad = kind.make(np.array([0.5])), kind.make(np.array([np.nan]))
    with pytest.raises(ValueError, match="y_true must be finite"):
        Huber()(bad, good)
    with pytest.raises(ValueError, match="y_true must hold labels from 0 to 1, got 2"):
        CrossEntropy()(kind.make(np.array([2])), kind.make(np.zeros((1, 2))))
    with pytest.raises(ValueError, match=r"y_true must hold probabilities .* got -0\.5"):
        KLDivergence()(kind.make(np.array([[-0.5]])), kind.make(np.array([[-0.5]])))
    with pytest.raises(ValueError, match="sample_weight must be non-negative and not all zero"):
        Huber()(good, good, sample_weight=kind.make(np.zeros(1)))


def test_what_is_missing_is_named(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    message = re.escape("pip install robustreg[array-api]")
    with pytest.raises(ImportError, match=message):
        Huber().rho(kind.make(np.ones(2)))

"""The adaptive softmax: PyTorch's values, derivatives, and that only what occurs is computed."""

import copy
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from robustreg.losses import AdaptiveLogSoftmax
from robustreg.losses.classification import _adaptive_blocks, _adaptive_softmax

# Written by make_torch_losses.py beside it, with PyTorch 2.13 in float64.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "torch_losses.json").read_text())
GOLDEN = GOLDEN["adaptive_log_softmax"]

LOSS = AdaptiveLogSoftmax(8, 12, (3, 5, 9), div_value=2, head_bias=True)
RNG = np.random.default_rng(11)
X, PARAMETERS = RNG.normal(size=(7, 8)), LOSS.initial_parameters(3)
LABELS = np.array([11, 0, 4, 3, 10, 1, 9])  # none from 5 to 8, tail 1
WEIGHT = np.array([1.0, 0.5, 2.0, 0.0, 3.0, 0.25, 1.5])
ABSENT = {name for name in LOSS.parameter_names if name.startswith("tail.1.")}


def full_log_prob(loss, x, parameters):
    """Log-probabilities of all classes by the definition, in extended precision."""

    def log_softmax(logits):
        below = logits - logits.max(axis=1, keepdims=True)
        return below - np.log(np.exp(below).sum(axis=1, keepdims=True))

    x, *parameters = (np.asarray(values, dtype=np.longdouble) for values in (x, *parameters))
    named = dict(zip(loss.parameter_names, parameters, strict=True))
    head = log_softmax(x @ named["head.weight"].T + named.get("head.bias", 0.0))
    first = loss.cutoffs[0]
    parts = [head[:, :first]]
    for i in range(len(loss.cutoffs)):
        projected = x @ named[f"tail.{i}.0.weight"].T
        within = log_softmax(projected @ named[f"tail.{i}.1.weight"].T)
        parts.append(head[:, [first + i]] + within)
    return np.concatenate(parts, axis=1)


def close(actual, desired, rtol=1e-12):
    """Equal up to a share of the largest entry."""
    assert_allclose(actual, desired, rtol=0.0, atol=rtol * np.abs(desired).max())


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: str(case["options"]["cutoffs"]))
def test_values_and_gradients_are_those_of_pytorch(case):
    loss = AdaptiveLogSoftmax(**case["options"])
    assert loss.parameter_names == tuple(case["parameters"])
    x, labels, parameters = case["input"], case["target"], list(case["parameters"].values())
    close(loss(labels, x, *parameters), case["loss"])
    close(-loss(labels, x, *parameters, reduction="none"), np.array(case["output"]))
    close(loss.log_prob(x, *parameters), np.array(case["log_prob"]))
    assert_array_equal(loss.predict(x, *parameters), case["predict"])
    gradients = [case["input_gradient"]]
    gradients += [case["parameter_gradients"][name] for name in loss.parameter_names]
    found = loss.gradient(labels, x, *parameters)
    for actual, desired in zip(found, gradients, strict=True):
        close(actual, np.array(desired))


def test_log_prob_is_the_logarithm_of_a_distribution_and_the_loss_takes_its_label():
    log_prob = LOSS.log_prob(X, *PARAMETERS)
    assert_allclose(np.exp(log_prob).sum(axis=1), 1.0, rtol=1e-14)
    for label in range(LOSS.n_classes):
        values = LOSS(np.full(len(X), label), X, *PARAMETERS, reduction="none")
        assert_allclose(values, -log_prob[:, label], rtol=1e-14)


@pytest.mark.parametrize("sharpness", [1.0, 30.0])
def test_predict_is_the_first_of_the_most_probable(sharpness, monkeypatch):
    loss = AdaptiveLogSoftmax(8, 60, (5, 20, 40), div_value=1.5)
    x = sharpness * np.random.default_rng(0).normal(size=(300, 8))
    x[0] = 0.0  # all outputs of the head are alike: class 0
    parameters = loss.initial_parameters(1)
    rows = []

    def counting(features, layer):
        rows.append(len(features))
        return _adaptive_blocks.most_probable(features, layer)

    monkeypatch.setattr(_adaptive_softmax, "most_probable", counting)
    found = loss.predict(x, *parameters)
    assert found[0] == 0
    assert_array_equal(found, loss.log_prob(x, *parameters).argmax(axis=1))
    # Soft predictions stay in the shortlist often, sharp ones are of every tail. Fewer rows are
    # looked at in a tail than have it or another one as the best output of the head.
    head = (x @ parameters[0].T).argmax(axis=1)
    assert len(rows) == 3
    assert max(rows) < np.count_nonzero(head >= 5) < 300
    tails = np.digitize(found, (0, *loss.cutoffs)) - 1
    assert set(tails) == {0, 1, 2, 3} if sharpness == 30.0 else 0 in tails


@pytest.mark.parametrize("size", [1e5, 1e-5])
def test_extreme_logits(size):
    labels = np.arange(12)
    x = np.random.default_rng(2).choice([-1.0, 1.0, 0.5], (12, 8))
    parameters = [size * np.sign(PARAMETERS[0]), *PARAMETERS[1:]]
    parameters[3::2] = (size * np.sign(second) for second in parameters[3::2])
    with np.errstate(all="raise", under="ignore"):
        values = LOSS(labels, x, *parameters, reduction="none")
        gradients = LOSS.gradient(labels, x, *parameters, reduction="sum")
        log_prob = LOSS.log_prob(x, *parameters)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert size < 1.0 or values.max() > size
    expected = full_log_prob(LOSS, x, parameters)
    rounding = {"rtol": 1e-14, "atol": 1e-15 * max(10.0 * size, 10.0)}
    assert_allclose(log_prob, expected.astype(float), **rounding)
    assert_allclose(values, -expected[labels, labels].astype(float), **rounding)
    share = np.exp(expected)
    share[labels, labels] -= 1.0
    # The outputs of the head are the classes 0, 1, 2 and the tails from 3, 5 and 9.
    by_bias = np.add.reduceat(share.sum(axis=0), [0, 1, 2, 3, 5, 9]).astype(float)
    assert_allclose(gradients[2], by_bias, rtol=0.0, atol=12.0 * rounding["atol"])


def test_logits_out_of_range_are_no_nan():
    x = np.full((1, 8), 1e30, dtype=np.float32)
    parameters = [np.full(shape, 1e30, dtype=np.float32) for shape in LOSS.parameter_shapes]
    for call in (lambda: LOSS([0], x, *parameters), lambda: LOSS.predict(x, *parameters)):
        with pytest.raises(
            ValueError, match=r"that head\.weight gives are out of the range of float32"
        ):
            call()


# ------------------------------------------------------------------ gradients


@pytest.mark.parametrize(
    ("reduction", "weight"), [("mean", None), ("mean", WEIGHT), ("sum", None), ("none", WEIGHT)]
)
def test_gradient_by_x_and_by_every_parameter(reduction, weight):
    options = {"sample_weight": weight, "reduction": reduction}
    arguments = [X, *PARAMETERS]
    gradients = LOSS.gradient(LABELS, *arguments, **options)
    assert [gradient.shape for gradient in gradients] == [X.shape, *LOSS.parameter_shapes]
    for k, (gradient, argument) in enumerate(zip(gradients, arguments, strict=True)):
        for index in np.ndindex(*argument.shape):
            step = np.zeros(argument.shape)
            step[index] = 1e-5
            up, down = (
                np.sum(LOSS(LABELS, *arguments[:k], moved, *arguments[k + 1 :], **options))
                for moved in (argument + step, argument - step)
            )
            assert gradient[index] == pytest.approx((up - down) / 2e-5, abs=1e-9)


def test_weights_are_repetitions():
    times = np.array([2, 1, 0, 3, 1, 1, 2])
    repeated = np.repeat(LABELS, times), np.repeat(X, times, axis=0), *PARAMETERS
    mean = LOSS(LABELS, X, *PARAMETERS, sample_weight=times)
    assert mean == pytest.approx(LOSS(*repeated), rel=1e-14)
    _, *by_parameters = LOSS.gradient(LABELS, X, *PARAMETERS, sample_weight=times)
    for actual, desired in zip(by_parameters, LOSS.gradient(*repeated)[1:], strict=True):
        assert_allclose(actual, desired, rtol=0.0, atol=1e-15)


# ------------------------------------------------------------------ what is computed


def test_tails_that_do_not_occur_are_not_read():
    hollow = [
        np.full(parameter.shape, np.nan) if name in ABSENT else parameter
        for name, parameter in zip(LOSS.parameter_names, PARAMETERS, strict=True)
    ]
    assert LOSS(LABELS, X, *hollow) == LOSS(LABELS, X, *PARAMETERS)
    expected = LOSS.gradient(LABELS, X, *PARAMETERS)
    found = LOSS.gradient(LABELS, X, *hollow)
    for name, actual, desired in zip(("x", *LOSS.parameter_names), found, expected, strict=True):
        assert_array_equal(actual, desired)
        assert bool(np.any(actual)) == (name not in ABSENT)
    for call in (
        lambda: LOSS([*LABELS[:-1], 5], X, *hollow),
        lambda: LOSS.log_prob(X, *hollow),
        lambda: LOSS.predict(X, *hollow),
    ):
        with pytest.raises(ValueError, match=r"^tail\.1\.0\.weight must be finite"):
            call()


def test_every_row_is_computed_in_its_own_tail_only(monkeypatch):
    seen = []
    logits = _adaptive_blocks.Layer.logits

    def counting(layer, features):
        seen.append((layer.name, len(features)))
        return logits(layer, features)

    monkeypatch.setattr(_adaptive_blocks.Layer, "logits", counting)
    expected = [("head.weight", 7), ("tail.0.1.weight", 2), ("tail.2.1.weight", 3)]
    LOSS(LABELS, X, *PARAMETERS)
    assert seen == expected
    LOSS.gradient(LABELS, X, *PARAMETERS)
    assert seen == 2 * expected
    LOSS([0, 2, 1], X[:3], *PARAMETERS)
    assert seen[6:] == [("head.weight", 3)]


def test_blocks_of_rows_add_up(monkeypatch):
    loss = AdaptiveLogSoftmax(4, 12, (3, 6), div_value=2, head_bias=True)
    labels, x = np.arange(60) % 12, np.random.default_rng(6).normal(size=(60, 4))
    arguments = labels, x, *loss.initial_parameters(0)
    options = {"sample_weight": np.arange(60)}
    whole = [loss(*arguments, **options), *loss.gradient(*arguments, **options)]
    predicted = loss.predict(*arguments[1:])
    monkeypatch.setattr(_adaptive_blocks, "BLOCK", 1)  # so that a block has 1, 2 or 4 rows
    blocks = [loss(*arguments, **options), *loss.gradient(*arguments, **options)]
    for actual, desired in zip(blocks, whole, strict=True):
        close(actual, desired, 1e-14)
    assert_array_equal(loss.predict(*arguments[1:]), predicted)


def test_memory_does_not_grow_with_the_logits():
    loss = AdaptiveLogSoftmax(16, 20_000, (100, 1000))
    rng = np.random.default_rng(0)
    labels, x = rng.integers(0, 20_000, 1500), rng.normal(size=(1500, 16))
    parameters = loss.initial_parameters(0)
    for call in (loss, loss.gradient):
        tracemalloc.start()
        try:
            call(labels, x, *parameters)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 50e6  # the logits of the last tail are some 217 MB


# ------------------------------------------------------------------ kinds and precisions of arrays


def test_float32_stays_and_the_widest_precision_wins():
    single = [values.astype(np.float32) for values in (X, *PARAMETERS)]
    found = [
        LOSS(LABELS, *single, reduction="none"),
        LOSS.log_prob(*single),
        *LOSS.gradient(LABELS, *single, sample_weight=WEIGHT),
    ]
    assert {values.dtype for values in found} == {np.dtype(np.float32)}
    assert_allclose(LOSS(LABELS, *single), LOSS(LABELS, X, *PARAMETERS), rtol=1e-6)
    mixed = LOSS.gradient(LABELS, single[0], *PARAMETERS)
    assert {values.dtype for values in mixed} == {np.dtype(np.float64)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_autograd_of_torch_equals_the_gradient(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    tensors = [
        torch.tensor(values, dtype=getattr(torch, dtype), requires_grad=True)
        for values in (X, *PARAMETERS)
    ]
    weight = torch.tensor(WEIGHT, dtype=getattr(torch, dtype))
    labels = torch.tensor(LABELS, dtype=torch.int32)
    value = LOSS(labels, *tensors, sample_weight=weight)
    value.backward()
    found = LOSS.gradient(labels, *tensors, sample_weight=torch.tensor(WEIGHT))  # of float64
    expected = LOSS.gradient(LABELS, X, *PARAMETERS, sample_weight=WEIGHT)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    for name, tensor, slope, desired in zip(
        ("x", *LOSS.parameter_names), tensors, found, expected, strict=True
    ):
        assert slope.dtype == tensor.dtype
        assert_allclose(slope.detach().numpy(), desired, rtol=0.0, atol=tolerance)
        assert (tensor.grad is None) == (name in ABSENT)
        if tensor.grad is not None:
            assert_allclose(tensor.grad.numpy(), desired, rtol=0.0, atol=tolerance)
    assert value.dtype == tensors[0].dtype
    assert LOSS(labels, tensors[0].float(), *tensors[1:]).dtype == tensors[0].dtype
    predicted = LOSS.predict(*tensors)
    assert_array_equal(predicted.numpy(), LOSS.predict(X, *PARAMETERS))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_of_the_standard(dtype):
    xp = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    kind = getattr(xp, dtype)
    arrays = [xp.asarray(values, dtype=kind) for values in (X, *PARAMETERS)]
    labels, weight = xp.asarray(LABELS), xp.asarray(WEIGHT, dtype=kind)
    found = [
        LOSS(labels, *arrays, sample_weight=weight),
        LOSS.log_prob(*arrays),
        *LOSS.gradient(labels, *arrays, sample_weight=weight),
    ]
    expected = [
        LOSS(LABELS, X, *PARAMETERS, sample_weight=WEIGHT),
        LOSS.log_prob(X, *PARAMETERS),
        *LOSS.gradient(LABELS, X, *PARAMETERS, sample_weight=WEIGHT),
    ]
    for actual, desired in zip(found, expected, strict=True):
        assert type(actual) is type(labels)
        assert actual.dtype == kind
        tolerance = 1e-6 if dtype == "float32" else 1e-14
        assert_allclose(np.asarray(actual), desired, rtol=tolerance, atol=tolerance)
    far = [1e5 * arrays[0], *arrays[1:]]
    assert all(bool(xp.all(xp.isfinite(values))) for values in LOSS.gradient(labels, *far))
    assert bool(xp.all(xp.isfinite(LOSS.log_prob(*far))))
    assert_array_equal(np.asarray(LOSS.predict(*arrays)), LOSS.predict(X, *PARAMETERS))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_labels_of_a_type_too_short_for_the_classes(kind):
    loss, x = AdaptiveLogSoftmax(4, 1000, (150, 600), 2.0), RNG.normal(size=(3, 4))
    arguments = [np.array([100, 151, 255], dtype=np.uint8), x, *loss.initial_parameters(0)]
    expected = loss(arguments[0].tolist(), *arguments[1:])
    if kind == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
        arguments = [torch.tensor(values) for values in arguments]
    assert float(loss(*arguments)) == pytest.approx(expected, rel=1e-14)


# ------------------------------------------------------------------ parameters and refusals


def test_names_shapes_and_first_values_of_parameters():
    assert LOSS.n_predictions == 9
    assert dict(zip(LOSS.parameter_names, LOSS.parameter_shapes, strict=True)) == {
        "head.weight": (6, 8),
        "head.bias": (6,),
        "tail.0.0.weight": (4, 8),
        "tail.0.1.weight": (2, 4),
        "tail.1.0.weight": (2, 8),
        "tail.1.1.weight": (4, 2),
        "tail.2.0.weight": (1, 8),
        "tail.2.1.weight": (3, 1),
    }
    loss = AdaptiveLogSoftmax(64, 5000, [1000], head_bias=True)
    drawn = loss.initial_parameters(5)
    for values, k in zip(drawn, (64, 64, 64, 16), strict=True):
        assert 0.98 / np.sqrt(k) < np.abs(values).max() < 1.0 / np.sqrt(k)
        assert abs(values.mean()) < 0.1 / np.sqrt(k)
    generator = np.random.default_rng(5)
    for single, double in zip(loss.initial_parameters(generator, "float32"), drawn, strict=True):
        assert_array_equal(single, double.astype(np.float32), strict=True)
    assert np.any(loss.initial_parameters(generator)[0] != drawn[0])
    with pytest.raises(ValueError, match=r"dtype must be float32 or float64, got 'int64'"):
        loss.initial_parameters(0, "int64")


def test_it_is_a_value():
    twins = [copy.deepcopy(LOSS), pickle.loads(pickle.dumps(LOSS)), eval(repr(LOSS))]
    for cutoffs in ([3, 5, 9], np.array([3, 5, 9])):
        twins.append(AdaptiveLogSoftmax(np.int64(8), 12, cutoffs, 2, np.True_))
    assert {LOSS} == set(twins)
    assert AdaptiveLogSoftmax(8, 12, (3, 5, 8), 2.0, True) != LOSS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "in_features must be an integer of at least 1, got 0"),
        ({"in_features": 8.0}, r"in_features must be an integer of at least 1, got 8\.0"),
        ({"n_classes": 1}, "n_classes must be an integer of at least 2, got 1"),
        ({"cutoffs": ()}, r"cutoffs must be one or more integers .*, got \(\)"),
        ({"cutoffs": 5}, "cutoffs must be one or more integers .*, got 5"),
        ({"cutoffs": (0, 5)}, "above 0 and below n_classes=12"),
        ({"cutoffs": (5, 5)}, "increase"),
        ({"cutoffs": (5, 12)}, "below n_classes=12"),
        ({"cutoffs": (2.5,)}, r"got \(2\.5,\)"),
        ({"div_value": 0.5}, r"div_value must be a finite number of at least 1, got 0\.5"),
        ({"div_value": np.inf}, "div_value must be a finite number of at least 1, got inf"),
        ({"div_value": 4.0}, r"div_value=4 leaves no features to tail 1: in_features=8 over"),
        ({"div_value": 1e200}, r"div_value=1e\+200 leaves no features to tail 0"),
        ({"head_bias": 1}, "head_bias must be True or False, got 1"),
    ],
    ids=str,
)
def test_wrong_options_are_named(options, message):
    valid = {"in_features": 8, "n_classes": 12, "cutoffs": (3, 5, 9), "div_value": 2.0}
    with pytest.raises(ValueError, match=rf"^AdaptiveLogSoftmax: .*{message}"):
        AdaptiveLogSoftmax(**{**valid, **options})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": X[:, :5]}, r"^x must have the shape \(n, 8\), .* got \(7, 5\)\.$"),
        ({"x": X[0]}, r"^x must have the shape \(n, 8\), .* got \(8,\)\.$"),
        ({"x": X[:0], "y": []}, r"^x must have the shape .* one row at least, got \(0, 8\)\.$"),
        ({"x": np.full((7, 8), np.inf)}, "^x must be finite"),
        ({"y": LABELS[:3]}, r"^y_true must have the shape \(7,\) of .* got shape \(3,\)"),
        ({"y": LABELS[:, None]}, r"^y_true must have the shape \(7,\) of .* got shape \(7, 1\)"),
        ({"y": LABELS + 1}, "^y_true must hold labels from 0 to 11, got 12"),
        ({"y": LABELS - 1}, "^y_true must hold labels from 0 to 11, got -1"),
        ({"y": LABELS.astype(float)}, "^y_true must hold integers, got the dtype float64"),
        ({"head.bias": np.zeros(5)}, r"^head\.bias must have the shape \(6,\), got \(5,\)"),
        ({"tail.1.1.weight": np.zeros((2, 4))}, r"^tail\.1\.1\.weight .* \(4, 2\), got \(2, 4\)"),
        ({"head.weight": np.full((6, 8), np.nan)}, r"^head\.weight must be finite"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_arrays_are_named(changed, message):
    given = {"y": LABELS, "x": X, **dict(zip(LOSS.parameter_names, PARAMETERS, strict=True))}
    labels, *arrays = {**given, **changed}.values()
    calls = [LOSS, LOSS.gradient]
    calls += [] if "y" in changed else [lambda _, *arrays: LOSS.log_prob(*arrays)]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(labels, *arrays)


@pytest.mark.parametrize("parameters", [(), PARAMETERS[:-1], (PARAMETERS,)], ids=len)
def test_parameters_that_are_missing_are_named(parameters):
    message = r"takes x and 8 parameters, head\.weight, head\.bias, tail\.0\.0\.weight, .*; got "
    for call in (
        lambda: LOSS(LABELS, X, *parameters),
        lambda: LOSS.gradient(LABELS, X, *parameters),
        lambda: LOSS.predict(X, *parameters),
    ):
        with pytest.raises(TypeError, match=f"{message}{len(parameters)}"):
            call()

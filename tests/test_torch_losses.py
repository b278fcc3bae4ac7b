"""Losses against PyTorch's, values and gradients; tests/golden/README.md says where these are from.

The catalogue beside the residual losses is compared in full; of the latter those that it has.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from robustreg import losses

GOLDEN = Path(__file__).parent / "golden" / "torch_losses.json"
CASES = json.loads(GOLDEN.read_text())["cases"]

# PyTorch's class: ours, and the options that have another name or default here.
NAMES = {
    "MSELoss": (losses.Squared, {}),
    "L1Loss": (losses.Absolute, {}),
    "SmoothL1Loss": (losses.SmoothL1, {}),
    "HuberLoss": (losses.Huber, {"delta": 1.0}),
    "NLLLoss": (losses.NLL, {}),
    "CrossEntropyLoss": (losses.CrossEntropy, {}),
    "BCELoss": (losses.BinaryCrossEntropy, {}),
    "BCEWithLogitsLoss": (losses.BinaryCrossEntropyWithLogits, {}),
    "KLDivLoss": (losses.KLDivergence, {}),
    "HingeEmbeddingLoss": (losses.HingeEmbedding, {}),
    "MarginRankingLoss": (losses.MarginRanking, {}),
    "TripletMarginLoss": (losses.TripletMargin, {}),
    "SoftMarginLoss": (losses.SoftMargin, {}),
    "MultiLabelMarginLoss": (losses.MultiLabelMargin, {}),
    "CosineEmbeddingLoss": (losses.CosineEmbedding, {}),
}


def loss_of(case):
    loss, defaults = NAMES[case["loss"]]
    return loss(**{**defaults, **case["options"]})


def arguments_of(case):
    """Targets first, where there are any."""
    arrays = [np.array(values) for values in case["inputs"]]
    return arrays if case["loss"] == "TripletMarginLoss" else [arrays[-1], *arrays[:-1]]


def describe(case):
    options = ",".join(f"{name}={value}" for name, value in case["options"].items())
    extreme = "-extreme" if case["extreme"] else ""
    return f"{case['loss']}({options}){extreme}-{case['reduction']}"


def expected_of(case):
    """PyTorch's values and gradients; where it overflows, at scores of -800 and -1e5, the limits.

    Its soft margin loss is infinite there, and its gradient not a number.
    """
    value, gradients = np.array(case["value"]), [np.array(g) for g in case["gradients"]]
    if case["loss"] == "SoftMarginLoss" and case["extreme"]:
        score, sign = map(np.array, case["inputs"])
        share = {"mean": len(score)}.get(case["reduction"], 1)
        assert set(score[np.isnan(gradients[0])]) == {-800.0, -1e5}
        gradients[0] = np.where(np.isnan(gradients[0]), -sign / share, gradients[0])
        plain = np.where(score < -100.0, -sign * score, np.log1p(np.exp(-score.clip(-100.0))))
        value = {"none": plain, "sum": plain.sum(), "mean": plain.mean()}[case["reduction"]]
    return value, gradients


def test_all_of_the_golden_cases_are_there():
    assert len(CASES) == 180
    assert {case["loss"] for case in CASES} == set(NAMES)


@pytest.mark.parametrize("case", CASES, ids=describe)
def test_values_and_gradients_are_those_of_pytorch(case):
    loss, arguments = loss_of(case), arguments_of(case)
    rtol = 1e-10 if case["extreme"] else 1e-12
    value, expected_gradients = expected_of(case)
    assert_close(loss(*arguments, reduction=case["reduction"]), value, rtol)
    gradients = loss.gradient(*arguments, reduction=case["reduction"])
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        assert_close(gradient, expected, rtol)


def assert_close(found, expected, rtol):
    """Entry by entry; below 1e-16 of the largest entry, and of 1, PyTorch itself has no digits."""
    atol = 4e-16 * max(1.0, np.abs(expected).max())
    assert_allclose(found, expected, rtol=rtol, atol=atol)

"""Losses of classes: what a prediction of labels or probabilities costs."""

from __future__ import annotations

from robustreg.losses.classification._adaptive_softmax import AdaptiveLogSoftmax
from robustreg.losses.classification._binary import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    SoftMargin,
)
from robustreg.losses.classification._cross_entropy import NLL, CrossEntropy
from robustreg.losses.classification._divergence import KLDivergence
from robustreg.losses.classification._multi_label import MultiLabelMargin

__all__ = [
    "NLL",
    "AdaptiveLogSoftmax",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "CrossEntropy",
    "KLDivergence",
    "MultiLabelMargin",
    "SoftMargin",
]

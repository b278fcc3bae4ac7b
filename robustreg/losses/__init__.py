"""Losses and their derivatives: the mathematics, without data matrices or estimators."""

from __future__ import annotations

from robustreg.losses._base import Loss
from robustreg.losses._booster import BoosterObjective, booster_objective
from robustreg.losses._check import check_loss
from robustreg.losses._classical import (
    Absolute,
    EpsilonInsensitive,
    HalfSquared,
    Quantile,
    Squared,
)
from robustreg.losses._hampel import Andrews, Hampel
from robustreg.losses._huber_family import Huber, LogCosh, PseudoHuber, SmoothL1
from robustreg.losses._names import LOSSES, get_loss
from robustreg.losses._redescending import Bisquare, Cauchy, Welsch
from robustreg.losses._residual import ConvexLoss, ResidualLoss
from robustreg.losses._tuning import (
    gaussian_breakdown_point,
    gaussian_efficiency,
    tuning_constant,
)
from robustreg.losses.classification import (
    NLL,
    AdaptiveLogSoftmax,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    CrossEntropy,
    KLDivergence,
    MultiLabelMargin,
    SoftMargin,
)
from robustreg.losses.embedding import (
    CosineEmbedding,
    HingeEmbedding,
    MarginRanking,
    TripletMargin,
)

__all__ = [
    "LOSSES",
    "NLL",
    "Absolute",
    "AdaptiveLogSoftmax",
    "Andrews",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithLogits",
    "Bisquare",
    "BoosterObjective",
    "Cauchy",
    "ConvexLoss",
    "CosineEmbedding",
    "CrossEntropy",
    "EpsilonInsensitive",
    "HalfSquared",
    "Hampel",
    "HingeEmbedding",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MarginRanking",
    "MultiLabelMargin",
    "PseudoHuber",
    "Quantile",
    "ResidualLoss",
    "SmoothL1",
    "SoftMargin",
    "Squared",
    "TripletMargin",
    "Welsch",
    "booster_objective",
    "check_loss",
    "gaussian_breakdown_point",
    "gaussian_efficiency",
    "get_loss",
    "tuning_constant",
]

"""Choosing penalties and losses: paths and cross-validation."""

from robustreg.model_selection._cv import HuberRegressorCV, L1RegressorCV, QuantileRegressorCV
from robustreg.model_selection._path import (
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
)
from robustreg.model_selection._points import AlphaPath, DeltaPath

__all__ = [
    "AlphaPath",
    "DeltaPath",
    "HuberRegressorCV",
    "L1RegressorCV",
    "QuantileRegressorCV",
    "huber_delta_path",
    "huber_path",
    "l1_path",
    "quantile_path",
]

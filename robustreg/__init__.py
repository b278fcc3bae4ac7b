"""Robust linear regression for scikit-learn users."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from robustreg.estimators import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.model_selection import (
    HuberRegressorCV,
    L1RegressorCV,
    QuantileRegressorCV,
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
)
from robustreg.solvers import select_solver

__version__ = "0.1.0"

__all__ = [
    "HuberRegressor",
    "HuberRegressorCV",
    "L1Regressor",
    "L1RegressorCV",
    "L2Regressor",
    "LTSRegressor",
    "MMRegressor",
    "MRegressor",
    "QuantileRegressor",
    "QuantileRegressorCV",
    "SRegressor",
    "__version__",
    "huber_delta_path",
    "huber_path",
    "l1_path",
    "quantile_path",
    "select_solver",
]

# Imported at their first use: `robustreg.plotting` needs no import of its own.
_SUBMODULES = (
    "datasets",
    "diagnostics",
    "inference",
    "losses",
    "metrics",
    "model_selection",
    "penalties",
    "plotting",
    "scale",
    "solvers",
    "sources",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"robustreg.{name}")
    raise AttributeError(f"module 'robustreg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])

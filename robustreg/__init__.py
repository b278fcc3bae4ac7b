"""Robust linear regression for scikit-learn users."""

from __future__ import annotations

from robustreg.estimators import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
)
from robustreg.solvers import select_solver

__version__ = "0.1.0"

__all__ = [
    "HuberRegressor",
    "L1Regressor",
    "L2Regressor",
    "MRegressor",
    "QuantileRegressor",
    "__version__",
    "select_solver",
]

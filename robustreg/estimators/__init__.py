"""The estimators: a docstring, ``__init__``, and what makes each of them differ."""

from __future__ import annotations

from robustreg.estimators._huber import HuberRegressor
from robustreg.estimators._l1 import L1Regressor
from robustreg.estimators._l2 import L2Regressor
from robustreg.estimators._m import MRegressor
from robustreg.estimators._quantile import QuantileRegressor

__all__ = [
    "ESTIMATORS",
    "HuberRegressor",
    "L1Regressor",
    "L2Regressor",
    "MRegressor",
    "QuantileRegressor",
]

ESTIMATORS = {
    "huber": HuberRegressor,
    "l1": L1Regressor,
    "l2": L2Regressor,
    "m": MRegressor,
    "quantile": QuantileRegressor,
}

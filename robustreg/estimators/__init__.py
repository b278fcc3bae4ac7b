"""The estimators: a docstring, ``__init__``, and what makes each of them differ."""

from __future__ import annotations

from robustreg.estimators._huber import HuberRegressor
from robustreg.estimators._l1 import L1Regressor
from robustreg.estimators._l2 import L2Regressor
from robustreg.estimators._lts import LTSRegressor
from robustreg.estimators._m import MRegressor
from robustreg.estimators._mm import MMRegressor
from robustreg.estimators._quantile import QuantileRegressor
from robustreg.estimators._s import SRegressor

__all__ = [
    "CONVEX",
    "ESTIMATORS",
    "HIGH_BREAKDOWN",
    "HuberRegressor",
    "L1Regressor",
    "L2Regressor",
    "LTSRegressor",
    "MMRegressor",
    "MRegressor",
    "QuantileRegressor",
    "SRegressor",
]

#: Those that minimise a convex function, and certify it.
CONVEX = {
    "huber": HuberRegressor,
    "l1": L1Regressor,
    "l2": L2Regressor,
    "m": MRegressor,
    "quantile": QuantileRegressor,
}
#: Those that withstand outliers in X, too.
HIGH_BREAKDOWN = {
    "s": SRegressor,
    "mm": MMRegressor,
    "lts": LTSRegressor,
}
ESTIMATORS = CONVEX | HIGH_BREAKDOWN

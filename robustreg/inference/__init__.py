"""How sure a fit is: standard errors, intervals and tests."""

from __future__ import annotations

from robustreg.inference._deviance import deviance_test
from robustreg.inference._infer import infer
from robustreg.inference._result import Inference
from robustreg.inference._wald import TestResult
from robustreg.inference.conformal._regressor import ConformalRegressor
from robustreg.inference.quantiles._rank_test import rank_test
from robustreg.inference.quantiles._result import QuantileInference

__all__ = [
    "ConformalRegressor",
    "Inference",
    "QuantileInference",
    "TestResult",
    "deviance_test",
    "infer",
    "rank_test",
]

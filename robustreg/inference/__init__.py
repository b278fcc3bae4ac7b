"""How sure a fit is: standard errors, intervals and tests."""

from __future__ import annotations

from robustreg.inference._conformal import ConformalRegressor
from robustreg.inference._infer import infer
from robustreg.inference._result import Inference, TestResult

__all__ = ["ConformalRegressor", "Inference", "TestResult", "infer"]

"""Displays in scikit-learn's manner. matplotlib is imported only when something is drawn."""

from robustreg.plotting._coefficients import CoefficientPathDisplay
from robustreg.plotting._cross_validation import CVCurveDisplay
from robustreg.plotting._losses import LossDisplay

__all__ = ["CVCurveDisplay", "CoefficientPathDisplay", "LossDisplay"]

"""Displays in scikit-learn's manner. matplotlib is imported only when something is drawn."""

from robustreg.plotting._coefficients import CoefficientPathDisplay
from robustreg.plotting._cross_validation import CVCurveDisplay
from robustreg.plotting._losses import LossDisplay
from robustreg.plotting._outlier_map import OutlierMapDisplay

__all__ = ["CVCurveDisplay", "CoefficientPathDisplay", "LossDisplay", "OutlierMapDisplay"]

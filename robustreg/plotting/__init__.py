"""Displays in scikit-learn's manner. matplotlib is imported only when something is drawn."""

from robustreg.plotting._coefficient_intervals import CoefficientDisplay
from robustreg.plotting._coefficients import CoefficientPathDisplay
from robustreg.plotting._cross_validation import CVCurveDisplay
from robustreg.plotting._losses import LossDisplay
from robustreg.plotting._outlier_map import OutlierMapDisplay
from robustreg.plotting._quantile_process import QuantileProcessDisplay

__all__ = [
    "CVCurveDisplay",
    "CoefficientDisplay",
    "CoefficientPathDisplay",
    "LossDisplay",
    "OutlierMapDisplay",
    "QuantileProcessDisplay",
]

"""Displays in scikit-learn's manner. matplotlib is imported only when something is drawn."""

from robustreg.plotting._losses import LossDisplay

__all__ = ["LossDisplay"]

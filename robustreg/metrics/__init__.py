"""Robust measures of predictions, with scikit-learn's signatures, and scorers made of them."""

from __future__ import annotations

from robustreg.metrics._d2 import d2_huber_score
from robustreg.metrics._errors import tau_scale_error, trimmed_mean_squared_error
from robustreg.metrics._losses import (
    mean_huber_loss,
    mean_log_cosh_loss,
    mean_smooth_l1_loss,
)
from robustreg.metrics._scorers import get_scorer

__all__ = [
    "d2_huber_score",
    "get_scorer",
    "mean_huber_loss",
    "mean_log_cosh_loss",
    "mean_smooth_l1_loss",
    "tau_scale_error",
    "trimmed_mean_squared_error",
]

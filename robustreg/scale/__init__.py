"""Robust estimates of location and scale: pure functions of a sample and its weights.

Weights have frequency meaning: weight 2 is the observation twice, weight 0 its absence.
"""

from __future__ import annotations

from robustreg.scale._m_scale import m_scale
from robustreg.scale._median import MAD_FACTOR, mad, residual_mad, weighted_median
from robustreg.scale._qn import qn_scale
from robustreg.scale._tau import tau_scale

__all__ = [
    "MAD_FACTOR",
    "m_scale",
    "mad",
    "qn_scale",
    "residual_mad",
    "tau_scale",
    "weighted_median",
]

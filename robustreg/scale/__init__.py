"""Robust estimates of location and scale: pure functions of a sample and its weights.

Weights have frequency meaning: weight 2 is the observation twice, weight 0 its absence. Samples
are lists, arrays or columns of a frame, without NaN. Infinite values are the limit of huge ones;
where half of the weight or more is infinite, so are the scales.
"""

from __future__ import annotations

from robustreg import _median
from robustreg._median import MAD_FACTOR
from robustreg.scale import _m_scale, _qn, _tau
from robustreg.scale._checked import checked

__all__ = [
    "MAD_FACTOR",
    "m_scale",
    "mad",
    "qn_scale",
    "residual_mad",
    "tau_scale",
    "weighted_median",
]

m_scale = checked(_m_scale.m_scale)
mad = checked(_median.mad)
qn_scale = checked(_qn.qn_scale)
residual_mad = checked(_median.residual_mad)
tau_scale = checked(_tau.tau_scale)
weighted_median = checked(_median.weighted_median)

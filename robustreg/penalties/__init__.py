"""Penalties of the coefficients, and the kinks that they give an objective."""

from __future__ import annotations

from robustreg.penalties._base import NonSmooth, Penalty
from robustreg.penalties._elastic_net import ElasticNet

__all__ = ["ElasticNet", "NonSmooth", "Penalty"]

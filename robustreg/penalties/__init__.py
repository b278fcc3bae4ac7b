"""Penalties of the coefficients, and the kinks that they give an objective."""

from __future__ import annotations

from robustreg.penalties._base import NonSmooth, Penalty
from robustreg.penalties._check import check_penalty
from robustreg.penalties._elastic_net import ElasticNet

__all__ = ["ElasticNet", "NonSmooth", "Penalty", "check_penalty"]

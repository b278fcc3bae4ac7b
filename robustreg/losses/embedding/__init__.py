"""Losses of comparisons: of two or three predictions with each other, or of a distance."""

from __future__ import annotations

from robustreg.losses.embedding._cosine import CosineEmbedding
from robustreg.losses.embedding._margins import HingeEmbedding, MarginRanking
from robustreg.losses.embedding._triplet import TripletMargin

__all__ = ["CosineEmbedding", "HingeEmbedding", "MarginRanking", "TripletMargin"]

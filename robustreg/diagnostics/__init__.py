"""What the rows of a table are like: how far each lies from the bulk of the others."""

from robustreg.diagnostics._distances import robust_distances

__all__ = ["robust_distances"]

"""Absolute deviations and quantiles: the programme of their rows, and ways to its vertex."""

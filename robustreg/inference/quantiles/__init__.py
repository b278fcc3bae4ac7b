"""Inference for quantile fits: densities, covariances, rank tests, several quantiles."""

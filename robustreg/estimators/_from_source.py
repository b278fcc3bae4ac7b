"""Fits to rows that are not in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from robustreg._linalg.factors import OutOfRangeError
from robustreg._parallel import one_blas_thread
from robustreg.evaluation.reading import NotFiniteError
from robustreg.sources import RowSource
from robustreg.sources._surveyed import survey

if TYPE_CHECKING:
    from robustreg.estimators._base import LinearRegressor


def fit_source(model: LinearRegressor, source: RowSource) -> None:
    """Fit a model in passes over a source; what it would say of each row is left out."""
    with one_blas_thread() as n_threads, np.errstate(under="ignore"):
        try:
            problem, solver, fit = model._solve(survey(source, n_threads))
        except (NotFiniteError, OutOfRangeError):
            raise ValueError(
                "X holds NaN, infinity or values so large that their squares overflow (beyond "
                "about 1e150)."
            ) from None
    scale = model._noise_scale(problem, fit, fit.residuals)
    found: dict[str, Any] = model._of_fit(problem, fit, scale, np.dtype(np.float64))
    for name in ("weights_", "outliers_", "feature_names_in_"):  # of an earlier fit
        model.__dict__.pop(name, None)
    if source.names is not None:
        found["feature_names_in_"] = np.asarray(source.names, dtype=object)
    model.__dict__.update(found, solver_=solver, n_features_in_=source.n_columns)
    if not fit.converged:
        model._warn(fit, solver)

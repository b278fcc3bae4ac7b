"""Inference for smooth convex fits: least squares, Huber's and other M-estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robustreg.estimators._doubt import doubt_of_choice
from robustreg.inference._clusters import clustered
from robustreg.inference._covariance import Covariance, classical, sandwich, score
from robustreg.inference._good_rows import refuse_other_rows
from robustreg.inference._parts import Asked, Parts, name_of
from robustreg.inference._r_squared import gaussian_ratio, r_squared
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Scored
from robustreg.inference.bootstrap._fits import of_smooth


def parts(model: Any, fitted: FittedRows, asked: Asked) -> Parts:
    """What a result is made of."""
    scored = checked_scores(model, fitted, asked.kind)
    found, chosen = _covariance_of(fitted, scored, asked), getattr(model, "delta", None) == "auto"
    if chosen:
        found = replace(found, matrix=found.matrix * _doubt(fitted))
    r2, adjusted, few = r_squared(fitted, fitted.size, scored.fit, gaussian_ratio(fitted.loss))
    return Parts(
        fitted=fitted,
        covariance=found,
        kind=name_of(asked, found.scale_error) + (", delta chosen" if chosen else ""),
        r2=r2,
        adjusted_r2=adjusted,
        n_few=few,
        noise=_noise(model, fitted, scored),
    )


def checked_scores(model: Any, fitted: FittedRows, kind: str = "") -> Scored:
    """The sums of the scores.

    Raises
    ------
    ValueError
        If the slopes of the loss do not balance: they are other rows than the fit's; or if it is
        exact.
    """
    if not fitted.point.sigma > 0.0:
        raise ValueError("The fit is exact: its scale is 0, and there is no noise to judge it by.")
    scored = score(fitted, kind)
    total = fitted.rows.total
    if np.sqrt(scored.fit.rr / scored.fit.weight) <= fitted.exact:
        raise ValueError("The fit is exact: there is no noise to judge it by.")
    # in coordinates of unit variance no slope is larger than that
    largest = np.sqrt(total * scored.psi_square)
    miss = float(np.abs(scored.psi).max(initial=0.0)) / largest
    if fitted.joint:
        miss = max(miss, abs(scored.conjugate) / (total * fitted.loss.kappa))
    refuse_other_rows(model, fitted, miss, scored.psi_square)
    return scored


def _covariance_of(fitted: FittedRows, scored: Scored, asked: Asked) -> Covariance:
    if asked.kind == "classical":
        return classical(fitted, scored)
    if asked.kind == "bootstrap":
        return of_smooth(fitted, scored, asked)
    if asked.groups is not None:
        return clustered(fitted, scored, asked.kind, asked.groups)
    return sandwich(fitted, scored, asked.kind)


def _doubt(fitted: FittedRows) -> float:
    """How much less is known than it seems, because delta was chosen by the rows."""
    loss: Any = fitted.loss
    return doubt_of_choice(
        fitted.rows,
        fitted.residual,
        threshold=loss.delta * fitted.point.sigma,
        unit=fitted.weight_unit,
        zero=fitted.zero_size,
    )


def _noise(model: Any, fitted: FittedRows, scored: Scored) -> float:
    """The standard deviation of the noise of a good row, for intervals of new ones."""
    left = fitted.total - fitted.size
    if fitted.loss.homogeneity == 2:
        square = fitted.weight_unit * scored.psi_square / left
        return float(np.sqrt(square)) * fitted.scale
    scale = float(model.scale_)
    return scale / (left / fitted.total) ** 0.75 if fitted.joint else scale

"""Inference for smooth convex fits: least squares, Huber's and other M-estimates."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustreg.inference._clusters import clustered, group_numbers
from robustreg.inference._covariance import Covariance, classical, sandwich, score
from robustreg.inference._good_rows import refuse_other_rows
from robustreg.inference._parts import Parts
from robustreg.inference._r_squared import gaussian_ratio, r_squared
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Scored


def parts(model: Any, fitted: FittedRows, kind: str, groups: Any, n_given: int) -> Parts:
    """What a result is made of."""
    if not fitted.point.sigma > 0.0:
        raise ValueError("The fit is exact: its scale is 0, and there is no noise to judge it by.")
    scored = score(fitted)
    _check_equations(model, fitted, scored)
    found = _covariance_of(fitted, scored, kind, groups, n_given)
    r2, adjusted, few = r_squared(fitted, fitted.size, scored.fit, gaussian_ratio(fitted.loss))
    return Parts(
        fitted=fitted,
        covariance=found,
        kind=f"{kind}, stacked with the scale" if found.scale_error > 0.0 else kind,
        r2=r2,
        adjusted_r2=adjusted,
        n_few=few,
        noise=_noise(model, fitted, scored),
    )


def _check_equations(model: Any, fitted: FittedRows, scored: Scored) -> None:
    """Refuse rows at which the slopes of the loss do not balance."""
    total = fitted.rows.total
    if np.sqrt(scored.psi_square / total) * fitted.point.sigma <= fitted.exact:
        raise ValueError("The fit is exact: there is no noise to judge it by.")
    # in coordinates of unit variance no slope is larger than that
    largest = np.sqrt(total * scored.psi_square)
    miss = float(np.abs(fitted.lead_of(scored.psi)).max(initial=0.0)) / largest
    if fitted.joint:
        miss = max(miss, abs(scored.conjugate) / (total * fitted.loss.kappa))
    refuse_other_rows(model, fitted, miss, scored.psi_square)


def _covariance_of(
    fitted: FittedRows, scored: Scored, kind: str, groups: Any, n_given: int
) -> Covariance:
    if kind == "classical":
        return classical(fitted, scored)
    if kind in ("CR1", "CR3"):
        numbers, count = group_numbers(groups, n_given, fitted.kept)
        return clustered(fitted, scored, kind, numbers, count)
    return sandwich(fitted, scored, kind)


def _noise(model: Any, fitted: FittedRows, scored: Scored) -> float:
    """The standard deviation of the noise of a good row, for intervals of new ones."""
    left = fitted.total - fitted.size
    if fitted.loss.homogeneity == 2:
        square = fitted.weight_unit * scored.psi_square / left
        return float(np.sqrt(square)) * fitted.scale
    scale = float(model.scale_)
    return scale / (left / fitted.total) ** 0.75 if fitted.joint else scale

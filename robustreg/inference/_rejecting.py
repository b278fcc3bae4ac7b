"""Inference for estimates that reject rows: S, MM, redescending M and least trimmed squares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from robustreg.estimators import LTSRegressor, SRegressor
from robustreg.inference import _high_breakdown, _trimmed
from robustreg.inference._good_rows import check_noise
from robustreg.inference._parts import Asked, Parts
from robustreg.inference._rows import FittedRows
from robustreg.inference.bootstrap._draws import name_of
from robustreg.inference.bootstrap._fits import of_rejecting, of_trimmed
from robustreg.losses._quadrature import gaussian_expectation


def parts(model: Any, fitted: FittedRows, asked: Asked) -> Parts:
    """What a result is made of."""
    module: Any = _high_breakdown
    kind = asked.kind
    check_noise(model)
    if isinstance(model, LTSRegressor):
        _trimmed.check_reweighted(model)
        module = _trimmed
    own, start = module.posed(model, fitted)
    sums = module.score(own, start)
    module.check_equations(model, own, start, sums)
    if kind == "bootstrap":
        resample: Any = of_trimmed if module is _trimmed else of_rejecting
        found, name = resample(own, start, sums, asked), name_of(asked)
    else:
        found = module.covariance_of(model, own, start, sums, asked)
        name = f"{kind}, stacked with the scale" if found.scale_error > 0.0 else kind
    if isinstance(model, SRegressor) and kind != "classical":
        ratio = _curvature_ratio(own, sums.bend)
        matrix = found.matrix * ratio**2
        found, name = replace(found, matrix=matrix), f"{name}, at the Gaussian curvature"
    r2, adjusted, few = module.explained(own, start)
    return Parts(own, found, name, r2, adjusted, few, float(model.scale_))


def _curvature_ratio(fitted: FittedRows, bend: float) -> float:
    """``mean psi'(z) / E psi'(Z)``, at least 1, by which errors of an S-estimate are too small.

    It chooses the rows in the centre of its loss, and sees more of them there than noise has.
    """
    loss: Any = fitted.loss
    with np.errstate(all="ignore"):
        expected = gaussian_expectation(loss._psi_prime, loss._breakpoints())
    return max(bend / fitted.rows.total / expected, 1.0)

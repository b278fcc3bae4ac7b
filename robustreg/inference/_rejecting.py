"""Inference for estimates that reject rows: S, MM, redescending M and least trimmed squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg.estimators import LTSRegressor, SRegressor
from robustreg.inference import _high_breakdown, _trimmed
from robustreg.inference._good_rows import check_noise
from robustreg.inference._parts import Asked, Parts, name_of
from robustreg.inference._rows import FittedRows
from robustreg.inference.bootstrap._fits import of_rejecting, of_trimmed
from robustreg.losses import ResidualLoss
from robustreg.losses._quadrature import gaussian_expectation


def parts(model: Any, fitted: FittedRows, asked: Asked) -> Parts:
    """What a result is made of."""
    module: Any = _high_breakdown
    check_noise(model)
    if isinstance(model, LTSRegressor):
        _trimmed.check_reweighted(model)
        module = _trimmed
    own, start, sums = module.posed(model, fitted)
    module.check_equations(model, own, start, sums)
    if asked.kind == "bootstrap":
        resample: Any = of_trimmed if module is _trimmed else of_rejecting
        found = resample(own, start, sums, asked)
    else:
        found = module.covariance_of(model, own, start, sums, asked)
    name = name_of(asked, found.scale_error)
    if isinstance(model, SRegressor) and asked.kind != "classical":
        factor = 1.0 + 2.0 * curvature_bias(model.loss_) * start.rank / fitted.total
        found, name = replace(found, matrix=factor * found.matrix), f"{name}, for few rows"
    r2, adjusted, few = module.explained_by(own, start, sums)
    return Parts(own, found, name, r2, adjusted, few, float(model.scale_))


def curvature_bias(loss: ResidualLoss) -> float:
    """By how much more the rows of an S-estimate curve than noise does, times W / k.

    It chooses the rows in the centre of its loss, and sees more of them there than there are. A
    fit that is off by d moves residuals by ``-x'd``, of which the row itself has brought
    ``psi x'A^-1 x``; to the first order in k / W the mean of psi' is too large by k / W times

        -E[psi psi''] / E[psi'] + E[psi^2] E[psi'''] / (2 E[psi']^2).

    Expectations are those at Gaussian noise, which are, by parts, ``E[psi'] = E[Z psi]``,
    ``E[psi psi''] = E[Z psi psi'] - E[psi'^2]`` and ``E[psi'''] = E[(Z^3 - 3 Z) psi]``. The result
    is relative to ``E[psi']``, by which errors are divided: variances are too small by twice that.
    """
    own: Any = loss
    psi, bend, breakpoints = own._psi, own._psi_prime, own._breakpoints()

    def mean(function: Callable[[Array], Array]) -> float:
        with np.errstate(all="ignore"):
            return gaussian_expectation(function, breakpoints)

    slope = mean(lambda z: z * psi(z))
    chosen = mean(lambda z: bend(z) ** 2) - mean(lambda z: z * psi(z) * bend(z))
    moved = mean(lambda z: psi(z) ** 2) * mean(lambda z: (z**3 - 3.0 * z) * psi(z))
    return (chosen + 0.5 * moved / slope) / slope**2

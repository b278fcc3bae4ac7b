"""Which estimators there is inference for, which covariances they take, and who computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from robustreg.estimators import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.inference import _rejecting, _smooth
from robustreg.inference._parts import Asked, Parts
from robustreg.inference._rows import FittedRows
from robustreg.inference.quantiles import _parts as quantiles
from robustreg.losses import ConvexLoss
from robustreg.model_selection import HuberRegressorCV, L1RegressorCV, QuantileRegressorCV
from robustreg.sources._dispatch import refuse_source


class Family(NamedTuple):
    """What estimators of a kind can tell, and who tells it."""

    kinds: tuple[str, ...]
    default: str
    parts: Callable[[Any, FittedRows, Asked], Parts]
    whitened: bool = True  # else the fits have coordinates of their own, of the good rows


HC = ("classical", "HC0", "HC1", "HC2", "HC3", "bootstrap")
GROUPED = {"cluster": "CR3", "CR1": "CR1"}
SMOOTH = Family((*HC, *GROUPED), "HC3", _smooth.parts)
REJECTING = Family((*HC, *GROUPED), "HC3", _rejecting.parts, whitened=False)
TRIMMED = Family((*HC, *GROUPED), "classical", _rejecting.parts, whitened=False)
ROWS_AT_ONCE = ("rank", "bootstrap")  # kinds that refit rows, or sort them
QUANTILE = Family(("iid", "nid", "kernel", "rank", "cluster", "bootstrap"), "auto", quantiles.parts)
FAMILIES: dict[type, Family] = {
    L2Regressor: SMOOTH,
    HuberRegressor: SMOOTH,
    HuberRegressorCV: SMOOTH,
    MRegressor: SMOOTH,  # or, of a redescending loss, rejecting
    SRegressor: REJECTING,
    MMRegressor: REJECTING,
    LTSRegressor: TRIMMED,
    L1Regressor: QUANTILE,
    L1RegressorCV: QUANTILE,
    QuantileRegressor: QUANTILE,
    QuantileRegressorCV: QUANTILE,
}


def family_of(model: Any, several: bool = False) -> Family:
    """What there is for a model; of several quantiles only where those are asked for."""
    family = FAMILIES.get(type(model))
    if family is None:
        names = ", ".join(kind.__name__ for kind in FAMILIES)
        inside = [name for name in ("best_estimator_", "regressor_") if hasattr(model, name)]
        hint = f" Take its {inside[0]}." if inside else ""
        given = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(
            f"model must be one of {names}, fitted, or a pipeline that ends in one; got {given}."
            f"{hint}"
        )
    check_is_fitted(model)
    name = type(model).__name__
    alpha = model.alpha_ if hasattr(model, "alpha_") else getattr(model, "alpha", 0.0)
    positive = getattr(model, "positive", False)
    if alpha or positive or getattr(model, "penalty", None) is not None:
        raise ValueError(
            f"There are no standard errors for a penalised fit, but {name} has "
            f"{'positive=True' if positive else f'alpha={alpha:g}'}: the penalty biases "
            "coefficients by an unknown amount. Fit with alpha=0, or choose columns on one half "
            "of the rows and infer on the other."
        )
    if np.ndim(model.intercept_) and not several:
        raise ValueError(
            f"{name} has {len(model.intercept_)} quantiles; take fits of one quantile each."
        )
    if isinstance(model, MRegressor) and not isinstance(model.loss_, ConvexLoss):
        return REJECTING
    return family


def check_at_hand(X: Any, family: Family, kind: str) -> None:
    """Refuse rows that are not in memory where sums over them are not all that it takes."""
    if kind in ROWS_AT_ONCE:
        others = [each for each in family.kinds if each not in (*ROWS_AT_ONCE, *GROUPED)]
        refuse_source(f"covariance={kind!r}", X, f", or take another one: {', '.join(others)}")


def kind_of(family: Family, model: Any, covariance: str, groups: Any) -> str:
    """The kind of covariance, under the name that it has in the table."""
    if covariance != "auto" and covariance not in family.kinds:
        raise ValueError(
            f"covariance of {type(model).__name__} must be one of auto, "
            f"{', '.join(family.kinds)}; got {covariance!r}."
        )
    if covariance == "auto":
        if groups is None:
            return family.default
        covariance = "cluster"
    if covariance != "bootstrap" and (covariance in GROUPED) != (groups is not None):
        raise ValueError(
            f"covariance={covariance!r} and groups go together: 'cluster' and 'CR1' need groups, "
            "'bootstrap' takes them, and the others do not take any."
        )
    if family is QUANTILE:
        return covariance
    return GROUPED.get(covariance, covariance)

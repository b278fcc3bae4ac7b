"""Inference for quantile fits, the median among them, one by one and of several together."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from robustreg._arrays import Array
from robustreg.inference._parts import Asked, Parts, name_of
from robustreg.inference._result import Ranks
from robustreg.inference._rows import FittedRows
from robustreg.inference.quantiles._bootstrap import (
    bootstrapped_quantiles,
    directions_on_single_rows,
)
from robustreg.inference.quantiles._covariance import (
    Joint,
    check_noise,
    check_objective,
    covariance_of,
    joint_covariance,
    r_one,
)
from robustreg.inference.quantiles._density import (
    Density,
    at_fit,
    in_double_precision,
    nid_densities,
)
from robustreg.inference.quantiles._rank import RankTests, limits_of

MOST_RANKED = 1000  # weight of rows up to which "auto" inverts rank tests
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)  # of intervals by rank tests
OF_EACH = (  # attributes of a fit of several quantiles that have one entry for each
    "coef_",
    "intercept_",
    "scale_",
    "loss_",
    "loss_scale_",
    "rank_",
    "weights_",
    "outliers_",
    "objective_",
    "dual_gap_",
    "n_iter_",
    "_judgement_",
)


def one_by_one(model: Any) -> list[Any]:
    """The fit, or of several quantiles fits of each of them."""
    if not np.ndim(model.intercept_):
        return [model]
    found = []
    for index, level in enumerate(model.quantiles_):
        one = copy.copy(model)
        one.quantile, one.quantiles_ = float(level), model.quantiles_[index : index + 1]
        for name in OF_EACH:
            if hasattr(model, name):  # of rows that were not in memory there are no weights
                setattr(one, name, getattr(model, name)[index])
        found.append(one)
    return found


def parts(model: Any, fitted: FittedRows, asked: Asked) -> Parts:
    """What a result is made of."""
    (found,), _ = parts_of_several([model], fitted, asked)
    return found


def parts_of_several(
    models: Sequence[Any], fitted: FittedRows, asked: Asked
) -> tuple[list[Parts], Joint]:
    """What the results of several fits of the same rows are made of, and their covariances.

    Parameters
    ----------
    models : sequence of estimators
        Fits of one quantile each.
    fitted : FittedRows
        The rows, at the first fit.
    asked : Asked
        What is asked for.
    """
    taus = [float(getattr(model, "quantile", 0.5)) for model in models]
    fits = [checked_fit(each, fitted, tau) for each, tau in zip(models, taus, strict=True)]
    kind = asked.kind
    if kind == "auto":
        kind = "rank" if fitted.in_memory and fitted.total <= MOST_RANKED else "nid"
    unknown: Array = np.zeros((fitted.size, 0))
    alone: tuple[int, ...] = ()
    name = kind
    ranks: list[Ranks | None] = [None] * len(models)
    if kind == "bootstrap":
        name, joint = name_of(asked), Joint.of(bootstrapped_quantiles(fits[0], taus, asked))
        unknown, alone = directions_on_single_rows(fits[0], asked)
    elif kind == "rank":
        name = "nid; intervals and p by rank tests"
        densities = nid_densities(fits[0], taus)
        joint = joint_covariance(fits, taus, "nid", densities=densities)
        ranks = [_ranks(fits[0], *pair) for pair in zip(taus, densities, strict=True)]
    else:
        joint = joint_covariance(fits, taus, kind, groups=asked.groups)
    found = []
    for index, (fit, tau) in enumerate(zip(fits, taus, strict=True)):
        own, r1 = covariance_of(joint, index, asked.groups, unknown, alone), r_one(fit, tau)
        found.append(Parts(fit, own, name, r1, math.nan, 0, math.nan, ranks[index]))
    return found, joint


def checked_fit(model: Any, first: FittedRows, tau: float) -> FittedRows:
    """The rows at a fit, which is theirs and has noise."""
    single, unit = np.asarray(model.coef_).dtype != np.float64, first.y_unit
    centre = first.rows.observed.targets.units.centre
    coef = np.asarray(model.coef_, dtype=np.float64) / unit
    intercept = float(model.intercept_) / unit - centre
    fitted = replace(at_fit(first, coef, intercept, 1.0), loss=model.loss_)
    check_noise(fitted, model.scale_)
    check_objective(fitted, float(model.objective_), type(model).__name__, single=single)
    return in_double_precision(fitted, tau) if single else fitted


def _ranks(fitted: FittedRows, tau: float, density: Density) -> Ranks:
    tests = RankTests.of(fitted, tau, density)
    paths = tests.paths(max(LEVELS))
    limits = {level: limits_of(paths, level, tests.df) for level in LEVELS}
    return Ranks(tests.p_values(), limits)

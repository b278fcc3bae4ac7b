"""Inference for quantile fits, the median among them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robustreg.inference._clusters import group_numbers
from robustreg.inference._density import in_double_precision, nid_density
from robustreg.inference._parts import Parts
from robustreg.inference._quantile import (
    check_noise,
    check_objective,
    quantile_covariance,
    r_one,
)
from robustreg.inference._rank import RankTests, limits_of
from robustreg.inference._result import Ranks
from robustreg.inference._rows import FittedRows

MOST_RANKED = 1000  # weight of rows up to which "auto" inverts rank tests
LEVELS = (0.8, 0.9, 0.95, 0.99)  # of intervals by rank tests


def parts(model: Any, fitted: FittedRows, kind: str, groups: Any, n_given: int) -> Parts:
    """What a result is made of."""
    tau, single = (
        float(getattr(model, "quantile", 0.5)),
        np.asarray(model.coef_).dtype != np.float64,
    )
    check_noise(fitted, model.scale_)
    check_objective(fitted, float(model.objective_), type(model).__name__, single=single)
    if single:
        fitted = in_double_precision(fitted, tau)
    if kind == "auto":
        kind = "rank" if fitted.total <= MOST_RANKED else "nid"
    if kind == "cluster":
        numbers, count = group_numbers(groups, n_given, fitted.kept)
        found = quantile_covariance(fitted, tau, kind, groups=(numbers, count))
        return _parts(fitted, tau, found, kind, None)
    density = nid_density(fitted, tau) if kind in ("nid", "rank") else None
    used = "nid" if kind == "rank" else kind
    found = quantile_covariance(fitted, tau, used, density=density)
    ranks = None
    if kind == "rank":
        tests = RankTests.of(fitted, tau, density)
        paths = tests.paths(max(LEVELS))
        limits = {level: limits_of(paths, level, tests.df) for level in LEVELS}
        ranks = Ranks(tests.p_values(), limits)
    return _parts(fitted, tau, found, kind, ranks)


def _parts(fitted: FittedRows, tau: float, found: Any, kind: str, ranks: Ranks | None) -> Parts:
    name = "nid; intervals and p by rank tests" if kind == "rank" else kind
    r1 = r_one(fitted, tau)
    return Parts(fitted, found, name, r1, math.nan, 0, math.nan, ranks)

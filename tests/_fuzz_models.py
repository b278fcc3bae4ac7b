"""Random estimators for the fuzz, and what a case consists of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from _fuzz_routes import select
from _fuzz_tables import CLASSES, table

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.losses import HalfSquared, Huber, LogCosh, PseudoHuber, SmoothL1, Squared
from robustreg.solvers import SOLVERS

SHARES = (0.5, 0.3, 0.2)


@dataclass
class Case:
    """One call: a table, and what is fitted to it."""

    seed: int
    kind: str
    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    plane: tuple
    table: str
    model: Any
    call: str  # "fit", "cv" or the name of a path
    options: dict
    spoilt: str = ""  # what of the input is not what it must be

    def __str__(self):
        options = f" {self.options}" if self.options else ""
        call = "" if self.call == "fit" else f" {self.call}"
        model = " ".join(repr(self.model).split())
        spoilt = f" with {self.spoilt}" if self.spoilt else ""
        return f"seed {self.seed} [{self.kind}] {model}{call}{options} on {self.table}{spoilt}"

    @property
    def dense(self):
        """X as an array of the type that a fit works with."""
        X = self.X.toarray() if hasattr(self.X, "toarray") else self.X
        return X if X.dtype.kind == "f" else X.astype(float)


def case_of(seed):
    """The case of a seed."""
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(CLASSES, p=SHARES))
    X, y, weight, plane, words = table(rng, kind)
    with np.errstate(all="ignore"):
        model, call, options = _model(rng, kind, X, y)
    if hasattr(X, "toarray") and not model._takes_sparse():
        X = X.toarray()
    case = Case(seed, kind, X, y, weight, plane, words, model, call, options)
    if rng.random() < 0.02:
        _spoil(rng, case)
    return case


def _spoil(rng, case):
    """Put in something that must be refused, be it in a row of weight 0."""
    row = rng.integers(len(case.y))
    value = float(rng.choice([np.nan, np.inf, -np.inf]))
    place = str(rng.choice(["X", "y", "sample_weight"]))
    if place == "sample_weight":
        value = float(rng.choice([np.nan, np.inf, -1.0]))
        case.weight = np.ones(len(case.y)) if case.weight is None else case.weight.copy()
        case.weight[row] = value
    elif place == "y":
        case.y = case.y.copy()
        case.y[row] = value
    else:
        sparse, form = hasattr(case.X, "toarray"), type(case.X)
        dense = case.dense.copy()
        dense[row, rng.integers(dense.shape[1])] = value
        case.X = form(dense) if sparse else dense
    case.spoilt = f"{value} in {place}"


def _log_uniform(rng, low, high):
    return float(10.0 ** rng.uniform(low, high))


def _delta(rng):
    return _log_uniform(rng, -1, 1) if rng.random() < 0.65 else _log_uniform(rng, -9, 3)


def _loss(rng):
    c = _log_uniform(rng, -1, 1) if rng.random() < 0.75 else _log_uniform(rng, -4, 3)
    kinds = [Huber, PseudoHuber, LogCosh, SmoothL1]
    if rng.random() < 0.25:
        return (Squared, HalfSquared)[rng.integers(2)]()
    return kinds[rng.integers(4)](c)


def _scale(rng, y):
    kind = rng.choice(["joint", "mad", "number"], p=[0.5, 0.2, 0.3])
    if kind != "number":
        return str(kind)
    size = float(np.median(np.abs(y - np.median(y)))) or float(np.std(y)) or 1.0
    if rng.random() < 0.7:
        factor = _log_uniform(rng, -1.5, 1.5)
    else:
        factor = _log_uniform(rng, -16, 4)
    scale = size * factor
    return scale if np.isfinite(scale) and scale > 0 else 1.0


def _penalty(rng, kind, X, y):
    found = {}
    form = rng.choice(["none", "ridge", "lasso", "net"], p=[0.45, 0.18, 0.2, 0.17])
    if form != "none":
        alpha = _log_uniform(rng, -8, 3)
        if rng.random() < 0.5:  # near where coefficients vanish
            dense = X.toarray() if hasattr(X, "toarray") else X
            dense = dense * np.float32(1)
            slopes = np.mean(np.abs(dense - np.median(dense, axis=0)), axis=0, dtype=np.float64)
            largest = float(rng.choice([slopes.max(), np.median(slopes)]))
            relative = largest * _log_uniform(rng, -3.5, 0.2)
            if form == "ridge":
                relative *= largest
            alpha = relative if 0 < relative < 1e300 else alpha
        if kind == "extreme" and rng.random() < 0.2:
            alpha = _log_uniform(rng, -322, -300)
        found["alpha"] = alpha
        ratios = {"ridge": 0.0, "lasso": 1.0, "net": round(float(rng.uniform(0.05, 0.98)), 3)}
        found["l1_ratio"] = ratios[str(form)]
    if rng.random() < 0.12:
        found["positive"] = True
    if rng.random() < 0.2:
        found["fit_intercept"] = False
    return found


def _solver(rng, loss, X, model):
    """The solvers that support a model, one of them; half of the time "auto"."""
    if rng.random() < 0.5:
        return "auto"
    able = []
    for name in SOLVERS:
        try:
            select(model, loss, X.shape[1], name)
        except ValueError:
            continue
        able.append(name)
    return str(rng.choice(able))


def _model(rng, kind, X, y):
    which = rng.choice(
        ["huber", "auto", "m", "l1", "l2", "quantile", "quantiles", "high", "path"],
        p=[0.30, 0.06, 0.17, 0.13, 0.08, 0.10, 0.03, 0.06, 0.07],
    )
    if which == "high":
        return _high_breakdown(rng, y), "fit", {}
    penalty = _penalty(rng, kind, X, y)
    if which == "path":
        return _path(rng, penalty, X, y)
    if which in ("huber", "auto"):
        delta = "auto" if which == "auto" else _delta(rng)
        model = HuberRegressor(delta, scale=_scale(rng, y), **penalty)
        loss = Huber()
    elif which == "m":
        loss = _loss(rng)
        model = MRegressor(loss, scale=_scale(rng, y), **penalty)
    elif which == "l1":
        model, loss = L1Regressor(**penalty), "absolute"
    elif which == "l2":
        model, loss = L2Regressor(**penalty), "half_squared"
    else:
        level = round(float(rng.uniform(0.02, 0.98)), 3)
        levels = sorted({level, 0.5, round(float(rng.uniform(0.02, 0.98)), 3)})
        model = QuantileRegressor(level if which == "quantile" else levels, **penalty)
        loss = "quantile"
    model.set_params(solver=_solver(rng, loss, X, model))
    if rng.random() < 0.03:
        return model.set_params(warm_start=True), "fit", {"first": "reversed y"}
    return model, "fit", {}


def _high_breakdown(rng, y):
    kind = rng.choice(["s", "mm", "lts", "m"])
    common = {"random_state": 0, "n_subsamples": int(rng.choice([50, 500], p=[0.8, 0.2]))}
    if rng.random() < 0.15:
        common["fit_intercept"] = False
    bounded = str(rng.choice(["bisquare", "welsch", "hampel", "andrews"]))
    if kind == "s":
        return SRegressor(bounded, breakdown_point=float(rng.choice([0.5, 0.25])), **common)
    if kind == "mm":
        return MMRegressor(bounded, **common)
    if kind == "lts":
        return LTSRegressor(**common)
    scale = str(rng.choice(["joint", "mad", "s"]))
    return MRegressor(str(rng.choice([bounded, "cauchy"])), scale=scale, **common)


def _path(rng, penalty, X, y):
    """A path, or a search, with the estimator whose fits it consists of."""
    call = str(rng.choice(["huber_path", "l1_path", "quantile_path", "huber_delta_path", "cv"]))
    kinds = [HuberRegressor, L1Regressor, QuantileRegressor]
    options = {}
    if call == "huber_delta_path":
        options["deltas"] = np.geomspace(_log_uniform(rng, -2, 0), 5.0, 4)
        return HuberRegressor(scale=_scale(rng, y), **penalty), call, options
    model = kinds[{"huber_path": 0, "l1_path": 1, "quantile_path": 2}.get(call, rng.integers(3))]
    model = model(**penalty)
    if isinstance(model, HuberRegressor):
        model.set_params(delta=_delta(rng), scale=_scale(rng, y))
    if isinstance(model, QuantileRegressor):
        model.set_params(quantile=round(float(rng.uniform(0.05, 0.95)), 3))
    if model.l1_ratio and rng.random() < 0.6:
        options["alphas" if call == "cv" else "n_alphas"] = 5
        options["eps"] = float(rng.choice([1e-2, 1e-3, 1e-5]))
    else:
        options["alphas"] = _log_uniform(rng, -6, 2) * np.array([100.0, 10.0, 1.0])
    return model, call, options

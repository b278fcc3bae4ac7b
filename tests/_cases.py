"""Estimators, losses and tables over which the tests of the numerical core are parametrised."""

import numpy as np
import pytest

from robustreg.estimators import (
    CONVEX,
    HIGH_BREAKDOWN,
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

DEFAULTS = {name: estimator() for name, estimator in CONVEX.items()}

# What a parameter changes in the path through the code, for tests that should hold on all of them.
VARIANTS = DEFAULTS | {
    "huber-fixed": HuberRegressor(scale=1.0),
    "huber-mad": HuberRegressor(scale="mad"),
    "huber-lbfgs": HuberRegressor(solver="lbfgs"),
    "huber-newton-cg": HuberRegressor(solver="newton_cg"),
    "huber-ridge": HuberRegressor(alpha=0.1),
    "huber-auto": HuberRegressor("auto"),
    "huber-auto-fixed-ridge": HuberRegressor("auto", scale=2.0, alpha=0.1),
    "huber-lasso": HuberRegressor(alpha=0.1, l1_ratio=1.0),
    "huber-elastic-net": HuberRegressor(alpha=0.1, l1_ratio=0.5),
    "huber-positive": HuberRegressor(positive=True),
    "huber-fixed-lasso": HuberRegressor(scale=1.0, alpha=0.1, l1_ratio=1.0),
    "huber-no-intercept": HuberRegressor(fit_intercept=False),
    "l1-ridge": L1Regressor(alpha=0.1),
    "l1-lasso": L1Regressor(alpha=0.1, l1_ratio=1.0),
    "l1-elastic-net": L1Regressor(alpha=0.1, l1_ratio=0.5),
    "l1-no-intercept": L1Regressor(fit_intercept=False),
    "l1-positive": L1Regressor(positive=True),
    "l1-positive-ridge": L1Regressor(alpha=0.1, positive=True),
    "quantile-lasso": QuantileRegressor(alpha=0.1, l1_ratio=1.0),
    "quantile-positive-lasso": QuantileRegressor(alpha=0.1, l1_ratio=1.0, positive=True),
    "l2-newton": L2Regressor(solver="newton"),
    "l2-lbfgs": L2Regressor(solver="lbfgs"),
    "l2-newton-cg": L2Regressor(solver="newton_cg", alpha=0.1),
    "l2-ridge": L2Regressor(alpha=0.1),
    "l2-lasso": L2Regressor(alpha=0.1, l1_ratio=1.0),
    "l2-positive-elastic-net": L2Regressor(alpha=0.1, l1_ratio=0.5, positive=True),
    "l2-no-intercept": L2Regressor(fit_intercept=False),
    "m-fixed": MRegressor(scale=1.0),
    "m-mad-ridge": MRegressor("pseudo_huber", scale="mad", alpha=0.1),
    "m-lasso": MRegressor("log_cosh", alpha=0.1, l1_ratio=1.0),
    "m-newton-cg-ridge": MRegressor("log_cosh", solver="newton_cg", alpha=0.1),
    "m-lbfgs-ridge": MRegressor("smooth_l1", solver="lbfgs", alpha=0.1),
}
UNPENALISED = {
    name: model for name, model in VARIANTS.items() if model.alpha == 0 and not model.positive
}
# An L1 norm beside least squares moves with the units of y: that is scikit-learn's ElasticNet.
EQUIVARIANT = {
    name: model
    for name, model in VARIANTS.items()
    if not (isinstance(model, L2Regressor) and model.l1_ratio)
}
WITH_INTERCEPT = {
    name: model for name, model in VARIANTS.items() if model.fit_intercept and not model.positive
}

HIGH = {name: estimator(random_state=0) for name, estimator in HIGH_BREAKDOWN.items()}
HIGH_VARIANTS = HIGH | {
    "s-welsch": SRegressor("welsch", random_state=0),
    "s-quarter": SRegressor(breakdown_point=0.25, random_state=0),
    "mm-hampel": MMRegressor("hampel", random_state=0),
    "mm-andrews-no-intercept": MMRegressor("andrews", fit_intercept=False, random_state=0),
    "lts-raw": LTSRegressor(reweight=False, random_state=0),
    "lts-three-quarters": LTSRegressor(0.75, random_state=0),
}

# Every smooth convex loss, at its default and at constants that make it nearly L1 or L2.
SMOOTH_LOSSES = {
    "huber": Huber(),
    "huber-low": Huber(delta=0.3),
    "huber-high": Huber(delta=5.0),
    "smooth_l1": SmoothL1(beta=0.2),
    "pseudo_huber": PseudoHuber(),
    "log_cosh": LogCosh(),
    "squared": Squared(),
    "half_squared": HalfSquared(),
}


def in_turns(models, *groups):
    """Parameters of a test: every model with one case of each group, and all cases by turns.

    A case is what follows the model. The product of models and cases would ask most questions
    many times: what a model makes of its parameters seldom meets what the case is about.
    """
    return [
        pytest.param(
            model, *case, id="-".join([name, *(getattr(c, "__name__", str(c)) for c in case)])
        )
        for i, (name, model) in enumerate(models.items())
        for case in (group[i % len(group)] for group in groups)
    ]


def is_l1(model):
    """Whether the fit is that of a linear programme: exact zeros, and perhaps not unique."""
    return isinstance(model, (L1Regressor, QuantileRegressor))


def loss_of(model):
    """The loss that a fitted model has minimised."""
    return Huber(model.delta_) if isinstance(model, HuberRegressor) else model._get_loss()


def linear(n=60, p=3, seed=0):
    """Gaussian X, a plane with intercept 3, and Gaussian noise of sd 1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, X @ rng.uniform(-2, 2, p) + 3, rng.normal(size=n)


def clean(**shape):
    X, plane, noise = linear(**shape)
    return X, plane + noise


def contaminated(**shape):
    """30 % gross errors, balanced."""
    X, plane, noise = linear(**shape)
    bad = len(plane) * 3 // 10
    noise[:bad] += 1e3 * np.resize([-1, 1], bad) * (1 + np.arange(bad) / bad)
    return X, plane + noise


def one_sided(**shape):
    """20 % gross errors, all upwards."""
    X, plane, noise = linear(**shape)
    noise[: len(plane) // 5] += 1e4
    return X, plane + noise


def leverage(**shape):
    """Two rows far out in X, on the plane up to noise."""
    X, plane, noise = linear(**shape)
    shift = np.zeros_like(X)
    shift[0, 0], shift[1, -1] = 1e4, -1e4
    slopes = np.linalg.lstsq(np.c_[X, np.ones(len(X))], plane, rcond=None)[0][:-1]
    return X + shift, plane + shift @ slopes + noise


def heavy_tails(**shape):
    X, plane, noise = linear(**shape)
    return X, plane + noise / np.random.default_rng(1).uniform(0.001, 1, len(noise)) ** 2


def ties(**shape):
    """Integer y with few distinct values."""
    X, plane, noise = linear(**shape)
    return X, np.round(plane + noise)


def few_rows(**shape):
    return clean(n=6, p=3)


def rank_deficient(**shape):
    """A column that is the sum of two, a constant one, a copy in other units."""
    X, y = clean(**shape)
    return np.column_stack([X, X[:, 0] + X[:, 1], np.full(len(y), 7.0), 1e3 * X[:, 0]]), y


def wide(**shape):
    return clean(n=15, p=30)


def on_plane(share=0.3, sided=False, n=60, p=3, seed=0):
    """All rows exactly on a plane but a share, off to both sides in turn or upwards only."""
    X, y, _ = linear(n, p, seed)
    bad = round(share * n)
    signs = np.ones(bad) if sided else np.resize([-1.0, 1.0], bad)
    # in pairs of one size, so that the two sides balance
    size = np.repeat(np.random.default_rng(seed + 1).uniform(1, 9, bad), 2)[:bad]
    y[:bad] += signs * size
    return X, y, np.arange(n) >= bad


def exact_but_some(**shape):
    return on_plane(**shape)[:2]


def mostly_zero(**shape):
    """y is 0 in 60 % of the rows, whatever X."""
    X, plane, noise = linear(**shape)
    return X, np.where(np.random.default_rng(2).uniform(size=len(noise)) < 0.6, 0.0, plane + noise)


def one_differs(**shape):
    """y is constant but for one row."""
    X, y = clean(**shape)
    y[:] = 1.0
    y[0] = 5.0
    return X, y


TABLES = {
    "clean": clean,
    "contaminated": contaminated,
    "one_sided": one_sided,
    "leverage": leverage,
    "heavy_tails": heavy_tails,
    "ties": ties,
    "few_rows": few_rows,
    "rank_deficient": rank_deficient,
    "wide": wide,
    "exact_but_some": exact_but_some,
    "mostly_zero": mostly_zero,
    "one_differs": one_differs,
}


def weights_for(n):
    """Weights with zeros, fractions and large integers."""
    return np.resize([1.0, 0.0, 0.5, 2.0, 7.0, 1.0, 3.0], n)

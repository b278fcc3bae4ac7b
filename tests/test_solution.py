"""A fit says what it minimised: the loss with its constant, the scale it was given, the rank."""

import pickle

import numpy as np
import pytest
from _cases import clean

from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.losses import Bisquare, Huber, PseudoHuber, Quantile
from robustreg.solvers._solution import Solution

CONVEX = [
    HuberRegressor(),
    HuberRegressor(0.7, scale=2.5),
    HuberRegressor(scale="mad"),
    HuberRegressor("auto"),
    HuberRegressor("auto", scale="mad"),
    HuberRegressor("auto", scale=3.0),
    HuberRegressorCV(cv=3),
    MRegressor(PseudoHuber(2.0), scale="s", random_state=0),
    MRegressor("log_cosh", solver="lbfgs"),
    MRegressor("squared", scale=3.0),
    MRegressor("half_squared"),
    L1Regressor(),
    L1RegressorCV(cv=3, alphas=[0.0]),
    L2Regressor(),
    QuantileRegressor(0.3),
]
REDESCENDING = [
    MMRegressor(random_state=0),
    MRegressor("bisquare", random_state=0),
    MRegressor("cauchy", scale=2.0, random_state=0),
    MRegressor("welsch", scale="mad", random_state=0),
]


def table():
    X, y = clean()
    y = 7.0 * y + 50.0
    y[:6] += 500.0
    weight = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    return X, y, weight


@pytest.mark.parametrize("model", [*CONVEX, *REDESCENDING], ids=repr)
def test_the_objective_follows_from_what_the_fit_says(model):
    X, y, weight = table()
    model.fit(X, y, weight)
    loss, scale = model.loss_, model.loss_scale_
    residual = y - model.predict(X)
    value = np.average(scale * loss.rho(residual / scale), weights=weight)
    if getattr(model, "scale", None) == "joint" and not loss.redescending:
        value += loss.kappa * scale
    assert model.objective_ == pytest.approx(value, rel=1e-9)
    assert type(scale) is float


@pytest.mark.parametrize(
    "model",
    [m for m in [*CONVEX, *REDESCENDING] if "L1" not in repr(m) and "Quantile" not in repr(m)],
    ids=repr,
)
def test_weights_are_those_of_the_loss_at_its_scale(model):
    X, y, weight = table()
    model.fit(X, y, weight)
    expected = model.loss_.weights((y - model.predict(X)) / model.loss_scale_)
    np.testing.assert_allclose(model.weights_, expected / model.loss_.weights(0.0), rtol=1e-9)


def test_constants_and_scales_by_name():
    X, y, weight = table()
    chosen = HuberRegressor("auto", scale=3.0).fit(X, y, weight)
    assert chosen.loss_ == Huber(chosen.delta_)
    assert chosen.loss_scale_ == 3.0
    mad = HuberRegressor(scale="mad").fit(X, y, weight)
    assert mad.loss_scale_ == pytest.approx(L1Regressor().fit(X, y, weight).scale_, rel=1e-12)
    assert mad.loss_scale_ != mad.scale_
    several = QuantileRegressor([0.8, 0.2]).fit(X, y)
    assert several.loss_ == (Quantile(0.8), Quantile(0.2))
    assert list(several.loss_scale_) == [1.0, 1.0]
    assert list(several.rank_) == [X.shape[1] + 1] * 2


def test_s_and_lts():
    """The S-scale solves its equation with that loss, the M-estimate at it has another one."""
    X, y, _ = table()
    s, mm = (kind(random_state=0).fit(X, y) for kind in (SRegressor, MMRegressor))
    rho = s.loss_.rho((y - s.predict(X)) / s.loss_scale_)
    free = len(y) - s.rank_
    assert rho.sum() == pytest.approx(0.5 * s.loss_.sup_rho * free, rel=1e-8)
    assert (s.loss_scale_, mm.loss_scale_) == (s.scale_, s.scale_)
    assert isinstance(mm.loss_, Bisquare)
    assert mm.loss_.c > s.loss_.c
    lts = LTSRegressor(reweight=False, random_state=0).fit(X, y)
    smallest = np.sort(lts.loss_.rho(y - lts.predict(X)))[: lts.n_support_]
    assert smallest.sum() == pytest.approx(lts.objective_, rel=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(),
        HuberRegressor(solver="lbfgs"),
        L1Regressor(),
        L2Regressor(),
        QuantileRegressor(0.3, solver="interior"),
        SRegressor(random_state=0),
        MMRegressor(random_state=0),
        LTSRegressor(random_state=0),
        MRegressor("cauchy", random_state=0),
    ],
    ids=repr,
)
def test_the_rank(model, fit_intercept):
    X, y, _ = table()
    model.set_params(fit_intercept=fit_intercept)
    full = X.shape[1] + fit_intercept
    assert model.fit(X, y).rank_ == full
    assert model.fit(np.c_[X, X[:, 0] - X[:, 1]], y).rank_ == full
    assert model.fit(np.c_[X, np.ones(len(y))], y).rank_ == X.shape[1] + 1
    assert model.fit(X, np.full(len(y), 3.0)).rank_ == full
    assert type(model.rank_) is int


@pytest.mark.parametrize("model", [HuberRegressor(), L1Regressor(), L2Regressor()], ids=repr)
def test_the_rank_of_fewer_rows_than_columns(model):
    g = np.random.default_rng(0)
    assert model.fit(g.normal(size=(6, 9)), g.normal(size=6)).rank_ == 6


@pytest.mark.parametrize("model", [HuberRegressor(), MMRegressor(random_state=0)], ids=repr)
def test_what_is_published_survives_pickling(model):
    X, y, weight = table()
    again = pickle.loads(pickle.dumps(model.fit(X, y, weight)))
    assert again.loss_ == model.loss_


def test_solutions_are_frozen():
    names = dict.fromkeys(Solution.__dataclass_fields__)
    with pytest.raises(AttributeError, match="cannot assign"):
        Solution(**names).gap = 0.0

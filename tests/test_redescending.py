"""M-regression with redescending losses: where it starts, what it solves, what it refuses."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from robustreg import HuberRegressor, L2Regressor, MMRegressor, MRegressor, SRegressor
from robustreg.losses import LOSSES, Bisquare, Huber, get_loss, tuning_constant
from robustreg.penalties import ElasticNet
from robustreg.scale import m_scale, mad

REDESCENDING = [name for name, kind in LOSSES.items() if kind.redescending]
BOUNDED = [name for name in REDESCENDING if np.isfinite(get_loss(name).sup_rho)]
SCALES = ["joint", "mad", "s", 1.5]
every_loss = pytest.mark.parametrize("loss", REDESCENDING)
every_bounded_loss = pytest.mark.parametrize("loss", BOUNDED)
every_scale = pytest.mark.parametrize("scale", SCALES)
CHI = Bisquare(tuning_constant(Bisquare, breakdown_point=0.5))


def contaminated(n=200, share=0.25, seed=0):
    """Gaussian noise about a line in three columns, and rows far out in X with a wrong y."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X @ [1.0, 2.0, 3.0] + 4.0 + rng.normal(size=n)
    bad = int(share * n)
    X[:bad] = 10.0 + 0.1 * rng.normal(size=(bad, 3))
    y[:bad] = -200.0
    return X, y


def residuals(model, X, y):
    return y - X @ model.coef_ - model.intercept_


@every_loss
@every_scale
def test_the_estimating_equations_hold(loss, scale):
    rng = np.random.default_rng(1)
    X, y = contaminated(share=0.1)
    weight = rng.integers(1, 4, len(y)).astype(float)
    model = MRegressor(loss, scale=scale, random_state=0).fit(X, y, weight)
    r = residuals(model, X, y)
    start = y - X @ model.initial_coef_ - model.initial_intercept_
    held = {
        "joint": model.scale_,
        "s": model.initial_scale_,
        "mad": mad(start, weight, center=0.0),
    }
    sigma = held.get(scale, scale)
    psi = weight * get_loss(loss).psi(r / sigma)
    columns = np.column_stack([X, np.ones(len(y))])
    assert np.abs(psi @ columns / (weight @ np.abs(columns))).max() < 1e-8
    if scale == "joint":
        expected = m_scale(r, weight, loss=CHI, center=0.0, n_parameters=4)
        assert model.scale_ == pytest.approx(expected, rel=1e-9)
    F = sigma * weight @ get_loss(loss).rho(r / sigma) / weight.sum()
    assert model.objective_ == pytest.approx(F, rel=1e-9)
    assert model.converged_
    assert np.isnan(model.dual_gap_)


@every_bounded_loss
@every_scale
def test_far_rows_do_not_move_it_and_are_rejected(loss, scale):
    X, y = contaminated()
    model = MRegressor(loss, scale=scale, random_state=0).fit(X, y)
    assert np.abs(model.coef_ - [1.0, 2.0, 3.0]).max() < 0.5
    assert model.weights_[:50].max() < 1e-6
    assert model.weights_.max() <= 1.0
    assert model.outliers_[:50].all()
    assert np.abs(HuberRegressor().fit(X, y).coef_ - [1.0, 2.0, 3.0]).max() > 1.0


@every_bounded_loss
def test_the_start_is_the_s_estimate(loss):
    X, y = contaminated()
    model = MRegressor(loss, scale="s", random_state=0).fit(X, y)
    start = SRegressor(random_state=0).fit(X, y)
    np.testing.assert_allclose(model.initial_coef_, start.coef_, rtol=1e-10)
    assert model.initial_intercept_ == pytest.approx(start.intercept_, rel=1e-9)
    assert model.initial_scale_ == model.scale_ == pytest.approx(start.scale_, rel=1e-12)


def test_the_bisquare_at_the_s_scale_is_the_mm_estimate():
    X, y = contaminated()
    loss = Bisquare(tuning_constant(Bisquare, efficiency=0.9))
    ours = MRegressor(loss, scale="s", random_state=0).fit(X, y)
    theirs = MMRegressor(efficiency=0.9, random_state=0).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8)
    np.testing.assert_allclose(ours.weights_, theirs.weights_, atol=1e-8)


def test_a_convex_loss_at_the_s_scale():
    X, y = contaminated(share=0.0)
    start = SRegressor(random_state=0).fit(X, y)
    ours = MRegressor("huber", scale="s", random_state=0).fit(X, y)
    given = HuberRegressor(scale=start.scale_).fit(X, y)
    np.testing.assert_allclose(ours.coef_, given.coef_, rtol=1e-8)
    assert ours.dual_gap_ <= 1e-7 * ours.objective_


def test_an_s_estimate_that_ran_out_of_iterations_is_no_silent_scale():
    X, y = contaminated()
    with pytest.warns(ConvergenceWarning) as caught:
        MRegressor("huber", scale="s", max_iter=1, random_state=0).fit(X, y)
    assert any("increase max_iter (now 1)" in str(one.message) for one in caught)


@every_loss
def test_clean_data_give_nearly_least_squares(loss):
    X, y = contaminated(n=2000, share=0.0)
    model = MRegressor(loss, random_state=0).fit(X, y)
    assert np.abs(model.coef_ - L2Regressor().fit(X, y).coef_).max() < 0.05
    assert model.scale_ == pytest.approx(1.0, abs=0.06)


@every_loss
@every_scale
def test_most_rows_on_a_plane(loss, scale):
    X, y = contaminated()
    X, y = X[50:], X[50:] @ [1.0, 2.0, 3.0] + 4.0
    y[:50] += np.linspace(5.0, 50.0, 50)
    model = MRegressor(loss, scale=scale, random_state=0).fit(X, y)
    bounded = np.isfinite(get_loss(loss).sup_rho)
    if scale != 1.5:  # at a scale that is not 0, residuals of the others matter
        np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], rtol=1e-9)
        assert model.scale_ == 0.0
        np.testing.assert_array_equal(model.weights_, np.arange(150) >= 50)
    elif bounded:
        np.testing.assert_allclose(model.coef_, [1.0, 2.0, 3.0], atol=0.6)


@every_loss
def test_units_of_y_and_x(loss):
    X, y = contaminated()
    model = MRegressor(loss, random_state=0).fit(X, y)
    moved = MRegressor(loss, random_state=0).fit(X * 1e3, 1e-6 * y + X[:, 0])
    expected = 1e-6 * model.coef_ + [1.0, 0.0, 0.0]
    # what is fitted is a million times the noise: its digits are what the noise loses
    np.testing.assert_allclose(moved.coef_ * 1e3, expected, atol=1e-8 * moved.scale_)
    assert moved.scale_ == pytest.approx(1e-6 * model.scale_, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.1),
        ("positive", True),
        ("penalty", ElasticNet(0.1)),
        ("warm_start", True),
        ("solver", "newton"),
    ],
)
def test_what_a_redescending_loss_does_not_take(name, value):
    X, y = contaminated()
    model = MRegressor("bisquare", **{name: value})
    with pytest.raises(ValueError, match=f"{name} must be .*'bisquare'"):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize(
    "model", [MRegressor("bisquare"), MRegressor(Huber(), scale="s")], ids=["bisquare", "s"]
)
def test_sparse_x_is_refused(model):
    X, y = contaminated()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        model.fit(sparse.csr_array(X), y)
    assert not model.__sklearn_tags__().input_tags.sparse
    assert MRegressor().__sklearn_tags__().input_tags.sparse


def test_too_few_rows():
    X, y = contaminated()
    with pytest.raises(ValueError, match="8 for the 4 of this X, got n_samples=7"):
        MRegressor("bisquare").fit(X[-7:], y[-7:])


def test_running_out_of_iterations_is_said():
    X, y = contaminated()
    with pytest.warns(UserWarning, match="MRegressor did not converge: increase max_iter"):
        model = MRegressor("bisquare", max_iter=1, random_state=0).fit(X, y)
    assert not model.converged_

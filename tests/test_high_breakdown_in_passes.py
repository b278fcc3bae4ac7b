"""S and MM estimates of sources and of long arrays: a sample, then all rows in passes."""

from functools import partial

import numpy as np
import pytest
from _cases import contaminated
from _sources import Guarded
from sklearn.base import clone

from robustreg import LTSRegressor, MMRegressor, MRegressor, SRegressor
from robustreg.estimators import _s
from robustreg.inference import infer
from robustreg.sources import _surveyed
from robustreg.subsampling import in_passes
from robustreg.subsampling.descent import Fit

N, SAMPLE = 6_000, 1_500
EDGES = (1, 1, 900, 901, 3_500)
MODELS = {"s": SRegressor(random_state=0), "mm": MMRegressor(random_state=0)}
BOTH = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True)
def _short_sample(monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", SAMPLE)


@pytest.fixture
def _long_arrays(monkeypatch):
    for kind in (SRegressor, MMRegressor):
        monkeypatch.setattr(kind, "_LONG", SAMPLE)


def table(n=N, p=3):
    X, y = contaminated(n=n, p=p)
    order = np.random.default_rng(1).permutation(n)
    return X[order], y[order]


def fitted(name, X, y, weight=None, **options):
    """The fit to a source, and that to arrays."""
    model, source = clone(MODELS[name]).set_params(**options), Guarded(X, y, weight, EDGES)
    return clone(model).fit(source), clone(model).fit(np.asarray(X, dtype=float), y, weight), source


def assert_same(found, expected, X, digits=1e-10):
    """Two fits that are one optimum."""
    near = digits * (expected.scale_ or 1.0)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-9, atol=near)
    for which in ("scale_", "objective_", "loss_scale_"):
        assert getattr(found, which) == pytest.approx(getattr(expected, which), abs=near)
    for which in ("converged_", "rank_", "n_features_in_", "loss_"):
        assert getattr(found, which) == getattr(expected, which)
    if hasattr(expected, "initial_coef_"):
        shift = X @ (found.initial_coef_ - expected.initial_coef_)
        shift += found.initial_intercept_ - expected.initial_intercept_
        assert np.abs(shift).max() <= near + 1e-9 * np.abs(X @ expected.initial_coef_).max()


WEIGHTS = np.resize([1.0, 0.0, 2.5, 0.5], N)
CHANGES = {
    "plain": lambda X: (X, None, {}),
    "weights": lambda X: (X, np.resize([1.0, 2.5, 0.5], N), {}),
    "zeros": lambda X: (X, WEIGHTS, {}),
    "small-weights": lambda X: (X, 1e-2 * WEIGHTS, {}),
    "equal-weights": lambda X: (X, np.full(N, 3.0), {}),
    "float32": lambda X: (X.astype(np.float32).astype(float), None, {}),
    "fortran": lambda X: (np.asfortranarray(X), None, {}),
    "far": lambda X: (X + np.array([0.0, 1e6, 0.0]), None, {}),
    "units": lambda X: (X * [1.0, 1e-100, 1e80], None, {}),
    "collinear": lambda X: (np.column_stack([X, X[:, 0] + 1e-6 * np.cos(np.arange(N))]), None, {}),
    "deficient": lambda X: (np.column_stack([X, X[:, 0], np.full(N, 3.0)]), None, {}),
    "no-intercept": lambda X: (X + 3.0, None, {"fit_intercept": False}),
    "welsch": lambda X: (X, None, {"loss": "welsch", "breakdown_point": 0.45}),
}


@BOTH
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_fits_are_those_of_the_arrays(name, change):
    X, y = table()
    X, weight, options = change(X)
    found, expected, source = fitted(name, X, y, weight, **options)
    assert_same(found, expected, X)
    assert found.converged_
    assert found.n_passes_ == source.passes <= 11
    assert max(source.jobs) < 10_000
    assert not hasattr(found, "weights_")
    assert not hasattr(found, "outliers_")


@BOTH
def test_rows_in_single_precision(name):
    X, y = table()
    found, expected, _ = fitted(name, X.astype(np.float32), y)
    assert found.coef_.dtype == np.float64
    assert_same(found, clone(MODELS[name]).fit(X.astype(np.float32).astype(float), y), X)
    assert expected.converged_


def test_passes_over_an_ordinary_table():
    X, y = table()
    assert fitted("s", X, y)[0].n_passes_ <= 5
    assert fitted("mm", X, y)[0].n_passes_ <= 7


@pytest.mark.parametrize("model", [*MODELS.values(), LTSRegressor(random_state=0)], ids=repr)
def test_few_rows_are_read_once(model):
    """All of them are in the sample, whose fit is that of the array to the last digit."""
    X, y = table(SAMPLE)
    weight = np.resize([1.0, 0.0, 2.5, 0.5], SAMPLE)
    model.fit(X, y, weight)
    found = clone(model).fit(Guarded(X, y, weight, edges=(1, 1, 700)))
    np.testing.assert_array_equal(found.coef_, model.coef_)
    assert (found.scale_, found.objective_) == (model.scale_, model.objective_)
    assert found.n_passes_ == 1
    assert not {"weights_", "outliers_", "support_"} & vars(found).keys()


@BOTH
def test_two_fifths_of_the_rows_are_wrong(name):
    X, y = table()
    X[:2_400], y[:2_400] = X[:2_400] + 10.0, -50.0
    found, expected, _ = fitted(name, X, y)
    assert_same(found, expected, X)
    assert found.converged_


@BOTH
@pytest.mark.parametrize("size", [1e6, 1e12, 1e100, 1e300])
def test_rows_far_out_in_x(name, size):
    """They are rejected, whether the sample has one of them or not, whatever they would weigh."""
    X, y = table()
    for far in (slice(0, 3), slice(0, 300)):
        moved = X.copy()
        moved[far] += size * np.cos(np.arange(moved[far].size)).reshape(moved[far].shape)
        found, expected, _ = fitted(name, moved, y)
        assert_same(found, expected, X)


@BOTH
@pytest.mark.parametrize("size", [1e3, 1e6])
def test_rows_far_out_in_x_that_are_right(name, size):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    X[rng.random(N) < 0.02] += size
    y = X @ [1.0, 2.0, 3.0, 4.0] + 3.0 + rng.normal(size=N)
    y[rng.random(N) < 0.1] += 50.0
    found, expected, _ = fitted(name, X, y)
    assert_same(found, expected, X)
    np.testing.assert_allclose(found.coef_.sum(), 10.0, atol=10.0 / size)


# --- most rows on a plane


def on_plane(off, offset=0.0):
    """A table all rows of which but so many are on a plane."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(N, 3)) + offset
    y = X @ [1.0, 2.0, -3.0] + 4.0
    moved = rng.permutation(N)[:off]
    y[moved] += 5.0 * rng.normal(size=off)
    return X, y


@BOTH
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("off", [0, 2_400, N // 2 - 4])
def test_exact_fits(name, off, offset):
    X, y = on_plane(off, offset)
    found, expected, source = fitted(name, X, y)
    assert found.scale_ == found.objective_ == expected.scale_ == 0.0
    np.testing.assert_allclose(found.coef_, [1.0, 2.0, -3.0], rtol=1e-12 + 1e-15 * offset)
    assert found.converged_
    assert source.passes <= 30
    assert off > 2_400 or source.passes == 3


@BOTH
def test_a_plane_that_holds_too_few_rows(name):
    """Too many of them for a sample to tell."""
    X, y = on_plane(N // 2 + 1)
    found, expected, _ = fitted(name, X, y)
    assert found.scale_ > 0.0
    assert_same(found, expected, X, digits=1e-8)


# --- what a sample does not have


@BOTH
def test_columns_that_are_constant_in_the_sample(name):
    """Their few rows are sought among all, where there are any."""
    X, y = table()
    rare = np.zeros((N, 2))
    rare[[7, 3_000], 0], rare[5_000, 1] = 1.0, 1.0
    X = np.column_stack([X, 7.0 + rare])
    y = y + 40.0 * rare[:, 0]
    y[5_000] = 900.0
    found, _, source = fitted(name, X, y)
    assert found.rank_ == 6
    assert abs(y[5_000] - found.predict(X[5_000:5_001])[0]) <= 1e-6 * found.scale_
    assert abs(found.coef_[3] - 40.0) <= 5.0 * found.scale_
    without = fitted(name, X[:, :3], y)[0]
    np.testing.assert_allclose(found.coef_[:3], without.coef_, atol=0.05 * found.scale_)
    assert found.converged_
    assert source.passes <= 20


@BOTH
def test_targets_far_out(name):
    X, y = table()
    for far in (1e12, 1e20, -1e250):
        y[:5] = far
        found, expected, _ = fitted(name, X, y)
        assert_same(found, expected, X)


def test_targets_far_out_that_a_fit_would_follow():
    X, y = table()
    X = np.column_stack([X, np.arange(N) == 3])
    y[3] = 1e18
    with pytest.raises(_surveyed.NotInMemoryError, match="targets more than 1e15 spreads away"):
        SRegressor(n_subsamples=20, random_state=0).fit(Guarded(X, y, edges=EDGES))


@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_entries_that_are_not_finite(name, value):
    X, y = table()
    X[3_000, 1] = value
    with pytest.raises(
        ValueError, match=r"NaN or infinity, the first one in partition 4 .* row 2099"
    ):
        clone(MODELS[name]).fit(Guarded(X, y, edges=EDGES))


@BOTH
def test_too_little_weight_for_the_coefficients(name):
    X, y = table()
    with pytest.raises(
        ValueError, match=r"two rows for every coefficient, 8 .* a sum of weights of 6"
    ):
        clone(MODELS[name]).fit(Guarded(X, y, np.full(N, 1e-3), edges=EDGES))


# --- the way down


@pytest.mark.parametrize("off", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_descents_from_a_bad_start(off, factor, monkeypatch):
    """Where Newton's steps would go astray, reweighting leads to where they do not."""
    X, y = table()
    starts = in_passes._starts

    def moved(sample, loss):
        best = starts(sample, loss)[0]
        theta = best.theta + off * best.scale
        return [Fit(theta, best.residual, factor * best.scale, 0, converged=True)]

    monkeypatch.setattr(in_passes, "_starts", moved)
    found, expected, _ = fitted("s", X, y)
    assert_same(found, expected, X)


def test_optima_that_are_followed_together(monkeypatch):
    """Those that are one with a better one, and those that are worse than it, are not."""
    X, y = table()
    starts = in_passes._starts

    def several(sample, loss):
        (best, *_) = starts(sample, loss)
        near = Fit(best.theta + 0.02 * best.scale, best.residual, best.scale, 0, converged=True)
        worse = Fit(best.theta + 3.0 * best.scale, best.residual, best.scale, 0, converged=True)
        return [worse, near, best]

    alone = fitted("s", X, y)[0]
    monkeypatch.setattr(in_passes, "_starts", several)
    found, expected, source = fitted("s", X, y)
    assert_same(found, expected, X)
    assert source.passes <= alone.n_passes_ + 6


def test_descents_that_are_stopped():
    X, y = table()
    with pytest.warns(UserWarning, match=r"increase max_iter \(now 1\)"):
        found = SRegressor(max_iter=1, random_state=0).fit(Guarded(X, y, edges=EDGES))
    assert not found.converged_


# --- arrays


@BOTH
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["alike", "zeros"])
def test_long_arrays_are_fitted_in_passes(name, dtype, weight, monkeypatch):
    X, y = table()
    X = X.astype(dtype)
    fit = partial(clone(MODELS[name]).fit, X, y, weight)
    expected = vars(fit()).copy()
    for kind in (SRegressor, MMRegressor):
        monkeypatch.setattr(kind, "_LONG", SAMPLE)
        monkeypatch.setattr(kind, "_estimate", None)  # which is not asked
    found = vars(fit())
    assert found.keys() == expected.keys()
    digits = 1e-10 if dtype == np.float64 else 1e-5
    for which, value in expected.items():
        if which in ("n_iter_", "_judgement_"):  # whose units are those of the sample
            continue
        if not isinstance(value, np.ndarray | float | np.floating):
            assert found[which] == value
            continue
        np.testing.assert_allclose(found[which], value, rtol=digits, atol=digits)
        assert np.asarray(found[which]).dtype == np.asarray(value).dtype


def test_long_arrays_that_passes_cannot_fit(monkeypatch):
    """They are fitted as shorter ones are."""
    X, y = table(2 * SAMPLE)
    expected = clone(MODELS["s"]).fit(X, y)

    def refuse(whole, loss):
        raise _surveyed.not_here()

    monkeypatch.setattr(SRegressor, "_LONG", SAMPLE)
    monkeypatch.setattr(_s, "s_estimate_in_passes", refuse)
    np.testing.assert_array_equal(clone(MODELS["s"]).fit(X, y).coef_, expected.coef_)


@pytest.mark.usefixtures("_long_arrays")
@BOTH
def test_long_arrays_that_are_not_finite(name):
    X, y = table()
    X[2_000, 1] = np.inf
    with pytest.raises(ValueError, match="X contains infinity"):
        clone(MODELS[name]).fit(X, y)


@pytest.mark.usefixtures("_long_arrays")
@BOTH
def test_long_arrays_on_a_plane(name):
    X, y = on_plane(2_400)
    model = clone(MODELS[name]).fit(X, y)
    assert model.scale_ == 0.0
    np.testing.assert_array_equal(model.outliers_, np.abs(y - X @ [1.0, 2.0, -3.0] - 4.0) > 1e-7)
    np.testing.assert_array_equal(model.weights_, ~model.outliers_)


@pytest.mark.parametrize("loss", ["bisquare", "log_cosh"])
@pytest.mark.parametrize("n", [N, SAMPLE - 10])
@pytest.mark.parametrize("weighted", [False, True])
def test_m_estimates_at_the_scale_of_an_s_estimate(loss, n, weighted):
    model, (X, y) = MRegressor(loss, scale="s", random_state=0), table(n)
    weight = WEIGHTS[:n] if weighted else None
    found = clone(model).fit(Guarded(X, y, weight, EDGES[:2]))
    expected = clone(model).fit(X, y, weight)
    assert vars(expected).keys() - vars(found).keys() == {"weights_", "outliers_"}
    assert_same(found, expected, X)
    assert found.n_passes_ <= (14 if n == N else 8)
    weights = found.robustness_weights(X, y)
    np.testing.assert_allclose(weights, expected.weights_, atol=1e-9)
    result = infer(found, Guarded(X, y, weight, EDGES[:2]))
    errors = infer(expected, X, y, weight).standard_errors
    np.testing.assert_allclose(result.standard_errors, errors, rtol=1e-8)


@pytest.mark.parametrize("loss", ["bisquare", "hampel"])
@pytest.mark.parametrize("scale", ["joint", "mad", 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_redescending_m_estimates(loss, scale, weighted):
    model, (X, y) = MRegressor(loss, scale=scale, random_state=0), table()
    weight = WEIGHTS if weighted else None
    found = clone(model).fit(Guarded(X, y, weight, EDGES))
    expected = clone(model).fit(X, y, weight)
    assert vars(expected).keys() - vars(found).keys() == {"weights_", "outliers_"}
    assert_same(found, expected, X)
    assert found.loss_scale_ == pytest.approx(expected.loss_scale_, rel=1e-9)
    assert found.converged_
    assert found.n_passes_ <= 12
    errors = infer(expected, X, y, weight).standard_errors
    found_errors = infer(found, Guarded(X, y, weight, EDGES)).standard_errors
    np.testing.assert_allclose(found_errors, errors, rtol=1e-8)


def test_redescending_m_estimates_on_a_plane():
    X, y = on_plane(2_400)
    for scale in ("joint", "mad"):
        found = MRegressor("bisquare", scale=scale, random_state=0).fit(Guarded(X, y, None, (99,)))
        assert (found.scale_, found.objective_) == (0.0, 0.0)
        np.testing.assert_allclose(found.coef_, [1.0, 2.0, -3.0], rtol=1e-12)
    with pytest.raises(ValueError, match="needs all rows at once"):
        MRegressor("bisquare", scale=2.0, random_state=0).fit(Guarded(X, y, None, (99,)))

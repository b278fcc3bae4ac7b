"""Paths over alpha and delta, and the alpha at which all coefficients vanish."""

import numpy as np
import pytest
from _cases import (
    clean,
    contaminated,
    few_rows,
    heavy_tails,
    in_turns,
    is_l1,
    mostly_zero,
    one_differs,
    rank_deficient,
    ties,
    weights_for,
    wide,
)
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

from robustreg import huber_delta_path, huber_path, l1_path, quantile_path
from robustreg.estimators import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    MRegressor,
    QuantileRegressor,
)
from robustreg.losses import Huber
from robustreg.model_selection import AlphaPath, DeltaPath
from robustreg.model_selection._path import alpha_path
from robustreg.solvers import select_solver

ALPHAS = np.array([3.0, 0.3, 0.1, 0.03, 0.01, 0.001])

MODELS = {
    "joint": HuberRegressor(),
    "joint-low": HuberRegressor(0.5),
    "fixed": HuberRegressor(scale=1.0),
    "mad": HuberRegressor(scale="mad"),
    "lbfgs": HuberRegressor(solver="lbfgs"),
    "log-cosh": MRegressor(),
    "pseudo-huber-fixed": MRegressor("pseudo_huber", scale=1.0),
    "l2": L2Regressor(),
    "l1": L1Regressor(),
    "quantile": QuantileRegressor(0.8),
}
# What has an L1 penalty and one optimum.
SMOOTH = {k: model for k, model in MODELS.items() if not is_l1(model) and k != "lbfgs"}

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
WITH_L1 = {k: model for k, model in MODELS.items() if k != "lbfgs"}
every_smooth = pytest.mark.parametrize("model", SMOOTH.values(), ids=SMOOTH)


def of(model, **parameters):
    return clone(model).set_params(**parameters)


def is_supported(model):
    scale = getattr(model, "scale", 1.0)
    limits = {name: getattr(model, name) for name in ("l1_ratio", "positive", "solver")}
    try:
        select_solver(model._get_loss(), n_features=4, scale=scale, alpha=1.0, **limits)
    except ValueError:
        return False
    return True


def assert_points_are_fits(model, X, y, weight=None, alphas=ALPHAS, rtol=1e-6):
    path = alpha_path(model, X, y, weight, alphas)
    np.testing.assert_array_equal(path.alphas, np.sort(alphas)[::-1])
    for at, alpha in enumerate(path.alphas):
        fit = of(model, alpha=alpha).fit(X, y, weight)
        assert path.dual_gaps[at] <= 1e-7 * fit.objective_ + 1e-13
        size = np.abs(fit.coef_).max(initial=1e-6)
        np.testing.assert_allclose(path.coefs[:, at], fit.coef_, rtol=rtol, atol=rtol * size)
        np.testing.assert_array_equal(path.coefs[:, at] == 0.0, fit.coef_ == 0.0)
        assert path.intercepts[at] == pytest.approx(fit.intercept_, rel=rtol, abs=rtol)
        assert path.scales[at] == pytest.approx(fit.scale_, rel=rtol, abs=1e-9)


# --- every point is a fit

SETTINGS = {
    "plain": {},
    "no-intercept": {"fit_intercept": False},
    "positive": {"positive": True},
}
# Every model meets every mixture of the norms and every setting, and so do these each other.
CASES = {
    f"{name}-{l1_ratio}-{setting}": of(model, l1_ratio=l1_ratio, **SETTINGS[setting])
    for i, (name, model) in enumerate(MODELS.items())
    for j, l1_ratio in enumerate((0.0, 0.5, 1.0))
    for setting in [list(SETTINGS)[(i + j) % 3]]
}
CASES = {name: model for name, model in CASES.items() if is_supported(model)}


@pytest.mark.parametrize("model", CASES.values(), ids=CASES)
def test_every_point_is_the_estimators_fit(model):
    X, y = contaminated(n=60, p=4)
    assert_points_are_fits(model, X, y)


@pytest.mark.parametrize(
    ("model", "l1_ratio"),
    [*in_turns(WITH_L1, [(0.0,), (0.5,)]), (MODELS["lbfgs"], 0.0)],
)
def test_every_point_is_the_estimators_fit_of_weighted_sparse_rows(model, l1_ratio):
    X, y = contaminated(n=60, p=4)
    X[np.abs(X) < 0.5] = 0.0
    assert_points_are_fits(of(model, l1_ratio=l1_ratio), sparse.csc_array(X), y, weights_for(60))


@pytest.mark.parametrize(
    ("model", "table", "l1_ratio"),
    in_turns(
        SMOOTH,
        [(wide, 0.0), (rank_deficient, 0.0), (few_rows, 0.0)],
        [(rank_deficient, 0.5), (few_rows, 0.5), (wide, 0.5)],
    ),
)
def test_the_fit_without_a_penalty_at_the_end_is_that_of_minimum_norm(model, l1_ratio, table):
    """It needs coordinates of its own: the penalty decides on directions where X does not."""
    X, y = table()
    assert_points_are_fits(of(model, l1_ratio=l1_ratio), X, y, alphas=[1.0, 0.1, 0.0])


@pytest.mark.parametrize(
    ("model", "table"),
    in_turns(SMOOTH, [(heavy_tails,), (ties,)], [(wide,), (rank_deficient,), (few_rows,)]),
)
def test_hard_tables(model, table):
    """Optima need not be unique for joint scales of 0 and copied columns: objectives are."""
    X, y = table()
    model = of(model, l1_ratio=0.9)
    path = alpha_path(model, X, y, n_alphas=10)
    for at, alpha in enumerate(path.alphas):
        fit = of(model, alpha=alpha).fit(X, y)
        assert path.dual_gaps[at] <= 1e-7 * fit.objective_ + 1e-13
        assert path.scales[at] == pytest.approx(fit.scale_, rel=1e-5, abs=1e-9)
        np.testing.assert_allclose(
            X @ path.coefs[:, at] + path.intercepts[at],
            fit.predict(X),
            rtol=1e-5,
            atol=1e-5 * np.abs(y).max(),
        )


@pytest.mark.parametrize(
    ("model", "alphas"),
    in_turns(
        MODELS,
        [([0.1],), ([0.3, 0.3, 0.3, 0.01, 0.01],), ([0.01, 1.0, 0.1],)],
        [([1e6, 999_999.0, 1e-8, 0.0],)],
    ),
)
def test_grids_of_all_kinds(model, alphas):
    """One alpha, repeated ones, far jumps after small steps, in any order."""
    assert_points_are_fits(model, *contaminated(n=60, p=4), alphas=alphas)


@every_model
def test_shapes_and_dtypes_follow_x(model):
    X, y = contaminated(n=60, p=4)
    wide_path = alpha_path(model, X, y, alphas=ALPHAS)
    path = alpha_path(model, X.astype(np.float32), y.astype(np.float32), alphas=ALPHAS)
    assert isinstance(path, AlphaPath)
    assert path.coefs.shape == (4, 6)
    for name in ("alphas", "dual_gaps", "intercepts", "scales", "n_iters"):
        assert getattr(path, name).shape == (6,)
    assert path.coefs.dtype == path.intercepts.dtype == np.float32
    assert wide_path.coefs.dtype == wide_path.intercepts.dtype == np.float64
    for name in ("alphas", "dual_gaps", "scales"):
        assert getattr(path, name).dtype == np.float64
    assert path.n_iters.dtype.kind == "i"
    np.testing.assert_allclose(path.coefs, wide_path.coefs, rtol=1e-4, atol=1e-6)
    # a ridge penalty has no alpha from which on coefficients are 0
    assert isinstance(path.alpha_max, float)
    assert np.isnan(path.alpha_max)


def test_the_functions_are_those_of_their_estimators():
    X, y = contaminated(n=60, p=4)
    weight, grid = weights_for(60), {"alphas": ALPHAS, "l1_ratio": 0.5}
    for found, model in (
        (huber_path(X, y, delta=0.7, scale="mad", sample_weight=weight, **grid), MODELS["mad"]),
        (l1_path(X, y, fit_intercept=False, sample_weight=weight, **grid), MODELS["l1"]),
        (quantile_path(X, y, quantile=0.3, sample_weight=weight, **grid), MODELS["quantile"]),
    ):
        own = {"delta": 0.7, "quantile": 0.3, "fit_intercept": not isinstance(model, L1Regressor)}
        own = {name: own[name] for name in own.keys() & model.get_params().keys()}
        expected = alpha_path(of(model, l1_ratio=0.5, **own), X, y, weight, ALPHAS)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_names_and_lists_are_welcome():
    pandas = pytest.importorskip("pandas")
    X, y = clean()
    expected = huber_path(X, y, alphas=[0.1, 1.0]).coefs
    frame = pandas.DataFrame(X, columns=list("abc"))
    for table, target in ((frame, pandas.Series(y)), (X.tolist(), y.tolist())):
        found = huber_path(table, target, alphas=pandas.Series([0.1, 1.0]))
        np.testing.assert_allclose(found.coefs, expected, rtol=1e-12)


# --- the alpha at which coefficients vanish


def assert_vanishing_at(largest, model, X, y, weight=None, shares=(1.0, 1.001, 2.0)):
    """All coefficients are 0 from alpha_max on, and not below."""
    for share in shares:
        fit = of(model, alpha=share * largest).fit(X, y, weight)
        assert not fit.coef_.any(), share
        assert fit.converged_
    below = of(model, alpha=0.999 * largest).fit(X, y, weight)
    assert below.coef_.any()
    assert below.converged_


def largest_alpha(model, X, y, weight=None):
    return alpha_path(clone(model), X, y, weight, n_alphas=1).alpha_max


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("model", "l1_ratio", "weighted"),
    in_turns(WITH_L1, [(0.2, False), (1.0, True), (0.2, True), (1.0, False)]),
)
def test_coefficients_vanish_exactly_from_alpha_max_on(model, l1_ratio, weighted, setting):
    X, y = contaminated(n=60, p=4)
    model = of(model, l1_ratio=l1_ratio, **SETTINGS[setting])
    X = X * [1.0, 1e-3, 1e4, 1.0] + [0.0, 5.0, 1e5, 0.0]
    weight = weights_for(60) if weighted else None
    largest = largest_alpha(model, X, y, weight)
    assert_vanishing_at(largest, model, X, y, weight)


@pytest.mark.parametrize(
    ("model", "table"),
    in_turns(WITH_L1, [(clean,), (heavy_tails,), (ties,)], [(wide,), (rank_deficient,)]),
)
def test_alpha_max_on_hard_tables(model, table):
    model = of(model, l1_ratio=1.0)
    X, y = table()
    shares = (1.00001, 2.0) if is_l1(model) else (1.0, 1.001, 2.0)  # at alpha_max two fits tie
    assert_vanishing_at(largest_alpha(model, X, y), model, X, y, shares=shares)


@every_smooth
def test_alpha_max_does_not_depend_on_the_limits_of_the_fits(model):
    X, y = contaminated(n=60, p=4)
    expected = largest_alpha(of(model, l1_ratio=1.0), X, y)
    with pytest.warns(ConvergenceWarning):
        path = alpha_path(
            of(model, l1_ratio=1.0, max_iter=1, tol=1e-15), X, y, alphas=[expected / 100]
        )
    assert path.alpha_max == expected


@pytest.mark.parametrize("l1_ratio", [0.1, 1.0])
def test_alpha_max_of_least_squares_is_scikit_learns(l1_ratio):
    X, y = clean()
    expected = enet_path(X - X.mean(axis=0), y - y.mean(), l1_ratio=l1_ratio, eps=1e-2)[0]
    path = alpha_path(L2Regressor(l1_ratio=l1_ratio), X, y, eps=1e-2)
    np.testing.assert_allclose(path.alphas, expected, rtol=1e-9)
    assert path.alpha_max == pytest.approx(expected[0], rel=1e-9)


def off_the_rows(n=40, p=3, share=0.25, seed=0):
    """y is 0 in most rows; X is not 0 in the other ones only."""
    rng = np.random.default_rng(seed)
    X, y = np.zeros((n, p)), np.zeros(n)
    off = round(share * n)
    X[:off], y[:off] = rng.normal(size=(off, p)), rng.normal(size=off)
    return X, y


def few_off(n=40, p=3, share=0.2, seed=0):
    """y is 0 in most rows, and X anything."""
    rng = np.random.default_rng(seed)
    X, y, off = rng.normal(size=(n, p)), np.zeros(n), round(share * n)
    y[:off] = X[:off] @ np.arange(1.0, p + 1) + rng.normal(size=off)
    return X, y


AT_SCALE_ZERO = {
    "off-rows": (off_the_rows, 1.345),
    "off-rows-one-sided": (lambda: (np.abs(off_the_rows()[0]), np.abs(off_the_rows()[1])), 1.345),
    "few-off": (few_off, 1.345),
    "few-off-low": (few_off, 0.3),
    "many-off-low": (lambda: few_off(share=0.45), 0.3),
    "mostly-zero": (mostly_zero, 0.3),
}
at_scale_zero = pytest.mark.parametrize(
    ("table", "delta"), AT_SCALE_ZERO.values(), ids=AT_SCALE_ZERO
)


@at_scale_zero
@pytest.mark.parametrize(
    ("setting", "weighted"), [("plain", False), ("no-intercept", True), ("positive", True)]
)
def test_alpha_max_where_the_null_scale_is_zero(table, delta, setting, weighted):
    X, y = table()
    weight = np.resize([1.0, 2.0, 0.5], len(y)) if weighted else None
    model = HuberRegressor(delta, l1_ratio=1.0, **SETTINGS[setting])
    largest = largest_alpha(model, X, y, weight)
    null = of(model, alpha=1e6).fit(X, y, weight)
    assert null.scale_ == 0.0
    assert not null.coef_.any()
    if largest:  # at the very alpha the two fits tie, as they do for absolute deviations
        assert_vanishing_at(largest, model, X, y, weight, shares=(1.00001, 1.001, 2.0))
    else:
        assert not of(model, alpha=1e-4).fit(X, y, weight).coef_.any()


def least_slope(X, y, delta):
    """By a general method: the nu that is least steep, at a null fit of 0 and scale 0."""
    n, on, kappa = len(y), y == 0.0, Huber(delta).kappa
    nu_off, start = delta * np.sign(y[~on]), np.zeros(int(on.sum()))

    def slopes(nu):
        return (X[on].T @ nu + X[~on].T @ nu_off) / n

    def room(nu):
        return n * kappa - 0.5 * (nu @ nu + nu_off @ nu_off)

    constraints = [
        {"type": "eq", "fun": lambda z: z[1:].sum() + nu_off.sum()},
        {"type": "ineq", "fun": lambda z: room(z[1:])},
        {"type": "ineq", "fun": lambda z: z[0] - slopes(z[1:])},
        {"type": "ineq", "fun": lambda z: z[0] + slopes(z[1:])},
    ]
    bounds = [(0, None)] + [(-delta, delta)] * len(start)
    z = np.append(np.abs(slopes(start)).max(), start)
    options = {"maxiter": 1000, "ftol": 1e-12}
    found = minimize(
        lambda z: z[0],
        z,
        jac=lambda z: np.eye(len(z))[0],
        method="SLSQP",
        bounds=bounds,
        constraints=constraints,
        options=options,
    )
    assert found.success
    return found.x[0]


@at_scale_zero
def test_alpha_max_where_the_null_scale_is_zero_is_the_least_slope(table, delta):
    X, y = table()
    largest = largest_alpha(HuberRegressor(delta, l1_ratio=1.0), X, y)
    assert largest == pytest.approx(least_slope(X, y, delta), rel=1e-5, abs=1e-7)


def test_a_null_scale_of_zero_does_not_make_the_null_model_the_fit():
    """X that is 0 on the rows with residual 0 leaves their nu no say."""
    X, y = off_the_rows()
    expected = 1.345 * np.abs(X.T @ np.sign(y)).max() / len(y)
    path = huber_path(X, y, n_alphas=5)
    assert path.alpha_max == pytest.approx(expected, rel=1e-9)
    assert not path.scales[0]
    assert path.coefs[:, 1].any()


@pytest.mark.parametrize("model", [MODELS["joint"], MODELS["log-cosh"]])
def test_one_row_that_differs_earns_no_coefficient_of_a_joint_scale(model):
    """The null model passes through all other rows: its scale is 0, and no alpha is too small."""
    model = of(model, l1_ratio=1.0)
    X, y = one_differs()
    assert largest_alpha(model, X, y) == 0.0
    for alpha in (0.0, 1e-6, 1.0):
        fit = of(model, alpha=alpha).fit(X, y)
        np.testing.assert_allclose(fit.coef_, 0.0, atol=1e-12)
        assert fit.intercept_ == pytest.approx(1.0, rel=1e-12)
        assert fit.scale_ == 0.0


def test_one_row_that_differs_decides_at_a_scale_that_is_held():
    model = of(MODELS["mad"], l1_ratio=1.0)
    X, y = one_differs()
    largest = largest_alpha(model, X, y)
    assert largest > 0.0
    assert_vanishing_at(largest, model, X, y)


@every_smooth
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_y_says_that_alpha_max_is_zero(model, value):
    X, _ = clean()
    path = alpha_path(of(model, l1_ratio=1.0), X, np.full(len(X), value), n_alphas=5)
    assert path.alpha_max == 0.0
    assert path.alphas.shape == (5,)
    assert (np.diff(path.alphas) < 0).all()
    assert not path.coefs.any()
    assert not path.scales.any()
    np.testing.assert_array_equal(path.intercepts, value)


@every_smooth
def test_columns_without_a_slope(model):
    _, y = clean()
    path = alpha_path(of(model, l1_ratio=1.0), np.zeros((len(y), 2)), y, n_alphas=3)
    assert path.alpha_max == 0.0
    assert not path.coefs.any()


def test_one_row():
    path = huber_path([[1.0, 2.0]], [3.0], n_alphas=2)
    assert path.alpha_max == 0.0
    np.testing.assert_array_equal(path.intercepts, 3.0)


# --- the default grid


@pytest.mark.parametrize(("n_alphas", "eps"), [(1, 1e-3), (7, 1e-3), (100, 0.5)])
def test_the_default_grid_starts_where_coefficients_vanish(n_alphas, eps):
    X, y = contaminated(n=60, p=4)
    path = huber_path(X, y, n_alphas=n_alphas, eps=eps)
    assert path.alphas[0] == path.alpha_max
    assert not path.coefs[:, 0].any()
    if n_alphas > 1:
        assert path.coefs[:, 1].any()
        np.testing.assert_allclose(path.alphas[-1], eps * path.alpha_max, rtol=1e-12)
        ratios = path.alphas[1:] / path.alphas[:-1]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-10)


@pytest.mark.parametrize(("model", "l1_ratio"), in_turns(SMOOTH, [(0.5,), (1.0,)]))
def test_paths_are_continuous(model, l1_ratio):
    """Along a grid four times as dense the largest step is about a quarter."""
    X, y = contaminated(n=60, p=4)
    model = of(model, l1_ratio=l1_ratio)
    steps = [
        np.abs(np.diff(alpha_path(clone(model), X, y, n_alphas=n).coefs)).max() for n in (51, 201)
    ]
    assert steps[1] < 0.5 * steps[0]


def test_paths_of_absolute_deviations_jump():
    X, y = contaminated(n=60, p=4)
    steps = [
        np.abs(np.diff(l1_path(X, y, alphas=np.geomspace(1e-3, 1, n)).coefs)).max()
        for n in (51, 201)
    ]
    assert steps[1] > 0.5 * steps[0]


# --- paths over delta

DELTAS = [0.2, 0.5, 1.0, 1.345, 4.0]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"scale": 2.0, "fit_intercept": False},
        {"scale": "mad", "alpha": 0.1},
        {"alpha": 0.05, "l1_ratio": 1.0},
        {"alpha": 0.05, "l1_ratio": 0.5, "positive": True},
        {"solver": "lbfgs"},
    ],
)
@pytest.mark.parametrize("table", [contaminated, rank_deficient, wide])
def test_every_delta_is_a_fit(parameters, table):
    X, y = table()
    path = huber_delta_path(
        X, y, deltas=DELTAS[::-1], sample_weight=weights_for(len(y)), **parameters
    )
    assert isinstance(path, DeltaPath)
    np.testing.assert_array_equal(path.deltas, DELTAS)
    for at, delta in enumerate(DELTAS):
        fit = HuberRegressor(delta, **parameters).fit(X, y, weights_for(len(y)))
        assert path.dual_gaps[at] <= 1e-7 * fit.objective_ + 1e-13
        size = 1e-6 * np.abs(fit.coef_).max(initial=1e-6)
        np.testing.assert_allclose(path.coefs[:, at], fit.coef_, rtol=1e-6, atol=size)
        assert path.intercepts[at] == pytest.approx(fit.intercept_, rel=1e-6)
        assert path.scales[at] == pytest.approx(fit.scale_, rel=1e-6, abs=1e-9)


def test_the_default_deltas():
    X, y = contaminated()
    path = huber_delta_path(X, y)
    np.testing.assert_allclose(path.deltas, np.geomspace(0.1, 5.0, 30))
    assert path.coefs.shape == (3, 30)
    assert huber_delta_path(X, y, n_deltas=3).deltas == pytest.approx([0.1, 0.5**0.5, 5.0])


@pytest.mark.parametrize("parameters", [{}, {"alpha": 0.1}])
def test_delta_paths_are_continuous(parameters):
    X, y = clean()
    steps = [
        np.abs(np.diff(huber_delta_path(X, y, n_deltas=n, **parameters).coefs)).max()
        for n in (41, 161)
    ]
    assert steps[1] < 0.5 * steps[0]


# --- errors and warnings

BAD_GRIDS = [[], [-1.0], [np.nan], [np.inf], [[1.0, 2.0]], "a", "1", ["1", "2"], 3, {1}, [1j], [[]]]
BAD_GRIDS += [[None], [[1], [1, 2]], [np.datetime64("2020-01-01")]]


@pytest.mark.parametrize("grid", BAD_GRIDS, ids=repr)
def test_a_bad_grid_is_named(grid):
    X, y = clean()
    for path in (huber_path, l1_path, quantile_path):
        with pytest.raises(ValueError, match=r"alphas must be a sequence .* finite .* at least 0"):
            path(X, y, alphas=grid)
    with pytest.raises(ValueError, match=r"deltas must be a sequence .* finite .* above 0"):
        huber_delta_path(X, y, deltas=grid)


@pytest.mark.parametrize("n", [0, -1, 1.5, "3", None, [3]])
def test_a_bad_length_is_named(n):
    X, y = clean()
    with pytest.raises(ValueError, match=r"n_alphas must be an integer from 1 to 1000000, got"):
        huber_path(X, y, n_alphas=n)
    with pytest.raises(ValueError, match=r"n_deltas must be an integer from 1 to 1000000, got"):
        huber_delta_path(X, y, n_deltas=n)


@pytest.mark.parametrize("eps", [0, 1, -0.1, 1.5, np.nan, np.inf, "a", None, [0.1]])
def test_a_bad_eps_is_named(eps):
    X, y = clean()
    with pytest.raises(ValueError, match="eps must be a number between 0 and 1, got"):
        huber_path(X, y, eps=eps)


def test_deltas_of_zero_are_refused_and_alphas_of_zero_are_not():
    X, y = clean()
    with pytest.raises(ValueError, match="deltas"):
        huber_delta_path(X, y, deltas=[0.0, 1.0])
    assert huber_path(X, y, alphas=[0.0]).coefs.all()


@pytest.mark.parametrize("path", [huber_path, l1_path, quantile_path])
def test_a_ridge_path_needs_alphas(path):
    X, y = clean()
    with pytest.raises(ValueError, match="alphas must be given for l1_ratio=0"):
        path(X, y, l1_ratio=0.0)


@pytest.mark.parametrize(
    ("path", "parameters", "message"),
    [
        (huber_path, {"delta": "auto"}, "delta must be one number"),
        (huber_path, {"delta": [1.0, 2.0]}, "delta must be one number"),
        (huber_path, {"delta": -1.0}, "delta"),
        (huber_path, {"l1_ratio": 2.0}, "l1_ratio"),
        (huber_path, {"scale": "jont"}, "scale"),
        (huber_path, {"solver": "lbfgs"}, "does not support an L1 penalty"),
        (huber_path, {"sample_weight": [-1.0] * 60}, "sample_weight"),
        (quantile_path, {"quantile": [0.1, 0.9]}, "quantile must be one number"),
        (quantile_path, {"quantile": 1.0}, "quantile"),
        (huber_delta_path, {"alpha": -1.0}, "alpha"),
        (huber_delta_path, {"alpha": np.inf}, "alpha"),
    ],
)
def test_a_bad_parameter_is_named(path, parameters, message):
    X, y = clean()
    with pytest.raises(ValueError, match=message):
        path(X, y, **parameters)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (huber_path, "alpha"),
        (huber_path, "warm_start"),
        (l1_path, "alpha"),
        (quantile_path, "alpha"),
        (huber_delta_path, "delta"),
        (huber_delta_path, "warm_start"),
        (huber_path, "epsilon"),
    ],
)
def test_parameters_that_a_path_does_not_have(path, name):
    X, y = clean()
    with pytest.raises(TypeError, match=name):
        path(X, y, **{name: 1.0})


@pytest.mark.parametrize("path", [huber_path, huber_delta_path])
def test_bad_data(path):
    X, y = clean()
    for bad, message in ((X * np.nan, "NaN"), (X[:, 0], "2D"), (X[:5], "inconsistent")):
        with pytest.raises(ValueError, match=message):
            path(bad, y)


def test_points_that_did_not_converge_are_counted_for_the_caller():
    X, y = contaminated()
    calls = (
        lambda: huber_path(X, y, alphas=[0.2, 0.1, 0.05], max_iter=1),
        lambda: huber_delta_path(X, y, deltas=[0.3, 0.4, 0.5], max_iter=1),
    )
    for call in calls:
        with pytest.warns(ConvergenceWarning, match=r"3 of 3 points .* max_iter=1") as caught:
            call()
        assert len(caught) == 1
        assert caught[0].filename == __file__

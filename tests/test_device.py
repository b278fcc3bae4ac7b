"""Arrays that stay on their device: fits are those of NumPy's arrays, and no table is converted."""

import importlib
import pickle

import numpy as np
import pytest
from _cases import contaminated
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags

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
from robustreg.inference import infer
from robustreg.losses import Huber
from robustreg.model_selection import HuberRegressorCV
from robustreg.sources import _device, _surveyed

strict = pytest.importorskip("array_api_strict")
pytest.importorskip("array_api_compat")


class Strict:
    """array_api_strict, on a device that refuses to make arrays of NumPy."""

    name = "array_api_strict"

    def __init__(self):
        self.xp, self.device = strict, strict.Device("device1")

    def make(self, values):
        return self.xp.asarray(values, device=self.device)

    def read(self, array):
        assert array.device == self.device
        return np.asarray(array.to_device(strict.Device("CPU_DEVICE")))


class Torch:
    name = "torch"

    def __init__(self):
        self.xp = importlib.import_module("torch")

    def make(self, values):
        return self.xp.asarray(values)

    def read(self, array):
        assert isinstance(array, self.xp.Tensor)
        return array.numpy()


@pytest.fixture(params=[Strict, Torch], ids=lambda kind: kind.name)
def kind(request):
    pytest.importorskip(request.param.name)
    return request.param()


@pytest.fixture(autouse=True)
def dispatch(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    try:
        context = config_context(array_api_dispatch=True)
        with context:
            yield
    except ImportError as error:  # of an old SciPy
        pytest.skip(str(error))


@pytest.fixture
def partitions(monkeypatch):
    """Partitions of 70 rows, and samples of 200."""
    monkeypatch.setattr(_device, "ENTRIES", 210)
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 200)


def table(n=600, dtype=np.float64):
    X, y = contaminated(n=n, p=3)
    order = np.random.default_rng(1).permutation(n)
    weight = np.resize([1.0, 0.0, 2.5, 0.5], n)
    return X[order].astype(dtype), y[order].astype(dtype), weight.astype(dtype)


def same(kind, model, X, y, weight=None, tol=1e-12):
    """The fit of a model to arrays on a device, once it is known to be that of NumPy's."""
    expected = clone(model).fit(X, y, weight)
    on_device = None if weight is None else kind.make(weight)
    found = clone(model).fit(kind.make(X), kind.make(y), on_device)
    spread = X.std(axis=0, dtype=float) + abs(X).max(axis=0) * 1e-16
    off = abs(kind.read(found.coef_) - expected.coef_) * spread
    assert off.max() <= tol * (expected.scale_ or abs(y).max())
    middle = X.mean(axis=0, dtype=float)
    apart = float(found.intercept_) - float(expected.intercept_)
    apart += (kind.read(found.coef_).astype(float) - expected.coef_) @ middle
    rounding = 1e-15 * abs(expected.coef_ * middle).sum()  # of an intercept far from the rows
    assert abs(apart) <= tol * (expected.scale_ or abs(y).max()) + rounding
    for name in ("scale_", "loss_scale_", "objective_"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-11, abs=1e-30)
    for name in ("rank_", "solver_", "n_features_in_", "loss_"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.converged_
    assert expected.converged_
    assert found.coef_.dtype == found.weights_.dtype
    assert kind.read(found.coef_).dtype == expected.coef_.dtype
    assert type(found.intercept_) is type(expected.intercept_)
    assert_allclose(kind.read(found.weights_), expected.weights_, rtol=0, atol=1e3 * tol)
    assert_array_equal(kind.read(found.outliers_), expected.outliers_)
    return found, expected


MODELS = [
    L2Regressor(),
    L2Regressor(alpha=0.3, fit_intercept=False),
    HuberRegressor(),
    HuberRegressor(alpha=0.1),
    HuberRegressor(fit_intercept=False),
    HuberRegressor(scale=1.5),
    HuberRegressor(0.7, scale=2.0, alpha=0.1, fit_intercept=False),
    HuberRegressor(solver="lbfgs"),
    MRegressor(),
    MRegressor("pseudo_huber", alpha=0.2),
    MRegressor("smooth_l1", scale=0.5),
    MRegressor(Huber(2.0), solver="newton"),
]


CASES = [(np.float64, False), (np.float64, True), (np.float32, True)]


@pytest.mark.parametrize(
    ("model", "dtype", "weighted"),
    [
        pytest.param(model, dtype, weighted, id=f"{model!r}-{dtype.__name__}-{weighted}")
        for i, model in enumerate(MODELS)
        for dtype, weighted in (CASES[i % 3], CASES[(i + 1) % 3])
    ],
)
def test_fits_are_those_of_numpy(kind, partitions, model, dtype, weighted):
    single = dtype == np.float32
    X, y, weight = table(dtype=dtype)
    # where psi' varies between kinks, Newton's method on the host has seven digits of it
    tol = 1e-6 if single else 1e-12 if clone(model)._get_loss().smoothness < 2 else 1e-11
    found, expected = same(kind, model, X, y, weight if weighted else None, tol=tol)
    rows, more = kind.make(X), kind.make(y)
    predicted = kind.read(found.predict(rows))
    assert predicted.dtype == expected.predict(X).dtype
    assert_allclose(predicted, expected.predict(X), rtol=1e-5 if single else 0, atol=1e-9)
    assert found.score(rows, more) == pytest.approx(expected.score(X, y), rel=1e-6, abs=1e-6)
    assert_array_equal(kind.read(found.flag_outliers(rows, more)), expected.outliers_)
    again = kind.read(found.robustness_weights(rows[:9, :], more[:9]))
    assert_allclose(again, expected.weights_[:9], rtol=0, atol=1e3 * tol)
    weighed = found.score(rows, more, kind.make(weight))
    assert weighed == pytest.approx(expected.score(X, y, weight), rel=1e-6, abs=1e-6)


def dummies(X, y):
    return np.column_stack([X, np.eye(4)[np.arange(len(y)) % 4], np.full(len(y), 3.3)]), y


def nearly_collinear(X, y):
    return np.column_stack([X, X[:, 0] + np.float32(1e-4) * X[:, 1] ** 2]).astype(np.float32), y


def far_and_in_odd_units(X, y):
    return (X + 1e6) * [1e-90, 1.0, 1e90], y


def few_rows(X, y):
    return X[:9], y[:9]


def a_plane(X, y):
    return X, X @ [1.0, 2.0, 3.0] - 1.0


def integers(X, y):
    return np.round(5.0 * X).astype(np.int64), y


@pytest.mark.parametrize("change", [dummies, nearly_collinear, far_and_in_odd_units, few_rows])
@pytest.mark.parametrize("model", [L2Regressor(), HuberRegressor()], ids=repr)
def test_hard_tables(kind, model, change):
    X, y = change(*table()[:2])
    same(kind, model, X, y, tol=1e-4 if X.dtype == np.float32 else 1e-11)


def test_exact_fits_and_targets_that_do_not_vary(kind):
    X, y = a_plane(*table()[:2])
    found = HuberRegressor().fit(kind.make(X), kind.make(y))
    assert found.scale_ == 0.0
    assert_allclose(kind.read(found.coef_), [1.0, 2.0, 3.0], rtol=1e-12)
    assert_array_equal(kind.read(found.weights_), np.ones(len(y)))
    same(kind, HuberRegressor(), X, np.full(len(y), 2.5))


def test_integers_and_vectors_of_another_kind_follow_x(kind):
    X, y, weight = (*integers(*table()[:2]), table()[2])
    expected = HuberRegressor().fit(X, y, weight)
    for own_y, own_weight in [
        (y, weight.tolist()),
        (strict.asarray(y), strict.asarray(weight.astype(np.float32))),
    ]:
        found = HuberRegressor().fit(kind.make(X), own_y, own_weight)
        assert_allclose(kind.read(found.coef_), expected.coef_, rtol=1e-11)
        assert_allclose(kind.read(found.weights_), expected.weights_, atol=1e-10)
        assert_allclose(kind.read(found.predict(kind.make(X))), expected.predict(X), rtol=1e-9)


@pytest.mark.parametrize(
    "model", [HuberRegressor(), HuberRegressor(scale=2.0, alpha=0.1)], ids=repr
)
def test_no_more_than_a_sample_leaves_the_device(monkeypatch, partitions, model):
    kind, sizes = Strict(), []
    X, y, weight = (kind.make(values) for values in table(n=3000))
    move = type(X).to_device

    def counted(array, *args, **kwargs):
        sizes.append(array.size)
        return move(array, *args, **kwargs)

    monkeypatch.setattr(type(X), "to_device", counted)
    clone(model).fit(X, y, weight).score(X, y)
    assert 500 < max(sizes) <= 3 * 200  # the sample
    assert sorted(sizes)[-2] <= 200  # and no block of X, which has 210 entries


def test_partitions_without_a_row_that_counts(kind, partitions):
    X, y, _ = table()
    same(kind, HuberRegressor(), X, y, np.where(np.arange(600) < 150, 0.0, 3.0))


def test_warm_start_and_pickles(kind):
    X, y, _ = table()
    rows, targets = kind.make(X), kind.make(y)
    model = HuberRegressor(warm_start=True, solver="lbfgs").fit(rows, targets)
    first, iterations = kind.read(model.coef_), model.n_iter_
    model = pickle.loads(pickle.dumps(model)).fit(rows, targets)
    assert model.n_iter_ < iterations
    assert_allclose(kind.read(model.coef_), first, rtol=1e-12)
    assert get_tags(model).array_api_support


UNSERVED = [
    L1Regressor(),
    QuantileRegressor(),
    SRegressor(),
    MMRegressor(),
    LTSRegressor(),
    HuberRegressor("auto"),
    HuberRegressor(scale="mad"),
    HuberRegressor(alpha=0.1, l1_ratio=0.5),
    L2Regressor(positive=True),
    MRegressor("bisquare"),
    MRegressor(scale="s"),
]


@pytest.mark.parametrize("model", UNSERVED, ids=repr)
def test_what_needs_numpy_says_so(kind, model):
    X, y, _ = table(n=40)
    rows, targets = kind.make(X), kind.make(y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"needs arrays of NumPy, .*asarray\(X\)"):
        model.fit(rows, targets)
    assert vars(model) == before
    assert not get_tags(model).array_api_support


def test_what_else_is_given_arrays_of_another_kind(kind):
    X, y, _ = table(n=40)
    rows, targets = kind.make(X), kind.make(y)
    with pytest.raises(ValueError, match=r"X must be an array of NumPy here, .*asarray\(X\)"):
        HuberRegressorCV().fit(rows, targets)
    with pytest.raises(ValueError, match=r"y must be an array of NumPy here"):
        HuberRegressor().fit(X, targets)
    with pytest.raises(ValueError, match="needs all rows at once"):
        infer(HuberRegressor().fit(X, y), rows, targets)
    with pytest.raises(ValueError, match="needs all rows at once"):
        HuberRegressor(solver="newton_cg").fit(rows, targets)


def test_a_fit_serves_rows_of_its_own_kind(kind):
    X, y, _ = table(n=40)
    rows, targets = kind.make(X), kind.make(y)
    there, here = HuberRegressor().fit(rows, targets), HuberRegressor().fit(X, y)
    message = r"Inputs passed to HuberRegressor\.{}\(\) must use the same namespace"
    for model, other in ((there, X), (here, rows)):
        with pytest.raises(ValueError, match=message.format("predict")):
            model.predict(other)
    with pytest.raises(ValueError, match=message.format("score")):
        here.score(rows, targets)
    with pytest.raises(ValueError, match="X has 2 features"):
        there.predict(rows[:, :2])


def test_without_dispatch_arrays_become_those_of_numpy():
    """Those that can, as before; NumPy's own are served as ever while it is on."""
    X, y, _ = table(n=40)
    expected = HuberRegressor().fit(X, y).coef_
    with config_context(array_api_dispatch=False):
        found = HuberRegressor().fit(strict.asarray(X), strict.asarray(y))
    assert_array_equal(found.coef_, expected)
    assert isinstance(found.weights_, np.ndarray)


def with_nan(X, y, weight):
    X[31, 1] = np.nan
    return X, y, weight


def with_infinity(X, y, weight):
    y[3] = np.inf
    return X, y, weight


def negative(X, y, weight):
    return X, y, weight - 1.0


def no_weight(X, y, weight):
    return X, y, 0.0 * weight


def too_short(X, y, weight):
    return X, y[:-1], weight


def one_column(X, y, weight):
    return X[:, 0], y, weight


def imaginary(X, y, weight):
    return X * 1j, y, weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "X holds NaN or infinity.* row 31 of it, column 1"),
        (with_infinity, "y must be finite"),
        (negative, "sample_weight must be non-negative"),
        (no_weight, "sample_weight must be non-negative and not all zero"),
        (too_short, "y must have an entry for each of the 40 rows of X"),
        (one_column, "X must be of two dimensions"),
        (imaginary, "Complex data not supported"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_what_no_fit_takes(kind, change, message):
    arrays = change(*table(n=40))
    with pytest.raises(ValueError, match=message):
        HuberRegressor().fit(*(kind.make(array) for array in arrays))


def test_devices_without_double_precision():
    X, y, _ = table(n=40, dtype=np.float32)
    device = strict.Device("no_float64")
    with pytest.raises(ValueError, match=r"double precision, which .* does not have on the device"):
        HuberRegressor().fit(strict.asarray(X, device=device), strict.asarray(y, device=device))


def test_tensors_with_gradients():
    torch = pytest.importorskip("torch")
    X, y, _ = table(n=40)
    rows = torch.tensor(X, requires_grad=True)
    model = HuberRegressor().fit(rows, torch.tensor(y, requires_grad=True))
    assert not model.predict(rows).requires_grad
    assert_allclose(model.coef_.numpy(), HuberRegressor().fit(X, y).coef_, rtol=1e-12)


@pytest.mark.parametrize("model", [L2Regressor(), HuberRegressor(), MRegressor()], ids=repr)
def test_checks_of_scikit_learn(model):
    name = type(model).__name__
    for options in ({}, {"check_values": True, "check_sample_weight": True}):
        estimator_checks.check_array_api_input(name, model, "array_api_strict", **options)
    check = getattr(estimator_checks, "check_array_api_same_namespace", None)
    if check is not None:  # from scikit-learn 1.9 on
        check(name, model, array_namespace="array_api_strict")

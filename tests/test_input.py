"""What fits, predictions, paths, searches and metrics refuse, and that it is a ValueError."""

import datetime
import functools

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

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
    QuantileRegressorCV,
    SRegressor,
    huber_delta_path,
    huber_path,
    l1_path,
    quantile_path,
)
from robustreg import metrics as all_metrics
from robustreg.losses import Huber

N = 30
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
Y = X @ [1.0, -2.0] + RNG.normal(size=N)
DATES = np.datetime64("2020-01-01") + np.arange(N)
DURATIONS = DATES - DATES[0]

CONVEX = [
    HuberRegressor(),
    L1Regressor(),
    L2Regressor(),
    MRegressor(),
    QuantileRegressor([0.2, 0.5]),
]
SUBSAMPLING = [
    model(n_subsamples=10, random_state=0)
    for model in (
        SRegressor,
        MMRegressor,
        LTSRegressor,
        functools.partial(MRegressor, "bisquare"),
        functools.partial(MRegressor, scale="s"),
    )
]
SEARCHES = [
    HuberRegressorCV([1.0], cv=2),
    L1RegressorCV(alphas=2, cv=2),
    QuantileRegressorCV(alphas=2, cv=2),
]
MODELS = [HuberRegressor("auto", scale=1.0), *CONVEX, *SUBSAMPLING, *SEARCHES]
PATHS = [
    functools.partial(huber_path, n_alphas=2),
    functools.partial(l1_path, n_alphas=2),
    functools.partial(quantile_path, n_alphas=2),
    functools.partial(huber_delta_path, deltas=[1.0, 5.0]),
]
FITS = [lambda X, y, w=None, model=model: sklearn.clone(model).fit(X, y, w) for model in MODELS]
FITS += [lambda X, y, w=None, path=path: path(X, y, sample_weight=w) for path in PATHS]
NAMES = [str(model) for model in MODELS] + [path.func.__name__ for path in PATHS]
METRICS = [getattr(all_metrics, name) for name in all_metrics.__all__ if name != "get_scorer"]

every_fit = pytest.mark.parametrize("fit", FITS, ids=NAMES)
every_model = pytest.mark.parametrize("model", MODELS, ids=str)


def with_entry(array, value, dtype=float):
    changed = np.array(array, dtype=dtype)
    changed.flat[3] = value
    return changed


# ---- what is not finite


@every_fit
@pytest.mark.parametrize(
    ("value", "assume_finite"), [(np.nan, False), (np.inf, True), (-np.inf, False)]
)
def test_infinite_or_missing_entries(fit, value, assume_finite):
    of_weight_0 = np.ones(N)
    of_weight_0[1] = 0.0  # the row of the entry of X
    weights = with_entry(np.ones(N), value)
    with sklearn.config_context(assume_finite=assume_finite):
        for y in (Y, np.ones(N), np.zeros(N), (np.arange(N) == 5) * 1.0):
            with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
                fit(with_entry(X, value), y)
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            fit(with_entry(X, value), Y, of_weight_0)
        for dtype in (float, object):
            with pytest.raises(ValueError, match=r"Input y contains (NaN|infinity)"):
                fit(X, with_entry(Y, value, dtype))
        with pytest.raises(ValueError, match="sample_weight"):
            fit(X, Y, weights)


@pytest.mark.parametrize("model", CONVEX, ids=str)
@pytest.mark.parametrize("place", [0, 700, 2999])
def test_one_entry_of_a_long_table(model, place):
    rng = np.random.default_rng(1)
    long, y = rng.normal(size=(3000, 3)), rng.normal(size=3000)
    long[place, 1] = np.nan
    for container in (np.asarray, np.asfortranarray, sparse.csr_array):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            model.fit(container(long), y)


# ---- what is not a number


NOT_IN_TIME = [
    DATES,
    DURATIONS,
    np.where(np.arange(N) == 3, np.datetime64("NaT"), DATES),
    DATES.tolist(),
    pd.Series(DATES),
    pd.Series(DURATIONS),
    pd.Series(pd.date_range("2020", periods=N, tz="UTC")),
    pd.Series(pd.Categorical(DATES)),
    with_entry(Y, np.datetime64("NaT"), object),
    with_entry(Y, np.timedelta64(3, "D"), object),
    with_entry(Y, pd.NaT, object),
    with_entry(Y, pd.Timestamp("2020"), object),
    with_entry(Y, datetime.timedelta(3), object),
]
NO_NUMBERS = [
    np.ma.masked_greater(Y, 1.0),
    Y + 1j,
    with_entry(Y, 1j, object),
    with_entry(Y, 10**400, object),
    [10**400] * N,
    with_entry(Y, pd.NA, object),
    [{"a": 1}] * N,
    {0: 1.0},
    {1.0, 2.0},
    (value for value in Y),
    ["a"] * N,
    "a",
    [[1.0], [2.0, 3.0]] * (N // 2),
    np.zeros(N, dtype=[("a", float)]),
    pd.Series(pd.period_range("2020", periods=N, freq="D")),
]


def as_table(values):
    """The same beside a column of numbers, in a frame where they are a column of pandas."""
    if isinstance(values, pd.Series):
        return pd.DataFrame({"a": Y, "b": values})
    if isinstance(values, list) and np.ndim(values[0]) == 0:
        return [[value, 1.0] for value in values]
    is_column = isinstance(values, np.ndarray) and values.dtype.names is None
    return np.ma.column_stack([values, values]) if is_column else values


@every_fit
def test_what_is_no_number(fit):
    for kind, values in [("dates or durations", v) for v in NOT_IN_TIME] + [
        ("", v) for v in NO_NUMBERS
    ]:
        with pytest.raises(ValueError, match=f"^y (must|has) .*{kind}"):
            fit(X, values)
        with pytest.raises(ValueError, match=f"^(column 'b' of )?X (must|has) .*{kind}"):
            fit(as_table(values), Y)
        with pytest.raises(ValueError, match=f"^sample_weight (must|has) .*{kind}"):
            fit(X, Y, values)


@every_model
def test_predictions_and_what_a_failed_fit_leaves(model):
    model = sklearn.clone(model).fit(X, Y)
    before, known = vars(model).copy(), model.predict(X)
    for values in NOT_IN_TIME + NO_NUMBERS:
        with pytest.raises(ValueError, match=r"^(column 'b' of )?X (must|has) "):
            model.predict(as_table(values))
        for use_targets in (model.fit, model.score):
            with pytest.raises(ValueError, match=r"^y "):
                use_targets(X, values)
        with pytest.raises(ValueError, match=r"^sample_weight "):
            model.score(X, Y, values)
    assert vars(model) == before
    assert_array_equal(model.predict(X.astype(object)), known)
    assert_array_equal(model.predict(np.ma.masked_array(X, mask=False)), known)


@pytest.mark.parametrize(
    "metric", [*METRICS, Huber()], ids=lambda metric: getattr(metric, "__name__", "Huber")
)
def test_metrics(metric):
    for values in NOT_IN_TIME + NO_NUMBERS:
        for place, arguments in {
            "y_true": ([values, Y], {}),
            "y_pred": ([Y, values], {}),
            "sample_weight": ([Y, Y], {"sample_weight": values}),
        }.items():
            with pytest.raises(ValueError, match=f"^{place} (must|has) "):
                metric(*arguments[0], **arguments[1])


def test_how_to_convert_dates():
    days = (DATES - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")
    with pytest.raises(ValueError, match=r"timedelta64\(1, 'D'\)"):
        HuberRegressor().fit(DATES[:, None], Y)
    assert HuberRegressor().fit(days[:, None], Y).converged_


def test_polars():
    polars = pytest.importorskip("polars")
    numbers = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    found, expected = HuberRegressor().fit(numbers, Y), HuberRegressor().fit(X, Y)
    assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    for column in (DATES, DURATIONS.astype("m8[ms]"), polars.Series(DATES).cast(polars.Date)):
        table = polars.DataFrame({"a": Y, "b": column})
        with pytest.raises(ValueError, match=r"^column 'b' of X .* dates or durations"):
            HuberRegressor().fit(table, Y)
        with pytest.raises(ValueError, match=r"^y .* dates or durations"):
            HuberRegressor().fit(X, table["b"])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        HuberRegressor().fit(numbers.with_columns(polars.lit(None).alias("b")), Y)


# ---- numbers of any type


def dummies(dtype):
    groups = pd.Series(np.resize(list("abc"), N))
    return pd.get_dummies(groups, sparse=True, dtype=dtype)


TABLES = {
    "bool": dummies(bool),
    "int8": dummies(np.int8),
    "uint8": dummies(np.uint8),
    "float32": dummies(np.float32),
    "mixed": dummies(bool).assign(z=pd.arrays.SparseArray(X[:, 0].clip(0.0), fill_value=0.0)),
    "matrix of truth values": sparse.csc_array(dummies(bool).to_numpy()),
    "matrix of integers": sparse.coo_array(dummies(np.int8).to_numpy()),
    "array of truth values": dummies(bool).to_numpy(),
    "objects": dummies(bool).to_numpy().astype(object),
    "nullable": dummies(bool).sparse.to_dense().astype("boolean"),
}


OF_ANY_TYPE = [
    HuberRegressor(alpha=0.1),
    L2Regressor(alpha=0.1),
    QuantileRegressor([0.2, 0.5], alpha=0.1),
    HuberRegressorCV([1.0], alphas=[0.1], cv=2),
]


def as_dense(table):
    if sparse.issparse(table):
        return table.toarray().astype(np.float64)
    if isinstance(table, pd.DataFrame):
        return np.column_stack([np.asarray(table[name], np.float64) for name in table])
    return table.astype(np.float64)


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_any_type(name):
    table = TABLES[name]
    dense = as_dense(table)
    y = dense @ np.arange(1.0, dense.shape[1] + 1) + 0.1 * Y
    for model in OF_ANY_TYPE:
        found, expected = (sklearn.clone(model).fit(part, y) for part in (table, dense))
        for attribute in ("coef_", "intercept_"):
            one, other = getattr(found, attribute), getattr(expected, attribute)
            assert one.dtype == np.float64
            assert_allclose(one, other, atol=1e-6)
        assert_allclose(found.predict(table), expected.predict(dense), atol=1e-6)
    for path in PATHS[1:]:
        found, expected = path(table, y), path(dense, y)
        assert {found.coefs.dtype, found.intercepts.dtype} == {np.dtype(np.float64)}
        assert_allclose(found.coefs, expected.coefs, atol=1e-5)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("model", [*CONVEX, *OF_ANY_TYPE], ids=str)
def test_several_entries_in_one_place_are_their_sum(model, form):
    """A one for every time that a word occurs: as entries these ones are all alike."""
    counts = np.column_stack([np.resize([2, 0, 1, 1], N), np.resize([1, 1, 3], N)])
    row, column = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    major, minor = (column, row) if form is sparse.csc_matrix else (row, column)
    ends = np.append(0, np.cumsum(np.bincount(major)))
    index = minor[np.argsort(major, kind="stable")]
    table = form((np.ones(len(index)), index, ends), shape=counts.shape)
    before = table.indices.copy()
    y = counts @ [3.0, -1.0] + 0.1 * Y
    found, expected = (sklearn.clone(model).fit(part, y) for part in (table, 1.0 * counts))
    assert_allclose(found.coef_, expected.coef_, atol=1e-6)
    assert_allclose(found.intercept_, expected.intercept_, atol=1e-6)
    assert_allclose(found.predict(table), expected.predict(counts), atol=1e-6)
    assert_array_equal(table.indices, before)  # the user's own


@every_model
@pytest.mark.parametrize(("x_unit", "y_unit"), [(1e-30, 1e15), (1e30, 1e-15), (1.0, 1e45)])
def test_coefficients_that_float32_has_no_room_for(model, x_unit, y_unit):
    table, y = (x_unit * X).astype(np.float32), y_unit * Y
    found = sklearn.clone(model).fit(table, y)
    expected = sklearn.clone(model).fit(table.astype(np.float64), y)
    assert found.coef_.dtype == np.float64
    assert_allclose(found.coef_, expected.coef_, rtol=1e-9)
    predicted = expected.predict(table.astype(np.float64))
    assert_allclose(found.predict(table), predicted, atol=1e-6 * y_unit)


@pytest.mark.parametrize("path", PATHS[:3])
def test_paths_that_float32_has_no_room_for(path):
    found = path((1e-30 * X).astype(np.float32), 1e15 * Y)
    assert found.coefs.dtype == found.intercepts.dtype == np.float64
    assert_allclose(found.coefs, 1e45 * path(X, Y).coefs, rtol=1e-4)


# ---- what takes more memory than there is, and folds that are none


@pytest.mark.parametrize("model", SUBSAMPLING, ids=str)
@pytest.mark.parametrize("count", [2**31, 10**400])
def test_subsets_that_no_memory_holds(model, count):
    with pytest.raises(ValueError, match="n_subsamples must be at most 1000000 for 3 coef"):
        sklearn.clone(model).set_params(n_subsamples=count).fit(X, Y)


@pytest.mark.parametrize("length", [2**31, 10**400])
def test_grids_that_no_memory_holds(length):
    for path, name in zip(PATHS, ["n_alphas"] * 3 + ["n_deltas"], strict=True):
        with pytest.raises(ValueError, match=f"{name} must be an integer from 1 to 1000000"):
            path.func(X, Y, **{name: length})
    with pytest.raises(ValueError, match="alphas must be an integer from 1 to 1000000"):
        L1RegressorCV(alphas=length).fit(X, Y)


@pytest.mark.parametrize(
    "grid",
    [
        [10**400],
        [1j],
        {1.0: 2.0},
        [{}],
        np.ma.masked_greater([0.1, 0.5], 0.2),
        DURATIONS[:2],
        ["1"],
    ],
)
def test_grids_that_are_none(grid):
    with pytest.raises(ValueError, match="alphas must be a sequence"):
        l1_path(X, Y, alphas=grid)
    with pytest.raises(ValueError, match="deltas must be a sequence"):
        HuberRegressorCV(grid).fit(X, Y)
    with pytest.raises(ValueError, match="quantile must be a number"):
        QuantileRegressor(grid).fit(X, Y)


@pytest.mark.parametrize(
    "cv",
    [
        [1, 2],
        [(1, 2)],
        [([0, 1], [N])],
        [([0, 1], [-N - 1])],
        [("a", "b")],
        [[0, 1, 2]],
        [([0.0, 1.0], [2.0])],
        [([[0, 1]], [[2]])],
        [([0, [1]], [2])],
        [(np.ones(3, dtype=bool), [1])],
        [(slice(0, 9), slice(9, 18))],
        [None],
        {1: 2},
    ],
)
def test_folds_that_are_none(cv):
    for model in SEARCHES:
        with pytest.raises(ValueError, match="cv must give one or more folds"):
            sklearn.clone(model).set_params(cv=cv).fit(X, Y)


def test_folds_as_masks():
    first = np.arange(N) < 20
    by_mask = HuberRegressorCV([1.0], cv=[(first, ~first)]).fit(X, Y)
    by_index = HuberRegressorCV([1.0], cv=[(np.arange(20), np.arange(20, N))]).fit(X, Y)
    assert by_mask.best_score_ == by_index.best_score_


def test_errors_of_a_splitter_are_its_own():
    class Splitter:
        def get_n_splits(self, X=None, y=None, groups=None):
            return 1

        def split(self, X, y=None, groups=None):
            raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        HuberRegressorCV(cv=Splitter()).fit(X, Y)

"""Rows on disk, in other frames' queries and on Dask: the fits are those of the arrays."""

import datetime
import errno

import numpy as np
import pytest
from _cases import contaminated
from _sources import Guarded
from sklearn.base import clone

from robustreg import (
    HuberRegressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
)
from robustreg.diagnostics import robust_distances
from robustreg.inference import infer
from robustreg.metrics import mean_huber_loss
from robustreg.penalties import ElasticNet
from robustreg.sources import RowSource, _local, _surveyed, scan_dataset, scan_parquet

da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
dask = pytest.importorskip("dask")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
parquet = pytest.importorskip("pyarrow.parquet")
h5py = pytest.importorskip("h5py")
zarr = pytest.importorskip("zarr")

N, NAMES = 1_000, ["a", "b", "c"]


def table(dtype=np.float64):
    X, y = contaminated(n=N, p=len(NAMES))
    order = np.random.default_rng(1).permutation(N)
    return X[order].astype(dtype), y[order], np.resize([1.0, 0.0, 2.5, 0.5], N)


def as_frame(X, y, weight):
    frame = pd.DataFrame(X, columns=NAMES).assign(y=y, w=weight)
    return frame.assign(text="not a number")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The table in all kinds of files."""
    path = tmp_path_factory.mktemp("tables")
    for dtype in ("float64", "float32"):
        X, y, weight = table(dtype)
        frame = as_frame(X, y, weight)
        (path / dtype).mkdir()
        own = path / dtype
        frame.to_parquet(own / "t.parquet", row_group_size=130)
        frame.astype(dict.fromkeys(NAMES, float)).to_csv(own / "t.csv", index=False)
        with h5py.File(own / "t.h5", "w") as file:
            file.create_dataset("X", data=X, chunks=(110, 2))
            file.create_dataset("y", data=y)
            file.create_dataset("w", data=weight)
        chunked = zarr.create_array(own / "X.zarr", shape=X.shape, chunks=(90, 2), dtype=dtype)
        chunked[:] = X
        for name, values in (("y", y), ("w", weight)):
            column = zarr.create_array(own / f"{name}.zarr", shape=(N,), chunks=(77,), dtype="f8")
            column[:] = values
    return path


# What is passed to fit, by where the rows are; of the weights only if there are any.


def of_zarr(folder):
    return [zarr.open_array(folder / f"{name}.zarr", mode="r") for name in ("X", "y", "w")]


def of_hdf5(folder):
    file = h5py.File(folder / "t.h5", "r")
    return [file[name] for name in ("X", "y", "w")]


def of_polars(folder):
    frame = pl.scan_parquet(folder / "t.parquet")
    return [frame.select(names) for names in (NAMES, "y", "w")]


def of_dask_array(folder):
    X, y, weight = table(folder.name)
    return [
        da.from_array(X, chunks=(150, 2)),
        da.from_array(y, chunks=170),
        da.from_array(weight, chunks=N),
    ]


def of_dask_frame(folder):
    frame = dd.read_parquet(folder / "t.parquet", split_row_groups=True)
    return [frame[names] for names in (NAMES, "y", "w")]


def of_unknown_lengths(folder):
    return [part.to_dask_array() for part in of_pandas(folder)]


def of_pandas(folder):
    frame = dd.from_pandas(as_frame(*table(folder.name)), npartitions=6)
    return [frame[names] for names in (NAMES, "y", "w")]


PAIRS = {
    "zarr": of_zarr,
    "hdf5": of_hdf5,
    "polars": of_polars,
    "dask-array": of_dask_array,
    "dask-parquet": of_dask_frame,
    "dask-pandas": of_pandas,
    "dask-unknown": of_unknown_lengths,
}


def of_dataset(folder, name, weight, condition=None):
    found = ds.dataset(folder / name, format=name.partition(".")[2])
    found = found if condition is None else found.filter(condition)
    return scan_dataset(found, target="y", columns=NAMES, sample_weight=weight)


SCANS = {
    "parquet": lambda folder, weight: scan_parquet(
        folder / "t.parquet", target="y", columns=NAMES, sample_weight=weight
    ),
    "filtered": lambda folder, weight: of_dataset(
        folder, "t.parquet", weight, ds.field("a") > -1e9
    ),
    "csv": lambda folder, weight: of_dataset(folder, "t.csv", weight),
}
NAMED = {"parquet", "filtered", "csv", "polars", "dask-parquet", "dask-pandas"}
LAZY = [name for name in PAIRS if name.startswith("dask")]


def rows(name, folder, weighted=False):
    """What is passed to fit."""
    if name in SCANS:
        return [SCANS[name](folder, "w" if weighted else None)]
    X, y, weight = PAIRS[name](folder)
    return [X, y, weight] if weighted else [X, y]


def values_of(found):
    return np.asarray(found.compute() if hasattr(found, "compute") else found)


@pytest.mark.parametrize("name", [*SCANS, *PAIRS])
@pytest.mark.parametrize(("weighted", "dtype"), [(False, "float64"), (True, "float32")])
def test_fits_predictions_and_scores_are_those_of_the_arrays(name, weighted, dtype, folder):
    X, y, weight = table(dtype)
    given = [X.astype(np.float64), y, *([weight] if weighted else [])]
    expected = HuberRegressor().fit(*given)
    found = HuberRegressor().fit(*rows(name, folder / dtype, weighted))
    size = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-12 * size)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-12)
    assert found.n_passes_ <= 6
    assert hasattr(found, "feature_names_in_") == (name in NAMED)
    predicted = found.predict(rows(name, folder / dtype)[0])
    assert (name in LAZY) == dask.is_dask_collection(predicted)
    np.testing.assert_allclose(values_of(predicted), expected.predict(given[0]), rtol=1e-9)
    score = found.score(*rows(name, folder / dtype, weighted))
    assert score == pytest.approx(expected.score(*given), abs=1e-12)


@pytest.mark.parametrize("name", [*SCANS, *PAIRS])
def test_standard_errors_are_those_of_the_arrays(name, folder):
    given, own = table(), rows(name, folder / "float64", weighted=True)
    model = HuberRegressor().fit(*given)
    expected = infer(model, *given)
    for fitted in (model, HuberRegressor().fit(*own)):
        found = infer(fitted, *own)
        np.testing.assert_allclose(found.standard_errors, expected.standard_errors, rtol=1e-9)
        assert found.scale_error == pytest.approx(expected.scale_error, rel=1e-9)
    assert found.names == ("intercept", *(NAMES if name in NAMED else ("x0", "x1", "x2")))


@pytest.mark.parametrize("name", [*SCANS, *PAIRS])
@pytest.mark.parametrize(("weighted", "dtype"), [(False, "float64"), (True, "float32")])
def test_high_breakdown_in_passes(name, weighted, dtype, folder, monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", N // 2)
    X, y, weight = table(dtype)
    given = [X.astype(np.float64), y, *([weight] if weighted else [])]
    expected = MMRegressor(n_subsamples=50, random_state=0).fit(*given)
    source = rows(name, folder / dtype, weighted)
    found = MMRegressor(n_subsamples=50, random_state=0).fit(*source)
    near = {"rtol": 0, "atol": 1e-9 * expected.scale_}
    np.testing.assert_allclose(found.coef_, expected.coef_, **near)
    np.testing.assert_allclose(found.initial_coef_, expected.initial_coef_, **near)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)
    assert found.n_passes_ <= 11
    trimmed = LTSRegressor(n_subsamples=50, random_state=0)
    objective = trimmed.fit(*source).objective_
    assert trimmed.n_passes_ <= 16
    assert objective == pytest.approx(trimmed.fit(*given).objective_, rel=2e-2)


def test_predictions_of_several_quantiles(folder):
    X, y, _ = table()
    model = QuantileRegressor([0.9, 0.1, 0.5], crossing="rearrange").fit(X, y)
    expected = model.predict(X)
    for name in ("zarr", "polars", "dask-array", "dask-pandas"):
        source = rows(name, folder / "float64")
        if name in NAMED:  # those of arrays have no names
            np.testing.assert_allclose(values_of(model.predict(source[0])), expected)
        assert model.score(*source) == pytest.approx(model.score(X, y), abs=1e-12)


def test_r_squared_as_scikit_learn_has_it_of_targets_that_are_all_alike():
    X = np.zeros((20, 1))
    model = L2Regressor().fit(np.arange(20.0)[:, None], np.arange(20.0))
    for constant in (model.intercept_, 5.0):
        y = np.full(20, constant)
        assert model.score(Guarded(X, y, edges=(7, 7))) == model.score(X, y)


def test_predictions_of_frames_have_their_index(folder):
    frame, y, _ = of_pandas(folder / "float64")
    predicted = HuberRegressor().fit(frame, y).predict(frame)
    assert predicted.compute().index.equals(frame.compute().index)


# --- what fits say of each row


@pytest.mark.parametrize("name", [*SCANS, *PAIRS])
@pytest.mark.parametrize(
    ("model", "dtype"),
    [(HuberRegressor(), "float64"), (QuantileRegressor([0.9, 0.1, 0.5]), "float32")],
)
def test_rows_are_judged_as_those_of_the_arrays(name, model, dtype, folder):
    fitted = clone(model).fit(*table(dtype))
    given = rows(name, folder / dtype)
    weights, outliers = fitted.robustness_weights(*given), fitted.flag_outliers(*given)
    for judged, known in ((weights, fitted.weights_), (outliers, fitted.outliers_)):
        assert (name in LAZY) == dask.is_dask_collection(judged)
        own, of_frame = values_of(judged), name in ("dask-parquet", "dask-pandas")
        promised = {*judged.dtypes} if of_frame and known.ndim == 2 else {judged.dtype}
        assert promised == {own.dtype} == {known.dtype}
        known = known.T if of_frame else known
        np.testing.assert_allclose(own, known, rtol=0, atol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("index", [None, pd.RangeIndex(5, 5 + 3 * N, 3, name="home")])
def test_judgements_of_frames_stand_beside_their_rows(index, folder):
    frame = as_frame(*table())
    frame = frame if index is None else frame.set_index(index)
    model = HuberRegressor().fit(frame[NAMES], frame["y"])
    for lazy in (dd.from_pandas(frame, npartitions=6), dd.from_pandas(frame[frame["a"] > 0], 4)):
        weights = model.robustness_weights(lazy[NAMES], lazy["y"])
        assert weights.divisions == lazy.divisions
        beside = lazy.assign(weight=weights)
        own = beside[beside["weight"] < 0.5].compute()
        known = model.robustness_weights(own[NAMES], own["y"])
        np.testing.assert_allclose(own["weight"], known, rtol=0, atol=1e-12)
        good = lazy[~model.flag_outliers(lazy[NAMES], lazy["y"])].compute()
        assert 0 < len(good) < len(lazy)
        assert not model.flag_outliers(good[NAMES], good["y"]).any()


def test_judgements_of_many_files(tmp_path):
    """Of which Dask reads the more at a time the fewer columns are asked for."""
    X, y = contaminated(n=600, p=30)
    frame = pd.DataFrame(X, columns=[f"c{j}" for j in range(30)]).assign(y=y)
    for k in range(12):
        frame.iloc[50 * k : 50 * k + 50].to_parquet(tmp_path / f"{k:02}.parquet")
    lazy = dd.read_parquet(tmp_path)
    for names in ([*frame.columns[:-1]], ["c0"]):
        model = HuberRegressor().fit(frame[names], y)
        weights = model.robustness_weights(lazy[names], lazy["y"])
        np.testing.assert_allclose(weights.compute(), model.weights_, rtol=0, atol=1e-12)
        beside = lazy.assign(weight=weights)[["weight", "c3"]].compute()
        np.testing.assert_allclose(beside["weight"], model.weights_, rtol=0, atol=1e-12)


def refuses(*_, **__):
    raise AssertionError("something was computed")


@pytest.mark.parametrize("name", LAZY)
def test_judgements_and_predictions_are_lazy(name, folder):
    X, y = rows(name, folder / "float64")
    model = HuberRegressor().fit(*table()[:2])
    with dask.config.set(scheduler=refuses):
        for found in (model.robustness_weights(X, y), model.flag_outliers(X, y), model.predict(X)):
            assert dask.is_dask_collection(found)
            if hasattr(X, "divisions"):
                assert found.divisions == X.divisions
            else:
                np.testing.assert_array_equal(found.chunks[0], X.chunks[0])


@pytest.mark.parametrize("method", ["robustness_weights", "flag_outliers"])
def test_rows_that_cannot_be_judged(method, folder):
    model = HuberRegressor().fit(*table()[:2])
    X, y = spoilt(set_to(np.nan))
    message = "NaN or infinity, the first one in partition 7 .* row 33 of it, column 2"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(X, y).compute()
    X, y = spoilt(set_to(np.nan, 1))
    with pytest.raises(ValueError, match="Partition 7 of the source has NaN or infinity in y"):
        getattr(model, method)(X, y).compute()
    with pytest.raises(ValueError, match="y must have an entry for each of the 1000 rows of X, go"):
        getattr(model, method)(X, y[:7])
    with pytest.raises(ValueError, match=r"y must have an entry .* 1000 rows .* got shape"):
        getattr(model, method)(of_zarr(folder / "float64")[0], y[:7].compute())
    with pytest.raises(ValueError, match="y must be given beside X"):
        getattr(model, method)(X)


# --- what is not served is refused, and nothing is gathered in silence


@pytest.mark.parametrize("name", [*SCANS, *PAIRS])
def test_who_needs_the_rows_says_so(name, folder):
    with pytest.raises(
        ValueError, match=r"needs all rows in memory, and was given a .*: load them"
    ):
        MRegressor(penalty=ElasticNet(0.1)).fit(*rows(name, folder / "float64"))


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_arrays_load_nothing(name, folder):
    X, y = rows(name, folder / "float64")
    with pytest.raises(ValueError, match=r"X must be in memory here, got .*: numpy\.asarray"):
        robust_distances(X)
    with pytest.raises(ValueError, match="must be in memory here"):
        mean_huber_loss(y, np.zeros(N))
    with pytest.raises(ValueError, match="y must be in memory here"):
        HuberRegressor().fit(table()[0], y)


# --- Dask


def fitted_on(parts):
    model = HuberRegressor().fit(*parts)
    return model.coef_.tobytes(), model.objective_


def test_every_scheduler_has_the_same_digits(folder):
    """And so has the source that adds up the same partitions here."""
    X, y, weight = table()
    parts = of_dask_array(folder / "float64")
    edges = range(150, N, 150)
    found = {fitted_on([Guarded(X, y, weight, edges)])}
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            found |= {fitted_on(parts), fitted_on(dask.persist(*parts))}
    assert len(found) == 1


def test_nothing_else_than_the_partitions_reads_them():
    """Each of them once in every pass, X and y together."""
    X, y, _ = table()
    read = []

    def block(block_info=None):
        ((start, stop), *_) = block_info[None]["array-location"]
        read.append(start)
        return X[start:stop]

    chunks = ((250,) * 4, (3,))
    source = da.map_blocks(block, chunks=chunks, dtype=float, meta=np.empty((0, 0)))
    model = L2Regressor().fit(source, da.from_array(y, chunks=250))
    assert sorted(read) == sorted([0, 250, 500, 750] * model.n_passes_)


@pytest.mark.filterwarnings("error")
def test_processes_that_start_anew_in_every_pass(folder):
    parts = of_dask_array(folder / "float64")
    with dask.config.set(scheduler="processes"), pytest.raises(UserWarning, match="LocalCluster"):
        L2Regressor().fit(*parts)


@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series])
def test_targets_in_memory_beside_a_dask_array(kind):
    X, y, _ = table()
    found = L2Regressor().fit(da.from_array(X, chunks=(150, 2)), kind(y))
    assert found.objective_ == pytest.approx(L2Regressor().fit(X, y).objective_, rel=1e-12)


# --- what is wrong with rows


def spoilt(change):
    """A Dask array in the eighth partition of which something is changed."""
    X, y, _ = table()
    change(X, y)
    return da.from_array(X, chunks=(100, 3)), da.from_array(y, chunks=100)


def set_to(value, what=0):
    def change(X, y):
        (X[:, 2] if what == 0 else y)[733] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to(np.nan), "NaN or infinity, the first one in partition 7 .* row 33 of it, column 2"),
        (set_to(np.inf), "NaN or infinity, the first one in partition 7 .* row 33 of it, column 2"),
        (set_to(np.nan, 1), "Partition 7 of the source has NaN or infinity in y"),
    ],
)
def test_numbers_that_no_fit_can_take(change, message):
    model = HuberRegressor()
    with pytest.raises(ValueError, match=message):
        model.fit(*spoilt(change))
    assert not hasattr(model, "coef_")


def test_an_error_says_which_row_group_it_is(folder, tmp_path):
    X, y, weight = table()
    X[500, 1] = np.nan
    as_frame(X, y, weight).to_parquet(tmp_path / "t.parquet", row_group_size=130)
    source = scan_parquet(tmp_path / "t.parquet", target="y", columns=NAMES)
    with pytest.raises(ValueError, match=r"partition 3 .* row 110 of it, column 1 \('b'\)"):
        HuberRegressor().fit(source)
    y[500] = np.nan
    as_frame(X, y, weight).to_parquet(tmp_path / "t.parquet", row_group_size=130)
    source = scan_parquet(tmp_path / "t.parquet", target="y", columns=NAMES)
    with pytest.raises(ValueError, match=r"Partition 3 .* NaN or infinity in y") as caught:
        HuberRegressor().fit(source)
    assert caught.value.__notes__ == [
        f"Partition 3 of the source is row group 3 of {tmp_path.as_posix()}/t.parquet."
    ]


class Replaced:
    """A source whose file is another one from the second pass on."""

    def __init__(self, path):
        self.path, self.passes = path, 0
        self.source = scan_parquet(path, target="y", columns=NAMES)
        self.n_columns, self.names = self.source.n_columns, self.source.names

    def total(self, job):
        self.passes += 1
        if self.passes == 2:
            X, y, weight = table()
            as_frame(X + 1.0, y, weight).to_parquet(self.path, row_group_size=130)
        return self.source.total(job)


def test_a_file_that_changes_during_a_fit(tmp_path):
    as_frame(*table()).to_parquet(tmp_path / "t.parquet", row_group_size=130)
    model = HuberRegressor()
    with pytest.raises(ValueError, match=r"t\.parquet was changed since the source was made"):
        model.fit(Replaced(tmp_path / "t.parquet"))
    assert not hasattr(model, "coef_")


class Shuffled(Guarded):
    """As many rows in every pass, and other targets."""

    def total(self, job):
        found = super().total(job)
        self._blocks = [(X, y + 1.0, weight) for X, y, weight in self._blocks]
        return found


def test_targets_that_change_from_pass_to_pass():
    X, y, _ = table()
    with pytest.raises(ValueError, match=r"Partition 0 .* other targets than before"):
        L2Regressor().fit(Shuffled(X, y, np.ones(N), edges=(500,)))


DAYS = [datetime.date(2020, 1, 1)] * N


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["a", "nobody"]}, r"one column 'nobody', has 0; its columns are \['a', 'b'"),
        ({"target": "price"}, "one column 'price', has 0"),
        ({"columns": None}, "Column 'text' must hold real numbers, holds .*string"),
        ({"target": "text"}, "Column 'text' must hold real numbers"),
        ({"columns": []}, "columns must name one column at least, got none"),
    ],
)
def test_columns_that_are_not_there(options, message, folder):
    asked = {"target": "y", "columns": NAMES} | options
    with pytest.raises(ValueError, match=message):
        scan_parquet(folder / "float64" / "t.parquet", **asked)


def two_frames(folder):
    """Partitions of other rows."""
    frame = dd.from_pandas(as_frame(*table()), npartitions=6)
    kept = frame[frame["a"] > 0.0]
    return kept[NAMES], frame["y"]


def of_other_blocks(folder):
    X, y, _ = of_unknown_lengths(folder)
    return X, da.concatenate([y, y])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            lambda f: (of_zarr(f)[0], np.zeros(7)),
            r"y must have an entry .* 1000 rows.*shape \(7,\)",
        ),
        (
            lambda f: (of_zarr(f)[0], {"y": 0.0}),
            "y must be an array of real numbers of 1 dim.*dict",
        ),
        (lambda f: (of_zarr(f)[1], of_zarr(f)[1]), "X must be an array of real .* 2 dimensions"),
        (lambda f: (of_zarr(f)[0],), "y must be given beside X"),
        (lambda f: (of_polars(f)[0], np.zeros(N)), "y must be a LazyFrame beside an X that is one"),
        (lambda f: (of_polars(f)[0], of_polars(f)[0]), r"y must have one column, got \['a', 'b'"),
        (
            lambda f: (pl.scan_parquet(f / "t.parquet"), of_polars(f)[1]),
            "Column 'text' of X must hold real numbers, holds String",
        ),
        (lambda f: [frame.head(0) for frame in of_polars(f)[:2]], "There are no rows"),
        (lambda f: (pl.LazyFrame(), of_polars(f)[1]), "one column at least, got none"),
        (lambda f: (of_dask_array(f)[0], np.zeros(7)), "y must have .* 1000 rows of X, got 7"),
        (lambda f: (of_dask_array(f)[0], of_pandas(f)[1]), r"y must be an array.*to_dask_array"),
        (lambda f: (of_dask_array(f)[0], of_dask_array(f)[0]), r"y must be of shape \(n,\), got"),
        (lambda f: (of_dask_array(f)[1], of_dask_array(f)[1]), r"X must be a Dask array of shape"),
        (of_other_blocks, r"X has 6 blocks of rows and y has 12.*compute_chunk_sizes"),
        (lambda f: (of_pandas(f)[0], np.zeros(N)), "y must be a Dask series beside an X"),
        (lambda f: (of_pandas(f)[0], of_dask_frame(f)[1]), "X has 6 partitions and y has 8"),
        (two_frames, r"Partition . of X has other rows than that of y"),
        (
            lambda f: (dd.from_pandas(as_frame(*table()), npartitions=2), of_pandas(f)[1]),
            "X has 2 partitions and y has 6",
        ),
        (
            lambda f: (dd.from_pandas(as_frame(*table()), npartitions=6), of_pandas(f)[1]),
            "Column 'text' of X must hold real numbers",
        ),
        (lambda f: (dask.delayed(1), np.zeros(N)), "X must be a Dask array or data frame, got Del"),
    ],
)
def test_what_does_not_belong_together(parts, message, folder):
    with pytest.raises(ValueError, match=message):
        HuberRegressor().fit(*parts(folder / "float64"))


def test_dates_are_no_numbers():
    X, y, _ = table()
    X = X.astype("datetime64[D]")
    with pytest.raises(ValueError, match=r"Partition 0 .* datetime64\[D\] in X"):
        L2Regressor().fit(Guarded(X, y))


@pytest.mark.parametrize("name", ["parquet", "polars", "dask-pandas"])
def test_columns_of_other_names(name, folder):
    source = rows(name, folder / "float64")
    model = HuberRegressor().fit(*source)
    renamed = table()[0]
    other = dd.from_pandas(pd.DataFrame(renamed, columns=["b", "a", "c"]), npartitions=2)
    with pytest.raises(ValueError, match=r"those of the fit, in their order: \['a', 'b', 'c'\]"):
        model.predict(other)
    with pytest.raises(ValueError, match="X has 2 features, but HuberRegressor is expecting 3"):
        model.predict(da.from_array(renamed[:, :2]))


def test_what_is_scanned_is_a_source(folder):
    for name in SCANS:
        assert isinstance(SCANS[name](folder / "float64", None), RowSource)


class Numbers(_local.LocalSource):
    """Partitions of one number."""

    n_partitions, partition_bytes = 40, 8

    def read(self, index):
        return np.full((1, 1), index), np.ones(1), None

    def place(self, index):
        return f"number {index}"


def test_results_that_bring_rows_are_added_at_once(monkeypatch):
    """Others are small: of those eight for each thread are made before any are added."""
    made, most = _local.map_ordered, []

    def counted(work, items, n_threads):
        most.append(len(items) / n_threads)
        return made(work, items, n_threads)

    class Job:
        brings_rows = True

        def __call__(self, X, y, weight, index):
            return X.sum()

    monkeypatch.setattr(_local, "map_ordered", counted)
    assert Numbers().total(Job()) == sum(range(40))
    assert max(most) == 1
    assert _surveyed.Survey.brings_rows
    monkeypatch.setattr(Job, "brings_rows", False)
    assert Numbers().total(Job()) == sum(range(40))
    assert max(most) > 1


# --- what belongs to X


def test_targets_and_weights_of_a_store_may_be_lists(folder):
    X, y, weight = of_zarr(folder / "float64")
    given = [np.asarray(values) for values in (y, weight)]
    expected = HuberRegressor().fit(X, *given)
    found = HuberRegressor().fit(X, *(values.tolist() for values in given))
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    with pytest.raises(ValueError, match=r"y must have an entry for each of the \d+ rows"):
        HuberRegressor().fit(X, given[0][1:].tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "ab"}, "columns must be a list of names of columns, got 'ab'"),
        ({"columns": ["a", 1]}, "columns must be a list of names of columns"),
        ({"columns": ["a", "b", "a"]}, "columns must name each column once, got 'a' twice"),
        ({"columns": ["a", "y"]}, "columns must not name the target or the weights, got 'y'"),
        ({"target": ["y"]}, r"target must be the name of a column, got \['y'\]"),
        ({"sample_weight": 3}, "sample_weight must be the name of a column, got 3"),
    ],
)
def test_names_of_columns(options, message, folder):
    asked = {"target": "y"} | options
    with pytest.raises(ValueError, match=message):
        scan_parquet(folder / "float64" / "t.parquet", **asked)


def test_targets_of_another_dask_frame():
    """Which Dask would shuffle the rows of both to align."""
    X, y, weight = table()
    frame = as_frame(X, y, weight)
    parts = [dd.from_pandas(frame[names], npartitions=4) for names in (NAMES, ["y"], ["w"])]
    found = HuberRegressor().fit(parts[0], parts[1]["y"], parts[2]["w"])
    np.testing.assert_allclose(found.coef_, HuberRegressor().fit(X, y, weight).coef_, rtol=1e-10)
    weights = found.robustness_weights(parts[0], parts[1]["y"]).compute()
    assert list(weights.index) == list(frame.index)
    shorter = dd.from_pandas(frame[["y"]][: N - 7], npartitions=4)["y"]
    with pytest.raises(ValueError, match="has other rows than that of y"):
        HuberRegressor().fit(parts[0], shorter)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"n_columns": "2"}, "n_columns of a RowSource must be an integer, got '2'"),
        ({"names": ["a"]}, "names of a RowSource must be as many as its 2 columns, got 1"),
        ({"names": "ab"}, "names of a RowSource must be strings, or None for none; got 'ab'"),
        ({"names": [1, 2]}, "names of a RowSource must be strings"),
    ],
)
def test_what_a_source_says_of_its_columns(what, message):
    source = Guarded(np.zeros((5, 2)), np.arange(5.0))
    vars(source).update(what)
    with pytest.raises(ValueError, match=message):
        L2Regressor().fit(source)


def test_a_full_disk_while_weights_are_written(folder, tmp_path):
    """What cannot be written is an error of the writer's; nothing of ours is left half-done."""
    X, y, _ = of_dask_array(folder / "float64")
    model = HuberRegressor().fit(X, y)
    before = dict(vars(model))

    class Full:
        written = 0

        def __setitem__(self, place, values):
            if self.written:
                raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
            self.written += len(values)

    with pytest.raises(OSError, match="No space left on device"):
        da.store(model.robustness_weights(X, y), Full(), scheduler="synchronous")
    assert vars(model) == before
    assert not list(tmp_path.iterdir())
    assert len(model.robustness_weights(X, y).compute()) == N

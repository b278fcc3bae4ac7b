"""Sources of rows: sums in a fixed order, and fits that see rows in passes alone."""

import gc
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from _cases import contaminated
from _documented import names_of
from _sources import Guarded
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
)
from robustreg.estimators._from_source import _what_is_not_finite
from robustreg.penalties import ElasticNet
from robustreg.sources import RowSource, _surveyed, tree_sum
from robustreg.sources._array import ArraySource, rows_of
from robustreg.sources._surveyed import survey

PASSES = {"l2": 3, "l2-ridge": 3, "huber": 6, "m": 6}  # at most
MODELS = {
    "l2": L2Regressor(),
    "l2-ridge": L2Regressor(alpha=0.1),
    "huber": HuberRegressor(),
    "m": MRegressor("pseudo_huber"),
    "huber-lbfgs": HuberRegressor(solver="lbfgs"),
    "l2-net": L2Regressor(alpha=0.1, l1_ratio=0.5),
    "l2-signs": L2Regressor(positive=True),
    "huber-signs": HuberRegressor(positive=True),
}
IN_MEMORY = [MRegressor(penalty=ElasticNet(0.1))]


# --- the order of sums


class Term:
    """A sum that remembers how it was added."""

    def __init__(self, words):
        self.words = words

    def __add__(self, other):
        return Term(f"({self.words}+{other.words})")


def nested(words, fan_in=8):
    """The same from the definition: eight of a level are one of the next."""
    while len(words) > 1:
        groups = [words[k : k + fan_in] for k in range(0, len(words), fan_in)]
        words = []
        for group in groups:
            total = group[0]
            for word in group[1:]:
                total = f"({total}+{word})"
            words.append(total)
    return words[0]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 63, 64, 65, 71, 72, 73, 130, 513])
def test_the_shape_of_a_sum(count):
    terms = [str(k) for k in range(count)]
    assert tree_sum(Term(word) for word in terms).words == nested(terms)


def test_of_no_parts_there_is_no_sum():
    with pytest.raises(ValueError, match="at least one part, got none"):
        tree_sum([])


# --- arrays


@pytest.mark.parametrize(
    ("n", "p"), [(1, 1), (7, 3), (70_000, 9), (5_000, 80), (600_000, 2), (3_000, 1_200)]
)
def test_partitions_are_all_rows_in_their_order(n, p):
    source = ArraySource(np.zeros((n, p)), np.arange(float(n)), None, 1)
    parts = source.total(lambda X, y, weight, index: [(index, y[0], y[-1], len(X))])
    assert [index for index, *_ in parts] == list(range(len(parts)))
    assert len(parts) <= 32
    ends = [-1.0, *(last for _, _, last, _ in parts)]
    assert [first for _, first, _, _ in parts] == [end + 1.0 for end in ends[:-1]]
    assert ends[-1] == n - 1
    assert sum(rows for *_, rows in parts) == n
    assert source.starts == tuple(int(first) for _, first, _, _ in parts)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_digit(threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300_000, 3)), rng.normal(size=300_000)
    sums = [
        ArraySource(X, y, None, count).total(
            lambda X, y, weight, index: (y[:, None] * X).sum(axis=0)
        )
        for count in (1, threads)
    ]
    assert sums[0].tobytes() == sums[1].tobytes()


@pytest.mark.parametrize("part", [slice(None), slice(10, 30), slice(0, 0), slice(49, 50)])
def test_rows_of_a_sparse_matrix(part):
    X = sparse.random(50, 6, density=0.3, random_state=0, format="csr")
    np.testing.assert_array_equal(rows_of(X, part).toarray(), X.toarray()[part])


def test_rows_of_a_sparse_matrix_are_a_view():
    X = sparse.random(40, 5, density=0.3, random_state=0, format="csr")
    part = rows_of(X, slice(3, 9))
    assert np.shares_memory(part.data, X.data)
    assert np.shares_memory(part.indices, X.indices)


# --- fits to what is handed out in blocks


def table(n=4000, p=4, dtype=np.float64):
    X, y = contaminated(n=n, p=p)
    order = np.random.default_rng(1).permutation(n)
    return X[order].astype(dtype), y[order]


def assert_same(found, expected, digits=1e-12):
    """Two fits that differ by rounding alone."""
    size = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=digits * size)
    own = 10 * digits * max(size, abs(expected.intercept_))
    assert found.intercept_ == pytest.approx(expected.intercept_, abs=own)
    for name in ("scale_", "objective_", "loss_scale_"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=digits)
    for name in ("converged_", "loss_", "rank_", "solver_", "n_features_in_"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.dual_gap_ <= 1e-9 * found.objective_


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("edges", [(), (1, 1, 900, 901, 3999)], ids=["whole", "ragged"])
def test_fits_are_those_of_the_arrays(name, weighted, edges):
    """In few passes, over copies in any partitions, empty ones and those of one row included."""
    X, y = table()
    weight = np.resize([1.0, 0.0, 2.5, 0.5], len(y)) if weighted else None
    source = Guarded(X, y, weight, edges)
    assert isinstance(source, RowSource)
    found = clone(MODELS[name]).fit(source)
    assert_same(found, clone(MODELS[name]).fit(X, y, weight))
    assert source.passes <= PASSES.get(name, 60)
    assert max(source.jobs) < 10_000


@pytest.mark.parametrize("name", ["l2", "huber"])
@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda X: X + np.array([0.0, 1e9, 0.0, 0.0]), {}),
        (lambda X: X * [1.0, 1e-100, 1e80, 1.0], {}),
        (lambda X: np.column_stack([X, X[:, 0], np.full(len(X), 3.0)]), {}),
        (lambda X: X, {"fit_intercept": False}),
    ],
    ids=["far", "units", "deficient", "no-intercept"],
)
def test_tables_that_need_care(name, change, options):
    X, y = table()
    X, model = change(X), clone(MODELS[name]).set_params(**options)
    expected = clone(model).fit(X, y)
    found = model.fit(Guarded(X, y, edges=(700, 2500)))
    np.testing.assert_allclose(
        found.predict(X), expected.predict(X), rtol=0, atol=1e-6 * expected.scale_
    )
    assert found.converged_
    assert found.rank_ == expected.rank_


@pytest.mark.parametrize("name", ["l2", "huber"])
def test_single_precision(name):
    X, y = table(dtype=np.float32)
    found = clone(MODELS[name]).fit(Guarded(X, y, edges=(1000,)))
    assert found.coef_.dtype == np.float64  # which a source need not be
    assert_same(found, clone(MODELS[name]).fit(X.astype(np.float64), y))


@pytest.mark.parametrize("name", ["l2", "huber"])
def test_a_long_table_is_fitted_from_a_sample_of_it(name):
    X, y = table(n=200_000, p=3)
    source = Guarded(X, y, edges=range(20_000, 200_000, 20_000))
    assert_same(clone(MODELS[name]).fit(source), clone(MODELS[name]).fit(X, y))
    assert source.passes <= PASSES[name]


def test_what_a_survey_finds():
    """Of the rows of positive weight in order, their weights in shares of the largest."""
    X, y = table(n=1_000)
    weight = np.resize([4.0, 0.0, 8.0, 2.0, 6.0], 1_000)
    found = survey(Guarded(np.rint(X).astype(int), y, weight, edges=(10, 300)), 1)
    kept = ArraySource(np.rint(X)[weight > 0], y[weight > 0], weight[weight > 0] / 8.0, 1)
    assert (found.n, found.n_columns) == (kept.n, X.shape[1])
    assert list(found.starts.values()) == [0, 8, 240]
    for own, expected in [
        (found.total_weight, kept.total_weight),
        (found.least_weight, kept.least_weight),
        (found.ends, kept.ends),
        *zip(found.every(1), kept.every(1), strict=True),
        *zip(found.every(3), kept.every(3), strict=True),
    ]:
        np.testing.assert_array_equal(own, expected)
        assert np.asarray(own).dtype == np.float64


def test_rows_of_a_sample_are_drawn_and_not_every_so_many():
    """Every tenth row is an outlier, and a stride of 50 would see no others."""
    X, y = table(n=50_000, p=3)
    y[::10] += 30.0
    source = Guarded(X, y, edges=(20_000,))
    found = survey(source, 1)
    outliers = np.isin(found.some(1_000)[1], y[::10]).mean()
    assert outliers == pytest.approx(0.1, abs=4.0 * np.sqrt(0.1 * 0.9 / 1_000))
    assert len(found.some(60_000)[1]) == 50_000
    L1Regressor().fit(source)
    assert source.passes <= 11 + 1  # of the survey above


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(scale=2.0),
        HuberRegressor(scale="mad"),
        HuberRegressor(1.0, scale="mad", positive=True),
        MRegressor("log_cosh", scale=2.0),
        MRegressor("pseudo_huber", scale="mad"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_scales_that_are_given_or_an_l1_fits(model, weighted):
    X, y = table(n=5_000)
    weight = np.resize([1.0, 0.0, 2.5, 0.5], len(y)) if weighted else None
    source = Guarded(X, y, weight, edges=(1, 700))
    assert_same(clone(model).fit(source), clone(model).fit(X, y, weight), digits=1e-11)
    assert source.passes <= 16 or model.positive


def test_a_sample_has_one_of_so_many_of_all_rows():
    X, y = table(n=200_000, p=3)
    found = survey(Guarded(X, y, edges=range(20_000, 200_000, 20_000)), 1)
    assert len(found.sample.y) == 2**16
    assert len(found.every(1)[1]) == 2**16
    assert len(found.every(200)[1]) == pytest.approx(1_000, rel=0.01)
    largest = [np.isin(found.sample.y, part).sum() for part in np.split(y, 10)]
    np.testing.assert_allclose(largest, 6_554, atol=4 * np.sqrt(6_554))  # as likely everywhere


# --- absolute deviations and quantiles

KINKED = {
    "l1": L1Regressor(),
    "upper": QuantileRegressor(0.9),
    "l1-signs": L1Regressor(positive=True),
}


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize(
    ("change", "edges"),
    [
        (lambda X, y: (X, y, None), ()),
        (lambda X, y: (X, y, None), (1, 1, 900, 901, 19_999)),
        (lambda X, y: (X, y, np.resize([1.0, 2.5, 0.5], len(y))), (700,)),
        (lambda X, y: (X, y, np.resize([1.0, 0.0, 2.5, 0.5], len(y))), (1, 2000)),
        (lambda X, y: (X.astype(np.float32), y, None), (700,)),
        (lambda X, y: (np.asfortranarray(X), y, None), (700,)),
        (lambda X, y: (X, np.rint(4.0 * y).astype(int), None), (700,)),
        (lambda X, y: (np.column_stack([X, X[:, 0], np.full(len(X), 3.0)]), y, None), (700,)),
    ],
    ids=["whole", "ragged", "weights", "zeros", "float32", "fortran", "integers", "deficient"],
)
def test_kinked_fits_are_those_of_the_arrays(name, change, edges):
    X, y, weight = change(*table(n=20_000))
    source = Guarded(X, y, weight, edges)
    found = clone(KINKED[name]).fit(source)
    expected = clone(KINKED[name]).fit(X.astype(np.float64), y, weight)
    for which, digits in {"objective_": 1e-12, "scale_": 1e-9}.items():
        assert getattr(found, which) == pytest.approx(getattr(expected, which), rel=digits)
    near = {"rtol": 0, "atol": 1e-9 * expected.scale_}
    np.testing.assert_allclose(found.coef_, expected.coef_, **near)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, **near)
    assert found.dual_gap_ <= 1e-10 * found.objective_
    assert (found.solver_, found.rank_) == ("reduced", expected.rank_)
    assert not hasattr(found, "weights_")
    assert source.passes <= 11


@pytest.mark.parametrize("name", KINKED)
def test_a_long_kinked_fit_is_found_from_a_sample(name):
    X, y = table(n=200_000, p=3)
    source = Guarded(X, y, edges=range(20_000, 200_000, 20_000))
    found, expected = clone(KINKED[name]).fit(source), clone(KINKED[name]).fit(X, y)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-9 * found.scale_)
    assert source.passes <= 11
    assert max(source.jobs) < 20_000


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [*KINKED.values(), QuantileRegressor(0.3)], ids=repr)
def test_a_scale_by_passes_is_that_of_sorted_residuals(model, weighted, monkeypatch):
    """Of whole numbers and others, whatever the number of rows that are sorted."""
    X, y = table(n=5000)
    weight = np.resize([1.0, 2.5, 0.5], len(y)) if weighted else None
    for target in (y, np.rint(2.0 * y)):
        scales = []
        for few in (2**16, 0):
            monkeypatch.setattr("robustreg.estimators._noise.FEW", few)
            scales.append(clone(model).fit(X, target, weight).scale_)
        assert scales[1] == pytest.approx(scales[0], rel=1e-12)


def test_few_rows_of_a_source():
    """Fewer than a table must have in memory for the solver that works in passes."""
    X, y = table(n=900)
    found, expected = QuantileRegressor(0.3).fit(Guarded(X, y)), QuantileRegressor(0.3).fit(X, y)
    assert (found.solver_, expected.solver_) == ("reduced", "interior")
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-9)


def test_several_quantiles_of_a_source():
    X, y = table(n=20_000)
    source = Guarded(X, y, edges=(700, 12_500))
    found, expected = (QuantileRegressor([0.8, 0.2]) for _ in range(2))
    found.fit(source)
    expected.fit(X, y)
    for name in ("coef_", "intercept_", "scale_", "objective_", "quantiles_"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)
    assert found.loss_ == expected.loss_
    assert found.converged_
    assert source.passes <= 20


@pytest.mark.parametrize("model", [L1Regressor(), QuantileRegressor([0.3, 0.6])], ids=repr)
def test_kinked_fits_that_need_the_rows(model):
    """Most of them on a plane; and a source that is gone halfway."""
    X, y = table(n=4000)
    model.fit(X, y)
    before = dict(vars(model))
    plane = np.where(np.arange(4000) % 5 > 0, X @ [1.0, 2.0, 3.0, 4.0], y)
    with pytest.raises(ValueError, match="needs all rows at once"):
        model.fit(Guarded(X, plane))
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(Failing(X, y))
    assert vars(model) == before


class Pooled(Guarded):
    """Partitions that threads are done with in any order."""

    def total(self, job):
        with ThreadPoolExecutor(3) as pool:
            return tree_sum(pool.map(partial(self._job, job), range(len(self._blocks))))

    def _job(self, job, index):
        return job(*self._blocks[index], index)


def test_whoever_adds_the_sums_gets_the_same_digits():
    X, y = table()
    edges = range(100, 4000, 100)
    one, other = (HuberRegressor().fit(kind(X, y, edges=edges)) for kind in (Guarded, Pooled))
    assert one.coef_.tobytes() == other.coef_.tobytes()
    assert one.objective_ == other.objective_


def test_the_source_of_the_documentation(tmp_path):
    files = names_of("extending.md", "Files")["Files"]
    X, y = table(n=900)
    paths = [tmp_path / f"{k}.npy" for k in range(7)]
    for path, rows in zip(paths, np.array_split(np.column_stack([y, X]), 7), strict=True):
        np.save(path, rows)
    assert_same(L2Regressor().fit(files(paths)), L2Regressor().fit(X, y))


# --- what such a fit says of itself


def test_names_and_what_has_an_entry_for_each_row():
    X, y = table(n=300)
    model = HuberRegressor().fit(X, y)
    model.fit(Guarded(X, y, names=["a", "b", "c", "d"]))
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    for name in ("weights_", "outliers_"):
        assert not hasattr(model, name)  # of the fit before
    model.fit(Guarded(X, y))
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 4
    assert model.predict(X).shape == (300,)


def test_targets_that_are_all_alike():
    X, _ = table(n=300)
    model = HuberRegressor().fit(Guarded(X, np.full(300, 5.0)))
    assert model.intercept_ == 5.0
    assert model.scale_ == 0.0
    assert model.converged_


@pytest.mark.parametrize("model", IN_MEMORY, ids=repr)
def test_who_needs_the_rows_says_so(model):
    X, y = table(n=100)
    source = Guarded(X, y)
    with pytest.raises(ValueError, match=r"needs all rows in memory, and was given a Guarded"):
        clone(model).fit(source)
    assert source.passes == 0


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(alpha=0.1),
        HuberRegressor(alpha=0.1, l1_ratio=0.5, fit_intercept=False),
        HuberRegressor(alpha=0.1, scale="mad"),
        MRegressor("log_cosh", alpha=0.2, l1_ratio=1.0),
        L1Regressor(alpha=0.1, l1_ratio=0.5),
        QuantileRegressor(0.8, alpha=0.05),
    ],
    ids=repr,
)
def test_a_penalty_in_units_of_all_targets(model):
    """Their MAD, of which a sample has another one."""
    X, y = table(n=70_000, p=3)
    weight = np.resize([1.0, 0.0, 2.5, 0.5], len(y))
    found = clone(model).fit(Guarded(X, y, weight, edges=(1, 20_000)))
    expected = clone(model).fit(X, y, weight)
    near = {"rtol": 0, "atol": 1e-9 * expected.scale_}
    np.testing.assert_allclose(found.coef_, expected.coef_, **near)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)
    assert found.n_passes_ <= 18


@pytest.mark.parametrize("quantile", [0.8, 0.95])
def test_a_small_sample_of_a_skewed_table_takes_no_more_passes(quantile, monkeypatch):
    """Where rounding the kink off moves the fit by more than the rows that stay open."""
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 1_000)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.exponential(size=len(X))
    found = QuantileRegressor(quantile).fit(Guarded(X, y, edges=(1, 70_000)))
    expected = QuantileRegressor(quantile).fit(X, y)
    assert found.n_passes_ <= 9
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-12)


def test_targets_of_which_most_are_alike_have_no_unit_for_a_penalty():
    X, y = table(n=400)
    y[:300] = 2.0
    with pytest.raises(ValueError, match="Half of the targets of the source are alike"):
        HuberRegressor(alpha=0.1).fit(Guarded(X, y))


def test_signs_of_an_exact_median():
    """Where least squares, less what is negative, leave nothing of the rows drawn."""
    X = np.abs(table(n=400)[0])
    with pytest.raises(ValueError, match="needs all rows at once"):
        L1Regressor(positive=True).fit(Guarded(X, X @ np.ones(X.shape[1])))


def test_columns_to_choose_from():
    X, y = table(n=400)
    model = L2Regressor(alpha=0.1, l1_ratio=1.0, solver="working_set")
    with pytest.raises(ValueError, match="needs all rows at once"):
        model.fit(Guarded(X, y))


@pytest.mark.parametrize("far", [False, True])
def test_tables_that_need_the_rows(far):
    """Most of them on a plane, or a target beyond all digits of the others."""
    X, y = table(n=400)
    y = np.where(np.arange(400) % 5 > 0, X @ [1.0, 2.0, 3.0, 4.0], y)
    if far:
        y = X[:, 0] + np.random.default_rng(0).normal(size=400)
        y[7] = 1e25
    with pytest.raises(ValueError, match="needs all rows at once"):
        HuberRegressor().fit(Guarded(X, y))


# --- what is wrong with a source


def spoilt(X=None, y=None, weight=None):
    """The second of two partitions, with something else in it."""
    good = table(n=60)
    source = Guarded(*good, np.ones(60), edges=(30,))
    first, second = source._blocks
    parts = zip((X, y, weight), second, strict=True)
    source._blocks = [first, tuple(own if new is None else new for new, own in parts)]
    return source


NAN, INFINITE = np.full((30, 4), np.nan), np.full((30, 4), np.inf)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (spoilt(X=np.ones((30, 3))), r"Partition 1 of the source has X of shape \(30, 3\) and y"),
        (spoilt(y=np.ones(29)), r"y of shape \(29,\); they must be \(m, 4\) and \(m,\)"),
        (spoilt(y=NAN[:, 0]), "Partition 1 of the source has NaN or infinity in y"),
        (spoilt(weight=-np.ones(30)), "Partition 1 .* weights that are not one finite"),
        (spoilt(weight=np.ones(3)), "Partition 1 .* weights that are not one finite"),
        (spoilt(X=NAN), "X holds NaN or infinity, the first one in partition 1 of the source: row"),
        (spoilt(X=INFINITE), "X holds NaN or infinity, the first one in partition 1"),
        (Guarded(*table(n=30), np.zeros(30)), "no rows of positive weight"),
        (Guarded(np.zeros((0, 4)), np.zeros(0)), "no rows of positive weight"),
    ],
)
@pytest.mark.parametrize("name", ["l2", "huber"])
def test_rows_that_no_fit_can_take(name, source, message):
    X, y = table(n=50)
    model = clone(MODELS[name]).fit(X, y)
    before = model.coef_.copy()
    with pytest.raises(ValueError, match=message):
        model.fit(source)
    np.testing.assert_array_equal(model.coef_, before)
    assert model.weights_.shape == (50,)


def test_numbers_that_are_finite_and_have_no_finite_sums():
    source = Guarded(*table(n=30), edges=(10,))
    assert _what_is_not_finite(source).startswith("X holds values so large that their squares")


class Changing(Guarded):
    """Rows that come from a query, and are others every time."""

    def total(self, job):
        found = super().total(job)
        self._blocks = [tuple(part[:-1] for part in block) for block in self._blocks]
        return found


def test_rows_that_change_from_pass_to_pass():
    X, y = table(n=200)
    with pytest.raises(ValueError, match=r"Partition 0 .* 99 rows .* had 100 before"):
        L2Regressor().fit(Changing(X, y, np.ones(200), edges=(100,)))


class Failing(Guarded):
    """A source that is gone after some passes."""

    def total(self, job):
        if self.passes == 2:
            raise OSError("the disk is gone")
        return super().total(job)


def test_a_source_that_fails_leaves_the_model_as_it_was():
    X, y = table(n=200)
    model = HuberRegressor().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(Failing(X, y))
    assert vars(model) == before


@pytest.mark.parametrize("given", [{"y": [1.0]}, {"sample_weight": [1.0]}])
def test_targets_and_weights_are_the_sources(given):
    with pytest.raises(ValueError, match="must be None beside a RowSource, which has its own"):
        L2Regressor().fit(Guarded(*table(n=30)), **given)


# --- what fits to arrays read and hold


def long_table():
    """Several blocks."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600_000, 8))
    y = X[:, 0] + rng.standard_t(3, size=600_000)
    y[::10] *= 100.0
    return X, y


@pytest.mark.parametrize(
    ("name", "most"),
    [("l2", 2), ("l2-ridge", 2), ("huber", 6), ("m", 6), ("l1", 6), ("upper", 9)],
)
def test_an_array_is_read_no_more_often(name, most, monkeypatch):
    """Residuals that are reported need no pass of their own; fits to some rows do not count."""
    X, y = long_table()
    passes, total = [], ArraySource.total

    def counted(source, job):
        if source.n == len(y) and source.X is X:
            passes.append(job)
        return total(source, job)

    monkeypatch.setattr(ArraySource, "total", counted)
    clone({**MODELS, **KINKED}[name]).fit(X, y)
    assert len(passes) <= most


def most_memory(model, X, y):
    """Bytes that a fit holds at a time."""
    tracemalloc.start()
    try:
        with threadpool_limits(1):  # of several threads, how many hold a block is chance
            model.fit(X, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["l2", "huber", "m", *KINKED])
def test_nothing_is_held_of_a_row_but_what_is_reported(name):
    """More rows take more memory for their weights and truth values, 9 bytes a row, alone.

    And for the sample that absolute deviations begin with, a fiftieth of the rows.
    """
    X, y = long_table()
    model = clone({**MODELS, **KINKED}[name]).fit(X[:1000], y[:1000])
    half, sample = len(y) // 2, 4 * 8 * X.shape[1] / 50 if name in KINKED else 0.0
    small, large = most_memory(model, X[:half], y[:half]), most_memory(model, X, y)
    assert large - small <= (9.1 + sample) * half


def scipy_holds_functions():
    """Whether SciPy's L-BFGS-B leaves a cycle of its own, as it did up to some version."""

    def value(x):
        return x @ x

    held = weakref.ref(value)
    minimize(value, np.ones(2), jac=lambda x: 2 * x, method="L-BFGS-B")
    del value
    return held() is not None


@pytest.mark.parametrize("model", [*MODELS.values(), L1Regressor(), MMRegressor()], ids=repr)
def test_a_fit_leaves_nothing_for_the_collector(model):
    """What holds itself in memory holds X with it, until somebody collects it."""
    X, y = table(n=300)
    model = clone(model).fit(X, y)  # what is made once for all fits is there
    gc.collect()
    gc.disable()
    try:
        if getattr(model, "solver", None) == "lbfgs" and scipy_holds_functions():
            pytest.skip("this SciPy itself keeps the functions that it minimises")
        model.fit(X, y)
        held = weakref.ref(X)
        del X
        assert held() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("model", [HuberRegressor(), MRegressor(), HuberRegressor(alpha=0.1)])
def test_a_warm_start_saves_passes(model):
    """Of the rows of the last fit none but the survey, and the one that certifies it."""
    X, y = table(n=20_000)
    cold = clone(model).fit(Guarded(X, y, edges=(12_500,)))
    passes = cold.n_passes_
    warm = clone(cold).set_params(warm_start=True).fit(X[:15_000], y[:15_000])
    assert_same(warm.fit(Guarded(X, y, edges=(12_500,))), cold)
    assert warm.n_passes_ <= passes
    assert_same(warm.fit(Guarded(X, y, edges=(12_500,))), cold)
    needed = 4 if model.alpha else 2  # the unit of a penalty takes two
    assert warm.n_passes_ == needed < passes


@pytest.mark.parametrize("far", [1e3, 1e9])
def test_a_warm_start_far_away_ends_where_a_cold_one_does(far):
    X, y = table(n=20_000)
    source = Guarded(X, y, edges=(12_500,))
    cold = HuberRegressor().fit(source)
    warm = HuberRegressor(warm_start=True).fit(X, far * y[::-1])
    assert_same(warm.fit(source), cold)


@pytest.mark.parametrize("rows", [400, 20_000])
def test_partitions_bring_what_the_sample_may_need(rows, monkeypatch):
    """Where it is known how many rows there are, and the sample is the same."""
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 500)
    X, y = table(n=rows)
    brought, kept = [], _surveyed._kept

    def noted(most, *keys):
        if len(keys) == 1:
            brought.append(len(keys[0]))
        return kept(most, *keys)

    monkeypatch.setattr(_surveyed, "_kept", noted)
    source = Guarded(X, y, edges=range(100, rows, 100))
    expected = survey(source, 1).found
    assert sum(brought) == rows
    brought.clear()
    source.known_rows = rows
    found = survey(source, 1).found
    np.testing.assert_array_equal(found.keys, expected.keys)
    np.testing.assert_array_equal(found.X, expected.X)
    assert sum(brought) <= min(rows, 800)

"""How X is read, in blocks: against X itself, in its units, whatever these blocks are."""

import numpy as np
import pytest
from _sources import Guarded
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from robustreg.evaluation.moments import moments
from robustreg.evaluation.reading import NotFiniteError
from robustreg.evaluation.rows import Observed
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.units import Targets, Units
from robustreg.sources._array import ArraySource
from robustreg.sources._surveyed import survey

TARGETS = Targets(Units(2.0, 4.0, 0.5, 1.0, 1.0, 0.0))


def in_units(y):
    """Targets as ``TARGETS`` reads them."""
    return y / 8.0 - 0.5


def rows_of(X, weight=None, fit_intercept=True, **options):
    """X as it is read, with targets from 0 on."""
    source = ArraySource(X, np.arange(float(X.shape[0])), weight, 1)
    observed = Observed(source, TARGETS, np.zeros(0, dtype=np.intp), np.zeros(0))
    return read_rows(observed, fit_intercept, **options)


def gaussian(n=700, p=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)) + np.linspace(-0.5, 1.0, p)


def with_zeros(X):
    """X with a third of its entries 0, as a sparse matrix."""
    return sparse.csr_matrix(np.where(np.random.default_rng(1).uniform(size=X.shape) < 0.3, 0.0, X))


def dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X, dtype=np.float64)


FAR_COLUMN = np.array([0.0, 1e5, 0.0])
READ = {
    "view": lambda: gaussian(),
    "fortran": lambda: np.asfortranarray(gaussian()),
    "wide": lambda: gaussian(40, 600),
    "pairs": lambda: gaussian(41, 400),
    "far": lambda: gaussian() + 1e8 * FAR_COLUMN,
    "huge": lambda: gaussian() * 1e90,
    "float32": lambda: gaussian().astype(np.float32),
    "sparse": lambda: with_zeros(gaussian()),
    "sparse-far": lambda: sparse.csr_matrix(gaussian() + FAR_COLUMN),
    "sparse-huge": lambda: with_zeros(gaussian() * np.array([1.0, 1e-90, 1e100])),
    "sparse-huge-far": lambda: sparse.csr_matrix((gaussian() + FAR_COLUMN) * 1e100),
}


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("form", READ)
def test_a_plane_in_the_blocks_is_one_in_x(form, fit_intercept, standardise):
    X = READ[form]()
    before, full = X.copy(), dense(X)
    rows = rows_of(X, fit_intercept=fit_intercept, standardise=standardise)
    if fit_intercept:
        rows = rows.about(np.linspace(-0.3, 0.4, rows.p))
    block = rows.every(1).X
    held = dense(block).copy()
    spread = full.std(axis=0)
    coef = np.linspace(1.0, 2.0, rows.p) / spread
    beta = coef * rows.unit
    assert_allclose(rows.coefficients(beta), coef, rtol=1e-14)
    assert rows.scaled is bool((rows.unit != 1.0).any())

    index = np.array([5, 0, 17, 5])
    terms = np.abs(full * coef).sum(axis=1) + np.abs(rows.origin * beta).sum()
    for part, own in ((rows.centred(block), slice(None)), (rows.centred(block, index), index)):
        plane = part @ beta + rows.origin @ beta
        assert np.all(np.abs(plane - full[own] @ coef) <= 1e-14 * terms[own])
    assert_array_equal(dense(X), dense(before))
    assert_array_equal(dense(block), held)  # a centred part is a copy


@pytest.mark.parametrize("form", READ)
def test_columns_are_centred_near_their_means_and_copies_standardised(form):
    X = READ[form]()
    full, rows, copied = dense(X), rows_of(X), rows_of(X, standardise=True)
    size = np.abs(full).max(axis=0)  # whose squares float64 may have no room for
    mean, spread = full.mean(axis=0), (full / size).std(axis=0) * size
    assert np.all(np.abs(rows.centre - mean) <= 1e-9 * spread + 1e-15 * np.abs(mean))
    rounding = 1e-9 + 1e-15 * np.abs(mean / spread)  # of the mean, in spreads
    for each in (rows, copied):
        own = each.centred(each.every(1).X)
        assert np.all(np.abs(own.mean(axis=0)) <= rounding * spread / each.unit)
    if not rows.sparse:
        assert copied.explicit
        assert_allclose(own.std(axis=0), 1.0, rtol=1e-5 if form == "far" else 1e-12)


@pytest.mark.parametrize("form", READ)
def test_the_way_from_one_centre_to_another(form):
    X = READ[form]()
    plain, other = rows_of(X), rows_of(X, standardise=True).about(np.linspace(1.0, 3.0, X.shape[1]))
    bare = rows_of(X, fit_intercept=False)
    row = dense(X)[:1]
    centres = [row - each.unit * each.centred(each.every(1).X)[:1] for each in (plain, other, bare)]
    size = np.abs(dense(X)).max(axis=0)
    for own, a in zip((plain, other, bare), centres, strict=True):
        for start, b in zip((plain, other, bare), centres, strict=True):
            assert np.all(np.abs(own.centre_from(start) - (a - b)) <= 1e-14 * size)


def passes(n, kind="array", weighted=True):
    """Rows of an array or of a source, and their table: X, targets in their units, weights."""
    X, y = gaussian(n), np.arange(float(n)) ** 2
    weight = np.resize([1.0, 0.5, 0.25], n) if weighted else None
    if kind == "array":
        source = ArraySource(X, y, weight, 1)
    elif kind == "sparse":
        source = ArraySource(sparse.csr_matrix(X), y, weight, 1)
    else:
        source = survey(Guarded(X, y, weight, edges=[n // 3, n // 3, n // 2]), 1)
    rows = read_rows(Observed(source, TARGETS, np.zeros(0, dtype=np.intp), np.zeros(0)), True)
    return rows, X, in_units(y), weight


def everything(block):
    """All that a pass is told of a row, in one number."""
    weight = 1.0 if block.weight is None else block.weight
    return weight * (block.target + block.X @ np.array([1.0, 10.0, 100.0]))


def row_by_row(block):
    """Sums that tell the rows of a block from each other."""
    place = np.arange(block.place.start, block.place.stop)
    return np.array([place @ everything(block), len(place), place.sum()])


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("size", [16, 201, 1000])
@pytest.mark.parametrize("kind", ["array", "sparse", "source"])
def test_a_pass_sees_every_row_once_and_knows_its_place(kind, size, weighted, monkeypatch):
    monkeypatch.setattr(ArraySource, "block_rows", size)
    monkeypatch.setattr("robustreg.sources._surveyed.block_rows", lambda n, p: size)
    rows, X, y, weight = passes(201, kind=kind, weighted=weighted)
    expected = (1.0 if weight is None else weight) * (y + X @ np.array([1.0, 10.0, 100.0]))
    place = np.arange(201)
    known = np.array([place @ expected, 201, place.sum()])
    for _ in range(2):  # before and after the targets of all rows have been asked for
        assert_allclose(rows.collect(everything), expected, rtol=1e-12)
        assert_allclose(rows.sum(row_by_row), known, rtol=1e-12)
        assert rows.one_block is (kind != "source" and size >= 201)
        if kind != "source":
            assert_allclose(rows.y, y)


def test_what_is_sent_to_a_source_holds_no_rows():
    rows, X, _, _ = passes(1500, kind="source")
    rows.sum(row_by_row)
    assert max(rows.source.source.jobs) < X.nbytes / 4


@pytest.mark.parametrize("size", [16, 1000])
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("kind", ["array", "sparse"])
def test_one_of_so_many_rows(kind, step, size, monkeypatch):
    monkeypatch.setattr(ArraySource, "block_rows", size)
    rows, X, y, weight = passes(100, kind=kind)
    block = rows.every(step)
    assert_allclose(dense(block.X), X[::step], rtol=1e-14)
    assert_allclose(block.target, y[::step])
    assert_array_equal(block.weight, weight[::step])
    assert_array_equal(np.arange(100)[block.place], np.arange(100)[::step])


@pytest.mark.parametrize("n", [1, 7, 2100])
@pytest.mark.parametrize("weighted", [True, False])
def test_a_constant_column_is_exactly_zero_once_it_is_centred(weighted, n):
    """And exactly without moments, unless the matrix is sparse: then it counts as constant."""
    constants = np.array([0.1, 1e3 + 0.1, -1e6 / 3, 0.7e-5, 0.0])
    X = np.column_stack([np.tile(constants, (n, 1)), gaussian(n, 2)])
    weight = np.random.default_rng(2).uniform(0.1, 1.0, n) if weighted else None
    for standardise in (False, True):
        rows = rows_of(X, weight, standardise=standardise)
        assert not rows.centred(rows.every(1).X)[:, :5].any()
        assert not moments(rows)[1].gram[:5].any()
    loose = rows_of(sparse.csr_matrix(X), weight)
    assert_array_equal(loose.flat, np.arange(7) < (7 if n == 1 else 5))
    assert not moments(loose)[1].gram[:5].any()


def test_columns_are_surveyed_in_parts(monkeypatch):
    """What is seen of each does not depend on how many are looked at together."""
    X = gaussian(50, 7) * np.logspace(-3, 3, 7)
    X[:, 4] = 5.0
    weight = np.linspace(0.5, 2.0, 50)
    whole = rows_of(X, weight, standardise=True)
    monkeypatch.setattr("robustreg.evaluation.survey.CACHED_ENTRIES", 100)
    parts = rows_of(X, weight, standardise=True)
    assert_allclose(parts.centre, whole.centre, rtol=1e-13)
    assert_allclose(parts.unit, whole.unit, rtol=1e-13)
    assert (parts.near, parts.single) == (whole.near, whole.single)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("power", [-250, -30, 30, 250])
def test_units_that_are_powers_of_two_change_nothing(form, power):
    """What counts as far, as constant, as fit for which sums, and what the centre is."""
    X = gaussian(p=6) + np.array([0.0, 2.0, 70.0, 150.0, 1e5, 2e6])
    X[:, 0] = 0.3
    X[:, 2] = 1.0 + 1e-13 * X[:, 2]  # nearly constant, and not quite
    plain, moved = rows_of(form(X)), rows_of(form(np.ldexp(X, power)))
    assert_array_equal(np.ldexp(plain.centre, power), moved.centre)
    assert_array_equal(plain.flat, moved.flat)
    assert plain.far is moved.far
    if abs(power) < 200:
        assert_allclose(np.ldexp(plain.base, power), moved.base, rtol=1e-14)
        shifted = plain.unit != 1.0
        assert_allclose(np.ldexp(plain.unit, power)[shifted], moved.unit[shifted], rtol=1e-9)
        assert (plain.near, plain.explicit) == (moved.near, moved.explicit)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 2.9, 3.1, 5.0, 100.0])
def test_uncentred_sums_lose_no_more_than_a_digit(ratio):
    """Sums of squares about 0 are then at most 10 times those about the means."""
    column = gaussian(p=1)
    X = np.column_stack([(column - column.mean()) / column.std() + ratio, gaussian(p=1, seed=1)])
    rows = rows_of(X)
    assert rows.near is bool((X[:, 0] ** 2).mean() <= 10.0)
    assert not rows.explicit
    assert not rows_of(X, standardise=True).near


@pytest.mark.parametrize(
    ("mean", "unit", "copied"),
    [
        (0.0, 1.0, False),
        (0.5e6, 1.0, False),
        (1.5e6, 1.0, True),
        (-1.5e6, 1e-30, True),
        (0.0, 1.5e70, True),
        (0.0, 0.6e70, False),
        (0.0, 1.5e-70, False),
        (0.0, 0.9e-70, True),
        (0.0, 1e-200, True),
        (0.0, 1e-300, True),
    ],
)
def test_columns_far_from_zero_and_out_of_range_are_read_as_copies(mean, unit, copied):
    """Means beyond 1e6 spreads, and entries whose squares and products leave the range."""
    column = np.resize([-1.0, 1.0], 60) + mean
    rows = rows_of(np.column_stack([unit * column, gaussian(60, 1)]))
    assert rows.explicit is copied
    for other in (np.nan, np.inf):
        X = gaussian(60)
        X[7, 1] = other
        with pytest.raises(NotFiniteError):
            rows_of(X)


@pytest.mark.parametrize("standardise", [False, True])
def test_what_differs_in_rows_that_were_not_surveyed(standardise):
    """A column may be constant in all of those that were."""
    X = gaussian(5000, 2)
    X[:, 1] = 1e-3
    X[3, 1] = 2e-3
    rows, second, _ = moments(rows_of(X, standardise=standardise))
    found = second.spread(5000) * rows.unit
    assert_allclose(found, X.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize(
    ("n", "p", "pays"),
    [(60, 64, True), (60, 30, False), (20000, 30, True), (1000, 30, False), (40000, 10, False)],
)
def test_single_precision_is_for_many_columns(n, p, pays):
    X = np.broadcast_to(np.resize([-1.0, 1.0], n)[:, None], (n, p))
    assert rows_of(X).single is pays
    assert not rows_of(X, standardise=True).single


@pytest.mark.parametrize("mean", [0.0, 3e3])
@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e-6, 1.0, 1e6, 1e20, 1e30])
def test_where_single_precision_is_allowed_it_gives_six_digits(unit, mean):
    X = gaussian(120, 60)
    X[:, 3] = unit * (X[:, 3] + mean)
    rows = rows_of(X)
    gram = moments(rows, single=rows.single)[1].gram[:-1, :-1]
    own = X - X.mean(axis=0)
    size = np.sqrt((own**2).sum(axis=0))
    assert_allclose(gram / np.outer(size, size), own.T @ own / np.outer(size, size), atol=1e-5)
    if 1e-10 < unit < 1e10 and not mean:
        assert rows.single


@pytest.mark.parametrize("far", [70.0, 150.0, 300.0, 1e5])
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_far_columns_of_a_sparse_matrix_are_standardised_where_they_have_no_zeros(
    fit_intercept, constant, far
):
    """Beyond 100 standard deviations, beside an intercept; others stay as they are."""
    X = gaussian(200, 4)
    if constant:  # far as well, and nothing to divide it by
        X[:, 0] = 7.3
    X[:, 1] = 1e-3 * ((X[:, 1] - X[:, 1].mean()) / X[:, 1].std() + far)
    X[:60, 2] = 0.0
    rows = rows_of(sparse.csr_matrix(X), fit_intercept=fit_intercept)
    moved = fit_intercept and far > 100.0
    assert_array_equal(rows.base != 0.0, np.arange(4) == (1 if moved else -1))
    assert_array_equal(rows.unit[[0, 2, 3]], 1.0)
    assert (rows.explicit, rows.near, rows.single) == (False, False, False)  # for dense ones
    if moved:
        assert_allclose(dense(rows.every(1).X)[:, 1].std(), 1.0, rtol=1e-6)
    if moved or not constant or not fit_intercept:
        assert not rows.far  # none is left that uncentred sums would take digits from


@pytest.mark.parametrize("canonical", [True, False])
def test_far_columns_with_a_zero_keep_the_digits_of_their_moments(canonical):
    """A row that has next to no weight may be 0, of as many entries as rows if one is in two."""
    X, weight = gaussian(200, 2), np.ones(200)
    X[:, 0] += 1e5
    X[3], weight[[0, 3]] = 0.0, 1e-13
    table = sparse.csr_matrix(X)
    if not canonical:
        data, indices = np.insert(table.data, 1, 0.25e5), np.insert(table.indices, 1, 0)
        data[0] -= 0.25e5
        indptr = table.indptr + (np.arange(201) > 0)
        table = sparse.csr_matrix((data, indices, indptr), shape=X.shape)
        assert not table.has_canonical_format
    rows, second, _ = moments(rows_of(table, weight))
    own = X - X.T @ weight / weight.sum()
    expected = own.T @ (weight[:, None] * own)
    assert_allclose(rows.centred(rows.every(1).X), own, atol=1e-9)
    assert_allclose(second.gram[:-1, :-1], expected, atol=1e-10 * expected.max())


@pytest.mark.parametrize("others", [True, False])
@pytest.mark.parametrize("power", [-300, -150, -80, -60, 0, 60, 80, 150, 300])
def test_columns_of_a_sparse_matrix_out_of_range_are_divided_by_powers_of_two(power, others):
    X = with_zeros(gaussian(100, 3)).toarray() * 10.0**power
    if others:
        X = np.column_stack([X, gaussian(100, 1), np.full(100, 7.0)])
    rows = rows_of(sparse.csr_matrix(X))
    outside = np.arange(X.shape[1]) < (3 if abs(power) > 70 else 0)
    assert_array_equal(rows.unit != 1.0, outside)
    assert_array_equal(np.frexp(rows.unit)[0], 0.5)
    largest = np.abs(dense(rows.every(1).X)).max(axis=0)
    assert np.all((largest[outside] > 0.1) & (largest[outside] < 10.0))
    assert_array_equal(rows.flat, np.arange(X.shape[1]) == 4)

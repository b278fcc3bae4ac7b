"""Moments of the rows against what NumPy makes of the whole table."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from _cases import contaminated
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from robustreg.evaluation.moments import column_moments, moments, weighted_gram
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.survey import read_rows
from robustreg.losses import Huber
from robustreg.penalties import ElasticNet
from robustreg.sources._array import ArraySource

FORMS = {"near": 0.0, "apart": 40.0, "distant": 1e5, "far": 1e7}


def table(form, how, weighted, fit_intercept):
    """A problem's rows about a point, its table about that in their units, targets and weights."""
    X, y = contaminated()
    X = X @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.3, 0.0, 9.0]]) + FORMS[how]
    weight = 1.0 + np.arange(len(y)) % 5 if weighted else np.ones(len(y))
    problem = make_problem(
        Data(form(X), y, weight if weighted else None, 1),
        loss=Huber(),
        scale=None,
        penalty=ElasticNet(),
        fit_intercept=fit_intercept,
    )
    rows = read_rows(problem.observed, fit_intercept)
    if fit_intercept:  # not quite the means, as of a table of which some rows are surveyed
        rows = rows.about(np.array([0.3, -0.4, 0.5]))
    read = (X - rows.base) / rows.unit - rows.offset
    return rows, read, problem.y, weight / weight.max() if weighted else weight


every_table = pytest.mark.parametrize(
    ("form", "how", "weighted", "fit_intercept"),
    list(product([np.asarray, sparse.csr_matrix], FORMS, [True, False], [True, False])),
)


@pytest.fixture(params=[16, 1000], autouse=True)
def block_rows(request, monkeypatch):
    """Of many blocks, and of one."""
    monkeypatch.setattr(ArraySource, "block_rows", request.param)


@every_table
def test_moments(form, how, weighted, fit_intercept):
    rows, read, y, weight = table(form, how, weighted, fit_intercept)
    limit = 1.5 * np.abs(y).mean()
    cut = np.clip(y, -limit, limit)
    assert (cut != y).any()
    mean, mean_y = np.zeros(3), 0.0
    if fit_intercept:
        mean, mean_y = np.average(read, axis=0, weights=weight), np.average(cut, weights=weight)
    own = read - mean
    about, second, cross = moments(rows, limit)
    size = np.sqrt(weight @ own**2)
    whole = np.column_stack([own, np.ones(len(own))])
    gram = whole.T @ (weight[:, None] * whole)
    if fit_intercept:
        gram[-1, :-1] = gram[:-1, -1] = 0.0  # but for rounding
    assert_allclose(second.gram, gram, atol=1e-9 * size.max() ** 2)
    assert_allclose(about.offset - rows.offset, mean, atol=1e-9 * size.max())
    assert cross.mean == pytest.approx(mean_y)
    assert_allclose(cross.cross, own.T @ (weight * (cut - mean_y)), atol=1e-9 * size.max() * len(y))
    assert_allclose(second.spread(weight.sum()), size / np.sqrt(weight.sum()), rtol=1e-9)


@every_table
def test_spreads_alone(form, how, weighted, fit_intercept):
    rows, read, _, weight = table(form, how, weighted, fit_intercept)
    mean = np.average(read, axis=0, weights=weight) if fit_intercept else np.zeros(3)
    about, spread = column_moments(rows)
    expected = np.sqrt(np.average((read - mean) ** 2, axis=0, weights=weight))
    # squares about a far offset have lost the square of the distance; units need no more
    assert_allclose(spread, expected, rtol=1e-5 if how == "distant" else 1e-9)
    assert_allclose(about.offset - rows.offset, mean, atol=1e-9 * expected.max())


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_columns_that_count_as_constant_have_no_moments(fit_intercept):
    rows = table(np.asarray, "near", True, fit_intercept)[0]
    rows = rows.without(np.array([False, True, False]))
    _, second, _ = moments(rows)
    assert not second.gram[1].any()
    assert not second.gram[:, 1].any()
    assert second.gram[0, 0] > 0.0
    assert_array_equal(column_moments(rows)[1] > 0.0, [True, False, True])


def test_spreads_follow_the_units_of_x():
    rows = table(np.asarray, "near", True, True)[0]
    table_of = ArraySource(rows.source.X * 1e-3, rows.source.y, rows.weight, 1)
    small = read_rows(replace(rows.observed, source=table_of), True)
    expected = 1e-3 * moments(rows)[1].spread(rows.total)
    assert_allclose(moments(small)[1].spread(rows.total), expected, rtol=1e-9)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("how", FORMS)
@pytest.mark.parametrize("single", [False, True])
def test_gram_matrices_in_coordinates_and_in_single_precision(how, weighted, single, monkeypatch):
    monkeypatch.setattr("robustreg.evaluation.reading.COPIED", 600)  # bytes: in several pieces
    rows, read, _, weight = table(np.asarray, how, weighted, True)
    block = rows.every(1)
    basis = np.array([[1.0, 0.2], [0.0, -1.0], [0.5, 0.0]])
    for turn in (None, basis):
        whole = np.column_stack([read if turn is None else read @ turn, np.ones(len(read))])
        expected = whole.T @ (weight[:, None] * whole)
        options = {"single": True} if single else {}  # double unless it is asked for
        found = weighted_gram(rows, block.X, weight if weighted else None, turn, **options)
        digits = 1e-5 if single else 1e-9
        assert_allclose(found, expected, atol=digits * np.abs(expected).max())

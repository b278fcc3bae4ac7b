"""Fits of long tables that go on from a sample of the rows, and those that cannot."""

import numpy as np
import pytest
from _cases import contaminated
from scipy import sparse
from sklearn.base import clone

from robustreg import HuberRegressor, MRegressor
from robustreg.evaluation.choice import of_sample, white
from robustreg.evaluation.hessian import curvature_to_start_from, hessian_at
from robustreg.evaluation.moments import _SecondMoments
from robustreg.evaluation.objective import make_objective
from robustreg.evaluation.posed import Data, make_problem
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.sums import Evaluate, Keeping
from robustreg.losses import Huber, LogCosh, SmoothL1
from robustreg.penalties import ElasticNet
from robustreg.solvers import SOLVERS, _pilot
from robustreg.sources._array import ArraySource

N, P = 14_000, 20  # long enough for a pilot fit to a sample of a thousand rows
SAMPLED = np.random.default_rng(0).integers(0, N, 1000)  # the rows that it has
MODELS = {
    "joint": HuberRegressor(),
    "fixed": HuberRegressor(scale=2.0),
    "ridge": HuberRegressor(alpha=0.1),
    "smooth": MRegressor("log_cosh"),
    "no intercept": HuberRegressor(fit_intercept=False),
}


def unsampled():
    """A row that no pilot sees."""
    return next(row for row in range(N) if row not in SAMPLED)


def recorded_passes(monkeypatch):
    """The jobs of passes over all rows."""
    jobs, own = [], RowBlocks.sum

    def recorded(rows, job):
        if rows.n == N:
            jobs.append(job)
        return own(rows, job)

    monkeypatch.setattr(RowBlocks, "sum", recorded)
    return jobs


def of_kind(jobs, *kinds):
    return [job for job in jobs if isinstance(job, kinds)]


def fitted_otherwise(monkeypatch, model, X, y, weight=None):
    """The fit in coordinates of all rows, and from the same start."""
    with monkeypatch.context() as patch:
        patch.setattr(_pilot, "of_sample", lambda problem, own: None)
        return clone(model).fit(X, y, weight)


def assert_same(found, expected):
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=0, atol=1e-9)
    assert found.intercept_ == pytest.approx(expected.intercept_, abs=1e-9)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-12)
    assert found.scale_ == pytest.approx(expected.scale_, rel=1e-9)
    assert found.rank_ == expected.rank_
    assert found.converged_
    assert found.dual_gap_ <= 1e-10 * found.objective_


@pytest.mark.parametrize(
    ("name", "weighted"),
    [
        ("joint", False),
        ("joint", True),
        ("fixed", True),
        ("ridge", False),
        ("smooth", False),
        ("smooth", True),
        ("no intercept", False),
    ],
)
def test_a_sample_spares_the_gram_matrix_of_all_rows(name, weighted, monkeypatch):
    X, y = contaminated(n=N, p=P)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, N) if weighted else None
    expected = fitted_otherwise(monkeypatch, MODELS[name], X, y, weight)
    jobs = recorded_passes(monkeypatch)
    found = clone(MODELS[name]).fit(X, y, weight)
    assert not of_kind(jobs, _SecondMoments)
    evaluations = of_kind(jobs, Keeping)  # rows of one block keep their residuals
    assert len(evaluations) <= 6
    assert evaluations[0].job.brought is None  # the first step has the sample's Hessian
    assert len(jobs) == len(evaluations)  # nor is anything read for the certificate
    assert_same(found, expected)


def test_the_last_evaluation_keeps_the_residuals_of_several_blocks(monkeypatch):
    """And it takes no more than that: the step before is known to lead next to the optimum."""
    monkeypatch.setattr(ArraySource, "block_rows", 2000)
    X, y = contaminated(n=N, p=P)
    jobs = recorded_passes(monkeypatch)
    assert HuberRegressor().fit(X, y).converged_
    assert isinstance(jobs[0], Evaluate)
    assert isinstance(jobs[-1], Keeping)
    assert len(of_kind(jobs, Evaluate, Keeping)) == len(jobs) <= 6


def rare_dummy(X, y):
    X[:, 3] = 0.0
    X[:60, 3] = 1.0  # four of them in the sample


def repeated(X, y):
    X[:, 3] = X[:, 4]


def constant(X, y):
    X[:, 3] = 7.0


def far_in_the_sample(X, y):
    X[SAMPLED[7]] *= 1e3


@pytest.mark.parametrize("spoil", [rare_dummy, repeated, constant, far_in_the_sample])
def test_rows_that_a_sample_does_not_speak_for(spoil, monkeypatch):
    X, y = contaminated(n=N, p=P)
    spoil(X, y)
    jobs = recorded_passes(monkeypatch)
    model = HuberRegressor().fit(X, y)
    assert isinstance(jobs[0], _SecondMoments)
    assert model.converged_
    assert model.rank_ == np.linalg.matrix_rank(np.c_[X - X.mean(axis=0), np.ones(N)])


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (HuberRegressor(), sparse.csr_matrix),
        (HuberRegressor(alpha=0.01, l1_ratio=1.0), np.asarray),  # coordinates are single columns
        (HuberRegressor(scale=1e-4), np.asarray),  # psi' is mostly 0
    ],
)
def test_fits_that_do_not_go_on_from_a_sample(model, form, monkeypatch):
    X, y = contaminated(n=N, p=P)
    jobs = recorded_passes(monkeypatch)
    model = clone(model).fit(form(X), y)
    assert isinstance(jobs[0], _SecondMoments)
    assert model.converged_


@pytest.mark.parametrize("on_plane", [True, False])
def test_a_far_row_that_the_sample_has_not_seen(on_plane, monkeypatch):
    X, y = contaminated(n=N, p=P)
    row, slopes = unsampled(), np.linalg.lstsq(np.c_[X, np.ones(N)], y, rcond=None)[0]
    X[row] *= 1e5
    y[row] = X[row] @ slopes[:-1] + slopes[-1] + (0.0 if on_plane else 1e3)
    expected = fitted_otherwise(monkeypatch, HuberRegressor(), X, y)
    jobs = recorded_passes(monkeypatch)
    found = HuberRegressor().fit(X, y)
    # the first step is not accepted, and the fit begins anew
    assert [type(job) for job in jobs[:3]] == [Keeping, Keeping, _SecondMoments]
    assert_same(found, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_found_without_a_gram_matrix(bad):
    X, y = contaminated(n=N, p=P)
    X[unsampled(), 2] = bad
    with pytest.raises(ValueError, match="Input X contains"):
        HuberRegressor().fit(X, y)


def posed(loss, weight, X, y):
    data = Data(X, y, weight, 1)
    return make_problem(data, loss=loss, scale=None, penalty=ElasticNet(), fit_intercept=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0.0, 50.0])  # sums of squares about 0, or about the means
@pytest.mark.parametrize("loss", [Huber(), LogCosh(), SmoothL1(2.0)])
def test_a_gram_matrix_from_nothing(loss, shift, weighted):
    X, y = contaminated(n=N, p=P)
    weight = np.random.default_rng(2).uniform(0.1, 1.0, N) if weighted else None
    problem = posed(loss, weight, X + shift, y)
    sample = problem.some(1000)
    own = of_sample(problem, white(sample)[0])
    assert own is not None
    objective = make_objective(problem, (own, None))
    theta = np.append(np.zeros(objective.lead), 1.0)
    here = objective.evaluate(theta, curvature_to_start_from(objective))
    exact = objective.evaluate(theta, None)
    expected = hessian_at(objective, exact)[0] @ np.eye(objective.size)
    rounding = 0.004 if loss.smoothness > 1 else 1e-5  # psi' has seven bits, sums six digits
    size = np.abs(expected).max()
    np.testing.assert_allclose(hessian_at(objective, here)[0], expected, atol=rounding * size)


def test_coordinates_of_a_sample_are_nearly_white_for_all_rows():
    X, y = contaminated(n=N, p=P)
    problem = posed(Huber(), None, X * 10.0 ** np.arange(P), y)
    own = of_sample(problem, white(problem.some(1000))[0])
    gram = own.gram(np.ones(N))[:-1, :-1]
    assert np.abs(gram - np.eye(P)).max() < 0.5
    coef = np.arange(1.0, P + 1) / 10.0 ** np.arange(P)
    np.testing.assert_allclose(own.expand(own.of(coef)), coef, rtol=1e-9)
    assert own.rank == P + 1


def test_a_session_begins_with_a_sample_and_goes_on_with_all_rows(monkeypatch):
    X, y = contaminated(n=N, p=P)
    problem = posed(Huber(), None, X, y)
    jobs = recorded_passes(monkeypatch)
    session = SOLVERS["newton"].prepare(problem)
    for delta, sums in [(1.345, 0), (2.0, 1), (1.0, 1)]:
        other = problem.with_loss(Huber(delta))
        fit, alone = session.fit(other), SOLVERS["newton"].solve(other)
        assert len(of_kind(jobs, _SecondMoments)) == sums
        assert fit.converged
        np.testing.assert_allclose(fit.coef, alone.coef, atol=1e-9 * np.abs(fit.coef).max())

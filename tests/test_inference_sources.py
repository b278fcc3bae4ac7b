"""Inference for rows that are not in memory: the results of the arrays, by sums in passes."""

import warnings

import numpy as np
import pytest
from _cases import contaminated
from _sources import Guarded
from numpy.testing import assert_allclose
from sklearn.base import clone

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
from robustreg.inference import ConformalRegressor, _clusters, deviance_test, infer, rank_test
from robustreg.sources import _surveyed

N, NAMES = 2_000, ["a", "b", "c"]
EDGES = (0, 100, 101, 101, 900, 1_990)  # ragged partitions, some of them empty

SMOOTH = {
    "l2": L2Regressor(),
    "huber": HuberRegressor(),
    "huber-fixed": HuberRegressor(scale=1.0),
    "huber-mad": HuberRegressor(scale="mad"),
    "m": MRegressor("pseudo_huber", fit_intercept=False),
}
REJECTING = [
    MMRegressor(random_state=0),
    SRegressor(random_state=0),
    MRegressor("bisquare", random_state=0),
    MRegressor("bisquare", scale="s", random_state=0),
    LTSRegressor(random_state=0),
]
QUANTILES = {
    "l1": L1Regressor(),
    "quantile": QuantileRegressor(0.3, fit_intercept=False),
    "quantiles": QuantileRegressor([0.7, 0.2]),
}
MODELS = SMOOTH | QUANTILES
HC = ["classical", "HC0", "HC1", "HC2", "HC3"]
CASES = [
    *((name, kind) for name in SMOOTH for kind in HC),
    *((name, kind) for name in QUANTILES for kind in ("iid", "nid", "kernel")),
]
# A survey, the moments, and sums at the fit; of quantiles also order statistics. (The fits of "nid"
# are made of the rows that the survey has brought, where these are all.)
PASSES = {"l2": 3, "huber": 4, "huber-fixed": 4, "huber-mad": 4, "m": 4, "l1": 7, "quantile": 7}


def table(n=N):
    X, y = contaminated(n=n, p=len(NAMES))
    order = np.random.default_rng(1).permutation(n)
    return X[order], y[order], np.resize([1.0, 0.0, 2.5, 0.5], n)


def given(weighted):
    X, y, weight = table()
    return [X, y, weight] if weighted else [X, y]


def guarded(X, y, weight=None, names=None):
    return Guarded(X, y, weight, EDGES, names)


@pytest.fixture(scope="module", params=[False, True], ids=["", "weighted"])
def fitted(request):
    """Rows, and what is fitted to them and to a source of them."""
    rows, found = given(request.param), {}

    def models(name):
        if name not in found:
            model = MODELS[name]
            found[name] = clone(model).fit(*rows), clone(model).fit(guarded(*rows))
        return found[name]

    return rows, models


def assert_same(found, expected):
    """Two results that differ by rounding alone."""
    if isinstance(expected, tuple):
        for pair in zip(found, expected, strict=True):
            assert_same(*pair)
        return
    size = np.sqrt(np.outer(np.diag(expected.covariance), np.diag(expected.covariance)))
    assert_allclose(found.covariance / size, expected.covariance / size, rtol=0, atol=1e-9)
    for name in ("r2", "adjusted_r2", "noise", "scale", "scale_error", "df", "n_rows"):
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)
    for name in ("names", "covariance_type", "rank", "n_few"):
        assert getattr(found, name) == getattr(expected, name)


def results_of(result):
    return getattr(result, "results", (result,))


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_results_are_those_of_the_arrays(name, kind, fitted):
    """Whether the model was fitted to arrays or to a source."""
    rows, models = fitted
    of_arrays, of_source = models(name)
    expected = infer(of_arrays, *rows, covariance=kind)
    for model in (of_arrays, of_source):
        source = guarded(*rows)
        found = infer(model, source, covariance=kind)
        assert_same(results_of(found), results_of(expected))
        assert source.passes <= PASSES.get(name, 12)
        assert max(source.jobs) < 4_000  # nothing with an entry for each row
    assert_same(results_of(infer(of_source, *rows, covariance=kind)), results_of(expected))
    if name == "quantiles":
        test, other = found.equal_slopes_test(), infer(of_arrays, *rows, covariance=kind)
        assert_allclose(test.statistic, other.equal_slopes_test().statistic, rtol=1e-9)


def bad_rows(X, far):
    X[:150] *= far


def collinear(X, far):
    bad_rows(X, far)
    X[:, 2] = X[:, 0] - X[:, 1]


@pytest.mark.parametrize("change", [bad_rows, collinear])
@pytest.mark.parametrize(("far", "weighted"), [(2.0, False), (1e9, True)])
@pytest.mark.parametrize("model", REJECTING, ids=repr)
def test_estimates_that_reject_rows(model, change, far, weighted, monkeypatch):
    X, y, weight = table()
    order = np.argsort(-np.abs(y - np.median(y)), kind="stable")
    X, y = X[order], y[order]
    change(X, far)
    order = np.random.default_rng(2).permutation(N)
    rows = [X[order], y[order], *([weight] if weighted else [])]
    model = clone(model).fit(*rows)
    for kind in ("classical", "HC3"):
        expected = infer(model, *rows, covariance=kind)
        for most, passes in ((N, 1), (700, 8)):  # all rows in the sample, and some of them
            monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", most)
            source = guarded(*rows)
            assert_same(infer(model, source, covariance=kind), expected)
            assert source.passes <= passes
            assert max(source.jobs) < 4_000
    rows[1] = rows[1] + 0.1 * np.sin(np.arange(N))
    with pytest.raises(ValueError, match="are not the rows that"):
        infer(model, guarded(*rows))


@pytest.mark.parametrize("model", [MMRegressor(random_state=0), SRegressor(random_state=0)])
def test_estimates_that_reject_rows_of_a_source(model, monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 700)
    X, y, weight = table()
    source = guarded(X, y, weight)
    model = clone(model).fit(source)
    assert_same(infer(model, source), infer(model, X, y, weight))


@pytest.mark.parametrize("model", [L1Regressor(), QuantileRegressor([0.6, 0.4])], ids=repr)
def test_fits_next_to_the_quantile_by_passes(model, monkeypatch):
    X, y, weight = table(4_000)
    model = clone(model).fit(X, y, weight)
    expected = infer(model, X, y, weight, covariance="nid")
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 2_500)
    source = guarded(X, y, weight)
    found = infer(model, source, covariance="nid")
    assert_same(results_of(found), results_of(expected))
    assert max(source.jobs) < 5_000
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 100)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(250, 100))  # few rows for each column
    y = X[:, 0] + rng.standard_t(2, size=250)
    with pytest.raises(ValueError, match=r"covariance='nid' .* into arrays, or take .*'kernel'"):
        infer(L1Regressor().fit(X, y), Guarded(X, y, edges=(17,)))


GROUPED = {name: SMOOTH[name] for name in ("l2", "huber")} | {
    "s": SRegressor(random_state=0),
    "mm": MMRegressor(random_state=0),
    "lts": LTSRegressor(random_state=0),
}


@pytest.mark.parametrize("few", [False, True], ids=["", "groups-in-turns"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(
    ("model", "kind"),
    [
        *((GROUPED["huber"], kind) for kind in ("CR1", "cluster")),
        *((GROUPED[name], "cluster") for name in ("l2", "s", "mm", "lts")),
        (QuantileRegressor([0.3, 0.6]), "cluster"),
    ],
    ids=repr,
)
def test_groups_of_rows_of_a_source(model, kind, weighted, few, monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 700)
    if few:  # sums of which a pass brings
        monkeypatch.setattr(_clusters, "ENTRIES_ELSEWHERE", 100)
    rows = given(weighted)
    groups = np.array([f"group {number}" for number in np.arange(N) % 40])
    model = clone(model).fit(*rows)
    asked = {"groups": groups, "covariance": kind}
    found = infer(model, guarded(*rows), **asked)
    for pair in zip(results_of(found), results_of(infer(model, *rows, **asked)), strict=True):
        assert_same(*pair)


def test_intervals_and_tests_of_a_result(fitted):
    rows, models = fitted
    of_arrays, of_source = models("huber")
    expected, found = infer(of_arrays, *rows), infer(of_source, guarded(*rows))
    for kind in ("mean", "new"):
        both = [each.predict_interval(rows[0][:5], kind=kind) for each in (found, expected)]
        assert_allclose(*both, rtol=1e-9)
    both = [each.wald_test(["x0", "x2"]).statistic for each in (found, expected)]
    assert_allclose(*both, rtol=1e-9)
    assert str(found) == str(expected)


def test_auto_is_what_passes_can_tell(fitted):
    rows, models = fitted
    X, y = rows[0][:300], rows[1][:300]
    model = L1Regressor().fit(X, y)
    assert infer(model, X, y).covariance_type.endswith("rank tests")
    source = Guarded(X, y, edges=(17,))
    assert infer(model, source).covariance_type == "nid"
    assert infer(models("huber")[1], guarded(*rows)).covariance_type.startswith("HC3")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", ["joint", 1.0])
def test_a_delta_that_was_chosen(weighted, scale, monkeypatch):
    monkeypatch.setattr(_surveyed, "SAMPLE_ROWS", 700)
    rows, model = given(weighted), HuberRegressor("auto", scale=scale)
    expected = infer(model.fit(*rows), *rows)
    assert expected.covariance_type.endswith("delta chosen")
    source = guarded(*rows)
    assert_same(infer(model, source), expected)
    assert source.passes <= 12
    assert max(source.jobs) < 4_000


def test_columns_have_their_names():
    X, y, _ = table()
    source = guarded(X, y, names=NAMES)
    model = HuberRegressor().fit(source)
    assert infer(model, source).names == ("intercept", *NAMES)
    assert infer(model, X, y).names == ("intercept", *NAMES)
    with pytest.raises(ValueError, match="X has the columns c, b, a, but HuberRegressor was"):
        infer(model, guarded(X, y, names=NAMES[::-1]))
    with pytest.raises(ValueError, match="X has 2 columns, but HuberRegressor was fitted to 3"):
        infer(model, guarded(X[:, :2], y))


@pytest.mark.parametrize("name", ["l2", "huber", "quantile"])
def test_collinear_columns_and_columns_far_from_0(name):
    X, y, _ = table()
    X = np.round(256.0 * X) / 256.0  # of so few digits that sums of columns are exact
    X[:, 1] += 2.0**20
    X = np.column_stack([X, X[:, 0] - X[:, 1], X[:, 2] + np.sin(X[:, 0]) / 16.0])
    model = clone(MODELS[name]).set_params(fit_intercept=True).fit(X, y)
    assert_same(results_of(infer(model, guarded(X, y))), results_of(infer(model, X, y)))


# --- tests that fit without some columns


@pytest.mark.parametrize("name", ["l2", "huber", "l1"])
@pytest.mark.parametrize("drop", ["x1", ["x0", "x1", "x2"], ["intercept"]])
def test_growth_of_the_loss(name, drop, fitted):
    rows, models = fitted
    of_arrays, of_source = models(name)
    X, y, *weight = rows
    expected = deviance_test(of_arrays, X, y, drop, *weight)
    for model in (of_arrays, of_source):
        source = guarded(*rows)
        found = deviance_test(model, source, None, drop)
        assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
        assert (found.df, found.df_denominator) == (expected.df, expected.df_denominator)


# --- rows that are others, or not what they must be


@pytest.mark.parametrize("name", ["l2", "huber", "l1"])
def test_other_rows_are_noticed(name, fitted):
    rows, models = fitted
    more = [np.concatenate([part, part]) for part in rows]
    moved = [rows[0], rows[1] + np.sin(np.arange(N)), *rows[2:]]
    for model in models(name):
        with pytest.raises(ValueError, match=r"these were 2000, not 4000"):
            infer(model, guarded(*more))
        for X, y, *weight in (moved, [*rows[:2], table()[2][::-1]]):
            for source in ([guarded(X, y, *weight)], [X, y, *weight]):
                with pytest.raises(ValueError, match=r"are not the rows that .* was fitted"):
                    infer(model, *source)


def test_a_later_fit_to_arrays_knows_its_own_rows():
    X, y, _ = table()
    model = HuberRegressor().fit(guarded(X, y))
    model.fit(X[:1_000], y[:1_000])
    infer(model, X[:1_000], y[:1_000])
    with pytest.raises(ValueError, match="these were 1000, not 2000"):
        infer(model, guarded(X, y))


def test_numbers_that_no_fit_can_take():
    X, y, _ = table()
    model = HuberRegressor().fit(X, y)
    X[950, 2] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity, .* in partition 5 .* row 50 of it"):
        infer(model, guarded(X, y))


def test_rows_that_change_from_pass_to_pass():
    class Changed(Guarded):
        def total(self, job):
            found = super().total(job)
            self._blocks = [(X, y + 1.0, weight) for X, y, weight in self._blocks]
            return found

    X, y, _ = table()
    model = L2Regressor().fit(X, y)
    with pytest.raises(ValueError, match="has other targets than before"):
        infer(model, Changed(X, y))


@pytest.mark.parametrize(
    ("weight", "where"),
    [(1.0, "number 1234"), (0.0, "number 1233 of those with a positive weight")],
)
def test_which_row_a_coefficient_rests_on(weight, where):
    X, y, _ = table()
    X = np.column_stack([X, np.arange(N) == 1234])
    weights = np.ones(N)
    weights[0] = weight
    model = L2Regressor().fit(X, y, weights)
    with pytest.warns(UserWarning, match=rf"x3: it rests on single rows \({where}\)"):
        infer(model, guarded(X, y, weights))


# --- what needs all rows at once says so


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (L1Regressor(), {"covariance": "rank"}, "covariance='rank' .* another one: iid, nid, kern"),
        (L1Regressor(), {"covariance": "bootstrap"}, "='bootstrap' .* another one: iid, nid, kern"),
        (HuberRegressor(), {"covariance": "bootstrap"}, "'bootstrap' .* another one: classical, H"),
        (MMRegressor(), {"covariance": "bootstrap"}, "another one: classical, HC0, HC1, HC2, HC3"),
    ],
)
def test_who_needs_the_rows_says_so(model, options, message):
    X, y, _ = table()
    source = guarded(X, y)
    with pytest.raises(ValueError, match=f"{message}.*load them into arrays|{message}") as caught:
        infer(clone(model).fit(X, y), source, **options)
    assert "was given a Guarded: load them into arrays" in str(caught.value)
    assert not source.passes


def test_other_questions_that_need_the_rows():
    X, y, _ = table()
    source, needs = guarded(X, y), "needs all rows in memory, and was given a Guarded: load them"
    with pytest.raises(ValueError, match=f"rank_test {needs} .* or take deviance_test"):
        rank_test(L1Regressor().fit(X, y), source, None, "x0")
    with pytest.raises(ValueError, match=f"deviance_test of MMRegressor {needs}"):
        deviance_test(MMRegressor().fit(X, y), source, None, "x0")
    with pytest.raises(ValueError, match=f"ConformalRegressor {needs}"):
        ConformalRegressor(HuberRegressor()).fit(source, None)


def test_nothing_warns_of_rows_in_passes(fitted):
    rows, models = fitted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infer(models("huber")[1], guarded(*rows))

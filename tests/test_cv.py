"""Estimators that choose delta and alpha by cross-validation."""

import itertools
import pickle
import warnings

import joblib
import numpy as np
import pytest
from _cases import contaminated, few_rows, heavy_tails, weights_for, wide
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.metrics import make_scorer, mean_absolute_error, mean_pinball_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import robustreg
from robustreg import (
    HuberRegressor,
    HuberRegressorCV,
    L1Regressor,
    L1RegressorCV,
    QuantileRegressor,
    QuantileRegressorCV,
    model_selection,
)
from robustreg.metrics import get_scorer

DELTAS, ALPHAS = [0.5, 1.345, 3.0], [1.0, 0.1, 0.01]
SEARCHES = {
    "huber": HuberRegressorCV(DELTAS, alphas=ALPHAS, l1_ratio=0.5, cv=2),
    "l1": L1RegressorCV(alphas=ALPHAS, cv=2),
    "quantile": QuantileRegressorCV(0.7, alphas=ALPHAS, cv=2),
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


def of(model, **parameters):
    return clone(model).set_params(**parameters)


def routing():
    return config_context(enable_metadata_routing=True)


# Short grids and few folds: the checks ask about estimators, not about searches.
@parametrize_with_checks(
    [
        HuberRegressorCV([1.0], alphas=2, l1_ratio=0.5, cv=2),
        L1RegressorCV(alphas=2, cv=2),
        QuantileRegressorCV(alphas=2, cv=2),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_names_are_public():
    for search in SEARCHES.values():
        assert type(search).__name__ in robustreg.__all__
        assert type(search).__name__ in model_selection.__all__


# --- the search is GridSearchCV's


def peer(search, **parameters):
    """GridSearchCV over the same cells in the same order, and its scores as ours are laid out."""
    names = search._shared()
    grid = {"alpha": sorted(np.ravel(search.alphas), reverse=True)}
    if isinstance(search, HuberRegressorCV):
        model, grid = HuberRegressor(scale=search.scale), {"delta": sorted(search.deltas), **grid}
    elif isinstance(search, L1RegressorCV):
        model = L1Regressor()
    else:
        model = QuantileRegressor(search.quantile)
    model.set_params(**names)
    # its order of cells: names in alphabetical order, the last one runs fastest
    cells = [{"delta": [d], "alpha": [a]} for d in grid.get("delta", [0]) for a in grid["alpha"]]
    if "delta" not in grid:
        cells = [{"alpha": cell["alpha"]} for cell in cells]
    return GridSearchCV(model, cells, cv=search.cv, scoring=search.scoring, **parameters)


def assert_same_search(found, expected, n_folds):
    scores = np.array(
        [expected.cv_results_[f"split{k}_test_score"] for k in range(n_folds)]
    ).T.reshape(found.scores_path_.shape)
    np.testing.assert_allclose(found.scores_path_, scores, rtol=1e-8, atol=1e-8)
    best = found.best_score_
    assert best == pytest.approx(expected.best_score_, rel=1e-9)
    chosen = {name: getattr(found, f"{name}_") for name in expected.best_params_}
    if chosen != expected.best_params_:  # equal to rounding
        at = expected.cv_results_["params"].index(chosen)
        assert expected.cv_results_["mean_test_score"][at] == pytest.approx(best, rel=1e-9)
        return
    fit = expected.best_estimator_
    np.testing.assert_allclose(found.coef_, fit.coef_, rtol=1e-5, atol=1e-8)
    assert found.intercept_ == pytest.approx(fit.intercept_, rel=1e-5)
    assert found.scale_ == pytest.approx(fit.scale_, rel=1e-5)


def first_coefficient(estimator, X, y):
    return -abs(estimator.coef_[0] - 1.0) - 0.1 * estimator.alpha


def on_other_rows(estimator, X, y):
    """Predicts rows that are not the held-out ones, and these in two parts."""
    halves = np.concatenate([estimator.predict(X[:3]), estimator.predict(X[3:])])
    return -np.abs(y - halves).mean() - np.ptp(estimator.predict(2.0 * X[:5]))


def fitted_anew(estimator, X, y):
    """Of a clone, and of the estimator itself, on the first of the held-out rows."""
    other = clone(estimator).fit(X[:10], y[:10]).predict(X)
    before = estimator.predict(X)
    np.testing.assert_array_equal(estimator.fit(X[:10], y[:10]).predict(X), other)
    return -np.abs(y - other).mean() - np.abs(before - other).mean()


def cell(estimator, X, y):
    return estimator.delta + estimator.alpha


SCORERS = {
    "name": "neg_median_absolute_error",
    "none": None,
    "coefficient": first_coefficient,
    "other-rows": on_other_rows,
    "fitted-anew": fitted_anew,
    "robust": get_scorer("neg_tau_scale_error"),
    "robust-parameter": get_scorer("d2_huber_score", delta=0.5),
    "made": make_scorer(mean_pinball_loss, alpha=0.3, greater_is_better=False),
}


# The searches take turns: they have one way to score.
@pytest.mark.parametrize(
    ("scoring", "key"),
    zip(SCORERS.values(), itertools.cycle(SEARCHES), strict=False),
    ids=SCORERS,
)
def test_every_scorer_scores_as_in_a_grid_search(scoring, key):
    X, y = heavy_tails()
    search = of(SEARCHES[key], scoring=scoring)
    assert_same_search(search.fit(X, y), peer(search).fit(X, y), 2)


def test_scorers_see_the_parameters_of_the_cell():
    X, y = heavy_tails()
    found = of(SEARCHES["huber"], scoring=cell, cv=2).fit(X, y)
    expected = np.add.outer(DELTAS, ALPHAS)
    np.testing.assert_array_equal(found.scores_path_, np.stack([expected, expected], axis=-1))
    assert (found.delta_, found.alpha_) == (3.0, 1.0)


def test_the_default_of_quantiles_is_their_own_loss():
    X, y = heavy_tails()
    scorer = make_scorer(mean_pinball_loss, alpha=0.7, greater_is_better=False)
    found = clone(SEARCHES["quantile"]).fit(X, y)
    expected = of(SEARCHES["quantile"], scoring=scorer).fit(X, y)
    np.testing.assert_array_equal(found.scores_path_, expected.scores_path_)


SPLITS = [(np.arange(20, 60), np.arange(20)), (np.arange(30), np.arange(30, 60))]
CVS = {
    "default": (None, {}, 5),
    "number": (4, {}, 4),
    "shuffled": (KFold(3, shuffle=True, random_state=0), {}, 3),
    "splits": (SPLITS, {}, 2),
    "lists": ([(a.tolist(), b.tolist()) for a, b in SPLITS], {}, 2),
    "masks": ([(np.arange(60) >= 20, np.arange(60) < 20)], {}, 1),
    "time": (TimeSeriesSplit(3), {}, 3),
    "groups": (GroupKFold(3), {"groups": np.arange(60) % 7}, 3),
}


@pytest.mark.parametrize(("cv", "parameters", "n_folds"), CVS.values(), ids=CVS)
def test_every_splitter_splits_as_in_a_grid_search(cv, parameters, n_folds):
    X, y = heavy_tails()
    search = of(SEARCHES["l1"], cv=cv)
    found = search.fit(X, y, **parameters)
    assert_same_search(found, peer(search).fit(X, y, **parameters), n_folds)


@pytest.mark.parametrize(
    "parameters",
    [
        {"scale": "mad"},
        {"scale": 2.0, "fit_intercept": False},
        {"l1_ratio": 0.0, "alphas": [0.1, 0.0, 1.0], "deltas": [2.0, 1.0]},
        {"l1_ratio": 1.0, "positive": True},
        {"l1_ratio": 0.0, "solver": "lbfgs"},
    ],
)
def test_every_kind_of_fit_is_that_of_a_grid_search(parameters):
    X, y = heavy_tails()
    search = of(SEARCHES["huber"], **parameters)
    assert_same_search(search.fit(X, y), peer(search).fit(X, y), 2)


@pytest.mark.parametrize("parameters", [{"l1_ratio": 0.0}, {"l1_ratio": 0.5}])
def test_more_columns_than_rows(parameters):
    X, y = wide()
    search = of(SEARCHES["huber"], alphas=[1.0, 0.1, 0.0], **parameters)
    assert_same_search(search.fit(X, y), peer(search).fit(X, y), 2)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
@every_search
def test_sparse_tables(search, container):
    X, y = heavy_tails()
    X[np.abs(X) < 0.7] = 0.0
    found, expected = clone(search).fit(container(X), y), clone(search).fit(X, y)
    np.testing.assert_allclose(found.scores_path_, expected.scores_path_, rtol=1e-7)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6, atol=1e-9)
    scorer = of(search, scoring=on_other_rows).fit(container(X), y)
    assert np.isfinite(scorer.scores_path_).all()


@every_search
def test_float32(search):
    X, y = contaminated()
    X, y = X.astype(np.float32), y.astype(np.float32)
    found = clone(search).fit(X, y)
    assert found.coef_.dtype == found.intercept_.dtype == np.float32
    assert found.predict(X).dtype == np.float32
    assert found.scores_path_.dtype == np.float64
    assert_same_search_roughly(found, clone(search).fit(X.astype(float), y.astype(float)))


def assert_same_search_roughly(one, other):
    np.testing.assert_allclose(one.scores_path_, other.scores_path_, rtol=1e-5)
    assert one.alpha_ == other.alpha_
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-4, atol=1e-6)


# --- the grid


def test_grids_are_sorted_and_the_first_of_equals_wins():
    X, y = heavy_tails()
    search = HuberRegressorCV((2.0, 0.5), alphas=(0.0, 2.0, 1.0), scoring=lambda *_: 1.0).fit(X, y)
    np.testing.assert_array_equal(search.deltas_, [0.5, 2.0])
    np.testing.assert_array_equal(search.alphas_, [2.0, 1.0, 0.0])
    assert (search.delta_, search.alpha_) == (0.5, 2.0)
    assert search.scores_path_.shape == (2, 3, 5)
    best_at = HuberRegressorCV([0.5, 2.0], alphas=[0.1, 1.0], scoring=lambda e, X, y: e.delta)
    assert best_at.fit(X, y).delta_ == 2.0
    assert best_at.alpha_ == 1.0


@every_search
def test_grids_of_a_length(search):
    X, y = contaminated()
    search = of(search, alphas=7, eps=1e-2).fit(X, y)
    assert search.alphas_.shape == (7,)
    assert search.alphas_[-1] == pytest.approx(1e-2 * search.alphas_[0], rel=1e-10)
    # from the alpha on from which coefficients are 0 for every delta
    deltas = getattr(search, "deltas_", [None])
    for delta in deltas:
        row = {} if delta is None else {"delta": delta}
        above = search._model(row, 1.001 * search.alphas_[0]).fit(X, y)
        assert not above.coef_.any()
    below = [
        search._model({} if delta is None else {"delta": delta}, 0.999 * search.alphas_[0])
        .fit(X, y)
        .coef_.any()
        for delta in deltas
    ]
    assert any(below)


@every_search
def test_attributes_are_those_of_the_fit_to_all_rows(search):
    X, y = contaminated()
    weight = weights_for(len(y))
    search = clone(search).fit(X, y, weight)
    row = {"delta": search.delta_} if hasattr(search, "delta_") else {}
    fit = search._model(row, search.alpha_).fit(X, y, weight)
    for name, value in vars(fit).items():
        if name.endswith("_"):
            np.testing.assert_array_equal(getattr(search, name), value)
    assert search.best_score_ == search.scores_path_.mean(axis=-1).max()
    np.testing.assert_array_equal(search.predict(X), fit.predict(X))
    assert search.score(X, y) == fit.score(X, y)
    private = [name for name in vars(search) if name.startswith("_") and not name.endswith("_")]
    assert not [name for name in private if "callback" not in name]


# --- weights


@every_search
def test_weights_count_rows(search):
    """Weight k is k copies in the same fold; weight 0 is no row."""
    X, y = contaminated(n=50)
    weight = np.resize([1, 2, 0, 3, 1], 50)
    fold = np.arange(50) % 4
    again, folds = np.repeat(np.arange(50), weight), np.repeat(fold, weight)

    def splits(number):
        return [(np.flatnonzero(number != k), np.flatnonzero(number == k)) for k in range(4)]

    found = of(search, cv=splits(fold)).fit(X, y, weight.astype(float))
    expected = of(search, cv=splits(folds)).fit(X[again], y[again])
    np.testing.assert_allclose(found.scores_path_, expected.scores_path_, rtol=1e-7)
    assert found.alpha_ == expected.alpha_
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-6, atol=1e-9)


@every_search
def test_weights_of_all_kinds(search):
    X, y = contaminated(n=50)
    expected = clone(search).fit(X, y, np.ones(50))
    pandas = pytest.importorskip("pandas")
    for weight in (None, 3.0, [2.0] * 50, pandas.Series(np.full(50, 0.5), index=range(100, 150))):
        found = clone(search).fit(X, y, weight)
        np.testing.assert_allclose(found.scores_path_, expected.scores_path_, rtol=1e-9)


@every_search
@pytest.mark.parametrize("scoring", ["neg_max_error", first_coefficient])
def test_scorers_without_weights_are_not_given_any(search, scoring):
    X, y = contaminated()
    found = of(search, scoring=scoring).fit(X, y, weights_for(len(y)))
    assert np.isfinite(found.scores_path_).all()


@every_search
@pytest.mark.parametrize(("zero", "rows"), [(slice(15), "held-out"), (slice(15, 60), "training")])
def test_a_fold_without_weight_is_named(search, zero, rows):
    X, y = contaminated()
    weight = np.ones(60)
    weight[zero] = 0.0
    search = of(search, cv=4)
    with pytest.raises(ValueError, match=f"sample_weight is zero on all {rows} rows of fold 0"):
        search.fit(X, y, weight)
    assert not hasattr(search, "coef_")


# --- metadata routing


def weighted_mae(asked=None):
    scorer = make_scorer(mean_absolute_error, greater_is_better=False)
    return scorer if asked is None else scorer.set_score_request(sample_weight=asked)


@every_search
def test_routing_weighs_scores_where_the_scorer_asks_for_it(search):
    X, y = contaminated()
    weight = weights_for(60)
    plain = of(search, scoring="neg_mean_absolute_error").fit(X, y, weight).scores_path_
    with routing():
        asking = of(search, scoring=weighted_mae(True)).fit(X, y, sample_weight=weight)
        declining = of(search, scoring=weighted_mae(False)).fit(X, y, sample_weight=weight)
        # a scorer of scikit-learn 1.6 does not know yet that it could have weights
        if "sample_weight" in weighted_mae().get_metadata_routing().score.requests:
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                of(search, scoring=weighted_mae()).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(asking.scores_path_, plain, rtol=1e-12)
    assert (declining.scores_path_ != plain).all()


@pytest.mark.parametrize(
    ("key", "scoring"), [("huber", "default"), ("l1", "neg_mean_squared_error"), ("quantile", None)]
)
def test_a_scorer_given_by_its_name_takes_the_weights_of_the_fits(key, scoring):
    X, y = contaminated()
    weight, search = weights_for(60), SEARCHES[key]
    search = of(search, cv=2) if scoring == "default" else of(search, cv=2, scoring=scoring)
    expected = clone(search).fit(X, y, weight).scores_path_
    with routing():
        found = clone(search).fit(X, y, sample_weight=weight).scores_path_
        nested = make_pipeline(clone(search).set_fit_request(sample_weight=True))
        nested.fit(X, y, sample_weight=weight)
        other = make_pipeline(clone(search).set_fit_request(sample_weight="row_weight"))
        other.fit(X, y, row_weight=weight)
        unasked = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            clone(search).set_fit_request(sample_weight=False),
        ).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(nested[-1].scores_path_, expected, rtol=1e-12)
    np.testing.assert_allclose(other[-1].scores_path_, expected, rtol=1e-12)
    Z = StandardScaler().fit(X, sample_weight=weight).transform(X)
    without = clone(search).fit(Z, y).scores_path_
    np.testing.assert_allclose(unasked[-1].scores_path_, without, rtol=1e-12)


@every_search
def test_weights_and_groups_through_a_pipeline_and_cross_validation(search):
    X, y = contaminated()
    weight, groups = weights_for(60), np.arange(60) % 11
    with routing():
        search = of(search, cv=GroupKFold(3)).set_fit_request(sample_weight=True)
        steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), search)
        steps.fit(X, y, sample_weight=weight, groups=groups)
        outer = cross_validate(
            steps,
            X,
            y,
            cv=GroupKFold(2),
            scoring=weighted_mae(True),
            params={"sample_weight": weight, "groups": groups},
            return_estimator=True,
            error_score="raise",
        )
    Z = StandardScaler().fit_transform(X)
    expected = of(search, cv=GroupKFold(3)).fit(Z, y, weight, groups=groups)
    np.testing.assert_allclose(steps[-1].scores_path_, expected.scores_path_, rtol=1e-12)
    assert np.isfinite(outer["test_score"]).all()
    train = next(GroupKFold(2).split(X, y, groups))[0]
    inner = StandardScaler().fit_transform(X[train])
    expected = of(search, cv=GroupKFold(3)).fit(
        inner, y[train], weight[train], groups=groups[train]
    )
    np.testing.assert_allclose(outer["estimator"][0][-1].coef_, expected.coef_, rtol=1e-9)


def test_other_metadata_reaches_the_scorer_row_by_row():
    """Lists and Series with an index of their own are cut as arrays are."""
    pandas = pytest.importorskip("pandas")
    X, y = contaminated()
    price = np.arange(60.0)

    def priced(y_true, y_pred, price, note):
        assert note == "a"
        return np.average(np.abs(y_true - y_pred), weights=np.asarray(price))

    with routing():
        scorer = make_scorer(priced, greater_is_better=False)
        scorer.set_score_request(price=True, note=True)
        search = of(SEARCHES["huber"], scoring=scorer)
        expected = clone(search).fit(X, y, price=price, note="a").scores_path_
        for given in (price.tolist(), pandas.Series(price, index=range(7, 67))):
            found = clone(search).fit(X, y, price=given, note="a").scores_path_
            np.testing.assert_array_equal(found, expected)


@every_search
def test_unknown_metadata_is_refused(search):
    X, y = contaminated()
    with pytest.raises(ValueError, match=r"fit\(\) takes no 'price'.*enable_metadata_routing"):
        clone(search).fit(X, y, price=y)
    with routing(), pytest.raises(TypeError, match="price"):
        clone(search).fit(X, y, price=y)


# --- threads, output, callbacks


@pytest.mark.parametrize("weighted", [False, True])
@every_search
def test_folds_at_the_same_time_give_identical_results(search, weighted):
    X, y = contaminated(n=200)
    weight = weights_for(200) if weighted else None
    expected = clone(search).fit(X, y, weight)
    found = [of(search, n_jobs=2).fit(X, y, weight)]
    with joblib.parallel_config("loky", n_jobs=2):  # of processes; the search stays in threads
        found.append(clone(search).fit(X, y, weight))
    for one in found:
        np.testing.assert_array_equal(one.scores_path_, expected.scores_path_)
        np.testing.assert_array_equal(one.coef_, expected.coef_)


@every_search
def test_verbose(search, capsys):
    X, y = contaminated()
    clone(search).fit(X, y)
    assert capsys.readouterr().out == ""
    search = of(search, verbose=1, cv=2).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    rows = search.scores_path_.reshape(-1, 3, 2)
    assert len(lines) == 2 * len(rows)
    assert all(line.startswith(f"[{type(search).__name__}] fold ") for line in lines)
    assert f"best score {rows[0, :, 0].max():.4g} at alpha=" in lines[0]
    if len(rows) > 1:
        assert "delta=0.5, 3 alphas" in lines[0]


class Recorder:
    """A callback that keeps the names of what it hears of."""

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, **data):
        self.events.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, **data):
        self.events.append(("end", context.task_name))


@pytest.mark.parametrize("n_jobs", [None, 2])
@every_search
def test_callbacks_hear_of_every_part(search, n_jobs):
    pytest.importorskip("sklearn.callback")
    X, y = contaminated()
    recorder = Recorder()
    search = of(search, n_jobs=n_jobs, cv=3).set_callbacks(recorder).fit(X, y)
    events = recorder.events
    parts = 3 * search.scores_path_.size // (3 * len(ALPHAS))
    assert events[0] == "setup"
    assert events[-1] == "teardown"
    assert len(events) == 2 + 2 * (1 + parts)
    names = [event[1] for event in events[1:-1] if event[0] == "end"]
    assert sorted(name for name in names if "fold" in str(name))[0].startswith("fold 0")
    assert sum("fold" in str(name) for name in names) == parts


def test_callbacks_survive_an_error():
    pytest.importorskip("sklearn.callback")
    X, y = contaminated()
    recorder = Recorder()
    search = of(SEARCHES["huber"], scoring=lambda *_: 1 / 0).set_callbacks(recorder)
    with pytest.raises(ZeroDivisionError):
        search.fit(X, y)
    assert recorder.events[-1] == "teardown"
    recorder.events.clear()
    search.set_params(scoring=None).fit(X, y)
    assert recorder.events[-1] == "teardown"


# --- company


@every_search
def test_in_a_pipeline(search):
    X, y = contaminated()
    search = of(search, cv=2)
    steps = make_pipeline(StandardScaler(), clone(search)).fit(X, y)
    Z = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(steps[-1].coef_, clone(search).fit(Z, y).coef_)
    assert np.isfinite(cross_val_score(steps, X, y, cv=3)).all()
    outer = GridSearchCV(clone(search), {"fit_intercept": [True, False]}, cv=3).fit(X, y)
    assert outer.best_estimator_.coef_.shape == (3,)


@every_search
def test_clone_pickle_and_repr(search):
    X, y = contaminated()
    fitted = clone(search).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(again.scores_path_, fitted.scores_path_)
    assert clone(fitted).get_params() == search.get_params()
    assert not hasattr(clone(fitted), "coef_")
    assert repr(type(search)()) == f"{type(search).__name__}()"
    assert "alphas=[1.0, 0.1, 0.01]" in repr(search)


@every_search
def test_a_second_fit_forgets_the_first(search):
    X, y = contaminated()
    once = clone(search).fit(X, y)
    twice = clone(search).fit(X[:30, :2], y[:30] * 1e5).fit(X, y)
    np.testing.assert_array_equal(once.coef_, twice.coef_)
    assert vars(once).keys() == vars(twice).keys()


@every_search
def test_pandas_names(search):
    pandas = pytest.importorskip("pandas")
    X, y = contaminated()
    frame = pandas.DataFrame(X, columns=list("abc"), index=range(100, 160))
    found = clone(search).fit(frame, pandas.Series(y, index=frame.index))
    np.testing.assert_array_equal(found.feature_names_in_, ["a", "b", "c"])
    np.testing.assert_allclose(found.coef_, clone(search).fit(X, y).coef_, rtol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[["b", "a", "c"]])


@every_search
def test_constant_y(search):
    X, _ = contaminated()
    for alphas in (ALPHAS, 4):
        found = of(search, alphas=alphas).fit(X, np.full(60, 7.0))
        assert not found.coef_.any()
        assert found.intercept_ == 7.0
        assert found.scale_ == 0.0


@every_search
def test_few_rows(search):
    X, y = few_rows()
    found = of(search, cv=3).fit(X, y)
    assert np.isfinite(found.scores_path_).all()
    with pytest.raises(ValueError, match="n_splits=5"):
        of(search, cv=None).fit(X[:3], y[:3])


# --- errors and warnings

GRIDS = [[], [-1.0], [np.nan], [np.inf], [[1.0]], "a", ["1"], None, 0, -3, 1.5]
BAD = [("huber", "deltas", grid) for grid in [*GRIDS, 3, [0.0], [1e-160], [1e160]]]
BAD += [(key, "alphas", grid) for key in SEARCHES for grid in GRIDS]
BAD += [(key, "eps", value) for key in SEARCHES for value in (0.0, 1.0, -1, 2, "a", None)]
BAD += [("huber", "scale", value) for value in (0.0, -1.0, np.inf, np.nan, "jont", None)]
BAD += [("quantile", "quantile", value) for value in (0.0, 1.0, [0.5], np.nan, "a", None)]
BAD += [("huber", "l1_ratio", value) for value in (-0.1, 1.1, None)]
BAD += [("huber", "tol", value) for value in (0.0, np.inf)]
BAD += [("huber", "cv", value) for value in (1, "five", [], [([], [1])], [([1, 2], [])])]
BAD += [("huber", "scoring", value) for value in ("mae", 3, ["r2"], {"a": "r2"})]
BAD += [("l1", "scoring", "pinball"), ("huber", "solver", "direct"), ("l1", "solver", "newton")]
BAD += [("huber", "n_jobs", 0), ("huber", "n_jobs", 1.5), ("huber", "verbose", -1)]


@pytest.mark.parametrize(("key", "name", "value"), BAD)
def test_a_bad_parameter_is_named_and_nothing_half_fitted(key, name, value):
    X, y = contaminated()
    search = of(SEARCHES[key], **{name: value})
    with pytest.raises(ValueError, match=name.removesuffix("s")):
        search.fit(X, y)
    assert [entry for entry in vars(search) if entry.endswith("_")] == []
    with pytest.raises(NotFittedError):
        search.predict(X)


def test_a_ridge_grid_of_a_length_has_no_start():
    X, y = contaminated()
    with pytest.raises(ValueError, match="alphas must be given for l1_ratio=0"):
        HuberRegressorCV(alphas=5).fit(X, y)


@every_search
def test_an_error_leaves_an_earlier_fit_as_it_was(search):
    X, y = contaminated()
    search = clone(search).fit(X, y)
    before = vars(search).copy()
    for scoring in (lambda *_: np.nan, lambda *_: 1 / 0):
        search.scoring = scoring
        with pytest.raises((ValueError, ZeroDivisionError)):
            search.fit(X[:, :2], y)
    search.scoring = before["scoring"]
    for bad in (X * np.nan, X[:50]):
        with pytest.raises(ValueError, match=r"NaN|inconsistent"):
            search.fit(bad, y)
    assert vars(search).keys() == before.keys()
    assert all(vars(search)[name] is before[name] for name in before)


@every_search
def test_a_missing_value_is_found_before_the_search(search):
    X, y = contaminated()
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[3, 1] = value
        for table in (bad, sparse.csr_array(bad)):
            with pytest.raises(ValueError, match="Input X contains"):
                clone(search).fit(table, y)


def test_scores_that_are_not_finite():
    X, y = contaminated()
    scoring = lambda estimator, X, y: np.nan if estimator.delta == 3.0 else estimator.delta  # noqa: E731
    found = of(SEARCHES["huber"], scoring=scoring, verbose=1).fit(X, y)
    assert found.delta_ == 1.345
    with pytest.raises(ValueError, match="no finite score"):
        of(SEARCHES["huber"], scoring=lambda *_: np.nan).fit(X, y)


def test_a_bad_parameter_of_a_scorer_is_found():
    X, y = contaminated()
    scorer = make_scorer(mean_pinball_loss, alpha=7.0)
    with pytest.raises(ValueError, match="alpha"):
        of(SEARCHES["huber"], scoring=scorer).fit(X, y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_fits_that_did_not_converge_are_counted_for_the_caller(n_jobs):
    X, y = contaminated()
    search = of(SEARCHES["huber"], max_iter=1, cv=2, n_jobs=n_jobs)
    with pytest.warns(ConvergenceWarning) as caught:
        search.fit(X, y)
    messages = [str(entry.message) for entry in caught]
    assert len(messages) == 2
    assert "of 18 fits of the search did not converge with max_iter=1" in messages[0]
    assert messages[1].startswith("HuberRegressor did not converge")
    assert all(entry.filename == __file__ for entry in caught)


@every_search
def test_a_converged_search_is_silent(search):
    X, y = contaminated()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clone(search).fit(X, y, weights_for(60))
    assert [str(entry.message) for entry in caught] == []


@every_search
def test_the_floating_point_settings_of_the_user_do_not_matter(search):
    X, y = contaminated()
    expected = clone(search).fit(X, y)
    with np.errstate(all="raise"):
        found = clone(search).fit(X, y)
    np.testing.assert_array_equal(found.coef_, expected.coef_)

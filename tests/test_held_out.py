"""Scores of held-out rows by column are those cell by cell."""

from functools import wraps

import numpy as np
import pytest
from _cases import contaminated, weights_for
from sklearn.base import clone
from sklearn.metrics import get_scorer as sklearn_scorer
from sklearn.metrics import make_scorer, max_error, mean_pinball_loss, mean_squared_error

from robustreg import HuberRegressor
from robustreg.metrics import get_scorer
from robustreg.model_selection._held_out import HeldOut, Table

BY_COLUMN = [
    "r2",
    "explained_variance",
    "neg_mean_absolute_error",
    "neg_mean_squared_error",
    "neg_root_mean_squared_error",
    "neg_median_absolute_error",
    "neg_mean_absolute_percentage_error",
]
SCORERS = {
    **{name: sklearn_scorer(name) for name in BY_COLUMN},
    "pinball": make_scorer(mean_pinball_loss, alpha=0.3, greater_is_better=False),
    "huber": get_scorer("d2_huber_score", delta=0.5),
    "tau": get_scorer("neg_tau_scale_error"),
}


def held_out(scorer, params, n=40):
    X, y = contaminated(n=80, p=3)
    table = Table(X, y, None, np.dtype(np.float64), 1, {})
    return HeldOut(HuberRegressor, scorer, params, table, np.arange(n))


def both_ways(held):
    """Scores of three fits, by column and cell by cell."""
    models = [HuberRegressor(alpha=alpha) for alpha in (1.0, 0.1, 0.0)]
    X, y = contaminated(n=80, p=3)
    fits = [clone(model).fit(X, y) for model in models]
    coefs = np.array([fit.coef_ for fit in fits])
    intercepts = np.array([fit.intercept_ for fit in fits])
    together = held.scores(models, coefs, intercepts)
    assert held.by_column is not None
    held.by_column = None
    return together, held.scores(models, coefs, intercepts)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
def test_scores_by_column_are_those_cell_by_cell(scorer, weighted):
    params = {"sample_weight": weights_for(40)} if weighted else {}
    together, alone = both_ways(held_out(scorer, params))
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_a_metric_without_a_score_for_every_column_is_asked_cell_by_cell():
    together, alone = both_ways(held_out(sklearn_scorer("r2"), {}, n=1))
    assert np.shape(together) == np.shape(alone) == (3,)
    assert np.isnan(together).all()


def own_metric(y_true, y_pred, multioutput="uniform_average"):
    return float(np.abs(y_true - y_pred).max())


@wraps(mean_squared_error)
def capped(y_true, y_pred, **options):
    return min(mean_squared_error(y_true, y_pred, **options), 5.0)


@pytest.mark.parametrize(
    "scorer",
    [
        make_scorer(max_error),
        make_scorer(own_metric),
        make_scorer(capped),
        make_scorer({}.get),  # which has no module
        make_scorer(mean_pinball_loss, multioutput="uniform_average"),
        lambda estimator, X, y: 1.0,
    ],
)
def test_what_else_scores_is_asked_cell_by_cell(scorer):
    assert held_out(scorer, {}).by_column is None

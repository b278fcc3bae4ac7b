"""What a fit says of rows: of its own what it said before, of new ones by the same formula."""

import pickle

import numpy as np
import pytest
from _cases import (
    HIGH_VARIANTS,
    TABLES,
    VARIANTS,
    clean,
    contaminated,
    exact_but_some,
    in_turns,
    leverage,
    mostly_zero,
    rank_deficient,
    ties,
    weights_for,
)
from _sources import Guarded
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

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
)

SEVERAL = QuantileRegressor([0.9, 0.1, 0.5])
ANY_TABLE = VARIANTS | {
    "several": SEVERAL,
    "several-ridge": QuantileRegressor([0.2, 0.7], alpha=0.1, crossing="rearrange"),
    "huber-cv": HuberRegressorCV(deltas=(1.0, 2.0), cv=2),
    "l1-cv": L1RegressorCV(alphas=[0.1, 0.01], cv=2),
    "quantile-cv": QuantileRegressorCV(0.8, alphas=[0.1, 0.01], cv=2),
}
LONG_TABLES = HIGH_VARIANTS | {
    "m-welsch": MRegressor("welsch", random_state=0),
    "m-bisquare-s": MRegressor("bisquare", scale="s", random_state=0),
    "m-hampel-mad": MRegressor("hampel", scale="mad", random_state=0),
    "m-cauchy-fixed": MRegressor("cauchy", scale=1.0, random_state=0),
    "m-huber-s": MRegressor("huber", scale="s", random_state=0),
}
#: One or more of each kind of weights.
KINDS = {
    "l2": L2Regressor(),
    "huber": HuberRegressor(),
    "l1": L1Regressor(),
    "several": SEVERAL,
    "welsch": MRegressor("welsch", random_state=0),
    "s": SRegressor(random_state=0),
    "mm": MMRegressor(random_state=0),
    "lts": LTSRegressor(random_state=0),
    "lts-raw": LTSRegressor(reweight=False, random_state=0),
}
kinds = pytest.mark.parametrize("model", KINDS.values(), ids=KINDS.keys())


def assert_judges_as_the_fit(model, X, y, digits=1e-12):
    """Weights and flags of the rows of a fit, also after the model has been pickled."""
    for judge in (model, pickle.loads(pickle.dumps(model))):
        weights, outliers = judge.robustness_weights(X, y), judge.flag_outliers(X, y)
        assert (weights.shape, weights.dtype) == (model.weights_.shape, model.weights_.dtype)
        np.testing.assert_allclose(weights, model.weights_, rtol=0, atol=digits)
        assert outliers.dtype == bool
        np.testing.assert_array_equal(outliers, model.outliers_)


def by_turns(tables):
    """Tables with weights and without, in double precision and in single."""
    weighted, dtypes = [True, False, False, True, True], ["float64", "float64", "float32"]
    cases = range(len(tables))
    return [
        (table, weighted[k % len(weighted)], dtypes[k % len(dtypes)])
        for k, table in zip(cases, tables, strict=True)
    ]


@pytest.mark.parametrize(
    ("model", "table", "weighted", "dtype"),
    in_turns(ANY_TABLE, by_turns([*TABLES.values(), contaminated]), by_turns([clean, ties]))
    + in_turns(LONG_TABLES, by_turns([contaminated, ties, leverage, mostly_zero, rank_deficient])),
)
def test_rows_of_a_fit_are_judged_as_in_the_fit(model, table, weighted, dtype):
    X, y = table()
    weight = weights_for(len(y)) if weighted else None
    fitted = clone(model).fit(X.astype(dtype), y, weight)
    assert_judges_as_the_fit(fitted, X.astype(dtype), y, 1e-12 if dtype == "float64" else 1e-6)


@kinds
@pytest.mark.parametrize("unit", [1e-290, 1.0, 1e150])
def test_exact_fits_in_any_units(model, unit):
    X, y = exact_but_some(n=80)
    fitted = clone(model).fit(X, unit * y)
    assert_judges_as_the_fit(fitted, X, unit * y)
    if not isinstance(model, L2Regressor):
        exact = fitted.weights_[2] if model is SEVERAL else fitted.weights_
        assert set(np.unique(exact)) == {0.0, 1.0}


def test_single_precision_takes_no_digits_from_exact_fits():
    """Coefficients in single precision would leave residuals that count."""
    X = clean()[0].astype(np.float32)
    y = X.astype(np.float64) @ [0.1, 0.2, 0.3]
    fitted = HuberRegressor().fit(X, y)
    assert fitted.coef_.dtype == np.float32
    assert fitted.robustness_weights(X, y).min() == 1.0


@kinds
def test_rows_far_out_in_y(model):
    X, y = contaminated(n=80)
    y[:2] = [1e30, -1e25]
    assert_judges_as_the_fit(clone(model).fit(X, y), X, y)


@pytest.mark.parametrize("model", [KINDS["huber"], KINDS["l1"], SEVERAL], ids=["huber", "l1", "q"])
def test_sparse_rows(model):
    X, y = contaminated()
    X[np.abs(X) < 0.5] = 0.0
    rows = sparse.csr_matrix(X)
    fitted = clone(model).fit(rows, y)
    assert_judges_as_the_fit(fitted, rows, y)
    assert_judges_as_the_fit(fitted, sparse.csc_array(X), y)
    assert_judges_as_the_fit(fitted, X, y)


def test_new_rows_are_judged_by_their_residuals():
    X, y = contaminated()
    new, steps = X[:4], np.array([0.0, 1.0, 5.0, -20.0])
    for model, weigh in (
        (HuberRegressor(), lambda z: 1.345 / np.maximum(z, 1.345)),
        (L1Regressor(), lambda z: 1.0 / np.maximum(z, 1.0)),
        (MRegressor("welsch", random_state=0), lambda z: np.exp(-((z / 2.9846) ** 2))),
        (LTSRegressor(random_state=0), None),
    ):
        fitted = clone(model).fit(X, y)
        about = fitted
        if weigh is None:  # its weights are those of the fit before reweighting
            about = L2Regressor().fit(X, y)
            about.coef_, about.intercept_ = fitted.raw_coef_, fitted.raw_intercept_
            scale = fitted.raw_scale_
            weights = np.abs(steps) <= 2.2414027
        else:
            scale = fitted.loss_scale_ if fitted.loss_scale_ != 1.0 else fitted.scale_
            weights = weigh(np.abs(steps))
        found = fitted.robustness_weights(new, about.predict(new) + steps * scale)
        np.testing.assert_allclose(found, weights, atol=1e-4)
        flags = fitted.flag_outliers(new, fitted.predict(new) + steps * fitted.scale_)
        np.testing.assert_array_equal(flags, [False, False, True, True])


def test_flags_of_a_quantile_are_about_the_centre_of_its_noise():
    X, y = clean(n=400)
    fitted = QuantileRegressor(0.95).fit(X, y)
    centre = np.median(y - fitted.predict(X))
    assert centre < -fitted.scale_
    for side in (-1.0, 1.0):
        far = fitted.predict(X) + centre + side * fitted.scale_ * np.array([[2.49], [2.51]])
        assert not fitted.flag_outliers(X, far[0]).any()
        assert fitted.flag_outliers(X, far[1]).all()


@kinds
def test_what_is_kept_for_it_is_small(model):
    X, y = contaminated(n=2_000)
    fitted = clone(model).fit(X, y)
    for name in ("weights_", "outliers_", "support_"):
        fitted.__dict__.pop(name, None)
    assert len(pickle.dumps(fitted)) < 4_000


@pytest.mark.parametrize(
    ("model", "edges"),
    in_turns(
        {"huber": HuberRegressor(), "l2": L2Regressor(), "l1": L1Regressor(), "several": SEVERAL},
        [((),), ((60, 60, 100),), ((1,),)],
    ),
)
def test_rows_of_a_source_are_judged_where_they_are(model, edges):
    X, y = contaminated(n=300)
    weight = weights_for(300)
    expected = clone(model).fit(X, y, weight)
    source = Guarded(X, y, weight, edges=edges)
    found = clone(model).fit(source)
    passes = source.passes
    np.testing.assert_allclose(found.robustness_weights(source), expected.weights_, atol=1e-9)
    np.testing.assert_array_equal(found.flag_outliers(source), expected.outliers_)
    assert source.passes == passes + 2
    np.testing.assert_allclose(found.robustness_weights(X, y), expected.weights_, atol=1e-9)


def test_a_fit_to_a_source_names_what_it_has_instead():
    X, y = contaminated()
    model = HuberRegressor().fit(Guarded(X, y))
    for name in ("weights_", "outliers_"):
        assert not hasattr(model, name)
        with pytest.raises(AttributeError, match=rf"no {name}, .*robustness_weights\(X, y\) and"):
            getattr(model, name)
        with pytest.raises(AttributeError, match=f"'HuberRegressor' object has no .*{name}"):
            getattr(HuberRegressor(), name)
    with pytest.raises(AttributeError, match="'HuberRegressor' object has no attribute 'weight'"):
        model.weight  # noqa: B018
    assert model.fit(X, y).weights_.shape == y.shape


METHODS = ("robustness_weights", "flag_outliers")


@pytest.mark.parametrize("method", METHODS)
def test_a_model_must_be_fitted(method):
    with pytest.raises(NotFittedError, match="HuberRegressor"):
        getattr(HuberRegressor(), method)(*clean())


def spoilt(what):
    X, y = clean()
    (X[:, 1] if what == "X" else y)[7] = np.nan
    return X, y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda: spoilt("X"), "Input X contains NaN"),
        (lambda: spoilt("y"), "Input y contains NaN"),
        (lambda: (clean()[0], clean()[1][:7]), r"\[60, 7\]"),
        (lambda: (clean()[0],), "requires y to be passed"),
        (lambda: (clean()[0][:, :2], clean()[1]), "X has 2 features, but .* is expecting 3"),
        (lambda: (clean()[0], ["a"] * 60), "y must hold real numbers"),
        (lambda: (Guarded(*spoilt("X")),), "NaN .* first one in partition 0 .* row 7 .* column 1"),
        (lambda: (Guarded(*spoilt("y")),), "Partition 0 of the source has NaN or infinity in y"),
        (lambda: (Guarded(*clean()), clean()[1]), "must be None beside a RowSource"),
    ],
)
def test_rows_that_cannot_be_judged(method, rows, message):
    model = HuberRegressor().fit(*clean())
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(*rows())


@pytest.mark.parametrize("method", METHODS)
def test_columns_of_other_names(method):
    pd = pytest.importorskip("pandas")
    X, y = clean()
    model = HuberRegressor().fit(pd.DataFrame(X, columns=["a", "b", "c"]), y)
    with pytest.raises(ValueError, match="feature names should match"):
        getattr(model, method)(pd.DataFrame(X, columns=["a", "b", "d"]), y)
    with pytest.raises(ValueError, match=r"in their order: \['a', 'b', 'c'\], got \['b',"):
        getattr(model, method)(Guarded(X, y, names=["b", "a", "c"]))

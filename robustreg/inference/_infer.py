"""Standard errors, tests and intervals of a fit, from the rows that it was made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from robustreg._arrays import Array, Mask
from robustreg._linalg.factors import svd
from robustreg.estimators import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    MRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.inference import _quantiles, _rejecting, _smooth
from robustreg.inference._covariance import Covariance
from robustreg.inference._geometry import Geometry
from robustreg.inference._parts import Parts
from robustreg.inference._result import Inference
from robustreg.inference._rows import FittedRows, with_rows_of
from robustreg.losses import ConvexLoss
from robustreg.model_selection import HuberRegressorCV, L1RegressorCV, QuantileRegressorCV


class Family(NamedTuple):
    """What estimators of a kind can tell, and who tells it."""

    kinds: tuple[str, ...]
    default: str
    parts: Callable[[Any, FittedRows, str, Any, int], Parts]


HC = ("classical", "HC0", "HC1", "HC2", "HC3")
GROUPED = {"cluster": "CR3", "CR1": "CR1"}
SMOOTH = Family((*HC, *GROUPED), "HC3", _smooth.parts)
REJECTING = Family(HC, "HC3", _rejecting.parts)
TRIMMED = Family(HC, "classical", _rejecting.parts)
QUANTILE = Family(("iid", "nid", "kernel", "rank", "cluster"), "auto", _quantiles.parts)
FAMILIES: dict[type, Family] = {
    L2Regressor: SMOOTH,
    HuberRegressor: SMOOTH,
    HuberRegressorCV: SMOOTH,
    MRegressor: SMOOTH,  # or, of a redescending loss, rejecting
    SRegressor: REJECTING,
    MMRegressor: REJECTING,
    LTSRegressor: TRIMMED,
    L1Regressor: QUANTILE,
    L1RegressorCV: QUANTILE,
    QuantileRegressor: QUANTILE,
    QuantileRegressorCV: QUANTILE,
}


def infer(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    covariance: str = "auto",
    groups: ArrayLike | None = None,
) -> Inference:
    """Tell how sure a fit is: standard errors, p-values, intervals and tests.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted regressor of this package without a penalty, or a search whose best penalty is
        0; or a pipeline that ends in one, through whose other steps X goes.
    X : {array-like, sparse matrix} of shape (n, p)
        The rows that `model` was fitted to.
    y : array-like of shape (n,)
        Their targets.
    sample_weight : array-like of shape (n,), default=None
        Their weights, as in `fit`: weight k counts a row k times.
    covariance : str, default="auto"
        Which errors are allowed for. "classical": errors that do not depend on x. "HC0" to "HC3":
        independent rows with errors of any kind; where the scale is estimated, too, its errors are
        taken into account. "cluster" (also known as CR3) and "CR1": rows of a group depend on each
        other; of L2, Huber and convex M. Quantiles have "iid", "nid", "kernel", "rank" and
        "cluster". "auto" is "HC3"; "classical" for LTS; for quantiles "rank" up to 1000 rows, else
        "nid"; and with groups "cluster".
    groups : array-like of shape (n,), default=None
        A label for each row, of the group that it belongs to.

    Returns
    -------
    Inference
        The result, which keeps nothing of the rows.

    Raises
    ------
    ValueError
        If the rows are not those of the fit, there is a penalty, there are no more rows than
        coefficients, or the fit is exact.
    TypeError
        If there is no inference for such a model.

    Notes
    -----
    The rows are checked: at those of the fit its estimating equations hold, at others they do not.
    Formulas are in the modules of `robustreg.inference`; docs/design.md says why these are the
    defaults, and what they cover in simulations.

    References
    ----------
    P. J. Huber (1973). Robust regression: asymptotics, conjectures and Monte Carlo. Annals of
    Statistics 1, 799-821.

    J. G. MacKinnon, H. White (1985). Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties. Journal of Econometrics 29, 305-325.

    L. A. Stefanski, D. D. Boos (2002). The calculus of M-estimation. American Statistician 56,
    29-38.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressor
    >>> from robustreg.inference import infer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = 1.0 + X @ [2.0, 0.0] + rng.standard_t(3, size=200)
    >>> result = infer(HuberRegressor().fit(X, y), X, y)
    >>> print(result.standard_errors.round(2), result.p_values.round(3))
    [0.09 0.08 0.09] [0.    0.    0.917]
    >>> print(result.conf_int(0.9).round(2))
    [[ 0.86  1.17]
     [ 1.82  2.1 ]
     [-0.14  0.16]]
    """
    if isinstance(model, Pipeline):
        return _of_pipeline(model, X, y, sample_weight, covariance, groups)
    family = _family_of(model)
    kind = _kind_of(family, model, covariance, groups)

    def work(fitted: FittedRows) -> Inference:
        _check_rows(model, fitted, n_given)
        parts = family.parts(model, fitted, kind, groups, n_given)
        _warn(model, parts.covariance)
        return _result(model, parts)

    n_given = len(np.asarray(y))
    return with_rows_of(model, X, y, sample_weight, work)


def _of_pipeline(
    model: Pipeline, X: Any, y: Any, sample_weight: Any, covariance: str, groups: Any
) -> Inference:
    """Of the last step, at what the others make of X."""
    check_is_fitted(model)
    before = model[:-1]
    result = infer(
        model[-1],
        before.transform(X) if len(before) else X,
        y,
        sample_weight,
        covariance=covariance,
        groups=groups,
    )
    steps = [step for _, step in before.steps if step not in ("passthrough", None)]
    named = all(hasattr(step, "get_feature_names_out") for step in steps)
    if hasattr(model[-1], "feature_names_in_") or not steps or not named:
        return result
    first = result.names[: len(result.names) - len(result.geometry.center)]
    return replace(result, names=(*first, *map(str, before.get_feature_names_out())))


def _family_of(model: Any) -> Family:
    family = FAMILIES.get(type(model))
    if family is None:
        names = ", ".join(kind.__name__ for kind in FAMILIES)
        raise TypeError(
            f"model must be one of {names}, or a pipeline that ends in one; "
            f"got {type(model).__name__}."
        )
    check_is_fitted(model)
    name = type(model).__name__
    alpha = model.alpha_ if hasattr(model, "alpha_") else getattr(model, "alpha", 0.0)
    positive = getattr(model, "positive", False)
    if alpha or positive or getattr(model, "penalty", None) is not None:
        raise ValueError(
            f"There are no standard errors for a penalised fit, but {name} has "
            f"{'positive=True' if positive else f'alpha={alpha:g}'}: the penalty biases "
            "coefficients by an unknown amount. Fit with alpha=0, or choose columns on one half "
            "of the rows and infer on the other."
        )
    if np.ndim(model.intercept_):
        raise ValueError(
            f"{name} has {len(model.intercept_)} quantiles; fit and infer one at a time."
        )
    if isinstance(model, MRegressor) and not isinstance(model.loss_, ConvexLoss):
        return REJECTING
    return family


def _kind_of(family: Family, model: Any, covariance: str, groups: Any) -> str:
    """The kind of covariance, under the name that it has in the table."""
    if covariance != "auto" and covariance not in family.kinds:
        raise ValueError(
            f"covariance of {type(model).__name__} must be one of auto, "
            f"{', '.join(family.kinds)}; got {covariance!r}."
        )
    if covariance == "auto":
        if groups is None:
            return family.default
        covariance = "cluster"
        if covariance not in family.kinds:
            raise ValueError(f"There is no inference for groups of rows of {type(model).__name__}.")
    if (covariance in GROUPED) != (groups is not None):
        raise ValueError(
            f"covariance={covariance!r} and groups go together: 'cluster' and 'CR1' need groups, "
            "and the others do not take any."
        )
    if family is QUANTILE:
        return covariance
    return GROUPED.get(covariance, covariance)


def _check_rows(model: Any, fitted: FittedRows, n_given: int) -> None:
    if n_given != len(model.weights_):
        raise ValueError(
            f"X, y and sample_weight are not the rows that {type(model).__name__} was fitted to: "
            f"these were {len(model.weights_)}, not {n_given}."
        )
    rank = int(model.rank_)
    if fitted.total <= rank:
        hint = ""
        if fitted.weight_unit < 1.0:
            hint = " sample_weight counts rows: weights that sum to 1 are one row."
        raise ValueError(
            f"Inference needs more rows than coefficients, but the weights sum to "
            f"{fitted.total:g} and the rank is {rank}.{hint}"
        )


def _warn(model: Any, found: Covariance) -> None:
    if not found.unknown.shape[1]:
        return
    why = "the rows in the centre of the loss do not determine some of them"
    if found.alone:
        shown = ", ".join(map(str, found.alone[:5])) + (", ..." if len(found.alone) > 5 else "")
        why = f"they rest on single rows (number {shown}), which may be anything"
    warnings.warn(
        f"Some coefficients of {type(model).__name__} have no standard error: {why}. "
        "covariance='classical' has one, if errors do not depend on x.",
        UserWarning,
        stacklevel=6,
    )


def _result(model: Any, parts: Parts) -> Inference:
    fitted, found = parts.fitted, parts.covariance
    geometry = _geometry(fitted, found)
    p = len(geometry.center)
    constant, columns = np.zeros(p), np.eye(p)
    coef = np.asarray(model.coef_, dtype=np.float64)
    names = list(map(str, getattr(model, "feature_names_in_", [f"x{j}" for j in range(p)])))
    if fitted.has_intercept:
        constant, columns = np.append(1.0, constant), np.vstack([np.zeros(p), columns])
        coef, names = np.append(float(model.intercept_), coef), ["intercept", *names]
    errors = geometry.standard_errors(constant, columns)
    spread = geometry.coordinates(constant, columns) @ geometry.root
    matrix = spread @ spread.T
    matrix[np.isnan(errors)] = np.nan
    matrix[:, np.isnan(errors)] = np.nan
    return Inference(
        names=tuple(names),
        coef=coef,
        standard_errors=errors,
        covariance=matrix,
        covariance_type=parts.kind,
        df=fitted.total - int(model.rank_) if found.df is None else found.df,
        identified=geometry.is_estimable(constant, columns),
        scale=float(model.scale_),
        scale_error=found.scale_error,
        n_rows=fitted.total,
        rank=int(model.rank_),
        r2=parts.r2,
        adjusted_r2=parts.adjusted_r2,
        n_few=parts.n_few,
        title=" ".join(repr(model).split()),
        warning="" if model.converged_ else "The fit has not converged.",
        noise=parts.noise,
        geometry=geometry,
        ranks=parts.ranks,
    )


def _geometry(fitted: FittedRows, found: Covariance) -> Geometry:
    values, vectors = np.linalg.eigh(found.matrix)
    null, size = _null_space(fitted)
    return Geometry(
        center=fitted.center,
        basis=fitted.basis,
        root=vectors * np.sqrt(np.maximum(values, 0.0)),
        null=null,
        size=size,
        unknown=found.unknown,
        has_intercept=fitted.has_intercept,
    )


def _null_space(fitted: FittedRows) -> tuple[Array, Array]:
    """Directions of the columns about their centre that the rows say nothing of, (p, m).

    And the units in which these are of length 1, (p,).
    """
    own, p = fitted.coordinates, fitted.rows.p
    if own.k == p:
        return np.zeros((p, 0)), np.ones(p)
    spread = own.spread
    live: Mask = (spread > 0.0) & own.basis.any(axis=1)
    scaled = own.basis[live] * spread[live][:, None]
    directions = svd(scaled.T, full_matrices=True)[2][own.k :]
    null, size = np.zeros((p, len(directions))), np.ones(p)
    size[live] = 1.0 / (spread[live] * fitted.rows.unit[live])
    null[live] = directions.T * size[live, None]
    return np.hstack([null, np.eye(p)[:, ~live]]), size

"""Standard errors, tests and intervals of a fit, from the rows that it was made of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state, check_scalar

from robustreg._arrays import Array, Mask
from robustreg._linalg.factors import root_of, svd
from robustreg.estimators._base import levels_to_the_user
from robustreg.inference._covariance import Covariance
from robustreg.inference._geometry import Geometry
from robustreg.inference._group_numbers import group_numbers
from robustreg.inference._parts import Asked, Parts
from robustreg.inference._pipeline import last_step, names_of
from robustreg.inference._registry import check_at_hand, family_of, kind_of
from robustreg.inference._result import Inference
from robustreg.inference._rows import FittedRows, check_rows, with_rows_of
from robustreg.inference.quantiles._parts import one_by_one, parts_of_several
from robustreg.inference.quantiles._result import QuantileInference
from robustreg.sources import RowSource


def infer(
    model: Any,
    X: ArrayLike | RowSource,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    covariance: str = "auto",
    groups: ArrayLike | None = None,
    n_resamples: int = 999,
    random_state: Any = None,
) -> Inference | QuantileInference:
    """Tell how sure a fit is: standard errors, p-values, intervals and tests.

    Parameters
    ----------
    model : estimator or Pipeline
        A fitted regressor of this package without a penalty; or HuberRegressorCV and the other
        searches of this package whose best penalty is 0 (of a GridSearchCV its
        ``best_estimator_``); or a pipeline that ends in one, through whose other steps X goes.
    X : {array-like, sparse matrix} of shape (n, p), or RowSource
        The rows that `model` was fitted to, in memory or not: whatever `fit` takes.
    y : array-like of shape (n,)
        Their targets; None beside a RowSource, which has its own.
    sample_weight : array-like of shape (n,), default=None
        Their weights, as in `fit`: weight k counts a row k times.
    covariance : str, default="auto"
        Which errors are allowed for. "classical": errors that do not depend on x. "HC0" to "HC3":
        independent rows with errors of any kind; where the scale is estimated, too, its errors are
        taken into account. "cluster" (also known as CR3) and "CR1": rows of a group depend on each
        other. Of quantiles, "iid": errors that do not depend on x; "nid" and "kernel": a
        density of the errors at the fit that may differ from row to row (intervals of "kernel" are
        wide); "rank": intervals and p-values by rank tests, the matrix by "nid"; "cluster".
        "bootstrap": rows, or
        with groups whole groups, are drawn anew; of quantiles all draws are fitted, with
        exponential weights (Bose and Chatterjee 2003), and of others there is one least-squares
        solve for each with the robustness weights of the fit (Salibian-Barrera and Zamar 2002).
        "auto" is "HC3"; "classical" for LTS; for quantiles "rank" up to 1000 rows, else "nid"; and
        with groups "cluster". Of rows that are not in memory there are all but "rank", of which
        "auto" is "nid", and "bootstrap".
    groups : array-like of shape (n,), default=None
        A label for each row, of the group that it belongs to; in memory, also where rows are not.
    n_resamples : int, default=999
        Draws of the bootstrap, 2 at least.
    random_state : int, RandomState or None, default=None
        What draws them.

    Returns
    -------
    Inference or QuantileInference
        The result, which keeps nothing of the rows; QuantileInference of a fit of several
        quantiles.

    See Also
    --------
    Inference : The result.
    QuantileInference : The result for several quantiles.
    deviance_test : Test several coefficients by how much the loss grows without them.
    rank_test : The same of quantiles, by ranks.
    ConformalRegressor : Bands for new rows.

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
    A. Bose, S. Chatterjee (2003). Generalized bootstrap for estimators of minimizers of convex
    functions. Journal of Statistical Planning and Inference 117, 225-239.

    P. J. Huber (1973). Robust regression: asymptotics, conjectures and Monte Carlo. Annals of
    Statistics 1, 799-821.

    J. G. MacKinnon, H. White (1985). Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties. Journal of Econometrics 29, 305-325.

    M. Salibian-Barrera, R. H. Zamar (2002). Bootstrapping robust estimates of regression. Annals
    of Statistics 30, 556-582.

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
    model, X, names = last_step(model, X)
    family = family_of(model, several=True)
    kind = kind_of(family, model, covariance, groups)
    check_at_hand(X, family, kind)
    check_scalar(n_resamples, "n_resamples", Integral, min_val=2)
    random = check_random_state(random_state)

    singles = one_by_one(model)  # of several quantiles

    def work(fitted: FittedRows) -> Inference | QuantileInference:
        check_rows(singles[0], fitted)
        numbers = None
        if groups is not None:
            numbers = group_numbers(groups, fitted.n_given, fitted.rows_that_count())
        asked = Asked(kind, numbers, n_resamples, random)
        if np.ndim(model.intercept_):
            return _several(model, singles, fitted, asked, names)
        return _one(model, family.parts(model, fitted, asked), names, asked)

    return with_rows_of(singles[0], X, y, sample_weight, work, family.whitened)


def _one(model: Any, parts: Parts, names: list[str] | None, asked: Asked) -> Inference:
    """The result of a fit, with a warning where standard errors are missing."""
    result = _result(model, parts, names)
    _warn(model, parts, result, asked)
    return result


def _several(
    model: Any, singles: list[Any], fitted: FittedRows, asked: Asked, names: list[str] | None
) -> QuantileInference:
    """The result of several quantiles, from fits of one each."""
    found, joint = parts_of_several(singles, fitted, asked)
    results = [_one(one, parts, names, asked) for one, parts in zip(singles, found, strict=True)]
    return QuantileInference(model.quantiles_.copy(), tuple(results), model._title, joint)


def _warn(model: Any, parts: Parts, result: Inference, asked: Asked) -> None:
    """Say which coefficients have no standard error, and why."""
    found, kept = parts.covariance, parts.fitted.kept
    if not found.unknown.shape[1]:
        return
    lost = result.identified & np.isnan(result.standard_errors)
    names = _listed([name for name, gone in zip(result.names, lost, strict=True) if gone])
    why = "the rows in the centre of the loss say nothing of that"
    if found.alone:
        rows = found.alone if kept is None else kept[list(found.alone)].tolist()
        among = "" if parts.fitted.knows_all else " of those with a positive weight"
        why = f"it rests on single rows (number {_listed(rows)}{among}), which may be anything"
    elif asked.groups is not None:
        why += ", or a single group alone does"
    name = type(model).__name__
    text = f"{name} has no standard error for {names or 'some predictions'}: {why}."
    if "classical" in family_of(model).kinds:
        text += " covariance='classical' has one, if errors do not depend on x."
    warnings.warn(text, UserWarning, stacklevel=levels_to_the_user())


def _listed(things: Sequence[object]) -> str:
    """The first five, with commas."""
    return ", ".join(map(str, things[:5])) + (", ..." if len(things) > 5 else "")


def _result(model: Any, parts: Parts, columns: list[str] | None) -> Inference:
    fitted, found = parts.fitted, parts.covariance
    geometry = _geometry(fitted, found)
    p = len(geometry.center)
    constant, each = np.zeros(p), np.eye(p)
    coef = np.array(model.coef_, dtype=np.float64)  # a copy: a result's arrays are read-only
    if fitted.has_intercept:
        constant, each = np.append(1.0, constant), np.vstack([np.zeros(p), each])
        coef = np.append(float(model.intercept_), coef)
    errors = geometry.standard_errors(constant, each)
    spread = geometry.coordinates(constant, each) @ geometry.root
    with np.errstate(over="ignore", under="ignore"):  # of columns in extreme units
        matrix = spread @ spread.T
    matrix[np.isnan(errors)] = np.nan
    matrix[:, np.isnan(errors)] = np.nan
    return Inference(
        names=tuple(names_of(model, columns)),
        coef=coef,
        standard_errors=errors,
        covariance=matrix,
        covariance_type=parts.kind,
        df=fitted.total - int(model.rank_) if found.df is None else found.df,
        identified=geometry.is_estimable(constant, each),
        scale=float(model.scale_),
        scale_error=found.scale_error,
        n_rows=fitted.total,
        rank=int(model.rank_),
        r2=parts.r2,
        adjusted_r2=parts.adjusted_r2,
        n_few=parts.n_few,
        title=model._title,
        warning="" if model.converged_ else _not_converged(model),
        noise=parts.noise,
        geometry=geometry,
        ranks=parts.ranks,
    )


def _not_converged(model: Any) -> str:
    gap = float(getattr(model, "dual_gap_", np.nan)) / float(model.objective_)
    if np.isnan(gap):
        return "The fit has not converged."
    return f"The fit has not converged: dual_gap_ is {gap:.2g} of objective_, tol is {model.tol:g}."


def _geometry(fitted: FittedRows, found: Covariance) -> Geometry:
    null, size = _null_space(fitted)
    return Geometry(
        center=fitted.center,
        basis=fitted.basis,
        root=root_of(found.matrix),
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
    if not live.any():  # SciPy 1.11 has no singular vectors of an empty matrix
        return np.eye(p), np.ones(p)
    scaled = own.basis[live] * spread[live][:, None]
    directions = svd(scaled.T, full_matrices=True)[2][own.k :]
    null, size = np.zeros((p, len(directions))), np.ones(p)
    size[live] = 1.0 / (spread[live] * fitted.rows.unit[live])
    null[live] = directions.T * size[live, None]
    return np.hstack([null, np.eye(p)[:, ~live]]), size

"""The last step of a pipeline, what the others make of X, and names of coefficients."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def names_of(model: Any, columns: list[str] | None) -> list[str]:
    """Names of the coefficients of a model, the intercept's first where it has one.

    Parameters
    ----------
    model : estimator
        The fitted model.
    columns : list of str or None
        Names that a pipeline gives its columns. Where neither it nor the model has names, they are
        x0, x1, ...

    Raises
    ------
    ValueError
        If a column is called "intercept" beside the model's own.
    """
    if columns is None:
        columns = [f"x{j}" for j in range(model.n_features_in_)]
    own = list(map(str, getattr(model, "feature_names_in_", columns)))
    if not model.fit_intercept:
        return own
    if "intercept" in own:
        raise ValueError(
            "X has a column named 'intercept', which the model's own is called: rename it, or fit "
            "with fit_intercept=False."
        )
    return ["intercept", *own]


def last_step(model: Any, X: Any) -> tuple[Any, Any, list[str] | None]:
    """A model, or the last step of a pipeline with X as it sees it, and names of X's columns.

    Names are None where the other steps give none, or there are none.
    """
    if not isinstance(model, Pipeline):
        return model, X, None
    check_is_fitted(model)
    before = model[:-1]
    steps = [step for _, step in before.steps if step not in ("passthrough", None)]
    names = None
    if steps:
        X = before.transform(X)
        try:
            names = [str(name) for name in before.get_feature_names_out()]
        except AttributeError:  # of a step, or of one inside of it, that has no names to tell
            names = None
    last, X, inner = last_step(model[-1], X)
    return last, X, names if inner is None else inner

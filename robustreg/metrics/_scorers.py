"""Scorers for the parameter `scoring` of scikit-learn."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import make_scorer

from robustreg.metrics._d2 import d2_huber_score
from robustreg.metrics._errors import tau_scale_error, trimmed_mean_squared_error
from robustreg.metrics._losses import (
    mean_huber_loss,
    mean_log_cosh_loss,
    mean_smooth_l1_loss,
)

# As in scikit-learn, greater is better: what is to be small has its sign changed.
_METRICS = {
    "d2_huber_score": d2_huber_score,
    "neg_mean_huber_loss": mean_huber_loss,
    "neg_mean_log_cosh_loss": mean_log_cosh_loss,
    "neg_mean_smooth_l1_loss": mean_smooth_l1_loss,
    "neg_tau_scale_error": tau_scale_error,
    "neg_trimmed_mean_squared_error": trimmed_mean_squared_error,
}


def get_scorer(name: str, **parameters: Any) -> Any:
    """Return a scorer for ``scoring=`` in a grid search or a cross validation.

    scikit-learn has no public way to add a name to those that `scoring` takes as a string, but
    takes the object just as well.

    Parameters
    ----------
    name : str
        "d2_huber_score", or "neg_" followed by the name of another metric of this module. Greater
        is better, so losses and errors change their sign.
    **parameters
        Parameters of the metric, for example ``delta=2.0``.

    Returns
    -------
    callable
        What :func:`sklearn.metrics.make_scorer` makes: ``scorer(estimator, X, y,
        sample_weight=None)``, with ``set_score_request(sample_weight=True)`` for metadata routing.

    Raises
    ------
    ValueError
        If there is no such name, or the metric refuses the value of a parameter.
    TypeError
        If the metric has no such parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from robustreg import HuberRegressor
    >>> from robustreg.datasets import load_engel
    >>> from robustreg.metrics import get_scorer
    >>> income, food = load_engel(return_X_y=True)
    >>> scorer = get_scorer("d2_huber_score", delta=100.0)  # Belgian francs
    >>> print(np.round(cross_val_score(HuberRegressor(), income, food, scoring=scorer), 2))
    [0.79 0.68 0.47 0.79 0.83]
    """
    if name not in _METRICS:
        names = ", ".join(repr(known) for known in _METRICS)
        raise ValueError(f"name must be one of {names}; got {name!r}.")
    metric = _METRICS[name]
    metric([0.0, 1.0], [0.0, 0.0], **parameters)  # a bad parameter is to fail here, not in a search
    return make_scorer(metric, greater_is_better=not name.startswith("neg_"), **parameters)

"""Quantile regression as a linear programme in the primal, by HiGHS."""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog


def quantile_programme(X, y, tau, weight=None, alpha=0.0, fit_intercept=True, positive=False):
    """The least objective by HiGHS on the primal, with beta, b and r in two parts each."""
    X = X.toarray() if sparse.issparse(X) else np.asarray(X, float)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    unit, share = np.abs(y).max() or 1.0, weight / weight.sum()
    n, p = X.shape
    ones, eye = np.full((n, 1), float(fit_intercept)), sparse.eye(n)
    columns = [sparse.csc_array(part) for part in (X, -X, ones, -ones)]
    cost = np.concatenate([np.full(2 * p, alpha), np.zeros(2), tau * share, (1 - tau) * share])
    equations = sparse.hstack([*columns, eye, -eye], format="csc")
    bounds = [(0, None)] * p + [(0, 0 if positive else None)] * p + [(0, None)] * (2 + 2 * n)
    return unit * linprog(cost, bounds=bounds, A_eq=equations, b_eq=y / unit, method="highs").fun

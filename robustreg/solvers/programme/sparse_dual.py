"""Absolute deviations and quantiles of tables that are mostly zeros, exactly, by HiGHS.

Dummies of many levels leave the simplex method little to do: every equation of the dual
programme holds a few rows only. Interior point methods fill p x p matrices all the same, and
where targets are whole numbers, ties leave the vertex that they are to end at wide open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, TINY, Array, Index
from robustreg.evaluation.choice import Chosen
from robustreg.evaluation.coordinates import Coordinates
from robustreg.evaluation.problem import Coefficients, Problem
from robustreg.solvers._solution import Solution
from robustreg.solvers.programme.candidates import certified, opened, report
from robustreg.solvers.programme.dual import dual_programme
from robustreg.solvers.programme.interior import interior_in
from robustreg.solvers.programme.rows import Streamed, penalty_rows
from robustreg.solvers.programme.session import ProgrammeSession
from robustreg.solvers.programme.vertex import descents, vertex
from robustreg.sources._array import ArraySource

OPTIMAL_GAP = 1e-10  # relative gap of a vertex that is the optimum
SURVEYED = 1000  # rows that tell how many zeros there are


def share_of_zeros(X: Any) -> float:
    """The share of zeros in X; of a dense one, in a part of the rows.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n_samples, n_features)
        Regressors.

    Returns
    -------
    float
        From 0 to 1.
    """
    if sparse.issparse(X):
        return 1.0 - X.nnz / max(1, X.shape[0] * X.shape[1])
    part = X[:: max(1, X.shape[0] // SURVEYED)]
    return 1.0 - np.count_nonzero(part) / max(1, part.size)


def zeros_of(source: ArraySource) -> float:
    """The share of zeros in the X of a source."""
    if source.is_sparse:
        return share_of_zeros(source.table)
    return share_of_zeros(source.every(max(1, source.n // SURVEYED))[0])


def simplex(
    problem: Problem,
    *,
    start: Coefficients | None = None,
    max_iter: int = 100_000,
    tol: float = 1e-7,
) -> Solution:
    """Absolute deviations or a quantile: the dual in the columns of X itself, then the vertex.

    As ``linprog``, but the equations ``D'(w nu) = 0`` are those of single columns, which keep
    their zeros, and not of whitened ones. Should the vertex not be certified to rounding,
    ``interior`` takes over. ``start`` has no effect. Cost: that of a linear programme with n
    bounded variables and p + 1 sparse equations, and O(n p^2) once for the coordinates.
    """
    return ProgrammeSession(simplex_in).fit(problem, start=start, max_iter=max_iter, tol=tol)


def simplex_in(
    problem: Problem, chosen: Chosen, start: Coefficients | None, max_iter: int, tol: float
) -> Solution:
    """The same in given coordinates."""
    programme, ended = opened(problem, chosen)
    if ended is None:
        theta, nu, fit = _solve(problem, programme, programme.objective.least_squares(), max_iter)
        theta, nu, zero = vertex(programme, theta, nu, problem.exact, descents(fit))
        ended = (
            certified(programme, theta, nu, zero, programme.residuals(theta)),
            fit,
        )
    candidate, fit = ended
    outcome = report(problem, programme, candidate, fit, tol)
    exactly = outcome.converged and candidate.gap <= OPTIMAL_GAP * candidate.value
    if exactly or fit.nit >= max_iter:
        return outcome
    other = interior_in(problem, chosen, None, max_iter - fit.nit, tol)
    return min(outcome, other.after(fit.nit), key=lambda each: each.gap)


def _solve(
    problem: Problem, programme: Streamed, theta: Array, max_iter: int
) -> tuple[Array, Array, OptimizeResult]:
    """Theta and nu that HiGHS finds from the residuals at ``theta``, and how it ended."""
    live = np.flatnonzero(programme.own.spread)
    columns, ratio = _columns(problem.X, programme.own, live)
    equations = _equations(programme, columns, ratio, live)
    fit = dual_programme(programme, equations, theta, max_iter, EPS * problem.spread)
    if fit.x is not None:
        theta = theta + _in_coordinates(programme, columns, ratio, live, fit.x)
    return theta, fit.nu, fit


def _columns(X: Any, own: Coordinates, live: Index) -> tuple[Any, Array]:
    """The columns that vary as ``(x - centre) / unit``, and the blocks' units over these.

    Centred are those alone that have few zeros, and units are powers of two: neither zeros nor
    digits of whole numbers are lost where HiGHS sees columns of ordinary size.
    """
    rows = own.rows
    columns = sparse.csc_array(X, dtype=np.float64)[:, live]
    unit = np.ldexp(1.0, np.frexp((own.spread * rows.unit)[live])[1])
    unit = np.maximum(unit, TINY)  # whose reciprocal is finite
    full = np.diff(columns.indptr) > 0.5 * rows.n
    centre = np.where(full & rows.fit_intercept, (rows.origin * rows.unit)[live], 0.0)
    shift = sparse.csc_array(np.ones((rows.n, 1))) @ sparse.csr_array((centre / unit)[None, :])
    return columns @ sparse.csr_array(sparse.diags(1.0 / unit)) - shift, rows.unit[live] / unit


def _equations(programme: Streamed, columns: Any, ratio: Array, live: Index) -> Any:
    """``D'w`` of the rows of data and penalty, for coefficients of the given columns."""
    if programme.objective.rows.fit_intercept:
        columns = sparse.hstack([columns, sparse.csc_array(np.ones((columns.shape[0], 1)))])
    place = np.searchsorted(live, programme.kinked)
    width = penalty_rows(programme.objective, programme.kinked, 1.0)[0]
    entries = (width * ratio[place], (np.arange(len(place)), place))
    extra = sparse.coo_array(entries, shape=(len(place), columns.shape[1]))
    rows = sparse.csr_array(sparse.vstack([columns, extra]))
    return sparse.csc_array(rows.T.multiply(programme.weight))


def _in_coordinates(
    programme: Streamed, columns: Any, ratio: Array, live: Index, found: Array
) -> Array:
    """The coordinates of coefficients of some columns and an intercept.

    By what they predict: coordinates leave out directions that change no prediction.
    """
    own, rows = programme.own, programme.own.rows
    count = len(live)
    slope, mean = own.slopes(columns @ found[:count] + found[count:].sum())
    beta = np.zeros(rows.p)
    beta[live] = found[:count] * ratio
    u = own.reduce(slope + own.ridge * beta)
    return np.append(u, mean) if rows.fit_intercept else u

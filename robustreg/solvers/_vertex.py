"""From an interior solution of a programme to an exact one: a vertex, and nu to match.

Without a ridge some optimum passes exactly through as many rows as there are coordinates.
The interior point method says which rows have residual 0; these are made equations. Where
they are too few, the optimum is not unique, and the objective is minimised along directions
in which they do not move, each of which meets one more row.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lstsq, qr
from scipy.optimize import OptimizeResult, lsq_linear

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg.solvers._programme import Programme

INDEPENDENT = 1e-9  # rows of D are taken for dependent below this share of their size
REFINEMENTS = 3  # the last digit of one solution is the first of the next
BALANCED = 1e-12  # imbalance of slopes, relative to nu, that is rounding
MAX_BOUNDED = 2000  # rows that bounded least squares can afford
MAX_DESCENTS = 50  # from one vertex to the next


def typical(size: Array) -> float:
    """A size of residuals that a few gross errors do not determine."""
    return float(np.median(size)) or float(np.mean(size))


def vertex(
    programme: Programme, theta: Array, nu: Array, exact: float, most: int = MAX_DESCENTS
) -> tuple[Array, Array, Mask]:
    """Theta at a vertex near an approximate solution, its nu, and the rows fitted exactly.

    Residuals up to ``exact`` count as 0 from the start. Where the slopes cannot be balanced
    at that vertex it is not the optimum: what is left of them is a direction in which the
    objective falls, and leads to another vertex, at most ``most`` times. The certificate of
    what comes out says whether it is the optimum.
    """
    residual = programme.residuals(theta)
    basis = _independent(programme, nu, active_rows(programme, residual, nu, exact))
    theta, residual = _through(programme, theta, basis, residual)
    for attempt in range(most + 1):
        if not programme.curved:
            theta, residual, basis = _purify(programme, theta, residual, basis)
        zero = np.abs(residual) <= min(rounding(residual, exact), exact)
        zero[basis] = True
        balance, excess = balanced(programme, theta, nu, residual, zero)
        if programme.curved or attempt == most or excess is None:
            break
        step = least_along(programme, residual, programme.fitted(excess))
        if step is None:
            break
        theta = theta + step[0] * excess
        residual = programme.residuals(theta)
        near = np.abs(residual) <= min(rounding(residual, exact), exact)
        near[step[1]] = True
        basis = _independent(programme, 0.0 * nu, near)
        theta, residual = _through(programme, theta, basis, residual)
    return theta, balance, zero & (np.abs(residual) <= rounding(residual, exact))


def descents(fit: OptimizeResult) -> int:
    """How many further vertices may be tried: none where iterations ran out before."""
    return 0 if fit.status == 1 else MAX_DESCENTS


def through(programme: Programme, theta: Array, mask: Mask) -> Array:
    """The theta at which some rows, so far as they are independent, have residual 0."""
    residual = programme.residuals(theta)
    basis = _independent(programme, 0.0 * residual, mask)
    return _through(programme, theta, basis, residual)[0]


def rounding(residual: Array, exact: float) -> float:
    """What the equations of rows that are fitted exactly may leave of their residuals."""
    return max(1e-6 * typical(np.abs(residual)), 1e-3 * exact)


def active_rows(programme: Programme, residual: Array, nu: Array, exact: float) -> Mask:
    """Rows that an approximate solution says have residual 0 at the optimum.

    Of residual and slack of nu, complementary as they are, the smaller one tends to 0.
    """
    size = np.abs(residual)
    return (size <= _slack(programme, nu) * typical(size)) | (size <= exact)


def _slack(programme: Programme, nu: Array) -> Array:
    """Distance of nu from its bounds, relative to the bound."""
    return np.minimum(1.0 - nu / programme.high, 1.0 - nu / programme.low)


def _independent(programme: Programme, nu: Array, active: Mask) -> Index:
    """Indices of active rows that are independent, those of the clearest nu first."""
    index = np.flatnonzero(active)
    if not len(index):
        return index
    design = programme.take(active)
    lengths = np.linalg.norm(design, axis=1)
    clear = np.maximum(_slack(programme, nu)[index], 1e-6) / np.where(lengths > 0, lengths, 1.0)
    _, triangle, pivots = qr((clear[:, None] * design).T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle)) / clear[pivots][: len(triangle)]
    scale = lengths[pivots][: len(triangle)]
    chosen: Index = np.sort(index[pivots[: len(triangle)][size > INDEPENDENT * scale]])
    return chosen


def _through(
    programme: Programme, theta: Array, basis: Index, residual: Array
) -> tuple[Array, Array]:
    """The theta nearest to the given one, or stationary under a ridge, with r = 0 on a basis."""
    chosen = np.zeros(len(residual), dtype=bool)
    chosen[basis] = True
    design, weight = programme.take(chosen), programme.weight[basis]
    signs = np.where(chosen, 0.0, programme.sign(residual))
    for _ in range(REFINEMENTS):
        if programme.curved:
            size, extra = programme.size, len(basis)
            system = np.zeros((size + extra, size + extra))
            system[:size, :size] = programme.ridge
            system[:size, size:] = -(weight[:, None] * design).T / programme.total
            system[size:, :size] = design
            side = np.concatenate([programme.imbalance(theta, signs), residual[basis]])
            theta = theta + lstsq(system, side, cond=1e-14)[0][:size]
        elif len(basis):
            theta = theta + lstsq(design, residual[basis], cond=1e-12)[0]
        residual = programme.residuals(theta)
    return theta, residual


def _purify(
    programme: Programme, theta: Array, residual: Array, basis: Index
) -> tuple[Array, Array, Index]:
    """Moves along directions in which the basis stays fitted, to the least objective each."""
    for _ in range(programme.size - len(basis)):
        chosen = np.zeros(len(residual), dtype=bool)
        chosen[basis] = True
        design = programme.take(chosen)
        direction = qr(design.T)[0][:, len(basis)] if len(basis) else np.eye(programme.size)[0]
        change = programme.fitted(direction)
        change[basis] = 0.0
        step = least_along(programme, residual, change)
        if step is None:
            break
        share, entering = step
        basis = np.sort(np.append(basis, entering))
        theta, residual = _through(programme, theta + share * direction, basis, residual)
    return theta, residual, basis


def least_along(programme: Programme, residual: Array, change: Array) -> tuple[float, int] | None:
    """The step t with the least sum of losses of ``r - t change``, and a row that is 0 there.

    The sum is convex and piecewise linear in t, with a kink where a residual changes its
    sign. None where nothing changes.
    """
    moving = np.flatnonzero(np.abs(change) > 1e3 * EPS * np.abs(change).max(initial=0.0))
    if not len(moving):
        return None
    c, r = change[moving], residual[moving]
    weight, low, high = programme.weight[moving], programme.low[moving], programme.high[moving]
    order = np.argsort(r / c, kind="stable")
    slope = -float(weight @ (c * np.where(c > 0, high, low)))  # as t goes to minus infinity
    rises = np.cumsum((weight * np.abs(c) * (high - low))[order])
    # equal pieces of a flat optimum differ by rounding only
    at = int(np.searchsorted(rises, -slope - 64 * EPS * rises[-1]))
    row = order[min(at, len(order) - 1)]
    return float(r[row] / c[row]), int(moving[row])


def balanced(
    programme: Programme, theta: Array, nu: Array, residual: Array, zero: Mask
) -> tuple[Array, Array | None]:
    """Nu at its bounds off the zero rows, and on these such that all slopes balance.

    The least change of the given nu that balances them, and where that leaves the bounds,
    bounded least squares. Returns also what imbalance is left, None if it is rounding.
    """
    out = np.where(zero, np.clip(nu, programme.low, programme.high), programme.sign(residual))
    low, high = programme.low[zero], programme.high[zero]
    columns = (programme.weight[zero, None] * programme.take(zero)).T / programme.total
    tiny = BALANCED * np.sqrt(programme.average(out * out))
    for _ in range(REFINEMENTS):
        excess = programme.imbalance(theta, out)
        if not np.abs(excess).max(initial=0.0):
            break
        own = out[zero] - (lstsq(columns, excess, cond=1e-12)[0] if len(low) else 0.0)
        inside = np.clip(own, low, high)
        if not len(low) or np.abs(own - inside).max() > tiny:
            inside = _bounded(columns, columns @ out[zero] - excess, low, high, inside)
            excess = excess + columns @ (inside - out[zero])
            out[zero] = inside
            return out, excess if np.abs(excess).max() > tiny else None
        out[zero] = inside
    return out, None


def _bounded(columns: Array, side: Array, low: Array, high: Array, clipped: Array) -> Array:
    """Least squares within bounds; merely ``clipped`` where there are too many for that."""
    if not 0 < len(low) <= MAX_BOUNDED:
        return clipped
    return np.clip(lsq_linear(columns, side, (low, high), method="bvls").x, low, high)

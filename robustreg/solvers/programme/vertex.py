"""From an interior solution of a programme to an exact one: a vertex, and nu to match.

Without a ridge some optimum passes exactly through as many rows as there are coordinates.
The interior point method says which rows have residual 0; these are made equations. Where
they are too few, the optimum is not unique, and the objective is minimised along directions
in which they do not move, each of which meets one more row. Under a ridge the optimum is
stationary on a face, where fewer rows may have residual 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from scipy.linalg import block_diag, cholesky, solve_triangular
from scipy.optimize import OptimizeResult

from robustreg._arrays import EPS, Array, Index, Mask
from robustreg._linalg.factors import lstsq
from robustreg._median import weighted_median
from robustreg.solvers._ended import Ended
from robustreg.solvers._report import LAST_PLACES, SAME_VALUE
from robustreg.solvers.programme.balance import REFINEMENTS, balanced, bounded
from robustreg.solvers.programme.basis import INDEPENDENT, Basis
from robustreg.solvers.programme.rows import Programme

LIFTED = 1e-8  # of the largest curvature of a ridge: what makes it regular
MAX_DESCENTS = 50  # from one vertex to the next
ALIKE = 10  # digits of a row's change along a direction of length 1
MIN_BLOCK = 64  # rows that are looked at together for independent ones


Way = TypeVar("Way", bound=Callable[..., Any])


def _without_warnings(way: Way) -> Way:
    """A way on which numbers may leave the range: whoever certifies where it ends sees to it."""

    @wraps(way)
    def quiet(*arguments: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            return way(*arguments)

    return cast(Way, quiet)


def typical_size(size: Array) -> float:
    """A size of residuals that a few gross errors do not determine."""
    return weighted_median(size) or float(np.mean(size))


@_without_warnings
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
    if programme.curved:
        return _stationary(programme, theta, nu, basis, exact, most)
    theta = _nearest(programme, theta, basis)
    residual, least = programme.residuals(theta), np.inf
    for attempt in range(most + 1):
        theta, residual = _purify(programme, theta, residual, basis, exact)
        zero = _on(residual, basis, exact)
        balance, excess = balanced(programme, theta, nu, residual, zero)
        value = programme.value(theta, residual)
        if attempt == most or excess is None or value > least + SAME_VALUE * least:
            break
        least = min(value, least)
        step = least_along(programme, residual, programme.fitted(excess))
        if step is None:
            break
        theta = theta + step[0] * excess
        residual = programme.residuals(theta)
        near = np.abs(residual) <= min(rounding(residual, exact), exact)
        near[step[1]] = True
        basis = _independent(programme, 0.0 * nu, near)
        theta = _nearest(programme, theta, basis)
        residual = programme.residuals(theta)
    return theta, balance, _fitted(programme, theta, residual, zero, exact)


def _stationary(
    programme: Programme, theta: Array, nu: Array, basis: Basis, exact: float, most: int
) -> tuple[Array, Array, Mask]:
    """The same under a ridge, where the optimum is stationary on a face and need be no vertex.

    The face is where the rows of the basis have residual 0. If the slopes cannot be balanced
    at its stationary point, it is not the right one; Newton steps, each to the least point
    along its way, then lead from theta over other faces.
    """
    side, least = programme.sign(programme.residuals(theta)), np.inf
    for attempt in range(most + 1):
        found, left, zero = _at_face(programme, theta, basis, side, exact)
        balance, excess = balanced(programme, found, nu, left, zero)
        if excess is None or attempt == most:
            break
        theta = _nearest(programme, theta, basis)
        residual = programme.residuals(theta)
        value = programme.value(theta, residual)
        if value > least + SAME_VALUE * abs(least):
            break
        least = min(value, least)  # of a short step only the slopes tell, not the value
        on = _on(residual, basis, exact)
        near_by = nu if attempt == 0 else side
        direction, change, side = _newton_on_face(programme, theta, residual, on, near_by)
        pull, bend = (float(each @ programme.ridge @ direction) for each in (theta, direction))
        step = least_along(programme, np.where(on, 0.0, residual), change, pull, bend)
        if step is None:
            break
        theta = theta + step[0] * direction
        near = on & (change == 0.0)
        near[step[1]] = True
        basis = _independent(programme, 0.0 * nu, near)
    return found, balance, _fitted(programme, found, left, zero, exact)


def _at_face(
    programme: Programme, theta: Array, basis: Basis, side: Array, exact: float
) -> tuple[Array, Array, Mask]:
    """The stationary point of a face, its residuals, and the rows that are 0 there.

    Of these, rows that count as 0 beside those of the basis have been made 0, too.
    """
    found = _settled(programme, theta, basis, side)
    left = programme.residuals(found)
    zero = _on(left, basis, exact)
    whole = _independent(programme, np.zeros(len(left)), zero)
    if len(whole) > len(basis):
        found = _settled(programme, theta, whole, side)
        left = programme.residuals(found)
        zero = _on(left, whole, exact)
    return found, left, zero


def _on(residual: Array, basis: Basis, exact: float) -> Mask:
    """The rows of a basis, and others that have residual 0 but for rounding."""
    zero = np.abs(residual) <= min(rounding(residual, exact), exact)
    zero[basis.index] = True
    return zero


def _fitted(programme: Programme, theta: Array, residual: Array, zero: Mask, exact: float) -> Mask:
    """The zero rows that their equations have brought to 0, but for the rounding of ``D theta``."""
    out = zero.copy()
    lost = LAST_PLACES * EPS * (np.abs(programme.take(zero)) @ np.abs(theta))
    out[zero] = np.abs(residual[zero]) <= np.maximum(lost, rounding(residual, exact))
    return out


def _newton_on_face(
    programme: Programme, theta: Array, residual: Array, zero: Mask, near_by: Array
) -> tuple[Array, Array, Array]:
    """Newton's direction d from a point where some rows are 0, ``D d``, and nu as it begins.

    The d that minimises ``-g'd + d'R d / 2`` and the losses of the zero rows, with R the ridge
    and g the slopes of the others: by duality ``R d = g + D'(w nu) / W`` for the nu within
    bounds that makes this least in the metric of the inverse of R. What lifts R where it is
    singular does not change where steps end, since these repeat. Zero rows with nu inside its
    bounds stay at 0, those with nu at a bound leave to its side only. The unknown is the change
    of a nu near by, with which short steps keep their digits.
    """
    low, high = programme.low[zero], programme.high[zero]
    nu = programme.sign(residual)
    nu[zero] = np.clip(near_by[zero], low, high)
    lift = LIFTED * float(np.diag(programme.ridge).max())
    factor = cholesky(programme.ridge + lift * np.eye(programme.size), lower=True)
    columns = (programme.weight[zero, None] * programme.take(zero)).T / programme.total
    columns = solve_triangular(factor, columns, lower=True)
    excess = solve_triangular(factor, programme.imbalance(theta, nu), lower=True)
    low, high = low - nu[zero], high - nu[zero]
    own = bounded(columns, -excess, low, high, np.zeros(len(low)))
    nu[zero] += own
    direction = solve_triangular(factor, excess + columns @ own, lower=True, trans="T")
    change = programme.fitted(direction)
    falls, rises = np.maximum(change[zero], 0.0), np.minimum(change[zero], 0.0)
    change[zero] = np.where(own <= low, falls, np.where(own >= high, rises, 0.0))
    return direction, change, nu


def descents(fit: OptimizeResult) -> int:
    """How many further vertices may be tried: none where iterations ran out before."""
    return 0 if fit.status == Ended.MAX_ITER else MAX_DESCENTS


@_without_warnings
def theta_through(programme: Programme, theta: Array, mask: Mask) -> Array:
    """The theta at which some rows, so far as they are independent, have residual 0.

    The nearest to the given one; under a ridge the stationary one.
    """
    residual = programme.residuals(theta)
    basis = _independent(programme, 0.0 * residual, mask)
    if programme.curved:
        return _settled(programme, theta, basis, programme.sign(residual))
    return _nearest(programme, theta, basis)


def rounding(residual: Array, exact: float) -> float:
    """What the equations of rows that are fitted exactly may leave of their residuals."""
    return max(1e-6 * typical_size(np.abs(residual)), 1e-3 * exact)


def active_rows(programme: Programme, residual: Array, nu: Array, exact: float) -> Mask:
    """Rows that an approximate solution says have residual 0 at the optimum.

    Of residual and slack of nu, complementary as they are, the smaller one tends to 0.
    """
    size = np.abs(residual)
    return (size <= _slack(programme, nu) * typical_size(size)) | (size <= exact)


def _slack(programme: Programme, nu: Array) -> Array:
    """Distance of nu from the nearer one of its bounds, relative to half of their distance."""
    low, high = programme.low, programme.high
    return np.minimum(high - nu, nu - low) / (0.5 * (high - low))


def _independent(programme: Programme, nu: Array, active: Mask) -> Basis:
    """Active rows that are independent, those of the clearest nu first."""
    basis, index = Basis(programme.size), np.flatnonzero(active)
    clear = np.maximum(_slack(programme, nu), 1e-6)
    index = index[np.argsort(-clear[index], kind="stable")]
    block = max(MIN_BLOCK, programme.size)
    for start in range(0, len(index), block):
        if basis.complete:
            break
        _enter(programme, basis, np.sort(index[start : start + block]), clear)
    return basis


def _nearest(programme: Programme, theta: Array, basis: Basis) -> Array:
    """The theta nearest to the given one with r = 0 on a basis."""
    for _ in range(REFINEMENTS if len(basis) else 0):
        theta = theta + basis.solve(programme.residuals(theta)[basis.index])
    return theta


def _settled(programme: Programme, theta: Array, basis: Basis, nu: Array) -> Array:
    """The theta that is stationary with r = 0 on a basis and the given nu off it.

    On a complete basis that is its vertex, which would lose digits beside slopes of other units.
    """
    if basis.complete:
        return _nearest(programme, theta, basis)
    design, weight = basis.rows, programme.weight[basis.index]
    size, nu = programme.size, nu.copy()
    system = block_diag(programme.ridge, np.zeros((len(basis), len(basis))))
    system[:size, size:] = -(weight[:, None] * design).T / programme.total
    system[size:, :size] = design
    nu[basis.index] = 0.0
    for _ in range(REFINEMENTS):
        side = [programme.imbalance(theta, nu), programme.residuals(theta)[basis.index]]
        step = lstsq(system, np.concatenate(side), cond=1e-14)
        theta = theta + step[:size]
        nu[basis.index] += step[size:]
    return theta


def _purify(
    programme: Programme, theta: Array, residual: Array, basis: Basis, exact: float
) -> tuple[Array, Array]:
    """Moves along directions in which the basis stays fitted, to the least objective each.

    What meets residual 0 there enters the basis: in tied tables several rows at a time.
    """
    missing, even = programme.size - len(basis), np.ones(len(residual))
    if not missing:
        return theta, residual
    held = np.zeros(len(residual), dtype=bool)  # in the span of the basis, where rounding moves
    for _ in range(2 * missing):
        if basis.complete:
            break
        direction = basis.direction()
        change = programme.fitted(direction)
        change[basis.index] = 0.0
        change[held] = 0.0
        step = least_along(programme, residual, change)
        if step is None or np.abs(change).max() < INDEPENDENT:
            break  # some rows of a table may leave a direction open that all of them do not
        share, entering = step
        before = len(basis)
        _enter(programme, basis, entering, even, 64 * EPS)
        if len(basis) == before:
            held[entering] = True
            continue
        theta, residual = theta + share * direction, residual - share * change
        residual[entering] = 0.0
        met = np.flatnonzero(np.abs(residual) <= min(rounding(residual, exact), exact))
        # those that move alike may well be the same row again
        _, first = np.unique(np.round(change[met], ALIKE), return_index=True)
        met = met[first]
        alike = np.abs(change[met] - change[entering]) <= 2.0 * 10.0**-ALIKE
        _enter(programme, basis, np.sort(met[(change[met] != 0.0) & ~alike]), even)
    theta = _nearest(programme, theta, basis)
    return theta, programme.residuals(theta)


def _enter(
    programme: Programme, basis: Basis, index: Index, clear: Array, least: float = INDEPENDENT
) -> None:
    """Rows, in ascending order, enter a basis so far as they are independent of it."""
    if len(index):
        mask = np.zeros(len(programme.target), dtype=bool)
        mask[index] = True
        basis.enter(index, programme.take(mask), clear[index], least)


def least_along(
    programme: Programme, residual: Array, change: Array, pull: float = 0.0, bend: float = 0.0
) -> tuple[float, Index] | None:
    """The least point t of ``sum w losses(r - t change) / W + t pull + t^2 bend / 2``.

    The sum is convex and piecewise linear in t, with a kink where a residual changes its
    sign. Returned beside t is the row that is 0 there, none if the least point is between two
    kinks. None where nothing changes.
    """
    moving = np.flatnonzero(np.abs(change) > 1e3 * EPS * np.abs(change).max(initial=0.0))
    if not len(moving):
        return None
    c, r = change[moving], residual[moving]
    weight, low, high = programme.weight[moving], programme.low[moving], programme.high[moving]
    order = np.argsort(r / c, kind="stable")
    kinks, bend = (r / c)[order], bend * programme.total
    # the slope as t goes to minus infinity, but for the parabola's
    slope = pull * programme.total - float(weight @ (c * np.where(c > 0, high, low)))
    rises = np.cumsum((weight * np.abs(c) * (high - low))[order])
    # equal pieces of a flat optimum differ by rounding only
    at = int(np.searchsorted(rises + bend * kinks, -slope - 64 * EPS * rises[-1]))
    before = slope + (rises[at - 1] if at else 0.0)
    if bend and (at == len(order) or before + bend * kinks[at] > 0.0):
        return -before / bend, moving[:0]
    at = min(at, len(order) - 1)
    return float(kinks[at]), moving[order[at : at + 1]]


def at_best_intercept(programme: Programme, theta: Array) -> Array:
    """The theta whose last coordinate, the intercept, is the least along it."""
    unit = np.zeros(programme.size)
    unit[-1] = 1.0
    step = least_along(programme, programme.residuals(theta), programme.fitted(unit))
    return theta if step is None else theta + step[0] * unit

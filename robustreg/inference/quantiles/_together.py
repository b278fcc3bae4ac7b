"""Quantile fits of the same rows with many weights each, made at once and ended at vertices.

Of every draw b the programme

    min over theta  sum_i v_bi rho(t_i - x_i'theta) - g_b'theta,

where g_b holds the slopes of rows that keep their sides, is dual to ``max sum v nu t`` with
``sum v nu x = -g``, ``low <= nu <= high``. Draws take the steps of an interior point method
together (Mehrotra 1992; Portnoy and Koenker 1997), each by lengths of its own, with one call for
all where a fit by itself would need one each: tables are short here, and calls would be most of the
time. The rows that the steps bring nearest 0 are made equations: where these have a solution, and
the slopes of all rows balance with nu within its bounds, both are optimal, and the draw is done. In
tables with ties more rows than coefficients may be 0, and no choice among them need be balanced;
steps go on there until the two objectives differ by next to nothing. Either is a proof; draws that
do not get there are for others to fit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.linalg import LinAlgError

from robustreg._arrays import EPS, Array, Index, Mask

ENTRIES = 2**15  # rows times draws that take steps together, as many as stay in the cache
MOST_STEPS = 50
START = 0.6  # complementarity at the start, in the typical residual's
TO_BOUNDARY = 0.9995  # share of the way to the boundary that a step may go
NEAR_THE_END = 1e-3  # complementarity, in that at the start, from which on vertices are looked for
CLOSED = 1e-11  # the same, from which on further steps would only lose digits
BALANCED = 1e-10  # share of all weights by which a nu of the vertex may be beyond its bounds
SMALL_GAP = 1e-10  # of the objective: what it may be above its minimum where there is no vertex


@dataclass
class _State:
    """Where draws are: rows of these arrays."""

    which: Index  # (b,) numbers of the draws
    weight: Array  # (b, n)
    pull: Array  # (b, k)
    theta: Array
    nu: Array  # (b, n)
    up: Array
    down: Array
    p: Array
    q: Array

    def keep(self, mask: Mask) -> None:
        """Forget the draws that are done."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name)[mask])


def fit_together(
    design: Array, target: Array, weight: Array, pull: Array, tau: float
) -> tuple[Array, Mask]:
    """The fits of many draws, and which of them are known to be optimal.

    Parameters
    ----------
    design : ndarray of shape (n, k)
        Rows x.
    target : ndarray of shape (n,)
        Their t, near 0 with theta = 0 near all fits.
    weight : ndarray of shape (draws, n)
        Their weights v.
    pull : ndarray of shape (draws, k)
        The slopes g of rows that keep their sides.
    tau : float
        The quantile.

    Returns
    -------
    theta : ndarray of shape (draws, k)
        The fits; those that are not known to be optimal are 0.
    known : ndarray of bool, shape (draws,)
        Which are.
    """
    found, known = np.zeros((len(weight), design.shape[1])), np.zeros(len(weight), dtype=bool)
    typical = float(np.median(np.abs(target)))
    if len(target) < design.shape[1] or not typical > 0.0:
        return found, known
    step = max(ENTRIES // len(target), 1)
    for first in range(0, len(weight), step):
        part = slice(first, first + step)
        with np.errstate(all="ignore"):
            found[part], known[part] = _fit(
                design, target, weight[part], pull[part], tau, START * typical
            )
    return found, known


def _fit(
    design: Array, target: Array, weight: Array, pull: Array, tau: float, mu: float
) -> tuple[Array, Mask]:
    low, high = tau - 1.0, tau
    found, known = np.zeros_like(pull), np.zeros(len(pull), dtype=bool)
    state = _start(target, weight, pull, low, high, mu)
    for _ in range(MOST_STEPS):
        left = _complementarity(state)
        if (left <= NEAR_THE_END * mu).any():
            theta, done = _vertices(design, target, state, low, high)
            closed = ~done & (left <= CLOSED * mu)
            theta[closed] = state.theta[closed]
            fine = done | closed
            fine[closed] = _gaps(design, target, state, low, high)[closed] <= SMALL_GAP
            found[state.which[fine]], known[state.which[fine]] = theta[fine], True
            going = ~(done | closed)
            state.keep(going)
            left = left[going]
        if not len(left) or not _advance(design, target, state, left):
            break
    return found, known


def _start(target: Array, weight: Array, pull: Array, low: float, high: float, mu: float) -> _State:
    """The points over theta = 0 where every ``up p`` and ``down q`` is mu."""
    size = np.abs(target)
    smaller = 2.0 * mu / (2.0 * mu + size + np.hypot(2.0 * mu, size))
    up = np.where(target > 0, smaller, 1.0 - smaller)
    down = 1.0 - up
    down[target <= 0] = smaller[target <= 0]
    nu = np.where(target > 0, high - up, low + down)
    rows = [np.tile(each, (len(weight), 1)) for each in (nu, up, down, mu / up, mu / down)]
    return _State(np.arange(len(weight)), weight, pull, np.zeros_like(pull), *rows)


def _complementarity(state: _State) -> Array:
    """The mean product of each draw."""
    sums = np.einsum("bi,bi,bi->b", state.weight, state.up, state.p)
    sums += np.einsum("bi,bi,bi->b", state.weight, state.down, state.q)
    return sums / (2.0 * state.weight.sum(axis=1))


def _advance(design: Array, target: Array, state: _State, mu: Array) -> bool:
    """A predictor and a corrector step of all draws, at their mu; whether there was one."""
    v, up, down, p, q = state.weight, state.up, state.down, state.p, state.q
    residual = target - state.theta @ design.T
    barrier = 1.0 / (p / up + q / down)
    matrix = _grams(design, v * barrier)
    if not np.isfinite(matrix).all():
        return False

    def direction(xi: Array) -> tuple[Array, Array]:
        side = (v * (state.nu + xi)) @ design + state.pull
        dtheta = np.linalg.solve(matrix, side[:, :, None])[:, :, 0]
        return dtheta, xi - barrier * (dtheta @ design.T)

    try:
        _, dnu = direction(barrier * residual)
    except LinAlgError:
        return False
    rise, fall = dnu / up, dnu / down
    primal = _length(np.maximum(1.0 - rise, 1.0 + fall))
    dual = _length(np.maximum(rise, -fall))
    dp, dq = p * (rise - 1.0), -q * (1.0 + fall)
    a, b = primal[:, None], dual[:, None]
    after = np.einsum("bi,bi,bi->b", v, up - b * dnu, p + a * dp)
    after += np.einsum("bi,bi,bi->b", v, down + b * dnu, q + a * dq)
    after /= 2.0 * v.sum(axis=1)
    centre = (mu * (after / mu) ** 3)[:, None]
    share = np.minimum(a, b)
    dp *= dnu
    dp *= share
    dp += centre  # what up p is to be, with the second order of the step
    dq *= dnu
    dq *= -share
    dq += centre
    gap_p, gap_q = dp - up * p, dq - down * q
    xi = (residual - p + q - gap_p / up + gap_q / down) * barrier
    dtheta, dnu = direction(xi)
    dp = (gap_p + p * dnu) / up
    dq = (gap_q - q * dnu) / down
    a = _length(np.maximum(-dp / p, -dq / q))[:, None]
    b = _length(np.maximum(dnu / up, -dnu / down))[:, None]
    state.theta += a * dtheta
    state.p += a * dp
    state.q += a * dq
    dnu *= b
    state.nu += dnu
    state.up -= dnu
    state.down += dnu
    return bool(np.isfinite(state.theta).all())


def _length(falls: Array) -> Array:
    """Step lengths that keep variables positive, given the shares by which they fall."""
    return np.minimum(1.0, TO_BOUNDARY / np.maximum(falls.max(axis=1), EPS))


def _grams(design: Array, scales: Array) -> Array:
    """``X' diag(s) X`` of every draw."""
    return np.matmul(design.T * scales[:, None, :], design)


def _vertices(
    design: Array, target: Array, state: _State, low: float, high: float
) -> tuple[Array, Mask]:
    """The vertices that draws are nearest to, and which of them are optimal."""
    k = design.shape[1]
    v, draws = state.weight, np.arange(len(state.theta))[:, None]
    # of p + q and the slack of nu, complementary as they are, one tends to 0
    score = (state.p + state.q) / np.minimum(state.up, state.down)
    index = np.argpartition(score, k - 1, axis=1)[:, :k]
    rows = design[index]
    try:
        theta = np.linalg.solve(rows, target[index][:, :, None])[:, :, 0]
        nu = np.where(target - theta @ design.T > 0, high, low)
        nu[draws, index] = 0.0
        side = -((v * nu) @ design + state.pull)
        flow = np.linalg.solve(rows.swapaxes(1, 2), side[:, :, None])[:, :, 0]
    except LinAlgError:
        return np.zeros_like(state.theta), np.zeros(len(draws), dtype=bool)
    own, slack = v[draws, index], BALANCED * v.sum(axis=1, keepdims=True)
    within = (flow >= low * own - slack) & (flow <= high * own + slack)
    return theta, within.all(axis=1)


def _gaps(design: Array, target: Array, state: _State, low: float, high: float) -> Array:
    """How far the objective of each draw may be above its minimum, as a share of it.

    The dual one is a bound where slopes balance; what is left of them counts as it does at theta.
    """
    v, theta, nu = state.weight, state.theta, np.clip(state.nu, low, high)
    r = target - theta @ design.T
    value = np.einsum("bi,bi->b", v, np.maximum(high * r, low * r))
    left = np.abs((v * nu) @ design + state.pull)
    gap = np.einsum("bi,bi->b", v, np.maximum(high * r, low * r) - nu * r)
    gap += np.einsum("bj,bj->b", left, np.abs(theta))
    return np.where(np.isfinite(gap) & (value > 0.0), gap / value, np.inf)

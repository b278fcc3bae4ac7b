"""Of the planes that most rows lie on, the one that the most lie on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Mask
from robustreg.subsampling.criteria import ROUNDING, off_plane
from robustreg.subsampling.elemental import edges, elemental_fits
from robustreg.subsampling.table import Table

BASES = 5  # of rows on the plane, whose edges are the directions to search in
DRAWS = 200  # subsets of the rows that directions move
MOVES = 100  # from plane to plane, at most
MOVED = 1e-7  # of a row's and a direction's lengths: products below are 0, rounded
BATCH_ENTRIES = 2**18  # residuals of a batch of candidates
TIED = 1e-9  # relative: distances this close are equal


def plane_of_most_rows(table: Table, thetas: Array) -> Array:
    """The plane that the most rows lie on, from some planes that most do.

    Two planes that each hold more than half of the rows have some in common. The better one is
    therefore reached from the other along directions in which these stay where they are: the
    edges of the rows on the plane, which leave all rows but one of a basis (and those in their
    span) alone, and groups of edges that move the same rows. Where most of the rows that they
    move are off the plane, exact fits to subsets of these rows, in as few coordinates as there
    are edges, show whether another plane holds more of them. So it goes on until none does.

    Parameters
    ----------
    table : Table
        The rows.
    thetas : ndarray of shape (k, m)
        The planes to begin with.

    Returns
    -------
    ndarray of shape (m,)
        The best of the planes come to. What chance there is in the search comes from a seed of
        its own.
    """
    planes = np.array([_climb(table, theta) for theta in thetas])
    return planes[_best(table, planes)]


def _climb(table: Table, theta: Array) -> Array:
    for _ in range(MOVES):
        step = _step_to_a_better_plane(table, table.residuals(theta))
        if step is None:
            break
        theta = theta + step
    return theta


def _step_to_a_better_plane(table: Table, residual: Array) -> Array | None:
    on = np.abs(residual) <= table.zero
    for directions in _directions(table, on):
        index = np.flatnonzero(_moved(table.q, directions).any(axis=1))
        part = table.take(index)
        if part.sum(on[index].astype(np.float64)) > (0.5 + ROUNDING) * part.total:
            continue  # more rows would be lost than won
        part = replace(part, q=part.q @ directions, y=residual[index])
        fits = elemental_fits(part, DRAWS, RandomState(0))
        steps = np.vstack([np.zeros(part.m), fits])
        best = _best(part, steps)
        if best > 0:
            return directions @ steps[best]
    return None


def _directions(table: Table, on: Mask) -> Iterator[Array]:
    """Edges of rows on the plane, one by one, and with those that move the same rows."""
    seen = set()
    for basis in edges(table.take(np.flatnonzero(on)), BASES, RandomState(0)):
        moved = _moved(table.q, basis).astype(np.float64)
        common = moved.T @ table.weigh(moved.T).T
        alike = common >= 0.5 * np.diag(common)  # hardly a row that the other one does not move
        for members in (*np.eye(table.m, dtype=bool), *alike):
            key = (members.sum(), moved[:, members].any(axis=1).tobytes())
            if key not in seen:
                seen.add(key)
                yield basis[:, members]


def _moved(q: Array, directions: Array) -> Mask:
    """Which rows' residuals change, direction by direction."""
    reach = np.sqrt(np.einsum("ij,ij->i", q, q))[:, None] * np.linalg.norm(directions, axis=0)
    return np.abs(q @ directions) > MOVED * reach


def _best(table: Table, thetas: Array) -> int:
    """The candidate that the fewest rows are off; the first of those as good as each other.

    Where as few are off several, these are to be near it, then above it, lest chance should
    choose.
    """
    off, distance, excess = np.empty((3, len(thetas)))
    size = max(1, BATCH_ENTRIES // table.n)
    for start in range(0, len(thetas), size):
        batch = slice(start, start + size)
        residual = table.y - thetas[batch] @ table.q.T
        absolute = np.abs(residual)
        off[batch] = off_plane(table, absolute)
        distance[batch], excess[batch] = table.sum(absolute), table.sum(residual)
    least = off <= off.min() + ROUNDING * table.total
    close = TIED * distance[least].min()
    least &= distance <= distance[least].min() + close
    least &= excess >= excess[least].max() - close
    return int(np.argmax(least))

"""Of the planes that most rows lie on, the one that the most lie on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import SUMMED, Array, Mask
from robustreg._parallel import slices
from robustreg.subsampling.criteria import off_plane
from robustreg.subsampling.elemental import edges, elemental_fits
from robustreg.subsampling.table import Table

BASES = 5  # of rows on the plane, whose edges are the directions to search in
DRAWS = 200  # subsets of the rows that directions move
TOGETHER = 8  # edges at most: more than that are hardly ever without a bad row
PASSES = 10  # through all directions, at most
MOVED = 1e-7  # of a row's length: products with edges of unit length below that are 0, rounded
BATCH_ENTRIES = 2**18  # residuals of a batch of candidates
LIMIT = 1e140  # of residuals of rows far out, whose squares have sums
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
    with np.errstate(over="ignore", invalid="ignore"):  # of rows far off
        planes = np.array([_climb(table, theta) for theta in thetas])
        return planes[_best(table, planes, table.y)]


def _climb(table: Table, theta: Array) -> Array:
    weight = table.weigh(np.ones(table.n))
    for _ in range(PASSES):
        residual, begun = table.residuals(theta), theta
        for directions, rows in _directions(table, np.abs(residual) <= table.zero):
            moved = weight[rows]
            if moved @ (np.abs(residual[rows]) <= table.zero) > (0.5 + SUMMED) * moved.sum():
                continue  # more rows would be lost than won
            part = table.take(np.flatnonzero(rows))
            part = replace(part, q=part.q @ directions, y=residual[rows])
            steps = np.vstack([np.zeros(part.m), elemental_fits(part, DRAWS, RandomState(0))])
            best = _best(part, steps, table.y[rows])
            trial = theta + directions @ steps[best]
            # a plane far away may have lost the digits that its rows need
            if best > 0 and _best(table, np.array([theta, trial]), table.y) > 0:
                theta, residual = trial, table.residuals(trial)
        if theta is begun:
            break
    return theta


def _directions(table: Table, on: Mask) -> Iterator[tuple[Array, Mask]]:
    """Edges of rows on the plane, one by one and with those that move the same rows; which rows."""
    if not on.any():  # in these digits: beside gross y, those of a residual depend on the way to it
        return
    length, seen = np.sqrt(np.einsum("ij,ij->i", table.q, table.q)), set()
    for basis in edges(table.take(np.flatnonzero(on)), BASES, RandomState(0)):
        moved = np.abs(basis.T @ table.q.T) > MOVED * length
        counted = moved.astype(np.float64)
        common = table.weigh(counted) @ counted.T
        alike = common >= 0.5 * np.diag(common)  # hardly a row that the other one does not move
        for members in (*np.eye(table.m, dtype=bool), *alike):
            rows = moved[members].any(axis=0)
            key = (members.sum(), rows.tobytes())
            # one that moves no row, but for its rounding, leads to no other plane
            if rows.any() and members.sum() <= TOGETHER and key not in seen:
                seen.add(key)
                yield basis[:, members], rows


def _best(table: Table, thetas: Array, y: Array) -> int:
    """The candidate that the fewest rows are off; the first of those as good as each other.

    Where as few are off several, these are to be near it, then the fitted values, what is left of
    ``y``, near the middle of y, then low, lest chance should choose.
    """
    off, distance, height, level = np.empty((4, len(thetas)))
    for batch in slices(len(thetas), max(1, BATCH_ENTRIES // table.n)):
        residual = table.y - thetas[batch] @ table.q.T
        residual = np.clip(np.where(np.isnan(residual), LIMIT, residual), -LIMIT, LIMIT)
        absolute, fitted = np.abs(residual), y - residual
        off[batch], distance[batch] = off_plane(table, absolute), table.sum(absolute)
        height[batch], level[batch] = table.sum(fitted * fitted), table.sum(fitted)
    good = off <= off.min() + SUMMED * table.total
    good &= distance <= distance[good].min() * (1.0 + TIED)
    good &= height <= height[good].min() * (1.0 + TIED)
    good &= level <= level[good].min() + TIED * np.abs(level[good]).max()
    return int(np.argmax(good))

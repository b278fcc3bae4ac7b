"""The best of many candidates, found on samples of the rows that grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import lstsq
from robustreg._parallel import map_ordered
from robustreg.subsampling.criteria import Criterion
from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.table import Table, ridge

STEPS = 2  # of every candidate, before the better ones are told from the others
KEPT = 10  # candidates that go on from there
MAX_STEPS = 100  # of these, at most
SETTLED = 1e-8  # relative decrease of the criterion below which a candidate goes no further
SAME = 1e-6  # candidates whose criteria differ by less, relatively, are taken for one
FITS_WITHIN, ROWS_WITHIN = 50, 2  # subsets of the best candidate's rows, and rows a coordinate
SMALL, SMALL_PER_COLUMN = 4_000, 100  # rows up to which all candidates see all of them
GROUPS, GROUP_ROWS, GROUP_ROWS_PER_COLUMN = 5, 400, 10
BATCH_ENTRIES = 2**16  # residuals of a batch of candidates: they stay in the processor's cache
PAIRED = 40  # coordinates up to which the products of all pairs are worth their memory


def find(
    table: Table,
    criterion: Criterion,
    *,
    n_subsamples: int,
    random: RandomState,
    more: Callable[[Index | None], Array],
    kept: int,
) -> Array:
    """Local optima of a criterion, the best ones first, on all rows or a sample of them.

    Candidates are the exact fits to ``n_subsamples`` elemental subsets, and more. Each is
    improved by a few steps; the best ones go on until they settle. Of many rows, candidates
    come from five random groups, are improved there, then on the groups together (the strategy
    of Rousseeuw and Van Driessen, 2006, and of Salibian-Barrera and Yohai, 2006, for large n).
    Threads share batches of candidates, which do not depend on their number.

    Parameters
    ----------
    table : Table
        All rows.
    criterion : Criterion
        What is to be small.
    n_subsamples : int
        Number of elemental subsets.
    random : RandomState
        Source of the draws.
    more : callable
        ``more(index)``: further candidates, from a sample of the rows (None: all).
    kept : int
        Optima returned, at most.

    Returns
    -------
    ndarray of shape (at most ``kept``, m)
    """
    sample, candidates = _candidates(table, criterion, n_subsamples, random, more)
    refinery = Refinery(sample, criterion, table.n_threads)
    best = refinery.settle(best_of(*refinery.improve(candidates, STEPS), KEPT), KEPT)
    for _ in range(criterion.rounds if sample is table else 0):
        near = fits_within(sample, criterion, best[0], FITS_WITHIN, random)
        best = refinery.settle(np.vstack([best, near]), KEPT)
    return best[:kept]


def _candidates(
    table: Table,
    criterion: Criterion,
    n_subsamples: int,
    random: RandomState,
    more: Callable[[Index | None], Array],
) -> tuple[Table, Array]:
    """The sample of the rows that is searched, and the candidates to begin with."""
    if fits_in_one(table):
        return table, np.vstack([elemental_fits(table, n_subsamples, random), more(None)])
    drawn = random.permutation(table.n)[: GROUPS * _group_rows(table)]
    counts = np.diff(np.linspace(0, n_subsamples, GROUPS + 1).astype(int))
    found = []
    for index, count in zip(np.split(drawn, GROUPS), counts, strict=True):
        if count == 0:  # fewer subsets than groups
            continue
        group = table.take(np.sort(index))
        fits = elemental_fits(group, count, random)
        improved = Refinery(group, criterion, table.n_threads).improve(fits, STEPS)
        found.append(best_of(*improved, KEPT))
    index = np.sort(drawn)
    return table.take(index), np.vstack([*found, more(index)])


def fits_in_one(table: Table) -> bool:
    """Whether the table is small enough for all candidates to see all of its rows."""
    return table.n <= max(SMALL, SMALL_PER_COLUMN * table.m)


def _group_rows(table: Table) -> int:
    return max(GROUP_ROWS, GROUP_ROWS_PER_COLUMN * table.m)


class Refinery:
    """Improves many candidates at a time on one sample of the rows.

    Parameters
    ----------
    sample : Table
        The rows.
    criterion : Criterion
        What is to be small.
    n_threads : int
        Threads that share the batches of candidates.
    """

    def __init__(self, sample: Table, criterion: Criterion, n_threads: int) -> None:
        self.sample, self.criterion, self.n_threads = sample, criterion, n_threads
        # products of all pairs of columns, of which Gram matrices are weighted sums
        self._lower = np.tril_indices(sample.m)
        paired = sample.m <= PAIRED
        with np.errstate(over="ignore"):  # of rows far away: candidates with such sums come last
            self._pairs = np.prod(sample.q.T[np.array(self._lower)], axis=0).T if paired else None

    def improve(self, thetas: Array, steps: int) -> tuple[Array, Array]:
        """Candidates after some reweighted least-squares steps, and their criteria."""
        size = max(1, BATCH_ENTRIES // self.sample.n)
        batches = [thetas[start : start + size] for start in range(0, len(thetas), size)]

        def work(batch: Array) -> tuple[Array, Array]:
            level = None
            # candidates far away come last
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                for _ in range(steps):
                    residual = self._residuals(batch)
                    weights, level = self.criterion.weigh(self.sample, np.abs(residual), level)
                    batch = batch + self._least_squares(weights, residual)
                absolute = np.abs(self._residuals(batch))
                return batch, self.criterion.values(self.sample, absolute, level)

        parts = map_ordered(work, batches, self.n_threads)
        return np.vstack([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def settle(self, thetas: Array, count: int) -> Array:
        """The best optima that candidates come to, the best one first.

        Candidates rest when their criterion falls no more, and become one when they meet.
        """
        values, going = np.full(len(thetas), np.inf), np.arange(len(thetas))
        for _ in range(MAX_STEPS // STEPS):
            moved, reached = self.improve(thetas[going], STEPS)
            falling = reached < values[going] * (1.0 - SETTLED)
            thetas[going], values[going] = moved, reached
            first = _distinct(values)
            going = np.intersect1d(going[falling], first)
            if not len(going):
                break
        return best_of(thetas, values, count)

    def _least_squares(self, weights: Array, residual: Array) -> Array:
        """Weighted least-squares steps of all candidates: solve ``(Q'V Q) step = Q'V r``."""
        q, m = self.sample.q, self.sample.m
        pull = (weights * residual) @ q
        gram = np.empty((len(weights), m, m))
        if self._pairs is None:
            for k, weight in enumerate(weights):
                gram[k] = (weight[:, None] * q).T @ q
        else:
            rows, columns = self._lower
            lower = weights @ self._pairs
            gram[:, rows, columns] = lower
            gram[:, columns, rows] = lower
        size = np.einsum("kii->k", gram)
        gram[:, np.arange(m), np.arange(m)] += ridge(size, self.sample.total)[:, None]
        return np.linalg.solve(gram, pull[:, :, None])[:, :, 0]

    def _residuals(self, thetas: Array) -> Array:
        return self.sample.y - thetas @ self.sample.q.T


def best_of(thetas: Array, values: Array, count: int) -> Array:
    """The best candidates; of those that have come to the same optimum one."""
    return thetas[_distinct(values)[:count]]


def _distinct(values: Array) -> Index:
    """Candidates of different criteria, in increasing order."""
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):  # infinities
        new = np.append(True, np.diff(values[order]) > SAME * values[order][1:])
    return order[new]


def fits_within(
    sample: Table, criterion: Criterion, theta: Array, count: int, random: RandomState
) -> Array:
    """Least squares on random subsets of the rows that count in a fit.

    The outliers are told by then. What is left are the many optima that differ in a few rows of
    the bulk, and fits to some of its rows lead to others, and better ones, than random rows do.
    """
    residual = sample.residuals(theta)
    weights, _ = criterion.weigh(sample, np.abs(residual)[None], None)
    inside = np.flatnonzero(weights[0])
    size = min(len(inside), ROWS_WITHIN * sample.m)
    fits = np.empty((count, sample.m))
    for k in range(count):
        part = sample.take(inside[random.randint(len(inside), size=size)])
        fits[k] = theta + lstsq(part.q, part.residuals(theta))
    return fits

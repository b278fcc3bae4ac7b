"""The best of many candidates, found on samples of the rows that grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import OutOfRangeError
from robustreg.subsampling.criteria import Criterion
from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.refinery import KEPT, Refinery, best_of, solutions
from robustreg.subsampling.table import Table

CLEAN = 5  # subsets without a bad row from which on the worse candidates are left behind early
CLOSE = 0.01  # relative: an optimum of all rows that is higher by more is not followed
FITS_WITHIN, ROWS_WITHIN = 100, 2  # subsets of the best candidate's rows, and rows a coordinate
SMALL, SMALL_PER_COLUMN = 4_000, 100  # rows up to which the best candidates see all of them
GROUPS = 5  # of rows, at most
# Rows of a group, at least, and for each coordinate: where the best see all rows, and above.
SMALL_GROUP, GROUP = (200, 30), (400, 10)


def find(
    table: Table,
    criterion: Criterion,
    *,
    n_subsamples: int,
    random: RandomState,
    more: Callable[[Index | None], Array],
    kept: int,
) -> tuple[Array, Array]:
    """Local optima of a criterion, the best ones first, on all rows or a sample of them.

    Candidates are the exact fits to ``n_subsamples`` elemental subsets, and more. Each takes a
    step, the better ones some more; the best go on until they settle. Of many rows, candidates
    come from random groups, are improved there, then on all rows or, of very many, on the groups
    together (the strategy of Rousseeuw and Van Driessen, 2006, and of Salibian-Barrera and
    Yohai, 2006, for large n). Threads share batches of candidates, which do not depend on their
    number.

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
        The optima.
    ndarray of shape (at most ``kept``,)
        About what the criterion is there, on the rows that were searched.
    """
    early = plenty(n_subsamples, table.m)
    sample, candidates = _candidates(table, criterion, n_subsamples, random, more)
    refinery = Refinery(sample, criterion, table.n_threads)
    best, values = refinery.settle(*refinery.sieve(candidates, early=early), early=early)
    for _ in range(criterion.rounds if sample is table else 0):
        near = fits_within(sample, criterion, best[0], FITS_WITHIN, random)
        near, levels = refinery.sieve(near, early=early)
        best, values = refinery.settle(
            np.vstack([best[:1], near]), np.append(values[0], levels), early=early
        )
    if sample is table and early:
        close = ~(values > values[0] * (1.0 + CLOSE))
        best, values = best[close], values[close]
    return best[:kept], values[:kept]


def _candidates(
    table: Table,
    criterion: Criterion,
    n_subsamples: int,
    random: RandomState,
    more: Callable[[Index | None], Array],
) -> tuple[Table, Array]:
    """The sample of the rows that is searched, and the candidates to begin with."""
    whole, early = fits_in_one(table), plenty(n_subsamples, table.m)
    least, per_column = SMALL_GROUP if whole else GROUP
    rows = max(least, per_column * table.m)
    groups = min(GROUPS, table.n // rows)
    fits = elemental_fits(table, n_subsamples, random) if whole else None
    if fits is not None and groups < 2:
        return table, np.vstack([fits, more(None)])
    drawn = random.permutation(table.n)[: GROUPS * rows]
    bounds = np.linspace(0, n_subsamples, groups + 1).astype(int)
    found = []
    for k, index in enumerate(np.array_split(drawn, groups)):
        first, last = bounds[k : k + 2]
        if first == last:  # fewer subsets than groups
            continue
        group = table.take(np.sort(index))
        # subsets of all rows know more of what few rows have
        own = elemental_fits(group, last - first, random) if fits is None else fits[first:last]
        refinery = Refinery(group, criterion, table.n_threads)
        found.append(best_of(*refinery.sieve(own, early=early), KEPT))
    if whole:
        return table, np.vstack([*found, more(None)])
    index = np.sort(drawn)
    return table.take(index), np.vstack([*found, more(index)])


def plenty(n_subsamples: int, m: int) -> bool:
    """Whether some subsets of m rows will have no bad row, were half of all rows bad."""
    return n_subsamples >= CLEAN * 2.0**m


def fits_in_one(table: Table) -> bool:
    """Whether the table is small enough for the best candidates to see all of its rows."""
    return table.n <= max(SMALL, SMALL_PER_COLUMN * table.m)


def fits_within(
    sample: Table, criterion: Criterion, theta: Array, count: int, random: RandomState
) -> Array:
    """Least squares on random subsets of the rows that count in a fit.

    The outliers are told by then. What is left are the many optima that differ in a few rows of
    the bulk, and fits to some of its rows lead to others, and better ones, than random rows do.
    """
    residual = sample.residuals(theta)
    absolute = np.abs(residual)[None]
    with np.errstate(all="ignore"):
        weigh, _ = criterion.look(sample, absolute, None)
        weights = weigh(absolute, slice(None))
    inside = np.flatnonzero(weights[0])
    size = min(len(inside), ROWS_WITHIN * sample.m)
    if not len(inside):  # no residual is a number
        raise OutOfRangeError
    rows = inside[random.randint(len(inside), size=(count, size))]
    q = sample.q[rows]
    with np.errstate(over="ignore", invalid="ignore"):
        gram = np.matmul(q.transpose(0, 2, 1), q)
        pull = np.matmul(residual[rows][:, None], q)[:, 0]
        finite = np.isfinite(np.einsum("kii->", gram)) and np.isfinite(pull).all()
    if not finite:
        raise OutOfRangeError
    return theta + solutions(gram, pull, float(size))

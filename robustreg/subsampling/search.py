"""The best of many candidates, found on samples of the rows that grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import RandomState

from robustreg._arrays import Array, Index, Mask
from robustreg._linalg.factors import OutOfRangeError
from robustreg._parallel import map_ordered, slices
from robustreg.subsampling.criteria import Criterion
from robustreg.subsampling.elemental import elemental_fits
from robustreg.subsampling.table import Table, ridge

PASSED = 0.25  # of candidates, the better ones, that take a second step, and again a third one
SETTLING = 20
CLEAN = 5  # subsets without a bad row from which on the worse candidates are left behind early
KEPT = 10  # candidates that go on from there
MAX_STEPS = 100  # of these, at most
SETTLED = 1e-8  # relative decrease of the criterion below which a candidate goes no further
HOPE = 10.0  # times its last decrease is what a candidate may still win
READY = 1e-3  # relative decrease of the criterion below which a candidate is near its optimum
SAME = 1e-6  # candidates whose criteria differ by less, relatively, are taken for one
CLOSE = 0.01  # relative: an optimum of all rows that is higher by more is not followed
FITS_WITHIN, ROWS_WITHIN = 50, 2  # subsets of the best candidate's rows, and rows a coordinate
SMALL, SMALL_PER_COLUMN = 4_000, 100  # rows up to which the best candidates see all of them
GROUPS = 5  # of rows, at most
# Rows of a group, at least, and for each coordinate: where the best see all rows, and above.
SMALL_GROUP, GROUP = (200, 30), (400, 10)
# Residuals of a batch of candidates, whose temporary arrays the system then hands out again without
# clearing them, and candidates of a batch per coordinate: it reads all products of two columns.
BATCH_ENTRIES, BATCH_PER_COLUMN = 15_000, 3
SQUARE = 8  # coordinates up to which a product of two columns is summed in both orders
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
        best = best[~(values > values[0] * (1.0 + CLOSE))]
    return best[:kept]


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


# The weights and levels of a part of the candidates, from their absolute residuals.
Look = Callable[[Array, slice], tuple[Array, Array]]


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
        first, second = self._pair = np.tril_indices(sample.m)
        if sample.m <= SQUARE:  # both halves take less time than putting one in place twice
            first, second = np.indices((sample.m, sample.m)).reshape(2, -1)
        with np.errstate(over="ignore"):  # of rows far away: candidates with such sums come last
            paired = sample.m <= PAIRED
            self._pairs = sample.q[:, first] * sample.q[:, second] if paired else None

    def step(self, thetas: Array, look: Look, share: float = 1.0, exact=False) -> tuple[Array, Array]:
        """The better candidates after a reweighted least-squares step, and their levels before.

        ``look`` weighs the rows of a part of them. A share of each batch, but at least ``KEPT``
        of it, is better.
        """

        def work(part: slice) -> tuple[Array, Array]:
            batch = thetas[part]
            # candidates far away come last
            with np.errstate(all="ignore"):
                residual = self.sample.y - batch @ self.sample.q.T
                absolute = np.abs(residual)
                weights, level = look(absolute, part)
                if not level.min() > self.criterion.least(self.sample):
                    level = self.criterion.values(self.sample, absolute, level)
                count = max(KEPT, int(share * len(batch)))
                if count < len(batch):
                    kept = np.sort(np.argsort(level, kind="stable")[:count])
                    batch, level = batch[kept], level[kept]
                    weights, residual = weights[kept], residual[kept]
                    absolute = absolute[kept]
                if exact:
                    level = self.criterion.values(self.sample, absolute, level)
                return batch + self._least_squares(weights, residual), level

        size = max(BATCH_ENTRIES // self.sample.n, BATCH_PER_COLUMN * self.sample.m, 1)
        parts = map_ordered(work, slices(len(thetas), size), self.n_threads)
        return np.vstack([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def sieve(self, thetas: Array, *, early: bool) -> tuple[Array, Array]:
        """The best candidates after three steps, and their criteria before the last one.

        The worse ones are left behind after two, and ``early`` most of them after one.
        """
        sample, criterion = self.sample, self.criterion

        def first(absolute: Array, part: slice) -> tuple[Array, Array]:
            return criterion.first_weights(sample, absolute)

        def anew(absolute: Array, part: slice) -> tuple[Array, Array]:
            return criterion.weigh(sample, absolute, None)

        thetas, _ = self.step(thetas, first)
        if not early:
            thetas, _ = self.step(thetas, first)
            return self.step(thetas, anew, PASSED, exact=True)
        thetas, levels = self.step(thetas, anew, PASSED)
        return self.step(
            thetas,
            lambda absolute, part: criterion.weigh(sample, absolute, levels[part]),
            PASSED,
            exact=True,
        )

    def settle(self, thetas: Array, levels: Array, *, early: bool) -> tuple[Array, Array]:
        """The best optima that candidates come to, the best one first, and their criteria.

        The levels are those before the step that led to the candidates. Candidates rest when
        their criterion falls no more, and become one when they meet. They give up ``early`` where
        what they still win will hardly bring them below the best.
        """
        sample, criterion = self.sample, self.criterion
        chosen = _distinct(levels)[:SETTLING]
        thetas, values = thetas[chosen], levels[chosen]
        going, fall = np.arange(len(thetas)), np.full(len(thetas), np.inf)
        for _ in range(MAX_STEPS):
            moved, before = thetas[going], values[going]
            if not early and criterion.apart:
                moved, before = self.step(
                    moved, lambda absolute, _: criterion.weigh(sample, absolute, None)
                )
            moved, reached = self.step(
                moved, lambda absolute, part: criterion.weigh(sample, absolute, before[part])
            )
            fall[going] = values[going] - reached
            thetas[going], values[going] = moved, reached
            if early and criterion.apart:
                values[values - HOPE * fall > values.min()] = np.inf
            values[_have_met(thetas, values, fall, criterion.apart)] = np.inf
            first = _distinct(values)
            going = np.sort(first[(fall > SETTLED * values)[first]])
            if len(going) < 2:
                break
        order = _distinct(values)[:KEPT]
        order = order[np.isfinite(values[order])] if np.isfinite(values).any() else order[:1]
        return thetas[order], values[order]

    def _least_squares(self, weights: Array, residual: Array) -> Array:
        """Weighted least-squares steps of all candidates: solve ``(Q'V Q) step = Q'V r``."""
        q, m = self.sample.q, self.sample.m
        pull = (weights * residual) @ q
        if self._pairs is None:
            gram = np.empty((len(weights), m, m))
            for k, weight in enumerate(weights):
                gram[k] = (weight[:, None] * q).T @ q
        elif m <= SQUARE:
            gram = (weights @ self._pairs).reshape(-1, m, m)
        else:
            gram = np.empty((len(weights), m, m))
            rows, columns = self._pair
            lower = weights @ self._pairs
            gram[:, rows, columns] = lower
            gram[:, columns, rows] = lower
        return _solutions(gram, pull, self.sample.total)


def best_of(thetas: Array, values: Array, count: int) -> Array:
    """The best candidates; of those that have come to the same optimum one."""
    return thetas[_distinct(values)[:count]]


def _distinct(values: Array) -> Index:
    """Candidates of different criteria, in increasing order."""
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):  # infinities
        new = np.append(True, np.diff(values[order]) > SAME * values[order][1:])
    return order[new]


def _have_met(thetas: Array, values: Array, fall: Array, apart: float) -> Mask:
    """Candidates that are next to a better one, both of them near their optimum.

    On their way they may be as near each other, and part: a saddle lies between them.
    """
    if not apart:
        return np.zeros(len(values), dtype=bool)
    near = fall <= READY * values
    with np.errstate(invalid="ignore", over="ignore"):
        between = thetas[:, None] - thetas
        met = np.einsum("ijk,ijk->ij", between, between) <= (apart * values) ** 2
    met &= (values[:, None] > values) & near & near[:, None]
    found: Mask = met.any(axis=1)
    return found


def fits_within(
    sample: Table, criterion: Criterion, theta: Array, count: int, random: RandomState
) -> Array:
    """Least squares on random subsets of the rows that count in a fit.

    The outliers are told by then. What is left are the many optima that differ in a few rows of
    the bulk, and fits to some of its rows lead to others, and better ones, than random rows do.
    """
    residual = sample.residuals(theta)
    with np.errstate(all="ignore"):
        weights, _ = criterion.weigh(sample, np.abs(residual)[None], None)
    inside = np.flatnonzero(weights[0])
    rows = inside[random.randint(len(inside), size=(count, min(len(inside), ROWS_WITHIN * sample.m)))]
    q = sample.q[rows]
    with np.errstate(over="ignore", invalid="ignore"):
        gram = np.matmul(q.transpose(0, 2, 1), q)
        pull = np.matmul(residual[rows][:, None], q)[:, 0]
    if not (np.isfinite(gram).all() and np.isfinite(pull).all()):
        raise OutOfRangeError
    return theta + _solutions(gram, pull, float(rows.shape[1]))


def _solutions(gram: Array, pull: Array, total: float) -> Array:
    """What solves ``gram @ step = pull`` for each of many, rows of a total weight in each."""
    size, diagonal = np.einsum("kii->k", gram), np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += ridge(size, total)[:, None]
    return np.linalg.solve(gram, pull[:, :, None])[:, :, 0]

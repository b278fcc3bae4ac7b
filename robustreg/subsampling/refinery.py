"""Many candidates for a fit of high breakdown, improved together on one sample of the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robustreg._arrays import Array, Index, Mask
from robustreg._parallel import map_ordered, slices
from robustreg.subsampling.criteria import Criterion, Weigh
from robustreg.subsampling.table import Table, ridge

PASSED = 0.25  # of candidates, the better ones, take part in the last step of a sieve
KEPT = 10  # of each batch, at least, and optima in the end, at most
SETTLING = 20  # candidates that go on until they settle, at most
MAX_STEPS = 100  # of these, at most
SETTLED = 1e-8  # relative decrease of the criterion below which a candidate goes no further
HOPE = 10.0  # times its last decrease is what a candidate may still win
READY = 1e-3  # relative decrease of the criterion below which a candidate is near its optimum
SAME = 1e-6  # candidates whose criteria differ by less, relatively, are taken for one
# Residuals of a batch of candidates, whose temporary arrays the system hands out again without
# clearing them; its candidates, at least, and for each coordinate, since every batch reads all rows
# and the products of their columns; and its residuals, at most.
BATCH_ENTRIES, BATCH, BATCH_PER_COLUMN, MOST_ENTRIES = 15_000, 32, 3, 2**17
# Coordinates up to which a product of two columns is summed in both orders, by one thread.
SQUARE = 8
PAIRED = 40  # coordinates up to which the products of all pairs are worth their memory


# What weighs the rows of a part of the candidates, and levels, from their absolute residuals.
Look = Callable[[Array, slice], tuple[Weigh, Array]]


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
        self.sample, self.criterion = sample, criterion
        # of few columns a batch takes so little time that handing it over takes half as much
        self.n_threads = n_threads if sample.m > SQUARE else 1
        # products of all pairs of columns, of which Gram matrices are weighted sums
        first, second = self._pair = np.tril_indices(sample.m)
        if sample.m <= SQUARE:  # both halves take less time than putting one in place twice
            first, second = np.indices((sample.m, sample.m)).reshape(2, -1)
        with np.errstate(over="ignore"):  # of rows far away: candidates with such sums come last
            paired = sample.m <= PAIRED
            self._pairs = sample.q[:, first] * sample.q[:, second] if paired else None

    def step(
        self, thetas: Array, look: Look, share: float = 1.0, *, exact: bool = False
    ) -> tuple[Array, Array]:
        """The better candidates after a reweighted least-squares step, and their levels before.

        A ``share`` of each batch, but at least ``KEPT`` of it, is better, and alone takes the step.
        ``exact`` levels are the criterion itself.
        """
        sample, criterion = self.sample, self.criterion

        def work(part: slice) -> tuple[Array, Array]:
            batch = thetas[part]
            with np.errstate(all="ignore"):  # candidates far away come last
                residual = sample.y - batch @ sample.q.T
                absolute = np.abs(residual)
                weigh, level = look(absolute, part)
                if not level.min() > criterion.least(sample):
                    level = criterion.values(sample, absolute, level)
                count = max(KEPT, int(share * len(batch)))
                better: Index | slice = slice(None)
                if count < len(batch):
                    better = np.sort(np.argsort(level, kind="stable")[:count])
                    batch, level = batch[better], level[better]
                    residual, absolute = residual[better], absolute[better]
                if exact:
                    level = criterion.values(sample, absolute, level)
                weights = weigh(absolute, better)
                return batch + self._least_squares(weights, residual), level

        together = self._together(len(thetas))
        if together == len(thetas):
            return work(slice(None))
        parts = map_ordered(work, slices(len(thetas), together), self.n_threads)
        return np.vstack([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _together(self, count: int) -> int:
        """How many of some candidates make a batch, all of the same size but for the last one."""
        n, m = self.sample.n, self.sample.m
        most = min(max(BATCH_ENTRIES // n, BATCH, BATCH_PER_COLUMN * m), MOST_ENTRIES // n)
        batches = -(-count // max(1, most))
        return -(-count // max(1, batches))

    def first_look(self, absolute: Array, part: slice) -> tuple[Weigh, Array]:
        """Weights for the first step of candidates, and what may serve as their levels."""
        return self.criterion.first_look(self.sample, absolute)

    def look(self, levels: Array | None = None) -> Look:
        """Weights and levels of candidates that had these levels before their last step."""

        def look(absolute: Array, part: slice) -> tuple[Weigh, Array]:
            before = None if levels is None else levels[part]
            return self.criterion.look(self.sample, absolute, before)

        return look

    def sieve(self, thetas: Array, *, early: bool) -> tuple[Array, Array]:
        """The best candidates after three steps, and their criteria before the last one.

        The worse ones are left behind after two, and ``early`` the criterion's shares of them.
        """
        if not early:
            thetas, _ = self.step(thetas, self.first_look)
            thetas, _ = self.step(thetas, self.first_look)
            return self.step(thetas, self.look(), PASSED, exact=True)
        first, later = self.criterion.passed
        thetas, _ = self.step(thetas, self.first_look, first)
        thetas, levels = self.step(thetas, self.look(), later)
        return self.step(thetas, self.look(levels), later, exact=True)

    def settle(self, thetas: Array, levels: Array, *, early: bool) -> tuple[Array, Array]:
        """The best optima that candidates come to, the best one first, and their criteria.

        The levels are those before the step that led to the candidates. Candidates rest when
        their criterion falls no more, and become one when they meet. Where optima are few, they
        give up ``early`` if what they still win will hardly bring them below the best; or else
        each second step is with the weights of a first one, which leads farther.
        """
        few = self.criterion.apart > 0.0
        chosen = _distinct(levels)[:SETTLING]
        thetas, values = thetas[chosen], levels[chosen]
        going, fall = np.arange(len(thetas)), np.full(len(thetas), np.inf)
        for _ in range(MAX_STEPS):
            moved, before = thetas[going], values[going]
            if few and not early:
                moved, before = self.step(moved, self.look())
            moved, reached = self.step(moved, self.look(before))
            fall[going] = values[going] - reached
            thetas[going], values[going] = moved, reached
            if few and early:
                values[values - HOPE * fall > values.min()] = np.inf
            if few:
                values[have_met(thetas, values, fall, self.criterion.apart)] = np.inf
            best = _distinct(values)
            going = np.sort(best[(fall > SETTLED * values)[best]])
            if len(going) < 2:
                break
        best = _distinct(values)[:KEPT]
        best = best[np.isfinite(values[best])] if np.isfinite(values).any() else best[:1]
        return thetas[best], values[best]

    def _least_squares(self, weights: Array, residual: Array) -> Array:
        """Weighted least-squares steps of all candidates: solve ``(Q'V Q) step = Q'V r``."""
        q, m = self.sample.q, self.sample.m
        pull = (weights * residual) @ q
        if self._pairs is None:
            gram = np.empty((len(weights), m, m))
            for k, weight in enumerate(weights):
                gram[k] = (weight[:, None] * q).T @ q
        elif m <= SQUARE:
            gram = (weights @ self._pairs).reshape(len(weights), m, m)
        else:
            gram = np.empty((len(weights), m, m))
            rows, columns = self._pair
            lower = weights @ self._pairs
            gram[:, rows, columns] = lower
            gram[:, columns, rows] = lower
        return solutions(gram, pull, self.sample.total)


def best_of(thetas: Array, values: Array, count: int) -> Array:
    """The best candidates; of those that have come to the same optimum one."""
    return thetas[_distinct(values)[:count]]


def _distinct(values: Array) -> Index:
    """Candidates of different criteria, in increasing order."""
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):  # infinities
        new = np.append(True, np.diff(values[order]) > SAME * values[order][1:])
    return order[new]


def have_met(thetas: Array, values: Array, fall: Array, apart: float) -> Mask:
    """Candidates that are next to a better one, both of them near their optimum.

    On their way they may be as near each other, and part: a saddle lies between them.
    """
    near = fall <= READY * values
    with np.errstate(invalid="ignore", over="ignore"):
        between = thetas[:, None] - thetas
        met = np.einsum("ijk,ijk->ij", between, between) <= (apart * values) ** 2
    met &= (values[:, None] > values) & near & near[:, None]
    found: Mask = met.any(axis=1)
    return found


def solutions(gram: Array, pull: Array, total: float) -> Array:
    """What solves ``gram @ step = pull`` for each of many, rows of a total weight in each."""
    size, diagonal = np.einsum("kii->k", gram), np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += ridge(size, total)[:, None]
    return np.linalg.solve(gram, pull[:, :, None])[:, :, 0]

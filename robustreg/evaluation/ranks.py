"""The rank of a sparse X beside an intercept: most often groups of dummies are all that depends.

With the sums of the groups added, a Gram matrix that would be regular without them has a Cholesky
factor. That of some rows is no larger than that of all, so that a few of them prove it, if they
hold every column several times: in a tenth of the time that all take.
"""

from __future__ import annotations

import numpy as np

from robustreg._arrays import Array, Index
from robustreg._linalg.factors import cholesky_factor
from robustreg.evaluation.categories import complete_groups
from robustreg.evaluation.choice import white
from robustreg.evaluation.coordinates import Coordinates
from robustreg.evaluation.moments import moments, squared
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.rows import RowBlocks
from robustreg.evaluation.survey import read_rows
from robustreg.evaluation.whitening import MIN_RCOND

ENOUGH = 6.0  # rows of typical size for each column, where it has as many
FEW = 0.5  # of the rows, at most, that are worth a look for themselves


def rank_of_sparse(problem: Problem, own: Coordinates) -> int:
    """The rank of a sparse X in memory and the intercept's column.

    Parameters
    ----------
    problem : Problem
        Whose columns are few enough for a Gram matrix.
    own : Coordinates
        Of its columns in units of their spreads, without a ridge.

    Returns
    -------
    int
        With groups of dummies that make up the intercept's column, where these are all that is
        collinear, counted from these; else that of white coordinates.
    """
    rows, live = own.rows, np.flatnonzero(own.basis)
    groups = complete_groups(problem.X) if rows.fit_intercept else np.full(rows.p, -1)
    telling = _telling(own)
    are_few = 0 < len(telling) <= FEW * rows.n
    regular = are_few and _is_regular(_read(problem.subset(telling)), live, groups)
    if not (regular or _is_regular(rows, live, groups)):
        return white(problem)[0].rank
    count = int(groups.max(initial=-1)) + 1
    return min(len(live) - count + int(rows.fit_intercept), rows.n)


def _read(problem: Problem) -> RowBlocks:
    return read_rows(problem.observed, problem.fit_intercept)


def _is_regular(rows: RowBlocks, live: Index, groups: Index) -> bool:
    """Whether columns are independent but for the sums of groups, beyond doubt.

    Those that do not vary in the rows at hand are not.
    """
    _, second, _ = moments(rows, None)
    gram, spread = second.gram[:-1, :-1], second.spread(rows.total)[live]
    if not spread.all():
        return False
    if len(live) < rows.p:
        gram = gram[np.ix_(live, live)]
    gram /= spread[:, None] * rows.total
    gram /= spread
    count = int(groups.max(initial=-1)) + 1
    sums: Array = spread[:, None] * (groups[live, None] == np.arange(count))
    gram += sums @ sums.T
    return cholesky_factor(gram, MIN_RCOND) is not None


def _telling(own: Coordinates) -> Index:
    """Rows that hold every column about `ENOUGH` times, if there are so many.

    One after so much of what columns have in common with a row: they are as many times the
    columns, and most of the few rows of a rare level are among them.
    """
    rows = own.rows
    square = squared(rows.source.X)
    with np.errstate(over="ignore", invalid="ignore"):  # a share beyond 1 counts as 1
        share = square @ np.square(own.basis / rows.unit)
        if rows.weight is not None:
            share *= rows.weight
        counted = np.cumsum(np.minimum(share * (ENOUGH / rows.total), 1.0))
    return np.flatnonzero(np.diff(np.floor(counted), prepend=0.0) > 0.0)

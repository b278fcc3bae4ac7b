"""Groups of dummy columns of a sparse X of which every row has exactly one.

Their sum is the intercept's column: about the means of the columns it is 0 in every row, whatever
the rows count for. Along such a direction nothing curves an objective but a penalty.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robustreg._arrays import Index


def complete_groups(X: Any) -> Index:
    """The numbers of the groups that consecutive columns make up, -1 for columns of none.

    Parameters
    ----------
    X : CSR matrix of shape (n, p)
        Rows, their entries in the order of the columns.

    Returns
    -------
    ndarray of int, shape (p,)
        Numbers from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import sparse
    >>> X = sparse.csr_array([[0.5, 1, 0, 0, 1], [0.0, 0, 1, 1, 0], [2.0, 1, 0, 0, 1]])
    >>> print(complete_groups(X))
    [-1  0  0  1  1]
    """
    n, p = X.shape
    counts = np.bincount(X.indices, minlength=p)
    other = np.bincount(X.indices[X.data != 1.0], minlength=p) > 0
    counts[other] = n + 1  # these are in no group
    groups = _groups_by_counts(counts.tolist(), n)
    if not (X.has_sorted_indices and groups.max(initial=-1) >= 0):
        return np.full(p, -1)
    # as many entries as rows: each row has one of a group if none has two
    own = groups[X.indices]
    again = (own[1:] == own[:-1]) & (own[1:] >= 0)
    again[X.indptr[1:-1][(X.indptr[1:-1] > 0) & (X.indptr[1:-1] < len(own))] - 1] = False
    twice = np.unique(own[1:][again])
    groups[np.isin(groups, twice)] = -1
    return groups


def _groups_by_counts(counts: list[int], n: int) -> Index:
    """Runs of columns whose counts sum up to n."""
    groups = np.full(len(counts), -1)
    number, first, total = 0, 0, 0
    for j, count in enumerate(counts):
        total += count
        while total > n and first <= j:  # no run begins there
            total -= counts[first]
            first += 1
        if total == n and first <= j:
            groups[first : j + 1] = number
            number, first, total = number + 1, j + 1, 0
    return groups

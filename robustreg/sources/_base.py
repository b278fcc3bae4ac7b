"""The protocol of sources of rows, and the order in which sums over them are added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from robustreg._arrays import Array

Sums = TypeVar("Sums")

FAN_IN = 8  # sums that are added one after the other before their sum is added to others


class Job(Protocol):
    """A pure function of some consecutive rows. It can be pickled, and what it returns be added."""

    def __call__(self, X: Any, y: Array, weight: Array | None, index: int) -> Any:
        """The sums over a partition.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (m, p)
            Regressors, which are not written to.
        y : ndarray of shape (m,)
            Targets.
        weight : ndarray of shape (m,) or None
            Sample weights, None for ones.
        index : int
            The number of the partition, counted from 0 in the order of the rows.

        Returns
        -------
        object
            Sums of a size that does not depend on m; ``+`` adds them to another partition's, and
            leaves both as they are.
        """


@runtime_checkable
class RowSource(Protocol):
    """A table with its targets, in partitions of consecutive rows.

    Attributes
    ----------
    n_columns : int
        Columns of X.
    names : sequence of str or None
        Their names, if they have any.

    Examples
    --------
    >>> import numpy as np
    >>> from robustreg import HuberRegressor
    >>> from robustreg.sources import tree_sum
    >>> class Months:
    ...     n_columns, names = 1, ["day"]
    ...
    ...     def total(self, job):
    ...         return tree_sum(self._done(job, month) for month in range(12))
    ...
    ...     def _done(self, job, month):
    ...         day = np.arange(30.0 * month, 30.0 * (month + 1))
    ...         y = 2.0 * day + np.cos(day)
    ...         y[7] = 1e6
    ...         return job(day[:, None], y, None, month)
    >>> print(HuberRegressor().fit(Months()).coef_.round(3))
    [2.]
    """

    @property
    def n_columns(self) -> int:
        """Columns of X."""

    @property
    def names(self) -> Sequence[str] | None:
        """Their names, if they have any."""

    def total(self, job: Job) -> Any:
        """The sum of ``job(X, y, weight, index)`` over all partitions: one pass over the rows.

        Parameters
        ----------
        job : Job
            What is to be done with each partition, wherever that is.

        Returns
        -------
        object
            :func:`tree_sum` of what the job returns, in the order of the partitions.
        """


def tree_sum(parts: Iterable[Sums]) -> Sums:
    """The sum of parts, in an order that their number alone decides.

    Eight at a time are added to one, eight of these to another, and so on. Whoever adds in this
    order gets the same digits wherever the parts come from. Of each level no more than a sum is
    held.

    Parameters
    ----------
    parts : iterable
        Objects that ``+`` adds, at least one.

    Returns
    -------
    object
        Their sum.

    Raises
    ------
    ValueError
        If there are no parts.

    Examples
    --------
    >>> from robustreg.sources import tree_sum
    >>> tree_sum(range(100))
    4950
    """
    levels: list[_Level] = []
    for part in parts:
        carried: Any = part
        for level in levels:
            level.add(carried)
            if level.count < FAN_IN:
                break
            carried = level.taken()
        else:
            levels.append(_Level(carried))
    total: Any = None
    for level in levels:  # what is left of a level is a part of the next one
        if level.count:
            total = level.sum if total is None else level.sum + total
    if total is None:
        raise ValueError("tree_sum needs at least one part, got none.")
    found: Sums = total
    return found


class _Level:
    """The sum of the parts that have come to a level of the tree, and how many these are."""

    def __init__(self, part: Any) -> None:
        self.sum, self.count = part, 1

    def add(self, part: Any) -> None:
        """One part more."""
        self.sum = part if not self.count else self.sum + part
        self.count += 1

    def taken(self) -> Any:
        """The sum, which goes on to the next level."""
        found, self.sum, self.count = self.sum, None, 0
        return found


def in_order(parts: Sequence[Any]) -> Any:
    """The sum of parts from the first one on."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total

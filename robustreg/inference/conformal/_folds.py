"""Which rows a fit sees, and which are held out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, LeaveOneOut, check_cv
from sklearn.utils import check_random_state

from robustreg._arrays import Array, Index
from robustreg.model_selection._grid_search import row_numbers

Pair = tuple[Index, Index]


def has_own_folds(method: str, cv: Any) -> bool:
    """Whether rows are held out as the method does, and not as a splitter of the user's says."""
    return method == "jackknife+" or cv is None or isinstance(cv, Integral)


def own_folds(method: str, cv: Any, random_state: Any, rows: Index) -> Iterator[Pair]:
    """Training and held-out rows of every fit, one pair after the other.

    Parameters
    ----------
    method : {"split", "cv+", "jackknife+"}
        One half of the rows, ``cv`` parts, or one row at a time.
    cv : int or None
        Number of folds; None is 5. There are at most as many as rows.
    random_state : int, RandomState instance or None
        Determines the half, and the parts.
    rows : ndarray of int
        The rows that there are, two or more.
    """
    n = len(rows)
    if method == "split":
        order = check_random_state(random_state).permutation(n)
        yield rows[np.sort(order[: n // 2])], rows[np.sort(order[n // 2 :])]
        return
    if method == "jackknife+":
        splitter: Any = LeaveOneOut()
    else:
        folds = 5 if cv is None else int(cv)
        splitter = KFold(min(folds, n), shuffle=True, random_state=random_state)
    for train, test in splitter.split(rows):
        yield rows[train], rows[test]


def given_folds(
    method: str, cv: Any, X: Any, y: Array, split: dict[str, Any], counts: Any
) -> list[Pair]:
    """The folds of a splitter or an iterable, without the rows that do not count.

    Parameters
    ----------
    method : {"split", "cv+"}
        The first takes one fold.
    cv : splitter or iterable
        The user's.
    X, y : array-like, ndarray of shape (n,)
        The rows.
    split : dict
        What else the splitter gets.
    counts : ndarray of bool, shape (n,)
        Which rows have a positive weight.

    Raises
    ------
    ValueError
        If a fold has no rows to fit, one of its held-out rows is fitted as well, or a row is held
        out twice.
    """
    n = len(y)
    pairs = check_cv(cv).split(X, y, **split)
    folds = list(pairs) if hasattr(cv, "split") else _pairs(cv, pairs)
    numbers = [(row_numbers(train, n) % n, row_numbers(test, n) % n) for train, test in folds]
    if not numbers or not all(len(train) and len(test) for train, test in numbers):
        raise _no_folds(cv, n)
    if method == "split" and len(numbers) > 1:
        raise ValueError(
            f"method='split' takes a cv with one split, but {cv!r} has {len(numbers)}. "
            "method='cv+' takes several."
        )
    times = np.zeros(n, dtype=np.intp)
    for number, (train, test) in enumerate(numbers):
        np.add.at(times, test, 1)
        both = np.intersect1d(train, test)
        if len(both):
            raise ValueError(
                f"cv must hold rows out of the fits that score them, but fold {number} of {cv!r} "
                f"has {len(both)} rows in both parts, the first is row {both[0]}."
            )
    if times.max() > 1:
        raise ValueError(
            f"cv must hold out every row once at most, but {cv!r} holds out row "
            f"{int(np.argmax(times > 1))} {int(times.max())} times."
        )
    return _that_count(numbers, counts)


def _pairs(cv: Any, pairs: Iterable[Any]) -> list[tuple[Any, Any]]:
    """The items of an iterable, if they are pairs."""
    try:
        return [(train, test) for train, test in pairs]
    except (TypeError, ValueError) as error:
        raise ValueError(
            "cv must be a number, a splitter or an iterable of pairs (training rows, held-out "
            f"rows); got {cv!r}."
        ) from error


def _no_folds(cv: Any, n: int) -> ValueError:
    return ValueError(
        "cv must give one or more folds, each with training and held-out rows, as indices or "
        f"masks of the {n} rows; got {cv!r}."
    )


def _that_count(numbers: list[Pair], counts: Any) -> list[Pair]:
    """The folds without rows of weight 0."""
    kept = [(train[counts[train]], test[counts[test]]) for train, test in numbers]
    for number, (train, _) in enumerate(kept):
        if not len(train):
            raise ValueError(f"sample_weight is zero on all training rows of fold {number}.")
    kept = [(train, test) for train, test in kept if len(test)]
    if not kept:
        raise ValueError("sample_weight is zero on all held-out rows.")
    return kept

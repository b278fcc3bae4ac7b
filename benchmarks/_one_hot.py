"""Sparse tables of the kind that one-hot encoders make."""

from __future__ import annotations

import numpy as np
from scipy import sparse

NUMERIC = 5  # columns besides those of the levels


def one_hot(
    n: int, levels: int, categories: int = 6, leave_out: bool = False
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Five normal columns, then one column for each level of some categories.

    Both the numbers of levels and how often the levels of a category occur follow Pareto's law of
    index 1: the k-th largest category has 1/k of the levels of the largest, its j-th level 1/j of
    the rows of its first. Every level occurs. y has normal effects, noise of Student's t with 3
    degrees of freedom and 10 % gross errors.

    Parameters
    ----------
    n : int
        Rows; at least as many as the largest category has levels.
    levels : int
        Of all categories together; at least two for each.
    categories : int, default=6
        How many; every row has one entry for each, besides the five.
    leave_out : bool, default=False
        Whether the first level of each category has no column, so that the columns are independent
        of each other and of an intercept, up to rare levels that always come together.

    Returns
    -------
    X : csr_matrix of shape (n, 5 + levels) or (n, 5 + levels - categories)
        Without a column of ones.
    y : ndarray of shape (n,)
    """
    rng = np.random.default_rng(0)
    numeric = rng.standard_normal((n, NUMERIC))
    y = numeric @ rng.standard_normal(NUMERIC) + rng.standard_t(3, n)
    columns, kept = [np.broadcast_to(np.arange(NUMERIC), (n, NUMERIC))], []
    start = NUMERIC
    for count in numbers_of_levels(levels, categories):
        level = drawn_levels(rng, n, count)
        y += rng.standard_normal(count)[level]
        columns.append((start + level - leave_out)[:, np.newaxis])
        kept.append(level >= leave_out)
        start += count - leave_out
    wrong = rng.choice(n, n // 10, replace=False)
    y[wrong] += 100.0 * rng.standard_normal(len(wrong))
    is_kept = np.column_stack([np.ones((n, NUMERIC), bool), *kept])
    entries = np.hstack([numeric, np.ones((n, categories))])[is_kept]
    ends = np.append(0, np.cumsum(is_kept.sum(axis=1)))
    X = sparse.csr_matrix((entries, np.hstack(columns)[is_kept], ends), shape=(n, start))
    return X, y


def numbers_of_levels(levels: int, categories: int) -> np.ndarray:
    """Levels of each category, the largest first."""
    shares = 1.0 / np.arange(1, categories + 1)
    counts = np.maximum((levels * shares / shares.sum()).astype(int), 2)
    counts[0] += levels - counts.sum()
    return counts


def drawn_levels(rng: np.random.Generator, n: int, count: int) -> np.ndarray:
    """The level of every row; each of them occurs."""
    shares = 1.0 / np.arange(1, count + 1)
    drawn = rng.choice(count, n - count, p=shares / shares.sum())
    return rng.permutation(np.append(np.arange(count), drawn))

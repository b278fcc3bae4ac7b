"""Covariance matrices where rows of a group depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustreg._arrays import Array
from robustreg._numbers import real_values
from robustreg.evaluation.sums import standardised
from robustreg.inference._covariance import Bread, Covariance, slope_of_equations
from robustreg.inference._rows import FittedRows
from robustreg.inference._sums import Scored

ENTRIES = 2**22  # of the matrices of groups that are held at a time


def group_numbers(groups: Any, n: int, kept: NDArray[np.intp] | None) -> tuple[Any, int]:
    """Numbers from 0 of the groups of the rows that count, and how many groups there are.

    Raises
    ------
    ValueError
        If there is not one label for each of the n rows, some are missing, or all are the same.
    """
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ValueError(
            f"groups must have one label for each of the {n} rows, got {labels.shape}."
        )
    missing = labels != labels  # NaN, of objects, too
    if labels.dtype.kind == "O":
        missing = missing | np.array([label is None for label in labels])
    if bool(np.any(missing)):
        raise ValueError("groups must not hold missing labels (NaN or None).")
    if labels.dtype.kind not in "OUSb":
        labels = np.asarray(real_values(labels, "groups"))
    labels = labels if kept is None else labels[kept]
    _, numbers = np.unique(labels, return_inverse=True)
    count = int(numbers.max()) + 1
    if count < 2:
        raise ValueError("groups must hold two different labels at least, got one.")
    return numbers, count


def clustered(
    fitted: FittedRows, scored: Scored, kind: str, numbers: NDArray[np.intp], count: int
) -> Covariance:
    """Independent groups of rows (Liang and Zeger 1986; Bell and McCaffrey 2002).

    With the scores ``s_g = sum w psi x`` of a group, "CR1" is
    ``s^2 A^-1 [sum_g s_g s_g'] A^-1 G / (G - 1) (W - 1) / (W - k)``. "CR3" has
    ``A (A - A_g)^-1 s_g`` in place of s_g, with the group's share A_g of A, and no factor: what
    the estimate would be without each group, to first order.
    """
    bread = Bread.of(slope_of_equations(fitted, scored), fitted.rows.total)
    unknown = [bread.unknown]
    squares = np.zeros((fitted.size, fitted.size))
    for scores, shares in _by_group(fitted, numbers, count, shares=kind == "CR3"):
        if shares is None:
            steps: Array = scores @ bread.inverse
            moved: Array = np.zeros((fitted.size, 0))
        else:
            steps, moved = _without_groups(bread, scores, shares)
        unknown.append(moved)
        squares += steps.T @ steps
    matrix = fitted.scale**2 * squares
    if kind == "CR1":
        total = fitted.total
        matrix *= count / (count - 1) * (total - 1.0) / (total - fitted.size)
    return Covariance(matrix, np.hstack(unknown), df=count - 1.0)


def _without_groups(bread: Bread, scores: Array, shares: Array) -> tuple[Array, Array]:
    """``(A - A_g)^-1 s_g`` of each group, and where that has no inverse."""
    root = bread.root
    left = np.eye(root.shape[1]) - root.T @ shares @ root  # (groups, d, d)
    values, vectors = np.linalg.eigh(left)
    fine = values > 1e-8
    inner = np.einsum("gij,gi->gj", vectors, scores @ root)
    inner = np.where(fine, inner / np.where(fine, values, 1.0), 0.0)
    steps = np.einsum("gij,gj->gi", vectors, inner) @ root.T
    lost = np.argwhere(~fine)
    moved = np.array([root @ vectors[g][:, j] for g, j in lost]).reshape(len(lost), len(root))
    return steps, moved.T


def _by_group(
    fitted: FittedRows, numbers: NDArray[np.intp], count: int, shares: bool
) -> Iterator[tuple[Array, Array | None]]:
    """Scores of groups, and their shares of A, so many groups at a time."""
    rows, size = fitted.rows, fitted.size
    z = rows.collect(lambda block: standardised(block, fitted.point))
    w = np.ones(rows.n) if rows.weight is None else rows.weight
    # A is in units of weights, by which steps are not to be divided: both are multiplied
    psi, bend = w * fitted.loss.psi(z), w * fitted.loss.psi_prime(z)
    step = max(1, ENTRIES // (size * size)) if shares else count
    for first in range(0, count, step):
        chosen = (numbers >= first) & (numbers < first + step)
        design = fitted.coordinates.take(chosen)
        own = numbers[chosen] - first
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(min(step, count - first)))
        design, each = design[order], (psi[chosen][order], bend[chosen][order])
        scores = np.add.reduceat(design * each[0][:, None], starts, axis=0)
        if not shares:
            yield scores, None
            continue
        ends = np.append(starts[1:], len(design))
        yield (
            scores,
            np.stack(
                [
                    design[a:b].T @ (each[1][a:b, None] * design[a:b])
                    for a, b in zip(starts, ends, strict=True)
                ]
            ),
        )

"""The scale of a fit's residuals, by passes that hold none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from robustreg._arrays import SUMMED, Array, Index
from robustreg._median import MAD_FACTOR, residual_mad, weighted_median
from robustreg._namespace import is_foreign, namespace_of, on_host
from robustreg.evaluation.order_statistics import (
    Deviation,
    Value,
    about_half,
    median,
    middle,
    order_statistics_after,
)
from robustreg.evaluation.problem import Problem
from robustreg.evaluation.reading import Block
from robustreg.evaluation.rows import RowBlocks, of_column, only_column
from robustreg.evaluation.ties import interpolated_share, row_codes, share_of_rank
from robustreg.solvers._solution import Made, Residuals, Solution
from robustreg.sources._surveyed import not_here

FEW = 2**16  # rows


class Noise(NamedTuple):
    """The noise of a fit, in the problem's units."""

    centre: float
    scale: float


def residual_centre(problem: Problem, residuals: Residuals) -> float:
    """Where the noise of a fit is centred: at 0, except for quantiles other than the median."""
    low, high = problem.loss.conjugate_domain
    if problem.loss.elicits != "quantile" or low == -high:
        return 0.0
    if _at_hand(problem):
        return weighted_median(residuals(), problem.weight)
    return median(*readable(problem, residuals))


def noise_mad(problem: Problem, fit: Solution, residuals: Residuals, centre: float = 0.0) -> float:
    """MAD of a fit's residuals, in the problem's units; 0 where most are exactly fitted."""
    mad = _mad_at_hand if _at_hand(problem) else _mad_by_passes
    scale = mad(problem, fit, residuals, centre)
    return scale if scale > problem.exact else 0.0


def _at_hand(problem: Problem) -> bool:
    """Whether rows are so few that passes over them would be dearer than a copy."""
    return problem.observed.source.in_memory and problem.n <= FEW


def _mad_at_hand(problem: Problem, fit: Solution, residuals: Residuals, centre: float) -> float:
    residual, left_out = residuals(), 0.0
    zero = np.abs(residual) <= problem.exact
    if fit.on_fit is not None:  # rounding leaves more than that of a 0 in rows far out
        zero[fit.on_fit] = True
        residual = np.where(zero, 0.0, residual)
    if zero.any():
        vertex, rank = not problem.penalty.root_curvature, fit.n_interpolated
        left_out = interpolated_share(problem.X, problem.y, problem.weight, zero, rank, vertex)
    return residual_mad(
        residual, problem.weight, zero=problem.exact, left_out=left_out, center=centre
    )


def _mad_by_passes(problem: Problem, fit: Solution, residuals: Residuals, centre: float) -> float:
    rows, value = readable(problem, residuals)
    on_fit = np.zeros(0, dtype=np.intp) if fit.on_fit is None else fit.on_fit
    zeroed = _Zeroed(value, problem.exact, on_fit)
    total, removed = rows.total, 0.0

    def ranks(zeros: _ZeroRows) -> Array:
        nonlocal removed
        if len(zeros.index):
            removed = _interpolated(problem, fit, zeros) * float(zeros.weight.sum())
        half = about_half(total - removed)
        return np.append(half, half + removed)

    # what is removed is as far from the centre as 0 is
    about = np.tile(about_half(total), 2)
    sizes = Deviation(zeroed, centre)
    found = order_statistics_after(rows, sizes, _FindZeros(zeroed), ranks, about)
    if total - removed <= SUMMED * total:
        return 0.0
    return MAD_FACTOR * middle(*np.where(found[:2] < abs(centre), found[:2], found[2:]))


def readable(problem: Problem, residuals: Residuals) -> tuple[RowBlocks, Value]:
    """Rows that have residuals, and what gives these."""
    if problem.observed.source.in_memory:
        return of_column(residuals(), problem.weight, problem.n_threads), only_column
    if not isinstance(residuals, Made):
        raise not_here()
    return residuals.rows, residuals.of_block


@dataclass(frozen=True)
class _Zeroed:
    """Residuals that are 0 where they count as 0."""

    value: Value
    exact: float
    on_fit: Index  # in ascending order

    @property
    def products_only(self) -> bool:
        """As of the residuals."""
        return getattr(self.value, "products_only", False)

    @property
    def on_device(self) -> bool:
        """As of the residuals."""
        return getattr(self.value, "on_device", False)

    def __call__(self, block: Block) -> Array:
        residual = self.value(block)
        if is_foreign(residual):  # of a smooth loss, whose solvers name no rows
            return namespace_of(residual).where(abs(residual) <= self.exact, 0.0, residual)
        residual = residual.copy()
        residual[np.abs(residual) <= self.exact] = 0.0
        residual[block.among(self.on_fit)] = 0.0
        return residual


@dataclass(frozen=True)
class _ZeroRows:
    """The rows that a fit passes through."""

    index: Index
    weight: Array
    codes: Any  # numbers that are the same for equal rows
    heaviest: float  # the largest weight of the others

    def __add__(self, other: _ZeroRows) -> _ZeroRows:
        return _ZeroRows(
            np.append(self.index, other.index),
            np.append(self.weight, other.weight),
            np.append(self.codes, other.codes),
            max(self.heaviest, other.heaviest),
        )


@dataclass(frozen=True)
class _FindZeros:
    """The job that finds them."""

    value: _Zeroed

    @property
    def on_device(self) -> bool:
        """As of the residuals."""
        return self.value.on_device

    def __call__(self, block: Block) -> _ZeroRows:
        zero = self.value(block) == 0.0
        if is_foreign(zero):
            return _zeros_on_device(block, zero)
        index = np.flatnonzero(zero)
        weight: Array = np.ones(len(index))
        heaviest = 1.0
        if block.weight is not None:
            weight, heaviest = block.weight[index], float(block.weight[~zero].max(initial=0.0))
        return _ZeroRows(index + block.place.start, weight, row_codes(block.X[index]), heaviest)


def _zeros_on_device(block: Block, zero: Any) -> _ZeroRows:
    """The same of rows on a device, of which those that the fit passes through come back."""
    xp = namespace_of(zero)
    found = xp.nonzero(zero)[0]
    index = on_host(found)
    if len(index) > FEW:  # most rows lie on a plane
        raise not_here()
    codes = row_codes(on_host(xp.take(block.X, found, axis=0)))
    if block.weight is None:
        return _ZeroRows(index + block.place.start, np.ones(len(index)), codes, 1.0)
    heaviest = float(xp.max(xp.where(zero, 0.0, block.weight)))
    weight = on_host(xp.take(block.weight, found, axis=0))
    return _ZeroRows(index + block.place.start, weight, codes, heaviest)


def _interpolated(problem: Problem, fit: Solution, zeros: _ZeroRows) -> float:
    """The share of the zeros' weight that the fit has made itself."""
    vertex, rank = not problem.penalty.root_curvature, fit.n_interpolated
    in_memory = problem.observed.source.in_memory

    def codes() -> Any:
        return row_codes(problem.X[zeros.index]) if in_memory else zeros.codes

    share = share_of_rank(zeros.weight, codes, zeros.heaviest, rank, vertex)
    if isinstance(share, float):
        return share
    zero = np.zeros(problem.n, dtype=bool)
    zero[zeros.index] = True
    return interpolated_share(problem.X, problem.y, problem.weight, zero, rank, vertex)

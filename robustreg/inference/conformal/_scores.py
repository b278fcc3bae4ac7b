"""Scores of held-out rows, and the bands around predictions of new rows that they give.

A fit f predicts a lower and an upper end for every row, which are the same where it predicts one
number. The score of a row that f has not seen is how far its target is outside of these,

    max(lower - y, y - upper),

``|y - f(x)|`` for one number. With W the sum of the weights of the scores, the band of a new row
reaches from minus Q(s_i - lower_i) to Q(upper_i + s_i), where ``lower_i`` and ``upper_i`` are what
the fit predicts that has not seen row i, s_i is the score of that row, and Q is the smallest of the
numbers up to which they weigh ``(W + 1) level`` or more: of n numbers the
``ceil((n + 1) level)``-th smallest. Infinite if all together weigh less.

With one fit this is split conformal prediction, or conformalised quantile regression; with a fit
for each fold CV+, and with a fit for each row the jackknife+.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr

from robustreg._arrays import SUMMED, Array, Index
from robustreg._numbers import as_number
from robustreg.estimators._base import levels_to_the_user
from robustreg.estimators._judgement import OUTLIER_CUTOFF

#: Share of clean Gaussian rows whose scores are not beyond 2.5 scales.
GAUSSIAN_SHARE = float(2.0 * ndtr(OUTLIER_CUTOFF) - 1.0)
#: Probability below which so many of them are taken for wrong.
CHANCE = 0.005
#: Sums of a prediction and a score that are made at once, in number: 1 MB of them stays in cache.
SUMS_AT_ONCE = 2**17


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of rows that fits have not seen.

    Attributes
    ----------
    values : ndarray of shape (n,)
        The scores, ascending.
    fit : ndarray of int, shape (n,)
        Which fit has not seen the row of each.
    weight : ndarray of shape (n,) or None
        How many rows each stands for; None: one.
    cumulated : ndarray of shape (n,)
        Weights, summed up from the first on.
    """

    values: Array
    fit: Index
    weight: Array | None
    cumulated: Array

    @classmethod
    def of(cls, values: Array, fit: Index, weight: Array | None) -> HeldOutScores:
        """Scores in any order, finite."""
        order = np.argsort(values, kind="stable")
        ordered = None if weight is None else weight[order]
        steps = np.ones(len(values)) if ordered is None else ordered
        return cls(values[order], fit[order], ordered, np.cumsum(steps))

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.cumulated[-1]) if len(self.cumulated) else 0.0

    def reach(self, level: float) -> bool:
        """Whether the scores suffice for a finite band."""
        return self.total >= self._target(level)

    def bands(self, lower: Array, upper: Array, level: float) -> NDArray[np.float64]:
        """Bands of new rows.

        Parameters
        ----------
        lower, upper : ndarray of shape (m, n_fits)
            What the fits predict; the same array twice where that is one number.
        level : float
            Above 0, and up to 1.

        Returns
        -------
        ndarray of shape (m, 2)
            Lower and upper ends. Where they would cross, both are in the middle.
        """
        low, high = -self._upper_ends(-lower, level), self._upper_ends(upper, level)
        ends = np.stack([low, high], axis=1).astype(np.float64, copy=False)
        crossed = ends[:, 0] > ends[:, 1]
        ends[crossed] = ends[crossed].mean(axis=1, keepdims=True)
        return ends

    def _target(self, level: float) -> float:
        """What the numbers up to an end weigh at least; less by what rounding may have added."""
        return (self.total + 1.0) * level * (1.0 - SUMMED)

    def _upper_ends(self, shift: Array, level: float) -> Array:
        """``Q(shift_i + s_i)`` for every row of shifts, of shape (m, n_fits).

        Were all shifts of a row the same, it would be the score q of that rank, shifted. It is
        therefore between q plus the least and q plus the largest shift, and scores that differ from
        q by more than shifts do from each other need not be looked at but counted.
        """
        if not self.reach(level):
            return np.full(len(shift), np.inf)
        target = self._target(level)
        middle = self.values[np.searchsorted(self.cumulated, target)]
        spread = shift.max(axis=1) - shift.min(axis=1)
        ends = np.empty(len(shift))
        for rows, window in self._blocks(middle, spread):
            sums = shift[rows][:, self.fit[window]]
            sums += self.values[window]
            below = float(self.cumulated[window.start - 1]) if window.start else 0.0
            weight = None if self.weight is None else self.weight[window]
            ends[rows] = _smallest(sums, weight, target - below)
        return ends

    def _blocks(self, middle: float, spread: Array) -> Iterator[tuple[Index, slice]]:
        """Rows whose shifts differ about equally much, and the scores to look at for these."""
        rows = np.argsort(-spread, kind="stable")
        first = np.searchsorted(self.values, middle - spread, side="left")
        end = np.searchsorted(self.values, middle + spread, side="right")
        done = 0
        while done < len(rows):
            widest = rows[done]  # of those that are left
            window = slice(int(first[widest]), int(end[widest]))
            count = max(1, SUMS_AT_ONCE // (window.stop - window.start))
            yield rows[done : done + count], window
            done += count


def _smallest(sums: Array, weight: Array | None, target: float) -> Array:
    """Of each row of sums the smallest, up to which they weigh ``target`` or more.

    The sums may be reordered.
    """
    if weight is None:
        at = math.ceil(target) - 1
        sums.partition(at, axis=1)
        return sums[:, at]
    order = np.argsort(sums, axis=1, kind="stable")
    short = np.cumsum(weight[order], axis=1) < target
    at = np.minimum(short.sum(axis=1), sums.shape[1] - 1)  # other orders of a sum round otherwise
    return np.take_along_axis(sums, np.take_along_axis(order, at[:, None], 1), 1)[:, 0]


@dataclass(frozen=True)
class Calibration:
    """Scores, and which rows they are of.

    Attributes
    ----------
    scores : HeldOutScores
        Of all rows, or without outliers.
    share_kept : float
        Which share of the rows that bands are for these stand for.
    share_beyond : float
        Share of the scores that are beyond 2.5 scales.
    """

    scores: HeldOutScores
    share_kept: float
    share_beyond: float

    def raised(self, level: Any) -> float:
        """The level of bands among the scores, for one among the rows; a warning if it is bad."""
        value = as_number(level)
        if not 0.0 < value < self.share_kept:
            hint = "" if self.share_kept == 1.0 else ", the share of good rows that are kept"
            raise ValueError(
                f"level must be above 0 and below {self.share_kept:.5g}{hint}; got {level!r}."
            )
        raised = value / self.share_kept
        self._warn(value, raised)
        return raised

    def _warn(self, level: float, raised: float) -> None:
        if not self.scores.reach(raised):
            least = math.ceil(raised / (1.0 - raised) * (1.0 - SUMMED))
            counted = "" if self.scores.weight is None else " sample_weight counts rows."
            message = (
                f"Bands at level={level:g} need {least} held-out rows, but there are "
                f"{self.scores.total:g}: they are infinite.{counted}"
            )
        elif self._reach_out(level):
            message = (
                f"{100.0 * self.share_beyond:.1f} % of the held-out rows are beyond 2.5 robust "
                f"scales, and bands at level={level:g} reach out to them. If they are wrong, "
                "outliers='drop' gives bands for good rows."
            )
        else:
            return
        warnings.warn(message, UserWarning, stacklevel=levels_to_the_user())

    def _reach_out(self, level: float) -> bool:
        """Whether more than 1 - level are beyond 2.5 scales, not counting Gaussian rows.

        Of few rows some may be there by chance: as many or more are with a binomial probability.
        """
        total, expected = self.scores.total, 1.0 - GAUSSIAN_SHARE
        if self.share_beyond <= 1.0 - level + expected:
            return False
        count = self.share_beyond * total
        return float(betainc(count, total - count + 1.0, expected)) < CHANCE

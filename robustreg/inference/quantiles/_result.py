"""What inference finds for several quantiles at once: a frozen result of one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from robustreg._arrays import Array
from robustreg._numbers import real_array
from robustreg.inference._result import Inference
from robustreg.inference._wald import TestResult, f_statistic
from robustreg.inference.quantiles._covariance import Joint
from robustreg.inference.quantiles._table import several_as_html, several_as_text


@dataclass(frozen=True, eq=False)
class QuantileInference:
    """How sure the coefficients of several quantiles are; `infer` makes one.

    Immutable, and small: nothing of the size of the rows is in it. There are m quantiles with k
    coefficients each, the intercept first where there is one.

    Attributes
    ----------
    quantiles : ndarray of shape (m,)
        The quantiles, in the order of the fit.
    results : tuple of m Inference
        What a fit of each quantile alone has.
    title : str
        The estimator.
    names : tuple of str
        Names of the k coefficients.
    coef, standard_errors, statistics, p_values : ndarray of shape (m, k)
        Those of the results.
    covariance : ndarray of shape (m, m, k, k)
        Covariances of the coefficients of all quantiles with each other (Koenker and Bassett
        1982); ``covariance[i, i]`` is that of ``results[i]``.
    covariance_type : str
        Which kind of covariance it is.
    df : float
        Degrees of freedom of t.
    """

    quantiles: Array
    results: tuple[Inference, ...] = field(repr=False)
    title: str
    joint: Joint = field(repr=False)

    def __post_init__(self) -> None:
        for value in (self.quantiles, self.joint.share, self.joint.root):
            value.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the coefficients."""
        return self.results[0].names

    @property
    def coef(self) -> Array:
        """Coefficients, shape (m, k)."""
        return self._stacked("coef")

    @property
    def standard_errors(self) -> Array:
        """Their standard errors, shape (m, k)."""
        return self._stacked("standard_errors")

    @property
    def statistics(self) -> Array:
        """Coefficients over their standard errors, shape (m, k)."""
        return self._stacked("statistics")

    @property
    def p_values(self) -> Array:
        """Two-sided p-values of the coefficients being 0, shape (m, k)."""
        return self._stacked("p_values")

    @property
    def covariance(self) -> Array:
        """Covariances of the coefficients of all quantiles with each other, (m, m, k, k)."""
        first, m, k = self.results[0], len(self.results), len(self.names)
        own = first.geometry.coordinates(*first._split(np.eye(k))) @ self.joint.root
        found: Array = np.einsum("st,sid,tjd->stij", self.joint.share, own, own, optimize=True)
        unknown = np.isnan(self.standard_errors)
        found[np.broadcast_to(unknown[:, None, :, None], found.shape)] = np.nan
        found[np.broadcast_to(unknown[None, :, None, :], found.shape)] = np.nan
        for index in range(m):
            found[index, index] = self.results[index].covariance
        found.flags.writeable = False
        return found

    @property
    def covariance_type(self) -> str:
        """Which kind of covariance it is."""
        return self.results[0].covariance_type

    @property
    def df(self) -> float:
        """Degrees of freedom of t."""
        return self.results[0].df

    def conf_int(self, level: float = 0.95) -> Array:
        """Intervals that each cover their coefficient with the probability `level`.

        Parameters
        ----------
        level : float, default=0.95
            Between 0 and 1.

        Returns
        -------
        ndarray of shape (m, k, 2)
            Those of the results.
        """
        return np.stack([result.conf_int(level) for result in self.results])

    def equal_slopes_test(self, terms: str | Sequence[str] | None = None) -> TestResult:
        """Test whether coefficients are the same at all quantiles, all together.

        If the noise does not depend on x, slopes are (Koenker and Bassett 1982).

        Parameters
        ----------
        terms : str or sequence of str, default=None
            Names of q coefficients; by default all but the intercept.

        Returns
        -------
        TestResult
            Wald's F of ``(m - 1) q`` hypotheses, referred to F((m - 1) q, df).

        Raises
        ------
        ValueError
            If there is one quantile only, no such coefficient, or the data do not determine it.
        """
        if len(self.quantiles) < 2:
            raise ValueError("equal_slopes_test compares quantiles, but the fit has one only.")
        hypotheses = self._equal_slopes(terms)
        if not len(hypotheses):
            raise ValueError("equal_slopes_test compares slopes, but the fit has none.")
        return self._test(hypotheses)

    def wald_test(self, combinations: ArrayLike, value: ArrayLike | None = None) -> TestResult:
        """Test whether combinations of coefficients of all quantiles have given values.

        Parameters
        ----------
        combinations : array-like of shape (q, m, k) or (q, m * k)
            R: what each coefficient of each quantile is multiplied by.
        value : array-like of shape (q,), default=None
            The values r under the hypothesis ``sum R coef = r``; by default 0.

        Returns
        -------
        TestResult
            ``F = (R b - r)' (R V R')^-1 (R b - r) / q``, referred to F(q, df).

        Raises
        ------
        ValueError
            If R has another shape or dependent rows, or the data do not determine a combination.
        """
        m, k = self.coef.shape
        matrix = real_array(combinations, "combinations").astype(np.float64)
        q = len(matrix) if matrix.ndim else 0
        if not q or matrix.shape[1:] not in ((m, k), (m * k,)) or not np.isfinite(matrix).all():
            raise ValueError(
                f"combinations must be finite and of shape (q, {m}, {k}) or (q, {m * k}), got "
                f"shape {matrix.shape}."
            )
        target = np.zeros(q) if value is None else real_array(value, "value").reshape(-1)
        if target.shape != (q,) or not np.isfinite(target).all():
            raise ValueError(f"value must have a finite entry for each of the {q} hypotheses.")
        return self._test(matrix.reshape(q, m, k), target)

    def to_frame(self, level: float = 0.95) -> Any:
        """The table as a pandas DataFrame, one row for each coefficient of each quantile.

        Its index has the levels "quantile" and "name".
        """
        from pandas import concat

        pairs = zip(self.quantiles.tolist(), self.results, strict=True)
        frames = {quantile: result.to_frame(level) for quantile, result in pairs}
        return concat(frames, names=["quantile", "name"])

    def summary(self, level: float = 0.95) -> str:
        """The table as text of at most 79 columns, quantiles below each other."""
        return several_as_text(self, self.conf_int(level), level, self._summarised_test())

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return several_as_html(self, self.conf_int(), 0.95, self._summarised_test())

    def _stacked(self, name: str) -> Array:
        found = np.stack([getattr(result, name) for result in self.results])
        found.flags.writeable = False
        return found

    def _summarised_test(self) -> TestResult | None:
        """The test of equal slopes for the head of the table, where there is one."""
        hypotheses = self._equal_slopes()
        if not len(hypotheses) or not self._are_known(hypotheses):
            return None
        return None if np.isnan(self._statistic(hypotheses)) else self._test(hypotheses)

    def _equal_slopes(self, terms: str | Sequence[str] | None = None) -> Array:
        """The hypotheses that coefficients are the same at all quantiles, shape (q, m, k)."""
        chosen = self._slopes() if terms is None else self.results[0]._combinations(terms)
        m, k = self.coef.shape
        return np.einsum("sm,qk->sqmk", np.diff(np.eye(m), axis=0), chosen).reshape(-1, m, k)

    def _slopes(self) -> Array:
        """Combinations (q, k) that are equal where all slopes are, as far as these are known."""
        first, k = self.results[0], len(self.names)
        own, p = first.geometry, len(first.geometry.center)
        known: Array = np.eye(p)
        if not first.identified.all():  # what the columns span is orthogonal to what they do not
            known = (own.basis / np.square(own.size)[:, None]).T
        return np.hstack([np.zeros((len(known), k - p)), known])

    def _are_known(self, combinations: Array) -> bool:
        """Whether combinations (q, m, k) all have an estimate and a standard error."""
        errors = [
            result.geometry.standard_errors(*result._split(combinations[:, index]))
            for index, result in enumerate(self.results)
        ]
        return not np.isnan(errors).any()

    def _statistic(self, combinations: Array, target: Array | float = 0.0) -> float:
        """F of combinations (q, m, k); NaN if their covariance matrix is singular."""
        off, places = np.zeros(len(combinations)) - target, []
        for index, result in enumerate(self.results):
            own = result._split(combinations[:, index])
            off += result._estimates(*own)
            places.append(result.geometry.coordinates(*own))
        return f_statistic(off, self.joint.spread(np.stack(places, axis=1)))

    def _test(self, combinations: Array, target: Array | float = 0.0) -> TestResult:
        if not self._are_known(combinations):
            raise ValueError(
                "Hypotheses must be on what the data determine, with a standard error, and at "
                "least one is not. Leave out collinear columns, or take another covariance."
            )
        q, statistic = len(combinations), self._statistic(combinations, target)
        if np.isnan(statistic):
            raise ValueError(
                f"The covariance matrix of these {q} hypotheses is singular: some follow from the "
                "others, or there are too few groups or draws for so many."
            )
        return TestResult(statistic, q, self.df, float(stats.f.sf(statistic, q, self.df)))

"""What inference finds: a frozen result with its table, intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, stats

from robustreg._arrays import Array, Mask
from robustreg._numbers import as_number, real_array
from robustreg._validation import check_finite
from robustreg.inference._geometry import Geometry
from robustreg.inference._table import as_html, as_text
from robustreg.inference._wald import TestResult, f_statistic

ENTRIES = 2**20  # of rows whose predictions are made at a time


@dataclass(frozen=True)
class Ranks:
    """What rank tests of the coefficients of a quantile fit say.

    Attributes
    ----------
    p_values : ndarray of shape (k,)
        P-values of the coefficients being 0.
    limits : dict
        Intervals of shape (k, 2) by their levels; ends may be infinite.
    """

    p_values: Array
    limits: dict[float, Array]

    def interval(self, level: float) -> Array:
        """The interval at a level."""
        known = [each for each in self.limits if np.isclose(each, as_number(level), rtol=1e-6)]
        if not known:
            levels = ", ".join(f"{each:g}" for each in self.limits)
            raise ValueError(
                f"level of intervals by rank tests must be one of {levels}, got {level!r}; "
                "covariance='nid' has intervals at all levels."
            )
        return self.limits[known[0]].copy()


@dataclass(frozen=True, eq=False)
class Inference:
    """How sure the coefficients of a fit are; `infer` makes one.

    Immutable, and small: nothing of the size of the rows is in it. There are k coefficients, the
    intercept first where there is one.

    Attributes
    ----------
    names : tuple of str
        Names of the coefficients.
    coef : ndarray of shape (k,)
        Coefficients, in units of y over those of the columns.
    standard_errors, statistics, p_values : ndarray of shape (k,)
        Standard errors, coefficients over these, and two-sided p-values by Student's t. NaN where
        the data say nothing.
    covariance : ndarray of shape (k, k)
        Their covariance matrix.
    covariance_type : str
        Which kind of covariance it is.
    df : float
        Degrees of freedom of t.
    identified : ndarray of shape (k,), bool
        False where columns are collinear: the data do not determine the coefficient.
    scale, scale_error : float
        ``scale_`` of the fit, and the standard error of a joint scale (else NaN).
    n_rows : float
        Sum of the sample weights.
    rank : int
        Rank of the regressors with the intercept's column.
    r2, adjusted_r2 : float
        Share of the variance of y that is explained, of rows by their robustness weights (Renaud
        and Victoria-Feser 2010); for least squares R squared, for quantiles Koenker and Machado's
        R1, of which there is no adjusted one (NaN).
    n_few : int
        Rows with less than a tenth of the weight of a good row.
    title, warning : str
        The estimator, and what it had to warn of.
    """

    names: tuple[str, ...]
    coef: Array
    standard_errors: Array
    covariance: Array
    covariance_type: str
    df: float
    identified: Mask
    scale: float
    scale_error: float
    n_rows: float
    rank: int
    r2: float
    adjusted_r2: float
    n_few: int
    title: str
    warning: str
    noise: float = field(repr=False)
    geometry: Geometry = field(repr=False)
    ranks: Ranks | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        for value in (*vars(self).values(), *vars(self.geometry).values()):
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # arrays are writeable again when they are unpickled

    @property
    def statistics(self) -> Array:
        """Coefficients over their standard errors, shape (k,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.coef / self.standard_errors

    @property
    def p_values(self) -> Array:
        """Two-sided p-values of the coefficients being 0, shape (k,)."""
        if self.ranks is not None:
            return np.where(self.identified, self.ranks.p_values, np.nan)
        return 2.0 * stats.t.sf(np.abs(self.statistics), self.df)

    def conf_int(self, level: float = 0.95) -> Array:
        """Intervals that cover the coefficients with the probability `level`.

        Parameters
        ----------
        level : float, default=0.95
            Between 0 and 1.

        Returns
        -------
        ndarray of shape (k, 2)
            Coefficients minus and plus a quantile of t times their standard errors. By rank
            tests, of quantiles: what these do not reject, at some levels; ends may be infinite.

        Raises
        ------
        ValueError
            If level is not between 0 and 1, or not one of those of rank tests.
        """
        if self.ranks is not None:
            limits = self.ranks.interval(level)
            limits[~self.identified] = np.nan
            return limits
        half = self._quantile(level) * self.standard_errors
        return np.column_stack([self.coef - half, self.coef + half])

    def wald_test(
        self, terms: str | Sequence[str] | ArrayLike, value: ArrayLike | None = None
    ) -> TestResult:
        """Test whether coefficients, or combinations of them, have given values, all together.

        Parameters
        ----------
        terms : str, sequence of str, or array-like of shape (q, k)
            Names of coefficients, or combinations R of all k.
        value : array-like of shape (q,), default=None
            The values r under the hypothesis ``R coef = r``; by default 0.

        Returns
        -------
        TestResult
            ``F = (R b - r)' (R V R')^-1 (R b - r) / q``, referred to F(q, df).

        Raises
        ------
        ValueError
            If there is no such coefficient, R has another shape or dependent rows, or the data do
            not determine a combination.
        """
        combinations = self._combinations(terms)
        q = len(combinations)
        target = np.zeros(q) if value is None else real_array(value, "value").reshape(-1)
        if target.shape != (q,) or not np.isfinite(target).all():
            raise ValueError(f"value must have a finite entry for each of the {q} hypotheses.")
        constant, columns = self._split(combinations)
        if np.isnan(self.geometry.standard_errors(constant, columns)).any():
            raise ValueError(
                "terms must be combinations that the data determine, with a standard error; at "
                "least one is not. Leave out collinear columns, or take another covariance."
            )
        spread = self.geometry.coordinates(constant, columns) @ self.geometry.root
        off = combinations @ np.where(self.identified, self.coef, 0.0) - target
        if not self.identified.all():
            off = self._estimates(constant, columns) - target
        statistic = f_statistic(off, spread)
        if np.isnan(statistic):
            raise ValueError(
                f"The covariance matrix of these {q} hypotheses is singular: some follow from the "
                "others, or there are too few groups or draws for so many."
            )
        return TestResult(statistic, q, self.df, float(stats.f.sf(statistic, q, self.df)))

    def predict_interval(self, X: ArrayLike, level: float = 0.95, kind: str = "mean") -> Array:
        """Intervals for predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n, p)
            Rows, with the columns of the fit; of a pipeline, with those that its last step saw:
            ``pipeline[:-1].transform(X)``.
        level : float, default=0.95
            Between 0 and 1.
        kind : {"mean", "new"}, default="mean"
            "mean" is for what the model predicts. "new" adds the noise of a single good row, taken
            for Gaussian and of the same spread everywhere.

        Returns
        -------
        ndarray of shape (n, 2)
            Lower and upper ends; NaN where the data do not determine the prediction.

        Raises
        ------
        ValueError
            If X has other columns than the fit or entries that are no finite numbers, level is not
            between 0 and 1, or there is no such kind.
        """
        if kind not in ("mean", "new"):
            raise ValueError(f"kind must be 'mean' or 'new', got {kind!r}.")
        if kind == "new" and np.isnan(self.noise):
            raise ValueError(
                "kind='new' is not there for quantiles: two quantiles are a band for new rows, "
                "and ConformalRegressor makes one of the right level of them."
            )
        self._check_columns(X)
        rows: Any = real_array(X, "X") if not sparse.issparse(X) else sparse.csr_array(X)
        p = len(self.geometry.center)
        if rows.ndim != 2 or rows.shape[1] != p:
            raise ValueError(f"X must have the shape (n, {p}), got {rows.shape}.")
        check_finite(rows.data if sparse.issparse(rows) else rows, "X", "predict_interval")
        quantile, noise = self._quantile(level), self.noise if kind == "new" else 0.0
        ends: Array = np.empty((rows.shape[0], 2))
        step = max(1, ENTRIES // max(p, 1))
        for block in (slice(start, start + step) for start in range(0, len(ends), step)):
            columns = rows[block].toarray() if sparse.issparse(rows) else rows[block]
            constant = np.full(len(columns), 1.0 if self.geometry.has_intercept else 0.0)
            half = quantile * np.hypot(self.geometry.standard_errors(constant, columns), noise)
            middle = self._estimates(constant, columns)
            ends[block] = np.column_stack([middle - half, middle + half])
        return ends

    def to_frame(self, level: float = 0.95) -> Any:
        """The table as a pandas DataFrame, one row for each coefficient."""
        from pandas import DataFrame

        low, high = self.conf_int(level).T
        return DataFrame(
            {
                "coef": self.coef,
                "standard_error": self.standard_errors,
                "statistic": self.statistics,
                "p_value": self.p_values,
                "low": low,
                "high": high,
            },
            index=list(self.names),
        )

    def summary(self, level: float = 0.95) -> str:
        """The table as text of at most 79 columns."""
        return as_text(self, self.conf_int(level), level)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self, self.conf_int(), 0.95)

    def _quantile(self, level: float) -> float:
        number = as_number(level)
        if not 0.0 < number < 1.0:
            raise ValueError(f"level must lie strictly between 0 and 1, got {level!r}.")
        return float(stats.t.ppf(0.5 + 0.5 * number, self.df))

    def _check_columns(self, X: Any) -> None:
        """Refuse a frame with other columns than the fit's, where these had names."""
        p = len(self.geometry.center)
        own, given = self.names[len(self.names) - p :], getattr(X, "columns", None)
        if given is None or own == tuple(f"x{j}" for j in range(p)):
            return
        if tuple(map(str, given)) != own:
            raise ValueError(
                f"X must have the columns of the fit, {', '.join(own)}; got "
                f"{', '.join(map(str, given))}."
            )

    def _split(self, combinations: Array) -> tuple[Array, Array]:
        """The intercept's part of combinations, and that of the columns."""
        if self.geometry.has_intercept:
            return combinations[:, 0], combinations[:, 1:]
        return np.zeros(len(combinations)), combinations

    def _estimates(self, constant: Array, columns: Array) -> Array:
        if self.geometry.has_intercept:
            return constant * self.coef[0] + columns @ self.coef[1:]
        return columns @ self.coef

    def _combinations(self, terms: Any) -> Array:
        k = len(self.names)
        names = [terms] if isinstance(terms, str) else terms
        if not hasattr(names, "__len__"):
            raise TypeError(
                f"terms must be names of coefficients or an array of combinations, got {terms!r}."
            )
        if np.ndim(names) < 2 and all(isinstance(name, str) for name in names):  # not a frame's
            unknown = [name for name in names if name not in self.names]
            if unknown or not len(names):
                raise ValueError(
                    f"terms must be names among {', '.join(self.names)}; got {terms!r}."
                )
            return np.eye(k)[[self.names.index(name) for name in names]]
        matrix: NDArray[Any] = np.atleast_2d(real_array(terms, "terms"))
        if matrix.ndim != 2 or matrix.shape[1] != k or not np.isfinite(matrix).all():
            raise ValueError(
                f"terms must be names or finite combinations of shape (q, {k}), got shape "
                f"{matrix.shape}."
            )
        return matrix.astype(np.float64)

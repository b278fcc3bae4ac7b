"""What every fitted linear model has: validated data before, predictions after."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from robustreg._arrays import Array, one_entry_each
from robustreg._compat import (
    CALLBACK_STATE,
    DISPATCHES,
    CallbackSupportMixin,
    Estimator,
    Interval,
    Tasks,
    fit_context,
    validate_parameters,
)
from robustreg._linalg.factors import OutOfRangeError
from robustreg._namespace import describe, device_of, is_foreign, is_on_device
from robustreg._numbers import real_values
from robustreg._parallel import one_blas_thread
from robustreg._validation import check_finite, check_weights
from robustreg.estimators._from_source import JUDGED, Passes
from robustreg.estimators._judgement import OfRows
from robustreg.evaluation.reading import NotFiniteError
from robustreg.solvers import solver_names
from robustreg.sources import RowSource
from robustreg.sources._array import ArraySource
from robustreg.sources._device import DeviceSource
from robustreg.sources._dispatch import columns_of, is_source, judged, predicted, source_of
from robustreg.sources._per_row import Judge, Line, SumSquares
from robustreg.sources._surveyed import NotInMemoryError

T = TypeVar("T")

FLOATS = (np.float64, np.float32)
STATE = 2  # counts the kinds of attributes that models have had; pickles of another are refused


class LinearPredictor(RegressorMixin, Estimator):
    """What a fitted linear model needs: validated data before, predictions after."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "l1_ratio": [Interval(Real, 0.0, 1.0, closed="both")],
        "positive": ["boolean"],
        "fit_intercept": ["boolean"],
        "solver": [str],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
    }

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_robustreg_state": STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        found = state.pop("_robustreg_state", None)
        if found != STATE:
            raise ValueError(
                f"This {type(self).__name__} was pickled by another version of robustreg, whose "
                f"models have other attributes (state {found}, here {STATE}). Fit it again."
            )
        super().__setstate__(state)

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Whatever happens, an interrupt included: nothing is half-fitted."""
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            for name in CALLBACK_STATE:
                if name in self.__dict__:
                    before[name] = self.__dict__[name]
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _takes_device(self) -> bool:
        """Whether a fit takes arrays that are not NumPy's, and leaves them where they are."""
        return False

    def _takes_sparse(self) -> bool:
        """Whether a fit takes sparse X; predictions do in any case."""
        return True

    def _check(self) -> None:
        """Check the parameters, for callers other than ``fit``."""
        validate_parameters(self)
        self._check_parameters()

    def _check_parameters(self) -> None:
        """What the parameter constraints cannot say."""
        solver = getattr(self, "solver", "auto")
        if solver not in solver_names():  # to which users may have added their own
            raise ValueError(f"solver must be one of {solver_names()}, got {solver!r}.")
        for name in ("alpha", "tol"):
            if not math.isfinite(getattr(self, name, 0.0)):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)!r}.")

    def _read(self, X: Any, y: ArrayLike | None) -> tuple[Any, Array]:
        """X and y as arrays, y finite. The number of columns of X is kept, and their names."""
        if _need_no_check(X, y):
            self.n_features_in_ = X.shape[1]
            if hasattr(self, "feature_names_in_"):  # of an earlier fit
                del self.feature_names_in_
            return X, np.asarray(y, dtype=np.float64)
        X, y = real_values(X, "X"), real_values(y, "y")
        data, target = validate_data(
            self,
            X,
            y,
            accept_sparse="csr" if self._takes_sparse() else False,
            dtype=FLOATS,
            y_numeric=True,
            ensure_all_finite=False,  # the sums over X find out; see _with_data
        )
        target = np.asarray(target, dtype=np.float64)
        # scikit-learn looks at y before it converts it
        check_finite(target, "y", type(self).__name__)
        return _as_float(data), target

    def _with_data(
        self,
        X: Any,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        work: Callable[[Any, Array, Array | None, np.dtype, int], T],
    ) -> T:
        """``work(X, y, weight, dtype, n_threads)`` on validated data."""
        name = type(self).__name__
        data, target = self._read(X, y)
        dtype = data.dtype if fits_in(target, data.dtype) else np.dtype(np.float64)
        weight = None if sample_weight is None else check_weights(sample_weight, data)
        left_out = weight is not None and not weight.all()  # rows that no sum will see
        if sparse.issparse(data):
            data = one_entry_each(data.astype(np.float64, copy=False))
        if sparse.issparse(data) or left_out:
            check_finite(data, "X", name)
        try:
            with one_blas_thread() as n_threads, np.errstate(under="ignore"):
                return work(data, target, weight, dtype, n_threads)
        except NotFiniteError:
            check_finite(data, "X", name)
            raise ValueError(
                "X holds values so large that their squares overflow (beyond about 1e150); "
                "rescale its columns."
            ) from None
        except OutOfRangeError:
            check_finite(data, "X", name)
            raise ValueError(
                "Numbers in this fit leave the range of float64: rescale X, y or sample_weight."
            ) from None

    def predict(self, X: ArrayLike | RowSource) -> Any:
        """Predict with the linear model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, in memory or not: see :mod:`robustreg.sources`.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``X @ coef_ + intercept_``; of Dask collections one, to be computed, of rows on a device
            an array there.
        """
        check_is_fitted(self)
        self._check_kind(X, "predict")
        if is_source(X):
            self._check_columns(X)
            return predicted(self._line(), X)
        X = real_values(X, "X")
        X = _as_float(validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False))
        return self._line()(X)

    def _check_columns(self, X: Any) -> None:
        """Columns of rows that are not in memory are those of the fit, in their order."""
        count, names = columns_of(X)
        if count != self.n_features_in_:
            raise ValueError(
                f"X has {count} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        fitted = getattr(self, "feature_names_in_", None)
        if names is not None and fitted is not None and [*names] != [*fitted]:
            raise ValueError(
                f"The columns of X must be those of the fit, in their order: {[*fitted]}, got "
                f"{[*names]}."
            )

    def _check_kind(self, X: Any, method: str) -> None:
        """Rows must be arrays of the kind that the fit was given, and where these were."""
        coef, here = self._line().coef, is_on_device(X)
        if not here and type(coef) is np.ndarray:
            return
        fitted, given = _place_of(coef), _place_of(X) if here else "an array of NumPy"
        if fitted != given:
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace "
                f"and the same device as those passed to fit(): the fit is that of {fitted}, and "
                f"this is {given} (of which kind arrays are is looked at where scikit-learn's "
                f"array_api_dispatch is on)."
            )

    def _line(self) -> Line:
        """What predicts."""
        return Line(self.coef_, self.intercept_)

    def score(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """R squared of the predictions, as of scikit-learn's regressors.

        It is not robust: see :mod:`robustreg.metrics`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Regressors.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        float
            At most 1.
        """
        source = source_of(X, y, sample_weight)
        if source is not None:
            check_is_fitted(self)
            self._check_columns(source)
            self._check_kind(X, "score")
            return float(source.total(SumSquares(self._line())).r_squared())
        weight = real_values(sample_weight, "sample_weight")
        return super().score(X, real_values(y, "y"), weight)

    def robustness_weights(self, X: ArrayLike | RowSource, y: ArrayLike | None = None) -> Any:
        """How far the fit trusts rows, those that it was fitted to or new ones.

        Of the rows of the fit these are ``weights_``, which fits to rows that are not in memory
        do not have. A row is judged by its residual, whatever the weight that it had in the fit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, in memory or not: see :mod:`robustreg.sources`. Of a pipeline whose last
            step is this model, ``pipe[:-1].transform(X)``.
        y : array-like of shape (n_samples,)
            Targets; None beside a RowSource, which has its own.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_quantiles, n_samples)
            From 0 to 1, as ``weights_``. Of Dask arrays one in the blocks of rows of X, and of
            Dask data frames a series with their index, or a data frame of n_quantiles columns,
            to be computed.

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, or do not belong together.

        See Also
        --------
        flag_outliers : Which rows are outliers.

        Examples
        --------
        >>> import numpy as np
        >>> from robustreg import HuberRegressor
        >>> X = np.arange(20.0)[:, None]
        >>> y = X[:, 0] + np.resize([-0.1, 0.1], 20)
        >>> model = HuberRegressor().fit(X, y)
        >>> print(np.abs(model.robustness_weights(X, y) - model.weights_).max() < 1e-12)
        True
        >>> print(model.robustness_weights([[5.0], [6.0]], [5.0, 60.0]).round(3))
        [1.    0.003]
        """
        return self._of_rows("weights", X, y)

    def flag_outliers(self, X: ArrayLike | RowSource, y: ArrayLike | None = None) -> Any:
        """Which rows are outliers, among those of the fit or new ones.

        Of the rows of the fit these are ``outliers_``, which fits to rows that are not in memory
        do not have: residuals beyond 2.5 ``scale_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, in memory or not: see :mod:`robustreg.sources`. Of a pipeline whose last
            step is this model, ``pipe[:-1].transform(X)``.
        y : array-like of shape (n_samples,)
            Targets; None beside a RowSource, which has its own.

        Returns
        -------
        ndarray of bool, of shape (n_samples,) or (n_quantiles, n_samples)
            As ``outliers_``. Of Dask arrays one in the blocks of rows of X, and of Dask data frames
            a series with their index, or a data frame of n_quantiles columns, to be computed.

        Raises
        ------
        ValueError
            If X or y hold NaN or infinity, or do not belong together.

        See Also
        --------
        robustness_weights : How far rows are trusted.

        Examples
        --------
        >>> import numpy as np
        >>> from robustreg import HuberRegressor
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X = np.arange(20.0)[:, None]
        >>> y = X[:, 0] + np.resize([-0.1, 0.1], 20)
        >>> pipe = make_pipeline(StandardScaler(), HuberRegressor()).fit(X, y)
        >>> print(pipe[-1].flag_outliers(pipe[:-1].transform([[5.0], [6.0]]), [5.0, 60.0]))
        [False  True]
        """
        return self._of_rows("outliers", X, y)

    def _of_rows(self, name: str, X: Any, y: Any) -> Any:
        """What the judgement of the fit says of rows."""
        check_is_fitted(self)
        of_rows = OfRows(self._judgement_, name)
        source = source_of(X, y, None)
        if source is not None:
            self._check_columns(X)
            return judged(of_rows, X, source)
        X, y = real_values(X, "X"), real_values(y, "y")
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=FLOATS, y_numeric=True, reset=False
        )
        y = np.asarray(y, dtype=np.float64)
        with one_blas_thread() as n_threads:
            rows = ArraySource(_as_float(X), y, None, n_threads)
            return rows.total(Judge(of_rows)).joined().T

    def __getattr__(self, name: str) -> Any:
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in JUDGED and "n_passes_" in self.__dict__:
            message = (
                f"This {type(self).__name__} has no {name}, with an entry for each row: it was "
                "fitted to rows that are not in memory. robustness_weights(X, y) and "
                "flag_outliers(X, y) say how far rows are trusted, and which are outliers."
            )
        raise AttributeError(message, name=name, obj=self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._takes_sparse()
        tags.array_api_support = DISPATCHES and self._takes_device()
        return tags


class LinearEstimator(CallbackSupportMixin, LinearPredictor, ABC):
    """A linear model that is fitted to all rows at once; concrete ones say how."""

    verbose: int

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or RowSource
            Regressors, float64 or float32 (others are converted), without NaN or infinity.
            Not copied, not changed. Dates are refused: which number one is depends on its unit.
            A :class:`robustreg.sources.RowSource` brings targets and weights along.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights: weight k counts a row k times, weight 0 leaves it out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not what it must be. The estimator is
            then as it was.
        """
        with self._unchanged_on_error():
            self._check_parameters()
            source = source_of(X, y, sample_weight)
            if isinstance(source, DeviceSource) and not self._takes_device():
                raise NotInMemoryError(
                    f"{self!r} needs arrays of NumPy, and was given a {describe(X)}: "
                    "numpy.asarray(X) or numpy.asarray(X.cpu()) makes one. On a device "
                    "L2Regressor, HuberRegressor with a number for delta, and MRegressor with a "
                    "smooth convex loss of this package are fitted, without a penalty or with a "
                    "ridge, at a joint scale or a number."
                )
            for earlier in ("n_passes_", "_n_given"):  # of another fit
                self.__dict__.pop(earlier, None)
            tasks = Tasks(self, 0 if source is None else None, X, y)
            if source is None:
                self._with_data(X, y, sample_weight, self._fit)
            else:
                name = type(self).__name__ if self.verbose else None
                self._fit_source(Passes(source, tasks, name))
            tasks.end()
        return self

    def _fit_source(self, source: Passes) -> None:
        """Fit the model to rows that are not in memory."""
        raise NotInMemoryError(
            f"{self!r} needs all rows in memory, and was given a {source.kind}: load "
            "them into arrays. So it is with MRegressor where its penalty is your own, and with no "
            "other."
        )

    @abstractmethod
    def _fit(self, X: Any, y: Array, weight: Array | None, dtype: np.dtype, n_threads: int) -> None:
        """Fit the model to validated data."""


def _place_of(array: Any) -> str:
    """What an array is, and where."""
    if not is_foreign(array):
        return "an array of NumPy"
    return f"a {describe(array)} on the device {device_of(array)}"


def _as_float(X: Any) -> Any:
    """X as ``validate_data`` returns it; sparse frames come in the dtypes of their columns."""
    return X if X.dtype in FLOATS else X.astype(np.float64)


def fits_in(y: Array, dtype: np.dtype) -> bool:
    """Whether predictions of y can be made in a precision."""
    return dtype == np.float64 or float(np.abs(y).max()) < float(np.finfo(dtype).max)


def _need_no_check(X: Any, y: Any) -> bool:
    """Whether these are arrays that ``validate_data`` would return as they are.

    It takes as long as several passes over a small table to find that out. Whatever is not
    as expected is for it to convert or to explain.
    """
    plain = type(X) is np.ndarray and type(y) is np.ndarray
    if not (plain and X.dtype in FLOATS and y.dtype in FLOATS):
        return False
    return X.ndim == 2 and X.size > 0 and y.shape == X.shape[:1] and bool(np.isfinite(y).all())

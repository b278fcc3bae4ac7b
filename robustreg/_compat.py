"""What differs between versions of the dependencies, and underscored names of theirs.

Those of scikit-learn exist with compatible signatures from 1.6 on, that of Dask from 2025.1 on,
and the ecosystem relies on them; if one moves, this file is what changes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import scipy
from scipy.sparse.linalg import LinearOperator
from scipy.sparse.linalg import minres as scipy_minres
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.base import _fit_context as fit_context
from sklearn.metrics import r2_score
from sklearn.metrics._scorer import _Scorer
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_method_params, _check_sample_weight

from robustreg._arrays import Array

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's mixin where there are no callbacks."""


#: Whether scikit-learn's ``array_api_dispatch`` can be turned on, which asks for a newer SciPy.
DISPATCHES = bool(np.lib.NumpyVersion(scipy.__version__) >= "1.14.0")

__all__ = [
    "CALLBACK_STATE",
    "DISPATCHES",
    "CallbackSupportMixin",
    "Estimator",
    "Interval",
    "StrOptions",
    "Tasks",
    "check_sample_weight",
    "fit_context",
    "is_r2",
    "mean_of_rows",
    "method_params",
    "metric_by_column",
    "minres",
    "of_one_dask_frame",
    "set_blas_threads",
    "takes_sample_weight",
    "validate_parameters",
]

# SciPy 1.14 removed the name that SciPy 1.11 still asks for.
_RTOL = "rtol" if "rtol" in inspect.signature(scipy_minres).parameters else "tol"


def minres(operator: LinearOperator, side: Array, rtol: float, **options: Any) -> Array:
    """Solve a symmetric system by MINRES, to a relative tolerance."""
    return scipy_minres(operator, side, **{_RTOL: rtol}, **options)[0]


PLAIN = frozenset({bool, float, int, str, type(None)})  # whose objects do not change

# scikit-learn 1.9 refuses weights that are all zero by itself, in words of its own.
_ZEROS = "allow_all_zero_weights"
_ALLOW = {_ZEROS: True} if _ZEROS in inspect.signature(_check_sample_weight).parameters else {}


def check_sample_weight(sample_weight: Any, X: Any) -> Array:
    """Sample weights as a float64 array of the right length, finite; None is all ones."""
    return _check_sample_weight(sample_weight, X, dtype=np.float64, **_ALLOW)


def method_params(X: Any, params: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Of parameters with an entry for each row of X the entries of some rows; others as given."""
    return _check_method_params(X, params, rows)


def takes_sample_weight(scorer: Any) -> bool:
    """Whether a scorer can weight rows: one of ``make_scorer`` if its metric can."""
    parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    variadic = inspect.Parameter.VAR_KEYWORD
    return "sample_weight" in parameters or variadic in {p.kind for p in parameters.values()}


def metric_by_column(scorer: Any, params: dict[str, Any]) -> Callable[[Array, Array], Any] | None:
    """What a scorer does with targets and predictions, for several columns of them at once.

    None unless ``make_scorer`` made it from a metric that is known to treat columns apart,
    one of scikit-learn's or of this package, and does nothing but call it.
    """
    if type(scorer) is not _Scorer or scorer._response_method != "predict":
        return None
    metric, given = scorer._score_func, scorer._kwargs
    home = getattr(metric, "__module__", None) or ""
    known = home.startswith(("sklearn.metrics.", "robustreg.metrics."))
    if not known or "multioutput" not in inspect.signature(metric).parameters:
        return None
    original: Any = getattr(sys.modules[home], metric.__name__, None)
    if original is not metric:  # but wraps one that is
        return None
    if "multioutput" in given or set(given) & set(params):
        return None

    def scores(y_true: Array, y_pred: Array) -> Any:
        return scorer._sign * metric(y_true, y_pred, multioutput="raw_values", **given, **params)

    return scores


# Metrics of scikit-learn that are means over rows, or the roots of such.
_MEANS = frozenset(
    {
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_pinball_loss",
        "mean_squared_error",
        "mean_squared_log_error",
    }
)
_ROOTS = frozenset({"root_mean_squared_error", "root_mean_squared_log_error"})


class MeanOfRows(NamedTuple):
    """What a scorer makes of a mean over rows."""

    metric: Callable[..., Any]  # of targets and predictions, each of shape (n, k), and weights
    sign: int
    root: bool  # whether the score is that of the root of the mean

    def score(self, mean: Array) -> Array:
        """The scores."""
        return self.sign * (np.sqrt(mean) if self.root else mean)


def mean_of_rows(scorer: Any) -> MeanOfRows | None:
    """What means over rows a scorer is made of: None unless ``make_scorer`` made it of such."""
    if type(scorer) is not _Scorer or scorer._response_method != "predict":
        return None
    metric, given = scorer._score_func, scorer._kwargs
    home, name = getattr(metric, "__module__", None) or "", getattr(metric, "__name__", "")
    ours = home.startswith("robustreg.metrics.") and name.startswith("mean_")
    known = ours or (home.startswith("sklearn.metrics.") and name in _MEANS | _ROOTS)
    if not known or getattr(sys.modules[home], name, None) is not metric:
        return None
    if "multioutput" in given:
        return None
    root = name in _ROOTS
    if root:
        metric = getattr(sys.modules[home], name.replace("root_", ""))
    raw = partial(metric, multioutput="raw_values", **given)
    return MeanOfRows(raw, scorer._sign, root)


def is_r2(scorer: Any) -> bool:
    """Whether a scorer is R squared."""
    return type(scorer) is _Scorer and scorer._score_func is r2_score and not scorer._kwargs


# What scikit-learn's ``fit_context`` looks for after a fit, also after one that failed.
CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
# Where callbacks of an estimator are, and what it is a part of the fit of.
_HEARD_BY = ("_skl_callbacks", "_parent_callback_ctx")


class Tasks:
    """The parts of a long fit, announced to the estimator's callbacks where there are any.

    ``count`` is how many there will be; None: nobody knows. That a callback asks for an end is
    not heeded: half a fit has no certificate.
    """

    def __init__(self, estimator: CallbackSupportMixin, count: int | None, X: Any, y: Any) -> None:
        self.estimator, self.data, self.context = estimator, {"X": X, "y": y}, None
        self.lock = Lock()
        if any(name in vars(estimator) for name in _HEARD_BY):
            self.context = estimator._init_callback_context(max_subtasks=count)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def done(self, name: str) -> None:
        """One part is done. May be called from any thread."""
        with self.lock, self.part(name):
            pass

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part, from its beginning to its end."""
        if self.context is None:
            yield
            return
        part = self.context.subcontext(task_name=name)
        part.call_on_fit_task_begin(estimator=self.estimator)
        yield
        part.call_on_fit_task_end(estimator=self.estimator)

    def end(self) -> None:
        """All parts are done."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)


class Estimator(BaseEstimator):
    """scikit-learn's, which reads a signature anew in every fit and every ``get_params``.

    It also checks parameters anew in every fit, which takes longer than some fits: those that have
    been found valid, and cannot change, are not looked at again.
    """

    def _validate_params(self) -> None:
        plain = self._plain()
        if plain is None:
            super()._validate_params()
        else:
            self._check_plain(*plain)

    @property
    def _title(self) -> str:
        """The estimator with its parameters, in one line.

        It is kept where they are plain: to print them takes longer than many a covariance matrix.
        """
        plain = self._plain()
        if plain is None:
            return " ".join(repr(self).split())
        return self._plain_title(get_config()["print_changed_only"], *plain)

    def _plain(self) -> tuple[tuple[str, ...], tuple[type, ...], tuple[Any, ...]] | None:
        """The parameters' names, types and values; None if one's object may change."""
        names = tuple(self._names_for(type(self).__init__))
        values = tuple(getattr(self, name) for name in names)
        kinds = tuple(map(type, values))
        return (names, kinds, values) if PLAIN.issuperset(kinds) else None

    @classmethod
    @lru_cache
    def _check_plain(cls, names: Any, kinds: Any, values: Any) -> None:
        """Check parameters whose values are not to change; only success is remembered."""
        params = dict(zip(names, values, strict=True))
        validate_parameter_constraints(cls._parameter_constraints, params, cls.__name__)

    @classmethod
    @lru_cache
    def _plain_title(cls, changed_only: bool, names: Any, kinds: Any, values: Any) -> str:
        """The title with parameters whose values are not to change, as configured."""
        params = dict(zip(names, values, strict=True))
        return " ".join(repr(cls(**params)).split())

    @classmethod
    def _get_param_names(cls) -> list[str]:
        kind: Any = cls
        return list(cls._names_for(kind.__init__))  # an override may add to the list

    @classmethod
    @lru_cache
    def _names_for(cls, init: Any) -> list[str]:
        """The parameters of the constructor that the class has now."""
        return super()._get_param_names()


def of_one_dask_frame(parts: Sequence[Any]) -> bool:
    """Whether Dask knows that frames and series have the same rows in the same partitions."""
    from dask.dataframe.dask_expr._expr import are_co_aligned

    return bool(are_co_aligned(*(part.expr for part in parts)))


def validate_parameters(estimator: Any) -> None:
    """Check an estimator's parameters against its constraints, as ``fit`` does."""
    estimator._validate_params()


def set_blas_threads(library: Any, n_threads: int) -> None:
    """Set the number of threads of a BLAS library that threadpoolctl controls.

    From threadpoolctl 3.8 on, OpenBLAS listens to one "controlling thread" and silently
    ignores the others. Callers that count their users under a lock need no such guard.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n_threads)

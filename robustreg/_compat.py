"""What differs between versions of the dependencies, and scikit-learn's underscored names.

The underscored names exist with compatible signatures from scikit-learn 1.6 on, and the
ecosystem around scikit-learn relies on them; if one moves, this file is what changes.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator
from scipy.sparse.linalg import minres as scipy_minres
from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from robustreg._arrays import Array

__all__ = [
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "minres",
    "set_blas_threads",
    "validate_parameters",
]

# SciPy 1.14 removed the name that SciPy 1.11 still asks for.
_RTOL = "rtol" if "rtol" in inspect.signature(scipy_minres).parameters else "tol"


def minres(operator: LinearOperator, side: Array, rtol: float, **options: Any) -> Array:
    """Solve a symmetric system by MINRES, to a relative tolerance."""
    return scipy_minres(operator, side, **{_RTOL: rtol}, **options)[0]


# scikit-learn 1.9 refuses weights that are all zero by itself, in words of its own.
_ZEROS = "allow_all_zero_weights"
_ALLOW = {_ZEROS: True} if _ZEROS in inspect.signature(_check_sample_weight).parameters else {}


def check_sample_weight(sample_weight: Any, X: Any) -> Array:
    """Sample weights as a float64 array of the right length, finite; None is all ones."""
    return _check_sample_weight(sample_weight, X, dtype=np.float64, **_ALLOW)


def validate_parameters(estimator: Any) -> None:
    """Check an estimator's parameters against its constraints, as ``fit`` does."""
    estimator._validate_params()


def set_blas_threads(library: Any, n_threads: int) -> None:
    """Set the number of threads of a BLAS library that threadpoolctl controls.

    From threadpoolctl 3.8 on, OpenBLAS listens to one "controlling thread" and silently
    ignores the others. Callers that count their users under a lock need no such guard.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n_threads)

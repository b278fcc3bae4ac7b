"""Expectations under the standard normal distribution, to rounding error.

The constants of robust statistics (consistency of the scale, efficiency, breakdown point) are all
of the form E f(Z). A fixed composite Gauss-Legendre rule is enough for every one of them and,
unlike an adaptive rule, costs two array evaluations and gives the same digits every time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable

import numpy as np

from robustreg.losses._arrays import FloatArray, Formula

_NODES_PER_PANEL = 20

# Panels halve towards zero, because a loss with a tiny tuning constant changes there, and are one
# unit wide from 1 to 40, where the density has fallen below the smallest floating-point number.
_PANEL_EDGES = (0.0, *(2.0**k for k in range(-60, 0)), *(float(k) for k in range(1, 41)))


@functools.lru_cache(maxsize=1)
def _gauss_legendre() -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights for the interval (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def gaussian_expectation(function: Formula, breakpoints: Iterable[float] = ()) -> float:
    """Return E f(Z) for Z ~ N(0, 1) and a vectorised f.

    `breakpoints` are the points where f is not analytic; panels end there, so that a kink costs no
    accuracy.
    """
    inside = {abs(float(point)) for point in breakpoints if abs(point) < _PANEL_EDGES[-1]}
    edges = np.asarray(sorted(inside.union(_PANEL_EDGES)))
    nodes, weights = _gauss_legendre()
    width = np.diff(edges)[:, np.newaxis]
    z = (edges[:-1, np.newaxis] + width * nodes).ravel()
    mass = (width * weights).ravel() * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(np.sum(mass * (function(z) + function(-z))))

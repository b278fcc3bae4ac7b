"""How an optimiser ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from scipy.optimize import OptimizeResult


class Ended(IntEnum):
    """How an optimiser ended; the values are those of ``OptimizeResult.status``."""

    FINISHED = 0
    MAX_ITER = 1
    NO_DECREASE = 2
    AT_BOUND = 3
    BELOW_LEAST = 4
    OUT_OF_RANGE = 5
    FAILED = 6


#: Where the optimiser has not come to its end, whatever the certificate says.
UNFINISHED = (Ended.MAX_ITER, Ended.OUT_OF_RANGE)


@dataclass(frozen=True)
class Limits:
    """When an optimiser ends.

    After ``max_iter`` iterations; at a gap of ``tol`` F, where that is looked at on the way; at a
    step of ``xtol`` scales.
    """

    max_iter: int
    tol: float
    xtol: float


def limits_among(options: dict[str, Any]) -> dict[str, Any]:
    """Those options of a solver that serve another problem, too: not a start, or coordinates."""
    return {name: options[name] for name in ("max_iter", "tol") if name in options}


def finished(message: str, nit: int = 0) -> OptimizeResult:
    """What an optimiser says that has come to its end."""
    return OptimizeResult(status=Ended.FINISHED, message=message, nit=nit)

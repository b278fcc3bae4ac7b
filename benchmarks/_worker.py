"""A process beside this one, to which fits of a table are handed one at a time."""

from __future__ import annotations

import ctypes
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _common import largest_resident_size, synthetic
from _one_hot import one_hot
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

Table = tuple[Any, np.ndarray]
Make = Callable[[], Table]


@dataclass(frozen=True)
class Fit:
    """What a fit has cost and found.

    Attributes
    ----------
    seconds : float
        Of `fit`, with the validation of its input.
    memory : int
        Bytes beyond what was there before, at most; 0 where it was not measured.
    coef : ndarray
        Intercept and coefficients.
    scale : float
        The attribute ``scale_``, not a number where there is none.
    """

    seconds: float
    memory: int
    coef: np.ndarray
    scale: float


class Worker:
    """A process that makes a table and fits what it is asked for; it starts with the first fit.

    Parameters
    ----------
    make : callable
        Makes X and y; it can be pickled.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._process: Any = None
        self._pipe: Any = None

    def load(self, make: Make) -> None:
        """Change to another table."""
        self._make = make
        if self._process is not None:
            self._ask(make)

    def fit(self, model: object, limit: float, memory: str = "") -> Fit:
        """Fit a model.

        The process ends where this takes longer than `limit` seconds, with a TimeoutError; the next
        call starts another one. `memory` may be "resident" (all that the process holds; Linux only)
        or "numpy" (what `tracemalloc` knows of, at the cost of time).
        """
        if self._process is None:
            self._start()
        return self._ask((model, memory), limit)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is seen
        self._ask(self._make)

    def _ask(self, question: object, limit: float | None = None) -> Any:
        self._pipe.send(question)
        if not self._pipe.poll(limit):
            self.close()
            raise TimeoutError(f"{question!r} has taken longer than {limit:g} seconds.")
        try:
            return self._pipe.recv()
        except EOFError:
            self.close()
            raise RuntimeError(f"The process that was asked for {question!r} has ended.") from None


def _serve(pipe: Connection) -> None:
    """Answer to the makers of tables and to models with the kind of memory to measure."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    X = y = small = None
    known: set[type] = set()
    while True:
        question = pipe.recv()
        if callable(question):
            X = y = None  # no two tables at once
            X, y = question()
            small = one_hot(500, 25) if sparse.issparse(X) else synthetic(500, 5)
            pipe.send("ready")
            continue
        model, memory = question
        if type(model) not in known:  # loads what is loaded at first use
            clone(model).fit(*small)
            known.add(type(model))
        pipe.send(_measured(model, X, y, memory))


def _measured(model: Any, X: Any, y: np.ndarray, memory: str) -> Fit:
    before = peak = 0
    if memory == "numpy":
        tracemalloc.start()
    elif memory == "resident":
        before = _forget_peak()
    start = perf_counter()
    model.fit(X, y)
    seconds = perf_counter() - start
    if memory == "numpy":
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    elif memory == "resident":
        peak = largest_resident_size()
    coef = np.append(model.intercept_, model.coef_)
    return Fit(seconds, peak - before, coef, getattr(model, "scale_", np.nan))


def _forget_peak() -> int:
    """Bytes resident now; the largest size is counted from here, what is free given back."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library
    if trim:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return largest_resident_size()

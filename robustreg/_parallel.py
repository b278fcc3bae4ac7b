"""Threads over chunks of rows, and one BLAS thread inside each of them.

The results of a fit do not depend on the number of threads: the boundaries of the
chunks depend on the data's shape only, and partial sums are added in chunk order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import Lock, get_native_id
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from robustreg._compat import set_blas_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def _processors() -> set[int]:
    """The processors that this thread may run on; none where the system does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return affinity(0) if affinity else set()


def _cpu_count() -> int:
    return len(_processors()) or os.cpu_count() or 1


class _BlasGuard:
    """Holds BLAS at one thread while at least one fit runs.

    Fits may overlap (a grid search in threads): only the first one in saves the setting
    and only the last one out restores it, else an early leaver would undo the limit of
    the others and the last one would "restore" one thread for good.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._granted = 1
        self._libraries: list[Any] | None = None
        self._saved: list[int] = []

    def enter(self) -> int:
        with self._lock:
            if self._libraries is None:  # milliseconds, against microseconds to limit
                blas = ThreadpoolController().select(user_api="blas")
                self._libraries = list(blas.lib_controllers)
            if self._users == 0:
                self._saved = [library.num_threads for library in self._libraries]
                self._granted = min(max(self._saved, default=_cpu_count()), _cpu_count())
            for library in self._libraries:  # on each entry: some builds keep limits by thread
                set_blas_threads(library, 1)
            self._users += 1
            return self._granted

    def limit_this_thread(self) -> None:
        """For workers, where a build of BLAS keeps limits by thread."""
        for library in self._libraries or []:
            set_blas_threads(library, 1)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, n_threads in zip(self._libraries or [], self._saved, strict=True):
                    set_blas_threads(library, n_threads)


_guard = _BlasGuard()


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Hold BLAS at one thread and yield how many threads the caller had granted it.

    That number, at most the processors of this process, is how many threads a fit uses:
    ``threadpool_limits`` and ``OMP_NUM_THREADS`` therefore govern robustreg as well.
    """
    granted = _guard.enter()
    try:
        yield granted
    finally:
        _guard.leave()


class _Workers:
    """A pool of threads that knows them, to place them."""

    def __init__(self, n_threads: int) -> None:
        self._threads: list[int] = []
        self.pool = ThreadPoolExecutor(
            n_threads, thread_name_prefix="robustreg", initializer=self._begin
        )

    def _begin(self) -> None:
        _guard.limit_this_thread()
        self._threads.append(get_native_id())

    def place(self, allowed: set[int]) -> None:
        """Move every thread to a processor of its own, while it sleeps.

        Linux wakes threads near the one that wakes them, as they do each other whenever they
        hand over the interpreter's lock: often both are then on one processor, where one
        waits for milliseconds, and a pass over X takes up to twice as long.
        """
        for thread, processor in zip(self._threads, sorted(allowed), strict=False):
            with suppress(OSError):  # not permitted everywhere, and only a matter of speed
                os.sched_setaffinity(thread, {processor})


@lru_cache(maxsize=8)
def _workers(n_threads: int) -> _Workers:
    return _Workers(n_threads)


if hasattr(os, "register_at_fork"):  # absent on Windows
    # A forked child inherits the pools' objects but none of their threads.
    os.register_at_fork(after_in_child=_workers.cache_clear)


def slices(n: int, size: int = 2**15) -> list[slice]:
    """Consecutive slices of ``range(n)``, small enough for a few vectors to stay in cache."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def map_ordered(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> list[Result]:
    """Apply ``function`` to every item, in threads; the results in order."""
    n_workers = min(n_threads, len(items))
    if n_workers <= 1:
        return [function(item) for item in items]
    results: dict[int, Result] = {}
    todo: SimpleQueue[int] = SimpleQueue()
    for index in range(len(items)):
        todo.put(index)

    workers, allowed = _workers(n_threads), _processors()
    # Fits side by side have one thread a processor each, so that this is fair to them, too.
    placed = len(allowed) == n_threads
    if placed:
        workers.place(allowed)

    def work() -> None:
        try:
            with suppress(Empty):
                while True:
                    index = todo.get_nowait()
                    results[index] = function(items[index])
        finally:
            if placed:
                with suppress(OSError):
                    os.sched_setaffinity(0, allowed)

    tasks = [workers.pool.submit(work) for _ in range(n_workers)]
    wait(tasks)  # all of them, before the first error is raised
    for task in tasks:
        task.result()
    return [results[index] for index in range(len(items))]

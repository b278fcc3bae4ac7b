"""Threads over chunks of rows, and one BLAS thread inside each of them.

The results of a fit do not depend on the number of threads: the boundaries of the
chunks depend on the data's shape only, and partial sums are added in chunk order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import RLock, Thread, get_ident, get_native_id
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np
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


class _Use:
    """One fit under way, and the thread that it runs in."""

    def __init__(self) -> None:
        self.thread, self.over = get_ident(), False


class _BlasGuard:
    """Holds BLAS at one thread while at least one fit runs.

    Fits may overlap (a grid search in threads): only the first one in saves the setting
    and only the last one out restores it, else an early leaver would undo the limit of
    the others and the last one would "restore" one thread for good.

    An interrupt may come at any point, between a fit's end and its ``leave``, too. Fits are
    therefore not counted but known, weakly: one that is gone is none.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler may fit, too
        self._users: WeakSet[_Use] = WeakSet()
        self._granted = 1
        self._libraries: list[Any] | None = None
        self._saved: list[int] | None = None  # the setting to restore; None where none is held

    def enter(self, use: _Use) -> int:
        with self._lock:
            if self._libraries is None:  # milliseconds, against microseconds to limit
                blas = ThreadpoolController().select(user_api="blas")
                self._libraries = list(blas.lib_controllers)
            if self._saved is None:
                saved = [library.num_threads for library in self._libraries]
                self._granted = min(max(saved, default=_cpu_count()), _cpu_count())
                self._saved = saved
                if max(saved, default=1) == 1:  # in this thread there is nothing to hold
                    self._users.add(use)
                    return self._granted
            self._users.add(use)
            for library in self._libraries:  # on each entry: some builds keep limits by thread
                set_blas_threads(library, 1)
            return self._granted

    def limit_this_thread(self) -> None:
        """For workers, where a build of BLAS keeps limits by thread."""
        for library in self._libraries or []:
            set_blas_threads(library, 1)

    def leave(self, use: _Use) -> None:
        """End a use; once more does no harm."""
        with self._lock:
            self._users.discard(use)
            self._restore()
            use.over = True

    def _restore(self) -> None:
        if self._saved is None or len(self._users):
            return
        for library, n_threads in zip(self._libraries or [], self._saved, strict=True):
            set_blas_threads(library, n_threads)
        self._saved = None

    def before_fork(self) -> None:
        """No other thread is to be half-way through a change: the child would keep its lock."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Of all threads only the one that forked goes on: the fits of others have ended."""
        self._lock = RLock()
        here = get_ident()
        self._users = WeakSet(use for use in self._users if use.thread == here)
        self._restore()


_guard = _BlasGuard()


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Hold BLAS at one thread and yield how many threads the caller had granted it.

    That number, at most the processors of this process, is how many threads a fit uses:
    ``threadpool_limits`` and ``OMP_NUM_THREADS`` therefore govern robustreg as well.
    """
    use = _Use()
    try:
        yield _guard.enter(use)
    finally:
        try:
            _guard.leave(use)
        finally:
            if not use.over:  # an interrupt has kept the first one from it
                _guard.leave(use)


class _Workers:
    """Threads that wait for work, and that can be placed on processors.

    Work is handed over and reported back through queues without locks of Python's own. In
    the futures of the standard library an interrupt of the waiting thread may leave a lock
    held or released for good, and with it a thread of the pool, which later fits wait for.
    """

    def __init__(self, n_threads: int) -> None:
        self.work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._count, self._threads = n_threads, list[int]()
        args = (self.work, self._threads)  # not self, which lives as long as it is used
        for _ in range(n_threads):
            # daemons: nobody waits for them when the interpreter ends
            Thread(target=_serve, args=args, name="robustreg", daemon=True).start()

    def __del__(self) -> None:
        for _ in range(self._count):
            self.work.put(None)

    def place(self, allowed: set[int]) -> None:
        """Move every thread to a processor of its own, while it sleeps.

        Linux wakes threads near the one that wakes them, as they do each other whenever they
        hand over the interpreter's lock: often both are then on one processor, where one
        waits for milliseconds, and a pass over X takes up to twice as long.
        """
        for thread, processor in zip(self._threads, sorted(allowed), strict=False):
            with suppress(OSError):  # not permitted everywhere, and only a matter of speed
                os.sched_setaffinity(thread, {processor})


def _serve(work: SimpleQueue[Callable[[], None] | None], threads: list[int]) -> None:
    """What a worker does: every piece of work that comes, until None does."""
    _guard.limit_this_thread()
    threads.append(get_native_id())
    while (piece := work.get()) is not None:
        piece()
        del piece  # and with it the data of a fit


@lru_cache(maxsize=8)
def _workers(n_threads: int) -> _Workers:
    return _Workers(n_threads)


if hasattr(os, "register_at_fork"):  # absent on Windows
    os.register_at_fork(
        before=_guard.before_fork,
        after_in_parent=_guard.after_fork_in_parent,
        after_in_child=_guard.after_fork_in_child,
    )
    # A forked child inherits the objects of pools but none of their threads.
    os.register_at_fork(after_in_child=_workers.cache_clear)


def slices(n: int, size: int = 2**15) -> list[slice]:
    """Consecutive slices of ``range(n)``, small enough for a few vectors to stay in cache."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def map_ordered(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> list[Result]:
    """Apply ``function`` to every item, in threads; the results in order.

    An error is raised once nothing runs any more, an interrupt at once; then threads end
    after the items that they are at.
    """
    n_workers = min(n_threads, len(items))
    workers = _started(n_threads) if n_workers > 1 else None
    if workers is None:
        return [function(item) for item in items]
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    todo: SimpleQueue[int] = SimpleQueue()
    for index in range(len(items)):
        todo.put(index)
    ended: SimpleQueue[None] = SimpleQueue()

    allowed = _processors()
    # Fits side by side have one thread a processor each, so that this is fair to them, too.
    placed = len(allowed) == n_threads
    if placed:
        workers.place(allowed)
    handling = np.geterr()  # of floating-point errors, which every thread has its own

    def work() -> None:
        index = 0
        try:
            with suppress(Empty), np.errstate(**handling):
                while True:
                    index = todo.get_nowait()
                    results[index] = function(items[index])
        except BaseException as error:  # the caller raises it
            errors[index] = error
        finally:
            if placed:
                with suppress(OSError):
                    os.sched_setaffinity(0, allowed)
            ended.put(None)

    try:
        for _ in range(n_workers):
            workers.work.put(work)
        for _ in range(n_workers):
            ended.get()
    except BaseException:
        with suppress(Empty):
            while True:
                todo.get_nowait()
        raise
    if errors:
        raise errors.pop(min(errors))
    return [results[index] for index in range(len(items))]


def _started(n_threads: int) -> _Workers | None:
    """The threads, or None where there can be none: work is then done in the calling thread.

    That is so when the interpreter is about to end, and where the system has no more threads.
    """
    try:
        return _workers(n_threads)
    except RuntimeError:
        return None

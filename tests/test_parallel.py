"""Threads: the same results with any number of them, and no trace of interrupts and forks."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread, get_native_id

import numpy as np
import pytest
from _cases import VARIANTS, contaminated
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

import robustreg
from robustreg._cached import cached_property
from robustreg._parallel import _guard, _Use, map_ordered, one_blas_thread
from robustreg.estimators import HuberRegressor


@pytest.mark.parametrize("name", VARIANTS)
def test_the_number_of_threads_does_not_change_a_bit(name):
    X, y = contaminated(n=50_000, p=12)  # several blocks of rows
    fits = []
    for threads in (1, 4):
        with threadpool_limits(limits=threads):
            fits.append(clone(VARIANTS[name]).fit(X, y))
    one, four = fits
    np.testing.assert_array_equal(four.coef_, one.coef_)
    assert four.intercept_ == one.intercept_
    assert four.scale_ == one.scale_
    assert four.dual_gap_ == one.dual_gap_
    np.testing.assert_array_equal(four.weights_, one.weights_)


def test_the_number_of_threads_of_the_process_does_not_change_a_bit():
    """OMP_NUM_THREADS and the like, read when the libraries are loaded."""
    code = (
        "import numpy as np, pickle, sys; from robustreg import HuberRegressor\n"
        "rng = np.random.default_rng(0); X = rng.normal(size=(50_000, 12))\n"
        "m = HuberRegressor().fit(X, X.sum(axis=1) + rng.standard_t(2, size=50_000))\n"
        "found = m.coef_, m.intercept_, m.scale_\n"
    )
    here = {}
    exec(code, here)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    others = "2" if os.environ.get("OMP_NUM_THREADS") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", f"{code}sys.stdout.buffer.write(pickle.dumps(found))"],
        env=os.environ | dict.fromkeys(names, others),
        capture_output=True,
        check=True,
    )
    found = pickle.loads(there.stdout)
    np.testing.assert_array_equal(found[0], here["found"][0])
    assert found[1:] == here["found"][1:]


def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def in_another_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_fits_leave_the_thread_limits_as_they_were():
    X, y = contaminated()
    for limits in (1, 2, None):
        with threadpool_limits(limits=limits):
            before = blas_threads()
            HuberRegressor().fit(X, y)
            with pytest.raises(ValueError, match="NaN"):
                HuberRegressor().fit(X * np.nan, y)
            assert blas_threads() == before


def test_the_blas_limit_works_in_any_thread():
    """threadpoolctl lets one thread at a time set OpenBLAS' limit and ignores the others."""

    def inside():
        with one_blas_thread():
            return blas_threads()

    assert set(inside()) == set(in_another_thread(inside)) == set(inside()) == {1}


def test_the_blas_limit_of_overlapping_fits_is_lifted_by_the_last():
    before, entered, left = blas_threads(), Event(), Event()

    def longer():
        with one_blas_thread():
            entered.set()
            left.wait(timeout=60)
            return blas_threads()

    with ThreadPoolExecutor(1) as pool:
        with one_blas_thread():
            task = pool.submit(longer)
            entered.wait(timeout=60)
        left.set()  # the first one in is the first one out
        assert set(task.result()) == {1}
    assert blas_threads() == before


def test_other_threads_can_still_set_limits_after_a_fit():
    X, y = contaminated()
    HuberRegressor().fit(X, y)

    def limited():
        with threadpool_limits(limits=1, user_api="blas"):
            return blas_threads()

    assert set(in_another_thread(limited)) == {1}


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_map_ordered_keeps_the_order(n_threads):
    assert map_ordered(lambda item: -item, range(20), n_threads) == [-item for item in range(20)]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_map_ordered_raises_once_nothing_runs_any_more(n_threads):
    done = []

    def work(item):
        if item == 0:
            raise ArithmeticError("of item 0")
        done.append(item)

    with pytest.raises(ArithmeticError, match="of item 0"):
        map_ordered(work, range(20), n_threads)
    assert sorted(done) == ([] if n_threads == 1 else list(range(1, 20)))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_threads_have_a_processor_each_during_a_pass_and_all_of_them_after():
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        pytest.skip("one processor has one thread")
    barrier = Barrier(len(allowed))  # so that each takes one item

    def where(_):
        barrier.wait(timeout=60)
        return get_native_id(), os.sched_getaffinity(0)

    map_ordered(where, range(len(allowed)), len(allowed))  # starts the threads
    found = dict(map_ordered(where, range(len(allowed)), len(allowed)))
    assert sorted(found.values(), key=min) == [{processor} for processor in sorted(allowed)]
    assert all(os.sched_getaffinity(thread) == allowed for thread in found)


# --- what must leave no trace: each in a process of its own, which a hang would end

PREPARE = """
import faulthandler, os, signal, sys, threading, time
import numpy as np
from threadpoolctl import threadpool_info
from robustreg import HuberRegressor
from robustreg._parallel import map_ordered, one_blas_thread

faulthandler.dump_traceback_later({limit}, exit=True)

def blas_threads():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

before = blas_threads()
rng = np.random.default_rng(0)
X, y = rng.normal(size=(6_000, 60)), rng.standard_t(2, size=6_000)
"""


def run(code, limit=60):
    """Run a programme; its output."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE.format(limit=limit) + code],
        capture_output=True,
        text=True,
        timeout=2 * limit,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


def test_hundreds_of_interrupts_leave_nothing_behind():
    """Control-C at any moment of a fit or of a pass: later fits run, with all their threads."""
    code = """
import random
random.seed(0)
reference = HuberRegressor().fit(X, y).coef_

def interrupted(work, longest):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, longest))
        while True:
            work()
    except KeyboardInterrupt:
        return

def interrupt(*_):
    raise KeyboardInterrupt

def several():
    with one_blas_thread():
        map_ordered(abs, range(4), 2)

signal.signal(signal.SIGALRM, interrupt)
for _ in range(100):
    interrupted(lambda: HuberRegressor().fit(X, y), 0.02)
for _ in range(400):
    interrupted(several, 1e-3)

seen = set()
barrier = threading.Barrier(2)
def meet(_):
    barrier.wait(timeout=30)
    seen.add(threading.get_ident())
map_ordered(meet, range(2), 2)
print(len(seen), (HuberRegressor().fit(X, y).coef_ == reference).all(), blas_threads() == before)
"""
    assert run(code) == ["2", "True", "True"]


def test_kept_attributes_have_no_lock():
    """That of functools before Python 3.12 is never released in a child that is forked from it."""

    class Slow:
        def __init__(self, *events):
            self.events = events

        @cached_property
        def value(self):
            for event in self.events:
                event()
            return 1.0

    asked, done = Event(), Event()
    thread = Thread(target=lambda: Slow(asked.set, lambda: done.wait(30)).value)
    thread.start()
    assert asked.wait(30)
    other = Slow()
    assert other.value == 1.0  # while the thread computes its own
    assert thread.is_alive()
    done.set()
    thread.join()
    assert vars(other)["value"] == 1.0
    for path in Path(robustreg.__file__).parent.rglob("*.py"):
        if path.name != "_cached.py":
            assert "functools import cached_property" not in path.read_text(encoding="utf-8"), path


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on Windows")
def test_a_fork_while_other_threads_fit_is_a_process_like_any_other():
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, as here on purpose
fitting, stop = threading.Event(), threading.Event()

def fit():
    while not stop.is_set():
        HuberRegressor().fit(X[:500, :5], y[:500])
        fitting.set()

threads = [threading.Thread(target=fit) for _ in range(2)]
for thread in threads:
    thread.start()
fitting.wait()
good = 0
for _ in range(12):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # nothing else would end a child that hangs
        free = blas_threads() == before
        HuberRegressor().fit(X, y)
        os._exit(0 if free and blas_threads() == before else 1)
    good += os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
print(good, blas_threads() == before)
"""
    assert run(code) == ["12", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on Windows")
def test_a_fork_within_a_fit_goes_on_with_it():
    code = """
with one_blas_thread():
    child = os.fork()
    inside = blas_threads()
after = blas_threads()
good = set(inside) == {1} and after == before
if child == 0:
    os._exit(0 if good else 1)
print(good, os.waitpid(child, 0)[1])
"""
    assert run(code) == ["True", "0"]


def test_fits_after_the_main_thread_has_ended():
    """In a thread that outlives it, and as the interpreter ends; pools have shut down by then."""
    code = """
import atexit
reference = HuberRegressor().fit(X, y).coef_

def fit(where):
    same = (HuberRegressor().fit(X, y).coef_ == reference).all()
    mapped = map_ordered(abs, [-1, -2], 5) == [1, 2]  # with threads that are not there yet
    os.write(1, f"{where} {same} {mapped}\\n".encode())

def late():
    threading.main_thread().join()
    fit("thread")

atexit.register(fit, "exit")
threading.Thread(target=late).start()
"""
    assert run(code) == ["thread", "True", "True", "exit", "True", "True"]


def test_where_no_thread_can_be_started_the_caller_does_the_work(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", refuse)
    assert map_ordered(abs, range(-9, 0), 9) == list(range(9, 0, -1))


def test_a_fit_whose_end_was_interrupted_does_not_hold_the_blas_limit(monkeypatch):
    before, leave = blas_threads(), type(_guard).leave
    calls = []

    def interrupted(self, use):
        calls.append(use)
        if len(calls) == 1:
            raise KeyboardInterrupt
        leave(self, use)

    monkeypatch.setattr(type(_guard), "leave", interrupted)
    with pytest.raises(KeyboardInterrupt), one_blas_thread():
        pass
    assert blas_threads() == before


def test_a_fit_that_never_ended_does_not_hold_the_blas_limit_of_others():
    before = blas_threads()
    use = _Use()
    _guard.enter(use)
    del use
    with one_blas_thread():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before

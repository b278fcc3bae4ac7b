"""What the benchmarks share: data, timing in turns, tables in Markdown, the machine."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_info

from robustreg.losses import Huber

PACKAGES = ("robustreg", "scikit-learn", "statsmodels", "skglm", "numba", "numpy", "scipy")


def interleave(
    tasks: Mapping[str, Callable[[], object]],
    repeats: int,
    untimed: int = 1,
    in_a_row: float = 0.0,
) -> dict[str, float]:
    """Median seconds of every task, after one round, or another number, that is not timed.

    A round runs every task once, so that whatever else the machine does meanwhile falls on
    all of them alike. A task that keeps a clock of its own returns the seconds as a float.
    Where tasks run `in_a_row`, a round repeats each until so many seconds have passed, and has the
    median of these: a processor that had nothing to do while another program ran is slow for a
    millisecond, which some tasks take in all. With a clock of its own, a task has ten times as long
    by ours.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for repeat in range(untimed + repeats):
        for name, task in tasks.items():
            end = perf_counter() + 10.0 * in_a_row
            taken = [_seconds(task)]
            while repeat >= untimed and sum(taken) < in_a_row and perf_counter() < end:
                taken.append(_seconds(task))
            if repeat >= untimed:
                seconds[name].append(statistics.median(taken))
    return {name: statistics.median(times) for name, times in seconds.items()}


def _seconds(task: Callable[[], object]) -> float:
    start = perf_counter()
    result = task()
    return result if isinstance(result, float) else perf_counter() - start


def synthetic(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal columns, noise of Student's t with 3 degrees of freedom, 10 % gross errors in y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X @ rng.standard_normal(p) + rng.standard_t(3, n)
    wrong = rng.choice(n, n // 10, replace=False)
    y[wrong] += 100.0 * rng.standard_normal(len(wrong))
    return X, y


def leverage(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal columns and noise; 10 % of the rows are far out in X, with a wrong y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = X.sum(axis=1) + rng.standard_normal(n)
    X[: n // 10] += 10.0
    y[: n // 10] = -50.0
    return X, y


def sklearn_epsilon(delta: float) -> float:
    """The epsilon with which scikit-learn's HuberRegressor minimises the same objective.

    It counts units in which its scale_ is sqrt(2 kappa) of the standard deviation.
    """
    return delta / np.sqrt(2.0 * Huber(delta).kappa)


def largest_resident_size() -> int:
    """Bytes; kept by the system since the process began. Not on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # what `resource` says on Linux may be the size of the parent process
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines["VmHWM"].split()[0])
    import resource  # absent on Windows

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


def trimmed_squares(X: np.ndarray, y: np.ndarray, numbers: np.ndarray) -> float:
    """Sum of the h smallest squared residuals, of h, intercept and coefficients from R's ltsReg."""
    h, intercept, *coef = numbers
    return float(np.sort(np.square(y - X @ coef - intercept))[: int(h)].sum())


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column and columns of words stand to the left."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    right = [False, *(cell.lstrip("-")[:1].isdigit() for cell in cells[1][1:])]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    rule = [
        "-" * (width - 1) + (":" if side else "-")
        for width, side in zip(widths, right, strict=True)
    ]
    lines = []
    for line in [cells[0], rule, *cells[1:]]:
        padded = [
            cell.rjust(width) if side else cell.ljust(width)
            for cell, width, side in zip(line, widths, right, strict=True)
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)


def timing_parser(
    description: str, sections: Iterable[str], repeats: int
) -> argparse.ArgumentParser:
    """The options that all timings have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shown = f"timed rounds (default: {repeats})"
    parser.add_argument("--repeats", type=int, default=repeats, help=shown)
    parser.add_argument(
        "--quick", dest="repeats", action="store_const", const=1, help="one timed round"
    )
    parser.add_argument("--only", nargs="+", choices=list(sections), default=list(sections))
    return parser


def milliseconds(seconds: float) -> str:
    """A time for the tables, with three digits."""
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def about_machine() -> str:
    """Processors, BLAS threads and the versions that matter."""
    blas = [f"{lib['internal_api']} x {lib['num_threads']}" for lib in threadpool_info()]
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except ImportError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, "
        f"{', '.join(found)}; {', '.join(dict.fromkeys(blas))}"
    )

"""Sections of the simulations about inference: what the intervals of coefficients hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from textwrap import fill
from typing import NamedTuple

import numpy as np
from _common import table
from _samples import (
    COEFFICIENTS,
    NOISES,
    Maker,
    high_breakdown,
    quiet,
    samples,
    truth,
    unless_refused,
)
from scipy import stats

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    QuantileRegressor,
    SRegressor,
)
from robustreg.inference import Inference, infer

SIZES = (30, 100, 1000)
LEVEL = 0.95
Promises = Mapping[tuple[int, str], str]  # by rows and noise


def promises(usual: Sequence[str], uneven: Sequence[str]) -> Promises:
    """What is promised of slopes, of uneven noise the worst in brackets; skewed: and intercept."""
    found: dict[tuple[int, str], str] = {}
    intercepts = ("93 to 97", "93.5 to 96.5", "94 to 97")
    for n, slopes, worst, intercept in zip(SIZES, usual, uneven, intercepts, strict=True):
        found |= {(n, noise): slopes for noise in ("normal", "t3", "gross", "one side")}
        found |= {(n, "uneven"): worst, (n, "skewed"): f"{slopes}, {intercept}"}
    return found


CONVEX = promises(
    ("94 to 97.7", "94 to 96.7", "94 to 96"),
    ("from 93.5 (86)", "from 94 (89)", "from 94 (92.5)"),
)
REDESCENDING = promises(
    ("94 to 97.7", "94 to 96.7", "93.5 to 96.5"), ("from 90 (75)", "from 92 (81)", "from 94 (90)")
)
NOISES_NOTE = """\
y = 1 + x1 - x2 + 0.5 x3 + 2 x4 + noise; x1 normal, x2 exponential, x3 a dummy of 20 % of the rows,
x4 Student's t with 5 degrees of freedom, all new in each sample. Noise: *normal*; *t3*, Student's;
*gross*, 10 % of the rows with ten times the spread; *one side*, 10 % off by 10; *uneven*, normal
times 0.3 + x2, which is also where the leverage is; *skewed*, exponential; *skewed uneven*. A cell
is the mean of the four slopes, in brackets the worst of them, and the intercept."""
QUANTILES_OF: dict[str, Callable[[float], float]] = {
    "normal": stats.norm.ppf,
    "t3": stats.t(3).ppf,
    "uneven": stats.norm.ppf,
    "skewed": stats.expon.ppf,
}


class Interval(NamedTuple):
    """Which interval is looked at, and under which name."""

    name: str
    covariance: str = "auto"
    read: Callable[[Inference], np.ndarray] = Inference.conf_int
    n_resamples: int = 999


class Fit(NamedTuple):
    """An estimator, its intervals, and the quantile that it estimates, if it does."""

    make: Maker
    intervals: Sequence[Interval]
    tau: float | None = None

    def truth(self, noise: str, quick: bool) -> np.ndarray:
        """What the coefficients tend to, (5,)."""
        if self.tau is None:
            return truth(self.make, noise, quick)
        where = [0.3, 0.0, 1.0, 0.0, 0.0] if noise == "uneven" else [1.0, 0.0, 0.0, 0.0, 0.0]
        return COEFFICIENTS + np.multiply(where, QUANTILES_OF[noise](self.tau))


def by_matrix(result: Inference) -> np.ndarray:
    """Intervals by the covariance matrix, of one that has others by rank tests."""
    return replace(result, ranks=None).conf_int(LEVEL)


def inside(
    result: Inference | None, read: Callable[[Inference], np.ndarray], true: np.ndarray
) -> np.ndarray:
    """Which coefficients are in their intervals: 1, 0, or NaN where there is none, (5,)."""
    if result is None:
        return np.full(len(true), np.nan)
    low, high = read(result).T
    found = ((low <= true) & (true <= high)).astype(float)
    found[np.isnan(low) | np.isnan(high)] = np.nan
    return found


def covered(
    fits: Sequence[Fit], truths: Sequence[np.ndarray], noise: str, n: int, repeats: int
) -> dict[str, np.ndarray]:
    """By interval which coefficients it covered: 1, 0, or NaN where there is none, (repeats, 5)."""
    found: dict[str, list[np.ndarray]] = {}
    for seed, (_, X, y) in enumerate(samples(noise, n, repeats)):
        for fit, true in zip(fits, truths, strict=True):
            model = fit.make(n, seed).fit(X, y)
            results: dict[str, Inference | None] = {}
            for name, kind, read, n_resamples in fit.intervals:
                if kind not in results:
                    asked = partial(infer, model, X, y, covariance=kind, random_state=seed)
                    results[kind] = unless_refused(partial(asked, n_resamples=n_resamples))
                found.setdefault(name, []).append(inside(results[kind], read, true))
    return {name: np.array(each) for name, each in found.items()}


class Errors:
    """The largest standard errors of what a table shows, and where intervals were missing most."""

    def __init__(self) -> None:
        self.mean = self.single = self.missing = 0.0
        self.where = ""

    def cell(self, covers: np.ndarray, where: str) -> str:
        """Mean of the slopes, the worst of them, the intercept, in per cent."""
        share = 100.0 * np.nanmean(covers, axis=0)
        counts = np.sqrt(np.isfinite(covers).sum(axis=0))
        several = covers[np.isfinite(covers).all(axis=1), 1:].mean(axis=1)
        self.mean = max(self.mean, 100.0 * several.std() / np.sqrt(len(several)))
        self.single = max(self.single, (100.0 * np.nanstd(covers, axis=0) / counts).max())
        missing = 100.0 * np.isnan(covers).any(axis=1).mean()
        if missing > self.missing:
            self.missing, self.where = missing, where
        return f"{share[1:].mean():.1f} ({share[1:].min():.1f}), {share[0]:.1f}"

    def __str__(self) -> str:
        text = (
            f"Standard errors: of means at most {self.mean:.1f}, of single coefficients "
            f"{self.single:.1f}."
        )
        if self.missing:
            text += (
                f" Coefficients without an interval do not count; at most {self.missing:.1f} % of "
                f"the samples have any ({self.where})."
            )
        return fill(text, 100)


def coverage_table(
    fits: Sequence[Fit],
    noises: Iterable[str],
    repeats: Mapping[int, int],
    promised: Promises,
    quick: bool,
) -> str:
    """What the intervals cover, by the number of rows and the noise."""
    noises = tuple(noises)
    truths = {noise: [fit.truth(noise, quick) for fit in fits] for noise in noises}
    rows, errors = [], Errors()
    with quiet():
        for n, wanted in repeats.items():
            for noise in noises:
                number = min(wanted, 5) if quick else wanted
                found = covered(fits, truths[noise], noise, n, number)
                name = f"{n:,}, {noise}"
                cells = [errors.cell(each, f"{name}, {key}") for key, each in found.items()]
                limits = [promised.get((n, noise), "")] if promised else []
                rows.append((name, f"{number:,}", *cells, *limits))
    names = [each.name for fit in fits for each in fit.intervals]
    header = ("rows, noise", "samples", *names, *(["promised"] if promised else []))
    return f"{table(header, rows)}\n\n{errors}"


def check_convex(quick: bool) -> str:
    """Coverage of 95 % intervals: least squares and Huber."""
    fits = [
        Fit(lambda n, seed: L2Regressor(), [Interval("L2")]),
        Fit(
            lambda n, seed: HuberRegressor(),
            [Interval("Huber, classical", "classical"), Interval("Huber")],
        ),
    ]
    found = coverage_table(fits, NOISES, dict.fromkeys(SIZES, 2000), CONVEX, quick)
    return f"{found}\n\n{NOISES_NOTE}"


def check_tuned(quick: bool) -> str:
    """Coverage of 95 % intervals: Huber, another scale and delta from the data."""
    fits = [
        Fit(lambda n, seed: HuberRegressor(scale="mad"), [Interval('scale="mad"')]),
        Fit(lambda n, seed: HuberRegressor("auto"), [Interval('delta="auto"')]),
    ]
    return coverage_table(fits, NOISES, dict.fromkeys(SIZES, 1000), {}, quick)


def check_mm(quick: bool) -> str:
    """Coverage of 95 % intervals: MM."""
    fits = [
        Fit(
            high_breakdown(MMRegressor),
            [Interval("MM, classical", "classical"), Interval("MM")],
        )
    ]
    return coverage_table(fits, NOISES, dict.fromkeys(SIZES, 2000), REDESCENDING, quick)


def check_s(quick: bool) -> str:
    """Coverage of 95 % intervals: S."""
    fits = [Fit(high_breakdown(SRegressor), [Interval("S")])]
    return coverage_table(fits, NOISES, {30: 1000, 100: 1000, 1000: 500}, {}, quick)


def check_lts(quick: bool) -> str:
    """Coverage of 95 % intervals: LTS."""
    fits = [Fit(high_breakdown(LTSRegressor), [Interval("LTS"), Interval("LTS, HC3", "HC3")])]
    promised = {(100, "normal"): "92.5 to 95.5"}
    return coverage_table(
        fits, ("normal", "t3", "one side"), {100: 2000, 400: 400}, promised, quick
    )


def check_quantiles(quick: bool) -> str:
    """Coverage of 95 % intervals: quantiles."""
    fits = [
        Fit(
            make,
            [Interval(f"{name}, rank", "rank"), Interval(f"{name}, nid", "rank", by_matrix)],
            tau,
        )
        for name, tau, make in (
            ("median", 0.5, lambda n, seed: L1Regressor()),
            ("0.9", 0.9, lambda n, seed: QuantileRegressor(0.9)),
        )
    ]
    limits = zip(
        SIZES,
        ("94 to 98; 93 to 97", "93.5 to 97.5; 92.5 to 96.5", "93.5 to 97; 93.5 to 96.5"),
        strict=True,
    )
    promised = {(n, noise): text for n, text in limits for noise in QUANTILES_OF}
    repeats = {30: 2000, 100: 2000, 1000: 500}
    found = coverage_table(fits, QUANTILES_OF, repeats, promised, quick)
    return f"{found}\n\nPromised of the slopes: by rank; by nid, of the median."


def check_bootstrap(quick: bool) -> str:
    """Coverage of 95 % intervals: the bootstrap."""
    fits = [
        Fit(lambda n, seed: HuberRegressor(), [Interval("Huber, bootstrap", "bootstrap")]),
        Fit(high_breakdown(MMRegressor), [Interval("MM, bootstrap", "bootstrap")]),
    ]
    return coverage_table(fits, NOISES, {30: 500, 100: 500}, {}, quick)


def check_quantile_bootstrap(quick: bool) -> str:
    """Coverage of 95 % intervals: the bootstrap of the median."""
    fits = [
        Fit(
            lambda n, seed: L1Regressor(),
            [Interval("median, bootstrap", "bootstrap", n_resamples=10 if quick else 200)],
            0.5,
        )
    ]
    found = coverage_table(fits, ("normal", "uneven"), {100: 300, 1000: 300}, {}, quick)
    return f"{found}\n\n200 draws."

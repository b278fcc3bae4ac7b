"""Sections of the simulations about inference: groups of rows, tests of several coefficients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from textwrap import fill

import numpy as np
from _common import table
from _samples import (
    INTERCEPT,
    NOISES,
    SLOPES,
    Maker,
    design,
    high_breakdown,
    quiet,
    unless_refused,
)

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    LTSRegressor,
    MMRegressor,
    SRegressor,
)
from robustreg.inference import deviance_test, infer, rank_test

DRAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "t3": lambda rng, n: rng.standard_t(3, n),
}
GROUPED: tuple[tuple[str, Maker, int], ...] = (
    ("L2", lambda n, seed: L2Regressor(), 2000),
    ("Huber", lambda n, seed: HuberRegressor(), 2000),
    ("S", high_breakdown(SRegressor), 500),
    ("MM", high_breakdown(MMRegressor), 500),
    ("LTS", high_breakdown(LTSRegressor), 500),
)
GROUPS_NOTE = """\
5 to 25 rows a group. Three columns: normal, most of its variance between groups; normal, within
groups; a dummy of 40 % of the groups. One half of the noise is the group's. A cell has the coverage
of 95 % intervals of these three; CR3 is promised 93.5 to 98 for each of L2's and Huber's."""


def grouped(
    rng: np.random.Generator, count: int, noise: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and the groups of the rows; the dummy has two groups of either kind at least."""
    while True:
        groups = np.repeat(np.arange(count), rng.integers(5, 26, count))
        dummy = rng.random(count) < 0.4
        if 2 <= dummy.sum() <= count - 2:
            break
    n, draw = len(groups), DRAWS[noise]
    between = rng.standard_normal(count)[groups] + 0.3 * rng.standard_normal(n)
    X = np.column_stack([between, rng.standard_normal(n), dummy[groups]])
    return X, 1.0 + X.sum(axis=1) + draw(rng, count)[groups] + draw(rng, n), groups


def check_groups(quick: bool) -> str:
    """Coverage of 95 % intervals where rows of a group depend on each other."""
    rows, error = [], 0.0
    for count in (10, 30):
        for noise in DRAWS:
            for name, make, wanted in GROUPED:
                repeats = min(wanted, 5) if quick else wanted
                covers = np.empty((3, repeats, 3))
                seed = [count, list(DRAWS).index(noise)]
                for i, rng in enumerate(np.random.default_rng(seed).spawn(repeats)):
                    X, y, groups = grouped(rng, count, noise)
                    model = make(len(y), i).fit(X, y)
                    for j, kind in enumerate(("HC3", "CR1", "cluster")):
                        labels = None if kind == "HC3" else groups
                        with quiet():
                            result = infer(model, X, y, covariance=kind, groups=labels)
                        low, high = result.conf_int()[1:].T
                        covers[j, i] = (low <= 1.0) & (high >= 1.0)
                share = 100.0 * covers.mean(axis=1)
                error = max(error, 100.0 * covers.std(axis=1).max() / np.sqrt(repeats))
                cells = [", ".join(f"{each:.1f}" for each in row) for row in share]
                rows.append((f"{count}, {noise}", name, f"{repeats:,}", *cells))
    header = ("groups, noise", "estimator", "samples", "HC3", "CR1", "CR3")
    return f"{table(header, rows)}\n\n{GROUPS_NOTE}\nStandard errors are at most {error:.1f}."


TESTED: tuple[tuple[str, Maker, int], ...] = (
    ("L2", lambda n, seed: L2Regressor(), 2000),
    ("Huber", lambda n, seed: HuberRegressor(), 2000),
    ("MM", high_breakdown(MMRegressor), 500),
    ("median", lambda n, seed: L1Regressor(), 500),
)
TESTS_NOTE = """\
The coefficients of x3 and x4 are 0, and a test that both are rejects at 5 %. Wald is that of "auto"
(of the median: nid). The deviance test is for noise that does not depend on x; of Huber, there, it
is promised to reject 3.7 to 7 times in a hundred with 30 rows, 4 to 6 times with 100."""


def p_values(model: object, X: np.ndarray, y: np.ndarray) -> list[float]:
    """Of the tests of the last two coefficients; NaN where there is none."""
    terms, median = ["x2", "x3"], isinstance(model, L1Regressor)
    kind = "nid" if median else "auto"
    result = unless_refused(partial(infer, model, X, y, covariance=kind))
    found = [unless_refused(partial(deviance_test, model, X, y, terms))]
    if median:
        found.append(rank_test(model, X, y, terms))
    exists = result is not None and not np.isnan(result.standard_errors[-2:]).any()
    found.insert(0, result.wald_test(terms) if exists else None)
    return [np.nan if test is None else test.p_value for test in found]


def check_tests(quick: bool) -> str:
    """Tests of two coefficients at 5 %: how often they reject what holds, in per cent."""
    rows, error, least, where = [], 0.0, 1.0, ""
    for n in (30, 100):
        for noise in ("normal", "t3", "one side", "uneven"):
            for name, make, wanted in TESTED:
                repeats = min(wanted, 5) if quick else wanted
                p = np.empty((repeats, 3 if name == "median" else 2))
                seed = [n, list(NOISES).index(noise), 2]
                for i, rng in enumerate(np.random.default_rng(seed).spawn(repeats)):
                    X = design(rng, n)
                    y = INTERCEPT + X[:, :2] @ SLOPES[:2] + NOISES[noise](rng, X)
                    model = make(n, i).fit(X, y)
                    with quiet():
                        p[i] = p_values(model, X, y)
                rejects = np.where(np.isnan(p), np.nan, 100.0 * (p < 0.05))
                counts = np.isfinite(p).sum(axis=0)
                error = max(error, (np.nanstd(rejects, axis=0) / np.sqrt(counts)).max())
                if counts.min() < least * repeats:
                    least, where = counts.min() / repeats, f"{n}, {noise}, {name}"
                cells = [f"{share:.1f}" for share in np.nanmean(rejects, axis=0)]
                cells += [""] * (3 - len(cells))
                rows.append((f"{n}, {noise}", name, f"{repeats:,}", *cells))
    header = ("rows, noise", "estimator", "samples", "Wald", "deviance", "ranks")
    note = (
        f"Standard errors are at most {error:.1f}. A test that does not exist does not count, in "
        f"at most {100.0 * (1.0 - least):.1f} % of the samples ({where})."
    )
    return f"{table(header, rows)}\n\n{TESTS_NOTE}\n\n{fill(note, 100)}"

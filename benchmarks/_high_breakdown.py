"""Sections of the simulations about the estimators of high breakdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from _common import table
from scipy.optimize import least_squares

from robustreg import HuberRegressor, L2Regressor, LTSRegressor, MMRegressor, SRegressor
from robustreg.subsampling.trimming import (
    SELECTION,
    share_of_reweighted_squares,
    share_of_squares,
)

B = np.arange(1.0, 6.0)  # true coefficients; the intercept is 0


def vertical(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> None:
    """Gross errors in y, all to one side."""
    y += 1000.0


def bad_leverage(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> None:
    """Rows far out in X, on another plane."""
    X[:] = 20.0 * rng.standard_normal(X.shape)
    y[:] = 100.0 - X @ B


def clustered(rng: np.random.Generator, X: np.ndarray, y: np.ndarray) -> None:
    """Rows that nearly coincide, far out in X and in y."""
    X[:] = 10.0 + 0.1 * rng.standard_normal(X.shape)
    y[:] = -200.0 + 0.1 * rng.standard_normal(len(y))


Contamination = Callable[[np.random.Generator, np.ndarray, np.ndarray], None]
CONTAMINATIONS: dict[str, Contamination] = {
    "y + 1000": vertical,
    "leverage": bad_leverage,
    "cluster": clustered,
}
BREAKDOWN_NOTE = """\
500 rows, five columns. *y + 1000*: rows moved in y only. *Leverage*: rows of X times 20 on the
plane y = 100 - X b. *Cluster*: rows within 0.1 of X = (10, ..., 10), y = -200; with 45 % of the
rows in it, the fit through the cluster has the smaller criterion in some of the samples."""


def check_high_breakdown(quick: bool) -> str:
    """Largest error of a coefficient when a share of the rows is arbitrarily bad."""
    n, repeats = 500, 3 if quick else 20
    fits: dict[str, Callable[[], object]] = {
        "S": lambda: SRegressor(random_state=0),
        "MM": lambda: MMRegressor(random_state=0),
        "LTS": lambda: LTSRegressor(random_state=0),
        "Huber": HuberRegressor,
    }
    rows = []
    for name, contaminate in CONTAMINATIONS.items():
        for share in (0.10, 0.30, 0.40, 0.45):
            worst = dict.fromkeys(fits, 0.0)
            for rng in np.random.default_rng(0).spawn(repeats):
                X = rng.standard_normal((n, len(B)))
                y = X @ B + rng.standard_normal(n)
                bad = slice(round(share * n))
                contaminate(rng, X[bad], y[bad])
                for fit, make in fits.items():
                    model = make().fit(X, y)
                    error = np.abs(np.append(model.coef_ - B, model.intercept_)).max()
                    worst[fit] = max(worst[fit], error)
            limit = "0.7" if share < 0.45 else ("" if name == "cluster" else "0.7, MM 0.9")
            cells = (f"{error:.2f}" if error < 10 else f"{error:.0f}" for error in worst.values())
            rows.append((f"{name}, {share:.0%}", *cells, limit))
    header = (f"bad rows, {repeats} samples", *fits, "at most, but for Huber")
    return f"{table(header, rows)}\n\n{BREAKDOWN_NOTE}"


EFFICIENCY_NOTE = """\
Five columns and an intercept; the ratio of the slopes' mean squared errors on the same samples.
From 200 rows on the search makes do with 50 subsets instead of 500, since Gaussian samples have
hardly another optimum. The nominal efficiencies are those of many rows."""


def check_mm_efficiency(quick: bool) -> str:
    """The efficiency of the MM-estimate's slopes at the Gaussian, relative to least squares."""
    p, repeats = 5, 50 if quick else 2000
    nominal = (0.85, 0.95, 0.99)
    rows = []
    for n in (1000, 200, 60):
        squared = np.empty((repeats, len(nominal) + 1))
        for i, rng in enumerate(np.random.default_rng(0).spawn(repeats)):
            X, y = rng.standard_normal((n, p)), rng.standard_normal(n)
            models = [
                MMRegressor(efficiency=e, n_subsamples=50 if n >= 200 else 500, random_state=i)
                for e in nominal
            ]
            squared[i] = [np.sum(model.fit(X, y).coef_ ** 2) for model in (*models, L2Regressor())]
        mean = squared.mean(axis=0)
        for k, efficiency in enumerate(nominal):
            ratio = mean[-1] / mean[k]
            excess = squared[:, -1] - ratio * squared[:, k]
            error = excess.std() / np.sqrt(repeats) / mean[k]
            cells = (f"{100 * ratio:.1f} %", f"{100 * error:.1f} %")
            limit = f"{efficiency:.0%} +- 1.5 %" if n == 1000 else ""
            rows.append((f"{n:,}", f"{efficiency:.0%}", f"{repeats:,}", *cells, limit))
    header = ("rows", "nominal", "samples", "efficiency", "standard error", "promised")
    return f"{table(header, rows)}\n\n{EFFICIENCY_NOTE}"


COEFFICIENTS = (1, 2, 4, 7, 12)  # with the intercept
ROWS_PER_COEFFICIENT = (2, 2.3, 3, 4, 6.5, 12, 25, 60)
FEWEST, MOST = 8, 500  # rows
MODEL_ERROR = 0.02  # of a scale: no cell should weigh more than this precision gives it
FACTORS_NOTE = """\
Root mean squares, which should be 1, of `raw_scale_` without and with the factor for few rows and
of `scale_`, in samples of Gaussian noise and columns; the raw scale's relative standard error."""


@dataclass(frozen=True)
class Cell:
    """Squares of the raw and the reweighted scales of some samples, n rows, h of them covered."""

    n: int
    m: int
    h: float
    raw: np.ndarray
    reweighted: np.ndarray

    @property
    def plain(self) -> float:
        """Mean square of the raw scale without its factor."""
        return self.raw.mean() * share_of_squares(self.n, self.h, self.m)

    @property
    def plain_reweighted(self) -> float:
        """Mean square of the reweighted scale without its factor."""
        return self.reweighted.mean() * share_of_reweighted_squares(self.n, self.h, self.m)

    @property
    def error(self) -> float:
        """Relative standard error of the raw scale's root mean square."""
        return self.raw.std() / np.sqrt(len(self.raw)) / self.raw.mean() / 2.0


def simulated(n: int, m: int, share: float | None, repeats: int) -> Cell:
    """Fits to Gaussian samples."""
    squares = np.empty((2, repeats))
    for i, rng in enumerate(np.random.default_rng([n, m]).spawn(repeats)):
        X = rng.standard_normal((n, m - 1)) if m > 1 else np.zeros((n, 1))
        model = LTSRegressor(share, random_state=i).fit(X, rng.standard_normal(n))
        squares[:, i] = model.raw_scale_**2, model.scale_**2
    return Cell(n, m, model.n_support_, *squares)


def check_lts_factors(quick: bool) -> str:
    """Scales of least trimmed squares with few rows."""
    cells = [
        simulated(n, m, share, 20 if quick else 400)
        for m in COEFFICIENTS
        for n in (round(m * ratio) for ratio in ROWS_PER_COEFFICIENT)
        for share in (None, 0.75, 1.0)
        if FEWEST <= n <= MOST
    ]
    rows = []
    for cell in cells:
        squares = (cell.plain, cell.raw.mean(), cell.reweighted.mean())
        figures = (*np.sqrt(squares), cell.error)
        rows.append((cell.m, cell.n, f"{cell.h:.0f}", *(f"{x:.3f}" for x in figures)))
    header = ("coefficients", "rows", "h", "raw, plain", "raw", "reweighted", "standard error")
    best, power = best_constants([cell for cell in cells if cell.h < cell.n])
    return (
        f"{table(header, rows)}\n\n{FACTORS_NOTE}\n\n"
        f"Constants k, c that fit best: {best[0]:.2f}, {best[1]:.2f}; in use: {SELECTION}. The "
        f"exponent of the reweighted scale's factor that fits best is {power:.2f} of that in use."
    )


def best_constants(cells: list[Cell]) -> tuple[np.ndarray, float]:
    """Least squares in the logarithms of the scales, for the constants of both factors."""
    weight = np.array([1.0 / np.hypot(MODEL_ERROR, cell.error) for cell in cells])

    def deviations(constants: np.ndarray) -> np.ndarray:
        shares = [share_of_squares(c.n, c.h, c.m, tuple(constants)) for c in cells]
        return weight * 0.5 * np.log(np.divide(shares, [cell.plain for cell in cells]))

    used = weight * np.log([share_of_reweighted_squares(c.n, c.h, c.m) for c in cells])
    found = weight * np.log([cell.plain_reweighted for cell in cells])
    return least_squares(deviations, SELECTION).x, used @ found / (used @ used)

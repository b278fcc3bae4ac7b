"""What the statistics page promises, by simulation.

    python benchmarks/simulations.py [--quick] [--only efficiency ...]

By equivariance the true coefficients are 0 and the noise has standard deviation 1 everywhere, but
for inference, where designs and noises are those of `_samples.py`. Huber means `HuberRegressor()`:
delta = 1.345 and a joint scale.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from _bands import check_bands
from _common import about_machine, table
from _coverage import (
    check_bootstrap,
    check_convex,
    check_lts,
    check_mm,
    check_quantile_bootstrap,
    check_quantiles,
    check_s,
    check_tuned,
)
from _groups_and_tests import check_groups, check_tests
from _high_breakdown import check_high_breakdown, check_lts_factors, check_mm_efficiency
from scipy.stats import norm

from robustreg import (
    HuberRegressor,
    L1Regressor,
    L2Regressor,
    QuantileRegressor,
    huber_delta_path,
)
from robustreg.scale import m_scale, mad, qn_scale, tau_scale

GROSS = 1e6  # size of the errors that are to break an estimator
FIXED = np.append(np.arange(0.3, 3.0, 0.2), 3.0)  # the deltas that "auto" is compared with
SHOWN = (0.3, 0.7, 1.3, 2.1, 3.0)
SHARES = (0.10, 0.20, 0.25, 0.27, 0.29, 0.32, 0.36, 0.38, 0.40, 0.45)


def gaussian(n: int, p: int, repeats: int) -> Iterator[tuple[np.random.Generator, ...]]:
    """Clean samples: generator, X and y."""
    for rng in np.random.default_rng(0).spawn(repeats):
        yield rng, rng.standard_normal((n, p)), rng.standard_normal(n)


def with_gross_errors(
    rng: np.random.Generator, y: np.ndarray, share: float, size: float, one_sided: bool
) -> np.ndarray:
    """A copy of y in which that share of the rows is off, upwards or evenly to both sides."""
    wrong = rng.choice(len(y), round(share * len(y)), replace=False)
    sign = np.ones(len(wrong)) if one_sided else np.resize([1.0, -1.0], len(wrong))
    y = y.copy()
    y[wrong] += size * sign
    return y


def check_scale(quick: bool) -> str:
    """The scale and the share of flagged rows on clean Gaussian data."""
    n, repeats = 50_000, 5 if quick else 40
    scales, shares = [], []
    for _, X, y in gaussian(n, 5, repeats):
        model = HuberRegressor().fit(X, y)
        scales.append(model.scale_)
        shares.append(100.0 * model.outliers_.mean())
    rows = [
        ("scale_", "1", f"{np.mean(scales):.4f}", f"{min(scales):.4f} ... {max(scales):.4f}"),
        (
            "flagged",
            "1.24 %",
            f"{np.mean(shares):.2f} %",
            f"{min(shares):.2f} ... {max(shares):.2f} %",
        ),
    ]
    promised = ("within 1.5 %", "1.2 % +- 0.2 %")
    header = (f"{n:,} rows, {repeats} samples", "truth", "mean", "range", "promised")
    return table(header, [(*row, limit) for row, limit in zip(rows, promised, strict=True)])


def check_efficiency(quick: bool) -> str:
    """The efficiency of the slopes at the Gaussian, on the same samples as least squares."""
    n, p, repeats = 2000, 20, 200 if quick else 4000
    huber, squares = [], []
    for _, X, y in gaussian(n, p, repeats):
        huber.append(HuberRegressor().fit(X, y).coef_)
        squares.append(L2Regressor().fit(X, y).coef_)
    loss = np.sum(np.square(huber), axis=1)
    least = np.sum(np.square(squares), axis=1)
    ratio = least.mean() / loss.mean()
    error = np.std(least - ratio * loss) / np.sqrt(repeats) / loss.mean()
    cells = (f"{100 * ratio:.2f} %", f"{100 * error:.2f} %", "95 % +- 1 %")
    header = ("slopes of", "samples", "efficiency", "standard error", "promised")
    return table(header, [(f"{n:,} x {p}", f"{repeats}", *cells)])


def check_gross_errors(quick: bool) -> str:
    """Root mean square error of the slopes under gross errors in y, and the intercept's shift."""
    n, p, repeats = 1000, 5, 50 if quick else 500
    fits = {"Huber": HuberRegressor, "L1": L1Regressor}
    rows = []
    for share, limit in ((0.10, "1.5"), (0.20, "2.1")):
        for side in ("both sides", "one side"):
            slopes: dict[str, list[float]] = {name: [] for name in (*fits, "clean")}
            shift: dict[str, list[float]] = {name: [] for name in fits}
            for rng, X, y in gaussian(n, p, repeats):
                slopes["clean"].append(np.sum(L2Regressor().fit(X, y).coef_ ** 2))
                dirty = with_gross_errors(rng, y, share, 100.0, side == "one side")
                for name, estimator in fits.items():
                    model = estimator().fit(X, dirty)
                    slopes[name].append(np.sum(model.coef_**2))
                    shift[name].append(model.intercept_)
            mean = {name: np.mean(values) for name, values in slopes.items()}
            for name in fits:
                found = f"{np.sqrt(mean[name] / mean['clean']):.2f}"
                promised = limit if name == "Huber" else ""
                rows.append(
                    (f"{share:.0%}, {side}", name, found, promised, f"{np.mean(shift[name]):.2f}")
                )
    header = (
        "rows off by 100 sd",
        "fit",
        "RMSE of slopes over clean least squares'",
        "at most",
        "shift of intercept, sd",
    )
    return table(header, rows)


def check_breakdown(quick: bool) -> str:
    """Largest error of a coefficient when a share of the rows is off by a million sd."""
    n, p, repeats = 1000, 3, 3 if quick else 20
    fits: dict[str, Callable[[], object]] = {"Huber": HuberRegressor, "L1": L1Regressor}
    rows = []
    for share in SHARES:
        cells = []
        for one_sided in (True, False):
            for estimator in fits.values():
                worst = 0.0
                for rng, X, y in gaussian(n, p, repeats):
                    dirty = with_gross_errors(rng, y, share, GROSS, one_sided)
                    model = estimator().fit(X, dirty)
                    worst = max(worst, np.abs([model.intercept_, *model.coef_]).max())
                cells.append(f"{worst:.2g}")
        rows.append((f"{share:.0%}", *cells))
    header = (
        "rows off",
        *(f"{fit}, {side}" for side in ("one side", "both sides") for fit in fits),
    )
    note = "Huber with a joint scale breaks down at 28 % on one side and at 39 % on both."
    return f"{table(header, rows)}\n\n{note}"


def mixed(rng: np.random.Generator, X: np.ndarray, share: float, other: np.ndarray) -> np.ndarray:
    """Gaussian noise, in a random share of the rows replaced by another one."""
    noise = rng.standard_normal(len(X))
    return np.where(rng.random(len(X)) < share, other, noise)


def wrong_x(rng: np.random.Generator, X: np.ndarray) -> np.ndarray:
    """Noise that results where 5 % of the rows of X are recorded with errors of sd 5."""
    error = 5.0 * rng.standard_normal(X.shape) * (rng.random(len(X)) < 0.05)[:, None]
    X += error
    return rng.standard_normal(len(X)) - error @ np.ones(X.shape[1]) / np.sqrt(X.shape[1])


# Each takes a generator and X, and gives y; the first five are promised, the others looked at.
NOISES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "Gaussian": lambda rng, X: rng.standard_normal(len(X)),
    "t3": lambda rng, X: rng.standard_t(3, len(X)),
    "10 % Cauchy": lambda rng, X: mixed(rng, X, 0.10, rng.standard_cauchy(len(X))),
    "5 % of sd 10": lambda rng, X: mixed(rng, X, 0.05, 10.0 * rng.standard_normal(len(X))),
    "5 % shifted by 10": lambda rng, X: mixed(rng, X, 0.05, 10.0 + rng.standard_normal(len(X))),
    "t2": lambda rng, X: rng.standard_t(2, len(X)),
    "t1.5": lambda rng, X: rng.standard_t(1.5, len(X)),
    "Laplace": lambda rng, X: rng.laplace(size=len(X)),
    "exponential": lambda rng, X: rng.exponential(size=len(X)),
    "uniform": lambda rng, X: rng.uniform(-1.0, 1.0, len(X)),
    "5 % wrong X": wrong_x,
}
PROMISED = 5
DELTA_NOTE = """\
Five columns; 500 samples of 1000 rows and 2000 of 200 (20 with `--quick`), the same for all deltas.
*Best* is the best of 0.3, 0.5, ..., 2.9 and 3, and the standard error that of "auto" over it. The
intercept is left out: where noise is skewed, each delta estimates another one."""


def delta_row(name: str, n: int, repeats: int, limit: str) -> tuple[str, ...]:
    """One noise and one number of rows: fixed deltas and "auto" on the same samples."""
    errors, chosen = np.empty((repeats, len(FIXED) + 1)), np.empty(repeats)
    for i, (rng, X, _) in enumerate(gaussian(n, 5, repeats)):
        y = NOISES[name](rng, X)
        model = HuberRegressor("auto").fit(X, y)
        coefs = np.c_[huber_delta_path(X, y, deltas=FIXED).coefs, model.coef_]
        errors[i], chosen[i] = np.sum(coefs**2, axis=0), model.delta_
    mean = errors.mean(axis=0)
    best = mean[:-1].argmin()
    ratio = mean / mean[best]
    excess = errors[:, -1] - ratio[-1] * errors[:, best]
    return (
        f"{name}, {n}",
        *(f"{ratio[np.abs(FIXED - delta).argmin()]:.2f}" for delta in SHOWN),
        f"{FIXED[best]:.1f}",
        f"{ratio[-1]:.3f}",
        f"{excess.std() / np.sqrt(repeats) / mean[best]:.3f}",
        limit,
        ", ".join(f"{quantile:.2f}" for quantile in np.quantile(chosen, (0.1, 0.5, 0.9))),
        f"{100.0 * np.mean(chosen > 1.5):.1f} %",
    )


def check_delta(quick: bool) -> str:
    """The slopes' mean squared error by delta, over that of the best fixed delta; delta="auto"."""
    rows = []
    for n, repeats, limit in ((1000, 500, "1.05"), (200, 2000, "1.09")):
        for place, name in enumerate(NOISES):
            promised = limit if place < PROMISED else ""
            rows.append(delta_row(name, n, 20 if quick else repeats, promised))
    fixed = [f"{delta:g}" for delta in SHOWN]
    found = ("best", '"auto"', "standard error", "at most")
    header = ("noise, rows", *fixed, *found, "delta_: 10, 50, 90 %", "above 1.5")
    return f"{table(header, rows)}\n\n{DELTA_NOTE}"


def check_coverage(quick: bool) -> str:
    """The share of new rows between the quantiles 5 % and 95 %, for few rows per coefficient."""
    p, repeats = 9, 20 if quick else 200
    rows = []
    for n in (5000, 1000, 200, 100, 50):
        shares = []
        for rng, X, y in gaussian(n, p, repeats):
            model = QuantileRegressor([0.05, 0.95]).fit(X, y)
            low, high = model.predict(rng.standard_normal((5000, p))).T
            shares.append(100.0 * np.maximum(norm.cdf(high) - norm.cdf(low), 0.0).mean())
        expected = 90.0 * (1.0 - (p + 1) / n)
        error = np.std(shares) / np.sqrt(repeats)
        cells = (f"{np.mean(shares):.1f} %", f"{error:.1f} %", f"{expected:.1f} %")
        rows.append((f"{n:,} x {p}", f"{n // (p + 1)}", f"{repeats}", *cells))
    header = ("fitted to", "rows per coefficient", "samples", "share", "standard error")
    return table((*header, "90 % (1 - k/n)"), rows)


def check_scales(quick: bool) -> str:
    """The mean of scales of small Gaussian samples, whose standard deviation is 1."""
    repeats = 2000 if quick else 100_000
    sizes = (10, 20, 50, 100)
    estimates = {"mad": mad, "tau_scale": tau_scale, "m_scale": m_scale, "qn_scale": qn_scale}
    means = {name: [] for name in estimates}
    errors = []
    for n in sizes:
        samples = np.random.default_rng(0).standard_normal((repeats, n))
        for name, scale in estimates.items():
            found = np.array([scale(sample) for sample in samples])
            means[name].append(f"{found.mean():.3f}")
            errors.append(found.std() / np.sqrt(repeats))
    note = f"{repeats:,} samples, standard errors at most {max(errors):.4f}. All tend to 1."
    header = ("scale", *(f"n = {n}" for n in sizes))
    return f"{table(header, [(name, *cells) for name, cells in means.items()])}\n\n{note}"


SECTIONS = {
    "scale": check_scale,
    "efficiency": check_efficiency,
    "gross_errors": check_gross_errors,
    "breakdown": check_breakdown,
    "delta": check_delta,
    "coverage": check_coverage,
    "scales": check_scales,
    "high_breakdown": check_high_breakdown,
    "mm_efficiency": check_mm_efficiency,
    "lts_factors": check_lts_factors,
    "inference_convex": check_convex,
    "inference_tuned": check_tuned,
    "inference_s": check_s,
    "inference_mm": check_mm,
    "inference_lts": check_lts,
    "inference_quantiles": check_quantiles,
    "inference_bootstrap": check_bootstrap,
    "inference_quantile_bootstrap": check_quantile_bootstrap,
    "inference_groups": check_groups,
    "inference_tests": check_tests,
    "inference_bands": check_bands,
}


def main() -> None:
    """Print one section after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=["inference", *SECTIONS],
        default=list(SECTIONS),
        help='sections; "inference" is all that begin with it',
    )
    args = parser.parse_args()
    print(f"{about_machine()}.")
    asked = [s for word in args.only for s in SECTIONS if s == word or s.startswith(f"{word}_")]
    for section in asked:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args.quick)}", flush=True)


if __name__ == "__main__":
    main()

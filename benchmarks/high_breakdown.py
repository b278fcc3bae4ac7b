"""How long fits of high breakdown take, and how good they are, next to R robustbase's.

    python benchmarks/high_breakdown.py [--repeats 5] [--quick] [--only mm ...]

Everything that is compared runs in turns, with a new seed in every round. The tables show median
times, their ratio, and between which bounds lies, round by round, what we have made small (the S
scale, the sum of the h smallest squared residuals of the raw fit) over what R has: below 1 ours is
the better optimum. R runs beside Python with the same table in its memory and times its fits
itself, at robustbase's defaults: lmrob without formula and data frame, ltsReg as it is and without
the robust distances of the rows (mcd=FALSE), which up to 10 000 rows are half of its time and more.
Where R or robustbase is missing, nothing is compared. Data: standard normal columns and noise; 10 %
of the rows are far out in X, with a wrong y.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from _common import (
    about_machine,
    interleave,
    leverage,
    milliseconds,
    table,
    timing_parser,
    trimmed_squares,
)
from _r import R, start_r

from robustreg import LTSRegressor, MMRegressor

SIZES = (1000, 5), (10_000, 20), (100_000, 20)
OURS = "robustreg"
NO_R = "R with the package robustbase is not installed: left out."

Table = tuple[np.ndarray, np.ndarray]
OurFit = Callable[[np.ndarray, np.ndarray, int], float]
Reading = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def compare_mm(args: argparse.Namespace, r: R | None) -> str:
    """MMRegressor against lmrob."""

    def fit(X: np.ndarray, y: np.ndarray, seed: int) -> float:
        return MMRegressor(random_state=seed).fit(X, y).scale_

    def read(X: np.ndarray, y: np.ndarray, numbers: np.ndarray) -> float:
        return numbers[0]

    targets = {"lmrob": (0.5, 1, 1.5)}
    return compare(args, r, fit, read, targets, "S scale, ours / R's")


def compare_lts(args: argparse.Namespace, r: R | None) -> str:
    """LTSRegressor against ltsReg."""

    def fit(X: np.ndarray, y: np.ndarray, seed: int) -> float:
        return LTSRegressor(random_state=seed).fit(X, y).objective_

    targets = {"ltsReg": ("", 1, 1), "ltsReg-no-mcd": ("", "", "")}
    return compare(args, r, fit, trimmed_squares, targets, "objective, ours / R's")


def compare(
    args: argparse.Namespace,
    r: R | None,
    fit: OurFit,
    read: Reading,
    targets: Mapping[str, Sequence[object]],
    quality: str,
) -> str:
    """A table of one of our estimators against methods of R, whose targets are for every size."""
    if r is None:
        return NO_R
    rows = []
    for place, (n, p) in enumerate(SIZES):
        X, y = leverage(n, p)
        r.load(X, y)
        times, reached = run(args.repeats, r, (X, y), fit, read, list(targets))
        for peer, aims in targets.items():
            ratio = reached[OURS] / reached[peer]
            row = [f"{n:,} x {p}", milliseconds(times[OURS]), peer, milliseconds(times[peer])]
            row += [f"{times[peer] / times[OURS]:.2f}", aims[place]]
            rows.append([*row, f"{ratio.min():.4f} to {ratio.max():.4f}"])
    header = ("data", "robustreg, ms", "peer", "ms", "times faster", "at least", quality)
    return table(header, rows)


def run(
    repeats: int, r: R, data: Table, fit: OurFit, read: Reading, peers: Sequence[str]
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Median times of ours and the peers, and what each has reached in every round."""
    reached: dict[str, list[float]] = {name: [] for name in (OURS, *peers)}

    def ours() -> None:
        reached[OURS].append(fit(*data, len(reached[OURS])))

    def theirs(peer: str) -> float:
        seconds, numbers = r.fit(peer, len(reached[peer]))
        reached[peer].append(read(*data, numbers))
        return seconds

    tasks: dict[str, Callable[[], object]] = {OURS: ours}
    tasks |= {peer: lambda peer=peer: theirs(peer) for peer in peers}
    times = interleave(tasks, repeats)
    return times, {name: np.array(values) for name, values in reached.items()}


SECTIONS = {"mm": compare_mm, "lts": compare_lts}


def main() -> None:
    """Print one section after the other."""
    args = timing_parser(__doc__, SECTIONS, repeats=5).parse_args()
    r = start_r("robustbase")
    print(f"{about_machine()}; {r.versions if r else 'no R'}; medians of {args.repeats}.")
    for section in args.only:
        print(f"\n### {SECTIONS[section].__doc__}\n\n{SECTIONS[section](args, r)}", flush=True)
    if r is not None:
        r.close()


if __name__ == "__main__":
    main()

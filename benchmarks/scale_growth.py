"""How fits of rows that are not in memory grow with the number of rows: time a row, and memory.

    python benchmarks/scale_growth.py [--rows 1e6 1e7 1e8] [--folder FOLDER] [--plot FILE]

For each number of rows X and y are written as HDF5 data sets, uncompressed and in one piece, and
deleted after its fits. Each fit runs in a process of its own that has fitted a small table of the
same kind before. Memory is what the process holds by itself beyond what it held before the fit, as
in scale.py. Needs 8 bytes an entry on disk. On Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _common import about_machine, table
from _growth import exponent
from _on_disk import pieces
from scale import FITS, measured

COLOURS = dict(
    zip(FITS, ("#e58606", "#0b3c8c", "#cc3311", "#882255", "#117733", "#777777"), strict=True)
)
MARKERS = dict(zip(FITS, "osD^vP", strict=True))

Found = Mapping[str, Mapping[int, Mapping[str, Any]]]


def write(path: Path, n: int, p: int) -> None:
    """A table as two data sets of an HDF5 file."""
    import h5py

    with h5py.File(path, "w") as file:
        X, y = file.create_dataset("X", (n, p), "f8"), file.create_dataset("y", (n,), "f8")
        for part, own_X, own_y in pieces(n, p):
            X[part], y[part] = own_X, own_y


def opened(path: Path) -> list[Any]:
    """What is passed to ``fit``."""
    import h5py

    file = h5py.File(path, "r")
    return [file["X"], file["y"]]


def ask(fit: str, small: Path, large: Path) -> dict[str, Any]:
    """What a fit takes, in a process of its own."""
    command = [sys.executable, __file__, "--measure", fit, str(small), str(large)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print a line for every fit and number of rows, and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where the files are written")
    parser.add_argument("--fits", nargs="+", choices=FITS, default=[*FITS])
    parser.add_argument("--plot", type=Path, help="the file of the picture")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        fit, small, large = args.measure
        print(json.dumps(measured(fit, opened(Path(small)), opened(Path(large)))))
        return
    found: dict[str, dict[int, dict[str, Any]]] = {fit: {} for fit in args.fits}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        small, large = Path(name) / "small.h5", Path(name) / "large.h5"
        write(small, 2_000, args.columns)
        for n in map(int, args.rows):
            write(large, n, args.columns)
            for fit, of_fit in found.items():
                of_fit[n] = ask(fit, small, large)
            large.unlink()
    print(f"{about_machine()}.\n\n{shown(found)}")
    if args.plot is not None:
        draw(found, args.plot)


def shown(found: Found) -> str:
    """A line for every fit and number of rows, and the exponents of processor time."""
    lines = []
    for fit, of_fit in found.items():
        growth = exponent({n: one["cpu"] for n, one in of_fit.items()})
        for n, one in of_fit.items():
            each = 1e9 * one["cpu"] / n
            memory = one["bytes"] / 2**20
            lines.append(
                (
                    fit,
                    f"{n:,}",
                    str(one["passes"]),
                    f"{one['wall']:.3g}",
                    f"{one['cpu']:.3g}",
                    f"{each:.0f}",
                    f"{each / one['passes']:.0f}",
                    f"{memory:.0f}",
                    f"{growth:.2f}" if n == max(of_fit) else "",
                )
            )
    header = (
        "fit",
        "rows",
        "passes",
        "s",
        "CPU s",
        "CPU ns a row",
        "... and pass",
        "MiB",
        "exponent",
    )
    return table(header, lines)


def draw(found: Found, path: Path) -> None:
    """Processor time of a row, and memory, against the number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10.0, 4.4), layout="constrained")
    for fit, of_fit in found.items():
        style = {"color": COLOURS[fit], "marker": MARKERS[fit], "label": fit}
        sizes = np.array([*of_fit])
        panels[0].plot(sizes, [1e9 * one["cpu"] / n for n, one in of_fit.items()], **style)
        panels[1].plot(sizes, [one["bytes"] / 2**20 for one in of_fit.values()], **style)
    panels[0].set_title("Processor time of a row, ns", loc="left")
    panels[1].set_title("Memory beyond that before the fit, MiB", loc="left")
    for panel in panels:
        panel.set_xscale("log")
        panel.set_ylim(bottom=0.0)
        panel.set_xlabel("rows")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[1].legend(frameon=False, ncols=2, loc="lower right")  # where no line is
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()

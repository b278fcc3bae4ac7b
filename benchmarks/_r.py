"""A running R with a package, to which fits are handed one at a time."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Event, Timer

import numpy as np
from _common import about_machine
from scipy import sparse

FOLDER = Path(__file__).parent


class R:
    """R with a table in its memory; every fit is timed there, by R's clock.

    Parameters
    ----------
    rscript : str
        The program that runs R scripts.
    package : str
        Whose fits are wanted: the script ``_<package>.R`` runs them.

    Attributes
    ----------
    versions : str
        R, its packages and the BLAS they use.
    usable : bool
        Whether R has the package; without it, it has ended already.
    """

    def __init__(self, rscript: str, package: str) -> None:
        self._process = subprocess.Popen(
            [rscript, "--vanilla", f"_{package}.R"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=FOLDER,
        )
        self.versions = self._answer()
        self.usable = self.versions != f"no {package}"

    def load(self, X: np.ndarray, y: np.ndarray) -> None:
        """Hand over a table, by way of a file that is gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table"
            with path.open("wb") as file:
                X.T.tofile(file)  # R stores matrices column by column
                y.tofile(file)
            self._ask("load", path, *X.shape)

    def load_sparse(self, X: sparse.csr_matrix, y: np.ndarray) -> None:
        """Hand over a sparse table with its column of ones, for packages that load SparseM."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table"
            with path.open("wb") as file:
                for numbers in (X.data, X.indices.astype("i4"), X.indptr.astype("i4"), y):
                    numbers.tofile(file)
            self._ask("load-sparse", path, *X.shape, X.nnz)

    def fit(
        self, method: str, *arguments: float, limit: float | None = None
    ) -> tuple[float, np.ndarray]:
        """Seconds of one fit, and the numbers that it returns.

        R ends where a fit takes longer than `limit` seconds, with a TimeoutError.
        """
        over = Event()
        timer = Timer(limit or 0.0, lambda: (over.set(), self._process.kill()))
        if limit is not None:
            timer.start()
        try:
            seconds, *numbers = map(float, self._ask("fit", method, *arguments).split())
        except RuntimeError:
            if over.is_set():
                raise TimeoutError(f"R's {method} has taken over {limit:g} seconds.") from None
            raise
        finally:
            timer.cancel()
        return seconds, np.array(numbers)

    def close(self) -> None:
        """End R."""
        self._process.communicate()

    def _ask(self, *words: object) -> str:
        print(*words, sep="\t", file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"R has ended with status {self._process.wait()}")
        return line.strip()


def print_beside(
    args: argparse.Namespace,
    sections: Mapping[str, Callable[[argparse.Namespace, Mapping[str, R | None]], str]],
    packages: Iterable[str],
) -> None:
    """Print sections one after the other, beside an R for each of some packages."""
    rs = {package: start_r(package) for package in packages}
    versions = "; ".join(r.versions for r in rs.values() if r) or "no R"
    print(f"{about_machine()}; {versions}; medians of {args.repeats}.")
    for section in args.only:
        print(f"\n### {sections[section].__doc__}\n\n{sections[section](args, rs)}", flush=True)
    for r in rs.values():
        if r is not None:
            r.close()


def start_r(package: str) -> R | None:
    """R with a package, None where there is no R or it does not have the package."""
    rscript = shutil.which("Rscript")
    r = R(rscript, package) if rscript else None
    return r if r and r.usable else None

"""A running R with quantreg, to which fits are handed one at a time."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("_quantreg.R")


class Quantreg:
    """R with a table in its memory; every fit is timed there, by R's clock.

    Attributes
    ----------
    versions : str
        R, quantreg, conquer and the BLAS they use.
    has_quantreg, has_conquer : bool
        Whether R has these packages; without quantreg it has ended already.
    """

    def __init__(self, rscript: str) -> None:
        self._process = subprocess.Popen(
            [rscript, "--vanilla", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions = self._answer()
        self.has_quantreg = self.versions != "no quantreg"
        self.has_conquer = "no conquer" not in self.versions

    def load(self, X: np.ndarray, y: np.ndarray) -> None:
        """Hand over a table, by way of a file that is gone afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table"
            with path.open("wb") as file:
                X.T.tofile(file)  # R stores matrices column by column
                y.tofile(file)
            self._ask("load", path, *X.shape)

    def fit(self, method: str, quantile: float) -> tuple[float, np.ndarray]:
        """Seconds of one fit, and its coefficients, the intercept first."""
        seconds, *coefficients = map(float, self._ask("fit", method, quantile).split())
        return seconds, np.array(coefficients)

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


def start_quantreg() -> Quantreg | None:
    """R with quantreg, None where there is no R or no quantreg in it."""
    rscript = shutil.which("Rscript")
    quantreg = Quantreg(rscript) if rscript else None
    return quantreg if quantreg and quantreg.has_quantreg else None

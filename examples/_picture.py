"""What the examples share: matplotlib without a screen, and a place for the picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "output"


def parse_output(description: str, name: str) -> Path:
    """The file that --output names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=FOLDER / name, help="picture to write")
    return parser.parse_args().output


def import_pyplot() -> Any:
    """matplotlib.pyplot, drawing into files; without matplotlib the program ends with advice."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(
            'No picture: matplotlib is missing. Install it with pip install "robustreg[plot]".'
        ) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure: Any, path: Path) -> None:
    """Write a picture; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)

"""What displays share: matplotlib, imported when something is drawn."""

from __future__ import annotations

from typing import Any


def import_pyplot() -> Any:
    """matplotlib.pyplot; without matplotlib the error says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plotting needs matplotlib: pip install robustreg[plot]") from error
    return plt

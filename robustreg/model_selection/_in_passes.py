"""Searches and paths over rows that are not in memory."""

from __future__ import annotations

from robustreg.sources import RowSource
from robustreg.sources._device import DeviceSource
from robustreg.sources._surveyed import NotInMemoryError


def refuse_device(source: RowSource, what: str) -> None:
    """Refuse rows on a device.

    Raises
    ------
    NotInMemoryError
        If these are such.
    """
    if isinstance(source, DeviceSource):
        raise NotInMemoryError(
            f"{what} needs arrays of NumPy, and was given one on a device: numpy.asarray(X) or "
            "numpy.asarray(X.cpu()) makes one."
        )

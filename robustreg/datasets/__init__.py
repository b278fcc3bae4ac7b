"""Real tables to try robust regression on."""

from ._diamonds import load_diamonds

__all__ = ["load_diamonds"]

"""Real tables to try robust regression on."""

from ._diamonds import load_diamonds
from ._engel import load_engel

__all__ = ["load_diamonds", "load_engel"]

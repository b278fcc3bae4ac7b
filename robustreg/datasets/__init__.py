"""Real tables to try robust regression on."""

from ._california import load_california_housing
from ._diamonds import load_diamonds
from ._engel import load_engel

__all__ = ["load_california_housing", "load_diamonds", "load_engel"]

"""Real tables to try robust regression on."""

from ._california import load_california_housing
from ._diamonds import load_diamonds
from ._engel import load_engel
from ._stars_cyg import load_stars_cyg

__all__ = ["load_california_housing", "load_diamonds", "load_engel", "load_stars_cyg"]

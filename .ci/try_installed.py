"""Use the installed package from a folder that does not hold its source."""

import sys
from pathlib import Path

import robustreg
from robustreg import HuberRegressor, L1Regressor, L2Regressor
from robustreg.datasets import load_california_housing, load_diamonds, load_engel

package = Path(robustreg.__file__).parent
assert Path(sys.prefix).resolve() in package.resolve().parents, f"not installed: {package}"
assert (package / "py.typed").is_file()

diamonds = load_diamonds()
assert diamonds.data.shape == (53940, 9)
assert "MIT" in diamonds.DESCR
assert "Koenker" in load_engel().DESCR
assert "Apache" in load_california_housing().DESCR
column = dict(zip(diamonds.feature_names, diamonds.data.T, strict=True))
volume = (column["x"] * column["y"] * column["z"])[:, None]
for model in (L2Regressor(), HuberRegressor(), L1Regressor()):
    model.fit(volume, column["carat"])
    error = abs(column["carat"] - model.predict(volume))
    print(f"{type(model).__name__}: {model.coef_[0] * 1000:.3f} carat per cubic cm")
    assert sorted(error)[len(error) // 2] < 0.05
print(f"robustreg {robustreg.__version__} works from {package.parent.name}")

"""Public submodules are there after `import robustreg`, and are not imported before their use."""

import subprocess
import sys
from pathlib import Path

import pytest

import robustreg

PUBLIC = sorted(
    path.stem
    for path in Path(robustreg.__file__).parent.iterdir()
    if not path.name.startswith(("_", ".")) and (path.is_dir() or path.suffix == ".py")
)
INTERNAL = {
    "estimators",
    "evaluation",
    "subsampling",
}  # of which users have the names they need elsewhere

SCRIPT = """
import sys, robustreg
assert not {"robustreg.plotting", "robustreg.datasets"} & set(sys.modules)
print(robustreg.plotting.LossDisplay.__name__, robustreg.datasets.load_engel.__name__)
print("matplotlib" in sys.modules)
"""


def test_submodules_are_imported_when_they_are_used():
    command = [sys.executable, "-c", SCRIPT]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["LossDisplay", "load_engel", "False"]


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - INTERNAL))
def test_every_public_submodule(name):
    assert name in dir(robustreg)
    assert getattr(robustreg, name).__name__ == f"robustreg.{name}"


def test_others_are_no_attributes():
    with pytest.raises(AttributeError, match="module 'robustreg' has no attribute 'plots'"):
        robustreg.plots  # noqa: B018

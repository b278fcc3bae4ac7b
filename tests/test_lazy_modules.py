"""Public submodules are there after `import robustreg` (when they are imported: test_import)."""

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


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - INTERNAL))
def test_every_public_submodule(name):
    assert name in dir(robustreg)
    assert getattr(robustreg, name).__name__ == f"robustreg.{name}"


def test_others_are_no_attributes():
    with pytest.raises(AttributeError, match="module 'robustreg' has no attribute 'plots'"):
        robustreg.plots  # noqa: B018

import importlib.metadata
import importlib.resources
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import robustreg

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


OPTIONAL = ["dask", "matplotlib", "pandas", "polars", "torch"]

# scikit-learn itself imports pandas where it is installed; robustreg must add nothing to that.
# Submodules that few use are there, but are not imported before their use.
ADDED_BY_IMPORT = f"""
import sys
import sklearn.linear_model
before = set(sys.modules)
import robustreg
print(*sorted(set({OPTIONAL}) & (set(sys.modules) - before)))
assert not {{"robustreg.plotting", "robustreg.datasets"}} & set(sys.modules)
assert robustreg.plotting.LossDisplay.__name__ == "LossDisplay"
assert robustreg.datasets.load_engel.__name__ == "load_engel"
assert "matplotlib" not in sys.modules
"""
IMPORT_WITHOUT = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import robustreg
from robustreg.datasets import load_diamonds
print(load_diamonds().data.shape)
"""


def run_python(script, **environment):
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("array_api", ["", "1"])
def test_import_leaves_optional_packages_and_rare_submodules_alone(array_api):
    assert run_python(ADDED_BY_IMPORT, SCIPY_ARRAY_API=array_api) == ""


def test_import_works_without_optional_packages():
    assert run_python(IMPORT_WITHOUT) == "(53940, 9)"


def test_version_agrees_with_the_metadata():
    assert robustreg.__version__ == importlib.metadata.version("robustreg")


def test_public_names_exist_once():
    names = getattr(robustreg, "__all__", [])
    assert [name for name in names if not hasattr(robustreg, name)] == []
    assert len(set(names)) == len(names)


def test_type_information_is_shipped():
    assert (importlib.resources.files("robustreg") / "py.typed").is_file()


@pytest.mark.skipif(not PYPROJECT.exists(), reason="not run from a source tree")
def test_dependency_group_mirrors_the_test_extra():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    assert (
        project["dependency-groups"]["test"] == project["project"]["optional-dependencies"]["test"]
    )

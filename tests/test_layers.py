"""Imports only go down: the layers of the package, read from its source.

A unit is a module or a folder directly below `robustreg`. It may import units of lower layers
and, as long as no cycle arises, of its own. Every unit stands in the table of docs/design.md; a new
one fails here until somebody decides where it belongs.
"""

import ast
import dataclasses
import graphlib
import itertools
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import robustreg

PACKAGE = Path(robustreg.__file__).parent
ROOT = Path(__file__).parents[1]

HEADER = "| layer | units | what is there |"
TABLE_OF_LAYERS = ROOT / "docs" / "design.md"


def table_in(path):
    """The lines of the table of layers in a Markdown file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEADER)
    return list(itertools.takewhile(lambda line: line.startswith("|"), lines[start:]))


# Row by row from the ground up; units of a row may import each other.
LAYERS = {
    unit: number
    for number, line in enumerate(table_in(TABLE_OF_LAYERS)[2:])
    for unit in re.findall(r"`(\w+)`", line.split("|")[2])
}

# Pure mathematics: neither scikit-learn nor the units that adapt to it.
PURE = {"losses", "penalties", "scale"}
NOT_PURE = {"sklearn", "_compat", "_validation"}

HANDED_OVER = tuple(
    f"robustreg.{unit}" for unit in ("evaluation", "losses", "penalties", "sources", "_linalg")
)

REQUIRED = {"numpy", "scipy", "sklearn", "threadpoolctl", "robustreg"}
# Only inside a function, so that `import robustreg` works without them.
OPTIONAL = {"matplotlib", "pandas", "polars", "pyarrow", "dask", "array_api_compat", "jax"}
# The one unit that may use private names of other packages.
PRIVATE_NAMES = "_compat"


@dataclass(frozen=True)
class Import:
    """One imported name: the module it comes from, the name (None for `import module`), where."""

    module: tuple[str, ...]
    name: str | None
    at_import_time: bool
    unit: str
    where: str

    @property
    def top(self):
        return self.module[0]

    @property
    def target(self):
        """The unit of robustreg that is imported; "__init__" is the package itself."""
        if self.top != "robustreg":
            return None
        if len(self.module) > 1:
            return self.module[1]
        return self.name if self.name in LAYERS else "__init__"


class ImportVisitor(ast.NodeVisitor):
    def __init__(self, path):
        relative = path.relative_to(PACKAGE)
        self.parents = ("robustreg", *relative.parts[:-1])
        self.unit = Path(relative.parts[0]).stem
        self.relative = relative
        self.deferred = 0
        self.found = []

    def add(self, node, module, name):
        where = f"robustreg/{self.relative.as_posix()}:{node.lineno}"
        self.found.append(Import(module, name, not self.deferred, self.unit, where))

    def visit_Import(self, node):
        for alias in node.names:
            self.add(node, tuple(alias.name.split(".")), None)

    def visit_ImportFrom(self, node):
        module = tuple(node.module.split(".")) if node.module else ()
        if node.level:
            module = self.parents[: len(self.parents) - node.level + 1] + module
        for alias in node.names:
            self.add(node, module, alias.name)

    def visit_deferred(self, node):
        self.deferred += 1
        self.generic_visit(node)
        self.deferred -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_deferred

    def visit_If(self, node):
        if "TYPE_CHECKING" in ast.unparse(node.test):
            self.visit_deferred(node)
        else:
            self.generic_visit(node)


def imports_of(path):
    visitor = ImportVisitor(path)
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.found


IMPORTS = [item for path in sorted(PACKAGE.rglob("*.py")) for item in imports_of(path)]
BETWEEN_UNITS = [item for item in IMPORTS if item.target not in (None, item.unit)]


def test_every_unit_has_a_layer_and_every_layer_its_units():
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    units = modules | folders
    assert sorted(units - set(LAYERS)) == [], "give these a place in the table"
    assert sorted(set(LAYERS) - units) == [], "these no longer exist"


def test_the_names_that_rules_are_about_exist():
    units = PURE | {PRIVATE_NAMES} | NOT_PURE - {"sklearn"}
    assert sorted(units - set(LAYERS)) == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_page_shows_the_same_table(page):
    assert table_in(ROOT / page) == table_in(TABLE_OF_LAYERS)


def test_imports_only_go_down():
    wrong = [
        f"{item.where}: {item.unit} imports {item.target}"
        for item in BETWEEN_UNITS
        if LAYERS.get(item.target, 99) > LAYERS.get(item.unit, 99)
    ]
    assert wrong == []


def test_no_cycles_between_units():
    graph = {}
    for item in BETWEEN_UNITS:
        graph.setdefault(item.unit, set()).add(item.target)
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the cycle


def test_mathematics_knows_nothing_of_scikit_learn():
    wrong = [
        f"{item.where}: {item.unit} imports {item.target or item.top}"
        for item in IMPORTS
        if item.unit in PURE and NOT_PURE & {item.top, item.target}
    ]
    assert wrong == []


def test_what_is_handed_from_layer_to_layer_is_frozen():
    wrong = [
        f"{name}.{kind.__name__}"
        for name, module in sorted(sys.modules.items())
        if name.startswith(HANDED_OVER)
        for kind in vars(module).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == name
        if not kind.__dataclass_params__.frozen
    ]
    assert wrong == []


def test_private_names_of_other_packages_only_in_compat():
    wrong = [
        f"{item.where}: {'.'.join(item.module)} {item.name or ''}".rstrip()
        for item in IMPORTS
        if item.top not in {"robustreg", "__future__"} and item.unit != PRIVATE_NAMES
        if any(part.startswith("_") for part in (*item.module, item.name or ""))
    ]
    assert wrong == []


def test_only_declared_packages_are_imported():
    wrong = [
        f"{item.where}: {item.top}"
        for item in IMPORTS
        if item.top not in REQUIRED | OPTIONAL | sys.stdlib_module_names
    ]
    assert wrong == []


def test_optional_packages_are_imported_inside_functions():
    wrong = [
        f"{item.where}: {item.top}"
        for item in IMPORTS
        if item.top in OPTIONAL and item.at_import_time
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("folder", "source", "target", "module", "at_import_time"),
    [
        (".", "from . import losses", "losses", "robustreg", True),
        ("solvers", "from .. import evaluation", "evaluation", "robustreg", True),
        ("solvers", "from ..scale import f", "scale", "robustreg.scale", True),
        ("solvers", "from ._newton import g", "solvers", "robustreg.solvers._newton", True),
        ("solvers", "import robustreg.scale", "scale", "robustreg.scale", True),
        ("solvers", "from robustreg import HuberRegressor", "__init__", "robustreg", True),
        (".", "def f():\n    import pandas as pd", None, "pandas", False),
        (".", "if TYPE_CHECKING:\n    import pandas as pd", None, "pandas", False),
        (".", "class A:\n    import pandas as pd", None, "pandas", True),
    ],
)
def test_imports_are_read_correctly(folder, source, target, module, at_import_time):
    visitor = ImportVisitor(PACKAGE / folder / "example.py")
    visitor.visit(ast.parse(source))
    (item,) = visitor.found
    assert item.target == target
    assert ".".join(item.module) == module
    assert item.at_import_time is at_import_time

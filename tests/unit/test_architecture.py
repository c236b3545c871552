"""The shape of the code: few modules in a folder, no import cycles, few levels. import-linter holds the layers.

These need no more than the standard library, so that they run wherever the tests run.
"""

import ast
from collections import Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import jobhooks
from jobhooks.store.queries import SQL

PACKAGE = Path(jobhooks.__file__).parent
MOST_MODULES = 15
MOST_LEVELS = 6
Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Our modules by name. The receivers that come with jobhooks are users of it."""
    files = [path for path in PACKAGE.rglob("*.py") if "receivers" not in path.relative_to(PACKAGE).parts]
    return {_name(path): path for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports() -> Graph:
    """List the imports of our modules: at the top, in functions, and for types only."""
    names = modules()
    return {name: set(_imported(ast.parse(path.read_text()), names)) - {name} for name, path in names.items()}


def _imported(tree: ast.Module, names: Iterable[str]) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in names:
                    yield full
                elif node.module in names:
                    yield node.module


def levels(graph: Graph) -> dict[str, int]:
    """The level of each node, 1 for those that import no other node."""
    found: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        found[node] = 1 + max((found[other] for other in graph.get(node, ())), default=0)
    return found


def rooms(graph: Graph, container: str) -> Graph:
    """The graph of a package's modules and subpackages."""

    def room(module: str) -> str | None:
        inside = module.removeprefix(container + ".")
        return None if inside == module else inside.partition(".")[0]

    found: Graph = {}
    for module, imported in graph.items():
        if (importer := room(module)) is not None:
            others = found.setdefault(importer, set())
            others |= {other for each in imported if (other := room(each)) is not None and other != importer}
    return found


def test_no_modules_import_each_other() -> None:
    """Not for types either: two modules that need each other are one, or a third one is missing."""
    levels(imports())


def test_a_cycle_would_be_found() -> None:
    with pytest.raises(CycleError):
        levels({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_the_engine_has_few_levels() -> None:
    found = levels(rooms(imports(), "jobhooks.engine"))
    assert max(found.values()) <= MOST_LEVELS, found


def test_no_folder_has_many_modules() -> None:
    folders: dict[str, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            folder = str(path.parent.relative_to(PACKAGE))
            folders[folder] = folders.get(folder, 0) + 1
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_no_folder_has_many_tests() -> None:
    """Nor do the folders of shared code."""
    tests = Path(__file__).parents[1]
    folders = Counter(path.parent.relative_to(tests).as_posix() for path in tests.rglob("*.py"))
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES + 1} == {}  # __init__


def test_no_folder_has_many_sql_files() -> None:
    """Migrations are a sequence: one after the other, however many there are."""
    files = (path.relative_to(SQL).parent.as_posix() for path in SQL.rglob("*.sql"))
    folders = Counter(folder for folder in files if folder != "migrations")
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}

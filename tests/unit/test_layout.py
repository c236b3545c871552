"""Rules for the tests: each pure module has unit tests, and random numbers come from the seed."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon" / "jobhooks"
TESTS = ROOT / "tests"
# Rooms whose modules are pure, and single pure modules of others.
PURE_ROOMS = ("contract", "matching", "engine/delivery")
PURE_MODULES = (
    "engine/running/run_protocol",
    "engine/running/sharing_policy",
    "engine/scheduling/hook_queue",
    "engine/scheduling/lanes",
    "engine/scheduling/stream",
    "engine/scheduling/streams",
    "engine/settling/rows",
    "operations/configuration/hook_file",
    "operations/configuration/hook_plan",
    "operations/lookup/moments",
    "operations/lookup/nearest_names",
    "operations/lookup/table_names",
    "store/json_rows",
    "store/queries",
    "store/snapshot",
    "store/storable_text",
)


def pure_modules() -> set[str]:
    rooms = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for room in PURE_ROOMS
        for path in (PACKAGE / room).rglob("*.py")
        if path.name != "__init__.py"
    }
    return rooms | set(PURE_MODULES)


def imported() -> set[str]:
    """Return the modules that unit tests import, as paths in the package."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("jobhooks.").replace(".", "/") for name in found if name.startswith("jobhooks.")}


def test_each_pure_module_has_unit_tests() -> None:
    named = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    untested = pure_modules() - imported()
    assert {module for module in untested if Path(module).name not in named} == set()


def test_the_list_names_modules_that_exist() -> None:
    assert {name for name in PURE_MODULES if not (PACKAGE / f"{name}.py").exists()} == set()


def generators_without_a_seed(path: Path) -> list[str]:
    """Uses of random numbers that the fixture ``seed`` does not determine: random.random(), Random(), Random(7)."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("random"), attr=name), args=arguments) if (
                name != "Random" or not arguments or isinstance(arguments[0], ast.Constant)
            ):
                found.append(f"{path.relative_to(TESTS)}:{node.lineno}")
            case ast.Call(func=ast.Name("Random"), args=[] | [ast.Constant()]):
                found.append(f"{path.relative_to(TESTS)}:{node.lineno}")
            case _:
                pass
    return found


def test_random_numbers_come_from_the_seed() -> None:
    """Otherwise a failure could not be repeated by ``--seed``. The fixture draws one where none is given."""
    found = [use for path in TESTS.rglob("*.py") for use in generators_without_a_seed(path)]
    assert [use for use in found if use.partition(":")[0] != "conftest.py"] == []

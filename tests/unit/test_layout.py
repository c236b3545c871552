"""Each pure module has unit tests: one that imports it, or a file of its name."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon" / "jobhooks"
# Rooms whose modules are pure, and single pure modules of others.
PURE_ROOMS = ("contract", "matching", "engine/delivery")
PURE_MODULES = (
    "engine/running/run_protocol",
    "engine/running/sharing_policy",
    "engine/scheduling/hook_queue",
    "engine/scheduling/lanes",
    "engine/scheduling/open_pages",
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
# Declarations without a decision, and modules that the tests of receivers in tests/integration cover.
WITHOUT_DECISIONS = {
    "contract/receiver": "the base class; tests/acceptance/test_nautobot_contract.py",
    "engine/delivery/backlog_position": "two fields",
    "engine/delivery/log_fields": "names of fields",
    "engine/delivery/protocols": "protocols",
    "engine/delivery/settle_batch": "four lists",
    "matching/condition_failures": "counts; tests/integration/test_conditions.py",
}


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
    untested = pure_modules() - imported() - WITHOUT_DECISIONS.keys()
    assert {module for module in untested if Path(module).name not in named} == set()


def test_the_lists_name_modules_that_exist() -> None:
    listed = {*PURE_MODULES, *WITHOUT_DECISIONS}
    assert {name for name in listed if not (PACKAGE / f"{name}.py").exists()} == set()

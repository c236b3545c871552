"""Rules for the tests: pure modules have unit tests, operations are called directly, the seed gives random numbers."""

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
    "operations/configuration/config_file",
    "operations/configuration/hook_file",
    "operations/configuration/hook_plan",
    "operations/configuration/table_file",
    "operations/lookup/moments",
    "operations/lookup/nearest_names",
    "operations/lookup/table_names",
    "operations/lookup/table_patterns",
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
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("jobhooks.").replace(".", "/") for name in found if name.startswith("jobhooks.")}


def test_each_pure_module_has_unit_tests() -> None:
    named = {path.stem.removeprefix("test_") for path in Path(__file__).parent.rglob("test_*.py")}
    untested = pure_modules() - imported()
    assert {module for module in untested if Path(module).name not in named} == set()


def test_the_list_names_modules_that_exist() -> None:
    assert {name for name in PURE_MODULES if not (PACKAGE / f"{name}.py").exists()} == set()


def names_used(path: Path) -> set[str]:
    """What a module uses of ``operations/``, by full names."""
    text = path.read_text()
    if "jobhooks.operations" not in text:
        return set()
    tree = ast.parse(text)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in known:
                found.add(known[name])
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in known:
                found.add(f"{known[module]}.{name}")
            case _:
                pass
    return found


def operations() -> set[str]:
    """The functions of operations/ that the command line or the daemon calls, by their full names."""
    callers = [PACKAGE / "app.py", *(PACKAGE / "cli").rglob("*.py")]
    called = {name for path in callers for name in names_used(path) if name.startswith("jobhooks.operations.")}
    # Not classes, and no modules.
    return {name for name in called if name.rpartition(".")[2].islower() and not is_module(name)}


def is_module(name: str) -> bool:
    return (PACKAGE.parent / name.replace(".", "/")).with_suffix(".py").exists()


def test_each_operation_has_a_test_that_calls_it_directly() -> None:
    """A test through a command says less when it fails, and takes longer."""
    called = {name for path in TESTS.rglob("*.py") for name in names_used(path)}
    assert len(operations()) > 40
    assert operations() - called == set()


def generators_without_a_seed(path: Path) -> list[str]:
    """Uses of random numbers that the fixture ``seed`` does not determine: random.random(), Random(), Random(7)."""
    found: list[str] = []
    text = path.read_text()
    if "andom" not in text:  # neither name; to parse all files takes a second
        return found
    for node in ast.walk(ast.parse(text)):
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

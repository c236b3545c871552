"""Finding and loading: modules that change, installed packages, and files that others can write to."""

import contextlib
import gc
import os
import pickle
import py_compile
import sys
import tempfile
import weakref
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from jobhooks.discovery.loading import find_again, find_receivers, load_again
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.discovery.sources import PACKAGE, Source

GOOD = "from jobhooks import JobHookReceiver\nclass {0}(JobHookReceiver):\n    pass\n"
WORD = "from jobhooks import JobHookReceiver\nclass C(JobHookReceiver):\n    word = {0!r}\n"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of someone else's")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    receivers = tmp_path / "receivers"
    receivers.mkdir()
    return receivers


def word(registry: ReceiverRegistry, class_path: str = "r.C") -> object:
    return getattr(registry.receivers[class_path].receiver, "word", None)


def imported() -> list[str]:
    return [name for name in sys.modules if name.startswith(PACKAGE)]


# Modules as they change.


def test_what_is_not_used_any_more_is_forgotten(directory: Path) -> None:
    """A daemon that runs for a year, with a file that changes daily, must not keep all that it was."""
    (directory / "r.py").write_text(WORD.format("0"))
    registry = find_receivers([directory])
    of_first = weakref.ref(registry.receivers["r.C"].receiver)
    before = len(imported())
    for number in range(1, 4):
        (directory / "r.py").write_text(WORD.format(str(number)))
        registry = find_again(registry)
    gc.collect()
    assert word(registry) == "3" and len(imported()) == before
    assert of_first() is None


def test_whoever_listens_is_told_of_other_receivers_and_of_nothing_else(directory: Path) -> None:
    """A receiver may write files into its directory. Each look after that must not search the whole backlog."""
    (directory / "r.py").write_text(WORD.format("old"))
    registry = find_receivers([directory])
    told: list[object] = []
    registry.listeners.append(lambda: told.append(sorted(registry.receivers)))
    (directory / "notes.txt").write_text("written by a receiver")
    (directory / "broken.py").write_text("broken(")
    registry.take(find_again(registry))
    assert told == [] and [broken.module for broken in registry.broken] == ["broken"]
    (directory / "r.py").write_text(WORD.format("new"))
    registry.take(find_again(registry))
    assert told == [["r.C"]] and word(registry) == "new"
    (directory / "r.py").unlink()
    for _ in range(2):
        registry.take(find_again(registry))
    assert told == [["r.C"], []]


def test_what_still_runs_keeps_its_module(directory: Path) -> None:
    """Imports of a running receiver still find the old code, and pickle still finds its class."""
    (directory / "p").mkdir()
    (directory / "p" / "__init__.py").write_text(
        WORD.format("old") + "    def late(self=None):\n        from .late import WORD\n        return WORD\n"
    )
    (directory / "p" / "late.py").write_text("WORD = 'old'\n")
    registry = find_receivers([directory])
    old = registry.receivers["p.C"]
    (directory / "p" / "late.py").write_text("WORD = 'new'\n")
    registry = find_again(registry)
    late: Callable[[], str] = getattr(old.receiver, "late")  # noqa: B009 - it is not known to a type checker
    assert late() == "old"
    assert getattr(registry.receivers["p.C"].receiver, "late")() == "new"  # noqa: B009
    assert pickle.loads(pickle.dumps(old.receiver)) is old.receiver


def test_it_can_be_imported_elsewhere_as_it_was(directory: Path) -> None:
    """A worker process that starts later gets the daemon's code, even if the file has changed."""
    (directory / "_shared.py").write_text("WORD = 'old'\n")
    (directory / "r.py").write_text("from ._shared import WORD\n" + GOOD.format("C").replace("pass", "word = WORD"))
    found = find_receivers([directory]).receivers["r.C"]
    (directory / "r.py").write_text("broken(")
    (directory / "_shared.py").unlink()
    origin = pickle.loads(pickle.dumps(found.origin))
    assert isinstance(origin, Source)
    again = load_again("r.C", origin)
    assert getattr(again.receiver, "word") == "old"  # noqa: B009
    assert again.receiver is not found.receiver


def test_helpers_beside_modules_can_be_imported_and_their_change_counts(directory: Path) -> None:
    (directory / "_shared.py").write_text("WORD = 'old'\n")
    (directory / "_more").mkdir()
    (directory / "_more" / "deep.py").write_text("from .._shared import WORD\n")
    (directory / "r.py").write_text("from ._more.deep import WORD\n" + GOOD.format("C").replace("pass", "word = WORD"))
    registry = find_receivers([directory])
    assert not registry.broken and word(registry) == "old"
    (directory / "_shared.py").write_text("WORD = 'new'\n")
    assert word(find_again(registry)) == "new"


def test_what_is_written_again_as_it_was_is_not_imported_again(directory: Path) -> None:
    """Its processes stay warm, for example after a copy of all files."""
    (directory / "p").mkdir()
    (directory / "p" / "__init__.py").write_text(WORD.format("old"))
    (directory / "p" / "data.sql").write_text("select 1")
    registry = find_receivers([directory])
    (directory / "p" / "__init__.py").write_text(WORD.format("old"))
    os.utime(directory / "p" / "__init__.py", (1, 1))
    again = find_again(registry)
    assert again.receivers["p.C"] is registry.receivers["p.C"]
    (directory / "p" / "data.sql").write_text("select 1, 2")  # which it may have read
    assert find_again(again).receivers["p.C"] is not registry.receivers["p.C"]


@pytest.mark.parametrize(
    "text",
    ["class (", "import no_such_module_anywhere\n", "", WORD.format("new") + "    class Meta:\n        name = 5\n"],
    ids=["syntax", "import", "empty", "meta"],
)
def test_whatever_is_wrong_its_receivers_stay_what_they_were(directory: Path, text: str) -> None:
    """Until it is mended; and only a file that is gone takes them along."""
    (directory / "r.py").write_text(WORD.format("old"))
    first = find_receivers([directory])
    (directory / "r.py").write_text(text)
    registry = find_again(first)
    assert len(registry.broken) == 1 and registry.receivers["r.C"] is first.receivers["r.C"]
    registry = find_again(registry)
    assert len(registry.broken) == 1 and registry.receivers["r.C"] is first.receivers["r.C"]
    (directory / "r.py").write_text(WORD.format("old"))
    assert not find_again(registry).broken and word(find_again(registry)) == "old"
    (directory / "r.py").write_text(WORD.format("mended"))
    registry = find_again(registry)
    assert not registry.broken and word(registry) == "mended"
    (directory / "r.py").unlink()
    assert not find_again(registry).receivers


def test_what_failed_for_want_of_something_else_is_tried_again(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example after a library was installed: the module itself has not changed."""
    (directory / "r.py").write_text("import comes_later_than_it_should\n" + GOOD.format("C"))
    registry = find_receivers([directory])
    assert registry.broken and not registry.receivers
    (tmp_path / "comes_later_than_it_should.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    registry = find_again(registry)
    assert not registry.broken and list(registry.receivers) == ["r.C"]


def test_tests_and_what_editors_leave_are_no_receivers(directory: Path) -> None:
    """Emacs marks a file that is edited by a link that leads nowhere."""
    (directory / "p").mkdir()
    (directory / "p" / "__init__.py").write_text(GOOD.format("C"))
    for name in (".#r.py", "_gone.py", "gone.py", "p/.#__init__.py", "p/gone.py"):
        (directory / name).symlink_to("somebody@somewhere.1")
    for name in ("test_p.py", "conftest.py"):
        (directory / name).write_text("raise RuntimeError('it is for pytest')")
    registry = find_receivers([directory])
    assert list(registry.receivers) == ["p.C"] and not registry.broken


# Files that others can write to.


def place_in(directory: Path, what: str) -> Path:
    """Make a receivers directory with a module, a package and a helper, and return one of its files or folders."""
    (directory / "r.py").write_text(GOOD.format("C"))
    (directory / "_shared.py").write_text("")
    (directory / "p").mkdir()
    (directory / "p" / "__init__.py").write_text(GOOD.format("C"))
    (directory / "p" / "sub").mkdir()
    (directory / "p" / "sub" / "part.py").write_text("")
    (directory / "p" / "data.json").write_text("{}")
    return directory / what


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("", []),
        ("r.py", ["p.C"]),
        ("p", ["r.C"]),
        ("p/__init__.py", ["r.C"]),
        ("p/sub", ["r.C"]),
        ("p/sub/part.py", ["r.C"]),
        ("p/data.json", ["r.C"]),
        ("_shared.py", ["p.C", "r.C"]),
    ],
)
def test_what_everybody_can_write_to_is_not_run(directory: Path, what: str, found: list[str]) -> None:
    place = place_in(directory, what)
    place.chmod(place.stat().st_mode | 0o002)
    mode = f"{place.stat().st_mode & 0o7777:04o}"
    registry = find_receivers([directory])
    assert sorted(registry.receivers) == found
    (broken,) = registry.broken
    assert str(place) in broken.error and f"mode {mode}" in broken.error
    assert broken.error.endswith(f"Try: chmod o-w {place}")
    place.chmod(place.stat().st_mode & ~0o002)
    assert sorted(find_again(registry).receivers) == ["p.C", "r.C"]


def compiled_helper(directory: Path, where: Path) -> Path:
    """A receiver that imports ``_lib.evil``, and that module, compiled, in the folder ``where``."""
    (directory / "_lib").mkdir()
    (directory / "_lib" / "__init__.py").write_text("")
    (directory / "r.py").write_text("from ._lib.evil import word\n" + WORD.format("").replace("''", "word"))
    source = directory.parent / "evil.py"
    source.write_text("word = 'compiled'\n")
    where.mkdir(exist_ok=True)
    py_compile.compile(str(source), str(where / "evil.pyc"), doraise=True)
    return where / "evil.pyc"


def test_a_compiled_helper_that_everybody_can_write_to_is_not_run(directory: Path) -> None:
    helper = compiled_helper(directory, directory / "_lib")
    assert word(find_receivers([directory])) == "compiled"
    helper.chmod(0o666)
    registry = find_receivers([directory])
    assert registry.receivers == {}
    assert any(broken.error.endswith(f"Try: chmod o-w {helper}") for broken in registry.broken)


def test_a_folder_of_helpers_does_not_lead_to_files_that_were_not_checked(directory: Path, tmp_path: Path) -> None:
    """Links to folders are not followed when the helpers are read, so nothing is imported through them."""
    helper = compiled_helper(directory, tmp_path / "elsewhere")
    (directory / "_lib" / "sub").symlink_to(helper.parent)
    (directory / "r.py").write_text((directory / "r.py").read_text().replace("_lib.evil", "_lib.sub.evil"))
    (broken,) = find_receivers([directory]).broken
    assert "No module named" in broken.error and "_lib.sub" in broken.error


@contextlib.contextmanager
def ordinary_user() -> Generator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@as_root
@pytest.mark.parametrize(
    ("what", "broken", "found", "fix"),
    [
        ("", "", [], "chmod a+rx {}"),
        ("r.py", "r.py", ["p.C"], "chmod a+r {}"),
        ("p", "p/__init__.py", ["r.C"], "chmod a+x {}"),
        ("p/__init__.py", "p/__init__.py", ["r.C"], "chmod a+r {}"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_fix(what: str, broken: str, found: list[str], fix: str) -> None:
    """By the service's user, when root copied it with a strict umask."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        (directory := Path(parent, "receivers")).mkdir()
        place = place_in(directory, what)
        place.chmod(0o600 if place.is_file() else 0o700)
        with ordinary_user():
            registry = find_receivers([directory])
        assert sorted(registry.receivers) == found
        (module,) = registry.broken
        assert str(directory / broken) in module.error and "nobody" in module.error
        assert module.error.endswith(f". Try: {fix.format(place)}")


@as_root
@pytest.mark.parametrize(("what", "found"), [("", []), ("r.py", ["p.C"]), ("p", ["r.C"])])
def test_what_another_group_can_write_to_is_not_run(directory: Path, what: str, found: list[str]) -> None:
    place = place_in(directory, what)
    place.chmod(place.stat().st_mode | 0o020)
    assert sorted(find_receivers([directory]).receivers) == ["p.C", "r.C"]  # the group is root's
    os.chown(place, 0, NOBODY)
    registry = find_receivers([directory])
    assert sorted(registry.receivers) == found
    assert f"chmod g-w {place}" in registry.broken[0].error


@as_root
def test_what_belongs_to_somebody_else_is_not_run(directory: Path) -> None:
    """For example after root unpacks an archive: the file belongs to a foreign user id."""
    place = place_in(directory, "r.py")
    os.chown(place, NOBODY, 0)
    registry = find_receivers([directory])
    assert list(registry.receivers) == ["p.C"] and f"chown root {place}" in registry.broken[0].error
    os.chown(directory, NOBODY, 0)  # who named the directory trusts its owner
    assert sorted(find_receivers([directory]).receivers) == ["p.C", "r.C"]


@as_root
def test_a_directory_of_somebody_elses_is_not_run_when_it_is_looked_at_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path was not given as absolute, even if the daemon makes it absolute."""
    place_in(directory, "r.py")
    os.chown(directory, NOBODY, NOBODY)
    monkeypatch.chdir(directory.parent)
    registry = find_receivers([Path(directory.name)])
    assert not registry.receivers
    assert not find_again(registry).receivers


def test_where_another_could_be_put_in_its_place_nothing_is_run(directory: Path, tmp_path: Path) -> None:
    """In a directory that is open to all, which holds it, or a link to it; but where that is sticky, it cannot be."""
    elsewhere = tmp_path / "open" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "r.py").write_text(WORD.format("linked"))
    (directory / "r.py").symlink_to(elsewhere / "r.py")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "receivers").symlink_to(directory)
    ways = [directory, elsewhere, tmp_path / "links" / "receivers"]
    assert [word(find_receivers([way])) for way in ways] == ["linked"] * 3
    (tmp_path / "open").chmod(0o777)
    for way in ways:
        registry = find_receivers([way])
        assert not registry.receivers and f"o-w {tmp_path / 'open'}" in registry.broken[0].error
    (tmp_path / "open").chmod(0o1777)
    assert [word(find_receivers([way])) for way in ways] == ["linked"] * 3
    (tmp_path / "links").chmod(0o777)
    assert not find_receivers([ways[2]]).receivers and find_receivers([directory]).receivers


def test_receivers_that_run_stay_when_their_directory_is_opened_to_all(directory: Path) -> None:
    """The code in memory is trusted; the files on disk no longer are."""
    (directory / "r.py").write_text(WORD.format("old"))
    first = find_receivers([directory])
    directory.chmod(0o777)
    (directory / "r.py").write_text(WORD.format("evil"))
    registry = find_again(first)
    assert registry.broken and registry.receivers["r.C"] is first.receivers["r.C"]
    directory.chmod(0o755)
    assert word(find_again(registry)) == "evil"  # now it counts as ours


# Installed packages.


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, str]], Path]:
    """Installs a package of these files with these entry points."""

    def install(points: str, files: dict[str, str]) -> Path:
        site = tmp_path / "site"
        metadata = site / "inventory_hooks-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inventory-hooks\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[jobhooks.receivers]\n{points}")
        for name, text in files.items():
            (site / name).parent.mkdir(exist_ok=True)
            (site / name).write_text(text)
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        for name in [name for name in sys.modules if name.partition(".")[0].startswith("inventory_hooks")]:
            del sys.modules[name]
        return site

    return install


def test_a_package_may_define_its_receivers_where_it_likes(install: Callable[[str, dict[str, str]], Path]) -> None:
    """A job is called as the entry point says: to move a class inside of the package makes no other job of it."""
    install(
        "all = inventory_hooks\none = inventory_hooks.parts:C\ndeep = inventory_hooks.parts:Outer.D\n",
        {
            "inventory_hooks/__init__.py": "from jobhooks import JobHookReceiver\nfrom .parts import C\n",
            "inventory_hooks/parts.py": GOOD.format("C")
            + "class Outer:\n    class D(JobHookReceiver):\n        pass\n",
        },
    )
    registry = find_receivers([])
    assert not registry.broken
    names = ["inventory_hooks.C", "inventory_hooks.parts.C", "inventory_hooks.parts.Outer.D"]
    assert sorted(registry.receivers) == names
    again = find_again(registry)
    assert all(again.receivers[name] is registry.receivers[name] for name in names)
    for name in names:
        origin = registry.receivers[name].origin
        assert origin is not None and load_again(name, origin).receiver is registry.receivers[name].receiver


def test_a_broken_entry_point_is_told_by_file_and_line(install: Callable[[str, dict[str, str]], Path]) -> None:
    site = install(
        "a = inventory_hooks.good\nb = inventory_hooks.bad:C\nc = inventory_hooks.syntax\nd = inventory_hooks.none\n"
        "e = inventory_hooks.good:GOOD\nf = inventory_hooks_gone\n",
        {
            "inventory_hooks/__init__.py": "",
            "inventory_hooks/good.py": GOOD.format("C") + "GOOD = 5\n",
            "inventory_hooks/bad.py": "import os\nos.no_such_thing()\n",
            "inventory_hooks/syntax.py": "x = 1\nclass (\n",
            "inventory_hooks/none.py": "",
        },
    )
    registry = find_receivers([])
    assert list(registry.receivers) == ["inventory_hooks.good.C"]
    told = {broken.module: str(broken) for broken in registry.broken}
    assert told["inventory_hooks.bad"].startswith(f"{site}/inventory_hooks/bad.py:2: AttributeError: ")
    assert told["inventory_hooks.syntax"].startswith(f"{site}/inventory_hooks/syntax.py:2: SyntaxError: ")
    assert told["inventory_hooks.none"].endswith(": inventory_hooks.none")
    assert told["inventory_hooks.good"].endswith(": inventory_hooks.good:GOOD")
    assert told["inventory_hooks_gone"].startswith("inventory-hooks: ModuleNotFoundError: ")
    assert "bad.py:2" in registry.why_missing("inventory_hooks.bad.C")


def test_a_packages_version_is_that_of_the_import(install: Callable[[str, dict[str, str]], Path]) -> None:
    """By its module's file and its own version. A package that is upgraded later is not the code that was imported."""
    files = {"inventory_hooks.py": GOOD.format("C")}
    site = install("all = inventory_hooks", files)
    registry = find_receivers([])
    found = registry.receivers["inventory_hooks.C"]
    assert found.package == "inventory-hooks 1.0" and found.origin is not None
    assert load_again(found.class_path, found.origin).version == found.version is not None
    metadata = site / "inventory_hooks-1.0.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inventory-hooks\nVersion: 1.1\n")
    upgraded = load_again(found.class_path, found.origin)
    assert upgraded.package == "inventory-hooks 1.1" and upgraded.version != found.version
    (site / "inventory_hooks.py").write_text(GOOD.format("C") + "\n")
    assert load_again(found.class_path, found.origin).version not in (found.version, upgraded.version)
    assert find_again(registry).receivers["inventory_hooks.C"].version == found.version

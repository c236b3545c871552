"""Finding receivers: the classes in the modules of the receivers directories, and of installed packages."""

import contextlib
import importlib
import importlib.util
import inspect
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeGuard, cast

from jobhooks.contract.meta import ReceiverMeta, is_async, read_meta, takes_batches, wanted_arguments
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.engine.calling import steps_of
from jobhooks.errors import InvalidReceiver

# Modules are imported below a name of our own, so that a receiver module called json.py hides no other.
PACKAGE = "jobhooks_receivers"
ENTRY_POINTS = "jobhooks.receivers"

_generations = count(2)  # of modules that are imported again


@dataclass(frozen=True)
class FoundReceiver:
    """A receiver class and where it came from. ``class_path`` is module.Class."""

    class_path: str
    receiver: type[JobHookReceiver[Any]]
    meta: ReceiverMeta
    path: Path

    @cached_property
    def is_async(self) -> bool:
        """Whether it is an ``async def`` one."""
        return is_async(self.receiver)

    @cached_property
    def takes_batches(self) -> bool:
        """Whether it takes many changes in one call."""
        return takes_batches(self.receiver)

    @cached_property
    def steps(self) -> frozenset[str]:
        """What it does before and after its work."""
        return steps_of(self.receiver)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The arguments that it takes."""
        return wanted_arguments(self.receiver)


@dataclass(frozen=True)
class BrokenModule:
    """A module that could not be imported, or a class in it that is no valid receiver."""

    module: str
    path: Path
    line: int | None
    error: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.error}"


# What tells a module's files from what they were: path, time of the last change, size.
Print = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Findings:
    """What the receivers directories hold. ``directories`` are those that were looked in.

    ``prints``: of each module, what its files were when it was imported. ``watched``: the directories that were asked
    for, whether they are there or not.
    """

    directories: tuple[Path, ...]
    receivers: dict[str, FoundReceiver] = field(default_factory=dict[str, FoundReceiver])
    broken: list[BrokenModule] = field(default_factory=list[BrokenModule])
    prints: dict[str, Print] = field(default_factory=dict[str, Print])
    watched: tuple[Path, ...] = ()
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def take(self, newer: "Findings") -> None:
        """Become what was found later; what runs goes on with what it has, and whoever listens is told."""
        self.receivers.clear()
        self.receivers.update(newer.receivers)
        self.prints.clear()
        self.prints.update(newer.prints)
        self.broken[:] = newer.broken
        for listener in self.listeners:
            listener()

    def of_module(self, module: str) -> dict[str, FoundReceiver]:
        """Return the receivers of a module."""
        return {path: found for path, found in self.receivers.items() if path.rpartition(".")[0] == module}

    def why_missing(self, class_path: str) -> str:
        """Return, in one line, why ``class_path`` is not among the receivers."""
        module, _, class_name = class_path.rpartition(".")
        for broken in self.broken:
            if broken.module == module:
                return f"the module of {class_path} does not import: {broken}"
        if any(found.class_path.startswith(f"{module}.") for found in self.receivers.values()):
            return f"there is no receiver {class_path}: its module has no receiver {class_name}"
        places = ", ".join(map(str, self.directories)) or "no directory that exists"
        return f"there is no receiver {class_path}: no module {module} with a receiver in {places}"


def find_receivers(directories: Iterable[Path], former: Findings | None = None) -> Findings:
    """Import every module of ``directories`` and return their receivers; of two modules of a name the first counts.

    A module is a file ``name.py`` or a folder with an ``__init__.py``; names that begin with ``_`` are left out, as are
    directories that do not exist. Then come the entry points ``jobhooks.receivers`` of installed packages. A module
    that does not import is reported and stops nothing else.

    ``former``: modules that are what they were are not imported again; one that does not import any more is reported,
    and its receivers stay what they were.
    """
    asked_for = tuple(directories)
    wanted = [directory for directory in asked_for if _is_directory(directory)]
    findings = Findings((), watched=tuple(path.absolute() for path in asked_for))
    trusted: list[Path] = []
    for directory in wanted:
        reason = _why_not_trusted(directory)
        if reason is None:
            trusted.append(directory.resolve())
        else:
            findings.broken.append(BrokenModule("*", directory.resolve(), None, reason))
    findings = replace(findings, directories=tuple(dict.fromkeys(trusted)))
    seen: set[str] = set()
    for directory in findings.directories:
        for name, path in _modules(findings, directory):
            if name not in seen:
                seen.add(name)
                _find(findings, name, path, former)
    _load_entry_points(findings)
    return findings


def _find(findings: Findings, name: str, path: Path, former: Findings | None) -> None:
    print_ = _print(path)
    findings.prints[name] = print_
    if former is not None and former.prints.get(name) == print_ and former.of_module(name):
        findings.receivers.update(former.of_module(name))
        findings.broken.extend(broken for broken in former.broken if broken.module == name)
        return
    unsafe = next((reason for file in _files(path) if (reason := why_unsafe(file))), None)
    if unsafe is not None:
        findings.broken.append(BrokenModule(name, path, None, unsafe))
    elif not _load(findings, name, path, again=former is not None) and former is not None:
        findings.receivers.update(former.of_module(name))


def _files(path: Path) -> list[Path]:
    """Return the files of a module, and what they are in."""
    if path.name != "__init__.py":
        return [path]
    return [path.parent, *sorted(path.parent.rglob("*.py"))]


def _print(path: Path) -> Print:
    # With files beside it that are no modules of their own, which it may read or import.
    files = [*_files(path), *sorted(path.parent.glob("_*.py"))]
    found: list[tuple[str, int, int]] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = file.stat()
            found.append((str(file), 0 if file.is_dir() else status.st_mtime_ns, status.st_size))
    return tuple(found)


def why_unsafe(path: Path) -> str | None:
    """Return why a file, or a directory, is not to be run from: others may write to it, and would be us."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IWOTH:
        return f"{path} can be written to by everybody (mode {mode:04o}), so nothing of it is run: chmod o-w {path}"
    if mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid()):
        return f"{path} can be written to by a group (mode {mode:04o}), so nothing of it is run: chmod g-w {path}"
    return None


def _why_not_trusted(directory: Path) -> str | None:
    if not _is_trusted(directory):
        return "it belongs to another user, so nothing of it is run; to trust it, name it by its absolute path"
    return why_unsafe(directory)


def _load_entry_points(findings: Findings) -> None:
    for point in entry_points(group=ENTRY_POINTS):
        place = Path(point.dist.name if point.dist is not None else point.name)
        try:
            loaded: object = point.load()
            module = loaded if isinstance(loaded, ModuleType) else sys.modules[point.module]
            classes = vars(module) if loaded is module else {point.attr: loaded}
            receivers = {key: value for key, value in classes.items() if _is_receiver(value, module)}
            if not receivers:
                raise InvalidReceiver(f"the entry point {point.name} leads to no receiver: {point.value}")
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - a package may raise anything, and it is reported
            findings.broken.append(BrokenModule(point.value, place, None, _reason(exc)))
            continue
        _describe(findings, module.__name__, Path(module.__file__ or place), receivers)


def _is_directory(path: Path) -> bool:
    with contextlib.suppress(OSError):  # below a directory that is closed to us
        return path.is_dir()
    return False


def _is_trusted(path: Path) -> bool:
    """Return whether what is in a directory may be run: not where we merely stand in a directory of someone else's."""
    return path.is_absolute() or path.stat().st_uid in (0, os.geteuid())


def _modules(findings: Findings, directory: Path) -> list[tuple[str, Path]]:
    try:
        entries = sorted(directory.iterdir())
    except OSError as exc:
        findings.broken.append(BrokenModule("*", directory, None, _reason(exc)))
        return []
    modules: list[tuple[str, Path]] = []
    for entry in entries:
        path = entry / "__init__.py" if entry.is_dir() else entry
        try:
            if path.suffix != ".py" or entry.name.startswith(("_", ".")) or not path.is_file():
                continue
        except OSError as exc:  # a folder that is closed to us
            findings.broken.append(BrokenModule(entry.stem, path, None, _reason(exc)))
            continue
        if entry.stem.isidentifier():
            modules.append((entry.stem, path))
        else:
            findings.broken.append(BrokenModule(entry.stem, path, None, "its name is no name of a Python module"))
    return modules


def _load(findings: Findings, name: str, path: Path, *, again: bool) -> bool:
    """Import a module; return whether it could be. ``again``: beside what it was, which may still run."""
    try:
        module = _import(name, path, again=again)
        receivers = {key: value for key, value in vars(module).items() if _is_receiver(value, module)}
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - a module may raise anything, and it is reported
        findings.broken.append(BrokenModule(name, path, _line(exc, path), _reason(exc)))
        return False
    _describe(findings, name, path, receivers)
    return True


def _describe(findings: Findings, name: str, path: Path, receivers: Mapping[str, type[JobHookReceiver[Any]]]) -> None:
    for class_name, receiver in sorted(receivers.items()):
        try:
            meta = read_meta(receiver)
        except Exception as exc:  # noqa: BLE001 - a Meta may be made of anything, and it is reported
            reason = str(exc) if isinstance(exc, InvalidReceiver) else f"{class_name} cannot be read: {_reason(exc)}"
            findings.broken.append(BrokenModule(name, path, _definition_line(receiver), reason))
            continue
        class_path = f"{name}.{class_name}"
        findings.receivers.setdefault(class_path, FoundReceiver(class_path, receiver, meta, path))


def _is_receiver(candidate: object, module: ModuleType) -> TypeGuard[type[JobHookReceiver[Any]]]:
    """Return whether this is a receiver class of the module's own, and not imported there, perhaps as a base class."""
    # type() and not isinstance(), which asks the object: a lazy one may do anything then.
    return issubclass(type(candidate), type) and _is_own_receiver(cast("type[object]", candidate), module)


def _is_own_receiver(candidate: type[object], module: ModuleType) -> bool:
    return issubclass(candidate, JobHookReceiver) and candidate.__module__ == module.__name__


def _definition_line(receiver: type[object]) -> int | None:
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsourcelines(receiver)[1]
    return None


class _Loader(SourceFileLoader):
    """Compiles what is in the file: a cached compilation is known by the second only, and may be that of before."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the module."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import(name: str, path: Path, *, again: bool) -> ModuleType:
    full_name = f"{PACKAGE}_{next(_generations)}.{name}" if again else f"{PACKAGE}.{name}"
    importlib.invalidate_caches()
    folders = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        full_name, path, loader=_Loader(full_name, str(path)), submodule_search_locations=folders
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look a class's module up there
    spec.loader.exec_module(module)
    return module


def _line(exc: BaseException, path: Path) -> int | None:
    """Return the line of ``path`` at which importing it failed."""
    if isinstance(exc, SyntaxError) and exc.filename == str(path):
        return exc.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _reason(exc: BaseException) -> str:
    text = exc.msg if isinstance(exc, SyntaxError) else " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}"

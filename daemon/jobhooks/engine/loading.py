"""Finding receivers: the classes in the modules of the receivers directories."""

import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, cast

from jobhooks.contract.meta import ReceiverMeta, is_async, read_meta, takes_batches, wanted_arguments
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.engine.calling import LAST_STEPS, steps_of
from jobhooks.errors import InvalidReceiver

# Modules are imported below a name of our own, so that a receiver module called json.py hides no other.
PACKAGE = "jobhooks_receivers"


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
    def has_last_steps(self) -> bool:
        """Whether it is told when a run has ended. Each has a transaction of its own then: nobody waits for that."""
        return bool(self.steps & LAST_STEPS)

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


@dataclass(frozen=True)
class Findings:
    """What the receivers directories hold. ``directories`` are those that were looked in."""

    directories: tuple[Path, ...]
    receivers: dict[str, FoundReceiver] = field(default_factory=dict[str, FoundReceiver])
    broken: list[BrokenModule] = field(default_factory=list[BrokenModule])

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


def find_receivers(directories: Iterable[Path]) -> Findings:
    """Import every module of ``directories`` and return their receivers; of two modules of a name the first counts.

    A module is a file ``name.py`` or a folder with an ``__init__.py``; names that begin with ``_`` are left out, as are
    directories that do not exist. A module that does not import is reported and stops nothing else.
    """
    wanted = [directory for directory in directories if _is_directory(directory)]
    foreign = [directory for directory in wanted if not _is_trusted(directory)]
    findings = Findings(tuple(dict.fromkeys(path.resolve() for path in wanted if path not in foreign)))
    for directory in foreign:
        reason = "it belongs to another user, so nothing of it is run; to trust it, name it by its absolute path"
        findings.broken.append(BrokenModule("*", directory.resolve(), None, reason))
    seen: set[str] = set()
    for directory in findings.directories:
        for name, path in _modules(findings, directory):
            if name not in seen:
                seen.add(name)
                _load(findings, name, path)
    return findings


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


def _load(findings: Findings, name: str, path: Path) -> None:
    try:
        module = _import(name, path)
        receivers = {key: value for key, value in vars(module).items() if _is_receiver(value, module)}
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - a module may raise anything, and it is reported
        findings.broken.append(BrokenModule(name, path, _line(exc, path), _reason(exc)))
        return
    for class_name, receiver in sorted(receivers.items()):
        try:
            meta = read_meta(receiver)
        except Exception as exc:  # noqa: BLE001 - a Meta may be made of anything, and it is reported
            reason = str(exc) if isinstance(exc, InvalidReceiver) else f"{class_name} cannot be read: {_reason(exc)}"
            findings.broken.append(BrokenModule(name, path, _definition_line(receiver), reason))
            continue
        class_path = f"{name}.{class_name}"
        findings.receivers[class_path] = FoundReceiver(class_path, receiver, meta, path)


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


def _import(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{PACKAGE}.{name}", path)
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

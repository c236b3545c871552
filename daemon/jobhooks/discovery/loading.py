"""Finding receivers: the classes in the modules of the receivers directories, and of installed packages."""

import contextlib
import importlib
import inspect
import operator
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeGuard, cast

from jobhooks.contract.meta import (
    LAST_STEPS,
    ReceiverMeta,
    is_async,
    read_meta,
    steps_of,
    takes_batches,
    wanted_arguments,
)
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.sources import INIT, Installed, Source, read_helpers, read_source
from jobhooks.discovery.trust import check_directory, owners_of, unreadable
from jobhooks.errors import InvalidReceiver, Untrusted

ENTRY_POINTS = "jobhooks.receivers"
TESTS = ("test_", "conftest")  # how the names of modules begin that are for pytest


@dataclass(frozen=True)
class FoundReceiver:
    """A receiver class and its origin. ``class_path`` is module.Class.

    ``origin``: the source it was imported from, and can be imported from again. Receivers of one origin have one
    version of the code.
    """

    class_path: str
    receiver: type[JobHookReceiver[Any]]
    meta: ReceiverMeta
    path: Path
    origin: Source | Installed | None = None

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
        """The receiver's steps before and after its work."""
        return steps_of(self.receiver)

    @cached_property
    def has_last_steps(self) -> bool:
        """Whether it has steps after the end of a run. Such runs share no transaction, so no other run waits."""
        return bool(self.steps & LAST_STEPS)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The arguments that it takes."""
        return wanted_arguments(self.receiver)

    @property
    def line(self) -> int | None:
        """The line of the class, or None if it has no source."""
        return _definition_line(self.receiver)


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


class Place(NamedTuple):
    """A directory to search. ``named``: by its absolute path, so it is trusted regardless of its owner."""

    path: Path
    named: bool


@dataclass
class ReceiverRegistry:
    """The receivers in the receivers directories and in installed packages.

    ``directories`` are those that were searched, ``places`` those that were asked for. ``sources``: by module name, its
    source at the last import. ``invalid``: its classes that are not valid receivers. ``listeners`` are called when the
    registry changes.
    """

    directories: tuple[Path, ...]
    receivers: dict[str, FoundReceiver] = field(default_factory=dict[str, FoundReceiver])
    broken: list[BrokenModule] = field(default_factory=list[BrokenModule])
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    invalid: dict[str, list[BrokenModule]] = field(default_factory=dict[str, list[BrokenModule]])
    places: tuple[Place, ...] = ()
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def take(self, newer: "ReceiverRegistry") -> None:
        """Take over the content of a newer registry, and call the listeners if the receivers differ."""
        are_others = self.receivers != newer.receivers
        self.directories, self.receivers, self.broken = newer.directories, newer.receivers, newer.broken
        self.sources, self.invalid = newer.sources, newer.invalid
        for listener in self.listeners if are_others else ():
            listener()

    def has(self, class_path: str) -> bool:
        """Return whether there is a receiver of a class path."""
        return class_path in self.receivers

    def of_file(self, path: Path) -> dict[str, FoundReceiver]:
        """Return the receivers of a module, or of all modules in a directory."""
        return {
            class_path: found
            for class_path, found in self.receivers.items()
            if isinstance(found.origin, Source) and path in (found.path, found.origin.directory)
        }

    def why_missing(self, class_path: str) -> str:
        """Return, in one line, why ``class_path`` is not among the receivers."""
        module, _, class_name = class_path.rpartition(".")
        if not module:
            return f"a job is called module.Class, such as {class_path}.{class_path.title().replace('_', '')}"
        for broken in self.broken:
            if broken.module == module:
                return f"the module of {class_path} does not import: {broken}"
        if any(found.class_path.startswith(f"{module}.") for found in self.receivers.values()):
            return f"there is no receiver {class_path}: its module has no receiver {class_name}"
        places = ", ".join(map(str, self.directories)) or "no directory that exists"
        return f"there is no receiver {class_path}: no module {module} with a receiver in {places}"


def find_receivers(directories: Iterable[Path], former: ReceiverRegistry | None = None) -> ReceiverRegistry:
    """Import every module of ``directories`` and return their receivers; of two modules of a name the first counts.

    A module is a file ``name.py`` or a folder with an ``__init__.py``; names that begin with ``_`` are left out, as are
    tests (``test_name.py``, ``conftest.py``) and directories that do not exist. Then come the entry points
    ``jobhooks.receivers`` of installed packages. A module that does not import is reported and stops nothing else.

    ``former``: see ``find_again``.
    """
    places = tuple(Place(directory.absolute(), directory.is_absolute()) for directory in directories)
    return _find_in(places, former or ReceiverRegistry(()))


def find_again(former: ReceiverRegistry) -> ReceiverRegistry:
    """Search again. Modules without changes are not imported again.

    If a module has become broken, the problem is reported and its receivers stay as they were.
    """
    return _find_in(former.places, former)


def _find_in(places: tuple[Place, ...], former: ReceiverRegistry) -> ReceiverRegistry:
    registry = ReceiverRegistry((), places=places)
    seen: set[str] = set()
    for place in places:
        if not _is_directory(place.path):
            continue
        directory = place.path.resolve()
        if directory in registry.directories:
            continue
        try:
            check_directory(place.path, directory, by_absolute_path=place.named)
            owners = owners_of(place.path, directory)
            helpers = _helpers(registry, directory, owners)
            modules = _modules(registry, directory)
        except (OSError, Untrusted) as exc:
            registry.broken.append(BrokenModule("*", directory, None, _reason(exc, directory)))
            registry.receivers.update(former.of_file(directory))
            continue
        registry.directories += (directory,)
        for name, path in modules:
            if name not in seen:
                seen.add(name)
                _find(registry, former, name, path, helpers, owners)
    _find_entry_points(registry, former)
    return registry


def _is_directory(path: Path) -> bool:
    with contextlib.suppress(OSError):  # below a directory that is closed to us
        return path.is_dir()
    return False


def _helpers(registry: ReceiverRegistry, directory: Path, owners: frozenset[int] | None) -> dict[Path, bytes]:
    helpers, refused = read_helpers(directory, owners)
    for path, exc in refused.items():
        registry.broken.append(BrokenModule(path.stem, path, None, _reason(exc, path)))
    return helpers


def _modules(registry: ReceiverRegistry, directory: Path) -> list[tuple[str, Path]]:
    modules: list[tuple[str, Path]] = []
    for entry in sorted(directory.iterdir()):
        path = entry / INIT if entry.is_dir() else entry
        try:
            if path.suffix != ".py" or entry.name.startswith(("_", ".", *TESTS)) or not path.is_file():
                continue
        except OSError as exc:  # a folder that is closed to us
            registry.broken.append(BrokenModule(entry.stem, path, None, _reason(exc, entry)))
            continue
        if entry.stem.isidentifier():
            modules.append((entry.stem, path))
        else:
            registry.broken.append(BrokenModule(entry.stem, path, None, "its name is no name of a Python module"))
    return modules


def _find(
    registry: ReceiverRegistry,
    former: ReceiverRegistry,
    name: str,
    path: Path,
    helpers: dict[Path, bytes],
    owners: frozenset[int] | None,
) -> None:
    """Import a module if it has changed. If that fails, it stays as it was."""
    known = former.sources.get(name)
    before = former.of_file(path)
    try:
        source = read_source(name, path, helpers, owners)
        if known is not None and known.is_like(source):
            _stay(registry, former, name, path)
            registry.broken += registry.invalid[name]
            return
        if before and not source.files[path].strip():
            raise InvalidReceiver("it is empty, as a file is that is being written")
        module = source.load()
        receivers = {key: value for key, value in vars(module).items() if _is_receiver(value, module.__name__)}
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - a module may raise anything, and it is reported
        registry.broken.append(BrokenModule(name, path, _line(exc, path), _reason(exc, path.parent)))
        _stay(registry, former, name, path)
        return
    registry.sources[name] = source
    registry.invalid[name] = _describe(registry, name, path, receivers, source, before)
    registry.broken += registry.invalid[name]


def _stay(registry: ReceiverRegistry, former: ReceiverRegistry, name: str, path: Path) -> None:
    """Keep a module as it was."""
    registry.receivers.update(former.of_file(path))
    if name in former.sources and former.sources[name].path == path:
        registry.sources[name] = former.sources[name]
        registry.invalid[name] = former.invalid[name]


def _describe(
    registry: ReceiverRegistry,
    module: str,
    path: Path,
    receivers: Mapping[str, type[JobHookReceiver[Any]]],
    origin: Source | Installed,
    before: Mapping[str, FoundReceiver],
) -> list[BrokenModule]:
    """Collect the receivers of a module. Invalid ones are returned, and stay as they were ``before``."""
    invalid: list[BrokenModule] = []
    for name, receiver in sorted(receivers.items()):
        class_path = f"{module}.{name}"
        try:
            found = FoundReceiver(class_path, receiver, read_meta(receiver), path, origin)
        except Exception as exc:  # noqa: BLE001 - a Meta may be made of anything, and it is reported
            reason = str(exc) if isinstance(exc, InvalidReceiver) else f"{name} cannot be read: {_reason(exc)}"
            invalid.append(BrokenModule(module, path, _definition_line(receiver), reason))
            if class_path not in before:
                continue
            found = before[class_path]
        registry.receivers.setdefault(class_path, found)
    return invalid


def _find_entry_points(registry: ReceiverRegistry, former: ReceiverRegistry) -> None:
    for point in sorted(set(entry_points(group=ENTRY_POINTS)), key=lambda point: (point.value, point.name)):
        try:
            receivers = _receivers_of(point)
            path = Path(inspect.getfile(inspect.getmodule(next(iter(receivers.values()))) or object))
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # noqa: BLE001 - a package may raise anything, and it is reported
            path, line = _place(exc, point)
            registry.broken.append(BrokenModule(point.module, path, line, _reason(exc)))
            continue
        known = {
            name: found
            for name, receiver in receivers.items()
            if (found := former.receivers.get(f"{point.module}.{name}")) is not None and found.receiver is receiver
        }
        for found in known.values():
            registry.receivers.setdefault(found.class_path, found)
        new = {name: receiver for name, receiver in receivers.items() if name not in known}
        registry.broken += _describe(registry, point.module, path, new, Installed(point.module), {})


def _receivers_of(point: EntryPoint) -> dict[str, type[JobHookReceiver[Any]]]:
    """Find the receivers of an entry point, by their names in its module.

    An entry point names a class, defined anywhere; or a module, which brings the classes defined in it or below it, but
    not those it imports from elsewhere, for example as base classes.

    Raises:
        InvalidReceiver: it names no receiver. And any exception of the module.
    """
    loaded: object = point.load()
    if isinstance(loaded, ModuleType):
        receivers = {name: value for name, value in vars(loaded).items() if _is_receiver(value, loaded.__name__)}
    else:
        receivers = {point.attr: loaded} if _is_receiver(loaded, "") else {}
    if not receivers:
        raise InvalidReceiver(f"the entry point {point.name} leads to no receiver: {point.value}")
    return receivers


def load_again(class_path: str, origin: Source | Installed) -> FoundReceiver:
    """Import a receiver again, in a process other than the one that found it.

    Raises:
        InvalidReceiver: it does not import here.
    """
    try:
        module = origin.load()
        receiver: type[JobHookReceiver[Any]] = operator.attrgetter(class_path.removeprefix(f"{origin.name}."))(module)
        return FoundReceiver(class_path, receiver, read_meta(receiver), Path(module.__file__ or ""), origin)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise InvalidReceiver(f"{class_path} cannot be imported in a worker process: {_reason(exc)}") from exc


def _is_receiver(candidate: object, module: str) -> TypeGuard[type[JobHookReceiver[Any]]]:
    """Check for a receiver class that is defined in a module or below it; without a name, in any module.

    Other classes are only imported there, possibly as base classes.
    """
    # type() and not isinstance(), which asks the object: a lazy one may do anything then.
    return issubclass(type(candidate), type) and _is_own_receiver(cast("type[object]", candidate), module)


def _is_own_receiver(candidate: type[object], module: str) -> bool:
    if not issubclass(candidate, JobHookReceiver) or candidate is JobHookReceiver:
        return False
    return not module or f"{candidate.__module__}.".startswith(f"{module}.")


def _definition_line(receiver: type[object]) -> int | None:
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsourcelines(receiver)[1]
    return None


def _line(exc: BaseException, path: Path) -> int | None:
    """Find the line of ``path`` at which its import failed."""
    if isinstance(exc, SyntaxError) and exc.filename == str(path):
        return exc.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _place(exc: BaseException, point: EntryPoint) -> tuple[Path, int | None]:
    """Find the file and line at which an entry point failed to load; the package's name if none of its code ran."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return Path(exc.filename), exc.lineno
    ours_and_pythons = (__file__, *(inspect.getfile(each) for each in (EntryPoint, importlib)))
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename not in ours_and_pythons]
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen ")]
    if frames:
        return Path(frames[-1].filename), frames[-1].lineno
    return Path(point.dist.name if point.dist is not None else point.name), None


def _reason(exc: BaseException, place: Path | None = None) -> str:
    """Why something failed; ``place``: holds the files that a fix may be suggested for."""
    if isinstance(exc, Untrusted | InvalidReceiver):
        return str(exc)
    if isinstance(exc, PermissionError) and exc.filename and place and Path(exc.filename).is_relative_to(place):
        return str(unreadable(Path(exc.filename)))
    text = exc.msg if isinstance(exc, SyntaxError) else " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}"

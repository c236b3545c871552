"""Finding receivers: the classes in the modules of the receivers directories, and of installed packages."""

import contextlib
import importlib
import inspect
import operator
import sys
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, cast

from jobhooks.contract.log import clean_text
from jobhooks.contract.meta import ReceiverMeta, read_meta, warnings_of_call
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.advice import advice_for, nautobot_imports
from jobhooks.discovery.registry import BrokenModule, FoundReceiver, Place, ReceiverRegistry, definition_line
from jobhooks.discovery.sources import INIT, Installed, Source, read_helpers, read_source
from jobhooks.discovery.trial import Trial
from jobhooks.discovery.trust import check_directory, owners_of, unreadable
from jobhooks.errors import InvalidReceiver, Untrusted

ENTRY_POINTS = "jobhooks.receivers"
TESTS = ("test_", "conftest")  # how the names of modules begin that are for pytest


def find_receivers(
    directories: Iterable[Path],
    former: ReceiverRegistry | None = None,
    trial: Trial | None = None,
    expected: Collection[Path] = (),
) -> ReceiverRegistry:
    """Import every module of ``directories``, and find their receivers. Of two modules with one name the first counts.

    A module is a file ``name.py``, or a folder with an ``__init__.py``. Names that begin with ``_``, tests
    (``test_name.py``, ``conftest.py``) and missing directories are skipped. The entry points ``jobhooks.receivers`` of
    installed packages come last. A module that does not import is reported, and stops nothing else.

    ``former``: see ``find_again``. ``trial``: imports each module elsewhere first; without one, a module that ends the
    process ends this one. ``expected``: directories that should exist.
    """
    places = tuple(
        Place(directory.absolute(), directory.is_absolute(), directory in expected) for directory in directories
    )
    return _find_in(places, former or ReceiverRegistry(()), trial)


def find_again(former: ReceiverRegistry, trial: Trial | None = None) -> ReceiverRegistry:
    """Search again. Modules without changes are not imported again.

    If a module has become broken, the problem is reported and its receivers stay as they were.
    """
    return _find_in(former.places, former, trial)


def _find_in(places: tuple[Place, ...], former: ReceiverRegistry, trial: Trial | None) -> ReceiverRegistry:
    registry = ReceiverRegistry((), places=places)
    seen: set[str] = set()
    for place in places:
        if not _is_directory(place.path):
            registry.missing += (place.path,) if place.expected else ()
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
                _find(registry, former, name, path, helpers, owners, trial)
    _find_entry_points(registry, former, trial)
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
            registry.broken.append(BrokenModule(entry.stem, path, None, "this is not the name of a Python module"))
    return modules


def _find(
    registry: ReceiverRegistry,
    former: ReceiverRegistry,
    name: str,
    path: Path,
    helpers: dict[Path, bytes],
    owners: frozenset[int] | None,
    trial: Trial | None,
) -> None:
    """Import a module if it has changed. If that fails, it stays as it was."""
    known = former.sources.get(name)
    before = former.of_file(path)
    source: Source | None = None
    try:
        source = read_source(name, path, helpers, owners)
        if known is not None and known.is_like(source):
            _stay(registry, former, name, path)
            registry.broken += registry.invalid[name]
            return
        if before and not source.files[path].strip():
            raise InvalidReceiver("it is empty, as a file is that is being written")
        if trial is not None:
            trial(source)
        module = source.load()
        receivers = {key: value for key, value in vars(module).items() if _is_receiver(value, module.__name__)}
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - a module may raise anything, and it is reported
        registry.broken.append(_broken(name, path, exc, source))
        _stay(registry, former, name, path)
        return
    registry.sources[name] = source
    if not receivers:
        registry.notes[name] = _without_receiver(name, source)
    registry.invalid[name] = _describe(registry, name, path, receivers, source, before)
    registry.broken += registry.invalid[name]


def _broken(name: str, path: Path, exc: BaseException, source: Source | None) -> BrokenModule:
    """Report an import that failed; for one of Nautobot, with its replacement."""
    if isinstance(exc, ModuleNotFoundError) and (exc.name or "").partition(".")[0] == "nautobot" and source is not None:
        found = nautobot_imports(source.files[path])
        if found is not None:
            return BrokenModule(name, path, found.line, found.text)
    return BrokenModule(name, path, _line(exc, path), _reason(exc, path.parent))


def _stay(registry: ReceiverRegistry, former: ReceiverRegistry, name: str, path: Path) -> None:
    """Keep a module as it was."""
    registry.receivers.update(former.of_file(path))
    if name in former.sources and former.sources[name].path == path:
        registry.sources[name] = former.sources[name]
        registry.invalid[name] = former.invalid[name]
        if name in former.notes:
            registry.notes[name] = former.notes[name]


def _without_receiver(name: str, source: Source) -> BrokenModule:
    """Why a module is there that brings no job."""
    found = nautobot_imports(source.files[source.path])
    if found is not None:
        return BrokenModule(name, source.path, found.line, found.text)
    remedy = f"shared code goes into files whose names begin with _, such as _{name}.py"
    return BrokenModule(
        name, source.path, None, f"it has no receiver, a class derived from jobhooks.JobHookReceiver; {remedy}"
    )


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
            meta = _with_advice(receiver, read_meta(receiver), origin)
            found = FoundReceiver(class_path, receiver, meta, path, origin)
        except Exception as exc:  # noqa: BLE001 - a Meta may be made of anything, and it is reported
            reason = str(exc) if isinstance(exc, InvalidReceiver) else f"{name} cannot be read: {_reason(exc)}"
            invalid.append(BrokenModule(module, path, definition_line(receiver), reason))
            if class_path not in before:
                continue
            found = before[class_path]
        registry.receivers.setdefault(class_path, found)
    return invalid


def _with_advice(receiver: type[JobHookReceiver[Any]], meta: ReceiverMeta, origin: Source | Installed) -> ReceiverMeta:
    """Add warnings for faults in a receiver's signatures and text."""
    file = Path(getattr(sys.modules.get(receiver.__module__), "__file__", None) or "")
    text = origin.files.get(file) if isinstance(origin, Source) else None
    found = [] if text is None else advice_for(text, receiver.__name__)
    advice = [f"line {line}: {what}" for line, what in found]
    return replace(meta, warnings=(*warnings_of_call(receiver), *meta.warnings, *advice))


def _find_entry_points(registry: ReceiverRegistry, former: ReceiverRegistry, trial: Trial | None) -> None:
    for point in sorted(set(entry_points(group=ENTRY_POINTS)), key=lambda point: (point.value, point.name)):
        try:
            if trial is not None and point.module not in sys.modules:
                trial(Installed(point.module, _package(point)))
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
        if new:
            origin = Installed(point.module, _package(point)).as_imported()
            registry.broken += _describe(registry, point.module, path, new, origin, {})


def _package(point: EntryPoint) -> str | None:
    return None if point.dist is None else f"{point.dist.name} {point.dist.version}"


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
        if isinstance(origin, Installed):
            origin = origin.as_imported()
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


def _line(exc: BaseException, path: Path) -> int | None:
    """The line of ``path`` that made its import fail."""
    if isinstance(exc, SyntaxError) and exc.filename == str(path):
        return exc.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _place(exc: BaseException, point: EntryPoint) -> tuple[Path, int | None]:
    """The file and line where an entry point failed to load; the package's name if its code never ran."""
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
    text = exc.msg if isinstance(exc, SyntaxError) else " ".join(clean_text(exc).split())
    return f"{type(exc).__name__}: {text}"

"""The registry of receivers: which classes were found, where each comes from, and which modules are broken."""

import contextlib
import inspect
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from jobhooks.contract.hook_data import DataType, data_type_of
from jobhooks.contract.meta import LAST_STEPS, ReceiverMeta, is_async, steps_of, takes_batches, wanted_arguments
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.sources import Installed, Source
from jobhooks.errors import InvalidHookData

KEPT = 1_000  # texts of data that one receiver has checked
VERSION_DIGITS = 12  # hexadecimal


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
    def has_on_dead(self) -> bool:
        """Whether it acts on deliveries that die."""
        return "on_dead" in self.steps

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The arguments that it takes."""
        return wanted_arguments(self.receiver)

    @cached_property
    def data_type(self) -> DataType | None:
        """Its class Data; null if it has no such class."""
        return data_type_of(self.receiver)

    def data_error(self, data_json: str) -> str | None:
        """Why it does not take the data of a hook, as JSON; null: it does."""
        if self.data_type is None:
            return None
        errors = self._data_errors
        if data_json not in errors:
            if len(errors) >= KEPT:
                errors.clear()
            errors[data_json] = self.data_type.error(data_json or "{}")
        return errors[data_json]

    def check_data(self, data_json: str) -> bool:
        """Check the data of a hook, as JSON. Always true.

        Raises:
            InvalidHookData: the class does not take them.
        """
        if (error := self.data_error(data_json)) is not None:
            raise InvalidHookData(error)
        return True

    @cached_property
    def _data_errors(self) -> dict[str, str | None]:
        """The results for the data that were checked, which scheduling asks for again and again."""
        return {}

    @cached_property
    def source_hash(self) -> str | None:
        """Identifies the version of its code; null if that is unknown."""
        return None if self.origin is None else self.origin.hash()

    @property
    def shown_version(self) -> str | None:
        """The version of its code as people see it: the first digits of ``source_hash``."""
        return None if self.source_hash is None else self.source_hash[:VERSION_DIGITS]

    @cached_property
    def version(self) -> int | None:
        """The version of its code as results store it: these digits as a number."""
        return None if self.shown_version is None else int(self.shown_version, 16)

    @property
    def package(self) -> str | None:
        """The installed package, with its version; null for a file."""
        return self.origin.package if isinstance(self.origin, Installed) else None

    @cached_property
    def line(self) -> int | None:
        """The first line of the class; null without source. The file may have changed since."""
        return definition_line(self.receiver)


@dataclass(frozen=True)
class BrokenModule:
    """A module that could not be imported, or a class in it that is not a valid receiver."""

    module: str
    path: Path
    line: int | None
    error: str

    def __str__(self) -> str:
        if self.error.startswith(f"{self.path} "):
            return self.error  # an error about the file itself, such as its mode
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.error}"


class Place(NamedTuple):
    """A directory to search. ``named``: by its absolute path, so it is trusted regardless of its owner.

    ``expected``: someone has named it, so it should exist.
    """

    path: Path
    named: bool
    expected: bool = False


@dataclass
class ReceiverRegistry:
    """The receivers in the receivers directories and in installed packages.

    ``directories`` are those that were searched, ``places`` those that were asked for, and ``missing`` those of them
    that are expected and do not exist. ``sources``: by module name, its source at the last import. ``invalid``: its
    classes that are not valid receivers. ``notes``: by module name, why it has no receiver. ``listeners`` are called
    when the receivers change, ``recorders`` also when broken modules or missing directories do.
    """

    directories: tuple[Path, ...]
    receivers: dict[str, FoundReceiver] = field(default_factory=dict[str, FoundReceiver])
    broken: list[BrokenModule] = field(default_factory=list[BrokenModule])
    sources: dict[str, Source] = field(default_factory=dict[str, Source])
    invalid: dict[str, list[BrokenModule]] = field(default_factory=dict[str, list[BrokenModule]])
    notes: dict[str, BrokenModule] = field(default_factory=dict[str, BrokenModule])
    places: tuple[Place, ...] = ()
    missing: tuple[Path, ...] = ()
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    recorders: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def take(self, newer: "ReceiverRegistry") -> None:
        """Take over the content of a newer registry, and call the listeners if the receivers differ."""
        are_others = self.receivers != newer.receivers
        has_changed = are_others or (self.broken, self.missing) != (newer.broken, newer.missing)
        self.missing = newer.missing
        self.directories, self.receivers, self.broken = newer.directories, newer.receivers, newer.broken
        self.sources, self.invalid, self.notes = newer.sources, newer.invalid, newer.notes
        for listener in self.listeners if are_others else ():
            listener()
        for recorder in self.recorders if has_changed else ():
            recorder()

    def has(self, class_path: str) -> bool:
        """Whether there is a receiver of this class path."""
        return class_path in self.receivers

    def can_run(self, class_path: str, data_json: str) -> bool:
        """Whether there is a receiver of this class path that takes the data of a hook, as JSON."""
        found = self.receivers.get(class_path)
        return found is not None and (found.data_type is None or found.data_error(data_json) is None)

    def of_file(self, path: Path) -> dict[str, FoundReceiver]:
        """The receivers of a module, or of all modules in a directory."""
        return {
            class_path: found
            for class_path, found in self.receivers.items()
            if isinstance(found.origin, Source) and path in (found.path, found.origin.directory)
        }

    def why_missing(self, class_path: str) -> str:
        """Explain in one line why ``class_path`` is not among the receivers."""
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


def definition_line(receiver: type[object]) -> int | None:
    """The first line of a class; null without source."""
    with contextlib.suppress(OSError, TypeError, IndexError, SyntaxError, tokenize.TokenError):  # of a changed file
        return inspect.getsourcelines(receiver)[1]
    return None

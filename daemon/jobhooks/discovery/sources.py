"""The source of a receiver module, and its import: under a new name each time it changes."""

import contextlib
import hashlib
import importlib
import importlib.util
import os
import stat
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType

from jobhooks.discovery.trust import check_status, read_trusted
from jobhooks.errors import Untrusted

# Modules are imported below a package name that we choose, so a receiver module json.py hides no other.
PACKAGE = "jobhooks_receivers"
INIT = "__init__.py"
COMPILED = (*BYTECODE_SUFFIXES, *EXTENSION_SUFFIXES)

# A file that is not Python: only its modification time and size are compared.
Stamp = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Source:
    """The bytes of a module when it was read: its files, and the helpers beside it, whose names begin with ``_``.

    It can be imported again, here or in another process, even if the files have changed. The imported modules live as
    long as this object.
    """

    name: str
    path: Path
    directory: Path
    files: dict[Path, bytes] = field(repr=False)
    stamps: dict[Path, Stamp] = field(default_factory=dict[Path, Stamp], repr=False)

    def is_like(self, other: "Source") -> bool:
        """Return whether the other would do the same."""
        return (self.path, self.files, self.stamps) == (other.path, other.files, other.stamps)

    def hash(self) -> str:
        """SHA-256 of the files: the same wherever they are, as long as all of them are the same."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path.relative_to(self.directory)}\0{len(content)}\0".encode(errors="surrogateescape"))
            digest.update(content)
        for path, (_modified, size) in sorted(self.stamps.items()):
            digest.update(f"{path.relative_to(self.directory)}\0{size}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def load(self) -> ModuleType:
        """Import the module, beside earlier versions of the same name.

        Raises: any exception of the module.
        """
        package = f"{PACKAGE}_{next(_numbers)}"
        _living[package] = self
        parent = ModuleType(package)
        parent.__path__ = []
        sys.modules[package] = parent  # dataclasses and pickle also look up a class's module there
        weakref.finalize(self, _forget, package).atexit = False
        return importlib.import_module(f"{package}.{self.name}")

    def find(self, full_name: str) -> ModuleSpec | None:
        """Return how a module is imported that is one of these files, by its name below ours."""
        parts = full_name.split(".")[1:]
        folder = self.directory.joinpath(*parts)
        for path, places in ((folder / INIT, [str(folder)]), (folder.with_name(f"{folder.name}.py"), None)):
            if path in self.files:
                loader = _Loader(full_name, str(path))
                loader.files = self.files
                return importlib.util.spec_from_file_location(
                    full_name, path, loader=loader, submodule_search_locations=places
                )
        if not any(folder in path.parents for path in self.files):
            return None
        spec = ModuleSpec(full_name, None, is_package=True)  # a folder with modules and without an __init__.py
        spec.submodule_search_locations = [str(folder)]
        return spec

    def has_compiled(self, full_name: str) -> bool:
        """Whether a module, by its name below ours, is a compiled file that was checked; Python's finders load it."""
        place = self.directory.joinpath(*full_name.split(".")[1:])
        return any(
            file.parent == place.parent and file.name.partition(".")[0] == place.name and file.name.endswith(COMPILED)
            for file in (*self.files, *self.stamps)
        )


@dataclass(frozen=True)
class Installed:
    """A module of an installed package, which is imported as any other, and once. ``package``: with its version."""

    name: str
    package: str | None = None
    source_hash: str | None = None

    def hash(self) -> str | None:
        """SHA-256 of the module's file and the package's version; null before ``as_imported``, and without a file."""
        return self.source_hash

    def as_imported(self) -> "Installed":
        """The same with its package and hash as they are in this process.

        Call it right after the import. The package may be upgraded later; worker processes then import the new one.
        """
        package = self.package
        with contextlib.suppress(PackageNotFoundError, ValueError):
            name = (package or "").rpartition(" ")[0]
            package = f"{name} {version(name)}"
        return Installed(self.name, package, self._hash(package))

    def _hash(self, package: str | None) -> str | None:
        file = getattr(sys.modules.get(self.name), "__file__", None)
        if file is None:
            return None
        try:
            content = Path(file).read_bytes()
        except OSError:
            return None
        return hashlib.sha256(content + f"\0{package}".encode()).hexdigest()

    def load(self) -> ModuleType:
        """Import it.

        Raises: any exception of the module.
        """
        return importlib.import_module(self.name)


def read_source(name: str, path: Path, helpers: dict[Path, bytes], owners: frozenset[int] | None) -> Source:
    """Read a module of a receivers directory: a file, or a folder by its ``__init__.py``, and all that is in it.

    Raises:
        Untrusted: others than ``owners`` can write to it.
        OSError: it cannot be read.
    """
    if path.name != INIT:
        return Source(name, path, path.parent, {**helpers, path: read_trusted(path, owners)})
    files: dict[Path, bytes] = {}
    stamps: dict[Path, Stamp] = {}
    for file in folder_files(path.parent, owners):
        if file.suffix == ".py":
            files[file] = read_trusted(file, owners)
        else:
            status = file.stat()
            check_status(file, status, owners)
            stamps[file] = (status.st_mtime_ns, status.st_size)
    return Source(name, path, path.parent.parent, {**helpers, **files}, stamps)


def read_helpers(directory: Path, owners: frozenset[int] | None) -> tuple[dict[Path, bytes], dict[Path, Exception]]:
    """Read the helpers that modules of a directory may import by ``from ._name import ...``, and the errors of
    unreadable ones.
    """
    helpers: dict[Path, bytes] = {}
    refused: dict[Path, Exception] = {}
    for entry in sorted(directory.iterdir()):
        if not entry.name.startswith("_") or entry.name == "__pycache__":
            continue
        try:
            files = list(folder_files(entry, owners)) if entry.is_dir() else [entry]
            read = {
                file: read_trusted(file, owners)
                for file in files
                if file.name.endswith((".py", *COMPILED)) and file.is_file()
            }
        except (OSError, Untrusted) as exc:
            refused[entry] = exc
        else:
            helpers.update(read)
    return helpers, refused


def folder_files(folder: Path, owners: frozenset[int] | None) -> Iterator[Path]:
    """Yield the files in a folder and those in it, but for hidden and cached ones, in order.

    Raises:
        Untrusted: others than ``owners`` can write to a folder.
        OSError: a folder cannot be read.
    """
    check_status(folder, folder.stat(), owners)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # which may lead in a circle
                yield from folder_files(entry, owners)
        elif entry.is_file():
            yield entry


class _Loader(SourceFileLoader):
    """Uses the bytes that were read, not the current file, and not a cached compilation, which may be older."""

    files: dict[Path, bytes]

    def get_data(self, path: str) -> bytes:
        """Return the contents of a file."""
        known = self.files.get(Path(path))
        return super().get_data(path) if known is None else known

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the module."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Leads names below ours to the sources that they are of."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - part of the signature
        target: ModuleType | None = None,  # noqa: ARG002 - part of the signature
    ) -> ModuleSpec | None:
        """Return how to import a module of a receivers directory.

        Raises:
            ModuleNotFoundError: no checked file has it. Python's finders would search the folder for others.
        """
        package, _, rest = fullname.partition(".")
        source = _living.get(package) if rest else None
        if source is None:
            return None
        spec = source.find(fullname)
        if spec is None and not source.has_compiled(fullname):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return spec


_numbers = count(1)
_living: "weakref.WeakValueDictionary[str, Source]" = weakref.WeakValueDictionary()
sys.meta_path.insert(0, _Finder())  # before the finders that would use the current files of a package's folder


def _forget(package: str) -> None:
    """Remove the modules of a source after its last use: no known receiver and no run refers to it."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        sys.modules.pop(name, None)


def look(directory: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Make a cheap fingerprint that changes when something in a receivers directory may have changed."""
    return [(str(path), _state(path)) for path in (directory, *_entries(directory))]


def _entries(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # missing, or unreadable for us, which its state shows
        return
    for entry in entries:
        if not entry.name.startswith(".") and entry.name != "__pycache__":
            yield entry
            if deep or entry.name.startswith("_") or os.path.exists(entry / INIT):  # noqa: PTH110 - it raises nothing
                yield from _entries(entry, deep=True) if not entry.is_symlink() else ()


def _state(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError as exc:
        return (exc.errno or 0,)
    mode, owner = status.st_mode, (status.st_uid, status.st_gid)
    written = (0, 0) if stat.S_ISDIR(mode) else (status.st_mtime_ns, status.st_size)
    return (status.st_dev, status.st_ino, mode, *owner, *written)

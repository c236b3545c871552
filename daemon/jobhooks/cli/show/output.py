"""What commands print: data on stdout, as a table or as JSON; words on stderr."""

import contextlib
import dataclasses
import datetime
import errno
import os
import re
import select
import sys
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

# rich is imported where a function needs it: most commands print a line or JSON, and start sooner without it.
if TYPE_CHECKING:
    from rich.console import Console

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def print_records(kind: type[_Record], records: Sequence[_Record], *, as_json: bool) -> None:
    """Print ``records`` with the fields of ``kind`` as columns; as JSON, an array of objects."""
    if as_json:
        print_json(records)
        return
    from jobhooks.cli.show.table_layout import fitted, unbounded

    fields = [field.name for field in dataclasses.fields(kind)]
    headings = [name.replace("_", " ") for name in fields]
    rows = [[one_line(_cell(getattr(record, name))) for name in fields] for record in records]
    if not sys.stdout.isatty():
        print_text("\n".join(unbounded(headings, rows)))
        return
    out = console()
    for line in fitted(headings, rows, out.width):
        out.print(line)


def print_json(value: object) -> None:
    """Print JSON for programs, and for people, who want it on many lines."""
    encoded = msgspec.json.encode(value)
    # A json column may hold what no strict reader takes, such as half of a surrogate pair.
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        encoded = msgspec.json.format(encoded)
    print_text(encoded.decode())


def print_json_line(value: object, *, flush: bool = True) -> None:
    """Print JSON on one line, for programs that read a stream; ``flush``: at once."""
    # Line breaks that are not between values, but in them, are escaped.
    line = msgspec.json.encode(value).decode().replace("\n", " ").replace("\r", " ")
    print(line, flush=flush)  # noqa: T201 - this is the data


def console() -> "Console":
    """Return what prints text for people: in colours on a terminal, without any in a pipe or where NO_COLOR is set."""
    from rich.console import Console

    return Console(
        color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False, soft_wrap=True, emoji=False
    )


def printable(text: str) -> str:
    """Return ``text`` with control characters written out: what others put into a table must not steer a terminal."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def print_text(text: str) -> None:
    """Print data that is text already."""
    print(text)  # noqa: T201 - this is the data


def say(message: str) -> None:
    """Print words for a person."""
    print(message, file=sys.stderr)  # noqa: T201 - words go to stderr


@contextlib.contextmanager
def progress(doing: str, total: int) -> Generator[Callable[[int], None]]:
    """Show on a terminal how far long work is; yields what is told of each part that is done."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done: bar.advance(task, done)


def one_line(text: str) -> str:
    """Return ``text`` as what is printable on one line."""
    return printable(text).replace("\n", "\\n")


def local(moment: datetime.datetime) -> str:
    """Return a time as that of the machine, as in lists, where a column for the zone would be in the way."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def wait_for_reader_to_leave(seconds: float) -> None:
    """Wait, but not for a reader that is gone: as in ``... | head -1``, where nothing may come to be written for long.

    Raises:
        BrokenPipeError: whoever read what we write has closed it.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are told unasked
    if poll.poll(seconds * 1000):
        raise BrokenPipeError(errno.EPIPE, "nobody reads it any more")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)

"""Prints for all commands: data on stdout, as a table or as JSON; messages on stderr."""

import contextlib
import dataclasses
import datetime
import errno
import json
import os
import re
import select
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar

# rich and msgspec are imported where a function needs them: commands that print a line start sooner without.
if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

FOLLOW_INTERVAL_S = 0.5

# Control characters; and those that are invisible or change the direction of text, so that it reads as another one.
HIDDEN = (
    "\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f{HIDDEN}]")
AGAIN = "; the same command again does the others"
AFTER_INTERRUPT = {  # by the step that was interrupted
    "watching": AGAIN,
    "retrying": AGAIN,
    "discarding": AGAIN,
    "cancelling": AGAIN,
    "queueing": ", and will be delivered",
    "waiting for the daemon": "; the daemon does the others",
}
HIDDEN_IN_JSON = re.compile(f"[{HIDDEN}]")


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
    """Print JSON on many lines, which people can read."""
    import msgspec  # noqa: PLC0415, RUF100

    encoded = msgspec.json.encode(value)
    # A json column may hold JSON that strict readers refuse, such as half of a surrogate pair.
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        encoded = msgspec.json.format(encoded)
    print_text(_printable_json(encoded.decode()))


def print_json_line(value: object, *, flush: bool = True) -> None:
    """Print JSON on one line, for programs that read a stream; ``flush``: do not buffer it."""
    import msgspec  # noqa: PLC0415, RUF100

    # JSON escapes the line breaks in values, so the others are between values.
    line = msgspec.json.encode(value).decode().replace("\n", " ").replace("\r", " ")
    print(_printable_json(line), flush=flush)  # noqa: T201 - this is the data


def console() -> "Console":
    """A console for text: in colours on a terminal, without colours in a pipe or if NO_COLOR is set."""
    from rich.console import Console

    return Console(
        color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False, soft_wrap=True, emoji=False
    )


def printable(text: str) -> str:
    """Write control and invisible characters as escapes: a value from a table must not control the terminal."""
    return CONTROL.sub(lambda match: _escaped(ord(match[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _printable_json(text: str) -> str:
    """The same JSON: such characters are in strings only, where JSON has escapes for them."""
    return HIDDEN_IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1], text)


def print_text(text: str) -> None:
    """Print data that is text."""
    print(text)  # noqa: T201 - this is the data


def print_message(message: str) -> None:
    """Print a message for a person."""
    print(printable(message), file=sys.stderr)  # noqa: T201 - words go to stderr


@contextlib.contextmanager
def progress(doing: str, total: int) -> Generator[Callable[[int], None]]:
    """Show a progress bar on a terminal; yields a function to call with the number of parts just done.

    After Ctrl-C it prints the number of finished steps, and the state of the others.
    """
    from rich.console import Console
    from rich.progress import Progress

    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        bar.advance(task, more)

    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task(doing, total=total)
            yield advance
    except KeyboardInterrupt:
        then = AFTER_INTERRUPT.get(doing, "")
        print_message(f"jobhooks: interrupted while {doing}: {done} of {total} are done{then}")
        raise


@contextlib.contextmanager
def if_interrupted(then: str) -> Generator[None]:
    """After Ctrl-C, print the effects of the command so far."""
    try:
        yield
    except KeyboardInterrupt:
        print_message(f"jobhooks: interrupted: {then}")
        raise


def one_line(text: str) -> str:
    """Write line breaks and control characters as escapes."""
    return printable(text).replace("\n", "\\n")


def indented(text: str, indent: int) -> str:
    """Indent the lines after the first one, and write control characters as escapes: no line looks like another's."""
    return printable(text).replace("\n", "\n" + " " * indent)


def local(moment: datetime.datetime) -> str:
    """A time in the machine's zone; lists have no room for the zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def wait_for_reader_to_leave(seconds: float) -> None:
    """Wait, but stop when the reader of stdout is gone, as after ``... | head -1``.

    Raises:
        BrokenPipeError: the reader closed the pipe.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # poll reports errors in any case
    if poll.poll(seconds * 1000):
        raise BrokenPipeError(errno.EPIPE, "the reader has closed the pipe")


def follow(first: Iterable[T], new: Callable[[], Iterable[T]], show: Callable[[T], None]) -> NoReturn:
    """Show the first ones, and then new ones as they come, until Ctrl-C.

    Raises:
        BrokenPipeError: the reader closed the pipe.
    """
    found = first
    while True:
        for each in found:
            show(each)
        sys.stdout.flush()
        wait_for_reader_to_leave(FOLLOW_INTERVAL_S)
        found = new()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)

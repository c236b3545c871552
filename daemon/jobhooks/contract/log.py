"""The log lines of a receiver: kept until its result is written, and written with it."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.redaction import redact

MOST_LINES = 10_000  # of a run
MOST_CHARACTERS = 4_000_000  # in all lines of a run
LONGEST_TEXT = 10_000  # characters of a line, or of the text of an error
NO_MORE = f"no more lines are kept: a run may have {MOST_LINES} lines and {MOST_CHARACTERS} characters"


@dataclass(frozen=True)
class LogEntry:
    """One line: its level, its time, the object (as text) and the message.

    ``grouping``: the label that the receiver gave it. ``source``: the logger or stream it came from, if not the
    receiver's own log.
    """

    level: LogLevel
    time: datetime.datetime
    object: str | None
    message: str
    grouping: str | None = None
    source: str | None = None


class ReceiverLog:
    """The lines of one run, ``entries``. Each method takes a message, or an object and a message.

    Secrets that can be recognised are removed (a password in a URL, a value after ``password=``). Long lines are cut.
    After too many lines or characters one line says that no more are kept. ``on_entry`` gets each line that is kept.
    """

    __slots__ = ("_characters", "_failure", "begun", "entries", "on_entry")

    def __init__(self, on_entry: Callable[[LogEntry], None] | None = None) -> None:
        self.entries: list[LogEntry] = []
        self.on_entry = on_entry
        self._characters = 0
        self._failure: str | None = None
        # Parts of printed lines whose end is missing, by source and thread.
        self.begun: dict[tuple[str, int], list[str]] | None = None

    def debug(self, obj: object = None, message: str | None = None) -> None:
        """Log details."""
        self._add(LogLevel.DEBUG, obj, message)

    def info(self, obj: object = None, message: str | None = None) -> None:
        """Log progress."""
        self._add(LogLevel.INFO, obj, message)

    def success(self, obj: object = None, message: str | None = None) -> None:
        """Log a success."""
        self._add(LogLevel.SUCCESS, obj, message)

    def warning(self, obj: object = None, message: str | None = None) -> None:
        """Log a problem that needs attention."""
        self._add(LogLevel.WARNING, obj, message)

    def failure(self, obj: object = None, message: str | None = None) -> None:
        """Log a failure, and make the run a failure; its writes are kept."""
        self._add(LogLevel.FAILURE, obj, message)

    def error(self, obj: object = None, message: str | None = None) -> None:
        """Log an error. It does not make the run a failure."""
        self._add(LogLevel.ERROR, obj, message)

    def critical(self, obj: object = None, message: str | None = None) -> None:
        """Log a severe error. It does not make the run a failure."""
        self._add(LogLevel.CRITICAL, obj, message)

    def failure_message(self) -> str | None:
        """The last failure's message; null without a failure."""
        return self._failure

    def begun_line(self, source: str, thread: int) -> list[str]:
        """The parts of the line that a thread has begun, to add to."""
        if self.begun is None:
            self.begun = {}
        return self.begun.setdefault((source, thread), [])

    def end_lines(self) -> None:
        """Keep lines that have no end: the run has ended."""
        begun, self.begun = self.begun or {}, None
        for (source, _thread), parts in begun.items():
            if text := "".join(parts).strip():
                self.add(LogLevel.INFO, text, source=source)

    def add(
        self,
        level: LogLevel,
        text: object,
        about: object = None,
        grouping: object = None,
        source: str | None = None,
    ) -> None:
        """Add a line. ``about``: the object it is about; ``grouping`` and ``source``: see ``LogEntry``."""
        now = datetime.datetime.now(datetime.UTC)
        is_full = len(self.entries) >= MOST_LINES or self._characters >= MOST_CHARACTERS
        if is_full and level is not LogLevel.FAILURE:
            if self.entries[-1].message != NO_MORE:
                self._keep(LogEntry(LogLevel.WARNING, now, None, NO_MORE))
            return
        message = redact(clean_text(text))
        if level is LogLevel.FAILURE:
            self._failure = message
        if not is_full:
            subject, label, origin = _storable(about), _storable(grouping), _storable(source)
            self._characters += len(message) + len(subject or "") + len(label or "") + len(origin or "")
            self._keep(LogEntry(level, now, subject, message, label, origin))

    def _keep(self, entry: LogEntry) -> None:
        self.entries.append(entry)
        if self.on_entry is not None:
            self.on_entry(entry)

    def _add(self, level: LogLevel, obj: object, message: str | None) -> None:
        if message is None:
            self.add(level, obj)
        else:
            self.add(level, message, obj)


def _storable(value: object) -> str | None:
    return None if value is None else redact(clean_text(value))


def clean_text(value: object, longest: int = LONGEST_TEXT) -> str:
    """Convert ``value`` to text that PostgreSQL can store: without NUL and lone surrogates, and not too long."""
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001 - the author's own __str__
        text = f"<{type(value).__name__} whose __str__ raises {type(exc).__name__}>"
    if len(text) > longest:
        text = f"{text[:longest]}... ({len(text) - longest} more characters)"
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()

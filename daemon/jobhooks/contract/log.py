"""The log lines of a receiver: kept until its result is written, and written with it."""

import datetime
from dataclasses import dataclass

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.redaction import redact


@dataclass(frozen=True)
class LogEntry:
    """One line: its level, its time, the object (as text) and the message."""

    level: LogLevel
    time: datetime.datetime
    object: str | None
    message: str


class ReceiverLog:
    """The lines of one run, ``entries``. Each method takes a message, or an object and a message.

    Secrets that can be recognised are removed (a password in a URL, a value after ``password=``).
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

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

    def failure_message(self) -> str | None:
        """The last failure's message; null without a failure."""
        failures = [entry.message for entry in self.entries if entry.level is LogLevel.FAILURE]
        return failures[-1] if failures else None

    def _add(self, level: LogLevel, obj: object, message: str | None) -> None:
        subject, text = (None, obj) if message is None else (obj, message)
        now = datetime.datetime.now(datetime.UTC)
        about = None if subject is None else redact(clean_text(subject))
        self.entries.append(LogEntry(level, now, about, redact(clean_text(text))))


def clean_text(value: object) -> str:
    """Convert ``value`` to text that PostgreSQL can store: without NUL and without lone surrogates."""
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001 - the author's own __str__
        text = f"<{type(value).__name__} whose __str__ raises {type(exc).__name__}>"
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()

"""The lines that a receiver logs: kept until its result is written, and written with it."""

import datetime
from dataclasses import dataclass

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.redaction import redact


@dataclass(frozen=True)
class LogEntry:
    """One line: its level, the moment, what it is about (as text) and what it says."""

    level: LogLevel
    time: datetime.datetime
    object: str | None
    message: str


class ReceiverLog:
    """The lines of one run, ``entries``. Each method takes a message, or an object and a message.

    What looks like a secret in them (a password in a URL, what stands behind ``password=``) is left out.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

    def debug(self, obj: object = None, message: str | None = None) -> None:
        """Log for whoever looks closely."""
        self._add(LogLevel.DEBUG, obj, message)

    def info(self, obj: object = None, message: str | None = None) -> None:
        """Log what is going on."""
        self._add(LogLevel.INFO, obj, message)

    def success(self, obj: object = None, message: str | None = None) -> None:
        """Log what went well."""
        self._add(LogLevel.SUCCESS, obj, message)

    def warning(self, obj: object = None, message: str | None = None) -> None:
        """Log what someone should look at."""
        self._add(LogLevel.WARNING, obj, message)

    def failure(self, obj: object = None, message: str | None = None) -> None:
        """Log what went wrong, and make the run a failure; what the receiver wrote is kept."""
        self._add(LogLevel.FAILURE, obj, message)

    def failure_message(self) -> str | None:
        """Return the last failure's message, or None where there was none."""
        failures = [entry.message for entry in self.entries if entry.level is LogLevel.FAILURE]
        return failures[-1] if failures else None

    def _add(self, level: LogLevel, obj: object, message: str | None) -> None:
        subject, text = (None, obj) if message is None else (obj, message)
        now = datetime.datetime.now(datetime.UTC)
        about = None if subject is None else redact(clean_text(subject))
        self.entries.append(LogEntry(level, now, about, redact(clean_text(text))))


def clean_text(value: object) -> str:
    """Return ``value`` as text that PostgreSQL can hold: it has no NUL, and UTF-8 has no lone surrogates."""
    try:
        text = str(value)
    except Exception as exc:  # noqa: BLE001 - the author's own __str__
        text = f"<{type(value).__name__} whose __str__ raises {type(exc).__name__}>"
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()

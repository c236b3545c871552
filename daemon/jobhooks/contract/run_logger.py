"""``self.logger``: a logger of the standard library whose lines go to the log of one run."""

import logging
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeAlias, cast

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.log import LONGEST_TEXT, LogEntry, ReceiverLog, clean_text

SUCCESS = 25
FAILURE = 35
ExceptionTriple: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

# From the highest: a number of the standard library has the level of the first entry that it reaches.
LEVELS = (
    (logging.CRITICAL, LogLevel.CRITICAL),
    (logging.ERROR, LogLevel.ERROR),
    (FAILURE, LogLevel.FAILURE),
    (logging.WARNING, LogLevel.WARNING),
    (SUCCESS, LogLevel.SUCCESS),
    (logging.INFO, LogLevel.INFO),
)


def level_of(number: int) -> LogLevel:
    """The level for a number of the standard library."""
    return next((level for least, level in LEVELS if number >= least), LogLevel.DEBUG)


def level_named(name: str) -> LogLevel:
    """The level of that name, in any case.

    Raises:
        ValueError: no level has that name.
    """
    try:
        return LogLevel(name.lower())
    except ValueError:
        raise ValueError(f"there is no log level {name!r}: use {', '.join(LogLevel)}") from None


class RunLogger(logging.Logger):
    """Logs to the run's log: the methods of ``logging.Logger``, ``success`` and ``failure``.

    ``extra`` may have an ``object`` that the line is about, a ``grouping``, and ``skip_db_logging``, which sends the
    line to the daemon's log instead. A message behind an object, as ``log_info`` takes them, works as well.
    """

    def __init__(self, name: str, log: ReceiverLog) -> None:
        super().__init__(name, logging.DEBUG)
        self.parent = logging.root  # for lines that skip the run's log
        self.log_of_run = log

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it by its name, as any logger: another process has no such run."""
        return logging.getLogger, (self.name,)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - a name of the standard library
        """By its own level alone: ``logging.disable`` of another receiver in this process does not count."""
        return level >= self.level

    def debug(self, msg: object = None, *args: object, **options: Any) -> None:
        """Log details."""
        self._log_as(logging.DEBUG, msg, args, options)

    def info(self, msg: object = None, *args: object, **options: Any) -> None:
        """Log progress."""
        self._log_as(logging.INFO, msg, args, options)

    def success(self, msg: object = None, *args: object, **options: Any) -> None:
        """Log a success."""
        self._log_as(SUCCESS, msg, args, options)

    def warning(self, msg: object = None, *args: object, **options: Any) -> None:
        """Log a problem that needs attention."""
        self._log_as(logging.WARNING, msg, args, options)

    def failure(self, msg: object = None, *args: object, **options: Any) -> None:
        """Log a failure, and make the run a failure; its writes are kept."""
        self._log_as(FAILURE, msg, args, options)

    @property
    def entries(self) -> list[LogEntry]:
        """The lines of the run."""
        return self.log_of_run.entries

    def failure_message(self) -> str | None:
        """The last failure's message; null without a failure."""
        return self.log_of_run.failure_message()

    def handle(self, record: logging.LogRecord) -> None:
        """Log a record that was made elsewhere."""
        extra = {name: getattr(record, name, None) for name in ("object", "grouping", "skip_db_logging")}
        self._log(record.levelno, record.msg, cast("tuple[object, ...]", record.args), record.exc_info, extra)

    def _log_as(self, number: int, msg: object, args: tuple[object, ...], options: dict[str, Any]) -> None:
        if not self.isEnabledFor(number):
            return
        if "message" in options or "obj" in options:  # as log_info takes them
            about = options.pop("obj", msg)
            args, msg = (), options.pop("message", None)
            msg, about = (about, None) if msg is None else (msg, about)
            options["extra"] = {"object": about, **(options.get("extra") or {})}
        self._log(number, msg, args, **options)

    def _log(
        self,
        level: int,
        msg: object,
        args: object,
        exc_info: object = None,
        extra: Mapping[str, object] | None = None,
        stack_info: bool = False,
        stacklevel: int = 1,  # noqa: ARG002 - part of the signature
    ) -> None:
        """Add a line; every method of the standard library's logger ends here."""
        given = extra or {}
        text, about = formatted(msg, args)
        about = given.get("object") if about is None else about
        if trace := traceback_of(exc_info):
            text = with_traceback(text, trace)
        if stack_info:
            text = f"{text}\nStack (most recent call last):\n{''.join(traceback.format_stack()[:-2])}".rstrip()
        if given.get("skip_db_logging"):
            record = self.makeRecord(self.name, level, "", 0, text, (), None, extra=given)
            logging.Logger.handle(self, record)
        else:
            self.log_of_run.add(level_of(level), text, about, given.get("grouping"))


def formatted(msg: object, args: object) -> tuple[str, object]:
    """The text of a message with its arguments, and the object it is about, if it is given as ``log_info`` takes it.

    Wrong arguments lose no line: they follow the message.
    """
    listed = cast("tuple[object, ...]", args) if isinstance(args, tuple) else (args,) if args else ()
    text = clean_text(msg)
    if not listed:
        return text, None
    only = listed[0]
    if len(listed) == 1 and isinstance(only, str) and (not isinstance(msg, str) or "%" not in msg):
        return only, msg
    is_mapping = len(listed) == 1 and isinstance(only, Mapping) and bool(cast("object", only))
    try:
        return str(msg) % (only if is_mapping else listed), None
    except Exception:  # noqa: BLE001 - a value's own __str__ may raise anything
        return f"{text} {', '.join(clean_text(value) for value in listed)}", None


def traceback_of(exc_info: object) -> str:
    """The traceback for ``exc_info`` as the standard library takes it; empty without one."""
    if not exc_info:
        return ""
    exc: object = exc_info
    if isinstance(exc_info, tuple):
        exc = cast("ExceptionTriple", exc_info)[1]
    elif not isinstance(exc_info, BaseException):
        exc = sys.exception()
    return "".join(traceback.format_exception(exc)).rstrip() if isinstance(exc, BaseException) else ""


def with_traceback(text: str, trace: str) -> str:
    """A message with its traceback. If both are too long for a line, the end of the traceback stays."""
    room = max(LONGEST_TEXT // 2, LONGEST_TEXT - len(text) - 10)
    return f"{text}\n{trace if len(trace) <= room else '...' + trace[-room:]}"

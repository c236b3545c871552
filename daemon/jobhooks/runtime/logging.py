"""The service's log on stderr: text on a terminal, otherwise one line of JSON per event."""

import logging
import os
import sys
from typing import NamedTuple

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from jobhooks.runtime import event_log, systemd
from jobhooks.runtime.log_format import LogFormat, LogLevel


class LogSettings(NamedTuple):
    """How the log is written."""

    level: LogLevel
    format: LogFormat


def configure(level: LogLevel, log_format: LogFormat, descriptor: int | None = None) -> None:
    """Set up the loggers of jobhooks in this process. Tracebacks show no local variables: these may be secrets.

    ``descriptor``: a copy of that of stderr, to write to instead.
    """
    stream = sys.stderr
    if descriptor is not None:
        stream = open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115, RUF100 - until the process ends
    as_text = sys.stderr.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.CONSOLE
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_text:
        in_colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=in_colours, exception_formatter=plain))
    else:
        tracebacks = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        processors += [tracebacks, structlog.processors.JSONRenderer()]
    if systemd.stderr_is_journal():
        processors.append(_with_priority)
        if logging.lastResort is not None:  # for the lines of libraries
            logging.lastResort.setFormatter(_PriorityFormatter())
    event_log.set_up(
        structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
            cache_logger_on_first_use=True,
        )
    )


def _with_priority(_logger: object, level: str, rendered: object) -> str:
    """The last processor: the journal reads the priority and stores the line without it."""
    return systemd.with_priority(level, str(rendered))


class _PriorityFormatter(logging.Formatter):
    """Formats lines of the standard library's loggers, such as asyncio's, as ``_with_priority`` does."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the priority before each line."""
        return systemd.with_priority(record.levelname.lower(), super().format(record))

"""The service's log, on stderr: for people on a terminal, one line of JSON per event otherwise."""

import logging
import sys

import structlog

from jobhooks.runtime.settings import LogFormat, LogLevel


def configure(level: LogLevel, log_format: LogFormat) -> None:
    """Set up structlog for this process."""
    for_people = sys.stderr.isatty() if log_format is LogFormat.AUTO else log_format is LogFormat.CONSOLE
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if for_people:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

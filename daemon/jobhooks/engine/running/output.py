"""Takes the output and the standard library's log of receivers into the log of the run, or the daemon's log.

The runs of ``async def`` receivers share a process, so each line belongs to the run of the current context. Outside of
a run, a line becomes one event of the daemon's log, which is JSON if that is: nothing else is written to its stream.
"""

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Callable, Generator, MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO

import structlog

from jobhooks.contract.choices import LogLevel
from jobhooks.contract.log import LONGEST_TEXT, ReceiverLog, clean_text
from jobhooks.contract.redaction import redact
from jobhooks.contract.run import Run, current_run
from jobhooks.contract.run_logger import SUCCESS, formatted, level_of, traceback_of, with_traceback
from jobhooks.runtime.event_log import get_logger

# The log of a run whose receiver has returned, while its last steps run.
log_of_last_steps: ContextVar[ReceiverLog | None] = ContextVar("log_of_last_steps", default=None)
log = get_logger()
FindRun = Callable[[], Run[Any] | None]


class Output:
    """Where lines go. ``find_run`` finds the run of a line that no context says the run of: of a thread, for example.

    ``rest`` takes lines that belong to no run: a level, a source and the text.
    """

    def __init__(
        self, find_run: FindRun | None = None, rest: Callable[[LogLevel, str, str], None] | None = None
    ) -> None:
        self._find_run = find_run
        self._rest = rest or log_event

    def add(self, level: LogLevel, text: str, source: str, about: object = None, grouping: object = None) -> None:
        """Add a line to the log that it belongs to."""
        found = self.log_of_context()
        if found is None:
            self._rest(level, source, text)
        else:
            found.add(level, text, about, grouping, source)

    def log_of_context(self) -> ReceiverLog | None:
        """The log of the current run; null outside of one, and for tasks that a run has left behind."""
        run = current_run.get() or (self._find_run() if self._find_run is not None else None)
        if run is not None and not run.ended:
            return run.log
        return log_of_last_steps.get()


def log_event(level: LogLevel, source: str, text: str, **fields: str) -> None:
    """Log a line as an event of the daemon's log, with more ``fields``."""
    number = {LogLevel.DEBUG: logging.DEBUG, LogLevel.WARNING: logging.WARNING}.get(level, logging.INFO)
    if level in (LogLevel.ERROR, LogLevel.CRITICAL, LogLevel.FAILURE):
        number = logging.ERROR
    log.log(number, "output_outside_a_run", source=source, text=redact(clean_text(text)), **fields)


class RecordHandler(logging.Handler):
    """The handler of the root logger: takes every record that reaches it."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Add a record to the log that it belongs to."""
        text, _ = formatted(record.msg, record.args)
        if trace := traceback_of(record.exc_info) or record.exc_text or record.stack_info:
            text = with_traceback(text, trace)
        level = _level_of(record)
        if getattr(record, "skip_db_logging", False):
            log_event(level, record.name, text)
            return
        extra = vars(record)
        self._output.add(level, text, record.name, extra.get("object"), extra.get("grouping"))

    def put_back(self) -> bool:
        """Undo what a receiver did to the root logger for all of them; returns whether there was something to undo."""
        root = logging.root
        if self in root.handlers and root.level == logging.INFO and not root.manager.disable:
            return False
        # A handler that prints would show each line twice. One that writes to a file of the receiver stays.
        others = [one for one in root.handlers if one is not self and not _prints(one)]
        root.handlers[:] = [self, *others]
        root.setLevel(logging.INFO)
        logging.disable(logging.NOTSET)
        return True


def _prints(handler: logging.Handler) -> bool:
    return isinstance(getattr(handler, "stream", None), CapturedStream)


def _level_of(record: logging.LogRecord) -> LogLevel:
    """The level of a record. Only the run's own logger makes the run a failure."""
    level = level_of(record.levelno)
    if level is LogLevel.SUCCESS and record.levelno != SUCCESS:
        return LogLevel.INFO
    return LogLevel.WARNING if level is LogLevel.FAILURE else level


class CapturedStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr``: each line that is written goes to the log that it belongs to.

    A line without an end is kept until its end is written, or until its run ends. It stays open: others write to it.
    """

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def __init__(self, output: Output, name: str, original: TextIO) -> None:
        super().__init__()
        self._output = output
        self._name = name
        self._original = original
        self._begun_outside: list[str] = []
        self._lock = threading.RLock()
        self.buffer = _Bytes(self)

    @property
    def name(self) -> str:
        """As files have it."""
        return f"<{self._name}>"

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """It is not, even if the daemon's is."""
        return False

    def close(self) -> None:
        """Stay open."""

    def reconfigure(self, **_options: object) -> None:
        """Stay as it is; files that are streams have this."""

    def fileno(self) -> int:
        """The original's, for programs that a receiver starts."""
        return self._original.fileno()

    def write(self, text: str) -> int:
        """Write text."""
        *ended, rest = text.splitlines(keepends=True) or [""]
        if rest.endswith(("\n", "\r")):
            ended, rest = [*ended, rest], ""
        with self._lock:
            found = self._output.log_of_context()
            begun = self._begun_outside if found is None else found.begun_line(self._name, threading.get_ident())
            for line in ended:
                begun.append(line.rstrip("\r\n"))
                self._end_line(begun)
            if rest:
                begun.append(rest)
                if sum(map(len, begun)) > LONGEST_TEXT:
                    self._end_line(begun)
        return len(text)

    def _end_line(self, begun: list[str]) -> None:
        text = "".join(begun)
        begun.clear()
        if text.strip():
            self._output.add(LogLevel.INFO, text, self._name)


class _Bytes(io.RawIOBase):
    """The ``buffer`` of such a stream, for code that writes bytes."""

    def __init__(self, stream: CapturedStream) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: a TextIOWrapper around it closes it at its end."""

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


def capture(find_run: FindRun | None = None, rest: Callable[[LogLevel, str, str], None] | None = None) -> RecordHandler:
    """Take over the streams and the root logger of this process, until it ends. The daemon's log keeps its stream."""
    output = Output(find_run, rest)
    handler = RecordHandler(output)
    sys.stdout = CapturedStream(output, "stdout", sys.stdout)
    sys.stderr = CapturedStream(output, "stderr", sys.stderr)
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    structlog.configure(  # for receivers that do not do so themselves
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.format_exc_info,
            event_in_words,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    return handler


def event_in_words(_logger: object, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], dict[str, Any]]:
    """Render an event of a receiver's structlog as one text: the event, its fields, and a traceback."""
    text, trace = str(event.pop("event", "")), event.pop("exception", "")
    fields = "".join(f" {key}={value!r}" for key, value in event.items())
    return (f"{text}{fields}\n{trace}".rstrip("\n"),), {}


@contextlib.contextmanager
def captured() -> Generator[RecordHandler]:
    """Do the same for the time of a block: errors that end the daemon are for its terminal."""
    former = sys.stdout, sys.stderr, logging.root.handlers[:], logging.root.level
    handler = capture()
    try:
        yield handler
    finally:
        logging.captureWarnings(False)
        sys.stdout, sys.stderr, logging.root.handlers[:], level = former
        logging.root.setLevel(level)


@contextlib.contextmanager
def output_to(log_of_run: ReceiverLog) -> Generator[None]:
    """Add the output of the block to the log of a run that has ended."""
    token = log_of_last_steps.set(log_of_run)
    try:
        yield
    finally:
        log_of_last_steps.reset(token)


@contextlib.contextmanager
def captured_records() -> Generator[None]:
    """Have records of the standard library in the logs of runs, in a process that is not the daemon's: in tests."""
    handler = RecordHandler(Output(rest=nothing))
    former = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(min(former, logging.INFO))
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        logging.root.setLevel(former)


def nothing(_level: LogLevel, _source: str, _text: str) -> None:
    """Drop a line that belongs to no run."""

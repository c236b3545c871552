"""The log lines of the current run of a worker, in memory that outlives it: the daemon can read them at any time.

A file without a name: a header with the number of runs that the worker has begun, then for each log line the number of
its run, and JSON. The worker writes; the daemon reads at any time. A line costs two system calls, a run
without lines no call.
"""

import contextlib
import fcntl
import mmap
import os
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any, Self

import msgspec

from jobhooks.contract.log import LogEntry

HEADER = mmap.PAGESIZE
MOST_BYTES = 32_000_000  # that are read: more than the lines of a run can have

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LogEntry).decode


class LineFile:
    """The file, on either side. ``close`` it in the daemon; the worker's ends with the worker."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._header = mmap.mmap(descriptor, HEADER)
        self._runs = memoryview(self._header).cast("Q")
        self._identity = _identity(descriptor)
        self._has_lines = False
        self._is_open = True

    @classmethod
    def create(cls) -> Self:
        """Create it, in the daemon."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("jobhooks log")
        else:
            with tempfile.TemporaryFile(buffering=0) as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, HEADER)
        # So that threads of a receiver write one line after the other, always at the end.
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
        return cls(descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        """Give it to a process that is being started."""
        return _received, (DupFd(self._descriptor),)

    # In the worker.

    def begin(self) -> None:
        """A run begins. The lines of the run before it go first: a reader between the two steps sees no lines."""
        if self._has_lines:
            with contextlib.suppress(OSError):
                if _identity(self._descriptor) == self._identity:
                    os.ftruncate(self._descriptor, HEADER)
            self._has_lines = False
        self._runs[0] += 1

    def add(self, entry: LogEntry) -> None:
        """Add a line. If the system has no memory for it, only the result will have it.

        A receiver may have closed all descriptors, and opened another file in the place of this one.
        """
        self._has_lines = True
        with contextlib.suppress(OSError):
            if _identity(self._descriptor) == self._identity:
                os.write(self._descriptor, b"%d %b\n" % (self._runs[0], _encode(entry)))

    # In the daemon.

    @property
    def runs(self) -> int:
        """How many runs the worker has begun."""
        return self._runs[0] if self._is_open else 0

    def read(self, run: int, start: int) -> tuple[list[LogEntry], int]:
        """The lines of a run from a place in the file on, and the place after them; empty if another run has begun."""
        if not self._is_open or self._runs[0] != run:
            return [], start
        size = min(os.fstat(self._descriptor).st_size, MOST_BYTES)
        found = os.pread(self._descriptor, max(0, size - start), start)
        if self._runs[0] != run:
            return [], start
        whole = found[: found.rfind(b"\n") + 1]
        lines = [line.partition(b" ") for line in whole.splitlines()]
        own = b"%d" % run
        return [entry for of, _, json in lines if of == own and (entry := _decoded(json))], start + len(whole)

    def close(self) -> None:
        """Close it."""
        if self._is_open:
            self._is_open = False
            self._runs.release()
            self._header.close()
            os.close(self._descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _decoded(line: bytes) -> LogEntry | None:
    """A line, unless the receiver has written to the file, or the memory ran out within a line."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return _decode(line)
    return None


def _received(duplicate: Any) -> LineFile:
    return LineFile(duplicate.detach())

"""A process that has imported jobhooks and forks a child for each command or daemon that a test starts.

Starting Python and importing jobhooks takes half a second of processor time, a fork a few milliseconds. A child is a
process like any other: it has its own environment, directory, standard streams and signals, it runs ``jobhooks`` as
``python -m jobhooks`` does, and a test can kill it.

This file is also the program of that process, so it imports nothing else of the tests.
"""

import atexit
import contextlib
import fcntl
import functools
import gc
import importlib.metadata
import inspect
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import util
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NoReturn, Protocol

import jobhooks
from jobhooks.store import queries

LARGEST_REQUEST = 1 << 20  # bytes
MOST_DESCRIPTORS = 16
SPARES = 2  # multiprocessing starts two Python programs: its fork server and its resource tracker
ABOVE = 1000  # descriptors that are not in use
EXIT_CODE = struct.Struct("i")
SPAWN = util.spawnv_passfds
# Modules that commands and daemons import late, besides those of jobhooks; and those that they do not import.
PREPARED = (
    *("multiprocessing.forkserver", "multiprocessing.resource_tracker", "typer.rich_utils", "typer._adapters"),
    *("anyio._backends._asyncio", "anyio._core._synchronization", "anyio.to_thread"),
)
LEFT_OUT = ("jobhooks.__main__", "jobhooks.pytest_plugin", "jobhooks.receivers", "jobhooks.testing")


class Closable(Protocol):
    """A resource that a child inherits from the launcher and does not need."""

    def close(self) -> None: ...


class Process:
    """A child of the launcher, with the interface of ``subprocess.Popen`` as far as tests use it."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        """Start ``jobhooks ARGUMENTS``; a stream that is None is /dev/null."""
        self.returncode: int | None = None
        status, child_status = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.enter_context(child_status)
            null = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, null)
            streams = [null if stream is None else stream for stream in (stdin, stdout, stderr)]
            request = {"arguments": arguments, "env": dict(env), "cwd": os.fspath(cwd or Path.cwd())}
            _send(_launcher(), request, [*streams, child_status.fileno()])
        self._status = status
        (self.pid,) = EXIT_CODE.unpack(self._read(None))

    def poll(self) -> int | None:
        """Read the exit code: negative for a signal, None while the process runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process, and read its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after that time.
        """
        if self.returncode is None:
            (code,) = EXIT_CODE.unpack(self._read(timeout))
            self.returncode = int(code)
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def _read(self, timeout: float | None) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise subprocess.TimeoutExpired("jobhooks", timeout or 0)
        received = self._status.recv(EXIT_CODE.size)
        if not received:
            raise RuntimeError("the launcher of the tests has ended")
        return received

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait()


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path | str | None = None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``jobhooks ARGUMENTS`` to its end and return its exit code and what it printed.

    Raises:
        subprocess.TimeoutExpired: it still ran after ``timeout`` seconds, and was killed.
    """
    (out, child_out), (err, child_err) = os.pipe(), os.pipe()
    try:
        process = Process(arguments, env=env, cwd=cwd, stdout=child_out, stderr=child_err)
    finally:
        os.close(child_out)
        os.close(child_err)
    try:
        printed = _read_all([out, err], timeout)
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        os.close(out)
        os.close(err)
    return subprocess.CompletedProcess(["jobhooks", *arguments], code, *printed)


def _read_all(pipes: list[int], timeout: float) -> list[str]:
    read = {pipe: bytearray() for pipe in pipes}
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("jobhooks", timeout)
            for key, _ in ready:
                received = os.read(key.fd, 1 << 16)
                read[key.fd] += received
                if not received:
                    selector.unregister(key.fd)
    return [read[pipe].decode().replace("\r\n", "\n") for pipe in pipes]


@functools.cache
def _launcher() -> socket.socket:
    """Start the launcher, once for each process that runs tests; it ends with that process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_REQUEST)
    with theirs:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("JOBHOOKS_", "PG"))}
        started = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environment,
        )
    atexit.register(_end, started, ours)
    return ours


def _end(started: "subprocess.Popen[bytes]", control: socket.socket) -> None:
    control.close()
    started.wait()


def _send(control: socket.socket, request: object, descriptors: Sequence[int]) -> None:
    socket.send_fds(control, [json.dumps(request).encode()], list(descriptors))


def _receive(control: socket.socket) -> tuple[Any, list[int]] | None:
    """Receive a request and its descriptors; None if the other side has closed."""
    request, descriptors, _, _ = socket.recv_fds(control, LARGEST_REQUEST, MOST_DESCRIPTORS)
    return (json.loads(request), descriptors) if request else None


# The rest runs in the launcher and in its children.


def serve(control: socket.socket) -> None:
    """Fork a child for each request, and report its process id and then its exit code."""
    statuses: dict[int, socket.socket] = {}
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, _wake_up)
    signal.set_wakeup_fd(wakes.fileno())
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is woken:
                    woken.recv(1 << 16)
                    _report_ended(statuses)
                elif (received := _receive(control)) is None:
                    return
                else:
                    child, status = _fork(*received, [selector, control, woken, wakes, *statuses.values()])
                    statuses[child] = status


def _fork(request: Any, descriptors: list[int], of_launcher: Sequence[Closable]) -> tuple[int, socket.socket]:
    status = socket.socket(fileno=descriptors.pop())
    child = os.fork()
    if child == 0:
        _end_as_python(lambda: _become(request, descriptors, [status, *of_launcher]))
    for stream in descriptors:
        os.close(stream)
    status.sendall(EXIT_CODE.pack(child))
    return child, status


def _wake_up(number: int, frame: object) -> None:
    """Do nothing: a signal with a handler writes to the descriptor that the loop waits for."""


def _report_ended(statuses: dict[int, socket.socket]) -> None:
    while statuses:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        with statuses.pop(child) as connection, contextlib.suppress(BrokenPipeError):
            connection.sendall(EXIT_CODE.pack(os.waitstatus_to_exitcode(status)))


def _become(request: Any, streams: list[int], of_launcher: Sequence[Closable]) -> None:
    """Be the process that a shell would have started with ``python -m jobhooks``."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in of_launcher:
        each.close()
    _take_streams(streams)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if request["arguments"][:1] == ["run"]:
        util.spawnv_passfds = _Spares().spawn
    sys.argv = ["jobhooks", *request["arguments"]]
    runpy.run_module("jobhooks", run_name="__main__", alter_sys=True)


def _take_streams(streams: list[int]) -> None:
    """Make ``streams`` the standard streams, set up as Python does when it starts."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = _open(0, "rb", "strict")
    sys.stdout = _open(1, "wb", "strict")
    sys.stderr = _open(2, "wb", "backslashreplace")


def _open(descriptor: int, mode: Literal["rb", "wb"], errors: str) -> io.TextIOWrapper:
    lines = descriptor == 2 or (descriptor == 1 and os.isatty(descriptor))
    stream = open(descriptor, mode, closefd=False)  # noqa: SIM115 - it is open until the process ends
    return io.TextIOWrapper(stream, errors=errors, line_buffering=lines)


def _end_as_python(main: Callable[[], object]) -> NoReturn:
    """Run ``main`` and end as Python ends, but leave the memory to the system."""
    code = 0
    try:
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    # The interpreter's own steps; it would go on to free all memory, object by object, for as long as a command takes.
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it, or it is closed
        code = 120
    os._exit(code)


class _Spares:
    """Forks of a daemon that has done nothing yet; each becomes a Python program that multiprocessing starts.

    The fork server of the workers would import jobhooks again. A fork from before the daemon has threads and
    connections has imported it already.
    """

    def __init__(self) -> None:
        self._spares: list[tuple[int, socket.socket]] = []
        for _ in range(SPARES):
            self._spares.append(self._fork())

    def spawn(self, path: bytes, arguments: Sequence[str], descriptors: Sequence[int]) -> int:
        """Take the place of ``multiprocessing.util.spawnv_passfds``, whose arguments end in a Python program."""
        while self._spares:
            pid, control = self._spares.pop()
            with control, contextlib.suppress(OSError):  # it was killed, as any process of a daemon may be
                _send(control, [arguments[-1], list(descriptors)], descriptors)
                return pid
        return SPAWN(path, arguments, descriptors)

    def _fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid:
            theirs.close()
            return pid, ours
        for connection in (ours, *(other for _, other in self._spares)):
            connection.close()
        received = _receive(theirs)
        theirs.close()
        if received is None:
            os._exit(0)
        (program, numbers), descriptors = received
        # A number needed for one descriptor may be in use by another.
        apart = [fcntl.fcntl(each, fcntl.F_DUPFD, ABOVE) for each in descriptors]
        for descriptor, number, original in zip(apart, numbers, descriptors, strict=True):
            os.close(original)
            os.dup2(descriptor, number)
            os.close(descriptor)
        _end_as_python(functools.partial(exec, program, {}))


def _prepare() -> None:
    """Import the modules that a child would import."""
    found = [module.name for module in pkgutil.walk_packages(jobhooks.__path__, "jobhooks.")]
    for name in (*PREPARED, *(name for name in found if not name.startswith(LEFT_OUT))):
        importlib.import_module(name)
    # What Python compiles and caches at the first use: the expressions of its tokenizer, and the places of packages.
    inspect.getsourcelines(Process)
    importlib.metadata.entry_points()
    # The files of sql/, which a process reads once.
    queries.query_texts()
    queries.repeatable()


if __name__ == "__main__":
    gc.disable()  # until all is loaded, which stays
    sys.path.pop(0)  # the folder of this file
    _prepare()
    sys.path.insert(0, "")  # for the directory of a child
    gc.collect()
    gc.freeze()
    gc.enable()
    serve(socket.socket(fileno=int(sys.argv[1])))

"""One worker process, seen from the daemon."""

import asyncio
import contextlib
import os
import pickle
import select
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any, TypeVar, cast

from jobhooks.contract.control import WorkerDied
from jobhooks.engine.running.in_process.fork_server import started
from jobhooks.engine.running.in_process.line_file import LineFile
from jobhooks.engine.running.in_process.messages import Incoming, encoded
from jobhooks.runtime.signal_names import signal_name

T = TypeVar("T")
START_S = 120.0  # how long a worker may take to import its receiver
CLOSE_S = 2.0  # how long an idle worker may take to end
LAST_WORDS_S = 0.05  # after a worker has died, until its last message has arrived
STATUS_S = 2.0  # how long a killed worker may take to end, and the fork server to report the exit code
UNKNOWN = 255  # the exit code if the fork server itself was killed


class Worker(asyncio.Protocol):
    """One worker process, and the connection to it.

    Its death is noticed by the end of the connection, and by its process descriptor, because a program that the
    receiver started may hold the connection open.
    """

    def __init__(self, process: ForkServerProcess, lines: LineFile) -> None:
        self._process = process
        self.lines = lines
        self.lines_wanted = False  # by the current call, also after it has died
        self.pid = process.pid
        self.version: int | None = None  # of the receiver that it has imported
        self._loop = asyncio.get_running_loop()
        self._incoming = Incoming()
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self.idle_since = 0.0  # by the loop's clock
        self.leftovers: str | None = None  # what runs left in it, so that it must not be used again
        self._lost = False  # there will be no further answer
        self._died = asyncio.Event()
        self._descriptor: int | None = None

    @classmethod
    async def start(cls, arguments: tuple[Any, ...]) -> "Worker":
        """Start a worker, and wait until it is ready.

        Raises:
            WorkerDied: it has ended, takes too long, or cannot be started.
        """
        process, connection, lines = await started(arguments)
        new = cls(process, lines)
        try:
            new._watch()
            await new._loop.create_unix_connection(lambda: new, sock=connection)
            new.version = new._version(await new._answered("while it imported the receiver", START_S))
        except TimeoutError:
            raise WorkerDied(f"the worker process did not import the receiver within {START_S:.0f} seconds") from None
        except BaseException:
            new.kill()
            raise
        return new

    @property
    def is_idle(self) -> bool:
        """Whether it can be given work."""
        return self._answer is None and not self._lost and self.leftovers is None and not self._has_ended

    @property
    def _has_ended(self) -> bool:
        """Whether the process has ended, also if the event loop has not noticed that yet."""
        if self._descriptor is None:
            return self._died.is_set()
        ready = select.poll()
        ready.register(self._descriptor, select.POLLIN)
        return bool(ready.poll(0))

    async def call(self, work: Callable[..., T], argument: object, limit_s: float | None) -> T:
        """Have it call a function; see ``WorkerPool.call``."""
        assert self._transport is not None
        self._transport.write(encoded((work, argument)))
        match await self._answered("while it ran the receiver", limit_s):
            case (value, None, None | str() as leftovers):
                self.leftovers = leftovers
                return cast("T", value)
            case (None, Exception() as error, None | str() as leftovers):
                self.leftovers = leftovers
                raise error
            case _:
                raise self._garbled()

    def _version(self, answer: object) -> int | None:
        if answer is not None and not isinstance(answer, int):
            raise self._garbled()
        return answer

    def _garbled(self) -> WorkerDied:
        """Kill it: the receiver wrote to the connection, so its next answer cannot be told from others."""
        self._lost = True
        self.kill()
        return WorkerDied("the worker process sent an answer that cannot be read")

    async def _answered(self, doing: str, limit_s: float | None) -> Any:
        """Wait for its answer. If there is no answer, kill it."""
        self._answer = self._loop.create_future()
        self._pass_on()
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._answer
        except EOFError:
            self.kill()
            code = await self._exit_code()
            died = WorkerDied(how_it_ended(code, doing))
            died.code = code
            raise died from None
        except BaseException:
            self.kill()
            raise
        try:
            message = pickle.loads(answer)  # noqa: S301 - from a process of the daemon
        except Exception as exc:
            raise self._garbled() from exc
        self._answer = None
        return message

    def cancel(self) -> None:
        """Cancel the current call."""
        if self._answer is not None:
            self._answer.cancel()

    def release_lines(self) -> None:
        """The current call has ended."""
        self.lines_wanted = False
        if self._died.is_set():
            self.lines.close()

    def fail(self, error: Exception) -> None:
        """Kill it, and let the current call raise this error, unless its answer has arrived."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def end(self) -> None:
        """Begin to end it: it ends when its connection is closed, and is killed if it does not."""
        if self._transport is not None:
            self._transport.close()
        if not self._died.is_set():
            self._loop.call_later(CLOSE_S, self.kill)

    async def ended(self) -> None:
        """Wait until it has ended; kill it after some seconds."""
        for _ in range(2):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._died.wait()
            self.kill()

    def kill(self) -> None:
        """Kill it."""
        if self._transport is not None:
            self._transport.close()
        self.kill_process()

    def kill_process(self) -> None:
        """Kill it, and leave its connection as it is."""
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        elif not self._died.is_set():
            self._process.kill()

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in an answer, or a part of one."""
        self._incoming.feed(data)
        self._pass_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Fail the current call."""
        self._lose()

    def _lose(self) -> None:
        self._lost = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._answer is None or self._answer.done():
            return
        if (answer := self._incoming.next()) is not None:
            self._answer.set_result(answer)
        elif self._lost:
            self._answer.set_exception(EOFError())

    # The process.

    def _watch(self) -> None:
        """Notice when it ends."""
        assert self._process.pid is not None
        try:
            self._descriptor = os.pidfd_open(self._process.pid)
        except ProcessLookupError:
            self._died.set()
            self.lines.close()
            self._lose_soon()
        except (AttributeError, OSError):  # not Linux, or not allowed: the fork server reports its end
            self._loop.add_reader(self._process.sentinel, self._on_died, self._process.sentinel)
        else:
            self._loop.add_reader(self._descriptor, self._on_died, self._descriptor)

    def _on_died(self, watched: int) -> None:
        self._loop.remove_reader(watched)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._died.set()
        if not self.lines_wanted:
            self.lines.close()
        self._lose_soon()
        self._loop.call_later(STATUS_S, self._release)

    def _release(self) -> None:
        """Close the descriptors that multiprocessing has of it."""
        with contextlib.suppress(ValueError):  # the fork server has not reported its end
            self._process.close()

    def _lose_soon(self) -> None:
        """Give up once its last message has had time to arrive."""
        self._loop.call_later(LAST_WORDS_S, self._lose)

    async def _exit_code(self) -> int:
        """Its exit code, once it has ended and the fork server has reported it."""
        reported = asyncio.Event()
        sentinel = self._process.sentinel
        try:
            async with asyncio.timeout(STATUS_S):
                await self._died.wait()
                self._loop.add_reader(sentinel, reported.set)
                await reported.wait()
        except TimeoutError:
            return UNKNOWN
        finally:
            self._loop.remove_reader(sentinel)
        code = self._process.exitcode
        self._release()
        return UNKNOWN if code is None else code


def how_it_ended(code: int, doing: str) -> str:
    """Describe the end of a worker process."""
    if code == UNKNOWN:
        return f"the worker process ended {doing}"
    if code < 0:
        return f"the worker process was ended by {signal_name(-code)} {doing}"
    return f"the worker process ended with exit code {code} {doing}"

"""Starting worker processes, from a server process that forks them."""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import socket
import threading
from multiprocessing.context import ForkServerProcess
from typing import Any

from jobhooks.contract.control import WorkerDied
from jobhooks.engine.running.in_process import worker
from jobhooks.engine.running.in_process.line_file import LineFile

# Seconds before each further attempt to start one: the fork server may have been killed. It is started again once the
# system has ended it, which takes a moment.
START_AGAIN_S = (0.01, 0.1, 0.5, 2.0)

_starting = threading.Lock()  # multiprocessing starts one process at a time


async def started(arguments: tuple[Any, ...]) -> tuple[ForkServerProcess, socket.socket, LineFile]:
    """Start a process, and return it with the daemon's end of the connection to it, and the file of its log lines.

    Raises:
        WorkerDied: it cannot be started.
    """
    for wait_s in (*START_AGAIN_S, None):
        try:
            return await _start(arguments)
        except (OSError, EOFError) as exc:
            if wait_s is None:
                raise WorkerDied(f"the worker process cannot be started: {exc or type(exc).__name__}") from exc
            await asyncio.sleep(wait_s)
    raise AssertionError


async def _start(arguments: tuple[Any, ...]) -> tuple[ForkServerProcess, socket.socket, LineFile]:
    ours, theirs = socket.socketpair()
    lines = LineFile.create()
    # From a server process that has neither threads nor connections: a fork of the daemon would inherit both.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__])
    process = context.Process(target=worker.serve, args=(theirs, lines, *arguments), name="jobhooks worker")
    starting = asyncio.get_running_loop().run_in_executor(None, _start_locked, process)
    try:
        await asyncio.shield(starting)
    except BaseException:
        starting.add_done_callback(lambda _: ours.close())  # a process that starts nevertheless ends by this
        starting.add_done_callback(lambda _: lines.close())
        raise
    finally:
        starting.add_done_callback(lambda _: theirs.close())
    return process, ours, lines


def _start_locked(process: ForkServerProcess) -> None:
    with _starting:
        process.start()
        # Workers end with the daemon (``worker.initialize``). multiprocessing would read their exit codes in this
        # thread, and wait for them when the daemon ends.
        multiprocessing.process._children.discard(process)  # pyright: ignore - private, see above


async def start_fork_server() -> None:
    """Start the process that workers are forked from, which takes longer than a fork. The first fork reports errors."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__])
    with contextlib.suppress(OSError, EOFError):
        await asyncio.get_running_loop().run_in_executor(None, _ensure_fork_server)


def _ensure_fork_server() -> None:
    with _starting:
        multiprocessing.forkserver.ensure_running()


def stop_helpers() -> None:
    """End multiprocessing's processes, and wait: a service manager would kill those that are left, and log that."""
    with _starting, contextlib.suppress(OSError):
        multiprocessing.forkserver._forkserver._stop()  # pyright: ignore - private; otherwise they end after this process
        multiprocessing.resource_tracker._resource_tracker._stop()  # pyright: ignore - the same

"""The pool of worker processes: every call ends, whatever is killed, and the next one works."""

import asyncio
import contextlib
import multiprocessing.forkserver
import os
import select
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from jobhooks.contract.control import WorkerDied
from jobhooks.discovery.loading import find_receivers
from jobhooks.engine.running.in_process import pool as pools, worker_process
from jobhooks.engine.running.in_process.messages import encoded
from jobhooks.engine.running.in_process.pool import WorkerPool
from support.engine.running import until
from support.engine.working import (
    close_everything,
    fail,
    hang,
    leave,
    leave_threads,
    process_id,
    same,
    unsendable,
    use_a_connection_after_its_run,
    write_on_connections,
)
from support.hooking import write_receivers

RECEIVERS = """
import multiprocessing, os
from jobhooks import JobHookReceiver

class Works(JobHookReceiver):
    def receive_job_hook(self, change):
        pass
"""
DIES_AT_START = """
if multiprocessing.parent_process() is not None:
    os._exit(139)
"""
ENDS_BY_SIGTERM = """
import pathlib, signal
once = pathlib.Path("{}")
if multiprocessing.parent_process() is not None and not once.exists():
    once.touch()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
"""
HANGS_AT_START = """
if multiprocessing.parent_process() is not None:
    while True:
        pass
"""


def arguments(folder: Path, more: str = "") -> tuple[object, ...]:
    registry = find_receivers([write_receivers(folder / "receivers", RECEIVERS + more)])
    found = registry.receivers["r.Works"]
    return os.getpid(), "dbname=nowhere", None, None, found.class_path, found.origin


async def test_a_worker_has_the_version_that_it_has_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package can be upgraded while the daemon runs: workers that start then import the new one."""
    metadata = tmp_path / "pooled_hooks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pooled-hooks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[jobhooks.receivers]\nall = pooled_hooks\n")
    (tmp_path / "pooled_hooks.py").write_text(RECEIVERS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = find_receivers([]).receivers["pooled_hooks.Works"]
    made = os.getpid(), "dbname=nowhere", None, None, found.class_path, found.origin
    for is_upgraded in (False, True):
        if is_upgraded:
            (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pooled-hooks\nVersion: 1.1\n")
        pool = WorkerPool(made, list[str]().append)
        workers: list[worker_process.Worker] = []
        try:
            assert await pool.call(same, 1, 60, workers.append) == 1
        finally:
            await pool.close()
        assert workers[0].version is not None and (workers[0].version != found.version) == is_upgraded


@pytest.fixture
def reported() -> list[str]:
    """Why workers were ended because of what runs had left in them."""
    return []


@contextlib.asynccontextmanager
async def opened(folder: Path, more: str = "", reported: list[str] | None = None) -> AsyncGenerator[WorkerPool]:
    pool = WorkerPool(arguments(folder, more), ([] if reported is None else reported).append)
    try:
        async with asyncio.timeout(60):
            yield pool
    finally:
        await pool.close()


@pytest.fixture
async def pool(tmp_path: Path, reported: list[str]) -> AsyncGenerator[WorkerPool]:
    async with opened(tmp_path, reported=reported) as made:
        yield made


def runs(process: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def hanging(pool: WorkerPool, folder: Path, limit_s: float | None = None) -> tuple[asyncio.Task[None], int]:
    """A call that hangs, and the id of its process."""
    started = folder / f"started-{os.urandom(4).hex()}"
    call = asyncio.create_task(pool.call(hang, started, limit_s))
    await until("it hangs", lambda: started.exists() and started.read_text())
    return call, int(started.read_text())


async def test_a_worker_is_kept_for_the_next_call(pool: WorkerPool) -> None:
    first = await pool.call(process_id, None, None)
    assert first != os.getpid() and await pool.call(process_id, None, None) == first
    both = await asyncio.gather(pool.call(process_id, None, None), pool.call(process_id, None, None))
    assert len(set(both)) == 2


async def test_a_worker_ends_in_which_runs_leave_more_and_more_threads(pool: WorkerPool, reported: list[str]) -> None:
    """Some are kept: a library may have one for the whole process."""
    first = await pool.call(leave_threads, 10, None)
    assert await pool.call(leave_threads, 30, None) == first and reported == []
    assert await pool.call(leave_threads, 1, None) == first
    assert reported == ["its runs have left 41 threads"]
    assert await pool.call(process_id, None, None) != first


async def test_a_worker_ends_in_which_a_thread_of_a_former_run_uses_its_connection(
    pool: WorkerPool, reported: list[str]
) -> None:
    """It would go on, and write in no run."""
    first = await pool.call(use_a_connection_after_its_run, None, None)
    assert reported == ["a run left a thread or a callback that used the run's connection after its end"]
    assert await pool.call(process_id, None, None) != first


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
async def test_messages_of_any_size_pass(pool: WorkerPool, size: int) -> None:
    assert await pool.call(same, b"x" * size, None) == b"x" * size


@pytest.mark.parametrize("code", [0, 3])
async def test_a_worker_that_ends_ends_its_call(pool: WorkerPool, code: int) -> None:
    with pytest.raises(WorkerDied, match=rf"exit code {code}\b"):
        await pool.call(leave, code, None)
    assert await pool.call(same, 1, None) == 1


@pytest.mark.parametrize("sent", [bytes(7) + b"\x05helloand more", encoded(5)], ids=["no pickle", "no answer"])
async def test_a_worker_that_writes_to_its_connection_ends_its_call(pool: WorkerPool, sent: bytes) -> None:
    """Its next answer could be that of another call, so it is killed."""
    with pytest.raises(WorkerDied, match="an answer that cannot be read"):
        await pool.call(write_on_connections, sent, None)
    assert await pool.call(same, 1, None) == 1


async def test_a_worker_that_is_killed_ends_its_call_and_no_other(pool: WorkerPool, tmp_path: Path) -> None:
    (one, first), (other, second) = await hanging(pool, tmp_path), await hanging(pool, tmp_path)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="ended by SIGKILL"):
        await one
    assert not other.done()
    os.kill(second, signal.SIGKILL)
    with pytest.raises(WorkerDied, match="ended by SIGKILL"):
        await other
    assert await pool.call(same, 1, None) == 1


async def test_an_idle_worker_that_is_killed_is_replaced(pool: WorkerPool) -> None:
    first = await pool.call(process_id, None, None)
    descriptor = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    assert select.select([descriptor], [], [], 10)[0]  # without the event loop, which must not notice it
    os.close(descriptor)
    assert await pool.call(process_id, None, None) != first


async def test_a_killed_fork_server_is_started_again(pool: WorkerPool, tmp_path: Path) -> None:
    """Its workers go on; if one dies then, its exit code is not known."""
    call, process = await hanging(pool, tmp_path)
    server: Any = multiprocessing.forkserver._forkserver  # pyright: ignore[reportPrivateUsage] - nothing else names it
    os.kill(server._forkserver_pid, signal.SIGKILL)
    assert await pool.call(same, 1, None) == 1
    assert not call.done()
    os.kill(process, signal.SIGKILL)
    with pytest.raises(WorkerDied) as caught:
        await call
    assert "exit code" not in str(caught.value)
    assert await pool.call(same, 1, None) == 1


async def test_a_worker_that_dies_at_its_start_ends_its_call(tmp_path: Path) -> None:
    async with opened(tmp_path, DIES_AT_START) as pool:
        for _ in range(2):
            with pytest.raises(WorkerDied, match="exit code 139"):
                await pool.call(same, 1, None)


async def test_a_worker_that_hangs_at_its_start_ends_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "START_S", 1.0)
    async with opened(tmp_path, HANGS_AT_START) as pool:
        with pytest.raises(WorkerDied, match="1 seconds"):
            await pool.call(same, 1, None)


async def test_a_worker_that_closes_its_connection_is_killed(pool: WorkerPool) -> None:
    with pytest.raises(WorkerDied):
        await pool.call(close_everything, None, None)
    assert await pool.call(same, 1, None) == 1


async def test_a_call_that_takes_too_long_is_ended(pool: WorkerPool, tmp_path: Path) -> None:
    call, process = await hanging(pool, tmp_path, 0.2)
    with pytest.raises(TimeoutError):
        await call
    await until("its process is gone", lambda: not runs(process))
    assert await pool.call(same, 1, None) == 1


async def test_a_cancelled_call_ends_its_process(pool: WorkerPool, tmp_path: Path) -> None:
    (one, first), (other, second) = await hanging(pool, tmp_path), await hanging(pool, tmp_path)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert not other.done()
    pool.cancel_calls()
    with pytest.raises(asyncio.CancelledError):
        await other
    await until("they are gone", lambda: not runs(first) and not runs(second))
    assert await pool.call(same, 1, None) == 1


@pytest.mark.parametrize(("work", "error"), [(fail, "LookupError: no"), (unsendable, r"unsendable\.<locals>")])
async def test_an_error_in_a_worker_is_passed_on(pool: WorkerPool, work: object, error: str) -> None:
    first = await pool.call(process_id, None, None)
    with pytest.raises(RuntimeError, match=error):
        await pool.call(work, None, None)  # pyright: ignore[reportArgumentType]
    assert await pool.call(process_id, None, None) == first


async def test_closing_leaves_no_process(pool: WorkerPool, tmp_path: Path) -> None:
    idle = await pool.call(process_id, None, None)
    call, busy = await hanging(pool, tmp_path)
    other, ignoring = await hanging(pool, tmp_path)
    await pool.close()
    for each in (call, other):
        with pytest.raises(WorkerDied):
            await each
    assert not any(map(runs, (idle, busy, ignoring)))


async def test_a_retired_pool_ends_its_workers_after_their_calls(pool: WorkerPool, tmp_path: Path) -> None:
    idle = await pool.call(process_id, None, None)
    call, busy = await hanging(pool, tmp_path)
    pool.retire()
    await until("the idle one is gone", lambda: not runs(idle) or busy == idle)
    assert runs(busy) and not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until("the other one is gone", lambda: not runs(busy))


async def test_idle_workers_end_and_the_next_call_starts_one(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_S", 0.5)
    both = await asyncio.gather(pool.call(process_id, None, None), pool.call(process_id, None, None))
    for _ in range(10):  # one is used all the time
        assert await pool.call(process_id, None, None) in both
        await asyncio.sleep(0.1)
    assert [runs(each) for each in sorted(both, key=runs)] == [False, True]
    await until("the other one is gone as well", lambda: not any(map(runs, both)))
    assert await pool.call(process_id, None, None) not in both


async def test_a_worker_leaves_sigterm_to_the_daemon(pool: WorkerPool, tmp_path: Path) -> None:
    """Some service managers send it to all processes of a service."""
    call, process = await hanging(pool, tmp_path)
    idle = await pool.call(process_id, None, None)
    os.kill(process, signal.SIGTERM)
    os.kill(idle, signal.SIGTERM)
    assert await pool.call(process_id, None, None) == idle
    assert runs(process) and not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_worker_that_gets_sigterm_at_its_start_is_started_again(tmp_path: Path) -> None:
    async with opened(tmp_path, ENDS_BY_SIGTERM.format(tmp_path / "once")) as pool:
        assert await pool.call(same, 1, None) == 1


async def test_no_descriptor_is_left(pool: WorkerPool) -> None:
    await pool.call(same, 1, None)
    before = descriptors()
    for _ in range(5):
        with pytest.raises(WorkerDied):
            await pool.call(leave, 0, None)
    assert await pool.call(same, 1, None) == 1
    await until("all are closed", lambda: descriptors() <= before)

"""Receivers that are added, changed, broken, mended and removed while the daemon runs."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from support.daemon import Daemon, wait_until
from support.delivering import backlog, read_by_others, reads_alone, settled, statuses, write
from support.hooking import add_hook, write_receivers

ASYNC = """
import asyncio
from pathlib import Path
from jobhooks import JobHookReceiver

class C(JobHookReceiver):
    async def receive_job_hook(self, change):
        if change.postchange["name"] == "waits":
            Path("runs").touch()
            while not Path("go on").exists():
                await asyncio.sleep(0.01)
        await self.connection.execute(
            "insert into public.seen (object, word) values ($1, 'old')", change.changed_object_id
        )
"""
DEF = """
import time
from pathlib import Path
from jobhooks import JobHookReceiver

class C(JobHookReceiver):
    def receive_job_hook(self, change):
        if change.postchange["name"] == "waits":
            Path("runs").touch()
            while not Path("go on").exists():
                time.sleep(0.01)
        self.connection.execute("insert into public.seen (object, word) values (%s, 'old')", [change.changed_object_id])
"""
EITHER = pytest.mark.parametrize("text", [pytest.param(ASYNC, id="async def"), pytest.param(DEF, id="def")])


def seen_words(conn: Connection) -> list[tuple[object, ...]]:
    return conn.execute("select object, word from public.seen order by object").fetchall()


def installed(conn: Connection, job: str) -> Callable[[], bool]:
    def look() -> bool:
        return conn.execute("select installed from jobhooks.job where class_path = %s", [job]).fetchall() == [(True,)]

    return look


@EITHER
def test_a_run_goes_on_with_the_code_that_it_began_with_and_the_next_has_the_new(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    receivers = write_receivers(tmp_path / "receivers", text)
    add_hook(database, receivers, "r.C")
    old = version(receivers)
    with Daemon(database, receivers, log).await_started() as daemon:
        waits = write(seen, "waits", 1)
        wait_until("it runs", lambda: (receivers / "runs").exists())
        write_receivers(receivers, text.replace("'old'", "'new'"))
        daemon.await_event("receivers_reloaded")
        after = write(seen, "x", 2)
        wait_until("the other is settled", settled_one(seen, after))
        assert seen_words(seen) == [(after, "new")]
        (receivers / "go on").touch()
        wait_until("both are settled", settled(seen, 2))
        assert daemon.terminate() == 0 and not daemon.tracebacks()
    assert seen_words(seen) == [(waits, "old"), (after, "new")]
    ran = seen.execute("select change_id, version from jobhooks.results order by change_id").fetchall()
    assert ran == [(waits, old), (after, version(receivers))] and old != version(receivers)


def version(receivers: Path) -> str:
    """The version of the code on disk."""
    return str(find_receivers([receivers]).receivers["r.C"].shown_version)


def settled_one(conn: Connection, change: int) -> Callable[[], bool]:
    def look() -> bool:
        return any(row[0] == change and row[2] == "success" for row in statuses(conn))

    return look


@EITHER
def test_a_file_that_does_not_import_leaves_the_code_as_it_was(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    """For example half written. The line is logged, and the next change fixes it."""
    receivers = write_receivers(tmp_path / "receivers", text)
    add_hook(database, receivers, "r.C")
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
        write_receivers(receivers, text + "\nclass D(")
        daemon.await_event("receiver_module_broken")
        write(seen, "x", 2)
        wait_until("it is settled", settled(seen, 2))
        write_receivers(receivers, text.replace("'old'", "'new'"))
        daemon.await_event("receivers_reloaded")
        write(seen, "x", 3)
        wait_until("it is settled", settled(seen, 3))
        assert not daemon.events("output_outside_a_run"), "of the library that watches the files"
    assert [word for _, word in seen_words(seen)] == ["old", "old", "new"]


@EITHER
def test_deliveries_of_a_receiver_that_is_gone_wait_until_it_is_back(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    """In order, with no attempt, also for a daemon that never knew it; and its job says that it is not installed."""
    receivers = write_receivers(tmp_path / "receivers", text)
    add_hook(database, receivers, "r.C")
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
        (receivers / "r.py").unlink()
        daemon.await_event("receivers_reloaded")
        wait_until("it is not installed", lambda: not installed(seen, "r.C")())
        write(seen, "x", 2)
        seen.execute("update public.device set serial = '3' where id = 2")
        wait_until("the others read past them", read_by_others(seen))
        assert daemon.terminate() == 0
    with Daemon(database, receivers, log.with_name("again")).await_started() as daemon:
        seen.execute("update public.device set serial = '4' where id = 2")
        wait_until("the others read past them", read_by_others(seen))
        assert backlog(seen) == []
        assert len(statuses(seen)) == 1
        write_receivers(receivers, text)
        wait_until("it is installed", installed(seen, "r.C"))
        wait_until("all is settled", settled(seen, 4))
    assert {status for *_, status in statuses(seen)} == {"success"}


def test_a_signal_has_all_tried_again_that_did_not_import(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """No event reports that a missing library is now installed: the module itself has not changed."""
    receivers = write_receivers(tmp_path / "receivers", "import comes_later\n" + ASYNC)
    library = tmp_path / "library"
    library.mkdir()
    with Daemon(database, receivers, log, PYTHONPATH=str(library)).await_started() as daemon:
        (library / "comes_later.py").write_text("")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until("its job is there", installed(seen, "r.C"))
        assert seen.execute("select enabled from jobhooks.job where class_path = 'r.C'").fetchall() == [(False,)]
        assert len(daemon.events("receiver_module_broken")) == 1


def test_what_has_not_changed_is_not_imported_again(tmp_path: Path) -> None:
    receivers = write_receivers(tmp_path / "receivers", ASYNC, "one")
    write_receivers(receivers, DEF, "two")
    first = find_receivers([receivers])
    write_receivers(receivers, DEF.replace("'old'", "'new'"), "two")
    again = find_receivers([receivers], first)
    assert again.receivers["one.C"] is first.receivers["one.C"]
    assert again.receivers["two.C"] is not first.receivers["two.C"]
    (receivers / "_shared.py").write_text("")
    assert find_receivers([receivers], again).receivers["one.C"] is not first.receivers["one.C"]


def test_a_worker_that_starts_later_has_the_code_that_still_counts(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """The file does not import at that time: the daemon and the worker's process use the known code."""
    receivers = write_receivers(tmp_path / "receivers", DEF)
    add_hook(database, receivers, "r.C")
    with Daemon(database, receivers, log).await_started() as daemon:
        write_receivers(receivers, DEF + "\nclass D(")
        daemon.await_event("receiver_module_broken")
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
    assert [status for *_, status in statuses(seen)] == ["success"]


@EITHER
def test_receivers_of_a_directory_that_comes_later_run(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    """Also without a signal."""
    (tmp_path / "receivers").mkdir()
    later = tmp_path / "later"
    path = f"{tmp_path / 'receivers'}:{later}"
    with Daemon(database, tmp_path / "receivers", log, "--receivers-path", path).await_started():
        write_receivers(later, text, "r")
        wait_until("its job is there", installed(seen, "r.C"))
        add_hook(database, later, "r.C")
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
    assert [status for *_, status in statuses(seen)] == ["success"]


@EITHER
def test_another_directory_in_the_place_of_one_is_taken(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    """As releases are rolled out: the new one is made aside, and a link is turned to it in one step."""
    for release, word in (("1", "old"), ("2", "new")):
        write_receivers(tmp_path / release, text.replace("'old'", f"'{word}'"))
    (tmp_path / "receivers").symlink_to("1")
    add_hook(database, tmp_path / "receivers", "r.C")
    with Daemon(database, tmp_path / "receivers", log).await_started() as daemon:
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
        (tmp_path / "next").symlink_to("2")
        (tmp_path / "next").rename(tmp_path / "receivers")
        daemon.await_event("receivers_reloaded")
        write(seen, "x", 2)
        wait_until("it is settled", settled(seen, 2))
        write_receivers(tmp_path / "2", text.replace("'old'", "'newer'"))
        daemon.await_event("receivers_reloaded", 2)
        write(seen, "x", 3)
        wait_until("it is settled", settled(seen, 3))
    assert [word for _, word in seen_words(seen)] == ["old", "new", "newer"]


PROCESS = """
import os
from jobhooks import JobHookReceiver

class C(JobHookReceiver):
    def receive_job_hook(self, change):
        self.connection.execute(
            "insert into public.seen (object, word) values (%s, %s)", [change.changed_object_id, str(os.getpid())]
        )
"""


def test_processes_of_what_has_not_changed_stay_and_those_of_what_has_end(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    receivers = write_receivers(tmp_path / "receivers", PROCESS)
    add_hook(database, receivers, "r.C")
    with Daemon(database, receivers, log, "--config", one_worker(tmp_path)).await_started() as daemon:
        write(seen, "x", 1)
        wait_until("it is settled", settled(seen, 1))
        write_receivers(receivers, ASYNC, "other")
        daemon.await_event("receivers_reloaded")
        write(seen, "x", 2)
        wait_until("it is settled", settled(seen, 2))
        write_receivers(receivers, PROCESS + "# changed")
        daemon.await_event("receivers_reloaded", 2)
        write(seen, "x", 3)
        wait_until("it is settled", settled(seen, 3))
        first, second, third = [str(word) for _, word in seen_words(seen)]
        assert first == second != third
        wait_until("the former process has ended", lambda: not Path("/proc", first).exists())


def one_worker(tmp_path: Path) -> str:
    (tmp_path / "one.toml").write_text("workers = 1\n")
    return str(tmp_path / "one.toml")


def test_what_was_handed_over_and_has_not_begun_waits_without_an_attempt(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """A worker gets many short ones at a time; it returns those that a slow one leaves no time for."""
    receivers = write_receivers(tmp_path / "receivers", DEF)
    add_hook(database, receivers, "r.C")
    with Daemon(database, receivers, log, "--config", one_worker(tmp_path)).await_started() as daemon:
        seen.execute("insert into public.device (name) select 'x' from generate_series(1, 300)")
        wait_until("they are settled, many at a time", settled(seen, 300))
        seen.execute(
            "insert into public.device (name) select case when i = 1 then 'waits' else 'x' end"
            " from generate_series(1, 100) as i"
        )
        wait_until("one runs", lambda: (receivers / "runs").exists())
        (receivers / "r.py").unlink()
        daemon.await_event("receivers_reloaded")
        (receivers / "go on").touch()
        wait_until("that one has ended", settled_one(seen, 301))
        wait_until("the others read past them", read_by_others(seen))
        assert all(attempts == 0 for _, _, attempts in backlog(seen))  # those that waited for the worker for long
        assert {status for *_, status in statuses(seen)} == {"success"}
        write_receivers(receivers, DEF)
        wait_until("all are settled", settled(seen, 400))
    assert {status for *_, status in statuses(seen)} == {"success"}
    assert len({row[0] for row in seen_words(seen)}) == len(seen_words(seen)) == 400


def test_a_hook_whose_receiver_is_missing_stands_still_and_holds_up_no_other(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    """It keeps its position, for any number of changes, and writes nothing; the others read on."""
    receivers = write_receivers(tmp_path / "receivers", ASYNC)
    add_hook(database, receivers, "r.C")
    (receivers / "r.py").unlink()
    with Daemon(database, receivers, log).await_started() as daemon:
        seen.execute("insert into public.device (name) select 'x' from generate_series(1, 500)")
        wait_until("the others read past them", read_by_others(seen))
        assert daemon.terminate() == 0
    with Daemon(database, receivers, log.with_name("again")).await_started() as daemon:
        seen.execute("insert into public.device (name) select 'x' from generate_series(1, 3000)")
        wait_until("the others read past them", read_by_others(seen))
        assert (backlog(seen), statuses(seen)) == ([], [])
        write_receivers(receivers, ASYNC)
        wait_until("all are settled", settled(seen, 3500))
        wait_until("it reads with the others again", lambda: not reads_alone(seen))
    assert {status for *_, status in statuses(seen)} == {"success"}
    assert len({row[0] for row in seen_words(seen)}) == len(seen_words(seen)) == 3500


def test_a_directory_that_is_safe_again_is_logged(seen: Connection, database: str, tmp_path: Path, log: Path) -> None:
    """Another file may still be broken; an administrator wants to know whether this fix worked."""
    receivers = write_receivers(tmp_path / "receivers", ASYNC)
    (other := tmp_path / "other").mkdir()
    (other / "broken.py").write_text("class D(")
    path = f"{receivers}:{other}"
    with Daemon(database, receivers, log, "--receivers-path", path).await_started() as daemon:
        receivers.chmod(0o777)
        daemon.await_event("receiver_module_broken", 2)
        receivers.chmod(0o755)
        (mended,) = daemon.await_event("receiver_module_mended")
        assert mended["path"] == str(receivers)

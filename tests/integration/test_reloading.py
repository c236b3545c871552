"""Receivers that are added, changed, broken, mended and removed while the daemon runs."""

import importlib.metadata
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.engine.loading import find_receivers
from support.daemon import Daemon, wait_until
from support.delivering import debts, settled, statuses, write
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


def settled_one(conn: Connection, change: int) -> Callable[[], bool]:
    def look() -> bool:
        return any(row[0] == change and row[2] == "success" for row in statuses(conn))

    return look


@EITHER
def test_a_file_that_does_not_import_leaves_the_code_as_it_was(
    seen: Connection, database: str, tmp_path: Path, log: Path, text: str
) -> None:
    """Half written, say. It is told with the line, and mended by the next change."""
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
        wait_until("they wait", lambda: len(debts(seen)) == 2)
        assert daemon.terminate() == 0
    with Daemon(database, receivers, log.with_name("again")).await_started() as daemon:
        seen.execute("update public.device set serial = '4' where id = 2")
        wait_until("they wait", lambda: len(debts(seen)) == 3)
        assert [row[1:] for row in debts(seen)] == [("waiting", 0), ("blocked", 0), ("blocked", 0)]
        write_receivers(receivers, text)
        wait_until("it is installed", installed(seen, "r.C"))
        wait_until("all is settled", settled(seen, 4))
    assert {status for *_, status in statuses(seen)} == {"success"}


def test_a_directory_that_comes_later_is_looked_into_and_so_it_is_on_a_signal(
    seen: Connection, database: str, tmp_path: Path, log: Path
) -> None:
    (tmp_path / "receivers").mkdir()
    later = tmp_path / "later"
    path = f"{tmp_path / 'receivers'}:{later}"
    with Daemon(database, tmp_path / "receivers", log, "--receivers-path", path).await_started() as daemon:
        write_receivers(later, ASYNC, "late")
        os.kill(daemon.process.pid, signal.SIGHUP)
        wait_until("its job is there", installed(seen, "late.C"))
        assert seen.execute("select enabled from jobhooks.job where class_path = 'late.C'").fetchall() == [(False,)]


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


@pytest.mark.parametrize("what", ["directory", "file", "package"])
def test_what_others_can_write_to_is_not_run(tmp_path: Path, what: str) -> None:
    receivers = write_receivers(tmp_path / "receivers", ASYNC)
    (receivers / "p").mkdir()
    (receivers / "p" / "__init__.py").write_text(ASYNC)
    place = {"directory": receivers, "file": receivers / "r.py", "package": receivers / "p"}[what]
    place.chmod(place.stat().st_mode | 0o002)
    findings = find_receivers([receivers])
    (broken,) = findings.broken
    assert broken.error.endswith(f"so nothing of it is run: chmod o-w {place}")
    assert len(findings.receivers) == (0 if what == "directory" else 1)


def test_installed_packages_bring_receivers_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module or a class; one that does not load is told and stops nothing else."""
    (tmp_path / "inventory_hooks.py").write_text(ASYNC)
    metadata = tmp_path / "inventory_hooks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: inventory-hooks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[jobhooks.receivers]\nall = inventory_hooks\none = inventory_hooks:C\nnone = no_such_module\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert importlib.metadata.distribution("inventory-hooks").version == "1.0"
    findings = find_receivers([])
    assert list(findings.receivers) == ["inventory_hooks.C"]
    ((module, error),) = [(broken.module, broken.error) for broken in findings.broken]
    assert module == "no_such_module" and error == "ModuleNotFoundError: No module named 'no_such_module'"

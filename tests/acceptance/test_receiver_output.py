"""The output and the standard library's log of a receiver are in the log of its run; the daemon's log stays JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Connection
from support.daemon import Daemon, jobhooks, wait_until
from support.delivering import settled, write
from support.hooking import add_hook, write_receivers

HELPERS = """
import asyncio, logging, sys, threading, traceback, warnings
from jobhooks import JobHookReceiver, get_task_logger

print("printed at import")
logging.getLogger("at.import").warning("logged at import: password=hunter2")
logger = get_task_logger("my.library")

def talk(name):
    print("printed", name)
    print("to stderr", file=sys.stderr)
    print("no ", end="")
    print("end", end="")
    sys.stdout.flush()
    logger.debug("too low")
    logger.info("%s of %s", 1, name, extra={"object": name, "grouping": "g"})
    logger.warning("token=abcdefghijkl")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.exception("by the root logger")
    logger.error("only for the console", extra={"skip_db_logging": True})
"""
# As the set-up of an application does it, in the run, so that the daemon has logged before, and logs after.
STRUCTURED = """
import structlog

def structured():
    structlog.contextvars.bind_contextvars(tenant="t1")
    logger = structlog.get_logger("my.structured")
    logger.info("hello %s", "you", port=3, password="hunter2")
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")
    plain = structlog.processors.KeyValueRenderer(sort_keys=True)
    structlog.configure(processors=[plain], logger_factory=structlog.PrintLoggerFactory())
    structlog.get_logger().warning("after that", port=4)
"""
RECEIVERS = (
    HELPERS
    + STRUCTURED
    + """
class Talks(JobHookReceiver):
    def receive_job_hook(self, change):
        talk(change.postchange["name"])
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()
        warnings.warn("a warning of Python")
    def after_return(self, status, value):
        print("after the run")

class TalksAsync(JobHookReceiver):
    async def receive_job_hook(self, change):
        talk(change.postchange["name"])
        await asyncio.to_thread(print, "from a thread")
        warnings.warn("a warning of Python")
    async def after_return(self, status, value):
        print("after the run")

class Interleaves(JobHookReceiver):
    arrived, all_here = 0, asyncio.Event()
    async def receive_job_hook(self, change):
        name = change.postchange["name"]
        for number in range(5):
            print(f"{name} {number}", end=" ")
            logger.info("%s", name)
            await asyncio.sleep(0)
            print("ended")
        Interleaves.arrived += 1
        if Interleaves.arrived == 3:
            self.all_here.set()
        await self.all_here.wait()
        print(name, "again")

class Leaves(JobHookReceiver):
    left = []
    async def receive_job_hook(self, change):
        async def later():
            await asyncio.sleep(0.01)
            print("from a task that was left: password=hunter2")
            logging.error("and its record")
        self.left.append(asyncio.create_task(later()))
        print("from the run")

class Structured(JobHookReceiver):
    def receive_job_hook(self, change):
        structured()

class StructuredAsync(JobHookReceiver):
    async def receive_job_hook(self, change):
        structured()

class Resets(JobHookReceiver):
    def receive_job_hook(self, change):
        logging.basicConfig(level=logging.DEBUG, force=True)
        logging.debug("by another handler")
        sys.stdout.buffer.write(b"bytes\\n")
        sys.__stderr__.flush()

class Takes(JobHookReceiver):  # the lines of others, as well as it can
    async def receive_job_hook(self, change):
        if change.postchange["name"] != "later":
            logging.basicConfig(level=logging.ERROR, force=True)
            logging.disable(logging.CRITICAL)
            sys.stdout.reconfigure(line_buffering=True)
            sys.stdout.close()
            sys.stdout.buffer.close()
        self.logger.warning("by the run's logger")
        logger.info("by a logger of a module")
        print("printed", flush=True)
        sys.stdout.buffer.flush()
"""
)


def lines(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select level, source, grouping, object, message from jobhooks.job_log_entry order by change_id, hook_id, line"
    ).fetchall()


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.mark.parametrize("receiver", ["Structured", "StructuredAsync"])
def test_events_of_structlog_are_in_the_log_of_the_run(
    device: Connection, database: str, receivers: Path, tmp_path: Path, receiver: str
) -> None:
    """A receiver that sets up structlog for itself leaves the daemon's log as it was."""
    add_hook(database, receivers, f"r.{receiver}")
    write(device, "a", 1)
    log = tmp_path / "daemon.log"
    with Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it is delivered", settled(device, 1))
        assert daemon.terminate() == 0
    said, failed, after = lines(device)
    assert said[:2] == ("info", "my.structured")
    assert said[4].startswith("hello you ") and "tenant='t1'" in said[4] and "port=3" in said[4]
    assert "hunter2" not in said[4]
    assert failed[0] == "error" and failed[4].endswith("ValueError: broken")
    assert (after[1], after[4]) == ("stdout", "event='after that' port=4")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert all("timestamp" in event and "tenant" not in event for event in events)
    assert {"delivered", "stopped"} <= {event["event"] for event in events}


@pytest.mark.parametrize("receiver", ["Talks", "TalksAsync"])
def test_output_is_in_the_log_of_the_run(
    device: Connection, database: str, receivers: Path, tmp_path: Path, receiver: str
) -> None:
    add_hook(database, receivers, f"r.{receiver}")
    write(device, "a", 1)
    log = tmp_path / "daemon.log"
    with Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it is delivered", settled(device, 1))
        assert daemon.terminate() == 0
    found = lines(device)
    (traced,) = [line for line in found if line[1] == "root"]
    (warned,) = [line for line in found if line[1] == "py.warnings"]
    assert [line for line in found if line not in (traced, warned)] == [
        ("info", "stdout", None, None, "printed a"),
        ("info", "stderr", None, None, "to stderr"),
        ("info", "my.library", "g", "a", "1 of a"),
        ("warning", "my.library", None, None, "token=***"),
        ("info", "stdout", None, None, "from a thread"),
        ("info", "stdout", None, None, "no end"),
        ("info", "stdout", None, None, "after the run"),
    ]
    assert traced[0] == "error" and traced[4].startswith("by the root logger\nTraceback")
    assert traced[4].endswith("ValueError: broken")
    assert warned[0] == "warning" and "a warning of Python" in warned[4]
    whole = log.read_text().splitlines()
    events = [json.loads(line) for line in whole]  # each line is JSON
    outside = [event for event in events if event["event"] == "output_outside_a_run"]
    assert {event["text"] for event in outside if "import" in event["text"]} == {
        "printed at import",
        "logged at import: password=***",
    }
    assert [event["level"] for event in outside if event["text"] == "only for the console"] == ["error"]
    shown = jobhooks("result", "logs", "--database-url", database)
    assert "info [my.library] [g]: a: 1 of a" in shown.stdout, shown


def test_runs_at_the_same_time_keep_their_lines_apart(
    device: Connection, database: str, receivers: Path, tmp_path: Path
) -> None:
    """Also where a line of one is begun, and another one prints before it ends."""
    add_hook(database, receivers, "r.Interleaves")
    for name in "abc":
        write(device, name, 1)
    with Daemon(database, receivers, tmp_path / "daemon.log").await_started():
        wait_until("all are delivered", settled(device, 3))
    found = device.execute(
        "select change_id, array_agg(distinct left(message, 1)), count(*) from jobhooks.job_log_entry"
        " group by 1 order by 1"
    ).fetchall()
    assert found == [(1, ["a"], 11), (2, ["b"], 11), (3, ["c"], 11)]


def test_what_a_run_has_left_belongs_to_no_run(
    device: Connection, database: str, receivers: Path, tmp_path: Path
) -> None:
    add_hook(database, receivers, "r.Leaves")
    write(device, "a", 1)
    with Daemon(database, receivers, tmp_path / "daemon.log").await_started() as daemon:

        def not_of_an_import() -> list[dict[str, object]]:  # which a reload repeats
            return [one for one in daemon.events("output_outside_a_run") if "import" not in str(one["text"])]

        wait_until("the task has ended", lambda: not_of_an_import()[1:])
        outside = not_of_an_import()
        wait_until("it is delivered", settled(device, 1))
    assert [(event["source"], event["text"], event["level"]) for event in outside] == [
        ("stdout", "from a task that was left: password=***", "info"),
        ("root", "and its record", "error"),
    ]
    assert [line[4] for line in lines(device)] == ["from the run"]


def test_a_receiver_that_configures_logging_breaks_nothing(
    device: Connection, database: str, receivers: Path, tmp_path: Path
) -> None:
    add_hook(database, receivers, "r.Resets")
    write(device, "a", 1)
    log = tmp_path / "daemon.log"
    with Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it is delivered", settled(device, 1))
        assert daemon.terminate() == 0
    assert [(line[1], line[4]) for line in lines(device)] == [
        ("stderr", "DEBUG:root:by another handler"),
        ("stdout", "bytes"),
    ]
    for line in log.read_text().splitlines():
        json.loads(line)


def test_a_receiver_that_sets_logging_up_takes_no_lines_from_later_runs(
    device: Connection, database: str, receivers: Path, tmp_path: Path
) -> None:
    """``async def`` receivers share a process: what one does to the root logger, or to stdout, is done to all."""
    add_hook(database, receivers, "r.Takes")
    with Daemon(database, receivers, tmp_path / "daemon.log").await_started() as daemon:
        write(device, "first", 1)
        wait_until("it is delivered", settled(device, 1))
        (event,) = daemon.await_event("logging_put_back", 1)
        assert event["level"] == "warning"
        write(device, "later", 1)
        wait_until("it is delivered", settled(device, 2))
    assert [line[1:2] + line[4:] for line in lines(device)] == [
        (None, "by the run's logger"),
        ("stdout", "printed"),
        (None, "by the run's logger"),
        ("my.library", "by a logger of a module"),
        ("stdout", "printed"),
    ]


SETS_UP_AT_IMPORT = """
import logging
from jobhooks import JobHookReceiver

logging.basicConfig(level=logging.ERROR, force=True)

class Warns(JobHookReceiver):
    def receive_job_hook(self, change):
        logging.warning("by the root logger")
"""


def test_a_module_that_sets_logging_up_at_import_keeps_levels_and_sources(
    device: Connection, database: str, tmp_path: Path
) -> None:
    receivers = write_receivers(tmp_path / "receivers", SETS_UP_AT_IMPORT)
    add_hook(database, receivers, "r.Warns")
    write(device, "a", 1)
    with Daemon(database, receivers, tmp_path / "daemon.log").await_started():
        wait_until("it is delivered", settled(device, 1))
    assert [line[:2] + line[4:] for line in lines(device)] == [("warning", "root", "by the root logger")]


def test_a_dry_run_shows_what_was_printed(device: Connection, database: str, receivers: Path) -> None:
    add_hook(database, receivers, "r.Talks")
    write(device, "a", 1)
    at = ["--database-url", database, "--receivers-path", str(receivers)]
    shown = jobhooks("replay", "--job", "r.Talks", "--change", "1", "--dry-run", "--json", *at)
    assert shown.returncode == 0, shown
    logged = json.loads(shown.stdout)["log"]
    assert [(line["source"], line["message"]) for line in logged][:2] == [
        ("stdout", "printed a"),
        ("stderr", "to stderr"),
    ]

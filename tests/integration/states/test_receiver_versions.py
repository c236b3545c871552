"""Each result has the version of the receiver that ran, and the versions of a job are known."""

import contextlib
import json
from pathlib import Path

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from jobhooks.operations.configuration import jobs
from jobhooks.operations.delivering import deliveries
from jobhooks.operations.delivering.deliveries import DeliveryFilter
from jobhooks.store.connections import connect
from support.daemon import Daemon, jobhooks, wait_until
from support.hooking import add_hook, write_receivers

# The row's name selects how the result is recorded.
RECEIVERS = """
from jobhooks import Discard, JobHookReceiver

class Def(JobHookReceiver):
    class Meta:
        max_attempts = 1
    def receive_job_hook(self, change):
        name = change.postchange["name"]
        if name in ("writes", "fails"):
            self.connection.execute("select 1")
        return act(self, name)

class Async(JobHookReceiver):
    class Meta:
        max_attempts = 1
    async def receive_job_hook(self, change):
        name = change.postchange["name"]
        if name in ("writes", "fails"):
            await self.connection.execute("select 1")
        return act(self, name)

def act(self, name):
    if name == "value":
        return 7
    if name == "logs":
        self.logger.info("a line")
    if name == "discards":
        raise Discard("not for us")
    if name == "fails" and True:
        raise ValueError("in the first version")
"""
NAMES = ("plain", "writes", "value", "logs", "discards", "fails")


def version(receivers: Path) -> str:
    """The version of the code on disk."""
    return str(find_receivers([receivers]).receivers["r.Def"].shown_version)


def write(conn: Connection, *names: str) -> None:
    conn.cursor().executemany("insert into public.device (name) values (%s)", [(name,) for name in names])


def test_each_result_has_the_version_that_ran(device: Connection, database: str, tmp_path: Path, log: Path) -> None:
    """However it is recorded: by itself, with others, with the receiver's writes; and in a retry after a reload."""
    receivers = write_receivers(tmp_path / "receivers", RECEIVERS)
    add_hook(database, receivers, "r.Def")
    add_hook(database, receivers, "r.Async")
    first = version(receivers)
    count = "select count(*) from jobhooks.job_result"
    with Daemon(database, receivers, log).await_started() as daemon, contextlib.closing(connect(database)) as admin:
        write(device, *NAMES, "plain", "writes")
        wait_until("all have run", lambda: device.execute(count).fetchone() == (16,))
        assert device.execute("select distinct version from jobhooks.results").fetchall() == [(first,)]
        write_receivers(receivers, RECEIVERS.replace("True", "False"))
        second = version(receivers)
        daemon.await_event("receivers_reloaded")
        deliveries.retry(admin, deliveries.choose(admin, DeliveryFilter(states=["dead"])))
        wait_until("the failed ones ran again", lambda: device.execute(count).fetchone() == (18,))
        attempts = "select distinct attempt, status, version from jobhooks.results where change_id = 6 order by 1"
        assert device.execute(attempts).fetchall() == [(1, "failure", first), (2, "success", second)]
        wait_until("it is recorded", lambda: jobs.job_details(admin, "r.Def").version == second)
        known = jobs.job_details(admin, "r.Def").versions
        assert [each.version for each in known] == [second, first] and first != second
        assert all(each.source_hash.startswith(each.version) and each.package is None for each in known)
    listed = json.loads(
        jobhooks("result", "list", "--version", second[:7], "--json", "--database-url", database).stdout
    )
    assert [(each["change_id"], each["attempt"], each["version"]) for each in listed] == [(6, 2, second)] * 2

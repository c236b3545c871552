"""Deliveries that fail and succeed again and again leave a small backlog: its size depends on the rows at one time."""

from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from support.daemon import Daemon, await_no_session, wait_until
from support.hooking import add_hook, write_receivers
from support.recording import RECEIVERS, all_delivered, assert_once_and_in_order, make_got, replace_devices

CYCLES, ROWS = 6, 200
ATTEMPTS = 3
PAGE = 8192
# A delivery is inserted, written again after each further failure, and deleted. Each of these can leave a dead version
# until vacuum removes it.
VERSIONS = ROWS * ATTEMPTS
ROW_BYTES, ENTRY_BYTES = 128, 48  # a row with its header, and an entry of an index with three columns
SPARE_PAGES = 4  # the first page of an index, its root, and half-filled ones
BEHIND = 800  # changes; at 200 per second, most of them wait for more than a second
WRITTEN = "select n_tup_ins from pg_stat_user_tables where relid = 'jobhooks.delivery'::regclass"
SIZES = """
select class.relname, pg_relation_size(class.oid) / %s, class.relkind = 'i'
from pg_class as class
where class.oid = 'jobhooks.delivery'::regclass
    or class.oid in (select indexrelid from pg_index where indrelid = 'jobhooks.delivery'::regclass)
"""


@pytest.fixture
def receivers(tmp_path: Path) -> Path:
    return write_receivers(tmp_path / "receivers", RECEIVERS)


@pytest.fixture
def got(device: Connection) -> Generator[Connection]:
    """The client's connection; ``public.device`` has rows, and the log is empty."""
    make_got(device)
    replace_devices(device, rows=ROWS)
    yield device
    await_no_session(device)


@pytest.mark.timeout(300)
def test_steady_failures_do_not_grow_the_backlog_and_its_indexes(
    got: Connection, database: str, receivers: Path, log: Path
) -> None:
    """With a vacuum after each cycle, as autovacuum does it: no session holds an old snapshot against it.

    Index pages that one vacuum empties are reused after the next, so the bound is doubled.
    """
    add_hook(database, receivers, "r.FailsBriefly", ["update"])
    add_hook(database, receivers, "r.Records", ["update"])
    with Daemon(database, receivers, log).await_started() as daemon:
        for turn in range(CYCLES):
            got.execute("update public.device set serial = %s", [str(turn)])
            wait_until("all is delivered", lambda: all_delivered(got), 60)
            got.execute("vacuum jobhooks.delivery")
        assert daemon.terminate() == 0
    assert_once_and_in_order(got)
    for name, pages, is_index in got.execute(SIZES, [PAGE]).fetchall():
        bound = 2 * (VERSIONS * (ENTRY_BYTES if is_index else ROW_BYTES) // PAGE + 1) + SPARE_PAGES
        assert pages <= bound, name


@pytest.mark.timeout(300)
def test_a_hook_that_is_behind_and_sometimes_fails_puts_only_its_failures_into_the_backlog(
    got: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Deliveries that wait for a free place wait in the log, whether the hook has a backlog or not.

    A run that a busy machine holds up for long is noted there, so some more rows are no fault.
    """
    add_hook(database, receivers, "r.FallsBehind", ["create"])
    add_hook(database, receivers, "r.Records", ["create"])
    got.execute("insert into public.device (name, serial) select 'd', '' from generate_series(1, %s)", [BEHIND])
    with Daemon(database, receivers, log).await_started() as daemon:
        wait_until("all is delivered", lambda: all_delivered(got), 120)
        assert daemon.terminate() == 0
    assert_once_and_in_order(got)
    await_no_session(got)
    ((written,),) = got.execute(WRITTEN).fetchall()
    assert written < BEHIND / 20 + BEHIND / 10

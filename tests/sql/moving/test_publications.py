"""Publications that have the tables of jobhooks, and logical replication from one database with jobhooks to another."""

import contextlib
import time
from collections.abc import Callable, Generator

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Connection
from jobhooks.operations import tables
from jobhooks.operations.adopting import adopt
from jobhooks.operations.doctor import problems_of_publications
from jobhooks.schema.install import check_installed, check_original
from jobhooks.store.connections import SyncConnection, connect
from support.capturing import words
from support.postgres.servers import Server

WAIT_S = 60


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def admin(database: str) -> Generator[SyncConnection]:
    with contextlib.closing(connect(database)) as conn:
        yield conn


@pytest.mark.parametrize(
    ("made", "since"),
    [
        ("for all tables with (publish = 'insert, update', publish_via_partition_root)", 14),
        ("for table public.device, jobhooks.cursor, jobhooks.job", 14),
        ("for tables in schema public, jobhooks, jobhooks_capture", 15),
    ],
)
def test_a_publication_of_jobhooks_tables_is_named_with_the_fix(
    device: Connection, admin: SyncConnection, made: str, since: int
) -> None:
    if device.info.server_version < since * 10000:
        pytest.skip("this server has no such publication")
    device.execute("create table public.other (id integer primary key)")
    assert problems_of_publications(admin) == []
    notices: list[str] = []
    device.execute("create publication own for table public.device")
    device.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    device.execute(f'create publication "P 1" {made}'.encode())
    device.execute("select jobhooks.watch('public.other')")
    assert [text for text in notices if text.startswith(('publication "P 1"', "publication P 1"))]
    (found,) = problems_of_publications(admin)
    assert (found.severity, found.subject) == ("warning", "publication P 1")
    device.execute(found.remedy.partition("; then on the subscriber")[0].encode())
    assert problems_of_publications(admin) == []
    published = device.execute(
        "select part.relid::regclass::text from pg_get_publication_tables('P 1') as part order by 1"
    ).fetchall()
    assert ("public.device",) in published or ("device",) in published
    (before,) = device.execute("select pubdelete, pubviaroot from pg_publication where pubname = 'P 1'").fetchall()
    assert before == ((False, True) if "publish" in made else (True, False))


def test_a_replica_keeps_the_state_of_its_own_jobhooks(
    device: Connection, database: str, admin: SyncConnection, server: Server
) -> None:
    """With the publisher's cursor its daemon would refuse, and its hooks and its log would be lost."""
    if device.execute("show wal_level").fetchone() != ("logical",):
        pytest.skip("this server does not replicate")
    slot = device.info.dbname
    name = f"{conninfo_to_dict(database)['dbname']}_replica"
    server.execute("create database {} template jobhooks_test_template", name)
    replica_url = make_conninfo(database, dbname=name)
    try:
        with contextlib.closing(connect(replica_url)) as replica:
            replica.execute("create table public.device (id integer primary key, name text, serial text)")
            adopt(replica)
            tables.watch(replica, "public.device", always=True)
            replica.execute("insert into public.device values (100, 'own')")
            own = state(replica)
            device.execute("create publication everything for all tables")
            device.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
            replica.execute(
                f"create subscription everything connection '{database}' publication everything"
                f" with (create_slot = false, slot_name = '{slot}')".encode()
            )
            try:
                ready = "select count(*) from pg_subscription_rel where srsubstate <> 'r'"
                until(lambda: replica.execute(ready.encode()).fetchone() == (0,))
                assert words(replica)[:2] == ["create 100", "create 1"]  # of the copy, since it is always captured
                device.execute("select jobhooks.watch('public.device', ignore => '{serial}')")
                device.execute("update jobhooks.cursor set leader = leader + 7, last_id = 70")
                device.execute("delete from jobhooks.migration where version = 2")
                device.execute("insert into jobhooks.job (class_path) values ('m.J')")
                device.execute("update public.device set name = 'replicated' where id = 1")
                until(lambda: "update 1" in words(replica)[-1])
                assert state(replica) == own
                check_installed(replica)
                check_original(replica)
                assert [found.severity for found in problems_of_publications(replica)] == ["warning"]
            finally:
                replica.execute("alter subscription everything disable")
                replica.execute("alter subscription everything set (slot_name = none)")
                replica.execute("drop subscription everything")
    finally:
        server.execute("drop database {} with (force)", name)
        free = (
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active"
        )
        until(lambda: device.execute(free.encode(), [slot]).fetchone() is not None)


def state(conn: SyncConnection) -> list[tuple[object, ...]]:
    """All rows of jobhooks that say something about its own database, but for the log."""
    return [
        row
        for table in ("migration", "installation", "cursor", "content_type", "log_segment", "job", "configuration")
        for row in conn.execute(f"select '{table}', known::text from jobhooks.{table} as known order by 2".encode())
    ]


def test_a_restore_in_replica_mode_keeps_the_rows(conn: Connection, database: str) -> None:
    """As of data only, on servers where triggers cannot be disabled otherwise."""
    conn.execute("set session_replication_role = replica")
    conn.execute("insert into jobhooks.job (class_path) values ('m.J')")
    conn.execute("update jobhooks.job set enabled = true")
    assert conn.execute("select class_path, enabled from jobhooks.job").fetchall() == [("m.J", True)]
    conn.execute("delete from jobhooks.job")
    assert conn.execute("select count(*) from jobhooks.job").fetchone() == (0,)


def test_each_table_of_jobhooks_keeps_replicated_rows_out(conn: Connection) -> None:
    """Also a segment of the log that is made later."""
    conn.execute("select jobhooks.add_segment()")
    open_tables = conn.execute(
        "select oid::regclass from pg_class where relkind = 'r'"
        " and relnamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace) and not exists ("
        "select from pg_trigger where tgrelid = pg_class.oid and tgname = 'skip_replicated' and tgenabled = 'R')"
    ).fetchall()
    assert open_tables == []

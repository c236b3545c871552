"""The log's segments: begun in time, dropped after their time, and never with pending deliveries."""

import threading
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.daemon import Daemon, wait_until

READ_ALL = "update jobhooks.cursor set seen = pg_current_snapshot(), horizon = pg_current_snapshot()"


def maintain(conn: Connection, retention: str = "30 days", segment_size: int = 10_000_000) -> str:
    row = conn.execute("select jobhooks.maintain_log(%s::interval, %s)", [retention, segment_size]).fetchone()
    assert row is not None
    return row[0]


def segments(conn: Connection) -> dict[str, list[int]]:
    """Return the ids that each segment holds."""
    rows = conn.execute(
        "select relation::text, array(select id from jobhooks.object_change where tableoid = relation order by id)"
        " from (select inhrelid::regclass as relation from pg_inherits"
        " where inhparent = 'jobhooks.object_change'::regclass) as segment order by 1"
    ).fetchall()
    return {name.removeprefix("jobhooks.object_change_"): ids for name, ids in rows}


def write(conn: Connection, times: int = 1) -> None:
    for _ in range(times):
        conn.execute("update public.device set name = name || 'x'")


def hooked(conn: Connection) -> None:
    conn.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    conn.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")


def test_a_full_segment_is_followed_by_the_next(device: Connection) -> None:
    write(device, 3)
    assert maintain(device, segment_size=4) == ""
    write(device)
    assert maintain(device, segment_size=4) != ""
    write(device, 2)
    assert segments(device) == {"1": [1, 2, 3, 4], "2": [5, 6]}
    assert maintain(device, segment_size=4) == ""


def test_an_empty_segment_is_not_followed(device: Connection) -> None:
    """Or an idle database would fill with empty tables."""
    device.execute("update jobhooks.log_segment set created_at = now() - interval '1 year'")
    assert maintain(device) == ""
    write(device)
    maintain(device)
    assert [*segments(device)] == ["1", "2"]


def test_a_new_segment_is_as_the_first(device: Connection) -> None:
    """Indexes, compression and privileges are those that the reader and capture expect."""
    write(device)
    maintain(device, segment_size=1)
    shape = (
        "select array(select attname || ' ' || attcompression::text from pg_attribute where attrelid = %s::regclass"
        " and attnum > 0 order by attnum), array(select replace(indexdef, %s, 'N') from pg_indexes"
        " where schemaname = 'jobhooks' and tablename = %s order by 1), relowner::regrole::text, relacl::text"
        " from pg_class where oid = %s::regclass"
    )
    first, second = (
        device.execute(shape, [f"jobhooks.{name}", name, name, f"jobhooks.{name}"]).fetchone()
        for name in ("object_change_1", "object_change_2")
    )
    assert first is not None and second is not None
    assert first[:3] == second[:3]
    assert set(second[3].strip("{}").split(",")) <= set(first[3].strip("{}").split(","))


def test_nothing_is_dropped_before_its_time(device: Connection) -> None:
    write(device)
    maintain(device, segment_size=1)
    device.execute("update jobhooks.log_segment set created_at = now() - interval '10 days'")
    device.execute(READ_ALL)
    maintain(device, "1 day")
    assert "1" in segments(device)
    device.execute("update jobhooks.object_change set time = now() - interval '2 days' where id = 1")
    maintain(device, "1 day")
    assert "1" not in segments(device)


def test_what_no_daemon_has_read_is_kept_for_the_hook_that_wants_it(device: Connection) -> None:
    """However long the daemon is away."""
    hooked(device)
    write(device)
    maintain(device, segment_size=1)
    maintain(device, "0 s")
    assert "1" in segments(device)
    device.execute("update jobhooks.job_hook set enabled = false")
    maintain(device, "0 s")
    assert "1" not in segments(device)


def test_a_change_whose_delivery_is_parked_moves_to_the_next_segment(device: Connection) -> None:
    hooked(device)
    write(device, 3)
    maintain(device, segment_size=3)
    write(device)
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status) values (2, 1, 1, 'dead')"
    )
    device.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)"
        " select change, 1, 1, 1, 'success', now(), now() - interval '1 day' from unnest(array[1, 2, 4]) as change"
    )
    device.execute(READ_ALL)
    maintain(device, "0 s")
    assert "1" not in segments(device)
    assert segments(device)["2"] == [2, 4]
    assert device.execute("select jobhooks.drop_old_results('0 s', 0)").fetchone() == (None,)
    kept = device.execute("select change_id from jobhooks.job_result order by 1").fetchall()
    assert kept == [(2,), (4,)]


def test_a_segment_that_someone_writes_to_is_not_waited_for(device: Connection, database: str) -> None:
    """Its writer may take hours, and every other writer would queue behind us."""
    with psycopg.connect(database) as writer:
        write(writer)
        maintain(device, segment_size=1)
        assert "2" in segments(device)
        maintain(device, "0 s")
        assert "1" in segments(device)
        write(writer)
        device.execute("insert into public.device (name) values ('goes on')")
    assert segments(device) == {"1": [1], "2": [2, 3]}
    maintain(device, "0 s")
    assert "1" not in segments(device)


def test_writers_go_on_while_somebody_reads_the_log_and_it_is_maintained(device: Connection, database: str) -> None:
    with psycopg.connect(database) as reader:
        reader.execute("select * from jobhooks.object_change")
        write(device)
        maintain(device, segment_size=1)
        assert "2" in segments(device)
        maintain(device, "0 s", 1_000)
        assert "1" in segments(device)
        write(device)
    assert sum(map(len, segments(device).values())) == 2


def test_no_change_is_lost_while_segments_come_and_go(device: Connection, database: str) -> None:
    """The function that writers call is replaced while they run."""
    stop = threading.Event()
    written: list[int] = []

    def keep_writing() -> None:
        count = 0
        with psycopg.connect(database, autocommit=True) as writer:
            while not stop.is_set():
                with writer.transaction():
                    write(writer, 2)
                count += 2
        written.append(count)

    writers = [threading.Thread(target=keep_writing) for _ in range(3)]
    for writer in writers:
        writer.start()
    begun = 0
    try:
        while begun < 12:
            begun += maintain(device, segment_size=20).startswith("began")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert len(written) == 3
    assert device.execute("select count(*) from jobhooks.object_change").fetchone() == (sum(written),)


@pytest.mark.parametrize("number", [2, 3])
def test_two_that_maintain_at_once_do_not_do_it_twice(device: Connection, database: str, number: int) -> None:
    write(device, 5)
    threads = [threading.Thread(target=lambda: maintain_alone(database)) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(segments(device)) == ["1", "2"]


def maintain_alone(database: str) -> None:
    with psycopg.connect(database) as conn:
        maintain(conn, segment_size=5)


def test_the_daemon_maintains_the_log(device: Connection, database: str, tmp_path: Path) -> None:
    write(device)
    device.execute("update jobhooks.log_segment set created_at = now() - interval '10 days'")
    with Daemon(database, tmp_path, tmp_path / "log", JOBHOOKS_RETENTION_DAYS="30") as daemon:
        (event,) = daemon.await_event("log_maintained")
        assert event["done"]
        wait_until("it is there", lambda: "2" in segments(device))
        assert daemon.terminate() == 0


def test_installing_again_keeps_to_the_newest_segment(device: Connection, database: str) -> None:
    """Installing applies the functions again, and their text names the first segment."""
    write(device)
    maintain(device, segment_size=1)
    device.execute("select jobhooks.use_segment(1)")
    with connect(database) as admin:
        install(admin)
    write(device)
    assert segments(device) == {"1": [1], "2": [2]}


def test_a_segment_is_compressed_with_lz4_where_the_server_has_it(device: Connection) -> None:
    """pglz costs the writer several times more. Both the first segment and a later one."""
    methods = device.execute("select enumvals from pg_settings where name = 'default_toast_compression'").fetchone()
    if methods is None or "lz4" not in methods[0]:
        pytest.skip("this server has no lz4")
    device.execute("select jobhooks.add_segment()")
    compressed = device.execute(
        "select attrelid::regclass::text, attname, attcompression from pg_attribute where attname in ('prechange',"
        " 'postchange') and attrelid::regclass::text ~ '^jobhooks.object_change_[0-9]+$' order by 1, 2"
    ).fetchall()
    assert compressed == [
        (f"jobhooks.object_change_{number}", name, "l") for number in (1, 2) for name in ("postchange", "prechange")
    ]
    device.execute("update public.device set name = repeat('edge ', 2000)")
    used = device.execute("select pg_column_compression(postchange) from jobhooks.object_change_2").fetchone()
    assert used == ("lz4",)


def test_pending_deliveries_of_hooks_that_are_gone_are_deleted(device: Connection) -> None:
    """A statement that deletes a hook knows nothing of them. They would keep their changes for ever."""
    hooked(device)
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, due_at)"
        " values (1, 1, 1, 'waiting', now()), (1, 2, 1, 'waiting', now()), (2, 2, 1, 'dead', null)"
    )
    maintain(device)
    assert device.execute("select change_id, hook_id from jobhooks.delivery").fetchall() == [(1, 1)]

"""The change of the same object before one: the last that left it as this one found it."""

from conftest import Connection


def previous(conn: Connection, looked_at: int = 100_000) -> int | None:
    """Return which change comes before the newest one, of its object."""
    row = conn.execute(
        "select (select id from jobhooks.previous_change(max(id), %s)) from jobhooks.object_change", [looked_at]
    ).fetchone()
    assert row is not None
    return row[0]


def last(conn: Connection) -> int:
    row = conn.execute("select max(id) from jobhooks.object_change").fetchone()
    assert row is not None
    return row[0]


def test_it_is_of_the_same_object_also_under_another_key(device: Connection) -> None:
    device.execute("update public.device set name = 'a' where id = 1")
    assert previous(device) is None  # the log begins after the row
    device.execute("insert into public.device (name) values ('other')")
    assert previous(device) is None
    device.execute("update public.device set id = default where id = 1")
    assert previous(device) == 1
    device.execute("update public.device set name = 'b' where id = 3")
    assert previous(device) == 3
    device.execute("delete from public.device where id = 3")
    assert previous(device) == 4


def test_a_row_that_got_the_key_of_another_is_another_object(device: Connection) -> None:
    device.execute("delete from public.device where id = 1")
    device.execute("insert into public.device (id, name) overriding system value values (1, 'again')")
    assert previous(device) is None
    device.execute("update public.device set name = 'a' where id = 1")
    assert previous(device) == 2


def test_it_is_found_however_far_away_up_to_the_limit(device: Connection) -> None:
    """The search goes in steps: it misses nothing at their ends and does not return an older change."""
    device.execute("update public.device set name = 'far'")
    far = last(device)
    for between in (98, 99, 100, 101, 1098, 1099, 1100, 1101):
        device.execute("insert into public.device (name) select 'x' from generate_series(1, %s)", [between])
        with device.transaction(force_rollback=True):
            device.execute("update public.device set name = 'b' where id = 1")
            assert previous(device) == far
            assert previous(device, last(device) - far) == far
            assert previous(device, last(device) - far - 1) is None
        device.execute("update public.device set name = name || 'r' where id = 1")
        far = last(device)


def test_a_row_that_cannot_be_taken_apart_hides_nothing(device: Connection) -> None:
    device.execute("alter table public.device add column data json")
    device.execute("update public.device set name = 'a' where id = 1")
    device.execute("insert into public.device (data) values ('\"\\u0000\"')")
    device.execute("update public.device set name = 'b' where id = 1")
    assert previous(device) == 1


def test_where_there_is_no_key_there_is_no_object(device: Connection) -> None:
    """Neither where a key column was renamed since: a missing value equals nothing."""
    device.execute("alter table public.device rename column id to number")
    device.execute("update public.device set name = 'a'")
    device.execute("update public.device set name = 'b'")
    assert previous(device) is None
    device.execute("truncate public.device")
    assert previous(device) is None

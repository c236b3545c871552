"""Moving a database: what a restore into another server does to the log, without another server."""

from conftest import Connection

HIGHER = 10_000_000  # by so many are the transaction ids of the former server above those of this one

# A restore stores each table in one transaction, with the transaction ids of the former server in its rows.
SHIFT = """
create or replace function pg_temp.shifted(taken pg_snapshot) returns pg_snapshot language sql as $$
    select format(
        '%s:%s:%s', pg_snapshot_xmin(taken)::text::bigint + HIGHER, pg_snapshot_xmax(taken)::text::bigint + HIGHER,
        (
            select string_agg((id::text::bigint + HIGHER)::text, ',' order by id::text::bigint)
            from pg_snapshot_xip(taken) as id
        )
    )::pg_snapshot
$$;
begin;
update jobhooks.object_change set transaction_id = (transaction_id::text::bigint + HIGHER)::text::xid8;
update jobhooks.cursor set seen = pg_temp.shifted(seen), horizon = pg_temp.shifted(horizon), system_identifier = 1;
update jobhooks.hook_position set seen = pg_temp.shifted(seen), horizon = pg_temp.shifted(horizon);
update jobhooks.job_hook set enabled_since = pg_temp.shifted(enabled_since);
commit;
"""


def as_restored(conn: Connection) -> None:
    """Make a database look as if it had been dumped on another server and restored here."""
    conn.execute(SHIFT.replace("HIGHER", str(HIGHER)).encode())

"""The tables that are measured against one another: the same rows, with different things that happen at a write."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from psycopg import sql

from jobhooks.operations.tables import watch
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection, execute

SETUP = Path(__file__).with_name("setup.sql")
PARTITIONS = 4
FILL = """
insert into bench.source (id, name, serial, model, site, status, comments, data)
select
    i, 'device-' || i, md5(i::text), 'model-' || i % 50, 'site-' || i % 100, 'active', repeat('comment ', 5),
    jsonb_build_object('rack', i % 40, 'unit', i % 42, 'tags', array['edge', 'spare', 'leased'])
from generate_series(1, $1) as i
"""


class Capture(Enum):
    """What is written when a row is: nothing, or a row of a log; the value is that log."""

    NONE = ""
    FLOOR = "bench.floor_log"
    FLOOR_BOTH = "bench.floor_both_log"
    JOBHOOKS = "jobhooks.object_change"


FLOOR_TRIGGERS = {
    Capture.FLOOR: (
        sql.SQL("create trigger new after insert or update on {} for each row execute function bench.floor_new()"),
        sql.SQL("create trigger old after delete on {} for each row execute function bench.floor_old()"),
    ),
    Capture.FLOOR_BOTH: (
        sql.SQL(
            "create trigger old_and_new after insert or update or delete on {}"
            " for each row execute function bench.floor_both()"
        ),
    ),
}


@dataclass(frozen=True)
class Variant:
    """A way for the table to be; ``notified``: a daemon sleeps, so that each commit has to wake it."""

    name: str
    capture: Capture
    partitioned: bool = False
    notified: bool = False
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """The name of the table, in schema public."""
        return f"device_{self.name}"

    def peer(self, name: str) -> str:
        """Return the name of the variant ``name`` of tables that are partitioned if this one is."""
        return f"partitioned_{name}" if self.partitioned else name


BARE = Variant("bare", Capture.NONE)
FLOOR = Variant("floor", Capture.FLOOR)
FLOOR_BOTH = Variant("floor_both", Capture.FLOOR_BOTH)
JOBHOOKS = Variant("jobhooks", Capture.JOBHOOKS)
NOTIFY = Variant("jobhooks_notify", Capture.JOBHOOKS, notified=True)

SINGLE_ROW = (BARE, FLOOR, FLOOR_BOTH, JOBHOOKS, NOTIFY)
BULK = (
    BARE,
    FLOOR,
    FLOOR_BOTH,
    JOBHOOKS,
    Variant("jobhooks_exclude", Capture.JOBHOOKS, exclude=("comments",)),
    Variant("jobhooks_ignore", Capture.JOBHOOKS, ignore=("updated",)),
    Variant("partitioned_bare", Capture.NONE, partitioned=True),
    Variant("partitioned_floor", Capture.FLOOR, partitioned=True),
    Variant("partitioned_floor_both", Capture.FLOOR_BOTH, partitioned=True),
    Variant("partitioned_jobhooks", Capture.JOBHOOKS, partitioned=True),
)


def set_up(conn: SyncConnection, rows: int) -> None:
    """Install jobhooks, and make what the tables have in common, ``rows`` rows for them among it."""
    install(conn)
    execute(conn, SETUP.read_bytes())
    execute(conn, FILL.encode(), rows)
    execute(conn, b"vacuum analyze bench.source")


def make(conn: SyncConnection, variant: Variant, *, filled: bool) -> None:
    """Make the table of ``variant``; ``filled``: with its rows, which are not captured."""
    partition_by = sql.SQL("partition by hash (id)" if variant.partitioned else "")
    _run(conn, sql.SQL("create table {} (like bench.source including all) {}"), variant, partition_by)
    for number in range(PARTITIONS if variant.partitioned else 0):
        name = sql.Identifier(f"{variant.table}_{number}")
        bounds = sql.SQL("with (modulus {}, remainder {})").format(sql.Literal(PARTITIONS), sql.Literal(number))
        statement = sql.SQL("create table {} partition of {} for values {}")
        execute(conn, statement.format(name, sql.Identifier(variant.table), bounds))
    if filled:
        _run(conn, sql.SQL("insert into {} select * from bench.source"), variant)
    _attach(conn, variant)
    tidy(conn, variant)


@contextlib.contextmanager
def table_of(conn: SyncConnection, variant: Variant, *, filled: bool) -> Generator[None]:
    """Make the table of ``variant``, and drop it in the end; all that was there before is on disk.

    The checkpoint comes first: so no page of the table is written to the WAL as a whole while we measure, which would
    cost each variant the same and hide what differs.
    """
    execute(conn, b"checkpoint")
    make(conn, variant, filled=filled)
    try:
        yield
    finally:
        _run(conn, sql.SQL("drop table {}"), variant)


def tidy(conn: SyncConnection, variant: Variant) -> None:
    """Empty the log, and vacuum the table."""
    if variant.capture is not Capture.NONE:
        execute(conn, b"truncate " + variant.capture.value.encode())
    _run(conn, sql.SQL("vacuum analyze {}"), variant)


def captured(conn: SyncConnection, variant: Variant) -> int:
    """Return how many changes are in the log."""
    ((count,),) = execute(conn, b"select count(*) from " + variant.capture.value.encode())
    return count


def _attach(conn: SyncConnection, variant: Variant) -> None:
    """Have writes captured from now on."""
    if variant.capture is Capture.JOBHOOKS:
        watch(conn, variant.table, exclude=variant.exclude, ignore=variant.ignore)
    for statement in FLOOR_TRIGGERS.get(variant.capture, ()):
        _run(conn, statement, variant)


def _run(conn: SyncConnection, statement: sql.SQL, variant: Variant, *more: sql.Composable) -> None:
    execute(conn, statement.format(sql.Identifier(variant.table), *more))

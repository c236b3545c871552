"""The compared tables: the same rows, with different work at each write."""

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
    """The work at each write: nothing, or a row in a log; the value is that log."""

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
    """A kind of table. ``notified``: a daemon sleeps, so every commit has to wake it."""

    name: str
    capture: Capture
    partitioned: bool = False
    notified: bool = False
    exclude: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    keep_lastval: bool | None = None

    @property
    def table(self) -> str:
        """The table's name in the schema public."""
        return f"device_{self.name}"

    def peer(self, name: str) -> str:
        """Name the variant ``name`` that is partitioned if this one is."""
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
    Variant("jobhooks_lastval", Capture.JOBHOOKS, keep_lastval=True),
    Variant("jobhooks_no_lastval", Capture.JOBHOOKS, keep_lastval=False),
    Variant("partitioned_bare", Capture.NONE, partitioned=True),
    Variant("partitioned_floor", Capture.FLOOR, partitioned=True),
    Variant("partitioned_floor_both", Capture.FLOOR_BOTH, partitioned=True),
    Variant("partitioned_jobhooks", Capture.JOBHOOKS, partitioned=True),
)


def set_up(conn: SyncConnection, rows: int) -> None:
    """Install jobhooks, and create the common parts of the tables, including ``rows`` rows to copy."""
    install(conn)
    execute(conn, SETUP.read_bytes())
    execute(conn, FILL.encode(), rows)
    execute(conn, b"vacuum analyze bench.source")


def make(conn: SyncConnection, variant: Variant, *, filled: bool) -> None:
    """Create the table of ``variant``. ``filled``: with its rows, which are not captured."""
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
    """Create the table of ``variant``, and drop it at the end. Earlier data is on disk first.

    The checkpoint comes first, so that no full-page image is written during the measurement. It would cost each variant
    the same and hide the differences.
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
    """Count the changes in the log."""
    ((count,),) = execute(conn, b"select count(*) from " + variant.capture.value.encode())
    return count


def _attach(conn: SyncConnection, variant: Variant) -> None:
    """Start capturing writes."""
    if variant.capture is Capture.JOBHOOKS:
        watch(conn, variant.table, exclude=variant.exclude, ignore=variant.ignore, keep_lastval=variant.keep_lastval)
    for statement in FLOOR_TRIGGERS.get(variant.capture, ()):
        _run(conn, statement, variant)


def _run(conn: SyncConnection, statement: sql.SQL, variant: Variant, *more: sql.Composable) -> None:
    execute(conn, statement.format(sql.Identifier(variant.table), *more))

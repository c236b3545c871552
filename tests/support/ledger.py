"""A log with deliveries and results of all kinds, without a daemon: what operations and commands work on."""

from psycopg import Connection
from psycopg.rows import TupleRow


def fill_ledger(device: Connection[TupleRow]) -> None:
    """Make four changes of two tables, two hooks, four pending deliveries, four results and two lines of log.

    ``device``: a client of a database with the watched table ``public.device``. The first change is two hours old.
    """
    device.execute("create table public.site (id integer primary key)")
    device.execute("select jobhooks.watch('public.site')")
    for name in "abc":
        device.execute("update public.device set name = %s where id = 1", [name])
    device.execute("insert into public.site values (1)")
    device.execute("update jobhooks.object_change set time = now() - interval '2 hours' where id = 1")
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    for name, table in (("first", "device"), ("second", "site")):
        device.execute(f"select jobhooks.add_hook('{name}', '{{public.{table}}}', '{{create,update}}', 'a.B')".encode())
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status, attempts, due_at) values"
        " (1, 1, 1, 7, 'dead', 2, null), (2, 1, 1, 7, 'waiting', 0, now()), (3, 1, 1, 8, 'waiting', 1, now()),"
        " (4, 2, 2, 9, 'waiting', 1, now() + interval '1 hour')"
    )
    device.execute(
        "insert into jobhooks.job_result"
        " (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback)"
        " values (1, 1, 1, 1, 'failure', now(), now(), 'Timeout', null),"
        " (1, 1, 1, 2, 'failure', now(), now(), 'KeyError', 'T'),"
        " (3, 1, 1, 1, 'failure', now(), now(), 'Timeout after 5 s', null),"
        " (4, 2, 1, 1, 'success', now(), now(), null, null)"
    )
    device.execute(
        "insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message) values"
        " (1, 1, 2, 1, 'info', now(), null, 'begins'), (1, 1, 2, 2, 'failure', now(), 'device 1', 'is bad')"
    )

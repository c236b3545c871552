"""Decisions about pending deliveries, and the batches of a daemon."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from conftest import Connection
from support.daemon import LIMIT, wait_until


@pytest.mark.parametrize(
    "statement",
    [
        "select jobhooks.retry_deliveries('{1}', '{1}')",
        "select jobhooks.discard_deliveries('{1}', '{1}')",
        """select jobhooks.requeue('[{"change_id": 1, "hook_id": 1, "content_type_id": 1}]')""",
    ],
)
def test_a_decision_is_made_between_two_batches_of_the_daemon(
    device: Connection, database: str, statement: str
) -> None:
    """Otherwise a batch that parks a delivery and a decision that releases one could miss each other."""
    device.execute("insert into jobhooks.job (class_path, enabled) values ('a.B', true)")
    device.execute("select jobhooks.add_hook('h', '{public.device}', '{update}', 'a.B')")
    device.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, lane, status) values (1, 1, 1, 7, 'dead')"
    )
    settle = b"select jobhooks.settle(0, '{}', '{}', '{}', '{}', '{}', '{}', null)"
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
    with psycopg.connect(database) as settling, psycopg.connect(database) as deciding, ThreadPoolExecutor(1) as pool:
        settling.execute(settle)
        decision = pool.submit(deciding.execute, statement.encode())
        wait_until("it waits", lambda: device.execute(waiting, [deciding.info.backend_pid]).fetchone() is not None)
        settling.commit()
        decision.result(LIMIT)
        settling.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            settling.execute(settle)

"""The last words of a daemon whose event loop stands still: which run keeps it."""

import contextlib
import threading

from jobhooks.engine.running.in_loop.limits import StuckLoop
from jobhooks.engine.settling.run_markers import marks_as_json
from jobhooks.errors import JobhooksError
from jobhooks.runtime.event_log import get_logger
from jobhooks.store.connections import call, connect

LONGEST_S = 5.0  # a database that does not answer must not keep the daemon from ending

log = get_logger()


def blame(database_url: str, stuck: StuckLoop) -> None:
    """Write to the database which run blocks the loop: its attempt fails when the next daemon takes it.

    It has its own thread and connection, because nothing works in the loop. An error is logged.
    """
    if stuck.runs:
        writing = threading.Thread(target=_write, args=[database_url, stuck], name="jobhooks blame", daemon=True)
        writing.start()
        writing.join(LONGEST_S)


def _write(database_url: str, stuck: StuckLoop) -> None:
    reason = f"the receiver blocked the event loop for {stuck.seconds:.0f} seconds, so the daemon ended itself"
    try:
        with contextlib.closing(connect(database_url)) as conn:
            call(conn, "blame_runs", runs=marks_as_json(stuck.runs), reason=reason)
    except JobhooksError as exc:
        log.error("blame_failed", receiver=stuck.receiver, error=str(exc))

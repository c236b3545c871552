"""Mishaps for the oracle test: daemons that are killed, hooks that stand still, operators; and what came of it all."""

import contextlib
import random
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from support.chaos.churning import MERGES, RECEIVING, VANISHING, Mix, Writer, write_all_receivers
from support.chaos.oracle import DISCARDED, NOTHING, SUCCESS, LoggedChange, Observed, Promise, Record
from support.chaos.pairs import Pair
from support.daemon import Daemon, wait_until
from support.hooking import write_receivers

LEADER = "select pg_terminate_backend(jobhooks.leader_session())"
# Everything is settled: the saved positions are behind all changes, and nothing is pending.
IS_SETTLED = """
select pg_visible_in_snapshot(%s::text::xid8, cursor.seen)
    and not exists (select from jobhooks.hook_position) and not exists (select from jobhooks.delivery)
from jobhooks.cursor
"""


class Mishaps:
    """Two daemons, and what happens to them and to the hooks. Each mishap takes one step; some are undone later."""

    def __init__(self, database: str, conn: Connection[TupleRow], directory: Path, mix: Mix, seed: int) -> None:
        self._database = database
        self._conn = conn
        self._directory = directory
        self._receivers = directory / "receivers"
        self._mix = mix
        self._seed = seed
        self._rng = random.Random(seed)
        self._numbers = count(1)
        self._pair = Pair(self._start, self._rng)
        self._undo: list[Callable[[], object]] = []
        self.kinds: list[Callable[[], object]] = [
            self._pair.kill,
            self._pair.kill,
            self._pair.terminate,
            self.cut_leader,
            self.pause,
            self.pause,
            self.toggle,
            self.reload,
            self.vanish,
            self.decide_dead,
            self.decide_dead,
            self.retry_some,
            self.discard_some,
            self.undo,
            self.undo,
        ]

    def daemons(self) -> contextlib.AbstractContextManager[None]:
        """Run the daemons."""
        return self._pair.running()

    def happen(self, writers: list[Writer], deadline: float) -> None:
        """Let mishaps happen, each kind in turn, while rows change, and undo them."""
        for _ in range(self._mix.mishaps):
            for mishap in self._rng.sample(self.kinds, len(self.kinds)):
                mishap()
                time.sleep(self._rng.random() * 0.8)
                if time.monotonic() > deadline:
                    break
        while self._undo:
            self.undo()
        for writer in writers:
            writer.join()

    def _start(self) -> Daemon:
        size = self._rng.choice(self._mix.page_sizes)
        log = self._directory / f"{next(self._numbers)}.log"
        return Daemon(self._database, self._receivers, log, JOBHOOKS_PAGE_SIZE=str(size), JOBHOOKS_SHUTDOWN_GRACE="0.3")

    # Daemons.

    def cut_leader(self) -> None:
        """End the session by which a daemon leads, while its receivers run."""
        self._conn.execute(LEADER)

    def tracebacks(self) -> list[str]:
        """What the daemons wrote that no log event is, and the events of faults in jobhooks."""
        return [str(event) for event in self._pair.events("session_failed")] + self._pair.tracebacks()

    # Hooks and receivers.

    def pause(self) -> None:
        """Pause a hook."""
        self._set_hook("pause_hook", self._rng.choice(RECEIVING), "true", "false")

    def toggle(self) -> None:
        """Disable a hook, which then misses changes."""
        self._set_hook("enable_hook", "r.IsToggled", "false", "true")

    def _set_hook(self, function: str, job: str, value: str, back: str) -> None:
        def set_to(value: str) -> None:
            self._conn.execute(f"select jobhooks.{function}(%s, %s)".encode(), [f"hook of {job}", value])

        set_to(value)
        self._undo.append(lambda: set_to(back))

    def reload(self) -> None:
        """Change the receivers' files, which the daemons load."""
        write_all_receivers(self._receivers, self._mix, self._seed, str(self._rng.random()))

    def vanish(self) -> None:
        """Remove a receiver: its hook stands still."""
        (self._receivers / "vanishing.py").unlink(missing_ok=True)
        self._undo.append(lambda: write_receivers(self._receivers, VANISHING, "vanishing"))

    def undo(self) -> None:
        """Undo a mishap that lasts."""
        if self._undo:
            self._undo.pop(self._rng.randrange(len(self._undo)))()

    # Operators.

    def decide_dead(self) -> None:
        """Retry some dead deliveries, and discard some."""
        dead = self._pending("status = 'dead'")
        self._rng.shuffle(dead)
        self._decide("retry_deliveries", dead[::2])
        self._decide("discard_deliveries", dead[1::4])

    def retry_some(self) -> None:
        """Retry deliveries that may wait, run or be dead."""
        self._decide("retry_deliveries", self._some())

    def discard_some(self) -> None:
        """Discard deliveries that may wait, run or be dead."""
        self._decide("discard_deliveries", self._some())

    def _some(self) -> list[tuple[int, int]]:
        pending = self._pending("true")
        merging = {number for number, job in enumerate(RECEIVING, 1) if job.partition(".")[2] in MERGES}
        merged = [each for each in pending if each[1] in merging]
        return [self._rng.choice(of) for of in (pending, merged, merged) if of]

    def _pending(self, condition: str) -> list[tuple[int, int]]:
        rows = self._conn.execute(f"select change_id, hook_id from jobhooks.delivery where {condition}".encode())
        return [(change_id, hook_id) for change_id, hook_id in rows]

    def _decide(self, function: str, deliveries: list[tuple[int, int]]) -> None:
        if deliveries:
            changes, hooks = map(list, zip(*deliveries, strict=True))
            self._conn.execute(f"select jobhooks.{function}(%s::bigint[], %s)".encode(), [changes, hooks])

    # The end.

    def await_end(self, limit_s: float) -> None:
        """Retry what is dead until everything is settled."""
        ((last,),) = self._conn.execute("select max(transaction_id::text::bigint) from jobhooks.object_change")

        def is_settled() -> bool:
            self._decide("retry_deliveries", self._pending("status = 'dead'"))
            time.sleep(0.1)
            return self._conn.execute(IS_SETTLED, [str(last)]).fetchall() == [(True,)]

        wait_until(f"all is settled: {self.left}", is_settled, limit_s)

    @property
    def left(self) -> str:
        """What is not settled."""
        return str(
            self._conn.execute("select hook_id, status, count(*) from jobhooks.delivery group by 1, 2").fetchall()
        )


def read_log(conn: Connection[TupleRow], triggering: bool = True) -> dict[int, LoggedChange]:
    """The log, by id. ``triggering``: false for the writes of receivers."""
    rows = conn.execute(
        "select id, content_type_id, transaction_id::text::bigint, action,"
        " (prechange ->> 'id')::integer, (prechange ->> 'value')::integer,"
        " (postchange ->> 'id')::integer, (postchange ->> 'value')::integer, context ->> 'request_id'"
        " from jobhooks.object_change where triggering = %s order by id",
        [triggering],
    )
    return {
        row[0]: LoggedChange(
            row[0],
            row[1],
            row[2],
            row[3],
            None if row[4] is None else row[4:6],
            None if row[6] is None else row[6:8],
            row[8],
        )
        for row in rows
    }


def observe(conn: Connection[TupleRow], hook_id: int, promise: Promise, directory: Path) -> Observed:
    """What a hook got."""
    results = conn.execute(
        "select change_id, status = 'success', error like 'merged with others%%' from jobhooks.job_result"
        " where hook_id = %s and status <> 'failure'",
        [hook_id],
    )
    settled = [(row[0], SUCCESS if row[1] else NOTHING if row[2] else DISCARDED) for row in results]
    if promise.repeats:
        numbers = (directory / "receivers" / "outside").read_text().split()
        return Observed([Record(int(number), None, None) for number in numbers], settled)
    got = conn.execute("select change, before, after from public.got where hook = %s order by n", [hook_id])
    return Observed([Record(*row) for row in got], settled)

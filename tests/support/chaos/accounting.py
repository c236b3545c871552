"""Writers that keep accounts: which of their transactions committed, and how many changes each made.

The outcome of a commit during which the connection was lost is unknown. Each transaction has a number, which is a row
of ``public.written``; the writer looks for it afterwards.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from support.chaos import families
from support.chaos.churning import TABLES

ALL_TABLES = (*TABLES, *families.WRITTEN)
Counts = tuple[int, ...]  # of the changes of each table
# Null: the number was given up; its transaction cannot commit any more.
MAKE_ACCOUNTS = """
create table public.written (id bigint primary key, counts integer[]);
create function public.sweep(name regclass, low integer, high integer)
returns integer language plpgsql as $$
declare
    changed integer := 0;
    number integer;
begin
    execute format('update %s set value = (value + 1) %% 6 where id >= $1 and id < $2', name) using low, high;
    get diagnostics changed = row_count;
    execute format('insert into %s select i, 0 from generate_series($1, $2 - 1) as i on conflict do nothing', name)
    using low, high;
    get diagnostics number = row_count;
    return changed + number;
end
$$;
"""
FAR = 30_000  # changes that a writer is behind, after which it changes many rows at a time only
GIVE_UP = "insert into public.written (id) values (%s) on conflict do nothing"
WHAT_COMMITTED = "select counts from public.written where id = %s"


@dataclass(frozen=True)
class Load:
    """How much each writer writes, in how many seconds, and how many keys it has in the tables."""

    writers: int
    changes: int
    seconds: float
    keys: tuple[int, int, int]  # remarks have as many as pieces


class Accountant(threading.Thread):
    """Writes at a rate that is spread over the time. It connects again whenever it loses its session."""

    def __init__(self, url: Callable[[], str], load: Load, number: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._load = load
        self._number = number
        self._rng = random.Random(f"{seed} {number}")
        self._ids = iter(range(number, 1 << 62, load.writers))
        self._open = threading.Event()
        self._open.set()
        self._idle = threading.Event()
        self._conn: Connection[TupleRow] | None = None
        self._request = ""
        self.committed: dict[int, Counts] = {}
        self.changes = 0
        self.lost: Counter[str] = Counter()  # transactions, by the error that ended them
        self.unknown = 0  # transactions whose outcome had to be read
        self.fault: BaseException | None = None

    def hold(self) -> None:
        """Wait for the end of the current transaction; begin no other before ``go_on``."""
        self._open.clear()
        while self.is_alive() and not self._idle.wait(0.1):
            pass

    def go_on(self) -> None:
        """Write again."""
        self._idle.clear()
        self._open.set()

    def run(self) -> None:
        """Write all changes."""
        try:
            started_at = time.monotonic()
            while self.changes < self._load.changes:
                if not self._open.is_set():
                    self._idle.set()
                    self._open.wait()
                share = min(1.0, (time.monotonic() - started_at) / self._load.seconds)
                behind = int(share * self._load.changes) - self.changes
                if behind <= 0:
                    time.sleep(0.02)
                else:
                    self._write(next(self._ids), behind)
        except BaseException as exc:  # noqa: BLE001 - the test raises it
            self.fault = exc
        finally:
            self._disconnect()

    def _write(self, number: int, behind: int) -> None:
        """Make one transaction, and note its changes if it committed."""
        try:
            counts = self._transaction(self._connection(), number, behind)
        except (psycopg.OperationalError, psycopg.Rollback) as exc:  # a rollback during which the session ended
            self.lost[type(exc).__name__] += 1
            counts = self._look_up(number)
        if counts is not None:
            self.committed[number] = counts
            self.changes += sum(counts)

    def _connection(self) -> Connection[TupleRow]:
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self._url(), autocommit=True, connect_timeout=5)
            self._conn.execute("set application_name = 'writer'")
            self._conn.execute("select setseed(%s)", [self._rng.random()])
        return self._conn

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _look_up(self, number: int) -> Counts | None:
        """Find out whether a transaction committed.

        Inserting its number waits for its end, if the server still works on it, and keeps it from committing later.
        The insert commits, so a row that it found is on the standby as well.
        """
        while True:
            time.sleep(0.1)
            try:
                conn = self._connection()
                conn.execute(GIVE_UP, [number])
                ((counts,),) = conn.execute(WHAT_COMMITTED, [number])
            except psycopg.OperationalError:
                self._disconnect()
                continue
            if counts is None:
                return None
            self.unknown += 1
            return tuple(counts)

    def _transaction(self, conn: Connection[TupleRow], number: int, behind: int) -> Counts | None:
        rng = self._rng
        with conn.transaction():
            counts = self._changes(conn, behind)
            if rng.random() < 0.03:
                time.sleep(rng.random() * 0.3)
            if rng.random() < 0.002:
                time.sleep(rng.random() * 5)  # it commits late, after others that began later
            if rng.random() < 0.03:
                raise psycopg.Rollback
            conn.execute("insert into public.written values (%s, %s)", [number, list(counts)])
            return counts
        return None

    def _changes(self, conn: Connection[TupleRow], behind: int) -> Counts:
        """Change rows of a random kind and number; the more the writer is behind, the more rows."""
        rng = self._rng
        kind = rng.random() if behind < FAR else 1
        if kind < 0.002:
            conn.execute(f"truncate {TABLES[0]}".encode())
            return 1 + self._churn(conn, 0, 50), 0, 0, 0
        if kind < 0.35:
            return self._churn(conn, 0, 1), 0, 0, 0
        if kind < 0.45:
            self._say_request(conn)
            return 0, 0, self._churn(conn, 2, rng.choice([1, 1, 2, 5, 20])), 0
        if kind < 0.5:
            return 0, 0, 0, self._remark(conn, rng.choice([1, 1, 2, 5, 20]))
        if kind < 0.7:
            return self._churn(conn, 0, rng.choice([2, 5, 20, 100])), 0, 0, 0
        if kind < 0.8:
            return self._churn(conn, 0, 10), self._churn(conn, 1, 100), 0, 0
        return 0, self._sweep(conn, min(10_000, max(300, behind))), 0, 0

    def _say_request(self, conn: Connection[TupleRow]) -> None:
        """The same request as the last time, a new one, or none."""
        if self._rng.random() < 0.4:
            self._request = f"{self._number}-{self._rng.random()}" if self._rng.random() < 0.8 else ""
        conn.execute("select set_config('jobhooks.request_id', %s, true)", [self._request])

    def _churn(self, conn: Connection[TupleRow], table: int, steps: int) -> int:
        low, high = self._rows(table)
        ((changed,),) = conn.execute("select public.churn(%s, %s, %s, %s)", [ALL_TABLES[table], low, high, steps])
        return changed

    def _remark(self, conn: Connection[TupleRow], steps: int) -> int:
        """Change remarks on the writer's pieces."""
        ((changed,),) = conn.execute("select public.make_remarks(%s, %s, %s)", [*self._rows(2), steps])
        return changed

    def _rows(self, table: int) -> tuple[int, int]:
        keys = self._load.keys[table]
        return self._number * keys, (self._number + 1) * keys

    def _sweep(self, conn: Connection[TupleRow], most: int) -> int:
        keys = self._load.keys[1]
        size = min(self._rng.randint(1, most), keys)
        low = self._number * keys + self._rng.randint(0, keys - size)
        ((changed,),) = conn.execute("select public.sweep(%s, %s, %s)", [TABLES[1], low, low + size])
        return changed

"""A million changes through all faults, exact to the last one.

JOBHOOKS_CHAOS_MINUTES says how long it writes, by default 10. Each ten minutes the database goes through all phases.
"""

import os
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.schema.install import install
from jobhooks.store.connections import connect
from support.chaos import families
from support.chaos.accounting import ALL_TABLES, MAKE_ACCOUNTS, Accountant, Load
from support.chaos.churning import add_all_hooks, make_tables
from support.chaos.families import add_family_hooks, family_faults, family_promises
from support.chaos.mishaps import observe, read_log
from support.chaos.oracle import LoggedChange, Observed, Promise, Record, faults, replayed
from support.chaos.places import Place
from support.chaos.storms import DAEMONS, MAKE_MANY, MIX, SERVERS, Storm
from support.daemon import wait_until

MINUTES = float(os.environ.get("JOBHOOKS_CHAOS_MINUTES") or 10)
# Spread over the time. An hour has six times the faults and three times the changes.
CHANGES = int(110_000 * min(MINUTES, 10) + 45_000 * max(MINUTES - 10, 0))
A_MILLION = 1_000_000
WRITERS = 2
KEYS = (2_000, 20_000, 200)  # of each writer
LIMIT_S = 1_800 + MINUTES * 30  # to deliver the rest, and for the comparison
EACH = ("r.Writes", "r.WritesNow")  # of the table part: a row for each change
MANY = ("many.Many", "many.ManyNow")  # a row for each batch; the second one is of both tables
RETRY = """
select jobhooks.retry_deliveries(array_agg(change_id), array_agg(hook_id)) from jobhooks.delivery
where status = 'dead' or due_at > now() + interval '5 s'
"""

# Nothing is pending, and each hook has as many results as its tables have changes. Some merged changes are discarded.
ARE_SETTLED = """
with logged as (select content_type_id, count(*) from jobhooks.object_change where triggering group by 1),
expected as (
    select link.job_hook_id as hook_id, sum(logged.count) as count
    from jobhooks.job_hook_content_type as link join logged using (content_type_id)
    group by 1
),
settled as (select hook_id, count(*) from jobhooks.job_result where status <> 'failure' group by 1)
select not exists (select from jobhooks.delivery) and not exists (
    select from expected left join settled using (hook_id) where expected.count > coalesce(settled.count, 0)
)
"""


class Report:
    """Prints each event with its time."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._began_at = time.monotonic()

    def say(self, words: str) -> None:
        with self._capsys.disabled():
            print(f"[{time.monotonic() - self._began_at:6.0f} s] {words}", flush=True)


def prepare(place: Place, storm: Storm) -> tuple[dict[int, Promise], dict[str, int]]:
    """Install jobhooks, make the tables and the hooks; the promises, and the hooks of the family."""
    with closing(connect(place.url)) as admin:
        install(admin)
    storm.write_receivers()
    with place.connect() as conn:
        make_tables(conn, MIX)
        conn.execute(MAKE_ACCOUNTS)
        conn.execute(MAKE_MANY)
        conn.execute(families.MAKE_FAMILY)
        promises = add_all_hooks(conn, place.url, storm.receivers, [*EACH, *MANY], ["ManyNow"])
        family = add_family_hooks(conn, place.url, storm.receivers)
        return promises | family_promises(conn, family), family


class Phases:
    """The life of the database: each phase ends at its time."""

    def __init__(self, place: Place, storm: Storm, writers: list[Accountant], report: Report) -> None:
        self._place = place
        self._storm = storm
        self._writers = writers
        self._report = report
        self.moves: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Go through all phases, once for each ten minutes."""
        rounds = max(1, round(MINUTES / 10))
        began_at = time.monotonic()
        for number in range(rounds):
            for phase, end in (
                (self.direct, 0.22),
                (self.pooled, 0.38),
                (self.failover, 0.52),
                (self.direct, 0.60),
                (self.upgraded, 0.80),
                (self.restored, 1.0),
            ):
                self._say(phase.__name__)
                phase(began_at + (number + end) * seconds / rounds)

    def direct(self, until: float) -> None:
        """All faults, on one server."""
        self._storm.rage((*DAEMONS, *SERVERS), until)

    def pooled(self, until: float) -> None:
        """The daemons connect through PgBouncer, which is restarted."""
        if not self._place.open_pooler():
            self._say("left out: there is no PgBouncer here")
            return self.direct(until)
        self._storm.renew_daemons()
        self._storm.rage((*DAEMONS, "restart_pooler", "restart_pooler", "restart_immediate"), until)
        self._place.leave_pooler()
        self._storm.renew_daemons()
        self._place.close_pooler()
        self.moves["pooler"] += 1
        return None

    def failover(self, until: float) -> None:
        """A standby is added, the server crashes, and the standby is promoted; daemons know both hosts."""
        self._place.add_standby()
        self._say("the standby streams")
        self._storm.renew_daemons()
        self._storm.rage(DAEMONS, until - 5)
        self._place.promote_standby()
        self.moves["promotion"] += 1
        self._say("the standby is promoted")
        self._storm.rage(DAEMONS, until)
        self._place.leave_pooler()
        self._storm.renew_daemons()

    def upgraded(self, until: float) -> None:
        """pg_upgrade, to a newer PostgreSQL if there are two."""
        self._storm.pair.terminate_all()
        self._place.upgrade()
        self.moves["pg_upgrade"] += 1
        self._adopt()
        self.direct(until)

    def restored(self, until: float) -> None:
        """Dump and restore, into another server; writers stop for that time."""
        self._storm.pair.terminate_all()
        time.sleep(1)  # writers go on without a daemon
        for writer in self._writers:
            writer.hold()
        self._place.restore()
        self.moves["dump and restore"] += 1
        for writer in self._writers:
            writer.go_on()
        self._adopt()
        self.direct(until)

    def _adopt(self) -> None:
        self._say(f"{self._place.server.cluster.major}: {self._place.adopt()}")
        self._storm.pair.begin()

    def _say(self, words: str) -> None:
        changes = sum(writer.changes for writer in self._writers)
        self._report.say(f"-- {words}: {changes:,} changes committed")


def await_end(conn: Connection, report: Report) -> None:
    """Wait until all is delivered; retry deliveries that would wait for long.

    The saved positions do not tell: a restored change keeps the transaction id of its former server.
    """

    def is_settled() -> bool:
        conn.execute(RETRY)
        return all(conn.execute(query).fetchall() == [(True,)] for query in (ARE_SETTLED, families.IS_SETTLED))

    began_at = time.monotonic()
    wait_until("all is settled", is_settled, LIMIT_S, every_s=3)
    report.say(f"all is delivered, {time.monotonic() - began_at:.0f} s after the last change was written")


def accounts_differ(conn: Connection, writers: list[Accountant], log: dict[int, LoggedChange]) -> list[str]:
    """Compare the transactions and changes in the database with those that the writers know to have committed."""
    known = {number: counts for writer in writers for number, counts in writer.committed.items()}
    rows = conn.execute("select id, counts from public.written where counts is not null").fetchall()
    found = {id_: tuple(counts) for id_, counts in rows}
    wrong: list[str] = []
    if known != found:
        wrong.append(f"transactions differ: {sorted(known.items() ^ found.items())[:10]}")
    tables: dict[str, int] = dict(conn.execute("select name, id from jobhooks.content_type").fetchall())
    logged = Counter(change.table for change in log.values())
    for index, name in enumerate(ALL_TABLES):
        written = sum(counts[index] for counts in known.values())
        if logged[tables[name]] != written:
            wrong.append(f"{name}: {written} changes committed, {logged[tables[name]]} in the log")
        live = dict(conn.execute(f"select id, value from {name}".encode()).fetchall())
        rows, broken = replayed(log, tables[name])
        wrong += [f"{name}: change {id_} does not begin where the one before ended" for id_ in broken[:10]]
        if rows != live:
            wrong.append(f"{name}: the log ends with other rows: {sorted(rows.items() ^ live.items())[:10]}")
    return wrong


def observe_many(conn: Connection, hook_id: int, promise: Promise, directory: Path) -> Observed:
    """The records of a hook of batches."""
    rows = conn.execute("select changes from public.got_many where hook = %s order by n", [hook_id])
    records = [Record(change, None, None) for (changes,) in rows for change in changes]
    return Observed(records, observe(conn, hook_id, promise, directory).settled)


def summary(conn: Connection, storm: Storm, phases: Phases, writers: list[Accountant], report: Report) -> None:
    """Report the numbers of the run."""
    results = conn.execute("select status, count(*) from jobhooks.job_result group by 1 order by 1").fetchall()
    lost = sum((writer.lost for writer in writers), Counter[str]())
    transactions = sum(len(writer.committed) for writer in writers)
    report.say(f"{sum(writer.changes for writer in writers):,} changes in {transactions:,} transactions")
    report.say(f"results: {', '.join(f'{status} {number:,}' for status, number in results)}")
    report.say(f"lost transactions of writers: {dict(lost)}; {sum(writer.unknown for writer in writers)} had committed")
    report.say(f"faults: {dict(storm.happened)}; moves: {dict(phases.moves)}")
    for name in ("database_lost", "session_failed", "settling_failed", "statement_interrupted"):
        errors = Counter(str(event.get("error"))[:150] for event in storm.pair.events(name))
        report.say(f"{name}: {errors.total()}: {errors.most_common(6)}")


def check(
    conn: Connection,
    storm: Storm,
    writers: list[Accountant],
    promises: dict[int, Promise],
    family: dict[str, int],
    report: Report,
    directory: Path,
) -> None:
    """Compare everything."""
    assert storm.pair.tracebacks() == []
    log, written = read_log(conn), read_log(conn, triggering=False)
    found = accounts_differ(conn, writers, log) + family_faults(conn, log, family)
    for hook_id, promise in promises.items():
        observed = (observe_many if promise.name.startswith("Many") else observe)(conn, hook_id, promise, directory)
        found += faults(written if promise.name == "Follows" else log, promise, observed)
        report.say(f"{promise.name}: {len(observed.records):,} changes received")
    assert found == []
    assert len(log) >= min(CHANGES, A_MILLION if MINUTES >= 10 else CHANGES)
    sessions = "select application_name from pg_stat_activity where application_name like 'jobhooks%'"
    wait_until("no session of a daemon is left", lambda: not conn.execute(sessions).fetchall())


@pytest.mark.chaos
@pytest.mark.nightly
@pytest.mark.timeout(MINUTES * 60 + 2 * LIMIT_S)
def test_a_million_changes_are_exact_to_the_last(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each hook gets each committed change once and in order, through all that can go wrong between."""
    report = Report(capsys)
    with ExitStack() as stack:
        place = stack.enter_context(Place(tmp_path))
        load = Load(WRITERS, CHANGES // WRITERS, MINUTES * 60, KEYS)
        writers = [Accountant(lambda: place.url, load, number, seed) for number in range(WRITERS)]
        storm = Storm(place, writers, tmp_path, seed, report.say)
        promises, family = prepare(place, storm)
        report.say(f"{MINUTES:g} minutes, {CHANGES:,} changes, PostgreSQL {place.server.cluster.major}")
        if not place.disk.can_be_full:
            report.say("left out: the full disk, because no file system can be mounted here")
        stack.enter_context(storm.pair.running())
        for writer in writers:
            writer.start()
        phases = Phases(place, storm, writers, report)
        phases.run(MINUTES * 60)
        for writer in writers:
            writer.join()
            if writer.fault is not None:
                raise writer.fault
        with place.connect() as conn:
            await_end(conn, report)
            storm.pair.terminate_all()
            summary(conn, storm, phases, writers, report)
            check(conn, storm, writers, promises, family, report, tmp_path)

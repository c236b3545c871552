"""``python -m bench.capture``: the cost of capture for writers to a watched table, while no daemon runs."""

import contextlib
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Annotated

import psycopg
import typer
from psycopg import sql
from rich.table import Table

from bench.harness import (
    SETTINGS,
    BenchError,
    Line,
    Machine,
    Measurement,
    Spread,
    described,
    machine,
    open_server,
    print_report_of,
    report_console,
    shown,
    shuffled,
    spread,
    summary,
    wal_position,
    with_progress,
)
from bench.pgbench import PROTOCOL, SINGLE_ROW_UPDATE, Load, run_pgbench
from bench.variants import BULK, NOTIFY, SINGLE_ROW, Capture, Variant, captured, set_up, table_of, tidy
from jobhooks.embedded import EmbeddedServer
from jobhooks.engine.leadership import SLEEP_LOCK
from jobhooks.engine.reading.listener import CHANNEL
from jobhooks.store.connections import SyncConnection, call, connect, execute

BULK_STATEMENTS = {
    "INSERT": sql.SQL("insert into {} select * from bench.source"),
    "UPDATE": sql.SQL("update {} set status = 'retired', updated = now()"),
    "DELETE": sql.SQL("delete from {}"),
}


@dataclass(frozen=True)
class Options:
    """The duration of the measurements."""

    rounds: int
    seconds: int  # of each single-row measurement
    rows: int
    clients: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """All figures. ``single_row``: transactions per second, by clients; ``bulk``: seconds, by statement."""

    machine: Machine
    settings: dict[str, str]
    protocol: str
    options: Options
    json_bytes_per_row: Spread
    single_row: list[Line]
    bulk: list[Line]


def main(  # noqa: PLR0913, RUF100 - one parameter for each option
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 7,
    seconds: Annotated[int, typer.Option(min=1, help="How long a single-row measurement takes.")] = 10,
    rows: Annotated[int, typer.Option(min=1, help="How many rows the table has.")] = 100_000,
    clients: Annotated[str, typer.Option(help="How many clients there are at a time.")] = "1,16,32",
    quick: Annotated[bool, typer.Option("--quick", help="Three short rounds over 20,000 rows: two minutes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the cost of capture for writers, on a throw-away PostgreSQL."""
    numbers = tuple(int(number) for number in clients.split(","))
    options = Options(3, 1, 20_000, numbers) if quick else Options(rounds, seconds, rows, numbers)
    print_report_of(lambda: measure(options), print_report, as_json=as_json)


def measure(options: Options) -> Report:
    """Run all rounds.

    Raises:
        BenchError: a change was not captured, or pgbench failed.
    """
    with open_server(SETTINGS) as server, contextlib.closing(connect(server.url())) as conn:
        about = machine(server)
        set_up(conn, options.rows)
        lengths = execute(conn, b"select length(row_to_json(source)::text) from bench.source")
        single_row = [
            measure_single_row(server, conn, variant, clients, number, options)
            for number, clients in with_progress(
                [(number, clients) for number in range(options.rounds) for clients in options.clients], "single rows"
            )
            for variant in shuffled(SINGLE_ROW)
        ]
        bulk = [
            measurement
            for number in with_progress(range(options.rounds), "bulk")
            for variant in shuffled(BULK)
            for measurement in measure_bulk(conn, variant, number, options.rows)
        ]
    return Report(
        machine=about,
        settings=SETTINGS,
        protocol=PROTOCOL,
        options=options,
        json_bytes_per_row=spread([length for (length,) in lengths]),
        single_row=summary(single_row, {each.name: ["bare", "floor", NOTIFY.name] for each in SINGLE_ROW}),
        bulk=summary(bulk, {each.name: [each.peer(name) for name in ("bare", "floor", "floor_both")] for each in BULK}),
    )


def measure_single_row(  # noqa: PLR0913, RUF100 - a measurement depends on all of them
    server: EmbeddedServer, conn: SyncConnection, variant: Variant, clients: int, number: int, options: Options
) -> Measurement:
    """Measure the transactions per second of clients that update single rows at random."""
    sleeper = sleeping_daemon(server) if variant.notified else contextlib.nullcontext()
    with table_of(conn, variant, filled=True), sleeper:
        start = wal_position(conn)
        load = Load(SINGLE_ROW_UPDATE.format(variant.table), clients, options.seconds, {"rows": options.rows})
        rate, changes = run_pgbench(server, server.url(), load)
        wal_bytes = (wal_position(conn) - start) / changes
        check_captured(conn, variant, changes)
    case = f"{clients} client{'s' if clients > 1 else ''}"
    return Measurement(number, case, variant.name, rate, wal_bytes)


def measure_bulk(conn: SyncConnection, variant: Variant, number: int, rows: int) -> Generator[Measurement]:
    """Yield the seconds of each statement over all rows, including its commit."""
    with table_of(conn, variant, filled=False):
        for case, template in BULK_STATEMENTS.items():
            statement = template.format(sql.Identifier(variant.table))
            wal_start, start = wal_position(conn), time.monotonic()
            execute(conn, statement)
            seconds = time.monotonic() - start
            wal_bytes = (wal_position(conn) - wal_start) / rows
            check_captured(conn, variant, rows)
            yield Measurement(number, case, variant.name, seconds, wal_bytes)
            tidy(conn, variant)


def check_captured(conn: SyncConnection, variant: Variant, changes: int) -> None:
    """Check that the log holds every change: a capture that loses changes is fast.

    Raises:
        BenchError: a change is missing.
    """
    if variant.capture is not Capture.NONE and (found := captured(conn, variant)) != changes:
        raise BenchError(f"{variant.name}: {changes} changes were made, and {found} are in the log")


@contextlib.contextmanager
def sleeping_daemon(server: EmbeddedServer) -> Generator[None]:
    """Act as a daemon that sleeps and does not get up when woken, so that every commit sends a NOTIFY.

    Raises:
        BenchError: no NOTIFY arrived.
    """
    with psycopg.connect(server.url(), autocommit=True) as listener:
        execute(listener, b"listen " + CHANNEL.encode())
        if call(listener, "wait_for_lock", key=SLEEP_LOCK, seconds=1.0) != [(True,)]:
            raise BenchError("somebody else holds the lock that says that a daemon sleeps")
        woken, ended = threading.Event(), threading.Event()

        def take_all() -> None:
            """Keep reading: otherwise the server's notification queue would fill up."""
            while not ended.is_set():
                for _ in listener.notifies(timeout=0.1):
                    woken.set()

        thread = threading.Thread(target=take_all)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if not woken.is_set():
            raise BenchError("no commit woke the daemon that sleeps")


def print_report(report: Report) -> None:
    """Print the report for people and for the docs."""
    console, options = report_console(), report.options
    console.print(described(report.machine))
    console.print(", ".join(f"{name} {value}" for name, value in report.settings.items()))
    console.print(
        f"{options.rows:,} rows of {report.json_bytes_per_row.median:.0f} bytes as json; medians (lowest to highest) of"
        f" {options.rounds} rounds; ratios are taken within each round"
    )
    console.print(
        f"\nSingle-row UPDATE, transactions per second; pgbench, {report.protocol}, {options.seconds} s each",
        table(report.single_row, "per second", 0, ["of bare", "of the floor", "times jobhooks_notify"]),
        f"\n{options.rows:,} rows in one statement, seconds; partitioned tables are compared with partitioned ones",
        table(report.bulk, "seconds", 3, ["times bare", "times the floor", "times floor_both"]),
        sep="\n",
    )


def table(lines: Sequence[Line], unit: str, digits: int, ratios: Sequence[str]) -> Table:
    """Format lines as a table. ``ratios``: the headings of the ratios, in order."""
    result = Table("", "", box=None, pad_edge=False)
    for name in (unit, *ratios, "WAL bytes per change"):
        result.add_column(name, justify="right")
    for line in lines:
        figures = [shown(ratio, 2) for ratio in line.ratios.values()]
        result.add_row(line.case, line.variant, shown(line.value, digits), *figures, f"{line.wal_bytes.median:,.0f}")
    return result


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()

"""``python -m bench.instructions``: instructions per captured row, a figure that a busy machine does not change.

It needs valgrind. The server is set up, stopped, and run again in single-user mode under callgrind, once with the
statement in question and once without. The difference is the statement's cost, including its share of the last
checkpoint.
"""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bench.harness import (
    BenchError,
    Machine,
    described,
    machine,
    open_server,
    print_report_of,
    report_console,
    with_progress,
)
from bench.variants import BULK, Capture, Variant, make, set_up
from jobhooks.embedded import EmbeddedServer, clean_environment, run, server_account
from jobhooks.store.connections import connect

STATEMENTS = {
    "INSERT": "insert into {table} select * from bench.source where id > {rows}",
    "UPDATE": "update {table} set status = 'retired', updated = now()",
    "DELETE": "delete from {table}",
}
# Work that a session does once (reading catalogues, compiling functions) is not counted for a row.
WARM_UP = (
    "select nextval('bench.floor_log_id_seq')",  # so that lastval() is defined
    "insert into {table} select * from bench.source where id <= 50",
    "update {table} set status = 'warm'",
    "delete from {table}",
    "insert into {table} select * from bench.source where id <= {rows}",
)
SINGLE_USER = ["--single", "-j", "-c", "fsync=off", "-c", "autovacuum=off", "-c", "shared_buffers=256MB"]


@dataclass(frozen=True)
class Count:
    """The instructions per row of one statement, and the ratios to the bare table and to the floor."""

    variant: str
    case: str
    instructions: float
    times_bare: float
    times_floor: float


@dataclass(frozen=True)
class Report:
    """All figures."""

    machine: Machine
    rows: int
    counts: list[Count]


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[VARIANT]...", help="By default all.")] = None,
    *,
    rows: Annotated[int, typer.Option(min=1, help="How many rows each statement writes.")] = 1000,
    profiles: Annotated[Path | None, typer.Option(help="A folder for profiles, for callgrind_annotate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count the instructions per captured row."""
    print_report_of(lambda: count_all(chosen(names or []), rows, profiles), print_report, as_json=as_json)


def chosen(names: Sequence[str]) -> list[Variant]:
    """List the variants of these names and their reference variants; all variants without names.

    Raises:
        BenchError: a name is unknown.
    """
    by_name = {each.name: each for each in BULK}
    if unknown := [name for name in names if name not in by_name]:
        raise BenchError(f"there is no variant {', '.join(unknown)}: they are {', '.join(by_name)}")
    wanted = {peer for name in names or by_name for peer in (name, *map(by_name[name].peer, ("bare", "floor")))}
    return [each for each in BULK if each.name in wanted]


def count_all(variants: Sequence[Variant], rows: int, profiles: Path | None) -> Report:
    """Count the instructions of these variants; their references must be among them.

    Raises:
        BenchError: valgrind is missing, or a statement failed.
    """
    if shutil.which("valgrind") is None:
        raise BenchError("valgrind is not installed: on Debian, apt install valgrind")
    with open_server({}) as server:
        with contextlib.closing(connect(server.url())) as conn:
            set_up(conn, 2 * rows)
            for variant in variants:
                make(conn, variant, filled=False)
        about = machine(server)
        data = str(server.directory / "data")
        run([str(server.binaries / "pg_ctl"), "-D", data, "-m", "fast", "-w", "stop"], server_account())
        counted = {each.name: count(server, each, rows, profiles) for each in with_progress(variants, "variants")}
    counts = [
        Count(
            variant.name,
            case,
            instructions,
            instructions / counted[variant.peer("bare")][case],
            instructions / counted[variant.peer("floor")][case],
        )
        for variant in variants
        for case, instructions in counted[variant.name].items()
    ]
    return Report(about, rows, counts)


def count(server: EmbeddedServer, variant: Variant, rows: int, profiles: Path | None) -> dict[str, float]:
    """Count the instructions per row of each statement."""
    names = {"table": variant.table, "rows": rows}
    warm_up = [statement.format(**names) for statement in WARM_UP]
    tables = ", ".join([variant.table, *(log.value for log in Capture if log.value)])
    totals: dict[str, int] = {}
    for case, statement in {"WARM_UP": "select", **STATEMENTS}.items():
        single_user(server, [f"truncate {tables}"], [])
        profile = None if profiles is None else profiles / f"{variant.name}.{case.lower()}.callgrind"
        totals[case] = single_user_counted(server, [*warm_up, statement.format(**names)], profile)
    return {case: (totals[case] - totals["WARM_UP"]) / rows for case in STATEMENTS}


def single_user_counted(server: EmbeddedServer, statements: Sequence[str], profile: Path | None) -> int:
    """Run statements in single-user mode and count all instructions."""
    # The server's account must be able to write here.
    written = server.directory / "callgrind.out" if profile else Path("/dev/null")
    said = single_user(server, statements, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={written}"])
    if profile:
        profile.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, profile)
    collected = re.search(r"Collected : (\d+)", said)
    if collected is None:
        raise BenchError(f"valgrind counted nothing: {said[-500:]}")
    return int(collected[1])


def single_user(server: EmbeddedServer, statements: Sequence[str], command: Sequence[str]) -> str:
    """Run statements in single-user mode, under ``command`` if it is not empty, and collect stderr.

    Raises:
        BenchError: a statement failed.
    """
    account = server_account()
    program = [str(server.binaries / "postgres"), *SINGLE_USER, "-D", str(server.directory / "data"), "postgres"]
    finished = subprocess.run(
        [*command, *program],
        check=False,
        input="".join(f"{statement};\n\n" for statement in statements),
        capture_output=True,
        text=True,
        env=clean_environment(),
        cwd="/",
        user=account.uid,
        group=account.gid,
        extra_groups=account.extra_groups,
    )
    failure = re.search(r"^.*(ERROR|FATAL|PANIC):.*$", finished.stderr, re.MULTILINE)
    if failure or finished.returncode != 0:
        raise BenchError(f"single-user mode failed: {failure[0] if failure else finished.stderr[-500:]}")
    return finished.stderr


def print_report(report: Report) -> None:
    """Print the report for people and for the docs."""
    console = report_console()
    console.print(described(report.machine))
    console.print(
        f"Instructions per row (times the bare table, times the floor), {report.rows:,} rows in one statement\n"
    )
    table = Table("", box=None, pad_edge=False)
    for case in STATEMENTS:
        table.add_column(case, justify="right")
    for variant in dict.fromkeys(each.variant for each in report.counts):
        counts = [each for each in report.counts if each.variant == variant]
        cells = [f"{each.instructions:,.0f} ({each.times_bare:.2f}, {each.times_floor:.2f})" for each in counts]
        table.add_row(variant, *cells)
    console.print(table)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()

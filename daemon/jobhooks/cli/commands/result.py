"""``jobhooks result``: lists, shows and exports results, and reads their logs."""

import csv
import datetime
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from typing import Annotated

import msgspec
import typer

from jobhooks.cli import completion
from jobhooks.cli.filters import (
    FollowFlag,
    HookFlag,
    HooksFlag,
    SinceFlag,
    TablesFlag,
    UntilFlag,
    period,
    refuse_an_end,
    wrong_usage,
)
from jobhooks.cli.option_groups import with_option_groups
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import print_difference, print_heading, print_who
from jobhooks.cli.show.output import console, follow, print_json, print_json_line, print_records, progress
from jobhooks.cli.show.results import Line, line, print_followed, print_line, print_result
from jobhooks.operations import changes
from jobhooks.operations.delivering import results
from jobhooks.operations.delivering.attempts import ResultDetails
from jobhooks.operations.delivering.following import ResultFollower
from jobhooks.operations.lookup.object_keys import object_key
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection


class Status(Enum):
    """How an attempt ended, as the database stores it."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"


class Level(Enum):
    """The level of a log line, the least important first."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    ERROR = "error"
    CRITICAL = "critical"


class Format(Enum):
    """The format of an export."""

    CSV = "csv"
    JSONL = "jsonl"


JobsFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--job", help="Only of this job, module.Class. Repeatable.", metavar="JOB", autocompletion=completion.jobs
    ),
]
ObjectFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--object",
        help="Only changes of the object with this key: 17, or id=17. Repeatable for a key of several columns.",
        metavar="[COLUMN=]VALUE",
    ),
]
StatusFlag = Annotated[
    Status | None,
    typer.Option("--status", help="Only of this status.", metavar="success|failure|discarded"),
]


VersionFlag = Annotated[
    str | None,
    typer.Option(
        "--version", help="Only of this version of a receiver, as job show lists it, or its beginning.", metavar="HASH"
    ),
]


@dataclass(frozen=True)
class ResultOptions:
    """The options that choose results."""

    hook: HooksFlag = None
    job: JobsFlag = None
    table: TablesFlag = None
    object_: ObjectFlag = None
    status: StatusFlag = None
    version: VersionFlag = None
    since: SinceFlag = None
    until: UntilFlag = None

    def filter(self, conn: SyncConnection) -> results.ResultFilter:
        """The filter that they describe; times by the clock of the database server."""
        with wrong_usage("--object"):
            key = object_key(self.object_ or [])
        status = None if self.status is None else self.status.value
        named = (self.hook or (), self.job or (), self.table or ())
        return results.ResultFilter(*named, key, status, *period(conn, self.since, self.until), self.version)


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Job results: the outcome of each attempt at a delivery.")
    group.command("list")(list_results)
    group.command("show")(show)
    group.command("logs")(logs)
    group.command("export")(export)
    app.add_typer(group, name="result")


@with_option_groups
def list_results(
    chosen: ResultOptions,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most this many, of the newest changes.")] = 50,
    follow_: FollowFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List results by change, newest last. With --follow each goes on one line, and new ones come as runs end.

    Example: jobhooks result list --status failure --since 2h

    Example: jobhooks result list --table public.device --object 17 --json
    """
    with connection(load(config, database_url=database_url)) as conn:
        if follow_:
            refuse_an_end(chosen.until)
            follower = ResultFollower(conn, chosen.filter(conn), limit)
            show_one = print_json_line if as_json else partial(print_followed, console())
            follow(follower.first, follower.new_results, show_one)
        found = results.newest_results(conn, chosen.filter(conn), limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(result) for result in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The id of a change.", metavar="CHANGE", max=changes.LAST_ID)],
    hook: HookFlag = None,
    attempt: Annotated[
        int | None, typer.Option(help="Only this attempt.", min=1, max=results.LAST_INTEGER, metavar="N")
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show the results of a change: each attempt with its error, value, writes, log and traceback.

    Example: jobhooks result show 42

    Example: jobhooks result show 42 --hook "Check serials" --attempt 1
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = results.results_of_change(conn, change, hook, attempt)
    if as_json:
        print_json(found)
        return
    out = console()
    if found.change is not None:
        print_heading(out, found.change)
        print_who(out, found.change)
        print_difference(out, found.change)
    for result in found.results:
        print_result(out, result)


@with_option_groups
def logs(
    chosen: ResultOptions,
    level: Annotated[
        Level,
        typer.Option(
            help="This level and above: debug, info, success, warning, failure, error, critical.",
            metavar="LEVEL",
        ),
    ] = Level.DEBUG,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most this many, of the newest changes.")] = 100,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Print the lines that receivers logged, over all matching results, newest change last.

    Example: jobhooks result logs --hook "Check serials" --level warning --since 1d

    Example: jobhooks result logs --object 17 --limit 1000
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = results.newest_lines(conn, chosen.filter(conn), limit, level.value)
    if as_json:
        print_json(found)
        return
    out = console()
    for logged in found:
        print_line(out, logged)


@with_option_groups
def export(
    format_: Annotated[
        Format, typer.Option("--format", help="csv: a table with headings; jsonl: one object per line.")
    ],
    chosen: ResultOptions,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Write all matching results to stdout, oldest change first, with tracebacks, values and log lines.

    Example: jobhooks result export --format csv --since 30d > results.csv

    Example: jobhooks result export --format jsonl --status failure | jq -r .error | sort | uniq -c
    """
    with connection(load(config, database_url=database_url)) as conn:
        WRITERS[format_](results.all_results(conn, chosen.filter(conn), progress))


def _write_csv(found: Iterable[ResultDetails]) -> None:
    names = [field.name for field in fields(ResultDetails)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for result in found:
        writer.writerow([_cell(getattr(result, name)) for name in names])
    sys.stdout.flush()


def _write_jsonl(found: Iterable[ResultDetails]) -> None:
    for result in found:
        print_json_line(result, flush=False)
    sys.stdout.flush()


WRITERS: dict[Format, Callable[[Iterable[ResultDetails]], None]] = {
    Format.CSV: _write_csv,
    Format.JSONL: _write_jsonl,
}


def _cell(value: object) -> object:
    """Render a value as a cell of CSV: as in JSON, but texts and times without quotes, and null as an empty cell."""
    if isinstance(value, datetime.datetime):
        return msgspec.to_builtins(value)
    if isinstance(value, str):
        return value
    encoded = msgspec.json.encode(value).decode()
    return "" if encoded == "null" else encoded

"""``jobhooks result``: what became of deliveries, listed, shown, read line by line, and exported."""

import csv
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Annotated

import msgspec
import typer

from jobhooks.cli import completion
from jobhooks.cli.change import parse_moment
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import print_difference, print_heading
from jobhooks.cli.show.output import console, print_json, print_json_line, print_records, progress
from jobhooks.cli.show.results import Line, line, print_line, print_result
from jobhooks.operations import changes, deliveries, object_keys, results
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection


class Status(Enum):
    """How an attempt ended, as the database has it."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"


class Level(Enum):
    """The level of a line that a receiver logged, the least important first."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Format(Enum):
    """How results are exported."""

    CSV = "csv"
    JSONL = "jsonl"


HookFlag = Annotated[
    str | None,
    typer.Option("--hook", help="Of this hook only.", metavar="NAME", autocompletion=completion.hooks),
]
JobFlag = Annotated[
    str | None,
    typer.Option("--job", help="Of this job only, module.Class.", metavar="JOB", autocompletion=completion.jobs),
]
TableFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        help="For changes of this table only, schema.table. Repeatable.",
        metavar="TABLE",
        autocompletion=completion.tables,
    ),
]
ObjectFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--object",
        help="For changes of the object with this key only: 17, or id=17; for a key of several columns, repeatable.",
        metavar="[COLUMN=]VALUE",
    ),
]
StatusFlag = Annotated[
    Status | None,
    typer.Option("--status", help="That ended so only.", metavar="success|failure|discarded"),
]
SinceFlag = Annotated[
    str | None,
    typer.Option("--since", help="For changes from then on: 90s, 15m, 2h, 7d ago, or a time.", metavar="DURATION|TIME"),
]
UntilFlag = Annotated[
    str | None, typer.Option("--until", help="For changes before then.", metavar="DURATION|TIME", show_default=False)
]


@dataclass(frozen=True)
class _Filters:
    """What was said on the command line of which results are meant."""

    hook: str | None
    job: str | None
    table: list[str] | None
    object: list[str] | None
    status: Status | None
    since: str | None
    until: str | None


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Job results: what became of deliveries, attempt by attempt.")
    group.command("list")(list_results)
    group.command("show")(show)
    group.command("logs")(logs)
    group.command("export")(export)
    app.add_typer(group, name="result")


def list_results(  # noqa: PLR0913, RUF100 - the ways in which results are looked for
    hook: HookFlag = None,
    job: JobFlag = None,
    table: TableFlag = None,
    object_: ObjectFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="At most so many, of the newest changes.")
    ] = 50,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List what attempts at deliveries did, by their changes, the newest last.

    Example: jobhooks result list --status failure --since 2h

    Example: jobhooks result list --table public.device --object 17 --json
    """
    filters = _Filters(hook, job, table, object_, status, since, until)
    with connection(load(config, database_url=database_url)) as conn:
        found = results.newest_results(conn, _wanted(conn, filters), limit)
    if as_json:
        print_json(found)
    else:
        print_records(Line, [line(result) for result in found], as_json=False)


def show(
    change: Annotated[int, typer.Argument(help="The number of a change.", metavar="CHANGE", max=changes.LAST_ID)],
    hook: HookFlag = None,
    attempt: Annotated[
        int | None, typer.Option(help="This attempt only.", min=1, max=results.LAST_INTEGER, metavar="N")
    ] = None,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Show what came of a change: each attempt with its error, what it returned, wrote and logged, and its traceback.

    Example: jobhooks result show 42

    Example: jobhooks result show 42 --hook "Check serials" --attempt 1
    """
    with connection(load(config, database_url=database_url)) as conn:
        hook_id = None if hook is None else deliveries.hook_called(conn, hook).id
        about, found = results.results_of(conn, change, hook_id, attempt)
    if as_json:
        print_json({"change": about, "results": found})
        return
    out = console()
    if about is not None:
        print_heading(out, about)
        print_difference(out, about)
    for result in found:
        print_result(out, result)


def logs(  # noqa: PLR0913, RUF100 - the ways in which lines are looked for
    hook: HookFlag = None,
    job: JobFlag = None,
    table: TableFlag = None,
    object_: ObjectFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    level: Annotated[
        Level,
        typer.Option(
            help="From this level on: debug, info, success, warning, failure.",
            metavar="LEVEL",
        ),
    ] = Level.DEBUG,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="N", help="At most so many lines, of the newest changes.")
    ] = 100,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Print what receivers logged, line by line, over all results that are meant; of the newest changes last.

    Example: jobhooks result logs --hook "Check serials" --level warning --since 1d

    Example: jobhooks result logs --object 17 --limit 1000
    """
    filters = _Filters(hook, job, table, object_, status, since, until)
    names = [known.value for known in Level]
    levels = None if level is Level.DEBUG else names[names.index(level.value) :]
    with connection(load(config, database_url=database_url)) as conn:
        found = results.newest_lines(conn, _wanted(conn, filters), levels, limit)
    if as_json:
        print_json(found)
        return
    out = console()
    for logged in found:
        print_line(out, logged)


def export(  # noqa: PLR0913, RUF100 - the ways in which results are looked for
    format_: Annotated[
        Format, typer.Option("--format", help="csv: a table with headings; jsonl: an object on each line.")
    ],
    hook: HookFlag = None,
    job: JobFlag = None,
    table: TableFlag = None,
    object_: ObjectFlag = None,
    status: StatusFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Write all results that are meant to stdout, of the oldest changes first, with tracebacks, values and log lines.

    Example: jobhooks result export --format csv --since 30d > results.csv

    Example: jobhooks result export --format jsonl --status failure | jq -r .error | sort | uniq -c
    """
    filters = _Filters(hook, job, table, object_, status, since, until)
    with connection(load(config, database_url=database_url)) as conn:
        wanted = _wanted(conn, filters)
        with progress("exporting", results.extent(conn, wanted)) as done:
            WRITERS[format_](results.all_results(conn, wanted, done))


def _write_csv(found: Iterable[results.WholeResult]) -> None:
    names = [field.name for field in fields(results.WholeResult)]
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    for result in found:
        writer.writerow([_cell(getattr(result, name)) for name in names])
    sys.stdout.flush()


def _write_jsonl(found: Iterable[results.WholeResult]) -> None:
    for result in found:
        print_json_line(result, flush=False)
    sys.stdout.flush()


WRITERS: dict[Format, Callable[[Iterable[results.WholeResult]], None]] = {
    Format.CSV: _write_csv,
    Format.JSONL: _write_jsonl,
}


def _cell(value: object) -> object:
    """Return a value as a cell of CSV: what is no text, number or time as JSON, nothing as an empty cell."""
    if isinstance(value, msgspec.Raw | list):
        encoded = msgspec.json.encode(value).decode()
        return "" if encoded == "null" else encoded
    return value


def _wanted(conn: SyncConnection, filters: _Filters) -> results.Wanted:
    now = changes.server_time(conn)
    try:
        key = object_keys.object_key(filters.object or [])
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--object") from exc
    content_type_ids = changes.content_types_called(conn, filters.table or [])
    if key is not None:
        key.check(conn, content_type_ids)
    return results.Wanted(
        None if filters.hook is None else deliveries.hook_called(conn, filters.hook).id,
        None if filters.job is None else results.job_called(conn, filters.job),
        content_type_ids,
        key,
        None if filters.status is None else filters.status.value,
        parse_moment(filters.since, now, "--since"),
        parse_moment(filters.until, now, "--until"),
    )
